"""Finds what `weights=` names: a published file, not fetched yet, or the network in a file on disk."""

import os
import re
from dataclasses import fields

from keras_resnet.architecture.lineages import RESNET_RS
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import builder_call
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import default_checkpoint, list_weights
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.contents import NetworkInFile, choose_network, read_networks
from keras_resnet.checkpoints.open import exists, open_named
from keras_resnet.checkpoints.published.old_names import OLD_NAMES
from keras_resnet.models.inspection import slim_name
from keras_resnet.utils.errors import enumerate_some

_IMAGENET = re.compile(r"imagenet(?:-i([1-9]\d{0,3}))?")  # with the image size, in tf.keras.applications.resnet_rs
Weights = str | os.PathLike[str] | None


def find_weights(
    weights: Weights,
    variant: Variant,
    style: str | None,
    include_top: bool,
    classes: int,
    name: str,
    scope: str | None = None,
) -> NetworkInFile | Checkpoint | None:
    """Finds what `weights=` names for a network.

    Args:
        weights: a builder's argument.
        variant: the network.
        style: a builder's argument.
        include_top: a builder's argument.
        classes: a builder's argument.
        name: the model's.
        scope: a builder's argument.

    Raises:
        ValueError: if there is no such file or row, or it is another network's.
        OSError: if a file can't be read.
    """
    if weights is None:
        return None
    row = list_weights().get(weights) if isinstance(weights, str) else None
    if row:
        _check_network(row, variant)
    elif isinstance(weights, str) and (named := _IMAGENET.fullmatch(weights)):
        row = imagenet(variant, style, include_top, int(named[1]) if named[1] else None)
    if row:
        _check_classes(row, str(weights), include_top, classes)
        return row
    key = OLD_NAMES.get(f"{variant.name}_weights.{weights}".lower())
    if key and not exists(weights):
        raise ValueError(f"`weights`: {weights!r} is torchvision's name; pass the key {key!r}.")
    networks = read_networks(open_named(weights, "weights", (None, "imagenet")))
    built = (slim_name(plan(variant)) or name) if scope is None else None
    return choose_network(networks, scope, built, "weights")


def styles_for(found: NetworkInFile | Checkpoint, variant: Variant) -> tuple[str, ...]:
    """Returns the styles in which a network can take weights, the one to take first; else those told."""
    told = (found.style,) if isinstance(found, Checkpoint) else found.styles
    styles = tuple(style for style in told if style in variant.styles)
    own = variant.lineage.style
    evident = isinstance(found, NetworkInFile) and found.evident
    return tuple(dict.fromkeys((own, *styles) if own in styles and not evident else styles)) or told


def stem_channels(found: NetworkInFile, layout: Plan) -> int | None:
    """Returns the channels of the images that a file's network takes; None if it has no stem."""
    stem = f"{layout.stem[0].name}_conv" if layout.stem else ""
    module = found.modules(layout).get(stem, "conv2d")  # where it holds no names, the first one
    kernel = found.tensors.get(found.family.tensor(module, "kernel"), ())
    return kernel[1 if found.family.transposed else 2] if stem and len(kernel) == 4 else None


def _check_network(row: Checkpoint, variant: Variant) -> None:
    """Raises a `ValueError` unless a published file is this network's."""
    differing = [
        field.name
        for field in fields(variant)
        if field.name not in ("name", "lineage") and getattr(variant, field.name) != getattr(row.variant, field.name)
    ]
    if differing:
        raise ValueError(
            f"`weights` must be of the network {variant.name}; {row.key!r} are of {row.network}, which differs in "
            f"{', '.join(differing)}. Build {builder_call(row.variant.name, f'weights={row.key!r}')}."
        )


def _check_classes(row: Checkpoint, weights: str, include_top: bool, classes: int) -> None:
    """Raises a `ValueError` unless a published file has the classifier that is asked for."""
    if include_top and row.classes is None:
        raise ValueError(
            f"`weights`: {row.key!r} is a backbone without classifier. Pass include_top=False, or add a new classifier "
            "with keras_resnet.transfer.classifier."
        )
    if include_top and classes != row.classes:
        raise ValueError(
            f"`classes` must be {row.classes} with weights={weights!r} and include_top=True; received {classes!r}. "
            "For other classes, pass include_top=False, or add a new classifier with keras_resnet.transfer.classifier."
        )


def imagenet(variant: Variant, style: str | None, include_top: bool, image_size: int | None = None) -> Checkpoint:
    """Returns the row that "imagenet" means: of the style that is asked for, else of the network's own, else of any.

    `image_size`: that in "imagenet-i160".

    Raises:
        ValueError: if there is none.
    """
    own = variant.lineage.style
    styled = [variant.in_style(each) for each in ([style] if style else sorted(variant.styles, key=own.__ne__))]
    if image_size is not None:  # only tf.keras' networks have files of several sizes
        styled = [each for each in styled if each.lineage is RESNET_RS]
    for each in styled:
        row = default_checkpoint(each, include_top, image_size)
        if row:
            return row
    meant = "imagenet" if image_size is None else f"imagenet-i{image_size}"
    sizes = sorted({row.image_size for row in list_weights().values() if image_size and row.variant in styled})
    named = enumerate_some([f"'imagenet-i{size}'" for size in sizes])
    raise ValueError(
        f"`weights={meant!r}`: there are no published weights for {variant.name}"
        f"{f' in style {style!r}' if style else ''}{f' at this size, but {named}' if sizes else ''}. Pass weights=None "
        "for random initialisation, a key of keras_resnet.list_weights() or the path of a file."
    )
