"""`Kit`: the stock Keras layers of a residual network, with what they share bound once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import initializers, layers

from keras_resnet.architecture.lineages import Lineage
from keras_resnet.architecture.plans import Conv, Unit
from keras_resnet.models.arguments import Tensor


@dataclass(frozen=True)
class Kit:
    """The layers of one network. Each method calls stock layers on a tensor and returns the result."""

    lineage: Lineage
    data_format: str
    dtype: str  # the name of a policy; an object of one could not be saved by every layer
    kernel_regularizer: keras.Regularizer | None = None
    drop_path: float = 0.0
    zero_init_residual: bool = False
    training: bool | None = None  # True: norms use the batch's statistics; False: they are frozen; None: as called
    prefix: str = ""  # in front of every layer's name
    outputs: dict[str, Tensor] = field(default_factory=dict)  # of every layer so far, by name without prefix

    @property
    def channel_axis(self) -> int:
        """The axis of a feature map that holds channels."""
        return 3 if self.data_format == "channels_last" else 1

    def at_depth(self, fraction: float) -> "Kit":
        """The kit of a unit so far down the network: units drop the more, the deeper they are."""
        return replace(self, drop_path=self.drop_path * fraction)

    def put(
        self, kind: type[keras.Layer], x: Tensor, name: str, *args: Any, training: bool | None = None, **kwargs: Any
    ) -> Tensor:
        """Calls a new layer of this name."""
        layer = kind(*args, **{"dtype": self.dtype} | kwargs, name=f"{self.prefix}{name}")
        self.outputs[name] = layer(x) if training is None else layer(x, training=training)
        return self.outputs[name]

    def pad(self, x: Tensor, zeros: int, name: str) -> Tensor:
        """Puts zeros on each side of the map."""
        return self.put(layers.ZeroPadding2D, x, name, zeros, data_format=self.data_format)

    def conv(self, x: Tensor, conv: Conv, *, ends_residual: bool = False) -> Tensor:
        """Convolves, after zeros from a layer of their own where the plan says so."""
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
            strides=conv.stride,
            padding="valid" if conv.pad or conv.kernel == 1 else "same",
            data_format=self.data_format,
            dilation_rate=conv.dilation,
            groups=conv.groups,
            use_bias=conv.bias,
            kernel_initializer="zeros" if ends_residual and self.zero_init_residual else initial,
            kernel_regularizer=self.kernel_regularizer,
        )

    def norm(self, x: Tensor, name: str, *, ends_residual: bool = False) -> Tensor:
        """Normalises over the batch."""
        return self.put(
            layers.BatchNormalization,
            x,
            f"{name}_bn",
            training=self.training or None,
            axis=self.channel_axis,
            momentum=self.lineage.momentum,
            epsilon=self.lineage.epsilon,
            gamma_initializer="zeros" if ends_residual and self.zero_init_residual else "ones",
            trainable=self.training is not False,  # fit's `training=True` would override a call's False
        )

    def relu(self, x: Tensor, name: str) -> Tensor:
        """Applies max(x, 0)."""
        return self.put(layers.Activation, x, name, "relu")

    def pool(self, x: Tensor, size: int, stride: int, name: str, padding: str = "valid") -> Tensor:
        """Takes the maximum of each window; size 1 subsamples."""
        return self.put(layers.MaxPooling2D, x, name, size, stride, padding, self.data_format)

    def stem_pool(self, x: Tensor) -> Tensor:
        """Takes the maximum of 3x3 windows around, or, on even sizes in style "slim", behind every second pixel.

        In style "keras_2016", which pads nothing, windows lie behind it on all sizes.
        """
        if self.lineage.stem_pool == "valid":
            return self.pool(x, 3, 2, "pool1_pool")
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
