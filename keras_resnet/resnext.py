"""The facade that keras-applications' resnext had: the ResNeXts and their preprocessing."""

from typing import Any

from keras_resnet.models import preprocessing
from keras_resnet.models.labels import decode_predictions
from keras_resnet.models.networks import ResNeXt50, ResNeXt101

__all__ = ["ResNeXt50", "ResNeXt101", "decode_predictions", "preprocess_input"]


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Turns RGB images in [0, 255] into what the weights of ResNeXts expect: mean 0 and deviation 1 in each channel.

    Example:

        scaled = keras_resnet.resnext.preprocess_input(images)

    Args:
        x: images (..., height, width, 3), or (..., 3, height, width): a NumPy array, a backend's tensor or a Keras
            tensor. It is not changed. Integers become Keras' default float.
        data_format: "channels_last" or "channels_first"; None is Keras' own setting.

    Returns:
        Floats of the same shape, of the same kind of array or tensor.

    Raises:
        ValueError: if `data_format` is another, or the images do not have 3 channels.
    """
    return preprocessing.preprocess_input(x, "torch", data_format)
