"""timm's checkpoints: v1 networks that are more than torchvision's, SENet's, v2 networks, and BiT's."""

from dataclasses import replace

from keras_resnet.architecture.plans import SUFFIXES, Conv, Plan
from keras_resnet.checkpoints.families import torchvision
from keras_resnet.checkpoints.families.family import NO_COUNTERS, Family
from keras_resnet.checkpoints.families.torchvision import TORCH, TORCHVISION


def modules(plan: Plan) -> dict[str, str]:
    """timm's v1 modules: torchvision's, and deep stems, convolutions that pool, averaging shortcuts and gates."""
    names, norm = torchvision.modules(plan), SUFFIXES[plan.norm]
    for index, conv in enumerate(plan.stem[:-1]):
        names |= {f"{conv.name}_conv": f"conv1.{3 * index}", f"{conv.name}_{norm}": f"conv1.{3 * index + 1}"}
    for conv in plan.stem[1:][-1:]:
        names |= {f"{conv.name}_conv": f"conv1.{3 * len(plan.stem) - 3}", f"{conv.name}_{norm}": "bn1"}
    if isinstance(plan.pool, Conv):
        names |= {"pool1_conv": "maxpool.0", f"pool1_{norm}": "maxpool.1"}
    for stage, units in enumerate(plan.stages, 1):
        for index, unit in enumerate(units):
            theirs = f"layer{stage}.{index}"
            if isinstance(unit.shortcut, Conv) and plan.averages_shortcuts:  # behind the mean, or what stands for it
                ours = unit.shortcut.name
                names |= {f"{ours}_conv": f"{theirs}.downsample.1", f"{ours}_{norm}": f"{theirs}.downsample.2"}
            for i, conv in enumerate(unit.attention, 1):
                names[f"{conv.name}_conv"] = f"{theirs}.se.conv" if conv.rank == 1 else f"{theirs}.se.fc{i}"
    return names


def modules_v2(plan: Plan) -> dict[str, str]:
    """timm's v2 modules: a norm carries the number of the convolution that follows it."""
    norm = SUFFIXES[plan.norm]
    names = {f"post_{norm}": "norm", "predictions": "head.fc"}
    for i, conv in enumerate(plan.stem, 1):
        number = i if len(plan.stem) > 1 else ""
        names |= {f"{conv.name}_conv": f"stem.conv{number}", f"{conv.name}_{norm}": f"stem.norm{number}"}
    for stage, units in enumerate(plan.stages):
        for index, unit in enumerate(units):
            theirs = f"stages.{stage}.blocks.{index}"
            names[f"{unit.name}_preact_{norm}"] = f"{theirs}.norm1"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{conv.name}_conv": f"{theirs}.conv{i}", f"{conv.name}_{norm}": f"{theirs}.norm{i + 1}"}
            if isinstance(unit.shortcut, Conv):
                names[f"{unit.shortcut.name}_conv"] = f"{theirs}.downsample.conv"
    return names


def modules_senet(plan: Plan) -> dict[str, str]:
    """Modules of timm's `senet.py`: torchvision's, a stem in `layer0`, gates in `se_module`."""
    names, norm = torchvision.modules(plan), SUFFIXES[plan.norm]
    names["predictions"] = "last_linear"
    for i, conv in enumerate(plan.stem, 1):
        names |= {f"{conv.name}_conv": f"layer0.conv{i}", f"{conv.name}_{norm}": f"layer0.bn{i}"}
    for stage, units in enumerate(plan.stages, 1):
        for index, unit in enumerate(units):
            for i, conv in enumerate(unit.attention, 1):
                names[f"{conv.name}_conv"] = f"layer{stage}.{index}.se_module.fc{i}"
    return names


TIMM = replace(
    TORCHVISION,
    origin="timm",
    names=modules,
    stem=r"(conv1|bn1|maxpool)\.",
    own=rf"{NO_COUNTERS}(((conv|bn)1|maxpool|layer\d+)\..+|fc\.(weight|bias))",
    styles=("torch",),
    marks=r"(conv1|maxpool)\.0\.weight$|layer\d+\.\d+\.(downsample\.2|se\.(fc[12]|conv))\.",
    others={},
    tells={},
)
# Of SENet's authors, as Cadene's pretrained-models.pytorch has them too.
SENET = replace(
    TIMM,
    names=modules_senet,
    stem=r"layer0\.",
    own=rf"{NO_COUNTERS}(layer\d+\..+|last_linear\.(weight|bias))",
    styles=("senet", "senet_1x1"),
    marks=r"layer0\.conv1\.weight$|layer\d+\.\d+\.se_module\.",
)
TIMM_V2 = Family(
    "timm",
    2,
    modules_v2,
    unit=r"stages\.(?P<stage>\d+)\.blocks\.(?P<unit>\d+)",
    first=".conv1.weight",
    stem=r"stem\.",
    own=rf"{NO_COUNTERS}(stem|stages|norm|head)\..+",
    styles=("torch",),
    convolves=True,
    **TORCH,
)
# Of published networks, only BiT's have group norms behind a stem of one convolution.
TIMM_BIT = replace(
    TIMM_V2,
    styles=("bit", "torch"),
    marks=r"stem\.conv\.weight$",
    lacks=r"(stages|norm)\..*running_mean$",
    standardized=1e-8,
)
