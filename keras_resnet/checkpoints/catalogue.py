"""The catalogue: which published weights exist, where they lie, what proves that a file is theirs, what they expect."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.architecture.lineages import PUBLISHED
from keras_resnet.architecture.rows import NETWORKS, SLIM_NETWORKS, builder_name, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints import published
from keras_resnet.utils.errors import check_choice

__all__ = ["Checkpoint", "list_weights"]

_LARGEST = 1 << 30  # bytes of a file that a digest is computed of
# PyTorch's hub's, Keras', and those of self-supervised bodies; but "resnet50.pth" is anybody's.
_DISTINCTIVE = re.compile(
    r"-[0-9a-f]{8}\.pth$|_tf_dim_ordering_tf_kernels(_notop)?\.h5$|_pretrain\.pth(\.tar)?$"
    r"|_imagenet[\w-]*_\d+(_no_top)?\.h5$|^resnet-rs-\d+-i\d+(_notop)?\.h5$"
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An entry of the catalogue: one published weights file, with its network, preprocessing, accuracy and licence.

    Attributes:
        key: the name of the weights in the catalogue, such as "timm/resnet50.a1_in1k".
        network: the network, such as "ResNet50": the name of a builder, or a name that `ResNet` takes.
        style: the style of the network: "keras", "torch", "slim" or "classification_models".
        url: the address of the file.
        digest: "sha256:" or "md5:" and the published hash, or its first 8 digits; "" if no hash is published.
        classes: the number of classes; 1001 are ImageNet's and a background class. None: a backbone without classifier.
        image_size: height and width, in pixels, of the images for the published accuracy.
        resize: the length in pixels to which the shorter side is resized before `image_size` is cropped from the
            centre.
        squash: whether both sides are resized to `resize` instead, so that the image becomes a square.
        floor: how a crop offset between two pixels is rounded: down if True, else to the even number.
        interpolation: "bilinear" or "bicubic": how the image is resized.
        preprocessing: how RGB in [0, 255] is scaled: "caffe", "tf", "torch", "rgb_means", "swav" (as "torch", with a
            standard deviation of 0.228 in red) or "none"; see `keras_resnet.models.preprocessing`.
        top1: the published top-1 accuracy on ImageNet's validation images, in percent, from keras.io, torchvision, the
            READMEs of TF-Slim, Facebook's models, image-classifiers and the converter of ResNet-RS, timm's table of
            results or that of MoCo v3's linear classifiers. None: no accuracy is published for this file and
            preprocessing.
        licence: the licence of the weights; "" if none is stated (keras.applications, TF-Slim and torchvision state one
            for their code only).
        source: the page that describes the weights.
        default: whether `weights="imagenet"` means this file, for its network in its style.
        member: the name of the checkpoint in the file, if that is a .tar.gz.
    """

    key: str
    network: str
    style: str
    url: str
    digest: str = ""
    classes: int | None = 1000
    image_size: int = 224
    resize: int = 256
    squash: bool = False
    floor: bool = False
    interpolation: str = "bilinear"
    preprocessing: str = "torch"
    top1: float | None = None
    licence: str = ""
    source: str
    default: bool = False
    member: str = ""

    @property
    def variant(self) -> Variant:
        """The network in the style of the weights, as a `Variant`."""
        return find_row(self.network).in_style(self.style)

    @property
    def name(self) -> str:
        """The file's path below `models` in Keras' cache: keras.applications' as Keras has it, others by their URL."""
        path = self.url.partition("://")[2]
        return path.rpartition("/")[2] if self.style == "keras" else f"keras_resnet/{path}"


def list_weights(network: str | None = None, *, style: str | None = None) -> dict[str, Checkpoint]:
    """Lists the published weights that can be loaded by a key, as `weights="timm/resnet50.a1_in1k"`.

    Example:

        >>> for key, entry in list_weights("ResNet34", style="torch").items():
        ...     print(key, entry.top1, entry.licence)

    Args:
        network: the name of a network, such as "ResNet50V2", "resnet50v2" or timm's "resnetv2_50"; None: all networks.
        style: "keras", "torch", "slim" or "classification_models"; None: all styles.

    Returns:
        A dict from keys to `Checkpoint`s, in the order of the catalogue. It is empty for a network without published
        weights.

    Raises:
        ValueError: if there is no such network or style.
    """
    name = None if network is None else builder_name(find_row(network).name)
    check_choice("style", style, (None, *dict.fromkeys(lineage.style for lineage in PUBLISHED)))
    return {row.key: row for row in _ROWS if name in (None, row.network) and style in (None, row.style)}


def called(name: str) -> list[Checkpoint]:
    """Returns the published files that are called so, if anybody else's hardly is: by its hash, or in many words."""
    if not _DISTINCTIVE.search(name):
        return []
    return [row for row in _ROWS if row.url.rpartition("/")[2] == name]


def digested(path: Path) -> list[Checkpoint]:
    """Returns the published files that have a file's SHA-256; none for one that is larger than any of them."""
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return []
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return [row for row in _ROWS if row.digest and digest.startswith(row.digest)]


def default_checkpoint(variant: Variant, include_top: bool, image_size: int | None = None) -> Checkpoint | None:
    """Returns what `weights="imagenet"` means for a network in its style; None if there is nothing.

    A backbone gets the file without classifier, if one is published, else the one with it. `image_size`: of images on
    which the network was trained, where "imagenet-i160" names one.
    """
    size = image_size
    rows = [row for row in _ROWS if row.variant == variant and (row.image_size == size if size else row.default)]
    return min(rows, key=lambda row: (row.classes is None) == include_top, default=None)


def _sha256(url: str) -> str:
    """The digest whose first digits end a file's name, as PyTorch's hub has it."""
    digits = re.search(r"-([0-9a-f]{8})\.pth$", url)
    return f"sha256:{digits[1]}" if digits else ""


def _keras() -> Iterator[Checkpoint]:
    """Each network with classifier and without."""
    for network, digest, digest_notop, top1 in published.KERAS:
        top = Checkpoint(
            key=f"keras/{network}",
            network=builder_name(network),
            style="keras",
            url=f"{published.KERAS_URL}{network}_weights_tf_dim_ordering_tf_kernels.h5",
            digest=f"md5:{digest}",
            resize=224,  # keras.io states neither resizing nor crop; its examples make 224x224 of whatever comes
            squash=True,
            preprocessing=NETWORKS[network].lineage.preprocessing,
            top1=top1,
            source="https://keras.io/api/applications/",
            default=True,
        )
        yield from _with_and_without(top, "_notop", digest_notop)


def _resnext() -> Iterator[Checkpoint]:
    """keras-applications' ResNeXts, which Keras 3 lists without a network for them."""
    for name, network, digest, digest_notop, top1 in published.RESNEXT:
        yield from _with_and_without(
            Checkpoint(
                key=f"keras/{name}",
                network=builder_name(network),
                style="keras",
                url=f"{published.KERAS_URL}{name}_weights_tf_dim_ordering_tf_kernels.h5",
                digest=f"md5:{digest}",
                resize=224,  # as keras.applications' other networks
                squash=True,
                top1=top1,
                source="https://github.com/keras-team/keras-applications",
                default=True,
            ),
            "_notop",
            digest_notop,
        )


def _resnet_rs() -> Iterator[Checkpoint]:
    """Each network at each size, the largest of which is the default."""
    largest = {depth: size for depth, size, *_ in published.RESNET_RS}
    for depth, size, digest, digest_notop, top1 in published.RESNET_RS:
        yield from _with_and_without(
            Checkpoint(
                key=f"keras/resnet-rs-{depth}-i{size}",
                network=builder_name(f"resnetrs{depth}"),
                style="keras",
                url=f"{published.RESNET_RS_URL}resnet-rs-{depth}-i{size}.h5",
                digest=f"md5:{digest}",
                image_size=size,
                resize=size + 32,
                interpolation="bicubic",
                top1=top1,
                source="https://github.com/sebastian-sz/resnet-rs-keras",
                default=size == largest[depth],
            ),
            "_notop",
            digest_notop,
        )


def _classifiers() -> Iterator[Checkpoint]:
    """Networks of ImageNet, and three of its larger relatives."""
    for name, data, digest, digest_notop, top1 in published.CLASSIFIERS:
        row, (of, _, classes) = find_row(f"classification_models_{name}"), data.rpartition("_")
        yield from _with_and_without(
            Checkpoint(
                key=f"classification_models/{name}{'' if of == 'imagenet' else f'.{of}'}",
                network=row.name,
                style=row.lineage.style,
                url=f"{published.CLASSIFIERS_URL}{name}_{data}.h5",
                digest=f"md5:{digest}",
                classes=int(classes),
                preprocessing=row.lineage.preprocessing,
                top1=top1,
                source="https://github.com/qubvel/classification_models",
                default=of == "imagenet",
            ),
            "_no_top",
            digest_notop,
        )


def _with_and_without(top: Checkpoint, suffix: str, digest: str) -> Iterator[Checkpoint]:
    """A file with a classifier, and the same without, which has a suffix in its name and this MD5."""
    yield top
    url = top.url.replace(".h5", f"{suffix}.h5")
    yield replace(top, key=f"{top.key}.notop", url=url, digest=f"md5:{digest}", classes=None, top1=None)


def _slim() -> Iterator[Checkpoint]:
    """Archives of one checkpoint each."""
    for name, top1 in published.SLIM:
        row = SLIM_NETWORKS[name]
        date, classes, image_size, resize, squash, preprocessing = published.SLIM_VERSIONS[row.version]
        yield Checkpoint(
            key=f"slim/{name}",
            network=builder_name(row.name),
            style="slim",
            url=f"http://download.tensorflow.org/models/{name}_{date}.tar.gz",
            classes=classes,
            image_size=image_size,
            resize=resize,
            squash=squash,
            floor=True,  # vgg_preprocessing
            preprocessing=preprocessing,
            top1=top1,
            source="https://github.com/tensorflow/models/tree/master/research/slim",
            default=True,
            member=f"{name}.ckpt",
        )


def _torchvision() -> Iterator[Checkpoint]:
    """The first recipe, and the second of 2021."""
    for network, recipe, digits, resize, top1, preferred in published.TORCHVISION:
        url = f"{published.TORCHVISION_URL}{network}-{digits}.pth"
        yield Checkpoint(
            key=f"torchvision/{network}.{recipe}",
            network=builder_name(network),
            style="torch",
            url=url,
            digest=_sha256(url),
            resize=resize,
            top1=top1,
            source="https://github.com/pytorch/vision",
            default=preferred,
        )


def _facebook() -> Iterator[Checkpoint]:
    """Semi-supervised (ssl) and semi-weakly supervised (swsl)."""
    for network, recipe, file, top1 in published.FACEBOOK:
        url = published.FACEBOOK_URL + file
        yield Checkpoint(
            key=f"facebook/{network}.{recipe}",
            network=builder_name(network),
            style="torch",
            url=url,
            digest=_sha256(url),
            top1=top1,
            licence="cc-by-nc-4.0",
            source="https://github.com/facebookresearch/semi-supervised-ImageNet1K-models",
        )


def _timm() -> Iterator[Checkpoint]:
    """Recipes for plain networks, and a ResNeXt-101; also under timm's names for torchvision's and Facebook's files."""
    of_torchvision = {network for network, *_ in published.TORCHVISION}
    for architecture, tag, origin, file, image_size, crop, top1 in published.TIMM:
        base, interpolation, preprocessing, licence = published.TIMM_ORIGINS[origin]
        name, network = f"{architecture}.{tag}", find_row(architecture).name
        url = base + (file or f"{name}/resolve/main/model.safetensors")
        yield Checkpoint(
            key=f"timm/{name}",
            network=builder_name(network),
            style="torch",
            url=url,
            digest=_sha256(url),
            classes=1000 if top1 else None,
            image_size=image_size,
            resize=int(image_size / crop),
            interpolation=interpolation,
            preprocessing=preprocessing,
            top1=top1,
            licence=licence,
            source=f"https://huggingface.co/timm/{name}",
            default=network not in of_torchvision,
        )


def _microsoft() -> Iterator[Checkpoint]:
    """The repositories of transformers' documentation."""
    for repository, network in published.MICROSOFT:
        page = f"https://huggingface.co/microsoft/{repository}"
        yield Checkpoint(
            key=f"microsoft/{repository}",
            network=builder_name(network),
            style="torch",
            url=f"{page}/resolve/main/model.safetensors",
            floor=True,  # ConvNextImageProcessor
            interpolation="bicubic",
            licence="apache-2.0",
            source=page,
        )


def _self_supervised() -> Iterator[Checkpoint]:
    """Backbones, and MoCo v3's with a linear classifier."""
    for family, network, tag, file, md5, top1 in published.SELF_SUPERVISED:
        folder, source, licence, interpolation, preprocessing = published.SELF_SUPERVISED_FAMILIES[family]
        yield Checkpoint(
            key=f"{family}/{network}.{tag}" if tag else f"{family}/{network}",
            network=builder_name(network),
            style="torch",
            url=f"{published.SELF_SUPERVISED_URL}{folder}{file}",
            digest=f"md5:{md5}" if md5 else "",
            classes=1000 if top1 else None,
            interpolation=interpolation,
            preprocessing=preprocessing,
            top1=top1,
            licence=licence,
            source=source,
        )


_ROWS = (
    *_keras(),
    *_resnext(),
    *_resnet_rs(),
    *_classifiers(),
    *_slim(),
    *_torchvision(),
    *_facebook(),
    *_timm(),
    *_microsoft(),
    *_self_supervised(),
)
