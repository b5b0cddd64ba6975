"""Runs that are killed end as if they had not been, whatever options they have."""

import csv
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import cli, data, training
from keras_resnet.architecture.rows import RESNET20V2
from keras_resnet.architecture.variant import Stem
from keras_resnet.data import Columns, Reader
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.resume import Resume
from keras_resnet.training.transfer import classifier, regressor
from tests.helpers.nets import thin

once = pytest.mark.one_backend
COUNT = 24
FEW = thin(RESNET20V2, name="few", units=(1,), widths=(4,), stem=Stem(3, 4, stride=1, pool=False))


class Killed(BaseException):
    """What nothing catches."""


def write_table(root: Path, suffix: str = ".png", channels: int = 3) -> Path:
    """Small pictures of two brightnesses in noise, with a class, two labels, two numbers and a group each."""
    rng = np.random.default_rng(0)
    root.mkdir()
    rows = [["path", "colour", "kinds", "age", "share", "patient"]]
    for index in range(COUNT):
        bright = index % 3 == 0  # the rarer one
        pixels = rng.integers(0, 128, (12, 16, channels)).astype("uint8") + (100 if bright else 0)
        name = f"{index}{suffix}"
        if suffix == ".npy":
            np.save(root / name, pixels.astype("float32") / 100 - 1)
        else:
            Image.fromarray(pixels.squeeze()).save(root / name)
        kinds = "|".join(kind for kind, has in (("bright", bright), ("even", index % 2 == 0)) if has)
        colour = "white" if bright else "black"
        rows.append([name, colour, kinds, str(30 + index), str(float(bright)), f"patient {index // 2}"])
    with (root / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "table.csv"


def assert_same_run(out: Path, whole: Path) -> None:
    """All files, and the weights bit by bit."""
    weights, expected = (
        keras.models.load_model(folder / "model.keras", compile=False).get_weights() for folder in (out, whole)
    )
    assert len(weights) == len(expected)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    zipped = {"model.keras", ".checked.csv.gz"}  # with times
    left = {path.name for path in whole.iterdir()}
    assert {path.name for path in out.iterdir()} == left
    assert {"history.csv", "pictures.csv", "run.json", "report.md", "mistakes.csv"} <= left
    for name in sorted(left - zipped):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def epochs_done(out: Path) -> int:
    path = out / ".state.npz"
    return Resume(path).epochs_done() if path.is_file() else 0


def kill_after_an_epoch(cwd: Path, out: Path, *typed: str) -> None:
    """Starts the command in a process of its own, and kills it once the state of an epoch is on disk."""
    paths = f"{Path(__file__).parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}  # Keras sets it
    environment = inherited | {"PYTHONPATH": paths, "KERAS_BACKEND": keras.backend.backend()}
    with (
        (cwd / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "keras_resnet", *typed], cwd=cwd, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        while not epochs_done(out):
            assert process.poll() is None, (cwd / "log").read_text()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_run_with_all_options_that_is_killed_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several labels in a cell, groups, letterboxes of four channels, workers, frozen layers, mixed precision."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "pictures", channels=4)
    keras_resnet.ResNet20(weights=None, classes=2, input_shape=(16, 16, 3)).save("pretrained.keras")
    typed = ["train", "pictures/table.csv", "--path-column", "path", "--label-column", "kinds", "--separator", "|"]
    typed += ["--group-column", "patient", "--task", "labels", "--threshold", "0.4", "--check", "headers"]
    typed += ["--validation-split", "0.3", "--image-size", "8x12", "--resize", "pad", "--channels", "4"]
    typed += ["--batch-size", "5", "--augment", "strong", "--workers", "2", "--balance", "sampling"]
    typed += ["--model", "ResNet20", "--weights", "pretrained.keras", "--dropout", "0.2"]
    typed += (
        ["--unfreeze-from", "conv4"] if keras.backend.backend() == "torch" else ["--freeze"]
    )  # others compile twice
    typed += ["--dtype", "mixed_bfloat16", "--loss", "focal", "--label-smoothing", "0.1", "--clip-norm", "1"]
    typed += ["--epochs", "2", "--learning-rate", "0.01", "--weight-decay", "0.01"]
    typed += ["--monitor", "val_loss", "--patience", "2", "--seed", "3"]
    kill_after_an_epoch(tmp_path, tmp_path / "killed", *typed, "--out", "killed")
    assert epochs_done(tmp_path / "killed") == 1
    assert not (tmp_path / "killed" / "report.md").exists()
    assert cli.main([*typed, "--out", "killed", "--resume"]) == 0, capsys.readouterr().err
    assert "resuming after epoch" in capsys.readouterr().err
    assert cli.main([*typed, "--out", "whole"]) == 0
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@dataclass
class Option:
    """What a run has beside the defaults: of its pictures, its data, its recipe and its network."""

    columns: Columns = field(default_factory=lambda: Columns(label="colour"))
    how: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    resumed: dict[str, Any] = field(default_factory=dict)  # what the data have in the run that goes on


LABELS = Columns(label="kinds", separator="|")
NUMBERS = Columns(targets=("age", "share"))
OPTIONS = {
    "sampling": Option(recipe={"balance": "sampling"}),
    "labels": Option(LABELS, recipe={"balance": "loss"}),
    "numbers": Option(NUMBERS),
    "huber": Option(NUMBERS, recipe={"loss": "huber", "clip_norm": 0.1}),
    "floats": Option(how={"value_range": (-1.0, 1.5)}, pictures={"suffix": ".npy"}),
    "gray": Option(how={"channels": 1}, pictures={"channels": 1}),
    "crop": Option(how={"resize": "crop", "image_size": (8, 6)}),
    "float16": Option(network={"dtype": "mixed_float16"}),
    "workers, then none": Option(how={"workers": 2}, resumed={"workers": 0}),
    "full check, then none": Option(resumed={"check": "none"}),
    "headers, then full check": Option(how={"check": "headers"}, resumed={"check": "full"}),
}


def network(part: data.Pictures, **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    build = functools.partial(keras_resnet.ResNet, FEW)
    shared: dict[str, Any] = {"channels": part.channels, "dropout": 0.3, "drop_path": 0.3} | settings
    names = len(part.class_names)
    if part.task == "regression":
        units = {"mean": part.labels.mean(0), "deviation": part.labels.std(0)}
        return regressor(build, names, part.image_size, **units, **shared)
    end = "sigmoid" if part.task == "labels" else "softmax"
    return classifier(build, names, part.image_size, classifier_activation=end, **shared)


def train(option: Option, table: Path, out: Path, resume: bool = False) -> list[Any]:
    """The weights at the end of a run."""
    how: dict[str, Any] = {"image_size": 8, "batch_size": 5, "augment": "light", "seed": 4} | option.how
    how |= {"checked": out, **option.resumed} if resume else {}
    splits = data.splits(table, validation_split=0.3, columns=option.columns, verbose=False, **how)
    model = network(splits.training, **option.network)
    training.train(model, splits, out, Recipe(epochs=2, **option.recipe), resume=resume)
    return list(model.get_weights())


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs something that ends in the middle of the second epoch."""

    def killed(what: Callable[..., Any], *arguments: Any) -> None:
        def killing(self: Resume, index: int, logs: Any = None) -> None:
            if len(self.logs) == 1 and index == 1:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Resume, "on_train_batch_end", killing)
            with pytest.raises(Killed):
                what(*arguments)

    return killed


@once
@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_with_an_option_that_is_killed_ends_as_if_it_had_not_been(
    name: str, tmp_path: Path, kill: Callable[..., None]
) -> None:
    option = OPTIONS[name]
    table = write_table(tmp_path / "pictures", **option.pictures)
    kill(train, option, table, tmp_path / "killed")
    assert epochs_done(tmp_path / "killed") == 1
    weights = train(option, table, tmp_path / "killed", True)
    for one, other in zip(weights, train(option, table, tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one, other)
    left = ("history.csv", "mistakes.csv", "pictures.csv")
    for file in left:
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    results = [json.loads((tmp_path / out / "run.json").read_text())["results"] for out in ("killed", "whole")]
    assert results[0] == results[1]


@once
@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize("folds", [0, 2])
def test_a_resume_reads_nothing_that_was_checked(
    folds: int, tmp_path: Path, kill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume of folds, too; and an image that has changed is checked again."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "pictures")
    typed = ["train", "pictures/table.csv", "--label-column", "colour", "--image-size", "8", "--model", "ResNet20"]
    typed += ["--weights", "none", "--epochs", "2", "--batch-size", "8", "--out", "run"]
    typed += ["--folds", str(folds), "--group-column", "patient"] if folds else []
    kill(cli.main, typed)
    looked: list[str] = []
    for name in ("look", "size"):
        real = getattr(Reader, name)

        def looking(self: Reader, picture: Any, real: Any = real) -> Any:
            looked.append(Path(picture).name)
            return real(self, picture)

        monkeypatch.setattr(Reader, name, looking)
    os.utime("pictures/3.png")
    assert cli.main([*typed, "--resume"]) == 0
    assert looked == ["3.png"]
    if not folds:
        return
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    typed[typed.index("run")] = "whole"
    assert cli.main(typed) == 0
    for run in ("fold1", "fold2"):
        weights, expected = (
            keras.models.load_model(tmp_path / out / run / "model.keras", compile=False).get_weights()
            for out in ("run", "whole")
        )
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@once
@pytest.mark.usefixtures("unpainted")
def test_a_resume_with_another_option_says_which(tmp_path: Path, kill: Callable[..., None]) -> None:
    """And the run stays as it is."""
    table = write_table(tmp_path / "pictures")
    kill(train, OPTIONS["sampling"], table, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    sampling = {"balance": "sampling"}
    for option, differs in (
        (Option(), "recipe balance was 'sampling' and is False"),
        (Option(recipe=sampling | {"loss": "focal"}), "recipe loss was None and is 'focal'"),
        (Option(recipe=sampling | {"monitor": "val_loss"}), "recipe monitor was None and is 'val_loss'"),
        (Option(how={"resize": "pad"}, recipe=sampling), "resize was None and is 'pad'"),
        (Option(how={"image_size": (8, 12)}, recipe=sampling), r"image_size was 8 and is \[8, 12\]"),
        (Option(Columns(label="colour", group="patient"), recipe=sampling), "images training pixels differ"),
    ):
        with pytest.raises(ValueError, match=differs):
            train(option, table, tmp_path / "run", True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
