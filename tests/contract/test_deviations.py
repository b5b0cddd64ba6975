"""Each row of docs/from/keras-applications.md: what keras.applications does, and what the same call does here."""

import hashlib
import re
import threading
import time
import urllib.error
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

import keras_resnet
from keras_resnet.architecture.rows import NETWORKS, RESNET50
from keras_resnet.checkpoints.download import resume
from tests.contract.test_drop_in import no_download, resnext_keys, save, thin_ours, thin_peer
from tests.helpers import stand_ins
from tests.helpers.keras_2 import THIN, keys_of, write_h5
from tests.helpers.nets import assert_same_weights, dtype_policy, images, randomise, run, thin
from tests.helpers.web import DATA, NAME, SHA256, Handler, Web, file, files, get, refused, send, status
from tests.project.test_documents import table

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels"),
    pytest.mark.filterwarnings("ignore:Skipping nested container"),  # Keras', of a file that does not fit
]
PAGE = Path(__file__).parents[2] / "docs" / "from" / "keras-applications.md"
SIZE = {"input_shape": (64, 64, 3)}


@dataclass
class Place:
    """An empty folder, a server, and what a test may patch."""

    folder: Path
    net: Web
    patch: pytest.MonkeyPatch

    def publish(self, path: Path) -> None:
        """Makes a thin network's file the one that `weights="imagenet"` downloads."""
        row = replace(
            keras_resnet.list_weights()["keras/resnet50"],
            url=f"{self.net.url}/{path.name}",
            digest=f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}",
        )
        self.net.answers[f"/{path.name}"] = [file(path.read_bytes())]
        self.patch.setattr("keras_resnet.models.weights.find.imagenet", lambda *_: row)

    def keras_download(self, **arguments: Any) -> str:
        return str(
            keras.utils.get_file(
                "net.pth", f"{self.net.url}/net.pth", **{"cache_dir": self.folder, "cache_subdir": "theirs"} | arguments
            )
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("KERAS_RESNET_MIRROR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(resume, "_PAUSES", (0, 0, 0))
    net = Web()
    yield Place(tmp_path, net, monkeypatch)
    net.over.set()
    net.shutdown()
    net.server_close()


def values(model: keras.Model, layer: str) -> Any:
    return model.get_layer(layer).get_weights()


def unknown_sizes(place: Place) -> None:
    with pytest.raises(ValueError, match="static"):
        thin_peer(1, input_shape=(None, None, 3))
    place.patch.setattr("keras.src.utils.file_utils.get_file", no_download)
    with pytest.raises(ValueError, match="should be \\(224, 224, 3\\)"):
        keras.applications.ResNet50(input_shape=(97, 70, 3))
    save(randomise(thin_peer(1, classes=1000)), place.folder / "net.h5")
    place.publish(place.folder / "net.h5")
    for shape in ((None, None, 3), (97, 70, 3)):
        ours = thin_ours(1, weights="imagenet", classes=1000, input_shape=shape)
        assert run(ours, images(97, 70)).shape == (2, 1000)


def unknown_pooling(place: Place) -> None:
    assert len(thin_peer(1, include_top=False, pooling="AVG", **SIZE).output_shape) == 4
    with pytest.raises(ValueError, match="avg"):
        thin_ours(1, include_top=False, pooling="AVG", **SIZE)


def many_channels(place: Place) -> None:
    with pytest.warns(UserWarning, match="1 or 3 input channels"):
        thin_peer(1, input_shape=(64, 64, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert thin_ours(1, weights=None, input_shape=(64, 64, 4)).input_shape == (None, 64, 64, 4)


def wrong_types(place: Place) -> None:
    wrong: list[dict[str, Any]] = [{"input_shape": 64}, {"input_shape": ("64", "64", "3")}, {"weights": ["imagenet"]}]
    for arguments in wrong:
        with pytest.raises(TypeError):
            thin_peer(1, **arguments)
        with pytest.raises(ValueError, match=next(iter(arguments))):
            thin_ours(1, **arguments)


def include_top_of_any_type(place: Place) -> None:
    assert len(thin_peer(1, include_top="False", **SIZE).output_shape) == 2
    with pytest.raises(ValueError, match="include_top"):
        thin_ours(1, include_top="False", **SIZE)


def boolean_classes(place: Place) -> None:
    assert thin_peer(1, classes=True, **SIZE).output_shape == (None, 1)
    with pytest.raises(ValueError, match="classes"):
        thin_ours(1, classes=True, **SIZE)


def half_softmax(place: Place) -> None:
    with dtype_policy("mixed_bfloat16"):
        theirs, ours = (build(1, classifier_activation="softmax", **SIZE) for build in (thin_peer, thin_ours))
    assert theirs.get_layer("predictions").compute_dtype == "bfloat16"
    assert ours.get_layer("predictions").compute_dtype == "float32"


def pool_names(place: Place) -> None:
    theirs, ours = (
        [layer.name for layer in build(2, **SIZE).layers if isinstance(layer, keras.layers.MaxPooling2D)][1:]
        for build in (thin_peer, thin_ours)
    )
    assert all(re.fullmatch(r"max_pooling2d(_\d+)?", name) for name in theirs)
    assert ours == ["conv2_block2_0_pool", "conv3_block2_0_pool", "conv4_block2_0_pool"]
    assert len(theirs) == len(ours)


def damaged_files(place: Place) -> None:
    for name, error in (("a.weights.h5", OSError), ("a.keras", zipfile.BadZipFile), ("empty.keras", KeyError)):
        path = place.folder / name
        path.write_bytes(b"neither HDF5 nor ZIP")
        if name.startswith("empty"):
            zipfile.ZipFile(path, "w").close()
        with pytest.raises(error):
            thin_peer(1, weights=str(path))
        with pytest.raises(ValueError, match=name):
            thin_ours(1, weights=path)


def larger_files(place: Place) -> None:
    larger = keras_resnet.ResNet(thin(RESNET50, units=(2, 2, 2, 4)), classes=7)
    for suffix in (".keras", ".weights.h5"):
        path = place.folder / f"larger{suffix}"
        save(larger, path)
        thin_peer(1, weights=str(path), include_top=False)
        with pytest.raises(ValueError, match="does not fit"):
            thin_ours(1, weights=path, include_top=False)
        save(randomise(thin_peer(1, **SIZE)), path)
        thin_ours(1, weights=path, include_top=False)


def other_settings(place: Place) -> None:
    path = place.folder / "other.keras"
    other = keras_resnet.ResNet(thin(RESNET50), classes=7)
    config = other.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["epsilon"] = 0.1
    keras.Model.from_config(config).save(path)
    assert thin_peer(1, weights=str(path)).get_layer("conv1_bn").epsilon == pytest.approx(1.001e-5)
    with pytest.raises(ValueError, match="epsilon"):
        thin_ours(1, weights=path)


def numbers_that_are_none(place: Place) -> None:
    path = place.folder / "nan.weights.h5"
    broken = thin_peer(1, **SIZE)
    broken.get_layer("conv1_conv").bias.assign(np.full(64, np.nan, "float32"))
    broken.save_weights(path)
    assert np.isnan(values(thin_peer(1, weights=str(path)), "conv1_conv")[1]).all()
    with pytest.raises(ValueError, match="finite"):
        thin_ours(1, weights=path)


def other_channels(place: Place) -> None:
    place.patch.setattr("keras.src.utils.file_utils.get_file", no_download)
    with pytest.raises(ValueError, match="3 channels"):
        keras.applications.ResNet50(include_top=False, input_shape=(64, 64, 1))
    theirs = randomise(thin_peer(1, classes=1000))
    save(theirs, place.folder / "net.h5")
    place.publish(place.folder / "net.h5")
    kernel = values(theirs, "conv1_conv")[0]
    for channels, expected in ((1, kernel.sum(2, keepdims=True)), (6, kernel[:, :, [0, 1, 2] * 2] / 2)):
        ours = thin_ours(1, weights="imagenet", classes=1000, input_shape=(64, 64, channels))
        np.testing.assert_allclose(values(ours, "conv1_conv")[0], expected, rtol=1e-5)


def exchanged_layers(place: Place) -> None:
    one, other = "conv2_block1_2_conv", "conv2_block2_2_conv"
    theirs = randomise(thin_peer(1, **SIZE))
    path = place.folder / "net.h5"
    save(theirs, path)
    with h5py.File(path, "r+") as held:
        swapped = {one: other, other: one}
        held.attrs["layer_names"] = [swapped.get(name, name) for name in held.attrs["layer_names"]]
    np.testing.assert_array_equal(values(thin_peer(1, weights=str(path)), one)[0], values(theirs, other)[0])
    assert_same_weights(thin_ours(1, weights=path), theirs, 0)
    path = place.folder / "net.weights.h5"
    save(theirs, path)
    with h5py.File(path, "r+") as held:
        groups = {group["vars"].attrs.get("name"): group for group in held["layers"].values()}
        paths = {name: groups[name].name for name in (one, other)}
        held.move(paths[one], "aside")
        held.move(paths[other], paths[one])
        held.move("aside", paths[other])
    np.testing.assert_array_equal(values(thin_peer(1, weights=str(path)), one)[0], values(theirs, other)[0])
    assert_same_weights(thin_ours(1, weights=path), theirs, 0)


def half_loaded(place: Place) -> None:
    path = place.folder / "other.weights.h5"

    def build(make: Callable[..., keras.Model], **arguments: Any) -> Any:
        image = keras.Input((64, 64, 3))
        colour = keras.layers.Conv2D(3, 1, name="colour")
        before = colour(image)
        kept = colour.get_weights()
        try:
            return make(1, input_tensor=before, **arguments)
        except ValueError:
            return any(map(np.any, map(np.subtract, colour.get_weights(), kept)))

    randomise(build(thin_peer, classes=3)).save_weights(path)
    assert build(thin_peer, classes=4, weights=str(path)) is True
    assert build(thin_ours, classes=4, weights=path) is False


def failed_downloads(place: Place) -> None:
    place.net.answers["/net.pth"] = [status(404)]
    with pytest.raises(Exception, match="URL fetch failure") as raised:
        place.keras_download()
    assert raised.type is Exception
    assert isinstance(raised.value.__context__, urllib.error.HTTPError)
    raised.value.__context__.close()  # Keras leaves the connection open
    refused(place.net, "404")
    place.net.answers["/net.pth"] = [file(b"something else")]
    with pytest.raises(ValueError, match="corrupted"):
        place.keras_download(file_hash=SHA256.removeprefix("sha256:"))
    assert files(place.folder / "theirs") == ["net.pth"]
    refused(place.net, "hash")
    assert files(place.folder / "home") == []


def killed_downloads(place: Place) -> None:
    """What lies there in the middle of a download is what a kill would leave."""

    def in_two_parts(handler: Handler) -> None:
        send(handler, 200, {"Content-Length": len(DATA)}, DATA[:300_000])
        place.net.over.wait(20)
        handler.wfile.write(DATA[300_000:])

    place.net.answers["/net.pth"] = [in_two_parts]
    thread, path = threading.Thread(target=place.keras_download), place.folder / "theirs" / "net.pth"
    thread.start()
    end = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < end
        time.sleep(0.01)
    left = path.read_bytes()
    place.net.over.set()
    thread.join()
    assert 0 < len(left) < len(DATA)
    path.write_bytes(left)
    assert Path(place.keras_download()).read_bytes() == left  # taken for the whole file

    place.net.clear()
    place.net.answers["/net.pth"] = [file(end=300_000)]
    refused(place.net, "breaks off|ended|bytes")
    assert files(place.folder / "home") == [".net.pth.part", ".net.pth.part.json"]
    place.net.clear()
    place.net.answers["/net.pth"] = [file()]
    assert get(place.net).read_bytes() == DATA
    assert place.net.ranges == ["bytes=300000-"]


def missing_folders(place: Place) -> None:
    place.net.answers["/net.pth"] = [file()]
    is_folder = file_utils.os.path.isdir
    place.patch.setattr("os.path.isdir", lambda path: path != "/tmp" and is_folder(path))  # the test's own in its place
    place.patch.setattr("tempfile.gettempdir", lambda: str(place.folder))
    theirs = place.keras_download(cache_dir=place.folder / "missing")
    assert theirs == str(place.folder / ".keras" / "theirs" / "net.pth")
    assert get(place.net) == place.folder / "home" / "models" / NAME


def preprocessed_pixels(place: Place) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype("uint8")
    tensor = keras.ops.convert_to_tensor(pixels)
    expected = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
    theirs, ours = keras.applications.resnet.preprocess_input, keras_resnet.resnet.preprocess_input
    for preprocess, overwrites in ((theirs, True), (ours, False)):
        floats = pixels.astype("float32")
        np.testing.assert_allclose(preprocess(floats), expected, atol=1e-4)
        assert (floats != pixels).any() == overwrites
    numbers = keras.ops.convert_to_numpy
    assert np.abs(numbers(theirs(tensor)) - expected).max() > 1
    np.testing.assert_allclose(numbers(ours(tensor)), expected, atol=1e-4)
    with pytest.raises(RuntimeError, match="can't be cast"):
        keras.applications.resnet_v2.preprocess_input(tensor)
    np.testing.assert_allclose(numbers(keras_resnet.resnet_v2.preprocess_input(tensor)), pixels / 127.5 - 1, atol=1e-6)


def preprocessed_channels(place: Place) -> None:
    rgba = np.ones((1, 4, 4, 4), "float32")
    assert keras.applications.resnet.preprocess_input(rgba.copy()).shape == (1, 4, 4, 4)
    with pytest.raises(ValueError, match="3 channels"):
        keras_resnet.resnet.preprocess_input(rgba)


def decoded(place: Place) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both `decode_predictions`, and a class index that needs no download."""
    fetch = partial(stand_ins.fetch, folder=place.folder)
    place.patch.setattr("keras_resnet.models.labels.fetch", lambda *args, **_: fetch(*args))
    index = {str(i): [f"n{i:08}", f"class_{i}"] for i in range(1000)}
    place.patch.setattr("keras.src.applications.imagenet_utils.CLASS_INDEX", index)
    return keras.applications.resnet.decode_predictions, keras_resnet.resnet.decode_predictions


def decoded_shapes(place: Place) -> None:
    theirs, ours = decoded(place)
    scores = np.eye(1001)[[8]]
    with pytest.raises(ValueError, match=r"\(1, 1001\)"):
        theirs(scores)
    assert ours(scores, top=1) == [[("n00000007", "class_7", 1.0)]]
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        theirs(np.eye(2)[[1]])
    assert ours(np.eye(2)[[1]], top=1, labels=["cat", "dog"]) == [[("dog", "dog", 1.0)]]


def decoded_top(place: Place) -> None:
    theirs, ours = decoded(place)
    assert len(theirs(np.eye(1000)[:1], top=0)[0]) == 1000
    with pytest.raises(ValueError, match="top"):
        ours(np.eye(1000)[:1], top=0)


def decoded_ties(place: Place) -> None:
    theirs, ours = decoded(place)
    scores = np.ones((1, 1000))
    assert [name for _, name, _ in theirs(scores)[0]] != [f"class_{i}" for i in range(5)]
    assert [name for _, name, _ in ours(scores)[0]] == [f"class_{i}" for i in range(5)]


def resnext_groups(place: Place) -> None:
    """keras-applications' own code is no part of Keras 3: its side is the list of its variables."""
    shape = resnext_keys()["conv2_block1_2_conv/depthwise_kernel"]
    layer = keras_resnet.ResNeXt50(False, None).get_layer("conv2_block1_2_conv")
    assert (shape, type(layer), layer.groups) == ([3, 3, 128, 4], keras.layers.Conv2D, 32)
    assert tuple(layer.kernel.shape) == (3, 3, 4, 128)


def resnext_classifier(place: Place) -> None:
    assert list(resnext_keys())[-2:] == ["probs/kernel", "probs/bias"]
    ours = keras_resnet.ResNeXt50(weights=None)
    assert [weight.path for weight in ours.weights[-2:]] == ["predictions/kernel", "predictions/bias"]


def resnext_modules(place: Place) -> None:
    for name in ("backend", "layers", "models", "utils"):
        with pytest.raises(TypeError, match=f"ResNeXt50.. got .*'{name}'"):
            keras_resnet.ResNeXt50(weights=None, **{name: keras})


def momentum_of_rs(place: Place) -> None:
    """tf.keras is no part of Keras 3: its side is that of its code, where each norm is given `bn_momentum=0.0`."""
    model = keras_resnet.ResNet(thin(NETWORKS["resnetrs50"]), input_shape=(32, 32, 3), classes=3)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {norm.momentum for norm in norms} == {0.99}
    before = [keras.ops.convert_to_numpy(norm.moving_mean) for norm in norms]
    model(images(32, 32), training=True)
    after = [keras.ops.convert_to_numpy(norm.moving_mean) for norm in norms]
    assert all(np.abs(new - old).max() > 0 for new, old in zip(after, before, strict=True))


def names_of_rs(place: Place) -> None:
    path = write_h5(place.folder / "rs.h5", keys_of("thin_resnetrs"))
    assert any(name.startswith("BlockGroup2__block_0__conv_1/") for name in keys_of("thin_resnetrs"))
    model = keras_resnet.ResNet(THIN["thin_resnetrs"], weights=path, classes=7, input_shape=(32, 32, 3))
    assert model.get_layer("conv2_block1_1_conv").kernel.shape == (1, 1, 8, 8)


CHECKS: dict[str, Callable[[Place], None]] = {
    "With the top, input_shape needs a known height and width, and with ImageNet weights 224x224": unknown_sizes,
    'pooling="AVG", or any other unknown text, counts as no pooling': unknown_pooling,
    "The builder warns if input_shape has other than 1 or 3 channels": many_channels,
    "ImageNet weights need an input of 3 channels": other_channels,
    "input_shape or weights of a wrong type raises a TypeError in some cases": wrong_types,
    'include_top takes any object, so include_top="False" builds the top': include_top_of_any_type,
    "classes=True builds a classifier of one class": boolean_classes,
    "Under a mixed dtype policy the classifier computes its softmax in half precision": half_softmax,
    "A running counter names the pooling layers in the shortcuts of v2, such as max_pooling2d_3": pool_names,
    "A damaged weights file raises OSError, BadZipFile or KeyError": damaged_files,
    "A .keras or .weights.h5 file of a larger network loads in part and without a word": larger_files,
    "A .keras file of a network with another epsilon loads, and the outputs differ": other_settings,
    "A weights file with NaN or infinite numbers loads": numbers_that_are_none,
    "Weights of .weights.h5 and .h5 files go to layers by the order in the file": exchanged_layers,
    "After weights= failed, layers in front of input_tensor keep numbers from the file": half_loaded,
    "A failed download raises a bare Exception; a wrong hash raises ValueError, and the file stays": failed_downloads,
    "A killed download leaves a partial file under the final name": killed_downloads,
    "If the cache folder is missing, downloads go to a folder below /tmp without a word": missing_folders,
    "preprocess_input overwrites float arrays, and truncates integer tensors or fails on them": preprocessed_pixels,
    "preprocess_input of v1 takes images of 4 channels and shifts three of them": preprocessed_channels,
    "decode_predictions takes predictions of shape (N, 1000) only": decoded_shapes,
    "decode_predictions(top=0) returns all classes": decoded_top,
    "decode_predictions returns classes of equal scores in no stated order": decoded_ties,
    "A block of keras-applications' ResNeXt has a DepthwiseConv2D and three layers that sum groups": resnext_groups,
    "The classifier of keras-applications' ResNeXt is called probs": resnext_classifier,
    "keras-applications' ResNeXt takes backend, layers, models and utils": resnext_modules,
    "Batch norms of tf.keras' ResNet-RS have a momentum of 0: a step of training replaces their statistics by those of "
    "one batch": momentum_of_rs,
    "Layers of tf.keras' ResNet-RS have names such as BlockGroup2__block_0__conv_1": names_of_rs,
}


def test_every_row_of_the_page_has_its_check() -> None:
    rows = table(PAGE.read_text())
    assert [row[0] for row in rows] == list(CHECKS)
    assert {len(row) for row in rows} == {3}


@pytest.mark.parametrize("row", CHECKS)
def test_both_do_what_the_row_says(row: str, place: Place) -> None:
    CHECKS[row](place)
