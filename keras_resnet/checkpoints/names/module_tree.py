"""Recognises ResNets in PyTorch's modules by where these stand, and gives them torchvision's names.

What is recognised is certain but for what no file of tensors tells (activations, strides): a stem of a convolution and
its norm, stages of units behind each other, in each unit two or three convolutions with a norm each and, besides, at
most one projection with its norm; every convolution reads as many channels as there are. Whatever stands elsewhere
keeps its name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from keras_resnet.checkpoints.families.family import Shape

Parts = tuple[str, ...]  # of the name of a module or of a tensor
_NUMBER = re.compile(r"0|[1-9][0-9]{0,3}")  # of a module in a Sequential or a ModuleList
_CONV = re.compile(r"conv_?([123])")
_NORM = re.compile(r"(?:bn|norm|batch_?norm)_?([123])", re.IGNORECASE)
_STAGE = re.compile(r"([A-Za-z_]{0,40}?)([0-9]{1,3})([A-Za-z_]{0,40})")
_LAYER = re.compile(r"layer[1-9][0-9]{0,2}")  # torchvision's stage
_CHAINS = ((3, 3), (1, 3, 1))  # kernels of a unit
_BETWEEN = 2  # modules without tensors from the stem's norm to the first stage: an activation and a pool


@dataclass(eq=False)
class _Module:
    """What a module has: its tensors' shapes, and modules in it."""

    shapes: dict[str, Shape] = field(default_factory=dict)
    parts: dict[str, "_Module"] = field(default_factory=dict)

    @property
    def kernel(self) -> Shape:
        """Its kernel's shape, if it is a convolution; else ()."""
        shape = self.shapes.get("weight", ())
        return shape if len(shape) == 4 else ()

    @property
    def width(self) -> int:
        """How many channels it has, if it is a norm; else 0."""
        found = self.shapes.get("running_mean", ())
        vectors = all(len(shape) < 2 for shape in self.shapes.values())
        return found[0] if len(found) == 1 and vectors else 0

    def leaves(self, path: Parts = ()) -> Iterator[tuple[Parts, "_Module"]]:
        """Yields each module in it that has tensors, itself among them, by its path from here."""
        if self.shapes:
            yield path, self
        for key, part in self.parts.items():
            yield from part.leaves((*path, key))


class _Unit(NamedTuple):
    """A residual unit: channels that come in and go out, and torchvision's names of its modules by their paths."""

    inputs: int
    filters: int
    names: dict[Parts, Parts]
    tells: bool  # norms are behind convolutions: a projection's, or one of another width than what its own reads


class PlainNetwork(NamedTuple):
    """A network: its scope, and the names of its tensors in torchvision by those that they have."""

    scope: Parts
    names: dict[Parts, Parts]


def plain_networks(tensors: Mapping[Parts, Shape]) -> Iterator[PlainNetwork]:
    """Yields the networks that modules form for certain, without those whose names would collide.

    Args:
        tensors: the shapes of a file's tensors by the parts of their names.
    """
    root = _Module()
    for name, shape in tensors.items():
        module = root
        for part in name[:-1]:
            module = module.parts.setdefault(part, _Module())
        module.shapes[name[-1]] = shape
    for scope, renamed in _networks(root, (), None):
        names = {}
        for name in tensors:
            for length in range(len(name) - 1, len(scope), -1):  # of the innermost module that is renamed
                if (new := renamed.get(name[:length])) is not None:
                    names[name] = (*new, *name[length:])
                    break
        kept = tensors.keys() - names.keys()
        if len(set(names.values())) == len(names) and kept.isdisjoint(names.values()):
            yield PlainNetwork(scope, names)


def _networks(module: _Module, path: Parts, parent: _Module | None) -> Iterator[tuple[Parts, dict[Parts, Parts]]]:
    """Yields the scope of each network in a module, and the new paths of its modules."""
    stages = {key: units for key, part in module.parts.items() if (units := _stage(part))}
    if stages and (found := _network(module, path, parent, stages)):
        yield found
    for key, part in module.parts.items():
        if key not in stages:
            yield from _networks(part, (*path, key), module)


def _network(
    module: _Module, path: Parts, parent: _Module | None, stages: Mapping[str, Sequence[_Unit]]
) -> tuple[Parts, dict[Parts, Parts]] | None:
    """The network whose stages a module has; None if it is not certain."""
    keys = _in_order(list(stages))
    others = {key: part for key, part in module.parts.items() if key not in stages}
    if not keys or any(_is_like(keys, key) and _is_stack(part) for key, part in others.items()):
        return None
    units = [unit for key in keys for unit in stages[key]]
    if any(later.inputs != earlier.filters for earlier, later in pairwise(units)):
        return None
    inputs = units[0].inputs
    if keys[0].isdigit():
        stem = _numbered_stem(others, int(keys[0]), inputs)
        if stem is None:
            return None
    else:
        stem = _named_stem(others, inputs)
        if not any(unit.tells for unit in units):
            return None  # norms may stand in front of convolutions
    scope = path
    if not others and parent is not None:  # a list of stages, and the stem beside it
        stem = _named_stem({key: part for key, part in parent.parts.items() if part is not module}, inputs)
        scope = path[:-1] if stem else path
    names = {(*scope, *old): (*scope, new) for old, new in stem.items()}
    for number, key in enumerate(keys, 1):
        to = (*scope, key if _LAYER.fullmatch(key) else f"layer{number}")
        names[*path, key] = to
        for index, unit in enumerate(stages[key]):
            for old, new in unit.names.items():
                names[*path, key, str(index), *old] = (*to, str(index), *new)
    if keys[0].isdigit() and (top := _top(others, int(keys[-1]), units[-1].filters)):
        names[*path, top] = (*scope, "fc")
    return scope, names


def _in_order(keys: list[str]) -> list[str]:
    """The keys of stages in their order, if they are numbered; torchvision's stay as they are; [] if they are not."""
    matches = [match for key in keys if (match := _STAGE.fullmatch(key))]
    if len(matches) < len(keys) or len({(match[1], match[3]) for match in matches}) > 1:
        return []
    matches.sort(key=lambda match: int(match[2]))
    numbers = [int(match[2]) for match in matches]
    whole = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return [match[0] for match in matches] if whole or all(map(_LAYER.fullmatch, keys)) else []


def _is_like(keys: Sequence[str], key: str) -> bool:
    """Whether a key is numbered as these are, and behind the first."""
    first, match = _STAGE.fullmatch(keys[0]), _STAGE.fullmatch(key)
    return bool(first and match and (first[1], first[3]) == (match[1], match[3]) and int(match[2]) > int(first[2]))


def _is_stack(module: _Module) -> bool:
    """Whether it may be a stage: a module in it has convolutions in it."""
    return any(
        leaf.kernel for unit in module.parts.values() for part in unit.parts.values() for _, leaf in part.leaves()
    )


def _stage(module: _Module) -> list[_Unit]:
    """The units of a module that has nothing but units, counted from 0; else []."""
    if "0" not in module.parts or module.shapes:
        return []
    keys = [str(index) for index in range(len(module.parts))]
    units = [_unit(module.parts[key]) for key in keys if key in module.parts]
    found = [unit for unit in units if unit]
    return found if len(found) == len(keys) else []


def _unit(module: _Module) -> _Unit | None:
    """The residual unit that a module is; None if that is not certain."""
    chain, rest, numbered = _chain(module), {}, False
    if chain:
        used = {path[0] for pair in chain for path in pair}
        rest = {key: part for key, part in module.parts.items() if key not in used}
    else:
        stacks = {key: found for key, part in module.parts.items() if (found := _numbered_chain(part))}
        if len(stacks) == 1:
            ((key, found),) = stacks.items()
            chain, numbered = [((key, *conv), (key, *norm)) for conv, norm in found], True
            rest = {other: part for other, part in module.parts.items() if other != key}
    if not chain or module.shapes:
        return None
    kernels = [_at(module, conv).kernel for conv, _ in chain]
    widths = [_at(module, norm).width for _, norm in chain]
    if [kernel[0] for kernel in kernels] != widths or any(kernel[2] != kernel[3] for kernel in kernels):
        return None
    if tuple(kernel[2] for kernel in kernels) not in _CHAINS or kernels[-1][1] != kernels[-2][0]:
        return None
    if not kernels[1][1] or kernels[0][0] % kernels[1][1]:  # of groups, each reads a part
        return None
    inputs, filters = kernels[0][1], kernels[-1][0]
    names: dict[Parts, Parts] = {}
    for i, (conv, norm) in enumerate(chain, 1):
        names |= {conv: (f"conv{i}",), norm: (f"bn{i}",)}
    aside = _Module(parts=rest)
    pair = _conv_and_norm(aside)
    if pair and _at(aside, pair[0]).kernel == (filters, inputs, 1, 1):
        names |= {pair[0]: ("downsample", "0"), pair[1]: ("downsample", "1")}
    elif numbered and (inputs != filters or rest):
        return None  # it may have no shortcut
    projects = len(names) > 2 * len(chain)
    return _Unit(inputs, filters, names, projects or inputs != kernels[0][0] or filters != kernels[-1][1])


def _chain(module: _Module) -> list[tuple[Parts, Parts]]:
    """The paths of a unit's convolutions and their norms, if these are numbered by their names; else []."""
    convs = {match[1]: key for key in module.parts if (match := _CONV.fullmatch(key))}
    norms = {match[1]: key for key in module.parts if (match := _NORM.fullmatch(key))}
    found: list[tuple[Parts, Parts]] = []
    for number in map(str, range(1, len(convs) + 1)):
        if number not in convs:
            return []
        conv = module.parts[convs[number]]
        if conv.kernel and not conv.parts and number in norms and module.parts[norms[number]].width:
            found.append(((convs[number],), (norms[number],)))
        elif number not in norms and (pair := _conv_and_norm(conv)):
            found.append(((convs[number], *pair[0]), (convs[number], *pair[1])))
        else:
            return []
    return found


def _numbered_chain(module: _Module) -> list[tuple[Parts, Parts]]:
    """The paths of convolutions, norms and activations by turns, as a Sequential counts them; else []."""
    count = len(module.parts) // 2
    keys = [(str(3 * i), str(3 * i + 1)) for i in range(count)]
    if count not in (2, 3) or module.parts.keys() != {key for pair in keys for key in pair}:
        return []
    whole = all(
        module.parts[conv].kernel and module.parts[norm].width and not module.parts[conv].parts for conv, norm in keys
    )
    return [((conv,), (norm,)) for conv, norm in keys] if whole else []


def _conv_and_norm(module: _Module) -> tuple[Parts, Parts] | None:
    """The paths of a convolution and its norm, if a module has these alone, one right behind the other."""
    leaves = []
    for each in module.leaves():
        leaves.append(each)
        if len(leaves) > 2:
            return None
    convs = [(path, leaf.kernel) for path, leaf in leaves if leaf.kernel]
    norms = [(path, leaf.width) for path, leaf in leaves if leaf.width]
    if len(convs) != 1 or len(norms) != 1 or convs[0][1][0] != norms[0][1]:
        return None
    conv, norm = convs[0][0], norms[0][0]
    counted = [path[-1] for path in (conv, norm) if path and path[-1].isdigit()]
    if counted and (counted != ["0", "1"] or conv[:-1] != norm[:-1]):
        return None
    return conv, norm


def _numbered_stem(others: Mapping[str, _Module], first: int, inputs: int) -> dict[Parts, str] | None:
    """The stem in front of the first stage of a Sequential; {} if nothing is there; None if it is something else."""
    before = {int(key): part for key, part in others.items() if _NUMBER.fullmatch(key) and int(key) < first}
    if not before:
        return {}
    keys = sorted(before)
    end = keys[-1]
    if first - end - 1 > _BETWEEN:
        return None
    if len(keys) == 1:
        pair = _conv_and_norm(before[end])
        if pair and _at(before[end], pair[0]).kernel[0] == inputs:
            return {(str(end), *pair[0]): "conv1", (str(end), *pair[1]): "bn1"}
        return None
    conv, norm = before[keys[0]], before[end]
    if len(keys) == 2 and end == keys[0] + 1 and conv.kernel[:1] == (inputs,) and norm.width == inputs:
        return {(str(keys[0]),): "conv1", (str(end),): "bn1"} if not (conv.parts or norm.parts) else None
    return None


def _named_stem(others: Mapping[str, _Module], inputs: int) -> dict[Parts, str]:
    """The one convolution with a norm, beside the stages, whose output the first of these reads; else {}."""
    found: list[tuple[Parts, Parts]] = []
    convs = [key for key, part in others.items() if part.kernel and not part.parts]
    norms = [key for key, part in others.items() if part.width and not part.parts]
    if "conv1" in convs and "bn1" in norms:
        return {("conv1",): "conv1", ("bn1",): "bn1"}
    if len(convs) == len(norms) == 1 and others[convs[0]].kernel[0] == others[norms[0]].width == inputs:
        found.append(((convs[0],), (norms[0],)))
    for key, part in others.items():
        pair = _conv_and_norm(part) if part.parts else None
        if pair and _at(part, pair[0]).kernel[0] == inputs:
            found.append(((key, *pair[0]), (key, *pair[1])))
    return {found[0][0]: "conv1", found[0][1]: "bn1"} if len(found) == 1 else {}


def _top(others: Mapping[str, _Module], last: int, width: int) -> str | None:
    """The one module with tensors behind the last stage of a Sequential, if it is a matrix for its channels."""
    behind = [
        (key, path, leaf)
        for key, part in others.items()
        if _NUMBER.fullmatch(key) and int(key) > last
        for path, leaf in part.leaves()
    ]
    if len(behind) != 1 or behind[0][1]:
        return None
    shape = behind[0][2].shapes.get("weight", ())
    return behind[0][0] if len(shape) == 2 and shape[1] == width else None


def _at(module: _Module, path: Parts) -> _Module:
    """The module in another by its path."""
    for part in path:
        module = module.parts[part]
    return module
