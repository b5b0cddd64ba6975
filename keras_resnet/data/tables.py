"""Labels in a table: reads CSV, TSV and Parquet, finds the columns, and makes one entry of the rows of each image."""

import codecs
import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from keras_resnet.data.decode import seems_picture
from keras_resnet.data.layout import side_of
from keras_resnet.utils.errors import check_choice, choice_error, enumerate_some, import_optional, near_path

SUFFIXES = (".csv", ".tsv", ".parquet")

_DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}
_LONGEST = 131_072  # characters of a cell
_LINES = 20  # by which the delimiter is found
_SAMPLE = 200  # rows by which the column of paths is found
_LABELS = ("label", "labels", "class", "classes", "category", "categories", "tag", "tags")  # usual names
_SEPARATORS = "|;,"
_TWICE = "several rows alike; one is used"
_MOST_CLASSES = 25_000  # ImageNet has 21,843
_NEITHER = 2
_BITS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1, "": _NEITHER, "nan": _NEITHER}  # as pandas writes
_LARGEST = 3.4028234e38  # of float32


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what, as far as it is told; the others are found by what is in them.

    Example:

        columns = keras_resnet.data.Columns(label="tags", separator="|", group="patient")
        images = keras_resnet.data.table("tags.csv", columns=columns)

    Attributes:
        path: the paths of the images.
        label: a class, or several labels.
        targets: numbers to predict.
        separator: what stands between several labels in a cell, such as "|".
        split: the sides: train, val or test.
        group: groups, such as a patient, that are never on two sides of a split.
        images: the folder that paths begin in; None: that of the table.
    """

    path: str | None = None
    label: str | None = None
    targets: tuple[str, ...] = ()
    separator: str | None = None
    split: str | None = None
    group: str | None = None
    images: Path | None = None


@dataclass
class Rows:
    """The images of a table, one entry for each file.

    Attributes:
        files: the images.
        labels: for each the index of its class, 0 or 1 for each label, or its numbers.
        names: of the classes, labels or numbers.
        task: "classes", "labels" or "regression".
        sides: for each "training", "validation" or "test", if the table says it.
        groups: for each its group, if they were asked for.
        skipped: files and rows that are not used, with the reason.
        taken: what was found out about the columns, each a sentence.
    """

    files: list[Path]
    labels: list[Any]
    names: tuple[str, ...]
    task: str
    sides: list[str] | None = None
    groups: list[str] | None = None
    skipped: dict[Path, str] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)


def is_table(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is that of a table, by its suffix."""
    return Path(path).suffix.lower() in SUFFIXES and not os.path.isdir(path)


def read_rows(
    path: str | os.PathLike[str],
    columns: Columns,
    task: str | None = None,
    names: Sequence[str] | None = None,
) -> Rows:
    """Reads the rows of a table.

    Args:
        path: a file `.csv`, `.tsv` or `.parquet`, with a first row of column names.
        columns: which columns hold what, as far as it is told.
        task: "classes", "labels" or "regression"; None: as the rows show.
        names: the names of the classes or labels, in order; None: those in the table, sorted.

    Raises:
        ValueError: if there is no such table or column, if the columns don't tell what they hold, or no row is left.
    """
    table = _read(Path(path), columns)
    if columns.targets and task not in (None, "regression"):
        raise ValueError(f"`Columns.targets` are for task='regression'; received task={task!r}.")
    if task == "regression" and not columns.targets:
        raise ValueError(
            f"`Columns.targets` must name the columns of the numbers with task='regression'; {str(path)!r} has "
            f"{enumerate_some(list(table), 20)}."
        )
    folder = _folder(path, columns)
    for each in ("path", "label", "split", "group"):
        _check_column(each, getattr(columns, each), table, path)
    for name in columns.targets:
        _check_column("targets", name, table, path)
    for each in ("label", "separator"):
        if columns.targets and getattr(columns, each) is not None:
            raise ValueError(f"`Columns.{each}` and `Columns.targets` exclude each other: pass one of them.")
    named = [columns.path, columns.label, columns.split, columns.group, *columns.targets]
    if twice := [name for name, count in Counter(named).items() if count > 1 and name is not None]:
        raise ValueError(
            f"`columns` must name each column for one purpose; {_columns(twice)} of {str(path)!r} has two."
        )
    if columns.separator == "":
        raise ValueError("`Columns.separator` must be what stands between labels, such as '|'; received nothing.")
    rest = [name for name in table if name not in (columns.label, columns.split, columns.group, *columns.targets)]
    where = _find_paths(table, rest, folder, path) if columns.path is None else columns.path
    rest = [name for name in rest if name != where]
    taken = [f"images: column {where!r}, below {folder}"]
    split = _find_split(table, rest, path) if columns.split is None else columns.split
    if split is not None:
        rest = [name for name in rest if name != split]
        taken.append(f"sides: column {split!r}")
    rows = Rows([], [], (), task or "classes", taken=taken)
    if columns.targets:
        rows.task, rows.names = "regression", columns.targets
        parse = _numbers(table, columns.targets)
        taken.append(f"numbers: {_columns(columns.targets)}")
    else:
        parse = _labels(table, columns, rest, task, names, rows, path)
    if columns.group is not None:
        taken.append(f"groups: column {columns.group!r}")
    sides, groups = (None if name is None else table[name] for name in (split, columns.group))
    _fill(rows, table[where], parse, sides, groups, folder, path)
    return rows


def read_paths(path: str | os.PathLike[str], columns: Columns) -> list[Path]:
    """Reads only the paths of the images in a table, each once, in their order.

    Raises:
        ValueError: if there is no such table or column.
    """
    table = _read(Path(path), columns)
    folder = _folder(path, columns)
    _check_column("path", columns.path, table, path)
    cells = table[_find_paths(table, list(table), folder, path) if columns.path is None else columns.path]
    files = (_file(folder, cell) for cell in dict.fromkeys(cells) if cell.strip())
    found: dict[str, str] = {}
    for file in files:
        found.setdefault(os.path.abspath(file), file)
    _check_there(found, folder, path)
    return list(map(Path, found.values()))


def _folder(path: str | os.PathLike[str], columns: Columns) -> Path:
    """The folder that the paths in a table begin in."""
    if columns.images is None:
        return Path(path).parent
    folder = Path(columns.images)
    if not folder.is_dir():
        raise ValueError(f"`Columns.images` must be a folder; there is no folder {str(folder)!r}.{near_path(folder)}")
    return folder


def _check_there(files: Collection[str], folder: Path, path: str | os.PathLike[str]) -> None:
    """Raises for a table none of whose images is there."""
    if files and not any(map(os.path.isfile, files)):
        raise ValueError(
            f"{os.fspath(path)!r} must hold a row of an image that can be used; there is no such file as "
            f"{next(iter(files))!r}, nor is any of its {len(files)} images there. If the paths begin in another folder "
            f"than {str(folder)!r}, `Columns.images` must be it."
        )


def _read(path: Path, columns: Columns) -> dict[str, list[str]]:
    """The cells of each column, as text."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"`path` must be a table, {', '.join(SUFFIXES)}; received {str(path)!r}.")
    if not path.is_file():
        raise ValueError(f"`path` must be a table; there is no file {str(path)!r}.{near_path(path)}")
    if suffix == ".parquet":
        return _read_parquet(path, columns)
    known: dict[str, str] = {}  # cells repeat
    try:
        csv.field_size_limit(_LONGEST)
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.read(_LONGEST)
            file.seek(0)
            if told := re.match(r"sep=(.)\r?\n", sample):  # for Excel
                file.readline()
            delimiter = told[1] if told else _delimiter(sample, _DELIMITERS[suffix])
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(lines, [])]
            _check_names(names, path)
            cells: list[list[str]] = [[] for _ in names]
            appends = [column.append for column in cells]
            for row in lines:
                if len(row) != len(names):
                    if not any(row):
                        continue
                    raise ValueError(
                        f"{str(path)!r}: line {lines.line_num} has {len(row)} cells, and the first line {len(names)}."
                    )
                for append, cell in zip(appends, row, strict=True):
                    append(known.setdefault(cell, cell))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(path)!r} must be encoded in UTF-8; line {_undecodable(path)} is not. Save it as CSV UTF-8."
        ) from error
    except csv.Error as error:
        raise ValueError(f"{str(path)!r} can't be read as a table: line {lines.line_num}: {error}.") from error
    return dict(zip(names, cells, strict=True))


def _undecodable(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        while part := file.read(_LONGEST):
            try:
                line += decoder.decode(part).count("\n")
            except UnicodeDecodeError as error:
                return line + error.object[: error.start].count(b"\n")
    return line  # it ends within a character


def _delimiter(sample: str, candidates: str) -> str:
    """The delimiter that parts the first lines into as many cells as the very first, and into most."""

    def merit(delimiter: str) -> tuple[bool, float, int]:
        try:
            rows = csv.reader(sample.splitlines(True)[:_LINES], delimiter=delimiter)
            first, *others = [len(row) for row in rows if row] or [0]
        except csv.Error:
            first, others = 0, []
        return first > 1, others.count(first) / max(1, len(others)), first

    return max(candidates, key=merit)


def _read_parquet(path: Path, columns: Columns) -> dict[str, list[str]]:
    """The cells of the columns that hold no lists; numbers as Python writes them, nulls as nothing."""
    parquet, types = (import_optional(f"pyarrow.{name}", "tables") for name in ("parquet", "types"))
    known: dict[Any, str] = {None: ""}

    def text(value: Any) -> str:
        if value not in known:
            if isinstance(value, bytes):
                known[value] = value.decode("utf-8", "backslashreplace")
            elif value != value:  # NaN, which pandas writes for what is missing
                return ""
            else:
                whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
                known[value] = str(int(value) if whole else value)
        return known[value]

    def broken(error: Exception) -> ValueError:
        return ValueError(f"{str(path)!r} can't be read as Parquet: {' '.join(str(error).split())}.")

    try:  # pyarrow's own errors for what is no Parquet file
        file = parquet.ParquetFile(path)
    except Exception as error:
        raise broken(error) from error
    with file:
        names, kinds = file.schema_arrow.names, file.schema_arrow.types
        _check_names(names, path)
        nested = [name for name, kind in zip(names, kinds, strict=True) if types.is_nested(kind)]
        cells: dict[str, list[str]] = {name: [] for name in names if name not in nested}
        asked = {columns.path, columns.label, columns.split, columns.group, *columns.targets, *_LABELS}
        if lists := [name for name in nested if name in asked or len(cells) < 2]:
            raise ValueError(
                f"{_columns(lists)} of {str(path)!r} holds lists; write several labels as text, such as 'a|b'."
            )
        try:
            for batch in file.iter_batches(columns=list(cells)):
                for name, column in cells.items():
                    column += map(text, batch.column(name).to_pylist())
        except Exception as error:
            raise broken(error) from error
    return cells


def _check_names(names: Sequence[str], path: Path) -> None:
    """Raises for a table without a first row of names that differ."""
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise ValueError(f"{str(path)!r} must have one column of each name; {enumerate_some(twice)} are there twice.")
    if len(names) < 2:
        raise ValueError(
            f"{str(path)!r} must have a first line of column names, and a column of paths and one of labels; its first "
            f"line is {enumerate_some(list(names))!r:.99}."
        )


def _check_column(field: str, name: str | None, table: Collection[str], path: str | os.PathLike[str]) -> None:
    """Raises for a column that is not there."""
    if name is not None:
        check_choice(f"Columns.{field}", name, tuple(table), f" These are the columns of {os.fspath(path)!r}.")


def _columns(names: Sequence[str]) -> str:
    """Some columns, by name."""
    return f"column{'s' if len(names) > 1 else ''} {enumerate_some([repr(name) for name in names])}"


def _file(folder: Path, cell: str) -> str:
    """The path that a cell means; backslashes of Windows are separators, where no file has them in its name."""
    found = os.path.normpath(os.path.join(folder, cell.strip()))
    if "\\" in cell and not os.path.lexists(found):
        return os.path.normpath(os.path.join(folder, cell.strip().replace("\\", "/")))
    return found


def _find_paths(
    table: dict[str, list[str]], candidates: Sequence[str], folder: Path, path: str | os.PathLike[str]
) -> str:
    """The column whose cells are files, or seem to be."""

    def share(name: str, test: Callable[[str], bool]) -> float:
        cells = [cell for cell in table[name][:: max(1, len(table[name]) // _SAMPLE)] if cell.strip()]
        return sum(map(test, cells)) / len(cells) if cells else 0.0

    there = {name: share(name, lambda cell: os.path.isfile(_file(folder, cell))) for name in candidates}
    best = max(there.values(), default=0.0)
    found = [name for name in candidates if there[name] == best] if best else []
    if not found:
        found = [name for name in candidates if share(name, seems_picture) > 0.5]
    if len(found) != 1:
        held = f"{_columns(found)} may be" if found else "none of its columns holds"
        raise ValueError(
            f"`Columns.path` must name the column of {str(path)!r} with the paths of the images, relative to "
            f"{str(folder)!r}: {held} paths of files. Its columns: {enumerate_some(list(table), 20)}. If "
            "the paths begin in another folder, `Columns.images` must be it."
        )
    return found[0]


def _find_split(table: dict[str, list[str]], candidates: Sequence[str], path: str | os.PathLike[str]) -> str | None:
    """The column whose cells are all sides of a split, if there is one."""
    words = {name: set(table[name]) for name in candidates if len(table[name]) > 1}
    found = [name for name in words if len(words[name]) <= 12 and all(map(side_of, words[name]))]
    if len(found) > 1:
        raise ValueError(
            f"`Columns.split` must name the column of sides of {str(path)!r}, as {_columns(found)} may be it."
        )
    return found[0] if found else None


def _is_binary(cells: Iterable[str]) -> bool:
    """Whether all cells are 0 or 1, but for empty ones."""
    bits = set(map(_bit, set(cells)))
    return None not in bits and bits != {_NEITHER}


def _bit(cell: str) -> int | None:
    """0, 1 or, of an empty cell, `_NEITHER`; None for another one."""
    return _BITS.get(cell.strip().lower())


def _labels(
    table: dict[str, list[str]],
    columns: Columns,
    rest: Sequence[str],
    task: str | None,
    names: Sequence[str] | None,
    rows: Rows,
    path: str | os.PathLike[str],
) -> Callable[[int], Any]:
    """Finds the labels; returns what gives those of a row: what a label is, None for none, or a reason."""
    binary = [name for name in rest if _is_binary(table[name])]
    label = columns.label
    if label is None and names and set(names) <= set(table):
        binary = list(names)
    elif label is None and not columns.separator and len(binary) > 1 and not set(rest) & set(_LABELS):
        pass
    else:
        label = label or _find_label(table, rest, columns.separator, path)
        binary = []
    if binary:
        return _binary(table, binary, task, rows)
    cells = table[str(label)]
    rows.taken.append(f"labels: column {label!r}")
    split: Callable[[str], list[str]]
    if columns.separator:

        def split(cell: str) -> list[str]:
            return [each.strip() for each in cell.split(columns.separator) if each.strip()]
    else:

        def split(cell: str) -> list[str]:
            return [cell.strip()] if cell.strip() else []

    kinds = {cell: split(cell) for cell in set(cells)}
    told = sorted({word for words in kinds.values() for word in words})
    _check_few(told, cells, str(label), path)
    if names is not None:
        for word in told:
            if word not in names:
                several = any(name in word for name in names if name) and not columns.separator
                hint = (
                    " If the cells hold several labels, `Columns.separator` must say what is between."
                    if several
                    else ""
                )
                place = f"It stands in column {label!r} of {os.fspath(path)!r}."
                raise choice_error("label", word, tuple(names), f"{hint} {place}")
    rows.names = tuple(told if names is None else names)
    index = {word: place for place, word in enumerate(rows.names)}
    several = columns.separator is not None and any(len(words) != 1 for words in kinds.values())
    rows.task = task or ("labels" if several else "classes")
    if rows.task == "classes":
        many = [cell for cell, words in kinds.items() if len(set(words)) > 1]
        if many:
            raise ValueError(f"`task='classes'` needs one class per image; {str(path)!r} has the cell {many[0]!r}.")
        if not columns.separator and (parted := _seems_parted(told)):
            rows.taken.append(f"{parted!r} is one class, since no separator was passed")
        values: dict[str, Any] = {cell: index[words[0]] if words else None for cell, words in kinds.items()}
    else:
        if not columns.separator:
            rows.taken.append("each cell is one label, since no separator was passed")
        values = {
            cell: tuple(int(word in words) for word in rows.names) if words or columns.separator else None
            for cell, words in kinds.items()
        }
    return lambda row: values[cells[row]]


def _find_label(
    table: dict[str, list[str]], rest: Sequence[str], separator: str | None, path: str | os.PathLike[str]
) -> str:
    """The column of labels: the only one, that of a usual name, or the only one whose cells are a few words."""

    def few(name: str) -> bool:
        words = set(table[name])
        return 1 < len(words) <= max(2, len(table[name]) // 2)

    usual = [name for name in rest if name.lower() in _LABELS]
    parted = [name for name in rest if separator and any(separator in cell for cell in set(table[name]))]
    for found in (rest, usual, parted, [name for name in rest if few(name)]):
        if len(found) == 1:
            return found[0]
    raise ValueError(
        f"`Columns.label` must name the column of {str(path)!r} with the labels, since its columns do not tell: "
        f"{enumerate_some(list(rest), 20) or 'there is none beside that of the paths'}."
    )


def _seems_parted(classes: Sequence[str]) -> str | None:
    """A class that is several others, with a usual separator between them."""
    known = set(classes)
    for mark in _SEPARATORS:
        for name in classes:
            if mark in name and known.issuperset(part.strip() for part in name.split(mark)):
                return name
    return None


def _check_few(words: Sequence[str], cells: Sequence[str], label: str, path: str | os.PathLike[str]) -> None:
    """Raises for labels that are numbers, or as many as there are rows."""

    def is_fraction(word: str) -> bool:
        try:
            return not float(word).is_integer()
        except (ValueError, OverflowError):
            return False

    fractions = sum(map(is_fraction, words))
    if len(words) > _MOST_CLASSES or (len(words) > 1 and 2 * fractions > len(words)):
        raise ValueError(
            f"`Columns.label` {label!r} of {str(path)!r} holds {len(words)} different values, such as "
            f"{enumerate_some([repr(word) for word in words], 3)}, which are no classes. Pass another "
            "column; to predict numbers, `Columns.targets` must name theirs."
        )


def _binary(table: dict[str, list[str]], names: Sequence[str], task: str | None, rows: Rows) -> Callable[[int], Any]:
    """Labels of columns of 0 and 1."""
    for name in names:
        if not _is_binary(table[name]):
            bad = next((cell for cell in table[name] if _bit(cell) is None), "")
            raise ValueError(f"column {name!r} must hold 0 or 1 for each image; it holds {bad!r}.")
    known = {cell: _bit(cell) or 0 for name in names for cell in set(table[name])}
    columns = [bytes(map(known.__getitem__, table[name])) for name in names]
    single = all(sum(row) == 1 for row in set(zip(*columns, strict=True)) if _NEITHER not in row)
    rows.names = tuple(names)
    rows.task = task or ("classes" if single else "labels")
    what = "each row has exactly one 1, so they are classes" if rows.task == "classes" else "several labels an image"
    rows.taken.append(f"labels: {_columns(names)} of 0 and 1; {what}")
    if rows.task == "classes" and not single:
        raise ValueError("`task='classes'` needs one 1 in each row; some rows have none or several.")

    def parse(row: int) -> Any:
        bits = tuple(column[row] for column in columns)
        if _NEITHER in bits:
            return None
        return bits if rows.task == "labels" else bits.index(1)

    return parse


def _numbers(table: dict[str, list[str]], names: Sequence[str]) -> Callable[[int], Any]:
    """The numbers of each row; None where one is missing, a reason where one is none."""
    columns = [table[name] for name in names]

    def parse(row: int) -> Any:
        cells = [column[row].strip() for column in columns]
        if not all(cells):
            return None
        try:
            found = tuple(float(cell) for cell in cells)
        except ValueError:
            comma = any(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in cells)
            return f"no number: {enumerate_some(cells, 3):.60}{'; decimals need a point' if comma else ''}"
        if any(isfinite(number) and abs(number) > _LARGEST for number in found):
            return f"a number beyond those of 32 bits: {enumerate_some(cells, 3):.60}"
        return found if all(map(isfinite, found)) else None

    return parse


def _fill(
    rows: Rows,
    cells: Sequence[str],
    parse: Callable[[int], Any],
    splits: Sequence[str] | None,
    groups: Sequence[str] | None,
    folder: Path,
    path: str | os.PathLike[str],
) -> None:
    """Fills the rows: one entry a file; notes what is missing, doubled, contradictory or empty."""
    sides = {word: side_of(word) for word in set(splits or ())}
    if unknown := [word for word, side in sides.items() if side is None]:
        raise ValueError(
            f"`Columns.split` must say train, val or test in each row; it says "
            f"{enumerate_some(sorted(map(repr, unknown)))}."
        )
    files: dict[str, str] = {}
    spelt: dict[str, str] = {}  # where that is not the absolute path, by which files are told apart
    seen: dict[str, tuple[Any, ...]] = {}
    problems: dict[str, str] = {}
    for row, cell in enumerate(cells):
        file = files.get(cell)
        if file is None:
            file = _file(folder, cell) if cell.strip() else ""
            if file and not os.path.isabs(file):
                file, short = os.path.abspath(file), file
                spelt.setdefault(file, short)
            files[cell] = file
        if not file:
            problems.setdefault(f"{os.fspath(path)} row {row + 2}", "no path")
            continue
        value = parse(row)
        entry = (value, sides[splits[row]] if splits else None, groups[row].strip() if groups else None)
        before = seen.setdefault(file, entry)
        if before is entry:
            continue
        if before != entry:
            differ = [what for what, a, b in zip(("label", "side", "group"), before, entry, strict=True) if a != b]
            problems[file] = f"rows with another {' and '.join(differ)} each; none is used"
        elif file not in problems:
            problems[file] = _TWICE
    _check_there(seen, folder, path)
    rows.sides, rows.groups = ([] if splits else None), ([] if groups else None)
    for file, (value, side, group) in seen.items():
        reason = problems.get(file, "")
        if not os.path.isfile(file):
            reason = "there is no such file"
        elif reason in ("", _TWICE) and value is None:
            reason = "no label" if rows.task != "regression" else "no number"
        elif reason in ("", _TWICE) and isinstance(value, str):
            reason = value
        elif reason in ("", _TWICE) and groups and not group:
            reason = "no group"
        if reason:
            rows.skipped[Path(spelt.get(file, file))] = reason
        if reason not in ("", _TWICE):
            continue
        rows.files.append(Path(spelt.get(file, file)))
        rows.labels.append(value)
        if rows.sides is not None:
            rows.sides.append(str(side))
        if rows.groups is not None:
            rows.groups.append(str(group))
    rows.skipped |= {Path(place): why for place, why in problems.items() if why == "no path"}
