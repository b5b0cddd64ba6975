"""Finds the file that `weights=` names, downloads and verifies it if it is a published one, and loads it or nothing."""

import os
from pathlib import Path
from typing import Any

import keras

from keras_resnet.checkpoints import Checkpoint, imagenet
from keras_resnet.errors import choice_error
from keras_resnet.variants import Variant

Weights = str | os.PathLike[str] | None

_SUFFIXES = (".keras", ".h5", ".hdf5")  # ".weights.h5" is one of them


def find(weights: Weights, variant: Variant, include_top: bool) -> Path | None:
    """Names the file to load, downloading it first if it is published and not yet in the cache."""
    if weights is None:
        return None
    if weights == "imagenet":
        published = imagenet(variant, include_top)
        if published is None:
            raise ValueError(
                f"`weights='imagenet'`: there are no such weights for {variant.name} in the "
                f"{variant.lineage.style!r} style. Pass weights=None for random initialisation, or the path of a file."
            )
        return _fetch(published)
    if not isinstance(weights, (str, os.PathLike)) or not os.path.isfile(weights):
        raise choice_error("weights", weights, (None, "imagenet"), " Or pass the path of an existing weights file.")
    path = Path(weights)
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"`weights` must be a file of Keras, named .keras, .weights.h5 or .h5; received {str(path)!r}."
        )
    return path


def load(model: keras.Model, path: Path, variant: Variant) -> None:
    """Loads a Keras file, or raises a `ValueError` and leaves every weight of the model as it was."""
    before = model.get_weights()
    try:
        model.load_weights(path)
    except Exception as error:  # whatever a damaged or foreign file makes Keras, h5py or zipfile raise
        model.set_weights(before)
        raise ValueError(
            f"`weights`: {str(path)!r} does not fit {model.name!r} ({variant.name}, {variant.lineage.style!r} style). "
            "Check that it was saved from the same network, with the same `classes` and `include_top`; if convolution "
            f"biases are missing or left over, it is of another `style`. Keras says: {error}"
        ) from error


def _fetch(checkpoint: Checkpoint) -> Path:
    """Downloads into Keras' cache; a file that does not match its hash is deleted."""
    name = checkpoint.url.rsplit("/", 1)[-1]
    # Keras falls back to /tmp, silently, when its directory does not exist yet.
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    try:
        found: Any = keras.utils.get_file(
            name, checkpoint.url, cache_dir=folder.parent, cache_subdir=folder.name, file_hash=checkpoint.md5
        )
    except Exception as error:  # get_file raises bare Exceptions
        path.unlink(missing_ok=True)
        raise OSError(
            f"Could not get the weights {checkpoint.url} ({error}). Download that file by other means and put it at "
            f"{path}, or pass weights=None for random initialisation."
        ) from error
    return Path(found)
