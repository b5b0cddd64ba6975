"""Winograd's algorithm: the same convolutions, of fewer multiplications, where JAX has no quick one."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_resnet
from keras_resnet import optimize_for_inference, optimize_for_training
from keras_resnet.architecture.rows import find_row
from keras_resnet.graph import kernels
from keras_resnet.graph.winograd import _images_at_once, winograd
from tests.helpers.nets import assert_close, assert_same_weights, images, randomise, run, thin

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="other backends have quick convolutions")


def random(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def exact(x: np.ndarray[Any, Any], kernel: np.ndarray[Any, Any], padding: str) -> np.ndarray[Any, Any]:
    """Returns the convolution in float64, as nine products."""
    pad = int(padding == "same")
    x = np.pad(x.astype("float64"), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = x.shape[1] - 2, x.shape[2] - 2
    kernel = kernel.astype("float64")
    products = [x[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)]
    return np.asarray(np.sum(products, 0))


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The tiles that were chosen; of thin nets and small batches as if they were not."""
    chosen: list[int | None] = []
    original = kernels._tile

    def choose(shape: Any, filters: int) -> int | None:
        chosen.append(original((4 * shape[0], *shape[1:3], 16 * shape[3]), 16 * filters))
        return chosen[-1]

    monkeypatch.setattr(kernels, "_tile", choose)
    return chosen


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_maps_of_every_size_are_exact(padding: str, m: int) -> None:
    """Of one pixel, of no whole tile, and of one image; of few channels and many."""
    shapes = [(1, 7, 5, 3), (3, 8, 8, 8), (2, 13, 10, 64)]
    for shape in [*shapes, *([(1, 1, 1, 4), (2, 2, 5, 4)] if padding == "same" else [])]:
        x, kernel = random(*shape), random(3, 3, shape[3], 6, seed=1)
        assert_close(winograd(ops.convert_to_tensor(x), kernel, padding, m), exact(x, kernel, padding), 4e-6)


def test_large_batches_are_computed_in_parts() -> None:
    x, kernel = random(12, 40, 40, 64), random(3, 3, 64, 24, seed=1)
    assert _images_at_once(x.shape, (16, 64, 24), 2) == 6
    found = kernels._jitted_winograd()(x, kernel, "same", 2)
    assert_close(found, exact(x, kernel, "same"), 4e-6)


def test_the_tile_follows_from_the_shape() -> None:
    shapes = {
        (8, 56, 56, 64): 4,
        (1, 56, 56, 64): 4,
        (8, 14, 14, 256): 4,
        (1, 28, 28, 128): 4,
        (2, 14, 14, 256): 2,
        (1, 14, 14, 256): None,
        (16, 7, 7, 512): 2,
        (8, 7, 7, 512): None,
        (8, 14, 14, 512): 2,
        (8, 56, 56, 32): None,
        (0, 56, 56, 64): None,
    }
    assert {shape: kernels._tile(shape, shape[3]) for shape in shapes} == shapes
    assert kernels._tile((8, 56, 56, 64), 32) is None
    assert kernels._tile((1, 28, 28, 128), 256) is kernels._tile((1, 28, 28, 256), 128) is None


@pytest.mark.parametrize("name", ["resnet18", "resnet50v2", "seresnet50"])
def test_networks_are_exact(name: str, tiles: list[int | None]) -> None:
    """Compared with float64, where that is possible."""
    import jax

    variant, x = thin(find_row(name), units=(2, 1, 1, 1)), images(97, 70, count=1)
    given: dict[str, Any] = {"input_shape": (97, 70, 3), "classes": 5, "classifier_activation": None}
    model = randomise(keras_resnet.ResNet(variant, weights=None, **given))
    with jax.enable_x64(True):
        double = keras_resnet.ResNet(variant, weights=None, dtype="float64", **given)
        double.set_weights(model.get_weights())
        expected = double.predict_on_batch(x.astype("float64"))
    assert expected.dtype == "float64"
    assert_close(optimize_for_inference(model).predict_on_batch(x), expected, 1e-5)
    assert {2, 4} & set(tiles)


def test_other_convolutions_are_computed_as_before(tiles: list[int | None]) -> None:
    x = keras.Input((24, 24, 4))
    options: list[dict[str, Any]] = [
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 2},
        {"padding": "valid", "strides": (1, 2)},
        {"kernel_size": 5},
        {"kernel_size": (3, 1)},
        {"dtype": "mixed_bfloat16"},
    ]
    ends = [layers.Conv2D(4, **{"kernel_size": 3, "padding": "same"} | given)(x) for given in options]
    model = randomise(keras.Model(x, ends))
    optimized = optimize_for_inference(model)
    for mine, own in zip(optimized.predict_on_batch(images(24, 24, 4)), model(images(24, 24, 4)), strict=True):
        assert_close(np.asarray(mine, "float32"), np.asarray(own, "float32"), 1e-5)
    assert not set(tiles)


def shallow() -> keras.Model:
    variant = dataclasses.replace(thin(find_row("ResNet18")), units=(1, 1), widths=(8, 16))
    return randomise(keras_resnet.ResNet(variant, weights=None, classes=5, input_shape=(64, 64, 3)))


@pytest.mark.parametrize(("shape", "m"), [((2, 13, 10, 8), 4), ((2, 13, 10, 8), 2), ((24, 40, 40, 32), 2)])
def test_gradients_are_the_same(shape: tuple[int, ...], m: int) -> None:
    """Of maps and kernels, forwards and backwards, in one part and in several."""
    import jax

    x, kernel, v = random(*shape), random(3, 3, shape[3], 6, seed=1), random(*shape, seed=2)

    @jax.jit
    def mine(x: Any, kernel: Any) -> Any:
        return winograd(x, kernel, "same", m)

    @jax.jit
    def own(x: Any, kernel: Any) -> Any:
        return ops.conv(x, kernel, 1, "same")

    pairs = [
        [jax.grad(lambda x, kernel, f=f: (f(x, kernel) ** 2).mean(), (0, 1))(x, kernel) for f in (mine, own)],
        [jax.jvp(lambda x, f=f: f(x, kernel), (x,), (v,)) for f in (mine, own)],
    ]
    for first, second in pairs:
        for one, other in zip(first, second, strict=True):
            assert_close(one, other, 1e-5)


def test_training_ends_with_the_same_weights(tiles: list[int | None]) -> None:
    trained = []
    for optimized in (False, True):
        model = shallow()
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
        if optimized:
            optimize_for_training(model)
        model.fit(images(count=8), np.arange(8) % 5, batch_size=4, shuffle=False, verbose=0)
        trained.append(model)
    assert {2, 4} & set(tiles)
    assert_same_weights(trained[1], trained[0], 1e-4)


def test_weights_may_change_at_any_time(tiles: list[int | None], tmp_path: Any) -> None:
    optimized, other = optimize_for_inference(shallow()), randomise(optimize_for_inference(shallow()), 5)
    x, expected = images(), other.predict_on_batch(images())
    before = optimized.predict_on_batch(x)
    optimized.set_weights(other.get_weights())
    assert_close(optimized.predict_on_batch(x), expected, 1e-5)
    assert np.abs(before - expected).max() > 1e-4
    other.save_weights(tmp_path / "net.weights.h5")
    randomise(optimized, 7)
    optimized.load_weights(tmp_path / "net.weights.h5")
    assert_close(optimized.predict_on_batch(x), expected, 1e-5)
    optimized.compile("sgd", "mse")
    optimized.fit(x, np.zeros((2, 5)), verbose=0)
    plain = keras.models.clone_model(optimized)
    plain.set_weights(optimized.get_weights())
    assert_close(optimized.predict_on_batch(x), plain.predict_on_batch(x), 1e-5)
    assert {2, 4} & set(tiles)


def test_a_net_is_exported_for_any_size_of_batch(tiles: list[int | None]) -> None:
    import jax
    from jax import export

    jax_: Any = jax  # whose functions have no types here
    optimized, shape = optimize_for_inference(shallow()), export.symbolic_shape("count, 64, 64, 3")
    program: Any = export.export(jax.jit(lambda x: optimized(x, training=False)))
    exported = program(jax_.ShapeDtypeStruct(shape, "float32"))
    assert_close(exported.call(images()), run(optimized, images()), 1e-5)


def test_pools_of_every_form_keep_their_outputs() -> None:
    """Of numbers below zero, and of none."""
    x = keras.Input((13, 10, 4))
    forms: list[dict[str, Any]] = [
        {"pool_size": 3, "strides": 2},
        {"pool_size": (3, 1), "strides": 1},
        {"pool_size": 2},
        {"pool_size": (1, 2), "strides": (3, 1)},
        {"pool_size": 3, "padding": "same"},
        {"pool_size": 5},
    ]
    model = keras.Model(x, [layers.MaxPooling2D(**form)(x) for form in forms])
    optimized, given = optimize_for_inference(model), images(13, 10, 4)
    given[0, 3, 3] = np.nan
    for mine, own in zip(optimized.predict_on_batch(given), model.predict_on_batch(given), strict=True):
        np.testing.assert_array_equal(mine, own)
    changed = [layer for layer in optimized.layers if "call" in vars(layer)]
    assert len(changed) == 4
    assert not [layer for layer in optimize_for_training(model).layers if "call" in vars(layer)]
