"""TF-Slim's checkpoints: variable scopes below that of the network, such as `block3/unit_6/bottleneck_v1/conv2`."""

import re
from collections import defaultdict
from collections.abc import Collection

from keras_resnet.architecture.plans import Conv, Plan, Unit
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.names.renamed import Renamed
from keras_resnet.checkpoints.open import Source

_AVERAGE = "/ExponentialMovingAverage"

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
    own=r"([^/]{1,60}/unit_\d+/bottleneck_v[12]/.+/|conv1/(.+/)?|(postnorm|logits)/)"
    rf"({'|'.join(SLIM_VARIABLES.values())})",
    bias=r"(^|/)(conv\d|shortcut)/biases$",
    styles=("slim",),
    v2="bottleneck_v2/",
    convolves=True,
)


def averages(names: Collection[str]) -> dict[str, str]:
    """Returns by which names of a file its weights and their moving averages change places.

    TensorFlow saves the average of `X` as `X/ExponentialMovingAverage`. An average without its weight takes its place.
    """
    found = {}
    for average in names:
        if average.endswith(_AVERAGE):
            weight = average.removesuffix(_AVERAGE)
            found[weight] = average
            if weight in names:
                found[average] = weight
    return found


def only_averages(source: Source) -> Source:
    """Returns a file that holds the moving averages of weights without any of these with the averages as weights."""
    found = averages(source.shapes)
    return Renamed(source, found) if found and found.keys().isdisjoint(source.shapes) else source


def joined(source: Source) -> Source:
    """Returns a file whose network lies in two scopes with both in the first, as TensorFlow's Faster R-CNN has it.

    These are `FirstStageFeatureExtractor/resnet_v1_50/`, to the third block, and, with the fourth one,
    `SecondStageFeatureExtractor/resnet_v1_50/`: no more than two of one name, the second with the blocks that follow.
    """
    parts = defaultdict(list)
    for scope in SLIM.scopes(source.shapes):
        around, _, name = scope.rstrip("/").rpartition("/")
        if around:
            parts[name].append(scope)
    pairs = [scopes for scopes in parts.values() if len(scopes) == 2]
    if len(pairs) != 1:
        return source
    held = {scope: [name for name in source.shapes if name.startswith(scope)] for scope in pairs[0]}
    blocks = {scope: _blocks(scope, names) for scope, names in held.items()}
    first, second = sorted(held, key=lambda scope: blocks[scope])
    whole = blocks[first] + blocks[second] == list(range(1, len(blocks[first]) + len(blocks[second]) + 1))
    rooted = [any(name.startswith(f"{scope}conv1/") for name in held[scope]) for scope in (first, second)]
    apart = not first.startswith(second) and not second.startswith(first)
    if not (whole and apart and rooted == [True, False]):
        return source
    moved = {f"{first}{name.removeprefix(second)}": name for name in held[second]}
    return Renamed(source, moved) if moved.keys().isdisjoint(source.shapes) else source


def _blocks(scope: str, names: Collection[str]) -> list[int]:
    """The numbers of TF-Slim's blocks that there are tensors of, sorted."""
    found = (re.match(r"block(\d{1,3})/", name[len(scope) :]) for name in names)
    return sorted({int(match[1]) for match in found if match})
