"""The command line, in processes of its own: what it prints, leaves and refuses."""

import argparse
import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import cli, data, evaluation, labels
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli import app, predict, train
from keras_resnet.cli.parser import parser
from keras_resnet.utils.recursion import recursion_limit
from tests.helpers.nets import data_format
from tests.helpers.pictures import SHAPES, draw_folder

BACKEND = keras.backend.backend()
once = pytest.mark.one_backend
LEFT = {"model.keras", "labels.txt", "history.csv", "run.json", "curves.png", "confusion.png", "predictions.png"} | {
    *("pictures.csv", "report.md", "mistakes.csv", "precision_recall.png", "calibration.png")
}


def environment(cwd: Path, backend: str = BACKEND) -> dict[str, str]:
    """Without network and without Keras' own cache."""
    (cwd / "home" / "models").mkdir(parents=True, exist_ok=True)
    path = f"{Path(__file__).parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    offline = {"KERAS_HOME": str(cwd / "home"), "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    others = ("TF_CPP_MIN_LOG_LEVEL", "XLA_FLAGS")  # Keras sets the first, scripts/test the second, for short runs
    inherited = {name: value for name, value in os.environ.items() if name not in others}
    return inherited | {"PYTHONPATH": path, "KERAS_BACKEND": backend} | offline


def command(*arguments: str, cwd: Path, backend: str = BACKEND) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keras_resnet", *arguments],
        cwd=cwd,
        env=environment(cwd, backend),
        capture_output=True,
        text=True,
        check=False,
    )


CHECKPOINT = str(Path(__file__).parents[1] / "goldens" / "slim" / "v1_3463" / "model.ckpt")  # a prefix
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
    said = result.stderr.splitlines()
    assert said[0] == f"backend: {BACKEND}"
    assert {path.name for path in out.iterdir()} == LEFT
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"epoch", "accuracy", "loss", "val_accuracy", "val_loss"} <= set(rows[0])
    best, _, epoch = max((float(row["val_accuracy"]), -float(row["val_loss"]), int(row["epoch"])) for row in rows)
    assert lines == [  # the results, and nothing else
        "model: runs/digits/model.keras",
        "report: runs/digits/report.md",
        f"best validation accuracy: {best:.1%} (epoch {epoch})",
    ]
    assert "augmentation: none" in said
    assert "network: ResNet20 (a CIFAR network, as the images' median shorter side is 16 pixels)" in said
    assert "image size: 16x16 (near the images' median shorter side, 16 pixels)" in said
    assert "weights: none; it trains from scratch" in said
    ours = (
        "backend|scikit-learn's digits|augmentation|network|image size|weights|note: the momentum|[Ee]poch \\d+|\\d+/"
    )
    assert [line for line in said if not re.match(ours, line)] == []  # no log of TensorFlow, absl or XLA
    assert best >= 0.97 or not defaults
    model = keras.models.load_model(out / "model.keras")
    assert model.input_shape == (None, 16, 16, 3)
    assert evaluation.evaluate(model, data.digits().split()[1]).accuracy() == pytest.approx(best, abs=1e-6)


@once
def test_without_a_chosen_backend_the_command_says_which_it_takes(tmp_path: Path) -> None:
    code = "from keras_resnet.cli import app; print(app._choose_backend())"

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
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "pip install 'keras3-resnet[jax]'" in refused("train", "digits")
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setenv("KERAS_HOME", "/nonexistent")
    assert "none is installed: pip install" in refused("train", "digits")


@once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", "digits", "--model", "ResNet51"),
            "`--model` must be the name of a network",
        ),
        (("train", "digits", "--model", "resnet51", "--image-size", "16"), "'ResNet50'"),
        (("train", "digits", "--model", "ResNet50", "--image-size", "16"), "`--image-size` must be 32 or more for"),
        (("train", "digits", "--epochs", "0"), "must be a whole number above 0; received '0'"),
        (("train", "digits", "--out", "file"), "`--out` must be a folder that can be created and written to; 'file'"),
        (("train", "digits", "--learning-rate", "nan"), "must be a number above 0"),
        (("train", "digits", "--validation-split", "1"), "`--validation-split` must be above 0 and below 1"),
        (("train", "digits", "--seed", "-1"), "must be a whole number from 0 to 2147483647; received '-1'"),
        (("train", "digits", "--dropout", "1"), "must be a number from 0 up to, but not including, 1"),
        (("train", "digits", "--weight-decay", "-1"), "must be 0 or a number above"),
        (("train", "digits", "--weights", "there.keras"), "`--weights` must be 'imagenet', 'none', the path of an"),
        (("train", "digits", "--freeze"), "none are published for ResNet20. Pass a file or a key as --weights"),
        (
            ("train", "digits", "--weights", "none", "--unfreeze-from", "conv4"),
            "need pretrained weights, and --weights is none",
        ),
        (("train", "digits", "--weights", "file"), "'file' is not a weights file"),
        (
            ("train", "digits", "--weights", "timm/resnet18d.ra2_in1k", "--model", "ResNet18"),
            "timm/resnet18d.ra2_in1k are of resnet18d; leave --model out, or pass --model resnet18d.",
        ),
        (("train", "digits", "--weights", "keras_hub/resnet_50_imagenet"), "pass the folder that it returns instead"),
        (("predict", "timm/resnet18d.ra2_in1k", "gone.png"), "None of these images can be read"),  # nothing is fetched
        (("predict", "timm/resnet18d.ra2_in1k", "file", "--image-size", "96"), "takes images of 288x288 alone"),
        (("evaluate", "timm/resnet18d.ra2_in1k", "gone"), "there is no folder 'gone'"),
        (
            ("export", CHECKPOINT, "--format", "onnx", "--size", "train"),
            "--size is for published weights; leave it out",
        ),
        (("train", "digits", "--model", "ResNet20", "--weights", "imagenet"), "no published weights for resnet20"),
        (("train", "digits", "--model", "ResNet50", "--weights", CHECKPOINT), "does not fit 'resnet50'"),  # it is read
        (
            ("train", "digits", "--over"),
            "train: unknown option --over; did you mean --overwrite?\nsee keras-resnet train --h",
        ),
        (("train", ".", "--out", "runs/x"), "--out must not lie in DATA"),
        (("train", "digits", "--resume", "--overwrite"), "--overwrite: not allowed with argument --resume"),
        (("train", "digits", "--out", "."), "'.' is not empty. It holds no run"),
        (("train", "letters"), "there is no folder 'letters'"),
        (("trian",), "keras-resnet: unknown command 'trian'; did you mean train?\nsee keras-resnet --help\n"),
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
def test_a_folder_trains_and_its_model_names_the_classes(tmp_path: Path) -> None:
    draw_folder(tmp_path / "shapes", 4)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "keras.json").write_text('{"image_data_format": "channels_first"}')  # does not matter
    (tmp_path / "shapes" / "circle" / "bad.jpg").write_text("no picture")
    arguments = ("--epochs", "1", "--image-size", "16", "--validation-split", "0.25", "--out", "run")
    result = command("train", "shapes", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "shapes: 12 images in 3 classes (circle 4, square 4, triangle 4)" in result.stderr
    assert "files skipped: 1\n" in result.stderr
    assert "9 to train, 3 to validate" in result.stderr
    assert "augmentation: light" in result.stderr
    assert re.search("warning: no pretrained weights of ResNet50V2 can be had: .*resnet50v2.*save it as", result.stderr)
    assert "network: ResNet20 (small enough to learn from scratch)" in result.stderr
    assert "image size: 16x16 (as asked)" in result.stderr
    assert "momentum of the batch norms is lowered to 0.50, since an epoch has only 1 steps" in result.stderr
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


@once  # one training run of a minute; its file is read on two backends
def test_the_defaults_learn_shapes_and_the_model_knows_new_pictures_anywhere(tmp_path: Path) -> None:
    draw_folder(tmp_path / "shapes", 300)
    result = command("train", "shapes", "--image-size", "24", cwd=tmp_path)
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
    assert re.fullmatch(r" *image +1\. +2\. *", lines[0])
    assert re.fullmatch(r" *a\.png( +\d+\.\d% (cat|dog|eel)){2} *", lines[2])
    nameless = command("predict", "nameless.keras", "a.png", "--csv", cwd=tmp_path)
    assert nameless.stderr.startswith(f"backend: {BACKEND}")
    rows = list(csv.DictReader(nameless.stdout.splitlines()))
    assert [(row["image"], row["rank"]) for row in rows] == [("a.png", "1"), ("a.png", "2"), ("a.png", "3")]
    assert {row["class"] for row in rows} == {"0", "1", "2"}
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1, abs=1e-5)


Printed = Callable[..., str]
Said = Callable[..., tuple[str, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command that must succeed, and returns what it prints, and what is said on standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[str, str]:
        assert cli.main(arguments) == 0
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


@pytest.fixture
def printed(said: Said) -> Printed:
    """Runs a command that must succeed, and returns what it prints."""
    return lambda *arguments: said(*arguments)[0]


def shapes_model(path: Path) -> Path:
    """A file of an untrained network for the drawn shapes."""
    model = keras_resnet.ResNet20(input_shape=(16, 16, 3), classes=3, include_preprocessing=True)
    labels.with_class_names(model, SHAPES).save(path / "model.keras")
    return path / "model.keras"


@once
def test_predict_takes_folders_in_batches_and_skips_what_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = keras.models.load_model(shapes_model(tmp_path))
    draw_folder(tmp_path / "shapes", 12)
    (tmp_path / "shapes" / "bad.jpg").write_text("no picture")
    (tmp_path / "shapes" / ".hidden.jpg").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    typed = ("predict", "model.keras", "gone.png", "shapes", "shapes/circle/0.jpg", "--json", "--top", "1")
    assert cli.main(typed) == 1  # since an image that was named can't be read
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [each["image"] for each in found[:2]] == ["shapes/circle/0.jpg", "shapes/circle/1.jpg"]
    assert [each["image"] for each in found[-2:]] == ["shapes/triangle/9.jpg", "shapes/circle/0.jpg"]
    assert len(found) == 37
    assert "skipped: gone.png can't be read as an image: no such file" in said.err
    assert "skipped: shapes/bad.jpg can't be read as an image: it is not an image" in said.err
    for each in (found[0], found[20], found[-2]):
        scores = model(data.read_picture(Path(each["image"]), 16)[np.newaxis].astype("float32"))
        scores = keras.ops.convert_to_numpy(scores)[0]
        (best,) = each["predictions"]
        assert best["class"] == SHAPES[scores.argmax()]
        assert best["probability"] == pytest.approx(scores.max(), abs=1e-5)


@once
def test_evaluate_measures_a_model_on_a_folder(tmp_path: Path, printed: Printed) -> None:
    model = keras.models.load_model(shapes_model(tmp_path))
    draw_folder(tmp_path / "shapes", 4)
    (tmp_path / "shapes" / "square" / "bad.jpg").write_text("no picture")
    shutil.rmtree(tmp_path / "shapes" / "circle")
    found = json.loads(printed("evaluate", "model.keras", "shapes", "--json"))
    pictures = data.folder(tmp_path / "shapes", 16, class_names=SHAPES)
    truth = pictures.labels
    predicted = model.predict(pictures, verbose=0).argmax(1)
    assert found["accuracy"] == pytest.approx((truth == predicted).mean())
    assert "top_5_accuracy" not in found
    assert np.array_equal(
        found["confusion"], [[((truth == a) & (predicted == b)).sum() for b in range(3)] for a in range(3)]
    )
    assert [(row["class"], row["images"]) for row in found["classes"]] == [
        ("circle", 0),
        ("square", 4),
        ("triangle", 4),
    ]
    for index, row in enumerate(found["classes"]):
        right = ((truth == index) & (predicted == index)).sum()
        assert row["recall"] == pytest.approx(right / max((truth == index).sum(), 1))
        assert row["precision"] == pytest.approx(right / max((predicted == index).sum(), 1))
    text = printed("evaluate", "model.keras", "shapes", "--out", "measured")
    assert f"accuracy: {found['accuracy']:.1%} of 8 images" in text
    assert re.search(r"[1-4] of (square|triangle) predicted as ", text)
    assert {path.name for path in (tmp_path / "measured").iterdir()} == {
        *("confusion.png", "predictions.png", "mistakes.csv", "precision_recall.png", "calibration.png")
    }
    keras_resnet.ResNet20(input_shape=(None, None, 3), include_preprocessing=True).save(tmp_path / "any.keras")
    text = printed("evaluate", "any.keras", "digits", "--image-size", "8")
    assert re.search(r"top-5 accuracy: \d+\.\d%\naccuracy: \d+\.\d% of 1797 images", text)


@once
def test_evaluate_refuses_other_classes_and_sizes_that_nobody_knows(tmp_path: Path, refused: Refused) -> None:
    shapes_model(tmp_path)
    keras_resnet.ResNet20(input_shape=(None, None, 3), include_preprocessing=True).save(tmp_path / "any.keras")
    draw_folder(tmp_path / "shapes", 1)
    assert "say which with --image-size" in refused("evaluate", "any.keras", "shapes")
    assert "of 16x16 alone" in refused("evaluate", "model.keras", "shapes", "--image-size", "8")
    assert "`DATA` must have classes of the model, circle, square, triangle" in refused(
        "evaluate", "model.keras", "digits"
    )
    (tmp_path / "shapes" / "circle").rename(tmp_path / "shapes" / "circles")
    assert "Did you mean 'circle'" in refused("evaluate", "model.keras", "shapes")


@once
def test_predict_and_export_take_networks_of_a_thousand_layers(tmp_path: Path, printed: Printed) -> None:
    """Their files need more frames than Python has by default."""
    x = inputs = keras.Input((8, 8, 3))
    for _ in range(1_100):
        x = keras.layers.Identity()(x)
    x = keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(x))
    with recursion_limit():
        keras.Model(inputs, x).save(tmp_path / "deep.keras")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    limit = sys.getrecursionlimit()
    assert "a.png" in printed("predict", "deep.keras", "a.png")
    assert "verified" in printed("export", "deep.keras", "--format", "onnx")
    assert sys.getrecursionlimit() == limit


@once
def test_predict_refuses_what_is_no_model_or_no_picture(tmp_path: Path, refused: Refused) -> None:
    model = keras_resnet.ResNet20(input_shape=(8, 8, 3), include_preprocessing=True)
    model.save(tmp_path / "good.keras")
    keras_resnet.ResNet20(input_shape=(8, 8, 3), include_top=False).save(tmp_path / "body.keras")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for arguments, message in (
        (("missing.keras", "a.png"), "There is no model file 'missing.keras'"),
        (("text.keras", "a.png"), "'text.keras' is no Keras model"),
        (("a.png", "a.png"), "'a.png' is not a weights file"),
        (("body.keras", "a.png"), "must take RGB images"),
        (("good.keras", "missing.png"), "missing.png can't be read"),
        (("good.keras", "text.png", "missing.png"), "None of these images can be read"),
    ):
        assert message in refused("predict", *arguments)


@once
def test_train_refuses_folders_in_a_sentence(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "empty").mkdir()
    draw_folder(tmp_path / "two", 1)
    shutil.rmtree(tmp_path / "two" / "circle")
    draw_folder(tmp_path / "few", 2)
    draw_folder(tmp_path / "bad", 2)
    for picture in (tmp_path / "bad" / "circle").iterdir():
        picture.write_text("no picture")
    for folder, message in (
        ("empty", "two or more folders"),
        ("two", "one for training and one for validation; 'square' has 1"),
        ("few", "0.2 of 6 images is 2, for 3 classes"),
        ("bad", "circle' holds no image that can be used"),
    ):
        said = refused("train", folder)
        assert message in said
        assert "Traceback" not in said


@once
def test_pretrained_weights_are_the_default_where_they_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def choose(*arguments: str, shorter: int = 300) -> tuple[dict[str, Any], str]:
        found = train._choose(parser().parse_args(["train", "x", *arguments]), shorter)
        return found, capsys.readouterr().err

    monkeypatch.setattr(train, "fetch_published", lambda network: tmp_path)
    found, said = choose("--freeze")
    assert found == {"network": "ResNet50V2", "weights": "imagenet", "image_size": 224}
    assert "network: ResNet50V2 (it has ImageNet weights, and the images' median shorter side is 300 pixels)" in said
    assert "image size: 224x224 (what its ImageNet weights are for)" in said
    assert "weights: imagenet" in said
    assert choose("--model", "ResNet50", "--weights", "none")[0]["weights"] is None
    assert choose("--model", "ResNet18")[0] == {"network": "ResNet18", "weights": "imagenet", "image_size": 224}
    assert choose("--model", "ResNet200")[0] == {"network": "ResNet200", "weights": None, "image_size": 224}
    assert choose("--weights", "imagenet", shorter=32)[0]["network"] == "ResNet50V2"
    assert choose(shorter=32)[0] == {"network": "ResNet20", "weights": None, "image_size": 32}

    def offline(network: str) -> Path:
        raise OSError("no network")

    monkeypatch.setattr(train, "fetch_published", offline)
    found, said = choose("--model", "ResNet50")
    assert found == {"network": "ResNet50", "weights": None, "image_size": 224}
    assert "warning: no pretrained weights of ResNet50 can be had: no network" in said
    assert choose()[0] == {"network": "ResNet20", "weights": None, "image_size": 64}
    assert choose("--weights", "none")[0] == {"network": "ResNet20", "weights": None, "image_size": 64}
    assert choose("--weights", "imagenet")[0]["weights"] == "imagenet"  # and loading says what is missing


@once
def test_a_key_brings_its_network_and_the_size_that_it_was_trained_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the pictures' size; not the larger one to test with, nor the size of the network's other weights."""

    def choose(*arguments: str, shorter: int = 300) -> tuple[Any, ...]:
        found = train._choose(parser().parse_args(["train", "x", "--weights", *arguments]), shorter)
        return tuple(found[name] for name in ("network", "weights", "image_size"))

    monkeypatch.delattr(train, "fetch_published")  # the weights are said
    key = "timm/resnet18.a3_in1k"
    row = list_weights()[key]
    assert (row.network, row.image_size, row.test_image_size) == ("ResNet18", 160, 224)
    for shorter in (16, 100, 300):
        assert choose(key, shorter=shorter) == ("ResNet18", key, 160)
    said = capsys.readouterr().err
    assert "network: ResNet18 (which the weights are of)" in said
    assert "image size: 160x160 (what the weights were trained for)" in said
    assert choose(key, "--model", "resnet18") == ("ResNet18", key, 160)
    assert choose(key, "--image-size", "96") == ("ResNet18", key, 96)
    assert choose("slim/resnet_v2_50") == ("ResNet50V2", "slim/resnet_v2_50", 299)


@once
def test_the_suggested_network_and_size_follow_the_pictures() -> None:
    found = {
        side: (network := train.suggest(side)[0], train.suggest_size(network, side, True)[0])
        for side in (8, 30, 48, 49, 100, 224, 3000)
    }
    assert found == {
        8: ("ResNet20", 16),
        30: ("ResNet20", 28),
        48: ("ResNet20", 48),
        49: ("ResNet50V2", 64),
        100: ("ResNet50V2", 96),
        224: ("ResNet50V2", 224),
        3000: ("ResNet50V2", 224),
    }
    assert train.suggest_size("ResNet20", 3000, False)[0] == 64
    assert train.is_published("ResNet101V2")
    assert train.is_published("ResNet18")
    assert not train.is_published("ResNet200")


@once
def test_every_option_of_a_run_reaches_it_and_weights_come_from_a_file(
    tmp_path: Path, said: Said, printed: Printed, refused: Refused
) -> None:
    draw_folder(tmp_path / "shapes", 6)
    size = ("--image-size", "8", "--validation-split", "0.5", "--epochs", "1", "--model", "ResNet20")
    printed("train", "shapes", *size, "--optimizer", "sgd", "--augment", "none", "--out", "first")
    weights = ("--weights", "first/model.keras")
    options = ("--label-smoothing", "0.1", "--clip-norm", "1", "--balance", "--patience", "3", "--weight-decay", "0.1")
    more = ("--augment", "strong", "--dropout", "0.1", "--batch-size", "5", "--seed", "7", "--learning-rate", "0.002")
    dtype = ("--dtype", "mixed_bfloat16", "--norm-sync", "off")
    _, progress = said(
        "train", "shapes", *size, *weights, *options, *more, *dtype, "--unfreeze-from", "conv4", "--out", "b"
    )
    assert "mixed_bfloat16: fast on GPUs and TPUs; most CPUs compute in 16 bits by software" in progress
    assert "phase 1: only the classifier learns (195 weights, learning rate 0.002). Batch norms are frozen" in progress
    assert re.search(r"phase 2: conv4 and all later layers learn \([\d,]+ weights, learning rate 0.0002\)", progress)
    arguments = json.loads((tmp_path / "b" / "run.json").read_text())["arguments"]
    assert arguments["recipe"] == {
        "epochs": 1,
        "optimizer": "adamw",
        "learning_rate": 0.002,
        "weight_decay": 0.1,
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
        "patience": 3,
        "balance": True,
        "loss": None,
        "monitor": None,
        "freeze": True,
        "unfreeze_from": "conv4",
        "norm_sync": False,
        "seed": 7,
    }
    assert "norm_sync" not in json.loads((tmp_path / "first" / "run.json").read_text())["arguments"]["recipe"]
    assert arguments["augment"] == "strong"
    assert arguments["batch_size"] == 5
    assert arguments["chosen"] == {"network": "ResNet20", "weights": "first/model.keras", "image_size": 8}
    model = keras.models.load_model(tmp_path / "b" / "model.keras")
    assert model.get_layer("top_dropout").rate == 0.1
    assert model.get_layer("conv2_block1_1_conv").dtype_policy.name == "mixed_bfloat16"
    wrong = refused("train", "shapes", *size, *weights, "--unfreeze-from", "conv5", "--out", "none")
    assert "`--unfreeze-from` must be one of 'conv1', 'conv2', 'conv3', 'conv4'; received 'conv5'" in wrong
    assert not (tmp_path / "none").exists()
    whole = said("train", "shapes", *size, *weights, "--out", "c")[1]
    assert "learning rate: 0.0001, a tenth of the usual, since all pretrained weights train" in whole


def weights_of(path: Path) -> list[Any]:
    return list(keras.models.load_model(path, compile=False).get_weights())


def stop(how: signal.Signals, cwd: Path, epochs: int, *typed: str) -> str:
    """Starts a command, sends it a signal once so many epochs are done, and returns what it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "keras_resnet", *typed],
        cwd=cwd,
        env=environment(cwd),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        history = cwd / "run" / "history.csv"
        while not history.exists() or len(history.read_text().splitlines()) <= epochs:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(how)
        said = process.stderr.read() if process.stderr else ""
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    return said


@once
def test_a_run_that_is_interrupted_and_killed_goes_on_to_the_same_weights(
    tmp_path: Path, said: Said, printed: Printed, refused: Refused
) -> None:
    draw_folder(tmp_path / "shapes", 8)
    typed = ["train", "shapes", "--image-size", "16", "--model", "ResNet20", "--epochs", "6", "--dropout", "0.2"]
    typed += ["--augment", "strong", "--batch-size", "4", "--out", "run"]
    assert stop(signal.SIGINT, tmp_path, 1, "train", *typed[2:], "--", "shapes").endswith(
        "stopped: the best model so far is run/model.keras. To go on:\n  KERAS_BACKEND=torch keras-resnet train "
        "--resume --image-size 16 --model ResNet20 --epochs 6 --dropout 0.2 --augment strong --batch-size 4 --out run "
        "-- shapes\n"
    )
    assert "is not empty. Resume its run with --resume, replace it with --overwrite" in refused(*typed)
    assert "recipe learning_rate was 0.001 and is 0.5." in refused(*typed, "--resume", "--learning-rate", "0.5")
    stop(signal.SIGKILL, tmp_path, 2, *typed, "--resume")
    assert not (tmp_path / "run" / "report.md").exists()
    assert "resuming after epoch" in said(*typed, "--resume")[1]
    printed(*typed[:-1], "whole")
    ours, whole = (weights_of(tmp_path / name / "model.keras") for name in ("run", "whole"))
    for one, other in zip(ours, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "run" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


@once
def test_commands_leave_keras_image_data_format_as_it_is(tmp_path: Path, printed: Printed) -> None:
    draw_folder(tmp_path / "shapes", 5)
    with data_format("channels_first"):
        printed("train", "shapes", "--image-size", "8", "--epochs", "1", "--model", "ResNet20")
        assert keras.config.image_data_format() == "channels_first"
        model = keras.models.load_model(tmp_path / "runs" / "shapes" / "model.keras")
        assert model.input_shape == (None, 8, 8, 3)
        printed("evaluate", "runs/shapes/model.keras", "shapes")
        assert keras.config.image_data_format() == "channels_first"


@once
def test_a_log_of_both_streams_keeps_their_order(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "keras_resnet", "benchmark", "--model", "ResNet51"],
        env=environment(tmp_path) | {"PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    first, second = result.stdout.splitlines()
    assert (first, second[:14]) == (f"backend: {BACKEND}", "keras-resnet: ")


@once
def test_every_command_is_a_module_of_its_name() -> None:
    (commands,) = (action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert list(commands) == ["train", "predict", "evaluate", "list", "convert", "export", "benchmark", "completion"]
    for name in commands:
        assert callable(import_module(f"keras_resnet.cli.{name}").run)


@once
def test_train_val_and_test_folders_are_used_as_they_are(tmp_path: Path, said: Said, printed: Printed) -> None:
    for side, count in (("train", 4), ("val", 2), ("test", 1)):
        draw_folder(tmp_path / "shapes" / side, count, seed=0 if side == "test" else count)
    (tmp_path / "shapes" / "val" / "square" / "0.jpg").write_bytes(
        (tmp_path / "shapes" / "train" / "square" / "1.jpg").read_bytes()
    )
    text, progress = said("train", "shapes", "--image-size", "8", "--epochs", "1", "--model", "ResNet20")
    assert "12 to train, 6 to validate, 3 to test" in progress
    assert "note: 1 images lie in two of the splits" in progress
    assert "shapes/train/square/1.jpg = shapes/val/square/0.jpg" in progress
    assert re.search(r"test accuracy: \d+\.\d%", text)
    assert "## Test" in (tmp_path / "runs" / "shapes" / "report.md").read_text()
    assert "of 3 images" in printed("evaluate", "runs/shapes/model.keras", "shapes")
    shutil.rmtree(tmp_path / "shapes" / "test")
    shutil.rmtree(tmp_path / "shapes" / "train")
    assert "of 6 images" in printed("evaluate", "runs/shapes/model.keras", "shapes")


@once
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"),
    ],
    ids=str,
)
def test_too_little_memory_is_a_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def exhausted(args: object) -> None:
        raise error

    monkeypatch.setattr(train, "run", exhausted)
    assert "out of memory; make --batch-size or --image-size smaller" in refused("train", "digits")
    monkeypatch.setattr(predict, "run", exhausted)
    assert "out of memory; free some of it" in refused("predict", "a.keras", "b.png")
    monkeypatch.setattr(train, "run", lambda args: [][1])
    with pytest.raises(IndexError):
        cli.main(("train", "digits"))
