"""Pages of the site that are made of other files: notebooks, the changelog, the reference.

MkDocs calls the functions whose names begin with `on_` while scripts/site builds the site.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import nbconvert
import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_check import faults
from site_reference import api, command_line

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/keras3-resnet/keras3-resnet/blob/main/"
# Files of the repository that are pages, too, by the path of the page
ORIGINS = {
    "benchmarks.md": "BENCHMARKS.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "tutorials/index.md": "tutorials/README.md",
    **{f"tutorials/{path.stem}.md": f"tutorials/{path.name}" for path in sorted(ROOT.glob("tutorials/*.ipynb"))},
}
PAGES = {origin: page for page, origin in ORIGINS.items()}
# How much more a hit counts in the search, by folder or page: what answers questions comes before what lists everything
BOOST = {"faq.md": 4, "start": 3, "guides": 3, "reference/errors.md": 3, "from": 2, "reference": 0.5, "tutorials": 0.5}
BOOST |= {"changelog.md": 0.1, "from/keras-applications.md": 8}
WIDE = ("reference/networks.md", "reference/weights.md")  # pages of a table that takes the place of their contents
_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
_FOREIGN_IMAGE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$([^$\n]+?)\$(?!\w)", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages that are made of other files, and the pictures of the notebooks."""
    made: dict[str, str | bytes] = {
        "reference/command-line.md": command_line(),
        **{f"reference/api/{name}.md": text for name, text in api().items()},
    }
    for page, origin in ORIGINS.items():
        made |= notebook(ROOT / origin) if origin.endswith(".ipynb") else {page: (ROOT / origin).read_text()}
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to pages or to the repository, and replaces images of other hosts by their texts."""
    path = page.file.src_uri
    page.meta.setdefault("search", {"boost": BOOST.get(path, BOOST.get(path.partition("/")[0], 1))})
    origin = Path(ORIGINS.get(path, f"docs/{path}"))

    def change(text: str) -> str:
        return _LINK.sub(lambda found: f"]({target(found[1], origin, path)}{found[2] or ''})", text)

    markdown = outside_code(lambda text: change(_FOREIGN_IMAGE.sub(r"\1", text)), markdown)
    if path in WIDE:
        page.meta["hide"] = ["toc"]
        title, _, text = markdown.partition("\n")
        markdown = f'{title}\n\n<div class="wide" markdown="1">\n\n{text}\n\n</div>\n'
    if path.startswith("from/"):  # what is not of another library
        markdown = markdown.replace("```python\n", '```python title="Now: keras_resnet"\n')
    return markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Raises an error if the site is not what it must be."""
    found = faults(Path(config.site_dir))
    if found:
        raise PluginError("\n".join(found))


def outside_code(change: Callable[[str], str], markdown: str) -> str:
    """Changes a page, but for its code."""
    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [change(markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(markdown[end:])])


def target(link: str, origin: Path, page: str) -> str:
    """Returns where a link in a file of the repository leads in the site: to a page, or to the repository."""
    path = link.removeprefix(REPOSITORY)
    if path == link:
        if re.match(r"\w+:", link):
            return link
        path = os.path.normpath(origin.parent / link)
    if path in PAGES or path.startswith("docs/"):
        return os.path.relpath(PAGES.get(path, path.removeprefix("docs/")), Path(page).parent)
    if (ROOT / path).exists():
        return f"{REPOSITORY}{path}"
    if link.startswith(REPOSITORY):
        raise PluginError(f"{origin} links to {link}, which is not there")
    return link  # a picture of a notebook's, or nothing, as MkDocs will say


def notebook(path: Path) -> dict[str, str | bytes]:
    """Returns the page of a notebook, with its formulas as MathML, and its pictures."""
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = outside_code(lambda text: _FORMULA.sub(formula, text), cell.source)
    folder = {"output_files_dir": f"{path.stem}_files"}
    page, resources = nbconvert.MarkdownExporter().from_notebook_node(book, folder)
    pictures = {f"tutorials/{name}": data for name, data in resources["outputs"].items()}
    return {f"tutorials/{path.stem}.md": page, **pictures}


def formula(found: re.Match[str]) -> str:
    """Returns a formula of TeX as MathML."""
    if found[1]:
        return f'<div class="formula">{convert(found[1].strip(), display="block")}</div>'
    return str(convert(found[2].strip()))
