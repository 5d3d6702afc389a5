"""A console on which nothing that is printed can move the terminal, whoever printed it."""

import errno
import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from metareward.display import plain


class Screen(Console):
    """Rich's console; every piece of text goes through `display.plain` last of all, its own codes apart."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process without a word."""
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(plain(piece.text), piece.style)
