"""Tables of text on standard output."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.progress import takes_colours


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, as wide as they need be where no terminal limits them."""
    console, box = import_optional("rich.console"), import_optional("rich.box")
    table = import_optional("rich.table").Table(*head, box=box.SIMPLE_HEAD, show_edge=False)
    text = import_optional("rich.text").Text
    for row in rows:
        table.add_row(*(text(cell, overflow="fold") for cell in row))
    width = None if sys.stdout.isatty() else 1000
    console.Console(width=width, color_system=_colours()).print(table)


def print_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Prints lines as they are, each in a style of rich's, such as "bold", or in none: ""."""
    console, text = import_optional("rich.console"), import_optional("rich.text").Text
    ends = ((f"{line}\n", style) for line, style in lines)
    console.Console(width=line_width() or 1000, color_system=_colours()).print(
        text.assemble(*ends, end=""), soft_wrap=True, end=""
    )


def line_width() -> int | None:
    """How many columns a line may take: those of COLUMNS, else those of the terminal; None if nothing limits it."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdecimal() and int(columns):
        return int(columns)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _colours() -> str | None:
    """What rich takes for whether standard output shows colours."""
    return "auto" if takes_colours(sys.stdout) else None
