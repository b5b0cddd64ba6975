"""Docstrings of the public names: none is missing or incomplete, and their examples run."""

import ast
import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from tests.helpers import stand_ins

pytestmark = pytest.mark.one_backend
BACKBONES = {"hub": "keras_hub", "cv": "keras_cv"}  # facades of another library, which takes seconds to import
NOT_READ = ("cli", "models")  # the command line; a package whose names others export
IMAGENETS = ("ResNet18", "ResNet18V2", "ResNeXt50", "ResNetRS50", "WideResNet50")  # the smallest of each kind
SIDES = {f"keras_resnet.{name}": 224 for name in IMAGENETS}  # height and width of an example's images, if not 32
NO_VERBS = r"(?:This|Its|Always|Images|Arguments|Class|Results|Values)\b"  # first words that only look like one
NOTHING_SAID = r"\W*(?:TODO|TBD|FIXME|XXX)\b|\W*$"


def facades() -> Iterator[ModuleType]:
    """The package, and the modules that users import."""
    yield keras_resnet
    for name in keras_resnet._MODULES:
        if name not in (*BACKBONES, *NOT_READ):
            yield importlib.import_module(f"keras_resnet.{name}")


def public_names() -> dict[str, Any]:
    """Every public function, class and constant once, by the shortest path that it is imported from."""
    found: dict[str, Any] = {}
    known: set[int] = set()
    for module in facades():
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) not in known:
                found[f"{module.__name__}.{name}"] = value
                known.add(id(value))
    return found


NAMES = public_names()
DOCUMENTED = {path: value for path, value in NAMES.items() if inspect.isfunction(value) or inspect.isclass(value)}
CONSTANTS = [path for path in NAMES if path not in DOCUMENTED]
MODULES = {module.__name__: module for module in facades()}


def is_ours(value: Any) -> bool:
    """Whether this package, or this file, defines a class or function."""
    return str(getattr(value, "__module__", "")).startswith(("keras_resnet", __name__))


def members(owner: type) -> Iterator[tuple[str, bool, Any]]:
    """The public methods and properties that this package gives a class: whether called, and the functions behind."""
    for base in owner.__mro__:
        for name, value in vars(base).items():
            function = next(filter(None, (getattr(value, key, None) for key in ("__func__", "fget", "func"))), value)
            if is_ours(function) and not name.startswith("_"):
                yield name, not isinstance(value, (property, cached_property)), function


def own_doc(value: Any) -> str:
    """What its source says of it; not what Python makes of a dataclass or a tuple, nor what a base class says."""
    text = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    made = inspect.isclass(value) and (text or "").startswith(f"{value.__name__}(")
    return "" if made else inspect.cleandoc(text or "")


def section(text: str, *titles: str) -> str:
    """The lines of a docstring's sections of these titles."""
    found = re.findall(rf"^(?:{'|'.join(titles)}):\n((?:[ ].*\n?|\n)*)", text, re.MULTILINE)
    return inspect.cleandoc("\n" + "\n".join(found))


def entries(text: str) -> list[tuple[str, str]]:
    """The names in a docstring's lists, and what is said of each."""
    listed = section(text, "Args", "Attributes")
    return re.findall(r"^\*{0,2}(\w+):(.*(?:\n+ +.*)*)", listed, re.MULTILINE)


def told(text: str) -> set[str]:
    """The parameters that a docstring documents, or the one whose arguments it says it has."""
    found = {name for name, _ in entries(text)}
    for other in re.findall(r"[Aa]rguments[^.]*? are those of\s+`([\w.]+)`", text):
        (value,) = (value for path, value in DOCUMENTED.items() if path.endswith(f".{other.split('.')[-1]}"))
        found |= told(own_doc(value))
    return found


def parameters(value: Any) -> list[str]:
    """The names of what a function or class takes."""
    try:
        taken = inspect.signature(value).parameters
    except ValueError:  # `object`'s
        return []
    return [name for name in taken if name not in ("self", "cls")]


def summary_faults(text: str) -> list[str]:
    """What is wrong with the first sentence."""
    first = text.split("\n\n")[0]
    if not text:
        return ["no docstring"]
    return [] if re.match(r"(?s)[A-Z`].*\.$", first) else [f"no sentence at the beginning: {first!r}"]


def verb_faults(value: Any) -> list[str]:
    """What is wrong with the first word of what can be called: it says what the function does, as "Returns"."""
    first = own_doc(value).split("\n")[0]
    opens = not first or re.match(rf"(?!{NO_VERBS})[A-Z][a-z]+s\b", first)
    return [] if opens else [f"no verb at the beginning: {first!r}"]


def entry_faults(text: str) -> list[str]:
    """Names in the lists of which nothing is said, or only that something is to be said."""
    return [f"nothing is said of {name}" for name, said in entries(text) if re.match(NOTHING_SAID, said)]


def faults(value: Any) -> list[str]:
    """What a docstring of a function or class lacks."""
    text = own_doc(value)
    found = summary_faults(text) + (verb_faults(value) if inspect.isfunction(value) else []) + entry_faults(text)
    if text and not re.match(r"(?s)[^\n]+(\n[^\n]+)*\n\nExample:\n\n    \S", text):
        found.append("no example behind the first sentence")
    found += [f"{name} is not documented" for name in parameters(value) if name not in told(text)]
    foreign = [base for base in getattr(value, "__mro__", ()) if not is_ours(base)]
    for name, called, function in members(value) if inspect.isclass(value) else ():
        text = own_doc(function)
        wrong = summary_faults(text) + (verb_faults(function) if called else []) + entry_faults(text)
        found += [f"{name}: {fault}" for fault in wrong]
        if not any(hasattr(base, name) for base in foreign):  # which documents what it takes
            lacking = [each for each in parameters(function) if each not in told(text)]
            found += [f"{name}: {each} is not documented" for each in lacking]
    return found


@pytest.mark.parametrize("path", DOCUMENTED)
def test_a_public_name_has_a_docstring_with_an_example_and_all_arguments(path: str) -> None:
    assert faults(DOCUMENTED[path]) == []


@pytest.mark.parametrize("path", MODULES)
def test_a_public_module_says_what_is_in_it(path: str) -> None:
    assert summary_faults(own_doc(MODULES[path])) == []


def attribute_docs(module: ModuleType) -> dict[str, str]:
    """The strings under the assignments of a module; a row of a table has the table's."""
    body, found = ast.parse(Path(str(module.__file__)).read_text()).body, dict[str, str]()
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name):
            continue
        match after, node.value:
            case ast.Expr(ast.Constant(str(text))), _:
                found[target.id] = inspect.cleandoc(text)
            case _, ast.Subscript(ast.Name(table), ast.Constant()):
                found[target.id] = found.get(table, "")
    return found


@pytest.mark.parametrize("path", CONSTANTS)
def test_a_public_constant_is_documented_where_it_is_defined(path: str) -> None:
    name = path.split(".")[-1]
    modules = [
        module for key, module in sys.modules.items() if key.startswith("keras_resnet.") and name in vars(module)
    ]
    said = {docs[name] for docs in map(attribute_docs, modules) if name in docs}
    assert len(said) == 1, "one docstring, under the assignment"
    assert summary_faults(said.pop()) == []


# A bad one of each kind, which the checks refuse.


def undocumented(size: int) -> int:
    return size


def without_example(size: int) -> int:
    """Returns a size.

    Args:
        size: in pixels.
    """
    return size


def without_an_argument(size: int, other: int) -> int:
    """Returns a size.

    Example:

        without_an_argument(1, 2)

    Args:
        size: in pixels.
    """
    return size + other


@dataclass
class Bare:
    size: int

    def scaled(self, factor: int) -> int:
        """returns a size"""
        return self.size * factor


def without_verb(size: int, other: int, third: int, more: int) -> int:
    """The sum of sizes.

    Example:

        without_verb(1, 2, 3, 4)

    Args:
        size:
        other: TODO: say.
        third:
            in pixels.
        more: ...
    """
    return size + other + third + more


class Nouns:
    """A square, which may begin with a noun, as its property may.

    Example:

        Nouns()

    Attributes:
        side: TODO
    """

    side = 1

    @property
    def area(self) -> int:
        """The area of it."""
        return self.side**2

    @cached_property
    def length(self) -> int:
        """What is around it."""
        return 4 * self.side

    def scaled(self, factor: int) -> int:
        """The side of a larger one.

        Args:
            factor: TBD
        """
        return self.side * factor

    @staticmethod
    def corners() -> int:
        """How many corners it has."""
        return 4

    @classmethod
    def doubled(cls) -> int:
        """Images of two.

        This opens with a noun in the plural, which is no verb.
        """
        return 2 * cls.side

    def halved(self) -> float:
        """Passes half of the side."""
        return self.side / 2


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (undocumented, ["no docstring", "size is not documented"]),
        (without_example, ["no example behind the first sentence"]),
        (without_an_argument, ["other is not documented"]),
        (
            without_verb,
            [
                "no verb at the beginning: 'The sum of sizes.'",
                *(f"nothing is said of {name}" for name in ("size", "other", "more")),
            ],
        ),
        (
            Nouns,
            [
                "nothing is said of side",
                "scaled: no verb at the beginning: 'The side of a larger one.'",
                "scaled: nothing is said of factor",
                "corners: no verb at the beginning: 'How many corners it has.'",
                "doubled: no verb at the beginning: 'Images of two.'",
            ],
        ),
        (
            Bare,
            [
                "no docstring",
                "size is not documented",
                "scaled: no sentence at the beginning: 'returns a size'",
                "scaled: no verb at the beginning: 'returns a size'",
                "scaled: factor is not documented",
            ],
        ),
    ],
)
def test_what_is_missing_is_found(bad: Any, expected: list[str]) -> None:
    assert faults(bad) == expected


def test_a_constant_needs_its_string_right_below(tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(
        '"""Rows."""\nTABLE = {}\n"""All."""\nROW = TABLE["row"]\nBARE = 1\nX = 2\n"""X."""\n'
    )
    module = ModuleType("rows")
    module.__file__ = str(tmp_path / "rows.py")
    assert attribute_docs(module) == {"TABLE": "All.", "ROW": "All.", "X": "X."}


# The examples


def implementation(value: Any) -> Any:
    """What runs in a call: the value itself, or the function that a builder binds, and the kind of its network."""
    held = inspect.getclosurevars(value).nonlocals if inspect.isfunction(value) else {}
    if "build" not in held:
        return value
    row = held.get("variant")
    return held["build"], row and (row.version, row.groups > 1, row.base_width > 64)


def examples(values: dict[str, Any]) -> dict[str, str]:
    """Each example by who has it; of those of one implementation that differ in the name alone, the smallest's."""
    owned = dict(values)
    for path, owner in values.items():
        if inspect.isclass(owner):
            owned |= {f"{path}.{name}": function for name, _, function in members(owner)}
    found = {path: code for path, value in owned.items() if (code := section(own_doc(value), "Example"))}
    kinds: dict[Any, str] = {}
    for path in sorted(found, key=lambda path: (len(path), path)):
        kinds.setdefault((implementation(owned[path]), found[path].replace(path.split(".")[-1], "")), path)
    return {path: found[path] for path in kinds.values()}


EXAMPLES = examples(MODULES | DOCUMENTED)


def small_model() -> keras.Model:
    """A network of three classes for small images."""
    model = keras_resnet.ResNet18(weights=None, classes=3, input_shape=(32, 32, 3))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def flowers(side: str) -> Any:
    """One side of a folder of three classes."""
    found = keras_resnet.data.splits("flowers", image_size=32, batch_size=4, verbose=False)
    return getattr(found, side)


# What an example may name without making it.
GIVEN: dict[str, Callable[[int], Any]] = {
    "keras": lambda side: keras,
    "np": lambda side: np,
    "keras_resnet": lambda side: keras_resnet,
    "images": lambda side: np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype("float32"),
    "labels": lambda side: np.arange(2),
    "model": lambda side: small_model(),
    "training": lambda side: flowers("training"),
    "validation": lambda side: flowers("validation"),
}


def run_example(path: str, code: str) -> None:
    """Runs lines behind prompts and compares what they print, or a block as it is."""
    used = set(re.findall(r"\w+", code))
    names = {name: make(SIDES.get(path, 32)) for name, make in GIVEN.items() if name in used}
    if not code.startswith(">>>"):
        exec(compile(code, path, "exec"), names)
        return
    runner, said = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), list[str]()
    runner.run(doctest.DocTestParser().get_doctest(code, names, path, None, 0), out=said.append)
    assert said == [], "".join(said)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published files that examples name, made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, where nothing is downloaded and no device was started."""
    monkeypatch.chdir(tmp_path)
    fetch = partial(stand_ins.fetch, folder=cache)
    for module in ("checkpoints.open", "models.labels"):
        monkeypatch.setattr(f"keras_resnet.{module}.fetch", lambda *args, **_: fetch(*args))
    monkeypatch.setattr("keras_resnet.training.distribution._started", [])
    return tmp_path


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_runs(path: str, folder: Path) -> None:
    code = EXAMPLES[path]
    for library in re.findall(r"^import (\w+)", code, re.MULTILINE):
        pytest.importorskip(library)
    stand_ins.lay_out(code + ("flowers" if re.search(r"\b(training|validation)\b", code) else ""), folder)
    run_example(path, code)


@pytest.mark.parametrize(("facade", "library"), BACKBONES.items())
def test_a_backbone_of_another_library_is_documented_as_well(facade: str, library: str, folder: Path) -> None:
    pytest.importorskip(library)
    module = importlib.import_module(f"keras_resnet.{facade}")
    assert module.__all__ == ["Backbone"]
    assert summary_faults(own_doc(module)) == []
    assert faults(module.Backbone) == []
    run_example(facade, section(own_doc(module.Backbone), "Example"))


def test_an_example_that_prints_something_else_fails() -> None:
    run_example("two", ">>> 1 + 1\n2")
    with pytest.raises(AssertionError, match=r"Got:\n\s+2"):
        run_example("three", ">>> 1 + 1\n3")


CIFARS = ("ResNet20", "ResNet20V2")
SLIMS = ("slim.resnet_v1_50", "slim.resnet_v1_152", "slim.resnet_v2_50")  # 152 takes its arguments in another order
FUNCTIONS = ("slim.resnet_v1", "slim.resnet_v2", "slim.bottleneck_v1", "slim.bottleneck_v2")


def test_an_example_of_each_kind_of_network_runs_and_no_second_one() -> None:
    built = {path for path in EXAMPLES if isinstance(implementation(NAMES.get(path)), tuple)}
    assert built == {f"keras_resnet.{name}" for name in (*IMAGENETS, *CIFARS, *SLIMS)}
    assert {f"keras_resnet.{name}" for name in FUNCTIONS} <= set(EXAMPLES)


def bind(build: Callable[[], int], name: str) -> Callable[[], int]:
    """A function of another's name and docstring, as a builder is."""

    def bound() -> int:
        return build()

    bound.__doc__ = f"Returns {name}.\n\nExample:\n\n    {name}()\n"
    return bound


def test_only_examples_of_one_implementation_are_left_out() -> None:
    def one() -> int:
        """Returns a number.

        Example:

            one()
        """
        return 1

    def two() -> int:
        """Returns a number.

        Example:

            two()
        """
        return 2

    bound = {"a.net10": bind(one, "net10"), "a.net5": bind(one, "net5"), "a.net7": bind(two, "net7")}
    assert list(examples({"a.one": one, "a.two": two, **bound})) == ["a.one", "a.two", "a.net5", "a.net7"]
