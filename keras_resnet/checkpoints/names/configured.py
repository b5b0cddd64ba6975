"""The config of a model whose layers another library named, by our names: pads, pools and activations, too."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from keras_resnet.architecture.detect import HEAD, IN_FRONT, READS, UNIT_CONV, Layers

ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU", "Softplus", "Swish")
_INPUT = "InputLayer"
_SCALES = ("Rescaling", "Normalization")  # in front of a ResNet-RS, whose own they are
_FARTHEST = 8  # layers from the end of a residual branch to what follows the sum


class _Graph:
    """The layers of a config, and which read which."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.readers: defaultdict[str, list[str]] = defaultdict(list)
        for name, (_, config) in layers.items():
            for read in config.get(READS, ()):
                self.readers[read].append(name)

    def kind(self, name: str) -> str:
        """The class of a layer; "" if there is none of the name."""
        return self.layers.get(name, ("", {}))[0]

    def read_by(self, name: str, kinds: Sequence[str] = ()) -> str:
        """The layer that a layer reads, the nearest that is of none of these kinds."""
        for _ in range(_FARTHEST):
            read = self.layers[name][1].get(READS, ())
            name = read[0] if read else ""
            if self.kind(name) not in kinds:
                break
        return name

    def reader(self, name: str, kinds: Sequence[str]) -> str:
        """The first layer of some kinds that reads a layer; "" if none does."""
        return next((each for each in self.readers[name] if self.kind(each) in kinds), "")

    def sum_behind(self, name: str) -> str:
        """The sum in which a residual branch ends."""
        for _ in range(_FARTHEST):
            if found := self.reader(name, ("Add",)):
                return found
            name = self.reader(name, ("Multiply", "Dropout", "Activation"))
        raise ValueError("a block without a sum")


def by_our_names(layers: Layers, named: Mapping[str, Sequence[str]]) -> Layers:
    """Returns a network's layers by our names.

    Args:
        layers: of the model.
        named: what layers with variables are called in it, by our names; a grouped convolution may be several.

    Raises:
        KeyError, TypeError, ValueError: if the layers are of no such network.
    """
    graph, found = _Graph(layers), dict[str, tuple[str, dict[str, Any]]]()
    for ours, theirs in named.items():
        found[ours] = _joined([layers[each] for each in theirs])
    for ours, theirs in named.items():
        base, _, end = ours.rpartition("_")
        if end == "bn":
            if relu := graph.reader(theirs[0], ACTIVATIONS):
                found[f"{base}_relu"] = layers[relu]
        elif "_se_" in ours:
            gate = f"{base}_relu" if base.endswith("_1") else f"{base.removesuffix('_2')}_sigmoid"
            own = layers[theirs[0]][1].get("activation", "linear")
            behind = graph.reader(theirs[0], ACTIVATIONS)
            found[gate] = layers[behind] if own == "linear" and behind else ("Activation", {"activation": own})
        elif end == "conv":
            read = graph.read_by(theirs[0], ("Lambda",))
            for kind, part in (("ZeroPadding2D", "pad"), ("AveragePooling2D", "pool")):
                if graph.kind(read) == kind:
                    found[f"{base}_{part}"] = layers[read]
    _find_pool(graph, named, found)
    ends = _find_sums(graph, named, found)
    _find_borders(graph, named, found, ends)
    return found


def _joined(groups: Sequence[tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    """One convolution for those of groups, which must be alike."""
    kind, config = groups[0]
    if len(groups) == 1:
        return kind, config
    settings = ("filters", "kernel_size", "strides", "dilation_rate", "use_bias", "padding")
    if any(each[key] != config[key] for _, each in groups for key in settings):
        raise ValueError("groups that differ")
    return kind, config | {"filters": config["filters"] * len(groups), "groups": len(groups)}


def _find_pool(graph: _Graph, named: Mapping[str, Sequence[str]], found: Layers) -> None:
    """Names the stem's max pool, and the zeros in front of it."""
    stem = [theirs[0] for ours, theirs in named.items() if ours.startswith("conv1_") and ours.endswith("_bn")]
    for norm in stem[-1:]:
        relu = graph.reader(norm, ACTIVATIONS)
        pad = graph.reader(relu, ("ZeroPadding2D",))
        if pool := graph.reader(pad or relu, ("MaxPooling2D",)):
            found["pool1_pool"] = graph.layers[pool]
            if pad:
                found["pool1_pad"] = graph.layers[pad]


def _find_sums(graph: _Graph, named: Mapping[str, Sequence[str]], found: Layers) -> list[str]:
    """Names what follows the sum of each unit, in v1 its activation; returns the sums."""
    preactivated = "post_bn" in named or any("_preact_" in ours for ours in named)
    last: dict[str, tuple[int, str]] = {}
    for ours, theirs in named.items():
        if match := UNIT_CONV.fullmatch(ours):
            unit, number = f"{match[1]}_block{match[2]}", int(match[3])
            behind = theirs if preactivated else named[f"{unit}_{number}_bn"]
            last[unit] = max(last.get(unit, (0, "")), (number, behind[0]))
    sums = []
    for unit, (_, branch) in last.items():
        sums.append(graph.sum_behind(branch))
        relu = graph.reader(sums[-1], ACTIVATIONS)
        if not preactivated and not relu:
            raise ValueError("a block without an activation")
        found[f"{unit}_out"] = graph.layers[sums[-1] if preactivated else relu]
    return sums


def _find_borders(graph: _Graph, named: Mapping[str, Sequence[str]], found: Layers, sums: Sequence[str]) -> None:
    """Notes what lies between images and network, and between network and classifier, that ours has not."""
    first = next((named[each][0] for each in ("data_bn", "conv1_conv", "conv1_1_conv") if each in named), None)
    if first:
        front = graph.read_by(first, ("ZeroPadding2D",))
        own = graph.read_by(first, ("ZeroPadding2D", *_SCALES))
        both = graph.kind(front) == _SCALES[1] and graph.kind(graph.read_by(front)) == _SCALES[0]
        if graph.kind(own if both else front) != _INPUT:
            found[IN_FRONT] = graph.kind(front), {}
    if "predictions" in named and sums:
        pool = graph.read_by(named["predictions"][0], ("Dropout",))
        end = graph.read_by(pool, ACTIVATIONS) if pool else ""
        if graph.kind(pool) != "GlobalAveragePooling2D" or end not in (sums[-1], *named.get("post_bn", ())):
            found[HEAD] = graph.kind(pool), {}
