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
    """Returns a model of the same layers that outputs feature maps at several strides, as a dict by level.

    Example:

        net = keras_resnet.ResNet50V2(include_top=False, weights=None, output_stride=16)
        maps = keras_resnet.feature_pyramid(net, ["C2", "C5"])(images)  # {"C2": (N, H/4, W/4, 256), "C5": ...}

    Level "C3" is the last feature map of stride 2**3 in an ImageNet network: the input of the next block that strides,
    in v2 after the batch norm and ReLU of that block. The highest level is the last map of the network. With
    `output_stride`, the levels are the same layers with denser maps. (Do not cut a network of basic blocks that was
    built with `output_stride`: the level at the cut may be missing or shifted. Take the levels first.)

    Args:
        model: a network of this package or of keras.applications, built or loaded; it may have a classifier.
        levels: one level or several, of "C1" to "C5" (to "C4" in networks of three stages; networks without stem have
            no "C1"); None is all from "C2".

    Returns:
        A `keras.Model` with the input of `model` and a dict of feature maps. It shares layers and weights with `model`
        and adds none.

    Raises:
        ValueError: if the model lacks a level, or its own layers, outside of nested models, hold no ResNet.
    """
    maps = _maps(model)
    wanted: Any = [level for level in maps if level != "C1"] if levels is None else levels
    wanted = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    for level in wanted or [None]:
        check_choice("levels", level, tuple(maps), f" These are the levels of {model.name!r}.")
    with recursion_limit(len(model.layers)):
        return keras.Model(model.input, {level: maps[level] for level in wanted}, name=f"{model.name}_pyramid")


def backbone(model: keras.Model, package: str) -> keras.Model:
    """Turns a network into a backbone for the tasks of KerasHub or KerasCV, with the same layers and weights.

    Example:

        import keras_hub

        net = keras_resnet.ResNet18(include_top=False, weights=None)
        task = keras_hub.models.ImageClassifier(keras_resnet.backbone(net, "keras_hub"), num_classes=3)

    The backbone outputs the last feature map of the network, without a classifier. Its pyramid levels "P2" to "P5" are
    the levels "C2" to "C5" of `feature_pyramid`. To load a saved task that contains it, first
    `import keras_resnet.hub` or `import keras_resnet.cv`.

    Args:
        model: a network of this package or of keras.applications.
        package: "keras_hub" for a `keras_hub.models.FeaturePyramidBackbone`, "keras_cv" for a
            `keras_cv.models.Backbone`.

    Raises:
        ValueError: if `package` is another, or the model's own layers, outside of nested models, hold no ResNet.
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
    """Returns a network's intermediate tensors under the names of TF-Slim's `end_points`, in TF-Slim's order.

    Example:

        net = keras_resnet.ResNet50(style="slim", weights=None)
        points = keras_resnet.end_points(net)
        dense = keras.Model(net.input, points["resnet_v1_50/block2"])  # (N, 14, 14, 512) of 224x224 pixels

    The keys are `<scope>/conv1`, then for each unit (TF-Slim's word for a residual block)
    `<scope>/block1/unit_1/bottleneck_v1/shortcut` (if it is a projection), `conv1`, `conv2`, `conv3` and the unit
    itself, then `<scope>/block1`, and at the end `global_pool`, `<scope>/logits`, `<scope>/spatial_squeeze` and
    `predictions`. A key is missing if the network lacks the layer: with `classifier_activation=None`, a builder's
    network has logits but no predictions. In v2 the last block ends before the last batch norm. (Of a network that was
    cut inside a stage, the last unit counts as the end of the stage. Units of your own are not listed.)

    Args:
        model: a network of style "slim", from a builder, from `keras_resnet.slim` or from a file.
        scope: the beginning of the keys, and the name of the network if the model holds several. None: the prefix of
            the layers' names, or TF-Slim's name of the network, such as "resnet_v1_50", or the model's name.

    Raises:
        ValueError: if the model's own layers, outside of nested models, hold no network of style "slim", or several and
            `scope` names none of them.
    """
    network = find_network(model, scope, nested=False)
    if "slim" not in network.styles:
        raise ValueError(
            f"`model` must be of style 'slim', since networks of other styles lack some of TF-Slim's end points; "
            f"received {model.name!r}. Build it with style='slim', or use `feature_pyramid(model)`."
        )
    outputs = {name: layer.output for name, layer in network.layers.items()}
    scope = scope or network.scope
    points: dict[str, Tensor] = {}
    if network.plan.stem:
        points[f"{scope}/conv1"] = end_point(outputs, network.plan.stem[0].name)
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
        raise ValueError(
            f"`model` must hold one network; {model.name!r} holds {scopes}. Pass a keras.Model with the layers of one."
        )
    if not found or "conv2_block1_1_conv" not in found[0].layers:
        raise no_network(model)
    (network,) = found
    layers, units = network.layers, network.plan.units
    if any(f"{stage[0].stage}_pool" in layers for stage in network.plan.stages):
        raise ValueError(
            f"`model` must stride inside its residual blocks; {model.name!r} was built with "
            "store_non_strided_activations=True. Use its end points instead."
        )

    preactivated = network.plan.version == 2
    maps: dict[str, Tensor] = {}
    last = network.plan.stem[-1].name if network.plan.stem else "conv1"
    stem = layers.get(f"{last}_relu", layers.get(f"{last}_conv"))
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
