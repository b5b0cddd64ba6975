"""Builds a network of TF-Slim's blocks on the plan's units: root, blocks, end and logits, with end points."""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Settings:
    """How a network is built: what TF-Slim's functions take beside inputs and blocks, checked.

    `resnet_v1` documents each. Of `scope`, None is the name of the function.

    Raises:
        ValueError: if one is not what it can be.
    """

    num_classes: int | None
    is_training: bool | None
    global_pool: bool
    output_stride: int | None
    include_root_block: bool
    spatial_squeeze: bool
    store_non_strided_activations: bool
    reuse: bool | None
    scope: str | None
    weight_decay: float
    batch_norm_decay: float
    batch_norm_epsilon: float

    def __post_init__(self) -> None:
        if self.num_classes is not None and (type(self.num_classes) is not int or self.num_classes < 0):
            raise ValueError(f"`num_classes` must be None, 0 or a positive int; received {self.num_classes!r}.")
        check_choice("is_training", self.is_training, (None, True, False))
        for flag in ("global_pool", "include_root_block", "spatial_squeeze", "store_non_strided_activations"):
            check_bool(flag, getattr(self, flag))
        if self.reuse is not None and self.reuse is not False:
            raise ValueError(
                f"`reuse` must be None or False; received {self.reuse!r}. To share the weights of a network, call its "
                "Keras model again, `model(x2)`."
            )
        if self.scope is not None:
            for part in self.scope.split("/") if isinstance(self.scope, str) else [self.scope]:
                check_name("scope", part)
        for rate in ("batch_norm_decay", "batch_norm_epsilon"):
            check_rate(rate, getattr(self, rate))
        if type(self.weight_decay) not in (int, float) or not 0 <= self.weight_decay < inf:
            raise ValueError(f"`weight_decay` must be a number of at least 0; received {self.weight_decay!r}.")
        if self.output_stride is not None:
            check_positive("output_stride", self.output_stride)
            if self.include_root_block and self.output_stride % 4:
                raise ValueError(
                    f"`output_stride` must be a multiple of 4 with include_root_block=True; received "
                    f"{self.output_stride}."
                )


def resnet(
    version: Version, name: str, inputs: Tensor, blocks: Sequence[Block], settings: Settings
) -> tuple[Tensor, Ends]:
    """Builds root, blocks, end and logits.

    Args:
        version: of the end: in v2 a norm and a ReLU come last.
        name: the function's, which is the scope unless the settings have another.
        inputs: a Keras tensor.
        blocks: the stages.
        settings: everything else.

    Returns:
        The logits or features, and the end points by name.

    Raises:
        ValueError: if inputs or blocks are not these, the output stride can't be reached, or `spatial_squeeze` would
            have to squeeze more than a 1x1 map.
    """
    check_tensor("inputs", inputs)
    scope = name if settings.scope is None else settings.scope
    rates = dilations(strides(blocks), 4 if settings.include_root_block else 1, settings.output_stride)

    kit = slim_kit(
        version,
        momentum=settings.batch_norm_decay,
        epsilon=settings.batch_norm_epsilon,
        kernel_regularizer=keras.regularizers.L2(settings.weight_decay / 2) if settings.weight_decay else None,
        training=settings.is_training,
        prefix="" if scope == name else f"{scope.replace('/', '__')}__",
    )
    x, ends = inputs, Ends()
    if settings.include_root_block:
        channels = x.shape[kit.channel_axis]
        check_positive("inputs: channels", channels)
        x = ends[f"{scope}/conv1"] = stem(x, stem_convs(kit.lineage, Stem(), channels), kit)
        x = kit.stem_pool(x, "max")
    x = final_norm(stack(x, blocks, kit, ends, scope, rates, settings.store_non_strided_activations), kit)
    if settings.global_pool:
        x = ends["global_pool"] = kit.global_pool(x, "avg", keepdims=True)
    if settings.num_classes:
        x = ends[f"{scope}/logits"] = kit.classifier(x, settings.num_classes)
        if settings.spatial_squeeze:
            x = ends[f"{scope}/spatial_squeeze"] = _squeeze(x, kit)
        axis = -1 if settings.spatial_squeeze else kit.channel_axis
        ends["predictions"] = kit.put(layers.Softmax, x, "predictions_softmax", axis, dtype=kit.top_dtype)
    return x, ends


def _squeeze(x: Tensor, kit: Kit) -> Tensor:
    """Makes a vector of a 1x1 map."""
    channels = x.shape[kit.channel_axis]
    sides = tuple(side for axis, side in enumerate(x.shape) if axis not in (0, kit.channel_axis))
    if sides != (1, 1):
        raise ValueError(
            f"`spatial_squeeze=True` needs logits of 1x1; received {sides[0]}x{sides[1]}. Pass spatial_squeeze=False "
            "for logits at each position, or global_pool=True for one vector per image."
        )
    return kit.put(layers.Reshape, x, "spatial_squeeze", (channels,), dtype=kit.top_dtype)
