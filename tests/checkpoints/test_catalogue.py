"""The catalogue: every row against what its family publishes, and against the plan of its network."""

import dataclasses
import json
import math
import re
import time
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
from keras_resnet.checkpoints.families.fit import tensors_of
from keras_resnet.checkpoints.published.old_names import OLD_NAMES
from keras_resnet.checkpoints.published.timm import TIMM_LEFT_OUT
from keras_resnet.models.weights.find import find_weights, imagenet
from tests.helpers.nets import SIX, with_style

pytestmark = pytest.mark.one_backend
GOLDENS = Path(__file__).parents[1] / "goldens"
ROWS = list_weights()
# Of timm's: URL, classes, licence, interpolation, mean; then size, crop_pct and top-1, of training and of test.
TIMM = json.loads((GOLDENS / "timm_catalogue.json").read_text())
# By network: trainable parameters with a classifier of 1000, and tensors of the state dict, as timm counts them.
COUNTS = {
    find_row(architecture).name: tuple(counts)
    for architecture, counts in json.loads((GOLDENS / "timm_networks.json").read_text()).items()
    if architecture not in {name.partition(".")[0] for name in TIMM_LEFT_OUT}
}
SELF_SUPERVISED = {"moco", "mocov3", "swav", "deepclusterv2", "selav2", "dino", "barlowtwins", "vicreg"}
NON_COMMERCIAL = {"facebook", "moco", "mocov3", "swav", "deepclusterv2", "selav2"}


def of(*families: str) -> list[Checkpoint]:
    return [row for row in ROWS.values() if row.family in families]


def test_every_family_has_its_number_of_rows() -> None:
    """A row for each file; as the keys differ, none is there twice."""
    assert Counter(row.family for row in ROWS.values()) == {
        # each with and without top: 50, 101, 152 of v1 and v2, ResNeXt 50 and 101, and 11 ResNet-RS
        "keras": 38,
        "classification_models": 34,
        "slim": 6,  # 50, 101, 152 of v1 and v2
        "torchvision": 17,  # ten of the first recipe, seven of the second
        "facebook": 16,  # ssl and swsl of six networks, wsl of four
        "timm": 179,  # 183 but for those that are left out
        "microsoft": 6,  # 18, 26, 34, 50, 101, 152
        "moco": 3,  # v1, v2 of 200 and of 800 epochs
        "mocov3": 6,  # 100, 300, 1000 epochs, each with and without a linear classifier
        "swav": 10,  # seven of ResNet50, one of each wider one
        "deepclusterv2": 3,
        "selav2": 2,
        "dino": 1,
        "barlowtwins": 1,
        "vicreg": 3,
        "bit": 18,  # S, M and M fine-tuned, of six networks
        "keras_hub": 16,  # four of v1, two of v2, ten vd
    }
    assert len(ROWS) == 359
    assert all(key.startswith(f"{row.family}/") or key == row.family for key, row in ROWS.items())


def test_every_file_of_timms_is_there_or_it_is_said_why_not() -> None:
    names = {row.key.removeprefix("timm/") for row in of("timm")}
    assert len(TIMM) == 183
    assert names | set(TIMM_LEFT_OUT) == set(TIMM)
    assert not names & set(TIMM_LEFT_OUT)
    for row in of("timm"):
        assert builder_name(find_row(row.key.removeprefix("timm/").partition(".")[0]).name) == row.network, row
    assert {name: len(list_weights(name, style="torch")) for name in ("ResNet50", "resnet50d", "WideResNet50")} == {
        "ResNet50": 49,  # timm 19, torchvision 2, Facebook 2, self-supervised 24, KerasHub 1, Microsoft 1
        "resnet50d": 10,  # timm 6, KerasHub 4
        "WideResNet50": 5,  # timm 3, torchvision 2
    }


def test_keys_are_the_names_of_their_sources() -> None:
    assert all(key == row.key for key, row in ROWS.items())
    assert all(re.fullmatch(r"[a-z0-9_]+/[\w.-]+", key, re.ASCII) for key in ROWS)
    assert all(key == key.lower() for key, row in ROWS.items() if row.family != "bit")  # whose files are called so
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
        "timm/resnet50d.ra4_e3600_r224_in1k",
        "timm/legacy_seresnet18.in1k",
        "timm/resnetv2_50x1_bit.goog_in21k",
        "facebook/resnext101_32x48d.wsl",
        "moco/resnet50.v2_800ep",
        "swav/resnet50w2.400ep",
        "vicreg/resnet200x2",
        "bit/BiT-M-R50x1-ILSVRC2012",
        "keras_hub/resnet_vd_50_ssld_imagenet",
    } <= set(ROWS)


def test_urls_are_https_but_for_tf_slims() -> None:
    file = r"https?://[a-z.]+/[\w./-]+\.(h5|pth|pth\.tar|tar\.gz|safetensors|npz)"
    for row in ROWS.values():
        assert row.source.startswith("https://"), row
        assert bool(row.url) != bool(row.handle), row
        assert bool(row.handle) == (row.family == "keras_hub"), row
        if row.url:
            assert re.fullmatch(file, row.url), row
            slims = row.url.startswith("http://download.tensorflow.org/models/")
            assert slims if row.style == "slim" else row.url.startswith("https://"), row
        assert row.url.endswith(".tar.gz") == bool(row.member) == (row.style == "slim"), row
        assert row.url.endswith(".npz") == (row.family == "bit"), row
    assert ROWS["slim/resnet_v1_101"].url.endswith("/models/resnet_v1_101_2016_08_28.tar.gz")
    assert ROWS["slim/resnet_v2_152"].url.endswith("/models/resnet_v2_152_2017_04_14.tar.gz")
    assert ROWS["slim/resnet_v2_152"].member == "resnet_v2_152.ckpt"
    assert ROWS["bit/BiT-S-R152x4"].url == "https://storage.googleapis.com/bit_models/BiT-S-R152x4.npz"


def test_handles_are_kaggles_and_end_in_a_version() -> None:
    for row in of("keras_hub"):
        name = row.key.removeprefix("keras_hub/")
        assert re.fullmatch(rf"keras/(resnetv1|resnetv2|resnet_vd)/keras/{name}/[23]", row.handle), row
        assert not row.digest
        assert not row.name


def test_a_hash_is_the_one_published() -> None:
    """The first digits of SHA-256 in a file's name, 8 but for one file, or an MD5; empty where there is none."""
    kinds = Counter[str]()
    for row in ROWS.values():
        kinds[row.digest.partition(":")[0]] += 1
        assert re.fullmatch(r"(sha256:[0-9a-f]{8,9}|md5:([0-9a-f]{8}|[0-9a-f]{32}))?", row.digest), row
        name = row.url.rpartition("/")[2].removesuffix(".pth")
        if row.digest.startswith("sha256:"):
            assert name.endswith("-" + row.digest.removeprefix("sha256:")), row
        else:
            assert not re.search(r"-[0-9a-f]{8,9}$", name), row
    # sha256: torchvision 17, Facebook 16, timm 142; md5: Keras 38, image-classifiers 34, MoCo 3; none: timm 37, BiT 18,
    # KerasHub 16, Slim 6, Microsoft 6, other self-supervised ones 26
    assert kinds == {"sha256": 175, "md5": 75, "": 109}
    nine = [row.key for row in ROWS.values() if len(row.digest) == len("sha256:") + 9]
    assert nine == ["timm/legacy_seresnext26_32x4d.in1k"]
    assert ROWS["torchvision/resnet50.v1"].digest == "sha256:0676ba61"
    assert ROWS["moco/resnet50.v1_200ep"].digest == "md5:b251726a"


def test_timm_repeats_the_files_of_torchvision_and_facebook() -> None:
    """Two collections wrote down the same hashes: each vouches for the other."""
    by_url: dict[str, list[Checkpoint]] = {}
    for row in ROWS.values():
        if row.url:
            by_url.setdefault(row.url, []).append(row)
    shared = [rows for rows in by_url.values() if len(rows) > 1]
    assert Counter(tuple(row.family for row in rows) for rows in shared) == {
        ("torchvision", "timm"): 17,
        ("facebook", "timm"): 15,
    }
    alone = {row.key for row in of("torchvision", "facebook") if len(by_url[row.url]) == 1}
    assert alone == {"facebook/resnext101_32x48d.wsl"}
    twins = {rows[0].key: rows[1].key for rows in shared}
    assert twins["torchvision/resnet50.v2"] == "timm/resnet50.tv2_in1k"
    assert twins["torchvision/wide_resnet50_2.v1"] == "timm/wide_resnet50_2.tv_in1k"
    assert twins["facebook/resnet18.ssl"] == "timm/resnet18.fb_ssl_yfcc100m_ft_in1k"
    assert twins["facebook/resnext101_32x32d.wsl"] == "timm/resnext101_32x32d.fb_wsl_ig1b_ft_in1k"
    assert all(len({(row.network, row.digest, row.classes, row.name) for row in rows}) == 1 for rows in shared)


def test_a_url_names_the_width_of_its_network() -> None:
    """timm's own table of older names sends three widths of the weakly supervised ones to a fourth."""
    named = 0
    for row in of("timm", "facebook", "torchvision"):
        width = re.search(r"_(32x\d+|64x4)d", find_row(row.network).name)
        if width and (part := re.search(r"_(\d+x\d+)d?(?=[-_.])", row.url.rpartition("/")[2])):
            assert part[1] == width[1], row
            named += 1
    assert named == 55


def test_entries_of_the_same_weights_name_each_other() -> None:
    same = catalogue.same_weights()
    assert set(same) == set(ROWS)
    for key, others in same.items():
        for other in others:
            assert set(same[other]) | {other} == {*others, key}, key
            assert ROWS[other].network == ROWS[key].network
            assert ROWS[other].classes == ROWS[key].classes
    for row in ROWS.values():
        assert not row.same_as or row.same_as in same[row.key], row
    assert same["torchvision/resnet50.v2"] == ("timm/resnet50.tv2_in1k",)
    assert same["torchvision/resnet18.v1"] == ("timm/resnet18.tv_in1k", "microsoft/resnet-18")
    assert same["timm/resnet50.a1_in1k"] == ("microsoft/resnet-50", "keras_hub/resnet_50_imagenet")
    assert same["bit/BiT-M-R50x1"] == ("timm/resnetv2_50x1_bit.goog_in21k",)
    assert same["bit/BiT-S-R50x1"] == same["timm/resnet50.a2_in1k"] == same["keras_hub/resnet_vd_50_imagenet"] == ()
    # Beside timm's: 17 of torchvision, 15 of Facebook, 12 of BiT, 6 of Microsoft, 6 of KerasHub; two of them are three
    assert Counter(map(len, same.values())) == {0: 249, 1: 104, 2: 6}


def test_a_files_place_in_the_cache_is_its_own_and_nothing_elses() -> None:
    held = [row for row in ROWS.values() if row.url]
    places = {row.name: row.url for row in held}
    assert len(places) == len({row.url for row in held})
    for row in held:
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


# Networks of whose parameters timm counts none: Facebook's, SwAV's, VICReg's and KerasHub's.
UNCOUNTED = {"resnext101_32x48d", "resnet50w2", "resnet50w4", "resnet50w5", "resnet50x2", "resnet200x2"}
UNCOUNTED |= {"resnet_vd_18", "resnet_vd_34", "resnet_vd_200"}
OF_TIMMS_KIND = ("torch", "bit", "senet", "senet_1x1")  # styles


def test_every_row_has_a_plan_with_the_parameters_its_library_counts() -> None:
    uncounted = set()
    for row in ROWS.values():
        assert row.variant.lineage is row.variant.lineages[row.style], row
        assert row.variant.lineage in PUBLISHED
        laid_out = plan(row.variant)
        assert row.variant.version == (2 if row.variant.lineage is MXNET_V2 else laid_out.version)
        if row.style in OF_TIMMS_KIND:
            if row.variant.name not in COUNTS:
                uncounted.add(row.variant.name)
                continue
            whole, _ = COUNTS[row.variant.name]
            assert laid_out.parameters(1000, trainable=True) == whole, row
            assert row.parameters == whole + (laid_out.channels + 1) * ((row.classes or 0) - 1000), row
    assert uncounted == UNCOUNTED
    assert ROWS["keras/resnet50"].parameters == 25_583_592
    assert ROWS["keras/resnet50.notop"].parameters == 25_583_592 - 2049 * 1000


def test_every_row_has_the_tensors_that_timm_counts() -> None:
    """With a classifier's two, and a counter of each batch norm."""
    for row in ROWS.values():
        if row.style in OF_TIMMS_KIND and row.variant.name in COUNTS:
            laid_out = plan(row.variant)
            v1 = timm.SENET if row.style.startswith("senet") else timm.TIMM
            held = tensors_of(v1 if row.variant.version == 1 else timm.TIMM_V2, laid_out)
            counters = sum(norm.kind == "batch" for norm in laid_out.norms())
            assert len(held) + counters + 2 == COUNTS[row.variant.name][1], row


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


# TF-Slim's, of its tf_slim 1.1.0.
SLIM_KEYS = {1: {50: 267, 101: 522, 152: 777}, 2: {50: 272, 101: 544, 152: 816}}


def test_every_row_of_tf_slims_has_the_number_of_variables_that_it_has() -> None:
    for row in of("slim"):
        keys = SLIM_KEYS[row.variant.version][2 + 3 * sum(row.variant.units)]
        assert len(tensors(row.variant, tf_slim.modules, tf_slim.SLIM_VARIABLES)) == keys, row


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
    theirs = json.loads((GOLDENS / "torch" / f"{golden}.keys.json").read_text())
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
        assert (row.test_image_size is None) == (row.test_resize is None), row
        if row.test_image_size and row.test_resize:
            assert row.image_size < row.test_image_size <= row.test_resize <= 1.15 * row.test_image_size, row
        assert row.test_top1 is None or (row.test_image_size and row.top1), row
        assert row.best_top1 == (row.top1 if row.test_top1 is None else row.test_top1), row
        assert row.interpolation in ("bilinear", "bicubic"), row
        assert row.preprocessing in ("caffe", "tf", "torch", "rgb_means", "swav", "none"), row
        assert row.top1 is None or (row.classes in (1000, 1001) and 65 < row.top1 < 88), row
    assert {row.family for row in ROWS.values() if row.test_image_size} == {"timm", "keras_hub"}  # whose six are timm's
    assert sum(row.test_image_size is not None for row in of("timm")) == 106


def test_a_larger_test_size_is_more_accurate() -> None:
    worse = {row.key for row in ROWS.values() if row.top1 and row.test_top1 and row.test_top1 <= row.top1}
    assert worse == set()


def test_classes_are_those_of_imagenet_and_its_larger_relatives() -> None:
    counted = Counter(row.classes for row in ROWS.values())
    assert counted == {None: 63, 1000: 274, 1001: 3, 11221: 1, 11586: 1, 11821: 5, 21843: 12}
    assert {row.key for row in ROWS.values() if row.classes == 1001} == {f"slim/resnet_v2_{n}" for n in (50, 101, 152)}
    assert {row.key for row in ROWS.values() if row.classes == 11821} == {
        *("timm/resnetaa50d.sw_in12k", "timm/resnetaa50d.d_in12k", "timm/resnetaa101d.sw_in12k"),
        *("timm/seresnextaa101d_32x8d.sw_in12k", "timm/seresnextaa201d_32x8d.sw_in12k"),
    }
    for row in ROWS.values():
        if row.classes == 21843:
            assert row.key.endswith(".goog_in21k") if row.family == "timm" else "/BiT-M-" in row.key, row
    bodies = {row.key for row in ROWS.values() if row.classes is None and not row.key.endswith(".notop")}
    linear = {key for key in ROWS if key.startswith("mocov3/") and key.endswith("_linear")}
    assert len(linear) == 3
    assert bodies == {row.key for row in of(*SELF_SUPERVISED)} - linear | {"timm/resnet50.bamboo"}
    nowhere = {row.key for row in ROWS.values() if row.classes in (1000, 1001) and row.top1 is None}
    assert nowhere == {
        *(row.key for row in of("microsoft")),
        *(f"classification_models/{name}" for name in ("resnext50", "resnext101")),
        *(row.key for row in of("bit") if "/BiT-S-" in row.key),
        *(row.key for row in of("keras_hub") if "_vd_" in row.key),
    }


def test_licences_are_those_that_are_stated() -> None:
    for row in ROWS.values():
        unlicensed = ("keras", "slim", "torchvision", "classification_models", "keras_hub")
        assert bool(row.licence) == (row.family not in unlicensed and row.key != "timm/resnet50.bamboo"), row
        assert row.licence in ("", "apache-2.0", "bsd-3-clause", "mit", "cc-by-nc-4.0") or row.family == "moco", row
        if row.family != "timm" and row.licence:
            assert row.licence.startswith("cc-by-nc-4.0") == (row.family in NON_COMMERCIAL), row


# ---- timm's.


@pytest.mark.parametrize("name", TIMM.keys() - TIMM_LEFT_OUT.keys())
def test_a_row_of_timms_says_what_timm_does(name: str) -> None:
    url, classes, licence, interpolation, mean, sizes = TIMM[name]
    row = ROWS[f"timm/{name}"]
    assert row.url == (url or f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors")
    assert row.classes == (classes or None)
    assert row.licence == (licence or "")
    assert row.interpolation == interpolation
    assert row.preprocessing == {0.485: "torch", 0.5: "tf"}[mean]
    said = [(row.image_size, row.resize, row.top1), (row.test_image_size, row.test_resize, row.test_top1)]
    expected = [(size, math.floor(size / crop), top1) for size, crop, top1 in sizes]
    assert said == [*expected, (None, None, None)][:2]
    assert not row.squash
    assert not row.floor


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
    "timm/resnetrs350.tf_in1k": (288, 288, False, "bicubic", "torch", 84.304),
    "timm/legacy_senet154.in1k": (224, 256, False, "bilinear", "torch", 81.32),
    "timm/resnetaa50d.d_in12k": (224, 235, False, "bicubic", "torch", None),
    "timm/resnetv2_152x4_bit.goog_in21k_ft_in1k": (480, 480, False, "bilinear", "tf", 84.936),
    "bit/BiT-M-R152x4-ILSVRC2012": (480, 480, False, "bilinear", "tf", 84.936),
    "bit/BiT-M-R152x4": (224, 256, False, "bilinear", "tf", None),
    "bit/BiT-S-R50x1": (224, 256, False, "bilinear", "tf", None),
    "facebook/resnext101_32x48d.wsl": (224, 256, False, "bilinear", "torch", 85.4),
    "keras_hub/resnet_50_imagenet": (224, 235, False, "bicubic", "torch", 80.382),
    "keras_hub/resnet_vd_50_imagenet": (224, 224, False, "bilinear", "torch", None),
    "vicreg/resnet200x2": (224, 256, False, "bilinear", "torch", None),
    "swav/resnet50w5.400ep": (224, 256, False, "bilinear", "swav", None),
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
STYLES = (*TWO_FILES, "slim", "torch", "bit", "senet", "senet_1x1")
# Networks whose files are all backbones.
WITHOUT_DEFAULT = {(name, "torch") for name in ("resnet50w2", "resnet50w4", "resnet50w5", "resnet50x2", "resnet200x2")}


def of_timm() -> Iterator[tuple[tuple[str, str], str]]:
    """timm's default of each architecture, its first file; but one for all purposes, if there is one."""
    for architecture in dict.fromkeys(name.partition(".")[0] for name in TIMM if name not in TIMM_LEFT_OUT):
        files = [name for name in TIMM if name.partition(".")[0] == architecture]
        free = [name for name in files if TIMM[name][2] != "cc-by-nc-4.0"]
        row = find_row(architecture)
        style = "torch" if "torch" in row.styles else row.lineage.style
        yield (builder_name(row.name), style), f"timm/{(free or files)[0]}"


DEFAULTS = {
    **dict(of_timm()),
    **{
        (f"resnetv2_{ours}_bit", "bit"): f"bit/BiT-M-R{ours}-ILSVRC2012"
        for ours in ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")
    },
    **{(f"resnet_vd_{depth}", "torch"): f"keras_hub/resnet_vd_{depth}_imagenet" for depth in (18, 34, 200)},
    ("resnext101_32x48d", "torch"): "facebook/resnext101_32x48d.wsl",
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
    ("ResNeXt50", "torch"): "torchvision/resnext50_32x4d.v2",
    ("resnext101_32x8d", "torch"): "torchvision/resnext101_32x8d.v2",
    ("resnext101_64x4d", "torch"): "torchvision/resnext101_64x4d.v1",
    ("WideResNet50", "torch"): "torchvision/wide_resnet50_2.v2",
    ("WideResNet101", "torch"): "torchvision/wide_resnet101_2.v2",
    **{(f"ResNet{depth}", "slim"): f"slim/resnet_v1_{depth}" for depth in (50, 101, 152)},
    **{(f"ResNet{depth}V2", "slim"): f"slim/resnet_v2_{depth}" for depth in (50, 101, 152)},
    **{(name, "keras"): f"keras/{name.lower()}" for name in SIX},
}


def test_each_network_with_weights_in_a_style_has_one_default() -> None:
    """Two where a file without top is published for each; none where all files are backbones."""
    assert {(row.network, row.style) for row in ROWS.values()} == set(DEFAULTS) | WITHOUT_DEFAULT
    assert not set(DEFAULTS) & WITHOUT_DEFAULT
    notop = [f"{key}.notop" for (_, style), key in DEFAULTS.items() if style in TWO_FILES]
    assert {key for key, row in ROWS.items() if row.default} == {*DEFAULTS.values(), *notop}
    assert DEFAULTS["resnext101_32x16d", "torch"] == "timm/resnext101_32x16d.fb_wsl_ig1b_ft_in1k"
    assert DEFAULTS["ResNeXt101", "torch"] == "timm/resnext101_32x4d.gluon_in1k"
    assert DEFAULTS["resnet50d", "torch"] == "timm/resnet50d.ra2_in1k"
    assert DEFAULTS["ResNet50V2", "torch"] == "timm/resnetv2_50.a1h_in1k"


def test_a_default_has_imagenets_classes() -> None:
    for row in ROWS.values():
        assert not row.default or row.classes in (None, 1000, 1001), row
        assert not row.default or row.classes or row.key.endswith(".notop"), row


def test_a_default_may_be_used_for_all_purposes_where_one_may() -> None:
    for row in ROWS.values():
        if row.default and "-nc-" in row.licence:
            others = list_weights(row.network, style=row.style).values()
            assert all("-nc-" in other.licence for other in others), row
    restricted = {row.network for row in ROWS.values() if row.default and "-nc-" in row.licence}
    assert restricted == {f"resnext101_32x{width}d" for width in (16, 32, 48)}


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
        "keras_hub/resnet_v2_50_imagenet",
    ]
    assert list_weights(style="slim") == {row.key: row for row in of("slim")}
    assert list_weights("ResNet20") == list_weights("ResNet34", style="slim") == {}
    assert set(STYLES) == {row.style for row in ROWS.values()}
    parts = [list_weights(name, style=style) for style in STYLES for name in NETWORKS]
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
    row = Checkpoint(
        key="own/net", family="own", network="ResNet18", style="torch", url="https://a.org/b/net.pth", source=""
    )
    said = {"key", "network", "style", "url", "source", "digest", "top1", "default", "licence", "family", "file_size"}
    first = ROWS["torchvision/resnet18.v1"]
    for field in dataclasses.fields(Checkpoint):
        assert field.name in said or getattr(row, field.name) == getattr(first, field.name), field.name
    assert row.name == "keras_resnet/a.org/b/net.pth"
    assert row.variant == with_style(variants.RESNET18, "torch")


# ---- Names that are no keys.

KINDS = {
    "gluon_resnet50_v1d": "timm/resnet50d.gluon_in1k",
    "gluon_senet154": "timm/senet154.gluon_in1k",
    "ssl_resnet18": "timm/resnet18.fb_ssl_yfcc100m_ft_in1k",
    "swsl_resnext101_32x16d": "timm/resnext101_32x16d.fb_swsl_ig1b_ft_in1k",
    "ig_resnext101_32x8d": "timm/resnext101_32x8d.fb_wsl_ig1b_ft_in1k",
    "ig_resnext101_32x48d": "facebook/resnext101_32x48d.wsl",
    "tv_resnext50_32x4d": "timm/resnext50_32x4d.tv_in1k",
    "timm/tv_resnet50": "timm/resnet50.tv_in1k",
    "resnetv2_50x1_bitm_in21k": "timm/resnetv2_50x1_bit.goog_in21k",
    "ResNet50": "keras/resnet50",
    "ResNet152V2": "keras/resnet152v2",
    "ResNeXt50": "keras/resnext50",
    "resnet-rs-50": "keras/resnet-rs-50-i160",
    "seresnext50": "classification_models/seresnext50",
    "resnet_v1_101": "slim/resnet_v1_101",
    "ResNet50_Weights.IMAGENET1K_V2": "torchvision/resnet50.v2",
    "ResNet50_Weights.DEFAULT": "torchvision/resnet50.v2",
    "Wide_ResNet101_2_Weights.IMAGENET1K_V1": "torchvision/wide_resnet101_2.v1",
    "timm/resnet50": "timm/resnet50.a1_in1k",
    "timm/resnet50.a1_in1": "timm/resnet50.a1_in1k",
    "hf-hub:timm/resnet50.a1_in1k": "timm/resnet50.a1_in1k",
    "hf_hub:timm/resnet50.a1_in1k": "timm/resnet50.a1_in1k",
    "resnet50.a1_in1k": "timm/resnet50.a1_in1k",
    "RESNET50.A1_IN1K": "timm/resnet50.a1_in1k",
    "https://huggingface.co/timm/resnet50.a1_in1k": "timm/resnet50.a1_in1k",
    "https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors": "timm/resnet50.a1_in1k",
    "https://huggingface.co/microsoft/resnet-50": "microsoft/resnet-50",
    "resnet18_swsl": "facebook/resnet18.swsl",
    "resnext101_32x48d_wsl": "facebook/resnext101_32x48d.wsl",
    "dino_resnet50": "dino/resnet50",
    "torchvison/resnet18.v1": "torchvision/resnet18.v1",
    "kaggle://keras/resnetv1/keras/resnet_18_imagenet": "keras_hub/resnet_18_imagenet",
    "keras/resnetv1/keras/resnet_18_imagenet/3": "keras_hub/resnet_18_imagenet",
    "keras/resnet_vd/keras/resnet_vd_50_ssld_v2_fix_imagenet/7": "keras_hub/resnet_vd_50_ssld_v2_fix_imagenet",
    "hf://keras/resnet_vd_18_imagenet": "keras_hub/resnet_vd_18_imagenet",
    "resnet_vd_50": "keras_hub/resnet_vd_50_imagenet",
    "BiT-M-R50x1": "bit/BiT-M-R50x1",
    "bit-m-r50x1": "bit/BiT-M-R50x1",
    "BiT-M-R50x1.npz": "bit/BiT-M-R50x1",
    "models/BiT-M-R101x3-ILSVRC2012.npz": "bit/BiT-M-R101x3-ILSVRC2012",
    "resnet50-11ad3fa6.pth": "torchvision/resnet50.v2",
    "weights/semi_supervised_resnet18-d92f0530.pth": "facebook/resnet18.ssl",
    "seresnext26_32x4d-65ebdb501.pth": "timm/legacy_seresnext26_32x4d.in1k",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5": "keras/resnet50.notop",
    "swav_RN50w2_400ep_pretrain.pth.tar": "swav/resnet50w2.400ep",
    "resnet_v2_50_2017_04_14.tar.gz": "slim/resnet_v2_50",
    "C:\\models\\resnet50.a1_in1k": "timm/resnet50.a1_in1k",
    **{name: f"keras/{name.lower()}" for name in SIX},
    **{f"keras.applications.{name}": f"keras/{name.lower()}" for name in SIX},
    "ResNetRS50": "keras/resnet-rs-50-i160",
    "tf.keras.applications.resnet_rs.ResNetRS152": "keras/resnet-rs-152-i256",
    "keras/resnetrs420": "keras/resnet-rs-420-i320",
    "se_resnext50_32x4d": "timm/legacy_seresnext50_32x4d.in1k",
    "moco/resnet50.v2": "moco/resnet50.v2_200ep",
    "microsoft/resnet50": "microsoft/resnet-50",
    "resnet50-19c8e357.pth": "torchvision/resnet50.v1",
}


@pytest.mark.parametrize("name", KINDS)
def test_a_name_of_another_library_or_misspelt_means_a_key(name: str) -> None:
    found = catalogue.meant(name)
    assert found[0] == KINDS[name]
    assert len(found) <= 3
    assert len(set(found)) == len(found)
    assert set(found) <= set(ROWS)


def test_every_older_name_means_its_key() -> None:
    # timm's, Facebook's, Cadene's, tf.keras.applications', torchvision's, and its files of before 2021
    assert len(OLD_NAMES) == 58 + 17 + 5 + 14 + 27 + 5
    for name, key in OLD_NAMES.items():
        assert name == name.lower()
        assert name not in ROWS
        for typed in (name, name.upper(), f"timm/{name}", f"hf-hub:timm/{name}"):
            assert catalogue.meant(typed) == [key], typed
        assert key in ROWS


def test_every_key_and_every_file_that_is_called_as_no_other_means_its_row() -> None:
    anybodys = []
    for key, row in ROWS.items():
        assert catalogue.meant(key) == catalogue.meant(key.upper()) == [key]
        name = row.url.rpartition("/")[2]
        found = catalogue.meant(name)
        if found:
            assert key in found, name
            assert {ROWS[each].url for each in found} == {row.url}
        elif name not in ("", "model.safetensors"):
            anybodys.append(name)
        if row.url and row.url.startswith("https://huggingface.co/timm/"):
            assert catalogue.meant(row.url) == [key]
    assert Counter(anybodys) == {
        **{f"{name}-{epochs}ep.pth.tar": 1 for name in ("linear", "r-50") for epochs in (100, 300, 1000)},
        **{"resnet50.pth": 2, "resnet50x2.pth": 1, "resnet200x2.pth": 1},
    }


ANYBODYS = [
    *(
        "",
        " ",
        ".",
        "/",
        "\\",
        "imagenet",
        "imagenet21k",
        "random",
        "resnet",
        "timm",
        "timm/",
        "keras",
        "in1k",
        "v1",
        "50",
    ),
    *(
        "resnet50.pth",
        "resnet18.pt",
        "model.h5",
        "model.keras",
        "model.safetensors",
        "best.keras",
        "model_best.pth.tar",
    ),
    *("checkpoint.pth.tar", "weights.pth", "my_resnet50", "resnet50_best", "resnet50-best.pth", "runs/1/model.keras"),
    *("[*", "(", "\\d", "*", "a|b", ".*", "$", "^", "\0", "\n", "é", "\ud800", "%s", "{}", "cat.jpg"),
]


@pytest.mark.parametrize("name", ANYBODYS, ids=ascii)
def test_anybodys_name_means_nothing(name: str) -> None:
    assert catalogue.meant(name) == []
    assert catalogue.why_not(name) == ""


@pytest.mark.parametrize("part", ["a", "/", "resnet50", "[", ":", "timm/resnet50.a1_in1k/", "."])
def test_what_a_name_means_is_found_in_no_time(part: str) -> None:
    catalogue.meant("timm/resnet50.a1_in1")
    for name in (part * 100_000, "timm/resnet50.a1_in1", "gluon_resnet50_v1e", "no such name at all"):
        since = time.process_time()
        catalogue.meant(name)
        catalogue.why_not(name)
        assert time.process_time() - since < 0.05, name[:40]
    assert catalogue.meant(part * 100_000 + "/resnet50.a1_in1k") == ["timm/resnet50.a1_in1k"]


@pytest.mark.parametrize("name", TIMM_LEFT_OUT)
def test_of_a_file_that_is_left_out_it_is_said_why(name: str) -> None:
    why = TIMM_LEFT_OUT[name]
    bare = name.partition(".")[0]
    for typed in (name, name.upper(), f"timm/{name}", f"hf-hub:timm/{name}", bare, f"timm/{bare}"):
        assert catalogue.why_not(typed) == why, typed
        assert catalogue.meant(typed) == []
    for other in (f"{bare}2", f"my_{name}", f"./{bare}", f"runs/{bare}", f"C:\\{bare}"):  # anybody's
        assert catalogue.why_not(other) == ""


def test_of_a_key_it_is_not_said_why_not() -> None:
    assert not any(catalogue.why_not(key) for key in [*ROWS, *OLD_NAMES, *KINDS])
