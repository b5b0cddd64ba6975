"""Fast kernels for layers of a live model: one table of what replaces which method, and where it computes the same.

Keras composes norms of several operations, on PyTorch copies each map between layouts, and on JAX gives 1x1
convolutions to a kernel that is slower on a CPU than a matrix product. What is set here is not saved with a model.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import keras
from keras import layers, ops

from keras_resnet.graph.replace_calls import is_replaced, replace_method, retrace
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
    """

    function: Callable[..., Any]
    fits: Callable[[Any], bool]
    written_for: Mapping[str, str]
    method: str = "call"
    packs: bool = False


def use_fast_kernels(model: keras.Model, source: keras.Model | None = None) -> None:
    """Lets a model's layers, at any depth, compute the same as fast as the backend can; what a source shares stays."""
    replaced, shared = False, set(map(id, walk_layers(source).values())) if source else ()
    for layer in walk_layers(model).values():
        kernel = KERNELS.get((keras.backend.backend(), type(layer)))
        if kernel is None or not layer.built or id(layer) in shared or not kernel.fits(layer):
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


def _symmetric(layer: Any) -> bool:
    """Whether a layer pads each side alike, if it pads."""
    sizes = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    return layer.padding == "valid" or (set(layer.strides) == {1} and all(size % 2 for size in sizes))


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


def _padding(layer: Any, sizes: Any, rates: Any = (1, 1)) -> tuple[int, ...]:
    """Returns rate * (size - 1) / 2 for each axis, or zeros."""
    if layer.padding == "valid":
        return (0, 0)
    return tuple(rate * (size - 1) // 2 for size, rate in zip(sizes, rates, strict=True))


def _torch_conv(layer: Any, inputs: Any) -> Any:
    """Returns act(conv(x, kernel) + bias), of one operation for kernel and bias."""
    import torch

    x = _nchw(inputs, layer)
    if x.shape[1] < 4:  # images: oneDNN is twice as quick where their own memory is channels_first
        x = x.contiguous()
    y = torch.conv2d(
        x,
        ops.convert_to_tensor(layer.kernel).permute(3, 2, 0, 1),
        ops.convert_to_tensor(layer.bias) if layer.use_bias else None,
        layer.strides,
        _padding(layer, layer.kernel_size, layer.dilation_rate),
        layer.dilation_rate,
        layer.groups,
    )
    y = _from_nchw(y, layer)
    if layer.activation is keras.activations.relu:
        return y.relu_()
    return y if layer.activation is None else layer.activation(y)


def _torch_max_pool(layer: Any, inputs: Any) -> Any:
    """Returns max_pool(x), without copying maps."""
    import torch

    y = torch.max_pool2d(_nchw(inputs, layer), layer.pool_size, layer.strides, _padding(layer, layer.pool_size))
    return _from_nchw(y, layer)


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


def _is_matrix_product(layer: Any) -> bool:
    """Whether a convolution is a matrix product over the last axis, on a CPU, where that is quicker."""
    if layer.kernel_size != (1, 1) or layer.groups != 1 or layer.data_format != "channels_last":
        return False
    return bool(import_module("jax").default_backend() == "cpu")


def _matrix_product(layer: Any, x: Any, kernel: Any) -> Any:
    """Returns x[:, ::stride, ::stride] @ kernel, which is a 1x1 convolution."""
    return ops.matmul(x[:, :: layer.strides[0], :: layer.strides[1]], ops.convert_to_tensor(kernel)[0, 0])


_CONV = {"call": "(self, inputs)", "convolution_op": "(self, inputs, kernel)"}
_NORM = {"call": "(self, inputs, training=None, mask=None)"}
KERNELS = {
    ("torch", layers.Conv2D): Kernel(_torch_conv, _symmetric, _CONV, packs=True),
    ("torch", layers.MaxPooling2D): Kernel(_torch_max_pool, _symmetric, {"call": "(self, inputs)"}),
    ("torch", layers.BatchNormalization): Kernel(_torch_norm, _is_norm, _NORM),
    ("torch", layers.GroupNormalization): Kernel(_torch_group_norm, _is_norm, {"call": "(self, inputs)"}),
    ("tensorflow", layers.BatchNormalization): Kernel(_tensorflow_norm, _is_last_norm, _NORM),
    ("jax", layers.Conv2D): Kernel(_matrix_product, _is_matrix_product, _CONV, method="convolution_op"),
}
