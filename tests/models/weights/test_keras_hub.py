"""KerasHub's ResNets: all files that it leaves of its backbones and tasks give its outputs, or are refused."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.lineages import TORCH_V1, TORCH_V2, VD
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.checkpoints.families import keras as keras_family
from keras_resnet.models.inspection import find_network
from keras_resnet.models.weights.compare import positions
from tests.helpers.nets import SIZES, assert_close, images, randomise, run, thin
from tests.models.weights.test_families import without_names

once = pytest.mark.one_backend
WIDTHS = (64, 8, 16, 24)  # KerasHub's first must be 64
# Kind of units, version.
NETS = [
    *(("basic_block", 1), ("bottleneck_block", 1), ("basic_block", 2), ("bottleneck_block", 2)),
    *(("basic_block_vd", 1), ("bottleneck_block_vd", 1)),
]
ORDER = "the layers have the order of the model's, since the file does not hold their names"
STYLE = "strides, padding and epsilon are those of style 'torch'"


def backbone(kind: str, version: int = 1, **fields: Any) -> Any:
    """KerasHub's own, thin, with random weights."""
    hub = pytest.importorskip("keras_hub")
    deep = kind.endswith("_vd")
    own: dict[str, Any] = {
        "input_conv_filters": [8, 8, 16] if deep else [64],
        "input_conv_kernel_sizes": [3, 3, 3] if deep else [7],
        "stackwise_num_filters": list(WIDTHS),
        "stackwise_num_blocks": [2, 1, 1, 1],
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": kind,
        "use_pre_activation": version == 2,
        "image_shape": (None, None, 3),
    }
    return randomise(hub.models.ResNetBackbone(**own | fields))


def task(body: Any, **fields: Any) -> Any:
    """KerasHub's classifier on a backbone, whose weights change."""
    hub = pytest.importorskip("keras_hub")
    return randomise(hub.models.ResNetImageClassifier(body, 5, activation=None, **fields), seed=1)


def row(kind: str, version: int = 1) -> Variant:
    """The network of `backbone`."""
    deep = kind.endswith("_vd")
    return Variant(
        name="thin",
        version=version,  # type: ignore[arg-type]
        block="basic" if kind.startswith("basic") else "bottleneck",
        units=(2, 1, 1, 1),
        widths=WIDTHS,
        stem=Stem(3, (8, 8, 16)) if deep else Stem(),
        lineage=TORCH_V2 if version == 2 else VD if deep else TORCH_V1,
        shortcut="D" if deep else "B",
    )


def preset(model: Any, folder: Path, *, names: bool = True) -> Path:
    """The folder of a preset, with the names of layers in its files or without."""
    model.save_to_preset(str(folder))
    if not names:
        for file in folder.glob("*.h5"):
            without_names(file)
    return folder


def files(model: Any, folder: Path) -> dict[str, Path]:
    """All files that KerasHub writes of a backbone or task, by what they are."""
    folder.mkdir()
    model.save_weights(folder / "named.weights.h5")
    bare = without_names(Path(shutil.copy(folder / "named.weights.h5", folder / "bare.weights.h5")))
    model.save(folder / "net.keras")
    return {
        "named": folder / "named.weights.h5",
        "bare": bare,
        "keras": folder / "net.keras",
        "preset": preset(model, folder / "preset"),
        "bare preset": preset(model, folder / "bare", names=False),
    }


def build(kind: str, version: int, path: Path, *, top: bool) -> keras.Model:
    own: dict[str, Any] = {"classes": 5, "classifier_activation": None, "input_shape": (None, None, 3)}
    return keras_resnet.ResNet(row(kind, version), include_top=top, weights=path, **own if top else {})


def assert_same(model: keras.Model, theirs: Any) -> None:
    for height, width in SIZES:
        x = images(height, width)
        assert_close(run(model, x), run(theirs, x), 1e-5)


@once
@pytest.mark.parametrize(("kind", "version"), NETS)
def test_every_file_of_a_backbone_and_of_a_task_gives_its_outputs(kind: str, version: int, tmp_path: Path) -> None:
    body = backbone(kind, version)
    for path in files(body, tmp_path / "backbone").values():
        assert_same(build(kind, version, path, top=False), body)
    whole = task(body)
    found = files(whole, tmp_path / "task")
    for path in found.values():
        assert_same(build(kind, version, path, top=True), whole)
    for name in ("bare", "preset"):
        assert_same(build(kind, version, found[name], top=False), body)


def test_a_preset_without_names_gives_the_outputs_of_its_task(tmp_path: Path) -> None:
    kind = "bottleneck_block_vd"
    whole = task(backbone(kind))
    x = images(65, 65)
    model = build(kind, 1, preset(whole, tmp_path / "preset", names=False), top=True)
    assert_close(run(model, x), run(whole, x), 1e-5)


@once
def test_what_no_config_tells_is_assumed(tmp_path: Path) -> None:
    kind = "bottleneck_block_vd"
    whole = task(backbone(kind), dropout=0.5)
    model = keras_resnet.ResNet(row(kind), classes=5, input_shape=(None, None, 3))
    assumed = {
        "named": ("'predictions' is the classifier",),
        "bare": (ORDER, "the classifier takes the means over all positions", STYLE),
        "keras": (),
        "preset": (),
        "bare preset": (),
    }
    for name, path in files(whole, tmp_path / "task").items():
        report = keras_resnet.load_weights(model, path)
        assert (report.left, report.assumed) == ((), assumed[name]), name


@once
def test_half_precision_loads(tmp_path: Path) -> None:
    kind = "basic_block_vd"
    for dtype in ("float16", "bfloat16"):
        body = backbone(kind, dtype=dtype)
        body.save_weights(tmp_path / f"{dtype}.weights.h5")
        model = keras_resnet.ResNet(row(kind), False, tmp_path / f"{dtype}.weights.h5")
        layer = model.get_layer("conv3_block1_0_conv")
        theirs = keras.ops.cast(body.get_layer("stack1_block0_0_conv").kernel, "float32")
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.kernel), keras.ops.convert_to_numpy(theirs))


@once
def test_a_config_that_contradicts_the_network_is_refused(tmp_path: Path) -> None:
    kind = "bottleneck_block_vd"
    folders = (preset(backbone(kind), tmp_path / "a", names=False), preset(task(backbone(kind)), tmp_path / "b"))
    for file in (folders[0] / "config.json", folders[1] / "task.json"):
        text = file.read_text()
        for key, value in (
            *(("block_type", "bottleneck_block"), ("block_type", "basic_block_vd"), ("block_type", "other_vd")),
            *(("use_pre_activation", True), ("stackwise_num_strides", [1, 2, 2, 1]), ("unheard_of", 1)),
        ):
            content = json.loads(text)
            content["config"].get("backbone", content)["config"][key] = value
            file.write_text(json.dumps(content))
            with pytest.raises(ValueError, match=f"states ResNetBackbone.{key}: "):
                keras_resnet.ResNet(row(kind), False, file.parent)


@once
def test_shortcuts_without_means_are_not_taken_for_some_with(tmp_path: Path) -> None:
    stem: dict[str, Any] = {"input_conv_filters": [8, 8, 16], "input_conv_kernel_sizes": [3, 3, 3]}
    path = preset(backbone("bottleneck_block", **stem), tmp_path / "preset")
    with pytest.raises(ValueError, match="states ResNetBackbone.block_type: 'bottleneck_block', which is not true"):
        keras_resnet.ResNet(row("bottleneck_block_vd"), False, path)


@once
def test_a_classifier_of_maxima_is_refused_and_its_backbone_loads(tmp_path: Path) -> None:
    kind = "basic_block_vd"
    body = backbone(kind)
    for path in files(task(body, pooling="max"), tmp_path / "task").values():
        if path.suffix == ".h5":
            continue  # which tells nothing of it
        with pytest.raises(ValueError, match="classifier"):
            build(kind, 1, path, top=True)
        assert_same(build(kind, 1, path, top=False), body)


@once
@pytest.mark.parametrize("names", [True, False])
def test_a_vd_file_is_refused_by_others_and_its_network_named(names: bool, tmp_path: Path) -> None:
    file = tmp_path / "model.weights.h5"
    keras_resnet.ResNet("resnet_vd_18", include_top=False).save_weights(file)
    if not names:
        without_names(file)
    for other in ("resnet18d", "resnet18", "resnet_vd_34"):
        with pytest.raises(ValueError, match=r"fits keras_resnet.ResNet\('resnet_vd_18', include_top=False"):
            keras_resnet.ResNet(other, include_top=False, weights=file)


@once
def test_kerashubs_names_are_read_in_any_case() -> None:
    hub = pytest.importorskip("keras_hub")
    for depth, name in ((18, "resnet_vd_18"), (34, "resnet_vd_34"), (50, "resnet50d"), (200, "resnet_vd_200")):
        found = keras_resnet.architecture.rows.find_row(f"ResNet_VD_{depth}")
        assert found is NETWORKS[name]
        if depth < 50:  # the others are as many tensors again
            body = hub.models.ResNetBackbone(
                [32, 32, 64], [3, 3, 3], list(found.widths), list(found.units), [1, 2, 2, 2], "basic_block_vd"
            )
            assert plan(found).parameters(None) == body.count_params()
    published = {18: 11722824, 34: 21838408, 50: 25629512, 200: 74933064}  # in its presets, with a classifier
    for depth, count in published.items():
        assert plan(keras_resnet.architecture.rows.find_row(f"resnet_vd_{depth}")).parameters() == count


@once
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet18v2", "resnet50v2", "resnet_vd_18", "resnet50d"])
def test_positions_are_told_from_a_plan_as_from_a_model(name: str) -> None:
    for style, lineage in NETWORKS[name].lineages.items():
        variant = thin(dataclasses.replace(NETWORKS[name], lineage=lineage))
        network = find_network(keras_resnet.ResNet(variant, include_top=False, style=style), None)
        assert keras_family.positions(plan(variant)) == positions(network), style


@once
def test_numbers_of_creation_are_not_taken_for_positions(tmp_path: Path) -> None:
    file = tmp_path / "net.h5"
    with h5py.File(file, "w") as group:
        group.attrs["layer_names"] = [b"conv2d_1", b"batch_normalization_1"]
        group["conv2d_1/conv2d_1/kernel:0"] = np.zeros((7, 7, 3, 64), "f4")
        group["batch_normalization_1/batch_normalization_1/gamma:0"] = np.ones(64, "f4")
    with pytest.raises(ValueError, match=r"numbered as they were created .* model.load_weights\(file\)"):
        keras_resnet.ResNet("resnet18", False, file)


CONVERTERS: dict[str, dict[str, Any]] = {
    "tf": {"scale": 1 / 127.5, "offset": -1.0, "image_size": (64, 64)},
    "torch": {
        "scale": [1 / 255 / each for each in (0.229, 0.224, 0.225)],
        "offset": (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    },
    "none": {},  # raw pixels reach the network
    "rgb_means": {"offset": [-123.68, -116.779, -103.939]},
}
ODD: dict[str, tuple[dict[str, Any], str]] = {
    "0 to 1": ({"scale": 1 / 255}, r"`pixels \* \[0.0039.*\] \+ \[0.0, 0.0, 0.0\]` of RGB in \[0, 255\]"),
    "zero": ({"scale": 0.0}, r"`pixels \* \[0.0, 0.0, 0.0\] \+ \[0.0, 0.0, 0.0\]`"),
    "other means": ({"scale": [0.02, 0.02, 0.03], "offset": -2.0}, r"`pixels \* \[0.02, 0.02, 0.03\] \+ \[-2.0, .*`"),
}


def with_converter(body: Any, **fields: Any) -> Any:
    """KerasHub's task on a backbone with its preprocessor."""
    hub = pytest.importorskip("keras_hub")
    converter = hub.layers.ResNetImageConverter(**fields)
    return task(body, preprocessor=hub.models.ResNetImageClassifierPreprocessor(converter))


def raw(path: Path, version: int, *, top: bool) -> keras.Model:
    own: dict[str, Any] = {"classes": 5, "classifier_activation": None} if top else {}
    return keras_resnet.ResNet(
        *(row("basic_block", version), top, path), input_shape=(64, 64, 3), include_preprocessing=True, **own
    )


def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")


@once
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mode", CONVERTERS)
def test_pixels_are_scaled_as_the_image_converter_of_a_preset_scales_them(
    mode: str, version: int, tmp_path: Path
) -> None:
    whole = with_converter(backbone("basic_block", version), **CONVERTERS[mode])
    found = files(whole, tmp_path / "task")
    whole.backbone.save_to_preset(str(tmp_path / "body"))
    whole.preprocessor.image_converter.save_to_preset(str(tmp_path / "body"))
    x = pixels()
    scaled = whole.preprocessor(x)
    for path in (found["preset"], found["bare preset"], found["keras"]):
        assert_close(run(raw(path, version, top=True), x), run(whole, scaled), 1e-4)
    assert_close(run(raw(tmp_path / "body", version, top=False), x), run(whole.backbone, scaled), 1e-4)


@once
@pytest.mark.parametrize("case", ODD)
def test_a_scaling_of_a_preset_that_no_mode_has_is_refused(case: str, tmp_path: Path) -> None:
    fields, said = ODD[case]
    found = files(with_converter(backbone("basic_block"), **fields), tmp_path / "task")
    for path in (found["preset"], found["keras"]):
        with pytest.raises(ValueError, match=rf"KerasHub's image converter, .*{said}.*include_preprocessing=False"):
            raw(path, 1, top=True)
        build("basic_block", 1, path, top=True)


@once
def test_the_converters_of_older_presets_are_read_and_those_that_differ_refused(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    body = backbone("basic_block")
    preset(body, tmp_path / "a")
    file = tmp_path / "a" / "image_converter.json"
    hub.layers.ResNetImageConverter().save_to_preset(str(file.parent))
    content = json.loads(file.read_text())
    older: dict[str, Any] = {"height": 64, "width": 64, "scale": 1 / 255}
    older |= {"mean": [0.485, 0.456, 0.406], "variance": [each**2 for each in (0.229, 0.224, 0.225)]}
    file.write_text(json.dumps(content | {"config": {"name": "converter"} | older}))
    x = pixels()
    scaled = hub.layers.ImageConverter.from_preset(str(file.parent))(x)
    assert_close(run(raw(file.parent, 1, top=False), x), run(body, scaled), 1e-4)
    file.write_text(json.dumps(content | {"class_name": "OwnConverter"}))
    with pytest.raises(ValueError, match="scaling of 'OwnConverter', in which"):
        raw(file.parent, 1, top=False)
    whole = preset(with_converter(body, scale=1 / 127.5, offset=-1.0), tmp_path / "b")
    (whole / "image_converter.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="image converters .* differ"):
        raw(whole, 1, top=True)


@once
def test_a_preset_whose_preprocessor_has_no_converter_takes_raw_pixels(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    whole = task(backbone("basic_block"), preprocessor=hub.models.ResNetImageClassifierPreprocessor(None))
    x = pixels()
    assert_close(run(raw(preset(whole, tmp_path / "a"), 1, top=True), x), run(whole, x), 1e-4)


@once
@pytest.mark.parametrize("version", ["", "V2"])
def test_files_of_keras_cv_are_called_so(version: str, tmp_path: Path) -> None:
    cv = pytest.importorskip("keras_cv")
    kind = getattr(cv.models, f"ResNet{version}Backbone")
    body = kind(
        stackwise_filters=list(WIDTHS),
        stackwise_blocks=[2, 2, 2, 2],
        stackwise_strides=[1, 2, 2, 2],
        include_rescaling=False,
        block_type="basic_block",
        input_shape=(32, 32, 3),
    )
    body.save(tmp_path / "body.keras")
    cv.models.ImageClassifier(backbone=body, num_classes=5).save(tmp_path / "task.keras")
    (tmp_path / "preset").mkdir()
    body.save_weights(tmp_path / "preset" / "model.weights.h5")
    (tmp_path / "preset" / "config.json").write_text(json.dumps(keras.saving.serialize_keras_object(body)))
    for name in ("body.keras", "task.keras", "preset"):
        with pytest.raises(ValueError, match=f"KerasCV's ResNet{version}Backbone, .* pad .* other weights"):
            keras_resnet.ResNet18(include_top=False, weights=tmp_path / name)
