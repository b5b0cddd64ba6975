"""Functions and types that PyTorch's pickles name: plain values stand for those of tensors, and nothing is called.

Sources: torch/_utils.py, torch/_tensor.py, torch/serialization.py. What any other function returns is opaque.
"""

from collections.abc import Iterable
from typing import Any

from keras_resnet.checkpoints.formats.tensors import NumberType, TensorSpec
from keras_resnet.checkpoints.formats.torch.objects import Global, Key, Opaque
from keras_resnet.checkpoints.formats.torch.tensors import NUMBER_TYPES, WIDTHS, Storage, tensor_in_storage

_TENSORS = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",  # before PyTorch 0.4
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",  # of types that have no storage of their own
    "torch.nn.parameter.Parameter",  # before PyTorch 0.4
}
_SUBCLASSES = (
    "torch._tensor._rebuild_from_type",
    "torch._tensor._rebuild_from_type_v2",
    "torch.tensor._rebuild_from_type",
)
_DICTIONARIES = {  # that may be made of a dictionary
    "addict.addict.Dict",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.UserDict",
    "collections.defaultdict",
    "easydict.EasyDict",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "munch.Munch",
}
_TORCHSCRIPT = "__torch__."


def resolve(*parts: str) -> NumberType | Global:
    """Returns what a module and a name in it stand for, without a look into any program."""
    found = Global.of(*parts)
    if found.name.startswith(_TORCHSCRIPT):
        raise ValueError(
            "it is a TorchScript program, and nothing in a file is executed; where the model is made, save its tensors "
            "alone: torch.save(model.state_dict(), 'new.pth')"
        )
    return NUMBER_TYPES.get(found.name, found)


def rebuild(function: object, arguments: tuple[object, ...]) -> object:
    """Returns what a function of PyTorch's would have returned, as far as weights need it; else something opaque."""
    if isinstance(function, Opaque):
        return Opaque(function.name, (function, arguments))
    if not isinstance(function, Global):
        raise ValueError(f"a pickle calls a {type(function).__name__}")
    if function.name in _SUBCLASSES:  # a subclass's tensors have the numbers of a tensor
        match arguments:
            case Global() as inner, _, tuple() as inside, _ if inner.name not in _SUBCLASSES:
                function, arguments = inner, inside
    match function.name, arguments:
        case "collections.OrderedDict", ():
            return {}
        case "collections.OrderedDict", (list(pairs),):  # Python 2
            return _ordered(pairs)
        case _, (dict() as given,) if function.name in _DICTIONARIES:
            return Opaque(function.name, (), dict(given))
        case "torch.Size", (tuple() as sizes,):
            return sizes
        case (("builtins.getattr" | "__builtin__.getattr"), (Global() as owner, str(attribute))):
            return Global.of(owner.name, attribute)
        case (("copyreg._reconstructor" | "copy_reg._reconstructor"), (Global() as made, Global(), content)):
            items = dict(content) if isinstance(content, dict) else None
            return Opaque(made.name, (content,) if content else (), items)
        case (("copyreg.__newobj__" | "copyreg.__newobj_ex__"), (Global() as made, *more)):
            return Opaque(made.name, tuple(more))
        case "torch._utils._rebuild_tensor", (Storage(number_type=NumberType() as kind) as of, offset, shape, strides):
            return tensor_in_storage(of, kind, offset, shape, strides)
        case (
            "torch._utils._rebuild_tensor_v2",
            (Storage(number_type=NumberType() as kind) as of, offset, shape, strides, _, _)
            | (Storage(number_type=NumberType() as kind) as of, offset, shape, strides, _, _, None),
        ):
            return tensor_in_storage(of, kind, offset, shape, strides)
        case (
            "torch._utils._rebuild_tensor_v3",
            (Storage(number_type=NumberType()) as of, offset, shape, strides, _, _, NumberType() as kind)
            | (Storage(number_type=NumberType()) as of, offset, shape, strides, _, _, NumberType() as kind, None),
        ):
            return tensor_in_storage(of, kind, offset, shape, strides)
        case "torch._utils._rebuild_parameter", (TensorSpec() | Opaque() as tensor, _, _):
            return tensor
        case "torch._utils._rebuild_parameter_with_state", (TensorSpec() | Opaque() as tensor, _, _, _):
            return tensor
        case "torch.nn.parameter.Parameter", (TensorSpec() as tensor,) | (TensorSpec() as tensor, bool()):
            return tensor
    if function.name in _TENSORS and not any(isinstance(each, Storage | TensorSpec | Opaque) for each in arguments):
        raise ValueError(f"{function.name!r} is called as PyTorch doesn't")
    return Opaque(function.name, arguments)


def make(of: object, arguments: tuple[object, ...], keywords: object = None) -> Opaque:
    """Returns an object of a class, which is opaque."""
    if isinstance(of, Opaque):
        return Opaque(of.name, (of, arguments, keywords))
    if not isinstance(of, Global):
        raise ValueError(f"a pickle makes an object of a {type(of).__name__}")
    return Opaque(of.name, (*arguments, keywords) if keywords else arguments)


def set_state(of: object, state: object) -> None:
    """Gives an object its state; that of a dictionary or of a parameter says nothing of weights."""
    match of, state:
        case Opaque(), _:
            of.state = state
        case (dict(), dict() | tuple()) | (TensorSpec(), (bool(), bool(), dict())):
            return
        case _:
            raise ValueError(f"a {type(of).__name__} is given a state, and weights have none")


def read_persistent(words: Any) -> tuple[object, dict[str, Storage]]:
    """Reads a persistent id: of a module's class, or of a storage and the part of it that is meant.

    Returns:
        what is meant, and the storages by key, first the whole one, then the part, by its own key.
    """
    view: Any = None
    match words:
        case ("module", Global() as of, _, _):
            return of, {}
        case ("storage", NumberType() | Global() as kind, str(key), str(), int(count)) if count >= 0:
            pass
        case ("storage", NumberType() | Global() as kind, str(key), str(), int(count), view) if count >= 0:
            pass
        case _:
            raise ValueError("a storage is not described as PyTorch does it")
    number_type = kind if isinstance(kind, NumberType) else None
    width = kind.stored.itemsize if isinstance(kind, NumberType) else WIDTHS.get(kind.name, 0)
    whole = part = Storage(key, number_type, 0, count * width, width)
    match view:
        case None:
            return whole, {key: whole}
        case (str(name), int(start), int(size)) if name != key and min(start, size) >= 0 and start + size <= count:
            part = Storage(key, number_type, start * width, size * width, width)
            return part, {key: whole, name: part}
    raise ValueError(f"a part of the storage {key!r:.99} is outside of it")


def set_items(into: dict[Any, object], pairs: Iterable[tuple[object, object]]) -> None:
    """Puts pairs into a dictionary; a key that is neither text nor an int is replaced by what spells it."""
    for key, value in pairs:
        name = key if type(key) is str or type(key) is int else Key(key)
        if name in into:
            raise ValueError(f"a dictionary holds {str(name)!r:.99} twice")
        into[name] = value


def _ordered(pairs: list[object]) -> dict[Any, object]:
    """Makes a dictionary of a list of pairs."""
    into: dict[Any, object] = {}
    for pair in pairs:
        match pair:
            case [key, value]:
                set_items(into, [(key, value)])
            case _:
                raise ValueError("a dictionary is made of what are no pairs")
    return into
