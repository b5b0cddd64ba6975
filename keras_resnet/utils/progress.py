"""Progress messages on standard error."""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO, TypeVar

_EVERY = 0.25  # seconds between two states of a line on a terminal
_EVERY_LINE = 10.0  # elsewhere, such as in the log of a job
_QUICK = 1.0  # seconds; what takes no longer is not shown, but for downloads


Item = TypeVar("Item")


_open = False  # whether a line of progress has no end yet


def say(text: str, end: str = "\n") -> None:
    """Tells the user, where there is a standard error; and never on standard output."""
    global _open
    if sys.stderr is not None:
        begin = "\n" if _open and not text.startswith("\r") else ""
        if sys.stderr.isatty():
            text = "\n".join(map(_wrapped, text.split("\n")))
        print(f"{begin}{text}", end=end, file=sys.stderr, flush=True)
        _open = text.startswith("\r")


def _wrapped(line: str) -> str:
    """A line for a terminal, broken between words; one that begins with a space, such as a command to copy, stays."""
    if line[:1].isspace():
        return line
    columns = shutil.get_terminal_size().columns
    return textwrap.fill(line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def takes_colours(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that shows colours, which https://no-color.org lets a user refuse."""
    return bool(stream and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


class Progress:
    """How much of something is done: on a terminal one line that is written anew, elsewhere a line now and then.

    Of a download that is told from its beginning, of other things once they take a second.

    Args:
        title: what is done; a download's stands on a line of its own, as it has a URL in it.
        start: how much was done before.
        length: how much the whole is, if that is known.
        unit: what is counted, such as "images". "MB": bytes of a download; "s": nothing but the time.
    """

    def __init__(self, title: str, start: int, length: int | None, unit: str = "MB") -> None:
        self._title, self._start, self._length, self._unit = title, start, length, unit
        self._began = self._shown = time.monotonic()
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        if unit == "MB":
            say(title if length is None else f"{title} ({length / 1e6:.1f} MB)")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if _open:
            say("", end="")  # ends the line

    def show(self, done: int) -> None:
        """Says how much is done, unless that was said just now."""
        now = time.monotonic()
        told = self._unit == "MB" or self._shown > self._began
        ended = self._terminal and done == self._length and told
        every = (_EVERY if told else _QUICK) if self._terminal else _EVERY_LINE
        if ended or now - self._shown >= every:
            self._shown = now
            state = self._state(done, now - self._began)
            if self._terminal:  # in one line, which the next state covers
                say("\r" + state.ljust(70)[: shutil.get_terminal_size().columns - 1], end="")
            else:
                say(state)

    def _state(self, done: int, seconds: float) -> str:
        """Says how much of how much, percent, speed."""
        if self._unit == "s":
            return f"{self._title}: {seconds:.0f} s"
        if self._unit == "MB":
            begin, scale, digits = "  ", 1e6, 1
        else:
            begin, scale, digits = f"{self._title}: ", 1.0, 0
        speed = (done - self._start) / scale / max(seconds, 1e-3)
        whole = f" of {self._length / scale:.{digits}f}" if self._length else ""
        percent = f", {done / self._length:.0%}" if self._length else ""
        return f"{begin}{done / scale:.{digits}f}{whole} {self._unit}{percent}, {speed:.1f} {self._unit}/s"


def track(items: Iterable[Item], title: str, length: int, unit: str) -> Iterator[Item]:
    """Yields items, and shows how many are done."""
    with Progress(title, 0, length, unit) as progress:
        for done, item in enumerate(items, 1):
            yield item
            progress.show(done)


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Shows how long something takes that has no parts to be counted."""
    ended = Event()
    with Progress(title, 0, None, "s") as progress:

        def tick() -> None:
            while not ended.wait(_EVERY):
                progress.show(0)

        thread = Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
