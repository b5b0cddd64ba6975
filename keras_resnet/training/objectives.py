"""What each task is trained for: its losses, its metrics, and what of the history says which epoch is best."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.models.description import Task
from keras_resnet.utils.errors import check_choice, choice_error

LOSSES: dict[Task, tuple[str, ...]] = {  # the default first
    "classes": ("crossentropy", "focal"),
    "labels": ("crossentropy", "focal"),
    "regression": ("mse", "huber"),
}
_MONITORS: dict[Task, str] = {
    "classes": "val_accuracy",
    "labels": "val_mean_average_precision",
    "regression": "val_mean_absolute_error",
}
_GAMMA = 2.0  # arXiv:1708.02002


def loss_of(
    task: Task, name: str | None, logits: bool, smoothing: float, labels: Any = None, balance: bool = False
) -> Any:
    """Returns the loss of a task for `compile`.

    Args:
        task: what the model predicts.
        name: one of `LOSSES`; None: the task's default.
        logits: whether the model returns logits.
        smoothing: of labels.
        labels: those of the training images, (N, labels) or (N, targets). Errors of numbers are divided by their
            standard deviations.
        balance: of "labels", whether having a label and not having it count the same in all, however rare it is: both
            are weighted by N / (2 * images), as scikit-learn's "balanced" classes are.

    Raises:
        ValueError: if the task has no such loss, its labels can't be smoothed, or what balances them is not passed.
    """
    check_loss(task, name)
    name = LOSSES[task][0] if name is None else name
    if task == "regression":
        if smoothing:
            raise ValueError(f"`Recipe.label_smoothing` is for classes and labels; received {smoothing} for numbers.")
        return _scaled(keras.losses.Huber() if name == "huber" else keras.losses.MeanSquaredError(), labels)
    shared: dict[str, Any] = {"from_logits": logits, "label_smoothing": smoothing}
    if task == "classes" and name == "crossentropy":
        return keras.losses.CategoricalCrossentropy(**shared)
    if task == "classes":  # alpha scales all alike: without it the loss is on the scale of cross-entropy
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=_GAMMA, **shared)
    if name == "focal":
        loss = keras.losses.BinaryFocalCrossentropy(gamma=_GAMMA, **shared)
    else:
        loss = keras.losses.BinaryCrossentropy(**shared)
    if not balance:
        return loss
    if labels is None:
        raise ValueError("`labels` must be those of the training images where the recipe balances several labels.")
    return _weighted(loss, labels)


def check_loss(task: Task, name: str | None) -> None:
    """Raises a `ValueError` if a task has no such loss."""
    if name is not None:
        check_choice("Recipe.loss", name, LOSSES[task], f" Those are for the task {task!r}.")


def _weighted(loss: Any, labels: Any) -> Any:
    """A loss of labels in which having each and not having it count the same in all."""
    count, having = len(labels), np.asarray(labels, "float64").sum(0)
    positive, negative = (
        (count / (2 * np.maximum(images, 1))).astype("float32") for images in (having, count - having)
    )

    def weighted(true: Any, predicted: Any) -> Any:
        """The mean over the labels of an image."""
        true = keras.ops.cast(true, predicted.dtype)
        each = loss.call(true[..., None], predicted[..., None])
        own = (keras.ops.convert_to_tensor(side, predicted.dtype) for side in (positive, negative))
        having, lacking = own
        return keras.ops.mean(each * (true * having + (1 - true) * lacking), axis=-1)

    return weighted


def _scaled(loss: Any, numbers: Any) -> Any:
    """A loss of errors in standard deviations, so that targets of all units count alike."""
    if numbers is None:
        return loss
    scale = deviations(numbers).astype("float32")

    def scaled(true: Any, predicted: Any) -> Any:
        """The loss of numbers in units of their deviations."""
        unit = keras.ops.convert_to_tensor(scale, predicted.dtype)
        return loss.call(true / unit, predicted / unit)

    return scaled


def deviations(numbers: Any) -> Any:
    """Returns the standard deviation of each column, (targets,); 1 of a constant one."""
    found = np.asarray(numbers, "float64").std(0)
    return np.where(found > 1e-6 * np.abs(numbers).max(0), found, 1.0)


def metrics_of(task: Task, labels: Any = None) -> list[Any]:
    """Returns the metrics of a task for `compile`; the average precision of labels comes from `Validation`.

    The mean absolute error of one target is in its units; of several, each is divided by its deviation.
    """
    if task == "classes":
        return ["accuracy"]
    if task == "labels":
        return []
    several = labels is not None and np.shape(labels)[1] > 1
    error = _scaled(keras.losses.MeanAbsoluteError(), labels if several else None)
    error = error.call if isinstance(error, keras.losses.Loss) else error
    return [keras.metrics.MeanMetricWrapper(error, name="mean_absolute_error")]


def monitor_of(task: Task, asked: str | None) -> str:
    """Returns the name in the history by which the best epoch is chosen.

    Raises:
        ValueError: if an epoch has no such number.
    """
    usual = _MONITORS[task]
    metric = usual.removeprefix("val_")
    known = (usual, "val_loss", "loss", *(() if task == "labels" else (metric,)))
    if asked is not None and asked not in known:
        raise choice_error("Recipe.monitor", asked, known)
    return asked or usual


def merit(log: Mapping[str, float], monitor: str) -> float:
    """Returns how good an epoch is: losses and errors are better the lower they are."""
    return -log[monitor] if monitor.endswith(("loss", "error")) else log[monitor]
