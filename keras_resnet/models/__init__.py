"""Keras models of a plan: built, found again, filled, looked into. The builders are attributes of the package."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_resnet.models.networks import *
    from keras_resnet.models.networks import __all__ as __all__
else:

    def __getattr__(name):
        if name == "__all__" or not name.startswith("__"):
            networks = import_module(f"{__name__}.networks")
            if name == "__all__" or name in networks.__all__:
                return getattr(networks, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__getattr__("__all__")})
