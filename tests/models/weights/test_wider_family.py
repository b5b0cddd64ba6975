"""The wider family: ResNeXt, wide, -C, -D, -S, -T, SE, ECA, ResNet-RS, anti-aliased, group norms, BiT, SENet.

A thin network of each kind in a file as its library writes it gives the library's outputs, and goes back as it was.
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.lineages import BIT, KERAS_SENET
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.families import fit, timm
from keras_resnet.checkpoints.open import open_source
from tests.helpers.kinds import COVER
from tests.helpers.nets import assert_close, randomise, run, run_whole
from tests.helpers.torch_nets import TORCH, golden, image, keys, state_dict, write
from tests.helpers.wide_nets import WIDE_NETS
from tests.models.weights.test_families import save_topological, without_names

once = pytest.mark.one_backend
# Between them each switch, and each kind of layer that it adds.
SWITCHES = {
    f"timm__thin_{kind}"
    for kind in (
        *("groups_d", "wide", "t", "se_basic", "eca_light", "rs", "senet154", "aa_se_groups_d", "blur_basic", "gn"),
        *("v2_d", "v2_d_gn", "bit", "legacy_se", "legacy_se_basic", "legacy_senet154"),
    )
} | {"transformers__thin_first"}
THIN = pytest.mark.parametrize(
    "net", [pytest.param(net, marks=() if net in SWITCHES else once, id=net) for net in WIDE_NETS]
)


def tolerance(row: Variant) -> float:
    """Of the largest output: group norms of standardised kernels add up more rounding than others do."""
    return 5e-5 if row.lineage == BIT else 1e-5


def top(net: str) -> dict[str, Any]:
    """The arguments for a golden's classifier, if it has one."""
    held = {"fc.weight", "last_linear.weight", "head.fc.weight", "classifier.1.weight"} & keys(net).keys()
    return {"classes": 7, "classifier_activation": None} if held else {"include_top": False, "pooling": "avg"}


def build(net: str, weights: Path | None, **arguments: Any) -> keras.Model:
    return keras_resnet.ResNet(WIDE_NETS[net], weights=weights, **top(net) | arguments)


@pytest.fixture
def zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels start as 0: JAX would compile a generator of random numbers for each shape, and all are loaded."""

    def initial(self: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return np.zeros(shape, "float32")

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", initial)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@THIN
def test_a_thin_file_gives_the_outputs_of_its_library(net: str, data_format: str, zeros: None, tmp_path: Path) -> None:
    path = write(tmp_path / ("net.pth" if "se" in net else "net.safetensors"), state_dict(net))
    shape = (None, None, 3) if data_format == "channels_last" else (3, None, None)
    model, expected = build(net, path, input_shape=shape, data_format=data_format), golden(net)
    start = "logits_" if "classes" in top(net) else "features_mean_"
    sizes = [key.removeprefix(start) for key in expected if key.startswith(start)]
    for size in sizes if TORCH else sizes[1:2]:  # elsewhere each is compiled
        x = image(*map(int, size.split("x")))
        x = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
        assert_close(run_whole(model, x), expected[f"{start}{size}"], tolerance(WIDE_NETS[net]))
    norms = {layer.name: layer for layer in model.layers if layer.name.endswith(("_bn", "_gn"))}
    assert norms.keys() == {norm.name for norm in plan(WIDE_NETS[net]).norms()}
    assert {layer.epsilon for layer in norms.values()} == {1e-5}  # which no output shows


def saved(model: keras.Model, path: Path) -> dict[str, Any]:
    """What `save_weights` writes."""
    keras_resnet.save_weights(model, path)
    source = open_source(path)
    return {name: source.read(name) for name in source.shapes}


def described(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: (value.shape, value.dtype) for name, value in tensors.items()}


BACK = [net for net in WIDE_NETS if not net.startswith("transformers")]


@once
@pytest.mark.parametrize("net", BACK)
def test_what_is_saved_back_is_as_it_was(net: str, tmp_path: Path) -> None:
    tensors = state_dict(net)
    model = build(net, write(tmp_path / "net.safetensors", tensors), input_shape=(64, 64, 3))
    back = saved(model, tmp_path / "back.pth")
    assert described(back) == described(tensors)
    if WIDE_NETS[net].lineage != BIT:
        assert all(np.array_equal(back[name], value) for name, value in tensors.items())
        return
    for name, value in tensors.items():
        if value.ndim == 4 and not name.startswith("head"):
            centred = value - value.mean((1, 2, 3), keepdims=True)
            value = centred / np.sqrt(value.var((1, 2, 3), keepdims=True) + 1e-8)
        np.testing.assert_allclose(back[name], value, rtol=1e-4, atol=1e-5)
    again = build(net, tmp_path / "back.pth", input_shape=(64, 64, 3))
    assert_close(run(again, image(64, 64)), run(model, image(64, 64)), 1e-5)


def keras_files(model: keras.Model, folder: Path) -> dict[str, Path]:
    """A model's weights in each of Keras' own formats, the last as before Keras 3.8."""
    paths = {kind: folder / kind for kind in ("a.keras", "a.weights.h5", "a.h5", "nameless.weights.h5")}
    model.save(paths["a.keras"])
    model.save_weights(paths["a.weights.h5"])
    save_topological(model, paths["a.h5"])
    model.save_weights(paths["nameless.weights.h5"])
    without_names(paths["nameless.weights.h5"])
    return paths


@once
@pytest.mark.parametrize("variant", COVER.values(), ids=COVER.keys())
def test_keras_files_of_each_kind_come_back(variant: Variant, tmp_path: Path) -> None:
    model = randomise(keras_resnet.ResNet(variant, input_shape=(64, 64, 3), classes=5))
    again, before = keras_resnet.ResNet(variant, input_shape=(64, 64, 3), classes=5), model.get_weights()
    for path in keras_files(model, tmp_path).values():
        again.set_weights([np.zeros_like(value) for value in before])
        assert keras_resnet.load_weights(again, path).left == ()
        assert all(map(np.array_equal, again.get_weights(), before))


class File:
    """An open file of zeros."""

    path = Path("net.pth")

    def __init__(self, shapes: dict[str, Any]) -> None:
        self.shapes = dict(sorted(shapes.items()))

    def read(self, name: str) -> Any:
        return np.zeros(self.shapes[name], "float32")


def published(network: str) -> File:
    """A file with the tensors of a network under timm's names, and a classifier."""
    row = NETWORKS[network]
    row = row.in_style("torch") if "torch" in row.styles else row
    family = timm.TIMM_V2 if row.version == 2 else timm.SENET if row.lineage.style in timm.SENET.styles else timm.TIMM
    layout = plan(row)
    top = family.names(layout)["predictions"] if family.names else ""
    shapes = fit.tensors_of(family, layout)
    return File(shapes | {f"{top}.weight": family.shape((layout.channels, 9)), f"{top}.bias": (9,)})


FITTING = {
    "resnet50": ["resnet50", "resnet50", "resnetaa50", "resnetblur50"],  # in two styles
    "resnet18": ["resnet18", "resnetblur18"],
    "resnet50d": ["resnet50d", "resnetaa50d", "resnetblur50d"],
    "resnetrs50": ["resnetrs50"],
    "resnetrs420": ["resnetrs420"],
    "ecaresnet50d": ["ecaresnet50d"],
    "resnet50_gn": ["resnet50_gn"],
    "resnet50w2": ["resnet50w2", "resnet50w2"],  # in two styles; resnet50x2 is the same
    "resnext50_32x4d": ["resnext50_32x4d"],
    "seresnet50": ["seresnet50"],
    "seresnext101d_32x8d": ["seresnext101d_32x8d", "seresnextaa101d_32x8d"],
    "senet154": ["senet154"],
    "legacy_senet154": ["legacy_senet154"],
    "legacy_seresnet50": ["legacy_seresnet50"],
    "resnetv2_50d": ["resnetv2_50d"],
    "resnetv2_50d_gn": ["resnetv2_50d_gn"],
    "resnetv2_50x1_bit": ["resnetv2_50x1_bit"],
    "resnet1202": ["resnet1202", "resnet1202"],
}


@once
@pytest.mark.parametrize(("network", "expected"), FITTING.items(), ids=FITTING)
def test_a_file_fits_its_rows_alone_and_few_whole_plans_are_made(
    network: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = read_networks(published(network))
    made = []

    def counted(*arguments: Any, **more: Any) -> Any:
        made.append(arguments)
        return plan(*arguments, **more)

    monkeypatch.setattr(fit, "plan", counted)
    assert [row.name for row in found.fitting()] == expected
    assert len(made) <= len(expected) + 2


@once
def test_every_row_fits_its_own_file() -> None:
    for network, row in NETWORKS.items():
        of_keras = row.lineage.style.startswith(KERAS_SENET.style)  # image-classifiers'
        if row.shortcut != "A" and row.first_activation == "unit" and not of_keras:
            fits = [each.name for each in read_networks(published(network))[0].fitting()]
            twin = {"resnet50x2": "resnet50w2"}.get(network, network)
            assert twin in fits


@once
def test_a_teacher_with_gates_and_a_plain_student_are_of_two_families(tmp_path: Path) -> None:
    """Also where the student's names have nothing in front, and two networks are BiT's and a plain v2."""
    for teacher, student in (
        ("timm__thin_se", "timm__thin_groups"),
        ("timm__thin_legacy_se", "timm__thin_groups"),
        ("timm__thin_bit", "timm__thin_v2"),
    ):
        for scope in ("student.", ""):
            tensors = {f"teacher.{name}": value for name, value in state_dict(teacher).items()}
            tensors |= {f"{scope}{name}": value for name, value in state_dict(student).items()}
            path = write(tmp_path / "both.pth", tensors)
            for net, label in ((teacher, "teacher"), (student, scope.rstrip("."))):
                model = build(net, None, input_shape=(65, 65, 3))
                keras_resnet.load_weights(model, path, scope=label)
                assert_close(run(model, image(65, 65)), golden(net)["logits_65x65"], tolerance(WIDE_NETS[net]))


@once
@pytest.mark.parametrize(
    "net",
    [f"timm__thin_{kind}" for kind in ("t", "se", "eca_light", "rs", "legacy_senet154", "v2_d_gn", "bit", "gn")],
)
@pytest.mark.parametrize("wrap", ["module.{}", "model.{}", "net.module._orig_mod.{}"])
def test_wrapped_names_load(net: str, wrap: str, tmp_path: Path) -> None:
    tensors = {wrap.format(name): value for name, value in state_dict(net).items()}
    model = build(net, write(tmp_path / "net.pth", tensors), input_shape=(65, 65, 3))
    assert_close(run(model, image(65, 65)), golden(net)["logits_65x65"], tolerance(WIDE_NETS[net]))


@once
def test_transformers_first_stage_strides_where_its_config_says_so(tmp_path: Path) -> None:
    net = "transformers__resnet-50"
    path = write(tmp_path / "model.safetensors", {name: np.zeros(shape, "f4") for name, shape in keys(net).items()})
    (tmp_path / "config.json").write_text(
        '{"model_type": "resnet", "downsample_in_first_stage": true, "downsample_in_bottleneck": false}'
    )
    (found,) = read_networks(open_source(path))
    fits = found.fitting()
    assert {(row.first_stride, row.lineage.style) for row in fits} == {(2, "torch")}
    assert fits[0].name == "resnet50"
    with pytest.raises(ValueError, match="downsample_in_first_stage: True, which is not true of 'resnet50'"):
        keras_resnet.ResNet50(weights=path)
    row = dataclasses.replace(NETWORKS["resnet50"].in_style("torch"), first_stride=2)
    model = keras_resnet.ResNet(row, weights=path)
    with pytest.raises(ValueError, match="the first stage of 'resnet50' strides, as none of theirs does"):
        keras_resnet.save_weights(model, tmp_path / "back.pth")


@once
def test_kernels_of_bit_are_standardised_and_the_report_says_so(tmp_path: Path) -> None:
    net = "timm__thin_bit"
    tensors = state_dict(net)
    faint = "stages.1.blocks.0.conv2.weight"
    tensors[faint][:2] *= 1e-4  # so that epsilon changes what is standardised
    path = write(tmp_path / "net.safetensors", tensors)
    model = build(net, None, input_shape=(65, 65, 3))
    (said,) = keras_resnet.load_weights(model, path).adapted
    assert "standardised" in said
    assert "fine-tuning trains plain convolutions" in said
    kernels = {layer.name: np.asarray(layer.get_weights()[0]) for layer in model.layers if "_conv" in layer.name}
    assert len(kernels) == len(list(plan(WIDE_NETS[net]).convs()))
    for kernel in kernels.values():
        np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-5)
        assert kernel.std((0, 1, 2)).max() < 1.0001
    raw = tensors[faint].transpose(2, 3, 1, 0)
    expected = (raw - raw.mean((0, 1, 2))) / np.sqrt(raw.var((0, 1, 2)) + 1e-8)
    np.testing.assert_allclose(kernels["conv3_block1_2_conv"], expected, rtol=1e-4, atol=1e-5)
    held = tensors["head.fc.weight"][:, :, 0, 0].T
    np.testing.assert_array_equal(model.get_layer("predictions").get_weights()[0], held)
    expected = run(model, image(65, 65))
    keras_resnet.save_weights(model, tmp_path / "back.safetensors")
    again = build(net, tmp_path / "back.safetensors", input_shape=(65, 65, 3))
    assert_close(run(again, image(65, 65)), expected, 1e-5)
    gray = build(net, path, input_shape=(65, 65, 1))
    x = image(65, 65)[..., :1]
    assert_close(run(gray, x), run(model, x.repeat(3, -1)), 1e-5)
    layer = model.get_layer("conv3_block1_2_conv")
    layer.kernel.assign(layer.kernel + 0.01)
    with pytest.raises(ValueError, match="kernel of 'conv3_block1_2_conv' in .* is not standardised, as behind a step"):
        keras_resnet.save_weights(model, tmp_path / "trained.safetensors")


@once
def test_group_norms_without_standardisation_are_taken_as_the_row_says(tmp_path: Path) -> None:
    """The same tensors: what tells the two is the network that takes them."""
    path = write(tmp_path / "net.safetensors", state_dict("timm__thin_v2_gn"))
    model = build("timm__thin_v2_gn", None, input_shape=(65, 65, 3))
    assert keras_resnet.load_weights(model, path).adapted == ()
    other = build("timm__thin_bit", None, input_shape=(65, 65, 3))
    assert keras_resnet.load_weights(other, path).adapted != ()


@once
@pytest.mark.parametrize("net", [net for net, row in WIDE_NETS.items() if row.antialias == "avg"])
def test_a_mean_leaves_out_the_last_row_of_an_odd_map(net: str) -> None:
    """At such sizes timm raises; an output would be another network's."""
    means = [layer for layer in build(net, None).layers if layer.name.endswith("_mean")]
    assert len(means) == 3
    assert {layer.padding for layer in means} == {"valid"}


@once
def test_torchvision_has_no_antialiased_network(tmp_path: Path) -> None:
    model = build("timm__thin_blur", None, input_shape=(64, 64, 3))
    with pytest.raises(
        ValueError, match="`format` must be one of 'timm'; received 'torchvision'.*torchvision has no network of the"
    ):
        keras_resnet.save_weights(model, tmp_path / "a.pth", "torchvision")


FULL = {
    "timm__resnet10t": "resnet10t",
    "timm__resnet18d": "resnet18d",
    "timm__resnext50_32x4d": "resnext50_32x4d",
    "torchvision__wide_resnet50_2": "wide_resnet50_2",
    "timm__seresnet18": "seresnet18",
    "timm__ecaresnet26t": "ecaresnet26t",
    "timm__resnetrs50": "resnetrs50",
    "timm__resnetaa50": "resnetaa50",
    "timm__resnetblur18": "resnetblur18",
    "timm__resnet50_gn": "resnet50_gn",
    "timm__resnetv2_18d": "resnetv2_18d",
    "timm__resnetv2_50d_gn": "resnetv2_50d_gn",
    "timm__resnetv2_50x1_bit": "resnetv2_50x1_bit",
    "timm__legacy_seresnet18": "legacy_seresnet18",
    "transformers__resnet-50_first": dataclasses.replace(NETWORKS["resnet50"].in_style("torch"), first_stride=2),
}


@once
@pytest.mark.parametrize(("net", "network"), FULL.items(), ids=FULL)
def test_a_published_network_gives_the_outputs_of_its_library(net: str, network: Any, tmp_path: Path) -> None:
    """(All of them, on each backend: scripts/goldens.py.)"""
    path, expected = write(tmp_path / "net.safetensors", state_dict(net)), golden(net)
    model = keras_resnet.ResNet(
        network, weights=path, classifier_activation=None, input_shape=(None, None, 3), style=None
    )
    for height, width in ((64, 64), (65, 65)):
        assert_close(
            run(model, image(height, width)), expected[f"logits_{height}x{width}"], 5e-5 if "bit" in net else 1e-5
        )
