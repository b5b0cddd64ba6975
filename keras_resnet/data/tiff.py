"""Decodes TIFF files that Pillow can't: 16 and 32 bits, floats, any number of channels; by tifffile."""

import io
import os
import zlib
from collections.abc import Callable
from lzma import LZMADecompressor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_resnet.utils.errors import import_optional

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how a file begins
_MOST = 1 << 32  # bytes of a file, whose pixels are counted only after it was read
_SMALL = 1 << 17  # bytes, which may well be unpacked
_UNPACKERS: dict[int, Callable[[], Any]] = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: LZMADecompressor}
_CHANNELS = "SC"  # what tifffile calls axes of samples and of channels


class Raster(NamedTuple):
    """The pixels of a file.

    Attributes:
        pixels: (height, width, channels), of the file's own type, upright.
        colour: "rgb", "gray", "inverted" (gray, of which 0 is white), or "" if the file says nothing of these.
        alpha: whether the last channel is one.
    """

    pixels: Any
    colour: str
    alpha: bool


def read_tiff(path: str | os.PathLike[str], most: int, frames: bool) -> Raster:
    """Decodes the first image of a TIFF file, with the channels that its axes tell.

    Args:
        path: the file; nothing else is opened, whatever it names.
        most: how many values it may have.
        frames: whether the first is taken of several images that are not said to be channels.

    Raises:
        ValueError: if it is larger, or has other axes than height, width and channels.
    """
    tifffile = import_optional("tifffile", "tiff")
    if os.path.getsize(path) > _MOST:
        raise ValueError(f"it is larger than {_MOST >> 30} GiB")
    content = io.BytesIO(Path(path).read_bytes())  # unlike a file, it opens no other
    with tifffile.TiffFile(content, name=Path(path).name) as file:
        series = file.series[0]
        page, axes = series.keyframe, series.axes
        for shape in (series.shape, page.shape, page.chunks):
            check_size(shape, most)
        if any(part is None for part in series.pages):
            raise ValueError("parts of it lie in other files")
        for part in series.pages:
            _check_packed(content.getbuffer(), part, int(np.prod(page.chunks)) * page.dtype.itemsize)
        others = [axis for axis in axes if axis not in "YX" + _CHANNELS]
        plain = "Y" in axes and "X" in axes and sum(axis in _CHANNELS for axis in axes) < 2
        if not plain or (others and not frames):
            raise ValueError(
                f"its axes are {axes} of lengths {' x '.join(map(str, series.shape))}, which does not tell which are "
                "height, width and channels; save it with the axes YXC, or as a NumPy file (height, width, channels)"
            )
        pixels: Any = series.asarray()
        photometric, extra = page.photometric, tuple(map(int, page.extrasamples))
        orientation = int(page.tags.valueof(274, default=1))
    pixels = pixels[tuple(0 if axis in others else slice(None) for axis in axes)]
    kept = [axis for axis in axes if axis not in others]
    if len(kept) == 2:
        pixels, kept = pixels[..., None], [*kept, "S"]
    channel = next(axis for axis in kept if axis in _CHANNELS)
    pixels = pixels.transpose([kept.index(axis) for axis in ("Y", "X", channel)])
    colours = {tifffile.PHOTOMETRIC.RGB: "rgb", 0: "inverted", tifffile.PHOTOMETRIC.MINISBLACK: "gray"}
    return Raster(upright(pixels, orientation), colours.get(photometric, ""), extra[-1:] in ((1,), (2,)))


def _check_packed(content: memoryview, page: Any, most: int) -> None:
    """Raises a `ValueError` for packed data of more bytes than a file says, which might fill the memory."""
    unpacker = _UNPACKERS.get(int(page.compression))
    if unpacker is None:
        return
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count > _SMALL and len(unpacker().decompress(content[offset : offset + count], most + 1)) > most:
            raise ValueError("its data are larger than it says")


def check_size(shape: Any, most: int) -> None:
    """Raises a `ValueError` for a picture without a pixel, or with too many."""
    values = int(np.prod([int(side) for side in shape], dtype=object))
    if values < 1:
        raise ValueError("it has no pixels")
    if values > most:
        raise ValueError(f"it has {values} values, more than {most}")


def upright(pixels: Any, orientation: int) -> Any:
    """Rotates and mirrors an array (height, width, ...) as EXIF's orientation, 1 to 8, says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
