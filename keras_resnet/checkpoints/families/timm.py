"""timm's checkpoints of v2 networks; those of v1 have torchvision's names."""

from keras_resnet.architecture.plans import Conv, Plan
from keras_resnet.checkpoints.families.family import NO_COUNTERS, Family
from keras_resnet.checkpoints.families.torchvision import TORCH


def modules(plan: Plan) -> dict[str, str]:
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


TIMM_V2 = Family(
    "timm",
    2,
    modules,
    unit=r"stages\.(?P<stage>\d+)\.blocks\.(?P<unit>\d+)",
    first=".conv1.weight",
    stem=r"stem\.",
    own=rf"{NO_COUNTERS}(stem|stages|norm|head)\..+",
    styles=("torch",),
    convolves=True,
    **TORCH,
)
