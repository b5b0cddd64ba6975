"""The layout of a folder of images: where its classes lie, which folders are sides of a split, what is neither."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from keras_resnet.data.decode import seems_picture
from keras_resnet.data.scan import IN_NO_CLASS, SYSTEM, folders, hidden, walk
from keras_resnet.utils.errors import enumerate_some

_SIDES = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_ORDER = tuple(dict.fromkeys(_SIDES.values()))
_FILLERS = ("set", "data", "dataset", "split", "folder", "images", "imgs", "pictures", "photos")  # behind a side's name
_IF_CLASSES = "If they are classes, pass their names as class_names=[...] to keras_resnet.data.folder or .splits"
_OR_FLATTEN = f"{_IF_CLASSES}, or move their images out of the sub-folders."


@dataclass(frozen=True)
class Layout:
    """Where the images of a folder lie.

    Attributes:
        root: the folder that has one sub-folder per class, if it is not split.
        sides: of "training", "validation" and "test" those that there are; each is a folder as `root`.
        left_out: what lies beside these and is neither a class nor a side, with the reason.
    """

    root: Path
    sides: dict[str, Path] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)

    def to_measure(self) -> Path:
        """Returns the folder of the images to test with, else to validate with, else of all."""
        return next((self.sides[side] for side in ("test", "validation", "training") if side in self.sides), self.root)

    def found(self, path: str | os.PathLike[str]) -> str:
        """Returns the sides as they are called below the folder that was asked for."""
        return ", ".join(os.path.relpath(side, path) for side in self.sides.values())


@dataclass(frozen=True, eq=False)
class _Entry:
    """A folder in the folder: whether images lie in it, and which folders with images, inside its wrappers."""

    folder: Path
    flat: bool
    chain: tuple[Path, ...]  # the folder, and below it each that alone holds all; the last one has the names
    names: frozenset[str]

    @property
    def full(self) -> bool:
        return self.flat or bool(self.names)

    @property
    def sorted_in_folders(self) -> bool:
        """Whether there are folders that may be of classes: in `test/test/1.jpg` there are none."""
        return bool(folders(self.folder)) and self.names != {self.folder.name.casefold()}


def find_layout(path: str | os.PathLike[str], class_names: Collection[str] | None = None) -> Layout:
    """Finds out what the folders in a folder are, without decoding images.

    Folders that hold no images themselves but folders, and mostly the same ones in each, are sides of a split, and so
    are those whose names say it (`train`, `seg_test`, `ValSet`). A folder that alone holds all is looked into.

    Args:
        path: the folder.
        class_names: the classes that there are, if that is known: folders called so are classes.

    Raises:
        ValueError: if folders may be classes as well as sides, if names do not tell which side is which or there are
            two for one, or if a side has no folders of classes in it.
    """
    root = Path(path)
    found = folders(root)
    if class_names is not None and found and all(folder.name in class_names for folder in found):
        return Layout(root)
    entries = [_look(folder) for folder in found]
    full = [entry for entry in entries if entry.full]
    alike = _alike(full)
    told = {entry: side for entry in entries if (side := side_of(entry.folder.name, loose=entry in alike))}
    unknown = [entry for entry in alike if entry not in told]
    if unknown:
        raise ValueError(
            f"{str(root)!r} holds {_names(alike)}, with the same folders in them ({_inner(alike)}): they seem to be "
            f"the splits of a dataset, but their names do not say which is for training, validation and test. "
            f"{_ways(alike)} {_OR_FLATTEN}"
        )
    labelled = [entry for entry in told if entry.sorted_in_folders]
    exact = [entry for entry in told if entry.folder.name.lower() in _SIDES]
    if labelled and len(told) > 1 and (len(set(told.values())) > 1 or alike or exact):
        return _split(root, entries, told)
    if not labelled and len(set(told.values())) > 1 and len(told) == len(full):
        raise ValueError(
            f"{str(root)!r} holds {_names(told)}, which are the splits of a dataset, not classes, but have no folder "
            f"per class in them. Sort their images into one folder per class. {_IF_CLASSES}."
        )
    _check_neighbours(root, full, labelled)
    beside = [entry for entry in entries if entry not in full]
    if len(full) == 1 and len(full[0].names) > 1 and not full[0].flat and all(map(_any_file, beside)):
        (wrapper,) = full
        inner = find_layout(wrapper.folder, class_names)
        sides = {told[wrapper]: inner.root} if wrapper in told and not inner.sides else inner.sides
        return replace(inner, sides=sides, left_out=_rest(root, entries, {wrapper.folder}) | inner.left_out)
    return Layout(root)


def _look(folder: Path) -> _Entry:
    """What lies in a folder."""
    flat = _has_pictures(folder)
    chain, seen = [folder], {os.path.realpath(folder)}
    while True:
        inner = [
            each for each in _folders(chain[-1]) if any(seems_picture(file) for file, out in walk(each) if not out)
        ]
        if len(inner) != 1 or _has_pictures(inner[0]) or os.path.realpath(inner[0]) in seen:
            break
        chain.append(inner[0])
        seen.add(os.path.realpath(inner[0]))
    return _Entry(folder, flat, tuple(chain), frozenset(each.name.casefold() for each in inner))


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder; none in one that can't be read."""
    try:
        return folders(folder)
    except OSError:
        return []


def _has_pictures(folder: Path) -> bool:
    """Whether images lie in a folder itself."""
    try:
        return any(seems_picture(entry) for entry in folder.iterdir() if not hidden(entry) and entry.is_file())
    except OSError:
        return False


def _any_file(entry: _Entry) -> bool:
    """Whether any file lies in a folder, at any depth."""
    return any(not out for _, out in walk(entry.folder))


def _alike(entries: Sequence[_Entry]) -> list[_Entry]:
    """The folders that hold mostly the same ones as another, if they are half of those without images or more."""
    holders: dict[str, list[_Entry]] = {}
    for entry in entries:
        for name in entry.names:
            holders.setdefault(name, []).append(entry)
    found = [
        entry
        for entry in entries
        if any(
            2 * len(entry.names & other.names) > min(len(entry.names), len(other.names))
            for name in entry.names
            for other in holders[name]
            if other is not entry and not (entry.flat and other.flat)  # both may well be classes with albums
        )
    ]
    several = len({name for entry in found for name in entry.names}) > 1  # cat/images and dog/images are classes
    return found if several and 2 * len(found) >= sum(not entry.flat for entry in entries) else []


def side_of(name: str, loose: bool = False) -> str | None:
    """The side that a folder's name tells: by its last word (`seg_train`, `TestSet`, `val2017`), or by any."""
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    told = [_SIDES.get(word) or _SIDES.get(re.sub("(set|data)$", "", word)) for word in words]
    while not loose and words and words[-1] in _FILLERS:
        words.pop()
        told.pop()
    sides = {side for side in told if side}
    return sides.pop() if len(sides) == 1 and (loose or told[-1]) else None


def _split(root: Path, entries: Sequence[_Entry], told: dict[_Entry, str]) -> Layout:
    """The layout of a folder that holds sides."""
    for side in _ORDER:
        same = [entry for entry, its in told.items() if its == side]
        if len(same) > 1:
            raise ValueError(
                f"{str(root)!r} must hold only one folder for {side}; it holds {_names(same)}. Merge them into one, or "
                "move the others elsewhere."
            )
    bare = [entry for entry in told if not entry.sorted_in_folders]
    if bare:
        labelled = [entry for entry in told if entry not in bare]
        raise ValueError(
            f"{str(root)!r} holds {_names(bare)} beside {_names(labelled)}, but {_names(bare)} has no folder per class "
            "in it. Sort its images into one folder per class, or move it elsewhere."
        )
    training = [entry for entry, side in told.items() if side == "training"]
    classes = {name for entry in training or told for name in entry.names}
    for entry in entries:
        if entry not in told and entry.names & classes:
            raise ValueError(
                f"{str(root)!r} holds {_names([entry])} beside {_names(told)}, with the same folders in it "
                f"({_inner([entry])}), and its name does not say whether it is for training, validation or test. "
                f"{_ways([entry])}"
            )
    left_out = _rest(root, entries, {entry.folder for entry in told})
    sides = {}
    for entry, side in sorted(told.items(), key=lambda item: _ORDER.index(item[1])):
        *wrappers, last = entry.chain
        if side != "training":  # of one class alone it may be a class that seems a wrapper
            last = next((each for each in wrappers if classes & {f.name.casefold() for f in _folders(each)}), last)
        sides[side] = last
        for outer, inner in pairwise(entry.chain[: entry.chain.index(last) + 1]):
            left_out |= _rest(outer, [], {inner})
    return Layout(root, sides, left_out)


def _check_neighbours(root: Path, full: Sequence[_Entry], labelled: Sequence[_Entry]) -> None:
    """Raises for a folder of folders that may be a side of a split, or hold one, beside others that may not."""
    known = {entry.folder.name.casefold() for entry in full}
    single = [entry for entry in full if entry.flat or len(entry.names) == 1]
    for entry in full:
        nested = (entry.names & known) - {entry.folder.name.casefold()}
        side = 2 * len(nested) > len(entry.names) or (entry in labelled and len(entry.names) > 1)
        if len(full) > 1 and len({side_of(name) for name in entry.names} - {None}) > 1:
            others = [each for each in full if each is not entry]
            raise ValueError(
                f"{str(root)!r} holds {_names([entry])}, with the splits of a dataset in it ({_inner([entry])}), "
                f"beside {_names(others)}. {_ways([entry])} {_OR_FLATTEN}"
            )
        beside = [each for each in single if each is not entry] if side and not entry.flat else []
        if beside:
            raise ValueError(
                f"{str(root)!r} holds {_names([entry])}, with folders in it ({_inner([entry])}), beside "
                f"{_names(beside)}, without folders in them: {_names([entry])} may be one split of a dataset, or a "
                f"class. If it is a split, move {_names(beside)} elsewhere. {_OR_FLATTEN}"
            )


def _rest(folder: Path, entries: Sequence[_Entry], used: set[Path]) -> dict[Path, str]:
    """What lies in a folder beside what is used, with the reason why it is left out."""
    known = {entry.folder: entry for entry in entries}
    found = {}
    for each in sorted(folder.iterdir()):
        if each in used or hidden(each):
            continue
        if each.name in SYSTEM:
            found[each] = SYSTEM[each.name]
        elif not each.is_dir() or (each in known and known[each].flat):
            found[each] = IN_NO_CLASS
        else:
            found[each] = "neither a class nor a split"
    return found


def _names(entries: Collection[_Entry]) -> str:
    return enumerate_some([entry.folder.name for entry in entries])


def _inner(entries: Sequence[_Entry]) -> str:
    """The names of the folders in some."""
    return enumerate_some(sorted({each.name for entry in entries for each in _folders(entry.chain[-1])}))


def _ways(entries: Sequence[_Entry]) -> str:
    """What to do with sides whose names tell nothing."""
    if all(any(side_of(name) for name in entry.names) for entry in entries):
        return "Sort them as train/cat, test/cat, not as cat/train, cat/test, or pass the path of the folder to read."
    return (
        "Rename them to train, val and test, or move the folders that are not needed elsewhere, or pass the path of "
        "one of them."
    )
