"""Names are data: `NETWORKS` is the list of networks, whatever they are called, and all else reads it."""

import ast
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import cli
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.rows import BUILDERS, NETWORKS, SLIM_NETWORKS, TIMM_NAMES, builder_call, find_row
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.cli.benchmarking.contenders import Setting, variant_of
from keras_resnet.export.convert_weights import recognize
from keras_resnet.models.networks import builder_of
from keras_resnet.models.weights.find import find_weights
from tests.helpers.nets import randomise

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
TINYFOO = Variant(
    "tinyfoo", 1, "basic", (1, 2), (4, 8), Stem(3, 4, 1, pool=False), LINEAGES["torch", 1]
)  # no rule could parse this name


def test_networks_are_keyed_by_their_names() -> None:
    assert all(name == row.name for name, row in NETWORKS.items())
    assert set(BUILDERS) <= set(NETWORKS)
    assert set(TIMM_NAMES) <= set(NETWORKS)
    assert all(getattr(keras_resnet, builder).__name__ == builder for builder in BUILDERS.values())
    for name, row in SLIM_NETWORKS.items():
        assert row == dataclasses.replace(NETWORKS[row.name], lineage=LINEAGES["slim", row.version])
        assert name.startswith(f"resnet_v{row.version}_")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        *(("resnet50", "resnet50"), ("ResNet50", "resnet50"), ("RESNET50", "resnet50")),
        *(("resnet50v2", "resnet50v2"), ("ResNet50V2", "resnet50v2"), ("resnetv2_50", "resnet50v2")),
        *(("ResNetV2_18", "resnet18v2"), ("resnet1001V2", "resnet1001v2")),
    ],
)
def test_a_name_is_the_rows_its_builders_or_timms_in_any_case(name: str, row: str) -> None:
    assert find_row(name) is NETWORKS[row]


@pytest.mark.parametrize("name", ["", "resnet51", "resnet-50", "ResNet", "50", 50, None, "resnet50 ", "resnet50d" * 99])
def test_another_name_is_refused_and_the_nearest_are_named(name: object) -> None:
    with pytest.raises(ValueError, match="`network` must be the name of a network") as refusal:
        find_row(name)  # type: ignore[arg-type]
    assert repr(name)[:99] in str(refusal.value)
    if name == "resnet51":
        assert "Did you mean" in str(refusal.value)
        assert "'ResNet50'" in str(refusal.value)


@pytest.mark.parametrize("row", ["tinyfoo", None, dataclasses.replace(TINYFOO, name="other")])
def test_a_row_under_another_name_is_refused_where_it_is_asked_for(row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tinyfoo", row)
    with pytest.raises(
        ValueError, match=r"`keras_resnet.NETWORKS\['tinyfoo'\]` must be a Variant with this name; it is"
    ):
        keras_resnet.ResNet("tinyfoo")


def test_a_name_builds_what_its_builder_builds() -> None:
    named = keras_resnet.ResNet("resnetv2_18", input_shape=(32, 32, 3))
    ours = keras_resnet.ResNet18V2(weights=None, input_shape=(32, 32, 3))
    assert named.name == "resnet18v2"
    assert [weight.path for weight in named.weights] == [weight.path for weight in ours.weights]


@pytest.fixture
def tinyfoo(monkeypatch: pytest.MonkeyPatch) -> Variant:
    """A row that was just added."""
    monkeypatch.setitem(NETWORKS, "tinyfoo", TINYFOO)
    return TINYFOO


def test_an_added_row_is_built_by_its_name(tinyfoo: Variant) -> None:
    model = keras_resnet.ResNet("TinyFoo", input_shape=(16, 16, 3), classes=4)
    assert (model.name, model.output_shape) == ("tinyfoo", (None, 4))
    assert builder_of("tinyfoo")(input_shape=(16, 16, 3), classes=4).count_params() == model.count_params()
    assert builder_call("tinyfoo", "classes=4") == "keras_resnet.ResNet('tinyfoo', classes=4)"
    with pytest.raises(ValueError, match="Did you mean 'tinyfoo'"):
        keras_resnet.ResNet("tinyfo")


def test_an_added_row_is_recognised_in_a_file_and_converted(tinyfoo: Variant, tmp_path: Path) -> None:
    model = randomise(keras_resnet.ResNet("tinyfoo", input_shape=(16, 16, 3), classes=4))
    keras_resnet.save_weights(model, tmp_path / "net.safetensors")
    found = recognize(tmp_path / "net.safetensors")
    assert (found.variant.name, found.variant.lineage.style, found.classes) == ("tinyfoo", "torch", 4)
    typed = ["convert", str(tmp_path / "net.safetensors"), str(tmp_path / "net.keras"), "--verify"]
    assert cli.main(typed) == 0
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)
    with pytest.raises(ValueError, match=r"It fits keras_resnet.ResNet\('tinyfoo', classes=4\) in style 'torch'"):
        keras_resnet.ResNet18(weights=tmp_path / "net.safetensors", classes=4)


def test_an_added_row_is_a_model_of_the_commands(
    tinyfoo: Variant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["train", "digits", "--model", "tinyfoo", "--epochs", "1", "--out", str(tmp_path / "run"), "--batch-size"]
    assert cli.main([*typed, "512"]) == 0
    assert "network: tinyfoo (as asked)" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["arguments"]["chosen"]["network"] == "tinyfoo"
    assert cli.main(["list", "tinyfoo"]) == 0
    assert "tinyfoo" in capsys.readouterr().err


def test_an_added_row_can_be_benchmarked(tinyfoo: Variant) -> None:
    setting = Setting("tinyfoo", None, 2, 16, train=False, dtype="float32")
    assert variant_of("keras_resnet", setting) == TINYFOO
    assert variant_of("timm, channels_last", setting).lineage.style == "torch"
    code = (
        "import json, sys; from tests.architecture.test_rows import NETWORKS, TINYFOO; NETWORKS['tinyfoo'] = TINYFOO; "
        "sys.argv = ['worker', json.dumps(['keras_resnet', "
        "dict(network='tinyfoo', style=None, batch=2, image_side=16, train=False, dtype='float32')])]; "
        "from keras_resnet.cli.benchmarking.worker import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input="go\n", capture_output=True, text=True, check=True
    )
    ready, sample = map(json.loads, result.stdout.splitlines())
    assert ready["sample_seconds"] > 0
    assert sample["seconds"] > 0


def test_an_added_row_is_in_the_table_of_networks(tinyfoo: Variant) -> None:
    code = (
        "from tests.architecture.test_rows import NETWORKS, TINYFOO; NETWORKS['tinyfoo'] = TINYFOO; "
        "import runpy; runpy.run_path('scripts/networks.py', run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| `tinyfoo` | 1, 2 | basic | 32x32 |" in result.stdout


def test_weights_of_imagenet_are_asked_for_by_any_name() -> None:
    found = find_weights("imagenet", NETWORKS["resnet50"], None, True, 1000, "resnet50")
    assert found == keras_resnet.list_weights("RESNET50")["keras/resnet50"]
    assert keras_resnet.list_weights("resnetv2_50") == keras_resnet.list_weights("ResNet50V2")
    assert keras_resnet.list_weights("resnet50v2")


# Methods that cut or match strings, and the words of which networks' names are made.
CUTTING = {
    *("removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit", "replace", "lower", "upper"),
    *("startswith", "endswith", "strip", "lstrip", "rstrip", "index", "find", "match", "fullmatch", "search", "sub"),
    *("casefold", "swapcase", "title", "translate", "count", "format", "join", "findall", "finditer"),
}
WORDS = re.compile(r"(?i)(?=.*(resnet|v[12]|\\d))(resnet)?[-_]?(v[12]?_?)?(\(?\\d.*|\{.*)?")
NAMES = re.compile(
    r"((row|variant|lineage|network)\.name|\b(network|architecture|style|key|builder|depth|repository))$"
)


def cuttings(source: str) -> list[str]:
    """Where a name of a network, depth or style is cut out of a string, matched in one, or put together of parts."""
    tree, found = ast.parse(source), []
    compares = {  # whole names, in lower case
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in ("find_row", "_names")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        cut: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTTING:
            cut = node.args[1] if len(node.args) > 1 and ast.unparse(node.func.value) == "re" else node.func.value
            literals = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            if any(isinstance(each, str) and each and WORDS.fullmatch(each) for each in literals):
                found.append(ast.unparse(node))
                continue
        elif isinstance(node, ast.Subscript):
            cut = node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Add, ast.Mod)):
            sides = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
            found += [ast.unparse(node) for side in sides if isinstance(side, str) and side and WORDS.fullmatch(side)]
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            found += [ast.unparse(node) for part in parts if isinstance(part, str) and WORDS.fullmatch(part)]
        if cut is not None and NAMES.search(ast.unparse(cut)) and id(node) not in compares:
            found.append(ast.unparse(node))
    return found


def test_no_name_of_a_network_depth_or_style_is_cut_out_of_a_string() -> None:
    for path in (ROOT / "keras_resnet").rglob("*.py"):
        if not {"formats", "download"} & set(path.parts):  # whose keys and names are tensors' and files'
            assert cuttings(path.read_text()) == [], path


@pytest.mark.parametrize(
    "line",
    [
        "name = variant.name.replace('resnet', 'ResNet').replace('v2', 'V2')",
        "depth = architecture.removeprefix('resnet').removeprefix('v2_')",
        "network = f\"ResNet{depth}{'V2' * (version == 2)}\"",
        "timm = variant.name[6:-2]",
        "name = row.network.lower()",
        "family = key.partition('/')[0]",
        "default = name.startswith(('resnet26.', 'resnetv2_'))",
        "depth = re.match(r'resnet(\\d+)', name)",
        "name = 'ResNet' + str(depth)",
        "name = f'resnet_v{version}_{depth}'",
        "name = 'resnet{}'.format(depth)",
        "first = row.name[0]",
        "name = variant.name.casefold()",
        "depth = re.findall('[0-9]+', variant.name)",
    ],
)
def test_a_name_that_is_cut_is_found(line: str) -> None:
    assert cuttings(line)
