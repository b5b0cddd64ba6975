"""The builder's own promises: every row, every option, unknown sizes, preprocessing, refusals."""

import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import models, variants
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import (
    RESNET18,
    RESNET18V2,
    RESNET20V2,
    RESNET50,
    RESNET50V2,
    builder_name,
    find_row,
)
from keras_resnet.architecture.variant import Stem
from tests.helpers.kinds import KINDS
from tests.helpers.nets import SIZES, assert_close, data_format, dtype_policy, images, randomise, run, thin, with_style

once = pytest.mark.one_backend
CIFAR = [f"ResNet{depth}{version}" for depth in (20, 32, 44, 56, 110, 164) for version in ("", "V2")]
DEEPEST = ["ResNet1202", "ResNet1001V2"]  # `test_papers` builds them
DEEP_RS = [f"ResNetRS{depth}" for depth in (101, 152, 270, 350, 420)]  # they differ in units alone
IMAGENET = [find_row(name) for name in models.__all__ if name not in ("ResNet", *CIFAR, *DEEPEST, *DEEP_RS)]
STYLES = [(builder_name(row.name), style) for row in IMAGENET for style in ("keras", "torch") if style in row.styles]
PLAIN = (RESNET18, RESNET50, RESNET18V2, RESNET50V2)


@once
@pytest.mark.parametrize(("name", "style"), [*itertools.product(CIFAR, ["torch"]), *STYLES])
def test_a_named_network_has_the_parameters_of_its_plan(name: str, style: str) -> None:
    cifar = name in CIFAR
    builder = getattr(models, name)
    model = builder(weights=None, style=style)
    classes, network = 10 if cifar else 1000, plan(find_row(name).in_style(style))
    assert model.name == inspect.signature(builder).parameters["name"].default
    assert model.count_params() == network.parameters(classes)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == network.parameters(classes, trainable=True)
    assert model.input_shape == ((None, 32, 32, 3) if cifar else (None, 224, 224, 3))
    assert model.output_shape == (None, classes)
    by_layer = {
        layer.name.removesuffix("_conv"): layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    }
    for conv in network.convs():
        layer = by_layer.pop(conv.name)
        built = (layer.filters, layer.kernel_size, layer.strides, layer.groups, layer.use_bias)
        stride = conv.stride if conv.strides_by == "conv" else 1
        assert built == (conv.filters, (conv.kernel,) * 2, (stride,) * 2, conv.groups, conv.bias)
    assert not by_layer
    assert multiply_adds(model) == network.multiply_adds(model.input_shape[1], model.input_shape[2], classes)


def multiply_adds(model: keras.Model) -> int:
    """Counted on the built layers: positions of the output, times the weights that each output reads."""
    return sum(
        int(np.prod(layer.output.shape[1:-1])) * int(np.prod(layer.kernel.shape))
        for layer in model.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
    )


@once
@pytest.mark.parametrize(
    ("shortcut", "variant", "style"),
    list(itertools.product(["A", "B", "C", None], PLAIN, ["keras", "torch"])),
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_every_shortcut_builds_what_the_plan_says(shortcut: Any, variant: Any, style: str) -> None:
    row = thin(with_style(variant, style), shortcut=shortcut, stem=Stem(width=8))
    model = randomise(keras_resnet.ResNet(row, input_shape=(None, None, 3), classes=5))
    assert model.count_params() == plan(row).parameters(5)
    pooled = keras.Model(model.input, model.get_layer("avg_pool").output)
    for size in SIZES:
        assert run(model, images(*size)).shape == (2, 5)
        vectors = run(pooled, images(*size))
        assert np.isfinite(vectors).all()
        assert not np.allclose(vectors[0], vectors[1], rtol=0.01)  # the images differ, and so do their features
    added = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert len(added) == (0 if shortcut is None else len(plan(row).units))


@pytest.mark.parametrize("variant", [RESNET18, RESNET18V2], ids=lambda v: v.name)
def test_option_a_appends_zero_channels_to_the_subsampled_input(variant: Any) -> None:
    """With the residual silenced, a unit that widens and strides is its shortcut."""
    row = thin(with_style(variant, "torch"), units=(1, 1), widths=(8, 12), shortcut="A", stem=Stem(width=8))
    model = randomise(keras_resnet.ResNet(row, include_top=False, input_shape=(33, 33, 3)))
    silenced = model.get_layer("conv3_block1_2_bn" if row.version == 1 else "conv3_block1_2_conv")
    silenced.set_weights([np.zeros_like(w) for w in silenced.get_weights()[:2]] + silenced.get_weights()[2:])
    ends = ("conv2_block1_out", "conv3_block1_out")
    both = keras.Model(model.input, [model.get_layer(name).output for name in ends])
    before, after = (np.asarray(keras.ops.convert_to_numpy(map_)) for map_ in both(images(33, 33)))
    assert before.shape == (2, 9, 9, 8)
    assert after.shape == (2, 5, 5, 12)
    np.testing.assert_allclose(after[..., :8], before[:, ::2, ::2], atol=1e-6)
    assert not after[..., 8:].any()


@once
def test_channels_first_is_the_same_function_for_every_kind_of_shortcut() -> None:
    for variant, shortcut in itertools.product(PLAIN, ("A", "B")):
        row = thin(with_style(variant, "torch"), shortcut=shortcut, stem=Stem(width=8))
        last = randomise(keras_resnet.ResNet(row, input_shape=(65, 65, 3), include_preprocessing=True))
        with data_format("channels_first"):
            first = keras_resnet.ResNet(row, input_shape=(3, 65, 65), include_preprocessing=True)
        first.set_weights(last.get_weights())
        pooled = [keras.Model(model.input, model.get_layer("avg_pool").output) for model in (first, last)]
        x = images(65, 65)
        assert_close(run(pooled[0], np.moveaxis(x, -1, 1)), run(pooled[1], x), 1e-5)


@once
def test_the_stem_pool_of_torch_v2_ignores_the_border() -> None:
    """Zeros would win over negative values; -inf does not."""
    for size in ((6, 7), (7, 6), (2, 3), (1, 1)):
        row = thin(with_style(RESNET18V2, "torch"), units=(1,), widths=(8,), stem=Stem(1, 8, 1))
        model = keras_resnet.ResNet(row, include_top=False, input_shape=(*size, 3))
        pool = keras.Model(model.get_layer("conv1_conv").output, model.get_layer("pool1_pool").output)
        x = -1 - np.abs(images(*size, channels=8))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2)).max(axis=(-2, -1))
        np.testing.assert_array_equal(run(pool, x), windows[:, ::2, ::2])


@once
def test_the_first_unit_of_cifar_v2_takes_its_activation_before_the_branches_part() -> None:
    """arXiv:1603.05027, appendix."""
    for row, reads in ((RESNET20V2, "preact_relu"), (dataclasses.replace(RESNET20V2, first_activation="unit"), "conv")):
        model = keras_resnet.ResNet(row, input_shape=(32, 32, 3))
        shortcut = model.get_layer("conv2_block1_out").input[0]
        assert shortcut._keras_history.operation.name.endswith(reads)
        assert model.get_layer("conv2_block2_out").input[0]._keras_history.operation.name == "conv2_block1_out"


@once
@pytest.mark.parametrize("variant", PLAIN, ids=lambda v: v.name)
def test_the_plain_net_has_no_shortcut(variant: Any) -> None:
    model = keras_resnet.ResNet(thin(variant, shortcut=None), input_shape=(64, 64, 3))
    assert not any(isinstance(layer, keras.layers.Add) for layer in model.layers)
    consumers = [len(layer._outbound_nodes) for layer in model.layers]
    assert consumers == [1] * (len(model.layers) - 1) + [0]  # a chain


@once
@pytest.mark.parametrize("version", [1, 2])
def test_a_rootless_net_starts_at_its_first_unit(version: int) -> None:
    row = thin(RESNET50 if version == 1 else RESNET50V2, stem=None)
    model = randomise(keras_resnet.ResNet(row, include_top=False, input_shape=(17, 16, 24)))
    assert model.layers[1].name.startswith("conv2_block1")
    assert run(model, images(17, 16, 24)).shape == (2, 3, 2, 256)
    assert model.count_params() == plan(row, channels=24).parameters(None)


def test_unknown_and_small_sizes_work_with_the_top() -> None:
    row = thin(RESNET50, units=(1, 2, 1), widths=(8, 16, 32))
    model = randomise(keras_resnet.ResNet(row, input_shape=(None, None, 3), classes=4, classifier_activation=None))
    assert model.input_shape == (None, None, None, 3)
    fixed = keras_resnet.ResNet(row, input_shape=(33, 65, 3), classes=4, classifier_activation=None)
    fixed.set_weights(model.get_weights())
    assert_close(run(model, images(33, 65)), run(fixed, images(33, 65)), 1e-6)
    assert run(model, images(1, 1)).shape == (2, 4)


@once
def test_any_number_of_channels_goes_in_without_weights() -> None:
    for channels in (1, 2, 4, 13):
        model = keras_resnet.ResNet18(weights=None, input_shape=(32, 32, channels))
        assert model.get_layer("conv1_conv").kernel.shape == (7, 7, channels, 64)


EXPECTED = {
    "caffe": lambda rgb: rgb[..., ::-1] - np.array([103.939, 116.779, 123.68]),
    "tf": lambda rgb: rgb / 127.5 - 1,
    "rgb_means": lambda rgb: rgb - np.array([123.68, 116.779, 103.939]),
    "torch": lambda rgb: (rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
}


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("variant", "style", "mode"),
    [
        (RESNET50, "keras", "caffe"),
        (RESNET50V2, "keras", "tf"),
        (RESNET50, "torch", "torch"),
        (RESNET50V2, "torch", "torch"),
        (RESNET50, "slim", "rgb_means"),
        (RESNET50V2, "slim", "tf"),
        pytest.param(KINDS["groups"], "keras", "torch", marks=once),
        pytest.param(KINDS["legacy SE"], "senet_1x1", "torch", marks=once),
        pytest.param(KINDS["BiT"], "bit", "tf", marks=once),
    ],
)
def test_raw_rgb_is_turned_into_what_the_style_expects(variant: Any, style: str, mode: str, order: str) -> None:
    first = order == "channels_first"
    row = variant if variant in KINDS.values() else thin(variant, units=(1,), widths=(8,))
    with data_format(order):
        shape = (3, None, None) if first else (None, None, 3)
        model = keras_resnet.ResNet(row, include_top=False, style=style, input_shape=shape, include_preprocessing=True)
        plain = keras_resnet.ResNet(row, include_top=False, style=style, input_shape=shape)
    assert [w.path for w in model.weights] == [w.path for w in plain.weights]
    last = [layer for layer in model.layers if layer.name.startswith("preprocess")][-1]
    raw = np.random.default_rng(0).integers(0, 256, (2, 7, 5, 3))
    x = np.moveaxis(raw, -1, 1) if first else raw
    output = run(keras.Model(model.input, last.output), x.astype("float32"))
    np.testing.assert_allclose(np.moveaxis(output, 1, -1) if first else output, EXPECTED[mode](raw), atol=2e-5)


@once
def test_preprocessing_under_mixed_precision_keeps_all_its_digits() -> None:
    with dtype_policy("mixed_bfloat16"):
        model = keras_resnet.ResNet(thin(RESNET50), include_top=False, include_preprocessing=True)
    raw = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3)).astype("float32")
    output = run(keras.Model(model.input, model.get_layer("preprocess").output), raw)
    np.testing.assert_allclose(output, EXPECTED["caffe"](raw), atol=1e-4)
    assert model.get_layer("conv1_conv").compute_dtype == "bfloat16"


@once
@pytest.mark.parametrize("builder", ["ResNet18", "ResNet18V2"])
@pytest.mark.parametrize(("style", "fan", "beyond"), [("torch", 256, 0.0214), ("slim", 128, 0)])
def test_style_torch_starts_as_he_normal_by_fan_out_and_slim_truncated_by_fan_in(
    style: str, fan: int, beyond: float, builder: str
) -> None:
    model = getattr(keras_resnet, builder)(weights=None, style=style)
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv4_block1_1_conv").kernel)  # 128 to 256 channels
    deviation = np.sqrt(2 / (9 * fan))
    assert float(np.std(kernel)) == pytest.approx(deviation, rel=0.01)
    assert (np.abs(kernel) > 2.3 * deviation).mean() == pytest.approx(beyond, abs=2e-3)


@once
@pytest.mark.parametrize("builder", ["ResNet18", "ResNet18V2"])
@pytest.mark.parametrize(
    ("style", "epsilon", "momentum"), [("keras", 1.001e-5, 0.99), ("torch", 1e-5, 0.9), ("slim", 1e-5, 0.997)]
)
def test_norms_have_the_epsilon_and_momentum_of_their_style(
    style: str, epsilon: float, momentum: float, builder: str
) -> None:
    model = getattr(keras_resnet, builder)(weights=None, style=style)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(epsilon, momentum)}


@once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "AVG"}, "`pooling` must be one of None, 'avg', 'max'; received 'AVG'. Did you mean 'avg'"),
        ({"pooling": 3}, "`pooling`.*received 3"),
        (
            {"style": "tensorflow"},
            "`style` must be one of None, 'keras', 'torch', 'torch_1x1', 'slim', 'keras_2016', 'keras_2018'; received",
        ),
        ({"style": "Torch"}, "Did you mean 'torch'"),
        ({"style": ["torch"]}, "`style`"),
        ({"classes": True}, "`classes`"),
        ({"classes": None}, "`classes`"),
        ({"input_shape": (0, 32, 3)}, r"`input_shape`.*received \(0, 32, 3\)"),
        ({"input_shape": (32, 32, 0)}, r"`input_shape` must.*received \(32, 32, 0\)"),
        ({"input_shape": "abc"}, "`input_shape` must be None or three ints"),
        ({"input_shape": 64}, "`input_shape` must be None or three ints"),
        ({"weights": "imagnet"}, "Did you mean 'imagenet'"),
        ({"weights": "imagenet", "style": "keras"}, "there are no published weights.*weights=None"),
        ({"input_tensor": np.zeros((1, 32, 32, 3))}, "Keras tensor of rank 4.*received ndarray"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keras_resnet.ResNet18(**{"weights": None} | arguments)


@once
@pytest.mark.parametrize("builder", ["ResNet", "ResNet50", "ResNet20"])
def test_include_top_is_true_or_false_or_what_keras_applications_takes_for_it(builder: str, tmp_path: Path) -> None:
    build = getattr(models, builder)
    row = ("resnet20",) if builder == "ResNet" else ()
    for value in (True, 1, np.True_, np.int64(1), False, 0, None, np.False_):
        model = build(*row, value, weights=None, input_shape=(32, 32, 3), classes=7)
        assert (model.output_shape == (None, 7)) == bool(value)
    image = keras.Input((64, 64, 3))
    tensor = "input_tensor=.*older package of this name took it first"
    for wrong, hint in {
        "False": "received 'False'. Did you mean False, without",
        "imagenet": "received 'imagenet'. Pass weights as weights='imagenet'",
        tmp_path / "w.h5": "Pass weights as weights=",
        (64, 64, 3): r"received \(64, 64, 3\). Pass a shape as input_shape=\(64, 64, 3\)",
        2: "received 2",
        -1: "received -1",
        1.0: "received 1.0",
        image: tensor,
    }.items():
        for arguments in ({}, {"weights": tmp_path / "missing.h5"}):
            with pytest.raises(ValueError, match=f"`include_top` must be True or False; .*{hint}"):
                build(*row, wrong, **arguments)
            with pytest.raises(ValueError, match=f"`include_top` must be True or False; .*{hint}"):
                build(*row, include_top=wrong, **arguments)
    for data in (np.zeros((1, 64, 64, 3)), np.array(True), keras.ops.zeros((1, 2))):
        with pytest.raises(
            ValueError,
            match="`include_top` must.*received .* of shape .*To run the model on data, build it and call it",
        ):
            build(*row, data)


@once
def test_a_call_of_the_older_package_of_this_name_is_told_where_its_tensor_goes() -> None:
    image = keras.Input((64, 64, 3))
    calls: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
        ((), {"classes": 10}),
        ((), {"include_top": True}),
        (([3, 4, 6, 3],), {"classes": 10}),
        ((), {"blocks": [3, 4, 6, 3], "freeze_bn": True}),
    )
    for more, keywords in calls:
        with pytest.raises(ValueError, match="`include_top`.*input_tensor=.*older package"):
            models.ResNet50(image, *more, **keywords)


@once
def test_a_variant_must_be_a_row_or_the_name_of_one() -> None:
    with pytest.raises(ValueError, match=r"`variant` must be the name.*received 'resnet51'. Did you mean .*'ResNet50'"):
        keras_resnet.ResNet("resnet51")
    with pytest.raises(ValueError, match=r"received 50. You can also pass a Variant of your own"):
        keras_resnet.ResNet(50)  # type: ignore[arg-type]


@once
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("resnet50.a1_in1k", "ResNet50(weights='timm/resnet50.a1_in1k')"),
        ("hf-hub:timm/resnet50.a1_in1k", "ResNet50(weights='timm/resnet50.a1_in1k')"),
        ("microsoft/resnet-18", "ResNet18(weights='microsoft/resnet-18')"),
        ("resnet_v2_50_imagenet", "ResNet50V2(weights='keras_hub/resnet_v2_50_imagenet')"),
        ("timm/resnet18.a1_in", "ResNet18(weights='timm/resnet18.a1_in1k')"),
        ("keras_hub/resnet_vd_18_imagenet", "ResNet('resnet_vd_18', weights='keras_hub/resnet_vd_18_imagenet')"),
    ],
)
def test_a_name_of_weights_in_place_of_a_network_is_called_so(name: str, call: str) -> None:
    with pytest.raises(ValueError, match=rf"`variant`.*a name of weights.*build keras_resnet.{re.escape(call)}\.$"):
        keras_resnet.ResNet(name)
    for other in ("resnet50.pth", "a/b", "./net.keras"):
        with pytest.raises(ValueError, match="`variant` must be the name of a network here or in timm"):
            keras_resnet.ResNet(other)


@once
def test_a_cifar_net_keeps_its_size_when_none_is_passed() -> None:
    assert keras_resnet.ResNet20(True, None, None, None).input_shape == (None, 32, 32, 3)
    assert keras_resnet.ResNet20(False, input_shape=None).input_shape == (None, None, None, 3)
    assert keras_resnet.ResNet(variants.RESNET20).input_shape == (None, 32, 32, 3)


@once
def test_a_tensor_of_unknown_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="`channels` must be a positive int; received None"):
        keras_resnet.ResNet50(weights=None, input_tensor=keras.Input((64, 64, None)))


@once
def test_the_minimum_of_32_is_the_named_imagenet_networks_alone() -> None:
    assert keras_resnet.ResNet20(input_shape=(8, 8, 3)).output_shape == (None, 10)
    assert keras_resnet.ResNet(RESNET18, input_shape=(8, 8, 3)).output_shape == (None, 1000)
    assert keras_resnet.ResNet18(weights=None, input_tensor=keras.Input((8, 8, 3))).output_shape == (None, 1000)
    with pytest.raises(ValueError, match="height and width of at least 32"):
        keras_resnet.ResNet18(weights=None, input_shape=(8, 32, 3))


@pytest.fixture(autouse=True)
def settings_are_left_as_they_were() -> Iterator[None]:
    def settings() -> tuple[Any, ...]:
        policy = keras.config.dtype_policy().name
        return keras.config.image_data_format(), policy, keras.config.floatx(), keras.config.epsilon()

    before = settings()
    yield
    assert settings() == before


@once
@pytest.mark.parametrize("kind", ["aa", "aa, D", "blur", "blur, D"])
def test_an_anti_aliased_net_refuses_the_sizes_that_it_has_no_output_for_and_names_the_nearest(kind: str) -> None:
    """As the same net of any size finds when it runs."""
    row = dataclasses.replace(KINDS[kind], units=(1, 1, 1, 1))
    free = keras_resnet.ResNet(row, include_top=False, input_shape=(None, None, 3))

    def runs(side: int) -> bool:
        try:
            return bool(min(free(images(side, 64)).shape) > 0)
        except (RuntimeError, ValueError):
            return False

    least = 63 if row.antialias == "avg" else 2  # below, maps of one pixel and of two add up
    good = [side for side in range(least, 128) if runs(side)]
    refused = [side for side in range(least, good[-1], 3) if side not in good]
    assert len(refused) > 2
    for side in refused:
        near = [*[each for each in good if each < side][-1:], *[each for each in good if each > side][:1]]
        if side > good[0]:
            fit = rf"for images of {side} pixels.* nearest to that fit {' and '.join(map(str, near))}\."
            for shape in ((side, good[0], 3), (good[0], side, 3)):
                with pytest.raises(ValueError, match=fit):
                    keras_resnet.ResNet(row, include_top=False, input_shape=shape)
    for side in (good[0], good[-1]):
        assert keras_resnet.ResNet(row, include_top=False, input_shape=(side, side, 3)).input_shape[1] == side


@once
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_any_kind_trains_saves_and_loads(kind: str, tmp_path: Path) -> None:
    """What a user does first: a body of vectors, two steps, a file, and the same outputs from it."""
    body = keras_resnet.ResNet(KINDS[kind], include_top=False, weights=None, pooling="avg", input_shape=(64, 64, 3))
    model = keras.Sequential([body, keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    x, before = images(count=4), body.get_weights()
    loss = model.fit(x, np.arange(4) % 3, batch_size=2, epochs=1, verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    assert not np.array_equal(body.get_weights()[0], before[0])
    own_style = KINDS[kind].lineage.style not in ("torch", "keras")
    for suffix in (".keras", ".weights.h5") if own_style else (".keras",):
        path = tmp_path / f"body{suffix}"
        (body.save if suffix == ".keras" else body.save_weights)(path)
        again = keras_resnet.ResNet(KINDS[kind], include_top=False, weights=path, pooling="avg")
        assert_close(run(again, x), run(body, x), 1e-6)
    assert_close(run(keras.models.load_model(tmp_path / "body.keras"), x), run(body, x), 1e-6)


@once
def test_a_files_style_replaces_that_of_a_published_row_but_no_lineage_of_ones_own(tmp_path: Path) -> None:
    row = KINDS["groups"]
    assert row.lineage.style == "keras"
    theirs = randomise(keras_resnet.ResNet(row, style="torch", classes=5, input_shape=(64, 64, 3)))
    keras_resnet.save_weights(theirs, tmp_path / "net.pth")
    loaded = keras_resnet.ResNet(row, weights=tmp_path / "net.pth", classes=5, input_shape=(64, 64, 3))
    assert loaded.get_layer("conv1_bn").epsilon == 1e-5
    assert_close(run(loaded, images()), run(theirs, images()), 0)
    own = dataclasses.replace(row, lineage=dataclasses.replace(row.in_style("torch").lineage, epsilon=3e-3))
    kept = keras_resnet.ResNet(own, weights=tmp_path / "net.pth", classes=5)
    assert kept.get_layer("conv1_bn").epsilon == 3e-3
