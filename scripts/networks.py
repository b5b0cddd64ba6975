#!/usr/bin/env python
"""Prints the README's table of networks, from the plan."""

from dataclasses import replace

from keras_resnet import models, variants
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan

print("| network | units | block | input | default style | parameters (M) | multiply-adds (M) |")
print("|---|---|---|---|---|---|---|")
for name in models.__all__[1:]:
    variant = getattr(variants, name.upper())
    side = variant.image_side
    classes = 1000 if side == 224 else 10
    styles = [replace(variant, lineage=LINEAGES[style, variant.version]) for style in ("keras", "torch")]
    parameters = " / ".join(f"{plan(row).parameters(classes, trainable=True) / 1e6:.2f}" for row in styles)
    operations = " / ".join(f"{plan(row).multiply_adds(side, side, classes) / 1e6:.0f}" for row in styles)
    units, style = ", ".join(map(str, variant.units)), variant.lineage.style
    print(f"| `{name}` | {units} | {variant.block} | {side}x{side} | {style} | {parameters} | {operations} |")
