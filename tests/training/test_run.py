"""Training runs: what they leave, and how they go on after a kill."""

import csv
import errno
import functools
import json
import os
import random
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import data, training
from keras_resnet.architecture.rows import RESNET20V2
from keras_resnet.architecture.variant import Stem
from keras_resnet.training import recorder, run_folder
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.resume import Resume
from keras_resnet.training.transfer import classifier
from keras_resnet.utils import files
from tests.helpers.nets import thin
from tests.helpers.pictures import SHAPES

once = pytest.mark.one_backend
pytestmark = pytest.mark.usefixtures("unpainted")
LEFT = {
    "model.keras",
    "labels.txt",
    "history.csv",
    "pictures.csv",
    "run.json",
    "curves.png",
    "confusion.png",
    "predictions.png",
} | {"report.md", "mistakes.csv", "precision_recall.png", "calibration.png"}
FEW = thin(RESNET20V2, name="few", units=(1, 1), widths=(4, 8), stem=Stem(3, 4, stride=1, pool=False))


class Killed(BaseException):
    """What nothing catches."""


def splits(count: int = 24, **arguments: Any) -> data.Splits:
    """Small pictures of three colours, in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    pictures = rng.integers(0, 160, (count, 8, 8, 3)).astype("uint8")
    for picture, label in zip(pictures, labels, strict=True):
        picture[..., label] += 90
    defaults: dict[str, Any] = {"seed": 0, "augment": "strong", "one_hot": True}
    return data.Splits(
        data.Pictures(list(pictures[6:]), labels[6:], SHAPES, 8, 6, **defaults | arguments),
        data.Pictures(list(pictures[:6]), labels[:6], SHAPES, 8, 6, one_hot=True),
        None,
        [],
    )


def build(**arguments: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    defaults: dict[str, Any] = {"dropout": 0.3, "drop_path": 0.3}
    return classifier(functools.partial(keras_resnet.ResNet, FEW), 3, 8, **defaults | arguments)


def run(out: Path, recipe: Recipe | None = None, resume: bool = True, **arguments: Any) -> list[np.ndarray[Any, Any]]:
    """The weights at the end."""
    model = build()
    training.train(model, splits(**arguments), out, recipe or Recipe(epochs=3), resume=resume)
    return [np.array(weight) for weight in model.get_weights()]


def best(out: Path) -> list[np.ndarray[Any, Any]]:
    return list(keras.models.load_model(out / "model.keras", compile=False).get_weights())


def assert_equal(actual: list[Any], expected: list[Any]) -> None:
    """Bit by bit."""
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray[Any, Any]]]:
    """A run that was never cut off."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, run(out, resume=False)


def assert_same_run(out: Path, weights: list[Any], whole: tuple[Path, list[Any]]) -> None:
    assert_equal(weights, whole[1])
    assert_equal(best(out), best(whole[0]))
    assert (out / "history.csv").read_text() == (whole[0] / "history.csv").read_text()
    assert {path.name for path in out.iterdir()} == LEFT


def assert_killed(kill: Any, *arguments: Any) -> None:
    """Starts a run that does not end by itself."""
    with pytest.MonkeyPatch.context() as patch:
        kill(patch)
        with pytest.raises(Killed):
            run(*arguments)


def kill_at_batch(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int) -> None:
    """Stops in the middle of an epoch."""

    def killing(self: Resume, index: int, logs: Any = None) -> None:
        if self.data and (self.data.epoch, index) == (epoch, batch):
            raise Killed

    monkeypatch.setattr(Resume, "on_train_batch_end", killing)


def kill_at_write(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    """Stops the so manieth time that a file is about to take its place, and leaves the half-written one."""
    left, replace = times, os.replace

    def killing(part: Path, path: Path) -> None:
        nonlocal left
        left -= path.name == name
        if not left:
            monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
            raise Killed
        replace(part, path)

    monkeypatch.setattr(os, "replace", killing)


def test_a_run_killed_in_an_epoch_and_again_while_writing_ends_with_the_same_weights(
    tmp_path: Path, whole: tuple[Path, list[Any]]
) -> None:
    """With dropout, drop path, strong augmentation and AdamW."""
    for kill in (
        functools.partial(kill_at_batch, epoch=1, batch=1),
        functools.partial(kill_at_write, name=".state.npz", times=1),  # of the second epoch
    ):
        assert_killed(kill, tmp_path / "run")
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 3
    assert_same_run(tmp_path / "run", run(tmp_path / "run"), whole)


WRITES = {"run.json": 3, "labels.txt": 1, "model.keras": 1, "history.csv": 1, ".state.npz": 3, "curves.png": 1} | {
    "confusion.png": 1,
    "predictions.png": 1,
    "mistakes.csv": 1,
    "report.md": 1,
}


@once
@pytest.mark.parametrize(("name", "times"), [(name, n) for name, most in WRITES.items() for n in range(1, most + 1)])
def test_a_kill_while_any_file_is_written_changes_nothing(
    name: str, times: int, tmp_path: Path, whole: tuple[Path, list[Any]]
) -> None:
    out = tmp_path / "run"
    assert_killed(functools.partial(kill_at_write, name=name, times=times), out)
    assert (out / f".part.{name}").is_file()
    weights = run(out)
    after = LEFT - {"model.keras", "labels.txt", "history.csv", "pictures.csv", "run.json"}
    trained = name in after or (name, times) == ("run.json", 3)
    assert_same_run(out, whole[1] if trained else weights, whole)


@once
def test_two_phases_and_early_stopping_go_on_after_a_kill(tmp_path: Path) -> None:
    recipe = Recipe(epochs=4, unfreeze_from="conv3", patience=1, learning_rate=1e-9)  # so that nothing gets better
    expected = run(tmp_path / "whole", recipe)
    with (tmp_path / "whole" / "history.csv").open() as file:
        phases = [row["phase"] for row in csv.DictReader(file)]
    assert phases == ["1", "1", "2", "2"]
    for epoch in range(4):
        assert_killed(
            functools.partial(kill_at_write, name=".state.npz", times=2 + epoch), tmp_path / f"{epoch}", recipe
        )
        assert_same_run(tmp_path / f"{epoch}", run(tmp_path / f"{epoch}", recipe), (tmp_path / "whole", expected))


@once
def test_the_model_that_is_kept_is_the_best_epochs(tmp_path: Path) -> None:
    model, resume = build(), Resume(tmp_path / "state.npz")
    notes = recorder.RunRecorder(tmp_path, resume, epochs=9, patience=2)
    notes.phase = 1
    model.compile("sgd", "mse")
    for callback in (notes, resume):
        callback.set_model(model)
    stops = []
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.9, 0.4), (0.9, 0.5), (0.7, 0.1)]):
        model.get_layer("predictions").bias.assign([epoch, 0, 0])
        log = {"loss": 1.0, "val_accuracy": accuracy, "val_loss": loss}
        notes.on_epoch_end(epoch, log)
        resume.on_epoch_end(epoch, log)
        stops.append(model.stop_training)
    kept = keras.models.load_model(tmp_path / "model.keras").get_layer("predictions").bias
    assert keras.ops.convert_to_numpy(kept).tolist() == [1, 0, 0]
    assert stops == [False, False, False, True]


@once
def test_another_version_of_a_library_is_said(
    tmp_path: Path, whole: tuple[Path, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole[0], tmp_path / "run")
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    content["versions"]["numpy"] = "1.0"
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    run(tmp_path / "run")
    assert "numpy was '1.0' and is" in capsys.readouterr().err


@once
def test_a_resumed_run_that_was_complete_is_shown_again(tmp_path: Path, whole: tuple[Path, list[Any]]) -> None:
    before = {path.name: path.read_bytes() for path in whole[0].iterdir()}
    (whole[0] / ".part.model.keras").write_text("half of a model that a kill left")
    found = training.train(build(), splits(), whole[0], Recipe(epochs=3), resume=True)
    assert {path.name: path.read_bytes() for path in whole[0].iterdir()} == before
    assert found["validation"].accuracy() == json.loads(before["run.json"])["results"]["validation"]["accuracy"]


@once
def test_a_folder_with_something_in_it_is_refused_and_its_run_can_be_deleted(
    tmp_path: Path, whole: tuple[Path, list[Any]]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".part.mine").mkdir()
    choices: list[dict[str, Any]] = [{}, {"resume": True}, {"overwrite": True}]
    for choice in choices:
        with pytest.raises(ValueError, match="is not empty. It holds no run that could be resumed or overwritten"):
            training.train(build(), splits(), tmp_path, Recipe(epochs=3), **choice)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", ".part.mine"}
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / ".part.model.keras").write_text("being written by another process")
    with pytest.raises(
        ValueError, match="is not empty. Resume its run with resume=True, replace it with overwrite=True"
    ):
        run(tmp_path, resume=False)
    assert (tmp_path / ".part.model.keras").is_file()
    with pytest.raises(ValueError, match="`resume` and `overwrite` must not both be True"):
        training.train(build(), splits(), tmp_path, Recipe(epochs=3), resume=True, overwrite=True)
    training.train(build(), splits(), tmp_path, Recipe(epochs=3), overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert_equal(best(tmp_path), best(whole[0]))


@once
def test_a_run_with_other_arguments_or_pictures_says_what_differs(whole: tuple[Path, list[Any]]) -> None:
    before = {path.name: path.read_bytes() for path in whole[0].iterdir()}
    for arguments, message in (
        ({"recipe": Recipe(epochs=4)}, "recipe epochs was 3 and is 4"),
        ({"recipe": Recipe(epochs=3, optimizer="sgd")}, "optimizer was 'adamw' and is 'sgd', recipe learning_rate was"),
        ({"count": 27}, "images training classes circle was 6 and is 7"),
        ({"augment": "light"}, "augment was 'strong' and is 'light'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(whole[0], **arguments)
    with pytest.raises(ValueError, match="order was 0 and is 3"):
        run(whole[0], seed=3)
    other = splits()
    other.training.pictures[3][0, 0, 0] ^= 1
    with pytest.raises(ValueError, match="had other arguments or images: images training pixels differ. Resume"):
        training.train(build(), other, whole[0], Recipe(epochs=3), resume=True)
    (whole[0] / "run.json").write_text('{"arguments": 3}')
    with pytest.raises(ValueError, match="run.json' was not written by a training run"):
        run(whole[0])
    (whole[0] / "run.json").write_bytes(before["run.json"])
    assert {path.name: path.read_bytes() for path in whole[0].iterdir()} == before


@once
def test_a_full_disk_is_a_sentence_and_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    errors = (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("h5py: (errno = 28, error message = 'x')"))

    def write(error: Exception) -> None:
        with files.atomic_file(tmp_path / "a") as part:
            part.write_text("half")
            raise error

    for error in errors:
        with pytest.raises(OSError, match="The disk is full"):
            write(error)
    with pytest.raises(RuntimeError, match="else"):
        write(RuntimeError("something else"))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "before")]


@once
def test_an_interrupt_stays_one_whatever_a_library_makes_of_it(tmp_path: Path) -> None:
    def write() -> None:
        with files.atomic_file(tmp_path / "a") as part:
            try:
                part.write_text("half")
                raise KeyboardInterrupt
            finally:
                raise ValueError("Can't close the ZIP file while there is an open writing handle on it.")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_run_whatever_ignores_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops a `KeyboardInterrupt` in a finalizer, or in a callback of the garbage collector such as JAX's."""
    get = data.Pictures.__getitem__

    def interrupted(self: data.Pictures, index: int) -> Any:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return get(self, index)

    monkeypatch.setattr(data.Pictures, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (tmp_path / "run" / "history.csv").exists()


@once
def test_ctrl_c_waits_until_the_state_of_an_epoch_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of it, NumPy's archive would end in another error: a `ValueError` of an open handle."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = Resume(tmp_path / "state.npz", data=None, seed=0)
    save = np.savez

    def interrupted(*arguments: Any, **arrays: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        save(*arguments, **arrays)

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0, shuffle=False, callbacks=[callback])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert set(np.load(tmp_path / "state.npz").files) >= {"logs", "weights/0"}


@once
def test_a_disk_that_fills_up_in_training_keeps_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = iter(
        [None] * 8
    )  # run.json twice, pictures.csv, labels.txt, .state.npz, model.keras, history.csv, .state.npz

    def full(*_: Any) -> None:
        if next(writes, 0) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="The disk is full"):
        run(tmp_path / "run")
    assert Resume(tmp_path / "run" / ".state.npz").epochs_done() == 1
    assert len(best(tmp_path / "run")) == len(build().weights)


def test_a_users_own_fit_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """A function of (seed, epoch), whatever is drawn in between; metrics other than accuracy; labels as ints."""

    def fit(epochs: int, path: Path) -> tuple[list[Any], list[dict[str, float]]]:
        model, pictures = build(), splits(augment="light", one_hot=False).training
        model.compile("adam", "sparse_categorical_crossentropy")
        resume = Resume(path, pictures, seed=5)
        np.random.seed(None)
        arguments = {"epochs": epochs, "shuffle": False, "verbose": 0, "callbacks": [resume]}
        model.fit(pictures, initial_epoch=resume.restore(model), **arguments)
        return [np.array(weight) for weight in model.get_weights()], resume.logs

    expected, logs = fit(3, tmp_path / "whole.npz")
    assert fit(2, tmp_path / "cut.npz")[1] == logs[:2]
    random.random(), np.random.rand(7), keras.random.uniform((3,))
    weights, again = fit(3, tmp_path / "cut.npz")
    assert_equal(weights, expected)
    assert again == logs


@once
def test_a_state_of_another_model_or_damaged_changes_nothing(tmp_path: Path) -> None:
    model = build()
    model.compile("sgd", "mse")
    before = [np.array(weight) for weight in model.get_weights()]
    resume = Resume(tmp_path / "state.npz")
    assert resume.restore(model) == 0
    resume.set_model(model)
    resume.on_epoch_end(0, {"loss": 1.0})
    other = build(dropout=0.0)
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match="another model or optimizer than that of"):
        Resume(tmp_path / "state.npz").restore(other)
    content = (tmp_path / "state.npz").read_bytes()
    np.savez(tmp_path / "other.npz", x=3)
    for damaged in (
        content[:500],
        content[:2000] + b"x" + content[2001:],
        b"text",
        (tmp_path / "other.npz").read_bytes(),
    ):
        (tmp_path / "state.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match="state.npz' is not a file of Resume"):
            Resume(tmp_path / "state.npz").restore(model)
    assert_equal(model.get_weights(), before)


@once
def test_float16_is_trained_with_a_scaled_loss(tmp_path: Path) -> None:
    model = build(dtype="mixed_float16")
    training.compile_for(model, Recipe(), 10)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    out = tmp_path / "run"
    training.train(build(dtype="mixed_float16"), splits(), out, Recipe(epochs=1))
    assert len(best(out)) == len(model.weights)


@once
def test_balance_weighs_the_pictures_that_train_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, fit = [], keras.Model.fit

    def spy(self: keras.Model, x: data.Pictures, validation_data: data.Pictures, **arguments: Any) -> Any:
        lengths.append((len(x[0]), len(validation_data[0])))
        return fit(self, x, validation_data=validation_data, **arguments)

    monkeypatch.setattr(keras.Model, "fit", spy)
    training.train(build(), splits(), tmp_path / "run", Recipe(epochs=1, balance=True))
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content["arguments"]["recipe"]["balance"]
    training.train(build(), splits(balance=True), tmp_path / "own", Recipe(epochs=1))  # one's own weights stay
    training.train(build(), splits(), tmp_path / "plain", Recipe(epochs=1))
    assert lengths == [(3, 2), (3, 2), (2, 2)]


def state_of(pictures: data.Splits) -> list[Any]:
    """All that a run could change of pictures: settings, epoch, order, files and classes, and what a batch holds."""
    found = []
    for part in pictures.sides().values():
        settings = {name: value for name, value in vars(part).items() if name not in ("pictures", "labels")}
        batch = [(array.shape, array.dtype, array.tobytes()) for array in part[0]]
        found.append((settings, part.labels.tolist(), [each.tobytes() for each in part.pictures], part.order, batch))
    return [(*each[:3], each[3].tolist(), each[4]) for each in found]


def plain_splits() -> data.Splits:
    """With labels as ints, in the middle of a training of the caller's own, and with a test side."""
    whole = splits(augment="light", one_hot=False)
    found = whole._replace(validation=whole.validation.with_(one_hot=False), test=whole.validation.with_(batch_size=2))
    found.training.set_epoch(7)
    found.validation.set_epoch(2)
    return found


def test_a_run_leaves_the_callers_data_as_they_were(tmp_path: Path) -> None:
    pictures = plain_splits()
    before = state_of(pictures)
    assert [len(part[0][1].shape) for part in pictures.sides().values()] == [1, 1, 2]
    training.train(build(), pictures, tmp_path / "run", Recipe(epochs=2, balance=True))
    assert state_of(pictures) == before


@once
def test_a_run_that_fails_at_any_point_leaves_the_callers_data_as_they_were(tmp_path: Path) -> None:
    pictures = plain_splits()
    before = state_of(pictures)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    fails: list[tuple[str, Recipe, str]] = [
        ("new", Recipe(epochs=1, unfreeze_from="conv5"), "`before` must be one of"),
        ("full", Recipe(epochs=1, balance=True), "is not empty"),
        ("run", Recipe(epochs=2, optimizer="sgd", learning_rate=1e30), "The loss of epoch 1 is nan"),
    ]
    for name, recipe, message in fails:
        with pytest.raises(ValueError, match=message):
            training.train(build(), pictures, tmp_path / name, recipe)
        assert state_of(pictures) == before, message
    for kill in (functools.partial(kill_at_batch, epoch=1, batch=1), functools.partial(kill_at_write, times=1)):
        with pytest.MonkeyPatch.context() as patch:
            kill(patch, **({} if "batch" in kill.keywords else {"name": "confusion.png"}))
            with pytest.raises(Killed):
                training.train(build(), pictures, tmp_path / "run", Recipe(epochs=2), overwrite=True)
        assert state_of(pictures) == before


@once
def test_a_run_changes_of_a_model_what_it_says_it_does(tmp_path: Path) -> None:
    model = build()
    optimizer = keras.optimizers.SGD(0.5)
    model.compile(optimizer, "mse")
    before, norms = model.get_weights(), [each for each in model.layers if "_bn" in each.name]
    training.train(model, splits(), tmp_path / "plain", Recipe(epochs=2))
    assert model.optimizer is optimizer
    assert (model.loss, int(optimizer.iterations)) == ("mse", 0)
    assert all(layer.trainable for layer in model.layers)
    assert {norm.momentum for norm in norms} == {0.5}
    assert not any(np.array_equal(now, then) for now, then in zip(model.get_weights(), before, strict=True))
    before = model.get_weights()
    training.train(model, splits(), tmp_path / "frozen", Recipe(epochs=1, freeze=True))
    assert {layer.name for layer in model.layers if layer.trainable and layer.weights} == {"predictions"}
    changed = [
        weight.path
        for weight, now, then in zip(model.weights, model.get_weights(), before, strict=True)
        if not np.array_equal(now, then)
    ]
    assert changed == ["predictions/kernel", "predictions/bias"]


@once
def test_a_run_that_is_refused_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = build()
    before = model.get_weights()
    (tmp_path / "notes.txt").write_text("mine")
    for recipe, message in ((Recipe(freeze=True), "is not empty"), (Recipe(unfreeze_from="conv5"), "`before` must be")):
        with pytest.raises(ValueError, match=message):
            training.train(model, splits(), tmp_path, recipe)
        assert all(layer.trainable for layer in model.layers)
        assert_equal(model.get_weights(), before)


@once
def test_a_loss_that_is_no_number_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="The loss of epoch 1 is nan: the learning rate is too high. Start again .*--clip-norm 1"
    ):
        run(tmp_path / "run", Recipe(epochs=3, optimizer="sgd", learning_rate=1e30))
    assert not (tmp_path / "run" / "model.keras").exists()
    logs = [{"val_accuracy": 0.5, "val_loss": float("nan")}, {"val_accuracy": 0.4, "val_loss": 0.3}]
    assert recorder.best_epoch(logs) == 1
    assert recorder.best_epoch([*logs, {"val_accuracy": 0.4, "val_loss": 0.2}]) == 2


@once
def test_a_run_killed_before_its_first_epoch_starts_from_the_same_weights(
    tmp_path: Path, whole: tuple[Path, list[Any]]
) -> None:
    """Also where the caller seeds nothing."""
    assert_killed(functools.partial(kill_at_batch, epoch=0, batch=1), tmp_path / "run")
    model = build()
    for weight in model.trainable_weights:
        weight.assign(weight + 1)
    training.train(model, splits(), tmp_path / "run", Recipe(epochs=3), resume=True)
    assert_same_run(tmp_path / "run", model.get_weights(), whole)


@once
@pytest.mark.usefixtures("painted")
def test_a_run_leaves_a_model_numbers_pictures_and_a_report_that_shows_them(tmp_path: Path) -> None:
    names = ("a|b", "Кошка", "$5 and $6")
    pictures = splits(60)._replace(test=splits(9).validation).with_(class_names=names)
    out = tmp_path / "run"
    found = training.train(build(), pictures, out, Recipe(epochs=3), arguments={"why": "a test"})
    assert {path.name for path in out.iterdir()} == LEFT
    assert (out / "labels.txt").read_text(encoding="utf-8").splitlines() == list(names)
    model = keras.models.load_model(out / "model.keras")
    assert not model.compiled  # a third of the size
    assert keras_resnet.labels.class_names(model) == names
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    content = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert content["arguments"]["why"] == "a test"
    assert content["arguments"]["recipe"] == Recipe(epochs=3).filled(9).noted()
    assert content["arguments"]["backend"] == keras.backend.backend()
    assert content["arguments"]["images"]["training"]["classes"] == {"a|b": 18, "Кошка": 18, "$5 and $6": 18}
    assert content["versions"]["keras"] == keras.__version__
    results = content["results"]
    accuracies = [(float(row["val_accuracy"]), -float(row["val_loss"])) for row in rows]
    assert results["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert results["validation"]["accuracy"] == pytest.approx(max(accuracies)[0])
    assert results["validation"] == found["validation"].summary()
    assert results["test"] == found["test"].summary()
    report = (out / "report.md").read_text(encoding="utf-8")
    for picture in sorted(name for name in LEFT if name.endswith(".png")):
        assert f"]({picture})" in report
        with Image.open(out / picture) as drawn:
            assert min(drawn.size) > 250
            assert np.asarray(drawn.convert("L")).std() > 5
    assert f"Accuracy: {found['test'].accuracy():.1%} of 6 images." in report
    assert "| a\\|b |" in report


def test_overwriting_deletes_what_a_run_leaves_and_no_more() -> None:
    assert set(run_folder.FILES) == {*LEFT, ".state.npz", ".checked.csv.gz", "labels.png", "scatter.png"}
