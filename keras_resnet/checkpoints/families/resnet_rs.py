"""tf.keras.applications.resnet_rs: names of the published files, and of those that its users saved."""

import re
from dataclasses import replace

from keras_resnet.architecture.lineages import RESNET_RS as LINEAGE
from keras_resnet.architecture.plans import Conv, Plan
from keras_resnet.checkpoints.families.family import LONGEST
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.names.renamed import Renamed
from keras_resnet.checkpoints.open import Source

# Users' names: with the number of the network in its process in the stem's, with one "_" or two.
_STEM = re.compile(r"stem_\d{1,9}_stem_(?=conv|batch_norm)")
_BLOCK = re.compile(r"BlockGroup(\d)__block_(\d{1,9})_+(?:se_(?=se_))?")


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
    """Returns a file with the names of the published files, if it has others of this family."""
    names = {}
    for name in source.shapes:
        scope, _, layer = name.rpartition("/")[0].rpartition("/")
        if len(name) < LONGEST and (_STEM.match(layer) or _BLOCK.match(layer)):
            theirs = _BLOCK.sub(r"c\1_block_\2_", _STEM.sub("stem_", layer))
            names["/".join((*([scope] if scope else []), theirs, name.rpartition("/")[2]))] = name
    return Renamed(source, names) if names else source
