"""The entries of the catalogue, made of the facts about each collection of published files."""

import re
from collections.abc import Iterator
from dataclasses import replace

from keras_resnet.architecture.lineages import SENET, SENET_1X1, VD
from keras_resnet.architecture.rows import NETWORKS, SLIM_NETWORKS, builder_name, find_row
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.published import google, keras, timm, torch


def entries() -> tuple[Checkpoint, ...]:
    """Returns all entries, those of a collection one after the other."""
    own = {
        row.key: row
        for rows in (
            _keras(),
            _resnext(),
            _resnet_rs(),
            _classifiers(),
            _slim(),
            _torchvision(),
            _facebook(),
            _timm(),
            _microsoft(),
            _self_supervised(),
        )
        for row in rows
    }
    sizes = {row.url: row.file_size for row in own.values() if row.file_size}
    shared = (replace(row, file_size=sizes.get(row.url)) for row in own.values())  # timm's of torchvision's files
    return (*shared, *_bit(own), *_keras_hub(own))


def _sha256(url: str) -> str:
    """The digest whose first digits end a file's name, as PyTorch's hub has it: mostly 8."""
    digits = re.search(r"-([0-9a-f]{8,64})\.pth$", url)
    return f"sha256:{digits[1]}" if digits else ""


def _keras() -> Iterator[Checkpoint]:
    """Each network with classifier and without."""
    for network, digest, digest_notop, top1 in keras.KERAS:
        top = Checkpoint(
            key=f"keras/{network}",
            family="keras",
            network=builder_name(network),
            style="keras",
            url=f"{keras.KERAS_URL}{network}_weights_tf_dim_ordering_tf_kernels.h5",
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
    for name, network, digest, digest_notop, top1 in keras.RESNEXT:
        yield from _with_and_without(
            Checkpoint(
                key=f"keras/{name}",
                family="keras",
                network=builder_name(network),
                style="keras",
                url=f"{keras.KERAS_URL}{name}_weights_tf_dim_ordering_tf_kernels.h5",
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
    largest = {depth: size for depth, size, *_ in keras.RESNET_RS}
    for depth, size, digest, digest_notop, top1 in keras.RESNET_RS:
        yield from _with_and_without(
            Checkpoint(
                key=f"keras/resnet-rs-{depth}-i{size}",
                family="keras",
                network=builder_name(f"resnetrs{depth}"),
                style="keras",
                url=f"{keras.RESNET_RS_URL}resnet-rs-{depth}-i{size}.h5",
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
    for name, data, digest, digest_notop, top1 in keras.CLASSIFIERS:
        row, (of, _, classes) = find_row(f"classification_models_{name}"), data.rpartition("_")
        yield from _with_and_without(
            Checkpoint(
                key=f"classification_models/{name}{'' if of == 'imagenet' else f'.{of}'}",
                family="classification_models",
                network=row.name,
                style=row.lineage.style,
                url=f"{keras.CLASSIFIERS_URL}{name}_{data}.h5",
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
    for name, top1 in google.SLIM:
        row = SLIM_NETWORKS[name]
        date, classes, image_size, resize, squash, preprocessing = google.SLIM_VERSIONS[row.version]
        yield Checkpoint(
            key=f"slim/{name}",
            family="slim",
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
    for network, recipe, digits, resize, top1, file_size, preferred in torch.TORCHVISION:
        url = f"{torch.TORCHVISION_URL}{network}-{digits}.pth"
        yield Checkpoint(
            key=f"torchvision/{network}.{recipe}",
            family="torchvision",
            network=builder_name(network),
            style="torch",
            url=url,
            digest=_sha256(url),
            file_size=file_size,
            resize=resize,
            top1=top1,
            source="https://github.com/pytorch/vision",
            default=preferred,
        )


def _facebook() -> Iterator[Checkpoint]:
    """Trained on more images than ImageNet's: semi-supervised, semi-weakly and weakly supervised."""
    for table, base, source in (
        (torch.SEMI_SUPERVISED, torch.FACEBOOK_URL, "facebookresearch/semi-supervised-ImageNet1K-models"),
        (torch.WEAKLY_SUPERVISED, torch.TORCHVISION_URL, "facebookresearch/WSL-Images"),
    ):
        for network, recipe, file, top1 in table:
            yield Checkpoint(
                key=f"facebook/{network}.{recipe}",
                family="facebook",
                network=builder_name(network),
                style="torch",
                url=base + file,
                digest=_sha256(file),
                top1=top1,
                licence="cc-by-nc-4.0",
                source=f"https://github.com/{source}",
                default=network not in _OF_TORCHVISION and network not in timm.TIMM,
            )


def _timm() -> Iterator[Checkpoint]:
    """Each of a network's files. The first one is timm's own default; ours, if it may be used for all purposes."""
    for architecture, files in timm.TIMM.items():
        row = find_row(architecture)
        others = row.name in _OF_TORCHVISION or row.name in _OF_GOOGLE
        free = [tag for tag, origin, *_ in files if origin not in ("fb", "ig")]  # whose licence is non-commercial
        default = None if others else (free or [files[0][0]])[0]
        for tag, origin, file, (image_size, crop, top1), *test in files:
            base, interpolation, preprocessing, classes, licence = timm.TIMM_ORIGINS[origin]
            name = f"{architecture}.{tag}"
            url = base + (file or f"{name}/resolve/main/model.safetensors")
            larger, tighter, test_top1 = test[0] if test else (None, 1.0, None)
            yield Checkpoint(
                key=f"timm/{name}",
                family="timm",
                network=builder_name(row.name),
                style="torch" if "torch" in row.styles else row.lineage.style,
                url=url,
                digest=_sha256(url),
                classes=classes,
                image_size=image_size,
                resize=int(image_size / crop),
                top1=top1,
                test_image_size=larger,
                test_resize=int(larger / tighter) if larger else None,
                test_top1=test_top1,
                interpolation=interpolation,
                preprocessing=preprocessing,
                licence=licence,
                source=timm.TIMM_SOURCE if row.lineage in (SENET, SENET_1X1) else f"https://huggingface.co/timm/{name}",
                default=tag == default,
            )


def _microsoft() -> Iterator[Checkpoint]:
    """The repositories of transformers' documentation."""
    for repository, network, same_as in torch.MICROSOFT:
        page = f"https://huggingface.co/microsoft/{repository}"
        yield Checkpoint(
            key=f"microsoft/{repository}",
            family="microsoft",
            network=builder_name(network),
            style="torch",
            url=f"{page}/resolve/main/model.safetensors",
            floor=True,  # ConvNextImageProcessor
            interpolation="bicubic",
            licence="apache-2.0",
            source=page,
            same_as=same_as,
        )


def _self_supervised() -> Iterator[Checkpoint]:
    """Backbones, and MoCo v3's with a linear classifier."""
    for family, network, tag, file, md5, top1 in torch.SELF_SUPERVISED:
        folder, source, licence, interpolation, preprocessing = torch.SELF_SUPERVISED_FAMILIES[family]
        yield Checkpoint(
            key=f"{family}/{network}.{tag}" if tag else f"{family}/{network}",
            family=family,
            network=builder_name(network),
            style="torch",
            url=f"{torch.SELF_SUPERVISED_URL}{folder}{file}",
            digest=f"md5:{md5}" if md5 else "",
            classes=1000 if top1 else None,
            interpolation=interpolation,
            preprocessing=preprocessing,
            top1=top1,
            licence=licence,
            source=source,
        )


def _bit(known: dict[str, Checkpoint]) -> Iterator[Checkpoint]:
    """Each network of BiT-S, BiT-M, and BiT-M fine-tuned on ImageNet; timm converted the last two, and measured."""
    for name, network in google.BIT:
        timms = {data: known[f"timm/{network}.goog_{data}"] for data in ("in21k", "in21k_ft_in1k")}
        for file, data, same in (
            (f"BiT-S-{name}", "in21k", False),  # as BiT-M: nothing else is known of its images
            (f"BiT-M-{name}", "in21k", True),
            (f"BiT-M-{name}-ILSVRC2012", "in21k_ft_in1k", True),
        ):
            yield replace(
                timms[data],
                key=f"bit/{file}",
                family="bit",
                url=f"{google.BIT_URL}{file}.npz",
                classes=timms[data].classes if same else 1000,
                source="https://github.com/google-research/big_transfer",
                default=data == "in21k_ft_in1k",
                same_as=timms[data].key if same else "",
            )


def _keras_hub(known: dict[str, Checkpoint]) -> Iterator[Checkpoint]:
    """KerasHub's presets, most of which are PaddleClas'; the others are timm's, with its preprocessing and accuracy."""
    paddle = Checkpoint(key="", family="", network="", style="torch", resize=224, source="")  # its converter's size
    for name, network, handle, same_as in keras.KERAS_HUB:
        yield replace(
            known[same_as] if same_as else paddle,
            key=f"keras_hub/{name}",
            family="keras_hub",
            network=builder_name(network),
            url="",
            handle=handle,
            digest="",
            source="https://keras.io/keras_hub/presets/",
            licence="",
            default=find_row(network).lineage is VD,  # which nobody else publishes
            same_as=same_as,
        )


_OF_TORCHVISION = {network for network, *_ in torch.TORCHVISION}
_OF_GOOGLE = {network for _, network in google.BIT}
