"""Starts programs in processes of their own, several that train together too."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras

ROOT = Path(__file__).parents[2]
PROGRAM = ("-m", "tests.helpers.spread_training")
BACKEND = keras.backend.backend()


def environment(**changes: Any) -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": BACKEND, **{name: str(value) for name, value in changes.items()}}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def processes(arguments: list[str], count: int = 2) -> list[subprocess.Popen[str]]:
    """Starts a program in several processes, by what PyTorch's or JAX's launchers set."""
    port = free_port()
    started = []
    for rank in range(count):
        torch = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        jax = {"JOB_ADDRESSES": f"127.0.0.1:{port}", "NUM_PROCESSES": count, "PROCESS_ID": rank}
        of_jax = {f"KERAS_DISTRIBUTION_{name}": value for name, value in jax.items()}
        started.append(start(arguments, **(torch | address if BACKEND == "torch" else of_jax)))
    return started


def start(arguments: list[str], **changes: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(started: list[subprocess.Popen[str]], within: float = 240) -> list[tuple[int, str]]:
    """What processes ended with, and printed."""
    try:
        printed = [process.communicate(timeout=within)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, text) for process, text in zip(started, printed, strict=True)]
