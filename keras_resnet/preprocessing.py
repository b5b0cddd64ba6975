"""What published weights expect of an image, and the layers that make it so."""

from typing import Any

from keras import layers

# Means and standard deviations of ImageNet's pixels in [0, 255], in the order of channels that follows.
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # Caffe, keras.applications v1
TORCH_MEAN_RGB = (255 * 0.485, 255 * 0.456, 255 * 0.406)  # torchvision
TORCH_STD_RGB = (255 * 0.229, 255 * 0.224, 255 * 0.225)


def preprocessing_layers(x: Any, mode: str, data_format: str) -> Any:
    """Turns raw RGB in [0, 255], a Keras tensor, into what weights of this mode expect; adds no weights.

    Modes are those of keras.applications: "caffe" (BGR less means), "tf" ([-1, 1]), "torch" (deviations from means).
    Works in float32 under any dtype policy.
    """
    if mode == "tf":
        return layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="preprocess")(x)
    axis = 3 if data_format == "channels_last" else 1
    if x.shape[axis] != 3:
        raise ValueError(
            f"`include_preprocessing=True` needs 3 channels, RGB; received an input with {x.shape[axis]}. "
            "Preprocess such images before the model."
        )
    mean, std = TORCH_MEAN_RGB, TORCH_STD_RGB
    if mode == "caffe":
        mean, std = CAFFE_MEAN_BGR, (1.0, 1.0, 1.0)
        # A negative slice fails on torch, and a convolution would add weights: crop each channel, and join them again.
        # A cropping layer of the other data_format takes channels for width (channels last) or height.
        other = "channels_first" if data_format == "channels_last" else "channels_last"
        bgr = []
        for channel, name in ((2, "blue"), (1, "green"), (0, "red")):
            crop = (channel, 2 - channel)
            cropping = ((0, 0), crop) if other == "channels_first" else (crop, (0, 0))
            bgr.append(layers.Cropping2D(cropping, other, dtype="float32", name=f"preprocess_{name}")(x))
        x = layers.Concatenate(axis=axis, dtype="float32", name="preprocess_bgr")(bgr)
    variance = [deviation**2 for deviation in std]
    return layers.Normalization(axis, list(mean), variance, dtype="float32", name="preprocess")(x)
