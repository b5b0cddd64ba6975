#!/usr/bin/env python
"""Makes BENCHMARKS.md, and the details in benchmarks/: all sections, which takes the better part of an hour, or some.

Example:

    scripts/benchmarks.py                                # every section, then the tables
    scripts/benchmarks.py inference-torch training-jax   # these sections, then the tables
    scripts/benchmarks.py --races 3 inference-torch      # the median of three races
    scripts/benchmarks.py --tables                       # the tables alone, from the details that are there
    scripts/benchmarks.py --before ../old networks-jax   # prints how this compares with another checkout
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_resnet
from keras_resnet.cli.benchmark import cells, describe_machine, document, head, peers, settings
from keras_resnet.cli.benchmarking.contenders import OURS
from keras_resnet.cli.benchmarking.race import BEFORE, Result, contenders, race
from keras_resnet.cli.parser import parser

ROOT = Path(__file__).resolve().parents[1]
REPORT, DETAILS = "BENCHMARKS.md", "benchmarks"
BACKENDS = ("torch", "tensorflow", "jax")
# glibc keeps what is freed; else feature maps, which are allocated anew in each call, are fetched from the system again
KEPT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
NETWORKS = "ResNet18 ResNet34 ResNet50 ResNet50V2 ResNet152 resnext50_32x4d seresnet50 resnet50d resnetv2_50x1_bit"

INTRODUCTION = """# Benchmarks

This page compares the speed of keras_resnet with that of other libraries. `scripts/benchmarks.py` makes it, and
`scripts/benchmarks.py SECTION` measures one section anew, on any machine. Each section's file in `benchmarks/` has the
command, the versions of the libraries, quartiles, peak memory, and the time of building and of the first call.

How the numbers are made: each contender runs in a process of its own. When all are ready, they take turns, one call
each per round. A time is the median over the calls, in milliseconds. A ratio is the median over the rounds. If a
section was raced several times, the race of the median ratio counts. "optimized" means `optimize_for_inference` or
`optimize_for_training`. Inference is `predict_on_batch` on a NumPy batch. Training is `train_on_batch` with SGD and
momentum. glibc keeps freed memory, for all contenders, as [the guide](docs/guides/speed.md) says; PyTorch is slower
without.

- GMAC/s counts the multiply-adds of the forward pass, in billions a second. torchvision's networks have more of them
  than ours (ResNet50 6%), because they stride in a block's 3x3 convolution, and ours stride earlier by default.
- In bfloat16 the weights of Keras models are bfloat16, too. OpenVINO gets float32 weights and computes in bfloat16.
- OpenVINO runs our network as built, as `keras-resnet export` writes it.
"""


@dataclass(frozen=True)
class Section:
    """What a file of details measures: arguments of `keras-resnet benchmark`, on a backend."""

    backend: str
    arguments: str


@dataclass(frozen=True)
class Question:
    """A table of the report.

    Attributes:
        title: its heading.
        text: what stands between that and the table.
        sections: whose details it shows.
        rows: what tells its rows apart.
        column: what tells its columns apart.
        beside: what stands in parentheses beside milliseconds: "ratio" or "gmacs_per_second".
        contenders: whom it shows; none: all.
    """

    title: str
    text: str
    sections: tuple[str, ...]
    rows: tuple[str, ...]
    column: str
    beside: str
    contenders: tuple[str, ...] = ()

    def shows(self, contender: str) -> bool:
        """Whether it shows a contender."""
        return contender in self.contenders or not self.contenders


def _on_each(name: str, arguments: str, on_torch: str = "") -> dict[str, Section]:
    """A section a backend; on PyTorch with more arguments."""
    return {
        f"{name}-{each}": Section(each, f"{arguments}{on_torch if each == 'torch' else ''}".strip())
        for each in BACKENDS
    }


# torchvision runs on PyTorch alone, whatever backend Keras has
SECTIONS: dict[str, Section] = (
    _on_each("inference", "--model ResNet50 --against keras.applications,openvino", ",torchvision")
    | _on_each("training", "--model ResNet50 --train --against keras.applications", ",torchvision")
    | _on_each("networks", f"--model {NETWORKS} --batch 1 8 --against none --runs 7")
    | {
        "growth-batch": Section("torch", "--model ResNet50 --batch 1 2 4 8 16 --against none --runs 7"),
        "growth-pixels": Section("tensorflow", "--model ResNet50 --image-size 96 160 224 320 --against none --runs 7"),
        "growth-depth": Section("jax", "--model ResNet18 ResNet50 ResNet101 ResNet152 --against none --runs 7"),
    }
    | _on_each("half", "--model ResNet50 --dtype bfloat16 --against openvino --runs 7")
)


def _sections(*names: str) -> tuple[str, ...]:
    """The sections of these names, on whatever backend."""
    return tuple(each for each in SECTIONS if each.partition("-")[0] in names)


QUESTIONS = (
    Question(
        "What do I gain on which backend?",
        "ResNet50, inference on 8 images of 224x224 and training on 16 images of 128x128: milliseconds a call, and in "
        "parentheses how many times as fast as keras.applications on the same backend.",
        _sections("inference", "training"),
        ("backend", "contender"),
        "task",
        "ratio",
    ),
    Question(
        "For which network?",
        "Inference of the optimized network, 224x224: milliseconds a call, and in parentheses how many times as fast "
        "as keras_resnet as built, on the same backend.",
        _sections("networks"),
        ("network", "batch"),
        "backend",
        "ratio",
        OURS[1:],
    ),
    Question(
        "How does it grow with batch, pixels and depth?",
        "Inference: milliseconds a call, and in parentheses GMAC/s. As long as these stay the same, time is linear in "
        "all three.",
        _sections("growth"),
        ("backend", "network", "batch", "image side"),
        "contender",
        "gmacs_per_second",
    ),
    Question(
        "What does half precision give?",
        "ResNet50, inference on 8 images of 224x224: milliseconds a call, and in parentheses GMAC/s.",
        _sections("inference", "half"),
        ("backend", "contender"),
        "precision",
        "gmacs_per_second",
        (*OURS, "openvino"),
    ),
)


def main(arguments: Sequence[str]) -> None:
    """Measures the sections named, or all, and writes the tables."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("sections", nargs="*", metavar="SECTION", help=f"one of {', '.join(SECTIONS)}")
    command.add_argument("--races", type=int, default=1, metavar="N", help="races of which the median counts")
    command.add_argument("--tables", action="store_true", help="measure nothing")
    command.add_argument("--before", type=Path, metavar="FOLDER", help="compare with a checkout, and write no file")
    args = command.parse_args(arguments)
    unknown = [name for name in args.sections if name not in SECTIONS]
    if unknown:
        command.error(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if args.races < 1:
        command.error("--races must be 1 or more")
    if args.before and not (args.before / "keras_resnet" / "__init__.py").is_file():
        command.error(f"--before must be a folder that holds keras_resnet; received {str(args.before)!r}")
    for name in [] if args.tables else args.sections or SECTIONS:
        print(f"== {name}", file=sys.stderr)
        if args.before:
            print(against(SECTIONS[name], args.races, args.before.resolve()), flush=True)
        else:
            write(name, args.races)
    if not args.before:
        (ROOT / REPORT).write_text(report(read()))


def write(name: str, races: int) -> None:
    """Measures a section, and writes its details and then the tables."""
    section = SECTIONS[name]
    variables = KEPT | {"KERAS_BACKEND": section.backend}
    typed = " ".join([*(f"{key}={value}" for key, value in variables.items()), "python -m keras_resnet benchmark"])
    details = {"command": f"{typed} {section.arguments} --json", "documents": measured(section, races)}
    (ROOT / DETAILS).mkdir(exist_ok=True)
    (ROOT / DETAILS / f"{name}.json").write_text(json.dumps(details, indent=1) + "\n")
    (ROOT / REPORT).write_text(report(read()))


def measured(section: Section, races: int, before: Path | None = None) -> list[dict[str, Any]]:
    """What the section's command prints with --json, once a race; against another checkout, without other libraries."""
    os.environ.update(KEPT | {"KERAS_BACKEND": section.backend})
    args = parser().parse_args(["benchmark", *shlex.split(section.arguments)])
    names = OURS[1:] if before else contenders(peers(args.against))
    return [document([race(each, names, args.runs, before) for each in settings(args)]) for _ in range(races)]


def read() -> dict[str, Any]:
    """The details that are there, by section."""
    paths = {name: ROOT / DETAILS / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def medians(documents: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], list[Result]]]:
    """Each setting of documents of the same command, and of each contender the result of the median ratio."""
    found = []
    for races in zip(*(each["races"] for each in documents), strict=True):
        results: dict[str, list[Result]] = {}
        for row in (row for done in races for row in done["results"]):
            results.setdefault(row["contender"], []).append(Result(**row))
        ranked = [sorted(each, key=lambda one: (one.ratio, one.seconds)) for each in results.values()]
        found.append((races[0]["setting"], [each[(len(each) - 1) // 2] for each in ranked]))
    return found


def facts(documents: Sequence[dict[str, Any]]) -> list[tuple[dict[str, str], Result]]:
    """Every result, and what tells it apart in a table."""
    return [
        (
            {
                "backend": documents[0]["backend"],
                "network": setting["network"],
                "batch": str(setting["batch"]),
                "image side": str(setting["image_side"]),
                "task": "training" if setting["train"] else "inference",
                "precision": setting["dtype"],
                "contender": result.contender,
            },
            result,
        )
        for setting, results in medians(documents)
        for result in results
    ]


def machine_of(documents: Sequence[dict[str, Any]]) -> str:
    """What documents were measured on."""
    results = [result for _, results in medians(documents) for result in results]
    return describe_machine(documents[0]["machine"], results)


def report(details: dict[str, Any]) -> str:
    """The whole file."""
    found = {machine_of(each["documents"]) for each in details.values()}
    once = [f"Machine: {machine}.\n" for machine in found if len(found) == 1]
    tables = [answer(each, details, tell_machines=len(found) > 1) for each in QUESTIONS]
    return "\n".join([INTRODUCTION, *once, *filter(None, tables)])


def answer(question: Question, details: dict[str, Any], tell_machines: bool) -> str:
    """A heading, a table and where it comes from; nothing if none of its sections has been measured."""
    there = {name: details[name]["documents"] for name in question.sections if name in details}
    if not there:
        return ""
    results = [each for documents in there.values() for each in facts(documents)]
    results = [each for each in results if question.shows(each[1].contender)]
    columns = list(dict.fromkeys(told[question.column] for told, _ in results))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for told, result in results:
        row = rows.setdefault(tuple(told[key] for key in question.rows), {})
        row[told[question.column]] = cell(result, question.beside)
    lines = [[*key, *(row.get(column, "") for column in columns)] for key, row in rows.items()]
    parts = [
        f"## {question.title}",
        question.text,
        table([*question.rows, *columns], lines),
        *left_out(question, there),
    ]
    if tell_machines:
        of = {name: machine_of(documents) for name, documents in there.items()}
        for machine in dict.fromkeys(of.values()):
            parts.append(f"Machine of {', '.join(name for name in of if of[name] == machine)}: {machine}.")
    links = ", ".join(f"[{name}]({DETAILS}/{name}.json)" for name in there)
    return "\n\n".join([*parts, f"Details: {links}."]) + "\n"


def cell(result: Result, beside: str) -> str:
    """Milliseconds, and what stands beside them."""
    return f"{1e3 * result.seconds:.1f} ({getattr(result, beside):.{2 if beside == 'ratio' else 0}f})"


def left_out(question: Question, there: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Who did not run, and why: a line each."""
    reasons: dict[str, dict[str, None]] = {}
    for section, documents in there.items():
        for done in (done for each in documents for done in each["races"]):
            for name in filter(question.shows, done["left_out"]):
                reason = "; ".join(done["left_out"][name].splitlines())
                reasons.setdefault(f"{name}: {reason}", {})[section] = None
    return [f"Left out of {', '.join(sections)}: {reason}" for reason, sections in reasons.items()]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [titles, ["---"] * len(titles), *rows])


def against(section: Section, races: int, before: Path) -> str:
    """Measures a section against another checkout; a table of Markdown."""
    told = facts(measured(section, races, before))
    keys = ("backend", "network", "batch", "image side", "precision", "task")
    rows = [[*(each[key] for key in keys), *cells(result)] for each, result in told]
    return table([*keys, *head(BEFORE)], rows)


if __name__ == "__main__":
    if Path(keras_resnet.__file__).resolve().parents[1] != ROOT:
        sys.exit(f"This would measure {keras_resnet.__file__}. Put {ROOT} in PYTHONPATH.")
    main(sys.argv[1:])
