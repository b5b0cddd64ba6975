"""A web server of what a test says, and downloads from it that succeed or are refused."""

import hashlib
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.checkpoints.download import partial
from keras_resnet.checkpoints.download.fetch import fetch

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


def get(net: Web, digest: str = SHA256, **arguments: Any) -> Path:
    return fetch(f"{net.url}/net.pth", NAME, digest, otherwise="do without", **arguments)


def refused(net: Web, reason: str, digest: str = SHA256, **arguments: Any) -> None:
    with pytest.raises(OSError, match=reason) as raised:
        get(net, digest, **arguments)
    assert str(raised.value).startswith(f"Could not download {net.url}/net.pth (")
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
