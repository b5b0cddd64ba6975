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
    """Saves the weights of a network to a PyTorch or safetensors file, for torchvision and timm.

    Example:

        model = keras_resnet.ResNet50(weights=None, style="torch")
        keras_resnet.save_weights(model, "mine.safetensors")
        torchvision.models.resnet50().load_state_dict(safetensors.torch.load_file("mine.safetensors"))

    Names and layout of the tensors are those of these libraries; all are float32. Batch norms get the counter
    `num_batches_tracked` with the value 0, which PyTorch uses only if their momentum is None. The classifier of a
    network of style "torch_cifar" is named `linear`, as in the published CIFAR nets.

    Args:
        model: a model that is, or contains, a network of style "torch" or "torch_cifar".
        path: a file that ends in `.safetensors` (needs safetensors), `.pth`, `.pt` or `.bin` (need PyTorch). Its folder
            must exist.
        format: "torchvision" (v1) or "timm" (v1 or v2); None: the one that has the network.
        scope: the name of the network, if the model holds several.

    Raises:
        ValueError: if the network is of another style, the format does not know it, or the path has another suffix.
        ImportError: if a library is missing.
        OSError: if the file cannot be written; an existing file does not change.
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
            f"`model` must be of style 'torch' for a file of torchvision or timm; {model.name!r} is built in style "
            f"{' or '.join(map(repr, network.styles)) or 'of its own'}, with other strides, biases or padding. Build "
            "and train it with style='torch'."
        )
    if path.suffix not in PYTORCH:
        raise ValueError(f"`path` must end in {', '.join(PYTORCH[:-1])} or {PYTORCH[-1]}; received {str(path)!r}.")
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
            part.touch()
            mode = part.stat().st_mode
            import_optional("safetensors.numpy", "checkpoints").save_file(tensors, part, metadata={"format": "pt"})
            part.chmod(mode)  # the library's files are their owner's alone
        else:
            torch = import_optional("torch", "torch")
            with part.open("wb") as file:
                torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, file)
