"""A weights file whose tensors go by other names than they have in it."""

from collections.abc import Mapping
from typing import Any

from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.open import Source


class Renamed:
    """A file some of whose tensors go by other names: those that a network's family gives them.

    Attributes:
        path: of the file.
        shapes: by the new names, sorted.
    """

    def __init__(self, source: Source, names: Mapping[str, str]) -> None:
        """`names`: new names to the source's; a tensor that is not among these keeps its name.

        Raises:
            ValueError: if two tensors would have one name.
        """
        moved = set(names.values())
        kept = {name: name for name in source.shapes if name not in moved}
        if twice := kept.keys() & names.keys():
            raise ValueError(
                f"{str(source.path)!r} holds two tensors that go by the name {min(twice)!r:.199}: "
                f"{names[min(twice)]!r:.199} is one of them."
            )
        self._source = source
        self._names = kept | dict(names)
        self.path = source.path
        self.shapes = {name: source.shapes[self._names[name]] for name in sorted(self._names)}

    def read(self, name: str) -> Array:
        """Reads a tensor by its new name; returns a new array."""
        return self._source.read(self._names[name])

    def original(self, name: str) -> str:
        """Returns the name that a tensor has in the file."""
        inner = self._names.get(name, name)
        return original(self._source, inner)

    def __getattr__(self, name: str) -> Any:
        """What else the file tells: its words, its config."""
        if name == "_source":  # before it is set, as by `copy`
            raise AttributeError(name)
        return getattr(self._source, name)


def original(source: Source, name: str) -> str:
    """Returns the name that a tensor has in a file, for messages and reports."""
    return source.original(name) if isinstance(source, Renamed) else name
