"""TF-Slim's units and blocks over Keras tensors, and how blocks are stacked at an output stride."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import keras

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import residual_unit
from keras_resnet.checkpoints.families import tf_slim
from keras_resnet.models.arguments import Tensor, check_tensor, standardize_dtype
from keras_resnet.models.blocks import UNITS
from keras_resnet.models.features import unit_end_points
from keras_resnet.models.layers import Kit
from keras_resnet.utils.errors import check_name, check_positive

Ends = dict[str, Tensor]
Version = Literal[1, 2]


class Block(NamedTuple):
    """One stage of a network, as TF-Slim describes it: a function that builds a unit, and arguments for each unit.

    Example:

        def plain(inputs, depth, stride, rate=1):
            return keras.layers.Conv2D(depth, 3, stride, "same", dilation_rate=rate, activation="relu")(inputs)


        block = keras_resnet.slim.Block("block1", plain, [{"depth": 64, "stride": 1}, {"depth": 64, "stride": 2}])

    Attributes:
        scope: the name of the stage in end points and variables. Layers of "block1" are named `conv2_...`, those of
            "block2" `conv3_...`; with another scope, they begin with the scope itself.
        unit_fn: `bottleneck_v1`, `bottleneck_v2` or a function of your own. It is called once per unit with the feature
            map, `rate=` (the dilation of its 3x3 convolutions) and the unit's arguments, and returns the next feature
            map. Once `output_stride` is reached, its argument `stride` is 1.
        args: one dict of arguments per unit.
    """

    scope: str
    unit_fn: Callable[..., Tensor]
    args: list[dict[str, Any]]


@dataclass(frozen=True)
class _Place:
    """Where in which network a unit is built."""

    kit: Kit
    end_points: Ends
    scope: str  # such as "resnet_v1_50/block1/unit_2"
    name: str  # such as "conv2_block2"
    given_up: int = 1  # the stride that the unit had, where it dilates instead


_PLACE: ContextVar[_Place | None] = ContextVar("place", default=None)


def bottleneck_v1(
    inputs: Tensor,
    depth: int,
    depth_bottleneck: int,
    stride: int,
    rate: int = 1,
    outputs_collections: None = None,
    scope: str | None = None,
) -> Tensor:
    """Applies one bottleneck unit: relu(shortcut + residual), norms after convolutions.

    Example:

        x = keras.Input((56, 56, 256))
        x = keras_resnet.slim.bottleneck_v1(x, depth=256, depth_bottleneck=64, stride=2)  # (N, 28, 28, 256)

    Args:
        inputs: a Keras tensor (N, height, width, channels).
        depth: the number of output channels. If the input has another number, the shortcut is a projection.
        depth_bottleneck: the number of channels of the 1x1 and the 3x3 convolution inside.
        stride: the stride of the 3x3 convolution and of the shortcut.
        rate: the dilation of the 3x3 convolution.
        outputs_collections: must be None, since Keras has no collections. Networks' functions return the end points.
        scope: the name of the unit, "bottleneck_v1" by default. Two units in one model, outside of a network, need two
            names.

    Returns:
        A Keras tensor (N, ceil(height / stride), ceil(width / stride), depth).

    Raises:
        ValueError: if an argument is not one of these, or both `stride` and `rate` are above 1.
    """
    return _bottleneck(1, inputs, depth, depth_bottleneck, stride, rate, outputs_collections, scope)


def bottleneck_v2(
    inputs: Tensor,
    depth: int,
    depth_bottleneck: int,
    stride: int,
    rate: int = 1,
    outputs_collections: None = None,
    scope: str | None = None,
) -> Tensor:
    """Applies one pre-activation bottleneck unit: shortcut + residual, norms before convolutions.

    Example:

        x = keras.Input((56, 56, 256))
        x = keras_resnet.slim.bottleneck_v2(x, depth=256, depth_bottleneck=64, stride=2)  # (N, 28, 28, 256)

    Arguments, result and errors are those of `bottleneck_v1`.
    """
    return _bottleneck(2, inputs, depth, depth_bottleneck, stride, rate, outputs_collections, scope)


def resnet_v1_block(scope: str, base_depth: int, num_units: int, stride: int) -> Block:
    """Describes a stage of bottleneck units, of which the last one strides.

    Example:

        >>> keras_resnet.slim.resnet_v1_block("block1", base_depth=64, num_units=3, stride=2).args[-1]
        {'depth': 256, 'depth_bottleneck': 64, 'stride': 2}

    Args:
        scope: the name of the stage, such as "block1".
        base_depth: the number of channels of the inner convolutions; the outputs have four times as many.
        num_units: the number of units.
        stride: the stride of the last unit; the others do not stride.

    Returns:
        A `Block`.

    Raises:
        ValueError: if a number is not a positive int.
    """
    return _block(bottleneck_v1, scope, base_depth, num_units, stride)


def resnet_v2_block(scope: str, base_depth: int, num_units: int, stride: int) -> Block:
    """Describes a stage of pre-activation bottleneck units, of which the last one strides.

    Example:

        >>> keras_resnet.slim.resnet_v2_block("block1", base_depth=64, num_units=3, stride=2).unit_fn.__name__
        'bottleneck_v2'

    Arguments, result and errors are those of `resnet_v1_block`.
    """
    return _block(bottleneck_v2, scope, base_depth, num_units, stride)


def slim_kit(version: Version, momentum: float = 0.997, epsilon: float = 1e-5, **fields: Any) -> Kit:
    """Returns the layers of a network of TF-Slim's, in Keras' own data format and dtype."""
    lineage = replace(LINEAGES["slim", version], momentum=momentum, epsilon=epsilon)
    return Kit(lineage, keras.config.image_data_format(), standardize_dtype(None).name, **fields)


def stack(
    x: Tensor, blocks: Sequence[Block], kit: Kit, ends: Ends, scope: str, rates: list[int | None], non_strided: bool
) -> Tensor:
    """Applies every unit of every block: with its stride, or, where `rates` has one, with that dilation instead."""
    left = iter(rates)
    for block in blocks:
        stage = tf_slim.slim_stage(block.scope)
        for index, args in enumerate(block.args, 1):
            rate, stride = next(left), args.get("stride", 1)
            moved = non_strided and index == len(block.args)  # the stride, to behind the unit
            if "stride" in args and (rate or moved):
                args = args | {"stride": 1}
            place = _Place(kit, ends, f"{scope}/{block.scope}/unit_{index}", f"{stage}_block{index}")
            with _at(replace(place, given_up=stride if rate else 1)):
                x = block.unit_fn(x, rate=rate or 1, **args)
            check_tensor("Block.unit_fn", x)
            ends[f"{place.scope}/{_name(block.unit_fn)}"] = x
        ends[f"{scope}/{block.scope}"] = x
        if moved and not rate and stride > 1:
            x = kit.pool(x, 1, stride, f"{stage}_pool")
    return x


def strides(blocks: Sequence[Block]) -> list[int]:
    """Returns the stride of each unit of each block.

    Raises:
        ValueError: if these are no blocks, or two have one scope.
    """
    if not isinstance(blocks, Sequence) or not blocks or not all(isinstance(block, Block) for block in blocks):
        raise ValueError(
            f"`blocks` must be a list of `Block`s, such as [resnet_v1_block('block1', 64, 3, 2)]; received {blocks!r}."
        )
    for block in blocks:
        check_name("Block.scope", block.scope)
        if tf_slim.slim_block(tf_slim.slim_stage(block.scope)) != block.scope:
            raise ValueError(
                f"`Block.scope` must be TF-Slim's name, such as 'block1' instead of 'conv2'; received {block.scope!r}."
            )
        if not callable(block.unit_fn) or not block.args or not all(isinstance(args, dict) for args in block.args):
            raise ValueError(
                "`Block.unit_fn` must be a function, and `Block.args` a list with one dict of its arguments per unit; "
                f"received {block!r}."
            )
    if len({block.scope for block in blocks}) < len(blocks):
        raise ValueError(
            f"`blocks` must all have different scopes; received the scopes {[block.scope for block in blocks]}."
        )
    found = [args.get("stride", 1) for block in blocks for args in block.args]
    for stride in found:
        check_positive("Block.args: stride", stride)
    return found


@contextmanager
def _at(place: _Place) -> Iterator[None]:
    """Gives this place to the units called inside."""
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)


def _name(unit_fn: Callable[..., Tensor]) -> str:
    """Returns what a unit of this function is called in end points, unless it says so itself."""
    inner = getattr(unit_fn, "func", unit_fn)  # a partial's
    return getattr(inner, "__name__", type(inner).__name__)


def _bottleneck(
    version: Version,
    inputs: Tensor,
    depth: int,
    depth_bottleneck: int,
    stride: int,
    rate: int,
    outputs_collections: None,
    scope: str | None,
) -> Tensor:
    """Builds one unit of the plan, at its place in the network that is being built, or on its own."""
    check_tensor("inputs", inputs)
    for argument, value in {
        "depth": depth,
        "depth_bottleneck": depth_bottleneck,
        "stride": stride,
        "rate": rate,
    }.items():
        check_positive(argument, value)
    if stride > 1 and rate > 1:
        raise ValueError(f"`stride` and `rate` must not both be above 1; received stride={stride}, rate={rate}.")
    if outputs_collections is not None:
        raise ValueError(
            f"`outputs_collections` must be None, since Keras has no collections; received {outputs_collections!r}. "
            "Take the end points that functions such as resnet_v1_50 return."
        )
    default = f"bottleneck_v{version}"
    own = default if scope is None else scope
    check_name("scope", own)
    place = _PLACE.get() or _Place(slim_kit(version), {}, "", "")
    if not place.name:
        name = own
    elif own == default:
        name = place.name
    else:
        name = f"{place.name}_{own}"
    outer = place.kit.lineage
    lineage = replace(LINEAGES["slim", version], momentum=outer.momentum, epsilon=outer.epsilon)
    kit = replace(place.kit, lineage=lineage)
    channels = inputs.shape[kit.channel_axis]
    check_positive("inputs: channels", channels)
    filters = (depth_bottleneck, depth_bottleneck, depth)
    if stride > 1:
        built = residual_unit(lineage, name, channels, filters, stride)
    else:
        built = residual_unit(lineage, name, channels, filters, place.given_up).dense(rate)
    x = UNITS[version](inputs, built, kit)
    place.end_points.update(unit_end_points(kit.outputs, built, f"{place.scope}/{own}"))
    return x


def _block(unit_fn: Callable[..., Tensor], scope: str, base_depth: int, num_units: int, stride: int) -> Block:
    """Describes bottlenecks of one width; the last one strides."""
    for argument, value in {"base_depth": base_depth, "num_units": num_units, "stride": stride}.items():
        check_positive(argument, value)
    args = [{"depth": 4 * base_depth, "depth_bottleneck": base_depth, "stride": 1} for _ in range(num_units)]
    args[-1]["stride"] = stride
    return Block(scope, unit_fn, args)
