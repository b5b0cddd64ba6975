"""The pickles in PyTorch's files, read by an interpreter that calls nothing.

Source: pickletools, for the opcodes, of which it knows those that torch.save writes; anything else is a `ValueError`.
"""

import pickle  # the names of its opcodes, nothing more
import struct
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from keras_resnet.checkpoints.formats.tensors import TensorSpec
from keras_resnet.checkpoints.formats.torch.globals import check_state, read_storage, rebuild, resolve, set_items
from keras_resnet.checkpoints.formats.torch.tensors import Storage

_OPCODES = 1 << 19  # enough for 10 000 tensors; a ResNet-152 with its optimizer has 1400
_NAMES = 1 << 25  # bytes, roughly, that the names of all that is in the containers take
_PROTOCOL = 2


class Source:
    """A file from where it is now, of which no more than so many bytes may be read."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left = left

    def take(self, size: int) -> bytes:
        """Reads so many bytes."""
        data = self._file.read(size) if size <= self._left else b""
        if len(data) != size:
            raise ValueError("a pickle is cut off, or larger than that of any weights")
        self._left -= size
        return data

    def number(self, form: str) -> Any:
        """Reads a number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def long(self) -> int:
        """Reads an int of any length."""
        return int.from_bytes(self.take(self.number("B")), "little", signed=True)

    def text(self, form: str) -> str:
        """Reads a text that comes after its length."""
        data = self.take(self.number(form))
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"a string is no text: {data[:60]!r}") from error

    def name(self) -> str:
        """Reads two lines, the name of a module and a name in it."""
        lines = b""
        while lines.count(b"\n") < 2 and len(lines) < 256:
            lines += self.take(1)
        module, _, name = lines.removesuffix(b"\n").decode("ascii", "backslashreplace").partition("\n")
        return f"{module}.{name}"


_LITERALS: dict[bytes, Callable[[Source], object]] = {
    pickle.NONE: lambda source: None,
    pickle.NEWTRUE: lambda source: True,
    pickle.NEWFALSE: lambda source: False,
    pickle.EMPTY_TUPLE: lambda source: (),
    pickle.EMPTY_LIST: lambda source: [],
    pickle.EMPTY_DICT: lambda source: {},
    pickle.BININT: lambda source: source.number("<i"),
    pickle.BININT1: lambda source: source.number("B"),
    pickle.BININT2: lambda source: source.number("<H"),
    pickle.LONG1: Source.long,
    pickle.BINFLOAT: lambda source: source.number(">d"),
    pickle.BINUNICODE: lambda source: source.text("<I"),
    pickle.SHORT_BINSTRING: lambda source: source.text("B"),  # Python 2
    pickle.GLOBAL: lambda source: resolve(source.name()),
}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_INDICES = {pickle.BINPUT: "B", pickle.BINGET: "B", pickle.LONG_BINPUT: "<I", pickle.LONG_BINGET: "<I"}


class Pickle:
    """A pickle, read.

    Attributes:
        value: what it holds; of every dictionary, plain or not, the keys are strings.
        storages: all that it speaks of, and parts of them, by key.
    """

    def __init__(self, source: Source) -> None:
        self.storages: dict[str, Storage] = {}
        self._source = source
        self._left = _OPCODES
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks below each mark
        self._memo: dict[int, object] = {}
        while (opcode := source.take(1)) != pickle.STOP:
            self._spend(1)
            self._follow(opcode)
        (self.value,) = self._pop(1)

    def whole_storages(self) -> dict[str, Storage]:
        """Returns those of the storages that are no parts of others, by key."""
        return {key: storage for key, storage in self.storages.items() if key == storage.key}

    def _follow(self, opcode: bytes) -> None:
        """Does what an opcode says."""
        if opcode in _LITERALS:
            self._stack.append(_LITERALS[opcode](self._source))
        elif opcode in _TUPLES:
            self._stack.append(tuple(self._pop(_TUPLES[opcode])))
        elif opcode in _INDICES:
            self._remember(opcode, self._source.number(_INDICES[opcode]))
        else:
            self._combine(opcode)

    def _remember(self, opcode: bytes, index: int) -> None:
        """Puts into the memo what is last on the stack, or back on the stack what is in the memo."""
        if opcode in (pickle.BINPUT, pickle.LONG_BINPUT):
            self._memo[index] = self._top()
        elif index in self._memo:
            self._stack.append(self._memo[index])
        else:
            raise ValueError("a pickle asks for what it has not put away")

    def _combine(self, opcode: bytes) -> None:
        """Does what an opcode says about what is on the stack."""
        match opcode:
            case pickle.MARK:
                self._below.append(self._stack)
                self._stack = []
            case pickle.TUPLE:
                items = tuple(self._marked())  # after it the stack is another
                self._stack.append(items)
            case pickle.APPEND:
                self._extend(self._pop(1))
            case pickle.APPENDS:
                self._extend(self._marked())
            case pickle.SETITEM:
                self._update(self._pop(2))
            case pickle.SETITEMS:
                self._update(self._marked())
            case pickle.BINPERSID:
                self._stack.append(self._storage(*self._pop(1)))
            case pickle.REDUCE:
                self._stack.append(self._call(*self._pop(2)))
            case pickle.BUILD:
                (state,) = self._pop(1)
                check_state(self._top(), state)
            case pickle.PROTO:
                if (protocol := self._source.number("B")) != _PROTOCOL:
                    raise ValueError(f"it is a pickle of protocol {protocol}; PyTorch's is {_PROTOCOL}")
            case _:
                raise ValueError(f"a pickle has an opcode, {opcode!r}, that those of weights do not have")

    def _spend(self, count: int) -> None:
        """Counts what is done."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a pickle is longer than that of any weights")

    def _top(self) -> object:
        """Returns what is last on the stack."""
        if not self._stack:
            raise ValueError("a pickle uses what it has not made")
        return self._stack[-1]

    def _pop(self, count: int) -> list[object]:
        """Takes so many from the end of the stack."""
        if len(self._stack) < count:
            raise ValueError("a pickle uses what it has not made")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _marked(self) -> list[object]:
        """Takes all since the last mark, and the mark."""
        if not self._below:
            raise ValueError("a pickle goes back to a mark that it has not made")
        items, self._stack = self._stack, self._below.pop()
        return items

    def _extend(self, items: list[object]) -> None:
        """Appends to a list."""
        if not isinstance(into := self._top(), list):
            raise ValueError(f"a pickle appends to a {type(into).__name__}")
        into.extend(items)

    def _update(self, items: list[object]) -> None:
        """Puts keys and values into a dictionary."""
        if not isinstance(into := self._top(), dict):
            raise ValueError(f"a pickle puts keys into a {type(into).__name__}")
        if len(items) % 2:
            raise ValueError("a key has no value")
        set_items(into, zip(items[::2], items[1::2], strict=True))

    def _storage(self, words: object) -> Storage:
        """Finds the storage, or the part of one, of a persistent id; all that is said of one must agree."""
        for key, storage in read_storage(words).items():
            if self.storages.setdefault(key, storage) != storage:
                raise ValueError(f"the storage {key!r:.99} is described in two ways")
        return storage

    def _call(self, function: object, arguments: object) -> object:
        """Rebuilds what a function returns, of arguments that may be long lists which are used again and again."""
        if not isinstance(arguments, tuple):
            raise ValueError(f"a pickle calls with a {type(arguments).__name__}")
        self._spend(sum(len(argument) for argument in arguments if isinstance(argument, list | dict)))
        return rebuild(function, arguments)


def find_tensors(value: object) -> tuple[dict[str, TensorSpec], dict[str, object]]:
    """Finds every tensor in nested containers, and what else lies there under a key: numbers, texts, lists of them.

    A name is the keys and positions on the way there, joined by dots.
    """
    tensors: dict[str, TensorSpec] = {}
    words: dict[str, object] = {}
    nodes, left = [("", value)], _NAMES
    while nodes:
        name, node = nodes.pop()
        if isinstance(node, TensorSpec):
            if name in tensors:
                raise ValueError(f"it holds two tensors of the name {name!r:.99}")
            tensors[name] = node
        elif not isinstance(node, dict):
            words[name] = node
        for key, item in _items(node):
            inner = f"{name}.{key}" if name else f"{key}"
            left -= 64 + len(inner)
            if left < 0:  # containers may share what they hold, or hold themselves
                raise ValueError("its containers hold more, or deeper, than those of any weights")
            nodes.append((inner, item))
    return tensors, words


def _items(node: object) -> Iterable[tuple[object, object]]:
    """Returns the keys, or positions, and items of a container; of anything else none."""
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list | tuple) else ()
