"""The pickles in PyTorch's files, of any protocol, read by an interpreter that calls nothing.

Source: pickletools, for the opcodes. What is unknown becomes an opaque object; what is malformed is a `ValueError`.
"""

import pickle  # the names of its opcodes, nothing more
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from keras_resnet.checkpoints.formats.torch.globals import (
    make,
    read_persistent,
    rebuild,
    resolve,
    set_items,
    set_state,
)
from keras_resnet.checkpoints.formats.torch.objects import Opaque
from keras_resnet.checkpoints.formats.torch.tensors import Storage

# What a pickle may cost: a number 1, a pair of a dictionary 2 more, what needs a box in memory 3. A ResNet-152 with
# its optimizer costs 100 000, a list of a million texts 2 million; a million boxes take 100 MB.
_COST = 3 << 20
_BOX = 3
_LINE = 1 << 16  # bytes of a line, as protocols 0 and 1 have them
_PROTOCOL = 5  # the newest
_WIDTHS = {"B": 1, "H": 2, "i": 4, "I": 4, "Q": 8, "d": 8}


class Source:
    """A file from where it is now, of which no more than so many bytes may be read."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left = left

    def take(self, size: int) -> bytes:
        """Reads so many bytes."""
        data = self._file.read(size) if 0 <= size <= self._left else b""
        if len(data) != size:
            raise ValueError("a pickle is cut off, or larger than that of any weights")
        self._left -= size
        return data

    def number(self, form: str) -> Any:
        """Reads a number."""
        return struct.unpack(form, self.take(_WIDTHS[form[-1]]))[0]

    def data(self, form: str) -> bytes:
        """Reads bytes that come after their number."""
        return self.take(self.number(form))

    def long(self, form: str) -> object:
        """Reads an int of any length; one that no program prints is opaque."""
        data = self.data(form)
        return int.from_bytes(data, "little", signed=True) if len(data) < 256 else Opaque("builtins.int")

    def text(self, form: str) -> str:
        """Reads a text that comes after its length; what of it is none is spelled in numbers."""
        return self.data(form).decode("utf-8", "backslashreplace")

    def line(self) -> str:
        """Reads a line."""
        data = self._file.readline(min(_LINE, self._left))
        self._left -= len(data)
        if not data.endswith(b"\n"):
            raise ValueError("a pickle is cut off, or has a line longer than that of any weights")
        return data[:-1].decode("utf-8", "backslashreplace")


def _int(source: Source) -> object:
    """Reads an int of protocol 0, or a bool."""
    line = source.line()
    return line == "01" if line in ("00", "01") else int(line.rstrip("L"))


_LITERALS: dict[bytes, Callable[[Source], object]] = {
    pickle.NONE: lambda source: None,
    pickle.NEWTRUE: lambda source: True,
    pickle.NEWFALSE: lambda source: False,
    pickle.EMPTY_TUPLE: lambda source: (),
    pickle.EMPTY_LIST: lambda source: [],
    pickle.EMPTY_DICT: lambda source: {},
    pickle.EMPTY_SET: lambda source: Opaque("builtins.set"),
    pickle.BININT: lambda source: source.number("<i"),
    pickle.BININT1: lambda source: source.number("B"),
    pickle.BININT2: lambda source: source.number("<H"),
    pickle.LONG1: lambda source: source.long("B"),
    pickle.LONG4: lambda source: source.long("<I"),
    pickle.INT: _int,
    pickle.LONG: _int,
    pickle.BINFLOAT: lambda source: source.number(">d"),
    pickle.FLOAT: lambda source: float(source.line()),
    pickle.BINUNICODE: lambda source: source.text("<I"),
    pickle.BINUNICODE8: lambda source: source.text("<Q"),
    pickle.SHORT_BINUNICODE: lambda source: source.text("B"),
    pickle.UNICODE: lambda source: source.line(),
    pickle.BINSTRING: lambda source: source.text("<I"),  # Python 2
    pickle.SHORT_BINSTRING: lambda source: source.text("B"),
    pickle.STRING: lambda source: source.line().strip("'\""),
    pickle.BINBYTES: lambda source: source.data("<I"),
    pickle.BINBYTES8: lambda source: source.data("<Q"),
    pickle.SHORT_BINBYTES: lambda source: source.data("B"),
    pickle.BYTEARRAY8: lambda source: source.data("<Q"),
    pickle.GLOBAL: lambda source: resolve(source.line(), source.line()),
}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_PUT: dict[bytes, Callable[[Source], int]] = {
    pickle.BINPUT: lambda source: source.number("B"),
    pickle.LONG_BINPUT: lambda source: source.number("<I"),
    pickle.PUT: lambda source: int(source.line()),
}
_GET: dict[bytes, Callable[[Source], int]] = {
    pickle.BINGET: lambda source: source.number("B"),
    pickle.LONG_BINGET: lambda source: source.number("<I"),
    pickle.GET: lambda source: int(source.line()),
}
_CHEAP = {
    *(_LITERALS.keys() - {pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET, pickle.GLOBAL}),
    *_GET,
    *(pickle.APPEND, pickle.APPENDS, pickle.MEMOIZE),
    *(pickle.BINPUT, pickle.LONG_BINPUT),
}


class Pickle:
    """A pickle, read.

    Attributes:
        value: what it holds; of a dictionary the keys are texts, ints, or what spells another key.
        storages: all that it speaks of, and parts of them, by key.
    """

    def __init__(self, source: Source) -> None:
        self.storages: dict[str, Storage] = {}
        self._source = source
        self._left = _COST
        self._stack: list[object] = []
        self._marks: list[int] = [0]  # how high the stack was at each
        self._memo: list[object] = []
        self._scattered: dict[int, object] = {}  # of the memo, what is not in the order of its indices
        while (opcode := source.take(1)) != pickle.STOP:
            self._spend(1 if opcode in _CHEAP else _BOX)
            if literal := _LITERALS.get(opcode):
                self._stack.append(literal(source))
            else:
                self._follow(opcode)
        (self.value,) = self._pop(1)

    def whole_storages(self) -> dict[str, Storage]:
        """Returns those of the storages that are no parts of others, by key."""
        return {key: storage for key, storage in self.storages.items() if key == storage.key}

    def _follow(self, opcode: bytes) -> None:
        """Does what an opcode says."""
        if opcode in _PUT:
            self._put(_PUT[opcode](self._source))
        elif opcode in _GET:
            self._stack.append(self._get(_GET[opcode](self._source)))
        elif opcode in _TUPLES:
            self._stack.append(tuple(self._pop(_TUPLES[opcode])))
        else:
            self._combine(opcode)

    def _combine(self, opcode: bytes) -> None:
        """Does what an opcode says about what is on the stack."""
        match opcode:
            case pickle.MARK:
                self._marks.append(len(self._stack))
            case pickle.TUPLE:
                self._stack.append(tuple(self._marked()))
            case pickle.LIST:
                self._stack.append(self._marked())
            case pickle.DICT:
                items = self._marked()
                self._stack.append({})
                self._update(items)
            case pickle.FROZENSET:
                self._stack.append(Opaque("builtins.frozenset", (self._marked(),)))
            case pickle.APPEND:
                self._extend(self._pop(1))
            case pickle.APPENDS | pickle.ADDITEMS:
                self._extend(self._marked())
            case pickle.SETITEM:
                self._update(self._pop(2))
            case pickle.SETITEMS:
                self._update(self._marked())
            case pickle.DUP:
                self._stack.append(self._top())
            case pickle.POP if len(self._stack) == self._marks[-1] and len(self._marks) > 1:
                self._marked()
            case pickle.POP:
                self._pop(1)
            case pickle.POP_MARK:
                self._marked()
            case pickle.MEMOIZE:
                self._put(len(self._memo) + len(self._scattered))
            case pickle.PROTO:
                if (protocol := self._source.number("B")) > _PROTOCOL:
                    raise ValueError(f"it is a pickle of protocol {protocol}; the newest is {_PROTOCOL}")
            case pickle.FRAME:
                self._source.number("<Q")  # how many bytes a program may want to read at once
            case _:
                self._make(opcode)

    def _make(self, opcode: bytes) -> None:
        """Makes what an opcode says of names and objects, or gives an object its state."""
        match opcode:
            case pickle.BINPERSID:
                self._stack.append(self._persistent(*self._pop(1)))
            case pickle.STACK_GLOBAL:
                match self._pop(2):
                    case [str(module), str(name)]:
                        self._stack.append(resolve(module, name))
                    case _:
                        raise ValueError("the name of a function or a class is no text")
            case pickle.REDUCE:
                function, arguments = self._pop(2)
                self._stack.append(rebuild(function, self._checked(arguments)))
            case pickle.NEWOBJ:
                of, arguments = self._pop(2)
                self._stack.append(make(of, self._checked(arguments)))
            case pickle.NEWOBJ_EX:
                of, arguments, keywords = self._pop(3)
                self._stack.append(make(of, self._checked(arguments), keywords))
            case pickle.OBJ:
                of, *arguments = self._marked() or [None]
                self._stack.append(make(of, tuple(arguments)))
            case pickle.INST:
                of = resolve(self._source.line(), self._source.line())
                self._stack.append(make(of, tuple(self._marked())))
            case pickle.BUILD:
                (state,) = self._pop(1)
                set_state(self._top(), state)
            case pickle.NEXT_BUFFER | pickle.READONLY_BUFFER:
                raise ValueError("a part of its pickle was written elsewhere, in a buffer of its own")
            case _:
                raise ValueError(f"a pickle has an opcode, {opcode!r}, that those of weights do not have")

    def _spend(self, count: int) -> None:
        """Counts what is done."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a pickle is longer than that of any weights")

    def _put(self, index: int) -> None:
        """Puts into the memo what is last on the stack."""
        if index == len(self._memo) and not self._scattered:
            self._memo.append(self._top())
        elif 0 <= index < len(self._memo):
            self._memo[index] = self._top()
        else:
            self._spend(_BOX)
            self._scattered[index] = self._top()

    def _get(self, index: int) -> object:
        """Returns what is in the memo."""
        if 0 <= index < len(self._memo):
            return self._memo[index]
        if index in self._scattered:
            return self._scattered[index]
        raise ValueError("a pickle asks for what it has not put away")

    def _top(self) -> object:
        """Returns what is last on the stack."""
        if len(self._stack) <= self._marks[-1]:
            raise ValueError("a pickle uses what it has not made")
        return self._stack[-1]

    def _pop(self, count: int) -> list[object]:
        """Takes so many from the end of the stack."""
        if len(self._stack) - count < self._marks[-1]:
            raise ValueError("a pickle uses what it has not made")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _marked(self) -> list[object]:
        """Takes all since the last mark, and the mark."""
        if len(self._marks) == 1:
            raise ValueError("a pickle goes back to a mark that it has not made")
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _extend(self, items: list[object]) -> None:
        """Appends to a list, or to what may be like one."""
        match self._top():
            case list() as into:
                into.extend(items)
            case Opaque() as made:
                made.entries = made.entries or []
                made.entries.extend(items)
            case other:
                raise ValueError(f"a pickle appends to a {type(other).__name__}")

    def _update(self, items: list[object]) -> None:
        """Puts keys and values into a dictionary, or into what may be like one."""
        if len(items) % 2:
            raise ValueError("a key has no value")
        self._spend(len(items) + _BOX * sum(not isinstance(key, str | int) for key in items[::2]))
        match self._top():
            case dict() as into:
                set_items(into, zip(items[::2], items[1::2], strict=True))
            case Opaque() as made:
                made.items = {} if made.items is None else made.items
                set_items(made.items, zip(items[::2], items[1::2], strict=True))
            case other:
                raise ValueError(f"a pickle puts keys into a {type(other).__name__}")

    def _persistent(self, words: object) -> object:
        """Finds what a persistent id means; all that is said of a storage, or of a part of one, must agree."""
        meant, storages = read_persistent(words)
        for key, storage in storages.items():
            if self.storages.setdefault(key, storage) != storage:
                raise ValueError(f"the storage {key!r:.99} is described in two ways")
        return meant

    def _checked(self, arguments: object) -> tuple[object, ...]:
        """Checks arguments, which may be long lists that are used, and copied, again and again."""
        if not isinstance(arguments, tuple):
            raise ValueError(f"a pickle calls with a {type(arguments).__name__}")
        self._spend(len(arguments) + sum(len(each) for each in arguments if isinstance(each, list | dict)))
        return arguments
