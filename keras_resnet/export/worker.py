"""Child process of an export, on the backend that writes the format: writes the file, and runs it there."""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.utils.recursion import recursion_limit

Run = Callable[[Any], Any]


def main(folder: Path) -> None:
    """Does what a folder's `request.json` asks for.

    Args:
        folder: holds also the model, `model.keras`, and batches of images, `images.npz`; gets `outputs0.npz` and so on,
            what the file makes of each batch.
    """
    request = json.loads((folder / "request.json").read_text())
    model = keras.models.load_model(folder / "model.keras", compile=False)
    batches = list(np.load(folder / "images.npz").values())
    model(batches[0], training=False)  # else Keras says that it was never called
    image = model.inputs[0]
    signature = keras.InputSpec(dtype=image.dtype, shape=request["shape"], name=image.name)
    model.export(
        request["path"],
        format={"saved_model": "tf_saved_model"}.get(request["format"], request["format"]),
        verbose=False,
        input_signature=[signature],
    )
    if request["format"] == "openvino":
        _drop_dead_ends(request["path"], len(keras.tree.flatten(model.output)))
    run = _RUNTIMES[request["format"]](request["path"], model)
    for index, batch in enumerate(batches):
        np.savez(folder / f"outputs{index}.npz", *run(batch))


def _drop_dead_ends(path: str, count: int) -> None:
    """Takes from a file of OpenVINO the outputs that the model has not.

    They are numbers that TensorFlow's graph computes and nothing reads, such as the lengths of axes in Keras' group
    norm; what a graph returns is called Identity.
    """
    core = import_module("openvino").Core()
    core.set_property({"ENABLE_MMAP": "NO"})  # for it is written over
    network = core.read_model(path)
    dead = [each for each in network.outputs if not any(name.startswith("Identity") for name in each.names)]
    if 0 < len(dead) == len(network.outputs) - count:
        for each in dead:
            network.remove_result(each.get_node())
        import_module("openvino").serialize(network, path)


def _onnx(path: str, model: keras.Model) -> Run:
    """Runs a file in ONNX Runtime."""
    session = import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def _openvino(path: str, model: keras.Model) -> Run:
    """Runs a file in OpenVINO."""
    precise = {"INFERENCE_PRECISION_HINT": "f32"}  # by default bfloat16, where the CPU has it
    compiled = import_module("openvino").Core().compile_model(path, "CPU", precise)
    return lambda images: compiled(images).values()


def _litert(path: str, model: keras.Model) -> Run:
    """Runs a file in LiteRT, or in TensorFlow's copy of it."""
    there = find_spec("ai_edge_litert")
    lite: Any = import_module("ai_edge_litert.interpreter") if there else import_module("tensorflow").lite
    interpreter = lite.Interpreter(path)
    call = interpreter.get_signature_runner()
    (name,) = call.get_input_details()

    def run(images: Any) -> list[Any]:
        found = call(**{name: images})  # by name, in any order: those of a dict, else output_0, output_1, ...
        names = sorted(found) if isinstance(model.output, dict) else [f"output_{index}" for index in range(len(found))]
        return [found[each] for each in names]

    return run


def _saved_model(path: str, model: keras.Model) -> Run:
    """Runs a folder in TensorFlow."""
    loaded = import_module("tensorflow").saved_model.load(path)  # `serve` alone would outlive its variables
    return lambda images: keras.tree.flatten(loaded.serve(images))


_RUNTIMES: dict[str, Callable[[str, keras.Model], Run]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "litert": _litert,
    "saved_model": _saved_model,
}

if __name__ == "__main__":
    try:
        with recursion_limit():
            main(Path(sys.argv[1]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:600]}")
