"""TensorFlow's checkpoints: every number as TensorFlow reads it, and damage of any kind is an error that names it."""

import random
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.tensorflow.bundle import Bundle, is_checkpoint
from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message, varint, varints
from keras_resnet.checkpoints.formats.tensorflow.table import Table, decompress, masked_crc32c
from keras_resnet.checkpoints.open import open_source
from tests.helpers.bounds import bounded
from tests.helpers.tf_writer import (
    HEADER,
    Arrays,
    blob,
    block,
    finish,
    handle,
    integer,
    number,
    seal,
    shape,
    squeeze,
    table,
    write_v1,
    write_v2,
)

pytestmark = pytest.mark.one_backend
SLIM = Path(__file__).parents[2] / "goldens" / "slim"
GOLDENS = [
    *(SLIM / net / "model.ckpt" for net in ("v1_2222", "v2_2222", "v1_3463", "v2_3463")),
    *(SLIM / net / "public_like_v1format.ckpt" for net in ("v1_2222", "v2_2222")),
]


def assert_same(bundle: Bundle, expected: Arrays) -> None:
    """Names, shapes, types and bits; and each array is its own."""
    assert list(bundle.shapes) == list(bundle.dtypes) == sorted(expected)
    for name, array in expected.items():
        mine = bundle.read(name)
        assert mine.shape == bundle.shapes[name] == array.shape
        assert mine.dtype == bundle.dtypes[name] == array.dtype
        assert mine.dtype.isnative
        assert mine.flags.c_contiguous
        assert mine.flags.writeable
        assert mine.tobytes() == array.tobytes(), name


# ---- What TensorFlow wrote.


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_tensor_is_that_which_tensorflow_saved(path: Path) -> None:
    expected = dict(np.load(SLIM / f"{path.parent.name}.npz"))
    bundle = Bundle.open(path)
    if path.suffix == ".ckpt" and path.is_file():  # what Slim's own files hold besides
        expected |= {name: bundle.read(name) for name in bundle.shapes if name.endswith(("mean_rgb", "global_step"))}
    assert bundle.path == path
    assert_same(bundle, expected)


def test_the_index_stands_for_its_bundle() -> None:
    assert Bundle.open(f"{GOLDENS[0]}.index").shapes == Bundle.open(GOLDENS[0]).shapes


def test_tensorflow_reads_the_same(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    for path in GOLDENS:
        reader = tf.train.load_checkpoint(str(path))
        assert_same(Bundle.open(path), {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})

    rng = np.random.default_rng(0)
    types = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128"
    bits = {dtype: rng.integers(0, 2 if dtype == "bool" else 256, 96, "u1").tobytes() for dtype in types.split()}
    arrays: Arrays = {f"{dtype}/random": np.frombuffer(data, dtype).reshape(2, 1, -1) for dtype, data in bits.items()}
    arrays |= {f"{dtype}/scalar": np.frombuffer(data, dtype)[3] for dtype, data in bits.items()}
    arrays |= {f"{dtype}/empty": np.zeros((3, 0, 2), dtype) for dtype in types.split()}
    arrays |= {"large": rng.standard_normal((300, 1000)).astype("f4"), "zeros": np.zeros((300, 1000), "f4")}
    arrays |= {"\u00fcber/gr\u00f6\u00dfe:0": np.arange(200000) * -3, "text": np.array([b"no numbers"], object)}

    def save(arrays: Arrays, version: int, **more: Any) -> Bundle:
        path, names = str(tmp_path / f"v{version}"), list(arrays)
        if version == 2:
            slices = more.pop("slices", [""] * len(names))
            tf.raw_ops.SaveV2(prefix=path, tensor_names=names, shape_and_slices=slices, tensors=list(arrays.values()))
        elif "slices" in more:
            tf.raw_ops.SaveSlices(
                filename=path, tensor_names=names, shapes_and_slices=more["slices"], data=list(arrays.values())
            )
        else:
            tf.raw_ops.Save(filename=path, tensor_names=names, data=list(arrays.values()))
        return Bundle.open(path)

    numbers = {name: value for name, value in arrays.items() if name != "text"}
    half = tf.constant(rng.standard_normal(99), tf.bfloat16)
    assert_same(save(arrays | {"bfloat16": half}, 2), numbers | {"bfloat16": tf.cast(half, tf.float32).numpy()})
    of_v1 = {name: value for name, value in arrays.items() if not name.startswith(("uint32", "uint64"))}
    numbers = {name: value for name, value in of_v1.items() if name != "text"}
    assert_same(save(of_v1, 1), numbers)
    assert_same(save(of_v1, 1, slices=[""] * len(of_v1)), numbers)

    parts: Arrays = {"whole": np.ones(3, "f4"), "part": np.ones((2, 5), "f4")}
    for version in (1, 2):
        bundle = save(parts, version, slices=["", "4 5 0,2:0,5"])
        assert bundle.shapes == {"whole": (3,), "part": (4, 5)}
        assert bundle.read("whole").tolist() == [1, 1, 1]
        with pytest.raises(ValueError, match="'part' of .*v[12]' can't be read .*saved in slices"):
            bundle.read("part")

    squeezed = write_v1(tmp_path / "squeezed", SMALL, compressed=True)
    for path in (squeezed, write_v1(tmp_path / "ours1", SMALL), write_v2(tmp_path / "ours2", SMALL)):  # damaged below
        reader = tf.train.load_checkpoint(str(path))
        assert set(reader.get_variable_to_shape_map()) == set(SMALL)
        for name, array in SMALL.items():
            assert np.array_equal(reader.get_tensor(name), array)


@pytest.mark.parametrize("path", [*GOLDENS[:1], *GOLDENS[-1:]], ids=["v2", "v1"])
def test_what_is_a_checkpoint_is_told_by_its_end(path: Path, tmp_path: Path) -> None:
    assert is_checkpoint(path)
    assert is_checkpoint(str(path))
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(bytes.fromhex("57fb808b247547db"))
    (tmp_path / "folder.index").mkdir()
    others = [tmp_path / name for name in ("empty", "short", "folder", "folder.index", "missing", "x" * 999, "a\0b")]
    others += [tmp_path, SLIM / "v1_2222.npz", Path(f"{GOLDENS[0]}.data-00000-of-00001"), Path("")]
    for other in others:
        assert not is_checkpoint(other)
        with pytest.raises(ValueError, match="can't be read as a TensorFlow checkpoint: "):
            Bundle.open(other)


def test_a_name_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        Bundle.open(GOLDENS[0]).read("nothing")


# ---- Checksums.


def test_checksums_have_the_published_values() -> None:
    """RFC 3720, B.4, and the check value of the polynomial's catalogue; masked as LevelDB's crc32c.h does it."""
    published = {
        bytes(32): 0x8A9136AA,
        b"\xff" * 32: 0x62A8AB43,
        bytes(range(32)): 0x46DD794E,
        bytes(range(31, -1, -1)): 0x113FDB5C,
        b"123456789": 0xE3069283,
        b"": 0,
    }
    for data, crc in published.items():
        rotated = crc >> 15 | (crc & 0x7FFF) << 17
        assert masked_crc32c(data) == (rotated + 0xA282EAD8) % (1 << 32)


@pytest.mark.parametrize("path", [*GOLDENS[:1], *GOLDENS[-1:]], ids=["v2", "v1"])
def test_without_the_library_of_checksums_it_is_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage is what a checkpoint without them could hold unseen; none is taken for another thing for that."""
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    assert is_checkpoint(path)
    for reader in (Bundle.open, open_source):
        with pytest.raises(ImportError, match=r"needs google_crc32c: pip install 'keras3-resnet\[checkpoints\]'"):
            reader(path)


# ---- What no TensorFlow wrote: tables, messages and compressed data made here, to be damaged with valid checksums.


SMALL: Arrays = {
    "a/bias": np.arange(7, dtype="f4") / 3,
    "a/kernel": np.random.default_rng(1).standard_normal((3, 3, 4, 8)).astype("f4"),
    "b/bias": np.zeros(600, "f4"),
    "b/flags": np.array([True, False, True]),
    "b/kernel": np.random.default_rng(2).standard_normal((5, 40)).astype("f4"),
    "c/empty": np.zeros((0, 4), "f4"),
    "c/numbers": np.array([[-1, 1 << 40], [1 << 62, -(1 << 63)]]),
    "step": np.array(-5, "i4"),
}


def read_all(path: Path) -> Arrays:
    bundle = Bundle.open(path)
    return {name: bundle.read(name) for name in bundle.shapes}


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ValueError, match=f"{path.name}.* can't be read as a TensorFlow checkpoint: .*{reason}"):
        read_all(path)


def test_what_is_damaged_below_is_whole(tmp_path: Path) -> None:
    assert_same(Bundle.open(write_v2(tmp_path / "v2", SMALL)), SMALL)
    assert_same(Bundle.open(write_v1(tmp_path / "v1", SMALL)), SMALL)
    squeezed = write_v1(tmp_path / "squeezed", SMALL, compressed=True)
    assert_same(Bundle.open(squeezed), SMALL)
    assert squeezed.stat().st_size < (tmp_path / "v1").stat().st_size - 2000


def test_the_parts_of_a_partitioned_variable_have_no_names(tmp_path: Path) -> None:
    assert_same(Bundle.open(write_v2(tmp_path / "v2", SMALL | {"\0part": SMALL["a/bias"]})), SMALL)


def test_what_must_not_be_read_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> bytes:
        raise PermissionError("denied")

    path = write_v1(tmp_path / "v1", SMALL)
    monkeypatch.setattr("keras_resnet.checkpoints.formats.tensorflow.table.read_bytes", denied)
    assert not is_checkpoint(path)
    with pytest.raises(PermissionError, match="denied"):
        Bundle.open(path)


def test_in_order_each_block_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, entries = Bundle.open(GOLDENS[-1]), Table.entries
    counted: list[int] = []

    def counting(table: Table, block: int) -> Any:
        counted.append(block)
        return entries(table, block)

    monkeypatch.setattr(Table, "entries", counting)
    for name in bundle.shapes:
        bundle.read(name)
    assert counted == list(range(len(counted)))


def test_only_names_are_read_at_first(tmp_path: Path) -> None:
    path = write_v1(tmp_path / "v1", {f"{i}": np.ones(50000, "f4") for i in range(20)})
    read_all(path)
    tracemalloc.start()
    Bundle.open(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 3  # four values are in the first block


V2: dict[str, tuple[dict[str, Any], str]] = {
    "dimensions beyond any memory": ({"shape": shape(1 << 40, 1 << 40)}, "absurd"),
    "no memory, of absurd dimensions": ({"shape": shape(0, 1 << 62, 1 << 62), "size": 0}, "absurd"),
    "a negative dimension": ({"shape": shape(-1, 3)}, "absurd"),
    "a hundred dimensions": ({"shape": shape(*[1] * 100)}, "absurd"),
    "no rank": ({"shape": integer(3, 1)}, "no shape"),
    "another shape": ({"shape": shape(4)}, r"'b/flags', \(4,\) of bool, can't be of 3 bytes"),
    "a large shape": ({"shape": shape(1 << 50)}, "can't be of 3 bytes"),
    "an offset past the end": ({"start": 1 << 40}, "ends past the end of '.*data-00000-of-00001'"),
    "an offset just past the end": ({"start": sum(array.nbytes for array in SMALL.values()) - 2}, "past the end of"),
    "a negative offset": ({"start": -1}, "ends past the end of"),
    "a large size": ({"size": 1 << 60, "shape": shape(1 << 60)}, "ends past the end of"),
    "another shard": ({"shard": 7}, "no file '.*data-00007-of-00001'"),
    "another place": ({"start": 5}, "the checksum is wrong"),
    "another checksum": ({"crc": 12345}, "the checksum is wrong"),
    "slices": ({"more": blob(7, b"")}, "saved in slices"),
    "a name that is no text": ({"name": b"b/f\xff"}, "no text"),
    "a name that comes earlier": ({"name": b"a"}, "not in order"),
    "a name twice": ({"name": b"b/bias"}, "not in order"),
    "a group": ({"more": b"\x0b"}, "of kind 3"),
    "field 0": ({"more": b"\x00\x00"}, "field 0"),
    "a long number": ({"more": b"\x08" + b"\x80" * 10 + b"\x01"}, "more than 64 bits"),
    "a large number": ({"more": b"\x08" + b"\xff" * 9 + b"\x02"}, "more than 64 bits"),
    "a number cut off": ({"more": b"\x08\x80"}, "cut off"),
    "a field cut off": ({"more": blob(9, b"long")[:-1]}, "past the end of its message"),
    "a word cut off": ({"more": b"\x35\x00\x00"}, "past the end of its message"),
    "a number for a message": ({"more": integer(2, 5)}, "field 2 of a message is a number"),
    "a message for a number": ({"more": blob(4, b"5")}, "field 4 of a message is no number"),
}  # fmt: skip


@pytest.mark.parametrize("case", V2)
def test_a_bundle_with_one_wrong_entry_is_refused(case: str, tmp_path: Path) -> None:
    changes, reason = V2[case]
    refused(write_v2(tmp_path / "net", SMALL, lambda entry: entry.update(changes)), reason)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (integer(1, 1) + integer(2, 1), "big-endian"),
        (integer(1, 1) + blob(3, integer(2, 2)), "reader of version 2"),
        (integer(1, (1 << 31) - 1), "no file '.*data-00000-of-2147483647'"),
        (integer(1, -1), "no file"),
        (b"", "no file '.*data-00000-of-00000'"),
        (blob(1, b""), "no number"),
    ],
)
def test_a_bundle_with_a_wrong_header_is_refused(header: bytes, reason: str, tmp_path: Path) -> None:
    refused(write_v2(tmp_path / "net", SMALL, header=header), reason)


def test_tensors_that_share_their_numbers_are_refused(tmp_path: Path) -> None:
    """Each would be no larger than the file, but all of them could be of any size."""
    size = sum(array.nbytes for array in SMALL.values())
    changes = {"type": 4, "shape": shape(size), "start": 0, "size": size}
    refused(write_v2(tmp_path / "net", SMALL, lambda entry: entry.update(changes)), "larger than '.*data-00000")


def test_true_and_false_are_0_and_1(tmp_path: Path) -> None:
    changes = {"start": 4, "crc": masked_crc32c(SMALL["a/bias"].tobytes()[4:7])}
    refused(write_v2(tmp_path / "v2", SMALL, lambda entry: entry.update(changes)), "171 is neither true nor false")
    refused(write_v1(tmp_path / "v1", SMALL, lambda entry: entry.update(values=blob(11, b"\0\1\2"))), "2 is neither")


V1: dict[str, tuple[dict[str, Any], str]] = {
    "dimensions beyond any memory": ({"shape": shape(1 << 40, 1 << 40)}, "absurd"),
    "a large shape": ({"shape": shape(1 << 50)}, "not the dimensions of 3 numbers"),
    "too few numbers": ({"values": blob(11, b"\0\1")}, "not the dimensions of 2 numbers"),
    "numbers of another type": ({"values": blob(10, b"\0\1\0")}, "not the dimensions of 0 numbers"),
    "a number too large": ({"values": blob(11, b"\0\1" + number(256))}, "too large for bool"),
    "a number cut off": ({"values": blob(11, b"\0\1\x80")}, "cut off"),
    "a number of 70 bits": ({"values": blob(11, b"\0\1" + b"\xff" * 9 + b"\x02")}, "more than 64 bits"),
    "a number of 11 bytes": ({"values": blob(11, b"\0\1" + b"\x80" * 10 + b"\0")}, "more than 64 bits"),
    "floats cut off": ({"values": blob(5, b"\0\1\0"), "type": 1}, "cut off"),
    "a name twice": ({"times": 2}, "'b/flags' is there twice"),
    "another's numbers": ({"saved": "b/bias"}, "in its place are the numbers of 'b/bias'"),
    "no numbers": ({"key": b"b/other"}, "its numbers are missing"),
    "no numbers after the last": ({"name": "z"}, "its numbers are missing"),
    "slices": ({"slices": blob(4, blob(1, b"")) * 2}, "saved in slices"),
    "a slice": ({"slices": blob(4, blob(1, integer(2, 3)))}, "saved in slices"),
}


@pytest.mark.parametrize("case", V1)
def test_a_v1_file_with_one_wrong_tensor_is_refused(case: str, tmp_path: Path) -> None:
    changes, reason = V1[case]
    refused(write_v1(tmp_path / "net", SMALL, lambda entry: entry.update(changes)), reason)


def tables() -> Iterator[tuple[str, bytes, str]]:
    """Tables with valid checksums, and what is wrong with each."""
    head = (b"", HEADER)
    first = seal(block([head]))
    yield "nothing", finish(b"", []), "no header"
    yield "no header", table([(b"a", HEADER)]), "no header"
    yield "a block at the index", finish(first, [(b"", handle(len(first) + 13, 9))]), "past the last"
    yield "a block at itself", finish(first, [(b"", handle(0, len(first) - 5)), (b"a", handle(0, 9))]), "overlap"
    yield "a block that overlaps", finish(first, [(b"", handle(0, len(first) - 5)), (b"a", handle(3, 9))]), "overlap"
    yield "a block past the end", finish(first, [(b"", handle(1 << 63, 9))]), "past the last"
    yield "a large block", finish(first, [(b"", handle(0, 1 << 62))]), "past the last"
    yield (
        "blocks out of order",
        finish(first * 2, [(b"a", handle(0, 9)), (b"a", handle(len(first), 9))]),
        "not in order",
    )
    yield (
        "a key past its block",
        finish(seal(block([(b"b", b"")])), [(b"a", handle(0, len(block([(b"b", b"")]))))]),
        "order",
    )
    yield "an index past the end", finish(first, [(b"", handle(0, 9))], 1 << 40), "past the end of what can hold it"
    yield "an index at the footer", finish(first, [(b"", handle(0, 9))], len(first) + 60), "past the end of what can"
    unknown = seal(block([head]), 7)
    yield "an unknown compression", finish(unknown, [(b"", handle(0, len(unknown) - 5))]), "unknown way, 7"
    endless = block([head, (b"x" * 999, b"")])[:-8] + b"".join(b"\xe7\7\1\0" + bytes([i]) for i in range(99))
    for name, contents, reason in (
        ("nothing at all", b"", "list of restarts"),
        ("restarts without end", b"\0\0\0" + b"\xff" * 4, "list of restarts"),
        ("one restart too many", b"\0\0\0" + b"\2\0\0\0", "list of restarts"),
        ("more shared than there is", b"\1\0\0" + bytes(4) + b"\1\0\0\0", "past the block's end"),
        ("a value past the end", b"\0\0\1" + bytes(4) + b"\1\0\0\0", "past the block's end"),
        ("a key past the end", b"\0\1\0" + bytes(4) + b"\1\0\0\0", "past the block's end"),
        ("an entry cut off", b"\0\x80" + bytes(4) + b"\1\0\0\0", "past the block's end|cut off"),
        ("keys without end", endless + bytes(4) + b"\1\0\0\0", "share more"),
    ):
        sealed = seal(contents)
        yield name, finish(sealed, [(b"z", handle(0, len(contents)))]), reason


@pytest.mark.parametrize(("contents", "reason"), [case[1:] for case in tables()], ids=[case[0] for case in tables()])
def test_a_table_with_a_wrong_structure_is_refused(contents: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "net.index").write_bytes(contents)
    (tmp_path / "net.data-00000-of-00001").touch()
    with bounded(len(contents)):
        refused(tmp_path / "net", reason)


def test_snappy_gives_back_what_was_compressed() -> None:
    rng = np.random.default_rng(0)
    for data in (b"", b"abc", bytes(1000), rng.bytes(1000), rng.integers(0, 2, 3000, "u1").tobytes()):
        assert decompress(memoryview(squeeze(data))) == data
    long = rng.bytes(70000)
    for size, tag in ((60, b""), (61, b"\x3c"), (256, b"\xff"), (65536, b"\xff\xff"), (70000, b"\x6f\x11\x01")):
        head = bytes([59 << 2]) if not tag else bytes([59 + len(tag) << 2]) + tag
        assert decompress(memoryview(number(size) + head + long[:size])) == long[:size]
    far = number(70004) + bytes([61 << 2]) + b"\xff\xff" + long[:65536] + bytes([61 << 2]) + b"\x6f\x11" + long[65536:]
    assert decompress(memoryview(far + bytes([3 << 2 | 3]) + b"\x70\x11\x01\x00")) == long + long[:4]
    near = number(311) + bytes([61 << 2]) + b"\x2b\x01" + long[:300] + bytes([7 << 2 | 1 << 5 | 1, 0x2C])
    assert decompress(memoryview(near)) == long[:300] + long[:11]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (number(1 << 40) + b"\0a", "can't hold 1099511627776"),
        (number(67) + b"\0a" + b"\xfe\1\0", "can't|are not the 67"),
        (number(66) + b"\0a" + b"\xfe\1\0", "are not the 66"),
        (number(64) + b"\0a" + b"\xfe\1\0", "are not the 64"),
        (number(2) + b"\0", "cut off"),
        (number(9) + b"\x08ab", "cut off"),
        (number(9) + b"\xf4\x09", "cut off"),
        (number(9) + b"\0a\x02\x01", "cut off"),
        (number(9) + b"\0a\x01", "cut off"),
        (number(5) + b"\0a\x01\x00", "repeat what is not there"),
        (number(5) + b"\0a\x01\x02", "repeat what is not there"),
        (number(5) + b"\0a\x0f\xff\xff\xff\xff", "repeat what is not there"),
        (b"\x80" * 20, "64 bits"),
    ],
)
def test_damaged_snappy_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decompress(memoryview(data))


def test_numbers_in_a_row_are_those_one_by_one() -> None:
    rng = random.Random(0)
    values = [rng.getrandbits(rng.choice((0, 7, 8, 32, 63, 64))) for _ in range(50000)]
    data = memoryview(b"".join(map(number, values)))
    assert np.concatenate(list(varints(data))).tolist() == values
    assert [varint(memoryview(number(value)), 0)[0] for value in values] == values
    assert bytes(Message(memoryview(b"")).blob(1)) == b""


# ---- Anything.


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes with one thing wrong."""
    at, size = rng.randrange(len(data)), rng.randrange(1, 40)
    other = rng.randrange(len(data))
    match rng.randrange(6):
        case 0:
            return flipped(data, rng)
        case 1:
            return data[:at]
        case 2:
            return data[:at] + rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size))) + data[at + size :]
        case 3:
            return data[:at] + data[other : other + size] + data[at + size :]
        case 4:
            return data[:at] + data[other : other + size] + data[at:]
        case _:
            return data[:at] + data[at + size :]


def spoiled(file: Path, rng: random.Random) -> bytes:
    """A table with one thing wrong in one of its blocks, as if it had been written so: the checksums are right."""
    raw, old = file.read_bytes(), Table(str(file))
    blocks = [raw[start : start + size] for start, size in old._handles]
    index = block([(key, handle(*where)) for key, where in zip(old._last, old._handles, strict=True)])
    victim = rng.randrange(-1, len(blocks))
    kind, body, entries = raw[old._handles[0][1]], b"", []
    for number_of, (key, contents) in enumerate(zip(old._last, blocks, strict=True)):
        sealed = seal(damaged(contents, rng) if number_of == victim else contents, kind)
        entries.append((key, handle(len(body), len(sealed) - 5)))
        body += sealed
    if victim >= 0:
        return finish(body, entries)
    meta, last = seal(block([])), seal(damaged(index, rng))
    footer = handle(len(body), len(meta) - 5) + handle(len(body) + len(meta), len(last) - 5)
    return body + meta + last + footer.ljust(40, b"\0") + raw[-8:]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files to damage."""
    folder = tmp_path_factory.mktemp("small")
    write_v2(folder / "v2", SMALL)
    write_v1(folder / "v1", SMALL)
    write_v1(folder / "squeezed", SMALL, compressed=True)
    read_all(folder / "squeezed")  # what is computed once is no memory of a file
    return {path.name: path for path in folder.iterdir()}


def outcome(small: dict[str, Path], name: str, contents: bytes, folder: Path) -> Arrays | None:
    """What is read with one file replaced; None: it is refused, and named."""
    for other, path in small.items():
        (folder / other).write_bytes(contents if other == name else path.read_bytes())
    prefix = folder / name.split(".")[0]
    with bounded(sum(path.stat().st_size for path in folder.glob(f"{prefix.name}*"))):
        try:
            return read_all(prefix)
        except ValueError as error:
            message = str(error)
    assert str(prefix) in message
    assert "\n" not in message
    return None


@pytest.mark.parametrize("name", ["v1", "squeezed", "v2.index", "v2.data-00000-of-00001"])
def test_damage_is_refused_or_hits_nothing_that_is_read(small: dict[str, Path], name: str, tmp_path: Path) -> None:
    """The checksums see to it."""
    rng = random.Random(name)
    whole = small[name].read_bytes()
    refusals = 0
    for _ in range(150):
        found = outcome(small, name, damaged(whole, rng), tmp_path)
        refusals += found is None
        for one, array in (found or {}).items():
            assert array.tobytes() == SMALL[one].tobytes()
            assert array.shape == SMALL[one].shape
        assert found is None or set(found) == set(SMALL)
    assert refusals > 120


@pytest.mark.parametrize("name", ["v1", "squeezed", "v2.index"])
def test_damage_that_no_checksum_shows_is_refused_or_harmless(
    small: dict[str, Path], name: str, tmp_path: Path
) -> None:
    """Whatever is read then, nothing but a `ValueError` is raised, and no memory is spent on a file's word."""
    rng = random.Random(name)
    refusals = sum(outcome(small, name, spoiled(small[name], rng), tmp_path) is None for _ in range(250))
    assert refusals > 100


@pytest.mark.parametrize("name", ["v1", "v2.index", "v2.data-00000-of-00001"])
def test_a_file_cut_off_anywhere_is_refused(small: dict[str, Path], name: str, tmp_path: Path) -> None:
    whole = small[name].read_bytes()
    for size in range(0, len(whole), 97):
        assert outcome(small, name, whole[:size], tmp_path) is None


def test_goldens_with_a_flipped_bit_are_refused_or_the_same(tmp_path: Path) -> None:
    rng = random.Random(0)
    index, data = Path(f"{GOLDENS[0]}.index").read_bytes(), Path(f"{GOLDENS[0]}.data-00000-of-00001").read_bytes()
    expected = np.load(SLIM / "v1_2222.npz")
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(data)
    for _ in range(20):
        (tmp_path / "model.ckpt.index").write_bytes(
            flipped(index[:-100], rng) + index[-100:]
        )  # the footer has a padding
        refused(tmp_path / "model.ckpt", "")
    (tmp_path / "model.ckpt.index").write_bytes(index)
    for _ in range(20):
        (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(flipped(data, rng))
        bundle, wrong = Bundle.open(tmp_path / "model.ckpt"), []
        for name in bundle.shapes:
            try:
                assert np.array_equal(bundle.read(name), expected[name])
            except ValueError as error:
                wrong.append(str(error))
        assert len(wrong) == 1
        assert "the checksum is wrong" in wrong[0]


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def test_the_order_of_goldens_keys_is_that_of_their_blocks() -> None:
    """Each block of Slim's V1 file is found by the key of what is in it."""
    whole = Table(str(GOLDENS[-1]))
    keys = [key for key, _ in whole]
    assert len(keys) > 100
    assert all(first < second for first, second in pairwise(keys))
    assert all(key in [found for found, _ in whole.entries(whole.find(key))] for key in keys[::10])
    assert list(whole.entries(whole.find(b"\xff"))) == []
