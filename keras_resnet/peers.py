"""A weights file in the library that it is of: the same network there, and what it makes of images."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from keras_resnet import families
from keras_resnet.families import Family
from keras_resnet.layouts import Variant
from keras_resnet.sources import Source

_LIBRARIES = {
    families.TORCHVISION: ("torchvision", "timm"),
    families.TIMM_V2: ("timm",),
    families.HUGGINGFACE: ("transformers",),
}


def peer(family: Family, variant: Variant) -> tuple[str | None, tuple[str, ...]]:
    """The library here that runs a family's files of a network, if there is one, and those that could."""
    if family is families.KERAS:
        could = variant.lineage.style == "keras" and hasattr(keras.applications, _keras_name(variant))
        return ("keras.applications", ("keras.applications",)) if could else (None, ())
    libraries = _LIBRARIES.get(family, ())
    if variant.name in ("resnet26", "resnet200"):
        libraries = tuple(name for name in libraries if name != "torchvision")
    return next((name for name in libraries if find_spec(name) and find_spec("torch")), None), libraries


def logits(library: str, source: Source, variant: Variant, scope: str, classes: int, images: Any) -> Any:
    """Runs a file in its own library.

    Args:
        library: from `peer`.
        source: the open file.
        variant: the network.
        scope: what the names of its tensors begin with.
        classes: how many it tells apart.
        images: (N, height, width, channels), scaled as the network expects them.

    Returns:
        Logits (N, classes).
    """
    if library == "keras.applications":
        build = getattr(keras.applications, _keras_name(variant))
        model = build(weights=None, classes=classes, classifier_activation=None, input_shape=images.shape[1:])
        model.load_weights(source.path)
        return keras.ops.convert_to_numpy(model(images, training=False))
    torch: Any = import_module("torch")
    model = _torch_model(library, variant, classes)
    names = [name for name in source.shapes if name.startswith(scope)]
    model.load_state_dict({name[len(scope) :]: torch.from_numpy(source.read(name)) for name in names})
    with torch.no_grad():
        found = model.eval()(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    return np.asarray(getattr(found, "logits", found))


def _keras_name(variant: Variant) -> str:
    return variant.name.replace("resnet", "ResNet").replace("v2", "V2")


def _torch_model(library: str, variant: Variant, classes: int) -> Any:
    """The network of a library of PyTorch's, untrained."""
    module: Any = import_module(library)
    if library == "torchvision":
        return getattr(module.models, variant.name)(num_classes=classes)
    if library == "timm":
        name = variant.name if variant.version == 1 else f"resnetv2_{variant.name[6:-2]}"
        return module.create_model(name, num_classes=classes)
    config = module.ResNetConfig(
        num_labels=classes,
        depths=list(variant.units),
        hidden_sizes=[variant.out(width) for width in variant.widths],
        layer_type=variant.block,
        downsample_in_bottleneck=variant.lineage.style == "torch_1x1",
    )
    return module.ResNetForImageClassification(config)
