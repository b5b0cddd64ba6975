"""A network as a row of data, `Variant`, and `plan()`, which lays out every convolution of it. Imports no Keras."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from keras_resnet.architecture.lineages import Lineage
from keras_resnet.architecture.plans import Conv, Plan, Unit
from keras_resnet.utils.errors import check_choices, check_positive


@dataclass(frozen=True)
class Stem:
    """What stands before the first residual unit: one convolution and, for large images, a 3x3 max pool of stride 2."""

    kernel: int = 7
    width: int = 64
    stride: int = 2
    pool: bool = True

    def __post_init__(self) -> None:
        for name in ("kernel", "width", "stride"):
            check_positive(f"Stem.{name}", getattr(self, name))
        if self.kernel % 2 == 0:
            raise ValueError(f"`Stem.kernel` must be odd, so that padding is symmetric; received {self.kernel}.")
        if type(self.pool) is not bool:
            raise ValueError(f"`Stem.pool` must be True or False; received {self.pool!r}.")


@dataclass(frozen=True)
class Variant:
    """What tells one published network from another. Every field changes the list of weights.

    A row of one's own is a published one with fields replaced:

        >>> import dataclasses
        >>> thin = dataclasses.replace(RESNET34, name="thin34", widths=(16, 32, 64, 128), shortcut="A")

    Attributes:
        name: the name of the model, unless the caller gives another.
        version: 1, norm and activation after each convolution (arXiv:1512.03385), or 2, before it (arXiv:1603.05027).
        block: "basic", two 3x3 convolutions, or "bottleneck", 1x1, 3x3, 1x1 with four times the channels at the end.
        units: the number of residual units in each stage.
        widths: the channels of each stage's 3x3 convolutions.
        stem: what stands before the units; None for a rootless net.
        lineage: whose published weights the layout follows. A builder's `style` replaces it.
        shortcut: what a unit adds where channels change (arXiv:1512.03385 section 3.3): "A", the input with zero
            channels at the end; "B", a projection; "C", a projection in every unit; None adds nothing anywhere: the
            plain net of the degradation experiment.
        groups: groups of a bottleneck's 3x3 (ResNeXt).
        base_width: channels of a bottleneck's 3x3 per group, where `widths` says 64 (ResNeXt, wide ResNet).
        first_activation: "split": in v2 the net's very first unit takes its activation before the branches part
            (arXiv:1603.05027, appendix); "unit": as in every other unit, an identity reads the raw input.

    Raises:
        ValueError: if a field is none of these, or the fields contradict each other.
    """

    name: str
    version: Literal[1, 2]
    block: Literal["basic", "bottleneck"]
    units: tuple[int, ...]
    widths: tuple[int, ...]
    stem: Stem | None
    lineage: Lineage
    shortcut: Literal["A", "B", "C", None] = "B"
    groups: int = 1
    base_width: int = 64
    first_activation: Literal["unit", "split"] = "unit"

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"`Variant.name` must be a non-empty string; received {self.name!r}.")
        for field in ("units", "widths"):
            values = getattr(self, field)
            if not isinstance(values, (tuple, list)) or not values:
                raise ValueError(f"`Variant.{field}` must be a tuple with one int per stage; received {values!r}.")
            for value in values:
                check_positive(f"Variant.{field}", value)
            object.__setattr__(self, field, tuple(values))
        if len(self.units) != len(self.widths):
            raise ValueError(
                f"`Variant.units` and `Variant.widths` must name the same stages; received units={self.units} "
                f"({len(self.units)} stages) and widths={self.widths} ({len(self.widths)})."
            )
        if not (self.stem is None or isinstance(self.stem, Stem)):
            raise ValueError(f"`Variant.stem` must be a Stem, or None for a rootless net; received {self.stem!r}.")
        if not isinstance(self.lineage, Lineage):
            raise ValueError(
                f"`Variant.lineage` must be a Lineage, such as KERAS_V1; received {self.lineage!r}. "
                "To choose it by name, pass `style=` to the builder."
            )
        if self.lineage.version != self.version:
            raise ValueError(
                f"`Variant.lineage` must be of the variant's version, {self.version}; "
                f"received {self.lineage.style} v{self.lineage.version}."
            )
        for field in ("groups", "base_width"):
            check_positive(f"Variant.{field}", getattr(self, field))
        if self.block == "basic" and (self.groups, self.base_width) != (1, 64):
            raise ValueError(
                "`Variant.groups` and `Variant.base_width` shape the 3x3 of a bottleneck; with block='basic' they must "
                f"be 1 and 64; received {self.groups} and {self.base_width}."
            )
        for width in self.widths:
            if self.inner(width) < 1:
                raise ValueError(
                    f"`Variant.base_width` leaves no channel: {self.base_width} of 64 at width {width}; "
                    "make base_width or widths larger."
                )
        if self.first_activation == "split" and self.version == 1:
            raise ValueError("`Variant.first_activation` must be 'unit' in version 1; received 'split'.")
        _check_padding(self, self.stem.width if self.stem else 0)

    @property
    def image_side(self) -> int:
        """Height and width of the images it is for: ImageNet's 224, or CIFAR's 32 if no pool follows the stem."""
        return 224 if self.stem and self.stem.pool else 32

    def out(self, width: int) -> int:
        """Channels that a unit of this width puts out."""
        return 4 * width if self.block == "bottleneck" else width

    def inner(self, width: int) -> int:
        """Filters of a unit's first convolutions at this width."""
        return width * self.base_width // 64 * self.groups


def _check_padding(variant: Variant, channels: int) -> None:
    """Option A needs stages that do not narrow the map."""
    outs = [channels, *map(variant.out, variant.widths)]
    if variant.shortcut == "A" and any(later < earlier for earlier, later in pairwise(outs)):
        raise ValueError(
            "`Variant.shortcut` 'A' pads channels with zeros and cannot shrink them; received channels "
            f"{outs} from the first unit's input to the last stage. Use shortcut='B', or widths that do not shrink."
        )


def plan(variant: Variant, output_stride: int | None = None, channels: int = 3) -> Plan:
    """Lays out every convolution of a variant.

    Args:
        variant: the network.
        output_stride: by how much the last map is smaller than the image. Once it is reached, convolutions dilate
            instead of striding. None: as much as the network strides, 32 for ImageNet's.
        channels: of the images or, for a rootless net, the feature maps that go in.

    Raises:
        ValueError: if the network cannot end at this `output_stride`, if `channels` is no positive int, or more than a
            rootless net with shortcut "A" can take.
    """
    check_positive("channels", channels)
    root, stages = None, []
    if variant.stem:
        root = stem(variant.lineage, variant.stem, channels)
        channels = root.filters
    _check_padding(variant, channels)
    for stage, (count, width) in enumerate(zip(variant.units, variant.widths, strict=True)):
        units: list[Unit] = []
        for index in range(count):
            units.append(_unit(variant, stage, index, channels, width))
            channels = units[-1].filters
        stages.append(tuple(units))
    nominal = Plan(variant.version, root, bool(variant.stem and variant.stem.pool), tuple(stages))
    return nominal.dense(output_stride)


def stem(lineage: Lineage, stem: Stem, channels: int) -> Conv:
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
    return unit(
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


def unit(
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
    branch: Conv | Literal["identity", "pad", None]
    if shortcut == "C" or (shortcut == "B" and projects):
        branch = _conv(lineage, f"{name}_0", inputs, out, 1, stride)
    elif shortcut is None:
        branch = None
    else:
        branch = "pad" if changes else "identity"
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
