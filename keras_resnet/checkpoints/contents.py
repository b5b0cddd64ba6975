"""Recognises an open weights file: whose it is, which networks it holds, of which styles, and their tensors."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_resnet.architecture.detect import networks_of_config, styles_of
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import Checkpoint
from keras_resnet.checkpoints.families.family import LONGEST, Family, Shape
from keras_resnet.checkpoints.families.fit import family_of, fitting, version_of
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.open import Source, neighbour
from keras_resnet.checkpoints.statements import Scaling, Statement, of_config, of_words, scaling_of
from keras_resnet.utils.errors import choice_error, enumerate_some

_MOST = 100  # networks in a file
_COPY = re.compile(r"(encoder_k|momentum_encoder)\.$")  # MoCo's slow copy of the network that learns
NO_UNITS = Plan(1, None, pool=False, stages=())  # nothing but a classifier
_ENCODER = re.compile(r"encoder_[qk]\.$")  # MoCo's networks, whose classifier's place is a projection's


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
        scaling: what the config.json beside the file states as means and deviations of pixels in [0, 1], RGB.
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

    @property
    def label(self) -> str:
        """The scope as people write it, without the separator at its end."""
        return self.scope.rstrip("./").removesuffix("__")

    @property
    def evident(self) -> str | None:
        """The style that the names of its modules make the likeliest, if they do."""
        return next((style for style in self.styles[:1] if style in self.family.tells.values()), None)

    @property
    def projects(self) -> bool:
        """Whether a projection has its classifier's place, as in MoCo's networks."""
        return _ENCODER.search(self.scope) is not None

    @property
    def path(self) -> str:
        """The file's, as messages name it."""
        return str(self.source.path)

    @property
    def preprocessing(self) -> str | None:
        """The mode in which a published file expects images; None: that of its style."""
        return self.checkpoint.preprocessing if self.checkpoint else None

    def modules(self, plan: Plan) -> dict[str, str]:
        """Returns the file's names of our layers; none where it holds no names."""
        modules = dict(self.family.names(plan)) if self.family.names else {}
        for ours, other in self.family.others.items():
            if self.family.tensor(other, "kernel") in self.tensors:
                modules[ours] = other
        return modules

    def read(self, name: str) -> Array:
        """Reads a tensor of the network, laid out as our variables are; returns a new array."""
        return self.family.ours(self.source.read(f"{self.scope}{name}"))  # type: ignore[no-any-return]

    def fitting(self) -> list[Variant]:
        """Returns the published networks that have exactly its convolutions, in each lineage that makes another."""
        return fitting(self.family, self.tensors)


def read_networks(source: Source, checkpoint: Checkpoint | None = None) -> tuple[NetworkInFile, ...]:
    """Recognises the networks that a file holds, in the order of their scopes.

    Args:
        source: an open file.
        checkpoint: the catalogue's row of the file, if it is a published one.

    Raises:
        ValueError: if there is no network of ours in it, or more than any file of weights has.
    """
    family = family_of(source.shapes)
    if family is None:
        some = ", ".join(f"{name!r:.99}" for name in list(source.shapes)[:3]) or "no tensor"
        raise ValueError(
            f"{str(source.path)!r} holds no ResNet with tensor names of Keras, TF-Slim, torchvision, timm or "
            f"transformers; it holds {some}."
        )
    scopes = family.scopes(source.shapes)
    if len(scopes) > _MOST:
        raise ValueError(f"{str(source.path)!r} holds {len(scopes)} networks; a weights file may hold {_MOST} at most.")
    config = getattr(source, "config", None)  # of a `.keras` file
    configured = networks_of_config(config) if config else {}
    around = of_words(getattr(source, "words", {}))
    beside = {} if config or checkpoint else neighbour(source.path)
    around += of_config(beside)
    networks = []
    for scope in scopes:
        tensors = _own_tensors(source, family, scope, scopes)
        own = configured.get(scope)
        settings = own.settings.items() if own else ()
        statements = (*around, *(Statement(key, value, "its own config") for key, value in settings))
        if own:
            styles = styles_of(own.plan, own.stem_pool)
        else:
            styles = (checkpoint.style,) if checkpoint else _styles(family, tensors, statements)
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
                scaling_of(beside),
            )
        )
    return tuple(networks)


def choose_network(
    networks: Sequence[NetworkInFile], wanted: str | None = None, built: str | None = None, argument: str = "scope"
) -> NetworkInFile:
    """Returns a file's network: of several the one that is wanted, or of the model's scope, or the one that learns.

    Args:
        networks: of the file.
        wanted: the scope of one.
        built: the scope of the model's.
        argument: what the caller passed; not all take a scope.

    Raises:
        ValueError: if the file does not hold what is wanted, or several and nothing tells which.
    """
    scopes = {network.label: network for network in networks}
    path = networks[0].path
    if wanted not in (None, built, *scopes):
        raise choice_error(
            "scope", wanted, (built, *scopes), f" The first is the network in the model, the others are in {path!r}."
        )
    for scope in (wanted, built):
        if scope in scopes:
            return scopes[str(scope)]
    learning = [network for network in scopes.values() if not _COPY.search(network.scope)]
    if len(learning) == 1:
        return learning[0]
    if argument != "scope":
        some = enumerate_some(list(map(repr, scopes)), 3)
        raise ValueError(
            f"`{argument}`: {path!r} holds several networks, {some}. Build the model with {argument}=None, and load "
            f"one of them with keras_resnet.load_weights(model, {path!r}, scope={next(iter(scopes))!r})."
        )
    raise choice_error("scope", wanted, tuple(scopes), f" {path!r} holds several networks.")


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


def _styles(family: Family, tensors: Mapping[str, Shape], statements: Sequence[Statement]) -> tuple[str, ...]:
    """The styles of a family, the likeliest first, or the one that is stated."""
    if "torch_1x1" in family.styles:
        for statement in statements:
            if statement.rule == "first conv":
                basic = any(each.rule == "block" and "basic" in str(each.value).lower() for each in statements)
                return ("torch_1x1" if statement.value and not basic else "torch",)
    likely = [style for module, style in family.tells.items() if family.tensor(module, "kernel") in tensors]
    return tuple(dict.fromkeys((*likely, *family.styles)))
