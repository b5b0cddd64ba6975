"""A network as a row of data: `Variant` and its `Stem`, every field validated."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from keras_resnet.architecture.lineages import LINEAGES, Lineage
from keras_resnet.utils.errors import check_choices, check_positive

__all__ = ["Stem", "Variant"]


@dataclass(frozen=True)
class Stem:
    """The stem: one convolution and, for large images, a 3x3 max pool of stride 2."""

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
    """A network as a row: what tells it from the others. Every field changes the list of weights.

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
            channels behind, or half of them in front, as `Lineage.pad_channels` says; "B", a projection; "C", a
            projection in every unit; None adds nothing anywhere: the plain net of the degradation experiment.
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
        self.check_padding(self.stem.width if self.stem else 0)

    @property
    def styles(self) -> tuple[str, ...]:
        """Those that it can be built in: of its version, and none about shortcuts that it lacks."""
        return tuple(
            style
            for (style, version), lineage in LINEAGES.items()
            if version == self.version and (self.shortcut == "A" or lineage.pad_channels == "after")
        )

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

    def check_padding(self, channels: int) -> None:
        """Raises a `ValueError` if option A had to shrink channels: these of the first unit's input, or a stage's."""
        outs = [channels, *map(self.out, self.widths)]
        if self.shortcut == "A" and any(later < earlier for earlier, later in pairwise(outs)):
            raise ValueError(
                "`Variant.shortcut` 'A' pads channels with zeros and cannot shrink them; received channels "
                f"{outs} from the first unit's input to the last stage. Use shortcut='B', or widths that do not shrink."
            )
