"""keras.applications' ResNet50 of 2016 to 2019, with Caffe's names: `res2a_branch2a`, `bn2a_branch2a`, `fc1000`.

It was published for Keras 1 without padding in front of the stem's pool; keras-applications 1.0.6 pads with zeros. What
other libraries wrote under the same names has other strides, padding or epsilon, and is refused.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from keras_resnet.architecture.detect import UNIT_CONV, Layers
from keras_resnet.architecture.plans import Plan
from keras_resnet.checkpoints.families.family import LONGEST
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.names.configured import ACTIVATIONS
from keras_resnet.checkpoints.names.renamed import Renamed
from keras_resnet.checkpoints.open import Source

_UNIT = r"(?P<stage>\d{1,3})(?P<unit>[a-z]\d{0,3})"
_BRANCH = re.compile(rf"(?P<kind>res|bn|scale){_UNIT}_branch(?P<branch>1|2[a-z])")
_BRANCHES = {"1": 0, "2a": 1, "2b": 2, "2c": 3}
# Where Keras 1 has a layer's variables, which it names after their layers.
_KERAS_1 = {
    "W": "kernel",
    "b": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # which it is
}
_VARIABLE_OF_1 = re.compile(rf"(?P<layer>.+)_(?P<variable>{'|'.join(_KERAS_1)})")


def modules(plan: Plan) -> dict[str, str]:
    """The layers that have weights."""
    names = {"predictions": "fc1000"}
    if plan.stem:
        names |= {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}
    for stage, units in enumerate(plan.stages, 2):
        for index, unit in enumerate(units):
            for branch, i in _BRANCHES.items():
                theirs, ours = f"{stage}{_letter(index)}_branch{branch}", f"{unit.name}_{i}"
                names |= {f"{ours}_conv": f"res{theirs}", f"{ours}_bn": f"bn{theirs}"}
    return names


def number(unit: str) -> int:
    """The number, from 0, of a unit that has a letter, or, in some deeper networks, is one of b1, b2, and so on."""
    return int(unit[1:]) if unit[1:] else ord(unit) - ord("a")


KERAS_2016 = replace(
    KERAS,
    version=1,
    names=modules,
    unit=rf"(res|bn){_UNIT}(?=_branch)",
    number=number,
    first="_branch2a/kernel",
    stem=r"(bn_)?conv1/",
    own=r"((res|bn)\d{1,3}[a-z]\d{0,3}_branch(1|2[a-z])|(bn_)?conv1|fc1000)/[^/]+",
    bias=r"(^conv1|^res\w+)/bias$",
    styles=("keras_2016", "keras_2018"),
    v2="",
    others={},
)


def plain(source: Source) -> Source:
    """Returns a file with Keras 2's names of variables, and units that have letters as far as there are some.

    Raises:
        ValueError: if it is of another library, or its kernels are Theano's.
    """
    names = {}
    layers: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in source.shapes.items():
        if len(name) < LONGEST and (new := _today(name)):
            layer, _, variable = new.rpartition("/")
            layers.setdefault(layer, {})[variable] = shape
            if new != name:
                names[new] = name
    if not any(_is_first(layer) for layer in layers):
        return source
    if reason := _strange(source, layers):
        raise ValueError(f"{str(source.path)!r}: {reason}")
    return Renamed(source, names) if names else source


def _today(tensor: str) -> str | None:
    """How a tensor goes by Keras 2's names; None if it is none of a layer that these networks have."""
    scope, _, variable = tensor.rpartition("/")
    if old := _VARIABLE_OF_1.fullmatch(variable):
        variable = _KERAS_1[old["variable"]]
        around, _, layer = scope.rpartition("/")
        scope = scope if layer == old["layer"] else f"{scope}/{old['layer']}" if scope else old["layer"]
    around, separator, layer = scope.rpartition("/")
    if match := _BRANCH.fullmatch(layer):
        layer = f"{match['kind']}{match['stage']}{_letter(number(match['unit']))}_branch{match['branch']}"
    elif layer not in ("conv1", "bn_conv1", "fc1000"):
        return None
    return f"{around}{separator}{layer}/{variable}"


def _letter(unit: int) -> str:
    """What the unit of this number, from 0, is called."""
    return chr(ord("a") + unit) if unit < 26 else f"b{unit}"


def _is_first(layer: str) -> bool:
    """Whether a layer is the first convolution of a unit."""
    match = _BRANCH.fullmatch(layer.rpartition("/")[2])
    return match is not None and (match["kind"], match["branch"]) == ("res", "2a")


def _strange(source: Source, layers: dict[str, dict[str, tuple[int, ...]]]) -> str | None:
    """Why a file with these layers is not what keras.applications wrote, if it is not."""
    advice = "Use it with the library that wrote it, or load another file."
    if any(layer.rpartition("/")[2].startswith("scale") for layer in layers):
        return (
            "The file has layers such as 'scale2a_branch2a' behind its batch norms, as networks that were converted "
            f"from Caffe, which no builder makes. {advice}"
        )
    firsts = [layer for layer in layers if _is_first(layer)]
    if all("bias" not in layers[layer] for layer in firsts):
        return (
            "The file has names such as 'res2a_branch2a' and no biases, as files of the package keras-resnet and of "
            "keras-retinanet. Its versions 0.1.0 and 0.2.0 pad the stem differently, and the file does not tell which "
            f"wrote it, so it can't be loaded rightly for certain. {advice}"
        )
    if any("mrcnn_" in name[:LONGEST] for name in source.shapes):
        return (
            "The file is of a Mask R-CNN, whose backbone pads the stem's pool with TensorFlow's 'same', unlike "
            f"keras.applications' under the same names. No builder makes it. {advice}"
        )
    stems = [held.get("kernel", ()) for layer, held in layers.items() if layer.rpartition("/")[2] == "conv1"]
    square = any(len(shape) == 4 and shape[0] != shape[1] and shape[2] == shape[3] for shape in stems)
    if square or "th_kernels" in source.path.name:
        return (
            "Its kernels are Theano's: they lie in another order, or are turned by 180 degrees. Take the file whose "
            "name has 'tf_dim_ordering_tf_kernels', or load and save it with Keras 2.0 to 2.3 on TensorFlow."
        )
    return None


def translate(layers: Layers) -> Layers:
    """Returns the layers of a model's config by our names if they have these, else as they are.

    Pads, pool and activations have no names, but an order.
    """
    if not any(map(_is_first, layers)):
        return layers
    names = {name: _ours(name) for name in layers}
    found: Layers = {}
    activations = _activations(filter(None, names.values()))
    for theirs, (kind, config) in layers.items():
        ours = names[theirs]
        kind, config = _keras_2(kind, config)
        if kind == "ZeroPadding2D" and "conv2_block1_1_conv" not in found:
            ours = "pool1_pad" if "conv1_conv" in found else "conv1_pad"
        elif kind == "MaxPooling2D" and "conv2_block1_1_conv" not in found:
            ours = "pool1_pool"
        elif kind in ACTIVATIONS:
            ours = next(activations, None)
        found[ours or theirs] = kind, config
    if next(activations, None):
        raise ValueError("it has fewer activations than a network of its units")
    return found


def _ours(layer: str) -> str | None:
    """Our name of a convolution or norm."""
    if layer in ("conv1", "bn_conv1"):
        return {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}[layer]
    match = _BRANCH.fullmatch(layer)
    if not match or match["kind"] == "scale":
        return None
    kind = {"res": "conv", "bn": "bn"}[match["kind"]]
    return f"conv{int(match['stage'])}_block{number(match['unit']) + 1}_{_BRANCHES[match['branch']]}_{kind}"


def _activations(names: Iterable[str]) -> Iterator[str]:
    """Our names of the activations in a network with these convolutions and norms, in order."""
    yield "conv1_relu"
    units: dict[str, int] = {}
    for name in names:
        if match := UNIT_CONV.fullmatch(name):
            unit = f"{match[1]}_block{match[2]}"
            units[unit] = max(int(match[3]), units.get(unit, 0))
    for unit, convs in units.items():
        yield from (f"{unit}_{i}_relu" for i in range(1, convs))
        yield f"{unit}_out"


def _keras_2(kind: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A layer as Keras 2 has it, of Keras 1's or later."""
    if kind == "ZeroPadding2D" and not isinstance(config["padding"][0], list):
        return kind, config | {"padding": [[each, each] for each in config["padding"][:2]]}
    if kind == "MaxPooling2D" and "border_mode" in config:
        return kind, config | {"padding": config["border_mode"]}
    if kind != "Convolution2D":
        return kind, config
    return "Conv2D", config | {
        "filters": config["nb_filter"],
        "kernel_size": [config["nb_row"], config["nb_col"]],
        "strides": config["subsample"],
        "padding": config["border_mode"],
        "dilation_rate": [1, 1],
        "use_bias": config["bias"],
    }
