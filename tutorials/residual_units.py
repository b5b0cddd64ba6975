"""Residual blocks of your own, written as functions: the shortcuts and orders of layers of arXiv:1603.05027.

    from residual_units import ORDERS, SHORTCUTS, network

    gated = network(*SHORTCUTS["exclusive gating, b=-6"], depth=20)  # (N, 8, 8, 1) -> logits (N, 10)

TF-Slim, and so `keras_resnet.slim`, calls a residual block a unit; its `Block` is a stage, that is, a list of units. A
unit function takes a feature map and returns the next feature map. `Block` calls the function once for each unit, so a
new kind of residual block needs no class and no option of the package.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers

from keras_resnet import slim

Tensor = Any
Function = Callable[[Tensor], Tensor]


def conv(x: Tensor, filters: int, stride: int = 1, rate: int = 1, size: int = 3) -> Tensor:
    """A convolution without bias, padded alike on all sides (Keras' "same" with a stride is not)."""
    if stride > 1 and size > 1:
        x = layers.ZeroPadding2D(1)(x)
    he = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    given = {"dilation_rate": rate, "use_bias": False, "kernel_initializer": he}
    return layers.Conv2D(filters, size, stride, "valid" if stride > 1 else "same", **given)(x)


def norm(x: Tensor) -> Tensor:
    """Batch norm with a momentum low enough for the few hundred steps of a training on small data."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return layers.ReLU()(x)


def identity(x: Tensor) -> Tensor:
    """Its input, unchanged."""
    return x


def norm_relu(x: Tensor) -> Tensor:
    """Batch norm, then ReLU."""
    return relu(norm(x))


# The shortcut of a unit whose output has another shape than its input (arXiv:1512.03385 sections 3.3 and 4.1).


def option_a(x: Tensor, depth: int, stride: int) -> Tensor:
    """No parameters: the input is subsampled, and channels of zeros are added behind its own."""
    if stride > 1:
        x = layers.MaxPooling2D(1, stride)(x)
    if more := depth - x.shape[-1]:
        x = layers.ZeroPadding2D(((0, 0), (0, more)), "channels_first")(x)  # so that it pads the channels
    return x


def option_b(x: Tensor, depth: int, stride: int) -> Tensor:
    """A projection where the shape changes, and the identity elsewhere."""
    return option_c(x, depth, stride) if stride > 1 or x.shape[-1] != depth else x


def option_c(x: Tensor, depth: int, stride: int) -> Tensor:
    """A projection in every unit."""
    return norm(conv(x, depth, stride, size=1))


# How the shortcut is changed and merged with the residual (arXiv:1603.05027 Figure 2).


def add(skip: Tensor, residual: Tensor) -> Tensor:
    """(a) The original: shortcut + residual."""
    return layers.Add()([skip, residual])


def halved(skip: Tensor, residual: Tensor) -> Tensor:
    """(b) Constant scaling of the shortcut: 0.5 * shortcut + residual."""
    return add(layers.Rescaling(0.5)(skip), residual)


def halved_both(skip: Tensor, residual: Tensor) -> Tensor:
    """(b) Constant scaling of both: 0.5 * shortcut + 0.5 * residual."""
    return layers.Rescaling(0.5)(add(skip, residual))


def gate(x: Tensor, bias: float) -> Tensor:
    """g(x) in (0, 1), where x is the shortcut. At first it is about sigmoid(bias): 0.5 for 0, and 0.0025 for -6."""
    b = keras.initializers.Constant(bias)
    return layers.Conv2D(x.shape[-1], 1, activation="sigmoid", bias_initializer=b)(x)


def gated(skip: Tensor, residual: Tensor, bias: float) -> Tensor:
    """(c) Exclusive gating, as in highway networks (arXiv:1505.00387): g * residual + (1 - g) * shortcut."""
    g = gate(skip, bias)
    return add(layers.Multiply()([layers.Rescaling(-1.0, 1.0)(g), skip]), layers.Multiply()([g, residual]))


def gated_shortcut(skip: Tensor, residual: Tensor, bias: float) -> Tensor:
    """(d) Shortcut-only gating: residual + (1 - g) * shortcut."""
    return add(layers.Multiply()([layers.Rescaling(-1.0, 1.0)(gate(skip, bias)), skip]), residual)


def convolved(skip: Tensor, residual: Tensor) -> Tensor:
    """(e) A 1x1 convolution on every shortcut. Unlike option C it has no batch norm."""
    return add(conv(skip, skip.shape[-1], size=1), residual)


def dropped(skip: Tensor, residual: Tensor) -> Tensor:
    """(f) Dropout of half the shortcut's values. Keras doubles the other half, so the mean stays as it is."""
    return add(layers.Dropout(0.5)(skip), residual)


def unit(shortcut: Callable[[Tensor, int, int], Tensor], merge: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Returns the unit function of a basic residual block with this shortcut and a ReLU at its end."""

    def unit_fn(inputs: Tensor, depth: int, stride: int, rate: int = 1) -> Tensor:
        x = relu(norm(conv(inputs, depth, stride, rate)))
        return relu(merge(shortcut(inputs, depth, stride), norm(conv(x, depth, 1, rate))))

    return unit_fn


# Where batch norm and ReLU stand (arXiv:1603.05027 Figure 4).


def norm_after_addition(x: Tensor, depth: int, stride: int, rate: int = 1) -> Tensor:
    """(b): conv, norm, ReLU, conv. Norm and ReLU follow the sum."""
    residual = conv(relu(norm(conv(x, depth, stride, rate))), depth, 1, rate)
    return relu(norm(add(option_a(x, depth, stride), residual)))


def relu_before_addition(x: Tensor, depth: int, stride: int, rate: int = 1) -> Tensor:
    """(c): conv, norm, ReLU, twice. The residual is never negative."""
    residual = relu(norm(conv(relu(norm(conv(x, depth, stride, rate))), depth, 1, rate)))
    return add(option_a(x, depth, stride), residual)


def relu_only(x: Tensor, depth: int, stride: int, rate: int = 1) -> Tensor:
    """(d): ReLU, conv, norm, twice."""
    residual = norm(conv(relu(norm(conv(relu(x), depth, stride, rate))), depth, 1, rate))
    return add(option_a(x, depth, stride), residual)


def full_preactivation(x: Tensor, depth: int, stride: int, rate: int = 1, splits: bool = False) -> Tensor:
    """(e): norm, ReLU, conv, twice. A network's first unit takes its shortcut behind the first ReLU (appendix)."""
    activated = norm_relu(x)
    residual = conv(norm_relu(conv(activated, depth, stride, rate)), depth, 1, rate)
    return add(option_a(activated if splits else x, depth, stride), residual)


# The arguments of `network`: the unit function, what follows the stem's convolution, what follows the last unit, and
# more arguments for the first unit.
Kind = tuple[Any, Function, Function, dict[str, Any]]
ORIGINAL: Kind = (unit(option_a, add), norm_relu, identity, {})
SHORTCUTS: dict[str, Kind] = {
    "original": ORIGINAL,  # with option A
    **{
        name: (unit(shortcut, merge), norm_relu, identity, {})
        for name, shortcut, merge in (
            ("option B", option_b, add),
            ("option C", option_c, add),
            ("constant 0.5 and 1", option_a, halved),
            ("constant 0.5 and 0.5", option_a, halved_both),
            ("exclusive gating, b=-6", option_a, partial(gated, bias=-6.0)),
            ("exclusive gating, b=0", option_a, partial(gated, bias=0.0)),
            ("shortcut-only gating, b=-6", option_a, partial(gated_shortcut, bias=-6.0)),
            ("shortcut-only gating, b=0", option_a, partial(gated_shortcut, bias=0.0)),
            ("1x1 convolution", option_a, convolved),
            ("dropout 0.5", option_a, dropped),
        )
    },
}
ORDERS: dict[str, Kind] = {
    "original": ORIGINAL,
    "norm after addition": (norm_after_addition, norm_relu, identity, {}),
    "ReLU before addition": (relu_before_addition, norm_relu, identity, {}),
    "ReLU-only pre-activation": (relu_only, norm_relu, relu, {}),
    "full pre-activation": (full_preactivation, identity, norm_relu, {"splits": True}),
}


def network(
    unit_fn: Any, after_stem: Function, after_units: Function, first: dict[str, Any], depth: int = 20
) -> keras.Model:
    """A CIFAR network of 6n + 2 layers with any unit function. It gives logits of 10 classes for grayscale 8x8 images.

    Args:
        unit_fn: called with a feature map, `depth`, `stride` and `rate`, it returns the next feature map.
        after_stem: the function applied after the stem's convolution.
        after_units: the function applied after the last unit.
        first: more keyword arguments for the first unit.
        depth: the number of layers: 20, 26, 32 ...
    """
    blocks = [
        slim.Block(
            f"block{stage}",
            unit_fn,
            [
                {"depth": 16 * 2 ** (stage - 1), "stride": 2 if stage > 1 and number == 0 else 1}
                for number in range((depth - 2) // 6)
            ],
        )
        for stage in (1, 2, 3)
    ]
    blocks[0].args[0].update(first)
    blocks.append(slim.Block("end", lambda x, rate: after_units(x), [{}]))
    images = keras.Input((8, 8, 1))
    logits, _ = slim.resnet_v1(after_stem(conv(images, 16)), blocks, num_classes=10, include_root_block=False)
    return keras.Model(images, logits)
