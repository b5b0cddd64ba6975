"""Fast kernels for layers of a live model: one table of what replaces which method, and where it computes the same.

Keras composes norms of several operations, on PyTorch copies each map between layouts, and on JAX gives all
convolutions to a kernel of XLA's that is slow on a CPU. What is set here is not saved with a model.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from typing import Any

import keras
from keras import layers, ops

from keras_resnet.graph.replace_calls import is_replaced, replace_method, retrace
from keras_resnet.graph.winograd import winograd
from keras_resnet.models.inspection import models, walk_layers

_STRIDES = "_strides_before_packing"  # an attribute of variables that are packed


@dataclass(frozen=True)
class Kernel:
    """What computes the same as a method of a layer, faster.

    Attributes:
        function: is given the layer, and what the method is given.
        fits: whether it computes the same for a layer of the type.
        written_for: the signatures of the layer's methods that it stands in for.
        method: which of them it replaces.
        packs: whether it takes the layer's kernel as `pack_kernels` lays it out.
        trains: whether its gradient is the method's, too; else it is for inference.
    """

    function: Callable[..., Any]
    fits: Callable[[Any], bool]
    written_for: Mapping[str, str]
    method: str = "call"
    packs: bool = False
    trains: bool = True


def use_fast_kernels(model: keras.Model, source: keras.Model | None = None) -> None:
    """Lets a model's layers, at any depth, compute the same as fast as the backend can.

    Args:
        model: the model.
        source: the model of which it is a copy for inference, whose layers stay as they are; None for training.
    """
    replaced, shared = False, set(map(id, walk_layers(source).values())) if source else ()
    for layer in walk_layers(model).values():
        kernel = KERNELS.get((keras.backend.backend(), type(layer)))
        if kernel is None or not layer.built or id(layer) in shared or not kernel.fits(layer):
            continue
        if source is None and not kernel.trains:
            continue
        replaced |= replace_method(layer, kernel.method, kernel.function, kernel.written_for)
        if kernel.packs and is_replaced(layer, kernel.method):
            pack_kernels(layer.weights)
    if replaced:
        retrace(models(model).values())


def pack_kernels(variables: Iterable[Any]) -> None:
    """Lays the numbers of convolutions' kernels out in memory as PyTorch's convolutions take them, without a copy."""
    import torch

    for variable in variables:
        data = variable.value.data
        if data.ndim == 4:
            vars(variable).setdefault(_STRIDES, data.stride())
            outer = data.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
            variable.value.data = outer.permute(2, 3, 1, 0)


def unpack_kernels(variables: Iterable[Any]) -> None:
    """Lays out as before what `pack_kernels` laid out."""
    import torch

    for variable in variables:
        strides = vars(variable).pop(_STRIDES, None)
        if strides is not None:
            data = variable.value.data
            empty = torch.empty_strided(data.shape, strides, dtype=data.dtype, device=data.device)
            variable.value.data = empty.copy_(data)


def is_symmetric(layer: Any) -> bool:
    """Whether a layer pads each side alike, if it pads."""
    sizes = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    return layer.padding == "valid" or (set(layer.strides) == {1} and all(size % 2 for size in sizes))


def is_pad_of(layer: Any, window: Any) -> bool:
    """Whether a layer pads each side of an axis alike, with zeros, for a convolution or pool that pads nothing."""
    if type(layer) is not layers.ZeroPadding2D or window.padding != "valid" or layer.data_format != window.data_format:
        return False
    sizes = window.pool_size if type(window) is layers.MaxPooling2D else (None, None)  # a pool pads half its size
    pairs = zip(layer.padding, sizes, strict=True)
    return all(before == after and (size is None or before <= size // 2) for (before, after), size in pairs)


def is_relu(layer: Any) -> bool:
    """Whether a layer is max(x, 0)."""
    if type(layer) is layers.ReLU:
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return type(layer) is layers.Activation and layer.activation is keras.activations.relu


def _is_norm(layer: Any) -> bool:
    """Whether a layer is a norm over the channels of a map."""
    if getattr(layer, "synchronized", False) or getattr(layer, "renorm", False):
        return False
    return layer.scale and layer.center and layer.input_spec.ndim == 4 and layer.axis % 4 in (1, 3)


def _is_last_norm(layer: Any) -> bool:
    """Whether a layer is a norm over the channels of a channels_last map."""
    return _is_norm(layer) and layer.axis % 4 == 3


def _nchw(x: Any, layer: Any) -> Any:
    """Views a layer's map, such as NHWC, as NCHW."""
    return x if layer.data_format == "channels_first" else x.permute(0, 3, 1, 2)


def _from_nchw(y: Any, layer: Any) -> Any:
    """Views an NCHW map as the layer puts it out."""
    return y if layer.data_format == "channels_first" else y.permute(0, 2, 3, 1)


@cache
def zeros_around(padding: str, sizes: Any, rates: Any = (1, 1)) -> tuple[int, ...]:
    """Returns rate * (size - 1) / 2 for each axis, or zeros."""
    if padding == "valid":
        return (0, 0)
    return tuple(rate * (size - 1) // 2 for size, rate in zip(sizes, rates, strict=True))


def _torch_conv(layer: Any, inputs: Any) -> Any:
    """Returns act(conv(x, kernel) + bias), of one operation for kernel and bias."""
    kernel, bias = ops.convert_to_tensor(layer.kernel), ops.convert_to_tensor(layer.bias) if layer.use_bias else None
    y = _from_nchw(convolve(layer, _nchw(inputs, layer), kernel, bias), layer)
    if layer.activation is keras.activations.relu:
        return y.relu_()
    return y if layer.activation is None else layer.activation(y)


def convolve(layer: Any, x: Any, kernel: Any, bias: Any) -> Any:
    """Returns a layer's convolution of an NCHW map, without its activation."""
    import torch

    if x.shape[1] < 4:  # images: oneDNN is twice as quick where their own memory is channels_first
        x = x.contiguous()
    rates = layer.dilation_rate
    pads = zeros_around(layer.padding, layer.kernel_size, rates)
    return torch.conv2d(x, kernel.permute(3, 2, 0, 1), bias, layer.strides, pads, rates, layer.groups)


def _torch_max_pool(layer: Any, inputs: Any) -> Any:
    """Returns max_pool(x), without copying maps."""
    return _from_nchw(pool(layer, _nchw(inputs, layer)), layer)


def pool(layer: Any, x: Any, pad: Any = None) -> Any:
    """Returns the largest numbers of an NCHW map in a layer's windows; with a pad before it, of no negative numbers."""
    import torch

    pads = zeros_around(layer.padding, layer.pool_size) if pad is None else [before for before, _ in pad.padding]
    return torch.max_pool2d(x, layer.pool_size, layer.strides, pads)


def _torch_norm(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Returns the norm of one operation, which gives the batch's statistics, too."""
    import torch

    trains, axis = bool(training and layer.trainable), layer.axis % 4
    count = inputs.numel() // inputs.shape[axis]
    if mask is not None or (trains and count == 1):
        return type(layer).call(layer, inputs, training, mask)
    x = ops.cast(inputs, layer.compute_dtype)
    dtype = torch.promote_types(x.dtype, torch.float32)  # half precision is for maps alone
    weights = layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta
    mean, variance, gamma, beta = (ops.convert_to_tensor(weight).to(dtype) for weight in weights)
    if trains:
        mean, variance = torch.zeros_like(mean), torch.zeros_like(variance)
    elif torch.is_grad_enabled():  # a training step may move them before the gradient is asked for
        mean, variance = mean.clone(), variance.clone()
    y = torch.nn.functional.batch_norm(
        x.movedim(axis, 1),
        mean,
        variance,
        gamma,
        beta,
        trains,
        1.0,  # so that mean and variance become the batch's
        layer.epsilon,
    )
    if trains:
        _move(layer, mean, variance * ((count - 1) / count))  # PyTorch's variance is that of a sample
    return y.movedim(1, axis)


def _torch_group_norm(layer: Any, inputs: Any) -> Any:
    """Returns the norm of groups of channels, of one operation, in float32 as Keras computes it.

    Where a gradient may follow, Keras' own norm: PyTorch's (2.13) crashes the process on maps in channels_last memory.
    """
    import torch

    if torch.is_grad_enabled():
        return type(layer).call(layer, inputs)
    x, axis = inputs.to(torch.promote_types(inputs.dtype, torch.float32)), layer.axis % 4
    gamma, beta = (ops.convert_to_tensor(weight).to(x.dtype) for weight in (layer.gamma, layer.beta))
    y = torch.group_norm(x.movedim(axis, 1), layer.groups, gamma, beta, layer.epsilon)
    return ops.cast(y.movedim(1, axis), layer.compute_dtype)


def _tensorflow_norm(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Returns in training the norm of one operation, which gives the batch's statistics, too; else Keras' norm."""
    if mask is not None or not (training and layer.trainable) or layer.compute_dtype == "float64":
        return type(layer).call(layer, inputs, training, mask)
    import tensorflow as tf

    x = ops.cast(inputs, layer.compute_dtype)
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=ops.cast(layer.gamma, "float32"),
        offset=ops.cast(layer.beta, "float32"),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=layer.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(x) // x.shape[3], "float32")
    _move(layer, mean, variance * ((count - 1) / count))  # the operation's variance is that of a sample
    return y


def _move(layer: Any, mean: Any, variance: Any) -> None:
    """Moves a norm's moving statistics towards the batch's."""
    for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(ops.cast(moving, batch.dtype) * layer.momentum + batch * (1 - layer.momentum))


def _is_quick_on_jax(layer: Any) -> bool:
    """Whether a convolution of channels_last maps has a quicker form than XLA's on a CPU."""
    if layer.groups != 1 or layer.data_format != "channels_last" or layer.padding not in ("same", "valid"):
        return False
    if layer.kernel_size != (1, 1) and not (
        layer.kernel_size == (3, 3) and {*layer.strides, *layer.dilation_rate} == {1}
    ):
        return False
    return _is_on_cpu()


def _jax_conv(layer: Any, x: Any, kernel: Any) -> Any:
    """Returns a 1x1 convolution as a matrix product, a 3x3 convolution of many numbers by Winograd's algorithm."""
    if layer.kernel_size == (1, 1):
        return ops.matmul(x[:, :: layer.strides[0], :: layer.strides[1]], ops.convert_to_tensor(kernel)[0, 0])
    tile = _tile(x.shape, layer.filters) if x.dtype == "float32" else None
    if tile is None:
        return type(layer).convolution_op(layer, x, kernel)
    return _jitted_winograd()(x, ops.convert_to_tensor(kernel), layer.padding, tile)


def _is_max_of_few(layer: Any) -> bool:
    """Whether a max pool pads nothing and has a small window, on a CPU, where maxima of whole maps are quicker."""
    small = layer.padding == "valid" and max(layer.pool_size) <= 3
    return small and layer.data_format == "channels_last" and _is_on_cpu()


def _jax_max_pool(layer: Any, x: Any) -> Any:
    """Returns the maximum of the map's columns, and of its rows, that a window sees; ties divide the gradient."""
    for axis, (size, step) in enumerate(zip(layer.pool_size, layer.strides, strict=True), 1):
        end = x.shape[axis] - size + 1
        before = (slice(None),) * axis
        x = reduce(ops.maximum, [x[(*before, slice(i, i + end, step))] for i in range(size)])
    return x


def _is_on_cpu() -> bool:
    """Whether JAX computes on a CPU."""
    return bool(import_module("jax").default_backend() == "cpu")


def _tile(shape: tuple[Any, ...], filters: int) -> int | None:
    """Returns the side of Winograd's tiles for a 3x3 convolution of a map, or None where a direct one is as quick.

    A kernel's transform must pay: there must be 3 tiles for 8 channels or filters, whichever are more (measured on two
    cores of two processors).
    """
    if not all(isinstance(side, int) for side in shape):  # traced for any size
        return None
    count, height, width, channels = shape
    few, many = sorted((channels, filters))
    for tile, least in ((4, 64), (2, 256)):
        if few >= least and 8 * count * -(-height // tile) * -(-width // tile) >= 3 * many:
            return tile
    return None


@cache
def _jitted_winograd() -> Any:
    """Returns Winograd's algorithm as one operation of JAX's, also where nothing else is compiled."""
    return import_module("jax").jit(winograd, static_argnums=(2, 3))


_CONV = {"call": "(self, inputs)", "convolution_op": "(self, inputs, kernel)"}
_NORM = {"call": "(self, inputs, training=None, mask=None)"}
KERNELS = {
    ("torch", layers.Conv2D): Kernel(_torch_conv, is_symmetric, _CONV, packs=True),
    ("torch", layers.MaxPooling2D): Kernel(_torch_max_pool, is_symmetric, {"call": "(self, inputs)"}),
    ("torch", layers.BatchNormalization): Kernel(_torch_norm, _is_norm, _NORM),
    ("torch", layers.GroupNormalization): Kernel(_torch_group_norm, _is_norm, {"call": "(self, inputs)"}),
    ("tensorflow", layers.BatchNormalization): Kernel(_tensorflow_norm, _is_last_norm, _NORM),
    ("jax", layers.MaxPooling2D): Kernel(_jax_max_pool, _is_max_of_few, {"call": "(self, inputs)"}, trains=False),
    ("jax", layers.Conv2D): Kernel(_jax_conv, _is_quick_on_jax, _CONV, method="convolution_op"),
}
