"""A thin network of each kind beside the plain ones, to show that a claim holds for all of them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keras_resnet.architecture.lineages import TORCH_V1, TORCH_V2
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Variant


def _thin(network: str, **fields: Any) -> Variant:
    """A published network with few units and narrow stages; norms of groups take 32 channels."""
    row = NETWORKS[network]
    small: dict[str, Any] = {"name": f"thin_{network}", "units": (1, 2, 1, 1), "widths": (8, 16, 16, 32)}
    if row.norm == "group":
        small |= {"widths": (32, 32, 32, 32)}
    elif row.stem:
        small["stem"] = replace(row.stem, widths=tuple(width // 8 for width in row.stem.widths))
    if row.groups > 1:
        small |= {"groups": 4, "base_width": 32}
    return replace(row, **small | fields)


def tolerance(variant: Variant) -> float:
    """What two ways to compute the same may differ by: a variance of few numbers that are alike is hard to take."""
    return 5e-5 if variant.norm == "group" else 1e-5


_DATA_NORM = {row.version: replace(row, style="own", data_norm=True) for row in (TORCH_V1, TORCH_V2)}

KINDS: dict[str, Variant] = {
    "groups": _thin("resnext50_32x4d"),
    "groups, torch": _thin("resnext101_32x8d"),
    "wide": _thin("wide_resnet50_2"),
    "C": _thin("resnet50c"),
    "S": _thin("resnet50s"),
    "D": _thin("resnet50d"),
    "D, basic": _thin("resnet18d"),
    "D, v2": _thin("resnetv2_50d"),
    "D, v2, basic": _thin("resnetv2_18d"),
    "T": _thin("resnet26t"),
    "D, groups": _thin("resnext50d_32x4d"),
    "SE": _thin("seresnet50"),
    "SE, basic": _thin("seresnet18"),
    "SE, groups, D": _thin("seresnext26d_32x4d"),
    "ECA, D": _thin("ecaresnet50d"),
    "ECA, light": _thin("ecaresnetlight"),
    "RS": _thin("resnetrs50"),
    "aa": _thin("resnetaa50"),
    "aa, D": _thin("resnetaa50d"),
    "aa, SE, groups, D": _thin("seresnextaa101d_32x8d"),
    "blur": _thin("resnetblur50"),
    "blur, basic": _thin("resnetblur18"),
    "blur, D": _thin("resnetblur50d"),
    "GN": _thin("resnet50_gn"),
    "GN, D, v2": _thin("resnetv2_50d_gn"),
    "BiT": _thin("resnetv2_50x1_bit"),
    "senet": _thin("senet154"),
    "legacy senet": _thin("legacy_senet154"),
    "legacy SE, basic": _thin("legacy_seresnet18"),
    "legacy SE": _thin("legacy_seresnet50"),
    "first stride": _thin("resnet50", name="thin_first_stride", first_stride=2),
    "first stride, basic": _thin("resnet18", name="thin_first_stride_basic", lineage=TORCH_V1, first_stride=2),
    "data norm": _thin("resnet50", name="thin_data_norm", lineage=_DATA_NORM[1]),
    "data norm, v2": _thin("resnet50v2", name="thin_data_norm_v2", lineage=_DATA_NORM[2]),
    "every first": _thin("resnet18d", name="thin_every_first", lineage=replace(TORCH_V1, project="every_first")),
}
# Between them: each layer, and each place of one, that the plain networks lack.
COVER = {
    name: KINDS[name]
    for name in ("blur, D", "aa, SE, groups, D", "ECA, D", "RS", "GN, D, v2", "legacy SE, basic", "data norm, v2")
}
# Of these, the ones with layers and nodes that plain networks lack: other backends may compute them otherwise.
_NEW = ("blur, D", "aa, SE, groups, D", "ECA, D", "GN, D, v2")


def few_elsewhere(kinds: Mapping[str, Variant]) -> list[Any]:
    """Kinds as parameters of a test: all on one backend, on the others those of new layers."""
    return [
        pytest.param(variant, id=kind, marks=() if kind in _NEW else pytest.mark.one_backend)
        for kind, variant in kinds.items()
    ]
