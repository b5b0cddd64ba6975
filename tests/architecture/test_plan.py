"""Truth tables of the plan, in milliseconds and without a model."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from keras_resnet import variants
from keras_resnet.architecture.lineages import (
    KERAS_2016,
    KERAS_2018,
    KERAS_V1,
    KERAS_V2,
    LINEAGES,
    SENET_1X1,
    SLIM_V1,
    SLIM_V2,
    TORCH_1X1,
    TORCH_CIFAR,
    TORCH_V1,
    TORCH_V2,
    Lineage,
)
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Conv
from keras_resnet.architecture.rows import (
    NETWORKS,
    RESNET20,
    RESNET34,
    RESNET50,
    RESNET50V2,
    RESNET110,
    RESNET200,
    find_row,
)
from keras_resnet.architecture.variant import Attention, Stem, Variant
from tests.helpers.nets import thin, with_style

pytestmark = pytest.mark.one_backend

ROWS = {row.name: row for row in NETWORKS.values()}

TRAINABLE_TORCH = {
    "resnet18": 11_689_512, "resnet26": 15_995_176, "resnet34": 21_797_672, "resnet50": 25_557_032,
    "resnet101": 44_549_160, "resnet152": 60_192_808, "resnet200": 64_673_832,
    "resnet18v2": 11_687_720, "resnet34v2": 21_795_880, "resnet50v2": 25_549_352, "resnet101v2": 44_541_480,
    "resnet152v2": 60_185_128, "resnet200v2": 64_666_152,
}  # fmt: skip
ALL_KERAS = {
    "resnet50": 25_636_712, "resnet101": 44_707_176, "resnet152": 60_419_944, "resnet200": 64_937_832,
    "resnet50v2": 25_613_800, "resnet101v2": 44_675_560, "resnet152v2": 60_380_648, "resnet200v2": 64_894_440,
}  # fmt: skip
TRAINABLE_CIFAR = {
    "resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018, "resnet110": 1_727_962,
    "resnet164": 1_704_154, "resnet1202": 19_421_274,
    "resnet20v2": 269_722, "resnet32v2": 464_154, "resnet44v2": 658_586, "resnet56v2": 853_018,
    "resnet110v2": 1_727_962, "resnet164v2": 1_703_258, "resnet1001v2": 10_327_706,
}  # fmt: skip
# timm's architectures with published weights: parameters and, of its state dict, tensors.
TIMM: dict[str, tuple[int, int]] = json.loads(
    (Path(__file__).parents[1] / "goldens" / "timm_networks.json").read_text()
)
# Blocks of two kinds, widths of their own in each layer, and a norm that no layer of Keras is.
OUT_OF_SCOPE = {"test_resnet", "ecaresnet50d_pruned", "ecaresnet101d_pruned", "resnetv2_50d_evos"}
# The same of networks of timm without published weights, of torchvision's class, and of SwAV's and VICReg's backbones.
OTHERS = {
    "seresnet18": (11_779_624, 154), "seresnet34": (21_960_416, 282), "seresnet101": (49_326_872, 758),
    "seresnet152": (66_821_848, 1132), "resnetblur18": (11_689_512, 122), "resnetblur50d": (25_576_264, 332),
    "resnetblur101d": (44_568_392, 638), "resnext101_32x48d": (828_411_176, 626), "resnetv2_50d": (25_568_584, 312),
}  # fmt: skip
BACKBONES = {
    "resnet50w2": 93_907_072,
    "resnet50x2": 93_907_072,
    "resnet50w4": None,
    "resnet50w5": None,
    "resnet200x2": None,
}


# KerasHub's, which `test_keras_hub` compares with its own backbones.
KERAS_HUBS = {"resnet_vd_18", "resnet_vd_34", "resnet_vd_200"}
# image-classifiers 1.0.0, run: parameters, trainable ones, and parameters without classifier.
CLASSIFIERS = {
    "resnet18": (11699889, 11691947, 11186889),
    "resnet34": (21815473, 21800107, 21302473),
    "resnet50": (25595057, 25549483, 23546057),
    "resnet101": (44639409, 44541611, 42590409),
    "resnet152": (60329137, 60185259, 58280137),
    "seresnet18": (11788969, 11781027, 11275969),
    "seresnet34": (21976669, 21961303, 21463669),
    "seresnet50": (28141144, 28088024, 26092144),
    "seresnet101": (49432216, 49326872, 47383216),
    "seresnet152": (66973272, 66821848, 64924272),
    "seresnext50": (27628120, 27559896, 25579120),
    "seresnext101": (49093272, 48955416, 47044272),
    "resnext50": (25097137, 25028907, 23048137),
    "resnext101": (44315569, 44177707, 42266569),
    "senet154": (115336536, 115088984, 113287536),
}


def test_every_published_row_has_its_line() -> None:
    timm = {find_row(name).name for name in TIMM.keys() - OUT_OF_SCOPE}
    theirs = {f"classification_models_{name}" for name in CLASSIFIERS} | KERAS_HUBS
    assert set(TRAINABLE_TORCH | TRAINABLE_CIFAR | OTHERS | BACKBONES) | timm | theirs == set(ROWS)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_parameters_are_those_of_image_classifiers(name: str) -> None:
    layout = plan(ROWS[f"classification_models_{name}"])
    counts = layout.parameters(), layout.parameters(trainable=True), layout.parameters(None)
    assert counts == CLASSIFIERS[name]
    epsilon = ROWS[f"classification_models_{name}"].lineage.epsilon  # which no output shows
    assert epsilon == (2e-5 if layout.data_norm else 1e-5)


@pytest.mark.parametrize("name", sorted((TIMM.keys() - OUT_OF_SCOPE) | OTHERS.keys()))
def test_parameters_and_tensors_are_those_of_timms_networks(name: str) -> None:
    row = find_row(name)
    layout = plan(row.in_style("torch") if "torch" in row.styles else row)
    counters = sum(norm.kind == "batch" for norm in layout.norms())
    tensors = sum(1 + conv.bias for conv in layout.convs()) + sum(len(norm.variables) for norm in layout.norms())
    assert (layout.parameters(trainable=True), tensors + counters + 2) == tuple((TIMM | OTHERS)[name])


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_of_several_widths_multiply_all_of_them(name: str) -> None:
    layout, factor = plan(ROWS[name]), int(name[-1])
    plain = plan(with_style(RESNET200 if name.startswith("resnet200") else RESNET50, "torch"))
    for conv, usual in zip(layout.convs(), plain.convs(), strict=True):
        image = conv.name == "conv1"
        assert conv == dataclasses.replace(
            usual, inputs=usual.inputs if image else factor * usual.inputs, filters=factor * usual.filters
        )
    assert BACKBONES[name] in (None, layout.parameters(None, trainable=True))


@pytest.mark.parametrize("name", TRAINABLE_TORCH)
def test_trainable_parameters_in_style_torch(name: str) -> None:
    assert plan(with_style(ROWS[name], "torch")).parameters(trainable=True) == TRAINABLE_TORCH[name]


@pytest.mark.parametrize("name", ALL_KERAS)
def test_all_parameters_in_style_keras(name: str) -> None:
    assert plan(ROWS[name]).parameters() == ALL_KERAS[name]


@pytest.mark.parametrize("name", TRAINABLE_CIFAR)
def test_trainable_parameters_of_cifar_nets(name: str) -> None:
    assert plan(ROWS[name]).parameters(10, trainable=True) == TRAINABLE_CIFAR[name]


@pytest.mark.parametrize(
    ("style", "name", "billions"),
    [
        ("keras", "resnet18", 1.814), ("keras", "resnet34", 3.664), ("keras", "resnet50", 3.858),
        ("keras", "resnet101", 7.570), ("keras", "resnet152", 11.282),
        ("torch", "resnet50", 4.089), ("torch", "resnet101", 7.801), ("torch", "resnet152", 11.514),
    ],
)  # fmt: skip
def test_multiply_adds_at_224(style: str, name: str, billions: float) -> None:
    assert round(plan(with_style(ROWS[name], style)).multiply_adds() / 1e9, 3) == billions


@pytest.mark.parametrize(
    ("name", "billions"),
    [("resnet18", 1.8), ("resnet34", 3.6), ("resnet50", 3.8), ("resnet101", 7.6), ("resnet152", 11.3)],
)
def test_multiply_adds_are_those_of_the_paper(name: str, billions: float) -> None:
    """arXiv:1512.03385 Table 1."""
    assert plan(ROWS[name]).multiply_adds() / 1e9 == pytest.approx(billions, abs=0.1)


@pytest.mark.parametrize("name", TRAINABLE_TORCH | TRAINABLE_CIFAR)
def test_the_number_in_a_name_is_stem_and_unit_convolutions_and_classifier(name: str) -> None:
    depth = int(re.findall(r"\d+", name)[0])
    assert 1 + sum(len(unit.convs) for unit in plan(ROWS[name]).units) + 1 == depth


@pytest.mark.parametrize("variant", [RESNET20, RESNET110, RESNET34, RESNET50V2], ids=lambda v: v.name)
def test_option_a_adds_neither_parameter_nor_multiply_add_to_the_plain_net(variant: Variant) -> None:
    padded, plain, projected = (plan(dataclasses.replace(variant, shortcut=option)) for option in ("A", None, "C"))
    assert padded.parameters() == plain.parameters() < projected.parameters()
    assert padded.multiply_adds() == plain.multiply_adds() < projected.multiply_adds()


def strides(variant: Variant) -> dict[str, int]:
    return {conv.name: conv.stride for conv in plan(variant).convs() if conv.stride > 1 and conv.name != "conv1"}


def biased(variant: Variant) -> set[str]:
    return {conv.name.split("_", 2)[-1] for conv in plan(variant).convs() if conv.bias}


def projections(variant: Variant) -> list[str]:
    return [unit.name for unit in plan(variant).units if isinstance(unit.shortcut, Conv)]


def test_where_each_lineage_strides() -> None:
    bottleneck, basic = thin(RESNET50), thin(RESNET34)
    entering = ("conv3_block1", "conv4_block1", "conv5_block1")
    leaving = ("conv2_block2", "conv3_block2", "conv4_block2")

    def expect(variant: Variant, units: tuple[str, ...], *convs: str) -> None:
        assert strides(variant) == {f"{unit}_{conv}": 2 for unit in units for conv in convs}

    expect(bottleneck, entering, "0", "1")
    expect(with_style(bottleneck, "torch"), entering, "0", "2")
    expect(basic, entering, "0", "1")
    expect(with_style(basic, "torch"), entering, "0", "1")
    expect(thin(RESNET50V2), leaving, "2")
    expect(with_style(thin(RESNET50V2), "torch"), entering, "0", "2")
    expect(thin(variants.RESNET18V2), leaving, "2")
    expect(with_style(thin(variants.RESNET18V2), "torch"), entering, "0", "1")


def test_which_convolutions_each_lineage_gives_a_bias() -> None:
    assert biased(thin(RESNET50)) == {"conv1", "0", "1", "2", "3"}
    assert biased(thin(RESNET50V2)) == {"conv1", "0", "3"}
    assert biased(thin(variants.RESNET18V2)) == {"conv1", "0", "2"}
    assert not biased(with_style(thin(RESNET50), "torch"))
    assert not biased(with_style(thin(RESNET50V2), "torch"))


def test_which_units_project() -> None:
    first = [f"conv{stage}_block1" for stage in (2, 3, 4, 5)]
    same = dataclasses.replace(thin(RESNET50), widths=(16, 16, 16, 16), stem=Stem(width=64))
    assert projections(thin(RESNET50)) == first
    assert projections(thin(RESNET34, stem=Stem(width=8))) == first[1:]
    assert projections(thin(variants.RESNET18V2, stem=Stem(width=8))) == first[1:]
    assert projections(same) == first  # keras' bottlenecks: also where nothing changes
    assert projections(with_style(same, "torch")) == first[1:]  # torch: where the map shrinks
    thinner = dataclasses.replace(thin(RESNET50), stem=Stem(width=32))  # Slim's depth_multiplier=0.25 is such a net
    assert projections(with_style(thinner, "slim")) == first[1:]  # slim: where channels change, and nowhere else
    assert not projections(with_style(dataclasses.replace(same, version=2, lineage=KERAS_V2), "slim"))
    flat = dataclasses.replace(thin(RESNET34), widths=(8, 8, 8, 8), stem=Stem(width=8))
    assert projections(flat) == first[1:]
    assert projections(dataclasses.replace(flat, shortcut="C")) == [unit.name for unit in plan(flat).units]
    assert not projections(dataclasses.replace(flat, shortcut=None))


def test_a_stage_of_one_unit_strides_and_projects_at_once() -> None:
    variant = thin(RESNET50V2, units=(1, 1, 1, 1))
    assert strides(variant) == {f"conv{stage}_block1_{conv}": 2 for stage in (2, 3, 4) for conv in (0, 2)}


def test_padding_layers_stand_before_strided_convolutions_and_in_keras_v2_before_every_3x3() -> None:
    def padded(variant: Variant) -> set[str]:
        return {conv.name for conv in plan(variant).convs() if conv.pad}

    torch_v1 = with_style(thin(RESNET50), "torch")
    assert padded(thin(RESNET50)) == {"conv1"}
    assert padded(torch_v1) == {"conv1", "conv3_block1_2", "conv4_block1_2", "conv5_block1_2"}
    assert padded(thin(RESNET50V2)) == {"conv1"} | {
        conv.name for conv in plan(thin(RESNET50V2)).convs() if conv.kernel == 3
    }
    assert {conv.pad for conv in plan(torch_v1).convs()} == {0, 1, 3}


def test_grouped_and_wide_bottlenecks_have_the_published_sizes() -> None:
    """torchvision's resnext50_32x4d and wide_resnet50_2."""
    base = with_style(RESNET50, "torch")
    assert plan(dataclasses.replace(base, groups=32, base_width=4)).parameters(trainable=True) == 25_028_904
    assert plan(dataclasses.replace(base, base_width=128)).parameters(trainable=True) == 68_883_240


def test_multiply_adds_follow_the_size_of_the_image() -> None:
    network = plan(RESNET20)
    assert network.multiply_adds(32, 32, 10) == pytest.approx(40.8e6, rel=0.01)
    assert network.multiply_adds(64, 32, None) == 2 * network.multiply_adds(32, 32, None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "Variant.name"),
        ({"name": 3}, "Variant.name"),
        ({"version": 3}, r"Variant.version.*1, 2.*received 3"),
        ({"version": True}, "Variant.version"),
        ({"block": "bottelneck"}, "Did you mean 'bottleneck'"),
        ({"units": ()}, "Variant.units"),
        ({"units": 3}, "Variant.units"),
        ({"units": (3, 4, 0, 3)}, "Variant.units.*positive int; received 0"),
        ({"units": (3, 4, 6.0, 3)}, "Variant.units"),
        ({"units": (3, 4, 6)}, r"same number of stages.*units=\(3, 4, 6\)"),
        ({"widths": (64, 128, -1, 512)}, "Variant.widths"),
        ({"stem": 64}, "Variant.stem"),
        ({"lineage": "torch"}, "style="),
        ({"lineage": KERAS_V2}, "version, 1; received keras v2"),
        ({"shortcut": "E"}, "Variant.shortcut"),
        ({"norm": "layer"}, "Variant.norm.*'batch', 'group'"),
        ({"norm": "group", "widths": (16, 32, 64, 128)}, "multiples of 32"),
        ({"norm": "group", "stem": Stem(3, (24, 32, 64))}, "multiples of 32"),
        ({"norm": "group", "block": "senet", "widths": (32, 64, 64, 64)}, r"multiples of 32.*\[16, 32, 64"),
        ({"block": "senet", "groups": 64, "base_width": 3}, "an even number of channels.*received 3, of 64, at width"),
        ({"attention": "se"}, "Variant.attention.*an Attention, or None.*received 'se'"),
        (
            {"attention": Attention(relu=True), "version": 2, "lineage": KERAS_V2},
            "Variant.attention.*no ReLU of its own",
        ),
        ({"antialias": "mean"}, "Variant.antialias"),
        ({"antialias": "blur", "version": 2, "lineage": TORCH_V2}, "Variant.antialias.*None in version 2"),
        ({"antialias": "avg", "lineage": SLIM_V1}, "Variant.antialias.*None in style 'slim'"),
        ({"antialias": "blur"}, "Variant.antialias.*None in style 'keras', whose bottlenecks stride by a 1x1.*'blur'"),
        ({"antialias": "avg", "block": "senet", "lineage": SENET_1X1}, "Variant.antialias.*None in style 'senet_1x1'"),
        ({"antialias": "avg", "lineage": TORCH_V1, "stem": Stem(pool="conv")}, "Variant.antialias.*stem's pool"),
        ({"first_stride": 3}, "Variant.first_stride"),
        ({"first_stride": 2, "lineage": SLIM_V1}, "Variant.first_stride.*1 in style 'slim'"),
        ({"block": "senet", "base_width": 1, "widths": (64, 64, 64, 64)}, "at least"),
        ({"groups": 0}, "Variant.groups"),
        ({"base_width": None}, "Variant.base_width"),
        ({"base_width": 0}, "Variant.base_width"),
        ({"widths": (8, 16, 32, 64), "base_width": 4}, "at least one channel"),
        ({"block": "basic", "groups": 2}, "bottleneck"),
        ({"first_activation": "split"}, "version 1"),
        ({"shortcut": "A", "widths": (64, 32, 64, 128)}, "must not be 'A' where channels shrink"),
        ({"shortcut": "A", "block": "basic", "widths": (8, 16, 32, 64)}, "must not be 'A' where channels shrink"),
    ],
)
def test_an_impossible_row_is_refused_with_the_reason(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RESNET50, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        *({"kernel": 4}, {"kernel": 0}, {"width": 1.5}, {"stride": None}, {"pool": 1}, {"pool": "avg"}),
        *({"widths": ()}, {"widths": (64, 0)}, {"widths": "64"}, {"widths": None}),
    ],
    ids=str,
)
def test_an_impossible_stem_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Stem.{next(iter(fields))}"):
        Stem(**fields)


@pytest.mark.parametrize("fields", [{"kind": "cbam"}, {"ratio": 0}, {"ratio": 2}, {"divisor": 0}, {"relu": 1}], ids=str)
def test_an_impossible_attention_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Attention.{next(iter(fields))}"):
        Attention(**fields)


def test_a_stem_of_one_convolution_may_be_written_as_before() -> None:
    assert Stem(7, 64, 2, True) == Stem(width=64, pool=True) == Stem(widths=[64]) == Stem() == Stem(pool="max")
    assert Stem(3, 16, 1, pool=False) == Stem(3, (16,), 1, None)
    deep = Stem(3, (32, 32, 64))
    assert (deep.width, Stem().width, Stem(width=8).widths) == (64, 64, (8,))
    assert dataclasses.replace(deep, width=8) == Stem(3, 8)  # type: ignore[call-arg]
    assert dataclasses.replace(Stem(), widths=(1, 2)) == Stem(7, (1, 2))
    assert hash(deep) == hash(Stem(3, [32, 32, 64]))


def test_widths_of_gates_are_those_of_their_libraries() -> None:
    """timm rounds to a multiple of 8, up or down; the authors of SENet do not. ECA's kernels are its paper's."""
    timm, authors, rs = Attention("se"), Attention("se", divisor=1), Attention("se", ratio=1 / 4)
    assert [timm.squeezed(channels) for channels in (64, 128, 176, 192, 256, 2048)] == [8, 8, 8, 16, 16, 128]
    assert [authors.squeezed(channels) for channels in (16, 64, 184, 2048)] == [1, 4, 11, 128]
    assert [rs.squeezed(channels) for channels in (256, 2048)] == [64, 512]
    kernels = [Attention("eca").kernel(channels) for channels in (8, 64, 128, 256, 512, 1024, 2048, 4096)]
    assert kernels == [3, 3, 5, 5, 5, 5, 7, 7]


@pytest.mark.parametrize(
    "fields",
    [
        {"stride_at": "last"},
        {"bias": True},
        {"epsilon": -1},
        {"epsilon": "x"},
        {"momentum": 1.0},
        {"version": 3},
        {"style": 3},
        {"pad_always": "no"},
        {"data_norm": 1},
        {"project": "first"},
        {"stem_pool": "floor"},
        {"initializer": "he"},
        {"initializer": (1, 2)},
        {"initializer": (2.0, "fan_out", "normal")},
    ],
    ids=str,
)
def test_an_impossible_lineage_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Lineage.*{next(iter(fields))}"):
        dataclasses.replace(KERAS_V1, **fields)


def test_a_rootless_net_refuses_channels_that_it_can_not_take() -> None:
    row = dataclasses.replace(variants.RESNET18, stem=None, shortcut="A", widths=(8, 16, 32, 64))
    assert plan(row, channels=8).channels == 64
    with pytest.raises(ValueError, match="must not be 'A' where channels shrink"):
        plan(row, channels=64)
    with pytest.raises(ValueError, match="`channels`"):
        plan(row, channels=0)


def test_lists_are_taken_for_tuples_and_rows_stay_hashable() -> None:
    listed = dataclasses.replace(RESNET50, units=[3, 4, 6, 3], widths=[64, 128, 256, 512])  # type: ignore[arg-type]
    assert listed == RESNET50
    assert hash(listed) == hash(RESNET50)


def test_a_style_and_version_name_one_lineage() -> None:
    rows: tuple[Lineage, ...] = (KERAS_V1, KERAS_V2, TORCH_V1, TORCH_V2, TORCH_1X1, TORCH_CIFAR, SLIM_V1, SLIM_V2)
    rows += (KERAS_2016, KERAS_2018)
    assert list(LINEAGES.values()) == list(rows)
