"""image-classifiers (`classification_models`), the backbones of Keras' `segmentation_models`.

Its names are MXNet's, but those of grouped convolutions, of which there is a layer for each group, and of gates are
numbers that Keras counts in a process. SENet's networks have nothing but such numbers. Where a layer without a name
belongs, its place in the file's list of layers tells: numbers begin anywhere, and are not in the list's order.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np

from keras_resnet.architecture.lineages import KERAS_SENET, KERAS_SENET_1X1
from keras_resnet.architecture.plans import NORM_VARIABLES
from keras_resnet.checkpoints.families.family import LONGEST, Family, Shape
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.names.assembled import Assembled, Part
from keras_resnet.checkpoints.open import Source

IMAGE_CLASSIFIERS = replace(KERAS, origin="image-classifiers", styles=(KERAS_SENET.style, KERAS_SENET_1X1.style))
_UNIT = re.compile(r"stage(?P<stage>\d{1,3})_unit(?P<unit>\d{1,9})_(?P<part>conv|bn|sc)(?P<number>\d?)(?P<norm>_bn)?")
_CUT = "psp_"  # what layers of a PSPNet are called, behind a part of a network
_COUNTED = re.compile(r"(conv2d|batch_normalization|dense)(_\d{1,9})?")
_TOP = {"bn_data": "data_bn", "conv0": "conv1_conv", "bn0": "conv1_bn", "bn1": "post_bn", "fc1": "predictions"}
_HEAD = "fc1"
_MOST_GROUPS = 64
_NORM = set(NORM_VARIABLES["batch"])
_CONV, _GATE = {"kernel"}, {"kernel", "bias"}


@dataclass(frozen=True)
class Layer:
    """A layer of a file that has variables.

    Attributes:
        name: with the scope in front.
        variables: their shapes by name.
    """

    name: str
    variables: Mapping[str, Shape]

    @property
    def kernel(self) -> Shape:
        """Of a convolution of two dimensions; () of anything else."""
        shape = self.variables.get("kernel", ())
        return shape if len(shape) == 4 else ()

    @property
    def own(self) -> str:
        """Its name alone."""
        return self.name.rpartition("/")[2]

    def is_conv(self, size: int = 0) -> bool:
        """Whether it is a convolution without bias, of this size if one is given."""
        return self.variables.keys() == _CONV and bool(self.kernel) and size in (0, self.kernel[0])

    @property
    def is_gate(self) -> bool:
        """Whether it can be one of a gate's two convolutions."""
        return self.variables.keys() == _GATE and self.kernel[:2] == (1, 1)

    @property
    def is_norm(self) -> bool:
        """Whether it is a batch norm."""
        return self.variables.keys() == _NORM


Named = dict[str, tuple[Layer, ...]]  # the layers that one of ours is made of, by our name


def plain(source: Source) -> Source:
    """Returns a file with our names of the networks of image-classifiers that it holds, grouped convolutions joined.

    Raises:
        ValueError: if where a network ends in it can't be told.
    """
    names: dict[str, str] = {}
    parts: dict[str, Part] = {}
    families: dict[str, Family] = {}
    called: dict[str, dict[str, list[str]]] = {}
    for scope, layers in _scopes(source).items():
        if any(layer.own == "bn_data" for layer in layers):
            found = _named(layers, source)
        else:
            found = _counted(layers, source) if is_ordered(source) else {}
        if not found:
            continue
        families[scope] = IMAGE_CLASSIFIERS
        called[scope] = {ours: [layer.own for layer in theirs] for ours, theirs in found.items()}
        for ours, theirs in found.items():
            if len(theirs) == 1:
                names |= {f"{scope}{ours}/{each}": f"{theirs[0].name}/{each}" for each in theirs[0].variables}
            else:
                *shape, filters = theirs[0].kernel
                kernels = tuple(f"{layer.name}/kernel" for layer in theirs)
                parts[f"{scope}{ours}/kernel"] = Part(kernels, (*shape, filters * len(theirs)), _joined)
    return Assembled(source, names, parts, families, called) if families else source


def is_ordered(source: Source) -> bool:
    """Whether a file lists its layers and their variables."""
    return len(getattr(source, "order", ())) > 0


def _joined(*kernels: Any) -> Any:
    """The kernel of a grouped convolution, of those of its groups."""
    return np.concatenate(kernels, -1)


def _scopes(source: Source) -> dict[str, list[Layer]]:
    """The layers of an older file of Keras, in its order, by scope; none of others."""
    variables: defaultdict[str, dict[str, Shape]] = defaultdict(dict)
    order = (getattr(source, "order", ()) or source.shapes) if getattr(source, "by_layer", False) else ()
    for name in order:
        if len(name) < LONGEST and name in source.shapes:
            layer, _, variable = name.rpartition("/")
            variables[layer][variable] = source.shapes[name]
    scopes: defaultdict[str, list[Layer]] = defaultdict(list)
    for name, held in variables.items():
        scope, separator, _ = name.rpartition("/")
        scopes[f"{scope}{separator}"].append(Layer(name, held))
    return scopes


def _named(layers: Sequence[Layer], source: Source) -> Named:
    """The layers of MXNet's networks, by our names; a run of numbered convolutions is of the unit in which it stands.

    Of a frozen network in a model, convolutions are listed behind all norms, but in their order.
    """
    if any(layer.own.startswith(_CUT) for layer in layers):
        raise ValueError(
            f"{str(source.path)!r} is of a PSPNet of segmentation_models, which has only the first stages of its "
            "network. Take a file of the whole network: of a Unet, an FPN, or the network alone."
        )
    preactivated = not any(layer.own.endswith("_sc_bn") for layer in layers)  # of MXNet's v1
    known = [layer.own for layer in layers if layer.kernel or layer.own in _TOP or _UNIT.fullmatch(layer.own)]
    found: Named = {}
    for layer in layers:
        match = _UNIT.fullmatch(layer.own)
        if layer.own == _HEAD and len(known) < len(layers):  # a user's own, maybe, behind other layers
            continue
        if ours := _ours(match, preactivated) if match else _TOP.get(layer.own):
            found[ours] = (layer,)
    run: list[Layer] = []
    before: re.Match[str] | None = None
    for conv in filter(lambda layer: layer.kernel, layers if is_ordered(source) else ()):
        if _COUNTED.fullmatch(conv.own):
            run.append(conv)
            continue
        found |= _numbered(run, before)
        run, before = [], _UNIT.fullmatch(conv.own)
    return found | _numbered(run, before)


def _ours(match: re.Match[str], preactivated: bool) -> str | None:
    """Our name of a unit's layer: in v2, norms stand before the convolutions of their number."""
    unit, number = _block(match), int(match["number"] or 0)
    if match["part"] != "bn":
        return f"{unit}_{number}_{'bn' if match['norm'] else 'conv'}"
    if not preactivated:
        return f"{unit}_{number}_bn"
    return f"{unit}_{number - 1}_bn" if number > 1 else f"{unit}_preact_bn"


def _block(match: re.Match[str]) -> str:
    """Our name of a unit."""
    return f"conv{int(match['stage']) + 1}_block{int(match['unit'])}"


def _numbered(run: Sequence[Layer], before: re.Match[str] | None) -> Named:
    """The convolutions that only have numbers behind one of a unit: a gate's two, or those of groups."""
    if not (run and before and before["part"] == "conv"):
        return {}
    unit = _block(before)
    if len(run) == 2 and all(layer.is_gate for layer in run):
        return {f"{unit}_se_1_conv": (run[0],), f"{unit}_se_2_conv": (run[1],)}
    same = len({layer.kernel for layer in run}) == 1 and all(layer.is_conv() for layer in run)
    return {f"{unit}_2_conv": tuple(run)} if before["number"] == "1" and len(run) > 1 and same else {}


def _counted(layers: Sequence[Layer], source: Source) -> Named:
    """The layers of SENet's networks, by our names; none if no unit of these comes behind a stem.

    Raises:
        ValueError: if there are other layers behind the network, as in a segmentation model.
    """
    read = _Reader(list(takewhile(lambda layer: _COUNTED.fullmatch(layer.own), layers)))
    first = read.conv(7)
    stem = [first] if first else [read.conv(3) for _ in range(3)]
    if not all(stem):
        return {}
    found: Named = {}
    for number, taken in enumerate(stem, 1):
        found |= _with_norm(f"conv1_{number}" if len(stem) > 1 else "conv1", taken)
    stage, index = 1, 0
    while unit := read.unit():
        stage, index = (stage + 1, 1) if "0_conv" in unit else (stage, index + 1)
        found |= {f"conv{stage}_block{index}_{part}": held for part, held in unit.items()}
    if stage == 1:
        return {}
    rest = layers[read.at :]
    if len(rest) == 1 and rest[0].variables.keys() == _GATE and _COUNTED.fullmatch(rest[0].own):
        found["predictions"] = (rest[0],)
    elif conv := next((layer for layer in rest if layer.kernel), None):
        raise ValueError(
            f"{str(source.path)!r} begins as an SE-ResNet, SE-ResNeXt or SENet of image-classifiers, whose layers have "
            f"nothing but numbers, and goes on with others, such as {conv.name!r:.99}, as segmentation models do. "
            "Where the network ends can't be told. Save the weights of the backbone alone, in the program that made "
            "the file: keras.Model(model.input, model.get_layer(<its last layer>).output).save_weights('backbone.h5')."
        )
    return found


class _Reader:
    """Layers that are taken one by one, as long as they are what is expected."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers, self.at = layers, 0

    def ahead(self, offset: int = 0) -> Layer | None:
        """The next layer, or one behind it; None at the end."""
        return self.layers[self.at + offset] if self.at + offset < len(self.layers) else None

    def conv(self, size: int = 0, most: int = 1) -> tuple[Layer, ...]:
        """Takes a convolution of this size, or several of one shape, and the norm behind; () if they aren't next."""
        run: list[Layer] = []
        while len(run) < most and (layer := self.ahead(len(run))) and layer.is_conv(size):
            if run and layer.kernel != run[0].kernel:
                break
            run.append(layer)
        norm = self.ahead(len(run))
        if not run or norm is None or not norm.is_norm:
            return ()
        self.at += len(run) + 1
        return (*run, norm)

    def unit(self) -> Named:
        """Takes a unit, by the ends of our names; {} if none is next."""
        start, found = self.at, Named()
        for number, size, most in ((1, 1, 1), (2, 3, _MOST_GROUPS), (3, 1, 1)):
            found |= _with_norm(str(number), self.conv(size, most))
        first, second = self.ahead(), self.ahead(1)
        if len(found) < 6 or not (first and second and first.is_gate and second.is_gate):
            self.at = start
            return {}
        self.at += 2
        found |= {"se_1_conv": (first,), "se_2_conv": (second,)}
        return found | _with_norm("0", self.conv()) if self._projects() else found

    def _projects(self) -> bool:
        """Whether a projection comes next, and no unit, in which a 3x3 stands behind the first 1x1."""
        layer, third = self.ahead(), self.ahead(2)
        return bool(layer and layer.is_conv() and (layer.kernel[0] > 1 or not (third and third.is_conv(3))))


def _with_norm(name: str, taken: tuple[Layer, ...]) -> Named:
    """A convolution, of several layers if it is grouped, and its norm."""
    return {f"{name}_conv": taken[:-1], f"{name}_bn": taken[-1:]} if taken else {}
