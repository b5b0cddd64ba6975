"""Writes PyTorch's files, with PyTorch and without, and reads them as it does and as we do."""

import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.torch.file import TorchFile, is_torch_file

torch = pytest.importorskip("torch")
FORMATS = ("zip", "stream")

Arrays = dict[str, Any]
Storages = dict[str, bytes]


def save(value: object, path: Path, form: str) -> Path:
    """As PyTorch writes it."""
    torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
    return path


def bits(tensor: Any) -> Any:
    """The array that a tensor should be read as."""
    tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor in nested containers, and its name."""
    if isinstance(value, torch.Tensor):
        yield name, bits(value)
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in pairs:
        yield from flat(item, f"{name}.{key}" if name else f"{key}")


def load(path: Path) -> tuple[bool, Any]:
    """Whether PyTorch reads a file, and what it finds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return True, torch.load(path, weights_only=True)
        except Exception:
            return False, None


def theirs(path: Path) -> Arrays:
    """What PyTorch reads."""
    loaded, value = load(path)
    assert loaded
    return dict(flat(value))


def read_all(path: Path) -> Arrays:
    file = TorchFile.open(path)
    return {name: file.read(name) for name in file.shapes}


def assert_same(path: Path, expected: Arrays) -> None:
    """Names, shapes, types and bits; and each array is its own."""
    file = TorchFile.open(path)
    assert is_torch_file(path)
    assert list(file.shapes) == list(file.dtypes) == sorted(expected)
    for name, array in expected.items():
        mine = file.read(name)
        assert mine.shape == file.shapes[name] == array.shape
        assert str(mine.dtype) == file.dtypes[name] == str(array.dtype)
        assert mine.dtype.isnative
        assert mine.flags.c_contiguous
        assert mine.flags.writeable
        assert not np.shares_memory(mine, file.read(name))
        assert mine.tobytes() == array.tobytes(), name


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ValueError, match=f"{path.name}' can't be read as a PyTorch file: .*{reason}") as error:
        read_all(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


class Call:
    """A call of something that has a name."""

    def __init__(self, name: str, *arguments: object) -> None:
        self.name, self.arguments = name, arguments


class Raw(bytes):
    """Opcodes."""


class Id(tuple[Any, ...]):
    """A persistent id."""


def named(name: str) -> Raw:
    module, _, last = name.rpartition(".")
    return Raw(f"c{module}\n{last}\n".encode())


def encode(value: Any, form: str = "zip") -> bytes:
    """The opcodes that make a value."""

    def inside(values: Any) -> bytes:
        return b"".join(encode(item, form) for item in values)

    match value:
        case Raw():
            return value
        case Call():
            return named(value.name) + encode(value.arguments, form) + b"R"
        case Id():  # in a stream there may be a part at its end
            return b"(" + inside(value) + (b"N" if form == "stream" and len(value) == 5 else b"") + b"tQ"
        case bool() | None:
            return {True: b"\x88", False: b"\x89", None: b"N"}[value]
        case int() if 0 <= value < 256:
            return b"K" + bytes([value])
        case int():
            return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case dict():
            return b"}(" + inside(part for pair in value.items() for part in pair) + b"u"
        case list():
            return b"](" + inside(value) + b"e"
    return b"(" + inside(value) + b"t"


ROW = np.arange(6, dtype="f4").tobytes()
BIG = 1 << 60


def storage(kind: str = "FloatStorage", key: Any = "0", count: Any = 6, **view: Any) -> Id:
    return Id(("storage", named(f"torch.{kind}"), key, "cpu", count, *view.values()))


def tensor(of: Any = None, offset: Any = 0, shape: Any = (2, 3), strides: Any = (3, 1), *more: Any) -> Call:
    of = storage() if of is None else of
    return Call("torch._utils._rebuild_tensor_v2", of, offset, shape, strides, False, {}, *more)


def write_zip(path: Path, data: bytes, storages: Storages, **more: bytes) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("top/data.pkl", data)
        for key, numbers in storages.items():
            archive.writestr(f"top/data/{key}", numbers)
        for name, contents in ({"byteorder": b"little", "version": b"3\n"} | more).items():
            archive.writestr(f"top/{name}", contents)
    return path


MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


def write_stream(
    path: Path, data: bytes, storages: Storages, system: Any = SYSTEM, version: int = 1001, keys: Any = None
) -> Path:
    keys = list(storages) if keys is None else keys
    parts = [MAGIC, *(b"\x80\x02" + encode(value) + b"." for value in (version, system)), data]
    parts.append(b"\x80\x02" + encode(keys) + b".")
    parts += [struct.pack("<q", len(numbers) // 4) + numbers for numbers in storages.values()]
    path.write_bytes(b"".join(parts))
    return path


def write(path: Path, form: str, value: Any, storages: Storages | None = None, **more: Any) -> Path:
    """A file with a value in it, or with opcodes."""
    data = value if isinstance(value, Raw) and value.startswith(b"\x80") else b"\x80\x02" + encode(value, form) + b"."
    if storages is None:
        storages = {"0": ROW} if b"Storage" in data else {}
    return (write_zip if form == "zip" else write_stream)(path, data, storages, **more)


def opcodes(*parts: Any) -> Raw:
    return Raw(b"\x80\x02" + b"".join(part if isinstance(part, bytes) else encode(part) for part in parts) + b".")
