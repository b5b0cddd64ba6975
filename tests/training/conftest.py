from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

PAINT = Figure.savefig


@pytest.fixture(scope="module")
def unpainted() -> Iterator[None]:
    """Figures are made and their files are left, but empty: to paint them is half the time of a small run."""

    def leave(self: Figure, path: Path, **_: Any) -> None:
        Path(path).touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", leave)
        yield


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what looks at figures, among tests that don't."""
    monkeypatch.setattr(Figure, "savefig", PAINT)
