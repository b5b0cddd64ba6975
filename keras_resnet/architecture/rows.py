"""The published networks, each a row of data."""

from dataclasses import replace
from typing import Literal

from keras_resnet.architecture.lineages import KERAS_V1, KERAS_V2, LINEAGES, TORCH_V1, TORCH_V2
from keras_resnet.architecture.variant import Stem, Variant

__all__ = [
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


def _imagenet(name: str, block: Literal["basic", "bottleneck"], *units: int) -> tuple[Variant, Variant]:
    """v1 and v2 of a row of arXiv:1512.03385 Table 1."""
    widths = (64, 128, 256, 512)
    return (
        Variant(name, 1, block, units, widths, Stem(), KERAS_V1),
        Variant(f"{name}v2", 2, block, units, widths, Stem(), KERAS_V2),
    )


def _cifar(
    name: str, block: Literal["basic", "bottleneck"], units: int, shortcut: Literal["A", "B"]
) -> tuple[Variant, Variant]:
    """v1 and v2 of a CIFAR net (arXiv:1512.03385 section 4.2, arXiv:1603.05027): He's initialisation, no biases."""
    rest = ((units,) * 3, (16, 32, 64), Stem(3, 16, 1, pool=False))
    return (
        Variant(name, 1, block, *rest, TORCH_V1, shortcut),
        Variant(f"{name}v2", 2, block, *rest, TORCH_V2, shortcut, first_activation="split"),
    )


RESNET18, RESNET18V2 = _imagenet("resnet18", "basic", 2, 2, 2, 2)
RESNET26, _ = _imagenet("resnet26", "bottleneck", 2, 2, 2, 2)  # timm, transformers
RESNET34, RESNET34V2 = _imagenet("resnet34", "basic", 3, 4, 6, 3)
RESNET50, RESNET50V2 = _imagenet("resnet50", "bottleneck", 3, 4, 6, 3)
RESNET101, RESNET101V2 = _imagenet("resnet101", "bottleneck", 3, 4, 23, 3)
RESNET152, RESNET152V2 = _imagenet("resnet152", "bottleneck", 3, 8, 36, 3)
RESNET200, RESNET200V2 = _imagenet("resnet200", "bottleneck", 3, 24, 36, 3)  # 200: arXiv:1603.05027 Table 5

# The networks of TF-Slim, by version and depth.
SLIM_NETS = {
    (row.version, depth): replace(row, lineage=LINEAGES["slim", row.version])
    for depth, rows in {
        50: (RESNET50, RESNET50V2),
        101: (RESNET101, RESNET101V2),
        152: (RESNET152, RESNET152V2),
        200: (RESNET200, RESNET200V2),
    }.items()
    for row in rows
}

RESNET20, RESNET20V2 = _cifar("resnet20", "basic", 3, "A")
RESNET32, RESNET32V2 = _cifar("resnet32", "basic", 5, "A")
RESNET44, RESNET44V2 = _cifar("resnet44", "basic", 7, "A")
RESNET56, RESNET56V2 = _cifar("resnet56", "basic", 9, "A")
RESNET110, RESNET110V2 = _cifar("resnet110", "basic", 18, "A")
RESNET164, RESNET164V2 = _cifar("resnet164", "bottleneck", 18, "B")
_, RESNET1001V2 = _cifar("resnet1001", "bottleneck", 111, "B")
RESNET1202, _ = _cifar("resnet1202", "basic", 200, "A")

# Every network that has a builder, by the builder's name; and the builders by the networks' names.
NETWORKS = {
    row.name.replace("resnet", "ResNet").replace("v2", "V2"): row
    for row in (
        *(RESNET18, RESNET26, RESNET34, RESNET50, RESNET101, RESNET152, RESNET200),
        *(RESNET18V2, RESNET34V2, RESNET50V2, RESNET101V2, RESNET152V2, RESNET200V2),
        *(RESNET20, RESNET32, RESNET44, RESNET56, RESNET110, RESNET164, RESNET1202),
        *(RESNET20V2, RESNET32V2, RESNET44V2, RESNET56V2, RESNET110V2, RESNET164V2, RESNET1001V2),
    )
}
BUILDERS = {row.name: builder for builder, row in NETWORKS.items()}
