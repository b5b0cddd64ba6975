"""Damaged PyTorch files: an error, or what PyTorch reads, whatever lies in them."""

import random
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.checkpoints.formats.torch.file import TorchFile
from tests.helpers.bounds import bounded
from tests.helpers.torch_writer import (
    BIG,
    FORMATS,
    MAGIC,
    ROW,
    Arrays,
    Raw,
    encode,
    flat,
    load,
    named,
    save,
    storage,
    tensor,
    theirs,
    write,
    write_zip,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.one_backend


def small() -> Any:
    """A little of everything, to be damaged."""
    box = torch.arange(12.0).reshape(3, 4)
    weights = OrderedDict(weight=box.t(), bias=torch.arange(3) - 1, half=torch.ones(5).bfloat16())
    weights["part"] = box[1:, ::2]
    weights["flags"] = torch.tensor([True, False, True])
    weights._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    inner = (torch.nn.Parameter(torch.ones(2)), torch.zeros(0, 3), torch.tensor(7, dtype=torch.uint8))
    return {"epoch": 3, "state_dict": weights, "optimizer": {"state": {0: {"momentum": inner}}, "lr": 0.1}}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes with one thing wrong."""
    at, size, other = rng.randrange(len(data)), rng.randrange(1, 20), rng.randrange(len(data))
    match rng.randrange(9):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size))) + data[at + size :]
        case 2:
            return data[:at] + data[other : other + size] + data[at + size :]
        case 3:
            return data[:at] + data[other : other + size] + data[at:]
        case 4:
            return data[:at] + data[at + size :]
        case 5:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def spoiled(whole: bytes, form: str, rng: random.Random, folder: Path) -> bytes:
    """A file with one thing wrong: anywhere, in its structure, or in its pickle with the checksum put right."""
    start = whole.index(b"PK\1\2") if form == "zip" else 0
    end = len(whole) if form == "zip" else whole.rindex(b"e.") + 2
    match rng.randrange(3):
        case 0:
            return damaged(whole, rng)
        case 1:
            return whole[:start] + damaged(whole[start:end], rng) + whole[end:]
    if form == "stream":
        return whole[: len(MAGIC)] + damaged(whole[len(MAGIC) : end], rng) + whole[end:]
    (folder / "whole").write_bytes(whole)
    with zipfile.ZipFile(folder / "whole") as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    storages = {name[5:]: members.pop(name) for name in list(members) if name.startswith("data/")}
    return write_zip(folder / "again", damaged(members.pop("data.pkl"), rng), storages, **members).read_bytes()


def outcome(path: Path) -> tuple[bool, Arrays]:
    """Whether a file is opened, and of its tensors those that can be read."""
    arrays, errors, names = {}, [], []
    with bounded(path.stat().st_size):
        try:
            file = TorchFile.open(path)
            names = list(file.shapes)
        except ValueError as error:
            errors.append(str(error))
        for name in names:
            try:
                arrays[name] = file.read(name)
            except ValueError as error:
                errors.append(str(error))
    assert all(f"'{path}' can't be read as a PyTorch file: " in error and "\n" not in error for error in errors)
    return bool(names) or not errors, arrays


def check_damaged(path: Path, original: Arrays) -> bool:
    """Says whether a damaged file is opened; what is read of it then is what PyTorch reads, or what was there.

    PyTorch refuses more in the places of storages or in what has a gradient, which are not read here; and of a member
    that the zip calls a folder it returns memory that it never wrote to.
    """
    opened, arrays = outcome(path)
    if arrays:
        loaded, value = load(path)
        found = dict(flat(value)) if loaded else {}
        assert not loaded or arrays.keys() <= found.keys()
        for name, array in arrays.items():
            expected = [arrays[name] for arrays in (found, original) if name in arrays]
            assert not expected or any(same(array, other) for other in expected), name
    return opened


def same(array: Any, other: Any) -> bool:
    """Whether types, shapes and bits are equal."""
    return (array.dtype, array.shape, array.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.mark.parametrize("form", FORMATS)
def test_damage_is_refused_or_read_as_pytorch_reads_it(form: str, tmp_path: Path) -> None:
    whole = save(small(), tmp_path / "small", form).read_bytes()
    original = theirs(tmp_path / "small")
    refusals = 0
    for seed in range(450):
        (tmp_path / "damaged").write_bytes(spoiled(whole, form, random.Random(f"{form} {seed}"), tmp_path))
        try:
            refusals += not check_damaged(tmp_path / "damaged", original)
        except Exception as error:
            raise AssertionError(f"with the seed {seed}") from error
    assert 250 < refusals < 450


def test_pickles_of_any_opcodes_are_refused_or_read_as_pytorch_reads_them(tmp_path: Path) -> None:
    """Programs of no sense, of every opcode and name that is known."""
    names = ["collections.OrderedDict", "collections.Counter", "builtins.set", "torch.Size", "torch.device"]
    names += [f"torch._utils._rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3", "parameter")]
    names += ["torch.float32", "torch.FloatStorage", "torch.nn.parameter.Parameter"]
    values = [storage(), tensor(), (), {}, [], 0, 1, 3, -1, BIG, "0", "cpu", None, True, 0.5, (2, 3), (3, 1), ["a", 1]]
    words = [encode(value) for value in values if type(value) is not float] + [named(name) for name in names]
    words += [bytes([code]) for code in b"(Rbtaesu\x85\x86\x87Q"] * 2 + [b"q\0", b"q\1", b"h\0", b"h\1", b"q\2", b"h\2"]
    read = 0
    for seed in range(1500):
        rng = random.Random(seed)
        body = b"".join(rng.choices(words, k=rng.randrange(1, 12)))
        path = write(tmp_path / "any", "zip", Raw(b"\x80\x02" + body + b"."), {"0": ROW})
        try:
            read += check_damaged(path, {})
        except Exception as error:
            raise AssertionError(f"with the seed {seed}") from error
    assert read > 100
