"""What files of PyTorch have, by the names of their tensors, that no builder makes, and what to do about it."""

import re
from collections.abc import Mapping

from keras_resnet.checkpoints.families.family import LONGEST_WRAPPED, Shape
from keras_resnet.checkpoints.folders import MERGE_ZERO

_SAVE = "and save the file again"
# Patterns of names, how many axes such tensors have at least, and what they are.
_FOREIGN = (
    (r"\.se\.", 2, "channel attention (SE, ECA)"),
    (r"downsample\.1\.weight$", 2, "averaging shortcuts, as ResNet-D and ResNet-T have"),
    (
        r"(^|\.)_?flat_param(_\d+)?$",
        0,
        "flattened parameters, as FSDP keeps them: gather a full state dict "
        f"(torch.distributed.fsdp.StateDictType.FULL_STATE_DICT), {_SAVE}",
    ),
    (
        r"(_packed_params|zero_point|\.SCB|\.absmax)$",
        0,
        "the parameters of quantization: use the float checkpoint from before it",
    ),
    (
        r"\.parametrizations\.",
        0,
        "parametrized weights, as of spectral or weight norm: call "
        f"torch.nn.utils.parametrize.remove_parametrizations(module, 'weight') for each such module, {_SAVE}",
    ),
    (
        r"\.weight_u$",
        0,
        "the parameters of spectral norm: call torch.nn.utils.remove_spectral_norm(module) for each such module, "
        f"{_SAVE}",
    ),
    (
        r"\.weight_[gv]$",
        0,
        f"the parameters of weight norm: call torch.nn.utils.remove_weight_norm(module) for each such module, {_SAVE}",
    ),
    (
        r"\.weight_(orig|mask)$",
        0,
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
_STEM = re.compile(r"(conv[1-3]|(conv1|stem)\.(conv)?\d)\.weight")  # a convolution of several


def foreign(tensors: Mapping[str, Shape]) -> str | None:
    """Says what a network has by its tensors that no builder makes; None if there is no such thing.

    Args:
        tensors: shapes by names below the network's scope.
    """
    if any(shape == (0,) and name.endswith(".weight") for name, shape in tensors.items()):
        return _EMPTY
    stem = [name for name, shape in tensors.items() if len(shape) == 4 and _STEM.fullmatch(name)]
    if len(stem) > 1:
        return f"The file has a stem of {len(stem)} convolutions, as ResNet-C, -D, -S and -T have"
    for pattern, axes, what in _FOREIGN:
        if any(len(shape) >= axes and _is(pattern, name) for name, shape in tensors.items()):
            return f"The file has {what}"
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


def _stands_before(name: str, kernel: Shape, tensors: Mapping[str, Shape]) -> bool:
    """Whether a tensor is the kernel of a unit's first convolution whose norm stands before it."""
    if len(kernel) != 4 or not name.endswith(".conv1.weight") or kernel[0] == kernel[1]:
        return False
    return tensors.get(f"{name.removesuffix('conv1.weight')}bn1.weight") == kernel[1:2]
