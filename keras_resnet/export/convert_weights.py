"""Converts a weights file, or a published one by its key, to a file of another library; verifies the outputs."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.architecture.detect import models_of_config
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.classifiers import candidates, classified, unclassified
from keras_resnet.checkpoints.contents import NetworkInFile, choose_network, read_networks
from keras_resnet.checkpoints.families.fit import alike
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.mismatch import advice, is_as_told
from keras_resnet.checkpoints.open import Source, files_of, open_named
from keras_resnet.export.peers import logits, peer
from keras_resnet.models.builder import ResNet
from keras_resnet.models.description import Description, description_in, with_description
from keras_resnet.models.inspection import find_network
from keras_resnet.models.preprocessing import mode_of, preprocessing_layers
from keras_resnet.models.weights.find import stem_channels
from keras_resnet.models.weights.load import LoadReport, load_network
from keras_resnet.models.weights.save import PYTORCH, save_weights
from keras_resnet.utils.errors import check_choice, near_path
from keras_resnet.utils.files import atomic_file
from keras_resnet.utils.recursion import recursion_limit

_KERAS = (".keras", ".weights.h5")
_CLOSE = 1e-4  # of the largest logit


@dataclass(frozen=True)
class Recognized:
    """A published network in a file, as what it can be built.

    Attributes:
        network: in the file.
        variant: the network, in the style that it is taken for.
        classes: of its classifier; None: it has none.
        channels: of images.
        asked: whether the caller said of which style it is.
        others: the networks that have its tensors, too.
    """

    network: NetworkInFile
    variant: Variant
    classes: int | None
    channels: int
    asked: bool = False
    others: tuple[str, ...] = ()

    @property
    def lacks(self) -> str:
        """Why it has no classifier, as the end of a sentence."""
        width = plan(self.variant).channels
        return unclassified(self.network, width) if candidates(self.network, width) else ""

    def build(
        self, activation: str | None = "softmax", include_preprocessing: bool = False
    ) -> tuple[keras.Model, LoadReport]:
        """Builds the network with the file's weights."""
        lineage = self.variant.lineage
        own: Any = self.network.preprocessing or lineage.preprocessing  # a published file has one of its own
        if include_preprocessing and self.network.scaling:
            own = mode_of(self.network.scaling)
        image = keras.Input((None, None, self.channels))
        x = preprocessing_layers(image, own, "channels_last", self.channels == 1) if include_preprocessing else image
        net = ResNet(
            self.variant,
            include_top=self.classes is not None,
            input_tensor=x,
            classes=self.classes or 1000,
            classifier_activation=activation,
            data_format="channels_last",
        )
        with recursion_limit(len(net.layers)):
            model = keras.Model(image, net.output, name=net.name)  # of one input, not of a list of one
        return model, load_network(model, find_network(model, None), self.network, whole=True, asked=self.asked)


def recognize(
    source: str | os.PathLike[str],
    style: str | None = None,
    scope: str | None = None,
    head: str | None = None,
    averages: bool = False,
    network: str | None = None,
) -> Recognized:
    """Tells which published network a file holds.

    Args:
        source: a file, its folder, the index of one in parts, the prefix of a TensorFlow checkpoint, or a key of
            `list_weights()`.
        style: the style, where the file doesn't tell it.
        scope: which network, where the file holds several.
        head: the name of the classifier, where the file doesn't tell which it is; without the network's scope, or with.
        averages: whether to take the moving averages of the weights.
        network: the name of the network, where the file has the tensors of several and doesn't tell which it is; None:
            the plainest.

    Raises:
        ValueError: if it is none that is published, or of several styles.
        OSError: if it can't be read or downloaded.
    """
    row = list_weights().get(os.fsdecode(source))
    found = choose_network(read_networks(open_named(source), row, averages=averages), scope)
    family = found.family
    fitting = found.fitting()
    if not fitting:
        raise ValueError(
            f"`source`: {found.path!r}, with tensor names of {family.origin}, holds no published network. Another one "
            f"must be built and saved in Python. {advice(found)}"
        )
    told = [each for each in fitting if is_as_told(found, each)] or fitting
    names = tuple(dict.fromkeys(each.name for each in told))
    name = names[0] if network is None else find_row(network).name
    check_choice("network", name, names, f" {found.path!r} can be of no other network.")
    fits = {each.lineage.style: each for each in reversed(told) if each.name == name}
    fits = {each: fits[each] for each in found.styles if each in fits}
    if style in found.styles and style not in fits:  # which lays some networks out as another one does
        for each in list(fits.values()):
            same = replace(each, lineage=LINEAGES.get((style, each.version), each.lineage))
            if alike(same, each):
                fits[same.lineage.style] = same
    if style or (family is KERAS and len(fits) > 1):
        told_not = " can be of these, and does not tell which." if style is None else " can be of no other."
        check_choice("style", style, tuple(fits), f" {found.path!r}{told_not}")
    variant = fits[style] if style else next(iter(fits.values()))
    layout = plan(variant)
    found = classified(found, layout.channels, head)
    modules, held = found.modules(layout), found.tensors
    top = held.get(family.tensor(modules.get("predictions", ""), "bias"))
    return Recognized(
        found,
        variant,
        top[0] if top else None,
        stem_channels(found, layout) or 3,
        style is not None,
        tuple(each for each in names if each != name),
    )


def check_target(target: str | os.PathLike[str], to: str | None = None, include_preprocessing: bool = False) -> None:
    """Raises a `ValueError` unless a file of this ending can be what is asked for."""
    path = Path(os.fsdecode(target))
    of_keras = path.name.endswith(_KERAS)
    if not of_keras and path.suffix not in PYTORCH:
        raise ValueError(
            f"`target` must end in {', '.join(_KERAS)} or one of {', '.join(PYTORCH)}; received {str(path)!r}."
        )
    formats = ("keras",) if of_keras else ("torchvision", "timm")
    check_choice("to", to, (None, *formats), f" The target ends in {path.suffix!r}.")
    if include_preprocessing and path.suffix != ".keras":
        raise ValueError(f"`include_preprocessing` needs a graph, a .keras file; received {str(path)!r}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(
            f"`target` must lie in an existing folder; there is no folder {str(path.parent)!r}.{near_path(path.parent)}"
        )


def convert(
    recognized: Recognized,
    target: str | os.PathLike[str],
    to: str | None = None,
    include_preprocessing: bool = False,
) -> LoadReport:
    """Writes a recognized network to a file of a library.

    Args:
        recognized: from `recognize`.
        target: ends in `.keras` or `.weights.h5` (Keras), or in `.safetensors`, `.pth`, `.pt` or `.bin`.
        to: "torchvision", "timm" or "keras"; None is as the ending says.
        include_preprocessing: whether a `.keras` file's graph begins with what the weights expect of raw RGB.

    Returns:
        What became of the source's tensors.

    Raises:
        ValueError: if the ending is another, or the library has no names for such a network.
        ImportError: if a library is missing.
        OSError: if the file can't be written; what was there is as it was.
    """
    check_target(target, to, include_preprocessing)
    path = Path(os.fsdecode(target))
    held = filter(Path.exists, files_of(recognized.network.source))
    if path.exists() and any(map(path.samefile, held)):
        raise ValueError(f"`target` must differ from the source; received {str(path)!r} for both.")
    model, report = recognized.build(include_preprocessing=include_preprocessing)
    described = _description(recognized.network.source)
    if described and len(described.names) == recognized.classes:
        model = with_description(model, described)
    if not path.name.endswith(_KERAS):
        save_weights(model, path, to)
        return report
    with atomic_file(path) as part:
        (model.save if path.suffix == ".keras" else model.save_weights)(part)
    return report


def _description(source: Source) -> Description | None:
    """The description that the last layer in a file of a whole model holds, as `keras-resnet train` leaves it."""
    config = getattr(source, "config", None)
    models = models_of_config(config) if config else []
    return description_in(str([*models[0].layers][-1])) if models and models[0].layers else None


def verify(recognized: Recognized, target: str | os.PathLike[str]) -> list[str]:
    """Compares what the source and the target make of the same images, each here and in its own library.

    Returns:
        A line for each comparison, those too that could not be made.

    Raises:
        ValueError: if outputs differ by more than 1e-4 of the largest.
    """
    images = np.random.default_rng(0).normal(0, 1, (2, 65, 65, recognized.channels)).astype("float32")
    again = recognize(target, recognized.variant.lineage.style, network=recognized.variant.name)
    expected, lines = _run(recognized, images), []
    lines.append(_compare("the target, loaded here", _run(again, images), expected))
    for name, side in (("source", recognized), ("target", again)):
        library, libraries = peer(side.network.family, side.variant)
        if library and side.classes and side.channels == 3:
            there = logits(library, side.variant, side.classes, _tensors(side), images)
            lines.append(_compare(f"the {name}, in {library}", there, expected))
        elif libraries and side.classes and side.channels == 3:
            lines.append(f"not verified: the {name} was not run in {' or '.join(libraries)}: not installed")
        else:
            lines.append(f"not verified: the {name} was not run elsewhere, as no supported library has this network")
    return lines


def _tensors(side: Recognized) -> dict[str, Any]:
    """A network's own tensors, as a library of PyTorch's or keras.applications wants them."""
    found = side.network
    tensors = {name.replace("probs/", "predictions/"): found.read_plain(name) for name in found.tensors}
    if found.family.transposed:  # with norms' counters
        counters = {name.replace("running_mean", "num_batches_tracked") for name in tensors if "running_mean" in name}
        held = {name: f"{found.scope}{name}" for name in counters if f"{found.scope}{name}" in found.source.shapes}
        tensors |= {name: found.source.read(counter) for name, counter in held.items()}
    return tensors


def _run(recognized: Recognized, images: Any) -> Any:
    """Logits, or the feature map of a body."""
    model, _ = recognized.build(activation=None)
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def _compare(what: str, found: Any, expected: Any) -> str:
    deviation = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not deviation <= _CLOSE:
        raise ValueError(
            f"{what}, gives other outputs: they deviate by {deviation:.1e} of the largest, and {_CLOSE:.0e} is allowed."
        )
    return f"verified: {what}, deviates by {deviation:.1e} of the largest output"
