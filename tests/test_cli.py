"""The command line, in processes of its own: what it prints, leaves and refuses."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_resnet import data

BACKEND = keras.backend.backend()
once = pytest.mark.one_backend


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.run(
        [sys.executable, "-m", "keras_resnet", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_steps_on_digits_leave_a_model_of_raw_rgb_and_a_history(tmp_path: Path) -> None:
    arguments = ("--epochs", "1", "--batch-size", "719", "--out", "run")  # of 1437 pictures
    result = command("train", "digits", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"backend: {BACKEND}"
    assert lines[-1].startswith("best validation accuracy: ")
    assert lines[-1].endswith("% (epoch 1)")
    with (tmp_path / "run" / "history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert {"epoch", "accuracy", "loss", "val_accuracy", "val_loss"} <= set(row)
    assert f"{float(row['val_accuracy']):.1%}" in lines[-1]
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.input_shape == (None, 16, 16, 3)
    _, validation = data.digits().split()
    _, accuracy = model.evaluate(validation, verbose=0)
    assert accuracy == pytest.approx(float(row["val_accuracy"]), abs=1e-6)


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


@once
def test_a_missing_backend_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from keras_resnet import cli

    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cli.main(["train", "digits"]) == 1
    assert "pip install 'keras3-resnet[jax]'" in capsys.readouterr().err
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", "/nonexistent")
    assert cli.main(["train", "digits"]) == 1
    assert "none is installed: pip install" in capsys.readouterr().err


@once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--model", "ResNet51"), "`--model` must be one of 'ResNet18'"),
        (("train", "digits", "--model", "resnet50", "--image-size", "16"), "Did you mean 'ResNet50'"),
        (("train", "digits", "--model", "ResNet50", "--image-size", "16"), "at least 32x32"),
        (("train", "digits", "--epochs", "0"), "must be a positive int; received '0'"),
        (("train", "digits", "--out", "file"), "File exists: 'file'"),
        (("train", "digits", "--learning-rate", "nan"), "must be a number above 0"),
        (("train", "digits", "--validation-split", "1"), "between 0 and 1"),
        (("train", "letters"), "There is no folder 'letters'"),
        (("trian",), "invalid choice: 'trian'"),
    ],
    ids=str,
)
def test_what_the_user_can_mend_ends_in_a_sentence(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = command(*arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
