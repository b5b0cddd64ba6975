#!/usr/bin/env python
"""Prints a table of Markdown: every network, as its plan has it; with --weights, ten published weights."""

import argparse

from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS, builder_name
from keras_resnet.architecture.variant import Variant
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


def kind(variant: Variant) -> str:
    """Returns what a network is of: its block, and what it has more than the plain ones."""
    stem, attention = variant.stem, variant.attention
    facts = {
        f"{variant.groups}x{variant.base_width}d": variant.groups > 1,
        "wide": variant.groups == 1 and variant.base_width > 64,
        f"{variant.widths[0] // 64}x widths": variant.widths[0] > 64,
        f"stem {'-'.join(map(str, stem.widths)) if stem else ''}": stem and len(stem.widths) > 1,
        "convolution as pool": stem and stem.pool == "conv",
        "mean in shortcuts": variant.shortcut == "D",
        "all stages project": variant.block == "basic" and variant.lineage.project == "every_first",
        attention and attention.kind.upper(): attention,
        "mean for strides": variant.antialias == "avg",
        "blur for strides": variant.antialias == "blur",
        "norm of the image": variant.lineage.data_norm,
        "group norm": variant.norm == "group",
    }
    block = f"v2 {variant.block}" if variant.version == 2 else variant.block
    return ", ".join([block, *(str(fact) for fact, has in facts.items() if has)])


def published(network: str) -> str:
    """Returns the families of the network's weights in the catalogue; nothing if there are none."""
    return ", ".join(dict.fromkeys(row.family for row in list_weights(network).values()))


def print_networks() -> None:
    """Prints a line for each network; trainable parameters and multiply-adds in the styles of Keras and PyTorch."""
    print("| network | blocks | kind | input | style | parameters (M) | multiply-adds (M) | weights |")
    print("|---|---|---|---|---|---|---|---|")
    for name, variant in NETWORKS.items():
        side = variant.image_side
        classes = 1000 if side == 224 else 10
        rows = [variant.in_style(style) for style in ("keras", "torch") if style in variant.styles]
        plans = [plan(row) for row in rows or [variant]]
        parameters = dict.fromkeys(f"{each.parameters(classes, trainable=True) / 1e6:.2f}" for each in plans)
        operations = dict.fromkeys(f"{each.multiply_adds(side, side, classes) / 1e6:.0f}" for each in plans)
        numbers = (" / ".join(parameters), " / ".join(operations))
        blocks, style = ", ".join(map(str, variant.units)), variant.lineage.style
        cells = (blocks, kind(variant), f"{side}x{side}", style, *numbers, published(name))
        print(f"| `{builder_name(name)}` | {' | '.join(cells)} |")


def print_weights() -> None:
    """Prints a line for each of the ten; trainable parameters with the classifier."""
    print("| weights | network | parameters (M) | trained, tested at | published top-1 |")
    print("|---|---|---|---|---|")
    rows = list_weights()
    for row in map(rows.__getitem__, KEYS):
        sizes = dict.fromkeys((row.image_size, row.test_image_size or row.image_size))
        top1 = dict.fromkeys((row.top1, row.best_top1))
        numbers = (", ".join(map(str, sizes)), ", ".join(f"{each:.1f}%" for each in top1))
        print(f"| `{row.key}` | `{row.network}` | {row.parameters / 1e6:.1f} | {' | '.join(numbers)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", action="store_true", help="print ten published weights instead")
    print_weights() if parser.parse_args().weights else print_networks()
