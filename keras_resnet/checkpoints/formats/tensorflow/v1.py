"""TensorFlow's checkpoints of format V1: one file, a message for each tensor.

Sources: saved_tensor_slice.proto, tensor.proto; what is malformed is a `ValueError`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message, varints
from keras_resnet.checkpoints.formats.tensorflow.table import Table
from keras_resnet.checkpoints.formats.tensorflow.tensors import (
    NUMBER_TYPES,
    check_version,
    read_name,
    read_shape,
    refuse_slices,
)
from keras_resnet.checkpoints.formats.tensors import Array, NumberType, TensorSpec

# The field of a `TensorProto` that holds the numbers of each type.
_FIELDS = {1: 5, 2: 6, 3: 7, 4: 7, 5: 7, 6: 7, 8: 9, 9: 10, 10: 11, 14: 13, 17: 7, 18: 12, 19: 13, 22: 16, 23: 17}


def tensors(table: Table, header: Message) -> Iterator[tuple[str, TensorSpec, Callable[[], bytes]]]:
    """Yields the numeric tensors: the name of each, what it is, and what reads its numbers.

    Args:
        table: holds `SavedTensorSlices`, by keys made of the tensors' names and ranges.
        header: that which describes the others.
    """
    meta = header.message(1)
    check_version(meta.message(2))
    blocks = _Blocks(table)
    seen: set[str] = set()
    for saved in meta.messages(1):
        name, code = read_name(saved.blob(1)), saved.integer(3)
        if name in seen:
            raise ValueError(f"{name!r} is there twice")
        seen.add(name)
        if code in NUMBER_TYPES:
            tensor = TensorSpec(NUMBER_TYPES[code], read_shape(saved.message(2)))
            ranges = [any(map(len, part.blobs(1))) for part in saved.messages(4)]  # of a whole tensor they are empty
            is_whole = ranges == [False]
            yield name, tensor, partial(_fetch, blocks, name, tensor, _FIELDS[code]) if is_whole else refuse_slices


class _Blocks:
    """The values of a table by key; holds the block that was read last, as the next value is often in it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._block = -1
        self._values: dict[bytes, memoryview] = {}

    def find(self, key: bytes) -> memoryview:
        """Returns the value of a key."""
        block = self._table.find(key)
        if block != self._block:
            self._block, self._values = -1, {}  # two of them may be large
            self._values = dict(self._table.entries(block))
            self._block = block
        if key not in self._values:
            raise ValueError("its numbers are missing")
        return self._values[key]


def _fetch(blocks: _Blocks, name: str, tensor: TensorSpec, field: int) -> bytes:
    """Reads the numbers of a tensor, as they are stored."""
    saved = Message(blocks.find(_key(name, len(tensor.shape)))).message(2)
    if saved.blob(1) != name.encode():
        raise ValueError(f"in its place are the numbers of {read_name(saved.blob(1))!r}")
    packed, stored = saved.message(3).blob(field), tensor.number_type.stored
    if stored.kind in "iu":
        return b"".join(_cast(each, tensor.number_type).tobytes() for each in varints(packed))
    if len(packed) % stored.itemsize:
        raise ValueError("its numbers are cut off")
    return bytes(packed)


def _key(name: str, rank: int) -> bytes:
    """Makes a whole tensor's key as ordered_code.cc encodes it: its name, its rank, all ranges from 0, -1 long."""
    spelled = name.encode().replace(b"\0", b"\0\xff")
    return b"\0" + spelled + b"\0\1" + (bytes([1, rank]) if rank else b"\0") + b"\x80\x7f" * rank


def _cast(values: Array, number_type: NumberType) -> Array:
    """Makes numbers of a message, which have 64 bits, those of a type."""
    wide = values if number_type.stored.kind == "u" else values.view(np.int64)
    narrow = wide.astype(number_type.stored)
    if (narrow != wide).any():
        raise ValueError(f"its numbers are too large for {number_type.dtype}")
    return narrow
