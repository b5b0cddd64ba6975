"""Files that documents name, of random weights: what a download or a user's folder would hold."""

import csv
import dataclasses
import json
import shutil
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_resnet
from keras_resnet.architecture.rows import RESNET18
from keras_resnet.architecture.variant import Stem
from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.models.networks import builder_of
from tests.helpers.keras_2 import mxnet_keys, write_h5
from tests.helpers.pictures import SHAPES, draw, draw_folder


def published(row: Checkpoint, path: Path) -> None:
    """Writes a file that could be a published one, but for its weights."""
    arguments = {"classes": row.classes} if row.classes else {"include_top": False}
    model = builder_of(row.network)(weights=None, style=row.style, **arguments)
    if row.style == "torch":
        keras_resnet.save_weights(model, path)
    else:
        model.save_weights(path.with_suffix(".weights.h5"))
        path.with_suffix(".weights.h5").rename(path)  # the content tells which kind of .h5 it is


def fetch(url: str, name: str, digest: str, *, folder: Path) -> Path:
    """The file that a URL would give, made when it is first asked for."""
    path = folder / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":  # Keras' index of ImageNet's classes
            path.write_text(json.dumps({str(i): [f"n{i:08}", f"class_{i}"] for i in range(1000)}))
        else:
            published(next(row for row in list_weights().values() if row.url == url), path)
    return path


def photograph(path: Path) -> None:
    """One image."""
    draw("circle", np.random.default_rng(0)).save(path)


def own_checkpoint(
    path: Path,
    build: Callable[..., keras.Model] = keras_resnet.ResNet18,
    classes: int = 10,
    scopes: dict[str, str] | None = None,
    renamed: str = "fc.",
    tensors: dict[str, tuple[int, ...]] | None = None,
) -> None:
    """What a training script of PyTorch's leaves: networks by their scopes, options and an optimizer's state.

    `renamed`: what the classifier is called; `tensors`: further ones of each network.
    """
    import torch

    model = build(weights=None, classes=classes, style="torch")
    keras_resnet.save_weights(model, bare := path.with_name("bare.pth"))
    plain = {name.replace("fc.", renamed): tensor for name, tensor in torch.load(bare).items()}
    plain |= {name: torch.ones(*shape) for name, shape in (tensors or {}).items()}
    networks = {
        key: {f"{prefix}{name}": tensor for name, tensor in plain.items()}
        for key, prefix in (scopes or {"state_dict": "module."}).items()
    }
    options = Namespace(lr=0.1, data=Path("images"))
    torch.save({"epoch": 90, **networks, "args": options, "optimizer": {"param_groups": [{"lr": 0.1}]}}, path)


def cifar18(**arguments: Any) -> keras.Model:
    """The network of the page about checkpoints."""
    row = dataclasses.replace(RESNET18, stem=Stem(3, 64, 1, False))
    return keras_resnet.ResNet(row, input_shape=(32, 32, 3), **arguments)


def table(path: Path, name: str, cell: Callable[[int], object], count: int = 24) -> None:
    """A table of so many images, four of each patient, and the images in a folder beside it."""
    draw_folder(folder := path.with_suffix(""), count // 3)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["image", name, "patient"])
        for index in range(count):
            image = folder.name + f"/{SHAPES[index % 3]}/{index // 3}.jpg"
            lines.writerow([image, cell(index), f"p{index // 4}"])


def of_keras_2(path: Path, more: dict[str, list[int] | None]) -> None:
    """A file of image-classifiers' resnet18, and further layers."""
    write_h5(path, {**mxnet_keys("classification_models_resnet18"), **more})


SLIM = Path(__file__).parents[1] / "goldens/slim/v1_2222/public_like_v1format.ckpt"
FILES: dict[str, Callable[[Path], object]] = {
    "flowers": lambda path: draw_folder(path, 4),
    "photo.jpg": photograph,
    "labels.csv": partial(table, name="label", cell=lambda index: SHAPES[index % 3]),
    "tags.csv": partial(table, name="tags", cell=lambda index: "|".join(SHAPES[: index % 4])),
    "people.csv": partial(table, name="age", cell=lambda index: 10 + index / 2),
    "resnet18-f37072fd.pth": partial(published, list_weights()["torchvision/resnet18.v1"]),
    "mine.pth": own_checkpoint,
    "model_best.pth": own_checkpoint,
    "last.pth.tar": partial(own_checkpoint, scopes={"state_dict": "", "state_dict_ema": ""}),
    "cifar.pth": partial(own_checkpoint, build=cifar18, renamed="linear."),
    "two_heads.pth": partial(own_checkpoint, classes=5, renamed="head_species.", tensors={"head_age.weight": (3, 512)}),
    "unet.h5": partial(of_keras_2, more={"decoder_stage0a_conv/kernel": [3, 3, 512, 16]}),
    "transfer.h5": partial(of_keras_2, more={"dense_3/kernel": [512, 5], "dense_3/bias": [5]}),
    "small.ckpt": partial(shutil.copy, SLIM),
}


def lay_out(text: str, folder: Path) -> None:
    """Puts into a folder whatever of `FILES` a text names."""
    for name, make in FILES.items():
        if name in text:
            make(folder / name)
