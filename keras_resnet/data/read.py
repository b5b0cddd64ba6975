"""Reads pictures as arrays of one size: how they come to it, how many channels they have, what their values mean."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from keras_resnet.data.augment import augment
from keras_resnet.data.decode import Size, as_pair, decode, decode_channels, fingerprint, picture_size
from keras_resnet.data.resize import RESIZES, resize, width_and_height, with_axis
from keras_resnet.utils.errors import check_choice, check_positive, import_optional


@dataclass(frozen=True)
class Reader:
    """How a picture becomes an array (height, width, channels) of pixels in [0, 255]. Call it with a picture.

    Example:

        read = keras_resnet.data.Reader((192, 320), resize="pad")
        pixels = read("photo.jpg")  # (192, 320, 3), uint8
        read = keras_resnet.data.Reader(64, channels=5, value_range=(0, 1))
        pixels = read(np.zeros((100, 100, 5), "float32"))  # (64, 64, 5), float32

    A picture is the path of an image file (BMP, GIF, JPEG, PNG, TIFF or WebP) or of a file of NumPy, `.npy`; a
    `PIL.Image.Image`; or an array (height, width) or (height, width, channels). Images are rotated as EXIF says.

    Attributes:
        image_size: (height, width) in pixels, or one int for both; None: the picture's own.
        resize: "stretch"; "crop": scaled to cover the size, then its centre; "pad": scaled to fit in, and framed by its
            own mean colour.
        channels: 3: RGB, with transparency put on white; 1: gray; 4: RGBA; others: of TIFF and NumPy files and arrays,
            which must have as many. What an array or a NumPy file has in 3 channels is RGB, and is not made gray.
            TIFF files with more than 8 bits of colour, or with other channels than these, need the library tifffile.
        value_range: (low, high) of floating-point pixels and signed integers, which become 0 and 255; what lies outside
            is clipped. None: such pictures are refused, and unsigned integers are scaled by their type: of 16 bits,
            65535 becomes 255. If given, it is also that of unsigned integers of more than 8 bits, such as (0, 4095).
            Pixels of 8 bits are as they are.

    Raises:
        ValueError: if an attribute is another. When called: if the picture is not an image, is damaged, has another
            number of channels, or its range is not told. The message names the file and the reason.
    """

    image_size: Size | None
    resize: str = "stretch"
    channels: int = 3
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for side in () if self.image_size is None else as_pair(self.image_size):
            check_positive("image_size", side)
        check_choice("resize", self.resize, RESIZES)
        check_positive("channels", self.channels)
        check_range(self.value_range)

    def __call__(self, picture: Any) -> Any:
        """Returns a picture as it is: uint8, or float32 if it has more than 8 bits or other channels than RGB."""
        if self.image_size is None:
            return with_axis(decode_channels(picture, self.channels, self.value_range))
        height, width = as_pair(self.image_size)
        image = decode_channels(picture, self.channels, self.value_range, (2 * height, 2 * width))
        return resize(image, (height, width), self.resize)

    def augmented(self, picture: Any, level: str, rng: np.random.Generator) -> Any:
        """Returns a picture as another that shows the same.

        Args:
            picture: what this reads.
            level: "none", "light" or "strong"; see `keras_resnet.data.augment`.
            rng: what draws the changes.
        """
        return augment(picture, self.image_size, level, rng, self.resize, self.channels, self.value_range)

    def look(self, picture: Any) -> tuple[tuple[int, int], str]:
        """Decodes a picture; returns its width and height in pixels, upright, and a hash of its pixels.

        Args:
            picture: what this reads.

        Raises:
            ValueError: if it can't be read.
        """
        image = decode_channels(picture, self.channels, self.value_range)
        return width_and_height(image), fingerprint(image)

    def size(self, picture: Any) -> tuple[int, int]:
        """Returns width and height in pixels of an image file, by its header alone.

        Args:
            picture: the path of a file, or what else this reads.

        Raises:
            ValueError: if it is no image.
        """
        return picture_size(picture)

    def shown(self, picture: Any, least: Size | None = None) -> Any:
        """Returns a picture as an RGB `PIL.Image.Image` for people to look at: its first three channels, or first one.

        Args:
            picture: what this reads.
            least: a size in pixels that is enough, see `keras_resnet.data.decode`.
        """
        if self.channels == 3 and not self.value_range:
            try:
                return decode(picture, least)
            except ValueError:  # perhaps it is none of Pillow's
                pass
        image = decode_channels(picture, self.channels, self.value_range, least)
        if not isinstance(image, np.ndarray):
            return decode(image)
        seen = np.rint(image[..., :3] if self.channels > 2 else image[..., 0]).astype("uint8")
        return import_optional("PIL.Image").fromarray(seen).convert("RGB")


def check_range(value_range: tuple[float, float] | None) -> None:
    """Raises a `ValueError` unless these are two finite numbers, the lower one first, or None."""
    if value_range is None:
        return
    low, high = value_range if isinstance(value_range, (tuple, list)) and len(value_range) == 2 else (None, None)
    numbers = all(isinstance(each, (int, float)) and isfinite(each) for each in (low, high))
    if not numbers or not low < high:
        raise ValueError(
            "`value_range` must be two numbers, the pixel values of black and of white, the lower one first, or None; "
            f"received {value_range!r}."
        )
