"""Builds a network of TF-Slim's blocks on the plan's units: root, blocks, end and logits, with end points."""

from collections.abc import Sequence
from math import inf

import keras
from keras import layers

from keras_resnet.architecture.planner import stem_convs
from keras_resnet.architecture.plans import dilations
from keras_resnet.architecture.variant import Stem
from keras_resnet.models.arguments import Tensor, check_tensor
from keras_resnet.models.blocks import final_norm, stem
from keras_resnet.models.layers import Kit
from keras_resnet.models.slim.blocks import Block, Ends, Version, slim_kit, stack, strides
from keras_resnet.utils.errors import check_bool, check_choice, check_name, check_positive, check_rate


def resnet(
    version: Version,
    default: str,
    inputs: Tensor,
    blocks: Sequence[Block],
    num_classes: int | None,
    is_training: bool | None,
    global_pool: bool,
    output_stride: int | None,
    include_root_block: bool,
    spatial_squeeze: bool,
    store_non_strided_activations: bool,
    reuse: bool | None,
    scope: str | None,
    weight_decay: float,
    batch_norm_decay: float,
    batch_norm_epsilon: float,
) -> tuple[Tensor, Ends]:
    """Checks the arguments, then builds root, blocks, end and logits."""
    check_tensor("inputs", inputs)
    if num_classes is not None and (type(num_classes) is not int or num_classes < 0):
        raise ValueError(f"`num_classes` must be None, 0 or a positive int; received {num_classes!r}.")
    check_choice("is_training", is_training, (None, True, False))
    flags = {
        "global_pool": global_pool,
        "include_root_block": include_root_block,
        "spatial_squeeze": spatial_squeeze,
        "store_non_strided_activations": store_non_strided_activations,
    }
    for argument, flag in flags.items():
        check_bool(argument, flag)
    if reuse is not None and reuse is not False:
        raise ValueError(
            f"`reuse` must be None or False; received {reuse!r}. To use a network again, call the Keras model that it "
            "is part of: `model(x2)` shares every weight."
        )
    scope = default if scope is None else scope
    for part in scope.split("/") if isinstance(scope, str) else [scope]:
        check_name("scope", part)
    for argument, number in {"batch_norm_decay": batch_norm_decay, "batch_norm_epsilon": batch_norm_epsilon}.items():
        check_rate(argument, number)
    if type(weight_decay) not in (int, float) or not 0 <= weight_decay < inf:
        raise ValueError(f"`weight_decay` must be a number from 0 up; received {weight_decay!r}.")
    if output_stride is not None:
        check_positive("output_stride", output_stride)
        if include_root_block and output_stride % 4:
            raise ValueError(
                f"`output_stride` needs to be a multiple of 4 with a root block; received {output_stride}."
            )
    rates = dilations(strides(blocks), 4 if include_root_block else 1, output_stride)

    kit = slim_kit(
        version,
        momentum=batch_norm_decay,
        epsilon=batch_norm_epsilon,
        kernel_regularizer=keras.regularizers.L2(weight_decay / 2) if weight_decay else None,
        training=is_training,
        prefix="" if scope == default else f"{scope.replace('/', '__')}__",
    )
    x, ends = inputs, Ends()
    if include_root_block:
        channels = x.shape[kit.channel_axis]
        check_positive("inputs: channels", channels)
        x = ends[f"{scope}/conv1"] = stem(x, stem_convs(kit.lineage, Stem(), channels), kit)
        x = kit.stem_pool(x)
    x = final_norm(stack(x, blocks, kit, ends, scope, rates, store_non_strided_activations), kit)
    if global_pool:
        x = ends["global_pool"] = kit.global_pool(x, "avg", keepdims=True)
    if num_classes:
        x = ends[f"{scope}/logits"] = kit.classifier(x, num_classes)
        if spatial_squeeze:
            x = ends[f"{scope}/spatial_squeeze"] = _squeeze(x, kit)
        axis = -1 if spatial_squeeze else kit.channel_axis
        ends["predictions"] = kit.put(layers.Softmax, x, "predictions_softmax", axis, dtype=kit.top_dtype)
    return x, ends


def _squeeze(x: Tensor, kit: Kit) -> Tensor:
    """The vector in a 1x1 map."""
    channels = x.shape[kit.channel_axis]
    sides = tuple(side for axis, side in enumerate(x.shape) if axis not in (0, kit.channel_axis))
    if sides != (1, 1):
        raise ValueError(
            f"`spatial_squeeze=True` makes a vector of a 1x1 map of logits; this one is {sides[0]}x{sides[1]}. Pass "
            "spatial_squeeze=False for logits at each position, or global_pool=True for one vector per image."
        )
    return kit.put(layers.Reshape, x, "spatial_squeeze", (channels,), dtype=kit.top_dtype)
