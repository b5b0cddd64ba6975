"""keras.applications, in process: the same graph, the same numbers, the same refusals."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import resnet as keras_resnets
from keras.src.legacy.saving import legacy_h5_format

import keras_resnet
from keras_resnet.architecture.rows import RESNET50, RESNET50V2
from tests.helpers.keras_nets import keras_formula
from tests.helpers.nets import (
    SIX,
    UNITS,
    WIDTHS,
    assert_close,
    assert_same_weights,
    data_format,
    dtype_policy,
    images,
    randomise,
    run,
    thin,
)

GOLDEN = Path(__file__).parents[1] / "goldens" / "keras_applications" / "resnext50"
FILES = (".keras", ".weights.h5", ".h5")
once = pytest.mark.one_backend
DEFAULTS: dict[str, Any] = {"classes": 7, "classifier_activation": None}  # a softmax hides differences


def thin_peer(version: int, **arguments: Any) -> keras.Model:
    """A thin network of keras.applications' own code."""
    v2 = version == 2
    stack = keras_resnets.stack_residual_blocks_v2 if v2 else keras_resnets.stack_residual_blocks_v1

    def stack_fn(x: Any) -> Any:
        for stage, (units, width) in enumerate(zip(UNITS, WIDTHS, strict=True)):
            unstrided = stage == (len(UNITS) - 1 if v2 else 0)
            x = stack(x, width, units, stride1=1 if unstrided else 2, name=f"conv{stage + 2}")
        return x

    defaults = {"include_top": True, "weights": None} | DEFAULTS
    return keras_resnets.ResNet(stack_fn, preact=v2, use_bias=True, **defaults | arguments)


def thin_ours(version: int, **arguments: Any) -> keras.Model:
    return keras_resnet.ResNet(thin(RESNET50V2 if version == 2 else RESNET50), **DEFAULTS | arguments)


def given_names(model: keras.Model) -> list[str | None]:
    """Names that keras.applications gives itself; inputs and v2's shortcut pools it leaves to running counters."""
    counted = (keras.layers.InputLayer, keras.layers.MaxPooling2D)
    return [None if isinstance(layer, counted) and layer.name != "pool1_pool" else layer.name for layer in model.layers]


def edges(model: keras.Model) -> list[list[int]]:
    """For each layer the positions of those it reads, in order."""
    position = {layer: index for index, layer in enumerate(model.layers)}
    return [
        [position[tensor._keras_history.operation] for tensor in tensors(layer.input)]
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def tensors(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def assert_same_graph(ours: keras.Model, theirs: keras.Model) -> None:
    assert given_names(ours) == given_names(theirs)
    assert edges(ours) == edges(theirs)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert type(mine) is type(other)
        configs = (mine.get_config(), other.get_config())
        for config in configs:
            config.pop("name")
        assert configs[0] == configs[1], mine.name  # initialisers, epsilon, strides, padding ...
        assert mine.trainable == other.trainable
    described = [[(w.name, tuple(w.shape), w.trainable) for w in model.weights] for model in (ours, theirs)]
    assert described[0] == described[1]
    assert ours.count_params() == theirs.count_params()


@once
@pytest.mark.parametrize("name", SIX)
def test_the_six_are_the_same_graph_and_give_the_same_logits_and_features(name: str) -> None:
    theirs = randomise(getattr(keras.applications, name)(weights=None, classifier_activation=None))
    ours = getattr(keras_resnet, name)(weights=None, classifier_activation=None)
    assert_same_graph(ours, theirs)
    assert ours.name == theirs.name
    ours.set_weights(theirs.get_weights())
    x = images(224, 224, count=1)
    assert_close(run(ours, x), run(theirs, x), 1e-6)

    features = getattr(keras_resnet, name)(False, None)
    their_features = getattr(keras.applications, name)(False, None)
    assert features.output_shape == their_features.output_shape
    for model in (features, their_features):
        model.set_weights(theirs.get_weights()[:-2])
    x = images(65, 70, count=1)
    assert_close(run(features, x), run(their_features, x), 1e-6)


@once
@pytest.mark.parametrize("name", ["ResNet50", "ResNet50V2"])
def test_training_mode_and_a_step_of_sgd_are_the_same(name: str) -> None:
    compare_training(
        getattr(keras_resnet, name)(weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None),
        getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None),
    )


@pytest.mark.parametrize("version", [1, 2])
def test_thin_peers_agree_in_graph_inference_and_training(version: int) -> None:
    for size in ((64, 64, 3), (65, 65, 3)):
        ours, theirs = (build(version, input_shape=size) for build in (thin_ours, thin_peer))
        assert_same_graph(ours, theirs)
        ours.set_weights(randomise(theirs).get_weights())
        assert_close(run(ours, images(size[0], size[1])), run(theirs, images(size[0], size[1])), 1e-6)
    compare_training(ours, theirs)


def compare_training(ours: keras.Model, theirs: keras.Model) -> None:
    """From the same weights: outputs in training mode, then one step of plain SGD."""
    size = ours.input_shape[1:3]
    x, y = images(size[0], size[1], count=4), np.arange(4) % 7
    randomise(theirs)
    for model in (ours, theirs):
        for layer in model.layers:  # statistics as a batch has them, so that a step of this rate is a sane one
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.gamma.assign(np.full(layer.gamma.shape, 0.3, "float32"))
    before = theirs.get_weights()
    ours.set_weights(before)
    assert_close(run(ours, x, training=True), run(theirs, x, training=True), 1e-4)
    assert_same_weights(ours, theirs, 1e-4)  # the moving statistics
    for model in (ours, theirs):
        model.set_weights(before)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01), loss, run_eagerly=True)
        model.train_on_batch(x, y)
    moved = [np.abs(w - b).max() for w, b in zip(theirs.get_weights(), before, strict=True)]
    assert np.median(moved) > 1e-5
    assert_same_weights(ours, theirs, 1e-4)
    assert_close(run(ours, x), run(theirs, x), 1e-4)


def save(model: keras.Model, path: Path) -> None:
    """Writes a file as Keras does; a plain .h5 as the topological one of keras.applications."""
    if path.name.endswith((".keras", ".weights.h5")):
        (model.save if path.suffix == ".keras" else model.save_weights)(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("version", [1, 2])
def test_files_of_keras_applications_load(version: int, suffix: str, tmp_path: Path) -> None:
    theirs = randomise(thin_peer(version, input_shape=(64, 64, 3)))
    save(theirs, tmp_path / f"theirs{suffix}")
    by_method = thin_ours(version, input_shape=(64, 64, 3))
    by_method.load_weights(tmp_path / f"theirs{suffix}")
    by_argument = thin_ours(version, input_shape=(64, 64, 3), weights=str(tmp_path / f"theirs{suffix}"))
    for ours in (by_method, by_argument):
        assert_same_weights(ours, theirs, 0)
    assert_close(run(by_argument, images()), run(theirs, images()), 1e-6)


@once
@pytest.mark.parametrize("name", ["ResNet50", "ResNet50V2"])
def test_a_full_topological_file_loads_through_the_named_builder(name: str, tmp_path: Path) -> None:
    theirs = randomise(getattr(keras.applications, name)(weights=None, include_top=False))
    save(theirs, tmp_path / "weights.h5")
    assert_same_weights(getattr(keras_resnet, name)(False, tmp_path / "weights.h5"), theirs, 0)


@once
def test_ours_opens_in_keras_applications_too(tmp_path: Path) -> None:
    ours = randomise(thin_ours(1))
    for suffix in FILES:
        save(ours, tmp_path / f"ours{suffix}")
        theirs = thin_peer(1, weights=str(tmp_path / f"ours{suffix}"))
        assert_same_weights(theirs, ours, 0)


def resnext_keys() -> dict[str, list[int]]:
    """Names and shapes of the variables of keras-applications' ResNeXt50, in its order."""
    found: dict[str, list[int]] = json.loads(GOLDEN.with_suffix(".keys.json").read_text())
    return found


def grouped(depthwise: Any) -> Any:
    """The kernel of one grouped convolution that is keras-applications' depthwise one, of whose outputs groups sum."""
    multiplier = depthwise.shape[3]
    outputs = np.arange(depthwise.shape[2])
    inputs = outputs[None] // multiplier * multiplier + np.arange(multiplier)[:, None]
    return depthwise[:, :, inputs, outputs[None] % multiplier]


@once
def test_resnext_has_the_weights_of_keras_applications_in_its_order_and_gives_its_numbers() -> None:
    keys = resnext_keys()
    ours = keras_resnet.ResNeXt50(weights=None, input_shape=(None, None, 3), classifier_activation=None)
    assert ours.name == "resnext50"
    names = [name.replace("depthwise_kernel", "kernel").replace("probs/", "predictions/") for name in keys]
    assert [weight.path for weight in ours.weights] == names
    values = [keras_formula(name, shape) for name, shape in keys.items()]
    ours.set_weights([grouped(value) if "depthwise" in key else value for key, value in zip(keys, values, strict=True)])
    features = keras.Model(ours.input, ours.get_layer("avg_pool").output)
    with np.load(GOLDEN.with_suffix(".npz")) as golden:
        for height, width in ((64, 64), (65, 65), (97, 70)):
            x = np.random.RandomState(1).uniform(-1, 1, (2, 3, height, width)).astype("f4")
            x = np.moveaxis(x, 1, -1)
            assert_close(run(ours, x), golden[f"logits_{height}x{width}"], 1e-5)
            assert_close(run(features, x), golden[f"features_mean_{height}x{width}"], 1e-5)


@once
@pytest.mark.parametrize(("name", "units"), [("ResNeXt50", (3, 4, 6, 3)), ("ResNeXt101", (3, 4, 23, 3))])
def test_resnext_has_the_layers_and_arguments_of_keras_applications(name: str, units: tuple[int, ...]) -> None:
    """As its code has them: `block3` of `resnet_common`, but for the three layers that sum groups."""
    theirs = ["conv1_pad", "conv1_conv", "conv1_bn", "conv1_relu", "pool1_pad", "pool1_pool"]
    for stage, count in enumerate(units):
        for index in range(count):
            first = index == 0
            ends = ["1_conv", "1_bn", "1_relu", "2_pad", "2_conv", "2_bn", "2_relu"]
            ends += ["0_conv"] * first + ["3_conv"] + ["0_bn"] * first + ["3_bn", "add", "out"]
            theirs += [f"conv{stage + 2}_block{index + 1}_{end}" for end in ends]
    build = getattr(keras_resnet, name)
    body = build(False, None)
    assert [layer.name for layer in body.layers[1:]] == theirs
    assert [layer.strides for layer in body.layers if layer.name.endswith("_block1_2_conv")] == [(1, 1), *[(2, 2)] * 3]
    assert {layer.epsilon for layer in body.layers if layer.name.endswith("_bn")} == {1.001e-5}
    assert not any(layer.use_bias for layer in body.layers if layer.name.endswith("_conv"))
    assert [layer.name for layer in build(False, None, None, (64, 64, 3), "max").layers[-1:]] == ["max_pool"]
    arguments = [(key, each.default) for key, each in inspect.signature(build).parameters.items()]
    expected = {"include_top": True, "weights": "imagenet", "input_tensor": None, "input_shape": None, "pooling": None}
    assert arguments[:6] == [*expected.items(), ("classes", 1000)]
    assert build(True, None, None, None, None, 7).name == name.lower()


@once
def test_the_module_of_resnext_scales_as_torch() -> None:
    from keras_resnet.resnext import ResNeXt50, ResNeXt101, decode_predictions, preprocess_input

    assert (ResNeXt50, ResNeXt101) == (keras_resnet.ResNeXt50, keras_resnet.ResNeXt101)
    assert decode_predictions is keras_resnet.resnet.decode_predictions
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype("float32")
    theirs = keras.src.applications.imagenet_utils.preprocess_input
    np.testing.assert_allclose(preprocess_input(x), theirs(x.copy(), mode="torch"), atol=1e-5)
    first = np.moveaxis(x, -1, 1)
    scaled = theirs(first.copy(), data_format="channels_first", mode="torch")
    np.testing.assert_allclose(preprocess_input(first, "channels_first"), scaled, atol=1e-5)


@once
@pytest.mark.parametrize("name", SIX)
def test_arguments_their_order_and_their_defaults_are_the_same(name: str) -> None:
    theirs = inspect.signature(getattr(keras.applications, name)).parameters
    ours = inspect.signature(getattr(keras_resnet, name)).parameters
    positional = {key: p for key, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert [(key, p.default) for key, p in positional.items()] == [(key, p.default) for key, p in theirs.items()]


REFUSED: list[dict[str, Any]] = [
    {"input_shape": (31, 32, 3)},
    {"input_shape": (32, 31, 3), "include_top": False},
    {"input_shape": (32, 32)},
    {"input_shape": (1, 64, 64, 3)},
    {"input_shape": (-1, 64, 3)},
    {"input_shape": (32.5, 40, 3)},
    {"input_shape": (64, 64, None)},
    {"input_shape": (31, 31, 3), "input_tensor": "input"},
    {"input_tensor": "array"},
    {"input_tensor": "rank 3"},
    {"input_tensor": "string"},
    {"classes": 0},
    {"classes": -1},
    {"classes": 2.0},
    {"classes": "10"},
    {"classifier_activation": "softmacks"},
    {"classifier_activation": 3},
    {"weights": "nope"},
    {"weights": ""},
    {"weights": "imagenet", "classes": 10},
    {"weights": "imagenet", "classifier_activation": "relu"},
    {"name": "a/b"},
    {"name": 3},
    {"output": 3},
]


@once
@pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels")  # keras.applications'
@pytest.mark.parametrize("arguments", REFUSED, ids=str)
def test_what_it_refuses_ours_refuses_with_the_same_exception(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {
        "input": keras.Input((64, 64, 3)),
        "rank 3": keras.Input((64, 3)),
        "array": np.zeros((1, 64, 64, 3)),
        "string": "image",
    }
    arguments = {"weights": None} | arguments
    if "input_tensor" in arguments:
        arguments["input_tensor"] = tensors[arguments["input_tensor"]]

    def refusal(build: Callable[..., keras.Model]) -> type[BaseException]:
        with pytest.raises(Exception) as raised:  # noqa: PT011  (which one is the question)
            build(**arguments)
        return raised.type

    monkeypatch.setattr(keras.utils, "get_file", no_download)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_download)
    assert refusal(keras_resnet.ResNet50) is refusal(keras.applications.ResNet50)


ACCEPTED: dict[str, Any] = {
    "list": lambda: [64, 48, 3],
    "NumPy ints": lambda: tuple(np.array([64, 48, 3])),
    "tensor's shape": lambda: keras.ops.zeros((1, 64, 48, 3)).shape[1:],
    "empty": lambda: (),
    "None": lambda: None,
}


@pytest.mark.parametrize("shape", ACCEPTED)
def test_shapes_that_it_takes_ours_takes(shape: str) -> None:
    arguments = {"weights": None, "include_top": False, "input_shape": ACCEPTED[shape]()}
    assert keras_resnet.ResNet50(**arguments).input_shape == keras.applications.ResNet50(**arguments).input_shape


def no_download(*_: object, **__: object) -> None:
    pytest.fail("tried to download")


@once
def test_positional_calls_are_the_same() -> None:
    arguments = (True, None, None, (64, 48, 3), None, 5, None, "mine")
    ours, theirs = keras_resnet.ResNet50V2(*arguments), keras.applications.ResNet50V2(*arguments)
    assert (ours.name, ours.input_shape, ours.output_shape) == (theirs.name, theirs.input_shape, theirs.output_shape)


@once
@pytest.mark.parametrize("pooling", [None, "avg", "max"])
@pytest.mark.parametrize("version", [1, 2])
def test_pooling_ends_in_the_same_layer(version: int, pooling: str | None) -> None:
    ours, theirs = (
        build(version, include_top=False, pooling=pooling, input_shape=(64, 64, 3)) for build in (thin_ours, thin_peer)
    )
    assert_same_graph(ours, theirs)
    ours.set_weights(randomise(theirs).get_weights())
    assert_close(run(ours, images()), run(theirs, images()), 1e-6)


@once
@pytest.mark.parametrize("version", [1, 2])
def test_the_global_data_format_is_read_at_the_call(version: int) -> None:
    with data_format("channels_first"):
        ours, theirs = (build(version, input_shape=(3, 64, 64)) for build in (thin_ours, thin_peer))
        assert keras_resnet.ResNet50(weights=None).input_shape == (None, 3, 224, 224)
        assert keras_resnet.ResNet50(False, None).input_shape == (None, 3, None, None)
        assert keras_resnet.ResNet20().input_shape == (None, 3, 32, 32)
        assert keras_resnet.ResNet20(input_shape=(1, 32, 32)).input_shape == (None, 1, 32, 32)
        assert keras.config.image_data_format() == "channels_first"
    assert_same_graph(ours, theirs)
    ours.set_weights(randomise(theirs).get_weights())
    x = np.moveaxis(images(), -1, 1)
    assert_close(run(ours, x), run(theirs, x), 1e-6)


@once
def test_the_global_dtype_policy_is_read_at_the_call_and_kept() -> None:
    with dtype_policy("mixed_bfloat16"):
        ours, theirs = (build(1, input_shape=(64, 64, 3)) for build in (thin_ours, thin_peer))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    policies = [[layer.dtype_policy.name for layer in model.layers] for model in (ours, theirs)]
    assert policies[0][:-1] == policies[1][:-1]
    assert policies[0][-1] == "float32"  # ours: a softmax in bfloat16 has two digits
    assert thin_ours(1).get_layer("conv1_conv").dtype_policy.name == "float32"


@once
def test_an_input_tensor_may_stand_in_the_middle_of_another_graph() -> None:
    def build(make: Callable[..., keras.Model]) -> keras.Model:
        image = keras.Input((70, 70, 1))
        x = keras.layers.Conv2D(3, 3, name="colour")(keras.layers.Cropping2D(1, name="crop")(image))
        return make(1, input_tensor=x)

    ours, theirs = build(thin_ours), build(thin_peer)
    assert_same_graph(ours, theirs)
    assert ours.get_layer("colour") in ours.layers
    ours.set_weights(randomise(theirs).get_weights())
    x = [images(70, 70, 1)]  # both list the sources of the tensor
    assert_close(run(ours, x), run(theirs, x), 1e-6)


@once
def test_one_wrong_weight_is_noticed() -> None:
    """A test of the tests."""
    theirs = randomise(thin_peer(1, input_shape=(64, 64, 3), classifier_activation=None))
    ours = thin_ours(1, input_shape=(64, 64, 3), classifier_activation=None)
    values = theirs.get_weights()
    values[40] = values[40] * 1.001
    ours.set_weights(values)
    with pytest.raises(AssertionError, match="deviates"):
        assert_close(run(ours, images()), run(theirs, images()), 1e-6)
    with pytest.raises(AssertionError):
        assert_same_weights(ours, theirs, 1e-4)
