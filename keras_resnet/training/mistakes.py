"""The table of a model's mistakes, in which wrong labels come first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.pictures import Pictures
from keras_resnet.training.evaluation import (
    AnyEvaluation,
    Evaluation,
    LabelsEvaluation,
    RegressionEvaluation,
    in_digits,
)
from keras_resnet.utils.files import write_csv

_LEAST = 1e-7  # the probability below which the loss grows no more, as in Keras
_COLUMNS = {
    Evaluation: ("true", "predicted", "probability", "loss"),
    LabelsEvaluation: ("label", "true", "predicted", "probability", "loss"),
    RegressionEvaluation: ("target", "true", "predicted", "error"),
}


def write_mistakes(path: Path, found: Mapping[str, AnyEvaluation], data: Mapping[str, Pictures]) -> None:
    """Writes the wrong predictions as a table, likely label errors first; of numbers all errors, the largest first.

    Images whose given label the model finds least probable come first. Confident learning calls this probability the
    self-confidence, and ranks label errors by it: Northcutt et al., arXiv:1911.00068. It needs images that the model
    was not trained on. The columns are, besides `side` and `path` (of an array its index):

    - classes: `true`, `predicted`, `probability` of the predicted class, `loss`;
    - labels, a row for each image and label: `label`, `true` and `predicted` (1 or 0), `probability` of the label,
      `loss`;
    - numbers, a row for each image and number: `target`, `true`, `predicted`, `error`, in the order of
      error / deviation.

    Args:
        path: a CSV file.
        found: by side, what `keras_resnet.evaluation.evaluate` returned.
        data: by side, the images.
    """
    rows = [
        (order, [side, data[side].path(index), *cells])
        for side, evaluation in found.items()
        for order, index, cells in _mistakes(evaluation)
    ]
    rows.sort(key=lambda row: row[0])
    columns = _COLUMNS[type(next(iter(found.values())))]
    write_csv(path, [["side", "path", *columns], *(cells for _, cells in rows)])


def _mistakes(evaluation: AnyEvaluation) -> Iterator[tuple[float, int, list[Any]]]:
    """What orders each mistake, the index of its image, and its cells."""
    names, true, scores = evaluation.class_names, evaluation.labels, evaluation.scores
    if isinstance(evaluation, RegressionEvaluation):
        errors = np.abs(evaluation.errors())
        for index, place in np.ndindex(errors.shape):
            numbers = true[index, place], scores[index, place], scores[index, place] - true[index, place]
            yield -float(errors[index, place]), index, [names[place], *map(in_digits, numbers)]
    elif isinstance(evaluation, LabelsEvaluation):
        said, given = evaluation.predicted, true > 0
        for index, place in np.argwhere(said != given).tolist():
            probability, has = float(scores[index, place]), bool(given[index, place])
            sure = probability if has else 1 - probability
            yield sure, index, [names[place], int(has), int(not has), f"{probability:.6g}", _loss(sure)]
    else:
        predicted = evaluation.predicted
        for index in np.flatnonzero(predicted != true).tolist():
            own, other = int(true[index]), int(predicted[index])
            sure = float(scores[index, own])
            yield sure, index, [names[own], names[other], f"{scores[index, other]:.6g}", _loss(sure)]


def _loss(probability: float) -> str:
    """The cross-entropy of what has a probability."""
    return f"{-np.log(max(probability, _LEAST)):.6g}"
