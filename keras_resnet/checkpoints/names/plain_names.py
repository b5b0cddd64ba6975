"""Names of tensors without what wrappers, containers and other habits of programs put around those of a family."""

import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from keras_resnet.checkpoints.families.family import LONGEST_WRAPPED, Family
from keras_resnet.checkpoints.families.fit import families_of
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.names.module_tree import Parts, plain_networks
from keras_resnet.checkpoints.names.renamed import Renamed
from keras_resnet.checkpoints.open import Source

# What DistributedDataParallel, FSDP, torch.compile, activation checkpoints, DeepSpeed and Opacus call what they wrap.
_WRAPPERS = frozenset(
    {
        "module",
        "_module",
        "_orig_mod",
        "_fsdp_wrapped_module",
        "_fpw_module",
        "_checkpoint_wrapped_module",
        "_forward_module",
    }
)
_DEEPEST = 24  # parts of a name


def plain(source: Source) -> Source:
    """Returns a file whose tensors go by the names that their family gives them.

    Wrappers inside names are left out, modules that stand where torchvision's do have its names, and what was pruned
    is read as it is used. Where that is not certain, or two tensors would have one name, names stay as they are.
    """
    source = _unpruned(source)
    split = {name: tuple(name.split(".")) for name in source.shapes if len(name) < LONGEST_WRAPPED and "/" not in name}
    split = {name: parts for name, parts in split.items() if 1 < len(parts) <= _DEEPEST}
    bare = {name: _unwrapped(parts) for name, parts in split.items()}
    bare = {name: bare[name] for name in _alone(bare)}
    families = families_of([".".join(parts) for parts in bare.values()])
    if any(family.separator != "." for family in families.values()):
        return source
    new = dict(bare)
    known = [_parts(scope) for scope, family in families.items() if family is TORCHVISION]
    if known or not families:
        for network in plain_networks({bare[name]: source.shapes[name] for name in bare}):
            if network.scope in known or not families:
                new |= {name: network.names[parts] for name, parts in bare.items() if parts in network.names}
    if all(split[name] == parts for name, parts in new.items()):
        return source
    joined = {name: ".".join(parts) for name, parts in new.items()}
    names = dict(_scoped(families_of(joined.values()), split, joined))
    names = {theirs: ours for theirs, ours in names.items() if theirs != ours}
    kept = source.shapes.keys() - names.keys()
    names = {theirs: names[theirs] for theirs in _alone(names) if names[theirs] not in kept}
    return Renamed(source, {ours: theirs for theirs, ours in names.items()}) if names else source


def _parts(scope: str) -> Parts:
    """The parts of a scope, which ends in a dot."""
    return tuple(scope.split(".")[:-1])


def _unwrapped(parts: Parts) -> Parts:
    """A name without wrappers; its last part is a variable's."""
    return (*(part for part in parts[:-1] if part not in _WRAPPERS), parts[-1])


def _alone(names: Mapping[str, object]) -> Iterator[str]:
    """Yields the tensors that share their new name with no other."""
    seen: dict[object, str | None] = {}
    for theirs, ours in names.items():
        seen[ours] = None if ours in seen else theirs
    yield from filter(None, seen.values())


def _scoped(
    families: Mapping[str, Family], split: Mapping[str, Parts], new: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yields each tensor of a network and its name: wrappers in front of all of a network are its scope, as ever."""
    inside: dict[str, list[str]] = {}
    known = {_parts(scope): scope for scope in families}
    by_length = {len(parts) for parts in known}
    for theirs, ours in new.items():
        parts = tuple(ours.split("."))
        places = (parts[:length] for length in sorted(by_length, reverse=True))
        if (place := next((each for each in places if each in known), None)) is not None:
            inside.setdefault(known[place], []).append(theirs)
    for scope, tensors in inside.items():
        own = [theirs for theirs in tensors if re.fullmatch(families[scope].own, new[theirs][len(scope) :])]
        leads = {theirs: _lead(split[theirs], len(_parts(scope))) for theirs in tensors}
        lead = leads[own[0]] if own else None
        lead = lead if all(leads[theirs] == lead for theirs in own) else None
        for theirs in tensors:
            if leads[theirs] == lead:
                yield theirs, ".".join((*lead, new[theirs][len(scope) :]))
            elif theirs in own:
                yield theirs, new[theirs]


def _lead(parts: Parts, length: int) -> Parts:
    """The beginning of a name that has this many parts besides wrappers, and the wrappers behind these."""
    count = end = 0
    while end < len(parts) - 1 and (parts[end] in _WRAPPERS or count < length):
        count += parts[end] not in _WRAPPERS
        end += 1
    return parts[:end]


class _Unpruned(Renamed):
    """A file with tensors that `torch.nn.utils.prune` holds as two, read as their product, as PyTorch uses them."""

    def __init__(self, source: Source, pruned: Collection[str]) -> None:
        """`pruned`: names without the `_orig` and `_mask` at their ends."""
        super().__init__(source, {name: f"{name}_orig" for name in pruned})
        self._pruned = frozenset(pruned)
        for name in pruned:
            del self.shapes[f"{name}_mask"]

    def read(self, name: str) -> Array:
        """Reads a tensor by its new name; returns a new array."""
        value = super().read(name)
        if name in self._pruned:
            with np.errstate(all="ignore"):  # of numbers that are not finite
                value *= self._source.read(f"{name}_mask").astype(value.dtype, copy=False)
        return value


def _unpruned(source: Source) -> Source:
    """A file as it is without pruning, which changes no number."""
    shapes = source.shapes
    pruned = [
        plain
        for name in shapes
        if name.endswith("_orig") and (plain := name.removesuffix("_orig")) not in shapes
        if shapes.get(f"{plain}_mask") == shapes[name]
    ]
    return _Unpruned(source, pruned) if pruned else source
