"""The catalogue: every row against what its family publishes, and against the plan of its network."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keras_resnet import variants
from keras_resnet.architecture.lineages import MXNET_V2, PUBLISHED, TORCH_V1
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS, builder_name, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints import catalogue
from keras_resnet.checkpoints.catalogue import Checkpoint, list_weights
from keras_resnet.checkpoints.families import huggingface, tf_slim, timm, torchvision
from keras_resnet.models.weights.find import find_weights, imagenet
from tests.helpers.nets import SIX, with_style

pytestmark = pytest.mark.one_backend
GOLDENS = Path(__file__).parents[1] / "goldens" / "torch"
ROWS = list_weights()
SELF_SUPERVISED = {"moco", "mocov3", "swav", "dino", "barlowtwins", "vicreg"}


def family(row: Checkpoint) -> str:
    return row.key.partition("/")[0]


def of(*families: str) -> list[Checkpoint]:
    return [row for row in ROWS.values() if family(row) in families]


def test_every_family_has_its_number_of_rows() -> None:
    """A row for each file; as the keys differ, none is there twice."""
    assert Counter(map(family, ROWS.values())) == {
        # each with and without top: 50, 101, 152 of v1 and v2, ResNeXt 50 and 101, and 11 ResNet-RS
        "keras": 38,
        "classification_models": 34,
        "slim": 6,  # 50, 101, 152 of v1 and v2
        "torchvision": 17,  # ten of the first recipe, seven of the second
        "facebook": 4,  # ssl and swsl, 18 and 50
        "timm": 53,
        "microsoft": 6,  # 18, 26, 34, 50, 101, 152
        "moco": 3,  # v1, v2 of 200 and of 800 epochs
        "mocov3": 6,  # 100, 300, 1000 epochs, each with and without a linear classifier
        **dict.fromkeys(("swav", "dino", "barlowtwins", "vicreg"), 1),
    }
    assert Counter(row.network for row in of("timm")) == {
        "ResNet18": 7,  # a1 a2 a3, tv, ssl, swsl, gluon
        "ResNet26": 1,  # bt
        "ResNet34": 7,  # a1 a2 a3, bt, ra4, tv, gluon
        "ResNet50": 19,  # a1 a1h a2 a3 b1k b2k c1 c2 d, ram am ra bt, tv tv2, bamboo, ssl, swsl, gluon
        "ResNet101": 7,  # a1h a1 a2 a3, tv tv2, gluon
        "ResNet152": 7,  # the same
        **dict.fromkeys(("ResNet18V2", "ResNet34V2", "ResNet50V2", "ResNet101V2", "ResNeXt101"), 1),
    }


def test_keys_are_the_names_of_their_sources() -> None:
    assert all(key == row.key for key, row in ROWS.items())
    assert all(re.fullmatch(r"[a-z0-9_]+/[a-z0-9_.-]+", key) for key in ROWS)
    assert {
        "keras/resnet50",
        "keras/resnet152v2.notop",
        "keras/resnext50",
        "keras/resnet-rs-101-i192",
        "classification_models/seresnet34.notop",
        "classification_models/resnet50.imagenet11k-places365ch",
        "slim/resnet_v1_50",
        "torchvision/resnet50.v2",
        "facebook/resnet18.swsl",
        "timm/resnet18.a1_in1k",
        "timm/resnetv2_50.a1h_in1k",
        "microsoft/resnet-50",
        "moco/resnet50.v2_800ep",
    } <= set(ROWS)


def test_urls_are_https_but_for_tf_slims() -> None:
    for row in ROWS.values():
        assert re.fullmatch(r"https?://[a-z.]+/[\w./-]+\.(h5|pth|pth\.tar|tar\.gz|safetensors)", row.url), row
        assert row.url.startswith("http://download.tensorflow.org/models/" if row.style == "slim" else "https://"), row
        assert row.source.startswith("https://"), row
        assert row.url.endswith(".tar.gz") == bool(row.member) == (row.style == "slim"), row
    assert ROWS["slim/resnet_v1_101"].url.endswith("/models/resnet_v1_101_2016_08_28.tar.gz")
    assert ROWS["slim/resnet_v2_152"].url.endswith("/models/resnet_v2_152_2017_04_14.tar.gz")
    assert ROWS["slim/resnet_v2_152"].member == "resnet_v2_152.ckpt"


def test_a_hash_is_the_one_published() -> None:
    """The first 8 digits of SHA-256 in a file's name, or an MD5; empty where there is none."""
    kinds = Counter[str]()
    for row in ROWS.values():
        kinds[row.digest.partition(":")[0]] += 1
        assert re.fullmatch(r"(sha256:[0-9a-f]{8}|md5:([0-9a-f]{8}|[0-9a-f]{32}))?", row.digest), row
        name = row.url.rpartition("/")[2].removesuffix(".pth")
        if row.digest.startswith("sha256:"):
            assert name.endswith("-" + row.digest.removeprefix("sha256:")), row
        else:
            assert not re.search(r"-[0-9a-f]{8}$", name), row
    # sha256: torchvision 17, Facebook 4, timm 47; md5: Keras 38, image-classifiers 34, MoCo 3; none: Slim 6, timm 6,
    # Microsoft 6, others 10
    assert kinds == {"sha256": 68, "md5": 75, "": 28}
    assert ROWS["torchvision/resnet50.v1"].digest == "sha256:0676ba61"
    assert ROWS["moco/resnet50.v1_200ep"].digest == "md5:b251726a"


def test_timm_repeats_the_files_of_torchvision_and_facebook() -> None:
    """Two collections wrote down the same hashes: each vouches for the other."""
    by_url: dict[str, list[Checkpoint]] = {}
    for row in ROWS.values():
        by_url.setdefault(row.url, []).append(row)
    shared = {tuple(row.key for row in rows) for rows in by_url.values() if len(rows) > 1}
    first = {f"{key}.v1": f"{key}.tv_in1k" for key in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")}
    second = {f"{key}.v2": f"{key}.tv2_in1k" for key in ("resnet50", "resnet101", "resnet152")}
    expected = {(f"torchvision/{ours}", f"timm/{theirs}") for ours, theirs in (first | second).items()}
    for name in ("resnet18", "resnet50"):
        expected.add((f"facebook/{name}.ssl", f"timm/{name}.fb_ssl_yfcc100m_ft_in1k"))
        expected.add((f"facebook/{name}.swsl", f"timm/{name}.fb_swsl_ig1b_ft_in1k"))
    assert shared == expected
    assert all(len({(row.network, row.digest, row.classes, row.name) for row in rows}) == 1 for rows in by_url.values())


def test_a_files_place_in_the_cache_is_its_own_and_nothing_elses() -> None:
    places = {row.name: row.url for row in ROWS.values()}
    assert len(places) == len({row.url for row in ROWS.values()})
    for row in ROWS.values():
        assert re.fullmatch(r"[\w-]+\.h5|keras_resnet(/[\w.-]+)+", row.name), row
        assert ".." not in row.name
        assert ("/" not in row.name) == (row.style == "keras")
    assert ROWS["keras/resnet50"].name == "resnet50_weights_tf_dim_ordering_tf_kernels.h5"
    assert ROWS["torchvision/resnet50.v1"].name == "keras_resnet/download.pytorch.org/models/resnet50-0676ba61.pth"


@pytest.mark.parametrize("name", SIX)
def test_rows_are_those_of_keras_applications(name: str) -> None:
    from keras.src.applications import resnet

    for index, (key, top, classes) in enumerate((("", "", 1000), (".notop", "_notop", None))):
        row = ROWS[f"keras/{name.lower()}{key}"]
        assert row.network == name
        assert row.digest == "md5:" + resnet.WEIGHTS_HASHES[name.lower()][index]
        file = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels{top}.h5"
        assert row.url == resnet.BASE_WEIGHTS_PATH + file
        assert row.classes == classes
        assert row.preprocessing == ("tf" if name.endswith("V2") else "caffe") == row.variant.lineage.preprocessing


def test_files_of_keras_2_are_those_that_its_libraries_named() -> None:
    row = ROWS["keras/resnet-rs-152-i224.notop"]
    assert row.url.endswith("/keras-applications/resnet_rs/resnet-rs-152-i224_notop.h5")
    assert (row.digest, row.classes, row.image_size) == ("md5:dc8b2cba2005552eafa3167f00dc2133", None, 224)
    row = ROWS["classification_models/resnet152.imagenet11k"]
    assert row.url.endswith("/classification_models/releases/download/0.0.1/resnet152_imagenet11k_11221.h5")
    assert (row.digest, row.classes) == ("md5:24791790f6ef32f274430ce4a2ffee5d", 11221)
    row = ROWS["classification_models/seresnext50.notop"]
    assert row.url.endswith("/seresnext50_imagenet_1000_no_top.h5")
    assert (row.digest, row.preprocessing) == ("md5:b0f23d2e1cd406d67335fb92d85cc279", "torch")
    assert ROWS["classification_models/resnext50"].preprocessing == "none"
    assert ROWS["keras/resnext101.notop"].digest == "md5:0f678c91647380debd923963594981b3"


def test_files_of_one_network_at_several_sizes_are_named_by_these() -> None:
    row = NETWORKS["resnetrs152"]
    assert imagenet(row, None, include_top=True).key == "keras/resnet-rs-152-i256"
    assert imagenet(row, None, include_top=False, image_size=192).key == "keras/resnet-rs-152-i192.notop"
    with pytest.raises(ValueError, match=r"`weights='imagenet-i160'`.*'imagenet-i192', 'imagenet-i224', 'imagenet-i25"):
        imagenet(row, None, include_top=True, image_size=160)


# torchvision's and timm's own counts, with a classifier of 1000.
PARAMETERS = {
    "ResNet18": 11689512,
    "ResNet26": 15995176,
    "ResNet34": 21797672,
    "ResNet50": 25557032,
    "ResNet101": 44549160,
    "ResNet152": 60192808,
    "ResNet18V2": 11687720,
    "ResNet34V2": 21795880,
    "ResNet50V2": 25549352,
    "ResNet101V2": 44541480,
    "ResNeXt50": 25028904,
    "ResNeXt101": 44177704,
    "resnext101_32x8d": 88791336,
    "resnext101_64x4d": 83455272,
    "WideResNet50": 68883240,
    "WideResNet101": 126886696,
}


def test_every_row_has_a_plan_with_the_parameters_its_library_counts() -> None:
    counted = set()
    for row in ROWS.values():
        assert row.variant.lineage is row.variant.lineages[row.style], row
        assert row.variant.lineage in PUBLISHED
        laid_out = plan(row.variant)
        assert laid_out.version == (2 if row.network.endswith("V2") or row.variant.lineage is MXNET_V2 else 1)
        if row.style == "torch":
            assert laid_out.parameters(trainable=True) == PARAMETERS[row.network], row
            counted.add(row.network)
    assert counted == set(PARAMETERS)


def tensors(variant: Variant, modules: Callable[[Plan], dict[str, str]], style: dict[str, str]) -> dict[str, list[int]]:
    """Names, as another library has them, of a network's variables with a classifier of 1000, and our shapes."""
    laid_out = plan(variant)
    theirs = modules(laid_out)
    separator = "/" if style is tf_slim.SLIM_VARIABLES else "."

    def ours() -> Iterator[tuple[str, str, list[int]]]:
        for conv in laid_out.convs():
            yield f"{conv.name}_conv", "kernel", list(conv.kernel_shape)
            if conv.bias:
                yield f"{conv.name}_conv", "bias", [conv.filters]
        for norm in laid_out.norms():
            for variable in norm.variables:
                yield norm.name, variable, [norm.channels]
        yield "predictions", "kernel", [laid_out.channels, 1000]
        yield "predictions", "bias", [1000]

    return {f"{theirs[layer]}{separator}{style[variable]}": shape for layer, variable, shape in ours()}


# Without num_batches_tracked. TF-Slim's: those of its tf_slim 1.1.0.
KEYS = {
    ("torch", 1): {18: 102, 26: 147, 34: 182, 50: 267, 101: 522, 152: 777},
    ("torch", 2): {18: 90, 34: 170, 50: 251, 101: 506},
    ("slim", 1): {50: 267, 101: 522, 152: 777},
    ("slim", 2): {50: 272, 101: 544, 152: 816},
}


def test_every_rows_map_gives_the_number_of_keys_that_its_library_has() -> None:
    seen = set()
    for row in [*list_weights(style="torch").values(), *list_weights(style="slim").values()]:
        version, depth = row.variant.version, 2 + sum(row.variant.units) * (2 if row.variant.block == "basic" else 3)
        modules = {("torch", 1): torchvision.modules, ("torch", 2): timm.modules_v2}.get(
            (row.style, version), tf_slim.modules
        )
        if row.key.startswith("microsoft/"):
            modules = huggingface.modules
        variables = tf_slim.SLIM_VARIABLES if row.style == "slim" else torchvision.TORCH_VARIABLES
        assert len(tensors(row.variant, modules, variables)) == KEYS[row.style, version][depth], row
        seen.add((row.style, version, depth))
    assert seen == {(*lineage, depth) for lineage, depths in KEYS.items() for depth in depths}


TORCHVISION, TIMM_V2, HUGGINGFACE = torchvision.modules, timm.modules_v2, huggingface.modules


@pytest.mark.parametrize(
    ("golden", "key", "modules"),
    [
        ("torchvision__resnet18", "torchvision/resnet18.v1", TORCHVISION),
        ("torchvision__resnet34", "torchvision/resnet34.v1", TORCHVISION),
        ("torchvision__resnet50", "torchvision/resnet50.v2", TORCHVISION),
        ("torchvision__resnet101", "torchvision/resnet101.v2", TORCHVISION),
        ("torchvision__resnet152", "torchvision/resnet152.v2", TORCHVISION),
        ("timm__resnet26", "timm/resnet26.bt_in1k", TORCHVISION),
        ("timm__resnext50_32x4d", "torchvision/resnext50_32x4d.v2", TORCHVISION),
        ("timm__resnetv2_18", "timm/resnetv2_18.ra4_e3600_r224_in1k", TIMM_V2),
        ("timm__resnetv2_34", "timm/resnetv2_34.ra4_e3600_r224_in1k", TIMM_V2),
        ("timm__resnetv2_50", "timm/resnetv2_50.a1h_in1k", TIMM_V2),
        ("transformers__resnet-18", "microsoft/resnet-18", HUGGINGFACE),
        ("transformers__resnet-26", "microsoft/resnet-26", HUGGINGFACE),
        ("transformers__resnet-50", "microsoft/resnet-50", HUGGINGFACE),
    ],
)
def test_a_rows_keys_and_shapes_are_those_of_the_real_library(
    golden: str, key: str, modules: Callable[[Plan], dict[str, str]]
) -> None:
    theirs = json.loads((GOLDENS / f"{golden}.keys.json").read_text())
    ours = {}
    for name, shape in tensors(ROWS[key].variant, modules, torchvision.TORCH_VARIABLES).items():
        height_width, rest = (shape[:2], shape[2:]) if len(shape) == 4 else ([], shape)
        ours[name] = [*reversed(rest), *height_width]
    if modules is TIMM_V2:
        ours["head.fc.weight"] += [1, 1]  # its classifier is a convolution
    assert ours == {name: shape for name, shape in theirs.items() if not name.endswith("num_batches_tracked")}


def test_what_a_row_says_of_its_images_is_consistent() -> None:
    for row in ROWS.values():
        assert row.image_size <= row.resize <= 1.2 * row.image_size, row
        assert row.interpolation in ("bilinear", "bicubic"), row
        assert row.preprocessing in ("caffe", "tf", "torch", "rgb_means", "swav", "none"), row
        assert row.classes in (None, 1000, 1001, 11221, 11586), row
        assert row.top1 is None or (row.classes is not None and 60 < row.top1 < 85), row
        unlicensed = ("keras", "slim", "torchvision", "classification_models")
        assert row.licence or family(row) in unlicensed or row.key == "timm/resnet50.bamboo", row
    assert {row.key for row in ROWS.values() if row.classes == 1001} == {f"slim/resnet_v2_{n}" for n in (50, 101, 152)}
    bodies = {row.key for row in ROWS.values() if row.classes is None and not row.key.endswith(".notop")}
    linear = {key for key in ROWS if key.startswith("mocov3/") and key.endswith("_linear")}
    assert len(linear) == 3
    assert bodies == {row.key for row in of(*SELF_SUPERVISED)} - linear | {"timm/resnet50.bamboo"}
    assert {row.key for row in ROWS.values() if row.classes and row.top1 is None} == {
        *(row.key for row in of("microsoft")),
        *(f"classification_models/{name}" for name in ("resnext50", "resnext101", "resnet152.imagenet11k")),
        "classification_models/resnet50.imagenet11k-places365ch",
    }


# How each evaluates: image size, resize, squash, interpolation, preprocessing, top-1.
EVALUATIONS = {
    "keras/resnet50": (224, 224, True, "bilinear", "caffe", 74.9),
    "keras/resnet101v2": (224, 224, True, "bilinear", "tf", 77.2),
    "keras/resnext50": (224, 224, True, "bilinear", "torch", 77.36),
    "keras/resnet-rs-50-i160": (160, 192, False, "bicubic", "torch", 78.9),
    "classification_models/resnet34": (224, 256, False, "bilinear", "none", 72.17),
    "classification_models/senet154": (224, 256, False, "bilinear", "torch", 81.06),
    "slim/resnet_v1_50": (224, 256, False, "bilinear", "rgb_means", 75.2),
    "slim/resnet_v2_50": (299, 341, True, "bilinear", "tf", 75.6),
    "torchvision/resnet18.v1": (224, 256, False, "bilinear", "torch", 69.758),
    "torchvision/resnet50.v2": (224, 232, False, "bilinear", "torch", 80.858),
    "facebook/resnet50.swsl": (224, 256, False, "bilinear", "torch", 81.2),
    "timm/resnet50.fb_swsl_ig1b_ft_in1k": (224, 256, False, "bilinear", "torch", 81.146),
    "timm/resnet50.a1_in1k": (224, 235, False, "bicubic", "torch", 80.382),
    "timm/resnet50.a1h_in1k": (176, 195, False, "bicubic", "torch", 79.264),
    "timm/resnet50.a3_in1k": (160, 168, False, "bicubic", "torch", 75.994),
    "timm/resnet50.tv2_in1k": (176, 201, False, "bilinear", "torch", 79.434),
    "timm/resnet50.gluon_in1k": (224, 256, False, "bicubic", "torch", 77.58),
    "timm/resnet50.bamboo": (224, 224, False, "bicubic", "torch", None),
    "torchvision/resnext101_64x4d.v1": (224, 232, False, "bilinear", "torch", 83.246),
    "torchvision/wide_resnet50_2.v1": (224, 256, False, "bilinear", "torch", 78.468),
    "timm/resnext101_32x4d.gluon_in1k": (224, 256, False, "bicubic", "torch", 80.336),
    "timm/resnet34.ra4_e3600_r224_in1k": (224, 248, False, "bicubic", "tf", 77.492),
    "timm/resnetv2_50.a1h_in1k": (224, 235, False, "bicubic", "tf", 80.41),
    "microsoft/resnet-50": (224, 256, False, "bicubic", "torch", None),
    "moco/resnet50.v2_800ep": (224, 256, False, "bilinear", "torch", None),
    "mocov3/resnet50.1000ep_linear": (224, 256, False, "bilinear", "torch", 74.6),
    "swav/resnet50.800ep": (224, 256, False, "bilinear", "swav", None),
    "dino/resnet50": (224, 256, False, "bicubic", "torch", None),
}


@pytest.mark.parametrize("key", EVALUATIONS)
def test_a_row_is_evaluated_as_its_source_does(key: str) -> None:
    row = ROWS[key]
    said = (row.image_size, row.resize, row.squash, row.interpolation, row.preprocessing, row.top1)
    assert said == EVALUATIONS[key]


TWO_FILES = (
    "keras",
    "classification_models",
    "classification_models_1x1",
)  # styles of networks whose files are there with top and without
DEFAULTS = {
    ("ResNeXt50", "keras"): "keras/resnext50",
    ("ResNeXt101", "keras"): "keras/resnext101",
    **{
        (f"ResNetRS{depth}", "keras"): f"keras/resnet-rs-{depth}-i{size}"
        for depth, size in {50: 160, 101: 192, 152: 256, 200: 256, 270: 256, 350: 320, 420: 320}.items()
    },
    **{
        (name, NETWORKS[name].lineage.style): name.replace("classification_models_", "classification_models/")
        for name in NETWORKS
        if name.startswith("classification_models_")
    },
    ("ResNet18", "torch"): "torchvision/resnet18.v1",
    ("ResNet34", "torch"): "torchvision/resnet34.v1",
    ("ResNet50", "torch"): "torchvision/resnet50.v2",
    ("ResNet101", "torch"): "torchvision/resnet101.v2",
    ("ResNet152", "torch"): "torchvision/resnet152.v2",
    ("ResNet26", "torch"): "timm/resnet26.bt_in1k",
    ("ResNet18V2", "torch"): "timm/resnetv2_18.ra4_e3600_r224_in1k",
    ("ResNet34V2", "torch"): "timm/resnetv2_34.ra4_e3600_r224_in1k",
    ("ResNet50V2", "torch"): "timm/resnetv2_50.a1h_in1k",
    ("ResNet101V2", "torch"): "timm/resnetv2_101.a1h_in1k",
    ("ResNeXt50", "torch"): "torchvision/resnext50_32x4d.v2",
    ("ResNeXt101", "torch"): "timm/resnext101_32x4d.gluon_in1k",
    ("resnext101_32x8d", "torch"): "torchvision/resnext101_32x8d.v2",
    ("resnext101_64x4d", "torch"): "torchvision/resnext101_64x4d.v1",
    ("WideResNet50", "torch"): "torchvision/wide_resnet50_2.v2",
    ("WideResNet101", "torch"): "torchvision/wide_resnet101_2.v2",
    **{(f"ResNet{depth}", "slim"): f"slim/resnet_v1_{depth}" for depth in (50, 101, 152)},
    **{(f"ResNet{depth}V2", "slim"): f"slim/resnet_v2_{depth}" for depth in (50, 101, 152)},
    **{(name, "keras"): f"keras/{name.lower()}" for name in SIX},
}


def test_each_network_with_weights_in_a_style_has_one_default() -> None:
    """Two where a file without top is published for each."""
    assert {(row.network, row.style) for row in ROWS.values()} == set(DEFAULTS)
    notop = [f"{key}.notop" for (_, style), key in DEFAULTS.items() if style in TWO_FILES]
    assert {key for key, row in ROWS.items() if row.default} == {*DEFAULTS.values(), *notop}


@pytest.mark.parametrize("name", NETWORKS)
def test_imagenet_means_the_default_of_a_networks_lineage(name: str) -> None:
    for style in NETWORKS[name].styles:
        variant = NETWORKS[name].in_style(style)
        key = DEFAULTS.get((builder_name(name), style))
        for include_top in (True, False):
            found = catalogue.default_checkpoint(variant, include_top)
            suffix = ".notop" if style in TWO_FILES and not include_top else ""
            assert found == (ROWS[key + suffix] if key else None)


@pytest.mark.parametrize("name", ["ResNeXt50", "ResNeXt101", "WideResNet50", "WideResNet101", "ResNet50", "ResNet18V2"])
def test_imagenet_without_style_means_the_networks_own_and_else_any(name: str) -> None:
    row = find_row(name)
    keys = [DEFAULTS[name, style] for style in ("keras", "torch") if (name, style) in DEFAULTS]
    assert imagenet(row, None, True).key == keys[0]
    assert imagenet(row, "torch", True).key == DEFAULTS[name, "torch"]
    if (name, "keras") not in DEFAULTS:
        with pytest.raises(ValueError, match="there are no published weights for .* in style 'keras'"):
            imagenet(row if "keras" in row.styles else variants.RESNET18, "keras", True)


@pytest.mark.parametrize("recipe", ["32x8d.v1", "32x8d.v2", "64x4d.v1"])
def test_what_is_of_another_resnext_names_its_row(recipe: str) -> None:
    key, network = f"torchvision/resnext101_{recipe}", f"resnext101_{recipe.partition('.')[0]}"
    assert ROWS[key].network == network
    fix = rf"keras_resnet.ResNet\('{network}', weights='{key}'\)"
    with pytest.raises(ValueError, match=f"must be of the network resnext101_32x4d.*Build {fix}"):
        find_weights(key, find_row("ResNeXt101"), None, True, 1000, "resnext101")


def test_imagenet_means_nothing_for_a_network_that_is_no_published_one() -> None:
    for variant in (
        dataclasses.replace(variants.RESNET50, units=(3, 4, 6, 4)),
        dataclasses.replace(variants.RESNET50, shortcut="C"),
        dataclasses.replace(variants.RESNET50, lineage=dataclasses.replace(TORCH_V1, epsilon=1e-3)),
        variants.RESNET200,
        variants.RESNET20,
    ):
        assert catalogue.default_checkpoint(variant, True) is None
        assert catalogue.default_checkpoint(variant, False) is None


def test_weights_are_listed_by_network_and_style() -> None:
    assert list(list_weights("ResNet34", style="torch")) == [
        "torchvision/resnet34.v1",
        "timm/resnet34.a1_in1k",
        "timm/resnet34.a2_in1k",
        "timm/resnet34.a3_in1k",
        "timm/resnet34.bt_in1k",
        "timm/resnet34.ra4_e3600_r224_in1k",
        "timm/resnet34.tv_in1k",
        "timm/resnet34.gluon_in1k",
        "microsoft/resnet-34",
    ]
    assert list(list_weights("ResNet50V2")) == [
        "keras/resnet50v2",
        "keras/resnet50v2.notop",
        "slim/resnet_v2_50",
        "timm/resnetv2_50.a1h_in1k",
    ]
    assert list_weights(style="slim") == {row.key: row for row in of("slim")}
    assert list_weights("ResNet20") == list_weights("ResNet34", style="slim") == {}
    parts = [list_weights(name, style=style) for style in (*TWO_FILES, "slim", "torch") for name in NETWORKS]
    assert sum(map(len, parts)) == len(ROWS)
    list_weights().clear()
    assert list_weights() == ROWS


def test_every_builders_name_is_known() -> None:
    from keras_resnet import models

    for name in set(models.__all__) - {"ResNet"}:
        assert {row.network for row in list_weights(name).values()} <= {name}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "resnet51"}, "`network` must be the name of .*received 'resnet51'. Did you mean .*'ResNet50'"),
        ({"network": "ResNet50.a1_in1k"}, "received 'ResNet50.a1_in1k'"),
        ({"network": "ResNet"}, "received 'ResNet'"),
        ({"network": 50}, "received 50"),
        ({"style": "pytorch"}, "`style` must be one of .*received 'pytorch'. Did you mean 'torch'?"),
        ({"style": ""}, "`style` must be one of None, 'keras', 'torch',.*received ''"),
    ],
    ids=str,
)
def test_a_network_or_style_that_does_not_exist_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list_weights(**arguments)


def test_a_row_says_only_where_it_differs_from_torchvisions_first_recipe() -> None:
    row = Checkpoint(key="own/net", network="ResNet18", style="torch", url="https://a.org/b/net.pth", source="")
    said = {"key", "network", "style", "url", "source", "digest", "top1", "default", "licence"}
    first = ROWS["torchvision/resnet18.v1"]
    for field in dataclasses.fields(Checkpoint):
        assert field.name in said or getattr(row, field.name) == getattr(first, field.name), field.name
    assert row.name == "keras_resnet/a.org/b/net.pth"
    assert row.variant == with_style(variants.RESNET18, "torch")
