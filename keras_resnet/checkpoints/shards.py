"""Weights in several files, with an index that says which tensor lies in which: shards, of safetensors or PyTorch."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from keras_resnet.checkpoints.formats.safetensors import SafetensorsFile, is_safetensors, once_each
from keras_resnet.checkpoints.formats.tensors import Array
from keras_resnet.checkpoints.formats.torch.file import TorchFile
from keras_resnet.utils.errors import damage_as_value_error, enumerate_some

_KIND = "an index of shards"
_LARGEST = 1 << 21  # bytes; what is read of it takes 30 times as much; that of a thousand tensors has 100 000
_MOST = 200  # shards
_LONGEST = 200  # characters of a word's name
_PLAIN = re.compile(r"[^/\\:\0]{1,255}")  # a name of a file in the same folder, on any system
_SHARD = re.compile(r"(?P<stem>.+)-(?P<part>\d{1,9})-of-(?P<parts>\d{1,9})(?P<ending>\.(?:safetensors|bin))")
_INDEX = ".index.json"


Shard = SafetensorsFile | TorchFile


class Shards:
    """The tensors of an index and its shards: what they are is known, the numbers are read when they are asked for.

    No file is kept open.

    Attributes:
        path: of the index, as it was given.
        files: the index and the shards.
        shapes: by name, sorted.
        dtypes: by name, sorted.
        words: what the index and the shards hold besides the tensors, by dotted name.
    """

    def __init__(self, path: Path, shards: Mapping[Path, Shard], words: Mapping[str, Any]) -> None:
        self.path = path
        self.files = (path, *shards)
        self._shards = {name: shard for shard in shards.values() for name in shard.shapes}
        self.shapes = {name: self._shards[name].shapes[name] for name in sorted(self._shards)}
        self.dtypes = {name: self._shards[name].dtypes[name] for name in self.shapes}
        self.words = dict(words)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Shards":
        """Opens an index and the shards that it names, which must lie beside it.

        Raises:
            ValueError: if it is no index, a shard is missing or damaged, or they hold other tensors than it says; names
                the index or the shard, and says why.
            OSError: if one must not be read.
            ImportError: if safetensors is missing.
        """
        path = Path(os.fsdecode(path))
        with damage_as_value_error(_KIND, path):
            names, words = _read_index(path)
            files = {name: path.with_name(name) for name in names}
            missing = [repr(name) for name, file in files.items() if not file.is_file()]
            if missing:
                raise ValueError(f"of its {len(files)} shards there is no file {enumerate_some(missing, 3)} beside it")
        shards: dict[Path, Shard] = {}
        for name, file in files.items():
            shard = SafetensorsFile.open(file) if is_safetensors(file) else TorchFile.open(file)
            with damage_as_value_error(_KIND, path):
                if other := sorted(names[name] ^ shard.shapes.keys()):
                    where = "that shard lacks" if other[0] in names[name] else "it does not name"
                    raise ValueError(f"{name!r} is a shard of other weights: {where} {other[0]!r:.199}")
                for word, value in shard.words.items():
                    if word in words and not _same(words[word], value):
                        raise ValueError(
                            f"its shards state different things of {word!r:.99}, {words[word]!r:.99} and {value!r:.99}"
                        )
                    words[word] = value
            shards[file] = shard
        return cls(path, shards, words)

    def read(self, name: str) -> Array:
        """Reads a tensor; returns a new array.

        Raises:
            ValueError: if it is damaged, or of no type that is read.
            KeyError: if there is none of this name in `shapes`.
        """
        return self._shards[name].read(name)


def is_index(path: str | os.PathLike[str]) -> bool:
    """Tells by ending and content whether something may be an index; what can't be read is none."""
    try:
        if not os.fsdecode(path).endswith(".json") or not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


def index_of(path: str | os.PathLike[str]) -> Path | None:
    """Returns the index of a file that is called as one of several shards; None if it isn't.

    Raises:
        ValueError: if there is no such index beside it, or it does not name the file.
    """
    shard = Path(os.fsdecode(path))
    match = _SHARD.fullmatch(shard.name)
    if match is None or int(match["parts"]) < 2 or not os.path.isfile(path):
        return None
    index = shard.with_name(f"{match['stem']}{match['ending']}{_INDEX}")
    part, parts, width = int(match["part"]), int(match["parts"]), len(match["part"])
    if not index.is_file():
        all_there = parts <= _MOST and all(
            shard.with_name(f"{match['stem']}-{each:0{width}d}-of-{match['parts']}{match['ending']}").is_file()
            for each in range(1, parts + 1)
        )
        there = "All parts lie there, but not" if all_there else "Neither do all parts lie there nor"
        raise ValueError(
            f"{str(shard)!r} is part {part} of {parts} of a network's weights. {there} "
            f"their index, {index.name!r}, which tells which tensors they hold. Put all parts and the index into one "
            "folder."
        )
    with damage_as_value_error(_KIND, index):
        if shard.name not in _read_index(index)[0]:
            raise ValueError(f"it does not name {shard.name!r}, which lies beside it")
    return index


def _read_index(path: Path) -> tuple[dict[str, set[str]], dict[str, Any]]:
    """Reads the names of the tensors of each shard, and what else an index states."""
    with path.open("rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > _LARGEST:
            raise ValueError(f"it has {size} bytes, more than the index of any network")
        content = json.loads(file.read(size), object_pairs_hook=once_each)
    where = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(where, dict) or not where or not all(isinstance(name, str) for name in where.values()):
        raise ValueError("it has no `weight_map` from the names of tensors to those of files")
    names = {
        shard: {tensor for tensor, _ in pairs}
        for shard, pairs in groupby(sorted(where.items(), key=itemgetter(1)), key=itemgetter(1))
    }
    if len(names) > _MOST:
        raise ValueError(f"it names {len(names)} files; a network may have {_MOST} at most")
    for name in names:
        if not _PLAIN.fullmatch(name) or name in (".", ".."):
            raise ValueError(f"{name!r:.99} is not the name of a file beside it")
    return names, dict(_words({key: value for key, value in content.items() if key != "weight_map"}))


def _words(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields what an object of JSON holds, by dotted name."""
    for key, value in content.items():
        name = f"{path}{key}"
        if len(name) > _LONGEST:
            raise ValueError(f"what {name!r:.99} says is of a longer name than any setting")
        if isinstance(value, dict) and value:
            yield from _words(value, f"{name}.")
        else:
            yield name.removeprefix("metadata."), value


def _same(one: Any, other: Any) -> bool:
    """Whether two values are written alike: True is not 1."""
    return repr(one) == repr(other)
