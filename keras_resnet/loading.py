"""Puts a checkpoint into a network: every tensor accounted for, all of it or nothing."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet import names
from keras_resnet.errors import choice_error
from keras_resnet.networks import Network, networks, no_network
from keras_resnet.tf_checkpoints import Bundle, is_checkpoint
from keras_resnet.variants import SLIM_NETS

__all__ = ["LoadReport", "load_weights"]

Shape = tuple[int, ...]
Source = str | os.PathLike[str]

_UNIT = re.compile(r"(?:(.+)/)?([^/]+)/unit_(\d+)/bottleneck_v([12])/conv1/weights")
_SHOWN = 20  # lines of a list in an error


@dataclass(frozen=True)
class LoadReport:
    """What became of every weight of a model and every tensor of a file.

    Example:

        report = keras_resnet.load_weights(model, "resnet_v2_50.ckpt")
        print(report)  # 270 weights loaded, 2 left as they were, 3 tensors unused

    Attributes:
        loaded: the weights, by path, that have the file's numbers.
        left: the weights, by path, that are as they were.
        unused: the tensors of the file that no weight took: those of an optimizer, of parts that the model lacks.
        adapted: which of those loaded had another shape in the file, and what it was.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    adapted: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.loaded)} weights loaded, {len(self.left)} left as they were, {len(self.unused)} tensors unused"
        )


def load_weights(
    model: keras.Model, source: Source, *, scope: str | None = None, allow_missing: Iterable[str] = ()
) -> LoadReport:
    """Loads a checkpoint of TF-Slim's into a network of the same plan, or leaves every weight as it was.

    Example:

        net, end_points = keras_resnet.slim.resnet_v1_50(keras.Input((None, None, 3)), 1000)
        model = keras.Model(net)
        keras_resnet.load_weights(model, "resnet_v1_50.ckpt")

    TensorFlow is not needed. Tensors are told by their exact names: an optimizer's slots, moving averages of weights
    and the global step are unused; so are parts that the model doesn't have, because it was built without root or
    classifier or cut from a larger one.

    Args:
        model: a model that is, or contains, a network of style "slim", from a builder, `keras_resnet.slim` or a file.
        source: the prefix of a checkpoint (`model.ckpt` for `model.ckpt.index` and `model.ckpt.data-00000-of-00001`),
            or a checkpoint of one file, as the public ones of 2016 are.
        scope: which network is meant if the model, or the file, holds several.
        allow_missing: names of layers, such as "predictions", that stay as they are if the file lacks them or has them
            in another shape.

    Returns:
        A `LoadReport`.

    Raises:
        ValueError: if a tensor is missing, left over, of another shape or not finite, or the file is damaged; the model
            is as it was.
    """
    found = networks(model)
    if not found:
        raise no_network(model)
    chosen = found if len(found) == 1 else [network for network in found if network.scope == scope]
    if not chosen:
        raise choice_error("scope", scope, tuple(network.scope for network in found), " The model holds several.")
    if not isinstance(source, (str, os.PathLike)) or not is_checkpoint(source):
        raise ValueError(
            f"`source` must be the prefix of a TensorFlow checkpoint or a checkpoint of one file; received {source!r}. "
            "Files of Keras go into a builder's `weights=` or `model.load_weights`."
        )
    return load_checkpoint(model, chosen[0], source, scope=scope, allow_missing=allow_missing)


def load_checkpoint(
    model: keras.Model,
    network: Network,
    source: Source,
    *,
    argument: str = "source",
    scope: str | None = None,
    allow_missing: Iterable[str] = (),
    whole: bool = False,
) -> LoadReport:
    """Loads a checkpoint into one network of a model; `whole`: it was not cut from a larger one."""
    allowed = {allow_missing} if isinstance(allow_missing, str) else set(allow_missing)
    for name in allowed - network.layers.keys():
        raise choice_error("allow_missing", name, tuple(name for name, each in network.layers.items() if each.weights))
    if not network.slim:
        raise ValueError(f"`{argument}` is a checkpoint of TF-Slim's; {model.name!r} is not built with style='slim'.")
    bundle = Bundle.open(source)
    scope = _scope(bundle, source, scope or network.scope or None)
    held = {name: shape for name, shape in bundle.shapes.items() if _is_variable(name, scope)}

    wanted, left = dict[str, Any](), set[str]()
    for ours, theirs in names.slim(network.plan).items():
        layer = network.layers.get(ours)
        variables = (
            {f"{scope}/{theirs}/{names.SLIM_VARIABLES[each.name]}": each for each in layer.weights} if layer else {}
        )
        if ours in allowed and any(held.get(name) != _shape(each) for name, each in variables.items()):
            left |= variables.keys()
        else:
            wanted |= variables
    spare = {name for name in held if _is_spare(name.removeprefix(f"{scope}/"), network, whole)}
    lines = {
        f"{sign} {name} {shape}"
        for sign, mine, others in (
            ("-", {name: _shape(each) for name, each in wanted.items()}, held),
            ("+", {name: held[name] for name in held.keys() - left - spare}, {n: _shape(w) for n, w in wanted.items()}),
        )
        for name, shape in mine.items()
        if others.get(name) != shape
    }
    values: dict[str, Any] = {}
    if not lines:
        values = {name: bundle.read(name) for name in wanted}
        lines = {
            f"+ {name} {value.shape}: not finite" for name, value in values.items() if not np.isfinite(value).all()
        }
    if lines:
        raise ValueError(_explain(argument, source, model, network, lines, held, scope))
    _assign({name: (each, values[name]) for name, each in wanted.items()})
    loaded = {id(each): name for name, each in wanted.items()}
    return LoadReport(
        tuple(weight.path for weight in model.weights if id(weight) in loaded),
        tuple(weight.path for weight in model.weights if id(weight) not in loaded),
        tuple(sorted(bundle.shapes.keys() - wanted.keys())),
        tuple(
            f"{each.path} {tuple(each.shape)}, {held[name]} in the file"
            for name, each in wanted.items()
            if tuple(each.shape) != held[name]
        ),
    )


def _scope(bundle: Bundle, source: Source, wanted: str | None) -> str:
    """The scope of the network in a file; of several, the one that is wanted."""
    scopes = sorted({match[1] or "" for match in map(_UNIT.fullmatch, bundle.shapes) if match})
    if not scopes:
        some = ", ".join(list(bundle.shapes)[:3]) or "no tensor"
        raise ValueError(f"{str(source)!r} holds no ResNet of TF-Slim's, but {some}.")
    if len(scopes) > 1 and wanted not in scopes:
        raise choice_error("scope", wanted, tuple(scopes), f" {str(source)!r} holds several networks.")
    return scopes[0] if len(scopes) == 1 else str(wanted)


def _is_variable(name: str, scope: str) -> bool:
    """Whether a tensor is a network's own: not an optimizer's, nor an average, which have a name below it."""
    return name.startswith(f"{scope}/") and name.rpartition("/")[2] in names.SLIM_VARIABLES.values()


def _shape(variable: Any) -> Shape:
    """The shape that TF-Slim gives a variable: its classifier is a 1x1 convolution."""
    shape = tuple(variable.shape)
    return (1, 1, *shape) if len(shape) == 2 else shape


def _is_spare(name: str, network: Network, whole: bool) -> bool:
    """Whether a tensor is of a part that the network lacks: root, classifier or what lies behind a cut."""
    plan, part = network.plan, name.partition("/")[0]
    if part == "conv1":
        return plan.stem is None
    if part == "logits":
        return "predictions" not in network.layers
    if whole or not network.layers.keys().isdisjoint(("post_bn", "avg_pool", "predictions")):
        return False
    if part == "postnorm":
        return True
    last, blocks = plan.units[-1], {names.slim_block(unit.stage) for unit in plan.units}
    unit = re.match(r"[^/]+/unit_(\d+)/", name)
    if unit and part == names.slim_block(last.stage):
        return int(unit[1]) >= int(last.name.rpartition("_block")[2])
    return part not in blocks


def _assign(values: dict[str, tuple[Any, Any]]) -> None:
    """Gives every variable its value, or, if that fails, what it had."""
    before = [(variable, keras.ops.convert_to_numpy(variable).copy()) for variable, _ in values.values()]
    try:
        for variable, value in values.values():
            variable.assign(value.reshape(variable.shape))
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise


def _explain(
    argument: str,
    source: Source,
    model: keras.Model,
    network: Network,
    lines: set[str],
    held: dict[str, Shape],
    scope: str,
) -> str:
    """What doesn't fit, sorted by name, and the probable cause."""
    ordered = sorted(lines, key=lambda line: (line[2:].split(" ")[0], line[0] == "+"))
    shown = "\n".join(f"  {line}" for line in ordered[:_SHOWN])
    rest = f"\n  and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return (
        f"`{argument}`: {str(source)!r} does not fit {model.name!r}, which is as it was. The model wants (-), and the "
        f"file has (+):\n{shown}{rest}\n{_cause(network, lines, held, scope)}"
    )


def _cause(network: Network, lines: set[str], held: dict[str, Shape], scope: str) -> str:
    """Why a file probably doesn't fit."""
    plan, parts = network.plan, {line[2:].split(" ")[0].removeprefix(f"{scope}/") for line in lines}
    if all("not finite" in line for line in lines):
        return "The training that wrote it diverged: take an earlier checkpoint."
    units = [match for match in map(_UNIT.fullmatch, held) if match]
    version = int(units[0][4])
    if version != plan.version:
        return f"This looks like a v{version} file, and the model is a v{plan.version} network."
    theirs = Counter(match[2] for match in units)
    ours = Counter(names.slim_block(unit.stage) for unit in plan.units)
    if theirs != ours and parts - {part for part in parts if part.startswith(("logits/", "conv1/"))}:
        counts = tuple(theirs[block] for block in sorted(theirs))
        known = [depth for depth, rows in SLIM_NETS.items() if rows[0].units == counts]
        named = f", as resnet_v{version}_{known[0]} has" if known else ""
        return f"Its blocks have {counts} units{named}; the model's have {tuple(ours[b] for b in sorted(ours))}."
    if all(part.startswith("logits/") for part in parts):
        classes = held.get(f"{scope}/logits/biases", (0,))[-1]
        if not classes:
            return "It has no classifier: pass allow_missing=('predictions',) to leave the model's as it is."
        return (
            f"It has {classes} classes: pass classes={classes} (in keras_resnet.slim num_classes={classes}) "
            "or build without top; allow_missing=('predictions',) leaves your classifier as it is."
        )
    if all(part.startswith("conv1/") for part in parts):
        return "The stems differ: in input channels, or because one of them has none or another one."
    return "Are widths (depth_multiplier, base_depth), bias and stem the same?"
