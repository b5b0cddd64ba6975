"""On PyTorch a model that is optimized for training walks its graph, and learns what Keras' own call learns."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_resnet import optimize_for_training, restore
from keras_resnet.graph import training_calls
from tests.helpers.nets import images, randomise

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="the walk is PyTorch's"),
]


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):  # type: ignore[misc]
    """A layer of an own class, which adds a loss and heeds the mode."""

    def call(self, x: Any, training: Any = None) -> Any:
        self.add_loss(keras.ops.mean(x * x))
        return 2 * x if training else x


def residual(x: Any, **options: Any) -> Any:
    """What blocks are made of."""
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    y = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(y))
    y = layers.Conv2D(8, 3, padding="same", **options)(y)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))


def start(x: Any, **options: Any) -> Any:
    y = layers.Conv2D(8, 3, strides=2, activation="relu", **options)(layers.ZeroPadding2D(1)(x))
    return layers.MaxPooling2D(3, 1, "same")(y)


def top(x: Any) -> Any:
    return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))


def plain() -> keras.Model:
    x = keras.Input((16, 16, 3))
    return keras.Model(x, top(residual(start(x))))


def half() -> keras.Model:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        x = keras.Input((16, 16, 3))
        return keras.Model(x, layers.Activation("linear", dtype="float32")(top(residual(start(x)))))
    finally:
        keras.config.set_dtype_policy("float32")


def frozen() -> keras.Model:
    model = plain()
    for layer in model.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    return model


def dropping() -> keras.Model:
    """With dropout of numbers and of whole residuals, with a seed and with that of all."""
    x = keras.Input((16, 16, 3))
    y = start(x)
    dropped = layers.Dropout(0.5, noise_shape=(None, 1, 1, 1), seed=5)(layers.Conv2D(8, 1)(y))
    y = layers.Dropout(0.3)(layers.Add()([y, dropped]))
    return keras.Model(x, top(layers.Dropout(0.2, seed=3)(residual(y))))


def regularised() -> keras.Model:
    x = keras.Input((16, 16, 3))
    y = residual(start(x, kernel_regularizer="l2"), activity_regularizer="l2")
    return keras.Model(x, top(y))


def nested() -> keras.Model:
    """Of a model in it twice, one of an own class of layers, and a Sequential."""
    x = keras.Input((8, 8, 8))
    inner = keras.Model(x, residual(x))
    image = keras.Input((16, 16, 3))
    y = inner(inner(start(image)))
    y = keras.Sequential([keras.Input((8, 8, 8)), layers.Conv2D(8, 1), layers.BatchNormalization()])(y)
    return keras.Model(image, top(y))


def own() -> keras.Model:
    x = keras.Input((16, 16, 3))
    return keras.Model(x, top(residual(Doubled()(residual(start(x))))))


def shared() -> keras.Model:
    """Layers that are called twice, a norm too, and operations that are no layers."""
    x, conv, norm = keras.Input((16, 16, 3)), layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization()
    y = norm(conv(norm(conv(start(x)))))
    return keras.Model(x, top(keras.ops.abs(y)[:, 1:] * 2))


def masked() -> keras.Model:
    x = keras.Input((16, 16, 3))
    y = layers.Masking()(layers.Reshape((16, 48))(x))
    y = layers.Activation("relu")(layers.Dense(4)(layers.Dropout(0.2, seed=1)(y)))
    return keras.Model(x, layers.Dense(5)(layers.SimpleRNN(4)(y)))


def inference_inside() -> keras.Model:
    x = keras.Input((16, 16, 3))
    y = layers.BatchNormalization()(start(x), training=False)
    return keras.Model(x, top(layers.Dropout(0.5, seed=2)(residual(y), training=False)))


KINDS: dict[str, Callable[[], keras.Model]] = {
    each.__name__: each
    for each in (
        *(plain, half, frozen, dropping, regularised, nested),
        *(own, shared, masked, inference_inside),
    )
}


def prepared(make: Callable[[], keras.Model], walks: bool) -> keras.Model:
    """Optimized; without the walk, as the faster layers alone compute it."""
    keras.utils.set_random_seed(0)
    model = randomise(make())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, 0.9, clipnorm=1.0), loss, metrics=["accuracy"])
    optimize_for_training(model)
    for each in (model, *model.layers):
        if isinstance(each, keras.Model):
            assert "call" in vars(each) or make is masked
            for name in () if walks else {"call", "train_step", "_post_build"} & set(vars(each)):
                object.__delattr__(each, name)
    return model


def used(model: keras.Model) -> list[Any]:
    """What is learned, told and put out in training, evaluation and prediction."""
    x, y = images(16, 16, count=8), np.arange(8) % 5
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=(x, y)).history
    batch = model.train_on_batch(x, y, sample_weight=np.linspace(0, 1, 8))
    gradients = [each.value.grad for each in model.trainable_weights]
    outputs = [keras.ops.convert_to_numpy(model(x, training=mode)) for mode in (True, False, None)]
    seeds = [np.asarray(each.numpy()) for each in model.non_trainable_variables]
    numbers = [*history.values(), batch, model.evaluate(x, y, verbose=0)]
    return [*map(np.asarray, numbers), *outputs, *seeds, *model.get_weights(), *map(np.asarray, gradients)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_walk_learns_the_very_same(kind: str) -> None:
    """Losses, metrics, outputs, seeds, gradients and weights, to the bit."""
    found, expected = (used(prepared(KINDS[kind], walks)) for walks in (True, False))
    for mine, own in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_several_inputs_and_outputs_are_walked() -> None:
    def make() -> keras.Model:
        a, b = keras.Input((16, 16, 3), name="a"), keras.Input((8, 8, 8), name="b")
        y = residual(layers.Multiply()([start(a), b]))
        return keras.Model([a, b], {"map": y, "scores": top(y)})

    found = []
    for walks in (True, False):
        keras.utils.set_random_seed(0)
        model = randomise(make())
        model.compile("sgd", {"map": "mse", "scores": "mse"})
        optimize_for_training(model)
        if not walks:
            object.__delattr__(model, "call")
        x, y = (
            [images(16, 16, count=4), images(8, 8, 8, count=4)],
            {"map": np.ones((4, 8, 8, 8)), "scores": np.ones((4, 5))},
        )
        history = model.fit(x, y, batch_size=2, verbose=0, shuffle=False).history
        by_name = model.predict(dict(zip("ab", x, strict=True)), verbose=0)
        found.append([*map(np.asarray, history.values()), *by_name.values(), *model.get_weights()])
    for mine, own in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_what_is_changed_after_optimizing_counts() -> None:
    """Weights, a layer's own call, what regularises it, hooks, freezing, LoRA."""

    def change(model: keras.Model, seen: list[str]) -> None:
        convs = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
        norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
        model.set_weights([weight * 0.5 for weight in model.get_weights()])
        norms[0].trainable = False
        convs[0].activity_regularizer = keras.regularizers.L2(0.1)
        convs[1].register_forward_hook(lambda *_: seen.append("hook"))
        convs[2].enable_lora(2)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])

    found = []
    for walks in (True, False):
        model = prepared(plain, walks)
        seen: list[str] = []
        change(model, seen)
        found.append([*used(model), len(seen)])
    assert found[0][-1]
    for mine, own in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_training_goes_on_after_restore() -> None:
    found = []
    for walks in (True, False):
        model = prepared(plain, walks)
        used(model)
        restore(model)
        assert not {"call", "train_step", "_post_build"} & set(vars(model))
        found.append(used(model))
    for mine, own in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, own)


def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes what the walk computes itself from now on; to be called before a model is optimized."""
    seen: list[str] = []

    def spy(direct: Callable[..., Any], step: Any, *args: Any) -> Any:
        seen.append(step.layer.name)
        return direct(step, *args)

    for kind, direct in list(training_calls._MAPS.items()):
        monkeypatch.setitem(training_calls._MAPS, kind, functools.partial(spy, direct))
    return seen


@pytest.mark.parametrize("held", [True, False])
def test_one_input_may_stand_in_a_list(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = walked(monkeypatch)
    x = keras.Input((16, 16, 3))
    model = optimize_for_training(randomise(keras.Model([x] if held else x, top(residual(start(x))))))
    given = keras.ops.convert_to_tensor(images(16, 16))
    expected = keras.ops.convert_to_numpy(type(model).call(model, given, training=False))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(given, training=False)), expected)
    assert len(seen) == 6


def test_compilers_and_stateless_calls_get_what_keras_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing is changed in a scope that changes nothing, and nothing unknown is traced."""
    import torch

    seen = walked(monkeypatch)
    model = prepared(plain, True)
    weights, x = model.get_weights(), images(16, 16)
    states = [[each.value for each in group] for group in (model.trainable_variables, model.non_trainable_variables)]
    outputs, moved = model.stateless_call(*states, keras.ops.convert_to_tensor(x), training=True)
    assert not seen
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    expected = model(x, training=True)
    assert seen
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(outputs), keras.ops.convert_to_numpy(expected))
    for mine, own in zip(moved, model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(mine), own.numpy())
    seen.clear()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    model.train_on_batch(x, np.arange(2))
    assert not seen


def test_a_keras_of_other_names_calls_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not half of it: what is looked at in each call must be there when a model is optimized."""
    from keras_resnet.graph import training_step

    seen = walked(monkeypatch)
    monkeypatch.setattr(training_calls, "_LOOKED_AT", {"_renamed"})
    monkeypatch.setattr(training_step, "_LOOKED_AT", ("_renamed",))
    model = randomise(plain())
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimize_for_training(model)
    assert not {"call", "train_step", "_post_build"} & set(vars(model))
    model.train_on_batch(images(16, 16), np.arange(2))
    assert not seen


def test_models_of_own_classes_train_as_before() -> None:
    """With a step of their own, and without a mode."""

    class Modeless(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = plain()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    class Stepping(Modeless):
        steps = 0

        def train_step(self, data: Any) -> Any:
            self.steps += 1
            return super().train_step(data)

    for kind in (Modeless, Stepping):
        found = []
        for optimized in (True, False):
            keras.utils.set_random_seed(0)
            model = kind()
            model(images(16, 16))
            randomise(model)
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            optimize_for_training(model)
            if not optimized:
                object.__delattr__(model.inner, "call")
            history = model.fit(images(16, 16, count=8), np.arange(8) % 5, verbose=0, shuffle=False).history
            found.append([*history.values(), *model.get_weights()])
            assert getattr(model, "steps", 1) == 1
        for mine, own in zip(*found, strict=True):
            np.testing.assert_array_equal(mine, own)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
    "accumulation": lambda: keras.optimizers.AdamW(0.01, gradient_accumulation_steps=2, clipvalue=0.1),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, global_clipnorm=1.0)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_compute_the_very_same(name: str) -> None:
    """Where `compile` is called after optimizing, too."""
    found = []
    for walks in (True, False):
        model = prepared(dropping, walks)
        model.compile(OPTIMIZERS[name](), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        found.append([*used(model), *(each.numpy() for each in model.optimizer.variables)])
    for mine, own in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, own)


def test_activations_may_be_replaced_and_sums_may_be_of_one_map() -> None:
    x = layers.Input((4, 4, 3))
    y = layers.Conv2D(4, 1)(x)
    y = layers.Concatenate()([y, layers.Activation("relu")(layers.Add()([y]))])
    model, image = randomise(keras.Model(x, y)), images(4, 4, 3)
    expected = keras.ops.convert_to_numpy(model(image, training=True))
    optimize_for_training(model)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(image, training=True)), expected, atol=1e-5)
    model.layers[-2].activation = keras.activations.tanh
    found = keras.ops.convert_to_numpy(model(image, training=True))
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(restore(model)(image, training=True)), atol=1e-5)


@pytest.mark.parametrize("walks", [True, False])
def test_a_pass_in_inference_may_come_before_one_in_training(walks: bool) -> None:
    model = randomise(plain())
    image = images(*model.input_shape[1:])
    optimize_for_training(model)
    call = model if walks else functools.partial(type(model).call, model)
    difference = call(keras.ops.convert_to_tensor(image), training=False) - call(
        keras.ops.convert_to_tensor(image), training=True
    )
    (difference**2).sum().backward()
