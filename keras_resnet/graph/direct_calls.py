"""Runs a model's layers directly on PyTorch, without Keras' per-layer overhead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_resnet.graph.replace_calls import has_methods, replace_method
from keras_resnet.models.functional import Graph, pad_operation, read_graph

# Whose `call`, in inference, on float32, is all that their calls do; and the signature of that.
_KNOWN = dict.fromkeys(
    (
        *(layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D, layers.GroupNormalization),
        *(layers.Permute, layers.Reshape, layers.Flatten, layers.Add, layers.Multiply),
        *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D),
        *(layers.ZeroPadding2D, layers.Cropping2D, layers.Activation, layers.ReLU, layers.Identity, layers.Rescaling),
    ),
    "(self, inputs)",
) | {
    layers.Dense: "(self, inputs, training=None)",
    layers.Dropout: "(self, inputs, training=False)",
    layers.BatchNormalization: "(self, inputs, training=None, mask=None)",
}
_MERGING = {layers.Add, layers.Multiply}  # which take lists of maps
_PAD = {"call": "(self, x, constant_values=None)"}
_MODEL = {"call": "(self, inputs, training=None, mask=None, **kwargs)"}


@dataclass(frozen=True)
class _Step:
    """One call: the layer's name, what it computes, what it reads, and what nothing reads after it."""

    name: str
    call: Callable[..., Any]
    reads: str | list[str]
    done: tuple[str, ...]


def call_layers_directly(model: keras.Model) -> None:
    """Lets a model in inference call what its layers compute alone, if that is the same for all of them.

    Keras spends a tenth of a millisecond around each, and keeps every map until the last is there.
    """
    graph = read_graph(model)
    if len(model.inputs) != 1 or model.inputs[0].dtype != "float32" or not _all_known(graph):
        return
    found = {call.layer.name: call.layer for call in graph.calls}
    reads: dict[str, str | list[str]] = {}
    for call in graph.calls:
        names = [layer.name for layer in call.reads]
        reads[call.layer.name] = names if type(call.layer) in _MERGING else names[0]
    last = {read: name for name, value in reads.items() for read in (value if isinstance(value, list) else [value])}
    ends = [layer.name for layer in graph.ends]
    steps = [
        _Step(name, found[name].call, value, tuple(read for read in last if last[read] == name and read not in ends))
        for name, value in reads.items()
    ]
    image = next(layer.name for layer in model.layers if isinstance(layer, layers.InputLayer))
    replace_method(model, "call", _call, _MODEL, image, steps, ends)


def _all_known(graph: Graph) -> bool:
    """Whether each layer is called once, with maps alone, and does nothing beside its `call`."""
    once = len({id(call.layer) for call in graph.calls}) == len(graph.calls)
    return once and all(
        (call.plain or type(call.layer) in _MERGING) and (_is_known_layer(call.layer) or _is_pad(call.layer))
        for call in graph.calls
    )


def _is_known_layer(layer: Any) -> bool:
    """Whether a layer does nothing beside its `call`, on float32."""
    return (
        type(layer) in _KNOWN
        and has_methods(layer, {"call": _KNOWN[type(layer)]})
        and layer.compute_dtype == "float32"
        and layer.quantization_mode is None
    )


def _is_pad(operation: Any) -> bool:
    """Whether an operation is `keras.ops.pad`, whose `call` is all that it does."""
    return type(operation) is pad_operation() and has_methods(operation, _PAD)


def _call(
    model: keras.Model,
    image: str,
    steps: list[_Step],
    ends: list[str],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """Computes the outputs; as Keras does it, where inputs or mode are not what was foreseen."""
    import torch

    usual = isinstance(inputs, (np.ndarray, torch.Tensor)) and inputs.ndim == len(model.inputs[0].shape)
    if training or mask is not None or not usual or keras.backend.standardize_dtype(inputs.dtype) != "float32":
        return type(model).call(model, inputs, training=training, mask=mask)
    values = {image: ops.convert_to_tensor(inputs)}
    for step in steps:
        reads = step.reads
        x = [values[read] for read in reads] if isinstance(reads, list) else values[reads]
        values[step.name] = step.call(x)
        for name in step.done:
            del values[name]
    outputs = [values[name] for name in ends]
    return keras.tree.pack_sequence_as(model.output, outputs)
