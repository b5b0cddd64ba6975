"""The stock Keras layers of a residual network: what they share bound once, the two units, and their stack."""

from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import initializers, layers

from keras_resnet.lineages import Lineage
from keras_resnet.plans import Conv, Plan, Unit

Tensor = Any  # a KerasTensor of rank 4; Keras ships no types


@dataclass(frozen=True)
class Kit:
    """The layers of one network. Each method calls stock layers on a tensor and returns the result."""

    lineage: Lineage
    data_format: str
    dtype: str  # the name of a policy; an object of one could not be saved by every layer
    kernel_regularizer: keras.Regularizer | None = None
    drop_path: float = 0.0
    zero_init_residual: bool = False

    @property
    def channel_axis(self) -> int:
        """The axis of a feature map that holds channels."""
        return 3 if self.data_format == "channels_last" else 1

    def at_depth(self, fraction: float) -> "Kit":
        """The kit of a unit so far down the network: units drop the more, the deeper they are."""
        return replace(self, drop_path=self.drop_path * fraction)

    def pad(self, x: Tensor, zeros: int, name: str) -> Tensor:
        """Puts zeros on each side of the map."""
        return layers.ZeroPadding2D(zeros, data_format=self.data_format, dtype=self.dtype, name=name)(x)

    def conv(self, x: Tensor, conv: Conv, *, ends_residual: bool = False) -> Tensor:
        """Convolves, after zeros from a layer of their own where the plan says so."""
        if conv.pad:
            x = self.pad(x, conv.pad, f"{conv.name}_pad")
        initializer = self.lineage.initializer
        initial = initializers.VarianceScaling(*initializer) if initializer else "glorot_uniform"
        return layers.Conv2D(
            conv.filters,
            conv.kernel,
            strides=conv.stride,
            padding="valid" if conv.pad or conv.kernel == 1 else "same",
            data_format=self.data_format,
            dilation_rate=conv.dilation,
            groups=conv.groups,
            use_bias=conv.bias,
            kernel_initializer="zeros" if ends_residual and self.zero_init_residual else initial,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype,
            name=f"{conv.name}_conv",
        )(x)

    def norm(self, x: Tensor, name: str, *, ends_residual: bool = False) -> Tensor:
        """Normalises over the batch."""
        return layers.BatchNormalization(
            axis=self.channel_axis,
            momentum=self.lineage.momentum,
            epsilon=self.lineage.epsilon,
            gamma_initializer="zeros" if ends_residual and self.zero_init_residual else "ones",
            dtype=self.dtype,
            name=f"{name}_bn",
        )(x)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """Applies max(x, 0)."""
        return layers.Activation("relu", dtype=self.dtype, name=name)(x)

    def pool(self, x: Tensor, size: int, stride: int, name: str, padding: str = "valid") -> Tensor:
        """Takes the maximum of each window; size 1 subsamples."""
        return layers.MaxPooling2D(size, stride, padding, self.data_format, dtype=self.dtype, name=name)(x)

    def stem_pool(self, x: Tensor) -> Tensor:
        """Takes the maximum of 3x3 windows around, or, on even sizes in style "slim", behind every second pixel."""
        if self.lineage.stem_pool == "same":
            return self.pool(x, 3, 2, "pool1_pool", "same")
        if self.lineage.stem_pool == "zeros":
            return self.pool(self.pad(x, 1, "pool1_pad"), 3, 2, "pool1_pool")
        # "same" pads a window of stride 1 by one pixel on each side, as far as a maximum is concerned with -inf.
        return self.pool(self.pool(x, 3, 1, "pool1_max", "same"), 1, 2, "pool1_pool")

    def shortcut(self, x: Tensor, unit: Unit) -> Tensor | None:
        """The branch beside the residual: projected, or subsampled and zero-padded as far as the unit needs it."""
        if isinstance(unit.shortcut, Conv):
            x = self.conv(x, unit.shortcut)
            return self.norm(x, unit.shortcut.name) if self.lineage.version == 1 else x
        if unit.shortcut is None:
            return None
        if unit.stride > 1:
            x = self.pool(x, 1, unit.stride, f"{unit.name}_0_pool")
        return self.pad_channels(x, unit) if unit.shortcut == "pad" else x

    def pad_channels(self, x: Tensor, unit: Unit) -> Tensor:
        """Appends zero channels (option A): to a padding layer of the other data_format, channels are the width."""
        name, first = f"{unit.name}_0", self.data_format == "channels_first"
        if first:
            x = layers.Permute((2, 3, 1), dtype=self.dtype, name=f"{name}_last")(x)
        zeros = ((0, 0), (0, unit.filters - unit.inputs))
        x = layers.ZeroPadding2D(zeros, "channels_first", dtype=self.dtype, name=f"{name}_pad")(x)
        return layers.Permute((3, 1, 2), dtype=self.dtype, name=f"{name}_first")(x) if first else x

    def add(self, skip: Tensor | None, x: Tensor, unit: Unit, name: str) -> Tensor:
        """skip + x, where training may drop an image's x; a plain net has no skip."""
        if skip is None:
            return x
        if self.drop_path:
            per_image = (None, 1, 1, 1)
            x = layers.Dropout(self.drop_path, per_image, dtype=self.dtype, name=f"{unit.name}_drop")(x)
            if isinstance(unit.shortcut, Conv):  # Keras orders weights by depth, so both branches grow by a layer
                skip = layers.Identity(dtype=self.dtype, name=f"{unit.name}_0_keep")(skip)
        return layers.Add(dtype=self.dtype, name=name)([skip, x])


def unit_v1(x: Tensor, unit: Unit, kit: Kit) -> Tensor:
    """relu(F(x) + shortcut(x)); F repeats conv, norm, relu, and leaves out the last relu."""
    skip = kit.shortcut(x, unit)
    for conv in unit.convs:
        last = conv is unit.convs[-1]
        x = kit.norm(kit.conv(x, conv), conv.name, ends_residual=last)
        if not last:
            x = kit.relu(x, f"{conv.name}_relu")
    return kit.relu(kit.add(skip, x, unit, f"{unit.name}_add"), f"{unit.name}_out")


def unit_v2(x: Tensor, unit: Unit, kit: Kit) -> Tensor:
    """F(x) + shortcut(x); F repeats norm, relu, conv; a projection reads the first relu."""
    skip, name = x, f"{unit.name}_preact"
    for conv in unit.convs:
        x = kit.relu(kit.norm(x, name), f"{name}_relu")
        if conv is unit.convs[0]:
            skip = kit.shortcut(x if unit.reads_activation else skip, unit)
        x, name = kit.conv(x, conv, ends_residual=conv is unit.convs[-1]), conv.name
    return kit.add(skip, x, unit, f"{unit.name}_out")


def body(x: Tensor, plan: Plan, kit: Kit) -> Tensor:
    """Stem, units and, in v2, the last norm and activation."""
    if plan.stem:
        x = kit.conv(x, plan.stem)
        if plan.version == 1:
            x = kit.relu(kit.norm(x, plan.stem.name), f"{plan.stem.name}_relu")
    if plan.pool:
        x = kit.stem_pool(x)
    unit_fn = unit_v1 if plan.version == 1 else unit_v2
    for number, unit in enumerate(plan.units, 1):
        x = unit_fn(x, unit, kit.at_depth(number / len(plan.units)))
    return x if plan.version == 1 else kit.relu(kit.norm(x, "post"), "post_relu")
