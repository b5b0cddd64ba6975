"""Callback that shows on standard error how many steps of an epoch, or of a prediction, are done."""

from typing import Any

import keras

from keras_resnet.utils.progress import Progress


class StepProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows how many steps are done, of what takes longer than a moment.

    Args:
        title: what is done, in a prediction; epochs have their number.
    """

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.title = title

    def _begin(self, title: str) -> None:
        self.progress = Progress(title, 0, self.params["steps"], "steps")

    def _step(self, batch: int) -> None:
        self.progress.show(batch + 1)

    def _end(self) -> None:
        self.progress.__exit__()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begins an epoch."""
        self._begin(f"epoch {epoch + 1}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows a step."""
        self._step(batch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends an epoch."""
        self._end()

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins a prediction."""
        self._begin(self.title)

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows a step."""
        self._step(batch)

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends a prediction."""
        self._end()
