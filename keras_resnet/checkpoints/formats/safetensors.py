"""Files of safetensors, whatever wrote them."""

import io
import json
import os
from pathlib import Path
from typing import Any

from keras_resnet.checkpoints.formats.tensors import BFLOAT16, BOOL, Array, NumberType, TensorSpec
from keras_resnet.utils.errors import damage_as_value_error, import_optional

_KIND = "a file of safetensors"
_LENGTH = 8  # bytes that say how long the header after them is
_LONGEST_HEADER = 1 << 21  # what is read of it takes 30 times as much; that of a thousand tensors has 100 000
_FIELDS = {"dtype", "shape", "data_offsets"}
_TYPES = {
    "F64": NumberType.of("<f8"),
    "F32": NumberType.of("<f4"),
    "F16": NumberType.of("<f2"),
    "BF16": BFLOAT16,
    "I64": NumberType.of("<i8"),
    "I32": NumberType.of("<i4"),
    "I16": NumberType.of("<i2"),
    "I8": NumberType.of("i1"),
    "U64": NumberType.of("<u8"),
    "U32": NumberType.of("<u4"),
    "U16": NumberType.of("<u2"),
    "U8": NumberType.of("u1"),
    "BOOL": BOOL,
}


class SafetensorsFile:
    """The tensors of a file: what they are is known, the numbers are read when they are asked for.

    No file is kept open.

    Attributes:
        path: as it was given.
        shapes: by name, sorted.
        dtypes: by name, sorted; bfloat16, which NumPy lacks, is read as float32; what can't be read has the file's.
        words: the texts beside the tensors, by name.
    """

    def __init__(self, path: Path, header: dict[str, Any], start: int) -> None:
        self.path = path
        self.words = header.pop("__metadata__", None) or {}
        self._tensors: dict[str, TensorSpec | None] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        for name, entry in sorted(header.items()):
            if not isinstance(entry, dict) or entry.keys() != _FIELDS:
                raise ValueError(f"{name!r:.99} is not described by {', '.join(sorted(_FIELDS))} alone")
            shape, number_type = tuple(entry["shape"]), _TYPES.get(entry["dtype"])
            tensor = TensorSpec(number_type, shape, start + entry["data_offsets"][0]) if number_type else None
            self.shapes[name] = shape
            self.dtypes[name] = str(tensor.dtype) if tensor else entry["dtype"]
            self._tensors[name] = tensor

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "SafetensorsFile":
        """Opens a file, which the library checks: its tensors lie one behind the other and fill it.

        Args:
            path: the file; its name tells nothing.

        Raises:
            ValueError: if it is no such file, or is damaged; names it and says why.
            OSError: if it must not be read.
            ImportError: if safetensors is missing.
        """
        library = import_optional("safetensors", "checkpoints")
        with damage_as_value_error(_KIND, path):
            if not os.path.isfile(path):
                raise ValueError("there is no such file")
        with damage_as_value_error(_KIND, path), open(path, "rb") as file:
            size = _header_size(file)
            if size is None:
                raise ValueError("it does not begin as one does")
            header = json.loads(file.read(size), object_pairs_hook=once_each)
            try:
                with library.safe_open(os.fsdecode(path), framework="numpy"):
                    return cls(Path(path), header, _LENGTH + size)
            except library.SafetensorError as error:
                if "not fully covered" not in str(error):
                    raise
                raise ValueError("its length is not what its header says; was it cut off?") from error

    def read(self, name: str) -> Array:
        """Reads a tensor; returns a new array.

        Raises:
            ValueError: if it is of another type than NumPy's and bfloat16, the file now ends too early, or a bool is
                neither true nor false.
            KeyError: if there is none of this name in `shapes`.
        """
        tensor = self._tensors[name]
        with damage_as_value_error(_KIND, self.path, f"{name!r} of "):
            if tensor is None:
                raise ValueError(f"{self.dtypes[name]} is no type that is read here")
            return tensor.read(self.path)


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Tells by content whether something is a file of safetensors; what can't be read is none."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return _header_size(file) is not None
    except OSError:
        return False


def _header_size(file: io.BufferedReader) -> int | None:
    """Reads the size of the JSON object that a file begins with; None if it doesn't. Stops in front of it."""
    size = int.from_bytes(file.read(_LENGTH), "little")
    fits = size <= min(_LONGEST_HEADER, os.fstat(file.fileno()).st_size - _LENGTH)
    return size if fits and file.peek(1)[:1] == b"{" else None


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a dictionary of keys that all differ: of two parsers one might take the first, the other the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a key twice")
    return found
