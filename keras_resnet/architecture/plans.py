"""A plan: the convolutions of a network, unit by unit, with their strides, dilations, parameters and multiply-adds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, count, islice
from math import prod
from operator import mul
from typing import Literal

from keras_resnet.utils.errors import check_choice

StridesBy = Literal["conv", "mean_before", "mean_after", "blur"]


@dataclass(frozen=True)
class Conv:
    """One convolution. Its layers are called `<name>_conv`, `<name>_bn` or `_gn`, `<name>_relu`, `<name>_pad`."""

    name: str
    inputs: int
    filters: int
    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: bool
    pad: int  # zeros on each side, from a layer of their own; 0: the convolution pads itself
    # What takes the stride: the convolution, a 2x2 mean in front of it (-D), or what follows its ReLU, a mean or blur.
    strides_by: StridesBy = "conv"
    rank: Literal[1, 2] = 2  # 1: it slides over channels, of which each has one number (ECA)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Height and width, channels in, channels out."""
        return (*(self.kernel,) * self.rank, self.inputs // self.groups, self.filters)

    @property
    def parameters(self) -> int:
        """Kernel and bias."""
        return prod(self.kernel_shape) + (self.filters if self.bias else 0)


@dataclass(frozen=True)
class Norm:
    """One norm, with the name of its layer."""

    name: str
    channels: int
    kind: Literal["batch", "group", "data"]  # "data": of the image, without gamma

    @property
    def variables(self) -> tuple[str, ...]:
        """What it holds of each channel."""
        return NORM_VARIABLES[self.kind]

    @property
    def trainable(self) -> int:
        """How many of these are learnt."""
        return 1 if self.kind == "data" else 2


NORM_VARIABLES = {
    "batch": ("gamma", "beta", "moving_mean", "moving_variance"),
    "group": ("gamma", "beta"),
    "data": ("beta", "moving_mean", "moving_variance"),
}
SUFFIXES = {"batch": "bn", "group": "gn", "data": "bn"}  # of norms' layers
_AVERAGING = {
    "mean_after": "means (anti-aliasing)",
    "blur": "blurs (anti-aliasing)",
    "mean_before": "means in its shortcuts (-D)",
}
# A projection; the input as it is, or with zero channels behind it, or half of them in front; or nothing.
Shortcut = Conv | Literal["identity", "pad_after", "pad_both", None]
# Those of option A, by `Lineage.pad_channels`.
PADS: dict[str, Literal["pad_after", "pad_both"]] = {"after": "pad_after", "both": "pad_both"}


@dataclass(frozen=True)
class Unit:
    """One residual unit, such as `conv4_block6`."""

    name: str
    convs: tuple[Conv, ...]
    shortcut: Shortcut
    reads_activation: bool  # v2: the shortcut reads norm and ReLU of the input
    attention: tuple[Conv, ...] = ()  # of the gate: two of SE, or one of ECA
    gate_relu: bool = False  # whether one more ReLU stands in front of the gate

    @property
    def stage(self) -> str:
        """The name of its stage, such as `conv4`."""
        return self.name.rpartition("_block")[0]

    @property
    def inputs(self) -> int:
        """Channels that come in; 0 if all but its first norm was cut off."""
        return self.convs[0].inputs if self.convs else 0

    @property
    def filters(self) -> int:
        """Channels that go out; 0 if all but its first norm was cut off."""
        return self.convs[-1].filters if self.convs else 0

    @property
    def stride(self) -> int:
        """How much smaller the map becomes."""
        return prod(conv.stride for conv in self.convs)

    @property
    def averages(self) -> str | None:
        """What takes means where the map becomes smaller, in words; None where convolutions stride."""
        ways = {conv.strides_by for conv in (*self.convs, self.shortcut) if isinstance(conv, Conv) and conv.stride > 1}
        return next((words for way, words in _AVERAGING.items() if way in ways), None)

    def dense(self, dilation: int) -> "Unit":
        """The unit without its stride, on a map where dilation stands for the strides that were given up before it.

        A convolution that gives up its stride keeps the dilation it had; every later one has it multiplied. That is
        without effect on a 1x1, which therefore stays as it is (a dilated 1x1 costs 1.3 times as much on TensorFlow).
        Only right behind the convolution that gave up its stride a 1x1 is marked with the new dilation: so the place
        can be told from the layers alone, `features.feature_pyramid` does.
        """
        convs, marked, shortcut = [], False, self.shortcut
        if isinstance(shortcut, Conv):
            rate = dilation if shortcut.kernel > 1 else 1
            shortcut = replace(shortcut, stride=1, dilation=rate, pad=shortcut.pad * rate)
        for conv in self.convs:
            rate = dilation if conv.kernel > 1 or marked else 1
            convs.append(replace(conv, stride=1, dilation=rate, pad=conv.pad * rate))
            dilation, marked = dilation * conv.stride, conv.stride > 1
        return replace(self, convs=tuple(convs), shortcut=shortcut)


def dilations(strides: Iterable[int], stride: int, target: int | None) -> list[int | None]:
    """Returns for each stride None while it is kept, or, once the map is `target` times smaller, the dilation instead.

    `stride`: by how much the map is smaller before the first of them. The dilation is what the strides given up
    before make: the unit that gives one up keeps the dilation it had, and all later ones have it multiplied.

    Raises:
        ValueError: if the strides step over `target` or don't get to it.
    """
    dilation = 1
    rates: list[int | None] = []
    for each in strides:
        if target is None or stride < target:
            stride *= each
            rates.append(None)
        else:
            rates.append(dilation)
            dilation *= each
    if target not in (None, stride):
        raise ValueError(
            f"`output_stride` must be one that the network can reach; received {target}. It can reach {stride}."
        )
    return rates


@dataclass(frozen=True)
class Plan:
    """Every convolution of a network, in the order in which data meets them."""

    version: Literal[1, 2]
    stem: tuple[Conv, ...]
    # What of stride 2 follows the stem: a max pool, a mean instead, a blur behind a max pool, or a convolution.
    pool: Literal["max", "avg", "blur", None] | Conv
    stages: tuple[tuple[Unit, ...], ...]
    # What a max pool sees beyond the border: a pixel on each side; one behind, so that 113 pixels become 56, not 57; or
    # nothing, so that 112 become 55.
    pool_border: Literal["padded", "ceil", "valid"] = "padded"
    norm: Literal["batch", "group"] = "batch"
    data_norm: bool = False  # whether a norm takes the image, and in v2 a norm follows the stem

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of all stages."""
        return tuple(unit for stage in self.stages for unit in stage)

    @property
    def channels(self) -> int:
        """Channels of the last feature map."""
        return self.units[-1].filters

    @property
    def averages_shortcuts(self) -> bool:
        """Whether means take the stride in front of its projections, as in -D."""
        branches = (unit.shortcut for unit in self.units)
        return any(isinstance(branch, Conv) and branch.strides_by == "mean_before" for branch in branches)

    @property
    def output_strides(self) -> tuple[int, ...]:
        """By how much the last map can be smaller than the image: the stem's stride, then after each striding unit."""
        stem = prod(conv.stride for conv in self.stem) * (2 if self.pool else 1)
        return tuple(dict.fromkeys(accumulate((unit.stride for unit in self.units), mul, initial=stem)))

    def dense(self, output_stride: int | None) -> "Plan":
        """The same network with a last map of this stride: once it is reached, units dilate instead of striding.

        `dense[:, ::k, ::k]` is the map of the network as it was, and no weight differs (TF-Slim's `output_stride`,
        torchvision's `replace_stride_with_dilation`). Gates and group norms take their means over another map, though,
        so where there are some it is another function. None: the network as it was.

        Raises:
            ValueError: if `output_stride` is none of `output_strides`, or a mean or a blur would give up its stride.
        """
        if output_stride is None:
            return self
        reached, kept, note = self.output_strides[0], 0, ""
        for unit in self.units:
            reached *= unit.stride
            if unit.averages:
                kept, note = reached, f" This network strides by {unit.averages}, which have no dilated form."
        allowed = (stride for stride in self.output_strides if stride >= kept)
        check_choice("output_stride", output_stride, (None, *allowed), note)
        rates = iter(dilations((unit.stride for unit in self.units), self.output_strides[0], output_stride))
        stages = [
            tuple(unit if (rate := next(rates)) is None else unit.dense(rate) for unit in stage)
            for stage in self.stages
        ]
        return replace(self, stages=tuple(stages))

    def convs(self) -> Iterator[Conv]:
        """Yields the stem's convolutions and its pool's, then each unit's: projection, if any, residual and gate."""
        yield from self.stem
        if isinstance(self.pool, Conv):
            yield self.pool
        for unit in self.units:
            if isinstance(unit.shortcut, Conv):
                yield unit.shortcut
            yield from unit.convs
            yield from unit.attention

    def norms(self) -> Iterator[Norm]:
        """Yields every norm: v1 after each convolution but those of gates; v2 before each of a unit, and last."""
        suffix = SUFFIXES[self.norm]
        if self.data_norm:
            yield Norm("data_bn", self.stem[0].inputs if self.stem else self.units[0].inputs, "data")
        normed = self.stem if self.version == 1 or self.data_norm else self.stem[:-1]
        for conv in (*normed, *([self.pool] if isinstance(self.pool, Conv) else [])):
            yield Norm(f"{conv.name}_{suffix}", conv.filters, self.norm)
        for unit in self.units:
            if self.version == 1:
                for conv in (*([unit.shortcut] if isinstance(unit.shortcut, Conv) else []), *unit.convs):
                    yield Norm(f"{conv.name}_{suffix}", conv.filters, self.norm)
            else:
                yield Norm(f"{unit.name}_preact_{suffix}", unit.inputs, self.norm)
                for conv in unit.convs[:-1]:
                    yield Norm(f"{conv.name}_{suffix}", conv.filters, self.norm)
        if self.version == 2:
            yield Norm(f"post_{suffix}", self.channels, self.norm)

    def parameters(self, classes: int | None = 1000, *, trainable: bool = False) -> int:
        """Counts all parameters, or the trainable ones (a norm's moving statistics are not); classes=None: no top."""
        top = (self.channels + 1) * classes if classes else 0
        norms = sum(norm.channels * (norm.trainable if trainable else len(norm.variables)) for norm in self.norms())
        return sum(conv.parameters for conv in self.convs()) + norms + top

    def multiply_adds(self, height: int = 224, width: int = 224, classes: int | None = 1000) -> int:
        """Counts the multiply-adds of convolutions and classifier for one image (arXiv:1512.03385 Table 1)."""
        total = self.channels * (classes or 0)
        for rows, columns in zip(self.sizes(height), self.sizes(width), strict=True):
            (conv, row), (_, column) = rows, columns
            total += row * column * prod(conv.kernel_shape)
        for unit in self.units:  # once an image, over all channels that have a number
            total += sum(prod(conv.kernel_shape) * (unit.filters if conv.rank == 1 else 1) for conv in unit.attention)
        return total

    def sizes(self, side: int) -> Iterator[tuple[Conv, int]]:
        """Yields each convolution but those of gates with the height, or width, of its output for an image of this one.

        Raises:
            ValueError: if the branches of a unit differ there, since a mean or blur leaves out the last row of an odd
                map, and the shortcut does not.
        """
        for conv in self.stem:
            side = -(-side // conv.stride)
            yield conv, side
        if isinstance(self.pool, Conv):
            side = -(-side // 2)
            yield self.pool, side
        elif self.pool:
            side = self.pooled(side)
        for unit in self.units:
            skip = -(-side // unit.stride)
            if isinstance(unit.shortcut, Conv):
                yield unit.shortcut, skip
            for conv in unit.convs:
                if conv.strides_by == "mean_after":
                    yield conv, side
                    side //= conv.stride
                elif conv.strides_by == "blur":
                    yield conv, side
                    side = -(-side // conv.stride) if side > 1 else 0  # a single pixel has no reflection
                else:
                    side = -(-side // conv.stride)
                    yield conv, side
            if side != skip and unit.shortcut is not None:
                raise ValueError(f"{unit.name} has maps of {side} and {skip} pixels")

    @property
    def antialias(self) -> Literal["avg", "blur", None]:
        """What strides behind convolutions and in the stem, as `Variant.antialias` has it."""
        ways = {conv.strides_by for unit in self.units for conv in unit.convs if conv.stride > 1} | {self.pool}
        return "blur" if "blur" in ways else "avg" if ways & {"avg", "mean_after"} else None

    def pooled(self, side: int) -> int:
        """The height, or width, of the map behind a pool that takes one of this."""
        if self.pool == "avg" or (self.pool == "max" and self.pool_border == "ceil"):
            return side // 2
        return (side - 1) // 2 if self.pool == "max" and self.pool_border == "valid" else -(-side // 2)


def check_side(argument: str, name: str, plan: Plan, side: int) -> None:
    """Raises a `ValueError` for a height or width at which branches differ or a map can't be padded."""

    def fits(side: int) -> bool:
        try:
            return min(each for _, each in plan.sizes(side)) > 0
        except ValueError:
            return False

    if plan.antialias and not fits(side):
        below, above = filter(fits, range(side - 1, 0, -1)), filter(fits, count(side + 1))
        near = [*islice(below, 1), next(above)]
        raise ValueError(
            f"`{argument}`: {name} is anti-aliased and has no output for images of {side} pixels, since maps inside it "
            "would be too small, or differ between the branches of a block; nearest to that fit "
            f"{' and '.join(map(str, near))}. Resize or pad the images."
        )
