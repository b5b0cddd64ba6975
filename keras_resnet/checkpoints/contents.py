"""Recognises an open weights file: whose it is, which networks it holds, of which styles, and their tensors."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.architecture.detect import ConfiguredNetwork, Layers, networks_of_config
from keras_resnet.architecture.lineages import BIT
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import called
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.families import image_classifiers, keras_2016, resnet_rs, resnext, tf_slim
from keras_resnet.checkpoints.families.family import LONGEST, MOST_NETWORKS, Family, Shape
from keras_resnet.checkpoints.families.fit import families_of, fitting, version_of
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE, HUGGINGFACE_BODY
from keras_resnet.checkpoints.families.image_classifiers import is_ordered
from keras_resnet.checkpoints.families.keras import POSITIONS
from keras_resnet.checkpoints.families.keras_hub import KERAS_HUB
from keras_resnet.checkpoints.families.standardized import standardized
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.names.configured import by_our_names
from keras_resnet.checkpoints.names.foreign import whose
from keras_resnet.checkpoints.names.plain_names import plain
from keras_resnet.checkpoints.names.renamed import Renamed, original
from keras_resnet.checkpoints.open import Source, converters, neighbour
from keras_resnet.checkpoints.presets import is_task_preset
from keras_resnet.checkpoints.scaling import Scaling, scaling_of, scaling_of_keras_hub, scaling_of_words
from keras_resnet.checkpoints.statements import (
    CAFFE,
    NAMED,
    WITHIN,
    Statement,
    keras_cv_of,
    of_catalogue,
    of_config,
    of_digest,
    of_hub,
    of_keras_hub,
    of_plan,
    of_words,
    rows_in,
    tells_network,
)
from keras_resnet.utils.errors import choice_error, enumerate_some

_SHOWN = 10  # of them in a message
_SHARED = 1000  # more tensors no two published networks share
_PROJECTION = ".downsample.0.weight"
_SLOW = "encoder_k|momentum_encoder"  # MoCo's slow copy of the network that learns
_COPY = re.compile(rf"({_SLOW})\.$")
_ENCODER = re.compile(rf"(encoder_q|{_SLOW})\.$")  # MoCo's networks, which project instead of classify
NO_UNITS = Plan(1, (), None, ())  # nothing but a classifier
SEPARATOR = r"[./]|__"  # of the parts of a scope
# What training scripts call a moving average of all weights, and the network in it.
_AVERAGES = {"ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "averaged_model", "swa_model", "swa"}
_AVERAGES |= {"average_model_state"}
_ONLINE = "online_model"  # beside the average in ema-pytorch's
# Who saves averages as the plain weights, and these under another name: MMEngine's EMAHook, Lightning's callback.
_PLAIN = "state_dict"
_SWAPPED = {"ema_state_dict": "mmengine_version", "current_model_state": ""}  # and a word that tells


@dataclass(frozen=True)
class NetworkInFile:
    """A network that an open weights file holds.

    Attributes:
        source: the file.
        family: whose naming it has.
        scope: what the names of its tensors begin with, with the separator at its end.
        styles: of which it can be, the likeliest first; none if it is laid out as none of them.
        version: 1 or 2; None where the file does not tell.
        tensors: the shapes of its own tensors, by name below its scope.
        checkpoint: the catalogue's row of the file, if it is a published one.
        statements: what the file, or the config.json beside it, states of the network besides its tensors.
        scaling: what the file, or a config beside it, states of how pixels are scaled.
        classifier: the name in the file of what is taken for the classifier, if its name does not tell that it is; ""
            if the caller does.
        zeros: which of its tensors the file lacks, and are zero.
    """

    source: Source
    family: Family
    scope: str
    styles: tuple[str, ...]
    version: int | None
    tensors: Mapping[str, Shape]
    checkpoint: Checkpoint | None = None
    statements: tuple[Statement, ...] = ()
    scaling: Scaling | None = None
    classifier: str | None = None
    zeros: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The scope as people write it, without the separator at its end."""
        return _label(self.scope)

    @property
    def evident(self) -> str | None:
        """The style that the names of its modules make the likeliest, if they do."""
        return next((style for style in self.styles[:1] if style in self.family.tells.values()), None)

    @property
    def projects(self) -> bool:
        """Whether a projection has its classifier's place, as in MoCo's networks."""
        return _ENCODER.search(self.scope) is not None

    @property
    def averaged(self) -> bool:
        """Whether it is called as a moving average of another network's weights."""
        around = self.scope.removesuffix("module.")  # of PyTorch's AveragedModel, with its counter
        parts, words = re.split(SEPARATOR, self.scope.lower()), ["", *getattr(self.source, "words", ())]
        for raw, told in _SWAPPED.items():
            if any(name.startswith(f"{raw}.") for name in self.source.shapes) and any(w.endswith(told) for w in words):
                return parts[0] == _PLAIN
        mean = self.family.variables["moving_mean"]
        if _ONLINE in parts or not any(name.endswith(mean) for name in self.tensors):  # or of parameters alone
            return False
        named = not _AVERAGES.isdisjoint(parts)
        return named or (around != self.scope and f"{around}n_averaged" in self.source.shapes)

    @property
    def path(self) -> str:
        """The file's, as messages name it."""
        return str(self.source.path)

    @property
    def preprocessing(self) -> str | None:
        """The mode in which a published file, by its key or its name, expects images; None: that of its style."""
        rows = [self.checkpoint] if self.checkpoint else called(self.source.path.name)
        return next((row.preprocessing for row in rows), None)

    def modules(self, plan: Plan) -> dict[str, str]:
        """Returns the file's names of our layers; none where it holds no names."""
        modules = dict(self.family.names(plan)) if self.family.names else {}
        for ours, other in self.family.others.items():
            if self.family.tensor(other, "kernel") in self.tensors:
                modules[ours] = other
        return modules

    def standardizes(self, style: str | None) -> bool:
        """Whether a network of this style takes its kernels standardised."""
        return self.family.standardized > 0 and style == BIT.style

    def read(self, name: str, style: str | None = None) -> Array:
        """Reads a tensor of the network, laid out as the variables of one of this style are; returns a new array."""
        value = self.family.ours(self.read_plain(name))
        if self.standardizes(style) and value.ndim == 4 and (self.family.place(name) or self.family.is_stem(name)):
            value = standardized(value, self.family.standardized)
        return value  # type: ignore[no-any-return]

    def read_plain(self, name: str) -> Array:
        """Reads a tensor of the network, laid out as its family has it; returns a new array."""
        shape = self.tensors[name]
        if name in self.zeros:
            return np.zeros(shape, "float32")
        return self.source.read(f"{self.scope}{name}").reshape(shape)  # a classifier may be a 1x1 convolution, or none

    def fitting(self) -> list[Variant]:
        """Returns the published networks that have exactly its convolutions, in each lineage that makes another."""
        rows = None
        if any(each.rule == "first stride" and each.value for each in self.statements):  # which is no row's
            plain = (row for row in map(find_row, NETWORKS) if row.version == 1)
            styled = (row.in_style(style) for row in plain for style in self.styles if style in row.styles)
            rows = [replace(row, first_stride=2) for row in styled]
        return fitting(self.family, self.tensors, self.styles, rows)


def read_networks(
    source: Source, checkpoint: Checkpoint | None = None, *, averages: bool = False
) -> tuple[NetworkInFile, ...]:
    """Recognises the networks that a file holds, in the order of their scopes.

    Args:
        source: an open file.
        checkpoint: the catalogue's row of the file, if it is a published one.
        averages: whether to return those of moving averages of weights alone: TF-Slim's, which lie beside the weights,
            or the networks that are called so.

    Raises:
        ValueError: if there is no network of ours in it, more than any file of weights has, or no averages.
    """
    source = plain(source)
    shadows = tf_slim.averages(source.shapes) if averages else {}
    source = Renamed(source, shadows) if shadows else source
    source = tf_slim.joined(tf_slim.only_averages(source))
    for family in (keras_2016, resnet_rs, resnext, image_classifiers):
        source = family.plain(source)
    families = families_of(source.shapes) | getattr(source, "families", {})
    scopes = list(families)
    if not scopes:
        some = ", ".join(f"{name!r:.99}" for name in list(source.shapes)[:3]) or "no tensor"
        raise ValueError(
            f"{str(source.path)!r} holds no ResNet with tensor names of Keras, TF-Slim, BiT, torchvision, "
            f"timm, transformers or detectron2; it holds {some}.{whose(source.shapes)}"
        )
    if len(scopes) > MOST_NETWORKS:
        raise ValueError(
            f"{str(source.path)!r} holds {len(scopes)} networks; a weights file may hold {MOST_NETWORKS} at most."
        )
    config = getattr(source, "config", None)  # of Keras' files of whole models
    by_layer = getattr(source, "by_layer", False)
    if by_layer and POSITIONS in families.values():
        unlisted = "" if is_ordered(source) else ", since the file does not list all of them in their order"
        raise ValueError(
            f"{str(source.path)!r} is an older `.h5` file, whose layers have names that Keras numbered as they were "
            "created (such as 'conv2d_7'), not by their place in the network: which is which, only the program that "
            f"built the network tells{unlisted}. "
            "Build it there, fill it with model.load_weights(file), and save it as a `.keras` file, or give its layers "
            "names."
        )
    configured = _configured(source, config, by_layer) if config else {}
    words = getattr(source, "words", {})
    hub = of_keras_hub(config, WITHIN) if config else ()
    beside = {} if configured or hub or checkpoint else neighbour(source.path)
    for each in (config or {}, beside):
        if kind := keras_cv_of(each):
            raise ValueError(
                f"{str(source.path)!r} is of KerasCV's {kind}, whose convolutions pad in another way than those of "
                "any network here, so that its weights can't be loaded. Take other weights, such as "
                "weights='imagenet', and train them again on your images."
            )
    around = (*of_catalogue(source.path, checkpoint), *of_words(words), *hub, *of_config(beside))
    alone = configured or checkpoint or (hub and not is_task_preset(source.path))  # what lies beside is another's
    hubs = scaling_of_keras_hub(config or {}, () if alone else converters(source.path))
    scaling = hubs or scaling_of(beside) or scaling_of_words(words)
    networks = []
    for scope, family in families.items():
        tensors = _own_tensors(source, family, scope, scopes)
        own = configured.get(scope)
        settings = own.settings.items() if own else ()
        whole = of_plan(own.plan) if own else ()
        statements = (
            *around,
            *_of_names(source, family, scope, tensors),
            *whole,
            *(Statement(key, value, WITHIN) for key, value in settings),
        )
        told = own.styles if own else (checkpoint.style,) if checkpoint else None
        styles = _styles(family, tensors, statements) if told is None else told
        networks.append(
            NetworkInFile(
                source,
                family,
                scope,
                styles,
                own.plan.version if own else version_of(family, tensors),
                tensors,
                checkpoint,
                statements,
                scaling,
            )
        )
    if len(networks) == 1 and len(tensors) < _SHARED and not tells_network(networks[0].statements):
        (network,) = networks
        if len({row.name for row in network.fitting()}) > 1:  # a second for 400 MB, where it tells anything
            networks = [replace(network, statements=(*network.statements, *of_digest(Path(network.path))))]
    if averages:
        networks = [each for each in networks if each.averaged or any(name.startswith(each.scope) for name in shadows)]
        if not networks:
            held = enumerate_some([repr(_label(each)) for each in scopes], _SHOWN)
            raise ValueError(
                f"No network in {str(source.path)!r} is called a moving average of weights: it holds {held}. Leave "
                "`averages` out, or pass a scope."
            )
    return tuple(networks)


def choose_network(
    networks: Sequence[NetworkInFile], wanted: str | None = None, built: str | None = None, argument: str = "source"
) -> NetworkInFile:
    """Returns a file's network: of several the one that is wanted, or of the model's scope, or the one that learns.

    Args:
        networks: of the file.
        wanted: the scope of one, with or without the separator at its end.
        built: the scope of the model's.
        argument: what the caller passed.

    Raises:
        ValueError: if the file does not hold what is wanted, or several and nothing tells which.
    """
    scopes = {network.label: network for network in networks}
    path = networks[0].path
    if wanted is not None and not isinstance(wanted, str):
        raise ValueError(f"`scope` must be the name of a network in {path!r}, or None; received {wanted!r}.")
    wanted = getattr(networks[0].source, "scopes", {}).get(wanted, wanted)  # as a `.keras` file itself has it
    if wanted is not None and wanted != built and _label(wanted) not in scopes:
        begin = re.compile(rf"{re.escape(_label(wanted))}({SEPARATOR})")
        below = [network for label, network in scopes.items() if begin.match(label)]
        if len(below) == 1:
            return below[0]
        model = built is not None and argument == "source"  # which may itself hold several
        known = tuple(dict.fromkeys((*([str(built)] if model else []), *scopes)))[:_SHOWN]
        first = " The first is the network in the model, the others are in the file." if model else ""
        raise choice_error("scope", wanted, known, f" It is the beginning of the names of tensors in {path!r}.{first}")
    for scope in (wanted, built):
        if scope is not None and _label(scope) in scopes:
            return scopes[_label(scope)]
    learning = [network for network in scopes.values() if not _COPY.search(network.scope)]
    if len(learning) == 1:
        return learning[0]
    ways = [f"scope={scope!r}" for scope in scopes]
    few = " or ".join(ways) if len(ways) < 4 else f"one of {enumerate_some(ways, _SHOWN)}"
    averaged = sum(network.averaged for network in networks)
    average = 0 < averaged < len(networks) and argument == "source"
    raise ValueError(
        f"`{argument}`: {path!r} holds several networks. Pass {few}"
        f"{', or averages=True for the moving averages of weights' if average else ''}."
    )


def _configured(source: Source, config: Any, by_layer: bool) -> dict[str, ConfiguredNetwork]:
    """Reads the networks of a model's config, by their scopes.

    Raises:
        ValueError: if one whose layers have names of a library is not as this builds it.
    """
    called = getattr(source, "layers", {})
    met = set()

    def rename(scope: str, layers: Layers) -> Layers:
        if scope not in called:
            return layers
        met.add(scope)
        return by_our_names(layers, called[scope])

    def translate(layers: Layers) -> Layers:
        return resnext.translate(keras_2016.translate(layers))

    found = networks_of_config(config, by_layer=by_layer, rename=rename, translate=translate)
    if met - found.keys():
        raise ValueError(
            f"{str(source.path)!r} has names of layers as a library of Keras 2 gave them, but the config in it is of "
            "another graph than that library's network, which no builder makes."
        )
    return found


def _label(scope: str) -> str:
    """A scope as people write it, without the separator at its end."""
    return scope.rstrip("./").removesuffix("__")


def _own_tensors(source: Source, family: Family, scope: str, scopes: Sequence[str]) -> dict[str, Shape]:
    """The shapes of a network's own tensors, by name below its scope, without those of networks inside it."""
    inner = tuple(other for other in scopes if other.startswith(scope) and len(other) > len(scope))
    own = re.compile(family.own)
    found = {
        name[len(scope) :]: shape
        for name, shape in source.shapes.items()
        if name.startswith(scope)
        and len(name) < LONGEST
        and not (inner and name.startswith(inner))
        and own.fullmatch(name, len(scope))
    }
    if not family.names:
        return found
    top, others = family.names(NO_UNITS)["predictions"], set(family.others.values())
    spare = others if family.tensor(top, "kernel") in found else set()  # one is the classifier, and no other
    spare = {top, *others} if _ENCODER.search(scope) else spare
    return {name: shape for name, shape in found.items() if name.rpartition(family.separator)[0] not in spare}


def _of_names(source: Source, family: Family, scope: str, tensors: Iterable[str]) -> Iterator[Statement]:
    """What is not in networks of a library, by whose names a file's tensors go, or by the number that they have."""
    if family in (HUGGINGFACE, HUGGINGFACE_BODY):
        yield Statement("antialias", None, NAMED)
        yield Statement("avg_down", False, NAMED)
    elif family is TORCHVISION:  # a mean in front would count
        projections = (original(source, f"{scope}{name}") for name in tensors if name.endswith(_PROJECTION))
        if any(name.endswith(".0.weight") for name in projections):
            yield Statement("avg_down", False, NAMED)


def _styles(family: Family, tensors: Mapping[str, Shape], statements: Sequence[Statement]) -> tuple[str, ...]:
    """The styles of a family, the likeliest first, or the one that is stated."""
    if of_hub(statements):
        return KERAS_HUB.styles
    if "torch_1x1" in family.styles:
        for statement in statements:
            if statement.rule == "first conv":
                basic = any(each.rule == "block" and "basic" in str(each.value).lower() for each in statements)
                early = statement.value == CAFFE if isinstance(statement.value, str) else bool(statement.value)
                return ("torch_1x1" if early and not basic else "torch",)
    likely = [style for module, style in family.tells.items() if family.tensor(module, "kernel") in tensors]
    styles = tuple(dict.fromkeys((*likely, *family.styles)))
    if "torch_1x1" in styles:  # as any plain network can be of
        return styles
    named = {style for row in rows_in(statements) for style in row.styles}
    return tuple(style for style in styles if style in named) or styles
