"""Keeps what TensorFlow, absl and XLA log on standard error away from it, unless a user asks for their log."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from keras_resnet.utils.interrupts import uninterrupted

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_asked = os.environ.get(_LEVEL) == "0"  # Keras sets it to 1, and processes inherit that
os.environ.setdefault(_LEVEL, "3")  # what fails raises errors of Python as well


@contextmanager
def quiet_import() -> Iterator[None]:
    """Sends what C++ writes to standard error nowhere: TensorFlow logs before it reads the level, as it is imported."""
    kept = None
    if not (_asked or sys.stderr is None):
        with suppress(OSError):  # it is closed, as where a window shows what is written to sys.stderr
            kept = os.dup(2)
    if kept is None:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_tensorflow() -> None:
    """Imports TensorFlow, where that is installed, for commands in which Keras does on every backend."""
    with uninterrupted(), quiet_import(), suppress(ImportError):
        import_module("tensorflow")
