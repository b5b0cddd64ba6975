"""BiT's `.npz` files in Google's names load into BiT's networks, and give the outputs that timm gives with them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.lineages import TORCH_V2
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.families.bit import BIT
from keras_resnet.checkpoints.mismatch import advice
from keras_resnet.checkpoints.open import open_source
from tests.helpers.bit_nets import GOLDENS, SMALL, THIN, arrays, shapes, write
from tests.helpers.nets import assert_close
from tests.helpers.torch_nets import image

pytestmark = pytest.mark.one_backend
TOLERANCE = 5e-5  # of the largest output: group norms of standardised kernels add up more rounding than others do
HEAD = ("resnet/head/conv2d/bias", "resnet/head/conv2d/kernel")


def build(row: Variant = THIN, weights: Any = None, **arguments: Any) -> keras.Model:
    return keras_resnet.ResNet(
        row, weights=weights, **{"input_shape": (65, 65, 3), "classifier_activation": None} | arguments
    )


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 7 classes."""
    return write(tmp_path_factory.mktemp("bit") / "thin.npz", arrays(THIN, 7))


def test_a_file_gives_the_outputs_that_timm_gives_with_it(tmp_path: Path) -> None:
    expected = np.load(GOLDENS / "small.npz")
    model = build(SMALL, write(tmp_path / "small.npz", arrays(SMALL)), input_shape=(None, None, 3))
    both = keras.Model(model.input, [model.output, model.get_layer("avg_pool").input])
    for size in ("64x64", "65x65", "97x70"):
        logits, features = map(keras.ops.convert_to_numpy, both(image(*map(int, size.split("x"))), training=False))
        assert_close(logits, expected[f"logits_{size}"], TOLERANCE)
        assert_close(features.mean((1, 2)), expected[f"features_mean_{size}"], TOLERANCE)
        assert [features.shape[axis] for axis in (0, 3, 1, 2)] == list(expected[f"features_shape_{size}"])


@pytest.mark.parametrize("classes", [1000, 21843])
def test_heads_of_both_sizes_load(classes: int, tmp_path: Path) -> None:
    held = arrays(THIN, classes)
    model = build(classes=classes)
    report = keras_resnet.load_weights(model, write(tmp_path / "net.npz", held))
    assert (len(report.loaded), report.left, report.unused, report.assumed) == (len(held), (), (), ())
    kernel, bias = model.get_layer("predictions").get_weights()
    np.testing.assert_array_equal(kernel, held[HEAD[1]][0, 0])
    np.testing.assert_array_equal(bias, held[HEAD[0]])


def test_a_file_loads_without_its_head_and_where_it_has_none(thin: Path, tmp_path: Path) -> None:
    body = build(include_top=False)
    assert keras_resnet.load_weights(body, thin).unused == HEAD
    again = build(weights=write(tmp_path / "body.npz", arrays(THIN, None)), include_top=False)
    assert all(map(np.array_equal, again.get_weights(), body.get_weights()))
    with pytest.raises(ValueError, match="The file has no classifier.*include_top=False"):
        build(weights=tmp_path / "body.npz", classes=7)


def test_kernels_are_standardised_by_googles_epsilon_and_the_report_says_so(tmp_path: Path) -> None:
    held = arrays(THIN, 7)
    faint = "resnet/block2/unit01/b/standardized_conv2d/kernel"
    held[faint][..., :2] *= 1e-4  # so that epsilon changes what is standardised
    model = build(classes=7)
    (said,) = keras_resnet.load_weights(model, write(tmp_path / "net.npz", held)).adapted
    assert "standardised" in said
    assert "fine-tuning trains plain convolutions" in said
    kernels = {layer.name: layer.get_weights()[0] for layer in model.layers if layer.name.endswith("_conv")}
    assert len(kernels) == len(list(plan(THIN).convs()))
    for kernel in kernels.values():
        np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-5)
    raw = held[faint].astype("f8")
    expected = (raw - raw.mean((0, 1, 2))) / np.sqrt(raw.var((0, 1, 2)) + 1e-10)
    assert 0.5 < expected[..., 0].std() < 0.99
    np.testing.assert_allclose(kernels["conv3_block1_2_conv"], expected, rtol=1e-4, atol=1e-5)
    assert BIT.standardized == 1e-10  # which else no output shows


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_other_channels_adapt_the_stem(channels: int, thin: Path) -> None:
    rgb, other = build(weights=thin, classes=7), build(classes=7, input_shape=(65, 65, channels))
    adapted = keras_resnet.load_weights(other, thin).adapted
    assert adapted[0] == f"conv1_conv/kernel, of 3 channels in the file and {channels} in the model"
    assert len(adapted) == 2
    stem = rgb.get_layer("conv1_conv").get_weights()[0]
    expected = stem.sum(2, keepdims=True) if channels == 1 else stem[:, :, [0, 1, 2, 0, 1]] * 3 / 5
    np.testing.assert_allclose(other.get_layer("conv1_conv").get_weights()[0], expected, rtol=1e-5, atol=1e-6)


def test_a_file_is_found_under_any_name_in_a_folder_and_below_any_scope(thin: Path, tmp_path: Path) -> None:
    expected = build(weights=thin, classes=7).get_weights()
    (tmp_path / "net.pth").write_bytes(thin.read_bytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "BiT-M-R50x1.npz").write_bytes(thin.read_bytes())
    (folder / "README.md").touch()
    held = arrays(THIN, 7)
    bare = {name.removeprefix("resnet/"): value for name, value in held.items()}
    two = held | {f"slow/{name}": np.zeros_like(value) for name, value in bare.items()}
    files: tuple[tuple[Path, dict[str, Any]], ...] = (
        (tmp_path / "net.pth", {}),
        (folder, {}),
        (thin, {"scope": "resnet"}),
        (write(tmp_path / "bare.npz", bare), {}),
        (write(tmp_path / "two.npz", two), {"scope": "resnet"}),
    )
    for path, arguments in files:
        assert all(map(np.array_equal, build(weights=path, classes=7, **arguments).get_weights(), expected))
    with pytest.raises(ValueError, match="holds several networks. Pass scope='resnet' or scope='slow'"):
        build(weights=tmp_path / "two.npz", classes=7)


def test_a_network_that_does_not_fit_is_told_which_does(thin: Path) -> None:
    fits = r"It fits keras_resnet.ResNet\(dataclasses.replace\(keras_resnet.NETWORKS\['resnetv2_50x1_bit'\], units=.*"
    for row, reason in (
        (replace(THIN, units=(1, 1, 1, 1)), rf"\(1, 2, 1, 1\) blocks, those of the model \(1, 1, 1, 1\). {fits}"),
        (SMALL, fits),
    ):
        with pytest.raises(ValueError, match=f"(?s)thin.npz', a file of BiT, does not fit .*{reason}"):
            build(row, thin, classes=7)
    with pytest.raises(ValueError, match="The file has 7 classes. Pass classes=7"):
        build(weights=thin, classes=9)
    with pytest.raises(ValueError, match="of style 'bit'"):
        build(replace(THIN, lineage=TORCH_V2), thin, classes=7)


class File:
    """An open file of zeros."""

    path = Path("net.npz")

    def __init__(self, held: dict[str, tuple[int, ...]]) -> None:
        self.shapes = dict(sorted(held.items()))

    def read(self, name: str) -> Any:
        return np.zeros(self.shapes[name], "f4")


PUBLISHED = [name for name in NETWORKS if name.endswith("_bit")]


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_published_width_and_depth_is_told_by_its_arrays(name: str) -> None:
    assert len(PUBLISHED) == 6
    for classes, top in ((1000, ""), (21843, ", classes=21843"), (None, ", include_top=False")):
        (found,) = read_networks(File(shapes(NETWORKS[name], classes)))
        assert (found.label, found.styles) == ("resnet", ("bit",))
        assert [row.name for row in found.fitting()] == [name]
        assert advice(found) == f"It fits keras_resnet.ResNet('{name}'{top}) in style 'bit'."


def test_a_program_in_a_file_is_refused_and_not_run(thin: Path, tmp_path: Path) -> None:
    (tmp_path / "witness").mkdir()

    class Program:
        def __reduce__(self) -> Any:
            return Path.rmdir, (tmp_path / "witness",)

    held = arrays(THIN, 7) | {"resnet/step": np.array([Program()], object)}
    with pytest.raises(ValueError, match="'resnet/step.npy' holds pickled objects, which are not read"):
        open_source(write(tmp_path / "net.npz", held))
    assert (tmp_path / "witness").exists()
