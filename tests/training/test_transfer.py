"""Networks for new classes: what is taken over, what stays as it was, and what it gains."""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import data, evaluation, labels, training
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18V2, RESNET20, RESNET20V2, RESNET50
from keras_resnet.architecture.variant import Stem
from keras_resnet.training import transfer
from keras_resnet.training.recipe import Recipe
from tests.helpers.kinds import KINDS
from tests.helpers.nets import randomise, thin

once = pytest.mark.one_backend
TINY: dict[str, Any] = {"units": (1, 1), "widths": (8, 16), "stem": Stem(3, 8, stride=1, pool=False)}


def build(variant: Any = RESNET20V2, **fields: Any) -> Any:
    return functools.partial(keras_resnet.ResNet, thin(variant, name="tiny", **TINY | fields))


def weights_of(model: keras.Model) -> dict[str, Any]:
    return {weight.path: np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights}


def changed(before: dict[str, Any], model: keras.Model) -> set[str]:
    """The layers of which some weight is another, by any bit."""
    after = weights_of(model)
    return {path.split("/")[0] for path, value in before.items() if not np.array_equal(value, after[path])}


@pytest.mark.parametrize("variant", [RESNET20V2, pytest.param(RESNET50, marks=once)], ids=lambda variant: variant.name)
def test_what_is_frozen_stays_bit_for_bit_the_norms_statistics_too(variant: Any) -> None:
    model = randomise(transfer.classifier(build(variant), 3, 8))
    pictures = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype("float32")
    truth = np.eye(3, dtype="float32")[[0, 1, 2] * 2]
    for before, learns in ((None, {"predictions"}), ("conv3", {"predictions", "conv3"}), ("conv1", None)):
        transfer.freeze(model, before)
        training.compile_for(model, Recipe(learning_rate=0.1), 4)
        old = weights_of(model)
        model.fit(pictures, truth, epochs=4, batch_size=6, verbose=0)
        convolutions = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
        moved = changed(old, model)
        assert moved == {name for name in convolutions | {"predictions"} if not learns or name.split("_")[0] in learns}
        assert not any("bn" in name for name in moved)


@once
@pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
def test_every_layer_of_every_kind_of_network_freezes_with_its_stage(variant: Any) -> None:
    """Stems of several convolutions, a pool that is one, gates and group norms; batch norms never learn."""
    network, model = plan(variant), transfer.classifier(variant, 3, 64)
    stages = [{"conv1"}, *({stage[0].stage} for stage in network.stages)]
    held = {f"{conv.name}_conv" for conv in network.convs()}
    held |= {norm.name for norm in network.norms() if norm.kind == "group"}
    assert transfer.stages(model) == tuple(min(stage) for stage in stages)
    for before in (None, *transfer.stages(model)):
        transfer.freeze(model, before)
        learns = {layer.name for layer in model.layers if layer.trainable_weights}
        first = int(before[-1]) if before else 9
        expected = {name for name in held if name[:4] in ("conv", "pool") and int(name[4]) >= first}
        assert learns == {"predictions"} | expected | ({"post_gn"} & held if before else set())


@once
def test_freezing_names_the_stages_that_there_are() -> None:
    model = transfer.classifier(build(), 3, 8)
    with pytest.raises(ValueError, match="`before` must be one of 'conv1', 'conv2', 'conv3'; received 'conv5'"):
        transfer.freeze(model, "conv5")
    with pytest.raises(ValueError, match="a classifier, 'predictions'; 'tiny' has none"):
        transfer.freeze(build()(include_top=False, weights=None))


@once
@pytest.mark.parametrize("kind", ["model.keras", "named.keras", "model.weights.h5", "body.weights.h5"])
def test_a_body_is_taken_from_any_file_of_the_network_and_the_top_is_new(kind: str, tmp_path: Path) -> None:
    source = randomise(transfer.classifier(build(), 5, 8))
    if kind == "model.weights.h5":
        source.save_weights(tmp_path / kind)
    elif kind == "body.weights.h5":
        keras.Model(source.input, source.get_layer("avg_pool").output).save_weights(tmp_path / kind)
    else:
        found = labels.with_class_names(source, "abcde") if kind == "named.keras" else source
        found.compile("adam", "mse")
        found.save(tmp_path / kind)
    model = transfer.classifier(build(), 3, (8, 12), tmp_path / kind, dropout=0.5, classifier_activation=None)
    assert model.input_shape == (None, 8, 12, 3)
    assert model.output_shape == (None, 3)
    assert model.get_layer("top_dropout").rate == 0.5
    theirs, mine = weights_of(source), weights_of(model)
    assert {path for path in mine if mine[path].shape != theirs[path].shape} == {
        "predictions/kernel",
        "predictions/bias",
    }
    for path in mine:
        if "predictions" not in path:
            np.testing.assert_array_equal(mine[path], theirs[path])


@once
def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    build(RESNET50)(weights=None).save(tmp_path / "bottlenecks.keras")
    with pytest.raises(ValueError, match="does not fit"):
        transfer.classifier(build(), 3, 8, tmp_path / "bottlenecks.keras")
    with pytest.raises(ValueError, match="there are no published weights for tiny"):
        transfer.classifier(build(), 3, 8, "imagenet")
    wrong: dict[str, Any]
    for wrong in ({"dropout": 2}, {"global_pool": 1}, {"classifier_activation": "softmacks"}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):  # before weights are looked at
            transfer.classifier(build(), 3, 8, "nowhere", **wrong)


def digits(keep: Any, batch_size: int, seed: int | None = None) -> data.Pictures:
    """Some of scikit-learn's digits 0 to 4."""
    every = data.digits()
    chosen = [every.pictures[index] for index in keep]
    return data.Pictures(chosen, every.labels[keep], "01234", 16, batch_size, seed, one_hot=True)


@once
def test_few_steps_an_epoch_get_norms_that_keep_up() -> None:
    """The keras lineage's momentum, 0.99, remembers a hundred steps; these runs have fifty."""
    model = transfer.classifier(build(), 5, 8)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momentum = norms[0].momentum
    assert transfer.quicken_norms(model, 1000) is None
    assert {norm.momentum for norm in norms} == {momentum}
    norms[0].trainable = False
    assert transfer.quicken_norms(model, 20) == 0.75
    assert [norm.momentum for norm in norms] == [momentum] + [0.75] * (len(norms) - 1)
    assert transfer.quicken_norms(model, 2) == 0.5

    every = np.flatnonzero(data.digits().labels < 5)
    pictures, new = digits(every[::3], 32, seed=0), digits(every[1::3], 256)
    accuracies = {}
    for quick in (True, False):
        keras.utils.set_random_seed(0)
        model = transfer.classifier(build(RESNET20), 5, 16, style="keras")
        if quick:
            assert transfer.quicken_norms(model, len(pictures)) == 0.5
        training.compile_for(model, Recipe(learning_rate=1e-2), 5 * len(pictures))
        model.fit(pictures, epochs=5, shuffle=False, verbose=0)
        accuracies[quick] = model.evaluate(new, verbose=0)[1]
    assert accuracies[True] > 0.9
    assert accuracies[False] < 0.7


def hidden_digits() -> list[np.ndarray[Any, Any]]:
    """Scikit-learn's digits, one and a half times as large, somewhere in 24x24 pixels of noise."""
    rng, found = np.random.default_rng(0), []
    for digit in data.digits().pictures:
        picture = rng.integers(0, 101, (24, 24)).astype("uint8")
        y, x = rng.integers(0, 13, 2)
        place = picture[y : y + 12, x : x + 12]
        np.maximum(place, np.asarray(Image.fromarray(digit).resize((12, 12))), out=place)
        found.append(picture)
    return found


@once
def test_transfer_from_digits_0_to_4_to_5_to_9_beats_training_from_scratch(tmp_path: Path) -> None:
    """With 20 pictures a class and as many epochs, by 15 points and more in the mean of three seeds."""
    few = build(RESNET20, units=(1, 1, 1), widths=(16, 32, 64), stem=RESNET20.stem)
    truth, hidden = data.digits().labels, hidden_digits()

    def pictures(keep: Any, first: int, batch_size: int, seed: int | None = None) -> data.Pictures:
        chosen = [hidden[index] for index in keep]
        return data.Pictures(chosen, truth[keep] - first, "abcde", 24, batch_size, seed, one_hot=True)

    def fit(model: keras.Model, training_set: data.Pictures, recipe: Recipe) -> None:
        transfer.quicken_norms(model, len(training_set))
        training.compile_for(model, recipe, (recipe.epochs or 0) * len(training_set))
        model.fit(training_set, epochs=recipe.epochs, shuffle=False, verbose=0)

    keras.utils.set_random_seed(0)
    model = transfer.classifier(few, 5, 24)
    fit(model, pictures(np.flatnonzero(truth < 5), 0, 32, seed=0), Recipe(epochs=12, learning_rate=3e-3))
    model.save(tmp_path / "low.keras")
    pretrained = weights_of(model)

    scratch, transferred = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        some = np.concatenate([rng.permutation(np.flatnonzero(truth == digit))[:20] for digit in range(5, 10)])
        shown, new = pictures(some, 5, 20, seed), pictures(np.setdiff1d(np.flatnonzero(truth >= 5), some), 5, 256)
        keras.utils.set_random_seed(seed)
        model = transfer.classifier(few, 5, 24)
        fit(model, shown, Recipe(epochs=20))
        scratch.append(evaluation.evaluate(model, new).accuracy())
        model = transfer.classifier(few, 5, 24, tmp_path / "low.keras")
        transfer.freeze(model)
        fit(model, shown, recipe := Recipe(epochs=10, freeze=True))
        transfer.freeze(model, before="conv2")
        fit(model, shown, training.fine_tuning(recipe))
        transferred.append(evaluation.evaluate(model, new).accuracy())
        now = weights_of(model)
        statistics = [path for path in now if "moving" in path]
        assert len(statistics) == 14
        assert all(np.array_equal(now[path], pretrained[path]) for path in statistics)
        assert not np.array_equal(now["conv4_block1_2_conv/kernel"], pretrained["conv4_block1_2_conv/kernel"])
    print(f"{transferred=} {scratch=}")
    assert np.mean(transferred) >= np.mean(scratch) + 0.15


@once
def test_a_network_for_new_classes_goes_by_its_name_or_row() -> None:
    for what in ("resnetv2_18", RESNET18V2):
        model = transfer.classifier(what, 3, 32)
        assert (model.name, model.output_shape) == ("resnet18v2", (None, 3))


@once
def test_without_a_size_images_are_those_that_a_key_was_trained_for_else_of_any_size() -> None:
    def built(**arguments: Any) -> keras.Model:
        image = keras.Input(arguments["input_shape"])
        return keras.Model(image, keras.layers.ReLU()(image))

    for key, side in (("timm/resnet50.a3_in1k", 160), ("timm/resnet50.a1_in1k", 224), ("imagenet", None)):
        shape = transfer.classifier(built, 3, weights=key, data_format="channels_last").input_shape
        assert shape == (None, side, side, 3), key
    shape = transfer.regressor(built, 3, weights="keras/resnet-rs-50-i160", data_format="channels_first").input_shape
    assert shape == (None, 3, 160, 160)
    assert transfer.classifier(built, 3, 96, "timm/resnet50.a3_in1k", data_format="channels_last").input_shape[1] == 96
