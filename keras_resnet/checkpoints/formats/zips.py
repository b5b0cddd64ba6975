"""Zip files whose members lie there as they are, none of them compressed.

Source: PKWARE's APPNOTE.TXT, without its extensions for more than 4 GB; what is malformed is a `ValueError`.
"""

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

_DIRECTORY = 1 << 23  # bytes; that of a thousand tensors has 100 000
_CHUNK = 1 << 20
_ENCRYPTED = 1

_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_HEADER = struct.Struct("<4s5H3I2H")


@dataclass(frozen=True)
class Record:
    """Bytes of a file.

    Attributes:
        start: where they begin.
        size: how many.
        crc: their checksum, if they have one.
    """

    start: int
    size: int
    crc: int | None = None

    def check(self, file: BinaryIO) -> None:
        """Reads all of them, some at a time, and compares the checksum, if there is one."""
        if self.crc is None:
            return
        crc = 0
        for start in range(0, self.size, _CHUNK):
            crc = zlib.crc32(self.read(file, start, min(_CHUNK, self.size - start)), crc)
        if crc != self.crc:
            raise ValueError(f"the checksum of the {self.size} bytes at {self.start} is wrong")

    def read(self, file: BinaryIO, start: int, size: int) -> bytes:
        """Reads some of them, unchecked."""
        file.seek(self.start + start)
        data = file.read(size)
        if len(data) != size:
            raise ValueError("it is truncated")
        return data


@dataclass(frozen=True)
class Member:
    """A member, as the directory describes it.

    Attributes:
        name: as it is there.
        flags: encryption, among others.
        method: how it is compressed; 0 is not at all.
        crc: the checksum of what it holds.
        sizes: compressed, and not.
        header: where it begins.
    """

    name: bytes
    flags: int
    method: int
    crc: int
    sizes: tuple[int, int]
    header: int

    def record(self, file: BinaryIO) -> Record:
        """Finds what it holds, which is inside the file."""
        packed, size = self.sizes
        if self.method or packed != size:
            raise ValueError(f"{self.name!r:.99} is compressed, which neither Keras nor PyTorch does")
        if self.flags & _ENCRYPTED:
            raise ValueError(f"{self.name!r:.99} is encrypted")
        signature, *_, letters, more = _HEADER.unpack(Record(self.header, _HEADER.size).read(file, 0, _HEADER.size))
        if signature != b"PK\3\4" or file.read(letters) != self.name:
            raise ValueError(f"{self.name!r:.99} is not where it should be")
        start = self.header + _HEADER.size + letters + more
        if start + size > file.seek(0, os.SEEK_END):
            raise ValueError(f"{self.name!r:.99} ends past the end of the file")
        return Record(start, size, self.crc)


def read_directory(file: BinaryIO) -> dict[str, Member]:
    """Reads what is in a zip, by name; one that ends otherwise than with a directory is none."""
    end = file.seek(0, os.SEEK_END) - _END.size
    if end < 0:
        raise ValueError("it is too short for a zip: was its download cut off?")
    signature, *_, count, size, start, comment = _END.unpack(Record(end, _END.size).read(file, 0, _END.size))
    if signature != b"PK\5\6" or comment:
        raise ValueError("it does not end as a zip does: was its download cut off?")
    if size > _DIRECTORY or start + size > end:
        raise ValueError(f"the directory of the zip, {size} bytes at {start}, is too large, or not inside the file")
    members: dict[str, Member] = {}
    data, at = Record(start, size).read(file, 0, size), 0
    for _ in range(count):
        name, member, at = _member(data, at)
        if name in members:
            raise ValueError(f"the zip has two members of the name {name!r:.99}")
        members[name] = member
    if at != size:
        raise ValueError("the directory of the zip is longer than its members")
    return members


def find_records(file: BinaryIO, members: dict[str, Member], names: Iterable[str]) -> dict[str, Record]:
    """Finds what some members hold, by name; each has bytes of its own, or a small file could hold any number."""
    records: dict[str, Record] = {}
    for name in names:
        if name not in members:
            raise ValueError(f"it has no member {name!r:.99}")
        records[name] = members[name].record(file)
    if sum(record.size for record in records.values()) > file.seek(0, os.SEEK_END):
        raise ValueError("its members overlap")
    return records


def _member(data: bytes, at: int) -> tuple[str, Member, int]:
    """Reads the member that is described at a position; returns it and where that ends."""
    end = at + _ENTRY.size
    if end > len(data):
        raise ValueError("the directory of the zip is cut off")
    entry = _ENTRY.unpack(data[at:end])
    signature, _, _, flags, method, _, _, crc, packed, size, letters, more, comment, _, _, _, header = entry
    name = data[end : end + letters]
    end += letters + more + comment
    if signature != b"PK\1\2" or end > len(data):
        raise ValueError("the directory of the zip is damaged")
    try:
        return name.decode(), Member(name, flags, method, crc, (packed, size), header), end
    except UnicodeDecodeError as error:
        raise ValueError(f"a name in the zip is no text: {name!r:.99}") from error
