"""Finds the file that `weights=` names, and loads all of it or nothing."""

import os
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py  # a dependency of Keras
import keras

from keras_resnet.checkpoints import Checkpoint, imagenet
from keras_resnet.downloads import fetch
from keras_resnet.errors import choice_error
from keras_resnet.layouts import Variant
from keras_resnet.loading import load_checkpoint
from keras_resnet.networks import networks
from keras_resnet.tf_checkpoints import is_checkpoint

Weights = str | os.PathLike[str] | None

_SUFFIXES = (".keras", ".h5", ".hdf5")  # ".weights.h5" is one of them


def style_of(weights: Weights) -> str | None:
    """The style that a file's format tells: a TensorFlow checkpoint is TF-Slim's."""
    return "slim" if isinstance(weights, (str, os.PathLike)) and is_checkpoint(weights) else None


def find(weights: Weights, variant: Variant, include_top: bool) -> Path | Checkpoint | None:
    """The file or the catalogue's row that an argument names; nothing is downloaded yet."""
    if weights is None:
        return None
    if isinstance(weights, str) and weights == "imagenet":
        published = imagenet(variant, include_top)
        if published is None:
            raise ValueError(
                f"`weights='imagenet'`: there are no such weights for {variant.name} in the "
                f"{variant.lineage.style!r} style. Pass weights=None for random initialisation, or the path of a file."
            )
        return published
    if style_of(weights):
        return Path(weights)
    if not isinstance(weights, (str, os.PathLike)) or not os.path.isfile(weights):
        raise choice_error("weights", weights, (None, "imagenet"), " Or pass the path of an existing weights file.")
    path = Path(weights)
    if path.suffix not in _SUFFIXES:
        raise ValueError(
            "`weights` must be a file of Keras, named .keras, .weights.h5 or .h5, or a checkpoint of TF-Slim's; "
            f"received {str(path)!r}."
        )
    return path


def load(model: keras.Model, source: Path | Checkpoint, variant: Variant) -> None:
    """Loads a file, or raises and leaves every weight of the model as it was."""
    if isinstance(source, Checkpoint):
        source = fetch(source.url, source.md5, "pass weights=None for random initialisation")
    if style_of(source):
        network = next(network for network in networks(model, nested=False) if not network.prefix)
        load_checkpoint(model, network, source, argument="weights", whole=True)
        return
    before = model.get_weights()
    try:
        _check_count(model, source)
        model.load_weights(source)
    except Exception as error:  # whatever a damaged or foreign file makes Keras, h5py or zipfile raise
        model.set_weights(before)
        raise ValueError(
            f"`weights`: {str(source)!r} does not fit {model.name!r} ({variant.name}, {variant.lineage.style} style). "
            "Check that it was saved from the same network, with the same `classes` and `include_top`; if convolution "
            f"biases are missing or left over, it is of another `style`. The reason: {error}"
        ) from error


def _check_count(model: keras.Model, path: Path) -> None:
    """Raises if a .keras or .weights.h5 file holds more than the model: Keras would leave the rest out in silence.

    It may hold a classifier for a model without one. (For other .h5 files Keras counts the layers itself.)
    """
    if not path.name.endswith((".keras", ".weights.h5")):
        return
    with ExitStack() as stack:
        file: Any = path
        if path.suffix == ".keras":
            file = stack.enter_context(stack.enter_context(zipfile.ZipFile(path)).open("model.weights.h5"))
        stored = stack.enter_context(h5py.File(file))
        arrays: list[str] = []
        stored.visititems(
            lambda name, item: (
                arrays.append(name) if isinstance(item, h5py.Dataset) and not name.startswith("optimizer/") else None
            )
        )
    classifier = 0 if any(layer.name == "predictions" for layer in model.layers) else 2
    if len(arrays) not in (len(model.weights), len(model.weights) + classifier):
        raise ValueError(f"it holds {len(arrays)} arrays, the model {len(model.weights)}")
