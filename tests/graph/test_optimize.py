"""Optimized models: the same functions, of stock layers, laid out and computed as the backend likes it."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import optimize_for_inference, optimize_for_training
from keras_resnet.architecture.rows import find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.graph.data_format import to_data_format
from tests.helpers import kinds
from tests.helpers.nets import assert_close, assert_same_weights, images, randomise, run, run_whole, thin, with_style

one_backend = pytest.mark.one_backend
ON_TORCH = keras.backend.backend() == "torch"
SHAPES = [(64, 64), (65, 63)]
STOCK = "keras.src.layers"


def tiny(name: str = "ResNet50", style: str = "keras", **arguments: Any) -> keras.Model:
    widths = {"widths": (16, 32, 64)} if find_row(name).shortcut == "A" else {}
    given = {"weights": None, "classes": 5, "classifier_activation": None, "input_shape": (64, 64, 3)} | arguments
    return randomise(keras_resnet.ResNet(with_style(thin(find_row(name), **widths), style), **given))


def quickened(model: keras.Model) -> list[str]:
    """The layers that don't compute as Keras lets them."""
    return [layer.name for layer in model.layers if {"call", "convolution_op"} & set(vars(layer))]


def inside(model: keras.Model) -> set[str]:
    """The data formats of a model's convolutions."""
    return {layer.data_format for layer in model.layers if isinstance(layer, layers.Conv2D)}


@pytest.mark.parametrize("name", ["ResNet18", "ResNet50", "ResNet50V2", "ResNet20"])
@pytest.mark.parametrize("style", ["keras", "torch", "slim"])
@pytest.mark.parametrize("shape", SHAPES)
@one_backend
def test_networks_keep_their_outputs(name: str, style: str, shape: tuple[int, int], tmp_path: Path) -> None:
    """Here, and where a file of the optimized model is loaded."""
    model = tiny(name, style, input_shape=(*shape, 3))
    x, weights = images(*shape), model.get_weights()
    expected = run(model, x)
    optimized = optimize_for_inference(model)
    assert_close(run(optimized, x), expected, 1e-5)
    assert_close(optimized.predict(x, verbose=0), expected, 1e-5)
    assert inside(optimized) == {"channels_first"}
    assert all(type(layer).__module__.startswith(STOCK) for layer in optimized.layers)
    optimized.save(tmp_path / "net.keras")
    assert_close(run(keras.models.load_model(tmp_path / "net.keras"), x), expected, 1e-5)
    assert (optimized.input_shape, optimized.output_shape) == (model.input_shape, model.output_shape)
    assert not quickened(model)  # the source computes as it did
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("variant", kinds.few_elsewhere(kinds.KINDS))
def test_every_kind_of_network_is_optimized_whole(variant: Variant, tmp_path: Path) -> None:
    """On PyTorch nothing in it turns a map but what takes the image, and Keras stands around no layer."""
    size = (64, 96) if variant.antialias == "avg" else (65, 70)
    model = randomise(keras_resnet.ResNet(variant, input_shape=(*size, 3), classes=5, classifier_activation=None))
    expected, optimized = run_whole(model, images(*size)), optimize_for_inference(model)
    assert_close(run(optimized, images(*size)), expected, kinds.tolerance(variant))
    if ON_TORCH:
        assert_close(optimized.predict(images(*size), verbose=0), expected, kinds.tolerance(variant))
        assert inside(optimized) == {"channels_first"}
        assert sum(isinstance(layer, layers.Permute) for layer in optimized.layers) == 1
        assert "call" in vars(optimized)
        optimized.save(tmp_path / "net.keras")
        loaded = keras.models.load_model(tmp_path / "net.keras")
        assert_close(run(loaded, images(*size)), expected, kinds.tolerance(variant))


def test_a_network_is_optimized_on_every_backend(tmp_path: Path) -> None:
    """Of several outputs and of any size, read from a file."""
    whole = tiny("ResNet50V2", include_top=False, input_shape=(None, None, 3))
    ends = [whole.get_layer(name).output for name in ("conv2_block1_1_relu", "conv3_block2_out")]
    keras.Model(whole.input, [*ends, whole.output]).save(tmp_path / "net.keras")
    model = keras.models.load_model(tmp_path / "net.keras")
    optimized = optimize_for_inference(model)
    assert inside(optimized) == {"channels_first" if ON_TORCH else "channels_last"}
    x = images(65, 63)
    for mine, own in zip(optimized.predict(x, verbose=0), model.predict(x, verbose=0), strict=True):
        assert_close(mine, own, 1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"output_stride": 8},
        {"include_top": False, "pooling": "max"},
        {"include_preprocessing": True},
        {"drop_path": 0.2},
        {"input_shape": (3, 64, 64), "data_format": "channels_first"},
        {"classifier_activation": "softmax"},
        {"dtype": "float64"},
    ],
    ids=str,
)
@one_backend
def test_every_kind_of_network_keeps_its_outputs(arguments: dict[str, Any]) -> None:
    model = tiny(**arguments)
    x = images() if model.input_shape[-1] == 3 else np.moveaxis(images(), -1, 1).copy()
    assert_close(run(optimize_for_inference(model), x), run(model, x), 1e-5)


@one_backend
def test_shortcuts_of_every_option_keep_their_outputs() -> None:
    for shortcut in ("A", "B", "C", None):
        variant = dataclasses.replace(thin(find_row("ResNet20"), widths=(16, 32, 64)), shortcut=shortcut)
        model = randomise(keras_resnet.ResNet(variant, weights=None, classes=5))
        assert_close(run(optimize_for_inference(model), images(32, 32)), run(model, images(32, 32)), 1e-5)


@one_backend
def test_layers_of_one_axis_keep_it() -> None:
    """Whatever sees the order of axes, beside what doesn't; shared, in models in the model, and in groups."""
    x = keras.Input((12, 12, 6))
    shared = layers.Conv2D(6, 3, padding="same", activation="relu")
    y = shared(shared(x))
    gate = layers.Conv2D(6, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Multiply()([y, gate])
    y = layers.Concatenate()([y, layers.Conv2D(6, 3, padding="same", groups=2)(y)])
    y = layers.Conv2D(6, 1, activation="softmax")(y)
    y = layers.Activation("softmax")(layers.Conv2D(6, 2, padding="same")(y))
    y = layers.Add()([layers.LayerNormalization()(y), layers.DepthwiseConv2D(3, padding="same")(y)[:, :1]])
    y = layers.BatchNormalization()(layers.Dropout(0.5)(layers.ReLU()(y)))
    inner = keras.Sequential(
        [
            keras.Input((12, 12, 6)),
            layers.Cropping2D(1),
            layers.AveragePooling2D(3, 1, "same"),
            layers.Permute((2, 1, 3)),
        ]
    )
    y = layers.Dense(4)(layers.Conv2D(6, (3, 1), strides=(2, 1), padding="same")(inner(y)))
    model = randomise(keras.Model(x, [layers.Flatten()(y), y, gate]))
    optimized = optimize_for_inference(model)
    assert len([layer for layer in optimized.layers if isinstance(layer, layers.Conv2D)]) == 6
    images = np.random.default_rng(0).normal(size=(2, 12, 12, 6)).astype("float32")
    for mine, own in zip(optimized(images), model(images), strict=True):
        assert_close(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(own), 1e-5)


@one_backend
def test_a_net_is_stepped_through_for_every_kind_of_input_and_mode() -> None:
    """Directly where that is foreseen, else by Keras; with some outputs in the middle."""
    whole = tiny("ResNet50V2", include_top=False, pooling="avg")
    ends = {"a": whole.get_layer("conv2_block1_out").output, "z": whole.output, "x": whole.input}
    model = keras.Model(whole.input, ends)
    optimized = optimize_for_inference(model)
    assert "call" in vars(optimized)
    for x in (images(), keras.ops.convert_to_tensor(images()), images().astype("float64")):
        for training in (None, False):
            found, expected = optimized(x, training=training), model(x, training=False)
            assert list(found) == list(expected)
            for name, own in expected.items():
                assert_close(keras.ops.convert_to_numpy(found[name]), keras.ops.convert_to_numpy(own), 1e-5)
    again = optimize_for_inference(optimized)
    assert_close(keras.ops.convert_to_numpy(again(images())["z"]), keras.ops.convert_to_numpy(expected["z"]), 1e-5)
    before = again.get_weights()
    again(images(), training=True)  # the norms that are left take the batch's statistics
    assert any((now != then).any() for now, then in zip(again.get_weights(), before, strict=True))


@one_backend
def test_what_keras_does_around_layers_is_done_where_it_matters() -> None:
    """Masks, other precision than float32, several inputs, layers that are shared or somebody's own."""
    x, y = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same")
    for model in (
        keras.Model(x, conv(conv(x))),
        keras.Model([x, y], layers.Add()([x, y])),
        keras.Model(x, layers.Conv2D(3, 3, dtype="mixed_bfloat16")(x)),
        keras.Model(x, layers.Masking()(x)),
        keras.Model(x, keras.ops.abs(x)),
    ):
        optimized = optimize_for_inference(model)
        assert "call" not in vars(optimized)
        given = [images(8, 8), images(8, 8)] if len(model.inputs) > 1 else images(8, 8)
        assert_close(run(optimized, given), run(model, given), 1e-2)


@one_backend
def test_layers_called_twice_or_by_keyword_turn() -> None:
    x = keras.Input((8, 8, 3))
    relu, conv = layers.ReLU(), layers.Conv2D(4, 3)
    pair = [relu(conv(inputs=x)), relu(conv(layers.Conv2D(3, 1)(x)))]
    model = randomise(keras.Model(x, [*pair, layers.Concatenate()(inputs=[*pair, layers.Add()(inputs=pair)])]))
    for mine, own in zip(optimize_for_inference(model)(images(8, 8)), model(images(8, 8)), strict=True):
        assert_close(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(own), 1e-5)


@one_backend
def test_outputs_keep_their_names() -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, name="conv")(x)
    z = layers.Activation("relu", name="features")(y)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(z)
    model = randomise(keras.Model(x, [y, z, pooled, layers.Activation("relu", name="vector")(pooled)]))
    optimized = optimize_for_inference(model)
    assert optimized.output_names == model.output_names == ["conv", "features", "pooled", "vector"]
    for mine, own in zip(optimized(images(8, 8)), model(images(8, 8)), strict=True):
        assert_close(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(own), 1e-5)


@one_backend
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_a_model_is_relaid_in_either_direction(data_format: str) -> None:
    other = {"channels_first": "channels_last", "channels_last": "channels_first"}[data_format]
    model = tiny(data_format=other, input_shape=(64, 64, 3) if other == "channels_last" else (3, 64, 64))
    x = images() if other == "channels_last" else np.moveaxis(images(), -1, 1).copy()
    turned = to_data_format(model, data_format)
    assert (inside(model), inside(turned)) == ({other}, {data_format})
    assert_close(run(turned, x), run(model, x), 1e-5)


@one_backend
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("kind", kinds.COVER)
def test_every_kind_of_network_is_relaid_in_either_direction(kind: str, data_format: str) -> None:
    last, variant = data_format == "channels_first", kinds.COVER[kind]
    shape = (64, 96, 3) if last else (3, 64, 96)
    other = {"channels_first": "channels_last", "channels_last": "channels_first"}[data_format]
    options: dict[str, Any] = {"include_top": False, "input_shape": shape, "data_format": other}
    model = randomise(keras_resnet.ResNet(variant, **options))
    x = images(64, 96) if last else np.moveaxis(images(64, 96), -1, 1).copy()
    turned = to_data_format(model, data_format)
    assert inside(turned) == {data_format}
    assert sum(isinstance(layer, layers.Permute) for layer in turned.layers) == 2  # of the image, and of the last map
    assert turned.output_names == model.output_names
    assert_close(run(turned, x), run(model, x), kinds.tolerance(variant))


@one_backend
def test_what_looks_like_a_gates_layers_keeps_its_function() -> None:
    """Pads of all axes alike and of vectors; one pixel that nothing takes as a map; and each as an output."""
    x = keras.Input((8, 10, 6))
    y = layers.Conv2D(4, 3, padding="same")(x)
    reflected = keras.ops.pad(y, ((0, 0), (1, 2), (3, 1), (0, 2)), "reflect")
    valued = keras.ops.pad(y, ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=3)
    alike = keras.ops.pad(y, 1)[1:3, 1:]
    pixel = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(y))
    square = layers.Reshape((2, 1, 2))(layers.GlobalAveragePooling2D()(y))
    tall = layers.Reshape((4, 1, 1))(layers.GlobalAveragePooling2D()(y))
    dense = layers.Dense(3)(pixel)
    vector = keras.ops.pad(layers.Flatten()(y), ((0, 0), (1, 1)))
    conv = layers.Conv2D(3, 2)(layers.Add()([layers.MaxPooling2D(2)(valued), pixel]))
    normed = layers.GroupNormalization(2, axis=2)(y)
    model = randomise(keras.Model(x, [reflected, valued, alike, pixel, square, tall, dense, vector, conv, normed]))
    given = np.random.default_rng(0).normal(size=(2, 8, 10, 6)).astype("float32")
    for optimized in (optimize_for_inference(model), to_data_format(model, "channels_first")):
        assert optimized.output_names == model.output_names
        for mine, own in zip(optimized(given), model(given), strict=True):
            assert_close(keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(own), 1e-5)


def fitted(model: keras.Model, optimized: bool, optimizer: str = "sgd") -> keras.Model:
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):  # as training leaves it, so that a step is a sane one
            layer.gamma.assign(np.full(layer.gamma.shape, 0.3))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    if optimized:
        assert optimize_for_training(model) is model
    model.fit(images(count=8), np.arange(8) % 5, batch_size=4, shuffle=False, verbose=0)
    return model


def fitted_pair(name: str, **arguments: Any) -> tuple[keras.Model, keras.Model]:
    usual, quick = (fitted(tiny(name, classifier_activation="softmax", **arguments), quick) for quick in (False, True))
    return usual, quick


def shallow(**arguments: Any) -> keras.Model:
    """What is quickened, and not so deep that rounding grows."""
    variant = dataclasses.replace(thin(find_row("ResNet50")), units=(1, 1), widths=(8, 16))
    return randomise(keras_resnet.ResNet(variant, weights=None, classes=5, input_shape=(64, 64, 3), **arguments))


def test_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Kernels, moving statistics and predictions; and what is saved knows nothing of it."""
    usual, quick = (fitted(shallow(), optimized) for optimized in (False, True))
    assert quickened(quick)
    assert_same_weights(quick, usual, 1e-4)
    assert_close(run(quick, images()), run(usual, images()), 1e-4)
    quick.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    assert not quickened(loaded)
    assert_close(run(loaded, images()), run(quick, images()), 1e-5)


@one_backend
@pytest.mark.parametrize("name", ["ResNet18", "ResNet50V2", "ResNet20"])
@pytest.mark.parametrize("style", ["keras", "torch"])
def test_training_in_float64_ends_with_the_very_same_weights(name: str, style: str) -> None:
    """But for the rounding in Keras' norms, which compute in float32 even then."""
    usual, quick = fitted_pair(name, style=style, dtype="float64")
    assert_same_weights(quick, usual, 1e-5)


def norms_of(training: bool, **options: Any) -> list[tuple[Any, list[Any]]]:
    """What a norm makes of a map in one call, and its weights after that, once as Keras has it and once quickened."""
    x = keras.Input((6, 5, 3))
    model = randomise(keras.Model(x, layers.BatchNormalization(**options)(x)))
    before = model.get_weights()
    found = []
    for optimized in (False, True):
        model.set_weights(before)
        if optimized:
            optimize_for_training(model)
            stays = keras.backend.backend() == "jax" or {"scale", "axis"} & set(options)
            assert bool(quickened(model)) == (not stays)
        y = keras.ops.convert_to_numpy(model(images(6, 5) * 3 + 1, training=training))
        found.append((y, model.get_weights()))
    return found


@pytest.mark.parametrize("training", [True, False])
def test_a_quick_norm_computes_and_keeps_the_same_statistics(training: bool) -> None:
    for options in ({"momentum": 0.7}, {"epsilon": 1e-5}, {"trainable": False}, {"scale": False}, {"axis": 2}):
        (y, weights), (quick, quick_weights) = norms_of(training, **options)
        assert_close(quick, y, 1e-5)
        for mine, own in zip(quick_weights, weights, strict=True):
            np.testing.assert_allclose(mine, own, rtol=1e-5, atol=1e-6)


@one_backend
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "float16"])
def test_a_quick_group_norm_computes_and_learns_the_same(axis: int, dtype: str) -> None:
    """Of few pixels, too."""
    for side in (7, 3):
        x = keras.Input((side, side, 8) if axis == -1 else (8, side, side))
        norm = layers.GroupNormalization(8 if side == 3 else 4, axis=axis, epsilon=1e-5, dtype=dtype)
        model = randomise(keras.Model(x, norm(x)))
        given = np.random.default_rng(0).normal(1, 3, (1, *x.shape[1:])).astype("float32")
        before, found = model.get_weights(), []
        for optimized in (False, True):
            model.set_weights(before)
            model.compile(keras.optimizers.SGD(0.1), "mse")
            if optimized:
                optimize_for_training(model)
                assert quickened(model)
            y = model.predict(given, verbose=0)
            model.fit(given, np.ones_like(given), verbose=0)
            found.append([y, *model.get_weights()])
        for mine, own in zip(*found, strict=True):
            assert_close(mine, own, 1e-5 if dtype == "float32" else 1e-2)


@one_backend
def test_a_batch_of_one_number_per_channel_is_no_error() -> None:
    x = keras.Input((1, 1, 3))
    model = randomise(keras.Model(x, layers.BatchNormalization()(x)))
    image = images(1, 1)[:1]
    expected = run(model, image, training=True)
    np.testing.assert_array_equal(run(optimize_for_training(model), image, training=True), expected)


def test_half_precision_trains() -> None:
    """In policies of half precision alone weights and statistics are of another dtype than the batch's."""
    for dtype in ("mixed_bfloat16", "bfloat16"):
        model = shallow(dtype=dtype)
        fitted(model, True)
        assert np.isfinite(run(model, images())).all()


@one_backend
def test_mixed_precision_trains_to_nearly_the_same() -> None:
    usual, quick = (run(model, images()) for model in fitted_pair("ResNet50", dtype="mixed_bfloat16"))
    assert_close(quick, usual, 0.05)


@one_backend
def test_what_the_optimizer_keeps_is_laid_out_like_the_weights() -> None:
    """Else each of its steps would have to gather the numbers."""
    model = fitted(tiny(classifier_activation="softmax"), True, "adam")
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Conv2D)]
    layouts = {tuple(kernel.shape): kernel.value.stride() for kernel in kernels}
    slots = [variable.value for variable in model.optimizer.variables if len(variable.shape) == 4]
    assert len(slots) == 2 * len(kernels)
    assert all(slot.stride() == layouts[tuple(slot.shape)] for slot in slots)
    assert all(kernel.value.permute(3, 0, 1, 2).is_contiguous() for kernel in kernels)


@one_backend
def test_weights_move_between_layouts_while_they_train() -> None:
    last, first = tiny(), tiny(data_format="channels_first", input_shape=(3, 64, 64))
    for model in (last, first):
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        optimize_for_training(model)
    last.train_on_batch(images(), np.arange(2))
    first.set_weights(last.get_weights())
    assert_close(run(first, np.moveaxis(images(), -1, 1).copy()), run(last, images()), 1e-5)
    first.train_on_batch(np.moveaxis(images(), -1, 1).copy(), np.arange(2))
    last.train_on_batch(images(), np.arange(2))
    assert_same_weights(first, last, 1e-3)


@one_backend
def test_models_that_are_not_built_are_refused() -> None:
    with pytest.raises(ValueError, match="`model` must be a functional or a built Sequential model"):
        optimize_for_inference(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(ValueError, match="`model` must be a built keras.Model; received Sequential"):
        optimize_for_training(keras.Sequential([layers.Dense(2)]))
