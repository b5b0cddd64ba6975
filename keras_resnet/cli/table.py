"""Tables of text on standard output."""

import sys
from collections.abc import Sequence

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
    colours = "auto" if takes_colours(sys.stdout) else None
    console.Console(width=width, color_system=colours).print(table)
