"""Opens a weights file of any format, which its content tells, by path, prefix or key."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.checkpoints.download.archive import check_archive, extract
from keras_resnet.checkpoints.download.fetch import fetch
from keras_resnet.checkpoints.formats.keras import KerasFile, is_keras_file
from keras_resnet.checkpoints.formats.safetensors import SafetensorsFile, is_safetensors
from keras_resnet.checkpoints.formats.tensorflow.bundle import Bundle, is_checkpoint
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.formats.torch.file import TorchFile, is_torch_file
from keras_resnet.utils.errors import import_optional, near_path

_LARGEST_CONFIG = 1 << 24  # bytes; with the names of 21 000 classes, 1 << 21


class Source(Protocol):
    """The tensors of a file: what they are is known, the numbers are read when they are asked for."""

    path: Path
    shapes: dict[str, tuple[int, ...]]

    def read(self, name: str) -> Array:
        """Reads a tensor; returns a new array."""


def open_source(path: str | os.PathLike[str]) -> Source:
    """Opens a weights file.

    Args:
        path: a file of Keras (.keras, .weights.h5, .h5), PyTorch (.pth, .pt, .bin) or safetensors, whatever it is
            called, or the prefix of a checkpoint of TensorFlow's.

    Raises:
        ValueError: if it is of none of these formats, or damaged; names it and says why.
        OSError: if it can't be read.
    """
    for tell, reader in (
        (is_checkpoint, Bundle.open),
        (is_keras_file, KerasFile.open),
        (is_torch_file, TorchFile.open),
        (is_safetensors, SafetensorsFile.open),
    ):
        if tell(path):
            return reader(path)
    start = b""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            start = file.read(512)
        if start.startswith(b"PK") or b"ustar" in start:
            return TorchFile.open(path)  # says what is wrong with it
    raise ValueError(
        f"{os.fsdecode(path)!r} is not a weights file of Keras (.keras, .weights.h5, .h5), PyTorch or safetensors, nor "
        "a TensorFlow checkpoint, whose prefix must be passed ('model.ckpt' for 'model.ckpt.index')."
        + (f" It begins with {start[:24]!r}." if start else "")
    )


def download(row: Checkpoint, otherwise: str = "take another file") -> Path:
    """Returns the path of a published file, fetched unless it is in the cache.

    Raises:
        OSError: if it can't be had; says what else can be done.
        ImportError: if a library that reads it is missing; nothing was fetched.
    """
    if row.url.endswith(".safetensors"):
        import_optional("safetensors", "checkpoints")
    if row.member:  # a checkpoint of TensorFlow's
        import_optional("google_crc32c", "checkpoints")
    check = partial(check_archive, member=row.member) if row.member else open_source
    path = fetch(row.url, row.name, row.digest, otherwise=otherwise, check=check)
    return extract(path, row.member, row.member) if row.member else path


def open_named(source: str | os.PathLike[str], argument: str = "source", others: tuple[str | None, ...] = ()) -> Source:
    """Opens a weights file by its path, prefix or key; `others` is what else the argument may be.

    Raises:
        ValueError: if there is none, it is of no format that is read, or damaged.
        OSError: if it can't be read or downloaded.
    """
    rows = list_weights()
    if isinstance(source, str) and source in rows:
        return open_source(download(rows[source]))
    if exists(source):
        return open_source(source)
    if isinstance(source, str) and (urls := [row.key for row in rows.values() if row.url == source]):
        raise ValueError(
            f"`{argument}` must not be a URL; received the URL of published weights. Pass the key {urls[0]!r}."
        )
    known = [*filter(None, others), *rows]
    hint = near_path(source, known) if isinstance(source, (str, os.PathLike)) else ""
    raise ValueError(
        f"`{argument}` must be {''.join(f'{each!r}, ' for each in others)}the path of an existing weights file, the "
        "prefix of a TensorFlow checkpoint or a key of keras_resnet.list_weights(); "
        f"received {source!r}.{hint}"
    )


def exists(path: object) -> bool:
    """Whether there is a file, or a checkpoint of this prefix."""
    return isinstance(path, (str, os.PathLike)) and (os.path.isfile(path) or is_checkpoint(path))


def neighbour(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the `config.json` beside a file of Hugging Face's hub; {} where there is none.

    Raises:
        ValueError: if there is one that can't be read: it may say of the network what its tensors don't show.
    """
    config = Path(os.fsdecode(path)).with_name("config.json")
    try:
        if not config.is_file():
            return {}
        if (size := config.stat().st_size) > _LARGEST_CONFIG:
            raise ValueError(f"it has {size} bytes, more than the config of any network")
        found = json.loads(config.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{os.fsdecode(path)!r}: the config.json beside the file can't be read ({error}). It may state settings of "
            "the network, such as its activation. If it does not belong to these weights, move it away."
        ) from error
    return found
