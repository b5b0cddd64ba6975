"""What the tensors of TensorFlow's checkpoints are, in either format. Imports no Keras.

Sources: types.proto, tensor_shape.proto, versions.proto; what is malformed is a `ValueError`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message
from keras_resnet.checkpoints.formats.tensors import RANK, Array, check_shape, restore


@dataclass(frozen=True)
class Kind:
    """A type of numbers.

    Attributes:
        stored: how they lie in a file.
        dtype: what they become.
        field: which field of a `TensorProto` is theirs.
    """

    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    field: int


KINDS = {
    number: Kind(np.dtype(stored).newbyteorder("<"), np.dtype(dtype), field)
    for number, stored, dtype, field in (
        (1, "f4", "f4", 5),
        (2, "f8", "f8", 6),
        (3, "i4", "i4", 7),
        (4, "u1", "u1", 7),
        (5, "i2", "i2", 7),
        (6, "i1", "i1", 7),
        (8, "c8", "c8", 9),
        (9, "i8", "i8", 10),
        (10, "u1", "?", 11),
        (14, "u2", "f4", 13),  # bfloat16, the upper half of a float32
        (17, "u2", "u2", 7),
        (18, "c16", "c16", 12),
        (19, "u2", "f2", 13),
        (22, "u4", "u4", 16),
        (23, "u8", "u8", 17),
    )
}


@dataclass(frozen=True)
class Tensor:
    """A tensor that is still in its file.

    Attributes:
        kind: of its numbers.
        shape: its dimensions.
        fetch: reads the numbers as they are stored, into memory of their own.
    """

    kind: Kind
    shape: tuple[int, ...]
    fetch: Callable[[], Array]

    def read(self) -> Array:
        """Reads it as the array that it is."""
        stored = self.fetch()
        if stored.size != prod(self.shape):
            raise ValueError(f"{self.shape} are not the dimensions of {stored.size} numbers")
        return restore(stored, self.kind.dtype).reshape(self.shape)


def read_shape(message: Message, kind: Kind) -> tuple[int, ...]:
    """Reads a `TensorShapeProto`; any shape that it returns is one that an array could have."""
    if message.integer(3):
        raise ValueError("a tensor has no shape")
    shape = tuple(dim.integer(1) for dim in islice(message.messages(2), RANK + 1))
    check_shape(shape, kind.dtype)
    return shape


def read_name(name: bytes | memoryview) -> str:
    """Reads a tensor's name."""
    try:
        return bytes(name).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a name is no text: {bytes(name)!r:.99}") from error


def check_version(versions: Message) -> None:
    """Refuses what later readers alone can read (`VersionDef`)."""
    if versions.integer(2) > 1:
        raise ValueError(f"it needs a reader of version {versions.integer(2)}; this one is of version 1")


def refuse_slices() -> Array:
    """Fetches what is there in parts: it does not."""
    raise ValueError("it was saved in slices (a partitioned variable), and these are not put together")
