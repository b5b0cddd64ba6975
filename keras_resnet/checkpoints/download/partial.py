"""Locks and names of partial files."""

import errno
import glob
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from keras_resnet.utils.progress import say

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_POLL = 0.1  # seconds between two looks at a lock
_PATIENCE = 3.0  # seconds of waiting of which the user need not hear
_STALE = 86400.0  # seconds after which nobody works on a file any more
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


@contextmanager
def exclusive(path: Path) -> Iterator[Path]:
    """Lends the hidden name of a file's unfinished version, to one process at a time.

    What is there in the end stays if it has a note, for the next process to go on with. Where the system has no locks,
    each process gets a name of its own, and nothing stays; what killed processes left there goes after a day.
    """
    part = path.with_name(f".{path.name}.part")
    lock = _lock(part, path)
    if lock is None:
        _remove_stale(path)
        part = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
        part.touch()
    try:
        yield part
    except OSError as error:
        if error.errno in _FULL:
            forget(part)
        raise
    finally:
        if lock is None or (_is_at(lock, part) and not is_resumable(part)):
            part.unlink(missing_ok=True)
            forget(part)
        if lock is not None:
            os.close(lock)


def open_partial(part: Path, mode: str) -> IO[bytes]:
    """Opens an unfinished file or its note; raises an `OSError` if that is a link, which others may have laid."""
    return open(part, mode, opener=lambda name, flags: os.open(name, flags | _NO_LINK, 0o666))


def publish(part: Path, path: Path) -> None:
    """Puts a file into its place, once it lies on the disk."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    forget(part)


def note(part: Path) -> Path:
    """Returns the place for what the next process must know to go on with an unfinished file."""
    return part.with_name(f"{part.name}.json")


def forget(part: Path) -> None:
    """Makes sure that no process goes on with an unfinished file."""
    note(part).unlink(missing_ok=True)


def is_resumable(part: Path) -> bool:
    """Tells whether there is something to go on with."""
    return part.exists() and part.stat().st_size > 0 and note(part).exists()


def _remove_stale(path: Path) -> None:
    """Removes the unfinished versions and notes that had names of their own, and that no process changes any more."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}.part*"):
        with suppress(OSError):  # another process was quicker, or still has it open
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()


def _lock(part: Path, path: Path) -> int | None:
    """Locks a file, which is made if it is missing; returns its descriptor, None where there are no locks."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows
        return None
    patience = time.monotonic() + _PATIENCE
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
            if _is_at(descriptor, part):  # else another process has just put it into its place
                return descriptor
            os.close(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() > patience:
                say(f"waiting for another process that writes {path}")
                patience = math.inf
            time.sleep(_POLL)
        except OSError:  # a file system without locks
            os.close(descriptor)
            part.unlink(missing_ok=True)
            return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that lies at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
