"""What PyTorch and TensorFlow share where several devices train one model: each computes some rows of a batch.

The functions of `replicas_torch` and `replicas_tensorflow` stand in front of methods of one model, its layers and its
optimizer. JAX needs none: its step is one program over the whole batch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resnet.models.inspection import walk_layers

NO_STATISTICS = (
    "A batch must have at least one image for each device with norm_sync=False, whose batch norms have no statistics "
    "without one; choose another `batch_size`, of which the last batch is not so small."
)


OUTSIDE = (
    "{!r} can only be called in a training step of the model that was spread, on the images of the batch themselves: "
    "not in a model that shares it, by hand, or on reshaped images."
)


class Spread(partial[Any]):
    """What stands in front of a method; being of this class marks it."""


def stand_before(owner: Any, method: str, function: Callable[..., Any], *bound: Any) -> None:
    """Lets `function(owner, usual, *bound, ...)` take the calls of a method; `usual` is what took them before."""
    usual = getattr(owner, method)
    while isinstance(usual, Spread):
        usual = usual.args[1]
    object.__setattr__(owner, method, Spread(function, owner, usual, *bound))  # Keras would track it


def stand_aside(owner: Any) -> bool:
    """Takes away all that `stand_before` put in front of an object's methods; returns whether there was anything."""
    found = False
    for name, value in [(name, value) for name, value in vars(owner).items() if isinstance(value, Spread)]:
        usual, found = value.args[1], True
        object.__delattr__(owner, name)
        if getattr(usual, "__self__", None) is not owner:  # not its class's method
            object.__setattr__(owner, name, usual)
    return found


def unspread(model: keras.Model) -> None:
    """Takes back what `spread` did to a model, its layers and its optimizer."""
    optimizer = getattr(model, "optimizer", None)  # a run that only goes on with its figures compiles nothing
    optimizers = [optimizer, getattr(optimizer, "inner_optimizer", None)]
    found = [stand_aside(owner) for owner in (model, *each_layer(model), *filter(None, optimizers))]
    if any(found):
        for act in ("train", "test"):
            setattr(model, f"{act}_function", None)


def each_layer(model: keras.Model) -> list[keras.Layer]:
    """Returns all layers of a model, at any depth."""
    return list(walk_layers(model).values())


def has_dropout(layer: keras.Layer) -> bool:
    """Returns whether a layer computes as `Dropout` does."""
    return isinstance(layer, layers.Dropout) and type(layer).call is layers.Dropout.call


def is_norm(layer: keras.Layer) -> bool:
    """Returns whether a layer computes as `BatchNormalization` does."""
    return isinstance(layer, layers.BatchNormalization)


def check_layers(model: keras.Model, norm_sync: bool) -> None:
    """Raises a `ValueError` for what would not be one device's training on several."""
    name = repr(model.name)
    if type(model).train_step is not keras.Model.train_step or type(model).test_step is not keras.Model.test_step:
        raise ValueError(f"`model` must train by Keras' own steps to be spread; {name} has a `train_step` of its own.")
    for layer in each_layer(model):
        if is_norm(layer) and norm_sync and (layer.renorm or type(layer).call is not layers.BatchNormalization.call):
            raise ValueError(
                f"{layer.name!r} of {name} is a batch norm whose statistics can't be those of all devices: it has "
                "`renorm=True` or a `call` of its own. Pass norm_sync=False."
            )
        if getattr(layer, "_seed_generators", None) and not has_dropout(layer):
            raise ValueError(
                f"{layer.name!r} of {name} is a random layer, {type(layer).__name__}, and each device would draw by "
                "itself. Of random layers, Dropout can be spread; augment the images in the data instead."
            )


def check_losses(model: keras.Model) -> None:
    """Raises a `ValueError` for losses that are no mean over the images."""
    name = repr(model.name)
    losses = keras.tree.flatten(model.loss)
    shapes: list[Any] = [output.shape for output in getattr(model, "outputs", None) or ()]
    shapes = shapes if len(shapes) == len(losses) else shapes[:1] * len(losses) or [None] * len(losses)
    for loss, shape in zip(losses, shapes, strict=True):
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        if isinstance(loss, keras.losses.Loss) and reduction != "sum_over_batch_size":
            raise ValueError(
                f"The loss of {name} must be a mean over the images, reduction='sum_over_batch_size', to be spread; it "
                f"has {reduction!r}."
            )
        if not _is_by_image(loss, shape):
            raise ValueError(
                f"The loss of {name} must have a number for each image to be spread; {loss!r} is of the whole batch."
            )


def _is_by_image(loss: Any, shape: tuple[int | None, ...] | None) -> bool:
    """Whether a loss of two images is two numbers or more, as far as it can be tried."""
    if loss is None or shape is None:
        return True
    loss = keras.losses.get(loss)
    y_pred = np.full((2, *(size or 4 for size in shape[1:])), 0.5, "float32")
    for y_true in (y_pred, np.zeros((2,), "int32"), np.zeros((*y_pred.shape[:-1], 1), "int32")):
        try:
            found = loss.call(y_true, y_pred) if isinstance(loss, keras.losses.Loss) else loss(y_true, y_pred)
            return tuple(found.shape)[:1] == (2,)
        except Exception:  # it takes labels of another shape
            continue
    return True


def noise_shape(layer: layers.Dropout, shape: tuple[Any, ...], total: Any) -> tuple[tuple[Any, ...], bool]:
    """Returns the shape of what Dropout draws for the batch of all devices, and whether that has a row for each image.

    Args:
        layer: the layer.
        shape: of what it takes, on this device.
        total: the images of all devices.
    """
    given = layer.noise_shape or (None,) * len(shape)
    drawn = [size if fixed is None else fixed for size, fixed in zip(shape, given, strict=True)]
    return (total if given[0] is None else drawn[0], *drawn[1:]), given[0] is None


def first_input(data: Any) -> Any:
    """Returns the first array of what a step takes."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    return next(each for each in keras.tree.flatten(x) if each is not None)
