"""The packages: who may import whom, that nothing goes round in circles, and that three of them need no Keras."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "keras_resnet"

# Each package, and the others that it may import.
ALLOWED = {
    "utils": "",
    "architecture": "utils",
    "checkpoints": "utils architecture",
    "models": "utils architecture checkpoints",
    "graph": "utils architecture models",
    "data": "utils checkpoints models",
    "training": "utils architecture checkpoints models graph data",
    "export": "utils architecture checkpoints models graph",
    "cli": "utils architecture checkpoints models graph data training export",
}
WITHOUT_KERAS = ("utils", "architecture", "checkpoints")


def modules(package: Path) -> dict[str, Path]:
    """Every module below a package, by its dotted name; a folder's `__init__` is called as the folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules among those known that a module imports, also inside its functions."""
    for node in ast.walk(ast.parse(known[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant) and each.value in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known or node.module in known:
                    yield inner if inner in known else str(node.module)


def faults(package: Path) -> list[str]:
    """What breaks the order: imports that a package is not allowed, and circles of modules."""
    known, found, graph = modules(package), [], {}
    root = package.name
    for name in known:
        own = name.removeprefix(f"{root}.").partition(".")[0]
        graph[name] = {each for each in imported(name, known) if each != name}
        if own not in (*ALLOWED, "version"):
            continue  # the root's other modules are facades, and may import anything
        for each in sorted(graph[name]):
            other = each.removeprefix(f"{root}.").partition(".")[0]
            if other not in (own, "version", *ALLOWED.get(own, "").split()):
                found.append(f"{name} imports {each}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"a circle: {' <- '.join(error.args[1])}")
    return found


def test_packages_import_only_what_they_may_and_in_no_circle() -> None:
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == set(ALLOWED)
    assert faults(PACKAGE) == []


def test_few_modules_lie_outside_of_the_packages() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 20


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("utils/files.py", "from keras_resnet.architecture.plans import Plan", "utils.files imports .*plans"),
        ("architecture/plans.py", "from keras_resnet import slim", "plans imports keras_resnet.slim"),
        ("models/layers.py", "def f():\n    from keras_resnet.graph import fold", "layers imports .*graph.fold"),
        ("training/run.py", "import keras_resnet.cli.app", "run imports keras_resnet.cli.app"),
        (
            "export/convert_weights.py",
            "from keras_resnet.data.decode import decode",
            "convert_weights imports .*data.decode",
        ),
        ("graph/fold.py", "import keras_resnet", "fold imports keras_resnet$"),
        ("utils/files.py", "import_module('keras_resnet.cli.app')", "utils.files imports keras_resnet.cli.app"),
        ("version.py", "from keras_resnet.cli import main", "version imports keras_resnet.cli"),
        ("utils/errors.py", "from keras_resnet.utils.files import write_text", "a circle: .*utils.errors"),
    ],
)
def test_a_planted_import_is_found(module: str, line: str, fault: str, tmp_path: Path) -> None:
    for path in PACKAGE.rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    planted = tmp_path / "keras_resnet" / module
    planted.write_text(f"{planted.read_text()}\n{line}\n")
    if fault.startswith("a circle"):
        other = tmp_path / "keras_resnet" / "utils" / "files.py"
        other.write_text(f"{other.read_text()}\nfrom keras_resnet.utils.errors import check_choice\n")
    found = faults(tmp_path / "keras_resnet")
    assert any(re.search(fault, each) for each in found), found


@pytest.mark.parametrize("package", WITHOUT_KERAS)
def test_a_package_works_where_keras_cannot_be_imported(package: str) -> None:
    names = [name for name in modules(PACKAGE) if name.startswith(f"keras_resnet.{package}")]
    numpy = "" if package == "checkpoints" else ", numpy=None"
    blocked = f"import sys; sys.modules.update(keras=None, torch=None, tensorflow=None, jax=None{numpy})"
    code = "; ".join([blocked, *(f"import {name}" for name in names)])
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_plan_works_where_keras_and_numpy_cannot_be_imported() -> None:
    code = (
        "import sys; sys.modules.update(keras=None, numpy=None); import keras_resnet, keras_resnet.cli; "
        "print(keras_resnet.plan(keras_resnet.RESNET50).parameters())"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "25636712"
