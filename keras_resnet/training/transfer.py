"""Transfer learning: a network with a new classifier on top, frozen layers, stages, momentum of norms."""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from keras_resnet.architecture.variant import Variant
from keras_resnet.data.decode import Size, as_pair
from keras_resnet.models.builder import ResNet, check_top, with_classifier
from keras_resnet.utils.errors import choice_error

_STAGE = re.compile(r"conv(\d+)_")


def classifier(
    build: Callable[..., keras.Model] | Variant | str,
    classes: int,
    image_size: Size,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Any,
) -> keras.Model:
    """Builds a network of raw RGB for new classes, whose body starts from weights and whose top is new.

    Example:

        model = keras_resnet.transfer.classifier(keras_resnet.ResNet50V2, 3, 224, weights="imagenet")

    Args:
        build: a builder, such as `keras_resnet.ResNet50V2`, or a row or a name that `keras_resnet.ResNet` takes.
        classes: how many.
        image_size: (height, width) in pixels, or one int for both.
        weights: None (random), "imagenet", a key of `keras_resnet.list_weights()`, or the path of a file of the same
            network, with or without a top: it tells the style.
        **arguments: further keywords of the builder, such as `dropout`.

    Raises:
        ValueError: if the weights do not fit.
        OSError: if published weights are not in the cache and cannot be downloaded.
    """
    if not callable(build):
        build = partial(ResNet, build)
    first = (arguments.get("data_format") or keras.config.image_data_format()) == "channels_first"
    shape = (3, *as_pair(image_size)) if first else (*as_pair(image_size), 3)
    shared: dict[str, Any] = {"input_shape": shape, "include_preprocessing": True} | arguments
    if weights is None:
        return build(weights=None, classes=classes, **shared)
    top = {name: shared.pop(name) for name in ("classifier_activation", "dropout", "global_pool") if name in shared}
    shared.pop("pooling", None)  # of a network with top there is one alone
    check_top(classes, **top)
    both_parts = {name: shared[name] for name in ("data_format", "dtype", "kernel_regularizer") if name in shared}
    body = build(weights=weights, include_top=False, **shared)
    return with_classifier(body, classes, **top, **both_parts)


def stages(model: keras.Model) -> tuple[str, ...]:
    """Returns the names of a model's stages, its stem's first, as its layers have them."""
    return tuple(f"conv{stage}" for stage in sorted({_stage(layer) for layer in model.layers} - {0}))


def _stage(layer: keras.Layer) -> int:
    """The number of a layer's stage; 0 for none."""
    found = _STAGE.match(_name(layer))
    return int(found[1]) if found else 0


def _name(layer: keras.Layer) -> str:
    """Its name without the prefix that a scope of `keras_resnet.slim` gives."""
    return str(layer.name).rpartition("__")[2]


def freeze(model: keras.Model, before: str | None = None) -> None:
    """Leaves only a model's last layers to train: sets `trainable` of all; compile it afterwards.

    Every batch norm is frozen with its statistics, wherever it stands, and works as in inference.

    Example:

        keras_resnet.transfer.freeze(model)  # the classifier learns
        keras_resnet.transfer.freeze(model, before="conv5")  # and the last stage

    Args:
        model: one with a classifier on top, of a builder or from a file.
        before: the first stage that learns, such as "conv5"; None: only the classifier learns.

    Raises:
        ValueError: if the model has no such stage, or no classifier; it is as it was.
    """
    learning = learning_stages(model, before)
    for layer in model.layers:
        learns = _name(layer) == "predictions" or f"conv{_stage(layer)}" in learning
        layer.trainable = learns and not isinstance(layer, keras.layers.BatchNormalization)


def learning_stages(model: keras.Model, before: str | None) -> tuple[str, ...]:
    """Returns the stages that `freeze` leaves to train, or raises what it does."""
    known = stages(model)
    nets = {layer.name.removesuffix(_name(layer)) for layer in model.layers if _stage(layer)}
    if len(nets) > 1:
        raise ValueError(f"`model` must be one network; {model.name!r} holds {len(nets)}.")
    if not known or not any(_name(layer) == "predictions" for layer in model.layers):
        raise ValueError(
            f"`model` must have stages, of layers such as 'conv2_block1_1_conv', and a classifier, 'predictions'; "
            f"{model.name!r} has none."
        )
    if before is not None and before not in known:
        raise choice_error("before", before, known)
    return known[known.index(before) :] if before else ()


def quicken_norms(model: keras.Model, steps: int) -> float | None:
    """Lowers the momentum of the batch norms that train so that their statistics keep up with few steps an epoch.

    The statistics remember about 1 / (1 - momentum) steps; that should be at most a fifth of an epoch.

    Args:
        model: any model; its layers are changed in place.
        steps: steps in an epoch.

    Returns:
        The new momentum, or None if they were quick enough.
    """
    momentum = max(0.5, 1 - 5 / steps)
    slow = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and layer.momentum > momentum
    ]
    for layer in slow:
        layer.momentum = momentum
    return momentum if slow else None
