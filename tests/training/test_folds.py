"""Cross-validation: runs of folds, their folder, their summary, and going on after a kill."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnet import data, training
from keras_resnet.cli.app import main
from keras_resnet.resume import Resume
from keras_resnet.training import Recipe

pytestmark = [pytest.mark.one_backend, pytest.mark.usefixtures("unpainted")]
RECIPE = Recipe(epochs=2, seed=3)


class Killed(BaseException):
    """What nothing catches."""


def images(task: Any = "classes", count: int = 24, **settings: Any) -> data.Pictures:
    """Small pictures of two colours, in noise."""
    rng = np.random.default_rng(0)
    labels: Any = np.arange(count) % 2
    pictures = rng.integers(0, 160, (count, 8, 8, 3)).astype("uint8")
    for picture, label in zip(pictures, labels, strict=True):
        picture[..., label] += 90
    names = ["red", "green"]
    if task == "labels":
        labels = np.stack([labels == 0, labels == 1], 1)
        labels[::5] = True
    elif task == "regression":
        labels = np.stack([40.0 + 10 * labels + rng.normal(size=count), labels * 1.0], 1)
        names = ["age", "share"]
    return data.Pictures(list(pictures), labels, names, 8, 8, task=task, augment="light", **settings)


def build(part: data.Pictures) -> keras.Model:
    """A tiny network, of Keras' own names and random weights, with dropout."""
    end = {"classes": "softmax", "labels": "sigmoid", "regression": None}[part.task]
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    return keras.Model(image, keras.layers.Dense(2, activation=end)(keras.layers.Dropout(0.2)(x)))


def weights(out: Path, fold: int) -> list[Any]:
    return list(keras.models.load_model(out / f"fold{fold}" / "model.keras", compile=False).get_weights())


def content(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "folds.json").read_text())
    return found


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folds that were never cut off."""
    out = tmp_path_factory.mktemp("folds") / "whole"
    training.train_folds(build, images(), out, 3, RECIPE, test=images(count=6))
    return out


def test_each_fold_is_a_run_and_all_images_validate_once(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == ["fold1", "fold2", "fold3", "folds.json"]
    validating: list[str] = []
    for fold in (1, 2, 3):
        assert {"model.keras", "report.md", "history.csv", "run.json"} <= {
            p.name for p in (whole / f"fold{fold}").iterdir()
        }
        rows = [line.split(",") for line in (whole / f"fold{fold}" / "pictures.csv").read_text().splitlines()[1:]]
        sides = [side for _, side, _ in rows]
        assert [sides.count(side) for side in ("training", "validation", "test")] == [16, 8, 6]
        validating += [path for path, side, _ in rows if side == "validation"]
    assert content(whole)["arguments"]["folds"] == 3
    trained = [weights(whole, fold)[0] for fold in (1, 2, 3)]
    assert not np.array_equal(trained[0], trained[1])


def test_the_summary_is_mean_and_sample_deviation_of_the_folds(whole: Path) -> None:
    results = content(whole)["results"]
    assert len(results["folds"]) == 3
    for side in ("validation", "test"):
        each = []
        for fold, found in enumerate(results["folds"], 1):
            assert found == json.loads((whole / f"fold{fold}" / "run.json").read_text())["results"]
            each.append(found[side]["accuracy"])
        mean = sum(each) / 3
        assert results[side]["accuracy"]["mean"] == pytest.approx(mean)
        spread = (sum((value - mean) ** 2 for value in each) / 2) ** 0.5
        assert results[side]["accuracy"]["spread"] == pytest.approx(spread)


@pytest.mark.parametrize("killed", [1, 2])
def test_folds_that_were_cut_off_end_with_the_same_bits(
    killed: int, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first epoch's state is on disk; the folds done are not done again."""
    out, begun = tmp_path / "folds", 0
    write, begin = Resume._write, Resume.on_train_begin

    def beginning(self: Resume, logs: Any = None) -> None:
        nonlocal begun
        begun += 1
        begin(self, logs)

    def writing(self: Resume) -> None:
        write(self)
        if begun == killed and len(self.logs) == 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Resume, "on_train_begin", beginning)
        patch.setattr(Resume, "_write", writing)
        with pytest.raises(Killed):
            training.train_folds(build, images(), out, 3, RECIPE, test=images(count=6))
    assert (out / f"fold{killed}" / ".state.npz").is_file()
    assert "results" not in content(out)
    done = files(out / "fold1") if killed > 1 else {}
    build(images())  # names of another count
    training.train_folds(build, images(), out, 3, RECIPE, test=images(count=6), resume=True)
    assert not done or files(out / "fold1") == done
    for fold in (1, 2, 3):
        for one, other in zip(weights(out, fold), weights(whole, fold), strict=True):
            np.testing.assert_array_equal(one, other)
        path = Path(f"fold{fold}", "history.csv")
        assert (out / path).read_bytes() == (whole / path).read_bytes()
    assert content(out) == content(whole)


def test_folds_that_are_done_are_left_as_they_are(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("fold*/*")}
    results = training.train_folds(build, images(), whole, 3, RECIPE, test=images(count=6), resume=True)
    assert {path: path.stat().st_mtime_ns for path in whole.glob("fold*/*")} == before
    assert results == content(whole)["results"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "not empty. Resume its run"),
    ({"resume": True, "overwrite": True}, "must not both"),
    ({"resume": True, "folds": 2}, "folds was 3 and is 2"),
    ({"resume": True, "recipe": Recipe(epochs=3, seed=3)}, "recipe epochs was 2 and is 3"),
    ({"resume": True, "test": None}, "test"),
    ({"resume": True, "data": images(count=26)}, "images folds"),
]
NEVER: list[tuple[dict[str, Any], str]] = [
    ({"folds": 1}, "`folds` must be an int of at least 2; received 1"),
    ({"folds": 13}, "Every class needs 13 images.*'red' has 12"),
    ({"recipe": Recipe(loss="mse")}, "Recipe.loss"),
    ({"recipe": Recipe(monitor="val_f1")}, "Recipe.monitor"),
    ({"recipe": Recipe(unfreeze_from="conv9")}, "must contain a network"),
    ({"threshold": 0.3}, "`threshold`"),
    ({"test": images("labels", count=6)}, "`test` must be of the same task"),
    ({"build": lambda part: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])}, "must return"),
]


def folds(out: Path, **changes: Any) -> Any:
    defaults: dict[str, Any] = {"build": build, "data": images(), "folds": 3, "recipe": RECIPE, "test": images(count=6)}
    return training.train_folds(out=out, **defaults | changes)


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_other_folds_are_refused_and_those_there_stay(changes: dict[str, Any], says: str, whole: Path) -> None:
    before = files(whole)
    with pytest.raises(ValueError, match=says):
        folds(whole, **changes)
    assert files(whole) == before


@pytest.mark.parametrize(("changes", "says"), NEVER)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    changes: dict[str, Any], says: str, whole: Path, tmp_path: Path
) -> None:
    before = files(whole)
    for out, more in ((tmp_path / "new", {}), (whole, {"overwrite": True})):
        with pytest.raises(ValueError, match=says):
            folds(out, **changes, **more)
    assert not (tmp_path / "new").exists()
    assert files(whole) == before


def test_a_folder_of_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for more in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ValueError, match="is not empty. It holds no folds"):
            folds(tmp_path, **more)


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("labels", {"mean_average_precision"}),
        ("regression", {f"{name} ({target})" for name in ("mean_absolute_error", "r2") for target in ("age", "share")}),
    ],
)
def test_overwriting_removes_the_earlier_folds(task: str, metrics: set[str], tmp_path: Path, whole: Path) -> None:
    """By those of another task, whose metrics are averaged; a file of one's own is never lost."""
    out = tmp_path / "folds"
    shutil.copytree(whole, out)
    own = out / "fold3" / "own.txt"
    own.write_text("")
    changes: dict[str, Any] = {"data": images(task), "folds": 2, "test": None, "recipe": Recipe(epochs=1)}
    with pytest.raises(ValueError, match=r"own\.txt.* was not written by a run"):
        folds(out, **changes, overwrite=True)
    own.unlink()
    results = folds(out, **changes, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["fold1", "fold2", "folds.json"]
    assert set(results) == {"folds", "validation"}
    assert set(results["validation"]) == metrics
    for name, found in results["validation"].items():
        each = [by_name(fold["validation"])[name] for fold in results["folds"]]
        assert found == pytest.approx({"mean": np.mean(each), "spread": np.std(each, ddof=1)})


def by_name(summary: dict[str, Any]) -> dict[str, float]:
    """The metrics of labels or numbers, of what `run.json` holds."""
    rows = summary.get("targets", [])
    found = {f"{name} ({row['target']})": row[name] for row in rows for name in ("mean_absolute_error", "r2")}
    return found or {"mean_average_precision": summary["mean_average_precision"]}


def test_statistics_are_those_of_the_training_images_of_a_fold(tmp_path: Path) -> None:
    seen: list[Any] = []

    def building(part: data.Pictures) -> keras.Model:
        seen.append(part.labels.mean(0))
        return build(part)

    whole = images("regression", count=9, groups=[f"patient {index // 3}" for index in range(9)])
    training.train_folds(building, whole, tmp_path, 3, Recipe(epochs=1))
    for fold, mean in enumerate(seen[-3:], 1):
        rows = [line.split(",") for line in (tmp_path / f"fold{fold}" / "pictures.csv").read_text().splitlines()[1:]]
        learned = [row for row in rows if row[1] == "training"]
        np.testing.assert_allclose(np.mean([[float(cell) for cell in row[2:4]] for row in learned], 0), mean, rtol=1e-5)
        assert not {row[4] for row in learned} & {row[4] for row in rows if row[1] == "validation"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of images, of which some are for tests."""
    root = tmp_path_factory.mktemp("table")
    lines = ["path,label,patient,side"]
    for index, picture in enumerate(images().pictures):
        Image.fromarray(picture).resize((16, 16)).save(root / f"{index}.png")
        lines.append(f"{index}.png,{'ab'[index % 2]},p{index // 2},{'test' if index > 19 else 'train'}")
    (root / "table.csv").write_text("\n".join(lines))
    (root / "divided.csv").write_text("\n".join(lines).replace("p0,train", "p0,val"))
    return root


QUICK = ("--model", "ResNet20", "--weights", "none", "--image-size", "16", "--epochs", "1", "--batch-size", "16")


def test_the_command_trains_folds_and_says_what_they_come_to(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["train", str(table / "table.csv"), *QUICK, "--out", str(out), "--folds", "2", "--group-column", "patient"]
    assert main(words) == 0
    said = capsys.readouterr().out
    results = content(out)["results"]
    assert f"folds: {out / 'folds.json'}" in said
    for side in ("validation", "test"):
        mean, deviation = (results[side]["accuracy"][name] for name in ("mean", "spread"))
        assert f"{side} accuracy of 2 folds: mean {mean:.1%}, standard deviation {deviation:.1%}" in said
    assert main([*words, "--resume"]) == 0
    assert "fold 2 of 2 is done" in capsys.readouterr().err
    assert main([*words, "--resume", "--seed", "1"]) == 1
    assert "recipe seed was 0 and is 1" in capsys.readouterr().err
    image = str(table / "0.png")
    for command in (["predict", str(out), image], ["evaluate", str(out), str(table / "table.csv")]):
        assert main(command) == 1
        says = capsys.readouterr().err
        assert "holds the folds of a cross-validation" in says
        assert str(out / "fold1") in says
    assert main(["predict", str(out / "fold1"), image]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["divided.csv"], "has images for validation already"),
        (["table.csv", "--validation-split", "0.3"], "--validation-split` and --folds exclude each other"),
        (["val"], "has images for validation already"),
        (["table.csv", "--folds", "30"], "There must be 30 images or more"),
    ],
)
def test_folds_of_what_is_divided_are_refused(
    words: list[str], says: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("train", "val"):
        for name in ("a", "b"):
            folder = table / "val" / side / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(2):
                Image.new("RGB", (16, 16), (index, len(side), ord(name))).save(folder / f"{index}.png")
    out = tmp_path / "out"
    assert main(["train", str(table / words[0]), *QUICK, "--out", str(out), "--folds", "2", *words[1:]]) == 1
    assert says in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


def test_digits_have_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What they are divided into; the training is that of any images."""
    found: list[Any] = []

    def training_of(build: Any, whole: data.Pictures, out: Path, count: int, *rest: Any, **more: Any) -> dict[str, Any]:
        found.extend(whole.folds(count))
        return {"folds": [None] * count}

    monkeypatch.setattr("keras_resnet.cli.train.train_folds", training_of)
    assert main(["train", "digits", *QUICK, "--out", str(tmp_path / "out"), "--folds", "3"]) == 0
    assert [len(part.labels) for _, part in found] == [599, 599, 599]
