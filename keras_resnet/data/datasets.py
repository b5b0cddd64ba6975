"""Datasets of images and labels: a folder with a sub-folder per class, a table, their splits, scikit-learn's digits."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import keras
import numpy as np

from keras_resnet.data.check import Checked, Level
from keras_resnet.data.decode import Size
from keras_resnet.data.decode import read_picture as read_picture
from keras_resnet.data.layout import find_layout, side_of
from keras_resnet.data.pictures import Pictures as Pictures
from keras_resnet.data.pictures import check_augment
from keras_resnet.data.read import Reader
from keras_resnet.data.scan import Inventory, duplicates, scan, usable
from keras_resnet.data.tables import SUFFIXES, Columns, Rows, is_table, read_rows
from keras_resnet.models.description import Resize, Task
from keras_resnet.utils.errors import check_choice, enumerate_some, import_optional
from keras_resnet.utils.progress import say

_FOUND = Columns()  # by what is in them


class Splits(NamedTuple):
    """The training, validation and (if there is one) test set of a folder of images.

    Example:

        data = keras_resnet.data.splits("flowers", image_size=128, augment="light")
        data.training, data.validation, data.test  # the last is None
        print(data)  # 9 to train, 3 to validate

    Attributes:
        training: the training images, shuffled and augmented.
        validation: the validation images, in a fixed order.
        test: the test images, in a fixed order; None: there are none.
        leaks: the images that lie in two of the sets with the same pixels, each as the paths where the image lies.
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
        """Returns copies of the sets with other settings; these sets do not change.

        Args:
            **changes: as for `Pictures.with_`.
        """
        return self._replace(**{side: part.with_(**changes) for side, part in self.sides().items()})

    def for_model(self, model: keras.Model) -> "Splits":
        """Returns copies of the sets in the data format of a model.

        Args:
            model: as for `Pictures.for_model`.
        """
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
    *,
    resize: Resize = "stretch",
    channels: int = 3,
    value_range: tuple[float, float] | None = None,
    workers: int = 0,
    check: Level = "full",
    checked: str | os.PathLike[str] | None = None,
) -> Pictures:
    """Reads a folder of images that has one sub-folder per class.

    Example:

        images = keras_resnet.data.folder("flowers", image_size=32)
        training, validation = images.split(0.2, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    Every file is decoded once to see whether it can be used. Its content counts, not its suffix: BMP, GIF, JPEG, PNG,
    TIFF, WebP and NumPy files of any size and bit depth are read. Files that are damaged or not an image are skipped,
    and listed with the reason.

    Args:
        path: the folder, or a folder that holds only that one. The names of its sub-folders are the class names; images
            in deeper folders belong to the class above them. Hidden files (`.name`) and system folders (`__MACOSX`)
            are left out.
        image_size: (height, width) in pixels, or one int for both; images come to it by `resize`.
        batch_size: images in a batch.
        seed: determines the random order of each epoch; None keeps the alphabetical order.
        augment: "none", "light" or "strong", see `Pictures`.
        one_hot: whether labels are one-hot, (N, classes), instead of class indices, (N,); see `Pictures`.
        class_names: the names of the classes, in order. Folders of these names are classes, whatever lies in them.
            None: the names of the sub-folders, sorted.
        verbose: whether to show a progress bar, and the files found and skipped, on standard error.
        resize: how images come to their size: "stretch", "crop" or "pad"; see `Reader`, as for the next two.
        channels: of the images: 3 is RGB.
        value_range: (low, high) of images of floats, which become 0 and 255.
        workers: processes that read images, see `Pictures`.
        check: how much of each file is read beforehand: "full": all; "headers": its format and size; "none": nothing,
            so that a damaged image ends the training, and the sizes of a hundred images stand for all.
        checked: what an earlier check noted, so that files that have not changed are not read again: the folder of a
            run, or the file `.checked.csv.gz` in it.

    Raises:
        ValueError: if the folder does not exist, has fewer than two classes, has a class without an image that can be
            used, or if its sub-folders are, or may be, splits such as train and val (read these with `splits`).
    """
    check_augment(augment, one_hot)
    reader = Reader(image_size, resize, channels, value_range)
    layout = find_layout(path, class_names)
    if layout.sides:
        raise ValueError(
            f"{str(path)!r} holds {layout.found(path)}, which are the splits of a dataset, not classes. Read them with "
            "keras_resnet.data.splits, or pass the path of one of them."
        )
    found = _scan(layout.root, class_names, layout.left_out, verbose, check, Checked(reader, checked))
    return _pictures(found, reader, batch_size=batch_size, seed=seed, augment=augment, one_hot=one_hot, workers=workers)


def _scan(
    path: Path,
    class_names: Sequence[str] | None,
    left_out: Mapping[Path, str],
    verbose: bool,
    check: Level,
    checked: Checked,
) -> Inventory:
    """What a folder holds that has one sub-folder per class; says what was found and skipped."""
    found = scan(path, class_names, verbose, left_out, check, checked)
    if verbose:
        say(str(found))
        told = [name for name in found.class_names if class_names is None and side_of(name)]
        if told:
            say(f"note: these folders are read as classes, not as splits of a dataset: {enumerate_some(told)}")
    return found


def _pictures(found: Inventory, reader: Reader, **settings: Any) -> Pictures:
    """The images of a scan as a dataset."""
    return Pictures(
        found.files,
        found.labels,
        found.class_names,
        reader.image_size or 0,
        inventory=found,
        task=cast(Task, found.task),
        resize=cast(Resize, reader.resize),
        channels=reader.channels,
        value_range=reader.value_range,
        **settings,
    )


def table(
    path: str | Path,
    image_size: Size = 64,
    batch_size: int = 32,
    seed: int | None = None,
    augment: str = "none",
    one_hot: bool = False,
    class_names: Sequence[str] | None = None,
    verbose: bool = True,
    *,
    columns: Columns = _FOUND,
    task: Task | None = None,
    side: str | None = None,
    resize: Resize = "stretch",
    channels: int = 3,
    value_range: tuple[float, float] | None = None,
    workers: int = 0,
    check: Level = "full",
    checked: str | os.PathLike[str] | None = None,
) -> Pictures:
    """Reads a table with a row per image: its path, and a class, several labels, or numbers.

    Example:

        images = keras_resnet.data.table("labels.csv", image_size=128)
        columns = keras_resnet.data.Columns(label="tags", separator="|")
        images = keras_resnet.data.table("tags.csv", columns=columns)

    Images that are missing or damaged, rows without a label, and rows that contradict another of the same image are
    left out, and listed with the reason.

    Args:
        path: a file `.csv`, `.tsv` or `.parquet` (which needs pyarrow), with column names in its first line. CSV is
            encoded in UTF-8, and separated by commas, semicolons or tabs.
        image_size: as for `folder`, as are those up to `augment` and from `resize` on.
        batch_size: images in a batch.
        seed: determines the random order of each epoch; None keeps the order of the table.
        augment: "none", "light" or "strong", see `Pictures`.
        one_hot: whether classes are one-hot; see `Pictures`.
        class_names: the names of the classes or labels, in order; None: those in the table, sorted.
        verbose: whether to say which columns were taken, and what was found and skipped, on standard error.
        columns: which columns hold what, as far as they do not show it themselves.
        task: "classes": each image is of one class; "labels": each has any number of labels; "regression": numbers, for
            which `columns.targets` is needed. None: as the table shows: "labels" where a cell holds two labels or none
            (`columns.separator`), or a row of columns of 0 and 1 two 1s or none.
        side: "training", "validation" or "test", to read the rows of one side only; None: all.
        resize: how images come to their size.
        channels: of the images.
        value_range: of images of floats.
        workers: processes that read images.
        check: how much of each file is read beforehand.
        checked: what an earlier check noted.

    Raises:
        ValueError: if there is no such table, column or side, if the columns do not show what they hold, or if no row
            can be used.
    """
    check_augment(augment, one_hot or task in ("labels", "regression"))
    reader = Reader(image_size, resize, channels, value_range)
    settings = {"batch_size": batch_size, "augment": augment, "one_hot": one_hot, "workers": workers, "seed": seed}
    rows = read_rows(path, columns, task, class_names)
    return of_table(path, rows, reader, verbose, check, checked, side, **settings)[0]


def of_table(
    path: str | Path,
    rows: Rows,
    reader: Reader,
    verbose: bool = True,
    check: Level = "full",
    checked: str | os.PathLike[str] | None = None,
    side: str | None = None,
    **settings: Any,
) -> tuple[Pictures, tuple[str, ...] | None]:
    """Returns the images of a table, or of one side of it, and the side of each."""
    if side is not None and rows.sides is None:
        raise ValueError(
            f"`side` is for tables that say the sides, such as train and val, in a column; {str(path)!r} has none. "
            "Leave `side` out, or `Columns.split` must name the column."
        )
    if side is not None:
        check_choice("side", side, tuple(dict.fromkeys(rows.sides or ())))
    chosen = [place for place in range(len(rows.files)) if side is None or rows.sides[place] == side]  # type: ignore[index]
    known, skipped = Checked(reader, checked), dict(rows.skipped)
    used, looks = usable([rows.files[place] for place in chosen], check, known, skipped, verbose)
    places = [chosen[place] for place in used]
    if not places:
        raise ValueError(
            f"{str(path)!r} must hold a row of an image that can be used; "
            + (
                f"it holds {enumerate_some([f'{file}: {why}' for file, why in skipped.items()], 5)}."
                if skipped
                else "it has none."
            )
        )
    found = Inventory(
        Path(path),
        rows.names,
        tuple(rows.files[place] for place in places),
        tuple(rows.labels[place] for place in places),
        tuple(look.size for look in looks),
        tuple(look.pixels for look in looks),
        skipped,
        task=rows.task,
        checked=known,
    )
    if verbose:
        say("\n".join([f"{path}:", *(f"  {text}" for text in rows.taken)]))
        say(str(found))
    groups = None if rows.groups is None else [rows.groups[place] for place in places]
    sides = None if rows.sides is None else tuple(rows.sides[place] for place in places)
    if rows.task == "classes" and len(rows.names) < 2:
        names = enumerate_some([repr(name) for name in rows.names])
        raise ValueError(f"{str(path)!r} must hold two or more classes; it holds {names}.")
    return _pictures(found, reader, groups=groups, **settings), sides


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
    *,
    columns: Columns = _FOUND,
    task: Task | None = None,
    resize: Resize = "stretch",
    channels: int = 3,
    value_range: tuple[float, float] | None = None,
    workers: int = 0,
    check: Level = "full",
    checked: str | os.PathLike[str] | None = None,
) -> Splits:
    """Reads a folder or a table of images as a training, a validation and (if there is one) a test set.

    Example:

        training, validation, test, leaks = keras_resnet.data.splits("flowers", image_size=32, augment="light")
        model.fit(training, validation_data=validation, shuffle=False)

    If `path` holds the folders `train` and `val` (and `test`), they are the sets. Otherwise a share of each class is
    set aside for validation: of `train`, if there is no `val`, or of `path` itself. Longer names work too
    (`seg_train`, `TestSet`, `val2017`), and a folder that holds nothing but one other is entered. Folders that could be
    classes or splits, because they hold the same sub-folders and their names do not tell, raise an error. A table says
    the sets in a column of such words, if it has one.

    Args:
        path: a folder with one sub-folder of images per class, or with two or three of such folders, named `train`
            or `training`, `val`, `valid`, `validation`, `dev` or `eval`, and `test` or `testing`, in upper or lower
            case; or a table. The classes are those of the training set. Other files and folders are skipped, and
            listed.
        image_size: (height, width) in pixels, or one int for both; images come to it by `resize`.
        batch_size: images in a batch.
        validation_split: the share of each class for validation, in (0, 1), where `path` has no validation set.
        seed: determines the split, and the order and augmentation of each epoch.
        augment: "none", "light" or "strong", see `Pictures`; only training images are augmented.
        one_hot: whether labels are one-hot, (N, classes), instead of class indices, (N,); see `Pictures`.
        verbose: whether to list the files found and skipped, and the images in two sets, on standard error.
        class_names: the names of the classes, in order. Folders of these names are classes, whatever lies in them.
            None: the names of the sub-folders of the training set, sorted, or those in the table.
        columns: of a table, as for `table`.
        task: of a table, as for `table`; a folder is of "classes".
        resize: how images come to their size, as for `folder`, as are the next ones.
        channels: of the images.
        value_range: of images of floats.
        workers: processes that read images.
        check: how much of each file is read beforehand; but for "full" images that lie in two sets are not looked for.
        checked: what an earlier check noted.

    Raises:
        ValueError: as for `folder`, `table` and `Pictures.split`, or if `path` holds splits but none for training, or a
            group is in two of them.
    """
    parts = _sides(
        path,
        Reader(image_size, resize, channels, value_range),
        validation_split,
        {"seed": seed, "augment": augment},
        class_names,
        columns,
        task,
        verbose,
        check,
        checked,
        batch_size=batch_size,
        one_hot=one_hot,
        workers=workers,
    )
    leaks = []
    if check == "full":
        hashes = [part.hashes() for part in parts]
        leaks = [tuple(parts[side].pictures[index] for side, index in places) for places in duplicates(hashes)]
    found = Splits(parts[0], parts[1], parts[2] if len(parts) > 2 else None, leaks)
    if verbose:
        say(str(found))
        if check != "full":
            say(f"note: images that lie in two of the splits were not looked for (check={check!r})")
        if leaks:
            say(f"note: {len(leaks)} images lie in two of the splits, so the measured accuracy is too high:")
            for same in leaks:
                say(f"    {' = '.join(map(str, same))}")
    return found


def undivided(
    path: str | Path,
    image_size: Size = 64,
    batch_size: int = 32,
    augment: str = "none",
    one_hot: bool = False,
    *,
    columns: Columns = _FOUND,
    task: Task | None = None,
    resize: Resize = "stretch",
    channels: int = 3,
    value_range: tuple[float, float] | None = None,
    workers: int = 0,
    check: Level = "full",
    checked: str | os.PathLike[str] | None = None,
) -> tuple[Pictures, Pictures | None]:
    """Reads what `splits` reads, for folds: all images that train or validate, and the test set, if there is one.

    Raises:
        ValueError: as for `splits`, or if there is a validation set.
    """
    parts = _sides(
        path,
        Reader(image_size, resize, channels, value_range),
        None,
        {"augment": augment},
        None,
        columns,
        task,
        True,
        check,
        checked,
        batch_size=batch_size,
        one_hot=one_hot,
        workers=workers,
    )
    return parts[0], parts[1] if len(parts) > 1 else None


def _sides(
    path: str | Path,
    reader: Reader,
    validation_split: float | None,
    learns: Mapping[str, Any],
    class_names: Sequence[str] | None,
    columns: Columns,
    task: Task | None,
    verbose: bool,
    check: Level,
    checked: str | os.PathLike[str] | None,
    **settings: Any,
) -> list[Pictures]:
    """The training, validation and maybe test set; without `validation_split` there is none for validation."""
    from_table = is_table(path)
    check_augment(learns["augment"], settings["one_hot"] or task in ("labels", "regression"))
    if from_table:
        rows = read_rows(path, columns, task, class_names)
        if validation_split is None and "validation" in (rows.sides or ()):
            raise _divided(path)
        whole, sides = of_table(path, rows, reader, verbose, check, checked, **settings)
        return _sides_of_table(path, whole, sides, validation_split, learns)
    if columns != _FOUND or task not in (None, "classes"):
        raise ValueError(
            f"`columns` and `task` are for tables, {', '.join(SUFFIXES)}; {str(path)!r} is "
            f"{'a folder' if os.path.isdir(path) else 'none'}."
        )
    return _sides_of_folder(path, class_names, reader, verbose, check, checked, validation_split, settings, learns)


def _divided(path: str | Path) -> ValueError:
    """The error for folds of what has a validation set."""
    return ValueError(
        f"With `folds` every image validates once, and {str(path)!r} has images for validation already; make them "
        "training images, or leave the folds out."
    )


def _sides_of_folder(
    path: str | Path,
    class_names: Sequence[str] | None,
    reader: Reader,
    verbose: bool,
    check: Level,
    checked: str | os.PathLike[str] | None,
    validation_split: float | None,
    settings: Mapping[str, Any],
    learns: Mapping[str, Any],
) -> list[Pictures]:
    """The training, validation and maybe test set of a folder."""
    layout = find_layout(path, class_names)
    sides = layout.sides or {"training": layout.root}
    if "training" not in sides:
        raise ValueError(
            f"{str(path)!r} holds {layout.found(path)}, but no folder for training, such as train. Add one, or pass "
            "the path of one of these to train with it."
        )
    if validation_split is None and "validation" in sides:
        raise _divided(path)
    if verbose and layout.sides:
        say(f"{path}: {', '.join(f'{side} in {os.path.relpath(sides[side], path)}' for side in sides)}")
    known = Checked(reader, checked)

    def read(side: str, names: Sequence[str] | None, **more: Any) -> Pictures:
        left_out = layout.left_out if side == "training" else {}
        return _pictures(_scan(sides[side], names, left_out, verbose, check, known), reader, **settings, **more)

    if "validation" in sides:
        training = read("training", class_names, **learns)
        parts = [training, read("validation", training.class_names)]
    else:
        parts = _parts(read("training", class_names), validation_split, learns)
    if "test" in sides:
        parts.append(read("test", parts[0].class_names))
    return parts


def _sides_of_table(
    path: str | Path,
    whole: Pictures,
    sides: tuple[str, ...] | None,
    validation_split: float | None,
    learns: Mapping[str, Any],
) -> list[Pictures]:
    """The training, validation and maybe test set of a table."""
    if sides is None:
        return _parts(whole, validation_split, learns)
    places = {
        side: [place for place, its in enumerate(sides) if its == side] for side in ("training", "validation", "test")
    }
    if not places["training"]:
        raise ValueError(
            f"{str(path)!r} must have rows for training, such as train, in its column of sides; it has none."
        )
    if whole.groups:
        of_side = {side: {whole.groups[place] for place in found} for side, found in places.items()}
        twice = sorted(group for group in set(whole.groups) if sum(group in groups for groups in of_side.values()) > 1)
        if twice:
            names = enumerate_some([repr(group) for group in twice])
            raise ValueError(
                f"A group must be on one side; {names} of {str(path)!r} are on two. Mend the column of sides, or leave "
                "the groups out."
            )
    if whole.task != "regression":
        kind = "class" if whole.task == "classes" else "label"
        classes = np.arange(len(whole.class_names))
        held = whole.labels[:, np.newaxis] == classes if kind == "class" else whole.labels > 0
        missing = np.logical_and(~held[places["training"]].any(0), np.logical_or(held.any(0), kind == "class"))
        if lacking := [whole.class_names[place] for place in np.flatnonzero(missing)]:
            raise ValueError(
                f"Every {kind} must have images for training; {enumerate_some([repr(name) for name in lacking])} of "
                f"{str(path)!r} have none."
            )
    training = whole.part(places["training"])
    if places["validation"]:
        parts = [training.with_(**learns), whole.part(places["validation"])]
    else:
        parts = _parts(training, validation_split, learns)
    return [*parts, *([whole.part(places["test"])] if places["test"] else [])]


def _parts(images: Pictures, validation_split: float | None, learns: Mapping[str, Any]) -> list[Pictures]:
    """The images, in two parts where some are to validate."""
    return [images.with_(**learns)] if validation_split is None else list(images.split(validation_split, **learns))


def digits(image_size: Size = 16, batch_size: int = 32, one_hot: bool = False) -> Pictures:
    """Loads scikit-learn's 1797 handwritten digits, 8x8 and gray, as RGB images; needs no download.

    Example:

        training, validation = keras_resnet.data.digits(image_size=32).split(0.2)

    Args:
        image_size: (height, width) in pixels, or one int for both.
        batch_size: images in a batch.
        one_hot: whether labels are one-hot, (N, 10), instead of the digits, (N,).

    Returns:
        A `Pictures` in a fixed order, not augmented.

    Raises:
        ImportError: if scikit-learn is not installed.
    """
    source = import_optional("sklearn.datasets").load_digits()
    gray = (source.images * (255 / 16)).round().astype("uint8")
    names = [str(name) for name in source.target_names]
    return Pictures(list(gray), source.target, names, image_size, batch_size, one_hot=one_hot)
