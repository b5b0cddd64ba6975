"""Saves a network's weights under the names of torchvision and timm."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.checkpoints.families.timm import TIMM_V2
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.models.inspection import find_network
from keras_resnet.utils.errors import check_choice, import_optional
from keras_resnet.utils.files import atomic_file

__all__ = ["save_weights"]

PYTORCH = (".safetensors", ".pth", ".pt", ".bin")


def save_weights(
    model: keras.Model, path: str | os.PathLike[str], format: str | None = None, *, scope: str | None = None
) -> None:
    """Writes a network's weights as PyTorch's libraries have them: names and layout, in float32.

    Example:

        keras_resnet.save_weights(model, "mine.safetensors")
        torchvision.models.resnet50().load_state_dict(safetensors.torch.load_file("mine.safetensors"))

    Norms get the counter `num_batches_tracked`, 0, which PyTorch uses only where their momentum is None. The classifier
    of a network of style "torch_cifar" is called as in the published CIFAR nets, `linear`: by that it is told.

    Args:
        model: a model that is, or contains, a network of style "torch" or "torch_cifar".
        path: ends in `.safetensors` (which needs safetensors), or in `.pth`, `.pt` or `.bin` (which needs PyTorch).
        format: "torchvision" (v1) or "timm" (v1, whose names are torchvision's, or v2); None is whichever has the
            network.
        scope: which network is meant if the model holds several.

    Raises:
        ValueError: if the network is of another style, the format has no names for it, or the path another ending.
        ImportError: if a library is missing.
        OSError: if the file can't be written; what was there is as it was.
    """
    network, path = find_network(model, scope), Path(os.fsdecode(path))
    version = network.plan.version
    formats = ("torchvision", "timm") if version == 1 else ("timm",)
    if format is not None:
        check_choice("format", format, formats, f" {model.name!r} is a v{version} network.")
    told = {style: module for module, style in TORCHVISION.tells.items()}
    style = next((each for each in network.styles if each == "torch" or each in told), None)
    if style is None:
        raise ValueError(
            f"`model`: {model.name!r} is built in style {' or '.join(map(repr, network.styles))}, and files of "
            "torchvision and timm mean networks of style 'torch', with other strides, biases or padding. Build it with "
            "style='torch', and train it so."
        )
    if path.suffix not in PYTORCH:
        raise ValueError(f"`path` must end in one of {', '.join(PYTORCH)}; received {str(path)!r}.")
    family = TORCHVISION if version == 1 else TIMM_V2
    modules = dict(family.names(network.with_tail)) if family.names else {}
    modules["predictions"] = told.get(style, modules["predictions"])
    tensors: dict[str, Any] = {}
    for ours, module in modules.items():
        for variable in network.layers[ours].weights if ours in network.layers else ():
            value = np.asarray(keras.ops.convert_to_numpy(variable), "float32")
            tensors[family.tensor(module, variable.name)] = np.ascontiguousarray(family.theirs(value))
            if variable.name == "moving_variance":
                tensors[f"{module}.num_batches_tracked"] = np.zeros((), "int64")  # PyTorch's norms want one
    with atomic_file(path) as part:
        if path.suffix == ".safetensors":
            import_optional("safetensors.numpy", "checkpoints").save_file(tensors, part, metadata={"format": "pt"})
        else:
            torch = import_optional("torch", "torch")
            with part.open("wb") as file:
                torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, file)
