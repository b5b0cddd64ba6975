"""The feature pyramid of a network, TF-Slim's end points, and backbones for keras_hub and keras_cv.

Everything is read from the layers of a model, so a model that came from a file serves as well as one just built.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_resnet.architecture.plans import Unit
from keras_resnet.checkpoints.families import tf_slim
from keras_resnet.models.arguments import Tensor
from keras_resnet.models.inspection import find_network, find_networks, no_network
from keras_resnet.utils.errors import check_choice, import_optional
from keras_resnet.utils.recursion import recursion_limit

__all__ = ["backbone", "end_points", "feature_pyramid"]


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
    with recursion_limit(len(model.layers)):
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
    import_optional(package, extra=package)
    maps = _maps(model)
    with recursion_limit(len(model.layers)):
        network = keras.Model(model.input, list(maps.values())[-1], name=model.name)
    names = {id(layer.output): layer.name for layer in network.layers}
    levels = {level.replace("C", "P"): names[id(map_)] for level, map_ in maps.items() if level != "C1"}
    if package == "keras_hub":
        from keras_resnet.models.backbones import keras_hub

        return keras_hub.Backbone(network, levels, name=model.name)
    from keras_resnet.models.backbones import keras_cv

    return keras_cv.Backbone(network, levels, name=model.name)


def end_points(model: keras.Model, scope: str | None = None) -> dict[str, Tensor]:
    """Returns the tensors of a network under the keys of TF-Slim's `end_points`, in its order.

    Example:

        net = keras_resnet.ResNet50(style="slim", weights=None)
        points = keras_resnet.end_points(net)
        dense = keras.Model(net.input, points["resnet_v1_50/block2"])  # (N, 14, 14, 512) of 224x224 pixels

    These are `<scope>/conv1`; `<scope>/block1/unit_1/bottleneck_v1/shortcut` (where it projects), `conv1`, `conv2`,
    `conv3` and the unit itself; `<scope>/block1`; `global_pool`, `<scope>/logits`, `<scope>/spatial_squeeze` and
    `predictions`, as far as the network has them: a builder's pools to rank 2, and has logits instead of predictions
    with `classifier_activation=None`. In v2 the last block stands before the last norm. (A network that was cut inside
    a block takes its last unit for the block's end; units of your own, and what they make of ours, are not known here.)

    Args:
        model: a network of style "slim", from a builder, from `keras_resnet.slim` or from a file.
        scope: what the keys begin with, and which network is meant if the model holds several. None: the prefix of the
            layers' names, else "resnet_v1_50" etc. where it is that network, else the model's name.

    Raises:
        ValueError: if the model holds no network of style "slim" at its surface, or several and `scope` names none.
    """
    network = find_network(model, scope, nested=False)
    if "slim" not in network.styles:
        raise ValueError(
            f"`model` must be laid out as TF-Slim's networks, for others have other tensors where these have end "
            f"points; received {model.name!r}. Build it with style='slim', or take `feature_pyramid(model)`."
        )
    outputs = {name: layer.output for name, layer in network.layers.items()}
    scope = scope or network.scope
    points: dict[str, Tensor] = {}
    if network.plan.stem:
        points[f"{scope}/conv1"] = end_point(outputs, "conv1")
    for stage in network.plan.stages:
        for unit in stage:
            key = f"{scope}/{tf_slim.slim_unit(unit.name, network.plan.version)}"
            points |= unit_end_points(outputs, unit, key)
        points[f"{scope}/{tf_slim.slim_block(stage[0].stage)}"] = outputs.get(f"{stage[-1].name}_out")
    points["global_pool"] = outputs.get("avg_pool")
    logits = outputs.get("predictions_first", outputs.get("predictions"))
    activation = getattr(network.layers.get("predictions"), "activation", None)
    if activation is keras.activations.softmax:
        points["predictions"] = logits
    elif activation is keras.activations.linear:
        points[f"{scope}/logits"] = logits
    points[f"{scope}/spatial_squeeze"] = outputs.get("spatial_squeeze")
    points.setdefault("predictions", outputs.get("predictions_softmax"))
    return {key: tensor for key, tensor in points.items() if tensor is not None}


def unit_end_points(outputs: Mapping[str, Tensor], unit: Unit, scope: str) -> dict[str, Tensor]:
    """A unit's tensors in TF-Slim's order, from what its layers put out."""
    points = {key: end_point(outputs, name) for name, key in tf_slim.slim_convs(unit, scope).items()}
    return points | {scope: outputs.get(f"{unit.name}_out")}


def end_point(outputs: Mapping[str, Tensor], conv: str) -> Tensor:
    """Returns what TF-Slim takes for a convolution's output: its activation, norm or itself, the last that it has."""
    return next(outputs[name] for layer in ("relu", "bn", "conv") if (name := f"{conv}_{layer}") in outputs)


def _maps(model: keras.Model) -> dict[str, Tensor]:
    """Returns the feature map of each level that the model has, finest first."""
    found = find_networks(model, nested=False)
    if len(found) > 1:
        scopes = ", ".join(repr(network.scope) for network in found)
        raise ValueError(f"`model` must be one network; {model.name!r} holds {scopes}: take a keras.Model of one.")
    if not found or "conv2_block1_1_conv" not in found[0].layers:
        raise no_network(model)
    (network,) = found
    layers, units = network.layers, network.plan.units
    if any(f"{stage[0].stage}_pool" in layers for stage in network.plan.stages):
        raise ValueError(
            f"`model` must stride inside its units; {model.name!r} was built with store_non_strided_activations=True: "
            "take its end points."
        )

    preactivated = network.plan.version == 2
    maps: dict[str, Tensor] = {}
    stem = layers.get("conv1_conv" if preactivated else "conv1_relu")
    if stem is not None:
        maps["C1"] = stem.output
    for level, name in enumerate(network.striding, 2):
        if preactivated:
            maps[f"C{level}"] = layers[f"{name}_preact_relu"].output
        else:
            maps[f"C{level}"] = layers.get(f"{name}_1_pad", layers[f"{name}_1_conv"]).input
    end = layers.get("post_relu" if preactivated else f"{units[-1].name}_out")
    if end is not None:
        maps[f"C{2 + len(network.striding)}"] = end.output
    if "C2" not in maps:
        raise no_network(model)
    return maps
