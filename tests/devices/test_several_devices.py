"""Several devices and processes come to what one device does with the same batches: weights, statistics, history.

The programs of `tests.helpers.spread_training` train; each runs once for all claims. They take both cores, and
`scripts/test` runs them beside nothing else.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.helpers.processes import PROGRAM, ended, processes, start
from tests.helpers.spread_training import BACKEND, CLIP

FITS = {"torch": ("everything", "accumulated", "recipe"), "jax": ("everything",), "tensorflow": ("everything",)}[
    BACKEND
]
FAULTS = {
    "torch": ("local norms", "unreduced gradients", "clipped before"),
    "tensorflow": ("local norms", "clipped before"),
    "jax": (),  # whose step is one program over the whole batch
}[BACKEND]
WAYS = {"torch": ("processes",), "tensorflow": ("devices",), "jax": ("devices", "processes")}[BACKEND]
CASES = {
    "one": (*FITS, "moved", "whole", "killed"),
    "processes": (*FITS, *(FAULTS if BACKEND == "torch" else ()), "whole", "killed", "resumed", "refused"),
    "devices": (*FITS, *FAULTS, "whole", "killed", "refused"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("devices")
    kept = {"DIR": folder / "compiled", "MIN_ENTRY_SIZE_BYTES": -1, "MIN_COMPILE_TIME_SECS": 0}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kept.items():  # a step that several trainings have is compiled once
            patch.setenv(
                f"JAX_COMPILATION_CACHE_{name}" if name == "DIR" else f"JAX_PERSISTENT_CACHE_{name}", str(value)
            )
        patch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
        yield folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Callable[[str], Path]:
    """Runs the programs, once, and returns the folder of what one came to."""
    begun: dict[str, list[subprocess.Popen[str]]] = {}

    def begin(way: str) -> None:
        (folder / way).mkdir()
        arguments = [*PROGRAM, str(folder / way), "1" if way == "one" else "2", *CASES[way]]
        if "resumed" in CASES[way]:
            of("one")
            shutil.copytree(folder / "one" / "half", folder / way / "half of others")
        begun[way] = processes(arguments) if way == "processes" else [start(arguments)]

    @cache
    def run(way: str) -> str:
        for each in {"one", "devices"} & {way, *WAYS} if way != "processes" else {way}:
            if each not in begun:  # one process on each core
                begin(each)
        return "\n".join(text for status, text in ended(begun[way]) if status)

    def of(way: str) -> Path:
        failure = run(way)
        assert not failure, failure
        return folder / way

    return of


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a case, and what else it tells."""
    with np.load(path) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("told")))


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The largest difference of some arrays, relative to the largest value of each."""
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max() / np.abs(one[name]).max()) for name in one)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", FITS)
def test_they_come_to_the_weights_and_history_of_one(way: str, case: str, trained: Callable[[str], Path]) -> None:
    expected, told = read(trained("one") / f"{case}-0.npz")
    found, also = read(trained(way) / f"{case}-0.npz")
    assert distance(expected, found) < 1e-5
    assert told["history"].keys() == also["history"].keys()
    for name, values in told["history"].items():
        np.testing.assert_allclose(also["history"][name], values, rtol=1e-5, err_msg=name)
    assert '"synchronized": true' not in also["config"]
    assert also["config"] == told["config"]


def test_the_claim_is_far_above_the_noise_and_the_clip_always_cuts(trained: Callable[[str], Path]) -> None:
    (one, told), (moved, _) = (read(trained("one") / f"{case}-0.npz") for case in ("everything", "moved"))
    assert 0 < distance(one, moved) < 3e-6
    if BACKEND == "torch":
        assert len(told["norms"]) == 10
        assert min(told["norms"]) > 2 * CLIP


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_would_be_seen(case: str, trained: Callable[[str], Path]) -> None:
    expected, _ = read(trained("one") / "everything-0.npz")
    found, _ = read(trained(WAYS[0]) / f"{case}-0.npz")
    assert distance(expected, found) > 1e-3


@pytest.mark.skipif("processes" not in WAYS, reason="TensorFlow has one process")
@pytest.mark.parametrize(
    "case", [*FITS, *(("local norms",) if BACKEND == "torch" else ()), "whole", "killed", "resumed"]
)
def test_all_processes_hold_the_same(case: str, trained: Callable[[str], Path]) -> None:
    (one, told), (other, also) = (read(trained("processes") / f"{case}-{rank}.npz") for rank in range(2))
    assert distance(one, other) == 0
    assert told.get("history") == also.get("history")


# Runs


@pytest.mark.parametrize("way", WAYS)
def test_a_run_of_several_is_that_of_one(way: str, trained: Callable[[str], Path]) -> None:
    expected, told = read(trained("one") / "whole-0.npz")
    found, also = read(trained(way) / "whole-0.npz")
    assert distance(expected, found) < 1e-5
    assert told == also
    rows = [(trained(each) / "whole" / "history.csv").read_text().splitlines() for each in ("one", way)]
    assert rows[0][0] == rows[1][0]
    numbers = [[[float(cell) for cell in row.split(",")] for row in each[1:]] for each in rows]
    np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-5)


@pytest.mark.parametrize("way", ["one", *WAYS])
def test_a_run_that_is_killed_goes_on_bit_by_bit(way: str, trained: Callable[[str], Path]) -> None:
    (whole, told), (killed, also) = (read(trained(way) / f"{case}-0.npz") for case in ("whole", "killed"))
    assert distance(whole, killed) == 0
    assert told == also


@pytest.mark.skipif("processes" not in WAYS, reason="TensorFlow has one process")
def test_a_run_goes_on_on_more_devices(trained: Callable[[str], Path]) -> None:
    expected, _ = read(trained("one") / "whole-0.npz")
    found, _ = read(trained("processes") / "resumed-0.npz")
    assert distance(expected, found) < 1e-5


@pytest.mark.parametrize("way", WAYS)
def test_what_can_not_be_is_refused_before_anything_is_written(way: str, trained: Callable[[str], Path]) -> None:
    for rank in range(2 if way == "processes" else 1):
        _, told = read(trained(way) / f"refused-{rank}.npz")
        assert not told["written"]
        assert told["said"][0].startswith("`batch_size` must be at least the number of devices, 2; received 1.")
        if way == "processes":
            assert told["said"][1] == "All 2 processes of a training must have the same images; they differ."


@pytest.mark.skipif("processes" not in WAYS, reason="TensorFlow has one process")
def test_one_process_prints_and_writes(trained: Callable[[str], Path]) -> None:
    folder = trained("processes")
    assert "2/2" not in (folder / "said-1.txt").read_text()
    assert (folder / "said-1.txt").read_text() == ""
    assert "val_accuracy" in (folder / "said-0.txt").read_text()
    model = keras.models.load_model(folder / "whole" / "model.keras", compile=False)
    assert model.output_shape == (None, 3)
