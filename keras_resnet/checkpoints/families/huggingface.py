"""Checkpoints of Hugging Face's transformers: ResNetForImageClassification, and ResNetModel, a body."""

from dataclasses import replace

from keras_resnet.architecture.plans import SUFFIXES, Conv, Plan
from keras_resnet.checkpoints.families.family import NO_COUNTERS, Family
from keras_resnet.checkpoints.families.torchvision import TORCH


def modules(plan: Plan) -> dict[str, str]:
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
        names |= {
            f"{ours}_conv": f"resnet.{theirs}.convolution",
            f"{ours}_{SUFFIXES[plan.norm]}": f"resnet.{theirs}.normalization",
        }
    return names


def body_modules(plan: Plan) -> dict[str, str]:
    """Modules of transformers' ResNetModel, whose files have no classifier."""
    return {ours: theirs.removeprefix("resnet.") for ours, theirs in modules(plan).items()}


HUGGINGFACE = Family(
    "transformers",
    1,
    modules,
    unit=r"resnet\.encoder\.stages\.(?P<stage>\d+)\.layers\.(?P<unit>\d+)",
    first=".layer.0.convolution.weight",
    stem=r"(resnet\.)?embedder\.",
    own=rf"{NO_COUNTERS}(resnet|classifier)\..+",
    styles=("torch", "torch_1x1"),
    **TORCH,
)
HUGGINGFACE_BODY = replace(
    HUGGINGFACE,
    names=body_modules,
    unit=HUGGINGFACE.unit.removeprefix(r"resnet\."),
    own=rf"{NO_COUNTERS}(embedder|encoder)\..+",
)
