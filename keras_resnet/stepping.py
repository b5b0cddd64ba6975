"""The graph of a live model on PyTorch, run step by step, without what Keras does around each call of a layer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_resnet.graphs import functional

# Whose `call`, in inference, on float32, is all that their calls do.
_KNOWN = {
    *(layers.Conv2D, layers.DepthwiseConv2D, layers.Dense, layers.BatchNormalization, layers.Permute, layers.Flatten),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D),
    *(layers.ZeroPadding2D, layers.Cropping2D, layers.Activation, layers.ReLU, layers.Identity, layers.Dropout),
    *(layers.Add, layers.Multiply, layers.Rescaling),
}


@dataclass(frozen=True)
class _Step:
    """One call: the layer's name, what it computes, what it reads, and what nothing reads after it."""

    name: str
    call: Callable[..., Any]
    reads: str | list[str]
    done: tuple[str, ...]


def step_directly(model: keras.Model) -> None:
    """Lets a model in inference call what its layers compute alone, if that is the same for all of them.

    Keras spends a tenth of a millisecond around each, and keeps every map until the last is there.
    """
    graph = functional(model)
    found = {layer.name: layer for layer in graph.operations}
    config = graph.get_config()
    reads = {}
    for entry in config["layers"]:
        layer, nodes = found[entry["name"]], entry["inbound_nodes"]
        if isinstance(layer, layers.InputLayer):
            continue
        if len(nodes) != 1 or not _is_known(layer) or len(nodes[0]["args"]) != 1 or any(nodes[0]["kwargs"].values()):
            return
        (value,) = nodes[0]["args"]
        reads[layer.name] = [_name(each) for each in value] if isinstance(value, (list, tuple)) else _name(value)
    if len(graph.inputs) != 1 or graph.inputs[0].dtype != "float32":
        return
    last = {read: name for name, value in reads.items() for read in (value if isinstance(value, list) else [value])}
    ends = keras.tree.flatten(config["output_layers"])[::3]
    steps = [
        _Step(name, found[name].call, value, tuple(read for read in last if last[read] == name and read not in ends))
        for name, value in reads.items()
    ]
    image = next(layer.name for layer in graph.layers if isinstance(layer, layers.InputLayer))
    model.call = partial(_call, model, image, steps, ends)


def _is_known(layer: Any) -> bool:
    return type(layer) in _KNOWN and layer.compute_dtype == "float32" and layer.quantization_mode is None


def _name(tensor: Any) -> str:
    """The layer that a tensor is of, as configs write it."""
    return str(tensor["config"]["keras_history"][0])


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
