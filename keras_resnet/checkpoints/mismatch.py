"""Errors for weights files that do not fit a network: which tensors, the probable cause, and what fits."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_resnet.architecture.planner import plan as plan_of
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, builder_call, builder_name
from keras_resnet.checkpoints.contents import NO_UNITS, NetworkInFile
from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.families.fit import NORM
from keras_resnet.checkpoints.statements import agrees
from keras_resnet.utils.errors import enumerate_some

NOT_FINITE = "not finite"
_SHOWN = 20  # lines of a list
_STEM = re.compile(r"(conv1|stem)\.(conv)?\d\.weight")  # a convolution of several, in files of PyTorch
# What no builder makes, by the names of tensors in files of PyTorch, and how many axes these have at least.
_FOREIGN = {
    r"\.se\.": ("channel attention (SE, ECA)", 2),
    r"downsample\.1\.weight$": ("averaging shortcuts, as networks with -D and -T in their names have", 2),
    r"\.weight_(orig|mask|u|v|g)$|\.parametrizations\.": (
        "weights in parts, as pruning, spectral and weight norm leave them: save it after they were removed",
        0,
    ),
}


@dataclass(frozen=True)
class Difference:
    """A tensor that the model wants and the file lacks, or the other way round, or that they have in other shapes."""

    name: str
    wanted: Shape | None
    held: Shape | None
    fault: str = ""  # of its numbers

    def lines(self) -> Iterator[str]:
        """Yields what the model wants, and what the file has instead."""
        if self.wanted is not None:
            yield f"  - {self.name} {self.wanted}"
        if self.held is not None:
            yield f"  + {_plain(self.name)} {self.held}" + (f": {self.fault}" if self.fault else "")


def _plain(name: str) -> str:
    """A file's word that is safe to show: no control characters, no page of text."""
    return f"{name:.199}" if name.isprintable() else f"{name!r:.199}"


def explain(found: NetworkInFile, plan: Plan, modules: Mapping[str, str], differences: Sequence[Difference]) -> str:
    """Lists what doesn't fit a network, and says why, probably.

    Args:
        found: the file's network.
        plan: the model's.
        modules: what the file calls the model's layers.
        differences: by the file's names.
    """
    lines = [line for difference in differences for line in difference.lines()]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    faults = {each.fault for each in differences}
    if faults == {NOT_FINITE}:
        cause = "The training that wrote it diverged, or it is damaged: take an earlier checkpoint, or another file."
    elif faults != {""}:
        cause = "A network's weights are finite floats that its dtype can hold."
    else:
        cause = _cause(found, plan, modules, {each.name[len(found.scope) :]: each for each in differences})
    return "\n".join(("The model wants (-), and the file has (+):", *lines[:_SHOWN], *more, cause))


def advice(found: NetworkInFile) -> str:
    """Says which network in which style a file fits, or that none does, and why if it is known."""
    if found.family.names is None:
        return "It holds no names of layers, and so does not tell whose it is: load it into the network that saved it."
    fitting = []
    for row in found.fitting():
        layout = plan_of(row)
        stated = all(agrees(each, layout, row.lineage.epsilon) for each in found.statements)
        if row.lineage.style in found.styles and stated:
            classes = _classes(found, found.modules(layout), layout.channels)
            usual = classes == 1000 and row.image_side != 32  # what most builders take
            top = "include_top=False" if classes is None else "" if usual else f"classes={classes}"
            fitting.append((builder_call(row.name, top), row.lineage.style))
    if not fitting:
        strange = _foreign(found) or _of_norms(found)
        return f"{strange}. It fits none of the builders." if strange else "It fits none of the builders."
    fits = [
        f"{call} in style {' or '.join(repr(style) for _, style in rows)}"
        for call, rows in groupby(fitting, lambda each: each[0])
    ]
    return f"It fits {', '.join(fits)}."


def _cause(found: NetworkInFile, plan: Plan, modules: Mapping[str, str], differing: Mapping[str, Difference]) -> str:
    """Why a file whose tensors differ in these, by name below its scope, from a network's probably doesn't fit it."""
    family = found.family
    if _foreign(found) or _of_norms(found):
        return advice(found)
    if found.version not in (None, plan.version):
        return f"This looks like a v{found.version} file, and the model is a v{plan.version} network. {advice(found)}"
    top = f"{modules.get('predictions')}{family.separator}"
    theirs = _units(family, found.tensors)
    ours = _units(family, (f"{modules[f'{unit.convs[0].name}_conv']}{family.separator}" for unit in plan.units))
    if theirs != ours and any(not (part.startswith(top) or family.is_stem(part)) for part in differing):
        same = [row.name for row in NETWORKS.values() if (row.version, row.units) == (plan.version, theirs)]
        named = f", as {' and '.join(map(builder_name, same))} have" if same else ""
        return f"Its stages have {theirs} units{named}; the model's have {ours}. {advice(found)}"
    left_over = all(each.wanted is None for each in differing.values())
    if all(part.startswith(top) for part in differing) and not left_over:
        return _of_classifier(found, plan, modules)
    if all(map(family.is_stem, differing)):
        return "The stems differ: in input channels, kernel or width, or because one of them has none or lacks a part."
    fits = advice(found)
    if all(each.held is None for each in differing.values()):
        return f"All else that the model wants is there: was the file cut, or saved of a part? {fits}"
    if left_over and not found.fitting():
        return f"All that the model wants is there: what is left over may be a part that the model lacks. {fits}"
    if not found.fitting():
        return f"{fits} Are widths (depth_multiplier, base_depth), groups, bias and stem the same?"
    body = [part for part in differing if not part.startswith(top)]
    if not family.transposed and all(map(family.is_bias, body)):
        return f"Biases of convolutions are missing or left over: it is of another `style`. {fits}"
    return fits


def _foreign(found: NetworkInFile) -> str | None:
    """What a network has by its tensors that no builder makes."""
    held = found.tensors
    if not found.family.transposed:
        return None
    stem = [name for name, shape in held.items() if len(shape) == 4 and _STEM.fullmatch(name)]
    if len(stem) > 1:
        return f"It has a stem of {len(stem)} convolutions, as networks with -C, -D, -S and -T in their names have"
    for pattern, (what, axes) in _FOREIGN.items():
        if any(len(shape) >= axes and re.search(pattern, name) for name, shape in held.items()):
            return f"It has {what}"
    return None


def _of_norms(found: NetworkInFile) -> str | None:
    """What the norms of a network lack that those of builders have."""
    family, held = found.family, found.tensors
    if family.names is None:
        return None
    top = f"{found.modules(NO_UNITS)['predictions']}{family.separator}"

    def vectors(shapes: Mapping[str, Shape]) -> set[str]:
        """How the names end of what has one axis and is no bias of a convolution or classifier."""
        names = (name for name, shape in shapes.items() if len(shape) == 1 and not name.startswith(top))
        return {name.rpartition(family.separator)[2] for name in names if not family.is_bias(name)}

    ends, known = vectors(held), {variable: family.variables[variable] for variable in NORM}
    if not ends and not vectors(found.source.shapes) & set(known.values()):
        folded = "but biases of convolutions, into which they were probably folded: take the file from before that"
        return f"It has no norms, {folded if any(map(family.is_bias, held)) else 'which all builders make'}"
    if not ends <= set(known.values()):
        return None
    lacking = [variable for variable, end in known.items() if end not in ends]
    if ends and lacking == ["moving_mean", "moving_variance"]:
        return "Its norms keep no running statistics, as group, layer and instance norms do not: no builder makes such"
    if ends and lacking:
        return f"Its norms have no {' and no '.join(lacking)}, which those of all builders have"
    return None


def _of_classifier(found: NetworkInFile, plan: Plan, modules: Mapping[str, str]) -> str:
    """Why the classifier of a file, or what may be one, is not the model's."""
    family, held = found.family, found.tensors
    keep = "load_weights(..., allow_missing=['predictions']) leaves the model's as it is."
    kernel, bias = (family.tensor(modules["predictions"], each) for each in ("kernel", "bias"))
    classes = _classes(found, modules, plan.channels)
    if classes:
        return (
            f"It has {classes} classes: pass classes={classes} (in keras_resnet.slim num_classes={classes}), or "
            f"include_top=False for the body alone, or let transfer.classifier put a new top on it; {keep}"
        )
    if kernel in held or bias in held:
        what = f"weights and biases for {plan.channels} features"
        return f"Its classifier, {modules['predictions']!r}, is no layer of {what}: pass include_top=False; {keep}"
    projections = {f"{scope}{kernel}" for scope in family.scopes(found.source.shapes)}  # MoCo's, that have its place
    place = f"{found.scope}{kernel}"
    if found.projects and place in found.source.shapes:
        return (
            f"{_plain(place)!r} {found.source.shapes[place]} is taken for a projection, as MoCo's networks have in a "
            f"classifier's place: pass include_top=False; {keep}"
        )
    others = [f"{_plain(name)!r} {shape}" for name, shape in _matrices(found, plan.channels) if name not in projections]
    if others:
        fix = "Pass" if found.projects else f"Name it {place!r}, with its bias, or pass"
        return (
            f"None of its tensors is known for a classifier's; {enumerate_some(others, 3)} may be one's, or a "
            f"projection's. {fix} include_top=False; {keep}"
        )
    return f"It has no classifier: pass include_top=False; {keep}"


def _classes(found: NetworkInFile, modules: Mapping[str, str], width: int) -> int | None:
    """How many classes a file's classifier tells apart, if it is one layer for features of this width."""
    family, held = found.family, found.tensors
    kernel, bias = (family.tensor(modules.get("predictions", ""), each) for each in ("kernel", "bias"))
    classes = held.get(bias, ())
    return classes[0] if len(classes) == 1 and held.get(kernel) == family.shape((width, *classes)) else None


def _matrices(found: NetworkInFile, width: int) -> Iterator[tuple[str, Shape]]:
    """The tensors of a file that are none of its networks' and may classify features of this width."""
    family = found.family
    for name, shape in found.source.shapes.items():
        flat = shape if len(shape) == 2 else tuple(size for size in shape if size > 1)
        weighs = name.rpartition(family.separator)[2] == family.variables["kernel"] and len(shape) in (2, 4)
        fits = len(flat) == 2 and flat[1 if family.transposed else 0] == width
        if weighs and fits and name.removeprefix(found.scope) not in found.tensors and not re.search(family.unit, name):
            yield name, shape


def _units(family: Family, tensors: Iterable[str]) -> tuple[int, ...]:
    """How many units each stage has that some of these are of."""
    places = sorted({place for place in map(family.place, tensors) if place})
    return tuple(len(list(units)) for _, units in groupby(places, lambda place: place[0]))
