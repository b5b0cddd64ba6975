"""Weights files: all of it or nothing, and an error that says what to do."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import keras_resnet
from keras_resnet import checkpoints, weights
from keras_resnet.variants import RESNET18, RESNET50, RESNET50V2, Variant
from tests.nets import SIX, assert_same_weights, randomise, thin, with_style

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
    """Keras itself writes what fits before it notices that the rest does not."""
    path = tmp_path / f"other{suffix}"
    other = randomise(build(classes=3, input_shape=(64, 64, 3)))
    {".keras": other.save, ".weights.h5": other.save_weights, ".h5": lambda p: topological(other, p)}[suffix](path)
    image = keras.Input((64, 64, 3))
    before = keras.layers.Conv2D(3, 1, name="colour")(image)
    colour = keras.Model(image, before).get_layer("colour")
    kept = colour.get_weights()
    with pytest.raises(ValueError, match="does not fit 'resnet50'.*classes.*include_top.*style"):
        build(classes=3, weights=path, input_tensor=before)
    for now, then in zip(colour.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(ValueError, match=f"other{suffix}' does not fit"):
        build(classes=4, weights=path, input_shape=(64, 64, 3))


def test_load_restores_every_weight_of_a_model_when_the_file_fails(tmp_path: Path) -> None:
    path = topological(randomise(build(classes=3)), tmp_path / "three.h5")
    model = randomise(build(classes=4), seed=1)
    copy = randomise(build(classes=4), seed=1)
    with pytest.raises(ValueError, match="does not fit"):
        weights.load(model, path, RESNET50)
    assert_same_weights(model, copy, 0)


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
    for path in (tmp_path / "missing.h5", tmp_path):
        with pytest.raises(ValueError, match="`weights`.*path of an existing"):
            build(weights=path)


@pytest.mark.parametrize("name", SIX)
def test_imagenet_rows_are_those_of_keras_applications(name: str) -> None:
    from keras.src.applications import resnet

    for include_top in (True, False):
        row = checkpoints.imagenet(getattr(keras_resnet, name.upper()), include_top)
        assert row is not None
        assert row.md5 == resnet.WEIGHTS_HASHES[name.lower()][0 if include_top else 1]
        top = "" if include_top else "_notop"
        file = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels{top}.h5"
        assert row.url == resnet.BASE_WEIGHTS_PATH + file


@pytest.mark.parametrize("arguments", [{"style": "torch"}, {}], ids=str)
def test_imagenet_weights_that_do_not_exist_are_an_error_that_names_none(arguments: dict[str, Any]) -> None:
    variant = RESNET50V2 if arguments else RESNET18
    with pytest.raises(ValueError, match="there are no such weights.*weights=None"):
        keras_resnet.ResNet(variant, weights="imagenet", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 10}, "`classes` must be 1000.*include_top=False"),
        ({"input_shape": (64, 64, 1)}, "3 channels.*received 1"),
        ({"input_shape": (64, 64, 5), "include_top": False}, "3 channels.*received 5"),
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
    row = checkpoints.Checkpoint(f"{server.url}/thin.h5", hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr("keras_resnet.weights.imagenet", lambda variant, include_top: row)
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
    with pytest.raises(OSError, match=f"{published.url}/thin.h5.*put it at {tmp_path}/.keras/models/thin.h5"):
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
