#!/usr/bin/env python
"""Prints how far networks are from the outputs of PyTorch's libraries, for all goldens in a folder, on one backend.

Run `python -m scripts.goldens FOLDER` in the root of the repository. The folder has `<library>__<network>.npz`, with
outputs by size, and the names and shapes of its tensors in `.keys.json`, or, of files in Google's names, BiT's
`R50x1.npz`: see tests/goldens/README.md. Status 1: one output at least deviates by more than 1e-5 of the largest, in
networks of BiT by more than 5e-5.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_resnet
from keras_resnet.architecture.rows import find_row
from keras_resnet.architecture.variant import Variant
from tests.helpers import bit_nets
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


def network_of(golden: str) -> Variant:
    """The row of a golden."""
    net = OUTPUT_STRIDE.sub("", golden)
    if net in WIDE_NETS:
        return WIDE_NETS[net]
    if of_bit := bit_network(net):
        return of_bit
    name, style, fields = NETWORKS.get(net, (net.partition("__")[2], "torch", {}))
    row = find_row(name)
    return replace(row.in_style(style) if style in row.styles else row, **fields)


def bit_network(golden: str) -> Variant | None:
    """The row of a golden of BiT's own files, which Google calls by depth and width; None: it is of another."""
    if golden == bit_nets.SMALL.name:
        return bit_nets.SMALL
    match = re.fullmatch(r"R(\d+x\d)", golden)
    return find_row(f"resnetv2_{match[1]}_bit") if match else None


def weights_of(golden: Path, folder: Path) -> Path:
    """Writes the weights with which a golden was made, as its library does."""
    if row := bit_network(golden.stem):
        return bit_nets.write(folder / "net.npz", bit_nets.arrays(row))
    own = golden.with_suffix(".keys.json")
    keys = own if own.exists() else golden.with_name(f"{OUTPUT_STRIDE.sub('', golden.stem)}.keys.json")
    tensors = {name: formula(name, shape) for name, shape in json.loads(keys.read_text()).items()}
    return write(folder / "net.safetensors", tensors)


def outputs(golden: Path, folder: Path) -> Iterator[tuple[str, float]]:
    """Yields each size of images, and by how much the largest deviation is of the largest output."""
    stride, expected = OUTPUT_STRIDE.search(golden.stem), np.load(golden)
    row = network_of(golden.stem)
    classes = next((expected[name].shape[-1] for name in expected if name.startswith("logits")), None)
    model = keras_resnet.ResNet(
        row,
        include_top=classes is not None,
        weights=weights_of(golden, folder),
        input_shape=(None, None, 3),
        classifier_activation=None,
        output_stride=int(stride[1]) if stride else None,
        classes=classes or 1000,
    )
    ends = (
        {"logits": model.output, "features": model.get_layer("avg_pool").input}
        if classes
        else {"features": model.output}
    )
    model = keras.Model(model.input, ends)
    for size in sorted({name.rpartition("_")[2] for name in expected}):
        height, width = map(int, size.split("x"))
        yield size, max(deviations(run_whole(model, image(height, width)), expected, size))


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
        with tempfile.TemporaryDirectory() as folder:
            row = network_of(golden.stem)
            found = dict(outputs(golden, Path(folder)))
        bound = BOUNDS.get(row.lineage.style, BOUND)
        exceeds = not found or not max(found.values()) <= bound
        failed |= exceeds
        cells = ", ".join(f"{size}: {deviation:.1e}" for size, deviation in found.items())
        print(f"| {golden.stem} | {row.name} | {cells} | {f'more than {bound:.0e}' if exceeds else ''} |", flush=True)
        keras.backend.clear_session()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
