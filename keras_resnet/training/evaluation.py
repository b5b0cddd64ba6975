"""Evaluation of a classifier: accuracy, confusion, precision and recall on pictures of known classes."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.models.functional import has_graph
from keras_resnet.models.labels import class_names
from keras_resnet.models.outputs import count_classes, probabilities
from keras_resnet.utils.errors import enumerate_some, import_optional

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """Scores of pictures and what follows from them.

    Attributes:
        class_names: the model's classes.
        labels: (N,), the true class of each picture.
        scores: (N, classes), the probabilities that the model gives.
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
        model: any that takes such batches and returns (N, classes): probabilities, or logits, of which the softmax is
            taken; or, for two classes, one sigmoid, the second's probability. The names of its classes are those that
            it carries (`keras_resnet.labels`), else the data's.
        data: pictures in a fixed order, as what validates. They stay as they are, their epoch too.

    Raises:
        ValueError: if the data are shuffled or augmented, the model takes other images, its classes are others, or what
            it returns are no probabilities.
    """
    if data.seed is not None or data.augment != "none":
        raise ValueError(
            "`data` must keep its order and not be augmented: pass what validates, or seed=None and augment='none'; "
            f"received seed={data.seed!r}, augment={data.augment!r}."
        )
    copied = data.for_model(model)  # Keras ends an epoch of what it reads
    check_images(model, copied)
    names = class_names(model) or data.class_names
    strange = [name for name in data.class_names if name not in names]

    def check_classes(returns: Any, fit: bool) -> None:
        if strange or not fit:
            raise ValueError(
                f"`data` must have classes of the model, {enumerate_some(names)}, and the model return "
                f"(N, {len(names)}){' or one sigmoid' * (len(names) == 2)}; it returns {returns}"
                + (f", and the data have {enumerate_some(strange)}." if strange else ".")
            )

    if has_graph(model):
        shapes = [tuple(output.shape) for output in model.outputs]
        fit = len(shapes) == 1 and len(shapes[0]) == 2 and count_classes(model) in (len(names), None)
        check_classes(", ".join(map(str, shapes)), fit)
    scores = model.predict(copied, verbose=0)
    shape = getattr(scores, "shape", None)
    check_classes(shape or f"a {type(scores).__name__}", shape is not None and len(shape) == 2)
    scores = probabilities(model, scores)
    check_classes(shape, scores.shape[1] == len(names))
    own = np.array([names.index(name) for name in data.class_names])
    return Evaluation(names, own[data.labels], scores)


def check_images(model: keras.Model, data: Pictures) -> None:
    """Raises a `ValueError` unless a model takes batches of such pictures, as far as its graph says what it takes."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model; received {type(model).__name__}.")
    if not has_graph(model):
        return
    images, takes = data[0][0].shape, [tuple(each.shape) for each in model.inputs]
    if len(takes) != 1:
        raise ValueError(f"`model` must take one image; {model.name!r} has {len(takes)} inputs.")
    (shape,) = takes
    if len(shape) == 4 and all(own in (None, side) for own, side in zip(shape[1:], images[1:], strict=True)):
        return
    advice, axis = "", 1 if data.data_format == "channels_first" else 3
    if len(shape) == 4 and shape[axis] == images[axis]:
        size = tuple(side for each, side in enumerate(shape) if each not in (0, axis))
        advice = f" Read them in its size, image_size={size}, or build it for theirs."
    elif len(shape) == 4:
        advice = f" Build it for {images[axis]} channels."
    raise ValueError(
        f"`model` must take what the data give, (N, {', '.join(map(str, images[1:]))}); {model.name!r} takes "
        f"{shape}.{advice}"
    )
