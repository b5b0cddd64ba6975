"""Layers that are joined into operations of oneDNN's on PyTorch: the same outputs, whatever happens."""

from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_resnet
from keras_resnet import optimize_for_inference
from keras_resnet.architecture.rows import find_row
from keras_resnet.graph import fused_calls
from tests.helpers.nets import assert_close, images, randomise, run, thin

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="only PyTorch's operations are called one by one"),
]
EIGHT = [
    *("resnet18", "resnet50", "resnet50v2", "resnet152"),
    *("resnext50_32x4d", "seresnet50", "resnet50d", "resnetv2_50x1_bit"),
]
OPERATIONS = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")


def net(name: str, dtype: str = "float32", **arguments: Any) -> keras.Model:
    given = {"weights": None, "classes": 5, "classifier_activation": None} | arguments
    row, fields = find_row(name), {}
    if row.groups > 1 or row.norm == "group":  # which divide the channels
        fields["widths"] = tuple(32 * factor for factor in (1, 2, 4, 8))
    return randomise(keras_resnet.ResNet(thin(row, **fields), dtype=dtype, **given))


def exact(name: str, x: np.ndarray, weights: list[np.ndarray], **arguments: Any) -> np.ndarray:
    """What a network gives in float64."""
    model = net(name, "float64", **arguments)
    model.set_weights(weights)
    return run(model, x)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the convolutions that are computed by oneDNN's fused operation, and those by a layer of its own."""
    counted: Counter[str] = Counter()

    def count(name: str) -> None:
        original = getattr(fused_calls.FusedConv, name)

        def counting(self: Any, *arguments: Any) -> Any:
            found = original(self, *arguments)
            counted[name] += found is not None
            return found

        monkeypatch.setattr(fused_calls.FusedConv, name, counting)

    count("_fused")
    count("_by_layers")
    return counted


@pytest.mark.parametrize("name", EIGHT)
@pytest.mark.parametrize(("height", "width", "count"), [(33, 33, 1), (65, 65, 2), (97, 70, 1)])
def test_networks_are_exact(name: str, height: int, width: int, count: int, calls: Counter[str]) -> None:
    """With kernels as they are, and laid out; every convolution is a fused operation."""
    x = images(height, width, count=count)
    model = net(name, input_shape=(None, None, 3))
    expected = exact(name, x, model.get_weights(), input_shape=(None, None, 3))
    optimized = optimize_for_inference(model)
    for _ in range(3):
        assert_close(optimized.predict_on_batch(x), expected, 1e-5)
    convolutions = [layer for layer in optimized.layers if type(layer) is layers.Conv2D]
    assert calls == Counter(_fused=3 * len(convolutions))


@pytest.mark.parametrize("arguments", [{"output_stride": 8}, {"data_format": "channels_first"}])
@pytest.mark.parametrize("name", ["resnet18", "resnet50v2", "seresnet50"])
def test_dilated_and_channels_first_networks_are_exact(name: str, arguments: dict[str, Any]) -> None:
    x = images(65, 65)
    given = x.transpose(0, 3, 1, 2).copy() if "data_format" in arguments else x
    arguments = arguments | {"input_shape": given.shape[1:]}
    model = net(name, **arguments)
    expected = exact(name, given, model.get_weights(), **arguments)
    optimized = optimize_for_inference(model)
    for _ in range(3):
        assert_close(optimized.predict_on_batch(given), expected, 1e-5)


def test_half_precision_takes_the_same_way(calls: Counter[str]) -> None:
    x = images(65, 65)
    model = net("resnet50", "bfloat16", input_shape=(65, 65, 3))
    expected = np.asarray(ops.cast(model(x, training=False), "float32").detach())
    optimized = optimize_for_inference(model)
    for _ in range(3):
        assert_close(np.asarray(optimized.predict_on_batch(x), "float32"), expected, 0.05)
    assert +calls == Counter(_fused=calls["_fused"])
    mixed = optimize_for_inference(net("resnet50", "mixed_bfloat16", input_shape=(65, 65, 3)))
    assert "call" not in vars(mixed)  # Keras casts its weights around each layer


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("error", [AttributeError, RuntimeError, NotImplementedError, TypeError])
def test_an_operation_that_fails_is_done_without(
    operation: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch, calls: Counter[str]
) -> None:
    """Renamed, refused, not there, or of other arguments."""
    import torch

    class Failing:
        def __getattr__(self, name: str) -> Any:
            if name == operation:
                if error is AttributeError:
                    raise AttributeError(name)
                return self
            return getattr(real, name)

        @property
        def binary(self) -> Any:
            return self

        def __call__(self, *arguments: Any) -> Any:
            raise error("no")

    x = images(65, 65)
    model = net("resnet50", input_shape=(65, 65, 3))
    expected, optimized, real = run(model, x), optimize_for_inference(model), torch.ops.mkldnn
    monkeypatch.setattr(torch.ops, "mkldnn", Failing())
    for _ in range(3):
        assert_close(optimized.predict_on_batch(x), expected, 1e-5)
    assert calls["_by_layers"]


def changes() -> dict[str, Any]:
    """Ways to change a model's weights."""
    other = net("resnet50", input_shape=(64, 64, 3))
    other = randomise(optimize_for_inference(other), 5)

    def fit(model: keras.Model) -> None:
        model.compile(keras.optimizers.SGD(1e-3), "mse")
        model.fit(images(), np.zeros((2, 5)), verbose=0)

    def assign(model: keras.Model) -> None:
        for layer in model.layers:
            if isinstance(layer, layers.Conv2D):
                layer.kernel.assign(layer.kernel * 0.9)

    def in_place(model: keras.Model) -> None:
        import torch

        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 4:
                    parameter.mul_(0.9)

    def other_memory(model: keras.Model) -> None:
        for parameter in model.parameters():
            parameter.data = parameter.data * 0.9

    def fused_step(model: keras.Model) -> None:
        import torch

        optimizer = torch.optim.SGD(model.parameters(), 1e-3, fused=True)
        model(images(), training=False).square().mean().backward()
        optimizer.step()

    return {
        "set_weights": lambda model: model.set_weights(other.get_weights()),
        "fit": fit,
        "assign": assign,
        "in place": in_place,
        "other memory": other_memory,
        "fused step": fused_step,
    }


@pytest.mark.parametrize("change", list(changes()))
def test_weights_may_change_at_any_time(change: str, calls: Counter[str]) -> None:
    optimized = optimize_for_inference(net("resnet50", input_shape=(64, 64, 3)))
    x = images()
    for _ in range(3):
        before = optimized.predict_on_batch(x)
    changes()[change](optimized)
    plain = keras.models.clone_model(optimized)
    plain.set_weights(optimized.get_weights())
    calls.clear()
    for _ in range(3):
        assert_close(optimized.predict_on_batch(x), run(plain, x), 1e-5)
    assert +calls == Counter(_fused=calls["_fused"])
    assert np.abs(before - run(plain, x)).max() > 1e-4


def test_load_weights_changes_the_outputs(tmp_path: Any) -> None:
    optimized = optimize_for_inference(net("resnet18", input_shape=(64, 64, 3)))
    other = randomise(optimize_for_inference(net("resnet18", input_shape=(64, 64, 3))), 3)
    other.save_weights(tmp_path / "net.weights.h5")
    for _ in range(3):
        optimized.predict_on_batch(images())
    optimized.load_weights(tmp_path / "net.weights.h5")
    assert_close(optimized.predict_on_batch(images()), run(other, images()), 1e-5)


@pytest.mark.filterwarnings("ignore")  # of torch.jit and torch.compile themselves
def test_what_is_more_than_numbers_is_computed_by_the_layers(calls: Counter[str]) -> None:
    """Gradients, of both modes, vectorised maps, traces, exported programs, and PyTorch's own precision."""
    import torch

    torch_: Any = torch  # whose functions have no types here
    forward_ad = torch_.autograd.forward_ad
    model = net("seresnet50", input_shape=(32, 32, 3))
    optimized = optimize_for_inference(model)
    for variable in optimized.variables:
        if variable.value.is_floating_point():
            variable.value.requires_grad_(False)
    x, v = (torch.from_numpy(images(32, 32, count=count)[:2]) for count in (2, 4))

    def dual(model: keras.Model) -> Any:
        with forward_ad.dual_level(), torch.no_grad():
            return forward_ad.unpack_dual(model(forward_ad.make_dual(x, v))).tangent

    def half(model: keras.Model) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    wanted: dict[str, Any] = {
        "backward": lambda model: torch.autograd.grad(model(y := x.clone().requires_grad_()).sum(), y)[0],
        "grad": lambda model: torch.func.grad(lambda x: model(x).sum())(x),
        "vmap": lambda model: torch.func.vmap(lambda x: model(x[None])[0])(x),
        "jvp": lambda model: torch.func.jvp(model, (x,), (v,))[1],
        "dual": dual,
        "autocast": half,
        "trace": lambda model: torch_.jit.trace(model, x, check_trace=False)(v),
        "export": lambda model: torch.export.export(model, (x,)).module()(v),
        "compile": lambda model: torch.compile(model, backend="eager")(x),
    }
    plain = keras.models.clone_model(optimized)
    plain.set_weights(optimized.get_weights())
    for _ in range(3):
        optimized.predict_on_batch(x.numpy())
    for name, function in wanted.items():
        calls.clear()
        found, expected = function(optimized), function(plain)
        assert not calls, name
        assert found.dtype == expected.dtype
        assert_close(found.float().detach(), expected.float().detach(), 0.1 if name == "autocast" else 1e-4)


def test_maps_that_others_need_stay(calls: Counter[str]) -> None:
    """A sum stands where one map stood only if nobody needs that one."""
    x = keras.Input((12, 12, 4))
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    second = layers.ReLU()(layers.Add()([first, layers.Conv2D(4, 3, padding="same")(first)]))
    third = layers.Add()([second, layers.Conv2D(4, 1, use_bias=False)(second)])
    seen = layers.Identity()(third)
    fourth = layers.ReLU()(layers.Add()([layers.Conv2D(4, 1)(third), third]))
    early = layers.Add()([layers.Conv2D(4, 1)(x), x])
    wide = layers.Add()([layers.GlobalAveragePooling2D(keepdims=True)(fourth), layers.Conv2D(4, 1)(fourth)])
    one = layers.Conv2D(4, 1)(layers.GlobalAveragePooling2D(keepdims=True)(fourth))
    large = layers.ReLU()(layers.Add()([fourth, one]))  # the convolution's map is the smaller one
    twice = layers.Conv2D(4, 1)(fourth)
    doubled = layers.Add()([twice, twice])
    three = layers.Add()([fourth, twice, layers.Conv2D(4, 1)(x)])
    model = randomise(keras.Model(x, [second, seen, fourth, early, wide, large, doubled, three, x]))
    optimized = optimize_for_inference(model)
    assert "call" in vars(optimized)
    given = images(12, 12, 4)
    kept = given.copy()
    for _ in range(3):
        for mine, own in zip(optimized.predict_on_batch(given), model.predict_on_batch(given), strict=True):
            assert_close(mine, own, 1e-5)
    np.testing.assert_array_equal(given, kept)
    assert calls["_fused"]


def test_pads_norms_and_gates_of_every_form_keep_their_outputs() -> None:
    x = keras.Input((13, 10, 4))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    signed = layers.Conv2D(4, 3, padding="same")(y)
    ends = [
        layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(y)),
        layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(signed)),  # zeros are more than some windows
        layers.MaxPooling2D(2, 2)(layers.ZeroPadding2D(2)(y)),  # windows of zeros alone
        layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(((1, 0), (0, 1)))(y)),
        layers.Conv2D(3, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (1, 1)))(y)),
        layers.Conv2D(3, 3, strides=2)(layers.ZeroPadding2D((3, 1))(y)),
        layers.Conv2D(3, 3, padding="same")(layers.ZeroPadding2D(1)(y)),
        layers.Conv2D(3, 3, strides=2, padding="same")(y),
        layers.Conv2D(3, 2, padding="same", dilation_rate=2)(y),
        layers.Conv2D(4, (3, 1), padding="same", dilation_rate=2, groups=2, activation="gelu")(y),
        layers.ReLU(max_value=6)(layers.Conv2D(4, 1)(y)),
        layers.ReLU(negative_slope=0.1)(layers.Conv2D(4, 1)(y)),
        layers.ReLU(threshold=0.1)(layers.BatchNormalization()(layers.ReLU()(y))),
        layers.ReLU()(layers.BatchNormalization(axis=2)(layers.ReLU()(y))),
        layers.ReLU()(layers.BatchNormalization(scale=False)(layers.ReLU()(y))),
        layers.ReLU()(layers.BatchNormalization()(layers.GlobalAveragePooling2D()(layers.ReLU()(y)))),
        layers.ReLU()(layers.GroupNormalization(2)(y)),
    ]
    gate = layers.Conv2D(4, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    for order in ([y, gate], [gate, y]):
        ends.append(layers.ReLU()(layers.Add()([signed, layers.Multiply()(order)])))
        ends.append(layers.ReLU()(layers.Add()([layers.Multiply()(order), gate])))
        ends.append(layers.ReLU()(layers.Add()([layers.Multiply()([*order, signed]), gate])))
    product = layers.Multiply()([y, gate])
    ends += [layers.ReLU()(layers.Add()([signed, product])), product]
    ends.append(layers.ReLU()(layers.Add()([layers.Multiply()([y, gate]), layers.Multiply()([signed, gate])])))
    model = randomise(keras.Model(x, ends))
    optimized = optimize_for_inference(model)
    assert "call" in vars(optimized)
    for _ in range(3):
        for mine, own in zip(optimized.predict_on_batch(images(13, 10, 4)), model(images(13, 10, 4)), strict=True):
            assert_close(mine, keras.ops.convert_to_numpy(own), 1e-5)


def test_batches_of_every_size_take_turns(calls: Counter[str]) -> None:
    """No more than two layouts of a kernel are kept; an empty batch has empty outputs."""
    model = net("resnet18", input_shape=(None, None, 3))
    optimized = optimize_for_inference(model)
    given = [images(*size, count=count) for size in ((32, 32), (65, 33), (96, 32)) for count in (1, 3)]
    for x in (*given, *given[::-1], *given):
        for _ in range(2):
            assert_close(optimized.predict_on_batch(x), run(model, x), 1e-5)
    assert not calls["_by_layers"]
    import torch

    with torch.no_grad():
        assert tuple(optimized(images(32, 32)[:0]).shape) == (0, 5)


def test_layers_that_are_quantized_or_watched_afterwards_are_keras_own(calls: Counter[str]) -> None:
    optimized, heard = optimize_for_inference(net("resnet18", input_shape=(64, 64, 3))), Counter[str]()
    optimized.predict_on_batch(images())
    layer = next(layer for layer in optimized.layers if type(layer) is layers.Conv2D)
    hook = layer.register_forward_hook(lambda *_: heard.update(["hook"]))
    calls.clear()
    optimized.predict_on_batch(images())
    assert heard["hook"] == 1
    hook.remove()
    expected = optimized.predict_on_batch(images())
    next(layer for layer in optimized.layers if type(layer) is layers.Dense).quantize("int8")
    assert_close(optimized.predict_on_batch(images()), expected, 0.05)


def test_lora_and_restore_take_the_layers_way(calls: Counter[str]) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.ReLU()])
    optimized = optimize_for_inference(model)
    conv = next(layer for layer in optimized.layers if type(layer) is layers.Conv2D)
    conv.enable_lora(2)
    conv.lora_kernel_b.assign(np.ones(conv.lora_kernel_b.shape))
    expected = run(optimized, images(8, 8))
    for _ in range(3):
        assert_close(optimized.predict_on_batch(images(8, 8)), expected, 1e-5)
    assert not calls["_fused"]
    keras_resnet.restore(optimized)
    assert "call" not in vars(optimized)
    assert_close(optimized.predict_on_batch(images(8, 8)), expected, 1e-5)


def compared(model: keras.Model, x: np.ndarray) -> None:
    """Compares an optimized model with what its layers compute, thrice, as kernels are laid out meanwhile."""
    model = randomise(model)
    expected, fast = model.predict_on_batch(x), optimize_for_inference(model)
    for _ in range(3):
        assert_close(fast.predict_on_batch(x), expected, 1e-5)


def test_maps_of_fewer_axes_are_added_as_keras_adds_them() -> None:
    x = layers.Input((4, 4, 8))
    rows, vector = layers.Dense(8)(layers.Reshape((4, 32))(x)), layers.Dense(8)(layers.Flatten()(x))
    compared(keras.Model(x, layers.ReLU()(layers.Add()([rows, vector]))), images(4, 4, 8, count=4))
    gated = layers.Multiply()([rows, vector])
    compared(keras.Model(x, layers.ReLU()(layers.Add()([gated, rows]))), images(4, 4, 8, count=4))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_no_number_shows(number: float) -> None:
    x, image = layers.Input((8, 8, 4)), images(8, 8, 4)
    image[0, 3, 3, 1] = number
    y = layers.Conv2D(4, 3, activation="relu")(x)
    model = randomise(keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(y))))
    expected, fast = model.predict_on_batch(image), optimize_for_inference(model)
    np.testing.assert_array_equal(np.isfinite(fast.predict_on_batch(image)), np.isfinite(expected))


@pytest.mark.parametrize("place", [0, 1])
def test_a_weight_that_is_no_number_shows(place: int) -> None:
    """In a kernel or a bias, from the start or later."""
    x = layers.Input((8, 8, 4))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    model = randomise(keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(y))))
    fast, image = optimize_for_inference(model), images(8, 8, 4)
    for _ in range(3):
        assert np.isfinite(fast.predict_on_batch(image)).all()
    weight = next(layer for layer in fast.layers if type(layer) is layers.Conv2D).weights[place]
    value = weight.numpy().copy()
    value.flat[0] = np.nan
    weight.assign(value)
    for _ in range(3):
        assert np.isnan(fast.predict_on_batch(image)).all()


def test_an_activation_may_be_replaced_afterwards() -> None:
    x = layers.Input((8, 8, 4))
    y = layers.Activation("relu")(layers.Add()([layers.Conv2D(4, 3, padding="same")(x), layers.Conv2D(4, 1)(x)]))
    y = layers.Activation("relu")(layers.Conv2D(4, 3)(y))
    y = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(y))
    fast, image = optimize_for_inference(randomise(keras.Model(x, y))), images(8, 8, 4)
    for layer in fast.layers:
        if getattr(layer, "activation", None) is keras.activations.relu:
            layer.activation = keras.activations.tanh
    found = fast.predict_on_batch(image)
    assert_close(found, keras_resnet.restore(fast).predict_on_batch(image), 1e-5)


@pytest.mark.parametrize("padding", [((0, 1), (0, 1)), ((2, 2), (2, 2))])
@pytest.mark.parametrize("name", ["before_conv", "before_pool"])
def test_a_pad_may_change_afterwards(name: str, padding: Any) -> None:
    x = keras.Input((9, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu")(layers.ZeroPadding2D(1, name="before_conv")(x))
    y = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1, name="before_pool")(y))
    model = randomise(keras.Model(x, layers.GlobalAveragePooling2D()(y)))
    optimized, given = optimize_for_inference(model), images(9, 8)
    optimized.predict_on_batch(given)
    for each in (model, optimized):
        each.get_layer(name).padding = padding
    assert_close(optimized.predict_on_batch(given), run(model, given), 1e-5)
