"""A network as a backbone of KerasCV's tasks. Import this module before you load a saved task."""

from keras_resnet.models.backbones.keras_cv import Backbone

__all__ = ["Backbone"]
