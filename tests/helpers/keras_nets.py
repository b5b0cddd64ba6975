"""The numbers of goldens of Keras' libraries and of BiT."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np


def keras_formula(name: str, shape: Sequence[int]) -> Any:
    """A variable's value, from its name in the golden and its shape alone."""
    rng = np.random.RandomState(int.from_bytes(hashlib.sha256(f"0:{name}".encode()).digest()[:4], "little"))
    match name.rpartition("/")[2]:
        case "moving_variance":
            value = rng.uniform(0.5, 1.5, shape)
        case "gamma":
            value = rng.uniform(0.2, 0.6, shape)
        case "kernel":
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        case "depthwise_kernel":  # a group has as many inputs as the multiplier says
            value = rng.standard_normal(shape) * np.sqrt(2 / np.prod((*shape[:2], shape[3])))
        case _:
            value = 0.1 * rng.standard_normal(shape)
    return value.astype("float32")
