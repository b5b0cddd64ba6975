"""What files of PyTorch have, by the names of their tensors, that no builder makes, and what to do about it."""

import re
from collections import defaultdict
from collections.abc import Mapping

from keras_resnet.checkpoints.families.family import LONGEST_WRAPPED, Shape
from keras_resnet.checkpoints.folders import MERGE_ZERO

_SAVE = "and save the file again"
# Patterns of names in networks that no builder makes, and what these have of their own.
_KINDS = (
    (r"\.(convs|bns)\.\d+\.", "blocks of Res2Net, in which narrow 3x3 convolutions read each other's outputs"),
    (r"\.conv2\.(bn0|fc1)\.", "blocks of ResNeSt, whose convolutions are split and weighed against each other"),
    (r"\.paths\.\d+\.", "blocks of SKNet, which weigh convolutions of several sizes against each other"),
    (r"(^|\.)(s\d+\.b\d+\.(conv1|f)|trunk_output\.block\d)", "blocks of RegNet, which is no ResNet"),
    (r"(^|\.)attnpool\.|(^|\.)head\.pos_embed$|^(visual\.)?conv3\.weight$", "parts of CLIP's image encoders"),
    (r"\.self_attn\.conv_lambda\.", "lambda layers (LambdaNetworks)"),
    (r"\.self_attn\.kv\.", "self-attention in its blocks, as HaloNet has"),
    (r"\.self_attn\.", "self-attention in its blocks, as BoTNet has"),
    (r"\.conv_(exp|transition_b)\.", "stages that are split in two, as CSPResNet and CSPResNeXt have"),
    (r"\.conv2_kxk\.", "the names of timm's byobnet.py, in which CLIP's image encoders and resnet32ts are"),
    (r"norm\d*\.v$", "EvoNorm instead of norms with ReLU"),
    (r"norm\d*\.tau$", "filter response norms (FRN)"),
    (r"conv\d*\.gain$", "scaled convolutions without norms, as NF-ResNet has"),
    (
        r"\.(se(_\w+)?|attn|cbam|ca|sa|eca|gc|attention)\.(?!(fc[12]|conv)\.(weight|bias)$)",
        "gates that are none of the SE and ECA of timm's networks",
    ),
)
# Patterns of names, and what such tensors are.
_FOREIGN = (
    (
        r"(^|\.)_?flat_param(_\d+)?$",
        "flattened parameters, as FSDP keeps them: gather a full state dict "
        f"(torch.distributed.fsdp.StateDictType.FULL_STATE_DICT), {_SAVE}",
    ),
    (
        r"(_packed_params|zero_point|\.SCB|\.absmax)$",
        "the parameters of quantization: use the float checkpoint from before it",
    ),
    (
        r"\.parametrizations\.",
        "parametrized weights, as of spectral or weight norm: call "
        f"torch.nn.utils.parametrize.remove_parametrizations(module, 'weight') for each such module, {_SAVE}",
    ),
    (
        r"\.weight_u$",
        "the parameters of spectral norm: call torch.nn.utils.remove_spectral_norm(module) for each such module, "
        f"{_SAVE}",
    ),
    (
        r"\.weight_[gv]$",
        f"the parameters of weight norm: call torch.nn.utils.remove_weight_norm(module) for each such module, {_SAVE}",
    ),
    (
        r"\.weight_(orig|mask)$",
        "the parameters of pruning, but not both of each pair: call torch.nn.utils.prune.remove(module, 'weight') for "
        f"each pruned module, {_SAVE}",
    ),
)
_EMPTY = (
    "The file has empty tensors, as DeepSpeed's ZeRO stage 3 leaves them, which divides the weights among processes: "
    f"{MERGE_ZERO}"
)
# Names of whole networks that no family has.
_NAMES = (
    (
        r"^(\w+\.)?res\d[a-z]?\d*_.{0,20}branch\d",
        "the names of Caffe's networks. Convert it to the names of torchvision, and pass style='torch_1x1', in which "
        "Caffe's networks are",
    ),
    (
        r"(^|\.)\d+\.\d+\.(conv1|residual_function\.0)(\.\w+)?\.weight$",
        "numbered modules, as torch.nn.Sequential has, but not those of one ResNet, one behind the other. Save the "
        "whole network, or give its tensors the names of torchvision",
    ),
    (
        r"\.bn1\.(weight|running_mean)$",
        "blocks of convolutions and norms that are not, for certain, those of a v1 ResNet. If they are, give its "
        "tensors the names of torchvision",
    ),
)


def foreign(tensors: Mapping[str, Shape]) -> str | None:
    """Says what a network has by its tensors that no builder makes; None if there is no such thing.

    Args:
        tensors: shapes by names below the network's scope.
    """
    if any(shape == (0,) and name.endswith(".weight") for name, shape in tensors.items()):
        return _EMPTY
    for pattern, what in (*_FOREIGN, *_KINDS):
        if any(_is(pattern, name) for name in tensors):
            return f"The file has {what}"
    if irregular := _irregular(tensors):
        return f"The file has {irregular}"
    if any(_stands_before(name, kernel, tensors) for name, kernel in tensors.items()):
        return (
            "The file looks like a pre-activation (v2) network under the names of v1: each norm has the channels that "
            "its convolution reads"
        )
    return None


def whose(tensors: Mapping[str, Shape]) -> str:
    """Says whose names the tensors of a file have that is of no family, and what to do; "" if that is not known."""
    if found := foreign(tensors):
        return f" {found}."
    named = (what for pattern, what in _NAMES if any(_is(pattern, name) for name in tensors))
    return f" The file has {what}." if (what := next(named, "")) else ""


def _is(pattern: str, name: str) -> bool:
    """Whether a name, of a length that a module may have, has a pattern in it."""
    return len(name) < LONGEST_WRAPPED and re.search(pattern, name) is not None


def _irregular(tensors: Mapping[str, Shape]) -> str | None:
    """What tells blocks of v1 from each other that are alike in all rows."""
    widths, kinds = defaultdict[str, set[int]](set), set()
    for name, shape in tensors.items():
        unit = name.removesuffix("conv1.weight")
        read = tensors.get(f"{unit}conv2.weight", ())[1:2]
        if len(shape) == 4 and unit != name and read == tensors.get(f"{unit}bn1.weight") == shape[:1]:
            widths[unit.rstrip(".").rpartition(".")[0]].add(shape[0])
            if (last := f"{unit}conv3.weight" in tensors) == (f"{unit}bn3.weight" in tensors):
                kinds.add(last)
    if any(len(each) > 1 for each in widths.values()):
        return "blocks of several widths in a stage, as pruned networks have"
    return (
        "blocks of two kinds, basic and bottleneck, as timm's test_resnet and TResNet have" if len(kinds) > 1 else None
    )


def _stands_before(name: str, kernel: Shape, tensors: Mapping[str, Shape]) -> bool:
    """Whether a tensor is the kernel of a unit's first convolution whose norm stands before it."""
    if len(kernel) != 4 or not name.endswith(".conv1.weight") or kernel[0] == kernel[1]:
        return False
    return tensors.get(f"{name.removesuffix('conv1.weight')}bn1.weight") == kernel[1:2]
