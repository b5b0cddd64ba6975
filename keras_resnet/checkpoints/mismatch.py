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
    r"downsample\.1\.weight$": ("averaging shortcuts, as ResNet-D and ResNet-T have", 2),
    r"\.weight_(orig|mask|u|v|g)$|\.parametrizations\.": (
        "the parameters of pruning, spectral norm or weight norm: remove these, and save it again",
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
        cause = "Its training diverged, or the file is damaged. Use an earlier checkpoint, or another file."
    elif faults != {""}:
        cause = "Weights must be finite floats in the range of the model's dtype."
    else:
        cause = _cause(found, plan, modules, {each.name[len(found.scope) :]: each for each in differences})
    return "\n".join(("The model needs (-), and the file has (+):", *lines[:_SHOWN], *more, cause))


def advice(found: NetworkInFile) -> str:
    """Says which network in which style a file fits, or that none does, and why if it is known."""
    if found.family.names is None:
        return "The file holds no layer names, so its network is unknown. Load it into the network that saved it."
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
        return f"{strange}. It fits no network of this package." if strange else "It fits no network of this package."
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
        return (
            f"The file looks like a v{found.version} network, and the model is a v{plan.version} network. "
            f"{advice(found)}"
        )
    top = f"{modules.get('predictions')}{family.separator}"
    theirs = _units(family, found.tensors)
    ours = _units(family, (f"{modules[f'{unit.convs[0].name}_conv']}{family.separator}" for unit in plan.units))
    if theirs != ours and any(not (part.startswith(top) or family.is_stem(part)) for part in differing):
        same = [row.name for row in NETWORKS.values() if (row.version, row.units) == (plan.version, theirs)]
        named = f", as in {' and '.join(map(builder_name, same))}" if same else ""
        return f"The stages of the file have {theirs} blocks{named}, those of the model {ours}. {advice(found)}"
    left_over = all(each.wanted is None for each in differing.values())
    if all(part.startswith(top) for part in differing) and not left_over:
        return _of_classifier(found, plan, modules)
    if all(map(family.is_stem, differing)):
        return "The stems differ in input channels, kernel size or width, or one of them is missing or incomplete."
    fits = advice(found)
    if all(each.held is None for each in differing.values()):
        return f"The other tensors are there. Was the file cut off, or saved from a part of the network? {fits}"
    if left_over and not found.fitting():
        return f"All tensors of the model are there. Those left over may be a part that the model lacks. {fits}"
    if not found.fitting():
        return f"{fits} Check that widths (depth_multiplier, base_depth), groups, bias and stem are the same."
    body = [part for part in differing if not part.startswith(top)]
    if not family.transposed and all(map(family.is_bias, body)):
        return f"Biases of convolutions are missing or left over, so the file is of another `style`. {fits}"
    return fits


def _foreign(found: NetworkInFile) -> str | None:
    """What a network has by its tensors that no builder makes."""
    held = found.tensors
    if not found.family.transposed:
        return None
    stem = [name for name, shape in held.items() if len(shape) == 4 and _STEM.fullmatch(name)]
    if len(stem) > 1:
        return f"The file has a stem of {len(stem)} convolutions, as ResNet-C, -D, -S and -T have"
    for pattern, (what, axes) in _FOREIGN.items():
        if any(len(shape) >= axes and re.search(pattern, name) for name, shape in held.items()):
            return f"The file has {what}"
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
        folded = "but biases of convolutions, so the norms were probably folded: use the file from before the folding"
        return f"The file has no batch norms, {folded if any(map(family.is_bias, held)) else 'which all builders have'}"
    if not ends <= set(known.values()):
        return None
    lacking = [variable for variable, end in known.items() if end not in ends]
    if ends and lacking == ["moving_mean", "moving_variance"]:
        return "The norms in the file have no running statistics, so they may be group norms, which no builder makes"
    if ends and lacking:
        return f"The norms in the file have no {' and no '.join(lacking)}, unlike those of all builders"
    return None


def _of_classifier(found: NetworkInFile, plan: Plan, modules: Mapping[str, str]) -> str:
    """Why the classifier of a file, or what may be one, is not the model's."""
    family, held = found.family, found.tensors
    keep = "To keep the model's classifier, use load_weights(..., allow_missing=['predictions'])."
    kernel, bias = (family.tensor(modules["predictions"], each) for each in ("kernel", "bias"))
    classes = _classes(found, modules, plan.channels)
    if classes:
        return (
            f"The file has {classes} classes. Pass classes={classes} (in keras_resnet.slim num_classes={classes}), or "
            "include_top=False for the backbone alone, or build a new classifier with "
            f"keras_resnet.transfer.classifier. {keep}"
        )
    if kernel in held or bias in held:
        what = f"a dense layer with weights and biases for {plan.channels} features"
        return f"The file's classifier, {modules['predictions']!r}, is not {what}. Pass include_top=False. {keep}"
    projections = {f"{scope}{kernel}" for scope in family.scopes(found.source.shapes)}  # MoCo's, that have its place
    place = f"{found.scope}{kernel}"
    if found.projects and place in found.source.shapes:
        return (
            f"{_plain(place)!r} {found.source.shapes[place]} is read as a projection head, which MoCo's networks have "
            f"instead of a classifier. Pass include_top=False. {keep}"
        )
    others = [f"{_plain(name)!r} {shape}" for name, shape in _matrices(found, plan.channels) if name not in projections]
    if others:
        fix = "Pass" if found.projects else f"If it is the classifier, rename it to {place!r}, with its bias, or pass"
        return (
            f"The file has no classifier of a known name, but {enumerate_some(others, 3)}, which may be a classifier "
            f"or a projection head. {fix} include_top=False. {keep}"
        )
    return f"The file has no classifier. Pass include_top=False. {keep}"


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
