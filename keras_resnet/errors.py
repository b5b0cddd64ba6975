"""What a wrong argument is told: what was received, what is allowed, and what was probably meant."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Literal, get_args, get_origin


def choice_error(argument: str, received: object, allowed: tuple[object, ...], note: str = "") -> ValueError:
    """The error for a value outside a closed list: what came, what may come, the nearest of them."""
    spelled = {str(value).lower(): value for value in allowed}
    near = get_close_matches(received.lower(), spelled, 1) if isinstance(received, str) else ()
    hint = f" Did you mean {spelled[near[0]]!r}?" if near else ""
    return ValueError(
        f"`{argument}` must be one of {', '.join(map(repr, allowed))}; received {received!r}.{hint}{note}"
    )


def check_choice(argument: str, value: object, allowed: tuple[object, ...], note: str = "") -> None:
    """Raises the choice error unless the value is one of those allowed (True is not 1, nor an array a string)."""
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise choice_error(argument, value, allowed, note)


def check_choices(row: Any) -> None:
    """Raises the choice error for a field whose annotation is a `Literal` that its value is not in."""
    for field in fields(row):
        if get_origin(field.type) is Literal:
            check_choice(f"{type(row).__name__}.{field.name}", getattr(row, field.name), get_args(field.type))


def check_positive(argument: str, value: object) -> None:
    """Raises unless the value is an int above zero (a bool is none)."""
    if type(value) is not int or value < 1:
        raise ValueError(f"`{argument}` must be a positive int; received {value!r}.")


def optional(module: str, extra: str = "train") -> Any:
    """Imports a module of an extra, or raises an `ImportError` that says how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"This needs {module}: pip install 'keras3-resnet[{extra}]' ({error})") from error


@contextmanager
def reading(kind: str, path: str | os.PathLike[str], part: str = "") -> Iterator[None]:
    """Makes whatever damage raises a `ValueError` that names the file, a part of it, and what it was read as."""
    try:
        yield
    except (MemoryError, OSError):
        raise
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__).removesuffix(".")
        end = "" if reason.endswith("?") else "."
        raise ValueError(f"{part}{os.fsdecode(path)!r} can't be read as {kind}: {reason}{end}") from error
