"""What of each image is read before training, and what an earlier check spares."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_resnet import data
from keras_resnet.data.check import Checked
from keras_resnet.data.read import Reader
from tests.helpers.pictures import draw_folder

pytestmark = pytest.mark.one_backend


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    folder = draw_folder(tmp_path / "flowers", 3)
    half = folder / "circle" / "half.jpg"
    half.write_bytes((folder / "circle" / "0.jpg").read_bytes()[:900])
    (folder / "square" / "text.png").write_text("no image")
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is read of which file."""
    seen: list[tuple[str, str]] = []
    for how in ("look", "size"):
        original = getattr(Reader, how)

        def spy(self: Reader, picture: Any, how: str = how, original: Any = original) -> Any:
            seen.append((how, Path(picture).name))
            return original(self, picture)

        monkeypatch.setattr(Reader, how, spy)
    return seen


def test_full_reads_pixels_headers_the_size_and_none_a_sample(flowers: Path, reads: list[tuple[str, str]]) -> None:
    full = data.folder(flowers, verbose=False)
    assert {how for how, _ in reads} == {"look"}
    assert len(full.labels) == 9
    reads.clear()
    headers = data.folder(flowers, verbose=False, check="headers")
    assert {how for how, _ in reads} == {"size"}
    assert len(headers.labels) == 10  # half of an image has a header
    reads.clear()
    assert len(data.folder(flowers, verbose=False, check="none").labels) >= 10
    assert {how for how, _ in reads} <= {"size"}
    for found in (full, headers):
        assert found.inventory
        assert found.inventory.shorter_side == 200
        assert {file.name for file in found.inventory.skipped} >= {"text.png"}


def test_headers_give_the_size_that_decoding_gives(tmp_path: Path) -> None:
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.new("RGB", (7, 3)).save(tmp_path / f"{turn}.jpg", exif=exif)
    np.save(tmp_path / "a.npy", np.zeros((5, 9, 3), "uint8"))
    for file in sorted(tmp_path.iterdir()):
        assert Reader(None).size(file) == Reader(None).look(file)[0], file.name


def test_none_looks_at_a_hundred_of_many(tmp_path: Path, reads: list[tuple[str, str]]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(150):
            (tmp_path / name / f"{index}.png").symlink_to(tmp_path / "one.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "one.png")
    found = data.folder(tmp_path, verbose=False, check="none")
    assert len(found.labels) == 300
    assert 90 <= len(reads) <= 150
    assert found.inventory
    assert found.inventory.shorter_side == 30


def test_only_files_that_changed_are_read_again(flowers: Path, tmp_path: Path, reads: list[tuple[str, str]]) -> None:
    first = data.folder(flowers, verbose=False)
    assert first.inventory
    assert first.inventory.checked
    first.inventory.checked.save(tmp_path / Checked.NAME)
    reads.clear()
    again = data.folder(flowers, verbose=False, checked=tmp_path)
    assert reads == []
    assert again.inventory
    assert (again.hashes(), again.inventory.sizes) == (first.hashes(), first.inventory.sizes)
    assert again.inventory.skipped == first.inventory.skipped
    assert data.folder(flowers, verbose=False, checked=tmp_path, check="headers").hashes() == first.hashes()
    assert reads == []
    changed = flowers / "circle" / "1.jpg"
    Image.new("RGB", (300, 200)).save(changed)
    touched = flowers / "circle" / "2.jpg"
    os.utime(touched, ns=(1, 1))
    data.folder(flowers, verbose=False, checked=tmp_path)
    assert sorted(name for _, name in reads) == ["1.jpg", "2.jpg"]


def test_a_look_at_headers_does_not_stand_for_the_pixels(flowers: Path, tmp_path: Path, reads: list[Any]) -> None:
    first = data.folder(flowers, verbose=False, check="headers")
    assert first.inventory
    assert first.inventory.checked
    first.inventory.checked.save(tmp_path / "kept")
    reads.clear()
    data.folder(flowers, verbose=False, checked=tmp_path / "kept")
    assert len(reads) >= 10


def test_looks_of_other_channels_do_not_count(flowers: Path, tmp_path: Path, reads: list[Any]) -> None:
    first = data.folder(flowers, verbose=False)
    assert first.inventory
    assert first.inventory.checked
    first.inventory.checked.save(tmp_path / "kept")
    reads.clear()
    data.folder(flowers, verbose=False, checked=tmp_path / "kept", channels=1)
    assert len(reads) >= 9


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\0" + bytes(20)])
def test_a_damaged_note_of_checks_counts_as_none(flowers: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kept").write_bytes(content)
    assert len(data.folder(flowers, verbose=False, checked=tmp_path / "kept").labels) == 9
    first = data.folder(flowers, verbose=False)
    assert first.inventory
    assert first.inventory.checked
    first.inventory.checked.save(tmp_path / "kept")
    whole = (tmp_path / "kept").read_bytes()
    (tmp_path / "kept").write_bytes(whole[: len(whole) // 2])
    assert len(data.folder(flowers, verbose=False, checked=tmp_path / "kept").labels) == 9


def test_without_pixels_images_on_two_sides_are_not_looked_for(
    flowers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for level in ("headers", "none"):
        assert data.splits(flowers, check=level, validation_split=0.4).leaks == []
        assert "were not looked for" in capsys.readouterr().err


def test_what_was_not_decoded_is_told_by_path_and_size(flowers: Path, reads: list[tuple[str, str]]) -> None:
    found = data.folder(flowers, verbose=False, check="headers")
    reads.clear()
    hashes = found.hashes()
    assert reads == []
    assert len(set(hashes)) == len(hashes)
    (flowers / "circle" / "0.jpg").write_bytes((flowers / "circle" / "1.jpg").read_bytes() + b"more")
    assert data.folder(flowers, verbose=False, check="headers").hashes() != hashes
