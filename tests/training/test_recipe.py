"""Recipes: what they accept, and what they make of optimizer, rate and loss."""

import functools
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import training
from keras_resnet.architecture.rows import RESNET20V2
from keras_resnet.architecture.variant import Stem
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.transfer import classifier
from tests.helpers.nets import thin

pytestmark = pytest.mark.one_backend
FEW = thin(RESNET20V2, name="few", units=(1, 1), widths=(4, 8), stem=Stem(3, 4, stride=1, pool=False))


@pytest.fixture
def compiled() -> Any:
    """Compiles a new model by a recipe for 100 steps, and returns it and its optimizer."""

    def make(**arguments: Any) -> tuple[keras.Model, Any]:
        model = classifier(functools.partial(keras_resnet.ResNet, FEW), 3, 8)
        training.compile_for(model, Recipe(**arguments), 100)
        model.optimizer.build(model.trainable_variables)
        return model, model.optimizer

    return make


def test_the_rate_warms_up_and_decays_as_a_cosine(compiled: Any) -> None:
    for optimizer, peak in (("adamw", 1e-3), ("sgd", 0.05)):
        _, found = compiled(optimizer=optimizer)
        schedule = found._learning_rate
        rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(101)]
        assert rates[0] == 0
        assert rates[5] == pytest.approx(peak)
        np.testing.assert_allclose(rates[5:], [peak * (1 + np.cos(np.pi * t / 95)) / 2 for t in range(96)], atol=1e-7)
        assert rates[:5] == pytest.approx([peak * t / 5 for t in range(5)])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weight_decay_takes_off_of_kernels_alone(optimizer: str, compiled: Any) -> None:
    model, found = compiled(optimizer=optimizer, weight_decay=0.1, learning_rate=0.5)
    found.iterations.assign(5)  # the rate is at its peak
    for weight in model.trainable_variables:
        weight.assign(np.ones(weight.shape))
    found.apply([keras.ops.zeros(weight.shape) for weight in model.trainable_variables], model.trainable_variables)
    for weight in model.trainable_variables:
        shrunk = 1 - 0.5 * 0.1 if weight.path.endswith("kernel") else 1
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), shrunk, rtol=1e-6)


def test_a_recipe_reaches_loss_optimizer_and_fit(compiled: Any) -> None:
    model, found = compiled(optimizer="sgd", label_smoothing=0.3, clip_norm=2.0)
    assert model.loss.label_smoothing == 0.3
    assert found.global_clipnorm == 2.0
    assert (found.momentum, found.nesterov) == (0.9, True)
    assert compiled()[1].global_clipnorm is None
    with pytest.raises(ValueError, match="`Recipe.optimizer` must be one of 'adamw', 'sgd'.*'adam'"):
        Recipe(optimizer="adam")  # type: ignore[arg-type]


def test_a_recipes_fields_are_checked() -> None:
    fields: list[tuple[str, Any]] = [
        ("epochs", 0),
        ("patience", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("clip_norm", -1.0),
        ("weight_decay", -0.1),
        ("label_smoothing", 1.0),
        ("seed", -1),
        ("seed", 1.5),
    ]
    for field, value in fields:
        with pytest.raises(ValueError, match=f"`Recipe.{field}` must .*; received"):
            Recipe(**{field: value})
    assert Recipe(weight_decay=0.0).filled(10).weight_decay == 0
