"""Reads what libraries, scripts and people call a network in a file: which row that is, if it is one of ours."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_resnet.architecture.rows import BUILDERS, KERAS_HUB_NAMES, NETWORKS, TIMM_NAMES
from keras_resnet.architecture.variant import Variant

# Rows by further names of theirs, without the hyphens and underscores that everyone places otherwise.
_OTHERS = {
    # GluonCV's
    "resnet18v1b": "resnet18",
    "resnet34v1b": "resnet34",
    "resnet50v1b": "resnet50",
    "resnet101v1b": "resnet101",
    "resnet152v1b": "resnet152",
    "resnet50v1c": "resnet50c",
    "resnet101v1c": "resnet101c",
    "resnet152v1c": "resnet152c",
    "resnet50v1d": "resnet50d",
    "resnet101v1d": "resnet101d",
    "resnet152v1d": "resnet152d",
    "resnet50v1s": "resnet50s",
    "resnet101v1s": "resnet101s",
    "resnet152v1s": "resnet152s",
    # PaddlePaddle's
    "resnet50vd": "resnet50d",
    "resnet101vd": "resnet101d",
    "resnet152vd": "resnet152d",
    "resnet18vd": "resnet_vd_18",
    "resnet34vd": "resnet_vd_34",
    "resnet200vd": "resnet_vd_200",
    # timm's older ones
    "resnetv250x1bitm": "resnetv2_50x1_bit",
    "resnetv250x3bitm": "resnetv2_50x3_bit",
    "resnetv2101x1bitm": "resnetv2_101x1_bit",
    "resnetv2101x3bitm": "resnetv2_101x3_bit",
    "resnetv2152x2bitm": "resnetv2_152x2_bit",
    "resnetv2152x4bitm": "resnetv2_152x4_bit",
    "seresnext26tn32x4d": "seresnext26t_32x4d",
    # Google's
    "bitmr50x1": "resnetv2_50x1_bit",
    "bitmr50x3": "resnetv2_50x3_bit",
    "bitmr101x1": "resnetv2_101x1_bit",
    "bitmr101x3": "resnetv2_101x3_bit",
    "bitmr152x2": "resnetv2_152x2_bit",
    "bitmr152x4": "resnetv2_152x4_bit",
    "bitsr50x1": "resnetv2_50x1_bit",
    "bitsr50x3": "resnetv2_50x3_bit",
    "bitsr101x1": "resnetv2_101x1_bit",
    "bitsr101x3": "resnetv2_101x3_bit",
    "bitsr152x2": "resnetv2_152x2_bit",
    "bitsr152x4": "resnetv2_152x4_bit",
    # SwAV's
    "rn50": "resnet50",
    "rn50w2": "resnet50w2",
    "rn50w4": "resnet50w4",
    "rn50w5": "resnet50w5",
}
_LONGEST = 300  # characters of a name
_MOST = 6  # parts of a row's name
_SHOWN = 99  # characters of a value in a message
# A plain network's name, of any depth: its depth, widths and groups are shown by its tensors.
_PLAIN = re.compile(
    r"(?<![a-z0-9])(?:(?:tv|gluon|ssl|swsl|ig|cifar|cifar10|cifar100|imagenet|wide|pre_?act(?:ivation)?|moco|byol|simclr"
    r"|simsiam|swav|dino|vicreg|barlow_?twins|sup|supcon|linear|custom|my|torchvision|timm|microsoft)[-_]?){0,6}"
    r"(?:wide_?)?(?:pre_?act_?)?resne(?:t|xt)[-_]?(?:v[12](?:[-_]?\d*)?[-_])?\d+(?:v[12])?"
    r"(?:[-_]\d+(?:x\d+d)?|[-_]?[wx]\d)?"
)
_UNNUMBERED = re.compile(r"(?<![a-z0-9])resne(?:t|xt)(?=$|[^a-z0-9]|for|model|net|backbone|encoder|classifier)")
# Words beside it that change no number.
_WORDS = re.compile(
    r"cifar(100?)?|imagenet(1k)?|in(1k|21k)|v[12]|tv|torchvision|timm|moco|simclr|byol|swav|dino|pretrained|model|weights"
    r"|finetuned|ft|best|final|baseline|basic|bottleneck|backbone|encoder|classifier|gluon|b|ssl|swsl|ig|legacy|distilled"
    r"|teacher"
)
# What a word beside a network's name may mean that changes numbers.
_CHANGES = re.compile(
    r"(aa|elu|gn|ln|ibn|frn|se|eca|sk|ge|gc|bot|ws|std|nf|os|bat|bit|lpf|dc|fcn)\d*$|(vd|ts|[cdqst])$"
    r"|blur|anti|silu|gelu|swish|mish|relu\d|leaky|selu|prelu|hardsw|tanh|groupnorm|layernorm|instance|evo|cbam|bam"
    r"|attn|attention|halo|lambda|csp|dcn|deform|dilat|atrous|fixup|rezero|octave|deeplab|psp|clip|prune"
)
# Names of networks that are none of ours.
_FAMILIES = re.compile(
    r"resne|res2ne|dense|vgg|inception|xception|mobile|efficient|regnet|botnet|halo|lambda|darknet|dla\d|drn|hrnet"
    r"|nfnet|csp|senet|ecanet|sknet|shuffle|squeeze|google|alexnet|convnext|vit|deit|swin|dpn|vovnet|ghost|rexnet"
)


class Name(NamedTuple):
    """What a network's name means.

    Attributes:
        ours: whether it is a network of a kind that builders make; None if it does not tell.
        row: the network; None if it is a plain one that is no row, or none of ours.
        rest: the words left over.
    """

    ours: bool | None
    row: Variant | None = None
    rest: tuple[str, ...] = ()


def read_name(value: Any) -> Name:
    """Reads a network's name, in which more may stand: folders, tags, a data set, a digest."""
    shown = (f"{value!s:.{_SHOWN}}",)
    if isinstance(value, list | tuple | dict):
        return Name(False, None, shown)
    text = str(value)[:_LONGEST].lower()
    parts = [re.sub(r"-[0-9a-f]{8}$", "", part) for part in re.split(r"[./\s:]+", text) if part]  # of PyTorch's hub
    rows = _rows()
    found = next(filter(None, (_named(part, rows) for part in parts)), None)
    if found:
        row, rest = found
    else:
        row, rest = None, next((part for part in parts if re.search(r"resne\D{0,20}\d", part)), "".join(parts[-1:]))
    plain = None if row else _PLAIN.search(rest)
    if match := plain or _UNNUMBERED.search(rest):
        rest = rest[: match.start()] + rest[match.end() :]
    words = tuple(re.findall(r"[a-z]+\d*[a-z]*", rest))
    if any(map(_CHANGES.match, words)):
        return Name(False, None, words)
    if row or plain:
        return Name(True, row, tuple(word for word in words if not _WORDS.fullmatch(word)))
    return Name(False if _FAMILIES.search(_UNNUMBERED.sub("", text)) else None, None, shown)


def _rows() -> dict[str, str]:
    """The names of rows by all of theirs, without hyphens and underscores."""
    tables = (BUILDERS, TIMM_NAMES, KERAS_HUB_NAMES)
    names = {name: name for name in NETWORKS} | {other: row for table in tables for row, other in table.items()}
    return _OTHERS | {_squeezed(name): row for name, row in names.items()}


def _squeezed(name: str) -> str:
    """A name without hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def _named(text: str, rows: Mapping[str, str]) -> tuple[Variant, str] | None:
    """Returns the row that the most parts of a name make, and the others; None if there is none."""
    parts = re.split(r"[-_]", text)
    for count in range(min(_MOST, len(parts)), 0, -1):
        for start in range(len(parts) - count + 1):
            name = rows.get("".join(parts[start : start + count]), "")
            if isinstance(row := NETWORKS.get(name), Variant):
                return row, "_".join(parts[:start] + parts[start + count :])
    return None
