"""torchvision's checkpoints, and those that have its names: timm's plain v1 nets, self-supervised bodies."""

from typing import Any

from keras_resnet.architecture.plans import SUFFIXES, Conv, Plan
from keras_resnet.checkpoints.families.family import NO_COUNTERS, Family

# What all files of PyTorch share.
TORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
TORCH: dict[str, Any] = {
    "separator": ".",
    "variables": TORCH_VARIABLES,
    "bias": r"(^|\.)(conv\d?|convolution|downsample\.0)\.bias$",
    "transposed": True,
}


def modules(plan: Plan) -> dict[str, str]:
    """torchvision's modules, and those of timm's plain v1 nets: `layer3.5.conv2` is `conv4_block6_2_conv`."""
    norm = SUFFIXES[plan.norm]
    names = {"predictions": "fc"}
    if plan.stem:
        names |= {"conv1_conv": "conv1", f"conv1_{norm}": "bn1"}
    for stage, units in enumerate(plan.stages, 1):
        for index, unit in enumerate(units):
            theirs = f"layer{stage}.{index}"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{conv.name}_conv": f"{theirs}.conv{i}", f"{conv.name}_{norm}": f"{theirs}.bn{i}"}
            if isinstance(unit.shortcut, Conv):
                ours = unit.shortcut.name
                names |= {f"{ours}_conv": f"{theirs}.downsample.0", f"{ours}_{norm}": f"{theirs}.downsample.1"}
    return names


TORCHVISION = Family(
    "torchvision",
    1,
    modules,
    unit=r"layer(?P<stage>\d+)\.(?P<unit>\d+)",
    first=".conv1.weight",
    stem=r"(conv1|bn1)\.",
    own=rf"{NO_COUNTERS}(((conv|bn)[1-3]|layer\d+)\..+|(fc|linear)\.(weight|bias))",  # CLIP's stem has 3
    styles=("torch", "torch_1x1", "torch_cifar"),  # Caffe's and MSRA's weights stride in the first 1x1
    others={"predictions": "linear"},  # the published CIFAR nets
    tells={"linear": "torch_cifar"},
    **TORCH,
)
