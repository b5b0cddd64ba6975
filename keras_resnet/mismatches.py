"""What a checkpoint that does not fit is told: which tensors, and why, probably. Imports no Keras."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from keras_resnet import names
from keras_resnet.plans import Plan
from keras_resnet.variants import SLIM_NETS

# A tensor that every unit of TF-Slim's networks has: scope, block, unit and version.
UNIT = re.compile(r"(?:(.+)/)?([^/]+)/unit_(\d+)/bottleneck_v([12])/conv1/weights")
NOT_FINITE = "not finite"
_SHOWN = 20  # lines of a list

Shape = tuple[int, ...]


def below(scope: str, name: str) -> str:
    """A name in a scope; a file may have none."""
    return f"{scope}/{name}" if scope else name


@dataclass(frozen=True)
class Difference:
    """A tensor that the model wants and the file lacks, or the other way round, or that they have in other shapes."""

    name: str
    wanted: Shape | None
    held: Shape | None
    fault: str = ""  # of its numbers

    def lines(self) -> Iterator[str]:
        """What the model wants, and what the file has instead."""
        if self.wanted is not None:
            yield f"  - {self.name} {self.wanted}"
        if self.held is not None:
            yield f"  + {self.name} {self.held}" + (f": {self.fault}" if self.fault else "")


def explain(
    argument: str,
    source: str,
    model: str,
    plan: Plan,
    differences: list[Difference],
    held: dict[str, Shape],
    scope: str,
) -> str:
    """What doesn't fit, and the probable cause."""
    lines = [line for difference in differences for line in difference.lines()]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    head = f"`{argument}`: {source!r} does not fit {model!r}, which is as it was."
    legend = "The model wants (-), and the file has (+):"
    return "\n".join((f"{head} {legend}", *lines[:_SHOWN], *more, _cause(plan, differences, held, scope)))


def _cause(plan: Plan, differences: list[Difference], held: dict[str, Shape], scope: str) -> str:
    """Why a file probably doesn't fit."""
    parts = {each.name.removeprefix(below(scope, "")) for each in differences}
    faults = {each.fault for each in differences}
    if faults == {NOT_FINITE}:
        return "The training that wrote it diverged: take an earlier checkpoint."
    if faults != {""}:
        return "A network's weights are finite floats that its dtype can hold."
    units = [match for match in map(UNIT.fullmatch, held) if match]
    version = int(units[0][4])
    if version != plan.version:
        return f"This looks like a v{version} file, and the model is a v{plan.version} network."
    theirs = Counter(match[2] for match in units)
    ours = Counter(names.slim_block(unit.stage) for unit in plan.units)
    if theirs != ours and parts - {part for part in parts if part.startswith(("logits/", "conv1/"))}:
        counts = tuple(theirs[block] for block in sorted(theirs))
        known = [depth for (each, depth), row in SLIM_NETS.items() if each == version and row.units == counts]
        named = f", as resnet_v{version}_{known[0]} has" if known else ""
        return f"Its blocks have {counts} units{named}; the model's have {tuple(ours[b] for b in sorted(ours))}."
    if all(part.startswith("logits/") for part in parts):
        classes = held.get(below(scope, "logits/biases"), (0,))[-1]
        if not classes:
            return "It has no classifier: load_weights(..., allow_missing=['predictions']) leaves the model's as it is."
        return (
            f"It has {classes} classes: pass classes={classes} (in keras_resnet.slim num_classes={classes}) or build "
            "without top; load_weights(..., allow_missing=['predictions']) leaves a classifier as it is."
        )
    if all(part.startswith("conv1/") for part in parts):
        return "The stems differ: in input channels, or because one of them has none or another one."
    return "Are widths (depth_multiplier, base_depth), bias and stem the same?"
