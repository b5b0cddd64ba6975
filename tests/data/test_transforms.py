"""Pictures as published weights expect them: beside the libraries that publish these, in the graph, as commands."""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import keras
import numpy as np
import PIL
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import cli, preprocessing_for
from keras_resnet.architecture import rows
from keras_resnet.architecture.rows import RESNET18, RESNET50, RESNET50V2
from keras_resnet.checkpoints import catalogue
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.checkpoint import Checkpoint, Size
from keras_resnet.cli import load_model
from keras_resnet.data.transforms import Preprocessing
from keras_resnet.models import labels, preprocessing
from tests.helpers.nets import assert_close, data_format, randomise, run, thin, with_style
from tests.helpers.torch_nets import state_dict, write

once = pytest.mark.one_backend
GOLDENS = json.loads((Path(__file__).parents[1] / "goldens" / "pixels.json").read_text())
# Of the rows that are no other one's weights, families without pixels to compare with, and why
UNSTATED = {
    "keras": "keras.applications documents no resizing, and the converter of ResNet-RS resizes with TensorFlow",
    "classification_models": "its README tells of a centre crop, without code for it",
    "slim": "it resizes without antialiasing, in TensorFlow 1",
    "bit": "of the files trained on ImageNet alone nothing but their training is known",
    "keras_hub": "PaddleClas' weights, of which the converter states the size of images alone",
}
SIZES: tuple[Size, ...] = get_args(Size)
TRAIN_AND_TEST: tuple[Size, Size] = ("train", "test")


def picture(height: int, width: int) -> Any:
    """Waves and noise: a pixel's shift changes nearly every value."""
    y, x = np.mgrid[:height, :width]
    wave = np.stack([np.sin(x / 9 + y / 17), np.cos(x / 23 - y / 5), np.sin(x * y / 1500)], -1)
    noise = np.random.RandomState(height).uniform(-40, 40, (height, width, 3))
    return np.rint(127.5 + 80 * wave + noise).astype("uint8")


@once
def test_every_row_gives_the_pixels_of_its_library_at_both_sizes(tmp_path: Path) -> None:
    """Of pictures higher, wider, much wider, smaller than the crop, and with half a pixel left over beside it."""
    paths = [tmp_path / f"{height}x{width}.png" for height, width in GOLDENS["pictures"]]
    for path, (height, width) in zip(paths, GOLDENS["pictures"], strict=True):
        Image.fromarray(picture(height, width)).save(path)

    @cache
    def digest(preprocess: Preprocessing) -> str:
        found = hashlib.sha256()
        for path in paths:
            pixels = preprocess.crop(path)
            assert pixels.dtype == np.uint8
            assert pixels.shape == (preprocess.image_size, preprocess.image_size, 3)
            found.update(pixels.tobytes())
        return found.hexdigest()

    wrong = [
        f"{key} at the {size} size; its library: {settings}"
        for key, row in GOLDENS["train, test, scaling"].items()
        for size, settings in zip(TRAIN_AND_TEST, row[:2], strict=True)
        if digest(preprocessing_for(key, size)) != GOLDENS["sha256"][settings]
    ]
    assert not wrong, f"Pillow {PIL.__version__}, the goldens' {GOLDENS['pillow']}: {wrong}"
    alone = {key for key, row in list_weights().items() if row.family in UNSTATED and not row.same_as}
    assert set(list_weights()) - set(GOLDENS["train, test, scaling"]) == alone


@once
def test_every_row_scales_as_its_library(tmp_path: Path) -> None:
    """The same of a file, of its pixels and of an open image."""
    pixels, path = picture(60, 66), tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)

    @cache
    def scaled(preprocess: Preprocessing) -> Any:
        found = preprocess(path)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(preprocess(pixels), found)
        with Image.open(path) as image:
            np.testing.assert_array_equal(preprocess(image), found)
        return found

    for key, (*_, scaling) in GOLDENS["train, test, scaling"].items():
        mean, std = GOLDENS["mean and std"][scaling]
        for size in SIZES:
            preprocess = preprocessing_for(key, size)
            expected = (preprocess.crop(pixels) / 255 - mean) / std
            np.testing.assert_allclose(scaled(preprocess), expected, rtol=0, atol=1e-5, err_msg=f"{key} {size}")


@once
def test_the_test_size_is_the_larger_of_two_and_the_default() -> None:
    two, one = "timm/resnet50.a1_in1k", "torchvision/resnet50.v2"
    settings = {size: preprocessing_for(two, size) for size in SIZES}
    assert {size: (each.image_size, each.resize) for size, each in settings.items()} == {
        "test": (288, 288),
        "train": (224, 235),
    }
    assert preprocessing_for(two) == settings["test"]
    assert preprocessing_for(one) == preprocessing_for(one, "test") == preprocessing_for(one, "train")
    wrong: Any
    for wrong, hint in (("tests", " Did you mean 'test'?"), (288, ""), (None, ""), (["test"], "")):
        with pytest.raises(ValueError, match="`size` must be one of 'test', 'train'; received") as raised:
            preprocessing_for(two, wrong)
        assert str(raised.value).endswith(f"received {wrong!r}.{hint}")


@once
@pytest.mark.parametrize(
    ("key", "left"),
    [
        ("torchvision/resnet50.v1", 18),
        ("timm/resnet50.tv_in1k", 18),
        ("microsoft/resnet-50", 17),
        ("slim/resnet_v1_50", 17),
    ],
)
def test_where_nothing_is_resized_the_crop_is_the_middle_pixel_by_pixel(key: str, left: int) -> None:
    """35 columns are too many."""
    pixels = picture(256, 259)
    np.testing.assert_array_equal(preprocessing_for(key).crop(pixels), pixels[16:240, left : left + 224])
    turned = np.ascontiguousarray(pixels.swapaxes(0, 1))
    np.testing.assert_array_equal(preprocessing_for(key).crop(turned), turned[left : left + 224, 16:240])


@once
def test_squashing_shows_the_whole_picture_whatever_its_shape() -> None:
    pixels = picture(100, 300)
    expected = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(preprocessing_for("keras/resnet50").crop(pixels), np.asarray(expected))
    expected = Image.fromarray(pixels).resize((341, 341), Image.Resampling.BILINEAR).crop((21, 21, 320, 320))
    np.testing.assert_array_equal(preprocessing_for("slim/resnet_v2_50").crop(pixels), np.asarray(expected))


@once
def test_every_key_has_a_preprocessing_of_its_row() -> None:
    pixels = picture(40, 30)
    for key, row in list_weights().items():
        sides: dict[str, Any] = {"train": (row.image_size, row.resize)}
        sides["test"] = (row.test_image_size, row.test_resize) if row.test_image_size else sides["train"]
        for size in SIZES:
            found = preprocessing_for(key, size)
            told = (found.image_size, found.resize, found.squash, found.interpolation, found.mode)
            assert told == (*sides[size], row.squash, row.interpolation, row.preprocessing), (key, size)
    for found in {preprocessing_for(key, size) for key in list_weights() for size in SIZES}:
        out = found(pixels)
        assert out.shape == (found.image_size, found.image_size, 3), found
        assert out.std() > 0.1, found


@once
def test_a_key_that_there_is_not_is_a_short_sentence() -> None:
    for key, message in (
        ("timm/resnet18.a1_in1", "received 'timm/resnet18.a1_in1'. Did you mean 'timm/resnet18.a1_in1k'?"),
        ("imagenet", "`key` must be one of keras_resnet.list_weights(); received 'imagenet'."),
        (None, "received None."),
        (["keras/resnet50"], "received ['keras/resnet50']."),
    ):
        with pytest.raises(ValueError) as raised:  # noqa: PT011
            preprocessing_for(key)  # type: ignore[arg-type]
        assert message in str(raised.value)
        assert len(str(raised.value)) < 200


@once
@pytest.mark.parametrize(
    "batch", [np.zeros((2, 4, 4, 3), "uint8"), keras.ops.zeros((4, 4, 3))], ids=["batch", "tensor"]
)
def test_what_is_not_one_picture_is_sent_to_scale(batch: Any) -> None:
    preprocess = preprocessing_for("timm/resnet50.a1_in1k")
    for read in (preprocess, preprocess.crop):
        with pytest.raises(
            ValueError, match=r"`picture` must be one image: .* of shape \(.*4, 4, 3\)\. .* go to scale\(\)"
        ):
            read(batch)


@once
@pytest.mark.parametrize("x", ["cat.jpg", Path("cat.jpg"), None, np.float32(1), np.zeros((4, 3))])
def test_what_are_no_pictures_is_not_scaled(x: Any) -> None:
    with pytest.raises(
        ValueError, match=r"`x` must be images .*To read a file, call the preprocessing with its path\."
    ):
        preprocessing_for("keras/resnet50v2").scale(x)


def upright(path: Path) -> Any:
    """A picture on its side, with the note by which viewers turn it."""
    pixels = picture(60, 90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(np.rot90(pixels)).save(path, exif=exif)
    return pixels


def gray(path: Path) -> Any:
    pixels = picture(60, 90)[..., 0]
    Image.fromarray(pixels).save(path)
    return np.stack([pixels] * 3, -1)


def transparent(path: Path) -> Any:
    pixels = picture(60, 90)
    alpha = np.where(np.arange(90) < 40, 0, 255)[np.newaxis, :, np.newaxis].repeat(60, 0).astype("uint8")
    Image.fromarray(np.concatenate([pixels, alpha], -1)).save(path)
    return np.where(alpha == 0, 255, pixels).astype("uint8")


def deep(path: Path) -> Any:
    pixels = picture(60, 90)[..., 0]
    Image.fromarray(pixels.astype("uint16") * 257).save(path)
    return np.stack([pixels] * 3, -1)


@once
@pytest.mark.parametrize("draw", [upright, gray, transparent, deep])
def test_a_file_is_upright_rgb_on_white_in_8_bits(draw: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    preprocess = preprocessing_for("timm/resnet50.a1_in1k")
    pixels = draw(path)
    np.testing.assert_array_equal(preprocess.crop(path), preprocess.crop(pixels))
    np.testing.assert_array_equal(preprocess(str(path)), preprocess(pixels))


@once
def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (("text.png", "text.png can't be read as an image"), ("gone.png", "no such file")):
        with pytest.raises(ValueError, match=message):
            preprocessing_for("keras/resnet50")(tmp_path / name)


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("mode", ["tf", "caffe", "rgb_means", "torch", "swav"])
def test_the_layers_of_a_mode_are_its_function(mode: str, order: str) -> None:
    raw = picture(5, 4)[np.newaxis].astype("float32")
    raw = raw if order == "channels_last" else np.ascontiguousarray(np.moveaxis(raw, -1, 1))
    image = keras.Input(raw.shape[1:])
    model = keras.Model(image, preprocessing.preprocessing_layers(image, mode, order))
    expected = preprocessing.preprocess_input(raw, mode, order)
    np.testing.assert_allclose(run(model, raw), expected, rtol=1e-6, atol=2e-5)
    others = {"tf", "caffe", "rgb_means", "torch", "swav"} - {mode}
    for other in others:  # else the claim would hold of a mode mistaken for another
        assert np.abs(preprocessing.preprocess_input(raw, other, order) - expected).max() > 1e-3


def scaled_by_hand(mode: str, dtype: str = "float64") -> Any:
    """Two images of a mode whose channels come last, as its means and deviations are defined."""
    raw = np.stack([picture(5, 4), picture(7, 4)[:5]]).astype(dtype)
    if mode == "tf":
        return raw / 127.5 - 1
    if mode == "caffe":
        return raw[..., ::-1] - np.array([103.939, 116.779, 123.68], dtype)
    mean, std = GOLDENS["mean and std"]["swav" if mode == "swav" else "imagenet"]
    return (raw / 255 - np.array(mean, dtype)) / np.array(std, dtype)


SCALED = {  # a mode to a key of it
    "caffe": "keras/resnet50",
    "tf": "keras/resnet50v2",
    "torch": "timm/resnet50.a1_in1k",
    "swav": "swav/resnet50.800ep",
}
scaled_keys = pytest.mark.parametrize(("mode", "key"), SCALED.items(), ids=list(SCALED))
orders = pytest.mark.parametrize("order", ["channels_last", "channels_first"])


def batch(order: str, dtype: str = "uint8") -> Any:
    """The images that `scaled_by_hand` scales."""
    raw = np.stack([picture(5, 4), picture(7, 4)[:5]]).astype(dtype)
    return raw if order == "channels_last" else np.ascontiguousarray(np.moveaxis(raw, -1, 1))


def last(x: Any, order: str) -> Any:
    """An array with its channels last."""
    return x if order == "channels_last" else np.moveaxis(x, -3, -1)


@scaled_keys
@orders
def test_arrays_and_tensors_of_the_backend_are_scaled_and_stay_what_they_are(mode: str, key: str, order: str) -> None:
    preprocess, expected = preprocessing_for(key), scaled_by_hand(mode)
    for dtype in ("uint8", "int32", "float32", "float64"):
        for x, wanted in ((batch(order, dtype), expected), (batch(order, dtype)[0], expected[0])):
            before = x.copy()
            found = preprocess.scale(x, order)
            np.testing.assert_array_equal(x, before)
            assert isinstance(found, np.ndarray)
            assert (found.dtype, found.shape) == (dtype if "float" in dtype else "float32", x.shape)
            np.testing.assert_allclose(last(found, order), wanted, rtol=0, atol=1e-4)
            tensor = keras.ops.convert_to_tensor(x)
            scaled = preprocess.scale(tensor, order)
            assert keras.ops.is_tensor(scaled)
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(tensor), before)
            np.testing.assert_allclose(last(keras.ops.convert_to_numpy(scaled), order), wanted, rtol=0, atol=1e-4)
            with data_format(order):
                np.testing.assert_array_equal(preprocess.scale(x), found)


@scaled_keys
@orders
def test_a_symbolic_image_is_scaled_inside_a_model(mode: str, key: str, order: str) -> None:
    x = batch(order, "float32")
    image = keras.Input(x.shape[1:])
    model = keras.Model(image, preprocessing_for(key).scale(image, order))
    np.testing.assert_allclose(last(run(model, x), order), scaled_by_hand(mode), rtol=0, atol=1e-4)


@scaled_keys
@orders
def test_a_pipeline_of_tensorflow_is_scaled_on_any_backend(mode: str, key: str, order: str) -> None:
    tf = pytest.importorskip("tensorflow")
    preprocess = preprocessing_for(key)
    images = tf.data.Dataset.from_tensor_slices((batch(order), [0, 1]))
    unknown = tf.data.Dataset.from_generator(
        lambda: iter(images), output_signature=(tf.TensorSpec((None,) * 3, "uint8"), tf.TensorSpec((), "int32"))
    )
    for dataset in (images.batch(2), unknown.batch(2)):
        ((found, _),) = dataset.map(lambda x, label: (preprocess.scale(x, order), label))
        assert found.dtype == "float32"
        np.testing.assert_allclose(last(found.numpy(), order), scaled_by_hand(mode), rtol=0, atol=1e-4)


@once
def test_scaling_an_image_of_the_right_size_is_the_rest_of_its_preprocessing() -> None:
    for key in SCALED.values():
        preprocess, pixels = preprocessing_for(key), picture(120, 90)
        cropped = preprocess.crop(pixels)
        np.testing.assert_array_equal(preprocess.scale(cropped), preprocess(pixels))
        np.testing.assert_array_equal(preprocess.scale(cropped[np.newaxis])[0], preprocess(pixels))


@once
@pytest.mark.parametrize("key", [*SCALED.values(), "slim/resnet_v1_50", "classification_models/resnet18"])
def test_images_of_other_channels_are_refused_in_every_mode(key: str) -> None:
    preprocess = preprocessing_for(key)
    for shape, order in (
        ((5, 4, 1), "channels_last"),
        ((2, 5, 4, 4), "channels_last"),
        ((2, 5, 4, 3), "channels_first"),
        ((2, 3, 5, 4), "channels_last"),
    ):
        for x in (np.zeros(shape, "uint8"), keras.Input(shape[-3:])):
            with pytest.raises(ValueError, match="`x` must have 3 channels, RGB"):
                preprocess.scale(x, order)
    with pytest.raises(ValueError, match="`data_format`.*Did you mean 'channels_last'"):
        preprocess.scale(np.zeros((5, 4, 3)), "channel_last")


Fake = Callable[..., Checkpoint]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a file into an otherwise empty cache as that of a row; there is no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_RESNET_MIRROR", "http://127.0.0.1:9")

    def put(key: str, path: Path, **changes: Any) -> Checkpoint:
        row = dataclasses.replace(list_weights()[key], digest="", **changes)
        cached = tmp_path / "home" / "models" / row.name
        cached.parent.mkdir(parents=True, exist_ok=True)
        path.rename(cached)
        rows = tuple(row if other.key == key else other for other in list_weights().values())
        monkeypatch.setattr(catalogue, "_ROWS", rows)
        return row

    return put


@once
@pytest.mark.parametrize(
    ("key", "mode"),
    [
        ("keras/resnet50", "caffe"),
        ("keras/resnet50v2", "tf"),
        ("torchvision/resnet50.v2", "torch"),
        ("slim/resnet_v1_50", "rgb_means"),
        ("swav/resnet50.800ep", "swav"),
    ],
)
def test_the_network_of_a_key_takes_a_cropped_picture_or_a_preprocessed_one(
    key: str, mode: str, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = list_weights()[key]
    assert row.preprocessing == mode
    slender = thin(RESNET50V2 if row.network.endswith("V2") else RESNET50)
    monkeypatch.setitem(rows.NETWORKS, slender.name, slender)
    top: dict[str, Any] = {"include_top": row.classes is not None, "classifier_activation": None, "pooling": "avg"}
    path = tmp_path / "thin.weights.h5"
    randomise(keras_resnet.ResNet(with_style(slender, row.style), **top)).save_weights(path)
    fake(key, path, member="")
    preprocess, pixels = preprocessing_for(key), picture(120, 90)
    raw = keras_resnet.ResNet(slender, weights=key, include_preprocessing=True, **top)
    plain = keras_resnet.ResNet(slender, weights=key, **top)
    expected = run(plain, preprocess(pixels)[np.newaxis])
    assert_close(run(raw, preprocess.crop(pixels)[np.newaxis].astype("float32")), expected, 1e-5)


KEY = "torchvision/resnet18.v1"
CLASSES = [(f"n{index:08d}", f"class_{index}") for index in range(1000)]
CLASSES[134], CLASSES[517] = ("n02012849", "crane"), ("n03126707", "crane")  # the index has two
CLASSES[386] = ("n02504458", "African_elephant")
IDS, NAMES = [identity for identity, _ in CLASSES], [name for _, name in CLASSES]


def tinted(index: int) -> Any:
    """A picture without one or two of its colours, of its own shape."""
    return picture(90 + 40 * index, 240 - 20 * index) * np.array([index < 4, index % 3 > 0, index % 2], "uint8")


PIXELS = [tinted(index) for index in range(6)]


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A state dict of torchvision's ResNet-18 whose classifier tells the pictures apart."""
    found = state_dict("torchvision__resnet18")
    path = write(tmp_path_factory.mktemp("net") / "net.safetensors", found)
    body = keras_resnet.ResNet18(weights=path, include_top=False, pooling="avg")
    features = run(body, np.stack([preprocessing_for(KEY)(pixels) for pixels in PIXELS]))
    found["fc.weight"] *= 100
    found["fc.bias"] = -found["fc.weight"] @ features.mean(0)
    return found


@pytest.fixture
def published(fake: Fake, tensors: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """The file of a key and the names of ImageNet's classes, in the cache."""
    monkeypatch.setattr(labels, "imagenet_classes", lambda: CLASSES)
    monkeypatch.chdir(tmp_path)
    return fake(KEY, write(tmp_path / "net.safetensors", tensors))


Command = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command that must succeed, and returns what it prints."""

    def command(*arguments: str) -> str:
        assert cli.main(arguments) == 0
        return capsys.readouterr().out

    return command


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command that must fail without a traceback, and returns what it says."""

    def command(*arguments: str) -> str:
        assert cli.main(arguments) == 1
        return capsys.readouterr().err

    return command


def scores(**arguments: Any) -> Any:
    """What the network of the key makes of the pictures."""
    preprocess = preprocessing_for(KEY)
    return run(keras_resnet.ResNet18(weights=KEY, **arguments), np.stack([preprocess(pixels) for pixels in PIXELS]))


def assert_predicted(found: list[dict[str, Any]], expected: Any) -> None:
    """Of each picture the three best classes of ImageNet, with their scores."""
    for each, row in zip(found, expected, strict=True):
        best = np.argsort(-row)[:3]
        assert [prediction["class"] for prediction in each["predictions"]] == [NAMES[label] for label in best]
        told = [prediction["probability"] for prediction in each["predictions"]]
        np.testing.assert_allclose(told, row[best], rtol=1e-3)


@once
def test_predict_names_imagenets_classes_of_the_pictures_as_the_key_wants_them(
    published: Checkpoint, printed: Command
) -> None:
    Path("pictures").mkdir()
    for index, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(f"pictures/{index}.png")
    Path("pictures/0.png").rename("first.png")
    expected = scores()
    assert len(set(expected.argmax(1))) > 3  # else any picture would do
    with data_format("channels_first"):  # of which the command is independent
        found = json.loads(printed("predict", KEY, "first.png", "pictures", "--json", "--top", "3"))
    assert [each["image"] for each in found] == ["first.png", *(f"pictures/{index}.png" for index in range(1, 6))]
    assert_predicted(found, expected)


@once
def test_predict_and_evaluate_take_the_size_to_test_with_unless_told(
    published: Checkpoint, fake: Fake, tensors: dict[str, Any], tmp_path: Path, printed: Command, refused: Command
) -> None:
    sizes = {"image_size": 64, "resize": 72, "test_image_size": 96, "test_resize": 100}
    fake(KEY, write(tmp_path / "net.safetensors", tensors), **sizes)
    model = keras_resnet.ResNet18(weights=KEY, input_shape=(None, None, 3))
    expected = {
        size: run(model, np.stack([preprocessing_for(KEY, size)(pixels) for pixels in PIXELS])) for size in SIZES
    }
    own = expected["test"].argmax(1)
    right = {size: float((found.argmax(1) == own).mean()) for size, found in expected.items()}
    assert right["train"] < right["test"] == 1  # else either size would do
    for index, (pixels, label) in enumerate(zip(PIXELS, own, strict=True)):
        (tmp_path / "val" / IDS[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "val" / IDS[label] / f"{index}.png")
    paths = [f"val/{IDS[label]}/{index}.png" for index, label in enumerate(own)]
    options: tuple[tuple[Size, tuple[str, ...]], ...] = (
        ("test", ()),
        ("test", ("--size", "test")),
        ("train", ("--size", "train")),
    )
    for size, asked in options:
        assert_predicted(json.loads(printed("predict", KEY, *paths, "--json", "--top", "3", *asked)), expected[size])
        assert json.loads(printed("evaluate", KEY, "val", "--json", *asked))["accuracy"] == right[size]
    assert "takes images of 96x96 alone; leave --image-size out. --size chooses between the two" in refused(
        "predict", KEY, paths[0], "--image-size", "64"
    )


class ImageNetInfo:
    """As timm's: the ids and descriptions of a part of ImageNet, by its name there."""

    def __init__(self, subset: str) -> None:
        self.count = {"imagenet-12k": 11821, "imagenet-21k-goog": 21843}[subset]

    def label_names(self) -> list[str]:
        return [f"w{index:08d}" for index in range(self.count)]

    def label_descriptions(self) -> list[str]:
        return [f"thing {index}, item" for index in range(self.count)]


@once
@pytest.mark.parametrize(
    ("count", "with_timm", "note"),
    [
        (11821, True, ""),
        (21843, True, ""),
        (11821, False, "note: The names of 11821 classes need timm: pip install -U timm"),
        (21843, False, "note: The names of 21843 classes need timm: pip install -U timm"),
        (11221, True, "note: nobody publishes the names of these 11221 classes, which are shown by their numbers"),
        (11586, False, "note: nobody publishes the names of these 11586 classes, which are shown by their numbers"),
    ],
)
def test_classes_of_larger_sets_have_timms_names_or_numbers_which_is_said(
    count: int,
    with_timm: bool,
    note: str,
    fake: Fake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = {"timm": ModuleType("timm"), "timm.data": SimpleNamespace(ImageNetInfo=ImageNetInfo)}
    for module in known:
        monkeypatch.setitem(sys.modules, module, known[module] if with_timm else None)
    monkeypatch.chdir(tmp_path)
    slender = thin(RESNET18)
    monkeypatch.setitem(rows.NETWORKS, slender.name, slender)
    monkeypatch.setattr(load_model, "builder_of", lambda network: partial(keras_resnet.ResNet, slender, style="torch"))
    model = randomise(keras_resnet.ResNet(slender, style="torch", classes=count))
    top = model.get_layer("predictions")
    top.bias.assign(np.where(np.arange(count) == 7, 1e6, 0))
    model.save_weights("thin.weights.h5")
    fake(KEY, Path("thin.weights.h5"), classes=count, image_size=64, resize=64)
    named = with_timm and not note
    identity, name = ("w00000007", "thing 7, item") if named else ("7", "7")
    for folder in (identity, "w00000009" if named else "9"):
        Path("val", folder).mkdir(parents=True)
        Image.fromarray(PIXELS[3]).save(f"val/{folder}/a.png")
    assert cli.main(["predict", KEY, f"val/{identity}/a.png", "--json", "--top", "1"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)[0]["predictions"][0]["class"] == name
    assert ("shown by their numbers" in said.err) is bool(note)
    assert note in said.err
    assert cli.main(["evaluate", KEY, "val", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["accuracy"], found["classes"][0]["class"]) == (0.5, name)
    assert note in said.err
    Path("val/7x").mkdir()
    Image.fromarray(PIXELS[3]).save("val/7x/a.png")
    assert cli.main(["evaluate", KEY, "val"]) == 1
    said = capsys.readouterr()
    such = f"w{count - 1:08d} or thing {count - 1}, item." if named else f"{count - 1}."
    assert f"'7x' in 'val' must be the id or the name of a class of the model, such as {such}" in said.err


RANKS = (0, 0, 1, 5, 0, 4)  # among the scores of each picture, that of its class


def sort_pictures(root: Path, expected: Any, names: list[str]) -> list[int]:
    """Saves each picture in the folder of the class of its rank; returns the classes."""
    own = [int(np.argsort(-row)[rank]) for row, rank in zip(expected, RANKS, strict=True)]
    for index, (pixels, label) in enumerate(zip(PIXELS, own, strict=True)):
        (root / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / names[label] / f"{index}.png")
    return own


@once
@pytest.mark.parametrize(("names", "folder"), [(IDS, "imagenet/val"), (NAMES, "imagenet")], ids=["ids", "names"])
def test_evaluate_measures_on_folders_called_by_id_or_by_name(
    names: list[str], folder: str, published: Checkpoint, printed: Command
) -> None:
    expected = scores()
    own = sort_pictures(Path(folder), expected, names)
    Path(folder, ".hidden").mkdir()
    found = json.loads(printed("evaluate", KEY, "imagenet", "--json"))
    assert (found["images"], found["accuracy"], found["top_5_accuracy"]) == (6, 3 / 6, 5 / 6)
    met = sorted({*own, *expected.argmax(1).tolist()})
    assert [(row["class"], row["images"]) for row in found["classes"]] == [
        (NAMES[label], own.count(label)) for label in met
    ]
    pairs = list(zip(own, expected.argmax(1), strict=True))
    assert found["confusion"] == [[pairs.count((true, predicted)) for predicted in met] for true in met]
    text = printed("evaluate", KEY, "imagenet", "--out", "out")
    assert "top-5 accuracy: 83.3%\naccuracy: 50.0% of 6 images" in text
    assert all(f"{NAMES[label]} " in text for label in own)
    assert len(text.splitlines()) < 25  # nothing about the other classes
    with Image.open("out/confusion.png") as figure:
        assert figure.width < 1500
    assert Path("out/predictions.png").is_file()


@once
def test_a_background_class_is_never_named_and_shifts_no_other(
    published: Checkpoint, fake: Fake, tensors: dict[str, Any], tmp_path: Path, printed: Command
) -> None:
    plain = scores(classifier_activation=None)
    wide = dict(tensors)
    wide["fc.weight"] = np.concatenate([np.zeros((1, 512), "f4"), tensors["fc.weight"]])
    wide["fc.bias"] = np.append(np.float32(plain.max() + 1), tensors["fc.bias"])
    fake(KEY, write(tmp_path / "wide.safetensors", wide), classes=1001)
    expected = scores(classes=1001)
    assert (expected.argmax(1) == 0).all()
    own = sort_pictures(tmp_path / "folder", plain, IDS)
    paths = [f"folder/{IDS[label]}/{index}.png" for index, label in enumerate(own)]
    assert_predicted(json.loads(printed("predict", KEY, *paths, "--json", "--top", "3")), expected[:, 1:])
    found = json.loads(printed("evaluate", KEY, "folder", "--json"))
    assert (found["accuracy"], found["top_5_accuracy"]) == (0, 4 / 6)
    assert found["classes"][0] == {"class": "background", "precision": 0, "recall": 0, "images": 0}
    assert [row["class"] for row in found["classes"][1:]] == [NAMES[label] for label in sorted(set(own))]


@once
def test_evaluate_says_which_classes_of_imagenet_a_folder_may_mean(
    published: Checkpoint, printed: Command, refused: Command
) -> None:
    for wrong, right, message in (
        ("African_elefant", "African_elephant", "or class_999. Did you mean 'African_elephant'?"),
        ("crane", "n02012849", "Did you mean 'n02012849' or 'n03126707'?"),
        ("!", "n03126707", "'!' in 'folder' must be the id or the name of a class of the model, such as n00000999"),
    ):
        Path("folder", wrong).mkdir(parents=True)
        Image.fromarray(PIXELS[0]).save(f"folder/{wrong}/a.png")
        said = refused("evaluate", KEY, "folder")
        assert message in said
        assert len(said) < 300  # not a list of a thousand
        Path("folder", wrong).rename(f"folder/{right}")
    rows = [row for row in json.loads(printed("evaluate", KEY, "folder", "--json"))["classes"] if row["images"]]
    assert [(row["class"], row["images"]) for row in rows] == [
        ("crane n02012849", 1),
        ("African_elephant", 1),
        ("crane n03126707", 1),
    ]


@once
def test_what_a_user_of_a_key_can_mend_ends_in_a_sentence(published: Checkpoint, refused: Command) -> None:
    Path("empty").mkdir()
    Image.fromarray(PIXELS[0]).save("a.png")
    for arguments, message in (
        (
            ("predict", "torchvision/resnet18.v3", "a.png"),
            "nor a key of this name in `keras-resnet list`. Did you mean",
        ),
        (("predict", "swav/resnet50.800ep", "a.png"), "is a body without classifier; `keras-resnet list ResNet50`"),
        (("predict", "keras/resnet50", "a.png"), "Could not download http://127.0.0.1:9/"),
        (("predict", KEY, "gone.png"), "None of these images can be read"),
        (("evaluate", KEY, "empty", "--image-size", "160"), "of 224x224 alone; leave --image-size out"),
        (("evaluate", KEY, "empty"), "'empty' must hold two or more folders of images, one per class, such"),
        (("evaluate", KEY, "gone"), "there is no folder 'gone'"),
        (("evaluate", KEY, "digits"), "the model returns (None, 1000)"),
    ):
        assert message in refused(*arguments), arguments
