"""Recipes of training: optimizer, learning rate schedule, loss, weight decay; and a model compiled by one."""

from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any, Literal

import keras

from keras_resnet.graph.optimize import optimize_for_training
from keras_resnet.models.description import Task
from keras_resnet.models.functional import has_graph
from keras_resnet.models.inspection import walk_layers
from keras_resnet.models.outputs import outputs_of
from keras_resnet.training.objectives import loss_of, metrics_of
from keras_resnet.utils.errors import check_choices, check_positive, check_rate

_WARM_UP = 0.05  # of all steps, from a rate of zero
_DEFAULTS = {"adamw": (1e-3, 1e-2, 0.05), "sgd": (0.05, 0.05, 5e-4)}  # rate, rate of a classifier alone, weight decay


@dataclass(frozen=True)
class Recipe:
    """The settings of a training: epochs, optimizer, learning rate, regularisation, frozen layers.

    Example:

        recipe = keras_resnet.training.Recipe(epochs=20, patience=5, unfreeze_from="conv5")

    Attributes:
        epochs: passes over the training images, in each phase; None: 10, or more if these are less than 500 steps.
        optimizer: "adamw", or "sgd" with Nesterov momentum of 0.9.
        learning_rate: the peak learning rate. It warms up over the first 5% of the steps and decays to zero with a
            cosine. None: 1e-3 for "adamw" (1e-2 while only the classifier learns), 0.05 for "sgd".
        weight_decay: decoupled weight decay of kernels, not of batch norms and biases. None: 0.05 for "adamw", 5e-4 for
            "sgd".
        label_smoothing: the share of each label, in [0, 1), that is spread over all classes (arXiv:1512.00567 section
            7).
        clip_norm: the largest norm of the gradients of all weights together; longer ones are clipped. None: no
            clipping.
        patience: early stopping: a phase ends after this many epochs without a better validation accuracy. None: no
            early stopping.
        loss: "crossentropy" or "focal" (arXiv:1708.02002) of classes and labels, "mse" or "huber" of numbers; None: the
            first of these.
        monitor: the name in the history by which the best epoch is chosen, such as "val_loss"; None: by the task's
            metric, "val_accuracy" of classes.
        balance: whether every class counts the same, however many images it has: True or "loss": by class weights in
            the loss; "sampling": by how often its images come.
        freeze: whether the backbone is frozen, its batch norms included, so that only the classifier learns.
        unfreeze_from: a stage, such as "conv5". In a second phase, this stage and all later ones learn too, except
            their batch norms, at a tenth of the learning rate. Implies `freeze`.
        norm_sync: on several devices, whether batch norms see the images of all of them, see
            `keras_resnet.distribution.spread`.
        seed: determines every random draw of the training.
    """

    epochs: int | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float | None = None
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    loss: str | None = None
    monitor: str | None = None
    balance: Literal[False, True, "loss", "sampling"] = False
    freeze: bool = False
    unfreeze_from: str | None = None
    norm_sync: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self)
        for field in ("epochs", "patience"):
            if getattr(self, field) is not None:
                check_positive(f"Recipe.{field}", getattr(self, field))
        for field in ("learning_rate", "clip_norm", "weight_decay"):
            value = getattr(self, field)
            if value is not None and not (0 < value < inf or (value == 0 and field == "weight_decay")):
                least = "of at least 0" if field == "weight_decay" else "above 0"
                raise ValueError(f"`Recipe.{field}` must be None or a number {least}; received {value!r}.")
        check_rate("Recipe.label_smoothing", self.label_smoothing)
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"`Recipe.seed` must be an int of at least 0; received {self.seed!r}.")

    def noted(self) -> dict[str, Any]:
        """Returns the settings as a run notes them: without `norm_sync` where it is True, as runs before it did."""
        settings = asdict(self)
        if self.norm_sync:
            del settings["norm_sync"]
        return settings

    def filled(self, steps: int) -> "Recipe":
        """Returns the recipe with every None that depends on the steps or the optimizer replaced.

        Args:
            steps: the number of steps in an epoch.
        """
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
    """Returns the recipe with a tenth of its learning rate, for fine-tuning pretrained weights.

    Example:

        >>> recipe = keras_resnet.training.Recipe(learning_rate=0.01)
        >>> keras_resnet.training.fine_tuning(recipe).learning_rate
        0.001

    Args:
        recipe: the settings; a `learning_rate` of None becomes a tenth of its default.
    """
    rate = recipe.filled(1).learning_rate or 0
    return replace(recipe, learning_rate=rate / 10)


def compile_for(model: keras.Model, recipe: Recipe, steps: int, task: Task = "classes", labels: Any = None) -> None:
    """Compiles a model with the optimizer, schedule and loss of a recipe; classes are one-hot.

    Example:

        training = training.with_(one_hot=True)
        recipe = keras_resnet.training.Recipe(optimizer="sgd")
        keras_resnet.training.compile_for(model, recipe, steps=2 * len(training))
        model.fit(training, epochs=2, shuffle=False)

    Args:
        model: a model that returns probabilities or logits, (N, classes), or numbers, (N, targets). It is compiled in
            place, and its layers use faster operations from then on (see `keras_resnet.optimize_for_training`).
        recipe: the settings. Its `epochs`, `patience` and phases are not used here: pass epochs to `fit`.
        steps: the number of steps of the whole training, over which the learning rate warms up and decays.
        task: what the model predicts: "classes", "labels" (any number an image) or "regression".
        labels: those of the training images. Of "regression", (N, targets): errors are divided by their standard
            deviations, so that targets of all units count alike; None: they are not. Of "labels", (N, labels): needed
            where the recipe balances the loss: having a label and not having it then count the same in all.

    Raises:
        ValueError: if the task has no such loss, or if a model of classes returns one number per image, whose loss
            would always be zero; the model does not change.
    """
    kind = outputs_of(model)
    balance = task == "labels" and recipe.balance in (True, "loss")
    loss = loss_of(task, recipe.loss, kind == "logits", recipe.label_smoothing, labels, balance)
    if task == "classes" and has_graph(model) and any(output.shape[-1] == 1 for output in model.outputs):
        raise ValueError(
            f"`model` must return (N, classes), since labels are one-hot; {model.name!r} has one output per image. For "
            "two classes, end the model in Dense(2, activation='softmax')."
        )
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
    if any(layer.compute_dtype == "float16" for layer in (model, *walk_layers(model).values())):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, loss, metrics=metrics_of(task, labels))
    optimize_for_training(model)
