"""ResNet-RS and `Classifiers`: the arguments, names and rates of Keras 2's libraries."""

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import resnet_rs
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.classification_models import Classifiers
from tests.helpers.nets import thin

pytestmark = pytest.mark.one_backend
DEPTHS = {50: 0.25, 101: 0.25, 152: 0.25, 200: 0.25, 270: 0.25, 350: 0.4, 420: 0.4}


@pytest.mark.parametrize("depth", DEPTHS)
def test_resnet_rs_has_the_arguments_of_tf_keras_in_its_order(depth: int) -> None:
    build = getattr(resnet_rs, f"ResNetRS{depth}")
    assert build is getattr(keras_resnet, f"ResNetRS{depth}")
    parameters = inspect.signature(build).parameters
    expected = {"include_top": True, "weights": "imagenet", "classes": 1000, "input_shape": None, "input_tensor": None}
    expected |= {"pooling": None, "classifier_activation": "softmax", "include_preprocessing": True}
    positional = {name: each.default for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD}
    assert list(positional.items()) == list(expected.items())
    assert parameters["name"].default == f"resnet-rs-{depth}"


def drops(model: keras.Model) -> dict[str, list[float]]:
    """Rates of dropout by stage, and in front of the classifier."""
    found: dict[str, list[float]] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            found.setdefault(layer.name.partition("_")[0], []).append(layer.rate)
    return found


@pytest.mark.parametrize(("depth", "top"), [(50, True), (200, True), (350, True), (200, False)])
def test_rates_are_those_of_tf_keras(depth: int, top: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    build: Any = getattr(keras_resnet, f"ResNetRS{depth}")
    given: dict[str, Any] = {}
    monkeypatch.setattr("keras_resnet.models.networks.ResNet", lambda *args, **more: given.update(more))
    build(top, None)
    assert given["dropout"] == (DEPTHS[depth] if top else 0.0)
    assert given["drop_path"] == ((0.04, 0.06, 0.08, 0.1) if depth > 152 else 0.0)
    build(top, None, dropout=0.0, drop_path=0.3)
    assert (given["dropout"], given["drop_path"]) == (0.0, 0.3)


def test_drop_path_is_one_rate_or_one_for_each_stage() -> None:
    row = thin(NETWORKS["resnetrs50"])
    model = keras_resnet.ResNet(row, drop_path=(0.1, 0.0, 0.3, 0.4), dropout=0.5, input_shape=(32, 32, 3))
    assert drops(model) == {"conv2": [0.1] * 2, "conv4": [0.3] * 2, "conv5": [0.4] * 2, "top": [0.5]}
    wrong: tuple[tuple[Any, str], ...] = (
        ((0.1, 0.2), "one for each of the 4 stages of resnetrs50"),
        ((0.1, 0.2, 0.3, 1.0), r"`drop_path` must lie in \[0, 1\); received 1.0"),
        ("0.1", r"`drop_path` must lie in \[0, 1\)"),
    )
    for rates, message in wrong:
        with pytest.raises(ValueError, match=message):
            keras_resnet.ResNet(row, drop_path=rates)


def test_a_resnet_rs_takes_raw_pixels_unless_told_otherwise() -> None:
    images = np.arange(12.0).reshape(1, 2, 2, 3)
    assert resnet_rs.preprocess_input(images) is images
    names = {layer.name for layer in keras_resnet.ResNetRS50(False, None, input_shape=(32, 32, 3)).layers}
    assert "preprocess" in names
    plain = keras_resnet.ResNetRS50(False, None, input_shape=(32, 32, 3), include_preprocessing=False)
    assert "preprocess" not in {layer.name for layer in plain.layers}
    norms = [layer for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.99, 1e-5)}


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("ResNetRS101", "imagenet-i100", "at this size, but 'imagenet-i160', 'imagenet-i192'"),
        ("ResNetRS101", "imagenet-i0", "must be"),
        ("ResNet50", "imagenet-i224", "no published weights for resnet50. Pass"),
    ],
)
def test_a_size_without_weights_is_refused(name: str, weights: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(keras_resnet, name)(weights=weights)


@pytest.mark.parametrize("name", ["resnet18", "SEResNet18", "resnext50", "seresnet50"])
def test_classifiers_have_the_arguments_of_image_classifiers(name: str) -> None:
    build, preprocess = Classifiers.get(name)
    assert name.lower() in Classifiers.models_names()
    model = build((64, 64, 3), None, None, 5)
    assert (model.name, model.output_shape) == (name.lower(), (None, 5))
    body = build(input_shape=(64, 64, 3), include_top=False, pooling="avg", name=None)
    assert (body.name, len(body.output_shape)) == (name.lower(), 2)
    pixels = np.full((1, 2, 2, 3), 128, "uint8")
    scaled = np.array(pixels, "float32")
    if name == "seresnet50":
        scaled = (scaled / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    assert np.allclose(preprocess(pixels), scaled, atol=1e-5)


def test_classifiers_know_their_weights_dropout_and_what_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def build(*args: Any, **more: Any) -> None:
        given.append((args[2], more.get("dropout")))

    monkeypatch.setattr("keras_resnet.models.classification_models.ResNet", build)
    for name, weights, top in (
        ("resnet50", "imagenet11k-places365ch", True),
        ("resnet50", "imagenet11k-places365ch", False),
        ("resnet50", "imagenet", True),
        ("senet154", None, True),
        ("senet154", None, False),
    ):
        Classifiers.get(name)[0](weights=weights, include_top=top)
    key = "classification_models/resnet50.imagenet11k-places365ch"
    assert given == [(key, None), (f"{key}.notop", None), ("imagenet", None), (None, 0.2), (None, None)]
    with pytest.raises(ValueError, match="received 'vgg16'. Networks that are no ResNets are in keras.applications"):
        Classifiers.get("vgg16")
    assert Classifiers.get("resnet50v2")[0](input_shape=(64, 64, 3)) is None
