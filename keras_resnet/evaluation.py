"""What a classifier does with pictures of known classes: accuracy, confusion, precision, recall."""

from keras_resnet.training.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
