"""A whole training run: phases, what stays on disk, and going on after a kill."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from keras_resnet.data.datasets import Pictures, Splits
from keras_resnet.models.functional import as_functional, has_graph
from keras_resnet.models.inspection import walk_layers
from keras_resnet.models.labels import with_class_names
from keras_resnet.models.outputs import count_classes, outputs_of, probabilities
from keras_resnet.training import figures, run_folder
from keras_resnet.training.evaluation import Evaluation, check_images, evaluate
from keras_resnet.training.recipe import Recipe, compile_for, fine_tuning
from keras_resnet.training.recorder import RunRecorder, best_epoch
from keras_resnet.training.resume import Resume
from keras_resnet.training.transfer import freeze, learning_stages, quicken_norms
from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.files import write_text
from keras_resnet.utils.progress import say
from keras_resnet.utils.recursion import recursion_limit


def train(
    model: keras.Model,
    data: Splits,
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Evaluation]:
    """Trains a classifier of raw RGB pictures, and leaves in a folder the epoch that validates best and what it does.

    `model.keras`, with the class names in it, `labels.txt`, `history.csv`, `run.json` (arguments, versions, pictures),
    `curves.png`, `confusion.png`, `predictions.png`, and `report.md`, which shows them. Ctrl-C leaves the best model of
    the epochs done. Where steps are few, the batch norms that train get a momentum that keeps up. Each epoch seeds the
    generators of Python, NumPy and the backend (`keras_resnet.resume.Resume`). Keras prints what each epoch came to on
    standard output; all else is said on standard error.

    Example:

        data = keras_resnet.data.splits("flowers", image_size=224, augment="light")
        model = keras_resnet.transfer.classifier(keras_resnet.ResNet50V2, 3, 224, weights="imagenet")
        keras_resnet.training.train(model, data, "runs/flowers", Recipe(unfreeze_from="conv5"))

    Args:
        model: takes float32 RGB in [0, 255] and returns (N, classes): probabilities, or logits, which its graph tells;
            or, for two classes, one sigmoid. What is trained and saved is a functional model of its layers that puts
            out probabilities of all classes: behind logits stands a softmax, and one sigmoid becomes two. So its
            weights are trained in place, and end as the last epoch's; the best epoch's are in `out`. Its layers keep
            what the run set: `trainable` where the recipe freezes, the momentum of norms, quicker operations
            (`compile_for`). How it is compiled stays. It may be made of other models, and of layers and models of own
            classes, which what loads `model.keras` must know (`keras.saving.register_keras_serializable`).
        data: what `keras_resnet.data.splits` returns. It stays as it is; the run reads copies, with one-hot labels.
        out: a folder that is empty or new.
        recipe: how to train; None: `Recipe()`.
        arguments: what else determines the run, for `run.json`, as JSON takes it.
        resume: goes on with the run in `out` where it was cut off, to the same weights.
        overwrite: deletes the run in `out` first.

    Returns:
        What the best model does, under "validation" and, where there are such pictures, "test".

    Raises:
        ValueError: if `out` holds something and neither `resume` nor `overwrite` is True, or a run that was another; if
            the model takes other images than the data give or tells other classes apart, has nothing that learns, or
            would not load again. `out` is as it was, and so is the model.
        OSError: if the disk is full.
    """
    for module in ("matplotlib", "sklearn"):
        import_optional(module)  # better missed now than after training
    data = data.for_model(model)
    out, training = Path(out), data.training
    model = _with_probabilities(model, training)
    recipe = (recipe or Recipe()).filled(len(training))
    recipe = replace(recipe, balance=recipe.balance or training.balance)
    if not model.trainable_weights and not recipe.freeze:
        raise ValueError(f"`model` must have weights that learn; all of {model.name!r} are frozen: set `trainable`.")
    phases = [None, recipe.unfreeze_from] if recipe.unfreeze_from else [None]
    for before in phases if recipe.freeze else ():
        learning_stages(model, before)  # raises before anything is changed
    training = training.with_(one_hot=True, balance=recipe.balance)
    data = data.with_(one_hot=True)._replace(training=training)
    model = with_class_names(model, training.class_names)
    _check_loads(model)
    asked = {
        "backend": keras.backend.backend(),
        **(arguments or {}),
        "recipe": asdict(recipe),
        "batch_size": training.batch_size,
        "image_size": training.image_size,
        "augment": training.augment,
        "order": training.seed,
        "model": {"name": model.name, "parameters": model.count_params()},
        "pictures": run_folder.describe(data),
    }
    run_folder.claim(out, asked, resume, overwrite)
    run_folder.write(out, skipped=run_folder.skipped(data), leaks=[[str(file) for file in same] for same in data.leaks])
    write_text(out / run_folder.LABELS, "".join(f"{name}\n" for name in training.class_names))
    state = Resume(out / run_folder.STATE, training, recipe.seed)
    recorder = RunRecorder(out, state, recipe.epochs or 0, recipe.patience)
    if "results" not in run_folder.read(out):
        for phase, before in enumerate(phases, 1):
            recorder.phase = phase
            if not recorder.ended():
                if recipe.freeze:
                    freeze(model, before)
                _fit(model, data, recipe, recorder)
    best = keras.models.load_model(out / run_folder.MODEL, compile=False)
    found = {side: evaluate(best, part) for side, part in data.sides().items() if side != "training"}
    if recorder.logs:
        _show(out, recorder, found, data, recipe)
    (out / run_folder.STATE).unlink(missing_ok=True)
    return found


def _with_probabilities(model: keras.Model, data: Pictures) -> keras.Model:
    """Returns a functional model of the same layers, from pictures to the probabilities of their classes."""
    check_images(model, data)
    name, classes = model.name, len(data.class_names)
    images = data[0][0]
    if has_graph(model):
        model = as_functional(model)
    else:
        image = keras.Input(images.shape[1:])
        try:
            model = keras.Model(image, model(image), name=name)
        except Exception as error:  # whatever an own `call` raises
            raise ValueError(
                f"`model` must take keras.Input({images.shape[1:]}); {name!r}, a {type(model).__name__}, can't be "
                f"called on it: {error}"
            ) from error
    found, kind = count_classes(model), outputs_of(model)
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2 or found != classes:
        returns = ", ".join(str(tuple(output.shape)) for output in model.outputs)
        raise ValueError(
            f"`model` must return (N, {classes}), for the data have {classes} classes; {name!r} returns {returns}. End "
            f"it in Dense({classes}, activation='softmax'), or build it with classes={classes}, such as "
            f"keras_resnet.transfer.classifier(..., classes={classes})."
        )
    scores = model.outputs[0]
    with recursion_limit(len(model.layers)):
        model = keras.Model(model.inputs[0], model.outputs[0], name=name)  # whatever they were nested in
    if kind is None:
        probabilities(model, model(images, training=False))  # raises if they are none
    if kind == "logits":
        say(f"{name} returns logits; what is trained and saved ends in a softmax")
        scores = keras.layers.Softmax(dtype="float32", name="probabilities_of_logits")(scores)
    elif kind == "sigmoid" and scores.shape[1] == 1:
        say(f"{name} returns one sigmoid; what is trained and saved returns the probabilities of both classes")
        first = keras.layers.Rescaling(-1.0, 1.0, dtype="float32", name="probability_of_first")(scores)
        scores = keras.layers.Concatenate(dtype="float32", name="probabilities_of_both")([first, scores])
    with recursion_limit(len(model.layers)):
        return keras.Model(model.input, scores, name=name)


def _check_loads(model: keras.Model) -> None:
    """Raises a `ValueError` if a file of a model would not load."""
    try:
        shapes = [tuple(weight.shape) for weight in keras.models.model_from_json(model.to_json()).weights]
        if shapes != [tuple(weight.shape) for weight in model.weights]:
            raise ValueError("what is made of its config has other weights")
    except Exception as error:  # whatever own classes raise
        reason = str(error).rpartition("Exception encountered: ")[2]  # Keras writes pages of configs around it
        reason = " ".join(reason.partition("Full object config")[0].split())[:300]
        raise ValueError(
            f"`model` must load again from what is saved of it, and {model.name!r} would not. Register classes and "
            "functions of your own (@keras.saving.register_keras_serializable()), give layers that take arguments a "
            f"get_config, and make a layer of what a Lambda does. Keras says: {reason}"
        ) from error


def _fit(model: keras.Model, data: Splits, recipe: Recipe, recorder: RunRecorder) -> None:
    """Trains one phase, from where it stands to its end."""
    steps, epochs = len(data.training), recipe.epochs or 0
    momentum = quicken_norms(model, steps)
    if momentum is not None:
        say(f"batch norms: momentum {momentum:.2f}, since an epoch has {steps} steps and statistics must keep up")
    later = recorder.phase > 1
    now = fine_tuning(recipe) if later else recipe
    compile_for(model, now, epochs * steps)
    if recipe.freeze:
        learning = sum(weight.size for weight in map(keras.ops.convert_to_numpy, model.trainable_weights))
        what = f"{recipe.unfreeze_from} and later" if later else "the classifier"
        some = ", but for those on top" if any(map(_norm_learns, walk_layers(model).values())) else ""
        say(
            f"phase {recorder.phase}: {what} learns, {learning:,} weights, at a rate of {now.learning_rate:g}; "
            f"batch norms are frozen{some}"
        )
    done = recorder.resume.restore(model, optimizer=bool(recorder.of_phase()))
    if done:
        say(f"going on after epoch {done}")
    model.fit(
        data.training,
        validation_data=data.validation,
        initial_epoch=done,
        epochs=done + epochs - len(recorder.of_phase()),
        shuffle=False,  # the data shuffle themselves
        callbacks=[recorder, recorder.resume],
        verbose=1 if sys.stdout.isatty() else 2,
    )


def _norm_learns(layer: keras.Layer) -> bool:
    """Whether a layer is a batch norm that learns."""
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


def _show(out: Path, recorder: RunRecorder, found: dict[str, Evaluation], data: Splits, recipe: Recipe) -> None:
    """Draws and reports what the run came to."""
    logs, best = recorder.logs, best_epoch(recorder.logs)
    later = [epoch for epoch in range(1, len(logs)) if logs[epoch]["phase"] != logs[epoch - 1]["phase"]]
    figures.draw_curves({name: [log[name] for log in logs] for name in logs[0]}, out / run_folder.CURVES, later)
    figures.draw_confusion(found["validation"], out / run_folder.CONFUSION)
    figures.draw_predictions(found["validation"], data.validation, out / run_folder.PREDICTIONS)
    arguments = run_folder.read(out)["arguments"]
    name = arguments["model"]["name"]
    lines = [
        f"{name}, {arguments['model']['parameters']:,} parameters, on {arguments['backend']}",
        f"pictures: {data}",
        f"{len(logs)} epochs; the best is epoch {best + 1}, of validation accuracy {logs[best]['val_accuracy']:.1%}",
    ]
    run_folder.report(out, f"{name}: {len(data.training.class_names)} classes", lines, found, data)
    results = {side: evaluation.summary() for side, evaluation in found.items()}
    run_folder.write(out, results={"epochs": len(logs), "best_epoch": best + 1, **results})
