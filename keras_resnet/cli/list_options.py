"""Options of the command `list`."""

import argparse

from keras_resnet.cli.arguments import percent, quantity
from keras_resnet.cli.train_options import NETWORK

# Of the catalogue, which takes longer to import than the parsers
FAMILIES = {
    "keras": "keras.applications, older ResNeXts and ResNet-RS",
    "classification_models": "image-classifiers",
    "slim": "TF-Slim",
    "torchvision": "torchvision",
    "facebook": "Facebook, semi-supervised and weakly supervised",
    "timm": "timm",
    "microsoft": "transformers",
    "moco": "MoCo, self-supervised",
    "mocov3": "MoCo v3, self-supervised",
    "swav": "SwAV, self-supervised",
    "deepclusterv2": "DeepCluster-v2, self-supervised",
    "selav2": "SeLa-v2, self-supervised",
    "dino": "DINO, self-supervised",
    "barlowtwins": "Barlow Twins, self-supervised",
    "vicreg": "VICReg, self-supervised",
    "bit": "Google's BiT",
    "keras_hub": "KerasHub",
}
STYLES = {
    "keras": "of keras.applications",
    "torch": "of torchvision, timm and transformers",
    "slim": "of TF-Slim",
    "classification_models": "of image-classifiers",
    "classification_models_1x1": "of image-classifiers' seresnets",
    "bit": "of BiT",
    "senet": "of SENet, as timm has it",
    "senet_1x1": "as senet, with the stride in a block's first 1x1 convolution",
}


def add_list(parser: argparse.ArgumentParser) -> None:
    """Adds what `list` takes."""
    parser.add_argument_group("weights").add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help=f"{NETWORK}; or a part of keys, such as swsl, or a pattern with * and ? (default: all weights)",
    )
    group = parser.add_argument_group("filters")
    group.add_argument(
        "--family",
        choices=tuple(FAMILIES),
        metavar="NAME",
        help=_values("who published or converted the weights, or how they were trained (default: all)", FAMILIES),
    )
    group.add_argument(
        "--style",
        choices=tuple(STYLES),
        metavar="NAME",
        help=_values("layout of the weights (default: all)", STYLES),
    )
    group.add_argument(
        "--licence",
        metavar="NAME",
        help="licence of the weights, such as apache-2.0, or none, where none is stated (default: all)",
    )
    group.add_argument(
        "--min-top1",
        type=percent,
        metavar="X",
        help="least published top-1 in percent, at the larger image size where there are two (default: weights of any "
        "and of unknown accuracy)",
    )
    group.add_argument(
        "--max-parameters",
        type=quantity,
        metavar="N",
        help="most trainable parameters, with the classifier, such as 12M, 500K or 25557032 (default: any number)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--sort",
        choices=("top1", "parameters"),
        help="order (default: by family and network)\n"
        "top1: the most accurate first, those of unknown accuracy last\n"
        "parameters: the smallest first",
    )
    output.add_argument("--json", action="store_true", help="print a JSON list of all that is known of each")


def _values(purpose: str, values: dict[str, str]) -> str:
    """The help of an option: what it is for, and a line for each of its values."""
    return "\n".join((purpose, *(f"{value}: {meaning}" for value, meaning in values.items())))
