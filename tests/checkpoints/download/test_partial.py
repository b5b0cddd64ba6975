"""Partial files: one process works on each at a time, and it takes its place whole, whatever others do or lay there."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_resnet.checkpoints.download import partial, resume
from tests.helpers.web import DATA, NAME, SHA256, Web, file, files, get, refused

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[3]


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
    assert second.stderr.readline() == f"waiting for another process that writes {home / NAME}\n"
    time.sleep(0.25)
    go.set()
    for process in (first, second):
        out, err = process.communicate()
        assert (process.returncode, out) == (0, f"{home / NAME}\n")
        assert "waiting" not in err  # it says so once
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


# ---- Links.


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
