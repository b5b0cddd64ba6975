"""TensorFlow's checkpoints, of either format, read without TensorFlow."""

import os
from collections.abc import Callable, Iterable
from operator import itemgetter
from pathlib import Path

from keras_resnet.checkpoints.formats.tensorflow import v1, v2
from keras_resnet.checkpoints.formats.tensorflow.objects import GRAPH, LARGEST, layer_names
from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message
from keras_resnet.checkpoints.formats.tensorflow.table import Table, is_table
from keras_resnet.checkpoints.formats.tensors import Array, TensorSpec
from keras_resnet.utils.errors import damage_as_value_error, import_optional

_INDEX = ".index"
_KIND = "a TensorFlow checkpoint"

Numbers = Callable[[], bytes]  # reads those of a tensor


class Bundle:
    """The numeric tensors of a checkpoint: what they are is known, the numbers are read when they are asked for.

    No file is kept open. Of a V1 file the block read last is held: to read in the order of `shapes` is quickest.

    Attributes:
        path: as it was given.
        files: that which holds all names and checksums.
        shapes: by name, sorted; the variables of Keras' layers go by the names of these.
        dtypes: by name, sorted; bfloat16, which NumPy lacks, is read as float32.
    """

    def __init__(self, path: Path, files: tuple[str], tensors: Iterable[tuple[str, TensorSpec, Numbers]]) -> None:
        self.path = path
        self.files = files
        self._tensors = {name: (tensor, numbers) for name, tensor, numbers in sorted(tensors, key=itemgetter(0))}
        self.shapes = {name: tensor.shape for name, (tensor, _) in self._tensors.items()}
        self.dtypes = {name: str(tensor.dtype) for name, (tensor, _) in self._tensors.items()}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Bundle":
        """Opens a checkpoint.

        Args:
            path: the prefix of a V2 bundle, its `.index`, or a V1 file.

        Raises:
            ValueError: if it is no checkpoint, or is damaged; names it and says why.
            ImportError: if google-crc32c is missing, without which damage could pass for weights.
        """
        import_optional("google_crc32c", "checkpoints")
        with damage_as_value_error(_KIND, path):
            file = next(filter(is_table, _files(path)), None)
            if file is None:
                there = any(map(os.path.exists, _files(path)))
                raise ValueError("it does not end as one does" if there else "there is no such file")
            table = Table(file)
            key, value = next(iter(table), (None, memoryview(b"")))
            if key != b"":
                raise ValueError("it has no header")
            header, prefix = Message(value), file.removesuffix(_INDEX)
            if file == prefix:
                return cls(Path(os.fsdecode(path)), (file,), v1.tensors(table, header))
            tensors = list(v2.tensors(table, header, prefix))
            graph = v2.read_text(table, header, prefix, GRAPH, LARGEST)
            names = {} if graph is None else layer_names(graph, {name for name, *_ in tensors})
            return cls(
                Path(os.fsdecode(path)),
                (file,),
                ((names.get(name, name), tensor, numbers) for name, tensor, numbers in tensors),
            )

    def read(self, name: str) -> Array:
        """Reads a tensor and checks it; returns a new array.

        Raises:
            ValueError: if it is damaged, or was saved in slices; names it and the checkpoint, and says why.
            KeyError: if there is none of this name in `shapes`.
        """
        tensor, numbers = self._tensors[name]
        with damage_as_value_error(_KIND, self.path, f"{name!r} of "):
            return tensor.array(numbers())


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Tells by content whether something is a checkpoint, of V1 or V2; what can't be read is none."""
    try:
        return any(map(is_table, _files(path)))
    except OSError:
        return False


def _files(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Returns the files that may be the table of a checkpoint."""
    return os.fsdecode(path) + _INDEX, os.fsdecode(path)
