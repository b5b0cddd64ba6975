"""The command line, in processes of its own: what it prints, leaves and refuses."""

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import cli, data, labels
from tests.pictures import SHAPES, draw_folder

BACKEND = keras.backend.backend()
once = pytest.mark.one_backend
LEFT = {"model.keras", "labels.txt", "history.csv", "curves.png"}


def command(*arguments: str, cwd: Path, backend: str = BACKEND) -> subprocess.CompletedProcess[str]:
    path = f"{Path(__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.run(
        [sys.executable, "-m", "keras_resnet", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )


Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail without a traceback, and returns what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        with contextlib.suppress(SystemExit):  # argparse's
            assert cli.main(arguments) == 1
        return capsys.readouterr().err

    return run


def test_digits_leave_a_model_of_raw_rgb_and_a_history(tmp_path: Path) -> None:
    """With the defaults on JAX, two steps on the others."""
    defaults = BACKEND == "jax"
    arguments = () if defaults else ("--epochs", "1", "--batch-size", "719")  # of 1437 pictures
    result = command("train", "digits", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines, out = result.stdout.splitlines(), tmp_path / "runs" / "digits"
    assert lines[0] == f"backend: {BACKEND}"
    assert {path.name for path in out.iterdir()} == LEFT
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"epoch", "accuracy", "loss", "val_accuracy", "val_loss"} <= set(rows[0])
    accuracies = [float(row["val_accuracy"]) for row in rows]
    best = max(accuracies)
    assert lines[-1] == f"best validation accuracy: {best:.1%} (epoch {1 + accuracies.index(best)})"
    assert best >= 0.97 or not defaults
    model = keras.models.load_model(out / "model.keras")
    assert model.input_shape == (None, 16, 16, 3)
    _, accuracy = model.evaluate(data.digits().split()[1], verbose=0)
    assert accuracy == pytest.approx(best, abs=1e-6)


@once
def test_without_a_chosen_backend_the_command_says_which_it_takes(tmp_path: Path) -> None:
    code = "import keras_resnet.cli as cli; print(cli._choose_backend())"

    def choose(backend: str) -> str:
        process = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
            check=False,
        )
        return process.stdout.strip() or process.stderr.splitlines()[-1]

    assert choose("torch") == "torch"
    assert choose("") == "jax (set KERAS_BACKEND to choose another)"
    assert "Did you mean 'torch'" in choose("toch")
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert choose("").startswith("torch (")
    for damaged in ("[]", "{"):
        (tmp_path / "keras.json").write_text(damaged)
        assert choose("").startswith("jax (")


@once
def test_a_missing_backend_is_a_sentence(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "pip install 'keras3-resnet[jax]'" in refused("train", "digits")
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", "/nonexistent")
    assert "none is installed: pip install" in refused("train", "digits")


@once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--model", "ResNet51"), "`--model` must be one of 'ResNet18'"),
        (("train", "digits", "--model", "resnet50", "--image-size", "16"), "Did you mean 'ResNet50'"),
        (("train", "digits", "--model", "ResNet50", "--image-size", "16"), "at least 32x32"),
        (("train", "digits", "--epochs", "0"), "must be a positive int; received '0'"),
        (("train", "digits", "--out", "file"), "--out must be a folder that can be written; 'file'"),
        (("train", "digits", "--learning-rate", "nan"), "must be a number above 0"),
        (("train", "digits", "--validation-split", "1"), "between 0 and 1"),
        (("train", "letters"), "There is no folder 'letters'"),
        (("trian",), "invalid choice: 'trian'"),
    ],
    ids=str,
)
def test_what_the_user_can_mend_ends_in_a_sentence(
    arguments: tuple[str, ...], message: str, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert message in refused(*arguments)


def classify(model: Path, pictures: list[Path], cwd: Path, backend: str = BACKEND) -> list[dict[str, Any]]:
    result = command("predict", str(model), *map(str, pictures), "--json", cwd=cwd, backend=backend)
    assert result.returncode == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.mark.skipif(BACKEND == "jax", reason="JAX trains on a folder in the next test")
def test_a_folder_trains_and_its_model_names_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_folder(tmp_path / "shapes", 4)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "keras.json").write_text('{"image_data_format": "channels_first"}')  # does not matter
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    arguments = ("--epochs", "1", "--image-size", "16", "--validation-split", "0.25", "--out", "run")
    result = command("train", "shapes", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "3 classes; pictures: 9 to train, 3 to validate" in result.stdout
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT
    assert (tmp_path / "run" / "labels.txt").read_text().split() == list(SHAPES)
    assert keras.models.load_model(tmp_path / "run" / "model.keras").input_shape == (None, 16, 16, 3)
    with Image.open(tmp_path / "run" / "curves.png") as curves:
        assert min(curves.size) > 300
    (found,) = classify(tmp_path / "run" / "model.keras", [tmp_path / "shapes" / "circle" / "0.jpg"], tmp_path)
    scores = [prediction["probability"] for prediction in found["predictions"]]
    assert {prediction["class"] for prediction in found["predictions"]} == set(SHAPES)
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="one training run of a minute; its file is read on two backends")
def test_the_defaults_learn_shapes_and_the_model_knows_new_pictures_anywhere(tmp_path: Path) -> None:
    draw_folder(tmp_path / "shapes", 300)
    result = command("train", "shapes", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (best,) = re.findall(r"^best validation accuracy: (.*)%", result.stdout, re.MULTILINE)
    assert float(best) >= 95
    assert {path.name for path in (tmp_path / "runs" / "shapes").iterdir()} == LEFT
    new = draw_folder(tmp_path / "new", 3, seed=1)
    (tmp_path / "shapes").rename(tmp_path / "moved")
    (tmp_path / "runs" / "shapes").rename(tmp_path / "elsewhere")
    pictures = [new / shape / f"{index}.jpg" for shape in SHAPES for index in range(3)]
    for backend in ("jax", "torch"):
        found = classify(tmp_path / "elsewhere" / "model.keras", pictures, tmp_path, backend)
        assert [each["image"] for each in found] == [str(path) for path in pictures]
        best = [each["predictions"][0] for each in found]
        assert [prediction["class"] for prediction in best] == [path.parent.name for path in pictures]


@once
def test_predict_prints_the_top_classes_for_people(tmp_path: Path) -> None:
    model = keras_resnet.ResNet20(input_shape=(None, None, 3), classes=3, include_preprocessing=True)
    labels.with_class_names(model, ["cat", "dog", "eel"]).save(tmp_path / "named.keras")
    model.save(tmp_path / "nameless.keras")
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    named = command("predict", "named.keras", "a.png", "--top", "2", cwd=tmp_path)
    lines = named.stdout.splitlines()
    assert lines[0] == f"backend: {BACKEND}"
    assert lines[1] == "a.png"
    assert len(lines) == 4
    assert all(re.fullmatch(r" +\d+\.\d%  (cat|dog|eel)", line) for line in lines[2:])
    nameless = command("predict", "nameless.keras", "a.png", cwd=tmp_path)
    assert sorted(line.split()[1] for line in nameless.stdout.splitlines()[2:]) == ["0", "1", "2"]


@once
def test_predict_refuses_what_is_no_model_or_no_picture(tmp_path: Path, refused: Refused) -> None:
    model = keras_resnet.ResNet20(input_shape=(8, 8, 3), include_preprocessing=True)
    model.save(tmp_path / "good.keras")
    keras_resnet.ResNet20(input_shape=(8, 8, 1)).save(tmp_path / "gray.keras")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for arguments, message in (
        (("missing.keras", "a.png"), "There is no model file 'missing.keras'"),
        (("text.keras", "a.png"), "'text.keras' is no Keras model"),
        (("a.png", "a.png"), "'a.png' is no Keras model"),
        (("gray.keras", "a.png"), "must take RGB pictures"),
        (("good.keras", "missing.png"), "missing.png can't be read"),
        (("good.keras", "a.png", "text.png"), "text.png can't be read"),
    ):
        assert message in refused("predict", *arguments)


@once
def test_train_refuses_folders_in_a_sentence(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "empty").mkdir()
    draw_folder(tmp_path / "shapes", 2)
    (tmp_path / "shapes" / "circle" / "bad.jpg").write_text("no picture")
    for folder, message in (("empty", "two or more folders"), ("shapes", "bad.jpg can't be read")):
        assert message in refused("train", folder)
