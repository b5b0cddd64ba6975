"""Transfer learning: a network with a new classifier on top, frozen layers, stages, momentum of norms."""

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.data.decode import Size, as_pair
from keras_resnet.models.builder import ResNet, check_top, with_classifier
from keras_resnet.models.inspection import walk_layers
from keras_resnet.utils.errors import check_positive, choice_error
from keras_resnet.utils.recursion import recursion_limit

_STAGE = re.compile(r"(?:conv|pool)(\d+)_(?:block\d+_|(?:\d+_)?(?:pad|conv|bn|gn|relu)$)")
_BODY = re.compile(rf"{_STAGE.pattern}|data_bn$|post_[bg]n$")  # of what has weights


def classifier(
    build: Callable[..., keras.Model] | Variant | str,
    classes: int,
    image_size: Size | None = None,
    weights: str | os.PathLike[str] | None = None,
    channels: int = 3,
    **arguments: Any,
) -> keras.Model:
    """Builds a network for your own classes: a pretrained backbone with a new classifier, for raw images.

    Example:

        model = keras_resnet.transfer.classifier(keras_resnet.ResNet18, 3, 224, weights="imagenet")

    Args:
        build: a builder, such as `keras_resnet.ResNet50V2`, or a `Variant` or the name of a network, such as
            "resnet50v2", as `keras_resnet.ResNet` takes them.
        classes: the number of classes.
        image_size: (height, width) in pixels, or one int for both. None: the size that `weights`, a key, were trained
            for; without a key, images of any size.
        weights: the weights of the backbone: None (random), "imagenet", a key of `keras_resnet.list_weights()`, or the
            path of a file of the same network, or of its folder, with or without a classifier.
        channels: of the images. 1: gray, which becomes RGB in the model, so that any weights fit; others than 3: the
            first three are RGB, and the first kernel of the weights is repeated and scaled by 3 / channels.
        **arguments: further keywords of the builder, such as `dropout`, or `scope`, which names the network in a file
            that holds several. `head` changes nothing, since the classifier is new.

    Returns:
        A `keras.Model` that takes images (N, height, width, channels) with pixels in [0, 255], and returns
        probabilities (N, classes).

    Raises:
        ValueError: if the weights do not fit the network.
        OSError: if published weights are not in the cache and cannot be downloaded.
    """
    if not callable(build):
        build = partial(ResNet, build)
    first = (arguments.get("data_format") or keras.config.image_data_format()) == "channels_first"
    check_positive("channels", channels)
    if image_size is None:
        row = list_weights().get(weights) if isinstance(weights, str) else None
        sides: tuple[int | None, ...] = as_pair(row.image_size) if row else (None, None)
    else:
        sides = as_pair(image_size)
    shape = (channels, *sides) if first else (*sides, channels)
    shared: dict[str, Any] = {"input_shape": shape, "include_preprocessing": True} | arguments
    if weights is None:
        return build(weights=None, classes=classes, **shared)
    top = {name: shared.pop(name) for name in ("classifier_activation", "dropout", "global_pool") if name in shared}
    for name in ("pooling", "head"):  # of a network with top there is one pooling, and its classifier is new
        shared.pop(name, None)
    check_top(classes, **top)
    both_parts = {name: shared[name] for name in ("data_format", "dtype", "kernel_regularizer") if name in shared}
    body = build(weights=weights, include_top=False, **shared)
    return with_classifier(body, classes, **top, **both_parts)


def regressor(
    build: Callable[..., keras.Model] | Variant | str,
    targets: int,
    image_size: Size | None = None,
    weights: str | os.PathLike[str] | None = None,
    *,
    mean: Sequence[float] | float = 0.0,
    deviation: Sequence[float] | float = 1.0,
    **arguments: Any,
) -> keras.Model:
    """Builds a network that predicts numbers, such as an age: a pretrained backbone with a new last layer.

    Example:

        ages = np.array([[31.0], [46.5], [12.0]])  # of the training images
        model = keras_resnet.transfer.regressor(keras_resnet.ResNet18, 1, 224, "imagenet", mean=ages.mean(0))

    Args:
        build: a network, as for `classifier`, as are the next arguments.
        targets: how many numbers.
        image_size: (height, width) in pixels, or one int for both.
        weights: the weights of the backbone.
        mean: the mean of each target, or of all, in the training images: the network begins there.
        deviation: the standard deviation of each target: what the network learns is in units of it.
        **arguments: further keywords of the builder, such as `dropout`.

    Returns:
        A `keras.Model` that takes raw images and returns numbers (N, targets), in their own units.

    Raises:
        ValueError: as from `classifier`.
    """
    model = classifier(build, targets, image_size, weights, **arguments | {"classifier_activation": None})
    scale, offset = (np.broadcast_to(np.asarray(each, "float64"), targets).tolist() for each in (deviation, mean))
    shared: dict[str, Any] = {"dtype": "float32", "name": "units"}
    if targets == 1:
        units = keras.layers.Rescaling(scale[0], offset[0], **shared)
    else:  # where Keras' own data format is channels_first, Rescaling takes several scales for those of images
        variance = [each**2 for each in scale]
        units = keras.layers.Normalization(-1, offset, variance, invert=True, **shared)
    with recursion_limit(len(model.layers)):
        return keras.Model(model.input, units(model.output), name=model.name)


def stages(model: keras.Model) -> tuple[str, ...]:
    """Returns the names of a model's stages, at any depth of nesting.

    Example:

        >>> keras_resnet.transfer.stages(model)
        ('conv1', 'conv2', 'conv3', 'conv4', 'conv5')

    "conv1" is the stem.

    Args:
        model: any model. The names of its layers tell, such as `conv4_block2_1_conv`.
    """
    return tuple(f"conv{stage}" for stage in sorted({_stage(layer) for layer in walk_layers(model).values()} - {0}))


def _stage(layer: keras.Layer) -> int:
    """The number of a layer's stage; 0 for none."""
    found = _STAGE.match(_name(layer))
    return int(found[1]) if found else 0


def _name(layer: keras.Layer) -> str:
    """Its name without the prefix that a scope of `keras_resnet.slim` gives; "" of what is made of layers itself."""
    return "" if isinstance(layer, keras.Model) else str(layer.name).rpartition("__")[2]


def freeze(model: keras.Model, before: str | None = None) -> None:
    """Freezes the backbone of a model for fine-tuning, or only its first stages. Compile the model afterwards.

    Example:

        keras_resnet.transfer.freeze(model)  # only the classifier learns
        keras_resnet.transfer.freeze(model, before="conv5")  # the classifier and the last stage learn

    It sets `trainable` of every layer. All batch norms of the backbone are frozen, and use their moving statistics as
    in inference; group norms, which have none, learn with their stage. Layers that do not belong to the backbone learn,
    such as a classifier of your own with its batch norms. The backbone may lie at any depth: inside another model, a
    wrapper or a layer of your own class.

    Args:
        model: a network with a classifier, its own or any other, built here or loaded from a file.
        before: the first stage that learns, such as "conv5"; None: the whole backbone is frozen.

    Raises:
        ValueError: if the model has no such stage, no layers behind the backbone, or several backbones; the model does
            not change.
    """
    learning = learning_stages(model, before)
    found = list(walk_layers(model).values())
    norm = keras.layers.BatchNormalization
    stays = [x for x in found if _is_of_body(x) and (isinstance(x, norm) or not _learns(x, learning))]
    for layer in (model, *found):
        if not layer.trainable:  # else what lies in it does not learn; setting it would undo what LoRA froze
            layer.trainable = True
    for layer in stays:
        layer.trainable = False


def _learns(layer: keras.Layer, learning: tuple[str, ...]) -> bool:
    """Whether a layer of the body is of a stage that learns, or behind all stages while one does."""
    stage = _stage(layer)
    return f"conv{stage}" in learning if stage else bool(learning)


def _is_of_body(layer: keras.Layer) -> bool:
    """Whether a layer with weights is a network's, and not of what is on top of it."""
    return bool(_BODY.match(_name(layer)))


def learning_stages(model: keras.Model, before: str | None) -> tuple[str, ...]:
    """Returns the stages that `freeze` leaves to train, or raises what it does."""
    known, found = stages(model), walk_layers(model)
    if not known:
        raise ValueError(
            "`model` must contain a network of this package, with layers such as 'conv2_block1_1_conv'; "
            f"{model.name!r} contains none, at any depth."
        )
    bodies = _bodies(model, found)
    if len(bodies) > 1:
        raise ValueError(
            f"`model` must contain one network; {model.name!r} contains {len(bodies)}: {', '.join(map(repr, bodies))}. "
            "Set `trainable` of their layers yourself."
        )
    body = [layer for layer in found.values() if _is_of_body(layer) or isinstance(layer, keras.layers.Normalization)]
    fixed = {id(weight) for layer in body for weight in layer.weights}
    if all(layer.built for layer in found.values()) and all(id(weight) in fixed for weight in model.weights):
        raise ValueError(
            f"`model` must have layers that learn behind its stages {known[0]} to {known[-1]}, such as a classifier, "
            f"'predictions'; {model.name!r} has none. Add a classifier, or build the model with "
            "keras_resnet.transfer.classifier."
        )
    if before is not None and before not in known:
        raise choice_error("before", before, known)
    return known[known.index(before) :] if before else ()


def _bodies(model: keras.Model, found: dict[str, keras.Layer]) -> list[str]:
    """Returns the names of the networks in a model: of what holds them, or the prefixes of their layers' names.

    Parts of one network, which share no layer's name, may lie in several places.
    """
    names: dict[tuple[str, str], set[str]] = {}
    for path, layer in found.items():
        if _stage(layer):
            around, prefix = path.rpartition("/")[0], str(layer.name).removesuffix(_name(layer))
            names.setdefault((around, prefix), set()).add(_name(layer))
    alike = len(set().union(*names.values())) < sum(map(len, names.values()))
    if not alike and len({prefix for _, prefix in names}) == 1:
        return [model.name]
    return [prefix.removesuffix("__").replace("__", "/") or around or model.name for around, prefix in names]


def quicken_norms(model: keras.Model, steps: int) -> float | None:
    """Lowers the momentum of trainable batch norms, so that moving statistics follow the weights in short epochs.

    Example:

        momentum = keras_resnet.transfer.quicken_norms(model, steps=20)  # 0.75

    Moving statistics average over about 1 / (1 - momentum) steps, which should be at most a fifth of an epoch.

    Args:
        model: any model; its layers, at any depth, are changed in place.
        steps: the number of steps in an epoch.

    Returns:
        The new momentum, or None if no batch norm had to change.
    """
    momentum = max(0.5, 1 - 5 / steps)
    slow = [
        layer
        for layer in walk_layers(model).values()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and layer.momentum > momentum
    ]
    for layer in slow:
        layer.momentum = momentum
    return momentum if slow else None
