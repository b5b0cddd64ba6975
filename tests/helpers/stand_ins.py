"""Files that documents name, of random weights: what a download or a user's folder would hold."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import keras_resnet
from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.models.networks import builder_of
from tests.helpers.pictures import draw, draw_folder


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
            (row,) = (row for row in list_weights().values() if row.url == url)
            published(row, path)
    return path


def photograph(path: Path) -> None:
    """One image."""
    draw("circle", np.random.default_rng(0)).save(path)


def own_checkpoint(path: Path) -> None:
    """What a training script of PyTorch's leaves, here of a ResNet-18 for ten classes under DataParallel."""
    import torch

    model = keras_resnet.ResNet18(weights=None, classes=10, style="torch")
    keras_resnet.save_weights(model, path)
    tensors = {f"module.{name}": tensor for name, tensor in torch.load(path).items()}
    torch.save({"epoch": 90, "state_dict": tensors, "optimizer": {"param_groups": [{"lr": 0.1}]}}, path)


SLIM = Path(__file__).parents[1] / "goldens/slim/v1_2222/public_like_v1format.ckpt"
FILES: dict[str, Callable[[Path], object]] = {
    "flowers": lambda path: draw_folder(path, 4),
    "photo.jpg": photograph,
    "resnet18-f37072fd.pth": partial(published, list_weights()["torchvision/resnet18.v1"]),
    "mine.pth": own_checkpoint,
    "small.ckpt": partial(shutil.copy, SLIM),
}


def lay_out(text: str, folder: Path) -> None:
    """Puts into a folder whatever of `FILES` a text names."""
    for name, make in FILES.items():
        if name in text:
            make(folder / name)
