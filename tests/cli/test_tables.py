"""Options that are for some data, or exclude each other: refused before anything is read, and documented."""

from pathlib import Path
from typing import Any

import pytest

from keras_resnet.cli import train
from keras_resnet.cli.app import main

pytestmark = pytest.mark.one_backend

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "tables.md"


@pytest.mark.parametrize(
    "words",
    [
        "folder --images x",
        "folder --path-column x",
        "folder --label-column x",
        "folder --split-column x",
        "folder --separator |",
        "folder --group-column x",
        "folder --target-column x",
        "folder --task labels",
        "folder --threshold 0.3",
        "folder --loss mse",
        "folder --monitor val_mean_absolute_error",
        "digits --loss huber",
        "digits --value-range 0 1",
        "digits --check headers",
        "digits --workers 2",
        "digits --task regression",
        "t.csv --label-column x --target-column y",
        "t.csv --separator | --target-column y",
        "t.csv --task labels --target-column y",
        "t.csv --label-smoothing 0.1 --target-column y",
        "t.csv --balance --target-column y",
        "t.csv --threshold 0.3 --target-column y",
        "t.csv --threshold 0.3 --task classes",
        "t.csv --loss focal --target-column y",
        "t.csv --loss mse --task labels",
        "t.csv --monitor val_accuracy --target-column y",
        "t.csv --folds 3 --validation-split 0.3",
    ],
)
def test_what_would_do_nothing_is_refused_before_anything_is_read(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)  # where no such data lie, which would be said if they were looked for
    assert main(["train", *words.split()])
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("keras-resnet: ")]
    assert any(word in said for word in words.split() if word.startswith("--"))
    assert "there is no" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_guide_lists_what_excludes_what() -> None:
    section = GUIDE.read_text(encoding="utf-8").split("## Which options exclude each other?")[1].split("\n## ")[0]
    for name, *_ in train._ONLY:
        assert f"--{'images' if name == 'image_folder' else name.replace('_', '-')}" in section, name
