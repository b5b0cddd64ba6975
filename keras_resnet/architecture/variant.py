"""A network as data: `Variant` with its `Stem` and `Attention`, every field validated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log2
from typing import Literal

from keras_resnet.architecture.lineages import LINEAGES, RESNET_RS, RESNEXT, Lineage
from keras_resnet.utils.errors import check_bool, check_choice, check_choices, check_positive

__all__ = ["Attention", "Stem", "Variant"]

NORM_GROUPS = 32  # of channels in a group norm, in all published networks


@dataclass(frozen=True, init=False)
class Stem:
    """The stem: one convolution or several and, for large images, a 3x3 pool of stride 2.

    Example:

        >>> keras_resnet.Stem(3, (32, 32, 64)).width  # the deep stem of ResNet-D
        64
        >>> small = keras_resnet.Stem(3, 64, stride=1, pool=None)  # for small images

    Attributes:
        kernel: height and width of the convolutions' kernels.
        widths: the number of channels of each convolution; an int stands for one convolution.
        width: the channels of the last one; as an argument, the same as an int for `widths`.
        stride: of the first convolution; the others do not stride.
        pool: the layer behind them: "max", a max pool (what an anti-aliased network has instead, `Variant.antialias`
            says), "conv", a convolution with norm and ReLU (ResNet-RS), or None. True is "max", False is None.

    Raises:
        ValueError: if a field is not one of these.
    """

    kernel: int
    widths: tuple[int, ...]
    stride: int
    pool: Literal["max", "conv", None]

    def __init__(
        self,
        kernel: int = 7,
        widths: int | Sequence[int] = 64,
        stride: int = 2,
        pool: Literal["max", "conv", None] | bool = "max",
        *,
        width: int | None = None,
    ) -> None:
        """Fills the fields; `width`, of the one convolution, replaces `widths`."""
        widths = widths if width is None else width
        fields = {
            "kernel": kernel,
            "widths": tuple(widths) if isinstance(widths, tuple | list) else (widths,),
            "stride": stride,
            "pool": {True: "max", False: None}[pool] if type(pool) is bool else pool,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        for name, value in (
            ("kernel", kernel),
            ("stride", stride),
            *(("widths", each) for each in self.widths or (0,)),
        ):
            check_positive(f"Stem.{name}", value)
        if kernel % 2 == 0:
            raise ValueError(f"`Stem.kernel` must be odd, so that padding is symmetric; received {kernel}.")
        check_choice("Stem.pool", self.pool, ("max", "conv", None))

    @property
    def width(self) -> int:
        """The number of channels that leave it."""
        return self.widths[-1]


@dataclass(frozen=True)
class Attention:
    """A gate of channels in front of the sum of each residual block.

    Example:

        >>> import dataclasses
        >>> gated = dataclasses.replace(keras_resnet.RESNET34, attention=keras_resnet.Attention("se"))
        >>> keras_resnet.plan(gated).parameters() - keras_resnet.plan(keras_resnet.RESNET34).parameters()
        162744

    Attributes:
        kind: "se": two dense layers, 1x1 convolutions, on the mean of each channel (arXiv:1709.01507); "eca": a
            convolution over the means of neighbouring channels (arXiv:1910.03151).
        ratio: the width of the first layer of "se", of the block's output channels.
        divisor: to a multiple of which that width is rounded: 8 in timm, 1 in the networks of SENet's authors.
        relu: whether basic blocks have one more ReLU in front of the gate (timm's `legacy_seresnet18` and 34).

    Raises:
        ValueError: if a field is not one of these.
    """

    kind: Literal["se", "eca"] = "se"
    ratio: float = 1 / 16
    divisor: int = 8
    relu: bool = False

    def __post_init__(self) -> None:
        check_choices(self)
        if type(self.ratio) not in (int, float) or not 0 < self.ratio <= 1:
            raise ValueError(f"`Attention.ratio` must lie in (0, 1]; received {self.ratio!r}.")
        check_positive("Attention.divisor", self.divisor)
        check_bool("Attention.relu", self.relu)

    def squeezed(self, channels: int) -> int:
        """Returns the width of the first layer of "se" where a block puts out so many channels.

        Args:
            channels: of the block's output.
        """
        return max(self.divisor, int(channels * self.ratio + self.divisor // 2) // self.divisor * self.divisor)

    def kernel(self, channels: int) -> int:
        """Returns the kernel size of "eca"'s convolution: (log2(channels) + 1) / 2, made odd, and 3 at least.

        Args:
            channels: of the block's output.
        """
        return max(3, int((log2(channels) + 1) / 2) // 2 * 2 + 1)


@dataclass(frozen=True)
class Variant:
    """The architecture of one network as data. Every field changes the list of weights.

    Example:

        >>> import dataclasses
        >>> thin = dataclasses.replace(keras_resnet.RESNET34, name="thin34", widths=(16, 32, 64, 128))
        >>> keras_resnet.plan(thin).parameters(classes=10)
        1358234

    Attributes:
        name: the default name of the model.
        version: 1: batch norm and activation after each convolution (arXiv:1512.03385); 2: before it
            (arXiv:1603.05027).
        block: the kind of residual block: "basic", two 3x3 convolutions; "bottleneck", 1x1, 3x3 and 1x1, with four
            times the channels at the end; or "senet", a bottleneck of SENet-154, whose first convolution has half of
            the inner channels, and whose projections are 3x3 behind the first stage.
        units: the number of residual blocks in each stage.
        widths: the number of channels of the 3x3 convolutions in each stage.
        stem: the layers before the residual blocks; None for a network without stem.
        lineage: the library whose layout the network follows, such as KERAS_V1. A builder's `style` replaces it.
        shortcut: the shortcut of blocks that change the number of channels (arXiv:1512.03385 section 3.3). "A": the
            input with added zero channels, placed as `Lineage.pad_channels` says. "B": a projection. "C": a projection
            in every block. "D": as B, but a 2x2 mean takes the stride in front of the projection (arXiv:1812.01187).
            None: no block has a shortcut, as in the plain nets of the degradation experiment.
        groups: the number of groups of a bottleneck's 3x3 convolution (ResNeXt).
        base_width: the channels per group of a bottleneck's 3x3 convolution where `widths` is 64 (ResNeXt, wide
            ResNet).
        first_activation: the activation of the first block of a v2 network. "split": it comes before the shortcut
            branches off (arXiv:1603.05027, appendix). "unit": the shortcut reads the raw input, as in all other blocks.
        norm: "batch", or "group": 32 groups of channels are normalised in each image (arXiv:1803.08494), so that all
            widths must be multiples of 32.
        attention: a gate of channels in each residual block, in v1 behind its last norm; None: there is none.
        antialias: what strides behind a 3x3 convolution and its ReLU, in front of the next convolution, in a v1
            network, and in its stem instead of the max pool: "avg", a 2x2 mean, or "blur" (arXiv:1904.11486), a
            [1, 2, 1] filter, which in the stem follows a max pool of stride 1. None: the convolutions stride.
        first_stride: the stride of the first stage, 1 or 2 (transformers' `downsample_in_first_stage`).

    Raises:
        ValueError: if a field is not one of these, or the fields contradict each other.
    """

    name: str
    version: Literal[1, 2]
    block: Literal["basic", "bottleneck", "senet"]
    units: tuple[int, ...]
    widths: tuple[int, ...]
    stem: Stem | None
    lineage: Lineage
    shortcut: Literal["A", "B", "C", "D", None] = "B"
    groups: int = 1
    base_width: int = 64
    first_activation: Literal["unit", "split"] = "unit"
    norm: Literal["batch", "group"] = "batch"
    attention: Attention | None = None
    antialias: Literal["avg", "blur", None] = None
    first_stride: Literal[1, 2] = 1

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
            if self.inner(width) < (2 if self.block == "senet" else 1):
                raise ValueError(
                    f"`Variant.base_width` must leave at least one channel; received {self.base_width}, of 64, at "
                    f"width {width}. Make base_width or widths larger."
                )
            if self.block == "senet" and self.inner(width) // 2 % self.groups:
                raise ValueError(
                    "`Variant.base_width` must leave an even number of channels in each group with block='senet', "
                    f"whose first convolution has half of them; received {self.base_width}, of 64, at width {width}."
                )
        if self.first_activation == "split" and self.version == 1:
            raise ValueError("`Variant.first_activation` must be 'unit' in version 1; received 'split'.")
        if not (self.attention is None or isinstance(self.attention, Attention)):
            raise ValueError(
                f"`Variant.attention` must be an Attention, or None for no gates; received {self.attention!r}."
            )
        self.check_padding(self.stem.width if self.stem else 0)
        self._check_combination()

    def _check_combination(self) -> None:
        """Raises a `ValueError` for what no network has together."""
        if self.version == 2 and self.antialias:
            raise ValueError(f"`Variant.antialias` must be None in version 2; received {self.antialias!r}.")
        if self.version == 2 and self.attention and self.attention.relu:
            raise ValueError(
                "`Variant.attention` must have no ReLU of its own in version 2, whose blocks begin with one; received "
                f"{self.attention!r}."
            )
        late = self.lineage.stride_at == "last_3x3"
        for field, usual in (("first_stride", 1), ("antialias", None)):
            if late and getattr(self, field) != usual:
                raise ValueError(
                    f"`Variant.{field}` must be {usual} in style {self.lineage.style!r}, where a stage strides in its "
                    f"last block; received {getattr(self, field)!r}."
                )
        if self.antialias and self.block != "basic" and self.lineage.stride_at == "first_conv":
            raise ValueError(
                f"`Variant.antialias` must be None in style {self.lineage.style!r}, whose bottlenecks stride by a 1x1 "
                f"convolution; received {self.antialias!r}. Use a lineage that strides by the 3x3, such as TORCH_V1."
            )
        if self.antialias and self.stem and self.stem.pool == "conv":
            raise ValueError(
                "`Variant.antialias` must be None where a convolution stands for the stem's pool; received "
                f"{self.antialias!r}."
            )
        inner, out = set(map(self.inner, self.widths)), set(map(self.out, self.widths))
        halves = {width // 2 for width in inner} if self.block == "senet" else set()
        widths = {*(self.stem.widths if self.stem else ()), *inner, *halves, *out}
        if self.norm == "group" and any(width % NORM_GROUPS for width in widths):
            raise ValueError(
                f"`Variant.norm` must be 'batch' unless all channels are multiples of {NORM_GROUPS}; received 'group' "
                f"with {sorted(widths)} channels."
            )

    @property
    def lineages(self) -> dict[str, Lineage]:
        """The lineages that it can be built in, by style.

        A plain network has all of its version that fit its shortcuts; others have their own, and those of the libraries
        that have published them.
        """
        own = {self.lineage.style: self.lineage}
        if self._is_plain and not self.lineage.data_norm:
            return {
                style: lineage
                for (style, version), lineage in LINEAGES.items()
                if version == self.version and (self.shortcut == "A" or lineage.pad_channels == "after")
            }
        if (self.lineage.style, self.version) not in LINEAGES:
            return own
        known = {"torch": LINEAGES["torch", self.version]}
        if self._is_resnext or self._is_rs:
            known["keras"] = RESNEXT if self._is_resnext else RESNET_RS
        return known | own

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it can be built in."""
        return tuple(self.lineages)

    def in_style(self, style: str) -> "Variant":
        """Returns the same network in one of its styles.

        Args:
            style: one of `styles`.
        """
        return replace(self, lineage=self.lineages[style])

    @property
    def _is_plain(self) -> bool:
        """Whether it is of a kind that all libraries have."""
        return self.base_width == 64 and self.groups == 1 and self._differs_by_groups

    @property
    def _is_resnext(self) -> bool:
        """Whether it is a ResNeXt, which differs from a plain network by groups alone."""
        return self.version == 1 and self.groups > 1 and self._differs_by_groups

    @property
    def _is_rs(self) -> bool:
        """Whether it is a ResNet-RS, by its stem."""
        return self.version == 1 and self.stem is not None and self.stem.pool == "conv"

    @property
    def _differs_by_groups(self) -> bool:
        """Whether there is nothing else by which it differs from a plain network."""
        return (
            self.block != "senet"
            and self.shortcut != "D"
            and (self.stem is None or (len(self.stem.widths) == 1 and self.stem.pool != "conv"))
            and (self.norm, self.attention, self.antialias, self.first_stride) == ("batch", None, None, 1)
        )

    @property
    def image_side(self) -> int:
        """Height and width of the images it is for: ImageNet's 224, or CIFAR's 32 if no pool follows the stem."""
        return 224 if self.stem and self.stem.pool else 32

    def out(self, width: int) -> int:
        """Returns the number of output channels of a block of this width.

        Args:
            width: one of `widths`.
        """
        return width if self.block == "basic" else 4 * width

    def inner(self, width: int) -> int:
        """Returns the number of filters of a block's 3x3 convolutions at this width, but for the last of two.

        Args:
            width: one of `widths`.
        """
        return width * self.base_width // 64 * self.groups

    def check_padding(self, channels: int) -> None:
        """Raises a `ValueError` if option A had to shrink channels.

        Args:
            channels: of the first block's input.
        """
        outs = [channels, *map(self.out, self.widths)]
        if self.shortcut == "A" and any(later < earlier for earlier, later in pairwise(outs)):
            raise ValueError(
                "`Variant.shortcut` must not be 'A' where channels shrink, since it adds zero channels; received "
                f"{outs} channels from the first block's input to the last stage. Use shortcut='B', or widths that do "
                "not shrink."
            )
