"""Brings pictures to a size: stretched, cropped to its proportions, or framed (letterbox)."""

from typing import Any

import numpy as np

from keras_resnet.utils.errors import import_optional

RESIZES = ("stretch", "crop", "pad")

Box = tuple[float, float, float, float]  # left, upper, right, lower


def resize(image: Any, size: tuple[int, int], how: str = "stretch", box: Box | None = None) -> Any:
    """Brings an image, or a part of it, to a size, by bicubic interpolation with antialiasing.

    Args:
        image: a `PIL.Image.Image`, or a float32 array (height, width, channels) in [0, 255].
        size: height and width in pixels.
        how: "stretch"; "crop": scaled to cover the size, then its centre; "pad": scaled to fit in, and framed by the
            mean colour of what is seen.
        box: the part; None: all.

    Returns:
        (height, width, channels): uint8 of a `PIL.Image.Image`, else float32.
    """
    left, upper, right, lower = box or (0, 0, *width_and_height(image))
    height, width = size
    if how == "stretch":
        return _stretched(image, size, box)
    across, down = width / (right - left), height / (lower - upper)
    if how == "crop":
        scale = max(across, down)
        spare = (right - left - width / scale) / 2, (lower - upper - height / scale) / 2
        x, y = (max(0.0, each) for each in spare)
        return _stretched(image, size, (left + x, upper + y, right - x, lower - y))
    scale = min(across, down)
    inner = max(1, round((lower - upper) * scale)), max(1, round((right - left) * scale))
    pixels = _stretched(image, inner, box)
    top, first = (height - inner[0]) // 2, (width - inner[1]) // 2
    framed = np.empty((*size, pixels.shape[2]), pixels.dtype)
    framed[:] = _mean(image, box).round() if pixels.dtype == np.uint8 else _mean(image, box)
    framed[top : top + inner[0], first : first + inner[1]] = pixels
    return framed


def width_and_height(image: Any) -> tuple[int, int]:
    """Returns the width and the height of an image, or of an array (height, width, channels)."""
    width, height = image.shape[1::-1] if isinstance(image, np.ndarray) else image.size
    return width, height


def with_axis(image: Any) -> Any:
    """Returns an image as an array (height, width, channels)."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _stretched(image: Any, size: tuple[int, int], box: Box | None) -> Any:
    """A part of an image, stretched to height and width."""
    if not isinstance(image, np.ndarray):
        return with_axis(image.resize(size[::-1], box=box))
    Image = import_optional("PIL.Image")
    bicubic = Image.Resampling.BICUBIC
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(image, -1, 0)]
    pixels = np.stack([np.asarray(plane.resize(size[::-1], bicubic, box)) for plane in planes], -1)
    return np.clip(pixels, 0, 255)  # which bicubic interpolation leaves at edges


def _mean(image: Any, box: Box | None) -> Any:
    """The mean of each channel of an image, or of a part of it."""
    if box:
        left, upper = (int(side) for side in box[:2])
        right, lower = (max(first + 1, round(side)) for first, side in zip((left, upper), box[2:], strict=True))
        is_array = isinstance(image, np.ndarray)
        image = image[upper:lower, left:right] if is_array else image.crop((left, upper, right, lower))
    if isinstance(image, np.ndarray):
        return image.mean((0, 1), dtype="float64")
    return np.array(import_optional("PIL.ImageStat").Stat(image).mean)
