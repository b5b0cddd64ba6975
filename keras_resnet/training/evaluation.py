"""Evaluation of a classifier: accuracy, confusion, precision and recall on images of known classes."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.models.functional import has_graph
from keras_resnet.models.labels import class_names
from keras_resnet.models.outputs import count_classes, probabilities
from keras_resnet.training.progress import StepProgress
from keras_resnet.utils.errors import enumerate_some, import_optional

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a classifier for a dataset, and the metrics that follow from them.

    Attributes:
        class_names: the names of the model's classes.
        labels: (N,), the index of each image's true class.
        scores: (N, classes), the probabilities that the model predicts.
    """

    class_names: tuple[str, ...]
    labels: Array
    scores: Array

    @property
    def predicted(self) -> Array:
        """The index of the most probable class of each image, (N,)."""
        return np.asarray(self.scores.argmax(1))

    def accuracy(self, top: int = 1) -> float:
        """Returns the top-`top` accuracy, in [0, 1]: how often the true class is among the `top` most probable ones."""
        best = np.argsort(-self.scores, axis=1, kind="stable")[:, :top]
        return float((best == self.labels[:, np.newaxis]).any(1).mean())

    @property
    def confusion(self) -> Array:
        """The confusion matrix, (classes, classes): images by true class (row) and predicted class (column)."""
        matrix = import_optional("sklearn.metrics").confusion_matrix
        return np.asarray(matrix(self.labels, self.predicted, labels=range(len(self.class_names))))

    def by_class(self) -> list[dict[str, Any]]:
        """Returns for each class its name, precision and recall in [0, 1] (0 where undefined), and number of images."""
        measure = import_optional("sklearn.metrics").precision_recall_fscore_support
        columns = measure(self.labels, self.predicted, labels=range(len(self.class_names)), zero_division=0)
        return [
            {"class": name, "precision": float(precision), "recall": float(recall), "images": int(count)}
            for name, precision, recall, _, count in zip(self.class_names, *columns, strict=True)
        ]

    def worst(self) -> Array:
        """Returns the indices of the images, (N,), the worst first.

        These are the wrong predictions from the most to the least confident, then the right ones from the least to the
        most confident.
        """
        wrong = self.predicted != self.labels
        sure = self.scores.max(1)
        return np.lexsort((np.where(wrong, -sure, sure), ~wrong))

    def summary(self) -> dict[str, Any]:
        """Returns the number of images, the accuracy, the top-5 accuracy (if there are more than five classes) and
        `by_class`, in a dict that JSON can hold.
        """
        found: dict[str, Any] = {"images": len(self.labels), "accuracy": self.accuracy()}
        if len(self.class_names) > 5:
            found["top_5_accuracy"] = self.accuracy(5)
        return found | {"classes": self.by_class()}


def evaluate(model: keras.Model, data: Pictures) -> Evaluation:
    """Evaluates a classifier on a dataset: accuracy, confusion matrix, precision and recall per class.

    Example:

        result = keras_resnet.evaluation.evaluate(model, validation)
        result.accuracy(), result.confusion, result.by_class()

    Args:
        model: a classifier of such images. It returns probabilities (N, classes), logits (N, classes), or, for two
            classes, one sigmoid, the probability of the second class. Its class names are those stored in the model
            (`keras_resnet.labels`), or, if there are none, those of the data.
        data: the images, in a fixed order and not augmented, such as a validation set. The dataset does not change.

    Raises:
        ValueError: if the data are shuffled or augmented, the model takes images of another shape, it has other
            classes, or its outputs are not probabilities.
    """
    if data.seed is not None or data.augment != "none":
        raise ValueError(
            "`data` must not be shuffled or augmented; received "
            f"seed={data.seed!r}, augment={data.augment!r}. Pass a validation or test set, or "
            "data.with_(seed=None, augment='none')."
        )
    copied = data.for_model(model)  # Keras ends an epoch of what it reads
    check_images(model, copied)
    names = class_names(model) or data.class_names
    strange = [name for name in data.class_names if name not in names]

    def check_classes(returns: Any, fit: bool) -> None:
        if strange or not fit:
            raise ValueError(
                f"`data` must have classes of the model, {enumerate_some(names)}, and `model` must return "
                f"(N, {len(names)}){' or one sigmoid' * (len(names) == 2)}; the model returns {returns}"
                + (f", and the data have the classes {enumerate_some(strange)}." if strange else ".")
            )

    if has_graph(model):
        shapes = [tuple(output.shape) for output in model.outputs]
        fit = len(shapes) == 1 and len(shapes[0]) == 2 and count_classes(model) in (len(names), None)
        check_classes(", ".join(map(str, shapes)), fit)
    scores = model.predict(copied, verbose=0, callbacks=[StepProgress("evaluating")])
    shape = getattr(scores, "shape", None)
    check_classes(shape or f"a {type(scores).__name__}", shape is not None and len(shape) == 2)
    scores = probabilities(model, scores)
    check_classes(shape, scores.shape[1] == len(names))
    own = np.array([names.index(name) for name in data.class_names])
    return Evaluation(names, own[data.labels], scores)


def check_images(model: keras.Model, data: Pictures) -> None:
    """Raises a `ValueError` if a model's graph shows that it does not take such batches of images."""
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
        advice = f" Read the images with image_size={size}, or build the model for the size of the images."
    elif len(shape) == 4:
        advice = f" Build the model for {images[axis]} channels."
    raise ValueError(
        f"`model` must take the batches of the data, (N, {', '.join(map(str, images[1:]))}); {model.name!r} takes "
        f"{shape}.{advice}"
    )
