"""Weights in shards with an index: the whole is read through it, and an index that lies is refused."""

import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import RESNET18
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.formats.safetensors import SafetensorsFile
from keras_resnet.checkpoints.open import digest, open_source
from keras_resnet.checkpoints.shards import Shards
from keras_resnet.export.convert_weights import convert, recognize
from tests.checkpoints.formats.torch.test_damage import damaged
from tests.helpers.bounds import bounded
from tests.helpers.nets import assert_same_weights, randomise, thin
from tests.helpers.torch_writer import save

safetensors = pytest.importorskip("safetensors.numpy")
pytestmark = pytest.mark.one_backend
TINY = thin(RESNET18)
Arrays = dict[str, Any]
INDEX = "model.safetensors.index.json"
PARTS = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"]
SMALL: Arrays = {name: np.arange(4, dtype="f4") + at for at, name in enumerate(("a", "b", "c", "d", "e", "f"))}


def build(**arguments: Any) -> keras.Model:
    shared: dict[str, Any] = {"classes": 5, "style": "torch", "input_shape": (32, 32, 3)}
    return keras_resnet.ResNet(TINY, **shared | arguments)


def write(
    folder: Path,
    arrays: Arrays,
    edit: Callable[[Any], object] = lambda index: None,
    names: list[str] = PARTS,
    words: tuple[dict[str, str], ...] = ({}, {}, {}),
    metadata: Any = None,
) -> Path:
    """Writes arrays in three shards; `edit` changes the index."""
    folder.mkdir(exist_ok=True)
    parts = [dict(list(arrays.items())[at::3]) for at in range(3)]
    for name, part, beside in zip(names, parts, words, strict=True):
        safetensors.save_file(part, folder / name, metadata=beside or None)
    where = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
    index = {"metadata": metadata or {"total_size": 96}, "weight_map": where}
    edit(index)
    (folder / INDEX).write_text(json.dumps(index))
    return folder / INDEX


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return randomise(build())


@pytest.fixture(scope="module")
def arrays(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    keras_resnet.save_weights(model, path)
    return dict(safetensors.load_file(path))


@pytest.mark.parametrize("name", [INDEX, "", *PARTS])
def test_shards_are_the_whole_by_index_folder_or_part(
    name: str, model: keras.Model, arrays: Arrays, tmp_path: Path
) -> None:
    write(tmp_path, arrays, words=({"format": "pt"},) * 3)
    assert_same_weights(build(weights=tmp_path / name), model, 0)
    loaded = build()
    keras_resnet.load_weights(loaded, tmp_path / name)
    assert_same_weights(loaded, model, 0)
    source = open_source(tmp_path / name)
    assert source.path == tmp_path / INDEX
    assert list(source.shapes) == sorted(arrays)


def test_shards_of_pytorch_are_the_whole(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    names = [f"pytorch_model-0000{at}-of-00002.bin" for at in (1, 2)]
    parts = [dict(list(arrays.items())[at::2]) for at in range(2)]
    for name, part in zip(names, parts, strict=True):
        save({tensor: torch.from_numpy(value) for tensor, value in part.items()}, tmp_path / name, "zip")
    where = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    for source in (tmp_path, *map(tmp_path.joinpath, names)):
        assert_same_weights(build(weights=source), model, 0)


def test_a_config_beside_an_index_is_read(arrays: Arrays, tmp_path: Path) -> None:
    write(tmp_path, arrays)
    (tmp_path / "config.json").write_text('{"architecture": "resnet18", "pretrained_cfg": {"mean": [1], "std": [2]}}')
    assert [network.scaling for network in read_networks(open_source(tmp_path))] == [([1], [2], "")]


def test_shards_may_be_links_as_in_the_cache_of_the_hub(model: keras.Model, arrays: Arrays, tmp_path: Path) -> None:
    write(tmp_path / "blobs", arrays)
    snapshot = tmp_path / "snapshots" / "0a1b"
    snapshot.mkdir(parents=True)
    for name in (INDEX, *PARTS):
        try:
            (snapshot / name).symlink_to(Path("..", "..", "blobs", name))
        except OSError:
            pytest.skip("no links can be made here")
    assert_same_weights(build(weights=snapshot), model, 0)


def test_nothing_of_a_shard_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    large = {name: np.zeros(1_000_000, "f4") for name in "abc"}
    index = write(tmp_path, large)
    with bounded(0):
        source = Shards.open(index)
    assert source.shapes == dict.fromkeys("abc", (1000000,))


def test_what_shards_and_index_state_is_known(arrays: Arrays, tmp_path: Path) -> None:
    words: tuple[dict[str, str], ...] = ({"format": "pt"}, {"format": "pt", "arch": "resnet18"}, {})
    index = write(tmp_path, SMALL, words=words, metadata={"total_size": 1, "config": {"act_layer": "gelu"}})
    assert Shards.open(index).words == {
        "format": "pt",
        "arch": "resnet18",
        "total_size": 1,
        "config.act_layer": "gelu",
    }
    write(tmp_path, arrays, metadata={"config": {"act_layer": "gelu"}})
    with pytest.raises(ValueError, match="act_layer"):
        build(weights=tmp_path)
    index = write(tmp_path, SMALL, words=({"arch": "resnet18"}, {}, {"arch": "resnet18d"}))
    with pytest.raises(ValueError, match="state different things of 'arch', 'resnet18' and 'resnet18d'"):
        Shards.open(index)


def test_a_part_without_index_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    (tmp_path / INDEX).unlink()
    with pytest.raises(ValueError, match=f"part 2 of 3 .* All parts lie there, but not their index, '{INDEX}'"):
        build(weights=tmp_path / PARTS[1])
    (tmp_path / PARTS[0]).unlink()
    with pytest.raises(ValueError, match=f"part 2 of 3 .* Neither do all parts lie there nor their index, '{INDEX}'"):
        build(weights=tmp_path / PARTS[1])
    one = tmp_path / "model-00001-of-00001.safetensors"
    safetensors.save_file(SMALL, one)
    assert isinstance(open_source(one), SafetensorsFile)
    other = tmp_path / "model-00001-of-99999999.safetensors"
    safetensors.save_file(SMALL, other)
    with pytest.raises(ValueError, match="part 1 of 99999999"):
        open_source(other)


def test_a_part_that_the_index_does_not_name_is_refused(tmp_path: Path) -> None:
    names = ["x.safetensors", "y.safetensors", "z.safetensors"]
    write(tmp_path, SMALL, names=names)
    safetensors.save_file(SMALL, tmp_path / PARTS[0])
    with pytest.raises(ValueError, match=f"does not name '{PARTS[0]}', which lies beside it"):
        open_source(tmp_path / PARTS[0])
    assert len(open_source(tmp_path / INDEX).shapes) == 6


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "..",
        ".",
        "",
        "/etc/passwd",
        "inner/model.safetensors",
        "inner\\model.safetensors",
        "C:model.safetensors",
        "\\\\server\\share",
        "model.safetensors:stream",
        "a\0b",
        "x" * 256,
    ],
)
def test_a_name_that_is_not_a_file_beside_the_index_is_refused(name: str, tmp_path: Path) -> None:
    index = write(tmp_path / "net", SMALL, lambda index: index["weight_map"].update(a=name))
    safetensors.save_file(SMALL, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"{INDEX}' can't be read as an index of shards: .* is not the name of a file"):
        Shards.open(index)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda index: index.pop("weight_map"), "no `weight_map`"),
        (lambda index: index.update(weight_map={}), "no `weight_map`"),
        (lambda index: index.update(weight_map=[]), "no `weight_map`"),
        (lambda index: index["weight_map"].update(a=3), "no `weight_map`"),
        (lambda index: index["weight_map"].update(a=None), "no `weight_map`"),
        (lambda index: index["weight_map"].update(new=PARTS[0]), f"'{PARTS[0]}' is a shard of .* lacks 'new'"),
        (lambda index: index["weight_map"].pop("a"), f"'{PARTS[0]}' is a shard of .* does not name 'a'"),
        (lambda index: index["weight_map"].update(a=PARTS[1]), f"'{PARTS[0]}' is a shard of .* does not name 'a'"),
        (lambda index: index["weight_map"].update(a="b.bin"), r"of its 4 shards there is no file 'b\.bin' beside it"),
        (lambda index: index["weight_map"].update(a="folder"), "there is no file 'folder' beside it"),
        (lambda index: index["weight_map"].update(a="\ud800"), "there is no file .* beside it"),
        (lambda index: index["weight_map"].update({f"{i}": f"{i}.bin" for i in range(300)}), "it names 303 files"),
        (lambda index: index.update(more="x" * (1 << 21)), "more than the index of any network"),
        (
            lambda index: index.update({"x" * 99_000: {f"{i}": i for i in range(1_000)}}),
            "a longer name than any setting",
        ),
    ],
)
def test_an_index_that_is_not_of_its_shards_is_refused(
    edit: Callable[[Any], object], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    index = write(tmp_path, SMALL, edit)
    with (
        bounded(index.stat().st_size),
        pytest.raises(ValueError, match=f"{INDEX}' can't be read as an index of shards: .*{reason}"),
    ):
        open_source(index)


@pytest.mark.parametrize("content", ["{", "{}", '{"weight_map": {"a": "b", "a": "c"}}', '{"a":' * 5000, '{"\\u'])
def test_what_is_no_json_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(ValueError, match=f"{INDEX}' can't be read as an index of shards"):
        open_source(tmp_path / INDEX)


@pytest.mark.parametrize("content", [b"", b"no tensors", b'{"weight_map": {"a": "model.safetensors.index.json"}}'])
def test_a_shard_that_holds_no_tensors_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    index = write(tmp_path, SMALL)
    (tmp_path / PARTS[2]).write_bytes(content)
    with pytest.raises(ValueError, match=PARTS[2]):
        open_source(index)


def test_an_index_that_names_itself_is_refused(tmp_path: Path) -> None:
    index = write(tmp_path, SMALL, lambda index: index.update(weight_map={"a": INDEX}))
    with pytest.raises(ValueError, match=re.escape(INDEX)):
        open_source(index)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_shard(tmp_path: Path) -> None:
    index = write(tmp_path, SMALL)
    (tmp_path / PARTS[0]).unlink()
    os.mkfifo(tmp_path / PARTS[0])
    with pytest.raises(ValueError, match="there is no file"):
        open_source(index)


def test_an_exchanged_shard_changes_the_digest(tmp_path: Path) -> None:
    before = digest(open_source(write(tmp_path, SMALL)))
    assert before == digest(open_source(tmp_path))
    safetensors.save_file({name: value + 1 for name, value in list(SMALL.items())[2::3]}, tmp_path / PARTS[2])
    assert digest(open_source(tmp_path)) != before


def test_a_network_is_not_converted_onto_one_of_its_shards(tmp_path: Path) -> None:
    keras_resnet.save_weights(keras_resnet.ResNet20(), tmp_path / "model.safetensors")
    write(tmp_path / "net", dict(safetensors.load_file(tmp_path / "model.safetensors")))
    with pytest.raises(ValueError, match="`target` must differ from the source"):
        convert(recognize(tmp_path / "net"), tmp_path / "net" / PARTS[1])


def test_damage_of_an_index_is_refused_or_changes_no_tensor(tmp_path: Path) -> None:
    index = write(tmp_path, SMALL)
    whole, errors = index.read_bytes(), []
    for seed in range(400):
        index.write_bytes(damaged(whole, random.Random(seed)))
        try:
            with bounded(len(whole)):
                source = Shards.open(index)
        except ValueError as error:
            errors.append(str(error))
        else:
            assert {name: source.read(name).tolist() for name in source.shapes} == {
                name: value.tolist() for name, value in SMALL.items()
            }, seed
    assert all(str(tmp_path) in error and "\n" not in error for error in errors)
    assert 200 < len(errors) < 400
