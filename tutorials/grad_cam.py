"""Grad-CAM (arXiv:1610.02391): which parts of a picture speak for a class, from any classifier of keras_resnet.

    python tutorials/grad_cam.py photo.jpg --model runs/flowers/model.keras --out grad_cam.png

The picture is read as raw RGB, so the model must preprocess it itself: one that `keras-resnet train` left, or one built
with include_preprocessing=True. Runs on each backend; needs the extra `train` for reading and drawing pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_resnet


def gradient(function: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of a scalar function at x; the one thing here that each backend says in its own way."""
    match keras.backend.backend():
        case "jax":
            import jax

            return jax.grad(function)(x)
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return tape.gradient(y, x)
        case "torch":
            import torch

            x = x.detach().requires_grad_()
            return torch.autograd.grad(function(x), x)[0]


def grad_cam(model: keras.Model, images: Any, classes: Any = None) -> tuple[Any, Any]:
    """Weighs the channels of the last feature map by how much the score of a class grows with them.

    Args:
        model: a classifier of keras_resnet, pooled or fully convolutional.
        images: (N, height, width, channels), or channels first, as the model takes them.
        classes: (N,), the class to explain for each image; None is the one that the model gives the highest score.

    Returns:
        Heat maps in [0, 1], as large as the last feature map, (N, H, W), and the classes they are of, (N,).
    """
    *_, last = keras_resnet.feature_pyramid(model).output.values()
    classifier = model.get_layer("predictions")
    spatial = (1, 2) if model.get_layer("conv2_block1_1_conv").data_format == "channels_last" else (2, 3)
    pool = (lambda maps: maps) if classifier.input is last else keras.Model(last, classifier.input)
    maps = keras.Model(model.input, last)(images, training=False)

    def scores(maps: Any) -> Any:
        """The classifier before its activation; of a map, the mean over its positions."""
        logits = ops.matmul(pool(maps), classifier.kernel) + classifier.bias
        return logits if len(logits.shape) == 2 else ops.mean(logits, axis=(1, 2))

    classes = ops.argmax(scores(maps), axis=-1) if classes is None else ops.convert_to_tensor(classes, "int32")
    chosen = ops.one_hot(classes, classifier.units)
    growth = gradient(lambda maps: ops.sum(scores(maps) * chosen), maps)
    weights = ops.mean(growth, axis=spatial, keepdims=True)
    heat = ops.relu(ops.sum(weights * maps, axis=6 - sum(spatial)))
    heat = heat / ops.maximum(ops.max(heat, axis=(1, 2), keepdims=True), keras.config.epsilon())
    return ops.convert_to_numpy(heat), ops.convert_to_numpy(classes)


def draw(picture: Any, heat: Any, title: str, path: Path) -> None:
    """Puts the picture and, beside it, the picture under its heat map into an image file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8 * picture.shape[0] / picture.shape[1] / 2 + 0.5), layout="constrained")
    for axes, label in zip(figure.subplots(1, 2), ("", title), strict=True):
        axes.imshow(picture)
        axes.set_title(label)
        axes.set_axis_off()
    height, width = picture.shape[:2]
    axes.imshow(heat, cmap="jet", alpha=0.5, vmin=0, vmax=1, interpolation="bilinear", extent=(0, width, height, 0))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Reads the command line, and writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", type=Path, help="a .keras file that takes raw RGB; default: ResNet50 of ImageNet")
    parser.add_argument("--out", type=Path, default=Path("grad_cam.png"))
    arguments = parser.parse_args()
    if arguments.model:
        model = keras.models.load_model(arguments.model, compile=False)
    else:
        model = keras_resnet.ResNet50(include_preprocessing=True)
    first = model.get_layer("conv2_block1_1_conv").data_format == "channels_first"
    sides = model.input_shape[2:] if first else model.input_shape[1:3]
    picture = keras_resnet.data.read_picture(arguments.picture)
    height, width = (side or own for side, own in zip(sides, picture.shape, strict=False))
    x = keras_resnet.data.read_picture(arguments.picture, (height, width))[np.newaxis].astype("float32")
    heat, classes = grad_cam(model, np.moveaxis(x, -1, 1) if first else x)
    names = keras_resnet.labels.class_names(model)
    title = names[classes[0]] if names else f"class {classes[0]}"
    draw(picture, heat[0], title, arguments.out)
    print(f"{arguments.out}: {title}")


if __name__ == "__main__":
    main()
