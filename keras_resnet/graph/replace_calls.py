"""Replaces methods of live layers and models, marks what it put there, and takes it away again.

Keras has no hook for a faster `call`, and a subclass would be no stock layer in a saved file: so a function is set on
one object, in front of its class's method, where nothing saves it.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import keras

MODEL_CALL = {"call": "(self, inputs, training=None, mask=None, **kwargs)"}  # of functional and Sequential models


class Replacement(partial[Any]):
    """What computes in the place of a method of one layer or model; being of this class marks it."""


def replace_method(
    owner: Any, method: str, function: Callable[..., Any], written_for: Mapping[str, str], *bound: Any
) -> bool:
    """Lets `function(owner, *bound, ...)` compute what a method of a layer or model does, until `restore_methods`.

    An owner stays as it is if its methods are not those that the function was written for: of a newer Keras, which
    would become wrong, or somebody else's, who wants them called.

    Args:
        owner: the layer or model.
        method: the method's name.
        function: what computes the same.
        written_for: the signatures of the methods that it stands in for, as `inspect.signature` writes them, by name.
        bound: what the function is given after the owner.

    Returns:
        Whether the function is there now, and was not before.
    """
    if is_replaced(owner, method) or not has_methods(owner, written_for):
        return False
    object.__setattr__(owner, method, Replacement(function, owner, *bound))  # Keras and PyTorch would look into it
    return True


def restore_methods(owner: Any) -> bool:
    """Takes away what `replace_method` put there; returns whether there was anything."""
    found = [name for name in vars(owner) if is_replaced(owner, name)]
    for name in found:
        object.__delattr__(owner, name)
    return bool(found)


def is_replaced(owner: Any, method: str) -> bool:
    """Whether `replace_method` replaced a method."""
    return isinstance(vars(owner).get(method), Replacement)


def is_watched(layer: Any) -> bool:
    """Whether somebody listens to a layer's calls on PyTorch."""
    own = vars(layer)
    return bool(
        own.get("_forward_hooks")
        or own.get("_forward_pre_hooks")
        or own.get("_backward_hooks")
        or own.get("_backward_pre_hooks")
    )


def has_methods(owner: Any, written_for: Mapping[str, str]) -> bool:
    """Whether methods have these signatures, and are those of the owner's class or `replace_method`'s."""
    return all(
        (name not in vars(owner) or is_replaced(owner, name))
        and str(inspect.signature(getattr(type(owner), name), follow_wrapped=False)) == signature
        for name, signature in written_for.items()
    )


def retrace(models: Iterable[keras.Model]) -> None:
    """Lets models compile anew what they compiled to train and predict, which holds the methods of that time."""
    for model in models:
        for act in ("train", "test", "predict"):
            if getattr(model, f"{act}_function", None) is None:
                continue
            if keras.backend.backend() == "jax":  # which knows a compiled step again as long as anybody holds it
                import_module("jax").jit(getattr(model, f"{act}_step")).clear_cache()
            setattr(model, f"{act}_function", None)
            getattr(model, f"make_{act}_function")()  # at once: a callback may ask for it inside `fit`
