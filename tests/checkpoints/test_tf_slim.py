"""TF-Slim's checkpoints with moving averages, and those whose network lies in two scopes."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import SLIM_NETWORKS
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.families import tf_slim
from keras_resnet.checkpoints.names.renamed import Renamed, original
from keras_resnet.checkpoints.open import open_source
from tests.helpers.bounds import bounded
from tests.helpers.tf_writer import write_v1, write_v2

pytestmark = pytest.mark.one_backend
AVERAGE = "/ExponentialMovingAverage"
FIRST, SECOND = "FirstStageFeatureExtractor/resnet_v1_50/", "SecondStageFeatureExtractor/resnet_v1_50/"

Arrays = dict[str, Any]


def network(layout: Plan = plan(SLIM_NETWORKS["resnet_v1_50"])) -> Arrays:  # noqa: B008
    """A network's tensors below its scope, of one number each, and all another."""
    names = tf_slim.modules(layout)
    found = [f"{names[f'{conv.name}_conv']}/weights" for conv in layout.convs()]
    found += [f"{names[norm.name]}/{each}" for norm in layout.norms() for each in ("gamma", "beta", "moving_mean")]
    return {name: np.full((1, 1, 1, 1) if "weights" in name else (1,), i, "f4") for i, name in enumerate(found)}


def below(scope: str, arrays: Arrays, *parts: str) -> Arrays:
    return {f"{scope}{name}": array for name, array in arrays.items() if name.startswith(parts or "")}


def faster_rcnn(**more: Any) -> Arrays:
    held = network()
    first = below(FIRST, held, "conv1", "block1", "block2", "block3")
    return first | below(SECOND, held, "block4") | {"Conv/weights": np.ones((1, 1, 1, 1), "f4")} | more


@pytest.mark.parametrize("write", [write_v1, write_v2])
def test_averages_and_weights_change_places(write: Any, tmp_path: Path) -> None:
    weights = below("resnet_v1_50/", network())
    averaged = {f"{name}{AVERAGE}": array + 1000 for name, array in weights.items() if "moving" not in name}
    source = open_source(write(tmp_path / "model.ckpt", weights | averaged))
    (raw,) = read_networks(source)
    (smooth,) = read_networks(Renamed(source, tf_slim.averages(source.shapes)))
    assert smooth.tensors == raw.tensors
    for name, array in weights.items():
        own = name.removeprefix("resnet_v1_50/")
        assert raw.read(own) == array
        assert smooth.read(own) == array + (0 if "moving" in name else 1000)
    assert tf_slim.averages(["a/b", "x/ExponentialMovingAverage"]) == {"x": "x/ExponentialMovingAverage"}
    assert tf_slim.averages(["a/b"]) == {}


def test_averages_alone_are_the_network(tmp_path: Path) -> None:
    weights = below("resnet_v1_50/", network())
    averaged = {f"{name}{AVERAGE}": array for name, array in weights.items() if "moving" not in name}
    rest = {name: array for name, array in weights.items() if "moving" in name}
    source = open_source(write_v2(tmp_path / "model.ckpt", averaged | rest))
    (found,) = read_networks(source)
    assert (found.label, len(found.tensors)) == ("resnet_v1_50", len(weights))
    assert found.read("conv1/weights") == weights["resnet_v1_50/conv1/weights"]
    assert original(found.source, "resnet_v1_50/conv1/weights") == f"resnet_v1_50/conv1/weights{AVERAGE}"
    one = {"resnet_v1_50/conv1/weights": weights["resnet_v1_50/conv1/weights"]}  # a weight and its average
    source = open_source(write_v2(tmp_path / "some.ckpt", averaged | rest | one))
    assert tf_slim.only_averages(source) is source


def test_the_two_scopes_of_a_faster_rcnn_are_one_network(tmp_path: Path) -> None:
    slots = {f"{SECOND}block4/unit_1/bottleneck_v1/conv1/weights/Momentum": np.ones((1, 1, 1, 1), "f4")}
    (found,) = read_networks(open_source(write_v2(tmp_path / "model.ckpt", faster_rcnn(**slots))))
    assert found.label == FIRST[:-1]
    held = network()
    assert found.tensors.keys() == held.keys()
    assert all(found.read(name) == array for name, array in held.items())
    assert original(found.source, f"{FIRST}block4/unit_2/bottleneck_v1/conv1/weights").startswith(SECOND)
    averaged = {f"{name}{AVERAGE}": array for name, array in faster_rcnn().items()}
    (found,) = read_networks(open_source(write_v2(tmp_path / "averages.ckpt", averaged)))
    assert found.tensors.keys() == held.keys()


def test_each_part_alone_is_as_it_was(tmp_path: Path) -> None:
    for scope in FIRST, SECOND:
        alone = {name: array for name, array in faster_rcnn().items() if name.startswith(scope)}
        source = open_source(write_v2(tmp_path / "model.ckpt", alone))
        assert [found.scope for found in read_networks(source)] == [scope]
        assert tf_slim.joined(source) is source


OTHERS: dict[str, Arrays] = {
    "two of each block": below("a/net/", network()) | below("b/net/", network()),
    "a block of both": faster_rcnn() | below(SECOND, network(), "block3"),
    "a block of neither": {name: array for name, array in faster_rcnn().items() if "block3" not in name},
    "names that differ": below("a/one/", network(), "conv1", "block1", "block2") | below("a/two/", network(), "block3"),
    "three parts": faster_rcnn() | below("Third/resnet_v1_50/", network(), "block4"),
    "two stems": faster_rcnn() | below(SECOND, network(), "conv1"),
    "no stem": {name: array for name, array in faster_rcnn().items() if f"{FIRST}conv1" not in name},
    "one around all": below("", network(), "conv1", "block1") | below("a/", network(), "block2"),
    "one in the other": below("a/net/", network(), "conv1", "block1") | below("a/net/b/net/", network(), "block2"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_scopes_are_not_joined(case: str, tmp_path: Path) -> None:
    source = open_source(write_v2(tmp_path / "model.ckpt", OTHERS[case]))
    assert tf_slim.joined(source) is source


class Held:
    """An open file of these tensors."""

    path = Path("model.ckpt")

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.shapes = {name: array.shape for name, array in sorted(arrays.items())}

    def read(self, name: str) -> Any:
        return self.arrays[name]


def mutated(arrays: Arrays, rng: random.Random) -> Arrays:
    """The tensors, with some lost, in another scope or block, averaged, or there a second time."""
    found, extra = dict(arrays), 1e6
    for _ in range(rng.randrange(1, 4)):
        part = rng.choice(("block1/", "block3/", "block4/", "conv1/", "unit_2/", "BatchNorm", "weights", FIRST, SECOND))
        names = [name for name in found if part in name]
        names = rng.sample(names, len(names) if rng.randrange(2) else min(1, len(names)))
        old, new = rng.choice(
            [
                ("", ""),
                (FIRST, SECOND),
                (SECOND, FIRST),
                (FIRST, "Third/resnet_v1_50/"),
                (SECOND, "Second/net/"),
                ("block3", "block4"),
                ("block4", "block5"),
                (AVERAGE, ""),
                ("$", AVERAGE),
                ("$", "/Momentum"),
            ]
        )
        keep = rng.randrange(2)
        for name in names:
            array = found[name] if keep else found.pop(name)
            if old:
                extra += 1
                found[re.sub(old, new, name)] = np.full_like(array, extra) if keep else array
    return found


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_changed_every_tensor_is_that_of_its_name_or_the_file_is_refused(seed: int) -> None:
    """Of 50 files a seed, averages and weights never mix, nor do two scopes that hold the same block."""
    rng = random.Random(seed)
    taken = {"joined": 0, "averaged": 0, "refused": 0}
    whole = faster_rcnn()
    for _ in range(50):
        smooth = {f"{name}{AVERAGE}": array + 1000 for name, array in whole.items() if rng.random() < 0.9}
        arrays = mutated(whole | rng.choice([{}, smooth, {}]), rng)
        for averages in (False, True):
            try:
                with bounded(1 << 22):
                    networks = read_networks(Held(arrays), averages=averages)
            except ValueError as error:
                if "'model.ckpt'" not in str(error):
                    raise
                taken["refused"] += 1
                continue
            raw = [name for name in arrays if not name.endswith(AVERAGE)]
            alone = not any(f"{name}{AVERAGE}" in arrays for name in raw)
            for found in networks:
                for name in found.tensors:
                    file = original(found.source, f"{found.scope}{name}")
                    assert found.read(name) == arrays[file]
                    plain = file.removesuffix(AVERAGE)
                    assert (file != plain) is (f"{plain}{AVERAGE}" in arrays and (averages or alone))
                    taken["averaged"] += file != plain
                    if plain != f"{found.scope}{name}":  # of the second scope, whose blocks the first has not
                        scope, block = plain.removesuffix(name), name.partition("/")[0]
                        assert scope.endswith("resnet_v1_50/")
                        assert not any(each.startswith((f"{found.scope}{block}/", f"{scope}conv1/")) for each in arrays)
                        taken["joined"] += 1
    assert min(taken.values()) > 0, taken


def test_many_pairs_of_scopes_are_no_work() -> None:
    shapes = [f"{a}/net{i}/block{a}/unit_1/bottleneck_v1/conv1/weights" for i in range(4000) for a in "12"]
    source = Held(dict.fromkeys(shapes, np.zeros(1, "f4")))
    with bounded(1 << 24):
        assert tf_slim.joined(source) is source
