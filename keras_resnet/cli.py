"""The command line: `keras-resnet`, also `python -m keras_resnet`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from math import inf
from pathlib import Path

from keras_resnet.errors import choice_error

_BACKENDS = ("jax", "tensorflow", "torch")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; what the user can mend ends in one sentence."""
    arguments = _parser().parse_args(argv)
    try:
        backend = _choose_backend()
        print(f"backend: {backend}", file=sys.stderr if arguments.json else sys.stdout)
        arguments.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"keras-resnet: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("keras-resnet: out of memory; make --batch-size or --image-size smaller", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("keras-resnet", description="ResNets for Keras 3, from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network on pictures", formatter_class=_Formatter)
    train.set_defaults(run=_train, json=False)
    train.add_argument(
        "data", help="a folder with one folder of pictures per class, or `digits`: scikit-learn's handwritten digits"
    )
    train.add_argument("--model", default="ResNet20", help="the network, by the name of its builder")
    train.add_argument("--epochs", type=_positive, help="passes over the pictures; if not given, 10, or 500 steps")
    train.add_argument("--batch-size", type=_positive, default=32, help="pictures in a step")
    train.add_argument(
        "--image-size",
        type=_positive,
        help="height and width, in pixels; if not given, what the network is for (digits: 16)",
    )
    train.add_argument("--validation-split", type=float, default=0.2, help="the share of each class that validates")
    train.add_argument("--learning-rate", type=_rate, default=1e-3, help="Adam's rate at the start; it decays to zero")
    train.add_argument("--seed", type=int, default=0, help="determines split, order and initial weights")
    train.add_argument("--out", type=Path, help="folder for what the run leaves; if not given, runs/ and DATA's name")

    predict = commands.add_parser("predict", help="classify pictures with a trained model", formatter_class=_Formatter)
    predict.set_defaults(run=_predict)
    predict.add_argument(
        "model", type=Path, metavar="MODEL", help="a .keras file that takes raw RGB, as train leaves it"
    )
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="a picture")
    predict.add_argument("--top", type=_positive, default=5, help="how many classes to name, at most")
    predict.add_argument("--json", action="store_true", help="print one JSON list")
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive int; received {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        if 0 < float(text) < inf:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number above 0; received {text!r}")


def _choose_backend() -> str:
    """The backend that KERAS_BACKEND names; else the one of Keras' own settings or the first that is installed."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        if chosen not in _BACKENDS:
            raise choice_error("KERAS_BACKEND", chosen, _BACKENDS)
        if not find_spec(chosen):
            raise ValueError(
                f"KERAS_BACKEND is {chosen!r}, which is not installed: pip install 'keras3-resnet[{chosen}]'"
            )
        return chosen
    settings = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
    configured = None
    if settings.is_file():
        with suppress(ValueError, AttributeError):  # a damaged file has no settings
            configured = json.loads(settings.read_text()).get("backend")
    for backend in sorted(_BACKENDS, key=lambda name: name != configured):
        if find_spec(backend):
            os.environ["KERAS_BACKEND"] = backend
            return f"{backend} (set KERAS_BACKEND to choose another)"
    raise ValueError("Keras needs a backend, and none is installed: pip install 'keras3-resnet[jax]'")


def _train(arguments: argparse.Namespace) -> None:
    import keras

    from keras_resnet import data, models, training, variants

    networks = tuple(name for name in models.__all__ if name != "ResNet")
    if arguments.model not in networks:
        raise choice_error("--model", arguments.model, networks)
    keras.config.set_image_data_format("channels_last")  # as the pictures come
    keras.utils.set_random_seed(arguments.seed)
    digits = arguments.data == "digits"
    side = arguments.image_size or (16 if digits else getattr(variants, arguments.model.upper()).image_side)
    load = data.digits if digits else partial(data.folder, arguments.data)
    pictures, validation = load(side, arguments.batch_size).split(arguments.validation_split, arguments.seed)
    names = pictures.class_names
    print(f"{len(names)} classes; pictures: {len(pictures.labels)} to train, {len(validation.labels)} to validate")
    out = arguments.out or Path("runs") / Path(arguments.data).resolve().name
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out must be a folder that can be written; {str(out)!r}: {error.strerror}.") from error
    model = getattr(models, arguments.model)(
        weights=None, input_shape=(side, side, 3), classes=len(names), include_preprocessing=True
    )
    epochs = arguments.epochs or max(10, -(-500 // len(pictures)))
    accuracy, epoch = training.train(model, pictures, validation, out, epochs, arguments.learning_rate)
    print(f"left in {out}: model.keras (raw RGB in [0, 255] goes in), labels.txt, history.csv, curves.png")
    print(f"best validation accuracy: {accuracy:.1%} (epoch {epoch})")


def _predict(arguments: argparse.Namespace) -> None:
    import keras
    import numpy as np

    from keras_resnet import data, labels

    if not arguments.model.is_file():
        raise ValueError(f"There is no model file {str(arguments.model)!r}.")
    try:
        model = keras.models.load_model(arguments.model, compile=False)
        height, width, channels = model.input_shape[1:]
    except Exception as error:  # whatever a file that is no model makes Keras and zipfile raise
        raise ValueError(f"{str(arguments.model)!r} is no Keras model of pictures: {error}") from error
    if channels != 3 or len(model.output_shape) != 2:
        raise ValueError(
            f"{str(arguments.model)!r} must take RGB pictures (N, height, width, 3) and return (N, classes); "
            f"it takes {model.input_shape} and returns {model.output_shape}."
        )
    size = (height, width) if height and width else None
    names = labels.class_names(model) or [str(index) for index in range(model.output_shape[1])]
    results = []
    for path in arguments.images:
        image = data.read_picture(path, size).astype("float32")
        (best,) = labels.decode_predictions(model(image[np.newaxis], training=False), arguments.top, names)
        results.append((str(path), {name: float(score) for _, name, score in best}))
    if arguments.json:
        found = [
            {"image": path, "predictions": [{"class": name, "probability": score} for name, score in scores.items()]}
            for path, scores in results
        ]
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for path, scores in results:
        print(path, *(f"  {score:6.1%}  {name}" for name, score in scores.items()), sep="\n")
