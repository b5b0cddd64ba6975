"""Races of a benchmark: a process per contender, rounds in which each runs once, medians and ratios.

Imports no Keras: on Linux a process's peak memory counts from what its parent had.
"""

import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from keras_resnet.architecture.planner import plan
from keras_resnet.cli.benchmarking.contenders import CLASSES, OURS, PEERS, LeftOutError, Setting, variant_of
from keras_resnet.utils.progress import say, track, waiting

# Else the first of the processes would take most of a GPU's memory, and leave none to the others
_SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
_TAIL = 5  # lines
_QUICK = ("avx512_bf16", "avx512_vnni", "amx_bf16")  # arithmetic in bfloat16, in int8, and in tiles of bfloat16

BEFORE = f"{OURS[1]}, before"  # from another checkout of this package


@dataclass(frozen=True)
class Result:
    """What a contender did.

    Attributes:
        contender: its name.
        device: the accelerator that it ran on, or "cpu".
        seconds: the median of a call.
        images_per_second: at that median.
        ratio: how many times as fast as the baseline: the median over rounds.
        ratio_quartiles: the lower and the upper quartile of that.
        gmacs_per_second: billions of multiply-adds of the forward pass, at the median. Where libraries stride in other
            places, the same network costs more in one than in another.
        peak_bytes: the process's peak memory from its start on, not that of a GPU; None where the system does not count
            it.
        build_seconds: building the network and optimizing it, imports excluded.
        first_seconds: the first call, in which backends compile.
    """

    contender: str
    device: str
    seconds: float
    images_per_second: float
    ratio: float
    ratio_quartiles: tuple[float, float]
    gmacs_per_second: float
    peak_bytes: int | None
    build_seconds: float
    first_seconds: float


@dataclass(frozen=True)
class Race:
    """What came of one setting: results, and why others are left out, by contender."""

    setting: Setting
    baseline: str
    results: tuple[Result, ...]
    left_out: Mapping[str, str]
    versions: Mapping[str, str]


def contenders(peers: Sequence[str]) -> tuple[str, ...]:
    """Returns the contenders of a race against peers: ours first."""
    return (*OURS, *(name for peer in peers for name in PEERS[peer]))


def machine() -> dict[str, Any]:
    """Returns what the races run on: processor, cores that this process may use, Python.

    Of the instructions in `_QUICK` it says whether the processor has them, where the system tells.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = _cpuinfo()
    flags = told.get("flags", "").split()
    return {
        "processor": told.get("model name") or platform.processor() or platform.machine(),
        "instructions": {name: name in flags for name in _QUICK} if flags else {},
        "cores": cores,
        "python": platform.python_version(),
    }


def _cpuinfo() -> dict[str, str]:
    """What Linux says of its processors, by key; nothing elsewhere."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    return {field.strip(): value.strip() for field, _, value in (line.partition(":") for line in lines)}


def order(names: Sequence[str], turn: int) -> list[str]:
    """Returns the order of a round: another in each, so that none always follows the same."""
    return random.Random(turn).sample(sorted(names), k=len(names))


def compare(baseline: Sequence[float], times: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Returns median and quartiles of how many times as fast as the baseline, round by round."""
    low, median, high = np.quantile(np.divide(baseline, times), (0.25, 0.5, 0.75))
    return float(median), (float(low), float(high))


def race(setting: Setting, names: Sequence[str], runs: int, before: Path | None = None) -> Race:
    """Starts contenders one after another, then lets each run a sample a round.

    Contenders that cannot run, or die, are left out: all, if need be. No process outlives the call.

    Args:
        setting: what they do.
        names: of `contenders`.
        runs: how many rounds.
        before: another checkout of this package, whose optimized network runs, too, as `BEFORE`; it is the baseline.
    """
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        checkouts = dict.fromkeys(names) | ({BEFORE: before} if before else {})
        children = _start(setting, checkouts, stack, left_out)
        say(f"{runs} rounds, about {runs * sum(child.ready['sample_seconds'] for child in children.values()):.0f} s")
        for turn in track(range(runs), "measuring", runs, "rounds"):
            for name in order(list(children), turn):
                try:
                    children[name].sample()
                except LeftOutError as reason:
                    left_out[name] = str(reason)
                    del children[name]
    baseline = next((name for name in (BEFORE, "keras.applications", *OURS, *children) if name in children), "")
    return Race(
        setting,
        baseline,
        tuple(_result(setting, name, child, children[baseline]) for name, child in children.items()),
        left_out,
        {name: version for child in children.values() for name, version in child.ready["versions"].items()},
    )


def _start(
    setting: Setting, checkouts: Mapping[str, Path | None], stack: ExitStack, left_out: dict[str, str]
) -> dict[str, "_Child"]:
    """Contenders that are ready, by name; why others are left out."""
    children = {}
    for name, checkout in checkouts.items():
        try:
            with waiting(f"starting {name}"):
                children[name] = stack.enter_context(_child(name, setting, checkout))
            say(f"{name}: ready, first call {children[name].ready['first_seconds']:.1f} s")
        except LeftOutError as reason:
            left_out[name] = str(reason)
            say(f"{name}: left out, {reason}")
    return children


def _result(setting: Setting, name: str, child: "_Child", baseline: "_Child") -> Result:
    """What samples say."""
    seconds = statistics.median(child.times)
    ratio, quartiles = compare(baseline.times, child.times)
    side = setting.image_side
    cost = plan(variant_of(name, setting)).multiply_adds(side, side, CLASSES) * setting.batch
    return Result(
        contender=name,
        device=child.ready["device"],
        seconds=seconds,
        images_per_second=setting.batch / seconds,
        ratio=ratio,
        ratio_quartiles=quartiles,
        gmacs_per_second=cost / seconds / 1e9,
        peak_bytes=child.peak_bytes,
        build_seconds=child.ready["build_seconds"],
        first_seconds=child.ready["first_seconds"],
    )


@contextmanager
def _child(name: str, setting: Setting, checkout: Path | None) -> Iterator["_Child"]:
    """Lends a contender's process that is ready: of another checkout of this package, if there is one."""
    spec = json.dumps([OURS[1] if name == BEFORE else name, asdict(setting)])
    path = [*([str(checkout)] if checkout else []), *sys.path]  # it finds what we find
    with TemporaryFile() as errors:
        process = subprocess.Popen(  # -u: its last words come in their order
            [sys.executable, "-u", "-P", "-m", "keras_resnet.cli.benchmarking.worker", spec],
            env=_SHARED_GPU | os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield _Child(process, errors)
        finally:
            process.kill()
            process.communicate()  # unlike closing the pipes, it does not mind that nobody reads


class _Child:
    """A contender's process: what it said when it was ready, and its samples."""

    def __init__(self, process: Any, errors: IO[bytes]) -> None:
        self._process, self._errors = process, errors
        self.times: list[float] = []
        self.peak_bytes: int | None = None
        self.ready = self._answer()

    def sample(self) -> None:
        """Lets it run a sample.

        Raises:
            LeftOutError: if it died.
        """
        with suppress(BrokenPipeError):  # `_answer` says why
            print("go", file=self._process.stdin, flush=True)
        answer = self._answer()
        self.times.append(answer["seconds"])
        self.peak_bytes = answer["peak_bytes"]

    def _answer(self) -> dict[str, Any]:
        """The next line that it says, or why it is left out."""
        line = self._process.stdout.readline()
        if not line:
            raise LeftOutError(self._obituary())
        answer: dict[str, Any] = json.loads(line)
        if "left_out" in answer:
            raise LeftOutError(answer["left_out"])
        return answer

    def _obituary(self) -> str:
        """How it ended, and the last that it said."""
        status = self._process.wait()
        how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
        self._errors.seek(0)
        said = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return "\n".join([f"its process ended {how}", *said[-_TAIL:]])
