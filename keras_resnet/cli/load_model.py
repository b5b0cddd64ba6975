"""The model that a command is given: of a Keras file, of a weights file, or of a key of the catalogue."""

import argparse
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np

from keras_resnet.checkpoints.catalogue import called, list_weights, meant, why_not
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.checkpoint import Size as WhichSize
from keras_resnet.checkpoints.families.tf_slim import SLIM
from keras_resnet.checkpoints.open import exists, file_of
from keras_resnet.data.decode import Size, as_pair
from keras_resnet.data.read import Reader
from keras_resnet.data.transforms import preprocessing_of
from keras_resnet.export.convert_weights import Recognized, recognize
from keras_resnet.graph.data_format import to_data_format
from keras_resnet.models import labels
from keras_resnet.models.description import Description, Task, description_of
from keras_resnet.models.functional import has_graph
from keras_resnet.models.inspection import models, walk_layers
from keras_resnet.models.networks import builder_of
from keras_resnet.models.outputs import outputs_of, probabilities
from keras_resnet.training import run_folder
from keras_resnet.utils.errors import damage_as_value_error, enumerate_some, near_path
from keras_resnet.utils.progress import say

Crop = Callable[[Any], Any]


class Classifier(NamedTuple):
    """A classifier of pictures.

    Attributes:
        model: takes raw pixels (N, height, width, channels), and returns what `probabilities` understands.
        image_size: height and width of what it takes; None: any.
        crop: what makes a picture one of this size; None: it is read as `settings` say.
        class_names: those that it carries; None: it carries none.
        published: whether its classes are those of published weights, whose names `labels.published_classes` has.
        settings: how pictures are read: resize, channels and value range, as arguments of `Reader` and `Pictures`.
        task: what it predicts: "classes", "labels" or "regression".
        threshold: of "labels": the probability from which on a label is predicted.
    """

    model: keras.Model
    image_size: tuple[int, int] | None
    crop: Crop | None = None
    class_names: tuple[str, ...] | None = None
    published: bool = False
    settings: Mapping[str, Any] = {}
    task: Task = "classes"
    threshold: float = 0.5

    @property
    def reader(self) -> Reader:
        """How pictures are read, where there is no crop."""
        return Reader(self.image_size, **self.settings)


def classes_of(model: Classifier) -> list[tuple[str, str]]:
    """Returns id and name of each class of published weights; says if they are numbers, and why."""
    count = model.model.outputs[0].shape[1]
    try:
        classes = labels.published_classes(count)
    except ImportError as error:
        say(f"note: {error}. Classes are shown by their numbers")
        return [(str(index), str(index)) for index in range(count)]
    if classes[0] == ("0", "0"):
        say(f"note: nobody publishes the names of these {count} classes, which are shown by their numbers")
    return classes


def load_classifier(args: argparse.Namespace) -> Classifier:
    """Loads a classifier of pictures, of a file or a key; says what of it is a guess.

    Args:
        args: of a command: `model` (a file of Keras that holds a model, a weights file of a published network, the
            folder of one, or a key), `image_size` (height and width in pixels, or one int, for a model that takes any),
            `size` (of a key or a weights file: "test" or "train", see `preprocessing_for`; None: "test", but "train" of
            a file that is not called as a published one), and, of a weights file, what `recognize` takes.

    Raises:
        ValueError: if there is no such file or key, it is no classifier of pictures, or an argument is not for it.
        OSError: if a file can't be read or downloaded.
    """
    model, image_size = args.model, args.image_size
    row = list_weights().get(model)
    _refuse_folds(model)
    model = model if row else os.fsdecode(file_of(model))
    if not row and not os.path.lexists(model) and not exists(model):
        raise _no_model(model)
    if not row and not _holds_model(Path(model)):
        found = recognize(model, args.style, args.scope, args.head, args.averages, args.network)
        say_choice(found, model, args.network)
        return _load_weights(model, image_size, found, args.size)
    if args.style or args.scope or args.head or args.averages or args.network:
        raise ValueError(
            "--style, --scope, --head, --averages and --network are for files of weights alone; leave them out with "
            f"{model!r}."
        )
    if args.size and not row:
        raise ValueError(f"--size is for published weights and weights files; leave it out with {model!r}.")
    if row and image_size:  # said before the file is downloaded
        side = preprocessing_of(row, args.size or "test").image_size
        two = " --size chooses between the two of these weights." if row.test_image_size else ""
        raise ValueError(f"{model!r} takes images of {side}x{side} alone; leave --image-size out.{two}")
    known = _load_published(row, args.size or "test") if row else _load_file(Path(model))
    if known.image_size and image_size:
        height, width = known.image_size
        raise ValueError(f"{model!r} takes images of {height}x{width} alone; leave --image-size out.")
    return known._replace(image_size=as_pair(image_size)) if image_size else known


def say_choice(found: Recognized, source: object, asked: str | None) -> None:
    """Says which of the networks with a file's tensors it is taken for, unless one was asked for or there is one."""
    if found.others and asked is None:
        same = " or ".join(found.others)
        say(f"note: {source} has the tensors of {same}, too; --network chooses. It is taken for {found.variant.name}")


def load_model(model: str, size: WhichSize | None = None) -> keras.Model:
    """Loads any model of a file or of the folder that holds it, or the classifier of a key, which takes this size.

    Raises:
        ValueError: if there is no such file or key, or it is no model.
    """
    rows = list_weights()
    if model in rows:
        return _load_published(rows[model], size or "test").model
    if size:
        raise ValueError(f"--size is for published weights; leave it out with {model!r}.")
    _refuse_folds(model)
    path = os.fsdecode(file_of(model))
    if not os.path.lexists(path):
        raise _no_model(model)
    with damage_as_value_error("a Keras model", path):
        return keras.models.load_model(path, compile=False)


def _refuse_folds(model: str) -> None:
    """Raises a `ValueError` for the folder of several folds, which says what to pass."""
    if Path(model, run_folder.FOLDS).is_file():
        models = [str(fold) for fold in run_folder.folds_of(Path(model)) if (fold / run_folder.MODEL).is_file()]
        passed = f"pass one of {enumerate_some(models)}" if models else "none has one yet"
        raise ValueError(f"{model!r} holds the folds of a cross-validation, each with a model of its own; {passed}.")


def _no_model(model: str) -> ValueError:
    """The error for a model that is neither a file nor a key."""
    if why := why_not(model):
        return ValueError(f"{model!r} can't be loaded into a network here, since {why}.")
    return ValueError(
        f"There is no model file {model!r}, nor a key of this name in `keras-resnet list`."
        f"{near_path(model, meant(model))}"
    )


def _load_published(row: Checkpoint, size: WhichSize = "test") -> Classifier:
    """A classifier of the catalogue."""
    if row.classes is None:
        raise ValueError(
            f"{row.key!r} is a body without classifier; `keras-resnet list {row.network}` shows what has classes."
        )
    preprocess = preprocessing_of(row, size)
    side = preprocess.image_size
    found = builder_of(row.network)(
        weights=row.key,
        classes=row.classes,
        input_shape=(side, side, 3),
        include_preprocessing=True,
        data_format="channels_last",
    )
    return Classifier(found, (side, side), preprocess.crop, published=True)


def _load_weights(source: str, image_size: Size | None, found: Recognized, which: WhichSize | None) -> Classifier:
    """A classifier of a file of weights alone; pictures reach it as they reach published ones of its kind."""
    variant, classes = found.variant, found.classes
    if classes is None or found.channels != 3:
        what = f"images of {found.channels} channels" if classes else "features, without a classifier"
        lacks = f" {why}." if classes is None and (why := found.lacks) else ""
        raise ValueError(f"{source!r} must hold a classifier of RGB images; it holds {variant.name} for {what}.{lacks}")
    model, report = found.build("softmax" if classes > 1 else None, include_preprocessing=True)
    probabilities(model, np.zeros((0, classes)))  # refuses one class
    report.announce(source)
    told = found.network.scaling
    what = "how large images are" if told else "images"
    style, scaling = variant.lineage.style, variant.lineage.preprocessing
    known = [row for row in list_weights().values() if row.classes and row.variant.version == variant.version]
    rows = [row for row in known if row.style == style]
    rows = rows or [row for row in known if row.variant.lineage.preprocessing == scaling]
    rows.sort(key=lambda row: (row.variant != variant, row.classes != classes))  # of its kind, its own network first
    same = [row for row in called(Path(source).name) if row in rows]
    thousand = classes == 1000 or (classes == 1001 and found.network.family is SLIM)
    imagenet = thousand and bool(rows) and variant.image_side != 32
    imagenet = imagenet or any(row.classes == classes for row in same)
    height, width = as_pair(image_size or variant.image_side)
    scaled = f"scaled as {'its config says' if told else f'in style {style!r}'}"
    if variant.image_side == 32 or not rows or height != width:  # published ones are all square
        if which:
            raise ValueError(f"--size is for networks that published weights are of; leave it out with {source!r}.")
        say(f"note: {source} says nothing of {what}: they are stretched to {height}x{width} and {scaled}")
        return Classifier(model, (height, width), published=imagenet)
    row = (same or rows)[0]
    published = preprocessing_of(row, which or ("test" if same else "train"))
    side = height if image_size else published.image_size
    preprocess = replace(published, image_size=side, resize=published.resize * side // published.image_size)
    named = f", and its {classes} classes are taken for ImageNet's" if thousand and imagenet else ""
    say(f"note: {source} says nothing of {what}: they are cropped as for {row.key} and {scaled}{named}")
    return Classifier(model, (side, side), preprocess.crop, published=imagenet)


def _holds_model(path: Path) -> bool:
    """Whether a file is one that Keras loads as a model, not weights alone."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return path.suffix == ".keras"
    with damage_as_value_error("a file of Keras", path), h5py.File(path) as file:
        return "model_config" in file.attrs


def _load_file(path: Path) -> Classifier:
    """A classifier of a file of Keras."""
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a file that is no model makes Keras and zipfile raise
        raise ValueError(f"{str(path)!r} is no Keras model that can be loaded here: {_reason(error)}") from error
    inputs, outputs = (getattr(model, each, None) or [] for each in ("inputs", "outputs"))
    if not inputs:
        raise ValueError(
            f"{str(path)!r} is a model of the class {type(model).__name__} without a graph, which does not tell what "
            "it takes: load it in Python, and call it there."
        )
    taken, returned = ([tuple(tensor.shape) for tensor in each] for each in (inputs, outputs))
    described = description_of(model)
    first = len(taken[0]) == 4 and _is_channels_first(taken[0], described)
    channels = taken[0][1 if first else -1]
    if len(taken) != 1 or len(taken[0]) != 4 or not channels or [len(each) for each in returned] != [2]:
        raise ValueError(
            f"{str(path)!r} must take RGB images, (N, height, width, 3) or (N, 3, height, width), or images of other "
            f"channels, and return (N, classes); it takes {' and '.join(map(str, taken))} and returns "
            f"{' and '.join(map(str, returned))}."
        )
    settings: dict[str, Any] = {"channels": channels}
    if described:
        settings |= {"resize": described.resize, "value_range": described.value_range}
    if has_graph(model):  # a plain one, of the tensors alone, however they were nested
        model = keras.Model(inputs[0], outputs[0], name=model.name)
    _say_scaling(model, path)
    height, width = taken[0][2:] if first else taken[0][1:3]
    if first:
        image = keras.Input((height, width, channels))
        inner = to_data_format(model, "channels_last") if has_graph(model) else model  # which every CPU computes
        model = keras.Model(image, inner(keras.layers.Permute((3, 1, 2))(image)), name=model.name)
    task = described.task if described else "classes"
    if returned[0][1] is not None and task == "classes":
        probabilities(model, np.zeros((0, returned[0][1])))  # refuses one output that is no sigmoid
    if outputs_of(model) == "logits" and task == "classes":
        say(f"note: {path} ends without activation: what it puts out is taken for logits, and their softmax is shown")
    sides = (height or width, width or height)
    names = described.names if described else None
    return Classifier(
        model,
        sides if height or width else None,
        class_names=names,
        settings=settings,
        task=task,
        threshold=described.threshold if described else 0.5,
    )


def _is_channels_first(shape: tuple[int | None, ...], described: Description | None) -> bool:
    """Whether images have their channels in front: as the model tells, or as is usual, 3 of them, else few."""
    _, front, _, last = shape
    wanted = described.channels if described else 3
    if wanted in (front, last):
        return last != wanted
    return last is None or (front is not None and front < last)


def _reason(error: Exception) -> str:
    """Why Keras did not load a model, in few words."""
    text = " ".join(str(error).split())
    if own := re.search(r"Could not locate (?:class|function) '(.+?)'", text):
        return f"it needs {own[1]!r}, which is not of Keras. Load it in Python, where that is imported."
    if "Lambda" in text and "safe" in text:
        return "it holds code, in a Lambda layer, which is not run. Load it in Python, with safe_mode=False."
    return text if len(text) < 500 else f"{text:.499}…"


def _say_scaling(model: keras.Model, path: Path) -> None:
    """Says that a model gets raw RGB, unless one of its layers scales it; and whether that is sure."""
    layers = list(walk_layers(model).values())
    if any(isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in layers):
        return
    operations = [each for inner in models(model).values() for each in getattr(inner, "operations", ())]
    unknown = any(
        isinstance(each, keras.layers.Lambda)
        or not isinstance(each, keras.Layer)  # of keras.ops, such as x / 255
        or not type(each).__module__.startswith("keras.src.")
        or (isinstance(each, keras.layers.BatchNormalization) and each.moving_mean.shape == (3,))
        for each in (*layers, *operations)
    )
    how = "may have no layer" if unknown else "has no layer"
    say(
        f"note: {path} {how} that scales pixels. It gets raw RGB in [0, 255], and its predictions are wrong if it "
        "expects scaled pixels"
    )
