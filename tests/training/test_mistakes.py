"""The table of mistakes, and what other callbacks may do in a run."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet import data, training
from keras_resnet.training import run_folder
from keras_resnet.training.evaluation import Evaluation, LabelsEvaluation, RegressionEvaluation
from keras_resnet.training.mistakes import write_mistakes
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recorder import RunRecorder
from keras_resnet.training.resume import Resume

pytestmark = [pytest.mark.one_backend, pytest.mark.usefixtures("unpainted")]


def pictures(count: int, paths: list[Any] | None = None) -> data.Pictures:
    """Images of which only the paths are asked."""
    arrays = list(np.zeros((count, 8, 8, 3), "uint8"))
    return data.Pictures(paths or arrays, np.zeros(count, int), ["a"], 8)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_least_probable_given_class_comes_first(tmp_path: Path) -> None:
    scores = np.array([[0.6, 0.3, 0.1], [0.05, 0.9, 0.05], [0.2, 0.5, 0.3], [0.1, 0.45, 0.45], [0.0, 1.0, 0.0]])
    validation = Evaluation(("a", "b", "c"), np.array([0, 0, 2, 2, 1]), scores)
    test = Evaluation(("a", "b", "c"), np.array([2, 1]), np.array([[1.0, 0, 0], [0.6, 0.4, 0]]))
    sides = {"validation": pictures(5), "test": pictures(2, [Path("x.png"), "/y/z.png"])}
    write_mistakes(tmp_path / "mistakes.csv", {"validation": validation, "test": test}, sides)
    found = rows(tmp_path / "mistakes.csv")
    assert list(found[0]) == ["side", "path", "true", "predicted", "probability", "loss"]
    assert [(row["side"], row["path"], row["true"], row["predicted"], row["probability"]) for row in found] == [
        ("test", os.path.abspath("x.png"), "c", "a", "1"),
        ("validation", "1", "a", "b", "0.9"),
        ("validation", "2", "c", "b", "0.5"),
        ("test", "/y/z.png", "b", "a", "0.6"),
        ("validation", "3", "c", "b", "0.45"),
    ]
    losses = [float(row["loss"]) for row in found]
    np.testing.assert_allclose(losses, -np.log([1e-7, 0.05, 0.3, 0.4, 0.45]), rtol=1e-5)


def test_swapped_labels_come_before_honest_mistakes(tmp_path: Path) -> None:
    """A model that is sure of most, and unsure of some that it gets wrong; five labels are swapped."""
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    sure = np.where(np.arange(200) < 160, 0.97, rng.uniform(0.35, 0.65, 200))
    scores = np.where(np.eye(2)[truth] > 0, sure[:, None], 1 - sure[:, None])
    swapped = [3, 50, 77, 120, 159]
    given = truth.copy()
    given[swapped] = 1 - given[swapped]
    write_mistakes(tmp_path / "m.csv", {"test": Evaluation(("a", "b"), given, scores)}, {"test": pictures(200)})
    found = rows(tmp_path / "m.csv")
    assert len(found) > 10
    assert {int(row["path"]) for row in found[:5]} == set(swapped)


def test_labels_have_a_row_for_each_that_is_wrong_at_the_threshold(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    scores = np.array([[0.1, 0.05], [0.8, 0.7], [0.2, 0.35]])
    write_mistakes(
        tmp_path / "m.csv", {"test": LabelsEvaluation(("x", "y"), labels, scores, 0.3)}, {"test": pictures(3)}
    )
    found = rows(tmp_path / "m.csv")
    assert list(found[0]) == ["side", "path", "label", "true", "predicted", "probability", "loss"]
    cells = [tuple(row.values())[1:6] for row in found]
    assert cells == [("0", "x", "1", "0", "0.1"), ("1", "x", "0", "1", "0.8"), ("2", "x", "1", "0", "0.2")]
    np.testing.assert_allclose([float(row["loss"]) for row in found], -np.log([0.1, 0.2, 0.2]), rtol=1e-5)


def test_numbers_have_the_largest_error_in_deviations_first(tmp_path: Path) -> None:
    labels = np.array([[0.0, 0.0], [1.0, 1000.0], [2.0, 2000.0]])
    scores = labels + np.array([[0.5, 200.0], [0.0, -800.0], [-0.1, 0.0]])
    found = RegressionEvaluation(("age", "grams"), labels, scores)
    write_mistakes(tmp_path / "m.csv", {"test": found}, {"test": pictures(3)})
    read = rows(tmp_path / "m.csv")
    assert list(read[0]) == ["side", "path", "target", "true", "predicted", "error"]
    assert [(row["path"], row["target"], float(row["error"])) for row in read[:4]] == [
        ("1", "grams", -800.0),
        ("0", "age", 0.5),
        ("0", "grams", 200.0),
        ("2", "age", pytest.approx(-0.1)),
    ]
    assert len(read) == 6


def test_any_name_of_a_file_or_class_is_read_again(tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0.png", 'a "b", c.png', "two\nlines\r.png", "日本語.png", os.fsdecode(b"\xff.png")]
    paths = [str(tmp_path / name) for name in names]
    classes = ("=1+1,\n2", '"b"')
    found = Evaluation(classes, np.zeros(5, int), np.array([[0.1 * i, 1 - 0.1 * i] for i in range(5)]))
    write_mistakes(tmp_path / "m.csv", {"test": found}, {"test": pictures(5, paths)})
    read = rows(tmp_path / "m.csv")
    escaped = [path.encode(errors="backslashreplace").decode() for path in paths]
    assert [row["path"] for row in read] == escaped
    assert {(row["true"], row["predicted"]) for row in read} == {classes}


def test_no_mistake_leaves_the_names_of_the_columns(tmp_path: Path) -> None:
    write_mistakes(tmp_path / "m.csv", {"test": Evaluation(("a",), np.zeros(2, int), np.ones((2, 1)))}, {})
    assert (tmp_path / "m.csv").read_text() == "side,path,true,predicted,probability,loss\n"


def net(task: str) -> keras.Model:
    """Three numbers of the mean colour."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    activation = {"classes": "softmax", "labels": "sigmoid", "regression": None}[task]
    return keras.Model(inputs, keras.layers.Dense(3, activation=activation)(x), name="net")


def splits(task: Any) -> data.Splits:
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (36, 8, 8, 3), "uint8"))
    labels: Any = np.arange(36) % 3
    if task == "labels":
        labels = np.stack([np.arange(36) // 2**place % 2 for place in range(3)], 1)
    if task == "regression":
        labels = rng.normal(size=(36, 3)) * [1, 10, 100]
    whole = data.Pictures(images, labels, ("a", "b", "c"), 8, 8, task=task)
    parts = whole.part(range(20), seed=0), whole.part(range(20, 28)), whole.part(range(28, 36))
    return data.Splits(*parts, [])


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the logs, and stops after an epoch, at its end or in its middle; or is killed."""

    def __init__(self, stop: int | None = None, kill: int | None = None, in_batch: bool = False) -> None:
        super().__init__()
        self.seen: list[dict[str, float]] = []
        self.stop, self.kill, self.in_batch = stop, kill, in_batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.in_batch and batch == 1 and len(self.seen) == self.stop:
            self.model.stop_training = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.kill:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(dict(logs or {}))
        logs["seen"] = float(len(self.seen))
        if epoch == self.stop and not self.in_batch:
            self.model.stop_training = True


@pytest.fixture(scope="module", params=["classes", "labels", "regression"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Watch, Any]:
    """A run of two epochs of each task."""
    out, watch = tmp_path_factory.mktemp("runs") / request.param, Watch()
    found = training.train(net(request.param), splits(request.param), out, Recipe(epochs=2), callbacks=[watch])
    return request.param, out, watch, found


def test_callbacks_see_what_the_history_says(left: tuple[str, Path, Watch, Any]) -> None:
    task, out, watch, _ = left
    metric = {"classes": "accuracy", "labels": "mean_average_precision", "regression": "mean_absolute_error"}[task]
    history = rows(out / "history.csv")
    assert len(watch.seen) == len(history) == 2
    for row, seen in zip(history, watch.seen, strict=True):
        assert set(row) == {"epoch", "phase", "seen", *seen}
        assert float(row[f"val_{metric}"]) == pytest.approx(seen[f"val_{metric}"])
        assert float(row["val_loss"]) == pytest.approx(seen["val_loss"])


def test_a_run_leaves_its_mistakes_and_says_how_to_read_them(left: tuple[str, Path, Watch, Any]) -> None:
    task, out, _, found = left
    mistakes, report = rows(out / "mistakes.csv"), (out / "report.md").read_text()
    assert {row["side"] for row in mistakes} == {"validation", "test"}
    count: Any = {
        "classes": lambda one: (one.predicted != one.labels).sum(),
        "labels": lambda one: (one.predicted != (one.labels > 0)).sum(),
        "regression": lambda one: one.labels.size,
    }[task]
    assert len(mistakes) == sum(count(one) for one in found.values())
    assert "[mistakes.csv](mistakes.csv) lists " in report
    results = json.loads((out / "run.json").read_text())["results"]
    assert ("calibration" in results) == (task != "regression")
    for name in ("precision_recall.png", "calibration.png"):
        assert (out / name).is_file() == (f"]({name})" in report) == (task != "regression")
    assert ("8 images are too few" in report) == (task != "regression")
    assert {path.name for path in out.iterdir()} <= set(run_folder.FILES)


def test_a_temperature_does_not_change_the_model_that_is_kept(left: tuple[str, Path, Watch, Any]) -> None:
    task, out, _, found = left
    again = keras.models.load_model(out / "model.keras").predict(splits(task).validation, verbose=0)
    np.testing.assert_allclose(again, found["validation"].scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("in_batch", [False, True])
def test_a_callback_ends_a_phase_also_where_it_is_resumed(in_batch: bool, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    recipe = Recipe(epochs=4)
    training.train(net("classes"), splits("classes"), whole, recipe, callbacks=[Watch(1, in_batch=in_batch)])
    assert len(rows(whole / "history.csv")) == 2
    with pytest.raises(KeyboardInterrupt):
        training.train(net("classes"), splits("classes"), cut, recipe, callbacks=[Watch(kill=1)])
    stop = Watch(0 if in_batch else 1, in_batch=in_batch)  # in_batch counts what it has seen itself
    training.train(net("classes"), splits("classes"), cut, recipe, callbacks=[stop], resume=True)
    one, other = (keras.models.load_model(out / "model.keras").get_weights() for out in (whole, cut))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def test_a_phase_that_a_callback_ended_stays_so_after_a_kill(tmp_path: Path) -> None:
    """The state on disk is that of a run whose first phase was stopped, and whose second has not begun."""
    state = Resume(tmp_path / "state.npz")
    state.logs = [{"phase": 1.0, "loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5, "stopped": 1.0}]
    kept = RunRecorder(tmp_path, state, epochs=4, patience=None, monitor="val_accuracy")
    state.note["phase"] = 1.0
    assert kept.ended()
    kept.phase = 2
    assert not kept.ended()


def test_what_is_no_callback_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    wrong: Any = [print]
    with pytest.raises(
        ValueError, match="`callbacks` must hold callbacks of Keras; received <built-in function print>"
    ):
        training.train(net("classes"), splits("classes"), tmp_path / "run", callbacks=wrong)
    assert not (tmp_path / "run").exists()
