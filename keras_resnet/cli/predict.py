"""The command `predict`: the classes of pictures, by a trained or published model."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.cli.load_model import Crop, load_classifier
from keras_resnet.cli.table import print_table
from keras_resnet.data import scan
from keras_resnet.data.decode import Size, read_picture
from keras_resnet.models import labels
from keras_resnet.models.outputs import probabilities
from keras_resnet.utils.errors import enumerate_some, near_path
from keras_resnet.utils.progress import Progress, say

_BATCH = 32  # pictures taken at once


def run(args: argparse.Namespace) -> None:
    """Classifies pictures with a trained model."""
    model, size, crop, names, imagenet = load_classifier(args)
    paths = [path for given in args.images for path in (scan.files(given) if given.is_dir() else [given])]
    if not paths:
        raise ValueError(f"There is no file in {enumerate_some([repr(str(path)) for path in args.images], 5)}.")
    if size is None:
        say(f"note: {args.model} takes images of any size, and gets each at its own; --image-size sets one for all")
    results: list[tuple[Path, list[tuple[str, float]]]] = []
    skipped: list[str] = []
    for chunk, images in _batches(paths, size, crop, skipped):
        scores = probabilities(model, model.predict_on_batch(images))
        own = None if imagenet else names or [str(index) for index in range(scores.shape[1])]
        best = labels.decode_predictions(scores, args.top, own)
        rows = [[(name, float(score)) for _, name, score in row] for row in best]
        results += zip(chunk, rows, strict=True)
    for reason in skipped:
        say(f"skipped: {reason}")
    if not results:
        raise ValueError("None of these images can be read.")
    if args.json:
        found = [
            {"image": str(path), "predictions": [{"class": name, "probability": score} for name, score in row]}
            for path, row in results
        ]
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif args.csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(["image", "rank", "class", "probability"])
        for path, row in results:
            lines.writerows([path, rank, name, score] for rank, (name, score) in enumerate(row, 1))
    else:
        print_table(
            ["image", *(f"{rank}." for rank in range(1, 1 + len(results[0][1])))],
            [[str(path), *(f"{score:.1%} {name}" for name, score in row)] for path, row in results],
        )
    unread = set(args.images) & (set(paths) - {path for path, _ in results})
    if unread:  # in a folder files of any kind may lie
        raise ValueError(f"{len(unread)} of the images named can't be read.")


def _batches(
    paths: Sequence[Path], size: Size | None, crop: Crop | None, skipped: list[str]
) -> Iterator[tuple[list[Path], Any]]:
    """Pictures that can be read, some at a time if they are of one size; notes why the others are skipped."""

    def read(path: Path) -> Any:
        try:
            return crop(path) if crop else read_picture(path, size)
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
