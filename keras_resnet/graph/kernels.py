"""Quicker ways to compute what some layers of Keras compute, for the layers of a live model.

Keras composes norms of several operations, on PyTorch copies each map between layouts, and on JAX gives 1x1
convolutions to a kernel that is slower on a CPU than a matrix product. What is set here is not saved with a model.
"""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

import keras
from keras import layers, ops


def quicken(model: keras.Model) -> None:
    """Lets the layers of a model, and of those in it, compute the same as quickly as the backend can."""
    quickens = {"torch": _on_torch, "tensorflow": _on_tensorflow, "jax": _on_jax}
    for layer in _all(model):
        quickens.get(keras.backend.backend(), lambda _: None)(layer)


def pack(variables: Any) -> None:
    """Lays the numbers of convolutions' kernels out in memory as PyTorch's convolutions take them, without a copy."""
    import torch

    for variable in variables:
        data = variable.value.data
        if data.ndim == 4:
            outer = data.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
            variable.value.data = outer.permute(2, 3, 1, 0)


def _all(model: keras.Model) -> Iterator[Any]:
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        yield from _all(layer) if isinstance(layer, keras.Model) else (layer,)


def _on_torch(layer: Any) -> None:
    if type(layer) is layers.Conv2D and _symmetric(layer):
        pack(layer.weights)
        layer.call = partial(_torch_conv, layer)
    elif type(layer) is layers.MaxPooling2D and _symmetric(layer):
        layer.call = partial(_torch_max_pool, layer)
    elif _is_norm(layer):
        layer.call = partial(_torch_norm, layer)


def _symmetric(layer: Any) -> bool:
    """Whether a layer pads each side alike, if it pads."""
    sizes = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    return layer.padding == "valid" or (set(layer.strides) == {1} and all(size % 2 for size in sizes))


def _is_norm(layer: Any) -> bool:
    """Whether a layer is a norm over the channels of a map."""
    if type(layer) is not layers.BatchNormalization or layer.synchronized or getattr(layer, "renorm", False):
        return False
    return layer.scale and layer.center and layer.input_spec.ndim == 4 and layer.axis % 4 in (1, 3)


def _first(x: Any, layer: Any) -> Any:
    """A map as channels_first, as which PyTorch takes it; a view."""
    return x if layer.data_format == "channels_first" else x.permute(0, 3, 1, 2)


def _as_taken(y: Any, layer: Any) -> Any:
    """A map as the layer puts it out; a view."""
    return y if layer.data_format == "channels_first" else y.permute(0, 2, 3, 1)


def _padding(layer: Any, sizes: Any, rates: Any = (1, 1)) -> tuple[int, ...]:
    if layer.padding == "valid":
        return (0, 0)
    return tuple(rate * (size - 1) // 2 for size, rate in zip(sizes, rates, strict=True))


def _torch_conv(layer: Any, inputs: Any) -> Any:
    """One operation for kernel and bias."""
    import torch

    x = _first(inputs, layer)
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
    y = _as_taken(y, layer)
    if layer.activation is keras.activations.relu:
        return y.relu_()
    return y if layer.activation is None else layer.activation(y)


def _torch_max_pool(layer: Any, inputs: Any) -> Any:
    import torch

    y = torch.max_pool2d(_first(inputs, layer), layer.pool_size, layer.strides, _padding(layer, layer.pool_size))
    return _as_taken(y, layer)


def _torch_norm(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """One operation, which gives the batch's statistics, too."""
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


def _on_tensorflow(layer: Any) -> None:
    if _is_norm(layer) and layer.axis % 4 == 3:
        layer.call = partial(_tensorflow_norm, layer)


def _tensorflow_norm(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """In training one operation, which gives the batch's statistics, too; in inference what Keras does."""
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


def _on_jax(layer: Any) -> None:
    pointwise = type(layer) is layers.Conv2D and layer.kernel_size == (1, 1) and layer.groups == 1
    if pointwise and layer.data_format == "channels_last" and import_module("jax").default_backend() == "cpu":
        layer.convolution_op = partial(_matrix_product, layer.strides)


def _matrix_product(strides: tuple[int, int], x: Any, kernel: Any) -> Any:
    """A 1x1 convolution."""
    return ops.matmul(x[:, :: strides[0], :: strides[1]], ops.convert_to_tensor(kernel)[0, 0])
