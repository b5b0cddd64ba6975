"""Outputs of a classifier: probabilities or logits, as its graph says, and the probabilities that they mean."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from keras_resnet.models.functional import has_graph

Kind = Literal["softmax", "sigmoid", "logits"]

_ROUNDING = 1e-2  # of halves, which a last layer may have cast to float32
_WITH_WEIGHTS = tuple(
    getattr(layers, name)
    for name in ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "SeparableConv2D", "DepthwiseConv2D")
)
_PASSING = (layers.Identity, layers.Dropout, layers.SpatialDropout2D)  # where nothing is trained
_MEANS = (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.AveragePooling2D)
_MAXIMA = (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.MaxPooling2D)
_OF_ACTIVATIONS: dict[Any, Kind] = {
    keras.activations.softmax: "softmax",
    keras.ops.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
    keras.ops.sigmoid: "sigmoid",
    keras.activations.log_softmax: "logits",  # the softmax of which is the softmax
    keras.ops.log_softmax: "logits",
}
_OF_OPERATIONS: dict[str, Kind] = {"Softmax": "softmax", "LogSoftmax": "logits", "Sigmoid": "sigmoid"}


def outputs_of(model: keras.Model) -> Kind | None:
    """Returns the kind of a classifier's outputs, read from its graph: "softmax", "sigmoid" or "logits".

    None if the graph does not tell: for a model of your own class, with several outputs, a Lambda or another activation
    at the end. Layers at the end that do not change the kind are skipped: flattening, dropout, a mean over positions or
    of several such outputs.
    """
    if not has_graph(model) or len(model.outputs) != 1:
        return None
    return _kind(model.outputs[0], len(model.outputs[0].shape) - 1, ())


def probabilities(model: keras.Model, scores: Any, several: bool = False) -> np.ndarray[Any, Any]:
    """Turns the outputs of a classifier into probabilities of the classes.

    Args:
        model: the classifier.
        scores: its outputs, (N, outputs); an array or a tensor of the backend.
        several: whether an image may have several labels, each with a probability of its own.

    Returns:
        float32 (N, classes). A softmax and several sigmoids do not change. One sigmoid becomes two columns, of which it
        is the second, unless `several`. Logits become their softmax, or, if `several`, their sigmoid.

    Raises:
        ValueError: if the outputs are not finite; if the model does not tell their kind and they are not probabilities;
            or if the model has one output that is not a sigmoid.
    """
    raw = np.asarray(keras.ops.convert_to_numpy(scores)).astype("float64")
    if raw.ndim != 2:
        raise ValueError(f"`scores` must be of shape (N, outputs); received {raw.shape}.")
    kind = outputs_of(model)
    if several:
        return _of_labels(model, raw, kind)
    if raw.shape[1] == 1 and kind != "sigmoid":
        what = {"softmax": "a softmax, which is always 1 for one output", "logits": "no activation"}
        raise ValueError(
            f"`model`: {model.name!r} has one output with {what[kind] if kind else 'an unknown activation'}. For two "
            "classes, end the model in Dense(1, activation='sigmoid') or Dense(2, activation='softmax')."
        )
    if kind == "logits":
        with np.errstate(invalid="ignore"):  # the next check finds it
            raw = np.exp(raw - raw.max(1, keepdims=True))
            raw /= raw.sum(1, keepdims=True)
    elif kind == "sigmoid" and raw.shape[1] == 1:
        raw = np.concatenate([1 - raw, raw], 1)
    check_finite(model, raw)
    sums = raw.sum(1)
    if kind is None and not ((raw >= 0).all() and (np.abs(sums - 1) <= _ROUNDING).all()):
        raise ValueError(
            f"`model`: the outputs of {model.name!r} are not probabilities. They lie in [{raw.min():.4g}, "
            f"{raw.max():.4g}], and those of one image sum to {sums[np.abs(sums - 1).argmax()]:.4g} instead of 1. If "
            "they are logits, add keras.layers.Softmax() at the end of the model. Otherwise end it in a softmax, in a "
            "sigmoid (for two classes, or several labels per image) or in a Dense layer without activation."
        )
    return raw.astype("float32")


def _of_labels(model: keras.Model, raw: np.ndarray[Any, Any], kind: Kind | None) -> np.ndarray[Any, Any]:
    """The probability of each label."""
    check_finite(model, raw)
    if kind == "softmax":
        raise ValueError(
            f"`model`: {model.name!r} ends in a softmax, which is for one class an image. For several labels an image, "
            "end it in a sigmoid or in a Dense layer without activation."
        )
    if kind == "logits":
        raw = 0.5 * (1 + np.tanh(raw / 2))  # the sigmoid, which does not overflow
    if raw.size and not (raw.min() >= -_ROUNDING and raw.max() <= 1 + _ROUNDING):
        raise ValueError(
            f"`model`: the outputs of {model.name!r} are not probabilities; they lie in [{raw.min():.4g}, "
            f"{raw.max():.4g}]. End it in a sigmoid or in a Dense layer without activation."
        )
    return np.asarray(np.clip(raw, 0, 1), "float32")


def check_finite(model: keras.Model, raw: np.ndarray[Any, Any]) -> None:
    """Raises a `ValueError` for outputs that are not finite."""
    broken = ~np.isfinite(raw).all(1)
    if broken.any():
        raise ValueError(
            f"`model`: the outputs of {model.name!r} are not finite for {broken.sum()} of {len(raw)} images. Its "
            "weights are damaged, its training diverged, or the range of its dtype is too small."
        )


def count_classes(model: keras.Model) -> int | None:
    """Returns the number of classes of a classifier (two for one sigmoid), or None if its graph does not tell."""
    if not has_graph(model) or len(model.outputs) != 1 or len(model.outputs[0].shape) < 2:
        return None
    outputs: int | None = model.outputs[0].shape[-1]
    return 2 if outputs == 1 and outputs_of(model) == "sigmoid" else outputs


def _kind(tensor: Any, axis: int, around: Sequence[tuple[keras.Model, Sequence[Any]]]) -> Kind | None:
    """What a tensor's numbers are along an axis; `around`: the models that it lies in, each with what it is called on.

    Goes from each call to what it reads, until one tells.
    """
    largest = False
    while True:
        operation, call, place = getattr(tensor, "_keras_history", (None, 0, 0))
        if operation is None:
            return None
        arguments = operation._inbound_nodes[call].arguments
        reads = arguments.keras_tensors
        if has_graph(operation):
            tensor, around = operation.outputs[place], (*around, (operation, reads))
            continue
        if isinstance(operation, layers.InputLayer):
            if not around:
                return None
            *around, (model, given) = around
            tensor = next(value for own, value in zip(model.inputs, given, strict=True) if own is tensor)
            continue
        if _is_a(operation, layers.Average, layers.Add):
            kinds = {_kind(each, axis, around) for each in reads}
            found = kinds.pop() if len(kinds) == 1 else None
            return found if _is_a(operation, layers.Average) or found == "logits" else None
        if len(reads) != 1:
            return None
        last = len(tensor.shape) - 1
        kind = _told(operation, axis, last)
        if kind:
            return None if largest and kind == "softmax" else kind  # maxima of probabilities do not sum to 1
        before = _axis_before(operation, axis, reads[0].shape, tensor.shape)
        if before is None or arguments.kwargs.get("training"):
            return None
        largest |= _is_a(operation, *_MAXIMA)
        tensor, axis = reads[0], before


def _told(operation: Any, axis: int, last: int) -> Kind | None:
    """What an operation that has an activation, or is one, makes of its numbers along an axis."""
    kind: Kind | None
    if _is_a(operation, layers.SpectralNormalization):
        return _told(operation.layer, axis, last)
    if _is_a(operation, layers.TimeDistributed):
        frame = operation.layer
        if axis < 2:  # the frames' own
            return None
        return _kind(frame.outputs[0], axis - 1, ()) if has_graph(frame) else _told(frame, axis - 1, last - 1)
    if _is_a(operation, layers.Softmax):
        axes, kind = operation.axis, "softmax"
    elif _is_operation(operation, *_OF_OPERATIONS):
        axes, kind = getattr(operation, "axis", axis), _OF_OPERATIONS[type(operation).__name__]
    elif _is_a(operation, *_WITH_WEIGHTS, layers.Activation):
        function = operation.activation
        if isinstance(function, keras.Layer):  # as in Dense(2, activation=keras.layers.Softmax())
            return _told(function, axis, last)
        if function is keras.activations.linear and not _is_a(operation, layers.Activation):
            return "logits"
        kind = _OF_ACTIVATIONS.get(function)
        axes = axis if kind == "sigmoid" else last
    else:
        return None
    axes = axes if isinstance(axes, (list, tuple)) else [axes]
    return kind if [each % (last + 1) for each in axes if each is not None] == [axis] else None


def _axis_before(operation: Any, axis: int, before: Sequence[Any], after: Sequence[Any]) -> int | None:
    """Which axis of what an operation reads has the numbers that it passes on along an axis, if it changes none."""
    if _is_a(operation, *_PASSING) or _is_operation(operation, "Cast", "Identity"):
        return axis
    if _is_a(operation, layers.Activation) and operation.activation is keras.activations.linear:
        return axis
    if _is_a(operation, layers.Permute):
        return int(operation.dims[axis - 1]) if axis else None
    if _is_a(operation, *_MEANS, *_MAXIMA):
        channels = len(before) - 1 if operation.data_format == "channels_last" else 1
        return channels if axis == (channels if len(before) == len(after) else 1) else None
    if _is_a(operation, layers.Flatten, layers.Reshape) or _is_operation(operation, "Squeeze", "Reshape"):
        wide = [each for each, size in enumerate(before) if each and size != 1]
        if len(wide) <= 1:  # there is no other axis that they could be of
            return wide[0] if wide else len(before) - 1
        kept = axis == len(after) - 1 and after[-1] is not None and after[-1] == before[-1]
        return len(before) - 1 if kept else None
    return None


def _is_a(layer: Any, *kinds: type[keras.Layer]) -> bool:
    """Whether a layer is one of Keras', and computes as that does."""
    return any(isinstance(layer, kind) and type(layer).call is kind.call for kind in kinds)


def _is_operation(operation: Any, *names: str) -> bool:
    """Whether an operation is one of `keras.ops`, which has no public classes, by its name."""
    return type(operation).__module__.startswith("keras.src.ops.") and type(operation).__name__ in names
