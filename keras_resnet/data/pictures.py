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


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of pictures, float32 RGB in [0, 255], in Keras' image data format, and their classes.

    The order of an epoch, and what augmentation draws, is a function of seed and epoch alone, so pass `shuffle=False`
    to `fit`. `with_` makes a copy with other settings.

    Args:
        pictures: paths of files, or uint8 arrays (height, width) or (height, width, 3).
        labels: for each picture the index of its class.
        class_names: the names of the classes.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch; the last one may be smaller.
        seed: what determines the order of each epoch; None keeps the order of `pictures`.
        augment: "none", "light" (shift, mirror, brightness, contrast) or "strong" (parts, mirror, colours, and MixUp or
            CutMix in each batch); see `keras_resnet.data.augment`.
        one_hot: whether labels come as (N, classes), float32, for `categorical_crossentropy`, instead of (N,), int32.
            "strong" needs it, since a mixed picture is of two classes.
        balance: whether batches carry weights, (N,), by which every class counts alike: N / (classes * pictures of the
            class), as a mixed picture's classes share them.
        inventory: what a scan found, if the pictures are of a folder.
        crop: where nothing is augmented, what makes a picture an array (height, width, 3); None: it is stretched to
            `image_size`.
        data_format: "channels_last", (N, height, width, 3), or "channels_first", (N, 3, height, width); None is Keras'
            own setting as it is now. `evaluate` and `train` follow the model, whatever this is.

    Raises:
        ValueError: if there is no such augmentation or data format, the labels can't tell what it mixes, `batch_size`
            is not positive, or there are more or fewer labels than pictures.
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
                f"`labels` must have one for each picture; received {len(pictures)} pictures and {len(labels)} labels."
            )
        self.pictures, self.labels, self.class_names = pictures, np.asarray(labels, "int32"), tuple(class_names)
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.augment, self.one_hot, self.balance = augment, one_hot, balance
        self.inventory, self.crop = inventory, crop
        self.data_format = standardize_data_format(data_format)
        self.epoch = 0

    def with_(self, **changes: Any) -> "Pictures":
        """Returns a copy, of the same epoch, with other settings; these pictures stay as they are.

        Example:

            large = pictures.with_(image_size=224, augment="light")

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
        """Returns a copy with the axes in the order that a model's input tells, or as they are if it tells none."""
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
        """The indices of this epoch's pictures."""
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
        """N / (classes * pictures of the class), for each class."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return (len(self.labels) / (len(counts) * np.maximum(counts, 1))).astype("float32")

    def hashes(self) -> list[str]:
        """Returns for each picture a hash of what it shows."""
        scan = self.inventory
        known = dict(zip(scan.files, scan.hashes, strict=True)) if scan else {}
        return [
            known[picture] if isinstance(picture, Path) and picture in known else fingerprint(decode(picture))
            for picture in self.pictures
        ]

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes, counted from 0. (Keras ends one more than it runs: it looks at a first batch.)"""
        self.epoch = epoch

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch."""
        self.set_epoch(self.epoch + 1)

    def split(
        self, validation_split: float = 0.2, seed: int = 0, augment: str | None = None
    ) -> tuple["Pictures", "Pictures"]:
        """Divides every class into a shuffled training and an ordered validation set.

        Args:
            validation_split: the share of each class that validates, in (0, 1).
            seed: determines the split, and the order of the training pictures.
            augment: how the training pictures are augmented; None: as these.

        Raises:
            ValueError: if a side would lack pictures of a class.
        """
        train_test_split = import_optional("sklearn.model_selection").train_test_split
        if not 0 < validation_split < 1:
            raise ValueError(f"`validation_split` must lie between 0 and 1; received {validation_split!r}.")
        count, counts = len(self.labels), np.bincount(self.labels, minlength=len(self.class_names))
        validating = ceil(validation_split * count)
        if min(counts) < 2:
            rarest = self.class_names[int(np.argmin(counts))]
            raise ValueError(
                f"Every class needs two pictures, to train and to validate with; {rarest!r} has {min(counts)}."
            )
        if min(validating, count - validating) < len(counts):
            raise ValueError(
                f"`validation_split` must leave a picture of each class on both sides; {validation_split} of {count} "
                f"pictures is {validating}, for {len(counts)} classes."
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
    """Raises a `ValueError` for another level, or one that the labels can't tell."""
    check_choice("augment", augment, LEVELS)
    if augment == "strong" and not one_hot:
        raise ValueError(
            "`one_hot` must be True with augment='strong', which gives a picture two classes; "
            "compile with 'categorical_crossentropy' then."
        )
