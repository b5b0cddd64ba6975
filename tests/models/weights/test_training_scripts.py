"""The checkpoints that training scripts write, through a builder: tensors, and all that lies beside."""

import dataclasses
import functools
import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import RESNET18, RESNET50
from keras_resnet.architecture.variant import Stem
from keras_resnet.models.preprocessing import preprocess_input
from tests.helpers.nets import assert_same_weights, images, randomise, run, thin, with_style

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.one_backend
ROW = with_style(thin(RESNET18, units=(1, 1), widths=(8, 12), stem=Stem(7, 8)), "torch")
SMALL: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 5, "classifier_activation": None}

# What timm's script has among its arguments; `aa` is no anti-aliasing there.
TIMM: dict[str, Any] = {"model": "resnet18", "model_kwargs": {}, "gp": None, "bn_eps": None, "bn_momentum": None}
TIMM |= {"sync_bn": False, "split_bn": False, "aa": "rand-m9-mstd0.5-inc1", "mixup": 0.2, "model_ema": True}
TIMM |= {"drop_path": 0.1, "opt": "lamb", "opt_eps": 1e-6, "clip_mode": "norm", "input_size": None, "mean": None}
TIMM |= {"config": "", "head_init_scale": None, "opt_betas": (0.9, 0.95), "torchscript": False, "dist_bn": "reduce"}
TIMM |= {"kd_model_name": None, "device": "cuda:0", "dataset": "", "train_interpolation": "random"}
TIMM |= {"checkpoint_path": "", "fast_norm": False, "amp_dtype": "float16"}
TORCHVISION: dict[str, Any] = {"data_path": Path("/data"), "model": "resnet18", "opt": "sgd", "weights": None}
TORCHVISION |= {"norm_weight_decay": None, "interpolation": "bilinear", "auto_augment": "ta_wide", "device": "cuda"}
TORCHVISION |= {"backend": "PIL", "use_v2": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """A network, and its tensors by torchvision's names."""
    model = randomise(keras_resnet.ResNet(ROW, **SMALL))
    path = tmp_path_factory.mktemp("net") / "net.pth"
    keras_resnet.save_weights(model, path)
    return model, torch.load(path, weights_only=True)


def scripts(tensors: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints by who writes them."""
    timm, vision, metric = Namespace(**TIMM | args), Namespace(**TORCHVISION | args), torch.tensor(77.5)
    transforms = Namespace(antialias=True, interpolation=2)
    lightning = {"hyper_parameters": {"config": timm, "loss": torch.nn.CrossEntropyLoss(), "transform": transforms}}
    net = {f"net.{name}": value for name, value in tensors.items()}
    return {
        "timm": {
            "epoch": 9,
            "arch": timm.model,
            "state_dict": tensors,
            "args": timm,
            "metric": metric.double().numpy()[()],
        },
        "torchvision": {"model": tensors, "optimizer": {"state": {}}, "epoch": 9, "args": vision},
        "Lightning": {
            "state_dict": net,
            "callbacks": {"ModelCheckpoint{}": {"best": metric, "dir": Path("x")}},
            **lightning,
        },
        "accelerate": {"module": tensors, "config": vision, "rng": torch.get_rng_state(), "step": metric.numpy()},
    }


@pytest.mark.parametrize("writer", ["timm", "torchvision", "Lightning", "accelerate"])
@pytest.mark.parametrize("form", ["zip", "stream"])
def test_what_a_training_script_writes_loads_exactly(writer: str, form: str, trained: Any, tmp_path: Path) -> None:
    model, tensors = trained
    path = tmp_path / "last.pth.tar"
    for protocol in (2, 4):
        whole = scripts(tensors, {})[writer]
        torch.save(whole, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
        assert_same_weights(keras_resnet.ResNet(ROW, **SMALL, weights=path), model, 0)


@pytest.mark.parametrize("writer", ["timm", "torchvision", "Lightning", "accelerate"])
@pytest.mark.parametrize(
    "args",
    [
        {"model": "resnetblur18"},
        {"model": "resnetaa50"},
        {"act_layer": torch.nn.SiLU},
        {"model_kwargs": {"aa_layer": "avg"}},
    ],
)
def test_what_its_arguments_say_of_another_network_is_refused(
    writer: str, args: dict[str, Any], trained: Any, tmp_path: Path
) -> None:
    path, key = tmp_path / "last.pth.tar", next(iter(args))
    torch.save(scripts(trained[1], args)[writer], path)
    with pytest.raises(ValueError, match=rf"the file states [\w.]*(arch|{key})"):
        keras_resnet.ResNet(ROW, **SMALL, weights=path)


def test_its_arguments_tell_the_network(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "last.pth.tar"
    torch.save({"model": trained[1], "args": Namespace(model="resnet18")}, path)
    told = keras_resnet.load_weights(keras_resnet.ResNet(ROW, **SMALL), path).assumed
    torch.save({"model": trained[1], "args": Namespace(lr=0.1)}, path)
    assert len(told) < len(keras_resnet.load_weights(keras_resnet.ResNet(ROW, **SMALL), path).assumed)


def test_mmengines_config_tells_where_strides_are(tmp_path: Path) -> None:
    """Its config is a text of Python; `style="caffe"` there is a stride in the first 1x1."""
    row = with_style(thin(RESNET50, units=(1, 1), widths=(8, 8), stem=Stem(7, 8)), "torch")
    model = randomise(keras_resnet.ResNet(row, **SMALL))
    keras_resnet.save_weights(model, tmp_path / "net.pth")
    tensors = torch.load(tmp_path / "net.pth", weights_only=True)
    path = tmp_path / "epoch_2.pth"
    for style, built in (("caffe", "torch_1x1"), ("pytorch", "torch")):
        config = (
            f"model = dict(\n    backbone=dict(\n        depth=50,\n        style='{style}',\n        type='ResNet'))\n"
        )
        torch.save({"meta": {"cfg": " " * 5000 + config, "epoch": 2}, "state_dict": tensors}, path)
        own = keras_resnet.ResNet(dataclasses.replace(row, name="own"), **SMALL, style=None, weights=path)
        caffe = keras_resnet.ResNet(row, **SMALL, style=built)
        caffe.set_weights(model.get_weights())
        np.testing.assert_array_equal(run(own, images(32, 32)), run(caffe, images(32, 32)))
    with pytest.raises(ValueError, match="style"):
        keras_resnet.ResNet(row, **SMALL, style="torch_1x1", weights=path)
    torch.save({"meta": {"cfg": config + config.replace("pytorch", "caffe")}, "state_dict": tensors}, path)
    assert any("stride" in each for each in keras_resnet.load_weights(model, path).assumed)


@pytest.mark.parametrize("swapped", [True, False])
def test_averages_of_mmengine_are_where_it_puts_them(swapped: bool, trained: Any, tmp_path: Path) -> None:
    """Its hook swaps the averages with the weights when it saves, so that those that carry the name are the weights."""
    model, tensors = trained
    others = {f"module.{name}": torch.zeros_like(value) for name, value in tensors.items()}
    whole = (
        {"state_dict": tensors, "ema_state_dict": others}
        if swapped
        else {"state_dict": others, "ema_state_dict": tensors}
    )
    if swapped:
        whole["message_hub"] = {"runtime_info": {"mmengine_version": "0.10.7"}}
    torch.save(whole, tmp_path / "epoch_2.pth")
    mine = keras_resnet.ResNet(ROW, **SMALL)
    keras_resnet.load_weights(mine, tmp_path / "epoch_2.pth", averages=True)
    assert_same_weights(mine, model, 0)


@pytest.mark.parametrize("setting", [{"last_stride": 1}, {"act_layer": "silu"}, {"global_pool": "max"}])
def test_a_network_that_no_builder_makes_is_not_recommended(
    setting: dict[str, Any], trained: Any, tmp_path: Path
) -> None:
    torch.save({"state_dict": trained[1], "model_kwargs": setting}, tmp_path / "last.pth")
    with pytest.raises(ValueError, match="No builder makes such a network. If the setting does not matter here, save"):
        keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "last.pth")


def test_what_is_no_state_dict_is_said(trained: Any, tmp_path: Path) -> None:
    for protocol in range(2, 6):
        for value in (dict.fromkeys(trained[1]), list(trained[1]), Namespace(net=1)):
            (tmp_path / "net.pkl").write_bytes(pickle.dumps(value, protocol))
            with pytest.raises(ValueError, match="net.pkl' is a plain pickle, which is not read"):
                keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pkl")
    torch.save(functools.partial(print, trained[1]), tmp_path / "export.pkl")
    with pytest.raises(ValueError, match="one object, which is made by 'functools.partial', and no code of it is exec"):
        keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "export.pkl")


@pytest.mark.parametrize(
    ("raw", "average", "words"),
    [
        ("current_model_state", "state_dict", {}),  # Lightning's WeightAveraging
        ("state_dict", "callbacks.StochasticWeightAveraging.average_model_state", {}),
        ("ema.online_model", "ema.ema_model", {}),
        ("state_dict", "model_ema", {}),
    ],
)
def test_averages_are_found_by_what_each_library_calls_them(
    raw: str, average: str, words: dict[str, Any], trained: Any, tmp_path: Path
) -> None:
    model, tensors = trained
    zeros = {f"{raw}.{name}": torch.zeros_like(value) for name, value in tensors.items()}
    torch.save(zeros | {f"{average}.{name}": value for name, value in tensors.items()} | words, tmp_path / "net.pth")
    mine = keras_resnet.ResNet(ROW, **SMALL)
    keras_resnet.load_weights(mine, tmp_path / "net.pth", averages=True)
    assert_same_weights(mine, model, 0)
    with pytest.raises(ValueError, match="`scope` must be"):
        keras_resnet.load_weights(mine, tmp_path / "net.pth", averages=True, scope=raw)


def test_averages_of_parameters_alone_are_not_offered(trained: Any, tmp_path: Path) -> None:
    _, tensors = trained
    bare = {f"ema_model.{name}": value for name, value in tensors.items() if "running" not in name}
    torch.save(bare | {f"model.{name}": value for name, value in tensors.items()}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="is called a moving average of weights: it holds 'ema_model', 'model'"):
        keras_resnet.load_weights(keras_resnet.ResNet(ROW, **SMALL), tmp_path / "net.pth", averages=True)


def test_a_new_classifier_needs_no_name_of_the_old_one(trained: Any, tmp_path: Path) -> None:
    model, tensors = trained
    torch.save({name.replace("fc.", "head_a."): value for name, value in tensors.items()}, tmp_path / "net.pth")
    mine = keras_resnet.transfer.classifier(ROW, 3, 32, weights=tmp_path / "net.pth", head="head_a")
    body = [weight for weight in mine.weights if "predictions" not in weight.path]
    theirs = [weight for weight in model.weights if "predictions" not in weight.path]
    assert [weight.shape for weight in body] == [weight.shape for weight in theirs]
    for one, other in zip(body, theirs, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


def test_the_beginning_of_a_scope_is_enough(trained: Any, tmp_path: Path) -> None:
    model, tensors = trained
    two = {f"{scope}.module.net.{name}": value for scope in ("model", "model_ema") for name, value in tensors.items()}
    torch.save(two, tmp_path / "net.pth")
    for scope in ("model", "model_ema.module", "model_ema.module.net."):
        assert_same_weights(keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pth", scope=scope), model, 0)
    with pytest.raises(
        ValueError, match="`scope` must be one of 'model.module.net', 'model_ema.module.net'; received 'mod'"
    ):
        keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pth", scope="mod")


@pytest.mark.parametrize(("rgb", "mode"), [("True", "torch"), ("False", None)])
def test_mmengines_config_tells_how_images_were_scaled(
    rgb: str, mode: str | None, trained: Any, tmp_path: Path
) -> None:
    model, tensors = trained
    numbers = "mean=[\n 123.675,\n 116.28,\n 103.53,\n ],\n num_classes=5,\n std=[58.395, 57.12, 57.375]"
    config = (
        f"model = dict(\n    data_preprocessor=dict(\n        {numbers},\n        to_rgb={rgb},\n        type='X'))"
    )
    torch.save({"meta": {"cfg": config}, "state_dict": tensors}, tmp_path / "net.pth")
    if mode is None:
        with pytest.raises(ValueError, match=r"the means \[.*\] of BGR and standard deviations"):
            keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pth", include_preprocessing=True)
    else:
        own = keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pth", include_preprocessing=True)
        raw = np.full((1, 32, 32, 3), 90, "float32")
        np.testing.assert_allclose(run(own, raw), run(model, preprocess_input(raw, mode)), rtol=1e-4, atol=1e-5)
    assert_same_weights(keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pth"), model, 0)


def test_what_a_stem_does_is_assumed_where_no_published_network_tells(tmp_path: Path) -> None:
    row = dataclasses.replace(thin(RESNET18), stem=Stem(3, 8, 1, False))
    model = keras_resnet.ResNet(row, **SMALL, style="torch")
    keras_resnet.save_weights(model, tmp_path / "net.pth")
    assert "the stem strides by 1 and does not pool" in keras_resnet.load_weights(model, tmp_path / "net.pth").assumed


@pytest.mark.parametrize(("names", "said"), [(("0", "1"), False), (("conv", "norm"), True)])
def test_a_pool_in_a_shortcut_is_told_by_numbers_alone(
    names: tuple[str, str], said: bool, trained: Any, tmp_path: Path
) -> None:
    """In a Sequential a pool in front of the convolution would be counted."""
    model, tensors = trained
    for i, name in enumerate(names):
        tensors = {key.replace(f"downsample.{i}", f"skip.{name}"): value for key, value in tensors.items()}
    torch.save(tensors, tmp_path / "net.pth")
    mine = keras_resnet.ResNet(ROW, **SMALL)
    assert ("no means stand in front" in str(keras_resnet.load_weights(mine, tmp_path / "net.pth"))) is said
    assert_same_weights(mine, model, 0)


def test_a_style_that_is_no_mmengines_is_refused(trained: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": trained[1], "model_kwargs": {"style": "slim"}}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match="model_kwargs.style: 'slim', which is not true of"):
        keras_resnet.ResNet(ROW, **SMALL, weights=tmp_path / "net.pth")
