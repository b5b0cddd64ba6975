#!/usr/bin/env python
"""Opens every page of the built site in Chromium, from disk, wide and narrow; exits with 1 if one is at fault.

    pip install playwright
    scripts/site
    python scripts/look_at_site.py --chromium /usr/bin/chromium --screenshots shots --search "batch norm"

A page is at fault if it scrolls sideways, asks another host for anything, or has an error in its console. A search is
at fault if it finds nothing.
"""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SITE = Path(__file__).parents[1] / "site"
SIZES = ((1280, 800), (390, 844))  # pixels: a laptop, a phone
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def look(tab: Page, page: Path, screenshot: Path | None) -> list[str]:
    """Opens a page and returns its faults."""
    faults: list[str] = []
    tab.on("request", lambda request: faults.extend([f"asks {request.url}"] * request.url.startswith("http")))
    tab.on("console", lambda message: faults.extend([message.text] * (message.type == "error")))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(page.as_uri())
    tab.wait_for_timeout(100)
    if tab.evaluate(SIDEWAYS):
        faults.append("scrolls sideways")
    if screenshot:
        tab.screenshot(path=str(screenshot), full_page=True)
    return faults


def search(tab: Page, words: str) -> list[str]:
    """Types words into the search of the open page and returns the pages and headings that it finds."""
    tab.click("input.md-search__input")
    tab.fill("input.md-search__input", "")
    tab.wait_for_timeout(300)
    tab.type("input.md-search__input", words)
    tab.wait_for_timeout(1500)
    found = []
    for link in tab.query_selector_all(".md-search-result__item > a, .md-search-result__item > details > a"):
        heading = link.query_selector("h1, h2, h3")
        path = (link.get_attribute("href") or "").partition("?")[0].removeprefix(f"{SITE.as_uri()}/")
        if heading and heading.inner_text().strip():
            found.append(f"{path}: {heading.inner_text()}")
    return found


def main() -> int:
    """Looks at the pages and tries the searches; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", help="the browser (default: playwright's own)")
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of each page")
    parser.add_argument("--search", nargs="*", default=[], metavar="WORDS", help="searches; their hits are printed")
    parser.add_argument("--pages", nargs="*", default=[], metavar="PART", help="parts of paths (default: every page)")
    args = parser.parse_args()
    pages = [page for page in sorted(SITE.rglob("*.html")) if page.name != "404.html"]
    wanted = [page for page in pages if not args.pages or any(part in page.as_posix() for part in args.pages)]
    failed, silent = not wanted, 0
    if args.screenshots:
        args.screenshots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        for width, height in SIZES:
            for page in wanted:
                name = page.relative_to(SITE).as_posix()
                picture = args.screenshots and args.screenshots / f"{name.replace('/', '_')}.{width}.png"
                tab = browser.new_page(viewport={"width": width, "height": height})
                for fault in look(tab, page, picture):
                    failed = True
                    print(f"{name} at {width} pixels: {fault}")
                tab.close()
        tab = browser.new_page(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
        tab.goto((SITE / "index.html").as_uri())
        for words in args.search:
            found = search(tab, words)
            silent += not found
            print(f"{words!r}:", *(found or ["nothing"]), sep="\n  ")
        browser.close()
    print(f"{len(wanted)} pages:", "some are at fault" if failed else "in order", f"({silent} searches without a hit)")
    return int(failed or silent > 0)


if __name__ == "__main__":
    sys.exit(main())
