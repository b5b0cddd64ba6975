"""The page about errors: what it quotes are words of messages that the package, Keras or Python has."""

import ast
import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from keras_resnet.cli.parser import parser

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
ROWS = re.findall(r"^\| (?!---|message)(.*) \|$", PAGE, re.MULTILINE)
OF_PYTHON = "No module named"
HOLE = "\0"  # what an f-string fills in


def templates(source: str) -> Iterator[str]:
    """The texts in a module's code, with a hole for each value of an f-string; docstrings are none."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = [each for each in ast.walk(tree) if isinstance(each, ast.JoinedStr)]
    parts = {id(part) for each in joined for part in each.values}
    for each in joined:
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in each.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (bare | parts):
            yield node.value


def is_in(quoted: str, texts: tuple[str, ...]) -> bool:
    """Whether one of the texts has the quoted words in one piece; a "..." is a hole."""
    pattern = re.compile(f"{HOLE}+".join(map(re.escape, quoted.split("..."))))
    return any(pattern.search(text) for text in texts)


@cache
def messages() -> tuple[str, ...]:
    """The texts of the package, and of the module in which Keras imports its backend."""
    keras = find_spec("keras.src.backend")
    assert keras is not None
    assert keras.origin is not None
    paths = [*(ROOT / "keras_resnet").rglob("*.py"), Path(keras.origin)]
    return tuple(text for path in paths for text in templates(path.read_text(encoding="utf-8")))


def options(commands: ArgumentParser) -> Iterator[str]:
    """All options of all commands."""
    for action in commands._actions:
        yield from action.option_strings
        if isinstance(action, _SubParsersAction):
            for command in action.choices.values():
                yield from options(command)


def test_every_row_begins_with_a_message() -> None:
    assert len(QUOTED) >= 25
    assert len(QUOTED) == len(ROWS)
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("quoted", [each for each in QUOTED if each != OF_PYTHON])
def test_what_the_page_quotes_is_in_a_message(quoted: str) -> None:
    assert len(quoted.replace("...", "")) >= 10  # enough words to tell messages apart
    assert is_in(quoted, messages())


def test_what_the_page_quotes_of_python_is_what_python_says() -> None:
    assert OF_PYTHON in QUOTED
    with pytest.raises(ModuleNotFoundError, match=OF_PYTHON):
        import_module("a_backend_that_is_not_installed")


def test_options_that_the_page_names_are_options() -> None:
    named = set(re.findall(r"`(--[\w-]+)", PAGE))
    assert len(named) > 5
    assert named <= set(options(parser()))


def test_texts_are_found_but_not_docstrings_nor_what_holes_hold() -> None:
    source = '''
"""The module can't be found."""
def check(name, found):
    """Raises a ValueError."""
    if name:
        raise ValueError(f"{name!r} must be one of {found}, such as "
                         "these: 'a'." + (f" It is {name!r}. " "Leave it out." if found else ""))
    return "plain"
'''
    texts = tuple(templates(source))
    assert set(texts) == {"\0 must be one of \0, such as these: 'a'.", " It is \0. Leave it out.", "", "plain"}
    good = ("must be one of", "must be one of ..., such as these", "... must be one of ..., such")
    assert [each for each in good if not is_in(each, texts)] == []
    wrong = ("must be of", "one of ... such", "can't be found", "Raises a", "It is name", "these ... It is")
    assert [each for each in wrong if is_in(each, texts)] == []


def test_a_message_that_the_package_lost_would_be_noticed() -> None:
    quoted = "must be None or three ints without the batch axis"
    assert quoted in QUOTED
    assert is_in(quoted, messages())
    assert not is_in(quoted, tuple(text for text in messages() if "three ints" not in text))
    assert not is_in(quoted.replace("three", "four"), messages())
