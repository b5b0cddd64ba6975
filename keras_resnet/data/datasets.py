"""Datasets of images and labels: a folder with one sub-folder per class, its splits, scikit-learn's digits."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_resnet.data.decode import Size
from keras_resnet.data.decode import read_picture as read_picture
from keras_resnet.data.layout import find_layout, side_of
from keras_resnet.data.pictures import Pictures as Pictures
from keras_resnet.data.pictures import check_augment
from keras_resnet.data.scan import duplicates, scan
from keras_resnet.utils.errors import enumerate_some, import_optional
from keras_resnet.utils.progress import say


class Splits(NamedTuple):
    """The training, validation and (if there is one) test set of a folder of images.

    The training images are shuffled and augmented. `leaks` lists the images that lie in two of the sets with the same
    pixels, each as the paths where the image lies.
    """

    training: Pictures
    validation: Pictures
    test: Pictures | None
    leaks: list[tuple[Path, ...]]

    def __str__(self) -> str:
        purposes = {"training": "train", "validation": "validate", "test": "test"}
        return ", ".join(f"{len(part.labels)} to {purposes[side]}" for side, part in self.sides().items())

    def sides(self) -> dict[str, Pictures]:
        """Returns the sets by name: "training", "validation" and, if there is one, "test"."""
        found = {"training": self.training, "validation": self.validation, "test": self.test}
        return {side: part for side, part in found.items() if part is not None}

    def with_(self, **changes: Any) -> "Splits":
        """Returns copies of the sets with other settings (see `Pictures.with_`); these sets do not change."""
        return self._replace(**{side: part.with_(**changes) for side, part in self.sides().items()})

    def for_model(self, model: keras.Model) -> "Splits":
        """Returns copies of the sets in the data format of a model (see `Pictures.for_model`)."""
        return self._replace(**{side: part.for_model(model) for side, part in self.sides().items()})


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
    """Reads a folder of images that has one sub-folder per class.

    Every file is decoded once to see whether it can be used. Its content counts, not its suffix: BMP, GIF, JPEG, PNG,
    TIFF and WebP of any size and bit depth are read. Files that are damaged or not an image are skipped, and listed
    with the reason.

    Example:

        images = keras_resnet.data.folder("flowers", image_size=128)
        training, validation = images.split(0.2, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: the folder, or a folder that holds only that one. The names of its sub-folders are the class names; images
            in deeper folders belong to the class above them. Hidden files (`.name`) and system folders (`__MACOSX`)
            are left out.
        image_size: (height, width) in pixels, or one int for both; images are stretched to it.
        batch_size: images in a batch.
        seed: determines the random order of each epoch; None keeps the alphabetical order.
        augment: "none", "light" or "strong", see `Pictures`.
        one_hot: whether labels are one-hot, (N, classes), instead of class indices, (N,); see `Pictures`.
        class_names: the names of the classes, in order. Folders of these names are classes, whatever lies in them.
            None: the names of the sub-folders, sorted.
        verbose: whether to show a progress bar, and the files found and skipped, on standard error.

    Raises:
        ValueError: if the folder does not exist, has fewer than two classes, has a class without an image that can be
            used, or if its sub-folders are, or may be, splits such as train and val (read these with `splits`).
    """
    check_augment(augment, one_hot)
    layout = find_layout(path, class_names)
    if layout.sides:
        raise ValueError(
            f"{str(path)!r} holds {layout.found(path)}, which are the splits of a dataset, not classes. Read them with "
            "keras_resnet.data.splits, or pass the path of one of them."
        )
    return _read(
        layout.root,
        class_names,
        layout.left_out,
        verbose,
        image_size=image_size,
        batch_size=batch_size,
        seed=seed,
        augment=augment,
        one_hot=one_hot,
    )


def _read(
    path: Path, class_names: Sequence[str] | None, left_out: Mapping[Path, str], verbose: bool, **settings: Any
) -> Pictures:
    """The images of a folder that has one sub-folder per class; says what was found and skipped."""
    found = scan(path, class_names, verbose, left_out)
    if verbose:
        say(str(found))
        told = [name for name in found.class_names if class_names is None and side_of(name)]
        if told:
            say(f"note: these folders are read as classes, not as splits of a dataset: {enumerate_some(told)}")
    return Pictures(found.files, found.labels, found.class_names, inventory=found, **settings)


def splits(
    path: str | Path,
    image_size: Size = 64,
    batch_size: int = 32,
    validation_split: float = 0.2,
    seed: int = 0,
    augment: str = "none",
    one_hot: bool = False,
    verbose: bool = True,
    class_names: Sequence[str] | None = None,
) -> Splits:
    """Reads a folder of images as a training, a validation and (if there is one) a test set.

    If `path` holds the folders `train` and `val` (and `test`), they are the sets. Otherwise a share of each class is
    set aside for validation: of `train`, if there is no `val`, or of `path` itself. Longer names work too
    (`seg_train`, `TestSet`, `val2017`), and a folder that holds nothing but one other is entered. Folders that could be
    classes or splits, because they hold the same sub-folders and their names do not tell, raise an error.

    Example:

        training, validation, test, leaks = keras_resnet.data.splits("flowers", image_size=128, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: a folder with one sub-folder of images per class, or with two or three of such folders, named `train`
            or `training`, `val`, `valid`, `validation`, `dev` or `eval`, and `test` or `testing`, in upper or lower
            case. The classes are those of the training set. Other files and folders are skipped, and listed.
        image_size: (height, width) in pixels, or one int for both; images are stretched to it.
        batch_size: images in a batch.
        validation_split: the share of each class for validation, in (0, 1), where `path` has no validation folder.
        seed: determines the split, and the order and augmentation of each epoch.
        augment: "none", "light" or "strong", see `Pictures`; only training images are augmented.
        one_hot: whether labels are one-hot, (N, classes), instead of class indices, (N,); see `Pictures`.
        verbose: whether to list the files found and skipped, and the images in two sets, on standard error.
        class_names: the names of the classes, in order. Folders of these names are classes, whatever lies in them.
            None: the names of the sub-folders of the training set, sorted.

    Raises:
        ValueError: as for `folder` and `Pictures.split`, or if `path` holds splits but none for training.
    """
    check_augment(augment, one_hot)
    layout = find_layout(path, class_names)
    sides = layout.sides or {"training": layout.root}
    if "training" not in sides:
        raise ValueError(
            f"{str(path)!r} holds {layout.found(path)}, but no folder for training, such as train. Add one, or pass "
            "the path of one of these to train with it."
        )

    if verbose and layout.sides:
        say(f"{path}: {', '.join(f'{side} in {os.path.relpath(sides[side], path)}' for side in sides)}")
    settings: dict[str, Any] = {"image_size": image_size, "batch_size": batch_size, "one_hot": one_hot}
    learns: dict[str, Any] = {"seed": seed, "augment": augment}

    def read(side: str, names: Sequence[str] | None, **more: Any) -> Pictures:
        left_out = layout.left_out if side == "training" else {}
        return _read(sides[side], names, left_out, verbose, **settings, **more)

    if "validation" in sides:
        training = read("training", class_names, **learns)
        parts = [training, read("validation", training.class_names)]
    else:
        parts = list(read("training", class_names).split(validation_split, **learns))
    if "test" in sides:
        parts.append(read("test", parts[0].class_names))
    hashes = [part.hashes() for part in parts]
    leaks = [tuple(parts[side].pictures[index] for side, index in places) for places in duplicates(hashes)]
    found = Splits(parts[0], parts[1], parts[2] if len(parts) > 2 else None, leaks)
    if verbose:
        say(str(found))
        if leaks:
            say(f"note: {len(leaks)} images lie in two of the splits, so the measured accuracy is too high:")
            for same in leaks:
                say(f"    {' = '.join(map(str, same))}")
    return found


def digits(image_size: Size = 16, batch_size: int = 32, one_hot: bool = False) -> Pictures:
    """Loads scikit-learn's 1797 handwritten digits, 8x8 and gray, as RGB images; needs no download.

    Example:

        training, validation = keras_resnet.data.digits(image_size=32).split(0.2)
    """
    source = import_optional("sklearn.datasets").load_digits()
    gray = (source.images * (255 / 16)).round().astype("uint8")
    names = [str(name) for name in source.target_names]
    return Pictures(list(gray), source.target, names, image_size, batch_size, one_hot=one_hot)
