"""Rebuilds a model with feature maps in the other data format."""

from collections.abc import Sequence
from math import prod
from typing import Any

import keras
from keras import layers

from keras_resnet.models.functional import Rewriter, copy_layer, pad_operation, read_graph

_SPATIAL = (
    *(layers.Conv2D, layers.DepthwiseConv2D, layers.ZeroPadding2D, layers.Cropping2D),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D),
)
_NORMS = (layers.BatchNormalization, layers.GroupNormalization)
_POINTWISE = (
    *(layers.Activation, layers.ReLU, layers.Identity, layers.Dropout),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
)
_ACTIVATIONS = ("linear", "relu", "relu6", "elu", "gelu", "silu", "hard_silu", "sigmoid", "hard_sigmoid", "tanh")
_OTHER = {"channels_first": "channels_last", "channels_last": "channels_first"}
_PERMUTATIONS = {"channels_first": (3, 1, 2), "channels_last": (2, 3, 1)}  # to it
_AXES = {"channels_first": 1, "channels_last": 3}  # of channels


def to_data_format(model: keras.Model, data_format: str) -> keras.Model:
    """Makes a model of the same function and weights, whose feature maps are of a data format.

    PyTorch computes channels_first, and does it best on memory that is laid out channels_last, which `Permute` gives
    for nothing: as a view. TensorFlow on a CPU wants channels_last. Layers that work on one axis of their own keep it,
    between two `Permute`s. `keras.ops.pad` moves its widths with the axes of a map. Convolutions take over the ReLUs
    that follow them. Outputs keep their names.

    Args:
        model: with a graph.
        data_format: "channels_first" or "channels_last".
    """
    return _ToDataFormat(model, data_format).rewrite(model)


class _ToDataFormat(Rewriter):
    """Turns what works on maps; of a map that comes out, both formats are kept for what takes it."""

    def __init__(self, model: keras.Model, data_format: str) -> None:
        super().__init__()
        graph = read_graph(model)
        ends = {id(layer): layer for layer in graph.ends}
        pairs = [(relu, conv) for relu, conv in graph.followers() if id(relu) not in ends and _joins(relu, conv)]
        self.data_format = data_format
        self.relus, self.convs = {id(relu) for relu, _ in pairs}, {id(conv) for _, conv in pairs}
        may_turn = [layer for layer in ends.values() if _turns(layer, data_format) or _may_flow(layer)]
        self.names: dict[int, str | None] = {id(layer): layer.name for layer in may_turn}  # for what comes after them
        self.taken = {call.layer.name for call in graph.calls}
        self.maps: dict[int, tuple[Any, Any]] = {}  # each in the other format and in this, by the id of the former

    def make(self, layer: Any) -> Any:
        """Returns a layer of the data format, with the ReLU that it takes over, under a name that is free."""
        changes = _turned(layer, self.data_format) if _turns(layer, self.data_format) else {}
        changes |= {"activation": "relu"} if id(layer) in self.convs else {}
        changes |= {"name": self._free(f"{layer.name}_inside")} if id(layer) in self.names else {}
        return copy_layer(layer, **changes)

    def call(self, old: Any, new: Any, *args: Any, **options: Any) -> Any:
        """Returns a map in the other format, turned back from what a turned layer makes of maps in this."""
        if not args and "inputs" in options:
            args = (options.pop("inputs"),)
        if id(old) in self.relus:
            return args[0]
        parts = args[0] if args and isinstance(args[0], (list, tuple)) else args[:1]
        flows = _may_flow(old) and parts and all(id(part) in self.maps for part in parts)
        if not (_turns(old, self.data_format) or flows):
            return self._named(new(*args, **options), old)
        if type(old) is pad_operation():
            new = copy_layer(new, pad_width=_in_order(new.pad_width, self.data_format))
        # a vector that becomes a map of one pixel is in no format yet
        inputs = parts if type(old) is layers.Reshape else [self._in_format(part) for part in parts]
        y = new(inputs if isinstance(args[0], (list, tuple)) else inputs[0], *args[1:], **options)
        if len(y.shape) != 4:
            return self._named(y, old)
        x = _permuted(y, _PERMUTATIONS[_OTHER[self.data_format]], self._name_of(old))
        self.maps[id(x)] = x, y
        return x

    def _in_format(self, x: Any) -> Any:
        """Returns a map in this format."""
        return self.maps[id(x)][1] if id(x) in self.maps else _permuted(x, _PERMUTATIONS[self.data_format])

    def _named(self, y: Any, old: Any) -> Any:
        """Returns an output under the name of the layer that gave it before."""
        return layers.Identity(dtype=y.dtype, name=self._name_of(old))(y) if id(old) in self.names else y

    def _name_of(self, old: Any) -> str | None:
        """Returns the name for what comes after a layer; a second call's is Keras' choice."""
        name = self.names.get(id(old))
        self.names.update({id(old): None} if name else {})
        return name

    def _free(self, name: str) -> str:
        """Returns a name that no layer has."""
        return self._free(f"{name}_inside") if name in self.taken else name


def _turns(layer: Any, data_format: str) -> bool:
    """Whether a layer is one over maps of the other data format, and could be of this."""
    channels = _AXES[_OTHER[data_format]]
    if type(layer) in _NORMS:
        return bool(layer.input_spec.ndim == 4 and layer.axis % 4 == channels)
    if type(layer) is layers.Reshape:
        return len(layer.target_shape) == 3 and prod(layer.target_shape) == layer.target_shape[channels - 1] > 1
    return type(layer) in _SPATIAL and layer.data_format == _OTHER[data_format] and _elementwise(layer)


def _may_flow(layer: Any) -> bool:
    """Whether what a layer makes of maps in one data format, it makes of them in the other."""
    return (type(layer) in _POINTWISE and _elementwise(layer)) or (
        type(layer) is pad_operation() and len(layer.pad_width) == 4
    )


def _elementwise(layer: Any) -> bool:
    """Whether a layer's activation, if it has one, treats each number alone; and its dropout, if it is one."""
    config = layer.get_config()
    return config.get("activation", "linear") in _ACTIVATIONS and config.get("noise_shape") is None


def _joins(relu: Any, conv: Any) -> bool:
    """Whether two layers are a ReLU and a convolution that could apply it."""
    is_relu = type(relu) is layers.Activation and relu.activation is keras.activations.relu
    fits = type(conv) is layers.Conv2D and conv.activation in (None, keras.activations.linear)
    return is_relu and fits and relu.compute_dtype == conv.compute_dtype


def _turned(layer: Any, data_format: str) -> dict[str, Any]:
    """Returns what of a layer's config says that maps are of a data format."""
    if type(layer) is layers.Reshape:
        return {"target_shape": _in_order((None, *layer.target_shape), data_format)[1:]}
    return {"axis": _AXES[data_format]} if type(layer) in _NORMS else {"data_format": data_format}


def _in_order(sides: Sequence[Any], data_format: str) -> list[Any]:
    """Puts what belongs to the four axes of a map of the other data format in the order of this."""
    return [sides[axis] for axis in (0, *_PERMUTATIONS[data_format])]


def _permuted(x: Any, axes: tuple[int, ...], name: str | None = None) -> Any:
    """Returns a map with its axes in another order."""
    return layers.Permute(axes, dtype=x.dtype, name=name)(x)
