"""Argument parsers of the commands: options, defaults, help."""

import argparse
from collections.abc import Callable
from math import inf
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; `command` is the name of one, and of its module."""
    keras_resnet = argparse.ArgumentParser("keras-resnet", description="ResNets for Keras 3, from the command line.")
    keras_resnet.set_defaults(json=False, csv=False)
    commands = keras_resnet.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def add(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, formatter_class=_Formatter, allow_abbrev=False)

    _train_parser(add("train", "train a network on pictures"))
    predict = add("predict", "classify pictures with a trained model")
    _add_model(predict)
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="a picture, or a folder of pictures")
    predict.add_argument("--top", type=_positive, default=5, help="how many classes to name, at most")
    printed = predict.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print one JSON list")
    printed.add_argument("--csv", action="store_true", help="print comma-separated values, a line per class")

    evaluate = add("evaluate", "measure a trained model on pictures of known classes")
    _add_model(evaluate)
    evaluate.add_argument(
        "data",
        metavar="DATA",
        help="a folder with one folder of pictures per class (of test or val, if it has them), or `digits`",
    )
    evaluate.add_argument("--out", type=Path, help="folder for confusion.png and predictions.png")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    listing = add("list", "show which weights are published")
    listing.add_argument(
        "network", nargs="?", metavar="NETWORK", help="by its name, such as ResNet50 or resnetv2_50; if not given, all"
    )
    listing.add_argument("--style", help="keras, torch or slim; if not given, all")
    listing.add_argument("--json", action="store_true", help="print one JSON list, of all that is known")

    convert = add("convert", "make a weights file into one of another library")
    convert.add_argument("source", metavar="SOURCE", help="a weights file, told by its content, or a key of `list`")
    convert.add_argument(
        "target", type=Path, metavar="TARGET", help="ends in .keras, .weights.h5, .safetensors, .pth, .pt or .bin"
    )
    convert.add_argument("--to", choices=("torchvision", "timm", "keras"), help="if not given, as TARGET's ending says")
    _add_network(convert, "SOURCE")
    convert.add_argument(
        "--include-preprocessing",
        action="store_true",
        help="a .keras file that takes raw RGB, as predict and evaluate want it",
    )
    convert.add_argument("--overwrite", action="store_true", help="replace TARGET")
    convert.add_argument(
        "--verify",
        action="store_true",
        help="compare outputs, here and in the libraries that the files are of, if these are installed",
    )

    export = add("export", "write a model as a file of another runtime, and check it there")
    export.add_argument("model", metavar="MODEL", help="a .keras file of a model of images, or a key of `list`")
    export.add_argument(
        "target",
        type=Path,
        nargs="?",
        metavar="TARGET",
        help="if not given, MODEL's name, here: ends in .onnx, .xml (with a .bin beside it) or .tflite, or is a folder",
    )
    export.add_argument("--format", choices=("onnx", "saved_model", "openvino", "litert"), required=True)
    export.add_argument(
        "--image-size", type=_positive, help="height and width in TARGET, of a model that takes any; if not given, any"
    )
    export.add_argument("--overwrite", action="store_true", help="replace TARGET")

    _benchmark_parser(add("benchmark", "race a network against the same in other libraries"))
    return keras_resnet


def _add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the model of `predict` and `evaluate`, and what it may leave open."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a .keras file that takes raw RGB, as train leaves it, a weights file that convert takes, or a key of "
        "`list`",
    )
    parser.add_argument("--image-size", type=_positive, help="height and width, for a model that takes any size")
    _add_network(parser, "MODEL")


def _add_network(parser: argparse.ArgumentParser, file: str) -> None:
    """Adds what a weights file may leave open."""
    parser.add_argument("--style", help=f"keras, torch, torch_1x1, torch_cifar or slim, where {file} does not tell")
    parser.add_argument("--scope", help=f"what names of tensors begin with, where {file} holds several networks")


def _benchmark_parser(parser: argparse.ArgumentParser) -> None:
    """Adds what `benchmark` takes."""
    several = "; with several values each combination is a race of its own"
    parser.add_argument(
        "--model",
        nargs="+",
        default=["ResNet50"],
        metavar="NETWORK",
        help=f"by its name, such as ResNet50 or resnetv2_50{several}",
    )
    parser.add_argument("--style", help="of our own nets, as the builders take it; if not given, their default")
    parser.add_argument(
        "--batch",
        "--batch-size",
        type=_positive,
        nargs="+",
        metavar="N",
        help=f"images in a call; if not given, 8 (training: 16){several}",
    )
    parser.add_argument(
        "--image-size",
        type=_positive,
        nargs="+",
        metavar="N",
        help=f"height and width; if not given, 224 (training: 128; CIFAR nets: 32){several}",
    )
    parser.add_argument("--train", action="store_true", help="training steps with SGD; else inference")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="bfloat16 trains mixed")
    parser.add_argument(
        "--against",
        default="keras.applications,torchvision,timm,keras_hub",
        metavar="LIST",
        help="libraries, separated by commas, or none; what is not installed is left out",
    )
    parser.add_argument("--runs", type=_positive, default=15, metavar="N", help="rounds in which each runs once")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the ratios as bars, too")


def _train_parser(parser: argparse.ArgumentParser) -> None:
    """Adds what `train` takes."""
    data = parser.add_argument_group("pictures")
    data.add_argument(
        "data",
        metavar="DATA",
        help="a folder with one folder of pictures per class, or with such folders called train and val (and test), or "
        "`digits`: scikit-learn's handwritten digits",
    )
    data.add_argument(
        "--validation-split",
        type=float,
        default=0.2,
        help="the share of each class that validates, where DATA has no val",
    )
    data.add_argument("--image-size", type=_positive, help="height and width, in pixels; if not given, as suits")
    data.add_argument("--batch-size", type=_positive, default=32, help="pictures in a step")
    data.add_argument(
        "--augment",
        choices=("none", "light", "strong"),
        help="light: shifts, mirror images, brightness; strong: parts, colours, MixUp and CutMix; if not given, light "
        "(digits: none)",
    )

    network = parser.add_argument_group("network")
    network.add_argument(
        "--model", help="by its name, such as ResNet50 or resnetv2_50; if not given, as suits the pictures"
    )
    network.add_argument(
        "--weights",
        help="imagenet, a file, a key of `list`, or none; if not given, imagenet where it can be had",
    )
    network.add_argument("--freeze", action="store_true", help="only the classifier learns")
    network.add_argument(
        "--unfreeze-from",
        metavar="STAGE",
        help="a second phase, in which all from a stage on learns, such as conv5, at a tenth of the rate",
    )
    network.add_argument("--dropout", type=_share, default=0.0, help="in front of the classifier")
    network.add_argument(
        "--dtype",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="mixed precision is quick on GPUs and TPUs, and slow on CPUs",
    )

    recipe = parser.add_argument_group("training")
    recipe.add_argument(
        "--epochs", type=_positive, help="passes over the pictures, a phase; if not given, 10, or 500 steps"
    )
    recipe.add_argument("--optimizer", choices=("adamw", "sgd"), default="adamw", help="sgd: with Nesterov's momentum")
    recipe.add_argument(
        "--learning-rate",
        type=_rate,
        help="at its peak, after a twentieth of the steps; then it decays to zero. If not given, 1e-3, or 1e-2 "
        "for a classifier alone (sgd: 0.05); a tenth of that where all pretrained weights learn",
    )
    recipe.add_argument("--weight-decay", type=_decay, help="not of norms and biases. If not given, 0.05 (sgd: 5e-4)")
    recipe.add_argument("--label-smoothing", type=_share, default=0.0, help="the share that goes to all classes")
    recipe.add_argument("--clip-norm", type=_rate, help="the length to which gradients are cut")
    recipe.add_argument("--balance", action="store_true", help="each class counts alike, however few pictures it has")
    recipe.add_argument("--patience", type=_positive, help="stop after so many epochs without a better one")
    recipe.add_argument("--seed", type=_seed, default=0, help="determines split, order, augmentation and weights")

    run = parser.add_argument_group("run")
    run.add_argument("--out", type=Path, help="folder for what the run leaves; if not given, runs/ and DATA's name")
    run.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    run.add_argument("--overwrite", action="store_true", help="delete the run in that folder first")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def _positive(text: str) -> int:
    """An int above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive int; received {text!r}")
    return int(text)


def _number(text: str, allowed: str, test: Callable[[float], bool]) -> float:
    """A number that passes a test, which the error calls `allowed`."""
    try:
        if test(float(text)):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be {allowed}; received {text!r}")


def _rate(text: str) -> float:
    """A number above 0."""
    return _number(text, "a number above 0", lambda value: 0 < value < inf)


def _decay(text: str) -> float:
    """A number from 0 up."""
    return _number(text, "0 or a number above", lambda value: 0 <= value < inf)


def _share(text: str) -> float:
    """A number in [0, 1)."""
    return _number(text, "a number from 0 up to, but not including, 1", lambda value: 0 <= value < 1)


def _seed(text: str) -> int:
    """An int that every generator takes."""
    return int(_number(text, "an int from 0 up to 2**31 - 1", lambda value: value.is_integer() and 0 <= value < 2**31))
