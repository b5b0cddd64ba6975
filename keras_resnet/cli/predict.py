"""The commands `predict` and `evaluate`: thin faces on the functions of the other rooms."""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.cli.table import print_table
from keras_resnet.data import datasets, scan
from keras_resnet.data.decode import Size
from keras_resnet.data.transforms import preprocessing_for
from keras_resnet.models import labels
from keras_resnet.models.networks import builder_of
from keras_resnet.training import evaluation, figures, run_folder

_BATCH = 32  # pictures taken at once

Crop = Callable[[Any], Any]


def predict(arguments: argparse.Namespace) -> None:
    """Classifies pictures with a trained model."""
    model, size, crop = _load(arguments.model)
    names = None if crop else labels.class_names(model) or [str(index) for index in range(model.output_shape[1])]
    paths = [path for given in arguments.images for path in (scan.files(given) if given.is_dir() else [given])]
    results: list[tuple[Path, list[tuple[str, float]]]] = []
    for chunk, images in _batches(paths, size, crop):
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
        print_table(
            ["image", *(f"{rank}." for rank in range(1, 1 + len(results[0][1])))],
            [[str(path), *(f"{score:.1%} {name}" for name, score in row)] for path, row in results],
        )


def evaluate(arguments: argparse.Namespace) -> None:
    """Says how well a trained model does on pictures whose classes are known."""
    model, size, crop = _load(arguments.model)
    if size and arguments.image_size:
        raise ValueError(
            f"{str(arguments.model)!r} takes pictures of {size[0]}x{size[1]} alone; leave --image-size out."
        )
    size = size or arguments.image_size
    if size is None:
        raise ValueError(f"{str(arguments.model)!r} takes pictures of any size; say which with --image-size.")
    if arguments.data == "digits":
        pictures = datasets.digits(size, _BATCH)
    else:
        sides = (Path(arguments.data).is_dir() and scan.find_sides(arguments.data)) or {}
        path = next((sides[side] for side in ("test", "validation", "training") if side in sides), arguments.data)
        if crop:
            pictures = _imagenet_pictures(Path(path), size, model.output_shape[1])
            pictures.crop = crop
        else:
            pictures = datasets.folder(path, size, _BATCH, class_names=labels.class_names(model), verbose=False)
        print(pictures.inventory, file=sys.stderr)
    result = evaluation.evaluate(model, pictures)
    shown = _met(result) if crop else result
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        figures.draw_confusion(shown, arguments.out / run_folder.CONFUSION)
        figures.draw_predictions(shown, pictures, arguments.out / run_folder.PREDICTIONS)
    summary = result.summary() | {"classes": shown.by_class()}
    if arguments.json:
        print(json.dumps(summary | {"confusion": shown.confusion.tolist()}, indent=2, ensure_ascii=False))
        return
    print_table(
        ["class", "precision", "recall", "pictures"],
        [
            [row["class"], f"{row['precision']:.1%}", f"{row['recall']:.1%}", str(row["pictures"])]
            for row in summary["classes"]
            if row["pictures"] or not crop  # of ImageNet's thousand only those that there are
        ],
    )
    confused = shown.confusion * (1 - np.eye(len(shown.class_names), dtype=int))
    for flat in np.argsort(-confused, axis=None, kind="stable")[: min(10, np.count_nonzero(confused))]:
        true, predicted = np.unravel_index(flat, confused.shape)
        count = confused[true, predicted]
        print(f"{count} of {shown.class_names[true]} taken for {shown.class_names[predicted]}")
    if "top_5_accuracy" in summary:
        print(f"among the first five: {summary['top_5_accuracy']:.1%}")
    print(f"accuracy: {summary['accuracy']:.1%} of {summary['pictures']} pictures")


def _load(model: str) -> tuple[keras.Model, tuple[int, int] | None, Crop | None]:
    """A classifier of RGB pictures, the size that it takes (None: any) and how pictures get it (None: stretched)."""
    rows = list_weights()
    if model in rows:
        return load_published(rows[model])
    return *_load_file(Path(model)), None


def load_published(row: Checkpoint) -> tuple[keras.Model, tuple[int, int], Crop]:
    """A classifier of the catalogue."""
    if row.classes is None:
        raise ValueError(
            f"{row.key!r} is a body without classifier; `keras-resnet list {row.network}` shows what has classes."
        )
    preprocess = preprocessing_for(row.key)
    side = preprocess.image_size
    found = builder_of(row.network)(
        weights=row.key,
        classes=row.classes,
        input_shape=(side, side, 3),
        include_preprocessing=True,
        data_format="channels_last",
    )
    return found, (side, side), preprocess.crop


def _imagenet_pictures(path: Path, size: Size, outputs: int) -> datasets.Pictures:
    """The pictures of a folder whose folders are called as classes of ImageNet, by id or by name."""
    classes = [("background", "background")] * (outputs - 1000) + labels.imagenet_classes()
    alike = Counter(name for _, name in classes)  # there are two cranes and two maillots
    names = [name if alike[name] == 1 else f"{name} {identity}" for identity, name in classes]
    known = {name: label for label, (identity, _) in enumerate(classes) for name in (identity, names[label])}
    present = sorted(entry.name for entry in path.glob("[!.]*/"))
    for folder in present:
        if folder not in known:
            meant = [identity for identity, name in classes if name == folder] or get_close_matches(folder, known, 1)
            raise ValueError(
                f"{folder!r} in {str(path)!r} must be the id or the name of a class of ImageNet, such as "
                f"{' or '.join(classes[-1])}." + (f" Did you mean {' or '.join(map(repr, meant))}?" if meant else "")
            )
    found = scan.scan(path, present or None, progress=False)
    own = [known[found.class_names[label]] for label in found.labels]
    return datasets.Pictures(found.files, own, names, size, _BATCH, inventory=found)


def _met(result: evaluation.Evaluation) -> evaluation.Evaluation:
    """The same with those classes alone that a picture is of, or was taken for."""
    met = np.union1d(result.labels, result.predicted)
    names = tuple(result.class_names[label] for label in met)
    return evaluation.Evaluation(names, np.searchsorted(met, result.labels), result.scores[:, met])


def _load_file(path: Path) -> tuple[keras.Model, tuple[int, int] | None]:
    """A classifier from a file."""
    if not path.is_file():
        near = get_close_matches(str(path), list_weights(), 1)
        raise ValueError(
            f"There is no model file {str(path)!r}, nor a key of this name in `keras-resnet list`."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
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
    scaling = (keras.Model, keras.layers.Rescaling, keras.layers.Normalization)
    if not any(isinstance(layer, scaling) for layer in model.layers):
        print(f"note: {path} has no layer that scales pixels, and gets raw RGB in [0, 255]", file=sys.stderr)
    return model, (height, width) if height and width else None


def _batches(paths: Sequence[Path], size: Size | None, crop: Crop | None) -> Iterator[tuple[list[Path], Any]]:
    """Pictures that can be read, some at a time if they are of one size; names the others."""

    def read(path: Path) -> Any:
        try:
            return crop(path) if crop else datasets.read_picture(path, size)
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
