#!/usr/bin/env python
"""Prints the README's table of networks, from the plan."""

from dataclasses import replace

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS, builder_name

print("| network | units | block | input | default style | parameters (M) | multiply-adds (M) |")
print("|---|---|---|---|---|---|---|")
for name, variant in NETWORKS.items():
    side = variant.image_side
    classes = 1000 if side == 224 else 10
    styles = [replace(variant, lineage=LINEAGES[style, variant.version]) for style in ("keras", "torch")]
    parameters = " / ".join(f"{plan(row).parameters(classes, trainable=True) / 1e6:.2f}" for row in styles)
    operations = " / ".join(f"{plan(row).multiply_adds(side, side, classes) / 1e6:.0f}" for row in styles)
    units, style = ", ".join(map(str, variant.units)), variant.lineage.style
    row = f"`{builder_name(name)}` | {units} | {variant.block} | {side}x{side} | {style} | {parameters} | {operations}"
    print(f"| {row} |")
