"""What an open weights file is: whose, of which style, and which of its tensors are a network's. Imports no Keras."""

import re
from collections.abc import Mapping

from keras_resnet.architecture.detect import plans_of_config, styles_of
from keras_resnet.architecture.plans import Plan
from keras_resnet.checkpoints.families.family import KERAS, LONGEST, Family, Shape, family_of
from keras_resnet.checkpoints.open import Source, neighbour
from keras_resnet.utils.errors import choice_error

_MOST = 100  # networks in a file
_COPY = re.compile(r"(encoder_k|momentum_encoder)\.$")  # MoCo's slow copy of the network that learns
_ENCODER = re.compile(r"encoder(_[qk])?\.$")  # MoCo's networks, whose `fc` projects and does not classify
_BLURRED = re.compile(r"aa|blur")  # timm's names of networks with the tensors of a plain one


def network_family(source: Source) -> Family:
    """The family that a file is of.

    Raises:
        ValueError: if there is no network of ours in it.
    """
    family = family_of(source.shapes)
    if family is None:
        some = ", ".join(f"{name!r:.99}" for name in list(source.shapes)[:3]) or "no tensor"
        raise ValueError(f"{str(source.path)!r} holds no ResNet whose names are known, but {some}.")
    return family


def label(scope: str) -> str:
    """A scope as people write it, without the separator at its end."""
    return scope.rstrip("./").removesuffix("__")


def scopes_of(source: Source, family: Family) -> dict[str, str]:
    """What the names of each network in a file begin with, by label."""
    scopes = {label(scope): scope for scope in family.scopes(source.shapes)}
    if len(scopes) > _MOST:
        raise ValueError(f"{str(source.path)!r} holds {len(scopes)} networks, more than any file of weights.")
    return scopes


def choose_scope(source: Source, family: Family, wanted: str | None = None, built: str | None = None) -> str:
    """What the names of a file's network begin with: of several the one that is wanted, or of the model's scope."""
    scopes = scopes_of(source, family)
    if wanted not in (None, built, *scopes):
        raise choice_error(
            "scope", wanted, (built, *scopes), f" The first is the model's, then {str(source.path)!r}'s."
        )
    for scope in (wanted, built):
        if scope in scopes:
            return scopes[str(scope)]
    learning = [scope for scope in scopes.values() if not _COPY.search(scope)]
    if len(learning) == 1:
        return learning[0]
    raise choice_error("scope", wanted, tuple(scopes), f" {str(source.path)!r} holds several networks.")


def own_tensors(source: Source, family: Family, scope: str) -> dict[str, Shape]:
    """The shapes of a network's own tensors, by name below its scope."""
    inner = tuple(
        other for other in family.scopes(source.shapes) if other.startswith(scope) and len(other) > len(scope)
    )
    own = re.compile(family.own)
    found = {
        name[len(scope) :]: shape
        for name, shape in source.shapes.items()
        if name.startswith(scope)
        and len(name) < LONGEST
        and not (inner and name.startswith(inner))
        and own.fullmatch(name, len(scope))
    }
    if _ENCODER.search(scope):
        found = {name: shape for name, shape in found.items() if not name.startswith("fc.")}
    return found


def modules_of(family: Family, plan: Plan, held: Mapping[str, Shape]) -> dict[str, str]:
    """What a file calls our layers; nothing where it doesn't tell."""
    modules = dict(family.names(plan)) if family.names else {}
    if family is KERAS and "probs/kernel" in held:  # keras.applications' own files
        modules["predictions"] = "probs"
    return modules


def version_told(source: Source, scope: str) -> int | None:
    """The version of a network, where a `.keras` file's config tells it."""
    plan = _plans(source).get(scope)
    return plan[0].version if plan else None


def styles_told(source: Source, family: Family, scope: str) -> tuple[str, ...]:
    """The styles that a file's network can be of, the likeliest first; none if it is laid out as none of them.

    Raises:
        ValueError: if the file's config tells that no builder makes its network.
    """
    if plan := _plans(source).get(scope):
        return styles_of(*plan)
    if family.transposed:
        beside = neighbour(source.path)
        network = str(beside.get("architecture", ""))
        if _BLURRED.search(network) or beside.get("downsample_in_first_stage"):
            what = f"{network!r:.99}, which blurs" if network else "downsample_in_first_stage"
            raise ValueError(f"{str(source.path)!r}: the config.json beside it says {what}: no builder makes that.")
        if "torch_1x1" in family.styles and "downsample_in_bottleneck" in beside:
            first = beside["downsample_in_bottleneck"] and beside.get("layer_type") != "basic"
            return ("torch_1x1" if first else "torch",)
    return family.styles


def _plans(source: Source) -> dict[str, tuple[Plan, str | None]]:
    """What a `.keras` file's config tells of its networks, by scope."""
    config = getattr(source, "config", None)
    return plans_of_config(config) if config else {}
