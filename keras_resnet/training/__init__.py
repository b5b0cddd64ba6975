"""A training run, from recipe to report."""

from keras_resnet.training.run import Recipe, compile_for, fine_tuning, train

__all__ = ["Recipe", "compile_for", "fine_tuning", "train"]
