"""The facade that image-classifiers' `classification_models` had: `Classifiers`."""

from keras_resnet.models.classification_models import Classifiers

__all__ = ["Classifiers"]
