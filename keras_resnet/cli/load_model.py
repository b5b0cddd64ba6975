"""The model that a command is given: of a `.keras` file, or of a key of the catalogue."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.data.transforms import preprocessing_for
from keras_resnet.models.networks import builder_of
from keras_resnet.utils.errors import damage_as_value_error
from keras_resnet.utils.progress import say

Crop = Callable[[Any], Any]


class Classifier(NamedTuple):
    """A classifier of RGB pictures, the size that it takes (None: any) and how pictures get it (None: stretched)."""

    model: keras.Model
    image_size: tuple[int, int] | None
    crop: Crop | None


def load_classifier(model: str) -> Classifier:
    """Loads a classifier of RGB pictures, of a file or a key.

    Raises:
        ValueError: if there is no such file or key, or it is no classifier of RGB pictures.
    """
    rows = list_weights()
    return _load_published(rows[model]) if model in rows else _load_file(Path(model))


def load_model(model: str) -> keras.Model:
    """Loads any model of a file, or the classifier of a key.

    Raises:
        ValueError: if there is no such file or key, or it is no model.
    """
    rows = list_weights()
    if model in rows:
        return _load_published(rows[model]).model
    with damage_as_value_error("a Keras model", model):
        return keras.models.load_model(model, compile=False)


def _load_published(row: Checkpoint) -> Classifier:
    """A classifier of the catalogue."""
    if row.classes is None:
        raise ValueError(
            f"{row.key!r} is a body without classifier; `keras-resnet list {row.network}` shows what has classes."
        )
    preprocess = preprocessing_for(row.key)
    side = preprocess.image_size
    found = builder_of(row.network)(
        weights=row.key,
        classes=row.classes,
        input_shape=(side, side, 3),
        include_preprocessing=True,
        data_format="channels_last",
    )
    return Classifier(found, (side, side), preprocess.crop)


def _load_file(path: Path) -> Classifier:
    """A classifier from a file."""
    if not path.is_file():
        near = get_close_matches(str(path), list_weights(), 1)
        raise ValueError(
            f"There is no model file {str(path)!r}, nor a key of this name in `keras-resnet list`."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    try:
        model = keras.models.load_model(path, compile=False)
        height, width, channels = model.input_shape[1:]
    except Exception as error:  # whatever a file that is no model makes Keras and zipfile raise
        raise ValueError(f"{str(path)!r} is no Keras model of pictures: {error}") from error
    if channels != 3 or len(model.output_shape) != 2:
        raise ValueError(
            f"{str(path)!r} must take RGB pictures (N, height, width, 3) and return (N, classes); "
            f"it takes {model.input_shape} and returns {model.output_shape}."
        )
    scaling = (keras.Model, keras.layers.Rescaling, keras.layers.Normalization)
    if not any(isinstance(layer, scaling) for layer in model.layers):
        say(f"note: {path} has no layer that scales pixels, and gets raw RGB in [0, 255]")
    return Classifier(model, (height, width) if height and width else None, crop=None)
