"""Several devices of one process of TensorFlow that train one model: what they sum, so that each goes on as one would.

Each has a replica of the model and some rows of a batch; `MirroredStrategy` runs the same step on all of them.
"""

from collections.abc import Callable
from threading import local
from typing import Any

import keras
import tensorflow as tf

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


class _Rows(local):
    """Which rows of a step's batch a replica has; each runs in a thread of its own.

    Attributes:
        first: the number of images in the replicas before it.
        count: its own.
        total: those of all.
    """

    total: Any = None

    def check(self, layer: Any, inputs: Any) -> None:
        """Raises an error for what is not of the images of a step that runs."""
        message = OUTSIDE.format(layer.name)
        if self.total is None:
            raise ValueError(message)
        tf.debugging.assert_equal(tf.shape(inputs)[0], tf.maximum(self.count, 1), message=message)

    def begin(self, count: Any) -> None:
        """Asks the other replicas how many they have."""
        context = tf.distribute.get_replica_context()
        number = context.replica_id_in_sync_group
        counts = _sum(tf.one_hot(number, context.num_replicas_in_sync) * tf.cast(count, "float32"))
        self.first = tf.cast(tf.reduce_sum(counts[:number]), "int32")
        self.count = count
        self.total = tf.cast(tf.reduce_sum(counts), "int32")


def spread(model: keras.Model, norm_sync: bool) -> None:
    """Lets a compiled model train on the images of all replicas.

    Raises:
        ValueError: if its optimizer accumulates gradients, which Keras can't do on several devices of TensorFlow.
    """
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if getattr(inner, "gradient_accumulation_steps", None):
        raise ValueError(
            "`gradient_accumulation_steps` must be None on several devices of TensorFlow; the optimizer of "
            f"{model.name!r} has {inner.gradient_accumulation_steps}. Use smaller batches, or JAX or PyTorch."
        )
    rows = _Rows()
    for layer in each_layer(model):
        if has_dropout(layer) and layer.rate:
            stand_before(layer, "call", _dropout, rows)
        elif is_norm(layer) and norm_sync:
            stand_before(layer, "call", _norm, rows)
    if hasattr(model, "_maybe_symbolic_build"):
        stand_before(model, "_maybe_symbolic_build", _build)
    stand_before(model, "train_step", _train_step, rows, norm_sync)
    stand_before(model, "test_step", _test_step, rows)


def _build(model: Any, usual: Callable[..., Any], iterator: Any = None, data_batch: Any = None) -> Any:
    """Builds loss and metrics for what the first replica is given; Keras takes the mean of all, which must be alike."""
    for _, _, batches in iterator or ():
        data_batch = keras.tree.map_structure(
            lambda x: x.values[0] if isinstance(x, tf.distribute.DistributedValues) else x, next(batches)
        )
        break
    return usual(data_batch=data_batch)


def _train_step(model: Any, usual: Callable[..., Any], rows: _Rows, norm_sync: bool, data: Any) -> Any:
    """Trains on a replica's rows of a batch."""
    if not norm_sync:
        tf.debugging.assert_positive(tf.shape(first_input(data))[0], message=NO_STATISTICS)
    stand_before(model.optimizer, "scale_loss", _scale_loss, rows)
    stand_before(model.optimizer, "apply", _apply)
    for optimizer in (model.optimizer, getattr(model.optimizer, "inner_optimizer", None)):
        if optimizer is not None:  # they are summed before
            stand_before(optimizer, "_all_reduce_sum_gradients", _as_they_are)
    return _test_step(model, usual, rows, data)


def _test_step(model: Any, usual: Callable[..., Any], rows: _Rows, data: Any) -> Any:
    """Takes a step. A replica without rows takes a black image, which counts nowhere."""
    count = tf.shape(first_input(data))[0]
    rows.begin(count)
    missing = tf.cast(count == 0, "int32")
    data = keras.tree.map_structure(lambda x: _filled(x, missing), data)
    before = [tf.identity(_own(variable)) for variable in model.metrics_variables]
    logs = usual(data)
    some = rows.count > 0
    rows.total = None
    for variable, value in zip(model.metrics_variables, before, strict=False):
        variable.assign(tf.where(some, _own(variable), value))
    return logs


def _filled(x: Any, missing: Any) -> Any:
    """An array of a batch, if it is one, with so many rows of zeros behind it; its shape stays as far as known."""
    if x is None:
        return None
    filled = tf.pad(x, [[0, missing], *[[0, 0]] * (len(x.shape) - 1)])
    filled.set_shape([None, *x.shape[1:]])
    return filled


def _own(variable: Any) -> Any:
    """A replica's own value of a metric's variable."""
    return tf.convert_to_tensor(variable.value)


def _scale_loss(optimizer: Any, usual: Callable[..., Any], rows: _Rows, loss: Any) -> Any:
    """A replica's part of the loss of the whole batch; Keras divided the mean of its images by the replicas."""
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    return usual(loss * tf.cast(rows.count * replicas / rows.total, loss.dtype))


def _apply(optimizer: Any, usual: Callable[..., Any], grads: Any, trainable_variables: Any = None) -> Any:
    """Goes a step by the sum of all replicas' gradients."""
    some = iter(_sum([grad for grad in grads if grad is not None]))
    return usual([None if grad is None else next(some) for grad in grads], trainable_variables)


def _as_they_are(optimizer: Any, usual: Callable[..., Any], grads_and_vars: Any) -> Any:
    return list(grads_and_vars)


def _dropout(layer: Any, usual: Callable[..., Any], rows: _Rows, inputs: Any, training: bool = False) -> Any:
    """Drops what one device would, in its own rows of the batch."""
    if not training or tf.distribute.get_replica_context() is None:
        return usual(inputs, training=training)
    rows.check(layer, inputs)
    sizes = tuple(tf.shape(inputs)[axis] if size is None else size for axis, size in enumerate(inputs.shape))
    shape, by_image = noise_shape(layer, sizes, rows.total)
    noise = keras.random.dropout(tf.ones(shape, inputs.dtype), layer.rate, seed=layer.seed_generator)
    count = tf.shape(inputs)[0]
    first = tf.minimum(rows.first, rows.total - count)  # where it has no rows, but a black image
    return inputs * (noise[first : first + count] if by_image else noise)


def _norm(
    layer: Any, usual: Callable[..., Any], rows: _Rows, inputs: Any, training: Any = None, mask: Any = None
) -> Any:
    """Norms by mean and variance of the images of all replicas: the mean first, then squares around it."""
    if not training or not layer.trainable or tf.distribute.get_replica_context() is None:
        return usual(inputs, training=training, mask=mask)
    if mask is not None:
        raise ValueError(f"{layer.name!r} must have no mask to be spread; received one.")
    rows.check(layer, inputs)
    dtype = inputs.dtype
    x = tf.cast(inputs, "float32") if dtype in (tf.float16, tf.bfloat16) else inputs
    axis = layer.axis % len(x.shape)
    axes = [each for each in range(len(x.shape)) if each != axis]
    shape = [-1 if each == axis else 1 for each in range(len(x.shape))]
    places = tf.size(x) // (tf.shape(x)[0] * x.shape[axis])
    count = tf.cast(rows.total * places, x.dtype)
    mean = _sum(tf.reduce_sum(x[: rows.count], axes)) / count
    centred = x - tf.reshape(mean, shape)
    variance = _sum(tf.reduce_sum(centred[: rows.count] ** 2, axes)) / count
    for moving, found in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + tf.stop_gradient(found) * (1 - layer.momentum))
    scale = tf.math.rsqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        scale *= tf.cast(layer.gamma.value, x.dtype)
    y = centred * tf.reshape(scale, shape)
    if layer.beta is not None:
        y += tf.reshape(tf.cast(layer.beta.value, x.dtype), shape)
    return tf.cast(y, dtype)


def _sum(value: Any) -> Any:
    """The sum of all replicas' values, through which gradients flow."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)
