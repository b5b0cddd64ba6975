#!/usr/bin/env python
"""Races one process of PyTorch with two threads against two processes with one each, on the same batches.

    python scripts/devices_speed.py [--network ResNet20] [--norm-sync off]

Rounds are interleaved: in each, both train the same number of steps. It prints the median time of a step and its
quartiles, the part of it that is spent in messages, and how many of them and how many bytes a step sends. Needs torch,
two cores, and a machine that does nothing else.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def train(args: argparse.Namespace) -> None:
    """Trains so many steps whenever a line is read, and writes what a step took."""
    import keras
    import numpy as np
    import torch

    import keras_resnet
    from keras_resnet import distribution
    from keras_resnet.training import replicas_torch

    place = distribution.start()
    if place.processes == 1:
        torch.set_num_threads(2)
    spent = {"seconds": 0.0, "messages": 0, "bytes": 0}
    among_all = replicas_torch._among_all

    def counted(operation: Any, *arguments: Any) -> None:
        begun = time.perf_counter()
        among_all(operation, *arguments)
        spent["seconds"] += time.perf_counter() - begun
        spent["messages"] += 1
        sent = next(each for each in reversed(arguments) if isinstance(each, torch.Tensor))
        spent["bytes"] += sent.numel() * sent.element_size()

    replicas_torch._among_all = counted
    keras.utils.set_random_seed(0)
    shape = (args.side, args.side, 3)
    model = keras_resnet.ResNet(args.network, weights=None, classes=10, input_shape=shape)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), "sparse_categorical_crossentropy")
    distribution.spread(keras_resnet.optimize_for_training(model), norm_sync=args.norm_sync == "on")
    rng, rows = np.random.default_rng(0), distribution.share(args.batch)
    images = rng.normal(size=(args.batch, *shape)).astype("float32")[rows.start : rows.stop]
    labels = (np.arange(args.batch) % 10)[rows.start : rows.stop]
    for steps in map(int, sys.stdin):
        spent.update(seconds=0.0, messages=0, bytes=0)
        begun = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(images, labels)
        told = {"step": (time.perf_counter() - begun) / steps, **{name: value / steps for name, value in spent.items()}}
        print(json.dumps(told), flush=True)


def start(args: argparse.Namespace, processes: int) -> list[subprocess.Popen[str]]:
    """Starts a contender."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    launched = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, *sys.argv, "--contender"]
    return [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **{name: str(value) for name, value in launched.items()}, "RANK": str(rank)},
        )
        for rank in range(processes)
    ]


def ask(contender: list[subprocess.Popen[str]], steps: int) -> dict[str, float]:
    """What the first process of a contender tells of so many steps."""
    for process in contender:
        process.stdin.write(f"{steps}\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    told = [process.stdout.readline() for process in contender]  # type: ignore[union-attr]
    found: dict[str, float] = json.loads(told[0])
    return found


def race(args: argparse.Namespace) -> None:
    """Runs both by turns."""
    contenders = [start(args, 1), start(args, 2)]
    for contender in contenders:
        ask(contender, 2)
    rounds = [[ask(contender, args.steps) for contender in contenders] for _ in range(args.rounds)]
    for contender in contenders:
        for process in contender:
            process.communicate()
    times = [[found["step"] * 1e3 for found in each] for each in zip(*rounds, strict=True)]
    for name, each in zip(("one process, two threads", "two processes, one thread each"), times, strict=True):
        low, middle, high = statistics.quantiles(each, n=4)
        print(f"{name}: {middle:.0f} ms a step ({low:.0f} to {high:.0f})")
    ratios = [one / two for one, two in zip(*times, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    two = rounds[-1][1]
    part = statistics.median(found["seconds"] / found["step"] for _, found in rounds)
    print(f"two are {middle:.2f} times as quick as one ({low:.2f} to {high:.2f})")
    print(f"in messages {part:.0%} of a step: {two['messages']:.0f}, of {two['bytes'] / 1e6:.2f} MB")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--network", default="ResNet50", help="a network's name (default: ResNet50)")
parser.add_argument("--side", type=int, default=64, help="height and width of the images in pixels (default: 64)")
parser.add_argument("--batch", type=int, default=16, help="images in a batch of both (default: 16)")
parser.add_argument("--steps", type=int, default=5, help="steps in a round (default: 5)")
parser.add_argument("--rounds", type=int, default=7, help="rounds (default: 7)")
parser.add_argument("--norm-sync", choices=("on", "off"), default="on", help="see keras-resnet train (default: on)")
parser.add_argument("--contender", action="store_true", help=argparse.SUPPRESS)

if __name__ == "__main__":
    args = parser.parse_args()
    (train if args.contender else race)(args)
