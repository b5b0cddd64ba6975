"""PyTorch's files: every number as PyTorch reads it, by the names on the way there."""

import os
import pickle
import re
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.checkpoints.formats.torch.file import TorchFile, is_torch_file
from keras_resnet.checkpoints.formats.zips import Record
from tests.helpers.torch_writer import (
    FORMATS,
    ROW,
    Arrays,
    Call,
    Raw,
    assert_same,
    bits,
    encode,
    flat,
    load,
    refused,
    save,
    storage,
    tensor,
    theirs,
    write,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[4]


def every_kind() -> Arrays:
    """Tensors of every type and of every way to lie in a storage."""
    torch.manual_seed(0)
    dtypes = "float16 float32 float64 bfloat16 uint8 int8 int16 int32 int64 uint16 uint32 uint64 bool"
    raw = {name: torch.randint(0, 2 if name == "bool" else 256, (48,), dtype=torch.uint8) for name in dtypes.split()}
    tensors = {name: data.view(getattr(torch, name)).reshape(2, 1, -1) for name, data in raw.items()}
    long = torch.arange(120.0)
    cube = long.reshape(2, 3, 4, 5)
    return tensors | {
        "0-d": torch.tensor(-7),
        "bf16 0-d": torch.tensor(1.5, dtype=torch.bfloat16),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "empty": torch.zeros(0),
        "empty, of three dimensions": torch.zeros(3, 0, 2, dtype=torch.int64),
        "part of empty": torch.zeros(5)[5:],
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "frozen": torch.nn.Parameter(torch.randn(3), requires_grad=False),
        "shared": long,
        "shared, in a box": cube,
        "shared, permuted": cube.permute(3, 1, 0, 2),
        "shared, every other": cube[1, ::2, 1:, ::3],
        "shared, one": long[77],
        "transposed": torch.randn(4, 3).t(),
        "transposed bf16": torch.randn(4, 3).bfloat16().t(),
        "diagonal": torch.randn(5, 5).diagonal(),
    }


def moco() -> Any:
    """A checkpoint with all that training scripts put into one."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Flatten())
    net.append(torch.nn.LazyLinear(5))
    net(torch.ones(2, 3, 4, 4)).sum().backward()
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    adam = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, [3, 6])
    sgd.step()
    adam.step()
    schedule.step()
    weights = OrderedDict((f"module.encoder_q.{name}", value) for name, value in net.state_dict().items())
    return {
        "epoch": 200,
        "arch": "resnet50",
        "best_acc1": 71.5,
        "state_dict": weights,
        "own": net.state_dict(),
        "optimizer": sgd.state_dict(),
        "adam": adam.state_dict(),
        "schedule": schedule.state_dict(),
        "rng": torch.get_rng_state(),
        "about": (torch.float32, torch.Size([1, 2]), torch.device("cpu"), torch.device("cuda", 1), None, {1, 2}, True),
        "large": (-5, 1 << 40, -(1 << 70), 70000, 0.25),
        "nested": [torch.ones(2), (torch.zeros(1), {"deep": {7: torch.ones(())}})],
    }


@pytest.mark.parametrize("form", FORMATS)
def test_every_tensor_is_that_which_pytorch_saved(form: str, tmp_path: Path) -> None:
    tensors = every_kind()
    path = save(tensors, tmp_path / "weights.pth", form)
    expected = {name: bits(tensor) for name, tensor in tensors.items()}
    assert_same(path, expected)
    assert TorchFile.open(str(path)).path == path
    if form == "stream":  # PyTorch writes these types into one, and then can't read it
        tensors = {name: tensor for name, tensor in tensors.items() if not re.fullmatch("uint(16|32|64)", name)}
        save(tensors, path, form)
    assert_same(path, theirs(path))


@pytest.mark.parametrize("form", FORMATS)
def test_a_checkpoint_of_a_training_is_read_by_the_keys_on_the_way(form: str, tmp_path: Path) -> None:
    checkpoint = moco()
    path = save(checkpoint, tmp_path / "moco.pth.tar", form)
    expected = theirs(path)
    names = {"state_dict.module.encoder_q.0.weight", "own.1.running_var", "optimizer.state.0.momentum_buffer"}
    names |= {"adam.state.4.exp_avg_sq", "nested.0", "nested.1.0", "nested.1.1.deep.7", "rng"}
    assert names < set(expected)
    assert expected.keys() == dict(flat(checkpoint)).keys()
    assert_same(path, expected)


def test_a_file_of_python_2_and_before_0_4_is_read(tmp_path: Path) -> None:
    """Shapes of a class of their own, strings and ints as Python 2 has them, ordered dictionaries made of pairs."""
    size = Call("torch.Size", (2, 3))
    old = Call("torch._utils._rebuild_tensor", storage(), 0, size, (3, 1))
    wrapped = Raw(encode(Call("torch.nn.parameter.Parameter", old), "stream") + encode((True, False, {})) + b"b")
    key = Raw(b"U\x06weight")
    pairs = Call("collections.OrderedDict", [[key, old], ["wrapped", wrapped], ["frozen", tensor()]])
    path = write(tmp_path / "old", "stream", pairs, {"0": ROW})
    values = np.arange(6, dtype="f4").reshape(2, 3)
    assert_same(path, {"weight": values, "wrapped": values, "frozen": values})
    assert theirs(path).keys() == {"weight", "wrapped", "frozen"}


def test_a_part_of_a_storage_is_read_where_it_begins(tmp_path: Path) -> None:
    """Of streams; PyTorch has written none since 0.4."""
    row = np.arange(8, dtype="f4").tobytes()
    part = storage(count=8, view=("1", 2, 4))
    value = {"whole": tensor(storage(count=8), shape=(8,), strides=(1,)), "part": tensor(part, 1, (3,), (1,))}
    path = write(tmp_path / "parts", "stream", value, {"0": row})
    assert_same(path, {"whole": np.arange(8, dtype="f4"), "part": np.arange(3, 6, dtype="f4")})
    assert theirs(path)["part"].tolist() == [3, 4, 5]
    for view in (("1", 2, 7), ("1", -1, 4), ("1", 2, -1), ("0", 0, 8), ("1", 2), 5, ("1", "2", 3)):
        write(path, "stream", tensor(storage(count=8, view=view)), {"0": row})
        refused(path, "a part of the storage '0' is outside")
    both = [tensor(storage(count=8, view=("1", 2, 6))), tensor(storage(count=8, view=("1", 1, 6)))]
    refused(write(path, "stream", both, {"0": row}), "the storage '1' is described in two ways")


@pytest.mark.parametrize("form", FORMATS)
def test_neither_torch_nor_keras_is_needed(form: str, tmp_path: Path) -> None:
    path = save({"weight": torch.arange(3)}, tmp_path / "weights", form)
    code = "import sys; sys.modules.update(torch=None, keras=None, tensorflow=None, jax=None)\n"
    code += "from keras_resnet.checkpoints.formats.torch.file import TorchFile\n"
    code += "print(TorchFile.open(sys.argv[1]).read('weight'))"
    run = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "[0 1 2]\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_told_by_its_content(form: str, tmp_path: Path) -> None:
    path = save({"weight": torch.ones(3)}, tmp_path / "weights.h5", form)
    assert is_torch_file(path)
    assert is_torch_file(str(path))
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(path.read_bytes()[:9])
    np.savez(tmp_path / "numpy.npz", data=np.ones(3))
    (tmp_path / "numpy.npz").rename(tmp_path / "numpy.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"weight": 1}, 2))
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("data.pkl", b"")
        archive.writestr("a/b/data.pkl", b"")
    os.mkfifo(tmp_path / "pipe")
    names = ("empty", "short", "numpy.pth", "pickle.pth", "zip.pth", "pipe", "missing", "x" * 999, "a\0b", "")
    for other in [tmp_path, *(tmp_path / name for name in names)]:
        assert not is_torch_file(other)
        with pytest.raises(ValueError, match="can't be read as a PyTorch file: "):
            TorchFile.open(other)


def test_a_name_that_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nothing"):
        TorchFile.open(save({"weight": torch.ones(3)}, tmp_path / "weights", "zip")).read("nothing")


@pytest.mark.parametrize("form", FORMATS)
def test_only_names_are_read_at_first_and_no_storage_is_checked_twice(form: str, tmp_path: Path) -> None:
    row = torch.ones(1_000_000)
    path = save(dict(enumerate(row.split(10_000))), tmp_path / "weights", form)
    tracemalloc.start()
    file = TorchFile.open(path)
    opened = tracemalloc.get_traced_memory()[1]
    began = time.process_time()
    for name in file.shapes:
        file.read(name)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 1
    assert opened < 400_000
    assert read < 3_000_000


def test_a_storage_without_a_checksum_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TorchFile.open(save({"weight": torch.ones(1000)}, tmp_path / "weights", "stream"))
    sizes: list[int] = []
    read = Record.read

    def counting(record: Record, file: Any, start: int, size: int) -> bytes:
        sizes.append(size)
        return read(record, file, start, size)

    monkeypatch.setattr(Record, "read", counting)
    assert file.read("weight").tolist() == [1] * 1000
    assert sizes == [4000]
    file.path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="'weight' of '.*weights' can't be read as a PyTorch file: it is truncated"):
        file.read("weight")


def test_a_file_that_is_damaged_later_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = save({"weight": torch.ones(3000)}, tmp_path / "weights", "zip")
    file = TorchFile.open(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="'weight' of '.*weights' can't be read as a PyTorch file: it is truncated"):
        file.read("weight")
    path.unlink()
    with pytest.raises(ValueError, match="there is no such file"):
        file.read("weight")


def test_a_wrong_number_in_a_zip_is_refused_though_pytorch_reads_it(tmp_path: Path) -> None:
    path = save({"weight": torch.full((3,), 2.0), "other": torch.ones(2)}, tmp_path / "weights", "zip")
    path.write_bytes(path.read_bytes().replace(struct.pack("<f", 2), struct.pack("<f", 3), 1))
    assert load(path)[0]
    file = TorchFile.open(path)
    assert file.read("other").tolist() == [1, 1]
    for _ in range(2):
        with pytest.raises(ValueError, match="'weight' of .*the checksum of the 12 bytes at .* is wrong"):
            file.read("weight")
