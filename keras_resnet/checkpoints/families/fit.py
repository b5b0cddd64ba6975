"""Tells which family a file is of, and which networks, in which styles, have exactly its tensors."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.families import FAMILIES
from keras_resnet.checkpoints.families.family import Family, Shape


def family_of(tensors: Collection[str]) -> Family | None:
    """Returns the family that a file's names are of; None if there is none of our networks in it."""
    return next((family for family in FAMILIES if family.scopes(tensors)), None)


def version_of(family: Family, held: Collection[str]) -> int | None:
    """Returns the version of a network that has these tensors, if they tell it."""
    if family.names is None:
        return None
    return family.version or (2 if any(family.v2 in name for name in held) else 1)


def fitting(family: Family, held: Mapping[str, Shape]) -> list[Variant]:
    """Returns the published networks that have exactly these convolutions, in each lineage that makes another one.

    Args:
        held: shapes of a network's own tensors by name below its scope.
    """
    version = version_of(family, held)
    found: list[Variant] = []
    rows = [
        replace(row, lineage=LINEAGES[style, row.version])
        for row in map(find_row, NETWORKS)
        for style in family.styles
        if row.version == version and (style, version) in LINEAGES
    ]
    for variant in rows:
        modules = family.names(plan(variant)) if family.names else {}
        stem, top = (family.tensor(modules.get(each, ""), "kernel") for each in ("conv1_conv", "predictions"))
        channels = held[stem][1 if family.transposed else 2] if len(held.get(stem, ())) == 4 else 3
        wanted = {}
        for conv in plan(variant, channels=max(channels, 1)).convs():
            module = modules[f"{conv.name}_conv"]
            wanted[family.tensor(module, "kernel")] = family.shape(conv.kernel_shape)
            if conv.bias:
                wanted[family.tensor(module, "bias")] = (conv.filters,)
        kernels = {name for name, shape in held.items() if len(shape) == 4 and name != top}
        biases = {name for name in held if family.is_bias(name)}
        same = any((plan(each), each.lineage.stem_pool) == (plan(variant), variant.lineage.stem_pool) for each in found)
        if {name: held[name] for name in kernels | biases} == wanted and not same:
            found.append(variant)
    return found
