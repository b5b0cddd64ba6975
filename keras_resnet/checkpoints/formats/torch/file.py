"""PyTorch's files of weights, of either format, read without PyTorch."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.formats.torch.find import find_tensors
from keras_resnet.checkpoints.formats.torch.pickles import Pickle, Source
from keras_resnet.checkpoints.formats.zips import Member, Record, find_records, read_directory
from keras_resnet.utils.errors import damage_as_value_error

_KIND = "a PyTorch file"
_PICKLE = 1 << 26  # bytes; that of a ResNet-152 has 100 000
_ZIP = b"PK\3\4"
_NUMBER = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")  # that no other file begins with
_FRAME = b"\x95" + len(_NUMBER).to_bytes(8, "little")
_LEGACY = (
    b"L119547037146038801333356L\n.",  # of protocol 1
    *(b"\x80%c%s" % (protocol, _NUMBER) for protocol in (2, 3)),
    *(b"\x80%c%s%s" % (protocol, _FRAME, _NUMBER) for protocol in (4, 5)),
)
_START = max(map(len, _LEGACY))
_VERSION = 1001
_TAR = 257, b"ustar"
_COUNT = 8  # bytes of the number before each storage

Records = dict[str, Record]


class TorchFile:
    """The numeric tensors of a file: what they are is known, the numbers are read when they are asked for.

    No file is kept open.

    Attributes:
        path: as it was given.
        shapes: by name, sorted; a name is the keys and positions that lead to a tensor, joined by dots.
        dtypes: by name, sorted; bfloat16, which NumPy lacks, is read as float32.
        words: texts, numbers and lists of them that lie beside the tensors, by name.
    """

    def __init__(self, path: Path, value: object, records: Records) -> None:
        tensors, self.words = find_tensors(value)
        self.path = path
        self._tensors = dict(sorted(tensors.items()))
        self._records = records
        self._checked: set[str] = set()
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        self.dtypes = {name: str(tensor.dtype) for name, tensor in self._tensors.items()}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "TorchFile":
        """Opens a file that `torch.save` wrote, a zip or, before PyTorch 1.6, a stream.

        Nothing that is in it is called: objects other than tensors, numbers and strings in dictionaries, lists and
        tuples are passed over.

        Raises:
            ValueError: if it is no such file, has tensors that such an object makes, or is damaged; names it and says
                why.
        """
        with damage_as_value_error(_KIND, path), _open(path) as file:
            start = file.read(_START)
            if magic := _magic(start):
                value, records = _read_stream(file, len(magic))
            elif start.startswith(_ZIP):
                value, records = _read_zip(file)
            elif _is_tar(file):
                raise ValueError(
                    "it is a tar archive of PyTorch before 0.1.11; load and save it with a newer PyTorch, or use a "
                    "newer file of these weights"
                )
            else:
                raise ValueError("it does not begin as one does")
            return cls(Path(os.fsdecode(path)), value, records)

    def read(self, name: str) -> Array:
        """Reads a tensor and, the first time, checks what it is stored in; returns a new array.

        Raises:
            ValueError: if it is damaged; names it and the file, and says why.
            KeyError: if there is none of this name in `shapes`.
        """
        tensor = self._tensors[name]
        record = self._records[tensor.part]
        with damage_as_value_error(_KIND, self.path, f"{name!r:.199} of "), _open(self.path) as file:
            if tensor.part not in self._checked:  # many tensors may be in one
                record.check(file)
                self._checked.add(tensor.part)
            return tensor.array(record.read(file, tensor.start, tensor.size))


def is_torch_file(path: str | os.PathLike[str]) -> bool:
    """Tells by content whether something is a file of `torch.save`, but for the tars of before 0.1.11."""
    try:
        with _open(path) as file:
            start = file.read(_START)
            return _magic(start) != b"" or (start.startswith(_ZIP) and bool(_tops(read_directory(file))))
    except (OSError, ValueError):
        return False


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a file; what is no file, as a pipe that would block, is refused."""
    if not os.path.isfile(path):
        raise ValueError("it is not a file" if os.path.exists(path) else "there is no such file")
    return open(path, "rb")


def _magic(start: bytes) -> bytes:
    """Returns the pickle that a stream begins with; b"" if it is none."""
    return next((magic for magic in _LEGACY if start.startswith(magic)), b"")


def _is_tar(file: BinaryIO) -> bool:
    """Whether it has a tar's signature."""
    at, signature = _TAR
    file.seek(at)
    return file.read(len(signature)) == signature


def _tops(members: dict[str, Member]) -> list[str]:
    """Finds the folders of a zip in which there is a pickle."""
    paths = [name.split("/") for name in members]
    return [path[0] for path in paths if path[1:] == ["data.pkl"]]


def _read_zip(file: BinaryIO) -> tuple[object, Records]:
    """Reads what a zip holds, and finds its storages."""
    members = read_directory(file)
    tops = _tops(members)
    if not tops:
        raise ValueError("it is a zip, but not one of PyTorch or Keras (it has no 'data.pkl' in a folder)")
    if len(tops) > 1:
        raise ValueError(f"the zip has {len(tops)} members like 'archive/data.pkl'")

    def contents(name: str, most: int) -> bytes:
        record = members[f"{tops[0]}/{name}"].record(file)
        if record.size > most:
            raise ValueError(f"{name!r} is of {record.size} bytes, more than any weights need")
        record.check(file)
        return record.read(file, 0, record.size)

    if f"{tops[0]}/byteorder" in members and (order := contents("byteorder", 16)) != b"little":
        raise ValueError(f"its byte order is {order!r}, and only b'little' is read")
    data = contents("data.pkl", _PICKLE)
    pickle = Pickle(Source(io.BytesIO(data), len(data)))
    storages = pickle.whole_storages()
    names = {key: f"{tops[0]}/data/{key}" for key, storage in storages.items() if storage.width}
    found = find_records(file, members, names.values())
    for key, name in names.items():
        if found[name].size != storages[key].size:
            raise ValueError(f"{name!r:.99} has {found[name].size} bytes, not {storages[key].size}")
    return pickle.value, {key: found[name] for key, name in names.items()}


def _read_stream(file: BinaryIO, start: int) -> tuple[object, Records]:
    """Reads what a stream holds, and finds its storages; after the signature come four pickles and the storages."""
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    source = Source(file, min(_PICKLE, end))
    if Pickle(source).value != _VERSION:
        raise ValueError(f"its version is not {_VERSION}")
    match Pickle(source).value:
        case {"little_endian": True}:
            pass
        case _:
            raise ValueError("its byte order is not said to be little, and no other is read")
    pickle, keys = Pickle(source), Pickle(source).value
    records: Records = {}
    storages, at = pickle.whole_storages(), file.tell()
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, str) or key not in storages or key in records:
            raise ValueError("its list of storages has a key of none, or one twice")
        size, width = storages[key].size, storages[key].width
        if not width:
            raise ValueError(f"the storage {key!r:.99} has numbers of an unknown type, and so of an unknown size")
        count = int.from_bytes(Record(at, _COUNT).read(file, 0, _COUNT), "little", signed=True)
        if count * width != size:
            raise ValueError(f"the storage {key!r:.99} has {count} numbers, which are not {size} bytes")
        records[key] = Record(at + _COUNT, size)
        at += _COUNT + size
        if at > end:
            raise ValueError("it is truncated")
    if records.keys() != storages.keys():
        raise ValueError("its list of storages lacks one")
    return pickle.value, records
