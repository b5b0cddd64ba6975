"""A model laid out anew: its feature maps in the other data format, between inputs and outputs as they were."""

from typing import Any

import keras
from keras import layers

from keras_resnet.models.functional import alike, read, rebuild

_SPATIAL = (
    *(layers.Conv2D, layers.DepthwiseConv2D, layers.ZeroPadding2D, layers.Cropping2D),
    *(layers.MaxPooling2D, layers.AveragePooling2D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D),
)
_POINTWISE = (
    *(layers.Activation, layers.ReLU, layers.Identity, layers.Dropout),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
)
_ACTIVATIONS = ("linear", "relu", "relu6", "elu", "gelu", "silu", "hard_silu", "sigmoid", "hard_sigmoid", "tanh")
_OTHER = {"channels_first": "channels_last", "channels_last": "channels_first"}
_PERMUTATIONS = {"channels_first": (3, 1, 2), "channels_last": (2, 3, 1)}  # to it
_AXES = {"channels_first": 1, "channels_last": 3}  # of channels


def relaid(model: keras.Model, data_format: str) -> keras.Model:
    """Makes a model of the same function and weights, whose feature maps are of a data format.

    PyTorch computes channels_first, and does it best on memory that is laid out channels_last, which `Permute` gives
    for nothing: as a view. TensorFlow on a CPU wants channels_last. Layers that work on one axis of their own keep it,
    between two `Permute`s. Convolutions take over the ReLUs that follow them. Outputs keep their names.

    Args:
        model: with a graph.
        data_format: "channels_first" or "channels_last".
    """
    inner, outer = _PERMUTATIONS[data_format], _PERMUTATIONS[_OTHER[data_format]]
    graph = read(model)
    ends = {id(layer): layer for layer in graph.ends}
    pairs = [(relu, conv) for relu, conv in graph.followers() if id(relu) not in ends and _joins(relu, conv)]
    relus, convs = {id(relu) for relu, _ in pairs}, {id(conv) for _, conv in pairs}
    may_turn = [layer for layer in ends.values() if _turns(layer, data_format) or type(layer) in _POINTWISE]
    names: dict[int, str | None] = {id(layer): layer.name for layer in may_turn}  # for what comes after them
    maps: dict[int, tuple[Any, Any]] = {}  # each in the other format and in this, by the id of the former

    def make(layer: Any) -> Any:
        changes = _turned(layer, data_format) if _turns(layer, data_format) else {}
        changes |= {"activation": "relu"} if id(layer) in convs else {}
        changes |= {"name": free(f"{layer.name}_inside")} if id(layer) in names else {}
        return alike(layer, **changes) if changes else None

    def free(name: str) -> str:
        return free(f"{name}_inside") if any(call.layer.name == name for call in graph.calls) else name

    def named(y: Any, old: Any) -> Any:
        return layers.Identity(dtype=y.dtype, name=name_of(old))(y) if id(old) in names else y

    def name_of(old: Any) -> str | None:
        name = names.get(id(old))
        names.update({id(old): None} if name else {})  # a second call's is Keras' choice
        return name

    def moved(x: Any) -> Any:
        return maps[id(x)][1] if id(x) in maps else _permuted(x, inner)

    def call(old: Any, new: Any, *args: Any, **options: Any) -> Any:
        if not args and "inputs" in options:
            args = (options.pop("inputs"),)
        if id(old) in relus:
            return args[0]
        parts = args[0] if args and isinstance(args[0], (list, tuple)) else args[:1]
        flows = type(old) in _POINTWISE and _elementwise(old) and parts and all(id(part) in maps for part in parts)
        if not (_turns(old, data_format) or flows):
            return named(new(*args, **options), old)
        inputs = [moved(part) for part in parts]
        y = new(inputs if isinstance(args[0], (list, tuple)) else inputs[0], *args[1:], **options)
        if len(y.shape) != 4:
            return named(y, old)
        x = _permuted(y, outer, name_of(old))
        maps[id(x)] = x, y
        return x

    return rebuild(model, make, call)


def _turns(layer: Any, data_format: str) -> bool:
    """Whether a layer is one over maps of the other data format, and could be of this."""
    if type(layer) is layers.BatchNormalization:
        return bool(layer.input_spec.ndim == 4 and layer.axis % 4 == _AXES[_OTHER[data_format]])
    return type(layer) in _SPATIAL and layer.data_format == _OTHER[data_format] and _elementwise(layer)


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
    """What of a layer's config says that maps are of a data format."""
    norm = type(layer) is layers.BatchNormalization
    return {"axis": _AXES[data_format]} if norm else {"data_format": data_format}


def _permuted(x: Any, axes: tuple[int, ...], name: str | None = None) -> Any:
    return layers.Permute(axes, dtype=x.dtype, name=name)(x)
