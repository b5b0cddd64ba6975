"""Single files out of compressed archives, which may be damaged or hostile."""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from keras_resnet.checkpoints.download.partial import exclusive, open_partial, publish

_LARGEST = 2 << 30  # bytes of an uncompressed archive that are looked at
_MEMBERS = 1000
_BLOCK = 1 << 20


def extract(archive: Path, member: str, target_name: str) -> Path:
    """Returns the path of a file of a .tar.gz, unpacked beside it; nothing else is unpacked.

    The file gets the archive's time of change, by which it is known again: from another archive it is unpacked anew.

    Args:
        archive: a tar archive, compressed by gzip.
        member: the last part of a regular file's name in the archive.
        target_name: what the file is called beside the archive.

    Raises:
        ValueError: if the archive is damaged, has no such file or more than one, or is too large; or if
            `target_name` is no name.
        OSError: if a file can't be read or written.
    """
    if target_name in ("", "..", archive.name) or Path(target_name).name != target_name:
        raise ValueError(f"`target_name` must be a name for a file beside {archive.name!r}; received {target_name!r}.")
    target = archive.with_name(target_name)
    with _explained(archive, member):
        if not _is_unpacked(archive, member, target):
            with exclusive(target) as part:
                if not _is_unpacked(archive, member, target):  # another process may have been quicker
                    _unpack(archive, member, part)
                    publish(part, target)
    return target


def check_archive(archive: Path, member: str) -> None:
    """Reads a .tar.gz to the checksum at its end, and unpacks nothing.

    Args:
        archive: a tar archive, compressed by gzip.
        member: the last part of a regular file's name in the archive.

    Raises:
        ValueError: if the archive is damaged, has no such file or more than one, or is too large.
        OSError: if it can't be read.
    """
    with _explained(archive, member), closing(_contents(archive, member)) as contents:
        for _ in contents:
            pass


@contextmanager
def _explained(archive: Path, member: str) -> Iterator[None]:
    """Makes whatever is wrong with an archive a `ValueError` that names it."""
    try:
        yield
    except (ValueError, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RecursionError) as error:
        raise ValueError(f"{member!r} can't be unpacked from {str(archive)!r}: {error}.") from error


def _is_unpacked(archive: Path, member: str, target: Path) -> bool:
    """Whether a file came from an archive as it is now, and is as long as there."""
    if not target.is_file() or target.stat().st_mtime_ns != archive.stat().st_mtime_ns:
        return False
    with closing(_contents(archive, member)) as contents:
        return next(contents)[0] == target.stat().st_size


def _unpack(archive: Path, member: str, part: Path) -> None:
    """Writes the contents of the one file of a name."""
    changed = archive.stat().st_mtime_ns
    with open_partial(part, "wb") as file, closing(_contents(archive, member)) as contents:
        for _, source in contents:
            shutil.copyfileobj(source, file, _BLOCK)
    os.utime(part, ns=(changed, changed))


def _contents(archive: Path, member: str) -> Generator[tuple[int, IO[bytes]], None, None]:
    """Yields length and contents of the one file of a name; then reads on to the checksum at the archive's end."""
    found = False
    with _Unzipped(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as files:
        for count, info in enumerate(files):
            if count == _MEMBERS or not 0 <= info.size <= _LARGEST - info.offset_data:
                raise ValueError("it has too many files, or files that are too large")
            if PurePosixPath(info.name).name == member:
                contents = files.extractfile(info) if info.isreg() and not info.issparse() else None
                if found or contents is None:
                    raise ValueError("it has several files of this name, or one that is not a regular file")
                found = True
                yield info.size, contents
        while stream.read(_BLOCK):
            if stream.tell() > _LARGEST:
                raise ValueError("it is too large")
    if not found:
        raise ValueError("it has no file of this name")


class _Unzipped(gzip.GzipFile):
    """An archive's bytes, never many at once, however long the names in it claim to be."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _BLOCK:
            raise ValueError("a name in it is too long")
        return super().read(size)
