"""Finds the weights that `weights=` names, a published file's or one on disk, and loads all of them or none."""

import os
from dataclasses import dataclass, fields, replace

import keras

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import Checkpoint, default_checkpoint, list_weights
from keras_resnet.checkpoints.contents import network_family, scopes_of, styles_told
from keras_resnet.checkpoints.open import Source, download, open_named, open_source
from keras_resnet.models.inspection import find_networks
from keras_resnet.models.weights.load import LoadReport, load_source

Weights = str | os.PathLike[str] | None


@dataclass(frozen=True)
class Found:
    """Weights, of which nothing is downloaded yet."""

    source: Source | Checkpoint
    styles: tuple[str, ...]  # in which a network can take them, the likeliest first
    preprocessing: str | None = None  # what a published file expects of an image; None: what its style's do


def find(weights: Weights, variant: Variant, style: str | None, include_top: bool, classes: int) -> Found | None:
    """What `weights=` names for a network.

    Raises:
        ValueError: if there is no such file or row, or it is another network's.
        OSError: if a file can't be read.
    """
    if weights is None:
        return None
    if isinstance(weights, str) and weights == "imagenet":
        row = imagenet(variant, style, include_top)
    elif isinstance(weights, str) and weights in list_weights():
        row = list_weights()[weights]
        differing = [
            field.name
            for field in fields(variant)
            if field.name not in ("name", "lineage")
            and getattr(variant, field.name) != getattr(row.variant, field.name)
        ]
        if differing:
            raise ValueError(
                f"`weights`: {weights!r} are those of {row.network}, and this is {variant.name}, with other "
                f"{', '.join(differing)}: build keras_resnet.{row.network}(weights={weights!r})."
            )
    else:
        source = open_named(weights, "weights", (None, "imagenet"))
        family = network_family(source)
        told = [style for scope in scopes_of(source, family).values() for style in styles_told(source, family, scope)]
        known = [style for style in told if (style, variant.version) in LINEAGES]
        return Found(source, tuple(dict.fromkeys(known or told)))
    if include_top and row.classes is None:
        raise ValueError(f"`weights`: {row.key!r} has no classifier: pass include_top=False.")
    if include_top and classes != row.classes:
        raise ValueError(
            f"`classes` must be {row.classes} with weights={weights!r} and include_top=True; received {classes!r}. "
            "For other classes pass include_top=False and add a classifier of your own, as transfer.classifier does."
        )
    return Found(row, (row.style,), row.preprocessing)


def load(model: keras.Model, found: Found) -> LoadReport:
    """Loads weights, or raises and leaves every weight of the model as it was."""
    source = found.source
    if isinstance(source, Checkpoint):
        source = open_source(download(source, "pass weights=None for random initialisation"))
    network = next((network for network in find_networks(model, nested=False) if not network.prefix), None)
    if network is None:
        raise ValueError(f"`weights`: {model.name!r} has no residual units, and so there are no weights for it.")
    return load_source(model, network, source, argument="weights", whole=True)


def imagenet(variant: Variant, style: str | None, include_top: bool) -> Checkpoint:
    """The row that "imagenet" means: of the style that is asked for, else of the network's own, else of any.

    Raises:
        ValueError: if there is none.
    """
    known = [style] if style else [variant.lineage.style, *(each for each, _ in LINEAGES)]
    for each in known:
        if (each, variant.version) in LINEAGES:
            row = default_checkpoint(replace(variant, lineage=LINEAGES[each, variant.version]), include_top)
            if row:
                return row
    raise ValueError(
        f"`weights='imagenet'`: there are no such weights for {variant.name}"
        f"{f' in the {style!r} style' if style else ''}. Pass weights=None for random initialisation, a key of "
        "keras_resnet.list_weights() or the path of a file."
    )
