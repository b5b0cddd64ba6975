"""Finds our networks in a model, built or loaded, and reads their plan from its layers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import keras

from keras_resnet.plans import Conv, Plan, Unit

_CONV = re.compile(r"(.+)_block(\d+)_(\d+)_conv")


@dataclass(frozen=True)
class Network:
    """One of our networks inside a model."""

    scope: str  # what tells it from others: the prefix of its layers' names, or the nested model that holds it
    plan: Plan  # as far as it can be read: a shortcut without weights is "identity"
    layers: dict[str, keras.Layer]  # by name without prefix

    @property
    def slim(self) -> bool:
        """Whether it is laid out as TF-Slim's networks are."""
        if self.plan.pool:
            return bool(self.layers["pool1_pool"].pool_size == (3, 3) and self.layers["pool1_pool"].padding == "same")
        return all(unit is stage[-1] for stage in self.plan.stages for unit in stage if unit.stride > 1)


def networks(model: keras.Model, *, nested: bool = True) -> list[Network]:
    """The networks of ours at the surface of a model and, if asked for, in the models that it is made of."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(f"`model` must be a functional keras.Model; received {model!r}.")
    found = []
    for scope, layers in _scopes(model, "", nested):
        read = _read(layers)
        if read:
            found.append(Network(scope, read, layers))
    return found


def no_network(model: keras.Model) -> ValueError:
    """The error for a model without any."""
    inner = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    hint = f" Is it model.get_layer({inner[0]!r})?" if inner else ""
    return ValueError(f"`model` must be one of our networks; received {model.name!r}, which has no such units.{hint}")


def _scopes(model: keras.Model, around: str, nested: bool) -> Iterator[tuple[str, dict[str, keras.Layer]]]:
    """The layers of a model by prefix, then those of each model inside."""
    scopes: dict[str, dict[str, keras.Layer]] = {}
    for layer in model.layers:
        prefix, _, name = layer.name.rpartition("__")
        scopes.setdefault(prefix, {})[name] = layer
    for prefix, layers in scopes.items():
        yield prefix.replace("__", "/") or around, layers
    for layer in model.layers if nested else ():
        inner = getattr(layer, "layer", layer)  # a wrapper's, such as TimeDistributed's
        if isinstance(inner, keras.Model):
            yield from _scopes(inner, inner.name, nested)


def _read(layers: dict[str, keras.Layer]) -> Plan | None:
    """The plan of the network that has these layers; None if there is no unit."""
    stages: dict[str, dict[int, dict[int, Conv]]] = {}
    for name, layer in layers.items():
        match = _CONV.fullmatch(name)
        if match and isinstance(layer, keras.layers.Conv2D):
            units = stages.setdefault(match[1], {})
            units.setdefault(int(match[2]), {})[int(match[3])] = _conv(name, layers)
    if not any(convs.keys() - {0} for units in stages.values() for convs in units.values()):
        return None
    version: Literal[1, 2] = 2 if any(name.endswith("_preact_bn") for name in layers) else 1
    return Plan(
        version,
        _conv("conv1_conv", layers) if "conv1_conv" in layers else None,
        "pool1_pool" in layers,
        tuple(
            tuple(_unit(f"{stage}_block{index}", convs) for index, convs in sorted(units.items()))
            for stage, units in stages.items()
        ),
    )


def _unit(name: str, convs: dict[int, Conv]) -> Unit:
    """A unit of these convolutions, by number; 0 is the projection."""
    shortcut: Any = convs.get(0, "identity")
    return Unit(name, tuple(convs[i] for i in sorted(convs.keys() - {0})), shortcut, 0 in convs)


def _conv(layer: str, layers: dict[str, keras.Layer]) -> Conv:
    """What a layer convolves, and how."""
    conv, name = layers[layer], layer.removesuffix("_conv")
    pad = layers.get(f"{name}_pad")
    return Conv(
        name,
        conv.kernel.shape[2] * conv.groups,
        conv.filters,
        conv.kernel_size[0],
        conv.strides[0],
        conv.dilation_rate[0],
        conv.groups,
        conv.use_bias,
        pad.padding[0][0] if pad else 0,
    )
