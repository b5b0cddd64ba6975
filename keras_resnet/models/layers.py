"""`Kit`: the stock Keras layers of a residual network, with what they share bound once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import initializers, layers

from keras_resnet.architecture.lineages import Lineage
from keras_resnet.architecture.plans import Conv, Unit
from keras_resnet.architecture.variant import NORM_GROUPS
from keras_resnet.models.arguments import Tensor
from keras_resnet.models.functional import pad_operation


@dataclass(frozen=True)
class Kit:
    """The layers of one network. Each method calls stock layers on a tensor and returns the result."""

    lineage: Lineage
    data_format: str
    dtype: str  # the name of a policy; an object of one could not be saved by every layer
    kernel_regularizer: keras.Regularizer | None = None
    drop_path: float | Sequence[float] = 0.0  # of the last unit, or of the units of each stage
    zero_init_residual: bool = False
    training: bool | None = None  # True: norms use the batch's statistics; False: they are frozen; None: as called
    norms: str = "batch"  # or "group"
    prefix: str = ""  # in front of every layer's name
    outputs: dict[str, Tensor] = field(default_factory=dict)  # of every layer so far, by name without prefix

    @property
    def channel_axis(self) -> int:
        """The axis of a feature map that holds channels."""
        return 3 if self.data_format == "channels_last" else 1

    def at_depth(self, fraction: float, stage: int) -> "Kit":
        """The kit of a unit so far down the network, in this stage: it drops the more, the deeper it is."""
        rate = self.drop_path * fraction if isinstance(self.drop_path, int | float) else self.drop_path[stage]
        return replace(self, drop_path=rate)

    def put(
        self, kind: type[keras.Layer], x: Tensor, name: str, *args: Any, training: bool | None = None, **kwargs: Any
    ) -> Tensor:
        """Calls a new layer of this name."""
        layer = kind(*args, **{"dtype": self.dtype} | kwargs, name=f"{self.prefix}{name}")
        self.outputs[name] = layer(x) if training is None else layer(x, training=training)
        return self.outputs[name]

    def pad(self, x: Tensor, zeros: int | tuple[tuple[int, int], tuple[int, int]], name: str) -> Tensor:
        """Puts zeros on each side of the map, or as many as there are given for the sides of each axis."""
        return self.put(layers.ZeroPadding2D, x, name, zeros, data_format=self.data_format)

    def conv(self, x: Tensor, conv: Conv, *, ends_residual: bool = False) -> Tensor:
        """Convolves, after a mean that strides, and zeros from a layer of their own, where the plan says so."""
        if conv.strides_by == "mean_before":
            x = self.mean(x, conv.stride, conv.stride, f"{conv.name}_pool", "same")  # which leaves pads out
        if conv.pad:
            x = self.pad(x, conv.pad, f"{conv.name}_pad")
        initializer = self.lineage.initializer
        initial = initializers.VarianceScaling(*initializer) if initializer else "glorot_uniform"
        return self.put(
            layers.Conv2D,
            x,
            f"{conv.name}_conv",
            conv.filters,
            conv.kernel,
            strides=conv.stride if conv.strides_by == "conv" else 1,
            padding="valid" if conv.pad or conv.kernel == 1 else "same",
            data_format=self.data_format,
            dilation_rate=conv.dilation,
            groups=conv.groups,
            use_bias=conv.bias,
            kernel_initializer="zeros" if ends_residual and self.zero_init_residual else initial,
            kernel_regularizer=self.kernel_regularizer,
        )

    def norm(self, x: Tensor, name: str, *, ends_residual: bool = False) -> Tensor:
        """Normalises over the batch, or over groups of channels in each image."""
        gamma = "zeros" if ends_residual and self.zero_init_residual else "ones"
        if self.norms == "group":
            return self.put(
                layers.GroupNormalization,
                x,
                f"{name}_gn",
                NORM_GROUPS,
                axis=self.channel_axis,
                epsilon=self.lineage.epsilon,
                gamma_initializer=gamma,
            )
        return self._batch_norm(x, f"{name}_bn", gamma_initializer=gamma)

    def _batch_norm(self, x: Tensor, name: str, **settings: Any) -> Tensor:
        """Normalises over the batch, with the lineage's epsilon and momentum."""
        return self.put(
            layers.BatchNormalization,
            x,
            name,
            training=self.training or None,
            axis=self.channel_axis,
            momentum=self.lineage.momentum,
            epsilon=self.lineage.epsilon,
            trainable=self.training is not False,  # fit's `training=True` would override a call's False
            **settings,
        )

    def data_norm(self, x: Tensor) -> Tensor:
        """Normalises the image, without gamma."""
        return self._batch_norm(x, "data_bn", scale=False)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """Applies max(x, 0)."""
        return self.put(layers.Activation, x, name, "relu")

    def pool(self, x: Tensor, size: int, stride: int, name: str, padding: str = "valid") -> Tensor:
        """Takes the maximum of each window; size 1 subsamples."""
        return self.put(layers.MaxPooling2D, x, name, size, stride, padding, self.data_format)

    def mean(self, x: Tensor, size: int, stride: int, name: str, padding: str = "valid") -> Tensor:
        """Takes the mean of each window."""
        return self.put(layers.AveragePooling2D, x, name, size, stride, padding, self.data_format)

    def blur(self, x: Tensor, stride: int, name: str) -> Tensor:
        """Filters a reflected map by [1, 2, 1] in both directions: two 2x2 means, the second with the stride."""
        sides = [(0, 0), (1, 1), (1, 1)]
        sides.insert(self.channel_axis, (0, 0))
        # as `keras.ops.pad`, which gives its node no name but a number
        x = pad_operation()(sides, "reflect", name=f"{self.prefix}{name}_pad")(x)
        return self.mean(self.mean(x, 2, 1, f"{name}_mean"), 2, stride, name)

    def antialias(self, x: Tensor, conv: Conv) -> Tensor:
        """The mean or blur that strides for a convolution behind its ReLU, if one does."""
        if conv.strides_by == "mean_after":
            return self.mean(x, conv.stride, conv.stride, f"{conv.name}_mean")
        return self.blur(x, conv.stride, f"{conv.name}_blur") if conv.strides_by == "blur" else x

    def attend(self, x: Tensor, unit: Unit) -> Tensor:
        """Multiplies channels with their gates, if the unit has gates: a sigmoid of what the channels' means tell."""
        if not unit.attention:
            return x
        if unit.gate_relu:
            x = self.relu(x, f"{unit.convs[-1].name}_relu")
        name = unit.attention[0].name.removesuffix("_1")
        gate = self._eca(x, *unit.attention) if len(unit.attention) == 1 else self._se(x, *unit.attention)
        gate = self.put(layers.Activation, gate, f"{name}_sigmoid", "sigmoid")
        return self.put(layers.Multiply, [x, gate], f"{name}_scale")

    def _se(self, x: Tensor, first: Conv, second: Conv) -> Tensor:
        """conv(relu(conv(mean)))."""
        name = first.name.removesuffix("_1")
        means = self.put(layers.GlobalAveragePooling2D, x, f"{name}_squeeze", self.data_format, True)
        return self.conv(self.relu(self.conv(means, first), f"{first.name}_relu"), second)

    def _eca(self, x: Tensor, conv: Conv) -> Tensor:
        """A convolution over the channels, of which each has one number, its mean."""
        channels = x.shape[self.channel_axis]
        means = self.put(layers.GlobalAveragePooling2D, x, f"{conv.name}_squeeze", self.data_format)
        gate = self.put(
            layers.Conv1D,
            self.put(layers.Reshape, means, f"{conv.name}_reshape", (channels, 1)),
            f"{conv.name}_conv",
            1,
            conv.kernel,
            padding="same",
            data_format="channels_last",  # which would else follow the global setting
            use_bias=False,
            kernel_regularizer=self.kernel_regularizer,
        )
        shape = (1, 1, channels) if self.data_format == "channels_last" else (channels, 1, 1)
        return self.put(layers.Reshape, gate, f"{conv.name}_expand", shape)

    def stem_pool(self, x: Tensor, pool: str | Conv) -> Tensor:
        """Halves the map: by a convolution with norm and ReLU, a mean, a blurred maximum, or a maximum.

        That is of 3x3 windows around, or, on even sizes in style "slim", behind every second pixel. Where the lineage
        pads nothing, or behind the map alone, windows lie behind it on all sizes.
        """
        if isinstance(pool, Conv):
            return self.relu(self.norm(self.conv(x, pool), pool.name), f"{pool.name}_relu")
        if pool == "avg":
            return self.mean(x, 2, 2, "pool1_pool")
        sees = self.lineage.stem_pool
        if pool == "max" and sees in ("valid", "same"):
            return self.pool(x, 3, 2, "pool1_pool", sees)
        if pool == "max" and sees in ("zeros", "ceil"):
            x = self.pad(x, 1 if sees == "zeros" else ((0, 1), (0, 1)), "pool1_pad")
            return self.pool(x, 3, 2, "pool1_pool")
        # "same" pads a window of stride 1 by one pixel on each side, as far as a maximum is concerned with -inf.
        x = self.pool(x, 3, 1, "pool1_max", "same")
        return self.pool(x, 1, 2, "pool1_pool") if pool == "max" else self.blur(x, 2, "pool1_blur")

    def shortcut(self, x: Tensor, unit: Unit) -> Tensor | None:
        """The branch beside the residual: projected, or subsampled and zero-padded as far as the unit needs it."""
        if isinstance(unit.shortcut, Conv):
            x = self.conv(x, unit.shortcut)
            return self.norm(x, unit.shortcut.name) if self.lineage.version == 1 else x
        if unit.shortcut is None:
            return None
        if unit.stride > 1:
            x = self.pool(x, 1, unit.stride, f"{unit.name}_0_pool")
        return x if unit.shortcut == "identity" else self.pad_channels(x, unit)

    def pad_channels(self, x: Tensor, unit: Unit) -> Tensor:
        """Adds zero channels (option A): to a padding layer of the other data_format, channels are the width."""
        name, first = f"{unit.name}_0", self.data_format == "channels_first"
        new = unit.filters - unit.inputs
        before = new // 2 if unit.shortcut == "pad_both" else 0
        if first:
            x = self.put(layers.Permute, x, f"{name}_last", (2, 3, 1))
        zeros = ((0, 0), (before, new - before))
        x = self.put(layers.ZeroPadding2D, x, f"{name}_pad", zeros, "channels_first")
        return self.put(layers.Permute, x, f"{name}_first", (3, 1, 2)) if first else x

    def add(self, skip: Tensor | None, x: Tensor, unit: Unit, name: str) -> Tensor:
        """skip + x, where training may drop an image's x; a plain net has no skip."""
        if skip is None:
            return x
        if self.drop_path:
            x = self.put(layers.Dropout, x, f"{unit.name}_drop", self.drop_path, (None, 1, 1, 1))  # per image
            if isinstance(unit.shortcut, Conv):  # Keras orders weights by depth, so both branches grow by a layer
                skip = self.put(layers.Identity, skip, f"{unit.name}_0_keep")
        return self.put(layers.Add, [skip, x], name)

    def global_pool(self, x: Tensor, pooling: str, *, keepdims: bool = False) -> Tensor:
        """The average ("avg") or maximum ("max") over height and width: (N, C), or, with keepdims, a 1x1 map."""
        layer = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
        return self.put(layer, x, f"{pooling}_pool", self.data_format, keepdims)

    def classifier(
        self, x: Tensor, classes: int, activation: str | Callable[..., Any] | None = None, dropout: float = 0.0
    ) -> Tensor:
        """Applies one dense layer, in float32 under a mixed policy, to a vector or at each position of a map."""
        if dropout:
            x = self.put(layers.Dropout, x, "top_dropout", dropout)
        moves = len(x.shape) == 4 and self.data_format == "channels_first"  # a dense layer works on the last axis
        if moves:
            x = self.put(layers.Permute, x, "predictions_last", (2, 3, 1), dtype=self.top_dtype)
        rest: dict[str, Any] = {"kernel_regularizer": self.kernel_regularizer, "dtype": self.top_dtype}
        x = self.put(layers.Dense, x, "predictions", classes, activation, **rest)
        return self.put(layers.Permute, x, "predictions_first", (3, 1, 2), dtype=self.top_dtype) if moves else x

    @property
    def top_dtype(self) -> str:
        """The policy of the classifier."""
        return "float32" if self.dtype.startswith("mixed") else self.dtype
