"""What the tensors of PyTorch's files are, in any container. Imports no Keras.

Source: torch/_utils.py; what is malformed is a `ValueError`.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from keras_resnet.checkpoints.formats.tensors import RANK, Array, check_shape, restore

_GAPS = 64  # numbers between a tensor's own that are read with it, even if it has fewer


@dataclass(frozen=True)
class Kind:
    """A type of numbers.

    Attributes:
        stored: how they lie in a file.
        dtype: what they become.
    """

    stored: np.dtype[Any]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, or a part of such a row.

    Attributes:
        key: by which the whole row is found in the file.
        kind: of its numbers.
        start: where the part begins, in bytes.
        size: in bytes.
    """

    key: str
    kind: Kind
    start: int
    size: int


@dataclass(frozen=True)
class Tensor:
    """A tensor that is still in its file, and inside its storage.

    Attributes:
        key: of the storage.
        kind: of its numbers.
        shape: its dimensions.
        strides: in bytes.
        start: where in the storage its first number lies, in bytes.
        size: from there to the end of its last number, in bytes.
    """

    key: str
    kind: Kind
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    size: int

    def array(self, data: bytes) -> Array:
        """Makes the array that it is, in memory of its own, of the bytes from its first number to its last."""
        stored: Array = np.ndarray(self.shape, self.kind.stored, data, strides=self.strides)
        return restore(np.array(stored, order="C"), self.kind.dtype)


KINDS = {"torch.storage.UntypedStorage": Kind(np.dtype("u1"), np.dtype("u1"))}
for _dtype, _storage, _stored, _read in (
    ("float16", "Half", "<f2", "f2"),
    ("float32", "Float", "<f4", "f4"),
    ("float64", "Double", "<f8", "f8"),
    ("bfloat16", "BFloat16", "<u2", "f4"),  # the upper half of a float32
    ("uint8", "Byte", "u1", "u1"),
    ("int8", "Char", "i1", "i1"),
    ("int16", "Short", "<i2", "i2"),
    ("int32", "Int", "<i4", "i4"),
    ("int64", "Long", "<i8", "i8"),
    ("uint16", "", "<u2", "u2"),
    ("uint32", "", "<u4", "u4"),
    ("uint64", "", "<u8", "u8"),
    ("bool", "Bool", "u1", "?"),
):
    KINDS[f"torch.{_dtype}"] = Kind(np.dtype(_stored), np.dtype(_read))
    if _storage:
        KINDS[f"torch.{_storage}Storage"] = KINDS[f"torch.{_dtype}"]


def place(storage: Storage, kind: Kind, offset: object, shape: object, strides: object) -> Tensor:
    """Makes a tensor whose every number is in its storage, which is no larger, and not mostly gaps.

    Args:
        storage: its storage.
        kind: of its numbers, which the storage may call bytes.
        offset: of its first number, in numbers; whatever a pickle says.
        shape: its dimensions; whatever a pickle says.
        strides: in numbers; whatever a pickle says.
    """
    (offset,), shape, strides = _sizes((offset,)), _sizes(shape), _sizes(strides)
    width = kind.stored.itemsize
    if len(shape) != len(strides):
        raise ValueError(f"a tensor has {len(shape)} dimensions, and {len(strides)} strides")
    check_shape(shape, kind.dtype)
    count = prod(shape)
    steps = tuple(stride if size > 1 and count else 0 for size, stride in zip(shape, strides, strict=True))
    span = 1 + sum((size - 1) * step for size, step in zip(shape, steps, strict=True)) if count else 0
    start = offset if count else 0
    if (start + span) * width > storage.size or count * width > storage.size:
        raise ValueError(f"a tensor of the shape {shape!s:.99} is not inside its storage of {storage.size} bytes")
    if span > 2 * count + _GAPS:
        raise ValueError(
            f"a tensor of the shape {shape!s:.99} has wide gaps, {count} of {span} numbers being its own; save a clone"
        )
    steps = tuple(step * width for step in steps)
    return Tensor(storage.key, kind, shape, steps, storage.start + start * width, span * width)


def _sizes(numbers: object) -> tuple[int, ...]:
    """Ints that are not negative, and not more than there are dimensions."""
    if not isinstance(numbers, tuple) or len(numbers) > RANK:
        raise ValueError(f"a shape or the strides of a tensor are no tuple of at most {RANK} ints")
    for number in numbers:
        if type(number) is not int or number < 0:
            raise ValueError("a tensor has a size, a stride or an offset that is negative or no int")
    return numbers
