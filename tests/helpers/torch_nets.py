"""The state dicts of the goldens: made again from the names and shapes of their keys, and written as files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors.numpy import save_file

GOLDENS = Path(__file__).parents[1] / "goldens" / "torch"
TORCH = keras.backend.backend() == "torch"


def formula(name: str, shape: list[int]) -> Any:
    """The weights with which the goldens were made: a function of name and shape."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    rng = np.random.RandomState(int.from_bytes(hashlib.sha256(f"0:{name}".encode()).digest()[:4], "little"))
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype("f4")
    if name.endswith("running_mean"):
        return (0.1 * rng.standard_normal(shape)).astype("f4")
    if len(shape) == 1:
        value = rng.uniform(0.2, 0.6, shape) if name.endswith("weight") else 0.1 * rng.standard_normal(shape)
        return value.astype("f4")
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype("f4")


def keys(net: str) -> dict[str, list[int]]:
    """The keys of a golden's state dict and their shapes."""
    found: dict[str, list[int]] = json.loads((GOLDENS / f"{net}.keys.json").read_text())
    return found


def state_dict(net: str) -> dict[str, Any]:
    return {name: formula(name, shape) for name, shape in keys(net).items()}


def golden(net: str) -> Any:
    return np.load(GOLDENS / f"{net}.npz")


def image(height: int, width: int) -> Any:
    """The goldens' images, channels last."""
    x = np.random.RandomState(1).uniform(-1, 1, (2, 3, height, width)).astype("f4")
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def write(path: Path, tensors: dict[str, Any], legacy: bool = False) -> Path:
    """Writes a file: safetensors, or PyTorch's if it is called so."""
    if path.suffix == ".safetensors":
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
    else:
        import torch

        found = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
        torch.save(found, path, _use_new_zipfile_serialization=not legacy)
    return path
