"""Data augmentation in NumPy and Pillow, alike on every backend: shifts, mirror images, colours, MixUp, CutMix.

Every function draws from the generator that it is given and from nothing else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_resnet.data.decode import Range, Size, as_pair, decode_channels
from keras_resnet.data.resize import Box, resize, width_and_height
from keras_resnet.utils.errors import import_optional

LEVELS = ("none", "light", "strong")

Floats = np.ndarray[Any, np.dtype[np.float32]]
Generator = np.random.Generator

_LUMA = np.array((0.299, 0.587, 0.114), "float32")  # of RGB, as Pillow has it


def augment(
    picture: Any,
    image_size: Size | None,
    level: str,
    rng: Generator,
    how: str = "stretch",
    channels: int = 3,
    value_range: Range | None = None,
) -> Any:
    """Decodes an image as another that shows the same; returns (height, width, channels).

    Args:
        picture: as for `keras_resnet.data.Reader`.
        image_size: (height, width) in pixels, or one int for both; None: the picture's own.
        level: "light": a shift by up to an eighth of the sides (arXiv:1512.03385 section 4.2), a mirror image half of
            the time, brightness and contrast by up to a fifth. "strong": a random part, of 0.35 to 1 of the area and
            with sides 3:4 to 4:3 as far as the image has them (arXiv:1409.4842 section 6), a mirror image half of the
            time, brightness, contrast and saturation by up to two fifths. "none": nothing. Only RGB has saturation, and
            an alpha channel keeps its values.
        rng: where the draws come from.
        how: how the image comes to the size, as `resize` of `keras_resnet.data.Reader`. The part of "strong" has sides
            3:4 to 4:3 of the size's under "crop", of the image's under "pad", and is brought to the size as a whole
            image would be.
        channels: as for `keras_resnet.data.Reader`.
        value_range: as for `keras_resnet.data.Reader`.

    Returns:
        uint8, or float32 in [0, 255] if the image has more than 8 bits or other channels than RGB.
    """
    scale = 4 if level == "strong" else 2  # a small part must have pixels enough
    least = None if image_size is None else scale * max(as_pair(image_size))
    image = decode_channels(picture, channels, value_range, least)
    own = width_and_height(image)
    size = as_pair(own[::-1] if image_size is None else image_size)
    ratio = {"stretch": 1.0, "crop": size[1] / size[0], "pad": own[0] / own[1]}[how]
    box = _part(*own, rng, ratio) if level == "strong" else None
    pixels = resize(image, size, how, box)
    if level == "none":
        return pixels
    reach, properties = (
        (0.4, ("Brightness", "Contrast", "Color")) if level == "strong" else (0.2, ("Brightness", "Contrast"))
    )
    pixels = _recoloured(pixels, [(name, rng.uniform(1 - reach, 1 + reach)) for name in properties])
    if level == "light":
        pixels = _shift(pixels, rng)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _recoloured(pixels: Any, factors: Sequence[tuple[str, float]]) -> Any:
    """An image with each property, as Pillow calls it, times a factor."""
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        image, ImageEnhance = import_optional("PIL.Image").fromarray(pixels), import_optional("PIL.ImageEnhance")
        for name, factor in factors:
            image = getattr(ImageEnhance, name)(image).enhance(factor)
        return np.asarray(image)
    channels = pixels.shape[2]
    pixels, alpha = np.split(pixels.astype("float32"), [3 if channels == 4 else channels], axis=2)
    for name, factor in factors:
        ground: Any = 0  # what is seen at factor 0
        if name == "Contrast":
            ground = (pixels @ _LUMA).mean() if pixels.shape[2] == 3 else pixels.mean((0, 1))
        elif name == "Color":
            ground = (pixels @ _LUMA)[..., None] if channels == 3 else pixels
        pixels = np.clip(ground + np.float32(factor) * (pixels - ground), 0, 255)
    return np.concatenate([pixels, alpha], 2)


def _part(width: int, height: int, rng: Generator, usual: float = 1.0) -> Box:
    """A random box (left, upper, right, lower) in an image, of about a usual ratio of width to height."""
    area = rng.uniform(0.35, 1) * width * height
    ratio = usual * np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w, h = min(width, np.sqrt(area * ratio)), min(height, np.sqrt(area / ratio))
    left, upper = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, upper, left + w, upper + h


def _shift(pixels: Any, rng: Generator) -> Any:
    """Moves by up to an eighth of each side; what was outside mirrors the inside."""
    height, width = pixels.shape[:2]
    down, right = height // 8, width // 8
    padded = np.pad(pixels, ((down, down), (right, right), (0, 0)), "symmetric")
    top, left = rng.integers(2 * down + 1), rng.integers(2 * right + 1)
    return padded[top : top + height, left : left + width]


def mix(images: Floats, labels: Floats, rng: Generator) -> tuple[Floats, Floats]:
    """Mixes the images of a batch by twos: the first with the second, the third with the fourth; a last one is left.

    Half of the time all pixels of both, by MixUp's share from Beta(0.2, 0.2) (arXiv:1710.09412), else a box out of the
    other, by CutMix's from Beta(1, 1) (arXiv:1905.04899).

    Args:
        images: (N, height, width, channels).
        labels: (N, classes), each row a distribution over the classes.
        rng: where the draws come from.

    Returns:
        New images and labels of the same shapes.
    """
    partner = np.minimum(np.arange(len(images)) ^ 1, len(images) - 1)
    if rng.random() < 0.5:
        share = rng.beta(0.2, 0.2)
        mixed = share * images + (1 - share) * images[partner]
    else:
        height, width = images.shape[1:3]
        side = np.sqrt(1 - rng.beta(1, 1))
        centre = rng.uniform(0, (height, width))
        (top, left), (bottom, right) = (
            np.clip(centre + sign * side / 2 * np.array((height, width)), 0, (height, width)).astype(int)
            for sign in (-1, 1)
        )
        mixed = images.copy()
        mixed[:, top:bottom, left:right] = images[partner, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed.astype("float32"), (share * labels + (1 - share) * labels[partner]).astype("float32")
