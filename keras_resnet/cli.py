"""The command line: `keras-resnet`, also `python -m keras_resnet`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from keras_resnet.errors import choice_error

_BACKENDS = ("jax", "tensorflow", "torch")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; what the user can mend ends in one sentence."""
    arguments = _parser().parse_args(argv)
    try:
        print(f"backend: {_choose_backend()}")
        _train(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"keras-resnet: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("keras-resnet", description="ResNets for Keras 3, from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a network on pictures", formatter_class=_Formatter)
    train.add_argument("data", choices=["digits"], help="scikit-learn's handwritten digits")
    train.add_argument("--model", default="ResNet20", help="the network, by the name of its builder")
    train.add_argument("--epochs", type=_positive, default=15, help="passes over the training pictures")
    train.add_argument("--steps-per-epoch", type=_positive, help="batches in an epoch; all of them if not given")
    train.add_argument("--batch-size", type=_positive, default=32, help="pictures in a step")
    train.add_argument("--image-size", type=_positive, default=16, help="height and width, in pixels")
    train.add_argument("--learning-rate", type=float, default=1e-3, help="Adam's rate at the start; it decays to zero")
    train.add_argument("--seed", type=int, default=0, help="determines split, order and initial weights")
    train.add_argument("--out", type=Path, default=Path("runs/digits"), help="folder for what the run leaves")
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive int; received {text!r}")
    return int(text)


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
    configured = json.loads(settings.read_text()).get("backend") if settings.is_file() else None
    for backend in sorted(_BACKENDS, key=lambda name: name != configured):
        if find_spec(backend):
            os.environ["KERAS_BACKEND"] = backend
            return f"{backend} (set KERAS_BACKEND to choose another)"
    raise ValueError("Keras needs a backend, and none is installed: pip install 'keras3-resnet[jax]'")


def _train(arguments: argparse.Namespace) -> None:
    import keras

    from keras_resnet import data, models, training

    networks = tuple(name for name in models.__all__ if name != "ResNet")
    if arguments.model not in networks:
        raise choice_error("--model", arguments.model, networks)
    keras.utils.set_random_seed(arguments.seed)
    pictures, validation = data.digits(arguments.image_size, arguments.batch_size, seed=arguments.seed)
    side = arguments.image_size
    model = getattr(models, arguments.model)(
        weights=None, input_shape=(side, side, 3), classes=len(pictures.class_names), include_preprocessing=True
    )
    accuracy, epoch = training.train(
        model,
        pictures,
        validation,
        arguments.out,
        arguments.epochs,
        arguments.learning_rate,
        arguments.steps_per_epoch,
    )
    print(f"left in {arguments.out}: model.keras (raw RGB in [0, 255] goes in), history.csv")
    print(f"best validation accuracy: {accuracy:.1%} (epoch {epoch})")
