"""The cache: the right file or an error that says what to do, checked by hash or format."""

import errno
import hashlib
import os
import re
import socket
from pathlib import Path

import pytest

from keras_resnet.checkpoints.download.fetch import fetch
from tests.helpers.web import DATA, MD5, NAME, SHA256, Web, file, files, get, refused

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("digest", [SHA256, SHA256.upper(), SHA256[:15], MD5, MD5[:13], ""])
def test_a_file_is_downloaded_once_into_keras_cache(
    digest: str, net: Web, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net.answers["/net.pth"] = [file()]
    assert get(net, digest) == get(net, digest) == home / NAME
    assert (home / NAME).read_bytes() == DATA
    assert net.paths == ["/net.pth"]
    assert files(home) == ["net.pth"]
    out, err = capfd.readouterr()
    assert out == ""
    assert ("no hash" in err) == (digest == "")


NAMES = (
    "",
    "..",
    "../net.pth",
    "a/../net.pth",
    "/net.pth",
    "a//b",
    "a/",
    "./a",
    "a\\b",
    "c:a",
    ".net.part",
    "a\0",
    "a\n",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_path_below_the_cache_is_refused(name: str, net: Web, home: Path) -> None:
    with pytest.raises(ValueError, match=f"`name`.*{re.escape(repr(name))}"):
        fetch(net.url, name, otherwise="do without")
    assert net.requests == []
    assert not home.exists()


@pytest.mark.parametrize(
    "digest", [SHA256[7:], SHA256[:14], SHA256 + "0", MD5 + "0", "sha1:12345678", "md5:1234567g", "md5"]
)
def test_a_malformed_digest_is_refused(digest: str, net: Web) -> None:
    with pytest.raises(ValueError, match=f"`digest`.*'{digest}'"):
        get(net, digest)
    assert net.requests == []


def test_a_cached_file_with_another_hash_is_replaced_once_the_new_one_is_here(net: Web, home: Path) -> None:
    (home / "zoo").mkdir(parents=True)
    (home / NAME).write_bytes(b"half a file")
    refused(net, "status 404")
    assert (home / NAME).read_bytes() == b"half a file"
    half = hashlib.sha256(b"half a file").hexdigest()
    refused(net, f"The file {home / NAME} is not the published one: its sha256 hash is {half}, not {SHA256[7:]}. Down")
    net.answers["/net.pth"] = [file(b"another")]
    refused(net, f"its sha256 hash is {hashlib.sha256(b'another').hexdigest()}, not {SHA256[7:]}")
    assert (home / NAME).read_bytes() == b"half a file"
    net.answers["/net.pth"] = [file()]
    assert get(net).read_bytes() == DATA
    assert files(home) == ["net.pth"]


def passes(path: Path) -> None:
    if path.read_bytes() != DATA:
        raise ValueError("it is no net")


def test_without_a_hash_a_cached_file_has_to_pass_the_check(
    net: Web, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net.answers["/net.pth"] = [file()]
    assert get(net, "", check=passes) == get(net, "", check=passes)
    assert (
        f"note: no hash of {net.url}/net.pth is published, so only the format and length of the file was checked"
        in capfd.readouterr().err
    )
    (home / NAME).write_bytes(b"garbage")
    get(net, "", check=passes)
    assert (home / NAME).read_bytes() == DATA
    assert len(net.requests) == 2


def test_with_a_hash_only_a_new_file_has_to_pass_the_check(net: Web, home: Path) -> None:
    checked = []
    net.answers["/net.pth"] = [file()]
    for _ in range(2):
        get(net, check=lambda path: checked.append((path.parent, path.read_bytes() == DATA, (home / NAME).exists())))
    assert checked == [(home / "zoo", True, False)]


@pytest.mark.parametrize("digest", [SHA256, ""])
def test_a_file_that_does_not_pass_the_check_is_not_kept(digest: str, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(DATA if digest else b"garbage")]

    def check(path: Path) -> None:
        raise ValueError("it is no net")

    refused(net, r"\(it is no net\)", digest, check=check)
    assert files(home) == []
    assert len(net.requests) == 1


def test_where_no_cache_can_be_made_keras_own_fallback_serves(
    net: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    net.answers["/net.pth"] = [file()]
    assert get(net) == tmp_path / ".keras" / "models" / NAME
    assert get(net).read_bytes() == DATA
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    refused(net, f"save it as {tmp_path}/file/.keras/models/zoo/net.pth")


@pytest.mark.parametrize("trap", ["link", "dangling link", "owner"])
def test_a_fallback_that_others_may_have_laid_is_refused(
    trap: str, net: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "theirs").mkdir()
    if trap == "owner":
        me = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: me + 1)
        (tmp_path / ".keras").mkdir()
    else:
        (tmp_path / ".keras").symlink_to(tmp_path / ("theirs" if trap == "link" else "nothing"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    net.answers["/net.pth"] = [file()]
    refused(
        net,
        rf"{tmp_path}/\.keras is a link or belongs to another user; set .*KERAS_HOME.*\).*{tmp_path}/file/home/models",
    )
    assert net.requests == []
    assert list((tmp_path / "theirs").iterdir()) == []


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' home, which even the superuser can't write, and the fallback's place beside it."""
    place, access = tmp_path / "home", os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != place and access(path, mode))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return place


def test_a_file_in_a_home_that_can_only_be_read_is_used_if_it_is_right(
    net: Web, home: Path, tmp_path: Path, read_only: Path
) -> None:
    (home / "zoo").mkdir(parents=True)
    (home / NAME).write_bytes(DATA)
    assert get(net) == home / NAME
    assert net.requests == []
    (home / NAME).write_bytes(b"another")
    net.answers["/net.pth"] = [file()]
    assert get(net) == get(net) == tmp_path / ".keras" / "models" / NAME
    assert (home / NAME).read_bytes() == b"another"
    assert len(net.requests) == 1


def test_a_home_that_may_not_be_read_is_not_looked_into(
    net: Web, home: Path, tmp_path: Path, read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def denied(path: Path) -> bool:
        if path == home / NAME:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", denied)
    net.answers["/net.pth"] = [file()]
    assert get(net) == tmp_path / ".keras" / "models" / NAME


def test_a_home_of_the_user_is_found(net: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    net.answers["/net.pth"] = [file()]
    for keras_home in ("", "~/.keras"):
        monkeypatch.setenv("KERAS_HOME", keras_home)
        assert get(net) == tmp_path / ".keras" / "models" / NAME
    monkeypatch.delenv("KERAS_HOME")
    assert get(net) == tmp_path / ".keras" / "models" / NAME


def test_offline_one_error_names_url_reason_place_and_what_else_to_do(home: Path) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/net.pth"
        with pytest.raises(OSError, match="refused") as raised:
            fetch(url, NAME, otherwise="do without")
    assert re.fullmatch(
        re.escape(f"Could not download {url} (") + r".*refused\)\. Download this file by other means and save it as "
        rf"{home}/{NAME}, or do without\.",
        str(raised.value),
    )
    assert files(home) == []


def test_what_lies_in_the_files_place_is_an_error(net: Web, home: Path) -> None:
    (home / NAME).mkdir(parents=True)
    net.answers["/net.pth"] = [file()]
    for digest in (SHA256, ""):
        refused(net, "directory", digest)
    assert (home / NAME).is_dir()
