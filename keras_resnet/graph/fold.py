"""Folds batch norms into the convolutions and dense layers before them."""

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resnet.models.functional import Rewriter, copy_layer, read_graph

__all__ = ["fold_batch_norm"]

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)  # kernels (..., out, in)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)  # (..., in, outputs of each)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)  # the second of two kernels, (..., in, out)
_PLAIN = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)  # (..., in, out)
_FOLDING = (*_PLAIN, *_SEPARABLE, *_TRANSPOSED, *_DEPTHWISE)


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a model with the same outputs, whose batch norms are folded into the convolutions and dense layers.

    Example:

        model = keras_resnet.ResNet18(weights=None)
        folded = keras_resnet.fold_batch_norm(model)  # the same outputs, without 20 of its layers
        folded.save("resnet18_folded.keras")

    In inference, a batch norm multiplies each channel by a factor and adds a number (arXiv:1502.03167, algorithm 2),
    which the kernel and the bias of the convolution before it can do. A batch norm is not folded if that would change
    the outputs: if another layer reads the convolution's output, if the convolution has an activation, if either is
    called more than once or with `training=True`, if they compute in different dtypes, or if the batch norm has another
    axis than the channels.

    Args:
        model: a functional or Sequential model with any inputs and outputs; it may contain other models. It and its
            weights do not change.

    Returns:
        A functional model for inference, not compiled. Layers keep their names. A batch norm whose output is an output
        of the model becomes an `Identity`.

    Raises:
        ValueError: if the model is not functional or Sequential.
    """
    return _Fold(model).rewrite(model)


class _Fold(Rewriter):
    """Leaves out the norms that a convolution or dense layer can compute, and gives that one their weights."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        graph = read_graph(model)
        pairs = [(norm, conv) for norm, conv in graph.followers() if _fits(norm, conv)]
        self.norms = {id(norm) for norm, _ in pairs}
        self.norm_of = {id(conv): norm for norm, conv in pairs}
        self.ends = set(map(id, graph.ends))

    def make(self, layer: Any) -> Any:
        """Returns an `Identity` for a norm that is folded, and for what takes it a layer with a bias."""
        if id(layer) in self.norms:
            return layers.Identity(name=layer.name, dtype=layer.dtype_policy)
        return copy_layer(layer, use_bias=True) if id(layer) in self.norm_of else copy_layer(layer)

    def call(self, old: Any, new: Any, *args: Any, **options: Any) -> Any:
        """Passes by a norm that is folded, unless its output is one of the model."""
        if id(old) not in self.norms:
            return new(*args, **options)
        x = args[0] if args else options["inputs"]
        return new(x) if id(old) in self.ends else x

    def weights(self, layer: Any) -> Any:
        """Returns a layer's weights, with those of its norm in them."""
        norm = self.norm_of.get(id(layer))
        return super().weights(layer) if norm is None else _folded(layer, norm)


def _fits(norm: Any, conv: Any) -> bool:
    """Whether two layers are a norm and a convolution or dense layer that could compute the same."""
    if type(norm) is not layers.BatchNormalization or type(conv) not in _FOLDING:
        return False
    rank = norm.input_spec.ndim
    channels = 1 if getattr(conv, "data_format", "") == "channels_first" else rank - 1
    kernels = 2 if type(conv) in _SEPARABLE else 1
    return (
        conv.activation in (None, keras.activations.linear)
        and norm.axis % rank == channels
        and norm.compute_dtype == conv.compute_dtype
        and len(conv.weights) == kernels + conv.use_bias  # one that is quantised or has adapters has others
    )


def _folded(conv: Any, norm: Any) -> list[Any]:
    """Returns conv's kernel * f and (bias - mean) * f + beta, where f = gamma / sqrt(variance + epsilon)."""

    def numbers(variable: Any, otherwise: float = 0.0) -> Any:
        """Returns a variable's value in float64."""
        return otherwise if variable is None else keras.ops.convert_to_numpy(variable).astype("float64")

    factor = numbers(norm.gamma, 1.0) / np.sqrt(numbers(norm.moving_variance) + norm.epsilon)
    bias = (numbers(conv.bias) - numbers(norm.moving_mean)) * factor + numbers(norm.beta)
    *others, kernel = conv.get_weights()[: -1 if conv.use_bias else None]
    if type(conv) in _DEPTHWISE:
        factor = factor.reshape(kernel.shape[-2:])
    elif type(conv) in _TRANSPOSED:
        factor = factor[:, None]
    return [*others, kernel.astype("float64") * factor, bias]
