"""A plan: the convolutions of a network, unit by unit, with their strides, dilations, parameters and multiply-adds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from operator import mul
from typing import Literal

from keras_resnet.utils.errors import check_choice


@dataclass(frozen=True)
class Conv:
    """One convolution. Its layers are called `<name>_conv`, `<name>_bn`, `<name>_relu`, `<name>_pad`."""

    name: str
    inputs: int
    filters: int
    kernel: int
    stride: int
    dilation: int
    groups: int
    bias: bool
    pad: int  # zeros on each side, from a layer of their own; 0: the convolution pads itself

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """Height, width, channels in, channels out."""
        return self.kernel, self.kernel, self.inputs // self.groups, self.filters

    @property
    def parameters(self) -> int:
        """Kernel and bias."""
        return prod(self.kernel_shape) + (self.filters if self.bias else 0)


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

    @property
    def stage(self) -> str:
        """The name of its stage, such as `conv4`."""
        return self.name.rpartition("_block")[0]

    @property
    def inputs(self) -> int:
        """Channels that come in."""
        return self.convs[0].inputs

    @property
    def filters(self) -> int:
        """Channels that go out."""
        return self.convs[-1].filters

    @property
    def stride(self) -> int:
        """How much smaller the map becomes."""
        return prod(conv.stride for conv in self.convs)

    def dense(self, dilation: int) -> "Unit":
        """The unit without its stride, on a map where dilation stands for the strides that were given up before it.

        A convolution that gives up its stride keeps the dilation it had; every later one has it multiplied. That is
        without effect on a 1x1, which therefore stays as it is (a dilated 1x1 costs 1.3 times as much on TensorFlow).
        Only right behind the convolution that gave up its stride a 1x1 is marked with the new dilation: so the place
        can be told from the layers alone, `features.feature_pyramid` does.
        """
        convs, marked = [], False
        for conv in self.convs:
            rate = dilation if conv.kernel > 1 or marked else 1
            convs.append(replace(conv, stride=1, dilation=rate, pad=conv.pad * rate))
            dilation, marked = dilation * conv.stride, conv.stride > 1
        shortcut = replace(self.shortcut, stride=1) if isinstance(self.shortcut, Conv) else self.shortcut
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
    stem: Conv | None
    pool: bool  # whether a max pool of stride 2 follows the stem
    stages: tuple[tuple[Unit, ...], ...]
    pool_pads: bool = True  # whether that pool looks beyond the border; else 112 pixels become 55, not 56

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of all stages."""
        return tuple(unit for stage in self.stages for unit in stage)

    @property
    def channels(self) -> int:
        """Channels of the last feature map."""
        return self.units[-1].filters

    @property
    def output_strides(self) -> tuple[int, ...]:
        """By how much the last map can be smaller than the image: the stem's stride, then after each striding unit."""
        stem = (self.stem.stride if self.stem else 1) * (2 if self.pool else 1)
        return tuple(dict.fromkeys(accumulate((unit.stride for unit in self.units), mul, initial=stem)))

    def dense(self, output_stride: int | None) -> "Plan":
        """The same network with a last map of this stride: once it is reached, units dilate instead of striding.

        `dense[:, ::k, ::k]` is the map of the network as it was, and no weight differs (TF-Slim's `output_stride`,
        torchvision's `replace_stride_with_dilation`). None: the network as it was.

        Raises:
            ValueError: if `output_stride` is none of `output_strides`.
        """
        if output_stride is None:
            return self
        check_choice("output_stride", output_stride, (None, *self.output_strides))
        rates = iter(dilations((unit.stride for unit in self.units), self.output_strides[0], output_stride))
        stages = [
            tuple(unit if (rate := next(rates)) is None else unit.dense(rate) for unit in stage)
            for stage in self.stages
        ]
        return replace(self, stages=tuple(stages))

    def convs(self) -> Iterator[Conv]:
        """Yields the stem's convolution, then each unit's projection, if any, and convolutions."""
        if self.stem:
            yield self.stem
        for unit in self.units:
            if isinstance(unit.shortcut, Conv):
                yield unit.shortcut
            yield from unit.convs

    def norms(self) -> Iterator[int]:
        """Yields the channels of every batch norm: v1 after each convolution; v2 before each of a unit, and last."""
        if self.version == 1:
            yield from (conv.filters for conv in self.convs())
        else:
            yield from (conv.inputs for unit in self.units for conv in unit.convs)
            yield self.channels

    def parameters(self, classes: int | None = 1000, *, trainable: bool = False) -> int:
        """Counts all parameters, or the trainable ones (a norm's moving statistics are not); classes=None: no top."""
        top = (self.channels + 1) * classes if classes else 0
        return sum(conv.parameters for conv in self.convs()) + (2 if trainable else 4) * sum(self.norms()) + top

    def multiply_adds(self, height: int = 224, width: int = 224, classes: int | None = 1000) -> int:
        """Counts the multiply-adds of convolutions and classifier for one image (arXiv:1512.03385 Table 1)."""
        size: tuple[int, ...] = (height, width)
        total = self.channels * (classes or 0)

        def cost(conv: Conv, size: tuple[int, ...]) -> int:
            return prod(size) * prod(conv.kernel_shape)

        def strided(size: tuple[int, ...], stride: int) -> tuple[int, ...]:
            return tuple(-(-side // stride) for side in size)

        if self.stem:
            size = strided(size, self.stem.stride)
            total += cost(self.stem, size)
        if self.pool:
            size = strided(size, 2) if self.pool_pads else tuple((side - 1) // 2 for side in size)
        for unit in self.units:
            for conv in unit.convs:
                size = strided(size, conv.stride)
                total += cost(conv, size)
            if isinstance(unit.shortcut, Conv):
                total += cost(unit.shortcut, size)
        return total
