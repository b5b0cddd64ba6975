"""Calibration: whether a classifier is right as often as its probabilities say."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.training.evaluation import Evaluation, LabelsEvaluation
from keras_resnet.utils.errors import import_optional

Array = np.ndarray[Any, Any]

_BINS = 15  # of equal width, as in arXiv:1706.04599
_FEWEST = 100  # images, below which neither an error of 15 bins nor a temperature says anything
_HOTTEST = 100.0  # the temperatures tried are from 1/100 to 100
_SAME = 1e-9  # differences of a cross-entropy that are none


@dataclass(frozen=True)
class Bin:
    """The predictions whose probabilities lie in one interval.

    Attributes:
        low: the end of the interval that does not belong to it (0 does, in the first).
        high: the end that does.
        count: the number of predictions.
        probability: the mean of their probabilities; 0 if there are none.
        share: how often what they say is so, in [0, 1]; 0 if there are none.
    """

    low: float
    high: float
    count: int
    probability: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """How well the probabilities of a classifier agree with how often it is right.

    Attributes:
        bins: the predictions in 15 intervals of equal width: of classes, the probability of the predicted one; of
            several labels an image, that of each label.
        images: the number of images.
        several: whether an image has several labels.
        temperature: what logits would have to be divided by; None if there are too few images, or none is best. It is
            fitted on one half of the images and not applied to the model.
        before: the expected calibration error on the other half; None without a temperature.
        after: the same with the temperature.
    """

    bins: tuple[Bin, ...]
    images: int
    several: bool
    temperature: float | None = None
    before: float | None = None
    after: float | None = None

    @property
    def error(self) -> float:
        """The expected calibration error (ECE), in [0, 1]."""
        return _error(self.bins)

    def summary(self) -> dict[str, Any]:
        """Returns the expected calibration errors and the temperature, in a dict that JSON can hold."""
        return {
            "expected_calibration_error": self.error,
            "temperature": self.temperature,
            "other_half": {"expected_calibration_error": self.before, "with_temperature": self.after},
        }

    def sentences(self) -> list[str]:
        """Returns in words how far the probabilities are off, and what a temperature would change."""
        if self.images < _FEWEST:
            return [f"{self.images} images are too few to judge probabilities by; take {_FEWEST} or more."]
        said = [f"Expected calibration error: {self.error:.1%} on {self.images} images."]
        if self.temperature is None:
            return [*said, "No temperature fits: all predictions are right, or they say nothing."]
        half = self.images - self.images // 2
        return [
            *said,
            f"A temperature of {self.temperature:.2f}, fitted on half of the images, changes it from {self.before:.1%} "
            f"to {self.after:.1%} on the other {half}. It is not applied.",
        ]


def calibrate(evaluation: Evaluation | LabelsEvaluation) -> Calibration:
    """Measures the calibration of a classifier; the model does not change.

    The expected calibration error is the mean over predictions of |probability - share that is so|, by bins, and the
    temperature minimises the cross-entropy: Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599.

    Example:

        calibrate(keras_resnet.evaluation.evaluate(model, validation)).error

    Args:
        evaluation: what `keras_resnet.evaluation.evaluate` returns for classes or labels.
    """
    scores, labels = evaluation.scores, evaluation.labels
    several, images = labels.ndim == 2, len(labels)
    whole = Calibration(bins_of(*_claims(scores, labels)), images, several)
    if images < _FEWEST:
        return whole
    order = np.random.default_rng(0).permutation(images)
    half, other = order[: images // 2], order[images // 2 :]
    temperature = fit_temperature(scores[half], labels[half])
    if temperature is None:
        return whole
    cooled = _probabilities(_logits(scores[other], several) / temperature, several)
    before, after = (_error(bins_of(*_claims(each, labels[other]))) for each in (scores[other], cooled))
    return Calibration(whole.bins, images, several, temperature, before, after)


def bins_of(probabilities: Array, so: Array) -> tuple[Bin, ...]:
    """Returns predictions in 15 bins of equal width.

    Args:
        probabilities: (M,), in [0, 1].
        so: (M,), whether what each says is so.
    """
    edges = np.linspace(0, 1, _BINS + 1)
    place = np.digitize(probabilities, edges[1:-1], right=True)
    counts = np.bincount(place, minlength=_BINS)
    means, shares = (
        np.bincount(place, np.asarray(each, "float64"), _BINS) / np.maximum(counts, 1) for each in (probabilities, so)
    )
    columns = (edges[:-1], edges[1:], counts, means, shares)
    return tuple(Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def fit_temperature(scores: Array, labels: Array) -> float | None:
    """Returns the temperature that minimises the cross-entropy; None if it is lower the further one goes.

    That is so if all predictions are right (the colder the better), or if they say nothing (the hotter the better).

    Args:
        scores: (N, classes) or (N, labels), probabilities.
        labels: (N,), the class of each image; or (N, labels), 1 for each label that it has.
    """
    several = labels.ndim == 2
    logits = _logits(scores, several)

    def loss(log_temperature: float) -> float:
        """The cross-entropy."""
        warm = logits / np.exp(log_temperature)
        if several:
            return float(np.mean(np.logaddexp(0, warm) - labels * warm))
        return float(np.mean(_log_sum(warm)[:, 0] - warm[np.arange(len(labels)), labels]))

    end = float(np.log(_HOTTEST))
    found = import_optional("scipy.optimize").minimize_scalar(loss, bounds=(-end, end), method="bounded")
    if loss(0.0) <= found.fun + _SAME:  # such as a constant model, to which a temperature does nothing
        return 1.0
    return None if min(loss(-end), loss(end)) <= found.fun + _SAME else float(np.exp(found.x))


def _claims(scores: Array, labels: Array) -> tuple[Array, Array]:
    """The probabilities of what is predicted, and whether it is so: of the likeliest class, or of each label."""
    if labels.ndim == 2:
        return scores.ravel(), labels.ravel() > 0
    return scores.max(1), scores.argmax(1) == labels


def _error(bins: tuple[Bin, ...]) -> float:
    """The expected calibration error."""
    count = sum(each.count for each in bins)
    return sum(each.count * abs(each.probability - each.share) for each in bins) / max(count, 1)


def _logits(scores: Array, several: bool) -> Array:
    """Logits of probabilities: of classes up to a constant, which their softmax does not see."""
    limits = np.finfo(scores.dtype)
    if several:
        sure = np.clip(scores, limits.tiny, 1 - limits.epsneg)
        return np.asarray(np.log(sure) - np.log1p(-sure))
    return np.asarray(np.log(np.maximum(scores, limits.tiny)))


def _probabilities(logits: Array, several: bool) -> Array:
    """Sigmoids or softmax."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits) if several else logits - _log_sum(logits)))


def _log_sum(logits: Array) -> Array:
    """The logarithm of the sum of exponentials, (N, 1)."""
    most = logits.max(1, keepdims=True)
    return np.asarray(most + np.log(np.exp(logits - most).sum(1, keepdims=True)))
