"""Scans a folder of images: usable files, skipped files with reasons, duplicates."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from keras_resnet.data.decode import decode
from keras_resnet.utils.errors import choice_error, enumerate_some, near_path
from keras_resnet.utils.progress import track

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


@dataclass(frozen=True)
class Inventory:
    """What a scan of one folder found.

    Attributes:
        root: the folder.
        class_names: the names of its sub-folders, sorted.
        files: the images, by class and name.
        labels: for each image the index of its class.
        sizes: for each image (width, height) in pixels, upright.
        hashes: for each image a hash of its decoded pixels.
        skipped: the files that can't be used, with the reason.
        hidden: how many files were left out because their name, or the name of a folder they lie in, begins with a dot
            or is that of a system folder (`__MACOSX`).
    """

    root: Path
    class_names: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    hashes: tuple[str, ...]
    skipped: dict[Path, str]
    hidden: int

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by class."""
        found = Counter(self.labels)
        return {name: found[index] for index, name in enumerate(self.class_names)}

    @property
    def shorter_side(self) -> int:
        """The median of the images' shorter sides, in pixels."""
        return round(median(map(min, self.sizes)))

    def __str__(self) -> str:
        suffixes = Counter(file.suffix.lower() or "no suffix" for file in self.files)
        sides = sorted(self.sizes, key=lambda size: size[0] * size[1])
        classes = enumerate_some([f"{name} {count}" for name, count in self.counts.items()], 20)
        lines = [
            f"{self.root}: {len(self.files)} images in {len(self.class_names)} classes ({classes})",
            f"  {', '.join(f'{count} {suffix}' for suffix, count in suffixes.most_common())}; "
            f"{'x'.join(map(str, sides[0]))} to {'x'.join(map(str, sides[-1]))} pixels",
        ]
        below = [file.parent for file in self.files if file.parents[1] != self.root]
        further = sorted({str(folder.relative_to(self.root)) for folder in below})
        if further:
            lines.append(f"  including images in sub-folders of the classes: {enumerate_some(further, _NAMED)}")
        if empty := [name for name, count in self.counts.items() if not count]:
            lines.append(f"  classes without an image here: {enumerate_some(empty, _NAMED)}")
        if self.skipped or self.hidden:
            hidden = f"; {self.hidden} hidden ones ignored" if self.hidden else ""
            lines.append(f"  files skipped: {len(self.skipped)}{hidden}")
            skipped = [f"    {file}: {reason}" for file, reason in self.skipped.items()]
            lines += skipped[:_NAMED]
            if len(skipped) > _NAMED:
                lines.append(f"    and {len(skipped) - _NAMED} more")
        return "\n".join(lines)


def scan(
    path: str | os.PathLike[str],
    class_names: Sequence[str] | None = None,
    progress: bool = True,
    left_out: Mapping[Path, str] | None = None,
) -> Inventory:
    """Decodes every file of a folder once, in threads.

    Args:
        path: a folder with one sub-folder of images per class. Folders inside these, and links, are followed.
        class_names: the names of the classes; None: the names of the sub-folders.
        progress: whether to show progress, on standard error.
        left_out: files and folders around this one that are not used, with the reason, to be listed with those skipped.

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
    files, labels, sizes, hashes = [], [], [], []
    with ThreadPoolExecutor() as pool:
        looked = zip(found, pool.map(_look, [file for _, file in found]), strict=True)
        for (label, file), (reason, size, pixels) in (
            track(looked, "reading images", len(found), "images") if progress else looked
        ):
            if reason:
                skipped[file] = reason
                continue
            files.append(file)
            labels.append(label)
            sizes.append(size)
            hashes.append(pixels)
    for label in sorted(set(range(len(names))) - set(labels)):
        name = names[label]
        if name in sorted_in:
            bad = [f"{file.name}: {why}" for file, why in skipped.items() if file.is_relative_to(sorted_in[name])]
            raise ValueError(
                f"{str(sorted_in[name])!r} holds no image that can be used. Put images into the folder, or remove it."
                + (f" These files can't be used: {enumerate_some(bad)}." if bad else "")
            )
    if not files:
        raise ValueError(
            f"{str(path)!r} must hold a folder of images for each class, named after the class, such as {names[0]!r}; "
            "it holds no such folder."
        )
    return Inventory(root, names, tuple(files), tuple(labels), tuple(sizes), tuple(hashes), skipped, count_hidden)


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


def _look(file: Path) -> tuple[str, tuple[int, int], str]:
    """Why a file can't be used, or "", its size and the hash of its pixels."""
    try:
        image = decode(file)
    except ValueError as error:
        return str(error).removeprefix(f"{file} can't be read as an image: "), (0, 0), ""
    return "", image.size, fingerprint(image)


def fingerprint(image: Any) -> str:
    """Returns a hash of a `PIL.Image.Image`, its size and its pixels."""
    pixels = hashlib.blake2b(f"{image.size}".encode(), digest_size=16)
    pixels.update(image.tobytes())
    return pixels.hexdigest()
