"""Compares stretching, cropping and padding on windows of real photographs, whose proportions differ.

    KERAS_BACKEND=torch python scripts/compare_resizing.py

Each class is a photograph that scikit-learn or, if it is installed, scikit-image ships. Windows of 1:3 to 3:1 and many
sizes, in gray, so that colours do not tell the photograph, are cut from its upper part to train with and from its lower
part to validate with. A small network learns them, with each of the ways and three seeds, which draw windows, weights
and order. Prints the validation accuracies in percent, their mean and their spread (largest minus smallest).
"""

import argparse
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

import keras_resnet
from keras_resnet import data
from keras_resnet.data.resize import RESIZES

_OF_SCIKIT_IMAGE = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png"),
    *("hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)


def photographs() -> dict[str, Any]:
    """Gray photographs by name, uint8 (height, width)."""
    found = dict(zip(("china", "flower"), map(Image.fromarray, load_sample_images().images), strict=True))
    package = find_spec("skimage")
    if package and package.origin:
        paths = [Path(package.origin).parent / "data" / name for name in _OF_SCIKIT_IMAGE]
        found |= {path.stem: Image.open(path) for path in paths if path.is_file()}
    return {name: np.asarray(image.convert("L")) for name, image in found.items()}


def windows(photo: Any, count: int, rng: np.random.Generator) -> list[Any]:
    """Windows of a photograph, of 24 pixels to half of its shorter side in mean, and sides of 1:3 to 3:1."""
    height, width = photo.shape
    found = []
    for _ in range(count):
        side = np.exp(rng.uniform(np.log(24), np.log(min(height, width) / 2)))
        ratio = np.exp(rng.uniform(np.log(1 / 3), np.log(3)) / 2)
        h, w = (int(np.clip(round(each), 8, most)) for each, most in ((side / ratio, height), (side * ratio, width)))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        found.append(photo[top : top + h, left : left + w])
    return found


def accuracy(photos: dict[str, Any], resize: Any, seed: int, size: int, count: int, epochs: int) -> float:
    """The validation accuracy of a network that learned so many windows of each photograph."""
    rng, sides = np.random.default_rng(seed), []
    for part, share in ((0, count), (1, count // 2)):
        found = [
            windows(np.array_split(photo, [photo.shape[0] * 3 // 5])[part], share, rng) for photo in photos.values()
        ]
        labels = np.repeat(np.arange(len(photos)), share)
        sides.append(([each for ones in found for each in ones], labels))
    settings: dict[str, Any] = {"one_hot": True, "resize": resize, "channels": 1}
    training, validation = (data.Pictures(*side, list(photos), size, 32, **settings) for side in sides)
    keras.utils.set_random_seed(seed)
    row = replace(keras_resnet.variants.RESNET20, name="small", units=(2, 2, 2))
    model = keras_resnet.transfer.classifier(row, len(photos), size, channels=1)
    steps = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(training))
    model.compile(keras.optimizers.AdamW(steps), "categorical_crossentropy", metrics=["accuracy"])
    keras_resnet.transfer.quicken_norms(model, len(training))
    model.fit(training.with_(seed=seed, augment="light"), epochs=epochs, shuffle=False, verbose=0)
    return float(model.evaluate(validation, verbose=0)[1])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--windows", type=int, default=40, help="training windows of each photograph")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    photos = photographs()
    print(f"{len(photos)} photographs, {args.windows} windows of each to train, {args.windows // 2} to validate")
    print(f"{'resize':8} " + " ".join(f"seed {seed}" for seed in range(args.seeds)) + "   mean  spread")
    for resize in RESIZES:
        found = [
            100 * accuracy(photos, resize, seed, args.image_size, args.windows, args.epochs)
            for seed in range(args.seeds)
        ]
        ones = " ".join(f"{each:6.1f}" for each in found)
        print(f"{resize:8} {ones} {np.mean(found):6.1f} {np.ptp(found):7.1f}", flush=True)


if __name__ == "__main__":
    main()
