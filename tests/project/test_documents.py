"""Documents for contributors: paths that exist, links that lead somewhere, tables that say what the code does."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.project.test_layering import ALLOWED, WITHOUT_KERAS

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "keras_resnet"
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md", "README.md")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def paths(text: str) -> list[str]:
    """The paths of the repository that a text names: those in backticks, and those below its folders."""
    marked = re.findall(r"`([\w.-]*(?:/[\w./-]*|\.(?:md|py|sh|toml)))`", text)
    return [*marked, *re.findall(r"(?<![\w/.-])((?:\.ci|docs|keras_resnet|scripts|tests)/[\w./-]*\w)", text)]


def table(text: str) -> list[list[str]]:
    """The cells of a text's first table, without backticks and the two lines of its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("document", DOCUMENTS[:2])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    named = paths((ROOT / document).read_text())
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists() and not (PACKAGE / path).exists()] == []


def test_paths_are_found_in_backticks_and_in_commands() -> None:
    text = (
        "`models/layers.py`, `README.md` and `.venv-test/`, not `model.fit` or `a/b c`; run scripts/test tests/graph."
    )
    assert paths(text) == ["models/layers.py", "README.md", ".venv-test/", "scripts/test", "tests/graph"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_to_files(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\(([^)]+)\)", path.read_text())
    assert targets
    local = [target.partition("#")[0] for target in targets if not target.startswith(("http://", "https://", "#"))]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_the_tree_has_every_package_and_no_module_that_is_not_there() -> None:
    block = ARCHITECTURE.split("```")[1]
    folders, found = [PACKAGE], {PACKAGE}
    for line in block.strip().splitlines()[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folder = folders[depth - 1]
        if name.endswith("/"):
            folder = folder / name
            folders[depth:] = [folder]
            found.add(folder)
        for module in re.findall(r"\w+\.py", line):
            assert (folder / module).is_file(), f"{folder / module}: {line}"
    assert found == {path.parent for path in PACKAGE.rglob("__init__.py")}


def test_the_table_of_imports_is_the_one_that_is_tested() -> None:
    rows = table(ARCHITECTURE)
    assert {package: allowed.replace(",", "") for package, allowed, _ in rows} == ALLOWED
    assert tuple(package for package, _, needs in rows if needs == "no") == WITHOUT_KERAS


def test_contributors_are_told_of_every_package() -> None:
    rows = table((ROOT / "CONTRIBUTING.md").read_text())
    assert [package for package, _ in rows] == [f"keras_resnet/{package}/" for package in ALLOWED]


def test_commits_are_formatted_by_the_ruff_of_the_gate() -> None:
    revision = re.search(r"rev: v(\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert revision is not None
    assert f"ruff=={revision[1]}" in (ROOT / "constraints.txt").read_text().splitlines()


def oldest(folder: Path, project: str) -> "subprocess.CompletedProcess[str]":
    """Runs scripts/oldest-keras.sh on a pyproject.toml, with a scripts/test that prints what it is given."""
    (folder / "scripts").mkdir()
    for name in ("constraints.txt", "scripts/oldest-keras.sh"):
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "pyproject.toml").write_text(project)
    stub = folder / "scripts" / "test"
    stub.write_text('#!/usr/bin/env bash\necho "$TEST_VENV $*"\ncat "$TEST_CONSTRAINTS"\nexit 3\n')
    stub.chmod(0o755)
    command = ["bash", str(folder / "scripts" / "oldest-keras.sh"), "-k", "fold"]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)


def test_the_oldest_keras_is_pyprojects_beside_the_same_of_all_else(tmp_path: Path) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (keras,) = (each for each in tomllib.loads(project)["project"]["dependencies"] if each.startswith("keras"))
    result = oldest(tmp_path, project)
    first, *versions = result.stdout.splitlines()
    assert first == ".venv-oldest -k fold"
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert versions == [re.sub("^keras==.*", keras.replace(">=", "=="), line) for line in pinned]
    assert sum(line.startswith("keras==") for line in versions) == 1
    assert result.returncode == 3  # as the tests ended


def test_a_project_without_an_oldest_keras_is_an_error(tmp_path: Path) -> None:
    result = oldest(tmp_path, 'dependencies = ["keras", "numpy"]\n')
    assert result.returncode == 1
    assert "names no oldest Keras" in result.stderr
    assert not result.stdout
