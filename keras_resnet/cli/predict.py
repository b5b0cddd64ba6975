"""The command `predict`: the classes, labels or numbers of pictures, by a trained or published model."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.data import PATH_OPTIONS, columns_of, kind_of_data
from keras_resnet.cli.load_model import Crop, classes_of, load_classifier
from keras_resnet.cli.table import print_table
from keras_resnet.data import scan
from keras_resnet.data.decode import Size
from keras_resnet.data.tables import read_paths
from keras_resnet.models import labels
from keras_resnet.models.description import Task
from keras_resnet.models.outputs import probabilities
from keras_resnet.utils.errors import enumerate_some, near_path
from keras_resnet.utils.progress import Progress, say

_BATCH = 32  # pictures taken at once


def run(args: argparse.Namespace) -> None:
    """Says what a trained model predicts of pictures."""
    if args.model in list_weights() and not any(map(os.path.lexists, args.images)):  # said before a download
        for path in args.images:
            say(f"skipped: {path} can't be read as an image: no such file.{near_path(path)}")
        raise ValueError("None of these images can be read.")
    found = load_classifier(args)
    model, size, crop, names, published = found[:5]
    if args.threshold and found.task != "labels":
        raise ValueError(f"`threshold` is for models of several labels; {args.model!r} is of the task {found.task!r}.")
    tables = any(kind_of_data(given) == "table" for given in args.images)
    for name in PATH_OPTIONS:
        if getattr(args, name) and not tables:
            raise ValueError(f"`{name}` is for tables; leave it out.")
    paths = [path for given in args.images for path in _paths(given, args)]
    if not paths:
        raise ValueError(f"There is no file in {enumerate_some([repr(str(path)) for path in args.images], 5)}.")
    if size is None:
        say(f"note: {args.model} takes images of any size, and gets each at its own; --image-size sets one for all")
    results: list[tuple[Path, list[tuple[str, float]]]] = []
    skipped: list[str] = []
    if published:
        names = tuple(name for _, name in classes_of(found))
    for chunk, images in _batches(paths, size, crop or found.reader, skipped):
        scores = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(images)))
        if found.task != "regression":
            scores = probabilities(model, scores, several=found.task == "labels")
        own = names or [str(index) for index in range(scores.shape[1])]
        if found.task == "regression":
            rows = [list(zip(own or (), map(float, row), strict=True)) for row in scores]
        else:
            top = len(own or ()) if found.task == "labels" else args.top
            behind = int(published and scores.shape[1] == 1001)  # a background, which is never named
            best = labels.decode_predictions(scores[:, behind:], top, own[behind:])
            rows = [[(name, float(score)) for _, name, score in row] for row in best]
        if found.task == "labels":
            least = args.threshold or found.threshold
            rows = [[(name, score) for name, score in row if score >= least] for row in rows]
        results += zip(chunk, rows, strict=True)
    for reason in skipped:
        say(f"skipped: {reason}")
    if not results:
        raise ValueError("None of these images can be read.")
    _print(results, found.task, args)
    unread = set(args.images) & (set(paths) - {path for path, _ in results})
    if unread:  # in a folder files of any kind may lie
        raise ValueError(f"{len(unread)} of the images named can't be read.")


def _paths(given: Path, args: argparse.Namespace) -> list[Path]:
    """The pictures that a path means: a file, those in a folder, or those of a table."""
    if kind_of_data(given) == "table":
        return read_paths(given, columns_of(args))
    return scan.files(given) if given.is_dir() else [given]


def _print(results: Sequence[tuple[Path, list[tuple[str, float]]]], task: Task, args: argparse.Namespace) -> None:
    """Prints what is predicted of each picture."""
    what, value = {
        "classes": ("class", "probability"),
        "labels": ("label", "probability"),
        "regression": ("target", "value"),
    }[task]
    if args.json:
        listed = [
            {"image": str(path), "predictions": [{what: name, value: score} for name, score in row]}
            for path, row in results
        ]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
    elif args.csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        if task == "regression":
            lines.writerow(["image", *(name for name, _ in results[0][1])])
            lines.writerows([path, *(score for _, score in row)] for path, row in results)
            return
        lines.writerow(["image", *(["rank"] if task == "classes" else []), what, value])
        for path, row in results:
            for rank, (name, score) in enumerate(row or [("", "")], 1):  # an image without a label has a row, too
                lines.writerow([path, *([rank] if task == "classes" else []), name, score])
    elif task == "regression":
        names = [name for name, _ in results[0][1]]
        print_table(["image", *names], [[str(path), *(f"{score:.6g}" for _, score in row)] for path, row in results])
    elif task == "labels":
        print_table(
            ["image", "labels"],
            [[str(path), ", ".join(f"{name} {score:.0%}" for name, score in row) or "none"] for path, row in results],
        )
    else:
        print_table(
            ["image", *(f"{rank}." for rank in range(1, 1 + len(results[0][1])))],
            [[str(path), *(f"{score:.1%} {name}" for name, score in row)] for path, row in results],
        )


def _batches(
    paths: Sequence[Path], size: Size | None, reads: Crop, skipped: list[str]
) -> Iterator[tuple[list[Path], Any]]:
    """Pictures that can be read, some at a time if they are of one size; notes why the others are skipped."""

    def read(path: Path) -> Any:
        try:
            return reads(path)
        except ValueError as error:
            return error

    step = _BATCH if size else 1
    with Progress("predicting", 0, len(paths), "images") as progress:
        for first in range(0, len(paths), step):
            chunk = paths[first : first + step]
            with ThreadPoolExecutor() as pool:
                found = list(zip(chunk, pool.map(read, chunk), strict=True))
            for path, error in found:
                if isinstance(error, ValueError):
                    skipped.append(f"{error}{'' if os.path.lexists(path) else '.' + near_path(path)}")
            good = [(path, image) for path, image in found if not isinstance(image, ValueError)]
            if good:
                yield [path for path, _ in good], np.stack([image for _, image in good]).astype("float32")
            progress.show(first + len(chunk))
