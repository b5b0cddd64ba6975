"""What `keras_resnet.distribution` decides before anything trains: shares, refusals, what a launcher told.

`tests/devices` shows that several devices come to what one does.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnet
from keras_resnet import data, distribution
from keras_resnet.cli.launch import processes_for
from keras_resnet.data.augment import mix
from keras_resnet.training import Recipe, replicas, train
from keras_resnet.training import distribution as inner
from keras_resnet.training.distribution import Place

pytestmark = pytest.mark.one_backend

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_started", "_copies"):
        monkeypatch.setattr(inner, name, [])
    for name in ("_shared", "_whole"):
        monkeypatch.setattr(inner, name, set())


def stand(monkeypatch: pytest.MonkeyPatch, *place: int) -> None:
    monkeypatch.setattr(inner, "_started", [Place(*place)])


# Shares


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
def test_shares_make_up_the_batch(count: int, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    for rank in range(processes):
        stand(monkeypatch, rank, processes, processes)
        found += distribution.share(count)
    assert found == list(range(count))


@pytest.mark.parametrize("augment", ["none", "light", "strong"])
@pytest.mark.parametrize("how", [{}, {"workers": 1}, {"balance": "sampling"}, {"balance": "loss"}])
@pytest.mark.parametrize("processes", [2, 3, 5])
def test_processes_read_the_rows_of_the_batch(
    augment: str, how: dict[str, Any], processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those whose partner in MixUp another process has, and none where there are more processes than images."""
    files = []
    for number in range(11):
        files.append(tmp_path / f"{number}.npy")
        np.save(files[-1], RNG.integers(0, 256, (8, 8, 3)).astype("uint8"))
    labels = np.arange(11) % 3
    whole = data.Pictures(files, labels, "abc", 8, 9, seed=1, augment=augment, one_hot=True, **how)
    shared = whole.with_(share=distribution.share)
    for epoch in range(2):
        whole.set_epoch(epoch)
        shared.set_epoch(epoch)
        for index in range(len(whole)):
            parts = []
            for rank in range(processes):
                stand(monkeypatch, rank, processes, processes)
                parts.append(shared[index])
            for expected, *found in zip(whole[index], *parts, strict=True):
                rounding = 3e-7 * (expected.ndim == 1)  # weights are a product of matrices, of other shapes
                np.testing.assert_allclose(np.concatenate(found), expected, rtol=rounding)
                assert {each.dtype for each in found} == {expected.dtype}


def test_a_process_reads_no_more_than_its_share_and_its_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def crop(picture: int) -> Any:
        read.append(picture)
        return np.zeros((8, 8, 3))

    images = data.Pictures(range(12), np.zeros(12), ["a"], 8, 12, crop=crop, share=distribution.share)
    stand(monkeypatch, 1, 2, 2)
    assert images[0][0].shape == (6, 8, 8, 3)
    assert read == list(range(6, 12))


def test_images_are_mixed_by_twos() -> None:
    images = np.arange(5, dtype="float32")[:, None, None, None] * np.ones((5, 4, 4, 3), "float32")
    for seed in range(8):
        _, labels = mix(images, np.eye(5, dtype="float32"), np.random.default_rng(seed))
        pairs: list[set[int]] = [{0, 1}, {0, 1}, {2, 3}, {2, 3}, {4}]
        assert all(set(np.flatnonzero(row)) <= pair for row, pair in zip(labels, pairs, strict=True))
        assert labels[4, 4] == 1


def test_jax_divides_what_devices_divide_and_tells_what_it_would_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(1, 2, 4)
    assert inner._jax_share(16, place) == range(8, 16)
    assert inner._jax_share(7, place) == range(7)
    assert inner._jax_share(12, place) == range(6, 12)
    with pytest.raises(ValueError, match=r"`batch_size` must be another one: here a batch of 6 images .* of 12,"):
        inner._jax_share(6, place)
    assert inner._jax_share(32, place) == range(16, 32)


# What starts, and what does not


@pytest.mark.parametrize("devices", [0, -1, 2.0, "two", True])
def test_devices_are_a_number_or_all(devices: Any) -> None:
    with pytest.raises(ValueError, match="`devices` must be None, 'all' or an int of at least 1; received"):
        distribution.start(devices)


def test_one_device_is_started_once() -> None:
    assert distribution.here() == Place()
    assert distribution.start("all") == distribution.start() == distribution.start(1) == Place(0, 1, 1)
    with pytest.raises(ValueError, match="`devices` must stay 1, which it was started with; received 2"):
        distribution.start(2)


def test_a_process_of_pytorch_has_one_device() -> None:
    with pytest.raises(ValueError, match=r"`devices` must be 1 in a process of PyTorch.*torchrun --nproc-per-node 2"):
        distribution.start(2)
    assert distribution.here() == Place()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK and MASTER_ADDR and MASTER_PORT must be set where WORLD_SIZE is"),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "MASTER_ADDR and MASTER_PORT must be set"),
    ],
)
def test_half_a_launcher_is_told(variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distribution.start()


def test_what_a_launcher_started_does_not_train_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    digits = data.digits(16, 8, one_hot=True).part(range(100)).split()
    model = keras_resnet.transfer.classifier(keras_resnet.ResNet20, 10, 16)
    splits = data.Splits(*digits, test=None, leaks=[])
    with pytest.raises(ValueError, match=r"A launcher started this process .* call\s+keras_resnet.distribution.start"):
        train(model, splits, tmp_path / "run", Recipe(epochs=1))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_tasks_that_know_nothing_of_each_other_do_not_train(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "4")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert processes_for(None) == 0
    with pytest.raises(ValueError, match="A launcher started 4 processes, which would each train alone: torchrun"):
        distribution.start()


def test_torchrun_starts_no_other_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="torchrun starts processes of PyTorch; this one has KERAS_BACKEND="):
        inner._refuse_torchrun()


def test_the_command_starts_a_process_for_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (processes_for(None), processes_for("all"), processes_for(1), processes_for(3)) == (0, 0, 0, 3)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert (processes_for(None), processes_for("all"), processes_for(1), processes_for(3)) == (4, 4, 0, 3)
    with pytest.raises(ValueError, match="`devices` must be at most 4, as many as there are GPUs; received 5"):
        processes_for(5)
    monkeypatch.setenv("WORLD_SIZE", "4")  # it is one of them
    assert processes_for(4) == 0


def alone(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KERAS_BACKEND": "torch", **variables}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)


def test_a_closed_port_is_told() -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    launched = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ended = alone("from keras_resnet.training.replicas_torch import join; join(2)", **launched)
    assert f"ValueError: The first process of the training can't be reached at 127.0.0.1:{port}" in ended.stderr


def test_tensorflow_says_that_it_has_one_process() -> None:
    pytest.importorskip("tensorflow")
    config = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
    ended = alone("import keras_resnet.distribution as d; d.start()", KERAS_BACKEND="tensorflow", TF_CONFIG=config)
    assert "ValueError: TF_CONFIG names several workers, and Keras 3 does not train with" in ended.stderr


# What can't be spread


def built(*stack: keras.Layer, loss: Any = "mse", kind: type[keras.Model] = keras.Model) -> keras.Model:
    x = image = keras.Input((4, 4, 3))
    for layer in stack:
        x = layer(x)
    model = kind(image, x, name="own")
    model.compile("sgd", loss)
    return model


class OwnStep(keras.Model):  # type: ignore[misc]
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class OwnNorm(layers.BatchNormalization):  # type: ignore[misc]
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(inputs, training=training, mask=mask)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: built(layers.GaussianNoise(0.1)), "is a random layer, GaussianNoise, and each device would draw"),
        (lambda: built(layers.SpatialDropout2D(0.1)), "is a random layer, SpatialDropout2D"),
        (lambda: built(keras.Sequential([layers.GaussianNoise(0.1)])), "is a random layer"),
        (lambda: built(layers.BatchNormalization(renorm=True)), "is a batch norm whose statistics can't be those"),
        (lambda: built(OwnNorm()), "is a batch norm whose statistics can't be those"),
        (lambda: built(kind=OwnStep), "must train by Keras' own steps to be spread; 'own' has a `train_step`"),
        (lambda: built(loss=keras.losses.MeanSquaredError(reduction="sum")), "must be a mean over the images.*'sum'"),
        (lambda: built(loss=keras.losses.Dice()), "must have a number for each image to be spread; .*dice"),
        (lambda: built(loss=lambda y, p: keras.ops.max(y - p)), "must have a number for each image to be spread"),
    ],
)
def test_what_would_differ_without_a_word_is_refused(model: Any, message: str) -> None:
    def check(made: keras.Model) -> None:
        replicas.check_layers(made, True)
        replicas.check_losses(made)

    with pytest.raises(ValueError, match=message):
        check(model())


def test_what_does_not_differ_is_taken() -> None:
    for loss in ("mse", "sparse_categorical_crossentropy", keras.losses.Dice(axis=(1, 2, 3)), lambda y, p: abs(y - p)):
        replicas.check_losses(built(loss=loss))
    model = built(layers.Dropout(0.5), layers.SpatialDropout2D(0.0), layers.BatchNormalization(), OwnNorm())
    replicas.check_layers(model, norm_sync=False)


def test_what_stood_before_a_method_is_taken_away() -> None:
    model = keras_resnet.optimize_for_training(built(layers.BatchNormalization(), layers.Dropout(0.5)))
    owners = [model, *replicas.each_layer(model), model.optimizer]
    before = [vars(owner).copy() for owner in owners]
    for owner, method in zip(owners, ("train_step", "call", "call", "call", "apply"), strict=True):
        for _ in range(2):
            replicas.stand_before(owner, method, lambda owner, usual, *arguments: usual(*arguments))
        assert isinstance(vars(owner)[method], replicas.Spread)
    replicas.unspread(model)
    for owner, kept in zip(owners, before, strict=True):
        assert {name: vars(owner).get(name) for name in kept} == kept
        assert not any(isinstance(value, replicas.Spread) for value in vars(owner).values())


def test_only_compiled_models_are_spread() -> None:
    with pytest.raises(ValueError, match="`model` must be a built and compiled keras.Model; received Functional"):
        distribution.spread(keras.Sequential([keras.Input((2,)), layers.Dense(1)])._functional)


def test_batches_have_an_image_for_each_device(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    stand(monkeypatch, 0, 1, 4)
    with pytest.raises(ValueError, match="`batch_size` must be at least the number of devices, 4; received 3"):
        inner.check_batches(100, 3)
    with pytest.raises(ValueError, match=r"at least one image for each device with norm_sync=False.* Here that has 2"):
        inner.check_batches(10, 8, norm_sync=False)
    inner.check_batches(10, 8)
    inner.check_batches(12, 8, norm_sync=False)
