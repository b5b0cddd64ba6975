"""Evaluation of a model on images whose classes, labels or numbers are known, and the metrics that follow."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.models.description import description_of
from keras_resnet.models.functional import has_graph
from keras_resnet.models.outputs import check_finite, count_classes, probabilities
from keras_resnet.training.objectives import deviations
from keras_resnet.training.progress import StepProgress
from keras_resnet.utils.errors import enumerate_some, import_optional

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a classifier for a dataset, and the metrics that follow from them.

    Example:

        >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        >>> result = keras_resnet.evaluation.Evaluation(("cat", "dog"), np.array([0, 1, 1]), scores)
        >>> round(result.accuracy(), 3), result.confusion.tolist()
        (0.667, [[1, 0], [1, 1]])

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
        """Returns the accuracy, in [0, 1]: how often the true class is among the most probable ones.

        Args:
            top: how many of them count; 5: the top-5 accuracy.
        """
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

    def headline(self) -> str:
        """Returns the accuracy of how many images in a few words."""
        return f"{self.score()} of {len(self.labels)} images"

    def score(self) -> str:
        """Returns the accuracy in a few words."""
        return f"accuracy: {self.accuracy():.1%}"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Returns precision and recall of each class as text: the names of the columns, and the rows."""
        rows = [
            [row["class"], f"{row['precision']:.1%}", f"{row['recall']:.1%}", str(row["images"])]
            for row in self.by_class()
        ]
        return ["class", "precision", "recall", "images"], rows

    def order(self) -> str:
        """Returns how `worst` orders the images."""
        wrong = int((self.predicted != self.labels).sum())
        return f"{wrong} of {len(self.labels)} images are wrong. Wrong ones come first, from the most confident."

    def caption(self, index: int) -> tuple[str, bool]:
        """Returns what is predicted of an image, and what it is if that is wrong; and whether it is right.

        Args:
            index: the image's place in the data.
        """
        true, predicted = int(self.labels[index]), int(self.predicted[index])
        says = f"{short(self.class_names[predicted], 22)} {self.scores[index, predicted]:.0%}"
        right = true == predicted
        return says if right else f"{says}\ntrue: {short(self.class_names[true], 22)}", right


@dataclass(frozen=True)
class LabelsEvaluation:
    """The predictions of a classifier of several labels an image, and the metrics that follow from them.

    Example:

        >>> labels, scores = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.3, 0.6]])
        >>> result = keras_resnet.evaluation.LabelsEvaluation(("indoor", "night"), labels, scores)
        >>> result.mean_average_precision()
        1.0

    Attributes:
        class_names: the names of the labels.
        labels: (N, labels), 1 for each label that an image has, else 0.
        scores: (N, labels), the probability of each.
        threshold: the probability from which on a label is predicted.
    """

    class_names: tuple[str, ...]
    labels: Array
    scores: Array
    threshold: float = 0.5

    @property
    def predicted(self) -> Array:
        """Whether each label is predicted, (N, labels)."""
        return np.asarray(self.scores >= self.threshold)

    def average_precision(self) -> dict[str, float]:
        """Returns the average precision of each label that an image has, in [0, 1], as scikit-learn defines it."""
        measure = import_optional("sklearn.metrics").average_precision_score
        return {
            name: float(measure(self.labels[:, place], self.scores[:, place]))
            for place, name in enumerate(self.class_names)
            if self.labels[:, place].any()
        }

    def mean_average_precision(self) -> float:
        """Returns the mean of `average_precision` (mAP); 0 if no image has a label."""
        found = self.average_precision()
        return sum(found.values()) / len(found) if found else 0.0

    def by_class(self) -> list[dict[str, Any]]:
        """Returns for each label its name, average precision (None without an image that has it), precision and recall
        at the threshold (0 where undefined), and the numbers of images: that have it, and of each kind of prediction.
        """
        precisions, found = self.average_precision(), []
        for place, name in enumerate(self.class_names):
            true, said = self.labels[:, place] > 0, self.predicted[:, place]
            hits, wrong, missed = (int((a & b).sum()) for a, b in ((true, said), (~true, said), (true, ~said)))
            found.append(
                {
                    "class": name,
                    "average_precision": precisions.get(name),
                    "precision": hits / (hits + wrong) if hits + wrong else 0.0,
                    "recall": hits / (hits + missed) if hits + missed else 0.0,
                    "images": int(true.sum()),
                    "true_positives": hits,
                    "false_positives": wrong,
                    "false_negatives": missed,
                    "true_negatives": int((~true & ~said).sum()),
                }
            )
        return found

    def worst(self) -> Array:
        """Returns the indices of the images, (N,), those first for whose labels the probabilities are worst."""
        sure = np.clip(np.where(self.labels > 0, self.scores, 1 - self.scores), 1e-7, 1)
        return np.argsort(np.log(sure).sum(1), kind="stable")

    def summary(self) -> dict[str, Any]:
        """Returns the number of images, the mean average precision, the labels that it leaves out since no image has
        them, the threshold and `by_class`, in a dict that JSON can hold.
        """
        known = self.average_precision()
        return {
            "images": len(self.labels),
            "mean_average_precision": self.mean_average_precision(),
            "without_images": [name for name in self.class_names if name not in known],
            "threshold": self.threshold,
            "classes": self.by_class(),
        }

    def headline(self) -> str:
        """Returns the mean average precision on how many images in a few words, and which labels it leaves out."""
        known = self.average_precision()
        lacking = [name for name in self.class_names if name not in known]
        left = f", without {enumerate_some(lacking, 5)}, which no image has" if lacking else ""
        return f"{self.score()} on {len(self.labels)} images{left}"

    def score(self) -> str:
        """Returns the mean average precision in a few words."""
        return f"mean average precision: {self.mean_average_precision():.1%}"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Returns the metrics of each label as text: the names of the columns, and the rows."""
        rows = [
            [
                row["class"],
                "-" if row["average_precision"] is None else f"{row['average_precision']:.1%}",
                f"{row['precision']:.1%}",
                f"{row['recall']:.1%}",
                str(row["images"]),
            ]
            for row in self.by_class()
        ]
        return ["label", "average precision", "precision", "recall", "images"], rows

    def order(self) -> str:
        """Returns how `worst` orders the images."""
        wrong = int((self.predicted != (self.labels > 0)).any(1).sum())
        return f"{wrong} of {len(self.labels)} images have a wrong label. Those least in line with theirs come first."

    def caption(self, index: int) -> tuple[str, bool]:
        """Returns the labels that are predicted of an image, and its own if these are others; and whether it is so.

        Args:
            index: the image's place in the data.
        """

        def names(row: Array) -> str:
            chosen = [name for name, its in zip(self.class_names, row, strict=True) if its]
            return short(", ".join(chosen), 30) or "none"

        true, said = self.labels[index] > 0, self.predicted[index]
        right = bool((true == said).all())
        return names(said) if right else f"{names(said)}\ntrue: {names(true)}", right


@dataclass(frozen=True)
class RegressionEvaluation:
    """The numbers that a model predicts for a dataset, and the metrics that follow from them.

    Example:

        >>> ages, found = np.array([[20.0], [30.0]]), np.array([[22.0], [29.0]])
        >>> keras_resnet.evaluation.RegressionEvaluation(("age",), ages, found).headline()
        'mean absolute error: 1.5 (age) on 2 images'

    Attributes:
        class_names: the names of the numbers (targets).
        labels: (N, targets), the true numbers.
        scores: (N, targets), the predicted ones, in the same units.
    """

    class_names: tuple[str, ...]
    labels: Array
    scores: Array

    def by_target(self) -> list[dict[str, Any]]:
        """Returns for each target its name, the mean absolute error in its units, and R2, as scikit-learn defines it
        (None for fewer than two images).
        """
        metrics = import_optional("sklearn.metrics")
        return [
            {
                "target": name,
                "mean_absolute_error": float(metrics.mean_absolute_error(self.labels[:, i], self.scores[:, i])),
                "r2": float(metrics.r2_score(self.labels[:, i], self.scores[:, i])) if len(self.labels) > 1 else None,
            }
            for i, name in enumerate(self.class_names)
        ]

    def errors(self) -> Array:
        """Returns the errors, (N, targets), each divided by the deviation of its target in these images."""
        return np.asarray((self.scores - self.labels) / deviations(self.labels))

    def worst(self) -> Array:
        """Returns the indices of the images, (N,), those of the largest error first."""
        return np.argsort(-np.abs(self.errors()).max(1), kind="stable")

    def summary(self) -> dict[str, Any]:
        """Returns the number of images and `by_target`, in a dict that JSON can hold."""
        return {"images": len(self.labels), "targets": self.by_target()}

    def headline(self) -> str:
        """Returns the mean absolute errors on how many images in a few words."""
        return f"{self.score()} on {len(self.labels)} images"

    def score(self) -> str:
        """Returns the mean absolute errors in a few words."""
        errors = [f"{number(row['mean_absolute_error'])} ({row['target']})" for row in self.by_target()]
        return f"mean absolute error: {enumerate_some(errors, 5)}"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Returns the metrics of each target as text: the names of the columns, and the rows."""
        rows = [
            [row["target"], f"{number(row['mean_absolute_error'])}", "-" if row["r2"] is None else f"{row['r2']:.3f}"]
            for row in self.by_target()
        ]
        return ["target", "mean absolute error", "R2"], rows

    def order(self) -> str:
        """Returns how `worst` orders the images."""
        return f"The largest errors of {len(self.labels)} images come first."

    def caption(self, index: int) -> tuple[str, bool]:
        """Returns what is predicted of an image and what is true; and whether no error is larger than a deviation.

        Args:
            index: the image's place in the data.
        """
        few = list(zip(self.class_names, self.scores[index], self.labels[index], strict=True))[:3]
        lines = [f"{short(name, 14)} {number(said)}, true: {number(true)}" for name, said, true in few]
        return "\n".join(lines), bool((np.abs(self.errors()[index]) <= 1).all())


AnyEvaluation = Evaluation | LabelsEvaluation | RegressionEvaluation


def short(name: str, most: int) -> str:
    """Returns a name on one line, with its middle left out if it is long."""
    name = " ".join(name.encode(errors="backslashreplace").decode().split())
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def number(value: float) -> str:
    """Returns a number as text: four digits, or all before the point."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def evaluate(model: keras.Model, data: Pictures) -> Any:
    """Evaluates a model on a dataset: accuracy and confusion, average precision, or errors, as `data.task` has it.

    Example:

        result = keras_resnet.evaluation.evaluate(model, validation)
        result.accuracy(), result.confusion, result.by_class()

    Args:
        model: a model of such images. For classes it returns probabilities (N, classes), logits (N, classes), or, for
            two classes, one sigmoid, the probability of the second class; for several labels an image, sigmoids or
            logits (N, labels); for regression (N, targets). Its names of these are those stored in the model
            (`keras_resnet.labels`), or, if there are none, those of the data.
        data: the images, in a fixed order and not augmented, such as a validation set. The dataset does not change.

    Returns:
        An `Evaluation`, `LabelsEvaluation` or `RegressionEvaluation`.

    Raises:
        ValueError: if the data are shuffled or augmented, the model takes images of another shape, is of another task,
            has other classes, or its outputs are not probabilities.
    """
    if data.seed is not None or data.augment != "none":
        raise ValueError(
            "`data` must not be shuffled or augmented; received "
            f"seed={data.seed!r}, augment={data.augment!r}. Pass a validation or test set, or "
            "data.with_(seed=None, augment='none')."
        )
    copied = data.for_model(model)  # Keras ends an epoch of what it reads
    check_images(model, copied)
    described = description_of(model)
    if described and described.task != data.task:
        raise ValueError(f"`data` must be of the task of the model, {described.task!r}; they are of {data.task!r}.")
    names = described.names if described else data.class_names
    scores = _scores(model, copied, names)
    if data.task == "regression":
        check_finite(model, scores)
        return RegressionEvaluation(names, _in_order(data, names), scores)
    scores = probabilities(model, scores, several=data.task == "labels")
    if data.task == "labels":
        return LabelsEvaluation(names, _in_order(data, names), scores, described.threshold if described else 0.5)
    places = {name: place for place, name in reversed(list(enumerate(names)))}  # the first, of two alike
    own = np.array([places[name] for name in data.class_names])
    return Evaluation(names, own[data.labels], scores)


def _in_order(data: Pictures, names: tuple[str, ...]) -> Array:
    """The columns of the data in the order of a model."""
    return np.asarray(data.labels[:, [data.class_names.index(name) for name in names]])


def _scores(model: keras.Model, data: Pictures, names: tuple[str, ...]) -> Array:
    """What a model returns for data, after it has been checked to be of these names."""
    known = set(names)
    strange = [name for name in data.class_names if name not in known]
    lacking = [name for name in names if name not in data.class_names] if data.task != "classes" else []
    what = {"classes": "classes", "labels": "labels", "regression": "targets"}[data.task]
    sigmoid = " or one sigmoid" if len(names) == 2 and data.task == "classes" else ""

    def check(returns: Any, fit: bool) -> None:
        if strange or lacking or not fit:
            raise ValueError(
                f"`data` must have {what} of the model, {enumerate_some(names)}, and `model` must return "
                f"(N, {len(names)}){sigmoid}; the model returns {returns}"
                + (f", and the data have the {what} {enumerate_some(strange)}" if strange else "")
                + (f", and the data lack {enumerate_some(lacking)}." if lacking else ".")
            )

    if has_graph(model):
        shapes = [tuple(output.shape) for output in model.outputs]
        count = count_classes(model) if data.task == "classes" else shapes[0][-1]
        check(", ".join(map(str, shapes)), len(shapes) == 1 and len(shapes[0]) == 2 and count in (len(names), None))
    scores = model.predict(data, verbose=0, callbacks=[StepProgress("evaluating")])
    shape: Any = getattr(scores, "shape", None)
    check(shape or f"a {type(scores).__name__}", shape is not None and len(shape) == 2)
    columns = 2 if data.task == "classes" and shape[1] == 1 else shape[1]
    check(shape, columns == len(names))
    return np.asarray(scores)


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


def in_digits(number: Any) -> str:
    """Returns a number of 32 bits in the fewest digits that tell it from its neighbours: 58.4, not 58.4000015."""
    return f"{float(str(np.float32(number))):.9g}"
