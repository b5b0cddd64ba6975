"""Exports a model to ONNX, SavedModel, OpenVINO or LiteRT, and compares the outputs there."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from keras_resnet.graph.data_format import to_data_format
from keras_resnet.graph.fold import fold_batch_norm
from keras_resnet.models.functional import Rewriter
from keras_resnet.utils.errors import check_choice, check_positive, near_path
from keras_resnet.utils.files import atomic_files

_CLOSE = 1e-4  # of the largest output
# Of images for a model of any size, so that it shows what an exporter took for constant; the second for a model whose
# branches don't add up on odd maps.
_SIDES = ((64, 64), (97, 80)), ((64, 64), (96, 128))
_ADVICE = " If the model takes images of any size, export it for one size: pass `image_size`."


@dataclass(frozen=True)
class _Format:
    """What a format needs."""

    suffix: str  # none: a folder
    backends: tuple[str, ...]  # that write it, the best first: from PyTorch OpenVINO's files lose shapes and names
    modules: tuple[str, ...] = ()  # that the backend or the check imports


FORMATS = {
    "onnx": _Format(".onnx", ("torch",), ("onnx", "onnxruntime")),
    "saved_model": _Format("", ("tensorflow",)),
    "openvino": _Format(".xml", ("tensorflow", "torch"), ("openvino",)),
    "litert": _Format(".tflite", ("tensorflow",)),
}
"""The formats that `export` writes, by name, each with its suffix and the backends that write it."""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Example:

        >>> from pathlib import Path
        >>> exported = keras_resnet.exporting.Exported((Path("resnet18.onnx"),), "torch", 4e-07)
        >>> exported.deviation < 1e-4, exported.paths[0].suffix
        (True, '.onnx')

    Attributes:
        paths: the file or folder; for OpenVINO the `.xml` and the `.bin` beside it.
        backend: the backend that wrote it.
        deviation: the largest deviation from the model's own outputs, as a share of the largest output.
    """

    paths: tuple[Path, ...]
    backend: str
    deviation: float

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        files = [file for path in self.paths for file in (path.rglob("*") if path.is_dir() else [path])]
        return sum(file.stat().st_size for file in files if file.is_file())


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str,
    overwrite: bool = False,
    image_size: int | tuple[int, int] | None = None,
) -> Exported:
    """Exports a model to ONNX, SavedModel, OpenVINO or LiteRT, and checks that its outputs there are the same.

    Example:

        model = keras_resnet.ResNet20()
        keras_resnet.exporting.export(model, "resnet20.onnx", "onnx").deviation  # 4e-07

        import onnxruntime

        session = onnxruntime.InferenceSession("resnet20.onnx")
        scores = session.run(None, {session.get_inputs()[0].name: images})

    Batch norms are folded first (`keras_resnet.fold_batch_norm`), layers of half or mixed precision become float32, and
    for TensorFlow, convolutions become channels_last. A separate process with the backend of the format writes the file
    and runs it in its runtime. It gets the model as a `.keras` file, so all layers must be Keras' own. The number of
    images in a batch stays variable; so do height and width, if they are in the model.

    Args:
        model: a functional or Sequential model with one image input and any outputs. It does not change.
        path: a file that ends in `.onnx`, `.xml` (OpenVINO, which also writes a `.bin`) or `.tflite` (litert), or a
            folder (saved_model).
        format: "onnx" (written by PyTorch), "saved_model" (TensorFlow), "openvino" (TensorFlow, or else PyTorch) or
            "litert" (TensorFlow).
        overwrite: whether an existing file or folder may be replaced.
        image_size: (height, width) in the file, or one int for both, for a model that takes images of any size. ONNX
            needs it if padding or pooling depend on the size, as in style "slim".

    Returns:
        An `Exported`: the files, and their largest deviation from the model's outputs for batches of 1 and 2. Of
        probabilities, the logarithms are compared.

    Raises:
        ValueError: if an argument is wrong, the backend cannot write the model, or the outputs deviate by more than
            1e-4 of the largest output. An existing file does not change.
        ImportError: if no backend that writes the format is installed, or its runtime is missing.
        OSError: if the file cannot be written; an existing file does not change.
    """
    target = Path(os.fsdecode(path)).absolute()
    backend = check_export(target, format, overwrite)
    shape = _input_shape(model, image_size)
    model = _in_float32(model)
    batches, expected = _examples(shape, model)
    with TemporaryDirectory() as folder, atomic_files(target) as part:
        folded = fold_batch_norm(model)
        if backend == "tensorflow" and any(_is_channels_first(layer) for layer in folded.layers):
            folded = to_data_format(folded, "channels_last")
        keras.Model(folded.inputs[0], folded.output, name=model.name).save(Path(folder, "model.keras"))
        np.savez(Path(folder, "images.npz"), *batches)
        request = {"format": format, "path": str(part), "shape": shape}
        Path(folder, "request.json").write_text(json.dumps(request))
        advice = _ADVICE if None in shape[1:] else ""
        _start(Path(folder), backend, format, advice)
        found = [list(np.load(Path(folder, f"outputs{index}.npz")).values()) for index in range(len(batches))]
        deviation = float(np.max([_deviation(*pair) for pair in zip(found, expected, strict=True)]))
        if not deviation <= _CLOSE:
            raise ValueError(
                f"The outputs of the {format} file deviate from the model's by {deviation:.1e} of the largest output, "
                f"and {_CLOSE:.0e} is allowed. {str(target)!r} was not written.{advice}"
            )
        check_export(target, format, overwrite)  # again: writing takes minutes
    return Exported(_paths(target, format), backend, deviation)


def check_export(path: str | os.PathLike[str], format: str, overwrite: bool = False) -> str:
    """Finds the backend that writes a format, before a model is built or trained for it.

    Example:

        >>> keras_resnet.exporting.check_export("resnet50.onnx", "onnx")
        'torch'

    Args:
        path: as for `export`.
        format: as for `export`.
        overwrite: as for `export`.

    Returns:
        The name of the backend.

    Raises:
        ValueError: if `export` would refuse the path or the format.
        ImportError: if no backend that writes the format is installed, or its runtime is missing.
    """
    check_choice("format", format, tuple(FORMATS))
    kind, path = FORMATS[format], Path(os.fsdecode(path))
    others = {".keras", *(each.suffix for each in FORMATS.values())} - {""}
    if path.suffix != kind.suffix and (kind.suffix or path.suffix in others):
        rule = f"end in {kind.suffix}" if kind.suffix else "be a folder, without the suffix of a file"
        raise ValueError(f"`path` must {rule} for format {format!r}; received {str(path)!r}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(
            f"`path` must lie in an existing folder; there is no folder {str(path.parent)!r}.{near_path(path.parent)}"
        )
    there = [each for each in _paths(path, format) if os.path.lexists(each)]
    for each in there:
        if not overwrite:
            raise ValueError(f"{str(each)!r} exists already. Pass overwrite=True, or another path.")
        folder = each.is_dir() and not (each / "saved_model.pb").is_file()
        if each.is_dir() == bool(kind.suffix) or folder or path not in there:  # a .bin without its .xml
            raise ValueError(
                f"{str(each)!r} exists and is not of format {format!r}, so it is not overwritten. Pass another path."
            )
    backend = next(filter(find_spec, kind.backends), None)
    if backend is None:
        ways = " or ".join(f"pip install 'keras3-resnet[{each}]'" for each in kind.backends)
        raise ImportError(f"Format {format!r} needs {' or '.join(kind.backends)}, which is not installed: {ways}")
    missing = [module for module in kind.modules if not find_spec(module)]
    if missing:
        raise ImportError(f"Format {format!r} needs {' and '.join(missing)}: pip install 'keras3-resnet[export]'")
    return backend


def _paths(path: Path, format: str) -> tuple[Path, ...]:
    """All that a format leaves."""
    return (path, path.with_suffix(".bin")) if format == "openvino" else (path,)


def _input_shape(model: keras.Model, image_size: int | tuple[int, int] | None) -> tuple[int | None, ...]:
    """The shape of the image input in the file."""
    shapes = [tuple(each.shape) for each in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            f"`model` must be functional or Sequential with one image input, (N, height, width, channels); {model!r} "
            f"takes {', '.join(map(str, shapes)) or 'unknown inputs'}."
        )
    sides = shapes[0][1:]
    if image_size is not None:
        both = image_size if isinstance(image_size, tuple) else (image_size, image_size)
        for side in both:
            check_positive("image_size", side)
        known = sides[1:] if _is_in_front(sides) else sides[:2]
        size = tuple(side if own is None else own for own, side in zip(known, both, strict=True))
        if None in sides and isinstance(image_size, tuple) and size != both:
            raise ValueError(
                f"`image_size` must be one that {model.name!r} takes, which takes images of {sides}; received "
                f"{image_size!r}."
            )
        if None not in sides:
            raise ValueError(
                f"`image_size` must be None for a model of fixed image size; {model.name!r} takes images of {sides}. "
                "Leave `image_size` out."
            )
        sides = (sides[0], *size) if _is_in_front(sides) else (*size, sides[2])
    return None, *sides


def _is_in_front(sides: Sequence[int | None]) -> bool:
    """Whether the channels of images, which are few, come before height and width."""
    front, _, last = sides
    return last is None or (front is not None and front < last)


def _in_float32(model: keras.Model) -> keras.Model:
    """Returns the model, or where layers compute in another precision, one with its weights that does not."""
    halves = any(_is_half(layer) for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))
    return _InFloat32().rewrite(model) if halves else model


def _is_half(layer: Any) -> bool:
    """Whether a layer computes in another precision than float32."""
    return isinstance(layer, keras.Layer) and "float" in layer.compute_dtype and layer.compute_dtype != "float32"


class _InFloat32(Rewriter):
    """Makes every layer one that computes in float32."""

    def make(self, layer: Any) -> Any:
        """Returns a layer of the same config, in float32."""
        if _is_half(layer):
            return type(layer).from_config(layer.get_config() | {"dtype": "float32"})
        return super().make(layer)


def _is_channels_first(layer: Any) -> bool:
    """Whether a layer is a convolution over maps that are channels_first."""
    return isinstance(layer, keras.layers.Conv2D) and layer.data_format == "channels_first"


def _examples(shape: Sequence[int | None], model: keras.Model) -> tuple[list[Any], list[list[Any]]]:
    """Batches of 1 and 2 images, and what the model makes of each."""
    usual, even = (_images(shape, model, sides) for sides in _SIDES)
    try:
        return usual, [_run(model, images) for images in usual]
    except ValueError:
        if None not in shape[1:]:
            raise
        return even, [_run(model, images) for images in even]


def _images(shape: Sequence[int | None], model: keras.Model, sides: Sequence[tuple[int, int]]) -> list[Any]:
    """Batches of 1 and 2 images, raw RGB if the model scales pixels."""
    rng, batches = np.random.default_rng(0), []
    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    raw = "int" in dtype or any(_scales(layer) for layer in model.layers)
    for count, free in enumerate(map(iter, sides), 1):
        full = (count, *(next(free) if each is None else each for each in shape[1:]))
        batches.append((rng.uniform(0, 255, full) if raw else rng.normal(0, 1, full)).astype(dtype))
    return batches


def _scales(layer: Any) -> bool:
    """Whether a layer, or one inside it, brings pixels to another range."""
    return isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization) or any(
        _scales(each) for each in getattr(layer, "layers", ())
    )


def _run(model: keras.Model, images: Any) -> list[Any]:
    """The model's own outputs, on the CPU: others round float32."""
    try:
        with keras.device("cpu"):
            found = keras.tree.flatten(model(images, training=False))
            return [np.asarray(keras.ops.convert_to_numpy(each), "float32") for each in found]
    except Exception as error:  # whatever layers say of such images
        raise ValueError(f"`model` must take images of the shape {images.shape}; running it failed: {error}") from error


def _start(folder: Path, backend: str, format: str, advice: str) -> None:
    """Has a process write and run the file; what it prints is shown only where it fails."""
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-m", "keras_resnet.export.worker", str(folder)],
        env=os.environ | hidden | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        errors="replace",
    )
    if process.returncode:
        lines = 1 if process.returncode == 1 else 3  # a Python error's reason is its last line
        last = "\n".join(process.stderr.strip().splitlines()[-lines:])
        raise ValueError(
            f"{backend} failed to write this model as {format} or to run the file (status {process.returncode})."
            f"{advice}\n{last}"
        )


def _deviation(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest difference, as a share of the output's largest value; of each output, then of all."""
    shapes = [each.shape for each in found], [each.shape for each in expected]
    if shapes[0] != shapes[1]:
        raise ValueError(f"The outputs of the file have the shapes {shapes[0]}, those of the model {shapes[1]}.")
    pairs = [_comparable(*pair) for pair in zip(found, expected, strict=True)]
    return float(np.max([np.abs(a - b).max() / (np.abs(b).max() or 1) for a, b in pairs]))


def _comparable(found: Any, expected: Any) -> tuple[Any, Any]:
    """Two outputs; their logarithms if they are probabilities, which hide from 1e-4 what is wrong with all but one."""
    if expected.ndim < 2 or expected.min() < 0 or not np.allclose(expected.sum(-1), 1, atol=1e-3):
        return found, expected
    sure = expected > 1e-30  # below, float32 has few digits
    logs = [np.where(sure, np.log(np.maximum(each, 1e-38)), 0) for each in (found, expected)]
    return logs[0], logs[1]
