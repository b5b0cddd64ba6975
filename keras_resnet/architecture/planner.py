"""`plan()` lays out every convolution of a variant: where strides, projections, biases and padding are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from keras_resnet.architecture.lineages import Lineage
from keras_resnet.architecture.plans import PADS, Conv, Plan, Shortcut, StridesBy, Unit
from keras_resnet.architecture.variant import Attention, Stem, Variant
from keras_resnet.utils.errors import check_positive

__all__ = ["plan"]


def plan(variant: Variant, output_stride: int | None = None, channels: int = 3) -> Plan:
    """Lists every convolution of a network with its stride, dilation and padding; counts parameters and multiply-adds.

    Example:

        >>> keras_resnet.plan(keras_resnet.RESNET50).parameters()
        25636712
        >>> [unit.stride for unit in keras_resnet.plan(keras_resnet.RESNET50).stages[1]]
        [2, 1, 1, 1]

    Args:
        variant: the network.
        output_stride: the ratio of the image's size to that of the last feature map. Once it is reached, convolutions
            are dilated instead of strided. None: the network's own, 32 for ImageNet networks.
        channels: the number of channels of the images, or, for a network without stem, of the input feature maps.

    Returns:
        A `Plan`: the convolutions of the stem, and of each block of each stage.

    Raises:
        ValueError: if the network cannot have this `output_stride`, if `channels` is not a positive int, or if a
            network without stem has shortcut "A" and fewer channels than `channels`.
    """
    check_positive("channels", channels)
    variant.check_padding(variant.stem.width if variant.stem else channels)
    return _plan(variant, channels, variant.units).dense(output_stride)


def outline(variant: Variant, channels: int = 3) -> Plan:
    """Lays out stem and first units alone: what most networks differ by already."""
    return _plan(variant, channels, (1,) * len(variant.units))


def _plan(variant: Variant, channels: int, counts: Sequence[int]) -> Plan:
    """The plan of a network with so many units of each stage, the first ones."""
    root = stem_convs(variant.lineage, variant.stem, channels) if variant.stem else ()
    channels = root[-1].filters if root else channels
    stages = []
    for stage, (count, width) in enumerate(zip(counts, variant.widths, strict=True)):
        units: list[Unit] = []
        for index in range(count):
            units.append(_unit(variant, stage, index, channels, width))
            channels = units[-1].filters
        stages.append(tuple(units))
    pool = _stem_pool(variant)
    border = variant.lineage.stem_pool if pool == "max" and variant.lineage.stem_pool in ("ceil", "valid") else "padded"
    return Plan(variant.version, root, pool, tuple(stages), border, variant.norm, data_norm=variant.lineage.data_norm)


def stem_convs(lineage: Lineage, stem: Stem, channels: int) -> tuple[Conv, ...]:
    """The convolutions in front of the units: conv1, or conv1_1 and so on if there are several."""
    convs: list[Conv] = []
    for number, width in enumerate(stem.widths, 1):
        last = number == len(stem.widths)
        convs.append(
            _conv(
                lineage,
                "conv1" if len(stem.widths) == 1 else f"conv1_{number}",
                convs[-1].filters if convs else channels,
                width,
                stem.kernel,
                stem.stride if number == 1 else 1,
                precedes_norm=not last or lineage.data_norm,
            )
        )
    return tuple(convs)


def _stem_pool(variant: Variant) -> Literal["max", "avg", "blur", None] | Conv:
    """What follows the stem's convolutions, as a plan has it."""
    stem = variant.stem
    if stem is None or stem.pool is None:
        return None
    if stem.pool == "conv":
        return _conv(variant.lineage, "pool1", stem.width, stem.width, 3, 2, precedes_norm=True)
    return variant.antialias or "max"


def _unit(variant: Variant, stage: int, index: int, inputs: int, width: int) -> Unit:
    """The unit `conv<stage+2>_block<index+1>`."""
    inner, out = variant.inner(width), variant.out(width)
    first, last = index == 0, index == variant.units[stage] - 1
    if variant.lineage.stride_at == "last_3x3":
        strides = last and stage < len(variant.units) - 1
    else:
        strides = first and (stage > 0 or variant.first_stride == 2)
    unit = residual_unit(
        variant.lineage,
        f"conv{stage + 2}_block{index + 1}",
        inputs,
        {"basic": (inner, out), "bottleneck": (inner, inner, out), "senet": (inner // 2, inner, out)}[variant.block],
        stride=2 if strides else 1,
        first=first,
        shortcut=variant.shortcut,
        groups=variant.groups,
        splits=variant.first_activation == "split" and stage == index == 0,
        projection=3 if variant.block == "senet" and stage > 0 else 1,
        antialias=variant.antialias,
    )
    if variant.attention is None:
        return unit
    relu = variant.attention.relu and variant.block == "basic"
    return replace(unit, attention=_gate(variant.attention, unit), gate_relu=relu)


def _gate(attention: Attention, unit: Unit) -> tuple[Conv, ...]:
    """The convolutions of a unit's gate, which see the means of its channels."""
    channels, squeezed = unit.filters, attention.squeezed(unit.filters)
    if attention.kind == "eca":
        kernel = attention.kernel(channels)
        return (Conv(f"{unit.name}_eca", 1, 1, kernel, 1, 1, 1, bias=False, pad=0, rank=1),)
    widths = ((channels, squeezed), (squeezed, channels))
    return tuple(
        Conv(f"{unit.name}_se_{number}", inputs, filters, 1, 1, 1, 1, bias=True, pad=0)
        for number, (inputs, filters) in enumerate(widths, 1)
    )


def residual_unit(
    lineage: Lineage,
    name: str,
    inputs: int,
    filters: tuple[int, ...],
    stride: int = 1,
    *,
    first: bool = False,
    shortcut: Literal["A", "B", "C", "D", None] = "B",
    groups: int = 1,
    splits: bool = False,
    projection: int = 1,
    antialias: Literal["avg", "blur", None] = None,
) -> Unit:
    """One residual unit of any widths: basic if it has two convolutions, a bottleneck if it has three.

    `first`: it begins a stage; `splits`: its shortcut reads the activated input, whatever it does with it;
    `projection`: the kernel's size of one; `antialias`: what strides behind a 3x3 instead of it.
    """
    kernels = (1, 3, 1) if len(filters) == 3 else (3, 3)
    places = {"first_conv": 0, "first_3x3": kernels.index(3), "last_3x3": 1}
    convs: list[Conv] = []
    for i, (kernel, width) in enumerate(zip(kernels, filters, strict=True)):
        strides = stride if i == places[lineage.stride_at] else 1
        by: StridesBy = "conv"
        if strides > 1 and kernel == 3 and antialias:
            by = "blur" if antialias == "blur" else "mean_after"
        convs.append(
            _conv(
                lineage,
                f"{name}_{i + 1}",
                convs[-1].filters if convs else inputs,
                width,
                kernel,
                stride=strides,
                groups=groups if kernel == 3 else 1,
                precedes_norm=i < len(kernels) - 1,
                strides_by=by,
            )
        )

    changes, out = inputs != filters[-1], filters[-1]
    match lineage.project:
        case "channels":
            projects = changes
        case "first_unit":
            projects = changes or (first and (stride > 1 or len(filters) == 3))
        case "strided":
            projects = changes or stride > 1
        case "every_first":
            projects = changes or stride > 1 or first
    branch: Shortcut
    if shortcut == "C" or (shortcut in ("B", "D") and projects):
        means = shortcut == "D" and stride > 1
        branch = _conv(
            lineage, f"{name}_0", inputs, out, projection, stride, strides_by="mean_before" if means else "conv"
        )
    elif shortcut is None:
        branch = None
    else:
        branch = PADS[lineage.pad_channels] if changes else "identity"
    return Unit(name, tuple(convs), branch, reads_activation=splits or isinstance(branch, Conv))


def _conv(
    lineage: Lineage,
    name: str,
    inputs: int,
    filters: int,
    kernel: int,
    stride: int,
    groups: int = 1,
    precedes_norm: bool = False,
    strides_by: StridesBy = "conv",
) -> Conv:
    """A convolution with the bias and the padding that the lineage gives it."""
    normed = precedes_norm or lineage.version == 1
    bias = lineage.bias == "all" or (lineage.bias == "no_norm" and not normed)
    strides = stride > 1 and strides_by == "conv"
    pad = (kernel - 1) // 2 if strides or lineage.pad_always else 0
    return Conv(name, inputs, filters, kernel, stride, 1, groups, bias, pad, strides_by)
