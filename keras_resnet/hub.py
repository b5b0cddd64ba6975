"""A network as a backbone of KerasHub's tasks. Import this module before you load a saved task."""

from keras_resnet.models.backbones.keras_hub import Backbone

__all__ = ["Backbone"]
