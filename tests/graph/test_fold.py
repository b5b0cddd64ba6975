"""Folding: the same function without the norms that a convolution can hold, and none but these."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import fold_batch_norm
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import find_row
from tests.helpers import kinds
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style

one_backend = pytest.mark.one_backend
Tensor = Any


def norms(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def assert_folded(model: keras.Model, x: Any, left: int = 0) -> keras.Model:
    """Folds a model, of which so many norms must be left, and compares what comes out of it."""
    randomise(model)
    before, expected = model.get_weights(), model(x, training=False)
    folded = fold_batch_norm(model)
    assert len(norms(folded)) == left
    for mine, own in zip(*map(keras.tree.flatten, (folded(x, training=False), expected)), strict=True):
        assert mine.dtype == own.dtype
        assert_close(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(own), 1e-5)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert folded.name == model.name
    return folded


def of(build: Callable[[Tensor], Any], *shape: int | None) -> keras.Model:
    inputs = keras.Input(shape or (8, 8, 3), name="image")
    return keras.Model(inputs, build(inputs), name="net")


def norm(x: Tensor, **options: Any) -> Tensor:
    return layers.BatchNormalization(name="norm", **options)(x)


@pytest.mark.parametrize("name", ["ResNet50", "ResNet18", "ResNet50V2", "ResNet20", "ResNet110V2"])
@pytest.mark.parametrize("style", ["keras", "torch", "slim"])
@one_backend
def test_networks_keep_their_outputs_and_names(name: str, style: str) -> None:
    fields = {"widths": (16, 32, 64)} if find_row(name).shortcut == "A" else {}
    variant = with_style(thin(find_row(name), **fields), style)
    side = 32 if fields else 64
    shape = (side, side, 3)
    model = keras_resnet.ResNet(variant, weights=None, input_shape=shape, classes=5, classifier_activation=None)
    left = {n for n in norms(model) if "preact" in n or n == "post_bn"}
    assert bool(left) == (variant.version == 2)
    if variant.first_activation == "split":
        left.remove("conv2_block1_preact_bn")  # which alone reads the stem
    folded = assert_folded(model, images(side, side), len(left))
    assert set(norms(folded)) == left
    assert {layer.name for layer in model.layers} - {layer.name for layer in folded.layers} == set(norms(model)) - left


@one_backend
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_of_network_folds_but_for_norms_in_front_of_convolutions_and_of_groups(kind: str) -> None:
    variant = kinds.KINDS[kind]
    model = keras_resnet.ResNet(variant, input_shape=(64, 96, 3), classes=5, classifier_activation=None)
    every = {norm.name: norm.kind for norm in plan(variant).norms()}
    left = {name for name, sort in every.items() if sort != "group" and name.startswith(("data", "post"))}
    left |= {name for name, sort in every.items() if sort != "group" and "preact" in name}
    folded = assert_folded(model, images(64, 96), len(left))
    assert set(norms(folded)) == left
    groups = [layer.name for layer in folded.layers if isinstance(layer, layers.GroupNormalization)]
    assert set(groups) == {name for name, sort in every.items() if sort == "group"}


def test_a_network_folds_on_every_backend(tmp_path: Path) -> None:
    """Also one of several outputs that comes from a file; and what is folded can be saved."""
    variant = thin(find_row("ResNet50"))
    whole = keras_resnet.ResNet(variant, weights=None, include_top=False, input_shape=(64, 64, 3))
    ends = {stage: whole.get_layer(f"{stage}_block2_out").output for stage in ("conv2", "conv3", "conv5")}
    keras.Model(whole.input, ends).save(tmp_path / "net.keras")
    folded = assert_folded(keras.models.load_model(tmp_path / "net.keras"), images())
    assert set(folded.output) == set(ends)
    folded.save(tmp_path / "folded.keras")
    again = keras.models.load_model(tmp_path / "folded.keras")
    assert_close(run_end(again), run_end(folded), 1e-6)


def run_end(model: keras.Model) -> Any:
    return keras.ops.convert_to_numpy(model(images(), training=False)["conv5"])


KINDS: dict[str, tuple[layers.Layer, tuple[int, ...]]] = {
    "dense": (layers.Dense(4), (5,)),
    "dense on a map": (layers.Dense(4, use_bias=False), (6, 6, 3)),
    "conv 1d": (layers.Conv1D(4, 3), (9, 3)),
    "conv 2d": (layers.Conv2D(4, 3, strides=2, use_bias=False), (9, 9, 3)),
    "conv 2d in groups": (layers.Conv2D(6, 3, groups=3), (9, 9, 3)),
    "conv 3d": (layers.Conv3D(4, 2), (4, 4, 4, 3)),
    "conv 1d transposed": (layers.Conv1DTranspose(4, 3), (9, 3)),
    "conv 2d transposed": (layers.Conv2DTranspose(4, 3, strides=2, use_bias=False), (5, 5, 3)),
    "depthwise 1d": (layers.DepthwiseConv1D(3, depth_multiplier=2), (9, 3)),
    "depthwise 2d": (layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), (9, 9, 3)),
    "separable 1d": (layers.SeparableConv1D(4, 3), (9, 3)),
    "separable 2d": (layers.SeparableConv2D(4, 3, use_bias=False), (9, 9, 3)),
}


@one_backend
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_convolution_folds(kind: str) -> None:
    layer, shape = KINDS[kind]
    for options in ({}, {"scale": False}, {"center": False}):
        model = of(lambda x: layers.ReLU()(norm(_new(layer)(x), **options)), *shape)  # noqa: B023
        folded = assert_folded(model, np.random.default_rng(0).normal(size=(2, *shape)).astype("float32"))
        assert folded.layers[1].name == model.layers[1].name


def _new(layer: layers.Layer) -> layers.Layer:
    return type(layer).from_config(layer.get_config())


@one_backend
def test_channels_first_folds_over_its_own_axis() -> None:
    conv = {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
    assert_folded(of(lambda x: layers.ReLU()(norm(layers.Conv2D(**conv)(x), axis=1)), 3, 8, 8), x)
    assert_folded(of(lambda x: layers.ReLU()(norm(layers.Conv2D(**conv)(x), axis=-1)), 3, 8, 8), x, left=1)


def _shared_conv(x: Tensor) -> Tensor:
    conv = layers.Conv2D(3, 3, padding="same")
    return norm(conv(conv(x)))


def _shared_norm(x: Tensor) -> Tensor:
    shared = layers.BatchNormalization()
    return layers.Add()([shared(layers.Conv2D(4, 3)(x)), shared(layers.Conv2D(4, 3)(x))])


def _second_reader(x: Tensor) -> Tensor:
    x = layers.Conv2D(4, 3)(x)
    return layers.Add()([norm(x), x])


def _conv_is_an_output(x: Tensor) -> Any:
    x = layers.Conv2D(4, 3)(x)
    return [x, layers.ReLU()(norm(x))]


class Doubling(layers.Conv2D):  # type: ignore[misc]
    """A convolution of somebody's own."""

    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


STAY: dict[str, Callable[[Tensor], Any]] = {
    "an activation inside the convolution": lambda x: norm(layers.Conv2D(4, 3, activation="relu")(x)),
    "an activation between them": lambda x: norm(layers.ReLU()(layers.Conv2D(4, 3)(x))),
    "a shared convolution": _shared_conv,
    "a shared norm": _shared_norm,
    "a convolution that something else reads": _second_reader,
    "a convolution that is an output": _conv_is_an_output,
    "a norm over another axis": lambda x: norm(layers.Conv2D(4, 3)(x), axis=1),
    "a norm in training mode": lambda x: layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3)(x), training=True),
    "another dtype": lambda x: norm(layers.Conv2D(4, 3, dtype="float64")(x), dtype="float32"),
    "a convolution of one's own": lambda x: norm(Doubling(4, 3)(x)),
    "no convolution": lambda x: norm(layers.MaxPooling2D()(x)),
}


@one_backend
@pytest.mark.parametrize("why", STAY)
def test_a_norm_stays_where_its_function_can_not_be_folded(why: str) -> None:
    assert_folded(of(STAY[why]), images(8, 8), left=1)


@one_backend
def test_a_frozen_norm_and_one_called_in_inference_mode_are_folded() -> None:
    assert_folded(of(lambda x: layers.BatchNormalization(trainable=False)(layers.Conv2D(4, 3)(x))), images(8, 8))
    assert_folded(of(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3)(x), training=False)), images(8, 8))


@one_backend
def test_a_norm_that_is_an_output_leaves_its_name() -> None:
    model = of(lambda x: norm(layers.Conv2D(4, 3, name="conv")(x)))
    folded = assert_folded(model, images(8, 8))
    assert folded.output_names == ["norm"]
    assert isinstance(folded.get_layer("norm"), layers.Identity)


def _inner(kind: type[keras.Model]) -> keras.Model:
    parts = [keras.Input((8, 8, 3)), layers.Conv2D(3, 1, name="conv"), layers.BatchNormalization(), layers.ReLU()]
    if kind is keras.Sequential:
        return keras.Sequential(parts, name="inner")
    y = x = parts[0]
    for layer in parts[1:]:
        y = layer(y)
    return keras.Model(x, y, name="inner")


@one_backend
@pytest.mark.parametrize("kind", [keras.Model, keras.Sequential])
def test_models_in_the_model_fold_too(kind: type[keras.Model]) -> None:
    inner = _inner(kind)
    folded = assert_folded(of(lambda x: norm(layers.Conv2D(4, 3)(inner(inner(x))))), images(8, 8))
    assert not norms(folded.get_layer("inner"))
    assert len([layer for layer in folded.layers if layer.name == "inner"]) == 1
    for how in ({"training": True}, {"training": 1}):
        folded = assert_folded(of(lambda x: _inner(kind)(x, **how)), images(8, 8))  # noqa: B023
        assert len(norms(folded.get_layer("inner"))) == 1


@one_backend
def test_a_sequential_model_folds() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization()])
    assert_folded(model, images(8, 8))


@one_backend
def test_whatever_else_a_graph_holds_is_kept() -> None:
    """Operations, code, layers of one's own and such as hold more than weights, several inputs, a nest of outputs."""

    class Twice(layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    def build(x: Tensor) -> Any:
        scaled = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])(x)
        y = norm(layers.Conv2D(3, 3, padding="same")(scaled))
        y = keras.ops.maximum(y, 0.1)[:, ::2] + 1.0
        shrunk = layers.Lambda(lambda t: t[:, ::2], output_shape=lambda shape: (shape[0], 4, *shape[2:]))(x)
        return {"a": Twice()(y), "b": [layers.Concatenate()([y, shrunk]), x]}

    assert_folded(of(build), images(8, 8))
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    y = norm(layers.Conv2D(4, 1)(layers.Subtract()([left, right])))
    assert_folded(keras.Model({"left": left, "right": right}, y), {"left": images(8, 8), "right": images(8, 8) + 1})


def mish(x: Any) -> Any:
    return x * keras.ops.tanh(keras.ops.softplus(x))


class Graphless(keras.Model):  # type: ignore[misc]
    """A model that only its code describes."""

    def call(self, x: Any) -> Any:
        return 2 * x


@one_backend
def test_functions_and_models_of_ones_own_are_kept() -> None:
    def build(x: Tensor) -> Any:
        y = layers.Lambda(mish)(norm(layers.Conv2D(3, 3, activation="linear")(x)))
        y = layers.Activation(mish)(layers.Lambda(lambda t: keras.ops.abs(t) - mish(t))(y))
        return Graphless()(layers.Conv2D(4, 3, activation=mish)(y))

    assert_folded(of(build), images(8, 8))


@one_backend
def test_layers_called_by_keyword_fold() -> None:
    assert_folded(of(lambda x: layers.BatchNormalization()(inputs=layers.Conv2D(4, 3)(inputs=x))), images(8, 8))


@one_backend
def test_a_sequential_model_of_several_outputs_folds() -> None:
    x = keras.Input((8, 8, 3))
    two = keras.Model(x, [norm(layers.Conv2D(3, 1)(x)), x])
    assert_folded(keras.Sequential([keras.Input((8, 8, 3)), two]), images(8, 8))


@one_backend
def test_an_adapted_normalization_stays_adapted() -> None:
    layer = layers.Normalization()
    layer.adapt(images(8, 8) * 3 + 1)
    model = of(lambda x: layers.Conv2D(4, 3)(layer(x)))
    assert_close(run(fold_batch_norm(model), images(8, 8)), run(model, images(8, 8)), 1e-6)


@one_backend
def test_what_has_no_graph_is_refused() -> None:
    for wrong in (Graphless(), keras.Sequential([layers.Dense(2)]), layers.Dense(2)):
        with pytest.raises(ValueError, match="`model` must be a functional or a built Sequential model; received"):
            fold_batch_norm(wrong)


@one_backend
def test_the_slightest_weight_left_out_would_be_seen() -> None:
    model = randomise(of(lambda x: norm(layers.Conv2D(4, 3)(x))))
    folded = fold_batch_norm(model)
    beta = model.get_layer("norm").beta
    beta.assign(beta + 1e-3)
    with pytest.raises(AssertionError, match="deviates"):
        assert_close(run(folded, images(8, 8)), run(model, images(8, 8)), 1e-5)
