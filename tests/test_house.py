"""The house: rooms in order, names exported, documents that hold."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import keras_resnet
from tests.pictures import draw_folder

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_resnet"

# Each room imports only from those above it.
ROOMS = (
    "version",
    "errors",
    "recursion",
    "lineages",
    "plans",
    "layouts",
    "variants",
    "names",
    "readings",
    "families",
    "catalogue",
    "checkpoints",
    "files",
    "notices",
    "web",
    "parts",
    "receiving",
    "archives",
    "downloads",
    "stored",
    "crc32c",
    "protobuf",
    "snappy",
    "tables",
    "tf_tensors",
    "tf_v1",
    "tf_v2",
    "tf_checkpoints",
    "safetensors_files",
    "stored_zips",
    "torch_tensors",
    "torch_globals",
    "torch_pickles",
    "torch_files",
    "hdf5",
    "keras_files",
    "sources",
    "origins",
    "mismatches",
    "networks",
    "arguments",
    "layers",
    "preprocessing",
    "labels",
    "comparing",
    "assigning",
    "loading",
    "weights",
    "builder",
    "models",
    "resnet",
    "resnet50",
    "resnet_v2",
    "hub",
    "cv",
    "features",
    "slim_blocks",
    "slim_network",
    "slim",
    "decoding",
    "transforms",
    "saving",
    "graphs",
    "lesions",
    "fold",
    "laying",
    "kernels",
    "stepping",
    "optimizing",
    "augmentation",
    "folders",
    "pictures",
    "data",
    "resume",
    "transfer",
    "evaluation",
    "figures",
    "runs",
    "history",
    "training",
    "terminal",
    "peers",
    "conversion",
    "export_child",
    "exporting",
    "contenders",
    "contender",
    "benchmark",
    "command_train",
    "command_predict",
    "command_list",
    "command_convert",
    "command_export",
    "command_benchmark",
    "options",
    "cli",
    "__main__",
)
EXPORTING = (
    "variants",
    "checkpoints",
    "models",
    "features",
    "loading",
    "saving",
    "transforms",
    "fold",
    "optimizing",
    "lesions",
)
WITHOUT_KERAS = (
    *("errors", "lineages", "plans", "layouts", "variants", "names", "readings", "families", "checkpoints"),
    "mismatches",
)


def imported(room: str) -> set[str]:
    """Every module that a room imports, also inside its functions."""
    names = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{room}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{room} has a relative import"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_each_room_imports_only_from_those_above_it() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*ROOMS, "__init__"}
    for index, room in enumerate(ROOMS):
        inside = {name.split(".")[1] for name in imported(room) if name.startswith("keras_resnet.")} & set(ROOMS)
        assert inside <= set(ROOMS[:index]), f"{room} imports {inside - set(ROOMS[:index])}"


def test_the_plan_works_where_keras_and_numpy_cannot_be_imported() -> None:
    code = "import sys; sys.modules.update(keras=None, numpy=None); import keras_resnet; " + "; ".join(
        f"from keras_resnet import {room}; keras_resnet.{room}" for room in (*WITHOUT_KERAS, "cli")
    )
    code += "; print(keras_resnet.plan(keras_resnet.RESNET50).parameters())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "25636712"


def test_top_level_names_are_those_of_the_rooms_that_export() -> None:
    exported = [name for room in EXPORTING for name in import_module(f"keras_resnet.{room}").__all__]
    assert len(set(exported)) == len(exported)
    assert keras_resnet.__all__ == exported  # type: ignore[attr-defined]
    assert set(exported) <= set(dir(keras_resnet))
    assert all(hasattr(keras_resnet, name) for name in exported)
    for room in EXPORTING:
        module = import_module(f"keras_resnet.{room}")
        assert all(hasattr(module, name) for name in module.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ResNet51"):
        keras_resnet.ResNet51  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(keras_resnet, "__wrapped__")


def test_rooms_are_attributes_of_the_package() -> None:
    code = "import keras_resnet; print(keras_resnet.training.train.__name__)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "train"


def test_the_changelogs_top_version_is_the_packages() -> None:
    version = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version is not None
    assert version[1] == keras_resnet.__version__


def test_every_extra_that_an_error_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "keras3-resnet"
    sources = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    named = set(re.findall(r"keras3-resnet\[(\w+)\]", sources)) | {"tensorflow", "jax", "torch", "test"}
    named |= {"train", "keras_hub", "keras_cv"}  # `errors.optional` names them
    named |= {"checkpoints"}  # what works without it, too
    assert named == set(project["optional-dependencies"])
    assert {re.split(r"[<>=]", line)[0] for line in project["dependencies"]} == {"keras", "numpy"}


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    monkeypatch.chdir(tmp_path)
    draw_folder(tmp_path / "flowers", 4)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


def test_the_readmes_table_is_what_the_plan_says() -> None:
    result = subprocess.run([sys.executable, "scripts/networks"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 29
    assert result.stdout in (ROOT / "README.md").read_text()
