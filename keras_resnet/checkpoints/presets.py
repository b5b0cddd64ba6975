"""KerasHub's presets of whole tasks, whose weights lie in two files: the backbone's and those of the classifier."""

import json
import os
from pathlib import Path
from typing import Any

from keras_resnet.checkpoints.formats.keras import KerasFile
from keras_resnet.checkpoints.formats.tensors import Array

BACKBONE, _HEAD, _TASK = "model.weights.h5", "task.weights.h5", "task.json"
_LARGEST_CONFIG = 1 << 24


def is_task_preset(path: str | os.PathLike[str]) -> bool:
    """Tells whether a path is that of one of both files of a task's preset."""
    file = Path(os.fsdecode(path))
    return file.name in (BACKBONE, _HEAD) and all(file.with_name(name).is_file() for name in (BACKBONE, _HEAD, _TASK))


class TaskPreset:
    """The tensors of both files of a preset, the classifier's and the backbone's. No file is kept open.

    Attributes:
        path: of the backbone's file.
        files: both, and the task's config.
        shapes: by name, sorted.
        dtypes: by name, sorted.
        config: of the task, in which that of the backbone is.
        by_layer: see `KerasFile`.
    """

    by_layer = False

    def __init__(self, backbone: KerasFile, head: KerasFile, config: dict[str, Any]) -> None:
        self.path = backbone.path
        self.files = tuple(backbone.path.with_name(name) for name in (BACKBONE, _HEAD, _TASK))
        self.config = config
        self._sources = {
            name: source for source in (head, backbone) for name in source.shapes if not name.startswith("optimizer/")
        }
        self.shapes = {name: self._sources[name].shapes[name] for name in sorted(self._sources)}
        self.dtypes = {name: self._sources[name].dtypes[name] for name in self.shapes}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "TaskPreset":
        """Opens the files that lie beside each other.

        Raises:
            ValueError: if one is damaged, or is not as KerasHub writes it; names it and says why.
            OSError: if one must not be read.
        """
        backbone, head, task = (Path(os.fsdecode(path)).with_name(name) for name in (BACKBONE, _HEAD, _TASK))
        try:
            if (size := task.stat().st_size) > _LARGEST_CONFIG:
                raise ValueError(f"it has {size} bytes, more than the config of any task")
            config = json.loads(task.read_text(encoding="utf-8"))
            if not isinstance(config, dict):
                raise ValueError("it is not a JSON object")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{str(task)!r}, the config of the task whose weights lie beside it: {error}.") from error
        return cls(KerasFile.open(backbone), KerasFile.open(head), config)

    def read(self, name: str) -> Array:
        """Reads a tensor; returns a new array."""
        return self._sources[name].read(name)
