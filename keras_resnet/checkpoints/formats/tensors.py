"""A tensor in a file: number type, shape, offset; reads it as an array."""

import os
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RANK = 32  # what every NumPy allows


@dataclass(frozen=True)
class NumberType:
    """A type of numbers.

    Attributes:
        stored: how they lie in a file; what NumPy lacks, and bools, as uints. Bfloat16 is all that is narrower there.
        dtype: what they are read as.
    """

    stored: np.dtype[Any]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, stored: str, dtype: str = "") -> "NumberType":
        """Returns the type that is stored as one of NumPy's, and read as the same or as another one."""
        return cls(np.dtype(stored), np.dtype(dtype or stored).newbyteorder("="))

    def restore(self, stored: Array) -> Array:
        """Returns stored numbers as what they are read as, in memory of their own.

        Raises:
            ValueError: if a bool is neither true nor false.
        """
        numbers: Array = np.array(stored, self.stored.newbyteorder("="), order="C")
        if self.dtype.kind == "b" and (largest := numbers.max(initial=0)) > 1:
            raise ValueError(f"{largest} is neither true nor false")
        if self.stored.itemsize < self.dtype.itemsize:
            numbers = numbers.astype("u4")
            numbers <<= 16
        return numbers.view(self.dtype)


BFLOAT16 = NumberType.of("<u2", "f4")  # NumPy has no such type: the upper half of a float32
BOOL = NumberType.of("u1", "?")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that is still in its file.

    Attributes:
        number_type: of its numbers.
        shape: its dimensions.
        start: where its first number lies, in bytes.
        strides: in bytes; None: its numbers lie one behind the other.
        part: of the file, by the name that it has there, from which `start` counts.

    Raises:
        ValueError: if no array can have this shape.
    """

    number_type: NumberType
    shape: tuple[int, ...]
    start: int = 0
    strides: tuple[int, ...] | None = None
    part: str = ""

    def __post_init__(self) -> None:
        if len(self.shape) > RANK or prod(max(size, 1) for size in self.shape) * self.dtype.itemsize >= 1 << 63:
            raise ValueError(f"a tensor's shape is absurd: {self.shape!s:.99}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Returns what its numbers are read as."""
        return self.number_type.dtype

    @property
    def size(self) -> int:
        """Counts the bytes from its first number to the end of its last."""
        count, width = prod(self.shape), self.number_type.stored.itemsize
        if self.strides is None or not count:
            return count * width
        return width + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    def array(self, data: bytes | memoryview) -> Array:
        """Returns the array that it is, in memory of its own.

        Args:
            data: all from its first number to the end of its last.

        Raises:
            ValueError: if that is not as long as it should be, or a bool is neither true nor false.
        """
        if len(data) != self.size:
            count = len(data) // self.number_type.stored.itemsize
            raise ValueError(f"{self.shape} are not the dimensions of {count} numbers")
        return self.number_type.restore(np.ndarray(self.shape, self.number_type.stored, data, strides=self.strides))

    def read(self, path: str | os.PathLike[str]) -> Array:
        """Reads it from its file as a new array.

        Raises:
            ValueError: if the file ends too early, or a bool is neither true nor false.
        """
        return self.array(read_bytes(path, self.start, self.size))


def read_bytes(path: str | os.PathLike[str], start: int, size: int) -> bytes:
    """Reads a part of a file, and raises a ValueError if the file ends before it does."""
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read(size)
    if len(data) != size:
        raise ValueError("it is truncated")
    return data
