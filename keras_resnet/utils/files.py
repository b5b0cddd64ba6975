"""Atomic writes: files and folders that are there whole, or as they were before."""

import csv
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Lends a hidden name beside a file, which takes the file's place once it is written and lies on the disk.

    Raises:
        OSError: if there is no such folder, or the disk is full, also where a library raises another error for that.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{str(path)!r} could not be written: there is no folder {str(path.parent)!r}.")
    part = path.with_name(f".part.{path.name}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if _interrupted(error):  # zipfile's close complains of what Ctrl-C left open
            raise KeyboardInterrupt from error
        if isinstance(error, Exception) and any(code in str(error) for code in _FULL):  # h5py's RuntimeErrors say so
            raise OSError(f"The disk is full, or its quota is used up: {str(path)!r} could not be written.") from error
        raise


@contextmanager
def atomic_files(path: Path) -> Iterator[Path]:
    """Lends a name in a hidden folder beside a path, whose place all that is written there takes, or nothing.

    For folders, and for files that have others beside them.
    """
    with TemporaryDirectory(prefix=f".part.{path.name}.", dir=path.parent) as hidden:
        new, old = Path(hidden, "new"), Path(hidden, "old")
        new.mkdir()
        old.mkdir()
        yield new / path.name
        names = [each.name for each in new.iterdir()]
        try:
            for name in filter(lambda name: os.path.lexists(path.with_name(name)), names):
                os.replace(path.with_name(name), old / name)
            for name in names:
                os.replace(new / name, path.with_name(name))
        except BaseException:
            for name in names:
                if not os.path.lexists(new / name):
                    os.replace(path.with_name(name), new / name)
                if os.path.lexists(old / name):
                    os.replace(old / name, path.with_name(name))
            raise


def _interrupted(error: BaseException | None) -> bool:
    """Whether an error is a consequence of Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


_FULL = tuple(
    text for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) for text in (os.strerror(code), f"errno = {code},")
)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8, whole or not at all; what a file system has in names and UTF-8 lacks is escaped."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Writes comma-separated values as `write_text` does, quoted where needed; the first row names the columns."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
