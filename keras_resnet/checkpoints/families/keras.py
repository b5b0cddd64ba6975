"""Checkpoints of Keras: keras.applications' and ours, whose layers have one naming; and files that hold no names."""

from dataclasses import replace
from typing import Any

from keras_resnet.architecture.plans import Plan
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
    names = [f"{conv.name}_{kind}" for conv in plan.convs() for kind in ("conv", "bn")]
    if plan.version == 2:
        names += [*(f"{unit.name}_preact_bn" for unit in plan.units), "post_bn"]
    return {name: name for name in (*names, "predictions")}


KERAS = Family(
    "Keras",
    None,
    modules,
    unit=r"(?P<stage>[^/]{1,60}?)_block(?P<unit>\d+)",
    own=r"([^/]+_block\d+_[^/]+|conv1_(conv|bn)|post_bn|predictions|probs)/[^/]+",
    styles=("keras", "torch", "torch_1x1", "torch_cifar", "slim", "keras_2016", "keras_2018"),
    v2="_preact_bn/",
    others={"predictions": "probs"},  # keras.applications' own files
    **LAYERS,
)
# Files of Keras that don't hold the names of layers: those of before 3.8, in the order that layers have.
POSITIONS = replace(
    KERAS, names=None, unit=r"conv2d(_\d+)?", first="/kernel", own=r"(conv2d|batch_normalization|dense)(_\d+)?/[^/]+"
)
