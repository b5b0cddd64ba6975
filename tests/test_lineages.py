"""Every lineage against the real library: golden outputs of torchvision, timm and TF-Slim.

(keras.applications runs in process: test_drop_in.)
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import names, variants
from keras_resnet.lineages import TORCH_V1
from keras_resnet.plans import Plan
from keras_resnet.variants import Variant, plan
from tests.nets import assert_close, run, with_style

GOLDENS = Path(__file__).parent / "goldens"
TORCH = keras.backend.backend() == "torch"  # the quickest to start: every size there, 65 alone elsewhere


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


def fill_from_torch(model: keras.Model, modules: dict[str, str], shapes: dict[str, list[int]]) -> None:
    """Gives every weight the value of its key, and uses every key."""
    left = {key for key in shapes if not key.endswith("num_batches_tracked")}
    for layer in model.layers:
        for weight in layer.weights:
            key = f"{modules[layer.name]}.{names.TORCH_VARIABLES[weight.name]}"
            value = formula(key, shapes[key])
            if weight.name == "kernel":
                kernel = len(weight.shape) == 4
                value = value.transpose(2, 3, 1, 0) if kernel else value.reshape(value.shape[:2]).T
            weight.assign(value)
            left.remove(key)
    assert not left


def features(model: keras.Model) -> keras.Model:
    """The same model, ended at its last feature map."""
    return keras.Model(model.input, model.get_layer("avg_pool").input)


V1, V2 = names.torchvision, names.timm_v2
NETS: list[tuple[str, str, Variant, Callable[[Plan], dict[str, str]], int | None]] = [
    ("torchvision__resnet18", "torchvision__resnet18", variants.RESNET18, V1, None),
    ("torchvision__resnet50", "torchvision__resnet50", variants.RESNET50, V1, None),
    ("timm__resnetv2_18", "timm__resnetv2_18", variants.RESNET18V2, V2, None),
    ("timm__resnetv2_50", "timm__resnetv2_50", variants.RESNET50V2, V2, None),
    ("torchvision__resnet50_os8", "torchvision__resnet50", variants.RESNET50, V1, 8),
]
NETS += (
    []
    if not TORCH
    else [
        # timm's output_stride, torchvision's replace_stride_with_dilation
        ("timm__resnet18_os8", "torchvision__resnet18", variants.RESNET18, V1, 8),
        ("torchvision__resnet50_os16", "torchvision__resnet50", variants.RESNET50, V1, 16),
        ("timm__resnetv2_50_os8", "timm__resnetv2_50", variants.RESNET50V2, V2, 8),
    ]
)


@pytest.mark.parametrize(("golden", "keys", "variant", "modules", "stride"), NETS, ids=[net[0] for net in NETS])
def test_style_torch_gives_the_numbers_of_torchvision_and_timm(
    golden: str, keys: str, variant: Variant, modules: Any, stride: int | None
) -> None:
    expected = np.load(GOLDENS / "torch" / f"{golden}.npz")
    model = keras_resnet.ResNet(
        variant, input_shape=(None, None, 3), classifier_activation=None, style="torch", output_stride=stride
    )
    shapes = json.loads((GOLDENS / "torch" / f"{keys}.keys.json").read_text())
    fill_from_torch(model, modules(plan(with_style(variant, "torch"))), shapes)
    for height, width in [(64, 64), (65, 65), (97, 70)] if TORCH else [(65, 65)]:
        x, suffix = image(height, width), f"{height}x{width}"
        assert_close(run(model, x), expected[f"logits_{suffix}"], 1e-5)
        maps = np.moveaxis(run(features(model), x), -1, 1)
        assert maps.shape == tuple(expected[f"features_shape_{suffix}"])
        assert_close(maps.mean((2, 3)), expected[f"features_mean_{suffix}"], 1e-5)
        if f"features_{suffix}" in expected:
            assert_close(maps[0, ::64], expected[f"features_{suffix}"], 1e-5)


@pytest.mark.one_backend
def test_a_stride_in_the_1x1_would_be_another_network() -> None:
    """A test of the tests."""
    expected = np.load(GOLDENS / "torch" / "torchvision__resnet50.npz")
    lineage = dataclasses.replace(TORCH_V1, stride_at="first_conv")
    variant = dataclasses.replace(variants.RESNET50, lineage=lineage)
    model = keras_resnet.ResNet(variant, input_shape=(64, 64, 3), classifier_activation=None)
    shapes = json.loads((GOLDENS / "torch" / "torchvision__resnet50.keys.json").read_text())
    fill_from_torch(model, names.torchvision(plan(variant)), shapes)
    with pytest.raises(AssertionError, match="deviates"):
        assert_close(run(model, image(64, 64)), expected["logits_64x64"], 1e-2)


CASES = ["v1_2222/gp_65", "v2_2222/train_65"]
CASES += ["v1_3463/fcn_65_os8", "v2_3463/gp_64", "v1_2222/noroot64_fcn_15x12", "v2_2222/fcn_64_os4"] if TORCH else []


@pytest.mark.parametrize("case", CASES)
def test_style_slim_gives_the_numbers_of_tf_slim(case: str) -> None:
    """Logits and every block of a builder's network, filled from a checkpoint. (All cases: test_slim_goldens.)"""
    expected = np.load(GOLDENS / "slim" / f"{case}.npz")
    checkpoint = case.split("/")[0]
    variant = variants.RESNET50 if checkpoint.startswith("v1") else variants.RESNET50V2
    variant = dataclasses.replace(variant, units=tuple(map(int, checkpoint[3:])), widths=(4, 8, 16, 32))
    if "noroot" in case:
        variant = dataclasses.replace(variant, stem=None)
    x = expected["input"]
    model = keras_resnet.ResNet(
        variant,
        weights=GOLDENS / "slim" / checkpoint / "model.ckpt",
        input_shape=(None, None, x.shape[-1]),
        classes=10,
        classifier_activation=None,
        output_stride=int(case.partition("_os")[2]) if "_os" in case else None,
        global_pool="fcn" not in case,
    )
    points = keras_resnet.end_points(model, "net")
    ends = {f"block{i}": points[f"net/block{i}"] for i in range(1, 5)} | {"logits": points["net/logits"]}
    training = "train" in case
    outputs = keras.Model(model.input, ends)(x, training=training)
    for key, output in outputs.items():
        mine = np.asarray(keras.ops.convert_to_numpy(output))
        assert_close(mine.reshape(expected[key].shape), expected[key], 5e-5 if training else 1e-5)


@pytest.mark.one_backend
def test_the_maps_name_every_layer_with_weights_once() -> None:
    """Also those of networks that the goldens don't have."""
    maps = {
        ("torch", 1): names.torchvision,
        ("torch", 2): names.timm_v2,
        ("slim", 1): names.slim,
        ("slim", 2): names.slim,
    }
    for variant in (variants.RESNET34, variants.RESNET101, variants.RESNET18V2, variants.RESNET50V2):
        for (style, version), names_of in maps.items():
            if version == variant.version:
                model = keras_resnet.ResNet(variant, style=style, input_shape=(32, 32, 3))
                modules = names_of(plan(with_style(variant, style)))
                ours = [modules[layer.name] for layer in model.layers if layer.weights]
                assert len(set(ours)) == len(ours)
