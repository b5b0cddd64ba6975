"""What no tensor shows: it is told by names, by the file's words, by the config beside it, by the caller, or said."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_resnet
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET20, RESNET50, RESNET110
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.checkpoints.families import huggingface, torchvision
from keras_resnet.checkpoints.formats.torch.find import find_tensors
from keras_resnet.checkpoints.open import open_source
from keras_resnet.checkpoints.statements import Statement, agrees, not_understood, of_config, of_words, tells_network
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style
from tests.helpers.torch_nets import write

once = pytest.mark.one_backend
SMALL: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 5, "classifier_activation": None}
TINY = thin(RESNET18, units=(1, 1), widths=(8, 12), stem=Stem(7, 8))
NECK = thin(RESNET50, units=(1, 1), widths=(4, 8), stem=Stem(7, 8))
CIFAR = dataclasses.replace(
    RESNET20, name="c", units=(1, 2, 1), widths=(8, 13, 26), stem=Stem(3, 8, 1, pool=False)
)  # 5 and 13 channels more


def tensors_of(model: keras.Model, row: Variant, modules: Any = torchvision.modules) -> dict[str, Any]:
    """A model's weights under the names of a library, and laid out as PyTorch has them."""
    found = {}
    for ours, module in modules(plan(row)).items():
        for variable in model.get_layer(ours).weights:
            name = f"{module}.{torchvision.TORCH_VARIABLES[variable.name]}"
            found[name] = torchvision.TORCHVISION.theirs(np.asarray(keras.ops.convert_to_numpy(variable)))
    return found


def saved(path: Path, row: Variant, modules: Any = torchvision.modules, **words: Any) -> Path:
    """A file of a network of random weights; as a training script leaves it, if there are words beside its tensors."""
    model = randomise(keras_resnet.ResNet(with_style(row, "torch"), **SMALL))
    tensors = tensors_of(model, row, modules)
    if not words:
        return write(path, tensors)
    import torch

    state = {name: torch.from_numpy(value.copy()) for name, value in tensors.items()}
    torch.save({"epoch": 3, **words, "state_dict": state}, path)
    return path


def original(tensors: dict[str, Any], units: tuple[int, ...], x: Any) -> Any:
    """The logits of the published CIFAR nets' code: half of the zero channels in front."""
    import torch
    from torch.nn import functional

    t = {name: torch.from_numpy(value.copy()) for name, value in tensors.items()}

    def normed(x: Any, conv: str, norm: str, stride: int = 1) -> Any:
        x = functional.conv2d(x, t[f"{conv}.weight"], stride=stride, padding=1)
        mean, variance, gamma, beta = (
            t[f"{norm}.{each}"] for each in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-5)

    x = normed(torch.from_numpy(x).permute(0, 3, 1, 2), "conv1", "bn1").relu()
    for stage, count in enumerate(units, 1):
        for unit in range(count):
            name, stride = f"layer{stage}.{unit}", 2 if stage > 1 and unit == 0 else 1
            y = normed(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
            y = normed(y, f"{name}.conv2", f"{name}.bn2")
            new = y.shape[1] - x.shape[1]
            skip = functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, new // 2, new - new // 2))
            x = (y + skip).relu()
    return functional.linear(x.mean((2, 3)), t["linear.weight"], t["linear.bias"]).numpy()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A small CIFAR net as its training script published it, and its tensors."""
    import torch

    path = tmp_path_factory.mktemp("cifar") / "resnet.th"
    model = randomise(keras_resnet.ResNet(CIFAR, **SMALL))
    tensors = {name.replace("fc.", "linear."): value for name, value in tensors_of(model, CIFAR).items()}
    state = {f"module.{name}": torch.from_numpy(value.copy()) for name, value in tensors.items()}
    torch.save({"state_dict": state, "best_prec1": 91.7}, path)
    return path, tensors


@pytest.mark.parametrize("size", [pytest.param((32, 32), marks=once), (33, 20)], ids=str)
def test_published_cifar_nets_give_their_own_numbers(
    published: tuple[Path, dict[str, Any]], size: tuple[int, int]
) -> None:
    path, tensors = published
    x = images(*size)
    model = keras_resnet.ResNet(CIFAR, weights=path, **SMALL | {"input_shape": (None, None, 3)})
    assert_close(run(model, x), original(tensors, CIFAR.units, x), 1e-5)


@once
def test_zero_channels_in_front_are_told_by_the_classifiers_name_or_by_the_style(
    published: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, tensors = published
    x, expected = images(32, 32), original(tensors, CIFAR.units, images(32, 32))
    body = keras_resnet.ResNet(CIFAR, include_top=False, pooling="avg", weights=path, input_shape=(32, 32, 3))
    logits = run(body, x) @ tensors["linear.weight"].T + tensors["linear.bias"]
    assert_close(logits, expected, 1e-5)
    first = (
        run(
            keras_resnet.ResNet(
                CIFAR, weights=path, data_format="channels_first", **SMALL | {"input_shape": (3, 32, 32)}
            ),
            np.moveaxis(x, -1, 1),
        )
        if keras.backend.backend() == "torch"
        else expected
    )
    assert_close(first, expected, 1e-5)
    assert "zero channels" not in capsys.readouterr().err
    other = run(keras_resnet.ResNet(CIFAR, weights=path, style="torch", **SMALL), x)
    with pytest.raises(AssertionError, match="deviates"):  # it is the caller who knows
        assert_close(other, expected, 1e-2)
    fc = write(tmp_path / "fc.pth", {name.replace("linear.", "fc."): value for name, value in tensors.items()})
    capsys.readouterr()
    assert_close(run(keras_resnet.ResNet(CIFAR, weights=fc, **SMALL), x), other, 1e-6)  # as our own files are
    assert "shortcuts add all zero channels behind the others (style='torch_cifar'" in capsys.readouterr().err
    assert_close(run(keras_resnet.ResNet(CIFAR, weights=fc, style="torch_cifar", **SMALL), x), expected, 1e-5)
    assert "zero channels" not in capsys.readouterr().err
    plain = keras_resnet.ResNet(CIFAR, weights=None, **SMALL)
    report = keras_resnet.load_weights(plain, path)
    assert any("although the classifier is named as in the published CIFAR nets" in each for each in report.assumed)
    assert "although the classifier is named" in capsys.readouterr().err
    keras_resnet.load_weights(keras_resnet.ResNet(CIFAR, style="torch_cifar", **SMALL), path)
    keras_resnet.load_weights(plain, fc)
    assert capsys.readouterr().err == ""


@once
def test_both_ways_to_pad_go_through_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = images(32, 32)
    for style in ("torch", "torch_cifar"):
        model = randomise(keras_resnet.ResNet(CIFAR, style=style, **SMALL))
        model.save(tmp_path / "net.keras")
        model.save_weights(tmp_path / "net.weights.h5")
        keras_resnet.save_weights(model, tmp_path / "net.safetensors")
        for name in ("net.keras", "net.safetensors"):
            again = keras_resnet.ResNet(CIFAR, weights=tmp_path / name, **SMALL)
            assert_close(run(again, x), run(model, x), 1e-6)
        capsys.readouterr()
        again = keras_resnet.ResNet(CIFAR, weights=tmp_path / "net.weights.h5", style=style, **SMALL)
        assert_close(run(again, x), run(model, x), 1e-6)
        assert "Assumed" not in capsys.readouterr().err
        assert keras_resnet.load_weights(again, tmp_path / "net.keras").assumed == ()  # whose config tells
        keras_resnet.ResNet(CIFAR, weights=tmp_path / "net.weights.h5", **SMALL)
        assert "shortcuts add all zero channels behind the others (style='torch_cifar'" in capsys.readouterr().err
        other = {"torch": "torch_cifar", "torch_cifar": "torch"}[style]
        with pytest.raises(ValueError, match="with other strides or padding. Build it"):
            keras_resnet.load_weights(keras_resnet.ResNet(CIFAR, style=other, **SMALL), tmp_path / "net.keras")


@once
def test_a_style_about_shortcuts_needs_such_shortcuts() -> None:
    pads = {unit.shortcut for unit in plan(with_style(RESNET110, "torch_cifar")).units}
    assert pads == {"identity", "pad_both"}
    for row in (TINY, RESNET18V2):
        with pytest.raises(ValueError, match="`style` must be one of None, 'keras', 'torch',.*'torch_cifar'"):
            keras_resnet.ResNet(row, style="torch_cifar")


@once
def test_strides_in_the_first_1x1_are_taken_under_torchvisions_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, x = saved(tmp_path / "caffe.pth", NECK), images(32, 32)
    model = randomise(keras_resnet.ResNet(with_style(NECK, "torch"), **SMALL))
    caffe = keras_resnet.ResNet(NECK, style="torch_1x1", **SMALL)
    caffe.set_weights(model.get_weights())
    assert_close(run(keras_resnet.ResNet(NECK, style="torch_1x1", weights=path, **SMALL), x), run(caffe, x), 1e-6)
    assert "stages stride" not in capsys.readouterr().err
    assert_close(run(keras_resnet.ResNet(NECK, weights=path, **SMALL), x), run(model, x), 1e-6)
    assert "the stride of a stage is in its first 3x3 convolution (style='torch_1x1'" in capsys.readouterr().err
    into = keras_resnet.ResNet(NECK, style="torch_1x1", **SMALL)
    report = keras_resnet.load_weights(into, path)
    assert_close(run(into, x), run(caffe, x), 1e-6)
    assert report.assumed[0].startswith("the stride of a stage is in its first 1x1 convolution")
    assert f"assumed: {report.assumed[0]}" in str(report)
    with pytest.raises(AssertionError, match="deviates"):
        assert_close(run(caffe, x), run(model, x), 1e-2)


@once
def test_what_is_told_is_not_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = keras_resnet.ResNet(with_style(NECK, "torch"), **SMALL)
    untold = keras_resnet.load_weights(into, saved(tmp_path / "net.pth", NECK)).assumed
    assert len(untold) == 4
    for name in ("resnext50_32x4d", "gluon_resnet50_v1b", "resnet50-0676ba61", "ResNet50_Weights.IMAGENET1K_V2"):
        assert tells_network([Statement("arch", name, "it")]), name
    for name in ("ResNet", "resnet_best", "unet_resnet18"):
        assert not tells_network([Statement("arch", name, "it")]), name
        assert not_understood(Statement("arch", name, "it")), name
    assert not not_understood(Statement("arch", None, "it"))
    assert keras_resnet.load_weights(into, saved(tmp_path / "arch.pth.tar", NECK, arch="resnet50")).assumed == ()
    assert keras_resnet.load_weights(into, saved(tmp_path / "resnet50-11ad3fa6.pth", NECK)).assumed == ()
    told = saved(tmp_path / "mine.pth", NECK, arch="resnet50_flowers102")
    assert [each for each in keras_resnet.load_weights(into, told).assumed if "'flowers102'" in each] != []
    other = {"downsample_in_first_stage": False, "hidden_act": "relu"}  # which say nothing of a blur
    (tmp_path / "config.json").write_text(json.dumps(other))
    assert [
        each for each in keras_resnet.load_weights(into, tmp_path / "net.pth").assumed if "blur pooling" in each
    ] != []
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet50", "num_classes": 5}))
    assert keras_resnet.load_weights(into, tmp_path / "net.pth").assumed == ()
    capsys.readouterr()
    into.save(tmp_path / "net.keras")
    assert keras_resnet.load_weights(into, tmp_path / "net.keras").assumed == ()
    keras_resnet.ResNet(NECK, weights=tmp_path / "net.keras", **SMALL)
    assert "Assumed" not in capsys.readouterr().err


# What a file, or the config beside it, may say of a network that a plain one is not.
OTHERS: dict[str, Any] = {
    "hidden_act": ["gelu", "silu", "leaky_relu", "swish"],
    "act_layer": ["silu", "nn.GELU", "torch.nn.modules.activation.Hardswish"],
    "aa_layer": ["avg", "blurpc", True],
    "architecture": ["resnetblur18", "resnetaa50", "resnet18_gn", "seresnet18", "botnet26t_256", "resnet18d.ra2_in1k"],
    "arch": [
        *("resnetblur50", "resnetaa50d", "resnet18_silu", "densenet121", "resnet_vd_50_imagenet", "resnet50_vd"),
        *("resnet50-D", "resnet33ts", "nf_resnet50", "se_resnet50", "resnet50_lpf4", "detr-resnet-50-dc5"),
        *("ResNeSt50", "seresnet", {"name": "resnet18", "norm": "gn"}, ["resnet18", "gelu"]),
    ],
    "global_pool": ["max", "avgmax", ["avg"]],
    "layer_type": ["bottleneck"],
    "norm_layer": ["groupnorm", "nn.LayerNorm"],
    "eps": [1e-3, 1e-6, 10**400, float("nan"), [1e-5], True],
    "output_stride": [4],
    "downsample_in_first_stage": [True],
    "attn_layer": ["se", "eca"],
}
SAME: dict[str, Any] = {
    "hidden_act": ["relu", "ReLU"],
    "act_layer": ["relu", "torch.nn.ReLU", "nn.ReLU(inplace=True)", None],
    "aa_layer": [None, "", False],
    "architecture": ["resnet18", "resnet18.a1_in1k", "ResNet18", "wide_resnet50_2", "microsoft/resnet-18"],
    "arch": [
        *("resnet18", "torchvision.models.resnet18", "resnet20_cifar10", "resnet18-5c106cde", "gluon_resnet18_v1b"),
        *(
            "ResNet",
            "resnet_best",
            "ResNetForImageClassification",
            "SupConResNet18",
            "custom_resnet18",
            "unet_resnet18",
        ),
        *("resnet18_b32x8", "resnet18_a", "ResNet18_Weights.IMAGENET1K_V1", None, ""),
    ],
    "global_pool": ["avg", "", None, True],
    "norm_type": [2, 2.0],
    "activation": ["softmax", None],
    "layer_type": ["basic", "BasicBlock"],
    "norm_layer": ["batchnorm2d", "nn.BatchNorm2d", "BatchNormAct2d", "SyncBatchNorm"],
    "eps": [1e-5],
    "output_stride": [8, None],
    "downsample_in_first_stage": [False],
    "attn_layer": [None, ""],
}


@once
@pytest.mark.parametrize("key", OTHERS)
def test_what_is_read_of_another_network_is_refused_by_this_row(key: str) -> None:
    layout = plan(with_style(TINY, "torch"))
    for value in OTHERS[key]:
        assert not agrees(Statement(key, value, ""), layout, 1e-5), value
    for value in SAME[key]:
        assert agrees(Statement(key, value, ""), layout, 1e-5), value


@once
def test_a_contradiction_is_refused_wherever_it_was_read_and_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = randomise(keras_resnet.ResNet(with_style(TINY, "torch"), **SMALL), seed=1)
    before = model.get_weights()

    def refuses(path: Path, text: str) -> None:
        for load in (
            lambda: keras_resnet.load_weights(model, path),
            lambda: keras_resnet.ResNet(TINY, weights=path, **SMALL),
            lambda: keras_resnet.ResNet(TINY, weights=path, style="torch", **SMALL),
        ):
            with pytest.raises(ValueError, match=text):
                load()
        assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))

    blurs = saved(tmp_path / "a.pth", TINY, arch="resnetblur18")
    refuses(blurs, "the file states arch: 'resnetblur18', which is not true of 'resnet18'")
    nested = saved(tmp_path / "b.pth", TINY, hyper_parameters={"model": {"act_layer": "silu"}, "lr": 0.1})
    refuses(nested, "the file states hyper_parameters.model.act_layer: 'silu'")
    refuses(
        saved(tmp_path / "c.pth", TINY, model_args={"se_ratio": 0.25}), "model_args.se_ratio: 0.25, an unknown setting"
    )
    refuses(saved(tmp_path / "c.pth", TINY, arch={"name": "resnetblur18"}), "arch.name: 'resnetblur18'")
    refuses(saved(tmp_path / "c.pth", TINY, cfg={"model": {"type": "resnetaa50"}}), "cfg.model.type: 'resnetaa50'")
    refuses(saved(tmp_path / "c.pth", TINY, model="resnet18_gelu"), "the file states model: 'resnet18_gelu'")
    words = {"model": "my net", "name": "run 3", "backbone": [64, 128], "net": {"type": "adam"}, "type": "resnetblur18"}
    assert keras_resnet.load_weights(model, saved(tmp_path / "c.pth", TINY, arch="resnet18", **words)).assumed == ()
    before = model.get_weights()
    tensors = tensors_of(model, TINY)
    save_file(
        {name: value.copy() for name, value in tensors.items()}, tmp_path / "d.safetensors", {"arch": "resnetaa18"}
    )
    refuses(tmp_path / "d.safetensors", "the file states arch: 'resnetaa18'")
    path = saved(tmp_path / "e.safetensors", TINY, huggingface.modules)
    configs: list[tuple[dict[str, Any], str]] = [
        ({"hidden_act": "gelu", "layer_type": "basic"}, "the config.json beside it states hidden_act: 'gelu'"),
        ({"model_args": {"act_layer": "silu"}, "architecture": "resnet18"}, "states model_args.act_layer: 'silu'"),
        ({"architecture": "resnetblur18"}, "states architecture: 'resnetblur18'"),
        ({"downsample_in_first_stage": True}, "states downsample_in_first_stage: True"),
        ({"model_type": "detr", "d_model": 256, "dilation": True}, "states dilation: True"),
        ({"squeeze": 4}, "states squeeze: 4, an unknown setting.*move that config.json away"),
    ]
    for config, text in configs:
        (tmp_path / "config.json").write_text(json.dumps(config))
        refuses(path, text)
    for text in ('{"hidden_act": "gelu"', "[1]", "null", "[" * 100_000, " " * (1 << 24) + "{}"):
        (tmp_path / "config.json").write_text(text)
        refuses(path, "config.json beside the file can't be read .* move it away")
    for config in ({"hidden_act": "relu"}, {"model_type": "detr", "d_model": 256}, {"lr": 0.1}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        keras_resnet.load_weights(model, path)


@once
def test_pixels_are_scaled_as_the_config_beside_the_file_says(tmp_path: Path) -> None:
    path, x = saved(tmp_path / "model.safetensors", TINY), np.full((1, 8, 8, 3), [0, 127.5, 255], "f4")

    def image(**config: Any) -> Any:
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"} | config))
        model = keras_resnet.ResNet(
            TINY, weights=path, include_preprocessing=True, **SMALL | {"input_shape": (8, 8, 3)}
        )
        inner = next(layer for layer in model.layers if layer.name == "preprocess")
        return run(keras.Model(model.input, inner.output), x)[0, 0, 0]

    half = [0.5, 0.5, 0.5]
    assert_close(image(pretrained_cfg={"mean": half, "std": half}), [-1, 0, 1], 1e-6)
    expected = (np.array([0, 0.5, 1]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert_close(image(), expected, 1e-6)
    assert_close(image(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]), expected, 1e-6)
    with pytest.raises(ValueError, match=r"means \[0.1, 0.5, 0.5\].*, and scale images before the model"):
        image(pretrained_cfg={"mean": [0.1, 0.5, 0.5], "std": half})


@once
@pytest.mark.parametrize("wrong", ["imagenet", 3, [0.5], ["a", 1, None], [10**400] * 3, [float("nan")] * 3, None, {}])
def test_means_that_are_not_understood_are_refused_where_pixels_are_scaled(wrong: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "model.safetensors", TINY)
    (tmp_path / "config.json").write_text(json.dumps({"mean": wrong, "std": [0.5] * 3}))
    keras_resnet.ResNet(TINY, weights=path, **SMALL)
    with pytest.raises(ValueError, match="deviations .*=False, and scale images before the model"):
        keras_resnet.ResNet(TINY, weights=path, include_preprocessing=True, **SMALL)


@once
def test_settings_of_a_keras_file_must_be_the_models(tmp_path: Path) -> None:
    for name, change in (
        ("epsilon", lambda layer, config: config | {"epsilon": 0.01} if "epsilon" in config else config),
        ("activation", lambda layer, config: config | {"activation": "gelu"} if layer == "conv1_relu" else config),
    ):
        model = keras_resnet.ResNet(TINY, **SMALL)
        other = keras.models.clone_model(
            model, clone_function=lambda layer, c=change: type(layer).from_config(c(layer.name, layer.get_config()))
        )
        other.save(tmp_path / "other.keras")
        with pytest.raises(ValueError, match=rf"its own config states \w+\.{name}"):
            keras_resnet.load_weights(model, tmp_path / "other.keras")
    own = dataclasses.replace(TINY, lineage=dataclasses.replace(LINEAGES["keras", 1], epsilon=0.01))
    wide = keras_resnet.ResNet(own, **SMALL)
    wide.save(tmp_path / "own.keras")
    keras_resnet.load_weights(keras_resnet.ResNet(own, **SMALL), tmp_path / "own.keras")


@once
def test_what_lies_in_a_body_of_transformers_is_known_to_change_nothing() -> None:
    """Older configs hold all that any model of the library has, once more in that of the body."""
    body = {"model_type": "resnet", "bad_words_ids": None, "top_k": 50, "prefix": None, "layer_type": "bottleneck"}
    layout = plan(with_style(NECK, "torch"))
    found = of_config({"model_type": "maskformer", "d_model": 256, "backbone_config": body})
    assert all(agrees(each, layout, 1e-5) for each in found)
    assert not of_words({"hyper_parameters.layer_norm_eps": 1e-12, "hyper_parameters.pooling": "cls"})  # of a text


@once
def test_settings_beside_tensors_are_read_as_in_a_config() -> None:
    """What a file lists, and what lies in what changes no number, says nothing more."""
    settings: dict[str, Any] = {"layers": [2, 2], "id2label": {0: "cat", 1: "dog"}, "model_kwargs": None}
    settings |= {"pretrained_cfg": {"hf_hub": "x"}}
    assert of_config({"model_args": settings}) == ()
    _, words = find_tensors({"hyper_parameters": {"model_args": settings}, 3: {"lr": 0.1}})
    assert of_words(words) == ()
    _, words = find_tensors({"model_args": {"strides": [1, 2], "squeeze": [4]}})
    assert {each.setting for each in of_words(words)} == {"model_args.strides", "model_args.squeeze"}


@once
def test_a_folded_network_takes_its_own_file(tmp_path: Path) -> None:
    folded = keras_resnet.fold_batch_norm(keras_resnet.ResNet(TINY, **SMALL))
    folded.save(tmp_path / "folded.keras")
    assert keras_resnet.load_weights(folded, tmp_path / "folded.keras").assumed == ()


@once
def test_metadata_that_is_null_is_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors", TINY)
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + size]) | {"__metadata__": None}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + size :])
    keras_resnet.load_weights(keras_resnet.ResNet(with_style(TINY, "torch"), **SMALL), path)


@once
def test_a_random_key_of_a_config_is_ignored_only_if_it_is_known_to_change_nothing() -> None:
    draw, layout = random.Random(0), plan(with_style(TINY, "torch"))
    ignored = {"id2label", "num_labels", "torch_dtype", "transformers_version", "pretrained_cfg", "lr", "depths"}
    for _ in range(200):
        key = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz_", k=draw.randint(3, 12)))
        value = draw.choice([True, 0.5, 3, "x", [1], {"a": 1}])
        config = {name: draw.choice([1, "x", {}]) for name in draw.sample(sorted(ignored), 3)}
        assert of_config(config) == ()
        inside = draw.choice([config | {key: value}, config | {"model_args": {key: value}}])
        assert not all(agrees(each, layout, 1e-5) for each in of_config(inside)), inside


@once
def test_a_published_row_tells_the_style_to_load_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue's word counts in `load_weights` as it does in a builder."""
    from keras_resnet.models.weights import load

    path = saved(tmp_path / "model.safetensors", NECK, huggingface.modules)
    key, row = next(item for item in keras_resnet.list_weights().items() if item[1].style == "torch")
    told = dataclasses.replace(row, style="torch")
    monkeypatch.setattr(load, "list_weights", lambda: {key: told})
    monkeypatch.setattr(load, "open_named", lambda source: open_source(path))
    report = keras_resnet.load_weights(keras_resnet.ResNet(with_style(NECK, "torch"), **SMALL), key)
    assert report.assumed == ()
    with pytest.raises(ValueError, match="of style 'torch'; .* is built in style 'torch_1x1'"):
        keras_resnet.load_weights(keras_resnet.ResNet(NECK, style="torch_1x1", **SMALL), key)


@once
def test_a_name_of_another_depth_tells_nothing(tmp_path: Path) -> None:
    row = with_style(thin(RESNET18, widths=(4, 4, 4, 4), stem=Stem(7, 4)), "torch")
    for arch, told in (("resnet18", True), ("resnet50", False), ("timm/resnet34.a1_in1k", False), ("my_net", False)):
        path = saved(tmp_path / "net.pth", row, arch=arch)
        report = keras_resnet.load_weights(keras_resnet.ResNet(row, **SMALL), path)
        assert ("the activation is ReLU" not in report.assumed) is told, arch
