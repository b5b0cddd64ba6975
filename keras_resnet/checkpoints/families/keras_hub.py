"""Checkpoints of KerasHub's ResNetBackbone, which counts stages and units from 0."""

from keras_resnet.architecture.plans import Plan
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.keras import LAYERS


def modules(plan: Plan) -> dict[str, str]:
    """KerasHub's layers of a ResNetBackbone, which counts stages and units from 0."""
    names = {ours: ours for ours in ("post_bn", "predictions")}
    for number, conv in enumerate(plan.stem, 1):
        names |= {f"{conv.name}_{kind}": f"conv{number}_{kind}" for kind in ("conv", "bn")}
    for stage, units in enumerate(plan.stages):
        for index, unit in enumerate(units):
            theirs = f"stack{stage}_block{index}"
            names[f"{unit.name}_preact_bn"] = f"{theirs}_pre_activation_bn"
            for i in range(len(unit.convs) + 1):
                names |= {f"{unit.name}_{i}_{kind}": f"{theirs}_{i}_{kind}" for kind in ("conv", "bn")}
    return names


KERAS_HUB = Family(
    "KerasHub",
    None,
    modules,
    unit=r"stack(?P<stage>\d+)_block(?P<unit>\d+)",
    own=r"(stack\d+_block\d+_[^/]+|conv\d_(conv|bn)|post_bn|predictions)/[^/]+",
    styles=("torch",),
    v2="_pre_activation_bn/",
    **LAYERS | {"stem": r"conv\d_"},
)
