"""Keras' files of weights: `.weights.h5`, `.keras` and the older `.h5`."""

import io
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from keras_resnet.architecture.detect import models_of_config, scopes_of_models
from keras_resnet.architecture.plans import NORM_VARIABLES
from keras_resnet.checkpoints.formats.hdf5 import AGAIN, SIGNATURE, Hdf5, Parts
from keras_resnet.checkpoints.formats.tensors import Array, TensorSpec
from keras_resnet.checkpoints.formats.zips import Record, find_records, read_directory
from keras_resnet.utils.errors import damage_as_value_error

_KIND = "a file of Keras"
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"  # members of a .keras file
_LARGEST_CONFIG = 1 << 24
_ZIP = b"PK"
_SMALLEST_BLOCK = 512  # bytes that a user may put before an HDF5 file; others are this times a power of two
_MODEL, _OPTIMIZER = "model_weights", "optimizer_weights"  # groups of an older file that holds a whole model
_OF_TRANSFORMERS = re.compile(r"/(embedder|encoder/stages\.\d+)/")  # in the names of its classes for TensorFlow
_CHILDREN = {"layers", "_layer_checkpoint_dependencies"}  # groups of a model's layers; the second until Keras 2.13


class KerasFile:
    """The tensors of a file that Keras wrote: what they are is known, the numbers are read when they are asked for.

    They are named `layer/variable`, in a nested model `model/layer/variable`, and an optimizer's `optimizer/...`.
    The newer files number a layer's variables; by their shapes they are `kernel` and `bias`, or `gamma`, `beta`,
    `moving_mean` and `moving_variance`, or else stay numbers. Where they hold no layers' names, these are Keras'
    own (`conv2d_7`), as a nested model's are unless the config tells it. No file is kept open.

    Attributes:
        path: as it was given.
        shapes: by name, sorted.
        dtypes: by name, sorted; bfloat16, which NumPy lacks, is read as float32.
        config: the model's, from a `.keras` file or an older file of a whole model.
        by_layer: whether tensors have the name of their layer in the outermost model, as in the older files.
        order: the names of the tensors in the order in which an older file lists layers and their variables, which is
            that of the model; empty if a list is missing.
        scopes: what the tensors of a nested model have in front, by what a `.keras` file itself has there.
    """

    def __init__(
        self,
        path: Path,
        tensors: dict[str, TensorSpec],
        config: dict[str, Any] | None = None,
        *,
        by_layer: bool = False,
        order: tuple[str, ...] = (),
        scopes: dict[str, str] | None = None,
    ) -> None:
        self.path = path
        self.config = config
        self.by_layer = by_layer
        self.order = order
        self.scopes = scopes or {}
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
        with damage_as_value_error(_KIND, path):
            if not os.path.isfile(path):
                raise ValueError("there is no such file")
        with damage_as_value_error(_KIND, path), open(path, "rb") as file:
            start = _hdf5_start(file)
            if start == 0:
                found = Hdf5(file, 0, os.path.getsize(path))
                text = found.text((), "model_config", _LARGEST_CONFIG)
                group = next((each for each in ((), (_MODEL,)) if _lists_layers(found, each)), None)
                names = _names(found, {})
                return cls(
                    Path(path),
                    _tensors(found, names),
                    _object(text, "model_config") if text else None,
                    by_layer=group is not None,
                    order=() if group is None else tuple(_listed(found, group, names)),
                )
            if start is not None:
                raise ValueError(f"its HDF5 begins behind a user block of {start} bytes: {AGAIN}")
            config, weights = _members(file)
            models = models_of_config(config)
            scopes = {
                "/".join(model.place): scope.rstrip("/")
                for model, scope in zip(models, scopes_of_models(models), strict=True)
                if model.place
            }
            found = Hdf5(file, weights.start, weights.size)
            return cls(Path(path), _tensors(found, _names(found, scopes)), config, scopes=scopes)

    def read(self, name: str) -> Array:
        """Reads a tensor; returns a new array.

        Raises:
            ValueError: if the file now ends too early, or a bool is neither true nor false.
            KeyError: if there is none of this name in `shapes`.
        """
        tensor = self._tensors[name]
        with damage_as_value_error(_KIND, self.path, f"{name!r} of "):
            return tensor.read(self.path)


def by_transformers(library: str) -> str:
    """Says how weights of transformers' classes for TensorFlow ("tf") or Flax ("flax") become weights that load."""
    return (
        "With transformers 4, load them with ResNetForImageClassification.from_pretrained(folder, "
        f"from_{library}=True), and save them with save_pretrained, which writes a file that loads here"
    )


def is_keras_file(path: str | os.PathLike[str]) -> bool:
    """Tells by content whether something is an HDF5 file of any layout, or a zip file with a model's weights."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return _hdf5_start(file) is not None or _WEIGHTS in read_directory(file)
    except (OSError, ValueError):
        return False


def _hdf5_start(file: io.BufferedReader) -> int | None:
    """Finds where a file's HDF5 begins; None: it is none, or a zip, in which some may lie anywhere."""
    if file.read(len(_ZIP)) == _ZIP:
        return None
    start, size = 0, os.fstat(file.fileno()).st_size
    while start < size:
        file.seek(start)
        if file.read(len(SIGNATURE)) == SIGNATURE:
            return start
        start = max(2 * start, _SMALLEST_BLOCK)
    return None


def _members(file: io.BufferedReader) -> tuple[dict[str, Any], Record]:
    """Reads the configuration in a `.keras` file, finds its HDF5 file, and checks all members."""
    members = read_directory(file)
    records = find_records(file, members, (_CONFIG, _WEIGHTS, *members))
    for record in records.values():
        record.check(file)
    if records[_CONFIG].size > _LARGEST_CONFIG:
        raise ValueError(f"its {_CONFIG} is larger than any model's")
    return _object(records[_CONFIG].read(file, 0, records[_CONFIG].size), _CONFIG), records[_WEIGHTS]


def _object(text: str | bytes, name: str) -> dict[str, Any]:
    """Reads an object in JSON."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"its {name} is no object")
    return found


def _tensors(found: Hdf5, names: Mapping[Parts, str]) -> dict[str, TensorSpec]:
    """Finds the tensors of an HDF5 file by name."""
    for group in (), (_MODEL,):
        if found.text(group, "backend") == "theano":
            raise ValueError(
                "it was written with Theano, which turns the kernels of convolutions by 180 degrees: load and save it "
                "with a Keras of that time (2.0 to 2.3) that runs on TensorFlow"
            )
    if not names:
        raise ValueError("it holds no tensors")
    for name, times in Counter(names.values()).items():
        if times > 1:
            raise ValueError(f"{times} of its tensors would be {name!r}")
    return {name: found.tensors[path] for path, name in names.items()}


def _names(file: Hdf5, scopes: Mapping[str, str]) -> dict[Parts, str]:
    """Names the tensors, by path, with these scopes for the paths of nested models."""
    if _lists_layers(file, ()):
        if any(_OF_TRANSFORMERS.search("/".join(path)) for path in file.tensors):
            raise ValueError(
                f"it is of transformers' classes for TensorFlow, which are not read. {by_transformers('tf')}"
            )
        return _by_group(file.tensors)
    if not _lists_layers(file, (_MODEL,)):
        return _by_layer(file, scopes)
    weights = [path for path in file.tensors if path[0] == _MODEL]
    others = {path: (path[0].replace(_OPTIMIZER, "optimizer"), *path[1:]) for path in file.tensors if path[0] != _MODEL}
    return _by_group(weights, 1) | {path: "/".join(name).removesuffix(":0") for path, name in others.items()}


def _lists_layers(file: Hdf5, group: Parts) -> bool:
    """Whether a group is that of an older file's layers, of which it has a list, or the parts of a long one."""
    return file.has(group, "layer_names") or file.has(group, "layer_names0")


def _listed(file: Hdf5, group: Parts, names: Mapping[Parts, str]) -> list[str]:
    """Names an older file's tensors in the order of its lists; none, if a list is missing."""
    found: dict[str, None] = {}
    for layer in file.texts(group, "layer_names") or ():
        inside = (*group, *layer.split("/"))
        variables = file.texts(inside, "weight_names")
        if variables is None:
            return []
        for variable in variables:
            path = (*inside, *variable.split("/"))
            if path not in names:
                raise ValueError(f"it lists {variable!r:.99} in the layer {layer!r:.99}, where there is no such tensor")
            if names[path] in found:
                raise ValueError("it lists a tensor twice")
            found[names[path]] = None
    return list(found)


def _by_group(paths: Collection[Parts], above: int = 0) -> dict[Parts, str]:
    """Names those of an older file, where below a layer's name there is a variable's whole path: `a/a/kernel:0`."""
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


def _by_layer(file: Hdf5, scopes: Mapping[str, str]) -> dict[Parts, str]:
    """Names those of a newer file, whose paths are of objects: a layer's own name is an attribute of its `vars`."""
    layers: defaultdict[Parts, dict[str, TensorSpec]] = defaultdict(dict)
    for path, tensor in file.tensors.items():
        if path[-2:-1] != ("vars",):
            raise ValueError(f"{'/'.join(path)!r} is where Keras writes no tensor")
        layers[path[:-2]][path[-1]] = tensor
    given = {layer: file.text((*layer, "vars"), "name") for layer in layers if layer[:1] != ("optimizer",)}
    names = {}
    for layer, held in layers.items():
        scope = [part for part in layer if part not in _CHILDREN]
        if layer in given and all(given.values()):
            scope = [scopes.get(around, around)] if (around := "/".join(scope[:-1])) else []
            scope.append(str(given[layer]))
        variables = _variables(held) if layer in given else {}
        for number in held:
            names[*layer, "vars", number] = "/".join((*scope, variables.get(number, number)))
    return names


def _variables(held: dict[str, TensorSpec]) -> dict[str, str]:
    """Names a layer's variables, as far as their ranks tell them."""
    ranks = {number: len(tensor.shape) for number, tensor in held.items()}
    for names in NORM_VARIABLES.values():
        if ranks == {str(number): 1 for number in range(len(names))}:
            return {str(number): name for number, name in enumerate(names)}
    if ranks.get("0", 0) > 1 and ranks in ({"0": ranks["0"]}, {"0": ranks["0"], "1": 1}):
        return {"0": "kernel", "1": "bias"}
    return {}
