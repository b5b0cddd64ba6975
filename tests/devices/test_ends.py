"""A process that ends takes all others with it, each with a sentence, and the run goes on later."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.processes import PROGRAM, ROOT, ended, processes

pytestmark = pytest.mark.one_backend  # only PyTorch lets a process say so; JAX ends it
SAID = "The training ended, since another of its 2 processes did (this is the one with the number {}). What that one"


@pytest.mark.parametrize(("case", "who"), [("dies", 1), ("full disk", 0)])
def test_a_process_that_ends_ends_all(case: str, who: int, tmp_path: Path) -> None:
    begun = time.monotonic()
    found = ended(processes([*PROGRAM, str(tmp_path), "2", case]), within=60)
    assert time.monotonic() - begun < 60
    assert found[who][0] != 0
    status, text = found[1 - who]
    assert status != 0
    assert SAID.format(1 - who) in text.splitlines()[-1]
    if case == "full disk":
        assert "No space left on device" in found[0][1]


def test_the_command_starts_two_ends_with_both_and_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (16, 16, 3)).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    typed = (
        "train pictures --model ResNet20 --weights none --image-size 16 --batch-size 4 --devices 2 --out run --epochs"
    )
    command = [sys.executable, "-m", "keras_resnet", *typed.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "torch"}
    running = subprocess.Popen(
        [*command, "1000"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        for _ in range(600):
            time.sleep(0.1)
            if (tmp_path / "run" / "history.csv").is_file():
                break
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[1]), signal.SIGKILL)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 1
    lines = errors.splitlines()
    assert lines[0] == "backend: torch"
    assert lines.count("devices: 2 in 2 processes") == 1
    assert "Traceback" not in errors
    assert "keras-resnet: process 2 of 2 was killed (SIGKILL), which ended the training" in lines
    again = subprocess.run(
        [*command, "1", "--overwrite"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("model: run/model.keras\n")
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 2
