"""The pickles in PyTorch's files: nothing is called, and what weights don't need is an error that names it."""

import enum
import functools
import pickle
import pickletools
import random
import warnings
from argparse import Namespace
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.torch.file import TorchFile, is_torch_file
from tests.helpers.bounds import bounded
from tests.helpers.torch_writer import (
    BIG,
    FORMATS,
    Call,
    Id,
    Raw,
    assert_same,
    bits,
    encode,
    load,
    named,
    opcodes,
    refused,
    save,
    storage,
    tensor,
    theirs,
    write,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.one_backend


class Colour(enum.Enum):
    RED = "red"


class Mapped(dict[Any, Any]):
    """A dictionary of an own class."""


class Made:
    """An object that a program makes of what it is given."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __reduce__(self) -> Any:
        return Made, (self.of,)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_wrong_below_is_right_otherwise(form: str, tmp_path: Path) -> None:
    value = {"state_dict": Call("collections.OrderedDict")}
    values = np.arange(6, dtype="f4").reshape(2, 3)
    path = write(tmp_path / "right", form, [tensor(), value, {"a": (tensor(shape=(2,), strides=(5,)),)}])
    expected = {"0": values, "2.a.0": values.reshape(-1)[::5]}
    assert_same(path, expected)
    assert_same(path, theirs(path))


HIDDEN = ["os.system", "posix.system", "builtins.eval", "builtins.exec", "__builtin__.eval", "torch.load", "os.popen"]
HIDDEN += ["builtins.getattr", "torch.serialization.load", "collections.abc.OrderedDict", "numpy.load", "os.remove"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", HIDDEN)
def test_nothing_in_a_file_is_called_nor_imported(name: str, form: str, tmp_path: Path) -> None:
    """In every way in which a pickle can have something called; the tensor beside it is read."""
    marker = tmp_path / "marker"
    argument = f"touch {marker}" if name.endswith(("system", "popen")) else f"open({str(marker)!r}, 'w')"
    module, _, last = name.rpartition(".")
    stacked, arguments = encode(module) + encode(last) + b"\x93", encode((argument,))
    calls = [by + arguments + opcode for by in (named(name), stacked) for opcode in (b"R", b"\x81", b"}\x92")]
    calls += [b"(" + by + encode(argument) + b"o" for by in (named(name), stacked)]
    calls += [b"(" + encode(argument) + b"i" + named(name)[1:], named(name), stacked]
    states = [code + encode({"weight": argument}) + b"b" for code in calls[:-2]]
    for code in (*calls, *states):
        path = write(tmp_path / "hostile", form, {"weight": tensor(), "more": Raw(code)})
        assert_same(path, {"weight": np.arange(6, dtype="f4").reshape(2, 3)})
    assert not marker.exists()


def test_who_calls_what_is_in_such_a_file_leaves_the_marker(tmp_path: Path) -> None:
    """So that the test before this one could fail."""
    for index, code in enumerate(("builtins.eval", "os.system")):
        marker = tmp_path / f"{index}"
        argument = f"touch {marker}" if code == "os.system" else f"open({str(marker)!r}, 'w').close()"
        pickle.loads(b"\x80\x02" + encode(Call(code, argument)) + b".")
        assert marker.exists()


def unread() -> Iterator[tuple[Any, str]]:
    """Tensors that no plain function of PyTorch's makes, and what makes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, but files of it exist
        yield torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "torch._utils._rebuild_qtensor"
    yield torch.ones(2, dtype=torch.complex64), "torch._utils._rebuild_tensor_v2"
    yield torch.ones(2).to(torch.float8_e4m3fn), "torch._utils._rebuild_tensor_v3"
    yield torch.eye(3).to_sparse(), "torch._utils._rebuild_sparse_tensor"
    yield torch.ones(2, device="meta"), "torch._utils._rebuild_meta_tensor_no_storage"
    yield torch.nn.Parameter(torch.ones(2, dtype=torch.complex64)), "torch._utils._rebuild_tensor_v2"
    yield np.ones(3), "numpy.*._reconstruct"
    yield Made(torch.ones(3)), "tests.checkpoints.formats.torch.test_pickles.Made"
    yield Made([{"deep": (torch.ones(3),)}]), "tests.checkpoints.formats.torch.test_pickles.Made"
    yield [Made(torch.ones(3))], "tests.checkpoints.formats.torch.test_pickles.Made"


@pytest.mark.parametrize("form", FORMATS)
def test_a_tensor_of_a_network_that_another_function_makes_is_named(form: str, tmp_path: Path) -> None:
    path, bias = tmp_path / "more", torch.ones(3)
    for value, function in unread():
        for whole, name in (
            ({"fc.weight": bias, "fc.bias": value}, "fc.bias"),
            ({"state_dict": {"fc.weight": bias, "other": value}}, "state_dict.other"),
            ({"fc": {"weight": value}}, "fc.weight"),
            ({"net": OrderedDict(weight=bias), "head": defaultdict(int, bias=value)}, "head.bias"),
        ):
            name += ".0" if isinstance(value, list) else ""
            if form == "stream" and "v3" in function:  # a type that a stream can't say
                continue
            refused(save(whole, path, form), f"the numbers of '{name}' are in what '{function}' makes, and only .*save")
            assert "weights_only" not in refusal(path)


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match="can't be read") as error:
        TorchFile.open(path)
    return str(error.value)


def test_a_tensor_in_any_part_of_an_object_is_found(tmp_path: Path) -> None:
    """Also where another part was looked through before."""
    for seed in range(100):
        rng = random.Random(seed)
        parts = [Mapped(dict.fromkeys(range(rng.randrange(1, 4)))) for _ in range(rng.randrange(1, 7))]
        parts.insert(rng.randrange(len(parts)), Mapped(it=torch.ones(3)))
        path = save({"fc.weight": torch.ones(3), "fc.bias": Made(parts)}, tmp_path / "parts", "zip")
        refused(path, "the numbers of 'fc.bias' are in what")


def test_keys_of_none_take_bounded_memory(tmp_path: Path) -> None:
    """Each is a key of its own; nearly as many as a file may have."""
    path = write(tmp_path / "keys", "zip", opcodes(b"](" + (b"}(" + b"NN" * 1_000 + b"u") * 350 + b"e"))
    with bounded(0, 100_000_000):
        assert TorchFile.open(path).shapes == {}


@pytest.mark.parametrize("form", FORMATS)
def test_what_lies_where_no_network_does_is_passed_over(form: str, tmp_path: Path) -> None:
    for value, function in unread():
        if form == "zip" or "v3" not in function:
            whole = {"state_dict": {"fc.weight": torch.ones(3)}, "other": value, "more": [value, {"it": value}]}
            assert list(TorchFile.open(save(whole, tmp_path / "more", form)).shapes) == ["state_dict.fc.weight"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_model_is_refused_by_its_class(form: str, tmp_path: Path) -> None:
    path, net = tmp_path / "whole", torch.nn.Sequential(torch.nn.Linear(2, 3))
    reason = "a whole model, an object of the class 'torch.nn.modules.container.Sequential', and no code of it is"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sources that are not found
        for value in (net, {"epoch": 3, "model": net, "rng": torch.get_rng_state()}, [net, Made(torch.ones(2))]):
            refused(save(value, path, form), reason)
            assert "weights_only" not in refusal(path)
        beside = {"state_dict": net.state_dict(), "hyper_parameters": {"net": net, "loss": torch.nn.BCELoss()}}
        save(beside, path, form)
    assert_same(path, {f"state_dict.{name}": bits(value) for name, value in net.state_dict().items()})


def test_a_program_of_torchscript_is_refused_by_name(tmp_path: Path) -> None:
    path, net = tmp_path / "program.pt", torch.nn.Linear(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, but files of it exist
        torch.jit.save(torch.jit.trace(net, torch.ones(1, 2)), path)
    refused(path, r"a TorchScript program, and nothing in a file is executed; .*torch.save\(model.state_dict\(\), ")
    assert "load" not in refusal(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_slice_with_wide_gaps_is_refused_before_it_costs_anything(form: str, tmp_path: Path) -> None:
    row = torch.zeros(1_000_000)
    path = save({"net": [row[i::900_000] for i in range(100)], "rows": row[:500_000]}, tmp_path / "gaps", form)
    with bounded(0):
        refused(path, r"shape \(2,\) has wide gaps, 2 of 900001 numbers being its own; save a clone")
    box = row[:90_000].reshape(300, 300)
    tensors = {"half": box[::2], "columns": box[:, :150], "turned": box.t(), "last": box.reshape(3, 100, 300)[:, :50]}
    assert_same(save(tensors, path, form), {name: bits(value) for name, value in tensors.items()})
    for wide in (box[::3], box[:, :100], box.diagonal()):
        refused(save(wide, path, form), "has wide gaps")


def cases() -> Iterator[tuple[str, Any, str, bool]]:
    """What is wrong, the value, the reason that is given, and whether PyTorch refuses it, too."""
    v2, parameter = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
    ordered = "collections.OrderedDict"
    yield "a number too many", tensor(shape=(7,), strides=(1,)), "shape .7,. is not inside its storage of 24", True
    yield "an offset past the end", tensor(offset=1), "is not inside", True
    yield "a stride past the end", tensor(strides=(4, 1)), "is not inside", True
    yield "a large offset", tensor(offset=BIG), "is not inside", True
    yield "a larger offset", tensor(offset=1 << 100), "is not inside", True
    yield "large strides", tensor(strides=(BIG, BIG)), "is not inside", True
    yield "a large shape", tensor(shape=(BIG,), strides=(1,)), "is not inside", True
    yield "an absurd shape", tensor(shape=(BIG, BIG), strides=(1, 1)), "absurd", True
    yield "an absurd empty shape", tensor(shape=(BIG, 0, BIG), strides=(1, 1, 1)), "absurd", False
    yield "an expanded row", tensor(shape=(100, 6), strides=(0, 1)), "is not inside", False
    yield "a negative offset", tensor(offset=-1), "negative or no int", True
    yield "a negative size", tensor(shape=(-2, 3)), "negative or no int", True
    yield "a negative stride", tensor(offset=5, strides=(-3, -1)), "negative or no int", True
    yield "a size that is true", tensor(shape=(True, 3)), "negative or no int", True
    yield "a size that is text", tensor(shape=("2", 3)), "negative or no int", True
    yield "an offset that is a list", tensor(offset=[]), "negative or no int", True
    yield "a stride too few", tensor(strides=(1,)), "2 dimensions, and 1 strides", True
    yield "33 dimensions", tensor(shape=(1,) * 33, strides=(1,) * 33), "at most 32 ints", False
    yield "a shape that is a list", tensor(shape=[2, 3]), "no tuple", False
    yield "a shape that is a number", tensor(shape=2), "no tuple", True
    yield "numbers that are negated", tensor(None, 0, (2, 3), (3, 1), {"neg": True}), f"is made by '{v2}'", False
    yield "no storage", tensor(5), f"'{v2}' is called", True
    yield "no arguments", Call(v2), f"'{v2}' is called", True
    yield "a parameter of nothing", Call(parameter, None, True, {}), f"'{parameter}' is called", False
    yield "a dictionary of no pairs", Call(ordered, [1, 2]), "no pairs", True
    yield "a call of a number", opcodes(5, (), b"R"), "calls a int", True
    yield "a call of a type", opcodes(named("torch.float32"), (), b"R"), "calls a NumberType", True
    yield "a call of a tensor", opcodes(tensor(), (), b"R"), "calls a TensorSpec", True
    yield "a call with no tuple", opcodes(named(ordered), [], b"R"), "calls with a list", False
    yield "a state of a list", opcodes([], {}, b"b"), "a list is given a state", True
    yield "a state of a function", opcodes(named(ordered), {"name": "os.system"}, b"b"), "a Global is given", True
    yield "a state of a storage", opcodes(storage(), {"key": "1"}, b"b"), "a Storage is given a state", False
    yield (
        "a state that is a tensor",
        opcodes(tensor(), (storage(), 1, (5,), (1,)), b"b"),
        "TensorSpec is given",
        False,
    )
    yield "a state that is no state", opcodes(Call(ordered), 5, b"b"), "a dict is given a state", True
    yield "an id that is text", opcodes("0", b"Q"), "not described as PyTorch", True
    yield "an id that is empty", opcodes((), b"Q"), "not described as PyTorch", True
    yield "an id that is a list", opcodes([], b"Q"), "not described as PyTorch", True
    yield "an id of a module", Id(("module", 1, 2, 3, 4)), "not described as PyTorch", True
    yield "a storage without a type", Id(("storage", "float", "0", "cpu", 6)), "not described as PyTorch", True
    yield "a key that is a number", storage(key=0), "not described as PyTorch", False
    yield "a negative count", storage(count=-6), "not described as PyTorch", True
    yield "a large count", tensor(storage(count=BIG)), "bytes", True
    yield "a count too small", tensor(storage(count=5), shape=(5,), strides=(1,)), "bytes", True
    yield "a count too large", tensor(storage(count=7)), "bytes", True
    yield "a storage that is not there", [tensor(), storage(key="7")], "no member|lacks one", True
    yield "one storage of two types", [storage(), storage("IntStorage")], "described in two ways", False
    yield "one storage of two sizes", [storage(), storage(count=3)], "described in two ways", False
    yield "one key twice", opcodes(b"}", "a", 1, b"s", "a", 2, b"s"), "a dictionary holds 'a' twice", False
    yield "one name twice", {"a": {"b": tensor()}, "a.b": tensor()}, "two tensors of the name 'a.b'", False
    yield "a key without a value", opcodes(b"}(", "a", b"u"), "a key has no value", True
    yield "keys in a list", opcodes([], "a", 1, b"s"), "puts keys into a list", True
    yield "a list in a tuple", opcodes((), 1, b"a"), "appends to a tuple", True
    yield "an empty stack", opcodes(), "has not made", True
    yield "a stack too short", opcodes(1, b"\x86"), "has not made", True
    yield "a stack that ends at a mark", opcodes([], 1, b"(a"), "has not made", True
    yield "a memory of nothing", opcodes(b"q\0"), "has not made", True
    yield "what was not put away", opcodes(b"h\7"), "has not put away", True
    yield "no mark", opcodes(1, b"t"), "a mark that it has not made", True
    yield "another protocol", Raw(b"\x80\x06" + encode({}) + b"."), "protocol 6; the newest is 5", False
    yield "a part elsewhere", opcodes(b"\x97"), "a part of its pickle was written elsewhere", True
    yield "a name that is no text", opcodes(1, "x", b"\x93"), "the name of a function or a class is no text", True
    yield "an object of a number", opcodes(1, (), b"\x81"), "makes an object of a int", True
    yield "an object of nothing", opcodes(b"(o"), "makes an object of a NoneType", True
    yield "one tensor as number and text", {"1": tensor(), 1: tensor()}, "two tensors of the name '1'", False
    yield "one tensor as tuple and text", {(1, 2): tensor(), "(1, 2)": tensor()}, "two tensors of the name", False
    yield "an extension", opcodes(b"\x82\1"), "an opcode, b'.x82'", True
    yield "a text of 4 GB", opcodes(b"X\xff\xff\xff\xff"), "cut off", True
    yield "an int of 2 GB", opcodes(b"\x8b\xff\xff\xff\x7f"), "cut off", True
    yield "a text without end", opcodes(b"\x8d" + b"\xff" * 7 + b"\x7f"), "cut off", True
    yield "bytes without end", opcodes(b"\x8e" + b"\xff" * 7 + b"\x7f"), "cut off", True


def bombs() -> Iterator[tuple[str, Any, str, bool]]:
    """The same of what could take any memory or time, in either format, of which one is enough."""
    laughs = b"".join(b"](" + f"h{chr(i)}".encode() * 2 + b"eq" + bytes([i + 1]) for i in range(99))
    yield "laughs, a billion times a billion", opcodes([], b"q\0", laughs), "hold more, or deeper", False
    yield "a list in itself", opcodes(b"]q\0h\0a"), "hold more, or deeper", False
    yield "a dictionary in itself", opcodes(b"}q\0", "", b"h\0s"), "hold more, or deeper", False
    yield "tuples in tuples", opcodes(b")" + b"\x85" * 20_000), "hold more, or deeper", False
    yield "lists in lists", opcodes(b"]" * 20_000 + b"a" * 19_999), "hold more, or deeper", False
    yield "marks without end", opcodes(b"(" * 1_050_000), "longer than that of any weights", True
    yield "lists without end", opcodes(b"]" * 1_050_000), "longer than that of any weights", False
    long = encode([1] * 9_000) + b"q\0" + (named("builtins.set") + b"q\1" + b"(h\0tR")
    yield "sets of a list again and again", opcodes(long, b"h\1h\0\x85R" * 9_000), "longer than that", False
    text = encode("\U0001f600" * 1_200) + b"q\0]q\1(" + b"h\0" * 100 + b"e"
    again = b"}(" + b"".join(b"J%bh\1" % index.to_bytes(4, "little") for index in range(20_000)) + b"u"
    yield "a list of a long text again and again", opcodes(text, again), "hold more, or deeper", False
    yield "names that are long", opcodes(encode({"x" * 60_000: [[]] * 1_000})), "hold more, or deeper", False


CASES = [(form, *case) for form in FORMATS for case in cases()] + [("zip", *case) for case in bombs()]


@pytest.mark.parametrize(("form", "what", "value", "reason", "strict"), CASES, ids=[" ".join(x[1::-1]) for x in CASES])
def test_a_pickle_of_what_no_weights_are_is_refused(
    form: str, what: str, value: Any, reason: str, strict: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / "wrong", form, value)
    with bounded(path.stat().st_size, 100_000_000):
        refused(path, reason)
    assert is_torch_file(path)
    if form == "zip":  # of what is said of storages PyTorch checks less in a stream
        assert strict != load(path)[0]


def test_any_other_opcode_is_refused(tmp_path: Path) -> None:
    """Parts written elsewhere, a persistent id that is text, and what a program has a number for."""
    others = {opcode.code for opcode in pickletools.opcodes if opcode.name[:3] in ("EXT", "PER", "NEX", "REA")}
    assert len(others) == 6
    for code in others | {"\xff", "\x00", "?"}:
        path = write(tmp_path / "other", "zip", opcodes(code.encode("latin1") + bytes(9)))
        refused(path, "a pickle has an opcode, b|was written elsewhere")
        assert not load(path)[0]


def test_a_line_that_is_long_is_refused(tmp_path: Path) -> None:
    """PyTorch takes minutes for it."""
    for code in (b"c" + b"x" * 70_000 + b"\ny\n", b"I" + b"1" * 70_000 + b"\n", b"V" + b"x" * 70_000 + b"\n"):
        refused(write(tmp_path / "line", "zip", opcodes(code)), "a line longer than")


def test_an_object_that_holds_itself_is_refused(tmp_path: Path) -> None:
    itself = named("a.b") + b")\x81q\0"
    for code in (opcodes(itself, "", b"h\0s"), opcodes(itself, b"h\0a")):
        with bounded(0, 50_000_000):
            refused(write(tmp_path / "itself", "zip", code), "hold more, or deeper")


def test_odd_names_and_texts_are_passed_over(tmp_path: Path) -> None:
    odd = [
        b"c\n\n",
        b"c\x1b[31m\n\xff\n",
        b"ctorch\n" + b"x" * 300 + b"\n",
        b"X\2\0\0\0\xff\xfe",
        b"X\3\0\0\0\xed\xa0\x80",
    ]
    odd += [named("torch.Size") + encode(("abc",)) + b"R", named("builtins.set") + encode((5,)) + b"R"]
    for code in odd:
        for key, value in (("more", Raw(code)), (Raw(code), 1)):
            path = write(tmp_path / "odd", "zip", {"weight": tensor(), key: value})
            assert_same(path, {"weight": np.arange(6, dtype="f4").reshape(2, 3)})


@pytest.mark.parametrize("keys", [(1, "1"), (True, "True"), (None, "None"), (1.5, "1.5"), ((1, "a"), "(1, 'a')")])
def test_a_key_of_any_type_is_spelled(keys: tuple[Any, str], tmp_path: Path) -> None:
    key, name = keys
    path = save({key: torch.ones(2), int: 5, torch.float32: 6, name: 7}, tmp_path / "keys", "zip")
    assert_same(path, {name: np.ones(2, "f4")})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"resnet", "resnet"),
        (np.float32(0.5), 0.5),
        (np.int64(-7), -7),
        (np.bool_(True), True),
        (np.str_("resnet"), "resnet"),
        (np.dtype("f4"), "numpy.dtype"),
        (torch.nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (functools.partial(torch.nn.ReLU, inplace=True), "torch.nn.modules.activation.ReLU"),
        (functools.partial(torch.nn.BatchNorm2d, eps=1e-3), "functools.partial"),
        (Colour.RED, "red"),
        (Path("a"), "a"),
        ((1, (2,), torch.nn.ReLU), (1, "...", "torch.nn.modules.activation.ReLU")),
        ([1.5] * 200, [1.5] * 100),
        ("x" * 2000, "x" * 999),
    ],
    ids=lambda value: f"{value!r:.30}",
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_words_are_what_objects_are_made_of(value: Any, expected: Any, protocol: int, tmp_path: Path) -> None:
    whole = {"weight": torch.ones(2), "it": Namespace(inner=value, more=Mapped(it=value))}
    torch.save(whole, tmp_path / "words", pickle_protocol=protocol)
    words = TorchFile.open(tmp_path / "words").words
    assert words["it.inner"] == words["it.more.it"] == expected
    assert type(words["it.inner"]) is type(expected)


def test_large_checkpoints_of_trainings_are_read(tmp_path: Path) -> None:
    history = np.arange(200_000.0).reshape(-1, 2)
    hub = {f"train/loss_{i}": Made(history + i) for i in range(10)}
    numbers, names = list(range(1_000_000)), [f"n{i}/{i}.png" for i in range(200_000)]
    path = tmp_path / "large"
    whole = {"state_dict": {"weight": torch.ones(2)}, "message_hub": hub, "args": Namespace(steps=numbers, names=names)}
    for protocol in (2, 5):
        torch.save(whole, path, pickle_protocol=protocol)
        assert_same(path, {"state_dict.weight": np.ones(2, "f4")})
