"""Saves a network's weights under the names of torchvision and timm."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.architecture.lineages import (
    BIT,
    KERAS_SENET,
    KERAS_SENET_1X1,
    SENET,
    SENET_1X1,
    TORCH_CIFAR,
    TORCH_V1,
)
from keras_resnet.checkpoints.families import timm
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.fit import tensors_of
from keras_resnet.checkpoints.families.standardized import unstandardized
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.models.inspection import Network, find_network
from keras_resnet.utils.errors import check_choice, import_optional
from keras_resnet.utils.files import atomic_file

__all__ = ["save_weights"]

PYTORCH = (".safetensors", ".pth", ".pt", ".bin")
# The styles of torchvision's and timm's networks, and whose names these have: the last, unless marks tell another.
_FAMILIES = {
    TORCH_V1.style: (timm.TIMM, TORCHVISION, timm.TIMM_V2),
    TORCH_CIFAR.style: (TORCHVISION,),
    SENET.style: (timm.SENET,),
    SENET_1X1.style: (timm.SENET,),
    BIT.style: (timm.TIMM_BIT,),
}


def save_weights(
    model: keras.Model, path: str | os.PathLike[str], format: str | None = None, *, scope: str | None = None
) -> None:
    """Saves the weights of a network to a PyTorch or safetensors file, for torchvision and timm.

    Example:

        model = keras_resnet.ResNet18(weights=None, style="torch")
        keras_resnet.save_weights(model, "mine.safetensors")
        # then torchvision.models.resnet18().load_state_dict(safetensors.torch.load_file("mine.safetensors"))

    Names and layout of the tensors are those of these libraries; all are float32. Batch norms get the counter
    `num_batches_tracked` with the value 0, which PyTorch uses only if their momentum is None. The classifier of a
    network of style "torch_cifar" is named `linear`, as in the published CIFAR nets. The kernels of a network of style
    "bit" are saved as they are, standardised, and timm standardises them again at each step: the outputs are the same.
    Behind a step of training they are not standardised any more, and no file of timm's would give the same outputs.

    Args:
        model: a model that is, or contains, a network of one of the styles "torch", "torch_cifar", "bit", "senet" and
            "senet_1x1".
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
    style = _style(model, network)
    family = _family(network, style)
    shared = family is TORCHVISION and not any(unit.averages for unit in network.plan.units)
    formats = ("torchvision", "timm") if shared else ("timm",)
    if format is not None:
        why = "" if shared else f" torchvision has no network of the kind of {model.name!r}."
        check_choice("format", format, formats, why)
    if path.suffix not in PYTORCH:
        raise ValueError(f"`path` must end in {', '.join(PYTORCH[:-1])} or {PYTORCH[-1]}; received {str(path)!r}.")
    tensors = _tensors(model, network, family, style)
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


def _style(model: keras.Model, network: Network) -> str:
    """The style of a network, in which torchvision or timm build it."""
    plan = network.plan
    style = next((each for each in network.styles if each in _FAMILIES), None)
    if style is None:
        own = {KERAS_SENET.style, KERAS_SENET_1X1.style} & set(network.styles)
        fix = "No such library has it." if own else "Build and train it with style='torch'."
        raise ValueError(
            f"`model` must be of style 'torch' for a file of torchvision or timm; {model.name!r} is built in style "
            f"{' or '.join(map(repr, network.styles)) or 'of its own'}, with other strides, biases or padding. {fix}"
        )
    if plan.stem and plan.units[0].name in network.striding:
        raise ValueError(
            f"`model` must be a network of torchvision or timm; the first stage of {model.name!r} strides, as none of "
            "theirs does. Save it as a file of Keras, with model.save_weights."
        )
    return style


def _family(network: Network, style: str) -> Family:
    """Whose names torchvision or timm give to a network of this style."""
    families = [each for each in _FAMILIES[style] if each.version == network.plan.version]
    return next((each for each in families if each.has_marks(tensors_of(each, network.plan))), families[-1])


def _tensors(model: keras.Model, network: Network, family: Family, style: str) -> dict[str, Any]:
    """A network's variables by their names in files of a family, as these have them."""
    modules = dict(family.names(network.with_tail)) if family.names else {}
    own_top = next((module for module, told in family.tells.items() if told == style), None)
    modules["predictions"] = own_top or modules["predictions"]
    tensors: dict[str, Any] = {}
    for ours, module in modules.items():
        for variable in network.layers[ours].weights if ours in network.layers else ():
            value: Any = np.asarray(keras.ops.convert_to_numpy(variable), "float32")
            if value.ndim == 4 and style == BIT.style:
                value = unstandardized(value, family.standardized)
                if value is None:
                    raise ValueError(
                        f"`model`: the kernel of {ours!r} in {model.name!r} is not standardised, as behind a step of "
                        "training, and timm, which standardises all kernels of BiT's networks, would compute other "
                        "outputs. Save it as a file of Keras, with model.save_weights."
                    )
            tensors[family.tensor(module, variable.name)] = np.ascontiguousarray(family.theirs(value))
            if variable.name == "moving_variance":
                tensors[f"{module}.num_batches_tracked"] = np.zeros((), "int64")  # PyTorch's norms want one
    return tensors
