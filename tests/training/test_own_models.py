"""Models that people make, trained and evaluated: nested, Sequential, of own classes, with other ends."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import data, evaluation, labels, training
from keras_resnet.architecture.rows import RESNET20V2
from keras_resnet.architecture.variant import Stem
from keras_resnet.training.recipe import Recipe
from tests.helpers.nets import Around, OwnModel, assert_close, randomise, thin

once = pytest.mark.one_backend
pytestmark = pytest.mark.usefixtures("unpainted")
FEW = thin(RESNET20V2, name="few", units=(1,), widths=(4,), stem=Stem(3, 4, stride=1, pool=False))


def body(**arguments: Any) -> keras.Model:
    defaults = {"weights": None, "input_shape": (8, 8, 3), "pooling": "avg", "include_preprocessing": True}
    return keras_resnet.ResNet(FEW, False, **defaults | arguments)


def splits(classes: int = 2, size: int = 8) -> data.Splits:
    """Pictures of so many colours, in noise."""
    rng, truth = np.random.default_rng(0), np.arange(12) % classes
    pictures = rng.integers(0, 160, (12, size, size, 3)).astype("uint8")
    for picture, label in zip(pictures, truth, strict=True):
        picture[..., label] += 90
    names = ["red", "green", "blue"][:classes]
    training = data.Pictures(list(pictures[6:]), truth[6:], names, size, 6, seed=0)
    return data.Splits(training, data.Pictures(list(pictures[:6]), truth[:6], names, size, 6), None, [])


def images() -> Any:
    return np.stack(list(splits().validation.pictures)).astype("float32")


def ended(*end: Any, base: Any = None) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), base or body(), *end], name="mine")


def own_logits() -> keras.Model:
    return OwnModel(body(), layers.Dense(2, bias_initializer=keras.initializers.Constant(-9)))


MODELS: dict[str, Any] = {
    "sequential": lambda: ended(layers.Dense(2, "softmax")),
    "not built": lambda: keras.Sequential([body(), layers.Dense(2, "softmax")]),
    "own layer": lambda: ended(layers.Dense(2, "softmax"), base=Around(ended())),
    "own model": lambda: OwnModel(body(), layers.Dense(2, "softmax")),
    "own model and softmax": lambda: keras.Sequential([own_logits(), layers.Softmax()]),
    "logits": lambda: ended(layers.Dense(2)),
    "one sigmoid": lambda: ended(layers.Dense(1, "sigmoid")),
}


@pytest.mark.parametrize("kind", ["sequential", "own model"] if keras.backend.backend() != "torch" else list(MODELS))
def test_a_model_trains_and_the_best_one_loads_and_says_what_was_reported(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = MODELS[kind]()
    recipe = Recipe(epochs=2, freeze=kind == "own layer")
    found = training.train(model, splits(), tmp_path / "run", recipe)["validation"]
    said = capsys.readouterr().err
    best = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert labels.class_names(best) == ("red", "green")
    scores = keras.ops.convert_to_numpy(best(images(), training=False))
    assert_close(scores, found.scores, 1e-4)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert ("a softmax is added" in said) == (kind == "logits")
    assert ("probabilities of both classes" in said) == (kind == "one sigmoid")
    last = training.train(model, splits(), tmp_path / "run", recipe, resume=True)["validation"]  # it is over
    np.testing.assert_array_equal(last.scores, found.scores)
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    losses = [
        float(value)
        for row in rows[1:]
        for name, value in zip(rows[0].split(","), row.split(","), strict=True)
        if "loss" in name
    ]
    assert max(losses) < 7  # of probabilities, which no logits are


@once
def test_the_weights_that_are_trained_are_the_models_own(tmp_path: Path) -> None:
    model = MODELS["own model"]()
    model(images())
    before = model.get_weights()
    training.train(model, splits(), tmp_path / "run", Recipe(epochs=1))
    moved = [not np.array_equal(now, then) for now, then in zip(model.get_weights(), before, strict=True)]
    trained = [weight.trainable for weight in model.weights]
    assert all(moves or not trains for moves, trains in zip(moved, trained, strict=True))
    assert not model.compiled


class Unknown(layers.Layer):  # type: ignore[misc]
    """Of a class that is not registered."""

    def call(self, x: Any) -> Any:
        return x


class Broken(keras.Model):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        raise KeyError("weights")


def two_outputs() -> keras.Model:
    base = body()
    return keras.Model(base.input, [layers.Dense(2, "softmax")(base.output), layers.Dense(2)(base.output)])


def two_inputs() -> keras.Model:
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([one, two], layers.Dense(2)(body()(one + two)))


def ended_first(base: keras.Model) -> keras.Model:
    return keras.Model(base.input, layers.Dense(2, "softmax")(base.output))


def all_frozen() -> keras.Model:
    model = ended(layers.Dense(2, "softmax"))
    model.trainable = False
    return model


REFUSED: dict[str, tuple[Any, str]] = {
    "classes": (lambda: ended(layers.Dense(5, "softmax")), r"return \(N, 2\).* 2 classes; .* \(None, 5\).*classes=2"),
    "one logit": (lambda: ended(layers.Dense(1)), r"return \(N, 2\).*\(None, 1\).*Dense\(2, activation='softmax'\)"),
    "a map": (lambda: ended_first(body(pooling=None)), r"return \(N, 2\), .* returns \(None, 8, 8, 2\)"),
    "outputs": (two_outputs, r"returns \(None, 2\), \(None, 2\)"),
    "inputs": (two_inputs, "must take one image; .* has 2 inputs"),
    "size": (
        lambda: ended_first(body(input_shape=(16, 16, 3))),
        r"\(N, 8, 8, 3\); .*\(None, 16, 16, 3\).*image_size=\(16, 16\)",
    ),
    "grey": (
        lambda: ended_first(body(input_shape=(8, 8, 1), include_preprocessing=False)),
        "Build the model for 3 channels",
    ),
    "channels_first": (
        lambda: ended_first(body(data_format="channels_first", input_shape=(3, 16, 9))),
        r"\(N, 3, 8, 8\); .*\(None, 3, 16, 9\).*image_size=\(16, 9\)",
    ),
    "vector": (lambda: keras.Sequential([keras.Input((9,)), layers.Dense(2)]), r"takes \(None, 9\)"),
    "unknown class": (
        lambda: ended(Unknown(), layers.Dense(2, "softmax")),
        "must load again .*register_keras.*Unknown",
    ),
    "lambda": (lambda: ended(layers.Lambda(lambda x: x), layers.Dense(2, "softmax")), "must load again"),
    "broken": (
        lambda: Broken(name="net"),
        r"must take .*, keras.Input\(\(8, 8, 3\)\); calling 'net', a Broken, on it failed",
    ),
    "own logits": (own_logits, r"are not probabilities. .*add keras.layers.Softmax\(\) at the end"),
    "sigmoids": (lambda: OwnModel(body(), layers.Dense(2, "sigmoid")), "are not probabilities"),
    "frozen": (all_frozen, "must have trainable weights; .* Set `trainable = True`"),
    "no model": (lambda: "ResNet50", "`model` must be a keras.Model; received str"),
}


@once
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_trained_says_so_before_anything_is_written(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    model = make()
    if kind in ("sigmoids", "own logits"):
        model(images())
    before = model.get_weights() if isinstance(model, keras.Model) else []
    with pytest.raises(ValueError, match=message):
        training.train(model, splits(), tmp_path / "run", Recipe(epochs=1))
    assert not (tmp_path / "run").exists()
    for now, then in zip(model.get_weights() if before else [], before, strict=True):
        np.testing.assert_array_equal(now, then)


@once
def test_one_sigmoid_does_not_tell_three_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"return \(N, 3\).*\(None, 1\)"):
        training.train(ended(layers.Dense(1, "sigmoid")), splits(3), tmp_path / "run")
    with pytest.raises(ValueError, match="must return .N, classes.*one output"):
        training.compile_for(ended(layers.Dense(1, "sigmoid")), Recipe(), 3)


@once
def test_a_loss_is_that_of_what_the_model_puts_out() -> None:
    """Smoothed alike; and the weights move alike."""
    losses = {}
    for activation in ("softmax", None):
        keras.utils.set_random_seed(0)
        model = randomise(ended(layers.Dense(2, activation)))
        training.compile_for(model, Recipe(label_smoothing=0.1), 3)
        losses[activation] = model.evaluate(images(), np.eye(2)[[0, 1] * 3], verbose=0)
    assert losses[None] == pytest.approx(losses["softmax"], rel=1e-4)


@pytest.mark.parametrize("kind", ["sequential", "own model", "logits", "one sigmoid"])
def test_scores_are_probabilities_whatever_the_model_is_made_of(kind: str) -> None:
    model, shown = MODELS[kind](), splits().validation
    raw = keras.ops.convert_to_numpy(model(images(), training=False)).astype("float64")
    if kind == "logits":
        raw = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    elif kind == "one sigmoid":
        raw = np.concatenate([1 - raw, raw], 1)
    found = evaluation.evaluate(model, shown)
    assert_close(found.scores, raw, 1e-4)
    assert found.class_names == ("red", "green")


@once
def test_data_that_a_model_cannot_be_measured_on_are_refused() -> None:
    shown = splits().validation
    for model, message in (
        (ended(layers.Dense(1)), r"return \(N, 2\) or one sigmoid; the model returns \(None, 1\)"),
        (ended(layers.Dense(5, "softmax")), r"return \(N, 2\) or one sigmoid; the model returns \(None, 5\)"),
        (two_outputs(), r"the model returns \(None, 2\), \(None, 2\)"),
        (OwnModel(body(), layers.Dense(5, "softmax")), r"the model returns \(6, 5\)"),
        (own_logits(), r"are not probabilities. .*add keras.layers.Softmax\(\) at the end"),
        (ended_first(body(input_shape=(16, 16, 3))), r"image_size=\(16, 16\)"),
        ("net", "must be a keras.Model"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.evaluate(model, shown)


@once
def test_class_names_are_found_and_given_in_models_of_any_kind(tmp_path: Path) -> None:
    named = labels.with_class_names(ended(layers.Dense(2, "softmax")), ("cat", "dog"))
    assert labels.class_names(named) == ("cat", "dog")
    image = keras.Input((8, 8, 3))
    for around in (
        keras.Sequential([keras.Input((8, 8, 3)), named]),
        keras.Model(image, named(image)),
        keras.Sequential([named]),
    ):
        assert labels.class_names(around) == ("cat", "dog")
    again = labels.with_class_names(keras.Model(image, named(image)), ("Katze", "Hund"))
    assert labels.class_names(again) == ("Katze", "Hund")
    assert labels.class_names(labels.with_class_names(again, "ab")) == ("a", "b")
    again.save(tmp_path / "again.keras")
    assert labels.class_names(keras.models.load_model(tmp_path / "again.keras")) == ("Katze", "Hund")
    own = OwnModel(named, layers.Identity())
    own(images())
    assert labels.class_names(own) is None  # who knows what it does with them
    with pytest.raises(ValueError, match="must be a functional or a built Sequential"):
        labels.with_class_names(own, "ab")
    with pytest.raises(ValueError, match="must have one output"):
        labels.with_class_names(two_outputs(), "ab")
    assert labels.class_names(ended(layers.Dense(2))) is None


@once
def test_a_run_of_a_model_of_an_own_class_goes_on(tmp_path: Path) -> None:
    """Cut off after its first epoch, with the same weights at the end."""
    ends: list[Any] = []
    for folder, cut in (("whole", False), ("cut", True)):
        keras.utils.set_random_seed(0)
        model = OwnModel(body(), layers.Dense(2, "softmax"), name="mine")
        with pytest.MonkeyPatch.context() as patch:
            if cut:
                patch.setattr(training.recorder.RunRecorder, "on_epoch_begin", _stop, raising=False)
            try:
                training.train(model, splits(), tmp_path / folder, Recipe(epochs=2))
            except Stopped:
                assert not (tmp_path / folder / "report.md").exists()
        ends.append(
            training.train(model, splits(), tmp_path / folder, Recipe(epochs=2), resume=True)["validation"].scores
        )
    np.testing.assert_array_equal(ends[0], ends[1])


class Stopped(BaseException):
    """What nothing catches."""


def _stop(self: Any, epoch: int, logs: Any = None) -> None:
    if epoch == 1:
        raise Stopped
