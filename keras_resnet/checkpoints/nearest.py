"""Finds the fields of a published network that make it the one whose tensors a file has."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Conv
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.families.fit import fitting, version_of

Changes = dict[str, Any]
_MOST_UNITS = 500
_SHORTCUTS = ("A", "B", "C", "D", None)


def nearest(
    family: Family, held: Mapping[str, Shape], units: tuple[int, ...], styles: Collection[str]
) -> Iterator[tuple[Variant, Changes, list[Variant]]]:
    """Yields published networks, the fields in which that of a file differs, and it in each style, the nearest first.

    Args:
        family: of the file.
        held: shapes of a network's own tensors by name below its scope.
        units: how many of these each stage has.
        styles: of which it can be, the likeliest first.
    """
    if family.names is None or sum(units) > _MOST_UNITS:
        return
    found = []
    for row in map(find_row, NETWORKS):
        if row.version == version_of(family, held) and len(row.units) == len(units):
            found += [(row, changes, variant) for changes, variant in _changed(family, held, row, units)]
    for row, changes, variant in sorted(found, key=lambda each: len(each[1])):
        if rows := fitting(family, held, styles, [variant]):
            yield row, changes, rows


def _changed(
    family: Family, held: Mapping[str, Shape], row: Variant, units: tuple[int, ...]
) -> Iterator[tuple[Changes, Variant]]:
    """Yields the changes of a row that may make it fit: what kernels show, and each kind of shortcut."""
    layout = plan(replace(row, units=units))
    modules = family.names(layout) if family.names else {}

    def kernel(conv: Conv) -> Shape:
        shape = held.get(family.tensor(modules.get(f"{conv.name}_conv", ""), "kernel"), ())
        if len(shape) != 4:
            return (0, 0, 0, 0)
        return (shape[2], shape[3], shape[1], shape[0]) if family.transposed else shape

    firsts = [stage[0].convs for stage in layout.stages]
    convs = [convs for convs in firsts if [kernel(conv)[0] for conv in convs] == [conv.kernel for conv in convs]]
    if len(convs) < len(firsts):
        return
    shown: Changes = {"units": units, "widths": tuple(kernel(each[-1])[3] // row.out(1) for each in firsts)}
    stem = [kernel(conv) for conv in layout.stem]
    if row.stem and all(sum(shape) for shape in stem):
        size, widths = stem[0][0], tuple(shape[3] for shape in stem)
        small = size < row.stem.kernel  # of a net for small images, in which nothing strides before the stages
        shown["stem"] = Stem(size, widths, 1, pool=False) if small and size % 2 else replace(row.stem, widths=widths)
    inputs, (_, _, part, inner) = kernel(firsts[0][0])[3], kernel(firsts[0][1])
    if row.block != "basic" and min(inputs, part, shown["widths"][0]) > 0 and inputs % part == 0:
        groups = inputs // part
        shown |= {"groups": groups, "base_width": inner * 64 // (shown["widths"][0] * groups)}
    for shortcut in _SHORTCUTS:
        fields = shown | {"shortcut": shortcut}
        changes = {name: value for name, value in fields.items() if value != getattr(row, name)}
        try:
            yield changes, replace(row, **changes)
        except ValueError:  # of contradictory fields
            continue
