"""Argument parsers of the commands: options, defaults, help."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnet.cli.arguments import Parser, inner_share, positive, size
from keras_resnet.cli.list_options import add_list
from keras_resnet.cli.train_options import NETWORK, add_scope, add_tables, add_train
from keras_resnet.version import __version__

SHELLS = ("bash", "zsh", "tcsh")


def parser() -> Parser:
    """Returns the parser of all commands; `command` is the name of one, and of its module, or None."""
    rows = "\n".join(f"  {name:11} {purpose}" for name, (purpose, *_) in _COMMANDS.items())
    keras_resnet = Parser(
        "keras-resnet",
        description=f"keras-resnet {__version__}: ResNets for Keras 3, from the command line.\n\n{rows}\n\n"
        "keras-resnet COMMAND --help shows examples and options.\nTo try it: keras-resnet train digits",
    )
    keras_resnet.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    keras_resnet.add_argument(
        "--version", action="version", version=f"keras-resnet {__version__}", help=argparse.SUPPRESS
    )
    commands = keras_resnet.add_subparsers(
        prog="keras-resnet", metavar="COMMAND", dest="command", parser_class=Parser, help=argparse.SUPPRESS
    )
    for name, (purpose, usage, examples, add_arguments) in _COMMANDS.items():
        lines = "\n".join(f"  keras-resnet {name} {example}".rstrip() for example in examples)
        command = commands.add_parser(
            name,
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}.\n\nexamples:\n{lines}\n\n"
            f"usage: keras-resnet {name} {usage}",
        )
        add_arguments(command)
        command.add_argument_group("help").add_argument("-h", "--help", action="help", help="show this text and exit")
        command.set_defaults(parser=command)
    return keras_resnet


def _add_predict(parser: argparse.ArgumentParser) -> None:
    """Adds what `predict` takes."""
    _add_model(parser, "images", type=Path, nargs="+", metavar="IMAGE", help="image file, folder of images, or table")
    output = parser.add_argument_group("output")
    output.add_argument("--top", type=positive, default=5, metavar="N", help="how many classes to print, at most")
    output.add_argument(
        "--threshold",
        type=inner_share,
        metavar="X",
        help="probability from which on a label is predicted, by a model of several labels (default: as MODEL tells)",
    )
    printed = output.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    printed.add_argument("--csv", action="store_true", help="print comma-separated values, one line per class")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Adds what `evaluate` takes."""
    _add_model(
        parser,
        "data",
        metavar="DATA",
        help="a folder that holds one folder of images per class; or a folder that holds test, val or train, each such "
        "a folder, of which the first that exists is used; or a table, .csv, .tsv or .parquet, of which the same side "
        "is used; or digits: scikit-learn's handwritten digits",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for mistakes.csv and figures, such as predictions.png (default: none are written)",
    )
    output.add_argument("--json", action="store_true", help="print a JSON object instead of a table")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    """Adds what `convert` takes."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "source",
        metavar="SOURCE",
        help="a weights file of Keras, PyTorch, safetensors, TensorFlow or NumPy (BiT), the index of one in parts, "
        "the folder of either, or a key that `keras-resnet list` shows",
    )
    files.add_argument(
        "target",
        type=Path,
        metavar="TARGET",
        help="file to write; ends in .keras, .weights.h5, .safetensors, .pth, .pt or .bin",
    )
    files.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    target = parser.add_argument_group("format")
    target.add_argument(
        "--to",
        choices=("torchvision", "timm", "keras"),
        help="library whose names of tensors TARGET gets (default: keras for .keras and .weights.h5, else torchvision)",
    )
    target.add_argument(
        "--include-preprocessing",
        action="store_true",
        help="add the preprocessing to the model in a .keras file, which then takes raw RGB in [0, 255], as predict "
        "and evaluate expect it",
    )
    _add_network(parser, "SOURCE")
    parser.add_argument_group("check").add_argument(
        "--verify",
        action="store_true",
        help="compare the outputs of SOURCE and TARGET, here and in their own libraries where these are installed",
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    """Adds what `export` takes."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "model",
        metavar="MODEL",
        help="a .keras file, the folder of a training, or a key that `keras-resnet list` shows",
    )
    files.add_argument(
        "target",
        type=Path,
        nargs="?",
        metavar="TARGET",
        help="file or folder to write (default: the name of MODEL with the ending of the format, in this folder)",
    )
    files.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    target = parser.add_argument_group("format")
    target.add_argument(
        "--format",
        choices=("onnx", "saved_model", "openvino", "litert"),
        required=True,
        help="runtime to write for (required)\n"
        "onnx: ONNX, a file .onnx\n"
        "saved_model: TensorFlow's SavedModel, a folder\n"
        "openvino: OpenVINO, a file .xml and a file .bin beside it\n"
        "litert: LiteRT, which was TensorFlow Lite, a file .tflite",
    )
    target.add_argument(
        "--image-size",
        type=size,
        metavar="N|HxW",
        help="fixed height and width of images, of a model that takes any size (default: any size)",
    )
    _add_size(target)


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    """Adds what `benchmark` takes."""
    several = "; of several values, each combination is measured"
    network = parser.add_argument_group("network and images")
    network.add_argument(
        "--model",
        nargs="+",
        default=["ResNet50"],
        metavar="NETWORK",
        help=f"{NETWORK}{several} (default: ResNet50)",
    )
    _add_style(network, "layout of this package's networks (default: the network's own)")
    network.add_argument(
        "--batch-size",
        "--batch",
        dest="batch",
        type=positive,
        nargs="+",
        metavar="N",
        help=f"images per call{several} (default: 8, with --train 16)",
    )
    network.add_argument(
        "--image-size",
        type=positive,
        nargs="+",
        metavar="N",
        help=f"height and width in pixels{several} (default: 224, with --train 128, of CIFAR networks 32)",
    )
    measure = parser.add_argument_group("measurement")
    measure.add_argument("--train", action="store_true", help="measure training steps with SGD instead of inference")
    measure.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="precision of the computation (default: float32)\n"
        "float32: single precision\n"
        "bfloat16: bfloat16; with --train mixed precision",
    )
    measure.add_argument(
        "--against",
        default="keras.applications,torchvision,timm,keras_hub",
        metavar="LIST",
        help="libraries to compare with, separated by commas, or none; also openvino, to which our network is exported "
        "(default: keras.applications, torchvision, timm and keras_hub, as far as installed)",
    )
    measure.add_argument(
        "--runs", type=positive, default=15, metavar="N", help="rounds, in which each library runs once"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print a JSON object instead of tables")
    output.add_argument(
        "--png", type=Path, metavar="FILE", help="draw a bar chart of the ratios into this file (default: no chart)"
    )


def _add_completion(parser: argparse.ArgumentParser) -> None:
    """Adds what `completion` takes."""
    parser.add_argument_group("shell").add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or tcsh")


def _add_model(parser: argparse.ArgumentParser, operand: str, **keywords: Any) -> None:
    """Adds the model of `predict` and `evaluate`, the images, and their size."""
    group = parser.add_argument_group("model and images")
    group.add_argument(
        "model",
        metavar="MODEL",
        help="the folder or the model.keras of a training, another .keras file that takes raw RGB in [0, 255], a "
        "weights file or its folder, or a key that `keras-resnet list` shows",
    )
    group.add_argument(operand, **keywords)
    group.add_argument(
        "--image-size",
        type=size,
        metavar="N|HxW",
        help="height and width in pixels, for a model that takes images of any size (default: as MODEL tells)",
    )
    _add_size(group, "; for a weights file that is not called as a published one: train")
    add_tables(parser.add_argument_group("tables"), labelled=operand == "data")
    _add_network(parser, "MODEL")


def _add_size(group: argparse._ArgumentGroup, otherwise: str = "") -> None:
    """Adds the choice between the sizes of published weights."""
    group.add_argument(
        "--size",
        choices=("test", "train"),
        help="which of the two image sizes of published weights is used, where they have two (default: "
        f"test{otherwise})\n"
        "test: the larger one, at which they are more accurate\n"
        "train: the one that they were trained for",
    )


def _add_network(parser: argparse.ArgumentParser, file: str) -> None:
    """Adds what a weights file may leave open."""
    group = parser.add_argument_group("for weights files")
    _add_style(group, f"layout of the network, for a weights file that does not tell it (default: as {file} tells)")
    add_scope(group)
    group.add_argument(
        "--head",
        metavar="NAME",
        help="name of the classifier, for a weights file that does not tell which tensors are its classifier (default: "
        "the only one that fits)",
    )
    group.add_argument(
        "--network",
        metavar="NAME",
        help="name of the network, such as resnetblur50, for a weights file with the tensors of several networks "
        "(default: the plainest of them)",
    )
    group.add_argument(
        "--averages",
        action="store_true",
        help="use the moving averages of the weights that the weights file holds, instead of the weights themselves",
    )


def _add_style(group: argparse._ArgumentGroup, help: str) -> None:
    """Adds the style, and what each of them is."""
    group.add_argument(
        "--style",
        help=f"{help}\n"
        "keras: of keras.applications\n"
        "keras_2016: of keras.applications until 2018, without padding in front of the stem's pool\n"
        "keras_2018: of keras.applications from 2018 to 2019\n"
        "torch: of torchvision, timm and transformers\n"
        "torch_1x1: as torch, with the stride in a block's first 1x1 convolution\n"
        "torch_cifar: as torch, of PyTorch's CIFAR networks, with zero channels on both sides\n"
        "slim: of TF-Slim",
    )


# What each command is for, what it takes, examples, and what adds its arguments
_COMMANDS: dict[str, tuple[str, str, tuple[str, ...], Callable[[argparse.ArgumentParser], None]]] = {
    "train": (
        "train an image classifier on a folder of images",
        "DATA [options]",
        (
            "digits",
            "flowers --epochs 20 --augment strong",
            "flowers --model ResNet50V2 --unfreeze-from conv5",
        ),
        add_train,
    ),
    "predict": (
        "name the classes of images, with a trained or a published model",
        "MODEL IMAGE [IMAGE ...] [options]",
        ("runs/flowers/model.keras new.jpg", "timm/resnet50.a1_in1k holidays --csv > classes.csv"),
        _add_predict,
    ),
    "evaluate": (
        "measure the accuracy of a model on images of known classes",
        "MODEL DATA [options]",
        ("runs/flowers/model.keras flowers/test", "torchvision/resnet50.v2 imagenet/val --json"),
        _add_evaluate,
    ),
    "list": (
        "list the published weights",
        "[PATTERN] [options]",
        ("ResNet50", '"*swsl*"', "--min-top1 80 --max-parameters 30M --sort top1"),
        add_list,
    ),
    "convert": (
        "convert a weights file to the format of another library",
        "SOURCE TARGET [options]",
        (
            "resnet50.pth resnet50.keras --include-preprocessing",
            "microsoft/resnet-18 resnet18.pth --verify",
        ),
        _add_convert,
    ),
    "export": (
        "write a model as ONNX, SavedModel, OpenVINO or LiteRT",
        "MODEL [TARGET] --format FORMAT [options]",
        ("runs/flowers/model.keras flowers.onnx --format onnx", "timm/resnet18.a1_in1k --format litert"),
        _add_export,
    ),
    "benchmark": (
        "compare the speed of networks with that of other libraries",
        "[options]",
        ("", "--model ResNet18 ResNet50 --train --png speed.png"),
        _add_benchmark,
    ),
    "completion": (
        "print a script by which your shell completes commands and options",
        "SHELL",
        ("bash >> ~/.bash_completion", "zsh > ~/.zfunc/_keras-resnet"),
        _add_completion,
    ),
}
