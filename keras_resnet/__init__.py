"""ResNets for Keras 3: functional models that are the same graph on TensorFlow, JAX and PyTorch.

Example:

    import keras_resnet

    model = keras_resnet.ResNet50V2(weights=None, classes=10)

A name is imported from its module when it is first used, so that `keras_resnet.variants` needs no Keras and the command
line can choose a backend before Keras does.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from keras_resnet.version import __version__ as __version__

if TYPE_CHECKING:  # what follows, once more, as type checkers and editors read it
    from keras_resnet import classification_models as classification_models
    from keras_resnet import cli as cli
    from keras_resnet import cv as cv
    from keras_resnet import data as data
    from keras_resnet import distribution as distribution
    from keras_resnet import evaluation as evaluation
    from keras_resnet import exporting as exporting
    from keras_resnet import figures as figures
    from keras_resnet import hub as hub
    from keras_resnet import labels as labels
    from keras_resnet import models as models
    from keras_resnet import resnet as resnet
    from keras_resnet import resnet50 as resnet50
    from keras_resnet import resnet_rs as resnet_rs
    from keras_resnet import resnet_v2 as resnet_v2
    from keras_resnet import resnext as resnext
    from keras_resnet import resume as resume
    from keras_resnet import slim as slim
    from keras_resnet import training as training
    from keras_resnet import transfer as transfer
    from keras_resnet import variants as variants
    from keras_resnet.architecture.lineages import *
    from keras_resnet.architecture.planner import *
    from keras_resnet.architecture.rows import *
    from keras_resnet.architecture.variant import *
    from keras_resnet.checkpoints.catalogue import *
    from keras_resnet.data.transforms import *
    from keras_resnet.graph.delete_units import *
    from keras_resnet.graph.fold import *
    from keras_resnet.graph.optimize import *
    from keras_resnet.models.features import *
    from keras_resnet.models.networks import *
    from keras_resnet.models.weights.load import *
    from keras_resnet.models.weights.save import *

# fmt: off
_EXPORTS = {
    "keras_resnet.architecture.rows": (
        "NETWORKS", "RESNET18", "RESNET18V2", "RESNET20", "RESNET20V2", "RESNET26", "RESNET32", "RESNET32V2",
        "RESNET34", "RESNET34V2", "RESNET44", "RESNET44V2", "RESNET50", "RESNET50V2", "RESNET56", "RESNET56V2",
        "RESNET101", "RESNET101V2", "RESNET110", "RESNET110V2", "RESNET152", "RESNET152V2", "RESNET164",
        "RESNET164V2", "RESNET200", "RESNET200V2", "RESNET1001V2", "RESNET1202",
    ),
    "keras_resnet.architecture.variant": ("Attention", "Stem", "Variant"),
    "keras_resnet.architecture.lineages": (
        "KERAS_V1", "KERAS_V2", "LINEAGES", "SLIM_V1", "SLIM_V2", "TORCH_V1", "TORCH_V2", "Lineage",
    ),
    "keras_resnet.architecture.planner": ("plan",),
    "keras_resnet.checkpoints.catalogue": ("Checkpoint", "list_weights"),
    "keras_resnet.models.networks": (
        "ResNeXt50", "ResNeXt101", "ResNet", "ResNet18", "ResNet18V2", "ResNet20", "ResNet20V2", "ResNet26",
        "ResNet32", "ResNet32V2", "ResNet34", "ResNet34V2", "ResNet44", "ResNet44V2", "ResNet50", "ResNet50V2",
        "ResNet56", "ResNet56V2", "ResNet101", "ResNet101V2", "ResNet110", "ResNet110V2", "ResNet152", "ResNet152V2",
        "ResNet164", "ResNet164V2", "ResNet200", "ResNet200V2", "ResNet1001V2", "ResNet1202", "ResNetRS50",
        "ResNetRS101", "ResNetRS152", "ResNetRS200", "ResNetRS270", "ResNetRS350", "ResNetRS420", "WideResNet50",
        "WideResNet101",
    ),
    "keras_resnet.models.features": ("backbone", "end_points", "feature_pyramid"),
    "keras_resnet.models.weights.load": ("LoadReport", "load_weights"),
    "keras_resnet.models.weights.save": ("save_weights",),
    "keras_resnet.data.transforms": ("Preprocessing", "preprocessing_for"),
    "keras_resnet.graph.fold": ("fold_batch_norm",),
    "keras_resnet.graph.optimize": ("optimize_for_inference", "optimize_for_training", "restore"),
    "keras_resnet.graph.delete_units": ("delete_units",),
}
_MODULES = (
    "classification_models", "cli", "cv", "data", "distribution", "evaluation", "exporting", "figures", "hub", "labels",
    "models", "resnet", "resnet50", "resnet_rs", "resnet_v2", "resnext", "resume", "slim", "training", "transfer",
    "variants",
)
# fmt: on
_WHERE = {name: module for module, names in _EXPORTS.items() for name in names}
__all__ = [*_WHERE]


class _Package(ModuleType):
    """This module: its names are properties, which `dir` and completion list without importing what they mean."""

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *__all__, *_MODULES})


def _lazy(name: str) -> property:
    """Returns what imports a name's module when the name is used, until somebody sets the name to something else."""

    def get(package: ModuleType) -> Any:
        if name in vars(package):
            return vars(package)[name]
        return getattr(import_module(_WHERE[name]), name) if name in _WHERE else import_module(f"{__name__}.{name}")

    def put(package: ModuleType, value: Any) -> None:
        vars(package)[name] = value

    def delete(package: ModuleType) -> None:
        del vars(package)[name]

    return property(get, put, delete)


for _name in (*__all__, *_MODULES):
    setattr(_Package, _name, _lazy(_name))
sys.modules[__name__].__class__ = _Package
