"""Preprocessing of images (caffe, tf, torch, means), as a function and as layers."""

import sys
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_resnet.checkpoints.scaling import Scaling
from keras_resnet.models.arguments import standardize_data_format

# Means and standard deviations of ImageNet's pixels in [0, 255], by mode; RGB, but in "caffe", which is BGR.
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
TORCH_MEAN_RGB = (255 * 0.485, 255 * 0.456, 255 * 0.406)
TORCH_STD_RGB = (255 * 0.229, 255 * 0.224, 255 * 0.225)
_ONES = (1.0, 1.0, 1.0)
_SCALES = {
    "none": ((0.0, 0.0, 0.0), _ONES),  # MXNet's networks, which begin with a norm
    "caffe": (CAFFE_MEAN_BGR, _ONES),  # Caffe, keras.applications v1
    "rgb_means": (CAFFE_MEAN_BGR[::-1], _ONES),  # TF-Slim v1
    "torch": (TORCH_MEAN_RGB, TORCH_STD_RGB),  # torchvision, most of timm's, transformers
    "swav": (TORCH_MEAN_RGB, (255 * 0.228, *TORCH_STD_RGB[1:])),  # SwAV's code differs in red
}


def mode_of(scaling: Scaling) -> str:
    """Returns the mode that scales as is stated.

    Raises:
        ValueError: if there is none.
    """
    half = (127.5,) * 3
    try:
        stated = 255 * np.array(scaling[:2], "float64")
    except (TypeError, ValueError, OverflowError):  # no numbers, or not as many of each
        stated = np.zeros(0)
    for mode, scale in (_SCALES | {"tf": (half, half)}).items():
        if mode != "caffe" and stated.shape == (2, 3) and np.allclose(stated, scale, rtol=1e-3):  # which is of BGR
            return mode
    said = scaling.said or (
        "that the config beside the weights states, with the means "
        f"{scaling.mean!s:.99} and standard deviations {scaling.deviation!s:.99}"
    )
    raise ValueError(
        f"`include_preprocessing=True` does not know the scaling {said}. Pass include_preprocessing=False, and scale "
        "images before the model."
    )


def preprocess_input(x: Any, mode: str, data_format: str | None = None) -> Any:
    """Scales RGB images in [0, 255] as weights of this mode need it.

    Args:
        x: images (..., height, width, 3), or (..., 3, height, width): a NumPy array, a Keras tensor, or a tensor of
            TensorFlow, JAX or PyTorch on any backend, as in `dataset.map(preprocess_input)` of a `tf.data` pipeline.
            It is not changed. Integers become Keras' default float.
        mode: "tf": RGB in [-1, 1]; "caffe": BGR minus ImageNet's means; "rgb_means": RGB minus ImageNet's means;
            "torch": RGB minus ImageNet's means, divided by its standard deviations; "swav": as "torch", with the
            standard deviations of SwAV; "none": RGB in [0, 255], as it is.
        data_format: "channels_last" or "channels_first"; None is Keras' own setting.

    Returns:
        The same kind of array or tensor, of the same shape.

    Raises:
        ValueError: if `data_format` is another, or a mode but "tf" gets other than 3 channels.
    """
    data_format = standardize_data_format(data_format)
    x = x if hasattr(x, "dtype") else np.asarray(x)
    cast, constant, flip = _operations(x)
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        x = cast(x, keras.config.floatx())
    if mode == "tf":
        return x / 127.5 - 1.0
    check_rgb(x, data_format)
    first = data_format == "channels_first"
    mean, std = (constant([[[value]] for value in row] if first else row, x.dtype) for row in _SCALES[mode])
    if mode == "caffe":
        x = flip(x, -3 if first else -1)
    return (x - mean) / std


def check_rgb(x: Any, data_format: str | None = None) -> None:
    """Raises a `ValueError` unless images have 3 channels, as far as their shape tells."""
    first = standardize_data_format(data_format) == "channels_first"
    if x.shape[-3 if first else -1] not in (3, None):  # a pipeline of TensorFlow may not know
        raise ValueError(
            f"`x` must have 3 channels, RGB, {'before' if first else 'after'} height and width; "
            f"received the shape {tuple(x.shape)}."
        )


def _operations(x: Any) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """`cast`, `constant` and `flip` of the library that an array is of: a pipeline need not be of the backend's."""
    libraries = {cls.__module__.partition(".")[0] for cls in type(x).__mro__}
    if "keras" in libraries:
        return ops.cast, ops.array, ops.flip
    if "tensorflow" in libraries:
        tf: Any = sys.modules["tensorflow"]  # not imported: AutoGraph warns of what it can't read
        return tf.cast, tf.constant, lambda x, axis: tf.reverse(x, [axis])
    if "torch" in libraries:
        torch: Any = sys.modules["torch"]
        return (
            lambda x, dtype: x.to(getattr(torch, dtype)),
            lambda value, dtype: torch.tensor(value, dtype=dtype, device=x.device),
            lambda x, axis: torch.flip(x, (axis,)),
        )
    xp: Any = sys.modules["jax.numpy"] if libraries & {"jax", "jaxlib"} else np
    return lambda x, dtype: x.astype(dtype), xp.array, xp.flip


def preprocessing_layers(x: Any, mode: str, data_format: str, gray_stem: bool = False) -> Any:
    """Turns raw pixels in [0, 255], a Keras tensor, into what weights of this mode expect; adds no weights.

    Of N channels the first three are RGB, and means and deviations repeat, as `adapt_channels` repeats kernels.

    Args:
        x: images, of 1 channel or more.
        mode: of `preprocess_input`; works in float32 under any dtype policy.
        data_format: of `x`.
        gray_stem: whether the network's stem is of 1 channel, as in some files, so that gray images stay gray; if
            False, they become RGB, of three equal channels.

    Raises:
        ValueError: if the number of channels is unknown, or the mode has means that no stem of 1 channel knows.
    """
    axis = 3 if data_format == "channels_last" else 1
    channels = x.shape[axis]
    if channels is None or (gray_stem and mode != "tf"):
        held = "an input of unknown channels" if channels is None else "weights for gray images"
        raise ValueError(
            f"`include_preprocessing=True` needs a known number of channels, and weights for RGB images; received "
            f"{held}. Pass include_preprocessing=False, and preprocess such images before the model."
        )
    if channels == 1 and not gray_stem:
        x, channels = layers.Concatenate(axis=axis, dtype="float32", name="preprocess_rgb")([x, x, x]), 3
    if mode == "tf":
        return layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="preprocess")(x)
    if mode == "caffe" and channels >= 3:
        # A negative slice fails on torch, and a convolution would add weights: crop each channel, and join them again.
        # A cropping layer of the other data_format takes channels for width (channels last) or height.
        other = "channels_first" if data_format == "channels_last" else "channels_last"
        bgr = []
        for first, name in ((2, "blue"), (1, "green"), (0, "red"), (3, "others"))[: 3 + (channels > 3)]:
            crop = (first, 0 if name == "others" else channels - 1 - first)
            cropping = ((0, 0), crop) if other == "channels_first" else (crop, (0, 0))
            bgr.append(layers.Cropping2D(cropping, other, dtype="float32", name=f"preprocess_{name}")(x))
        x = layers.Concatenate(axis=axis, dtype="float32", name="preprocess_bgr")(bgr)
    mean, std = (list(islice(cycle(row), channels)) for row in _SCALES[mode])
    variance = [deviation**2 for deviation in std]
    return layers.Normalization(axis, mean, variance, dtype="float32", name="preprocess")(x)
