"""The command `evaluate`: how well a model does on pictures whose classes, labels or numbers are known."""

import argparse
import json
import os
from collections import Counter
from difflib import get_close_matches
from typing import Any

import numpy as np

from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.data import TABLE_OPTIONS, columns_of, kind_of_data
from keras_resnet.cli.load_model import Classifier, classes_of, load_classifier
from keras_resnet.cli.table import print_table
from keras_resnet.data import datasets, scan
from keras_resnet.data.check import Checked
from keras_resnet.data.decode import Size
from keras_resnet.data.layout import find_layout
from keras_resnet.data.pictures import Pictures
from keras_resnet.data.read import Reader
from keras_resnet.data.tables import read_rows
from keras_resnet.training import figures, run_folder
from keras_resnet.training.evaluation import AnyEvaluation, Evaluation, evaluate
from keras_resnet.training.findings import write_findings
from keras_resnet.utils.errors import did_you_mean, near_path
from keras_resnet.utils.progress import say

_BATCH = 32  # pictures taken at once


def run(args: argparse.Namespace) -> None:
    """Says how well a trained model does on pictures of which it is known what it should say."""
    kind = kind_of_data(args.data)
    if args.model in list_weights() and kind == "folder" and not os.path.lexists(args.data):  # said before a download
        raise ValueError(f"`DATA` must be a folder of images; there is no folder {args.data!r}.{near_path(args.data)}")
    found = load_classifier(args)
    for name in TABLE_OPTIONS:
        if getattr(args, name) and kind != "table":
            raise ValueError(f"`{name}` is for tables; leave it out, with {args.data!r}.")
    if found.task != "classes" and kind != "table":
        raise ValueError(f"{args.model!r} is of the task {found.task!r}, for which DATA must be a table.")
    if found.image_size is None:
        raise ValueError(f"{args.model!r} takes images of any size; say which with --image-size.")
    if kind == "digits":
        pictures = datasets.digits(found.image_size, _BATCH)
    else:
        pictures = _table(args, found) if kind == "table" else _folder(args.data, found)
    pictures = pictures.with_(**found.settings)
    if not (found.class_names or found.published):
        say(f"note: {args.model} holds no class names; those of DATA are taken, in alphabetical order")
    result = evaluate(found.model, pictures)
    shown = _met(result) if found.published and isinstance(result, Evaluation) else result
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        figures.draw_evaluation(shown, args.out)
        figures.draw_predictions(shown, pictures, args.out / run_folder.PREDICTIONS)
        write_findings(args.out, {"": result}, {"": pictures})
    if args.json:
        print(json.dumps(_json(result, shown), indent=2, ensure_ascii=False))
        return
    head, rows = shown.table()
    if found.published:  # of its classes, a thousand or more, only those that there are
        rows = [row for row in rows if row[-1] != "0"]
    print_table(head, rows)
    if isinstance(shown, Evaluation):
        _print_confused(shown)
    summary = result.summary()
    if "top_5_accuracy" in summary:
        print(f"top-5 accuracy: {summary['top_5_accuracy']:.1%}")
    print(result.headline())
    if (row := list_weights().get(args.model)) and row.top1:
        top1 = row.top1 if args.size == "train" else row.best_top1
        print(f"published for these weights: {top1:.1f}% of ImageNet's validation images")


def _json(result: AnyEvaluation, shown: AnyEvaluation) -> dict[str, Any]:
    """All that is known, as JSON can hold it."""
    if isinstance(shown, Evaluation):
        return result.summary() | {"classes": shown.by_class(), "confusion": shown.confusion.tolist()}
    return result.summary()


def _print_confused(shown: Evaluation) -> None:
    """Prints which classes are most often taken for which."""
    confused = shown.confusion * (1 - np.eye(len(shown.class_names), dtype=int))
    for flat in np.argsort(-confused, axis=None, kind="stable")[: min(10, np.count_nonzero(confused))]:
        true, predicted = np.unravel_index(flat, confused.shape)
        count = confused[true, predicted]
        print(f"{count} of {shown.class_names[true]} predicted as {shown.class_names[predicted]}")


def _table(args: argparse.Namespace, model: Classifier) -> Pictures:
    """The pictures of a table: of its side to test with, else to validate with, else all."""
    size: Any = model.image_size
    names: Any = model.class_names
    if model.published:
        raise ValueError("Published models are evaluated on folders that are called as their classes.")
    for name in ("label_column", "separator"):
        if model.task == "regression" and getattr(args, name):
            raise ValueError(
                f"`{name}` is for models of classes or labels; {args.model!r} is of the task 'regression'."
            )
    columns = columns_of(args, tuple(names or ()) if model.task == "regression" else ())
    task = model.task if model.class_names else None
    rows = read_rows(args.data, columns, task, None if model.task == "regression" else names)
    side = next((side for side in ("test", "validation", "training") if side in (rows.sides or ())), None)
    pictures, _ = datasets.of_table(args.data, rows, Reader(size, **model.settings), side=side)
    return pictures.with_(batch_size=_BATCH, crop=model.crop)


def _folder(data: str, model: Classifier) -> Pictures:
    """The pictures to test with, else to validate with, else all of a folder; says what was found."""
    size: Any = model.image_size
    if model.published:
        pictures = _published_pictures(data, size, model)
    else:
        layout = find_layout(data, model.class_names)
        found = scan.scan(
            layout.to_measure(), model.class_names, left_out=layout.left_out, checked=Checked(model.reader)
        )
        pictures = Pictures(
            found.files, found.labels, found.class_names, size, _BATCH, inventory=found, crop=model.crop
        )
    say(str(pictures.inventory))
    return pictures


def _published_pictures(data: str, size: Size, model: Classifier) -> Pictures:
    """The pictures of a folder whose folders are called as classes of published weights, by id or by name."""
    classes = classes_of(model)
    alike = Counter(name for _, name in classes)  # there are two cranes and two maillots
    names = [name if alike[name] == 1 else f"{name} {identity}" for identity, name in classes]
    known = {name: label for label, (identity, _) in enumerate(classes) for name in (identity, names[label])}
    layout = find_layout(data, known)
    path = layout.to_measure()
    present = [folder.name for folder in scan.folders(path)]
    for folder in present:
        if folder not in known:
            meant = [identity for identity, name in classes if name == folder] or get_close_matches(folder, known, 1)
            such = " or ".join(dict.fromkeys(classes[-1]))  # of some, both are the number
            raise ValueError(
                f"{folder!r} in {str(path)!r} must be the id or the name of a class of the model, such as {such}."
                f"{did_you_mean(meant)}"
            )
    found = scan.scan(path, present or None, left_out=layout.left_out)
    own = [known[found.class_names[label]] for label in found.labels]
    return Pictures(found.files, own, names, size, _BATCH, inventory=found, crop=model.crop)


def _met(result: Evaluation) -> Evaluation:
    """The same with those classes alone that a picture is of, or was taken for."""
    met = np.union1d(result.labels, result.predicted)
    names = tuple(result.class_names[label] for label in met)
    return Evaluation(names, np.searchsorted(met, result.labels), result.scores[:, met])
