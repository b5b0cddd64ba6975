"""Folders as `from_pretrained` and training scripts leave them: the weights in them, or an error that lists them."""

import json
import os
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import RESNET18
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.folders import weights_in
from keras_resnet.checkpoints.open import digest, neighbour, open_source
from keras_resnet.checkpoints.scaling import Scaling, scaling_of
from keras_resnet.export.convert_weights import convert, recognize
from keras_resnet.models.preprocessing import mode_of
from tests.helpers.nets import assert_same_weights, randomise, run, thin
from tests.helpers.tf_writer import write_v1, write_v2

safetensors = pytest.importorskip("safetensors.numpy")
pytestmark = pytest.mark.one_backend
TINY = thin(RESNET18)
ACCELERATE = ["optimizer.bin", "optimizer_1.bin", "scheduler.bin", "sampler.bin", "random_states_0.pkl", "scaler.pt"]
TRAINER = [
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "rng_state_0.pth",
    "training_args.bin",
    "trainer_state.json",
]
HUB = ["config.json", "preprocessor_config.json", "README.md", ".gitattributes", "tf_model.h5", "flax_model.msgpack"]


def build(**arguments: Any) -> keras.Model:
    shared: dict[str, Any] = {"classes": 5, "style": "torch", "input_shape": (32, 32, 3)}
    return keras_resnet.ResNet(TINY, **shared | arguments)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(b"{}")
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Path]:
    model = randomise(build())
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    keras_resnet.save_weights(model, path)
    return model, path


@pytest.mark.parametrize(
    ("chosen", "others"),
    [
        ("model.safetensors", ["config.json", "model.safetensors.index.json", "pytorch_model.bin", *HUB[1:]]),
        ("model.safetensors", TRAINER),
        ("model.safetensors", ACCELERATE),
        ("model.safetensors", ["model.fp16.safetensors", "pytorch_model.fp16.bin", "model.onnx"]),
        ("model.safetensors.index.json", ["model-00001-of-00002.safetensors", "pytorch_model.bin"]),
        ("pytorch_model.bin", ["pytorch_model.bin.index.json", *TRAINER]),
        ("pytorch_model.bin.index.json", ["pytorch_model-00001-of-00002.bin", "tf_model.h5"]),
        ("epoch=9-step=100.ckpt", ["hparams.yaml", "metrics.csv"]),
        ("model_9.pth", ["log.txt", "args.yaml"]),
        ("last.pth.tar", ["summary.csv"]),
        ("model.keras", ["history.csv", "labels.txt", "report.md", "run.json", ".state.npz", "curves.png"]),
        ("model.weights.h5", ["config.json", "metadata.json", "preprocessor.json", "task.json"]),
        ("pytorch_model_fsdp.bin", ["optimizer.bin"]),
    ],
)
def test_the_weights_of_a_folder_are_those_that_its_library_takes(
    chosen: str, others: list[str], tmp_path: Path
) -> None:
    assert weights_in(touch(tmp_path, chosen, *others)) == tmp_path / chosen


def test_every_entrance_takes_a_folder(saved: tuple[keras.Model, Path], tmp_path: Path) -> None:
    model, path = saved
    folder = touch(tmp_path / "hub", *HUB[2:])
    (folder / "model.safetensors").write_bytes(path.read_bytes())
    (folder / "config.json").write_text('{"architecture": "resnet18", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}')
    assert_same_weights(build(weights=folder), model, 0)
    assert_same_weights(build(weights=str(folder) + os.sep), model, 0)
    loaded = build()
    keras_resnet.load_weights(loaded, folder)
    assert_same_weights(loaded, model, 0)
    network = read_networks(open_source(folder))[0]
    assert network.scaling == Scaling([0.5] * 3, [0.5] * 3)
    assert network.path == str(folder / "model.safetensors")
    classifier = keras_resnet.transfer.classifier(TINY, 3, 32, weights=folder, style="torch")
    stem = next(layer for layer in classifier.layers if layer.name == "conv1_conv").kernel
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (stem, model.get_layer("conv1_conv").kernel)))
    (folder / "config.json").write_text('{"architecture": "resnet18d"}')
    with pytest.raises(ValueError, match="config.json"):
        build(weights=folder)


def test_a_published_network_is_recognized_and_converted_from_a_folder(tmp_path: Path) -> None:
    model = randomise(keras_resnet.ResNet18(weights=None, style="torch", classes=3))
    (tmp_path / "hub").mkdir()
    keras_resnet.save_weights(model, tmp_path / "hub" / "model.safetensors")
    convert(recognize(tmp_path / "hub"), tmp_path / "out.safetensors")
    one, other = (safetensors.load_file(tmp_path / name) for name in ("hub/model.safetensors", "out.safetensors"))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)


def test_a_folder_of_tensorflow_holds_the_checkpoint_that_it_names(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_v2(tmp_path / f"cp-{number}.ckpt", {})
    with pytest.raises(ValueError, match=r"several weights files: 'cp-1.ckpt', 'cp-10.ckpt', 'cp-2.ckpt'\. Pass"):
        weights_in(tmp_path)
    state = tmp_path / "checkpoint"
    for said in ("cp-2.ckpt", "/elsewhere/cp-2.ckpt", "../cp-2.ckpt"):  # moved since
        state.write_text(f'model_checkpoint_path: "{said}"\nall_model_checkpoint_paths: "cp-1.ckpt"\n')
        assert weights_in(tmp_path) == tmp_path / "cp-2.ckpt"
    for said in ("cp-3.ckpt", "..", "a/.."):
        state.write_text(f'model_checkpoint_path: "{said}"\n')
        with pytest.raises(ValueError, match="names the TensorFlow checkpoint .* which is not there"):
            weights_in(tmp_path)
    for content in (b"", b"\xff\0", b'model_checkpoint_path: "a\\"b"', b"model_checkpoint_path: 7"):
        state.write_bytes(content)
        with pytest.raises(ValueError, match="several weights files"):
            weights_in(tmp_path)


def test_a_folder_with_one_tensorflow_checkpoint_needs_no_state(tmp_path: Path) -> None:
    for folder, write in ((tmp_path / "two", write_v2), (tmp_path / "one", write_v1)):
        folder.mkdir()
        write(folder / "model.ckpt-100", {})
        assert weights_in(folder) == folder / "model.ckpt-100"
    touch(tmp_path / "saved", "saved_model.pb", "keras_metadata.pb", "assets/", "variables/")
    write_v2(tmp_path / "saved" / "variables" / "variables", {})
    assert weights_in(tmp_path / "saved") == tmp_path / "saved" / "variables" / "variables"


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["model.safetensors", "model_1.safetensors"], ["model.safetensors", "model_1.safetensors"]),
        (["pytorch_model.bin", "pytorch_model_1.bin", *ACCELERATE], ["pytorch_model.bin", "pytorch_model_1.bin"]),
        (["epoch_1.pth", "epoch_2.pth", "last_checkpoint"], ["epoch_1.pth", "epoch_2.pth"]),
        (["model_best.pth.tar", "last.pth.tar"], ["last.pth.tar", "model_best.pth.tar"]),
        (["b.keras", "a.h5"], ["a.h5", "b.keras"]),
    ],
)
def test_of_several_files_one_is_asked_for(names: list[str], listed: list[str], tmp_path: Path) -> None:
    touch(tmp_path, *names)
    some = ", ".join(map(repr, listed))
    with pytest.raises(ValueError, match=re.escape(f"several weights files: {some}. Pass the path of one of them")):
        build(weights=tmp_path)


def test_what_a_folder_holds_is_listed_in_part(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i:03d}.txt" for i in range(300)))
    with pytest.raises(ValueError, match="without a weights file. It holds '000.txt', .*'009.txt' and 290 more. Pass"):
        weights_in(tmp_path)
    touch(tmp_path, *(f"{i:03d}.pth" for i in range(300)))
    with pytest.raises(ValueError, match="several weights files: '000.pth', .*'009.pth' and 290 more. Pass"):
        weights_in(tmp_path)


@pytest.mark.parametrize(
    "names", [TRAINER, ACCELERATE, ["a.txt", "b/"], [], ["custom_checkpoint_0.pkl"], ["criterion.pt", "optimizer.pt"]]
)
def test_a_folder_without_weights_is_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder without a weights file\. It (holds|is empty)"):
        weights_in(touch(tmp_path, *names))


@pytest.mark.parametrize(
    ("inner", "meant"),
    [
        (["checkpoint-500/model.safetensors", "checkpoint-600/optimizer.pt"], "checkpoint-500"),
        (["snapshots/0a1b/model.safetensors", "blobs/ff", "refs/main"], os.path.join("snapshots", "0a1b")),
        (["checkpoints/a.ckpt", "checkpoints/b.ckpt"], os.path.join("checkpoints", "b.ckpt")),
    ],
)
def test_weights_in_a_folder_of_the_folder_are_pointed_at(inner: list[str], meant: str, tmp_path: Path) -> None:
    touch(tmp_path, *inner)
    with pytest.raises(ValueError, match=re.escape(f"Did you mean {str(tmp_path / meant)!r}?")):
        weights_in(tmp_path)


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (["mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"], "DeepSpeed.*zero_to_fp32.py"),
        (["global_step500/", "zero_to_fp32.py", "latest", "rng_state_0.pth"], "DeepSpeed.*zero_to_fp32.py"),
        (["pytorch_model_fsdp_0/", "optimizer_0/", "scheduler.bin"], "FSDP.*accelerate merge-weights"),
        (["__0_0.distcp", "__1_0.distcp", ".metadata"], "torch.distributed.checkpoint.*dcp_to_torch"),
        (["model-00001-of-00002.safetensors", "config.json"], "without their index"),
        (["model.weights.json", "model_00000.weights.h5", "model_00001.weights.h5"], "model.weights.json"),
    ],
)
def test_weights_of_many_processes_are_refused_by_name(names: list[str], advice: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"is a folder .*{advice}"):
        weights_in(touch(tmp_path, *names))


def test_only_files_are_weights(tmp_path: Path) -> None:
    touch(tmp_path, "model.safetensors/", "pytorch_model.bin/")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "a.pth")  # to open it would wait for a writer
    with pytest.raises(ValueError, match="without a weights file"):
        weights_in(tmp_path)


def test_a_folder_with_very_many_files_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_resnet.checkpoints.folders._ENTRIES", 20)
    touch(tmp_path, *(f"{i}.jpg" for i in range(21)), "model.safetensors")
    with pytest.raises(ValueError, match="more than 20 files. Pass the path of the weights file"):
        weights_in(tmp_path)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(ValueError, match="pointer of Git LFS.*git lfs pull"):
        build(weights=tmp_path)


def test_an_exchanged_file_changes_the_digest_and_a_copy_does_not(
    saved: tuple[keras.Model, Path], tmp_path: Path
) -> None:
    model, path = saved
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(path.read_bytes())
        digests.add(digest(open_source(tmp_path / name)))
    assert digests == {digest(open_source(path))}
    (tmp_path / "a" / "model.safetensors").write_bytes(path.read_bytes()[:-1] + b"\1")
    assert digest(open_source(tmp_path / "a")) not in digests
    assert run(model, keras.ops.zeros((1, 32, 32, 3))).shape == (1, 5)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_written_files_are_open_to_those_that_the_umask_lets(
    name: str, saved: tuple[keras.Model, Path], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        keras_resnet.save_weights(saved[0], tmp_path / name)
    finally:
        os.umask(before)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640


STATED = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}


@pytest.mark.parametrize(
    ("processor", "mode"),
    [
        (STATED | {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}, "torch"),
        ({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}, "tf"),
        (STATED, None),  # it states nothing
        ({"feature_extractor_type": "Audio", "image_mean": None, "image_std": None}, None),
    ],
)
def test_scaling_is_read_of_what_transformers_puts_beside(processor: Any, mode: str | None, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    scaling = scaling_of(neighbour(tmp_path / "model.safetensors"))
    assert (mode_of(scaling) if scaling else None) == mode
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}')
    scaling = scaling_of(neighbour(tmp_path / "model.safetensors"))
    assert scaling
    assert mode_of(scaling) == "tf"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"do_normalize": False}, "do_normalize=False"),
        ({"do_rescale": False}, "do_rescale=False"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor"),
        ({"rescale_factor": float("nan")}, "rescale_factor=nan"),
        ({"rescale_factor": "x"}, "rescale_factor='x'"),
        ({"rescale_offset": True}, "rescale_offset=True"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order=True"),
        ({"image_mean": 0.5}, "means 0.5"),
        ({"image_mean": [0.1, 0.2, 0.3]}, "means .0.1, 0.2, 0.3."),
    ],
)
def test_scaling_beside_that_is_not_understood_is_refused(change: Any, named: str, tmp_path: Path) -> None:
    stated = STATED | {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated | change))
    scaling = scaling_of(neighbour(tmp_path / "model.safetensors"))
    assert scaling is not None
    with pytest.raises(ValueError, match=named):
        mode_of(scaling)


@pytest.mark.parametrize("content", ["{", "[]", '{"a":' * 5000, "\xff"])
def test_a_damaged_file_of_scaling_is_refused(content: str, saved: tuple[keras.Model, Path], tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(saved[1].read_bytes())
    (tmp_path / "preprocessor_config.json").write_text(content, "latin-1")
    with pytest.raises(ValueError, match=r"the preprocessor_config\.json beside the file can't be read"):
        build(weights=tmp_path)


def test_weights_of_transformers_for_other_libraries_are_called_so(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    touch(tmp_path / "flax", "flax_model.msgpack", "config.json")
    for path in (tmp_path / "flax", tmp_path / "flax" / "flax_model.msgpack"):
        with pytest.raises(ValueError, match=r"flax_model.msgpack' is of transformers.* for Flax.*from_flax=True\)"):
            build(weights=path)
    (tmp_path / "tf").mkdir()
    with h5py.File(tmp_path / "tf" / "tf_model.h5", "w") as file:
        file.attrs["layer_names"] = [b"resnet"]
        unit = "tf_res_net_for_image_classification/resnet/encoder/stages.0/layers.0/layer"
        names = [f"{unit}.{i}/normalization/{each}:0" for i in range(2) for each in ("gamma", "beta")]
        for name in names:
            file[f"resnet/{name}"] = np.ones(64, "f4")
        file["resnet"].attrs["weight_names"] = [name.encode() for name in names]
    for path in (tmp_path / "tf", tmp_path / "tf" / "tf_model.h5"):
        with pytest.raises(ValueError, match=r"tf_model.h5' .*transformers' classes for TensorFlow.*from_tf=True\)"):
            build(weights=path)
