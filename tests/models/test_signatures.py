"""What help(), inspect, pickle and a type checker see of each builder."""

import inspect
import pickle
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import keras_resnet
from keras_resnet import models

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
NAMED = [name for name in models.__all__ if name != "ResNet"]
TORCHVISIONS = {"WideResNet50": "wide_resnet50_2", "WideResNet101": "wide_resnet101_2"}  # models' names


@pytest.fixture(scope="module")
def errors() -> set[tuple[str, int]]:
    """What mypy rejects: file and line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental"]
    files = [f"tests/models/typing/{name}.py" for name in ("accepted", "rejected")]
    result = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    found = [line.split(":") for line in result.stdout.splitlines() if ": error:" in line]
    assert found, result.stderr
    return {(Path(file).stem, int(line)) for file, line, *_ in found}


def test_mypy_accepts_what_works(errors: set[tuple[str, int]]) -> None:
    assert {file for file, _ in errors} == {"rejected"}


def test_mypy_rejects_every_wrong_call(errors: set[tuple[str, int]]) -> None:
    lines = (ROOT / "tests/models/typing/rejected.py").read_text().splitlines()
    wrong = {("rejected", number) for number, line in enumerate(lines, 1) if line.endswith(")")}
    assert len(wrong) == 7
    assert errors == wrong


def test_help_shows_each_networks_own_defaults() -> None:
    help20, help50 = (pydoc.plain(pydoc.render_doc(getattr(keras_resnet, name))) for name in ("ResNet20", "ResNet50"))
    assert "input_shape: collections.abc.Sequence[int | None] | None = (32, 32, 3)" in help20
    assert "classes: int = 10," in help20
    assert "weights: str | os.PathLike[str] | None = None" in help20
    assert "classes: int = 1000," in help50
    assert "weights: str | os.PathLike[str] | None = 'imagenet'" in help50
    assert "name: str | None = 'resnet50'" in help50


@pytest.mark.parametrize("name", NAMED)
def test_signature_docstring_and_pickle_are_its_own(name: str) -> None:
    builder = getattr(keras_resnet, name)
    signature = inspect.signature(builder)
    assert signature.parameters["name"].default == TORCHVISIONS.get(
        name, name.lower().replace("resnetrs", "resnet-rs-")
    )
    assert "variant" not in signature.parameters
    assert [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert (builder.__name__, builder.__qualname__, builder.__module__) == (name, name, "keras_resnet.models.networks")
    assert pickle.loads(pickle.dumps(builder)) is builder
    assert set(builder.__annotations__) == {*signature.parameters, "return"}
    doc = inspect.getdoc(builder)
    assert doc is not None
    assert doc.startswith(f"Builds {name}:")
    assert f"keras_resnet.{name}(" in doc
    arguments = doc.split("Args:")[1].split("Returns:")[0]
    assert all(f"    {parameter}: " in arguments for parameter in signature.parameters)
    assert "variant:" not in doc


def test_an_unknown_keyword_is_a_type_error_as_in_any_function_and_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="output_strid'. Did you mean 'output_stride'"):
        keras_resnet.ResNet50(output_strid=8)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"ResNet50\(\) got .* 'input_size'. Did you mean 'input_shape'"):
        keras_resnet.ResNet50(input_size=224)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'bn'. It takes include_top, weights, .*kernel_regularizer"):
        keras_resnet.ResNet20V2(bn=True)  # type: ignore[call-arg]


def test_docstrings_tell_wider_networks_from_plain_ones() -> None:
    told = {name: str(getattr(keras_resnet, name).__doc__) for name in ("ResNet50", "ResNeXt101", "WideResNet50")}
    assert "3x3 convolutions have" not in told["ResNet50"]
    assert "have 32 groups, in the first stage of 4 channels. Source: arXiv:1611.05431." in told["ResNeXt101"]
    assert "have 2 times the channels of a plain network's. Source: arXiv:1605.07146." in told["WideResNet50"]
