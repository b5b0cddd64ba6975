"""What the commands print of several labels and of numbers, by the model's file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnet.cli.app import main
from keras_resnet.labels import Description, with_description

pytestmark = pytest.mark.one_backend

COLOURS = {"red.png": (255, 0, 0), "black.png": (0, 0, 0)}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, colour in COLOURS.items():
        Image.new("RGB", (4, 4), colour).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(said: Description) -> None:
    """A model that returns the mean red, from 0 to 4, minus 2, and the mean green alike."""
    image = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(4 / 255, -2)(image))
    last = keras.layers.Dense(2, "sigmoid" if said.task == "labels" else None)
    model = keras.Model(image, last(x))
    last.set_weights([np.eye(3, 2, dtype="float32"), np.zeros(2, "float32")])
    with_description(model, said).save("model.keras")


def printed(capsys: Any, *words: str) -> str:
    assert not main(list(words))
    return str(capsys.readouterr().out)


def test_labels_are_told_from_the_threshold_of_the_file_on_or_of_ones_own(images: Path, capsys: Any) -> None:
    save(Description(("red", "green"), "labels", threshold=0.1))
    high, low = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))
    rows = list(csv.reader(io.StringIO(printed(capsys, "predict", "model.keras", "--csv", *COLOURS))))
    assert [row[:2] for row in rows[1:]] == [
        ["red.png", "red"],
        ["red.png", "green"],
        ["black.png", "red"],
        ["black.png", "green"],
    ]
    np.testing.assert_allclose([float(row[2]) for row in rows[1:]], [high, low, low, low], rtol=1e-5)
    rows = list(
        csv.reader(io.StringIO(printed(capsys, "predict", "model.keras", "--csv", "--threshold", "0.5", *COLOURS)))
    )
    assert [row[:2] for row in rows[1:]] == [["red.png", "red"], ["black.png", ""]]
    found = json.loads(printed(capsys, "predict", "model.keras", "--json", "--threshold", "0.5", *COLOURS))
    assert [[each["label"] for each in row["predictions"]] for row in found] == [["red"], []]


def test_numbers_are_columns(images: Path, capsys: Any) -> None:
    save(Description(("age", "height, cm"), "regression"))
    rows = list(csv.reader(io.StringIO(printed(capsys, "predict", "model.keras", "--csv", *COLOURS))))
    assert rows[0] == ["image", "age", "height, cm"]
    np.testing.assert_allclose([list(map(float, row[1:])) for row in rows[1:]], [[2, -2], [-2, -2]], atol=1e-6)
    shown = printed(capsys, "predict", "model.keras", *COLOURS)
    assert "age" in shown
    assert "height, cm" in shown


@pytest.mark.parametrize("task", ["classes", "regression"])
def test_a_threshold_is_for_labels_alone(task: Any, images: Path, capsys: Any) -> None:
    save(Description(("a", "b"), task))
    assert main(["predict", "model.keras", "--threshold", "0.5", "red.png"])
    assert "--threshold" in capsys.readouterr().err


def test_evaluate_does_what_the_file_says(images: Path, capsys: Any) -> None:
    Path("labels.csv").write_text("path,green,red\nred.png,0,1\nblack.png,0,0\n")
    Path("numbers.csv").write_text("path,age,size\nred.png,3,-2\nblack.png,-2,-2\n")
    save(Description(("red", "green"), "labels", threshold=0.1))
    found = json.loads(printed(capsys, "evaluate", "model.keras", "labels.csv", "--json", "--out", "out"))
    assert (found["threshold"], found["without_images"], found["mean_average_precision"]) == (0.1, ["green"], 1.0)
    assert Path("out/labels.png").is_file()
    assert "green" in printed(capsys, "evaluate", "model.keras", "labels.csv").splitlines()[-1]
    save(Description(("age", "size"), "regression"))
    found = json.loads(printed(capsys, "evaluate", "model.keras", "numbers.csv", "--json", "--out", "out"))
    np.testing.assert_allclose([row["mean_absolute_error"] for row in found["targets"]], [0.5, 0], atol=1e-6)
    assert Path("out/scatter.png").is_file()


@pytest.mark.parametrize("option", ["--label-column age", "--separator |"])
def test_columns_of_labels_are_refused_for_a_model_of_numbers(images: Path, capsys: Any, option: str) -> None:
    save(Description(("age", "size"), "regression"))
    (images / "t.csv").write_text("image,age,size\nred.png,1,2\nblack.png,3,4\n")
    assert main(["evaluate", "model.keras", "t.csv", *option.split()])
    said = capsys.readouterr().err
    assert (
        f"`{option.split()[0]}` is for models of classes or labels; 'model.keras' is of the task 'regression'" in said
    )
    assert "Columns" not in said


def test_a_label_that_the_model_does_not_know_is_told_with_its_column(images: Path, capsys: Any) -> None:
    save(Description(("red", "green"), "classes"))
    (images / "t.csv").write_text("image,label\nred.png,red\nblack.png,black\n")
    assert main(["evaluate", "model.keras", "t.csv"])
    said = capsys.readouterr().err
    assert "`label` must be one of 'red', 'green'; received 'black'. It stands in column 'label' of 't.csv'" in said


def test_a_table_whose_images_are_elsewhere_is_told_in_one_sentence(images: Path, capsys: Any) -> None:
    save(Description(("red", "green"), "classes"))
    (images / "t.csv").write_text("image,n\n" + "".join(f"photos/{name},1\n" for name in COLOURS))
    assert main(["predict", "model.keras", "t.csv"])
    said = capsys.readouterr().err
    assert "nor is any of its 2 images there" in said
    assert "`--images` must be it" in said
    assert "skipped" not in said


@pytest.mark.parametrize("option", ["--loss huber", "--monitor val_mean_absolute_error"])
def test_what_is_not_for_the_task_of_a_table_is_refused_before_weights_are_looked_for(
    images: Path, capsys: Any, option: str
) -> None:
    for index in range(10):
        Image.new("RGB", (4, 4), (0, 0, 20 * index)).save(images / f"{index}.png")
    (images / "t.csv").write_text("image,label\n" + "".join(f"{index}.png,{'ab'[index % 2]}\n" for index in range(10)))
    assert main(["train", "t.csv", "--weights", "none", *option.split()])
    said = capsys.readouterr().err
    assert f"`{option.split()[0]}` must be one of" in said
    assert "network:" not in said
