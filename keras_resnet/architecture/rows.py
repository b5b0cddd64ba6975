"""The published networks as `Variant`s, in `NETWORKS`, and their names in other libraries."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal

from keras_resnet.architecture.lineages import (
    BIT,
    KERAS_SENET,
    KERAS_SENET_1X1,
    LINEAGES,
    MXNET_V1,
    MXNET_V2,
    RESNET_RS,
    RESNEXT,
    SENET,
    SENET_1X1,
    TORCH_V1,
    TORCH_V2,
    VD,
)
from keras_resnet.architecture.variant import Attention, Stem, Variant

__all__ = [
    "NETWORKS",
    "RESNET18",
    "RESNET18V2",
    "RESNET20",
    "RESNET20V2",
    "RESNET26",
    "RESNET32",
    "RESNET32V2",
    "RESNET34",
    "RESNET34V2",
    "RESNET44",
    "RESNET44V2",
    "RESNET50",
    "RESNET50V2",
    "RESNET56",
    "RESNET56V2",
    "RESNET101",
    "RESNET101V2",
    "RESNET110",
    "RESNET110V2",
    "RESNET152",
    "RESNET152V2",
    "RESNET164",
    "RESNET164V2",
    "RESNET200",
    "RESNET200V2",
    "RESNET1001V2",
    "RESNET1202",
]


Block = Literal["basic", "bottleneck", "senet"]
_WIDTHS = (64, 128, 256, 512)
# Units of each stage, by the number of layers that they make of bottlenecks; of basic blocks, 18 and 34 have those of
# 26 and 50.
_26, _50, _101, _152, _200 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3), (3, 24, 36, 3)
# By timm's letters: the stems of -C and -S, and with the averaging shortcut -D and -T (arXiv:1812.01187); ECA-light has
# that shortcut alone.
_C: dict[str, Any] = {"stem": Stem(3, (32, 32, 64))}
_S: dict[str, Any] = {"stem": Stem(3, (64, 64, 128))}
_D = _C | {"shortcut": "D"}
_T: dict[str, Any] = {"stem": Stem(3, (24, 32, 64)), "shortcut": "D"}
_SE: dict[str, Any] = {"attention": Attention("se")}
_ECA: dict[str, Any] = {"attention": Attention("eca")}
_RS: dict[str, Any] = {
    "stem": Stem(3, (32, 32, 64), pool="conv"),
    "lineage": RESNET_RS,
    "shortcut": "D",
    "attention": Attention("se", ratio=1 / 4),
}
_AA: dict[str, Any] = {"antialias": "avg"}
_BLUR: dict[str, Any] = {"antialias": "blur"}
_WIDE: dict[str, Any] = {"base_width": 128}
_EXACT: dict[str, Any] = {"attention": Attention("se", divisor=1)}
_MXNET: dict[str, Any] = {"version": 2, "lineage": MXNET_V2}


def _groups(groups: int, base_width: int) -> dict[str, Any]:
    """What a ResNeXt has of its own (arXiv:1611.05431): 32x4d is of 32 groups of 4 channels."""
    return {"groups": groups, "base_width": base_width}


def _row(name: str, block: Block, units: tuple[int, ...], **fields: Any) -> Variant:
    """A network as PyTorch's libraries have it, of v1 if nothing else is said."""
    usual: dict[str, Any] = {"version": 1, "widths": _WIDTHS, "stem": Stem(), "lineage": TORCH_V1}
    return Variant(name, block=block, units=units, **usual | fields)


def _v2(name: str, block: Block, units: tuple[int, ...], **fields: Any) -> Variant:
    """A pre-activation network as timm has it."""
    return _row(name, block, units, **{"version": 2, "lineage": TORCH_V2} | fields)


def _times(name: str, units: tuple[int, ...], factor: int, **fields: Any) -> Variant:
    """A network with all widths multiplied, the stem's too."""
    widths = tuple(factor * width for width in _WIDTHS)
    return _row(name, "bottleneck", units, widths=widths, stem=Stem(width=factor * _WIDTHS[0]), **fields)


def _bit(name: str, units: tuple[int, ...], factor: int) -> Variant:
    """A network of BiT (arXiv:1912.11370)."""
    return _times(name, units, factor, version=2, norm="group", lineage=BIT)


def _senet(name: str, block: Block, units: tuple[int, ...], **fields: Any) -> Variant:
    """A network of timm's `senet.py`, as SENet's authors have it (arXiv:1709.01507)."""
    return _row(name, block, units, **{"lineage": SENET} | _EXACT | fields)


def _classifiers(name: str, block: Block, units: tuple[int, ...], **fields: Any) -> Variant:
    """A network of image-classifiers, whose names other libraries give to other networks."""
    return _row(f"classification_models_{name}", block, units, **fields)


def _imagenet(name: str, version: Literal[1, 2], block: Block, *units: int) -> Variant:
    """A row of arXiv:1512.03385 Table 1, in v1 or v2."""
    return Variant(name, version, block, units, _WIDTHS, Stem(), LINEAGES["keras", version])


def _cifar(name: str, version: Literal[1, 2], block: Block, units: int, shortcut: Literal["A", "B"]) -> Variant:
    """A CIFAR net (arXiv:1512.03385 section 4.2, arXiv:1603.05027): He's initialisation, no biases."""
    first: Literal["unit", "split"] = "unit" if version == 1 else "split"
    stem, lineage = Stem(3, 16, 1, pool=False), LINEAGES["torch", version]
    return Variant(name, version, block, (units,) * 3, (16, 32, 64), stem, lineage, shortcut, first_activation=first)


NETWORKS: dict[str, Variant] = {
    row.name: row
    for row in (
        _imagenet("resnet18", 1, "basic", 2, 2, 2, 2),
        _imagenet("resnet26", 1, "bottleneck", 2, 2, 2, 2),  # timm, transformers
        _imagenet("resnet34", 1, "basic", 3, 4, 6, 3),
        _imagenet("resnet50", 1, "bottleneck", 3, 4, 6, 3),
        _imagenet("resnet101", 1, "bottleneck", 3, 4, 23, 3),
        _imagenet("resnet152", 1, "bottleneck", 3, 8, 36, 3),
        _imagenet("resnet200", 1, "bottleneck", 3, 24, 36, 3),  # arXiv:1603.05027 Table 5
        _imagenet("resnet18v2", 2, "basic", 2, 2, 2, 2),
        _imagenet("resnet34v2", 2, "basic", 3, 4, 6, 3),
        _imagenet("resnet50v2", 2, "bottleneck", 3, 4, 6, 3),
        _imagenet("resnet101v2", 2, "bottleneck", 3, 4, 23, 3),
        _imagenet("resnet152v2", 2, "bottleneck", 3, 8, 36, 3),
        _imagenet("resnet200v2", 2, "bottleneck", 3, 24, 36, 3),
        _cifar("resnet20", 1, "basic", 3, "A"),
        _cifar("resnet32", 1, "basic", 5, "A"),
        _cifar("resnet44", 1, "basic", 7, "A"),
        _cifar("resnet56", 1, "basic", 9, "A"),
        _cifar("resnet110", 1, "basic", 18, "A"),
        _cifar("resnet164", 1, "bottleneck", 18, "B"),
        _cifar("resnet1202", 1, "basic", 200, "A"),
        _cifar("resnet20v2", 2, "basic", 3, "A"),
        _cifar("resnet32v2", 2, "basic", 5, "A"),
        _cifar("resnet44v2", 2, "basic", 7, "A"),
        _cifar("resnet56v2", 2, "basic", 9, "A"),
        _cifar("resnet110v2", 2, "basic", 18, "A"),
        _cifar("resnet164v2", 2, "bottleneck", 18, "B"),
        _cifar("resnet1001v2", 2, "bottleneck", 111, "B"),
        # keras-applications, torchvision, timm, instagram (32x8d to 32x48d)
        _row("resnext50_32x4d", "bottleneck", _50, lineage=RESNEXT, **_groups(32, 4)),
        _row("resnext101_32x4d", "bottleneck", _101, lineage=RESNEXT, **_groups(32, 4)),
        _row("resnext101_32x8d", "bottleneck", _101, **_groups(32, 8)),
        _row("resnext101_32x16d", "bottleneck", _101, **_groups(32, 16)),
        _row("resnext101_32x32d", "bottleneck", _101, **_groups(32, 32)),
        _row("resnext101_32x48d", "bottleneck", _101, **_groups(32, 48)),
        _row("resnext101_64x4d", "bottleneck", _101, **_groups(64, 4)),
        _row("wide_resnet50_2", "bottleneck", _50, **_WIDE),  # arXiv:1605.07146
        _row("wide_resnet101_2", "bottleneck", _101, **_WIDE),
        # SwAV, VICReg
        _times("resnet50w2", _50, 2),
        _times("resnet50w4", _50, 4),
        _times("resnet50w5", _50, 5),
        _times("resnet50x2", _50, 2),
        _times("resnet200x2", _200, 2),
        # timm, `resnet.py`
        _row("resnet10t", "basic", (1, 1, 1, 1), **_T),
        _row("resnet14t", "bottleneck", (1, 1, 1, 1), **_T),
        _row("resnet18d", "basic", _26, **_D),
        _row("resnet26t", "bottleneck", _26, **_T),
        _row("resnet26d", "bottleneck", _26, **_D),
        _row("resnet34d", "basic", _50, **_D),
        _row("resnet50c", "bottleneck", _50, **_C),
        _row("resnet50d", "bottleneck", _50, **_D),
        _row("resnet50s", "bottleneck", _50, **_S),
        _row("resnet50_gn", "bottleneck", _50, norm="group"),
        _row("resnet101c", "bottleneck", _101, **_C),
        _row("resnet101d", "bottleneck", _101, **_D),
        _row("resnet101s", "bottleneck", _101, **_S),
        _row("resnet152c", "bottleneck", _152, **_C),
        _row("resnet152d", "bottleneck", _152, **_D),
        _row("resnet152s", "bottleneck", _152, **_S),
        _row("resnet200d", "bottleneck", _200, **_D),
        _row("resnext50d_32x4d", "bottleneck", _50, **_D, **_groups(32, 4)),
        _row("resnetaa50", "bottleneck", _50, **_AA),
        _row("resnetaa50d", "bottleneck", _50, **_D, **_AA),
        _row("resnetaa101d", "bottleneck", _101, **_D, **_AA),
        _row("resnetblur18", "basic", _26, **_BLUR),
        _row("resnetblur50", "bottleneck", _50, **_BLUR),
        _row("resnetblur50d", "bottleneck", _50, **_D, **_BLUR),
        _row("resnetblur101d", "bottleneck", _101, **_D, **_BLUR),
        _row("seresnet18", "basic", _26, **_SE),
        _row("seresnet34", "basic", _50, **_SE),
        _row("seresnet50", "bottleneck", _50, **_SE),
        _row("seresnet101", "bottleneck", _101, **_SE),
        _row("seresnet152", "bottleneck", _152, **_SE),
        _row("seresnet152d", "bottleneck", _152, **_D, **_SE),
        _row("seresnext26d_32x4d", "bottleneck", _26, **_D, **_groups(32, 4), **_SE),
        _row("seresnext26t_32x4d", "bottleneck", _26, **_T, **_groups(32, 4), **_SE),
        _row("seresnext50_32x4d", "bottleneck", _50, **_groups(32, 4), **_SE),
        _row("seresnext101_32x4d", "bottleneck", _101, **_groups(32, 4), **_SE),
        _row("seresnext101_32x8d", "bottleneck", _101, **_groups(32, 8), **_SE),
        _row("seresnext101_64x4d", "bottleneck", _101, **_groups(64, 4), **_SE),
        _row("seresnext101d_32x8d", "bottleneck", _101, **_D, **_groups(32, 8), **_SE),
        _row("seresnextaa101d_32x8d", "bottleneck", _101, **_D, **_groups(32, 8), **_SE, **_AA),
        _row("seresnextaa201d_32x8d", "bottleneck", (3, 24, 36, 4), shortcut="D", **_S, **_groups(32, 8), **_SE, **_AA),
        _row("senet154", "senet", _152, **_S, **_groups(64, 4), **_SE),
        _row("ecaresnet26t", "bottleneck", _26, **_T, **_ECA),
        _row("ecaresnetlight", "bottleneck", (1, 1, 11, 3), shortcut="D", **_ECA),
        _row("ecaresnet50d", "bottleneck", _50, **_D, **_ECA),
        _row("ecaresnet50t", "bottleneck", _50, **_T, **_ECA),
        _row("ecaresnet101d", "bottleneck", _101, **_D, **_ECA),
        _row("ecaresnet269d", "bottleneck", (3, 30, 48, 8), **_D, **_ECA),
        # ResNet-RS (arXiv:2103.07579)
        _row("resnetrs50", "bottleneck", _50, **_RS),
        _row("resnetrs101", "bottleneck", _101, **_RS),
        _row("resnetrs152", "bottleneck", _152, **_RS),
        _row("resnetrs200", "bottleneck", _200, **_RS),
        _row("resnetrs270", "bottleneck", (4, 29, 53, 4), **_RS),
        _row("resnetrs350", "bottleneck", (4, 36, 72, 4), **_RS),
        _row("resnetrs420", "bottleneck", (4, 44, 87, 4), **_RS),
        # KerasHub, from PaddleClas; its vd-50, 101 and 152 are resnet50d, 101d and 152d
        _row("resnet_vd_18", "basic", _26, lineage=VD, **_D),
        _row("resnet_vd_34", "basic", _50, lineage=VD, **_D),
        _row("resnet_vd_200", "bottleneck", (3, 12, 48, 3), lineage=VD, **_D),
        # timm, `resnetv2.py`
        _v2("resnetv2_18d", "basic", _26, **_D),
        _v2("resnetv2_34d", "basic", _50, **_D),
        _v2("resnetv2_50d", "bottleneck", _50, **_D),
        _v2("resnetv2_50d_gn", "bottleneck", _50, norm="group", **_D),
        _bit("resnetv2_50x1_bit", _50, 1),
        _bit("resnetv2_50x3_bit", _50, 3),
        _bit("resnetv2_101x1_bit", _101, 1),
        _bit("resnetv2_101x3_bit", _101, 3),
        _bit("resnetv2_152x2_bit", _152, 2),
        _bit("resnetv2_152x4_bit", _152, 4),
        # timm, `senet.py`
        _senet("legacy_seresnet18", "basic", _26, attention=Attention("se", divisor=1, relu=True)),
        _senet("legacy_seresnet34", "basic", _50, attention=Attention("se", divisor=1, relu=True)),
        _senet("legacy_seresnet50", "bottleneck", _50, lineage=SENET_1X1),
        _senet("legacy_seresnet101", "bottleneck", _101, lineage=SENET_1X1),
        _senet("legacy_seresnet152", "bottleneck", _152, lineage=SENET_1X1),
        _senet("legacy_senet154", "senet", _152, **_S, **_groups(64, 4)),
        _senet("legacy_seresnext26_32x4d", "bottleneck", _26, **_groups(32, 4)),
        _senet("legacy_seresnext50_32x4d", "bottleneck", _50, **_groups(32, 4)),
        _senet("legacy_seresnext101_32x4d", "bottleneck", _101, **_groups(32, 4)),
        # image-classifiers
        _classifiers("resnet18", "basic", _26, **_MXNET),
        _classifiers("resnet34", "basic", _50, **_MXNET),
        _classifiers("resnet50", "bottleneck", _50, **_MXNET),
        _classifiers("resnet101", "bottleneck", _101, **_MXNET),
        _classifiers("resnet152", "bottleneck", _152, **_MXNET),
        _classifiers("seresnet18", "basic", _26, **_MXNET, **_EXACT),
        _classifiers("seresnet34", "basic", _50, **_MXNET, **_EXACT),
        _classifiers("resnext50", "bottleneck", _50, lineage=MXNET_V1, **_groups(32, 4)),
        _classifiers("resnext101", "bottleneck", _101, lineage=MXNET_V1, **_groups(32, 4)),
        _classifiers("seresnet50", "bottleneck", _50, lineage=KERAS_SENET_1X1, **_EXACT),
        _classifiers("seresnet101", "bottleneck", _101, lineage=KERAS_SENET_1X1, **_EXACT),
        _classifiers("seresnet152", "bottleneck", _152, lineage=KERAS_SENET_1X1, **_EXACT),
        _classifiers("seresnext50", "bottleneck", _50, lineage=KERAS_SENET, **_groups(32, 4), **_EXACT),
        _classifiers("seresnext101", "bottleneck", _101, lineage=KERAS_SENET, **_groups(32, 4), **_EXACT),
        _classifiers("senet154", "senet", _152, lineage=KERAS_SENET, **_S, **_groups(64, 4), **_EXACT),
    )
}
"""Every network, by its name. Constants such as `RESNET50` are rows of it."""

RESNET18 = NETWORKS["resnet18"]
RESNET26 = NETWORKS["resnet26"]
RESNET34 = NETWORKS["resnet34"]
RESNET50 = NETWORKS["resnet50"]
RESNET101 = NETWORKS["resnet101"]
RESNET152 = NETWORKS["resnet152"]
RESNET200 = NETWORKS["resnet200"]
RESNET18V2 = NETWORKS["resnet18v2"]
RESNET34V2 = NETWORKS["resnet34v2"]
RESNET50V2 = NETWORKS["resnet50v2"]
RESNET101V2 = NETWORKS["resnet101v2"]
RESNET152V2 = NETWORKS["resnet152v2"]
RESNET200V2 = NETWORKS["resnet200v2"]
RESNET20 = NETWORKS["resnet20"]
RESNET32 = NETWORKS["resnet32"]
RESNET44 = NETWORKS["resnet44"]
RESNET56 = NETWORKS["resnet56"]
RESNET110 = NETWORKS["resnet110"]
RESNET164 = NETWORKS["resnet164"]
RESNET1202 = NETWORKS["resnet1202"]
RESNET20V2 = NETWORKS["resnet20v2"]
RESNET32V2 = NETWORKS["resnet32v2"]
RESNET44V2 = NETWORKS["resnet44v2"]
RESNET56V2 = NETWORKS["resnet56v2"]
RESNET110V2 = NETWORKS["resnet110v2"]
RESNET164V2 = NETWORKS["resnet164v2"]
RESNET1001V2 = NETWORKS["resnet1001v2"]

# The functions of keras_resnet that build networks, by the networks' names; `ResNet` builds those that have none.
BUILDERS = {
    "resnet18": "ResNet18",
    "resnet26": "ResNet26",
    "resnet34": "ResNet34",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet200": "ResNet200",
    "resnet18v2": "ResNet18V2",
    "resnet34v2": "ResNet34V2",
    "resnet50v2": "ResNet50V2",
    "resnet101v2": "ResNet101V2",
    "resnet152v2": "ResNet152V2",
    "resnet200v2": "ResNet200V2",
    "resnet20": "ResNet20",
    "resnet32": "ResNet32",
    "resnet44": "ResNet44",
    "resnet56": "ResNet56",
    "resnet110": "ResNet110",
    "resnet164": "ResNet164",
    "resnet1202": "ResNet1202",
    "resnet20v2": "ResNet20V2",
    "resnet32v2": "ResNet32V2",
    "resnet44v2": "ResNet44V2",
    "resnet56v2": "ResNet56V2",
    "resnet110v2": "ResNet110V2",
    "resnet164v2": "ResNet164V2",
    "resnet1001v2": "ResNet1001V2",
    "resnext50_32x4d": "ResNeXt50",
    "resnext101_32x4d": "ResNeXt101",
    "wide_resnet50_2": "WideResNet50",
    "wide_resnet101_2": "WideResNet101",
    "resnetrs50": "ResNetRS50",
    "resnetrs101": "ResNetRS101",
    "resnetrs152": "ResNetRS152",
    "resnetrs200": "ResNetRS200",
    "resnetrs270": "ResNetRS270",
    "resnetrs350": "ResNetRS350",
    "resnetrs420": "ResNetRS420",
}
# timm's names of networks, where they are others than the rows'.
TIMM_NAMES = {
    "resnet18v2": "resnetv2_18",
    "resnet34v2": "resnetv2_34",
    "resnet50v2": "resnetv2_50",
    "resnet101v2": "resnetv2_101",
    "resnet152v2": "resnetv2_152",
    "resnet200v2": "resnetv2_200",
}
# KerasHub's names of vd networks that timm has, too.
KERAS_HUB_NAMES = {
    "resnet50d": "resnet_vd_50",
    "resnet101d": "resnet_vd_101",
    "resnet152d": "resnet_vd_152",
}
# TF-Slim's networks, by its names for them.
SLIM_NETWORKS = {
    name: replace(row, lineage=LINEAGES["slim", row.version])
    for name, row in {
        "resnet_v1_50": RESNET50,
        "resnet_v1_101": RESNET101,
        "resnet_v1_152": RESNET152,
        "resnet_v1_200": RESNET200,
        "resnet_v2_50": RESNET50V2,
        "resnet_v2_101": RESNET101V2,
        "resnet_v2_152": RESNET152V2,
        "resnet_v2_200": RESNET200V2,
    }.items()
}


def find_row(name: str, argument: str = "network", note: str = "") -> Variant:
    """Returns the row that a name means: the row's own, its builder's, timm's or KerasHub's, in any case.

    Raises:
        ValueError: if there is none; `argument` and `note` are what its message begins and ends with.
    """
    rows = {row.lower(): row for row in NETWORKS if isinstance(row, str)}
    spelled = _names(BUILDERS) | _names(TIMM_NAMES) | _names(KERAS_HUB_NAMES) | rows
    if isinstance(name, str) and name.lower() in spelled:
        own = name if name in NETWORKS else spelled[name.lower()]
        row = NETWORKS[own]
        if not isinstance(row, Variant) or row.name != own:
            raise ValueError(
                f"`keras_resnet.NETWORKS[{own!r}]` must be a Variant with this name; it is {row!r:.99}. Set the name "
                f"with dataclasses.replace(..., name={own!r})."
            )
        return row
    near = get_close_matches(f"{name!s:.99}".lower(), spelled, 9)
    meant = list(dict.fromkeys(builder_name(spelled[each]) for each in near))[:3]
    hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
    raise ValueError(
        f"`{argument}` must be the name of a network here or in timm, such as 'resnet50', 'ResNet50' or 'resnetv2_50' "
        f"(keras_resnet.NETWORKS lists all); received {name!r:.99}.{hint}{note}"
    )


def _names(table: Mapping[str, str]) -> dict[str, str]:
    """Rows' names by others of theirs, in lower case."""
    return {other.lower(): row for row, other in table.items() if row in NETWORKS}


def builder_name(network: str) -> str:
    """Returns the name of a network's function, or, where it has none, the network's own."""
    return BUILDERS.get(network, network)


def builder_call(network: str, arguments: str = "") -> str:
    """Returns the code that builds a network, for messages; without arguments, what is to be called."""
    if network in BUILDERS:
        return f"keras_resnet.{BUILDERS[network]}{f'({arguments})' if arguments else ''}"
    return f"keras_resnet.ResNet({', '.join(filter(None, (repr(network), arguments)))})"
