"""The facade that tf.keras.applications.resnet_rs was: the ResNet-RS, which take raw pixels."""

from typing import Any

from keras_resnet.models.labels import decode_predictions
from keras_resnet.models.networks import (
    ResNetRS50,
    ResNetRS101,
    ResNetRS152,
    ResNetRS200,
    ResNetRS270,
    ResNetRS350,
    ResNetRS420,
)

__all__ = [
    "ResNetRS50",
    "ResNetRS101",
    "ResNetRS152",
    "ResNetRS200",
    "ResNetRS270",
    "ResNetRS350",
    "ResNetRS420",
    "decode_predictions",
    "preprocess_input",
]


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Returns images as they are: a ResNet-RS takes RGB in [0, 255] and scales it itself, by default.

    Example:

        same = keras_resnet.resnet_rs.preprocess_input(images)

    Args:
        x: images, of any kind.
        data_format: is not used.
    """
    return x
