"""Progress messages on standard error."""

import sys
import time

_EVERY = 0.25  # seconds between two states of a line on a terminal
_EVERY_LINE = 10.0  # elsewhere, such as in the log of a job


def say(text: str, end: str = "\n") -> None:
    """Tells the user, where there is a standard error; and never on standard output."""
    if sys.stderr is not None:
        print(text, end=end, file=sys.stderr, flush=True)


class Progress:
    """How much of a file is here: on a terminal one line that is written anew, elsewhere a line now and then.

    Args:
        title: how the first line begins.
        start: bytes that were here before.
        length: bytes of the whole file, if that is known.
    """

    def __init__(self, title: str, start: int, length: int | None) -> None:
        self._start, self._length = start, length
        self._began = self._shown = time.monotonic()
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        say(title if length is None else f"{title} ({length / 1e6:.1f} MB)")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            say("")

    def show(self, done: int) -> None:
        """Says how many bytes are here, unless that was said just now."""
        now = time.monotonic()
        ended = self._terminal and done == self._length
        if ended or now - self._shown >= (_EVERY if self._terminal else _EVERY_LINE):
            self._shown = now
            state = self._state(done, now - self._began)
            say(f"\r{state:60}" if self._terminal else state, end="" if self._terminal else "\n")

    def _state(self, done: int, seconds: float) -> str:
        """Says megabytes, percent, megabytes per second."""
        speed = (done - self._start) / 1e6 / max(seconds, 1e-3)
        whole = f" of {self._length / 1e6:.1f}" if self._length else ""
        percent = f", {done / self._length:.0%}" if self._length else ""
        return f"  {done / 1e6:.1f}{whole} MB{percent}, {speed:.1f} MB/s"
