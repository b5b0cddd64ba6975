"""Figures of a training: curves, confusion, predictions."""

from keras_resnet.training.figures import draw_confusion, draw_curves, draw_predictions, draw_ratios

__all__ = ["draw_confusion", "draw_curves", "draw_predictions", "draw_ratios"]
