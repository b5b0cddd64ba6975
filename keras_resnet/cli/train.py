"""The command `train`: chooses network, weights, image size and rate, and starts the run."""

import argparse
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.checkpoints.open import digest, download, open_named
from keras_resnet.cli.arguments import check_image_size
from keras_resnet.cli.quiet import import_tensorflow
from keras_resnet.data import datasets
from keras_resnet.models.networks import builder_of
from keras_resnet.models.weights.find import imagenet
from keras_resnet.training import run_folder, transfer
from keras_resnet.training.recipe import Recipe, fine_tuning
from keras_resnet.training.run import train
from keras_resnet.utils.errors import check_choice
from keras_resnet.utils.progress import say

_SMALL = 48  # pixels; below, the CIFAR nets' three halvings do better than ImageNet's five


def run(args: argparse.Namespace) -> None:
    """Trains a network on images."""
    out = args.out or Path("runs") / Path(args.data).resolve().name
    _check(args, out)
    pictures, shorter = _pictures(args)
    asked = {name: getattr(args, name) for name in ("model", "weights", "scope", "image_size", "dropout", "dtype")}
    if args.weights not in (None, "none", "imagenet", *list_weights()):
        asked["weights_hash"] = digest(open_named(args.weights, "--weights"))
    if args.resume and not (out / run_folder.RUN).is_file():
        say(f"note: there is no run in {out} to resume, so this one starts from the beginning")
    earlier = run_folder.read(out)["arguments"] if args.resume and (out / run_folder.RUN).is_file() else {}
    chosen = earlier.get("chosen") or _choose(args, shorter)
    pictures = pictures.with_(image_size=chosen["image_size"])
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})
    if chosen["weights"] and not (recipe.freeze or recipe.unfreeze_from) and recipe.learning_rate is None:
        recipe = fine_tuning(recipe)
        say(f"learning rate: {recipe.learning_rate:g}, a tenth of the usual, since all pretrained weights train")
    import_tensorflow()
    keras.utils.set_random_seed(args.seed)
    model = transfer.classifier(
        builder_of(chosen["network"]),
        len(pictures.training.class_names),
        chosen["image_size"],
        chosen["weights"],
        data_format="channels_last",  # as the pictures come
        dropout=args.dropout,
        dtype=args.dtype,
        scope=args.scope,
    )
    if args.unfreeze_from:
        check_choice("--unfreeze-from", args.unfreeze_from, transfer.stages(model))
    run_arguments = {"asked": asked, "chosen": chosen}
    try:
        with redirect_stdout(sys.stderr or sys.stdout):  # Keras prints the epochs
            found = train(
                model, pictures, out, recipe, arguments=run_arguments, resume=args.resume, overwrite=args.overwrite
            )
    except KeyboardInterrupt:
        kept = out / run_folder.MODEL
        best = f"the best model so far is {kept}" if kept.is_file() else "no epoch was done"
        _, *again = (word for word in args.typed if word not in ("--resume", "--overwrite"))
        backend = f"KERAS_BACKEND={keras.backend.backend()} "
        say(f"\nstopped: {best}. To go on:\n  {backend}{shlex.join(['keras-resnet', 'train', '--resume', *again])}")
        raise
    print(f"model: {out / run_folder.MODEL}")
    print(f"report: {out / run_folder.REPORT}")
    if "test" in found:
        print(f"test accuracy: {found['test'].accuracy():.1%}")
    results = run_folder.read(out)["results"]
    print(f"best validation accuracy: {results['validation']['accuracy']:.1%} (epoch {results['best_epoch']})")


def _check(args: argparse.Namespace, out: Path) -> None:
    """Refuses before anything is read."""
    if out.resolve().is_relative_to(Path(args.data).resolve()) and args.data != "digits":
        raise ValueError(f"--out must not lie in DATA, where it would be a class; {str(out)!r} does. Pass another.")
    run_folder.check_free(out, args.resume, args.overwrite)
    if args.model:
        find_row(args.model, "--model")
        if args.image_size:
            check_image_size(args.model, args.image_size)
    weights = args.weights
    if weights not in (None, "none", "imagenet", *list_weights()):
        open_named(weights, "--weights", ("imagenet", "none"))
    elif args.scope:
        raise ValueError(f"--scope {args.scope} is for a file that holds several networks: pass it as --weights.")
    if args.dtype != "float32":
        say(f"{args.dtype}: fast on GPUs and TPUs; most CPUs compute in 16 bits by software, which is much slower")


def _pictures(args: argparse.Namespace) -> tuple[datasets.Splits, int]:
    """What trains, validates and tests, and the pictures' shorter side in pixels."""
    batch, split, seed = args.batch_size, args.validation_split, args.seed
    if args.data == "digits":
        level = args.augment or "none"  # a mirrored digit is none
        sides = datasets.digits(16, batch, one_hot=True).split(split, seed, level)
        pictures, shorter = datasets.Splits(*sides, None, []), 16
        say(f"scikit-learn's digits: {pictures}")
    else:
        level = args.augment or "light"
        pictures = datasets.splits(args.data, 64, batch, split, seed, level, one_hot=True)
        shorter = pictures.training.inventory.shorter_side if pictures.training.inventory else 0
    say(f"augmentation: {level}")
    return pictures, shorter


def _choose(args: argparse.Namespace, shorter: int) -> dict[str, Any]:
    """Network, weights and image size, as asked or as suits the pictures; says which and why."""
    if args.model:
        network, why = builder_name(find_row(args.model).name), "as asked"
    else:
        network, why = suggest(shorter, pretrained=args.weights == "imagenet")
    weights = None if args.weights == "none" else args.weights
    if args.weights is None and is_published(network):
        try:
            fetch_published(network)
            weights = "imagenet"
        except (OSError, ImportError) as error:
            say(f"warning: no pretrained weights of {network} can be had: {error}")
            if args.freeze or args.unfreeze_from:
                raise ValueError(
                    f"--freeze and --unfreeze-from need pretrained weights, and those of {network} can't be had. Put "
                    "the file where the warning says, or pass another one as --weights."
                ) from error
    if weights is None and not args.model and is_published(network):
        network, why = "ResNet20", "small enough to learn from scratch"
    if weights is None and (args.freeze or args.unfreeze_from):
        why = "--weights is none" if args.weights else f"none are published for {network}"
        raise ValueError(
            f"--freeze and --unfreeze-from need pretrained weights, and {why}. Pass a file or a key as --weights."
        )
    side, reason = args.image_size, "as asked"
    if not side:
        side, reason = suggest_size(network, shorter, weights == "imagenet")
    check_image_size(network, side)
    say(f"network: {network} ({why})")
    say(f"image size: {side}x{side} ({reason})")
    say(f"weights: {weights or 'none; it trains from scratch'}")
    return {"network": network, "weights": weights, "image_size": side}


def is_published(network: str) -> bool:
    """Returns whether a network has ImageNet weights."""
    return _published(network) is not None


def fetch_published(network: str) -> None:
    """Downloads what `weights="imagenet"` means for a network without top, once.

    Raises:
        OSError: if it can't be had.
        ImportError: if a library that reads it is missing.
    """
    found = _published(network)
    if found is None:
        raise OSError(f"there are no ImageNet weights of {network}")
    download(found)


def _published(network: str) -> Checkpoint | None:
    """The row that a builder's weights="imagenet" means."""
    try:
        return imagenet(find_row(network), None, include_top=False)
    except ValueError:
        return None


def suggest(shorter_side: int, pretrained: bool = False) -> tuple[str, str]:
    """Returns the network that suits pictures of a size, and why; one with ImageNet weights if these are wanted."""
    if shorter_side <= _SMALL and not pretrained:
        return "ResNet20", f"a CIFAR network, as the images' median shorter side is {shorter_side} pixels"
    return "ResNet50V2", f"it has ImageNet weights, and the images' median shorter side is {shorter_side} pixels"


def suggest_size(network: str, shorter_side: int, pretrained: bool) -> tuple[int, str]:
    """Returns the height and width that suit network and pictures, and why; `pretrained`: with ImageNet's weights."""
    side = find_row(network).image_side
    if side == 32 and shorter_side > _SMALL:
        return 64, "quick, and the network halves it three times"
    if side == 32:
        return max(
            16, min(shorter_side, _SMALL) // 4 * 4
        ), f"near the images' median shorter side, {shorter_side} pixels"
    if shorter_side < side:
        return max(64, shorter_side // 32 * 32), f"near the images' median shorter side, {shorter_side} pixels"
    return side, "what its ImageNet weights are for" if pretrained else "what the network is for"
