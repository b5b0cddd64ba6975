"""Our networks as backbones of keras_cv's and keras_hub's tasks: they build, train, predict, save and load.

keras_cv 0.9 on PyTorch: its DeepLabV3Plus can't train, whatever the backbone (the gradient of its pyramid pooling's
resize fails: "grad_input must be contiguous"), and its RetinaNet can't decode boxes without torchvision. There the
first only predicts, and the second trains and gives raw scores.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET50, RESNET50V2
from tests.helpers.kinds import COVER, KINDS
from tests.helpers.nets import UNITS, assert_close, images, randomise, run, thin

BACKEND = keras.backend.backend()
once = pytest.mark.one_backend
# keras_cv's RetinaNet takes plain images, and calls itself an input called "images".
its_own_warning = pytest.mark.filterwarnings("ignore:(?s).*The structure of `inputs` doesn't match")
X = images()
Task = tuple[keras.Model, Any]  # compiled, and the labels of X


def imported(package: str) -> Any:
    return pytest.importorskip(package, reason=f"the extra {package} is not installed")


def as_backbone(package: str, variant: Any = RESNET50V2, units: Any = (1, 1, 1, 1), **arguments: Any) -> keras.Model:
    net = keras_resnet.ResNet(thin(variant, units=units), include_top=False, input_shape=(64, 64, 3), **arguments)
    return keras_resnet.backbone(net, package)


def hub_classifier() -> Task:
    hub = imported("keras_hub")
    task = hub.models.ImageClassifier(backbone=as_backbone("keras_hub"), num_classes=3)
    task.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return task, np.array([0, 2])


def hub_retinanet() -> Task:
    hub = imported("keras_hub")
    task = hub.models.RetinaNetBackbone(
        image_encoder=as_backbone("keras_hub", RESNET50),
        min_level=3,
        max_level=6,
        use_p5=False,
        image_shape=(64, 64, 3),
    )
    sides = {"P3": 8, "P4": 4, "P5": 2, "P6": 1}
    task.compile("adam", dict.fromkeys(sides, "mse"))
    return task, {level: np.ones((2, side, side, 256), "float32") for level, side in sides.items()}


def hub_segmenter(**arguments: Any) -> Task:
    hub = imported("keras_hub")
    stride = arguments.get("output_stride", 32)
    encoder = as_backbone("keras_hub", **arguments)
    deepest = f"P{stride.bit_length() - 1}"
    encoder.pyramid_outputs = encoder.pyramid_outputs | {deepest: encoder.pyramid_outputs["P5"]}
    backbone = hub.models.DeepLabV3Backbone(
        image_encoder=encoder,
        spatial_pyramid_pooling_key=deepest,  # it takes a level's number for its stride
        low_level_feature_key="P2",
        upsampling_size=stride // 4,
        dilation_rates=[2, 4],
        image_shape=(64, 64, 3),
    )
    task = hub.models.DeepLabV3ImageSegmenter(backbone=backbone, num_classes=3)
    # Its own metrics don't take integer masks.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    task.compile("adam", loss, metrics=["sparse_categorical_accuracy"])
    return task, mask()


def mask() -> Any:
    """A square in front of a background."""
    labels = np.zeros((2, 64, 64), "int32")
    labels[:, 16:48, 16:48] = 2
    return labels


def cv_segmenter() -> Task:
    cv = imported("keras_cv")
    # It enlarges the pooled map eightfold to that of P2, so at output_stride 16 the pooling has to halve it.
    pooling = keras.Sequential([cv.layers.SpatialPyramidPooling([2, 4]), keras.layers.MaxPooling2D(2)])
    task = cv.models.DeepLabV3Plus(
        backbone=as_backbone("keras_cv", output_stride=16), num_classes=3, spatial_pyramid_pooling=pooling
    )
    task.compile("adam", "sparse_categorical_crossentropy")
    return task, mask()[..., None]


def cv_retinanet() -> Task:
    cv = imported("keras_cv")
    task = cv.models.RetinaNet(backbone=as_backbone("keras_cv"), num_classes=3, bounding_box_format="xyxy")
    task.compile(optimizer="adam", classification_loss="focal", box_loss="smoothl1", metrics=None)
    boxes = np.array([[[0, 0, 32, 32]], [[16, 16, 48, 48]]], "float32")
    return task, {"boxes": boxes, "classes": np.array([[0], [2]], "float32")}


TRAINING = [hub_classifier, hub_retinanet, hub_segmenter, cv_retinanet]
TRAINING += [cv_segmenter] if BACKEND != "torch" else [lambda: hub_segmenter(output_stride=16)]


@its_own_warning
@pytest.mark.parametrize("build", TRAINING, ids=["classifier", "fpn", "segmenter", "detector", "dense segmenter"])
def test_a_task_learns_one_batch_through_to_the_stem(build: Callable[[], Task]) -> None:
    keras.utils.set_random_seed(0)
    task, labels = build()
    stem = next(layer for layer in task._flatten_layers() if layer.name == "conv1_conv")
    before = keras.ops.convert_to_numpy(stem.kernel).copy()
    losses = task.fit(X, labels, batch_size=2, epochs=20, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert np.abs(keras.ops.convert_to_numpy(stem.kernel) - before).max() > 0


@pytest.mark.parametrize("build", [hub_classifier, hub_segmenter, cv_segmenter])
def test_a_task_predicts(build: Callable[[], Task]) -> None:
    task, _ = build()
    scores = task.predict(X, verbose=0)
    assert scores.shape == ((2, 3) if build is hub_classifier else (2, 64, 64, 3))
    assert np.isfinite(scores).all()


@its_own_warning
def test_a_detector_of_keras_cv_predicts() -> None:
    task, _ = cv_retinanet()
    if BACKEND == "torch":
        raw = task(X)
        assert [tuple(raw[key].shape) for key in ("box", "classification")] == [(2, 774, 4), (2, 774, 3)]
    else:
        assert task.predict(X, verbose=0)["boxes"].shape == (2, 100, 4)


def test_pyramids_of_keras_hub_predict() -> None:
    task, labels = hub_retinanet()
    maps = task.predict(X, verbose=0)
    assert {level: map_.shape for level, map_ in maps.items()} == {level: y.shape for level, y in labels.items()}


@once
@pytest.mark.parametrize("package", ["keras_cv", "keras_hub"])
@pytest.mark.parametrize("stride", [None, 16])
@pytest.mark.parametrize("style", ["keras", "torch", "slim"])
@pytest.mark.parametrize("variant", [RESNET18, RESNET50, RESNET50V2], ids=lambda v: v.name)
def test_levels_have_the_strides_and_channels_of_the_plan(
    variant: Any, style: str, stride: int | None, package: str
) -> None:
    imported(package)
    model = as_backbone(package, variant, UNITS, style=style, output_stride=stride)
    if package == "keras_cv":
        maps = {level: model.get_layer(name).output for level, name in model.pyramid_level_inputs.items()}
    else:
        maps = model.pyramid_outputs
    widths = [stage[-1].filters for stage in plan(thin(variant)).stages]
    sides = [16, 8, 4, 2 if stride is None else 4]
    assert list(maps) == ["P2", "P3", "P4", "P5"]
    # In keras v2 and slim v1 and v2 a level before the last stands before the last unit of its stage: same channels.
    assert [map_.shape[1:] for map_ in maps.values()] == [(s, s, w) for s, w in zip(sides, widths, strict=True)]
    assert model.output is maps["P5"]


@once
@pytest.mark.parametrize("package", ["keras_cv", "keras_hub"])
@pytest.mark.parametrize("kind", [*COVER, "first stride"])
def test_every_kind_of_network_is_a_backbone_that_saves_and_loads(kind: str, package: str, tmp_path: Path) -> None:
    imported(package)
    net = randomise(keras_resnet.ResNet(KINDS[kind], include_top=False, input_shape=(128, 128, 3)))
    model = keras_resnet.backbone(net, package)
    levels = model.pyramid_level_inputs if package == "keras_cv" else model.pyramid_outputs
    assert list(levels) == [f"P{level}" for level in range(2, 7 if kind == "first stride" else 6)]
    model.save(tmp_path / "backbone.keras")
    loaded = keras.models.load_model(tmp_path / "backbone.keras")
    assert_close(run(loaded, images(128, 128)), run(net, images(128, 128)), 1e-6)


@once
@pytest.mark.parametrize("build", [hub_classifier, lambda: hub_segmenter(output_stride=16), cv_segmenter])
def test_a_saved_task_loads(build: Callable[[], Task], tmp_path: Path) -> None:
    task, _ = build()
    task.save(tmp_path / "task.keras")
    again = keras.models.load_model(tmp_path / "task.keras", compile=False)
    assert_close(again.predict(X, verbose=0), task.predict(X, verbose=0), 1e-6)


LOADING = """
import keras, numpy as np, sys
import keras_resnet.hub, keras_resnet.cv
for path in sys.argv[1:]:
    task = keras.models.load_model(path, compile=False)
    np.save(path + ".npy", task.predict(np.load("x.npy"), verbose=0))
"""


@once
def test_a_saved_task_loads_in_another_process(tmp_path: Path) -> None:
    tasks = {"hub.keras": hub_classifier()[0], "cv.keras": cv_segmenter()[0]}
    np.save(tmp_path / "x.npy", X)
    for name, task in tasks.items():
        task.save(tmp_path / name)
    subprocess.run([sys.executable, "-c", LOADING, *tasks], cwd=tmp_path, check=True, capture_output=True)
    for name, task in tasks.items():
        assert_close(np.load(tmp_path / f"{name}.npy"), task.predict(X, verbose=0), 1e-6)


@once
def test_a_level_of_ones_own_is_refused_when_saved(tmp_path: Path) -> None:
    imported("keras_hub")
    model = as_backbone("keras_hub")
    model.pyramid_outputs = {"P4": keras.layers.MaxPooling2D(2)(model.pyramid_outputs["P4"])}
    with pytest.raises(ValueError, match="`pyramid_outputs` must hold outputs of .* own layers; received .'P4'."):
        model.save(tmp_path / "backbone.keras")


@once
def test_a_backbone_ends_at_the_last_map_whatever_stood_behind() -> None:
    imported("keras_hub")
    whole = keras_resnet.ResNet(thin(RESNET50), input_shape=(64, 64, 3))
    assert keras_resnet.backbone(whole, "keras_hub").output_shape == (None, 2, 2, 256)
    assert keras_resnet.backbone(whole, "keras_hub").layers[1] is whole.layers[1]


@once
def test_another_package_and_a_missing_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    net = keras_resnet.ResNet20()
    with pytest.raises(ValueError, match="`package` must be one of 'keras_hub', 'keras_cv'; received 'kerashub'"):
        keras_resnet.backbone(net, "kerashub")
    monkeypatch.setitem(sys.modules, "keras_cv", None)
    with pytest.raises(ImportError, match=r"keras_cv: pip install 'keras3-resnet\[keras_cv\]'"):
        keras_resnet.backbone(net, "keras_cv")
