"""The builder: any row of the plan as a functional Keras model, and the checks at its boundary."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import index
from typing import Any

import keras
from keras import layers

from keras_resnet import weights as weight_files
from keras_resnet.checkpoints import Checkpoint
from keras_resnet.errors import check_positive, choice_error
from keras_resnet.layers import Kit, Tensor, body
from keras_resnet.lineages import LINEAGES
from keras_resnet.preprocessing import preprocessing_layers
from keras_resnet.variants import Variant, plan


def ResNet(
    variant: Variant,
    include_top: bool = True,
    weights: weight_files.Weights = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    name: str | None = None,
    *,
    style: str | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds a residual network of any row as one flat functional graph of stock Keras layers.

    Example:

        thin = dataclasses.replace(keras_resnet.variants.RESNET34, name="thin", widths=(16, 32, 64, 128))
        model = keras_resnet.ResNet(thin, input_shape=(64, 64, 3), classes=10)

    Layer names, order of weights and defaults are those of `keras.applications`.

    Args:
        variant: the network, such as `keras_resnet.variants.RESNET50`, or a row of your own.
        include_top: whether the model ends in global average pooling and a classifier.
        weights: None (random), "imagenet", or the path of a `.keras`, `.weights.h5` or `.h5` file of the same network.
            ImageNet weights exist for ResNet 50, 101, 152, v1 and v2, in the style "keras".
        input_tensor: a Keras tensor of rank 4 to use as the image; what it was computed from becomes part of the model.
        input_shape: (height, width, channels), or (channels, height, width) where Keras' image data format says so.
            Height and width may be None. The default is 224x224x3 with top (32x32x3 if the stem does not pool, as in
            CIFAR nets), any size of 3 channels without. The named ImageNet networks want at least 32x32 here.
        pooling: without top, None for the last feature map (N, H, W, C), "avg" or "max" for a vector (N, C).
        classes: the number of classes, with top.
        classifier_activation: activation of the classifier, with top; None returns logits. Under a mixed dtype policy
            the classifier computes in float32.
        name: the name of the model.
        style: whose layout to follow, "keras" (keras.applications) or "torch" (torchvision, timm): where strides,
            biases and padding sit, epsilon, momentum and initialisation. None: the network's own, "torch" for the
            CIFAR nets, "keras" for the others.
        include_preprocessing: whether the graph begins with what the style's weights expect, so that raw RGB in
            [0, 255] goes in. It adds no weights. False: preprocess images yourself.

    Returns:
        A `keras.Model`. Input: float images (N, height, width, channels). Output: with top (N, classes); without, see
        `pooling`.

    Raises:
        ValueError: if an argument is not one of those above, or a weights file does not fit.
        OSError: if published weights are not in the cache and cannot be downloaded.
    """
    if not isinstance(variant, Variant):
        raise ValueError(f"`variant` must be a Variant, such as keras_resnet.variants.RESNET50; received {variant!r}.")
    if style is not None:
        styles = tuple(known for known, version in LINEAGES if version == variant.version)
        if style not in styles:
            raise choice_error("style", style, (None, *styles))
        variant = replace(variant, lineage=LINEAGES[style, variant.version])
    if pooling not in (None, "avg", "max"):
        raise choice_error("pooling", pooling, (None, "avg", "max"))
    data_format = keras.config.image_data_format()
    input_shape = standardize_shape(input_shape)
    if include_top:
        check_positive("classes", classes)
        _check_activation(classifier_activation, weights)
    image = _image(variant, include_top, input_tensor, input_shape, data_format)
    kit = Kit(variant.lineage, data_format)
    source = weight_files.find(weights, variant, include_top)
    if isinstance(source, Checkpoint):
        declared = input_shape[kit.channel_axis - 1] if input_shape else 3
        _check_published(include_top, classes, {declared, image.shape[kit.channel_axis]})
    x = preprocessing_layers(image, variant.lineage.preprocessing, data_format) if include_preprocessing else image
    x = body(x, plan(variant, image.shape[kit.channel_axis]), kit)
    if include_top:
        x = layers.GlobalAveragePooling2D(data_format=data_format, name="avg_pool")(x)
        x = layers.Dense(classes, classifier_activation, dtype=_classifier_dtype(), name="predictions")(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(data_format=data_format, name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(data_format=data_format, name="max_pool")(x)
    inputs = image if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    model = keras.Model(inputs, x, name=variant.name if name is None else name)
    if source:
        weight_files.load(model, source, variant)
    return model


def standardize_shape(input_shape: Sequence[int | None] | None, minimum: int = 1) -> tuple[int | None, ...] | None:
    """Three ints, height and width of at least so many pixels or None; an empty shape, or None, is None."""
    if input_shape is None:
        return None
    try:
        shape = tuple(None if size is None else index(size) for size in input_shape)
    except TypeError:
        shape = (0,)
    if not shape:
        return None
    first = keras.config.image_data_format() == "channels_first"
    least = (1, minimum, minimum) if first else (minimum, minimum, 1)
    if len(shape) != 3 or any(size is not None and size < small for size, small in zip(shape, least, strict=True)):
        raise ValueError(
            "`input_shape` must be three ints, such as (224, 224, 3), without the batch, with height and width of at "
            f"least {minimum}x{minimum}, or None; received {input_shape!r}."
        )
    check_positive("input_shape: channels", shape[0 if first else 2])
    return shape


def _check_activation(activation: str | Callable[..., Any] | None, weights: weight_files.Weights) -> None:
    """One that Keras knows; with weights, the one that they were trained for, or none."""
    function = keras.activations.get(activation)
    if weights is not None and function not in (keras.activations.softmax, keras.activations.linear):
        raise ValueError(
            f"`classifier_activation` must be None or 'softmax' with pretrained weights; received {activation!r}. "
            "With weights=None any activation is allowed."
        )


def _check_published(include_top: bool, classes: int, channels: set[int | None]) -> None:
    """1000 classes and 3 channels."""
    if include_top and classes != 1000:
        raise ValueError(
            f"`classes` must be 1000 with weights='imagenet' and include_top=True; received {classes!r}. "
            "For other classes pass include_top=False and add a classifier of your own."
        )
    if channels != {3}:
        (other,) = channels - {3}
        raise ValueError(
            f"`input_shape` must have 3 channels with weights='imagenet'; received {other!r}. "
            "Repeat gray images three times along the channels, or pass weights=None."
        )


def _image(
    variant: Variant,
    include_top: bool,
    input_tensor: Tensor | None,
    input_shape: tuple[int | None, ...] | None,
    data_format: str,
) -> Tensor:
    """The caller's tensor, or a new input."""
    if input_tensor is None:
        side = variant.image_side if include_top else None
        default = (side, side, 3) if data_format == "channels_last" else (3, side, side)
        return keras.Input(input_shape or default)
    if not keras.backend.is_keras_tensor(input_tensor) or len(input_tensor.shape) != 4:
        shape = getattr(input_tensor, "shape", None)
        raise ValueError(
            "`input_tensor` must be a Keras tensor of rank 4, such as keras.Input((224, 224, 3)); "
            f"received {type(input_tensor).__name__} of shape {shape}. To run on data, build the model and call it."
        )
    return input_tensor


def _classifier_dtype() -> str | None:
    """float32 where the global policy mixes a narrow computation with wide variables; else the policy's own."""
    policy = keras.config.dtype_policy()
    return "float32" if policy.compute_dtype != policy.variable_dtype else None
