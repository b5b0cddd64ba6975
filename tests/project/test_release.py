"""What is stated of the project in several files is the same in each; forms and changelog are complete."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import keras_resnet

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
URLS: dict[str, str] = PROJECT["urls"]
CITATION = (ROOT / "CITATION.cff").read_text()
README = (ROOT / "README.md").read_text()
TEMPLATES = ROOT / ".github" / "ISSUE_TEMPLATE"
FORMS = ("bug.yml", "feature.yml", "weights.yml")


def cited(field: str) -> str:
    """A field of CITATION.cff itself, not of the papers that it lists."""
    found = re.search(rf'^(?:  - )?{field}: "?(.*?)"?$', CITATION, re.MULTILINE)
    assert found, field
    return found[1]


def bibtex(field: str) -> str:
    """A field of the README's citation."""
    found = re.search(rf"^  {field} = {{{{?(.*?)}}?}},?$", README, re.MULTILINE)
    assert found, field
    return found[1]


def test_citation_readme_and_package_state_the_same() -> None:
    assert (cited("title"), cited("name")) == (bibtex("title"), bibtex("author"))
    assert cited("version") == keras_resnet.__version__
    assert cited("license") == PROJECT["license"]
    assert f"[{PROJECT['license']}](LICENSE)" in README
    assert (cited("repository-code"), cited("url")) == (URLS["Repository"], URLS["Documentation"])
    if "\ndate-released:" in CITATION:
        assert cited("date-released").startswith(bibtex("year"))


def test_the_papers_are_those_of_the_readme() -> None:
    papers = re.findall(r"^    url: (.*)$", CITATION, re.MULTILINE)
    assert len(papers) == 2
    assert all(paper in URLS.values() and f"({paper})" in README for paper in papers)


def test_addresses_of_the_project_are_below_its_repository_and_its_documentation() -> None:
    repository = URLS["Repository"]
    assert URLS["Issues"] == f"{repository}/issues"
    assert URLS["Changelog"] == f"{repository}/blob/main/CHANGELOG.md"
    files = [*(ROOT / name for name in ("SECURITY.md", "CONTRIBUTING.md", "README.md")), *TEMPLATES.iterdir()]
    found = [url for file in files for url in re.findall(r"https?://[^\s)\"]*keras3-resnet[^\s)\"]*", file.read_text())]
    assert len(found) > 2
    assert [url for url in found if not url.startswith((repository, URLS["Documentation"].rstrip("/")))] == []


def test_versions_of_python_begin_with_the_oldest_that_is_required() -> None:
    named = [int(each) for each in re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))]
    assert named == list(range(named[0], named[-1] + 1))
    oldest = f"3.{named[0]}"
    assert PROJECT["requires-python"] == f">={oldest}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    keras = PROJECT["dependencies"][0].removeprefix("keras>=")
    assert f"needs Python {oldest} or newer and Keras {keras} or newer" in " ".join(README.split())


def test_a_vulnerability_is_reported_where_contributors_and_issues_say() -> None:
    page = f"{URLS['Repository']}/security/advisories/new"
    assert page in (ROOT / "SECURITY.md").read_text()
    assert page in (TEMPLATES / "config.yml").read_text()
    assert "(SECURITY.md)" in (ROOT / "CONTRIBUTING.md").read_text()


def test_there_are_these_forms() -> None:
    assert sorted(path.name for path in TEMPLATES.iterdir()) == ["bug.yml", "config.yml", *FORMS[1:]]


def problems(form: dict[str, Any]) -> list[str]:
    """What GitHub would refuse in a form, by its "Syntax for GitHub's form schema"."""
    found = [f"no {key}" for key in ("name", "description", "body") if not form.get(key)]
    fields = [each for each in form.get("body", []) if each.get("type") != "markdown"]
    texts = [each for each in form.get("body", []) if each.get("type") == "markdown"]
    found += [f"{each} without value" for each in texts if not each["attributes"].get("value")]
    ids = [str(each.get("id")) for each in fields]
    found += [f"the id {each} is not a new word" for each in ids if not each.isidentifier() or ids.count(each) > 1]
    for each in fields:
        if each.get("type") not in ("textarea", "input", "dropdown", "checkboxes"):
            found.append(f"the type {each.get('type')}")
        if not each.get("attributes", {}).get("label"):
            found.append(f"{each.get('id')} has no label")
        options = each.get("attributes", {}).get("options", [])
        if (each.get("type") in ("dropdown", "checkboxes")) != bool(options) or len(options) != len(set(options)):
            found.append(f"the options {options}")
    return found if fields else [*found, "no fields"]


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_one_that_github_shows(name: str) -> None:
    yaml: Any = pytest.importorskip("yaml")
    form = yaml.safe_load((TEMPLATES / name).read_text())
    assert problems(form) == []
    required = [each["id"] for each in form["body"] if each.get("validations", {}).get("required")]
    assert required


def test_a_form_with_something_wrong_is_told() -> None:
    wrong = {"name": "a", "body": [{"type": "text", "id": "a b", "attributes": {}}, {"type": "dropdown", "id": "c"}]}
    assert len(problems(wrong)) == 6


def test_every_section_of_the_changelog_says_who_is_affected() -> None:
    sections = re.split(r"^### ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    assert len(sections) > 3
    assert [each for each in sections if not re.match(r".+\n\n\*\*Who is affected\*\*: .+", each)] == []


def test_wheels_are_checked_on_each_backend_and_by_no_other_word() -> None:
    script = ROOT / "scripts" / "check-wheel"
    backends = re.search(r"--all\) backends=\((.+?)\) kinds=\(wheel sdist\)", script.read_text())
    assert backends
    assert sorted(backends[1].split()) == sorted({"tensorflow", "jax", "torch"} & set(PROJECT["optional-dependencies"]))
    result = subprocess.run(["bash", str(script), "--al"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "usage: scripts/check-wheel [--all]\n")
