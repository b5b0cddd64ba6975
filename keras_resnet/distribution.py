"""Training on several devices and in several processes, on each backend by its own engine."""

from keras_resnet.training.distribution import Place, here, share, spread, start

__all__ = ["Place", "here", "share", "spread", "start"]
