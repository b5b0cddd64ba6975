"""Training runs, from recipe to report, and cross-validation."""

from keras_resnet.training.folds import train_folds
from keras_resnet.training.recipe import Recipe, compile_for, fine_tuning
from keras_resnet.training.run import train

__all__ = ["Recipe", "compile_for", "fine_tuning", "train", "train_folds"]
