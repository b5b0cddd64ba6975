"""keras.applications.resnet50: the network and its preprocessing."""

from keras_resnet.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
