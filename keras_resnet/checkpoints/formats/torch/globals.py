"""Functions and types that PyTorch's pickles name: plain values stand for them, and nothing is called.

Sources: torch/_utils.py, torch/serialization.py; what a file of weights doesn't need is a `ValueError`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from keras_resnet.checkpoints.formats.tensors import NumberType, TensorSpec
from keras_resnet.checkpoints.formats.torch.tensors import NUMBER_TYPES, Storage, tensor_in_storage

_FUNCTIONS = {
    "__builtin__.set",
    "builtins.set",
    "collections.Counter",  # the milestones of a schedule
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor",  # before PyTorch 0.4
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",  # of types that have no storage of their own
    "torch.device",
    "torch.nn.parameter.Parameter",  # before PyTorch 0.4
}
_TORCHSCRIPT = "__torch__."


@dataclass(frozen=True)
class Function:
    """A function that a pickle names to have it called, and that here never is.

    Attributes:
        name: with its module.
    """

    name: str


def resolve(name: str) -> NumberType | Function:
    """Returns what a name stands for, without a look into any program."""
    if name in NUMBER_TYPES:
        return NUMBER_TYPES[name]
    if name.startswith(_TORCHSCRIPT):
        raise ValueError(
            "it is a TorchScript program, and only tensors in plain containers are read; if you trust the file, "
            "save its tensors alone: torch.save(torch.jit.load(path).state_dict(), 'new.pth')"
        )
    if name not in _FUNCTIONS:
        raise ValueError(
            f"it holds a {name!r:.199}, and only tensors in plain containers are read; if you trust the file, save its "
            "tensors alone: torch.save(torch.load(path, weights_only=False)['state_dict'], 'new.pth'), with another "
            "key if they have another one there, or with .state_dict() if the file holds a whole model"
        )
    return Function(name)


def rebuild(function: object, arguments: tuple[object, ...]) -> object:
    """Returns what a function of PyTorch's would have returned, as far as weights need it."""
    if not isinstance(function, Function):
        raise ValueError(f"a pickle calls a {type(function).__name__}")
    match function.name.rpartition(".")[2], arguments:
        case "OrderedDict", ():
            return {}
        case "OrderedDict", (list(pairs),):  # Python 2
            return _ordered(pairs)
        case "Counter", (dict(counts),):
            return dict(counts)
        case "set", (list(items),):
            return tuple(items)
        case "Size", (tuple(sizes),):
            return sizes
        case "device", (str(),) | (str(), int()):
            return None
        case "_rebuild_tensor", (Storage() as storage, offset, shape, strides):
            return tensor_in_storage(storage, storage.number_type, offset, shape, strides)
        case "_rebuild_tensor_v2", (Storage() as storage, offset, shape, strides, _, _):
            return tensor_in_storage(storage, storage.number_type, offset, shape, strides)
        case "_rebuild_tensor_v3", (Storage() as storage, offset, shape, strides, _, _, NumberType() as number_type):
            return tensor_in_storage(storage, number_type, offset, shape, strides)
        case "_rebuild_parameter", (TensorSpec() as tensor, _, _):
            return tensor
        case "Parameter", (TensorSpec() as tensor,) | (TensorSpec() as tensor, bool()):
            return tensor
    raise ValueError(f"{function.name!r} is called as PyTorch doesn't")


def check_state(of: object, state: object) -> None:
    """Checks a state, none of which is a weight: versions of modules, or whether a parameter has a gradient."""
    match of, state:
        case dict(), dict():
            return
        case TensorSpec(), (bool(), bool(), dict()):
            return
    raise ValueError(f"a {type(of).__name__} is given a state, and weights have none")


def read_storage(words: Any) -> dict[str, Storage]:
    """Reads a persistent id: a storage by its key, and then, by its own key, the part of it that is meant, if any."""
    view: Any = None
    match words:
        case ("storage", NumberType() as number_type, str(key), str(), int(count)) if count >= 0:
            pass
        case ("storage", NumberType() as number_type, str(key), str(), int(count), view) if count >= 0:
            pass
        case _:
            raise ValueError("a storage is not described as PyTorch does it")
    width = number_type.stored.itemsize
    storages = {key: Storage(key, number_type, 0, count * width)}
    match view:
        case None:
            return storages
        case (str(part), int(start), int(size)) if part != key and min(start, size) >= 0 and start + size <= count:
            return storages | {part: Storage(key, number_type, start * width, size * width)}
    raise ValueError(f"a part of the storage {key!r:.99} is outside of it")


def set_items(into: dict[str, object], pairs: Iterable[tuple[object, object]]) -> None:
    """Puts pairs into a dictionary, each under the string that its key is in a name."""
    for key, value in pairs:
        if type(key) is not str and type(key) is not int:
            raise ValueError(f"a key is a {type(key).__name__}, and names are made of strings and ints")
        if str(key) in into:
            raise ValueError(f"a dictionary holds {str(key)!r:.99} twice")
        into[str(key)] = value


def _ordered(pairs: list[object]) -> dict[str, object]:
    """Makes a dictionary of a list of pairs."""
    into: dict[str, object] = {}
    for pair in pairs:
        match pair:
            case [key, value]:
                set_items(into, [(key, value)])
            case _:
                raise ValueError("a dictionary is made of what are no pairs")
    return into
