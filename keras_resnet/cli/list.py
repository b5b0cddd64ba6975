"""The command `list`: which weights are published. Imports no Keras."""

import argparse
import json
from dataclasses import asdict

from keras_resnet.architecture.rows import builder_call, find_row
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.table import print_table


def list_rows(arguments: argparse.Namespace) -> None:
    """Prints the catalogue's rows."""
    rows = list_weights(arguments.network, style=arguments.style)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows.values()], indent=2))
        return
    if not rows:
        where = f" in style {arguments.style}" if arguments.style else ""
        call = builder_call(find_row(arguments.network).name, "weights=None")
        print(f"No weights are published for {arguments.network}{where}; {call} builds it untrained.")
        return
    print_table(
        ["key", "network", "style", "classes", "size", "top-1", "licence"],
        [
            [
                row.key + " *" * row.default,
                row.network,
                row.style,
                str(row.classes or "none"),
                str(row.image_size),
                f"{row.top1:.1f}%" if row.top1 else "",
                row.licence,
            ]
            for row in rows.values()
        ],
    )
    print("* what weights='imagenet' means. top-1 as published, by each for itself: see --json for source and URL.")
