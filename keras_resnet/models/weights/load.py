"""Puts a weights file into a network: every tensor accounted for, all of it or nothing."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import keras

from keras_resnet.checkpoints.contents import (
    choose_scope,
    modules_of,
    network_family,
    own_tensors,
    styles_told,
    version_told,
)
from keras_resnet.checkpoints.mismatch import Difference, explain
from keras_resnet.checkpoints.open import Source, open_named
from keras_resnet.models.inspection import Network, find_network, models
from keras_resnet.models.weights.assign import adapt_channels, assign, fault
from keras_resnet.models.weights.compare import Wanted, compare, positions
from keras_resnet.utils.errors import check_choice

__all__ = ["LoadReport", "load_weights"]


@dataclass(frozen=True)
class LoadReport:
    """What became of every weight of a model and every tensor of a file.

    Example:

        report = keras_resnet.load_weights(model, "resnet50-11ad3fa6.pth")
        print(report)  # 267 weights loaded, 0 left as they were, 53 tensors unused

    Attributes:
        loaded: the weights, by path, that have the file's numbers; those of a nested model under its name.
        left: the weights, by path, that are as they were.
        unused: the numeric tensors of the file that no weight took: counters, an optimizer's, those of parts that the
            model lacks.
        adapted: which of those loaded had other numbers in the file, and why: the stem's kernel, for images of more
            or fewer channels.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    adapted: tuple[str, ...]

    def __str__(self) -> str:
        counts = (
            f"{len(self.loaded)} weights loaded, {len(self.left)} left as they were, {len(self.unused)} tensors unused"
        )
        return "; ".join((counts, *(f"adapted: {each}" for each in self.adapted)))


def load_weights(
    model: keras.Model,
    source: str | os.PathLike[str],
    *,
    scope: str | None = None,
    allow_missing: Iterable[str] = (),
) -> LoadReport:
    """Loads a weights file of any library into a network of the same plan, or leaves every weight as it was.

    Example:

        model = keras_resnet.ResNet50(weights=None, style="torch")
        report = keras_resnet.load_weights(model, "resnet50-11ad3fa6.pth")

    What a file is, its content tells: one of Keras (.keras, .weights.h5, .h5), of PyTorch (.pth, .pt, .bin) or
    safetensors with the names of torchvision, timm or transformers, or a checkpoint of TF-Slim's. Neither PyTorch nor
    TensorFlow is needed, and nothing in a file is executed. Tensors are told by their exact names: an optimizer's,
    counters, projection heads and a second network are unused; so are parts that the model doesn't have, because it
    was built without root or classifier or cut from a larger one. (A v1 network that ends in its last block may be
    cut: the report tells.) What no tensor shows, a file of tensors can't tell: a norm's epsilon, or in a CIFAR net
    whether there are shortcuts. Where the model's images have other than the file's 3 channels, the stem's kernel is
    adapted: summed for 1, for N repeated and scaled by 3 / N (timm's way).

    Args:
        model: a model that is, or contains, a network from a builder, `keras_resnet.slim` or a file, of the style that
            the file is of.
        source: the file, or the prefix of a TensorFlow checkpoint (`model.ckpt` for `model.ckpt.index` and
            `model.ckpt.data-00000-of-00001`), or a key of `list_weights()`.
        scope: which network is meant if the model, or the file, holds several: the scope that it was built with, in the
            model else the name of TF-Slim's network or of the model that holds it; in a file what its names begin
            with, such as "module.encoder_q". Where both hold several, of other names, load into the models inside, one
            by one.
        allow_missing: names of layers, such as "predictions", that stay as they are if the file lacks them or has them
            in another shape. (A classifier of as many classes is loaded.)

    Returns:
        A `LoadReport`.

    Raises:
        ValueError: if a tensor is missing, left over, of another shape, not finite or too large for the model's dtype,
            the file is of another style, is damaged or no weights file. The model is as it was.
        OSError: if the file can't be read or downloaded. The model is as it was.
    """
    network = find_network(model, scope)
    return load_source(model, network, open_named(source), scope=scope, allow_missing=allow_missing)


def load_source(
    model: keras.Model,
    network: Network,
    source: Source,
    *,
    argument: str = "source",
    scope: str | None = None,
    allow_missing: Iterable[str] = (),
    whole: bool = False,
) -> LoadReport:
    """Loads an open file into one network of a model; `whole`: it was not cut from a larger one."""
    weighted = tuple(name for name, layer in network.layers.items() if layer.weights)
    allowed = set[str]()
    for name in [allow_missing] if isinstance(allow_missing, str) else allow_missing or ():
        plain = str(name).removeprefix(f"{network.prefix}__")
        check_choice("allow_missing", plain, weighted)
        allowed.add(plain)
    family = network_family(source)
    scope = choose_scope(source, family, scope, network.scope)
    told = styles_told(source, family, scope)
    version = version_told(source, scope)
    if family.names is None and version not in (None, network.plan.version):
        raise ValueError(
            f"`{argument}`: {str(source.path)!r} holds a v{version} network, and {model.name!r} is a "
            f"v{network.plan.version} network."
        )
    if network.styles and not told:
        raise ValueError(
            f"`{argument}`: the network in {str(source.path)!r} is laid out as none of the styles; load it into the "
            "row of your own that made it."
        )
    if told and network.styles and not set(told) & set(network.styles):
        theirs, ours = (" or ".join(map(repr, styles)) for styles in (told, network.styles))
        raise ValueError(
            f"`{argument}`: {str(source.path)!r} is a file of {family.origin}, of style {theirs}; {model.name!r} is "
            f"built in style {ours}, where strides or padding sit elsewhere: build it with style={told[0]!r}."
        )

    held = own_tensors(source, family, scope)
    modules = modules_of(family, network.with_tail, held) or positions(network)
    wanted, differences = compare(network, family, modules, held, allowed, whole)

    def value(name: str, wanted: Wanted) -> Any:
        found = family.ours(source.read(f"{scope}{name}"))
        return adapt_channels(found, wanted.variable.shape[2]) if wanted.channels else found

    by_size = sorted(wanted.items(), key=lambda item: -prod(item[1].shape))  # so memory is used again
    if not differences:
        faults = {name: fault(value(name, each), each.variable.dtype) for name, each in by_size}
        differences = [Difference(name, None, held[name], fault) for name, fault in sorted(faults.items()) if fault]
    if differences:
        named = [Difference(f"{scope}{each.name}", each.wanted, each.held, each.fault) for each in differences]
        raise ValueError(
            explain(argument, str(source.path), model.name, network.plan, modules, family, named, held, scope)
        )
    assign((each.variable, value(name, each)) for name, each in by_size)
    loaded, paths = {id(each.variable) for each in wanted.values()}, _paths(model)
    return LoadReport(
        tuple(path for each, path in paths.items() if each in loaded),
        tuple(path for each, path in paths.items() if each not in loaded),
        tuple(sorted(source.shapes.keys() - {f"{scope}{name}" for name in wanted})),
        tuple(
            f"{paths[id(each.variable)]}, of {each.channels} channels in the file and {each.variable.shape[2]} in the "
            "model"
            for each in wanted.values()
            if each.channels
        ),
    )


def _paths(model: keras.Model) -> dict[int, str]:
    """The path of every weight of a model, by identity, through the models that it is made of."""
    return {id(weight): f"{path}{weight.path}" for path, each in models(model).items() for weight in each.weights}
