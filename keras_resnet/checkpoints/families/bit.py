"""BiT's own checkpoints (github.com/google-research/big_transfer): `resnet/block3/unit06/b/standardized_conv2d`."""

from keras_resnet.architecture.lineages import BIT as LINEAGE
from keras_resnet.architecture.plans import SUFFIXES, Conv, Plan
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.keras import LAYERS

_CONV, _NORM = "standardized_conv2d", "group_norm"


def modules(plan: Plan) -> dict[str, str]:
    """Google's modules: a norm stands in the scope of the convolution that reads it."""
    norm = SUFFIXES[plan.norm]
    names = {f"post_{norm}": _NORM, "predictions": "head/conv2d"}
    names |= {f"{conv.name}_conv": f"root_block/{_CONV}" for conv in plan.stem}
    for stage, units in enumerate(plan.stages, 1):
        for number, unit in enumerate(units, 1):
            theirs = f"block{stage}/unit{number:02d}"
            norms = (f"{unit.name}_preact", *(conv.name for conv in unit.convs))
            for part, conv, ours in zip("abc", unit.convs, norms, strict=False):
                names |= {f"{conv.name}_conv": f"{theirs}/{part}/{_CONV}", f"{ours}_{norm}": f"{theirs}/{part}/{_NORM}"}
            if isinstance(unit.shortcut, Conv):
                names[f"{unit.shortcut.name}_conv"] = f"{theirs}/a/proj/{_CONV}"
    return names


BIT = Family(
    "BiT",
    2,
    modules,
    separator="/",
    variables=LAYERS["variables"],
    unit=r"block(?P<stage>\d+)/unit(?P<unit>\d+)",
    first=f"/a/{_CONV}/kernel",
    stem="root_block/",
    own=rf"(root_block/{_CONV}|block\d+/unit\d+/([abc]|a/proj)/({_CONV}|{_NORM})|{_NORM}|head/conv2d)/[^/]+",
    bias=rf"{_CONV}/bias$",
    styles=(LINEAGE.style,),
    convolves=True,
    standardized=1e-10,  # its models.py; timm takes 1e-8
)
