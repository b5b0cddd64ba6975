"""Errors for users: wrong choices, missing extras, damaged files."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin


def choice_error(argument: str, received: object, allowed: tuple[object, ...], note: str = "") -> ValueError:
    """Makes the error for a value outside a closed list: names what came, what may come, and the nearest of that."""
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


def check_keywords(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises a `TypeError`, as Python does, for a keyword that a function does not have, and names the nearest one."""
    known = tuple(known)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known)}."
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}. {hint}")


def check_positive(argument: str, value: object) -> None:
    """Raises unless the value is an int above zero (a bool is not)."""
    if type(value) is not int or value < 1:
        raise ValueError(f"`{argument}` must be a positive int; received {value!r}.")


def check_bool(argument: str, value: object) -> None:
    """Raises unless the value is True or False."""
    if type(value) is not bool:
        raise ValueError(f"`{argument}` must be True or False; received {value!r}.")


def check_rate(argument: str, value: object) -> None:
    """Raises unless the value is a number from 0 up to, but not including, 1."""
    if type(value) not in (int, float) or not 0 <= value < 1:  # type: ignore[operator]
        raise ValueError(f"`{argument}` must lie in [0, 1); received {value!r}.")


def check_name(argument: str, name: object) -> None:
    """Raises unless the value can stand in a layer's name, before or after a "__"."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name, re.ASCII) or "__" in f"_{name}_":
        raise ValueError(
            f"`{argument}` must be made of letters, digits, '-' and single '_' between them; received {name!r}."
        )


def enumerate_some(items: Sequence[str], most: int = 10) -> str:
    """Lists the first of them, and how many more."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def did_you_mean(meant: Iterable[str]) -> str:
    """Makes the end of an error: what may have been meant, if anything."""
    names = " or ".join(map(repr, meant))
    return f" Did you mean {names}?" if names else ""


def near_path(path: str | os.PathLike[str], keys: Sequence[str] = ()) -> str:
    """Makes the end of an error about a path that is not there: what `keys` or paths it may mean, or what is beside."""
    if not os.fspath(path):
        return ""
    path = Path(os.fsdecode(path))
    if os.path.isdir(path):
        inner = path / "model.keras"  # of a run
        return " It is a folder." + (f" Did you mean {str(inner)!r}?" if inner.is_file() else "")
    if os.path.lexists(path):
        return " It is a file." if os.path.isfile(path) else " It is neither a file nor a folder."
    try:
        # The path, or the folder in which it would lie, and the first folder above that is there
        missing, folder = next(step for step in pairwise((path, *path.parents)) if os.path.isdir(step[1]))
        names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    except (StopIteration, OSError):  # such as another drive, or a folder that can't be read
        return ""
    spelled = {name.lower(): folder / name for name in names}
    near = [spelled[name] for name in get_close_matches(missing.name.lower(), spelled, 1)]
    near = [inner if os.path.exists(inner := each / path.relative_to(missing)) else each for each in near]
    meant = [*map(str, near), *keys] if missing == path else [*keys, *map(str, near)]
    if meant:
        return did_you_mean(meant[:3])
    where = "This folder" if folder == Path() else repr(str(folder))
    return f" {where} holds {enumerate_some(names, 5)}." if names else f" {where} is empty."


def import_optional(module: str, extra: str = "train") -> Any:
    """Imports a module of an extra, or raises an `ImportError` that says how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"This needs {module}: pip install 'keras3-resnet[{extra}]' ({error})") from error


@contextmanager
def damage_as_value_error(kind: str, path: str | os.PathLike[str], part: str = "") -> Iterator[None]:
    """Makes whatever damage raises a `ValueError` that names the file, a part of it, and what it was read as."""
    try:
        yield
    except (MemoryError, OSError):
        raise
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__).removesuffix(".")
        end = "" if reason.endswith("?") else "."
        raise ValueError(f"{part}{os.fsdecode(path)!r} can't be read as {kind}: {reason}{end}") from error
