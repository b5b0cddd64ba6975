"""The site: what it makes of the package is complete. Links are held by scripts/site, which builds it strictly."""

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import keras_resnet
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.parser import parser
from tests.project.test_project import FACADES

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> Any:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module("site_reference")
    finally:
        sys.path.pop(0)


def test_the_reference_has_every_public_name_once(reference: Any) -> None:
    text = "\n".join(reference.api().values())
    described = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert len(described) == len(set(described))
    modules = [name for name in FACADES if name not in ("models", "cli")] + ["resnet_rs", "distribution"]
    names = {name for module in modules for name in importlib.import_module(f"keras_resnet.{module}").__all__}
    names |= {*keras_resnet.__all__}
    last = {name.rpartition(".")[2] for name in described} | set(re.findall(r"`(\w+)`", text))
    assert names - last == set()
    assert {f"keras_resnet.{module}" for module in modules} <= set(described)


def test_the_reference_has_every_option_of_every_command(reference: Any) -> None:
    text = reference.command_line()
    (commands,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        section = text.partition(f"\n## keras-resnet {name}\n")[2].partition("\n## ")[0]
        options = {option for action in command._actions for option in action.option_strings} - {"-h", "--help"}
        assert [option for option in options if f"`{option}" not in section and f", {option}" not in section] == []
        assert [action.dest for action in command._actions if not action.option_strings and not section] == []


def test_the_reference_has_every_key(reference: Any) -> None:
    rows = [line for line in reference.weights().splitlines() if line.startswith("| [`")]
    assert [re.findall("`([^`]*)`", row)[0] for row in rows] == list(list_weights())
    written = (ROOT / "docs" / "reference" / "weights.md").read_text()
    assert written == reference.weights(), "run scripts/site_reference.py"


def test_every_page_that_is_written_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r"([\w/-]+\.md)$", text, re.MULTILINE)
    written = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert written <= set(listed)


def test_notebooks_are_pages() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    assert [path.name for path in (ROOT / "tutorials").glob("*.ipynb") if f"tutorials/{path.stem}.md" not in text] == []
