"""The facade that keras.applications.resnet50 has: `ResNet50` and its preprocessing."""

from keras_resnet.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
