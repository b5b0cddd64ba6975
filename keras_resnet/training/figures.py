"""Figures of training runs and benchmarks, as PNG: curves, confusion matrix, mistakes, ratios."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.data.decode import decode
from keras_resnet.training.evaluation import Evaluation
from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.files import atomic_file

_RIGHT, _WRONG = "#1b7837", "#b2182b"
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei")


def draw_curves(
    history: Mapping[str, Sequence[float]], path: str | os.PathLike[str], phases: Sequence[int] = ()
) -> None:
    """Draws loss and accuracy by epoch: thin lines for training, bold ones for validation.

    Args:
        history: `model.fit(...).history`: `loss`, `val_loss`, `accuracy` and `val_accuracy` by epoch.
        path: a PNG file.
        phases: the number of epochs done when each later phase of training began; drawn as dotted lines.
    """
    ticker = import_optional("matplotlib.ticker")
    figure = _figure(9, 3.5)
    places = {"loss": "upper right", "accuracy": "lower right"}
    for axes, (metric, place) in zip(figure.subplots(1, 2), places.items(), strict=True):
        epochs = range(1, len(history[metric]) + 1)
        mark = "." if len(epochs) == 1 else None
        axes.plot(epochs, history[metric], "C0", marker=mark, linewidth=1, label="training")
        axes.plot(epochs, history[f"val_{metric}"], "C1", marker=mark, linewidth=2.5, label="validation")
        for begins in phases:
            axes.axvline(begins + 0.5, color="gray", linestyle=":")
        axes.set(title=metric, xlabel="epoch")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(loc=place)
    if max(*history["loss"], *history["val_loss"]) > 0:
        figure.axes[0].set_yscale("log")
        losses = figure.axes[0].yaxis
        losses.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
        losses.set_major_formatter("{x:g}")
        losses.set_minor_formatter("{x:g}")
    figure.axes[1].set_ylim(top=1.01)
    _save(figure, path)


def draw_confusion(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Draws the confusion matrix: counts of images by true class (row) and predicted class (column).

    Colours show the share of the true class. With up to 20 classes, the cells show the counts.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns.
        path: a PNG file.
    """
    counts = evaluation.confusion
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    classes = len(counts)
    side = min(max(4.0, 2 + 0.4 * classes), 16)
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
    bar.set_label("share of the true class")
    names = [_short(name, 24) for name in evaluation.class_names]
    size = float(np.clip(72 * 0.55 * side / classes, 3, 10))
    axes.set_xticks(range(classes), names, rotation=90 if sum(map(len, names)) > 5 * side else 0, fontsize=size)
    axes.set_yticks(range(classes), names, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"accuracy: {evaluation.accuracy():.1%} of {len(evaluation.labels)} images", fontsize=11)
    if classes <= 20:
        for row, column in zip(*counts.nonzero(), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=size)
    _save(figure, path)


def draw_predictions(evaluation: Evaluation, data: Pictures, path: str | os.PathLike[str], count: int = 24) -> None:
    """Draws images with their true and their predicted class, the worst mistakes first.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returned for the data.
        data: the images.
        path: a PNG file.
        count: how many to draw, at most.
    """
    Image, ImageOps = import_optional("PIL.Image"), import_optional("PIL.ImageOps")
    chosen = evaluation.worst()[:count]
    columns = min(6, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = _figure(2.1 * columns, 2.75 * rows + 0.4)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    for axes, index in zip(cells, chosen, strict=False):
        picture = decode(data.pictures[index], (400, 400))
        filtering = Image.Resampling.NEAREST if max(picture.size) < 40 else Image.Resampling.BICUBIC
        axes.imshow(ImageOps.pad(picture, (200, 200), filtering, "white"))
        true, predicted = evaluation.labels[index], evaluation.predicted[index]
        names = [_short(evaluation.class_names[label], 22) for label in (true, predicted)]
        says = f"{names[1]} {evaluation.scores[index, predicted]:.0%}"
        right = true == predicted
        axes.set_title(says if right else f"{says}\ntrue: {names[0]}", fontsize=8, color=_RIGHT if right else _WRONG)
    wrong = int((evaluation.predicted != evaluation.labels).sum())
    figure.suptitle(
        f"{wrong} of {len(evaluation.labels)} images are wrong. Wrong ones come first, from the most confident.",
        fontsize=9 if columns > 3 else 6,
    )
    _save(figure, path)


def draw_ratios(panels: Mapping[str, Mapping[str, tuple[float, float, float]]], path: str | os.PathLike[str]) -> None:
    """Draws the speed of each contender of a benchmark relative to the baseline: bars with quartiles as whiskers.

    Args:
        panels: by title, and in it by contender: median, lower and upper quartile.
        path: a PNG file.
    """
    bars = [len(ratios) for ratios in panels.values()]
    figure = _figure(8, sum(0.35 * count + 0.9 for count in bars))
    cells = figure.subplots(len(panels), 1, squeeze=False, height_ratios=bars).ravel()
    for axes, (title, ratios) in zip(cells, panels.items(), strict=True):
        median, low, high = np.transpose(list(ratios.values()))
        axes.barh(list(ratios), median, xerr=(median - low, high - median), color="C0", ecolor="black", capsize=3)
        axes.axvline(1, color="gray", linestyle=":")
        axes.invert_yaxis()
        axes.set_title(title, fontsize=9)
        axes.grid(axis="x", alpha=0.3)
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    """A figure of so many inches."""
    import_optional("matplotlib")
    return import_optional("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Writes a PNG, in fonts that have as many scripts as can be had."""
    fonts = import_optional("matplotlib.font_manager")
    have = {font.name for font in fonts.fontManager.ttflist}
    for text in figure.findobj(import_optional("matplotlib.text").Text):
        text.set_fontfamily([name for name in _FONTS if name in have])
    with warnings.catch_warnings(), atomic_file(Path(path)) as part:
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(part, dpi=120, format="png", bbox_inches="tight")


def _short(name: str, most: int) -> str:
    """A name on one line, with its middle left out if it is long."""
    name = " ".join(name.encode(errors="backslashreplace").decode().split())
    cut = name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"
    return cut.replace("$", r"\$")  # else it would be mathematics
