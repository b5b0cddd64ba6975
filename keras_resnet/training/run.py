"""A whole training run: phases, what stays on disk, and going on after a kill."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_resnet.data.datasets import Splits
from keras_resnet.models.description import with_description
from keras_resnet.models.inspection import walk_layers
from keras_resnet.training import distribution, figures, run_folder
from keras_resnet.training.evaluation import AnyEvaluation, evaluate
from keras_resnet.training.findings import write_findings
from keras_resnet.training.objectives import loss_of, monitor_of
from keras_resnet.training.prepare import prepared
from keras_resnet.training.progress import StepProgress
from keras_resnet.training.recipe import Recipe, compile_for, fine_tuning
from keras_resnet.training.recorder import RunRecorder, best_epoch
from keras_resnet.training.replicas import unspread
from keras_resnet.training.resume import Resume
from keras_resnet.training.transfer import freeze, learning_stages, quicken_norms
from keras_resnet.training.validation import Validation
from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.files import write_text
from keras_resnet.utils.interrupts import uninterrupted
from keras_resnet.utils.progress import say, takes_colours


def train(
    model: keras.Model,
    data: Splits,
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    threshold: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a model of raw images, and writes the best one and a report into a folder.

    Example:

        data = keras_resnet.data.splits("flowers", image_size=32, augment="light")
        model = keras_resnet.transfer.classifier(keras_resnet.ResNet18, 3, 32, weights="imagenet")
        recipe = keras_resnet.training.Recipe(epochs=1, freeze=True)
        results = keras_resnet.training.train(model, data, "runs/flowers", recipe)
        results["validation"].accuracy()

    What it learns is the task of the data: classes, several labels an image, or numbers. The folder holds `model.keras`
    (the best epoch, which knows its task, names and how images are read, see `keras_resnet.labels.Description`),
    `labels.txt`, `history.csv`, `pictures.csv` (path, side, label, group), `run.json` (arguments, versions, images),
    figures, and `report.md`, which shows them. After Ctrl-C, it holds the best model of the epochs done. If
    an epoch has few steps, the momentum of the batch norms that learn is lowered. Each epoch seeds the random
    generators of Python, NumPy and the backend (see `keras_resnet.resume.Resume`). Keras prints the metrics of each
    epoch on standard output; all other messages go to standard error.

    Where `keras_resnet.distribution.start` found several devices, they train together, and the weights are those of one
    device with the same batches. Of several processes, the first writes `out` and prints; all must be given the same.

    Args:
        model: a model that takes float32 pixels in [0, 255]. Of classes it returns probabilities (N, classes), logits
            (N, classes), or, for two classes, one sigmoid; of several labels sigmoids or logits (N, labels); of numbers
            (N, targets), in their units (see `keras_resnet.transfer.regressor`). A functional model of the same layers
            is trained and saved in its place; a softmax or sigmoid is added behind logits, and one sigmoid of two
            classes becomes two probabilities. The layers are
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
        threshold: the probability from which on a label is predicted, for several labels an image; None: 0.5. It is
            kept in the model.
        callbacks: callbacks of Keras of your own. They see the logs of an epoch before they are written, and may set
            `model.stop_training`, which ends the phase. A resumed run starts with them anew: what they keep to
            themselves is lost.

    Returns:
        The evaluation of the best model under "validation" and, if there is a test set, under "test".

    Raises:
        ValueError: if `out` is not empty and neither `resume` nor `overwrite` is True; if `resume` is True and the run
            in `out` had other arguments; if the model takes images of another shape, has other classes, has nothing to
            learn, or could not be loaded again; if a batch has fewer images than there are devices, or the processes
            have other data or versions. Neither `out` nor the model changes.
        ConnectionError: if another process ended.
        OSError: if the disk is full.
    """
    distribution.check_started()
    with distribution.one_speaks():
        out, kind = Path(out), type(model).__name__
        planned = plan(model, data, recipe, threshold, callbacks)
        training, sides = planned.data.training, planned.data.sides()
        asked = {
            "backend": keras.backend.backend(),
            **(arguments or {}),
            "recipe": planned.recipe.noted(),
            "batch_size": training.batch_size,
            "image_size": training.image_size,
            **training.description.settings(),
            "augment": training.augment,
            **({"threshold": threshold} if threshold else {}),
            "order": training.seed,
            "model": {"name": _uncounted(planned.model.name, kind), "parameters": planned.model.count_params()},
            "images": run_folder.describe(sides),
        }
        run_folder.check_free(out, resume, overwrite)
        distribution.check_run(planned.model, planned.data, planned.recipe.norm_sync)
        with distribution.folder_of_one(out) as own:
            return _train(planned, own, asked, resume, overwrite, callbacks)


def _train(
    planned: "Plan",
    out: Path,
    asked: Mapping[str, Any],
    resume: bool,
    overwrite: bool,
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, Any]:
    """Trains in a folder that is free, or this process's own."""
    model, data, recipe, monitor, phases = planned
    shared = data.with_(share=distribution.share) if distribution.here().processes > 1 else data
    done = [resume and run_folder.is_done(out), Resume(out / run_folder.STATE).epochs_done() if resume else 0]
    begins: dict[str, Any] = {"resume": resume, "overwrite": overwrite}
    begins |= {"epochs done in the run's folder, which all must see": done}
    distribution.agree({"versions": run_folder.versions(), **asked, **begins})
    distribution.say_what_is_slow(data.training.batch_size)
    run_folder.claim(out, asked, resume, overwrite)
    run_folder.write(out, skipped=run_folder.skipped(data), leaks=[[str(file) for file in same] for same in data.leaks])
    run_folder.write_pictures(out, data)
    run_folder.write_checked(out, data.sides())
    write_text(out / run_folder.LABELS, "".join(f"{name}\n" for name in data.training.class_names))
    state = Resume(out / run_folder.STATE, shared.training, recipe.seed)
    recorder = RunRecorder(out, state, recipe.epochs or 0, recipe.patience, monitor)
    if "results" not in run_folder.read(out):
        try:
            for phase, before in enumerate(phases, 1):
                recorder.phase = phase
                if not recorder.ended():
                    if recipe.freeze:
                        freeze(model, before)
                    _fit(model, shared, recipe, recorder, callbacks)
        finally:
            unspread(model)  # afterwards it is any model
            distribution.forget_batches()
    with distribution.alone():
        best = keras.models.load_model(out / run_folder.MODEL, compile=False)
        found = {side: evaluate(best, part) for side, part in data.sides().items() if side != "training"}
    if recorder.logs:
        _show(out, recorder, found, data)
    for name in (run_folder.STATE, run_folder.CHECKED):
        (out / name).unlink(missing_ok=True)
    return found


def _uncounted(given: str, kind: str) -> str:
    """A model's name without the number by which Keras tells those apart that it names itself, after their class."""
    counted = re.fullmatch(r"(.*?)_\d+", given)
    return counted[1] if counted and counted[1].replace("_", "") == kind.lower() else given


class Plan(NamedTuple):
    """What a run comes to: its model and data as they are trained, its recipe, what chooses the epoch, the phases."""

    model: keras.Model
    data: Splits
    recipe: Recipe
    monitor: str
    phases: list[str | None]


def plan(
    model: keras.Model,
    data: Splits,
    recipe: Recipe | None,
    threshold: float | None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Plan:
    """Returns what `train` does with its arguments.

    Raises:
        ValueError: as `train`, of all but the folder; nothing changes.
    """
    for module in ("matplotlib", "sklearn"):
        import_optional(module)  # better missed now than after training
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"`callbacks` must hold callbacks of Keras; received {callback!r}.")
    data = data.for_model(model)
    training = data.training
    if threshold is not None and training.task != "labels":
        raise ValueError(f"`threshold` is for several labels an image; the data are of the task {training.task!r}.")
    model = prepared(model, training)
    recipe = (recipe or Recipe()).filled(len(training))
    recipe = replace(recipe, balance=recipe.balance or training.balance)
    own = recipe.monitor if callbacks else None  # perhaps they log it
    monitor = own or monitor_of(training.task, recipe.monitor)
    loss_of(training.task, recipe.loss, False, recipe.label_smoothing)  # raises if there is none
    if not model.trainable_weights and not recipe.freeze:
        raise ValueError(
            f"`model` must have trainable weights; all of {model.name!r} are frozen. Set `trainable = True` on the "
            "layers to train."
        )
    phases: list[str | None] = [None, recipe.unfreeze_from] if recipe.unfreeze_from else [None]
    for before in phases if recipe.freeze else ():
        learning_stages(model, before)  # raises before anything is changed
    training = training.with_(one_hot=True, balance=recipe.balance)
    data = data.with_(one_hot=True)._replace(training=training)
    described = training.description
    model = with_description(model, described if threshold is None else replace(described, threshold=threshold))
    _check_loads(model)
    return Plan(model, data, recipe, monitor, phases)


def _check_loads(model: keras.Model) -> None:
    """Raises a `ValueError` if a file of a model would not load."""
    try:
        with distribution.alone():
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


def _fit(
    model: keras.Model,
    data: Splits,
    recipe: Recipe,
    recorder: RunRecorder,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains one phase, from where it stands to its end."""
    steps, epochs = len(data.training), recipe.epochs or 0
    momentum = quicken_norms(model, steps)
    if momentum is not None:
        say(
            f"note: the momentum of the batch norms is lowered to {momentum:.2f}, since an epoch has only {steps} steps"
        )
    later = recorder.phase > 1
    now = fine_tuning(recipe) if later else recipe
    task = data.training.task
    compile_for(model, now, epochs * steps, task, None if task == "classes" else data.training.labels)
    distribution.spread(model, recipe.norm_sync)
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

        measuring = [Validation(data.validation.with_(share=None))] if task == "labels" else []
        stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop, on_test_batch_end=stop)
        model.fit(
            data.training,
            validation_data=None if task == "labels" else data.validation,
            initial_epoch=done,
            epochs=done + epochs - len(recorder.of_phase()),
            shuffle=False,  # the data shuffle themselves
            callbacks=[*measuring, *callbacks, stopping, recorder, recorder.resume, *([] if bar else [StepProgress()])],
            verbose=1 if bar else 2,
        )


def _norm_learns(layer: keras.Layer) -> bool:
    """Whether a layer is a batch norm that learns."""
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


def _show(out: Path, recorder: RunRecorder, found: dict[str, AnyEvaluation], data: Splits) -> None:
    """Draws and reports what the run came to."""
    logs, best = recorder.logs, best_epoch(recorder.logs, recorder.monitor)
    later = [epoch for epoch in range(1, len(logs)) if logs[epoch]["phase"] != logs[epoch - 1]["phase"]]
    names = [name for name in logs[0] if all(name in log for log in logs)]  # other callbacks may add some
    figures.draw_curves({name: [log[name] for log in logs] for name in names}, out / run_folder.CURVES, later)
    figures.draw_evaluation(found["validation"], out)
    figures.draw_predictions(found["validation"], data.validation, out / run_folder.PREDICTIONS)
    calibration = write_findings(out, found, data.sides())
    arguments = run_folder.read(out)["arguments"]
    name = arguments["model"]["name"]
    lines = [
        f"model: {name}, {arguments['model']['parameters']:,} parameters, trained on {arguments['backend']}",
        f"images: {data}",
        f"{len(logs)} epochs, the best is epoch {best + 1} by `{recorder.monitor}`: {logs[best][recorder.monitor]:.4g}",
    ]
    what = {"classes": "classes", "labels": "labels", "regression": "numbers"}[data.training.task]
    run_folder.report(out, f"{name}: {len(data.training.class_names)} {what}", lines, found, calibration, data)
    results = {side: evaluation.summary() for side, evaluation in found.items()}
    if calibration:
        results["calibration"] = calibration.summary()
    run_folder.write(out, results={"epochs": len(logs), "best_epoch": best + 1, **results})
