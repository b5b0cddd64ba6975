"""From one library's file to another's: what is recognised, written, verified, and listed."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import cli
from keras_resnet.checkpoints.open import open_source
from keras_resnet.export.convert_weights import convert, recognize, verify
from keras_resnet.models.preprocessing import preprocess_input
from tests.helpers.nets import assert_close, randomise, run
from tests.helpers.torch_nets import golden, image, state_dict, write
from tests.models.weights.test_families import without_names

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("net", "network", "style"),
    [
        ("torchvision__resnet18", "resnet18", "torch"),
        ("timm__resnet26", "resnet26", "torch"),
        ("timm__resnetv2_34", "resnet34v2", "torch"),
        ("transformers__resnet-50", "resnet50", "torch"),
    ],
)
def test_a_file_is_recognized_by_its_tensors(net: str, network: str, style: str, tmp_path: Path) -> None:
    found = recognize(write(tmp_path / "net.safetensors", state_dict(net)))
    assert (found.variant.name, found.variant.lineage.style) == (network, style)
    assert (found.classes, found.channels) == (1000, 3)


def test_a_file_of_huggingface_becomes_torchvisions(tmp_path: Path) -> None:
    """All the way: transformers' names in, torchvision's out, through Keras and back."""
    source = write(tmp_path / "model.safetensors", state_dict("transformers__resnet-18"))
    assert cli.main(["convert", str(source), str(tmp_path / "net.pth"), "--verify"]) == 0
    assert cli.main(["convert", str(tmp_path / "net.pth"), str(tmp_path / "net.keras"), "--verify"]) == 0
    assert cli.main(["convert", str(tmp_path / "net.keras"), str(tmp_path / "b.safetensors"), "--to", "timm"]) == 0
    back = open_source(tmp_path / "b.safetensors")
    assert {name: list(shape) for name, shape in back.shapes.items()} == {
        name: list(value.shape) for name, value in state_dict("torchvision__resnet18").items()
    }
    first = state_dict("transformers__resnet-18")["resnet.embedder.embedder.convolution.weight"]
    np.testing.assert_array_equal(back.read("conv1.weight"), first)
    model = keras.models.load_model(tmp_path / "net.keras")
    logits = golden("transformers__resnet-18")["logits_65x65"]
    assert_close(np.log(run(model, image(65, 65))), logits - np.log(np.exp(logits).sum(1, keepdims=True)), 1e-4)


def test_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "net.safetensors", state_dict("torchvision__resnet18"))
    assert cli.main(["convert", str(source), str(tmp_path / "a.weights.h5"), "--verify"]) == 0
    said = capsys.readouterr().out
    for line in (
        f"source: {source}, a file of torchvision",
        "network: resnet18, style torch, 1000 classes, 3 channels",
        "weights: 102 weights loaded, 0 left as they were, 20 tensors unused",
        "verified: the target, loaded here, deviates by 0.0e+00 of the largest output",
        "not verified: the source was not run in torchvision or timm: not installed",
        "not verified: the target was not run elsewhere, as no supported library has this network",
    ):
        assert line in said
    body = randomise(keras_resnet.ResNet18(False, None, style="torch"))
    keras_resnet.save_weights(body, tmp_path / "body.pth")
    assert cli.main(["convert", str(tmp_path / "body.pth"), str(tmp_path / "b.keras"), "--verify"]) == 0
    assert "resnet18, style torch, no classifier, 3 channels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("net.safetensors", "a.onnx"), "`TARGET` must end in .keras, .weights.h5 or one of .safetensors"),
        (("net.safetensors", "a.keras", "--to", "timm"), "`--to` must be one of None, 'keras'; received 'timm'"),
        (("net.safetensors", "net.safetensors"), "net.safetensors' exists: pass --overwrite"),
        (("net.safetensors", "a.pth", "--include-preprocessing"), "needs a graph, a .keras file"),
        (
            ("timm/resnet18.a1_in1k", "nowhere/a.keras"),
            "`TARGET` must lie in an existing folder; there is no folder 'nowhere'",
        ),  # nothing is fetched
        (("nothing.pth", "a.keras"), "`SOURCE` must be .*received 'nothing.pth'"),
        (
            ("bare.weights.h5", "a.keras"),
            "`--style` must be one of 'torch', 'slim'; received None.*does not tell which",
        ),
        (("bare.weights.h5", "a.keras", "--style", "keras"), "`--style` must be one of 'torch', .*received 'keras'"),
        (
            ("bare.weights.h5", "a.pth", "--style", "slim"),
            "for a file of torchvision or timm; .* is built in style 'slim'",
        ),
        (("net.safetensors", "a.keras", "--scope", "model"), "`--scope` must be .*received 'model'"),
        (("foreign.safetensors", "a.keras"), "It fits no network of this package"),
    ],
    ids=str,
)
def test_what_cannot_be_converted_is_one_sentence_and_no_file(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    tensors = state_dict("torchvision__resnet18")
    write(tmp_path / "net.safetensors", tensors)
    write(tmp_path / "foreign.safetensors", tensors | {"layer1.0.conv3.weight": np.ones((64, 64, 1, 1), "f4")})
    keras_resnet.ResNet18(weights=None, style="torch").save_weights("bare.weights.h5")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert cli.main(["convert", *arguments]) == 1
    said = capsys.readouterr().err
    assert __import__("re").search(message, said), said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def without_names_file(folder: Path, model: keras.Model) -> Path:
    model.save_weights(folder / "bare.weights.h5")
    return without_names(folder / "bare.weights.h5")


def test_a_scope_in_the_file_is_no_hindrance_and_preprocessing_can_go_into_the_graph(
    tmp_path: Path, capsys: Any
) -> None:
    tiny = keras_resnet.ResNet20(style="torch")
    scoped = keras.models.clone_model(
        tiny, clone_function=lambda layer: type(layer).from_config(layer.get_config() | {"name": f"net__{layer.name}"})
    )
    scoped.set_weights(randomise(tiny).get_weights())
    scoped.save(tmp_path / "a.keras")
    target = str(tmp_path / "b.keras")
    assert cli.main(["convert", str(tmp_path / "a.keras"), target, "--include-preprocessing", "--verify"]) == 0
    assert "it takes raw RGB in [0, 255]\n" in capsys.readouterr().out
    model = keras.models.load_model(target)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    scaled = preprocess_input(pixels, "torch", "channels_last")
    assert_close(run(model, pixels), run(tiny, scaled), 1e-5)
    assert cli.main(["convert", target, target, "--overwrite"]) == 1
    assert "`TARGET` must differ from the source" in capsys.readouterr().err
    bare = without_names_file(tmp_path, tiny)
    assert cli.main(["convert", str(bare), str(tmp_path / "c.keras")]) == 1
    assert "The file holds no layer names; by the shapes of its tensors and their order" in capsys.readouterr().err
    assert cli.main(["convert", str(tmp_path / "a.keras"), target, "--overwrite"]) == 0
    assert "it takes pixels scaled as the weights expect them (raw RGB with" in capsys.readouterr().out


def test_a_style_that_the_file_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    model = randomise(keras_resnet.ResNet18(weights=None, style="slim", classes=5, input_shape=(32, 32, 1)))
    model.save_weights(tmp_path / "a.weights.h5")
    found = recognize(tmp_path / "a.weights.h5", "slim")
    assert (found.variant.lineage.style, found.classes, found.channels) == ("slim", 5, 1)
    report = convert(found, tmp_path / "b.keras")
    assert report.left == ()
    again = keras.models.load_model(tmp_path / "b.keras")
    assert all(map(np.array_equal, again.get_weights(), model.get_weights()))
    assert recognize(tmp_path / "b.keras").variant.lineage.style == "slim"  # which its config tells


def test_what_other_libraries_make_of_the_files_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for torchvision: these machines have none. keras.applications is always there."""
    import torch

    class Net(torch.nn.Module):
        """Answers what torchvision's ResNet-18 would to the golden's file and these images, or something else."""

        def __init__(self, num_classes: int, wrong: float) -> None:
            super().__init__()
            self.classes, self.wrong = num_classes, wrong
            self.seen: dict[str, Any] = {}

        def load_state_dict(self, tensors: Any) -> None:  # type: ignore[override]
            assert set(tensors) == set(state_dict("torchvision__resnet18"))
            self.seen.update(tensors)

        def forward(self, x: Any) -> Any:
            model = keras_resnet.ResNet18(
                weights=tmp_path / "net.safetensors", classifier_activation=None, input_shape=(65, 65, 3)
            )
            found = run(model, np.moveaxis(x.numpy(), 1, -1))
            return torch.from_numpy(found * (1 + self.wrong))

    fake = types.ModuleType("torchvision")
    fake.__spec__ = __import__("importlib").machinery.ModuleSpec("torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    found = recognize(write(tmp_path / "net.safetensors", state_dict("torchvision__resnet18")))
    convert(found, tmp_path / "a.pth")
    for wrong in (0.0, 0.01):
        fake.models = types.SimpleNamespace(  # type: ignore[attr-defined]
            resnet18=lambda num_classes, wrong=wrong: Net(num_classes, wrong)
        )
        if wrong:
            with pytest.raises(ValueError, match="the source, in torchvision, gives other outputs: .* 1.0e-02"):
                verify(found, tmp_path / "a.pth")
        else:
            lines = verify(found, tmp_path / "a.pth")
            assert [line.rpartition(", ")[0] for line in lines] == [
                "verified: the target, loaded here",
                "verified: the source, in torchvision",
                "verified: the target, in torchvision",
            ]
    theirs = randomise(keras.applications.ResNet50(weights=None, classes=7, input_shape=(64, 64, 3)))
    theirs.save_weights(tmp_path / "k.weights.h5")
    found = recognize(tmp_path / "k.weights.h5")
    convert(found, tmp_path / "k.keras")
    assert "the source, in keras.applications, deviates by " in verify(found, tmp_path / "k.keras")[1]


def test_list_shows_the_catalogue(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "none of them")  # it needs no backend
    assert cli.main(["list", "ResNet18", "--style", "torch"]) == 0
    said = capsys.readouterr().out
    assert "timm/resnet18.a1_in1k" in said
    assert "torchvision/resnet18.v1 *" in said
    assert "ResNet50" not in said
    assert cli.main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in rows] == list(keras_resnet.list_weights())
    assert cli.main(["list", "ResNet51"]) == 1
    assert "Did you mean" in capsys.readouterr().err


def test_a_style_of_the_same_layout_is_no_other(tmp_path: Path) -> None:
    """Basic units have no 1x1 in which their first convolution could stride."""
    keras_resnet.save_weights(keras_resnet.ResNet20(), tmp_path / "net.pth")
    for style in ("torch", "torch_1x1", "torch_cifar"):
        assert recognize(tmp_path / "net.pth", style).variant.lineage.style == style
    with pytest.raises(ValueError, match="can be of no other"):
        recognize(tmp_path / "net.pth", "slim")
