"""A family of checkpoints: how one library names and lays out the tensors of a network."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from keras_resnet.architecture.plans import Plan

Shape = tuple[int, ...]

LONGEST = 200  # characters of a name that may be a network's
MOST_NETWORKS = 100  # in a file
LONGEST_WRAPPED = 5 * LONGEST  # of one with wrappers in it
NO_COUNTERS = r"(?!.*num_batches_tracked$)"  # of PyTorch's norms


@dataclass(frozen=True, eq=False)  # each is one of its kind
class Family:
    """The checkpoints of one library. Scopes are the beginnings of names, with the separator at their end."""

    origin: str  # the library, as messages call it
    version: Literal[1, 2, None]  # None: of either
    names: Callable[[Plan], Mapping[str, str]] | None  # None: layers go by their position
    variables: Mapping[str, str]
    separator: str
    unit: str  # what a unit's tensors begin with: a pattern with the groups `stage` and `unit`
    first: str  # how the name of the kernel of a unit's first convolution ends
    stem: str  # what the stem's tensors begin with: a pattern
    own: str  # a pattern of the tensors below a network's scope that are its own; others are of no concern
    bias: str  # a pattern of the biases of convolutions, which only some styles have
    styles: tuple[str, ...]  # lineages that such files can be of, the likeliest first
    number: Callable[[str], int] = int  # of a unit, by what it is called
    marks: str = ""  # a pattern that the names of a network of this family alone begin with, below its scope
    lacks: str = ""  # one that those of this family alone do not begin with
    v2: str = ""  # what names have in networks of v2 alone, where files can be of either version
    others: Mapping[str, str] = field(default_factory=dict)  # further names that some files have for our layers
    tells: Mapping[str, str] = field(default_factory=dict)  # modules that make a style the likeliest
    transposed: bool = False  # kernels are (O, I, height, width), the classifier's (O, I)
    convolves: bool = False  # the classifier is a 1x1 convolution
    standardized: float = 0.0  # the epsilon by which kernels are standardised as they are read, in style "bit"

    def scopes(self, tensors: Iterable[str]) -> list[str]:
        """The scopes of the networks in a file."""
        pattern = re.compile(rf"(?P<scope>(?:.+(?:[./]|__))?){self.unit}{re.escape(self.first)}")
        names = (name for name in tensors if len(name) < LONGEST and name.endswith(self.first))
        return sorted({match["scope"] for match in map(pattern.fullmatch, names) if match})

    def has_marks(self, names: Iterable[str]) -> bool:
        """Whether the names of a network, below its scope, are those of this family and not of its kin."""
        held = [name for name in names if len(name) < LONGEST]
        has, has_not = (any(map(re.compile(each).match, held)) for each in (self.marks, self.lacks))
        return (has or not self.marks) and not (self.lacks and has_not)

    def units(self, tensors: Iterable[str]) -> tuple[int, ...]:
        """How many units each stage has that some of these are of."""
        places = sorted({place for place in map(self.place, tensors) if place})
        return tuple(len(list(units)) for _, units in groupby(places, lambda place: place[0]))

    def place(self, tensor: str) -> tuple[str, int] | None:
        """Stage and number of the unit that a tensor or module below the scope belongs to."""
        match = self._place.match(tensor)
        return (match["stage"], self.number(match["unit"])) if match and "stage" in match.groupdict() else None

    @cached_property
    def _place(self) -> re.Pattern[str]:
        """The pattern of what begins as a unit does."""
        return re.compile(rf"{self.unit}(?![^./_])")

    def is_stem(self, tensor: str) -> bool:
        """Whether a tensor below the scope is the stem's."""
        return re.match(self.stem, tensor) is not None

    def is_bias(self, tensor: str) -> bool:
        """Whether a tensor below the scope is a convolution's bias."""
        return re.search(self.bias, tensor) is not None

    def tensor(self, module: str, variable: str) -> str:
        """The name of a module's variable below the scope."""
        if variable not in self.variables:
            raise ValueError(
                f"`model`: its variable {variable!r} does not exist in files of {self.origin}. Load and save weights "
                "before you quantize a model or enable LoRA."
            )
        return f"{module}{self.separator}{self.variables[variable]}"

    def shape(self, shape: Shape) -> Shape:
        """The shape that one of our variables has here."""
        if len(shape) == 2 and self.convolves:
            shape = (1, 1, *shape)
        if not self.transposed or len(shape) == 1:
            return shape
        return (*shape[:-3:-1], *shape[:-2])

    def ours(self, value: Any) -> Any:
        """A tensor as we lay it out, but for the 1x1 of a classifier that convolves."""
        if not self.transposed or value.ndim == 1:
            return value
        return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T

    def theirs(self, value: Any) -> Any:
        """The inverse: one of our variables' values as it is laid out here."""
        if value.ndim == 2 and self.convolves:
            value = value[None, None]
        if not self.transposed or value.ndim == 1:
            return value
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
