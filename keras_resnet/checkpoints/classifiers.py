"""Finds the classifier of a network in a file, whatever it is called there, or says why none is sure to be it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile

from keras_resnet.architecture.detect import READS, models_of_config
from keras_resnet.checkpoints.contents import NO_UNITS, SEPARATOR, NetworkInFile
from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.families.keras import DENSE
from keras_resnet.checkpoints.names.renamed import Renamed, original
from keras_resnet.checkpoints.statements import of_hub, pooling_of
from keras_resnet.utils.errors import enumerate_some

# Parts of names: of self-supervised heads, whose outputs are no classes; of metrics, which compare directions; and of
# what is no part of a network at all.
_NO_CLASSIFIER = re.compile(
    r"(^|[./_])(proj\w*|predictors?|prototypes?|mlp|queue|contrast\w*|embed\w*|momentum|momentums?_\w+|bank"
    r"|arc_?(face|margin)\w*|cos_?face|sphere_?face|cosine|margin|metric|optim|optimizers?|ema|shadow|swa|averaged?)"
    r"([./_\d]|$)"
)
_OPTIMIZER = re.compile(r"(^|[./])opt(im(izers?)?)?([./_]|$)")
_OTHER_FEATURES = ("GlobalMaxPooling2D", "UnitNormalization")  # Keras' layers in front of classifiers of others
_LONGEST = 99  # characters of a name in a message


@dataclass(frozen=True)
class Candidate:
    """A matrix of a file that may classify the features of a network.

    Attributes:
        module: its name in the source.
        name: as it stands in the file.
        shape: of its kernel.
        doubt: why it may be something else, as the end of a sentence; "" if nothing speaks against it.
    """

    module: str
    name: str
    shape: Shape
    doubt: str = ""

    def __str__(self) -> str:
        return f"{self.name!r:.{_LONGEST}} {self.shape}"


def classified(found: NetworkInFile, width: int, head: str | None = None) -> NetworkInFile:
    """Returns a network with the classifier that the file has for it, under the name that its family gives one.

    Args:
        found: a file's network.
        width: how many channels it ends in.
        head: the name of the classifier in the file; None: that of a known name, or the only one that it can be.

    Raises:
        ValueError: if the file has no such module, or it is no matrix for features of this width.
    """
    family = found.family
    if family.names is None:
        if head is not None:
            raise ValueError(f"`head`: {found.path!r} holds no names of layers. Leave `head` out.")
        return _with_dense(found, width)
    top = found.modules(NO_UNITS)["predictions"]
    known = f"{found.scope}{top}"
    if head is not None:
        return replace(_taken(found, _named(found, width, head), width), classifier="")
    if family.tensor(top, "kernel") in found.tensors:
        fits = _flow(family, found.source.shapes.get(family.tensor(known, "kernel"), ())) or (0, 0)
        if fits[0] != width:
            return found
        if found.classifier is None and (_beside(found).get(known) or _other_features(found)):
            held = {name: shape for name, shape in found.tensors.items() if name.rpartition(family.separator)[0] != top}
            return replace(found, tensors=held)
        return _taken(found, known, width)
    if found.projects:
        return found
    near = candidates(found, width)
    if len(near) != 1 or near[0].doubt:
        return found
    told = of_hub(found.statements) and near[0].name == top  # as in all its tasks
    return replace(_taken(found, near[0].module, width), classifier=None if told else near[0].name)


def candidates(found: NetworkInFile, width: int) -> list[Candidate]:
    """Returns the matrices of a file that may classify a network's features: the nearest ones, by name.

    Those come first that lie where the network does, then those one level above, and so on. What another network has is
    none; and what is called as a projection head is one only if there is nothing else.
    """
    family, shapes, variable = found.family, found.source.shapes, found.family.variables["kernel"]
    levels, names = _reach(found)
    takes: defaultdict[int, list[str]] = defaultdict(list)
    gives: defaultdict[int, list[str]] = defaultdict(list)
    for name in names:
        flow = _flow(family, shapes[name], of_any_size=True)
        if flow and name.rpartition(family.separator)[2].startswith(variable):  # or `weight_v`
            takes[flow[0]].append(name)
            gives[flow[1]].append(name)
    norms, beside, others_say = _norms(family, names, shapes), _beside(found), _other_features(found)
    proper: list[tuple[str, Candidate]] = []
    others: list[tuple[str, Candidate]] = []
    for kernel in takes[width]:
        module, _, last = kernel.rpartition(family.separator)
        flow = _flow(family, shapes[kernel])
        if not flow or not module or last != variable:
            continue
        classes = flow[1]
        bias = shapes.get(family.tensor(module, "bias"), (classes,))
        after = next((name for name in takes[classes] if name != kernel), None)
        before = next((name for name in gives[width] if name != kernel), None)
        norm = norms.get(classes) or norms.get(width)
        level = next(level for level in levels if module.startswith(level))
        strange = _NO_CLASSIFIER.search(module[len(level) :].lower())
        if after:
            doubt = f"{_shown(found, after)} may take its outputs, so that the classifier is more than one layer"
        elif before:
            doubt = f"{_shown(found, before)} may lie between the network and it"
        elif norm:
            doubt = f"a norm, {_shown(found, norm)}, may lie beside it"
        elif bias != (classes,):
            doubt = f"its bias has the shape {bias}"
        elif module in beside:
            doubt = f"{_shown(found, beside[module])} lies beside its weights, as in no dense layer"
        elif others_say:
            doubt = others_say
        else:
            doubt = "it is called as a projection head or the like" if strange else ""
        name = original(found.source, kernel).rpartition(family.separator)[0]
        (others if strange else proper).append((level, Candidate(module, name, shapes[kernel], doubt)))
    some = proper or others
    nearest = max((len(level) for level, _ in some), default=0)
    return [each for level, each in some if len(level) == nearest]


def unclassified(found: NetworkInFile, width: int) -> str:
    """Says why nothing in a file is taken for the classifier of a network, and how to say what is."""
    some = candidates(found, width)
    if not some:
        kernels = [name for name in _reach(found)[1] if len(found.source.shapes[name]) == 2]
        others = enumerate_some([f"{_shown(found, name)} {found.source.shapes[name]}" for name in kernels], 3)
        return f"The file has no classifier{f' of one layer for {width} features, but {others}' if kernels else ''}"
    pass_head = f"Pass head={some[0].name!r:.{_LONGEST}} if it is the classifier"
    if found.projects:
        return (
            f"{some[0]} is read as a projection head, which MoCo's networks have instead of a classifier. {pass_head}"
        )
    if len(some) == 1:
        only = f"Pass head={some[0].name!r:.{_LONGEST}} only if it takes the network's features and returns the classes"
        return f"{some[0]} may be the classifier of the file, but {some[0].doubt}. {only}"
    heads = " or ".join(f"head={each.name!r:.{_LONGEST}}" for each in some[:3])
    listed = enumerate_some(list(map(str, some)), 5)
    doubts = {each.doubt for each in some if each.doubt}
    why = f" ({min(doubts)})" if doubts else ""
    return f"Several matrices of the file may be its classifier: {listed}{why}. Pass {heads}"


def unknown_parts(found: NetworkInFile) -> list[str]:
    """Returns the convolutions and norms of a file that may lie in front of, in or behind a network, by their names.

    Behind one without a classifier there may be anything: of these only what lies below its scope is returned.
    """
    family, shapes = found.family, found.source.shapes
    own = {f"{found.scope}{name}" for name in found.tensors}
    classifies = family.tensor(found.modules(NO_UNITS)["predictions"], "kernel") in found.tensors
    mean = family.variables["moving_mean"]
    return [
        original(found.source, name).rpartition(family.separator)[0]
        for name in _reach(found)[1]
        if name not in own and (classifies or name.startswith(found.scope))
        if len(shapes[name]) == 4 or name.rpartition(family.separator)[2] == mean
    ]


def _with_dense(found: NetworkInFile, width: int) -> NetworkInFile:
    """A network without names, and the dense layer behind it: what alone lies beside the model that it is."""
    family, shapes = found.family, found.source.shapes
    held = dict(found.tensors)
    if _other_features(found):
        return replace(found, tensors={name: held[name] for name in held if not name.startswith(f"{DENSE}/")})
    outer = found.scope.rstrip("/").rpartition("/")[0]
    around = f"{outer}/" if outer else ""
    dense = [family.tensor(DENSE, each) for each in ("kernel", "bias")]
    others = (found.scope, f"{around}optimizer/", f"{around}dropout/")  # the last has its generator's seed
    beside = {name for name in shapes if name.startswith(around) and not name.startswith(others)}
    if not found.scope or beside != {f"{around}{name}" for name in dense}:
        return found
    held |= {name: shapes[f"{around}{name}"] for name in dense}
    if held[dense[0]][:-1] != (width,):
        return found
    names = {f"{found.scope}{name}": f"{around}{name}" for name in dense}
    return replace(found, source=Renamed(found.source, names), tensors=dict(sorted(held.items())))


def _taken(found: NetworkInFile, module: str, width: int) -> NetworkInFile:
    """The network with a module of the source as its classifier; a bias that is not there is zero."""
    family, shapes = found.family, found.source.shapes
    top = found.modules(NO_UNITS)["predictions"]
    known = f"{found.scope}{top}"
    _, classes = _flow(family, shapes[family.tensor(module, "kernel")]) or (0, 0)
    names: dict[str, str] = {}
    for variable in ("kernel", "bias"):
        ours, theirs = family.tensor(known, variable), family.tensor(module, variable)
        if ours != theirs:  # which swap names
            names |= {ours: theirs} if theirs in shapes else {}
            names |= {theirs: ours} if ours in shapes else {}
    bias = shapes.get(family.tensor(module, "bias"))
    moved = {family.tensor(module, variable) for variable in ("kernel", "bias")}
    tensors = {name: shape for name, shape in found.tensors.items() if f"{found.scope}{name}" not in moved}
    tensors[family.tensor(top, "kernel")] = family.shape((width, classes))
    tensors[family.tensor(top, "bias")] = (classes,) if bias is None else bias
    return replace(
        found,
        source=Renamed(found.source, names) if names else found.source,
        tensors=dict(sorted(tensors.items())),
        zeros=frozenset() if bias is not None else frozenset({family.tensor(top, "bias")}),
    )


def _named(found: NetworkInFile, width: int, head: str) -> str:
    """The module that a caller calls the classifier: as it stands in the file, with or without a scope in front."""
    family, shapes = found.family, found.source.shapes
    if not isinstance(head, str):
        raise ValueError(f"`head` must be the name of a module in {found.path!r}; received {head!r}.")
    modules = {
        each: kernel.rpartition(family.separator)[0]
        for kernel in shapes
        if kernel.endswith(f"{family.separator}{family.variables['kernel']}")
        for each in (kernel, original(found.source, kernel))
    }
    end = f"{family.separator}{family.variables['kernel']}"
    wanted = head.removesuffix(end)
    levels, _ = _reach(found)
    module = next((modules[each] for level in levels if (each := f"{level}{wanted}{end}") in modules), None)
    flow = _flow(family, shapes[f"{module}{end}"]) if module else None
    if module and flow and flow[0] == width and not _is_of_body(found, f"{module}{end}"):
        return module
    known = family.tensor(found.modules(NO_UNITS)["predictions"], "kernel")
    some = [repr(known.removesuffix(end))] if known in found.tensors else []
    some += [repr(each.name) for each in candidates(found, width) if repr(each.name) not in some]
    there = f"is {shapes[f'{module}{end}']} there, no matrix for {width} features" if module else "is not there"
    may = f"It may be {enumerate_some(some, 5)}." if some else f"There is no matrix for {width} features."
    raise ValueError(f"`head`: {head!r:.{_LONGEST}} {there}, in {found.path!r}. {may}")


def _reach(found: NetworkInFile) -> tuple[list[str], list[str]]:
    """What the names around a network begin with, the nearest first; the tensors there that are no network's body."""
    scope, shapes = found.scope, found.source.shapes
    others = set(found.family.scopes(shapes)) - {scope}
    ends = [0, *(match.end() for match in re.finditer(SEPARATOR, scope))]
    levels = list(takewhile(lambda level: level == scope or level not in others, (scope[:end] for end in ends[::-1])))
    theirs = set()
    for other in others:
        level = next((level for level in levels if other.startswith(level)), None)
        if level is not None and (part := re.search(SEPARATOR, other[len(level) :])):
            theirs.add(other[: len(level) + part.end()])
    inside = [name for name in shapes if name.startswith(levels[-1]) and not name.startswith(tuple(theirs))]
    return levels, [name for name in inside if not (_OPTIMIZER.search(name) or _is_of_body(found, name))]


def _is_of_body(found: NetworkInFile, name: str) -> bool:
    """Whether a tensor is of a network's stem, units and norms."""
    below = name.removeprefix(found.scope)
    family, shape = found.family, found.source.shapes[name]
    own = name.startswith(found.scope) and below in found.tensors
    return own and (family.place(below) is not None or family.is_stem(below) or len(shape) < 2)


def _flow(family: Family, shape: Shape, *, of_any_size: bool = False) -> tuple[int, int] | None:
    """How many features a matrix takes and returns, or a convolution of any size; None if it is neither."""
    if len(shape) < 2 or (not of_any_size and len(shape) not in (2, 4)):
        return None
    returns, takes, *sides = shape if family.transposed else reversed(shape)
    if min(returns, takes) < 1 or (not of_any_size and any(side != 1 for side in sides)):
        return None
    return takes, returns


def _norms(family: Family, names: list[str], shapes: Mapping[str, Shape]) -> dict[int, str]:
    """A module that scales and shifts, or has a moving mean, for each number of channels."""
    vectors = {name: shapes[name][0] for name in names if len(shapes[name]) == 1}
    found = {}
    for name, channels in vectors.items():
        module = name.rpartition(family.separator)[0]
        both = {family.tensor(module, each) for each in ("gamma", "beta")}
        if both <= vectors.keys() or family.tensor(module, "moving_mean") in vectors:
            found[channels] = module
    return found


def _beside(found: NetworkInFile) -> dict[str, str]:
    """A tensor of each module that has others than dense layers and convolutions: the scale of a cosine, LoRA's."""
    family = found.family
    dense = {family.variables["kernel"], family.variables["bias"]}
    split = ((name, *name.rpartition(family.separator)[::2]) for name in found.source.shapes)
    return {module: name for name, module, variable in split if variable not in dense}


def _other_features(found: NetworkInFile) -> str:
    """Why a classifier takes no means over all positions, by the config of the model in a file; "" if it may."""
    config = getattr(found.source, "config", None)
    if config and pooling_of(config) not in (None, "avg"):
        return f"the task in the file pools by {pooling_of(config)!r:.{_LONGEST}}"
    if read := next((each.value for each in found.statements if each.rule == "head"), None):
        return f"it takes the outputs of a layer {read!r:.{_LONGEST}}, and not the means of the network's last map"
    layers = {kind for model in (models_of_config(config) if config else []) for kind, _ in model.layers.values()}
    return next((f"the model in the file has a layer {each}" for each in _OTHER_FEATURES if each in layers), "")


def activation_of(found: NetworkInFile) -> str | None:
    """What the classifier of a whole model puts out, by the config in the file; None if nothing tells."""
    config, top = getattr(found.source, "config", None), found.family.tensor(_top(found), "kernel")
    if not config or top not in found.tensors:
        return None
    name = original(found.source, f"{found.scope}{top}").rpartition("/")[0].rpartition("/")[2]
    for model in models_of_config(config):
        kind, settings = model.layers.get(name, ("", {}))
        if kind == "Dense":
            readers = (each for _, each in model.layers.values() if name in each.get(READS, ()))
            behind = next((each["activation"] for each in readers if isinstance(each.get("activation"), str)), None)
            own = settings.get("activation")
            return behind if own in (None, "linear") and behind else own if isinstance(own, str) else None
    return None


def _top(found: NetworkInFile) -> str:
    """What a network's family calls a classifier."""
    return found.modules(NO_UNITS)["predictions"] if found.family.names else DENSE


def _shown(found: NetworkInFile, name: str) -> str:
    """A tensor or module as messages name it."""
    return f"{original(found.source, name)!r:.{_LONGEST}}"
