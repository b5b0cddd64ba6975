"""Decodes image files: orientation, transparency, palettes, 16 bits, any number of channels."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np

from keras_resnet.data.tiff import TIFF, Raster, check_size, read_tiff
from keras_resnet.utils.errors import import_optional

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

Size = int | tuple[int, int]
RGB = np.ndarray[Any, np.dtype[np.uint8]]
Range = tuple[float, float]

_NUMPY = b"\x93NUMPY"  # how a file of NumPy begins
_PARSER = threading.Lock()
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of Pillow, by channels
_LUMA = (0.299, 0.587, 0.114)  # Pillow's gray of RGB, ITU-R 601-2
_UNKNOWN_RANGE = "its pixels are {} of an unknown range; pass `value_range`, or save it with 8 or 16 bits per channel"


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
    with _named(picture), _opened(picture, least) as image:
        return _rgb(image)


def decode_channels(
    picture: Any, channels: int = 3, value_range: Range | None = None, least: Size | None = None
) -> Any:
    """Decodes a picture with any number of channels and bits.

    What a file holds in 8 bits comes as a `PIL.Image.Image`. Other pixels come as floats in [0, 255]: unsigned integers
    scaled by their type, so that 65535 becomes 255, all else by `value_range`. For 3 channels, images of integers that
    Pillow reads are those of `decode`, of 8 bits.

    Args:
        picture: as for `decode`, or the path of a file of NumPy (`.npy`), or any array of numbers, (height, width) or
            (height, width, channels).
        channels: 3: RGB; 1: gray; 4: RGBA, 255 without transparency; other numbers: of TIFF, NumPy and arrays alone,
            which have as many, or are gray.
        value_range: (low, high), what becomes 0 and 255 of floats, signed integers and unsigned ones of more than 8
            bits; what lies outside is clipped. None: floats and signed integers are refused.
        least: as for `decode`.

    Returns:
        A `PIL.Image.Image` of mode "L", "RGB" or "RGBA", or a float32 array (height, width, channels).

    Raises:
        ValueError: as `decode`, or if the picture has another number of channels, or its range is not told.
    """
    with _named(picture):
        if isinstance(picture, np.ndarray) and not (channels == 3 and _is_for_pillow(picture, value_range)):
            return _of_array(picture, channels, value_range)
        try:
            with _opened(picture, least) as image:
                if not _is_for_tifffile(image, channels, value_range):
                    return _of_image(image, channels, value_range)
        except import_optional("PIL").UnidentifiedImageError:
            head = _head(picture)
            if head == _NUMPY:
                return _of_array(_mapped(picture), channels, value_range)
            if not head.startswith(TIFF):
                raise
        return _of_raster(read_tiff(picture, _most(), channels in (1, 3)), channels, value_range)


def read_picture(picture: Any, image_size: Size | None = None) -> RGB:
    """Reads an image as RGB, stretched to a size; returns uint8 (height, width, 3).

    Example:

        pixels = keras_resnet.data.read_picture("photo.jpg", 224)  # (224, 224, 3)

    The image is rotated as EXIF says, transparency is put on white, and 16 bits are scaled to 8.
    `keras_resnet.data.Reader` reads images of other channels, and without stretching them.

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


def fingerprint(image: Any) -> str:
    """Returns a hash of what `decode` or `decode_channels` returns, its size and its pixels."""
    size = image.size if not isinstance(image, np.ndarray) else image.shape
    pixels = blake2b(f"{size}".encode(), digest_size=16)
    pixels.update(image.tobytes())
    return pixels.hexdigest()


def seems_picture(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file has the suffix of an image, or begins as one does; nothing is decoded."""
    Image = import_optional("PIL.Image")
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".npy" or Image.registered_extensions().get(suffix) in FORMATS:
        return True
    if not os.path.isfile(path):
        return False
    try:
        if _head(path) == _NUMPY or _head(path).startswith(TIFF):
            return True
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # as in `decode`
        return False


def as_pair(size: Size) -> tuple[int, int]:
    """Returns height and width."""
    return (size, size) if isinstance(size, int) else size


def _mapped(path: Any) -> Any:
    """A file of NumPy's as an array whose pixels are not read yet; only its header is, and is checked.

    NumPy reads the header with Python's parser, which until Python 3.12 two threads at once now and then make fail
    with a `SystemError` (CPython issue 106905). Ours wait for each other; after those of others, it is read again.
    """
    with _PARSER:
        for _ in range(9):
            try:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            except SystemError:
                continue
        return np.load(path, mmap_mode="r", allow_pickle=False)


@contextmanager
def _opened(picture: Any, least: Size | None) -> Iterator[Any]:
    """Opens a file, or takes an array or an image, with Pillow."""
    Image = import_optional("PIL.Image")
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
        yield image


@contextmanager
def _named(picture: Any) -> Iterator[None]:
    """Makes whatever damage raises a `ValueError` that names the picture."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        name = f"an array {picture.shape} of {picture.dtype}" if isinstance(picture, np.ndarray) else picture
        raise ValueError(f"{name} can't be read as an image: {_reason(picture, error)}") from error


def _rgb(image: Any) -> Any:
    """An opened image as RGB."""
    Image, ImageOps = import_optional("PIL.Image"), import_optional("PIL.ImageOps")
    if image.mode == "F":
        raise ValueError(_UNKNOWN_RANGE.format("floats"))
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits per channel")
        clear = deep == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(clear, 255, np.rint(deep / 257)).astype("uint8"))
    image = _on_white(image)
    image.load()  # before its file is closed
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Any) -> Any:
    """An image without transparency."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return import_optional("PIL.Image").alpha_composite(
        import_optional("PIL.Image").new("RGBA", image.size, "white"), image
    )


def _of_image(image: Any, channels: int, value_range: Range | None) -> Any:
    """An opened image with as many channels."""
    deep = image.mode == "F" or image.mode.startswith("I")
    if channels == 3 and not (deep and value_range):
        return _rgb(image)
    if channels not in _MODES:
        raise _other_channels(len(image.getbands()), channels)
    import_optional("PIL.ImageOps").exif_transpose(image, in_place=True)
    if not deep:
        image = image if channels == 4 else _on_white(image)
        plain = channels == 4 or image.mode in ("1", "L")
        return (image if plain else image.convert("RGB")).convert(_MODES[channels])  # LAB has no other way to gray
    pixels = np.asarray(image)
    if image.mode == "I" and image.format == "PNG":  # as Pillow before 11 has 16 bits
        pixels = pixels.astype("uint16")
    clear = pixels == image.info.get("transparency", -1)
    gray = _scaled(pixels, value_range)
    if channels == 4:
        return np.stack([gray, gray, gray, np.where(clear, 0, 255)], -1).astype("float32")
    return np.repeat(np.where(clear, 255, gray)[..., None], channels, -1).astype("float32")


def _of_array(array: Any, channels: int, value_range: Range | None) -> Any:
    """An array, whose channels nothing but their number tells."""
    if array.ndim not in (2, 3):
        raise ValueError(f"its shape is {array.shape}; (height, width) and (height, width, channels) are allowed")
    check_size(array.shape, _most())
    return _spread(array if array.ndim == 3 else array[..., None], channels, value_range)


def _of_raster(raster: Raster, channels: int, value_range: Range | None) -> Any:
    """The pixels of a TIFF file; its colours become gray, or lose their transparency, where that is asked for."""
    pixels, colours = raster.pixels, raster.pixels.shape[2]
    if raster.colour == "rgb" and channels in _MODES and colours in (3, 4) and (colours == 3 or raster.alpha):
        own = _scaled(pixels, value_range)
        rgb, alpha = own[..., :3], own[..., 3:] / 255
        if channels == 4:
            return np.concatenate([rgb, 255 * alpha if colours == 4 else np.full_like(rgb[..., :1], 255)], -1)
        if colours == 4:
            rgb = rgb * alpha + 255 * (1 - alpha)
        return rgb if channels == 3 else (rgb @ np.array(_LUMA, "float32"))[..., None]
    if raster.colour == "inverted" and colours == 1 and channels in _MODES:
        return _spread(255 - _scaled(pixels, value_range), channels, (0, 255))
    return _spread(pixels, channels, value_range)


def _spread(pixels: Any, channels: int, value_range: Range | None) -> Any:
    """Pixels (height, width, channels); gray for RGB three times, for RGBA with an alpha channel of 255."""
    gray = pixels.shape[2] == 1 and channels in _MODES
    if pixels.shape[2] != channels and not gray:
        raise _other_channels(pixels.shape[2], channels)
    if pixels.dtype == np.uint8 and channels in _MODES:
        image = import_optional("PIL.Image").fromarray(np.ascontiguousarray(pixels[..., 0] if gray else pixels))
        return image.convert(_MODES[channels])
    own = _scaled(pixels, value_range)
    if gray and channels > 1:
        own = np.repeat(own, 3, -1)
    return np.concatenate([own, np.full_like(own[..., :1], 255)], -1) if gray and channels == 4 else own


def _scaled(pixels: Any, value_range: Range | None) -> Any:
    """Numbers as float32 in [0, 255]."""
    kind, bits = pixels.dtype.kind, 8 * pixels.dtype.itemsize
    if kind == "b" or (kind == "u" and bits == 8):
        return np.asarray(pixels, "float32") * (255 if kind == "b" else 1)
    if kind not in "uif":
        raise ValueError(f"its pixels are of the type {pixels.dtype}; integers and floats are allowed")
    if value_range is None and kind == "u":
        exact = np.asarray(pixels, "float32" if bits <= 16 else "float64")
        return np.asarray(exact / exact.dtype.type(np.iinfo(pixels.dtype).max // 255), "float32")
    if value_range is None:
        raise ValueError(_UNKNOWN_RANGE.format("floats" if kind == "f" else "signed integers"))
    low, high = value_range
    exact = np.asarray(pixels, "float32" if bits <= (32 if kind == "f" else 16) else "float64")
    if not np.isfinite(exact).all():
        raise ValueError("its pixels are not all finite numbers")
    return np.clip((exact - low) * (255 / (high - low)), 0, 255).astype("float32")


def _is_for_pillow(array: Any, value_range: Range | None) -> bool:
    """Whether an array is one that `decode` takes for RGB."""
    deep = array.dtype == np.uint16 and array.ndim == 2 and not value_range
    flat = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (2, 3, 4))
    return bool(array.size) and (deep or (flat and array.dtype == np.uint8))


def _is_for_tifffile(image: Any, channels: int, value_range: Range | None) -> bool:
    """Whether Pillow would lose something of a TIFF file that is asked for."""
    if image.format != "TIFF":
        return False
    if channels == 3:
        return bool(value_range) and image.mode == "I"
    bits, samples = image.tag_v2.get(258, (1,)), image.tag_v2.get(277, 1)
    whole = max(bits) <= 8 or image.mode in ("I;16", "I;16B", "F")
    return channels not in _MODES or not whole or samples != len(image.getbands()) or image.n_frames > 1


def _head(path: Any) -> bytes:
    """The first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(len(_NUMPY))


def _most() -> int:
    """How many values a picture may have: as many as an RGB picture that Pillow opens."""
    return 6 * int(import_optional("PIL.Image").MAX_IMAGE_PIXELS or 1 << 28)


def _other_channels(found: int, wanted: int) -> ValueError:
    """The error for a picture of another number of channels."""
    hint = f"; `channels` must be {found} to read it" if found not in _MODES else ""
    hint = hint if wanted in _MODES else "; such images are read from TIFF and NumPy (.npy) files"
    return ValueError(f"it has {found} channel{'s' * (found > 1)}, and images of {wanted} are asked for{hint}")


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


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Returns width and height in pixels of an image file, upright, by its header; its pixels are not read.

    Raises:
        ValueError: if the file is no image; names it and says why.
    """
    with _named(path):
        try:
            with _opened(path, None) as image:
                width, height = image.size
                turned = image.getexif().get(_ORIENTATION, 1) >= 5
                return (height, width) if turned else (width, height)
        except import_optional("PIL").UnidentifiedImageError:
            if _head(path) == _NUMPY:
                height, width = _mapped(path).shape[:2]
                return width, height
            if not _head(path).startswith(TIFF):
                raise
        with import_optional("tifffile", "tiff").TiffFile(path) as file:
            page = file.pages[0]
            return int(page.imagewidth), int(page.imagelength)


_ORIENTATION = 0x0112  # EXIF's tag
