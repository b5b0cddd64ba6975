"""Preprocessing of published weights: resize, crop and scaling as in the library they come from."""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from keras_resnet.checkpoints.catalogue import list_weights, meant, why_not
from keras_resnet.checkpoints.checkpoint import Checkpoint, Size
from keras_resnet.data.decode import RGB, decode
from keras_resnet.models.preprocessing import check_rgb, preprocess_input
from keras_resnet.utils.errors import check_choice, did_you_mean, import_optional

__all__ = ["Preprocessing", "preprocessing_for"]


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of published weights: resize, centre crop and scaling of pixels.

    Example:

        preprocess = keras_resnet.preprocessing_for("timm/resnet18.a1_in1k")
        x = preprocess("photo.jpg")  # (288, 288, 3), float32
        pixels = preprocess.crop("photo.jpg")  # (288, 288, 3), uint8, for models that scale pixels themselves

    Call it with an image, of which it makes an array (height, width, 3).

    Attributes:
        image_size: height and width in pixels of the result.
        resize: the length of the shorter side before the centre is cropped; with `squash` of both sides.
        squash: whether the image is stretched to a square first.
        interpolation: "bilinear" or "bicubic", both with antialiasing, as in Pillow.
        mode: how pixels are scaled, see `keras_resnet.models.preprocessing.preprocess_input`.
        floor: how a crop offset between two pixels is rounded: down (transformers, TF-Slim), or, if False, to the even
            number (torchvision, timm).
    """

    image_size: int
    resize: int
    squash: bool
    interpolation: str
    mode: str
    floor: bool = False

    def crop(self, picture: Any) -> RGB:
        """Resizes and crops an image; returns uint8 RGB (height, width, 3), for models that scale pixels themselves.

        Args:
            picture: the image: the path of a file, a `PIL.Image.Image` or a uint8 array. It is rotated as EXIF says,
                and transparency is put on white.

        Raises:
            ValueError: if the file is not an image, or is damaged. The message names the file and the reason.
        """
        if getattr(picture, "shape", None) is not None and (not isinstance(picture, np.ndarray) or picture.ndim > 3):
            raise ValueError(
                "`picture` must be one image: the path of a file, a PIL.Image.Image or a uint8 array (height, width, "
                f"3); received {type(picture).__name__} of shape {tuple(picture.shape)}. Batches and tensors that have "
                "their size already go to scale()."
            )
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

    def scale(self, x: Any, data_format: str | None = None) -> Any:
        """Scales images that have their size already, such as the batches of a `tf.data` pipeline.

        Example:

            preprocess = keras_resnet.preprocessing_for("timm/resnet50.a1_in1k")
            scaled = preprocess.scale(images)
            # in a tf.data pipeline: dataset.map(lambda images, labels: (preprocess.scale(images), labels))

        Args:
            x: RGB images with pixels in [0, 255], (height, width, 3) or (N, height, width, 3), or with the channels in
                front of height and width: a NumPy array, a Keras tensor, or a tensor of TensorFlow, JAX or PyTorch, on
                any backend. It does not change. Integers become Keras' default float.
            data_format: "channels_last" or "channels_first"; None is Keras' own setting.

        Returns:
            The same kind of array or tensor, of the same shape.

        Raises:
            ValueError: if `data_format` is another, or the images do not have 3 channels.
        """
        x = x if hasattr(x, "dtype") else np.asarray(x)
        unknown = getattr(x.shape, "rank", 0) is None  # of a pipeline of TensorFlow
        if not unknown and len(x.shape) not in (3, 4):
            raise ValueError(
                "`x` must be images (height, width, 3) or (N, height, width, 3); received the shape "
                f"{tuple(x.shape)}. To read a file, call the preprocessing with its path."
            )
        check_rgb(x, data_format)
        return preprocess_input(x, self.mode, data_format)

    def __call__(self, picture: Any) -> Any:
        """Resizes, crops and scales an image; returns float32 (height, width, 3), channels last."""
        return self.scale(self.crop(picture).astype("float32"), "channels_last")


def preprocessing_for(key: str, size: Size = "test") -> Preprocessing:
    """Returns the preprocessing that published weights were evaluated with, like torchvision's `weights.transforms()`.

    Example:

        key = "timm/resnet18.a1_in1k"
        model, preprocess = keras_resnet.ResNet18(weights=key), keras_resnet.preprocessing_for(key)
        scores = model.predict(preprocess("photo.jpg")[None])  # or of several, stacked

    Many networks are more accurate on images larger than those they were trained on. Where such a size is published
    with the weights, it is the one that counts, unless `size="train"` asks for the other; `list_weights()[key]` has the
    accuracy at each.

    The result equals that of torchvision, timm (`create_transform`) and transformers for a `PIL.Image`, except for
    rounding. TF-Slim resizes without antialiasing, but this function always uses antialiasing. For the weights of
    keras.applications, which documents no resizing, the image is stretched to the square.

    Args:
        key: the key of published weights, one of `keras_resnet.list_weights()`.
        size: "test": the size to test and predict with; "train": the size that the network was trained for. Weights
            without a size of their own to test with have one for both.

    Raises:
        ValueError: if there is no such key or size.
    """
    check_choice("size", size, get_args(Size))
    rows = list_weights()
    if not isinstance(key, str) or key not in rows:
        if isinstance(key, str) and (why := why_not(key)):
            raise ValueError(f"`key`: {key!r} can't be loaded into a network here, since {why}.")
        hint = did_you_mean(meant(key) if isinstance(key, str) else ())
        raise ValueError(f"`key` must be one of keras_resnet.list_weights(); received {key!r}.{hint}")
    return preprocessing_of(rows[key], size)


def preprocessing_of(row: Checkpoint, size: Size = "test") -> Preprocessing:
    """Returns the preprocessing of an entry of the catalogue."""
    image_size, resize = row.image_size, row.resize
    if size == "test" and row.test_image_size and row.test_resize:
        image_size, resize = row.test_image_size, row.test_resize
    return Preprocessing(image_size, resize, row.squash, row.interpolation, row.preprocessing, row.floor)
