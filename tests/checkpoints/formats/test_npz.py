"""NumPy's `.npz` files: every number as NumPy reads it, nothing unpickled; damage is an error that names the file."""

import contextlib
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from keras_resnet.checkpoints.formats.npz import NpzFile, is_npz
from keras_resnet.checkpoints.open import open_source
from tests.helpers.bounds import bounded

pytestmark = pytest.mark.one_backend

Arrays = dict[str, Any]
RNG = np.random.default_rng(0)
SMALL: Arrays = {
    "resnet/root_block/standardized_conv2d/kernel": RNG.standard_normal((3, 3, 3, 8)).astype("f4"),
    "resnet/group_norm/gamma": RNG.standard_normal(8).astype("f4"),
    "columns": np.asfortranarray(RNG.standard_normal((3, 4, 5))),
    "none": np.zeros((0, 3), "f4"),
    "step": np.array(7),
}
SAVES: dict[str, Callable[..., Any]] = {"stored": np.savez, "deflated": np.savez_compressed}
saved = pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)


def write(path: Path, held: Arrays, save: Callable[..., Any] = np.savez) -> Path:
    with path.open("wb") as file:
        save(file, **held)
    return path


def read_all(path: Path) -> Arrays:
    file = NpzFile.open(path)
    return {name: file.read(name) for name in file.shapes}


def refused(path: Path, reason: str) -> None:
    """It is refused by its name, and little is spent on it."""
    told = f"{path.name}' can't be read as a file of np.savez: .*{reason}"
    with bounded(path.stat().st_size), pytest.raises(ValueError, match=told):
        read_all(path)


@saved
def test_every_array_is_that_which_was_saved(save: Callable[..., Any], tmp_path: Path) -> None:
    types = [*("f2", "f4", "f8", ">f4", "bool"), *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8))]
    bits = {dtype: RNG.integers(0, 2 if dtype == "bool" else 100, 96, "u1").tobytes() for dtype in types}
    held = {dtype: np.frombuffer(data, dtype).reshape(2, 1, -1) for dtype, data in bits.items()} | SMALL
    held["large"] = RNG.standard_normal((300, 400)).astype("f4")  # of more than one piece
    path = write(tmp_path / "net.npz", held, save)
    file, theirs = NpzFile.open(path), np.load(path)
    assert file.path == path
    assert list(file.shapes) == list(file.dtypes) == sorted(held)
    for name, value in held.items():
        mine = file.read(name)
        assert mine.shape == file.shapes[name] == value.shape
        assert mine.dtype == value.dtype.newbyteorder("=")
        assert file.dtypes[name] == str(mine.dtype)
        assert mine.flags.c_contiguous
        assert mine.flags.writeable
        np.testing.assert_array_equal(mine, value)
        np.testing.assert_array_equal(mine, theirs[name])
    with pytest.raises(KeyError, match="nothing"):
        file.read("nothing")


def test_what_it_is_is_told_by_content(tmp_path: Path) -> None:
    for name in ("net.npz", "net.h5", "net.pth"):
        assert is_npz(write(tmp_path / name, SMALL))
        assert isinstance(open_source(tmp_path / name), NpzFile)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "net.npz").read_bytes()[:-99])
    assert is_npz(tmp_path / "cut.npz")
    refused(tmp_path / "cut.npz", "it does not end as a zip does: was its download cut off[?]")
    (tmp_path / "empty").touch()
    np.save(tmp_path / "one.npy", SMALL["columns"])
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", b"")
    for other in ("empty", "one.npy", "other.zip", "missing", "a\0b", "x" * 999, "."):
        assert not is_npz(tmp_path / other)
    with pytest.raises(ValueError, match="can't be read as a file of np.savez: there is no such file"):
        NpzFile.open(tmp_path / "missing")


@saved
def test_only_headers_are_read_at_first_and_sums_are_checked(save: Callable[..., Any], tmp_path: Path) -> None:
    value = RNG.integers(0, 4, (500, 2000)).astype("f4")
    path = write(tmp_path / "net.npz", {"a": value}, save)
    with bounded(20_000):
        file = NpzFile.open(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="'a' of '.*' can't be read as a file of np.savez: .*(checksum|damaged)"):
        file.read("a")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="'a' of '.*' can't be read as a file of np.savez: it is truncated"):
        file.read("a")


# ---- What NumPy doesn't write, or does with pickles.


def member(header: bytes, data: bytes = bytes(64), version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header + data


def by_hand(path: Path, *members: bytes, name: str = "a.npy", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("first.npy", member(b"{'descr': '<f4', 'fortran_order': False, 'shape': (16,), }\n"))
        for each in members:
            archive.writestr(name, each)
    return path


def header(shape: str = "(16,)", descr: str = "'<f4'", order: str = "False") -> bytes:
    return b"{'descr': %b, 'fortran_order': %b, 'shape': %b, }\n" % (descr.encode(), order.encode(), shape.encode())


HEADERS = {
    "a pickle": (header(descr="'|O'"), "'a.npy' holds pickled objects, which are not read"),
    "fields": (header(descr="[('x', '<f4')]"), "is no plain array: its header is"),
    "text": (header("(4,)", "'<U4'"), "is of the type '<U4', which is not read"),
    "bytes": (header("(1,)", "'|V64'"), "is of the type '.V64', which is not read"),
    "complex numbers": (header("(8,)", "'<c8'"), "is of the type '<c8', which is not read"),
    "long doubles": (header("(4,)", "'<f16'"), "is of the type '<f16', which is not read"),
    "many in one": (header("(1,)", "'(16,)<f4'"), "is of the type '.16,.<f4', which is not read"),
    "too few numbers": (header("(15,)"), r"'a.npy' of the shape \(15,\) has .* bytes"),
    "too many numbers": (header("(1 << 40,)"), "is no plain array"),
    "very many numbers": (header("(99999999999,)"), r"of the shape \(99999999999,\) has"),
    "an absurd shape": (header("(4611686018427387904, 4)"), "absurd"),
    "an absurd shape of nothing": (header("(0, 9223372036854775807, 9)"), "absurd"),
    "forty dimensions": (header("(16," + "1," * 39 + ")"), "absurd"),
    "a negative shape": (header("(-16,)"), "is no plain array"),
    "a fraction": (header("(16.0,)"), "is no plain array"),
    "an order that is a number": (header(order="0"), "is no plain array"),
    "a program": (header("(__import__('os').getpid(),)"), "is no plain array"),
    "very deep": (header("(" * 3000 + ")" * 3000), "is no plain array"),
    "no end": (b"{'descr': '<f4'", "is no plain array"),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("case", HEADERS)
def test_a_header_with_something_wrong_is_refused(case: str, method: int, tmp_path: Path) -> None:
    refused(by_hand(tmp_path / "net.npz", member(HEADERS[case][0]), method=method), HEADERS[case][1])


def test_what_is_no_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    for data in (b"", b"\x93NUMPY", b"\x93NUMPY\1", b"\x93NUMPY\4\0abcd", b"\x80\x04N.", bytes(99)):
        refused(by_hand(path, data), "'a.npy' does not begin as an array does|is no plain array")
    refused(by_hand(path, member(header())[:-1]), r"of the shape \(16,\) has 132 bytes")
    refused(by_hand(path, member(header() + b" " * 5000)), "is no plain array")
    refused(by_hand(path, b"text", name="README.md"), "'README.md' is no array")
    with pytest.warns(UserWarning, match="Duplicate name"):
        by_hand(path, member(header()), member(header()))
    refused(path, "two members of the name 'a.npy'")
    refused(by_hand(path, member(header()), method=zipfile.ZIP_BZIP2), "compressed, otherwise than by deflate")
    refused(by_hand(path, member(header("(64,)", "'|b1'"), b"\2" * 64)), "2 is neither true nor false")


def test_headers_of_every_version_and_of_python_2_are_read(tmp_path: Path) -> None:
    data = RNG.standard_normal(16).astype("f4")
    for shape, expected in (("(4L, 4L)", (4, 4)), ("(16L,)", (16,)), ("(2,2,4)", (2, 2, 4))):
        for version in (b"\1\0", b"\2\0", b"\3\0"):
            path = by_hand(tmp_path / "net.npz", member(header(shape), data.tobytes(), version))
            np.testing.assert_array_equal(NpzFile.open(path).read("a"), data.reshape(expected))


# ---- Bombs.


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def test_what_would_be_very_much_larger_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.npz", {f"{i}": np.zeros(1 << 20, "f4") for i in range(4)}, np.savez_compressed)
    refused(path, "bytes would be 16777728 when they are inflated, which no weights are")
    head = {"head": np.zeros(1 << 19, "f4"), "body": RNG.standard_normal(1 << 15).astype("f4")}  # as BiT-M's may be
    assert not read_all(write(path, head, np.savez_compressed))["head"].any()


def test_no_more_is_inflated_than_a_member_says(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.npz", member(header()), method=zipfile.ZIP_DEFLATED)
    large = deflated(member(header(), bytes(50_000_000)))
    data = path.read_bytes()
    at, end = data.rindex(b"PK\3\4"), data.rindex(b"PK\1\2")
    first = data.index(b"PK\1\2")
    packed = struct.pack("<I", len(large))
    local = data[at:first][: 30 + len("a.npy")]
    entry = data[end:-22]
    entry = entry[:20] + packed + entry[24:]
    body = data[:at] + local + large
    directory = data[first:end] + entry
    path.write_bytes(body + directory + data[-22:-10] + struct.pack("<2IH", len(directory), len(body), 0))
    file = NpzFile.open(path)
    assert file.shapes["a"] == (16,)
    with bounded(path.stat().st_size), pytest.raises(ValueError, match="the size or the checksum of b'a.npy' is wrong"):
        file.read("a")


# ---- More than 4 GB.


def test_a_file_of_more_than_4_gb_is_read(tmp_path: Path) -> None:
    """Its second array lies behind a hole, which takes no place."""
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", member(header()))
        archive.start_dir = 5 << 30
        buffer = io.BytesIO()
        np.save(buffer, SMALL["columns"])
        archive.writestr("b.npy", buffer.getvalue())
    assert path.stat().st_size > 5 << 30
    found = read_all(path)
    np.testing.assert_array_equal(found["b"], SMALL["columns"])
    assert found["a"].shape == (16,)


def test_numbers_that_stand_in_an_extension_are_taken_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    data = write(tmp_path / "net.npz", SMALL).read_bytes()
    assert b"PK\6\6" in data
    end = data[-22:-14] + b"\xff" * 12 + b"\0\0"
    for last in (data[-22:], end, end[:8] + b"\xff\xff\xff\xff" + end[12:]):
        path = tmp_path / "net.npz"
        path.write_bytes(data[:-22] + last)
        found = read_all(path)
        assert all(np.array_equal(found[name], value) for name, value in SMALL.items())
    for at, value in ((8, 1 << 63), (8, len(data)), (0, 0)):  # of the locator, which is before the end
        locator = data[-42 : -42 + at] + struct.pack("<Q", value) + data[-42 + at + 8 : -22]
        path.write_bytes(data[:-42] + locator + end)
        refused(path, "the directory of the zip")
    large = data.rindex(b"PK\6\6")
    for at in (32, 40, 48):  # members, size and start of the directory
        path.write_bytes(data[: large + at] + b"\xff" * 8 + data[large + at + 8 : -22] + end)
        refused(path, "the directory of the zip")


# ---- Anything.


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes with something wrong, mostly in the directory or a header."""
    directory = data.index(b"PK\1\2")
    begin, end = rng.choice(((directory, len(data)), (directory, len(data)), (0, 200), (0, len(data))))
    at, other, size = rng.randrange(begin, end), rng.randrange(begin, end), rng.randrange(1, 20)
    match rng.randrange(6):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size))) + data[at + size :]
        case 3:
            return data[:at] + data[other : other + size] + data[at + size :]
        case 4:
            return data[:at] + data[other : other + size] + data[at:]
        case _:
            number = rng.choice((0, 1, at, len(data), 1 << 24, (1 << 32) - 1))
            return data[:at] + number.to_bytes(4, "little") + data[at + 4 :]


@saved
@pytest.mark.parametrize("large", [False, True])
def test_damage_is_refused_or_changes_no_number(
    save: Callable[..., Any], large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but a `ValueError` is raised, nothing hangs, and no memory is spent on a file's word."""
    if large:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    path = write(tmp_path / "net.npz", SMALL, save)
    data, refusals = path.read_bytes(), 0
    for seed in range(300):
        path.write_bytes(damaged(data, random.Random(seed)))
        with contextlib.suppress(ValueError):  # of whichever reader it is for
            open_source(path)
        found = outcome(path, seed)
        refusals += found is None
        if found is not None:
            assert found.keys() == SMALL.keys(), f"seed {seed}"
            assert all(np.array_equal(found[name], value) for name, value in SMALL.items()), f"seed {seed}"
    assert 150 < refusals < 295


def outcome(path: Path, seed: int) -> Arrays | None:
    """What is read; None: it is refused, and named."""
    try:
        with bounded(path.stat().st_size):
            return read_all(path)
    except ValueError as error:
        message = str(error)
    except BaseException as error:
        raise AssertionError(f"seed {seed}") from error
    assert f"{str(path)!r} can't be read as a file of np.savez: " in message, f"seed {seed}"
    assert "\n" not in message, f"seed {seed}"
    return None


def test_types_that_numpy_lacks_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "net.npz", {"halves": np.ones(3, ml_dtypes.bfloat16)})
    refused(path, "'halves.npy' is of the type '.V2', which is not read here")
