#!/usr/bin/env python
"""Makes BENCHMARKS.md with `keras-resnet benchmark`: all sections, which takes hours, or those named.

Example:

    scripts/benchmarks.py inference-torch training-jax
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_resnet.cli.benchmark import cells, head
from keras_resnet.cli.benchmarking.race import Result, machine

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "BENCHMARKS.md"
INTRODUCTION = """# Benchmarks

This file compares the speed and memory of keras_resnet with other libraries, on one machine. `scripts/benchmarks.py`
writes the whole file; `scripts/benchmarks.py SECTION` writes one section.

How the numbers are made: each contender runs in a process of its own. When all are ready, they take turns, one call
each per round. A time is the median over the calls. A ratio is the median over the rounds, with its quartiles in
parentheses. The baseline is keras.applications, or keras_resnet as built where keras.applications lacks the network.
"optimized" means `optimize_for_inference` or `optimize_for_training`. Inference is `predict_on_batch` on a NumPy
batch. Training is `train_on_batch` with SGD and momentum.

- GMAC/s counts the multiply-adds of the forward pass. The networks of torchvision, timm and KerasHub have more of
  them (ResNet50 6%, ResNet50V2 17%), because they stride in a block's 3x3 convolution, and ours stride earlier by
  default.
- In bfloat16 the weights of Keras models are bfloat16, too. PyTorch's networks run under autocast.
- Peak memory counts the whole process, from its start. Keras imports TensorFlow, where TensorFlow is installed, when
  it copies or saves a model on any backend.
- PyTorch allocates each feature map anew, and glibc may return freed memory to the system and fetch it again in every
  call. The sections "kept memory" show all contenders without this effect.
- Time is linear in batch size, pixels and depth as long as GMAC/s stay the same. They are lower for batches of 1 and
  2 and for images under 128 pixels, where fixed costs weigh more.
- torchvision and timm take part where they can be imported. torchvision's compiled operators were missing on the
  machine of this file; these networks do not use them.
"""
PEERS = "--against keras.applications,torchvision"

KEPT = "torch MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296"  # glibc keeps what is freed

# By name: the backend, with more of the environment or not, and the command's arguments.
SECTIONS: dict[str, tuple[str, str]] = {
    f"{task}-{backend}": (backend, arguments)
    for task, arguments in {
        "inference": "--model ResNet50",
        "training": "--model ResNet50 --train",
        "networks-inference": f"--model ResNet18 ResNet34 ResNet50V2 ResNet152 {PEERS} --runs 7",
        "networks-training": f"--model ResNet18 ResNet34 ResNet50V2 ResNet152 --train {PEERS} --runs 5",
        "bfloat16": "--model ResNet50 --dtype bfloat16 --runs 7",
    }.items()
    for backend in ("torch", "tensorflow", "jax")
} | {
    "inference-torch-kept-memory": (KEPT, "--model ResNet50"),
    "training-torch-kept-memory": (KEPT, "--model ResNet50 --train"),
    "cost-batch": ("torch", "--model ResNet50 --batch 1 2 4 8 16 --against none --runs 7"),
    "cost-image-size": (
        "tensorflow",
        "--model ResNet50 --image-size 96 128 160 192 224 256 320 --against none --runs 7",
    ),
    "cost-depth": ("jax", "--model ResNet18 ResNet34 ResNet50 ResNet101 ResNet152 --against none --runs 7"),
}


def main(names: list[str]) -> None:
    """Makes the sections named, or all."""
    unknown = set(names) - set(SECTIONS)
    if unknown:
        sys.exit(f"There is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}.")
    for name in names or SECTIONS:
        print(f"== {name}", file=sys.stderr)
        text = REPORT.read_text() if REPORT.exists() else ""
        replaced(text, machine_line(), name, "")  # ends here, not in an hour, if the machine is another
        REPORT.write_text(replaced(text, machine_line(), name, section(*SECTIONS[name])))


def machine_line() -> str:
    """What the report says of this machine."""
    computer = machine()
    return f"Machine: {computer['processor']}, {computer['cores']} cores, Python {computer['python']}."


def section(backend: str, arguments: str) -> str:
    """Runs a command; what it was, and what came of it."""
    command = ["-m", "keras_resnet", "benchmark", *shlex.split(arguments), "--json"]
    given = f"KERAS_BACKEND={backend}"
    environment = os.environ | dict(pair.split("=") for pair in given.split())
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    typed = f"{given} python {shlex.join(command)}"
    return f"    {typed}\n\n{markdown(json.loads(result.stdout))}"


def markdown(document: dict[str, Any]) -> str:
    """One table of all races, which begins with what they differ in."""
    races = document["races"]
    settings = [race["setting"] for race in races]
    varied = [key for key in settings[0] if any(setting[key] != settings[0][key] for setting in settings)]
    baselines = " or ".join(dict.fromkeys(race["baseline"] for race in races))
    rows = [[*(key.replace("_", " ") for key in varied), *head(baselines)]]
    rows.append(["---"] * len(rows[0]))
    for race in races:
        rows += [[*(str(race["setting"][key]) for key in varied), *cells(Result(**row))] for row in race["results"]]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    left_out = dict.fromkeys(
        f"Left out: {name}: {'; '.join(reason.splitlines())}"
        for race in races
        for name, reason in race["left_out"].items()
    )
    devices = sorted({row["device"] for race in races for row in race["results"]} - {"cpu"})
    versions = [f"{name} {version}" for name, version in document["versions"].items()]
    return "\n\n".join(["\n".join(lines), *left_out, "With " + ", ".join([*devices, *versions]) + "."]) + "\n"


def replaced(text: str, machine: str, name: str, body: str) -> str:
    """The report with a new section; the others stay as they are."""
    _, *parts = re.split(r"^## (.+)\n\n", text, flags=re.MULTILINE)
    kept = dict(zip(parts[::2], parts[1::2], strict=True))
    if set(kept) - {name} and machine not in text:
        sys.exit(f"{REPORT.name} was made on another machine or Python; this is {machine} Move it away first.")
    sections = {each: "" for each in SECTIONS if each in {name, *kept}} | kept | {name: body}
    written = [f"## {title}\n\n{content.rstrip()}\n" for title, content in sections.items()]
    return "\n".join([INTRODUCTION, f"{machine}\n", *written])


if __name__ == "__main__":
    main(sys.argv[1:])
