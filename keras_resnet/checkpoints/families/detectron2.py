"""detectron2's checkpoints, in which a norm is a part of its convolution."""

from keras_resnet.architecture.plans import SUFFIXES, Conv, Plan
from keras_resnet.checkpoints.families.family import NO_COUNTERS, Family
from keras_resnet.checkpoints.families.torchvision import TORCH


def modules(plan: Plan) -> dict[str, str]:
    """detectron2's modules of a ResNet: `res4.5.conv2` is `conv4_block6_2_conv`, and `res4.5.conv2.norm` its norm."""
    names, convs = {"predictions": "linear"}, {}
    if plan.stem:
        convs["conv1"] = "stem.conv1"
    for stage, units in enumerate(plan.stages, 2):
        for index, unit in enumerate(units):
            theirs = f"res{stage}.{index}"
            convs |= {conv.name: f"{theirs}.conv{i}" for i, conv in enumerate(unit.convs, 1)}
            if isinstance(unit.shortcut, Conv):
                convs[unit.shortcut.name] = f"{theirs}.shortcut"
    for ours, theirs in convs.items():
        names |= {f"{ours}_conv": theirs, f"{ours}_{SUFFIXES[plan.norm]}": f"{theirs}.norm"}
    return names


DETECTRON2 = Family(
    "detectron2",
    1,
    modules,
    unit=r"res(?P<stage>\d+)\.(?P<unit>\d+)",
    first=".conv1.norm.weight",
    stem=r"stem\.",
    own=rf"{NO_COUNTERS}((stem|res\d+)\..+|linear\.(weight|bias))",
    styles=("torch_1x1", "torch"),  # its own weights are MSRA's; STRIDE_IN_1X1 is True by default
    **TORCH | {"bias": r"(^|\.)(conv\d|shortcut)\.bias$"},
)
