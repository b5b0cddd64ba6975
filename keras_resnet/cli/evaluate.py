"""The command `evaluate`: how well a model does on pictures of known classes."""

import argparse
import json
from collections import Counter
from difflib import get_close_matches
from typing import Any

import numpy as np

from keras_resnet.cli.load_model import Classifier, Crop, load_classifier
from keras_resnet.cli.table import print_table
from keras_resnet.data import datasets, scan
from keras_resnet.data.decode import Size
from keras_resnet.data.layout import find_layout
from keras_resnet.data.pictures import Pictures
from keras_resnet.models import labels
from keras_resnet.training import figures, run_folder
from keras_resnet.training.evaluation import Evaluation, evaluate
from keras_resnet.utils.progress import say

_BATCH = 32  # pictures taken at once


def run(args: argparse.Namespace) -> None:
    """Says how well a trained model does on pictures whose classes are known."""
    found = load_classifier(args)
    if found.image_size is None:
        raise ValueError(f"{args.model!r} takes images of any size; say which with --image-size.")
    pictures = datasets.digits(found.image_size, _BATCH) if args.data == "digits" else _folder(args.data, found)
    if not (found.class_names or found.imagenet):
        say(f"note: {args.model} holds no class names; those of DATA are taken, in alphabetical order")
    result = evaluate(found.model, pictures)
    shown = _met(result) if found.imagenet else result
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        figures.draw_confusion(shown, args.out / run_folder.CONFUSION)
        figures.draw_predictions(shown, pictures, args.out / run_folder.PREDICTIONS)
    summary = result.summary() | {"classes": shown.by_class()}
    if args.json:
        print(json.dumps(summary | {"confusion": shown.confusion.tolist()}, indent=2, ensure_ascii=False))
        return
    print_table(
        ["class", "precision", "recall", "images"],
        [
            [row["class"], f"{row['precision']:.1%}", f"{row['recall']:.1%}", str(row["images"])]
            for row in summary["classes"]
            if row["images"] or not found.imagenet  # of ImageNet's thousand only those that there are
        ],
    )
    confused = shown.confusion * (1 - np.eye(len(shown.class_names), dtype=int))
    for flat in np.argsort(-confused, axis=None, kind="stable")[: min(10, np.count_nonzero(confused))]:
        true, predicted = np.unravel_index(flat, confused.shape)
        count = confused[true, predicted]
        print(f"{count} of {shown.class_names[true]} predicted as {shown.class_names[predicted]}")
    if "top_5_accuracy" in summary:
        print(f"top-5 accuracy: {summary['top_5_accuracy']:.1%}")
    print(f"accuracy: {summary['accuracy']:.1%} of {summary['images']} images")


def _folder(data: str, model: Classifier) -> Pictures:
    """The pictures to test with, else to validate with, else all of a folder; says what was found."""
    size: Any = model.image_size
    if model.imagenet:
        pictures = _imagenet_pictures(data, size, model.model.outputs[0].shape[1], model.crop)
    else:
        layout = find_layout(data, model.class_names)
        found = scan.scan(layout.to_measure(), model.class_names, left_out=layout.left_out)
        pictures = Pictures(
            found.files, found.labels, found.class_names, size, _BATCH, inventory=found, crop=model.crop
        )
    say(str(pictures.inventory))
    return pictures


def _imagenet_pictures(data: str, size: Size, outputs: int, crop: Crop | None) -> Pictures:
    """The pictures of a folder whose folders are called as classes of ImageNet, by id or by name."""
    classes = [("background", "background")] * (outputs - 1000) + labels.imagenet_classes()
    alike = Counter(name for _, name in classes)  # there are two cranes and two maillots
    names = [name if alike[name] == 1 else f"{name} {identity}" for identity, name in classes]
    known = {name: label for label, (identity, _) in enumerate(classes) for name in (identity, names[label])}
    layout = find_layout(data, known)
    path = layout.to_measure()
    present = [folder.name for folder in scan.folders(path)]
    for folder in present:
        if folder not in known:
            meant = [identity for identity, name in classes if name == folder] or get_close_matches(folder, known, 1)
            raise ValueError(
                f"{folder!r} in {str(path)!r} must be the id or the name of a class of ImageNet, such as "
                f"{' or '.join(classes[-1])}." + (f" Did you mean {' or '.join(map(repr, meant))}?" if meant else "")
            )
    found = scan.scan(path, present or None, left_out=layout.left_out)
    own = [known[found.class_names[label]] for label in found.labels]
    return Pictures(found.files, own, names, size, _BATCH, inventory=found, crop=crop)


def _met(result: Evaluation) -> Evaluation:
    """The same with those classes alone that a picture is of, or was taken for."""
    met = np.union1d(result.labels, result.predicted)
    names = tuple(result.class_names[label] for label in met)
    return Evaluation(names, np.searchsorted(met, result.labels), result.scores[:, met])
