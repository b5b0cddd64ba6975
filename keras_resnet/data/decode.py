"""Decodes image files as RGB: orientation, transparency, 16 bits, palettes."""

import os
from typing import Any

import numpy as np

from keras_resnet.utils.errors import import_optional

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

Size = int | tuple[int, int]
RGB = np.ndarray[Any, np.dtype[np.uint8]]


def decode(picture: Any, least: Size | None = None) -> Any:
    """Decodes an image file, or takes an array; returns an RGB `PIL.Image.Image`.

    The content of a file tells its format, not its suffix. The image is rotated as EXIF says, transparency is put on
    white, 16 bits are scaled to 8, and of several frames the first is taken.

    Args:
        picture: the path of a file in one of `FORMATS`, a `PIL.Image.Image`, or a uint8 array (height, width) or
            (height, width, 3).
        least: a size in pixels that is enough: a larger JPEG may be decoded at 1/2, 1/4 or 1/8 of its own size.

    Raises:
        ValueError: if the file is no image, or is damaged; names it and says why.
    """
    Image, ImageOps = import_optional("PIL.Image"), import_optional("PIL.ImageOps")
    try:
        if isinstance(picture, np.ndarray):
            opened = Image.fromarray(picture)
        elif isinstance(picture, Image.Image):
            opened = picture.copy()  # as this one is closed
        elif os.path.exists(picture) and not os.path.isfile(picture):
            raise ValueError("it is not a file")  # a pipe would keep us waiting
        else:
            opened = Image.open(picture, formats=FORMATS)
        with opened as image:
            if least is not None:
                image.draft(None, (max(as_pair(least)),) * 2)  # of formats but JPEG this asks nothing
            if image.mode == "F":
                raise ValueError("its pixels are floats of an unknown range; save it with 8 or 16 bits per channel")
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                deep = np.asarray(image)
                if deep.min() < 0 or deep.max() > 65535:
                    raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits per channel")
                clear = deep == image.info.get("transparency", -1)
                image = Image.fromarray(np.where(clear, 255, np.rint(deep / 257)).astype("uint8"))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        name = f"an array {picture.shape} of {picture.dtype}" if isinstance(picture, np.ndarray) else picture
        raise ValueError(f"{name} can't be read as an image: {_reason(picture, error)}") from error


def read_picture(picture: Any, image_size: Size | None = None) -> RGB:
    """Reads an image as RGB, stretched to a size; returns uint8 (height, width, 3).

    Example:

        pixels = keras_resnet.data.read_picture("cat.jpg", 224)  # (224, 224, 3)

    The image is rotated as EXIF says, transparency is put on white, and 16 bits are scaled to 8.

    Args:
        picture: the path of an image file (BMP, GIF, JPEG, PNG, TIFF or WebP), a `PIL.Image.Image`, or a uint8 array
            (height, width) or (height, width, 3).
        image_size: (height, width) in pixels, or one int for both; None keeps the image's own size.

    Raises:
        ValueError: if the file is not an image, or is damaged. The message names the file and the reason.
    """
    if image_size is None:
        return np.asarray(decode(picture))
    height, width = as_pair(image_size)
    return np.asarray(decode(picture, (2 * height, 2 * width)).resize((width, height)))


def seems_picture(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file has the suffix of an image, or begins as one does; nothing is decoded."""
    Image = import_optional("PIL.Image")
    if Image.registered_extensions().get(os.path.splitext(path)[1].lower()) in FORMATS:
        return True
    if not os.path.isfile(path):
        return False
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # as in `decode`
        return False


def as_pair(size: Size) -> tuple[int, int]:
    """Returns height and width."""
    return (size, size) if isinstance(size, int) else size


def _reason(picture: Any, error: Exception) -> str:
    """What is wrong with a file, in few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(picture, (str, os.PathLike)) and os.path.isfile(picture) and not os.path.getsize(picture):
        return "it is empty"
    if isinstance(error, import_optional("PIL").UnidentifiedImageError):
        return f"it is not an image in a supported format ({', '.join(FORMATS)})"
    if "truncated" in str(error).lower():
        return "it is truncated"
    return str(error) or type(error).__name__
