"""Scans a folder of images: usable files, skipped files with reasons, duplicates."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from keras_resnet.data.check import Checked, Level, Look
from keras_resnet.data.read import Reader
from keras_resnet.utils.errors import choice_error, enumerate_some, near_path

IN_NO_CLASS = "not in the folder of a class"
SYSTEM = {  # folders that systems put beside pictures
    "__MACOSX": "metadata of macOS",
    "@eaDir": "thumbnails of a Synology",
    "#recycle": "deleted files",
    "$RECYCLE.BIN": "deleted files",
    "System Volume Information": "metadata of Windows",
    "lost+found": "files that the file system recovered",
}
_NAMED = 10  # how many files a summary names
_PLAIN = Reader(None)


@dataclass(frozen=True)
class Inventory:
    """What a scan of one folder, or of one table, found.

    Attributes:
        root: the folder, or the file of the table.
        class_names: the names of its sub-folders, sorted; of the classes, labels or numbers of a table.
        files: the images, by class and name.
        labels: for each image the index of its class, or what a table says (see `keras_resnet.data.table`).
        sizes: for each image (width, height) in pixels, upright; (0, 0) where that was not looked for.
        hashes: for each image a hash of its decoded pixels; "" where that was not looked for.
        skipped: the files that can't be used, with the reason.
        hidden: how many files were left out because their name, or the name of a folder they lie in, begins with a dot
            or is that of a system folder (`__MACOSX`).
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[Any, ...]
    sizes: tuple[tuple[int, int], ...]
    hashes: tuple[str, ...]
    skipped: dict[Path, str]
    hidden: int = 0
    task: str = "classes"
    checked: Checked | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by class or label; none of numbers."""
        if self.task == "regression":
            return {}
        if self.task == "labels":
            return dict(zip(self.class_names, map(sum, zip(*self.labels, strict=True)), strict=True))
        found = Counter(self.labels)
        return {name: found[index] for index, name in enumerate(self.class_names)}

    @property
    def shorter_side(self) -> int:
        """The median of the images' shorter sides, in pixels."""
        return round(median(min(size) for size in self.sizes if min(size)))

    def __str__(self) -> str:
        suffixes = Counter(file.suffix.lower() or "no suffix" for file in self.files)
        sides = sorted((size for size in self.sizes if min(size)), key=lambda size: size[0] * size[1])
        lines = [
            f"{self.root}: {len(self.files)} images {self._labelled()}",
            f"  {', '.join(f'{count} {suffix}' for suffix, count in suffixes.most_common())}; "
            f"{'x'.join(map(str, sides[0]))} to {'x'.join(map(str, sides[-1]))} pixels",
        ]
        below = [file.parent for file in self.files if self.root.is_dir() and file.parents[1] != self.root]
        further = sorted({str(folder.relative_to(self.root)) for folder in below})
        if further:
            lines.append(f"  including images in sub-folders of the classes: {enumerate_some(further, _NAMED)}")
        if empty := [name for name, count in self.counts.items() if not count]:
            lines.append(f"  classes without an image here: {enumerate_some(empty, _NAMED)}")
        if self.skipped or self.hidden:
            hidden = f"; {self.hidden} hidden ones ignored" if self.hidden else ""
            what = "files" if self.root.is_dir() else "files and rows"
            lines.append(f"  {what} skipped: {len(self.skipped)}{hidden}")
            skipped = [f"    {file}: {reason}" for file, reason in self.skipped.items()]
            lines += skipped[:_NAMED]
            if len(skipped) > _NAMED:
                lines.append(f"    and {len(skipped) - _NAMED} more")
        return "\n".join(lines)

    def _labelled(self) -> str:
        """What the labels are."""
        if self.task == "regression":
            columns = zip(self.class_names, zip(*self.labels, strict=True), strict=True)
            spans = [f"{name} {min(numbers):g} to {max(numbers):g}" for name, numbers in columns]
            return f"with numbers ({enumerate_some(spans, 20)})"
        counts = enumerate_some([f"{name} {count}" for name, count in self.counts.items()], 20)
        return f"{'in' if self.task == 'classes' else 'with'} {len(self.class_names)} {self.task} ({counts})"


def scan(
    path: str | os.PathLike[str],
    class_names: Sequence[str] | None = None,
    progress: bool = True,
    left_out: Mapping[Path, str] | None = None,
    level: Level = "full",
    checked: Checked | None = None,
) -> Inventory:
    """Looks at every file of a folder once.

    Args:
        path: a folder with one sub-folder of images per class. Folders inside these, and links, are followed.
        class_names: the names of the classes; None: the names of the sub-folders.
        progress: whether to show progress, on standard error.
        left_out: files and folders around this one that are not used, with the reason, to be listed with those skipped.
        level: how much of each file is read, see `Checked.look`.
        checked: how images are read, and what is known of them; None: as RGB, and nothing.

    Raises:
        ValueError: if the folder does not exist, has fewer than two classes, has a class that is not in `class_names`,
            has a class without an image that can be used, or has no folder of a class.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"`path` must be a folder of images; there is no folder {str(path)!r}.{near_path(path)}")
    sorted_in = {folder.name: folder for folder in folders(root)}
    if class_names is None:
        names = tuple(sorted_in)
        if len(names) < 2:
            raise ValueError(
                f"{str(path)!r} must hold two or more folders of images, one per class, such as cat and dog; it holds "
                f"{len(names)}{f', {names[0]}' if names else ''}."
            )
    else:
        names = tuple(class_names)
        for name in sorted_in:
            if name not in names:
                raise choice_error(f"a class in {str(path)!r}", name, names)
    skipped = dict(left_out or {})
    skipped |= {file: IN_NO_CLASS for file in root.iterdir() if not (file.is_dir() or hidden(file))}
    skipped |= {each: SYSTEM[each.name] for each in root.iterdir() if each.name in SYSTEM}
    count_hidden = sum(map(hidden, root.iterdir()))
    found = []
    for label, name in enumerate(names):
        if name in sorted_in:
            for file, out in walk(sorted_in[name], skipped, {root, *sorted_in.values()}):
                if out:
                    count_hidden += 1
                else:
                    found.append((label, file))
    checked = checked or Checked(Reader(None))
    used, looks = usable([file for _, file in found], level, checked, skipped, progress)
    labels = [found[place][0] for place in used]
    for label in sorted(set(range(len(names))) - set(labels)):
        name = names[label]
        if name in sorted_in:
            bad = [f"{file.name}: {why}" for file, why in skipped.items() if file.is_relative_to(sorted_in[name])]
            raise ValueError(
                f"{str(sorted_in[name])!r} holds no image that can be used. Put images into the folder, or remove it."
                + (f" These files can't be used: {enumerate_some(bad)}." if bad else "")
            )
    if not used:
        raise ValueError(
            f"{str(path)!r} must hold a folder of images for each class, named after the class, such as {names[0]!r}; "
            "it holds no such folder."
        )
    return Inventory(
        root,
        names,
        tuple(found[place][1] for place in used),
        tuple(labels),
        tuple(look.size for look in looks),
        tuple(look.pixels for look in looks),
        skipped,
        count_hidden,
        checked=checked,
    )


def usable(
    files: Sequence[Path], level: Level, checked: Checked, skipped: dict[Path, str], progress: bool
) -> tuple[list[int], list[Look]]:
    """Returns the places of those files that can be used, and the looks at them; notes why others are skipped."""
    looks = checked.look(files, level, progress)
    skipped |= {file: look.reason for file, look in zip(files, looks, strict=True) if look.reason}
    used = [place for place, look in enumerate(looks) if not look.reason]
    return used, [looks[place] for place in used]


def files(root: Path) -> list[Path]:
    """Returns all files below a folder, sorted, without those that are hidden."""
    return sorted(path for path, out in walk(root) if not out)


def duplicates(hashes: Sequence[Sequence[str]]) -> list[tuple[tuple[int, int], ...]]:
    """Finds images that lie in more than one list; each as the places (list, index) where it lies."""
    places: dict[str, list[tuple[int, int]]] = {}
    for side, ones in enumerate(hashes):
        for index, pixels in enumerate(ones):
            places.setdefault(pixels, []).append((side, index))
    return [tuple(found) for found in places.values() if len({side for side, _ in found}) > 1]


def hidden(path: Path) -> bool:
    """Returns whether a name begins with a dot."""
    return path.name.startswith(".")


def folders(path: Path) -> list[Path]:
    """Returns the folders in a folder, sorted, without those that are hidden or a system's."""
    if not path.is_dir():
        return []
    return sorted(each for each in path.iterdir() if each.is_dir() and not hidden(each) and each.name not in SYSTEM)


def walk(
    root: Path, unreadable: dict[Path, str] | None = None, others: Iterable[Path] = ()
) -> Iterator[tuple[Path, bool]]:
    """Yields all files below a folder, sorted, and whether their name or that of a folder of theirs is hidden.

    Links that lead back, or to others of some folders, are not followed; notes the folders that can't be read.
    """

    def note(error: OSError) -> None:
        if unreadable is not None:
            unreadable[Path(error.filename)] = str(error.strerror).lower()

    seen = set(map(os.path.realpath, others)) - {os.path.realpath(root)}
    for name, inner, files in os.walk(root, onerror=note, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner.sort()
        for file in sorted(files):
            path = Path(name, file)
            yield path, any(part.startswith(".") or part in SYSTEM for part in path.relative_to(root).parts)
