"""Networks of the same tensors, which only names and settings tell from each other; and whose a file is, in words."""

import dataclasses
import hashlib
import json
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import keras_resnet
from keras_resnet import cli
from keras_resnet.architecture.lineages import BIT, KERAS_SENET, LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, TIMM_NAMES, builder_call
from keras_resnet.architecture.variant import Attention, Stem, Variant
from keras_resnet.checkpoints import catalogue
from keras_resnet.checkpoints.catalogue import called, list_weights
from keras_resnet.checkpoints.contents import choose_network, read_networks
from keras_resnet.checkpoints.families import FAMILIES, huggingface, torchvision
from keras_resnet.checkpoints.families.detectron2 import DETECTRON2
from keras_resnet.checkpoints.families.family import Family, Shape
from keras_resnet.checkpoints.families.fit import families_of, tensors_of
from keras_resnet.checkpoints.mismatch import advice
from keras_resnet.checkpoints.names.networks import read_name
from keras_resnet.checkpoints.statements import Statement, agrees
from keras_resnet.export.convert_weights import recognize
from keras_resnet.models.inspection import find_network
from keras_resnet.models.weights.load import load_network
from tests.checkpoints.test_mismatch import File
from tests.helpers.nets import randomise
from tests.helpers.torch_nets import GOLDENS, keys
from tests.helpers.wide_nets import WIDE_NETS

pytestmark = pytest.mark.one_backend
SMALL: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 5, "classifier_activation": None}
FOREIGN = {
    "res2net50_26w_4s": "Res2Net",
    "res2net50d": "Res2Net",
    "resnest50d": "ResNeSt",
    "skresnet18": "SKNet",
    "skresnext50_32x4d": "SKNet",
    "regnetx_002": "RegNet",
    "regnety_002": "RegNet",
    "ecaresnet50d_pruned": "pruned networks",
    "resnet50_clip": "CLIP",
    "resnet50_clip_gap": "CLIP",
    "resnetv2_50d_evos": "EvoNorm",
    "resnetv2_50d_frn": "FRN",
    "test_resnet": "test_resnet",
    "nf_resnet26": "NF-ResNet",
    "botnet26t_256": "BoTNet",
    "halonet26t": "HaloNet",
    "lambda_resnet26t": "LambdaNetworks",
    "cspresnet50": "CSPResNet",
    "cspresnext50": "CSPResNeXt",
    "resnet33ts": "byobnet",
}
# timm's older names of networks, and what GluonCV and Google call theirs.
OLDER = {
    "resnet34": "tv_resnet34",
    "resnet50": "tv_resnet50 ssl_resnet50 swsl_resnet50 gluon_resnet50_v1b",
    "resnet152": "tv_resnet152 gluon_resnet152_v1b",
    "resnet18": "ssl_resnet18 swsl_resnet18 gluon_resnet18_v1b",
    "resnext50_32x4d": "tv_resnext50_32x4d ssl_resnext50_32x4d swsl_resnext50_32x4d gluon_resnext50_32x4d",
    "resnext101_32x8d": "ig_resnext101_32x8d ssl_resnext101_32x8d",
    "resnext101_32x48d": "ig_resnext101_32x48d",
    "resnext101_64x4d": "gluon_resnext101_64x4d",
    "resnet50c": "gluon_resnet50_v1c resnet50_v1c",
    "resnet101d": "gluon_resnet101_v1d resnet101_v1d",
    "resnet152s": "gluon_resnet152_v1s",
    "seresnext50_32x4d": "gluon_seresnext50_32x4d se_resnext50_32x4d",
    "senet154": "gluon_senet154 SENet154",
    "seresnext26t_32x4d": "seresnext26tn_32x4d",
    "resnetv2_50x1_bit": "resnetv2_50x1_bitm resnetv2_50x1_bitm_in21k resnetv2_50x1_bit_distilled BiT-M-R50x1",
    "resnetv2_152x4_bit": "resnetv2_152x4_bitm_in21k BiT-S-R152x4",
    "resnet50d": "resnet50-D ResNet50_vd resnet_vd_50_imagenet",
    "seresnet50": "se_resnet50 SE-ResNet-50",
}
# What timm passes to the constructors of some, and what is not so.
SETTINGS: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "resnet50": [
        (
            {
                "cardinality": 1,
                "base_width": 64,
                "stem_type": "",
                "avg_down": False,
                "aa_layer": None,
                "block_args": None,
            },
            {"cardinality": 32, "base_width": 128, "stem_type": "deep", "avg_down": True, "aa_layer": "avg"},
        ),
        (
            {"replace_stem_pool": False, "block_reduce_first": 1, "down_kernel_size": 1, "norm_layer": "batchnorm2d"},
            {"replace_stem_pool": True, "block_reduce_first": 2, "down_kernel_size": 3, "norm_layer": "groupnorm"},
        ),
        ({"downsample_in_first_stage": False}, {"downsample_in_first_stage": True, "deep_stem": True, "use_se": True}),
    ],
    "resnet50d": [({"stem_type": "deep", "avg_down": True, "deep_stem": True}, {"stem_type": "", "avg_down": False})],
    "resnet26t": [({"stem_type": "deep_tiered"}, {"stem_type": "deep", "deep_stem": False})],
    "resnetv2_50d": [({"stem_type": "deep", "preact": True}, {"stem_type": "tiered", "preact": False})],
    "seresnet50": [({"block_args": {"attn_layer": "se"}, "attn_layer": "se"}, {"attn_layer": "eca", "attn": None})],
    "ecaresnet50d": [({"block_args": {"attn_layer": "eca"}}, {"block_args": {"attn_layer": "se"}, "block_args.x": {}})],
    "resnetaa50": [({"aa_layer": "torch.nn.modules.pooling.AvgPool2d"}, {"aa_layer": "blur", "antialias": None})],
    "resnetblur18": [({"aa_layer": "timm.layers.blur_pool.BlurPool2d"}, {"aa_layer": "avg", "antialias": False})],
    "resnet50_gn": [({"norm_layer": "GroupNormAct", "norm_type": "gn"}, {"norm_layer": "nn.BatchNorm2d"})],
    "resnetrs50": [({"replace_stem_pool": True}, {"replace_stem_pool": False})],
    "resnext101_32x8d": [({"cardinality": 32, "base_width": 8}, {"cardinality": 64, "base_width": 4, "groups": 1})],
    "wide_resnet50_2": [({"base_width": 128, "width_per_group": 128}, {"base_width": 64})],
    "senet154": [({"block_reduce_first": 2, "down_kernel_size": 3, "base_width": 4}, {"down_kernel_size": 1})],
}


def shapes_of(row: Variant, classes: int | None = 1000) -> dict[str, Shape]:
    """The tensors of a network in a file of PyTorch, of the family that is told by its own names."""
    layout = plan(row)
    for family in (each for each in FAMILIES if each.transposed and each.names):
        found = tensors_of(family, layout)
        if found and families_of(found).get("") is family and row.lineage.style in family.styles:
            return found | (top_of(family, layout, classes) if classes else {})
    raise AssertionError(f"no family names {row.name}")


def top_of(family: Family, layout: Plan, classes: int) -> dict[str, Shape]:
    """The tensors of a classifier."""
    top = family.names(layout)["predictions"]  # type: ignore[misc]
    weights = {"kernel": family.shape((layout.channels, classes)), "bias": (classes,)}
    return {family.tensor(top, name): shape for name, shape in weights.items()}


def in_torch(row: Variant) -> Variant:
    """A row as PyTorch's libraries have it."""
    return row.in_style("torch") if "torch" in row.styles else row


def of_pytorch() -> list[tuple[str, Variant]]:
    """The rows that libraries of PyTorch have."""
    return [(name, row) for name, row in NETWORKS.items() if not row.lineage.style.startswith(KERAS_SENET.style)]


@cache
def groups() -> tuple[tuple[str, ...], ...]:
    """The names of rows that have the same tensors, and are other networks."""
    found = defaultdict(list)
    for name, row in of_pytorch():
        found[tuple(sorted(shapes_of(in_torch(row)).items()))].append(name)
    return tuple(
        tuple(names)
        for names in found.values()
        if len({plan(dataclasses.replace(in_torch(NETWORKS[name]), name="x")) for name in names}) > 1
    )


ALL = {name for names in groups() for name in names}


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of these names, but small."""
    for name in ALL:
        row = NETWORKS[name]
        units = (1, 1, 1, 1) if row.block == "basic" else (1, 1, min(row.units[2], 9) // 3, 1)
        fields: dict[str, Any] = {"units": units, "widths": (8, 8, 16, 16), "stem": Stem(7, 8)}
        if row.stem and len(row.stem.widths) == 3:
            fields["stem"] = Stem(3, (4, 4, 8))
        if row.groups > 1:
            fields |= {"groups": 2, "base_width": 64}
        monkeypatch.setitem(NETWORKS, name, dataclasses.replace(row, **fields))


def saved(name: str, path: Path, **words: Any) -> Path:
    """A file of one of the thin rows, as a training script leaves it if there are words."""
    import torch

    shapes = shapes_of(in_torch(NETWORKS[name]), 5)
    state = {
        name: torch.rand(shape) + 0.5 if len(shape) == 1 else torch.randn(shape) / 8 for name, shape in shapes.items()
    }
    torch.save({**words, "state_dict": state} if words else state, path)
    return path


def test_the_networks_of_the_same_tensors_are_those_that_are_known() -> None:
    assert {frozenset(names) for names in groups()} == {
        frozenset(names.split())
        for names in (
            "resnet50 resnetaa50 resnetblur50",
            "resnet50d resnetaa50d resnetblur50d",
            "resnet18 resnetblur18",
            "resnet101d resnetaa101d resnetblur101d",
            "seresnext101d_32x8d seresnextaa101d_32x8d",
        )
    }


@pytest.mark.parametrize("names", groups(), ids=lambda names: names[0])
def test_a_bare_file_loads_into_each_and_the_others_are_named(
    names: tuple[str, ...], thin: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(names[0], tmp_path / "net.pth")
    for name in names:
        capsys.readouterr()
        model = keras_resnet.ResNet(name, weights=path, style="torch", **SMALL)
        said = capsys.readouterr().err
        others = [each for each in names if each != name]
        assert f"(anti-aliasing), unlike in {' and '.join(others)}" in said
        assert ("there is no blur pooling (anti-aliasing)" in said) is (NETWORKS[name].antialias is None)
        report = keras_resnet.load_weights(model, path)
        assert any(each.endswith(f"unlike in {' and '.join(others)}") for each in report.assumed)
        assert len(set(report.assumed)) == len(report.assumed)


@pytest.mark.parametrize("names", groups(), ids=lambda names: names[0])
def test_what_is_stated_is_silent_in_its_own_builder_and_refused_in_all_others(
    names: tuple[str, ...], thin: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {name: keras_resnet.ResNet(name, style="torch", **SMALL) for name in names}
    bare = saved(names[0], tmp_path / "bare.pth")
    beside = tmp_path / "beside" / "model.safetensors"
    beside.parent.mkdir()
    keras_resnet.save_weights(models[names[0]], beside)
    for told in names:
        call = re.escape(builder_call(told, "classes=5"))
        arch = saved(names[0], tmp_path / "arch.pth", arch=told, args={"model": f"timm/{told}.ra2_in1k"})
        models[told].save(tmp_path / "net.keras")
        (beside.parent / "config.json").write_text(json.dumps({"architecture": told, "num_classes": 5}))
        for path in (arch, tmp_path / "net.keras", beside):
            assert recognize(path).variant.name == told
            for name in names:
                capsys.readouterr()
                if name == told:
                    assert keras_resnet.load_weights(models[name], path).assumed == ()
                    if path == arch:  # as builders take all of them
                        keras_resnet.ResNet(name, weights=path, **SMALL)
                    assert "Assumed" not in capsys.readouterr().err
                else:
                    before = models[name].get_weights()
                    with pytest.raises(ValueError, match=f"which is not true of '{name}'. It fits {call} in style"):
                        keras_resnet.load_weights(models[name], path)
                    with pytest.raises(ValueError, match=f"It fits {call} in style 'torch'"):
                        keras_resnet.ResNet(name, weights=path, **SMALL)
                    assert all((new == old).all() for new, old in zip(models[name].get_weights(), before, strict=True))
    assert recognize(bare).variant.name == names[0]


def test_convert_takes_the_plain_network_says_so_and_can_be_told(
    thin: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = str(saved("resnet50", tmp_path / "net.pth")), str(tmp_path / "net.keras")
    assert cli.main(["convert", path, target, "--verify"]) == 0
    out, err = capsys.readouterr()
    assert "network: resnet50, style torch, 5 classes" in out
    assert "there is no blur pooling (anti-aliasing), unlike in resnetaa50 and resnetblur50" in out
    assert "has the tensors of resnetaa50 or resnetblur50, too; --network chooses. It is taken for resnet50" in err
    for name in ("resnetblur50", "ResNetAA50"):
        assert cli.main(["convert", path, target, "--network", name, "--overwrite", "--verify"]) == 0
        out, err = capsys.readouterr()
        assert f"network: {name.lower()}, style torch" in out
        assert "--network" not in err
        assert recognize(target).variant.name == name.lower()  # which its config tells
    for name, message in (
        ("resnet50d", "must be one of 'resnet50', 'resnetaa50', 'resnetblur50'; received"),
        ("x", ""),
    ):
        assert cli.main(["convert", path, target, "--network", name, "--overwrite"]) == 1
        assert f"`--network` {message}" in capsys.readouterr().err
    blurred = ["convert", path, str(tmp_path / "x.pth"), "--network", "resnetblur50", "--to", "torchvision"]
    assert cli.main(blurred) == 1
    assert "`--to` must be one of 'timm'; received 'torchvision'" in capsys.readouterr().err
    assert cli.main(["convert", target, str(tmp_path / "x.pth"), "--network", "resnet50"]) == 1
    assert "`--network` must be one of 'resnetaa50'; received" in capsys.readouterr().err


def test_a_published_files_name_decides(thin: None, tmp_path: Path) -> None:
    """Of each network of these that has such files."""
    rows = {row.variant.name: row for row in list_weights().values() if row.style == "torch"}
    for names in groups():
        for told in set(names) & set(rows):
            path = saved(told, tmp_path / next(each.url.rpartition("/")[2] for each in list_weights(told).values()))
            if path.name == "model.safetensors":  # of many networks
                continue
            for name in names:
                model = keras_resnet.ResNet(name, style="torch", **SMALL)
                if name == told:
                    assert keras_resnet.load_weights(model, path).assumed == ()
                    continue
                with pytest.raises(
                    ValueError,
                    match=rf"its name, that of a published file, states network: .*, which is not true of '{name}'. "
                    rf"It fits {re.escape(builder_call(told, 'classes=5'))} .*, rename the file.",
                ):
                    keras_resnet.load_weights(model, path)
    assert "resnet50" in rows
    copy = saved("resnetaa50", tmp_path / "resnetaa50.pth")  # of no row
    assert keras_resnet.load_weights(keras_resnet.ResNet("resnetaa50", style="torch", **SMALL), copy).assumed != ()


@cache
def offered(builder: str) -> keras.Model:
    return getattr(keras_resnet, builder)(weights=None, style="torch")


def test_every_rows_file_is_told_which_builder_it_fits() -> None:
    """And none is called one that no builder makes."""
    for name, row in of_pytorch():
        found = choose_network(read_networks(File(shapes_of(in_torch(row)))))
        fits = advice(found)
        assert "The file has" not in fits
        same = {call for call in map(builder_call, NETWORKS) if call in fits}
        assert builder_call(name) in same or name in ("resnet50x2",), name
        for model in map(offered, ("ResNet50", "ResNet50V2")):
            network = find_network(model, None)
            try:
                load_network(model, network, found, whole=True)
            except ValueError as error:
                said = str(error)
                assert any(call in said for call in same), f"{name}: {said[-300:]}"
                assert "no network of this package" not in said, name
                assert "cut off" not in said, name  # a file that fits another builder is whole
            else:
                assert (row.units, row.version) == ((3, 4, 6, 3), network.plan.version), name


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_builder_makes_is_named(name: str) -> None:
    shapes = {key: tuple(shape) for key, shape in json.loads((GOLDENS / "foreign.json").read_text())[name].items()}
    try:
        found = choose_network(read_networks(File(shapes)))
    except ValueError as error:
        said = str(error)
    else:
        said = advice(found)
        with pytest.raises(ValueError, match=FOREIGN[name]):
            load_network(offered("ResNet50"), find_network(offered("ResNet50"), None), found, whole=True)
    assert FOREIGN[name] in said
    assert not re.search(r"keras_resnet\.\w+", said)


@pytest.mark.parametrize(
    "golden", [each for each in WIDE_NETS if "_first_basic" not in each and "eca_basic" not in each]
)
def test_thin_nets_are_found_as_changed_rows(golden: str) -> None:
    """Of all kinds that rows are of; what the message says to build has the tensors of the file."""
    shapes = {name: tuple(shape) for name, shape in keys(golden).items()}
    found = choose_network(read_networks(File(shapes)))
    said = advice(found)
    match = re.match(r"It fits (keras_resnet\.ResNet\(dataclasses\.replace\(.*\), \w+=\w+\)) in style", said)
    assert match, said
    row = eval(match[1].partition("ResNet(")[2].rpartition(", ")[0])
    (style, *_), classes = re.findall(r"in style '(\w+)'", said), 7 if "classes=7" in said else None
    counted = (Counter(shapes_of(row.in_style(style), classes).values()), Counter(map(tuple, found.tensors.values())))
    assert counted[0] == counted[1], said


def test_a_thin_net_is_found_by_what_is_stated() -> None:
    shapes = {name: tuple(shape) for name, shape in keys("timm__thin_blur").items()}
    file = File(shapes)
    file.words = {"model_kwargs": {"aa_layer": "blur"}, "model_kwargs.aa_layer": "blur"}  # type: ignore[attr-defined]
    assert "NETWORKS['resnetblur50']" in advice(choose_network(read_networks(file)))
    file.words = {"arch": "resnetaa50"}  # type: ignore[attr-defined]
    assert "NETWORKS['resnetaa50']" in advice(choose_network(read_networks(file)))


def test_first_stages_that_stride_and_means_in_shortcuts_are_assumed_or_told(tmp_path: Path) -> None:
    """transformers' setting, and v2 networks whose projections have the same names with means as without."""
    row = dataclasses.replace(NETWORKS["resnet50"].in_style("torch"), units=(1, 2), widths=(8, 8), stem=Stem(7, 8))
    path = tmp_path / "model.safetensors"
    keras_resnet.save_weights(keras_resnet.ResNet(row, **SMALL), path)
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    names = huggingface.modules(plan(row))
    theirs = {f"{module}.": f"{names[ours]}." for ours, module in torchvision.modules(plan(row)).items()}
    save_file({re.sub(r".*\.", lambda m: theirs[m[0]], name): value for name, value in tensors.items()}, path)
    stride: Any
    for stride, said, config in ((1, "does not stride", False), (2, "strides", True)):
        model = keras_resnet.ResNet(dataclasses.replace(row, first_stride=stride), **SMALL)
        assert f"the first stage {said}" in keras_resnet.load_weights(model, path).assumed
        settings = {"model_type": "resnet", "downsample_in_first_stage": config, "layer_type": "bottleneck"}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        assert keras_resnet.load_weights(model, path).assumed == ()
        (tmp_path / "config.json").write_text(json.dumps(settings | {"downsample_in_first_stage": not config}))
        with pytest.raises(ValueError, match="downsample_in_first_stage: (True|False), which is not true of"):
            keras_resnet.load_weights(model, path)
        (tmp_path / "config.json").unlink()
    deep = dataclasses.replace(NETWORKS["resnetv2_50d"], units=(1, 2), widths=(8, 8), stem=Stem(3, (4, 4, 8)))
    net = saved_of(deep, tmp_path / "net.pth")
    shortcut: Any
    for shortcut, said in (
        ("D", "means stride in front of shortcuts'"),
        ("B", "no means stand in front of shortcuts'"),
    ):
        model = keras_resnet.ResNet(dataclasses.replace(deep, shortcut=shortcut), **SMALL)
        assert any(said in each for each in keras_resnet.load_weights(model, net).assumed)


def test_a_style_that_a_network_lacks_is_refused_with_the_builder_that_has_it(tmp_path: Path) -> None:
    """As timm's `legacy_` networks have."""
    import torch

    shapes = shapes_of(NETWORKS["legacy_seresnet18"], 5)
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "net.pth")
    for name in ("resnet18", "seresnet18"):
        with pytest.raises(
            ValueError, match=r"are of style 'senet'\. It fits .*ResNet\('legacy_seresnet18', classes=5\)"
        ):
            keras_resnet.ResNet(name, weights=tmp_path / "net.pth", **SMALL)


def test_predict_and_evaluate_take_network(thin: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, picture = str(saved("resnet50", tmp_path / "net.pth")), tmp_path / "a.png"
    keras.utils.save_img(picture, np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    said = {}
    for name in ("", "resnet50", "resnetblur50"):
        more = ["--network", name] if name else []
        assert cli.main(["predict", path, str(picture), "--json", "--image-size", "64", *more]) == 0
        out, err = capsys.readouterr()
        said[name] = json.loads(out)
        assert ("unlike in resnet50 and resnetaa50" in err) is (name == "resnetblur50")
        assert ("; --network chooses. It is taken for resnet50" in err) is (name == "")
    assert said[""] == said["resnet50"] != said["resnetblur50"]
    assert cli.main(["predict", path, str(picture), "--network", "resnet18"]) == 1
    assert "`--network` must be one of 'resnet50', 'resnetaa50', 'resnetblur50'" in capsys.readouterr().err
    assert cli.main(["predict", "torchvision/resnet50.v1", str(picture), "--network", "resnet50"]) == 1
    assert "--averages and --network are for files of weights alone" in capsys.readouterr().err


@pytest.mark.parametrize("name", NETWORKS)
def test_a_rows_name_is_read_whatever_stands_around_it(name: str) -> None:
    theirs = TIMM_NAMES.get(name, name)
    for text in (
        *(name, name.upper(), theirs, f"timm/{theirs}", f"hf_hub:timm/{theirs}.ra2_in1k", f"{theirs}-0123abcd.pth"),
        *(f"{theirs}_imagenet", theirs.replace("_", "-"), f"pretrained_{theirs}", f"microsoft/{theirs}"),
    ):
        found = read_name(text)
        assert (found.ours, found.row, found.rest) == (True, NETWORKS[name], ()), text
    assert read_name(f"{theirs}_silu").ours is False
    assert read_name(f"{theirs}_flowers102").rest == ("flowers102",)


@pytest.mark.parametrize("name", OLDER)
def test_older_names_mean_rows(name: str) -> None:
    for text in OLDER[name].split():
        found = read_name(text)
        assert (found.ours, found.row and found.row.name, found.rest) == (True, name, ()), text


@pytest.mark.parametrize("name", FOREIGN)
def test_the_names_of_others_mean_no_row(name: str) -> None:
    assert read_name(name).row is None
    assert read_name(name).ours is (None if name == "test_resnet" else False)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_compared_with_the_plan(name: str) -> None:
    row = in_torch(NETWORKS[name])
    for right, wrong in SETTINGS[name]:
        for key, value in right.items():
            assert agrees(Statement(key, value, ""), plan(row), 1e-5), (key, value)
        for key, value in wrong.items():
            assert not agrees(Statement(key, value, ""), plan(row), 1e-5), (key, value)
    for key in ("cardinality", "base_width", "reduce_first", "down_kernel_size", "stem_type", "aa_layer", "attn_layer"):
        for value in ([1], {"a": 1}, -1, 0.5, "x", 10**400, float("nan"), b"se"):
            assert not agrees(Statement(key, value, ""), plan(row), 1e-5), (key, value)


def test_every_name_agrees_with_its_own_network_alone_among_those_of_the_same_tensors() -> None:
    for name, row in NETWORKS.items():
        assert agrees(Statement("arch", TIMM_NAMES.get(name, name), ""), plan(row), 1e-5), name
    for names in groups():
        for told in names:
            for name in names:
                said = agrees(Statement("arch", told, ""), plan(in_torch(NETWORKS[name])), 1e-5)
                assert said is (name == told)


def test_kernels_are_standardised_if_a_name_says_so(tmp_path: Path) -> None:
    """A v2 network with group norms is BiT's or not, which its name tells, or the style."""
    row = Variant("own", 2, "bottleneck", (1, 1, 1, 2), (32,) * 4, Stem(7, 32), BIT, norm="group")
    plain = dataclasses.replace(row, lineage=LINEAGES["torch", 2])
    path = saved_of(row, tmp_path / "net.pth")
    for variant, words in ((row, "taken standardised, as BiT's"), (plain, "taken as they are (with the lineage of")):
        model = randomise(keras_resnet.ResNet(variant, **SMALL))
        assert any(words in each for each in keras_resnet.load_weights(model, path).assumed)
    named = saved_of(row, tmp_path / "named.pth", arch="resnetv2_50x1_bit.goog_in21k")
    assert keras_resnet.load_weights(keras_resnet.ResNet(row, **SMALL), named).assumed == ()
    with pytest.raises(ValueError, match="of style 'bit'; 'own' is built in style 'torch'"):
        keras_resnet.load_weights(keras_resnet.ResNet(plain, **SMALL), named)


def saved_of(row: Variant, path: Path, **words: Any) -> Path:
    import torch

    state = {name: torch.rand(shape) + 0.5 for name, shape in shapes_of(row, 5).items()}
    torch.save({**words, "state_dict": state}, path)
    return path


PARTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "SE": {"attention": Attention("se")},
    "ECA": {"attention": Attention("eca")},
    "a stem that pools by a convolution": {"stem": Stem(7, 8, pool="conv")},
    "means": {"shortcut": "D"},
    "a mean for strides": {"antialias": "avg"},
    "blur": {"antialias": "blur"},
}


@pytest.mark.parametrize(
    "family", [torchvision.TORCHVISION, huggingface.HUGGINGFACE, DETECTRON2], ids=lambda f: f.origin
)
@pytest.mark.parametrize("part", PARTS)
def test_a_plain_file_fills_no_part_of_another_network(family: Family, part: str, tmp_path: Path) -> None:
    """Of which the library's names have none: neither gates nor means stay behind, or come, in silence."""
    import torch

    plain = dataclasses.replace(NETWORKS["resnet50"].in_style("torch"), units=(1, 1), widths=(8, 16), stem=Stem(7, 8))
    layout = plan(plain)
    shapes = tensors_of(family, layout) | top_of(family, layout, 5)
    torch.save({name: torch.rand(shape) + 0.5 for name, shape in shapes.items()}, tmp_path / "net.pth")
    model = keras_resnet.ResNet(dataclasses.replace(plain, **PARTS[part]), **SMALL)
    before = model.get_weights()
    counts = part in ("plain", "means", "a mean for strides", "blur")  # as many tensors
    told = {"torchvision": ("means",), "transformers": ("means", "a mean for strides", "blur")}
    if counts and part not in told.get(family.origin, ()):
        report = keras_resnet.load_weights(model, tmp_path / "net.pth")
        assert report.left == ()
        assert any("means stride" in each for each in report.assumed) is ("mean" in part)
        blur = any("anti-aliasing" in each for each in report.assumed)
        assert blur is (family is not huggingface.HUGGINGFACE)
        return
    with pytest.raises(ValueError, match="the name of its tensors states" if counts else "conv2_block1_|pool1_conv"):
        keras_resnet.load_weights(model, tmp_path / "net.pth")
    assert all((new == old).all() for new, old in zip(model.get_weights(), before, strict=True))


def test_a_name_that_anybody_types_tells_nothing(thin: None, tmp_path: Path) -> None:
    """Although published files are called so, as VICReg's resnet50.pth."""
    assert any(row.url.endswith("/resnet50.pth") for row in list_weights().values())
    for name in ("resnet50.pth", "linear-100ep.pth.tar", "r-50-100ep.pth.tar"):
        path = saved("resnet50", tmp_path / name)
        for builder in ("resnet50", "resnetaa50"):
            report = keras_resnet.load_weights(keras_resnet.ResNet(builder, style="torch", **SMALL), path)
            assert any("unlike in" in each for each in report.assumed)
    for row in list_weights().values():
        name = row.url.rpartition("/")[2]
        assert {each.network for each in called(name)} in ({row.network}, set())
        assert called(name) or not row.digest.startswith("sha256:"), name


@pytest.mark.parametrize(
    "name", ["resnext50_32x4d", "wide_resnet50_2", "resnet50d", "seresnet50", "resnet50w2", "resnet50"]
)
def test_notes_offer_styles_that_the_network_has(name: str, tmp_path: Path) -> None:
    row = in_torch(NETWORKS[name])
    stem = Stem(7, 8) if len(row.stem.widths) == 1 else Stem(3, (4, 4, 8))  # type: ignore[union-attr]
    fields: dict[str, Any] = {"units": (1, 1, 1, 2), "widths": (16,) * 4, "stem": stem}
    if row.groups > 1:
        fields |= {"groups": 2, "base_width": 32}
    small = dataclasses.replace(row, **fields)
    report = keras_resnet.load_weights(keras_resnet.ResNet(small, **SMALL), saved_of(small, tmp_path / "net.pth"))
    offered = {style for each in report.assumed for style in re.findall(r"style='(\w+)'", each)}
    assert offered <= set(small.styles)
    assert bool(offered) is ("torch_1x1" in small.styles)
    assert not any("the stem" in each for each in report.assumed)


@pytest.mark.parametrize("name", ["resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d"])
def test_a_resnexts_file_given_to_another_is_told_its_row(name: str) -> None:
    model = offered("ResNeXt101")
    found = choose_network(read_networks(File(shapes_of(in_torch(NETWORKS[name])))))
    with pytest.raises(ValueError, match=rf"It fits {re.escape(builder_call(name))}") as caught:
        load_network(model, find_network(model, None), found, whole=True)
    assert "(3, 4, 23, 3) blocks" not in str(caught.value) or name == "resnext50_32x4d"


def test_a_circular_gate_is_assumed_not_to_be(tmp_path: Path) -> None:
    row = dataclasses.replace(NETWORKS["ecaresnet50d"], units=(1, 1), widths=(8, 8), stem=Stem(3, (4, 4, 8)))
    model = keras_resnet.ResNet(row, **SMALL)
    assert any("cECA" in each for each in keras_resnet.load_weights(model, saved_of(row, tmp_path / "a.pth")).assumed)
    told = saved_of(row, tmp_path / "b.pth", model_kwargs={"block_args": {"attn_layer": "eca"}})
    assert not any("cECA" in each for each in keras_resnet.load_weights(model, told).assumed)


def test_a_published_files_digest_decides_whatever_it_is_called(
    thin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved("resnetblur50", tmp_path / "net.pth")
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    row = dataclasses.replace(next(iter(list_weights("resnet50").values())), network="resnetblur50", digest=digest[:15])
    monkeypatch.setattr(catalogue, "_ROWS", (*list_weights().values(), row))
    assert keras_resnet.load_weights(keras_resnet.ResNet("resnetblur50", style="torch", **SMALL), path).assumed == ()
    with pytest.raises(ValueError, match=r"its digest, that of a published file, states network: 'resnetblur50'"):
        keras_resnet.load_weights(keras_resnet.ResNet("resnet50", style="torch", **SMALL), path)
    assert recognize(path).variant.name == "resnetblur50"
    monkeypatch.setattr(catalogue, "_LARGEST", path.stat().st_size - 1)
    assert recognize(path).variant.name == "resnet50"


def test_a_stem_of_three_convolutions_takes_images_of_other_channels(tmp_path: Path) -> None:
    row = dataclasses.replace(NETWORKS["resnet50c"], units=(1, 1), widths=(8, 8), stem=Stem(3, (4, 4, 8)))
    path = saved_of(row, tmp_path / "net.pth")
    rgb = keras_resnet.ResNet(row, weights=path, **SMALL)
    grey = keras_resnet.ResNet(row, weights=None, **SMALL | {"input_shape": (32, 32, 1)})
    assert "conv1_1_conv/kernel, of 3 channels in the file and 1" in keras_resnet.load_weights(grey, path).adapted[0]
    summed = np.asarray(keras.ops.convert_to_numpy(rgb.get_layer("conv1_1_conv").kernel)).sum(2, keepdims=True)
    assert np.array_equal(keras.ops.convert_to_numpy(grey.get_layer("conv1_1_conv").kernel), summed)
