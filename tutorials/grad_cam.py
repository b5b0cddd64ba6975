"""Grad-CAM (arXiv:1610.02391): a heat map of the parts of an image that raise the score of a class.

    python tutorials/grad_cam.py photo.jpg --model runs/flowers/model.keras --out grad_cam.png

The model can be any classifier of keras_resnet that takes raw RGB and preprocesses it itself: a model that
`keras-resnet train` saved, or a model built with include_preprocessing=True. The command runs on each backend. It needs
the extra `train`, which brings the libraries that read and draw images.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_resnet
from keras_resnet.models.inspection import find_network, find_networks, walk_layers
from keras_resnet.models.outputs import outputs_of


def gradient(function: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of a scalar function at x. Each backend has its own way to compute it."""
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


@contextmanager
def replaced(layer: Any, **attributes: Any) -> Iterator[None]:
    """Gives a layer, at any depth of a model, other attributes until the context ends."""
    before = {name: vars(layer)[name] for name in attributes if name in vars(layer)}
    for name, value in attributes.items():
        setattr(layer, name, value)
    try:
        yield
    finally:
        for name in attributes:
            delattr(layer, name)
        for name, value in before.items():
            setattr(layer, name, value)


def last_map(model: keras.Model) -> tuple[Any, bool]:
    """The layer whose output is a network's last feature map, at any depth, and whether its channels come first."""
    if len(found := find_networks(model)) > 1:
        raise ValueError(
            f"`model` must hold one network; {model.name!r} holds {', '.join(each.scope for each in found)}."
        )
    network = find_network(model, None)
    names = ("post_relu", f"{network.plan.units[-1].name}_out")
    layer = next(network.layers[name] for name in names if name in network.layers)
    return layer, network.layers["conv2_block1_1_conv"].data_format == "channels_first"


def run(model: keras.Model, images: Any, last: Any) -> tuple[Any, Any]:
    """Returns the last feature map and, or None, the layer whose softmax or sigmoid makes the model's outputs."""
    functions = (keras.activations.softmax, keras.activations.sigmoid)
    layers = [last]
    for layer in walk_layers(model).values():
        if isinstance(layer, keras.layers.Softmax) or getattr(layer, "activation", None) in functions:
            layers.append(layer)
    calls = []

    def recorded(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **options: Any) -> Any:
            y = call(*args, **options)
            calls.append((layer, y))
            return y

        return record

    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced(layer, call=recorded(layer, layer.call)))
        outputs = model(images, training=False)
    maps = [y for layer, y in calls if layer is last]
    if len(maps) != 1:
        raise ValueError(f"`model` must call its network once; {model.name!r} calls it {len(maps)} times.")
    kind, (end, y) = outputs_of(model), calls[-1]  # None for a model whose class has a `call` of its own
    if y.shape == outputs.shape:
        ends = np.allclose(ops.convert_to_numpy(y), ops.convert_to_numpy(outputs))
    else:
        ends = end is not last and kind is not None  # and a mean over positions, or another order of axes, follows
    if not ends and kind in ("softmax", "sigmoid"):
        raise ValueError(f"`model` must have a layer for its {kind}; that of {model.name!r} is an operation.")
    return maps[0], end if ends and kind != "logits" else None


def grad_cam(model: keras.Model, images: Any, classes: Any = None) -> tuple[Any, Any]:
    """Weights the channels of the last feature map by the gradient of a class' score.

    The score of a class is the logit: the value before the softmax or sigmoid. In a fully convolutional model it is the
    mean of the logits over all positions. A model with a single sigmoid has two classes: the logit is the score of
    class 1, and its negative is the score of class 0.

    Args:
        model: a classifier on a network of keras_resnet, pooled or fully convolutional, with the top of the network or
            any other top. The network may be nested in other models.
        images: (N, height, width, channels), or channels first, as the model takes them.
        classes: (N,), the class to explain for each image. None means the class with the highest score.

    Returns:
        The heat maps, (N, H, W) in [0, 1], as large as the last feature map, and the class of each heat map, (N,).
    """
    images = ops.convert_to_tensor(images)
    last, first = last_map(model)
    spatial = (2, 3) if first else (1, 2)
    maps, end = run(model, images, last)
    linear = (
        {"call": lambda x, mask=None: x}
        if isinstance(end, keras.layers.Softmax)
        else {"activation": keras.activations.linear}
    )

    def scores(change: Any) -> Any:
        """The model's scores if this change is added to its last feature map."""
        call = last.call
        with replaced(last, call=lambda x: call(x) + change), replaced(end, **linear) if end else nullcontext():
            y = model(images, training=False)
        y = y if len(y.shape) == 2 else ops.mean(y, axis=spatial)
        return y if y.shape[1] > 1 else ops.concatenate([-y, y], axis=1)

    unchanged = ops.zeros_like(maps)
    found = scores(unchanged)
    classes = ops.argmax(found, axis=-1) if classes is None else ops.convert_to_tensor(classes, "int32")
    chosen = ops.one_hot(classes, found.shape[1])
    growth = gradient(lambda change: ops.sum(scores(change) * chosen), unchanged)
    weights = ops.mean(growth, axis=spatial, keepdims=True)
    heat = ops.relu(ops.sum(weights * maps, axis=1 if first else 3))
    heat = heat / ops.maximum(ops.max(heat, axis=(1, 2), keepdims=True), keras.config.epsilon())
    return ops.convert_to_numpy(heat), ops.convert_to_numpy(classes)


def draw(image: Any, heat: Any, title: str, path: Path) -> None:
    """Writes an image file that shows the image and, beside it, the image under its heat map."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8 * image.shape[0] / image.shape[1] / 2 + 0.5), layout="constrained")
    for axes, label in zip(figure.subplots(1, 2), ("", title), strict=True):
        axes.imshow(image)
        axes.set_title(label)
        axes.set_axis_off()
    height, width = image.shape[:2]
    axes.imshow(heat, cmap="jet", alpha=0.5, vmin=0, vmax=1, interpolation="bilinear", extent=(0, width, height, 0))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Reads the command line, and writes one image file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, help="the image file to explain")
    parser.add_argument(
        "--model",
        type=Path,
        help="a .keras file of a model that takes raw RGB (default: ResNet50 with ImageNet weights)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("grad_cam.png"), help="the image file to write (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.model:
        model = keras.models.load_model(arguments.model, compile=False)
    else:
        model = keras_resnet.ResNet50(include_preprocessing=True)
    shape = model.inputs[0].shape[1:]
    first = shape[-1] != 3
    sides = shape[1:] if first else shape[:2]
    image = keras_resnet.data.read_picture(arguments.image)
    height, width = (side or own for side, own in zip(sides, image.shape, strict=False))
    x = keras_resnet.data.read_picture(arguments.image, (height, width))[np.newaxis].astype("float32")
    heat, classes = grad_cam(model, np.moveaxis(x, -1, 1) if first else x)
    names = keras_resnet.labels.class_names(model)
    title = names[classes[0]] if names else f"class {classes[0]}"
    draw(image, heat[0], title, arguments.out)
    print(f"{arguments.out}: {title}")


if __name__ == "__main__":
    main()
