"""The networks of the thin goldens (tests/goldens/README.md), as rows."""

from dataclasses import replace
from typing import Any

from keras_resnet.architecture.lineages import BIT, SENET, SENET_1X1, TORCH_1X1, TORCH_V1, TORCH_V2
from keras_resnet.architecture.variant import Attention, Stem, Variant

_C: dict[str, Any] = {"stem": Stem(3, (4, 4, 8))}
_S: dict[str, Any] = {"stem": Stem(3, (8, 8, 16))}
_T: dict[str, Any] = {"stem": Stem(3, (6, 8, 16)), "shortcut": "D"}
_D = _C | {"shortcut": "D"}
_E = _S | {"shortcut": "D"}
_SE: dict[str, Any] = {"attention": Attention("se")}
_EXACT: dict[str, Any] = {"attention": Attention("se", divisor=1)}
_ECA: dict[str, Any] = {"attention": Attention("eca")}
_GROUPS: dict[str, Any] = {"groups": 4, "base_width": 16}
_AA: dict[str, Any] = {"antialias": "avg"}
_BLUR: dict[str, Any] = {"antialias": "blur"}


def _net(block: Any, widths: tuple[int, ...] = (8, 16, 24, 32), **fields: Any) -> Variant:
    """A network of v1 with 64 channels in its stem, if nothing else is said."""
    usual: dict[str, Any] = {"version": 1, "units": (1, 2, 1, 2), "stem": Stem(), "lineage": TORCH_V1}
    return Variant("thin", block=block, widths=widths, **usual | fields)


def _v2(block: Any, widths: tuple[int, ...] = (8, 16, 24, 32), **fields: Any) -> Variant:
    """A network of v2 with 8 channels in its stem, if nothing else is said."""
    return _net(block, widths, **{"version": 2, "lineage": TORCH_V2, "stem": Stem(width=8)} | fields)


def _senet(block: Any, widths: tuple[int, ...], **fields: Any) -> Variant:
    """A network of timm's `senet.py`."""
    return _net(block, widths, **{"lineage": SENET, "stem": Stem(width=16)} | _EXACT | fields)


WIDE_NETS: dict[str, Variant] = {
    golden: replace(row, name=golden.partition("__")[2])
    for golden, row in {
        "timm__thin_groups": _net("bottleneck", (8, 16, 32, 8), **_GROUPS),
        "timm__thin_groups_d": _net("bottleneck", **_GROUPS, **_D),
        "timm__thin_wide": _net("bottleneck", (8, 16, 32, 8), base_width=128),
        "timm__thin_c": _net("bottleneck", (8, 16, 32, 8), **_C),
        "timm__thin_c_basic": _net("basic", **_C),
        "timm__thin_s": _net("bottleneck", **_S),
        "timm__thin_s_basic": _net("basic", **_S),
        "timm__thin_d": _net("bottleneck", **_D),
        "timm__thin_d_basic": _net("basic", **_D),
        "timm__thin_e": _net("bottleneck", **_E),
        "timm__thin_e_basic": _net("basic", **_E),
        "timm__thin_t": _net("bottleneck", (16, 8, 24, 32), **_T),
        "timm__thin_t_basic": _net("basic", (16, 8, 24, 32), **_T),
        "timm__thin_se": _net("bottleneck", (8, 44, 48, 8), **_SE),
        "timm__thin_se_basic": _net("basic", (64, 176, 192, 32), **_SE),
        "timm__thin_se_d": _net("bottleneck", **_D, **_SE),
        "timm__thin_se_groups": _net("bottleneck", **_GROUPS, **_SE),
        "timm__thin_se_groups_d": _net("bottleneck", **_GROUPS, **_D, **_SE),
        "timm__thin_se_groups_t": _net("bottleneck", (16, 8, 24, 32), **_GROUPS, **_T, **_SE),
        "timm__thin_eca": _net("bottleneck", (16, 32, 512, 16), base_width=8, **_ECA),
        "timm__thin_eca_basic": _net("basic", (64, 128, 32, 16), **_ECA),
        "timm__thin_eca_d": _net("bottleneck", (8, 32, 24, 16), **_D, **_ECA),
        "timm__thin_eca_t": _net("bottleneck", (16, 32, 24, 16), **_T, **_ECA),
        "timm__thin_eca_light": _net("bottleneck", units=(1, 1, 3, 2), shortcut="D", **_ECA),
        "timm__thin_rs": _net(
            "bottleneck",
            (8, 13, 11, 16),
            stem=Stem(3, (4, 4, 8), pool="conv"),
            shortcut="D",
            attention=Attention("se", ratio=1 / 4),
        ),
        "timm__thin_senet154": _net("senet", (8, 16, 48, 16), **_GROUPS, **_S, **_SE),
        "timm__thin_aa": _net("bottleneck", **_AA),
        "timm__thin_aa_d": _net("bottleneck", **_D, **_AA),
        "timm__thin_aa_basic": _net("basic", **_D, **_AA),
        "timm__thin_aa_se_groups_d": _net("bottleneck", **_GROUPS, **_D, **_SE, **_AA),
        "timm__thin_aa_se_groups_e": _net("bottleneck", **_GROUPS, **_E, **_SE, **_AA),
        "timm__thin_blur": _net("bottleneck", **_BLUR),
        "timm__thin_blur_basic": _net("basic", (64, 16, 24, 32), **_BLUR),
        "timm__thin_blur_d": _net("bottleneck", **_D, **_BLUR),
        "timm__thin_gn": _net("bottleneck", (32, 32, 64, 64), norm="group"),
        "timm__thin_v2": _v2("bottleneck"),
        "timm__thin_v2_basic": _v2("basic"),
        "timm__thin_v2_deep": _v2("bottleneck", **_C),
        "timm__thin_v2_deep_basic": _v2("basic", **_C),
        "timm__thin_v2_d": _v2("bottleneck", **_D),
        "timm__thin_v2_d_basic": _v2("basic", **_D),
        "timm__thin_v2_t": _v2("bottleneck", **_T),
        "timm__thin_v2_gn": _v2("bottleneck", (32, 32, 64, 64), stem=Stem(width=32), norm="group"),
        "timm__thin_v2_d_gn": _v2(
            "bottleneck", (32, 32, 64, 64), stem=Stem(3, (32, 32, 64)), shortcut="D", norm="group"
        ),
        "timm__thin_bit": _v2("bottleneck", (32, 32, 64, 64), stem=Stem(width=32), norm="group", lineage=BIT),
        "timm__thin_bit_x2": _v2("bottleneck", (32, 32, 64, 64), stem=Stem(width=64), norm="group", lineage=BIT),
        "timm__thin_legacy_se": _senet("bottleneck", (8, 12, 16, 32), lineage=SENET_1X1),
        "timm__thin_legacy_se_basic": _senet(
            "basic", (16, 24, 32, 40), attention=Attention("se", divisor=1, relu=True)
        ),
        "timm__thin_legacy_se_groups": _senet("bottleneck", (16, 32, 48, 16), groups=4, base_width=4),
        "timm__thin_legacy_senet154": _senet("senet", (8, 12, 16, 32), groups=4, base_width=64, **_S),
        "transformers__thin_first": _net("bottleneck", stem=Stem(width=16), first_stride=2),
        "transformers__thin_first_basic": _net("basic", (16, 24, 32, 40), stem=Stem(width=16), first_stride=2),
        "transformers__thin_first_bottleneck": _net(
            "bottleneck", stem=Stem(width=16), first_stride=2, lineage=TORCH_1X1
        ),
        "transformers__thin_bottleneck": _net("bottleneck", stem=Stem(width=16), lineage=TORCH_1X1),
        "torchvision__thin_doubled": _net("bottleneck", (16, 32, 48, 64), stem=Stem(width=16)),
        "torchvision__thin_plain": _net("bottleneck", stem=Stem(width=8)),
        "torchvision__thin_groups": _net("bottleneck", **_GROUPS),
        "torchvision__thin_wide": _net("bottleneck", base_width=128),
    }.items()
}
