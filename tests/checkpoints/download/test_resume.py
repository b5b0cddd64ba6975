"""Downloads: what breaks off is continued, and nothing but the file that was announced is taken; users hear of it."""

import errno
import io
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keras_resnet.checkpoints.download import resume
from keras_resnet.utils import progress
from tests.helpers.web import (
    DATA,
    MD5,
    NAME,
    SHA256,
    Answer,
    Handler,
    Web,
    chunks,
    file,
    files,
    get,
    headed,
    raw,
    refused,
    send,
    status,
    unfinished,
)

pytestmark = pytest.mark.one_backend


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


def test_a_server_that_never_answers_is_an_error(net: Web, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_STALL", 0.3)  # no answer can be late
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
        refused(net, "does not tell the length", digest)
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
    with pytest.raises(OSError, match="invalid HTTP") as raised:
        get(net)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500
    assert files(home) == []


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "identity, gzip"])
def test_an_encoded_file_is_refused(encoding: str, net: Web, home: Path) -> None:
    net.answers["/net.pth"] = [file(end=1000), file(Content_Encoding=encoding)]
    refused(net, f"encoded as '{encoding}'")
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


def only_whole(path: Path) -> None:
    if path.read_bytes() != DATA:
        raise ValueError("it is another one")


def room(free: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Says of the disk that it has so many bytes left, one after the other."""
    left = iter(free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(left)))


@pytest.mark.parametrize("digest", [SHA256, ""])
@pytest.mark.parametrize("before", [[], ["net.pth"]])
def test_a_disk_without_room_is_an_error_before_the_first_byte(
    before: list[str], digest: str, net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "zoo").mkdir(parents=True)
    for name in before:
        (home / "zoo" / name).write_bytes(b"another one")
    net.answers["/net.pth"] = [file()]
    room([511_999, 512_000], monkeypatch)
    refused(net, "it needs 1 MB, and the disk has 1 MB left", digest, check=only_whole)
    assert len(net.requests) == 1  # room does not come by waiting
    assert files(home) == before
    assert all((home / "zoo" / name).read_bytes() == b"another one" for name in before)
    assert get(net, digest, check=only_whole).read_bytes() == DATA
    assert files(home) == ["net.pth"]


def test_where_there_is_no_room_for_the_rest_what_is_here_stays(
    net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(home, url=f"{net.url}/net.pth")
    net.answers["/net.pth"] = [file()]
    room([510_999, 511_000], monkeypatch)
    refused(net, "the disk has 1 MB left")
    assert files(home) == [".net.pth.part", ".net.pth.part.json"]
    assert get(net).read_bytes() == DATA
    assert net.ranges == ["bytes=1000-"] * 2


def test_what_takes_the_place_of_another_version_needs_that_much_less_room(
    net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(home, url=f"{net.url}/other.pth")
    net.answers["/net.pth"] = [file()]
    room([511_000], monkeypatch)
    assert get(net).read_bytes() == DATA


# ---- What the user hears.


@pytest.mark.parametrize(
    ("tag", "digest", "goes_on"), [('"1"', "", True), (None, SHA256, True), (None, SHA256[:15], False)]
)
def test_before_a_large_download_its_size_is_said(
    tag: str | None, digest: str, goes_on: bool, net: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whether it can be interrupted: before the first byte is read."""
    log, read = io.StringIO(), resume._blocks
    monkeypatch.setattr(sys, "stderr", log)

    def blocks(*arguments: Any) -> Any:
        log.write("first byte\n")
        yield from read(*arguments)

    monkeypatch.setattr(resume, "_blocks", blocks)
    monkeypatch.setattr(resume, "_MANY", len(DATA) - 1)
    net.answers["/net.pth"] = [file(tag=tag)]
    get(net, digest).unlink()
    ending = "; if it is interrupted, the next attempt goes on" if goes_on else ""
    said = log.getvalue()
    assert said.startswith(f"note: 0.0 GB will be downloaded{ending}\n")
    assert said.index("first byte") > said.index("will be downloaded")
    monkeypatch.setattr(resume, "_MANY", len(DATA))
    log.truncate(0)
    get(net, digest)
    assert "will be downloaded" not in log.getvalue()


def test_a_large_download_that_is_interrupted_goes_on_as_it_said(
    net: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(resume, "_MANY", 1)

    def half(response: Any, missing: int) -> Iterator[bytes]:
        yield response.read(256_000)
        raise KeyboardInterrupt

    net.answers["/net.pth"] = [file()]
    with monkeypatch.context() as patch:
        patch.setattr(resume, "_blocks", half)
        with pytest.raises(KeyboardInterrupt):
            get(net)
    assert files(home) == [".net.pth.part", ".net.pth.part.json"]
    assert get(net).read_bytes() == DATA
    assert net.ranges == [None, "bytes=256000-"]
    assert log.getvalue().count("will be downloaded") == 1


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_anew(net: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_EVERY", 0)
    net.answers["/net.pth"] = [file(end=256_000), file()]
    get(net)
    first, states, broken, second, more, end = screen.getvalue().split("\n")
    assert first == f"Downloading {net.url}/net.pth (0.5 MB)"
    assert re.fullmatch(r"(\r  0\.\d of 0\.5 MB, \d+%, \d+\.\d MB/s *)+", states)
    assert "50%" in states
    assert broken == f"note: {net.url}/net.pth: the connection ended after 256000 of 512000 bytes; trying again"
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
