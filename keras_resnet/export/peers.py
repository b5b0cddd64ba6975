"""A weights file in the library that it is of: the same network there, and what it makes of images."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from keras_resnet.architecture.rows import NETWORKS, TIMM_NAMES, builder_name
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.families.timm import TIMM
from keras_resnet.checkpoints.families.torchvision import TORCHVISION

_V1 = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_RESNEXT = ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d")
_WIDE = ("wide_resnet50_2", "wide_resnet101_2")
_NOT_IN_TIMM = {
    "resnet200v2",
    "resnext101_32x48d",
    "resnet50w2",
    "resnet50w4",
    "resnet50w5",
    "resnet50x2",
    "resnet200x2",
}
_TIMM = tuple(name for name, row in NETWORKS.items() if row.image_side == 224 and name not in _NOT_IN_TIMM)
# Whose files each library of PyTorch's reads, and the networks that it makes.
_NETWORKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "torchvision": ((TORCHVISION.origin,), (*_V1, *_RESNEXT, *_WIDE)),
    "timm": ((TORCHVISION.origin, TIMM.origin), _TIMM),
    "transformers": ((HUGGINGFACE.origin,), (*_V1, "resnet26", "resnet200")),
}


def peer(family: Family, variant: Variant) -> tuple[str | None, tuple[str, ...]]:
    """Returns the library here that runs a family's files of a network, if there is one, and those that could."""
    if family is KERAS:
        could = variant.lineage.style == "keras" and keras_builder(variant) is not None
        return ("keras.applications", ("keras.applications",)) if could else (None, ())
    libraries = tuple(
        name for name, (origins, networks) in _NETWORKS.items() if family.origin in origins and variant.name in networks
    )
    return next((name for name in libraries if find_spec(name) and find_spec("torch")), None), libraries


def keras_builder(variant: Variant) -> Callable[..., Any] | None:
    """Returns the function of keras.applications that builds a network; None if it has none."""
    import keras  # only where it is used: a benchmark's process measures the memory of one library

    found = getattr(keras.applications, builder_name(variant.name), None)
    return found if callable(found) else None


def torch_builder(module: Any, variant: Variant) -> Callable[..., Any] | None:
    """Returns what builds a network, of `num_classes=`, in torchvision or timm; None if the library has none."""
    if module.__name__ == "torchvision":
        found: Callable[..., Any] | None = getattr(module.models, variant.name, None)
        return found
    name = TIMM_NAMES.get(variant.name, variant.name)
    return partial(module.create_model, name) if module.is_model(name) else None


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
        import keras

        build: Any = keras_builder(variant)
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
    if library != "transformers":
        build: Any = torch_builder(module, variant)
        return build(num_classes=classes)
    config = module.ResNetConfig(
        num_labels=classes,
        depths=list(variant.units),
        hidden_sizes=[variant.out(width) for width in variant.widths],
        layer_type=variant.block,
        downsample_in_bottleneck=variant.lineage.style == "torch_1x1",
    )
    return module.ResNetForImageClassification(config)
