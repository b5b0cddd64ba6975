"""What a classifier's outputs are: read from its graph, and turned into probabilities."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_resnet
from keras_resnet.models.labels import with_class_names
from keras_resnet.models.outputs import count_classes, outputs_of, probabilities
from tests.helpers.nets import images, run

pytestmark = pytest.mark.one_backend


class Own(keras.Model):  # type: ignore[misc]
    """A model without a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2, "softmax")

    def call(self, x: Any) -> Any:
        return self.dense(ops.mean(x, (1, 2)))


class Doubling(layers.Dense):  # type: ignore[misc]
    def call(self, x: Any, training: bool | None = None) -> Any:
        return 2 * super().call(x)


class Renamed(layers.Activation):  # type: ignore[misc]
    """Computes as its parent."""


def end(*steps: Callable[[Any], Any], shape: tuple[int, ...] = (4, 4, 3)) -> keras.Model:
    x = image = keras.Input(shape)
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


def nested(*steps: Callable[[Any], Any], shape: tuple[int, ...] = (4, 4, 3)) -> keras.Model:
    """Each step is a model of its own, in a model, in a Sequential."""
    chain = []
    for step in steps:
        chain.append(end(step, shape=shape))
        shape = chain[-1].output_shape[1:]
    return keras.Sequential([keras.Input(chain[0].input_shape[1:]), end(*chain, shape=chain[0].input_shape[1:])])


def mean(x: Any) -> Any:
    return layers.GlobalAveragePooling2D()(x)


def frames(step: Any) -> list[Callable[[Any], Any]]:
    """The rows of an image as frames, and their mean."""
    return [layers.Reshape((4, 12)), layers.TimeDistributed(step), layers.GlobalAveragePooling1D()]


KINDS: dict[str, tuple[str | None, Callable[[], list[Callable[[Any], Any]]]]] = {
    "dense softmax": ("softmax", lambda: [mean, layers.Dense(3, "softmax")]),
    "dense sigmoid": ("sigmoid", lambda: [mean, layers.Dense(1, "sigmoid")]),
    "dense": ("logits", lambda: [mean, layers.Dense(3)]),
    "log softmax": ("logits", lambda: [mean, layers.Dense(3, "log_softmax")]),
    "relu": (None, lambda: [mean, layers.Dense(3, "relu")]),
    "own activation": (None, lambda: [mean, layers.Dense(3, lambda x: x)]),
    "a layer as activation": ("softmax", lambda: [mean, layers.Dense(3, layers.Softmax())]),
    "a layer, a layer": ("softmax", lambda: [mean, layers.Dense(3), layers.Softmax(), layers.Dropout(0.1)]),
    "softmax over the batch": (None, lambda: [mean, layers.Dense(3), layers.Softmax(0)]),
    "activation": ("sigmoid", lambda: [mean, layers.Dense(1), layers.Activation("sigmoid")]),
    "a subclass": ("sigmoid", lambda: [mean, layers.Dense(1), Renamed("sigmoid")]),
    "a subclass that computes": (None, lambda: [mean, Doubling(3, "softmax")]),
    "cast": ("softmax", lambda: [mean, layers.Dense(3, "softmax"), layers.Activation("linear", dtype="float32")]),
    "operations": ("softmax", lambda: [mean, layers.Dense(3), ops.softmax, lambda x: ops.cast(x, "float32")]),
    "operation over the batch": (None, lambda: [mean, layers.Dense(3), lambda x: ops.softmax(x, 0)]),
    "operation sigmoid": ("sigmoid", lambda: [mean, layers.Dense(1), ops.sigmoid]),
    "lambda": (None, lambda: [mean, layers.Lambda(lambda x: ops.softmax(x), output_shape=(3,))]),
    "a map's mean": ("softmax", lambda: [layers.Conv2D(2, 1, activation="softmax"), mean]),
    "a map's maximum": (None, lambda: [layers.Conv2D(2, 1, activation="softmax"), layers.GlobalMaxPooling2D()]),
    "logits' maximum": ("logits", lambda: [layers.Conv2D(2, 1), layers.GlobalMaxPooling2D()]),
    "a conv": ("softmax", lambda: [layers.Conv2D(2, 4), layers.Flatten(), layers.Softmax()]),
    "a conv, flattened": ("softmax", lambda: [layers.Conv2D(2, 4, activation="softmax"), layers.Flatten()]),
    "a conv, squeezed": ("sigmoid", lambda: [layers.Conv2D(2, 4, activation="sigmoid"), lambda x: ops.squeeze(x, 1)]),
    "a map, flattened": (None, lambda: [layers.Conv2D(2, 1, activation="softmax"), layers.Flatten()]),
    "a map's mean by pooling": (
        "softmax",
        lambda: [layers.Conv2D(2, 1, activation="softmax"), layers.AveragePooling2D(4), layers.Reshape((2,))],
    ),
    "turned": (None, lambda: [layers.Conv2D(2, 4, activation="softmax"), layers.Permute((1, 3, 2)), mean]),
    "scaled": (None, lambda: [mean, layers.Dense(3, "softmax"), layers.Rescaling(2.0)]),
    "a norm": (None, lambda: [mean, layers.Dense(3), layers.BatchNormalization()]),
    "dropped for ever": (
        None,
        lambda: [mean, layers.Dense(3, "softmax"), lambda x: layers.Dropout(0.5)(x, training=True)],
    ),
    "a wrapped dense": ("logits", lambda: [mean, layers.SpectralNormalization(layers.Dense(3))]),
    "frames": ("logits", lambda: frames(layers.Dense(3))),
    "frames of a model": ("softmax", lambda: frames(end(layers.Dense(3), layers.Softmax(), shape=(12,)))),
    "frames, one norm for all": (None, lambda: frames(layers.Softmax(0))),
    "frames' maximum": (None, lambda: [*frames(layers.Dense(3, "softmax"))[:-1], layers.GlobalMaxPooling1D()]),
    "features": (None, lambda: [mean]),
    "nothing": (None, lambda: []),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_models_end_says_what_its_outputs_are_at_any_depth(case: str) -> None:
    kind, steps = KINDS[case]
    assert outputs_of(end(*steps())) == kind
    if case != "nothing":
        assert outputs_of(nested(*steps())) == kind


def test_our_own_models_and_what_is_made_of_them_say_it() -> None:
    arguments: dict[str, Any] = {"input_shape": (8, 8, 3), "classes": 3}
    net = keras_resnet.ResNet20(**arguments)
    assert outputs_of(net) == "softmax"
    assert outputs_of(with_class_names(net, ["a", "b", "c"])) == "softmax"
    assert outputs_of(keras_resnet.ResNet20(**arguments, classifier_activation=None)) == "logits"
    assert outputs_of(keras_resnet.ResNet20(**arguments, global_pool=False)) == "softmax"
    first: dict[str, Any] = {"data_format": "channels_first", "input_shape": (3, 8, 8), "classes": 3}
    assert outputs_of(keras_resnet.ResNet20(**first)) == "softmax"
    assert outputs_of(keras_resnet.ResNet20(**first, global_pool=False)) is None  # along its last axis it is none
    assert outputs_of(keras_resnet.ResNet20(include_top=False)) is None


def test_several_models_in_one_say_it_together() -> None:
    image = keras.Input((4, 4, 3))
    one, other, raw, more = (
        end(mean, layers.Dense(2, activation)) for activation in ("softmax", "softmax", None, None)
    )
    for merged, kind in (
        (layers.Average()([one(image), other(image)]), "softmax"),
        (layers.Average()([one(image), raw(image)]), None),
        (layers.Add()([raw(image), more(image)]), "logits"),
        (layers.Add()([one(image), other(image)]), None),
        (layers.Concatenate()([one(image), other(image)]), None),
    ):
        assert outputs_of(keras.Model(image, merged)) == kind
    assert outputs_of(keras.Model(image, [one(image), other(image)])) is None
    both = keras.Model(image, [raw(image), one(image)])
    assert outputs_of(keras.Model(image, both(image)[1])) == "softmax"
    left, right = keras.Input((2,)), keras.Input((2,))
    swap = keras.Model([left, right], [right, left])
    assert outputs_of(keras.Model(image, swap([raw(image), one(image)])[0])) == "softmax"


def test_what_has_no_graph_says_nothing() -> None:
    own = Own()
    own(np.zeros((1, 4, 4, 3), "float32"))
    assert outputs_of(own) is None
    assert outputs_of(keras.Sequential([own])) is None
    assert outputs_of(keras.Sequential([layers.Dense(2, "softmax")])) is None  # not built yet
    inside = end(own)
    assert outputs_of(inside) is None
    assert count_classes(own) is None
    x = images(4, 4)
    np.testing.assert_allclose(probabilities(inside, run(inside, x)), run(inside, x), atol=1e-6)


def test_probabilities_of_each_kind() -> None:
    scores = np.array([[0.25], [1.0]], "float32")
    binary = end(mean, layers.Dense(1, "sigmoid"))
    np.testing.assert_array_equal(probabilities(binary, scores), [[0.75, 0.25], [0, 1]])
    assert count_classes(binary) == 2
    raw = end(mean, layers.Dense(2))
    logits = np.array([[1000.0, 1000.0], [-2000.0, np.log(3) - 2000]], "float64")
    np.testing.assert_allclose(probabilities(raw, logits), [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
    several = end(mean, layers.Dense(2, "sigmoid"))
    np.testing.assert_array_equal(probabilities(several, [[0.5, 0.75]]), [[0.5, 0.75]])
    assert count_classes(several) == 2
    half = end(mean, layers.Dense(2, "softmax"))
    np.testing.assert_array_equal(probabilities(half, np.array([[0.25, 0.75]], "float16")), [[0.25, 0.75]])
    assert probabilities(half, np.zeros((0, 2))).shape == probabilities(raw, np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("last", "scores", "message"),
    [
        (layers.Dense(1), [[0.3]], "one output with no activation"),
        (layers.Dense(1, "softmax"), [[1.0]], "one output with a softmax, which is always 1"),
        (layers.Dense(1, "tanh"), [[0.3]], "one output with an unknown activation"),
        (layers.Dense(2, "relu"), [[0.5, 0.5], [3, 0.25]], r"lie in \[0.25, 3\], and those of one image sum to 3.25"),
        (layers.Dense(2, "tanh"), [[-0.5, 1.5]], r"lie in \[-0.5, 1.5\].* end it in a softmax"),
        (layers.Dense(2, "softmax"), [[0.5, 0.5], [np.nan, 1]], "not finite for 1 of 2 images"),
        (layers.Dense(2), [[np.inf, 1]], "not finite"),
        (layers.Dense(2), [[[1.0, 2.0]]], r"must be of shape \(N, outputs\)"),
    ],
)
def test_what_is_no_probability_is_refused(last: Any, scores: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probabilities(end(mean, last), scores)


def test_an_unknown_distribution_is_taken_as_one() -> None:
    model = end(mean, layers.Dense(3, lambda x: ops.softmax(x)))
    np.testing.assert_array_equal(probabilities(model, np.array([[0.5, 0.25, 0.25]])), [[0.5, 0.25, 0.25]])
    halves = ops.convert_to_numpy(ops.cast(ops.softmax(np.linspace(0, 3, 1000)[None]), "float16"))
    probabilities(model, halves)
