"""Child process of a benchmark: times one contender's calls and counts its memory."""

import json
import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from typing import Any, TextIO

from keras_resnet.cli.benchmarking.contenders import (
    Call,
    LeftOutError,
    Setting,
    library,
    of_torch,
    prepare,
    torch_device,
)

_SAMPLE = 0.1  # seconds that a sample takes at least, about


def main() -> None:
    """Builds the contender that the first argument describes, and times a sample for each line on standard input.

    Answers in lines of JSON on standard output: why it is left out, or that it is ready; then a line per sample.
    """
    answers = _answers()
    name, fields = json.loads(sys.argv[1])
    try:
        build = prepare(name, Setting(**fields))
    except LeftOutError as reason:
        print(json.dumps({"left_out": str(reason)}), file=answers, flush=True)
        return
    start = time.perf_counter()
    call = build()
    built = time.perf_counter()
    first = _seconds(call, 1)
    warm = min(_seconds(call, 1), _seconds(call, 1))
    count = ceil(_SAMPLE / warm)
    ready = {
        "build_seconds": built - start,
        "first_seconds": first,
        "sample_seconds": count * warm,
        "device": _device(name),
        "versions": {module: import_module(module).__version__ for module in _modules(name)},
    }
    print(json.dumps(ready), file=answers, flush=True)
    for _ in sys.stdin:  # until the pipe closes
        sample = {"seconds": _seconds(call, count) / count, "peak_bytes": _peak_bytes()}
        print(json.dumps(sample), file=answers, flush=True)


def _answers() -> TextIO:
    """Standard output for our answers alone: whatever libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _seconds(call: Call, count: int) -> float:
    """The time of so many calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start


def _peak_bytes() -> int | None:
    """The most memory that this process ever had, where the system counts it.

    Linux counts from what the parent had on starting it, so the parent should be small.
    """
    if not find_spec("resource"):
        return None
    resource: Any = import_module("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _modules(name: str) -> list[str]:
    """The modules that a contender runs on, and whose versions matter."""
    if of_torch(name):
        return ["torch", library(name)]
    if name == "openvino":
        return [name]
    backend = import_module("keras").backend.backend()
    return ["keras", backend, *(["keras_hub"] if name == "keras_hub" else [])]


def _device(name: str) -> str:
    """The accelerator that a contender runs on, else "cpu"."""
    if name == "openvino":
        return "cpu"
    module = _modules(name)[0 if of_torch(name) else 1]
    backend: Any = import_module(module)
    if module == "torch":
        device = torch_device(backend)
        return backend.cuda.get_device_name() if device == "cuda" else device
    if module == "jax":
        return str(backend.devices()[0].device_kind)
    found = backend.config.list_physical_devices("GPU")
    return backend.config.experimental.get_device_details(found[0]).get("device_name", "GPU") if found else "cpu"


if __name__ == "__main__":
    main()
