"""Servers, an empty cache, and little patience."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_resnet.checkpoints.download import partial, resume
from tests.helpers.web import Web


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
    monkeypatch.setattr(resume, "_STALL", 1)
