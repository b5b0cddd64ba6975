"""Keras' files of weights: `.weights.h5`, `.keras` and the older `.h5`. Imports no Keras."""

import io
import json
import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_resnet.hdf5 import SIGNATURE, Hdf5, Parts
from keras_resnet.stored import Array, Stored

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"  # members of a .keras file
_LARGEST_CONFIG = 1 << 24
_MODEL, _OPTIMIZER = "model_weights", "optimizer_weights"  # groups of an older file that holds a whole model
_CHILDREN = {"layers", "_layer_checkpoint_dependencies"}  # groups of a model's layers; the second until Keras 2.13
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


class KerasFile:
    """The tensors of a file that Keras wrote: what they are is known, the numbers are read when they are asked for.

    They are named `layer/variable`, in a nested model `model/layer/variable`, and an optimizer's `optimizer/...`.
    The newer files number a layer's variables; by their shapes they are `kernel` and `bias`, or `gamma`, `beta`,
    `moving_mean` and `moving_variance`, or else stay numbers. Where they hold no layers' names, these are Keras'
    own (`conv2d_7`), as a nested model's always are. No file is kept open.

    Attributes:
        path: as it was given.
        shapes: by name, sorted.
        dtypes: by name, sorted; bfloat16, which NumPy lacks, is read as float32.
        config: the model's, from a `.keras` file.
    """

    def __init__(self, path: Path, tensors: dict[str, Stored], config: dict[str, Any] | None = None) -> None:
        self.path = path
        self.config = config
        self._tensors = dict(sorted(tensors.items()))
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        self.dtypes = {name: str(tensor.dtype) for name, tensor in self._tensors.items()}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "KerasFile":
        """Opens a file of any layout; a `.keras` file is read to its end, for its checksums.

        Args:
            path: the file; its name tells nothing.

        Raises:
            ValueError: if it is no such file, is damaged, or is not as Keras writes it; names it and says why.
            OSError: if it must not be read.
        """
        if not os.path.isfile(path):
            raise _error(path, "there is no such file")
        with open(path, "rb") as file, _named(path):
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return cls(Path(path), _tensors(file, 0, os.path.getsize(path)))
            if not zipfile.is_zipfile(file):
                raise ValueError("it is neither an HDF5 file nor a zip file")
            with zipfile.ZipFile(file) as archive:
                config = _config(archive, os.path.getsize(path))
                return cls(Path(path), _tensors(file, *_place(archive, file)), config)

    def read(self, name: str) -> Array:
        """Reads a tensor; returns a new array.

        Raises:
            ValueError: if the file now ends too early, or a bool is neither true nor false.
            KeyError: if there is none of this name in `shapes`.
        """
        tensor = self._tensors[name]
        with _named(self.path, f"{name!r} of "):
            return tensor.read(self.path)


def is_keras_file(path: str | os.PathLike[str]) -> bool:
    """Tells by content whether something is an HDF5 file, or a zip file with a model's weights."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            with zipfile.ZipFile(file) as archive:
                return _WEIGHTS in archive.namelist()
    except Exception:  # whatever zipfile and the file system raise
        return False


@contextmanager
def _named(path: str | os.PathLike[str], part: str = "") -> Iterator[None]:
    """Names what could not be read."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # whatever damage makes zipfile and json raise
        raise _error(path, " ".join(str(error).split()) or type(error).__name__, part) from error


def _error(path: str | os.PathLike[str], reason: str, part: str = "") -> ValueError:
    return ValueError(f"{part}{os.fsdecode(path)!r} can't be read as a file of Keras: {reason}.")


def _config(archive: zipfile.ZipFile, size: int) -> dict[str, Any]:
    """The configuration in a `.keras` file, all of whose members are checked."""
    times = Counter(archive.namelist())
    for name in (_CONFIG, _WEIGHTS, *times):
        if times[name] != 1:
            raise ValueError(f"its member {name!r} is there {times[name]} times")
    for info in archive.infolist():
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its member {info.filename!r} is compressed, and Keras compresses none")
    if sum(info.file_size for info in archive.infolist()) > size:
        raise ValueError("its members overlap")
    broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"its member {broken!r} is damaged")
    if archive.getinfo(_CONFIG).file_size > _LARGEST_CONFIG:
        raise ValueError(f"its {_CONFIG} is larger than any model's")
    config = json.loads(archive.read(_CONFIG))
    if not isinstance(config, dict):
        raise ValueError(f"its {_CONFIG} is no object")
    return config


def _place(archive: zipfile.ZipFile, file: io.BufferedReader) -> tuple[int, int]:
    """Where in a `.keras` file the HDF5 file begins, behind a header that zipfile has checked, and its size."""
    info = archive.getinfo(_WEIGHTS)
    file.seek(info.header_offset + 26)
    sizes = file.read(4)
    start = info.header_offset + 30 + int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little")
    return start, info.file_size


def _tensors(file: io.BufferedReader, start: int, size: int) -> dict[str, Stored]:
    """The tensors of an HDF5 file that is a part of a file, by name."""
    found = Hdf5(file, start, size)
    names = _names(found)
    if not names:
        raise ValueError("it holds no tensors")
    for name, times in Counter(names.values()).items():
        if times > 1:
            raise ValueError(f"{times} of its tensors would be {name!r}")
    return {name: found.tensors[path] for path, name in names.items()}


def _names(file: Hdf5) -> dict[Parts, str]:
    """Names for the tensors, by path."""
    if _lists_layers(file, ()):
        return _by_group(file.tensors)
    if not _lists_layers(file, (_MODEL,)):
        return _by_layer(file)
    weights = [path for path in file.tensors if path[0] == _MODEL]
    others = {path: (path[0].replace(_OPTIMIZER, "optimizer"), *path[1:]) for path in file.tensors if path[0] != _MODEL}
    return _by_group(weights, 1) | {path: "/".join(name).removesuffix(":0") for path, name in others.items()}


def _lists_layers(file: Hdf5, group: Parts) -> bool:
    """Whether a group is that of an older file's layers, of which it has a list, or the parts of a long one."""
    return file.has(group, "layer_names") or file.has(group, "layer_names0")


def _by_group(paths: Collection[Parts], above: int = 0) -> dict[Parts, str]:
    """Names in an older file, where below a layer's name there is a variable's whole path: `a/a/kernel:0`."""
    scopes = defaultdict(set)
    for path in paths:
        if len(path) < above + 2:
            raise ValueError(f"{'/'.join(path)!r} is in no layer")
        scopes[path[above]].add(path[above + 1 : -1])
    names = {}
    for path in paths:
        layer, scope, variable = path[above], path[above + 1 : -1], path[-1].removesuffix(":0")
        names[path] = "/".join((layer, *(scope[-1:] if len(scopes[layer]) > 1 else ()), variable))
    return names


def _by_layer(file: Hdf5) -> dict[Parts, str]:
    """Names in a newer file, whose paths are those of objects: a layer's own name is an attribute of its `vars`."""
    layers: defaultdict[Parts, dict[str, Stored]] = defaultdict(dict)
    for path, tensor in file.tensors.items():
        if path[-2:-1] != ("vars",):
            raise ValueError(f"{'/'.join(path)!r} is where Keras writes no tensor")
        layers[path[:-2]][path[-1]] = tensor
    given = {layer: file.text((*layer, "vars"), "name") for layer in layers if layer[:1] != ("optimizer",)}
    names = {}
    for layer, held in layers.items():
        scope = [part for part in layer if part not in _CHILDREN]
        if layer in given and all(given.values()):
            scope[-1:] = [str(given[layer])]
        variables = _variables(held) if layer in given else {}
        for number in held:
            names[*layer, "vars", number] = "/".join((*scope, variables.get(number, number)))
    return names


def _variables(held: dict[str, Stored]) -> dict[str, str]:
    """Names for a layer's variables, as far as their ranks tell them."""
    ranks = {number: len(tensor.shape) for number, tensor in held.items()}
    if ranks == dict.fromkeys("0123", 1):
        return dict(zip("0123", _NORM, strict=True))
    if ranks.get("0", 0) > 1 and ranks in ({"0": ranks["0"]}, {"0": ranks["0"], "1": 1}):
        return {"0": "kernel", "1": "bias"}
    return {}
