"""Downloads: the right file or an error that says what to do, whatever servers, networks and other processes do."""

import errno
import hashlib
import io
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keras_resnet import __version__
from keras_resnet.checkpoints.download import http, partial, resume
from keras_resnet.checkpoints.download.fetch import fetch
from keras_resnet.utils import progress

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[3]
DATA = bytes(range(256)) * 2000
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"
NAME = "zoo/net.pth"

Handler = BaseHTTPRequestHandler
Answer = Callable[[Handler], object]


class Web(ThreadingHTTPServer):
    """A server of what a test says: each path has its answers, of which the last one is given again and again."""

    def __init__(self) -> None:
        class Scripted(Handler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                net: Web = self.server  # type: ignore[assignment]
                net.requests.append((self.path, dict(self.headers)))
                answers = net.answers.get(self.path, [status(404)])
                (answers.pop(0) if len(answers) > 1 else answers[0])(self)
                self.close_connection = True

            do_CONNECT = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Scripted)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.over = threading.Event()
        self.clear()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def clear(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]


def send(handler: Handler, code: int, headers: dict[str, object], body: bytes = b"") -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, str(value))
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: object) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: send(handler, code, {"Content-Length": 4, **named}, b"oops")


def redirect(to: str, code: int = 302) -> Answer:
    return lambda handler: send(handler, code, {"Location": to, "Content-Length": 0})


def file(
    data: bytes = DATA,
    *,
    tag: str | None = '"1"',
    ranges: bool = True,
    end: int | None = None,
    stall: bool = False,
    reset: bool = False,
    **headers: object,
) -> Answer:
    """A published file as a proper server gives it, up to a byte of it, after which it stalls, resets or hangs up."""

    def answer(handler: Handler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        same = handler.headers.get("If-Range") in (None, tag, headers.get("Last_Modified"))
        start = int(wanted[1]) if ranges and wanted and same else 0
        if start >= len(data):
            return send(handler, 416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": 0})
        named: dict[str, object] = {"Content-Length": len(data) - start} | ({"ETag": tag} if tag else {})
        named |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        send(handler, 206 if start else 200, named, data[start:end])
        if stall:
            handler.server.over.wait(20)  # type: ignore[attr-defined]
        if reset:
            time.sleep(0.5)  # a reset overtakes what was not yet read
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), handler.connection.fileno())
        return None

    return answer


def raw(*pieces: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        for piece in pieces:
            handler.wfile.write(piece)

    return answer


def headed(head: str, body: bytes) -> Answer:
    return raw(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode(), body)


def chunks(data: bytes, size: int = 70000) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Web, Web]]:
    pair = Web(), Web()
    yield pair
    for server in pair:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def net(servers: tuple[Web, Web]) -> Iterator[Web]:
    servers[0].clear()
    yield servers[0]
    servers[0].over.set()


@pytest.fixture
def proxy(servers: tuple[Web, Web]) -> Web:
    servers[1].clear()
    return servers[1]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Keras home that does not exist yet, no proxies, no mirror, and no pauses."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("KERAS_RESNET_MIRROR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(resume, "_PAUSES", (0, 0, 0))
    monkeypatch.setattr(partial, "_POLL", 0.01)
    return tmp_path / "home" / "models"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience with servers that stall; yet more than a busy machine needs to answer."""
    monkeypatch.setattr(resume, "_STALL", 2)


def get(net: Web, digest: str = SHA256, **arguments: Any) -> Path:
    return fetch(f"{net.url}/net.pth", NAME, digest, otherwise="do without", **arguments)


def refused(net: Web, reason: str, digest: str = SHA256, **arguments: Any) -> None:
    with pytest.raises(OSError, match=reason) as raised:
        get(net, digest, **arguments)
    assert str(raised.value).startswith(f"Could not get {net.url}/net.pth (")
    assert str(raised.value).endswith("zoo/net.pth, or do without.")
    assert raised.value.__cause__ is not None


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def unfinished(home: Path, data: bytes = DATA[:1000], **changes: object) -> None:
    """What a killed process left."""
    part = home / "zoo" / ".net.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(data)
    note = {"url": "", "length": len(DATA), "validator": '"1"', **changes}
    partial.note(part).write_text(json.dumps(note))


# ---- The cache.


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
    assert ("No hash" in err) == (digest == "")


def test_the_request_names_the_package_and_wants_the_bytes_as_they_are(net: Web) -> None:
    net.answers["/net.pth"] = [file()]
    get(net)
    headers = net.requests[0][1]
    assert headers["User-Agent"] == f"keras3-resnet/{__version__}"
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers


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
        "No hash of " + net.url + "/net.pth is published; the file was checked by its format and length."
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
    refused(net, f"put it at {tmp_path}/file/.keras/models/zoo/net.pth")


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
    refused(net, rf"{tmp_path}/\.keras is a link or another user's; set KERAS_HOME\).*{tmp_path}/file/home/models")
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
        re.escape(f"Could not get {url} (") + r".*refused\)\. Download that file by other means and put it at "
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


# ---- The transfer.

BREAKS: dict[str, dict[str, Any]] = {"cut off": {}, "stalled": {"stall": True}, "reset": {"reset": True}}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("version", [{}, {"tag": None, "Last_Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}], ids=str)
def test_what_breaks_off_is_continued(how: str, version: dict[str, Any], net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=1000, **version, **BREAKS[how]), file(end=5000, **version), file(**version)]
    assert get(net, "").read_bytes() == DATA
    assert net.ranges == [None, "bytes=1000-", "bytes=5000-"]
    named = version.get("Last_Modified", '"1"')
    assert [headers.get("If-Range") for _, headers in net.requests] == [None, named, named]
    assert files(home) == ["net.pth"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", BREAKS)
def test_what_always_breaks_off_is_an_error_and_a_later_call_continues(how: str, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=1000, **BREAKS[how]), file(end=1000)]
    refused(net, "the connection ended after 1000 of 512000 bytes")
    assert len(net.requests) == 4
    assert files(home) == [".net.pth.part", ".net.pth.part.json"]
    net.answers["/net.pth"] = [status(503), file()]
    assert get(net).read_bytes() == DATA
    assert net.ranges[4:] == ["bytes=1000-"] * 2
    assert files(home) == ["net.pth"]


def test_an_answer_that_breaks_off_before_its_first_byte_leaves_nothing(net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=0)]
    refused(net, "ended after 0 of")
    assert net.ranges == [None] * 4
    assert files(home) == []


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_an_error(net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [lambda handler: net.over.wait(20)]
    refused(net, "timed out")
    assert len(net.requests) == 4
    assert files(home) == []


def drip(start: int, count: int) -> Answer:
    """The rest of the file: some bytes, one by one, and then all others."""

    def answer(handler: Handler) -> None:
        file(end=start)(handler)
        at = max(start, int(handler.headers.get("Range", "bytes=0-")[6:-1]))
        for i in range(count):
            time.sleep(0.02)
            handler.wfile.write(DATA[at + i : at + i + 1])
        handler.wfile.write(DATA[at + count :])

    return answer


def test_a_server_that_sends_a_byte_now_and_then_is_left_and_asked_again(
    net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_WINDOW", 0.2)
    net.answers["/net.pth"] = [drip(10, 1000), file()]
    assert get(net, "").read_bytes() == DATA
    start = int((net.ranges[1] or "")[6:-1])
    assert 10 < start < 100
    (home / NAME).unlink()
    net.answers["/net.pth"] = [drip(10, 1000)]
    refused(net, "sends less than 1000 bytes per second")
    assert len(net.requests) == 6


def test_a_server_that_is_slow_but_fast_enough_is_waited_for(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_WINDOW", 0.1)
    monkeypatch.setattr(resume, "_SLOWEST", 1)
    net.answers["/net.pth"] = [drip(10, 20)]
    assert get(net).read_bytes() == DATA
    assert len(net.requests) == 1


def test_another_version_is_begun_anew(net: Web) -> None:
    """By a proper server, which heeds `If-Range`; and by one that only tells."""
    old = bytes(len(DATA))
    rest: dict[str, object] = {
        "Content-Range": f"bytes 1000-{len(DATA) - 1}/{len(DATA)}",
        "Content-Length": len(DATA) - 1000,
    }
    careless: Answer = lambda handler: send(handler, 206, {**rest, "ETag": '"2"'}, DATA[1000:])  # noqa: E731
    for answers in ([file(tag='"2"')], [careless, file(tag='"2"')]):
        net.answers["/net.pth"] = [file(old, end=1000), *answers]
        assert get(net, "").read_bytes() == DATA
        (get(net)).unlink()
    assert net.ranges == [None, "bytes=1000-", None, "bytes=1000-", None]


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "bytes",
        f"bytes 1001-{len(DATA) - 1}/{len(DATA)}",
        f"bytes 1000-{len(DATA) - 2}/{len(DATA)}",
        f"bytes 1000-{len(DATA)}/{len(DATA) + 1}",
        f"bytes 1000-{len(DATA) - 1}/*",
        f"bytes */{len(DATA)}",
        f"octets 1000-{len(DATA) - 1}/{len(DATA)}",
        "bytes " + "9" * 5000,
    ],
)
def test_the_rest_of_something_else_is_not_appended(told: str | None, net: Web) -> None:
    headers: dict[str, object] = {"Content-Length": len(DATA) - 1000} | (
        {} if told is None else {"Content-Range": told}
    )
    net.answers["/net.pth"] = [file(end=1000), lambda handler: send(handler, 206, headers, DATA[1000:]), file()]
    assert get(net, "").read_bytes() == DATA
    assert net.ranges == [None, "bytes=1000-", None]


def test_a_range_that_is_not_satisfiable_or_not_supported_begins_anew(net: Web) -> None:
    told = f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
    for answers in ([status(416), file()], [file(ranges=False)], [file(ranges=False, Content_Range=told)]):
        net.answers["/net.pth"] = [file(end=1000), *answers]
        assert get(net, "").read_bytes() == DATA
        get(net).unlink()
    assert net.ranges == [None, "bytes=1000-", None] + [None, "bytes=1000-"] * 2


@pytest.mark.parametrize("place", [".net.pth.part", ".net.pth.part.json"])
def test_links_in_the_places_of_what_is_unfinished_are_not_followed(
    place: str, net: Web, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (home / "zoo").mkdir(parents=True)
    (home / "zoo" / place).symlink_to(tmp_path / "victim")
    monkeypatch.setattr(resume, "forget", lambda part: None)  # as if the link came right after it
    net.answers["/net.pth"] = [file()]
    refused(net, re.escape(os.strerror(errno.ELOOP)))
    assert (tmp_path / "victim").read_bytes() == b"precious"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_an_unfinished_file_is_not_opened_through_a_link(mode: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ELOOP))):
        partial.open_partial(tmp_path / "link", mode)
    with partial.open_partial(tmp_path / "file", mode) as file:
        file.write(b"data")
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "file").stat().st_mode & 0o111


def test_what_was_begun_anew_is_not_continued_as_what_was_there_before(net: Web) -> None:
    net.answers["/net.pth"] = [file(bytes(len(DATA)), end=1000), file(tag=None, ranges=False, end=2000), file()]
    assert get(net, "").read_bytes() == DATA
    assert net.ranges == [None, "bytes=1000-", None]


def test_a_rest_that_does_not_say_its_version_is_appended(net: Web) -> None:
    headers = {"Content-Range": f"bytes 1000-{len(DATA) - 1}/{len(DATA)}", "Content-Length": len(DATA) - 1000}
    net.answers["/net.pth"] = [file(end=1000), lambda handler: send(handler, 206, headers, DATA[1000:])]
    assert get(net, "").read_bytes() == DATA
    assert len(net.requests) == 2


@pytest.mark.parametrize("tag", [None, 'W/"1"', '"1\x85"'])
@pytest.mark.parametrize("digest", [SHA256, MD5, SHA256[:15], ""])
def test_without_a_name_of_the_version_only_a_whole_hash_lets_continue(
    tag: str | None, digest: str, net: Web, home: Path
) -> None:
    net.answers["/net.pth"] = [file(tag=tag, end=1000), file(tag=tag)]
    assert get(net, digest).read_bytes() == DATA
    assert net.ranges == [None, "bytes=1000-" if digest in (SHA256, MD5) else None]
    assert "If-Range" not in net.requests[1][1]
    (home / NAME).unlink()
    net.answers["/net.pth"] = [file(tag=tag, end=1000)]
    refused(net, "ended", digest)
    assert (files(home) != []) == (digest in (SHA256, MD5))


def test_a_part_that_was_spoiled_is_begun_anew_once(net: Web, home: Path) -> None:
    unfinished(home, bytes(1000), url=f"{net.url}/net.pth")
    net.answers["/net.pth"] = [file()]
    assert get(net).read_bytes() == DATA
    assert net.ranges == ["bytes=1000-", None]
    get(net).unlink()
    (home / "zoo").rmdir()
    unfinished(home, bytes(1000), url=f"{net.url}/net.pth")
    net.answers["/net.pth"] = [file(bytes(len(DATA)))]
    refused(net, "hash")
    assert net.ranges == ["bytes=1000-", None] * 2
    assert files(home) == []


def test_a_part_that_is_complete_needs_no_request(net: Web, home: Path) -> None:
    unfinished(home, DATA, url=f"{net.url}/net.pth")
    assert get(net).read_bytes() == DATA
    assert net.requests == []
    assert files(home) == ["net.pth"]


@pytest.mark.parametrize(
    "note",
    [
        {"url": "http://elsewhere.test/net.pth"},
        {"length": 999},
        {"length": "many"},
        {"other": 1},
        {"validator": ""},
    ],
    ids=str,
)
def test_a_part_of_something_else_is_not_continued(note: dict[str, Any], net: Web, home: Path) -> None:
    unfinished(home, **{"url": f"{net.url}/net.pth", **note})
    net.answers["/net.pth"] = [file()]
    assert get(net, "").read_bytes() == DATA
    assert net.ranges == [None]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null"])
def test_a_part_with_a_damaged_note_is_not_continued(text: str, net: Web, home: Path) -> None:
    unfinished(home)
    (home / "zoo" / ".net.pth.part.json").write_text(text)
    net.answers["/net.pth"] = [file()]
    assert get(net, "").read_bytes() == DATA
    assert net.ranges == [None]
    assert files(home) == ["net.pth"]


@pytest.mark.parametrize("surplus", [b"x", bytes(600_000)])
@pytest.mark.parametrize("start", [0, 1000])
def test_more_than_was_announced_is_an_error(surplus: bytes, start: int, net: Web, home: Path) -> None:
    if start:
        unfinished(home, url=f"{net.url}/net.pth")
    net.answers["/net.pth"] = [
        lambda handler: (file()(handler), handler.server.over.wait(0.05), handler.wfile.write(surplus)),  # type: ignore
    ]
    refused(net, f"more than the {len(DATA)} bytes that are announced")
    assert net.ranges == [f"bytes={start}-" if start else None]
    assert files(home) == []


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_stays_open_after_the_file_is_no_error(net: Web) -> None:
    net.answers["/net.pth"] = [file(tag=None, stall=True)]
    assert get(net, "").read_bytes() == DATA
    assert len(net.requests) == 1


def test_a_file_in_chunks_needs_no_length(net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [headed("Transfer-Encoding: chunked", chunks(DATA))]
    assert get(net, "").read_bytes() == DATA
    (home / NAME).unlink()
    cut = headed("Transfer-Encoding: chunked", chunks(DATA)[:-100])
    net.answers["/net.pth"] = [cut, headed("Transfer-Encoding: chunked", chunks(DATA))]
    assert get(net, "").read_bytes() == DATA
    (home / NAME).unlink()
    net.answers["/net.pth"] = [cut]
    refused(net, "IncompleteRead")
    assert files(home) == []


@pytest.mark.parametrize("head", ["Server: x", "Content-Length: many", "Content-Length: -5"])
def test_a_file_without_length_is_taken_where_a_hash_proves_it(head: str, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [headed(head, DATA)]
    for digest in ("", SHA256[:15]):
        refused(net, "doesn't say how long", digest)
    assert get(net).read_bytes() == DATA


@pytest.mark.parametrize("digest", [SHA256, ""])
def test_a_file_that_is_too_large_is_refused(
    digest: str, net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_LARGEST", len(DATA) - 1)
    net.answers["/net.pth"] = [file()]
    refused(net, "512000 bytes, more than the 511999 that are allowed", digest)
    net.answers["/net.pth"] = [headed("Transfer-Encoding: chunked", chunks(DATA))]
    refused(net, "more than the 511999 bytes that are allowed", digest)
    assert len(net.requests) == 2
    assert files(home) == []


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(code: int, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [status(code), status(code), file()]
    assert get(net).read_bytes() == DATA
    (home / NAME).unlink()
    net.answers["/net.pth"] = [status(code)]
    refused(net, f"HTTP status {code}")
    assert len(net.requests) == 7


@pytest.mark.parametrize("code", [201, 204, 206, 300, 304, 400, 401, 403, 404, 410, 416])
def test_a_refusal_is_not_asked_again(code: int, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [status(code)]
    refused(net, "can't continue" if code in (206, 416) else f"HTTP status {code}")
    assert len(net.requests) == (4 if code in (206, 416) else 1)
    assert files(home) == []


def test_between_attempts_there_are_pauses_as_long_as_the_server_asks(
    net: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(resume, "_PAUSES", (1.0, 2.0, 4.0))
    monkeypatch.setattr(resume, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    net.answers["/net.pth"] = [
        status(503, Retry_After=3),
        status(429, Retry_After=1),
        status(500, Retry_After="soon"),
        file(),
    ]
    get(net)
    assert slept == [3, 2, 4]
    get(net).unlink()
    for long in ("31", "9" * 5000):
        net.answers["/net.pth"] = [status(503, Retry_After=long), file()]
        refused(net, "HTTP status 503")
    assert len(slept) == 3
    assert len(net.requests) == 6


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\xff\x1b[31m" * 100,
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200,
        b"x" * 99999,
    ],
    ids=lambda garbage: f"{garbage[:12]!r}",
)
def test_what_is_no_http_is_an_error(garbage: bytes, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [raw(garbage)]
    with pytest.raises(OSError, match="no proper HTTP") as raised:
        get(net)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500
    assert files(home) == []


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "identity, gzip"])
def test_an_encoded_file_is_refused(encoding: str, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=1000), file(Content_Encoding=encoding)]
    refused(net, f"encoded: '{encoding}'")
    net.answers["/net.pth"] = [file(Content_Encoding="Identity")]
    assert get(net).read_bytes() == DATA


def test_a_full_disk_is_an_error_that_leaves_nothing(net: Web, home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    net.answers["/net.pth"] = [file()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(DATA) // 2, hard))
    try:
        refused(net, re.escape(os.strerror(errno.EFBIG)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(home) == []
    assert len(net.requests) == 1
    assert get(net).read_bytes() == DATA


# ---- Redirects.


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "to", ["{url}/a/b%20c.pth?x=y z", "/a/b%20c.pth?x=y z", "../a/b%20c.pth?x=y z", "a/b%20c.pth?x=y z"]
)
def test_redirects_are_followed_with_their_range(code: int, to: str, net: Web) -> None:
    net.answers["/net.pth"] = [redirect(to.format(url=net.url), code)]
    net.answers["/a/b%20c.pth?x=y%20z"] = [file(end=1000), file()]
    assert get(net, "").read_bytes() == DATA
    assert net.paths == ["/net.pth", "/a/b%20c.pth?x=y%20z"] * 2
    assert net.ranges == [None, None, "bytes=1000-", "bytes=1000-"]


def test_a_redirect_in_utf_8_is_followed(net: Web) -> None:
    net.answers = {"/net.pth": [redirect("/ü".encode().decode("latin-1"))], "/%C3%BC": [file()]}
    assert get(net).read_bytes() == DATA


def test_ten_redirects_are_followed_and_no_more(net: Web) -> None:
    net.answers = {f"/{i}": [redirect(f"/{i - 1}")] for i in range(1, 11)}
    net.answers |= {"/net.pth": [redirect("/9")], "/0": [file()]}
    assert get(net).read_bytes() == DATA
    get(net).unlink()
    net.answers["/net.pth"] = [redirect("/10")]
    refused(net, "redirects more than 10 times")
    net.answers["/net.pth"] = [redirect("/net.pth")]
    refused(net, "redirects more than 10 times")
    assert len(net.requests) == 11 * 3


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("file:///etc/hostname", "no http or https URL: 'file'"),
        ("FILE:///etc/hostname", "no http or https URL: 'file'"),
        ("ftp://127.0.0.1/net.pth", "no http or https URL: 'ftp'"),
        ("data:,net", "no http or https URL: 'data'"),
        ("http://127.0.0.1:port/net.pth", "Port could not be cast"),
        ("http://127.0.0.1:99999/net.pth", "Port out of range"),
        ("http://[127.0.0.1/net.pth", "Invalid IPv6 URL"),
        ("", "without saying where to"),
        ("http://localhost:{port}/a.pth", "into a private network, to 'localhost'"),
        ("//LOCALHOST.:{port}/a.pth", "into a private network, to 'localhost.'"),
        ("//x.localhost:{port}/a.pth", "into a private network"),
        ("http://127.0.0.2:{port}/a.pth", "into a private network"),
        ("http://127.1:{port}/a.pth", "into a private network"),
        ("http://2130706433:{port}/a.pth", "into a private network"),
        ("http://[::1]:{port}/a.pth", "into a private network, to '::1'"),
        ("http://[::ffff:127.0.0.1]:{port}/a.pth", "into a private network"),
        ("http://example.com@127.0.0.2:{port}/a.pth", "into a private network, to '127.0.0.2'"),
        ("http://169.254.169.254/latest", "into a private network"),
        ("http://0.0.0.0:{port}/a.pth", "into a private network"),
        ("http://%31%32%37.0.0.1:{port}/a.pth", "to what is no host: '%31%32%37.0.0.1'"),
        ("http://93.184.215.14%2f:{port}/a.pth", "to what is no host"),
        ("http://[fe80::1%25lo]:{port}/a.pth", "to what is no host"),
        ("http://b\xfccher.test:{port}/a.pth", "to what is no host"),
        ("http://8.8.8.8\\@127.0.0.2:{port}/a.pth", "into a private network, to '127.0.0.2'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("proxied", [False, True])
def test_redirects_to_where_none_should_lead_are_refused(
    to: str, reason: str, proxied: bool, net: Web, proxy: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = proxy if proxied else net
    url = "http://public.test/net.pth" if proxied else f"{net.url}/net.pth"
    if proxied:
        monkeypatch.setenv("http_proxy", proxy.url)
    server.answers[url if proxied else "/net.pth"] = [redirect(to.format(port=net.server_port))]
    with pytest.raises(OSError, match=reason) as raised:
        fetch(url, NAME, otherwise="do without")
    assert "example.com" not in str(raised.value)
    assert len(server.requests) == 1
    assert net.requests[1:] == []
    assert files(home) == []


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names, all of which are this machine in truth."""
    known: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo
    monkeypatch.setattr(http, "_addresses", lambda host, flags=0: known[host])
    monkeypatch.setattr(http, "_peer", lambda connection: known[connection.host][0])
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve("127.0.0.1" if host in known else host, *rest, **more),
    )
    return known


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (["127.0.0.1", "public"], True),
        (["public", "other"], True),
        (["public", "public"], True),
        (["public", "private"], False),
        (["public", "mixed"], False),
        (["private", "private"], True),
        (["private", "office"], False),
        (["private", "public", "private"], False),
        (["public", "127.0.0.1"], False),
    ],
    ids=str,
)
def test_redirects_stay_public_or_at_one_host(
    path: list[str], allowed: bool, net: Web, hosts: dict[str, list[str]], home: Path
) -> None:
    hosts.update(public=["93.184.215.14", "2606:2800:21f:cb07::1"], other=["8.8.8.8"], mixed=["8.8.8.8", "fd00::1"])
    hosts.update(private=["10.0.0.1"], office=["10.0.0.1"])
    hosts["127.0.0.1"] = ["127.0.0.1"]
    urls = [f"http://{host}:{net.server_port}/{step}" for step, host in enumerate(path)]
    net.answers = {f"/{step}": [redirect(url)] for step, url in enumerate(urls[1:])}
    net.answers[f"/{len(path) - 1}"] = [file()]
    if allowed:
        assert fetch(urls[0], NAME, SHA256, otherwise="do without").read_bytes() == DATA
    else:
        with pytest.raises(OSError, match=f"into a private network, to '{path[-1]}'"):
            fetch(urls[0], NAME, SHA256, otherwise="do without")
    assert len(net.requests) == len(path) - (not allowed)


def test_no_name_that_urllib_decodes_leads_past_a_proxy(net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    proxy.answers["http://public.test/net.pth"] = [redirect(f"http://%31%32%37.0.0.1:{net.server_port}/net.pth")]
    net.answers["/net.pth"] = [file()]
    with pytest.raises(OSError, match="no host"):
        fetch("http://public.test/net.pth", NAME, otherwise="do without")
    assert net.requests == []


@pytest.mark.parametrize("host", ["public", "other"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_to_a_name_that_becomes_private_is_refused(
    host: str, scheme: str, net: Web, proxy: Web, hosts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is connected to, after it was judged; also at the same host, on another port. No byte is sent."""
    hosts.update(public=["93.184.215.14"], other=["8.8.8.8"])
    peers = ["93.184.215.14", "127.0.0.1"]
    monkeypatch.setattr(http, "_peer", lambda connection: peers.pop(0))
    net.answers["/net.pth"] = [redirect(f"{scheme}://{host}:{proxy.server_port}/net.pth")]
    proxy.answers["/net.pth"] = [file()]
    with pytest.raises(OSError, match=f"into a private network, to '{host}'"):
        fetch(f"http://public:{net.server_port}/net.pth", NAME, SHA256, otherwise="do without")
    assert peers == []
    assert proxy.requests == []


def test_a_private_host_may_redirect_to_its_other_ports_and_a_public_one_to_none_that_is_private(
    net: Web, proxy: Web, hosts: dict[str, list[str]], home: Path
) -> None:
    net.answers["/net.pth"] = [redirect(f"http://here:{proxy.server_port}/there")]
    proxy.answers["/there"] = [file()]
    for addresses in (["10.0.0.1"], ["8.8.8.8"]):
        hosts["here"] = addresses
        fetch(f"http://here:{net.server_port}/net.pth", NAME, SHA256, otherwise="do without").unlink()
    hosts["here"] = ["8.8.8.8", "10.0.0.1"]
    with pytest.raises(OSError, match="into a private network, to 'here'"):
        fetch(f"http://here:{net.server_port}/net.pth", NAME, SHA256, otherwise="do without")
    assert proxy.paths == ["/there"] * 2


def test_the_address_at_the_other_end_is_the_one_that_is_judged(net: Web) -> None:
    judged = []
    opener = http._opener(lambda connection: judged.append(http._peer(connection)))
    opener.open(net.url, timeout=5).close()
    with pytest.raises(OSError, match="SSL|EOF|reset"):
        opener.open(net.url.replace("http", "https"), timeout=5)
    assert judged == ["127.0.0.1"] * 2


def test_a_private_server_behind_a_proxy_may_redirect_within_its_host(
    proxy: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    proxy.answers["http://10.0.0.1/net.pth"] = [redirect("/a.pth")]
    proxy.answers["http://10.0.0.1/a.pth"] = [file()]
    assert fetch("http://10.0.0.1/net.pth", NAME, SHA256, otherwise="do without").read_bytes() == DATA


def test_a_redirect_from_https_to_http_is_refused() -> None:
    here = "https://public.test/net.pth"
    assert http._redirected(here, "/a.pth") == "https://public.test/a.pth"
    with pytest.raises(OSError, match="from https to http, at 'public.test'"):
        http._redirected(here, "http://public.test/net.pth")


def test_a_redirect_to_a_host_that_does_not_exist_is_an_error(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    net.answers["/net.pth"] = [redirect("http://nowhere.test/")]
    monkeypatch.setattr(http, "_addresses", resolve)
    refused(net, "Name or service not known")


PUBLIC = ("8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1")
PRIVATE = (
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%lo",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:224.0.0.1",
    "::127.0.0.1",
    "::10.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2001:0:808:808::1",
    "fec0::1",
    "feff::1",
    "4000::1",
)


def test_private_addresses_are_told_from_public_ones() -> None:
    assert [text for text in PUBLIC if not http._is_public_address(text)] == []
    assert [text for text in PRIVATE if http._is_public_address(text)] == []


# ---- Mirrors and proxies.


@pytest.mark.parametrize("base", ["", "/", "/files", "/files/"])
def test_a_mirror_takes_the_place_of_scheme_and_host(base: str, net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f" {net.url}{base} ")
    net.answers[f"{base.rstrip('/')}/models/net.pth?v=1"] = [file()]
    path = fetch("https://published.test/models/net.pth?v=1", NAME, SHA256, otherwise="do without")
    assert path.read_bytes() == DATA
    assert len(net.requests) == 1


def test_a_mirror_that_lacks_a_file_is_named(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f"{net.url}/files")
    with pytest.raises(OSError, match=re.escape(f"Could not get {net.url}/files/net.pth (HTTP status 404)")):
        fetch("https://published.test/net.pth", NAME, otherwise="do without")


def test_a_mirrors_password_goes_to_the_mirror_alone(
    net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f"http://me%40home:s%3Acret@127.0.0.1:{net.server_port}/files")
    elsewhere = redirect(f"http://you:hidden@127.0.0.1:{proxy.server_port}/there")
    net.answers["/files/net.pth"] = [*[redirect("/here")] * 3, status(404)]
    net.answers["/here"] = [file(end=1000), elsewhere]
    proxy.answers["/there"] = [redirect(f"{net.url}/back"), file()]
    net.answers["/back"] = [status(500)]
    assert fetch("https://published.test/net.pth", NAME, otherwise="do without").read_bytes() == DATA
    sent = [headers.get("Authorization") for _, headers in net.requests]
    assert sent == ["Basic bWVAaG9tZTpzOmNyZXQ="] * 7
    assert [headers.get("Authorization") for _, headers in proxy.requests] == [None] * 2
    (home / NAME).unlink()
    with pytest.raises(OSError, match="404") as raised:
        fetch("https://published.test/net.pth", NAME, otherwise="do without")
    out, err = capfd.readouterr()
    for secret in ("me%40", "me@", "cret", "hidden", "you"):
        assert secret not in f"{raised.value}{out}{err}{raised.value.__cause__}"


def test_a_mirrors_password_is_not_written_to_the_cache(net: Web, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", f"http://me:secret@127.0.0.1:{net.server_port}")
    net.answers["/net.pth"] = [file(end=1000), status(404)]
    with pytest.raises(OSError, match="404"):
        get(net)
    assert json.loads((home / "zoo" / ".net.pth.part.json").read_text())["url"] == f"{net.url}/net.pth"


@pytest.mark.parametrize(
    "mirror",
    [
        "mirror.test",
        "mirror.test:80/files",
        "ftp://me:secret@mirror.test",
        "file:///srv/files",
        "http://",
        "https:///files",
        "http://me:secret@mirror.test:port",
        "http://me:secret@mirror.test:99999",
        "http://me:secret@[mirror.test/",
        "http://me:se/secret@mirror.test",
        "http://mirror.test/?token=secret",
        "http://mirror.test/#secret?",
        "http://me:secret@127.0.0.1:9/my files",
        "http://mirror.test/a\tb",
        "http://mirror.test/a\x7fb",
        "http://mirror.test/m\xfcll",
        "http://mirror .test/",
    ],
)
def test_a_mirror_that_is_no_base_of_urls_is_refused(mirror: str, net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_MIRROR", mirror)
    with pytest.raises(ValueError, match="^KERAS_RESNET_MIRROR must be an http or https URL") as raised:
        get(net)
    assert "secret" not in str(raised.value)
    assert net.requests == []


def test_a_url_that_can_never_be_sent_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_PAUSES", (9.0,))
    monkeypatch.setattr(resume, "time", SimpleNamespace(sleep=lambda _: pytest.fail("it is tried again")))
    with pytest.raises(OSError, match="control characters"):
        fetch("http://127.0.0.1:9/my files", NAME, otherwise="do without")


def test_a_malformed_mirror_does_not_matter_to_a_cached_file(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    net.answers["/net.pth"] = [file()]
    path = get(net)
    monkeypatch.setenv("KERAS_RESNET_MIRROR", "mirror.test")
    assert get(net) == path
    with pytest.raises(ValueError, match="KERAS_RESNET_MIRROR"):
        get(net, SHA256[:14] + "00")


def test_a_proxy_of_the_environment_is_used(net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Also for a redirect to a name that only the proxy knows."""
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:secret@"))
    proxy.answers["http://published.test/net.pth"] = [redirect("http://files.published.test/net.pth")]
    proxy.answers["http://files.published.test/net.pth"] = [file(end=1000), file()]
    assert fetch("http://published.test/net.pth", NAME, otherwise="do without").read_bytes() == DATA
    assert proxy.ranges == [None, None, "bytes=1000-", "bytes=1000-"]
    assert all(headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0" for _, headers in proxy.requests)
    (home / NAME).unlink()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    net.answers["/net.pth"] = [file()]
    assert get(net).read_bytes() == DATA
    assert len(proxy.requests) == 4
    assert len(net.requests) == 1


def test_only_names_that_no_proxy_resolves_are_resolved(
    net: Web, proxy: Web, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    resolved: list[str] = []
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        if not host.endswith(".test") or more["flags"] & socket.AI_NUMERICHOST:
            return resolve(host, *rest, **more)
        resolved.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "office.test")
    proxy.answers["http://published.test/net.pth"] = [redirect("http://files.test/net.pth")]
    proxy.answers["http://files.test/net.pth"] = [redirect("http://office.test/net.pth")]
    with pytest.raises(OSError, match="into a private network, to 'office.test'"):
        fetch("http://published.test/net.pth", NAME, otherwise="do without")
    assert resolved == ["office.test"]


def test_https_goes_through_a_tunnel_of_its_proxy(proxy: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy.url)
    with pytest.raises(OSError, match="Tunnel connection failed: 404"):
        fetch("https://published.test/net.pth", NAME, otherwise="do without")
    assert proxy.paths == ["published.test:443"]


# ---- Other processes.


def start(url: str, digest: str = SHA256, setting: str = "") -> subprocess.Popen[str]:
    """A process that fetches, in which neither Keras nor NumPy can be imported."""
    code = (
        "import sys; sys.modules.update(keras=None, numpy=None)\n"
        f"from keras_resnet.checkpoints.download import partial, resume; {setting}\n"
        "from keras_resnet.checkpoints.download.fetch import fetch\n"
        f"print(fetch({url!r}, {NAME!r}, {digest!r}, otherwise='do without'))"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=-1, text=True)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("digest", [SHA256, ""])
def test_a_killed_process_leaves_a_part_that_the_next_one_continues(digest: str, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=300_000, stall=True), file()]
    process = start(f"{net.url}/net.pth", digest)
    part = home / "zoo" / ".net.pth.part"
    until(lambda: part.exists() and part.stat().st_size == 300_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert files(home) == [".net.pth.part", ".net.pth.part.json"]
    assert get(net, digest).read_bytes() == DATA
    assert net.ranges == [None, "bytes=300000-"]
    assert files(home) == ["net.pth"]


def test_of_two_processes_one_downloads_and_the_other_waits(net: Web, home: Path) -> None:
    go = threading.Event()
    net.answers["/net.pth"] = [lambda handler: (go.wait(20), file()(handler))]
    first = start(f"{net.url}/net.pth")
    until(lambda: len(net.requests) == 1)
    second = start(f"{net.url}/net.pth", setting="partial._PATIENCE = 0.02")
    assert second.stderr is not None
    assert second.stderr.readline() == f"Waiting for another process that makes {home / NAME}\n"
    time.sleep(0.25)
    go.set()
    for process in (first, second):
        out, err = process.communicate()
        assert (process.returncode, out) == (0, f"{home / NAME}\n")
        assert "Waiting" not in err  # it says so once
    assert len(net.requests) == 1
    assert files(home) == ["net.pth"]


def test_whoever_waited_goes_on_where_a_killed_process_stopped(net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=300_000, stall=True), file()]
    first = start(f"{net.url}/net.pth")
    part = home / "zoo" / ".net.pth.part"
    until(lambda: part.exists() and part.stat().st_size == 300_000)
    waiting = threading.Thread(target=get, args=(net,))
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    first.kill()
    waiting.join(20)
    first.communicate()
    assert get(net).read_bytes() == DATA
    assert net.ranges == [None, "bytes=300000-"]


def together(count: int, work: Callable[[], object]) -> None:
    """Does something in several threads, for which locks and names are as for processes."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []


def test_many_at_once_download_once(net: Web, home: Path) -> None:
    for _ in range(10):
        net.clear()
        net.answers["/net.pth"] = [file()]
        together(6, lambda: get(net))
        assert len(net.requests) == 1
        assert files(home) == ["net.pth"]
        assert get(net).read_bytes() == DATA
        (home / NAME).unlink()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("missing", ["fcntl", "locks"])
def test_where_there_are_no_locks_everyone_ends_with_the_right_file(
    missing: str, net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setitem(sys.modules, "fcntl", None)
    if missing == "locks":
        monkeypatch.setitem(sys.modules, "fcntl", SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4))
    net.answers["/net.pth"] = [file(stall=True)]
    together(3, lambda: get(net))
    assert (home / NAME).read_bytes() == DATA
    assert len(net.requests) == 3
    assert files(home) == ["net.pth"]
    (home / NAME).unlink()
    net.answers["/net.pth"] = [file(end=1000)]
    refused(net, "ended")
    assert files(home) == []


def test_without_locks_what_killed_processes_left_goes_after_a_day(
    net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    folder, old = home / "zoo", time.time() - 90_000
    folder.mkdir(parents=True)
    left = [f".net.pth.{'0a' * 8}.part", f".net.pth.{'0a' * 8}.part.json"]
    others = [".net.pth.part", f".other.pth.{'0a' * 8}.part", f".net.pth.{'0a' * 8}x.part", "net.pth.part"]
    fresh = [f".net.pth.{'1b' * 8}.part", f".net.pth.{'1b' * 8}.part.json"]
    for name in (*left, *others, *fresh):
        (folder / name).write_bytes(b"beginning")
        os.utime(folder / name, None if name in fresh else (old, old))
    net.answers["/net.pth"] = [file(end=1000), file()]
    assert get(net).read_bytes() == DATA
    assert net.ranges == [None, "bytes=1000-"]  # its own it can continue
    assert files(home) == sorted([*others, *fresh, "net.pth"])


def test_a_lock_of_a_file_that_is_gone_is_no_lock(net: Web, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Another process had it open, and was done with it, before it could be locked."""
    fcntl = pytest.importorskip("fcntl")
    locked: list[int] = []
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        if not locked:
            (home / "zoo" / ".net.pth.part").unlink()
        locked.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    net.answers["/net.pth"] = [file()]
    assert get(net).read_bytes() == DATA
    assert len(locked) == 2


def test_what_the_next_process_has_begun_is_not_removed(net: Web, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    begun = home / "zoo" / ".net.pth.part"

    def publish(part: Path, path: Path) -> None:
        partial.publish(part, path)
        begun.touch()

    monkeypatch.setattr("keras_resnet.checkpoints.download.fetch.publish", publish)
    net.answers["/net.pth"] = [file()]
    get(net)
    assert begun.exists()


def test_a_file_lies_on_the_disk_before_it_takes_its_place(
    net: Web, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, (home / NAME).exists()))

    monkeypatch.setattr(os, "fsync", recorded)
    net.answers["/net.pth"] = [file()]
    path = get(net)
    assert synced == [(path.stat().st_ino, False)]


def test_ctrl_c_leaves_what_the_next_call_goes_on_with(net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file()]

    def check(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(net, check=check)
    assert files(home) == [".net.pth.part", ".net.pth.part.json"]
    assert get(net).read_bytes() == DATA
    assert len(net.requests) == 1


# ---- What the user hears.


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_anew(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_EVERY", 0)
    net.answers["/net.pth"] = [file(end=256_000), file()]
    get(net)
    first, states, broken, second, more, end = screen.getvalue().split("\n")
    assert first == f"Downloading {net.url}/net.pth (0.5 MB)"
    assert re.fullmatch(r"(\r  0\.\d of 0\.5 MB, \d+%, \d+\.\d MB/s *)+", states)
    assert "50%" in states
    assert broken == f"{net.url}/net.pth: the connection ended after 256000 of 512000 bytes; trying again"
    assert second == f"Continuing {net.url}/net.pth (0.5 MB)"
    assert "100%" in more
    assert end == ""


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_the_terminal_is_not_written_to_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, every, ends in ((Screen(), 0.25, 1), (io.StringIO(), 10, 0)):
        clock = Clock()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(progress, "time", clock)
        with progress.Progress("Downloading", 0, 10_000) as shown:
            for done in range(10_000):
                clock.now += every / 950
                shown.show(done + 1)
        assert stream.getvalue().count("MB/s") == 10 + ends
        assert stream.getvalue().count("\n") == (2 if ends else 11)


def test_without_a_length_it_is_said_how_much_is_here(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(progress, "_EVERY_LINE", 0)
    net.answers["/net.pth"] = [headed("Transfer-Encoding: chunked", chunks(DATA))]
    get(net)
    first, *states, last = log.getvalue().splitlines()
    assert first == f"Downloading {net.url}/net.pth"
    assert len(states) >= 3
    assert re.fullmatch(r"  0\.5 MB, \d+\.\d MB/s", last)


def test_without_standard_error_nothing_is_said(
    net: Web, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    net.answers["/net.pth"] = [file()]
    get(net, "")
    monkeypatch.undo()
    assert capfd.readouterr() == ("", "")
