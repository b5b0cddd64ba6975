"""Training runs: what they leave, and how they go on after a kill."""

import csv
import dataclasses
import errno
import functools
import json
import os
import random
import shutil
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
from keras_resnet.training.resume import Resume
from keras_resnet.training.run import Recipe
from keras_resnet.training.transfer import classifier
from keras_resnet.utils import files
from tests.helpers.nets import thin
from tests.helpers.pictures import SHAPES

once = pytest.mark.one_backend
LEFT = {"model.keras", "labels.txt", "history.csv", "run.json", "curves.png", "confusion.png", "predictions.png"} | {
    "report.md"
}
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
    trained = name in ("curves.png", "confusion.png", "predictions.png", "report.md") or (name, times) == (
        "run.json",
        3,
    )
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
    keeper = recorder.Keeper(tmp_path, resume, epochs=9, patience=2)
    keeper.phase = 1
    model.compile("sgd", "mse")
    for callback in (keeper, resume):
        callback.set_model(model)
    stops = []
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.9, 0.4), (0.9, 0.5), (0.7, 0.1)]):
        model.get_layer("predictions").bias.assign([epoch, 0, 0])
        log = {"loss": 1.0, "val_accuracy": accuracy, "val_loss": loss}
        keeper.on_epoch_end(epoch, log)
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
    assert "numpy was '1.0' and is" in capsys.readouterr().out


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
    with pytest.raises(ValueError, match="is not empty. Resume its run .--resume., overwrite it"):
        run(tmp_path, resume=False)
    assert (tmp_path / ".part.model.keras").is_file()
    with pytest.raises(ValueError, match="`resume` and `overwrite` exclude each other"):
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
        ({"count": 27}, "pictures training classes circle was 6 and is 7"),
        ({"augment": "light"}, "augment was 'strong' and is 'light'"),
    ):
        with pytest.raises(ValueError, match=message):
            run(whole[0], **arguments)
    with pytest.raises(ValueError, match="order was 0 and is 3"):
        run(whole[0], seed=3)
    other = splits()
    other.training.pictures[3][0, 0, 0] ^= 1
    with pytest.raises(ValueError, match="pictures training pixels differ. Resume"):
        training.train(build(), other, whole[0], Recipe(epochs=3), resume=True)
    (whole[0] / "run.json").write_text('{"arguments": 3}')
    with pytest.raises(ValueError, match="run.json' is not what a run left"):
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


@once
def test_a_disk_that_fills_up_in_training_keeps_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = iter([None] * 7)  # run.json twice, labels.txt, .state.npz, model.keras, recorder.csv, .state.npz

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
    with pytest.raises(ValueError, match="another model or optimizer"):
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
        with pytest.raises(ValueError, match="state.npz' is no file of Resume"):
            Resume(tmp_path / "state.npz").restore(model)
    assert_equal(model.get_weights(), before)


@pytest.fixture
def compiled() -> Any:
    """Compiles a new model by a recipe for 100 steps, and returns it and its optimizer."""

    def make(**arguments: Any) -> tuple[keras.Model, Any]:
        model = build()
        training.compile_for(model, Recipe(**arguments), 100)
        model.optimizer.build(model.trainable_variables)
        return model, model.optimizer

    return make


@once
def test_the_rate_warms_up_and_decays_as_a_cosine(compiled: Any) -> None:
    for optimizer, peak in (("adamw", 1e-3), ("sgd", 0.05)):
        _, found = compiled(optimizer=optimizer)
        schedule = found._learning_rate
        rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(101)]
        assert rates[0] == 0
        assert rates[5] == pytest.approx(peak)
        np.testing.assert_allclose(rates[5:], [peak * (1 + np.cos(np.pi * t / 95)) / 2 for t in range(96)], atol=1e-7)
        assert rates[:5] == pytest.approx([peak * t / 5 for t in range(5)])


@once
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


@once
def test_a_recipe_reaches_loss_optimizer_and_fit(compiled: Any) -> None:
    model, found = compiled(optimizer="sgd", label_smoothing=0.3, clip_norm=2.0)
    assert model.loss.label_smoothing == 0.3
    assert found.global_clipnorm == 2.0
    assert (found.momentum, found.nesterov) == (0.9, True)
    assert compiled()[1].global_clipnorm is None
    with pytest.raises(ValueError, match="`Recipe.optimizer` must be one of 'adamw', 'sgd'.*'adam'"):
        Recipe(optimizer="adam")  # type: ignore[arg-type]


@once
def test_float16_is_trained_with_a_scaled_loss(tmp_path: Path) -> None:
    model = build(dtype="mixed_float16")
    training.compile_for(model, Recipe(), 10)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    out = tmp_path / "run"
    training.train(build(dtype="mixed_float16"), splits(), out, Recipe(epochs=1))
    assert len(best(out)) == len(model.weights)


@once
def test_balance_weighs_the_pictures_that_train_and_no_others(tmp_path: Path) -> None:
    pictures = splits()
    training.train(build(), pictures, tmp_path / "run", Recipe(epochs=1, balance=True))
    assert [len(part[0]) for part in pictures[:2] if isinstance(part, data.Pictures)] == [3, 2]
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content["arguments"]["recipe"]["balance"]
    pictures = splits(balance=True)
    training.train(build(), pictures, tmp_path / "own", Recipe(epochs=1))  # one's own weights stay
    assert len(pictures.training[0]) == 3


@once
def test_a_loss_that_is_no_number_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="The loss of epoch 1 is nan: the rate is too high. Start again with a lower learning rate"
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


@once
def test_a_run_leaves_a_model_numbers_pictures_and_a_report_that_shows_them(tmp_path: Path) -> None:
    pictures = splits(60)._replace(test=splits(9).validation)
    names = ("a|b", "Кошка", "$5 and $6")
    for part in pictures[:3]:
        assert part
        part.class_names = names
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
    assert content["arguments"]["recipe"] == dataclasses.asdict(Recipe(epochs=3).filled(9))
    assert content["arguments"]["backend"] == keras.backend.backend()
    assert content["arguments"]["pictures"]["training"]["classes"] == {"a|b": 18, "Кошка": 18, "$5 and $6": 18}
    assert content["versions"]["keras"] == keras.__version__
    results = content["results"]
    accuracies = [(float(row["val_accuracy"]), -float(row["val_loss"])) for row in rows]
    assert results["best_epoch"] == 1 + accuracies.index(max(accuracies))
    assert results["validation"]["accuracy"] == pytest.approx(max(accuracies)[0])
    assert results["validation"] == found["validation"].summary()
    assert results["test"] == found["test"].summary()
    report = (out / "report.md").read_text(encoding="utf-8")
    for picture in ("curves.png", "confusion.png", "predictions.png"):
        assert f"]({picture})" in report
        with Image.open(out / picture) as drawn:
            assert min(drawn.size) > 250
            assert np.asarray(drawn.convert("L")).std() > 5
    assert f"{found['test'].accuracy():.1%} of 6 pictures are right." in report
    assert "| a\\|b |" in report


def test_overwriting_deletes_what_a_run_leaves_and_no_more() -> None:
    assert set(run_folder.FILES) == {*LEFT, ".state.npz"}
