"""Data augmentation in NumPy and Pillow, alike on every backend: shifts, mirror images, colours, MixUp, CutMix.

Every function draws from the generator that it is given and from nothing else.
"""

from typing import Any

import numpy as np

from keras_resnet.data.decode import RGB, Size, as_pair, decode
from keras_resnet.utils.errors import import_optional

LEVELS = ("none", "light", "strong")

Floats = np.ndarray[Any, np.dtype[np.float32]]
Generator = np.random.Generator


def augment(picture: Any, image_size: Size, level: str, rng: Generator) -> RGB:
    """Decodes an image as another that shows the same; returns uint8 (height, width, 3).

    Args:
        picture: as for `keras_resnet.data.read_picture`.
        image_size: (height, width) in pixels, or one int for both.
        level: "light": a shift by up to an eighth of the sides (arXiv:1512.03385 section 4.2), a mirror image half of
            the time, brightness and contrast by up to a fifth. "strong": a random part, of 0.35 to 1 of the area and
            with sides 3:4 to 4:3 as far as the image has them (arXiv:1409.4842 section 6), a mirror image half of the
            time, brightness, contrast and saturation by up to two fifths. "none": nothing.
        rng: where the draws come from.
    """
    height, width = as_pair(image_size)
    scale = 4 if level == "strong" else 2  # a small part must have pixels enough
    image = decode(picture, (scale * height, scale * width))
    box = _part(image.width, image.height, rng) if level == "strong" else None
    image = image.resize((width, height), box=box)
    if level == "none":
        return np.asarray(image)
    ImageEnhance = import_optional("PIL.ImageEnhance")
    reach, properties = (
        (0.4, ("Brightness", "Contrast", "Color")) if level == "strong" else (0.2, ("Brightness", "Contrast"))
    )
    for name in properties:
        image = getattr(ImageEnhance, name)(image).enhance(rng.uniform(1 - reach, 1 + reach))
    pixels = np.asarray(image)
    if level == "light":
        pixels = _shift(pixels, rng)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _part(width: int, height: int, rng: Generator) -> tuple[float, float, float, float]:
    """A random box (left, upper, right, lower) in an image."""
    area = rng.uniform(0.35, 1) * width * height
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w, h = min(width, np.sqrt(area * ratio)), min(height, np.sqrt(area / ratio))
    left, upper = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return left, upper, left + w, upper + h


def _shift(pixels: RGB, rng: Generator) -> RGB:
    """Moves by up to an eighth of each side; what was outside mirrors the inside."""
    height, width = pixels.shape[:2]
    down, right = height // 8, width // 8
    padded = np.pad(pixels, ((down, down), (right, right), (0, 0)), "symmetric")
    top, left = rng.integers(2 * down + 1), rng.integers(2 * right + 1)
    return padded[top : top + height, left : left + width]


def mix(images: Floats, labels: Floats, rng: Generator) -> tuple[Floats, Floats]:
    """Mixes each image of a batch with that at the same place from the end.

    Half of the time all pixels of both, by MixUp's share from Beta(0.2, 0.2) (arXiv:1710.09412), else a box out of the
    other, by CutMix's from Beta(1, 1) (arXiv:1905.04899).

    Args:
        images: (N, height, width, 3).
        labels: (N, classes), each row a distribution over the classes.
        rng: where the draws come from.

    Returns:
        New images and labels of the same shapes.
    """
    if rng.random() < 0.5:
        share = rng.beta(0.2, 0.2)
        mixed = share * images + (1 - share) * images[::-1]
    else:
        height, width = images.shape[1:3]
        side = np.sqrt(1 - rng.beta(1, 1))
        centre = rng.uniform(0, (height, width))
        (top, left), (bottom, right) = (
            np.clip(centre + sign * side / 2 * np.array((height, width)), 0, (height, width)).astype(int)
            for sign in (-1, 1)
        )
        mixed = images.copy()
        mixed[:, top:bottom, left:right] = images[::-1, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed.astype("float32"), (share * labels + (1 - share) * labels[::-1]).astype("float32")
