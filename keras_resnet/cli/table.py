"""Tables of text on standard output."""

import sys
from collections.abc import Sequence

from keras_resnet.utils.errors import import_optional


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns, as wide as they need be where no terminal limits them."""
    console, box = import_optional("rich.console"), import_optional("rich.box")
    table = import_optional("rich.table").Table(*head, box=box.SIMPLE_HEAD)
    text = import_optional("rich.text").Text
    for row in rows:
        table.add_row(*(text(cell, overflow="fold") for cell in row))
    console.Console(width=None if sys.stdout.isatty() else 1000).print(table)
