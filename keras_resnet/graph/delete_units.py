"""Deletes units of a network: only their shortcuts are left."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_resnet.architecture.plans import SUFFIXES, Unit
from keras_resnet.models.functional import Rewriter
from keras_resnet.models.inspection import Network, find_network
from keras_resnet.utils.errors import check_choice

__all__ = ["delete_units"]


def delete_units(model: keras.Model, units: Iterable[str] | str, scope: str | None = None) -> keras.Model:
    """Returns a copy of a network in which some residual blocks are removed, except for their shortcuts.

    Example:

        lesioned = keras_resnet.delete_units(model, ["conv3_block2", "conv4_block2"])
        lesioned.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        lesioned.evaluate(images, labels)

    The residual F of a block is removed: relu(F(x) + shortcut(x)) becomes relu(shortcut(x)), in v2 F(x) + shortcut(x)
    becomes shortcut(x). Projections, subsampling and added zero channels belong to the shortcut and stay. In a plain
    network, whose blocks have no shortcut, the block's input replaces its output. Source: arXiv:1605.06431 section 4.1.

    Args:
        model: a functional model that holds a network of this package or of keras.applications.
        units: the name of a residual block, such as "conv4_block5", or several names. The names of a block's layers
            begin with it.
        scope: the name of the network, if the model holds several.

    Returns:
        A new `keras.Model` of stock layers, with copies of the remaining weights. It is not compiled.

    Raises:
        ValueError: if the network has no such block, the block is incomplete, or it has no shortcut and changes the
            shape; if the model holds no ResNet, or several and `scope` names none of them, or holds it in a layer that
            is not a functional model.
    """
    network = find_network(model, scope)
    names = [units] if isinstance(units, str) or not isinstance(units, Iterable) else list(units)
    known = {unit.name: unit for unit in network.plan.units}
    for name in names:
        check_choice("units", name, tuple(known), f" These are the residual blocks of {model.name!r}.")
    sums = {name: layer for name in known if (layer := _sum(network, name))}
    length = max(len(unit.convs) for unit in known.values())
    rewriter = _DeleteUnits()
    for name in names:
        if name in sums:
            rewriter.sums[id(sums[name])] = name
        elif (
            sums
            or len(known[name].convs) < length
            or (network.plan.version == 1 and f"{name}_out" not in network.layers)
        ):
            raise ValueError(
                f"`units` must name complete residual blocks; {name!r} is incomplete, since {model.name!r} was cut "
                "inside it."
            )
        else:
            first, last = _plain(network, known[name])
            rewriter.begins[id(first)], rewriter.ends[id(last)] = name, name
    lesioned = rewriter.rewrite(model)
    if left := set(names) - rewriter.deleted:
        raise ValueError(
            f"`model`: the block {min(left)!r} lies inside a layer of {model.name!r} that is not a functional model. "
            "Pass the network inside that layer, such as `model.get_layer(...).layer` of a TimeDistributed."
        )
    return lesioned


class _DeleteUnits(Rewriter):
    """Passes units by: where a unit ends comes out what its shortcut gives, or without one what the unit takes."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[int, str] = {}  # units by the id of the layer that adds shortcut and residual
        self.begins: dict[int, str] = {}  # those without a shortcut by the id of their first layer,
        self.ends: dict[int, str] = {}  # and of their last
        self.entered: dict[str, Any] = {}  # what each of these takes
        self.deleted: set[str] = set()

    def call(self, old: Any, new: Any, *args: Any, **options: Any) -> Any:
        """Calls what is not the end of a deleted unit."""
        given = (*args, *options.values())[0]
        if id(old) in self.begins:
            self.entered[self.begins[id(old)]] = given
        if id(old) in self.sums:
            self.deleted.add(self.sums[id(old)])
            return given[0]  # a sum is of shortcut and residual
        if id(old) in self.ends:
            self.deleted.add(self.ends[id(old)])
            return self.entered[self.ends[id(old)]]
        return new(*args, **options)


def _sum(network: Network, unit: str) -> Any:
    """Returns the layer where a unit's shortcut and residual meet; None in a plain net."""
    found = (network.layers.get(f"{unit}_{end}") for end in ("add", "out"))
    return next((layer for layer in found if isinstance(layer, keras.layers.Add)), None)


def _plain(network: Network, unit: Unit) -> tuple[Any, Any]:
    """Returns the first and the last layer of a unit without a shortcut."""
    if unit.stride > 1 or unit.inputs != unit.filters:
        raise ValueError(
            f"`units` must name residual blocks with a shortcut, or blocks that keep the shape of their input; "
            f"{unit.name!r} has no shortcut and changes the shape."
        )
    layers, first, last = network.layers, unit.convs[0].name, f"{unit.convs[-1].name}_conv"
    if network.plan.version == 1:
        return layers.get(f"{first}_pad", layers[f"{first}_conv"]), layers[f"{unit.name}_out"]
    norm = f"{unit.name}_preact_{SUFFIXES[network.plan.norm]}"
    if norm not in layers:
        raise ValueError(
            f"`units`: the block {unit.name!r} cannot be removed, since a batch norm of the next block was folded into "
            "it. Delete blocks first, then fold."
        )
    return layers[norm], layers[last]
