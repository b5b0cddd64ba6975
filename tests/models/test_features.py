"""The feature pyramid: which tensor each level is, on built, loaded, cut and nested models."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import feature_pyramid
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET20, RESNET50, RESNET50V2
from keras_resnet.architecture.variant import Variant
from tests.helpers.kinds import KINDS
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style

once = pytest.mark.one_backend
STYLES = ("keras", "torch", "slim")


def layer_names(model: keras.Model, levels: Any = None) -> dict[str, str]:
    names = {id(layer.output): layer.name for layer in model.layers}
    return {level: names[id(map_)] for level, map_ in feature_pyramid(model, levels).output.items()}


def expected_names(variant: Variant) -> dict[str, str]:
    """api.md section 2, from the nominal plan: the striding unit's input, or its first activation."""
    units = plan(variant).units
    names: dict[str, str] = {}
    for previous, unit in zip((None, *units), units, strict=False):
        if unit.stride > 1:
            before = f"{previous.name}_out" if previous else "pool1_pool"
            names[f"C{len(names) + 2}"] = before if variant.version == 1 else f"{unit.name}_preact_relu"
    return names | {f"C{len(names) + 2}": f"{units[-1].name}_out" if variant.version == 1 else "post_relu"}


def run_map(pyramid: keras.Model, x: Any, level: str) -> Any:
    return np.asarray(keras.ops.convert_to_numpy(pyramid(x)[level]))


EVERY = list(itertools.product((RESNET18, RESNET50, RESNET18V2, RESNET50V2), STYLES))


@once
@pytest.mark.parametrize(("kind", "style"), EVERY, ids=lambda v: getattr(v, "name", v))
@pytest.mark.parametrize("units", [(1, 1, 1, 1), (2, 1, 2)], ids=str)
def test_levels_are_the_same_layers_at_every_stride_and_from_a_file(
    kind: Variant, style: str, units: tuple[int, ...], tmp_path: Path
) -> None:
    variant = with_style(thin(kind, units=units, widths=(8, 16, 24, 32)[: len(units)]), style)
    expected = expected_names(variant)
    for stride in plan(variant).output_strides:
        model = keras_resnet.ResNet(variant, input_shape=(64, 64, 3), output_stride=stride)
        assert layer_names(model) == expected
        assert layer_names(keras.Model.from_config(model.get_config())) == expected
    dense = keras_resnet.ResNet(variant, input_shape=(64, 64, 3), output_stride=8)
    dense.save(tmp_path / "dense.keras")
    assert layer_names(keras.models.load_model(tmp_path / "dense.keras")) == expected


@once
@pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
def test_levels_of_every_kind_of_network_are_what_its_striding_units_read(variant: Variant) -> None:
    """Whatever strides in them, a convolution, a mean or a blur; C1 is what leaves the stem's convolutions."""
    bare = variant.version == 2 and not variant.lineage.data_norm
    stem = f"{plan(variant).stem[-1].name}_{'conv' if bare else 'relu'}"
    expected = {"C1": stem} | expected_names(variant)
    model = keras_resnet.ResNet(variant, input_shape=(128, 192, 3))
    for each in (model, keras.Model.from_config(model.get_config())):
        assert layer_names(each, list(expected)) == expected
    maps = feature_pyramid(model, list(expected)).output
    assert [map_.shape[1:3] for map_ in maps.values()] == [(128 >> i, 192 >> i) for i in range(1, len(expected) + 1)]


@once
def test_where_api_md_says_a_level_stands() -> None:
    def c2(builder: str, style: str) -> str:
        return layer_names(getattr(keras_resnet, builder)(weights=None, style=style))["C2"]

    assert c2("ResNet50V2", "keras") == "conv2_block3_preact_relu"
    assert c2("ResNet50", "slim") == "conv2_block2_out"
    assert c2("ResNet50", "keras") == c2("ResNet50", "torch") == "conv2_block3_out"
    assert c2("ResNet50V2", "torch") == "conv3_block1_preact_relu"
    assert layer_names(keras_resnet.ResNet50(weights=None), ["C1"]) == {"C1": "conv1_relu"}
    assert layer_names(keras_resnet.ResNet50V2(weights=None), ["C1"]) == {"C1": "conv1_conv"}


@once
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("builder", ["ResNet50", "ResNet50V2", "ResNet34", "ResNet18V2"])
def test_at_224_the_sides_are_112_to_7_in_every_style(builder: str, style: str) -> None:
    model = getattr(keras_resnet, builder)(include_top=False, weights=None, style=style, input_shape=(224, 224, 3))
    maps = feature_pyramid(model, [f"C{level}" for level in range(1, 6)]).output
    assert [map_.shape[1] for map_ in maps.values()] == [112, 56, 28, 14, 7]


def test_a_pyramid_shares_layers_and_weights_and_gives_a_dict_of_maps() -> None:
    model = randomise(keras_resnet.ResNet(thin(RESNET50V2), include_top=False, input_shape=(65, 65, 3)))
    pyramid = feature_pyramid(model, ["C5", "C3"])
    assert all(layer in model.layers for layer in pyramid.layers)
    maps = pyramid(images(65, 65))
    assert set(maps) == {"C3", "C5"}
    assert_close(keras.ops.convert_to_numpy(maps["C5"]), run(model, images(65, 65)), 1e-6)
    assert tuple(maps["C3"].shape) == (2, 9, 9, 64)


@once
def test_the_networks_of_keras_applications_have_a_pyramid_too() -> None:
    for builder in ("ResNet50", "ResNet50V2"):
        theirs = getattr(keras.applications, builder)(weights=None)
        assert layer_names(theirs) == layer_names(getattr(keras_resnet, builder)(weights=None))


@once
def test_a_network_inside_a_users_model_has_its_pyramid(tmp_path: Path) -> None:
    body = randomise(keras_resnet.ResNet(thin(RESNET18), include_top=False, input_shape=(64, 64, 3), name="body"))
    expected = run_map(feature_pyramid(body, ["C3"]), images(), "C3")
    image = keras.Input((64, 64, 3))
    twice = body(image) + body(keras.layers.RandomFlip()(image))
    user = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(twice)))
    sequence = keras.Sequential([keras.Input((64, 64, 3)), body, keras.layers.Flatten()])
    user.save(tmp_path / "user.keras")
    for outer in (user, sequence, keras.models.load_model(tmp_path / "user.keras")):
        pyramid = feature_pyramid(outer.get_layer("body"), ["C3"])
        assert_close(run_map(pyramid, images(), "C3"), expected, 1e-6)
        with pytest.raises(ValueError, match=r"`model` must be a ResNet.*Did you mean model.get_layer\('body'\)"):
            feature_pyramid(outer)


@once
def test_a_network_on_a_users_tensor_has_its_pyramid() -> None:
    image = keras.Input((64, 64, 3))
    body = keras_resnet.ResNet(thin(RESNET50), False, input_tensor=keras.layers.Rescaling(1 / 255)(image))
    user = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(body.output)))
    maps = feature_pyramid(user)(images())
    assert [tuple(map_.shape[1:3]) for map_ in maps.values()] == [(16, 16), (8, 8), (4, 4), (2, 2)]


@once
def test_a_cut_network_has_the_levels_that_are_left() -> None:
    for variant, end, left in (
        (thin(RESNET50), "conv4_block2_out", ["C2", "C3", "C4"]),
        (thin(RESNET50V2), "conv4_block2_preact_relu", ["C2", "C3"]),
    ):
        model = keras_resnet.ResNet(variant, False, input_shape=(64, 64, 3))
        cut = keras.Model(model.input, model.get_layer(end).output)
        assert list(feature_pyramid(cut).output) == left


@once
@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["C5"], "`levels` must be one of 'C1', 'C2', 'C3', 'C4'; received 'C5'"),
        (["C2", "P3"], "received 'P3'"),
        ("c3", "received 'c3'. Did you mean 'C3'"),
        (3, "received 3"),
        ([], "received None"),
        ([["C2"]], "`levels`"),
    ],
)
def test_a_level_that_the_net_lacks_is_named_with_those_it_has(levels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_pyramid(keras_resnet.ResNet20(), levels)


@once
def test_a_rootless_net_has_no_c1() -> None:
    model = keras_resnet.ResNet(thin(RESNET50, stem=None), False, input_shape=(16, 16, 8))
    with pytest.raises(ValueError, match="`levels` must be one of 'C2', 'C3', 'C4', 'C5'; received 'C1'"):
        feature_pyramid(model, ["C1"])
    slim = keras_resnet.ResNet(thin(RESNET50, stem=None, units=(1,) * 4), False, input_shape=(16, 16, 8), style="slim")
    assert feature_pyramid(slim, ["C2"]).output["C2"] is slim.input  # its very first unit strides


@once
def test_what_is_no_network_of_ours_is_refused() -> None:
    image = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="`model` must be a ResNet of this package .*; received 'mine'"):
        feature_pyramid(keras.Model(image, keras.layers.Conv2D(1, 1)(image), name="mine"))
    with pytest.raises(ValueError, match="`model` must be a functional keras.Model; received 'resnet50'"):
        feature_pyramid("resnet50")
    dense = keras.applications.DenseNet121(weights=None, include_top=False)  # has convolutions of the same names
    net = keras_resnet.ResNet(thin(RESNET50), False, input_shape=(64, 64, 3))
    stump = keras.Model(net.input, net.get_layer("conv2_block1_1_relu").output)
    tail = keras.Model(net.get_layer("conv3_block2_out").output, net.output)
    for foreign in (dense, stump, tail):
        with pytest.raises(ValueError, match="`model` must be a ResNet of this package"):
            feature_pyramid(foreign)
    with pytest.raises(ValueError, match="`model` must be a functional keras.Model"):
        feature_pyramid(keras.Sequential(net.layers[1:4]))


@once
def test_channels_first_maps() -> None:
    last = randomise(keras_resnet.ResNet(thin(RESNET18), False, input_shape=(65, 64, 3)))
    first = keras_resnet.ResNet(thin(RESNET18), False, input_shape=(3, 65, 64), data_format="channels_first")
    first.set_weights(last.get_weights())
    for level in ("C1", "C2", "C3", "C4", "C5"):
        maps = [feature_pyramid(model, [level]) for model in (first, last)]
        mine = run_map(maps[0], np.moveaxis(images(65, 64), -1, 1), level)
        assert_close(np.moveaxis(mine, 1, -1), run_map(maps[1], images(65, 64), level), 1e-5)


@once
def test_a_cifar_net_has_c2_to_c4() -> None:
    assert [m.shape[1] for m in feature_pyramid(keras_resnet.ResNet(RESNET20)).output.values()] == [32, 16, 8]
