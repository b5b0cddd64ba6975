"""Pictures and their classes, as what `model.fit` takes on every backend."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet import folders
from keras_resnet.augmentation import LEVELS, augment, mix
from keras_resnet.decoding import Size
from keras_resnet.decoding import read_picture as read_picture
from keras_resnet.errors import check_choice, optional
from keras_resnet.folders import Inventory, duplicates, listed, scan


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of pictures (N, height, width, 3), float32 RGB in [0, 255], and their classes.

    The order of an epoch, and what augmentation draws, is a function of seed and epoch alone, so pass `shuffle=False`
    to `fit`. All attributes may be set later.

    Args:
        pictures: paths of files, or uint8 arrays (height, width) or (height, width, 3).
        labels: for each picture the index of its class.
        class_names: the names of the classes.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch; the last one may be smaller.
        seed: what determines the order of each epoch; None keeps the order of `pictures`.
        augment: "none", "light" (shift, mirror, brightness, contrast) or "strong" (parts, mirror, colours, and MixUp or
            CutMix in each batch); see `keras_resnet.augmentation`.
        one_hot: whether labels come as (N, classes), float32, for `categorical_crossentropy`, instead of (N,), int32.
            "strong" needs it, since a mixed picture is of two classes.
        balance: whether batches carry weights, (N,), by which every class counts alike: N / (classes * pictures of the
            class), as a mixed picture's classes share them.
        inventory: what a scan found, if the pictures are of a folder.
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
    ) -> None:
        super().__init__()
        check_choice("augment", augment, LEVELS)
        if augment == "strong" and not one_hot:
            raise ValueError(
                "`one_hot` must be True with augment='strong', which gives a picture two classes; "
                "compile with 'categorical_crossentropy' then."
            )
        self.pictures, self.labels, self.class_names = pictures, np.asarray(labels, "int32"), tuple(class_names)
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.augment, self.one_hot, self.balance, self.inventory = augment, one_hot, balance, inventory
        self.epoch = 0

    def _rng(self, *of: int) -> np.random.Generator:
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
                return read_picture(self.pictures[i], self.image_size)
            return augment(self.pictures[i], self.image_size, self.augment, self._rng(0, i))

        if isinstance(self.pictures[chosen[0]], np.ndarray):  # threads would cost more than they save
            images = np.stack([read(i) for i in chosen]).astype("float32")
        else:
            with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
                images = np.stack(list(pool.map(read, chosen))).astype("float32")
        labels = np.eye(len(self.class_names), dtype="float32")[self.labels[chosen]]
        if self.augment == "strong":
            images, labels = mix(images, labels, self._rng(1, index))
        weights = (labels @ self._class_weights(),) if self.balance else ()
        return images, labels if self.one_hot else self.labels[chosen], *weights

    def _class_weights(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return (len(self.labels) / (len(counts) * np.maximum(counts, 1))).astype("float32")

    def hashes(self) -> list[str]:
        """For each picture a hash of what it shows."""
        found = self.inventory and dict(zip(self.inventory.files, self.inventory.hashes, strict=True))
        return [found[picture] if found else sha256(np.asarray(picture).data).hexdigest() for picture in self.pictures]

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes, counted from 0. (Keras ends one more than it runs: it looks at a first batch.)"""
        self.epoch = epoch

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch."""
        self.set_epoch(self.epoch + 1)

    def split(
        self, validation_split: float = 0.2, seed: int = 0, augment: str = "none"
    ) -> tuple["Pictures", "Pictures"]:
        """Divides every class into a shuffled training and an ordered validation set.

        Args:
            validation_split: the share of each class that validates, in (0, 1).
            seed: determines the split, and the order of the training pictures.
            augment: how the training pictures are augmented.

        Raises:
            ValueError: if a side would lack pictures of a class.
        """
        train_test_split = optional("sklearn.model_selection").train_test_split
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
        for label in range(len(counts)):  # a rare class may have been rounded away
            for here, there in (parts, parts[::-1]):
                if label not in self.labels[here]:
                    here.append(there.pop(next(i for i, index in enumerate(there) if self.labels[index] == label)))

        def part(indices: list[int], order: int | None, level: str) -> "Pictures":
            pictures = [self.pictures[i] for i in indices]
            return Pictures(
                pictures,
                self.labels[indices],
                self.class_names,
                self.image_size,
                self.batch_size,
                order,
                level,
                self.one_hot,
                inventory=self.inventory,
            )

        return part(parts[0], seed, augment), part(parts[1], None, "none")


class Splits(NamedTuple):
    """Pictures to train with, shuffled and augmented, to validate with and, if there are any, to test with.

    `leaks` are pictures that lie on two sides, pixel by pixel, as the paths of each.
    """

    training: Pictures
    validation: Pictures
    test: Pictures | None
    leaks: list[tuple[Path, ...]]

    def __str__(self) -> str:
        sides = {"train": self.training, "validate": self.validation, "test": self.test}
        return ", ".join(f"{len(part.labels)} to {purpose}" for purpose, part in sides.items() if part)


def folder(
    path: str | Path,
    image_size: Size = 64,
    batch_size: int = 32,
    seed: int | None = None,
    augment: str = "none",
    one_hot: bool = False,
    class_names: Sequence[str] | None = None,
    verbose: bool = True,
) -> Pictures:
    """Finds the pictures of a folder that has one sub-folder per class, and leaves out what can't be used.

    Every file is decoded once, whatever its suffix: BMP, GIF, JPEG, PNG, TIFF and WebP of any size and depth are
    pictures; what is damaged or is none is named, with the reason, and counted.

    Example:

        pictures = keras_resnet.data.folder("flowers", image_size=128)
        training, validation = pictures.split(0.2, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: the folder. Names of its sub-folders are the names of the classes; what begins with a dot is left out.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch.
        seed: what determines the order of each epoch; None keeps the order of the names.
        augment: "none", "light" or "strong", as for `Pictures`.
        one_hot: whether labels come as (N, classes), as for `Pictures`.
        class_names: the classes that there are, in their order; None: those that have a sub-folder here.
        verbose: whether to show a progress bar, and what was found and skipped.

    Raises:
        ValueError: if there is no such folder, fewer than two classes, or a class without a picture that can be used.
    """
    sides = folders.sides(path) if Path(path).is_dir() else None
    if sides and class_names is None:
        raise ValueError(
            f"{str(path)!r} holds {listed([side.name for side in sides.values()])}, which are sides of a split, not "
            "classes; read them with keras_resnet.data.splits, or one of them with folder."
        )
    found = scan(path, class_names, verbose)
    if verbose:
        print(found)
    return Pictures(
        found.files, found.labels, found.class_names, image_size, batch_size, seed, augment, one_hot, inventory=found
    )


def splits(
    path: str | Path,
    image_size: Size = 64,
    batch_size: int = 32,
    validation_split: float = 0.2,
    seed: int = 0,
    augment: str = "none",
    one_hot: bool = False,
    verbose: bool = True,
) -> Splits:
    """Reads a folder of pictures as what trains and what validates.

    Where `path` holds the folders `train` and `val` (and `test`), they are the sides; else each class is divided, of
    `train` if there is only that, or that and `test`.

    Example:

        training, validation, test, leaks = keras_resnet.data.splits("flowers", image_size=128, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: a folder with one sub-folder of pictures per class, or with two or three of such folders, called `train`
            or `training`, `val`, `valid` or `validation`, and `test` or `testing`. Classes are those to train with.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch.
        validation_split: the share of each class that validates, in (0, 1), if `path` does not say.
        seed: determines the split, and the order and augmentation of each epoch.
        augment: "none", "light" or "strong", as for `Pictures`; of the training pictures alone.
        one_hot: whether labels come as (N, classes), as for `Pictures`.
        verbose: whether to print what was found, what was skipped, and what lies on two sides.

    Raises:
        ValueError: as for `folder` and `Pictures.split`.
    """
    check_choice("augment", augment, LEVELS)
    sides = (Path(path).is_dir() and folders.sides(path)) or {"training": Path(path)}

    def read(side: str, **arguments: Any) -> Pictures:
        return folder(sides[side], image_size, batch_size, one_hot=one_hot, verbose=verbose, **arguments)

    if "validation" in sides:
        training = read("training", seed=seed, augment=augment)
        parts = [training, read("validation", class_names=training.class_names)]
    else:
        parts = list(read("training").split(validation_split, seed, augment))
    if "test" in sides:
        parts.append(read("test", class_names=parts[0].class_names))
    hashes = [part.hashes() for part in parts]
    leaks = [tuple(parts[side].pictures[index] for side, index in places) for places in duplicates(hashes)]
    found = Splits(parts[0], parts[1], parts[2] if len(parts) > 2 else None, leaks)
    if verbose:
        print(found)
        if leaks:
            print(f"a leak: {len(leaks)} pictures lie on two sides of the split, so validation flatters:")
            print(*(f"    {' = '.join(map(str, same))}" for same in leaks), sep="\n")
    return found


def digits(image_size: Size = 16, batch_size: int = 32, one_hot: bool = False) -> Pictures:
    """Loads scikit-learn's 1797 handwritten digits, gray and 8x8, as RGB pictures of a size."""
    source = optional("sklearn.datasets").load_digits()
    gray = (source.images * (255 / 16)).round().astype("uint8")
    names = [str(name) for name in source.target_names]
    return Pictures(list(gray), source.target, names, image_size, batch_size, one_hot=one_hot)
