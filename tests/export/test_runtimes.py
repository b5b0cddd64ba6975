"""Files of other runtimes: each gives the model's own outputs, or is not written."""

import importlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import cli
from keras_resnet.export import runtimes
from keras_resnet.export.runtimes import export
from keras_resnet.models.functional import copy_layer
from keras_resnet.utils.files import atomic_files
from tests.helpers.kinds import KINDS
from tests.helpers.nets import assert_close, randomise, run, thin

one_backend = pytest.mark.one_backend
SUFFIXES = {"onnx": ".onnx", "saved_model": "_saved_model", "openvino": ".xml", "litert": ".tflite"}


def plain(side: int | None = 32, strides: int = 1, pool: bool = False, named: bool = False) -> keras.Model:
    """A net of nobody's: a convolution, a norm, and two outputs if they are named."""
    image = layers.Input((side, side, 3), name="image")
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides, padding="same", use_bias=False)(image))
    features = layers.ReLU()(layers.MaxPooling2D()(x) if pool else x)
    logits = layers.Dense(5)(layers.GlobalAveragePooling2D()(features))
    return randomise(keras.Model(image, {"scores": logits, "features": features} if named else logits))


def ours() -> keras.Model:
    """Pictures of any size, raw RGB; in front of a softmax, which hides what it saturates."""
    variant = thin(keras_resnet.variants.RESNET50V2)
    return randomise(
        keras_resnet.ResNet(
            variant,
            weights=None,
            input_shape=(None, None, 3),
            classes=10,
            classifier_activation=None,
            include_preprocessing=True,
            data_format="channels_last",
        )
    )


def sequential() -> keras.Model:
    small = [layers.Conv2D(8, 3, strides=2), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    return randomise(keras.Sequential([layers.Input((17, 19, 3)), *small, layers.Dense(3)]))


def cifar() -> keras.Model:
    return randomise(keras_resnet.ResNet20(weights=None, classifier_activation=None, data_format="channels_last"))


def outputs(format: str, path: Path, images: Any) -> list[Any]:
    """What the format's own runtime makes of images, by the names of outputs where they have some."""
    if format == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
        return list(session.run(None, {session.get_inputs()[0].name: images}))
    if format == "openvino":
        precise = {"INFERENCE_PRECISION_HINT": "f32"}
        return list(pytest.importorskip("openvino").Core().compile_model(path, "CPU", precise)(images).values())
    if format == "litert":
        call = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path)).get_signature_runner()
        found = call(**{next(iter(call.get_input_details())): images})
        return [found[name] for name in sorted(found)]
    loaded = pytest.importorskip("tensorflow").saved_model.load(str(path))
    return [np.asarray(loaded.serve(images))]


def need(format: str) -> None:
    try:
        runtimes.check_export(Path(f"any{SUFFIXES[format]}"), format)
    except ImportError as error:
        pytest.skip(str(error))


@one_backend
@pytest.mark.parametrize(
    ("format", "build", "side"),
    [
        ("onnx", ours, (70, 101)),
        ("saved_model", sequential, (17, 19)),
        ("openvino", cifar, (32, 32)),
        ("litert", lambda: plain(named=True), (32, 32)),
    ],
)
def test_a_file_gives_the_models_outputs_for_any_number_of_images(
    format: str,
    build: Callable[[], keras.Model],
    side: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    need(format)
    monkeypatch.chdir(tmp_path)
    model = build()
    model.save("net.keras")
    assert cli.main(["export", "net.keras", "--format", format]) == 0
    printed = capsys.readouterr().out.splitlines()
    backend = {"onnx": "torch"}.get(format, "tensorflow" if find_spec("tensorflow") else "torch")
    target = Path(f"net{SUFFIXES[format]}")
    assert printed[0] == f"written by: {backend}"
    assert printed[1].startswith(f"target: {target}, ")
    assert printed[2].startswith(f"verified: run as {format}, deviates by ")
    left = {"net.keras", target.name, *(["net.bin"] if format == "openvino" else [])}
    assert {path.name for path in tmp_path.iterdir()} == left
    for count in (1, 2, 3):
        images = np.random.default_rng(count).uniform(0, 255, (count, *side, 3)).astype("float32")
        expected = keras.tree.flatten(model(images, training=False))
        found = outputs(format, target, images)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, keras.ops.convert_to_numpy(other), 1e-4)


@one_backend
@pytest.mark.parametrize("format", SUFFIXES)
def test_every_kind_of_network_runs_in_every_runtime(format: str, tmp_path: Path) -> None:
    """One file of all that has layers or nodes which plain networks lack."""
    need(format)
    image = layers.Input((64, 64, 3), name="image")
    logits = []
    for index, kind in enumerate(("blur, D", "ECA, D", "GN, D, v2", "legacy SE, basic")):
        net = keras_resnet.ResNet(KINDS[kind], input_shape=(64, 64, 3), classes=5, classifier_activation=None)

        def renamed(layer: Any, index: int = index) -> Any:
            return copy_layer(layer, name=f"net{index}_{layer.name}")

        logits.append(keras.models.clone_model(net, input_tensors=image, clone_function=renamed).output)
    done = export(randomise(keras.Model(image, logits)), tmp_path / f"net{runtimes.FORMATS[format].suffix}", format)
    assert done.deviation <= 5e-5


@one_backend
def test_what_cannot_run_on_odd_maps_is_compared_on_others() -> None:
    model = randomise(keras_resnet.ResNet(KINDS["aa, D"], input_shape=(None, None, 3), classes=5))
    images, expected = runtimes._examples(tuple(model.inputs[0].shape), model)
    assert [len(each) for each in images] == [1, 2]
    assert [each[0].shape for each in expected] == [(1, 5), (2, 5)]
    with pytest.raises(ValueError, match="must take images of the shape"):
        runtimes._examples((None, 40, 40, 3), model)


def test_a_model_of_any_backend_is_exported_by_the_one_that_can(tmp_path: Path) -> None:
    need("onnx")
    model = plain()
    before = model.get_weights()
    done = export(model, tmp_path / "net.onnx", "onnx")
    assert (done.backend, done.paths) == ("torch", (tmp_path / "net.onnx",))
    assert 0 < done.deviation <= 1e-5
    assert done.size == (tmp_path / "net.onnx").stat().st_size
    images = np.random.default_rng(3).normal(size=(3, 32, 32, 3)).astype("float32")
    assert_close(outputs("onnx", tmp_path / "net.onnx", images)[0], run(model, images), 1e-5)
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@one_backend
def test_a_file_with_a_wrong_weight_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("onnx")

    def wrong(model: keras.Model) -> keras.Model:
        folded = keras_resnet.fold_batch_norm(model)
        kernel = next(weight for weight in folded.weights if weight.path.endswith("kernel"))
        value = np.array(keras.ops.convert_to_numpy(kernel))
        value.flat[0] += 0.01 * np.abs(value).max()
        kernel.assign(value)
        return folded

    monkeypatch.setattr(runtimes, "fold_batch_norm", wrong)
    (tmp_path / "net.onnx").write_text("before")
    with pytest.raises(ValueError, match="outputs of the onnx file deviate from the model's by .*'.*net.onnx' was not"):
        export(plain(), tmp_path / "net.onnx", "onnx", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_text() == "before"


@one_backend
def test_what_one_size_alone_allows_is_said_and_done(tmp_path: Path) -> None:
    """PyTorch traces a net of any size at 1x1: nothing can be pooled from that, and its padding is kept for all."""
    need("onnx")
    pooled, strided = plain(side=None, pool=True), plain(side=None, strides=2)
    with pytest.raises(ValueError, match="torch failed to write .* pass `image_size`.\n.*MaxPooling2D"):
        export(pooled, tmp_path / "net.onnx", "onnx")
    with pytest.raises(ValueError, match="deviate from the model's .* export it for one size: pass `image_size`"):
        export(strided, tmp_path / "net.onnx", "onnx")
    assert not list(tmp_path.iterdir())
    export(pooled, tmp_path / "net.onnx", "onnx", image_size=48)
    images = np.random.default_rng(0).normal(size=(3, 48, 48, 3)).astype("float32")
    assert_close(outputs("onnx", tmp_path / "net.onnx", images)[0], run(pooled, images), 1e-4)


@one_backend
@pytest.mark.parametrize(
    ("found", "deviation"),
    [([[1.0, 4.0], [0.5]], 0.0), ([[1.0, 4.4], [0.5]], 0.1), ([[1.0, 4.0], [0.4]], 0.2), ([[1, np.nan], [0.5]], None)],
)
def test_every_output_is_compared_on_its_own_scale(found: list[list[float]], deviation: float | None) -> None:
    expected = [np.array([1.0, -4.0]) * [1, -1], np.array([0.5])]
    actual = runtimes._deviation([np.array(each) for each in found], expected)
    assert np.isnan(actual) if deviation is None else actual == pytest.approx(deviation)
    assert runtimes._deviation([np.zeros(2)], [np.zeros(2)]) == 0
    with pytest.raises(ValueError, match=r"have the shapes \[\(2,\)\], those of the model \[\(1,\)\]"):
        runtimes._deviation([np.zeros(2)], [np.zeros(1)])


@one_backend
def test_a_folder_takes_anothers_place_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "net"
    for name in ("first", "second"):
        with atomic_files(target) as part:
            part.mkdir()
            (part / name).touch()
        assert [path.name for path in target.iterdir()] == [name]
    with pytest.raises(KeyboardInterrupt), atomic_files(target) as part:  # noqa: PT012
        part.mkdir()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["net", "second"]


@one_backend
@pytest.mark.parametrize(("there", "call"), [(True, 1), (True, 2), (True, 3), (True, 4), (False, 1), (False, 2)])
def test_what_was_there_comes_back_whenever_a_move_fails(
    there: bool, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = os.replace, iter(range(1, 99))

    def failing(source: Path, target: Path) -> None:
        if next(calls) == call:
            raise PermissionError("locked")
        replace(source, target)

    before = {"net.xml": "old", "net.bin": "old"} if there else {}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(PermissionError), atomic_files(tmp_path / "net.xml") as part:  # noqa: PT012
        for name in ("net.xml", "net.bin"):
            part.with_name(name).write_text("new")
        monkeypatch.setattr(os, "replace", failing)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


@one_backend
def test_probabilities_show_what_is_wrong_with_the_logits_under_them() -> None:
    logits = np.array([[12.0, 1.0, -3.0], [0.5, 14.0, 2.0]])
    wrong = logits + np.array([[0, 0.1, 0], [0, 0, 0]])
    right, found = (np.exp(each) / np.exp(each).sum(-1, keepdims=True) for each in (logits, wrong))
    assert np.abs(found - right).max() < 1e-4
    assert runtimes._deviation([found], [right]) > 1e-3
    assert runtimes._deviation([right.astype("float32")], [right]) < 1e-6


@one_backend
def test_a_net_of_channels_first_and_half_precision_becomes_what_tensorflow_runs(tmp_path: Path) -> None:
    need("saved_model")
    variant = thin(keras_resnet.variants.RESNET18)
    model = randomise(
        keras_resnet.ResNet(
            variant,
            weights=None,
            classes=5,
            input_shape=(3, 64, 64),
            data_format="channels_first",
            dtype="mixed_bfloat16",
        )
    )
    before = keras.utils.serialize_keras_object(model)
    export(model, tmp_path / "net", "saved_model")
    images = np.random.default_rng(3).normal(size=(3, 3, 64, 64)).astype("float32")
    assert_close(outputs("saved_model", tmp_path / "net", images)[0], run(model, images), 0.05)
    assert keras.utils.serialize_keras_object(model) == before


@one_backend
def test_what_can_not_be_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtimes, "find_spec", lambda name: True)
    plain().save("net.keras")
    Path("there.onnx").touch()
    Path("file").touch()
    Path("half.bin").touch()
    Path("pictures").mkdir()
    Path("pictures", "cat.jpg").touch()
    Path("folder.onnx").mkdir()
    for said, *arguments in (
        ("'there.onnx' exists already. Pass --overwrite, or another", "net.keras", "there.onnx", "--format", "onnx"),
        ("'half.bin' exists already", "net.keras", "half.xml", "--format", "openvino"),
        ("must end in .tflite for format 'litert'; received 'net.onnx'", "net.keras", "net.onnx", "--format", "litert"),
        ("must be a folder, without", "net.keras", "net.onnx", "--format", "saved_model"),
        ("'pictures' exists and is not of format", "net.keras", "pictures", "--format", "saved_model", "--overwrite"),
        ("'file' exists and is not of", "net.keras", "file", "--format", "saved_model", "--overwrite"),
        ("'folder.onnx' exists and is not of", "net.keras", "folder.onnx", "--format", "onnx", "--overwrite"),
        ("there is no folder 'gone'", "net.keras", "gone/net.onnx", "--format", "onnx"),
        ("Leave `--image-size` out", "net.keras", "--format", "onnx", "--image-size", "64"),
        ("is a body without classifier", "keras/resnet50.notop", "--format", "onnx"),
        ("There is no model file 'gone.keras'", "gone.keras", "--format", "onnx"),
    ):
        assert cli.main(["export", *arguments]) == 1
        assert said in capsys.readouterr().err, arguments
    assert Path("pictures", "cat.jpg").exists()
    with pytest.raises(SystemExit):
        cli.main(["export", "net.keras", "--format", "onxx"])
    with pytest.raises(ValueError, match="`format` must be one of 'onnx', .* Did you mean 'onnx'"):
        export(plain(), "net.onnx", "onxx")


@one_backend
def test_what_is_not_installed_is_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for absent, format, said in (
        (("torch",), "onnx", "needs torch, which is not installed: pip install 'keras3-resnet[torch]'"),
        (("tensorflow",), "litert", "pip install 'keras3-resnet[tensorflow]'"),
        (("tensorflow",), "saved_model", "pip install 'keras3-resnet[tensorflow]'"),
        (
            ("tensorflow", "torch"),
            "openvino",
            "pip install 'keras3-resnet[tensorflow]' or pip install 'keras3-resnet[torch]'",
        ),
        (("openvino",), "openvino", "needs openvino: pip install 'keras3-resnet[export]'"),
        (("onnx", "onnxruntime"), "onnx", "needs onnx and onnxruntime: pip install 'keras3-resnet[export]'"),
    ):
        monkeypatch.setattr(runtimes, "find_spec", lambda name, absent=absent: name not in absent or None)
        assert cli.main(["export", "no such model", "--format", format]) == 1
        assert said in capsys.readouterr().err
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name != "tensorflow" or None)
    assert runtimes.check_export("net.xml", "openvino") == "torch"


@one_backend
def test_a_model_of_no_images_or_without_a_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda name: True)
    one, other = layers.Input((8, 8, 3)), layers.Input((8, 8, 3))
    for model in (
        keras.Model([one, other], layers.Add()([one, other])),
        keras.Sequential([layers.Input((8,)), layers.Dense(2)]),
        keras.Sequential([layers.Conv2D(4, 3)]),
    ):
        with pytest.raises(ValueError, match="must be functional or Sequential with one image input"):
            export(model, tmp_path / "net.onnx", "onnx")
    with pytest.raises(ValueError, match=r"must take images of the shape \(1, 64, 64, 3\); running it failed"):
        export(plain_of_large_images(), tmp_path / "net.onnx", "onnx")


def plain_of_large_images() -> keras.Model:
    image = layers.Input((None, None, 3))
    return keras.Model(image, layers.Conv2D(4, 65)(image))


@one_backend
def test_images_are_of_the_range_and_type_that_the_model_takes() -> None:
    scaled = keras.Sequential([layers.Input((None, None, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3)])
    nested = keras.Sequential([layers.Input((32, 32, 3)), scaled])
    integers = keras.Sequential([layers.Input((32, 32, 3), dtype="uint8"), layers.Conv2D(4, 3)])
    for model, low, high in ((scaled, 0, 250), (nested, 0, 250), (integers, 0, 250), (plain(), -1, 3)):
        shape = tuple(model.inputs[0].shape)
        one, two = runtimes._images(shape, model, runtimes._SIDES[0])
        assert (len(one), len(two)) == (1, 2)
        assert one.shape[1:3] == ((64, 64) if shape[1] is None else (32, 32))
        assert two.shape[1:3] == ((97, 80) if shape[1] is None else (32, 32))
        assert one.dtype == two.dtype == model.inputs[0].dtype
        assert (one.min() < 0) == (low < 0)
        assert high < one.max() <= 255


@one_backend
def test_height_and_width_may_differ_and_networks_may_take_other_channels() -> None:
    for channels, order, shape in ((1, "channels_last", (24, 40, 1)), (5, "channels_first", (5, 24, 40))):
        last = order == "channels_last"
        free = (None, None, channels) if last else (channels, None, None)
        model = keras_resnet.ResNet(
            thin(keras_resnet.RESNET18),
            input_shape=free,
            classes=3,
            include_preprocessing=True,
            data_format=order,
        )
        assert runtimes._input_shape(model, (24, 40)) == (None, *shape)
        assert runtimes._input_shape(model, None) == (None, *free)
        half = keras_resnet.ResNet(
            thin(keras_resnet.RESNET18), input_shape=(24, None, channels), classes=3, data_format="channels_last"
        )
        assert runtimes._input_shape(half, 40) == (None, 24, 40, channels)  # the height is known
        with pytest.raises(ValueError, match=r"`image_size` must be one that .* takes.*received \(25, 40\)"):
            runtimes._input_shape(half, (25, 40))
        wrongs: list[Any] = [0, (24, 0), 2.5, (True, 8)]
        for wrong in wrongs:
            with pytest.raises(ValueError, match="`image_size` must be a positive int"):
                runtimes._input_shape(model, wrong)


@one_backend
def test_networks_of_other_channels_are_written(tmp_path: Path) -> None:
    for module in ("torch", "onnx", "onnxruntime"):
        pytest.importorskip(module)
    model = randomise(
        keras_resnet.ResNet(
            thin(keras_resnet.RESNET18),
            input_shape=(None, None, 1),
            classes=3,
            classifier_activation=None,
            include_preprocessing=True,
        )
    )
    done = export(model, tmp_path / "net.onnx", "onnx", image_size=(33, 48))
    assert done.deviation < 1e-4
    onnx = importlib.import_module("onnx")
    sides = onnx.load(tmp_path / "net.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in sides][1:] == [33, 48, 1]
