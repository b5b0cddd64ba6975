"""The command `completion`: a script by which a shell completes commands, options, files and names."""

import argparse
from typing import Any

from keras_resnet.architecture.rows import NETWORKS, builder_name
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.cli.parser import parser
from keras_resnet.utils.errors import import_optional

_FILES = ("data", "images", "target", "out", "png", "source", "model")


def run(args: argparse.Namespace) -> None:
    """Prints the script."""
    shtab = import_optional("shtab")
    commands: Any = parser()
    (choice,) = (action for action in commands._actions if action.dest == "command")
    choice.help = "command"  # which `--help` does without, and shtab completes by
    for action in (action for command in choice.choices.values() for action in command._actions):
        action.help = action.help.partition("\n")[0]
        if action.metavar in ("NETWORK", "PATTERN"):
            action.choices = [builder_name(network) for network in NETWORKS]
        elif action.dest == "weights":
            action.choices = ["imagenet", "none", *list_weights()]
        elif action.dest in _FILES:
            action.complete = shtab.FILE
    print(shtab.complete(commands, args.shell))
