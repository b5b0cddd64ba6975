"""Networks that lack some of their units and still compute, which shows how much of an ensemble they are."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_resnet.errors import check_choice
from keras_resnet.graphs import rebuild
from keras_resnet.networks import Network, choose

__all__ = ["delete_units"]


def delete_units(model: keras.Model, units: Iterable[str] | str, scope: str | None = None) -> keras.Model:
    """Returns a copy of a network in which some units are no more than their shortcuts.

    Example:

        lesioned = keras_resnet.delete_units(model, ["conv3_block2", "conv4_block5"])
        lesioned.compile(metrics=["accuracy"])
        lesioned.evaluate(images, labels)

    The residual is removed: of relu(F(x) + shortcut(x)) there remains relu(shortcut(x)), in v2 shortcut(x); a
    projection, a subsampling or zero channels are part of the shortcut and stay. In a plain network, whose units have
    no shortcut, the unit's input takes the place of its output. Source: arXiv:1605.06431 section 4.1.

    Args:
        model: a functional model that holds a network of this package or of keras.applications.
        units: the name or names of units, such as "conv4_block5": what their layers' names begin with.
        scope: which network is meant, if the model holds several.

    Returns:
        A new `keras.Model` of stock layers, with copies of the weights that are left. It is not compiled.

    Raises:
        ValueError: if a unit is none of the network's, or has no shortcut and puts out another shape than it takes; if
            the model holds none of our networks, or several and `scope` names none.
    """
    network = choose(model, scope)
    names = [units] if isinstance(units, str) or not isinstance(units, Iterable) else list(units)
    known = [unit.name for unit in network.plan.units]
    for name in names:
        check_choice("units", name, tuple(known), f" These are the units of {model.name!r}.")
    begins: dict[int, str] = {}
    ends: dict[int, str] = {}
    for name in names:
        first, last = _bounds(network, name)
        begins[id(first)], ends[id(last)] = name, name
    entered: dict[str, Any] = {}  # what each of the units without a shortcut takes

    def call(old: Any, new: Any, *args: Any, **options: Any) -> Any:
        if id(old) in begins:
            entered[begins[id(old)]] = args[0]
        if id(old) not in ends:
            return new(*args, **options)
        if isinstance(old, keras.layers.Add):
            return args[0][0]
        before, after, name = entered[ends[id(old)]], new(*args, **options), ends[id(old)]
        if before.shape != after.shape:
            raise ValueError(
                f"`units`: {name!r} has no shortcut and makes {after.shape} of {before.shape}, so nothing would be "
                "left of it. Delete units that keep the shape."
            )
        return before

    return rebuild(model, lambda layer: None, call)


def _bounds(network: Network, unit: str) -> tuple[Any, Any]:
    """A unit's first layer and the one at which its shortcut and its residual meet, or, in a plain net, its last."""
    layers = network.layers
    sum_or_relu = next((layers[f"{unit}_{end}"] for end in ("add", "out") if f"{unit}_{end}" in layers), None)
    convs = [conv.name for conv in next(each for each in network.plan.units if each.name == unit).convs]
    begins = (f"{unit}_preact_bn", f"{convs[0]}_pad", f"{convs[0]}_conv")
    return next(layers[name] for name in begins if name in layers), sum_or_relu or layers[f"{convs[-1]}_conv"]
