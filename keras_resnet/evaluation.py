"""Evaluation of a model on images whose classes, labels or numbers are known, and the metrics that follow."""

from keras_resnet.training.evaluation import Evaluation, LabelsEvaluation, RegressionEvaluation, evaluate

__all__ = ["Evaluation", "LabelsEvaluation", "RegressionEvaluation", "evaluate"]
