"""Files of safetensors: every number as the library reads it, and damage is an error that names the file."""

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from keras_resnet.checkpoints.formats.safetensors import SafetensorsFile, is_safetensors
from keras_resnet.checkpoints.formats.tensors import TensorSpec
from tests.helpers.bounds import bounded

safetensors = pytest.importorskip("safetensors")
numpy_files = pytest.importorskip("safetensors.numpy")
pytestmark = pytest.mark.one_backend

Arrays = dict[str, Any]
RNG = np.random.default_rng(0)
SMALL: Arrays = {
    "layer1.0.conv1.weight": RNG.standard_normal((8, 4, 3, 3)).astype("f4"),
    "layer1.0.bn1.running_mean": RNG.standard_normal(8).astype("f4"),
    "layer1.0.bn1.num_batches_tracked": np.array(7),
    "none": np.zeros((0, 3), "f4"),
    "halves": RNG.standard_normal(40).astype(ml_dtypes.bfloat16),
    "flags": np.array([True, False, True]),
}


def write(path: Path, arrays: Arrays, **metadata: str) -> Path:
    numpy_files.save_file(arrays, path, metadata=metadata or None)
    return path


def read_all(path: Path) -> Arrays:
    file = SafetensorsFile.open(path)
    return {name: file.read(name) for name in file.shapes}


def assert_same(file: SafetensorsFile, expected: Arrays) -> None:
    """Names, shapes, types and bits; and each array is its own."""
    assert list(file.shapes) == list(file.dtypes) == sorted(expected)
    for name, value in expected.items():
        array, mine = value.astype("f4") if value.dtype == ml_dtypes.bfloat16 else value, file.read(name)
        assert mine.shape == file.shapes[name] == array.shape
        assert mine.dtype == file.dtypes[name] == array.dtype
        assert mine.flags.c_contiguous
        assert mine.flags.writeable
        assert mine.tobytes() == array.tobytes(), name


def test_every_tensor_is_that_which_was_saved(tmp_path: Path) -> None:
    types = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
    types += ["float16", "float32", "float64", "bool"]
    bits = {dtype: RNG.integers(0, 2 if dtype == "bool" else 256, 96, "u1").tobytes() for dtype in types}
    arrays = {f"{dtype}.random": np.frombuffer(data, dtype).reshape(2, 1, -1) for dtype, data in bits.items()}
    arrays |= {f"{dtype}.one": np.array(np.frombuffer(data, dtype)[3]) for dtype, data in bits.items()}
    path = write(tmp_path / "net.safetensors", arrays | SMALL, format="pt")
    file = SafetensorsFile.open(path)
    assert file.path == path
    assert_same(file, arrays | SMALL)
    assert_same(file, numpy_files.load_file(path))
    assert_same(SafetensorsFile.open(write(path, SMALL)), SMALL)


def test_torch_saves_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.randn(5).half(), "d": torch.tensor(3)}
    library.save_file(tensors, tmp_path / "net.safetensors", metadata={"format": "pt"})
    expected = {name: (t.float() if name == "b" else t).numpy() for name, t in tensors.items()}
    assert_same(SafetensorsFile.open(tmp_path / "net.safetensors"), expected)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "C64", "F4"])
def test_other_types_are_listed_and_not_read(dtype: str, tmp_path: Path) -> None:
    size = {"C64": 128, "F4": 8}.get(dtype, 16)
    path = by_hand(tmp_path / "net.safetensors", {"a": entry(0, size, 16, dtype=dtype)}, bytes(size))
    file = SafetensorsFile.open(path)
    assert file.shapes == {"a": (16,)}
    assert file.dtypes == {"a": dtype}
    with pytest.raises(
        ValueError, match=f"'a' of '.*net.safetensors' can't be read .*: {dtype} is no type that is read"
    ):
        file.read("a")


# ---- By content.


def test_what_it_is_is_told_by_content(tmp_path: Path) -> None:
    for name in ("net.safetensors", "net.h5", "net"):
        assert is_safetensors(write(tmp_path / name, SMALL))
        assert_same(SafetensorsFile.open(str(tmp_path / name)), SMALL)
    data = (tmp_path / "net").read_bytes()
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(data[:8])
    (tmp_path / "text").write_text('{"a": 1}' * 9)
    (tmp_path / "large").write_bytes((1 << 40).to_bytes(8, "little") + data[8:])
    (tmp_path / "past").write_bytes((len(data) - 7).to_bytes(8, "little") + data[8:])
    (tmp_path / "list").write_bytes(data[:8] + b"[" + data[9:])
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe")
    np.savez(tmp_path / "net.npz", a=np.ones(3))
    names = (
        "empty",
        "short",
        "text",
        "large",
        "past",
        "list",
        "folder.safetensors",
        "pipe",
        "net.npz",
        "no",
        "x" * 999,
    )
    for other in (*map(tmp_path.joinpath, names), Path("a\0b"), Path("")):
        assert not is_safetensors(other)
        with pytest.raises(ValueError, match="can't be read as a file of safetensors: "):
            SafetensorsFile.open(other)


def test_what_must_not_be_read_is_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> Any:
        raise PermissionError("denied")

    path = write(tmp_path / "net.safetensors", SMALL)
    monkeypatch.setattr("builtins.open", denied)
    assert not is_safetensors(path)
    with pytest.raises(PermissionError, match="denied"):
        SafetensorsFile.open(path)


def test_a_name_that_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nothing"):
        SafetensorsFile.open(write(tmp_path / "net.safetensors", SMALL)).read("nothing")


def test_memory_that_is_out_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Any:
        raise MemoryError

    file = SafetensorsFile.open(write(tmp_path / "net.safetensors", SMALL))
    monkeypatch.setattr(TensorSpec, "read", full)
    with pytest.raises(MemoryError):
        file.read("flags")


def test_without_the_library_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "net.safetensors", SMALL)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert is_safetensors(path)
    with pytest.raises(ImportError, match=r"pip install 'keras3-resnet\[checkpoints\]'"):
        SafetensorsFile.open(path)


def test_only_the_header_is_read_at_first(tmp_path: Path) -> None:
    path = write(tmp_path / "net.safetensors", {"a": np.ones((1000, 5000), "f4")})
    with bounded(20_000):
        file = SafetensorsFile.open(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="'a' of '.*' can't be read as a file of safetensors: it is truncated"):
        file.read("a")


# ---- What no library writes.


def entry(start: int, end: int, *shape: Any, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def by_hand(path: Path, header: Any, data: bytes = bytes(64)) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


WHOLE = entry(0, 64, 16)
SPELLED = json.dumps(WHOLE).encode()
HEADERS = {
    "a name twice": (b'{"a":%b,"a":%b}' % (SPELLED, SPELLED), "a key twice"),
    "a field twice": (b'{"a":{"dtype":"F32","dtype":"F32","shape":[16],"data_offsets":[0,64]}}', "a key twice"),
    "metadata twice": (b'{"__metadata__":{"b":"1","b":"2"},"a":%b}' % SPELLED, "a key twice"),
    "tensors that overlap": ({"a": WHOLE, "b": WHOLE}, "invalid offset"),
    "a hole": ({"a": entry(0, 32, 8), "b": entry(36, 64, 7)}, "invalid offset"),
    "a hole at the start": ({"a": entry(32, 64, 8)}, "invalid offset"),
    "a rest": ({"a": entry(0, 32, 8)}, "its length is not what its header says"),
    "too little": ({"a": entry(0, 128, 32)}, "its length is not what its header says"),
    "a large shape": ({"a": entry(0, 64, 1 << 62, 4)}, "overflow"),
    "another shape": ({"a": entry(0, 64, 4)}, ""),
    "a negative shape": ({"a": entry(0, 64, -16, -1)}, "expected usize"),
    "a fraction": ({"a": entry(0, 64, 16.0)}, "expected usize"),
    "a shape of truths": ({"a": entry(0, 64, True, 16)}, "expected usize"),
    "an absurd shape of nothing": ({"a": WHOLE, "b": entry(64, 64, 0, 1 << 62)}, "absurd"),
    "fifty dimensions": ({"a": entry(0, 64, *[1] * 50, 16)}, "absurd"),
    "an end before the start": ({"a": entry(64, 0, 16)}, "invalid offset"),
    "an unknown type": ({"a": entry(0, 64, 16, dtype="Q4")}, "unknown variant"),
    "no type": ({"a": {"shape": [16], "data_offsets": [0, 64]}}, "missing field"),
    "a list for a tensor": ({"a": ["F32", [16], [0, 64]]}, "not described by data_offsets, dtype, shape alone"),
    "a field more": ({"a": WHOLE | {"more": [[], []]}}, "not described by data_offsets, dtype, shape alone"),
    "a number for a tensor": ({"a": 5}, "invalid type"),
    "metadata that is no text": ({"__metadata__": {"b": 1}, "a": WHOLE}, "expected a string"),
    "no JSON": (b'{"a":' + SPELLED, "Expecting"),
    "not a number": (b'{"a":NaN}', "expected value"),
    "JSON too deep": (b'{"a":' * 99999, "recursion"),
    "more than JSON": (b'{"a":%b}\0' % SPELLED, "Extra data"),
    "a name that is no text": (b'{"\\ud800":%b}' % SPELLED, "escape"),
    "no UTF-8": (b'{"\xff":%b}' % SPELLED, "can't decode"),
    "a header too long": (b"{" + b" " * (1 << 21) + b"}", "does not begin as one"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_with_something_wrong_is_refused(case: str, tmp_path: Path) -> None:
    header, reason = HEADERS[case]
    path = by_hand(tmp_path / "net.safetensors", header)
    told = f"net.safetensors' can't be read as a file of safetensors: .*{reason}"
    with bounded(path.stat().st_size), pytest.raises(ValueError, match=told):
        read_all(path)


def test_headers_may_have_spaces_behind_and_no_metadata(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.safetensors", b'{"__metadata__":null,"a":%b}   ' % SPELLED)
    assert read_all(path)["a"].tobytes() == bytes(64)


def test_true_and_false_are_0_and_1(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.safetensors", {"a": entry(0, 3, 3, dtype="BOOL")}, b"\0\1\2")
    with pytest.raises(ValueError, match="'a' of '.*' can't be read .*: 2 is neither true nor false"):
        read_all(path)


# ---- Anything.


def damaged(data: bytes, rng: random.Random, header: int) -> bytes:
    """Bytes with something wrong, mostly in the header."""
    end = rng.choice((header, header, len(data)))
    at, other, size = rng.randrange(end), rng.randrange(end), rng.randrange(1, 20)
    match rng.randrange(7):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size))) + data[at + size :]
        case 3:
            return data[:at] + data[other : other + size] + data[at + size :]
        case 4:  # the length is right again
            raw = data[8:at] + data[other : other + size] + data[max(at, 8) : header]
            return len(raw).to_bytes(8, "little") + raw + data[header:]
        case 5:
            digits = [i for i in range(8, header) if data[i : i + 1].isdigit()]
            at = rng.choice(digits)
            return data[:at] + b"%d" % rng.randrange(10) + data[at + 1 :]
        case _:
            number = rng.choice((0, 1, at, header, len(data), 1 << 24, 1 << 32, (1 << 64) - 1))
            return number.to_bytes(8, "little") + data[8:]


def test_damage_is_refused_or_read_as_the_library_reads_it(tmp_path: Path) -> None:
    """Nothing but a `ValueError` is raised, nothing hangs, and no memory is spent on a file's word."""
    path = write(tmp_path / "net.safetensors", SMALL, format="np")
    data, refusals = path.read_bytes(), 0
    header = 8 + int.from_bytes(data[:8], "little")
    for seed in range(600):
        path.write_bytes(damaged(data, random.Random(seed), header))
        found = outcome(path, seed)
        refusals += found is None
        if found is not None:
            reference = numpy_files.load_file(path)
            assert {name: array.shape for name, array in found.items()} == {
                name: array.shape for name, array in reference.items()
            }, f"seed {seed}"
            for name, array in found.items():
                theirs = reference[name]
                theirs = theirs.astype("f4") if theirs.dtype == ml_dtypes.bfloat16 else theirs
                assert array.tobytes() == theirs.tobytes(), f"seed {seed}"
    assert 300 < refusals < 580


def outcome(path: Path, seed: int) -> Arrays | None:
    """What is read; None: it is refused, and named."""
    try:
        with bounded(path.stat().st_size):
            return read_all(path)
    except ValueError as error:
        message = str(error)
    except BaseException as error:  # one that Rust panics with is no Exception
        raise AssertionError(f"seed {seed}") from error
    assert f"{str(path)!r} can't be read as a file of safetensors: " in message, f"seed {seed}"
    assert "\n" not in message, f"seed {seed}"
    return None
