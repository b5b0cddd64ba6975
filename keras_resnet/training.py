"""The training run behind the command: optimizer, callbacks, and what stays on disk."""

import sys
from pathlib import Path

import keras

from keras_resnet.data import Pictures
from keras_resnet.errors import optional
from keras_resnet.labels import with_class_names


def train(
    model: keras.Model,
    training: Pictures,
    validation: Pictures,
    out: Path,
    epochs: int,
    learning_rate: float = 1e-3,
) -> tuple[float, int]:
    """Fits a classifier of raw RGB pictures and keeps the epoch that validates best.

    Adam with a cosine-decayed rate. Leaves in `out`: `model.keras`, with the class names in it, `labels.txt`,
    `history.csv` and `curves.png`.

    Returns:
        The best validation accuracy, in [0, 1], and its epoch, counted from 1.
    """
    optional("matplotlib.figure")  # better missed now than after training
    out.mkdir(parents=True, exist_ok=True)
    (out / "labels.txt").write_text("".join(f"{name}\n" for name in training.class_names), encoding="utf-8")
    model = with_class_names(model, training.class_names)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(training))),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    best = keras.callbacks.ModelCheckpoint(out / "model.keras", monitor="val_accuracy", mode="max", save_best_only=True)
    history: dict[str, list[float]] = model.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,  # the data shuffles itself
        callbacks=[best, keras.callbacks.CSVLogger(out / "history.csv")],
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    draw_curves(history, out / "curves.png")
    accuracies = history["val_accuracy"]
    return max(accuracies), 1 + accuracies.index(max(accuracies))


def draw_curves(history: dict[str, list[float]], path: Path) -> None:
    """Draws loss and accuracy by epoch: thin lines for training, bold ones for validation."""
    integers = optional("matplotlib.ticker").MaxNLocator(integer=True)
    figure = optional("matplotlib.figure").Figure(figsize=(9, 3.5), layout="constrained")
    places = {"loss": "upper right", "accuracy": "lower right"}
    for axes, (metric, place) in zip(figure.subplots(1, 2), places.items(), strict=True):
        epochs = range(1, len(history[metric]) + 1)
        axes.plot(epochs, history[metric], "C0", linewidth=1, label="training")
        axes.plot(epochs, history[f"val_{metric}"], "C1", linewidth=2.5, label="validation")
        axes.set(title=metric, xlabel="epoch")
        axes.xaxis.set_major_locator(integers)
        axes.grid(alpha=0.3)
        axes.legend(loc=place)
    figure.axes[0].set_yscale("log")
    figure.axes[1].set_ylim(top=1.01)
    figure.savefig(path, dpi=120)
