"""Callback that notes each epoch, so that a killed run resumes and ends with the same weights."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.utils.files import atomic_file
from keras_resnet.utils.interrupts import uninterrupted


class Resume(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves the state of a training after every epoch, so that an interrupted run can be resumed: a callback.

    Example:

        resume = keras_resnet.resume.Resume("state.npz", training, seed=0)
        done = resume.restore(model)  # 0, or the epochs that an earlier run has done
        model.fit(training, shuffle=False, epochs=2, initial_epoch=done, callbacks=[resume])

    Before the first epoch and after each one, it writes weights, optimizer variables and logs to one file, atomically.
    At the start of each epoch it seeds Python, NumPy, the backend and random layers, and tells the data which epoch it
    is. An interrupted epoch is therefore repeated exactly, bit by bit on the same machine. This needs `shuffle=False`
    and data that are read by one worker (Keras' default).

    Args:
        path: the file; its folder must exist.
        data: the training images, or any object with `set_epoch(epoch)`; None: the order of the data does not depend on
            the epoch.
        seed: determines, with the epoch, every random draw.

    Attributes:
        logs: for each epoch done, including earlier runs, the metrics that Keras logged, as a dict of floats.
        note: values to add to the logs of each epoch.
    """

    def __init__(self, path: str | os.PathLike[str], data: Pictures | None = None, seed: int = 0) -> None:
        super().__init__()
        self.path, self.data, self.seed = Path(path), data, seed
        self.logs: list[dict[str, float]] = []
        self.note: dict[str, float] = {}

    def epochs_done(self) -> int:
        """Returns how many epochs were done when the file was written; reads no weights."""
        if self.path.is_file():
            self.logs = json.loads(str(self._read("logs")["logs"]))
        return len(self.logs)

    def restore(self, model: keras.Model, optimizer: bool = True) -> int:
        """Loads the weights of the file, if it exists, into a compiled model; returns the number of epochs done.

        Args:
            model: the model, built and compiled as for the interrupted run.
            optimizer: whether to restore the optimizer too; pass False at the start of a new phase of training.

        Raises:
            ValueError: if the file is damaged, or belongs to another model or optimizer; the model does not change.
        """
        _build_optimizer(model)
        if not self.path.is_file():
            return 0
        groups = {"weights": model.weights} | ({"optimizer": model.optimizer.variables} if optimizer else {})
        found = self._read(*groups)
        wanted = {f"{group}/{i}": weight for group, weights in groups.items() for i, weight in enumerate(weights)}
        if {name: array.shape for name, array in found.items()} != {n: tuple(w.shape) for n, w in wanted.items()}:
            raise ValueError(
                f"{str(self.path)!r} was written for another model or optimizer than that of {model.name!r}. Build and "
                "compile the model as for the interrupted run, or delete the file to start again."
            )
        for name, variable in wanted.items():
            variable.assign(found[name])
        return self.epochs_done()

    def on_train_begin(self, logs: Any = None) -> None:
        """Writes the file, unless a run goes on."""
        if not self.path.is_file():
            _build_optimizer(self.model)
            self._write()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Seeds the epoch."""
        keras.utils.set_random_seed((self.seed * 1_000_003 + epoch) % 2**31)
        if self.data is not None:
            self.data.set_epoch(epoch)
        seeds = [variable for variable in self.model.variables if "seed_generator_state" in variable.path]
        for index, variable in enumerate(seeds):
            variable.assign(np.random.default_rng([self.seed, epoch, index]).integers(2**31, size=2))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the file."""
        self.logs = [*self.logs[:epoch], {name: float(value) for name, value in {**(logs or {}), **self.note}.items()}]
        self._write()

    def _write(self) -> None:
        """Writes weights, the optimizer's variables and the logs."""
        groups = {"weights": self.model.weights, "optimizer": self.model.optimizer.variables}
        arrays = {f"{group}/{i}": _storable(one) for group, some in groups.items() for i, one in enumerate(some)}
        with uninterrupted(), atomic_file(self.path) as part, part.open("wb") as file:
            np.savez(file, logs=np.array(json.dumps(self.logs)), **arrays)

    def _read(self, *groups: str) -> dict[str, Any]:
        """The arrays of some groups, by name."""
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as state:
                found = {name: state[name] for name in state.files if name.partition("/")[0] in groups}
            if not found:
                raise KeyError(*groups)
            return found
        except Exception as error:  # zipfile's, zlib's and NumPy's for damaged files
            raise ValueError(
                f"{str(self.path)!r} is not a file of Resume, or is damaged: {error}. Delete it to start again."
            ) from error


def _build_optimizer(model: keras.Model) -> None:
    """Makes the optimizer's variables, once: Keras' LossScaleOptimizer adds its own each time that it is built."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _storable(variable: Any) -> Any:
    """The value as NumPy has it; bfloat16, which NumPy files lack, as float32."""
    value = np.asarray(keras.ops.convert_to_numpy(variable))
    return value.astype("float32") if value.dtype.kind == "V" else value
