"""Class names: those of ImageNet, and those stored in a trained model."""

from keras_resnet.models.labels import class_names, decode_predictions, imagenet_classes, with_class_names

__all__ = ["class_names", "decode_predictions", "imagenet_classes", "with_class_names"]
