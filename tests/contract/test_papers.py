"""What the papers state exactly: units that do nothing, sums of residuals, gradients, counts, a thousand layers."""

import dataclasses
import sys
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import keras_resnet
from keras_resnet.architecture.lineages import LINEAGES, TORCH_V2
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET34, RESNET50, RESNET50V2, RESNET101, find_row
from keras_resnet.architecture.variant import Variant
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style
from tests.project.test_tutorials import load

once = pytest.mark.one_backend
KINDS = [
    pytest.param(with_style(row, style), id=f"{row.name}-{style}")
    for row in (RESNET18, RESNET50, RESNET18V2, RESNET50V2)
    for style, version in LINEAGES
    if version == row.version
]


def stage(variant: Variant, units: int) -> keras.Model:
    """A network without stem of one stage, on maps with signs; all weights are random."""
    row = dataclasses.replace(variant, units=(units,), widths=(8,), stem=None)
    channels = row.out(8)
    return randomise(keras_resnet.ResNet(row, include_top=False, weights=None, input_shape=(6, 5, channels)))


def silence(model: keras.Model, unit: str) -> None:
    """Puts gamma and beta of a unit's last norm to zero and, where a convolution follows it, that one's bias."""
    names = {layer.name for layer in model.layers}
    last = "2" if f"{unit}_3_conv" in names else "1"
    v2 = not names.isdisjoint((f"{unit}_preact_bn", f"{unit}_preact_gn"))
    place = f"{unit}_{last if v2 else int(last) + 1}"
    norm = model.get_layer(f"{place}_bn" if f"{place}_bn" in names else f"{place}_gn")
    norm.gamma.assign(np.zeros(norm.gamma.shape))
    norm.beta.assign(np.zeros(norm.beta.shape))
    conv = model.get_layer(f"{unit}_{int(last) + 1}_conv")
    if v2 and conv.use_bias:
        conv.bias.assign(np.zeros(conv.bias.shape))


@once
@pytest.mark.parametrize("variant", KINDS)
def test_with_its_last_norm_at_zero_a_unit_is_the_identity(variant: Variant) -> None:
    """arXiv:1512.03385 section 3.1; v1's maps, which a ReLU has left, are never negative."""
    model = stage(variant, 2)
    outputs = [model.get_layer(f"conv2_block{number}_out").output for number in (1, 2)]
    x = images(6, 5, model.input.shape[-1])
    before, after = keras.Model(model.input, outputs).predict(x, verbose=0)
    assert np.abs(after - before).max() > 0.1
    silence(model, "conv2_block2")
    before, after = keras.Model(model.input, outputs).predict(x, verbose=0)
    assert bool(before.min() < 0) is (variant.version == 2)
    np.testing.assert_array_equal(after, before)


@once
@pytest.mark.parametrize("network", ["ResNet18", "ResNet50", "ResNet18V2", "ResNet50V2"])
def test_a_deeper_net_can_do_what_a_shallower_one_does(network: str) -> None:
    """The argument by construction of arXiv:1512.03385 section 1: the units in addition are identities."""
    row = thin(with_style(find_row(network), "torch"))
    fields: dict[str, Any] = {"weights": None, "input_shape": (33, 40, 3), "classes": 5, "classifier_activation": None}
    shallow = randomise(keras_resnet.ResNet(dataclasses.replace(row, units=(1, 1, 2, 1)), **fields))
    deep = randomise(keras_resnet.ResNet(dataclasses.replace(row, units=(2, 1, 4, 3)), **fields), seed=1)
    expected, x = run(shallow, images(33, 40)), images(33, 40)
    known = {layer.name: layer for layer in shallow.layers}
    for layer in deep.layers:
        if layer.name in known:
            layer.set_weights(known[layer.name].get_weights())
    assert np.abs(run(deep, x) - expected).max() > 1e-3
    for unit in ("conv2_block2", "conv4_block3", "conv4_block4", "conv5_block2", "conv5_block3"):
        silence(deep, unit)
    assert_close(run(deep, x), expected, 1e-6)


def residuals(model: keras.Model) -> list[Any]:
    return [layer.input[1] for layer in model.layers if isinstance(layer, keras.layers.Add)]


@once
@pytest.mark.parametrize("variant", [RESNET18V2, RESNET50V2], ids=lambda v: v.name)
def test_in_v2_the_difference_of_two_maps_is_the_sum_of_the_residuals_between(variant: Variant) -> None:
    """arXiv:1603.05027 equation 4."""
    model = stage(with_style(variant, "torch"), 5)
    ends = [model.get_layer(f"conv2_block{number}_out").output for number in (1, 5)]
    x = images(6, 5, model.input.shape[-1])
    first, last, *parts = keras.Model(model.input, ends + residuals(model)[1:]).predict(x, verbose=0)
    assert len(parts) == 4
    assert_close(last - first, np.sum(parts, axis=0), 1e-5)


def test_in_v2_the_gradient_is_a_direct_term_and_one_through_the_weights() -> None:
    """arXiv:1603.05027 equation 5, of a loss that is not linear."""
    model = stage(dataclasses.replace(RESNET18V2, lineage=TORCH_V2), 3)
    end = keras.Model(model.input, model.get_layer("conv2_block3_out").output)
    total = keras.Model(model.input, keras.layers.Add()(residuals(model)))
    gradient, x = load("grad_cam").gradient, ops.convert_to_tensor(images(6, 5, 8))

    def loss(maps: Any) -> Any:
        return ops.sum(ops.tanh(maps / 2))

    direct = gradient(loss, end(x, training=False))
    through = gradient(lambda maps: ops.sum(total(maps, training=False) * direct), x)
    whole = gradient(lambda maps: loss(end(maps, training=False)), x)
    direct, through, whole = (ops.convert_to_numpy(each) for each in (direct, through, whole))
    assert np.abs(through).max() > 0.1 * np.abs(whole).max()
    assert_close(direct + through, whole, 1e-5)


@once
def test_at_256_channels_a_bottleneck_has_a_seventeenth_of_the_weights_of_a_basic_unit() -> None:
    """arXiv:1512.03385 Figure 5, at equal channels."""
    counts = {}
    for name, width in (("ResNet34", 256), ("ResNet50", 64)):
        row = dataclasses.replace(with_style(find_row(name), "torch"), units=(2,), widths=(width,), stem=None)
        unit = plan(row, channels=256).units[1]
        assert (unit.inputs, unit.filters) == (256, 256)
        counts[name] = sum(prod(conv.kernel_shape) for conv in unit.convs)
    assert counts == {"ResNet34": 1_179_648, "ResNet50": 69_632}


@once
def test_plain_34_costs_18_to_19_percent_of_vgg_19() -> None:
    """arXiv:1512.03385 section 3.3; VGG-19's layers are those of keras.applications."""
    vgg = keras.applications.VGG19(include_top=False, weights=None, input_shape=(224, 224, 3))
    convs = [layer for layer in vgg.layers if isinstance(layer, keras.layers.Conv2D)]
    dense = [int(np.prod(vgg.output.shape[1:])), 4096, 4096, 1000]
    cost = sum(prod(layer.kernel.shape) * prod(layer.output.shape[1:3]) for layer in convs)
    cost += sum(before * after for before, after in pairwise(dense))
    assert len(convs) + 3 == 19
    assert cost == 19_632_062_464
    plain = plan(dataclasses.replace(RESNET34, shortcut=None)).multiply_adds()
    assert 0.18 < plain / cost < 0.19


@once
def test_resnet_101_is_resnet_50_with_17_more_units_in_conv4() -> None:
    small, large = (plan(row).stages for row in (RESNET50, RESNET101))
    assert [len(each) - len(one) for one, each in zip(small, large, strict=True)] == [0, 0, 17, 0]
    for one, each in zip(small, large, strict=True):
        assert one == each[: len(one)]


@once
@pytest.mark.parametrize(("network", "millions", "convs"), [("ResNet1202", 19.4, 1201), ("ResNet1001V2", 10.3, 1000)])
def test_a_thousand_layers_are_built_saved_and_loaded(
    network: str, millions: float, convs: int, tmp_path: Path
) -> None:
    """Keras walks v1's way of two layers a unit, 1,200, deeper than Python lets it, v2's of one a unit not."""
    limit = sys.getrecursionlimit()
    model = getattr(keras_resnet, network)()
    assert sys.getrecursionlimit() == limit
    assert round(sum(prod(weight.shape) for weight in model.trainable_weights) / 1e6, 1) == millions
    if network == "ResNet1202":
        with pytest.raises(RecursionError):
            keras.Model(model.input, model.output)
        keras_resnet.delete_units(model, "conv3_block7")
    main_path = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and "_0_" not in layer.name]
    assert len(main_path) == convs
    assert set(keras_resnet.feature_pyramid(model).output) == {"C2", "C3", "C4"}
    assert keras_resnet.labels.class_names(keras_resnet.labels.with_class_names(model, "0123456789")) == tuple(
        "0123456789"
    )
    path = tmp_path / "deep.keras"
    model.save(path)
    if network == "ResNet1202":
        with pytest.raises(RecursionError):
            keras.models.load_model(path)
    sys.setrecursionlimit(20_000)
    try:
        loaded = keras.models.load_model(path)
    finally:
        sys.setrecursionlimit(limit)
    for mine, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
