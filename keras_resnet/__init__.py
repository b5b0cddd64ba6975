"""ResNets for Keras 3: functional models that are the same graph on TensorFlow, JAX and PyTorch.

    import keras_resnet

    model = keras_resnet.ResNet50V2(weights=None, classes=10)

Rooms are imported when first used, so that `keras_resnet.variants` needs no Keras and the command line can choose a
backend before Keras does.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from keras_resnet.version import __version__ as __version__

if TYPE_CHECKING:
    from keras_resnet import data as data
    from keras_resnet import evaluation as evaluation
    from keras_resnet import exporting as exporting
    from keras_resnet import figures as figures
    from keras_resnet import labels as labels
    from keras_resnet import resnet as resnet
    from keras_resnet import resnet50 as resnet50
    from keras_resnet import resnet_v2 as resnet_v2
    from keras_resnet import resume as resume
    from keras_resnet import slim as slim
    from keras_resnet import training as training
    from keras_resnet import transfer as transfer
    from keras_resnet import variants as variants
    from keras_resnet.checkpoints import *
    from keras_resnet.features import *
    from keras_resnet.fold import *
    from keras_resnet.lesions import *
    from keras_resnet.loading import *
    from keras_resnet.models import *
    from keras_resnet.optimizing import *
    from keras_resnet.saving import *
    from keras_resnet.transforms import *
    from keras_resnet.variants import *
else:
    _EXPORTING = (
        "variants",
        "checkpoints",
        "models",
        "features",
        "loading",
        "saving",
        "transforms",
        "fold",
        "optimizing",
        "lesions",
    )  # what their __all__ names is public here, too

    def __getattr__(name):
        if name == "__all__":
            return [public for room in _EXPORTING for public in import_module(f"{__name__}.{room}").__all__]
        if not name.startswith("__"):
            if find_spec(f"{__name__}.{name}"):
                return import_module(f"{__name__}.{name}")
            for room in _EXPORTING:
                module = import_module(f"{__name__}.{room}")
                if name in module.__all__:
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return [*globals(), *__getattr__("__all__")]
