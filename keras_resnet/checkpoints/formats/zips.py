"""Zip files whose members lie there as they are, or deflated where a format has it.

Source: PKWARE's APPNOTE.TXT, with its extension for more than 4 GB; what is malformed is a `ValueError`.
"""

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

_DIRECTORY = 1 << 23  # bytes; that of a thousand tensors has 100 000
_CHUNK = 1 << 20
_DEFLATED_CHUNK = 1 << 16
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8  # methods
_UNKNOWN = 0xFFFFFFFF  # a number that stands in the extension instead

_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_HEADER = struct.Struct("<4s5H3I2H")
_LARGE_END = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_FIELD = struct.Struct("<2H")  # of the extension: what it is, and the size of what follows


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

    def record(self, file: BinaryIO, *, deflated: bool = False) -> Record:
        """Finds the bytes that it has, which are inside the file, and may be deflated only where that is asked for."""
        packed, size = self.sizes
        if self.flags & _ENCRYPTED:
            raise ValueError(f"{self.name!r:.99} is encrypted")
        if deflated and self.method == _DEFLATED:
            return Record(self._start(file), packed)
        if self.method != _STORED or packed != size:
            how = "otherwise than by deflate" if deflated else "which neither Keras nor PyTorch does"
            raise ValueError(f"{self.name!r:.99} is compressed, {how}")
        return Record(self._start(file), size, self.crc)

    def read(self, file: BinaryIO, record: Record, most: int | None = None) -> bytes:
        """Reads what it holds: the first bytes, `most` of them, or all, whose checksum must be right.

        No more is inflated than the directory says that there is.
        """
        size = self.sizes[1] if most is None else min(most, self.sizes[1])
        more = most is None  # than there should be: one byte, to see whether it is there
        data = record.read(file, 0, size) if self.method == _STORED else _inflated(file, record, size + more)
        if most is None and (len(data) != size or zlib.crc32(data) != self.crc):
            raise ValueError(f"the size or the checksum of {self.name!r:.99} is wrong")
        return data

    def _start(self, file: BinaryIO) -> int:
        """Finds where its bytes begin."""
        size = file.seek(0, os.SEEK_END)
        if self.header > size:
            raise ValueError(f"it is truncated: {self.name!r:.99} begins past its end")
        signature, *_, letters, more = _HEADER.unpack(Record(self.header, _HEADER.size).read(file, 0, _HEADER.size))
        if signature != b"PK\3\4" or file.read(letters) != self.name:
            raise ValueError(f"{self.name!r:.99} is not where it should be")
        start: int = self.header + _HEADER.size + letters + more
        if start + self.sizes[0] > size:
            raise ValueError(f"{self.name!r:.99} ends past the end of the file")
        return start


def read_directory(file: BinaryIO) -> dict[str, Member]:
    """Reads what is in a zip, by name; one that ends otherwise than with a directory is none."""
    end = file.seek(0, os.SEEK_END) - _END.size
    if end < 0:
        raise ValueError("it is too short for a zip: was its download cut off?")
    signature, *_, count, size, start, comment = _END.unpack(Record(end, _END.size).read(file, 0, _END.size))
    if signature != b"PK\5\6" or comment:
        raise ValueError("it does not end as a zip does: was its download cut off?")
    if count == 0xFFFF or _UNKNOWN in (size, start):
        count, size, start = _large_end(file, end) or (count, size, start)
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


def find_records(
    file: BinaryIO, members: dict[str, Member], names: Iterable[str], *, deflated: bool = False
) -> dict[str, Record]:
    """Finds the bytes of some members by name; each has some of its own, or a small file could hold any number."""
    records: dict[str, Record] = {}
    for name in names:
        if name not in members:
            raise ValueError(f"it has no member {name!r:.99}")
        records[name] = members[name].record(file, deflated=deflated)
    if sum(record.size for record in records.values()) > file.seek(0, os.SEEK_END):
        raise ValueError("its members overlap")
    return records


def _large_end(file: BinaryIO, end: int) -> tuple[int, int, int] | None:
    """Reads how many members a zip of more than 4 GB has, and size and start of its directory; None: it is none."""
    at = end - _LOCATOR.size
    if at < _LARGE_END.size:
        return None
    signature, _, start, _ = _LOCATOR.unpack(Record(at, _LOCATOR.size).read(file, 0, _LOCATOR.size))
    if signature != b"PK\6\7" or start > at - _LARGE_END.size:
        return None
    signature, *_, count, size, start = _LARGE_END.unpack(Record(start, _LARGE_END.size).read(file, 0, _LARGE_END.size))
    return (count, size, start) if signature == b"PK\6\6" else None


def _inflated(file: BinaryIO, record: Record, size: int) -> bytes:
    """Inflates the first bytes of a record, or all if it has no more than these."""
    found, inflater, at = bytearray(), zlib.decompressobj(-zlib.MAX_WBITS), 0
    while len(found) < size and not inflater.eof:
        packed = record.read(file, at, min(_DEFLATED_CHUNK, record.size - at))
        if not packed:
            raise ValueError("what is deflated is cut off")
        at += len(packed)
        try:
            found += inflater.decompress(packed, size - len(found))
        except zlib.error as error:
            raise ValueError(f"what is deflated is damaged ({error})") from error
    return bytes(found)


def _member(data: bytes, at: int) -> tuple[str, Member, int]:
    """Reads the member that is described at a position; returns it and where that ends."""
    end = at + _ENTRY.size
    if end > len(data):
        raise ValueError("the directory of the zip is cut off")
    entry = _ENTRY.unpack(data[at:end])
    signature, _, _, flags, method, _, _, crc, packed, size, letters, more, comment, _, _, _, header = entry
    name, extension = data[end : end + letters], data[end + letters : end + letters + more]
    end += letters + more + comment
    if signature != b"PK\1\2" or end > len(data):
        raise ValueError("the directory of the zip is damaged")
    size, packed, header = _large(extension, (size, packed, header))
    try:
        return name.decode(), Member(name, flags, method, crc, (packed, size), header), end
    except UnicodeDecodeError as error:
        raise ValueError(f"a name in the zip is no text: {name!r:.99}") from error


def _large(extension: bytes, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Takes those of a member's numbers from its extension that the directory has no place for."""
    at = 0
    while at + _FIELD.size <= len(extension):
        kind, size = _FIELD.unpack_from(extension, at)
        at += _FIELD.size
        if kind == 1:
            body = extension[at : at + size]
            held = iter(struct.unpack_from(f"<{len(body) // 8}Q", body))
            return tuple(next(held, number) if number == _UNKNOWN else number for number in numbers)
        at += size
    return numbers
