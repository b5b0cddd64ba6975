"""The command `benchmark`: races of real processes, against stand-ins for the libraries of PyTorch's."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet import cli
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET20, find_row
from keras_resnet.cli import benchmark
from keras_resnet.cli.benchmarking import contenders
from keras_resnet.cli.benchmarking.contenders import CLASSES, Setting
from keras_resnet.cli.benchmarking.race import Race, Result, compare, order, race

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
RESULT = Result("keras_resnet", "cpu", 0.5, 4.0, 1.5, (1.4, 1.7), 0.3, 10**9, 1.0, 2.0)
TINY = Setting("ResNet20", None, 2, 32, train=False, dtype="float32")

# A torchvision whose only network is ResNet20, one convolution; with channels_last it dies in its first round
TORCHVISION = """
import sys, types, torch
print("torchvision says hello")
__version__ = "0.0"

class Network(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.calls = torch.nn.Conv2d(3, num_classes, 8, 8), 0

    def forward(self, x):
        self.calls += 1
        if x.is_contiguous(memory_format=torch.channels_last) and self.calls == 4:
            sys.exit("the house is on fire")
        return self.conv(x).mean((2, 3))

models = types.SimpleNamespace(resnet20=Network)
"""
NO_TIMM = "import sys; sys.modules['timm'] = None"
BROKEN_HUB = "raise RuntimeError('operator missing\\nand more')"


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stand-ins, for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "torchvision.py").write_text(TORCHVISION)
    (folder / "keras_hub.py").write_text(BROKEN_HUB)
    (folder / "sitecustomize.py").write_text(NO_TIMM)
    return folder


@pytest.fixture(scope="module")
def printed(libraries: Path) -> Any:
    """What a race with all peers prints."""
    result = subprocess.run(
        [sys.executable, "-m", "keras_resnet", "benchmark", "--model", "ResNet20", "--batch=2", "--runs=2", "--json"],
        env=os.environ | {"PYTHONPATH": f"{libraries}{os.pathsep}{ROOT}", "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def started(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Every process that races of this test start."""
    processes = []
    popen: Callable[..., subprocess.Popen[str]] = subprocess.Popen

    def record(*arguments: Any, **keywords: Any) -> subprocess.Popen[str]:
        processes.append(popen(*arguments, **keywords))
        return processes[-1]

    monkeypatch.syspath_prepend(libraries)
    monkeypatch.setattr(subprocess, "Popen", record)
    return processes


def test_a_race_has_positive_numbers_for_every_contender(printed: Any) -> None:
    (done,) = printed["races"]
    results = {row["contender"]: row for row in done["results"]}
    assert list(results) == ["keras_resnet", "keras_resnet, optimized", "torchvision"]
    for row in results.values():
        numbers = {"seconds", "images_per_second", "ratio", "peak_bytes", "build_seconds", "first_seconds"}
        assert all(row[number] > 0 for number in numbers), row
        assert row["images_per_second"] == pytest.approx(2 / row["seconds"])
        assert row["ratio_quartiles"][0] <= row["ratio"] <= row["ratio_quartiles"][1]
    assert done["baseline"] == "keras_resnet"
    assert results["keras_resnet"]["ratio"] == 1
    speed = plan(RESNET20).multiply_adds(32, 32, CLASSES) * 2 / results["keras_resnet"]["seconds"] / 1e9
    assert results["keras_resnet"]["gmacs_per_second"] == pytest.approx(speed)
    assert results["torchvision"]["gmacs_per_second"] > 0
    assert results["torchvision"]["peak_bytes"] < results["keras_resnet"]["peak_bytes"], "it imports no Keras"
    assert printed["backend"] == "torch"
    assert {"keras", "torch", "torchvision"} == set(printed["versions"])
    assert printed["machine"]["cores"] > 0


def test_who_does_not_run_is_named_with_the_reason(printed: Any) -> None:
    left_out = printed["races"][0]["left_out"]
    assert left_out.pop("torchvision, channels_last").splitlines() == [
        "its process ended with status 1",
        "torchvision says hello",
        "the house is on fire",
    ]
    assert left_out == {
        "keras.applications": "has no ResNet20",
        "timm, channels_last": "not installed",
        "keras_hub": "has no ResNet20",
    }


def test_training_runs_and_leaves_no_process(started: list[subprocess.Popen[str]]) -> None:
    names = ("keras_resnet, optimized", "torchvision")
    done = race(Setting("ResNet20", "torch", 2, 32, train=True, dtype="bfloat16"), names, 1)
    assert [result.contender for result in done.results] == [*names], done.left_out
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_a_contender_that_dies_is_reported_with_its_last_words(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for code, said in {
        "import sys; print('hello'); sys.exit('fire')": "its process ended with status 1\nhello\nfire",
        "import os; os.kill(os.getpid(), 9)": "its process ended by SIGKILL",
    }.items():
        (tmp_path / "keras_hub.py").write_text(code)
        done = race(replace(TINY, network="ResNet18"), ("keras_hub",), 1)
        assert (done.results, done.left_out) == ((), {"keras_hub": said})
    assert all(process.poll() is not None for process in started)


def test_an_interrupt_leaves_no_process(started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        assert [process.poll() for process in started] == [None]
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_resnet.cli.benchmarking.race.order", interrupt)
    with pytest.raises(KeyboardInterrupt):
        race(TINY, ("torchvision",), 1)
    assert [process.poll() is not None for process in started] == [True]


def test_a_peer_that_cannot_be_imported_is_named_with_the_first_line(started: list[subprocess.Popen[str]]) -> None:
    done = race(replace(TINY, network="ResNet18"), ("keras_hub",), 1)
    assert done.left_out == {"keras_hub": "can't be imported: RuntimeError: operator missing"}
    assert len(started) == 1


def test_keras_hubs_networks_have_as_many_weights_as_ours() -> None:
    pytest.importorskip("keras_hub")
    for name in ("ResNet18", "ResNet50V2"):
        theirs = contenders._keras_hub(Setting(name, None, 1, 32, train=False, dtype="float32"))()
        ours = replace(find_row(name), lineage=LINEAGES["torch", find_row(name).version])
        assert theirs.count_params() == plan(ours).parameters(), name


def test_each_round_has_its_order_and_everyone_in_it() -> None:
    rounds = [order("abc", turn) for turn in range(20)]
    assert all(sorted(each) == list("abc") for each in rounds)
    assert len(set(map(tuple, rounds))) == 6
    assert order([], 3) == []


def test_multiply_adds_are_those_of_the_contenders_own_layout() -> None:
    setting = replace(TINY, network="ResNet50", style=None)
    assert {
        name: contenders.variant_of(name, setting).lineage.style for name in ("keras_resnet", "timm, channels_last")
    } == {
        "keras_resnet": "keras",
        "timm, channels_last": "torch",
    }


def test_networks_that_one_library_alone_lays_out_have_multiply_adds_too() -> None:
    for name, style in (("resnetv2_50x1_bit", "bit"), ("legacy_seresnet50", "senet_1x1"), ("seresnet50", "torch")):
        setting = replace(TINY, network=name, style=None)
        for contender in (*contenders.OURS, "timm, channels_last", "keras_hub"):
            assert contenders.variant_of(contender, setting).lineage.style == style


@pytest.mark.parametrize(
    "name", ["seresnet50", "resnet50d", "resnetaa50", "wide_resnet50_2", "resnext50_32x4d", "resnet50_gn"]
)
def test_what_keras_hub_has_not_is_left_out_and_no_other_network_timed(name: str) -> None:
    with pytest.raises(contenders.LeftOutError, match=f"has no {name}"):
        contenders._keras_hub(Setting(name, None, 1, 32, train=False, dtype="float32"))


def test_ratios_are_of_the_same_round() -> None:
    assert compare([1.0, 10.0, 4.0], [1.0, 2.0, 8.0]) == (1, (0.75, 3)), "of 1, 5, 0.5"
    assert np.allclose(compare([3.0], [2.0])[1], 1.5)


def test_what_cannot_be_run_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*_: object) -> Race:
        raise RuntimeError("it runs")

    monkeypatch.setattr(benchmark, "race", run)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    for arguments, said in {
        "--model resnet51": "Did you mean 'ResNet56' or 'ResNet50'",
        "--model ResNet18 ResNet51": "received 'ResNet51'",
        "--style tf": "`--style` must be one of 'keras', 'torch', 'torch_1x1', 'slim', 'keras_2016', 'keras_2018'",
        "--model ResNet50V2 --style torch_1x1": "received 'torch_1x1'",
        "--against torchvison": "Did you mean 'torchvision'",
        "--against keras_hub,none": "received 'none'",
        "--image-size 31": "`--image-size` must be 32 or more for ResNet50; received 31",
        f"--png {tmp_path}/no/chart.png": "must name a file in a folder that is there",
        f"--png {tmp_path}/chart.pdf": "must end in .png",
    }.items():
        assert cli.main(["benchmark", *arguments.split()]) == 1, arguments
        assert said in capsys.readouterr().err, arguments
    for arguments in ("--batch 0", "--runs 0", "--image-size 1.5", "--dtype float16"):
        with pytest.raises(SystemExit):
            cli.main(["benchmark", *arguments.split()])


def test_each_combination_is_a_race_with_defaults_that_suit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: list[tuple[Any, ...]] = []

    def run(setting: Setting, names: tuple[str, ...], runs: int) -> Race:
        settings.append((setting.network, setting.batch, setting.image_side))
        assert (names, runs) == (("keras_resnet", "keras_resnet, optimized", "timm, channels_last"), 15)
        results = (RESULT,) if setting.network != "ResNet34" else ()
        return Race(setting, "keras_resnet", results, {"timm, channels_last": "not installed"}, {"keras": "3"})

    monkeypatch.setattr(benchmark, "race", run)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert cli.main(["benchmark", "--model", "ResNet18", "ResNet20", "--against", "timm"]) == 0
    assert cli.main(["benchmark", "--model", "ResNet18", "ResNet20", "--against", "timm", "--train"]) == 0
    assert cli.main(["benchmark", "--batch-size", "1", "2", "--image-size", "32", "64", "--against", "timm"]) == 0
    sides = [("ResNet18", 8, 224), ("ResNet20", 8, 32), ("ResNet18", 16, 128), ("ResNet20", 16, 32)]
    assert settings == sides + [("ResNet50", batch, side) for batch in (1, 2) for side in (32, 64)]
    out = capsys.readouterr().out
    assert "ResNet20, training, batch 16, 32x32, float32" in out
    assert "left out: timm, channels_last: not installed" in out
    settings.clear()
    assert cli.main(["benchmark", "--model", "ResNet34", "ResNet18", "--against", "timm"]) == 0  # the next one runs
    assert cli.main(["benchmark", "--model", "ResNet34", "--against", "timm"]) == 1
    assert "No contender could run" in capsys.readouterr().err


def test_the_chart_is_a_png(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = (RESULT, replace(RESULT, contender="torchvision", ratio=1.5))
    done = Race(TINY, "torchvision", results, {}, {"keras": "3"})
    monkeypatch.setattr(benchmark, "race", lambda *_: done)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert cli.main(["benchmark", "--model", "ResNet20", "ResNet32", "--png", str(tmp_path / "ratios.png")]) == 0
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_section_of_the_report_is_replaced_and_the_others_stay(printed: Any) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "benchmarks.py"))
    replaced, names = script["replaced"], list(script["SECTIONS"])
    table = script["markdown"](printed)
    assert table.count("\n| ") == 4
    assert "| contender | ms | images/s | x keras_resnet | GMAC/s |" in table
    later = replaced("", "Machine: a.", names[1], "old\n")
    both = replaced(later, "Machine: a.", names[0], table)
    assert both.index(f"## {names[0]}\n\n| contender") < both.index(f"## {names[1]}\n\nold\n")
    assert replaced(both, "Machine: a.", names[1], "new\n") == both.replace("old\n", "new\n")
    with pytest.raises(SystemExit, match="another machine"):
        replaced(both, "Machine: b.", names[1], "new\n")
    assert "Machine: b." in replaced(later, "Machine: b.", names[1], "new\n")
