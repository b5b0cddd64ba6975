"""What stands for objects in a pickle that is read without a call: names, and what each name was given.

None of it is looked up in any program.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

_LONGEST = 199  # characters of a name
_TEXT = 999  # of a text; no name or setting of a network is as long
_SCALAR = 1 << 10  # bytes of a NumPy scalar
_KIND = re.compile(r"b1|[iu][1248]|f[248]|[US][1-9]\d{0,3}", re.ASCII)  # of one


@dataclass(frozen=True, slots=True)
class Global:
    """A function or a class that a pickle names to have it called, and that here never is.

    Attributes:
        name: with its module.
    """

    name: str

    @classmethod
    def of(cls, *parts: str) -> "Global":
        """Joins a module and names in it, of which no more is kept than a message shows."""
        return cls(".".join(part[:_LONGEST] for part in parts)[:_LONGEST])


class Opaque:
    """An object of an unknown class, or what an unknown function would have returned.

    Attributes:
        name: of the class or function.
        arguments: that it was given.
        state: that it was given afterwards.
        items: by key, if it was given some.
        entries: if it was given some.
    """

    __slots__ = ("arguments", "entries", "items", "name", "state")

    def __init__(self, name: str, arguments: object = (), items: dict[Any, object] | None = None) -> None:
        self.name = name
        self.arguments = arguments
        self.items = items
        self.entries: list[object] | None = None
        self.state: object = None

    @property
    def is_module(self) -> bool:
        """Whether it has the state of PyTorch's modules."""
        return any(
            isinstance(state, dict) and {"_modules", "_parameters", "_buffers"} <= state.keys()
            for state in states(self.state)
        )


class Key:
    """What a key that is neither text nor an int is called in names; each is a key of its own."""

    __slots__ = ("text",)

    def __init__(self, key: object) -> None:
        if isinstance(key, tuple) and len(key) < 9 and all(isinstance(part, bool | int | str) for part in key):
            self.text = str(tuple(part[:_LONGEST] if isinstance(part, str) else part for part in key))
        else:
            self.text = str(spelled(key))

    def __str__(self) -> str:
        return self.text


def states(state: object) -> tuple[object, ...]:
    """Returns the dictionaries of attributes that a state consists of, those of `__slots__` among them."""
    return state if isinstance(state, tuple) and len(state) == 2 else (state,)


def spelled(value: object) -> Any:
    """Returns a text, a number, or None as it is, but a long text cut off; of an object what it is called."""
    match value:
        case str():
            return value[:_TEXT]
        case None | bool() | int() | float():
            return value
        case bytes():
            return value[:_TEXT].decode("latin1")
        case Global():
            return value.name
        case Opaque():
            return _spelled(value)
    return f"<{type(value).__name__}>"


def _spelled(value: Opaque) -> Any:
    """Returns the number that a NumPy scalar is, the only text or number that an object was made of, or its name."""
    match value.name.rpartition(".")[2], value.arguments:
        case "scalar", (Opaque() as dtype, data) if value.name.startswith("numpy."):
            return _scalar(dtype, data)
        case kind, (bool() | int() | float() | str() | bytes() | Global() as only,) if kind != "partial":
            return spelled(only)
        case "partial", _ if isinstance(value.state, tuple):
            match value.state:
                case (Global() as of, (), dict(keywords), *_) if keywords.keys() <= {"inplace"}:
                    return of.name
        case "encode", (str(text), str()):  # bytes, before protocol 3
            return text[:_TEXT]
    return value.name


def _scalar(dtype: Opaque, data: object) -> Any:
    """Returns a NumPy scalar's number or text, or the name of its type."""
    match data:
        case Opaque(name="_codecs.encode", arguments=(str(text), str())) if len(text) <= _SCALAR:
            data = text.encode("latin1", "replace")
    match dtype.arguments, dtype.state:
        case (str(kind), *_), (_, ("<" | ">" | "|" | "=") as order, *_) if _KIND.fullmatch(kind):
            width = int(kind[1:]) * (4 if kind[0] == "U" else 1)
            if isinstance(data, bytes) and len(data) == width <= _SCALAR:
                return spelled(np.frombuffer(data, f"{order}{kind}")[0].item())
    return dtype.name
