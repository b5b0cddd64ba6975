"""Files out of archives: the one that was asked for, whole and once; or an error, and nothing beside the archive."""

import gzip
import io
import os
import random
import re
import tarfile
import threading
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.checkpoints.download import archive as archives
from keras_resnet.checkpoints.download.archive import check_archive, extract

pytestmark = pytest.mark.one_backend
DATA = bytes(range(256)) * 5000

Members = list[tuple[str, bytes | tarfile.TarInfo]]


def write(path: Path, members: Members, mode: int = tarfile.PAX_FORMAT) -> Path:
    """An archive of files, or of what a header says of them."""
    with tarfile.open(path, "w:gz", format=mode, compresslevel=1) as files:
        for name, what in members:
            info = tarfile.TarInfo(name) if isinstance(what, bytes) else what
            data = what if isinstance(what, bytes) else b""
            if isinstance(what, bytes):
                info.size = len(data)
            info.name = name
            files.addfile(info, io.BytesIO(data))
    return path


def other(kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, link
    return info


def refused(archive: Path, reason: str | None = None) -> None:
    before = sorted(archive.parent.iterdir())
    with pytest.raises(ValueError, match=reason) as raised:
        extract(archive, "net.ckpt", "net")
    assert f"'net.ckpt' can't be unpacked from {str(archive)!r}: " in str(raised.value)
    with pytest.raises(ValueError, match=f"^{re.escape(str(raised.value))}$"):
        check_archive(archive, "net.ckpt")
    assert sorted(archive.parent.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["net.ckpt", "./net.ckpt", "a/b/net.ckpt", "/net.ckpt", "../net.ckpt", "x" * 300 + "/net.ckpt"]
)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_the_file_of_a_name_is_unpacked_beside_the_archive_and_nothing_else(
    name: str, form: int, tmp_path: Path
) -> None:
    members: Members = [("README", b"read me"), (name, DATA), ("net.ckpt.txt", b"text"), ("net.ckpt/x", b"x")]
    (tmp_path / "a").mkdir()
    archive = write(tmp_path / "a" / "net.tar.gz", members, form)
    assert extract(archive, "net.ckpt", "net.v1") == archive.with_name("net.v1")
    assert archive.with_name("net.v1").read_bytes() == DATA
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "a",
        "a/net.tar.gz",
        "a/net.v1",
    ]


def test_a_check_passes_where_the_file_can_be_unpacked_and_leaves_nothing(tmp_path: Path) -> None:
    archive = write(tmp_path / "net.tar.gz", [("README", b"read me"), ("a/net.ckpt", DATA), ("x", DATA)])
    check_archive(archive, "net.ckpt")
    check_archive(archive, "README")
    whole = archive.read_bytes()
    for spoiled in (whole[:-1], whole[:-8] + bytes(8), whole + b"x"):  # the checksum's place is the archive's end
        archive.write_bytes(spoiled)
        with pytest.raises(ValueError, match="'net.ckpt' can't be unpacked"):
            check_archive(archive, "net.ckpt")
    assert list(tmp_path.iterdir()) == [archive]


def test_a_file_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write(tmp_path / "net.tar.gz", [("net.ckpt", DATA)])
    extract(archive, "net.ckpt", "net")
    monkeypatch.setattr(archives, "_unpack", lambda *_: pytest.fail("it is unpacked again"))
    assert extract(archive, "net.ckpt", "net").read_bytes() == DATA


def test_from_another_archive_and_over_another_file_it_is_unpacked_anew(tmp_path: Path) -> None:
    archive = write(tmp_path / "net.tar.gz", [("net.ckpt", DATA)])
    target = extract(archive, "net.ckpt", "net")
    target.write_bytes(b"edited")
    assert extract(archive, "net.ckpt", "net").read_bytes() == DATA
    target.write_bytes(b"shorter")
    changed = archive.stat().st_mtime_ns
    os.utime(target, ns=(changed, changed))
    assert extract(archive, "net.ckpt", "net").read_bytes() == DATA
    write(archive, [("net.ckpt", DATA[::-1])])
    os.utime(archive, ns=(changed + 10**9, changed + 10**9))
    assert extract(archive, "net.ckpt", "net").read_bytes() == DATA[::-1]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "no file of this name"),
        ([("net.ckpt.index", b"")], "no file of this name"),
        ([("a/net.ckpt", b"1"), ("b/net.ckpt", b"2")], "several files of this name"),
        ([("net.ckpt", b"1"), ("net.ckpt", other(tarfile.DIRTYPE))], "not a regular file"),
        ([("net.ckpt", other(tarfile.DIRTYPE))], "not a regular file"),
        ([("net.ckpt", other(tarfile.SYMTYPE, "/etc/hostname"))], "not a regular file"),
        ([("x", b"1"), ("net.ckpt", other(tarfile.SYMTYPE, "x"))], "not a regular file"),
        ([("x", b"1"), ("net.ckpt", other(tarfile.LNKTYPE, "x"))], "not a regular file"),
        ([("net.ckpt", other(tarfile.FIFOTYPE))], "not a regular file"),
        ([("net.ckpt", other(tarfile.CHRTYPE))], "not a regular file"),
        ([("net.ckpt", other(tarfile.BLKTYPE))], "not a regular file"),
        ([(f"{i}", b"") for i in range(1001)], "too many files"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_archive_without_one_regular_file_of_the_name_is_refused(
    members: Members, reason: str, tmp_path: Path
) -> None:
    refused(write(tmp_path / "net.tar.gz", members), reason)


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several: list[Members] = [[("net.ckpt", DATA)], [("x", DATA), ("net.ckpt", b"")]]
    for members in several:
        archive = write(tmp_path / "net.tar.gz", members)
        monkeypatch.setattr(archives, "_LARGEST", len(DATA) + 511)
        refused(archive, "files that are too large")
        monkeypatch.setattr(archives, "_LARGEST", len(DATA) + 10240)
        extract(archive, "net.ckpt", "net").unlink()
    archive.write_bytes(archive.read_bytes() + gzip.compress(bytes(100_000)))
    refused(archive, "too large")


def header(name: bytes, kind: bytes, size: bytes) -> bytes:
    """A tar header that says anything."""
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"0" * 11 + b"\0"
    rest = kind + bytes(100) + b"ustar\x0000" + bytes(247)
    total = sum(fields) + 8 * 32 + sum(rest)
    return fields + b"%06o\0 " % total + rest


def pax(text: bytes) -> bytes:
    return header(b"pax", b"x", b"%011o" % len(text)) + text.ljust(-len(text) % 512 + len(text), b"\0")


FILE = header(b"net.ckpt", b"0", b"%011o" % 4) + b"data".ljust(512, b"\0")
HOSTILE = {
    "a name of 4 GiB": header(b"net.ckpt", b"L", b"\x80" + (4 << 30).to_bytes(11, "big")) + bytes(1 << 20),
    "a name of 2 MiB": header(b"net.ckpt", b"L", b"%011o" % (2 << 20)) + b"x" * (2 << 20) + FILE,
    "a name of -1": header(b"net.ckpt", b"L", b"\xff" * 12) + FILE,
    "a name of -512": header(b"net.ckpt", b"L", b"\xff" * 10 + b"\xfe\0") + bytes(32 << 20),
    "a pax header of 4 GiB": header(b"net.ckpt", b"x", b"\x80" + (4 << 30).to_bytes(11, "big")) + bytes(1 << 20),
    "names of names without end": header(b"a", b"L", b"%011o" % 0) * 5000 + FILE,
    "a size of -1": header(b"net.ckpt", b"0", b"\xff" * 12) + bytes(1024),
    "a size of -1024": header(b"net.ckpt", b"0", b"\xff" * 10 + b"\xfc\0") + bytes(1024),
    "another's size of -1024": header(b"a", b"0", b"\xff" * 10 + b"\xfc\0") + FILE,
    "a size of -1 in pax": pax(b"11 size=-1\n") + FILE,
    "a size of 1 TiB": header(b"net.ckpt", b"0", b"\x80" + (1 << 40).to_bytes(11, "big")) + bytes(1024),
    "a size of 2**80": header(b"net.ckpt", b"0", b"\x80" + (1 << 80).to_bytes(11, "big")) + bytes(1024),
    "another's size of 2**80": header(b"a", b"0", b"\x80" + (1 << 80).to_bytes(11, "big")) + FILE,
    "a size past the end": header(b"net.ckpt", b"0", b"%011o" % 9999) + bytes(1024),
    "a sparse file": pax(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + FILE,
    "a sparse file of old": header(b"net.ckpt", b"S", b"%011o" % 4) + b"data".ljust(512, b"\0"),
    "pax of nothing": pax(b"0 x=y\n") + FILE,
    "a size that is no number": header(b"net.ckpt", b"0", b"many") + bytes(1024),
    "nothing": b"",
    "zeros": bytes(10240),
    "no archive": b"garbage" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_at_little_cost(case: str, tmp_path: Path) -> None:
    archive = tmp_path / "net.tar.gz"
    archive.write_bytes(gzip.compress(HOSTILE[case], 1))
    tracemalloc.start()
    began = time.perf_counter()
    refused(archive)
    took, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    assert took < 2


def test_headers_of_our_own_are_right(tmp_path: Path) -> None:
    """Else the archives above would be refused for nothing."""
    archive = tmp_path / "net.tar.gz"
    archive.write_bytes(gzip.compress(pax(b"9 a=bcde\n") + FILE + bytes(1024)))
    assert extract(archive, "net.ckpt", "net").read_bytes() == b"data"


def test_a_damaged_archive_is_refused_or_gives_the_file(tmp_path: Path) -> None:
    """The checksum sees to it; it covers all but gzip's own header."""
    data = bytes(random.Random(0).choices(b"text that compresses ", k=60000))
    archive = write(tmp_path / "net.tar.gz", [("README", b"read me"), ("net.ckpt", data)])
    whole, refusals = archive.read_bytes(), 0
    for seed in range(300):
        rng = random.Random(seed)
        at = rng.randrange(len(whole))
        archive.write_bytes(
            rng.choice((whole[:at], whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]))
        )
        passes = True
        try:
            check_archive(archive, "net.ckpt")
        except ValueError:
            passes = False
        try:
            assert extract(archive, "net.ckpt", "net").read_bytes() == data, seed
            (tmp_path / "net").unlink()
            assert passes, seed
        except ValueError:
            assert not passes, seed
            refusals += 1
        assert [path.name for path in tmp_path.iterdir()] == ["net.tar.gz"], seed
    assert refusals > 280


def test_damage_that_no_checksum_shows_is_refused_or_harmless(tmp_path: Path) -> None:
    """As if it had been compressed so."""
    archive = write(tmp_path / "net.tar.gz", [("README", b"read me"), ("x" * 200 + "/net.ckpt", DATA[:2000])])
    whole = gzip.decompress(archive.read_bytes())[:6144]
    for seed in range(300):
        rng = random.Random(seed)
        spoiled = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(whole))
            spoiled[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        archive.write_bytes(gzip.compress(spoiled, 1))
        with suppress(ValueError):
            extract(archive, "net.ckpt", "net").unlink()
        assert [path.name for path in tmp_path.iterdir()] == ["net.tar.gz"], seed


@pytest.mark.parametrize("name", ["", ".", "..", "../net", "a/b", "/net", "net.tar.gz"])
def test_a_target_that_is_no_name_beside_the_archive_is_refused(name: str, tmp_path: Path) -> None:
    archive = write(tmp_path / "net.tar.gz", [("net.ckpt", DATA)])
    with pytest.raises(ValueError, match="`target_name` must be"):
        extract(archive, "net.ckpt", name)
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"net\.tar\.gz"):
        extract(tmp_path / "net.tar.gz", "net.ckpt", "net")
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_unpack_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write(tmp_path / "net.tar.gz", [("net.ckpt", DATA)])
    begun, read = [], []
    unpack = archives._unpack

    def counted(*names: Any) -> None:
        begun.append(1)
        unpack(*names)

    monkeypatch.setattr(archives, "_unpack", counted)
    threads = [
        threading.Thread(target=lambda: read.append(extract(archive, "net.ckpt", "net").read_bytes())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert read == [DATA] * 6
    assert len(begun) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "net.tar.gz"]
