"""Numbers and pictures of what a classifier does."""

import functools
import random
import warnings
from pathlib import Path
from typing import Any

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import data, figures, labels
from keras_resnet.architecture.rows import RESNET20
from keras_resnet.architecture.variant import Stem
from keras_resnet.training.evaluation import Evaluation, evaluate
from keras_resnet.training.transfer import classifier
from tests.helpers.nets import randomise, thin

once = pytest.mark.one_backend


def example() -> Evaluation:
    """Six pictures of three classes: two are taken for others, one of them surely."""
    scores = [[0.6, 0.3, 0.1], [0.1, 0.9, 0.0], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.05, 0.8, 0.15], [0.4, 0.35, 0.25]]
    return Evaluation(("a", "b", "c"), np.array([0, 0, 1, 2, 1, 1]), np.array(scores))


@once
def test_numbers_are_those_that_a_hand_computes() -> None:
    found = example()
    assert list(found.predicted) == [0, 1, 1, 2, 1, 0]
    assert found.accuracy() == pytest.approx(4 / 6)
    assert found.accuracy(2) == pytest.approx(1)
    assert found.confusion.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 1]]
    assert found.by_class() == [
        {"class": "a", "precision": 1 / 2, "recall": 1 / 2, "images": 2},
        {"class": "b", "precision": 2 / 3, "recall": 2 / 3, "images": 3},
        {"class": "c", "precision": 1.0, "recall": 1.0, "images": 1},
    ]
    assert list(found.worst()) == [1, 5, 3, 2, 0, 4]  # 0.9 and 0.4 wrong; 0.4, 0.5, 0.6 and 0.8 right
    assert set(found.summary()) == {"images", "accuracy", "classes"}
    nobody = Evaluation(tuple("abcdef"), np.array([0, 0]), np.eye(6)[[1, 1]])
    assert nobody.summary()["top_5_accuracy"] == 1
    assert nobody.by_class()[5] == {"class": "f", "precision": 0.0, "recall": 0.0, "images": 0}


def model() -> Any:
    few = thin(RESNET20, name="few", units=(1,), widths=(8,), stem=Stem(3, 8, stride=1, pool=False))
    return randomise(classifier(functools.partial(keras_resnet.ResNet, few), 3, 8))


def pictures(names: tuple[str, ...] = ("a", "b", "c"), count: int = 7, **arguments: Any) -> data.Pictures:
    arrays = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), "uint8")
    return data.Pictures(list(arrays), np.arange(count) % len(names), names, 8, 3, **arguments)


def test_scores_stand_beside_their_pictures_in_the_models_order_of_classes() -> None:
    named = labels.with_class_names(model(), ("c", "a", "b"))
    found = evaluate(named, pictures(one_hot=True))
    assert found.class_names == ("c", "a", "b")
    assert list(found.labels) == [1, 2, 0, 1, 2, 0, 1]
    images = np.stack(list(pictures().pictures)).astype("float32")
    expected = keras.ops.convert_to_numpy(named(images))
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    assert evaluate(named, pictures(("b", "c"))).labels[:2].tolist() == [2, 0]


@once
def test_evaluating_leaves_the_data_and_the_random_generators_as_they_were() -> None:
    data, net = pictures(balance=True), model()
    data.set_epoch(4)
    keras.utils.set_random_seed(0)
    weights, drawn = net.get_weights(), (random.random(), np.random.rand(), keras.ops.convert_to_numpy(seeded()))
    keras.utils.set_random_seed(0)
    evaluate(net, data)
    assert (data.epoch, data.one_hot, data.balance) == (4, False, True)
    assert (random.random(), np.random.rand(), keras.ops.convert_to_numpy(seeded())) == drawn
    for now, then in zip(net.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not net.compiled


def seeded() -> Any:
    """A draw from Keras' own generator."""
    return keras.random.uniform(())


@once
def test_data_in_no_fixed_order_or_of_other_classes_are_refused() -> None:
    for arguments in ({"seed": 0}, {"augment": "light"}):
        with pytest.raises(ValueError, match="`data` must not be shuffled or augmented; received seed="):
            evaluate(model(), pictures(**arguments))
    with pytest.raises(ValueError, match="return .N, 2. or one sigmoid; the model returns .None, 3."):
        evaluate(model(), pictures(("a", "b")))
    with pytest.raises(ValueError, match="the data have the classes d"):
        evaluate(labels.with_class_names(model(), "abc"), pictures(("a", "d")))


def drawn(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), int)


def inked(image: np.ndarray[Any, Any]) -> tuple[float, float, float, float]:
    """How far from each side the picture is white, as shares of it: left, top, right, bottom."""
    ink: Any = (image < 200).max(2)
    columns, rows = np.flatnonzero(ink.any(0)), np.flatnonzero(ink.any(1))
    height, width = image.shape[:2]
    return columns[0] / width, rows[0] / height, 1 - columns[-1] / width, 1 - rows[-1] / height


@once
@pytest.mark.parametrize("classes", [2, 60])
def test_confusion_and_predictions_are_drawn_whole_for_few_and_many_classes(classes: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"$long_name {'of a class ' * (index % 3)}{index}" for index in range(classes))
    truth = rng.integers(classes, size=90)
    scores = rng.random((90, classes)) + np.eye(classes)[truth]
    found = Evaluation(names, truth, scores / scores.sum(1, keepdims=True))
    reds = [np.full((8, 12 + index % 9, 3), (250, 0, index), "uint8") for index in range(90)]
    shown = pictures(names, 90).with_(pictures=reds)
    figures.draw_confusion(found, tmp_path / "confusion.png")
    figures.draw_predictions(found, shown, tmp_path / "predictions.png")
    confusion, predictions = drawn(tmp_path / "confusion.png"), drawn(tmp_path / "predictions.png")
    dark = (confusion[..., 2] > confusion[..., 0] + 60).mean()
    assert dark > 0.003  # the diagonal is there
    for image in (confusion, predictions):
        assert min(inked(image)) > 0  # nothing is cut off
        assert max(inked(image)) < 0.05  # nor lost in white
    red = (predictions[..., 0] > 240) & (predictions[..., 1] < 30)
    assert red.mean() > 0.2
    blues, counts = np.unique(predictions[red][:, 2], return_counts=True)
    assert set(blues[counts > 1000].tolist()) == set(found.worst()[:24].tolist())


@once
def test_drawing_changes_no_setting_of_matplotlib_and_nothing_that_it_is_given(tmp_path: Path) -> None:
    history = {"loss": [1.0], "val_loss": [1.2], "accuracy": [0.1], "val_accuracy": [0.2]}
    found, shown = example(), pictures(count=6)
    before = [dict(matplotlib.rcParams), str(history), str(found), warnings.filters[:], shown.epoch]
    figures.draw_curves(history, tmp_path / "curves.png", phases=[1])
    figures.draw_confusion(found, tmp_path / "confusion.png")
    figures.draw_predictions(found, shown, tmp_path / "predictions.png")
    figures.draw_ratios({"title": {"a": (1.0, 0.9, 1.1)}}, tmp_path / "ratios.png")
    assert [dict(matplotlib.rcParams), str(history), str(found), warnings.filters[:], shown.epoch] == before


@once
def test_curves_mark_phases_and_show_a_single_epoch(tmp_path: Path) -> None:
    history = {"loss": [1.0, 0.5], "val_loss": [1.2, 0.7], "accuracy": [0.1, 0.5], "val_accuracy": [0.2, 0.4]}
    figures.draw_curves(history, tmp_path / "two.png", phases=[1])
    figures.draw_curves(history, tmp_path / "plain.png")
    figures.draw_curves({name: values[:1] for name, values in history.items()}, tmp_path / "one.png")
    two, plain, one = (drawn(tmp_path / f"{name}.png") for name in ("two", "plain", "one"))
    assert (two != plain).any()
    orange = (one[..., 0] > 240) & (one[..., 2] < 40)
    assert orange[:, : one.shape[1] // 2].sum() > 20
