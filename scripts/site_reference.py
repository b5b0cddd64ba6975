#!/usr/bin/env python
"""Pages of the site's reference, made of the package: its Python names, its command line, its published weights.

Run as a script, it writes docs/reference/weights.md.
"""

import argparse
import ast
import re
from itertools import groupby
from pathlib import Path

import keras_resnet
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.cli.parser import parser

PACKAGE = Path(keras_resnet.__file__).parent
# Title and modules of each page of Python names. A module of `_EXPORTS` has names of keras_resnet itself
PYTHON = {
    "networks": ("Networks", ["models.networks"]),
    "weights": (
        "Weights",
        ["checkpoints.catalogue", "models.weights.load", "models.weights.save", "data.transforms", "labels"],
    ),
    "features": ("Feature maps", ["models.features", "graph.delete_units"]),
    "variants": ("Variants", ["variants"]),
    "data": ("Data", ["data"]),
    "training": ("Training", ["training", "transfer", "resume", "distribution"]),
    "evaluation": ("Evaluation", ["evaluation", "figures"]),
    "speed": ("Speed and export", ["graph.optimize", "graph.fold", "exporting"]),
    "compatibility": (
        "Modules of other libraries",
        ["resnet", "resnet50", "resnet_v2", "resnext", "resnet_rs", "slim", "classification_models", "hub", "cv"],
    ),
}

# Names that mean something else in each of these modules
_OWN = {(module, "preprocess_input") for module in ("resnet_v2", "resnext", "resnet_rs")} | {("cv", "Backbone")}


def api() -> dict[str, str]:
    """Returns the pages of Python names, which mkdocstrings fills with docstrings."""
    roots: dict[str, tuple[str, ...]] = keras_resnet._EXPORTS
    pages, shown = {}, dict[str, str]()  # where a name that several modules have is described
    for page, (title, modules) in PYTHON.items():
        lines = [f"# {title}", ""]
        for module in modules:
            names = list(roots.get(f"keras_resnet.{module}", ())) or public(module)
            prefix = "keras_resnet" if f"keras_resnet.{module}" in roots else f"keras_resnet.{module}"
            if prefix != "keras_resnet":
                lines += [f"::: {prefix}", "    options: {members: false}", ""]
            known = [name for name in names if name in shown and (module, name) not in _OWN]
            rows = [name for name in names if name.isupper() and not name.endswith("S")]
            if known:
                lines += ["Here are also " + ", ".join(f"[`{name}`][{shown[name]}]" for name in known) + ".", ""]
            if rows:
                lines += ["Networks and styles are called " + ", ".join(f"`{name}`" for name in rows) + ".", ""]
            level = 2 if prefix == "keras_resnet" else 3
            for name in sorted(set(names) - {*known, *rows}, key=lambda name: (name != "ResNet", names.index(name))):
                shown[name] = f"{prefix}.{name}"
                lines += [f"::: {shown[name]}", f"    options: {{heading_level: {level}}}", ""]
        pages[page] = "\n".join(lines)
    return pages


def public(module: str) -> list[str]:
    """Returns the public names of a module that users import; what it needs may not be installed."""
    path = PACKAGE / f"{module}.py"
    tree = ast.parse((path if path.exists() else PACKAGE / module / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            try:
                return list(ast.literal_eval(node.value))
            except ValueError:
                break
    return list(getattr(keras_resnet, module).__all__)


def command_line() -> str:
    """Returns the page of all commands with their options, as the parser has them."""
    commands = parser()._subparsers
    assert commands is not None
    (action,) = commands._group_actions
    lines = [
        "# Command line",
        "",
        "`keras-resnet COMMAND --help` prints the same in a terminal. `--help` and `--version` are left out here.",
        "",
    ]
    for name, command in dict(action.choices or {}).items():
        purpose, _, text = command.description.partition("\n\nexamples:\n")
        examples, _, usage = text.partition("\n\nusage: ")
        shell = "\n".join(line.strip() for line in examples.splitlines())
        lines += [f"## keras-resnet {name}", "", purpose, "", "```text", usage, "```", "", "```sh", shell, "```", ""]
        for group in command._action_groups:
            options = [each for each in group._group_actions if each.help != argparse.SUPPRESS]
            if options and group.title != "help":
                lines += [f"### {name}: {group.title}", "", *(f"- {option(command, each)}" for each in options), ""]
    return "\n".join(lines)


def option(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Returns an option with its values and its help, as an item of a list."""
    formatter = command._get_formatter()
    first, *values = formatter._expand_help(action).splitlines()
    heading = f"`{formatter._format_action_invocation(action)}`"
    return "  \n".join([heading, *(f"    {marked(line)}" for line in (first, *values))])


def marked(text: str) -> str:
    """Returns a text of the help as Markdown."""
    return re.sub(r"(?<!`)(?<![\w`])(--[a-z][\w-]*)", r"`\1`", text).replace("*", r"\*").replace("<", "&lt;")


def weights() -> str:
    """Returns the page of all published weights, a table for each family."""
    lines = [
        "# Published weights",
        "",
        "Each key is a value of `weights=`, of `keras-resnet predict` and of `keras-resnet train --weights`.",
        "[Weights from anywhere](../guides/weights.md) says how they are found and loaded. Accuracies are the top-1 on",
        "ImageNet's validation images that the source of each publishes, at the size of images that the network was",
        "trained for and at the one to test at. `keras-resnet list` searches this table.",
        "",
    ]
    for family, rows in groupby(list_weights().values(), lambda row: row.family):
        lines += [f"## {family}", "", "| weights | network | parameters | trained at | tested at | classes | licence |"]
        lines += ["|---|---|---|---|---|---|---|", *map(weights_row, rows), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def weights_row(row: Checkpoint) -> str:
    """Returns a line of the table of weights."""

    def at(size: int | None, top1: float | None) -> str:
        return "" if size is None else f"{size}" if top1 is None else f"{size}: {top1:.1f}%"

    cells = (
        f"[`{row.key}`]({row.source})",
        f"`{row.network}`",
        f"{row.parameters / 1e6:.1f} M",
        at(row.image_size, row.top1),
        at(row.test_image_size, row.test_top1),
        str(row.classes or "none"),
        row.licence or "not stated",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    (PACKAGE.parent / "docs" / "reference" / "weights.md").write_text(weights())
