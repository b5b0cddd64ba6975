"""HDF5 files of plain tensors: groups, attributes, and where each tensor lies, read without HDF5's library.

That library hangs, or takes all memory, on files with a flipped bit. Here is the oldest of HDF5's formats alone, which
h5py writes unless told otherwise, and of it what Keras uses. Described in "HDF5 File Format Specification Version 3.0";
what is malformed is a `ValueError`, which does not name the file.
"""

import io
import struct
from collections import defaultdict
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any

import numpy as np

from keras_resnet.checkpoints.formats.tensors import BFLOAT16, BOOL, NumberType, TensorSpec

SIGNATURE = b"\x89HDF\r\n\x1a\n"
AGAIN = "load and save it again with Keras"
_MOST_OBJECTS, _DEEPEST, _LONGEST_TEXT = 1 << 16, 32, 1 << 10
_LONGEST_PATH, _LONGEST_NAME = 1 << 12, 1 << 16  # of a tensor, and of a group: that of class names has no tensors
# Messages in an object's header.
_SPACE, _TYPE, _EXTERNAL, _LAYOUT, _ATTRIBUTE, _CONTINUATION, _GROUP = 1, 3, 7, 8, 12, 16, 17
_SOFT_LINK = 2
_STRING = b"\x13"  # class and version of a type
_REFERENCE = 16  # bytes, to a text in a heap
_NEWER = f"it is of a newer layout of HDF5 than Keras writes: {AGAIN}"
_OPAQUE_OF_2 = bytes((0x15, 2, 0, 0, 0))  # class and version, and the size

Parts = tuple[str, ...]
Messages = dict[int, list[bytes]]
Attributes = dict[bytes, tuple[bytes, bytes, bytes]]  # by name: type, dimensions and value


def _description(code: str) -> bytes:
    """Describes NumPy's integers and IEEE floats as HDF5 does."""
    dtype, bits = np.dtype(code), 8 * np.dtype(code).itemsize
    big = 1 if code[0] == ">" else 0
    if dtype.kind != "f":
        signed = 8 if dtype.kind == "i" else 0
        return struct.pack("<BBHIHH", 0x10, big | signed, 0, dtype.itemsize, 0, bits)
    exponent = {2: 5, 4: 8, 8: 11}[dtype.itemsize]
    mantissa, bias = bits - 1 - exponent, (1 << exponent - 1) - 1
    parts = (0, bits, mantissa, exponent, 0, mantissa, bias)
    return struct.pack("<BBHIHHBBBBI", 0x11, 0x20 | big, bits - 1, dtype.itemsize, *parts)


_KINDS = ("f4", "f2", "f8", "i4", "i8", "i2", "i1", "u1", "u2", "u4", "u8")
_CODES = [order + kind for kind in _KINDS for order in "<>"]
_BOOL = struct.pack("<BBHI", 0x18, 2, 0, 1) + _description("<i1") + b"FALSE\0\0\0TRUE\0\0\0\0\0\1"  # h5py's enumeration
_TYPES = [*((_description(code), NumberType.of(code)) for code in _CODES), (_BOOL, BOOL)]


class Hdf5:
    """The groups and the tensors of an HDF5 file that is a part of a file.

    Args:
        file: an open file, of which no more is read here than the part is long.
        start: where the part begins.
        size: its length in bytes.

    Attributes:
        tensors: by path.

    Raises:
        ValueError: if it is malformed, or holds anything but groups and tensors in one piece each.
    """

    def __init__(self, file: io.BufferedReader, start: int, size: int) -> None:
        self._file, self._start, self._size, self._unread, self._unlisted = file, start, size, size, size
        self._collections: dict[int, dict[int, bytes]] = {}
        self._attributes: dict[Parts, Attributes] = {}
        self.tensors: dict[Parts, TensorSpec] = {}
        pending: list[tuple[Parts, int]] = [((), self._root())]
        seen = set()
        while pending:
            path, address = pending.pop()
            if address in seen:
                raise ValueError(f"{'/'.join(path)!r} is there under another name too")
            seen.add(address)
            messages = self._messages(address)
            attributes = dict(map(_attribute, messages[_ATTRIBUTE]))
            if _GROUP in messages:
                self._attributes[path] = attributes
                for name, child in self._members(_only(messages, _GROUP)):
                    pending.append(((*path, name), child))
                    if len(path) == _DEEPEST or len(seen) + len(pending) > _MOST_OBJECTS:
                        raise ValueError("its groups are deeper or larger than any model's")
            elif _LAYOUT in messages:
                if sum(map(len, path)) > _LONGEST_PATH:
                    raise ValueError("a tensor's path is longer than any model's")
                self.tensors[path] = self._tensor("/".join(path), messages, attributes)
            else:
                raise ValueError(f"{'/'.join(path)!r} is neither a group nor a tensor as Keras writes them")
        if sum(tensor.size for tensor in self.tensors.values()) > size:
            raise ValueError("its tensors overlap")

    def has(self, group: Parts, name: str) -> bool:
        """Whether there is a group, and it has an attribute."""
        return name.encode() in self._attributes.get(group, {})

    def text(self, group: Parts, name: str, most: int = _LONGEST_TEXT) -> str | None:
        """Reads an attribute of a group, which must be a text of so many bytes at most; None if there is none."""
        return self._text(self._attributes.get(group, {}), name, most)

    def texts(self, group: Parts, name: str) -> list[str] | None:
        """Reads an attribute of a group that is a list of texts, or lies in parts, `name0`, `name1` and so on.

        Returns:
            The texts, in order; None if the group has no such attribute.
        """
        attributes = self._attributes.get(group, {})
        parts = (name,) if name.encode() in attributes else (f"{name}{number}" for number in count())
        held = list(takewhile(lambda each: each.encode() in attributes, parts))
        return [text for each in held for text in self._texts(each, *attributes[each.encode()])] if held else None

    def _read(self, at: int, size: int, signature: bytes = b"") -> bytes:
        """Reads some bytes, in all no more than there are: else some would be read without end."""
        self._unread -= size
        if at + size > self._size or self._unread < 0:
            raise ValueError(f"it refers to {size} bytes at {at}, which can't be there")
        self._file.seek(self._start + at)
        data = self._file.read(size)
        if len(data) != size or not data.startswith(signature):
            raise ValueError(f"at {at} there is not what should be there")
        return data

    def _root(self) -> int:
        """Finds the header of the root; a file begins and ends where it says so."""
        data = self._read(0, min(96, self._size), SIGNATURE)
        if data[8:9] != b"\0":
            raise ValueError(_NEWER)
        if data[13:15] != b"\x08\x08":
            raise ValueError("it is of another format of HDF5 than Keras writes")
        base, end, root = (_unpack("<Q", data, at)[0] for at in (24, 40, 64))
        if (base, end) != (0, self._size):
            cut = ": was it cut off?" if end > self._size else ""
            raise ValueError(f"it has {self._size} bytes and says that it begins at {base} and ends at {end}{cut}")
        return int(root)

    def _messages(self, address: int) -> Messages:
        """Reads the messages in an object's header, by kind."""
        head = self._read(address, 16)
        if not head.startswith(b"\1"):
            raise ValueError(_NEWER if head.startswith(b"OHDR") else f"at {address} there is no object's header")
        count, size = _unpack("<2xH4xI4x", head)
        pending: list[tuple[int, int]] = [(address + 16, size)]
        found: Messages = defaultdict(list)
        while pending:
            at, size = pending.pop(0)
            block, place = self._read(at, size), 0
            while place + 8 <= size:
                kind, length, flags = _unpack("<HHB", block, place)
                message = block[place + 8 : place + 8 + length]
                if len(message) != length or flags & 2:
                    raise ValueError(f"the header at {address} has a message that is cut off, or shared")
                if kind == _CONTINUATION:
                    pending.append(_unpack("<QQ", message))
                found[kind].append(message)
                place += 8 + length
                count -= 1
                if count < 0:
                    raise ValueError(f"the header at {address} has more messages than it says")
        if count:
            raise ValueError(f"the header at {address} has fewer messages than it says")
        return found

    def _members(self, group: bytes) -> Iterator[tuple[str, int]]:
        """Yields the names and the headers of what is in a group."""
        tree, heap = _unpack("<QQ", group)
        size, at = _unpack("<8xQ8xQ", self._read(heap, 32, b"HEAP\0"))
        names, last = self._read(at, size), b""
        left = len(names)  # of which no two entries may have the same bytes: else some would be read without end
        for entry in self._entries(tree):
            place, header, kind = _unpack("<QQI", entry)
            end = names.find(b"\0", place, place + _LONGEST_NAME)
            name = names[place : max(end, place)]
            left -= len(name)
            if name <= last or left < 0 or b"/" in name:
                raise ValueError(f"a group has a member {name!r:.99} that is no name, or not in order")
            if kind == _SOFT_LINK:
                raise ValueError(f"{name!r} is a link to elsewhere")
            yield name.decode(), header
            last = name

    def _entries(self, tree: int) -> Iterator[bytes]:
        """Yields the entries of a group, in order."""
        nodes = [tree]
        while nodes:
            node = nodes.pop()
            level, count = _unpack("<BH", self._read(node, 24, b"TREE\0"), 5)
            children = [child for _, child in struct.iter_unpack("<QQ", self._read(node + 24, 16 * count))]
            if level:
                nodes += reversed(children)
                continue
            for leaf in children:
                (count,) = _unpack("<H", self._read(leaf, 8, b"SNOD\1"), 6)
                for entry in struct.iter_unpack("40s", self._read(leaf + 8, 40 * count)):
                    yield entry[0]

    def _tensor(self, name: str, messages: Messages, attributes: Attributes) -> TensorSpec:
        """Reads what a header says of a tensor, if that can be."""
        space, kind, layout = (_only(messages, each) for each in (_SPACE, _TYPE, _LAYOUT))
        if layout[:2] != b"\3\1" or _EXTERNAL in messages:
            raise ValueError(f"{name!r} does not lie in the file in one piece")
        number_type = next((known for description, known in _TYPES if kind.startswith(description)), None)
        if kind[:1] + kind[4:8] == _OPAQUE_OF_2 and self._text(attributes, "dtype") == "bfloat16":
            number_type = BFLOAT16
        if number_type is None:
            raise ValueError(f"{name!r} is not of numbers as Keras writes them")
        start, size = _unpack("<QQ", layout, 2)
        tensor = TensorSpec(number_type, _shape(space), self._start + start if size else 0)  # nothing is nowhere
        if tensor.size != size or (size and start + size > self._size):
            raise ValueError(f"{name!r}, {tensor.dtype} of the shape {tensor.shape}, can't be {size} bytes at {start}")
        return tensor

    def _text(self, attributes: Attributes, name: str, most: int = _LONGEST_TEXT) -> str | None:
        """Reads a text of one length, which lies in the attribute, or of any, which lies in a heap."""
        if name.encode() not in attributes:
            return None
        size = "short " if most == _LONGEST_TEXT else ""
        kind, space, value = attributes[name.encode()]
        if kind[:1] == _STRING:
            (length,) = _unpack("<4xI", kind)
            if _shape(space) or length > min(most, len(value)):
                raise ValueError(f"the attribute {name!r} is no {size}text")
            return value[:length].rstrip(b"\0").decode()
        if not _is_of_any_length(kind) or _shape(space):
            raise ValueError(f"the attribute {name!r} is no {size}text")
        return self._elsewhere(name, value, most)

    def _texts(self, name: str, kind: bytes, space: bytes, value: bytes) -> list[str]:
        """Reads texts of one length, which lie in the attribute, or of any, which lie in heaps; numbers if none."""
        shape = _shape(space)
        if shape == (0,):
            return []
        width = _unpack("<4xI", kind)[0] if kind[:1] == _STRING else _REFERENCE if _is_of_any_length(kind) else 0
        if len(shape) != 1 or not width or shape[0] * width > len(value):
            raise ValueError(f"the attribute {name!r} is no list of texts")
        parts = [value[at : at + width] for at in range(0, shape[0] * width, width)]
        if kind[:1] == _STRING:
            return [part.rstrip(b"\0").decode() for part in parts]
        return [self._elsewhere(name, part, _LONGEST_NAME) for part in parts]

    def _elsewhere(self, name: str, reference: bytes, most: int) -> str:
        """Reads a text in a heap; in all no more than the file has, or a small one could list any number."""
        length, address, index = _unpack("<IQI", reference)
        self._unlisted -= length
        if length > most or self._unlisted < 0:
            raise ValueError(f"the attribute {name!r} is no {'short ' if most == _LONGEST_TEXT else ''}text")
        text = self._collection(address).get(index, b"") if length else b""
        if len(text) != length:
            raise ValueError(f"the attribute {name!r} is not in its place")
        return text.decode()

    def _collection(self, address: int) -> dict[int, bytes]:
        """Reads the objects of a global heap's part."""
        if address not in self._collections:
            (size,) = _unpack("<8xQ", self._read(address, 16, b"GCOL\1"))
            found: dict[int, bytes] = {}
            data, place = self._read(address + 16, max(size, 16) - 16), 0
            while place + 16 <= len(data):
                index, length = _unpack("<H6xQ", data, place)
                if not index:  # what is free
                    break
                found[index] = data[place + 16 : place + 16 + length]
                place += 16 + (length + 7) // 8 * 8
            self._collections[address] = found
        return self._collections[address]


def _is_of_any_length(kind: bytes) -> bool:
    """Whether a type is of texts that lie in a heap."""
    return kind[:1] == b"\x19" and kind[1:2] != b"" and kind[1] & 15 == 1


def _unpack(layout: str, data: bytes, at: int = 0) -> Any:
    """Unpacks what a layout describes."""
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as error:
        raise ValueError("something in it is cut off") from error


def _only(messages: Messages, kind: int) -> bytes:
    """Returns the one message of a kind."""
    if len(messages[kind]) != 1:
        raise ValueError(f"an object's header has {len(messages[kind])} messages of kind {kind}, and should have one")
    return messages[kind][0]


def _shape(space: bytes) -> tuple[int, ...]:
    """Reads the dimensions in a message."""
    version, rank, flags = _unpack("<BBB", space)
    if version != 1 or flags > 1:
        raise ValueError("something has no dimensions as Keras writes them")
    return tuple(_unpack(f"<{rank}Q", space, 8))


def _attribute(message: bytes) -> tuple[bytes, tuple[bytes, bytes, bytes]]:
    """Reads an attribute: its name; its type, dimensions and value."""
    version, *sizes = _unpack("<BxHHH", message)
    if version != 1:
        raise ValueError("an attribute is not as Keras writes it")
    parts: list[bytes] = []
    at = 8
    for size in sizes:
        parts.append(message[at : at + size])
        at += (size + 7) // 8 * 8
    name, kind, space = parts
    return name.rstrip(b"\0"), (kind, space, message[at:])
