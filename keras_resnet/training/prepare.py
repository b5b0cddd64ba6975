"""Makes a model of one's own one that can be trained for a task: functional, with outputs of one kind."""

from typing import Any

import keras

from keras_resnet.data.datasets import Pictures
from keras_resnet.models.functional import as_functional, has_graph
from keras_resnet.models.outputs import Kind, count_classes, outputs_of, probabilities
from keras_resnet.training.evaluation import check_images
from keras_resnet.utils.progress import say
from keras_resnet.utils.recursion import recursion_limit


def prepared(model: keras.Model, data: Pictures) -> keras.Model:
    """Returns a functional model of the same layers, from images to what the task of the data asks for.

    These are probabilities of classes or of labels, or numbers.

    Raises:
        ValueError: if the model does not take such images or does not return that.
    """
    check_images(model, data)
    name, images = model.name, data[0][0]
    if has_graph(model):
        model = as_functional(model)
    else:
        image = keras.Input(images.shape[1:])
        try:
            model = keras.Model(image, model(image), name=name)
        except Exception as error:  # whatever an own `call` raises
            raise ValueError(
                f"`model` must take the images of the data, keras.Input({images.shape[1:]}); calling {name!r}, a "
                f"{type(model).__name__}, on it failed: {error}"
            ) from error
    _check_outputs(model, data)
    kind = outputs_of(model)
    with recursion_limit(len(model.layers)):
        model = keras.Model(model.inputs[0], model.outputs[0], name=name)  # whatever they were nested in
    if data.task != "regression" and (kind is None or (kind == "softmax" and data.task == "labels")):
        several = data.task == "labels"
        probabilities(model, model(images, training=False), several=several)  # raises if they are none
    scores = model.outputs[0] if data.task == "regression" else _as_probabilities(model, data, kind)
    with recursion_limit(len(model.layers)):
        return keras.Model(model.input, scores, name=name)


def _check_outputs(model: keras.Model, data: Pictures) -> None:
    """Raises a `ValueError` for a model that does not return a column for each name of the data."""
    names = len(data.class_names)
    found = count_classes(model) if data.task == "classes" else model.outputs[0].shape[-1]
    if len(model.outputs) == 1 and len(model.outputs[0].shape) == 2 and found == names:
        return
    returns = ", ".join(str(tuple(output.shape)) for output in model.outputs)
    what, end, build = {
        "classes": ("classes", f"Dense({names}, activation='softmax')", f"classifier(..., classes={names})"),
        "labels": (
            "labels",
            f"Dense({names}, activation='sigmoid')",
            f"classifier(..., classes={names}, classifier_activation='sigmoid')",
        ),
        "regression": ("targets", f"Dense({names})", f"regressor(..., targets={names})"),
    }[data.task]
    with_classes = f"build it with classes={names}, such as " if data.task == "classes" else "build it with "
    raise ValueError(
        f"`model` must return (N, {names}), since the data have {names} {what}; {model.name!r} returns {returns}. "
        f"End the model in {end}, or {with_classes}keras_resnet.transfer.{build}."
    )


def _as_probabilities(model: keras.Model, data: Pictures, kind: Kind | None) -> Any:
    """The tensor of a model's probabilities; says what is added for them."""
    scores, name = model.outputs[0], model.name
    if kind == "logits" and data.task == "labels":
        say(f"note: {name} returns logits; a sigmoid is added to the model that is trained and saved")
        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities_of_logits")(scores)
    if kind == "logits":
        say(f"note: {name} returns logits; a softmax is added to the model that is trained and saved")
        return keras.layers.Softmax(dtype="float32", name="probabilities_of_logits")(scores)
    if kind == "sigmoid" and scores.shape[1] == 1 and data.task == "classes":
        say(
            f"note: {name} returns one sigmoid; the model that is trained and saved returns the probabilities of both "
            "classes"
        )
        first = keras.layers.Rescaling(-1.0, 1.0, dtype="float32", name="probability_of_first")(scores)
        return keras.layers.Concatenate(dtype="float32", name="probabilities_of_both")([first, scores])
    return scores
