"""The project: names exported, facades, documents that hold."""

import ast
import dataclasses
import pickle
import re
import runpy
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import keras_resnet
from keras_resnet.architecture.rows import NETWORKS

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "keras_resnet"


def test_names_are_where_the_table_says_and_where_type_checkers_read_them() -> None:
    table: dict[str, tuple[str, ...]] = keras_resnet._EXPORTS
    for name, exported in table.items():
        module = import_module(name)
        assert tuple(module.__all__) == exported
        assert all(hasattr(module, each) for each in exported)
    assert keras_resnet.__all__ == [each for exported in table.values() for each in exported]
    assert len(set(keras_resnet.__all__)) == len(keras_resnet.__all__)
    assert all(hasattr(keras_resnet, each) for each in keras_resnet.__all__)
    (block,) = (
        node.body
        for node in ast.parse((PACKAGE / "__init__.py").read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    imports = [node for node in block if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block)
    assert [node.module for node in imports if node.names[0].name == "*"] == sorted(table)
    named = [node for node in imports if node.names[0].name != "*"]
    assert {node.module for node in named} == {"keras_resnet"}
    assert [alias.asname for node in named for alias in node.names] == list(keras_resnet._MODULES)


FACADES = (
    *("resnet", "resnet50", "resnet_v2", "slim", "variants", "data", "training", "transfer", "resume", "evaluation"),
    *("resnext", "figures", "labels", "exporting", "hub", "cv", "models", "cli"),
)


@pytest.mark.parametrize("name", FACADES)
def test_a_facade_is_a_module_and_an_attribute(name: str) -> None:
    assert getattr(keras_resnet, name) is import_module(f"keras_resnet.{name}")
    assert name in dir(keras_resnet)


def test_facades_are_attributes_in_a_fresh_process() -> None:
    quick = [name for name in FACADES if name not in ("hub", "cv")]  # other packages, which take long to import
    shown = "; ".join(f"print(keras_resnet.{name}.__name__)" for name in quick)
    result = subprocess.run(
        [sys.executable, "-c", f"import keras_resnet; {shown}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split()[-len(quick) :] == [f"keras_resnet.{name}" for name in quick]


LIBRARIES = "print(sorted({'keras', 'numpy', 'torch', 'jax', 'tensorflow'} & set(sys.modules)))"


def test_looking_around_imports_no_keras() -> None:
    code = (
        "import sys, rlcompleter, keras_resnet; assert {'ResNet50V2', 'data'} <= set(dir(keras_resnet)); "
        "assert not hasattr(keras_resnet, 'nonsense'); complete = rlcompleter.Completer(globals()).attr_matches; "
        "assert 'keras_resnet.ResNet50V2' in complete('keras_resnet.ResNet5'); complete('keras_resnet.')"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"{code}; {LIBRARIES}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_public_name_can_be_set_and_deleted_as_of_any_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_resnet, "ResNet50", None)
    assert keras_resnet.ResNet50 is None
    monkeypatch.undo()
    assert keras_resnet.ResNet50 is import_module("keras_resnet.models.networks").ResNet50
    del keras_resnet.ResNet50
    assert keras_resnet.ResNet50 is import_module("keras_resnet.models.networks").ResNet50


def test_builders_are_attributes_of_models_as_old_code_and_old_pickles_have_it() -> None:
    assert import_module("keras_resnet.models").ResNet50 is keras_resnet.ResNet50
    old = b"\x80\x04ckeras_resnet.models\nResNet50\n."  # what a pickle of a builder was
    assert pickle.loads(old) is keras_resnet.ResNet50
    assert "ResNet50" in dir(import_module("keras_resnet.models"))
    with pytest.raises(AttributeError, match="ResNet51"):
        import_module("keras_resnet.models").ResNet51  # noqa: B018


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ResNet51"):
        keras_resnet.ResNet51  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(keras_resnet, "__wrapped__")


def test_packages_print_nothing_but_by_say_and_the_commands() -> None:
    """But for a process of its own, whose standard output is read by the one that started it."""
    printing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "print"
    }
    assert {name for name in printing if not name.startswith("cli/")} - {"export/worker.py"} == {"utils/progress.py"}


def test_the_changelogs_top_version_is_the_packages() -> None:
    version = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version is not None
    assert version[1] == keras_resnet.__version__


def test_every_extra_that_an_error_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "keras3-resnet"
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    named = set(re.findall(r"keras3-resnet\[(\w+)\]", sources)) | {"tensorflow", "jax", "torch", "test", "site"}
    named |= {"train", "tables", "tiff", "keras_hub", "keras_cv"}  # `errors.import_optional` names them
    named |= {"checkpoints"}  # what works without it, too
    assert named == set(project["optional-dependencies"])
    assert {re.split(r"[<>=]", line)[0] for line in project["dependencies"]} == {"keras", "numpy"}


@pytest.mark.parametrize(
    ("page", "option", "lines"), [("docs/reference/networks.md", [], len(NETWORKS)), ("README.md", ["--weights"], 10)]
)
def test_a_pages_table_is_what_the_script_prints(page: str, option: list[str], lines: int) -> None:
    command = [sys.executable, "scripts/networks.py", *option]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 2 + lines
    assert result.stdout in (ROOT / page).read_text()


def test_a_new_network_has_no_published_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the catalogue says that somebody publishes one."""
    published = runpy.run_path(str(ROOT / "scripts/networks.py"))["published"]
    monkeypatch.setitem(NETWORKS, "gated", dataclasses.replace(NETWORKS["seresnet50"], name="gated"))
    assert [published(name) for name in ("gated", "seresnet50", "resnet50w2")] == ["", "timm", "swav"]
