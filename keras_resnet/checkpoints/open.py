"""Opens a weights file of any format, which its content tells, by path, prefix or key."""

import hashlib
import json
import os
import re
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from keras_resnet.checkpoints.catalogue import list_weights, meant, why_not
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.download.archive import check_archive, extract
from keras_resnet.checkpoints.download.fetch import fetch
from keras_resnet.checkpoints.folders import MERGE_DCP, OF_FLAX, weights_in
from keras_resnet.checkpoints.formats.keras import KerasFile, is_keras_file
from keras_resnet.checkpoints.formats.npz import NpzFile, is_npz
from keras_resnet.checkpoints.formats.safetensors import SafetensorsFile, is_safetensors
from keras_resnet.checkpoints.formats.tensorflow.bundle import Bundle, is_checkpoint
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.formats.torch.file import TorchFile, is_torch_file
from keras_resnet.checkpoints.presets import TaskPreset, is_task_preset
from keras_resnet.checkpoints.shards import Shards, index_of, is_index
from keras_resnet.utils.errors import import_optional, near_path

_BLOCK = 1 << 20
_PICKLE = re.compile(rb"\x80[\2-\5][\x95(\]})cX]")  # how pickles begin that are not PyTorch's
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
        path: a file of Keras (.keras, .weights.h5, .h5), PyTorch (.pth, .pt, .bin), safetensors or NumPy (.npz),
            whatever it is called, the index of shards of these or one of the shards, the prefix of a checkpoint of
            TensorFlow's, or a folder with one of all these in it.

    Raises:
        ValueError: if it is of none of these formats, or damaged; names it and says why.
        OSError: if it can't be read.
    """
    path = file_of(path)
    path = index_of(path) or path
    for tell, reader in (
        (is_checkpoint, Bundle.open),
        (is_task_preset, TaskPreset.open),
        (is_keras_file, KerasFile.open),
        (is_npz, NpzFile.open),
        (is_torch_file, TorchFile.open),
        (is_safetensors, SafetensorsFile.open),
        (is_index, Shards.open),
    ):
        if tell(path):
            return reader(path)
    start = b""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            start = file.read(512)
        if os.fsdecode(path).endswith(".distcp"):
            raise ValueError(
                f"{os.fsdecode(path)!r} is a part of a folder of torch.distributed.checkpoint. Run {MERGE_DCP}."
            )
        if os.fsdecode(path).endswith(".msgpack"):
            raise ValueError(f"{os.fsdecode(path)!r} {OF_FLAX}")
        if start.startswith(b"PK") or b"ustar" in start:
            return TorchFile.open(path)  # says what is wrong with it
        if start.startswith(b"version https://git-lfs."):
            raise ValueError(
                f"{os.fsdecode(path)!r} is a pointer of Git LFS in place of the file. Fetch the file: git lfs pull"
            )
        if _PICKLE.match(start):
            raise ValueError(
                f"{os.fsdecode(path)!r} is a plain pickle, which is not read: it may hold any program. In the program "
                "that wrote it, save the tensors with torch.save or safetensors."
            )
    raise ValueError(
        f"{os.fsdecode(path)!r} is not a weights file of Keras (.keras, .weights.h5, .h5), PyTorch, safetensors or "
        "NumPy (.npz), nor a TensorFlow checkpoint, whose prefix must be passed ('model.ckpt' for 'model.ckpt.index')."
        + (f" It begins with {start[:24]!r}." if start else "")
    )


def download(row: Checkpoint, otherwise: str = "take another file") -> Path:
    """Returns the path of a published file, fetched unless it is in the cache.

    Raises:
        OSError: if it can't be had, or has no address; says what else can be done.
        ImportError: if a library that reads it is missing; nothing was fetched.
    """
    if row.handle:
        raise OSError(
            f"{row.key!r} can't be downloaded, since its files lie at Kaggle, without an address of their own. Install "
            f"kagglehub (pip install kagglehub), call kagglehub.model_download({row.handle!r}) in Python, and pass the "
            "folder that it returns instead of the key."
        )
    if row.url.endswith(".safetensors"):
        import_optional("safetensors", "checkpoints")
    if row.member:  # a checkpoint of TensorFlow's
        import_optional("google_crc32c", "checkpoints")
    check = partial(check_archive, member=row.member) if row.member else open_source
    path = fetch(row.url, row.name, row.digest, otherwise=otherwise, check=check)
    return extract(path, row.member, row.member) if row.member else path


def open_named(source: str | os.PathLike[str], argument: str = "source", others: tuple[str | None, ...] = ()) -> Source:
    """Opens a weights file by its path, folder, prefix or key; `others` is what else the argument may be.

    Raises:
        ValueError: if there is none, it is of no format that is read, or damaged.
        OSError: if it can't be read or downloaded.
    """
    rows = list_weights()
    if isinstance(source, str) and source in rows:
        return open_source(download(rows[source]))
    if exists(source):
        try:
            source = file_of(source)
        except ValueError as error:
            raise ValueError(f"`{argument}`: {error}") from error
        return open_source(source)
    if isinstance(source, str) and source and (urls := [row.key for row in rows.values() if row.url == source]):
        raise ValueError(
            f"`{argument}` must not be a URL; received the URL of published weights. Pass the key {urls[0]!r}."
        )
    if isinstance(source, str) and (why := why_not(source)):
        raise ValueError(f"`{argument}`: {source!r} can't be loaded into a network here, since {why}.")
    hint = ""
    if isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        hint = near_path(source, [*get_close_matches(name.lower(), filter(None, others), 1), *meant(name)])
    raise ValueError(
        f"`{argument}` must be {''.join(f'{each!r}, ' for each in others)}the path of an existing weights file, the "
        "prefix of a TensorFlow checkpoint, a folder of one of these, or a key of keras_resnet.list_weights(); "
        f"received {source!r}.{hint}"
    )


def exists(path: object) -> bool:
    """Whether there is a file, a folder, or a checkpoint of this prefix."""
    return isinstance(path, (str, os.PathLike)) and (os.path.isfile(path) or is_checkpoint(path) or _is_folder(path))


def file_of(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Returns the weights file that a folder holds; what is no folder, as it is.

    Raises:
        ValueError: if the folder holds none or several; lists what is there.
    """
    return weights_in(path) if _is_folder(path) else path


def _is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a folder, and no prefix of a checkpoint beside it."""
    return os.path.isdir(path) and not is_checkpoint(path)


def files_of(source: Source) -> tuple[Path, ...]:
    """Returns the files that an open one is made of; of a TensorFlow checkpoint, the one with its data's checksums."""
    return tuple(map(Path, getattr(source, "files", (source.path,))))


def digest(source: Source) -> str:
    """Returns the SHA-256 of the files that an open one is made of."""
    found = hashlib.sha256()
    for path in files_of(source):
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    return found.hexdigest()


def neighbour(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the `config.json` beside a file of Hugging Face's hub; {} where there is none.

    Where it does not state means and deviations of pixels, those of a `preprocessor_config.json` are taken into it.

    Raises:
        ValueError: if there is one that can't be read: it may say of the network what its tensors don't show.
    """
    found = _read_object(path, "config.json")
    if found.keys() & {"pretrained_cfg", "mean", "std"}:
        return found
    return _scaling(_read_object(path, "preprocessor_config.json")) | found


def converters(path: str | os.PathLike[str]) -> tuple[dict[str, Any], ...]:
    """Reads the files beside KerasHub's weights that say how images are scaled; {} for one that is not there.

    Raises:
        ValueError: if there is one that can't be read.
    """
    return _read_object(path, "preprocessor.json"), _read_object(path, "image_converter.json")


def _scaling(processor: dict[str, Any]) -> dict[str, Any]:
    """What a `preprocessor_config.json` of transformers' states as `mean` and `std` of pixels in [0, 1]."""
    mean, deviation = processor.get("image_mean"), processor.get("image_std")
    if mean is None or deviation is None:
        return {}
    factor = processor.get("rescale_factor", 1 / 255)
    usual = {"do_normalize": True, "do_rescale": True, "do_flip_channel_order": False, "rescale_offset": False}
    differing = [key for key, value in usual.items() if processor.get(key) not in (None, value)]
    if not isinstance(factor, int | float) or not abs(255 * factor - 1) < 1e-6:
        differing.append("rescale_factor")
    if differing:  # what it computes, no means and deviations of pixels in [0, 1] describe
        mean = deviation = f"of preprocessor_config.json, {differing[0]}={processor[differing[0]]!r:.99}"
    return {"mean": mean, "std": deviation}


def _read_object(path: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """Reads the JSON object in a file beside another; {} where there is none."""
    config = Path(os.fsdecode(path)).with_name(name)
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
            f"{os.fsdecode(path)!r}: the {name} beside the file can't be read ({error}). It may state settings of "
            "the network, such as its activation. If it does not belong to these weights, move it away."
        ) from error
    return found
