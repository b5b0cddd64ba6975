"""Figures of training runs and benchmarks, as PNG: curves, confusion matrix, mistakes, ratios."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.training.calibration import Calibration
from keras_resnet.training.evaluation import (
    AnyEvaluation,
    Evaluation,
    LabelsEvaluation,
    RegressionEvaluation,
    number,
    short,
)
from keras_resnet.training.precision_recall import RECALLS, curves_of
from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.files import atomic_file

_RIGHT, _WRONG, _LIGHT = "#1b7837", "#b2182b", "#a6dba0"
_FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei")


def draw_curves(
    history: Mapping[str, Sequence[float]], path: str | os.PathLike[str], phases: Sequence[int] = ()
) -> None:
    """Draws loss and the metric by epoch: thin lines for training, bold ones for validation.

    Example:

        history = model.fit(images, labels, validation_data=(images, labels), epochs=2).history
        keras_resnet.figures.draw_curves(history, "curves.png")

    Args:
        history: `model.fit(...).history`: `loss` and `val_loss` by epoch, and `accuracy` and `val_accuracy` or another
            metric, which may be of validation alone.
        path: a PNG file.
        phases: the number of epochs done when each later phase of training began; drawn as dotted lines.
    """
    ticker = import_optional("matplotlib.ticker")
    figure = _figure(9, 3.5)
    metrics = [name.removeprefix("val_") for name in history if name.startswith("val_") and name != "val_loss"]
    metric = "accuracy" if "accuracy" in metrics else (metrics or ["loss"])[0]
    for axes, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        epochs = range(1, len(history[f"val_{name}"]) + 1)
        mark = "." if len(epochs) == 1 else None
        if name in history:
            axes.plot(epochs, history[name], "C0", marker=mark, linewidth=1, label="training")
        axes.plot(epochs, history[f"val_{name}"], "C1", marker=mark, linewidth=2.5, label="validation")
        for begins in phases:
            axes.axvline(begins + 0.5, color="gray", linestyle=":")
        axes.set(title=name.replace("_", " "), xlabel="epoch")
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right" if name.endswith(("loss", "error")) else "lower right")
    if max(*history["loss"], *history["val_loss"]) > 0:
        figure.axes[0].set_yscale("log")
        losses = figure.axes[0].yaxis
        losses.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
        losses.set_major_formatter("{x:g}")
        losses.set_minor_formatter("{x:g}")
    if not metric.endswith(("loss", "error")):
        figure.axes[1].set_ylim(top=1.01)
    _save(figure, path)


def draw_confusion(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Draws the confusion matrix: counts of images by true class (row) and predicted class (column).

    Example:

        evaluation = keras_resnet.evaluation.evaluate(model, validation)
        keras_resnet.figures.draw_confusion(evaluation, "confusion.png")

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
    names = [_plain(name, 24) for name in evaluation.class_names]
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


def draw_evaluation(evaluation: AnyEvaluation, folder: Path) -> Path:
    """Draws the figure that suits a task: `confusion.png`, of labels `labels.png`, of numbers `scatter.png`.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns.
        folder: where the PNG file is written.

    Returns:
        The file.
    """
    if isinstance(evaluation, Evaluation):
        draw_confusion(evaluation, path := folder / "confusion.png")
    elif isinstance(evaluation, LabelsEvaluation):
        draw_labels(evaluation, path := folder / "labels.png")
    else:
        draw_scatter(evaluation, path := folder / "scatter.png")
    return path


def draw_labels(evaluation: LabelsEvaluation, path: str | os.PathLike[str]) -> None:
    """Draws for each label how many images have it and are predicted to: found, missed, and predicted wrongly.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns for several labels an image.
        path: a PNG file.
    """
    rows = evaluation.by_class()
    height = min(2 + 0.3 * len(rows), 40)
    figure = _figure(9, height)
    axes = figure.subplots()
    places = np.arange(len(rows))
    hits, wrong, missed = (
        np.array([row[f"{kind}s"] for row in rows]) for kind in ("true_positive", "false_positive", "false_negative")
    )
    axes.barh(places, hits, color=_RIGHT, label="has it, predicted")
    axes.barh(places, missed, left=hits, color=_LIGHT, label="has it, not predicted")
    axes.barh(places, -wrong, color=_WRONG, label="does not have it, predicted")
    size = float(np.clip(72 * 0.6 * height / max(len(rows), 1), 3, 9))
    axes.set_yticks(places, [_plain(row["class"], 30) for row in rows], fontsize=size)
    axes.set_xlabel("images (wrong predictions to the left)")
    axes.xaxis.set_major_locator(import_optional("matplotlib.ticker").MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_title(f"{evaluation.headline()}, threshold {evaluation.threshold:g}", fontsize=9)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    _save(figure, path)


def draw_scatter(evaluation: RegressionEvaluation, path: str | os.PathLike[str]) -> None:
    """Draws predicted against true numbers, a panel for each target.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns for numbers.
        path: a PNG file.
    """
    ticker = import_optional("matplotlib.ticker")
    rows = evaluation.by_target()
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure = _figure(3.6 * columns, 3.6 * lines)
    cells = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in cells[len(rows) :]:
        axes.axis("off")
    for place, (axes, row) in enumerate(zip(cells, rows, strict=False)):
        true, said = evaluation.labels[:, place], evaluation.scores[:, place]
        axes.plot(true, said, ".", color="C0", alpha=float(np.clip(200 / len(true), 0.1, 0.8)), markeredgewidth=0)
        ends = [min(true.min(), said.min()), max(true.max(), said.max())]
        axes.plot(ends, ends, color="gray", linestyle=":")
        r2 = "" if row["r2"] is None else f", R2 {row['r2']:.3f}"
        name = _plain(row["target"], 28)
        axes.set_title(f"{name}\nMAE {number(row['mean_absolute_error'])}{r2}", fontsize=9)
        axes.set(xlabel="true", ylabel="predicted")
        axes.tick_params(labelsize=8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(4))
            axis.set_major_formatter("{x:.6g}")
        axes.grid(alpha=0.3)
    _save(figure, path)


def draw_precision_recall(evaluation: Evaluation | LabelsEvaluation, path: str | os.PathLike[str]) -> None:
    """Draws the precision-recall curve of each class or label, thin, and their mean, bold.

    The legend names all, or, of more than ten, the five of the lowest average precision.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns for classes or labels.
        path: a PNG file.
    """
    curves = curves_of(evaluation)
    named = curves if len(curves) <= 10 else curves[:5]
    figure = _figure(8, 5)
    axes = figure.subplots()
    faint = float(np.clip(10 / max(len(curves), 1), 0.04, 0.5))
    for curve in curves[len(named) :]:
        axes.plot(RECALLS, curve.precision, color="gray", linewidth=0.6, alpha=faint)
    for place, curve in enumerate(named):
        label = f"{_plain(curve.name, 30)}: {curve.average_precision:.1%}"
        axes.plot(RECALLS, curve.precision, color=f"C{place}", linewidth=1, label=label)
    if curves:
        mean = np.mean([curve.average_precision for curve in curves])
        over = np.mean([curve.precision for curve in curves], 0)
        axes.plot(RECALLS, over, color="black", linewidth=3, label=f"mean of {len(curves)}: {mean:.1%}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.grid(alpha=0.3)
    worst = "lowest average precision" if len(named) < len(curves) else "average precision"
    figure.legend(loc="outside right upper", title=worst, fontsize=8, title_fontsize=9)
    axes.set_title(f"precision and recall on {len(evaluation.labels)} images", fontsize=10)
    _save(figure, path)


def draw_calibration(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Draws the reliability diagram: how often predictions of each probability are right, and how many there are.

    Args:
        calibration: what `keras_resnet.training.calibration.calibrate` returns.
        path: a PNG file.
    """
    ticker = import_optional("matplotlib.ticker")
    figure = _figure(5.5, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = [each for each in calibration.bins if each.count]
    edges, counts = [each.low for each in bins], [each.count for each in bins]
    width = calibration.bins[0].high
    shared: dict[str, Any] = {"width": width, "align": "edge", "edgecolor": "white", "linewidth": 0.8}
    above.bar(edges, [each.share for each in bins], color="#9ecae1", **shared)
    above.plot([0, 1], [0, 1], color="gray", linestyle="--")
    above.plot([each.probability for each in bins], [each.share for each in bins], "ko", markersize=4, clip_on=False)
    above.set(ylabel="share of labels that are so" if calibration.several else "share of predictions that are right")
    above.set(xlim=(0, 1), ylim=(0, 1.02))
    below.bar(edges, counts, color="gray", **shared)
    below.set_yscale("log")
    below.set_ylim(bottom=0.5)
    below.yaxis.set_major_formatter("{x:g}")
    below.yaxis.set_minor_formatter(ticker.NullFormatter())
    below.set(xlabel="probability of each label" if calibration.several else "probability of the predicted class")
    below.set(ylabel="labels" if calibration.several else "images")
    for axes in (above, below):
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    figure.suptitle(fill(" ".join(calibration.sentences()), 75), fontsize=9)
    _save(figure, path)


def draw_predictions(evaluation: AnyEvaluation, data: Pictures, path: str | os.PathLike[str], count: int = 24) -> None:
    """Draws images with their true and their predicted class, the worst mistakes first.

    Example:

        evaluation = keras_resnet.evaluation.evaluate(model, validation)
        keras_resnet.figures.draw_predictions(evaluation, validation, "predictions.png")

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
        picture = data.reader.shown(data.pictures[index], (400, 400))
        filtering = Image.Resampling.NEAREST if max(picture.size) < 40 else Image.Resampling.BICUBIC
        axes.imshow(ImageOps.pad(picture, (200, 200), filtering, "white"))
        says, right = evaluation.caption(index)
        axes.set_title(says.replace("$", r"\$"), fontsize=8, color=_RIGHT if right else _WRONG)
    figure.suptitle(evaluation.order(), fontsize=9 if columns > 3 else 6)
    _save(figure, path)


def draw_ratios(panels: Mapping[str, Mapping[str, tuple[float, float, float]]], path: str | os.PathLike[str]) -> None:
    """Draws the speed of each contender of a benchmark relative to the baseline: bars with quartiles as whiskers.

    Example:

        panels = {"predict": {"keras_resnet": (1.4, 1.3, 1.5), "keras.applications": (1.0, 0.9, 1.1)}}
        keras_resnet.figures.draw_ratios(panels, "ratios.png")

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


def _plain(name: str, most: int) -> str:
    """A name, shortened, in which matplotlib sees no formula."""
    return short(name, most).replace("$", r"\$")


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
