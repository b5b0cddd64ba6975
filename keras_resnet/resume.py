"""A callback that notes epochs and goes on after a kill."""

from keras_resnet.training.resume import Resume

__all__ = ["Resume"]
