"""The command `list`: which weights are published."""

import argparse
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fnmatch import translate

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.checkpoints.catalogue import list_weights, meant, same_weights, why_not
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.cli.table import line_width, print_lines
from keras_resnet.utils.errors import check_choice, did_you_mean
from keras_resnet.utils.progress import say

_NO_LICENCE = "none"
_GAP = "  "  # between columns, and in front of what belongs to the line above
# What the columns hold, by their headings; the licence, which may take several lines, is the last one
_CELLS: dict[str, Callable[[Checkpoint], str]] = {
    "key": lambda row: f"{row.key} *" if row.default else row.key,
    "family": lambda row: row.family,
    "network": lambda row: row.network,
    "style": lambda row: row.style,
    "params": lambda row: f"{row.parameters / 1e6:.1f}M",
    "file size": lambda row: f"{row.file_size:.0f} MiB" if row.file_size else "",
    "train size": lambda row: _size(row.image_size, row.top1),
    "test size": lambda row: _size(row.test_image_size, row.test_top1),
    "classes": lambda row: str(row.classes or "none"),
}
_FACTS = ("params", "file size", "train size", "test size", "classes")
_TO_THE_RIGHT = ("params", "file size", "classes")


def run(args: argparse.Namespace) -> None:
    """Prints the catalogue's rows that are asked for."""
    rows = _sorted(_filtered(_found(args.pattern), args), args.sort)
    if not rows:
        say(f"No weights are published{_asked(args)}.")
    same = same_weights()
    if args.json:
        known = [
            asdict(row) | {"parameters": row.parameters, "best_top1": row.best_top1, "same_weights": same[row.key]}
            for row in rows
        ]
        print(json.dumps(known, indent=2))
    elif rows:
        width = line_width()
        legend = [(line, "") for text in _legend(rows, same) for line in _wrapped(text, width)]
        print_lines([*_table(rows, same, width), ("", ""), *legend])


def _found(pattern: str | None) -> list[Checkpoint]:
    """The rows of a network, or those whose keys fit; an error if there is no such network, and no key fits."""
    rows = list(list_weights().values())
    if pattern is None:
        return rows
    network = _network(pattern)
    expression = _expression(pattern, is_name=network is not None)
    found = [row for row in rows if row.network == network or expression.search(row.key)]
    if found or network:
        return found
    if why := why_not(pattern):
        raise ValueError(f"{pattern!r} can't be loaded into a network here, since {why}.")
    keys = meant(pattern.strip("*?"))
    if keys or _has_wildcards(pattern):
        raise ValueError(f"No published weights have a key that fits {pattern!r:.99}.{did_you_mean(keys)}")
    find_row(pattern, "pattern", " No key of published weights contains it.")
    return []


def _network(pattern: str) -> str | None:
    """The network that is called so, as the catalogue has it; None if there is none."""
    try:
        return builder_name(find_row(pattern).name)
    except ValueError:
        return None


def _expression(pattern: str, is_name: bool) -> re.Pattern[str]:
    """What is found in a key that has this name behind its family, or that fits the pattern, or contains it."""
    if is_name:
        expression = rf"/{re.escape(pattern)}(\.|$)"
    else:
        expression = rf"(^|/){translate(pattern)}" if _has_wildcards(pattern) else re.escape(pattern)
    return re.compile(expression, re.IGNORECASE)


def _has_wildcards(pattern: str) -> bool:
    """Whether it is more than a part of a key."""
    return any(wildcard in pattern for wildcard in "*?[")


def _filtered(rows: list[Checkpoint], args: argparse.Namespace) -> list[Checkpoint]:
    """The rows that all options let through."""
    licence = None if args.licence is None else args.licence.lower()
    if licence is not None:
        all_licences = {each for row in list_weights().values() for each in _licences(row)}
        check_choice("licence", licence, tuple(sorted(all_licences)))
    return [
        row
        for row in rows
        if args.family in (None, row.family)
        and args.style in (None, row.style)
        and licence in (None, _licences(row)[0])  # of two, that of the README, which is stricter
        and (args.min_top1 is None or (row.best_top1 or 0) >= args.min_top1)
        and (args.max_parameters is None or row.parameters <= args.max_parameters)
    ]


def _licences(row: Checkpoint) -> list[str]:
    """The names of the licences that are stated, without the places; that of none, if none is."""
    return re.sub(r" \(.*?\)", "", row.licence).split(", ") if row.licence else [_NO_LICENCE]


def _sorted(rows: list[Checkpoint], by: str | None) -> list[Checkpoint]:
    """The rows in the order that is asked for; those without a top-1 are the last by it."""
    if by == "top1":
        return sorted(rows, key=lambda row: row.best_top1 or 0, reverse=True)
    return sorted(rows, key=lambda row: row.parameters) if by == "parameters" else rows


def _asked(args: argparse.Namespace) -> str:
    """The end of a sentence: what is asked for."""
    name = f" for {_network(args.pattern) or repr(args.pattern)}" if args.pattern else ""
    options = {
        "family": args.family,
        "style": args.style,
        "licence": args.licence,
        "min-top1": None if args.min_top1 is None else f"{args.min_top1:g}",
        "max-parameters": args.max_parameters,
    }
    given = " ".join(f"--{option} {value}" for option, value in options.items() if value is not None)
    return f"{name} with {given}" if given else name


def _size(size: int | None, top1: float | None) -> str:
    """An image size, and the top-1 at it, as far as they are known."""
    if size is None:
        return ""
    return f"{size}: {top1:.1f}%" if top1 else f"{size}"


def _table(rows: list[Checkpoint], same: dict[str, tuple[str, ...]], width: int | None) -> Iterator[tuple[str, str]]:
    """The lines of the table, and their styles: one for each row where that fits, else its key above its facts."""
    cells = {name: [name, *map(cell, rows)] for name, cell in _CELLS.items()}
    licences = ["licence", *(row.licence for row in rows)]
    least = max(len(word) for licence in licences for word in licence.split())
    for names in (tuple(_CELLS), ("key", "family", *_FACTS), _FACTS):
        begins = ["" if "key" in names else _GAP] * len(licences)
        for name in names:
            widest = max(map(len, cells[name]))
            align = str.rjust if name in _TO_THE_RIGHT else str.ljust
            begins = [begin + align(cell, widest) + _GAP for begin, cell in zip(begins, cells[name], strict=True)]
        if width is None or len(begins[0]) + least <= width:
            break
    blocks = [_wrapped(licence, width, begin) for begin, licence in zip(begins, licences, strict=True)]
    if "key" not in names:
        blocks = [[key, *block] for key, block in zip(cells["key"], blocks, strict=True)]
    head, *blocks = blocks
    yield from ((line, "bold") for line in head)
    yield "-" * max(map(len, head)), ""
    for row, (first, *others) in zip(rows, blocks, strict=True):
        yield first, "" if "key" in names else "bold"
        yield from ((line, "") for line in (*others, *(f"{_GAP}= {other}" for other in same[row.key])))


def _wrapped(text: str, width: int | None, begin: str = "") -> list[str]:
    """The lines of a text that begins behind another one, and is broken between words."""
    if width is None:
        return [f"{begin}{text}".rstrip()]
    indent = " " * len(begin)
    lines = textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return lines or [begin.rstrip()]


def _legend(rows: list[Checkpoint], same: dict[str, tuple[str, ...]]) -> list[str]:
    """How many weights are listed, and what columns and marks mean."""
    count = f"{len(rows)} of {len(same)} weights"
    unproven = sum(not row.digest for row in rows)
    if unproven:
        count += f", {unproven} without a published hash: only format and length of these are checked"
    meanings = [
        "params: trainable parameters, with the classifier",
        "train size, test size: of images, in pixels, and the publisher's own top-1 at it",
        *(["*: the meaning of weights='imagenet'"] if any(row.default for row in rows) else []),
        *(["=: the same weights under another key"] if any(same[row.key] for row in rows) else []),
        "--json adds sources, URLs and hashes",
    ]
    return [f"{count}.", f"{'. '.join(meanings)}."]
