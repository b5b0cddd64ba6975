"""The folder of a training run: its files, `run.json`, the report, and which run may write there."""

import json
import platform
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras

from keras_resnet.data.datasets import Splits
from keras_resnet.training.evaluation import Evaluation
from keras_resnet.utils.errors import enumerate_some
from keras_resnet.utils.files import write_text
from keras_resnet.utils.progress import say
from keras_resnet.version import __version__

MODEL, LABELS, HISTORY, RUN, STATE = "model.keras", "labels.txt", "history.csv", "run.json", ".state.npz"
CURVES, CONFUSION, PREDICTIONS, REPORT = "curves.png", "confusion.png", "predictions.png", "report.md"
FILES = (RUN, STATE, MODEL, LABELS, HISTORY, CURVES, CONFUSION, PREDICTIONS, REPORT)


def claim(out: Path, arguments: Mapping[str, Any], resume: bool, overwrite: bool) -> None:
    """Makes the folder this run's, or raises and leaves it as it is.

    Args:
        out: the folder.
        arguments: all that determines the run, as JSON takes it.
        resume: whether to go on where an earlier run was cut off.
        overwrite: whether to delete what an earlier run left; other files stay.

    Raises:
        ValueError: if the folder can't be written, has something in it and is neither to be resumed nor overwritten, or
            what is to be resumed had other arguments.
    """
    check_free(out, resume, overwrite)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"`out` must be a folder that can be created and written to; {str(out)!r}: {error.strerror}."
        ) from error
    wanted = json.loads(json.dumps(arguments))
    if resume and (out / RUN).is_file():
        before = read(out)
        differing = _differing(before["arguments"], wanted)
        if differing:
            raise ValueError(
                f"The run in {str(out)!r} had other arguments or images: {enumerate_some(differing)}. Resume it with "
                "the same ones, overwrite it, or choose another folder for a new run."
            )
        for text in _differing(before["versions"], _versions()):
            say(f"note: {text}; the weights may differ a little from those of an uninterrupted run")
    elif (out / RUN).is_file() and overwrite:
        for name in reversed(FILES):
            (out / name).unlink(missing_ok=True)
    for part in _parts(out):
        part.unlink(missing_ok=True)
    if not (out / RUN).is_file():
        write(out, arguments=wanted, versions=_versions())


def check_free(out: Path, resume: bool, overwrite: bool) -> None:
    """Raises a `ValueError` if a folder has something in it that is no run to be resumed or overwritten."""
    if resume and overwrite:
        raise ValueError(
            "`resume` and `overwrite` must not both be True: one continues the run in the folder, the other deletes it."
        )
    has_run = (out / RUN).is_file()
    if not out.is_dir() or (has_run and (resume or overwrite)) or not set(out.iterdir()) - _parts(out):
        return
    advice = (
        "Resume its run with resume=True, replace it with overwrite=True, or choose another folder"
        if has_run
        else "It holds no run that could be resumed or overwritten, so choose another folder"
    )
    raise ValueError(f"{str(out)!r} is not empty. {advice}.")


def _parts(out: Path) -> set[Path]:
    """What a kill may have left half written."""
    return {out / f".part.{name}" for name in FILES}


def _differing(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two runs' arguments, by name."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        return [text for key in keys for text in _differing(before.get(key), now.get(key), f"{name} {key}".strip())]
    if before == now:
        return []
    return [f"{name} differ" if name.endswith("pixels") else f"{name} was {before!r} and is {now!r}"]


def read(out: Path) -> dict[str, Any]:
    """Returns what `run.json` holds."""
    try:
        found: dict[str, Any] = json.loads((out / RUN).read_text(encoding="utf-8"))
        found["arguments"].keys(), found["versions"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{str(out / RUN)!r} was not written by a training run, or is damaged: {error}. Choose another folder, or "
            "overwrite the run."
        ) from error
    return found


def write(out: Path, **content: Any) -> None:
    """Adds to `run.json`."""
    before = read(out) if (out / RUN).is_file() else {}
    write_text(out / RUN, json.dumps(before | content, indent=2, ensure_ascii=False) + "\n")


def describe(data: Splits) -> dict[str, Any]:
    """Returns for each split its images per class, and a hash of all labels and pixels, as JSON can hold them."""
    return {
        side: {
            "classes": {name: int((part.labels == index).sum()) for index, name in enumerate(part.class_names)},
            "pixels": sha256("".join(part.hashes()).encode() + part.labels.tobytes()).hexdigest(),
        }
        for side, part in data.sides().items()
    }


def skipped(data: Splits) -> dict[str, str]:
    """Returns the files that could not be used, with the reason."""
    found = {part.inventory.root: part.inventory for part in data.sides().values() if part.inventory}
    return {str(file): why for inventory in found.values() for file, why in inventory.skipped.items()}


def _versions() -> dict[str, str]:
    """What the run's numbers depend on besides its arguments."""
    found = {"python": platform.python_version(), "keras_resnet": __version__}
    for package in ("keras", "numpy", "pillow", keras.backend.backend()):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # such as tensorflow, which has several names
            found[package] = "unknown"
    return found


def report(out: Path, title: str, lines: Sequence[str], evaluations: Mapping[str, Evaluation], data: Splits) -> None:
    """Writes `report.md`, which shows the figures and metrics of the run.

    Args:
        out: the run's folder.
        title: a heading.
        lines: what to say first, each a sentence.
        evaluations: by side, what the best model does.
        data: what was trained with.
    """
    text = [f"# {title}", "", *(f"- {line}" for line in lines), ""]
    for side, evaluation in evaluations.items():
        found = evaluation.summary()
        top_5 = f" Top-5 accuracy: {found['top_5_accuracy']:.1%}." if "top_5_accuracy" in found else ""
        text += [
            f"## {side.capitalize()}",
            "",
            f"Accuracy: {found['accuracy']:.1%} of {found['images']} images.{top_5}",
            "",
            "| class | precision | recall | images |",
            "|---|---|---|---|",
            *(
                f"| {_cell(row['class'])} | {row['precision']:.1%} | {row['recall']:.1%} | {row['images']} |"
                for row in found["classes"]
            ),
            "",
        ]
    text += [
        "## Figures",
        "",
        f"![loss and accuracy by epoch]({CURVES})",
        "",
        f"![confusion matrix]({CONFUSION})",
        "",
        f"![images with their predicted classes]({PREDICTIONS})",
        "",
    ]
    if files := skipped(data):
        text += ["## Skipped files", "", *(f"- `{_cell(file)}`: {why}" for file, why in files.items()), ""]
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
