"""Callback that keeps the best model and `history.csv` of a run, and stops early."""

from math import isfinite
from pathlib import Path
from typing import Any

import keras

from keras_resnet.training import run_folder
from keras_resnet.training.distribution import alone, of_first
from keras_resnet.training.objectives import merit
from keras_resnet.training.resume import Resume
from keras_resnet.utils.errors import choice_error
from keras_resnet.utils.files import atomic_file, write_csv
from keras_resnet.utils.interrupts import uninterrupted


class RunRecorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best model and the history, and ends a phase of training in time.

    It comes before `Resume`, which notes that an epoch is done: one that is done again writes them alike.

    Args:
        out: the run's folder.
        resume: what notes the epochs.
        epochs: how many a phase has.
        patience: epochs without a better one after which a phase ends early; None: it doesn't.
        monitor: the name in the logs that says which epoch is best.
    """

    def __init__(
        self, out: Path, resume: Resume, epochs: int, patience: int | None, monitor: str = "val_accuracy"
    ) -> None:
        super().__init__()
        self.monitor = monitor
        self.out, self.resume, self.epochs, self.patience = out, resume, epochs, patience
        resume.epochs_done()

    @property
    def phase(self) -> int:
        """The phase of training, from 1."""
        return int(self.resume.note.get("phase", 1))

    @phase.setter
    def phase(self, phase: int) -> None:
        self.resume.note["phase"] = phase

    @property
    def logs(self) -> list[dict[str, float]]:
        """What was logged of each epoch done."""
        return self.resume.logs

    def of_phase(self) -> list[dict[str, float]]:
        """Returns the logs of the epochs done in this phase."""
        return [log for log in self.logs if log["phase"] == self.phase]

    def ended(self) -> bool:
        """Returns whether the phase is over."""
        return any(log["phase"] > self.phase for log in self.logs) or self._ends(self.of_phase())

    def _ends(self, logs: list[dict[str, float]]) -> bool:
        """Whether these are epochs enough, nothing gets better, or another callback stopped it."""
        waited = len(logs) - 1 - best_epoch(logs, self.monitor) if logs else 0
        stopped = bool(logs and logs[-1].get("stopped"))
        return stopped or len(logs) >= self.epochs or (self.patience is not None and waited >= self.patience)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the model, if it is the best, and the history; raises a `ValueError` if the loss is no number."""
        own = {name: float(value) for name, value in (logs or {}).items()}
        log = of_first(own | self.resume.note | {"stopped": float(self.model.stop_training)})  # by another callback
        self.resume.note["stopped"] = log["stopped"]
        if logs is not None:
            logs.update({name: log[name] for name in own})
        if not isfinite(log["loss"]):
            raise ValueError(
                f"The loss of epoch {epoch + 1} is {log['loss']}: the learning rate is too high. Start again with a "
                "lower learning rate, or clip the gradients: clip_norm=1 (--clip-norm 1)."
            )
        if self.monitor not in log:
            raise choice_error(
                "Recipe.monitor", self.monitor, tuple(name for name in log if name not in self.resume.note)
            )
        done = [*self.logs[:epoch], log]
        if best_epoch(done, self.monitor) == epoch:
            bare = keras.Model(self.model.input, self.model.output, name=self.model.name)  # without the optimizer
            with alone(), uninterrupted(), atomic_file(self.out / run_folder.MODEL) as part:
                bare.save(part)
        names = ["phase", *sorted(set().union(*done) - {"phase", "stopped"})]
        rows = [
            [number, int(each["phase"]), *(each.get(name) for name in names[1:])] for number, each in enumerate(done, 1)
        ]
        write_csv(self.out / run_folder.HISTORY, [["epoch", *names], *rows])
        self.model.stop_training = self._ends([log for log in done if log["phase"] == self.phase])


def best_epoch(logs: list[dict[str, float]], monitor: str = "val_accuracy") -> int:
    """Returns the epoch, from 0, that is best by a name in the logs; of equals that of the lowest validation loss."""

    def order(epoch: int) -> tuple[bool, float, float]:
        loss = logs[epoch]["val_loss"]
        return isfinite(loss), merit(logs[epoch], monitor), -loss if isfinite(loss) else 0.0

    return max(range(len(logs)), key=order)
