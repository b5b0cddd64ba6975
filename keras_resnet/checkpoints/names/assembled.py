"""A weights file some of whose tensors are made of others: joined, or laid out otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.names.renamed import Renamed, original
from keras_resnet.checkpoints.open import Source


@dataclass(frozen=True)
class Part:
    """A tensor that a file does not hold as it is.

    Attributes:
        names: of those that it is made of, in the file.
        shape: of it.
        make: makes it of them, in this order.
    """

    names: tuple[str, ...]
    shape: Shape
    make: Callable[..., Array]


class Assembled(Renamed):
    """A file some of whose tensors go by other names, or are made of others.

    Attributes:
        path: of the file.
        shapes: by the new names, sorted.
        families: whose networks lie in some scopes, which the new names don't tell.
        layers: what the layers are called in the file, by scope and our names, where it calls them otherwise.
    """

    def __init__(
        self,
        source: Source,
        names: Mapping[str, str],
        parts: Mapping[str, Part],
        families: Mapping[str, Family],
        layers: Mapping[str, Mapping[str, Sequence[str]]] = MappingProxyType({}),
    ) -> None:
        """`names`: new names to the source's; `parts`: by new names.

        Raises:
            ValueError: if two tensors would have one name.
        """
        super().__init__(source, names)
        self._parts = dict(parts)
        self.families = getattr(source, "families", {}) | dict(families)  # of a file with networks of several libraries
        self.layers = getattr(source, "layers", {}) | dict(layers)
        used = {name for part in parts.values() for name in part.names}
        kept = {name: shape for name, shape in self.shapes.items() if name not in used}
        if twice := kept.keys() & parts.keys():
            raise ValueError(f"{str(source.path)!r} holds two tensors that go by the name {min(twice)!r:.199}.")
        self.shapes = dict(sorted((kept | {name: part.shape for name, part in parts.items()}).items()))

    def read(self, name: str) -> Array:
        """Reads a tensor by its new name; returns a new array."""
        if part := self._parts.get(name):
            return part.make(*(self._source.read(each) for each in part.names))
        return super().read(name)

    def original(self, name: str) -> str:
        """Returns the name that a tensor has in the file; of one that is made of several, the first one's."""
        if part := self._parts.get(name):
            return original(self._source, part.names[0])
        return super().original(name)
