"""Errors for weights files that do not fit a network: which tensors, the probable cause, and what fits."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, builder_call, builder_name
from keras_resnet.checkpoints.contents import NetworkInFile
from keras_resnet.checkpoints.families.family import Family, Shape

NOT_FINITE = "not finite"
_SHOWN = 20  # lines of a list
# What networks have that no builder makes, by the names of tensors in files of PyTorch.
_FOREIGN = {
    r"^conv1\.\d|^stem\.conv\d": "a stem of three convolutions, as networks with -C, -D, -S and -T in their names have",
    r"\.se\.": "channel attention (SE, ECA)",
    r"downsample\.2\.": "averaging shortcuts, as networks with -D and -T in their names have",
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
        cause = "The training that wrote it diverged: take an earlier checkpoint."
    elif faults != {""}:
        cause = "A network's weights are finite floats that its dtype can hold."
    else:
        cause = _cause(found, plan, modules, {each.name[len(found.scope) :] for each in differences})
    return "\n".join(("The model wants (-), and the file has (+):", *lines[:_SHOWN], *more, cause))


def advice(found: NetworkInFile) -> str:
    """Says which network in which style a file fits, or that none does."""
    if found.family.names is None:
        return "It holds no names of layers, and so does not tell whose it is: load it into the network that saved it."
    fitting = [(builder_call(row.name), row.lineage.style) for row in found.fitting()]
    if not fitting:
        return "It fits none of the builders."
    fits = [
        f"{call} in style {' or '.join(repr(style) for _, style in rows)}"
        for call, rows in groupby(fitting, lambda each: each[0])
    ]
    return f"It fits {', '.join(fits)}."


def _cause(found: NetworkInFile, plan: Plan, modules: Mapping[str, str], parts: set[str]) -> str:
    """Why a file whose tensors differ in these from a network's probably doesn't fit it."""
    family, held = found.family, found.tensors
    if found.version not in (None, plan.version):
        return f"This looks like a v{found.version} file, and the model is a v{plan.version} network. {advice(found)}"
    for pattern, what in _FOREIGN.items():
        if family.transposed and any(map(re.compile(pattern).search, held)):
            return f"It has {what}. {advice(found)}"
    if family.transposed and not any(name.endswith("running_mean") for name in held):
        return f"Its norms are no batch norms. {advice(found)}"
    top = f"{modules.get('predictions')}{family.separator}"
    theirs = _units(family, held)
    ours = _units(family, (f"{modules[f'{unit.convs[0].name}_conv']}{family.separator}" for unit in plan.units))
    if theirs != ours and any(not (part.startswith(top) or family.is_stem(part)) for part in parts):
        same = [row.name for row in NETWORKS.values() if (row.version, row.units) == (plan.version, theirs)]
        named = f", as {' and '.join(map(builder_name, same))} have" if same else ""
        return f"Its stages have {theirs} units{named}; the model's have {ours}. {advice(found)}"
    if all(part.startswith(top) for part in parts):
        shape = held.get(family.tensor(modules["predictions"], "bias"))
        if not shape:
            return (
                "It has no classifier: pass include_top=False; load_weights(..., allow_missing=['predictions']) leaves "
                "the model's as it is."
            )
        return (
            f"It has {shape[-1]} classes: pass classes={shape[-1]} (in keras_resnet.slim num_classes={shape[-1]}), or "
            "include_top=False for the body alone, or let transfer.classifier put a new top on it; "
            "load_weights(..., allow_missing=['predictions']) leaves the model's as it is."
        )
    if all(map(family.is_stem, parts)):
        return "The stems differ: in input channels, or because one of them has none or another one."
    if not family.transposed and all(map(family.is_bias, parts)):
        return f"Biases of convolutions are missing or left over: it is of another `style`. {advice(found)}"
    return f"{advice(found)} Are widths (depth_multiplier, base_depth), groups, bias and stem the same?"


def _units(family: Family, tensors: Iterable[str]) -> tuple[int, ...]:
    """How many units each stage has that some of these are of."""
    places = sorted({place for place in map(family.place, tensors) if place})
    return tuple(len(list(units)) for _, units in groupby(places, lambda place: place[0]))
