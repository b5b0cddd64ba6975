"""Downloads a URL into a partial file; resumes it, checks its length."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from typing import IO
from urllib.error import URLError

from keras_resnet.checkpoints.download.http import get, without_credentials
from keras_resnet.checkpoints.download.partial import forget, note, open_partial
from keras_resnet.utils.progress import Progress, say

_STALL = 30.0  # seconds without a byte
_SLOWEST = 1000.0  # bytes per second, on average over a window
_WINDOW = 60.0  # seconds
_PAUSES = (1.0, 2.0, 4.0)  # seconds before each further attempt
_PATIENCE = 30.0  # seconds that a server may ask to wait
_LARGEST = 16 << 30  # bytes; four times the largest ResNet that is published
_MANY = 500_000_000  # bytes; of a download of more a user is told before it begins
_BLOCK = 1 << 18

_MAY_PASS = (TimeoutError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError, HTTPException)


class _Passing(OSError):
    """A failure that may pass, and how many seconds the server asks to wait for that."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class _Version:
    """The file whose beginning a partial file is; noted beside it, so that a later process can go on."""

    url: str
    length: int
    validator: str  # the server's name for it; "" if there is none, and a hash is to prove the file

    @classmethod
    def of(cls, part: Path, url: str, proven: bool) -> "_Version | None":
        """Reads that of a partial file which can be continued."""
        try:
            version = cls(**json.loads(note(part).read_text()))
            fits = version.url == url and 0 < part.stat().st_size <= version.length
            return version if fits and (version.validator or proven) else None
        except (OSError, ValueError, TypeError):  # there is none, or it was cut off
            return None

    def ask(self, start: int) -> dict[str, str]:
        """Makes the headers that ask for the rest of it."""
        return {"Range": f"bytes={start}-"} | ({"If-Range": self.validator} if self.validator else {})

    def continues(self, response: HTTPResponse, start: int) -> bool:
        """Whether an answer is the rest of it."""
        told = response.headers.get("Content-Range", "").strip().lower()
        fits = response.status == 206 and told == f"bytes {start}-{self.length - 1}/{self.length}"
        return fits and _encoding(response) == "identity" and _validator(response.headers) in ("", self.validator)


def receive(url: str, part: Path, *, proven: bool) -> None:
    """Completes a partial file, or begins it anew where it can't be continued.

    What stalls, breaks off or is refused for the moment is tried again, a few times. Where a later call can go on,
    a note beside the partial file says so.

    Args:
        url: http or https, and trusted.
        part: a file that exists, and may be empty.
        proven: whether a hash will prove the whole file: then the server need tell neither version nor length.

    Raises:
        OSError: says why the file can't be had.
    """
    for pause in (*_PAUSES, None):
        try:
            _attempt(url, part, proven)
            break
        except _Passing as failure:
            if pause is None or failure.wait > _PATIENCE:
                raise
            say(f"note: {without_credentials(url)}: {failure}; trying again")
            time.sleep(max(pause, failure.wait))


def _attempt(url: str, part: Path, proven: bool) -> None:
    """Receives what is missing, by one answer."""
    version = _Version.of(part, without_credentials(url), proven)
    start = part.stat().st_size if version else 0
    if version and start == version.length:  # its process ended before it could be checked
        return
    with _network():
        response = get(url, version.ask(start) if version else {}, _STALL)
    with response:
        if version and version.continues(response, start):
            _check_room(part, version.length - start)
            with open_partial(part, "ab") as file:
                _store(response, file, part, version.length, f"Continuing {without_credentials(url)}")
            return
        if response.status in (206, 416):
            forget(part)
            raise _Passing("the server can't continue the interrupted download")
        _check(response, proven)
        forget(part)
        length, validator = response.length, _validator(response.headers)
        if length is not None:
            _check_room(part, length - part.stat().st_size)  # what is there of another version goes
            if length > _MANY:
                going_on = "; if it is interrupted, the next attempt goes on" if validator or proven else ""
                say(f"note: {length / 1e9:.1f} GB will be downloaded{going_on}")
        with open_partial(part, "wb") as file:
            if length is not None and (validator or proven):
                with open_partial(note(part), "wb") as aside:
                    aside.write(json.dumps(asdict(_Version(without_credentials(url), length, validator))).encode())
            _store(response, file, part, length, f"Downloading {without_credentials(url)}")


def _check(response: HTTPResponse, proven: bool) -> None:
    """Refuses an answer that is not a file, or not to be told from half a file."""
    if response.status == 429 or response.status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _Passing(f"HTTP status {response.status}", float(wait) if wait.isdecimal() else 0)
    if response.status != 200:
        raise OSError(f"HTTP status {response.status}")
    if _encoding(response) != "identity":
        raise OSError(f"the server sends it encoded as {_encoding(response)!r}, which is not supported")
    if response.length is None and not response.chunked and not proven:
        raise OSError("the server does not tell the length of the file")
    if response.length is not None and response.length > _LARGEST:
        raise OSError(f"the file has {response.length} bytes, more than the {_LARGEST} that are allowed")


def _check_room(part: Path, missing: int) -> None:
    """Refuses what the disk has no room for."""
    free = shutil.disk_usage(part.parent).free
    if missing > free > 0:
        raise OSError(f"it needs {missing / 1e6:.0f} MB, and the disk has {free / 1e6:.0f} MB left")


def _store(response: HTTPResponse, file: IO[bytes], part: Path, length: int | None, title: str) -> None:
    """Appends a body to a partial file, which then has the announced length."""
    most, why = (_LARGEST, "allowed") if length is None else (length, "announced")
    with Progress(title, file.tell(), length) as progress:
        for block in _blocks(response, most - file.tell()):
            file.write(block)
            if file.tell() > most:
                forget(part)
                raise OSError(f"the file has more than the {most} bytes that are {why}")
            progress.show(file.tell())
    if length is not None and file.tell() < length:
        raise _Passing(f"the connection ended after {file.tell()} of {length} bytes")


def _blocks(response: HTTPResponse, missing: int) -> Iterator[bytes]:
    """Yields all that there is of a body, also past the announced end."""
    since, received = time.monotonic(), 0
    response.length = None  # else http.client reads no further, and takes an earlier end for that one
    while True:
        try:
            with _network():
                block = response.read1(_BLOCK)
        except OSError:
            if not missing:  # all is here, however the connection ends
                return
            raise
        if not block:
            return
        missing -= len(block)
        yield block
        received += len(block)
        if (seconds := time.monotonic() - since) >= _WINDOW:
            if missing > 0 and received < _SLOWEST * seconds:
                raise _Passing(f"the server sends less than {_SLOWEST:.0f} bytes per second")
            since, received = since + seconds, 0


@contextmanager
def _network() -> Iterator[None]:
    """Makes every failure of the network an `OSError`; of what may pass, a `_Passing`."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        text = f"invalid HTTP: {reason!r:.80}" if isinstance(reason, HTTPException) else str(reason)
        may_pass = isinstance(reason, _MAY_PASS) and not isinstance(reason, InvalidURL)
        raise (_Passing if may_pass else OSError)(text) from error


def _encoding(response: HTTPResponse) -> str:
    """Returns how the content is encoded."""
    return str(response.headers.get("Content-Encoding", "identity")).lower()


def _validator(headers: Message) -> str:
    """Returns the server's name for a version: a strong entity tag, or without any the date; "" if it is of no use."""
    tag = headers.get("ETag")
    name = str(headers.get("Last-Modified", "") if tag is None else tag)
    return name if name.isprintable() and not name.startswith("W/") else ""
