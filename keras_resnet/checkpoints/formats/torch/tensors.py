"""Tensors in PyTorch's files: number types, storages, and where in a storage a tensor lies.

Source: torch/_utils.py; what is malformed is a `ValueError`.
"""

from dataclasses import dataclass
from math import prod

from keras_resnet.checkpoints.formats.tensors import BFLOAT16, BOOL, RANK, NumberType, TensorSpec

_GAPS = 64  # numbers between a tensor's own that are read with it, even if it has fewer


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, or a part of such a row.

    Attributes:
        key: by which the whole row is found in the file.
        number_type: of its numbers; None: one that is not read.
        start: where the part begins, in bytes.
        size: in bytes.
        width: of a number, in bytes; 0 where that is not known, and so neither is the size.
    """

    key: str
    number_type: NumberType | None
    start: int
    size: int
    width: int


NUMBER_TYPES = {"torch.storage.UntypedStorage": NumberType.of("u1")}
for _dtype, _storage, _type in (
    ("float16", "Half", NumberType.of("<f2")),
    ("float32", "Float", NumberType.of("<f4")),
    ("float64", "Double", NumberType.of("<f8")),
    ("bfloat16", "BFloat16", BFLOAT16),
    ("uint8", "Byte", NumberType.of("u1")),
    ("int8", "Char", NumberType.of("i1")),
    ("int16", "Short", NumberType.of("<i2")),
    ("int32", "Int", NumberType.of("<i4")),
    ("int64", "Long", NumberType.of("<i8")),
    ("uint16", "", NumberType.of("<u2")),
    ("uint32", "", NumberType.of("<u4")),
    ("uint64", "", NumberType.of("<u8")),
    ("bool", "Bool", BOOL),
):
    NUMBER_TYPES[f"torch.{_dtype}"] = _type
    if _storage:
        NUMBER_TYPES[f"torch.{_storage}Storage"] = _type
WIDTHS = {  # of what is not read: complex and quantized numbers
    f"torch.{name}Storage": width
    for name, width in (
        ("ComplexFloat", 8),
        ("ComplexDouble", 16),
        ("QInt8", 1),
        ("QUInt8", 1),
        ("QInt32", 4),
        ("QUInt4x2", 1),
        ("QUInt2x4", 1),
    )
}


def tensor_in_storage(
    storage: Storage, number_type: NumberType, offset: object, shape: object, strides: object
) -> TensorSpec:
    """Makes a tensor whose every number is in its storage, which is no larger, and not mostly gaps.

    Args:
        storage: its storage.
        number_type: of its numbers, which the storage may call bytes.
        offset: of its first number, in numbers; whatever a pickle says.
        shape: its dimensions; whatever a pickle says.
        strides: in numbers; whatever a pickle says.
    """
    (offset,), shape, strides = _sizes((offset,)), _sizes(shape), _sizes(strides)
    width, count = number_type.stored.itemsize, prod(shape)
    if len(shape) != len(strides):
        raise ValueError(f"a tensor has {len(shape)} dimensions, and {len(strides)} strides")
    steps = tuple(width * stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    start = storage.start + offset * width if count else storage.start
    tensor = TensorSpec(number_type, shape, start, steps if count else None, storage.key)
    end = start - storage.start + tensor.size
    if max(end, count * width) > storage.size:
        raise ValueError(f"a tensor of the shape {shape!s:.99} is not inside its storage of {storage.size} bytes")
    if tensor.size > (2 * count + _GAPS) * width:
        raise ValueError(
            f"a tensor of the shape {shape!s:.99} has wide gaps, {count} of {tensor.size // width} numbers being its "
            "own; save a clone"
        )
    return tensor


def _sizes(numbers: object) -> tuple[int, ...]:
    """Checks that something is a tuple of ints, none of them negative, of no more than there are dimensions."""
    if not isinstance(numbers, tuple) or len(numbers) > RANK:
        raise ValueError(f"a shape or the strides of a tensor are no tuple of at most {RANK} ints")
    for number in numbers:
        if type(number) is not int or number < 0:
            raise ValueError("a tensor has a size, a stride or an offset that is negative or no int")
    return numbers
