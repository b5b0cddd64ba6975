"""Recovers the plan and the styles of a network from the names and configs of its layers."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from math import isclose, nan
from typing import Any, Literal, NamedTuple

from keras_resnet.architecture.lineages import LINEAGES, Lineage
from keras_resnet.architecture.plans import PADS, Conv, Plan, Shortcut, Unit

UNIT_CONV = re.compile(r"(.+)_block(\d+)_(\d+)_conv")
_ACTIVATION = re.compile(r"(conv1|post|.+_block\d+_(\d+|preact))_relu|.+_block\d+_out")
UNIT_PAD = re.compile(r"(.+_block\d+)_0_pad")
_DEEPEST, _MOST = 16, 1000  # how deep models lie in each other in a file, and how many there are
_LONGEST, _LONGEST_NAME = 100, 1000  # characters of a scope, and of the names of a model and its class
_LARGEST = 1 << 16  # of the numbers in a convolution's config

Layers = dict[str, tuple[str, dict[str, Any]]]  # class and config, by name, in a model's order


class ConfiguredNetwork(NamedTuple):
    """A network as the config of a model has it.

    Attributes:
        plan: of it; channels in are unknown.
        stem_pool: what the stem's pool sees beyond the border, as `Lineage.stem_pool` says it; None without pool.
        settings: epsilons of norms and activations, by layer and name.
    """

    plan: Plan
    stem_pool: str | None
    settings: dict[str, Any]

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles in which it can have been built."""
        epsilons = (value for name, value in self.settings.items() if name.endswith(".epsilon"))
        epsilon = next(epsilons, nan)
        return styles_of(self.plan, self.stem_pool, epsilon if isinstance(epsilon, int | float) else nan)


class ModelInFile(NamedTuple):
    """The model that a file's config is of, or one in it.

    Attributes:
        place: what Keras makes of the classes of it and those around it for the paths in a file; () for the outermost.
        names: of the same models.
        layers: class and config by name, in order.
    """

    place: tuple[str, ...]
    names: tuple[str, ...]
    layers: Layers


def models_of_config(config: Any) -> list[ModelInFile]:
    """Lists the model that a config is of, and those in it at any depth; none, if it is of no functional model."""
    found = []

    def collect(model: Mapping[str, Any], place: tuple[str, ...], names: tuple[str, ...]) -> None:
        layers: Layers = {}
        found.append(ModelInFile(place, names, layers))
        seen = Counter[str]()
        held = model["config"]
        for layer in held if isinstance(held, list) else held["layers"]:  # an older Sequential is a list
            own = layer["config"]
            name = own["name"] if isinstance(own, dict) else layer["name"]
            layers[name] = (layer["class_name"], own if isinstance(own, dict) else {})
            if (isinstance(own, list) or "layers" in own) and len(place) < _DEEPEST:
                longest = len(name) + len(layer["class_name"])  # each is in many scopes
                if len(found) == _MOST or longest > _LONGEST_NAME:
                    raise TypeError(f"{name!r:.99} is more than any model's")
                kind = _snake_case(layer["class_name"])
                part = f"{kind}_{seen[kind]}" if seen[kind] else kind
                seen[kind] += 1
                collect(layer, (*place, part), (*names, name))

    try:
        collect(config, (), ())
    except (AttributeError, KeyError, TypeError, RecursionError):
        return []
    return found


def scopes_of_models(models: Sequence[ModelInFile], *, by_layer: bool = False) -> list[str]:
    """Returns how the names of each model's tensors begin: with its own name, or, where others have it too, its path.

    `by_layer`: with that of the outermost model's layer that it is, or is in, as in the older `.h5`.
    """
    if by_layer:
        return ["".join(f"{name}/" for name in model.names[:1]) for model in models]
    alike = Counter(model.names[-1:] for model in models)
    scopes = [
        "".join(f"{name}/" for name in (model.names if alike[model.names[-1:]] > 1 else model.names[-1:]))
        for model in models
    ]
    told = all(
        len(scope) <= _LONGEST and "/" not in "".join(model.names) for scope, model in zip(scopes, models, strict=True)
    )
    if told and len(set(scopes)) == len(scopes):
        return scopes
    return ["".join(f"{part}/" for part in model.place) for model in models]


def networks_of_config(
    config: Any, *, by_layer: bool = False, translate: Callable[[Layers], Layers]
) -> dict[str, ConfiguredNetwork]:
    """Reads each network, by what the names of its tensors begin with, from the config that a file holds of its model.

    Args:
        config: of the model.
        by_layer: see `scopes_of_models`.
        translate: returns the layers of a network by our names.
    """
    nets: dict[str, Layers] = {}
    models = models_of_config(config)
    for scope, model in zip(scopes_of_models(models, by_layer=by_layer), models, strict=True):
        for name, layer in model.layers.items():
            prefix, separator, plain = name.rpartition("__")
            nets.setdefault(f"{scope}{prefix}{separator}", {})[plain] = layer
    found = {}
    for scope, theirs in nets.items():
        try:
            network = _network(translate(theirs))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError):  # of no network of ours
            continue
        if network:
            found[scope] = network
    return found


def _network(layers: Layers) -> ConfiguredNetwork | None:
    """Reads a network from its layers; None if there is no unit."""
    convs = {
        name: _conv(name, conv, layers)
        for name, (kind, conv) in layers.items()
        if kind == "Conv2D" and (name == "conv1_conv" or UNIT_CONV.fullmatch(name))
    }
    pads = {name: layer["padding"][1] for name, (_, layer) in layers.items() if UNIT_PAD.fullmatch(name) and layer}
    pool = layers.get("pool1_pool", ("", {}))[1]
    sees = stem_pool(layers, pool.get("pool_size"), pool.get("padding"))
    plan = read_plan(layers, convs, pads, sees)
    return ConfiguredNetwork(plan, sees, _settings(layers)) if plan else None


def _conv(name: str, config: dict[str, Any], layers: Layers) -> Conv:
    """Reads a convolution of the plan from a layer's config."""
    plain = name.removesuffix("_conv")
    pad = layers[f"{plain}_pad"][1]["padding"][0][0] if f"{plain}_pad" in layers else 0
    kernel, stride, dilation = (config[key][0] for key in ("kernel_size", "strides", "dilation_rate"))
    groups = config.get("groups", 1)  # until Keras 2.3 there are none
    numbers = (0, config["filters"], kernel, stride, dilation, groups)
    if any(type(each) is not int or not 0 <= each < _LARGEST for each in (*numbers, pad)):
        raise TypeError(f"{name!r} is of no sizes")
    return Conv(plain, *numbers, bool(config["use_bias"]), pad)


def _settings(layers: Layers) -> dict[str, Any]:
    """Reads epsilons and activations of the layers that a network of ours has."""
    found = {}
    for name, (kind, config) in layers.items():
        if kind == "BatchNormalization":
            found[f"{name}.epsilon"] = config["epsilon"]
        elif _ACTIVATION.fullmatch(name) and kind != "Add":
            plain = not any(config.get(each) for each in ("max_value", "negative_slope", "threshold"))
            found[f"{name}.activation"] = config["activation"] if kind == "Activation" else kind if plain else config
    return found


def _snake_case(name: str) -> str:
    """Spells a class's name as Keras does in the paths of a file."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def styles_of(plan: Plan, stem_pool: str | None, epsilon: float) -> tuple[str, ...]:
    """Returns the styles in which a network of this plan, stem pool and epsilon of norms can have been built.

    An epsilon that none of them has tells nothing. Stages of one unit leave it open whether the first or the last
    strides: then those that stride in no other stage than the published networks do.
    """
    found = {
        style: lineage
        for (style, version), lineage in LINEAGES.items()
        if version == plan.version and stem_pool in (None, lineage.stem_pool) and _follows(plan, lineage)
    }
    striding = striding_convs(plan)
    early, late = (any(unit.name in striding for unit in plan.stages[end]) for end in (0, -1))
    usual = [style for style, row in found.items() if not (late if row.stride_at == "last_3x3" else early)]
    same = [style for style in usual or found if isclose(found[style].epsilon, epsilon, rel_tol=0.01)]
    return tuple(same or usual or found)


def _follows(plan: Plan, lineage: Lineage) -> bool:
    """Whether strides, biases and padding, of maps and of channels, sit where a lineage has them."""
    striding = striding_convs(plan)
    for stage in plan.stages:
        for unit in stage:
            strides = striding.get(unit.name)
            wide = [conv for conv in unit.convs if conv.kernel > 1] or list(unit.convs)
            last = lineage.stride_at == "last_3x3"
            place = unit.convs[0] if lineage.stride_at == "first_conv" else wide[-1 if last else 0]
            if strides and (strides is not place or unit is not stage[-1 if last else 0]):
                return False
            if any((conv.pad > 0) is not lineage.pad_always for conv in wide if conv is not strides):
                return False
    if plan.stem and plan.stem.stride > 1 and plan.stem.pad != (plan.stem.kernel - 1) // 2:
        return False
    normed = {conv.name for unit in plan.units for conv in unit.convs[: len(unit.convs) - (plan.version == 2)]}
    if plan.version == 1:
        normed = {conv.name for conv in plan.convs()}
    padded = {unit.shortcut for unit in plan.units if unit.shortcut in PADS.values()}
    if padded != {PADS[lineage.pad_channels]} and (padded or lineage.pad_channels != "after"):
        return False
    return all(
        conv.bias is (lineage.bias == "all" or (lineage.bias == "no_norm" and conv.name not in normed))
        for conv in plan.convs()
    )


def striding_convs(plan: Plan) -> dict[str, Conv]:
    """Returns by unit the convolution that strides, or gave its stride up: the dilation of the next one has grown."""
    found: dict[str, Conv] = {}
    previous, dilation = (plan.units[0].name, plan.units[0].convs[0]), 1
    for unit in plan.units:
        for conv in unit.convs:
            if conv.stride > 1:
                found[unit.name] = conv
            if conv.dilation > dilation:
                found[previous[0]] = previous[1]
                dilation = conv.dilation
            previous = unit.name, conv
    return found


def stem_pool(layers: Collection[str], size: Any, padding: Any) -> str | None:
    """Returns what the stem's pool sees beyond the border, as `Lineage.stem_pool` says it; None without pool."""
    if "pool1_pool" not in layers:
        return None
    if padding == "same" and tuple(size) == (3, 3):
        return "same"
    if "pool1_max" in layers:
        return "-inf"
    return "zeros" if "pool1_pad" in layers else "valid"


def read_plan(
    layers: Collection[str],
    convs: Mapping[str, Conv],
    pads: Mapping[str, tuple[int, int]],
    stem_pool: str | None,
) -> Plan | None:
    """Returns the plan of the network that has these layers; None if there is no unit.

    Args:
        layers: their names.
        convs: the convolutions of the plan, by name.
        pads: how many zero channels the layers that `UNIT_PAD` names put in front and behind, by name.
        stem_pool: what the stem's pool sees beyond the border; None without pool.
    """
    stages: dict[str, dict[int, dict[int, Conv]]] = {}
    for name, conv in convs.items():
        if match := UNIT_CONV.fullmatch(name):
            stages.setdefault(match[1], {}).setdefault(int(match[2]), {})[int(match[3])] = conv
    units = [f"{stage}_block{index}" for stage, units in stages.items() for index in units]
    if not any(f"{unit}_{end}" in layers for unit in units for end in ("out", "preact_bn")):  # DenseNet's have neither
        return None
    version: Literal[1, 2] = 2 if any(f"{unit}_preact_bn" in layers for unit in units) else 1
    return Plan(
        version,
        convs.get("conv1_conv"),
        stem_pool is not None,
        tuple(
            tuple(_unit(f"{stage}_block{index}", convs, pads) for index, convs in sorted(units.items()))
            for stage, units in stages.items()
        ),
        pool_pads=stem_pool != "valid",
    )


def _unit(name: str, convs: dict[int, Conv], pads: Mapping[str, tuple[int, int]]) -> Unit:
    """A unit of these convolutions, by number; 0 is the projection."""
    shortcut: Shortcut = convs.get(0, "identity")
    if shortcut == "identity" and (pad := pads.get(f"{name}_0_pad")):
        shortcut = PADS["both" if pad[0] else "after"]
    return Unit(name, tuple(convs[i] for i in sorted(convs.keys() - {0})), shortcut, 0 in convs)
