"""The command `export`: a thin face on exporting."""

import argparse
from pathlib import Path

import keras

from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.predict import load_published
from keras_resnet.export.runtimes import FORMATS, check_export, export
from keras_resnet.utils.errors import damage_as_value_error


def export_file(arguments: argparse.Namespace) -> None:
    """Writes a model as a file of another runtime, and says how far its outputs are from the model's."""
    name = Path(arguments.model).name.removesuffix(".keras")
    target = arguments.target or Path(f"{name}{FORMATS[arguments.format].suffix or f'_{arguments.format}'}")
    check_export(target, arguments.format, arguments.overwrite)
    done = export(_load(arguments.model), target, arguments.format, arguments.overwrite, arguments.image_size)
    print(f"written by: {done.backend}")
    print(f"target: {target}, {done.size / 1e6:.1f} MB")
    print(f"verified: run as {arguments.format}, deviates by {done.deviation:.1e} of the largest output")


def _load(model: str) -> keras.Model:
    """The model of a file or a key."""
    rows = list_weights()
    if model in rows:
        return load_published(rows[model])[0]
    with damage_as_value_error("a Keras model", model):
        return keras.models.load_model(model, compile=False)
