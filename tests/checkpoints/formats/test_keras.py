"""Keras' files, read without Keras: every number as Keras loads it, and damage is an error that names the file."""

import functools
import json
import os
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from keras_resnet.architecture.detect import models_of_config, scopes_of_models
from keras_resnet.checkpoints.formats import hdf5
from keras_resnet.checkpoints.formats.keras import KerasFile, is_keras_file
from keras_resnet.checkpoints.formats.tensors import TensorSpec
from tests.helpers.bounds import bounded

pytestmark = pytest.mark.one_backend
KINDS = ("net.weights.h5", "net.keras", "topological.h5", "whole.h5")

Arrays = dict[str, Any]


def assert_same(file: KerasFile, expected: Arrays) -> None:
    """Names, shapes, types and bits; and each array is its own."""
    assert list(file.shapes) == list(file.dtypes) == sorted(expected)
    for name, value in expected.items():
        array, mine = np.asarray(value), file.read(name)
        assert mine.shape == file.shapes[name] == array.shape
        assert mine.dtype == file.dtypes[name] == array.dtype
        assert mine.dtype.isnative
        assert mine.flags.c_contiguous
        assert mine.flags.writeable
        assert mine.tobytes() == array.tobytes(), name


# ---- What Keras wrote.


def build(seed: int) -> keras.Model:
    """A convolution, a norm and a classifier, with a nested model and a wrapper between; compiled, all random."""
    layers = keras.layers
    keras.backend.clear_session()
    start = layers.Input((8, 8, 4))
    x = layers.Conv2D(5, 3, name="a_conv")(start)
    inner = keras.Model(start, layers.BatchNormalization(name="a_bn")(x), name="inner")
    start = layers.Input((8, 8, 4))
    x = layers.Conv2D(6, 1, use_bias=False, name="conv")(inner(start))
    x = layers.Dropout(0.5)(layers.BatchNormalization(name="bn")(x))
    x = layers.TimeDistributed(layers.Dense(7, name="dense"), name="wrapped")(layers.Reshape((36, 6))(x))
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(start, layers.Dense(2, name="predictions")(x), name="net")
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(seed)
    for variable in [*model.variables, *model.optimizer.variables[2:]]:
        variable.assign(rng.uniform(0.1, 1, variable.shape))
    return model


def write(model: keras.Model, path: Path) -> Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif path.name.startswith("topological"):
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    elif path.suffix == ".keras":
        model.save(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_model_to_hdf5(model, file)
    return path


def tensors_of(model: keras.Model, older: bool, named: bool) -> Arrays:
    """What a file should hold of `build`'s model; `named`: it tells what its nested models are called."""

    def of(layer: Any, scope: str) -> Arrays:
        return {f"{scope}/{weight.name}": keras.ops.convert_to_numpy(weight) for weight in layer.weights}

    inner = "inner" if named else "functional"
    found = {name: of(model.get_layer(name), name) for name in ("conv", "bn", "predictions")}
    found |= {name: of(model.get_layer("inner").get_layer(name), f"{inner}/{name}") for name in ("a_conv", "a_bn")}
    wrapped = of(model.get_layer("wrapped").layer, "wrapped" if older else "time_distributed/dense")
    return wrapped | {name: value for each in found.values() for name, value in each.items()}


def optimizer_of(model: keras.Model, older: bool) -> Arrays:
    variables = enumerate(model.optimizer.variables)
    return {f"optimizer/{each.path if older else i}": keras.ops.convert_to_numpy(each) for i, each in variables}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each kind, of the same model."""
    folder, model = tmp_path_factory.mktemp("whole"), build(0)
    return {kind: write(model, folder / kind) for kind in KINDS}


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_that_which_keras_loads(whole: dict[str, Path], kind: str) -> None:
    other, older = build(1), kind in KINDS[2:]
    other.load_weights(whole[kind])
    file = KerasFile.open(whole[kind])
    expected = tensors_of(other, older, named=kind != "net.weights.h5")
    if kind != "topological.h5":
        expected |= optimizer_of(build(0), older)
    assert file.path == whole[kind]
    assert_same(file, expected)
    assert (file.config is None) == (kind not in ("net.keras", "whole.h5"))
    assert file.by_layer == older


def test_the_config_is_that_of_the_model(whole: dict[str, Path]) -> None:
    for kind in "net.keras", "whole.h5":
        config = KerasFile.open(str(whole[kind])).config
        assert config is not None
        assert config["config"]["name"] == "net"
        assert [layer["name"] for layer in config["config"]["layers"]][1:4] == ["inner", "conv", "bn"]


def test_a_config_in_an_attribute_is_a_text_of_one_length_or_any(tmp_path: Path) -> None:
    def written(config: Any) -> Path:
        path = by_hand(tmp_path / "net.h5", {"model_weights/a/a/kernel:0": np.ones((2, 2), "f4")}, model_config=config)
        with h5py.File(path, "a") as file:
            file["model_weights"].attrs["layer_names"] = ["a"]
        return path

    long = json.dumps({"class_name": "Functional", "text": "x" * 99_999})
    for text in (long, long.encode(), np.bytes_(b'{"a": "\xc3\xa9"}'), '{"a": "é"}'):
        file = KerasFile.open(written(text))
        assert file.config == json.loads(text)
        assert list(file.shapes) == ["a/kernel"]
    wrong: list[tuple[Any, str]] = [
        ("no", "Expecting value"),
        (np.bytes_(b"x"), "Expecting value"),
        ("[]", "model_config is no object"),
        ("[" * 99999, "recursion"),
        (b"\xff", "can't decode"),
        (5, "is no text"),
        ((5, 5, 5), "'model_config' is no text"),
        ("{}" + " " * (1 << 24), "'model_config' is no text"),
    ]
    for text, reason in wrong:
        refused(written(text), reason)


def test_a_layers_name_may_hold_a_thousand_classes(tmp_path: Path) -> None:
    """As `labels.with_class_names` makes it; HDF5 has a group of that name in the older files."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(3, name="top"), layers.Identity(name="class_names>" + "x" * 60_000)]
    )
    for kind in "topological.h5", "whole.h5", "net.keras":
        assert list(KerasFile.open(write(model, tmp_path / kind)).shapes) == ["top/bias", "top/kernel"]


def models(*names: Any) -> keras.Model:
    """Models in a model, each of a norm, or of such models."""
    start = keras.Input((3,))
    x = start
    for name in names:
        if isinstance(name, tuple):
            around = models(*name[1:])
            inner = keras.Model(around.input, around.output, name=name[0])
        else:
            again = keras.Input((3,))
            inner = keras.Model(again, keras.layers.BatchNormalization(name="bn")(again), name=name)
        x = inner(x)
    return keras.Model(start, x, name="outer")


def test_models_in_a_model_go_by_their_names_where_the_config_tells(tmp_path: Path) -> None:
    cases: list[tuple[Any, set[str], dict[str, str]]] = [
        (("left", "right"), {"left", "right"}, {"functional": "left", "functional_1": "right"}),
        ((("pair", "left", "right"),), {"left", "right"}, {"functional/functional_1": "right"}),
        ((("a", "net"), ("b", "net")), {"a/net", "b/net"}, {"functional_1/functional": "b/net"}),
        ((("a", "x" * 200),), {"functional/functional"}, {}),
        (("conv1", ("deep", ("deeper", "net"))), {"conv1", "net"}, {"functional_1/functional/functional": "net"}),
    ]
    for names, scopes, paths in cases:
        models(*names).save(tmp_path / "net.keras")
        file = KerasFile.open(tmp_path / "net.keras")
        assert set(file.shapes) == {f"{scope}/bn/{variable}" for scope in scopes for variable in NORM}
        assert file.scopes.items() >= paths.items()


@pytest.mark.parametrize("long", ["name", "class_name"])
@pytest.mark.parametrize("by_layer", [False, True])
def test_a_config_of_many_models_of_long_names_costs_no_more_than_it_has(long: str, by_layer: bool) -> None:
    inner = [{"class_name": "Functional", "config": {"name": "a", "layers": []}}] * 5000
    words = {"name": "outer", "class_name": "Functional"} | {long: "X" * 1_000_000}
    outer = {"class_name": words["class_name"], "config": {"name": words["name"], "layers": inner}}
    with bounded(1_000_000, 0):
        found = models_of_config({"class_name": "Sequential", "config": [outer]})
        assert scopes_of_models(found, by_layer=by_layer) == []


def test_variables_of_other_layers_stay_numbers(tmp_path: Path) -> None:
    layers = keras.layers
    keras.backend.clear_session()
    start = layers.Input((8, 8, 4))
    x = layers.SeparableConv2D(6, 3, name="separable")(start)
    x = layers.BatchNormalization(scale=False, name="bn")(x)
    x = layers.LSTM(2, name="recurrent")(layers.Reshape((36, 6))(x))
    keras.Model(start, layers.Dense(3, use_bias=False, name="top")(x)).save_weights(tmp_path / "net.weights.h5")
    shapes = {"bn/beta": (6,), "bn/moving_mean": (6,), "bn/moving_variance": (6,), "top/kernel": (2, 3)}
    shapes |= {"lstm/lstm_cell/0": (6, 8), "lstm/lstm_cell/1": (2, 8), "lstm/lstm_cell/2": (8,)}
    shapes |= {"separable/0": (3, 3, 4, 1), "separable/1": (1, 1, 4, 6), "separable/2": (6,)}
    assert KerasFile.open(tmp_path / "net.weights.h5").shapes == shapes


def test_without_some_layers_name_all_are_called_as_keras_calls_them(whole: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "net.weights.h5"
    path.write_bytes(whole[path.name].read_bytes())
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars"].attrs["name"]
    names = set(KerasFile.open(path).shapes)
    assert {name for name in names if not name.startswith("optimizer/")} == {
        *("functional/conv2d/kernel", "functional/conv2d/bias", "conv2d/kernel"),
        *(f"{scope}batch_normalization/{name}" for scope in ("", "functional/") for name in NORM),
        *("time_distributed/layer/kernel", "time_distributed/layer/bias", "dense/kernel", "dense/bias"),
    }
    with h5py.File(path, "a") as file:  # as Keras 2.12 has it
        file["_layer_checkpoint_dependencies"] = file.pop("layers")
    assert set(KerasFile.open(path).shapes) == names


NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def test_a_list_of_layers_may_be_in_parts(tmp_path: Path) -> None:
    """Keras splits one that HDF5 could not hold."""
    names = [f"{i:03}_{'x' * 240}" for i in range(300)]
    model = keras.Sequential([keras.layers.Input((1,)), *(keras.layers.Dense(1, name=name) for name in names)])
    for form, above in ("topological.h5", ""), ("whole.h5", "model_weights"):
        path = write(model, tmp_path / form)
        with h5py.File(path) as file:
            assert "layer_names1" in (file[above] if above else file).attrs
        expected = {f"{name}/{part}": shape for name in names for part, shape in (("kernel", (1, 1)), ("bias", (1,)))}
        assert KerasFile.open(path).shapes == expected


LISTED = {"b": ["b/kernel:0", "b/bias:0"], "pool": [], "a_1": ["a_1/gamma:0"], "a": ["a/gamma:0"]}


def lists(path: Path, *, fixed: bool = True, parts: int = 1, group: str = "", **layers: list[str]) -> Path:
    """A file as Keras 2 wrote it, whose lists are in other orders than its groups."""
    held = LISTED | layers
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        for number, part in enumerate(np.array_split([name.encode() for name in held], parts)):
            root.attrs["layer_names" + (str(number) if parts > 1 else "")] = part if fixed else part.astype(object)
        for layer, names in held.items():
            own = root.create_group(layer)
            texts = [name.encode() for name in names]
            own.attrs["weight_names"] = texts if fixed or not names else np.array(texts, object)
            for name in names:
                if name not in own:
                    own.create_dataset(name, data=np.ones(3, "f4"))
    return path


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("group", ["", "model_weights"])
def test_older_files_tell_the_order_of_their_layers_and_variables(
    group: str, fixed: bool, parts: int, tmp_path: Path
) -> None:
    file = KerasFile.open(lists(tmp_path / "net.h5", fixed=fixed, parts=parts, group=group))
    assert file.order == ("b/kernel", "b/bias", "a_1/gamma", "a/gamma")
    assert set(file.order) == set(file.shapes)


def test_only_older_files_tell_an_order(whole: dict[str, Path], tmp_path: Path) -> None:
    for kind, path in whole.items():
        listed = KerasFile.open(path).order
        assert bool(listed) is (kind in ("topological.h5", "whole.h5"))
        assert not listed or listed[-2:] == ("predictions/kernel", "predictions/bias")
    path = lists(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        del file["pool"].attrs["weight_names"]
    assert KerasFile.open(path).order == ()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", ["net.keras", "net.weights.h5"])
def test_weights_of_any_type_are_read(dtype: str, kind: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="top", dtype=dtype)])
    kernel, bias = (np.asarray(keras.ops.convert_to_numpy(weight)) for weight in model.weights)
    read_as = "float32" if dtype == "bfloat16" else dtype
    expected = {"top/kernel": kernel.astype(read_as), "top/bias": bias.astype(read_as)}
    assert_same(KerasFile.open(write(model, tmp_path / kind)), expected)


# ---- What h5py wrote in Keras' place.


def by_hand(path: Path, arrays: Arrays, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file.attrs.update(attributes)
    return path


def test_numbers_of_every_type_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    types = [order + kind for kind in hdf5._KINDS for order in "<>"]
    arrays: Arrays = {kind: np.frombuffer(rng.bytes(96), kind).reshape(2, 1, -1) for kind in types}
    arrays |= {"bool": rng.integers(0, 2, 9).astype(bool), "none": np.zeros((3, 0), "f4"), "one": np.float32(5)}
    path = by_hand(tmp_path / "net.h5", {f"layers/a/vars/{name}": array for name, array in arrays.items()})
    half = rng.standard_normal(99).astype(ml_dtypes.bfloat16)
    with h5py.File(path, "a") as file:
        file["layers/a/vars/half"] = half
        file["layers/a/vars/half"].attrs["dtype"] = "bfloat16"
    expected = {f"a/{name}": np.asarray(array, array.dtype.newbyteorder("=")) for name, array in arrays.items()}
    assert_same(KerasFile.open(path), expected | {"a/half": half.astype("f4")})


def test_names_of_keras_2_lose_their_output(tmp_path: Path) -> None:
    ones = np.ones(3, "f4")
    arrays = {"conv1/conv1/kernel:0": ones, "conv1/conv1/bias:0": ones, "bn/bn_7/moving_mean:0": ones}
    arrays |= {"old/old_W:0": ones, "inner/a/kernel:0": ones, "inner/b/kernel:0": ones, "x/y/x/y/kernel:0": ones}
    names = {
        "conv1/kernel",
        "conv1/bias",
        "bn/moving_mean",
        "old/old_W",
        "inner/a/kernel",
        "inner/b/kernel",
        "x/kernel",
    }
    layers = np.array([b"conv1", b"bn", b"old", b"inner", b"x/y"])
    path = by_hand(tmp_path / "net.h5", arrays, layer_names=layers)
    assert set(KerasFile.open(path).shapes) == names
    below = {f"model_weights/{name}": array for name, array in arrays.items()}
    path = by_hand(tmp_path / "whole.h5", below | {"optimizer_weights/Adam/conv1/kernel/m:0": ones})
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["layer_names"] = layers
    assert set(KerasFile.open(path).shapes) == names | {"optimizer/Adam/conv1/kernel/m"}


def test_many_tensors_are_found_in_groups_of_any_size(tmp_path: Path) -> None:
    arrays = {f"layers/a{i:x}/vars/{j}": np.array([i, j]) for i in (0, 7, 8, 9, 700) for j in range(i + 1)}
    expected = {f"{name.split('/')[1]}/{name.split('/')[3]}": array for name, array in arrays.items()}
    assert_same(KerasFile.open(by_hand(tmp_path / "net.h5", arrays)), expected)


# ---- By content.


def test_what_keras_wrote_is_told_by_content(whole: dict[str, Path], tmp_path: Path) -> None:
    for kind, path in whole.items():
        assert is_keras_file(path)
        for suffix in (".keras", ".weights.h5", ".h5", ".ckpt", ""):
            other = tmp_path / f"x{suffix}"
            other.write_bytes(path.read_bytes())
            assert is_keras_file(str(other))
            assert KerasFile.open(other).shapes == KerasFile.open(path).shapes, kind


def test_what_is_something_else_is_told_by_content(whole: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text.keras").write_text("no")
    (tmp_path / "folder.keras").mkdir()
    os.mkfifo(tmp_path / "pipe.h5")
    np.savez(tmp_path / "arrays.keras", a=np.ones(3))
    data = whole["net.weights.h5"].read_bytes()
    (tmp_path / "later.h5").write_bytes(bytes(513) + data)
    (tmp_path / "packed.h5").write_bytes(b"PK".ljust(512, b"\0") + data)
    names = (
        "empty",
        "text.keras",
        "folder.keras",
        "pipe.h5",
        "arrays.keras",
        "later.h5",
        "packed.h5",
        "none",
        "x" * 999,
    )
    for other in (*map(tmp_path.joinpath, names), Path("a\0b"), Path("")):
        assert not is_keras_file(other)
        with pytest.raises(ValueError, match="can't be read as a file of Keras: "):
            KerasFile.open(other)


@pytest.mark.parametrize("size", [512, 1024, 1 << 16])
def test_a_user_block_is_told_and_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    with h5py.File(path, "w", userblock_size=size) as file:
        file["layers/a/vars/0"] = np.ones(3)
    assert is_keras_file(path)
    refused(path, f"its HDF5 begins behind a user block of {size} bytes: load and save it again with Keras")


def test_what_must_not_be_read_is_no_file_of_keras(whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> Any:
        raise PermissionError("denied")

    monkeypatch.setattr("builtins.open", denied)
    assert not is_keras_file(whole["net.keras"])
    with pytest.raises(PermissionError, match="denied"):
        KerasFile.open(whole["net.keras"])


def test_a_name_that_is_not_there_is_a_key_error(whole: dict[str, Path]) -> None:
    with pytest.raises(KeyError, match="nothing"):
        KerasFile.open(whole["net.keras"]).read("nothing")


def test_memory_that_is_out_is_no_fault_of_the_file(whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Any:
        raise MemoryError

    file = KerasFile.open(whole["net.keras"])
    monkeypatch.setattr(TensorSpec, "read", full)
    with pytest.raises(MemoryError):
        file.read("bn/beta")


def test_only_what_lies_where_is_read_at_first(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.h5", {"layers/a/vars/0": np.ones((1000, 5000), "f4")})
    KerasFile.open(path)
    with bounded(20_000):
        file = KerasFile.open(path)
    path.write_bytes(path.read_bytes()[:-9999])
    with pytest.raises(ValueError, match="'a/kernel' of '.*net.h5' can't be read as a file of Keras: it is truncated"):
        file.read("a/kernel")


# ---- What Keras does not write, and what it would cost to read it.


def refused(path: Path, reason: str) -> None:
    told = f"{re.escape(repr(str(path)))} can't be read as a file of Keras: .*{re.escape(reason)}.*(?<=[.?])$"
    with bounded(path.stat().st_size), pytest.raises(ValueError, match=told):
        read_all(path)


def read_all(path: Path) -> Arrays:
    file = KerasFile.open(path)
    return {name: file.read(name) for name in file.shapes}


def create(file: h5py.File, shape: Any, *args: Any, **more: Any) -> h5py.Dataset:
    return file.create_dataset("layers/b/vars/0", shape, *args, **more)


def external(file: h5py.File) -> None:
    create(file, (4,), "f4", external=[(__file__, 0, 16)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(__file__, "x", (3,))
    file.create_virtual_dataset("layers/b/vars/0", layout)


def compact(file: h5py.File) -> None:
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3,))
    h5py.h5d.create(file["layers"].id, b"b", h5py.h5t.IEEE_F32LE, space, layout)


def floats(file: h5py.File, *fields: int) -> None:
    """Floats whose sign, exponent and mantissa lie elsewhere."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(*fields)
    h5py.h5d.create(file["layers"].id, b"b", kind, h5py.h5s.create_simple((3,)))


def shared(file: h5py.File) -> None:
    file["layers/type"] = np.dtype("f4")
    create(file, (3,), file["layers/type"])
    del file["layers/type"]


def nested(file: h5py.File) -> None:
    file["layers" + "/layers" * 40 + "/vars/0"] = np.ones(3)


def link(target: Any, file: h5py.File) -> None:
    file["layers/b"] = target


def put(value: Any, file: h5py.File) -> None:
    file["layers/b/vars/0"] = value


def name(value: Any, file: h5py.File) -> None:
    file["layers/a/vars"].attrs["name"] = value


ELSEWHERE = "neither a group nor a tensor"
NO_PIECE = "does not lie in the file in one piece"
NO_NUMBERS = "is not of numbers as Keras writes them"
CASES: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "an external link": (functools.partial(link, h5py.ExternalLink("other.h5", "/x")), ELSEWHERE),
    "a soft link": (functools.partial(link, h5py.SoftLink("/layers/a")), "b'b' is a link to elsewhere"),
    "an external storage": (external, NO_PIECE),
    "a virtual tensor": (virtual, NO_PIECE),
    "a tensor in its own header": (compact, NO_PIECE),
    "chunks": (lambda file: create(file, (9,), "f4", data=np.ones(9), chunks=(2,)), NO_PIECE),
    "compression": (lambda file: create(file, (9,), "f4", data=np.ones(9), compression="gzip"), NO_PIECE),
    "a scaled offset": (lambda file: create(file, (9,), "i4", data=np.ones(9), scaleoffset=0), NO_PIECE),
    "a shape bomb": (lambda file: create(file, (1 << 40,), "f4"), "bytes at 18446744073709551615"),
    "a shape bomb in chunks": (lambda file: create(file, (1 << 40,), "f4", chunks=(1 << 20,)), NO_PIECE),
    "an absurd shape of nothing": (lambda file: create(file, (0, 1 << 62), "f4"), "absurd"),
    "numbers never written": (lambda file: create(file, (2, 2), "f4"), "bytes at 18446744073709551615"),
    "no shape at all": (functools.partial(put, h5py.Empty("f4")), "no dimensions as Keras writes them"),
    "complex numbers": (functools.partial(put, np.ones(3, "c8")), NO_NUMBERS),
    "a compound": (functools.partial(put, np.zeros(3, "f4,i4")), NO_NUMBERS),
    "long doubles": (functools.partial(put, np.ones(3, "longdouble")), NO_NUMBERS),
    "floats of another format": (lambda file: floats(file, 31, 22, 9, 0, 22), NO_NUMBERS),
    "two bytes of no type": (functools.partial(put, np.zeros(3, "V2")), NO_NUMBERS),
    "four bytes of no type": (functools.partial(put, np.zeros(3, "V4")), NO_NUMBERS),
    "texts": (functools.partial(put, "text"), NO_NUMBERS),
    "fixed texts": (functools.partial(put, np.array([b"abc"])), NO_NUMBERS),
    "rows of any length": (lambda file: create(file, (3,), h5py.vlen_dtype("f4")), NO_NUMBERS),
    "references": (lambda file: create(file, (3,), h5py.ref_dtype), NO_NUMBERS),
    "an enumeration": (lambda file: create(file, (3,), h5py.enum_dtype({"A": 0, "B": 1})), NO_NUMBERS),
    "arrays as numbers": (lambda file: create(file, (3,), np.dtype(("f4", 2))), NO_NUMBERS),
    "a type by name": (functools.partial(link, np.dtype("f4")), ELSEWHERE),
    "a type that is shared": (shared, "is cut off, or shared"),
    "a group in itself": (lambda file: link(file["layers"], file), "another name too"),
    "the root in itself": (lambda file: link(file["/"], file), "another name too"),
    "a tensor under two names": (lambda file: link(file["layers/a/vars/0"], file), "another name too"),
    "groups too deep": (nested, "deeper or larger"),
    "groups too large": (lambda file: [file.create_group(f"layers/{i}") for i in range(100)], "deeper or larger"),
    "a name beyond ASCII": (lambda file: file.create_group("layers/größe"), ELSEWHERE),
    "a name too long": (lambda file: file.create_group("layers/" + "x" * (1 << 16)), "is no name, or not in order"),
    "a tensor's name too long": (lambda file: file.update({"layers/" + "x" * 4096: np.ones(1)}), "longer than any"),
    "a layer's name too long": (functools.partial(name, "x" * 1025), "'name' is no short text"),
    "a layer's name that is a number": (functools.partial(name, 5), "is no short text"),
    "a layer's name that is many": (functools.partial(name, ["a", "b"]), "'name' is no short text"),
    "layers' names of sixteen bytes": (functools.partial(name, np.array([b"x" * 16])), "'name' is no short text"),
    "a layer's name that is no text": (functools.partial(name, b"\xff"), "can't decode"),
    "two layers of a name": (lambda file: put(np.ones(3), file), "2 of its tensors would be 'a/0'"),
    "a tensor out of place": (lambda file: file.update({"x": np.ones(3)}), "'x' is where Keras writes no tensor"),
    "nothing": (lambda file: file.pop("layers"), "it holds no tensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_keras_does_not_write_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_MOST_OBJECTS", 100)
    change, reason = CASES[case]
    path = by_hand(tmp_path / "net.h5", {"layers/a/vars/0": np.ones(3)})
    assert list(KerasFile.open(path).shapes) == ["a/0"]
    with h5py.File(path, "a") as file:
        file["layers/a/vars"].attrs["name"] = "a"
        if case == "two layers of a name":
            file.create_group("layers/b/vars").attrs["name"] = "a"
        change(file)
    refused(path, reason)


def patch(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def turned_on_itself(data: bytes) -> bytes:
    """The root's tree has itself as its branch."""
    at = data.index(b"TREE")
    return patch(patch(data, at + 5, b"\1"), at + 32, at.to_bytes(8, "little"))


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "addresses of another size": (lambda data: patch(data, 13, b"\4"), "another format of HDF5"),
    "names out of order": (lambda data: data.replace(b"aa\0", b"zz\0"), "no name, or not in order"),
    "a name twice": (lambda data: data.replace(b"aa\0", b"b/\0"), "b'b/' that is no name"),
    "an empty name": (lambda data: data.replace(b"bb\0", b"\0b\0"), "member b'' that is no name"),
    "a tree without end": (turned_on_itself, "which can't be there"),
    "another shape": (lambda data: data.replace(b"\7" + bytes(7), b"\6" + bytes(7), 1), "can't be 56 bytes"),
    "another size": (lambda data: data.replace(b"\x38" + bytes(7), b"\x30" + bytes(7)), "can't be 48"),
    "another number of messages": (lambda data: patch(data, 98, b"\7"), "fewer messages than it says"),
    "another attribute": (lambda data: patch(data, data.index(b"name\0") - 8, b"\2"), "an attribute is not"),
    "a list for a name": (lambda data: patch(data, data.index(b"name\0") + 9, b"\0"), "'name' is no short text"),
    "a name that is not in its place": (lambda data: patch(data, data.index(b"GCOL") + 16, b"\2"), "not in its place"),
    "a header cut off": (lambda data: patch(data, 104, b"\1"), "fewer messages than it says"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_structure_is_refused(case: str, tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.h5", {"layers/aa/vars/0": np.ones(7), "layers/bb/vars/0": np.ones(1)})
    with h5py.File(path, "a") as file:
        file["layers/aa/vars"].attrs["name"] = "first"
        file["layers/bb/vars"].attrs["name"] = "other"
    data, (change, reason) = path.read_bytes(), DAMAGE[case]
    assert list(KerasFile.open(path).shapes) == ["first/0", "other/0"]
    assert len(change(data)) == len(data)
    path.write_bytes(change(data))
    refused(path, reason)


def test_older_files_hold_layers_alone(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.h5", {"a": np.ones(3)}, layer_names=["a"])
    refused(path, "'a' is in no layer")
    path = by_hand(tmp_path / "net.h5", {"a/b/c/kernel": np.ones(3), "a/d/c/kernel": np.ones(3)}, layer_names=["a"])
    refused(path, "2 of its tensors would be 'a/c/kernel'")


def test_newer_formats_of_hdf5_are_refused(tmp_path: Path) -> None:
    for version in ("v108", "v110", "latest"):
        with h5py.File(tmp_path / "net.h5", "w", libver=version) as file:
            file["layers/a/vars/0"] = np.ones(3)
        refused(tmp_path / "net.h5", "of a newer layout of HDF5 than Keras writes: load and save it again with Keras")


def test_groups_that_keep_an_order_are_refused(tmp_path: Path) -> None:
    """Their headers are of a newer layout, in a file that is else of the oldest."""
    path = by_hand(tmp_path / "net.h5", {"layers/a/vars/0": np.ones(3)})
    with h5py.File(path, "a") as file:
        file.create_group("layers/b", track_order=True)
    refused(path, "of a newer layout of HDF5 than Keras writes: load and save it again with Keras")
    with h5py.File(path, "w", track_order=True) as file:
        file["layers/a/vars/0"] = np.ones(3)
    refused(path, "of a newer layout of HDF5 than Keras writes: load and save it again with Keras")


def test_a_header_is_left_at_the_first_message_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = by_hand(tmp_path / "net.h5", {"layers/a/vars/0": np.ones(3)}).read_bytes()
    header = struct.pack("<BxHIIxxxx", 1, 5, 1, 800_000) + bytes(800_000)  # 100 000 messages of nothing
    for at, number in ((64, len(data)), (40, len(data + header))):
        data = patch(data, at, struct.pack("<Q", number))
    (tmp_path / "net.h5").write_bytes(data + header)
    unpacked: list[str] = []
    unpack = hdf5._unpack

    def counting(layout: str, *of: Any) -> Any:
        unpacked.append(layout)
        return unpack(layout, *of)

    monkeypatch.setattr(hdf5, "_unpack", counting)
    refused(tmp_path / "net.h5", "has more messages than it says")
    assert len(unpacked) < 20


def test_a_file_is_as_long_as_it_says(whole: dict[str, Path], tmp_path: Path) -> None:
    data, path = whole["net.weights.h5"].read_bytes(), tmp_path / "net.h5"
    path.write_bytes(data + b"\0")
    refused(path, f"it has {len(data) + 1} bytes and says that it begins at 0 and ends at {len(data)}")
    path.write_bytes(data[:24] + (512).to_bytes(8, "little") + data[32:])
    refused(path, "begins at 512")
    for size in range(8, len(data), 997):
        path.write_bytes(data[:size])
        refused(path, f"ends at {len(data)}: was it cut off?" if size > 96 else "")


def test_tensors_that_share_their_numbers_are_refused(tmp_path: Path) -> None:
    """Each would be no larger than the file, but all of them could be of any size."""
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        arrays = [file.create_dataset(f"layers/{layer}/vars/0", (20, 200)) for layer in "ab"]
        for array in arrays:
            array[:] = 1
        first, second = (array.id.get_offset() for array in arrays)
    data = path.read_bytes()
    assert second + 16000 == len(data)
    data = data[:second]
    assert data.count(second.to_bytes(8, "little")) == 1
    data = data.replace(second.to_bytes(8, "little"), first.to_bytes(8, "little"))
    path.write_bytes(data[:40] + second.to_bytes(8, "little") + data[48:])
    refused(path, "its tensors overlap")


def test_true_and_false_are_0_and_1(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "net.h5", {"layers/a/vars/0": np.array([True] * 9)})
    path.write_bytes(path.read_bytes().replace(b"\1" * 9, b"\1" * 8 + b"\2"))
    refused(path, "2 is neither true nor false")


# ---- The zip file.


@pytest.fixture(scope="module")
def members(whole: dict[str, Path]) -> dict[str, bytes]:
    with zipfile.ZipFile(whole["net.keras"]) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for name, data in more.items():
            archive.writestr(f"{name}.json", data)
    return path


def test_what_keras_does_not_pack_is_refused(members: dict[str, bytes], tmp_path: Path) -> None:
    path, weights = tmp_path / "net.keras", "model.weights.h5"
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(pack(path, members, compression), "is compressed, which neither Keras nor PyTorch does")
    for name in ("config.json", weights):
        refused(
            pack(path, {other: data for other, data in members.items() if other != name}), f"it has no member {name!r}"
        )
    configs = {
        b"[]": "is no object",
        b"no": "Expecting value",
        b"[" * 99999: "recursion",
        b"{}" + b" " * (1 << 24): "larger",
    }
    for config, reason in configs.items():
        refused(pack(path, members | {"config.json": config}), reason)
    with pytest.warns(UserWarning, match="Duplicate name"):
        refused(pack(path, members, config=members["config.json"]), "two members of the name 'config.json'")
    with pytest.warns(UserWarning, match="Duplicate name"):
        refused(pack(path, members | {"other.json": b""}, other=b""), "two members of the name 'other.json'")
    refused(pack(path, members | {weights: members[weights][:-1]}), "says that it begins at 0 and ends at")
    refused(pack(path, members | {weights: b""}), "not what should be there")
    assert KerasFile.open(pack(path, members | {"assets/words.txt": b"a"})).config


def test_an_encrypted_file_is_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(whole["net.keras"].read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "net.keras").write_bytes(data)
    refused(tmp_path / "net.keras", "encrypted")


def test_members_that_share_their_bytes_are_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    data = whole["net.keras"].read_bytes()
    size = (len(data) * 7 // 10).to_bytes(4, "little") * 2
    for name in (b"metadata.json", b"config.json"):
        at = data.rindex(name) - 46 + 20
        data = data[:at] + size + data[at + 8 :]
    (tmp_path / "net.keras").write_bytes(data)
    refused(tmp_path / "net.keras", "its members overlap")


def test_a_flipped_bit_in_any_member_is_found(whole: dict[str, Path], tmp_path: Path) -> None:
    data, path, rng = whole["net.keras"].read_bytes(), tmp_path / "net.keras", random.Random(0)
    for _ in range(50):
        at = rng.randrange(100, data.index(b"PK\1\2"))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        refused(path, "")


def heap_of(path: Path, count: int, length: int) -> Path:
    """A list of texts of any length, all of which are the same bytes of the file."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"x" * length, *(b"y" for _ in range(count))], object)
        file.create_dataset("a/a/kernel:0", data=np.ones(3, "f4"))
    data = path.read_bytes()
    first = data.index(struct.pack("<I", length), data.index(b"layer_names"))
    path.write_bytes(data[:first] + data[first : first + 16] * (count + 1) + data[first + 16 * (count + 1) :])
    return path


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        (5, "the attribute 'layer_names' is no list of texts"),
        (b"a", "is no list of texts"),
        (np.zeros((2, 2), "S4"), "is no list of texts"),
        (np.ones(2, "f4"), "is no list of texts"),
        ([b"b", b"b"], "it lists a tensor twice"),
        ([b"\xff"], "can't decode"),
    ],
)
def test_what_is_no_list_of_layers_is_refused(attribute: Any, reason: str, tmp_path: Path) -> None:
    path = lists(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names"] = attribute
    refused(path, reason)


def test_what_is_listed_must_be_there(tmp_path: Path) -> None:
    path = lists(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        del file["b/b/bias:0"]
    refused(path, "it lists 'b/bias:0' in the layer 'b', where there is no such tensor")
    refused(lists(path, b=["b/kernel:0", "b/kernel:0"]), "it lists a tensor twice")


def test_a_list_that_repeats_a_layer_is_left_at_the_first_repeat(tmp_path: Path) -> None:
    """Else it would be read as often as it is long, each time to its end."""
    path = lists(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = np.array([b"a"] * 50_000)
        file["a"].attrs["weight_names"] = np.array([b"a/gamma:0"] * 5000)
    refused(path, "it lists a tensor twice")


def test_texts_that_share_their_bytes_are_no_more_than_the_file(tmp_path: Path) -> None:
    refused(heap_of(tmp_path / "net.h5", 3000, 20_000), "is no text")


def test_a_list_of_texts_of_no_length_is_refused(tmp_path: Path) -> None:
    path = lists(tmp_path / "net.h5")
    data = path.read_bytes()
    at = data.index(b"layer_names")  # its type and its dimensions follow
    kind = data.index(b"\x13", at)
    space = data.index(struct.pack("<Q", len(LISTED)), kind)
    data = data[: kind + 4] + bytes(4) + data[kind + 8 : space] + struct.pack("<Q", 1 << 60) + data[space + 8 :]
    path.write_bytes(data)
    refused(path, "is no list of texts")


@pytest.mark.parametrize("fixed", [True, False])
def test_damage_of_lists_is_refused_or_harmless(fixed: bool, tmp_path: Path) -> None:
    """300 mutations of attributes and of the heaps that their texts lie in."""
    path = lists(tmp_path / "net.h5", fixed=fixed, parts=2)
    data, order = path.read_bytes(), KerasFile.open(path).order
    places = [match.start() for match in re.finditer(rb"layer_names|weight_names|GCOL|kernel:0|gamma:0", data)]
    outcomes = set()
    for seed in range(300):
        rng = random.Random(seed)
        at = rng.choice(places) + rng.randrange(-24, 120)
        size = rng.randrange(1, 9)
        new = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size), data[at + 8 : at + 8 + size]))
        path.write_bytes(data[:at] + new + data[at + size :])
        found = outcome(path, seed)
        outcomes.add("refused" if found is None else "read")
        if found is not None:
            listed = KerasFile.open(path).order
            assert set(listed) <= found.keys()
            assert len(set(listed)) == len(listed)
            outcomes.add("order kept" if listed == order else "order changed")
    assert {"refused", "order kept"} <= outcomes


# ---- Anything.


def damaged(data: bytes, rng: random.Random, pointers: list[int]) -> bytes:
    """Bytes with something wrong: anywhere, or in what may be an address or a size."""
    at, other, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.randrange(1, 40)
    place = rng.choice(pointers)
    match rng.randrange(8):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size))) + data[at + size :]
        case 3:
            return data[:at] + data[other : other + size] + data[at + size :]
        case 4:
            part = sorted((at, other))
            moved = (
                data[: part[0]] + data[part[1] :]
                if rng.randrange(2)
                else data[:at] + data[other : other + size] + data[at:]
            )
            return moved[:40] + len(moved).to_bytes(8, "little") + moved[48:]
        case 5:
            number = rng.choice((0, 1, at, len(data), len(data) - 8, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1))
            return data[:place] + number.to_bytes(8, "little") + data[place + 8 :]
        case 6:
            other = rng.choice(pointers)
            return data[:place] + data[other : other + 8] + data[place + 8 :]
        case _:
            return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_or_harmless(whole: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """Nothing but a `ValueError` is raised, nothing hangs, and no memory is spent on a file's word."""
    data, path = whole[kind].read_bytes(), tmp_path / kind
    pointers = [at for at in range(0, len(data) - 8, 2) if 0 < int.from_bytes(data[at : at + 8], "little") <= len(data)]
    original = {name: array.tobytes() for name, array in read_all(whole[kind]).items()}
    refusals = 0
    for seed in range(500):
        path.write_bytes(damaged(data, random.Random(f"{kind} {seed}"), pointers))
        found = outcome(path, seed)
        refusals += found is None
        if found is not None and kind == "net.keras":  # which has checksums
            assert {name: array.tobytes() for name, array in found.items()} == original, f"seed {seed}"
    assert refusals > 200


def outcome(path: Path, seed: int) -> Arrays | None:
    """What is read; None: it is refused, and named."""
    try:
        with bounded(path.stat().st_size):
            found = read_all(path)
    except ValueError as error:
        message = str(error)
    except Exception as error:
        raise AssertionError(f"seed {seed}") from error
    else:
        assert sum(array.nbytes for array in found.values()) <= 2 * path.stat().st_size, f"seed {seed}"
        return found
    assert f"{str(path)!r} can't be read as a file of Keras: " in message, f"seed {seed}"
    assert "\n" not in message, f"seed {seed}"
    return None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "net.keras"])
def test_damage_among_numbers_changes_these_alone(whole: dict[str, Path], kind: str, tmp_path: Path) -> None:
    data, path = bytearray(whole[kind].read_bytes()), tmp_path / kind
    original = read_all(whole[kind])
    for name, array in original.items():
        if data.count(array.tobytes()) == 1:  # not the zeros of an optimizer
            data[data.index(array.tobytes())] ^= 1
            path.write_bytes(data)
            found = read_all(path)
            wrong = [other for other in found if found[other].tobytes() != original[other].tobytes()]
            assert wrong == [name]
            original = found


def test_a_file_in_no_known_layout_is_refused(tmp_path: Path) -> None:
    refused(by_hand(tmp_path / "data.h5", {"measured/on/monday": np.ones(3)}), "is where Keras writes no tensor")
    whole_model = by_hand(tmp_path / "data.h5", {"model_weights/a/a/b": np.ones(3), "measured": np.ones(3)})
    with h5py.File(whole_model, "a") as file:
        file["model_weights"].attrs["layer_names"] = ["a"]
    assert set(KerasFile.open(whole_model).shapes) == {"a/b", "measured"}


def test_a_config_is_read_as_json(members: dict[str, bytes], tmp_path: Path) -> None:
    path = pack(tmp_path / "net.keras", members)
    assert KerasFile.open(path).config == json.loads(members["config.json"])
