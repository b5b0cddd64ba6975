"""Class names: ImageNet's, and those that a trained model carries with it."""

from keras_resnet.models.labels import class_names, decode_predictions, imagenet_classes, with_class_names

__all__ = ["class_names", "decode_predictions", "imagenet_classes", "with_class_names"]
