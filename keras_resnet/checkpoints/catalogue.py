"""The catalogue: which published weights exist, and which of them a network, a name or a file means."""

import hashlib
import re
from difflib import get_close_matches
from pathlib import Path

from keras_resnet.architecture.lineages import PUBLISHED
from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.entries import entries
from keras_resnet.checkpoints.published.old_names import OLD_NAMES
from keras_resnet.checkpoints.published.timm import TIMM_LEFT_OUT
from keras_resnet.utils.errors import check_choice, enumerate_some

__all__ = ["Checkpoint", "list_weights"]

_LONGEST_NAME = 300  # characters of a name that are looked at, the last ones
_LARGEST = 1 << 32  # bytes of a file that a digest is computed of: the largest that has one is of 3.3 GB
# PyTorch's hub's, Keras', TF-Slim's, BiT's and those of self-supervised bodies; but "resnet50.pth" is anybody's.
_DISTINCTIVE = re.compile(
    r"-[0-9a-f]{8,9}\.pth$|_tf_dim_ordering_tf_kernels(_notop)?\.h5$|_pretrain\.pth(\.tar)?$"
    r"|_imagenet[\w-]*_\d+(_no_top)?\.h5$|^resnet-rs-\d+-i\d+(_notop)?\.h5$|^BiT-[SM]-R[\w-]+\.npz$"
    r"|^resnet_v[12]_\d+_\d{4}_\d\d_\d\d\.tar\.gz$"
)


def list_weights(network: str | None = None, *, style: str | None = None) -> dict[str, Checkpoint]:
    """Lists the published weights that can be loaded by a key, as `weights="timm/resnet50.a1_in1k"`.

    Example:

        >>> entries = keras_resnet.list_weights("ResNet34", style="torch")
        >>> [(key, entry.top1, entry.licence) for key, entry in entries.items()][:2]
        [('torchvision/resnet34.v1', 73.314, ''), ('timm/resnet34.a1_in1k', 76.42, 'apache-2.0')]

    Args:
        network: the name of a network, such as "ResNet50V2", "resnet50v2" or timm's "resnetv2_50"; None: all networks.
        style: the style of the weights, such as "keras", "torch", "slim" or "bit"; None: all styles.

    Returns:
        A dict from keys to `Checkpoint`s, in the order of the catalogue. It is empty for a network without published
        weights.

    Raises:
        ValueError: if there is no such network or style.
    """
    keys = enumerate_some([repr(key) for key in meant(network)]) if isinstance(network, str) else ""
    note = f" Keys of weights that are called so: {keys}." if keys else ""
    name = None if network is None else builder_name(find_row(network, note=note).name)
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
    rows = [row for row in _ROWS if (row.image_size == size if size else row.default) and row.variant == variant]
    return min(rows, key=lambda row: (row.classes is None) == include_top, default=None)


def same_weights() -> dict[str, tuple[str, ...]]:
    """Returns by key the keys of the other entries with the same weights: in the same file, or in a converted one."""
    rows = {row.key: row for row in _ROWS}
    origins = {key: rows.get(row.same_as, row).url or row.same_as or key for key, row in rows.items()}
    alike: dict[str, list[str]] = {}
    for key, origin in origins.items():
        alike.setdefault(origin, []).append(key)
    return {key: tuple(other for other in alike[origin] if other != key) for key, origin in origins.items()}


def meant(name: str) -> list[str]:
    """Returns the keys that a name may mean that is none: one of another library, an older one, or one misspelt."""
    if why_not(name):
        return []  # its network with other widths would be one
    asked = re.sub(r"[\\:]", "/", name[-_LONGEST_NAME:].lower())  # "hf-hub:timm/resnet50.a1_in1k"
    asked = re.sub(r"^(tf\.)?keras\.applications\.(\w+\.)?", "", asked)
    part = re.escape(asked.rpartition("/")[2])
    found = [key for other, key in _NAMED.items() if f"/{asked}".endswith(f"/{other}")]
    found = found or [
        row.key for row in _ROWS if name and (name == row.url or name.startswith(f"{row.source}/resolve/"))
    ]
    found = found or [row.key for row in called(re.split(r"[/\\]", name[-_LONGEST_NAME:])[-1])]
    found = found or [row.key for row in _ROWS if row.handle and row.handle.rpartition("/")[0] in asked]  # any version
    own = [row.key for row in _ROWS if asked.startswith(f"{row.family}/")]  # of the family that it names, if of any
    keys = [key for key in _PREFERRED if key in own] if own else _PREFERRED
    if part:  # "timm/resnet50", without what tells its files apart; "resnet50.a1_in1k", "ResNet50"; "resnet_vd_50"
        for pattern in (rf"{re.escape(asked)}\..*", rf".*/{part}(\..*)?", rf".*/{part}(?<=\d)[-_].*"):
            found = found or list(filter(re.compile(pattern, re.IGNORECASE).fullmatch, keys))
    near = own or _NAMED
    found = found or [_NAMED[other.lower()] for other in get_close_matches(asked, near, 1, 0.85)]
    return list(dict.fromkeys(found))[:3]


def why_not(name: str) -> str:
    """Returns why a file of timm's, by its name there or on the hub, is not in the catalogue; "" if it is another."""
    part = re.sub(r"^(hf[-_]hub:)?(timm/)?", "", name[-_LONGEST_NAME:].lower())
    return next((why for file, why in TIMM_LEFT_OUT.items() if f"{file}.".startswith(f"{part}.")), "")


_ROWS = entries()
_PREFERRED = [row.key for row in sorted(_ROWS, key=lambda row: (row.classes is None, not row.default))]
_NAMED = dict(zip(map(str.lower, _PREFERRED), _PREFERRED, strict=True)) | OLD_NAMES
