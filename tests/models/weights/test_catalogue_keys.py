"""Keys of the catalogue: a thin file of each kind in the cache loads as by its path, or is refused in a sentence."""

import dataclasses
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import cli
from keras_resnet.architecture import rows
from keras_resnet.architecture.rows import NETWORKS, builder_call, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints import catalogue
from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.open import open_source
from keras_resnet.models import builder
from tests.helpers import bit_nets
from tests.helpers.nets import assert_close, assert_same_weights, images, run
from tests.helpers.torch_nets import formula, state_dict, write
from tests.helpers.wide_nets import WIDE_NETS
from tests.models.weights.test_keras_hub import backbone, preset, task
from tests.models.weights.test_keras_hub import row as hubs_row

pytestmark = pytest.mark.one_backend
HEADS = ("fc.weight", "last_linear.weight", "head.fc.weight")
# Keys, and the thin network of their kind.
KINDS = {
    "timm/resnet10t.c3_in1k": "timm__thin_t_basic",
    "timm/resnet18d.ra4_e3600_r224_in1k": "timm__thin_d_basic",
    "timm/resnet50d.ra2_in1k": "timm__thin_d",
    "timm/resnet50s.gluon_in1k": "timm__thin_s",
    "timm/resnet50_gn.a1h_in1k": "timm__thin_gn",
    "timm/wide_resnet50_2.racm_in1k": "timm__thin_wide",
    "timm/resnext50d_32x4d.bt_in1k": "timm__thin_groups_d",
    "timm/seresnet50.a1_in1k": "timm__thin_se",
    "timm/seresnext26t_32x4d.bt_in1k": "timm__thin_se_groups_t",
    "timm/senet154.gluon_in1k": "timm__thin_senet154",
    "timm/ecaresnet50t.a1_in1k": "timm__thin_eca_t",
    "timm/ecaresnetlight.miil_in1k": "timm__thin_eca_light",
    "timm/resnetaa50.a1h_in1k": "timm__thin_aa",
    "timm/resnetaa50d.d_in12k": "timm__thin_aa_d",
    "timm/seresnextaa201d_32x8d.sw_in12k": "timm__thin_aa_se_groups_e",
    "timm/resnetblur50.bt_in1k": "timm__thin_blur",
    "timm/resnetrs50.tf_in1k": "timm__thin_rs",
    "timm/resnetv2_18d.ra4_e3600_r224_in1k": "timm__thin_v2_d_basic",
    "timm/resnetv2_50d_gn.ah_in1k": "timm__thin_v2_d_gn",
    "timm/resnetv2_50x1_bit.goog_distilled_in1k": "timm__thin_bit",
    "timm/resnetv2_152x2_bit.goog_in21k": "timm__thin_bit_x2",
    "timm/legacy_seresnet18.in1k": "timm__thin_legacy_se_basic",
    "timm/legacy_seresnet50.in1k": "timm__thin_legacy_se",
    "timm/legacy_seresnext26_32x4d.in1k": "timm__thin_legacy_se_groups",
    "timm/legacy_senet154.in1k": "timm__thin_legacy_senet154",
    "timm/resnet50.bamboo": "torchvision__thin_plain",
    "facebook/resnext101_32x48d.wsl": "torchvision__thin_groups",
    "swav/resnet50w2.400ep": "torchvision__thin_doubled",
    "vicreg/resnet50x2": "torchvision__thin_doubled",
}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_RESNET_MIRROR", raising=False)

    def connect(*arguments: Any, **others: Any) -> Any:
        raise AssertionError("it asks the network")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


Fake = Callable[[str, Path, Variant], Checkpoint]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a file into the cache as that of a key, whose network is a thin one from now on."""

    def put(key: str, path: Path, thin: Variant) -> Checkpoint:
        row = dataclasses.replace(list_weights()[key], digest="")
        name = find_row(row.network).name
        monkeypatch.setitem(rows.NETWORKS, name, dataclasses.replace(thin, name=name))
        cached = tmp_path / "home" / "models" / row.name
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, cached)
        known = tuple(row if other.key == key else other for other in list_weights().values())
        monkeypatch.setattr(catalogue, "_ROWS", known)
        return row

    return put


def held(net: str, row: Checkpoint) -> dict[str, Any]:
    """What the file of a row holds, as its library writes it, with a classifier of the row's classes."""
    tensors = state_dict(net)
    for head in HEADS:
        if head in tensors:
            bias = head.replace("weight", "bias")
            shape = tensors[head].shape
            del tensors[head], tensors[bias]
            if row.classes:
                tensors |= {head: formula(head, [row.classes, *shape[1:]]), bias: formula(bias, [row.classes])}
    if row.family == "swav":
        tensors = {f"module.{name}": value for name, value in tensors.items()}
        tensors |= {f"module.projection_head.{i}.weight": np.ones((4, 4), "f4") for i in (0, 3)}
        tensors |= {"module.prototypes.weight": np.ones((4, 4), "f4")}
    return tensors


def arguments(row: Checkpoint) -> dict[str, Any]:
    top: dict[str, Any] = {"classes": row.classes, "classifier_activation": None}
    return {"input_shape": (64, 64, 3)} | (top if row.classes else {"include_top": False, "pooling": "avg"})


def assert_loads(row: Checkpoint, path: Path) -> None:
    """The key gives what the path does with the network said; and without its classifier."""
    expected = keras_resnet.ResNet(row.network, weights=path, style=row.style, **arguments(row))
    found = keras_resnet.ResNet(row.network, weights=row.key, **arguments(row))
    assert found.name == expected.name
    assert_same_weights(found, expected, 0)
    x = images(64, 64)
    assert_close(run(found, x), run(expected, x), 1e-6)
    if row.classes:
        body = keras_resnet.ResNet(row.network, weights=row.key, include_top=False, input_shape=(64, 64, 3))
        count = len(body.weights)
        assert count == len(expected.weights) - 2
        assert all(map(np.array_equal, body.get_weights(), expected.get_weights()[:count]))


@pytest.mark.parametrize("key", KINDS)
def test_a_key_loads_what_its_library_writes(
    key: str, fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = list_weights()[key]
    path = write(
        tmp_path / f"net.{'safetensors' if row.url.endswith('.safetensors') else 'pth'}", held(KINDS[key], row)
    )
    fake(key, path, WIDE_NETS[KINDS[key]])
    assert_loads(row, path)
    assert f"note: {tmp_path / 'home'}" not in capsys.readouterr().err  # nothing of a published file is assumed


@pytest.mark.parametrize("key", ["bit/BiT-S-R50x1", "bit/BiT-M-R50x1", "bit/BiT-M-R50x1-ILSVRC2012"])
def test_a_key_of_bit_loads_googles_arrays(key: str, fake: Fake, tmp_path: Path) -> None:
    row = list_weights()[key]
    assert row.classes == (21843 if key == "bit/BiT-M-R50x1" else 1000)
    path = bit_nets.write(tmp_path / "net.npz", bit_nets.arrays(bit_nets.THIN, row.classes))
    fake(key, path, bit_nets.THIN)
    assert_loads(row, path)


def test_a_file_by_a_published_name_scales_images_as_its_row_says(tmp_path: Path) -> None:
    """SwAV's deviation of red is its own; nobody's file is scaled as its style is."""
    row = list_weights()["swav/resnet50w2.400ep"]
    for name, mode in (("swav_RN50w2_400ep_pretrain.pth.tar", "swav"), ("mine.pth", None)):
        path = write(tmp_path / name, held(KINDS[row.key], row))
        (network,) = read_networks(open_source(path))
        assert network.preprocessing == mode, name


def test_imagenet_means_the_default_of_a_kind(fake: Fake, tmp_path: Path) -> None:
    for network, key in (("seresnet50", "timm/seresnet50.a1_in1k"), ("legacy_seresnet18", None)):
        key = key or f"timm/{network}.in1k"
        row = list_weights()[key]
        fake(key, write(tmp_path / f"{network}.safetensors", held(KINDS[key], row)), WIDE_NETS[KINDS[key]])
        expected = keras_resnet.ResNet(network, weights=key, **arguments(row))
        assert_same_weights(keras_resnet.ResNet(network, weights="imagenet", **arguments(row)), expected, 0)


# ---- What is refused, before anything is fetched.


@pytest.mark.parametrize(
    ("key", "classes"),
    [
        ("timm/resnetv2_50x1_bit.goog_in21k", 21843),
        ("bit/BiT-M-R50x1", 21843),
        ("timm/resnetaa50d.sw_in12k", 11821),
        ("classification_models/resnet152.imagenet11k", 11221),
    ],
)
def test_another_number_of_classes_names_the_right_one(key: str, classes: int) -> None:
    network = list_weights()[key].network
    for wrong in (1000, classes - 1):
        with pytest.raises(ValueError, match=f"`classes` must be {classes} with weights='{key}' and include_top=True"):
            keras_resnet.ResNet(network, weights=key, classes=wrong)


@pytest.mark.parametrize(
    "key", ["vicreg/resnet200x2", "swav/resnet50w5.400ep", "timm/resnet50.bamboo", "selav2/resnet50.400ep"]
)
def test_a_backbone_has_no_classifier(key: str) -> None:
    network = list_weights()[key].network
    with pytest.raises(ValueError, match=f"'{key}' is a backbone without classifier. Pass include_top=False"):
        keras_resnet.ResNet(network, weights=key, style="torch")


@pytest.mark.parametrize(
    ("network", "key"),
    [
        ("ResNet50", "timm/resnet50d.ra2_in1k"),
        ("ResNet50", "vicreg/resnet50x2"),
        ("resnext101_32x8d", "facebook/resnext101_32x48d.wsl"),
        ("resnetv2_50x1_bit", "bit/BiT-M-R50x3"),
        ("seresnet50", "timm/legacy_seresnet18.in1k"),
        ("resnet18d", "keras_hub/resnet_vd_200_imagenet"),
        ("resnetaa50", "timm/resnetblur50.bt_in1k"),
        ("ResNet50V2", "timm/resnetv2_50d_gn.ah_in1k"),
    ],
)
def test_a_key_of_another_network_names_the_builder(network: str, key: str) -> None:
    call = builder_call(find_row(list_weights()[key].network).name, f"weights={key!r}")
    assert call.startswith("keras_resnet.ResNet(")
    with pytest.raises(ValueError, match="`weights` must be of the network") as raised:
        keras_resnet.ResNet(
            network, weights=key, style="torch" if "torch" in NETWORKS[find_row(network).name].styles else None
        )
    assert f"Build {call}." in str(raised.value)


def test_a_short_name_of_torchvisions_names_the_networks_key() -> None:
    for weights, key in (("IMAGENET1K_V2", "torchvision/resnet50.v2"), ("DEFAULT", "torchvision/resnet50.v2")):
        with pytest.raises(ValueError, match=f"'{weights}' is torchvision's name; pass the key '{key}'"):
            keras_resnet.ResNet50(weights=weights)


def test_a_file_of_ones_own_may_have_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("DEFAULT").write_text("no weights")
    with pytest.raises(ValueError, match="'DEFAULT' is not a weights file"):
        keras_resnet.ResNet50(weights="DEFAULT")


def test_a_file_is_fetched_before_the_graph_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network of a billion parameters the graph takes a quarter of a minute."""
    monkeypatch.setattr(builder, "body", lambda *arguments: pytest.fail("the graph is built"))
    monkeypatch.setattr("keras_resnet.models.weights.load.download", refuse)
    with pytest.raises(OSError, match="no network"):
        keras_resnet.ResNet50(weights="torchvision/resnet50.v1")


def refuse(row: Checkpoint, otherwise: str) -> Any:
    raise OSError("no network")


# ---- KerasHub's, which have no address.

VD = "keras_hub/resnet_vd_18_imagenet"
HANDLE = "keras/resnet_vd/keras/resnet_vd_18_imagenet/2"
BY_HAND = f"'{VD}' can't be downloaded, .* Install kagglehub .*kagglehub.model_download\\('{HANDLE}'\\)"


def test_a_handle_says_how_to_fetch_its_folder_by_hand() -> None:
    for weights in (VD, "imagenet"):
        with pytest.raises(OSError, match=BY_HAND):
            keras_resnet.ResNet("resnet_vd_18", weights=weights, input_shape=(32, 32, 3))
    model = keras_resnet.ResNet("resnet_vd_18", input_shape=(32, 32, 3))
    before = model.get_weights()
    with pytest.raises(OSError, match=BY_HAND):
        keras_resnet.load_weights(model, VD)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_commands_say_how_to_fetch_the_folder_of_a_handle_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((32, 32, 3), "uint8")).save(picture)
    for typed in (["convert", VD, str(tmp_path / "net.safetensors")], ["predict", VD, str(picture)]):
        assert cli.main(typed) == 1
        assert f"kagglehub.model_download({HANDLE!r})" in capsys.readouterr().err, typed
    assert not (tmp_path / "net.safetensors").exists()


@pytest.mark.parametrize("names", [True, False])
def test_the_folder_that_kagglehub_returns_loads(names: bool, tmp_path: Path) -> None:
    whole = task(backbone("basic_block_vd"))
    folder = preset(whole, tmp_path / "models" / HANDLE, names=names)
    thin = hubs_row("basic_block_vd")
    own: dict[str, Any] = {"classes": 5, "classifier_activation": None, "input_shape": (None, None, 3)}
    x = images(64, 64)
    for path in (folder, str(folder)):
        assert_close(run(keras_resnet.ResNet(thin, weights=path, **own), x), run(whole, x), 1e-5)
    body = keras_resnet.ResNet(thin, weights=folder, include_top=False)
    assert_close(run(body, x), run(whole.backbone, x), 1e-5)
    assert isinstance(body, keras.Model)
