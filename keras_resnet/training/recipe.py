"""Recipes of training: optimizer, learning rate schedule, loss, weight decay; and a model compiled by one."""

from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import keras

from keras_resnet.graph.optimize import optimize_for_training
from keras_resnet.models.functional import has_graph
from keras_resnet.models.inspection import walk_layers
from keras_resnet.models.outputs import outputs_of
from keras_resnet.utils.errors import check_choices, check_positive, check_rate

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
        """Returns the recipe with the defaults that depend on other fields and on the steps in an epoch."""
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
    """Returns the recipe at a tenth of its rate, as weights want it that have learnt already."""
    rate = recipe.filled(1).learning_rate or 0
    return replace(recipe, learning_rate=rate / 10)


def compile_for(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compiles a classifier for so many steps as a recipe says, and optimizes it for training; labels are one-hot.

    Example:

        keras_resnet.training.compile_for(model, Recipe(optimizer="sgd"), steps=20 * len(training))
        model.fit(training, epochs=20, shuffle=False)

    Args:
        model: returns probabilities (N, classes), or logits, which its graph tells. It is compiled in place, and its
            layers compute by quicker operations from now on (`keras_resnet.optimize_for_training`).
        recipe: how to train; its epochs and phases are `fit`'s.
        steps: of the whole training, over which the rate warms up and decays.

    Raises:
        ValueError: if the model has one output, of which the loss would be zero; it stays as it was.
    """
    kind = outputs_of(model)
    if has_graph(model) and any(output.shape[-1] == 1 for output in model.outputs):
        raise ValueError(
            f"`model` must return (N, classes), for labels are one-hot; {model.name!r} has one output. For two classes "
            "end it in Dense(2, activation='softmax')."
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
    loss = keras.losses.CategoricalCrossentropy(kind == "logits", recipe.label_smoothing)
    model.compile(optimizer, loss, metrics=["accuracy"])
    optimize_for_training(model)
