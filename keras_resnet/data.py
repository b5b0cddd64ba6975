"""Pictures and their classes, as what `model.fit` takes on every backend."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.errors import optional

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

Size = int | tuple[int, int]


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of pictures (N, height, width, 3), float32 RGB in [0, 255], and labels (N,), int32.

    The order of an epoch is a function of seed and epoch alone, so pass `shuffle=False` to `fit`. (Keras ends an epoch,
    0, before it begins: it looks at a first batch.)

    Args:
        pictures: paths of files, or uint8 arrays (height, width) or (height, width, 3).
        labels: for each picture the index of its class.
        class_names: the names of the classes.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch; the last one may be smaller.
        seed: what determines the order of each epoch; None keeps the order of `pictures`.
    """

    def __init__(
        self,
        pictures: Sequence[Any],
        labels: Any,
        class_names: Sequence[str],
        image_size: Size,
        batch_size: int = 32,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.pictures, self.labels, self.class_names = pictures, np.asarray(labels, "int32"), tuple(class_names)
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.epoch = 0
        self.order = self._order()

    def _order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        count = len(self.labels)
        if self.seed is None:
            return np.arange(count)
        return np.random.default_rng([self.seed, self.epoch]).permutation(count)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
            images = list(pool.map(lambda i: read_picture(self.pictures[i], self.image_size), chosen))
        return np.stack(images).astype("float32"), self.labels[chosen]

    def on_epoch_end(self) -> None:
        """Draws the next epoch's order."""
        self.epoch += 1
        self.order = self._order()

    def split(self, validation_split: float = 0.2, seed: int = 0) -> tuple["Pictures", "Pictures"]:
        """Divides every class into a shuffled training and an ordered validation set.

        Args:
            validation_split: the share of each class that validates, in (0, 1).
            seed: determines the split, and the order of the training pictures.
        """
        train_test_split = optional("sklearn.model_selection").train_test_split
        if not 0 < validation_split < 1:
            raise ValueError(f"`validation_split` must lie between 0 and 1; received {validation_split!r}.")
        count, classes = len(self.labels), len(self.class_names)
        validating = ceil(validation_split * count)
        rarest = self.class_names[int(np.argmin(np.bincount(self.labels, minlength=len(self.class_names))))]
        if min(np.bincount(self.labels)) < 2:
            raise ValueError(f"Every class needs two pictures, to train and to validate with; {rarest!r} has one.")
        if min(validating, count - validating) < classes:
            raise ValueError(
                f"`validation_split` must leave a picture of each class on both sides; {validation_split} of {count} "
                f"pictures is {validating}, for {classes} classes."
            )
        parts = train_test_split(range(count), test_size=validation_split, random_state=seed, stratify=self.labels)

        def part(indices: list[int], order: int | None) -> "Pictures":
            pictures = [self.pictures[i] for i in indices]
            return Pictures(pictures, self.labels[indices], self.class_names, self.image_size, self.batch_size, order)

        return part(parts[0], seed), part(parts[1], None)


def read_picture(picture: Any, image_size: Size | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Decodes a file, or takes an array, as RGB, stretched to a size; returns uint8 (height, width, 3).

    It is turned as its camera noted (EXIF), what is transparent lies on white, and of several frames it is the first.

    Raises:
        ValueError: if the file is no picture, or is damaged; names it.
    """
    Image, ImageOps = optional("PIL.Image"), optional("PIL.ImageOps")
    try:
        with Image.fromarray(picture) if isinstance(picture, np.ndarray) else Image.open(picture) as image:
            if image.mode == "F":
                raise ValueError("its pixels are floats, of a range that it does not tell")
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                image = Image.fromarray((np.asarray(image) / 257).astype("uint8"))
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            rgb = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow's for damaged files
        raise ValueError(f"{picture} can't be read as a picture: {error}") from error
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        rgb = rgb.resize((width, height))
    return np.asarray(rgb)


def folder(path: str | Path, image_size: Size = 64, batch_size: int = 32, seed: int | None = None) -> Pictures:
    """Finds the pictures of a folder that has one sub-folder per class, and reads each once to see that it can be.

    Example:

        training, validation = keras_resnet.data.folder("flowers", image_size=128).split(0.2)
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: the folder. The names of its sub-folders are the names of the classes; what is hidden is left out.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch.
        seed: what determines the order of each epoch; None keeps the order of the names.

    Raises:
        ValueError: if there is no such folder, fewer than two classes, a class without pictures, or a file that can't
            be read.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"There is no folder {str(path)!r}.")
    classes = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(classes) < 2:
        raise ValueError(
            f"{str(path)!r} must hold two or more folders of pictures, one per class; it holds {len(classes)}."
        )
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(
            file
            for file in name.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(name).parts)
        )
        if not found:
            raise ValueError(f"{str(name)!r} holds no picture ({', '.join(SUFFIXES)}); remove the folder or fill it.")
        files += found
        labels += [label] * len(found)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(read_picture, files):
            pass
    return Pictures(files, labels, [name.name for name in classes], image_size, batch_size, seed)


def digits(image_size: Size = 16, batch_size: int = 32) -> Pictures:
    """Loads scikit-learn's 1797 handwritten digits, gray and 8x8, as RGB pictures of a size."""
    source = optional("sklearn.datasets").load_digits()
    gray = (source.images * (255 / 16)).round().astype("uint8")
    return Pictures(list(gray), source.target, [str(name) for name in source.target_names], image_size, batch_size)
