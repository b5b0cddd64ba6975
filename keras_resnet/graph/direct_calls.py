"""Runs a model's layers directly on PyTorch, without Keras' per-layer overhead, joined where oneDNN can."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_resnet.graph.fused_calls import FusedConv, fuse, is_still_fused
from keras_resnet.graph.replace_calls import MODEL_CALL, has_methods, is_watched, replace_method
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


@dataclass(frozen=True)
class _Step:
    """One call: the name of what it puts out, what computes that, what it reads, and what nothing reads after it."""

    name: str
    call: Callable[..., Any]
    reads: tuple[str, ...]
    takes_list: bool = False
    done: tuple[str, ...] = ()


def call_layers_directly(model: keras.Model) -> None:
    """Lets a model in inference call what its layers compute alone, if that is the same for all of them.

    Keras spends a tenth of a millisecond around each, and keeps every map until the last is there. On a CPU, layers
    that oneDNN can join are one call.
    """
    graph = read_graph(model)
    dtypes = {call.layer.compute_dtype for call in graph.calls if isinstance(call.layer, layers.Layer)}
    if len(model.inputs) != 1 or len(dtypes) != 1 or not _all_known(graph):
        return
    if model.inputs[0].dtype not in ("float32", *dtypes):
        return
    ends = [layer.name for layer in graph.ends]
    image = next(layer.name for layer in model.layers if isinstance(layer, layers.InputLayer))
    called = [call.layer for call in graph.calls]
    steps = _steps(graph, ends, []), _steps(graph, ends, fuse(graph))
    replace_method(model, "call", _call, MODEL_CALL, image, called, *steps, ends, *dtypes)


def _steps(graph: Graph, ends: list[str], fused: list[Any]) -> list[_Step]:
    """Lists a graph's calls, those of joined layers as one, each with what can be forgotten after it."""
    joined = {member.name: one for one in fused for member in one.members}
    within = {member.name for one in fused for member in one.members[:-1]}
    steps = []
    for call in graph.calls:
        name, reads = call.layer.name, tuple(layer.name for layer in call.reads)
        one = joined.get(name)
        if one is None:
            steps.append(_Step(name, call.layer.call, reads, type(call.layer) in _MERGING))
        elif name not in within:
            steps.append(_Step(name, one, _reads(graph, one)))
    last = {read: step.name for step in steps for read in step.reads if read not in ends}
    done: dict[str, list[str]] = {}
    for read, name in last.items():
        done.setdefault(name, []).append(read)
    own = {one.members[-1].name for one in fused}  # what joined layers put out is a tensor of its own
    own -= {read for step in steps if step.name not in own for read in step.reads}  # others may put out a view of it
    for step in steps:
        if isinstance(step.call, FusedConv):
            step.call.overwrites = bool(own.intersection(step.reads[1:], done.get(step.name, ())) - {step.reads[0]})
    return [replace(step, done=tuple(done.get(step.name, ()))) for step in steps]


def _reads(graph: Graph, one: Any) -> tuple[str, ...]:
    """Returns the names of what joined layers read from others, in the order of the members."""
    members = {member.name for member in one.members}
    found = {call.layer.name: [layer.name for layer in call.reads] for call in graph.calls}
    return tuple(name for member in one.members for name in found[member.name] if name not in members)


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
        and layer.compute_dtype == layer.variable_dtype
        and layer.compute_dtype in ("float32", "bfloat16")
        and layer.quantization_mode is None
    )


def _is_pad(operation: Any) -> bool:
    """Whether an operation is `keras.ops.pad`, whose `call` is all that it does."""
    return type(operation) is pad_operation() and has_methods(operation, _PAD)


def _call(
    model: keras.Model,
    image: str,
    called: list[Any],
    one_by_one: list[_Step],
    fused: list[_Step],
    ends: list[str],
    dtype: str,
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """Computes the outputs; as Keras does it, where inputs or mode are not what was foreseen."""
    import torch

    usual = isinstance(inputs, (np.ndarray, torch.Tensor)) and inputs.ndim == len(model.inputs[0].shape)
    usual = usual and keras.backend.standardize_dtype(inputs.dtype) in ("float32", dtype)
    if training or mask is not None or not usual or not all(map(_is_still_known, called)):
        _forget_kernels(fused)
        return type(model).call(model, inputs, training=training, mask=mask)
    values, steps = {image: ops.convert_to_tensor(inputs, dtype)}, fused
    if not _only_computes(model, values[image]) or not _is_plain(fused, values[image]):
        _forget_kernels(fused)
        steps = one_by_one
    for step in steps:
        x = [values[read] for read in step.reads]
        values[step.name] = step.call(x) if step.takes_list else step.call(*x)
        for name in step.done:
            del values[name]
    outputs = [values[name] for name in ends]
    return keras.tree.pack_sequence_as(model.output, outputs)


def _is_still_known(operation: Any) -> bool:
    """Whether a layer that was known has not been quantized since, and nobody listens to its calls."""
    return not is_watched(operation) and (type(operation) is not layers.Dense or operation.quantization_mode is None)


def _forget_kernels(steps: list[_Step]) -> None:
    """Lets kernels be laid out anew: after a call for gradients weights may change as PyTorch does not count."""
    for step in steps:
        if isinstance(step.call, FusedConv):
            step.call.forget_kernels()


def _is_plain(fused: list[_Step], x: Any) -> bool:
    """Whether joined layers are what they were, and an image holds numbers alone: oneDNN's ReLU makes NaN zero."""
    return bool(x.sum().isfinite()) and all(is_still_fused(step.call) for step in fused)


def _only_computes(model: keras.Model, x: Any) -> bool:
    """Whether all that is wanted is numbers on a CPU: no gradient, graph, trace, transformation or other precision."""
    import torch

    try:
        return (
            type(x) is torch.Tensor
            and x.device.type == "cpu"
            and not (torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in model.parameters())))
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and torch._C._get_tracing_state() is None
            and torch._C._functorch.peek_interpreter_stack() is None
            and torch._C._len_torch_dispatch_stack() == 0
            and torch.autograd.forward_ad._current_level < 0
        )
    except AttributeError:  # a PyTorch of other names
        return False
