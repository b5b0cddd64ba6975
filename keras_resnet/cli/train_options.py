"""Options of `train`, and those that other commands share with it."""

import argparse
from pathlib import Path

from keras_resnet.cli.arguments import (
    count,
    decay,
    devices,
    folds,
    inner_share,
    number,
    positive,
    rate,
    seed,
    share,
    size,
    switch,
)

NETWORK = "name of a network, such as ResNet50 or resnetv2_50"


def add_train(parser: argparse.ArgumentParser) -> None:
    """Adds what `train` takes."""
    data = parser.add_argument_group("images")
    data.add_argument(
        "data",
        metavar="DATA",
        help="a folder that holds one folder of images per class; or a folder that holds train, val and test, each "
        "such a folder; or a table, .csv, .tsv or .parquet; or digits: scikit-learn's 1797 handwritten digits, for a "
        "first try",
    )
    data.add_argument(
        "--validation-split",
        type=float,
        metavar="SHARE",
        help="share of each class that is kept for validation where DATA has no folder val, between 0 and 1 (default: "
        "0.2)",
    )
    data.add_argument(
        "--image-size",
        type=size,
        metavar="N|HxW",
        help="height and width in pixels to which images are resized, such as 224 or 192x320 (default: what the KEY of "
        "--weights was trained for, else chosen by the size of the images and by the network)",
    )
    data.add_argument(
        "--resize",
        choices=("stretch", "crop", "pad"),
        default="stretch",
        help="how images of other proportions come to that size (default: stretch)\n"
        "stretch: without keeping their proportions\n"
        "crop: scaled to cover it, then the centre\n"
        "pad: scaled to fit in (letterbox), on a ground of the image's mean colour",
    )
    data.add_argument(
        "--channels",
        type=positive,
        default=3,
        metavar="N",
        help="channels of the images: 3 is RGB, 1 gray, 4 RGBA; others are read from .tif and .npy files",
    )
    data.add_argument(
        "--value-range",
        type=number,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="pixel values that mean black and white, of floats, or of integers that do not fill their type, such as "
        "12 bits in 16 (default: integers, by their type)",
    )
    data.add_argument("--batch-size", type=positive, default=32, metavar="N", help="images per training step")
    data.add_argument(
        "--augment",
        choices=("none", "light", "strong"),
        help="data augmentation: random changes of the training images (default: light; of digits none)\n"
        "none: the images as they are\n"
        "light: shift, horizontal flip, brightness and contrast\n"
        "strong: random resized crop, horizontal flip, brightness, contrast and saturation, then MixUp or CutMix",
    )

    data.add_argument(
        "--workers",
        type=count,
        default=0,
        metavar="N",
        help="processes that read and augment images (default: 0, which reads in threads of this process)",
    )
    data.add_argument(
        "--check",
        choices=("full", "headers", "none"),
        default="full",
        help="how much of each image is read before training (default: full)\n"
        "full: all of it; damaged and doubled images are found\n"
        "headers: its format and size\n"
        "none: nothing; a damaged image ends the training",
    )

    task = parser.add_argument_group("task and table")
    task.add_argument(
        "--task",
        choices=("classes", "labels", "regression"),
        help="what is learned (default: classes or labels, as DATA shows)\n"
        "classes: one class per image\n"
        "labels: any number of labels per image\n"
        "regression: numbers, of --target-column",
    )
    add_tables(task)
    task.add_argument(
        "--target-column",
        nargs="+",
        metavar="NAME",
        help="columns of the numbers to predict, for --task regression (default: none)",
    )
    task.add_argument(
        "--group-column",
        metavar="NAME",
        help="column of groups, such as a patient: images of one group are never on two sides or in two folds "
        "(default: no groups)",
    )
    task.add_argument(
        "--threshold",
        type=inner_share,
        metavar="X",
        help="probability from which on a label is predicted, for --task labels (default: 0.5)",
    )

    network = parser.add_argument_group("network")
    network.add_argument(
        "--model",
        metavar="NETWORK",
        help=f"{NETWORK} (default: that of the KEY of --weights, else ResNet20 for images of up to 48 pixels or where "
        "no pretrained weights can be had, else ResNet50V2)",
    )
    network.add_argument(
        "--weights",
        help="initial weights (default: imagenet where such weights are published and can be downloaded, else none)\n"
        "imagenet: the weights pretrained on ImageNet that are usual for the network\n"
        "KEY: published weights, by a key that `keras-resnet list` shows\n"
        "FILE: a weights file of Keras, PyTorch, safetensors, TensorFlow or NumPy (BiT), or its folder\n"
        "none: random weights, to train from scratch",
    )
    add_scope(network)
    network.add_argument(
        "--freeze",
        action="store_true",
        help="fine-tuning: train the classifier only; all other layers keep the pretrained weights",
    )
    network.add_argument(
        "--unfreeze-from",
        metavar="STAGE",
        help="fine-tuning in two phases: train the classifier only, then also the layers from STAGE on at a tenth of "
        "the learning rate; batch norms stay frozen. The last stage is conv5, in CIFAR networks such as ResNet20 conv4 "
        "(default: one phase)",
    )
    network.add_argument(
        "--dropout",
        type=share,
        default=0.0,
        metavar="RATE",
        help="dropout: share of the features that is dropped in front of the classifier",
    )
    network.add_argument(
        "--dtype",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="precision of the computation (default: float32)\n"
        "float32: single precision\n"
        "mixed_bfloat16: mixed precision with bfloat16: faster on GPUs and TPUs, slower on CPUs\n"
        "mixed_float16: mixed precision with float16 and loss scaling, for GPUs without bfloat16",
    )

    recipe = parser.add_argument_group("training")
    recipe.add_argument(
        "--epochs",
        type=positive,
        metavar="N",
        help="passes over the training images, in each phase (default: 10, or more, to make at least 500 steps)",
    )
    recipe.add_argument(
        "--optimizer",
        choices=("adamw", "sgd"),
        default="adamw",
        help="optimizer (default: adamw)\n"
        "adamw: Adam with decoupled weight decay\n"
        "sgd: stochastic gradient descent with Nesterov momentum of 0.9",
    )
    recipe.add_argument(
        "--learning-rate",
        type=rate,
        metavar="RATE",
        help="peak learning rate. It warms up over the first twentieth of the steps, then decays to 0 along a cosine "
        "(default: 1e-3 with adamw, 1e-2 while only the classifier trains; 0.05 with sgd; a tenth of that where all "
        "pretrained weights train)",
    )
    recipe.add_argument(
        "--weight-decay",
        type=decay,
        metavar="DECAY",
        help="weight decay, which norms and biases do without (default: 0.05 with adamw, 5e-4 with sgd)",
    )
    recipe.add_argument(
        "--label-smoothing",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="label smoothing: share of each label that is spread over all classes",
    )
    recipe.add_argument(
        "--clip-norm",
        type=rate,
        metavar="NORM",
        help="gradient clipping: the gradient of all weights is scaled down to this norm where it is longer (default: "
        "no clipping)",
    )
    recipe.add_argument(
        "--loss",
        choices=("crossentropy", "focal", "mse", "huber"),
        help="loss (default: crossentropy, for numbers mse)\n"
        "crossentropy: cross-entropy, of labels binary cross-entropy\n"
        "focal: focal loss, which counts easy images less; for rare classes\n"
        "mse: mean squared error\n"
        "huber: Huber loss, which outliers sway less",
    )
    recipe.add_argument(
        "--balance",
        nargs="?",
        choices=("loss", "sampling"),
        const="loss",
        default=False,
        help="every class counts the same, however few images it has (default: loss, where --balance stands alone)\n"
        "loss: class weights in the loss\n"
        "sampling: images of rare classes come more often",
    )
    recipe.add_argument(
        "--monitor",
        metavar="NAME",
        help="column of history.csv that chooses the best epoch (default: val_accuracy; of labels the mean average "
        "precision, of numbers the mean absolute error)",
    )
    recipe.add_argument(
        "--patience",
        type=positive,
        metavar="N",
        help="early stopping: end a phase after N epochs without a better --monitor (default: no early stopping)",
    )
    recipe.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="random seed of split, order, augmentation, initial weights and dropout",
    )

    run = parser.add_argument_group("run")
    run.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for the model, report, figures and history (default: runs/ and the name of DATA)",
    )
    run.add_argument(
        "--folds",
        type=folds,
        metavar="K",
        help="cross-validation: K runs, each validated on another K-th of the images, in FOLDER/fold1 to foldK "
        "(default: one run)",
    )
    run.add_argument(
        "--devices",
        type=devices,
        metavar="N|all",
        help="GPUs or TPUs that train together, --batch-size images in all (default: all there are; on CPUs one)",
    )
    run.add_argument(
        "--norm-sync",
        type=switch,
        default="on",
        metavar="on|off",
        help="on several devices, what batch norms see (default: on)\n"
        "on: the images of all devices, so that the weights are those of one device\n"
        "off: each device its own images, which is quicker; not on JAX",
    )
    earlier = run.add_mutually_exclusive_group()
    earlier.add_argument("--resume", action="store_true", help="continue the interrupted run in that folder")
    earlier.add_argument("--overwrite", action="store_true", help="delete the earlier run in that folder first")


def add_tables(group: argparse._ArgumentGroup, labelled: bool = True) -> None:
    """Adds how a table is read; of one that is not `labelled`, only the paths."""
    group.add_argument(
        "--images",
        dest="image_folder",
        type=Path,
        metavar="DIR",
        help="folder that the paths of a table begin in (default: the table's)",
    )
    told = (("path", "paths of images"), ("label", "classes or labels"), ("split", "sides: train, val or test"))
    for name, holds in told if labelled else told[:1]:
        group.add_argument(
            f"--{name}-column",
            metavar="NAME",
            help=f"column of the {holds} (default: found by what is in the columns)",
        )
    if labelled:
        group.add_argument(
            "--separator",
            metavar="TEXT",
            help="what stands between several labels in a cell, such as '|' (default: none)",
        )


def add_scope(group: argparse._ArgumentGroup) -> None:
    """Adds which network of a weights file is meant."""
    group.add_argument(
        "--scope",
        metavar="PREFIX",
        help="beginning of the names of tensors, for a weights file that holds several networks (default: the only "
        "network in it)",
    )
