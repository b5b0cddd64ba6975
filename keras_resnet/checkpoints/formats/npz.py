"""NumPy's `.npz` files: arrays of numbers by name, as `np.savez` and `np.savez_compressed` write them."""

import os
import re
from math import prod
from pathlib import Path
from typing import BinaryIO

from keras_resnet.checkpoints.formats.tensors import BOOL, Array, NumberType, TensorSpec
from keras_resnet.checkpoints.formats.zips import Member, Record, find_records, read_directory
from keras_resnet.utils.errors import damage_as_value_error

_KIND = "a file of np.savez"
_START = b"PK\3\4"
_NAME = slice(26, 28)  # where a zip says how long the name of its first member is, which begins at 30
_ENDING = ".npy"
_LONGEST_HEADER = 1 << 12  # bytes; NumPy's have 118 for anything that has names here
_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: slice(8, 10), 2: slice(8, 12), 3: slice(8, 12)}  # of the header, by the version of the format
# What NumPy writes, by hand since a parser of Python's literals takes stack and time at a stranger's word; the L is of
# Python 2.
_HEADER = re.compile(
    rb"\{ ?'descr': ?'(?P<type>[^'\\]{1,20})', ?'fortran_order': ?(?P<fortran>True|False), ?"
    rb"'shape': ?\((?P<shape>(\d{1,19}L?(, ?\d{1,19}L?){0,40},?)?)\),? ?\}\s{0,99}\n?"
)
_NUMBER = re.compile(r"[<>|](f[248]|[iu][1248])")
_MOST_TIMES = 100  # that what a file holds may be larger than it; trained weights are a tenth larger


class NpzFile:
    """The arrays of a file: what they are is known, the numbers are read when they are asked for.

    Nothing is unpickled, as by `np.load(allow_pickle=False)`. No file is kept open.

    Attributes:
        path: as it was given.
        shapes: by name, sorted.
        dtypes: by name, sorted.
    """

    def __init__(self, path: Path, members: dict[str, tuple[Member, Record, TensorSpec]]) -> None:
        self.path = path
        self._members = dict(sorted(members.items()))
        self.shapes = {name: tensor.shape for name, (*_, tensor) in self._members.items()}
        self.dtypes = {name: str(tensor.dtype) for name, (*_, tensor) in self._members.items()}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "NpzFile":
        """Opens a file, whose arrays' sizes must be those that their members have.

        Args:
            path: the file; its name tells nothing.

        Raises:
            ValueError: if it is no such file, is damaged, or holds anything but arrays of numbers; names it and says
                why.
            OSError: if it must not be read.
        """
        with damage_as_value_error(_KIND, path):
            if not os.path.isfile(path):
                raise ValueError("there is no such file")
        with damage_as_value_error(_KIND, path), open(path, "rb") as file:
            members = read_directory(file)
            records = find_records(file, members, members, deflated=True)
            held, size = sum(member.sizes[1] for member in members.values()), os.fstat(file.fileno()).st_size
            if held > _MOST_TIMES * size:
                raise ValueError(f"its {size} bytes would be {held} when they are inflated, which no weights are")
            arrays = {
                name.removesuffix(_ENDING): (members[name], record, _array(file, name, members[name], record))
                for name, record in records.items()
            }
            return cls(Path(path), arrays)

    def read(self, name: str) -> Array:
        """Reads an array; returns a new one, in the order of C.

        Raises:
            ValueError: if its checksum is wrong, the file now ends too early, or a bool is neither true nor false.
            KeyError: if there is none of this name in `shapes`.
        """
        member, record, tensor = self._members[name]
        with damage_as_value_error(_KIND, self.path, f"{name!r:.99} of "), open(self.path, "rb") as file:
            return tensor.array(memoryview(member.read(file, record))[tensor.start :])


def is_npz(path: str | os.PathLike[str]) -> bool:
    """Tells by content whether something is a zip that begins with an array; what can't be read is none."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            start = file.read(30)
            letters = int.from_bytes(start[_NAME], "little")
            return start.startswith(_START) and file.read(letters).endswith(_ENDING.encode())
    except (OSError, ValueError):
        return False


def _array(file: BinaryIO, name: str, member: Member, record: Record) -> TensorSpec:
    """Reads what a member says of its array, and checks that it is as large."""
    if not name.endswith(_ENDING):
        raise ValueError(f"{name!r:.99} is no array (its name does not end in {_ENDING})")
    data = member.read(file, record, _LONGEST_HEADER)
    length = _LENGTHS.get(data[len(_MAGIC)] if data.startswith(_MAGIC) and len(data) > len(_MAGIC) else 0)
    if length is None:
        raise ValueError(f"{name!r:.99} does not begin as an array does")
    start = length.stop + int.from_bytes(data[length], "little")
    match = _HEADER.fullmatch(data[length.stop : start]) if start <= len(data) else None
    if match is None:
        raise ValueError(f"{name!r:.99} is no plain array: its header is {data[length.stop : start]!r:.199}")
    kind = match["type"].decode("latin-1")
    if kind.endswith("O"):
        raise ValueError(f"{name!r:.99} holds pickled objects, which are not read: they may hold any program")
    number_type = BOOL if kind == "|b1" else NumberType.of(kind) if _NUMBER.fullmatch(kind) else None
    if number_type is None:
        raise ValueError(f"{name!r:.99} is of the type {kind!r}, which is not read here")
    shape = tuple(int(size.strip(b" L")) for size in match["shape"].split(b",") if size)
    strides = _strides(shape, number_type.stored.itemsize) if match["fortran"] == b"True" else None
    tensor = TensorSpec(number_type, shape, start, strides)
    if start + tensor.size != member.sizes[1]:
        raise ValueError(f"{name!r:.99} of the shape {shape!s:.99} has {member.sizes[1]} bytes")
    return tensor


def _strides(shape: tuple[int, ...], width: int) -> tuple[int, ...]:
    """The bytes from one number to the next along each axis, in the order of Fortran."""
    return tuple(width * prod(shape[:axis]) for axis in range(len(shape)))
