"""The files that say where a model errs: mistakes, precision and recall, calibration."""

from collections.abc import Mapping
from pathlib import Path

from keras_resnet.data.pictures import Pictures
from keras_resnet.training import figures, run_folder
from keras_resnet.training.calibration import Calibration, calibrate
from keras_resnet.training.evaluation import AnyEvaluation, RegressionEvaluation
from keras_resnet.training.mistakes import write_mistakes


def write_findings(
    folder: Path, found: Mapping[str, AnyEvaluation], data: Mapping[str, Pictures]
) -> Calibration | None:
    """Writes `mistakes.csv` of all sides, and of the first, for classes and labels, the figures `precision_recall.png`
    and `calibration.png`.

    Args:
        folder: where.
        found: by side, what `keras_resnet.evaluation.evaluate` returned.
        data: by side, the images.

    Returns:
        The calibration; None for numbers.
    """
    write_mistakes(folder / run_folder.MISTAKES, found, data)
    first = next(iter(found.values()))
    if isinstance(first, RegressionEvaluation):
        return None
    figures.draw_precision_recall(first, folder / run_folder.PRECISION_RECALL)
    measured = calibrate(first)
    figures.draw_calibration(measured, folder / run_folder.CALIBRATION)
    return measured
