"""Child process that reads images for `keras_resnet.data.workers`; imports no Keras."""

import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_resnet.data.read import Reader
from keras_resnet.utils.errors import import_optional

Array = np.ndarray[Any, Any]


class Request(NamedTuple):
    """Images of one batch, or a part of them, and how they are read.

    Attributes:
        reader: how an image becomes an array.
        level: of the augmentation.
        files: the paths.
        seeds: for each image, of its augmentation.
    """

    reader: Reader
    level: str
    files: tuple[str, ...]
    seeds: tuple[tuple[int, ...], ...]

    def read(self) -> Array:
        """Returns the images, (N, height, width, channels)."""
        return np.stack(
            [read_one(self.reader, file, self.level, seed) for file, seed in zip(self.files, self.seeds, strict=True)]
        )


class Surroundings(NamedTuple):
    """What reading depends on besides the request, and a program may set."""

    folder: str | None  # None: it was deleted
    most_pixels: int | None
    truncated: bool

    @classmethod
    def here(cls) -> "Surroundings":
        """Those of this process."""
        limit, truncated = import_optional("PIL.Image").MAX_IMAGE_PIXELS, _files().LOAD_TRUNCATED_IMAGES
        try:
            return cls(os.getcwd(), limit, truncated)
        except FileNotFoundError:
            return cls(None, limit, truncated)

    def settle(self) -> None:
        """Makes this process have them."""
        if self != Surroundings.here():
            if self.folder is not None:
                os.chdir(self.folder)
            import_optional("PIL.Image").MAX_IMAGE_PIXELS = self.most_pixels
            _files().LOAD_TRUNCATED_IMAGES = self.truncated


def _files() -> Any:
    """Where Pillow reads files."""
    return import_optional("PIL.ImageFile")


def read_one(reader: Reader, picture: Any, level: str, seed: Sequence[int]) -> Array:
    """Returns an image as an array (height, width, channels), augmented by what a seed determines."""
    if level == "none":
        return np.asarray(reader(picture))
    return np.asarray(reader.augmented(picture, level, np.random.default_rng(seed)))


def main() -> None:
    """Answers each request on standard input, until that closes.

    A request is a pickled pair of `Surroundings` and `Request`. An answer is the pickled shape and type of the pixels,
    and after it the pixels; or the pickled exception.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print
    while True:
        try:
            surroundings, request = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):
            return
        try:
            surroundings.settle()
            pixels = request.read()
            answer = pickle.dumps((pixels.shape, pixels.dtype.str))
        except Exception as error:
            pixels, answer = np.empty(0, "uint8"), pickle.dumps(_sendable(error))
        try:
            answers.write(answer)
            answers.write(pixels.reshape(-1).view("uint8"))
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # what is left in the buffer goes nowhere


def _sendable(error: Exception) -> Exception:
    """An exception that the other process can raise."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
