"""The command `benchmark`: races of real processes, against stand-ins for the libraries of PyTorch's."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
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
from keras_resnet.cli.benchmarking import race as races
from keras_resnet.cli.benchmarking.contenders import CLASSES, Setting
from keras_resnet.cli.benchmarking.race import BEFORE, Race, Result, compare, order, race

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


def test_the_network_of_another_checkout_is_the_baseline(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There it is a stand-in, which says what it was asked for, and takes a second."""
    worker = tmp_path / "keras_resnet" / "cli" / "benchmarking" / "worker.py"
    worker.parent.mkdir(parents=True)
    for folder in worker.parents[:3]:
        (folder / "__init__.py").touch()
    worker.write_text(
        "import json, sys\n"
        "ready = dict(sample_seconds=1, build_seconds=1, first_seconds=1, device='cpu')\n"
        "print(json.dumps(ready | dict(versions=dict(old=sys.argv[1]))))\n"
        "for _ in sys.stdin: print(json.dumps(dict(seconds=1.0, peak_bytes=None)))\n"
    )
    done = race(TINY, ("torchvision",), 2, before=tmp_path)
    assert [result.contender for result in done.results] == ["torchvision", BEFORE], done.left_out
    assert done.baseline == BEFORE
    ours, before = done.results
    assert (ours.ratio > 1, before.ratio, before.seconds) == (True, 1, 1)
    assert json.loads(done.versions["old"]) == ["keras_resnet, optimized", asdict(TINY)]
    assert before.gmacs_per_second == pytest.approx(plan(RESNET20).multiply_adds(32, 32, CLASSES) * 2 / 1e9)


def test_openvino_runs_our_network_as_built(started: list[subprocess.Popen[str]]) -> None:
    pytest.importorskip("openvino")
    done = race(TINY, ("openvino",), 1)
    assert [(result.contender, result.device) for result in done.results] == [("openvino", "cpu")], done.left_out
    assert set(done.versions) == {"openvino"}
    assert contenders.variant_of("openvino", replace(TINY, network="ResNet50")).lineage.style == "keras"
    with pytest.raises(contenders.LeftOutError, match="does not train"):
        contenders.prepare("openvino", replace(TINY, train=True))


def test_the_machine_says_which_quick_arithmetic_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, instructions, text in (
        (
            {"model name": "A", "flags": "avx2 avx512_vnni"},
            {"avx512_bf16": False, "avx512_vnni": True, "amx_bf16": False},
            "no avx512_bf16, ",
        ),
        (
            {"model name": "B", "flags": "avx512_bf16 amx_bf16"},
            {"avx512_bf16": True, "avx512_vnni": False, "amx_bf16": True},
            "B, avx512_bf16, no avx512_vnni, amx_bf16, ",
        ),
        ({}, {}, ""),
    ):
        monkeypatch.setattr(races, "_cpuinfo", lambda told=told: told)
        assert races.machine()["instructions"] == instructions
        assert text in benchmark.describe_machine(races.machine(), [RESULT])
    assert "avx512" not in benchmark.describe_machine(races.machine(), [RESULT])
    assert ", H200, " in benchmark.describe_machine(races.machine(), [replace(RESULT, device="H200"), RESULT])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """scripts/benchmarks.py, which writes into an empty folder; its races take no time."""
    specification = importlib.util.spec_from_file_location("benchmarks", ROOT / "scripts" / "benchmarks.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "benchmarks", module)
    specification.loader.exec_module(module)
    for name in ("KERAS_BACKEND", *module.KEPT):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # as they were, afterwards
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def run(setting: Setting, names: tuple[str, ...], runs: int, before: Path | None) -> Race:
        assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "4294967296"
        assert os.environ["KERAS_BACKEND"] in module.BACKENDS
        names = (*names, BEFORE) if before else names
        results = tuple(replace(RESULT, contender=name) for name in names if name != "torchvision")
        return Race(setting, names[-1], results, {"torchvision": "not\ninstalled"}, {"keras": "3"})

    monkeypatch.setattr(module, "race", run)
    return module


def test_a_section_alone_updates_its_details_and_the_tables(script: Any, tmp_path: Path) -> None:
    script.main(["inference-torch", "training-torch"])
    first = {path.name: path.read_text() for path in (tmp_path / "benchmarks").iterdir()}
    assert set(first) == {"inference-torch.json", "training-torch.json"}
    details = json.loads(first["inference-torch.json"])
    assert details["command"] == (
        "MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=1073741824 "
        "MALLOC_TRIM_THRESHOLD_=4294967296 KERAS_BACKEND=torch "
        "python -m keras_resnet benchmark --model ResNet50 --against keras.applications,openvino,torchvision --json"
    )
    assert details["documents"][0]["versions"] == {"keras": "3"}
    text = (tmp_path / "BENCHMARKS.md").read_text()
    assert "| backend | contender | inference | training |\n| --- | --- | --- | --- |\n" in text
    assert "| torch | keras.applications | 500.0 (1.50) | 500.0 (1.50) |\n" in text
    assert "| torch | openvino | 500.0 (1.50) |  |\n" in text
    assert "\nLeft out of inference-torch, training-torch: torchvision: not; installed\n" in text
    assert "Details: [inference-torch](benchmarks/inference-torch.json), [training-torch](" in text
    assert "For which network?" not in text
    script.main(["training-jax"])
    assert first == {name: (tmp_path / "benchmarks" / name).read_text() for name in first}
    assert "| torch | keras.applications | 500.0 (1.50) | 500.0 (1.50) |\n" in (tmp_path / "BENCHMARKS.md").read_text()
    assert "| jax | keras.applications |  | 500.0 (1.50) |\n" in (tmp_path / "BENCHMARKS.md").read_text()


def test_every_section_is_in_a_table(script: Any, tmp_path: Path) -> None:
    script.main([])
    text = (tmp_path / "BENCHMARKS.md").read_text()
    assert [name for name in script.SECTIONS if f"[{name}](benchmarks/{name}.json)" not in text] == []
    assert text.count("\n## ") == len(script.QUESTIONS) == 4
    assert "\n| ResNet34 | 8 | 500.0 (1.50) | 500.0 (1.50) | 500.0 (1.50) |\n" in text
    assert "\n| tensorflow | ResNet50 | 8 | 320 | 500.0 (0) | 500.0 (0) |\n" in text
    assert "\n| jax | openvino | 500.0 (0) | 500.0 (0) |\n" in text
    assert text.count("Machine") == 1
    assert "Left out" not in text.partition("half precision")[2], "there torchvision is not shown"


def test_tables_say_which_machine_they_come_from(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, processor in (("inference-torch", "A"), ("inference-jax", "B"), ("inference-tensorflow", "A")):
        monkeypatch.setattr(races, "_cpuinfo", lambda processor=processor: {"model name": processor})
        script.main([name])
        text = (tmp_path / "BENCHMARKS.md").read_text()
        assert ("\nMachine: A, " in text) == (name == "inference-torch")
    assert "\nMachine of inference-torch, inference-tensorflow: A, " in text
    assert "\nMachine of inference-jax: B, " in text


def test_of_several_races_that_of_the_median_ratio_counts(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    several = iter([(0.3, 1.1), (0.1, 1.3), (0.2, 1.2)])

    def run(setting: Setting, *_: object) -> Race:
        seconds, ratio = next(several)
        results = tuple(
            replace(RESULT, seconds=seconds, contender=name, ratio=1 if name == "a" else ratio) for name in "ab"
        )
        return Race(setting, "a", results, {}, {})

    monkeypatch.setattr(script, "race", run)
    script.main(["inference-torch", "--races", "3"])
    text = (script.ROOT / "BENCHMARKS.md").read_text()
    assert "| torch | a | 200.0 (1.00) |" in text
    assert "| torch | b | 200.0 (1.20) |" in text


def test_a_comparison_with_another_checkout_is_printed_and_not_written(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old" / "keras_resnet").mkdir(parents=True)
    (tmp_path / "old" / "keras_resnet" / "__init__.py").touch()
    script.main(["growth-batch", "--before", str(tmp_path / "old")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| backend | network | batch | image side | precision | task | contender | ms |")
    assert [line.split(" | ")[6] for line in lines[2:4]] == ["keras_resnet, optimized", BEFORE]
    assert len(lines) == 2 + 5 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    for wrong in (["--before", str(tmp_path)], ["inference-numpy"], ["--races", "0"]):
        with pytest.raises(SystemExit):
            script.main(wrong)


def test_the_script_measures_no_other_checkout_than_its_own(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "benchmarks.py", tmp_path / "scripts")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-P", script, "--tables"], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (
        1,
        f"This would measure {ROOT / 'keras_resnet' / '__init__.py'}. Put {tmp_path} in PYTHONPATH.\n",
    )
    assert not (tmp_path / "BENCHMARKS.md").exists()


def test_the_report_is_what_its_details_make(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "ROOT", ROOT)
    assert (ROOT / "BENCHMARKS.md").read_text() == script.report(script.read()), "run scripts/benchmarks.py --tables"
    assert {path.name for path in (ROOT / "benchmarks").glob("*")} <= {f"{name}.json" for name in script.SECTIONS}


def test_what_the_command_prints_is_what_the_tables_read(script: Any, printed: Any) -> None:
    ((told, result), *_) = script.facts([printed])
    assert result.contender == "keras_resnet"
    assert told == {
        "backend": "torch",
        "network": "ResNet20",
        "batch": "2",
        "image side": "32",
        "task": "inference",
        "precision": "float32",
        "contender": "keras_resnet",
    }
