"""The published networks as `Variant`s, in `NETWORKS`, and their names in other libraries."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Literal

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.variant import Stem, Variant

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


Block = Literal["basic", "bottleneck"]


def _imagenet(name: str, version: Literal[1, 2], block: Block, *units: int) -> Variant:
    """A row of arXiv:1512.03385 Table 1, in v1 or v2."""
    return Variant(name, version, block, units, (64, 128, 256, 512), Stem(), LINEAGES["keras", version])


def _cifar(name: str, version: Literal[1, 2], block: Block, units: int, shortcut: Literal["A", "B"]) -> Variant:
    """A CIFAR net (arXiv:1512.03385 section 4.2, arXiv:1603.05027): He's initialisation, no biases."""
    first: Literal["unit", "split"] = "unit" if version == 1 else "split"
    stem, lineage = Stem(3, 16, 1, pool=False), LINEAGES["torch", version]
    return Variant(name, version, block, (units,) * 3, (16, 32, 64), stem, lineage, shortcut, first_activation=first)


# Every network that there is, by its name: a new one is a row here, and nothing else.
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
    )
}

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
    """Returns the row that a name means: the row's own, its builder's or timm's, in any case.

    Raises:
        ValueError: if there is none; `argument` and `note` are what its message begins and ends with.
    """
    rows = {row.lower(): row for row in NETWORKS if isinstance(row, str)}
    spelled = _names(BUILDERS) | _names(TIMM_NAMES) | rows
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
