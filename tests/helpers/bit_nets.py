"""BiT's files in Google's names: made again from the names and shapes of their arrays."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Stem, Variant
from tests.helpers.keras_nets import keras_formula

GOLDENS = Path(__file__).parents[1] / "goldens" / "bit"
# The network of the golden of this name.
SMALL = replace(
    NETWORKS["resnetv2_50x1_bit"],
    name="small",
    units=(1, 2, 1, 1),
    widths=(32, 64, 128, 256),
    stem=Stem(width=32),
)
# Narrower still, without a golden of its own.
THIN = replace(SMALL, name="thin", widths=(32, 32, 64, 64))


def shapes(row: Variant, classes: int | None = 1000) -> dict[str, tuple[int, ...]]:
    """The arrays of a network's file; without classes, without a head."""
    inputs = row.stem.width if row.stem else 0
    conv, norm = "standardized_conv2d/kernel", "group_norm"
    found: dict[str, tuple[int, ...]] = {f"resnet/root_block/{conv}": (7, 7, 3, inputs)}
    for block, (count, width) in enumerate(zip(row.units, row.widths, strict=True), 1):
        for unit in range(1, count + 1):
            at = f"resnet/block{block}/unit{unit:02d}"
            for part, kernel, reads, gives in (
                ("a", 1, inputs, width),
                ("b", 3, width, width),
                ("c", 1, width, 4 * width),
            ):
                found |= {f"{at}/{part}/{norm}/{variable}": (reads,) for variable in ("gamma", "beta")}
                found[f"{at}/{part}/{conv}"] = (kernel, kernel, reads, gives)
            if unit == 1:
                found[f"{at}/a/proj/{conv}"] = (1, 1, inputs, 4 * width)
            inputs = 4 * width
    found |= {f"resnet/{norm}/{variable}": (inputs,) for variable in ("gamma", "beta")}
    if classes:
        found |= {"resnet/head/conv2d/kernel": (1, 1, inputs, classes), "resnet/head/conv2d/bias": (classes,)}
    return found


def arrays(row: Variant, classes: int | None = 1000) -> dict[str, Any]:
    return {name: keras_formula(name, shape) for name, shape in shapes(row, classes).items()}


def write(path: Path, held: dict[str, Any]) -> Path:
    """Writes a file as Google's are: `np.savez`, whatever it is called."""
    with path.open("wb") as file:
        np.savez(file, **held)
    return path
