"""What is done to a model is done at every depth of it: to a body in models, wrappers and layers of any class."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import training
from keras_resnet.architecture.rows import RESNET18, RESNET20V2
from keras_resnet.architecture.variant import Stem
from keras_resnet.models.inspection import walk_layers
from keras_resnet.training import transfer
from keras_resnet.training.recipe import Recipe
from tests.helpers.nets import NESTINGS, Around, OwnModel, assert_close, images, nest, randomise, run, thin

once = pytest.mark.one_backend
ON_TORCH = keras.backend.backend() == "torch"  # elsewhere a covering case: JAX compiles for long
STEM = Stem(3, 4, stride=1, pool=False)
ROWS = [thin(row, name="tiny", units=(1, 1), widths=(4, 8), stem=STEM) for row in (RESNET18, RESNET20V2)]


def body(version: int = 1, **arguments: Any) -> keras.Model:
    defaults: dict[str, Any] = {"weights": None, "input_shape": (8, 8, 3), "pooling": "avg"}
    return keras_resnet.ResNet(ROWS[version - 1], False, **defaults | arguments)


def top() -> Any:
    """Somebody's own: none of its layers is called as ours."""
    parts = [
        layers.Dense(6, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.1),
        layers.Dense(3, "softmax"),
    ]
    return keras.Sequential(parts)


def draws() -> list[tuple[str, ...]]:
    rng = np.random.default_rng(0)
    return [(), *(tuple(rng.choice(list(NESTINGS), size)) for size in (1, 2, 3, 4))]


def made(kinds: tuple[str, ...], version: int = 1, **arguments: Any) -> keras.Model:
    image = keras.Input((8, 8, 3))
    return randomise(keras.Model(image, top()(nest(body(version, **arguments), kinds)(image))))


def treated(model: keras.Model) -> dict[str, Any]:
    """What training changes of layers, by their names, wherever they lie."""
    found: dict[str, Any] = {}
    for path, layer in walk_layers(model).items():
        if layer.weights and not isinstance(layer, (keras.Model, layers.Wrapper, Around)):
            name = path.rsplit("/", 1)[-1]
            name = name if name.startswith(("conv", "post")) else type(layer).__name__ + str(layer.weights[0].shape)
            found[name] = (layer.trainable, getattr(layer, "momentum", None), len(layer.trainable_weights))
    return found


@once
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("before", [None, "conv3"])
def test_a_body_at_any_depth_is_treated_as_a_flat_one(version: int, before: str | None) -> None:
    results = []
    for kinds in [*draws(), *((kind,) for kind in NESTINGS)]:
        model = made(kinds, version, dtype="mixed_float16")
        model.trainable = False  # somebody's
        transfer.freeze(model, before)
        assert transfer.stages(model) == ("conv1", "conv2", "conv3")
        momentum = transfer.quicken_norms(model, 10)
        training.compile_for(model, Recipe(), 4)
        results.append((momentum, type(model.optimizer).__name__, treated(model), len(model.trainable_weights)))
        assert results[-1] == results[0], kinds
    momentum, optimizer, layers_, _ = results[0]
    assert (momentum, optimizer) == (0.5, "LossScaleOptimizer")
    own = {name for name in layers_ if "conv" not in name and not name.startswith("post")}
    assert len(own) == 3
    for name, (trains, *_) in layers_.items():
        assert trains == (name in own or (bool(before) and name.startswith("conv3") and "bn" not in name)), name


@pytest.mark.parametrize("kinds", [("own", "sequential"), ("frames",)] if ON_TORCH else [("own", "sequential")])
def test_what_is_frozen_at_any_depth_stays_and_the_rest_moves(kinds: tuple[str, ...]) -> None:
    model = made(kinds)
    transfer.freeze(model, "conv3")
    training.compile_for(model, Recipe(learning_rate=0.1), 4)
    before = [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    model.fit(images(8, 8, count=6), np.eye(3)[[0, 1, 2] * 2], epochs=2, batch_size=6, verbose=0)
    for weight, then in zip(model.weights, before, strict=True):
        moves = not np.array_equal(keras.ops.convert_to_numpy(weight), then)
        body = "conv" in weight.path.split("/")[-2]
        assert moves == (not body or ("conv3" in weight.path and "_bn" not in weight.path)), weight.path


@once
def test_all_norms_that_train_are_quickened_and_no_others() -> None:
    """Those of an own class, of a shared body, of a list; not of a body that is frozen from outside."""
    frozen, shared = nest(body(name="frozen"), ("own", "functional")), body(name="shared")
    frozen.trainable = False
    one, two, image = keras.Input((8, 8, 3)), keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    siamese = keras.Model([one, two], layers.Concatenate()([shared(one), shared(two)]))
    model = keras.Model(image, layers.Concatenate()([siamese([image, image]), frozen(image)]))
    norms = {path: layer for path, layer in walk_layers(model).items() if isinstance(layer, layers.BatchNormalization)}
    assert transfer.quicken_norms(model, 10) == 0.5
    assert {path: norm.momentum == 0.5 for path, norm in norms.items()} == {path: "shared" in path for path in norms}
    own = OwnModel(nest(body(), ("own",)), top())
    own(images(8, 8))
    assert transfer.quicken_norms(own, 10) == 0.5
    assert transfer.quicken_norms(own, 10) is None


@once
def test_loss_is_scaled_wherever_something_computes_in_half_precision() -> None:
    image = keras.Input((8, 8, 3))
    policies = keras.dtype_policies.DTypePolicyMap(keras.DTypePolicy("mixed_float16"))
    half = layers.Dense(3, "softmax", dtype="mixed_float16")
    mapped = keras.Model(image, layers.Dense(3, dtype=policies)(body()(image)))
    owned = OwnModel(body(), half)
    owned(images(8, 8))
    for model, scales in (
        (made(()), False),
        (made(("own",), dtype="mixed_bfloat16"), False),
        (mapped, True),
        (owned, True),
    ):
        training.compile_for(model, Recipe(), 4)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scales


@once
def test_what_cannot_be_frozen_is_refused_in_true_words() -> None:
    image = keras.Input((8, 8, 3))
    left, right = body(name="left"), body(name="right")
    pair = keras.Model(image, layers.Dense(2)(layers.Concatenate()([left(image), right(image)])))
    bare = nest(body(), ("own",))
    plain = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2, name="predictions")], name="plain"
    )
    for model, message in (
        (pair, "`model` must contain one network; .* contains 2: 'left', 'right'"),
        (bare, "must have layers that learn behind its stages conv1 to conv3, such as a classifier"),
        (plain, "`model` must contain a network of .*; 'plain' contains none, at any depth"),
        (made(("frames",)), "`before` must be one of 'conv1', 'conv2', 'conv3'; received 'conv9'"),
    ):
        trainable = [layer.trainable for layer in walk_layers(model).values()]
        with pytest.raises(ValueError, match=message):
            transfer.freeze(model, "conv9" if "before" in message else None)
        assert [layer.trainable for layer in walk_layers(model).values()] == trainable


@once
def test_a_body_in_two_parts_is_one_network_and_what_adapts_images_learns() -> None:
    whole, image = body(pooling=None), keras.Input((8, 8, 1))
    cut = whole.get_layer("conv2_block1_out").output
    parts = keras.Model(whole.input, cut, name="conv1_to_2"), keras.Model(cut, whole.output, name="conv9_")
    adapted = layers.Conv2D(3, 1)(image)
    model = keras.Model(image, layers.Dense(2, name="conv5_head")(layers.Flatten()(parts[1](parts[0](adapted)))))
    assert transfer.stages(model) == ("conv1", "conv2", "conv3")
    transfer.freeze(model)
    assert {weight.path.split("/")[0][:5] for weight in model.trainable_weights} == {"conv2", "conv5"}
    assert len(model.trainable_weights) == 4


@once
def test_what_a_top_froze_of_itself_stays_so_and_shared_layers_stay_frozen() -> None:
    inner, image = body(), keras.Input((8, 8, 3))
    cut = keras.Model(inner.input, inner.get_layer("conv2_block1_out").output)
    cut.trainable = False  # by which its layers are, in the other model too
    dense, pool = layers.Dense(2), layers.GlobalAveragePooling2D()
    model = keras.Model(image, dense(layers.Concatenate()([inner(image), pool(cut(image))])))
    dense.enable_lora(1)
    transfer.freeze(model, "conv3")
    trained = {weight.path for weight in model.trainable_weights}
    assert {path for path in trained if "conv" not in path} == {
        f"{dense.name}/{name}" for name in ("bias", "lora_kernel_a", "lora_kernel_b")
    }
    assert {path.split("_")[0] for path in trained if "conv" in path} == {"conv3"}


@pytest.mark.parametrize("kinds", [("own",), ("frames", "functional")] if ON_TORCH else [("own", "functional")])
def test_layers_at_any_depth_are_made_fast_and_restored(kinds: tuple[str, ...]) -> None:
    model = OwnModel(nest(body(style="torch"), kinds), top())
    x = images(8, 8)
    run(model, x)
    randomise(model)
    expected = run(model, x)

    def set_on() -> set[str]:
        found = walk_layers(model).items()
        return {path for path, layer in found if {"call", "convolution_op"} & set(vars(layer))}

    keras_resnet.optimize_for_training(model)
    fast = set_on()
    assert any("conv3_block1" in path for path in fast)
    assert_close(run(model, x), expected, 1e-5)
    keras_resnet.restore(model)
    assert not set_on()
    assert_close(run(model, x), expected, 1e-6)


class Live(Around):
    """A layer whose copies share what is in it."""

    def get_config(self) -> dict[str, Any]:
        return {**layers.Layer.get_config(self), "inner": self.inner}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


@once
def test_a_model_that_a_fast_copy_shares_layers_with_computes_as_it_did() -> None:
    inner = body(style="torch")
    source = randomise(keras.Sequential([keras.Input((8, 8, 3)), Live(inner), layers.Dense(2)]))
    expected = run(source, images(8, 8))
    fast = keras_resnet.optimize_for_inference(source)
    assert not any("call" in vars(layer) for layer in walk_layers(source).values())
    assert_close(run(fast, images(8, 8)), expected, 1e-5)


@once
@pytest.mark.parametrize("kinds", draws()[-2:])
def test_weights_reach_a_body_at_any_depth_and_are_reported_once(kinds: tuple[str, ...], tmp_path: Any) -> None:
    source, model = randomise(body()), made(kinds)
    source.save(tmp_path / "body.keras")
    report = keras_resnet.load_weights(model, tmp_path / "body.keras")
    assert len(report.loaded) == len(set(report.loaded)) == len(source.weights)
    assert len(report.loaded) + len(report.left) == len(model.weights)
    path = next(path for path in walk_layers(model) if path.endswith("conv3_block1_1_conv"))
    kernel = walk_layers(model)[path].kernel
    np.testing.assert_array_equal(kernel, source.get_layer("conv3_block1_1_conv").kernel)
