"""A network as data: `Variant` and its `Stem`, every field validated."""

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
    """The architecture of one network as data. Every field changes the list of weights.

    To define your own variant, replace fields of a published one:

        >>> import dataclasses
        >>> thin = dataclasses.replace(RESNET34, name="thin34", widths=(16, 32, 64, 128), shortcut="A")

    Attributes:
        name: the default name of the model.
        version: 1: batch norm and activation after each convolution (arXiv:1512.03385); 2: before it
            (arXiv:1603.05027).
        block: the kind of residual block: "basic", two 3x3 convolutions, or "bottleneck", 1x1, 3x3 and 1x1, with four
            times the channels at the end.
        units: the number of residual blocks in each stage.
        widths: the number of channels of the 3x3 convolutions in each stage.
        stem: the layers before the residual blocks; None for a network without stem.
        lineage: the library whose layout the network follows, such as KERAS_V1. A builder's `style` replaces it.
        shortcut: the shortcut of blocks that change the number of channels (arXiv:1512.03385 section 3.3). "A": the
            input with added zero channels, placed as `Lineage.pad_channels` says. "B": a projection. "C": a projection
            in every block. None: no block has a shortcut, as in the plain nets of the degradation experiment.
        groups: the number of groups of a bottleneck's 3x3 convolution (ResNeXt).
        base_width: the channels per group of a bottleneck's 3x3 convolution where `widths` is 64 (ResNeXt, wide
            ResNet).
        first_activation: the activation of the first block of a v2 network. "split": it comes before the shortcut
            branches off (arXiv:1603.05027, appendix). "unit": the shortcut reads the raw input, as in all other blocks.

    Raises:
        ValueError: if a field is not one of these, or the fields contradict each other.
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
                f"`Variant.units` and `Variant.widths` must have the same number of stages; received "
                f"units={self.units} ({len(self.units)} stages) and widths={self.widths} ({len(self.widths)})."
            )
        if not (self.stem is None or isinstance(self.stem, Stem)):
            raise ValueError(f"`Variant.stem` must be a Stem, or None for no stem; received {self.stem!r}.")
        if not isinstance(self.lineage, Lineage):
            raise ValueError(
                f"`Variant.lineage` must be a Lineage, such as KERAS_V1; received {self.lineage!r}. "
                "To choose it by name, pass `style=...` to the builder."
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
                "`Variant.groups` and `Variant.base_width` must be 1 and 64 with block='basic', since they are about "
                f"bottlenecks; received {self.groups} and {self.base_width}."
            )
        for width in self.widths:
            if self.inner(width) < 1:
                raise ValueError(
                    f"`Variant.base_width` must leave at least one channel; received {self.base_width}, of 64, at "
                    f"width {width}. Make base_width or widths larger."
                )
        if self.first_activation == "split" and self.version == 1:
            raise ValueError("`Variant.first_activation` must be 'unit' in version 1; received 'split'.")
        self.check_padding(self.stem.width if self.stem else 0)

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it can be built in: those of its version that fit its shortcuts."""
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
        """The number of output channels of a block of this width."""
        return 4 * width if self.block == "bottleneck" else width

    def inner(self, width: int) -> int:
        """The number of filters of a block's first convolutions at this width."""
        return width * self.base_width // 64 * self.groups

    def check_padding(self, channels: int) -> None:
        """Raises a `ValueError` if option A had to shrink channels: these of the first unit's input, or a stage's."""
        outs = [channels, *map(self.out, self.widths)]
        if self.shortcut == "A" and any(later < earlier for earlier, later in pairwise(outs)):
            raise ValueError(
                "`Variant.shortcut` must not be 'A' where channels shrink, since it adds zero channels; received "
                f"{outs} channels from the first block's input to the last stage. Use shortcut='B', or widths that do "
                "not shrink."
            )
