"""Evaluation of a classifier on labelled images: accuracy, confusion matrix, precision, recall."""

from keras_resnet.training.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
