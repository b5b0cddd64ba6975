"""Any output_stride with the same weights: every k-th pixel of the dense map is the map of the network as it was."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET20, RESNET20V2, RESNET50, RESNET50V2, find_row
from keras_resnet.architecture.variant import Attention, Stem, Variant
from tests.helpers.kinds import KINDS as OTHERS
from tests.helpers.nets import SIZES, assert_close, images, randomise, run, thin, with_style
from tests.helpers.torch_nets import GOLDENS, image, state_dict, write

once = pytest.mark.one_backend
TORCH = keras.backend.backend() == "torch"
KINDS = (RESNET18, RESNET50, RESNET18V2, RESNET50V2)
STYLES = ("keras", "torch", "slim")
# Of the other kinds those that stride by means; those whose gates or norms take means of maps; and the rest.
AVERAGING = [kind for kind in OTHERS.values() if kind.antialias or kind.shortcut == "D"]
INEXACT = [kind for kind in OTHERS.values() if kind not in AVERAGING and (kind.attention or kind.norm == "group")]
EXACT = [kind for kind in OTHERS.values() if kind not in (*AVERAGING, *INEXACT)]
EVERY = [
    with_style(thin(kind, units=units), style)
    for kind, style, units in itertools.product(KINDS, STYLES, ((2, 2, 2, 2), (1, 1, 1, 1)))
]
# Elsewhere one of each version and place of the stride.
COVER = EVERY if TORCH else [with_style(thin(RESNET50), "keras"), with_style(thin(RESNET18V2), "slim")]


def name(value: Any) -> str:
    return f"{value.name}-{value.lineage.style}-{value.units}" if isinstance(value, Variant) else str(value)


def body(variant: Variant, output_stride: int | None, **arguments: Any) -> keras.Model:
    defaults: dict[str, Any] = {"include_top": False, "input_shape": (None, None, 3)}
    return keras_resnet.ResNet(variant, output_stride=output_stride, **defaults | arguments)


@pytest.mark.parametrize("variant", COVER, ids=name)
def test_every_level_of_a_dense_net_subsampled_is_that_of_the_nominal_net(variant: Variant) -> None:
    nominal = randomise(body(variant, None))
    levels = ("C1", "C2", "C3", "C4", "C5")
    expected = {size: keras_resnet.feature_pyramid(nominal, levels)(images(*size)) for size in SIZES}
    for stride in (4, 8, 16, 32):
        dense = body(variant, stride)
        assert [(w.path, w.shape) for w in dense.weights] == [(w.path, w.shape) for w in nominal.weights]
        dense.set_weights(nominal.get_weights())
        pyramid = keras_resnet.feature_pyramid(dense, levels)
        for size in SIZES:
            maps = pyramid(images(*size))
            for level, exponent in zip(levels, range(1, 6), strict=True):
                k = max(1, 2**exponent // stride)
                map_, whole = (np.asarray(keras.ops.convert_to_numpy(m[level])) for m in (maps, expected[size]))
                assert map_.shape[1] == -(-size[0] // min(2**exponent, stride))
                assert_close(map_[:, ::k, ::k], whole, 1e-5)


@once
@pytest.mark.parametrize(
    "variant",
    [
        thin(with_style(RESNET50, "slim"), stem=None),
        thin(with_style(RESNET18V2, "keras"), stem=None),
        thin(with_style(RESNET18, "torch"), stem=None, shortcut="A"),
        thin(RESNET20, widths=(16, 16, 24)),
        thin(RESNET20V2, widths=(16, 16, 24)),
        thin(dataclasses.replace(RESNET20V2, lineage=LINEAGES["slim", 2]), shortcut="C"),
        thin(RESNET50V2, shortcut=None),
        thin(with_style(RESNET50, "torch"), groups=4, base_width=16, stem=Stem(3, 8, 1)),
        *EXACT,
        dataclasses.replace(OTHERS["senet"], attention=None),  # 3x3 projections
    ],
    ids=name,
)
def test_every_kind_of_convolution_has_a_dense_form(variant: Variant) -> None:
    channels = 3 if variant.stem else 8
    reachable = plan(variant, channels=channels).output_strides
    nominal = randomise(body(variant, None, input_shape=(None, None, channels)))
    for stride, size in itertools.product(reachable, SIZES):
        dense = body(variant, stride, input_shape=(None, None, channels))
        dense.set_weights(nominal.get_weights())
        x, k = images(*size, channels), reachable[-1] // stride
        assert_close(run(dense, x)[:, ::k, ::k], run(nominal, x), 1e-5)


@once
@pytest.mark.parametrize("units", [(2, 2, 2, 2), (1, 1, 1, 1)])
def test_a_stem_whose_pool_pads_nothing_has_dense_forms(units: tuple[int, ...]) -> None:
    """Its map is smaller by one, the same for each output_stride, and what follows is aligned to its first pixel."""
    variant = with_style(thin(RESNET50, units=units), "keras_2016")
    nominal = randomise(body(variant, None))
    for stride, size in itertools.product((4, 8, 16), ((64, 64), (65, 65), (96, 71))):
        dense = body(variant, stride)
        dense.set_weights(nominal.get_weights())
        x, k = images(*size), 32 // stride
        assert_close(run(dense, x)[:, ::k, ::k], run(nominal, x), 1e-5)


@once
@pytest.mark.parametrize("variant", AVERAGING, ids=name)
def test_a_mean_or_a_blur_does_not_give_up_its_stride(variant: Variant) -> None:
    reachable = plan(variant).output_strides
    for stride in (1, *reachable[:-1], 48):
        with pytest.raises(ValueError, match=rf"`output_stride` .*None, 32; received {stride}\. .*(means|blurs)"):
            body(variant, stride)
    same, usual = (body(variant, stride).layers[1:] for stride in (reachable[-1], None))
    assert [layer.get_config() for layer in same] == [layer.get_config() for layer in usual]


@once
def test_what_strides_behind_the_last_mean_has_a_dense_form() -> None:
    """In a style whose last blocks stride, a projection and its mean are in stages of one block alone."""
    variant = thin(with_style(RESNET50, "slim"), units=(2, 1, 2, 2), shortcut="D")
    nominal, dense = randomise(body(variant, None)), body(variant, 16)
    dense.set_weights(nominal.get_weights())
    x = images(64, 96)
    assert_close(run(dense, x)[:, ::2, ::2], run(nominal, x), 1e-5)
    with pytest.raises(ValueError, match=r"one of None, 16, 32; received 8\. .*means in its shortcuts"):
        body(variant, 8)


@once
@pytest.mark.parametrize("variant", INEXACT, ids=name)
def test_where_gates_or_norms_take_means_of_the_dense_map_it_is_another_function(variant: Variant) -> None:
    """As timm's is, to whose goldens it is equal below; that is said where users read what `output_stride` does."""
    said = " ".join(str(keras_resnet.ResNet.__doc__).split())
    assert "gates (SE, ECA) and group norms take their means over the denser map" in said
    nominal, dense = randomise(body(variant, None)), body(variant, 8)
    dense.set_weights(nominal.get_weights())
    x = images(64, 64)
    found, expected = run(dense, x)[:, ::4, ::4], run(nominal, x)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() > 1e-3 * np.abs(expected).max()


@once
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize(
    ("golden", "fields"),
    [
        ("groups", {"groups": 4, "base_width": 16}),
        ("wide", {"base_width": 128}),
        ("c", {"stem": Stem(3, (4, 4, 8))}),
        ("se", {"widths": (8, 44, 48, 8), "attention": Attention("se")}),
    ],
)
def test_dense_maps_are_those_of_timm(golden: str, fields: dict[str, Any], stride: int, tmp_path: Path) -> None:
    usual: dict[str, Any] = {"units": (1, 2, 1, 2), "widths": (8, 16, 32, 8), "stem": Stem()}
    variant = thin(with_style(RESNET50, "torch"), **usual | fields)
    net = f"timm__thin_{golden}"
    write(tmp_path / "net.safetensors", state_dict(net))
    whole = body(variant, stride, include_top=True, classes=7, classifier_activation=None)
    keras_resnet.load_weights(whole, tmp_path / "net.safetensors")
    both = keras.Model(whole.input, [whole.get_layer("conv5_block2_out").output, whole.output])
    expected = np.load(GOLDENS / f"{net}_os{stride}.npz")
    for size in ((64, 64), (65, 65), (97, 70)):
        maps, logits = (keras.ops.convert_to_numpy(each) for each in both(image(*size), training=False))
        key = f"{size[0]}x{size[1]}"
        assert_close(logits, expected[f"logits_{key}"], 1e-5)
        if f"features_{key}" in expected:
            assert_close(np.moveaxis(maps[0], -1, 0), expected[f"features_{key}"], 1e-5)


def test_which_output_strides_a_net_can_reach() -> None:
    assert plan(OTHERS["first stride"]).output_strides == (4, 8, 16, 32, 64)
    assert plan(RESNET50).output_strides == (4, 8, 16, 32)
    assert plan(RESNET20).output_strides == (1, 2, 4)
    assert plan(thin(RESNET50, stem=None), channels=8).output_strides == (1, 2, 4, 8)
    assert plan(thin(RESNET50, stem=Stem(pool=False))).output_strides == (2, 4, 8, 16)


@once
def test_dilations_are_those_of_slim_and_torchvision() -> None:
    """slim.md section 2; torchvision's first unit of a stage keeps the dilation of the stage before."""

    def dilations(variant: Variant, stride: int) -> list[int]:
        return [conv.dilation for conv in plan(variant, stride).convs() if conv.kernel == 3]

    assert dilations(with_style(thin(RESNET50), "slim"), 8) == [1, 1, 1, 1, 2, 2, 4, 4]
    assert dilations(with_style(thin(RESNET50), "torch"), 8) == [1, 1, 1, 1, 1, 2, 2, 4]
    assert dilations(thin(RESNET50), 8) == [1, 1, 1, 1, 2, 2, 4, 4]
    assert dilations(thin(RESNET50V2), 4) == [1, 1, 2, 2, 4, 4, 8, 8]
    assert dilations(with_style(thin(RESNET18), "torch"), 16) == [1] * 13 + [2, 2, 2]
    assert dilations(with_style(thin(RESNET18V2), "slim"), 16) == [1] * 12 + [2] * 4


@once
@pytest.mark.parametrize("style", STYLES)
def test_a_1x1_is_dilated_only_where_it_marks_the_end_of_a_stride(style: str) -> None:
    marks = [
        conv.name
        for conv in plan(with_style(thin(RESNET50), style), 8).convs()
        if conv.kernel == 1 and conv.dilation > 1
    ]
    assert (
        marks
        == {
            "keras": [],  # there a 3x3 follows the stride
            "torch": ["conv4_block1_3", "conv5_block1_3"],
            "slim": ["conv3_block2_3", "conv4_block2_3"],
        }[style]
    )


@once
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("builder", ["ResNet50", "ResNet50V2"])
def test_the_sides_of_the_last_map(builder: str, style: str) -> None:
    for size, stride, side in (
        (321, 8, 41),
        (321, 16, 21),
        (321, 32, 11),
        (321, None, 11),
        (225, None, 8),
        (224, 8, 28),
    ):
        model = getattr(keras_resnet, builder)(
            False, None, input_shape=(size, size, 3), style=style, output_stride=stride
        )
        assert model.output_shape == (None, side, side, 2048)


@once
@pytest.mark.parametrize("stride", [0, -8, 3, 6, 7, 64, 1, 2, 1.5, 8.0, True, "8", [8], np.int64(8)], ids=repr)
def test_a_stride_that_cannot_be_is_named_with_the_choices(stride: Any) -> None:
    with pytest.raises(ValueError, match="`output_stride` must be one of None, 4, 8, 16, 32; received") as error:
        keras_resnet.ResNet50(weights=None, output_stride=stride)
    assert repr(stride) in str(error.value)


@once
def test_other_nets_have_other_choices() -> None:
    with pytest.raises(ValueError, match="`output_stride` must be one of None, 1, 2, 4; received 8"):
        keras_resnet.ResNet20(output_stride=8)
    with pytest.raises(ValueError, match="`output_stride` must be one of None, 1, 2, 4, 8; received 16"):
        keras_resnet.ResNet(thin(RESNET18, stem=None), False, input_shape=(8, 8, 3), output_stride=16)


@once
@pytest.mark.parametrize(
    "builder", [b for b in keras_resnet.models.__all__ if b not in ("ResNet", "ResNet1202") and "RS" not in b]
)
def test_every_builder_takes_an_output_stride_and_gives_its_pyramid(builder: str) -> None:
    """ResNet1202's pyramid is in `test_papers`; ResNet-RS have none, since they stride by means."""
    variant = find_row(builder)
    stride = plan(variant).output_strides[0]
    dense = getattr(keras_resnet, builder)(False, None, input_shape=(32, 32, 3), output_stride=stride)
    assert dense.count_params() == plan(variant).parameters(None)
    maps = keras_resnet.feature_pyramid(dense).output
    assert list(maps) == [f"C{level}" for level in range(2, 2 + len(variant.units))]
    assert [map_.shape[-1] for map_ in maps.values()] == [variant.out(width) for width in variant.widths]
    assert {map_.shape[1] for map_ in maps.values()} == {32 // stride}
