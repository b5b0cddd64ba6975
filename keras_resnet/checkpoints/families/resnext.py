"""keras-applications' ResNeXts, whose grouped convolutions are depthwise ones with sums behind them."""

import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from keras_resnet.architecture.detect import Layers
from keras_resnet.architecture.lineages import RESNEXT as LINEAGE
from keras_resnet.checkpoints.families.family import LONGEST, Family
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.names.assembled import Assembled, Part
from keras_resnet.checkpoints.open import Source

RESNEXT = replace(KERAS, origin="keras-applications", version=1, styles=(LINEAGE.style,), v2="")
_DEPTHWISE = re.compile(r"(?P<scope>.*/)?(?P<unit>[^/]{1,60}_block\d{1,9}_2)_conv/depthwise_kernel")


def plain(source: Source) -> Source:
    """Returns a file with grouped convolutions in place of depthwise ones and of what sums their outputs.

    The sums are a layer without variables in the published files; later code has a fixed 1x1 convolution, `2_gconv`.
    """
    parts: dict[str, Part] = {}
    families: dict[str, Family] = {}
    for name, shape in source.shapes.items():
        match = _DEPTHWISE.fullmatch(name) if len(name) < LONGEST else None
        if not match or len(shape) != 4 or min(shape) < 1 or shape[2] % shape[3]:  # a ResNeXt's divides in groups
            continue
        scope, (*sides, channels, each) = match["scope"] or "", shape
        fixed = f"{scope}{match['unit']}_gconv/kernel"
        names = (name, *([fixed] if fixed in source.shapes else []))
        parts[f"{scope}{match['unit']}_conv/kernel"] = Part(names, (*sides, each, channels), partial(_grouped, name))
        families[scope] = RESNEXT
    return Assembled(source, {}, parts, families) if parts else source


def _grouped(name: str, depthwise: Array, sums: Array | None = None) -> Array:
    """kernel[..., j, o] = depthwise[..., first channel of o's group + j, o's place in its group].

    Raises:
        ValueError: if what should add up the channels of each group does something else.
    """
    *sides, channels, each = depthwise.shape
    groups = channels // each
    if sums is not None:
        places = np.arange(channels * each)
        ones = np.zeros((channels * each, channels), bool)
        ones[places, places // each**2 * each + places % each] = True
        if sums.shape != (1, 1, *ones.shape) or not np.array_equal(sums[0, 0], ones):
            raise ValueError(
                f"{name!r}: the 1x1 convolution behind it, which adds up the channels of each group, was trained, and "
                "is no grouped convolution any more. Use a file in which its kernel is as keras-applications made it."
            )
    split = depthwise.reshape(*sides, groups, each, each)  # group, channel in it, place of the output
    return np.ascontiguousarray(np.moveaxis(split, -3, -2).reshape(*sides, each, channels))


def translate(layers: Layers) -> Layers:
    """Returns the layers of a model's config with grouped convolutions in place of depthwise ones."""
    found: Layers = {}
    for name, (kind, config) in layers.items():
        if kind == "DepthwiseConv2D" and name.endswith("_2_conv"):
            channels = layers[f"{name.removesuffix('_2_conv')}_1_conv"][1]["filters"]
            more: dict[str, Any] = {"filters": channels, "groups": channels // config["depth_multiplier"]}
            kind, config = "Conv2D", config | more
        found[name] = kind, config
    return found
