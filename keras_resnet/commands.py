"""What the commands do, once there is a backend: thin faces on the functions of the other rooms."""

import argparse
import csv
import hashlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet import data, evaluation, figures, folders, labels, models, runs, training, transfer
from keras_resnet.decoding import Size
from keras_resnet.errors import check_choice, optional
from keras_resnet.tf_checkpoints import is_checkpoint

_BATCH = 32  # pictures that predict and evaluate take at once


def train(arguments: argparse.Namespace) -> None:
    """Trains a network on pictures."""
    out = arguments.out or Path("runs") / Path(arguments.data).resolve().name
    _check(arguments, out)
    keras.config.set_image_data_format("channels_last")  # as the pictures come
    pictures, shorter = _pictures(arguments)
    asked = {name: getattr(arguments, name) for name in ("model", "weights", "image_size", "dropout", "dtype")}
    if arguments.weights not in (None, "none", "imagenet"):
        path = Path(arguments.weights)
        index = path if path.is_file() else Path(f"{path}.index")  # of a checkpoint: it holds the data's checksums
        asked["weights_hash"] = hashlib.sha256(index.read_bytes()).hexdigest()
    earlier = runs.read(out)["arguments"] if arguments.resume and (out / runs.RUN).is_file() else {}
    chosen = earlier.get("chosen") or _choose(arguments, shorter)
    for part in runs.sides(pictures).values():
        part.image_size = chosen["image_size"]
    recipe = training.Recipe(**{field.name: getattr(arguments, field.name) for field in fields(training.Recipe)})
    if chosen["weights"] and not (recipe.freeze or recipe.unfreeze_from) and recipe.learning_rate is None:
        recipe = training.fine_tuning(recipe)
        print(f"learning rate: {recipe.learning_rate:g}, a tenth of the usual, since all pretrained weights learn")
    keras.utils.set_random_seed(arguments.seed)
    model = transfer.classifier(
        getattr(models, chosen["network"]),
        len(pictures.training.class_names),
        chosen["image_size"],
        chosen["weights"],
        dropout=arguments.dropout,
        dtype=arguments.dtype,
    )
    if arguments.unfreeze_from:
        check_choice("--unfreeze-from", arguments.unfreeze_from, transfer.stages(model))
    try:
        found = training.train(
            model,
            pictures,
            out,
            recipe,
            arguments={"asked": asked, "chosen": chosen},
            resume=arguments.resume,
            overwrite=arguments.overwrite,
        )
    except KeyboardInterrupt:
        best = f"the best model so far is {out / runs.MODEL}" if (out / runs.MODEL).is_file() else "no epoch was done"
        again = [word for word in arguments.typed if word not in ("--resume", "--overwrite")]
        backend = f"KERAS_BACKEND={keras.backend.backend()} "
        print(f"\nstopped: {best}. To go on:\n  {backend}{shlex.join(['keras-resnet', *again, '--resume'])}")
        raise
    print(f"left in {out}: {', '.join(name for name in runs.FILES if (out / name).is_file())}")
    if "test" in found:
        print(f"test accuracy: {found['test'].accuracy():.1%}")
    results = runs.read(out)["results"]
    print(f"best validation accuracy: {results['validation']['accuracy']:.1%} (epoch {results['best_epoch']})")


def _check(arguments: argparse.Namespace, out: Path) -> None:
    """Refuses before anything is read."""
    if out.resolve().is_relative_to(Path(arguments.data).resolve()) and arguments.data != "digits":
        raise ValueError(f"--out must not lie in DATA, where it would be a class; {str(out)!r} does. Pass another.")
    runs.check_free(out, arguments.resume, arguments.overwrite)
    if arguments.model:
        check_choice("--model", arguments.model, transfer.networks())
    weights = arguments.weights
    if weights not in (None, "none", "imagenet") and not Path(weights).is_file() and not is_checkpoint(weights):
        raise ValueError(f"--weights must be 'imagenet', 'none' or the path of a file; received {weights!r}.")
    if arguments.dtype != "float32":
        print(
            f"{arguments.dtype}: quick on GPUs and TPUs; a CPU computes with halves in software, up to 8 times slower"
        )


def _pictures(arguments: argparse.Namespace) -> tuple[data.Splits, int]:
    """What trains, validates and tests, and the pictures' shorter side in pixels."""
    batch, split, seed = arguments.batch_size, arguments.validation_split, arguments.seed
    if arguments.data == "digits":
        level = arguments.augment or "none"  # a mirrored digit is none
        sides = data.digits(16, batch, one_hot=True).split(split, seed, level)
        pictures, shorter = data.Splits(*sides, None, []), 16
        print(f"scikit-learn's digits: {pictures}")
    else:
        level = arguments.augment or "light"
        pictures = data.splits(arguments.data, 64, batch, split, seed, level, one_hot=True)
        shorter = pictures.training.inventory.shorter_side if pictures.training.inventory else 0
    print(f"augmentation: {level}")
    return pictures, shorter


def _choose(arguments: argparse.Namespace, shorter: int) -> dict[str, Any]:
    """Network, weights and image size, as asked or as suits the pictures; says which and why."""
    network, why = (
        (arguments.model, "as asked")
        if arguments.model
        else (transfer.suggest(shorter, pretrained=arguments.weights == "imagenet"))
    )
    weights = None if arguments.weights == "none" else arguments.weights
    if arguments.weights is None and transfer.is_published(network):
        try:
            transfer.fetch_published(network)
            weights = "imagenet"
        except OSError as error:
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


def predict(arguments: argparse.Namespace) -> None:
    """Classifies pictures with a trained model."""
    model, size = _load(arguments.model)
    names = labels.class_names(model) or [str(index) for index in range(model.output_shape[1])]
    paths = [path for given in arguments.images for path in (folders.files(given) if given.is_dir() else [given])]
    results: list[tuple[Path, list[tuple[str, float]]]] = []
    for chunk, images in _batches(paths, size):
        best = labels.decode_predictions(model.predict_on_batch(images), arguments.top, names)
        rows = [[(name, float(score)) for _, name, score in row] for row in best]
        results += zip(chunk, rows, strict=True)
    if not results:
        raise ValueError("There is no picture among these that can be read.")
    if arguments.json:
        found = [
            {"image": str(path), "predictions": [{"class": name, "probability": score} for name, score in row]}
            for path, row in results
        ]
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif arguments.csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(["image", "rank", "class", "probability"])
        for path, row in results:
            lines.writerows([path, rank, name, score] for rank, (name, score) in enumerate(row, 1))
    else:
        _print_table(
            ["image", *(f"{rank}." for rank in range(1, 1 + len(results[0][1])))],
            [[str(path), *(f"{score:.1%} {name}" for name, score in row)] for path, row in results],
        )


def evaluate(arguments: argparse.Namespace) -> None:
    """Says how well a trained model does on pictures whose classes are known."""
    model, size = _load(arguments.model)
    if size and arguments.image_size:
        raise ValueError(
            f"{str(arguments.model)!r} takes pictures of {size[0]}x{size[1]} alone; leave --image-size out."
        )
    size = size or arguments.image_size
    if size is None:
        raise ValueError(f"{str(arguments.model)!r} takes pictures of any size; say which with --image-size.")
    if arguments.data == "digits":
        pictures = data.digits(size, _BATCH)
    else:
        sides = (Path(arguments.data).is_dir() and folders.sides(arguments.data)) or {}
        path = next((sides[side] for side in ("test", "validation", "training") if side in sides), arguments.data)
        pictures = data.folder(path, size, _BATCH, class_names=labels.class_names(model), verbose=False)
        print(pictures.inventory, file=sys.stderr)
    result = evaluation.evaluate(model, pictures)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        figures.draw_confusion(result, arguments.out / runs.CONFUSION)
        figures.draw_predictions(result, pictures, arguments.out / runs.PREDICTIONS)
    summary = result.summary()
    if arguments.json:
        print(json.dumps(summary | {"confusion": result.confusion.tolist()}, indent=2, ensure_ascii=False))
        return
    _print_table(
        ["class", "precision", "recall", "pictures"],
        [
            [row["class"], f"{row['precision']:.1%}", f"{row['recall']:.1%}", str(row["pictures"])]
            for row in summary["classes"]
        ],
    )
    confused = result.confusion * (1 - np.eye(len(result.class_names), dtype=int))
    for flat in np.argsort(-confused, axis=None, kind="stable")[: min(10, np.count_nonzero(confused))]:
        true, predicted = np.unravel_index(flat, confused.shape)
        count = confused[true, predicted]
        print(f"{count} of {result.class_names[true]} taken for {result.class_names[predicted]}")
    if "top_5_accuracy" in summary:
        print(f"among the first five: {summary['top_5_accuracy']:.1%}")
    print(f"accuracy: {summary['accuracy']:.1%} of {summary['pictures']} pictures")


def _load(path: Path) -> tuple[keras.Model, tuple[int, int] | None]:
    """A classifier of RGB pictures and the size that it takes; None is any."""
    if not path.is_file():
        raise ValueError(f"There is no model file {str(path)!r}.")
    try:
        model = keras.models.load_model(path, compile=False)
        height, width, channels = model.input_shape[1:]
    except Exception as error:  # whatever a file that is no model makes Keras and zipfile raise
        raise ValueError(f"{str(path)!r} is no Keras model of pictures: {error}") from error
    if channels != 3 or len(model.output_shape) != 2:
        raise ValueError(
            f"{str(path)!r} must take RGB pictures (N, height, width, 3) and return (N, classes); "
            f"it takes {model.input_shape} and returns {model.output_shape}."
        )
    return model, (height, width) if height and width else None


def _batches(paths: Sequence[Path], size: Size | None) -> Iterator[tuple[list[Path], Any]]:
    """Pictures that can be read, some at a time if they are of one size; names the others."""

    def read(path: Path) -> Any:
        try:
            return data.read_picture(path, size)
        except ValueError as error:
            return error

    step = _BATCH if size else 1
    for first in range(0, len(paths), step):
        chunk = paths[first : first + step]
        with ThreadPoolExecutor() as pool:
            found = list(zip(chunk, pool.map(read, chunk), strict=True))
        for _, error in found:
            if isinstance(error, ValueError):
                print(f"skipped: {error}", file=sys.stderr)
        good = [(path, image) for path, image in found if not isinstance(image, ValueError)]
        if good:
            yield [path for path, _ in good], np.stack([image for _, image in good]).astype("float32")


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, as wide as they need be where no terminal limits them."""
    console, box = optional("rich.console"), optional("rich.box")
    table = optional("rich.table").Table(*head, box=box.SIMPLE_HEAD)
    text = optional("rich.text").Text
    for row in rows:
        table.add_row(*(text(cell, overflow="fold") for cell in row))
    console.Console(width=None if sys.stdout.isatty() else 1000).print(table)
