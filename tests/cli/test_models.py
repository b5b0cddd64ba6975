"""predict and evaluate: models of all kinds, and what the numbers mean that they print."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from PIL import Image
from torch.nn import functional

import keras_resnet
from keras_resnet import cli
from keras_resnet.cli.load_model import load_model
from tests.helpers.nets import randomise, run
from tests.helpers.pictures import SHAPES, draw_folder

pytestmark = pytest.mark.one_backend
SCALES = "scales pixels. It gets raw RGB"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in a folder that has a picture, and returns all that it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    Image.new("RGB", (16, 16), (200, 100, 50)).save("a.png")

    def run(*arguments: str, status: int = 0) -> str:
        with contextlib.suppress(SystemExit):  # argparse's
            assert cli.main(arguments) == status
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run


def scores(text: str) -> dict[str, float]:
    """What predict --json says of the first picture."""
    found = json.loads(text[text.index("[\n") : text.rindex("]") + 1])
    return {each["class"]: each["probability"] for each in found[0]["predictions"]}


def body(shape: tuple[int | None, ...] = (16, 16, 3), scaled: bool = True, data_format: str = "channels_last") -> Any:
    """A small functional model, up to its features."""
    x = image = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(x) if scaled else x
    x = layers.Conv2D(4, 3, strides=2, data_format=data_format)(x)
    return keras.Model(image, layers.GlobalAveragePooling2D(data_format)(x))


def topped(units: int, activation: str | None, bias: Any = "zeros", nested: bool = True, **arguments: Any) -> Any:
    """A body with a top that ignores it, as a `Sequential`, or flat."""
    initial = keras.initializers.Constant(bias) if not isinstance(bias, str) else bias
    top = layers.Dense(units, activation, kernel_initializer="zeros", bias_initializer=initial)
    below = body(**arguments)
    if nested:
        return keras.Sequential([keras.Input(below.input_shape[1:]), below, top])
    return keras.Model(below.input, top(below.output))


@pytest.mark.parametrize("nested", [True, False])
def test_predict_shows_the_probability_of_the_class_that_it_names(nested: bool, command: Callable[..., str]) -> None:
    topped(1, "sigmoid", 2.0, nested).save("binary.keras")
    assert scores(command("predict", "binary.keras", "a.png", "--json")) == pytest.approx(
        {"0": 0.119203, "1": 0.880797}
    )
    assert "88.1% 1" in command("predict", "binary.keras", "a.png", "--top", "9")
    topped(2, None, [3.0, 1.0], nested).save("logits.keras")
    said = command("predict", "logits.keras", "a.png", "--json")
    assert scores(said) == pytest.approx({"0": 0.880797, "1": 0.119203})
    assert "note: logits.keras ends without activation" in said
    topped(3, "sigmoid", 0.0, nested).save("several.keras")
    said = command("predict", "several.keras", "a.png", "--json")
    assert scores(said) == pytest.approx({"0": 0.5, "1": 0.5, "2": 0.5})
    assert "note" not in said


def test_the_folder_of_a_run_is_the_model_in_it(command: Callable[..., str], tmp_path: Path) -> None:
    """Whole, with its layers and names: not its weights in a network that the folder's file is recognized as."""
    (tmp_path / "run").mkdir()
    model = topped(2, "softmax", [0.0, 1.0])
    keras_resnet.labels.with_class_names(model, ["cat", "dog"]).save("run/model.keras")
    for name in ("run.json", "labels.txt", "history.csv"):
        (tmp_path / "run" / name).write_text("{}")
    assert scores(command("predict", "run", "a.png", "--json")) == pytest.approx({"cat": 0.26894142, "dog": 0.73105858})
    (tmp_path / "run" / "other.keras").write_text("")
    assert "several weights files: 'model.keras', 'other.keras'" in command("predict", "run", "a.png", status=1)


def named(model: Any) -> None:
    keras_resnet.labels.with_class_names(model, ["cat", "dog"]).save("named.keras")


@pytest.mark.parametrize("nested", [True, False])
def test_the_note_that_nothing_scales_is_true_at_any_depth(nested: bool, command: Callable[..., str]) -> None:
    for scaled in (True, False):
        topped(2, "softmax", nested=nested, scaled=scaled).save("model.keras")
        said = command("predict", "model.keras", "a.png")
        assert (f"model.keras has no layer that {SCALES}" in said) is not scaled
        assert ("note" in said) is not scaled
    image = keras.Input((16, 16, 3))
    for x in (image / 255.0, layers.BatchNormalization()(image)):
        keras.Model(image, topped(2, "softmax", nested=nested, scaled=False)(x)).save("may.keras")
        assert f"may.keras may have no layer that {SCALES}" in command("predict", "may.keras", "a.png")


def test_channels_first_and_partly_known_sizes_are_served(command: Callable[..., str]) -> None:
    first = randomise(body((3, None, 16), data_format="channels_first"))
    first = keras.Model(first.input, layers.Dense(2, "softmax")(first.output))
    first.save("first.keras")
    picture = np.asarray(Image.open("a.png"), "float32").transpose(2, 0, 1)[None]
    expected = run(first, picture)[0]
    assert scores(command("predict", "first.keras", "a.png", "--json")) == pytest.approx(
        {"0": expected[0], "1": expected[1]}
    )
    assert "16x16 alone" in command("predict", "first.keras", "a.png", "--image-size", "8", status=1)


def test_models_that_predict_cannot_serve_are_told_what_they_lack(command: Callable[..., str]) -> None:
    two = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    below = body()
    video = keras.Sequential([keras.Input((4, 16, 16, 3)), layers.TimeDistributed(topped(2, "softmax"))])
    for model, message in (
        (keras.Model(two, layers.Flatten()(layers.Add()(two))), "it takes (None, 8, 8, 3) and (None, 8, 8, 3)"),
        (keras.Model(below.input, [below.output, below.output]), "returns (None, 4) and (None, 4)"),
        (video, "must take RGB images"),
        (keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 1)]), "returns (None, 8, 8, 2)"),
        (topped(1, None, 2.0), "one output with no activation. For two classes, end the model in Dense(1"),
        (topped(1, "softmax"), "one output with a softmax, which is always 1"),
        (topped(2, "relu", 3.0), "lie in [3, 3], and those of one image sum to 6 instead of 1"),
        (topped(2, "softmax", np.nan), "not finite"),
    ):
        model.save("model.keras")
        assert message in command("predict", "model.keras", "a.png", status=1)
    topped(2, "softmax").save("model.keras")
    assert "are for files of weights alone" in command("predict", "model.keras", "a.png", "--style", "torch", status=1)


def test_a_model_of_own_classes_is_called_one(command: Callable[..., str]) -> None:
    class Own(layers.Dense):  # type: ignore[misc]
        pass

    class Whole(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return ops.mean(x, (1, 2))

    below = body()
    keras.Model(below.input, Own(2, "softmax")(below.output)).save("own.keras")
    assert "it needs 'Own', which is not of Keras" in command("predict", "own.keras", "a.png", status=1)
    keras.Model(below.input, layers.Lambda(lambda x: x)(below.output)).save("code.keras")
    assert "it holds code, in a Lambda layer" in command("predict", "code.keras", "a.png", status=1)
    keras.saving.register_keras_serializable("tests")(Whole)
    whole = Whole()
    whole(np.zeros((1, 8, 8, 3), "float32"))
    whole.save("whole.keras")
    assert "is a model of the class Whole without a graph" in command("predict", "whole.keras", "a.png", status=1)


def test_a_whole_model_in_an_h5_file_is_one(command: Callable[..., str]) -> None:
    topped(1, "sigmoid", 2.0).save("old.h5")
    assert "88.1% 1" in command("predict", "old.h5", "a.png")


def cifar_file(path: str, **arguments: Any) -> keras.Model:
    """A file of weights of ResNet20, and the model that takes raw RGB as it should."""
    given: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 3, "include_preprocessing": True} | arguments
    model = randomise(keras_resnet.ResNet20(**given))
    keras_resnet.save_weights(model, path)
    return model


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".weights.h5"])
def test_weights_files_predict_and_evaluate_as_the_network_does(suffix: str, command: Callable[..., str]) -> None:
    model = cifar_file("net.pth")
    if suffix == ".weights.h5":
        model.save_weights("net.weights.h5")
    elif suffix != ".pth":
        keras_resnet.save_weights(model, f"net{suffix}")
    style = ("--style", "torch") if suffix == ".weights.h5" else ()
    draw_folder(Path("shapes"), 4)
    picture = np.asarray(Image.open("a.png").resize((32, 32)), "float32")[None]
    said = command("predict", f"net{suffix}", "a.png", "--json", *style)
    assert list(scores(said).values()) == pytest.approx(sorted(run(model, picture)[0], reverse=True), abs=1e-5)
    assert (
        f"note: net{suffix} says nothing of images: they are stretched to 32x32 and scaled as in style 'torch'" in said
    )
    said = command("evaluate", f"net{suffix}", "shapes", "--json", *style)
    pictures = keras_resnet.data.folder("shapes", 32)
    right = (model.predict(pictures, verbose=0).argmax(1) == pictures.labels).mean()
    assert f'"accuracy": {right}' in said
    assert f"note: net{suffix} holds no class names; those of DATA are taken, in alphabetical order" in said
    other = command("evaluate", f"net{suffix}", "shapes", "--image-size", "16", *style)
    assert "they are stretched to 16x16" in other


def test_the_published_kind_of_cifar_checkpoint_gives_its_own_networks_numbers(command: Callable[..., str]) -> None:
    """Zero channels on both sides, a classifier `linear`, names below `module.`: as its training script has it."""
    cifar_file("net.pth", classes=10)
    tensors = torch.load("net.pth", weights_only=True)
    named = {f"module.{name.replace('fc.', 'linear.')}": value for name, value in tensors.items()}
    torch.save({"state_dict": named, "best_prec1": 91.7}, "resnet20.th")
    Image.effect_noise((32, 32), 90).convert("RGB").save("b.png")
    x = torch.from_numpy(np.asarray(Image.open("b.png"), "float32").transpose(2, 0, 1)[None] / 255)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        logits = published_resnet20(tensors, (x - mean) / deviation)
    found = scores(command("predict", "resnet20.th", "b.png", "--json", "--top", "10"))
    expected = torch.softmax(logits, 1)[0].tolist()
    assert [found[str(label)] for label in range(10)] == pytest.approx(expected, abs=1e-5)


def published_resnet20(tensors: dict[str, Any], x: Any) -> Any:
    """Logits, as PyTorch's well-known implementation for CIFAR computes them."""

    def normed(x: Any, conv: str, norm: str, stride: int = 1) -> Any:
        x = functional.conv2d(x, tensors[f"{conv}.weight"], stride=stride, padding=1)
        running = (tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"])
        return functional.batch_norm(x, *running, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"], eps=1e-5)

    x = functional.relu(normed(x, "conv1", "bn1"))
    for stage in (1, 2, 3):
        for unit in range(3):
            name, stride = f"layer{stage}.{unit}", 2 if stage > 1 and unit == 0 else 1
            y = functional.relu(normed(x, f"{name}.conv1", f"{name}.bn1", stride))
            y = normed(y, f"{name}.conv2", f"{name}.bn2")
            half = (y.shape[1] - x.shape[1]) // 2
            x = functional.relu(y + functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, half, half)))
    return functional.linear(x.mean((2, 3)), tensors["fc.weight"], tensors["fc.bias"])


def test_weights_files_of_imagenets_networks_are_cropped_as_published_ones(command: Callable[..., str]) -> None:
    model = randomise(keras_resnet.ResNet18(weights=None, style="torch", classes=3, include_preprocessing=True))
    keras_resnet.save_weights(model, "net.pth")
    Image.effect_noise((300, 260), 80).convert("RGB").save("b.png")
    crop = keras_resnet.preprocessing_for("torchvision/resnet18.v1").crop("b.png")
    expected = run(model, crop[None].astype("float32"))[0]
    said = command("predict", "net.pth", "b.png", "--json")
    assert list(scores(said).values()) == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert "they are cropped as for torchvision/resnet18.v1 and scaled as in style 'torch'" in said
    draw_folder(Path("shapes"), 1)
    assert "accuracy:" in command("evaluate", "net.pth", "shapes")


def test_a_weights_file_called_as_a_published_one_is_cropped_to_either_of_its_sizes(
    command: Callable[..., str],
) -> None:
    arguments: dict[str, Any] = {"input_shape": (None, None, 3), "classes": 3, "include_preprocessing": True}
    model = randomise(keras_resnet.ResNet18(weights=None, style="torch", **arguments))
    keras_resnet.save_weights(model, "resnet18_a3_0-40c531c8.pth")
    Image.effect_noise((300, 260), 80).convert("RGB").save("b.png")
    sizes: tuple[Any, ...] = ((224, "test", ()), (160, "train", ("--size", "train")))
    for side, size, options in sizes:
        crop = keras_resnet.preprocessing_for("timm/resnet18.a3_in1k", size).crop("b.png")
        assert crop.shape == (side, side, 3)
        expected = sorted(run(model, crop[None].astype("float32"))[0], reverse=True)
        said = command("predict", "resnet18_a3_0-40c531c8.pth", "b.png", "--json", *options)
        assert list(scores(said).values()) == pytest.approx(expected, abs=1e-5)
        assert "they are cropped as for timm/resnet18.a3_in1k and scaled as in style 'torch'" in said


def test_a_weights_file_of_any_name_is_cropped_to_the_training_size_of_its_own_network(
    command: Callable[..., str],
) -> None:
    """Which nobody said is timm's: its larger size, too, is taken only if asked for."""
    arguments: dict[str, Any] = {"input_shape": (None, None, 3), "classes": 3, "include_preprocessing": True}
    model = randomise(keras_resnet.ResNet("resnet10t", **arguments))
    keras_resnet.save_weights(model, "net.pth")
    Image.effect_noise((300, 260), 80).convert("RGB").save("b.png")
    sizes: tuple[Any, ...] = ((176, "train", ()), (224, "test", ("--size", "test")))
    for side, size, options in sizes:
        crop = keras_resnet.preprocessing_for("timm/resnet10t.c3_in1k", size).crop("b.png")
        assert crop.shape == (side, side, 3)
        expected = sorted(run(model, crop[None].astype("float32"))[0], reverse=True)
        said = command("predict", "net.pth", "b.png", "--json", *options)
        assert list(scores(said).values()) == pytest.approx(expected, abs=1e-5)
        assert "they are cropped as for timm/resnet10t.c3_in1k and scaled as in style 'torch'" in said


def test_the_sizes_of_published_weights_are_none_of_a_keras_file(command: Callable[..., str]) -> None:
    topped(2, "softmax").save("model.keras")
    for name in ("predict", "evaluate"):
        said = command(name, "model.keras", "a.png", "--size", "train", status=1)
        assert "--size is for published weights and weights files; leave it out with 'model.keras'." in said


def test_weights_files_without_what_it_takes_are_refused(command: Callable[..., str]) -> None:
    for message, arguments in (
        ("it holds resnet20 for features, without a classifier", {"include_top": False}),
        ("it holds resnet20 for images of 1 channels", {"input_shape": (32, 32, 1), "include_preprocessing": False}),
        ("one output with no activation", {"classes": 1, "classifier_activation": None}),
    ):
        cifar_file("net.pth", **arguments)
        assert message in command("predict", "net.pth", "a.png", status=1)
    model = cifar_file("net.pth")
    keras_resnet.save_weights(model, "one.pth")
    one = torch.load("one.pth", weights_only=True)
    torch.save({"a": one, "b": one}, "two.pth")
    assert "Pass --scope a or --scope b." in command("predict", "two.pth", "a.png", status=1)
    assert "`--scope` must be one of 'a', 'b'" in command("predict", "two.pth", "a.png", "--scope", "c", status=1)
    assert "% 1" in command("predict", "two.pth", "a.png", "--scope", "a")
    assert "must be one of" in command("predict", "net.pth", "a.png", "--style", "slim", status=1)
    torch.save({name: value for name, value in one.items() if "running" not in name}, "groups.pth")
    assert "The norms in the file have no running statistics" in command("predict", "groups.pth", "a.png", status=1)
    Path("text.pth").write_text("no weights")
    assert "'text.pth' is not a weights file" in command("predict", "text.pth", "a.png", status=1)


def test_a_thousand_classes_are_imagenets_and_offline_it_says_how(command: Callable[..., str]) -> None:
    model = keras_resnet.ResNet18(weights=None, style="torch")
    keras_resnet.save_weights(model, "net.pth")
    said = command("predict", "net.pth", "a.png", status=1)
    assert "its 1000 classes are taken for ImageNet's" in said
    assert "imagenet_class_index.json" in said
    assert "save it as" in said


def test_the_class_that_evaluate_counts_is_the_one_that_is_meant(command: Callable[..., str]) -> None:
    draw_folder(Path("all"), 2)
    for name in SHAPES[1:]:
        (Path("two") / name).parent.mkdir(exist_ok=True)
        (Path("all") / name).rename(Path("two") / name)
    topped(1, "sigmoid", 2.0).save("binary.keras")
    said = command("evaluate", "binary.keras", "two", "--json")
    found = json.loads(said[said.index("{\n") : said.rindex("}") + 1])
    assert found["confusion"] == [[0, 2], [0, 2]]
    assert "holds no class names" in said
    named(topped(2, None, [3.0, 1.0], nested=False))
    for old, new in zip(SHAPES[1:], ("dog", "cat"), strict=True):
        (Path("two") / old).rename(Path("two") / new)
    said = command("evaluate", "named.keras", "two", "--json")
    assert json.loads(said[said.index("{\n") : said.rindex("}") + 1])["confusion"] == [[2, 0], [2, 0]]
    assert "holds no class names" not in said


def test_a_model_to_export_may_be_given_by_the_folder_of_its_training(tmp_path: Path) -> None:
    topped(2, None).save(tmp_path / "model.keras")
    (tmp_path / "history.csv").write_text("epoch")
    assert load_model(str(tmp_path)).output_shape == (None, 2)
    (tmp_path / "model.keras").unlink()
    with pytest.raises(ValueError, match="is a folder without a weights file. It holds 'history.csv'"):
        load_model(str(tmp_path))
