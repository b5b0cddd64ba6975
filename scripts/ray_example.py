#!/usr/bin/env python
"""Trains with two workers of Ray Train, or classifies many images with actors of Ray Data.

    pip install "ray[train,data]"
    KERAS_BACKEND=torch python scripts/ray_example.py train     # its weights are those of one process
    KERAS_BACKEND=torch python scripts/ray_example.py predict   # images a second, and those of a plain loop

On a cluster, leave out `ray.init`'s arguments and give folders that all machines see.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import numpy as np
import ray  # type: ignore[import-not-found]
from PIL import Image

SIZE, BATCH = 64, 32


def draw(folder: Path, count: int) -> list[str]:
    """Writes pictures of two classes: the brighter half, the darker half."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        name = "bright" if number % 2 else "dark"
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (96, 96, 3)) + 127 * (number % 2)
        files.append(folder / name / f"{number}.jpg")
        Image.fromarray(pixels.astype("uint8")).save(files[-1])
    return [str(file) for file in files]


def run(settings: dict[str, Any]) -> None:
    """What each worker does: the same as one process would."""
    import keras

    import keras_resnet
    from keras_resnet import distribution, training, transfer

    place = distribution.start()  # Ray has made the process group
    keras.utils.set_random_seed(0)
    data = keras_resnet.data.splits(settings["folder"], image_size=16, batch_size=16, augment="strong", one_hot=True)
    model = transfer.classifier(keras_resnet.ResNet20, classes=2, image_size=16)
    recipe = training.Recipe(epochs=1, optimizer="sgd", learning_rate=1e-4, clip_norm=1.0)
    found = training.train(model, data, settings["out"], recipe)
    if place.rank == 0:
        print(f"{place.processes} processes, validation {found['validation'].score()}")
        np.savez(Path(settings["out"], "weights.npz"), *model.get_weights())


class Classifier:
    """An actor: it holds the optimized model, and is given paths, not pixels."""

    def __init__(self) -> None:
        import keras_resnet

        self.read = keras_resnet.data.read_picture
        self.model = keras_resnet.optimize_for_inference(network())

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the class of each picture of a batch."""
        pixels = np.stack([self.read(path, SIZE) for path in batch["path"]]).astype("float32")
        return {"path": batch["path"], "class": self.model.predict_on_batch(pixels).argmax(-1)}


def network() -> Any:
    """The model, with the same random weights in each actor; in earnest, `keras.models.load_model(path)`."""
    import keras

    import keras_resnet

    keras.utils.set_random_seed(0)
    shape = (SIZE, SIZE, 3)
    return keras_resnet.ResNet18(weights=None, classes=2, input_shape=shape, include_preprocessing=True)


def train(folder: Path) -> None:
    """One process, then two workers, from the same start."""
    from ray.train import RunConfig, ScalingConfig  # type: ignore[import-not-found]
    from ray.train.torch import TorchConfig, TorchTrainer  # type: ignore[import-not-found]

    draw(folder / "pictures", 150)
    ends = []
    for workers in (1, 2):
        out = folder / f"run-{workers}"
        TorchTrainer(
            run,
            train_loop_config={"folder": str(folder / "pictures"), "out": str(out)},
            scaling_config=ScalingConfig(num_workers=workers),
            torch_config=TorchConfig(backend="gloo"),
            run_config=RunConfig(storage_path=str(folder / "ray")),
        ).fit()
        with np.load(out / "weights.npz") as weights:
            ends.append(np.concatenate([weights[name].ravel() for name in weights.files]))
    distance = np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[0])
    print(f"two workers against one: {distance:.1e} of the norm of all weights")


def predict(folder: Path, count: int) -> None:
    """A plain loop, then one actor and two."""
    files = draw(folder, count)
    alone, begun = Classifier(), time.perf_counter()
    expected = np.concatenate([alone({"path": files[i : i + BATCH]})["class"] for i in range(0, count, BATCH)])
    print(f"plain loop: {count / (time.perf_counter() - begun):.0f} images/s")
    for actors in (1, 2):
        begun = time.perf_counter()
        paths = ray.data.from_items([{"path": file} for file in files])
        found = paths.map_batches(Classifier, batch_size=BATCH, compute=ray.data.ActorPoolStrategy(size=actors))
        classes = {row["path"]: row["class"] for row in found.take_all()}
        print(f"{actors} actors: {count / (time.perf_counter() - begun):.0f} images/s with their start")
        assert [classes[file] for file in files] == expected.tolist()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "predict"))
    parser.add_argument("--images", type=int, default=600, help="how many are classified (default: 600)")
    args = parser.parse_args()
    ray.init(address="local", num_cpus=4, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=True)
    with tempfile.TemporaryDirectory() as temporary:
        if args.what == "train":
            train(Path(temporary))
        else:
            predict(Path(temporary), args.images)
    ray.shutdown()
