"""What other tasks take of a network: its feature pyramid, and the backbone face of other Keras packages.

Everything is read from the layers of a model, so a model that came from a file serves as well as one just built.
"""

import re
from collections.abc import Iterable
from typing import Any

import keras

from keras_resnet.errors import check_choice, optional
from keras_resnet.layers import Tensor

__all__ = ["backbone", "feature_pyramid"]

_CONV = re.compile(r"conv(\d+)_block(\d+)_([1-9])_conv")


def feature_pyramid(model: keras.Model, levels: Iterable[str] | str | None = None) -> keras.Model:
    """Returns a model of the same layers that puts out a feature map for each level of the pyramid.

    Example:

        net = keras_resnet.ResNet50V2(include_top=False, weights=None, output_stride=16)
        maps = keras_resnet.feature_pyramid(net, ["C2", "C5"])(images)  # {"C2": (N, 56, 56, 256), "C5": ...}

    `Cl` is the map at the last place before the stride of stage l, 2**l in ImageNet's networks, is left: the input of
    the unit that strides (v1) or that input after its first norm and ReLU (v2); of the last stage, the network's last
    map. Under `output_stride` the levels are the same layers, with denser maps. (Where a network of basic units is cut
    after it gave strides up, the level at the cut may be missing or stand at the cut itself: take levels, then cut.)

    Args:
        model: a network of this package or of keras.applications, built or loaded; it may have a classifier.
        levels: which level or levels, "C1" to "C5" ("C4" in networks of three stages; rootless networks have no "C1");
            None is all from "C2".

    Returns:
        A `keras.Model` with the input of `model` and a dict of feature maps. It shares layers and weights with `model`
        and adds none.

    Raises:
        ValueError: if the model lacks a level, or holds none of our networks at its surface.
    """
    maps = _maps(model)
    wanted: Any = [level for level in maps if level != "C1"] if levels is None else levels
    wanted = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    for level in wanted or [None]:
        check_choice("levels", level, tuple(maps), f" These are the levels of {model.name!r}.")
    return keras.Model(model.input, {level: maps[level] for level in wanted}, name=f"{model.name}_pyramid")


def backbone(model: keras.Model, package: str) -> keras.Model:
    """Returns a model of the same layers as the tasks of another Keras package want their backbone.

    Example:

        net = keras_resnet.ResNet50(include_top=False, weights=None)
        task = keras_hub.models.ImageClassifier(keras_resnet.backbone(net, "keras_hub"), num_classes=3)

    It puts out the deepest level of its pyramid, whatever stood behind that, and names the levels "P2" to "P5", as
    `feature_pyramid` names them "C2" to "C5". A task that was saved with it loads after `import keras_resnet.hub` or
    `import keras_resnet.cv`.

    Args:
        model: a network of this package or of keras.applications.
        package: "keras_hub" for a `keras_hub.models.FeaturePyramidBackbone`, "keras_cv" for a
            `keras_cv.models.Backbone`.

    Raises:
        ValueError: if `package` is another, or `model` holds none of our networks at its surface.
        ImportError: if the package is not installed.
    """
    check_choice("package", package, ("keras_hub", "keras_cv"))
    optional(package, extra=package)
    maps = _maps(model)
    network = keras.Model(model.input, list(maps.values())[-1], name=model.name)
    names = {id(layer.output): layer.name for layer in network.layers}
    levels = {level.replace("C", "P"): names[id(map_)] for level, map_ in maps.items() if level != "C1"}
    if package == "keras_hub":
        from keras_resnet import hub

        return hub.Backbone(network, levels, name=model.name)
    from keras_resnet import cv

    return cv.Backbone(network, levels, name=model.name)


def _maps(model: keras.Model) -> dict[str, Tensor]:
    """The feature map of each level that the model has, finest first."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(f"`model` must be a functional keras.Model; received {model!r}.")
    layers = {layer.name: layer for layer in model.layers}
    convs = {
        tuple(map(int, match.groups())): layers[match[0]] for match in map(_CONV.fullmatch, layers) if match is not None
    }

    # A unit strides where a convolution does, or where one gave its stride up: the next one's dilation has grown.
    striding: list[tuple[int, ...]] = []
    previous: tuple[int, ...] = (0, 0, 0)
    dilation = 1
    for place, conv in sorted(convs.items()):
        if max(conv.strides) > 1:
            striding.append(place)
        if max(conv.dilation_rate) > dilation:
            striding.append(previous)
            dilation = max(conv.dilation_rate)
        previous = place

    preactivated = "conv2_block1_preact_relu" in layers
    maps: dict[str, Tensor] = {}
    stem = layers.get("conv1_conv" if preactivated else "conv1_relu")
    if stem is not None:
        maps["C1"] = stem.output
    for level, (stage, unit, _) in enumerate(striding, 2):
        name = f"conv{stage}_block{unit}"
        if preactivated:
            maps[f"C{level}"] = layers[f"{name}_preact_relu"].output
        else:
            maps[f"C{level}"] = layers.get(f"{name}_1_pad", layers[f"{name}_1_conv"]).input
    end = layers.get("post_relu" if preactivated else f"conv{previous[0]}_block{previous[1]}_out")
    if end is not None:
        maps[f"C{2 + len(striding)}"] = end.output
    if "C2" not in maps or "conv2_block1_1_conv" not in layers:
        nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
        hint = f" Is it model.get_layer({nested[0]!r})?" if nested else ""
        raise ValueError(
            f"`model` must be one of our networks; received {model.name!r}, which has no such units.{hint}"
        )
    return maps
