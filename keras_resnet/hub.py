"""A network as keras_hub's tasks want it. Importing this module lets a saved task load."""

from keras_resnet.models.backbones.keras_hub import Backbone

__all__ = ["Backbone"]
