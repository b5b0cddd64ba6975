"""tf.keras.applications.resnet_rs: names of the published files, and of those that its users saved."""

import re
from collections import defaultdict
from dataclasses import replace

from keras_resnet.architecture.lineages import RESNET_RS as LINEAGE
from keras_resnet.checkpoints.families.family import LONGEST
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.names.assembled import Assembled
from keras_resnet.checkpoints.open import Source

# Users' names: with the number of the network in its process in the stem's, with one "_" or two.
_STEM = re.compile(r"stem_\d{1,9}_stem_(?=conv|batch_norm)")
_BLOCK = re.compile(r"BlockGroup(\d)__block_(\d{1,9})_+(?:se_(?=se_))?")
_FIRST = "conv2_block1_1_conv"  # which each network has
_KINDS = {"conv": "conv", "batch_norm": "bn"}
_STEM_LAYER = re.compile(r"stem_(?P<kind>conv|batch_norm)_(?P<number>[1-4])")
_LAYER = re.compile(
    r"c(?P<stage>\d{1,3})_block_(?P<unit>\d{1,9})_((?P<kind>conv|batch_norm)_(?P<number>[123])"
    r"|projection_(?P<projection>conv|batch_norm)|se_(?P<gate>reduce|expand))"
)


RESNET_RS = replace(KERAS, origin="tf.keras.applications.resnet_rs", styles=(LINEAGE.style,))


def plain(source: Source) -> Source:
    """Returns a file with our names of the networks of this family that it holds."""
    layers: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    names: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in (name for name in source.shapes if len(name) < LONGEST):
        path, _, variable = name.rpartition("/")
        around, separator, layer = path.rpartition("/")
        if ours := _ours(_BLOCK.sub(r"c\1_block_\2_", _STEM.sub("stem_", layer))):
            scope = f"{around}{separator}"
            layers[scope][ours] = [layer]
            names[scope][f"{scope}{ours}/{variable}"] = name
    held = {scope: called for scope, called in layers.items() if _FIRST in called}
    moved = {ours: name for scope in held for ours, name in names[scope].items()}
    return Assembled(source, moved, {}, dict.fromkeys(held, RESNET_RS), held) if held else source


def _ours(layer: str) -> str | None:
    """Our name of a layer with a published one."""
    if match := _STEM_LAYER.fullmatch(layer):
        conv = f"conv1_{match['number']}" if match["number"] != "4" else "pool1"
        return f"{conv}_{_KINDS[match['kind']]}"
    if not (match := _LAYER.fullmatch(layer)):
        return "predictions" if layer == "predictions" else None
    unit = f"conv{int(match['stage'])}_block{int(match['unit']) + 1}"
    if match["gate"]:
        return f"{unit}_se_{('reduce', 'expand').index(match['gate']) + 1}_conv"
    return f"{unit}_{match['number'] or 0}_{_KINDS[match['kind'] or match['projection']]}"
