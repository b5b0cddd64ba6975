"""tf.keras.applications.resnet_rs: names of the published files, and of those that its users saved."""

import re
from collections import defaultdict
from dataclasses import replace

from keras_resnet.architecture.lineages import RESNET_RS as LINEAGE
from keras_resnet.architecture.plans import Conv, Plan
from keras_resnet.checkpoints.families.family import LONGEST
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.names.assembled import Assembled
from keras_resnet.checkpoints.open import Source

# Users' names: with the number of the network in its process in the stem's, with one "_" or two.
_STEM = re.compile(r"stem_\d{1,9}_stem_(?=conv|batch_norm)")
_BLOCK = re.compile(r"BlockGroup(\d)__block_(\d{1,9})_+(?:se_(?=se_))?")
_KINDS = {"conv": "conv", "batch_norm": "bn"}
_STEM_LAYER = re.compile(r"stem_(?P<kind>conv|batch_norm)_(?P<number>[1-4])")
_LAYER = re.compile(
    r"c(?P<stage>\d{1,3})_block_(?P<unit>\d{1,9})_((?P<kind>conv|batch_norm)_(?P<number>[123])"
    r"|projection_(?P<projection>conv|batch_norm)|se_(?P<gate>reduce|expand))"
)


def modules(plan: Plan) -> dict[str, str]:
    """The published layers: `c2_block_0_conv_1` is `conv2_block1_1_conv`."""
    names = {"predictions": "predictions"}
    stem = [*plan.stem, *([plan.pool] if isinstance(plan.pool, Conv) else [])]
    for i, conv in enumerate(stem, 1):
        names |= {f"{conv.name}_conv": f"stem_conv_{i}", f"{conv.name}_bn": f"stem_batch_norm_{i}"}
    for stage, units in enumerate(plan.stages, 2):
        for index, unit in enumerate(units):
            theirs = f"c{stage}_block_{index}"
            for i, conv in enumerate(unit.convs, 1):
                names |= {f"{conv.name}_conv": f"{theirs}_conv_{i}", f"{conv.name}_bn": f"{theirs}_batch_norm_{i}"}
            for conv, part in zip(unit.attention, ("reduce", "expand"), strict=False):
                names[f"{conv.name}_conv"] = f"{theirs}_se_{part}"
            if isinstance(unit.shortcut, Conv):
                ours = unit.shortcut.name
                names |= {f"{ours}_conv": f"{theirs}_projection_conv", f"{ours}_bn": f"{theirs}_projection_batch_norm"}
    return names


RESNET_RS = replace(
    KERAS,
    origin="tf.keras.applications.resnet_rs",
    version=1,
    names=modules,
    unit=r"c(?P<stage>\d{1,3})_block_(?P<unit>\d{1,9})(?=_)",
    first="_conv_1/kernel",
    stem=r"stem_",
    own=r"(c\d{1,3}_block_\d{1,9}_[^/]+|stem_(conv|batch_norm)_\d|predictions)/[^/]+",
    bias=r"(?!)",  # but gates' and the classifier's there are none
    styles=(LINEAGE.style,),
    v2="",
    others={},
)


def plain(source: Source) -> Source:
    """Returns a file with the names of the published files, if it holds networks of this family."""
    names: dict[str, str] = {}
    called: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for name in (name for name in source.shapes if len(name) < LONGEST):
        path, _, variable = name.rpartition("/")
        around, separator, layer = path.rpartition("/")
        theirs = _BLOCK.sub(r"c\1_block_\2_", _STEM.sub("stem_", layer))
        if ours := _ours(theirs):
            called[f"{around}{separator}"][ours] = [layer]
            names[f"{around}{separator}{theirs}/{variable}"] = name
    held = {scope: layers for scope, layers in called.items() if "conv2_block1_1_conv" in layers}
    return Assembled(source, names, {}, {}, held) if held else source


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
