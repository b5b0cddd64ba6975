"""The training run behind the command: optimizer, callbacks, and what stays on disk."""

import sys
from pathlib import Path
from typing import Any

import keras

from keras_resnet.data import Pictures


def train(
    model: keras.Model,
    training: Pictures,
    validation: Pictures,
    out: Path,
    epochs: int,
    learning_rate: float = 1e-3,
    steps_per_epoch: int | None = None,
) -> tuple[float, int]:
    """Fits a classifier of raw RGB pictures and keeps the best epoch.

    Adam with a cosine-decayed rate. Leaves `model.keras`, the weights of the epoch that validated best, and
    `history.csv` in `out`.

    Returns:
        The best validation accuracy, in [0, 1], and its epoch, counted from 1.
    """
    out.mkdir(parents=True, exist_ok=True)
    steps = epochs * (steps_per_epoch or len(training))
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    best = keras.callbacks.ModelCheckpoint(out / "model.keras", monitor="val_accuracy", mode="max", save_best_only=True)
    history: Any = model.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        shuffle=False,  # the data shuffles itself
        callbacks=[best, keras.callbacks.CSVLogger(out / "history.csv")],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    accuracies: list[float] = history.history["val_accuracy"]
    return max(accuracies), 1 + accuracies.index(max(accuracies))
