"""The builders' keywords: what each does, and that none but style changes the list of weights."""

import inspect
import itertools
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import keras_resnet
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET20, RESNET50, RESNET50V2
from keras_resnet.architecture.variant import Stem, Variant
from tests.helpers.nets import assert_close, dtype_policy, images, randomise, run, thin, with_style

once = pytest.mark.one_backend
KINDS = (RESNET18, RESNET50, RESNET18V2, RESNET50V2)
STYLES = ("keras", "torch", "slim")

# Every keyword but style, with values that change the graph.
KEYWORDS: dict[str, dict[str, Any]] = {
    "output_stride": {"output_stride": 8},
    "global_pool": {"global_pool": False},
    "include_preprocessing": {"include_preprocessing": True},
    "data_format": {"data_format": "channels_first"},
    "channels_first map": {"data_format": "channels_first", "global_pool": False},
    "dtype": {"dtype": "mixed_bfloat16"},
    "dropout": {"dropout": 0.5},
    "drop_path": {"drop_path": 0.2},
    "zero_init_residual": {"zero_init_residual": True},
    "kernel_regularizer": {"kernel_regularizer": "l2"},
    "all": {
        "output_stride": 4,
        "global_pool": False,
        "include_preprocessing": True,
        "data_format": "channels_first",
        "dtype": "mixed_bfloat16",
        "dropout": 0.5,
        "drop_path": 0.2,
        "zero_init_residual": True,
        "kernel_regularizer": "l2",
    },
}
each_keyword = pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS.keys())


def build(variant: Variant, **arguments: Any) -> keras.Model:
    first = arguments.get("data_format") == "channels_first"
    shape = (3, 65, 64) if first else (65, 64, 3)
    defaults: dict[str, Any] = {"input_shape": shape, "classes": 5, "classifier_activation": None}
    return keras_resnet.ResNet(variant, **defaults | arguments)


def weight_list(model: keras.Model) -> list[Any]:
    return [(weight.path, weight.shape) for weight in model.weights]


@once
def test_the_table_has_every_keyword_but_style() -> None:
    parameters = inspect.signature(keras_resnet.ResNet).parameters.values()
    keyword_only = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert (
        set(KEYWORDS["all"])
        == set(KEYWORDS) - {"all", "channels_first map"}
        == keyword_only - {"style", "scope", "head"}
    )


@once
@each_keyword
def test_no_keyword_but_style_changes_the_list_of_weights(keywords: dict[str, Any]) -> None:
    """Every version, block, style and shortcut: also the order, which Keras takes from the depth of layers."""
    layouts = (("keras", "B"), ("slim", "B"), *itertools.product(["torch"], ("A", "B", "C", None)))
    for kind, (style, shortcut) in itertools.product(KINDS, layouts):
        if shortcut is None and keywords.keys() & {"drop_path", "zero_init_residual"}:
            continue
        few = thin(kind, units=(1, 2), widths=(8, 16), shortcut=shortcut, stem=Stem(width=8))
        variant = with_style(few, style)
        plain, changed = build(variant), build(variant, **keywords)
        assert weight_list(changed) == weight_list(plain)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files as keras.applications publishes them, of 1000 classes, and the weights inside."""
    files: dict[str, Any] = {}
    for builder in ("ResNet50", "ResNet50V2"):
        model = randomise(getattr(keras.applications, builder)(weights=None))
        path = tmp_path_factory.mktemp("weights") / f"{builder}.h5"
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
        model.save_weights(path.with_suffix(".weights.h5"))
        files[builder] = (path, model.get_weights())
    return files


@once
@pytest.mark.parametrize("builder", ["ResNet50", "ResNet50V2"])
@each_keyword
def test_a_file_of_keras_applications_loads_whatever_the_keywords(
    keywords: dict[str, Any], builder: str, published: dict[str, Any]
) -> None:
    path, values = published[builder]
    shape = (3, 33, 47) if "data_format" in keywords else (33, 47, 3)  # any size from 32 up
    for file in (path, path.with_suffix(".weights.h5")):
        model = getattr(keras_resnet, builder)(weights=file, input_shape=shape, **keywords)
        for mine, theirs in zip(model.get_weights(), values, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("variant", [pytest.param(thin(RESNET50), marks=once), thin(RESNET18V2)], ids=lambda v: v.name)
def test_the_fully_convolutional_classifier_is_the_pooled_one_at_each_position(variant: Variant) -> None:
    """A dense layer is linear: the mean of its map is its answer to the mean."""
    pooled = randomise(build(variant))
    map_ = build(variant, global_pool=False, output_stride=16, input_shape=(None, None, 3))
    nominal = build(variant, global_pool=False)
    for model in (map_, nominal):
        model.set_weights(pooled.get_weights())
    x = images(65, 64)
    assert nominal.output_shape == (None, 3, 2, 5)
    assert run(map_, x).shape == (2, 5, 4, 5)
    assert_close(run(nominal, x).mean((1, 2)), run(pooled, x), 1e-5)
    assert_close(run(map_, x)[:, ::2, ::2], run(nominal, x), 1e-5)


@once
def test_a_map_of_probabilities_sums_to_one_at_each_position_in_both_layouts() -> None:
    last = randomise(build(thin(RESNET50), global_pool=False, classifier_activation="softmax"))
    first = build(thin(RESNET50), global_pool=False, classifier_activation="softmax", data_format="channels_first")
    first.set_weights(last.get_weights())
    assert first.output_shape == (None, 5, 3, 2)
    x = images(65, 64)
    maps = run(first, np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(maps.sum(1), 1, atol=1e-5)
    assert_close(np.moveaxis(maps, 1, -1), run(last, x), 1e-5)


@once
@pytest.mark.parametrize("variant", KINDS, ids=lambda v: v.name)
def test_weights_are_interchangeable_between_layouts(variant: Variant, tmp_path: Path) -> None:
    for shortcut, style, pooling in (("A", "torch", None), ("B", "keras", "avg"), ("B", "slim", "max")):
        row = with_style(thin(variant, shortcut=shortcut, stem=Stem(width=8)), style)
        last = randomise(build(row, include_top=False, pooling=pooling))
        last.save_weights(tmp_path / "last.weights.h5")
        first = build(
            row, include_top=False, pooling=pooling, data_format="channels_first", weights=tmp_path / "last.weights.h5"
        )
        x = images(65, 64)
        mine = run(first, np.moveaxis(x, -1, 1))
        assert_close(mine if pooling else np.moveaxis(mine, 1, -1), run(last, x), 1e-5)


@once
def test_the_cifar_nets_take_their_default_size_in_both_layouts() -> None:
    assert keras_resnet.ResNet20(data_format="channels_first").input_shape == (None, 3, 32, 32)
    assert keras_resnet.ResNet20(data_format="channels_last").input_shape == (None, 32, 32, 3)
    with pytest.raises(ValueError, match="height and width of at least 32"):
        keras_resnet.ResNet50(weights=None, data_format="channels_first", input_shape=(3, 32, 31))


@pytest.mark.parametrize(
    ("policy", "global_pool"),
    [
        ("mixed_bfloat16", True),
        ("mixed_float16", False),
        pytest.param("mixed_bfloat16", False, marks=once),
        pytest.param("mixed_float16", True, marks=once),
    ],
)
def test_under_a_mixed_policy_layers_are_narrow_and_the_softmax_is_float32(policy: str, global_pool: bool) -> None:
    row, x = thin(RESNET50V2, units=(1, 1), widths=(8, 16)), images(33, 33)
    wide = randomise(build(row, input_shape=(33, 33, 3), classifier_activation="softmax", global_pool=global_pool))
    mixed = build(
        row,
        input_shape=(33, 33, 3),
        classifier_activation="softmax",
        global_pool=global_pool,
        dtype=keras.DTypePolicy(policy),
    )
    mixed.set_weights(wide.get_weights())
    assert {w.dtype for w in mixed.weights} == {"float32"}
    narrow = {layer.name for layer in mixed.layers[1:] if layer.compute_dtype == policy.removeprefix("mixed_")}
    assert narrow == {layer.name for layer in mixed.layers[1:]} - {"predictions"}
    output = mixed(x, training=False)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(output), run(wide, x), atol=0.15)


@once
def test_dtype_is_kerass_own_setting_unless_passed() -> None:
    with dtype_policy("mixed_bfloat16"):
        ours, passed = build(thin(RESNET50)), build(thin(RESNET50), dtype="float32")
    assert ours.get_layer("conv1_conv").compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in passed.layers[1:]} == {"float32"}
    double = build(thin(RESNET50), dtype="float64")
    assert (double.input.dtype, double.output.dtype) == ("float64", "float64")
    assert build(thin(RESNET50), dtype="mixed_float16").input.dtype == "float32"


@once
def test_dropout_stands_between_pooling_and_classifier() -> None:
    for global_pool, before in ((True, "avg_pool"), (False, "conv5_block2_out")):
        model = build(thin(RESNET50), dropout=0.25, global_pool=global_pool)
        dropout = model.get_layer("top_dropout")
        assert dropout.rate == 0.25
        assert dropout.input is model.get_layer(before).output
        assert model.get_layer("predictions").input is dropout.output
    assert "top_dropout" not in {layer.name for layer in build(thin(RESNET50)).layers}


@once
@pytest.mark.parametrize("variant", KINDS, ids=lambda v: v.name)
def test_drop_path_grows_linearly_with_depth(variant: Variant) -> None:
    """arXiv:1603.09382 section 3: the l-th of L units is dropped with probability l/L of the last one's."""
    model = build(thin(variant), drop_path=0.4)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_drop")]
    np.testing.assert_allclose(rates, np.linspace(0.05, 0.4, 8))


@pytest.mark.parametrize("variant", [thin(RESNET18, shortcut="C"), thin(RESNET50V2)], ids=lambda v: v.name)
def test_drop_path_drops_whole_residuals_of_single_images_in_training_only(variant: Variant) -> None:
    model = randomise(build(variant, include_top=False, drop_path=0.8, input_shape=(16, 16, 3)))
    layer = model.get_layer("conv3_block2_drop")  # the fourth of eight: 0.4
    assert layer.input is model.get_layer(f"conv3_block2_{'2_bn' if variant.version == 1 else '3_conv'}").output
    x = images(4, 4, layer.input.shape[-1], count=400)
    dropped = np.asarray(keras.ops.convert_to_numpy(layer(x, training=True)))
    kept = np.abs(dropped).max((1, 2, 3)) > 0
    np.testing.assert_allclose(dropped[kept], x[kept] / 0.6, rtol=1e-5)
    assert 0.5 < kept.mean() < 0.7
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x, training=False)), x)


@once
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("variant", KINDS, ids=lambda v: v.name)
def test_with_zero_init_residual_every_unit_begins_as_its_shortcut(variant: Variant, style: str) -> None:
    row = with_style(thin(variant), style)
    model = build(row, include_top=False, zero_init_residual=True)
    zero = {
        w.path for w in model.weights if w.name in ("gamma", "kernel") and not np.any(keras.ops.convert_to_numpy(w))
    }
    last = [unit.convs[-1].name for unit in plan(row).units]
    expected = {f"{name}_bn/gamma" if row.version == 1 else f"{name}_conv/kernel" for name in last}
    assert zero == expected
    for unit in plan(row).units:
        add = model.get_layer(f"{unit.name}_{'add' if row.version == 1 else 'out'}")
        skip, residual, out = keras.Model(model.input, [*add.input, add.output])(images(65, 64))
        assert not np.any(keras.ops.convert_to_numpy(residual))
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(out), keras.ops.convert_to_numpy(skip))


def test_the_regularizer_is_on_every_kernel_and_nothing_else() -> None:
    row = thin(RESNET50V2, units=(1, 2), widths=(8, 16))
    model = randomise(build(row, kernel_regularizer=keras.regularizers.L2(5e-5)))
    kernels = [keras.ops.convert_to_numpy(w) for w in model.weights if w.name == "kernel"]
    assert len(model.losses) == len(kernels) == len(list(plan(row).convs())) + 1
    total = float(sum(keras.ops.convert_to_numpy(loss) for loss in model.losses))
    assert total == pytest.approx(5e-5 * sum((kernel.astype("float64") ** 2).sum() for kernel in kernels), rel=1e-5)
    assert not build(row).losses


def test_a_net_with_everything_trains_saves_and_loads(tmp_path: Path) -> None:
    """But for channels_first, which TensorFlow does not run on a CPU, and half precision, which is slow there."""
    keywords = {key: value for key, value in KEYWORDS["all"].items() if key not in ("data_format", "dtype")}
    model = build(thin(RESNET50V2, units=(1, 2), widths=(8, 16)), input_shape=(32, 32, 3), **keywords)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = 128 + 50 * images(32, 32, count=4), np.zeros((4, 8, 8), "int32")
    assert np.isfinite(model.fit(x, y, batch_size=4, epochs=1, verbose=0).history["loss"][0])
    model.save(tmp_path / "net.keras")
    assert_close(run(keras.models.load_model(tmp_path / "net.keras"), x), run(model, x), 1e-6)


@once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"global_pool": False, "include_top": False}, "`global_pool=False`.*need include_top=True"),
        ({"dropout": 0.1, "include_top": False}, "`dropout`.*need include_top=True"),
        ({"global_pool": None}, "`global_pool` must be True or False; received None"),
        ({"include_preprocessing": 1}, "`include_preprocessing` must be True or False; received 1"),
        ({"zero_init_residual": "yes"}, "`zero_init_residual` must be True or False; received 'yes'"),
        ({"dropout": 1.0}, r"`dropout` must lie in \[0, 1\); received 1.0"),
        ({"dropout": -0.1}, "`dropout`.*received -0.1"),
        ({"dropout": True}, "`dropout`.*received True"),
        ({"drop_path": "0.1"}, "`drop_path`.*received '0.1'"),
        ({"drop_path": float("nan")}, "`drop_path`.*received nan"),
        (
            {"data_format": "NCHW"},
            "`data_format` must be one of None, 'channels_last', 'channels_first'; received 'NCHW'",
        ),
        ({"data_format": "channel_first"}, "Did you mean 'channels_first'"),
        ({"dtype": "float17"}, "`dtype`.*received 'float17'"),
        ({"dtype": "int32"}, "`dtype`.*floating-point.*received 'int32'"),
        ({"dtype": "int8_from_float32"}, "`dtype`"),
        ({"dtype": 32}, "`dtype`.*received 32"),
        ({"dtype": keras.dtype_policies.DTypePolicyMap()}, "`dtype`"),
        ({"data_format": np.zeros(2)}, "`data_format`"),
        ({"pooling": np.zeros(2)}, "`pooling`"),
        ({"style": np.zeros(2)}, "`style`"),
        ({"weights": np.zeros(2)}, "`weights`"),
        ({"kernel_regularizer": "orthogonal_regularizer"}, "`kernel_regularizer`"),
        ({"kernel_regularizer": "l3"}, "`kernel_regularizer`.*received 'l3'"),
        ({"kernel_regularizer": 1e-4}, "`kernel_regularizer`.*keras.regularizers.L2.*received 0.0001"),
    ],
)
def test_a_wrong_keyword_is_named_with_what_is_allowed(arguments: dict[str, Any], message: str) -> None:
    for builder in (keras_resnet.ResNet18, keras_resnet.ResNet20):
        with pytest.raises(ValueError, match=message):
            builder(**{"weights": None} | arguments)


@once
@pytest.mark.parametrize("keyword", [{"drop_path": 0.1}, {"zero_init_residual": True}])
def test_a_plain_net_can_drop_or_silence_nothing(keyword: dict[str, Any]) -> None:
    ((name, value),) = keyword.items()
    with pytest.raises(ValueError, match=f"`drop_path` and `zero_init_residual` need blocks with .*{name}={value}"):
        keras_resnet.ResNet(thin(RESNET20, shortcut=None, widths=(16, 16, 16)), **keyword)
