"""The weights file of a folder: as transformers and timm choose it, or the only one that lies there."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from keras_resnet.checkpoints.formats.keras import by_transformers
from keras_resnet.checkpoints.formats.tensorflow.bundle import is_checkpoint
from keras_resnet.checkpoints.presets import BACKBONE, is_task_preset
from keras_resnet.utils.errors import enumerate_some

# In the order in which `from_pretrained` of transformers and of timm's hub takes them.
_PREFERRED = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_WEIGHTS = re.compile(
    r".+\.(safetensors|bin|pth|pt|ckpt|ckpt-\d+|pth\.tar|keras|h5|hdf5)|.+\.(safetensors|bin)\.index\.json"
)
_ARRAYS = re.compile(r"[^.].*\.npz")  # mostly data; one alone may be weights
_SHARD = re.compile(r".+-\d+-of-\d+\.(safetensors|bin)|.+\.data-\d+-of-\d+")
# What Accelerate and the trainer of transformers leave beside the weights.
_STATE = re.compile(
    r"(optimizer|criterion|scheduler|sampler|scaler|dl_state_dict|rng_state|random_states|training_args|custom_checkpoint|"
    r"trainer_state|zero_pp_rank)(_.+)?\.\w+",
)
_SECOND = re.compile(r"(model|pytorch_model)_\d+\.(safetensors|bin)")  # Accelerate's, of a second network
_LATEST = re.compile(rb'model_checkpoint_path:[ \t]*"([^"\\\r\n]{1,255})"')
_FLAX = re.compile(r"flax_model(-\d+-of-\d+)?\.msgpack")
_BUNDLE = ".index"
_ENTRIES = 10_000  # of a folder that are looked at
_INNER = 100  # folders in it that are looked into
# What puts together the files of DeepSpeed, and of torch.distributed.checkpoint.
MERGE_ZERO = "run `python zero_to_fp32.py . weights` in the folder where DeepSpeed put this script, and pass weights"
MERGE_DCP = (
    "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER weights.pth`, and pass weights.pth"
)
OF_FLAX = f"is of transformers' classes for Flax, which are not read. {by_transformers('flax')}."
# Weights of many processes, which their own tools put together, by what is in the folder.
_PARALLEL = (
    (
        re.compile(r"(mp_rank_\d+_model_states|zero_pp_rank_.+_states)\.pt|global_step\d+|zero_to_fp32\.py"),
        "DeepSpeed",
        f"{MERGE_ZERO}; without ZeRO, or in its stages 1 and 2, mp_rank_00_model_states.pt holds them all: pass its "
        "path",
    ),
    (
        re.compile(r"(pytorch_)?model_fsdp_\d+"),
        "Accelerate's FSDP",
        "run `accelerate merge-weights pytorch_model_fsdp_0 merged`, and pass the folder merged",
    ),
    (
        re.compile(r".+\.distcp"),
        "torch.distributed.checkpoint",
        f"run {MERGE_DCP}",
    ),
)


def weights_in(folder: str | os.PathLike[str]) -> Path:
    """Returns the weights file in a folder: a file, an index of shards or the prefix of a TensorFlow checkpoint.

    Args:
        folder: of Hugging Face's hub, of a training script, or any with one weights file in it; the state of an
            optimizer, of random numbers and the like is none.

    Raises:
        ValueError: if there is none, or more than one and no known order tells which; lists what is there.
        OSError: if it must not be read.
    """
    path = Path(os.fsdecode(folder))
    names = _names(path)
    if "model.weights.json" in names:
        raise ValueError(
            f"{str(path)!r} is a folder with Keras' weights in several files (model.weights.json), which are not read. "
            "Load them with Keras, and save them as one file: model.save_weights('model.weights.h5')."
        )
    found = _candidates(path, names)
    if len(found) == 1:
        return path / found[0]
    if found:
        raise ValueError(
            f"{str(path)!r} is a folder with several weights files: {enumerate_some([*map(repr, found)])}. Pass the "
            f"path of one of them, such as {str(path / found[0])!r}."
        )
    for pattern, writer, advice in _PARALLEL:
        if part := next(filter(pattern.fullmatch, names), None):
            raise ValueError(
                f"{str(path)!r} is a folder of {writer} ({part!r} is in it), in which the weights may be divided "
                f"among processes, and which is not read. To put them together, {advice}."
            )
    if flax := next(filter(_FLAX.fullmatch, names), None):
        raise ValueError(f"{str(path / flax)!r} {OF_FLAX}")
    if shard := next((name for name in names if _SHARD.fullmatch(name)), None):
        raise ValueError(
            f"{str(path)!r} is a folder with parts of weights, such as {shard!r}, and without their index, which tells "
            "what they hold. Put the index and all parts into one folder."
        )
    inner = next(_inner(path, names), None)
    holds = f"It holds {enumerate_some([*map(repr, names)])}." if names else "It is empty."
    raise ValueError(
        f"{str(path)!r} is a folder without a weights file. {holds}"
        + (f" Did you mean {str(inner)!r}?" if inner else " Pass the path of a weights file.")
    )


def _names(path: Path) -> list[str]:
    """Returns the names in a folder, sorted."""
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in islice(entries, _ENTRIES + 1))
    if len(names) > _ENTRIES:
        raise ValueError(
            f"{str(path)!r} is a folder with more than {_ENTRIES} files. Pass the path of the weights file in it."
        )
    return names


def _candidates(path: Path, names: list[str]) -> list[str]:
    """Returns the names of the weights files in a folder: one, if something tells which it is."""
    files = [name for name in names if os.path.isfile(path / name)]
    if is_task_preset(path / BACKBONE):
        return [BACKBONE]
    second = [name for name in files if _SECOND.fullmatch(name)]
    for name in _PREFERRED:
        if name in files:
            return [name, *second]
    others = (_STATE, _SHARD, *(pattern for pattern, *_ in _PARALLEL))
    found = [name for name in filter(_WEIGHTS.fullmatch, files) if not any(each.fullmatch(name) for each in others)]
    prefixes = [name.removesuffix(_BUNDLE) for name in files if name.endswith(_BUNDLE) and is_checkpoint(path / name)]
    if "checkpoint" in files and (latest := _latest(path / "checkpoint")):
        numbered = [*prefixes, *(name for name in found if ".ckpt" in name)]
        if latest not in numbered:
            raise ValueError(
                f"{str(path)!r}: the file 'checkpoint' in this folder names the TensorFlow checkpoint {latest!r:.99}, "
                f"which is not there. Pass the path of a weights file."
            )
        prefixes, found = [latest], [name for name in found if name not in numbered]
    if not found and not prefixes and is_checkpoint(path / "variables" / "variables"):
        prefixes = [os.path.join("variables", "variables")]  # of a SavedModel
    arrays = list(filter(_ARRAYS.fullmatch, files))
    return sorted({*found, *prefixes}) or (arrays if len(arrays) == 1 else [])


def _latest(state: Path) -> str | None:
    """Returns the checkpoint of this folder that TensorFlow's file `checkpoint` names as the last; None if none."""
    with state.open("rb") as file:
        match = _LATEST.match(file.read(1024))
    name = match[1].decode("utf-8", "replace") if match else ""
    return re.split(r"[/\\]", name)[-1] or None


def _inner(path: Path, names: list[str]) -> Iterator[Path]:
    """Yields what in the folders of a folder could be meant, the last first."""
    folders = [path / name for name in reversed(names) if os.path.isdir(path / name)][:_INNER]
    snapshots = path / "snapshots"  # of the hub's cache
    if snapshots in folders:
        folders = [snapshots / name for name in _names(snapshots)[:_INNER]]
    for folder in folders:
        try:
            found = _candidates(folder, _names(folder))
        except (OSError, ValueError):
            continue
        if len(found) == 1:
            yield folder
        elif found:
            yield folder / found[-1]
