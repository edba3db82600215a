"""A screen that is drawn again and again in place: no flicker, no colour, 80x24 is enough."""

import contextlib
import select
import shutil
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from edgectl.cli.output import CliError, fit, printable
from edgectl.errors import Unreachable

EVERY_S: Final = 1.0

_HOME: Final = "\x1b[H"
_TO_LINE_END: Final = "\x1b[K"
_TO_SCREEN_END: Final = "\x1b[J"
_CURSOR_OFF: Final = "\x1b[?25l"
_CURSOR_ON: Final = "\x1b[?25h"
_OTHER_SCREEN: Final = "\x1b[?1049h"
_FIRST_SCREEN: Final = "\x1b[?1049l"

Draw = Callable[[int, int], Sequence[str]]
"""Gives the lines for so many columns and rows."""


def follow(draw: Draw, *, every_s: float = EVERY_S) -> None:
    """Draw until `q`, Ctrl-C or the end of input; without a terminal, one block after another.

    While the daemon cannot be reached the last picture stays, with the reason above it.
    """
    try:
        if sys.stdout.isatty():
            _on_screen(draw, every_s)
        else:
            _on_paper(draw, every_s)
    except KeyboardInterrupt:
        return


def repeat(show: Callable[[], None], *, every_s: float = EVERY_S) -> None:
    """Show it again and again, for programs, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            show()
            sys.stdout.flush()
            select.select((), (), (), every_s)


def _on_paper(draw: Draw, every_s: float) -> None:
    while True:
        print("\n".join(printable(line).rstrip() for line in draw(80, 0)), flush=True)
        print(flush=True)
        if _key(every_s) == "end":
            return


def _on_screen(draw: Draw, every_s: float) -> None:
    lines: Sequence[str] = ()
    with _screen():
        while True:
            columns, rows = shutil.get_terminal_size()
            try:
                lines = draw(columns, rows)
                shown = list(lines)
            except (Unreachable, CliError) as fault:
                if not lines:
                    raise
                shown = [f"NO ANSWER: {fault.message}", "what follows is the last one", *lines]
            _paint(shown, columns, rows)
            if _key(every_s) in {"q", "end"}:
                return


def _paint(lines: Sequence[str], columns: int, rows: int) -> None:
    shown = [fit(printable(line).rstrip(), columns) for line in lines]
    if len(shown) > rows:
        left = len(shown) - rows + 1
        shown = [*shown[: rows - 1], fit(f"... {left} lines more do not fit here", columns)]
    body = f"{_TO_LINE_END}\r\n".join(shown)
    sys.stdout.write(f"{_HOME}{body}{_TO_LINE_END}{_TO_SCREEN_END}")
    sys.stdout.flush()


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """The terminal's other screen with its keys unbuffered, given back however it ends."""
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = None if keyboard is None else termios.tcgetattr(keyboard)
    sys.stdout.write(_OTHER_SCREEN + _CURSOR_OFF)
    try:
        if keyboard is not None:
            tty.setcbreak(keyboard)
        yield
    finally:
        if keyboard is not None and before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        sys.stdout.write(_CURSOR_ON + _FIRST_SCREEN)
        sys.stdout.flush()


def _key(wait_s: float) -> str:
    """Wait so long for a key; "" when there was none, "end" when no more can come."""
    if not sys.stdin.isatty():
        select.select((), (), (), wait_s)
        return ""
    ready, _, _ = select.select((sys.stdin,), (), (), wait_s)
    if not ready:
        return ""
    return sys.stdin.read(1) or "end"
