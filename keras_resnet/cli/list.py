"""The command `list`: which weights are published."""

import argparse
import json
from dataclasses import asdict

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.table import print_table
from keras_resnet.utils.progress import say


def run(args: argparse.Namespace) -> None:
    """Prints the catalogue's rows."""
    rows = list_weights(args.network, style=args.style)
    if args.json:
        print(json.dumps([asdict(row) for row in rows.values()], indent=2))
        return
    if not rows:
        style = f" in style {args.style}" if args.style else ""
        network = f" for {builder_name(find_row(args.network).name)}" if args.network else ""
        say(f"No weights are published{network}{style}.")
        return
    print_table(
        ["key", "network", "style", "classes", "size", "top-1", "licence"],
        [
            [
                f"{row.key} *" if row.default else row.key,
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
    print("* the meaning of weights='imagenet'. Each top-1 is the publisher's own. --json adds sources and URLs.")
