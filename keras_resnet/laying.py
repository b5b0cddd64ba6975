"""A model laid out anew: channels_first inside, over views of channels_last inputs and outputs, as PyTorch likes it."""

from typing import Any

import keras
from keras import layers

from keras_resnet.graphs import read, rebuild

_SPATIAL = (
    *(layers.Conv2D, layers.DepthwiseConv2D, layers.ZeroPadding2D, layers.Cropping2D),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D),
)
_POINTWISE = (
    *(layers.Activation, layers.ReLU, layers.Identity, layers.Dropout),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
)
_ACTIVATIONS = ("linear", "relu", "relu6", "elu", "gelu", "silu", "hard_silu", "sigmoid", "hard_sigmoid", "tanh")


def channels_first_inside(model: keras.Model) -> keras.Model:
    """Makes a model of the same function and weights, whose feature maps are channels_first.

    PyTorch computes so, and does it best on memory that is laid out channels_last, which `Permute` gives for nothing:
    as a view. Layers that work on one axis of their own keep it, between two such views.
    """
    graph = read(model)
    ends = set(map(id, graph.ends))
    pairs = [(relu, conv) for relu, conv in graph.followers() if id(relu) not in ends and _joins(relu, conv)]
    relus, convs = {id(relu) for relu, _ in pairs}, {id(conv) for _, conv in pairs}
    maps: dict[int, tuple[Any, Any]] = {}  # each as channels_last and channels_first, by the id of the former

    def make(layer: Any) -> Any:
        changes = _turned(layer) if _turns(layer) else {}
        changes |= {"activation": "relu"} if id(layer) in convs else {}
        return type(layer).from_config(layer.get_config() | changes) if changes else None

    def first(x: Any, name: str) -> Any:
        return maps[id(x)][1] if id(x) in maps else _permuted(x, (3, 1, 2), f"{name}_first")

    def call(old: Any, new: Any, *args: Any, **options: Any) -> Any:
        if id(old) in relus:
            return args[0]
        parts = args[0] if args and isinstance(args[0], (list, tuple)) else args[:1]
        flows = type(old) in _POINTWISE and _elementwise(old) and all(id(part) in maps for part in parts)
        if not (_turns(old) or flows):
            return new(*args, **options)
        moved = [first(part, new.name) for part in parts]
        y = new(moved if isinstance(args[0], (list, tuple)) else moved[0], *args[1:], **options)
        if len(y.shape) != 4:
            return y
        x = _permuted(y, (2, 3, 1), f"{new.name}_last")
        maps[id(x)] = x, y
        return x

    return rebuild(model, make, call)


def _turns(layer: Any) -> bool:
    """Whether a layer is one over maps that are channels_last, and could be channels_first."""
    if type(layer) is layers.BatchNormalization:
        return bool(layer.input_spec.ndim == 4 and layer.axis % 4 == 3)
    return type(layer) in _SPATIAL and layer.data_format == "channels_last" and _elementwise(layer)


def _elementwise(layer: Any) -> bool:
    """Whether a layer's activation, if it has one, treats each number alone; and its dropout, if it is one."""
    config = layer.get_config()
    return config.get("activation", "linear") in _ACTIVATIONS and config.get("noise_shape") is None


def _joins(relu: Any, conv: Any) -> bool:
    """Whether two layers are a ReLU and a convolution that could apply it."""
    is_relu = type(relu) is layers.Activation and relu.activation is keras.activations.relu
    fits = type(conv) is layers.Conv2D and conv.activation is keras.activations.linear
    return is_relu and fits and relu.compute_dtype == conv.compute_dtype


def _turned(layer: Any) -> dict[str, Any]:
    """What of a layer's config says that maps are channels_first."""
    return {"axis": 1} if type(layer) is layers.BatchNormalization else {"data_format": "channels_first"}


def _permuted(x: Any, axes: tuple[int, ...], name: str) -> Any:
    return layers.Permute(axes, dtype=x.dtype, name=name)(x)
