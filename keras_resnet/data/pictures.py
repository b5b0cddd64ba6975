"""Dataset of images and labels in batches, a `PyDataset`, which `model.fit` takes on every backend."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from inspect import signature
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import keras
import numpy as np

from keras_resnet.data import workers as processes
from keras_resnet.data.augment import LEVELS, mix
from keras_resnet.data.decode import Size, as_pair
from keras_resnet.data.read import Reader
from keras_resnet.data.scan import Inventory
from keras_resnet.data.split import balanced_order, folds, split
from keras_resnet.data.worker import Request, read_one
from keras_resnet.models.arguments import standardize_data_format
from keras_resnet.models.description import Description, Resize, Task
from keras_resnet.utils.errors import check_choice, check_positive
from keras_resnet.utils.progress import track

Balance = Literal[False, True, "loss", "sampling"]

_AHEAD = 2  # batches that workers begin while a model trains on another
_ATTRIBUTES = {"workers": "readers"}  # what arguments are kept as
# The orders of datasets as they are, which a batch needs and is slow to draw; reading changes no dataset
_ORDERS: WeakKeyDictionary["Pictures", tuple[Any, np.ndarray[Any, np.dtype[np.int64]]]] = WeakKeyDictionary()


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """A dataset of images and labels in batches, which `model.fit` takes on every backend.

    Example:

        pictures = ["flowers/circle/0.jpg", "flowers/square/0.jpg"]  # or arrays (height, width, 3)
        data = keras_resnet.data.Pictures(pictures, [0, 1], ["circle", "square"], image_size=224)
        batch, labels = data[0]  # (2, 224, 224, 3) and (2,)

    Images are float32 in [0, 255], RGB unless `channels` is another. Seed and epoch alone determine the order and the
    augmentation of an epoch, so pass `shuffle=False` to `fit`.

    Args:
        pictures: the images: paths of files, or arrays (height, width) or (height, width, channels); see
            `keras_resnet.data.Reader`.
        labels: by `task`: for each image the index of its class, (N,); 1 for each label that it has and 0 for each
            other, (N, labels); or its numbers, (N, targets).
        class_names: the names of the classes, of the labels or of the numbers.
        image_size: (height, width) in pixels, or one int for both; images come to it by `resize`.
        batch_size: images in a batch; the last batch may be smaller.
        seed: determines the random order of each epoch; None keeps the order of `pictures`.
        augment: "none", "light" (shift, mirror, brightness, contrast) or "strong" (random crop, mirror, colours, and
            MixUp or CutMix in each batch); see `keras_resnet.data.augment`.
        one_hot: whether labels are one-hot, (N, classes), float32, for `categorical_crossentropy`, instead of class
            indices, (N,), int32. "strong" needs it, since a mixed image has two classes. Of other tasks than "classes"
            it changes nothing.
        balance: False; True or "loss": batches have sample weights, (N,), so that every class has the same total
            weight: the weight of an image is N / (classes * images of its class), and a mixed image takes its share of
            both weights (of several labels the loss has weights instead, see `keras_resnet.training.compile_for`);
            "sampling": an epoch draws its images so that every class comes as often as any other; an image of several
            labels counts for its rarest one.
        inventory: the result of the scan, if the images come from a folder.
        crop: a function that makes an array (height, width, 3) of an entry of `pictures`, used where images are not
            augmented; None: images are read as the next attributes say.
        data_format: "channels_last", (N, height, width, channels), or "channels_first", (N, channels, height, width);
            None is Keras' own setting as it is now. `evaluate` and `train` use the data format of the model instead.
        task: "classes": each image is of one class; "labels": each has any number of labels; "regression": numbers.
        resize: "stretch", "crop" or "pad"; see `keras_resnet.data.Reader`, as for the next two.
        channels: of the images.
        value_range: (low, high) of floating-point pictures, which become 0 and 255.
        groups: for each image the name of its group, such as a patient: `split` puts a group on one side.
        workers: how many processes read and augment image files, two batches ahead; 0: this one does, in threads.
            Batches are the same, bit for bit. Datasets with the same number share the processes. Arrays, images of
            Pillow, and what `crop` makes, this process reads.
        share: which images of a batch are wanted, if others read the rest of it: a function of the number of images in
            the batch that returns a `range`, as `keras_resnet.distribution.share` is. They are those of the whole
            batch, mixed and weighted as there. None: all.

    Raises:
        ValueError: if `augment` or `data_format` is not one of these, `augment` is "strong" and `one_hot` False,
            `batch_size` is not positive, the numbers of images and labels differ, or the labels are none of the task.
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
        balance: Balance = False,
        inventory: Inventory | None = None,
        crop: Callable[[Any], Any] | None = None,
        data_format: str | None = None,
        task: Task = "classes",
        resize: Resize = "stretch",
        channels: int = 3,
        value_range: tuple[float, float] | None = None,
        groups: Sequence[str] | None = None,
        workers: int = 0,
        share: Callable[[int], range] | None = None,
    ) -> None:
        super().__init__()
        check_choice("task", task, get_args(Task))
        check_choice("resize", resize, get_args(Resize))
        check_augment(augment, one_hot or task != "classes")
        check_positive("batch_size", batch_size)
        check_choice("balance", balance, get_args(Balance))
        if balance and task == "regression":
            raise ValueError(f"`balance` is for classes and labels; received {balance!r} with task='regression'.")
        if type(workers) is not int or workers < 0:
            raise ValueError(f"`workers` must be an int, 0 or more; received {workers!r}.")
        if len(pictures) != len(labels):
            raise ValueError(
                f"`labels` must hold one label per image; received {len(pictures)} images and {len(labels)} labels."
            )
        self.pictures, self.class_names = pictures, tuple(class_names)
        self.labels = np.asarray(labels, "int32" if task == "classes" else "float32")
        _check_labels(self.labels, task, len(self.class_names))
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.augment, self.one_hot, self.balance = augment, one_hot, balance
        self.inventory, self.crop = inventory, crop
        self.data_format = standardize_data_format(data_format)
        self.task, self.resize, self.channels, self.value_range = task, resize, channels, value_range
        self.groups = None if groups is None else tuple(groups)
        self.readers = workers  # Keras has `workers` of its own
        self.share = share
        self.epoch = 0
        _ = self.reader  # refuses what it can't be

    def with_(self, **changes: Any) -> "Pictures":
        """Returns a copy with other settings, at the same epoch; this dataset does not change.

        Example:

            large = training.with_(image_size=224, augment="light")

        Args:
            **changes: arguments of the constructor.

        Raises:
            TypeError: if the constructor has no such argument.
            ValueError: as from the constructor.
        """
        settings = {name: getattr(self, _ATTRIBUTES.get(name, name)) for name in signature(Pictures).parameters}
        checked = Pictures(**settings | changes)
        changed = copy(self)  # with its epoch, and what Keras keeps in it
        for name in changes:
            setattr(changed, _ATTRIBUTES.get(name, name), getattr(checked, _ATTRIBUTES.get(name, name)))
        return changed

    def for_model(self, model: keras.Model) -> "Pictures":
        """Returns a copy in the data format of a model's input, or in this one if the input shape does not tell.

        Args:
            model: any model.
        """
        shape = getattr(model, "input_shape", None)
        if isinstance(shape, tuple) and len(shape) == 4 and (shape[1] == self.channels) != (shape[3] == self.channels):
            return self.with_(data_format="channels_first" if shape[1] == self.channels else "channels_last")
        return self.with_()

    def path(self, index: int) -> str:
        """Returns the absolute path of an image; of an array its index.

        Args:
            index: its place in `pictures`.
        """
        picture = self.pictures[index]
        return os.path.abspath(picture) if isinstance(picture, (str, os.PathLike)) else str(index)

    def _rng(self, *of: int) -> np.random.Generator:
        """A generator for this epoch's draws of one kind."""
        return np.random.default_rng(self._seed(*of))

    def _seed(self, *of: int) -> tuple[int, ...]:
        """What determines this epoch's draws of one kind."""
        return self.seed or 0, self.epoch, *of

    @property
    def reader(self) -> Reader:
        """How pictures are read."""
        return Reader(self.image_size, self.resize, self.channels, self.value_range)

    @property
    def description(self) -> Description:
        """What a model that is trained on them takes and returns."""
        return Description(self.class_names, self.task, self.resize, self.channels, self.value_range)

    @property
    def order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The indices of this epoch's images."""
        state = (self.epoch, self.seed, self.balance, id(self.labels))
        known = _ORDERS.get(self)
        if known is None or known[0] != state:
            known = _ORDERS[self] = state, self._draw_order()
        return known[1]

    def _draw_order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """A new order, by seed and epoch."""
        count = len(self.labels)
        if self.balance == "sampling":
            return balanced_order(self.labels, self.task, self._rng())
        return np.arange(count) if self.seed is None else self._rng().permutation(count)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        wanted, read = self._places(index)
        chosen = self.order[read.start : read.stop]
        images, labels = self._images(index), self._targets(chosen)
        if self._mixes:
            images, labels = mix(images, labels, self._rng(1, index))
        own = slice(wanted.start - read.start, wanted.stop - read.start)
        images, labels, chosen = images[own], labels[own], chosen[own]
        if self.data_format == "channels_first":
            images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
        weights = (labels @ self._class_weights(),) if self.balance in (True, "loss") and self.task == "classes" else ()
        plain = self.task == "classes" and not self.one_hot
        return images, self.labels[chosen] if plain else labels, *weights

    @property
    def _mixes(self) -> bool:
        """Whether images are mixed by twos."""
        return self.augment == "strong" and self.task != "regression"

    def _places(self, index: int) -> tuple[range, range]:
        """Where in the epoch's order the images of a batch lie: the share, and that with what it is mixed with."""
        first = index * self.batch_size
        count = min(self.batch_size, len(self.order) - first)
        own = range(count) if self.share is None else self.share(count)
        read = range(own.start & ~1, min((own.stop + 1) & ~1, count)) if self._mixes and own else own
        return (range(first + own.start, first + own.stop), range(first + read.start, first + read.stop))

    def _images(self, index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The images of a batch, (N, height, width, channels); workers begin with later ones."""
        wanted = self._request(index) if self.readers else None
        if wanted:
            ahead = max(_AHEAD, -(-2 * self.readers // self.batch_size))
            later = map(self._request, range(index + 1, min(index + 1 + ahead, len(self))))
            return processes.workers(self.readers).read(self, wanted, list(filter(None, later)))
        reader, drawn = self.reader, self._drawn(index)
        if not drawn:
            return np.zeros((0, *as_pair(self.image_size), self.channels), "float32")

        def read(each: tuple[Any, Any]) -> Any:
            picture, seed = each
            if self.crop and self.augment == "none":
                return self.crop(picture)
            return read_one(reader, picture, self.augment, seed)

        if isinstance(drawn[0][0], np.ndarray):  # threads would cost more than they save
            return np.stack([read(each) for each in drawn]).astype("float32")
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
            return np.stack(list(pool.map(read, drawn))).astype("float32")

    def _drawn(self, index: int) -> list[tuple[Any, Any]]:
        """The pictures of a batch, each with the seed of its augmentation: of a sample by its place in the epoch."""
        _, places = self._places(index)
        chosen = self.order[places.start : places.stop]
        counts = places if self.balance == "sampling" else chosen
        return [(self.pictures[i], self._seed(0, int(count))) for i, count in zip(chosen, counts, strict=True)]

    def _request(self, index: int) -> Request | None:
        """What workers are asked for; None for what only this process has: arrays, and functions that crop."""
        drawn = self._drawn(index)
        paths = all(isinstance(picture, (str, os.PathLike)) for picture, _ in drawn)
        if (self.crop and self.augment == "none") or not paths or not drawn:
            return None
        pictures, seeds = zip(*drawn, strict=True)
        return Request(self.reader, self.augment, tuple(map(os.fspath, pictures)), seeds)

    def _targets(self, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """What a model should return for some images, (N, classes)."""
        rows = self.labels[chosen]
        if self.task == "classes":
            rows = (rows[:, np.newaxis] == np.arange(len(self.class_names))).astype("float32")
        return np.asarray(rows)

    def _class_weights(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """N / (classes * images of the class), for each class."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return (len(self.labels) / (len(counts) * np.maximum(counts, 1))).astype("float32")

    def hashes(self, shown: bool = True) -> list[str]:
        """Returns for each image a hash of what it shows; of a file that was not decoded its path and size in bytes.

        Args:
            shown: whether it is; False: path and size of all files that were scanned.
        """
        scan = self.inventory
        known = dict(zip(scan.files, scan.hashes, strict=True)) if scan else {}

        def of(picture: Any) -> str:
            if scan is None or not isinstance(picture, Path) or picture not in known:
                return self.reader.look(picture)[1]
            found = known[picture] if shown else ""
            return found or f"{os.path.relpath(picture, scan.root)} {os.path.getsize(picture)}"

        return [of(picture) for picture in track(self.pictures, "hashing images", len(self.pictures), "images")]

    def set_epoch(self, epoch: int) -> None:
        """Sets the number of the next epoch.

        Keras ends one more than it runs: it reads a batch first.

        Args:
            epoch: its number, from 0.
        """
        self.epoch = epoch
        processes.drop(self)

    def on_epoch_end(self) -> None:
        """Goes on to the next epoch."""
        self.set_epoch(self.epoch + 1)

    def part(self, indices: Sequence[int], **changes: Any) -> "Pictures":
        """Returns some of the images, in this order, as a dataset at its first epoch.

        Args:
            indices: the places of the images in `pictures`.
            **changes: other settings, as for `with_`.
        """
        places = list(indices)
        groups = None if self.groups is None else [self.groups[place] for place in places]
        pictures = [self.pictures[place] for place in places]
        found = self.with_(pictures=pictures, labels=self.labels[places], groups=groups, **changes)
        found.set_epoch(0)
        return found

    def split(
        self, validation_split: float = 0.2, seed: int = 0, augment: str | None = None
    ) -> tuple["Pictures", "Pictures"]:
        """Splits the images into a shuffled training set and an ordered validation set.

        Example:

            training, validation = keras_resnet.data.digits().split(0.2, augment="light")

        Each class or label has the same share in both, as far as it goes, and numbers are alike in both. All images of
        a group are in one of them.

        Args:
            validation_split: the share of each class, or of the images, for validation, in (0, 1).
            seed: determines the split, and the order of the training images.
            augment: the augmentation of the training images; None: that of this dataset.

        Raises:
            ValueError: if a set would have no image of a class or label, or the groups are all one.
        """
        parts = split(self.labels, self.task, self.class_names, validation_split, seed, self.groups)
        training = self.part(parts[0], seed=seed, augment=self.augment if augment is None else augment)
        return training, self.part(parts[1], seed=None, augment="none", balance=False)

    def folds(self, count: int, seed: int = 0, augment: str | None = None) -> list[tuple["Pictures", "Pictures"]]:
        """Divides the images into folds, and returns for each what trains beside it, shuffled, and the fold, ordered.

        Example:

            for training, validation in keras_resnet.data.digits().folds(5):
                print(len(training), len(validation))

        Each image validates in one fold. Classes, labels, numbers and groups are divided as by `split`.

        Args:
            count: how many folds there are, from 2 up.
            seed: determines the folds, and the order of the training images.
            augment: the augmentation of the training images; None: that of this dataset.

        Raises:
            ValueError: if the images of a class, or its groups, are fewer than the folds, or if those of a label can't
                be on both sides.
        """
        if count < 2:
            raise ValueError(f"`folds` must be an int of at least 2; received {count!r}.")
        parts = folds(self.labels, self.task, self.class_names, count, seed, self.groups)
        learns = {"seed": seed, "augment": self.augment if augment is None else augment}
        return [
            (
                self.part(np.setdiff1d(np.arange(len(self.labels)), part).tolist(), **learns),
                self.part(part, seed=None, augment="none", balance=False),
            )
            for part in parts
        ]


def _check_labels(labels: np.ndarray[Any, Any], task: Task, names: int) -> None:
    """Raises a `ValueError` for labels that are none of a task."""
    shape: tuple[int, ...]
    if task == "classes":
        shape, allowed = (len(labels),), f"indices of the {names} classes"
        fit = labels.shape == shape and not ((labels < 0) | (labels >= names)).any()
    else:
        shape, allowed = (len(labels), names), "0 or 1" if task == "labels" else "finite numbers"
        values = (labels == 0) | (labels == 1) if task == "labels" else np.isfinite(labels)
        fit = labels.shape == shape and bool(values.all())
    if not fit:
        found = f"in [{labels.min():.4g}, {labels.max():.4g}]" if labels.size else "none"
        raise ValueError(
            f"`labels` of task={task!r} must be {allowed}, of the shape {shape}; received the shape {labels.shape} and "
            f"values {found}."
        )


def check_augment(augment: str, one_hot: bool) -> None:
    """Raises a `ValueError` for an unknown level, or for "strong" without one-hot labels."""
    check_choice("augment", augment, LEVELS)
    if augment == "strong" and not one_hot:
        raise ValueError(
            "`one_hot` must be True with augment='strong', which mixes images of two classes; received one_hot=False. "
            "Compile the model with the loss 'categorical_crossentropy'."
        )
