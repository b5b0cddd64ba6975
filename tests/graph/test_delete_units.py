"""Units are deleted, and nothing else."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import find_row
from keras_resnet.architecture.variant import Variant
from tests.contract.test_papers import silence
from tests.helpers.kinds import KINDS
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style

once = pytest.mark.one_backend
EVERYWHERE = (("ResNet18", "torch"), ("ResNet50V2", "keras"))


def logits(row: Variant) -> keras.Model:
    """Of pictures (33, 40, 3); a softmax would hide differences."""
    return keras_resnet.ResNet(row, weights=None, input_shape=(33, 40, 3), classes=5, classifier_activation=None)


def build(network: str, style: str = "torch", **fields: Any) -> keras.Model:
    row = thin(with_style(find_row(network), style), units=(2, 3), widths=(8, 16), **fields)
    return randomise(logits(row))


@pytest.mark.parametrize(
    ("network", "style"),
    [
        pytest.param(network, style, marks=() if (network, style) in EVERYWHERE else once)
        for network in ("ResNet18", "ResNet50", "ResNet18V2", "ResNet50V2")
        for style in ("keras", "torch", "slim")
    ],
)
def test_what_is_left_of_a_deleted_unit_is_its_shortcut(network: str, style: str, tmp_path: Path) -> None:
    """Projections and subsampling stay; a unit whose last norm is at zero does the same."""
    model, x, units = build(network, style), images(33, 40), ["conv2_block1", "conv3_block3"]
    before, values = run(model, x), [np.copy(each) for each in model.get_weights()]
    lesioned = keras_resnet.delete_units(model, units)
    for kept, value in zip(model.get_weights(), values, strict=True):
        np.testing.assert_array_equal(kept, value)
    np.testing.assert_array_equal(run(model, x), before)
    for unit in units:
        silence(model, unit)
    expected = run(model, x)
    assert np.abs(expected - before).max() > 1e-3
    assert_close(run(lesioned, x), expected, 1e-6)
    names = {layer.name for layer in lesioned.layers}
    left = {name.removeprefix(f"{unit}_") for name in names for unit in units if name.startswith(f"{unit}_")}
    assert left <= {"out", "0_conv", "0_bn", "0_pool", "preact_bn", "preact_relu"}
    assert ("preact_bn" in left) is (network.endswith("V2") and "0_conv" in left)
    assert [layer.name for layer in model.layers if layer.name in names] == [layer.name for layer in lesioned.layers]
    lesioned.save(tmp_path / "lesioned.keras")
    np.testing.assert_array_equal(run(keras.models.load_model(tmp_path / "lesioned.keras"), x), run(lesioned, x))


@once
@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_of_network_nothing_but_the_shortcut_is_left(kind: str) -> None:
    """The gate, the means and blurs of the residual go; the mean of the shortcut stays."""
    variant, units = KINDS[kind], ["conv2_block1", "conv3_block1", "conv3_block2"]
    model = keras_resnet.ResNet(variant, input_shape=(64, 96, 3), classes=5, classifier_activation=None)
    model, x = randomise(model), images(64, 96)
    lesioned = keras_resnet.delete_units(model, units)
    left = {layer.name.removeprefix(f"{unit}_") for layer in lesioned.layers for unit in units if unit in layer.name}
    assert left <= {"out", "0_conv", "0_bn", "0_gn", "0_pool", "0_pad", "preact_bn", "preact_gn", "preact_relu"}
    for unit in units:
        silence(model, unit)
    assert_close(run(lesioned, x), run(model, x), 1e-6)


@once
@pytest.mark.parametrize("kind", ["GN", "GN, D, v2", "blur, basic", "aa", "SE", "ECA, D", "data norm, v2"])
def test_plain_nets_of_every_kind_pass_on_or_are_refused(kind: str) -> None:
    row = dataclasses.replace(KINDS[kind], shortcut=None)
    model, x = randomise(keras_resnet.ResNet(row, False, input_shape=(64, 96, 3))), images(64, 96)
    shorter = keras_resnet.ResNet(dataclasses.replace(row, units=(1, 1, 1, 1)), False, input_shape=(64, 96, 3))
    for layer in shorter.layers[1:]:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    assert_close(run(keras_resnet.delete_units(model, "conv3_block2"), x), run(shorter, x), 1e-6)
    with pytest.raises(ValueError, match="'conv3_block1' has no shortcut and changes the shape"):
        keras_resnet.delete_units(model, "conv3_block1")


@once
@pytest.mark.parametrize("shortcut", ["A", "C"])
def test_other_shortcuts_stay_too(shortcut: str) -> None:
    fields: dict[str, Any] = {"shortcut": shortcut, "stem": keras_resnet.Stem(3, 8, 1, pool=False)}
    model, x = build("ResNet20", **fields), images(33, 40)
    units = [f"conv{stage}_block{number}" for stage, count in ((2, 2), (3, 3)) for number in range(1, count + 1)]
    lesioned = keras_resnet.delete_units(model, units)
    for unit in units:
        silence(model, unit)
    assert_close(run(lesioned, x), run(model, x), 1e-6)
    assert (sum(isinstance(layer, keras.layers.Conv2D) for layer in lesioned.layers) == 1) is (shortcut == "A")


@once
@pytest.mark.parametrize("network", ["ResNet18", "ResNet18V2"])
def test_a_deleted_unit_of_a_plain_net_passes_on_its_input(network: str) -> None:
    model, x = build(network, shortcut=None), images(33, 40)
    lesioned = keras_resnet.delete_units(model, "conv3_block2")
    shorter = thin(with_style(find_row(network), "torch"), units=(2, 2), widths=(8, 16), shortcut=None)
    expected = logits(shorter)
    for layer in expected.layers[1:]:
        layer.set_weights(model.get_layer(layer.name.replace("conv3_block2", "conv3_block3")).get_weights())
    assert_close(run(lesioned, x), run(expected, x), 1e-6)
    with pytest.raises(
        ValueError, match="`units` must name .* that keep the shape .*; 'conv3_block1' has no shortcut and changes"
    ):
        keras_resnet.delete_units(model, ["conv2_block2", "conv3_block1"])


@once
def test_a_plain_unit_that_strides_is_refused_at_unknown_sizes_too() -> None:
    """In style slim the channels stay as they are."""
    row = thin(with_style(find_row("ResNet18"), "slim"), units=(2, 3), widths=(8, 16), shortcut=None)
    model = keras_resnet.ResNet(row, weights=None, input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="'conv2_block2' has no shortcut and changes the shape"):
        keras_resnet.delete_units(model, "conv2_block2")


@once
@pytest.mark.parametrize("prepare", [keras_resnet.fold_batch_norm, keras_resnet.optimize_for_inference])
@pytest.mark.parametrize("network", ["ResNet18", "ResNet50V2", "ResNet20V2"])
def test_units_of_folded_and_optimized_networks_are_deleted(network: str, prepare: Any) -> None:
    model, x = build(network, shortcut="B"), images(33, 40)
    lesioned = keras_resnet.delete_units(prepare(model), ["conv2_block1", "conv3_block3"])
    assert_close(run(lesioned, x), run(keras_resnet.delete_units(model, ["conv2_block1", "conv3_block3"]), x), 1e-5)


@once
def test_what_is_no_whole_unit_is_refused() -> None:
    model = build("ResNet18")
    cut = keras.Model(model.input, model.get_layer("conv3_block3_1_relu").output)
    with pytest.raises(ValueError, match="`units` must name complete residual blocks; 'conv3_block3' is incomplete"):
        keras_resnet.delete_units(cut, "conv3_block3")
    keras_resnet.delete_units(cut, "conv3_block2")
    for network, end in (("ResNet18", "1_relu"), ("ResNet18", "2_bn"), ("ResNet18V2", "1_relu")):
        plain = build(network, shortcut=None)
        cut = keras.Model(plain.input, plain.get_layer(f"conv3_block3_{end}").output)
        with pytest.raises(
            ValueError, match="`units` must name complete residual blocks; 'conv3_block3' is incomplete"
        ):
            keras_resnet.delete_units(cut, "conv3_block3")
    frames = keras.Sequential([keras.Input((2, 33, 40, 3)), keras.layers.TimeDistributed(model)])
    with pytest.raises(ValueError, match="'conv3_block2' lies inside a layer of"):
        keras_resnet.delete_units(frames, "conv3_block2")
    folded = keras_resnet.fold_batch_norm(build("ResNet18V2", shortcut=None))
    with pytest.raises(ValueError, match="Delete blocks first, then fold"):
        keras_resnet.delete_units(folded, "conv3_block2")


@once
def test_units_of_keras_applications_and_of_models_in_models_are_deleted() -> None:
    model = randomise(
        keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    )
    x = images(32, 32)
    outer = keras.Sequential([keras.Input((32, 32, 3)), model])
    lesioned, inner = keras_resnet.delete_units(model, "conv4_block5"), keras_resnet.delete_units(outer, "conv4_block5")
    assert np.abs(run(lesioned, x) - run(model, x)).max() > 1e-3
    np.testing.assert_array_equal(run(inner, x), run(lesioned, x))
    assert lesioned.count_params() < model.count_params()


@once
def test_of_two_networks_the_scope_names_one() -> None:
    image = keras.Input((33, 33, 3))
    nets = [
        keras_resnet.slim.resnet_v1(image, [keras_resnet.slim.resnet_v1_block("block1", 4, 2, 1)], scope=scope)[0]
        for scope in ("one", "other")
    ]
    model = randomise(keras.Model(image, nets))
    with pytest.raises(ValueError, match="`scope` must be one of 'one', 'other'"):
        keras_resnet.delete_units(model, "conv2_block2")
    x = images(33, 33)
    lesioned = keras_resnet.delete_units(model, "conv2_block2", scope="other")
    before, after = model.predict(x, verbose=0), lesioned.predict(x, verbose=0)
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 1e-3


@once
def test_a_unit_that_is_not_there_is_told() -> None:
    model = build("ResNet18")
    for wrong in ("conv9_block1", ["conv2_block1", "conv2_block3"], 3, [None]):
        with pytest.raises(ValueError, match="`units` must be one of 'conv2_block1', .*'conv3_block3'; received"):
            keras_resnet.delete_units(model, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no layers such as 'conv2_block1_1_conv'"):
        keras_resnet.delete_units(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), "conv2_block1")
