"""LevelDB's tables: files of sorted keys and values in blocks, with CRC-32C checksums, plain or compressed by Snappy.

Described in LevelDB's table_format.md and Snappy's format_description.txt; what is malformed is a `ValueError`, which
does not name the file.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator

from keras_resnet.checkpoints.formats.tensorflow.protobuf import varint
from keras_resnet.checkpoints.formats.tensors import read_bytes
from keras_resnet.utils.errors import import_optional

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5  # of a block: its type and its checksum
_RESTART = 16  # after so many keys TensorFlow writes one that shares nothing with that before it

Entry = tuple[bytes, memoryview]


def is_table(path: str) -> bool:
    """Tells by its end whether a file is a table; what is no file, or not there, is none."""
    if not os.path.isfile(path) or os.path.getsize(path) < _FOOTER:
        return False
    return read_bytes(path, os.path.getsize(path) - len(_MAGIC), len(_MAGIC)) == _MAGIC


class Table:
    """A table in a file, of which only the index is held; no file is kept open.

    Args:
        path: a file for which `is_table` holds.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        end = os.path.getsize(path) - _FOOTER
        footer = memoryview(read_bytes(path, end, _FOOTER))
        _, at = _handle(footer, 0)  # what the metaindex points to, filters, TensorFlow doesn't write
        (index, size), _ = _handle(footer, at)
        self._last: list[bytes] = []  # of each block a key that none of its own comes after, but all of the next
        self._handles: list[tuple[int, int]] = []
        at = 0
        for key, value in _ordered(self._block(index, size, end)):
            (start, size), _ = _handle(value, 0)
            if start < at:
                raise ValueError("its blocks overlap")
            at = start + size + _TRAILER
            if at > index:
                raise ValueError("a block ends past the last one's end")
            self._last.append(key)
            self._handles.append((start, size))

    def __iter__(self) -> Iterator[Entry]:
        for block in range(len(self._handles)):
            yield from self.entries(block)

    def find(self, key: bytes) -> int:
        """Returns the block in which a key must be, if it is anywhere."""
        return bisect_left(self._last, key)

    def entries(self, block: int) -> Iterator[Entry]:
        """Yields the keys and values of a block, of which there is none past the last."""
        if block < len(self._handles):
            start, size = self._handles[block]
            last = self._last[block - 1] if block else None
            yield from _ordered(self._block(start, size, start + size + _TRAILER), last, self._last[block])

    def _block(self, start: int, size: int, end: int) -> memoryview:
        """Reads the checked contents of a block, which must end before a position."""
        if start + size + _TRAILER > end:
            raise ValueError("a block ends past the end of what can hold it")
        data = memoryview(read_bytes(self.path, start, size + _TRAILER))
        if masked_crc32c(bytes(data[: size + 1])) != int.from_bytes(data[size + 1 :], "little"):
            raise ValueError(f"the checksum of the block at {start} is wrong")
        if data[size] > 1:
            raise ValueError(f"the block at {start} is compressed in an unknown way, {data[size]}")
        return memoryview(decompress(data[:size])) if data[size] else data[:size]


def masked_crc32c(data: bytes) -> int:
    """Computes the checksum of bytes as it is stored beside them; google-crc32c must be installed."""
    crc = int(import_optional("google_crc32c", "checkpoints").value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def decompress(data: memoryview) -> bytearray:
    """Decompresses data in Snappy's raw format."""
    size, at = varint(data, 0)
    if 3 * size > 64 * (len(data) - at):  # no 3 bytes become more than 64, whatever they say
        raise ValueError(f"{len(data)} compressed bytes can't hold {size}")
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        length = (tag >> 2) + 1
        if tag & 3 == 0:
            if length > 60:
                length, at = _little(data, at, length - 60)
                length += 1
            if length > len(data) - at:
                raise ValueError("compressed data are cut off")
            out += data[at : at + length]
            at += length
        else:
            if tag & 3 == 1:
                length = (tag >> 2 & 7) + 4
                offset, at = _little(data, at, 1)
                offset |= tag >> 5 << 8
            else:
                offset, at = _little(data, at, 2 if tag & 3 == 2 else 4)
            if not 0 < offset <= len(out):
                raise ValueError("compressed data repeat what is not there")
            start = len(out) - offset
            out += (out[start : start + length] * (length // offset + 1))[:length]
    if len(out) != size:
        raise ValueError(f"compressed data are not the {size} bytes that they should be")
    return out


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Reads where a block lies, and its size; returns them and where they end."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return (start, size), at


def _ordered(block: memoryview, after: bytes | None = None, last: bytes | None = None) -> Iterator[Entry]:
    """Yields the entries of a block, whose keys must ascend, from after one key up to another."""
    for key, value in _entries(block):
        if (after is not None and key <= after) or (last is not None and key > last):
            raise ValueError(f"its keys are not in order: {key!r}")
        yield key, value
        after = key


def _entries(block: memoryview) -> Iterator[Entry]:
    """Yields the entries of a block: each key follows from that before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block's list of restarts is longer than the block")
    at, key, spelled = 0, b"", 0
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or own + size > end - at:
            raise ValueError("an entry of a block ends past the block's end")
        key = key[:shared] + bytes(block[at : at + own])
        spelled += len(key)
        if spelled > _RESTART * len(block):  # else a few bytes could stand for keys without end
            raise ValueError("the keys of a block share more than keys do")
        at += own
        yield key, block[at : at + size]
        at += size


def _little(data: memoryview, at: int, size: int) -> tuple[int, int]:
    """Reads a number of a fixed size; returns it and where it ends."""
    if size > len(data) - at:
        raise ValueError("compressed data are cut off")
    return int.from_bytes(data[at : at + size], "little"), at + size
