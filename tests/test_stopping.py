"""A request to stop is heeded even where Python loses the exception."""

import contextlib
import os
import signal

import pytest

from metareward.cli.stopping import Stopping
from metareward.events import Noticed


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_raised_at_once(number):
    Stopping()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_and_again_at_the_next_event_if_the_first_was_lost(number):
    heard = []
    stopping = Stopping()
    listen = stopping.before(heard.append)
    listen(Noticed("a", "before"))
    with contextlib.suppress(KeyboardInterrupt):  # as a finaliser would lose it
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        listen(Noticed("a", "after"))
    assert [event.message for event in heard] == ["before"]
