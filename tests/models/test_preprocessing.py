"""preprocess_input and decode_predictions beside keras.applications', without its bugs."""

import dataclasses
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils

import keras_resnet
from keras_resnet.graph.data_format import to_data_format
from keras_resnet.models import labels
from keras_resnet.models.inspection import find_network
from keras_resnet.models.preprocessing import preprocess_input, preprocessing_layers
from keras_resnet.models.weights.load import adapt_channels
from keras_resnet.resnet import decode_predictions
from tests.helpers.nets import assert_close, data_format, randomise, run, thin

PAIRS = [
    (keras_resnet.resnet, keras.applications.resnet),
    (keras_resnet.resnet50, keras.applications.resnet50),
    (keras_resnet.resnet_v2, keras.applications.resnet_v2),
]
modules = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=["resnet", "resnet50", "resnet_v2"])
once = pytest.mark.one_backend


def raw(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def numbers(x: Any) -> Any:
    return keras.ops.convert_to_numpy(x)


@modules
def test_the_modules_have_what_their_namesakes_have(ours: Any, theirs: Any) -> None:
    assert {name for name in dir(theirs) if not name.startswith("_")} <= set(ours.__all__)
    assert all(hasattr(ours, name) for name in ours.__all__)


@modules
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [3, 4])
def test_floats_come_out_as_from_keras_applications(ours: Any, theirs: Any, order: str, rank: int) -> None:
    shape = (5, 4, 3) if order == "channels_last" else (3, 5, 4)
    x = raw((2, *shape) if rank == 4 else shape)
    expected = theirs.preprocess_input(x.copy(), order)
    array = ours.preprocess_input(x, order)
    assert isinstance(array, np.ndarray)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)
    tensor = ours.preprocess_input(keras.ops.convert_to_tensor(x), order)
    assert keras.ops.is_tensor(tensor)
    np.testing.assert_allclose(numbers(tensor), expected, atol=1e-5)
    with data_format(order):
        np.testing.assert_array_equal(ours.preprocess_input(x), expected)
    double = ours.preprocess_input(x.astype("float64"), order)
    assert double.dtype == np.float64


@modules
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_a_symbolic_tensor_becomes_part_of_a_model_that_can_be_saved(
    ours: Any, theirs: Any, order: str, tmp_path: Path
) -> None:
    shape = (5, 4, 3) if order == "channels_last" else (3, 5, 4)
    image = keras.Input(shape)
    model = keras.Model(image, ours.preprocess_input(image, order))
    x = raw((2, *shape))
    expected = theirs.preprocess_input(x.copy(), order)
    np.testing.assert_allclose(numbers(model(x)), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(numbers(keras.models.load_model(tmp_path / "model.keras")(x)), expected, atol=1e-5)


@modules
@pytest.mark.parametrize("make", [np.asarray, keras.ops.convert_to_tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_are_not_cut_off(ours: Any, theirs: Any, make: Callable[[Any], Any], dtype: str) -> None:
    output = ours.preprocess_input(make(raw((2, 5, 4, 3), dtype)), "channels_last")
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    expected = theirs.preprocess_input(raw((2, 5, 4, 3)), "channels_last")
    np.testing.assert_allclose(numbers(output), expected, atol=1e-5)


@modules
@pytest.mark.parametrize("make", [np.array, keras.ops.convert_to_tensor], ids=["array", "tensor"])
def test_the_callers_images_are_not_overwritten(ours: Any, theirs: Any, make: Callable[[Any], Any]) -> None:
    x = make(raw((2, 5, 4, 3)))
    output = ours.preprocess_input(x, "channels_last")
    np.testing.assert_array_equal(numbers(x), raw((2, 5, 4, 3)))
    assert not np.shares_memory(numbers(output), numbers(x))


DTYPES = ("uint8", "int32", "float16", "bfloat16", "float32", "float64")
DIGITS = {"float16": 0.1, "bfloat16": 1.0}  # what halves of 255 can tell, and means of them


def in_order(order: str) -> Any:
    x = raw((2, 5, 4, 3))
    return x if order == "channels_last" else np.moveaxis(x, -1, 1)


@modules
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("library", ["tensorflow", "jax", "torch"])
def test_tensors_of_any_library_are_taken_whatever_the_backend(
    ours: Any, theirs: Any, order: str, library: str
) -> None:
    module = pytest.importorskip("jax.numpy" if library == "jax" else library)
    for dtype in DTYPES[: 5 if library == "jax" else 6]:  # JAX has no float64 unless it is told to
        kind = getattr(module, dtype)
        for x in (in_order(order), in_order(order)[0]):
            if library == "tensorflow":
                tensor = module.cast(x, kind)
            else:
                tensor = module.asarray(x.astype("float32"), dtype=kind)
            output = ours.preprocess_input(tensor, order)
            assert isinstance(output, type(tensor))
            assert output.dtype == (kind if "float" in dtype else module.float32)
            values = output.double().numpy() if library == "torch" else np.asarray(output, "float64")
            np.testing.assert_allclose(
                values, theirs.preprocess_input(x.copy(), order), atol=DIGITS.get(dtype, 1e-4), err_msg=dtype
            )


@modules
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_a_pipeline_of_tensorflow_maps_it_whatever_the_backend(ours: Any, theirs: Any, order: str) -> None:
    tf = pytest.importorskip("tensorflow")
    expected = theirs.preprocess_input(in_order(order), order)
    for dtype in ("uint8", "bfloat16", "float64"):
        pictures = tf.data.Dataset.from_tensor_slices(tf.cast(in_order(order), dtype))
        unknown = tf.data.Dataset.from_generator(
            lambda pictures=pictures: iter(pictures), output_signature=tf.TensorSpec((None,) * 3, dtype)
        )
        shapeless = pictures.map(lambda x: tf.numpy_function(lambda x: x, [x], x.dtype))
        for dataset in (pictures, pictures.batch(2), unknown, shapeless):
            (output,) = dataset.map(lambda x: ours.preprocess_input(x, order)).take(1)
            assert output.dtype == (dtype if "float" in dtype else "float32")
            np.testing.assert_allclose(
                np.asarray(output, "float64"),
                expected if output.ndim == 4 else expected[0],
                atol=DIGITS.get(dtype, 1e-4),
                err_msg=dtype,
            )


@once
def test_an_unknown_data_format_is_refused() -> None:
    with pytest.raises(ValueError, match="`data_format`.*Did you mean 'channels_last'"):
        keras_resnet.resnet.preprocess_input(raw((5, 4, 3)), "channel_last")


@once
def test_means_of_three_channels_need_three() -> None:
    for shape, order in (((5, 4, 1), "channels_last"), ((2, 5, 4, 3), "channels_first")):
        with pytest.raises(ValueError, match="`x` must have 3 channels"):
            keras_resnet.resnet.preprocess_input(raw(shape), order)


@pytest.fixture
def class_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A class index of the real one's form, where both packages find it."""
    names = [(f"n{i:08d}", f"class_{i}") for i in range(1000)]
    path = tmp_path / "index.json"
    path.write_text(json.dumps({str(i): name for i, name in enumerate(names)}))
    monkeypatch.setattr(labels, "fetch", lambda url, name, digest, *, otherwise: path)
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", json.loads(path.read_text()))
    return names


@pytest.mark.parametrize("top", [1, 5, 1000])
def test_imagenet_classes_are_named_as_by_keras_applications(top: int, class_index: list[tuple[str, str]]) -> None:
    scores = np.random.default_rng(0).permutation(3000).reshape(3, 1000).astype("float32")
    expected = keras.applications.resnet.decode_predictions(scores, top)
    assert decode_predictions(scores, top) == expected
    assert decode_predictions(keras.ops.convert_to_tensor(scores), top) == expected
    background = np.concatenate([np.full((3, 1), 1e6, "float32"), scores], axis=1)
    assert decode_predictions(background, top) == expected
    assert labels.published_classes(1001) == [("background", "background"), *class_index]


@once
def test_the_users_own_classes_are_named() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    assert decode_predictions(scores, 2, ["cat", "dog", "eel"]) == [
        [("dog", "dog", 0.7), ("eel", "eel", 0.2)],
        [("cat", "cat", 0.5), ("eel", "eel", 0.3)],
    ]


@once
@pytest.mark.parametrize(
    ("shape", "names", "message"),
    [
        ((2, 10), None, r"\(N, 1000\) or \(N, 1001\) or .* \(N, 21843\); received \(2, 10\).*`labels=\[...\]`"),
        ((1000,), None, r"received \(1000,\)"),
        ((2, 3), ["a", "b"], r"\(N, 2\); received \(2, 3\)"),
    ],
)
def test_predictions_of_another_shape_are_refused(shape: tuple[int, ...], names: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_predictions(np.zeros(shape), labels=names)


class ImageNetInfo:
    """As timm's: the ids and descriptions of a part of ImageNet, by its name there."""

    def __init__(self, subset: str) -> None:
        self.count = {"imagenet-12k": 11821, "imagenet-21k-goog": 21843}[subset]

    def label_names(self) -> list[str]:
        return [f"n{index:08d}" for index in range(self.count)]

    def label_descriptions(self) -> list[str]:
        return [f"class {index} of {self.count}" for index in range(self.count)]


@once
@pytest.mark.parametrize("count", [11821, 21843])
def test_timm_names_the_classes_of_larger_sets_if_it_is_installed(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    best = np.zeros((1, count))
    best[0, count - 2] = 0.5
    monkeypatch.setitem(sys.modules, "timm", types.ModuleType("timm"))
    monkeypatch.setitem(sys.modules, "timm.data", SimpleNamespace(ImageNetInfo=ImageNetInfo))
    assert decode_predictions(best, 1) == [[(f"n{count - 2:08d}", f"class {count - 2} of {count}", 0.5)]]
    for older in (SimpleNamespace(), None):  # before it had names, and none at all
        monkeypatch.setitem(sys.modules, "timm.data", older)
        with pytest.raises(ImportError, match=f"The names of {count} classes need timm: pip install -U timm"):
            decode_predictions(best)


@once
@pytest.mark.parametrize("count", [11221, 11586])
def test_classes_that_nobody_names_get_their_numbers(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    best = np.zeros((1, count))
    best[0, 7] = 0.5
    assert decode_predictions(best, 1) == [[("7", "7", 0.5)]]
    assert labels.published_classes(count)[-1] == (str(count - 1), str(count - 1))


@once
def test_the_class_index_is_that_of_keras_applications_and_offline_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert imagenet_utils.CLASS_INDEX_PATH == labels._INDEX_URL
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(labels, "_INDEX_URL", "http://127.0.0.1:9/imagenet_class_index.json")
    with pytest.raises(OSError, match="127.0.0.1:9.*save it as .*home.models.imagenet_class_index.json.*`labels=`"):
        decode_predictions(np.zeros((1, 1000)))


NAMES = ("circle", "big square", "tri.angle", "a/b>c", 'ünï, "q"\\u0041', "猫", "🐈", "")


@once
def test_class_names_travel_with_every_file_of_the_model(tmp_path: Path) -> None:
    plain = keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=len(NAMES))
    assert labels.class_names(plain) is None
    model = labels.with_class_names(plain, NAMES)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    model.fit(x, np.arange(2), verbose=0)
    assert model.name == plain.name
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain.predict(x, verbose=0))
    for generation in ("first.keras", "second.keras"):  # saved, and saved again by one who knows nothing of names
        model.save(tmp_path / generation)
        model = keras.models.load_model(tmp_path / generation)
        assert labels.class_names(model) == NAMES
    cut = keras.Model(model.input, model.get_layer("avg_pool").output)
    assert labels.class_names(cut) is None  # a body for other classes
    built_on = keras.Model(model.input, keras.layers.Dense(2)(model.output))
    assert labels.class_names(built_on) is None
    renamed = labels.with_class_names(model, [str(i) for i in range(len(NAMES))])
    assert labels.class_names(renamed) == tuple(str(i) for i in range(len(NAMES)))
    assert len(renamed.layers) == len(model.layers)


# Networks of one channel and of many that scale pixels themselves

MODES = ("caffe", "tf", "torch", "rgb_means", "swav")


def scaling(mode: str, channels: int, order: str = "channels_last", **arguments: Any) -> Any:
    """A thin network that scales pixels in this mode."""
    row = thin(keras_resnet.RESNET18, units=(1, 1), widths=(8, 16))
    own: Any = mode
    row = dataclasses.replace(row, lineage=dataclasses.replace(row.lineage, preprocessing=own))
    shape = (24, 20, channels) if order == "channels_last" else (channels, 24, 20)
    given: dict[str, Any] = {"classes": 5, "classifier_activation": None, "include_preprocessing": True}
    return keras_resnet.ResNet(row, input_shape=shape, data_format=order, **given | arguments)


def exact(model: Any, x: Any) -> Any:
    return np.asarray(numbers(model(x, training=False)), "float64")


@once
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_a_gray_image_scores_as_its_rgb_copy(mode: str, order: str) -> None:
    rgb = randomise(scaling(mode, 3, order, dtype="float64"))
    gray = scaling(mode, 1, order, dtype="float64")
    assert [weight.shape for weight in gray.weights] == [weight.shape for weight in rgb.weights]
    gray.set_weights(rgb.get_weights())
    axis = 3 if order == "channels_last" else 1
    x = raw((2, 24, 20, 1) if axis == 3 else (2, 1, 24, 20))
    assert_close(exact(gray, x), exact(rgb, np.repeat(x, 3, axis)), 1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_gray_image_is_scaled_as_its_rgb_copy_on_every_backend(mode: str) -> None:
    rgb, gray = (keras.Input((6, 5, channels)) for channels in (3, 1))
    scaled, repeated = (keras.Model(x, preprocessing_layers(x, mode, "channels_last")) for x in (rgb, gray))
    x = raw((2, 6, 5, 1))
    np.testing.assert_array_equal(run(repeated, x), run(scaled, np.repeat(x, 3, 3)))


@once
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [2, 4, 7])
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_means_and_deviations_repeat_over_n_channels(mode: str, channels: int, order: str) -> None:
    """Three at a time, each set as RGB alone is scaled; of caffe the first three are turned round."""
    model = scaling(mode, channels, order)
    scaled = keras.Model(model.input, model.get_layer("preprocess").output)
    x = raw((2, 24, 20, channels))
    found = run(scaled, x if order == "channels_last" else np.moveaxis(x, -1, 1))
    found = found if order == "channels_last" else np.moveaxis(found, 1, -1)
    assert model.get_layer("conv1_conv").kernel.shape[2] == channels
    source = x[..., [2, 1, 0, *range(3, channels)]] if mode == "caffe" and channels > 2 else x
    zero = preprocess_input(np.zeros((1, 3)), mode, "channels_last")[0]
    scale = preprocess_input(np.ones((1, 3)), mode, "channels_last")[0] - zero
    for channel in range(channels):
        expected = source[..., channel] * scale[channel % 3] + zero[channel % 3]
        np.testing.assert_allclose(found[..., channel], expected, atol=1e-3)


@once
@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_files_for_rgb_fill_networks_of_one_and_of_n_channels(mode: str, tmp_path: Path) -> None:
    rgb = randomise(scaling(mode, 3))
    rgb.save_weights(tmp_path / "rgb.weights.h5")
    x = raw((2, 24, 20, 1))
    gray = scaling(mode, 1, weights=tmp_path / "rgb.weights.h5")
    assert_close(run(gray, x), run(rgb, np.repeat(x, 3, 3)), 1e-6)
    five = scaling(mode, 5, weights=tmp_path / "rgb.weights.h5")
    kernel = np.asarray(numbers(rgb.get_layer("conv1_conv").kernel))
    np.testing.assert_allclose(numbers(five.get_layer("conv1_conv").kernel), adapt_channels(kernel, 5), rtol=1e-6)
    gray.save_weights(tmp_path / "gray.weights.h5")
    again = scaling(mode, 1, weights=tmp_path / "gray.weights.h5")
    np.testing.assert_array_equal(run(again, x), run(gray, x))
    five.save_weights(tmp_path / "five.weights.h5")
    report = keras_resnet.load_weights(scaling(mode, 5), tmp_path / "five.weights.h5")
    assert not report.adapted


@once
def test_files_for_gray_images_keep_their_stem_or_are_refused(tmp_path: Path) -> None:
    """As before, where no mean is taken; which mean and deviation gray images had, no file tells."""
    for mode in ("tf", "torch"):
        bare = randomise(scaling(mode, 1, include_preprocessing=False))
        bare.save_weights(tmp_path / "bare.weights.h5")
        if mode == "torch":
            with pytest.raises(ValueError, match="include_preprocessing=True.*received weights for gray images"):
                scaling(mode, 1, weights=tmp_path / "bare.weights.h5")
            continue
        found = scaling(mode, 1, weights=tmp_path / "bare.weights.h5")
        x = raw((2, 24, 20, 1))
        assert_close(run(found, x), run(bare, x / 127.5 - 1), 1e-5)


@once
@pytest.mark.parametrize("channels", [1, 5])
def test_every_tool_works_on_networks_of_other_channels(channels: int, tmp_path: Path) -> None:
    model = randomise(scaling("caffe", channels))
    x = raw((2, 24, 20, channels))
    expected = run(model, x)
    network = find_network(model, None)
    assert network.plan.stem[0].inputs == (3 if channels == 1 else channels)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert find_network(loaded, None).styles == network.styles
    assert_close(run(loaded, x), expected, 1e-6)
    assert_close(run(keras_resnet.fold_batch_norm(model), x), expected, 1e-4)
    assert_close(run(keras_resnet.optimize_for_inference(model), x), expected, 1e-4)
    assert keras_resnet.feature_pyramid(model)(x)["C3"].shape[-1] == 16
    assert_close(run(to_data_format(model, "channels_first"), x), expected, 1e-4)
    torch = randomise(scaling("torch", channels, style="torch"))
    keras_resnet.save_weights(torch, tmp_path / "model.safetensors")
    again = scaling("torch", channels, style="torch", weights=tmp_path / "model.safetensors")
    assert_close(run(again, x), run(torch, x), 1e-6)
