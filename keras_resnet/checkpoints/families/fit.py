"""Tells which family a file is of, and which networks, in which styles, have exactly its tensors."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from keras_resnet.architecture.planner import outline, plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.families import FAMILIES
from keras_resnet.checkpoints.families.family import MOST_NETWORKS, Family, Shape


def families_of(tensors: Collection[str]) -> dict[str, Family]:
    """Returns the family of each network that a file's names are of, by its scope; none if there is none of ours.

    What one library calls units several families do, which the rest of a network tells apart.
    """
    for family in FAMILIES:
        scopes = family.scopes(tensors)
        if len(scopes) > MOST_NETWORKS:
            return dict.fromkeys(scopes, family)
        if scopes:
            kin = [each for each in FAMILIES if (each.unit, each.first) == (family.unit, family.first)]
            below = {scope: [name[len(scope) :] for name in tensors if name.startswith(scope)] for scope in scopes}
            return {scope: next(each for each in kin if each.has_marks(below[scope])) for scope in scopes}
    return {}


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
    version, units = version_of(family, held), family.units(held)
    head = _head(family, held)
    found: list[Variant] = []
    plans: list[Plan] = []
    for row in map(find_row, NETWORKS) if rows is None else rows:
        if (row.version, row.units) != (version, units):
            continue
        for style in styles:
            if style not in row.styles:
                continue
            variant = row.in_style(style)
            channels = _channels(family, held, outline(variant))
            first = tensors_of(family, outline(variant, channels))
            if not (_holds(held, first) and head <= first.keys()):
                continue
            layout = plan(variant, channels=channels)
            wanted = tensors_of(family, layout)
            if not _holds(held, wanted) or any(_are_alike(layout, each) for each in plans):
                continue
            others = {name.rpartition(family.separator)[0] for name in held.keys() - wanted.keys()}
            if len(others) <= 1 and not any(family.place(each) or family.is_stem(f"{each}.") for each in others):
                found.append(variant)
                plans.append(layout)
    return found


def _head(family: Family, held: Iterable[str]) -> set[str]:
    """The tensors of the stem and of the first unit of each stage, by name."""
    places = {name: family.place(name) for name in held}
    firsts = dict(sorted({place for place in places.values() if place}, reverse=True))  # of each stage the least stays
    return {name for name, place in places.items() if (place in firsts.items() if place else family.is_stem(name))}


def _channels(family: Family, held: Mapping[str, Shape], layout: Plan) -> int:
    """The channels of images that a network is for which has these tensors."""
    module = family.names(layout).get(f"{layout.stem[0].name}_conv", "") if family.names and layout.stem else ""
    kernel = held.get(family.tensor(module, "kernel"), ())
    return max(kernel[1 if family.transposed else 2] if len(kernel) == 4 else 3, 1)


def _holds(held: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> bool:
    """Whether there are some tensors, and a file has all of them."""
    return len(wanted) > 0 and wanted.items() <= held.items()


def tensors_of(family: Family, layout: Plan) -> dict[str, Shape]:
    """The tensors that a network has in files of a family, but for the classifier's; none if it has no names there."""
    modules = family.names(layout) if family.names else {}
    wanted: dict[str, Shape] = {}
    for conv in layout.convs():
        module = modules.get(f"{conv.name}_conv")
        if module is None:
            return {}
        wanted[family.tensor(module, "kernel")] = family.shape(conv.kernel_shape)
        if conv.bias:
            wanted[family.tensor(module, "bias")] = (conv.filters,)
    for norm in layout.norms():
        module = modules.get(norm.name)
        if module is None:
            return {}
        wanted |= {family.tensor(module, each): (norm.channels,) for each in norm.variables}
    return wanted


def alike(one: Variant, other: Variant) -> bool:
    """Whether networks have the same tensors and strides: what is left, padding of pools and epsilon, no file shows."""
    return _are_alike(plan(one), plan(other))


def _are_alike(one: Plan, other: Plan) -> bool:
    """Whether plans differ in nothing but the padding of a pool."""
    return one == replace(other, pool_border=one.pool_border)
