"""Evaluation of a classifier: accuracy, confusion, precision and recall on pictures of known classes."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.models.labels import class_names
from keras_resnet.utils.errors import import_optional

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """Scores of pictures and what follows from them.

    Attributes:
        class_names: the model's classes.
        labels: (N,), the true class of each picture.
        scores: (N, classes), the model's output.
    """

    class_names: tuple[str, ...]
    labels: Array
    scores: Array

    @property
    def predicted(self) -> Array:
        """(N,), the most probable class of each picture."""
        return np.asarray(self.scores.argmax(1))

    def accuracy(self, top: int = 1) -> float:
        """Returns the share of pictures, in [0, 1], whose class is among so many of the most probable."""
        best = np.argsort(-self.scores, axis=1, kind="stable")[:, :top]
        return float((best == self.labels[:, np.newaxis]).any(1).mean())

    @property
    def confusion(self) -> Array:
        """(classes, classes), pictures of each true class (row) that were taken for each class (column)."""
        matrix = import_optional("sklearn.metrics").confusion_matrix
        return np.asarray(matrix(self.labels, self.predicted, labels=range(len(self.class_names))))

    def by_class(self) -> list[dict[str, Any]]:
        """Returns each class's name, precision and recall in [0, 1] (0 where nothing tells), and number of pictures."""
        measure = import_optional("sklearn.metrics").precision_recall_fscore_support
        columns = measure(self.labels, self.predicted, labels=range(len(self.class_names)), zero_division=0)
        return [
            {"class": name, "precision": float(precision), "recall": float(recall), "pictures": int(count)}
            for name, precision, recall, _, count in zip(self.class_names, *columns, strict=True)
        ]

    def worst(self) -> Array:
        """Returns (N,), indices of pictures: mistakes, the surest first, then what is right, the least sure first."""
        wrong = self.predicted != self.labels
        sure = self.scores.max(1)
        return np.lexsort((np.where(wrong, -sure, sure), ~wrong))

    def summary(self) -> dict[str, Any]:
        """Returns accuracy, among five classes where there are more, and `by_class`, as JSON takes it."""
        found: dict[str, Any] = {"pictures": len(self.labels), "accuracy": self.accuracy()}
        if len(self.class_names) > 5:
            found["top_5_accuracy"] = self.accuracy(5)
        return found | {"classes": self.by_class()}


def evaluate(model: keras.Model, data: Pictures) -> Evaluation:
    """Predicts pictures and sets the scores beside their classes.

    Example:

        result = keras_resnet.evaluation.evaluate(model, validation)
        result.accuracy(), result.confusion, result.worst()

    Args:
        model: one that takes such batches and returns (N, classes). The names of its classes are those that it carries
            (`keras_resnet.labels`), else the data's.
        data: pictures in a fixed order, as what validates. They stay as they are, their epoch too.

    Raises:
        ValueError: if the data are shuffled or augmented, or the model's classes are others.
    """
    if data.seed is not None or data.augment != "none":
        raise ValueError(
            "`data` must keep its order and not be augmented: pass what validates, or seed=None and augment='none'; "
            f"received seed={data.seed!r}, augment={data.augment!r}."
        )
    names = class_names(model) or data.class_names
    strange = [name for name in data.class_names if name not in names]
    if strange or model.output_shape[1:] != (len(names),):
        raise ValueError(
            f"`data` must have classes of the model, {', '.join(names)}, and the model return (N, {len(names)}); "
            f"it returns {model.output_shape}" + (f", and the data have {', '.join(strange)}." if strange else ".")
        )
    own = np.array([names.index(name) for name in data.class_names])
    copied = data.with_()  # Keras ends an epoch of what it reads
    scores = np.asarray(keras.ops.convert_to_numpy(model.predict(copied, verbose=0)), "float32")
    return Evaluation(names, own[data.labels], scores)
