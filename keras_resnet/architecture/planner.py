"""`plan()` lays out every convolution of a variant: where strides, projections, biases and padding are."""

from typing import Literal

from keras_resnet.architecture.lineages import Lineage
from keras_resnet.architecture.plans import PADS, Conv, Plan, Shortcut, Unit
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.utils.errors import check_positive

__all__ = ["plan"]


def plan(variant: Variant, output_stride: int | None = None, channels: int = 3) -> Plan:
    """Lists every convolution of a network with its stride, dilation and padding; counts parameters and multiply-adds.

    Example:

        >>> plan(RESNET50).parameters()
        25636712

    Args:
        variant: the network.
        output_stride: the ratio of the image's size to that of the last feature map. Once it is reached, convolutions
            are dilated instead of strided. None: the network's own, 32 for ImageNet networks.
        channels: the number of channels of the images, or, for a network without stem, of the input feature maps.

    Raises:
        ValueError: if the network cannot have this `output_stride`, if `channels` is not a positive int, or if a
            network without stem has shortcut "A" and fewer channels than `channels`.
    """
    check_positive("channels", channels)
    root, stages = None, []
    if variant.stem:
        root = stem_convs(variant.lineage, variant.stem, channels)
        channels = root.filters
    variant.check_padding(channels)
    for stage, (count, width) in enumerate(zip(variant.units, variant.widths, strict=True)):
        units: list[Unit] = []
        for index in range(count):
            units.append(_unit(variant, stage, index, channels, width))
            channels = units[-1].filters
        stages.append(tuple(units))
    pools, pads = bool(variant.stem and variant.stem.pool), variant.lineage.stem_pool != "valid"
    nominal = Plan(variant.version, root, pools, tuple(stages), pool_pads=pads or not pools)
    return nominal.dense(output_stride)


def stem_convs(lineage: Lineage, stem: Stem, channels: int) -> Conv:
    """The convolution in front of the units."""
    return _conv(lineage, "conv1", channels, stem.width, stem.kernel, stem.stride)


def _unit(variant: Variant, stage: int, index: int, inputs: int, width: int) -> Unit:
    """The unit `conv<stage+2>_block<index+1>`."""
    inner, out = variant.inner(width), variant.out(width)
    first, last = index == 0, index == variant.units[stage] - 1
    if variant.lineage.stride_at == "last_3x3":
        strides = last and stage < len(variant.units) - 1
    else:
        strides = first and stage > 0
    return residual_unit(
        variant.lineage,
        f"conv{stage + 2}_block{index + 1}",
        inputs,
        (inner, inner, out) if variant.block == "bottleneck" else (inner, out),
        stride=2 if strides else 1,
        first=first,
        shortcut=variant.shortcut,
        groups=variant.groups,
        splits=variant.first_activation == "split" and stage == index == 0,
    )


def residual_unit(
    lineage: Lineage,
    name: str,
    inputs: int,
    filters: tuple[int, ...],
    stride: int = 1,
    *,
    first: bool = False,
    shortcut: Literal["A", "B", "C", None] = "B",
    groups: int = 1,
    splits: bool = False,
) -> Unit:
    """One residual unit of any widths: basic if it has two convolutions, a bottleneck if it has three.

    `first`: it begins a stage; `splits`: its shortcut reads the activated input, whatever it does with it.
    """
    kernels = (1, 3, 1) if len(filters) == 3 else (3, 3)
    places = {"first_conv": 0, "first_3x3": kernels.index(3), "last_3x3": 1}
    convs: list[Conv] = []
    for i, (kernel, width) in enumerate(zip(kernels, filters, strict=True)):
        convs.append(
            _conv(
                lineage,
                f"{name}_{i + 1}",
                convs[-1].filters if convs else inputs,
                width,
                kernel,
                stride=stride if i == places[lineage.stride_at] else 1,
                groups=groups if kernel == 3 else 1,
                precedes_norm=i < len(kernels) - 1,
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
    branch: Shortcut
    if shortcut == "C" or (shortcut == "B" and projects):
        branch = _conv(lineage, f"{name}_0", inputs, out, 1, stride)
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
) -> Conv:
    """A convolution with the bias and the padding that the lineage gives it."""
    normed = precedes_norm or lineage.version == 1
    bias = lineage.bias == "all" or (lineage.bias == "no_norm" and not normed)
    pad = (kernel - 1) // 2 if stride > 1 or lineage.pad_always else 0
    return Conv(name, inputs, filters, kernel, stride, 1, groups, bias, pad)
