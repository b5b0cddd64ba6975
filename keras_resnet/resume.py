"""A callback that saves the state of a training, so that an interrupted run can be resumed."""

from keras_resnet.training.resume import Resume

__all__ = ["Resume"]
