#!/usr/bin/env python
"""Prints how far networks are from the outputs of other libraries, for all goldens in a folder, on one backend.

Run `python -m scripts.goldens FOLDER` in the root of the repository. A golden `<name>.npz` has outputs by size, and
mostly the names and shapes of its tensors beside it, in `<name>.keys.json`: see tests/goldens/README.md. The folder's
name tells how a file of these is written: `keras_hub`, `keras_applications`, `legacy_keras` and `bit`; in any other one
the goldens are those of PyTorch's libraries, `<library>__<network>.npz`. Status 1: one output at least deviates by more
than 1e-5 of the largest, in networks of BiT by more than 5e-5.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

import keras_resnet
from keras_resnet.architecture.rows import find_row
from keras_resnet.architecture.variant import Variant
from tests.helpers import bit_nets, keras_2
from tests.helpers.keras_nets import keras_formula
from tests.helpers.nets import run_whole
from tests.helpers.torch_nets import formula, image, write
from tests.helpers.wide_nets import WIDE_NETS

# What goldens are called that have no name of a network: the network, its style, and fields of its own.
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "transformers__resnet-18": ("resnet18", "torch", {}),
    "transformers__resnet-26": ("resnet26", "torch", {}),
    "transformers__resnet-50": ("resnet50", "torch", {}),
    "transformers__resnet-50_bottleneck": ("resnet50", "torch_1x1", {}),
    "transformers__resnet-50_first": ("resnet50", "torch", {"first_stride": 2}),
}
OUTPUT_STRIDE = re.compile(r"_os(\d+)$")  # at the end of a golden's name
BOUNDS = {"bit": 5e-5}  # by style
BOUND = 1e-5


@dataclass(frozen=True)
class Golden:
    """A network, and the file of its weights as its library writes it."""

    network: Variant
    weights: Path
    stride: int | None = None
    backbone: bool = False  # whether the file holds no classifier, although there are logits


def read_golden(golden: Path, folder: Path) -> Golden:
    """Finds a golden's network, and writes its weights into a folder."""
    stride = OUTPUT_STRIDE.search(golden.stem)
    name, keys = OUTPUT_STRIDE.sub("", golden.stem), golden.with_suffix(".keys.json")
    keys = keys if keys.exists() else golden.with_name(f"{name}.keys.json")
    told = json.loads(keys.read_text()) if keys.exists() else {}
    match golden.parent.name:
        case "bit":
            row = bit_nets.SMALL if name == bit_nets.SMALL.name else find_row(f"resnetv2_{name.removeprefix('R')}_bit")
            return Golden(row, bit_nets.write(folder / "net.npz", bit_nets.arrays(row)))
        case "keras_hub":
            with h5py.File(folder / "model.weights.h5", "w") as file:
                for place, variable in told["h5"].items():
                    file[place] = keras_formula(variable, told["variables"][variable])
            return Golden(find_row(f"resnet_{name}"), folder / "model.weights.h5", backbone=True)
        case "keras_applications":
            return Golden(find_row(name), keras_2.write_h5(folder / "net.h5", told))
        case "legacy_keras":
            path = keras_2.write_h5(folder / "net.h5", told, keras_2.renumbered(98), fixed=False)
            if name in keras_2.UNETS:
                return Golden(keras_2.THIN[keras_2.UNETS[name]], path)
            own = name if name.startswith("resnetrs") else f"classification_models_{name}"
            return Golden(keras_2.THIN[name] if name in keras_2.THIN else find_row(own), path)
    weights = write(folder / "net.safetensors", {each: formula(each, shape) for each, shape in told.items()})
    if name in WIDE_NETS:
        return Golden(WIDE_NETS[name], weights, int(stride[1]) if stride else None)
    network, style, fields = NETWORKS.get(name, (name.partition("__")[2], "torch", {}))
    row = find_row(network)
    row = replace(row.in_style(style) if style in row.styles else row, **fields)
    return Golden(row, weights, int(stride[1]) if stride else None)


def outputs(golden: Golden, expected: Any) -> Iterator[tuple[str, float]]:
    """Yields each size of images, and by how much the largest deviation is of the largest output."""
    classes = next((expected[name].shape[-1] for name in expected if name.startswith("logits_")), None)
    top = classes is not None and not golden.backbone
    model = keras_resnet.ResNet(
        golden.network,
        include_top=top,
        weights=golden.weights,
        input_shape=(None, None, 3),
        classifier_activation=None,
        output_stride=golden.stride,
        classes=classes or 1000,
    )
    features = model.get_layer("avg_pool").input if top else model.output
    model = keras.Model(model.input, {"features": features} | ({"logits": model.output} if top else {}))
    for size in sorted({name.rpartition("_")[2] for name in expected if "_raw_" not in name}):
        height, width = map(int, size.split("x"))
        found = run_whole(model, image(height, width))
        if golden.backbone and classes:  # with the library's classifier
            kernel = keras_formula("predictions/kernel", (found["features"].shape[-1], classes))
            found["logits"] = found["features"].mean((1, 2)) @ kernel + keras_formula("predictions/bias", (classes,))
        yield size, max(deviations(found, expected, size))


def deviations(found: dict[str, Any], expected: Any, size: str) -> Iterator[float]:
    """Yields the deviation of each output of which there is a golden."""
    maps = np.moveaxis(found["features"], -1, 1)
    mine = {"logits": found.get("logits"), "features_mean": maps.mean((2, 3)), "features": maps}
    for name in [name for name in mine if f"{name}_{size}" in expected]:
        value, theirs = mine[name], expected[f"{name}_{size}"]
        if name == "features":  # of one image, and of some channels
            theirs = theirs.reshape(-1, *theirs.shape[-3:])
            value = value[:, :: value.shape[1] // theirs.shape[1]]
        value = value[: len(theirs)]
        yield float(np.abs(value - theirs).max() / np.abs(theirs).max())


def main() -> int:
    """Prints the table; returns 1 if there is nothing to compare, or an output deviates by too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the goldens are")
    goldens = sorted(parser.parse_args().folder.glob("*.npz"))
    print(f"| golden | network | size: deviation on {keras.backend.backend()} | |\n|---|---|---|---|")
    failed = not goldens
    for golden in goldens:
        with tempfile.TemporaryDirectory() as folder, np.load(golden) as expected:
            held = read_golden(golden.absolute(), Path(folder))
            found = dict(outputs(held, expected))
        bound = BOUNDS.get(held.network.lineage.style, BOUND)
        exceeds = not found or not max(found.values()) <= bound
        failed |= exceeds
        cells = ", ".join(f"{size}: {deviation:.1e}" for size, deviation in found.items())
        print(
            f"| {golden.stem} | {held.network.name} | {cells} | {f'more than {bound:.0e}' if exceeds else ''} |",
            flush=True,
        )
        keras.backend.clear_session()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
