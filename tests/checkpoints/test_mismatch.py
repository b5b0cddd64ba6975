"""What a refusal says of a file: nothing that a look at it disproves, and no advice that leads to the next refusal."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import find_row
from keras_resnet.checkpoints.contents import choose_network, read_networks
from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.families.keras_hub import KERAS_HUB
from keras_resnet.checkpoints.families.tf_slim import SLIM
from keras_resnet.checkpoints.families.timm import TIMM_V2
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.models.inspection import find_network
from keras_resnet.models.weights.load import load_network

pytestmark = pytest.mark.one_backend
Shapes = dict[str, Shape]


class File:
    """An open file of ones."""

    path = Path("net.pth")

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = dict(sorted(shapes.items()))

    def read(self, name: str) -> Any:
        return np.ones(self.shapes[name], "float32")


def tensors(family: Family, network: str, style: str, classes: int | None) -> Shapes:
    """The shapes of a published network's tensors under a family's names."""
    row = find_row(network)
    layout = plan(replace(row, lineage=LINEAGES[style, row.version]))
    assert family.names
    names, found = family.names(layout), {}
    for conv in layout.convs():
        found[family.tensor(names[f"{conv.name}_conv"], "kernel")] = family.shape(conv.kernel_shape)
        if conv.bias:
            found[family.tensor(names[f"{conv.name}_conv"], "bias")] = (conv.filters,)
    for norm in layout.norms():
        found |= {family.tensor(names[norm.name], variable): (norm.channels,) for variable in norm.variables}
    if classes:
        found[family.tensor(names["predictions"], "kernel")] = family.shape((layout.channels, classes))
        found[family.tensor(names["predictions"], "bias")] = (classes,)
    return found


@cache
def build(call: str, style: str) -> Any:
    """What a message says that a file fits."""
    call = call if call.endswith(")") else f"{call}()"
    return eval(f"{call[:-1]}, weights=None, style={style!r})".replace("(, ", "("), {"keras_resnet": keras_resnet})


def load(model: keras.Model, shapes: Shapes) -> str | None:
    """Loads a file; returns what it says if it refuses."""
    try:
        found = choose_network(read_networks(File(shapes)))
        load_network(model, find_network(model, None), found, whole=True)
    except ValueError as error:
        return str(error)
    return None


def recommended(message: str) -> list[tuple[str, str]]:
    """The builders and styles that a message says to take."""
    found = []
    for call, styles in re.findall(r"(keras_resnet\.\w+(?:\([^)]*\))?) in style ((?:'\w+'(?: or )?)+)", message):
        found += [(call, style) for style in re.findall(r"\w+", styles.replace(" or ", " "))]
    return found


def matrices(shapes: Shapes, family: Family, width: int) -> list[str]:
    """Whatever could classify features of a width, outside of units."""
    return [
        name
        for name, shape in shapes.items()
        if not re.search(family.unit, name)
        and len([size for size in shape if size > 1]) == 2
        and [size for size in shape if size > 1][1 if family.transposed else 0] == width
    ]


def spoil(rng: np.random.Generator, shapes: Shapes, family: Family) -> Shapes:
    """Does one thing to a file's tensors that may happen to them."""
    separator, names = family.separator, sorted(shapes)
    end = {variable: f"{separator}{family.variables[variable]}" for variable in family.variables}
    some = [names[i] for i in rng.choice(len(names), 1 + rng.integers(3), replace=False)]
    place = family.place(next(name for name in rng.permutation(names) if family.place(name)))
    module = {name: name.rpartition(separator)[0] for name in names}
    kernels = {module[name] for name in names if len(shapes[name]) == 4}
    heads = {module[name] for name in names if not family.place(name) and not family.is_stem(name)}
    heads = {each for each in heads if f"{each}{end['moving_mean']}" not in shapes}
    top = [name for name in names if module[name] in heads]
    norm = [name for name in names if module[name] not in kernels | heads]

    def without(gone: Iterable[str]) -> Shapes:
        return {name: shape for name, shape in shapes.items() if name not in gone}

    def of_norms(*variables: str) -> list[str]:
        return [name for name in norm if name.endswith(tuple(end[variable] for variable in variables))]

    def moved(names: list[str], to: str) -> Shapes:
        return without(names) | {f"{to}{separator}{name.rpartition(separator)[2]}": shapes[name] for name in names}

    out = 0 if family.transposed else 3
    kinds: dict[str, Callable[[], Shapes]] = {
        "nothing": lambda: shapes,
        "cut": lambda: without(some),
        "headless": lambda: without(top),
        "without bias": lambda: without([name for name in top if len(shapes[name]) == 1]),
        "another head": lambda: moved(top, "species"),
        "wider": lambda: shapes | {name: tuple(2 * size for size in shapes[name]) for name in some},
        "renamed": lambda: without(some) | {f"{name}x": shapes[name] for name in some},
        "no norms": lambda: without(norm),
        "folded": lambda: (
            without(norm) | {f"{each}{end['bias']}": (shapes[each + end["kernel"]][out],) for each in kernels}
        ),
        "no statistics": lambda: without(of_norms("moving_mean", "moving_variance")),
        "no means": lambda: without(of_norms("moving_mean")),
        "not affine": lambda: without(of_norms("gamma", "beta")),
        "a unit less": lambda: without([name for name in names if family.place(name) == place]),
        "attention": lambda: shapes | {f"{module[some[0]]}.se.fc.weight": (4, 8)},
        "more": lambda: shapes | {f"{each}_more{end['kernel']}": (8, 8, 3, 3) for each in sorted(kernels)[:2]},
    }
    return kinds[str(rng.choice(list(kinds)))]()


FILES = [
    (TORCHVISION, "ResNet20", "torch"),
    (TORCHVISION, "ResNet18", "torch"),
    (TIMM_V2, "ResNet20V2", "torch"),
    (HUGGINGFACE, "ResNet18", "torch"),
    (HUGGINGFACE, "ResNet26", "torch_1x1"),
    (KERAS, "ResNet20", "keras"),
    (KERAS, "ResNet20V2", "slim"),
    (KERAS_HUB, "ResNet18", "torch"),
    (SLIM, "ResNet26", "slim"),
]


MODELS = [("ResNet20", "torch"), ("ResNet20V2", "keras"), ("ResNet20", "slim"), ("ResNet18", "torch")]


@pytest.mark.parametrize("seed", range(8))
def test_no_refusal_says_what_is_false_or_advises_what_is_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    name, style = MODELS[seed % len(MODELS)]
    for _ in range(12):
        family, network, laid_out = FILES[rng.integers(len(FILES))]
        shapes = spoil(rng, tensors(family, network, laid_out, (None, 7, 10, 1000)[rng.integers(4)]), family)
        said = load(build(f"keras_resnet.{name}(classes=7)", style), shapes)
        if said:
            check(said, shapes, family, name, style)


def check(said: str, shapes: Shapes, family: Family, name: str, style: str) -> None:
    """Raises unless what is said of a file is so."""
    for call, other in recommended(said):
        assert load(build(call, other), shapes) is None, said
    model = build(f"keras_resnet.{name}(classes=7)", style)
    ends = {name.rpartition(family.separator)[2] for name in shapes}
    statistics = {family.variables["moving_mean"], family.variables["moving_variance"]}
    if "The file has no classifier" in said:
        assert not matrices(shapes, family, model.get_layer("predictions").kernel.shape[0]), said
    for classes in re.findall(r"The file has (\d+) classes", said):
        assert load(build(f"keras_resnet.{name}(classes={classes})", style), shapes) is None, said
    for units in re.findall(r"The stages of the file have \(([^)]*)\)", said):
        places = {place for place in map(family.place, shapes) if place}
        counts = Counter(stage for stage, _ in sorted(places))
        assert [int(each) for each in re.findall(r"\d+", units)] == list(counts.values()), said
    if "no running statistics" in said or "The file has no norms" in said:
        assert not ends & statistics, said
    for variable in re.findall(r"no (moving_mean|moving_variance|gamma|beta)\b", said):
        vectors = {name for name, shape in shapes.items() if len(shape) == 1 and not family.is_bias(name)}
        vectors = {name for name in vectors if family.place(name) or family.is_stem(name)}
        assert not any(name.endswith(f"{family.separator}{family.variables[variable]}") for name in vectors), said
    if "The other tensors are there" in said:
        assert "\n  + " not in said
    if "All tensors of the model are there" in said:
        assert "\n  - " not in said


def resnet20(**more: Shape) -> Shapes:
    return tensors(TORCHVISION, "ResNet20", "torch", 10) | more


def test_causes_are_told_by_what_is_there() -> None:
    """Each kind that people meet, and no advice to do again what was refused."""
    whole = resnet20()
    norm = {name for name in whole if "bn" in name}
    stats = {name for name in whole if "running" in name}
    convs = {name: shape for name, shape in whole.items() if len(shape) == 4}
    head = {"fc.weight", "fc.bias"}

    def without(names: Iterable[str]) -> Shapes:
        return {name: shape for name, shape in whole.items() if name not in names}

    biases = {name.replace("weight", "bias"): shape[:1] for name, shape in convs.items()}
    for shapes, message in (
        (
            without(norm) | biases,
            "The file has no norms, but biases of convolutions, so the norms were probably folded",
        ),
        (without(norm), "The file has no norms, which all builders have"),
        (
            without(stats),
            "The norms in the file have no running statistics, as group norms, and other tensors than such networks",
        ),
        (without(norm - stats), "The norms in the file have no gamma and no beta, unlike those of all builders"),
        (without(head), "The file has no classifier. Pass include_top=False"),
        (
            without({"fc.bias"}) | {"fc.bias": (9,)},
            "The file's classifier, 'fc', is not a dense layer with weights and biases for 64 features",
        ),
        (
            without(head) | {f"{name}.weight": (5, 64) for name in ("mlp.0", "mlp.2")},
            r"Several matrices .*'mlp.0' \(5, 64\), 'mlp.2' \(5, 64\) .*Pass head='mlp.0' or .*, or include_top=False",
        ),
        (whole | {"layer1.0.conv1.weight_orig": (16, 16, 3, 3)}, "The file has the parameters of pruning"),
        (without({"layer3.2.bn2.weight"}), "The other tensors are there. Was the file cut"),
        (whole | {"layer1.0.gate.weight": (16, 16)}, "All tensors of the model are there. Those left over"),
    ):
        said = load(build("keras_resnet.ResNet20()", "torch"), shapes)
        assert said
        assert re.search(message, said.splitlines()[-1])
        assert not recommended(said)
    said = load(build("keras_resnet.ResNet20(classes=7)", "torch"), whole)
    assert said
    assert "The file has 10 classes. Pass classes=10" in said
