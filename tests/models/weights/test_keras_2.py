"""Files of Keras 2's libraries: ResNet-RS, keras-applications' ResNeXt, image-classifiers and what is built on it."""

import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.families.image_classifiers import IMAGE_CLASSIFIERS
from keras_resnet.checkpoints.open import open_source
from tests.helpers.keras_2 import GOLDENS, THIN, Keys, keys_of, published, renumbered, write_h5
from tests.helpers.keras_nets import keras_formula
from tests.helpers.nets import assert_close, randomise, run, run_whole
from tests.helpers.torch_nets import TORCH, image

once = pytest.mark.one_backend
CLASSIFIERS = [net for net in THIN if net != "thin_resnetrs"]
# Between them: both graphs of MXNet's and that of SENet, both kinds of units, gates and groups.
COVER = ("thin_seresnet_basic", "thin_resnext", "thin_senet154")


def build(net: str, weights: Path | str | None, **arguments: Any) -> keras.Model:
    usual: dict[str, Any] = {"input_shape": (None, None, 3), "classes": 7, "classifier_activation": None}
    return keras_resnet.ResNet(THIN[net], weights=weights, **usual | arguments)


def assert_golden(model: keras.Model, net: str, sizes: tuple[str, ...] = ("64x64", "65x65", "97x70")) -> None:
    """Logits, and means of the last map."""
    whole = keras.Model(model.input, [model.output, model.get_layer("avg_pool").output])
    with np.load(GOLDENS / f"{net}.npz") as expected:
        for size in sizes if TORCH else sizes[1:2]:  # elsewhere each is compiled
            logits, features = run_whole(whole, image(*map(int, size.split("x"))))
            assert_close(logits, expected[f"logits_{size}"], 1e-5)
            assert_close(features, expected[f"features_mean_{size}"], 1e-5)


def weights_of(model: keras.Model) -> dict[str, Any]:
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


# ---- The outputs are those of the libraries.


@pytest.mark.parametrize("net", [pytest.param(net, marks=() if net in COVER else once) for net in CLASSIFIERS])
def test_a_file_of_image_classifiers_gives_the_outputs_of_its_library(net: str, tmp_path: Path) -> None:
    model = build(net, write_h5(tmp_path / "net.h5", keys_of(net)))
    assert_golden(model, net)
    epsilons = {layer.epsilon for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert epsilons == {2e-5 if "resne" in net and net[5:] != "seresnet" and "seresnext" not in net else 1e-5}


@once
@pytest.mark.parametrize("net", [net for net in CLASSIFIERS if net != "thin_senet154"])
def test_layers_go_by_the_files_order_whatever_their_numbers_and_however_it_is_listed(net: str, tmp_path: Path) -> None:
    expected = weights_of(build(net, write_h5(tmp_path / "net.h5", keys_of(net))))
    ways: list[dict[str, Any]] = [
        {"rename": renumbered(98), "fixed": False},  # of two digits and three
        {"rename": renumbered(1), "limit": 512, "group": "model_weights"},
    ]
    model = build(net, None)
    for way in ways:
        keras_resnet.load_weights(model, write_h5(tmp_path / "net.h5", keys_of(net), **way))
        found = weights_of(model)
        assert all(np.array_equal(found[path], value) for path, value in expected.items()), way


@once
@pytest.mark.parametrize("net", ["thin_resnet_basic", "thin_resnext", "thin_seresnet"])
def test_a_file_without_classifier_loads_and_other_classes_are_named(net: str, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keys_of(net), top=False)
    body = build(net, path, include_top=False, pooling="avg")
    with np.load(GOLDENS / f"{net}.npz") as expected:
        assert_close(run(body, image(65, 65)), expected["features_mean_65x65"], 1e-5)
    with pytest.raises(ValueError, match="The file has no classifier"):
        build(net, path)
    with pytest.raises(ValueError, match="The file has 7 classes. Pass classes=7"):
        build(net, write_h5(path, keys_of(net)), classes=9)


@pytest.mark.parametrize("rename", [str, published])
def test_a_file_of_resnet_rs_gives_its_outputs_under_both_sorts_of_names(rename: Any, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keys_of("thin_resnetrs"), rename)
    assert_golden(build("thin_resnetrs", path), "thin_resnetrs")
    raw = build("thin_resnetrs", None, include_preprocessing=True)
    raw.load_weights(path)  # Keras' own, by the order
    x = np.random.RandomState(2).uniform(0, 255, (2, 3, 65, 65)).astype("f4")
    with np.load(GOLDENS / "thin_resnetrs.npz") as expected:
        assert_close(run_whole(raw, np.moveaxis(x, 1, -1)), expected["logits_raw_65x65"], 1e-5)


@once
def test_a_resnet_rs_with_drop_path_loads_what_others_do(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keys_of("thin_resnetrs_drop"), lambda layer: published(layer), fixed=False)
    model = build("thin_resnetrs", path, drop_path=(0.04, 0.06, 0.08, 0.1), dropout=0.25)
    assert_golden(model, "thin_resnetrs")
    other = build("thin_resnetrs", None, drop_path=(0.04, 0.06, 0.08, 0.1), dropout=0.25)
    other.load_weights(path)
    assert all(np.array_equal(value, weights_of(other)[name]) for name, value in weights_of(model).items())


@once
def test_the_second_resnet_rs_of_a_process_has_another_stem(tmp_path: Path) -> None:
    keys = {name.replace("stem_1_", "stem_12_"): shape for name, shape in keys_of("thin_resnetrs").items()}
    path = write_h5(
        tmp_path / "net.h5", keys, values=lambda key, shape: keras_formula(key.replace("m_12_", "m_1_"), shape)
    )
    assert_golden(build("thin_resnetrs", path), "thin_resnetrs", ("65x65",))


# ---- ResNeXt of keras-applications.


def resnext_file(path: Path, variant: Variant, gconv: str | None = None) -> tuple[Path, dict[str, Any]]:
    """A file of a thin ResNeXt as keras-applications wrote it, and our weights; `gconv`: how sums lie in it."""
    model = randomise(keras_resnet.ResNet(variant, weights=None, classes=7, input_shape=(32, 32, 3)))
    ours, keys, values = weights_of(model), {}, {}
    for name, value in ours.items():
        key = name.replace("predictions/", "probs/")
        if value.ndim == 4 and key.endswith("_2_conv/kernel"):
            *_, each, channels = value.shape
            key, split = key.replace("kernel", "depthwise_kernel"), np.arange(channels)
            depthwise = np.zeros((3, 3, channels, each), "f4")
            for o in split:  # keras-applications: x[c] * depthwise[c, m] goes to output (c // each) * each + m
                for j in range(each):
                    depthwise[:, :, o // each * each + j, o % each] = value[:, :, j, o]
            value = depthwise
        keys[key], values[key] = list(value.shape), value
        if key.endswith("depthwise_kernel") and gconv:
            sums = np.zeros((1, 1, channels * each, channels), "f4")
            for i, j in itertools.product(range(channels), range(each)):
                sums[0, 0, i * each + j, i // each * each + j] = 1
            key = key.replace("_conv/depthwise_kernel", "_gconv/kernel")
            keys[key], values[key] = list(sums.shape), sums * (2 if gconv == "trained" else 1)
    return write_h5(path, keys, values=lambda key, shape: values[key]), ours


@once
@pytest.mark.parametrize("gconv", [None, "fixed"])
@pytest.mark.parametrize("groups", [2, 4])
def test_a_resnext_of_keras_applications_has_its_depthwise_kernels_rewritten(
    gconv: str | None, groups: int, tmp_path: Path
) -> None:
    row = dataclasses.replace(
        NETWORKS["resnext50_32x4d"], units=(1, 1, 1, 1), widths=(8, 8, 16, 16), groups=groups, base_width=64
    )
    path, ours = resnext_file(tmp_path / "net.h5", row, gconv)
    model = keras_resnet.ResNet(row, weights=path, classes=7, input_shape=(32, 32, 3))
    assert all(np.array_equal(value, ours[name]) for name, value in weights_of(model).items())
    assert [network.styles for network in read_networks(open_source(path))] == [("keras",)]
    torch = dataclasses.replace(row, lineage=row.lineages["torch"])
    with pytest.raises(ValueError, match="a file of keras-applications, of style 'keras'"):
        keras_resnet.load_weights(keras_resnet.ResNet(torch, weights=None, classes=7, input_shape=(32, 32, 3)), path)


@once
def test_a_config_with_absurd_settings_is_of_no_network(tmp_path: Path) -> None:
    row = dataclasses.replace(
        NETWORKS["resnext50_32x4d"], units=(1, 1, 1, 1), widths=(8, 8, 16, 16), groups=2, base_width=64
    )
    path, _ = resnext_file(tmp_path / "net.h5", row)
    layers = [
        {"class_name": "Conv2D", "config": {"name": "conv2_block1_1_conv", "filters": 8}},
        {"class_name": "DepthwiseConv2D", "config": {"name": "conv2_block1_2_conv", "depth_multiplier": 0}},
    ]
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": layers}})
    assert [network.styles for network in read_networks(open_source(path))] == [("keras",)]


@once
def test_a_resnext_whose_sums_were_trained_is_refused(tmp_path: Path) -> None:
    row = dataclasses.replace(
        NETWORKS["resnext50_32x4d"], units=(1, 1, 1, 1), widths=(8, 8, 16, 16), groups=2, base_width=64
    )
    path, _ = resnext_file(tmp_path / "net.h5", row, "trained")
    with pytest.raises(ValueError, match="adds up the channels of each group, was trained"):
        keras_resnet.ResNet(row, weights=path, classes=7, input_shape=(32, 32, 3))


# ---- What is built on image-classifiers.


@once
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("net", ["thin_seresnet_basic", "thin_resnext"])
def test_the_network_in_a_model_loads_by_its_scope(net: str, frozen: bool, tmp_path: Path) -> None:
    """A model in a model: its layers lie in one group, what is trained first."""
    expected = weights_of(build(net, write_h5(tmp_path / "net.h5", keys_of(net))))
    path = write_h5(tmp_path / "net.h5", keys_of(net), renumbered(3), nested="model_1", frozen=frozen)
    model = build(net, None)
    report = keras_resnet.load_weights(model, path, scope="model_1")
    assert report.left == report.unused == ()
    assert all(np.array_equal(value, expected[name]) for name, value in weights_of(model).items())


@once
@pytest.mark.parametrize("group", ["", "model_weights"])
def test_the_backbone_of_a_unet_gives_its_features(group: str, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "unet.h5", keys_of("thin_unet_resnet"), renumbered(2), group=group)
    model = build("thin_resnet_basic", None, include_top=False)
    report = keras_resnet.load_weights(model, path)
    assert report.left == ()
    assert all(name.startswith(("decoder_", "final_conv")) for name in report.unused)
    with np.load(GOLDENS / "thin_unet_resnet.npz") as expected:
        for size in ("64x64", "96x64"):
            features = run(model, image(*map(int, size.split("x"))))
            assert_close(features.mean((1, 2)), expected[f"features_mean_{size}"], 1e-5)
    with pytest.raises(ValueError, match="The file has no classifier"):
        build("thin_resnet_basic", path)


@once
def test_the_backbone_of_a_unet_has_its_groups_in_their_order(tmp_path: Path) -> None:
    keys = keys_of("thin_unet_resnext")
    path = write_h5(tmp_path / "unet.h5", keys, renumbered(97))
    found = weights_of(build("thin_resnext", path, include_top=False))
    first = list(keys).index("stage1_unit1_bn1/moving_variance")
    groups = [name for name in list(keys)[first:] if re.fullmatch(r"conv2d(_\d+)?/kernel", name)][:32]
    assert [keys[name] for name in groups] == [[3, 3, 1, 1]] * 32
    joined = np.concatenate([keras_formula(name, [3, 3, 1, 1]) for name in groups], -1)
    assert np.array_equal(found["conv2_block1_2_conv/kernel"], joined)


@once
@pytest.mark.parametrize("net", ["thin_nested_unet_resnet", "thin_nested_unet_resnet_frozen"])
def test_a_unet_in_a_model_for_other_channels_holds_its_network(net: str, tmp_path: Path) -> None:
    """As the README of segmentation_models has it: a convolution makes three channels of four, in front of the Unet."""
    groups: Any = keys_of(net)
    shapes = {f"{group}/{name}": shape for group, held in groups.items() for name, shape in held.items()}
    path = tmp_path / "unet.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [group.encode() for group in groups]
        for group, held in groups.items():
            file.create_group(group).attrs["weight_names"] = [f"{name}:0".encode() for name in held]
        for name, shape in shapes.items():
            file.create_dataset(f"{name}:0", data=keras_formula(name.partition("/")[2], shape))
    model = build("thin_resnet_basic", path, include_top=False, scope="model_1")
    for name, ours in (
        ("bn0/moving_mean", "conv1_bn/moving_mean"),
        ("stage2_unit1_sc/kernel", "conv3_block1_0_conv/kernel"),
    ):
        assert np.array_equal(weights_of(model)[ours], keras_formula(name, shapes[f"model_1/{name}"]))


@once
def test_a_segmentation_model_on_numbered_layers_is_refused_by_name(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "unet.h5", keys_of("thin_unet_seresnext"))
    with pytest.raises(ValueError, match="begins as an SE-ResNet.*such as 'decoder_stage0a_conv', as segmentation mo"):
        build("thin_seresnext", path, include_top=False)


@once
def test_a_pspnet_which_has_a_part_of_its_network_is_refused_by_name(tmp_path: Path) -> None:
    keys, last = keys_of("thin_resnet_basic"), "stage3_unit1_bn1/moving_variance"
    part = dict(itertools.islice(keys.items(), list(keys).index(last) + 1))
    pyramid: Keys = {"psp_level1_conv/kernel": [1, 1, 32, 8]}
    for more, reason in ((pyramid, "is of a PSPNet of segmentation_models"), ({}, "The stages of the file have")):
        path = write_h5(tmp_path / "net.h5", part | more)
        with pytest.raises(ValueError, match=reason):
            build("thin_resnet_basic", path, include_top=False)


def whole(path: Path, net: str, change: Callable[[dict[str, Any]], None] = lambda layers: None) -> Path:
    """A file of a whole model: of ours, but for the names, which are those of the library; with other settings."""
    model = build(net, None, input_shape=(65, 65, 3))
    held = {key.partition("/")[0]: None for key, shape in keys_of(net).items() if shape is not None}
    theirs = iter(held)
    (network,) = read_networks(open_source(write_h5(path, keys_of(net))))
    called = network.source.layers[""]  # type: ignore[attr-defined]
    names = {ours: layers[0] for ours, layers in called.items()}
    assert set(names.values()) <= set(theirs)
    config = json.loads(model.to_json())
    text = json.dumps(config["config"])
    for ours, name in names.items():
        text = text.replace(json.dumps(ours), json.dumps(name))
    config["config"] = json.loads(text)
    change({layer["config"]["name"]: layer for layer in config["config"]["layers"]})
    write_h5(path, keys_of(net), group="model_weights")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(config)
    return path


def setting(layer: str, **changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda layers: layers[layer]["config"].update(changed)


def by_maxima(layers: dict[str, Any]) -> None:
    """Maxima instead of means in front of the projections."""
    for name in layers:
        if name.endswith("_0_pool"):
            layers[name]["class_name"] = "MaxPooling2D"


@once
@pytest.mark.parametrize("net", ["thin_resnet_basic", "thin_resnet_bottleneck", "thin_seresnet", "thin_resnetrs"])
def test_the_config_of_a_whole_model_is_read_by_its_librarys_names(net: str, tmp_path: Path) -> None:
    path = whole(tmp_path / "net.h5", net)
    (network,) = read_networks(open_source(path))
    assert network.styles[0] == THIN[net].lineage.style
    assert_golden(build(net, path), net, ("65x65",))


@once
@pytest.mark.parametrize(
    ("net", "change", "reason"),
    [
        ("thin_resnet_basic", setting("bn0", epsilon=1e-3), "its own config states conv1_bn.epsilon: 0.001"),
        ("thin_resnet_basic", setting("conv1_relu", activation="swish"), "states conv1_relu.activation: 'swish'"),
        ("thin_resnet_basic", setting("pool1_pool", padding="same"), "of no known style"),
        ("thin_seresnet", setting("conv3_block1_se_sigmoid", activation="tanh"), "gate_activation: 'tanh'"),
        ("thin_resnetrs", by_maxima, "its own config states avg_down: False"),
    ],
)
def test_what_a_config_states_otherwise_is_refused(net: str, change: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        build(net, whole(tmp_path / "net.h5", net, change))


@once
def test_another_activation_of_the_classifier_is_told(tmp_path: Path) -> None:
    for activation, told in (("sigmoid", True), ("softmax", False), ("linear", False)):
        path = whole(tmp_path / "net.h5", "thin_seresnet", setting("dense", activation=activation))
        report = keras_resnet.load_weights(build("thin_seresnet", None), path)
        assert any(f"that in the file ends in {activation!r}" in each for each in report.assumed) is told


@once
def test_strides_of_a_config_are_those_of_the_network(tmp_path: Path) -> None:
    """The first 1x1 strides, or the 3x3 does: no tensor tells."""
    path = whole(tmp_path / "net.h5", "thin_seresnet")
    other = dataclasses.replace(THIN["thin_seresnet"], lineage=NETWORKS["classification_models_senet154"].lineage)
    with pytest.raises(ValueError, match="those in .* are of style 'classification_models_1x1'"):
        keras_resnet.ResNet(other, weights=path, classes=7)


@once
def test_a_layer_in_front_of_the_network_is_told(tmp_path: Path) -> None:
    """Such as one that scales pixels, which the network of image-classifiers has not."""

    def insert(layers: dict[str, Any]) -> None:
        start = next(layer for layer in layers.values() if layer["class_name"] == "InputLayer")
        start["class_name"] = "Rescaling"

    path = whole(tmp_path / "net.h5", "thin_resnet_basic", insert)
    report = keras_resnet.load_weights(build("thin_resnet_basic", None), path)
    assert report.assumed == ("images are as behind the layer 'Rescaling' in front of the network in the file's model",)


@once
@pytest.mark.parametrize(
    "hidden", [{"hidden/kernel": [128, 128], "hidden/bias": [128]}, {"norm/gamma": [128], "norm/beta": [128]}]
)
def test_a_layer_called_as_the_classifier_behind_others_is_none(hidden: Any, tmp_path: Path) -> None:
    keys = keys_of("thin_resnet_basic")
    path = write_h5(tmp_path / "net.h5", {**keys, **hidden})
    with pytest.raises(ValueError, match="'fc1' .* may be the classifier|Several matrices"):
        build("thin_resnet_basic", path)
    build("thin_resnet_basic", path, include_top=False)


@once
def test_a_head_of_several_layers_behind_numbered_ones_leaves_the_network(tmp_path: Path) -> None:
    keys = keys_of("thin_seresnet")
    width = 192
    body = {key: shape for key, shape in keys.items() if not key.startswith("dense")}
    two = body | {"dense/kernel": [width, 5], "dense/bias": [5], "dense_1/kernel": [5, 7], "dense_1/bias": [7]}
    path = write_h5(tmp_path / "net.h5", two, renumbered(4))
    build("thin_seresnet", path, include_top=False)
    with pytest.raises(ValueError, match="'dense_4' .* may be the classifier .*, but 'dense_5/kernel' may take"):
        build("thin_seresnet", path)
    one = write_h5(tmp_path / "net.h5", body | {"dense/kernel": [width, 3], "dense/bias": [3]}, renumbered(4))
    assert build("thin_seresnet", one, classes=3).output_shape == (None, 3)


@once
def test_a_network_of_numbers_that_nobody_published_is_said_to_be_assumed(tmp_path: Path) -> None:
    for net, told in (("thin_seresnet", True), ("thin_resnext", False)):
        report = keras_resnet.load_weights(build(net, None), write_h5(tmp_path / "net.h5", keys_of(net)))
        assert any("numbers for names" in each for each in report.assumed) is told


@once
def test_a_list_in_another_order_than_such_a_network_has_is_refused(tmp_path: Path) -> None:
    """Where layers have numbers alone, the list is all that tells them apart."""
    keys = list(keys_of("thin_seresnet").items())
    norms = [i for i, (name, _) in enumerate(keys) if name.startswith("batch_normalization_4/")]
    last = [keys.pop(norms[0]) for _ in norms]
    with pytest.raises(ValueError, match="is an older `.h5` file, whose layers have names that Keras numbered"):
        build("thin_seresnet", write_h5(tmp_path / "net.h5", dict(keys + last)))


@once
def test_without_a_list_a_network_of_numbered_layers_is_refused(tmp_path: Path) -> None:
    reasons = {
        "thin_seresnet_basic": "conv2_block1_se_1_conv/bias",
        "thin_resnext": "conv2_block1_2_conv/kernel",
        "thin_seresnet": "is an older `.h5` file, whose layers have names that Keras numbered",
    }
    for net, reason in reasons.items():
        path = write_h5(tmp_path / "net.h5", keys_of(net))
        with h5py.File(path, "a") as file:
            del file["zero_padding2d"].attrs["weight_names"]
        with pytest.raises(ValueError, match=reason):
            build(net, path)


@once
def test_files_are_told_apart_by_their_content(tmp_path: Path) -> None:
    for net, row in THIN.items():
        (network,) = read_networks(open_source(write_h5(tmp_path / f"{net}.h5", keys_of(net))))
        assert network.version == row.version
        assert row.lineage.style in network.styles
        assert all(style.startswith(row.lineage.style[:5]) for style in network.styles)
        assert (network.family is IMAGE_CLASSIFIERS) == (net != "thin_resnetrs")


@once
def test_weights_of_a_network_of_image_classifiers_do_not_load_into_its_namesake(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", keys_of("thin_resnet_bottleneck"))
    plain = dataclasses.replace(NETWORKS["resnet50v2"], units=(1, 2, 1, 2), widths=(8, 16, 32, 64))
    with pytest.raises(ValueError, match="those in .* are of style 'classification_models"):
        keras_resnet.ResNet(plain, weights=path, classes=7)
