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
    """Pictures to train with, shuffled and augmented, to validate with and, if there are any, to test with.

    `leaks` are pictures that lie on two sides, pixel by pixel, as the paths of each.
    """

    training: Pictures
    validation: Pictures
    test: Pictures | None
    leaks: list[tuple[Path, ...]]

    def __str__(self) -> str:
        purposes = {"training": "train", "validation": "validate", "test": "test"}
        return ", ".join(f"{len(part.labels)} to {purposes[side]}" for side, part in self.sides().items())

    def sides(self) -> dict[str, Pictures]:
        """Returns the sides that there are, by name."""
        found = {"training": self.training, "validation": self.validation, "test": self.test}
        return {side: part for side, part in found.items() if part is not None}

    def with_(self, **changes: Any) -> "Splits":
        """Returns the same sides with other settings, as `Pictures.with_` does each; these stay as they are."""
        return self._replace(**{side: part.with_(**changes) for side, part in self.sides().items()})

    def for_model(self, model: keras.Model) -> "Splits":
        """Returns the same sides with the axes in the order that a model takes, as `Pictures.for_model` does each."""
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
    """Finds the pictures of a folder that has one sub-folder per class, and leaves out what can't be used.

    Every file is decoded once, whatever its suffix: BMP, GIF, JPEG, PNG, TIFF and WebP of any size and depth are
    pictures; what is damaged or is none is named, with the reason, and counted.

    Example:

        pictures = keras_resnet.data.folder("flowers", image_size=128)
        training, validation = pictures.split(0.2, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: the folder, or one that holds nothing else. Names of its sub-folders are the names of the classes; further
            folders in these are followed. What begins with a dot, or is a system's (`__MACOSX`), is left out.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch.
        seed: what determines the order of each epoch; None keeps the order of the names.
        augment: "none", "light" or "strong", as for `Pictures`.
        one_hot: whether labels come as (N, classes), as for `Pictures`.
        class_names: the classes that there are, in their order: folders called so are classes, whatever lies in them.
            None: those that have a sub-folder here.
        verbose: whether to show a progress bar, and what was found and skipped, on standard error.

    Raises:
        ValueError: if there is no such folder, fewer than two classes, a class without a picture that can be used, or
            if its folders are sides of a split, as `splits` reads them, or may be.
    """
    check_augment(augment, one_hot)
    layout = find_layout(path, class_names)
    if layout.sides:
        raise ValueError(
            f"{str(path)!r} holds {layout.found(path)}, which are sides of a split, not classes; read them with "
            "keras_resnet.data.splits, or one of them with folder."
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
    """The pictures of a folder that has one sub-folder per class; says what was found and skipped."""
    found = scan(path, class_names, verbose, left_out)
    if verbose:
        say(str(found))
        told = [name for name in found.class_names if class_names is None and side_of(name)]
        if told:
            say(f"note: taken for classes, and not for sides of a split: {enumerate_some(told)}")
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
    """Reads a folder of pictures as what trains and what validates.

    Where `path` holds the folders `train` and `val` (and `test`), they are the sides; else each class is divided, of
    `train` if there is only that, or that and `test`. Names may say more (`seg_train`, `TestSet`, `val2017`), and a
    folder that alone holds all is looked into. Folders that may be sides as well as classes are refused: those that
    hold the same folders, under names that do not say which is which.

    Example:

        training, validation, test, leaks = keras_resnet.data.splits("flowers", image_size=128, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Args:
        path: a folder with one sub-folder of pictures per class, or with two or three of such folders, called `train`
            or `training`, `val`, `valid`, `validation`, `dev` or `eval`, and `test` or `testing`, in any case. Classes
            are those to train with. What is neither is left out, and named with what is skipped.
        image_size: (height, width) in pixels, or one int for both; pictures are stretched to it.
        batch_size: pictures in a batch.
        validation_split: the share of each class that validates, in (0, 1), if `path` does not say.
        seed: determines the split, and the order and augmentation of each epoch.
        augment: "none", "light" or "strong", as for `Pictures`; of the training pictures alone.
        one_hot: whether labels come as (N, classes), as for `Pictures`.
        verbose: whether to say what was found, what was skipped, and what lies on two sides, on standard error.
        class_names: the classes that there are, in their order: folders called so are classes, whatever lies in them.
            None: those that have a sub-folder to train with.

    Raises:
        ValueError: as for `folder` and `Pictures.split`, or if nothing is to train with.
    """
    check_augment(augment, one_hot)
    layout = find_layout(path, class_names)
    sides = layout.sides or {"training": layout.root}
    if "training" not in sides:
        raise ValueError(
            f"{str(path)!r} holds {layout.found(path)}, but no train; to learn from one of them, pass its path."
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
            say(f"a leak: {len(leaks)} pictures lie on two sides of the split, so what is measured flatters:")
            for same in leaks:
                say(f"    {' = '.join(map(str, same))}")
    return found


def digits(image_size: Size = 16, batch_size: int = 32, one_hot: bool = False) -> Pictures:
    """Loads scikit-learn's 1797 handwritten digits, gray and 8x8, as RGB pictures of a size."""
    source = import_optional("sklearn.datasets").load_digits()
    gray = (source.images * (255 / 16)).round().astype("uint8")
    names = [str(name) for name in source.target_names]
    return Pictures(list(gray), source.target, names, image_size, batch_size, one_hot=one_hot)
