"""Checkpoints with any objects around a network's tensors: read exactly, and nothing of theirs runs."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import operator
import pickle
import random
import re
import sys
import types
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.torch.file import TorchFile
from tests.checkpoints.formats.torch.test_damage import outcome, same, spoiled
from tests.helpers.torch_writer import FORMATS, bits, flat, load, save

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.one_backend
RAN: list[str] = []  # what of the classes below was run


class Reduced:
    """Made by a function, with a state."""

    def __reduce__(self) -> Any:
        return make_reduced, (1, "two"), {"three": 3}

    def __setstate__(self, state: Any) -> None:
        RAN.append("__setstate__")


def make_reduced(*arguments: Any) -> Reduced:
    RAN.append("make_reduced")
    return Reduced()


class New:
    """Made by `__new__` with arguments and keywords."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        RAN.append("__new__")
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> Any:
        return (1,), {"key": 2}


class Slots:
    __slots__ = ("first", "second")
    first: Any
    second: Any


class Mapped(dict[Any, Any]):
    def __setitem__(self, key: Any, value: Any) -> None:
        RAN.append("__setitem__")
        super().__setitem__(key, value)


class Ordered(collections.OrderedDict[Any, Any]):
    pass


class Listed(list[Any]):
    def extend(self, items: Any) -> None:
        RAN.append("extend")
        super().extend(items)


@dataclasses.dataclass
class Config:
    inner: Any
    rate: float = 0.1


class Mode(enum.Enum):
    FAST = "fast"


class Bits(enum.Flag):
    ONE = 1
    TWO = 2


Pair = collections.namedtuple("Pair", "left right")
MAPPINGS: tuple[Callable[[dict[Any, Any]], Any], ...] = (
    dict,
    collections.OrderedDict,
    Mapped,
    Ordered,
    lambda items: collections.defaultdict(list, items),
)


def slots(inner: Any) -> Slots:
    made = Slots()
    made.first, made.second = inner, made
    return made


def simple(rng: random.Random) -> Any:
    """An object without others in it."""
    makers: list[Callable[[], Any]] = [
        lambda: rng.choice([None, True, 0.5, -3, 1 << 40, 1 << 3000, "", "text", b"\xff\0", bytearray(b"ab"), 1j, ...]),
        lambda: np.float64(rng.random()),
        lambda: np.arange(rng.randrange(9)).astype(rng.choice(["f4", "i8", "U3", "O", ">f8"])),
        lambda: rng.choice([np.dtype("f4"), np.random.RandomState(3), np.random.default_rng(3), random.Random(3)]),
        lambda: rng.choice([frozenset({1, "a"}), {2, 3}, range(3), slice(1, 2), collections.Counter("aab")]),
        lambda: rng.choice([Path("a/b"), uuid.UUID(int=5), decimal.Decimal("1.5"), re.compile("a+")]),
        lambda: rng.choice([datetime.datetime(2020, 1, 2), datetime.timedelta(3), datetime.UTC]),
        lambda: rng.choice([Mode.FAST, Bits.ONE | Bits.TWO, Mode, Reduced, make_reduced, len, torch.nn.ReLU]),
        lambda: rng.choice([operator.itemgetter(1), operator.attrgetter("a"), functools.partial(max, 1, key=len)]),
        lambda: rng.choice([torch.float16, torch.device("cpu"), torch.strided, torch.Size([1, 2])]),
        lambda: rng.choice([Reduced(), New(), collections.deque([1, 2], 3), torch.get_rng_state(), torch.ones(2)]),
        lambda: rng.choice([torch.nn.ReLU(), torch.nn.Linear(1, 1), torch.optim.SGD([torch.ones(1)], 0.1)]),
    ]
    return rng.choice(makers)()


def thing(rng: random.Random, depth: int, shared: list[Any]) -> Any:
    """An object, with others in it, some of which are met again."""
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(shared) if shared and rng.random() < 0.3 else simple(rng)
    parts = [thing(rng, depth - 1, shared) for _ in range(rng.randrange(4))]
    keys: list[Any] = ["a", 1, None, True, 2.5, (1, "b"), Mode.FAST, torch.nn.ReLU, "args", b"c"]
    items = dict(zip(rng.sample(keys, len(parts)), parts, strict=True))
    makers: list[Callable[[], Any]] = [
        lambda: parts,
        lambda: tuple(parts),
        lambda: rng.choice(MAPPINGS)(items),
        lambda: argparse.Namespace(**{f"a{i}": part for i, part in enumerate(parts)}),
        lambda: types.SimpleNamespace(inner=parts),
        lambda: Config(parts),
        lambda: Pair(parts, items),
        lambda: slots(parts),
        lambda: Listed(parts),
        lambda: collections.deque(parts),
    ]
    made = rng.choice(makers)()
    if isinstance(made, argparse.Namespace) and rng.random() < 0.3:
        made.itself = made
    shared.append(made)
    return made


def network(rng: random.Random) -> dict[str, Any]:
    """Tensors of a thin network."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    for value in net.state_dict().values():
        value.copy_(torch.tensor(rng.random()))
    return net.state_dict()  # type: ignore[no-any-return]


def checkpoint(rng: random.Random, protocol: int) -> tuple[Any, dict[str, Any]]:
    """What a training might save, and the tensors of its network by name."""
    weights, shared = network(rng), []  # type: ignore[var-annotated]
    whole: dict[Any, Any] = {f"more{i}": thing(rng, 3, shared) for i in range(rng.randrange(5))}
    whole |= {"state_dict": rng.choice(MAPPINGS)(weights)}
    whole |= {"last": thing(rng, 3, shared)}
    return rng.choice(MAPPINGS)(whole), {f"state_dict.{name}": bits(value) for name, value in weights.items()}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_objects_around_a_network_are_passed_over(protocol: int, form: str, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    for seed in range(60):
        rng = random.Random(f"{protocol} {form} {seed}")
        whole, expected = checkpoint(rng, protocol)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sources that are not found
            torch.save(whole, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
        RAN.clear()
        before = set(sys.modules)
        file = TorchFile.open(path)
        assert not RAN
        assert set(sys.modules) == before
        assert {name for name in file.shapes if name.startswith("state_dict.")} == expected.keys(), seed
        for name, array in expected.items():
            assert same(file.read(name), array), (seed, name)


def test_who_reads_such_a_file_with_calls_runs_what_is_in_it(tmp_path: Path) -> None:
    """So that the test before this one could fail."""
    RAN.clear()
    pickle.loads(pickle.dumps([Reduced(), New(), Mapped(a=1), Listed([1, 2])]))
    assert set(RAN) == {"make_reduced", "__setstate__", "__new__", "__setitem__", "extend"}


CLASSES = [
    Config,
    Mode,
    Mapped,
    Ordered,
    Pair,
    argparse.Namespace,
    collections.defaultdict,
    list,
    set,
    types.SimpleNamespace,
]


def test_pytorch_finds_the_same_tensors_where_it_is_told_the_classes(tmp_path: Path) -> None:
    read = 0
    for seed in range(60):
        rng = random.Random(seed)
        weights, inner = network(rng), rng.choice([{"lr": 0.1}, torch.ones(2), Mode.FAST, [Config(None)], "text"])
        nested = [{"deep": (torch.zeros(1),)}]
        whole = {"args": argparse.Namespace(a=inner), "mapped": rng.choice(MAPPINGS)({"it": torch.ones(2)})}
        whole |= {"state_dict": rng.choice(MAPPINGS)(weights), "config": Config(inner), "nested": nested}
        path = save(whole, tmp_path / "whole", "zip")
        with torch.serialization.safe_globals(CLASSES):
            loaded, value = load(path)
        file, found = TorchFile.open(path), dict(flat(value if loaded else whole))
        read += loaded  # it sets no items of some classes
        assert file.shapes.keys() == found.keys()
        assert all(same(file.read(name), array) for name, array in found.items())
    assert read > 5


class Anything(dict[Any, Any]):
    """What an unknown function returns: it takes everything, and does nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*(each for each in arguments[-1:] if type(each) is dict))

    def append(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    extend = add = append


class Interpreter(pickle.Unpickler):
    """Python's own, which reads any protocol, and here calls nothing but what makes PyTorch's tensors."""

    def find_class(self, module: str, name: str) -> Any:
        known = (module, name[:9]) == ("torch._utils", "_rebuild_") or (module, name) == ("collections", "OrderedDict")
        of_torch = module == "torch" and (name.endswith("Storage") or isinstance(getattr(torch, name, 0), torch.dtype))
        return super().find_class(module, name) if known or of_torch else type(name, (Anything,), {})


def expected(path: Path) -> dict[str, Any]:
    """What PyTorch reads with that; nothing, if it does not."""
    reader = types.ModuleType("reader")
    reader.Unpickler, reader.load = Interpreter, lambda file, **_: Interpreter(file).load()  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dict(flat(torch.load(path, pickle_module=reader, weights_only=False)))
        except Exception:
            return {}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("protocol", [4, 5])
def test_damage_among_objects_is_refused_or_read_as_pythons_interpreter_does(
    protocol: int, form: str, tmp_path: Path
) -> None:
    whole, _ = checkpoint(random.Random(7), protocol)
    path, wrong = tmp_path / "whole", tmp_path / "damaged"
    torch.save(whole, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
    data, theirs = path.read_bytes(), expected(path)
    refusals = compared = 0
    for seed in range(320):
        wrong.write_bytes(spoiled(data, form, random.Random(f"{protocol} {form} {seed}"), tmp_path))
        RAN.clear()
        opened, arrays = outcome(wrong)
        assert not RAN
        refusals += not opened
        found = expected(wrong) if arrays else {}
        for name in arrays.keys() & found.keys():
            assert same(arrays[name], found[name]) or same(arrays[name], theirs.get(name)), (seed, name)
            compared += 1
    assert 50 < refusals < 320
    assert compared > 200
