"""A training run, from recipe to report."""

from keras_resnet.training.recipe import Recipe, compile_for, fine_tuning
from keras_resnet.training.run import train

__all__ = ["Recipe", "compile_for", "fine_tuning", "train"]
