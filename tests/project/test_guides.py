"""README and guides: short, linked, and whatever they show runs."""

import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.parser import parser
from keras_resnet.cli.train import _ONLY
from tests.helpers import stand_ins

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
GUIDES = sorted(path for path in DOCS.rglob("*.md") if path.name != "architecture.md")
PAGES = [README, *GUIDES]
LARGEST_IMAGE = 300_000  # bytes
OTHERS = r"(?:tf\.)?keras|keras[.-]applications|keras_hub|keras_cv|kimm|timm|torchvision|transformers(?: 4)?|TF-Slim"
OTHERS += "|classification_models|segmentation_models"
BEFORE = rf'```python title="Before: (?:{OTHERS})(?: and (?:{OTHERS}))?"'


def blocks(path: Path, language: str) -> list[str]:
    """The blocks of code in one language that a page holds."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """The words of each `keras-resnet` that a page calls, by either of its names, without that name."""
    lines = [part for text in blocks(path, "sh") for line in text.splitlines() for part in re.split(r"&&|\|\| ", line)]
    found = []
    for line in lines:
        line = re.sub(r"^([$] |\w+=\S* )*|^.* -m (?=keras_resnet )", "", line.strip())
        words = shlex.split(line, comments=True)
        if words[:1] in (["keras-resnet"], ["keras_resnet"]):
            found.append(words[1:])
    return found


def anchors(path: Path) -> set[str]:
    """What a link into a page may end in: its headings, as GitHub writes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@named
def test_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in one process; published files are stand-ins of random weights."""
    monkeypatch.chdir(tmp_path)
    stand_ins.lay_out(page.read_text(), tmp_path)
    fetch = partial(stand_ins.fetch, folder=tmp_path / "cache")
    for module in ("checkpoints.open", "models.labels"):
        monkeypatch.setattr(f"keras_resnet.{module}.fetch", lambda *args, **_: fetch(*args))
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


@named
def test_a_pages_commands_are_commands(page: Path) -> None:
    for words in commands(page):
        parser().parse_args(words)


@named
def test_each_block_of_python_is_marked_as_one_that_runs(page: Path) -> None:
    fences = re.findall(r"^[ >]*(?:`{3,}|~{3,}).*", page.read_text(), re.MULTILINE)
    opened = fences[::2]
    assert set(fences[1::2]) <= {"```"}
    ours = {f"```{language}" for language in ("python", "sh", "text", "bibtex")}
    assert [each for each in opened if each not in ours and not re.fullmatch(BEFORE, each)] == []
    assert "keras_resnet." not in "".join(blocks(page, "text"))


@named
def test_what_was_typed_before_is_python(page: Path) -> None:
    """Code of other libraries is shown and not run; of ours, nothing is shown that does not run."""
    for block in blocks(page, BEFORE.removeprefix("```")):
        compile(block, page.name, "exec")
        assert "keras_resnet" not in block


@named
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("https://", "http://")):
            continue
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not heading or heading in anchors(file), target
        assert file.suffix != ".png" or file.stat().st_size < LARGEST_IMAGE


@named
def test_scripts_and_tutorials_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"(?<![\w/.-])((?:docs|scripts|tests|tutorials)/[\w./-]*\w)", page.read_text())
    assert [path for path in named if not (ROOT / path).exists() and not (page.parent / path).exists()] == []


def test_options_that_exclude_each_other_are_listed() -> None:
    section = (DOCS / "guides" / "tables.md").read_text().partition("## Which options exclude each other?")[2]
    rows = " ".join(line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|"))
    options = {action.dest: action.option_strings for action in parser().parse_args(["train", "x"]).parser._actions}
    only = {name for name, _, _ in _ONLY}
    assert len(only) > 10
    assert [name for name in only if f"`{options[name][0]}" not in rows] == []


def test_the_readme_is_one_screen_and_a_half() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 1100


def test_the_readme_counts_what_the_catalogue_holds() -> None:
    keys = list(list_weights())
    sources = {key.split("/")[0] for key in keys}
    assert f"{len(keys)} entries from {len(sources)} sources" in README.read_text()
    assert f"{sum(key.startswith('timm/') for key in keys)} of those entries" in README.read_text()


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_is_short(page: Path) -> None:
    written = [
        line for line in page.read_text().splitlines() if not (page.parent.name == "reference" and line[:1] == "|")
    ]
    assert len(written) <= (200 if page.name == "faq.md" else 150)  # without tables of the reference


@pytest.mark.parametrize("folder", ["guides", "from"])
def test_guides_and_migrations_are_linked_from_the_readme(folder: str) -> None:
    pages = [page.relative_to(ROOT).as_posix() for page in sorted((DOCS / folder).glob("*.md"))]
    assert pages
    assert [page for page in pages if f"]({page})" not in README.read_text()] == []
