"""TensorFlow's checkpoints of format V2: an index, and files of numbers. Imports no Keras.

Source: tensor_bundle.proto; what is malformed is a `ValueError`.
"""

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from math import prod

import numpy as np

from keras_resnet.checkpoints.formats.tensorflow.crc32c import crc32c, masked
from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message
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


def tensors(table: Table, header: Message, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yields the numeric tensors, and their names.

    Args:
        table: holds a `BundleEntryProto` by name.
        header: its `BundleHeaderProto`.
        prefix: what the files' names begin with.
    """
    if header.integer(2):
        raise ValueError("it was written on a big-endian machine, whose checkpoints are not read")
    check_version(header.message(3))
    sizes, used = dict[str, int](), Counter[str]()
    for key, value in table:
        entry = Message(value)
        kind = KINDS.get(entry.integer(1))
        if key == b"" or key.startswith(b"\0") or kind is None:  # the header, a slice, no numbers
            continue
        name, shape = read_name(key), read_shape(entry.message(2), kind)
        if any(True for _ in entry.blobs(7)):
            yield name, Tensor(kind, shape, refuse_slices)
            continue
        start, size = entry.integer(4), entry.integer(5)
        file = f"{prefix}.data-{entry.integer(3):05d}-of-{header.integer(1):05d}"
        if file not in sizes:
            if not os.path.isfile(file):
                raise ValueError(f"there is no file {file!r}")
            sizes[file] = os.path.getsize(file)
        if start + size > sizes[file]:
            raise ValueError(f"{name!r} ends past the end of {file!r}")
        if size != prod(shape) * kind.stored.itemsize:
            raise ValueError(f"{name!r}, {shape} of {kind.dtype}, can't be of {size} bytes")
        used[file] += size
        if used[file] > sizes[file]:
            raise ValueError(f"its tensors are larger than {file!r}")
        yield name, Tensor(kind, shape, partial(_fetch, file, start, size, entry.integer(6), kind))


def _fetch(file: str, start: int, size: int, checksum: int, kind: Kind) -> Array:
    """The numbers in a part of a file."""
    stored = np.empty(size // kind.stored.itemsize, kind.stored)
    raw = stored.view(np.uint8)
    with open(file, "rb") as data:
        data.seek(start)
        if data.readinto(raw.data) != size:
            raise ValueError(f"{file!r} is truncated")
    if masked(crc32c(raw)) != checksum:
        raise ValueError("the checksum is wrong")
    return stored
