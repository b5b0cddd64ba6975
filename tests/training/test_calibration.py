"""Whether probabilities are as good as they say, and precision by recall."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from keras_resnet.training import figures
from keras_resnet.training.calibration import bins_of, calibrate, fit_temperature
from keras_resnet.training.evaluation import Evaluation, LabelsEvaluation
from keras_resnet.training.precision_recall import RECALLS, curves_of

pytestmark = pytest.mark.one_backend


def softmax(logits: Any) -> Any:
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def classes(count: int, names: int = 4, factor: float = 1.0) -> Evaluation:
    """Labels that are drawn as the probabilities say, before these are sharpened."""
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(count, names))
    labels = (softmax(logits).cumsum(1) < rng.random((count, 1))).sum(1)
    return Evaluation(tuple(f"class {place}" for place in range(names)), labels, softmax(factor * logits))


def several(count: int, names: int = 4, factor: float = 1.0) -> LabelsEvaluation:
    """The same of labels."""
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(count, names)) - 1
    labels = (rng.random((count, names)) < 1 / (1 + np.exp(-logits))).astype("float32")
    return LabelsEvaluation(
        tuple(f"label {place}" for place in range(names)), labels, 1 / (1 + np.exp(-factor * logits))
    )


def error_by_a_loop(probabilities: Any, so: Any) -> float:
    """Equations 2, 3 of arXiv:1706.04599."""
    found, edges = 0.0, np.linspace(0, 1, 16)
    for low, high in pairwise(edges):
        inside = [i for i, p in enumerate(probabilities) if low < p <= high or p == low == 0]
        if inside:
            gap = np.mean([so[i] for i in inside]) - np.mean([probabilities[i] for i in inside])
            found += len(inside) / len(probabilities) * abs(gap)
    return found


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_the_expected_calibration_error_is_that_of_a_plain_loop(factor: float) -> None:
    found = classes(300, factor=factor)
    expected = error_by_a_loop(found.scores.max(1), found.scores.argmax(1) == found.labels)
    assert calibrate(found).error == pytest.approx(expected)
    labelled = several(200, factor=factor)
    expected = error_by_a_loop(labelled.scores.ravel(), labelled.labels.ravel())
    assert calibrate(labelled).error == pytest.approx(expected)


def test_bins_hold_their_upper_end_and_the_first_one_zero() -> None:
    edges = np.linspace(0, 1, 16)
    assert [each.count for each in bins_of(edges, edges > 2)] == [2, *[1] * 14]
    assert sum(each.count for each in bins_of(np.zeros(0), np.zeros(0))) == 0


@pytest.mark.parametrize("factor", [0.4, 1, 3])
@pytest.mark.parametrize("make", [classes, several])
def test_the_temperature_is_what_logits_were_multiplied_with(make: Any, factor: float) -> None:
    found = make(4000, factor=factor)
    assert fit_temperature(found.scores, found.labels) == pytest.approx(factor, rel=0.1)
    measured = calibrate(found)
    assert measured.temperature == pytest.approx(factor, rel=0.15)
    assert measured.before is not None
    assert measured.after is not None
    assert measured.after < 0.035
    assert factor == 1 or measured.after < measured.before / 2
    assert f"A temperature of {measured.temperature:.2f}" in measured.sentences()[1]


def test_the_temperature_is_fitted_on_one_half_and_measured_on_the_other() -> None:
    """What is spoilt on the other half alone does not change it, and what it is worth there gets worse."""
    found = classes(1000, factor=3)
    order = np.random.default_rng(0).permutation(1000)
    spoilt = found.labels.copy()
    spoilt[order[500:]] = (spoilt[order[500:]] + 1) % 4
    before, after = calibrate(found), calibrate(Evaluation(found.class_names, spoilt, found.scores))
    assert after.temperature == before.temperature
    assert after.after is not None
    assert before.after is not None
    assert after.after > before.after + 0.1


def test_extreme_and_few_predictions_have_a_calibration(tmp_path: Path) -> None:
    truth = np.arange(300) % 2
    right, sure = np.eye(2)[truth], np.array([[0.9, 0.1], [0.1, 0.9]])[truth]
    for scores, error, temperature in (
        (right, 0.0, 1.0),
        (1 - right, 1.0, None),
        (np.full((300, 2), 0.5), 0.0, 1.0),
        (sure, 0.1, None),  # the colder the better
        (1 - sure, 0.9, None),  # the hotter the better
    ):
        for labels in (truth, np.eye(2, dtype="float32")[truth]):
            kind: Any = Evaluation if labels.ndim == 1 else LabelsEvaluation
            found = calibrate(kind(("a", "b"), labels, scores))
            assert found.error == pytest.approx(error)
            assert found.temperature == (None if temperature is None else pytest.approx(temperature))
            figures.draw_calibration(found, tmp_path / "drawn.png")
    for count in (1, 2, 99):
        few = calibrate(classes(count))
        assert few.temperature is None
        assert few.sentences() == [f"{count} images are too few to judge probabilities by; take 100 or more."]


def test_a_calibration_changes_nothing_that_was_predicted() -> None:
    for found in (classes(200, factor=3), several(200, factor=3)):
        before = found.scores.copy(), found.labels.copy()
        calibrate(found)
        curves_of(found)
        assert np.array_equal(found.scores, before[0])
        assert np.array_equal(found.labels, before[1])


def test_average_precision_is_that_of_scikit_learn_and_the_area_under_the_curve() -> None:
    found = classes(400, 5)
    curves = curves_of(found)
    assert [curve.average_precision for curve in curves] == sorted(curve.average_precision for curve in curves)
    for curve in curves:
        place = found.class_names.index(curve.name)
        assert curve.average_precision == average_precision_score(found.labels == place, found.scores[:, place])
        assert curve.precision.mean() == pytest.approx(curve.average_precision, abs=0.005)
    labelled = several(400, 5)
    assert {curve.name: curve.average_precision for curve in curves_of(labelled)} == labelled.average_precision()


def test_a_curve_is_that_which_a_hand_draws() -> None:
    """Of four images in the order right, wrong, right, wrong: precision 1 up to half of them, then 2 of 3."""
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    found = Evaluation(("a", "b", "nobody"), np.array([0, 1, 0, 1]), np.stack([scores, 1 - scores, 0 * scores], 1))
    curves = {curve.name: curve for curve in curves_of(found)}
    assert set(curves) == {"a", "b"}  # no image is of the third
    np.testing.assert_allclose(curves["a"].precision, np.where(RECALLS <= 0.5, 1, 2 / 3))


@pytest.mark.parametrize("names", [2, 12, 60])
@pytest.mark.parametrize("make", [classes, several])
def test_figures_of_any_number_of_classes_are_drawn(make: Any, names: int, tmp_path: Path) -> None:
    found = make(150, names)
    found = type(found)(("$5 and $6", "Кошка\n日本語" * 20, *found.class_names[2:]), found.labels, found.scores)
    figures.draw_precision_recall(found, tmp_path / "curves.png")
    figures.draw_calibration(calibrate(found), tmp_path / "calibration.png")
    for name in ("curves.png", "calibration.png"):
        with Image.open(tmp_path / name) as drawn:
            assert 500 < min(drawn.size) < max(drawn.size) < 1300
            assert np.asarray(drawn.convert("L")).std() > 5


def test_a_legend_covers_no_curve_and_names_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(figures, "_save", lambda figure, path: seen.append(figure))
    for found in (classes(300, 2), classes(3000, 60)):
        figures.draw_precision_recall(found, tmp_path / "curves.png")
        figure = seen.pop()
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert legend.get_window_extent().x0 >= figure.axes[0].get_window_extent().x1
        named = [text.get_text() for text in legend.get_texts()]
        worst = [f"{curve.name}: {curve.average_precision:.1%}" for curve in curves_of(found)[:5]]
        assert named[:-1] == worst
        assert named[-1].startswith(f"mean of {len(found.class_names)}: ")
