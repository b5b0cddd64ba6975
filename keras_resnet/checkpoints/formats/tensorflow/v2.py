"""TensorFlow's checkpoints of format V2: an index, and files of numbers.

Source: tensor_bundle.proto; what is malformed is a `ValueError`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message, varint
from keras_resnet.checkpoints.formats.tensorflow.table import Table, masked_crc32c
from keras_resnet.checkpoints.formats.tensorflow.tensors import (
    NUMBER_TYPES,
    check_version,
    read_name,
    read_shape,
    refuse_slices,
)
from keras_resnet.checkpoints.formats.tensors import TensorSpec, read_bytes

_STRING = 7  # the type of text
_CHECKSUM = 4  # bytes


def tensors(table: Table, header: Message, prefix: str) -> Iterator[tuple[str, TensorSpec, Callable[[], bytes]]]:
    """Yields the numeric tensors: the name of each, what it is, and what reads its numbers.

    Args:
        table: holds a `BundleEntryProto` by name.
        header: its `BundleHeaderProto`.
        prefix: what the files' names begin with.
    """
    if header.integer(2):
        raise ValueError("it was written on a big-endian machine, whose checkpoints are not read")
    check_version(header.message(3))
    sizes: dict[str, int] = {}
    used: Counter[str] = Counter()
    for key, value in table:
        entry = Message(value)
        number_type = NUMBER_TYPES.get(entry.integer(1))
        if key == b"" or key.startswith(b"\0") or number_type is None:  # the header, a slice, no numbers
            continue
        name, shape = read_name(key), read_shape(entry.message(2))
        start, size = entry.integer(4), entry.integer(5)
        tensor = TensorSpec(number_type, shape, start)
        if any(True for _ in entry.blobs(7)):
            yield name, tensor, refuse_slices
            continue
        file = _file(prefix, entry, header)
        if file not in sizes:
            if not os.path.isfile(file):
                raise ValueError(f"there is no file {file!r}")
            sizes[file] = os.path.getsize(file)
        if start + size > sizes[file]:
            raise ValueError(f"{name!r} ends past the end of {file!r}")
        if size != tensor.size:
            raise ValueError(f"{name!r}, {shape} of {tensor.dtype}, can't be of {size} bytes")
        used[file] += size
        if used[file] > sizes[file]:
            raise ValueError(f"its tensors are larger than {file!r}")
        yield name, tensor, partial(_fetch, file, start, size, entry.integer(6))


def read_text(table: Table, header: Message, prefix: str, key: bytes, most: int) -> memoryview | None:
    """Reads and checks a tensor that is one string, of a limited size; None if there is none of this name."""
    value = next((value for each, value in table.entries(table.find(key)) if each == key), None)
    if value is None:
        return None
    entry = Message(value)
    if entry.integer(1) != _STRING or read_shape(entry.message(2)):
        raise ValueError(f"{key.decode()!r} is no string")
    start, size = entry.integer(4), entry.integer(5)
    if size > most:
        raise ValueError(f"{key.decode()!r} is of {size} bytes, more than any network needs")
    data = memoryview(read_bytes(_file(prefix, entry, header), start, size))
    length, at = varint(data, 0)
    text = at + _CHECKSUM
    if length != size - text:
        raise ValueError(f"{key.decode()!r} can't be of {length} bytes")
    spelled = length.to_bytes(4, "little")
    if data[at:text] != masked_crc32c(spelled).to_bytes(_CHECKSUM, "little"):
        raise ValueError(f"the checksum of the length of {key.decode()!r} is wrong")
    if masked_crc32c(spelled + data[at:]) != entry.integer(6):
        raise ValueError(f"the checksum of {key.decode()!r} is wrong")
    return data[text:]


def _file(prefix: str, entry: Message, header: Message) -> str:
    """Returns the file in which a tensor lies."""
    return f"{prefix}.data-{entry.integer(3):05d}-of-{header.integer(1):05d}"


def _fetch(file: str, start: int, size: int, checksum: int) -> bytes:
    """Reads the numbers in a part of a file, as they are stored."""
    data = read_bytes(file, start, size)
    if masked_crc32c(data) != checksum:
        raise ValueError("the checksum is wrong")
    return data
