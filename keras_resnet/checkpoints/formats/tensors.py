"""How tensors lie in files: which shapes can be, what numbers become, and a tensor in one piece. Imports no Keras."""

import os
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RANK = 32  # what every NumPy allows
BFLOAT16 = np.dtype("V2")  # NumPy has no such type: two bytes, the upper half of a float32


def check_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raises unless an array could have this shape."""
    if len(shape) > RANK or prod(max(size, 1) for size in shape) * dtype.itemsize >= 1 << 63:
        raise ValueError(f"a tensor's shape is absurd: {shape!s:.99}")


def restore(stored: Array, dtype: np.dtype[Any]) -> Array:
    """Returns numbers as what they are read as, in the machine's order of bytes; copies them only if they change.

    Args:
        stored: as they lie in a file; what NumPy lacks, and bools, as uints. Bfloat16 is all that is narrower there.
        dtype: what they become.

    Raises:
        ValueError: if a bool is neither true nor false.
    """
    if dtype.kind == "b" and (largest := stored.view("u1").max(initial=0)) > 1:
        raise ValueError(f"{largest} is neither true nor false")
    if stored.itemsize < dtype.itemsize:
        stored = stored.astype("u4")
        stored <<= 16
    return stored.astype(stored.dtype.newbyteorder("="), copy=False).view(dtype)


@dataclass(frozen=True)
class Stored:
    """A tensor that is still in its file.

    Attributes:
        stored: how its numbers lie there.
        shape: its dimensions.
        start: where it begins, in bytes.

    Raises:
        ValueError: if no array can have this shape.
    """

    stored: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    def __post_init__(self) -> None:
        check_shape(self.shape, self.dtype)

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """How many bytes it has in the file."""
        return self.count * self.stored.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it is read as."""
        return np.dtype("f4") if self.stored == BFLOAT16 else self.stored.newbyteorder("=")

    def read(self, path: str | os.PathLike[str]) -> Array:
        """Reads it from its file as a new array.

        Raises:
            ValueError: if the file ends too early, or a bool is neither true nor false.
        """
        stored = np.fromfile(path, self.stored, self.count, offset=self.start)
        if len(stored) != self.count:
            raise ValueError("it is truncated")
        return restore(stored.view("<u2") if self.stored == BFLOAT16 else stored, self.dtype).reshape(self.shape)
