"""Files of PyTorch whose modules go by other names: each loads as under torchvision's, or is refused."""

import dataclasses
import random
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.checkpoints.contents import choose_network, read_networks
from keras_resnet.checkpoints.names.plain_names import plain
from keras_resnet.checkpoints.names.renamed import original
from keras_resnet.models.inspection import find_network
from keras_resnet.models.weights.load import LoadReport, load_network
from keras_resnet.variants import RESNET18, RESNET20, RESNET50
from tests.helpers.bounds import bounded
from tests.helpers.nets import assert_close, assert_same_weights, randomise, run

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.one_backend
Arrays = dict[str, Any]

BASIC = dataclasses.replace(RESNET18, name="basic", units=(1, 2, 1, 1), widths=(4, 8, 12, 16), stem=Stem(7, 4))
DEEP = dataclasses.replace(RESNET50, name="deep", units=(2, 1, 1, 1), widths=(2, 3, 4, 5), stem=Stem(7, 6))
SMALL = dataclasses.replace(BASIC, name="small", stem=Stem(3, 4, 1, pool=False))
CIFAR = dataclasses.replace(RESNET20, name="cifar", units=(1, 2, 1), widths=(4, 8, 12), stem=Stem(3, 4, 1, pool=False))
ROWS = {row.name: row for row in (BASIC, DEEP, SMALL, CIFAR)}


class File:
    """An open file."""

    path = Path("net.pth")

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self.tensors = dict(sorted(tensors.items()))
        self.shapes = {name: tuple(value.shape) for name, value in self.tensors.items()}

    def read(self, name: str) -> Any:
        return np.array(self.tensors[name])


def build(row: Variant, top: bool = True, style: str = "torch", **more: Any) -> Any:
    side = 33 if row.image_side == 224 else 16
    top_of = {"classes": 5, "classifier_activation": None} if top else {"include_top": False, "pooling": "avg"}
    return keras_resnet.ResNet(row, input_shape=(side, side, 3), weights=None, style=style, **top_of | more)


@cache
def _built(row: Variant, top: bool) -> Any:
    return build(row, top)


def blank(row: Variant, top: bool = True) -> Any:
    """A model whose weights are all zero."""
    model = _built(row, top)
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    return model


def load(model: keras.Model, tensors: Mapping[str, Any], scope: str | None = None) -> LoadReport:
    found = choose_network(read_networks(File(tensors)), scope)
    return load_network(model, find_network(model, None), found, whole=True)


def refused(model: keras.Model, tensors: Mapping[str, Any], message: str) -> None:
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        load(model, tensors)
    assert all(map(np.array_equal, before, model.get_weights()))


def torchvision(model: keras.Model, folder: Path) -> Arrays:
    """A network's tensors under torchvision's names, and the counters that PyTorch has beside them."""
    keras_resnet.save_weights(model, folder / "net.pth")
    found = {name: value.numpy() for name, value in torch.load(folder / "net.pth", weights_only=True).items()}
    norms = [name for name in found if name.endswith("running_mean")]
    return found | {name.replace("running_mean", "num_batches_tracked"): np.array(7) for name in norms}


def modules(name: str) -> tuple[str, str]:
    """The first module of a name, and the rest."""
    first, _, rest = name.partition(".")
    return first, rest


def without_top(tensors: Arrays) -> Arrays:
    return {name: value for name, value in tensors.items() if not name.startswith("fc.")}


# How people write the networks whose names are known.


def numbered(tensors: Arrays, start: int = 0, gap: int = 2) -> Arrays:
    """`nn.Sequential(*children)`: `gap` modules without tensors stand between the stem's norm and the stages."""
    stages = sorted({modules(name)[0] for name in tensors if name.startswith("layer")})
    keys = {"conv1": start, "bn1": start + 1} | {stage: start + 2 + gap + i for i, stage in enumerate(stages)}
    keys["fc"] = start + 3 + gap + len(stages)
    return {f"{keys[modules(name)[0]]}.{modules(name)[1]}": value for name, value in tensors.items()}


def staged(pattern: str, first: int, stem: tuple[str, str] = ("conv1", "bn1")) -> Callable[[Arrays], Arrays]:
    """Stages and the stem's two modules under other names."""

    def change(tensors: Arrays) -> Arrays:
        found = {}
        for name, value in tensors.items():
            part, rest = modules(name)
            if part.startswith("layer"):
                part = pattern.format(int(part[5:]) - 1 + first)
            found[f"{ {'conv1': stem[0], 'bn1': stem[1]}.get(part, part) }.{rest}"] = value
        return found

    return change


def in_units(*pairs: tuple[str, str]) -> Callable[[Arrays], Arrays]:
    """Modules of units under other names."""

    def change(tensors: Arrays) -> Arrays:
        found = {}
        for name, value in tensors.items():
            head, inner = re.fullmatch(r"((?:layer\d+\.\d+\.)?)(.*)", name).groups()  # type: ignore[union-attr]
            for old, new in pairs if head else ():
                inner = re.sub(old, new, inner, count=1)
            found[head + inner] = value
        return found

    return change


def fastai(tensors: Arrays) -> Arrays:
    """The body and a head of two matrices, each in a Sequential."""
    head = {"1.2.weight": np.ones(8), "1.4.weight": np.ones((7, 8)), "1.8.weight": np.ones((5, 7))}
    return {f"0.{name}": value for name, value in numbered(without_top(tensors)).items()} | head


SHORTCUT = in_units(("^downsample", "shortcut"))
FUNCTION = in_units(
    (r"^conv(\d)", lambda match: f"residual_function.{3 * int(match[1]) - 3}"),  # type: ignore[arg-type]
    (r"^bn(\d)", lambda match: f"residual_function.{3 * int(match[1]) - 2}"),  # type: ignore[arg-type]
    ("^downsample", "shortcut"),
)
NAMINGS: dict[str, Callable[[Arrays], Arrays]] = {
    "children": numbered,
    "children behind others": lambda t: numbered(t, start=3),
    "children without modules between": lambda t: numbered(t, gap=0),
    "children without a pool": lambda t: numbered(t, gap=1),
    "children but the classifier": lambda t: numbered(without_top(t)),
    "fastai": fastai,
    "stages": staged("stage{}", 1),
    "stages from 2": staged("res{}", 2, ("stem.0", "stem.1")),
    "a list of stages": staged("stages.{}", 0),
    "a list of stages and a stem": staged("layers.{}", 0, ("stem.conv", "stem.bn")),
    "stem as a layer": staged("layer{}", 1, ("layer0.0", "layer0.1")),
    "stem in a body": staged("layer{}", 1, ("stem.conv1", "stem.bn1")),
    "stem in a Sequential of children": staged("{}", 1, ("0.0", "0.1")),
    "projections": SHORTCUT,
    "projections of a name of their own": in_units((r"^downsample\.0", "skip.conv"), (r"^downsample\.1", "skip.norm")),
    "functions": lambda t: staged("conv{}_x", 2, ("conv1.0", "conv1.1"))(FUNCTION(t)),
    "norms": in_units(("^bn", "norm")),
    "blocks of a convolution and its norm": in_units((r"^conv(\d)", r"conv\1.conv"), (r"^bn(\d)", r"conv\1.bn")),
    "shortcuts in numbered children": lambda t: numbered(SHORTCUT(t)),
}


@pytest.fixture(scope="module", params=list(ROWS))
def net(request: Any, tmp_path_factory: Any) -> tuple[Variant, Any, Arrays]:
    model = randomise(build(ROWS[request.param]))
    return ROWS[request.param], model, torchvision(model, tmp_path_factory.mktemp("net"))


def fresh(row: Variant, tensors: Mapping[str, Any]) -> tuple[Any, bool]:
    """A model that takes a file, and whether it has a classifier."""
    top = any(re.search(r"(^|\.)(fc|linear|\d+)\.bias$", name) and tensors[name].shape == (5,) for name in tensors)
    return blank(row, top), top


@pytest.mark.parametrize("naming", list(NAMINGS))
def test_a_network_under_other_names_has_the_same_weights(naming: str, net: tuple[Variant, Any, Arrays]) -> None:
    row, model, tensors = net
    named = NAMINGS[naming](tensors)
    if row.shortcut == "A" and naming == "functions":
        refused(blank(row), named, "holds no ResNet")  # nothing tells that it has shortcuts
        return
    prefix = random.Random(f"{naming} {row.name}").choice(["", "backbone.", "net.module."])
    other, top = fresh(row, named)
    report = load(other, {f"{prefix}{name}": value for name, value in named.items()})
    assert not report.left
    assert_same_weights(other, model if top else keras.Model(model.input, model.layers[-2].output), 0)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_bodies_cut_in_the_middle_load_into_fewer_stages(cut: int, net: tuple[Variant, Any, Arrays]) -> None:
    row, model, tensors = net
    keep = {name: v for name, v in tensors.items() if not re.match(rf"layer[{cut + 1}-9]|fc", name)}
    shorter = dataclasses.replace(row, name="cut", units=row.units[:cut], widths=row.widths[:cut])
    other = blank(shorter, top=False)
    load(other, {f"features.{name}": value for name, value in numbered(keep).items()})
    assert other.weights
    for weight in other.weights:
        theirs = next(each for each in model.weights if each.path == weight.path)
        np.testing.assert_array_equal(weight.numpy(), theirs.numpy())


WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_module")


@pytest.mark.parametrize("seed", range(4))
def test_wrappers_anywhere_change_nothing(seed: int, net: tuple[Variant, Any, Arrays]) -> None:
    rng = random.Random(seed)
    row, model, tensors = net
    named = NAMINGS[rng.choice(["stages", "projections", "children", "norms"])](tensors)
    prefix = rng.choice(["", "encoder.", "model.net."])
    around: dict[tuple[str, ...], list[str]] = {}

    def wrapped(name: str) -> str:
        parts = f"{prefix}{name}".split(".")
        found: list[str] = []
        for i, part in enumerate(parts):
            place = tuple(parts[:i])
            if place not in around:
                around[place] = rng.choices(WRAPPERS, k=rng.choice([0, 0, 0, 1, 2]))
            found += [*around[place], part]
        return ".".join(found)

    other = blank(row)
    mine = {wrapped(name): value for name, value in named.items()}
    mine["optimizer.param_groups.0.module.lr"] = np.ones(())
    report = load(other, mine)
    assert_same_weights(other, model, 0)
    source = plain(File(mine))
    assert {original(source, name) for name in source.shapes} == mine.keys()
    assert not report.left


def test_wrappers_in_front_of_a_network_are_its_scope(net: tuple[Variant, Any, Arrays]) -> None:
    row, model, tensors = net
    found = {f"_orig_mod.module.{name}": value for name, value in tensors.items()}
    inside = {name.replace("layer1.0", "layer1._orig_mod.0"): value for name, value in found.items()}
    for each in (found, inside):
        assert [network.label for network in read_networks(File(each))] == ["_orig_mod.module"]
        other = blank(row)
        load(other, each, "_orig_mod.module")
        assert_same_weights(other, model, 0)


def test_a_copy_under_unknown_names_does_not_make_it_two_networks(net: tuple[Variant, Any, Arrays]) -> None:
    """`self.features = nn.Sequential(*self.resnet.children())`: both are in the file, and loaded as before."""
    row, model, tensors = net
    both = {f"resnet.{name}": value for name, value in tensors.items()}
    both |= {f"features.{name}": value for name, value in numbered(tensors).items()}
    other = blank(row)
    load(other, both)
    assert_same_weights(other, model, 0)


def test_where_two_tensors_would_have_one_name_neither_is_picked(net: tuple[Variant, Any, Arrays]) -> None:
    row, _, tensors = net
    one = "layer1.0.conv1.weight"
    refused(
        build(row), tensors | {"layer1.module.0.conv1.weight": tensors[one] * 2}, r"\+ layer1.module.0.conv1.weight"
    )
    wrapped = {name.replace("layer1.0", "layer1.module.0"): value for name, value in tensors.items()}
    twice = wrapped | {"layer1._orig_mod.0.conv1.weight": tensors[one] * 2}
    refused(blank(row), twice, r"\+ layer1\.(module|_orig_mod)\.0\.conv1\.weight")


# Networks of other projects, by their own forward.


def convolved(inputs: int, filters: int, kernel: int, stride: int = 1) -> Any:
    return nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)


class Normed(nn.Conv2d):  # type: ignore[misc, name-defined]
    """detectron2's convolution, which has its norm."""

    def __init__(self, inputs: int, filters: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, filters, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, x: Any) -> Any:
        return self.norm(super().forward(x))


class Unit(nn.Module):  # type: ignore[misc, name-defined]
    """A residual unit; `chain` are its convolutions' channels in, out, kernel and stride."""

    def __init__(self, kind: str, chain: list[tuple[int, int, int, int]]) -> None:
        super().__init__()
        stride = int(np.prod([each[3] for each in chain]))
        inputs, filters = chain[0][0], chain[-1][1]
        self.kind, self.count = kind, len(chain)
        self.shortcut: Any = nn.Sequential()
        projects = stride > 1 or inputs != filters
        if kind == "function":
            layers: list[Any] = []
            for each in chain:
                layers += [convolved(*each), nn.BatchNorm2d(each[1]), nn.ReLU()]
            self.residual_function = nn.Sequential(*layers[:-1])
        for i, each in enumerate(chain, 1) if kind != "function" else ():
            setattr(self, f"conv{i}", Normed(*each) if kind == "norm" else convolved(*each))
            if kind == "pairs":
                setattr(self, f"bn{i}", nn.BatchNorm2d(each[0 if kind == "preact" else 1]))
        if projects and kind == "norm":
            self.shortcut = Normed(inputs, filters, 1, stride)
        elif projects:
            self.shortcut = nn.Sequential(convolved(inputs, filters, 1, stride), nn.BatchNorm2d(filters))

    def forward(self, x: Any) -> Any:
        y = x
        if self.kind == "function":
            y = self.residual_function(x)
        for i in range(1, self.count + 1) if self.kind != "function" else ():
            y = getattr(self, f"conv{i}")(y)
            y = getattr(self, f"bn{i}")(y) if self.kind == "pairs" else y
            y = torch.relu(y) if i < self.count else y
        return torch.relu(y + self.shortcut(x))


class Theirs(nn.Module):  # type: ignore[misc, name-defined]
    """A whole classifier: stem and stages under their names."""

    def __init__(self, row: Variant, kind: str, stem: dict[str, Any], stages: str, first: int, top: str) -> None:
        super().__init__()
        self.order = list(stem)
        for name, module in stem.items():
            setattr(self, name, module)
        assert row.stem
        channels = row.stem.width
        for stage, (count, width) in enumerate(zip(row.units, row.widths, strict=True)):
            units = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                chain = [(channels, width, 3, stride), (width, width, 3, 1)]
                if row.block == "bottleneck":
                    at = (stride, 1) if kind == "norm" else (1, stride)
                    chain = [(channels, width, 1, at[0]), (width, width, 3, at[1]), (width, 4 * width, 1, 1)]
                units.append(Unit(kind, chain))
                channels = chain[-1][1]
            self.order.append(stages.format(stage + first))
            setattr(self, self.order[-1], nn.Sequential(*units))
        setattr(self, top, nn.Linear(channels, 5))
        self.top = top

    def forward(self, x: Any) -> Any:
        for name in self.order:
            x = getattr(self, name)(x)
        return getattr(self, self.top)(x.mean((2, 3)))


def kuangliu(row: Variant) -> Any:
    class Stemmed(nn.BatchNorm2d):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.relu(super().forward(x))

    width = row.stem.width if row.stem else 0
    return Theirs(row, "pairs", {"conv1": convolved(3, width, 3), "bn1": Stemmed(width)}, "layer{}", 1, "linear")


def weiaicunzai(row: Variant) -> Any:
    width = row.stem.width if row.stem else 0
    stem = nn.Sequential(convolved(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())
    return Theirs(row, "function", {"conv1": stem}, "conv{}_x", 2, "fc")


def detectron2(row: Variant) -> Any:
    class Basic(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = Normed(3, row.stem.width if row.stem else 0, 7, 2)

        def forward(self, x: Any) -> Any:
            return nn.functional.max_pool2d(torch.relu(self.conv1(x)), 3, 2, 1)

    return Theirs(row, "norm", {"stem": Basic()}, "res{}", 2, "linear")


DEEP_SMALL = dataclasses.replace(DEEP, stem=Stem(3, 6, 1, pool=False))
PROJECTING = dataclasses.replace(CIFAR, shortcut="B")
PROJECTS = [
    (kuangliu, SMALL, "torch", ""),
    (kuangliu, DEEP_SMALL, "torch", "module."),
    (kuangliu, PROJECTING, "torch", "net."),
    (weiaicunzai, SMALL, "torch", ""),
    (weiaicunzai, DEEP_SMALL, "torch", "module."),
    (detectron2, BASIC, "torch_1x1", "backbone.bottom_up."),
    (detectron2, DEEP, "torch_1x1", "backbone.bottom_up."),
]


@pytest.mark.parametrize(("make", "row", "style", "prefix"), PROJECTS)
def test_networks_of_other_projects_give_their_outputs(
    make: Callable[[Variant], Any], row: Variant, style: str, prefix: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = make(row).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_var, module.weight.data):
                value.uniform_(0.5, 1.5)
            for value in (module.running_mean, module.bias.data):
                value.normal_(0, 0.3)
    torch.save({f"{prefix}{name}": value for name, value in theirs.state_dict().items()}, tmp_path / "net.pth")
    side = 33 if row.image_side == 224 else 16
    ours = keras_resnet.ResNet(
        row,
        input_shape=(side, side, 3),
        classes=5,
        classifier_activation=None,
        style=None if row.lineage.style == "keras" else style,
        weights=tmp_path / "net.pth",
    )
    x = np.random.default_rng(0).normal(0, 1, (2, side, side, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    assert_close(run(ours, x), expected, 1e-5)


# What is refused.


def scramblings(rng: random.Random, tensors: Arrays) -> Arrays:
    """A file in which names belong to other tensors, or some are missing."""
    stages = sorted({modules(name)[0] for name in tensors if name.startswith("layer")})
    units = sorted({".".join(name.split(".")[:2]) for name in tensors if name.startswith("layer")})

    def swapped(one: str, other: str) -> Arrays:
        found = {}
        for name, value in tensors.items():
            for old, new in ((one, other), (other, one)):
                if old in name:
                    name = name.replace(old, new)
                    break
            found[name] = value
        return found

    one = rng.choice(sorted(tensors))
    alike = [name for name in sorted(tensors) if tensors[name].shape == tensors[one].shape]
    match rng.randrange(6):
        case 0:
            return swapped(*(f"{each}." for each in rng.sample(stages, 2)))
        case 1:
            unit = rng.choice(units)
            return {name: value for name, value in tensors.items() if not name.startswith(f"{unit}.")}
        case 2:
            return swapped(".conv1.", ".conv2.")
        case 3:
            stage = rng.choice(stages)
            return {name: value for name, value in tensors.items() if not name.startswith(f"{stage}.")}
    other = rng.choice(alike if rng.random() < 0.5 else sorted(tensors))
    return tensors | {one: tensors[other], other: tensors[one]}


def test_scrambled_names_are_refused_or_change_nothing(net: tuple[Variant, Any, Arrays]) -> None:
    """Whatever loads has the numbers that it has under torchvision's names."""
    row, _, tensors = net
    namings = [naming for name, naming in NAMINGS.items() if row.shortcut != "A" or name != "functions"]
    loaded = 0
    other, plainly = blank(row), build(row)
    for seed in range(40):
        scrambled = scramblings(random.Random(f"{seed} {row.name}"), tensors)
        try:
            load(other, namings[seed % len(namings)](scrambled))
        except ValueError:
            continue
        load(plainly, scrambled)
        assert all(map(np.array_equal, other.get_weights(), plainly.get_weights())), seed
        loaded += 1
    assert 0 < loaded < 20


def _renumbered(keys: dict[str, str]) -> Callable[[Arrays], Arrays]:
    """Children of a Sequential under other numbers."""
    return lambda t: {f"{keys.get(modules(name)[0], modules(name)[0])}.{modules(name)[1]}": v for name, v in t.items()}


@pytest.mark.parametrize(
    "damage",
    [
        _renumbered({"5": "6", "6": "5"}),  # the order of stages
        _renumbered({"6": "8", "7": "9", "9": "11"}),  # something between them
        _renumbered({"0": "1", "1": "0"}),  # a norm in front of its convolution
        _renumbered({"1": "2"}),  # something between these
        _renumbered({str(i): str(i + 2) for i in range(4, 10)}),  # more than an activation and a pool
        lambda t: t | {"2.weight": np.ones(4)},
        lambda t: t | {"2.weight": np.ones((4, 4, 3, 3))},
        lambda t: {name: v for name, v in t.items() if not name.startswith("7.0.conv2")},  # a stage of no units
        lambda t: {name: v for name, v in t.items() if not name.startswith("5.0.")},
        lambda t: t | {name: np.ones(5) for name in t if name.startswith("6.0.bn1.")},
    ],
)
def test_what_does_not_stand_as_in_a_resnet_keeps_its_names(damage: Any) -> None:
    """So that nothing of it is left out: the rest may be a network of its own."""
    tensors = {f"net.{name}": value for name, value in damage(numbered(shapes_of(BASIC))).items()}
    assert plain(File(tensors)).shapes.keys() == tensors.keys()
    refused(blank(BASIC), tensors, "holds no ResNet.*numbered modules")


def test_units_without_a_shortcut_are_no_residual_units() -> None:
    """A plain stack of convolutions in a Sequential."""
    tensors = NAMINGS["functions"](shapes_of(dataclasses.replace(BASIC, shortcut=None)))
    assert plain(File(tensors)).shapes.keys() == tensors.keys()


def test_names_do_not_tell_where_norms_are_if_all_widths_are_one() -> None:
    row = dataclasses.replace(BASIC, shortcut="A", units=(1, 1), widths=(4, 4))
    tensors = NAMINGS["stages"](shapes_of(row))
    assert plain(File(tensors)).shapes.keys() == tensors.keys()


def test_pre_activation_networks_are_not_read_as_v1(net: tuple[Variant, Any, Arrays]) -> None:
    """Norms of as many channels as their convolutions read; no norm in the stem, none in projections."""
    row, _, tensors = net
    found = {}
    for name, value in tensors.items():
        if name.startswith("bn1.") or "downsample.1" in name:
            continue
        found[name.replace("downsample", "shortcut")] = value
        if match := re.fullmatch(r"(layer\d+\.\d+\.)bn(\d)\.(\w+)", name):
            found[name] = np.ones(value.shape and tensors[f"{match[1]}conv{match[2]}.weight"].shape[1])
    refused(blank(row), found, r"looks like a pre-activation \(v2\) network")
    refused(blank(row), numbered(found), "holds no ResNet.* pre-activation|holds no ResNet.*not those of one ResNet")


def test_a_stem_of_several_convolutions_is_refused(net: tuple[Variant, Any, Arrays]) -> None:
    row, _, tensors = net
    width = tensors["bn1.weight"].shape[0]
    more: dict[str, tuple[int, ...]] = {"{}2.weight": (width, width, 3, 3), "{}3.weight": (width, width, 3, 3)}
    more |= {f"{{}}{i}.{end}": (width,) for i in (2, 3) for end in ("bias", "running_mean", "running_var")}
    shapes = {name.format("conv" if len(shape) == 4 else "bn"): np.ones(shape) for name, shape in more.items()}
    for prefix in ("", "visual."):
        file = {f"{prefix}{name}": value for name, value in (tensors | shapes).items()}
        refused(blank(row), file, "The file has parts of CLIP's image encoders")
    file = {f"backbone.{name}": value for name, value in tensors.items() if not name.startswith(("conv1", "bn1"))}
    file |= {f"backbone.stem.{i}.weight": np.ones((4, 4, 3, 3)) for i in (0, 3, 6)}  # mmpretrain's
    refused(blank(row), file, "The stems differ in input channels, kernel size or width")


def test_what_may_lie_between_the_stages_is_named(net: tuple[Variant, Any, Arrays]) -> None:
    """No name tells where it lies; what is another network's or an optimizer's, or a vector, is none."""
    row, _, tensors = net
    for naming in ("children", "stages", "stem in a body"):
        file = {f"body.{name}": value for name, value in NAMINGS[naming](tensors).items()}
        file |= {name.replace("body", "ema", 1): value for name, value in file.items()}
        file |= {f"optimizer.{name}": np.ones((8, 8, 1, 1)) for name in ("exp_avg.weight", "1.running_mean")}
        file |= {"body.loss.weight": np.ones(5), "other.weight": np.ones((5, 99))}
        assert "else" not in str(load(blank(row), file, "body"))
        for more in ("body.attention.conv.weight", "before.weight", "body.last.running_mean"):
            value = np.ones((8, 8, 1, 1) if more.endswith("weight") else 8)
            report = load(blank(row), file | {more: value}, "body")
            said = f"what else the file holds, such as {more.rpartition('.')[0]!r}, is no part of the network"
            assert said in report.assumed, (naming, more, report.assumed)


def test_what_is_pruned_is_read_as_it_is_used() -> None:
    prune = import_module("torch.nn.utils.prune")
    theirs = kuangliu(PROJECTING)
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d):
            prune.l1_unstructured(module, "weight", 0.5)
    pruned = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert any(name.endswith("weight_mask") for name in pruned)
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d):
            prune.remove(module, "weight")
    expected, actual = build(PROJECTING), blank(PROJECTING)
    load(expected, {name: value.numpy() for name, value in theirs.state_dict().items()})
    load(actual, {f"module.{name}": value for name, value in pruned.items()})
    assert_same_weights(actual, expected, 0)
    assert any((weight == 0).any() for weight in actual.get_weights())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: f"{k}_orig" if k.endswith("conv1.weight") else k, r"pruning, but not both .*prune\.remove"),
        (lambda k: k.replace("conv1.weight", "conv1.weight_u"), r"spectral norm: call .*remove_spectral_norm"),
        (lambda k: k.replace("conv1.weight", "conv1.weight_v"), r"weight norm: call .*remove_weight_norm"),
        (lambda k: k.replace("conv1.weight", "conv1.parametrizations.weight.original"), "remove_parametrizations"),
        (lambda k: k.replace("conv1.bias", "").replace("bn1.bias", "conv1.zero_point"), "float checkpoint"),
        (lambda k: k.replace("conv1.weight", "_flat_param"), "gather a full state dict"),
    ],
)
def test_what_is_to_be_done_is_said(change: Any, message: str, net: tuple[Variant, Any, Arrays]) -> None:
    row, _, tensors = net
    refused(blank(row), {change(name): value for name, value in tensors.items()}, message)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["res2_0_branch2a_w", "res_conv1_bn_s"], "names of Caffe"),
        (["features.4.0.conv1.weight", "features.6.0.conv1.weight"], "numbered modules"),
        (["_fsdp_wrapped_module._flat_param"], "flattened parameters"),
        (["convs.0.0.conv1.weight_packed", "a.scale", "a.zero_point"], "quantization"),
        (["a.weight"], r"it holds 'a.weight'\.$"),
    ],
)
def test_whose_names_are_known_without_a_network(names: list[str], message: str) -> None:
    refused(blank(SMALL), {name: np.ones((4, 4, 1, 1)) for name in names}, f"holds no ResNet.*{message}")


def test_one_field_that_would_make_it_fit_is_named() -> None:
    """And what is named takes the file."""
    for change, model in (
        ({"shortcut": "B"}, RESNET20),
        ({"shortcut": "C"}, RESNET18),
        ({"stem": Stem(3, 64, 1, pool=False)}, RESNET18),
        ({"widths": (4, 8, 16, 32)}, dataclasses.replace(RESNET18, stem=Stem(7, 64))),
        ({"groups": 16, "base_width": 8}, RESNET50),
    ):
        row = dataclasses.replace(model, **change)
        tensors = shapes_of(row)
        refused_by = build(model)
        with pytest.raises(ValueError, match="dataclasses.replace") as error:
            load(refused_by, tensors)
        code = re.search(r"It fits (keras_resnet\.ResNet\(.*\)) in style", str(error.value))
        assert code, str(error.value)
        call = code[1].removesuffix(")") + ", input_shape=(33, 33, 3), style='torch', weights=None)"
        named = eval(call, {"keras_resnet": keras_resnet, "dataclasses": dataclasses})
        load(named, tensors)


def shapes_of(row: Variant) -> Arrays:
    """Zeros of a network's shapes, under torchvision's names."""
    from keras_resnet.checkpoints.families.torchvision import TORCHVISION, modules

    layout = keras_resnet.plan(dataclasses.replace(row, lineage=keras_resnet.variants.LINEAGES["torch", 1]))
    names, found = modules(layout), {}
    for conv in layout.convs():
        found[f"{names[conv.name + '_conv']}.weight"] = TORCHVISION.shape(conv.kernel_shape)
    for norm in layout.norms():
        found |= {TORCHVISION.tensor(names[norm.name], variable): (norm.channels,) for variable in norm.variables}
    found |= {"fc.weight": (5, layout.channels), "fc.bias": (5,)}
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in found.items()}


# Hostile files.

HOSTILE = [
    "",
    ".",
    "..",
    "...",
    "a..b",
    "\x00",
    "é" * 50,
    "9" * 5000,
    "0" * 90,
    "-1",
    "٣",
    "²",
    "module",
    "1e9",
    "a/b",
    "__",
]


def hostile(rng: random.Random, names: Iterable[str]) -> list[str]:
    """Names with one or more things done to them."""
    found = list(names)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(found))
        parts = found[at].split(".")
        where = rng.randrange(len(parts))
        match rng.randrange(6):
            case 0:
                parts[where] = rng.choice(HOSTILE)
            case 1:
                parts.insert(where, rng.choice(HOSTILE))
            case 2:
                del parts[where]
            case 3:
                parts = parts * rng.randrange(2, 400)
            case 4:
                parts[where] += rng.choice(HOSTILE)
            case 5:
                rng.shuffle(parts)
        found[at] = ".".join(parts)
    if rng.random() < 0.3:
        prefix = rng.choice(HOSTILE)
        found = [f"{prefix}.{name}" for name in found]
    return found


def test_hostile_names_are_refused_or_read_as_they_are(net: tuple[Variant, Any, Arrays]) -> None:
    row, _, tensors = net
    model = blank(row)
    loaded = refusals = 0
    namings = list(NAMINGS.values())
    for seed in range(100):
        rng = random.Random(seed)
        named = rng.choice(namings)(tensors)
        pairs = dict(zip(hostile(rng, named), named.values(), strict=True))
        source = plain(File(pairs))
        assert {original(source, name) for name in source.shapes} == pairs.keys()
        assert all(source.read(name) is not None for name in source.shapes)
        said = ""
        try:
            networks = read_networks(File(pairs))
            loaded += 1
            if seed % 4 == 0:
                load_network(model, find_network(model, None), choose_network(networks), whole=True)
        except ValueError as error:
            said = str(error)
            refusals += 1
        assert not said or ("net.pth" in said and len(said) < 9000)
    assert loaded > 20
    assert refusals > 20


@pytest.mark.parametrize(
    "name",
    [
        "{i}.0.conv1.weight",
        "0." * 11 + "{i}.weight",
        "module." * 20 + "layer1.{i}.conv1.weight",
        "layer{i}.0.conv1.weight",
        "stage{i}.0.conv1.weight_orig",
        "residual_function.{i}.weight",
    ],
)
def test_many_names_take_little_time(name: str) -> None:
    kernel = np.broadcast_to(np.float32(0), (1, 1, 1, 1))
    with bounded(100_000_000):
        plain(File({name.format(i=i): kernel for i in range(5_000)}))
