"""Files as the libraries of Keras 2 wrote them, of the goldens in `legacy_keras` (tests/goldens/README.md)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_resnet.architecture.lineages import KERAS_SENET, KERAS_SENET_1X1, MXNET_V1, MXNET_V2, RESNET_RS
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Conv
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Attention, Stem, Variant
from tests.helpers.keras_nets import keras_formula

GOLDENS = Path(__file__).parents[1] / "goldens" / "legacy_keras"
LIMIT = 64512  # bytes of one list in Keras 2; longer ones lie in parts
COUNTED = re.compile(
    r"(activation|add|batch_normalization|concatenate|conv2d|dense|dropout|global_average_pooling2d|lambda|"
    r"max_pooling2d|multiply|normalization|rescaling|zero_padding2d)(?:_(\d+))?"
)
Keys = dict[str, list[int] | None]

_EXACT = Attention("se", divisor=1)
_LAST = Variant(
    "thin", 1, "bottleneck", (1, 2, 1, 2), (6, 12, 24, 48), Stem(width=6), KERAS_SENET_1X1, attention=_EXACT
)
_FIRST = replace(_LAST, version=2, lineage=MXNET_V2, attention=None)
# The networks of the thin goldens, as rows.
THIN: dict[str, Variant] = {
    "thin_resnet_basic": replace(_FIRST, block="basic", widths=(16, 32, 64, 128), stem=Stem(width=16)),
    "thin_resnet_bottleneck": replace(_FIRST, widths=(8, 16, 32, 64), stem=Stem(width=8)),
    "thin_seresnet_basic": replace(
        _FIRST, block="basic", widths=(24, 48, 96, 192), stem=Stem(width=24), attention=_EXACT
    ),
    "thin_resnext": replace(
        _LAST, widths=(16, 32, 64, 128), stem=Stem(width=64), lineage=MXNET_V1, attention=None, groups=32, base_width=4
    ),
    "thin_seresnet": _LAST,
    "thin_seresnext": replace(
        _LAST, widths=(16, 32, 64, 128), stem=Stem(width=16), lineage=KERAS_SENET, groups=32, base_width=4
    ),
    "thin_senet154": replace(
        _LAST,
        block="senet",
        widths=(32, 64, 128, 256),
        stem=Stem(3, (32, 32, 64)),
        lineage=KERAS_SENET,
        groups=64,
        base_width=4,
    ),
    "thin_resnetrs": replace(
        _LAST,
        widths=(8, 16, 24, 32),
        stem=Stem(3, (4, 4, 8), pool="conv"),
        lineage=RESNET_RS,
        shortcut="D",
        attention=Attention("se", ratio=1 / 4, divisor=1),
    ),
}

# Whose backbones are in the goldens of segmentation models.
UNETS = {"thin_unet_resnet": "thin_resnet_basic"}


def keys_of(net: str) -> Keys:
    """What a golden's file lists, in its order: shapes by `layer/variable`, and None for a layer without variables."""
    found: Keys = json.loads((GOLDENS / f"{net}.keys.json").read_text())
    return found


def renumbered(first: int) -> Callable[[str], str]:
    """Names of layers that Keras numbers, where the numbers begin with another one."""

    def rename(layer: str) -> str:
        match = COUNTED.fullmatch(layer)
        return f"{match[1]}_{int(match[2] or 0) + first}" if match and first else layer

    return rename


def published(layer: str) -> str:
    """The name of a ResNet-RS' layer in the public files."""
    layer = re.sub(r"^stem_\d+_stem_", "stem_", layer)
    return re.sub(r"^BlockGroup(\d)__block_(\d+)_+(?:se_)?", r"c\1_block_\2_", layer)


def mxnet_keys(network: str) -> Keys:
    """What a file of a basic MXNet network of image-classifiers lists, without classifier."""
    layout = plan(NETWORKS[network])
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    found: dict[str, Sequence[int]] = {f"bn_data/{each}": [3] for each in norm[1:]}
    found |= {"conv0/kernel": layout.stem[0].kernel_shape} | {f"bn0/{each}": [64] for each in norm}
    for stage, units in enumerate(layout.stages, 1):
        for index, unit in enumerate(units, 1):
            for i, conv in enumerate(unit.convs, 1):
                found |= {f"stage{stage}_unit{index}_bn{i}/{each}": [conv.inputs] for each in norm}
                found[f"stage{stage}_unit{index}_conv{i}/kernel"] = conv.kernel_shape
            if isinstance(unit.shortcut, Conv):
                found[f"stage{stage}_unit{index}_sc/kernel"] = unit.shortcut.kernel_shape
    found |= {f"bn1/{each}": [layout.channels] for each in norm}
    return {key: list(shape) for key, shape in found.items()}


def write_h5(
    path: Path,
    keys: Mapping[str, Sequence[int] | None],
    rename: Callable[[str], str] = str,
    *,
    top: bool = True,
    fixed: bool = True,
    limit: int = LIMIT,
    group: str = "",
    nested: str = "",
    frozen: bool = False,
    values: Callable[[str, Sequence[int]], Any] = keras_formula,
) -> Path:
    """Writes a file as Keras 2 did.

    `rename` names layers; without `top` no matrix is written; `fixed`: lists are of texts of one length, as h5py 2 has
    them; `limit`: of a list in bytes; `group`: of the layers, as in a file of a whole model; `nested`: the layer that
    all are in, as a model in a model is, in which what is not trained comes last: statistics, and kernels if `frozen`.
    """
    layers: dict[str, list[tuple[str, str, Sequence[int]]]] = {}
    for key, shape in keys.items():
        layer, _, variable = key.partition("/")
        layers.setdefault(layer, []).extend([] if shape is None else [(f"{rename(layer)}/{variable}:0", key, shape)])
    if not top:
        layers = {layer: held for layer, held in layers.items() if all(len(shape) != 2 for *_, shape in held)}
    named = {rename(layer): held for layer, held in layers.items()}
    if nested:
        whole = [each for held in named.values() for each in held]
        last = r"moving_|conv|sc/" if frozen else "moving_"
        named = {nested: sorted(whole, key=lambda each: re.search(last, each[0]) is not None)}
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        _write_list(root, "layer_names", list(named), fixed, limit)
        root.attrs["backend"], root.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for layer, held in named.items():
            _write_list(root.create_group(layer), "weight_names", [name for name, *_ in held], fixed, limit)
            for name, key, shape in held:
                root[layer].create_dataset(name, data=values(key, shape))
    return path


def _write_list(group: Any, name: str, texts: list[str], fixed: bool, limit: int) -> None:
    """Writes an attribute, or several of a long list; an empty one is of floats, as h5py makes it."""
    array, parts = np.asarray([text.encode() for text in texts]), 1
    while any(part.nbytes > limit for part in np.array_split(array, parts)):
        parts += 1
    if parts == 1:
        group.attrs[name] = array if fixed else texts
    for number, part in enumerate(np.array_split(array, parts) if parts > 1 else ()):
        group.attrs[f"{name}{number}"] = part
