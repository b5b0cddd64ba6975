"""TensorFlow's checkpoints of format V1: one file, a message for each tensor. Imports no Keras.

Sources: saved_tensor_slice.proto, tensor.proto; what is malformed is a `ValueError`.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message, varints
from keras_resnet.checkpoints.formats.tensorflow.table import Table
from keras_resnet.checkpoints.formats.tensorflow.tensors import (
    KINDS,
    Kind,
    Tensor,
    check_version,
    read_name,
    read_shape,
    refuse_slices,
)
from keras_resnet.checkpoints.formats.tensors import Array


def tensors(table: Table, header: Message) -> Iterator[tuple[str, Tensor]]:
    """Yields the numeric tensors, and their names.

    Args:
        table: holds `SavedTensorSlices`, by keys made of the tensors' names and ranges.
        header: that which describes the others.
    """
    meta = header.message(1)
    check_version(meta.message(2))
    blocks, seen = _Blocks(table), set()
    for saved in meta.messages(1):
        name, kind = read_name(saved.blob(1)), KINDS.get(saved.integer(3))
        if name in seen:
            raise ValueError(f"{name!r} is there twice")
        seen.add(name)
        if kind is not None:
            shape = read_shape(saved.message(2), kind)
            ranges = [any(map(len, part.blobs(1))) for part in saved.messages(4)]  # of a whole tensor they are empty
            fetch = partial(_fetch, blocks, name, len(shape), kind) if ranges == [False] else refuse_slices
            yield name, Tensor(kind, shape, fetch)


class _Blocks:
    """The values of a table by key; holds the block that was read last, as the next value is often in it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._block, self._values = -1, dict[bytes, memoryview]()

    def find(self, key: bytes) -> memoryview:
        block = self._table.find(key)
        if block != self._block:
            self._block, self._values = -1, {}  # two of them may be large
            self._values = dict(self._table.entries(block))
            self._block = block
        if key not in self._values:
            raise ValueError("its numbers are missing")
        return self._values[key]


def _fetch(blocks: _Blocks, name: str, rank: int, kind: Kind) -> Array:
    """The numbers of a tensor."""
    saved = Message(blocks.find(_key(name, rank))).message(2)
    if saved.blob(1) != name.encode():
        raise ValueError(f"in its place are the numbers of {read_name(saved.blob(1))!r}")
    packed = saved.message(3).blob(kind.field)
    if kind.stored.kind in "iu":
        return np.concatenate([np.empty(0, kind.stored), *(_cast(piece, kind) for piece in varints(packed))])
    if len(packed) % kind.stored.itemsize:
        raise ValueError("its numbers are cut off")
    return np.frombuffer(packed, kind.stored).copy()


def _key(name: str, rank: int) -> bytes:
    """The key of a whole tensor, in the encoding of ordered_code.cc: its name, its rank, all ranges from 0, -1 long."""
    spelled = name.encode().replace(b"\0", b"\0\xff")
    return b"\0" + spelled + b"\0\1" + (bytes([1, rank]) if rank else b"\0") + b"\x80\x7f" * rank


def _cast(values: Array, kind: Kind) -> Array:
    """Numbers of a message, which have 64 bits, as those of a type."""
    wide = values if kind.stored.kind == "u" else values.view(np.int64)
    narrow = wide.astype(kind.stored)
    if (narrow != wide).any():
        raise ValueError(f"its numbers are too large for {kind.dtype}")
    return narrow
