"""Tells which family a file is of, and which networks, in which styles, have exactly its tensors."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.families import FAMILIES
from keras_resnet.checkpoints.families.family import Family, Shape

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def family_of(tensors: Collection[str]) -> Family | None:
    """Returns the family that a file's names are of; None if there is none of our networks in it."""
    return next((family for family in FAMILIES if family.scopes(tensors)), None)


def version_of(family: Family, held: Collection[str]) -> int | None:
    """Returns the version of a network that has these tensors, if they tell it."""
    if family.names is None:
        return None
    return family.version or (2 if any(family.v2 in name for name in held) else 1)


def fitting(
    family: Family, held: Mapping[str, Shape], styles: Collection[str], rows: Iterable[Variant] | None = None
) -> list[Variant]:
    """Returns the networks that have exactly these tensors, in each lineage that makes another.

    Of modules that are no part of a body there may be one, which classifies.

    Args:
        held: shapes of a network's own tensors by name below its scope.
        styles: of which it can be, the likeliest first.
        rows: the networks; None: those that are published.
    """
    version = version_of(family, held)
    found: list[Variant] = []
    variants = [
        replace(row, lineage=LINEAGES[style, row.version])
        for row in (map(find_row, NETWORKS) if rows is None else rows)
        for style in styles
        if row.version == version and style in row.styles
    ]
    for variant in variants:
        modules = family.names(plan(variant)) if family.names else {}
        stem = held.get(family.tensor(modules.get("conv1_conv", ""), "kernel"), ())
        channels = stem[1 if family.transposed else 2] if len(stem) == 4 else 3
        layout = plan(variant, channels=max(channels, 1))
        wanted = {}
        for conv in layout.convs():
            module = modules[f"{conv.name}_conv"]
            wanted[family.tensor(module, "kernel")] = family.shape(conv.kernel_shape)
            if conv.bias:
                wanted[family.tensor(module, "bias")] = (conv.filters,)
        for norm, width in norms(layout).items():
            wanted |= {family.tensor(modules[norm], variable): (width,) for variable in NORM}
        if {name: held.get(name) for name in wanted} == wanted and not any(alike(variant, each) for each in found):
            others = {name.rpartition(family.separator)[0] for name in held.keys() - wanted.keys()}
            if len(others) <= 1 and not any(family.place(each) or family.is_stem(f"{each}.") for each in others):
                found.append(variant)
    return found


def alike(one: Variant, other: Variant) -> bool:
    """Whether networks have the same tensors and strides: what is left, padding of pools and epsilon, no file shows."""
    return replace(plan(one), pool_pads=True) == replace(plan(other), pool_pads=True)


def norms(plan: Plan) -> dict[str, int]:
    """Returns how many channels each norm of a network has, by layer."""
    if plan.version == 1:
        return {f"{conv.name}_bn": conv.filters for conv in plan.convs()}
    found = {f"{unit.name}_preact_bn": unit.inputs for unit in plan.units}
    found |= {f"{conv.name}_bn": conv.filters for unit in plan.units for conv in unit.convs[:-1]}
    return found | {"post_bn": plan.channels}
