"""Runs a functional model's layers on PyTorch in one walk, as its `call` does, without Keras' time around each layer.

Layers that the walk knows are computed directly, the others by their own `__call__`, each with what Keras gives it.
Between layers that it knows, maps stay NCHW, and the moving statistics of norms are moved together.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_resnet.graph.kernels import KERNELS, convolve, is_pad_of, is_relu, pool
from keras_resnet.graph.replace_calls import MODEL_CALL, has_methods, is_replaced, is_watched, replace_method
from keras_resnet.models.functional import has_graph, read_nodes
from keras_resnet.models.inspection import models

# Keras' own names in a layer that are looked at in each call; where a Keras has others, it calls its layers itself.
_LOOKED_AT = {"_dtype_policy", "activity_regularizer", "_remat_mode", "_trainable", "_trainable_variables"}
_INPUTS = {"call": "(self, inputs)"}
# Layers without variables whose `call` is all that they do, and its signature.
_CALLED = {
    **dict.fromkeys((layers.MaxPooling2D, layers.AveragePooling2D, layers.ZeroPadding2D, layers.Cropping2D), _INPUTS),
    **dict.fromkeys((layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D, layers.Flatten), _INPUTS),
    **dict.fromkeys((layers.Permute, layers.Reshape, layers.Activation, layers.ReLU, layers.Identity), _INPUTS),
    **dict.fromkeys((layers.Add, layers.Multiply), _INPUTS),
    layers.Dropout: {"call": "(self, inputs, training=False)"},
}


@dataclass(frozen=True)
class _Step:
    """One call of a layer.

    Attributes:
        layer: the layer, or an operation that is none.
        node: Keras' record of the call.
        reads: the numbers of the values that it takes.
        writes: the numbers of the values that it puts out.
        turned: which of those that it takes are NHWC maps held as NCHW.
        direct: what computes it, if anything does but the layer's own `__call__`.
        maps: whether that takes maps as NCHW and puts out the same.
        many: whether it takes a list.
        masks: whether what it takes may have a mask.
        call: what stands in front of the layer's `call`.
        policy: the layer's dtype policy.
        dtype: PyTorch's name for what the layer computes in.
        done: the numbers of the values that nothing reads after it.
        parts: a pad and a max pool that are computed at once.
        target: which of what it takes it may write into, if any.
    """

    layer: Any
    node: Any
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    turned: tuple[bool, ...]
    direct: Callable[..., Any] | None = None
    maps: bool = False
    many: bool = False
    masks: bool = True
    call: Any = None
    policy: Any = None
    dtype: Any = None
    done: tuple[int, ...] = ()
    target: int | None = None
    parts: tuple["_Step", ...] = ()


@dataclass(frozen=True)
class _Plan:
    """All calls of a model, what it takes and puts out, and the numbers of its outputs."""

    steps: list[_Step]
    layers: list[Any]
    count: int
    ends: list[tuple[int, bool]]
    input: Any
    output: Any


def walk_graphs(model: keras.Model) -> bool:
    """Lets a model, and those in it, walk their graphs; returns whether any of them does that now, and did not."""
    try:
        scope = import_module("keras.src.backend.common.stateless_scope").in_stateless_scope
    except (ImportError, AttributeError):
        return False
    replaced = False
    for each in models(model).values():
        if has_graph(each) and has_methods(each, MODEL_CALL) and not is_replaced(each, "call") and each.weights:
            plan = _plan(each)
            if plan is not None:
                replaced |= replace_method(each, "call", _call, MODEL_CALL, plan, scope)
    return replaced


def _plan(model: keras.Model) -> _Plan | None:
    """Returns how a model is walked; None if this Keras records calls in a way that is not known, or nothing is won."""
    try:
        graph, nodes = read_nodes(model)
        numbers = {id(tensor): number for number, tensor in enumerate(graph.inputs)}
        for node in nodes:
            for tensor in node.outputs:
                numbers.setdefault(id(tensor), len(numbers))
        turned = [False] * len(numbers)
        masks = [False] * len(graph.inputs) + [True] * (len(numbers) - len(graph.inputs))
        steps = [_step(node, numbers, turned, masks) for node in nodes]
        ends = [(numbers[id(tensor)], turned[numbers[id(tensor)]]) for tensor in graph.outputs]
    except (AttributeError, KeyError, TypeError):
        return None
    if not any(step.direct for step in steps):
        return None
    kept = {number for number, _ in ends}
    steps = _join_pools(steps, kept)
    lasts: dict[int, int] = {}
    for index, step in enumerate(steps):
        written = [number for part in step.parts or (step,) for number in part.writes]
        lasts.update(dict.fromkeys((*step.reads, *written), index))
    done: list[list[int]] = [[] for _ in steps]
    for number, index in lasts.items():
        if number not in kept:
            done[index].append(number)
    steps = [replace(step, done=tuple(last)) for step, last in zip(steps, done, strict=True)]
    steps = _share_memory(steps, kept)
    return _Plan(steps, list(model.layers), len(numbers), ends, graph.input, graph.output)


def _join_pools(steps: list[_Step], kept: set[int]) -> list[_Step]:
    """Joins a max pool with the zeros before it, of what a ReLU puts out.

    No zero is more than the pool's own. Where it is as much, the pad would take the gradient and the joined pool gives
    it to the map: to a zero of the ReLU, which drops it, too.
    """
    writers = {number: step for step in steps for number in step.writes}
    readers = Counter(number for step in steps for number in step.reads)
    joined: dict[int, list[_Step]] = {}
    for step in steps:
        pad = writers.get(step.reads[0]) if step.direct is _max_pool else None
        if pad is None or pad.direct is not _by_call or not is_pad_of(pad.layer, step.layer):
            continue
        source = writers.get(pad.reads[0])
        alone = readers[pad.writes[0]] == 1 and not kept & {pad.reads[0], pad.writes[0]}
        if alone and source is not None and source.direct is _relu and source.dtype is pad.dtype is step.dtype:
            at_once = replace(step, direct=_padded_pool, reads=pad.reads, turned=pad.turned, parts=(pad, step))
            joined |= {id(pad): [], id(step): [at_once]}
    return [each for step in steps for each in joined.get(id(step), [step])]


def _share_memory(steps: list[_Step], kept: set[int]) -> list[_Step]:
    """Lets sums and ReLUs stand where a map stood that nothing else reads, and whose gradient does not need it."""
    readers = Counter(number for step in steps for number in step.reads)
    fresh: set[int] = set()
    found = []
    for step in steps:
        owned = [place for place, number in enumerate(step.reads) if number in fresh and readers[number] == 1]
        if step.direct in (_relu, _add) and owned:
            step = replace(step, target=owned[0])
        found.append(step)
        if (
            step.direct is _norm
            or (step.direct is _add and len(step.reads) > 1)
            or (step.direct is _conv and _is_linear(step.layer))
        ):
            fresh.update(set(step.writes) - kept)
    return found


def _is_linear(layer: Any) -> bool:
    """Whether a convolution has no activation."""
    return layer.activation is None or layer.activation is keras.activations.linear


def _step(node: Any, numbers: dict[int, int], turned: list[bool], masks: list[bool]) -> _Step:
    """Returns one call, and notes how its outputs are held and whether they may have masks."""
    layer, args = node.operation, node.arguments.args
    reads = tuple(numbers[id(tensor)] for tensor in node.arguments.keras_tensors)
    writes = tuple(numbers[id(tensor)] for tensor in node.outputs)
    held = tuple(turned[number] for number in reads)
    usual = _Step(layer, node, reads, writes, held)
    many = type(layer) in (layers.Add, layers.Multiply)
    empty = all(value is None for value in node.arguments.kwargs.values())  # Keras notes a mask of None
    plain = len(args) == 1 and empty and len(writes) == 1
    plain = plain and (isinstance(args[0], list) and len(args[0]) == len(reads) if many else _is_tensor(args[0]))
    if not plain or not _is_stock(layer):
        return usual
    dtype = getattr(import_module("torch"), layer.compute_dtype)
    found: Callable[..., Any] | None = None
    kernel = KERNELS.get(("torch", type(layer)))
    maps = False
    if kernel and type(layer) in _MAPS and is_replaced(layer, "call"):
        found, maps = _MAPS[type(layer)], layer.axis % 4 == 3 if type(layer) is _NORM else _is_last(layer)
    elif type(layer) in _ALIKE and has_methods(layer, _CALLED[type(layer)]) and _fits(layer):
        found, maps = _ALIKE[type(layer)], all(held) and bool(held)
    elif type(layer) in _CALLED and has_methods(layer, _CALLED[type(layer)]):
        found = _by_call
    if found is None:
        return usual
    masked = any(masks[number] for number in reads)
    turned[writes[0]], masks[writes[0]] = maps, masked
    call, policy = vars(layer).get("call"), vars(layer)["_dtype_policy"]
    return _Step(layer, node, reads, writes, held, found, maps, many, masked, call, policy, dtype)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, keras.KerasTensor)


def _is_last(layer: Any) -> bool:
    return bool(layer.data_format == "channels_last")


def _is_stock(layer: Any) -> bool:
    """Whether Keras' `__call__` stands around a layer of its own, with nothing set that is not known."""
    kinds = (*_MAPS, *_CALLED)
    return (
        type(layer) in kinds
        and vars(layer).keys() >= _LOOKED_AT
        and layer.built
        and layer.autocast
        and type(layer.dtype_policy) in (keras.DTypePolicy, keras.dtype_policies.FloatDTypePolicy)
        and layer.compute_dtype in ("float32", "float64", "bfloat16", "float16")
        and layer.quantization_mode is None
        and type(layer).__call__ is keras.Layer.__call__
        and "__call__" not in vars(layer)
    )


def _fits(layer: Any) -> bool:
    """Whether a layer that takes maps in any order of axes does no more than that."""
    if type(layer) in (layers.Activation, layers.ReLU):
        return is_relu(layer)
    if type(layer) in (layers.Add, layers.Multiply):
        return not layer._reshape_required
    return type(layer) is layers.Identity


def _is_as_planned(step: _Step) -> bool:
    """Whether nothing was set on a layer since that Keras or PyTorch would heed around its `call`."""
    found = vars(step.layer)
    return not (
        found.get("call") is not step.call
        or found["_dtype_policy"] is not step.policy
        or found["activity_regularizer"] is not None
        or (step.direct is _relu and not _fits(step.layer))
        or found["_remat_mode"] is not None
        or is_watched(step.layer)
    )


def _call(
    model: keras.Model,
    plan: _Plan,
    in_stateless_scope: Callable[[], bool],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
    **kwargs: Any,
) -> Any:
    """Computes the outputs; as Keras does it, where inputs, mode or surroundings are not what was foreseen."""
    values = None
    if mask is None and not kwargs and (training is True or training is False) and not in_stateless_scope():
        values = _inputs(model, plan, inputs)
    if values is None:
        return type(model).call(model, inputs, training=training, mask=mask, **kwargs)
    pending: list[Any] = []
    computed: set[int] = set()  # what the walk itself has made
    for step in plan.steps:
        if step.target is not None and step.reads[step.target] not in computed:
            step = replace(step, target=None)
        direct = step.direct is not None
        if step.parts:  # of the walk's own ReLU
            direct = step.reads[0] in computed and is_pad_of(step.parts[0].layer, step.layer)
        y = _direct(step, values, bool(training), pending) if direct else None
        if y is None:
            if pending:
                _move(pending)
            for part in step.parts or (step,):
                _call_layer(part, values, bool(training))
        else:
            values[step.writes[0]] = y
            computed.add(step.writes[0])
        for number in step.done:
            values[number] = None
    if pending:
        _move(pending)
    outputs = [values[number].permute(0, 2, 3, 1) if turned else values[number] for number, turned in plan.ends]
    outputs = keras.tree.pack_sequence_as(plan.output, outputs)
    return outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs


def _inputs(model: keras.Model, plan: _Plan, inputs: Any) -> list[Any] | None:
    """Returns room for all values, with the inputs in it; None if they are not usual."""
    import torch

    if torch.compiler.is_compiling() or keras.distribution.distribution() is not None:
        return None
    if isinstance(model, keras.Sequential) and model.layers != plan.layers:
        return None
    if torch.nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return None
    alone = isinstance(inputs, (torch.Tensor, np.ndarray))
    many, wanted = isinstance(plan.input, (list, tuple)), keras.tree.flatten(plan.input)
    given = [inputs] if alone else inputs
    if not isinstance(given, list) or len(given) != len(wanted) or isinstance(plan.input, dict):
        return None
    if alone == many and not isinstance(inputs, torch.Tensor):  # about which Keras warns
        return None
    device = _device(model)
    values: list[Any] = []
    for x, expected in zip(given, wanted, strict=True):
        if not isinstance(x, (torch.Tensor, np.ndarray)) or x.ndim != len(expected.shape) or _mask_of(x) is not None:
            return None
        x = ops.convert_to_tensor(x, expected.dtype)
        if x.is_meta or x.device != device:
            return None
        values.append(x)
    return values + [None] * (plan.count - len(values))


def _device(model: keras.Model) -> Any:
    """Returns where a model's variables are."""
    for layer in model.layers:
        variables = vars(layer)["_trainable_variables"]
        if variables:
            return vars(variables[0])["_value"].device
    return model.weights[0].value.device


def _mask_of(x: Any) -> Any:
    return getattr(x, "_keras_mask", None)


def _direct(step: _Step, values: list[Any], training: bool, pending: list[Any]) -> Any:
    """Returns what a layer puts out; None if it must be asked itself."""
    if not all(map(_is_as_planned, step.parts or (step,))):
        return None
    given = []
    for index, number in enumerate(step.reads):
        x, turned = values[number], step.turned[index]
        if step.masks and _mask_of(x) is not None:
            return None
        if x.dtype is not step.dtype:
            if not x.is_floating_point():
                return None
            x = x.to(step.dtype)
        if turned is not step.maps:
            x = x.permute(0, 2, 3, 1) if turned else x.permute(0, 3, 1, 2)
        given.append(x)
    assert step.direct is not None
    return step.direct(step, given if step.many else given[0], training, pending)


def _call_layer(step: _Step, values: list[Any], training: bool) -> None:
    """Calls a layer as Keras does."""
    held = {
        id(tensor): values[number].permute(0, 2, 3, 1) if turned else values[number]
        for tensor, number, turned in zip(step.node.arguments.keras_tensors, step.reads, step.turned, strict=True)
    }
    args, options = step.node.arguments.fill_in(held)
    if "training" in getattr(step.layer, "_call_context_args", ()):
        options["training"] = training
    outputs = keras.tree.flatten(step.layer(*args, **options))
    for number, y in zip(step.writes, outputs, strict=False):
        values[number] = y.permute(0, 3, 1, 2) if step.maps else y


def _conv(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns act(conv(x, kernel) + bias)."""
    layer = step.layer
    if layer.lora_enabled:
        return None
    kernel, bias = vars(layer._kernel)["_value"], None
    if kernel.dtype is not step.dtype:
        kernel = kernel.to(step.dtype)
    if layer.use_bias:
        bias = vars(layer.bias)["_value"]
        bias = bias if bias.dtype is step.dtype else bias.to(step.dtype)
    y, activation = convolve(layer, x, kernel, bias), layer.activation
    if activation is keras.activations.relu:
        return y.relu_()
    if _is_linear(layer):
        return y
    return activation(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if step.maps else activation(y)


def _max_pool(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns max_pool(x)."""
    return pool(step.layer, x)


def _padded_pool(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns max_pool(pad(x)) of a map without negative numbers."""
    return pool(step.layer, x, step.parts[0].layer)


def _norm(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns the norm of a map, and notes its statistics."""
    import torch

    layer = step.layer
    found = vars(layer)
    mean, variance, gamma, beta = (
        vars(found[name])["_value"] for name in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    trains, count = training and found["_trainable"], x.numel() // x.shape[1]
    half = x.dtype is torch.bfloat16 or x.dtype is torch.float16
    if (trains and count == 1) or any(
        each.dtype is not (torch.float32 if half else x.dtype) for each in (mean, variance, gamma, beta)
    ):
        return None
    if trains:
        if any(each[0] is layer for each in pending):
            _move(pending)
        mean, variance = torch.zeros_like(mean), torch.zeros_like(variance)
        pending.append((layer, mean, variance, (count - 1) / count))
    elif torch.is_grad_enabled():  # a training step may move them before the gradient is asked for
        mean, variance = mean.clone(), variance.clone()
    enabled = torch.backends.cudnn.enabled
    return torch.batch_norm(x, gamma, beta, mean, variance, trains, 1.0, found["epsilon"], enabled)


def _move(pending: list[Any]) -> None:
    """Moves norms' moving statistics towards the batch's, as `kernels` does for one."""
    import torch

    moving, batch, momentum = [], [], []
    with torch.no_grad():
        sizes = [share for *_, share in pending]
        variances = torch._foreach_mul([variance for _, _, variance, _ in pending], sizes)
        for (layer, mean, _, _), variance in zip(pending, variances, strict=True):
            found = vars(layer)
            moving += [vars(found["moving_mean"])["_value"], vars(found["moving_variance"])["_value"]]
            batch += [mean, variance]
            momentum += [layer.momentum] * 2
        shares = torch._foreach_mul(batch, [1 - each for each in momentum])
        torch._foreach_mul_(moving, momentum)
        torch._foreach_add_(moving, shares)
    pending.clear()


def _relu(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns max(x, 0)."""
    return x.relu() if step.target is None else x.relu_()


def _add(step: _Step, given: list[Any], training: bool, pending: list[Any]) -> Any:
    """Returns the sum of maps."""
    if step.target is not None and len(given) == 2 and given[0].shape == given[1].shape:
        return given[step.target].add_(given[1 - step.target])
    y = given[0]
    for x in given[1:]:
        y = y + x
    return y


def _multiply(step: _Step, given: list[Any], training: bool, pending: list[Any]) -> Any:
    """Returns the product of maps."""
    y = given[0]
    for x in given[1:]:
        y = y * x
    return y


def _same(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns a map as it is."""
    return x


def _by_call(step: _Step, x: Any, training: bool, pending: list[Any]) -> Any:
    """Returns what a layer's `call` computes."""
    return step.layer.call(x, training=training) if type(step.layer) is layers.Dropout else step.layer.call(x)


_NORM = layers.BatchNormalization
_MAPS: dict[type, Callable[..., Any]] = {layers.Conv2D: _conv, layers.MaxPooling2D: _max_pool, _NORM: _norm}
# Layers that treat all axes alike.
_ALIKE: dict[type, Callable[..., Any]] = {
    layers.Activation: _relu,
    layers.ReLU: _relu,
    layers.Add: _add,
    layers.Multiply: _multiply,
    layers.Identity: _same,
}
