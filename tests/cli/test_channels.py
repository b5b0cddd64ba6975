"""Commands on pictures of other proportions, channels and depth: what training was told, the model's file tells."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import cli
from keras_resnet.cli.arguments import check_image_size
from keras_resnet.data.read import Reader
from keras_resnet.models.description import Description, description_of, with_description

pytestmark = pytest.mark.one_backend

FIELD = ("--channels", "5", "--value-range", "0", "1", "--resize", "pad", "--image-size", "8x12")
Said = Callable[..., str]


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files of NumPy, and the run that was trained on them."""
    root, rng = tmp_path_factory.mktemp("fields"), np.random.default_rng(0)
    for label, name in enumerate(("dry", "wet")):
        (root / "data" / name).mkdir(parents=True)
        for index in range(6):
            pixels = rng.uniform(0, 1, (10, 9 + index, 5)).astype("float32") * (0.5 + 0.5 * label)
            np.save(root / "data" / name / f"{index}.npy", pixels)
    settings = (*FIELD, "--model", "ResNet20", "--epochs", "1", "--augment", "strong")
    assert cli.main(("train", str(root / "data"), "--out", str(root / "run"), *settings)) == 0
    return root


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Said:
    """Runs a command, and returns what it says on both."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, status: int = 0) -> str:
        capfd.readouterr()
        assert cli.main(arguments) == status
        captured = capfd.readouterr()
        return captured.out + captured.err

    return run


def listed(said: str) -> Any:
    return json.loads(said[said.index("[\n") : said.rindex("]") + 1])


def test_the_file_tells_how_pictures_are_read(fields: Path, said: Said) -> None:
    model = keras.models.load_model(fields / "run" / "model.keras")
    assert description_of(model) == Description(("dry", "wet"), "classes", "pad", 5, (0, 1))
    assert model.input_shape == (None, 8, 12, 5)
    arguments = json.loads((fields / "run" / "run.json").read_text())["arguments"]
    assert arguments["resize"] == "pad"
    assert (fields / "run" / "predictions.png").stat().st_size > 1000
    paths = sorted((fields / "data").rglob("*.npy"))
    rows = listed(said("predict", str(fields / "run"), *map(str, paths), "--json"))
    read = Reader((8, 12), "pad", 5, (0, 1))
    expected = model.predict(np.stack([read(path) for path in paths]), verbose=0)
    for row, scores in zip(rows, expected, strict=True):
        found = {each["class"]: each["probability"] for each in row["predictions"]}
        assert [found["dry"], found["wet"]] == pytest.approx(scores.tolist(), abs=1e-5)
    assert "of 12 images" in said("evaluate", str(fields / "run"), str(fields / "data"))
    assert "it has 3 channels, and images of 5 are asked for" in said(
        "predict", str(fields / "run"), picture(), status=1
    )


def picture() -> str:
    """A wide picture, red in the middle."""
    pixels = np.zeros((10, 40, 3), "uint8")
    pixels[:, 15:25, 0] = 255
    Image.fromarray(pixels).save("wide.png")
    return "wide.png"


def test_a_resumed_run_reads_as_before_or_is_refused(fields: Path, said: Said) -> None:
    again = ("train", str(fields / "data"), "--out", str(fields / "run"), "--resume", "--model", "ResNet20")
    rest = ("--epochs", "1", "--augment", "strong")
    assert "best validation accuracy" in said(*again, *FIELD, *rest)
    message = said(*again, *FIELD[:5], "--resize", "crop", *FIELD[7:], *rest, status=1)
    assert "resize was 'pad' and is 'crop'" in message


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_predict_and_evaluate_do_what_a_file_says(channels: int, resize: Any, said: Said) -> None:
    image = keras.Input((6, 8, channels))
    top = keras.layers.Dense(2, "softmax", kernel_initializer=keras.initializers.RandomNormal(seed=1))
    scores = top(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image)))
    model = with_description(keras.Model(image, scores), Description(("a", "b"), resize=resize, channels=channels))
    model.save("model.keras")
    (row,) = listed(said("predict", "model.keras", picture(), "--json"))
    expected = model.predict(Reader((6, 8), resize, channels)("wide.png")[None].astype("float32"), verbose=0)[0]
    found = {each["class"]: each["probability"] for each in row["predictions"]}
    assert [found["a"], found["b"]] == pytest.approx(expected.tolist(), abs=1e-5)
    for name in "ab":
        Path("two", name).mkdir(parents=True)
        Image.open("wide.png").save(Path("two", name, "x.png"))
    assert "accuracy: 50.0% of 2 images" in said("evaluate", "model.keras", "two")


def test_models_that_tell_nothing_are_read_by_their_input(said: Said) -> None:
    for shape, channels in (((6, 8, 1), 1), ((2, 6, 8), 2), ((None, None, 7), 7), ((4, None, None), 4)):
        first = shape[0] in (2, 4)
        image = keras.Input(shape)
        order = "channels_first" if first else "channels_last"
        pooled = keras.layers.GlobalAveragePooling2D(data_format=order)(keras.layers.Rescaling(1 / 255)(image))
        keras.Model(image, keras.layers.Dense(2, "softmax")(pooled)).save("model.keras")
        np.save("x.npy", np.full((12, 16, channels), 99, "uint8"))
        size = ("--image-size", "5x7") if None in shape else ()
        assert len(listed(said("predict", "model.keras", "x.npy", "--json", *size))) == 1
    assert "takes images of any size" in said("predict", "model.keras", "x.npy")
    np.save("float.npy", np.zeros((4, 4, 4)))
    assert "floats of an unknown range" in said("predict", "model.keras", "float.npy", status=1)


def test_bad_readings_end_in_one_sentence_before_training(fields: Path, said: Said) -> None:
    data = str(fields / "data")
    for message, arguments in (
        ("--value-range` must be two numbers, the pixel values of black and of white", ("--value-range", "1", "0")),
        ("holds no image that can be used.*it has 5 channels, and images of 3 are asked for", ()),
        ("floats of an unknown range", ("--channels", "5")),
    ):
        text = said("train", data, "--out", "out", *arguments, status=1)
        assert re.search(message, text), text
        assert not Path("out").exists()
    text = said("train", "digits", "--out", "out", "--channels", "2", status=1)
    assert "it has 1 channel, and images of 2 are asked for" in text
    for size in ("31x64", "64x31"):
        height, width = map(int, size.split("x"))
        with pytest.raises(ValueError, match="`--image-size` must be 32 or more for ResNet50; received 31"):
            check_image_size("ResNet50", (height, width))


def test_transfer_takes_any_channels() -> None:
    for channels in (1, 4):
        model = keras_resnet.transfer.classifier(keras_resnet.ResNet20, 3, (16, 24), channels=channels)
        assert model.input_shape == (None, 16, 24, channels)
        model = keras_resnet.transfer.classifier("resnet20", 3, 16, channels=channels, data_format="channels_first")
        assert model.input_shape == (None, channels, 16, 16)
    with pytest.raises(ValueError, match="`channels` must be a positive int"):
        keras_resnet.transfer.classifier("resnet20", 3, 16, channels=0)
