"""A whole training run: phases, optimizer, what stays on disk, and going on after a kill."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

import keras

from keras_resnet.data.datasets import Splits
from keras_resnet.graph.optimize import optimize_for_training
from keras_resnet.models.labels import with_class_names
from keras_resnet.training import figures, run_folder
from keras_resnet.training.evaluation import Evaluation, evaluate
from keras_resnet.training.recorder import Keeper, best_epoch
from keras_resnet.training.resume import Resume
from keras_resnet.training.transfer import freeze, quicken_norms
from keras_resnet.utils.errors import check_choices, check_positive, check_rate, import_optional
from keras_resnet.utils.files import write_text

_WARM_UP = 0.05  # of all steps, from a rate of zero
_DEFAULTS = {"adamw": (1e-3, 1e-2, 0.05), "sgd": (0.05, 0.05, 5e-4)}  # rate, rate of a classifier alone, weight decay


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the training pictures, in each phase; None: 10, or as many as make 500 steps.
        optimizer: "adamw", or "sgd" with Nesterov's momentum of 0.9.
        learning_rate: at its peak: it warms up over a twentieth of the steps and decays to zero as a cosine. None: 1e-3
            for "adamw", 0.05 for "sgd"; 1e-2 for "adamw" while only the classifier learns.
        weight_decay: what each step takes off of kernels, times the rate; not off of norms and biases. None: 0.05 for
            "adamw", 5e-4 for "sgd".
        label_smoothing: the share of each label, in [0, 1), that goes to all classes (arXiv:1512.00567 section 7).
        clip_norm: the length to which longer gradients, of all weights together, are cut; None: they aren't.
        patience: epochs without a better one after which a phase ends early; None: it doesn't.
        balance: whether each class counts alike, however many pictures it has.
        freeze: whether only the classifier learns, the batch norms being in inference mode.
        unfreeze_from: a stage, such as "conv5", from which all but the norms learns in a second phase, at a tenth of
            the rate; implies `freeze`.
        seed: determines every random draw of the training.
    """

    epochs: int | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    balance: bool = False
    freeze: bool = False
    unfreeze_from: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self)
        for field in ("epochs", "patience"):
            if getattr(self, field) is not None:
                check_positive(f"Recipe.{field}", getattr(self, field))
        for field in ("learning_rate", "clip_norm", "weight_decay"):
            value = getattr(self, field)
            if value is not None and not (0 < value < inf or (value == 0 and field == "weight_decay")):
                least = "from 0 up" if field == "weight_decay" else "above 0"
                raise ValueError(f"`Recipe.{field}` must be None or a number {least}; received {value!r}.")
        check_rate("Recipe.label_smoothing", self.label_smoothing)
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"`Recipe.seed` must be an int from 0 up; received {self.seed!r}.")

    def filled(self, steps: int) -> "Recipe":
        """With the defaults that depend on other fields and on the steps in an epoch."""
        all_learn, top_learns, decay = _DEFAULTS[self.optimizer]
        freezes = self.freeze or self.unfreeze_from is not None
        rate = top_learns if freezes else all_learn
        return replace(
            self,
            epochs=self.epochs or max(10, -(-500 // steps)),
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            weight_decay=decay if self.weight_decay is None else self.weight_decay,
            freeze=freezes,
        )


def fine_tuning(recipe: Recipe) -> Recipe:
    """The recipe at a tenth of its rate, as weights want it that have learnt already."""
    rate = recipe.filled(1).learning_rate or 0
    return replace(recipe, learning_rate=rate / 10)


def compile_for(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compiles a classifier for so many steps as a recipe says, and optimizes it for training; labels are one-hot.

    Example:

        keras_resnet.training.compile_for(model, Recipe(optimizer="sgd"), steps=20 * len(training))
        model.fit(training, epochs=20, shuffle=False)
    """
    recipe = recipe.filled(steps)
    rate, warm = recipe.learning_rate, round(_WARM_UP * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warm else rate, steps - warm, warmup_target=rate if warm else None, warmup_steps=warm
    )
    shared = {"weight_decay": recipe.weight_decay, "global_clipnorm": recipe.clip_norm}
    optimizer = (
        keras.optimizers.AdamW(schedule, **shared)
        if recipe.optimizer == "adamw"
        else keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, **shared)
    )
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay([weight for weight in model.trainable_variables if len(weight.shape) < 2])
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    model.compile(optimizer, loss, metrics=["accuracy"])
    optimize_for_training(model)


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
    the epochs done. Where steps are few, the batch norms that train get a momentum that keeps up.

    Example:

        data = keras_resnet.data.splits("flowers", image_size=224, augment="light")
        model = keras_resnet.transfer.classifier(keras_resnet.ResNet50V2, 3, 224, weights="imagenet")
        keras_resnet.training.train(model, data, "runs/flowers", Recipe(unfreeze_from="conv5"))

    Args:
        model: takes float32 RGB in [0, 255] and returns probabilities (N, classes).
        data: what `keras_resnet.data.splits` returns. Labels become one-hot.
        out: a folder that is empty or new.
        recipe: how to train; None: `Recipe()`.
        arguments: what else determines the run, for `run.json`, as JSON takes it.
        resume: goes on with the run in `out` where it was cut off, to the same weights.
        overwrite: deletes the run in `out` first.

    Returns:
        What the best model does, under "validation" and, where there are such pictures, "test".

    Raises:
        ValueError: if `out` holds something and neither `resume` nor `overwrite` is True, or a run that was another.
        OSError: if the disk is full.
    """
    for module in ("matplotlib", "sklearn"):
        import_optional(module)  # better missed now than after training
    out, training = Path(out), data.training
    recipe = (recipe or Recipe()).filled(len(training))
    recipe = replace(recipe, balance=recipe.balance or training.balance)
    for part in run_folder.sides(data).values():
        part.one_hot = True
    training.balance = recipe.balance
    model = with_class_names(model, training.class_names)
    phases = [None, recipe.unfreeze_from] if recipe.unfreeze_from else [None]
    for before in phases if recipe.freeze else ():
        freeze(model, before)  # raises before anything is written
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
    keeper = Keeper(out, Resume(out / run_folder.STATE, training, recipe.seed), recipe.epochs or 0, recipe.patience)
    if "results" not in run_folder.read(out):
        for phase, before in enumerate(phases, 1):
            keeper.phase = phase
            if not keeper.ended():
                if recipe.freeze:
                    freeze(model, before)
                _fit(model, data, recipe, keeper)
    best = keras.models.load_model(out / run_folder.MODEL, compile=False)
    found = {side: evaluate(best, part) for side, part in run_folder.sides(data).items() if side != "training"}
    if keeper.logs:
        _show(out, keeper, found, data, recipe)
    (out / run_folder.STATE).unlink(missing_ok=True)
    return found


def _fit(model: keras.Model, data: Splits, recipe: Recipe, keeper: Keeper) -> None:
    """Trains one phase, from where it stands to its end."""
    steps, epochs = len(data.training), recipe.epochs or 0
    momentum = quicken_norms(model, steps)
    if momentum is not None:
        print(f"batch norms: momentum {momentum:.2f}, since an epoch has {steps} steps and statistics must keep up")
    later = keeper.phase > 1
    now = fine_tuning(recipe) if later else recipe
    compile_for(model, now, epochs * steps)
    if recipe.freeze:
        learning = sum(weight.size for weight in map(keras.ops.convert_to_numpy, model.trainable_weights))
        what = f"{recipe.unfreeze_from} and later" if later else "the classifier"
        print(
            f"phase {keeper.phase}: {what} learns, {learning:,} weights, at a rate of {now.learning_rate:g}; "
            "batch norms are frozen"
        )
    done = keeper.resume.restore(model, optimizer=bool(keeper.of_phase()))
    if done:
        print(f"going on after epoch {done}")
    model.fit(
        data.training,
        validation_data=data.validation,
        initial_epoch=done,
        epochs=done + epochs - len(keeper.of_phase()),
        shuffle=False,  # the data shuffle themselves
        callbacks=[keeper, keeper.resume],
        verbose=1 if sys.stdout.isatty() else 2,
    )


def _show(out: Path, keeper: Keeper, found: dict[str, Evaluation], data: Splits, recipe: Recipe) -> None:
    """Draws and reports what the run came to."""
    logs, best = keeper.logs, best_epoch(keeper.logs)
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
