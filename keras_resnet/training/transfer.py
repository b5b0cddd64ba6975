"""A network for new classes: where its weights come from, and which of its layers learn."""

import os
import re
from collections.abc import Callable
from typing import Any

import keras

from keras_resnet.architecture.rows import find_row
from keras_resnet.checkpoints.catalogue import Checkpoint
from keras_resnet.checkpoints.open import download
from keras_resnet.data.decode import Size, as_pair
from keras_resnet.models.builder import check_top, with_classifier
from keras_resnet.models.weights.find import imagenet
from keras_resnet.utils.errors import choice_error

_STAGE = re.compile(r"conv(\d+)_")
_SMALL = 48  # pixels; below, the CIFAR nets' three halvings do better than ImageNet's five


def classifier(
    build: Callable[..., keras.Model],
    classes: int,
    image_size: Size,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Any,
) -> keras.Model:
    """Builds a network of raw RGB for new classes, whose body starts from weights and whose top is new.

    Example:

        model = keras_resnet.transfer.classifier(keras_resnet.ResNet50V2, 3, 224, weights="imagenet")

    Args:
        build: a builder, such as `keras_resnet.ResNet50V2`, or `functools.partial(keras_resnet.ResNet, variant)`.
        classes: how many.
        image_size: (height, width) in pixels, or one int for both.
        weights: None (random), "imagenet", a key of `keras_resnet.list_weights()`, or the path of a file of the same
            network, with or without a top: it tells the style.
        **arguments: further keywords of the builder, such as `dropout`.

    Raises:
        ValueError: if the weights do not fit.
        OSError: if published weights are not in the cache and cannot be downloaded.
    """
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
    """The names of a model's stages, its stem's first, as its layers have them."""
    return tuple(f"conv{stage}" for stage in sorted({_stage(layer) for layer in model.layers} - {0}))


def _stage(layer: keras.Layer) -> int:
    found = _STAGE.match(_name(layer))
    return int(found[1]) if found else 0


def _name(layer: keras.Layer) -> str:
    """Its name without the prefix that a scope of `keras_resnet.slim` gives."""
    return str(layer.name).rpartition("__")[2]


def is_published(network: str) -> bool:
    """Whether a network has ImageNet weights."""
    return _published(network) is not None


def fetch_published(network: str) -> None:
    """Downloads what `weights="imagenet"` means for a network without top, once.

    Raises:
        OSError: if it can't be had.
        ImportError: if a library that reads it is missing.
    """
    found = _published(network)
    if found is None:
        raise OSError(f"there are no ImageNet weights of {network}")
    download(found)


def _published(network: str) -> Checkpoint | None:
    """The row that a builder's weights="imagenet" means."""
    try:
        return imagenet(find_row(network), None, include_top=False)
    except ValueError:
        return None


def suggest(shorter_side: int, pretrained: bool = False) -> tuple[str, str]:
    """The network that suits pictures of a size, and the reason; one with ImageNet weights if these are wanted."""
    if shorter_side <= _SMALL and not pretrained:
        return "ResNet20", f"a CIFAR net, since the pictures' shorter side is {shorter_side} pixels (median)"
    return "ResNet50V2", f"it has ImageNet weights, and the pictures' shorter side is {shorter_side} pixels (median)"


def suggest_size(network: str, shorter_side: int, imagenet: bool) -> tuple[int, str]:
    """The height and width that suit a network, with ImageNet's weights or others, and pictures, and the reason."""
    side = find_row(network).image_side
    if side == 32 and shorter_side > _SMALL:
        return 64, "quick, and the network halves it three times"
    if side == 32:
        return max(16, min(shorter_side, _SMALL) // 4 * 4), f"near the pictures' own, {shorter_side} pixels (median)"
    if shorter_side < side:
        return max(64, shorter_side // 32 * 32), f"near the pictures' own, {shorter_side} pixels (median)"
    return side, "what its ImageNet weights are for" if imagenet else "what the network is for"


def freeze(model: keras.Model, before: str | None = None) -> None:
    """Leaves only a model's last layers to train; compile it afterwards.

    Every batch norm is frozen with its statistics, wherever it stands, and works as in inference.

    Example:

        keras_resnet.transfer.freeze(model)  # the classifier learns
        keras_resnet.transfer.freeze(model, before="conv5")  # and the last stage

    Args:
        model: one with a classifier on top, of a builder or from a file.
        before: the first stage that learns, such as "conv5"; None: only the classifier learns.

    Raises:
        ValueError: if the model has no such stage, or no classifier.
    """
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
    learning = known[known.index(before) :] if before else ()
    for layer in model.layers:
        learns = _name(layer) == "predictions" or f"conv{_stage(layer)}" in learning
        layer.trainable = learns and not isinstance(layer, keras.layers.BatchNormalization)


def quicken_norms(model: keras.Model, steps: int) -> float | None:
    """Lowers the momentum of the batch norms that train so that their statistics keep up with few steps an epoch.

    The statistics remember about 1 / (1 - momentum) steps; that should be at most a fifth of an epoch.

    Args:
        model: any model.
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
