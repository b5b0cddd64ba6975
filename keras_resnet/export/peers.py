"""A weights file in the library that it is of: the same network there, and what it makes of images."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from keras_resnet.architecture.rows import BUILDERS
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.families.family import HUGGINGFACE, KERAS, TIMM_V2, TORCHVISION, Family
from keras_resnet.checkpoints.families.names import timm_network

# The depths that each library has.
_DEPTHS: dict[str, dict[Family, set[int]]] = {
    "torchvision": {TORCHVISION: {18, 34, 50, 101, 152}},
    "timm": {TORCHVISION: {18, 26, 34, 50, 101, 152, 200}, TIMM_V2: {18, 34, 50, 101, 152}},
    "transformers": {HUGGINGFACE: {18, 26, 34, 50, 101, 152, 200}},
}


def peer(family: Family, variant: Variant) -> tuple[str | None, tuple[str, ...]]:
    """The library here that runs a family's files of a network, if there is one, and those that could."""
    if family is KERAS:
        could = variant.lineage.style == "keras" and hasattr(keras.applications, BUILDERS[variant.name])
        return ("keras.applications", ("keras.applications",)) if could else (None, ())
    depth = int(variant.name.removeprefix("resnet").removesuffix("v2"))
    libraries = tuple(name for name, depths in _DEPTHS.items() if depth in depths.get(family, ()))
    return next((name for name in libraries if find_spec(name) and find_spec("torch")), None), libraries


def logits(library: str, variant: Variant, classes: int, tensors: Mapping[str, Any], images: Any) -> Any:
    """Runs a file's numbers in its own library.

    Args:
        library: from `peer`.
        variant: the network.
        classes: how many it tells apart.
        tensors: the network's own, by the library's names.
        images: (N, height, width, channels), scaled as the network expects them.

    Returns:
        Logits (N, classes).
    """
    if library == "keras.applications":
        build = getattr(keras.applications, BUILDERS[variant.name])
        model = build(weights=None, classes=classes, classifier_activation=None, input_shape=images.shape[1:])
        for layer in model.layers:
            layer.set_weights([tensors[f"{layer.name}/{weight.name}"] for weight in layer.weights])
        return keras.ops.convert_to_numpy(model(images, training=False))
    torch: Any = import_module("torch")
    model = _torch_model(library, variant, classes)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    with torch.no_grad():
        found = model.eval()(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    return np.asarray(getattr(found, "logits", found))


def _torch_model(library: str, variant: Variant, classes: int) -> Any:
    """The network of a library of PyTorch's, untrained."""
    module: Any = import_module(library)
    if library == "torchvision":
        return getattr(module.models, variant.name)(num_classes=classes)
    if library == "timm":
        return module.create_model(timm_network(variant), num_classes=classes)
    config = module.ResNetConfig(
        num_labels=classes,
        depths=list(variant.units),
        hidden_sizes=[variant.out(width) for width in variant.widths],
        layer_type=variant.block,
        downsample_in_bottleneck=variant.lineage.style == "torch_1x1",
    )
    return module.ResNetForImageClassification(config)
