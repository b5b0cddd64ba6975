"""Weights files: all of it or nothing, and an error that says what to do."""

import functools
import hashlib
import http.server
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import keras_resnet
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.rows import RESNET18, RESNET50, RESNET50V2, RESNET200
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints import contents
from keras_resnet.checkpoints import open as open_module
from keras_resnet.checkpoints.formats.tensorflow.bundle import Bundle
from keras_resnet.export.convert_weights import convert, recognize
from keras_resnet.models.weights import find, load
from tests.helpers.nets import assert_same_weights, randomise, thin, with_style
from tests.helpers.tf_writer import write_v1

pytestmark = pytest.mark.one_backend


THIN = thin(RESNET50)


def build(variant: Variant = THIN, **arguments: Any) -> keras.Model:
    return keras_resnet.ResNet(variant, **arguments)


def topological(model: keras.Model, path: Path) -> Path:
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_a_file_that_does_not_fit_leaves_the_callers_graph_untouched(suffix: str, tmp_path: Path) -> None:
    """Keras itself writes what fits before it notices that the rest does not. What goes before a network is no part."""
    path = tmp_path / f"other{suffix}"
    other = randomise(build(classes=3, input_shape=(64, 64, 3)))
    {".keras": other.save, ".weights.h5": other.save_weights, ".h5": lambda p: topological(other, p)}[suffix](path)
    image = keras.Input((64, 64, 3))
    before = keras.layers.Conv2D(3, 1, name="colour")(image)
    colour = keras.Model(image, before).get_layer("colour")
    kept = colour.get_weights()
    with pytest.raises(ValueError, match="(?s)does not fit 'resnet50'.*The file has 3 classes.*include_top=False"):
        build(classes=4, weights=path, input_tensor=before)
    fits = build(classes=3, weights=path, input_tensor=before)
    assert all(map(np.array_equal, fits.get_weights()[len(kept) :], other.get_weights()))
    for now, then in zip(colour.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_file_of_another_style_is_told_by_its_biases(tmp_path: Path) -> None:
    torch = build(with_style(thin(RESNET50), "torch"))
    for name, error in (("a.h5", "style"), ("a.weights.h5", "style")):
        path = tmp_path / name
        topological(torch, path) if name == "a.h5" else torch.save_weights(path)
        with pytest.raises(ValueError, match=error):
            build(weights=path)
        build(weights=path, style="torch")
    keras_style = topological(build(), tmp_path / "b.h5")
    with pytest.raises(ValueError, match="left over"):
        build(weights=keras_style, style="torch")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
def test_a_file_that_holds_more_than_the_network_is_refused(suffix: str, tmp_path: Path) -> None:
    """Keras itself leaves the rest out in silence, from the first two."""
    deeper, path = build(thin(RESNET50, units=(2, 2, 2, 4))), tmp_path / f"deeper{suffix}"
    {".keras": deeper.save, ".weights.h5": deeper.save_weights, ".h5": lambda p: topological(deeper, p)}[suffix](path)
    with pytest.raises(ValueError, match="does not fit"):
        build(weights=path)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_with_a_classifier_and_an_optimizer_loads_into_the_body(suffix: str, tmp_path: Path) -> None:
    whole, path = randomise(build(input_shape=(32, 32, 3))), tmp_path / f"whole{suffix}"
    whole.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    whole.fit(np.zeros((1, 32, 32, 3)), np.zeros(1), verbose=0)
    (whole.save if suffix == ".keras" else whole.save_weights)(path)
    body = build(include_top=False, weights=path)
    for mine, theirs in zip(body.get_weights(), whole.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_paths_may_be_strings_or_path_objects(tmp_path: Path) -> None:
    path = topological(randomise(build()), tmp_path / "weights.h5")
    assert_same_weights(build(weights=path), build(weights=str(path)), 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.h5", b""),
        ("text.keras", b"not a zip"),
        ("text.weights.h5", b"not hdf5"),
        ("cut.h5", b"\x89HDF\r\n\x1a\n"),
        ("NET.KERAS", b"PK"),
        ("net.pth", b"\x80\x02"),
        ("net", b""),
    ],
)
def test_a_damaged_or_foreign_file_is_a_value_error_that_names_it(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        build(weights=tmp_path / name)


def test_a_missing_file_or_a_folder_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "missing.h5", "path of an existing"),
        (tmp_path, "a folder without a weights file"),
    ):
        with pytest.raises(ValueError, match=f"`weights`.*{reason}"):
            build(weights=path)


@pytest.mark.parametrize(
    ("variant", "style"), [(RESNET18, "keras"), (RESNET18, "slim"), (RESNET200, None), (THIN, None)], ids=str
)
def test_imagenet_weights_that_do_not_exist_are_an_error_that_names_none(variant: Variant, style: str | None) -> None:
    with pytest.raises(ValueError, match="there are no published weights.*weights=None"):
        keras_resnet.ResNet(variant, weights="imagenet", style=style)


@pytest.mark.parametrize(
    ("variant", "style", "include_top", "key"),
    [
        (RESNET50, None, True, "keras/resnet50"),
        (RESNET50, None, False, "keras/resnet50.notop"),
        (RESNET50, "torch", False, "torchvision/resnet50.v2"),
        (RESNET50, "slim", True, "slim/resnet_v1_50"),
        (RESNET50V2, "torch", True, "timm/resnetv2_50.a1h_in1k"),
        (RESNET18, None, True, "torchvision/resnet18.v1"),
        (RESNET18, "torch", True, "torchvision/resnet18.v1"),
    ],
    ids=str,
)
def test_imagenet_is_the_default_row_of_the_style(
    variant: Variant, style: str | None, include_top: bool, key: str
) -> None:
    assert find.imagenet(variant, style, include_top) == keras_resnet.list_weights()[key]


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (
            "ResNet50",
            {"weights": "timm/resnet18.a1_in1k"},
            "the network resnet50; .* are of ResNet18, which differs in block, units. Build keras_resnet.ResNet18",
        ),
        ("ResNet50V2", {"weights": "keras/resnet50"}, "must be of the network resnet50v2; .* are of ResNet50"),
        ("ResNet18", {"weights": "timm/resnet18.a1_in1k", "style": "keras"}, "`style` must be one of None, 'torch'"),
        (
            "ResNet50",
            {"weights": "keras/resnet50.notop"},
            "'keras/resnet50.notop' is a backbone without classifier. Pass include_top=False",
        ),
        ("ResNet50V2", {"weights": "slim/resnet_v2_50"}, "`classes` must be 1001 with weights='slim/resnet_v2_50'"),
        (
            "ResNet50",
            {"weights": "torchvision/resnet50"},
            "`weights` must be .* received 'torchvision/resnet50'. Did you mean 'torchvision/resnet50.v",
        ),
    ],
    ids=str,
)
def test_a_key_that_does_not_fit_is_refused_before_anything_is_fetched(
    builder: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(keras_resnet, builder)(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 10}, "`classes` must be 1000.*include_top=False"),
        ({"classifier_activation": "sigmoid"}, "None or 'softmax'"),
    ],
    ids=str,
)
def test_what_contradicts_imagenet_weights_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keras_resnet.ResNet50(**arguments)


class Server:
    """A web server of one folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        log = self.requests

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def log_message(self, format: str, *args: Any) -> None:
                log.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A thin network's "imagenet" weights on a local server, and an empty Keras home that does not exist yet."""
    (tmp_path / "web").mkdir()
    path = topological(randomise(build()), tmp_path / "web" / "thin.h5")
    server = Server(tmp_path / "web")
    row = replace(
        keras_resnet.list_weights()["keras/resnet50"],
        url=f"{server.url}/thin.h5",
        digest=f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}",
    )
    monkeypatch.setattr("keras_resnet.models.weights.find.imagenet", lambda *_: row)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_imagenet_weights_are_downloaded_once_into_keras_cache(published: Server, tmp_path: Path) -> None:
    first, second = build(weights="imagenet"), build(weights="imagenet")
    assert_same_weights(first, randomise(build()), 0)
    assert_same_weights(second, first, 0)
    assert published.requests == ["/thin.h5"]
    assert (tmp_path / "home" / "models" / "thin.h5").is_file()


def test_a_download_with_a_wrong_hash_is_deleted_and_explained(published: Server, tmp_path: Path) -> None:
    (tmp_path / "web" / "thin.h5").write_bytes(b"something else")
    with pytest.raises(OSError, match=f"{published.url}/thin.h5.*hash") as raised:
        build(weights="imagenet")
    assert str(tmp_path / "home" / "models" / "thin.h5") in str(raised.value)
    assert list((tmp_path / "home" / "models").iterdir()) == []


def test_a_cached_file_with_a_wrong_hash_is_downloaded_again(published: Server, tmp_path: Path) -> None:
    cached = tmp_path / "home" / "models" / "thin.h5"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a file")
    assert_same_weights(build(weights="imagenet"), randomise(build()), 0)


def test_where_no_cache_can_be_made_keras_own_fallback_serves(
    published: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    build(weights="imagenet")
    assert (tmp_path / ".keras" / "models" / "thin.h5").is_file()
    (tmp_path / ".keras" / "models" / "thin.h5").unlink()
    (tmp_path / "web" / "thin.h5").write_bytes(b"something else")
    with pytest.raises(OSError, match=f"{published.url}/thin.h5.*save it as {tmp_path}/.keras/models/thin.h5"):
        build(weights="imagenet")
    assert list((tmp_path / ".keras" / "models").iterdir()) == []


def test_offline_one_error_names_url_cache_path_and_none(published: Server, tmp_path: Path) -> None:
    published.server.shutdown()
    published.server.server_close()
    with pytest.raises(OSError, match=r"weights=None") as raised:
        build(weights="imagenet")
    assert f"{published.url}/thin.h5" in str(raised.value)
    assert str(tmp_path / "home" / "models" / "thin.h5") in str(raised.value)
    assert list((tmp_path / "home" / "models").iterdir()) == []


def test_a_login_page_is_not_kept_for_a_tf_slim_archive(
    published: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hash of these is published: the archive has to hold what it should."""
    (tmp_path / "web" / "models").mkdir()
    page = tmp_path / "web" / "models" / "resnet_v1_50_2016_08_28.tar.gz"
    page.write_text("<html>log in</html>")
    monkeypatch.setenv("KERAS_RESNET_MIRROR", published.url)
    for _ in range(2):
        with pytest.raises(OSError, match="Could not download .*resnet_v1_50_2016_08_28.tar.gz"):
            keras_resnet.ResNet50(weights="slim/resnet_v1_50")
    assert len(published.requests) == 2
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_a_tf_slim_archive_is_unpacked_and_loaded(
    published: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = replace(thin(RESNET50), units=(3, 4, 6, 3), widths=(4, 8, 16, 32))
    row = replace(keras_resnet.list_weights()["slim/resnet_v1_50"], classes=10)
    monkeypatch.setattr(type(row), "variant", property(lambda self: replace(tiny, lineage=LINEAGES["slim", 1])))
    monkeypatch.setattr("keras_resnet.models.weights.find.list_weights", lambda: {row.key: row})
    bundle = Bundle.open(Path(__file__).parents[2] / "goldens" / "slim" / "v1_3463" / "model.ckpt")
    file = write_v1(tmp_path / "resnet_v1_50.ckpt", {name: bundle.read(name) for name in bundle.shapes})
    (tmp_path / "web" / "models").mkdir()
    with tarfile.open(tmp_path / "web" / "models" / "resnet_v1_50_2016_08_28.tar.gz", "w:gz") as archive:
        archive.add(file, "resnet_v1_50.ckpt")
    monkeypatch.setenv("KERAS_RESNET_MIRROR", published.url)
    rest: dict[str, Any] = {"input_shape": (65, 65, 3), "classes": 10}
    for _ in range(2):
        model = keras_resnet.ResNet(tiny, weights=row.key, **rest)
        assert_same_weights(model, keras_resnet.ResNet(tiny, weights=file, **rest), 0)
    assert len(published.requests) == 1


@pytest.mark.parametrize(
    ("module", "key"),
    [("safetensors", "timm/resnetv2_18.ra4_e3600_r224_in1k"), ("google_crc32c", "slim/resnet_v2_50")],
)
def test_what_reads_a_file_is_asked_for_before_it_is_fetched(
    module: str, key: str, published: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("KERAS_RESNET_MIRROR", published.url)
    with pytest.raises(ImportError, match=rf"needs {module}: pip install 'keras3-resnet\[checkpoints\]'"):
        keras_resnet.ResNet(keras_resnet.list_weights()[key].network, False, key)
    assert published.requests == []


@pytest.mark.parametrize(
    ("how", "suffix"),
    [
        *((how, suffix) for how in ("weights", "load_weights") for suffix in (".keras", ".weights.h5", ".safetensors")),
        *(("convert", ".keras"), ("convert", ".safetensors")),  # a .weights.h5 does not tell its style
    ],
)
def test_a_file_is_opened_and_recognised_once(
    suffix: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = "torch" if suffix == ".safetensors" else None
    model, path = randomise(build(RESNET18, style=style, input_shape=(32, 32, 3))), tmp_path / f"net{suffix}"
    {".keras": model.save, ".weights.h5": model.save_weights}.get(
        suffix, functools.partial(keras_resnet.save_weights, model)
    )(path)
    opened: list[Any] = []
    recognised: list[Any] = []

    def count(module: Any, name: str, calls: list[Any]) -> None:
        function = getattr(module, name)

        def counted(*args: Any) -> Any:
            calls.append(args)
            return function(*args)

        monkeypatch.setattr(module, name, counted)

    for module in (open_module, load):
        count(module, "open_source", opened)
    count(contents, "families_of", recognised)
    if how == "weights":
        assert_same_weights(build(RESNET18, style=style, weights=path, input_shape=(32, 32, 3)), model, 0)
    elif how == "load_weights":
        keras_resnet.load_weights(build(RESNET18, style=style, input_shape=(32, 32, 3)), path)
    else:
        convert(recognize(path), tmp_path / "again.keras")
    assert (len(opened), len(recognised)) == (1, 1)
