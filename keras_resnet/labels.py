"""Class names: those of ImageNet, and what a trained model says of itself: its class names, its task and more."""

from keras_resnet.models.description import Description, description_of, with_description
from keras_resnet.models.labels import class_names, decode_predictions, imagenet_classes, with_class_names

__all__ = [
    "Description",
    "class_names",
    "decode_predictions",
    "description_of",
    "imagenet_classes",
    "with_class_names",
    "with_description",
]
