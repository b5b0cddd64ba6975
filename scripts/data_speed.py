#!/usr/bin/env python
"""Races `Pictures` against PyTorch's DataLoader on the same JPEGs and prints images a second, by number of processes.

Every contender gives batches of float32, channels last, of "light" augmentation or of none. Rounds are interleaved; a
ratio is the median over rounds of this round's rate by that of the DataLoader with as many processes, and the spread
its quartiles. Needs torch, and a machine that does nothing else.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

os.environ.setdefault("KERAS_BACKEND", "torch")

from keras_resnet.data import Pictures
from keras_resnet.data.read import Reader
from keras_resnet.data.worker import read_one

SIZE = 224


class Items(torch.utils.data.Dataset[Any]):
    """Our functions, called for each item."""

    def __init__(self, files: list[Path], level: str) -> None:
        self.files, self.level, self.reader = files, level, Reader(SIZE)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(read_one(self.reader, self.files[index], self.level, (0, 0, 0, index)).copy())


class Plain(Items):
    """Pillow as its users write it: no draft, no orientation, no transparency; other pixels, no augmentation."""

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.files[index]) as image:
            pixels = np.array(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels)


def loader(items: Items, batch: int, workers: int) -> Iterable[Any]:
    """PyTorch's, with its processes kept from epoch to epoch."""
    return torch.utils.data.DataLoader(items, batch, num_workers=workers, persistent_workers=workers > 0)


def read_loader(batches: Iterable[Any]) -> list[Any]:
    """Reads an epoch."""
    return [batch.float().numpy() for batch in batches]


def read_ours(pictures: Pictures) -> list[Any]:
    """Reads an epoch."""
    return [pictures[index][0] for index in range(len(pictures))]


def photograph(rng: np.random.Generator) -> Image.Image:
    """500x375 pixels, smooth and noisy as photographs are."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype("uint8")).resize((500, 375))
    noise = rng.normal(0, 12, (375, 500, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + noise, 0, 255).astype("uint8"))


def main() -> None:
    """Runs the race."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--augment", choices=("none", "light", "strong"), default="light")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.jpg" for index in range(args.images)]
        for file in files:
            photograph(rng).save(file, quality=90)
        pictures = Pictures(files, [0] * len(files), ["a"], SIZE, args.batch_size, augment=args.augment, one_hot=True)
        calls: dict[tuple[str, int], Callable[[], list[Any]]] = {("Pictures, threads", 0): partial(read_ours, pictures)}
        for workers in args.workers:
            calls["Pictures", workers] = partial(read_ours, pictures.with_(workers=workers))
            for name, kind in (("DataLoader, our functions", Items), ("DataLoader, plain Pillow", Plain)):
                batches = loader(kind(files, args.augment), args.batch_size, workers)
                calls[name, workers] = partial(read_loader, batches)
        expected = calls["Pictures, threads", 0]()
        for (name, workers), call in calls.items():  # and starts the processes
            found = call()
            if "plain" not in name and not all(map(np.array_equal, found, expected)):
                raise SystemExit(f"{name} with {workers} workers reads other pixels.")
        rates: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
        for turn in range(args.rounds):
            for key in list(calls)[:: 1 if turn % 2 else -1]:
                start = time.perf_counter()
                calls[key]()
                rates[key].append(len(files) / (time.perf_counter() - start))
    print(f"| contender | processes | images/s | by DataLoader, {args.augment} | quartiles |\n|---|---|---|---|---|")
    for (name, workers), mine in rates.items():
        base = rates["DataLoader, our functions", workers or args.workers[-1]]
        ratios = [rate / other for rate, other in zip(mine, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"| {name} | {workers} | {statistics.median(mine):.0f} | {middle:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main()
