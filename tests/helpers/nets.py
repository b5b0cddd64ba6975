"""The tests' tiny networks, their weights, and how two outputs are compared."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras
import numpy as np

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.variant import Variant

UNITS = (2, 2, 2, 2)
WIDTHS = (8, 16, 32, 64)
SIX = ("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2")  # keras.applications'
SIZES = ((64, 64), (65, 65))  # even and odd: each hides faults in padding that the other shows


def thin(variant: Variant, **fields: Any) -> Variant:
    """The same kind of network with few units and narrow stages."""
    stages = min(len(variant.units), len(WIDTHS))
    return dataclasses.replace(variant, **{"units": UNITS[:stages], "widths": WIDTHS[:stages]} | fields)


def with_style(variant: Variant, style: str) -> Variant:
    return dataclasses.replace(variant, lineage=LINEAGES[style, variant.version])


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Fills every weight, moving statistics and biases too: at their initial values many faults can't be seen."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape, kind = weight.shape, weight.path.rsplit("/", 1)[-1]
        if kind == "kernel":
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        elif kind in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0, 0.3, shape)
        weight.assign(value.astype("float32"))
    return model


def images(height: int = 64, width: int = 64, channels: int = 3, count: int = 2) -> np.ndarray[Any, Any]:
    """Signed float images."""
    rng = np.random.default_rng([height, width])
    return rng.normal(0, 1, (count, height, width, channels)).astype("float32")


def run(model: keras.Model, x: Any, training: bool = False) -> np.ndarray[Any, Any]:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=training)), "float32")


def run_whole(model: keras.Model, x: Any) -> Any:
    """Runs a network compiled as a whole, where one by one its layers are slow (JAX) or fail (TensorFlow).

    The latter does with channels first. What comes back is laid out as the model's outputs are.
    """

    def forward(x: Any) -> Any:
        return model(x, training=False)

    match keras.backend.backend():
        case "jax":
            import jax

            forward = jax.jit(forward)
        case "tensorflow" if x.shape[1] == 3:
            import tensorflow

            forward = tensorflow.function(forward, jit_compile=True)
    return keras.tree.map_structure(lambda y: np.asarray(keras.ops.convert_to_numpy(y), "float32"), forward(x))


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Equal up to a fraction of the largest expected value: absolute differences are blind on a softmax."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.isfinite(expected).all()
    scale = np.abs(expected).max()
    assert scale > 0
    deviation = np.abs(actual - expected).max() / scale
    assert deviation <= tolerance, f"deviates by {deviation:.2e} of the scale; allowed {tolerance:.0e}"


def assert_same_weights(actual: keras.Model, expected: keras.Model, tolerance: float) -> None:
    assert [w.shape for w in actual.weights] == [w.shape for w in expected.weights]
    for mine, theirs in zip(actual.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * max(np.abs(theirs).max(), 1e-3))


@keras.saving.register_keras_serializable("tests")
class Around(keras.layers.Layer):  # type: ignore[misc]
    """A layer of an own class that calls another."""

    def __init__(self, inner: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


@keras.saving.register_keras_serializable("tests")
class OwnModel(keras.Model):  # type: ignore[misc]
    """A model of an own class, whose graph nothing tells."""

    def __init__(self, inner: Any, top: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.inner, self.top = inner, top

    def call(self, x: Any, training: Any = None) -> Any:
        return self.top(self.inner(x, training=training))

    def get_config(self) -> dict[str, Any]:
        parts = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("inner", "top")}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        inner, top = (keras.saving.deserialize_keras_object(config.pop(name)) for name in ("inner", "top"))
        return cls(inner, top, **config)


def _frames(inner: Any) -> Any:
    """Calls a model, or a layer that knows its shapes, on frames, of which there is one."""
    shape = tuple(inner.inputs[0].shape[1:])
    wrapped = [
        keras.layers.Reshape((1, *shape)),
        keras.layers.TimeDistributed(inner),
        keras.layers.Reshape(tuple(inner.outputs[0].shape[1:])),
    ]
    return keras.Sequential([keras.Input(shape), *wrapped])


def _functional(inner: Any) -> Any:
    image = keras.Input(inner.inputs[0].shape[1:])
    return keras.Model(image, inner(image))


NESTINGS: dict[str, Callable[[Any], Any]] = {
    "functional": _functional,
    "sequential": lambda inner: keras.Sequential([keras.Input(inner.inputs[0].shape[1:]), inner]),
    "frames": _frames,
    "own": lambda inner: _functional(_Shaped(inner)),
}


class _Shaped:
    """An own layer around a model, of the same shapes."""

    def __init__(self, inner: Any) -> None:
        self.inputs, self.outputs, self.layer = inner.inputs, inner.outputs, Around(inner)

    def __call__(self, x: Any) -> Any:
        return self.layer(x)


def nest(body: Any, kinds: Sequence[str]) -> Any:
    """A body in other models, wrappers and layers, the first kind innermost."""
    for kind in kinds:
        body = NESTINGS[kind](body)
    return body


@contextmanager
def setting(setter: Callable[[Any], None], value: Any, default: Any) -> Iterator[None]:
    """One of Keras' global settings, for a while."""
    setter(value)
    try:
        yield
    finally:
        setter(default)


def data_format(value: str) -> AbstractContextManager[None]:
    return setting(keras.config.set_image_data_format, value, "channels_last")


def dtype_policy(value: str) -> AbstractContextManager[None]:
    return setting(keras.config.set_dtype_policy, value, "float32")
