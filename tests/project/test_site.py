"""The site: what it makes of the package is complete. Links are held by scripts/site, which builds it strictly."""

import argparse
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import keras_resnet
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.parser import parser

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> Any:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return import_module("site_reference")
    finally:
        sys.path.pop(0)


def test_the_reference_has_every_public_name_once(reference: Any) -> None:
    text = "\n".join(reference.api().values())
    described = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert len(described) == len(set(described))
    (constants,) = re.findall(r"^Networks and styles are called (.*)", text, re.MULTILINE)
    of_variants = set(re.findall(r"`(\w+)`", constants))
    assert all(
        isinstance(getattr(keras_resnet, name), keras_resnet.Variant | keras_resnet.Lineage) for name in of_variants
    )
    for module in (name for name in keras_resnet._MODULES if name not in ("models", "cli")):
        assert f"keras_resnet.{module}" in described
        section = text.partition(f"\n::: keras_resnet.{module}\n")[2].partition("members: false")[2]
        links = dict(re.findall(r"\[`(\w+)`\]\[([\w.]+)\]", section.partition("\n::: ")[0]))
        for name in import_module(f"keras_resnet.{module}").__all__:
            if f"keras_resnet.{module}.{name}" not in described and name not in of_variants:
                where, _, last = links[name].rpartition(".")
                assert links[name] in described
                same = getattr(import_module(where), last)
                assert getattr(import_module(f"keras_resnet.{module}"), name) is same
    for name in keras_resnet.__all__:
        elsewhere = f"keras_resnet.variants.{name}" in described
        assert f"keras_resnet.{name}" in described or elsewhere or name in of_variants, name


def test_the_reference_has_every_option_of_every_command(reference: Any) -> None:
    text = reference.command_line()
    (commands,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        section = text.partition(f"\n## keras-resnet {name}\n")[2].partition("\n## ")[0]
        shown = re.findall(r"^- `([^`]*)`  \n    (\S.*)$", section, re.MULTILINE)
        formatter = command._get_formatter()
        actions = [each for each in command._actions if "--help" not in each.option_strings]
        actions = [each for each in actions if each.help != argparse.SUPPRESS]
        wanted = {formatter._format_action_invocation(each): formatter._expand_help(each) for each in actions}
        assert {heading for heading, _ in shown} == set(wanted)
        for heading, line in shown:
            words = re.sub(r"[`\\]", "", line.strip()).replace("&lt;", "<")
            assert words == re.sub(r"[`]", "", wanted[heading].splitlines()[0])


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
