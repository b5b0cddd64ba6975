"""Checks image files before training: how much of each is read, and what is known of it from an earlier check."""

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from keras_resnet.data.read import Reader
from keras_resnet.utils.files import atomic_file
from keras_resnet.utils.progress import track

Level = Literal["full", "headers", "none"]

_LEVELS = ("none", "headers", "full")
_SAMPLE = 100  # files whose size is looked up where nothing is checked
_HEAD = ("reader", "level", "path", "bytes", "changed", "reason", "width", "height", "pixels")


class Look(NamedTuple):
    """What a file is found to be: why it can't be used, or ""; width and height in pixels; a hash of its pixels.

    What was not looked for is 0 or "".
    """

    reason: str = ""
    size: tuple[int, int] = (0, 0)
    pixels: str = ""


class _Seen(NamedTuple):
    """A look at a file as it was."""

    level: str
    bytes: int
    changed: int
    look: Look


class Checked:
    """What was found out about files, as long as they keep their size in bytes and time of change.

    Args:
        reader: how they are read; looks of another reader do not count.
        path: a file that `save` wrote, or the folder of a run that holds one; a damaged one counts as none.
    """

    NAME = ".checked.csv.gz"

    def __init__(self, reader: Reader, path: str | os.PathLike[str] | None = None) -> None:
        self.reader = reader
        self._kind = f"{reader.channels} {reader.value_range}"
        self._seen: dict[str, _Seen] = {}
        if path is not None:
            path = Path(path) / self.NAME if os.path.isdir(path) else Path(path)
            with suppress(OSError, EOFError, ValueError, csv.Error, zlib.error):
                self._seen = dict(self._read(path))

    def _read(self, path: Path) -> Iterator[tuple[str, _Seen]]:
        """The looks in a file."""
        with gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape", newline="") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != _HEAD:
                return
            for kind, level, name, size, changed, reason, width, height, pixels in lines:
                if kind == self._kind and level in _LEVELS:
                    yield name, _Seen(level, int(size), int(changed), Look(reason, (int(width), int(height)), pixels))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the looks at all files, atomically."""
        coding = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
        with atomic_file(Path(path)) as part, gzip.open(part, "wt", 1, **coding) as file:
            lines = csv.writer(file)
            lines.writerow(_HEAD)
            for name, (level, size, changed, look) in self._seen.items():
                lines.writerow([self._kind, level, name, size, changed, look.reason, *look.size, look.pixels])

    def look(self, files: Sequence[Path], level: Level, progress: bool = True) -> list[Look]:
        """Returns a look at each file, from an earlier one where the file is as it was.

        Args:
            files: the files.
            level: "full": each is decoded, and its pixels hashed; "headers": each is opened for its format and size;
                "none": only a hundred of them are, for their size.
            progress: whether to show progress, on standard error.
        """
        step = max(1, len(files) // _SAMPLE) if level == "none" else 1

        def one(place: int) -> Look:
            file = files[place]
            return self._look(file, level if level != "none" else "headers" if place % step == 0 else "none")

        with ThreadPoolExecutor() as pool:
            looks = pool.map(one, range(len(files)))
            return list(track(looks, "checking images", len(files), "images") if progress else looks)

    def _look(self, file: Path, level: str) -> Look:
        """A look at a file."""
        if level == "none":
            return Look()
        try:
            state = os.stat(file)
        except OSError as error:
            return Look(str(error.strerror).lower())
        name, known = os.path.abspath(file), None
        seen = self._seen.get(name)
        if seen and (seen.bytes, seen.changed) == (state.st_size, state.st_mtime_ns):
            known = seen
        if known and _LEVELS.index(known.level) >= _LEVELS.index(level):
            return known.look
        try:
            found = Look("", *self.reader.look(file)) if level == "full" else Look("", self.reader.size(file))
        except ValueError as error:
            found = Look(str(error).removeprefix(f"{file} can't be read as an image: "))
        self._seen[name] = _Seen(level, state.st_size, state.st_mtime_ns, found)
        return found
