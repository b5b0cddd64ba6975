"""The folder of a training run: its files, `run.json`, the report, and which run may write there."""

import json
import platform
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras

from keras_resnet.data.check import Checked
from keras_resnet.data.datasets import Pictures, Splits
from keras_resnet.models.description import Task
from keras_resnet.training.calibration import Calibration
from keras_resnet.training.evaluation import AnyEvaluation, in_digits
from keras_resnet.utils.errors import enumerate_some
from keras_resnet.utils.files import write_csv, write_text
from keras_resnet.utils.progress import say
from keras_resnet.version import __version__

MODEL, LABELS, HISTORY, RUN, STATE = "model.keras", "labels.txt", "history.csv", "run.json", ".state.npz"
CHECKED = Checked.NAME
FOLDS = "folds.json"  # what `RUN` is to a folder of several runs, each in one of its own
CURVES, PREDICTIONS, REPORT, IMAGES = "curves.png", "predictions.png", "report.md", "pictures.csv"
MISTAKES, PRECISION_RECALL, CALIBRATION = "mistakes.csv", "precision_recall.png", "calibration.png"
_FIGURES = {  # by task: what each shows, and how to read it
    "confusion.png": ("confusion matrix", ""),
    "labels.png": ("images by label and prediction", ""),
    "scatter.png": ("predicted against true numbers", ""),
    PRECISION_RECALL: (
        "precision by recall",
        "Who wants to find more of the images of a class or label (higher recall) also finds more that are not of it "
        "(lower precision): the nearer a curve stays to the upper right corner, the better, and the area below it is "
        "the average precision.",
    ),
    CALIBRATION: (
        "how often predictions are right, by their probability",
        "Of the predictions with a probability of 80%, 80% should be right: then the dots lie on the dashed line, and "
        "the expected calibration error, their mean distance to it, is 0.",
    ),
}
FILES = (
    *(RUN, STATE, MODEL, LABELS, HISTORY, IMAGES, CURVES),
    *(*_FIGURES, PREDICTIONS, MISTAKES, REPORT, CHECKED),
)

_NAMED = 100  # skipped files in the report
_WRONG = "Look at the first ones: those whose given label the model finds least probable are often labelled wrongly."
_LISTED: dict[Task, str] = {
    "classes": f"the images of the sets above whose class is predicted wrongly. {_WRONG}",
    "labels": f"the images and labels of the sets above that are predicted wrongly. {_WRONG}",
    "regression": "the errors of all images of the sets above, the largest first: where the given number may be wrong.",
}


def claim(out: Path, arguments: Mapping[str, Any], resume: bool, overwrite: bool, record: str = RUN) -> None:
    """Makes the folder this run's, or raises and leaves it as it is.

    Args:
        out: the folder.
        arguments: all that determines the run, as JSON takes it.
        resume: whether to go on where an earlier run was cut off.
        overwrite: whether to delete what an earlier run left; other files stay.
        record: `RUN`, or `FOLDS` for a folder of folds, each of which is a run.

    Raises:
        ValueError: if the folder can't be written, has something in it and is neither to be resumed nor overwritten, or
            what is to be resumed had other arguments.
    """
    check_free(out, resume, overwrite, record)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`out` must be a folder that can be created and written to; {str(out)!r}: {error.strerror}."
        ) from error
    wanted = json.loads(json.dumps(arguments))
    if resume and (out / record).is_file():
        before = read(out, record)
        differing = _differing(before["arguments"], wanted)
        if differing:
            raise ValueError(
                f"The run in {str(out)!r} had other arguments or images: {enumerate_some(differing)}. Resume it with "
                "the same ones, overwrite it, or choose another folder for a new run."
            )
        for text in _differing(before["versions"], versions()):
            say(f"note: {text}; the weights may differ a little from those of an uninterrupted run")
    elif (out / record).is_file() and overwrite:
        for fold in folds_of(out) if record == FOLDS else ():
            _delete(fold)
            if not any(fold.iterdir()):
                fold.rmdir()
        _delete(out)
    for part in _parts(out):
        part.unlink(missing_ok=True)
    if not (out / record).is_file():
        write(out, record, arguments=wanted, versions=versions())


def folds_of(out: Path) -> list[Path]:
    """Returns the folders of the folds in a folder, in order."""
    folders = [path for path in out.glob("fold*") if path.is_dir() and path.name[4:].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name[4:]))


def is_done(out: Path) -> bool:
    """Returns whether a run has come to its end."""
    return (out / RUN).is_file() and "results" in read(out) and not (out / STATE).is_file()


def _delete(out: Path) -> None:
    """Deletes the files of a run."""
    for path in (*_parts(out), *(out / name for name in reversed((FOLDS, *FILES)))):
        path.unlink(missing_ok=True)


def check_free(out: Path, resume: bool, overwrite: bool, record: str = RUN) -> None:
    """Raises a `ValueError` if a folder has something in it that is no run to be resumed or overwritten."""
    if resume and overwrite:
        raise ValueError(
            "`resume` and `overwrite` must not both be True: one continues the run in the folder, the other deletes it."
        )
    has_run = (out / record).is_file()
    for fold in folds_of(out) if record == FOLDS and has_run else ():
        others = set(fold.iterdir()) - {fold / name for name in FILES} - _parts(fold)
        if others and (overwrite or not (fold / RUN).is_file()):
            raise ValueError(f"{str(min(others))!r} was not written by a run. Move it, or choose another folder.")
    if not out.is_dir() or (has_run and (resume or overwrite)) or not set(out.iterdir()) - _parts(out):
        return
    advice = (
        "Resume its run with resume=True, replace it with overwrite=True, or choose another folder"
        if has_run
        else f"It holds no {'run' if record == RUN else 'folds'} that could be resumed or overwritten, so choose "
        "another folder"
    )
    raise ValueError(f"{str(out)!r} is not empty. {advice}.")


def _parts(out: Path) -> set[Path]:
    """What a kill may have left half written."""
    return {out / f".part.{name}" for name in (FOLDS, *FILES)}


def _differing(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two runs' arguments, by name."""
    if isinstance(before, dict) and isinstance(now, dict):
        if before.get("pixels") and now.get("pixels"):  # which tell more than the files
            before, now = ({key: each[key] for key in each if key != "files"} for each in (before, now))
        keys = [*before, *(key for key in now if key not in before)]
        return [text for key in keys for text in _differing(before.get(key), now.get(key), f"{name} {key}".strip())]
    if before == now or (name.endswith(("pixels", "files")) and None in (before, now)):
        return []
    return [f"{name} differ" if name.endswith(("pixels", "files")) else f"{name} was {before!r} and is {now!r}"]


def read(out: Path, record: str = RUN) -> dict[str, Any]:
    """Returns what `run.json`, or another record, holds."""
    try:
        found: dict[str, Any] = json.loads((out / record).read_text(encoding="utf-8"))
        found["arguments"].keys(), found["versions"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{str(out / record)!r} was not written by a training run, or is damaged: {error}. Choose another folder, "
            "or overwrite the run."
        ) from error
    return found


def write(out: Path, record: str = RUN, **content: Any) -> None:
    """Adds to `run.json`, or another record."""
    before = read(out, record) if (out / record).is_file() else {}
    write_text(out / record, json.dumps(before | content, indent=2, ensure_ascii=False) + "\n")


def describe(sides: Mapping[str, Pictures]) -> dict[str, Any]:
    """Returns for each split its images per class, and hashes of all labels and pixels or files, as JSON can hold them.

    A run whose images were checked less or more is compared by the files: their paths and sizes.
    """
    found = {}
    for side, part in sides.items():
        scan = part.inventory
        hashes = {
            "pixels": part.hashes() if scan is None or all(scan.hashes) else None,
            "files": part.hashes(shown=False) if scan else None,
        }
        found[side] = {
            "classes": {name: _count(part, index) for index, name in enumerate(part.class_names)},
            **{kind: each and _digest(each, part) for kind, each in hashes.items()},
        }
    return found


def _digest(hashes: Sequence[str], part: Pictures) -> str:
    """A hash of images' hashes and of their labels."""
    return sha256("".join(hashes).encode() + part.labels.tobytes()).hexdigest()


def _count(part: Pictures, index: int) -> int | float:
    """How many images are of a class or have a label; the mean of numbers."""
    if part.task == "regression":
        return float(part.labels[:, index].mean())
    return int((part.labels == index).sum() if part.task == "classes" else part.labels[:, index].sum())


def write_pictures(out: Path, data: Splits) -> None:
    """Writes `pictures.csv`, a table of all images with their side, which `keras_resnet.data.table` reads again."""
    (first, *_) = data.sides().values()
    grouped = first.groups is not None
    names = ["label"] if first.task == "classes" else list(first.class_names)
    path, told, group = (_unlike(name, names) for name in ("path", "side", "group"))
    rows = [[path, told, *names, *([group] if grouped else [])]]
    for side, part in data.sides().items():
        for index, row in enumerate(part.labels):
            cells = [part.class_names[row]] if part.task == "classes" else list(map(in_digits, row))
            rows.append([part.path(index), side, *cells, *([part.groups[index]] if part.groups else [])])
    write_csv(out / IMAGES, rows)


def _unlike(name: str, others: Sequence[str]) -> str:
    """A name of a column that no label has."""
    while name in others:
        name += "_"
    return name


def write_checked(out: Path, sides: Mapping[str, Pictures]) -> None:
    """Writes what was checked of the images, which a resume uses."""
    found = {id(part.inventory.checked): part.inventory.checked for part in sides.values() if part.inventory}
    for checked in found.values():
        if checked:
            checked.save(out / CHECKED)


def skipped(data: Splits) -> dict[str, str]:
    """Returns the files that could not be used, with the reason."""
    found = {part.inventory.root: part.inventory for part in data.sides().values() if part.inventory}
    return {str(file): why for inventory in found.values() for file, why in inventory.skipped.items()}


def versions() -> dict[str, str]:
    """What the run's numbers depend on besides its arguments."""
    found = {"python": platform.python_version(), "keras_resnet": __version__}
    for package in ("keras", "numpy", "pillow", keras.backend.backend()):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # such as tensorflow, which has several names
            found[package] = "unknown"
    return found


def report(
    out: Path,
    title: str,
    lines: Sequence[str],
    evaluations: Mapping[str, AnyEvaluation],
    calibration: Calibration | None,
    data: Splits,
) -> None:
    """Writes `report.md`, which shows the figures and metrics of the run.

    Args:
        out: the run's folder.
        title: a heading.
        lines: what to say first, each a sentence.
        evaluations: by side, what the best model does.
        calibration: of a classifier, on the validation images.
        data: what was trained with.
    """
    text = [f"# {title}", "", *(f"- {line}" for line in lines), ""]
    for side, evaluation in evaluations.items():
        found = evaluation.summary()
        top_5 = f" Top-5 accuracy: {found['top_5_accuracy']:.1%}." if "top_5_accuracy" in found else ""
        says = evaluation.headline()
        head, rows = evaluation.table()
        text += [
            f"## {side.capitalize()}",
            "",
            f"{says[0].upper()}{says[1:]}.{top_5}",
            "",
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
            *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
            "",
        ]
    text += [
        "## Figures",
        "",
        f"![loss and metric by epoch]({CURVES})",
        "",
    ]
    for name, (shows, means) in _FIGURES.items():
        if (out / name).is_file():
            text += [f"![{shows}]({name})", "", *([means, ""] if means else [])]
    if calibration:
        text += [" ".join(calibration.sentences()), ""]
    text += [
        f"![images with what is predicted of them]({PREDICTIONS})",
        "",
        "## Mistakes",
        "",
        f"[{MISTAKES}]({MISTAKES}) lists {_LISTED[data.training.task]}",
        "",
    ]
    if files := skipped(data):
        lines = [f"- `{_cell(file)}`: {why}" for file, why in files.items()]
        more = [f"- and {len(lines) - _NAMED} more, which `{RUN}` lists"] if len(lines) > _NAMED else []
        text += ["## Skipped files", "", *lines[:_NAMED], *more, ""]
    if data.leaks:
        leaks = (f"- {' = '.join(f'`{_cell(str(file))}`' for file in same)}" for same in data.leaks)
        text += [
            "## Images in two splits",
            "",
            "These images lie in two of the splits, so the measured accuracy is too high.",
            "",
            *leaks,
            "",
        ]
    text += ["## Use", "", "```sh", f"keras-resnet predict {MODEL} IMAGE", "```", ""]
    write_text(out / REPORT, "\n".join(text))


def _cell(text: str) -> str:
    """The text as a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())
