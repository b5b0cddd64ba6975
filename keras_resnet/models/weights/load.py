"""Loads a weights file into a network: every tensor accounted for, all of it or nothing."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.classifiers import classified
from keras_resnet.checkpoints.contents import NetworkInFile, choose_network, read_networks
from keras_resnet.checkpoints.mismatch import NOT_FINITE, Difference, advice, explain, remedy
from keras_resnet.checkpoints.names.renamed import original
from keras_resnet.checkpoints.open import download, open_named, open_source
from keras_resnet.checkpoints.statements import agrees
from keras_resnet.models.inspection import Network, find_network, find_networks, models
from keras_resnet.models.weights.assumptions import assumptions, contradicts_names
from keras_resnet.models.weights.compare import Wanted, compare, positions
from keras_resnet.utils.errors import check_bool, check_choice
from keras_resnet.utils.progress import say

__all__ = ["LoadReport", "load_weights"]

_STANDARDIZED = (
    "the kernels of all convolutions, which are standardised in the file's network at each step and once here, so that "
    "fine-tuning trains plain convolutions"
)


@dataclass(frozen=True)
class LoadReport:
    """The result of `load_weights`: which weights of the model were loaded, and which tensors of the file were unused.

    Example:

        model = keras_resnet.ResNet18(weights=None, style="torch")
        report = keras_resnet.load_weights(model, "resnet18-f37072fd.pth")
        print(report)  # 102 weights loaded, 0 left as they were, 20 tensors unused

    Attributes:
        loaded: the paths of the weights that were loaded; those of a nested model begin with its name.
        left: the paths of the weights that did not change.
        unused: the names of the file's tensors that were not loaded: counters, an optimizer's variables, and parts that
            the model does not have.
        adapted: the loaded weights that were changed to fit, with the reason: the stem's kernel, for images of more or
            fewer channels; the kernels of BiT's networks, which were standardised.
        assumed: the facts about the network that had to be assumed, one sentence each, since neither the file, nor the
            config.json beside it, nor the caller told them.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    adapted: tuple[str, ...]
    assumed: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = (
            f"{len(self.loaded)} weights loaded, {len(self.left)} left as they were, {len(self.unused)} tensors unused"
        )
        adapted, assumed = (f"adapted: {each}" for each in self.adapted), (f"assumed: {each}" for each in self.assumed)
        return "; ".join((counts, *adapted, *assumed))

    def announce(self, source: object) -> None:
        """Prints a note on standard error about the facts that were assumed of the network in a file, if any.

        Args:
            source: the file, as the note names it.
        """
        if self.assumed:
            say(f"note: {source} does not tell everything about its network. Assumed: {'; '.join(self.assumed)}.")


def load_weights(
    model: keras.Model,
    source: str | os.PathLike[str],
    *,
    scope: str | None = None,
    head: str | None = None,
    averages: bool = False,
    allow_missing: Iterable[str] = (),
) -> LoadReport:
    """Loads a weights file of Keras, PyTorch, safetensors, TF-Slim or BiT into a network, completely or not at all.

    Example:

        model = keras_resnet.ResNet18(weights=None, style="torch")
        report = keras_resnet.load_weights(model, "resnet18-f37072fd.pth")

    The content of a file tells its format: Keras (.keras, .weights.h5, .h5), PyTorch (.pth, .pt, .bin) or safetensors
    with the names of torchvision, timm or transformers, a checkpoint of TF-Slim, or BiT's `.npz` in Google's names.
    Neither PyTorch nor TensorFlow is needed, and no code in a file is executed.

    Tensors are matched by their exact names. The variables of an optimizer, counters, projection heads and a second
    network in the file are not used. Neither are parts that the model does not have, if it was built without stem or
    classifier, or cut from a larger model. (A v1 network that ends in its last block may have been cut; the report
    tells which tensors were unused.)

    The classifier may have any name. If exactly one other matrix in the file can be it, that one is loaded, which the
    report's `assumed` says. A classifier without bias gets a bias of 0.

    Some facts no tensor shows, such as activation, strides, blur pooling and epsilon. If the file, or the `config.json`
    beside it, states them, they must be true of the model, and unknown keys raise an error. If nothing states them, the
    model's own are assumed and listed in the report's `assumed`. If the images of the model do not have 3 channels, the
    stem's kernel is adapted as in timm: summed for 1 channel, repeated and scaled by 3 / N for N.

    Args:
        model: a model that is, or contains, a network from a builder, `keras_resnet.slim` or a file, in the style of
            the weights.
        source: the path of the file, of the index of a file in parts (`model.safetensors.index.json`), or of the folder
            that holds one of these, as `save_pretrained` and training scripts leave it; the prefix of a TensorFlow
            checkpoint (`model.ckpt` for `model.ckpt.index` and `model.ckpt.data-00000-of-00001`); or a key of
            `list_weights()`.
        scope: the name of the network, if the model or the file holds several. In the model, this is the scope that it
            was built with, the name of TF-Slim's network, or the name of the inner model. In a file, it is the
            beginning of its tensors' names, such as "module.encoder_q". If both hold several networks with different
            names, load each inner model on its own.
        head: the name of the classifier in the file, such as "head.fc", if it is not clear which one it is. The
            beginning that it shares with the network's tensors may be left out.
        averages: whether to load the moving averages of the weights that a training script saved beside them (TF-Slim's
            `ExponentialMovingAverage`, or a network such as "model_ema"), instead of the weights themselves.
        allow_missing: names of layers, such as "predictions", that do not change if the file lacks them or has them in
            another shape. (A classifier with the same number of classes is loaded.)

    Returns:
        A `LoadReport`.

    Raises:
        ValueError: if a tensor is missing, left over, of another shape, not finite or too large for the model's dtype;
            if the file is of another style, is damaged or not a weights file. The model does not change.
        OSError: if the file cannot be read or downloaded. The model does not change.
    """
    check_bool("averages", averages)
    network = find_network(model, scope)
    row = list_weights().get(source) if isinstance(source, str) else None
    found = choose_network(read_networks(open_named(source), row, averages=averages), scope, network.scope)
    report = load_network(model, network, found, head=head, allow_missing=allow_missing)
    if contradicts_names(found, network):
        report.announce(found.path)
    return report


def fetched(found: NetworkInFile | Checkpoint, scope: str | None = None) -> NetworkInFile:
    """Returns the network of a file that `find_weights` found; a published file is downloaded."""
    if isinstance(found, NetworkInFile):
        return found
    source = open_source(download(found, "pass weights=None for random initialisation"))
    return choose_network(read_networks(source, found), scope, argument="weights")


def load_found(
    model: keras.Model,
    found: NetworkInFile,
    *,
    head: str | None = None,
    asked: bool = False,
) -> LoadReport:
    """Fills a model that was just built with a file's network, or leaves every weight as it was.

    Says what was assumed, if anything was; `asked`: the caller said of which style the network is.
    """
    network = next((network for network in find_networks(model, nested=False) if not network.prefix), None)
    if network is None:
        raise ValueError(f"`weights` must be None for {model.name!r}, since it has no residual blocks.")
    report = load_network(model, network, found, head=head, argument="weights", whole=True, asked=asked)
    report.announce(found.path)
    return report


def load_network(
    model: keras.Model,
    network: Network,
    found: NetworkInFile,
    *,
    head: str | None = None,
    argument: str = "source",
    allow_missing: Iterable[str] = (),
    whole: bool = False,
    asked: bool = False,
) -> LoadReport:
    """Loads a file's network into one of a model.

    `head`: its classifier's name in the file; `whole`: it was not cut from a larger one; `asked`: the caller said of
    which style it is.
    """
    if head is not None and "predictions" not in network.layers:
        raise ValueError(f"`head` needs a classifier, which {model.name!r} has not; received head={head!r}.")
    weighted = tuple(name for name, layer in network.layers.items() if layer.weights)
    allowed: set[str] = set()
    for name in [allow_missing] if isinstance(allow_missing, str) else allow_missing or ():
        plain = str(name).removeprefix(f"{network.prefix}__")
        check_choice("allow_missing", plain, weighted)
        allowed.add(plain)
    _check_style(model, network, found, argument)
    _check_statements(model, network, found, argument)
    found = classified(found, network.plan.channels, head)
    modules = found.modules(network.with_tail) or positions(network)
    wanted, differences = compare(network, found, modules, allowed, whole)

    style = next((each for each in found.styles if each in network.styles), None)

    def value(name: str, wanted: Wanted) -> Any:
        array = found.read(name, style)
        return adapt_channels(array, wanted.variable.shape[2]) if wanted.channels else array

    by_size = sorted(wanted.items(), key=lambda item: -prod(item[1].shape))  # so memory is used again
    if not differences:
        faults = {name: fault(value(name, each), each.variable.dtype) for name, each in by_size}
        differences = [
            Difference(f"{found.scope}{name}", None, found.tensors[name], fault)
            for name, fault in sorted(faults.items())
            if fault
        ]
    if differences:
        raise ValueError(
            f"`{argument}`: {found.path!r}, a file of {found.family.origin}, does not fit {model.name!r}, which did "
            f"not change. {explain(found, network.plan, modules, differences)}"
        )
    assign((each.variable, value(name, each)) for name, each in by_size)
    loaded, paths = {id(each.variable) for each in wanted.values()}, _paths(model)
    return LoadReport(
        tuple(path for each, path in paths.items() if each in loaded),
        tuple(path for each, path in paths.items() if each not in loaded),
        tuple(
            sorted(
                original(found.source, name)
                for name in found.source.shapes.keys() - {f"{found.scope}{name}" for name in wanted}
            )
        ),
        (
            *(
                f"{paths[id(each.variable)]}, of {each.channels} channels in the file and {each.variable.shape[2]} in "
                "the model"
                for each in wanted.values()
                if each.channels
            ),
            *((_STANDARDIZED,) if found.standardizes(style) else ()),
        ),
        assumptions(found, network, asked=asked, loaded=wanted),
    )


def _check_style(model: keras.Model, network: Network, found: NetworkInFile, argument: str) -> None:
    """Raises a `ValueError` if a file is told to be of another version or style than a model's network."""
    told, version = found.styles, network.plan.version
    if found.family.names is None and found.version not in (None, version):
        raise ValueError(
            f"`{argument}` must hold a v{version} network for {model.name!r}; {found.path!r} holds a v{found.version} "
            "network."
        )
    if network.styles and not told:
        raise ValueError(
            f"`{argument}`: the network in {found.path!r} is of no known style. Load it into a network of the same "
            "`Variant` that it was built from."
        )
    if told and network.styles and not set(told) & set(network.styles):
        theirs, ours = (" or ".join(map(repr, styles)) for styles in (told, network.styles))
        fix = f"Build it with style={told[0]!r}." if (told[0], version) in LINEAGES else advice(found)
        raise ValueError(
            f"`{argument}`: {found.path!r} is a file of {found.family.origin}, of style {theirs}; {model.name!r} is "
            f"built in style {ours}, with other strides or padding. {fix}"
        )


def _check_statements(model: keras.Model, network: Network, found: NetworkInFile, argument: str) -> None:
    """Raises a `ValueError` if what was read of a file's network contradicts the model's, or is not understood."""
    for statement in found.statements:
        if agrees(statement, network.plan, network.epsilon):
            continue
        if statement.rule:
            what = f"which is not true of {model.name!r}. {remedy(found, statement)}"
        else:
            what = "an unknown setting that may change the outputs of the network. Check what it means."
        away = f" If the setting does not matter here, {statement.away}." if statement.away else ""
        raise ValueError(f"`{argument}`: {found.path!r}: {statement}, {what}{away}")


def _paths(model: keras.Model) -> dict[int, str]:
    """The path of every weight of a model, by identity, through the models that it is made of."""
    return {id(weight): f"{path}{weight.path}" for path, each in models(model).items() for weight in each.weights}


def fault(value: Any, dtype: str) -> str | None:
    """Why a variable of this dtype can't take an array, if it can't."""
    if value.dtype.kind != "f":
        return f"{value.dtype} is not a floating-point type"
    if not np.isfinite(value).all():
        return NOT_FINITE
    most = np.finfo("float16" if dtype == "float16" else "float32").max
    if dtype != "float64" and np.finfo(value.dtype).max > most and np.abs(value).max(initial=0) > most:
        return f"too large for {dtype}"
    return None


def adapt_channels(kernel: Any, channels: int) -> Any:
    """A stem's kernel for images of other channels that gives much the same: summed, or repeated and scaled."""
    if channels == 1:
        return kernel.sum(2, keepdims=True)
    held = kernel.shape[2]
    return np.tile(kernel, (1, 1, -(-channels // held), 1))[:, :, :channels] * np.float32(held / channels)


def assign(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Gives every variable its value, or, if that fails, what it had."""
    before = []
    try:
        for variable, value in pairs:
            before.append((variable, keras.ops.convert_to_numpy(variable).copy()))
            variable.assign(value.reshape(variable.shape))
    except BaseException:
        for variable, value in before:
            variable.assign(value)
        raise
