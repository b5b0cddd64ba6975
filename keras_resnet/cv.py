"""A network as keras_cv's tasks want it. Importing this module lets a saved task load."""

from keras_resnet.models.backbones.keras_cv import Backbone

__all__ = ["Backbone"]
