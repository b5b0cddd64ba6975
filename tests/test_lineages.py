"""Style "torch" against the real torchvision and timm: golden outputs, weights made again from their names."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import variants
from keras_resnet.lineages import TORCH_V1
from keras_resnet.plans import Conv
from keras_resnet.variants import Variant, plan
from tests.nets import assert_close, run, with_style

GOLDENS = Path(__file__).parent / "goldens" / "torch"
Names = dict[str, str]


def formula(name: str, shape: list[int]) -> Any:
    """The weights with which the goldens were made: a function of name and shape."""
    rng = np.random.RandomState(int.from_bytes(hashlib.sha256(f"0:{name}".encode()).digest()[:4], "little"))
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype("f4")
    if name.endswith("running_mean"):
        return (0.1 * rng.standard_normal(shape)).astype("f4")
    if len(shape) == 1:
        value = rng.uniform(0.2, 0.6, shape) if name.endswith("weight") else 0.1 * rng.standard_normal(shape)
        return value.astype("f4")
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype("f4")


def image(height: int, width: int) -> Any:
    x = np.random.RandomState(1).uniform(-1, 1, (2, 3, height, width)).astype("f4")
    return np.moveaxis(x, 1, -1)


def torchvision_names(variant: Variant) -> Names:
    """Our layers and torchvision's modules."""
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1", "predictions": "fc"}
    for stage, units in enumerate(plan(variant).stages, 1):
        for index, unit in enumerate(units):
            prefix = f"layer{stage}.{index}"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{conv.name}_conv": f"{prefix}.conv{i}", f"{conv.name}_bn": f"{prefix}.bn{i}"}
            if isinstance(unit.shortcut, Conv):
                name = unit.shortcut.name
                names |= {f"{name}_conv": f"{prefix}.downsample.0", f"{name}_bn": f"{prefix}.downsample.1"}
    return names


def timm_v2_names(variant: Variant) -> Names:
    """Our layers and timm's modules: a norm carries the number of the convolution that follows it."""
    names = {"conv1_conv": "stem.conv", "post_bn": "norm", "predictions": "head.fc"}
    for stage, units in enumerate(plan(variant).stages):
        for index, unit in enumerate(units):
            prefix, norm = f"stages.{stage}.blocks.{index}", f"{unit.name}_preact"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{norm}_bn": f"{prefix}.norm{i}", f"{conv.name}_conv": f"{prefix}.conv{i}"}
                norm = conv.name
            if isinstance(unit.shortcut, Conv):
                names[f"{unit.shortcut.name}_conv"] = f"{prefix}.downsample.conv"
    return names


SUFFIX = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def fill(model: keras.Model, names: Names, shapes: dict[str, list[int]]) -> None:
    """Gives every weight the value of its key, and uses every key."""
    left = {key for key in shapes if not key.endswith("num_batches_tracked")}
    for layer in model.layers:
        for weight in layer.weights:
            key = f"{names[layer.name]}.{SUFFIX[weight.name]}"
            value = formula(key, shapes[key])
            if weight.name == "kernel":
                kernel = len(weight.shape) == 4
                value = value.transpose(2, 3, 1, 0) if kernel else value.reshape(value.shape[:2]).T
            weight.assign(value)
            left.remove(key)
    assert not left


@pytest.mark.parametrize(
    ("golden", "variant", "names"),
    [
        ("torchvision__resnet18", variants.RESNET18, torchvision_names),
        ("torchvision__resnet50", variants.RESNET50, torchvision_names),
        ("timm__resnetv2_50", variants.RESNET50V2, timm_v2_names),
    ],
)
def test_style_torch_gives_the_logits_of_torchvision_and_timm(golden: str, variant: Variant, names: Any) -> None:
    expected = np.load(GOLDENS / f"{golden}.npz")
    model = keras_resnet.ResNet(variant, input_shape=(None, None, 3), classifier_activation=None, style="torch")
    fill(model, names(with_style(variant, "torch")), json.loads((GOLDENS / f"{golden}.keys.json").read_text()))
    every_size = keras.backend.backend() == "torch"  # the quickest to start; elsewhere 65 alone
    sizes = [(64, 64), (65, 65), (97, 70)] if every_size else [(65, 65)]
    features = keras.Model(model.input, model.get_layer("avg_pool").output)
    for size in sizes:
        suffix = "x".join(map(str, size))
        assert_close(run(model, image(*size)), expected[f"logits_{suffix}"], 1e-5)
        assert_close(run(features, image(*size)), expected[f"features_mean_{suffix}"], 1e-5)


@pytest.mark.one_backend
def test_a_stride_in_the_1x1_would_be_another_network() -> None:
    """A test of the tests."""
    expected = np.load(GOLDENS / "torchvision__resnet50.npz")
    lineage = dataclasses.replace(TORCH_V1, stride_at="first_conv")
    variant = dataclasses.replace(variants.RESNET50, lineage=lineage)
    model = keras_resnet.ResNet(variant, input_shape=(64, 64, 3), classifier_activation=None)
    fill(model, torchvision_names(variant), json.loads((GOLDENS / "torchvision__resnet50.keys.json").read_text()))
    with pytest.raises(AssertionError, match="deviates"):
        assert_close(run(model, image(64, 64)), expected["logits_64x64"], 1e-2)
