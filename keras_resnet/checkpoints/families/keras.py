"""Checkpoints of Keras: keras.applications' and ours, whose layers have one naming; and files that hold no names."""

from dataclasses import replace
from typing import Any

from keras_resnet.architecture.lineages import PUBLISHED
from keras_resnet.architecture.plans import SUFFIXES, Conv, Plan
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.torchvision import TORCH_VARIABLES

# What all files of Keras share.
LAYERS: dict[str, Any] = {
    "separator": "/",
    "variables": {name: name for name in TORCH_VARIABLES},
    "first": "_1_conv/kernel",
    "stem": "conv1_",
    "bias": r"_conv/bias$",
}


def modules(plan: Plan) -> dict[str, str]:
    """The layers that have weights, each under its own name."""
    names = (*(f"{conv.name}_conv" for conv in plan.convs()), *(norm.name for norm in plan.norms()))
    return {name: name for name in (*names, "predictions")}


def positions(plan: Plan) -> dict[str, str]:
    """What Keras calls the layers of a network without gates in files that don't hold their names.

    It sorts layers by their depth, so that a projection comes in front of the last convolution beside it.
    """
    convs = list(plan.stem)
    for unit in plan.units:
        branch = [unit.shortcut] if isinstance(unit.shortcut, Conv) else []
        convs += [*unit.convs[:-1], *branch, unit.convs[-1]]
    if plan.version == 1:
        norms = [f"{conv.name}_{SUFFIXES[plan.norm]}" for conv in convs]
    else:
        norms = [norm.name for norm in plan.norms()]
    kinds = {"conv2d": [f"{conv.name}_conv" for conv in convs], f"{plan.norm}_normalization": norms}
    return {
        name: f"{kind}_{number}" if number else kind
        for kind, names in kinds.items()
        for number, name in enumerate(names)
    }


KERAS = Family(
    "Keras",
    None,
    modules,
    unit=r"(?P<stage>[^/]{1,60}?)_block(?P<unit>\d+)",
    own=r"([^/]+_block\d+_[^/]+|(conv1(_\d)?|pool1)_(conv|[bg]n)|data_bn|post_[bg]n|predictions|probs)/[^/]+",
    styles=tuple(dict.fromkeys(row.style for row in PUBLISHED)),
    v2="_preact_",
    others={"predictions": "probs"},  # keras.applications' own files
    **LAYERS,
)
DENSE = "dense"  # the classifier of a file without names
# Files of Keras that don't hold the names of layers: those of before 3.8, in the order that layers have.
POSITIONS = replace(
    KERAS,
    names=None,
    unit=r"conv2d(_\d+)?",
    first="/kernel",
    own=r"(conv[12]d|(batch|group)_normalization|dense)(_\d+)?/[^/]+",
)
