"""Tests the claims of the ResNet papers on scikit-learn's digits: 1,797 images of 8x8 pixels.

    python tutorials/why_residual.py                      # all experiments: two and a half hours on one core
    python tutorials/why_residual.py degradation paths    # two of the experiments
    python tutorials/why_residual.py --results mine --epochs 5 --seeds 0

Each result is a row of a CSV file in the folder `--results`. A result that stands there is not measured again, so a
command that was stopped can be repeated and continues. Other settings or another backend (`KERAS_BACKEND`) need another
folder. These small networks use one core each: to use two cores, run two processes with different experiments and
`OMP_NUM_THREADS=1`, which takes an hour and a quarter for all experiments. The weights of trained networks are saved
beside the CSV files, because some experiments look into them. Networks whose weights are missing are trained again.
"""

import argparse
import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from grad_cam import gradient
from keras import ops
from residual_units import ORDERS, SHORTCUTS, network
from scipy.stats import kendalltau
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_resnet
from keras_resnet.architecture.rows import RESNET20

RESULTS = Path(__file__).parent / "results"
EPOCHS = 20
SEEDS = (0, 1, 2)
DEPTHS = (20, 56)
DRAWS = 10
BATCH = 64
OPTIMIZERS = {
    "SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "Adagrad": keras.optimizers.Adagrad,
    "RMSprop": keras.optimizers.RMSprop,
    # With a higher learning rate, without and with a bound on the gradient.
    "fast SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "clipped SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, global_clipnorm=1.0),
}
RATES = {"SGD": 0.02, "Adagrad": 0.02, "RMSprop": 0.001, "fast SGD": 0.1, "clipped SGD": 0.1}
# On logits, because Keras clips probabilities at 1e-7, and a clipped probability has no gradient.
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
CHANGING = ("conv3_block1", "conv4_block1")  # the blocks that change the shape
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Training:
    """One training: a plain or residual CIFAR network of the package, or a network of `residual_units`.

    `times` multiplies the number of epochs.
    """

    network: str
    depth: int
    optimizer: str = "SGD"
    seed: int = 0
    times: int = 1

    def __str__(self) -> str:
        longer = f" {self.times} times as long," if self.times > 1 else ""
        return f"{self.network}-{self.depth}, {self.optimizer},{longer} seed {self.seed}"

    def build(self) -> keras.Model:
        """Builds the untrained network."""
        keras.utils.set_random_seed(self.seed)
        if self.network in ("plain", "residual"):
            shortcut: Any = "A" if self.network == "residual" else None
            row = replace(RESNET20, units=((self.depth - 2) // 6,) * 3, shortcut=shortcut)
            return keras_resnet.ResNet(row, input_shape=(8, 8, 1), classes=10, classifier_activation=None)
        return network(*(SHORTCUTS | ORDERS)[self.network], depth=self.depth)

    def compile(self, model: keras.Model, epochs: int) -> None:
        """Compiles the model with the optimizer. Its learning rate decays along a cosine."""
        steps = epochs * math.ceil(len(digits()[1]) / BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(RATES[self.optimizer], steps)
        model.compile(OPTIMIZERS[self.optimizer](schedule), LOSS, metrics=["accuracy"])
        keras_resnet.optimize_for_training(model)


def digits() -> tuple[Any, Any, Any, Any]:
    """Images (N, 8, 8, 1) centred about 0 and labels (N,): 1,297 for training and 500 for validation."""
    found = load_digits()
    x = (found.images[..., None] / 16 - 0.3).astype("float32")
    x, x_val, y, y_val = train_test_split(x, found.target, test_size=500, random_state=0, stratify=found.target)
    return x, y, x_val, y_val


# The trainings of each experiment.


def degradation(seeds: Sequence[int]) -> list[Training]:
    """Plain and residual networks of two depths, with each optimizer (arXiv:1512.03385 Figures 1, 4 and 6)."""
    return [
        Training(kind, depth, optimizer, seed)
        for optimizer in OPTIMIZERS
        for depth in DEPTHS
        for kind in ("plain", "residual")
        for seed in seeds
    ]


def shortcuts(seeds: Sequence[int]) -> list[Training]:
    """Kinds of shortcuts (arXiv:1603.05027 Figure 2, Table 1)."""
    return [Training(kind, depth, seed=seed) for depth in DEPTHS for kind in SHORTCUTS for seed in seeds]


def orders(seeds: Sequence[int]) -> list[Training]:
    """Orders of norm and ReLU (arXiv:1603.05027 Figure 4, Table 2)."""
    return [Training(kind, depth, seed=seed) for depth in DEPTHS for kind in ORDERS for seed in seeds]


def longer(seeds: Sequence[int]) -> list[Training]:
    """Networks that may only need more epochs: plain with clipped gradients, or with gates that are nearly closed."""
    return [
        Training(kind, depth, optimizer, seed, times=3)
        for kind, depth, optimizer in (
            ("plain", DEPTHS[-1], "clipped SGD"),
            *(("exclusive gating, b=-6", depth, "SGD") for depth in DEPTHS),
        )
        for seed in seeds
    ]


def by_sgd(seeds: Sequence[int]) -> list[Training]:
    """Plain and residual networks of two depths, with SGD."""
    return [training for training in degradation(seeds) if training.optimizer == "SGD"]


def that_learn(seeds: Sequence[int]) -> list[Training]:
    """The same without the deep plain network, which does not learn."""
    return [training for training in by_sgd(seeds) if (training.network, training.depth) != ("plain", DEPTHS[-1])]


def deepest(seeds: Sequence[int]) -> list[Training]:
    """The deepest residual network, which has the most paths."""
    return [Training("residual", DEPTHS[-1], seed=seed) for seed in seeds]


# Training, and the files of weights.


@dataclass(frozen=True)
class Laboratory:
    """The folder of results, the number of epochs, and the number of random draws for each kind of change."""

    results: Path = RESULTS
    epochs: int = EPOCHS
    draws: int = DRAWS

    def weights(self, training: Training, epoch: int) -> Path:
        """The file for a network's weights after this number of epochs."""
        name = "-".join(map(str, astuple(training)))
        return self.results / "weights" / f"{name}-epoch{epoch}.weights.h5"

    def train(self, training: Training) -> list[Row]:
        """Trains a network and returns the errors of each epoch. The weights of the package's networks are saved."""
        x, y, x_val, y_val = digits()
        model, epochs = training.build(), self.epochs * training.times
        training.compile(model, epochs)

        def keep(epoch: int, logs: Any) -> None:
            kept = training.network in ("plain", "residual") and training.optimizer == "SGD"
            if kept and epoch + 1 in (1, epochs):
                path = self.weights(training, epoch + 1)
                path.parent.mkdir(parents=True, exist_ok=True)
                model.save_weights(path)

        callback = keras.callbacks.LambdaCallback(on_epoch_end=keep)
        data: dict[str, Any] = {"validation_data": (x_val, y_val), "batch_size": BATCH}
        history = model.fit(x, y, epochs=epochs, callbacks=[callback], verbose=0, **data).history
        errors = zip(history["accuracy"], history["val_accuracy"], strict=True)
        return [(epoch, 1 - float(seen), 1 - float(unseen)) for epoch, (seen, unseen) in enumerate(errors, 1)]

    def trained(self, training: Training, epoch: int | None = None) -> keras.Model:
        """A network of the package after this number of epochs (None: all). It is trained if its file is missing."""
        model, path = training.build(), self.weights(training, self.epochs if epoch is None else epoch)
        if epoch != 0:
            if not path.exists():
                self.train(training)
            model.load_weights(path)
        return model


# Paths (arXiv:1605.06431).


def accuracy(model: keras.Model) -> float:
    """The accuracy on the validation images."""
    _, _, x, y = digits()
    return float((model.predict(x, batch_size=len(x), verbose=0).argmax(-1) == y).mean())


def deletable(model: keras.Model) -> list[str]:
    """The blocks that can be deleted: in a residual network all, in a plain network those that keep the shape."""
    names = [layer.name.removesuffix("_out") for layer in model.layers if layer.name.endswith("_out")]
    residual = any(layer.name.endswith("_add") for layer in model.layers)
    return [name for name in names if residual or name not in CHANGING]


def deletions(model: keras.Model, draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Deletes each block alone, then several blocks at once (Figures 3 and 5a)."""
    names = deletable(model)
    yield "delete", 0, "", accuracy(model), 1.0
    chosen = [[name] for name in names]
    counts = sorted({round(len(names) * share) for share in (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)} - {0, 1})
    draw = [rng.choice(len(names), count, replace=False) for count in counts for _ in range(draws)]
    chosen += [[names[number] for number in numbers] for numbers in draw]
    for units in chosen:
        yield "delete", len(units), " ".join(units), accuracy(keras_resnet.delete_units(model, units)), 1.0


def swaps(model: keras.Model, draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Swaps pairs of blocks of the same shape: first one pair, then more and more (Figure 5b)."""
    names = deletable(model)
    units = {name: [layer for layer in model.layers if layer.name.startswith(f"{name}_")] for name in names}
    values = {name: [layer.get_weights() for layer in layers] for name, layers in units.items()}
    same = [name for name in names if name not in CHANGING]
    stages = [[name for name in same if name.startswith(stage)] for stage in ("conv2", "conv3", "conv4")]
    stages = [stage for stage in stages if len(stage) > 1]
    for count in (1, 2, 4, 8, 16, 32) if stages else ():
        for _ in range(draws):
            order = {name: name for name in names}
            pairs = [rng.choice(stages[rng.integers(len(stages))], 2, replace=False) for _ in range(count)]
            for one, other in pairs:
                order[one], order[other] = order[other], order[one]
            for name, source in order.items():
                for layer, weights in zip(units[name], values[source], strict=True):
                    layer.set_weights(weights)
            tau = kendalltau(range(len(names)), [names.index(source) for source in order.values()]).statistic
            yield "swap", count, " ".join(map(":".join, pairs)), accuracy(model), float(tau)


def along_paths(model: keras.Model) -> Callable[[Any, Any, Any], Any]:
    """The part of the loss' gradient that reaches the input of the first block along one path of the network.

    Returns:
        A function of images (N, 8, 8, 1), labels (N,) and paths (N, blocks), which returns gradients (N, 8, 8,
        channels). A path is a row of 1 and 0: it goes through the residual of a block with 1, and through the shortcut
        of a block with 0. The forward pass is that of the whole network, so the gradients along all paths sum to the
        gradient.
    """
    names = deletable(model)
    units, maps = [], model.get_layer("conv1_relu").output
    for name in names:
        branches = model.get_layer(f"{name}_add").input
        units.append([keras.Model(maps, each) if each is not maps else keras.layers.Identity() for each in branches])
        maps = model.get_layer(f"{name}_out").output
    stem = keras.Model(model.input, model.get_layer("conv1_relu").output)
    end = keras.Model(maps, model.output)

    def arriving(images: Any, labels: Any, taken: Any) -> Any:
        gates = ops.convert_to_tensor(taken, "float32")[..., None, None, None]

        def loss(maps: Any) -> Any:
            for number, (shortcut, residual) in enumerate(units):
                skip, rest, gate = shortcut(maps), residual(maps), gates[:, number]
                path = gate * rest + (1 - gate) * skip
                maps = ops.relu(path + ops.stop_gradient(skip + rest - path))
            return ops.sum(ops.sparse_categorical_crossentropy(labels, end(maps), from_logits=True))

        return ops.convert_to_numpy(gradient(loss, stem(ops.convert_to_tensor(images))))

    return arriving


def paths(laboratory: Laboratory, training: Training) -> Iterator[Row]:
    """The accuracy after blocks are deleted or, in a residual network, swapped."""
    model, rng = laboratory.trained(training), np.random.default_rng(training.seed)
    yield from deletions(model, laboratory.draws, rng)
    if training.network == "residual":
        yield from swaps(model, laboratory.draws, rng)


def path_gradients(laboratory: Laboratory, training: Training) -> Iterator[Row]:
    """The mean norm of the gradient along single paths, for each number of residuals on the path (Figure 6b)."""
    x, y, _, _ = digits()
    model, rng, draws = laboratory.trained(training), np.random.default_rng(training.seed), 100 * laboratory.draws
    arriving, units = along_paths(model), len(deletable(model))
    for length in range(units + 1):
        taken = np.array([rng.permutation(units) < length for _ in range(draws)], "float32")
        some = rng.choice(len(x), draws)
        yield length, float(np.sqrt((arriving(x[some], y[some], taken) ** 2).sum((1, 2, 3))).mean())


# Responses and gradients of layers.


def responses(laboratory: Laboratory, training: Training) -> Iterator[Row]:
    """The standard deviations of the outputs of batch norms (arXiv:1512.03385 Figure 7) and of the inputs of blocks.

    The batch norms use the statistics of the batch, because at initialisation they have no others.
    """
    x = ops.convert_to_tensor(digits()[2])
    for epoch in (0, laboratory.epochs):
        model = laboratory.trained(training, epoch)
        measured = [layer for layer in model.layers if layer.name.endswith(("_bn", "conv1_relu", "_out"))]
        outputs = keras.Model(model.input, [layer.output for layer in measured])(x, training=True)
        for layer, output in zip(measured, outputs, strict=True):
            yield epoch, layer.name, float(ops.convert_to_numpy(output).std())


def gradients(laboratory: Laboratory, training: Training) -> Iterator[Row]:
    """The norms of each kernel and of its gradient, which is the step that SGD with a learning rate of 1 takes."""
    x, y, _, _ = digits()
    for epoch in dict.fromkeys((0, 1, laboratory.epochs)):
        model = laboratory.trained(training, epoch)
        convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        before = [layer.get_weights()[0] for layer in convs]
        model.compile(keras.optimizers.SGD(1.0), LOSS)
        model.train_on_batch(x[:500], y[:500])
        for number, (layer, kernel) in enumerate(zip(convs, before, strict=True), 1):
            step = layer.get_weights()[0] - kernel
            yield epoch, number, layer.name, float(np.linalg.norm(kernel)), float(np.linalg.norm(step))


# The command.


@dataclass(frozen=True)
class Experiment:
    """A measurement and its trainings. In its CSV file, `columns` follow the columns that name the training."""

    table: str
    columns: tuple[str, ...]
    trainings: Callable[[Sequence[int]], list[Training]]
    measure: Callable[[Laboratory, Training], Iterable[Row]]


_ERRORS = ("epoch", "training_error", "validation_error")
EXPERIMENTS = {
    "degradation": Experiment("learning", _ERRORS, degradation, Laboratory.train),
    "shortcuts": Experiment("learning", _ERRORS, shortcuts, Laboratory.train),
    "orders": Experiment("learning", _ERRORS, orders, Laboratory.train),
    "longer": Experiment("learning", _ERRORS, longer, Laboratory.train),
    "paths": Experiment("paths", ("change", "count", "units", "accuracy", "kendall_tau"), that_learn, paths),
    "path-gradients": Experiment("path_gradients", ("length", "norm"), deepest, path_gradients),
    "responses": Experiment("responses", ("epoch", "layer", "deviation"), by_sgd, responses),
    "gradients": Experiment("gradients", ("epoch", "number", "layer", "kernel", "norm"), by_sgd, gradients),
}


def rows(results: Path, table: str) -> list[dict[str, str]]:
    """The rows of a CSV file, or none if there is no such file."""
    path = results / f"{table}.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add(results: Path, table: str, header: Sequence[str], lines: Iterable[Row]) -> None:
    """Appends rows to a CSV file. A new file begins with the header."""
    path, text = results / f"{table}.csv", io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists():
        writer.writerow(header)
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in line] for line in lines)
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())  # in one call, because another process may append to the file, too


def main(arguments: list[str] | None = None) -> None:
    """Runs the given experiments, except for the results that the folder already has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help=f"any of: {', '.join(EXPERIMENTS)} (default: all)"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="the folder of the CSV files (default: results/ beside this file)"
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of each training (default: %(default)s)")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=SEEDS,
        help=f"each training is run once with each seed (default: {' '.join(map(str, SEEDS))})",
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=DRAWS,
        help="random choices of blocks to delete or swap, for each number of blocks; "
        "for each length of path, 100 times as many paths (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    if unknown := set(given.experiments) - set(EXPERIMENTS):
        parser.error(f"there is no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    if given.epochs < 1 or given.draws < 1:
        parser.error("--epochs and --draws must be 1 or more")
    settings = {"backend": keras.backend.backend(), "epochs": given.epochs, "draws": given.draws, "batch": BATCH}
    known = given.results / "settings.json"
    if known.exists() and json.loads(known.read_text()) != settings | {"rates": RATES}:
        parser.error(
            f"the results in {given.results} were made with {known.read_text().strip()}, and this command has other "
            f"settings or another backend: choose another --results"
        )
    given.results.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(settings | {"rates": RATES}) + "\n")
    laboratory = Laboratory(given.results, given.epochs, given.draws)
    key = [field.name for field in fields(Training)]
    tasks = [
        (name, training)
        for name in given.experiments or EXPERIMENTS
        for training in EXPERIMENTS[name].trainings(given.seeds)
    ]
    for number, (name, training) in enumerate(tasks, 1):
        experiment, start = EXPERIMENTS[name], time.perf_counter()
        done = {tuple(row[column] for column in key) for row in rows(given.results, experiment.table)}
        if tuple(map(str, astuple(training))) in done:
            continue
        lines = [(*astuple(training), *line) for line in experiment.measure(laboratory, training)]
        add(given.results, experiment.table, (*key, *experiment.columns), lines)
        said = f"; validation error {lines[-1][-1]:.1%}" if experiment.table == "learning" else ""
        print(f"{number}/{len(tasks)} {name}: {training}: {time.perf_counter() - start:.0f} s{said}", flush=True)


if __name__ == "__main__":
    main()
