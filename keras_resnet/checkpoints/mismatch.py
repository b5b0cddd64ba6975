"""Errors for weights files that do not fit a network: which tensors, the probable cause, and what fits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from keras_resnet.architecture.planner import plan as plan_of
from keras_resnet.architecture.plans import NORM_VARIABLES, Plan
from keras_resnet.architecture.rows import NETWORKS, builder_call, builder_name
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.checkpoints.classifiers import candidates, classified, unclassified
from keras_resnet.checkpoints.contents import NO_UNITS, NetworkInFile
from keras_resnet.checkpoints.families.family import Shape
from keras_resnet.checkpoints.families.fit import tensors_of
from keras_resnet.checkpoints.families.keras import DENSE, positions
from keras_resnet.checkpoints.names.foreign import foreign
from keras_resnet.checkpoints.names.renamed import original
from keras_resnet.checkpoints.nearest import nearest
from keras_resnet.checkpoints.open import Source
from keras_resnet.checkpoints.statements import CONVS, Statement, agrees

NOT_FINITE = "not finite"
_NONE = "It fits no network of this package."
_SHOWN = 20  # lines of a list
_NAMED = 2  # networks with as many blocks


@dataclass(frozen=True)
class Difference:
    """A tensor that the model wants and the file lacks, or the other way round, or that they have in other shapes."""

    name: str
    wanted: Shape | None
    held: Shape | None
    fault: str = ""  # of its numbers

    def lines(self, source: Source) -> Iterator[str]:
        """Yields what the model wants, and what the file has instead, by the file's own names."""
        if self.wanted is not None:
            yield f"  - {self.name} {self.wanted}"
        if self.held is not None:
            yield f"  + {_plain(original(source, self.name))} {self.held}" + (f": {self.fault}" if self.fault else "")


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
    lines = [line for difference in differences for line in difference.lines(found.source)]
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
        calls = ", ".join(_by_position(found))
        return (
            f"The file holds no layer names; by the shapes of its tensors and their order it fits {calls}."
            if calls
            else "The file holds no layer names, so its network is unknown. Load it into the network that saved it."
        )
    fitting = []
    published = [(row.name, row) for row in found.fitting()]
    strange = None if published else _foreign(found) or _of_norms(found)
    for network, row in published or ([] if strange else _changed(found)):
        if is_as_told(found, row):
            layout = plan_of(row)
            whole = classified(found, layout.channels)
            classes = _classes(whole, whole.modules(layout), layout.channels)
            usual = classes == 1000 and row.image_side != 32  # what most builders take
            top = "include_top=False" if classes is None else "" if usual else f"classes={classes}"
            own = ", ".join(filter(None, (network, top)))
            call = builder_call(network, top) if network in NETWORKS else f"keras_resnet.ResNet({own})"
            fitting.append((call, row.lineage.style))
    if not fitting:
        if strange is None:
            return _NONE
        return f"{strange}." if ": " in strange else f"{strange}. {_NONE}"  # with a remedy, or without
    fits = [
        f"{call} in style {' or '.join(repr(style) for _, style in rows)}"
        for call, rows in groupby(fitting, lambda each: each[0])
    ]
    unknown = " No tensor tells whether its stem strides and pools." if "keras_resnet.Stem(" in fits[0] else ""
    return f"It fits {', '.join(fits)}.{unknown}"


def _by_position(found: NetworkInFile) -> Iterator[str]:
    """Yields the code that builds each published network that has a file's tensors, where these have no names."""
    family = found.family
    held = {name: shape for name, shape in found.tensors.items() if not name.startswith(f"{DENSE}{family.separator}")}
    kernels = sum(name.endswith(family.first) for name in held)
    channels = max(held.get(family.tensor("conv2d", "kernel"), (3, 3, 3))[2], 1)
    for row in NETWORKS.values():
        convs = (len(row.stem.widths) if row.stem else 0) + sum(row.units) * CONVS[row.block]
        if row.attention or not 0 <= kernels - convs <= len(row.units):
            continue
        for variant in (row.in_style(style) for style in found.styles if style in row.styles):
            layout = plan_of(variant, channels=channels)
            if tensors_of(replace(family, names=positions), layout) == held and is_as_told(found, variant):
                bias = family.tensor(DENSE, "bias")
                whole = classified(found, layout.channels).tensors
                top = f"classes={whole[bias][0]}" if bias in whole else "include_top=False"
                yield builder_call(row.name, f"{top}, style={variant.lineage.style!r}")


def is_as_told(found: NetworkInFile, row: Variant) -> bool:
    """Whether a network is as all says that was read of a file."""
    layout = plan_of(row)
    stated = (agrees(each, layout, row.lineage.epsilon) for each in found.statements)
    return row.lineage.style in found.styles and all(stated)


def remedy(found: NetworkInFile, statement: Statement) -> str:
    """Says which network is as all says that was read of a file, where a model is not as a statement says."""
    fits = advice(found)
    if fits != _NONE:
        return fits
    return "No builder makes such a network." if statement.foreign else "Build the network that it describes."


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
    theirs = family.units(found.tensors)
    ours = family.units(f"{modules[f'{unit.convs[0].name}_conv']}{family.separator}" for unit in plan.units)
    if theirs != ours and any(not (part.startswith(top) or family.is_stem(part)) for part in differing):
        alike = [row for row in NETWORKS.values() if (row.version, row.units) == (plan.version, theirs)]
        same = list(dict.fromkeys(row.name for row in found.fitting() or alike))[:_NAMED]
        named = f", as in {' and '.join(map(builder_name, same))}" if same else ""
        return f"The stages of the file have {theirs} blocks{named}, those of the model {ours}. {advice(found)}"
    left_over = all(each.wanted is None for each in differing.values())
    if all(part.startswith(top) for part in differing) and not left_over:
        return _of_classifier(found, plan, modules)
    fits = advice(found)
    if all(map(family.is_stem, differing)):
        stems = "The stems differ in input channels, kernel size or width, or one of them is missing or incomplete."
        return stems if fits == _NONE else f"{stems} {fits}"
    if all(each.held is None for each in differing.values()):
        there = "The other tensors are there. Was the file cut off, or saved from a part of the network?"
        return f"{there} {fits}" if fits == _NONE else fits
    if left_over and fits == _NONE:
        return f"All tensors of the model are there. Those left over may be a part that the model lacks. {fits}"
    if fits == _NONE:
        return f"{fits} Check that widths (depth_multiplier, base_depth), groups, bias and stem are the same."
    body = [part for part in differing if not part.startswith(top)]
    if not family.transposed and all(map(family.is_bias, body)):
        return f"Biases of convolutions are missing or left over, so the file is of another `style`. {fits}"
    return fits


def _changed(found: NetworkInFile) -> list[tuple[str, Variant]]:
    """A file's network in each style, and the code that makes it of a published one."""
    near = nearest(found.family, found.tensors, found.family.units(found.tensors), found.styles)
    for row, changes, variants in near:
        if any(is_as_told(found, variant) for variant in variants):
            fields = ", ".join(f"{name}={_code(value)}" for name, value in changes.items())
            code = f"dataclasses.replace(keras_resnet.NETWORKS[{row.name!r}], {fields})"
            return [(code, variant) for variant in variants]
    return []


def _code(value: object) -> str:
    """A field's value as code."""
    if isinstance(value, Stem):
        widths = value.width if len(value.widths) == 1 else value.widths
        return f"keras_resnet.Stem({value.kernel}, {widths}, {value.stride}, {value.pool!r})"
    return repr(value)


def _foreign(found: NetworkInFile) -> str | None:
    """What a network has by its tensors that no builder makes."""
    if not found.family.transposed:
        return None
    below = {
        name[len(found.scope) :]: shape for name, shape in found.source.shapes.items() if name.startswith(found.scope)
    }
    stem = {name: shape for name, shape in below.items() if name.startswith("stem.")}
    return foreign(stem | dict(found.tensors))


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

    ends, known = vectors(held), {variable: family.variables[variable] for variable in NORM_VARIABLES["batch"]}
    if not ends and not vectors(found.source.shapes) & set(known.values()):
        folded = "but biases of convolutions, so the norms were probably folded: use the file from before the folding"
        return f"The file has no norms, {folded if any(map(family.is_bias, held)) else 'which all builders have'}"
    if not ends <= set(known.values()):
        return None
    lacking = [variable for variable, end in known.items() if end not in ends]
    if ends and lacking == ["moving_mean", "moving_variance"]:  # which group norms have not
        if found.fitting() or _changed(found):
            return None
        return "The norms in the file have no running statistics, as group norms, and other tensors than such networks"
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
    some = candidates(found, plan.channels)
    alone = ", or include_top=False for the network without it" if some else ". Pass include_top=False"
    return f"{unclassified(found, plan.channels)}{alone}. {keep}"


def _classes(found: NetworkInFile, modules: Mapping[str, str], width: int) -> int | None:
    """How many classes a file's classifier tells apart, if it is one layer for features of this width."""
    family, held = found.family, found.tensors
    kernel, bias = (family.tensor(modules.get("predictions", ""), each) for each in ("kernel", "bias"))
    classes = held.get(bias, ())
    return classes[0] if len(classes) == 1 and held.get(kernel) == family.shape((width, *classes)) else None
