"""Zips, streams and tars: each storage is where and what it should be, or an error says what is wrong."""

import pickle
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.torch.file import is_torch_file
from tests.helpers.bounds import bounded
from tests.helpers.torch_writer import (
    BIG,
    ROW,
    assert_same,
    encode,
    load,
    opcodes,
    read_all,
    refused,
    storage,
    tensor,
    write,
    write_stream,
    write_zip,
)

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("where", ["data.pkl", "data/0"])
def test_a_zip_that_is_compressed_is_refused(where: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with zipfile.ZipFile(path, "w") as archive:
        pickled = b"\x80\x02" + encode(tensor(storage(count=5_000_000))) + b"."
        members = {"data.pkl": pickled, "data/0": bytes(20_000_000)}
        for name, contents in members.items():
            method = zipfile.ZIP_DEFLATED if name == where else zipfile.ZIP_STORED
            archive.writestr(f"top/{name}", contents[: 20_000_000 if name == where else 1000], method)
    with bounded(10_000):
        refused(path, f"'top/{where}' is compressed, which neither Keras nor PyTorch does")
    assert is_torch_file(path)


def zips() -> Iterator[tuple[str, Callable[[bytes], bytes], str]]:
    """What is wrong with a zip, the change that makes it so, and the reason that is given."""

    def put(at: int, form: str, *values: int, signature: bytes = b"PK\1\2") -> Callable[[bytes], bytes]:
        def change(data: bytes) -> bytes:
            start = data.index(signature) + at
            return data[:start] + struct.pack(form, *values) + data[start + struct.calcsize(form) :]

        return change

    end = b"PK\5\6"
    yield "encrypted", put(8, "<H", 1), "'top/data.pkl' is encrypted"
    yield "compressed in an unknown way", put(10, "<H", 99), "'top/data.pkl' is compressed"
    yield "of another checksum", put(16, "<I", 5), "the checksum of the .* bytes at .* is wrong"
    yield "of two sizes", put(20, "<I", 5), "'top/data.pkl' is compressed"
    yield "of a large member", put(20, "<2I", 1 << 31, 1 << 31), "'top/data.pkl' ends past the end of the file"
    yield "of more than 4 GB", put(20, "<2I", 0xFFFFFFFF, 0xFFFFFFFF), "'top/data.pkl' ends past the end of the file"
    yield "of a small member", put(20, "<2I", 9, 9), "the checksum of the 9 bytes"
    yield "of a member past the end", put(42, "<I", 1 << 31), "it is truncated"
    yield "of a member elsewhere", put(42, "<I", 100), "'top/data.pkl' is not where it should be"
    yield "of a name of 65 kB", put(28, "<H", 65535), "the directory of the zip is damaged"
    yield "of a wrong signature", put(0, "<I", 0), "the directory of the zip is damaged"
    yield "of a header with another name", put(30, "<I", 0, signature=b"PK\3\4"), "begin|not where it should be"
    yield "of a name that is no text", put(46, "B", 0xFF), "a name in the zip is no text: b'.xffop/data.pkl'"
    yield "of fewer members", put(10, "<H", 1, signature=end), "longer than its members"
    yield "of more members", put(10, "<H", 65535, signature=end), "the directory of the zip is cut off"
    yield "of a large directory", put(12, "<I", 1 << 31, signature=end), "too large, or not inside"
    yield "of a directory past the end", put(16, "<I", 1 << 31, signature=end), "too large, or not inside"
    yield "of another end", put(0, "<I", 0, signature=end), "does not end as a zip does: was its"
    yield "with a comment", lambda data: data[:-2] + b"\5\0hello", "does not end as a zip does"
    yield "with something after it", lambda data: data + bytes(5), "does not end as a zip does"
    yield "cut off", lambda data: data[:20], "too short for a zip: was its download cut off[?]"
    yield "without its end", lambda data: data[:-30], "does not end as a zip does: was its download cut off[?]"


@pytest.mark.parametrize(("change", "reason"), [case[1:] for case in zips()], ids=[case[0] for case in zips()])
def test_a_zip_with_a_wrong_structure_is_refused(change: Callable[[bytes], bytes], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "zip", "zip", tensor())
    read_all(path)
    path.write_bytes(change(path.read_bytes()))
    with bounded(path.stat().st_size):
        refused(path, reason)


def test_a_zip_with_wrong_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, right = tmp_path / "zip", b"\x80\x02" + encode(tensor()) + b"."
    refused(write_zip(path, right, {"0": ROW[:-1]}), "'top/data/0' has 23 bytes, not 24")
    refused(write_zip(path, right, {"0": ROW + b"1"}), "'top/data/0' has 25 bytes, not 24")
    refused(write_zip(path, right, {"1": ROW}), "it has no member 'top/data/0'")
    refused(write_zip(path, right, {"0": ROW}, byteorder=b"big"), "its byte order is b'big', and only b'little'")
    refused(write_zip(path, right, {"0": ROW}, byteorder=bytes(99)), "'byteorder' is of 99 bytes, more than")
    refused(write_zip(path, right, {"0": ROW}, **{"data.pkl": right}), "two members of the name 'top/data.pkl'")
    refused(write_zip(path, right, {"0": ROW}, **{"data/0": ROW}), "two members of the name 'top/data/0'")
    with zipfile.ZipFile(write_zip(path, right, {"0": ROW}), "a") as archive:
        archive.writestr("top2/data.pkl", right)
    refused(path, "the zip has 2 members like 'archive/data.pkl'")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", right)
    refused(path, r"it is a zip, but not one of PyTorch or Keras \(it has no 'data.pkl' in a folder\)")
    monkeypatch.setattr("keras_resnet.checkpoints.formats.torch.file._PICKLE", 50)
    refused(write_zip(path, right, {"0": ROW}), "'data.pkl' is of .* bytes, more than any weights need")
    refused(write_stream(tmp_path / "stream", right, {"0": ROW}), "cut off, or larger than that of any weights")


def test_storages_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Each would be no larger than the file, but all of them could be of any size."""
    of_both = [tensor(storage(count=count, key=key), 0, (count,), (1,)) for key, count in (("0", 3000), ("1", 1500))]
    path = write(tmp_path / "bomb", "zip", of_both, {"0": bytes(6000), "1": bytes(6000)})
    data = path.read_bytes()
    start, entry = data.index(b"top/data/0") + len("top/data/0"), data.rindex(b"top/data/0") - 46
    of_first = struct.pack("<3I", zlib.crc32(data[start : start + 12_000]), 12_000, 12_000)
    path.write_bytes(data[: entry + 16] + of_first + data[entry + 28 :])
    refused(path, "its members overlap")


def test_a_zip_of_very_many_members_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "zip"
    names = [struct.pack("<H", i).hex().encode() for i in range(65534)]
    entries = [b"PK\1\2" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name for name in names]
    for count in (65534, 100_000_000):
        data = b"PK\3\4" + b"".join(entries) + (bytes(9_000_000) if count > 65534 else b"")
        path.write_bytes(data + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65534, 65534, len(data) - 4, 4, 0))
        began = time.process_time()
        assert not is_torch_file(path)
        refused(path, "a zip, but not one of PyTorch or Keras" if count == 65534 else "too large, or not inside")
        assert time.process_time() - began < 3


def test_a_stream_with_a_wrong_structure_is_refused(tmp_path: Path) -> None:
    path, right = tmp_path / "stream", b"\x80\x02" + encode(tensor(), "stream") + b"."
    numbers = {"0": ROW}
    assert_same(write_stream(path, right, numbers), {"": np.arange(6, dtype="f4").reshape(2, 3)})
    assert load(path)[0]
    refused(write_stream(path, right, numbers, version=1002), "its version is not 1001")
    system: Any
    keys: Any
    for system in ({"protocol_version": 1001, "little_endian": False}, {}, [], 5, {"little_endian": 1}):
        refused(write_stream(path, right, numbers, system=system), "its byte order is not said to be little")
    for keys in (["1"], ["0", "0"], [0], [[]], ["0", "1"]):
        refused(write_stream(path, right, numbers, keys=keys), "a key of none, or one twice")
    for keys in ([], {}, "0", 5):
        refused(write_stream(path, right, numbers, keys=keys), "its list of storages lacks one")
    whole = write_stream(path, right, numbers).read_bytes()
    for count in (5, 7, -6, BIG, -1):
        path.write_bytes(whole[:-32] + struct.pack("<q", count) + ROW)
        refused(path, f"the storage '0' has {count} numbers, which are not 24 bytes")
    two = opcodes(encode([storage(count=BIG << 2), storage(key="1")], "stream"))
    path.write_bytes(write_stream(path, two, {"0": b"", "1": ROW}).read_bytes()[:-40] + struct.pack("<q", BIG << 2))
    refused(path, "it is truncated")
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        refused(path, "")
    path.write_bytes(whole + b"more")
    assert read_all(path)


def test_a_tar_is_refused_with_advice(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "old.pth", "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            (tmp_path / name).write_bytes(pickle.dumps({"little_endian": True}, 2))
            archive.add(tmp_path / name, name)
    assert not is_torch_file(tmp_path / "old.pth")
    refused(
        tmp_path / "old.pth",
        "it is a tar archive of PyTorch before .*save it with a newer PyTorch, or use a newer file",
    )
