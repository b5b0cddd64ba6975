"""Class names: ImageNet's, and those that a trained model carries with it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import keras
import numpy as np

from keras_resnet.checkpoints.download.fetch import fetch
from keras_resnet.models.description import Description, description_of, with_description
from keras_resnet.utils.errors import check_choice, check_positive

_INDEX_URL = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
_INDEX_DIGEST = "md5:c2c37ea517e94d9795004a39431a14cb"
# What timm calls the larger parts of ImageNet of which weights are published, by their number of classes. Of 11221, in
# MXNet's order, and of 11586 nobody publishes the names (timm has another list of 11221).
_TIMM_LISTS = {11821: "imagenet-12k", 21843: "imagenet-21k-goog"}
_NUMBERED = (11221, 11586)


def decode_predictions(
    preds: Any, top: int = 5, labels: Sequence[str] | None = None
) -> list[list[tuple[str, str, float]]]:
    """Returns the names and scores of the most probable classes of each image.

    Example:

        scores = np.eye(1000)[[386, 281]]  # of two images, as `model.predict` returns them
        keras_resnet.resnet.decode_predictions(scores, top=1)  # [[("n02504458", "African_elephant", 1.0)], ...]
        keras_resnet.resnet.decode_predictions(np.array([[0.2, 0.8]]), labels=["cat", "dog"])

    Args:
        preds: scores (N, classes): for ImageNet's names (N, 1000), or (N, 1001) with a background class first, which
            is left out; for those of ImageNet-12k and ImageNet-21k (N, 11821) and (N, 21843); (N, 11221) and
            (N, 11586) of published weights whose classes have no published names: they get their numbers. An array or
            a tensor of the backend.
        top: how many classes to name, at most.
        labels: the names of the classes; None: ImageNet's, from Keras' class index, which is downloaded once, and those
            of the larger sets from timm, which must be installed.

    Returns:
        For each image a list of (id, name, score), best first. With `labels` the id is the name, too.

    Raises:
        ValueError: if `preds` has another shape.
        OSError: if the class index is not in the cache and cannot be downloaded.
        ImportError: if timm is needed and not installed.
    """
    check_positive("top", top)
    scores = np.asarray(keras.ops.convert_to_numpy(preds))
    allowed = (1000, 1001, *_NUMBERED, *_TIMM_LISTS) if labels is None else (len(labels),)
    if scores.ndim != 2 or scores.shape[1] not in allowed:
        wanted = " or ".join(f"(N, {classes})" for classes in allowed)
        hint = " For your own classes, pass their names as `labels=[...]`." if labels is None else ""
        raise ValueError(f"`preds` must be of shape {wanted}; received {scores.shape}.{hint}")
    if labels is None:
        names = published_classes(scores.shape[1])
        scores, names = (scores[:, 1:], names[1:]) if scores.shape[1] == 1001 else (scores, names)
    else:
        names = [(label, label) for label in labels]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [[(*names[i], row[i]) for i in indices] for row, indices in zip(scores, best, strict=True)]


def published_classes(count: int) -> list[tuple[str, str]]:
    """Returns id and name of each class of published weights with this number of classes; the numbers where none are.

    Args:
        count: 1000: ImageNet's; 1001: a background class in front of these; 11821, 21843: ImageNet-12k's and -21k's,
            which timm knows.

    Raises:
        OSError: if ImageNet's index is not in the cache and cannot be downloaded.
        ImportError: if timm is needed and not installed.
    """
    if count in (1000, 1001):
        return [("background", "background")] * (count - 1000) + imagenet_classes()
    check_choice("count", count, (1000, 1001, *_NUMBERED, *_TIMM_LISTS))
    if count in _NUMBERED:
        return [(str(index), str(index)) for index in range(count)]
    try:
        known = import_module("timm.data").ImageNetInfo(_TIMM_LISTS[count])
    except (ImportError, AttributeError) as error:  # before 0.9 it has no names
        raise ImportError(f"The names of {count} classes need timm: pip install -U timm ({error})") from error
    return list(zip(known.label_names(), known.label_descriptions(), strict=True))


def imagenet_classes() -> list[tuple[str, str]]:
    """Returns ImageNet's 1000 classes, (id, name), in the order of the published weights' outputs.

    Example:

        keras_resnet.labels.imagenet_classes()[386]  # ("n02504458", "African_elephant")

    They are Keras' class index, which is downloaded once.

    Raises:
        OSError: if the index is not in the cache and cannot be downloaded.
    """
    path = fetch(
        _INDEX_URL, "imagenet_class_index.json", _INDEX_DIGEST, otherwise="pass the names of the classes as `labels=`"
    )
    index = json.loads(path.read_text())
    return [tuple(index[str(i)]) for i in range(1000)]


def with_class_names(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Stores class names in a model, so that every file that it is saved to holds them.

    Example:

        named = keras_resnet.labels.with_class_names(model, ["cat", "dog", "horse"])
        keras_resnet.labels.class_names(named)  # ("cat", "dog", "horse")

    They stand in the model's description (see `keras_resnet.labels.with_description`).

    Args:
        model: a functional or Sequential model with one output. It does not change.
        names: the name of each class, in order.

    Returns:
        A functional model of the same layers.

    Raises:
        ValueError: if the model is not functional or Sequential, or has several outputs.
    """
    known = description_of(model)
    named = replace(known, names=tuple(names)) if known else Description(tuple(names))
    return with_description(model, named)


def class_names(model: keras.Model) -> tuple[str, ...] | None:
    """Returns the class names that `with_class_names` stored in a model, or None.

    Example:

        >>> keras_resnet.labels.class_names(keras_resnet.labels.with_class_names(model, ["cat", "dog", "horse"]))
        ('cat', 'dog', 'horse')
        >>> keras_resnet.labels.class_names(model)

    They are also found in a model that is the last layer of another one.

    Args:
        model: any model.
    """
    found = description_of(model)
    return found.names if found else None
