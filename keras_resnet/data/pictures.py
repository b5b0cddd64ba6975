"""Dataset of images and labels in batches, a `PyDataset`, which `model.fit` takes on every backend."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from inspect import signature
from math import ceil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.data.augment import LEVELS, augment, mix
from keras_resnet.data.decode import Size, decode, read_picture
from keras_resnet.data.scan import Inventory, fingerprint
from keras_resnet.models.arguments import standardize_data_format
from keras_resnet.utils.errors import check_choice, check_positive, import_optional
from keras_resnet.utils.progress import track


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """A dataset of images and labels in batches, which `model.fit` takes on every backend.

    Images are float32 RGB in [0, 255]. Seed and epoch alone determine the order and the augmentation of an epoch, so
    pass `shuffle=False` to `fit`.

    Example:

        images = keras_resnet.data.Pictures(["cat1.jpg", "dog1.png"], [0, 1], ["cat", "dog"], image_size=224)
        batch, labels = images[0]  # (2, 224, 224, 3) and (2,)

    Args:
        pictures: the images: paths of files, or uint8 arrays (height, width) or (height, width, 3).
        labels: for each image the index of its class.
        class_names: the names of the classes.
        image_size: (height, width) in pixels, or one int for both; images are stretched to it.
        batch_size: images in a batch; the last batch may be smaller.
        seed: determines the random order of each epoch; None keeps the order of `pictures`.
        augment: "none", "light" (shift, mirror, brightness, contrast) or "strong" (random crop, mirror, colours, and
            MixUp or CutMix in each batch); see `keras_resnet.data.augment`.
        one_hot: whether labels are one-hot, (N, classes), float32, for `categorical_crossentropy`, instead of class
            indices, (N,), int32. "strong" needs it, since a mixed image has two classes.
        balance: whether batches have sample weights, (N,), so that every class has the same total weight: the weight of
            an image is N / (classes * images of its class), and a mixed image takes its share of both weights.
        inventory: the result of the scan, if the images come from a folder.
        crop: a function that makes an array (height, width, 3) of an entry of `pictures`, used where images are not
            augmented; None: images are stretched to `image_size`.
        data_format: "channels_last", (N, height, width, 3), or "channels_first", (N, 3, height, width); None is Keras'
            own setting as it is now. `evaluate` and `train` use the data format of the model instead.

    Raises:
        ValueError: if `augment` or `data_format` is not one of these, `augment` is "strong" and `one_hot` False,
            `batch_size` is not positive, or the numbers of images and labels differ.
    """

    def __init__(
        self,
        pictures: Sequence[Any],
        labels: Any,
        class_names: Sequence[str],
        image_size: Size,
        batch_size: int = 32,
        seed: int | None = None,
        augment: str = "none",
        one_hot: bool = False,
        balance: bool = False,
        inventory: Inventory | None = None,
        crop: Callable[[Any], Any] | None = None,
        data_format: str | None = None,
    ) -> None:
        super().__init__()
        check_augment(augment, one_hot)
        check_positive("batch_size", batch_size)
        if len(pictures) != len(labels):
            raise ValueError(
                f"`labels` must hold one label per image; received {len(pictures)} images and {len(labels)} labels."
            )
        self.pictures, self.labels, self.class_names = pictures, np.asarray(labels, "int32"), tuple(class_names)
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.augment, self.one_hot, self.balance = augment, one_hot, balance
        self.inventory, self.crop = inventory, crop
        self.data_format = standardize_data_format(data_format)
        self.epoch = 0

    def with_(self, **changes: Any) -> "Pictures":
        """Returns a copy with other settings, at the same epoch; this dataset does not change.

        Example:

            large = images.with_(image_size=224, augment="light")

        Args:
            **changes: arguments of the constructor.

        Raises:
            TypeError: if the constructor has no such argument.
            ValueError: as from the constructor.
        """
        settings = {name: getattr(self, name) for name in signature(Pictures).parameters}
        checked = Pictures(**settings | changes)
        changed = copy(self)  # with its epoch, and what Keras keeps in it
        for name in changes:
            setattr(changed, name, getattr(checked, name))
        return changed

    def for_model(self, model: keras.Model) -> "Pictures":
        """Returns a copy in the data format of a model's input, or in this one if the input shape does not tell."""
        match getattr(model, "input_shape", None):
            case (_, 3, _, int() | None as last) if last != 3:
                return self.with_(data_format="channels_first")
            case (_, int() | None as first, _, 3) if first != 3:
                return self.with_(data_format="channels_last")
        return self.with_()

    def _rng(self, *of: int) -> np.random.Generator:
        """A generator for this epoch's draws of one kind."""
        return np.random.default_rng([self.seed or 0, self.epoch, *of])

    @property
    def order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The indices of this epoch's images."""
        count = len(self.labels)
        return np.arange(count) if self.seed is None else self._rng().permutation(count)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]

        def read(i: int) -> Any:
            if self.augment == "none":
                picture = self.pictures[i]
                return read_picture(picture, self.image_size) if self.crop is None else self.crop(picture)
            return augment(self.pictures[i], self.image_size, self.augment, self._rng(0, i))

        if isinstance(self.pictures[chosen[0]], np.ndarray):  # threads would cost more than they save
            images = np.stack([read(i) for i in chosen]).astype("float32")
        else:
            with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
                images = np.stack(list(pool.map(read, chosen))).astype("float32")
        labels = np.eye(len(self.class_names), dtype="float32")[self.labels[chosen]]
        if self.augment == "strong":
            images, labels = mix(images, labels, self._rng(1, index))
        if self.data_format == "channels_first":
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        weights = (labels @ self._class_weights(),) if self.balance else ()
        return images, labels if self.one_hot else self.labels[chosen], *weights

    def _class_weights(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """N / (classes * images of the class), for each class."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return (len(self.labels) / (len(counts) * np.maximum(counts, 1))).astype("float32")

    def hashes(self) -> list[str]:
        """Returns for each image a hash of what it shows."""
        scan = self.inventory
        known = dict(zip(scan.files, scan.hashes, strict=True)) if scan else {}
        return [
            known[picture] if isinstance(picture, Path) and picture in known else fingerprint(decode(picture))
            for picture in track(self.pictures, "hashing images", len(self.pictures), "images")
        ]

    def set_epoch(self, epoch: int) -> None:
        """Sets the number of the next epoch, from 0. (Keras ends one more than it runs: it reads a batch first.)"""
        self.epoch = epoch

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch."""
        self.set_epoch(self.epoch + 1)

    def split(
        self, validation_split: float = 0.2, seed: int = 0, augment: str | None = None
    ) -> tuple["Pictures", "Pictures"]:
        """Splits the images of every class into a shuffled training set and an ordered validation set.

        Example:

            training, validation = images.split(0.2, augment="light")

        Args:
            validation_split: the share of each class for validation, in (0, 1).
            seed: determines the split, and the order of the training images.
            augment: the augmentation of the training images; None: that of this dataset.

        Raises:
            ValueError: if a set would have no image of a class.
        """
        train_test_split = import_optional("sklearn.model_selection").train_test_split
        if not 0 < validation_split < 1:
            raise ValueError(f"`validation_split` must be above 0 and below 1; received {validation_split!r}.")
        count, counts = len(self.labels), np.bincount(self.labels, minlength=len(self.class_names))
        validating = ceil(validation_split * count)
        if min(counts) < 2:
            rarest = self.class_names[int(np.argmin(counts))]
            raise ValueError(
                f"Every class needs two images, one for training and one for validation; {rarest!r} has {min(counts)}. "
                "Add images, or remove the class."
            )
        if min(validating, count - validating) < len(counts):
            raise ValueError(
                "`validation_split` must leave an image of each class for training and for validation; "
                f"{validation_split} of {count} images is {validating}, for {len(counts)} classes."
            )
        parts = train_test_split(range(count), test_size=validation_split, random_state=seed, stratify=self.labels)
        for here, there in (parts, parts[::-1]):  # rare classes may have been rounded away
            for label in np.flatnonzero(np.bincount(self.labels[here], minlength=len(counts)) == 0):
                here.append(there.pop(next(i for i, index in enumerate(there) if self.labels[index] == label)))

        def part(indices: list[int], **settings: Any) -> "Pictures":
            found = self.with_(pictures=[self.pictures[i] for i in indices], labels=self.labels[indices], **settings)
            found.set_epoch(0)
            return found

        training = part(parts[0], seed=seed, augment=self.augment if augment is None else augment)
        return training, part(parts[1], seed=None, augment="none", balance=False)


def check_augment(augment: str, one_hot: bool) -> None:
    """Raises a `ValueError` for an unknown level, or for "strong" without one-hot labels."""
    check_choice("augment", augment, LEVELS)
    if augment == "strong" and not one_hot:
        raise ValueError(
            "`one_hot` must be True with augment='strong', which mixes images of two classes; received one_hot=False. "
            "Compile the model with the loss 'categorical_crossentropy'."
        )
