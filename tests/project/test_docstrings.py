"""Docstrings of the public names: none is missing or incomplete, and their examples run."""

import ast
import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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
SIDES = {"keras_resnet.ResNet18": 224}  # height and width of the images in an example, if not 32


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


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that this package gives a class: the functions behind them."""
    for base in owner.__mro__:
        for name, value in vars(base).items():
            function = next(filter(None, (getattr(value, key, None) for key in ("__func__", "fget", "func"))), value)
            if is_ours(function) and not name.startswith("_"):
                yield name, function


def own_doc(value: Any) -> str:
    """What its source says of it; not what Python makes of a dataclass or a tuple, nor what a base class says."""
    text = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    made = inspect.isclass(value) and (text or "").startswith(f"{value.__name__}(")
    return "" if made else inspect.cleandoc(text or "")


def section(text: str, *titles: str) -> str:
    """The lines of a docstring's sections of these titles."""
    found = re.findall(rf"^(?:{'|'.join(titles)}):\n((?:[ ].*\n?|\n)*)", text, re.MULTILINE)
    return inspect.cleandoc("\n" + "\n".join(found))


def told(text: str) -> set[str]:
    """The parameters that a docstring documents, or the one whose arguments it says it has."""
    found = set(re.findall(r"^\*{0,2}(\w+): ", section(text, "Args", "Attributes"), re.MULTILINE))
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


def faults(value: Any) -> list[str]:
    """What a docstring of a function or class lacks."""
    text = own_doc(value)
    found = summary_faults(text)
    if text and not re.match(r"(?s)[^\n]+(\n[^\n]+)*\n\nExample:\n\n    \S", text):
        found.append("no example behind the first sentence")
    found += [f"{name} is not documented" for name in parameters(value) if name not in told(text)]
    foreign = [base for base in getattr(value, "__mro__", ()) if not is_ours(base)]
    for name, function in members(value) if inspect.isclass(value) else ():
        text = own_doc(function)
        found += [f"{name}: {fault}" for fault in summary_faults(text)]
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


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (undocumented, ["no docstring", "size is not documented"]),
        (without_example, ["no example behind the first sentence"]),
        (without_an_argument, ["other is not documented"]),
        (
            Bare,
            [
                "no docstring",
                "size is not documented",
                "scaled: no sentence at the beginning: 'returns a size'",
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


def examples() -> dict[str, str]:
    """Each example by who has it; of those that differ in nothing but the name, as the builders', the first."""
    texts = {path: own_doc(value) for path, value in (MODULES | DOCUMENTED).items()}
    for path, owner in DOCUMENTED.items():
        if inspect.isclass(owner):
            texts |= {f"{path}.{name}": own_doc(function) for name, function in members(owner)}
    found = {path: section(text, "Example") for path, text in texts.items()}
    kinds: dict[str, str] = {}
    for path in sorted((path for path, code in found.items() if code), key=lambda path: (len(path), path)):
        kinds.setdefault(found[path].replace(path.split(".")[-1], ""), path)
    return {path: found[path] for path in kinds.values()}


EXAMPLES = examples()


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
