"""Finds our networks in a model, built or loaded, and reads their plan from its layers."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import keras

from keras_resnet.architecture.detect import INPUTS, NORMS, ConfiguredNetwork, read_network, striding_convs
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import SUFFIXES, Plan, Unit
from keras_resnet.architecture.rows import SLIM_NETWORKS
from keras_resnet.utils.errors import choice_error


@dataclass(frozen=True)
class Network:
    """One of our networks inside a model."""

    scope: str  # its name among others: the prefix, else that of TF-Slim's network, else that of the model around it
    prefix: str  # of its layers' names, without the "__"
    read: ConfiguredNetwork
    layers: dict[str, keras.Layer]  # by name without prefix

    @property
    def plan(self) -> Plan:
        """Its plan, as far as it can be read: a shortcut without weights is "identity"."""
        return self.read.plan

    @property
    def striding(self) -> list[str]:
        """The units in which a convolution strides or gave its stride up."""
        return list(striding_convs(self.plan))

    @property
    def with_tail(self) -> Plan:
        """The plan, and the unit of which there is no more than a first norm, behind which a v2 network was cut."""
        known, stages = {unit.name for unit in self.plan.units}, list(self.plan.stages)
        suffix = f"_preact_{SUFFIXES[self.plan.norm]}"
        for name in (name.removesuffix(suffix) for name in self.layers if name.endswith(suffix)):
            if name not in known:
                tail = Unit(name, (), "identity", False)
                if tail.stage == self.plan.units[-1].stage:
                    stages[-1] = (*stages[-1], tail)
                else:
                    stages.append((tail,))
        return replace(self.plan, stages=tuple(stages))

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles in which it can have been built; in short networks some don't differ."""
        return self.read.styles

    @property
    def epsilon(self) -> float:
        """The epsilon of its norms; not a number if they were folded."""
        return self.read.epsilon


def find_networks(model: keras.Model, *, nested: bool = True) -> list[Network]:
    """Returns the networks of ours at the surface of a model and, if asked for, in the models that it is made of."""
    if not isinstance(model, keras.Model) or not (nested or getattr(model, "inputs", None)):
        raise ValueError(f"`model` must be a {'' if nested else 'functional '}keras.Model; received {model!r}.")
    found = []
    for around in list(models(model).values()) if nested else [model]:
        scopes: dict[str, dict[str, keras.Layer]] = {}
        for layer in around.layers:
            prefix, _, name = layer.name.rpartition("__")
            scopes.setdefault(prefix, {})[name] = layer
        for prefix, layers in scopes.items():
            if read := read_network({name: _described(layer) for name, layer in layers.items()}):
                name = around.name if around is not model else slim_name(read.plan) or model.name
                found.append(Network(prefix.replace("__", "/") or name, prefix, read, layers))
    return found


def walk_layers(model: keras.Layer) -> dict[str, keras.Layer]:
    """Returns every layer that a model is made of, at any depth, each once, by path; the model itself is not among.

    What lies in nested models, in wrappers such as TimeDistributed and in layers and models of own classes is found,
    and where a layer stands in several places, the first one names it. Of two layers of one name in one place, the
    second is "name#2".
    """
    found: dict[str, keras.Layer] = {}
    seen, alike = {id(model)}, Counter[str]()
    waiting = [("", model)]
    while waiting:
        path, around = waiting.pop()
        if path:
            alike[path] += 1
            path = path if alike[path] == 1 else f"{path}#{alike[path]}"
            found[path] = around
        # of a layer that is no model, there is no public list
        inner = around.layers if isinstance(around, keras.Model) else around._flatten_layers(False, recursive=False)
        new = [layer for layer in inner if id(layer) not in seen]
        seen.update(map(id, new))
        waiting += reversed([(f"{path}/{layer.name}" if path else layer.name, layer) for layer in new])
    return found


def models(model: keras.Model) -> dict[str, keras.Model]:
    """Returns a model and those that it is made of, at any depth, each once, by path."""
    inner = {f"{path}/": layer for path, layer in walk_layers(model).items() if isinstance(layer, keras.Model)}
    return {"": model} | inner


def find_network(model: keras.Model, scope: str | None, *, nested: bool = True) -> Network:
    """Returns the network of a model; the one that a scope names, if there are several."""
    found = find_networks(model, nested=nested)
    if not found:
        raise no_network(model)
    chosen = found if len(found) == 1 else [network for network in found if network.scope == scope]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise ValueError(
            f"`scope` {scope!r} names {len(chosen)} networks in {model.name!r}. Pass one of the inner models, "
            "`model.get_layer(...)`, instead of the whole model."
        )
    scopes = tuple(network.scope for network in found)
    raise choice_error("scope", scope, scopes, f" These are the networks in {model.name!r}.")


def no_network(model: keras.Model) -> ValueError:
    """Returns the error for a model without any."""
    inner = [
        path
        for path, each in models(model).items()
        if path and getattr(each, "inputs", None) and find_networks(each, nested=False)
    ]
    way = _way(model, min(inner, key=lambda path: path.count("/"))) if inner else None
    return ValueError(
        f"`model` must be a ResNet of this package or of keras.applications; received {model.name!r}, which has no "
        "layers such as 'conv2_block1_1_conv'." + (f" Did you mean {way}?" if way else "")
    )


def _way(model: keras.Model, path: str) -> str | None:
    """Returns the expression for the layer at a path in a model; None if one of the layers between has it in a list."""
    way, around, found = "model", model, walk_layers(model)
    for names in accumulate(path.removesuffix("/").split("/"), "{}/{}".format):
        layer = found[names]
        if isinstance(around, keras.Model):
            way += f".get_layer({layer.name!r})"
        else:
            held = vars(around) | vars(around).get("_modules", {})  # where PyTorch has what is a module
            attribute = next((name for name, value in held.items() if value is layer and name[0] != "_"), None)
            if attribute is None:
                return None
            way += f".{attribute}"
        around = layer
    return way


def slim_name(network: Plan) -> str | None:
    """Returns TF-Slim's name of a network, if it is one of its own."""
    kernels = [conv.kernel_shape for conv in network.convs()]
    for name, row in SLIM_NETWORKS.items():
        wanted = plan(row, channels=kernels[0][2])
        if row.version == network.version and kernels == [conv.kernel_shape for conv in wanted.convs()]:
            return name
    return None


_CONV = ("kernel_size", "filters", "strides", "dilation_rate", "groups", "use_bias")
_POOL = ("pool_size", "strides", "padding")
# What is read of layers, by what they and their configs call it.
_READ = {
    keras.layers.Conv2D: _CONV,
    keras.layers.Conv1D: _CONV,
    keras.layers.MaxPooling2D: _POOL,
    keras.layers.AveragePooling2D: _POOL,
    keras.layers.ZeroPadding2D: ("padding",),
    keras.layers.Activation: ("activation",),
    **{getattr(keras.layers, kind): ("epsilon",) for kind in NORMS},
}


def _described(layer: keras.Layer) -> tuple[str, dict[str, Any]]:
    """Describes a layer as configs do: its class, or the one of Keras that it is of, and the settings that are read."""
    kind = next((each for each in _READ if isinstance(layer, each)), None)
    if kind is None:
        return type(layer).__name__, {}
    settings = {name: getattr(layer, name) for name in _READ[kind]}
    if _READ[kind] is _CONV:
        if not layer.built:
            return "", {}
        settings[INPUTS] = layer.kernel.shape[-2] * layer.groups
    return kind.__name__, settings
