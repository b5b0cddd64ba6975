"""Several processes of PyTorch that train one model: what they sum, so that each goes on as one device would."""

import atexit
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import keras
import numpy as np
import torch

from keras_resnet.training.replicas import (
    NO_STATISTICS,
    OUTSIDE,
    each_layer,
    first_input,
    has_dropout,
    is_norm,
    noise_shape,
    stand_before,
)

distributed: Any = torch.distributed  # which has no types for half of what it documents
# What gloo and NCCL say where a process is gone
_LOST = re.compile("connection|connect|peer|broken pipe|timed? ?out|socket|remote process|nccl communicator", re.I)


class _Rows:
    """Which rows of a step's batch this process has.

    Attributes:
        first: the number of images in the processes before it.
        count: its own.
        total: those of all; 0 while no step runs.
        least: the fewest of one.
        before: where it has none, the values of the metrics before the step.
    """

    def __init__(self) -> None:
        self.first, self.count, self.total, self.least = 0, 0, 0, 0
        self.before: list[torch.Tensor] | None = None

    def are_of(self, inputs: Any) -> bool:
        """Whether something is of the images of a step that runs."""
        return self.total > 0 and len(inputs) == max(self.count, 1)

    def end(self) -> None:
        """Ends a step."""
        self.total = 0

    def begin(self, data: Any, metrics: Iterable[Any]) -> Any:
        """Asks the others how many they have; returns what to compute, which is a black image if this one has none."""
        count = len(first_input(data))
        counts = gather(np.array([count]))[:, 0]
        rank = distributed.get_rank()
        self.first, self.count, self.total = int(counts[:rank].sum()), count, int(counts.sum())
        self.least = int(counts.min())
        self.before = None if count else [variable.value.clone() for variable in metrics]
        return data if count else keras.tree.map_structure(_black, data)


class LostProcessError(ConnectionError):
    """Tells that another process is gone; Keras, through whose layers it comes, would add pages to its arguments."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rank, self.processes = distributed.get_rank(), distributed.get_world_size()

    def __str__(self) -> str:
        return (
            f"The training ended, since another of its {self.processes} processes did (this is the one with the number "
            f"{self.rank}). What that one said tells why; --resume (resume=True) goes on after the last epoch that was "
            "done."
        )


def _black(x: Any) -> Any:
    """One row of zeros like those of an array, if it is one."""
    return None if x is None else keras.ops.zeros((1, *x.shape[1:]), keras.backend.standardize_dtype(x.dtype))


def join(patience: int) -> None:
    """Joins the processes that a launcher started.

    Raises:
        ValueError: if the first of them can't be reached within so many seconds.
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ValueError(f"{' and '.join(missing)} must be set where WORLD_SIZE is, as torchrun does.")
    gpus = torch.cuda.device_count()
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if gpus:
        own = int(os.environ.get("LOCAL_RANK", int(os.environ["RANK"]) % gpus))
        if own >= gpus:
            raise ValueError(f"This is process {own + 1} on a machine of {gpus} GPUs; start one for each GPU.")
        torch.cuda.set_device(own)
    else:  # or the processes' threads wait for each other
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // neighbours))
    address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, rank, processes = next(distributed.rendezvous("env://", timeout=timedelta(seconds=patience)))
        store.set_timeout(timedelta(minutes=30))
        shared = distributed.PrefixStore("keras_resnet", store)
        distributed.init_process_group("nccl" if gpus else "gloo", store=shared, rank=rank, world_size=processes)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"The first process of the training can't be reached at {address}: {reason}") from error
    atexit.register(_leave)


def _leave() -> None:
    """Leaves the group at the end, or the process may never end."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def gather(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the integers of all processes, (processes, ...)."""
    own = torch.from_numpy(np.array(numbers, "int64")).to(_device())
    found = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    _among_all(distributed.all_gather, found, own)
    return torch.stack(found).cpu().numpy()


def spread(model: keras.Model, norm_sync: bool) -> None:
    """Lets a compiled model train on the images of all processes."""
    rows = _Rows()
    for layer in each_layer(model):
        if has_dropout(layer) and layer.rate:
            stand_before(layer, "call", _dropout, rows)
        elif is_norm(layer) and norm_sync:
            stand_before(layer, "call", _norm, rows)
    stand_before(model, "train_step", _train_step, rows, norm_sync)
    stand_before(model, "test_step", _test_step, rows)
    stand_before(model, "get_metrics_result", _get_metrics_result, rows)
    if model.optimizer and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *getattr(model.optimizer, "variables", ())]
    with torch.no_grad():
        _at_once([variable.value.data for variable in variables], _broadcast)


def _train_step(model: Any, usual: Callable[..., Any], rows: _Rows, norm_sync: bool, data: Any) -> Any:
    """Trains on this process's rows of a batch."""
    stand_before(model.optimizer, "scale_loss", _scale_loss, rows)
    stand_before(model.optimizer, "apply", _apply)
    try:
        data = rows.begin(data, model.metrics_variables)
        if not norm_sync and rows.least == 0:
            raise ValueError(NO_STATISTICS)
        logs = usual(data)
    finally:
        rows.end()
    if not norm_sync:
        norms = [layer for layer in each_layer(model) if is_norm(layer) and layer.trainable]
        with torch.no_grad():
            _at_once([each.value for layer in norms for each in layer.non_trainable_variables], _mean)
    return logs


def _test_step(model: Any, usual: Callable[..., Any], rows: _Rows, data: Any) -> Any:
    """Measures this process's rows of a batch."""
    try:
        return usual(rows.begin(data, model.metrics_variables))
    finally:
        rows.end()


def _scale_loss(optimizer: Any, usual: Callable[..., Any], rows: _Rows, loss: Any) -> Any:
    """A process's part of the loss of the whole batch, whose mean is of its own images."""
    return usual(loss * (rows.count / rows.total))


def _apply(optimizer: Any, usual: Callable[..., Any], grads: Any, trainable_variables: Any = None) -> Any:
    """Goes a step by the sum of all processes' gradients."""
    variables = trainable_variables or optimizer._trainable_variables
    some = [(grad, variable.value) for grad, variable in zip(grads, variables, strict=True) if grad is not None]
    _at_once([grad for grad, _ in some], _sum, [value for _, value in some])
    return usual(grads, trainable_variables)


def _get_metrics_result(model: Any, usual: Callable[..., Any], rows: _Rows) -> Any:
    """The metrics of the images of all processes."""
    variables = model.metrics_variables
    for variable, value in zip(variables, rows.before or (), strict=False):
        variable.assign(value)
    rows.before = None
    for variable in variables:
        if variable.aggregation != "sum":
            raise ValueError(
                f"The metrics of {model.name!r} must be sums over images to be spread; {variable.path!r} is aggregated "
                f"by {variable.aggregation!r}."
            )
    summed = [variable.value.detach().clone() for variable in variables]
    _at_once(summed, _sum)
    with keras.StatelessScope(state_mapping=list(zip(variables, summed, strict=True))):
        return keras.tree.map_structure(keras.ops.convert_to_tensor, usual())


def _dropout(layer: Any, usual: Callable[..., Any], rows: _Rows, inputs: Any, training: bool = False) -> Any:
    """Drops what one device would, in its own rows of the batch."""
    if not training or inputs.is_meta:
        return usual(inputs, training=training)
    if not rows.are_of(inputs):
        raise ValueError(OUTSIDE.format(layer.name))
    shape, by_image = noise_shape(layer, tuple(inputs.shape), rows.total)
    order = sorted(range(len(shape)), key=lambda axis: -inputs.stride(axis))  # in which PyTorch fills a mask
    ones = torch.ones([shape[axis] for axis in order], dtype=inputs.dtype, device=inputs.device)
    ones = ones.permute([order.index(axis) for axis in range(len(shape))])
    fixed = None if layer.noise_shape is None else shape
    noise = keras.random.dropout(ones, layer.rate, noise_shape=fixed, seed=layer.seed_generator)
    first = min(rows.first, rows.total - len(inputs))
    return inputs * (noise[first : first + len(inputs)] if by_image else noise)


def _norm(
    layer: Any, usual: Callable[..., Any], rows: _Rows, inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    """Norms by mean and variance of the images of all processes."""
    if not training or not layer.trainable or inputs.is_meta:
        return usual(inputs, training=training, mask=mask)
    if not rows.are_of(inputs):
        raise ValueError(OUTSIDE.format(layer.name))
    if mask is not None:
        raise ValueError(f"{layer.name!r} must have no mask to be spread; received one.")
    dtype = inputs.dtype
    x = (inputs.float() if dtype in (torch.float16, torch.bfloat16) else inputs).movedim(layer.axis, 1)
    ones = torch.ones(x.shape[1], dtype=x.dtype, device=x.device)
    gamma = ones if layer.gamma is None else layer.gamma.value.to(x.dtype)
    beta = torch.zeros_like(ones) if layer.beta is None else layer.beta.value.to(x.dtype)
    normed: Any = _Norm.apply
    y, mean, variance = normed(x, gamma, beta, layer.epsilon, rows.count)
    with torch.no_grad():
        for moving, found in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving.value * layer.momentum + found * (1 - layer.momentum))
    return y.movedim(1, layer.axis).to(dtype)


class _Norm(torch.autograd.Function):
    """A batch norm over all processes, (N, C, ...): one message forward and one backward."""

    @staticmethod
    def forward(ctx: Any, x: Any, gamma: Any, beta: Any, epsilon: float, count: int) -> Any:
        if count:  # on a CPU twenty times as quick as torch.var_mean where channels are last in memory
            mean, variance = torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0)
        else:
            mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
        own = torch.cat([mean, variance, mean.new_tensor([count])])
        found = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        _among_all(distributed.all_gather, found, own)
        parts: Any = torch.stack(found)
        means, variances, counts = parts.split([len(gamma), len(gamma), 1], 1)
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
        ctx.save_for_backward(x, gamma, mean, variance, total)
        ctx.epsilon, ctx.count = epsilon, count
        ctx.mark_non_differentiable(mean, variance)
        y = torch.batch_norm(x, gamma, beta, mean, variance, False, 0.0, epsilon, torch.backends.cudnn.enabled)
        return y, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Any, *_: Any) -> Any:
        x, gamma, mean, variance, total = ctx.saved_tensors
        wanted = [True, True, True]
        found, of_gamma, of_beta = torch.ops.aten.native_batch_norm_backward(
            grad, x, gamma, mean, variance, None, None, False, ctx.epsilon, wanted
        )
        summed = torch.cat([of_gamma, of_beta])
        _sum(summed)
        if not ctx.count:  # mean and variance don't depend on a black image
            return found, of_gamma, of_beta, None, None
        summed /= total * x[0, 0].numel()
        deviation = torch.sqrt(variance + ctx.epsilon)
        scale, shape = gamma / deviation, (1, -1, *[1] * (x.ndim - 2))
        through_variance = (-scale / deviation * summed[: len(gamma)]).view(shape)
        through_mean = (-scale * summed[len(gamma) :]).view(shape)
        return found.add_(through_mean).addcmul_(x - mean.view(shape), through_variance), of_gamma, of_beta, None, None


# Messages


def _at_once(
    tensors: list[torch.Tensor], operation: Callable[[torch.Tensor], None], like: list[torch.Tensor] | None = None
) -> None:
    """Lets an operation change tensors in place, all of one type in one message.

    Args:
        tensors: the tensors.
        operation: changes one of one axis.
        like: tensors of the same shapes, whose order in memory is the same in all processes, and perhaps that of the
            tensors: then nothing is reordered. None: the order of the axes.
    """
    kinds = defaultdict(list)
    for index, tensor in enumerate(tensors):
        axes = list(range(tensor.ndim))
        if like is not None:
            axes.sort(key=like[index].stride, reverse=True)
        kinds[tensor.dtype].append(tensor.permute(axes))
    for some in kinds.values():
        flat: Any = torch.cat([tensor.reshape(-1) for tensor in some]).to(_device())
        operation(flat)
        for tensor, part in zip(some, flat.split([tensor.numel() for tensor in some]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def _sum(tensor: torch.Tensor) -> None:
    _among_all(distributed.all_reduce, tensor)


def _mean(tensor: torch.Tensor) -> None:
    _sum(tensor)
    tensor /= distributed.get_world_size()


def _broadcast(tensor: torch.Tensor) -> None:
    _among_all(distributed.broadcast, tensor, 0)


def _among_all(operation: Callable[..., Any], *arguments: Any) -> None:
    """Exchanges something with all processes.

    Raises:
        LostProcessError: if one of them is gone.
    """
    try:
        operation(*arguments)
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        raise LostProcessError from error


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
