"""A program that trains tiny networks on one device or several, and writes what each process came to.

    python -m tests.helpers.spread_training FOLDER DEVICES CASE...

`FOLDER/CASE-RANK.npz` holds weights by path, and what else a case tells; `FOLDER/said-RANK.txt` what was printed.
"""

import errno
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from shutil import copytree
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import distribution
from keras_resnet.architecture.rows import find_row
from keras_resnet.data.datasets import Splits
from keras_resnet.training import Recipe, compile_for, figures, train
from keras_resnet.training.distribution import agree
from keras_resnet.training.resume import Resume
from tests.helpers.nets import thin

BACKEND = keras.backend.backend()
CLASSES, SIZE, EPOCHS = 3, 16, 2
BATCH = 17 if BACKEND == "tensorflow" else 16  # all uneven; JAX would not divide them, and PyTorch does not care
RATE, CLIP = 0.05, 0.2
RNG = np.random.default_rng(0)
# Odd numbers: a last batch of 13 or 9 is for no number of devices, and the 17 that validate end in a batch of one.
TRAINING, VALIDATION = (RNG.uniform(0, 255, (count, SIZE, SIZE, 3)).astype("uint8") for count in (77, 17))


def pictures(pixels: Any, batch_size: int = BATCH, **settings: Any) -> keras_resnet.data.Pictures:
    labels = np.arange(len(pixels)) * 7 % CLASSES
    names = [f"class {number}" for number in range(CLASSES)]
    return keras_resnet.data.Pictures(list(pixels), labels, names, SIZE, batch_size, one_hot=True, **settings)


def network() -> keras.Model:
    """A network no ReLU of which is near its kink, so that rounding stays what it is."""
    keras.utils.set_random_seed(3)
    inner = keras_resnet.ResNet(
        thin(find_row("ResNet18"), units=(1, 1), widths=(8, 16)),
        style="torch",  # whose convolutions have no biases, noise in front of a norm
        weights=None,
        include_top=False,
        pooling="avg",
        input_shape=(SIZE, SIZE, 3),
        include_preprocessing=True,
        drop_path=0.3,
    )
    x = keras.layers.Dense(8, use_bias=False, name="vectors")(keras.layers.Dropout(0.3)(inner.output))
    x = keras.layers.BatchNormalization(scale=False, name="vectors_bn")(x)  # of vectors, and without gamma
    x = keras.layers.Dense(CLASSES, activation="softmax", name="predictions")(x)
    model = keras.Model(inner.input, x, name="tiny")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale:
            gamma = keras.ops.convert_to_numpy(layer.gamma) * 0.25
            layer.gamma.assign(gamma)
            layer.beta.assign(4 * gamma + 0.1)
    return model


def weights_of(model: keras.Model) -> dict[str, Any]:
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


# Trainings by `fit`


def compiled(model: keras.Model, **settings: Any) -> keras.Model:
    optimizer = keras.optimizers.SGD(RATE, 0.9, nesterov=True, weight_decay=1e-2, global_clipnorm=CLIP, **settings)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
    return model


def everything(model: keras.Model) -> None:
    """A clip that cuts in every step, weight decay, a moving average of the weights."""
    keras_resnet.optimize_for_training(compiled(model, use_ema=True, ema_momentum=0.9))


def moved(model: keras.Model) -> None:
    """The same from weights that are a little different: what that comes to is the noise."""
    everything(model)
    for weight in model.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        weight.assign(np.nextafter(value, 2 * value))


def accumulated(model: keras.Model) -> None:
    """Two batches a step, and layers as Keras has them."""
    compiled(model, gradient_accumulation_steps=2)


def recipe(model: keras.Model) -> None:
    """What `training.train` compiles."""
    compile_for(model, Recipe(optimizer="sgd", learning_rate=RATE, clip_norm=CLIP), EPOCHS * 5)


FITS: dict[str, Callable[[keras.Model], None]] = {
    "everything": everything,
    "moved": moved,
    "accumulated": accumulated,
    "recipe": recipe,
    "local norms": everything,  # three faults that must be seen
    "unreduced gradients": everything,
    "clipped before": everything,
}


def faulty(case: str, apply: Any) -> Any:
    """What takes the place of a replica's step where a control is to show a fault."""

    def unreduced(optimizer: Any, usual: Any, grads: Any, trainable_variables: Any = None) -> Any:
        return usual(grads, trainable_variables)

    def clipped_before(optimizer: Any, usual: Any, grads: Any, trainable_variables: Any = None) -> Any:
        devices = distribution.here().devices
        clipped = optimizer._clip_gradients([grad * devices for grad in grads])
        return apply(optimizer, usual, [grad / devices for grad in clipped], trainable_variables)

    return {"unreduced gradients": unreduced, "clipped before": clipped_before}.get(case, apply)


def fit(case: str, folder: Path) -> dict[str, Any]:
    model = network()
    FITS[case](model)
    distribution.spread(model)
    if case == "local norms":
        distribution.spread(model, norm_sync=False)
    norms: list[float] = []
    if BACKEND == "torch" and distribution.here().devices == 1:
        apply = model.optimizer.apply

        def measuring(grads: Any, variables: Any) -> None:
            norms.append(float(sum((grad**2).sum() for grad in grads)) ** 0.5)
            apply(grads, variables)

        object.__setattr__(model.optimizer, "apply", measuring)
    share = distribution.share
    training = pictures(TRAINING, seed=5, augment="strong", balance="loss", share=share)
    validation = pictures(VALIDATION, 16, share=share)
    replicas = sys.modules.get(f"keras_resnet.training.replicas_{BACKEND}")
    with pytest.MonkeyPatch.context() as patch:
        if replicas is not None:
            patch.setattr(replicas, "_apply", faulty(case, replicas._apply))
        history = model.fit(training, validation_data=validation, epochs=EPOCHS, shuffle=False, verbose=0).history
    found = weights_of(model)
    if model.optimizer.use_ema:
        averages = model.optimizer._model_variables_moving_average
        found |= {f"average/{index}": keras.ops.convert_to_numpy(each) for index, each in enumerate(averages)}
    told = {"history": history, "norms": norms, "config": model.to_json()}
    return {**found, "told": np.array(json.dumps(told))}


# Runs of `training.train`


class Killed(BaseException):
    """What nothing catches."""


def run(
    out: Path, resume: bool = False, kills: bool = False, batch_size: int = BATCH, differs: bool = False
) -> dict[str, Any]:
    pixels = TRAINING[: 4 * BATCH + 1].copy()  # which end in a batch of one, too
    pixels[0] += differs * distribution.here().rank
    training = pictures(pixels, batch_size, seed=5, augment="strong")
    splits = Splits(training, pictures(VALIDATION, min(batch_size, 16)), None, [])
    model = network()

    def kill(self: Resume, batch: int, logs: Any = None) -> None:
        if batch == 2 and len(self.logs) == 1:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for name in ("draw_curves", "draw_evaluation", "draw_predictions", "draw_calibration", "draw_precision_recall"):
            patch.setattr(figures, name, lambda *_: None)
        if kills:
            patch.setattr(Resume, "on_train_batch_end", kill)
        how = Recipe(EPOCHS, "sgd", RATE, clip_norm=CLIP, seed=1)
        found = train(model, splits, out, how, resume=resume)
    return {**weights_of(model), "told": np.array(json.dumps({"accuracy": found["validation"].accuracy()}))}


def whole(folder: Path) -> dict[str, Any]:
    return run(folder / "whole")


def killed(folder: Path) -> dict[str, Any]:
    """A run that is killed in its second epoch, and goes on."""
    with pytest.raises(Killed):
        run(folder / "killed", kills=True)
    if distribution.here().rank == 0:
        copytree(folder / "killed", folder / "half")
    agree({"copy": True})  # waits for it
    return run(folder / "killed", resume=True)


def resumed(folder: Path) -> dict[str, Any]:
    """A run that another number of devices began; the test put it there."""
    return run(folder / "half of others", resume=True)


def refused(folder: Path) -> dict[str, Any]:
    """What can't be is told in a sentence, and before anything is written."""
    said = []
    for settings in ({"batch_size": 1}, {"differs": True}):
        if settings == {"differs": True} and distribution.here().processes == 1:
            continue
        with pytest.raises(ValueError, match="must") as error:
            run(folder / "refused", **settings)
        said.append(str(error.value))
    return {"told": np.array(json.dumps({"said": said, "written": (folder / "refused").exists()}))}


def dies(folder: Path) -> dict[str, Any]:
    """The second process dies in the second epoch."""

    def die(self: Resume, batch: int, logs: Any = None) -> None:
        if batch == 2 and len(self.logs) == 1 and distribution.here().rank:
            os._exit(9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resume, "on_train_batch_end", die)
        return run(folder / "dies")


def full_disk(folder: Path) -> dict[str, Any]:
    """The first process can't write after the first epoch."""
    write = Resume._write

    def fail(self: Resume) -> None:
        if len(self.logs) == 1 and distribution.here().rank == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        write(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resume, "_write", fail)
        return run(folder / "full")


RUNS = {"dies": dies, "full disk": full_disk, "whole": whole, "killed": killed, "resumed": resumed, "refused": refused}


def main(folder: str, devices: str, *cases: str) -> None:
    place = distribution.start(int(devices))
    with Path(folder, f"said-{place.rank}.txt").open("w") as said, redirect_stdout(said), redirect_stderr(said):
        for case in cases:
            found = fit(case, Path(folder)) if case in FITS else RUNS[case](Path(folder))
            np.savez(Path(folder, f"{case}-{place.rank}.npz"), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
