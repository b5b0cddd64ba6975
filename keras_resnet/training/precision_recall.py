"""Precision-recall curves of classes and labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.training.evaluation import Evaluation, LabelsEvaluation
from keras_resnet.utils.errors import import_optional

Array = np.ndarray[Any, Any]

RECALLS = np.linspace(0, 1, 501)


@dataclass(frozen=True)
class Curve:
    """The precision of one class or label at each recall.

    Attributes:
        name: of the class or label.
        average_precision: as scikit-learn defines it, in [0, 1].
        precision: at `RECALLS`, in [0, 1], in steps, so that their mean is close to the average precision.
    """

    name: str
    average_precision: float
    precision: Array


def curves_of(evaluation: Evaluation | LabelsEvaluation) -> list[Curve]:
    """Returns the precision-recall curve of each class or label that an image has, the lowest average precision first.

    Each class is told from all others by its probability.

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns for classes or labels.
    """
    metrics = import_optional("sklearn.metrics")
    labels, found = evaluation.labels, []
    for place, name in enumerate(evaluation.class_names):
        true = labels[:, place] > 0 if labels.ndim == 2 else labels == place
        if true.any():
            precision, recall, _ = metrics.precision_recall_curve(true, evaluation.scores[:, place])
            average = float(metrics.average_precision_score(true, evaluation.scores[:, place]))
            reached = np.searchsorted(recall[::-1], np.maximum(RECALLS - 1e-9, 1e-9))  # recall comes in falling order
            steps = precision[::-1][reached]
            found.append(Curve(name, average, steps))
    return sorted(found, key=lambda curve: curve.average_precision)
