"""What argparse lacks: short errors that name the nearest option, help that wraps well, and types of values."""

import argparse
import re
import shutil
import textwrap
from collections.abc import Callable, Collection
from difflib import get_close_matches
from fractions import Fraction
from math import inf
from typing import Any, NoReturn

from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import check_side
from keras_resnet.architecture.rows import find_row

_WIDEST = 100  # columns; longer lines read badly
_LEAST = 32  # pixels, of the ImageNet networks' builders
# What the library calls some arguments of the commands
_ALIASES = (
    ("path", "target"),
    ("path", "data"),
    ("before", "unfreeze_from"),
    ("source", "model"),
    ("format", "to"),
    *((f"Columns.{field}", f"{field}_column") for field in ("path", "label", "split", "group")),
    ("Columns.targets", "target_column"),
    ("Columns.separator", "separator"),
    ("Columns.images", "image_folder"),
)

# What the library advises in Python, and the command that does it
_COMMANDS = {
    r"keras_resnet\.list_weights\(\)": "`keras-resnet list`",
    r" \(keras_resnet\.NETWORKS lists all\)": "",
    r", or pass the names of the classes as `labels=`": "",
    r"pass weights=None for random initialisation": "pass the path of another file",
}


class Parser(argparse.ArgumentParser):
    """A parser of short errors, which name the nearest of what is allowed; its help has no usage of its own."""

    def __init__(self, prog: str, **keywords: Any) -> None:
        super().__init__(
            prog, usage=argparse.SUPPRESS, formatter_class=_Formatter, add_help=False, allow_abbrev=False, **keywords
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses; an option or an argument that is not known ends it with an error."""
        for word in args or ():
            if word == "--" or (self._subparsers and not word.startswith("-")):
                break  # what follows are no options, or are a command's
            if re.fullmatch(r"-[^\d.\s]\S*", word):  # no negative number
                self._check_option(word.partition("=")[0])
        found, rest = super().parse_known_args(args, namespace)
        for word in rest:
            if word.startswith("-"):
                self._check_option(word)
            self.error(f"unexpected argument {word!r}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Says what is wrong and where to read on; exits with status 2."""
        message = re.sub(r"^argument (\S+): must", r"\1 must", message).removeprefix("argument ")
        self.exit(2, f"{self.prog}: {message}\nsee {self.prog} --help\n")

    def in_options(self, message: str) -> str:
        """Returns an error of the library with this command's options in place of Python's arguments."""
        names = {action.dest: (*action.option_strings, action.metavar)[0] for action in self._actions}
        names |= {alias: names[dest] for alias, dest in _ALIASES if dest in names}
        names |= {f"Recipe.{dest}": option for dest, option in names.items()}
        each = "|".join(names)

        def option(found: re.Match[str]) -> str:
            value = {"True": "", "None": " none"}.get(found["value"], f" {str(found['value'])[1:-1]}")
            if found["argument"]:
                return f"`{names[found['argument']]}`"
            return f"{names[found['set']]}{value}" if found["set"] else found[0]

        message = re.sub(
            r"(?<![\w=])(?:'[^']*'|\"[^\"]*\")"  # what the user named stays
            rf"|`(?P<argument>{each})`|(?<![\w.(])(?P<set>{each})=(?P<value>True\b|None\b|'.*?')",
            option,
            message,
        )
        for python, command in _COMMANDS.items():
            message = re.sub(python, command, message)
        return message

    def _check_option(self, word: str) -> None:
        """Ends with an error unless an option is known."""
        if word not in self._option_string_actions:
            self.error(f"unknown option {word}{_did_you_mean(word, self._option_string_actions)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raises argparse's error unless a value is one of those that an argument has."""
        if action.choices is not None and value not in action.choices:
            if isinstance(action, argparse._SubParsersAction):
                self.error(f"unknown command {value!r}{_did_you_mean(value, action.choices)}")
            allowed = ", ".join(map(str, action.choices))
            near = _did_you_mean(value, list(action.choices))
            raise argparse.ArgumentError(action, f"must be one of {allowed}; received {value!r}{near}")


def _did_you_mean(word: str, allowed: Collection[str]) -> str:
    """The end of an error, where something allowed is near."""
    near = get_close_matches(word.lower(), allowed, 1)
    return f"; did you mean {near[0]}?" if near else ""


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Adds defaults that the help does not say; each line of the help begins a line, and wraps indented."""

    def __init__(self, prog: str, **keywords: Any) -> None:
        columns = min(shutil.get_terminal_size().columns, _WIDEST)
        super().__init__(prog, max_help_position=26, width=columns - 2, **keywords)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = action.default is None or action.default is False or "(default" in (action.help or "")
        return action.help if told else super()._get_help_string(action)

    def _split_lines(self, text: str, width: int) -> list[str]:
        first, *values = text.splitlines()
        lines = textwrap.wrap(first, width, break_on_hyphens=False)
        for value in values:
            lines += textwrap.wrap(value, width, subsequent_indent="  ", break_on_hyphens=False)
        return lines


def check_image_size(network: str, image_size: int | tuple[int, int]) -> None:
    """Refuses images that are too small for an ImageNet network, or of a size that an anti-aliased one can't take."""
    row = find_row(network)
    for side in (image_size,) if isinstance(image_size, int) else image_size:
        if side < _LEAST < row.image_side:
            raise ValueError(f"`--image-size` must be {_LEAST} or more for {network}; received {side}.")
        check_side("--image-size", row.name, plan(row), side)


def positive(text: str) -> int:
    """An int above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0; received {text!r}")
    return int(text)


def count(text: str) -> int:
    """An int from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 up; received {text!r}")
    return int(text)


def devices(text: str) -> int | str:
    """An int above 0, or "all"."""
    if text != "all" and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"must be all or a whole number above 0; received {text!r}")
    return text if text == "all" else int(text)


def switch(text: str) -> bool:
    """Whether it is "on"."""
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"must be on or off; received {text!r}")
    return text == "on"


def folds(text: str) -> int:
    """An int from 2 up."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"must be a whole number from 2 up; received {text!r}")
    return int(text)


def size(text: str) -> int | tuple[int, int]:
    """Height and width, or one int for both."""
    sides = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text.lower())
    if not sides:
        raise argparse.ArgumentTypeError(
            f"must be a number of pixels, or height x width, such as 192x320; received {text!r}"
        )
    return (int(sides[1]), int(sides[2])) if sides[2] else int(sides[1])


def number(text: str) -> float:
    """A finite number."""
    return _number(text, "a number", lambda value: -inf < value < inf)


def inner_share(text: str) -> float:
    """A number between 0 and 1."""
    return _number(text, "a number above 0 and below 1", lambda value: 0 < value < 1)


def percent(text: str) -> float:
    """A number from 1 to 100, so that a share is not taken for one."""
    return _number(text, "a percentage from 1 to 100", lambda value: 1 <= value <= 100)


def quantity(text: str) -> int:
    """A number from 0 up, in thousands (K), millions (M) or billions (B) where one of these letters ends it."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)([kmb]?)", text.lower())
    if not found:
        raise argparse.ArgumentTypeError(f"must be a number, such as 12M, 500K or 1.5B; received {text!r}")
    return round(Fraction(found[1]) * {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}[found[2]])


def _number(text: str, allowed: str, test: Callable[[float], bool]) -> float:
    """A number that passes a test, which the error calls `allowed`."""
    try:
        if test(float(text)):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be {allowed}; received {text!r}")


def rate(text: str) -> float:
    """A number above 0."""
    return _number(text, "a number above 0", lambda value: 0 < value < inf)


def decay(text: str) -> float:
    """A number from 0 up."""
    return _number(text, "0 or a number above", lambda value: 0 <= value < inf)


def share(text: str) -> float:
    """A number in [0, 1)."""
    return _number(text, "a number from 0 up to, but not including, 1", lambda value: 0 <= value < 1)


def seed(text: str) -> int:
    """An int that every generator takes."""
    allowed = f"a whole number from 0 to {2**31 - 1}"
    return int(_number(text, allowed, lambda value: value.is_integer() and 0 <= value < 2**31))
