"""The command `export`: a model becomes a file of another runtime."""

import argparse
from pathlib import Path
from typing import Any

from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.load_model import load_model
from keras_resnet.cli.quiet import import_tensorflow
from keras_resnet.export.runtimes import FORMATS, check_export, export
from keras_resnet.models.description import description_of
from keras_resnet.utils.errors import enumerate_some
from keras_resnet.utils.progress import say, waiting


def run(args: argparse.Namespace) -> None:
    """Writes a model as a file of another runtime, and says how far its outputs are from the model's."""
    name = Path(args.model).name.removesuffix(".keras")
    target = args.target or Path(f"{name}{FORMATS[args.format].suffix or f'_{args.format}'}")
    check_export(target, args.format, args.overwrite)
    import_tensorflow()
    model = load_model(args.model, args.size)
    with waiting(f"writing {target} and running it as {args.format}"):
        done = export(model, target, args.format, args.overwrite, args.image_size)
    if said := description_of(model):
        settings = {"task": said.task, "names": list(said.names)} | said.settings()
        say(
            "note: the file does not hold what the model says of itself: "
            + "; ".join(f"{name.replace('_', ' ')} {_listed(value)}" for name, value in settings.items())
        )
    height, width = model.input_shape[1:3] if len(model.input_shape) == 4 else (None, None)
    if height and width and args.model in list_weights():
        print(f"image size: {height}x{width}")
    print(f"written by: {done.backend}")
    print(f"target: {target}, {done.size / 1e6:.1f} MB")
    print(f"verified: run as {args.format}, deviates by {done.deviation:.1e} of the largest output")


def _listed(value: Any) -> str:
    """A setting as text."""
    return enumerate_some(list(map(str, value)), 20) if isinstance(value, (list, tuple)) else str(value)
