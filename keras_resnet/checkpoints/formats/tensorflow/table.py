"""Immutable tables of sorted keys, block by block. Imports no Keras.

Described in LevelDB's table_format.md; what is malformed is a `ValueError`, which does not name the file.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator

from keras_resnet.checkpoints.formats.tensorflow.crc32c import crc32c, masked
from keras_resnet.checkpoints.formats.tensorflow.protobuf import varint
from keras_resnet.checkpoints.formats.tensorflow.snappy import decompress

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER = 48
_TRAILER = 5  # of a block: its type and its checksum
_RESTART = 16  # after so many keys TensorFlow writes one that shares nothing with that before it

Entry = tuple[bytes, memoryview]


def is_table(path: str) -> bool:
    """Tells by its end whether a file is a table; what is no file, or not there, is none."""
    if not os.path.isfile(path) or os.path.getsize(path) < _FOOTER:
        return False
    return _read(path, os.path.getsize(path) - len(_MAGIC), len(_MAGIC)) == _MAGIC


class Table:
    """A table in a file, of which only the index is held; no file is kept open.

    Args:
        path: a file for which `is_table` holds.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        end = os.path.getsize(path) - _FOOTER
        footer = memoryview(_read(path, end, _FOOTER))
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
        """The checked contents of a block that must end before a position."""
        if start + size + _TRAILER > end:
            raise ValueError("a block ends past the end of what can hold it")
        data = memoryview(_read(self.path, start, size + _TRAILER))
        if masked(crc32c(data[: size + 1])) != int.from_bytes(data[size + 1 :], "little"):
            raise ValueError(f"the checksum of the block at {start} is wrong")
        if data[size] > 1:
            raise ValueError(f"the block at {start} is compressed in an unknown way, {data[size]}")
        return memoryview(decompress(data[:size])) if data[size] else data[:size]


def _read(path: str, start: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read(size)
    if len(data) != size:
        raise ValueError("it is truncated")
    return data


def _handle(data: memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Where a block lies, and its size; and where that ends."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return (start, size), at


def _ordered(block: memoryview, after: bytes | None = None, last: bytes | None = None) -> Iterator[Entry]:
    """The entries of a block, whose keys must ascend, from after one key up to another."""
    for key, value in _entries(block):
        if (after is not None and key <= after) or (last is not None and key > last):
            raise ValueError(f"its keys are not in order: {key!r}")
        yield key, value
        after = key


def _entries(block: memoryview) -> Iterator[Entry]:
    """The entries of a block: each key follows from that before."""
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
