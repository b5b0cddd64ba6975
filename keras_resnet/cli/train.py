"""The command `train`: a thin face on the functions of the other rooms."""

import argparse
import hashlib
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.open import open_named
from keras_resnet.data import datasets
from keras_resnet.models.networks import builder_of
from keras_resnet.training import run, run_folder, transfer
from keras_resnet.utils.errors import check_choice


def train(arguments: argparse.Namespace) -> None:
    """Trains a network on pictures."""
    out = arguments.out or Path("runs") / Path(arguments.data).resolve().name
    _check(arguments, out)
    keras.config.set_image_data_format("channels_last")  # as the pictures come
    pictures, shorter = _pictures(arguments)
    asked = {name: getattr(arguments, name) for name in ("model", "weights", "image_size", "dropout", "dtype")}
    if arguments.weights not in (None, "none", "imagenet", *list_weights()):
        path = Path(arguments.weights)
        index = path if path.is_file() else Path(f"{path}.index")  # of a checkpoint: it holds the data's checksums
        asked["weights_hash"] = hashlib.sha256(index.read_bytes()).hexdigest()
    earlier = run_folder.read(out)["arguments"] if arguments.resume and (out / run_folder.RUN).is_file() else {}
    chosen = earlier.get("chosen") or _choose(arguments, shorter)
    for part in run_folder.sides(pictures).values():
        part.image_size = chosen["image_size"]
    recipe = run.Recipe(**{field.name: getattr(arguments, field.name) for field in fields(run.Recipe)})
    if chosen["weights"] and not (recipe.freeze or recipe.unfreeze_from) and recipe.learning_rate is None:
        recipe = run.fine_tuning(recipe)
        print(f"learning rate: {recipe.learning_rate:g}, a tenth of the usual, since all pretrained weights learn")
    keras.utils.set_random_seed(arguments.seed)
    model = transfer.classifier(
        builder_of(chosen["network"]),
        len(pictures.training.class_names),
        chosen["image_size"],
        chosen["weights"],
        dropout=arguments.dropout,
        dtype=arguments.dtype,
    )
    if arguments.unfreeze_from:
        check_choice("--unfreeze-from", arguments.unfreeze_from, transfer.stages(model))
    try:
        found = run.train(
            model,
            pictures,
            out,
            recipe,
            arguments={"asked": asked, "chosen": chosen},
            resume=arguments.resume,
            overwrite=arguments.overwrite,
        )
    except KeyboardInterrupt:
        kept = out / run_folder.MODEL
        best = f"the best model so far is {kept}" if kept.is_file() else "no epoch was done"
        again = [word for word in arguments.typed if word not in ("--resume", "--overwrite")]
        backend = f"KERAS_BACKEND={keras.backend.backend()} "
        print(f"\nstopped: {best}. To go on:\n  {backend}{shlex.join(['keras-resnet', *again, '--resume'])}")
        raise
    print(f"left in {out}: {', '.join(name for name in run_folder.FILES if (out / name).is_file())}")
    if "test" in found:
        print(f"test accuracy: {found['test'].accuracy():.1%}")
    results = run_folder.read(out)["results"]
    print(f"best validation accuracy: {results['validation']['accuracy']:.1%} (epoch {results['best_epoch']})")


def _check(arguments: argparse.Namespace, out: Path) -> None:
    """Refuses before anything is read."""
    if out.resolve().is_relative_to(Path(arguments.data).resolve()) and arguments.data != "digits":
        raise ValueError(f"--out must not lie in DATA, where it would be a class; {str(out)!r} does. Pass another.")
    run_folder.check_free(out, arguments.resume, arguments.overwrite)
    if arguments.model:
        find_row(arguments.model, "--model")
    weights = arguments.weights
    if weights not in (None, "none", "imagenet", *list_weights()):
        open_named(weights, "--weights", ("imagenet", "none"))
    if arguments.dtype != "float32":
        print(
            f"{arguments.dtype}: quick on GPUs and TPUs; a CPU computes with halves in software, up to 8 times slower"
        )


def _pictures(arguments: argparse.Namespace) -> tuple[datasets.Splits, int]:
    """What trains, validates and tests, and the pictures' shorter side in pixels."""
    batch, split, seed = arguments.batch_size, arguments.validation_split, arguments.seed
    if arguments.data == "digits":
        level = arguments.augment or "none"  # a mirrored digit is none
        sides = datasets.digits(16, batch, one_hot=True).split(split, seed, level)
        pictures, shorter = datasets.Splits(*sides, None, []), 16
        print(f"scikit-learn's digits: {pictures}")
    else:
        level = arguments.augment or "light"
        pictures = datasets.splits(arguments.data, 64, batch, split, seed, level, one_hot=True)
        shorter = pictures.training.inventory.shorter_side if pictures.training.inventory else 0
    print(f"augmentation: {level}")
    return pictures, shorter


def _choose(arguments: argparse.Namespace, shorter: int) -> dict[str, Any]:
    """Network, weights and image size, as asked or as suits the pictures; says which and why."""
    network, why = (
        (builder_name(find_row(arguments.model).name), "as asked")
        if arguments.model
        else (transfer.suggest(shorter, pretrained=arguments.weights == "imagenet"))
    )
    weights = None if arguments.weights == "none" else arguments.weights
    if arguments.weights is None and transfer.is_published(network):
        try:
            transfer.fetch_published(network)
            weights = "imagenet"
        except (OSError, ImportError) as error:
            print(f"no pretrained weights can be had: {error}")
    if weights is None and not arguments.model and transfer.is_published(network):
        network, why = "ResNet20", "small enough to learn from scratch"
    if weights is None and (arguments.freeze or arguments.unfreeze_from):
        raise ValueError(
            "--freeze and --unfreeze-from need weights worth keeping, and there are none to be had for "
            f"{network}: pass --weights and a file."
            if arguments.weights is None
            else "--freeze and --unfreeze-from need weights worth keeping; --weights is none."
        )
    side, reason = arguments.image_size, "as asked"
    if not side:
        side, reason = transfer.suggest_size(network, shorter, weights == "imagenet")
    print(f"network: {network} ({why})")
    print(f"image size: {side}x{side} ({reason})")
    print(f"weights: {weights or 'none; it trains from scratch'}")
    return {"network": network, "weights": weights, "image_size": side}
