#!/usr/bin/env python
"""Prints a table of Markdown: every network, as its plan has it; with --weights, ten published weights."""

import argparse
from dataclasses import replace

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS, builder_name
from keras_resnet.checkpoints.catalogue import list_weights

# Nobody publishes how often each file is used: these are the usual sizes, of the usual libraries
KEYS = (
    "torchvision/resnet18.v1",
    "torchvision/resnet34.v1",
    "torchvision/resnet50.v1",
    "torchvision/resnet50.v2",
    "timm/resnet50.a1_in1k",
    "keras/resnet50",
    "keras/resnet50v2",
    "timm/resnetv2_50.a1h_in1k",
    "torchvision/resnet101.v2",
    "torchvision/resnet152.v2",
)


def print_networks() -> None:
    """Prints a line for each network; trainable parameters and multiply-adds in two styles."""
    print("| network | blocks | block | input | default style | parameters (M) | multiply-adds (M) |")
    print("|---|---|---|---|---|---|---|")
    for name, variant in NETWORKS.items():
        side = variant.image_side
        classes = 1000 if side == 224 else 10
        styles = [replace(variant, lineage=LINEAGES[style, variant.version]) for style in ("keras", "torch")]
        parameters = " / ".join(f"{plan(row).parameters(classes, trainable=True) / 1e6:.2f}" for row in styles)
        operations = " / ".join(f"{plan(row).multiply_adds(side, side, classes) / 1e6:.0f}" for row in styles)
        blocks, style = ", ".join(map(str, variant.units)), variant.lineage.style
        cells = (builder_name(name), blocks, variant.block, f"{side}x{side}", style, parameters, operations)
        print(f"| `{cells[0]}` | {' | '.join(cells[1:])} |")


def print_weights() -> None:
    """Prints a line for each of the ten; trainable parameters with the classifier."""
    print("| weights | network | parameters (M) | image size | published top-1 |")
    print("|---|---|---|---|---|")
    rows = list_weights()
    for row in map(rows.__getitem__, KEYS):
        parameters = plan(row.variant).parameters(row.classes, trainable=True) / 1e6
        print(f"| `{row.key}` | `{row.network}` | {parameters:.1f} | {row.image_size} | {row.top1:.1f}% |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", action="store_true", help="print ten published weights instead")
    print_weights() if parser.parse_args().weights else print_networks()
