"""The folder of a training run: whose it is, what it was asked for, and what it says at the end."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_resnet
from keras_resnet.data import Pictures, Splits
from keras_resnet.evaluation import Evaluation
from keras_resnet.files import write_text

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
        ValueError: if the folder has something in it and is neither to be resumed nor overwritten, or what is to be
            resumed had other arguments.
        OSError: if the folder can't be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for part in out.glob(".part.*"):  # what a kill left half written
            part.unlink()
    except OSError as error:
        raise ValueError(f"--out must be a folder that can be written; {str(out)!r}: {error.strerror}.") from error
    wanted = json.loads(json.dumps(arguments))
    if resume and (out / RUN).is_file():
        differing = _differing(read(out)["arguments"], wanted)
        if differing:
            raise ValueError(
                f"The run in {str(out)!r} was another: {'; '.join(differing)}. Resume it with the same arguments and "
                "pictures, or start a new one with --overwrite or another --out."
            )
        return
    if any(out.iterdir()):
        if not overwrite:
            raise ValueError(
                f"{str(out)!r} is not empty. Pass --resume to go on with its run, --overwrite to delete that run, "
                "or another --out."
            )
        for name in FILES:
            (out / name).unlink(missing_ok=True)
    write(out, arguments=wanted, versions=_versions())


def _differing(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two runs' arguments, by name."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        return [text for key in keys for text in _differing(before.get(key), now.get(key), f"{name} {key}".strip())]
    return [] if before == now else [f"{name} was {before!r} and is {now!r}"]


def read(out: Path) -> dict[str, Any]:
    """What `run.json` holds."""
    try:
        found: dict[str, Any] = json.loads((out / RUN).read_text(encoding="utf-8"))
        found["arguments"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(out / RUN)!r} is not what a run left: {error}") from error
    return found


def write(out: Path, **content: Any) -> None:
    """Adds to `run.json`."""
    before = read(out) if (out / RUN).is_file() else {}
    write_text(out / RUN, json.dumps(before | content, indent=2, ensure_ascii=False) + "\n")


def describe(data: Splits) -> dict[str, Any]:
    """Pictures by side and class, what was skipped, and a hash of all that is shown, as JSON takes it."""
    parts = {"training": data.training, "validation": data.validation, "test": data.test}
    found: dict[str, Any] = {
        side: {name: int((part.labels == index).sum()) for index, name in enumerate(part.class_names)}
        for side, part in parts.items()
        if part is not None
    }
    inventories = {part.inventory.root: part.inventory for part in parts.values() if part and part.inventory}
    found["pixels"] = [inventory.digest for inventory in inventories.values()] or [
        _digest(part) for part in parts.values() if part is not None
    ]
    found["skipped"] = {str(file): why for inventory in inventories.values() for file, why in inventory.skipped.items()}
    found["leaks"] = [[str(file) for file in same] for same in data.leaks]
    return found


def _digest(pictures: Pictures) -> str:
    """A hash of arrays, or names of files, and classes."""
    content = hashlib.sha256(pictures.labels.tobytes())
    for picture in pictures.pictures:
        content.update(picture.tobytes() if isinstance(picture, np.ndarray) else os.fsencode(picture))
    return content.hexdigest()


def _versions() -> dict[str, str]:
    """What the run's numbers depend on besides its arguments."""
    found = {"python": platform.python_version(), "keras_resnet": keras_resnet.__version__}
    for package in ("keras", "numpy", "pillow", keras.backend.backend()):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # such as tensorflow, which has several names
            found[package] = "unknown"
    return found


def report(out: Path, title: str, lines: Sequence[str], evaluations: Mapping[str, Evaluation], data: Splits) -> None:
    """Writes `report.md`, which shows the run's pictures and numbers.

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
        top_5 = f", {found['top_5_accuracy']:.1%} among the first five" if "top_5_accuracy" in found else ""
        text += [
            f"## {side.capitalize()}",
            "",
            f"{found['accuracy']:.1%} of {found['pictures']} pictures are right{top_5}.",
            "",
            "| class | precision | recall | pictures |",
            "|---|---|---|---|",
            *(
                f"| {_cell(row['class'])} | {row['precision']:.1%} | {row['recall']:.1%} | {row['pictures']} |"
                for row in found["classes"]
            ),
            "",
        ]
    text += [
        "## Pictures",
        "",
        f"![loss and accuracy by epoch]({CURVES})",
        "",
        f"![true and predicted classes]({CONFUSION})",
        "",
        f"![pictures with their predictions]({PREDICTIONS})",
        "",
    ]
    content = describe(data)
    if content["skipped"]:
        skipped = (f"- `{_cell(file)}`: {why}" for file, why in content["skipped"].items())
        text += ["## Skipped", "", *skipped, ""]
    if content["leaks"]:
        leaks = (f"- {' = '.join(f'`{_cell(file)}`' for file in same)}" for same in content["leaks"])
        text += ["## On two sides of the split", "", "Validation flatters by these.", "", *leaks, ""]
    text += ["## Use", "", "```sh", f"keras-resnet predict {MODEL} PICTURE", "```", ""]
    write_text(out / REPORT, "\n".join(text))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
