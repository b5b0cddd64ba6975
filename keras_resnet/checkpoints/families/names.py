"""What other libraries call our layers and their variables. Imports no Keras.

A map is a function of the plan: from each of our layers that has weights to the module or variable scope of theirs.
"""

import re

from keras_resnet.architecture.plans import Conv, Plan, Unit
from keras_resnet.architecture.variant import Variant


def timm_network(variant: Variant) -> str:
    """timm's name of a network: `resnet50`, `resnetv2_50`."""
    return variant.name if variant.version == 1 else f"resnetv2_{variant.name[6:-2]}"


# Our variables in PyTorch, Keras and TF-Slim.
TORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
KERAS_VARIABLES = {name: name for name in TORCH_VARIABLES}
SLIM_VARIABLES = {
    "kernel": "weights",
    "bias": "biases",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "moving_variance": "moving_variance",
}


def torchvision(plan: Plan) -> dict[str, str]:
    """torchvision's modules, and those of timm's plain v1 nets: `layer3.5.conv2` is `conv4_block6_2_conv`."""
    names = {"predictions": "fc"}
    if plan.stem:
        names |= {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    for stage, units in enumerate(plan.stages, 1):
        for index, unit in enumerate(units):
            theirs = f"layer{stage}.{index}"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{conv.name}_conv": f"{theirs}.conv{i}", f"{conv.name}_bn": f"{theirs}.bn{i}"}
            if isinstance(unit.shortcut, Conv):
                ours = unit.shortcut.name
                names |= {f"{ours}_conv": f"{theirs}.downsample.0", f"{ours}_bn": f"{theirs}.downsample.1"}
    return names


def huggingface(plan: Plan) -> dict[str, str]:
    """Modules of transformers' ResNetForImageClassification."""
    names, convs = {"predictions": "classifier.1"}, {}
    if plan.stem:
        convs["conv1"] = "embedder.embedder"
    for stage, units in enumerate(plan.stages):
        for index, unit in enumerate(units):
            theirs = f"encoder.stages.{stage}.layers.{index}"
            convs |= {conv.name: f"{theirs}.layer.{i}" for i, conv in enumerate(unit.convs)}
            if isinstance(unit.shortcut, Conv):
                convs[unit.shortcut.name] = f"{theirs}.shortcut"
    for ours, theirs in convs.items():
        names |= {f"{ours}_conv": f"resnet.{theirs}.convolution", f"{ours}_bn": f"resnet.{theirs}.normalization"}
    return names


def huggingface_body(plan: Plan) -> dict[str, str]:
    """Modules of transformers' ResNetModel, whose files have no classifier."""
    return {ours: theirs.removeprefix("resnet.") for ours, theirs in huggingface(plan).items()}


def timm_v2(plan: Plan) -> dict[str, str]:
    """timm's batch-norm v2 modules: a norm carries the number of the convolution that follows it."""
    names = {"post_bn": "norm", "predictions": "head.fc"}
    if plan.stem:
        names["conv1_conv"] = "stem.conv"
    for stage, units in enumerate(plan.stages):
        for index, unit in enumerate(units):
            theirs = f"stages.{stage}.blocks.{index}"
            names[f"{unit.name}_preact_bn"] = f"{theirs}.norm1"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{conv.name}_conv": f"{theirs}.conv{i}", f"{conv.name}_bn": f"{theirs}.norm{i + 1}"}
            if isinstance(unit.shortcut, Conv):
                names[f"{unit.shortcut.name}_conv"] = f"{theirs}.downsample.conv"
    return names


def slim(plan: Plan) -> dict[str, str]:
    """TF-Slim's variable scopes below that of the network, such as `block3/unit_6/bottleneck_v1/conv2`."""
    names = {"predictions": "logits"}
    convs = {"conv1": "conv1"} if plan.stem else {}
    for unit in plan.units:
        theirs = slim_unit(unit.name, plan.version)
        convs |= slim_convs(unit, theirs)
        if plan.version == 2:
            names[f"{unit.name}_preact_bn"] = f"{theirs}/preact"
    if plan.version == 2:
        names["post_bn"] = "postnorm"
    for ours, theirs in convs.items():  # in v2 only a unit's inner convolutions have a norm
        names |= {f"{ours}_conv": theirs, f"{ours}_bn": f"{theirs}/BatchNorm"}
    return names


def keras(plan: Plan) -> dict[str, str]:
    """keras.applications' layers, and ours."""
    return {ours: ours for ours in slim(plan)}


def keras_hub(plan: Plan) -> dict[str, str]:
    """KerasHub's layers of a ResNetBackbone, which counts stages and units from 0."""
    names = {ours: ours for ours in ("conv1_conv", "conv1_bn", "post_bn", "predictions")}
    for stage, units in enumerate(plan.stages):
        for index, unit in enumerate(units):
            theirs = f"stack{stage}_block{index}"
            names[f"{unit.name}_preact_bn"] = f"{theirs}_pre_activation_bn"
            for i in range(len(unit.convs) + 1):
                names |= {f"{unit.name}_{i}_{kind}": f"{theirs}_{i}_{kind}" for kind in ("conv", "bn")}
    return names


def slim_stage(block: str) -> str:
    """What we call the stage that is this block in TF-Slim: block3 is conv4; other names are taken as they are."""
    return f"conv{int(block[5:]) + 1}" if re.fullmatch(r"block[1-9]\d*", block) else block


def slim_block(stage: str) -> str:
    """What TF-Slim calls the block that is our stage: the inverse."""
    return f"block{int(stage[4:]) - 1}" if re.fullmatch(r"conv[1-9]\d*", stage) else stage


def slim_unit(name: str, version: int) -> str:
    """TF-Slim's scope of one of our units below that of the network."""
    stage, _, index = name.rpartition("_block")
    return f"{slim_block(stage)}/unit_{index}/bottleneck_v{version}"


def slim_convs(unit: Unit, scope: str) -> dict[str, str]:
    """TF-Slim's scopes of a unit's convolutions, in its order."""
    shortcut = {unit.shortcut.name: f"{scope}/shortcut"} if isinstance(unit.shortcut, Conv) else {}
    return shortcut | {conv.name: f"{scope}/conv{i}" for i, conv in enumerate(unit.convs, 1)}
