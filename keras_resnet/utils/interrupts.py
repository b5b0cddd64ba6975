"""Ctrl-C that waits: what must not stop in the middle, where it would become another error, or be lost."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[list[object]]:
    """Lets a first Ctrl-C wait until the block has ended, such as the writing of a file; a second one ends it at once.

    Yields:
        A list that has something in it once Ctrl-C was pressed, for a block that can end early.
    """
    caught: list[object] = []
    before = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or not callable(before):  # Python's handlers run in the main thread alone
        yield caught
        return

    def note(number: int, frame: FrameType | None) -> None:
        if caught:
            before(number, frame)
        caught.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)
        if caught:
            before(signal.SIGINT, None)
