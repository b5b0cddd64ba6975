"""Checks of a builder's arguments: shapes, tensors, dtype policies, regularizers, activations."""

import os
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import keras
import numpy as np

from keras_resnet.utils.errors import check_choice, check_positive

Tensor = Any  # a KerasTensor of rank 4; Keras ships no types


def standardize_data_format(data_format: str | None) -> str:
    """Returns the order of axes; None is Keras' own setting."""
    if data_format is None:
        return str(keras.config.image_data_format())
    check_choice("data_format", data_format, (None, "channels_last", "channels_first"))
    return data_format


def standardize_include_top(include_top: Any) -> bool:
    """Returns whether there is a top; 0, 1 and None mean what they mean to keras.applications."""
    if include_top is None or (isinstance(include_top, (bool, np.bool_, int, np.integer)) and include_top in (0, 1)):
        return bool(include_top)
    received, hint = repr(include_top), ""
    if keras.backend.is_keras_tensor(include_top):
        hint = (
            " Pass a tensor as input_tensor=... (The older package of this name took it first. Its arguments `blocks`, "
            "`freeze_bn` and `numerical_names` do not exist here.)"
        )
    elif isinstance(include_top, str) and include_top.lower() in ("true", "false"):
        hint = f" Did you mean {include_top.capitalize()}, without quotes?"
    elif isinstance(include_top, (str, os.PathLike)):
        hint = f" Pass weights as weights={received}."
    elif isinstance(include_top, (tuple, list)):
        hint = f" Pass a shape as input_shape={received}."
    elif hasattr(include_top, "shape"):
        received = f"{type(include_top).__name__} of shape {tuple(include_top.shape)}"
        hint = " To run the model on data, build it and call it."
    raise ValueError(f"`include_top` must be True or False; received {received}.{hint}")


def standardize_shape(
    input_shape: Sequence[int | None] | None, data_format: str, minimum: int = 1
) -> tuple[int | None, ...] | None:
    """Returns three ints, height and width of at least so many pixels or None; an empty shape, or None, is None."""
    if input_shape is None:
        return None
    try:
        shape = tuple(None if size is None else index(size) for size in input_shape)
    except TypeError:
        shape = (0,)
    if not shape:
        return None
    first = data_format == "channels_first"
    least = (1, minimum, minimum) if first else (minimum, minimum, 1)
    if len(shape) != 3 or any(size is not None and size < small for size, small in zip(shape, least, strict=True)):
        example = (3, 224, 224) if first else (224, 224, 3)
        raise ValueError(
            f"`input_shape` must be None or three ints without the batch axis, such as {example}, with height and "
            f"width of at least {minimum}; received {input_shape!r}."
        )
    check_positive("input_shape: channels", shape[0 if first else 2])
    return shape


def standardize_dtype(dtype: Any) -> keras.DTypePolicy:
    """Returns the policy that a name means; None is Keras' own setting."""
    try:
        policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)
        policy = keras.dtype_policies.get(policy.name)  # a map of policies has a name that is none
        floating = all(map(keras.backend.is_float_dtype, (policy.compute_dtype, policy.variable_dtype)))
    except (ValueError, TypeError, AttributeError):
        floating = False
    if not floating or policy.quantization_mode is not None:
        raise ValueError(
            "`dtype` must be None or a floating-point dtype policy, such as 'float32', 'mixed_bfloat16' or a "
            f"keras.DTypePolicy; received {dtype!r}."
        )
    return policy


def standardize_regularizer(regularizer: Any) -> keras.Regularizer | None:
    """Returns the regularizer that a name means, one that takes kernels of rank 4."""
    try:
        found = keras.regularizers.get(regularizer)
        if found is not None:
            found(keras.ops.ones((1, 1, 1, 1)))
    except (ValueError, TypeError) as error:
        raise ValueError(
            "`kernel_regularizer` must be None or a regularizer of a convolution's kernel, such as 'l2' or "
            f"keras.regularizers.L2(5e-5); received {regularizer!r}."
        ) from error
    return found


def check_activation(activation: str | Callable[..., Any] | None, pretrained: bool) -> None:
    """Raises unless Keras knows the activation; with weights, unless it is the one they were trained for, or None."""
    try:
        function = keras.activations.get(activation)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "`classifier_activation` must be None or an activation of Keras, such as 'softmax'; "
            f"received {activation!r}."
        ) from error
    if pretrained and function not in (keras.activations.softmax, keras.activations.linear):
        raise ValueError(
            f"`classifier_activation` must be None or 'softmax' with pretrained weights; received {activation!r}. "
            "Any activation is allowed with weights=None."
        )


def check_tensor(argument: str, tensor: Tensor) -> None:
    """Raises unless it is symbolic and of rank 4."""
    if not keras.backend.is_keras_tensor(tensor) or len(tensor.shape) != 4:
        shape = getattr(tensor, "shape", None)
        raise ValueError(
            f"`{argument}` must be a Keras tensor of rank 4, such as keras.Input((224, 224, 3)); "
            f"received {type(tensor).__name__} of shape {shape}. To run the model on data, build it and call it."
        )
