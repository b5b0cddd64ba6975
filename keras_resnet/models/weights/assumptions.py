"""What no file told of a network that takes its weights, and is assumed: a sentence for each fact."""

import re
from collections.abc import Collection, Iterator

from keras_resnet.architecture.detect import striding_convs
from keras_resnet.architecture.lineages import BIT
from keras_resnet.architecture.plans import PADS, Conv, Plan
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import called
from keras_resnet.checkpoints.classifiers import activation_of, unknown_parts
from keras_resnet.checkpoints.contents import NO_UNITS, NetworkInFile
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE, HUGGINGFACE_BODY
from keras_resnet.checkpoints.families.image_classifiers import IMAGE_CLASSIFIERS
from keras_resnet.checkpoints.families.keras import DENSE, POSITIONS
from keras_resnet.checkpoints.families.keras_2016 import KERAS_2016
from keras_resnet.checkpoints.families.tf_slim import SLIM
from keras_resnet.checkpoints.families.timm import SENET, TIMM, TIMM_BIT, TIMM_V2
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.checkpoints.names.renamed import original
from keras_resnet.checkpoints.statements import (
    CONVS,
    attention_of,
    is_plain,
    not_understood,
    of_hub,
    rows_in,
    states,
    strides_first,
    tells_network,
)
from keras_resnet.models.inspection import Network

_DEPTH = re.compile(r"resne(?:t|xt)(?:[-_]?v[12])?[-_]?(\d{1,9})")  # in a network's name
_ACTIVATION = (
    "the classifier ends as the model was built, although that in the file ends in {!r:.99} (pass "
    "classifier_activation=None, and put this behind)"
)
# What takes strides, by `Variant.antialias`.
_STRIDING = {
    None: "there is no blur pooling (anti-aliasing)",
    "avg": "means stride behind the 3x3 convolutions, and in the stem (anti-aliasing)",
    "blur": "blur pooling strides behind the 3x3 convolutions, and in the stem (anti-aliasing)",
}


def assumptions(found: NetworkInFile, network: Network, *, asked: bool, loaded: Collection[str]) -> tuple[str, ...]:
    """Returns a sentence for each fact of a network that no tensor shows, and nobody told.

    What tells is a file's row in the catalogue or its name there, its own words, the config.json beside it, names that
    one library alone gives, and the caller.

    Args:
        found: the file's network.
        network: the model's, which takes the weights.
        asked: whether the caller said of which style it is.
        loaded: the names of the tensors that the model takes.
    """
    top = _of_classifier(found, loaded)
    if found.checkpoint or (_is_published(found) and _is_told(found, network.plan)):
        return top
    return (
        *top,
        *(_of_scopes(found) if found.family is SLIM else ()),
        *(_of_positions(found, loaded) if found.family is POSITIONS else ()),
        *_of_front(found),
        *(_of_numbers(found) if found.family is IMAGE_CLASSIFIERS else ()),
        *(() if asked else _of_style(found, network)),
        *(_of_layers(found, network, asked) if found.family.transposed else ()),
        *(f"{each}, and {words} changes no output" for each in found.statements if (words := not_understood(each))),
    )


def contradicts_names(found: NetworkInFile, network: Network) -> bool:
    """Whether a file has names of another style than a network, in which it would give other numbers."""
    padded = any(unit.shortcut in PADS.values() for unit in network.plan.units)
    return found.evident is not None and padded and found.evident not in network.styles


def _is_published(found: NetworkInFile) -> bool:
    """Whether a file is called as one of the catalogue alone is, and can be of its style.

    Files of keras.applications of before 2019 are called as those of today.
    """
    return any(row.style in found.styles for row in called(found.source.path.name))


def _of_classifier(found: NetworkInFile, loaded: Collection[str]) -> tuple[str, ...]:
    """What is taken for the classifier, and for its bias."""
    family = found.family
    top = found.modules(NO_UNITS).get("predictions", "")
    if family.tensor(top, "kernel") not in loaded:
        return ()
    activation = activation_of(found)
    return (
        *((f"{found.classifier!r:.99} is the classifier",) if found.classifier else ()),
        *(("the classifier has no bias, so that of the model is 0",) if found.zeros else ()),
        *(() if activation in (None, "softmax", "linear") else (_ACTIVATION.format(activation),)),
    )


def _of_scopes(found: NetworkInFile) -> Iterator[str]:
    """Where the blocks of a network are that lies in two scopes, as a Faster R-CNN's, which strides otherwise."""
    places = (
        (original(found.source, f"{found.scope}{name}"), name) for name in found.tensors if found.family.place(name)
    )
    second = next((place.removesuffix(name) for place, name in places if not place.startswith(found.scope)), None)
    if second:
        yield f"the blocks in {second!r:.99} follow those in {found.scope!r:.99}, and stride as those of classifiers do"


def _of_positions(found: NetworkInFile, loaded: Collection[str]) -> Iterator[str]:
    """That layers go by their place, unless a config says whose network it is; KerasHub's has the order of ours."""
    if of_hub(found.statements):
        return
    yield "the layers have the order of the model's, since the file does not hold their names"
    if found.family.tensor(DENSE, "kernel") in loaded:
        yield "the classifier takes the means over all positions"


def _of_front(found: NetworkInFile) -> Iterator[str]:
    """What the model in a file does to images that no network here does."""
    for each in found.statements:
        if each.rule == "front":
            yield f"images are as behind the layer {each.value!r:.99} in front of the network in the file's model"


def _of_numbers(found: NetworkInFile) -> Iterator[str]:
    """Whose a network is that has nothing but numbers for names, of which no config tells the graph."""
    named = any(name.startswith("data_bn/") for name in found.tensors)
    if not (named or states(found.statements, "epsilon")):
        yield "the layers, which have numbers for names, are in the order of SENet's networks in image-classifiers"


def _depth(row: Variant) -> int:
    """How many layers a network has, with one of the stem and the classifier."""
    return 2 + sum(row.units) * CONVS[row.block]


def _is_told(found: NetworkInFile, plan: Plan) -> bool:
    """Whether what was read names the network, and none of another depth, which tells nothing."""
    named = [_DEPTH.search(str(each.value).lower()) for each in found.statements if each.rule == "name"]
    depths = {int(match[1]) for match in named if match} | set(map(_depth, rows_in(found.statements)))
    depth = 2 + sum(len(unit.convs) for unit in plan.units)
    known = set(map(_depth, map(find_row, NETWORKS)))
    return tells_network(found.statements) and not (depth in known and depths and depth not in depths)


def _of_style(found: NetworkInFile, network: Network) -> Iterator[str]:
    """What styles differ by that the file can be of."""
    plan, told = network.plan, _is_told(found, network.plan)
    if len(found.styles) < 2 or set(found.styles) <= set(network.styles):  # all of which are the model's
        return
    if found.family is KERAS_2016:
        padded = "zeros on each side (style='keras_2016': nothing)"
        if plan.pool_border == "valid":
            padded = "nothing (style='keras_2018': zeros on each side)"
        yield (
            f"the stem's pool is padded with {padded}, its convolution with 3 zeros on each side, and the epsilon of "
            f"the batch norms is {network.epsilon:g}"
        )
        return
    if plan.norm == "group" and BIT.style in found.styles:
        yield (
            "its kernels are taken standardised, as BiT's (with TORCH_V2 as the lineage of the Variant: as they are)"
            if BIT.style in network.styles
            else "its kernels are taken as they are (with the lineage of NETWORKS['resnetv2_50x1_bit']: standardised)"
        )
        return
    pads = {unit.shortcut for unit in plan.units} & set(PADS.values())
    if contradicts_names(found, network):
        yield (
            "shortcuts add all zero channels behind the others, although the classifier is named as in the published "
            "CIFAR nets (style='torch_cifar': half in front)"
        )
    elif pads == {"pad_both"} and found.styles[0] not in network.styles:
        yield "shortcuts add half of the zero channels in front and half behind (style='torch': all behind)"
    elif pads == {"pad_after"} and is_plain(plan):
        yield "shortcuts add all zero channels behind the others (style='torch_cifar': half in front)"
    strides = [conv.kernel for conv in striding_convs(plan).values()]
    if not found.family.transposed:
        if plan.version == 1 or any(conv.bias for conv in plan.convs()):  # of v2 without biases there is one style
            whose = f"style {network.styles[0]!r}" if network.styles else "the model"
            yield f"strides, padding and epsilon are those of {whose}"
    elif strides and len(plan.units[0].convs) == 3 and not told and is_plain(plan):
        yield (
            "the stride of a stage is in its first 1x1 convolution (style='torch': in the first 3x3)"
            if strides[0] == 1
            else "the stride of a stage is in its first 3x3 convolution (style='torch_1x1', as Caffe: in the first 1x1)"
        )


def _of_layers(found: NetworkInFile, network: Network, asked: bool) -> Iterator[str]:
    """What PyTorch's networks of the same tensors differ by that no style is about."""
    if more := unknown_parts(found):
        yield f"what else the file holds, such as {min(more)!r:.99}, is no part of the network"
    if _is_told(found, network.plan):
        return
    yield from _of_stem(network.plan)
    yield from _of_shortcuts(found, network.plan)
    if not states(found.statements, "activation"):
        yield "the activation is ReLU"
    if attention_of(network.plan) == "eca" and not states(found.statements, "gate"):
        yield "the convolutions of the gates are padded with zeros (in timm's cECA with channels of the other end)"
    if not states(found.statements, "blur"):
        others = _others(found, network)
        yield f"{_STRIDING[network.plan.antialias]}{f', unlike in {others}' if others else ''}"
    if not (asked or states(found.statements, "epsilon")):
        yield f"the epsilon of the {network.plan.norm} norms is {network.epsilon:g}"


def _of_shortcuts(found: NetworkInFile, plan: Plan) -> Iterator[str]:
    """What may stand in a projection whose parts are not counted, as those of a Sequential are, or strides."""
    told, family = found.statements, found.family
    strided = any(isinstance(unit.shortcut, Conv) and unit.shortcut.stride > 1 for unit in plan.units)
    open_to = plan.averages_shortcuts or family in (TIMM_V2, TIMM_BIT, TORCHVISION)
    if strided and open_to and family not in (TIMM, SENET) and not states(told, "averages"):
        yield f"{'means stride' if plan.averages_shortcuts else 'no means stand'} in front of shortcuts' convolutions"
    first = isinstance(plan.units[0].shortcut, Conv)
    if family in (HUGGINGFACE, HUGGINGFACE_BODY) and first and not states(told, "first stride"):
        yield f"the first stage {'strides' if strides_first(plan) else 'does not stride'}"


def _others(found: NetworkInFile, network: Network) -> str:
    """The published networks that have the tensors of a file, too, and stride by other means."""
    own = network.plan.antialias
    fitting = dict.fromkeys(row.name for row in found.fitting() if row.antialias != own)
    return " and ".join(fitting)


def _of_stem(plan: Plan) -> Iterator[str]:
    """What a stem does that is neither ImageNet's, of one convolution or three, nor the CIFAR nets' of three stages."""
    if not plan.stem:
        return
    first = plan.stem[0]
    layout = first.kernel, first.stride, bool(plan.pool)
    usual = (7 if len(plan.stem) == 1 else 3, 2, True)
    if layout != usual and (layout != (3, 1, False) or len(plan.stages) > 3):
        yield f"the stem strides by {first.stride} and {'pools' if plan.pool else 'does not pool'}"
