"""Recovers the plan and the styles of a network from the names and configs of its layers."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isclose, nan
from typing import Any, NamedTuple

from keras_resnet.architecture.lineages import (
    BIT,
    KERAS_SENET,
    KERAS_SENET_1X1,
    PUBLISHED,
    RESNET_RS,
    RESNEXT,
    SENET,
    SENET_1X1,
    Lineage,
)
from keras_resnet.architecture.plans import PADS, Conv, Plan, Shortcut, StridesBy, Unit

UNIT_CONV = re.compile(r"(.+)_block(\d+)_(\d+)_conv")
STEM_CONV = re.compile(r"conv1(_\d+)?_conv")
NORMS = {"BatchNormalization": "batch", "GroupNormalization": "group"}
_ACTIVATION = re.compile(r"(conv1(_\d+)?|pool1|post|.+_block\d+_(\d+|preact|se_1))_relu|.+_block\d+_out")
_GATE = re.compile(r".+_block\d+_(se|eca)_sigmoid")
_UNIT_NORM = re.compile(r".+_block\d+_(\d+|preact)_[bg]n")
_DEEPEST, _MOST = 16, 1000  # how deep models lie in each other in a file, and how many there are
_LONGEST, _LONGEST_NAME = 100, 1000  # characters of a scope, and of the names of a model and its class
_LARGEST = 1 << 16  # of the numbers in a convolution's config

# The means that take a stride for a convolution, by how their layers' names end; a pool stands before a projection.
_WAYS: dict[str, StridesBy] = {"pool": "mean_before", "mean": "mean_after", "blur": "blur"}

Layers = dict[str, tuple[str, dict[str, Any]]]  # class and config, by name, in a model's order
INPUTS = "inputs"  # of a convolution that is built: its channels in, beside its config
READS = "reads"  # of a layer in a file: the names of the layers whose outputs it takes, beside its config
# What lies in front of the network, and in front of its classifier, that networks of ours have not.
IN_FRONT, HEAD = "in_front", "head_reads"


class ConfiguredNetwork(NamedTuple):
    """A network as the config of a model has it.

    Attributes:
        plan: of it; in a config, channels in are unknown.
        stem_pool: what the stem's max pool sees beyond the border, as `Lineage.stem_pool` says it; None without one.
        settings: epsilons of norms and activations, by layer and name.
    """

    plan: Plan
    stem_pool: str | None
    settings: dict[str, Any]

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles in which it can have been built; in short networks some don't differ."""
        return styles_of(self.plan, self.stem_pool, self.epsilon)

    @property
    def epsilon(self) -> float:
        """The epsilon of its norms; not a number if they were folded."""
        epsilons = (value for name, value in self.settings.items() if name.endswith(".epsilon"))
        epsilon = next(epsilons, nan)
        return float(epsilon) if isinstance(epsilon, int | float) else nan


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
            reads = {READS: _reads(layer.get("inbound_nodes"))}
            layers[name] = (layer["class_name"], own | reads if isinstance(own, dict) else reads)
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


def _reads(nodes: Any) -> tuple[str, ...]:
    """The names of layers in what any Keras writes of a layer's calls: lists that begin with a name and two numbers."""
    found, waiting = [], [nodes]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += reversed(each.values())
        elif isinstance(each, list):
            if len(each) > 2 and isinstance(each[0], str) and all(type(number) is int for number in each[1:3]):
                found.append(each[0])
            else:
                waiting += reversed(each)
    return tuple(found)


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
    config: Any,
    *,
    by_layer: bool = False,
    rename: Callable[[str, Layers], Layers] = lambda scope, layers: layers,
    translate: Callable[[Layers], Layers],
) -> dict[str, ConfiguredNetwork]:
    """Reads each network, by what the names of its tensors begin with, from the config that a file holds of its model.

    Args:
        config: of the model.
        by_layer: see `scopes_of_models`.
        rename: returns the layers of a model, whose tensors' names begin so, by our names.
        translate: returns the layers of a network by our names.
    """
    whole: dict[str, Layers] = {}
    models = models_of_config(config)
    for scope, model in zip(scopes_of_models(models, by_layer=by_layer), models, strict=True):
        whole.setdefault(scope, {}).update(model.layers)
    nets: dict[str, Layers] = {}
    damage = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)
    for scope, layers in whole.items():
        try:
            renamed = rename(scope, layers)
        except damage:
            continue
        for name, layer in renamed.items():
            prefix, separator, plain = name.rpartition("__")
            nets.setdefault(f"{scope}{prefix}{separator}", {})[plain] = layer
    found = {}
    for scope, theirs in nets.items():
        try:
            network = read_network(translate(theirs))
        except damage:  # of no network of ours
            continue
        if network:
            found[scope] = network
    return found


def read_network(layers: Layers) -> ConfiguredNetwork | None:
    """Reads a network from its layers; None if there is no unit.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: if they are of no network of ours.
    """
    stages: dict[str, dict[int, dict[int, Conv]]] = {}
    for name, (kind, _) in layers.items():
        if kind == "Conv2D" and (match := UNIT_CONV.fullmatch(name)):
            stages.setdefault(match[1], {}).setdefault(int(match[2]), {})[int(match[3])] = _conv(name, layers)
    units = [f"{stage}_block{index}" for stage, units in stages.items() for index in units]
    preactivated = [f"{unit}_preact_{norm}" for unit in units for norm in ("bn", "gn")]
    is_v2 = not layers.keys().isdisjoint(preactivated)
    if not is_v2 and layers.keys().isdisjoint(f"{unit}_out" for unit in units):  # DenseNet's have neither
        return None
    kinds = {NORMS[kind] for name, (kind, _) in layers.items() if kind in NORMS and _UNIT_NORM.fullmatch(name)}
    pool = _stem_pool(layers)
    sees = pool[1] if pool else None
    plan = Plan(
        2 if is_v2 else 1,
        tuple(
            _conv(name, layers) for name, (kind, _) in layers.items() if kind == "Conv2D" and STEM_CONV.fullmatch(name)
        ),
        pool[0] if pool else None,
        tuple(
            tuple(_unit(f"{stage}_block{index}", convs, layers) for index, convs in sorted(units.items()))
            for stage, units in stages.items()
        ),
        "ceil" if sees == "ceil" else "valid" if sees == "valid" else "padded",
        "group" if kinds == {"group"} else "batch",
        data_norm="data_bn" in layers,
    )
    return ConfiguredNetwork(plan, sees, _settings(layers))


def _conv(name: str, layers: Layers) -> Conv:
    """Reads a convolution of the plan from a layer's config, and from what around it takes its stride."""
    config, plain = layers[name][1], name.removesuffix("_conv")
    pad = layers[f"{plain}_pad"][1]["padding"][0][0] if f"{plain}_pad" in layers else 0
    kernel, stride, dilation = (config[key][0] for key in ("kernel_size", "strides", "dilation_rate"))
    by: StridesBy = "conv"
    for suffix, way in _WAYS.items():
        kind, other = layers.get(f"{plain}_{suffix}", ("", {}))
        if kind == "AveragePooling2D" and stride == 1:
            stride, by = other["strides"][0], way
    groups = config.get("groups", 1)  # until Keras 2.3 there are none
    numbers = (config.get(INPUTS, 0), config["filters"], kernel, stride, dilation, groups)
    if any(type(each) is not int or not 0 <= each < _LARGEST for each in (*numbers, pad)):
        raise TypeError(f"{name!r} is of no sizes")
    return Conv(plain, *numbers, bool(config["use_bias"]), pad, by, 1 if layers[name][0] == "Conv1D" else 2)


def _stem_pool(layers: Layers) -> tuple[Any, str | None] | None:
    """Reads the stem's pool, as `Plan.pool` says it, and what a max pool sees beyond the border; None without one."""
    if "pool1_conv" in layers:
        return _conv("pool1_conv", layers), None
    if "pool1_blur" in layers:
        return "blur", None
    kind, pool = layers.get("pool1_pool", ("", {}))
    if not kind:
        return None
    if kind == "AveragePooling2D":
        return "avg", None
    if pool.get("padding") == "same" and tuple(pool.get("pool_size", ())) == (3, 3):
        return "max", "same"
    if "pool1_max" in layers:
        return "max", "-inf"
    if "pool1_pad" not in layers:
        return "max", "valid"
    return "max", "zeros" if layers["pool1_pad"][1]["padding"][0][0] else "ceil"


def _settings(layers: Layers) -> dict[str, Any]:
    """Reads epsilons and activations of the layers that a network of ours has."""
    found: dict[str, Any] = {each: layers[each][0] for each in (IN_FRONT, HEAD) if each in layers}
    for name, (kind, config) in layers.items():
        if kind in NORMS:
            found[f"{name}.epsilon"] = config["epsilon"]
        elif (_ACTIVATION.fullmatch(name) or _GATE.fullmatch(name)) and kind != "Add":
            plain = not any(config.get(each) for each in ("max_value", "negative_slope", "threshold"))
            setting = "gate_activation" if _GATE.fullmatch(name) else "activation"
            found[f"{name}.{setting}"] = config["activation"] if kind == "Activation" else kind if plain else config
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
    found = [
        lineage
        for lineage in PUBLISHED
        if lineage.version == plan.version
        and stem_pool in (None, lineage.stem_pool)
        and _may_be(lineage, plan, stem_pool)
        and _follows(plan, lineage)
    ]
    striding = striding_convs(plan)
    early, late = (any(unit.name in striding for unit in plan.stages[end]) for end in (0, -1))
    usual = [row for row in found if not (late if row.stride_at == "last_3x3" else early)]
    same = [row for row in usual or found if isclose(row.epsilon, epsilon, rel_tol=0.01)]
    return tuple(dict.fromkeys(row.style for row in same or usual or found))


def _may_be(lineage: Lineage, plan: Plan, stem_pool: str | None) -> bool:
    """Whether a network is of the kind of which a lineage is, where this has no more than that of its own."""
    if lineage is RESNET_RS:
        return isinstance(plan.pool, Conv)
    gated = any(unit.attention for unit in plan.units)
    if lineage is RESNEXT:
        return not gated
    if lineage in (SENET, SENET_1X1, KERAS_SENET, KERAS_SENET_1X1):
        return stem_pool is not None and (gated or lineage in (SENET, SENET_1X1))
    return lineage is not BIT or plan.norm == "group"


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
            unstrided = [conv for conv in wide if conv is not strides or conv.strides_by != "conv"]
            if any((conv.pad > 0) is not lineage.pad_always for conv in unstrided):
                return False
    if any(conv.stride > 1 and conv.pad != (conv.kernel - 1) // 2 for conv in plan.stem):
        return False
    if plan.data_norm is not lineage.data_norm:
        return False
    padded = {unit.shortcut for unit in plan.units if unit.shortcut in PADS.values()}
    if padded != {PADS[lineage.pad_channels]} and (padded or lineage.pad_channels != "after"):
        return False
    normed = {norm.name.rpartition("_")[0] for norm in plan.norms()}
    gates = {conv.name for unit in plan.units for conv in unit.attention}
    return all(
        conv.bias is (lineage.bias == "all" or (lineage.bias == "no_norm" and conv.name not in normed))
        for conv in plan.convs()
        if conv.name not in gates
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


def _unit(name: str, convs: dict[int, Conv], layers: Layers) -> Unit:
    """A unit of these convolutions, by number; 0 is the projection."""
    shortcut: Shortcut = convs.get(0, "identity")
    kind, pad = layers.get(f"{name}_0_pad", ("", {}))
    if shortcut == "identity" and kind == "ZeroPadding2D":
        shortcut = PADS["both" if pad["padding"][1][0] else "after"]
    main = tuple(convs[i] for i in sorted(convs.keys() - {0}))
    gate = [f"{name}_{part}_conv" for part in ("se_1", "se_2", "eca")]
    attention = tuple(_conv(each, layers) for each in gate if each in layers)
    relu = bool(attention and main) and f"{main[-1].name}_relu" in layers
    return Unit(name, main, shortcut, 0 in convs, attention, relu)
