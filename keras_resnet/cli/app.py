"""Runs a command: chooses a backend, imports the command's module, makes errors sentences and exit statuses."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from importlib.util import find_spec
from io import StringIO, TextIOWrapper
from pathlib import Path

from keras_resnet.cli.parser import parser
from keras_resnet.cli.quiet import quiet_import
from keras_resnet.utils.errors import choice_error
from keras_resnet.utils.progress import say
from keras_resnet.utils.recursion import recursion_limit

_BACKENDS = ("jax", "tensorflow", "torch")
_WITHOUT_KERAS = ("list", "completion")  # commands that need no backend
# What Python, PyTorch, TensorFlow and JAX say
_OUT_OF_MEMORY = re.compile("MemoryError|out of memory|allocate memory|ResourceExhausted|RESOURCE_EXHAUSTED")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; what the user can mend ends in one sentence."""
    typed = sys.argv[1:] if argv is None else list(argv)
    if typed[:1] == ["help"]:
        typed = [*typed[1:], "--help"]
    commands = parser()
    args = commands.parse_args(typed, argparse.Namespace(typed=typed))
    if args.command is None:
        commands.print_help()
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Names of files may be of any bytes, and a log of both streams should keep their order
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        if args.command not in _WITHOUT_KERAS:
            backend = _choose_backend()
            if "TORCHELASTIC_RUN_ID" not in os.environ:  # one of several processes
                say(f"backend: {backend}")
        with quiet_import():
            command = import_module(f"keras_resnet.cli.{args.command}")  # only now that there is a backend
        with recursion_limit(), redirect_stdout(sys.stdout or StringIO()):  # None where it is closed
            command.run(args)
    except BrokenPipeError:  # `| head` has read enough; what Python still wants to write goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("RANK", "0") != "0":
            time.sleep(2)  # if the first process fails alike, it says so, and the launcher ends this one
        say(f"keras-resnet: {args.parser.in_options(str(error))}")
        return 1
    except Exception as error:
        if not _OUT_OF_MEMORY.search(f"{type(error).__name__}: {error}"):
            raise
        advice = "make --batch-size or --image-size smaller" if args.command == "train" else "free some of it"
        say(f"keras-resnet: out of memory; {advice}")
        return 1
    except KeyboardInterrupt:
        return 130  # as shells have it
    return 0


def _choose_backend() -> str:
    """The backend that KERAS_BACKEND names; else the one of Keras' own settings or the first that is installed."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        if chosen not in _BACKENDS:
            raise choice_error("KERAS_BACKEND", chosen, _BACKENDS)
        if not find_spec(chosen):
            raise ValueError(
                f"KERAS_BACKEND is {chosen!r}, which is not installed: pip install 'keras3-resnet[{chosen}]'"
            )
        return chosen
    settings = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
    configured = None
    if settings.is_file():
        with suppress(ValueError, AttributeError):  # a damaged file has no settings
            configured = json.loads(settings.read_text()).get("backend")
    for backend in sorted(_BACKENDS, key=lambda name: name != configured):
        if find_spec(backend):
            os.environ["KERAS_BACKEND"] = backend
            return f"{backend} (set KERAS_BACKEND to choose another)"
    raise ValueError("Keras needs a backend, and none is installed: pip install 'keras3-resnet[jax]'")
