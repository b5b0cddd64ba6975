"""Number types, shapes, names and versions in TensorFlow's checkpoints, of either format.

Sources: types.proto, tensor_shape.proto, versions.proto; what is malformed is a `ValueError`.
"""

from itertools import islice
from typing import NoReturn

from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message
from keras_resnet.checkpoints.formats.tensors import BFLOAT16, BOOL, RANK, NumberType

NUMBER_TYPES = {
    1: NumberType.of("<f4"),
    2: NumberType.of("<f8"),
    3: NumberType.of("<i4"),
    4: NumberType.of("u1"),
    5: NumberType.of("<i2"),
    6: NumberType.of("i1"),
    8: NumberType.of("<c8"),
    9: NumberType.of("<i8"),
    10: BOOL,
    14: BFLOAT16,
    17: NumberType.of("<u2"),
    18: NumberType.of("<c16"),
    19: NumberType.of("<u2", "f2"),
    22: NumberType.of("<u4"),
    23: NumberType.of("<u8"),
}


def read_shape(message: Message) -> tuple[int, ...]:
    """Reads a `TensorShapeProto`, of which no more dimensions than make it absurd."""
    if message.integer(3):
        raise ValueError("a tensor has no shape")
    return tuple(dim.integer(1) for dim in islice(message.messages(2), RANK + 1))


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


def refuse_slices() -> NoReturn:
    """Refuses partitioned variables."""
    raise ValueError("it was saved in slices (a partitioned variable), and these are not put together")
