"""Networks of ours and odd models that are walked in training on PyTorch, beside the same ones that are not."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_resnet
from keras_resnet import optimize_for_training, restore
from keras_resnet.architecture.rows import find_row
from keras_resnet.graph import optimize
from tests.helpers.nets import assert_close, images, randomise, run, thin

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="other backends compile a model as a whole"),
]


class Halved(layers.Layer):  # type: ignore[misc]
    """A layer of an own class, which sees the mode and adds a loss."""

    def call(self, x: Any, training: bool | None = None) -> Any:
        self.add_loss(ops.mean(ops.square(x)))
        return x / (2 if training else 1)


class Masked(layers.Layer):  # type: ignore[misc]
    """Hangs a mask on its maps."""

    def call(self, x: Any) -> Any:
        return x

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return ops.max(x, -1) > 0


def shallow(name: str = "ResNet50", widths: tuple[int, ...] = (8, 16), **arguments: Any) -> keras.Model:
    variant = dataclasses.replace(thin(find_row(name)), units=(1, 1), widths=widths)
    given = {"weights": None, "classes": 5, "input_shape": (32, 32, 3)} | arguments
    return randomise(keras_resnet.ResNet(variant, **given))


def small(*between: Callable[[Any], Any], ends: int = 1, **options: Any) -> keras.Model:
    """A convolution, a norm and a ReLU, what comes between, and a classifier."""
    x = keras.Input((16, 16, 3))
    y = layers.Conv2D(8, 3, padding="same", **options)(x)
    y = layers.ReLU()(layers.BatchNormalization(momentum=0.7)(y))
    for layer in between:
        y = layer(y)
    y = layers.Activation("relu")(
        layers.Add()([y, layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(y))])
    )
    pooled = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(y))
    scores = [layers.Dense(5, activation="softmax", name=f"scores{index}")(pooled) for index in range(ends)]
    return randomise(keras.Model(x, scores[0] if ends == 1 else scores))


def frozen() -> keras.Model:
    model = shallow()
    for layer in model.layers[: len(model.layers) // 2]:
        layer.trainable = False
    return model


def transferred(**options: Any) -> keras.Model:
    """A network in a network, whose norms keep their statistics or not."""
    x = keras.Input((32, 32, 3))
    y = shallow(include_top=False)(layers.Rescaling(0.5)(x), **options)
    y = layers.Dropout(0.3, seed=3)(layers.GlobalAveragePooling2D()(y))
    return randomise(keras.Model(x, layers.Dense(5, activation="softmax")(y)))


KINDS: dict[str, Callable[[], keras.Model]] = {
    "plain": shallow,
    "channels first": lambda: shallow(data_format="channels_first", input_shape=(3, 32, 32)),
    "mixed": lambda: shallow(dtype="mixed_bfloat16"),
    "half": lambda: shallow(dtype="bfloat16"),
    "double": lambda: shallow(dtype="float64"),
    "preactivated": lambda: shallow("ResNet50V2"),
    "gated": lambda: shallow("seresnet50", widths=(32, 64)),
    "frozen": frozen,
    "drop path": lambda: shallow(drop_path=0.4),
    "dropout": lambda: small(layers.Dropout(0.4, seed=1), layers.SpatialDropout2D(0.3, seed=2)),
    "regularised": lambda: small(kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
    "constrained": lambda: small(kernel_constraint="max_norm"),
    "own layer": lambda: small(Halved()),
    "lambda": lambda: small(layers.Lambda(lambda x: x * 0.5), lambda y: y + 1),
    "slice": lambda: small(lambda y: y[:, 1:]),
    "masked": lambda: small(Masked(), layers.BatchNormalization()),
    "pad": lambda: small(lambda y: ops.pad(y, ((0, 0), (1, 2), (0, 1), (0, 0)))),
    "other norms": lambda: small(
        layers.GroupNormalization(2), layers.LayerNormalization(), layers.BatchNormalization(scale=False)
    ),
    "several ends": lambda: small(ends=2),
    "transferred": transferred,
    "transferred in inference": lambda: transferred(training=False),
    "sequential": lambda: randomise(
        keras.Sequential(
            [
                keras.Input((16, 16, 3)),
                layers.Conv2D(4, 3),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(5, activation="softmax"),
            ]
        )
    ),
    "shared": lambda: (lambda layer: small(layer, layer))(layers.Conv2D(8, 1)),
}


@contextmanager
def without_walk() -> Iterator[None]:
    module: Any = optimize
    original = module.walk_graphs, module.quicken_step
    module.walk_graphs = module.quicken_step = lambda model: False
    yield
    module.walk_graphs, module.quicken_step = original


def trained(model: keras.Model) -> list[Any]:
    """What three steps, a validation and a prediction tell, and what they leave."""
    shape = model.input_shape[1:]
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    y: Any = np.arange(8) % 5
    y = [y] * len(model.outputs) if len(model.outputs) > 1 else y
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=[["accuracy"]] * len(model.outputs))
    keras.utils.set_random_seed(7)
    found: list[Any] = [model.train_on_batch(x, y) for _ in range(2)]
    found.append(list(model.fit(x, y, batch_size=4, verbose=0).history.values()))
    found.append(model.evaluate(x, y, verbose=0))
    found.append(model.predict(x, verbose=0))
    found += [np.asarray(each, "float64") for each in model.get_weights()]
    found += [np.asarray(ops.convert_to_numpy(each), "float64") for each in model.optimizer.variables]
    return [np.asarray(part, "float64") for each in found for part in keras.tree.flatten(each)]


def assert_same(first: list[Any], second: list[Any], tolerance: float = 1e-5) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * max(np.abs(other).max(initial=0), 1e-2))


def optimized_pair(make: Callable[[], keras.Model]) -> tuple[keras.Model, keras.Model]:
    """Two models that are optimized, one without the walk."""
    pair = []
    for walks in (False, True):
        keras.utils.set_random_seed(0)
        model = make()
        model.compile("sgd", "sparse_categorical_crossentropy")
        if walks:
            optimize_for_training(model)
        else:
            with without_walk():
                optimize_for_training(model)
        pair.append(model)
    return pair[0], pair[1]


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_same(kind: str) -> None:
    usual, walked = (trained(model) for model in optimized_pair(KINDS[kind]))
    assert_same(walked, usual, 0.02 if kind in ("mixed", "half") else 1e-5)


@pytest.mark.parametrize("kind", ["plain", "mixed", "preactivated", "gated", "drop path", "frozen", "several ends"])
def test_keras_stands_around_no_layer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But the model, its classifiers, and what draws numbers."""
    _, model = optimized_pair(KINDS[kind])
    x = images(*model.input_shape[1:3])
    model.train_on_batch(x, [np.arange(2)] * len(model.outputs) if len(model.outputs) > 1 else np.arange(2))
    called: Counter[str] = Counter()
    original = layers.Layer.__call__

    def counting(self: Any, *args: Any, **options: Any) -> Any:
        called[type(self).__name__] += 1
        return original(self, *args, **options)

    monkeypatch.setattr(layers.Layer, "__call__", counting)
    import torch

    model(torch.from_numpy(x), training=True)
    dense = sum(isinstance(layer, layers.Dense) for layer in model.layers)
    assert called.total() <= 1 + dense + (4 if kind == "drop path" else 0)


def test_maps_that_others_need_stay() -> None:
    """A sum or a ReLU stands where its map stood only if nobody else needs that one."""
    import torch

    def model() -> keras.Model:
        x = keras.Input((6, 6, 3))
        conv = layers.Conv2D(4, 3, padding="same")(x)
        norm = layers.BatchNormalization()(conv)
        seen = layers.Identity()(norm)
        first = layers.ReLU()(norm)
        second = layers.ReLU()(layers.Add()([conv, layers.BatchNormalization()(layers.Conv2D(4, 1)(first))]))
        wide = layers.GlobalAveragePooling2D(keepdims=True)(second)
        third = layers.Add()([layers.Conv2D(4, 1)(second), layers.Conv2D(4, 1)(wide)])
        fourth = layers.Add()([layers.Conv2D(4, 1)(wide), third])
        patched = layers.BatchNormalization(name="patched")(fourth)
        return randomise(keras.Model(x, [seen, layers.ReLU()(patched), fourth, second]))

    x, found = torch.from_numpy(images(6, 6)), []
    for walks in (False, True):
        with nullcontext() if walks else without_walk():
            net = optimize_for_training(model())
        object.__setattr__(net.get_layer("patched"), "call", lambda inputs, training=None, mask=None: inputs)
        outputs = net(x, training=True)
        sum(y.square().sum() for y in outputs).backward()
        found.append([*(y.detach() for y in outputs), *(weight.value.grad for weight in net.trainable_weights)])
    for mine, own in zip(found[1], found[0], strict=True):
        assert (mine is None) == (own is None)
        if own is not None:
            np.testing.assert_allclose(mine, own, rtol=1e-4, atol=1e-5)


def test_hooks_masks_and_other_inputs_are_keras_own() -> None:
    import torch

    usual, walked = optimized_pair(shallow)
    heard: Counter[str] = Counter()
    layer = walked.get_layer("conv2_block1_1_conv")
    hook = layer.register_forward_hook(lambda *_: heard.update(["hook"]))
    for model in (walked, usual):
        model(images(32, 32), training=True)
    assert heard["hook"] == 1
    hook.remove()
    with pytest.raises(ValueError, match="expected shape"):
        walked(images(31, 32, channels=2))
    for x in (images(32, 32).astype("float64"), torch.from_numpy(images(32, 32))):
        assert_close(run(walked, x), run(usual, x), 1e-5)
    plain = restore(optimize_for_training(shallow()))
    walked.set_weights(plain.get_weights())
    assert "call" not in vars(plain)
    x = torch.from_numpy(images(32, 32)).requires_grad_()
    gradients = [torch.autograd.grad(model(x, training=True).square().sum(), x)[0] for model in (plain, walked)]
    assert_close(gradients[1], gradients[0], 1e-4)


def test_models_that_are_more_than_a_graph_of_one_map_stay() -> None:
    x, y = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same")
    for model in (
        keras.Model([x, y], layers.Add()([x, y])),
        keras.Model([x], layers.Conv2D(3, 1)(x)),
        keras.Model(x, conv(conv(x))),
        keras.Model(x, layers.Add()([x, x[:, :, 1:2]])),
    ):
        randomise(model)
        given = [images(8, 8)] * len(model.inputs) if isinstance(model.input, list) else images(8, 8)
        expected = run(model, given)
        optimize_for_training(model)
        assert_close(run(model, given), expected, 1e-5)


def test_what_changes_after_optimizing_counts() -> None:
    """Layers that are frozen, and settings of the mode."""
    usual, walked = optimized_pair(lambda: small(layers.Dropout(0.5, seed=1)))
    for model in (usual, walked):
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.9
    assert_same(trained(walked), trained(usual), 1e-4)


def test_a_model_is_quantized_afterwards() -> None:
    _, walked = optimized_pair(shallow)
    expected = run(walked, images(32, 32))
    next(layer for layer in walked.layers if type(layer) is layers.Dense).quantize("int8")
    assert_close(run(walked, images(32, 32)), expected, 0.05)


def test_a_subclass_keeps_its_own_step() -> None:
    class Doubled(keras.Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            return super().train_step((data[0] * 2, *data[1:]))

    def make() -> keras.Model:
        model = small()
        return Doubled(model.input, model.output)

    usual, walked = (trained(model) for model in optimized_pair(make))
    assert_same(walked, usual, 1e-4)


def padded(
    *before: layers.Layer, pad: Any = 1, size: int = 3, ends: tuple[str, ...] = (), **options: Any
) -> keras.Model:
    """A max pool with zeros before it; `ends` are more outputs."""
    x = keras.Input((9, 8, 3))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, name="first")(x))
    for layer in before:
        y = layer(y)
    found = {"before": y}
    found["pad"] = layers.ZeroPadding2D(pad, name="pad", **options)(y)
    z = layers.MaxPooling2D(size, 2, name="pool", **options)(found["pad"])
    z = layers.Dense(5)(layers.GlobalAveragePooling2D()(z))
    return randomise(keras.Model(x, [*(layers.Flatten()(found[name]) for name in ends), z]))


def output_before() -> keras.Model:
    """The map of the ReLU and that of the pad are outputs themselves."""
    model = padded(layers.ReLU(name="relu"))
    return keras.Model(model.input, [model.get_layer(name).output for name in ("relu", "pad")] + [model.output])


@pytest.mark.parametrize(
    ("make", "joined"),
    [
        (lambda: padded(layers.ReLU()), True),
        (lambda: padded(layers.Activation("relu"), pad=(1, 0)), True),
        (lambda: padded(layers.ReLU(), pad=2, size=5), True),
        (lambda: padded(layers.ReLU(), ends=("before",)), True),
        (lambda: padded(layers.ReLU(), pad=2), False),
        (lambda: padded(layers.ReLU(), pad=((0, 1), (0, 1))), False),
        (lambda: padded(layers.ReLU(), ends=("pad",)), False),
        (lambda: padded(layers.ReLU(negative_slope=0.1)), False),
        (lambda: padded(layers.ReLU(), dtype="float16"), False),
        (lambda: padded(layers.ReLU(dtype="float16")), False),
        (lambda: padded(), False),
        (output_before, False),
    ],
)
def test_a_max_pool_of_a_relu_pads_itself(
    make: Callable[[], keras.Model], joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    x = torch.from_numpy(images(9, 8))
    found = []
    for model in optimized_pair(make):
        outputs = keras.tree.flatten(model(x, training=True))
        sum(y.float().square().sum() for y in outputs).backward()
        found.append([*(y.detach() for y in outputs), *(weight.value.grad for weight in model.trainable_weights)])
    for mine, own in zip(found[1], found[0], strict=True):
        np.testing.assert_array_equal(mine, own)
    called: Counter[str] = Counter()
    original = layers.ZeroPadding2D.call
    monkeypatch.setattr(layers.ZeroPadding2D, "call", lambda self, x: called.update(["pad"]) or original(self, x))
    model(x, training=True)
    assert called.total() == (0 if joined else 1)


def test_pads_pools_and_relus_that_change_count() -> None:
    """By a `call` of somebody's own, a hook, or another setting."""
    import torch

    x = torch.from_numpy(images(9, 8))

    def pair() -> tuple[keras.Model, keras.Model]:
        return optimized_pair(lambda: padded(layers.ReLU(name="relu")))

    def assert_alike(usual: keras.Model, walked: keras.Model) -> None:
        expected, found = (model(x, training=True).detach().numpy() for model in (usual, walked))
        np.testing.assert_array_equal(found, expected)

    for name, function in {
        "pad": lambda inputs: inputs - 1,
        "pool": lambda inputs: inputs[:, ::2, ::2],
        "relu": lambda inputs: inputs,
    }.items():
        usual, walked = pair()
        for model in (usual, walked):
            object.__setattr__(model.get_layer(name), "call", function)
        assert_alike(usual, walked)
        usual, walked = pair()
        seen: list[str] = []
        walked.get_layer(name).register_forward_hook(lambda *_, seen=seen, name=name: seen.append(name))
        assert_alike(usual, walked)
        assert seen == [name]
    for padding in (((0, 1), (0, 1)), ((2, 2), (2, 2))):
        usual, walked = pair()
        for model in (usual, walked):
            model.get_layer("pad").padding = padding
        assert_alike(usual, walked)
