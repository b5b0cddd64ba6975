"""A tensor that lies in a file in one piece, and how it is read. Imports no Keras."""

import os
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_RANK = 32  # what every NumPy allows
BFLOAT16 = np.dtype("V2")  # NumPy has no such type: two bytes, the upper half of a float32


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
        if len(self.shape) > _RANK or prod(max(size, 1) for size in self.shape) * 8 >= 1 << 63:
            raise ValueError(f"a tensor's shape is absurd: {self.shape}")

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
        if self.stored == BFLOAT16:
            stored = (stored.view("<u2").astype("u4") << 16).view("f4")
        if self.stored.kind == "b" and stored.view("u1").max(initial=0) > 1:
            raise ValueError(f"{stored.view('u1').max()} is neither true nor false")
        return stored.astype(self.dtype, copy=False).reshape(self.shape)
