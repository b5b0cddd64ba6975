"""The facade that keras.applications.resnet_v2 has: the v2 networks and their preprocessing."""

from typing import Any

from keras_resnet.models import preprocessing
from keras_resnet.models.labels import decode_predictions
from keras_resnet.models.networks import ResNet18V2, ResNet34V2, ResNet50V2, ResNet101V2, ResNet152V2, ResNet200V2

__all__ = [
    "ResNet18V2",
    "ResNet34V2",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "ResNet200V2",
    "decode_predictions",
    "preprocess_input",
]


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Turns RGB images in [0, 255] into what the weights of `keras.applications.resnet_v2` expect: RGB in [-1, 1].

    Example:

        scaled = keras_resnet.resnet_v2.preprocess_input(images)

    Args:
        x: images (..., height, width, 3), or (..., 3, height, width): a NumPy array, a backend's tensor or a Keras
            tensor. It is not changed. Integers become Keras' default float.
        data_format: "channels_last" or "channels_first"; None is Keras' own setting.

    Returns:
        Floats of the same shape, of the same kind of array or tensor.

    Raises:
        ValueError: if `data_format` is another.
    """
    return preprocessing.preprocess_input(x, "tf", data_format)
