"""Puts a checkpoint into a network: every tensor accounted for, all of it or nothing."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_resnet import names
from keras_resnet.errors import check_choice, choice_error
from keras_resnet.mismatches import NOT_FINITE, UNIT, Difference, Shape, below, explain
from keras_resnet.networks import Network, choose, models
from keras_resnet.tf_checkpoints import Bundle, is_checkpoint

__all__ = ["LoadReport", "load_weights"]

Source = str | os.PathLike[str]


@dataclass(frozen=True)
class LoadReport:
    """What became of every weight of a model and every tensor of a file.

    Example:

        report = keras_resnet.load_weights(model, "resnet_v2_50.ckpt")
        print(report)  # 270 weights loaded, 2 left as they were, 3 tensors unused

    Attributes:
        loaded: the weights, by path, that have the file's numbers; those of a nested model under its name.
        left: the weights, by path, that are as they were.
        unused: the numeric tensors of the file that no weight took: an optimizer's, those of parts the model lacks.
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

        images = keras.Input((None, None, 3))
        net, end_points = keras_resnet.slim.resnet_v1_50(images, 1000)
        model = keras.Model(images, net)
        keras_resnet.load_weights(model, "resnet_v1_50.ckpt")

    TensorFlow is not needed. Tensors are told by their exact names: an optimizer's slots, moving averages of weights
    and the global step are unused; so are parts that the model doesn't have, because it was built without root or
    classifier or cut from a larger one. (A v1 network that ends in its last block may be cut: the report tells.)

    Args:
        model: a model that is, or contains, a network of style "slim", from a builder, `keras_resnet.slim` or a file.
        source: the prefix of a checkpoint (`model.ckpt` for `model.ckpt.index` and `model.ckpt.data-00000-of-00001`),
            or a checkpoint of one file, as the public ones of 2016 are.
        scope: which network is meant if the model, or the file, holds several: the scope that it was built with, in the
            model else the name of TF-Slim's network or of the model that holds it. Where both hold several, of other
            names, load into the models inside, one by one.
        allow_missing: names of layers, such as "predictions", that stay as they are if the file lacks them or has them
            in another shape. (A classifier of as many classes is loaded.)

    Returns:
        A `LoadReport`.

    Raises:
        ValueError: if a tensor is missing, left over, of another shape, not finite or too large for the model's dtype,
            or the file is damaged. The model is as it was.
        OSError: if the file can't be read. The model is as it was.
    """
    network = choose(model, scope)
    if not isinstance(source, (str, os.PathLike)) or not is_checkpoint(source):
        raise ValueError(
            f"`source` must be the prefix of a TensorFlow checkpoint or a checkpoint of one file; received {source!r}, "
            "which is none, or not there. Files of Keras go into a builder's `weights=` or `model.load_weights`."
        )
    return load_checkpoint(model, network, source, scope=scope, allow_missing=allow_missing)


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
    weighted = tuple(name for name, layer in network.layers.items() if layer.weights)
    allowed = set[str]()
    for name in [allow_missing] if isinstance(allow_missing, str) else allow_missing or ():
        plain = str(name).removeprefix(f"{network.prefix}__")
        check_choice("allow_missing", plain, weighted)
        allowed.add(plain)
    bundle = Bundle.open(source)
    scopes = sorted({match[1] or "" for match in map(UNIT.fullmatch, bundle.shapes) if match})
    scope = _scope(bundle, scopes, scope, network.scope)
    if not network.slim:
        raise ValueError(f"`{argument}` is a checkpoint of TF-Slim's; {model.name!r} is not built with style='slim'.")

    held = {name: shape for name, shape in bundle.shapes.items() if _is_variable(name, scope, scopes)}
    wanted, differences = _compare(network, held, scope, allowed, whole)
    values: dict[str, Any] = {}
    if not differences:
        values = {name: bundle.read(name) for name in sorted(wanted)}
        faults = {name: _fault(value, wanted[name].dtype) for name, value in values.items()}
        differences = [Difference(name, None, held[name], fault) for name, fault in faults.items() if fault]
    if differences:
        raise ValueError(explain(argument, str(source), model.name, network.plan, differences, held, scope))
    _assign({name: (each, values[name]) for name, each in wanted.items()})
    loaded, paths = {id(each) for each in wanted.values()}, _paths(model)
    return LoadReport(
        tuple(path for each, path in paths.items() if each in loaded),
        tuple(path for each, path in paths.items() if each not in loaded),
        tuple(sorted(bundle.shapes.keys() - wanted.keys())),
        tuple(
            f"{paths[id(each)]} {tuple(each.shape)}, {held[name]} in the file"
            for name, each in wanted.items()
            if tuple(each.shape) != held[name]
        ),
    )


def _compare(
    network: Network, held: dict[str, Shape], scope: str, allowed: set[str], whole: bool
) -> tuple[dict[str, Any], list[Difference]]:
    """The variables to be filled, by TF-Slim's names, and where a file of these tensors doesn't fit them."""
    wanted, left = dict[str, Any](), set[str]()
    for ours, theirs in names.slim(network.plan).items():
        variables = {
            below(scope, f"{theirs}/{_variable(each)}"): each
            for each in (network.layers[ours].weights if ours in network.layers else ())
        }
        if ours in allowed and any(held.get(name) != _shape(each) for name, each in variables.items()):
            left |= variables.keys()
        else:
            wanted |= variables
    extra = held.keys() - left - {name for name in held if _is_spare(name[len(below(scope, "")) :], network, whole)}
    shapes = {name: _shape(each) for name, each in wanted.items()}
    differing = sorted(name for name in shapes.keys() | extra if shapes.get(name) != held.get(name))
    return wanted, [Difference(name, shapes.get(name), held.get(name)) for name in differing]


def _scope(bundle: Bundle, scopes: list[str], wanted: str | None, built: str) -> str:
    """The scope of the network in a file; of several, the one that is wanted or that the network was built with."""
    if not scopes:
        some = ", ".join(list(bundle.shapes)[:3]) or "no tensor"
        raise ValueError(f"{str(bundle.path)!r} holds no ResNet of TF-Slim's, but {some}.")
    if wanted not in (None, built, *scopes):
        raise choice_error(
            "scope", wanted, (built, *scopes), f" The first is the model's, then {str(bundle.path)!r}'s."
        )
    for scope in (wanted, built):
        if scope in scopes:
            return str(scope)
    if len(scopes) > 1:
        raise choice_error("scope", wanted, tuple(scopes), f" {str(bundle.path)!r} holds several networks.")
    return scopes[0]


def _is_variable(name: str, scope: str, scopes: list[str]) -> bool:
    """Whether a tensor is this network's own: not an optimizer's, nor an average, which have a name below it."""
    inner = [other for other in scopes if other != scope and other.startswith(below(scope, ""))]
    within = name.startswith(below(scope, "")) and not any(name.startswith(f"{other}/") for other in inner)
    return within and name.rpartition("/")[2] in names.SLIM_VARIABLES.values()


def _variable(variable: Any) -> str:
    """What TF-Slim calls one of a layer's variables."""
    if variable.name not in names.SLIM_VARIABLES:
        raise ValueError(
            f"`model`: {variable.path!r} is of no file of TF-Slim's. Load weights before you quantize or enable LoRA."
        )
    return names.SLIM_VARIABLES[variable.name]


def _shape(variable: Any) -> Shape:
    """The shape that TF-Slim gives a variable: its classifier is a 1x1 convolution."""
    shape = tuple(variable.shape)
    return (1, 1, *shape) if len(shape) == 2 else shape


def _fault(value: Any, dtype: str) -> str | None:
    """Why a variable of this dtype can't take an array, if it can't."""
    if value.dtype.kind != "f":
        return f"{value.dtype}, no floats"
    if not np.isfinite(value).all():
        return NOT_FINITE
    if dtype == "float16" and np.abs(value).max(initial=0) > np.finfo("float16").max:
        return "too large for float16"
    return None


def _paths(model: keras.Model) -> dict[int, str]:
    """The path of every weight of a model, by identity, through the models that it is made of."""
    return {id(weight): f"{path}{weight.path}" for path, each in models(model).items() for weight in each.weights}


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
