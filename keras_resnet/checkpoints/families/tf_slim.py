"""TF-Slim's checkpoints: variable scopes below that of the network, such as `block3/unit_6/bottleneck_v1/conv2`."""

import re

from keras_resnet.architecture.plans import Conv, Plan, Unit
from keras_resnet.checkpoints.families.family import Family

SLIM_VARIABLES = {
    "kernel": "weights",
    "bias": "biases",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "moving_variance": "moving_variance",
}


def modules(plan: Plan) -> dict[str, str]:
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


SLIM = Family(
    "TF-Slim",
    None,
    modules,
    SLIM_VARIABLES,
    separator="/",
    unit=r"(?P<stage>[^/]{1,60})/unit_(?P<unit>\d+)/bottleneck_v[12]",
    first="/conv1/weights",
    stem="conv1/",
    own=rf".+/({'|'.join(SLIM_VARIABLES.values())})",
    bias=r"(^|/)(conv\d|shortcut)/biases$",
    styles=("slim",),
    v2="bottleneck_v2/",
    convolves=True,
)
