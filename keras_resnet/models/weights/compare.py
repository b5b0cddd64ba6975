"""Matches a network's variables with a file's tensors; lists what does not fit."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_resnet.architecture.plans import SUFFIXES
from keras_resnet.checkpoints.contents import NetworkInFile
from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.mismatch import Difference
from keras_resnet.models.inspection import Network

_RGB = 3  # channels of images that public weights are for
_KINDS = {
    "Conv1D": "conv1d",
    "Conv2D": "conv2d",
    "BatchNormalization": "batch_normalization",
    "GroupNormalization": "group_normalization",
    "Dense": "dense",
}


@dataclass(frozen=True)
class Wanted:
    """A variable and what it takes from a file."""

    variable: Any
    shape: Shape  # in the file
    channels: int | None = None  # of the file's stem, if others than the model's


def compare(
    network: Network,
    found: NetworkInFile,
    modules: Mapping[str, str],
    allowed: set[str],
    whole: bool,
) -> tuple[dict[str, Wanted], list[Difference]]:
    """Returns what is to be filled, by the file's names below its scope, and where the file's tensors don't fit."""
    family, held = found.family, found.tensors
    wanted: dict[str, Wanted] = {}
    left: set[str] = set()
    firsts = [f"{conv.name}_conv" for conv in network.plan.stem[:1]]
    for ours, module in modules.items():
        tensors: dict[str, Wanted] = {}
        for variable in network.layers[ours].weights if ours in network.layers else ():
            name, shape = family.tensor(module, variable.name), tuple(variable.shape)
            rgb = family.shape((*shape[:2], _RGB, *shape[3:]))
            if ours in firsts and len(shape) == 4 and shape[2] != _RGB and held.get(name) == rgb:
                tensors[name] = Wanted(variable, rgb, _RGB)
            else:
                tensors[name] = Wanted(variable, family.shape(shape))
        theirs = {name for name in held if name.startswith(f"{module}{family.separator}")}
        if ours in allowed and {name: held[name] for name in theirs} != {
            name: each.shape for name, each in tensors.items()
        }:
            left |= tensors.keys() | theirs
        else:
            wanted |= tensors
    unnamed = {  # such as a gate's, of which the library's networks have none
        f"{found.scope}{ours}/{variable.name}": tuple(variable.shape)
        for ours in (*(f"{conv.name}_conv" for conv in network.plan.convs()), *(n.name for n in network.plan.norms()))
        if ours not in modules and ours not in allowed and ours in network.layers
        for variable in network.layers[ours].weights
    }
    extra = held.keys() - left - {name for name in held if _is_spare(name, network, family, modules, whole)}
    shapes = {name: each.shape for name, each in wanted.items()}
    differing = sorted(name for name in shapes.keys() | extra if shapes.get(name) != held.get(name))
    differences = [Difference(f"{found.scope}{name}", shapes.get(name), held.get(name)) for name in differing]
    return wanted, [*differences, *(Difference(name, shape, None) for name, shape in unnamed.items())]


def positions(network: Network) -> dict[str, str]:
    """Returns what Keras calls layers in files that don't hold their names: class and number, in the model's order."""
    seen: Counter[str] = Counter()
    found: dict[str, str] = {}
    for name, layer in network.layers.items():
        if kind := _KINDS.get(type(layer).__name__):
            found[name] = f"{kind}_{seen[kind]}" if seen[kind] else kind
            seen[kind] += 1
    return found


def _is_spare(name: str, network: Network, family: Family, modules: Mapping[str, str], whole: bool) -> bool:
    """Whether a tensor is of a part that the network lacks: root, classifier or what lies behind a cut."""
    plan = network.plan
    post = f"post_{SUFFIXES[plan.norm]}"
    if family.is_stem(name):
        return not plan.stem
    if name.startswith(f"{modules.get('predictions', _KINDS['Dense'])}{family.separator}"):
        return "predictions" not in network.layers
    if whole or not network.layers.keys().isdisjoint((post, "avg_pool", "max_pool", "predictions")):
        return False
    if name.startswith(f"{modules.get(post)}{family.separator}"):
        return True
    place = family.place(name)
    stages = [family.place(modules[f"{unit.convs[0].name}_conv"]) for unit in plan.units]
    if place is None or stages[-1] is None:
        return False
    stage, index = stages[-1]
    return place[1] >= index if place[0] == stage else place[0] not in {each[0] for each in stages if each}
