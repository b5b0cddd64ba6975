"""TF-Slim's functions, filled from the checkpoints that the real TF-Slim wrote, give the numbers that it gave."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import slim
from keras_resnet.checkpoints.families import tf_slim
from keras_resnet.models.inspection import find_networks
from tests.helpers.nets import assert_close

GOLDENS = Path(__file__).parents[2] / "goldens" / "slim"
MANIFEST = json.loads((GOLDENS / "manifest.json").read_text())
TORCH = keras.backend.backend() == "torch"  # the quickest to start: every case there, those of 65 pixels elsewhere

CASES = [
    (checkpoint, f"{checkpoint}/{case}.npz", arguments)
    for checkpoint, network in MANIFEST["checkpoints"].items()
    for case, arguments in network["cases"].items()
    if TORCH or "65" in case
]
CASES += [
    (name[:7], f"non_strided/{name}", arguments | {"store_non_strided_activations": True, "num_classes": 10})
    for name, arguments in MANIFEST["non_strided"].items()
    if TORCH or "65" in name
]


def build(checkpoint: str, shape: tuple[int, ...], **arguments: Any) -> tuple[Any, dict[str, Any], Any]:
    """`(net, end_points)` of the network in a checkpoint, and its input."""
    network, version = MANIFEST["checkpoints"][checkpoint], checkpoint[1]
    block, build = getattr(slim, f"resnet_v{version}_block"), getattr(slim, f"resnet_v{version}")
    inputs = keras.Input(shape)
    blocks = [
        block(f"block{i}", *row)
        for i, row in enumerate(zip(network["base_depths"], network["units"], network["strides"], strict=True), 1)
    ]
    net, end_points = build(inputs, blocks, spatial_squeeze=False, scope=network["scope"], **arguments)
    return net, end_points, inputs


@pytest.mark.parametrize(("checkpoint", "file", "arguments"), CASES, ids=[case[1] for case in CASES])
def test_every_number_of_tf_slim(checkpoint: str, file: str, arguments: dict[str, Any]) -> None:
    """Within 1e-5 of the scale; batch statistics of 36 positions, in float32, within 5e-5."""
    expected = dict(np.load(GOLDENS / file))
    scope = MANIFEST["checkpoints"][checkpoint]["scope"]
    training = bool(arguments.get("is_training"))
    x = expected.pop("input") if "input" in expected else np.load(GOLDENS / checkpoint / "train_65.npz")["input"]
    net, points, inputs = build(checkpoint, x.shape[1:], weight_decay=1e-4, **{"is_training": False} | arguments)
    tensors = {"net": net} | points | {key.removeprefix(f"{scope}/"): point for key, point in points.items()}
    others = ("after_update/", "reg_loss", "tensor/")
    outputs = {key: tensors[key.removeprefix("ep/")] for key in expected if not key.startswith(others)}
    model = keras.Model(inputs, {"net": net} | outputs)
    report = keras_resnet.load_weights(model, GOLDENS / checkpoint / "model.ckpt")
    assert report.left == ()
    if "reg_loss" in expected and arguments["num_classes"]:
        regularization = float(keras.ops.convert_to_numpy(sum(model.losses)))
        assert regularization == pytest.approx(float(expected["reg_loss"]), rel=1e-5)
    before = {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}
    results = model(x)
    for key in outputs:
        assert_close(keras.ops.convert_to_numpy(results[key]), expected[key], 5e-5 if training else 1e-5)
    if training:
        assert_updated(model, before, scope, len(x), expected)


def assert_updated(
    model: keras.Model, before: dict[str, Any], scope: str, images: int, expected: dict[str, Any]
) -> None:
    """One step's moving means are TF-Slim's; into its moving variances goes N / (N - 1) times what goes into ours."""
    (network,) = find_networks(model)
    norms = [name for name in network.layers if name.endswith("_bn")]
    assert 2 * len(norms) == sum(key.startswith("after_update/") for key in expected)
    for name in norms:
        layer = network.layers[name]
        key, keep = f"after_update/{scope}/{tf_slim.modules(network.plan)[name]}", layer.momentum
        mean, variance = (keras.ops.convert_to_numpy(each) for each in (layer.moving_mean, layer.moving_variance))
        assert_close(mean, expected[f"{key}/moving_mean"], 5e-5)
        count = images * layer.input.shape[1] * layer.input.shape[2]
        step = variance - keep * before[layer.moving_variance.path]
        assert_close(variance + step / (count - 1), expected[f"{key}/moving_variance"], 5e-5)
