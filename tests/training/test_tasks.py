"""Several labels an image, and numbers: metrics, training, and what a run of them leaves and says."""

import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn import metrics

from keras_resnet import data, training, transfer
from keras_resnet.architecture.rows import RESNET20V2
from keras_resnet.architecture.variant import Stem
from keras_resnet.evaluation import LabelsEvaluation, RegressionEvaluation, evaluate
from keras_resnet.labels import Description, description_of, with_description
from keras_resnet.training import figures
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.validation import Validation
from tests.helpers.nets import thin

once = pytest.mark.one_backend
pytestmark = pytest.mark.usefixtures("unpainted")
FEW = thin(RESNET20V2, name="few", units=(1, 1), widths=(4, 8), stem=Stem(3, 4, stride=1, pool=False))
NAMES = {"labels": ("red", "green", "blue"), "regression": ("age", "salary")}


def splits(task: str, count: int = 20, scale: float = 1.0, **arguments: Any) -> data.Splits:
    """Small images; each colour is there or not. Or two numbers of units far apart, that go with red and green."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (count, 3)).astype("float32")
    pictures = (rng.integers(0, 100, (count, 8, 8, 3)) + 150 * labels[:, None, None]).astype("uint8")
    if task == "regression":
        labels = (labels[:, :2] + rng.normal(0, 0.1, (count, 2))) * (3, 3e4 * scale) + (30, 5e4 * scale)
    shared: dict[str, Any] = {"task": task} | arguments
    return data.Splits(
        data.Pictures(list(pictures[8:]), labels[8:], NAMES[task], 8, 5, 0, "light", **shared),
        data.Pictures(list(pictures[:8]), labels[:8], NAMES[task], 8, 5, **shared),
        None,
        [],
    )


def own(outputs: int, activation: str | None = None) -> keras.Model:
    """A model of two layers that begins as it always does."""
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 128, -1)(image)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Dense(outputs, activation)(x), name="own")


def network(task: str, units: data.Pictures) -> keras.Model:
    keras.utils.set_random_seed(3)
    if task == "labels":
        return transfer.classifier(FEW, 3, 8, classifier_activation="sigmoid")
    return transfer.regressor(FEW, 2, 8, mean=units.labels.mean(0), deviation=units.labels.std(0))


def history(out: Path) -> list[dict[str, float]]:
    with (out / "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module", params=["labels", pytest.param("regression", marks=once)])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """A run in two phases."""
    out, images = tmp_path_factory.mktemp("run") / "out", splits(request.param)
    keyword: dict[str, Any] = {"threshold": 0.4} if request.param == "labels" else {}
    recipe = Recipe(epochs=2, unfreeze_from="conv3")
    return request.param, out, training.train(network(request.param, images.training), images, out, recipe, **keyword)


def test_the_history_has_the_exact_metric_of_each_epoch_and_the_best_is_kept(ran: tuple[str, Path, Any]) -> None:
    task, out, found = ran
    name = {"labels": "val_mean_average_precision", "regression": "val_mean_absolute_error"}[task]
    logs, summary = history(out), found["validation"].summary()
    assert len(logs) == 4
    best = json.loads((out / "run.json").read_text())["results"]["best_epoch"] - 1
    values = [log[name] for log in logs]
    assert values[best] == (max(values) if task == "labels" else min(values))
    if task == "labels":
        np.testing.assert_allclose(values[best], summary["mean_average_precision"], rtol=1e-6)
        scores = np.clip(found["validation"].scores.astype("float64"), 1e-7, 1 - 1e-7)
        true = splits("labels").validation.labels
        loss = -(true * np.log(scores) + (1 - true) * np.log(1 - scores)).mean()
        np.testing.assert_allclose(logs[best]["val_loss"], loss, rtol=1e-4)
    else:
        deviations = splits(task).training.labels.std(0)
        errors = [row["mean_absolute_error"] for row in summary["targets"]] / deviations
        np.testing.assert_allclose(values[best], errors.mean(), rtol=1e-5)


def test_the_file_of_a_run_says_what_it_is_and_the_report_shows_its_figure(ran: tuple[str, Path, Any]) -> None:
    task, out, found = ran
    said = description_of(keras.models.load_model(out / "model.keras", compile=False))
    assert said
    assert (said.task, said.names, said.threshold) == (task, NAMES[task], 0.4 if task == "labels" else 0.5)
    report = (out / "report.md").read_text()
    figure = {"labels": "labels.png", "regression": "scatter.png"}[task]
    assert figure in report
    assert (out / figure).is_file()
    assert not (out / "confusion.png").exists()
    assert all(name in report for name in NAMES[task])
    assert json.loads((out / "run.json").read_text())["results"]["validation"] == found["validation"].summary()


@pytest.mark.parametrize("task", ["labels", "regression"])
def test_a_run_that_was_cut_off_goes_on_bit_by_bit(task: str, tmp_path: Path) -> None:
    class Cutting(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    images, recipe = splits(task), Recipe(epochs=3, loss={"labels": "focal", "regression": "huber"}[task])
    whole, cut = own(len(NAMES[task])), own(len(NAMES[task]))
    training.train(whole, images, tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        training.train(cut, images, tmp_path / "cut", recipe, callbacks=[Cutting()])
    again = own(len(NAMES[task]))
    training.train(again, images, tmp_path / "cut", recipe, resume=True)
    for one, other in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "cut/history.csv").read_text() == (tmp_path / "whole/history.csv").read_text()


def test_measuring_labels_does_not_change_what_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for name in ("measured", "blind"):
        model = own(3, "sigmoid")
        training.train(model, splits("labels"), tmp_path / name, Recipe(epochs=3))
        weights.append(model.get_weights())
        monkeypatch.setattr(
            Validation,
            "on_epoch_end",
            lambda self, epoch, logs: logs.update(val_loss=1.0, val_mean_average_precision=1.0),
        )
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@once
def test_units_of_a_target_change_nothing_but_the_units(tmp_path: Path) -> None:
    found = []
    for scale in (1.0, 1024.0):
        images = splits("regression", scale=scale)
        model = network("regression", images.training)
        result = training.train(model, images, tmp_path / str(scale), Recipe(epochs=2))["validation"]
        found.append(result.scores / (1, scale))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


@once
def test_a_target_that_never_changes_is_learned(tmp_path: Path) -> None:
    images = splits("regression")
    for part in images.sides().values():
        part.labels[:, 1] = 7.3e8
    training.train(own(2), images, tmp_path / "own", Recipe(epochs=1))
    model = transfer.regressor(FEW, 2, 8, mean=images.training.labels.mean(0), deviation=[1.5, 1])
    found = training.train(model, images, tmp_path / "out", Recipe(epochs=1))["validation"]
    assert np.isfinite(found.scores).all()
    assert found.by_target()[1]["mean_absolute_error"] < 100


@once
def test_numbers_begin_at_their_mean_and_come_in_their_units() -> None:
    keras.config.set_image_data_format("channels_first")
    try:
        for targets, mean, deviation in ((1, 40.0, 10.0), (3, [1.0, 2e5, -3.0], [0.1, 1e4, 1.0])):
            model = transfer.regressor(FEW, targets, 8, mean=mean, deviation=deviation)
            last = model.get_layer("predictions")
            last.set_weights([np.zeros(last.kernel.shape), np.ones(targets)])
            said = model.predict(np.zeros((2, 3, 8, 8), "float32"), verbose=0)
            np.testing.assert_allclose(said, np.tile(np.add(mean, deviation), (2, 1)), rtol=1e-6)
    finally:
        keras.config.set_image_data_format("channels_last")


RNG = np.random.default_rng(0)
HARD = {
    "random": (RNG.integers(0, 2, (200, 4)), RNG.random((200, 4))),
    "ties": (RNG.integers(0, 2, (100, 4)), RNG.integers(0, 4, (100, 4)) / 4),
    "all scores alike": (RNG.integers(0, 2, (50, 4)), np.full((50, 4), 0.5)),
    "no positive, no negative": (np.tile([0, 1, 0, 1], (20, 1)), RNG.random((20, 4))),
    "one image": (np.array([[1, 0, 1, 0]]), np.array([[0.1, 0.9, 1.0, 0.0]])),
    "many": ((RNG.random((20000, 4)) < 0.01).astype(int), RNG.random((20000, 4))),
}


@once
@pytest.mark.parametrize("threshold", [0.25, 0.5])
@pytest.mark.parametrize("case", HARD)
def test_metrics_of_labels_are_those_of_scikit_learn(case: str, threshold: float) -> None:
    true, scores = HARD[case][0].astype("float32"), HARD[case][1].astype("float32")
    found = LabelsEvaluation(("a", "b", "c", "d"), true, scores, threshold)
    kept = [place for place in range(4) if true[:, place].any()]
    expected = [metrics.average_precision_score(true[:, place], scores[:, place]) for place in kept]
    assert list(found.average_precision().values()) == expected
    np.testing.assert_allclose(found.mean_average_precision(), np.mean(expected), rtol=1e-12)
    said, left = scores >= threshold, [found.class_names[place] for place in range(4) if place not in kept]
    assert found.summary()["without_images"] == left
    assert all(name in found.headline() for name in left)
    counts = metrics.multilabel_confusion_matrix(true, said)
    precision, recall, _, images = metrics.precision_recall_fscore_support(true, said, zero_division=0)
    for place, row in enumerate(found.by_class()):
        kinds = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        assert [row[kind] for kind in kinds] == counts[place].ravel().tolist()
        assert (row["precision"], row["recall"], row["images"]) == (precision[place], recall[place], images[place])
    assert sorted(found.worst()) == list(range(len(true)))
    json.dumps(found.summary(), allow_nan=False)


@once
def test_metrics_of_no_image_with_a_label_are_none() -> None:
    found = LabelsEvaluation(("a",), np.zeros((3, 1)), np.full((3, 1), 0.2))
    assert found.mean_average_precision() == 0
    assert found.by_class()[0]["average_precision"] is None
    json.dumps(found.summary(), allow_nan=False)


@once
@pytest.mark.parametrize("case", ["random", "constant", "one image", "exact"])
def test_metrics_of_numbers_are_those_of_scikit_learn(case: str) -> None:
    count = 1 if case == "one image" else 50
    true = RNG.normal(0, 1, (count, 2)) * (1, 1e4)
    said = true + (0 if case == "exact" else RNG.normal(0, 1, (count, 2)) * (1, 1e5))
    if case == "constant":
        true[:, 0] = 5
    found = RegressionEvaluation(("age", "salary"), true, said)
    for place, row in enumerate(found.by_target()):
        assert row["mean_absolute_error"] == metrics.mean_absolute_error(true[:, place], said[:, place])
        assert row["r2"] == (None if count == 1 else metrics.r2_score(true[:, place], said[:, place]))
    assert "e+" not in found.headline() + found.caption(0)[0] + str(found.table())
    assert sorted(found.worst()) == list(range(count))
    json.dumps(found.summary(), allow_nan=False)


@once
@pytest.mark.usefixtures("painted")
@pytest.mark.parametrize("count", [1, 2, 12, 60])
def test_figures_are_drawn_for_few_and_many_names(count: int, tmp_path: Path) -> None:
    names = tuple(f"name {place} $x_1$ with a long tail of words" for place in range(count))
    true, said = RNG.integers(0, 2, (30, count)), RNG.random((30, count))
    for evaluation in (
        LabelsEvaluation(names, true, said),
        RegressionEvaluation(names[:12], true[:, :12], said[:, :12]),
    ):
        path = figures.draw_evaluation(evaluation, tmp_path)
        assert path.read_bytes().startswith(b"\x89PNG")
        images = splits("labels").training
        figures.draw_predictions(
            evaluation, images.with_(pictures=[images.pictures[0]] * 30, labels=[[0, 0, 0]] * 30), tmp_path / "p.png", 6
        )


@once
@pytest.mark.parametrize(
    ("task", "outputs", "activation", "recipe", "keyword", "says"),
    [
        ("labels", 2, None, {}, {}, r"must return \(N, 3\).*3 labels.*sigmoid"),
        ("labels", 3, "softmax", {}, {}, "softmax"),
        ("labels", 3, None, {"loss": "mse"}, {}, "Recipe.loss.*'crossentropy', 'focal'"),
        (
            "labels",
            3,
            None,
            {"monitor": "val_accuracy"},
            {},
            "Recipe.monitor.*'val_mean_average_precision'.*'val_loss'",
        ),
        ("labels", 3, None, {}, {"threshold": 0}, "threshold.*0"),
        ("labels", 3, None, {}, {"threshold": 1.5}, "threshold.*1.5"),
        ("regression", 3, None, {}, {}, r"must return \(N, 2\).*2 targets"),
        ("regression", 2, None, {"loss": "crossentropy"}, {}, "Recipe.loss.*'mse', 'huber'"),
        ("regression", 2, None, {"monitor": "val_mae"}, {}, "Recipe.monitor.*'val_mean_absolute_error'"),
        ("regression", 2, None, {}, {"threshold": 0.3}, "threshold"),
        ("regression", 2, None, {"label_smoothing": 0.1}, {}, "label_smoothing"),
        ("regression", 2, None, {"balance": True}, {}, "balance"),
    ],
)
def test_what_does_not_go_with_a_task_is_refused_before_anything_is_written(
    task: str, outputs: int, activation: str | None, recipe: Any, keyword: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        training.train(own(outputs, activation), splits(task), tmp_path / "out", Recipe(epochs=1, **recipe), **keyword)
    assert not (tmp_path / "out").exists()


@once
def test_the_best_epoch_is_by_what_is_asked(tmp_path: Path) -> None:
    training.train(own(3), splits("labels"), tmp_path / "out", Recipe(epochs=3, learning_rate=0.5, monitor="loss"))
    losses = [log["loss"] for log in history(tmp_path / "out")]
    best = json.loads((tmp_path / "out/run.json").read_text())["results"]["best_epoch"]
    assert losses[best - 1] == min(losses)


@once
def test_the_best_epoch_may_be_by_what_a_callback_logs(tmp_path: Path) -> None:
    logged = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(score=float(-epoch)))
    keyword: dict[str, Any] = {"recipe": Recipe(epochs=2, monitor="score"), "callbacks": [logged]}
    training.train(own(3), splits("labels"), tmp_path / "out", **keyword)
    assert json.loads((tmp_path / "out/run.json").read_text())["results"]["best_epoch"] == 1
    keyword["recipe"] = Recipe(epochs=2, monitor="scores")
    with pytest.raises(ValueError, match="Recipe.monitor.*'score'.*'scores'"):
        training.train(own(3), splits("labels"), tmp_path / "other", **keyword)


@once
@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_one_label_alone_is_a_label_and_logits_become_sigmoids(activation: str | None, tmp_path: Path) -> None:
    images = splits("labels")
    images = images._replace(
        **{side: part.with_(labels=part.labels[:, :1], class_names=["red"]) for side, part in images.sides().items()}
    )
    model = own(1, activation)
    before = evaluate(model, images.validation).scores
    raw = model.predict(np.stack(images.validation.pictures).astype("float32"), verbose=0)
    np.testing.assert_allclose(before, raw if activation else 1 / (1 + np.exp(-raw)), rtol=1e-5)
    found = training.train(model, images, tmp_path / "out", Recipe(epochs=1, label_smoothing=0.1))["validation"]
    assert found.class_names == ("red",)
    assert found.scores.shape == (8, 1)
    saved = keras.models.load_model(tmp_path / "out/model.keras", compile=False)
    again = saved.predict(np.stack(images.validation.pictures).astype("float32"), verbose=0)
    np.testing.assert_allclose(again, found.scores, rtol=1e-5)


@once
@pytest.mark.parametrize("task", ["labels", "regression"])
def test_outputs_that_are_no_numbers_are_an_error(task: str) -> None:
    model = own(len(NAMES[task]))
    model.layers[-1].set_weights([np.full(weight.shape, np.nan) for weight in model.layers[-1].get_weights()])
    with pytest.raises(ValueError, match="not finite for 8 of 8 images"):
        evaluate(model, splits(task).validation)


@once
def test_columns_come_in_the_order_of_the_model(ran: tuple[str, Path, Any]) -> None:
    task, out, found = ran
    model = keras.models.load_model(out / "model.keras", compile=False)
    images = splits(task).validation
    turned = images.with_(labels=images.labels[:, ::-1], class_names=images.class_names[::-1])
    again = evaluate(model, turned)
    assert again.class_names == NAMES[task]
    np.testing.assert_array_equal(again.labels, images.labels)
    assert again.summary() == found["validation"].summary()
    other = {"labels": "regression", "regression": "labels"}[task]
    with pytest.raises(ValueError, match=f"'{task}'.*'{other}'"):
        evaluate(model, splits(other).validation)


@once
def test_a_label_that_the_data_do_not_tell_of_is_not_taken_for_absent() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")])
    model = with_description(model, Description(("a", "b"), "labels"))
    pictures = list(np.zeros((3, 8, 8, 3), "uint8"))
    both = data.Pictures(pictures, [[1, 0], [0, 1], [1, 1]], ["b", "a"], 8, task="labels")
    assert evaluate(model, both).labels.tolist() == [[0, 1], [1, 0], [1, 1]]
    with pytest.raises(ValueError, match="the data lack b"):
        evaluate(model, data.Pictures(pictures, [[1], [0], [1]], ["a"], 8, task="labels"))


@once
def test_balancing_several_labels_needs_those_of_training() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "sigmoid")])
    with pytest.raises(ValueError, match="`labels` must be those of the training images"):
        training.compile_for(model, Recipe(balance=True), 9, "labels")
