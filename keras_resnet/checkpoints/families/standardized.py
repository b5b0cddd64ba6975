"""Weight standardisation (arXiv:1903.10520): kernels of mean 0 and variance 1, filter by filter, and back."""

from typing import Any

import numpy as np

_AXES = (0, 1, 2)  # height, width, channels in
_ROUNDING = 1e-5  # of a variance, in float32


def standardized(kernel: Any, epsilon: float) -> Any:
    """The kernel by which a standardised convolution convolves: (w - mean) / sqrt(variance + epsilon)."""
    with np.errstate(all="ignore"):  # of numbers that are not finite
        mean, variance = kernel.mean(_AXES, "float64"), kernel.var(_AXES, "float64")
        return ((kernel - mean) / np.sqrt(variance + epsilon)).astype(kernel.dtype)


def unstandardized(kernel: Any, epsilon: float) -> Any | None:
    """A kernel that becomes this one when it is standardised; None if there is none, as behind a step of training.

    Kernels come back as they were standardised, but for those of small variance, which epsilon has made smaller still.
    """
    mean, variance = kernel.mean(_AXES, "float64"), kernel.var(_AXES, "float64")
    if np.abs(mean).max() > _ROUNDING or variance.max() > 1 + _ROUNDING:
        return None
    lacking = 1 - variance
    scale = np.where(lacking > _ROUNDING, np.sqrt(epsilon / np.maximum(lacking, epsilon)), 1.0)
    return (kernel * scale).astype(kernel.dtype)
