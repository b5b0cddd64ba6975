"""Every family of checkpoints: files as its library writes them give its outputs, and go back as they were.

(keras.applications runs in process; all cases of TF-Slim's: test_slim_goldens.)
"""

import dataclasses
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import keras_resnet
from keras_resnet import variants
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.families import tf_slim, timm, torchvision
from keras_resnet.checkpoints.formats.torch.file import TorchFile
from keras_resnet.checkpoints.open import open_source
from tests.helpers.bounds import bounded
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style
from tests.helpers.torch_nets import TORCH, golden, image, keys, state_dict, write

once = pytest.mark.one_backend
SLIM = Path(__file__).parents[2] / "goldens" / "slim"
EVEN_AND_ODD = ((64, 64), (65, 65))
EVERY = (*EVEN_AND_ODD, (97, 70))
ODD = ((65, 65),)

# Golden, whose state dict, builder, what the file is, output_stride, sizes of images.
NETS: list[tuple[str, str, str, str, int | None, Any]] = [
    ("torchvision__resnet18", "torchvision__resnet18", "ResNet18", "net.safetensors", None, EVEN_AND_ODD),
    ("torchvision__resnet50", "torchvision__resnet50", "ResNet50", "net.pth", None, ODD),
    ("torchvision__resnet50_os8", "torchvision__resnet50", "ResNet50", "net.pth", 8, ODD),
    ("timm__resnet26", "timm__resnet26", "ResNet26", "model.safetensors", None, EVEN_AND_ODD),
    ("timm__resnetv2_18", "timm__resnetv2_18", "ResNet18V2", "model.safetensors", None, EVEN_AND_ODD),
    ("timm__resnetv2_50", "timm__resnetv2_50", "ResNet50V2", "net.pth", None, ODD),
    ("transformers__resnet-18", "transformers__resnet-18", "ResNet18", "pytorch_model.bin", None, EVEN_AND_ODD),
    ("transformers__resnet-50_bottleneck", "transformers__resnet-50_bottleneck", "ResNet50", "config", None, ODD),
]
if TORCH:  # the quickest to start
    NETS = [(*net[:-1], EVERY) for net in NETS] + [
        ("torchvision__resnet34", "torchvision__resnet34", "ResNet34", "legacy.pth", None, EVERY),
        ("torchvision__resnet101", "torchvision__resnet101", "ResNet101", "net.pt", None, EVEN_AND_ODD),
        ("torchvision__resnet152", "torchvision__resnet152", "ResNet152", "net.safetensors", None, EVEN_AND_ODD),
        ("torchvision__resnet50_os16", "torchvision__resnet50", "ResNet50", "net.pth", 16, EVERY),
        ("timm__resnet18_os8", "torchvision__resnet18", "ResNet18", "net.pth", 8, EVERY),  # timm's output_stride
        ("timm__resnetv2_34", "timm__resnetv2_34", "ResNet34V2", "model.safetensors", None, EVERY),
        ("timm__resnetv2_50_os8", "timm__resnetv2_50", "ResNet50V2", "net.pth", 8, EVERY),
        ("transformers__resnet-26", "transformers__resnet-26", "ResNet26", "model.safetensors", None, EVERY),
        ("transformers__resnet-50", "transformers__resnet-50", "ResNet50", "model.safetensors", None, EVERY),
    ]


def written(folder: Path, net: str, name: str) -> Path:
    """A golden's file, and what lies beside it."""
    if name == "config":
        (folder / "config.json").write_text(json.dumps({"downsample_in_bottleneck": True, "layer_type": "bottleneck"}))
        name = "model.safetensors"
    return write(folder / name, state_dict(net), legacy=name.startswith("legacy"))


@pytest.mark.parametrize(("golden_name", "net", "builder", "file", "stride", "sizes"), NETS, ids=[n[0] for n in NETS])
def test_a_file_gives_the_numbers_of_its_library(
    golden_name: str, net: str, builder: str, file: str, stride: int | None, sizes: Any, tmp_path: Path
) -> None:
    path, expected = written(tmp_path, net, file), golden(golden_name)
    model = getattr(keras_resnet, builder)(
        weights=path, input_shape=(None, None, 3), classifier_activation=None, output_stride=stride
    )
    maps = keras.Model(model.input, [model.output, model.get_layer("avg_pool").input])
    for height, width in sizes:
        suffix = f"{height}x{width}"
        logits, features = (np.asarray(keras.ops.convert_to_numpy(each)) for each in maps(image(height, width)))
        assert_close(logits, expected[f"logits_{suffix}"], 1e-5)
        features = np.moveaxis(features, -1, 1)
        assert features.shape == tuple(expected[f"features_shape_{suffix}"])
        assert_close(features.mean((2, 3)), expected[f"features_mean_{suffix}"], 1e-5)
        if f"features_{suffix}" in expected:
            assert_close(features[0, ::64], expected[f"features_{suffix}"], 1e-5)


@once
def test_a_stride_in_the_1x1_would_be_another_network(tmp_path: Path) -> None:
    """A test of the tests; and what tells the two is the config beside the file, or `style`."""
    path = written(tmp_path, "transformers__resnet-50_bottleneck", "model.safetensors")
    shape: dict[str, Any] = {"input_shape": (64, 64, 3), "classifier_activation": None}
    expected = golden("transformers__resnet-50_bottleneck")["logits_64x64"]
    assert_close(run(keras_resnet.ResNet50(weights=path, style="torch_1x1", **shape), image(64, 64)), expected, 1e-5)
    with pytest.raises(AssertionError, match="deviates"):
        assert_close(run(keras_resnet.ResNet50(weights=path, **shape), image(64, 64)), expected, 1e-2)
    (tmp_path / "config.json").write_text('{"downsample_in_first_stage": true}')
    with pytest.raises(ValueError, match=r"config.json beside it states downsample_in_first_stage: True, which"):
        keras_resnet.ResNet50(weights=path, **shape)


@once
@pytest.mark.parametrize(
    ("net", "builder"),
    [
        ("torchvision__resnet18", "ResNet18"),
        ("torchvision__resnet50", "ResNet50"),
        ("timm__resnet26", "ResNet26"),
        ("timm__resnetv2_18", "ResNet18V2"),
        ("timm__resnetv2_50", "ResNet50V2"),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_what_is_saved_back_is_as_it_was(net: str, builder: str, suffix: str, tmp_path: Path) -> None:
    tensors = state_dict(net)
    model = getattr(keras_resnet, builder)(weights=write(tmp_path / "net.safetensors", tensors))
    keras_resnet.save_weights(model, tmp_path / f"back{suffix}")
    if suffix == ".pth":
        import torch

        loaded = torch.load(tmp_path / "back.pth", weights_only=True)
        back = {name: value.numpy() for name, value in loaded.items()}
    else:
        source = open_source(tmp_path / "back.safetensors")
        back = {name: source.read(name) for name in source.shapes}
    assert {name: (value.shape, value.dtype) for name, value in back.items()} == {
        name: (value.shape, value.dtype) for name, value in tensors.items()
    }
    assert all(np.array_equal(back[name], value) for name, value in tensors.items())
    assert list(tmp_path.iterdir()) != []
    assert not list(tmp_path.glob(".part*"))


@once
def test_only_networks_of_style_torch_are_saved_as_pytorchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = thin(variants.RESNET50)
    for style in ("keras", "slim", "torch_1x1"):
        model = keras_resnet.ResNet(with_style(tiny, style), input_shape=(32, 32, 3))
        with pytest.raises(ValueError, match=f"must be of style 'torch' for a file .* is built in style '{style}'"):
            keras_resnet.save_weights(model, tmp_path / "a.safetensors")
    torch_style = keras_resnet.ResNet(with_style(tiny, "torch"), input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match=r"`path` must end in \.safetensors, \.pth.*received .*a\.h5"):
        keras_resnet.save_weights(torch_style, tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError, match=r"none.a\.pth' could not be written: there is no folder '.*none'"):
        keras_resnet.save_weights(torch_style, tmp_path / "none" / "a.pth")
    v2 = keras_resnet.ResNet(with_style(thin(variants.RESNET50V2), "torch"), input_shape=(32, 32, 3))
    with pytest.raises(
        ValueError, match="`format` must be one of 'timm'; received 'torchvision'.*torchvision has no network of the"
    ):
        keras_resnet.save_weights(v2, tmp_path / "a.pth", "torchvision")
    assert not list(tmp_path.iterdir())
    keras_resnet.save_weights(torch_style, tmp_path / "a.pth", "timm")
    before = (tmp_path / "a.pth").read_bytes()
    monkeypatch.setattr("torch.save", lambda value, file: (file.write(b"half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        keras_resnet.save_weights(torch_style, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def save_topological(model: keras.Model, path: Path, group: str | None = None) -> None:
    """As keras.applications' files are, or, below a group, a whole model of Keras 2."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file.create_group(group) if group else file, model)


def rename_classifier(path: Path) -> None:
    """As in keras.applications' own files: `probs`."""
    with h5py.File(path, "r+") as file:
        file.move("predictions", "probs")
        file["probs"].move("predictions", "probs")
        names = [np.bytes_(name).replace(b"predictions", b"probs") for name in file.attrs["layer_names"]]
        file.attrs["layer_names"] = np.array(names)
        file["probs"].attrs["weight_names"] = np.array([b"probs/kernel:0", b"probs/bias:0"])
        for name in ("kernel", "bias"):
            file["probs/probs"].move(name, f"{name}:0")


@pytest.mark.parametrize("builder", ["ResNet50", "ResNet50V2"])
@pytest.mark.parametrize("kind", ["topological", "probs", "whole", "weights", "keras"])
def test_keras_applications_files_give_its_numbers(builder: str, kind: str, tmp_path: Path) -> None:
    if not TORCH and (builder, kind) not in (("ResNet50", "probs"), ("ResNet50V2", "keras")):
        pytest.skip("shown on PyTorch")
    theirs = randomise(
        getattr(keras.applications, builder)(weights=None, input_shape=(65, 65, 3), classifier_activation=None)
    )
    path = tmp_path / "net.bin"  # told by content, not by name
    match kind:
        case "topological" | "probs":
            save_topological(theirs, path)
        case "whole":
            save_topological(theirs, path, "model_weights")
        case "weights":
            theirs.save_weights(tmp_path / "net.weights.h5")
            (tmp_path / "net.weights.h5").rename(path)
        case "keras":
            theirs.save(tmp_path / "net.keras")
            (tmp_path / "net.keras").rename(path)
    if kind == "probs":
        rename_classifier(path)
    ours = getattr(keras_resnet, builder)(weights=path, input_shape=(65, 65, 3), classifier_activation=None)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
    x = images(65, 65)
    assert_close(run(ours, x), run(theirs, x), 1e-5)
    body = getattr(keras_resnet, builder)(False, path, input_shape=(65, 65, 3))
    assert len(body.weights) == len(theirs.weights) - 2


def without_names(path: Path) -> Path:
    """A file as Keras wrote it before 3.8."""

    def forget(_: str, item: Any) -> None:
        if "name" in item.attrs:
            del item.attrs["name"]

    with h5py.File(path, "r+") as file:
        file.visititems(forget)
    return path


@once
def test_files_without_names_go_by_position(tmp_path: Path) -> None:
    for variant in (thin(variants.RESNET50), thin(variants.RESNET18V2), thin(variants.RESNET20, widths=(16, 32, 64))):
        model = randomise(keras_resnet.ResNet(variant, input_shape=(32, 32, 3)))
        model.save_weights(tmp_path / "a.weights.h5")
        again = keras_resnet.ResNet(variant, weights=without_names(tmp_path / "a.weights.h5"), input_shape=(32, 32, 3))
        assert all(map(np.array_equal, again.get_weights(), model.get_weights()))
        body = keras_resnet.ResNet(variant, False, tmp_path / "a.weights.h5", input_shape=(32, 32, 3))
        assert all(map(np.array_equal, body.get_weights(), model.get_weights()))
        deeper = dataclasses.replace(variant, units=(*variant.units[:-1], 3))
        for other in (deeper, dataclasses.replace(variant, units=(*variant.units[:-1], 1))):
            with pytest.raises(ValueError, match="does not fit"):
                keras_resnet.ResNet(other, weights=tmp_path / "a.weights.h5", input_shape=(32, 32, 3))


@once
def test_a_v1_file_of_the_same_arrays_is_no_v2_file(tmp_path: Path) -> None:
    """CIFAR nets of option A: as many weights of the same shapes in the same order."""
    model = keras_resnet.ResNet20()
    model.save_weights(tmp_path / "a.weights.h5")
    model.save(tmp_path / "a.keras")
    save_topological(model, tmp_path / "a.h5")
    for name in ("a.weights.h5", "a.keras", "a.h5"):
        with pytest.raises(
            ValueError, match="The file looks like a v1 network, and the model is a v2 network.*ResNet20.classes=10. in"
        ):
            keras_resnet.ResNet20V2(weights=tmp_path / name)


@once
@pytest.mark.parametrize("style", ["keras", "torch", "torch_1x1", "slim"])
@pytest.mark.parametrize("variant", [variants.RESNET50, variants.RESNET50V2, variants.RESNET18], ids=lambda v: v.name)
def test_a_keras_file_tells_its_style(variant: Any, style: str, tmp_path: Path) -> None:
    if style == "torch_1x1" and variant.version == 2:
        return
    tiny, x = thin(variant), images(65, 65)
    for rest in ({}, {"output_stride": 8}, {"include_preprocessing": True}, {"global_pool": False, "dropout": 0.5}):
        arguments: dict[str, Any] = {"input_shape": (65, 65, 3), "classes": 3} | rest
        model = randomise(keras_resnet.ResNet(tiny, style=style, **arguments))
        model.save(tmp_path / "a.keras")
        again = keras_resnet.ResNet(tiny, weights=tmp_path / "a.keras", **arguments)
        np.testing.assert_array_equal(run(again, x), run(model, x))
    other = "slim" if style == "keras" else "keras"
    with pytest.raises(ValueError, match=f"`style` must be one of None, .*'{style}'.*; received '{other}'"):
        keras_resnet.ResNet(tiny, weights=tmp_path / "a.keras", style=other, **arguments)


def nameless_keras(path: Path, folder: Path) -> Path:
    """A `.keras` file as before 3.8."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (folder / "inner.h5").write_bytes(members["model.weights.h5"])
    members["model.weights.h5"] = without_names(folder / "inner.h5").read_bytes()
    with zipfile.ZipFile(folder / "nameless.keras", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return folder / "nameless.keras"


@once
def test_an_older_keras_file_tells_style_and_version_by_its_config(tmp_path: Path) -> None:
    tiny, x = thin(variants.RESNET50V2), images(33, 33)
    rest: dict[str, Any] = {"input_shape": (33, 33, 3), "classes": 3}
    model = randomise(keras_resnet.ResNet(tiny, style="slim", **rest))
    model.save(tmp_path / "a.keras")
    again = keras_resnet.ResNet(tiny, weights=nameless_keras(tmp_path / "a.keras", tmp_path), **rest)
    np.testing.assert_array_equal(run(again, x), run(model, x))
    keras_resnet.ResNet20().save(tmp_path / "b.keras")
    with pytest.raises(ValueError, match="must hold a v2 network for 'resnet20v2'; .* holds a v1 network"):
        keras_resnet.ResNet20V2(weights=nameless_keras(tmp_path / "b.keras", tmp_path))


@once
@pytest.mark.parametrize("nested", [False, True])
def test_each_network_of_a_keras_file_has_its_own_style(nested: bool, tmp_path: Path) -> None:
    tiny = thin(variants.RESNET50, name="net")
    nets = {
        style: randomise(keras_resnet.ResNet(tiny, False, style=style, input_shape=(33, 33, 3), name=style))
        for style in ("torch", "slim")
    }
    image = keras.Input((33, 33, 3))
    if not nested:
        for style, net in nets.items():
            nets[style] = keras.models.clone_model(
                net, clone_function=lambda layer, style=style: prefixed(layer, style)
            )
    keras.Model(image, [net(image) if nested else rebuilt(net, image) for net in nets.values()]).save(
        tmp_path / "a.keras"
    )
    scopes = [("torch", "torch"), ("slim", "slim")]
    if nested:  # by its name, and by the path that Keras has in the file
        scopes += [("torch", "functional"), ("slim", "functional_1")]
    for style, scope in scopes:
        for other in nets:
            model = keras_resnet.ResNet(tiny, False, style=other, input_shape=(33, 33, 3))
            if other == style:
                assert keras_resnet.load_weights(model, tmp_path / "a.keras", scope=scope).left == ()
            else:
                with pytest.raises(ValueError, match=f"of style '{style}'; 'net' is built in style '{other}'"):
                    keras_resnet.load_weights(model, tmp_path / "a.keras", scope=scope)


def prefixed(layer: keras.Layer, prefix: str) -> keras.Layer:
    return type(layer).from_config(layer.get_config() | {"name": f"{prefix}__{layer.name}"})


def rebuilt(net: keras.Model, image: Any) -> Any:
    """The layers of a network on another input, in one flat graph."""
    values = {id(net.inputs[0]): image}
    for layer in net.layers[1:]:
        taken = layer.input if isinstance(layer.input, list) else [layer.input]
        found = [values[id(each)] for each in taken]
        values[id(layer.output)] = layer(found if isinstance(layer.input, list) else found[0])
    return values[id(net.outputs[0])]


@once
def test_stages_of_one_unit_tell_slim_and_torch_by_where_the_first_stride_is(tmp_path: Path) -> None:
    for stem in (None, variants.RESNET20.stem):
        tiny = dataclasses.replace(thin(variants.RESNET50), units=(1, 1, 1), widths=(4, 8, 16), stem=stem)
        rest: dict[str, Any] = {"input_shape": (33, 33, 3), "classes": 3}
        for style, other in (("slim", "torch"), ("torch", "slim")):
            model = randomise(keras_resnet.ResNet(tiny, style=style, **rest))
            model.save(tmp_path / "a.keras")
            again = keras_resnet.ResNet(tiny, weights=tmp_path / "a.keras", **rest)
            np.testing.assert_array_equal(run(again, images(33, 33)), run(model, images(33, 33)))
            with pytest.raises(ValueError, match="`style` must be one of None"):
                keras_resnet.ResNet(tiny, weights=tmp_path / "a.keras", style=other, **rest)


@once
def test_a_lineage_of_ones_own_is_kept(tmp_path: Path) -> None:
    lineage = dataclasses.replace(LINEAGES["torch", 1], style="mine", epsilon=0.1)
    own = dataclasses.replace(thin(variants.RESNET50), lineage=lineage)
    rest: dict[str, Any] = {"input_shape": (33, 33, 3), "classes": 3}
    model = randomise(keras_resnet.ResNet(own, **rest))
    for name in ("a.keras", "a.weights.h5"):
        (model.save if name == "a.keras" else model.save_weights)(tmp_path / name)
        again = keras_resnet.ResNet(own, weights=tmp_path / name, **rest)
        np.testing.assert_array_equal(run(again, images(33, 33)), run(model, images(33, 33)))
    lineage = dataclasses.replace(LINEAGES["keras", 1], style="mine", stride_at="first_3x3")
    own = dataclasses.replace(thin(variants.RESNET50), lineage=lineage)
    model = randomise(keras_resnet.ResNet(own, **rest))
    model.save(tmp_path / "b.keras")
    again = keras_resnet.ResNet(own, weights=tmp_path / "b.keras", **rest)
    np.testing.assert_array_equal(run(again, images(33, 33)), run(model, images(33, 33)))
    with pytest.raises(ValueError, match="is of no known style"):
        keras_resnet.ResNet(thin(variants.RESNET50), weights=tmp_path / "b.keras", **rest)


@once
def test_a_model_cut_behind_a_first_norm_gets_all_its_weights(tmp_path: Path) -> None:
    for style in ("torch", "keras", "slim"):
        tiny = with_style(thin(variants.RESNET50V2), style)
        whole = randomise(keras_resnet.ResNet(tiny, input_shape=(64, 64, 3)), seed=1)
        whole.save(tmp_path / "a.keras")
        files = [tmp_path / "a.keras"]
        if style == "torch":
            keras_resnet.save_weights(whole, tmp_path / "a.safetensors")
            files.append(tmp_path / "a.safetensors")
        for path in files:
            other = randomise(keras_resnet.ResNet(tiny, False, input_shape=(64, 64, 3)))
            pyramid = keras_resnet.feature_pyramid(other, ["C2", "C3"])
            report = keras_resnet.load_weights(pyramid, path)
            assert report.left == ()
            if style == "torch":
                keras_resnet.save_weights(pyramid, tmp_path / "cut.safetensors")
                assert keras_resnet.load_weights(pyramid, tmp_path / "cut.safetensors").left == ()
            for layer in pyramid.layers[1:]:
                assert all(map(np.array_equal, layer.get_weights(), whole.get_layer(layer.name).get_weights()))


@once
def test_a_whole_body_is_not_taken_for_a_cut_one(tmp_path: Path) -> None:
    tiny = with_style(thin(variants.RESNET50), "torch")
    deeper = keras_resnet.ResNet(dataclasses.replace(tiny, units=(2, 2, 2, 5)), input_shape=(32, 32, 3))
    keras_resnet.save_weights(deeper, tmp_path / "a.safetensors")
    for pooling in ("avg", "max"):
        body = keras_resnet.ResNet(tiny, False, pooling=pooling, input_shape=(32, 32, 3))
        with pytest.raises(ValueError, match=r"The stages of the file have \(2, 2, 2, 5\) blocks"):
            keras_resnet.load_weights(body, tmp_path / "a.safetensors")


@once
def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    tiny = with_style(thin(variants.RESNET50), "torch")
    model = keras_resnet.ResNet(tiny, input_shape=(32, 32, 3), classes=3)
    keras_resnet.save_weights(model, tmp_path / "a.safetensors")
    source = open_source(tmp_path / "a.safetensors")
    tensors = {name: source.read(name) for name in source.shapes}
    for value, told in ((1e39, "too large for float32"), (1e38, None)):
        path = write(tmp_path / "b.pth", tensors | {"fc.bias": np.full(3, value)})
        if told:
            with pytest.raises(ValueError, match=told):
                keras_resnet.load_weights(model, path)
        else:
            assert keras_resnet.load_weights(model, path).left == ()


@once
def test_quantized_and_lora_models_are_told_to_load_and_save_first(tmp_path: Path) -> None:
    model = keras_resnet.ResNet(with_style(thin(variants.RESNET50), "torch"), input_shape=(32, 32, 3))
    model.get_layer("predictions").enable_lora(2)
    with pytest.raises(ValueError, match="Load and save weights before you quantize a model or enable LoRA"):
        keras_resnet.save_weights(model, tmp_path / "a.safetensors")


@once
def test_bodies_of_transformers_and_files_of_any_name_load(tmp_path: Path) -> None:
    tensors = {
        name.removeprefix("resnet."): value
        for name, value in state_dict("transformers__resnet-18").items()
        if not name.startswith("classifier")
    }
    expected = golden("transformers__resnet-18")["features_mean_65x65"]
    for name in ("net.safetensors", "net.pth"):
        path = write(tmp_path / name, tensors).rename(tmp_path / "weights.h5")
        body = keras_resnet.ResNet18(False, path, pooling="avg")
        assert_close(run(body, image(65, 65)), expected, 1e-5)
        with pytest.raises(ValueError, match="The file has no classifier. Pass include_top=False"):
            keras_resnet.ResNet18(weights=path)


@once
def test_names_and_configs_made_to_hurt_are_refused_at_once(tmp_path: Path) -> None:
    """Patterns that would backtrack, numbers that would fill memory, a pipe where a config should be."""
    tensors = {f"{i:04}{'_' * 990}": np.zeros(1, "f4") for i in range(1000)}
    tensors |= {f"{i:04}{'_' * 180}_1_conv/kernel": np.zeros(1, "f4") for i in range(2000)}
    with bounded(10_000_000), pytest.raises(ValueError, match="holds no ResNet") as raised:
        keras_resnet.ResNet18(weights=write(tmp_path / "a.safetensors", tensors))
    assert len(str(raised.value)) < 1000
    loud = write(tmp_path / "b.safetensors", {"\x1b[2J" + "x" * 9999: np.zeros(1, "f4")})
    with pytest.raises(ValueError, match="holds no ResNet") as raised:
        keras_resnet.ResNet18(weights=loud)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 1000
    many = {f"{i}.layer1.0.conv1.weight": np.zeros((1, 1, 1, 1), "f4") for i in range(3000)}
    with (
        bounded(10_000_000),
        pytest.raises(ValueError, match="holds 3000 networks; a weights file may hold 100 at most"),
    ):
        keras_resnet.ResNet18(weights=write(tmp_path / "c.safetensors", many))

    tiny = with_style(thin(variants.RESNET50), "torch")
    keras_resnet.ResNet(tiny, input_shape=(32, 32, 3)).save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for key, value in (
        ("groups", "x" * 100_000), ("strides", ["a", 1]), ("strides", [None]), ("kernel_size", [[3]]), ("filters", -1),
        ("dilation_rate", [10**30]), ("use_bias", {}),
    ):  # fmt: skip
        config = json.loads(members["config.json"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Conv2D":
                layer["config"][key] = value
        with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
            for name, data in (members | {"config.json": json.dumps(config).encode()}).items():
                archive.writestr(name, data)
        with bounded((tmp_path / "b.keras").stat().st_size):
            source = open_source(tmp_path / "b.keras")
            assert all(network.styles for network in read_networks(source))
    os.mkfifo(tmp_path / "config.json")
    keras_resnet.ResNet18(weights=write(tmp_path / "net.safetensors", state_dict("torchvision__resnet18")))


def moco(tensors: dict[str, Any]) -> dict[str, Any]:
    """A self-supervised checkpoint's keys: the network that learns, its slow copy, projections, a queue."""
    body = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
    found = {f"module.encoder_q.{name}": value for name, value in body.items()}
    found |= {f"module.encoder_k.{name}": value * 9 for name, value in body.items()}
    projection = {"fc.weight": np.ones((128, 2048), "f4"), "fc.bias": np.ones(128, "f4")}
    found |= {f"module.encoder_{which}.{name}": value for which in "qk" for name, value in projection.items()}
    return found | {"module.queue": np.ones((128, 8), "f4"), "module.queue_ptr": np.zeros(1, "i8")}


@once
def test_backbones_are_found_under_their_prefixes(tmp_path: Path) -> None:
    import torch

    tensors = state_dict("torchvision__resnet50")
    body = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
    swav = {f"module.{name}": value for name, value in body.items()}
    swav |= {f"module.projection_head.{i}.weight": np.ones((4, 4), "f4") for i in (0, 3)}
    swav |= {"module.prototypes.weight": np.ones((4, 4), "f4")}
    mocov3 = {f"module.base_encoder.{name}": value for name, value in body.items()}
    mocov3 |= {f"module.base_encoder.fc.{i}.weight": np.ones((4, 4), "f4") for i in (0, 3)}
    mocov3 |= {f"module.momentum_encoder.{name}": value * 9 for name, value in body.items()}
    files: dict[str, Any] = {
        "moco": {"epoch": 200, "arch": "resnet50", "state_dict": moco(tensors), "optimizer": {"lr": 0.03}},
        "mocov3": {"epoch": 100, "state_dict": mocov3},
        "swav": swav,
        "dino": body,
        "barlow": {"epoch": 1, "model": {f"module.backbone.{name}": value for name, value in body.items()}},
        "vissl": {f"backbone.{name}": value for name, value in body.items()},
        "lightning": {"state_dict": {f"encoder.{name}": value for name, value in body.items()}},
    }

    def tensored(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tensored(each) for name, each in value.items()}
        return torch.from_numpy(np.array(value)) if isinstance(value, (np.ndarray, np.generic)) else value

    model = keras_resnet.ResNet50(False, None, style="torch", pooling="avg")
    for name, content in files.items():
        randomise(model, seed=3)
        torch.save(tensored(content), tmp_path / f"{name}.pth.tar")
        report = keras_resnet.load_weights(model, tmp_path / f"{name}.pth.tar")
        assert report.left == ()
        assert_close(run(model, image(65, 65)), golden("torchvision__resnet50")["features_mean_65x65"], 1e-5)
    slow = keras_resnet.load_weights(model, tmp_path / "moco.pth.tar", scope="state_dict.module.encoder_k")
    assert len(slow.loaded) == len(model.weights)
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv1_conv").kernel)
    np.testing.assert_array_equal(kernel, (body["conv1.weight"] * 9).transpose(2, 3, 1, 0))
    projects = r"encoder_q.fc' \(128, 2048\) is read as a projection head.*Pass head=.*, or include_top=False"
    with pytest.raises(ValueError, match=projects):
        keras_resnet.ResNet50(weights=tmp_path / "moco.pth.tar", classes=128)
    beside = {("" if name.startswith("fc.") else "encoder_q.") + name: value for name, value in tensors.items()}
    with pytest.raises(
        ValueError, match=r"'fc' .* is read as a projection head.* Pass head='fc' if .*, or include_top=False"
    ):
        keras_resnet.ResNet50(weights=write(tmp_path / "beside.pth", beside))  # no name makes it one
    for scope in ("module.", "encoder."):
        path = write(tmp_path / "whole.pth", {f"{scope}{name}": value for name, value in tensors.items()})
        whole = keras_resnet.ResNet50(weights=path, classifier_activation=None, input_shape=(65, 65, 3))
        assert_close(run(whole, image(65, 65)), golden("torchvision__resnet50")["logits_65x65"], 1e-5)


@once
def test_a_builder_says_how_one_of_several_networks_is_taken(tmp_path: Path) -> None:
    row = thin(variants.RESNET18, units=(1, 1), widths=(8, 8))
    model = keras_resnet.ResNet(row, style="torch", classes=5)
    keras_resnet.save_weights(model, tmp_path / "one.safetensors")
    one = open_source(tmp_path / "one.safetensors")
    both = {f"{scope}.{name}": one.read(name) for scope in ("model", "model_ema") for name in one.shapes}
    path = write(tmp_path / "two.pth", both)
    with pytest.raises(ValueError, match="`weights`: .* holds several networks") as caught:
        keras_resnet.ResNet(row, classes=5, weights=path)
    advice = re.search(r"Pass (scope='model') or (scope='model_ema')\.$", str(caught.value))
    assert advice is not None
    for scope in advice.groups():
        assert eval(f"keras_resnet.ResNet(row, classes=5, weights=path, {scope})", globals() | locals())


OTHERS = {
    "timm__resnet18d": r"It fits keras_resnet.ResNet\('resnet18d'\) in style 'torch'",
    "timm__resnet50d": r"ResNet\('resnet50d'\) in style 'torch', .*'resnetaa50d'.*'resnetblur50d'",
    "timm__seresnet50": r"It fits keras_resnet.ResNet\('seresnet50'\) in style 'torch'",
    "timm__resnext50_32x4d": "It fits keras_resnet.ResNeXt50 in style 'torch'",
    "torchvision__resnet101": r"\(3, 4, 23, 3\) blocks, .* It fits keras_resnet.ResNet101 in style",
    "torchvision__resnet34": "It fits keras_resnet.ResNet34 in style 'torch'",
    "timm__resnetv2_50": "The file looks like a v2 network, .*It fits keras_resnet.ResNet50V2 in style 'torch'",
    "transformers__resnet-26": r"It fits keras_resnet.ResNet26 in style 'torch' or 'torch_1x1'",
}


@once
@pytest.mark.parametrize(("net", "message"), OTHERS.items(), ids=OTHERS)
def test_a_file_of_another_network_is_told_which_builder_it_fits(net: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write(path, {name: np.zeros(shape, "f4") for name, shape in keys(net).items()})
    with pytest.raises(ValueError, match=rf"(?s)does not fit 'resnet50', which did not change.*{message}"):
        keras_resnet.ResNet50(weights=path)


@once
def test_a_style_that_a_file_is_not_of_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.safetensors", state_dict("torchvision__resnet18"))
    for style in ("keras", "slim"):
        with pytest.raises(ValueError, match=f"`style` must be one of None, 'torch', 'torch_1x1'; received '{style}'"):
            keras_resnet.ResNet18(weights=path, style=style)
        with pytest.raises(
            ValueError, match=f"is a file of torchvision, of style 'torch' or .*; .* in style '{style}'"
        ):
            keras_resnet.load_weights(keras_resnet.ResNet18(weights=None, style=style), path)
    (tmp_path / "config.json").write_text('{"architecture": "resnetblur18"}')
    with pytest.raises(
        ValueError, match="config.json beside it states architecture: 'resnetblur18', which is not true of 'resnet18'"
    ):
        keras_resnet.ResNet18(weights=path)


@once
def test_resnext_loads_into_a_row_of_ones_own(tmp_path: Path) -> None:
    row = dataclasses.replace(with_style(variants.RESNET50, "torch"), groups=32, base_width=4)
    path = write(tmp_path / "net.pth", state_dict("timm__resnext50_32x4d"))
    model = keras_resnet.ResNet(row, weights=path, classifier_activation=None, input_shape=(64, 64, 3))
    assert_close(run(model, image(64, 64)), golden("timm__resnext50_32x4d")["logits_64x64"], 1e-5)


@once
@pytest.mark.parametrize("builder", ["ResNet18", "ResNet18V2"])
def test_another_number_of_classes_is_told_how_to_load(builder: str, tmp_path: Path) -> None:
    net = {"ResNet18": "torchvision__resnet18", "ResNet18V2": "timm__resnetv2_18"}[builder]
    path = write(tmp_path / "net.safetensors", state_dict(net))
    build = getattr(keras_resnet, builder)
    with pytest.raises(
        ValueError, match="(?s)The file has 1000 classes. Pass classes=1000.*include_top=False.*classifier"
    ):
        build(weights=path, classes=10)
    model = build(weights=None, style="torch", classes=10)
    report = keras_resnet.load_weights(model, path, allow_missing=["predictions"])
    assert report.left == ("predictions/kernel", "predictions/bias")


@once
def test_the_stem_adapts_to_gray_and_to_many_channels(tmp_path: Path) -> None:
    """timm's rule: an image repeated over the channels gives what the RGB network gives for it."""
    path = write(tmp_path / "net.safetensors", state_dict("torchvision__resnet18"))
    gray = image(65, 65)[..., :1]
    expected = run(keras_resnet.ResNet18(False, path), gray.repeat(3, -1))
    for channels in (1, 6, 3):
        model = keras_resnet.ResNet18(False, path, input_shape=(65, 65, channels))
        assert_close(run(model, gray.repeat(channels, -1)), expected, 1e-5)
    five = keras_resnet.ResNet18(False, None, input_shape=(65, 65, 5), style="torch")
    report = keras_resnet.load_weights(five, path)
    assert report.adapted == ("conv1_conv/kernel, of 3 channels in the file and 5 in the model",)
    assert "adapted: conv1_conv/kernel" in str(report)
    kernel = keras.ops.convert_to_numpy(five.get_layer("conv1_conv").kernel)
    held = state_dict("torchvision__resnet18")["conv1.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(kernel, held[:, :, [0, 1, 2, 0, 1]] * 0.6, rtol=1e-6)
    model = randomise(keras_resnet.ResNet50(weights=None, input_shape=(32, 32, 3)))
    model.save_weights(tmp_path / "a.weights.h5")
    one = keras_resnet.ResNet50(weights=tmp_path / "a.weights.h5", input_shape=(32, 32, 1))
    summed = keras.ops.convert_to_numpy(model.get_layer("conv1_conv").kernel).sum(2, keepdims=True)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(one.get_layer("conv1_conv").kernel), summed)


@once
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.weights.h5", "a.keras", "a.h5"])
def test_every_format_is_all_or_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = with_style(thin(variants.RESNET50), "torch")
    source, model = (randomise(keras_resnet.ResNet(tiny, input_shape=(32, 32, 3)), seed) for seed in (0, 1))
    path = tmp_path / name
    if name == "a.h5":
        save_topological(source, path)
    elif "keras" in name or "h5" in name:
        (source.save if name == "a.keras" else source.save_weights)(path)
    else:
        keras_resnet.save_weights(source, path)
    before = model.get_weights()
    reader = type(open_source(path))
    read, reads = reader.read, []

    def failing(self: Any, tensor: str) -> Any:
        reads.append(tensor)
        if len(reads) == 30:
            raise ValueError(f"{tensor!r} is damaged")
        return read(self, tensor)

    monkeypatch.setattr(reader, "read", failing)
    with pytest.raises(ValueError, match="is damaged"):
        keras_resnet.load_weights(model, path)
    assert all(map(np.array_equal, model.get_weights(), before))
    monkeypatch.undo()
    report = keras_resnet.load_weights(model, path)
    assert report.left == ()
    assert report.loaded == tuple(weight.path for weight in model.weights)
    assert all(map(np.array_equal, model.get_weights(), source.get_weights()))
    norm = source.get_layer("conv3_block1_2_bn")
    norm.moving_mean.assign(np.full(16, np.nan, "f4"))
    if "pth" in name or "safetensors" in name:
        keras_resnet.save_weights(source, path)
    elif name == "a.h5":
        save_topological(source, path)
    else:
        (source.save if name == "a.keras" else source.save_weights)(path)
    now = model.get_weights()
    with pytest.raises(ValueError, match="(?s)not finite.*diverged"):
        keras_resnet.load_weights(model, path)
    assert all(map(np.array_equal, model.get_weights(), now))


MEMORY = """
import sys, threading, time
import numpy as np
import keras_resnet

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

keras_resnet.ResNet(keras_resnet.RESNET20, weights=None, input_shape=(32, 32, 3))  # Keras is imported now
before, peak, done = resident(), 0, threading.Event()

def watch():
    global peak
    while not done.is_set():
        peak = max(peak, resident())
        time.sleep(0.0005)

model = keras_resnet.ResNet50(weights=None, style="torch")
watcher = threading.Thread(target=watch)
watcher.start()
for path in sys.argv[1:]:
    keras_resnet.load_weights(model, path)
done.set()
watcher.join()
print((peak - before) / sum(4 * int(np.prod(weight.shape)) for weight in model.weights))
"""


@once
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there resident memory is counted otherwise")
def test_model_and_loading_together_take_at_most_2_2_times_the_weights(tmp_path: Path) -> None:
    model = randomise(keras_resnet.ResNet50(weights=None, style="torch"))
    keras_resnet.save_weights(model, tmp_path / "a.pth")
    keras_resnet.save_weights(model, tmp_path / "a.safetensors")
    model.save(tmp_path / "a.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    save_topological(model, tmp_path / "a.h5")
    paths = sorted(map(str, tmp_path.iterdir()))
    result = subprocess.run([sys.executable, "-c", MEMORY, *paths], capture_output=True, text=True, check=True)
    assert 1.9 < float(result.stdout) < 2.2


@once
def test_half_precision_files_load_as_float32(tmp_path: Path) -> None:
    import torch

    tensors = {name: torch.from_numpy(np.array(each)) for name, each in state_dict("torchvision__resnet18").items()}
    for dtype in (torch.float16, torch.bfloat16):
        torch.save({k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}, tmp_path / "a.pth")
        model = keras_resnet.ResNet18(weights=tmp_path / "a.pth")
        kernel = keras.ops.convert_to_numpy(model.get_layer("conv1_conv").kernel)
        held = tensors["conv1.weight"].to(dtype).float().numpy().transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(kernel, held)
    assert TorchFile.open(tmp_path / "a.pth").dtypes["conv1.weight"] == "float32"


CASES = ["v1_2222/gp_65", "v2_2222/train_65"]
CASES += ["v1_3463/fcn_65_os8", "v2_3463/gp_64", "v1_2222/noroot64_fcn_15x12", "v2_2222/fcn_64_os4"] if TORCH else []


@pytest.mark.parametrize("case", CASES)
def test_style_slim_gives_the_numbers_of_tf_slim(case: str) -> None:
    """Logits and every block of a builder's network, filled from a checkpoint. (All cases: test_slim_goldens.)"""
    expected = np.load(SLIM / f"{case}.npz")
    checkpoint = case.split("/")[0]
    variant = variants.RESNET50 if checkpoint.startswith("v1") else variants.RESNET50V2
    variant = dataclasses.replace(variant, units=tuple(map(int, checkpoint[3:])), widths=(4, 8, 16, 32))
    if "noroot" in case:
        variant = dataclasses.replace(variant, stem=None)
    x = expected["input"]
    model = keras_resnet.ResNet(
        variant,
        weights=SLIM / checkpoint / "model.ckpt",
        input_shape=(None, None, x.shape[-1]),
        classes=10,
        classifier_activation=None,
        output_stride=int(case.partition("_os")[2]) if "_os" in case else None,
        global_pool="fcn" not in case,
    )
    points = keras_resnet.end_points(model, "net")
    ends = {f"block{i}": points[f"net/block{i}"] for i in range(1, 5)} | {"logits": points["net/logits"]}
    training = "train" in case
    outputs = keras.Model(model.input, ends)(x, training=training)
    for key, output in outputs.items():
        mine = np.asarray(keras.ops.convert_to_numpy(output))
        assert_close(mine.reshape(expected[key].shape), expected[key], 5e-5 if training else 1e-5)


@once
def test_the_maps_name_every_layer_with_weights_once() -> None:
    """Also those of networks that the goldens don't have."""
    maps = {
        ("torch", 1): torchvision.modules,
        ("torch", 2): timm.modules_v2,
        ("slim", 1): tf_slim.modules,
        ("slim", 2): tf_slim.modules,
    }
    for variant in (variants.RESNET34, variants.RESNET101, variants.RESNET18V2, variants.RESNET50V2):
        for (style, version), names_of in maps.items():
            if version == variant.version:
                model = keras_resnet.ResNet(variant, style=style, input_shape=(32, 32, 3))
                modules = names_of(plan(with_style(variant, style)))
                ours = [modules[layer.name] for layer in model.layers if layer.weights]
                assert len(set(ours)) == len(ours)
