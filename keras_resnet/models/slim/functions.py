"""Functions of TF-Slim that build networks: `resnet_v1` and `resnet_v2` of blocks, and the published depths."""

import inspect
from collections.abc import Callable, Sequence
from math import inf
from typing import Concatenate, ParamSpec, TypeVar

from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import SLIM_NETWORKS
from keras_resnet.checkpoints.families.tf_slim import slim_block
from keras_resnet.models.arguments import Tensor
from keras_resnet.models.slim.blocks import (
    Block,
    Ends,
    bottleneck_v1,
    bottleneck_v2,
    resnet_v1_block,
    resnet_v2_block,
)
from keras_resnet.models.slim.network import Settings, resnet
from keras_resnet.utils.errors import check_positive

__all__ = [
    "Block",
    "bottleneck_v1",
    "bottleneck_v2",
    "resnet_v1",
    "resnet_v1_50",
    "resnet_v1_101",
    "resnet_v1_152",
    "resnet_v1_200",
    "resnet_v1_block",
    "resnet_v2",
    "resnet_v2_50",
    "resnet_v2_101",
    "resnet_v2_152",
    "resnet_v2_200",
    "resnet_v2_block",
]

P = ParamSpec("P")
T = TypeVar("T")


def resnet_v1(
    inputs: Tensor,
    blocks: Sequence[Block],
    num_classes: int | None = None,
    is_training: bool | None = None,
    global_pool: bool = True,
    output_stride: int | None = None,
    include_root_block: bool = True,
    spatial_squeeze: bool = True,
    store_non_strided_activations: bool = False,
    reuse: bool | None = None,
    scope: str | None = None,
    *,
    weight_decay: float = 0.0,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
) -> tuple[Tensor, Ends]:
    """Builds a v1 ResNet from a list of `Block`s, with TF-Slim's arguments.

    Example:

        blocks = [keras_resnet.slim.resnet_v1_block("block1", base_depth=64, num_units=3, stride=2)]
        images = keras.Input((224, 224, 3))
        net, end_points = keras_resnet.slim.resnet_v1(images, blocks, num_classes=10)
        model = keras.Model(images, net)  # logits (N, 10); end_points["predictions"] are probabilities

    Args:
        inputs: a Keras tensor (N, height, width, channels): images, or, without root block, a feature map (in v2 one
            before the activation). Batch, height and width may be None.
        blocks: the stages, as `Block`s.
        num_classes: the number of classes. None or 0: there are no logits, and the network ends in its last feature map
            (in v2 after the last batch norm and ReLU), which `global_pool` averages to 1x1 but keeps at rank 4.
        is_training: None leaves the batch norms to Keras: batch statistics in `fit`, moving statistics in `predict`.
            False freezes them: moving statistics in `fit` too, and gamma and beta do not learn, unless you set
            `trainable` later. True: batch statistics in every call except `predict` and `evaluate`.
        global_pool: whether the last feature map is averaged over height and width to 1x1.
        output_stride: the ratio of the size of `inputs` to that of the last feature map; None: as the blocks have it.
            Once it is reached, units are dilated instead of strided, and every k-th pixel of the denser map equals the
            map of the network without it.
        include_root_block: whether a 7x7 convolution of stride 2 to 64 channels and a max pool of stride 2 come first.
        spatial_squeeze: whether logits (N, 1, 1, num_classes) become (N, num_classes).
        store_non_strided_activations: whether a block strides after its last unit instead of in it, so that the end
            points hold the denser map. The result is the same, but the unit costs stride**2 times as much, and in
            training its batch statistics come from more positions.
        reuse: None or False. To use a network again, call its Keras model.
        scope: the beginning of the names of end points and, if it is not the function's own name, of layers, such as
            `<scope>__conv1_conv`. Two networks in one model need two scopes.
        weight_decay: the weight of an L2 loss, half the sum of squares of each kernel, as in Slim.
        batch_norm_decay: the momentum of the moving statistics.
        batch_norm_epsilon: the number that batch norms add to the variance.

    Returns:
        `(net, end_points)`: the logits, or features if there are no classes, and an ordered dict with the output of
        each convolution, unit and block, `global_pool`, `<scope>/logits`, `<scope>/spatial_squeeze` and `predictions`.

    Raises:
        ValueError: if an argument is not one of these; if the output stride is not a multiple of 4 (with a root block)
            or cannot be reached; if `spatial_squeeze` is True for a map larger than 1x1.
    """
    settings = Settings(
        num_classes=num_classes,
        is_training=is_training,
        global_pool=global_pool,
        output_stride=output_stride,
        include_root_block=include_root_block,
        spatial_squeeze=spatial_squeeze,
        store_non_strided_activations=store_non_strided_activations,
        reuse=reuse,
        scope=scope,
        weight_decay=weight_decay,
        batch_norm_decay=batch_norm_decay,
        batch_norm_epsilon=batch_norm_epsilon,
    )
    return resnet(1, "resnet_v1", inputs, blocks, settings)


def resnet_v2(
    inputs: Tensor,
    blocks: Sequence[Block],
    num_classes: int | None = None,
    is_training: bool | None = None,
    global_pool: bool = True,
    output_stride: int | None = None,
    include_root_block: bool = True,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    scope: str | None = None,
    *,
    store_non_strided_activations: bool = False,
    weight_decay: float = 0.0,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
) -> tuple[Tensor, Ends]:
    """Builds a v2 (pre-activation) ResNet from a list of `Block`s, with TF-Slim's arguments.

    Example:

        blocks = [keras_resnet.slim.resnet_v2_block("block1", base_depth=64, num_units=3, stride=2)]
        images = keras.Input((224, 224, 3))
        net, end_points = keras_resnet.slim.resnet_v2(images, blocks, num_classes=10)
        model = keras.Model(images, net)  # logits (N, 10); end_points["predictions"] are probabilities

    Arguments, results and errors are those of `resnet_v1`.
    """
    settings = Settings(
        num_classes=num_classes,
        is_training=is_training,
        global_pool=global_pool,
        output_stride=output_stride,
        include_root_block=include_root_block,
        spatial_squeeze=spatial_squeeze,
        store_non_strided_activations=store_non_strided_activations,
        reuse=reuse,
        scope=scope,
        weight_decay=weight_decay,
        batch_norm_decay=batch_norm_decay,
        batch_norm_epsilon=batch_norm_epsilon,
    )
    return resnet(2, "resnet_v2", inputs, blocks, settings)


def _v1(
    name: str,
    inputs: Tensor,
    num_classes: int | None = None,
    is_training: bool | None = None,
    global_pool: bool = True,
    output_stride: int | None = None,
    spatial_squeeze: bool = True,
    store_non_strided_activations: bool = False,
    min_base_depth: int = 8,
    depth_multiplier: float = 1,
    reuse: bool | None = None,
    scope: str | None = None,
    *,
    weight_decay: float = 0.0,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
) -> tuple[Tensor, Ends]:
    """Builds a v1 network of so many layers; its parameters come in the order of TF-Slim's 50 and 101."""
    blocks = _blocks(name, min_base_depth, depth_multiplier)
    settings = Settings(
        num_classes=num_classes,
        is_training=is_training,
        global_pool=global_pool,
        output_stride=output_stride,
        include_root_block=True,
        spatial_squeeze=spatial_squeeze,
        store_non_strided_activations=store_non_strided_activations,
        reuse=reuse,
        scope=scope,
        weight_decay=weight_decay,
        batch_norm_decay=batch_norm_decay,
        batch_norm_epsilon=batch_norm_epsilon,
    )
    return resnet(1, name, inputs, blocks, settings)


def _v1_deep(
    name: str,
    inputs: Tensor,
    num_classes: int | None = None,
    is_training: bool | None = None,
    global_pool: bool = True,
    output_stride: int | None = None,
    store_non_strided_activations: bool = False,
    spatial_squeeze: bool = True,
    min_base_depth: int = 8,
    depth_multiplier: float = 1,
    reuse: bool | None = None,
    scope: str | None = None,
    *,
    weight_decay: float = 0.0,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
) -> tuple[Tensor, Ends]:
    """Builds a v1 network of so many layers; its parameters come in the order of TF-Slim's 152 and 200."""
    blocks = _blocks(name, min_base_depth, depth_multiplier)
    settings = Settings(
        num_classes=num_classes,
        is_training=is_training,
        global_pool=global_pool,
        output_stride=output_stride,
        include_root_block=True,
        spatial_squeeze=spatial_squeeze,
        store_non_strided_activations=store_non_strided_activations,
        reuse=reuse,
        scope=scope,
        weight_decay=weight_decay,
        batch_norm_decay=batch_norm_decay,
        batch_norm_epsilon=batch_norm_epsilon,
    )
    return resnet(1, name, inputs, blocks, settings)


def _v2(
    name: str,
    inputs: Tensor,
    num_classes: int | None = None,
    is_training: bool | None = None,
    global_pool: bool = True,
    output_stride: int | None = None,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    scope: str | None = None,
    *,
    store_non_strided_activations: bool = False,
    min_base_depth: int = 8,
    depth_multiplier: float = 1,
    weight_decay: float = 0.0,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
) -> tuple[Tensor, Ends]:
    """Builds a v2 network of so many layers."""
    blocks = _blocks(name, min_base_depth, depth_multiplier)
    settings = Settings(
        num_classes=num_classes,
        is_training=is_training,
        global_pool=global_pool,
        output_stride=output_stride,
        include_root_block=True,
        spatial_squeeze=spatial_squeeze,
        store_non_strided_activations=store_non_strided_activations,
        reuse=reuse,
        scope=scope,
        weight_decay=weight_decay,
        batch_norm_decay=batch_norm_decay,
        batch_norm_epsilon=batch_norm_epsilon,
    )
    return resnet(2, name, inputs, blocks, settings)


def _bind(build: Callable[Concatenate[str, P], T], name: str) -> Callable[P, T]:
    """Fixes the name: a function with signature, defaults, docstring and pickle of its own."""
    row, generic = SLIM_NETWORKS[name], inspect.signature(build)
    parameters = list(generic.parameters.values())[1:]
    signature = generic.replace(
        parameters=[each.replace(default=name) if each.name == "scope" else each for each in parameters]
    )

    def network(*args: P.args, **kwargs: P.kwargs) -> T:
        return build(name, *args, **kwargs)

    units = ", ".join(map(str, row.units))
    network.__name__ = network.__qualname__ = name
    network.__annotations__ = {key: type_ for key, type_ in build.__annotations__.items() if key != "name"}
    network.__signature__ = signature  # type: ignore[attr-defined]
    network.__doc__ = f"""Builds TF-Slim's {name}, with blocks of {units} bottleneck units.

    Example:

        images = keras.Input((224, 224, 3))
        net, end_points = keras_resnet.slim.{name}(images, num_classes=1000)
        model = keras.Model(images, net)  # logits (N, 1000); end_points["predictions"] are probabilities

    Arguments, results and errors are those of `resnet_v{row.version}`, with a root block, and

    Args:
        min_base_depth: the smallest number of channels of a block's inner convolutions.
        depth_multiplier: a factor for the 64, 128, 256 and 512 channels of the blocks' inner convolutions. The outputs
            have four times as many. The root convolution keeps its 64.
    """
    return network


def _blocks(name: str, min_base_depth: int, depth_multiplier: float) -> list[Block]:
    """The four blocks of a network of TF-Slim's, as its plan has them."""
    check_positive("min_base_depth", min_base_depth)
    if type(depth_multiplier) not in (int, float) or not 0 <= depth_multiplier < inf:
        raise ValueError(f"`depth_multiplier` must be a number of at least 0; received {depth_multiplier!r}.")
    row, blocks = SLIM_NETWORKS[name], []
    block = resnet_v1_block if row.version == 1 else resnet_v2_block
    for stage in plan(row).stages:
        width = max(int(stage[0].convs[0].filters * depth_multiplier), min_base_depth)
        blocks.append(block(slim_block(stage[0].stage), width, len(stage), stage[-1].stride))
    return blocks


resnet_v1_50, resnet_v1_101 = _bind(_v1, "resnet_v1_50"), _bind(_v1, "resnet_v1_101")
resnet_v1_152, resnet_v1_200 = _bind(_v1_deep, "resnet_v1_152"), _bind(_v1_deep, "resnet_v1_200")
resnet_v2_50, resnet_v2_101 = _bind(_v2, "resnet_v2_50"), _bind(_v2, "resnet_v2_101")
resnet_v2_152, resnet_v2_200 = _bind(_v2, "resnet_v2_152"), _bind(_v2, "resnet_v2_200")

_V1 = (resnet_v1, resnet_v1_50, resnet_v1_101, resnet_v1_152, resnet_v1_200)
_V2 = (resnet_v2, resnet_v2_50, resnet_v2_101, resnet_v2_152, resnet_v2_200)

# In TF-Slim `resnet_v1` is also the module that holds the others.
for _function, _name, _value in (
    *((each, "default_image_size", 224) for each in (*_V1, *_V2)),
    *((resnet_v1, each.__name__, each) for each in (*_V1, resnet_v1_block)),
    *((resnet_v2, each.__name__, each) for each in (*_V2, resnet_v2_block)),
    (resnet_v1, "bottleneck", bottleneck_v1),
    (resnet_v2, "bottleneck", bottleneck_v2),
):
    setattr(_function, _name, _value)
