"""What the built site must be beyond what MkDocs checks: whole without other hosts, with signatures of the builders."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from keras_resnet.models.networks import __all__ as builders

_ELSEWHERE = re.compile(r"(?:https?:)?//\w")
_IN_STYLE = re.compile(r"(?:@import\s*|url\(\s*)[\"']?(?:url\()?[\"']?(?:https?:)?//", re.IGNORECASE)
_NO_ASSETS = {"canonical", "alternate", "next", "prev"}  # relations of a link that fetch nothing
_FETCHED = ("src", "srcset", "poster", "data")


class _Links(HTMLParser):
    """Collects what a page fetches, and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.leads: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Reads the attributes of an element."""
        found = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        self.fetched += [found[name] for name in _FETCHED if name in found]
        self.fetched += _IN_STYLE.findall(found.get("style", ""))
        if "href" in found:
            asset = tag != "a" and not (tag == "link" and {*found.get("rel", "").split()} <= _NO_ASSETS)
            (self.fetched if asset else self.leads).append(found["href"])

    def handle_data(self, data: str) -> None:
        """Reads a style sheet within a page."""
        if self._style:
            self.fetched += _IN_STYLE.findall(data)


def faults(site: Path) -> list[str]:
    """Returns what is wrong with a built site, a sentence each."""
    found = []
    for page in sorted(site.rglob("*.html")):
        name, text = page.relative_to(site).as_posix(), page.read_text()
        links = _Links()
        links.feed(text)
        found += [f"{name} fetches {each} from another host" for each in links.fetched if _ELSEWHERE.search(each)]
        for link in {*links.fetched, *links.leads}:
            parts = urlsplit(link)
            path = page.parent / unquote(parts.path)
            if not (parts.scheme or parts.netloc or name == "404.html" or os.path.exists(path)):
                found.append(f"{name} leads to {link}, which is not there")
        if re.search(r"<p>(?:Example|Returns|Raises|Args):", text):
            found.append(f"{name} shows a docstring as text")
    networks = (site / "reference" / "api" / "networks.html").read_text()
    for name in builders:
        section = networks.partition(f'id="keras_resnet.{name}"')[2].partition("<h2")[0]
        if "include_top" not in section:
            found.append(f"the reference shows no signature of {name}")
    for sheet in sorted(site.rglob("*.css")):
        found += [f"{sheet.relative_to(site)} fetches {each}..." for each in _IN_STYLE.findall(sheet.read_text())]
    return found
