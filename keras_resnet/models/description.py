"""What a trained model takes and returns, kept in its graph: task, names, resize, channels, value range, threshold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import keras

from keras_resnet.models.functional import as_functional, has_graph
from keras_resnet.utils.errors import check_choices, check_positive
from keras_resnet.utils.recursion import recursion_limit

__all__ = ["Description", "Resize", "Task", "description_in", "description_of", "with_description"]

Task = Literal["classes", "labels", "regression"]
Resize = Literal["stretch", "crop", "pad"]

_SETTINGS, _CLASSES, _TARGETS = "settings", "class_names", "targets"
_SEPARATOR = ">"  # between the words of a layer's name; TensorFlow allows it there


@dataclass(frozen=True)
class Description:
    """What a trained model takes and returns.

    Example:

        >>> keras_resnet.labels.Description(("cat", "dog"), task="labels", threshold=0.4).settings()
        {'task': 'labels', 'threshold': 0.4}

    Attributes:
        names: the names of its classes or labels, or of the numbers it predicts, in the order of its outputs.
        task: "classes": each image is of one class; "labels": each has any number of labels, each with a probability
            of its own; "regression": numbers.
        resize: how a picture comes to the model's size: "stretch"; "crop": scaled to cover it, then its centre; "pad":
            scaled to fit in, and framed by its own mean colour.
        channels: of the images that it takes.
        value_range: (low, high), the pixels of floating-point pictures that mean 0 and 255; None: it was trained on
            integers.
        threshold: of "labels": the probability from which on a label is predicted.
    """

    names: tuple[str, ...]
    task: Task = "classes"
    resize: Resize = "stretch"
    channels: int = 3
    value_range: tuple[float, float] | None = None
    threshold: float = 0.5

    def settings(self) -> dict[str, Any]:
        """Returns what is not the default, but for the names."""
        plain = Description(())
        held = {field.name: getattr(self, field.name) for field in fields(Description)[1:]}
        return {name: value for name, value in held.items() if value != getattr(plain, name)}

    def __post_init__(self) -> None:
        check_choices(self)
        check_positive("Description.channels", self.channels)
        if not 0 < self.threshold < 1:
            raise ValueError(f"`threshold` must be above 0 and below 1; received {self.threshold!r}.")


def with_description(model: keras.Model, description: Description) -> keras.Model:
    """Stores a description in a model, so that every file that it is saved to holds it.

    Example:

        description = keras_resnet.labels.Description(("cat", "dog", "horse"), resize="pad")
        keras_resnet.labels.with_description(model, description).save("animals.keras")

    It becomes the name of an `Identity` layer at the end, since a layer's name is the only text that stock layers keep.
    Characters that TensorFlow does not allow there are escaped as `\\uXXXX`. Keras' older `.h5` can't hold such a name
    of more than 64,512 bytes; a `.keras` file can.

    Args:
        model: a functional or Sequential model with one output. It does not change.
        description: replaces the one that the model has, if it has one.

    Returns:
        A functional model of the same layers.

    Raises:
        ValueError: if the model is not functional or Sequential, or has several outputs.
    """
    model = as_functional(model)
    if len(model.outputs) != 1:
        raise ValueError(
            f"`model` must have one output, the scores of the classes; {model.name!r} has {len(model.outputs)}."
        )
    scores = model.outputs[0]
    last, call, _ = scores._keras_history
    if description_in(last.name):
        scores = last._inbound_nodes[call].input_tensors[0]
    name = _SEPARATOR.join(map(_escaped, _words(description)))
    output = keras.layers.Identity(dtype="float32", name=name)(scores)
    with recursion_limit(len(model.layers)):
        return keras.Model(model.input, output, name=model.name)


def description_of(model: keras.Model) -> Description | None:
    """Returns the description that a model carries, or None.

    Example:

        >>> described = keras_resnet.labels.with_class_names(model, ["cat", "dog", "horse"])
        >>> keras_resnet.labels.description_of(described).task
        'classes'

    Args:
        model: any model; of one whose last layer is another model, that one's description is returned.
    """
    last = model
    while (has_graph(last) or isinstance(last, keras.Sequential)) and last.layers:
        last = last.layers[-1]
    return description_in(last.name)


def description_in(layer: str) -> Description | None:
    """Returns the description that the name of a layer holds, or None if it holds none that this version knows."""
    first, *words = layer.split(_SEPARATOR)
    if first not in (_SETTINGS, _CLASSES, _TARGETS) or not words:
        return None
    try:
        words = [word.encode("ascii").decode("unicode_escape") for word in words]
        found: dict[str, str] = {}
        while first == _SETTINGS and len(words) > 2:  # key, value, and what comes next
            key, value, first, *words = words
            found[key] = value
        described = _described(found, tuple(words))
    except ValueError:  # the name of somebody's layer, or of a later version
        return None
    return described if first == _kind(described) else None


def _words(description: Description) -> Iterator[str]:
    """Each setting that is not the default, as "settings", its key and its value; then the names."""
    for name, value in description.settings().items():
        yield _SETTINGS
        yield name
        yield " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    yield _kind(description)
    yield from description.names


def _kind(description: Description) -> str:
    """The word that the names follow."""
    return _TARGETS if description.task == "regression" else _CLASSES


def _described(settings: dict[str, str], names: tuple[str, ...]) -> Description:
    """The description of settings as they are written; one of a later version is left aside."""
    found: dict[str, Any] = {"names": names}
    kinds = {"channels": int, "threshold": float, "task": str, "resize": str}
    for key, value in settings.items():
        if key == "value_range":
            low, high = map(float, value.split())
            found[key] = (low, high)
        elif key in kinds:
            found[key] = kinds[key](value)
    return Description(**found)


def _escaped(word: str) -> str:
    """A word of letters that TensorFlow allows in a name."""

    def escape(character: re.Match[str]) -> str:
        code = ord(character[0])
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return re.sub(r"[^A-Za-z0-9_-]", escape, word)
