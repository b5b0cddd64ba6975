"""Preprocessing of published weights: resize, crop and scaling as in the library they come from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.data.decode import RGB, decode
from keras_resnet.models.preprocessing import preprocess_input
from keras_resnet.utils.errors import choice_error, import_optional

__all__ = ["Preprocessing", "preprocessing_for"]


@dataclass(frozen=True)
class Preprocessing:
    """What published weights expect of a picture; call it with one.

    Attributes:
        image_size: height and width in pixels of what comes out.
        resize: the shorter side before the centre is cut out; with `squash` both sides.
        squash: whether the picture is stretched to a square first.
        interpolation: "bilinear" or "bicubic", both with antialiasing, as Pillow does it.
        mode: how pixels are scaled, as `keras_resnet.models.preprocessing.preprocess_input` says.
        floor: whether a crop whose corner falls between two pixels begins at the first of them (transformers, TF-Slim),
            not at the even one (torchvision, timm).
    """

    image_size: int
    resize: int
    squash: bool
    interpolation: str
    mode: str
    floor: bool = False

    def crop(self, picture: Any) -> RGB:
        """Resizes and crops; returns uint8 RGB (height, width, 3), for networks that scale pixels themselves.

        Args:
            picture: the path of a file, a `PIL.Image.Image` or a uint8 array; turned as its camera noted, on white.

        Raises:
            ValueError: if a file is no picture, or is damaged; names it and says why.
        """
        image = decode(picture)
        width, height = image.size
        if self.squash:
            size = (self.resize, self.resize)
        elif width <= height:
            size = (self.resize, self.resize * height // width)
        else:
            size = (self.resize * width // height, self.resize)
        image = image.resize(size, import_optional("PIL.Image").Resampling[self.interpolation.upper()])
        spare = [side - self.image_size for side in size]
        left, top = (pixels // 2 if self.floor else round(pixels / 2) for pixels in spare)
        return np.asarray(image.crop((left, top, left + self.image_size, top + self.image_size)))

    def __call__(self, picture: Any) -> Any:
        """Resizes, crops and scales; returns float32 (height, width, 3), whatever Keras' image data format."""
        return preprocess_input(self.crop(picture).astype("float32"), self.mode, "channels_last")


def preprocessing_for(key: str) -> Preprocessing:
    """Returns what the weights of a key expect of a picture, as torchvision's `weights.transforms()` does.

    Example:

        key = "timm/resnet18.a1_in1k"
        model, preprocess = keras_resnet.ResNet18(weights=key), keras_resnet.preprocessing_for(key)
        scores = model.predict(preprocess("cat.jpg")[None])  # or of several, stacked

    What comes out equals what torchvision, timm (`create_transform`) and transformers make of a `PIL.Image` by Pillow,
    but for rounding. TF-Slim resizes without antialiasing, which this does not; keras.applications states neither
    resizing nor crop.

    Args:
        key: one of `keras_resnet.list_weights()`.

    Raises:
        ValueError: if there is no such key.
    """
    rows = list_weights()
    if not isinstance(key, str) or key not in rows:
        hint = str(choice_error("key", key, tuple(rows))).rpartition("received")[2]
        raise ValueError(f"`key` must be one of keras_resnet.list_weights(); received{hint}")
    row = rows[key]
    return Preprocessing(row.image_size, row.resize, row.squash, row.interpolation, row.preprocessing, row.floor)
