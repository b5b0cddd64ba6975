"""Checkpoints of Keras 2 in TensorFlow's format: the names of layers stand in a graph of objects beside the tensors."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import RESNET50
from keras_resnet.architecture.variant import Stem
from keras_resnet.checkpoints.formats.tensorflow.bundle import Bundle
from tests.checkpoints.formats.torch.test_damage import damaged
from tests.helpers.bounds import bounded
from tests.helpers.nets import assert_close, assert_same_weights, images, randomise, run, thin
from tests.helpers.tf_writer import GRAPH, Arrays, blob, object_graph, shape, write_v2

pytestmark = pytest.mark.one_backend
GOLDEN = Path(__file__).parents[2] / "goldens" / "keras2"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
SLOT = "/.OPTIMIZER_SLOT/optimizer/m"
TINY = thin(RESNET50, units=(1, 1, 1, 1), widths=(2, 2, 4, 4), stem=Stem(width=4))


def build(**arguments: Any) -> keras.Model:
    shared: dict[str, Any] = {"classes": 3, "style": "keras", "classifier_activation": None}
    return keras_resnet.ResNet(TINY, **shared | arguments)


def body(**arguments: Any) -> keras.Model:
    return build(include_top=False, **arguments)


def objects(model: keras.Model, path: str = "") -> tuple[Arrays, dict[str, str]]:
    """The tensors of a model by their paths through objects, and the full names of these."""
    arrays, names = {}, {}
    for number, layer in enumerate(layer for layer in model.layers if layer.weights):
        for weight in layer.weights:
            key = f"{path}layer_with_weights-{number}/{weight.name}{VALUE}"
            arrays[key] = keras.ops.convert_to_numpy(weight)
            names[key] = f"{layer.name}/{weight.name}"
    return arrays, names


def write(path: Path, arrays: Arrays, names: dict[str, str], **more: Any) -> Path:
    return write_v2(path, arrays | {GRAPH: object_graph(names)}, **more)


@pytest.mark.parametrize("name", ["", "cp-1.ckpt", "cp-1.ckpt.index"])
def test_what_keras_2_saved_computes_what_it_computed_there(name: str) -> None:
    variant = dataclasses.replace(TINY, units=(2, 1, 1, 1))
    model = keras_resnet.ResNet(
        variant, classes=3, style="keras", classifier_activation=None, input_shape=(None, None, 3)
    )
    report = keras_resnet.load_weights(model, GOLDEN / name)
    assert not report.left
    slots = [name for name in report.unused if ".OPTIMIZER_SLOT" in name]
    assert len(slots) == 2 * len(model.trainable_weights)
    assert all(name in slots or name.startswith("optimizer/") for name in report.unused)
    for side in (64, 65):
        assert_close(run(model, images(side, side)), np.load(GOLDEN / "cp-1.npz")[f"logits_{side}"], 1e-5)


@pytest.mark.parametrize("path", ["", "model/", "net/backbone/"])
def test_a_model_anywhere_in_a_checkpoint_is_found(path: str, tmp_path: Path) -> None:
    model = randomise(build())
    saved = write(tmp_path / "ckpt-1", *objects(model, path))
    assert_same_weights(build(weights=saved), model, 0)
    assert list(Bundle.open(saved).shapes) == sorted(f"{path}{weight.path}" for weight in model.weights)


def test_variables_of_an_optimizer_are_no_weights_whatever_their_names(tmp_path: Path) -> None:
    model, other = randomise(build()), randomise(build(), seed=1)
    arrays, names = objects(model)
    slots, slot_names = objects(other)
    arrays |= {key.replace(VALUE, SLOT + VALUE): value for key, value in slots.items()}
    names |= {key.replace(VALUE, SLOT + VALUE): name for key, name in slot_names.items()}
    listed = {f"optimizer/_variables/{i}{VALUE}": key for i, key in enumerate(slots)}
    arrays |= {key: slots[listed[key]] for key in listed}
    names |= {key: f"SGD/m/{slot_names[listed[key]]}" for key in listed}
    assert_same_weights(build(weights=write(tmp_path / "cp.ckpt", arrays, names)), model, 0)


def test_of_two_models_each_is_named_by_its_place(tmp_path: Path) -> None:
    left, right = randomise(body(name="left")), randomise(body(name="right"), seed=1)
    places = ["layer_with_weights-0/", "layer_with_weights-1/"]
    parts = [objects(model, place) for model, place in zip((left, right), places, strict=True)]
    saved = write(tmp_path / "pair", parts[0][0] | parts[1][0], parts[0][1] | parts[1][1])
    with pytest.raises(ValueError, match="several networks"):
        body(weights=saved)
    for model, place in zip((left, right), places, strict=True):
        found = body(name="other")
        keras_resnet.load_weights(found, saved, scope=place.rstrip("/"))
        assert_same_weights(found, model, 0)


@pytest.mark.parametrize(
    "rename",
    [
        lambda key, name: "",
        lambda key, name: name.rpartition("/")[2],  # Keras 3
        lambda key, name: f"conv2d_7/{name.rpartition('/')[2]}",  # numbered by a whole program
    ],
)
def test_an_object_graph_without_names_of_layers_is_refused(rename: Callable[[str, str], str], tmp_path: Path) -> None:
    arrays, names = objects(build())
    saved = write(tmp_path / "cp.ckpt", arrays, {key: rename(key, name) for key, name in names.items()})
    with pytest.raises(
        ValueError, match=r"cp\.ckpt.*without the names of layers.*save_weights\('model\.weights\.h5'\)"
    ):
        build(weights=saved)


def test_keys_of_keras_3_are_refused(tmp_path: Path) -> None:
    arrays, _ = objects(build())
    keys = {f"model/_layers/{i}/_kernel{VALUE}": value for i, value in enumerate(arrays.values())}
    with pytest.raises(ValueError, match="SavedModels and checkpoints of Keras 3"):
        build(weights=write(tmp_path / "ckpt-1", keys, dict.fromkeys(keys, "kernel")))


def test_two_tensors_of_one_name_and_one_described_twice_are_refused(tmp_path: Path) -> None:
    arrays, names = objects(build())
    one, other = [key for key in names if key.endswith(f"/kernel{VALUE}")][:2]
    with pytest.raises(ValueError, match="gives two tensors one name"):
        build(weights=write(tmp_path / "cp.ckpt", arrays, names | {one: names[other]}))
    twice = object_graph(names) + object_graph({one: names[other]})
    write_v2(tmp_path / "cp.ckpt", arrays | {GRAPH: twice})
    with pytest.raises(ValueError, match=f"describes '{one}' twice"):
        build(weights=tmp_path / "cp.ckpt")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": 21}, "is no string"),
        ({"shape": shape(1)}, "is no string"),
        ({"size": 1 << 40}, "more than any network needs"),
        ({"size": 90}, "can't be of"),
        ({"start": 1 << 40}, "truncated"),
        ({"crc": 7}, "the checksum of '_CHECKPOINTABLE_OBJECT_GRAPH' is wrong"),
        ({"raw": b"\xff" * 9}, "can't be of|truncated|64 bits"),
    ],
)
def test_a_wrong_entry_of_the_object_graph_is_refused(changes: Any, reason: str, tmp_path: Path) -> None:
    arrays, names = objects(build())
    saved = write(tmp_path / "cp.ckpt", arrays, names, edit=lambda entry: entry.update(changes))
    with pytest.raises(ValueError, match=f"cp.ckpt.* can't be read as a TensorFlow checkpoint: .*({reason})"):
        build(weights=saved)


def few(count: int = 12) -> tuple[Arrays, dict[str, str]]:
    arrays, names = objects(randomise(build()))
    return {key: arrays[key] for key in [*names][:count]}, {key: names[key] for key in [*names][:count]}


def test_damage_of_an_object_graph_is_refused_or_changes_no_weight(tmp_path: Path) -> None:
    """Whatever it says, with checksums that are right: a name that was there is that of its tensor, or another's."""
    arrays, names = few()
    whole, errors, values = object_graph(names), [], sorted(array.tobytes() for array in arrays.values())
    for seed in range(400):
        path = write_v2(tmp_path / "cp.ckpt", arrays | {GRAPH: damaged(whole, random.Random(seed))})
        try:
            with bounded(len(whole)):
                bundle = Bundle.open(path)
        except ValueError as error:
            errors.append(str(error))
        else:
            assert sorted(bundle.read(name).tobytes() for name in bundle.shapes) == values, seed
            assert all(name in arrays or not name.endswith(VALUE) for name in bundle.shapes), seed
    assert all(error.startswith(f"'{path}' can't be read as a TensorFlow checkpoint: ") for error in errors)
    assert 100 < len(errors) < 400


def test_an_object_graph_of_much_else_takes_bounded_time_and_memory(tmp_path: Path) -> None:
    arrays, names = few()
    others = b"".join(blob(1, blob(2, blob(2, b"a/b") + blob(3, b"%d" % i))) for i in range(20_000))
    path = write_v2(tmp_path / "cp.ckpt", arrays | {GRAPH: object_graph(names) + others})
    with bounded(len(others)):
        assert "conv1_conv/kernel" in Bundle.open(path).shapes
