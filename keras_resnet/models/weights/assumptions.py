"""What no file told of a network that takes its weights, and is assumed: a sentence for each fact."""

from collections.abc import Iterator
from math import nan

import keras

from keras_resnet.architecture.detect import striding_convs
from keras_resnet.architecture.plans import PADS
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.contents import NetworkInFile
from keras_resnet.checkpoints.statements import not_understood, states, tells_network
from keras_resnet.models.inspection import Network


def assumptions(found: NetworkInFile, network: Network, *, asked: bool) -> tuple[str, ...]:
    """Returns a sentence for each fact of a network that no tensor shows, and nobody told.

    What tells is a file's row in the catalogue or its name there, its own words, the config.json beside it, names that
    one library alone gives, and the caller.

    Args:
        found: the file's network.
        network: the model's, which takes the weights.
        asked: whether the caller said of which style it is.
    """
    if found.checkpoint or _is_published(found.source.path.name):
        return ()
    return (
        *(() if asked else _of_style(found, network)),
        *(_of_layers(found, network, asked) if found.family.transposed else ()),
        *(f"{each}, and {words} changes no output" for each in found.statements if (words := not_understood(each))),
    )


def contradicts_names(found: NetworkInFile, network: Network) -> bool:
    """Whether a file has names of another style than a network, in which it would give other numbers."""
    padded = any(unit.shortcut in PADS.values() for unit in network.plan.units)
    return found.evident is not None and padded and found.evident not in network.styles


def epsilon_of(network: Network) -> float:
    """Returns the epsilon of a network's norms; not a number if they were folded."""
    norms = (layer for layer in network.layers.values() if isinstance(layer, keras.layers.BatchNormalization))
    return next((float(norm.epsilon) for norm in norms), nan)


def _is_published(name: str) -> bool:
    """Whether a file is called as one of the catalogue, and one alone."""
    return [url.rpartition("/")[2] for url in {row.url for row in list_weights().values()}].count(name) == 1


def _of_style(found: NetworkInFile, network: Network) -> Iterator[str]:
    """What styles differ by that the file can be of."""
    plan, told = network.plan, tells_network(found.statements)
    if len(found.styles) < 2 or set(found.styles) <= set(network.styles):  # all of which are the model's
        return
    pads = {unit.shortcut for unit in plan.units} & set(PADS.values())
    if contradicts_names(found, network):
        yield (
            "shortcuts add all zero channels behind the others, although the classifier is named as in the published "
            "CIFAR nets (style='torch_cifar': half in front)"
        )
    elif pads == {"pad_both"} and found.styles[0] not in network.styles:
        yield "shortcuts add half of the zero channels in front and half behind (style='torch': all behind)"
    elif pads == {"pad_after"}:
        yield "shortcuts add all zero channels behind the others (style='torch_cifar': half in front)"
    strides = [conv.kernel for conv in striding_convs(plan).values()]
    if not found.family.transposed:
        biased = any(conv.bias for conv in plan.convs())
        if biased is (plan.version == 2):  # of v1 with biases there is one style, and of v2 without
            whose = f"style {network.styles[0]!r}" if network.styles else "the model"
            yield f"strides and padding are those of {whose}"
    elif strides and len(plan.units[0].convs) == 3 and not told:
        yield (
            "the stride of a stage is in its first 1x1 convolution (style='torch': in the first 3x3)"
            if strides[0] == 1
            else "the stride of a stage is in its first 3x3 convolution (style='torch_1x1', as Caffe: in the first 1x1)"
        )


def _of_layers(found: NetworkInFile, network: Network, asked: bool) -> Iterator[str]:
    """What PyTorch's networks of the same tensors differ by that no style is about."""
    if tells_network(found.statements):
        return
    if not states(found.statements, "activation"):
        yield "the activation is ReLU"
    if not states(found.statements, "blur"):
        yield "there is no blur pooling (anti-aliasing)"
    if not (asked or states(found.statements, "epsilon")):
        yield f"the epsilon of the batch norms is {epsilon_of(network):g}"
