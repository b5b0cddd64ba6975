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
from keras_resnet.training.progress import StepProgress
from keras_resnet.training.recipe import Recipe, compile_for, fine_tuning
from keras_resnet.training.recorder import RunRecorder, best_epoch
from keras_resnet.training.resume import Resume
from keras_resnet.training.transfer import freeze, learning_stages, quicken_norms
from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.files import write_text
from keras_resnet.utils.interrupts import uninterrupted
from keras_resnet.utils.progress import say, takes_colours
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
    """Trains a classifier of raw RGB images, and writes the best model and a report into a folder.

    The folder holds `model.keras` (the epoch with the best validation accuracy, with the class names in it),
    `labels.txt`, `history.csv`, `run.json` (arguments, versions, images), the figures `curves.png`, `confusion.png` and
    `predictions.png`, and `report.md`, which shows them. After Ctrl-C, it holds the best model of the epochs done. If
    an epoch has few steps, the momentum of the batch norms that learn is lowered. Each epoch seeds the random
    generators of Python, NumPy and the backend (see `keras_resnet.resume.Resume`). Keras prints the metrics of each
    epoch on standard output; all other messages go to standard error.

    Example:

        data = keras_resnet.data.splits("flowers", image_size=224, augment="light")
        model = keras_resnet.transfer.classifier(keras_resnet.ResNet50V2, 3, 224, weights="imagenet")
        keras_resnet.training.train(model, data, "runs/flowers", Recipe(unfreeze_from="conv5"))

    Args:
        model: a classifier that takes float32 RGB in [0, 255] and returns probabilities (N, classes), logits
            (N, classes), or, for two classes, one sigmoid. A functional model of the same layers is trained and saved
            in its place; a softmax is added behind logits, and one sigmoid becomes two probabilities. The layers are
            shared: after the run they hold the weights of the last epoch (those of the best epoch are in `out`), and
            keep `trainable` where the recipe freezes, the momentum of the batch norms, and faster operations
            (`compile_for`). The optimizer and loss that the model was compiled with do not change. Layers and models of
            your own classes must be registered to load `model.keras` again
            (`keras.saving.register_keras_serializable`).
        data: the result of `keras_resnet.data.splits`. It does not change; the run reads copies with one-hot labels.
        out: a folder that is empty or does not exist yet.
        recipe: the settings of the training; None: `Recipe()`.
        arguments: further settings of the run to note in `run.json`, as JSON can hold them.
        resume: whether to continue an interrupted run in `out`, to the same weights as without the interruption.
        overwrite: whether to delete the run in `out` first.

    Returns:
        The `Evaluation` of the best model under "validation" and, if there is a test set, under "test".

    Raises:
        ValueError: if `out` is not empty and neither `resume` nor `overwrite` is True; if `resume` is True and the run
            in `out` had other arguments; if the model takes images of another shape, has other classes, has nothing to
            learn, or could not be loaded again. Neither `out` nor the model changes.
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
        raise ValueError(
            f"`model` must have trainable weights; all of {model.name!r} are frozen. Set `trainable = True` on the "
            "layers to train."
        )
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
        "images": run_folder.describe(data),
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
    """Returns a functional model of the same layers, from images to the probabilities of their classes."""
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
                f"`model` must take the images of the data, keras.Input({images.shape[1:]}); calling {name!r}, a "
                f"{type(model).__name__}, on it failed: {error}"
            ) from error
    found, kind = count_classes(model), outputs_of(model)
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2 or found != classes:
        returns = ", ".join(str(tuple(output.shape)) for output in model.outputs)
        raise ValueError(
            f"`model` must return (N, {classes}), since the data have {classes} classes; {name!r} returns {returns}. "
            f"End the model in Dense({classes}, activation='softmax'), or build it with classes={classes}, such as "
            f"keras_resnet.transfer.classifier(..., classes={classes})."
        )
    scores = model.outputs[0]
    with recursion_limit(len(model.layers)):
        model = keras.Model(model.inputs[0], model.outputs[0], name=name)  # whatever they were nested in
    if kind is None:
        probabilities(model, model(images, training=False))  # raises if they are none
    if kind == "logits":
        say(f"note: {name} returns logits; a softmax is added to the model that is trained and saved")
        scores = keras.layers.Softmax(dtype="float32", name="probabilities_of_logits")(scores)
    elif kind == "sigmoid" and scores.shape[1] == 1:
        say(
            f"note: {name} returns one sigmoid; the model that is trained and saved returns the probabilities of both "
            "classes"
        )
        first = keras.layers.Rescaling(-1.0, 1.0, dtype="float32", name="probability_of_first")(scores)
        scores = keras.layers.Concatenate(dtype="float32", name="probabilities_of_both")([first, scores])
    with recursion_limit(len(model.layers)):
        return keras.Model(model.input, scores, name=name)


def _check_loads(model: keras.Model) -> None:
    """Raises a `ValueError` if a file of a model would not load."""
    try:
        shapes = [tuple(weight.shape) for weight in keras.models.model_from_json(model.to_json()).weights]
        if shapes != [tuple(weight.shape) for weight in model.weights]:
            raise ValueError("the model made from its config has other weights")
    except Exception as error:  # whatever own classes raise
        reason = str(error).rpartition("Exception encountered: ")[2]  # Keras writes pages of configs around it
        reason = " ".join(reason.partition("Full object config")[0].split())[:300]
        raise ValueError(
            f"`model` must load again from a .keras file, and {model.name!r} would not. Register your own classes and "
            "functions (@keras.saving.register_keras_serializable()), write get_config for your own layers that take "
            f"arguments, and replace Lambda layers by layers of your own. Keras says: {reason}"
        ) from error


def _fit(model: keras.Model, data: Splits, recipe: Recipe, recorder: RunRecorder) -> None:
    """Trains one phase, from where it stands to its end."""
    steps, epochs = len(data.training), recipe.epochs or 0
    momentum = quicken_norms(model, steps)
    if momentum is not None:
        say(
            f"note: the momentum of the batch norms is lowered to {momentum:.2f}, since an epoch has only {steps} steps"
        )
    later = recorder.phase > 1
    now = fine_tuning(recipe) if later else recipe
    compile_for(model, now, epochs * steps)
    if recipe.freeze:
        learning = sum(weight.size for weight in map(keras.ops.convert_to_numpy, model.trainable_weights))
        what = f"{recipe.unfreeze_from} and all later layers learn" if later else "only the classifier learns"
        some = ", except those behind the backbone" if any(map(_norm_learns, walk_layers(model).values())) else ""
        say(
            f"phase {recorder.phase}: {what} ({learning:,} weights, learning rate {now.learning_rate:g}). "
            f"Batch norms are frozen{some}."
        )
    done = recorder.resume.restore(model, optimizer=bool(recorder.of_phase()))
    if recorder.of_phase():
        say(f"resuming after epoch {done}")
    bar = takes_colours(sys.stdout)  # Keras' bar has colours
    with uninterrupted() as interrupts:  # in the middle of a batch, Ctrl-C may end in code that ignores it

        def stop(batch: int, logs: object = None) -> None:
            if interrupts:
                raise KeyboardInterrupt

        stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop, on_test_batch_end=stop)
        model.fit(
            data.training,
            validation_data=data.validation,
            initial_epoch=done,
            epochs=done + epochs - len(recorder.of_phase()),
            shuffle=False,  # the data shuffle themselves
            callbacks=[stopping, recorder, recorder.resume, *([] if bar else [StepProgress()])],
            verbose=1 if bar else 2,
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
        f"model: {name}, {arguments['model']['parameters']:,} parameters, trained on {arguments['backend']}",
        f"images: {data}",
        f"{len(logs)} epochs, the best is epoch {best + 1} with a validation accuracy of "
        f"{logs[best]['val_accuracy']:.1%}",
    ]
    run_folder.report(out, f"{name}: {len(data.training.class_names)} classes", lines, found, data)
    results = {side: evaluation.summary() for side, evaluation in found.items()}
    run_folder.write(out, results={"epochs": len(logs), "best_epoch": best + 1, **results})
