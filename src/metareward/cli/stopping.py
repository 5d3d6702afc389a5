"""Being told to stop, by Ctrl-C, SIGTERM or a closed terminal, in a way that cannot be lost."""

import signal
from collections.abc import Callable
from typing import Any, TypeVar

E = TypeVar("E")


class Stopping:
    """Raises KeyboardInterrupt at the signal, and again at the next event should that one be lost.

    Python drops an exception that a signal handler raises inside a finaliser or a callback from C; a run
    that went on for days after a Ctrl-C would be the price.
    """

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored under nohup
            signal.signal(signal.SIGHUP, self._ask)

    def before(self, listen: Callable[[E], None]) -> Callable[[E], None]:
        """The same listener, which first looks whether the run was told to stop."""

        def look_and_listen(event: E) -> None:
            if self.asked:
                raise KeyboardInterrupt
            listen(event)

        return look_and_listen

    def _ask(self, *_: Any) -> None:
        self.asked = True
        raise KeyboardInterrupt
