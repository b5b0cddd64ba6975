"""The pickles in PyTorch's files: nothing is called, and what weights don't need is an error that names it."""

import pickle
import pickletools
import warnings
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.torch.file import is_torch_file
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
    marker = tmp_path / "marker"
    argument = f"touch {marker}" if name.endswith(("system", "popen")) else f"open({str(marker)!r}, 'w')"
    for value in (
        {"weight": tensor(), "more": Call(name, argument)},
        Raw(named(name) + encode((argument,)) + b"\x81"),
        [tensor(), named(name)],
    ):
        path = write(tmp_path / "hostile", form, value)
        refused(path, f"it holds a '{name}', and only tensors in plain containers are read; if you trust the file")
        assert not load(path)[0]
    for code in (b"(i" + named(name)[1:-1] + b"\n", b"(" + named(name) + b"o", encode("os") + encode("x") + b"\x93"):
        refused(write(path, form, Raw(code)), "it holds a|has an opcode")
    assert not marker.exists()


def test_who_calls_what_is_in_such_a_file_leaves_the_marker(tmp_path: Path) -> None:
    """So that the test before this one could fail."""
    for index, code in enumerate(("builtins.eval", "os.system")):
        marker = tmp_path / f"{index}"
        argument = f"touch {marker}" if code == "os.system" else f"open({str(marker)!r}, 'w').close()"
        pickle.loads(b"\x80\x02" + encode(Call(code, argument)) + b".")
        assert marker.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_more_than_tensors_in_plain_containers_is_named(form: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, but files of it exist
        quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    for value, name in (
        ({"state_dict": {"weight": torch.ones(2)}, "args": Namespace(lr=0.1)}, "argparse.Namespace"),
        ({"best": np.float64(0.5)}, "numpy.*.scalar"),
        ({"array": np.ones(3)}, "numpy.*._reconstruct"),
        (torch.nn.Linear(2, 3), "torch.nn.modules.linear.Linear"),
        ({"weight": torch.ones(2, dtype=torch.complex64)}, "torch.ComplexFloatStorage"),
        ({"weight": torch.ones(2).to(torch.float8_e4m3fn)}, "torch.float8_e4m3fn"),
        ({"weight": quantized}, "torch._utils._rebuild_qtensor"),
        ({"weight": torch.eye(3).to_sparse()}, "torch._utils._rebuild_sparse_tensor"),
        ({"path": Path("x")}, "pathlib.PosixPath"),
        ({"bytes": b"abc"}, "_codecs.encode"),
        ({"complex": 1j}, "__builtin__.complex"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sources that are not found
            path = save(value, tmp_path / "more", form)
        refused(path, f"it holds a '{name}', and only tensors")


@pytest.mark.parametrize("form", FORMATS)
def test_what_the_refusal_advises_gives_a_file_that_is_read(form: str, tmp_path: Path) -> None:
    path, net = tmp_path / "more", torch.nn.Linear(2, 3)
    advice = (
        r"if you trust the file, .*: torch.save\(torch.load\(path, weights_only=False\)\['state_dict'\], 'new.pth'\)"
    )
    training = {"state_dict": net.state_dict(), "args": Namespace(lr=0.1), "best": np.float64(0.5)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sources that are not found
        refused(save(training, path, form), advice)
        torch.save(torch.load(path, weights_only=False)["state_dict"], tmp_path / "new.pth")
        refused(save(net, path, form), advice + ".* with .state_dict\\(\\) if the file holds a whole model")
        torch.save(torch.load(path, weights_only=False).state_dict(), tmp_path / "newer.pth")
    for new in ("new.pth", "newer.pth"):
        assert_same(tmp_path / new, {name: bits(value) for name, value in net.state_dict().items()})


def test_a_program_of_torchscript_is_refused_with_advice_that_helps(tmp_path: Path) -> None:
    path, net = tmp_path / "program.pt", torch.nn.Linear(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, but files of it exist
        torch.jit.save(torch.jit.trace(net, torch.ones(1, 2)), path)
        refused(path, r"a TorchScript program, .*torch.save\(torch.jit.load\(path\).state_dict\(\), 'new.pth'\)")
        torch.save(torch.jit.load(path).state_dict(), tmp_path / "new.pth")
    assert_same(tmp_path / "new.pth", {name: bits(value) for name, value in net.state_dict().items()})


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
    yield "numbers that are negated", tensor(None, 0, (2, 3), (3, 1), {"neg": True}), f"'{v2}' is called", False
    yield "no storage", tensor(5), f"'{v2}' is called", True
    yield "no arguments", Call(v2), f"'{v2}' is called", True
    yield "a parameter of nothing", Call(parameter, None, True, {}), f"'{parameter}' is called", False
    yield "a set of a number", Call("builtins.set", 5), "'builtins.set' is called", True
    yield "a size of a text", Call("torch.Size", "abc"), "'torch.Size' is called", True
    yield "a device of no text", Call("torch.device", []), "'torch.device' is called", True
    yield "a dictionary of no pairs", Call(ordered, [1, 2]), "no pairs", True
    yield "a dictionary of a number", Call(ordered, 5), f"'{ordered}' is called", True
    yield "a call of a number", opcodes(5, (), b"R"), "calls a int", True
    yield "a call of a type", opcodes(named("torch.float32"), (), b"R"), "calls a NumberType", True
    yield "a call of a tensor", opcodes(tensor(), (), b"R"), "calls a TensorSpec", True
    yield "a call with no tuple", opcodes(named(ordered), [], b"R"), "calls with a list", False
    yield "a state of a list", opcodes([], {}, b"b"), "a list is given a state", True
    yield "a state of a function", opcodes(named(ordered), {"name": "os.system"}, b"b"), "a Function is given", True
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
    yield "one key as number and text", {"1": 1, 1: 2}, "a dictionary holds '1' twice", False
    yield "one name twice", {"a": {"b": tensor()}, "a.b": tensor()}, "two tensors of the name 'a.b'", False
    yield "a key that is a tuple", {(1,): 2}, "a key is a tuple", False
    yield "a key that is true", {True: 2}, "a key is a bool", False
    yield "a key that is a list", opcodes(b"}", [], 1, b"s"), "a key is a list", True
    yield "a key without a value", opcodes(b"}(", "a", b"u"), "a key has no value", True
    yield "keys in a list", opcodes([], "a", 1, b"s"), "puts keys into a list", True
    yield "a list in a tuple", opcodes((), 1, b"a"), "appends to a tuple", True
    yield "an empty stack", opcodes(), "has not made", True
    yield "a stack too short", opcodes(1, b"\x86"), "has not made", True
    yield "a stack that ends at a mark", opcodes([], 1, b"(a"), "has not made", True
    yield "a memory of nothing", opcodes(b"q\0"), "has not made", True
    yield "what was not put away", opcodes(b"h\7"), "has not put away", True
    yield "no mark", opcodes(1, b"t"), "a mark that it has not made", True
    yield "another protocol", Raw(b"\x80\x04" + encode({}) + b"."), "protocol 4", False
    yield "an extension", opcodes(b"\x82\1"), "an opcode, b'.x82'", True
    yield "a text that is none", opcodes(b"X\2\0\0\0\xff\xfe"), "is no text", True
    yield "half a surrogate", opcodes(b"X\3\0\0\0\xed\xa0\x80"), "is no text", False
    yield "a text of 4 GB", opcodes(b"X\xff\xff\xff\xff"), "cut off", True
    yield "an int of 2 GB", opcodes(b"\x8b\xff\xff\xff\x7f"), "an opcode", True
    yield "a text without end", opcodes(b"\x8d" + b"\xff" * 7 + b"\x7f"), "an opcode", True
    yield "bytes without end", opcodes(b"\x8e" + b"\xff" * 7 + b"\x7f"), "an opcode", True
    yield "a frame without end", opcodes(b"\x95" + b"\xff" * 7 + b"\x7f"), "an opcode", True
    yield "a name without end", opcodes(b"ctorch\n" + b"x" * 300 + b"\n"), "it holds a 'torch.xxx", True
    yield "a name that is none", opcodes(b"c\n\n"), "it holds a '[.]'", True
    yield "a name in colours", opcodes(b"c\x1b[31m\n\xff\n"), r"it holds a '.x1b.31m[.]..xff'", True
    laughs = b"".join(b"](" + f"h{chr(i)}".encode() * 2 + b"eq" + bytes([i + 1]) for i in range(99))
    yield "laughs, a billion times a billion", opcodes([], b"q\0", laughs), "hold more, or deeper", False
    yield "a list in itself", opcodes(b"]q\0h\0a"), "hold more, or deeper", False
    yield "a dictionary in itself", opcodes(b"}q\0", "", b"h\0s"), "hold more, or deeper", False
    yield "tuples in tuples", opcodes(b")" + b"\x85" * 200_000), "hold more, or deeper", False
    yield "lists in lists", opcodes(b"]" * 200_000 + b"a" * 199_999), "hold more, or deeper", False
    yield "marks without end", opcodes(b"(" * 600_000), "longer than that of any weights", True
    yield "lists without end", opcodes(b"]" * 600_000), "longer than that of any weights", False
    long = encode([1] * 9_000) + b"q\0" + (named("builtins.set") + b"q\1" + b"(h\0tR")
    yield "sets of a list again and again", opcodes(long, b"h\1h\0\x85R" * 9_000), "longer than that", False
    names = encode({"x" * 60_000: [1] * 1_000})
    yield "names that are long", opcodes(names), "hold more, or deeper", False


CASES = list(cases())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("value", "reason", "strict"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_pickle_of_what_no_weights_are_is_refused(
    value: Any, reason: str, strict: bool, form: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "wrong", form, value)
    with bounded(path.stat().st_size, 100_000_000):
        refused(path, reason)
    assert is_torch_file(path)
    if form == "zip":  # of what is said of storages PyTorch checks less in a stream
        assert strict != load(path)[0]


def test_any_other_opcode_is_refused(tmp_path: Path) -> None:
    """PyTorch reads two more, which make an object and an empty set."""
    known = "(.]})NQRJKMGXUctabehjqrsu" + "".join(map(chr, (0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A)))
    others = {opcode.code for opcode in pickletools.opcodes} - set(known)
    assert len(others) == 68 - len(known)
    for code in others:
        path = write(tmp_path / "other", "zip", opcodes(code.encode("latin1") + bytes(9)))
        refused(path, "a pickle has an opcode, b")
        assert code in "\x81\x8f" or not load(path)[0]
