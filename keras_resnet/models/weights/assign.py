"""Puts arrays into variables: all of them or none."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_resnet.checkpoints.mismatch import NOT_FINITE


def fault(value: Any, dtype: str) -> str | None:
    """Why a variable of this dtype can't take an array, if it can't."""
    if value.dtype.kind != "f":
        return f"{value.dtype}, no floats"
    if not np.isfinite(value).all():
        return NOT_FINITE
    most = np.finfo("float16" if dtype == "float16" else "float32").max
    if dtype != "float64" and np.finfo(value.dtype).max > most and np.abs(value).max(initial=0) > most:
        return f"too large for {dtype}"
    return None


def adapt_channels(kernel: Any, channels: int) -> Any:
    """A stem's kernel for images of other channels that gives much the same: summed, or repeated and scaled."""
    if channels == 1:
        return kernel.sum(2, keepdims=True)
    held = kernel.shape[2]
    return np.tile(kernel, (1, 1, -(-channels // held), 1))[:, :, :channels] * np.float32(held / channels)


def assign(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Gives every variable its value, or, if that fails, what it had."""
    before = []
    try:
        for variable, value in pairs:
            before.append((variable, keras.ops.convert_to_numpy(variable).copy()))
            variable.assign(value.reshape(variable.shape))
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise
