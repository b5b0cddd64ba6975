"""Finds the tensors in what a pickle holds, by name, and the words that lie beside them."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from keras_resnet.checkpoints.formats.tensors import TensorSpec
from keras_resnet.checkpoints.formats.torch.objects import Opaque, spelled, states
from keras_resnet.checkpoints.formats.torch.tensors import Storage

_NAMES = 1 << 25  # bytes, roughly, that the names of all that is in the containers take, and the words there
_NODE = 64  # of these, what each costs besides its name
_ITEM = 8  # what one of a list costs
_SHOWN = 100  # items of a list among the words
_VARIABLES = {"weight", "bias", "running_mean", "running_var"}  # no network's tensors are without such names
_NUMBERS = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.storage._load_from_bytes")
_DIVIDED = ("torch._utils._rebuild_wrapper_subclass", "torch.distributed.")
_ARRAYS = ("multiarray._reconstruct", "numeric._frombuffer")  # NumPy's
# Whose objects are no settings of a network, though some go by the names of such: `antialias` of a resized image.
_ASIDE = (
    "torchvision.transforms.",
    "torchvision.datasets.",
    "albumentations.",
    "kornia.",
    "timm.data.",
    "numpy.",
    "torch.utils.",
    "torch.optim.",
    "torchmetrics.",
    "PIL.",
    "pandas.",
    "logging.",
)
MMENGINE_CONFIG = "meta.cfg"  # a text of Python, which is no name or setting
_LONGEST = 1 << 16  # characters of it
_MORE = (TensorSpec, Storage, dict, list, tuple, Opaque)  # than a word


class _Node(NamedTuple):
    """Something on the way.

    Attributes:
        name: of it.
        value: it.
        owner: the opaque object that it is an affair of.
        spoken: whether words in it count.
        owed: whether it lies where a network's tensors do.
    """

    name: str
    value: object
    owner: Opaque | None = None
    spoken: bool = True
    owed: bool = False


def find_tensors(value: object) -> tuple[dict[str, TensorSpec], dict[str, object]]:
    """Finds every tensor in nested containers, and what else lies there under a key: numbers, texts, lists of them.

    A name is the keys and positions on the way there, joined by dots. In an object of an unknown class these are the
    items that it was given. The words of its attributes count as well; tensors in these are its own affair.

    Raises:
        ValueError: if what may be a network's tensor was made by an unknown function; names both.
    """
    search = _Search(value)
    unread = [each for each in search.owed.items() if search.holds_numbers(each[1])]
    if not unread and not any(map(_is_variable, search.tensors)):
        holders = [
            each for each in search.holders.items() if each[1].is_module or each[0] == "" or _is_variable(each[0])
        ]
        unread = sorted(holders, key=lambda each: not each[1].is_module)
    if unread:
        raise ValueError(_unread(*unread[0]))
    return search.tensors, search.words


def _unread(name: str, made: Opaque) -> str:
    """Says whose a tensor is that is not read, and what to do."""
    if made.is_module or not name:
        what = "a whole model, an object of the class" if made.is_module else "one object, which is made by"
        return (
            f"it holds {what} {made.name!r}, and no code of it is executed; in the program that wrote the file, save "
            "the tensors alone: torch.save(model.state_dict(), 'new.pth')"
        )
    if made.name.startswith(_DIVIDED):
        return (
            f"{name!r:.199} is a tensor that may be divided among processes ({made.name!r}), of which one file holds a "
            "part; save whole tensors: torch.distributed.checkpoint.state_dict.get_model_state_dict with "
            "StateDictOptions(full_state_dict=True), or tensor.full_tensor() for each"
        )
    return (
        f"the numbers of {name!r:.199} are in what {made.name!r} makes, and only PyTorch's plain tensors are read; in "
        "the program that wrote the file, make plain tensors of them (a quantized one has .dequantize(), a sparse one "
        ".to_dense(), an array torch.from_numpy()), and save these: torch.save(model.state_dict(), 'new.pth')"
    )


def _is_variable(name: object) -> bool:
    """Whether something is called as the tensors of every network are."""
    return str(name).rpartition(".")[2] in _VARIABLES


class _Search:
    """A walk through containers, which may share what they hold, or hold themselves.

    Attributes:
        tensors: by name.
        words: by name.
        owed: objects that lie where a network's tensors do, by name.
        holders: objects with numbers inside, by name.
    """

    def __init__(self, value: object) -> None:
        self.tensors: dict[str, TensorSpec] = {}
        self.words: dict[str, object] = {}
        self.owed: dict[str, Opaque] = {}
        self.holders: dict[str, Opaque] = {}
        self._names: dict[int, str] = {}  # of the owners
        self._seen: set[tuple[int, bool]] = set()  # affairs of opaque objects, which need no name of their own
        self._more: dict[int, list[tuple[int, object]]] = {}  # of the lists
        self._left = _NAMES
        self._nodes = [_Node("", value)]
        while self._nodes:
            self._visit(self._nodes.pop())

    def holds_numbers(self, made: Opaque) -> bool:
        """Whether there are numbers in what an object was made of, or in its state."""
        if _is_array(made):
            return True
        nodes, seen = [made.arguments, made.state], {id(made)}
        while nodes:
            node = nodes.pop()
            if isinstance(node, TensorSpec | Storage) or (isinstance(node, Opaque) and _is_array(node)):
                return True
            if (inner := _inside(node)) and id(node) not in seen:
                seen.add(id(node))
                self._spend(_NODE + _ITEM * len(inner))
                nodes.extend(inner)
        return False

    def _spend(self, count: int) -> None:
        """Counts what is done."""
        self._left -= count
        if self._left < 0:
            raise ValueError("its containers hold more, or deeper, than those of any weights")

    def _visit(self, node: _Node) -> None:
        """Notes what something is, and what is in it."""
        match node.value:
            case TensorSpec() | Storage():
                if node.owner:
                    self.holders.setdefault(self._names[id(node.owner)], node.owner)
                elif isinstance(node.value, TensorSpec):
                    self._add(node.name, node.value)
            case dict():
                if self._is_new(node):
                    self._enter(node, node.value.items())
            case list() | tuple():
                self._note(node, type(node.value)(map(_shown, node.value[:_SHOWN])))
                if self._is_new(node):
                    self._enter_list(node, node.value)
            case Opaque():
                if node.value.items is None:
                    self._note(node, node.value.name if node.value.is_module else spelled(node.value))
                if self._is_new(node):
                    self._open(node, node.value)
            case str(text) if node.name == MMENGINE_CONFIG:
                self._note(node, text[:_LONGEST])
            case other:
                self._note(node, spelled(other))

    def _is_new(self, node: _Node) -> bool:
        """Whether a container was not visited yet; where tensors may be, it has another name each time."""
        if node.owner is None:
            return True
        key = id(node.value), node.spoken
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _open(self, node: _Node, made: Opaque) -> None:
        """Visits the items of an object as those of a container, and what else is in it as its own affair."""
        if made.items is not None:
            self._enter(node, made.items.items())
        if made.entries is not None:
            self._enter_list(node, made.entries)
        if node.owner is None:
            self._names[id(made)] = node.name
            if node.owed:
                self.owed[node.name] = made
        owner = node.owner or made
        if _is_array(made):
            self.holders.setdefault(self._names[id(owner)], owner)
        spoken = node.spoken and not made.is_module and not made.name.startswith(_ASIDE)
        for hidden in (made.arguments, made.state):
            self._spend(_NODE)
            self._nodes.append(_Node(node.name, hidden, owner, spoken=False))
        for attributes in states(made.state):
            if spoken and isinstance(attributes, dict):
                self._nodes.append(_Node(node.name, attributes, owner))

    def _enter(self, node: _Node, pairs: Iterable[tuple[Any, object]]) -> None:
        """Goes on with the items of what has keys."""
        owed = node.owner is None and (
            node.owed or any(isinstance(item, TensorSpec) and _is_variable(key) for key, item in pairs)
        )
        for key, item in pairs:
            inner = f"{node.name}.{key}" if node.name else f"{key}"
            self._spend(_NODE + len(inner))
            self._nodes.append(_Node(inner, item, node.owner, node.spoken, owed or _is_variable(key)))

    def _enter_list(self, node: _Node, items: Sequence[object]) -> None:
        """Goes on with those items of a list that are more than a word; it may be met again and again."""
        if id(items) not in self._more:
            self._more[id(items)] = [(i, item) for i, item in enumerate(items) if isinstance(item, _MORE)]
        for index, item in self._more[id(items)]:
            inner = f"{node.name}.{index}" if node.name else f"{index}"
            self._spend(_NODE + len(inner))
            self._nodes.append(node._replace(name=inner, value=item))

    def _add(self, name: str, tensor: TensorSpec) -> None:
        """Notes a tensor."""
        if name in self.tensors:
            raise ValueError(f"it holds two tensors of the name {name!r:.99}")
        self.tensors[name] = tensor

    def _note(self, node: _Node, word: object) -> None:
        """Notes a word."""
        if node.spoken and node.name:
            self._spend(_cost(word))  # it may be met again and again
            self.words[node.name] = word


def _is_array(made: Opaque) -> bool:
    """Whether something is made of numbers that lie in the pickle itself, or nowhere."""
    return made.name.startswith(_NUMBERS) or (made.name.startswith("numpy.") and made.name.endswith(_ARRAYS))


def _inside(node: object) -> list[object]:
    """Returns what is in a container or an object."""
    match node:
        case dict():
            return list(node.values())
        case list() | tuple():
            return list(node)
        case Opaque():
            return [node.arguments, node.state, node.items, node.entries]
    return []


def _cost(word: object) -> int:
    """Returns how many bytes a word takes."""
    return sys.getsizeof(word) + (sum(map(_cost, word)) if isinstance(word, list | tuple) else 0)


def _shown(item: object) -> object:
    """Returns an item of a list as a word says it."""
    return "..." if isinstance(item, _MORE) and not isinstance(item, Opaque) else spelled(item)
