"""The wire format of Protocol Buffers, as much of it as TensorFlow's files use.

Described at protobuf.dev/programming-guides/encoding; here too what is malformed is a `ValueError`.
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any, TypeVar

import numpy as np

_PIECE = 1 << 16

Value = TypeVar("Value", int, memoryview)


class Message:
    """One message, looked through for every field that is asked for: nothing but its bytes is held."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def integer(self, field: int) -> int:
        """Returns an unsigned number (of a negative one its two's complement); 0 where it is missing."""
        return _last(self._values(field, int), 0)

    def blobs(self, field: int) -> Iterator[memoryview]:
        """Yields the bytes of a field, as often as it is there."""
        return self._values(field, memoryview)

    def blob(self, field: int) -> memoryview:
        """Returns the bytes of a field; none where it is missing."""
        return _last(self.blobs(field), memoryview(b""))

    def messages(self, field: int) -> Iterator["Message"]:
        """Yields the messages in a field."""
        return map(Message, self.blobs(field))

    def message(self, field: int) -> "Message":
        """Returns the message in a field; an empty one where it is missing."""
        return Message(self.blob(field))

    def _values(self, field: int, kind: type[Value]) -> Iterator[Value]:
        """Yields what a field holds, as often as it is there."""
        for number, value in _fields(self._data):
            if number == field:
                if not isinstance(value, kind):
                    raise ValueError(f"field {field} of a message is {'a' if kind is memoryview else 'no'} number")
                yield value


def _last(values: Iterator[Value], default: Value) -> Value:
    """Returns the last of some values, which is the one that counts, and holds no other."""
    return reduce(lambda _, value: value, values, default)


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Reads an unsigned number of up to 64 bits; returns it and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + place + 1
    raise ValueError("a number is cut off, or has more than 64 bits")


def varints(data: memoryview) -> Iterator[np.ndarray[Any, np.dtype[np.uint64]]]:
    """Reads numbers that lie one after the other, and yields them in pieces."""
    left = np.frombuffer(data, np.uint8)
    while left.size:
        piece = left[:_PIECE]
        ends = np.flatnonzero(piece < 0x80)
        sizes = np.diff(ends, prepend=-1)
        if not ends.size or sizes.max() > 10 or piece[ends[sizes == 10]].max(initial=0) > 1:
            raise ValueError("a number is cut off, or has more than 64 bits")
        values = np.zeros(ends.size, np.uint64)
        for place in range(sizes.max()):  # from the last byte to the first
            there = sizes > place
            values[there] = values[there] << 7 | piece[ends[there] - place] & 0x7F
        yield values
        left = left[ends[-1] + 1 :]


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yields the fields of a message: number and value."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not number or kind not in (0, 1, 2, 5):
            raise ValueError(f"a message has a field {number} of kind {kind}")
        if kind == 0:
            value, at = varint(data, at)
            yield number, value
            continue
        size, at = varint(data, at) if kind == 2 else (8 if kind == 1 else 4, at)
        if size > len(data) - at:
            raise ValueError("a field ends past the end of its message")
        blob = data[at : at + size]
        yield number, blob if kind == 2 else int.from_bytes(blob, "little")
        at += size
