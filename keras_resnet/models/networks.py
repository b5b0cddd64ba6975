"""The builders of the published networks, one line each, with signature, defaults, docstring and pickle of its own."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import keras

from keras_resnet.architecture import rows
from keras_resnet.architecture.lineages import RESNET_RS
from keras_resnet.architecture.rows import BUILDERS, NETWORKS, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.models.arguments import (
    Tensor,
    standardize_data_format,
    standardize_include_top,
    standardize_shape,
)
from keras_resnet.models.builder import ResNet
from keras_resnet.models.weights.find import Weights
from keras_resnet.utils.errors import check_keywords

__all__ = [
    "ResNeXt50",
    "ResNeXt101",
    "ResNet",
    "ResNet18",
    "ResNet18V2",
    "ResNet20",
    "ResNet20V2",
    "ResNet26",
    "ResNet32",
    "ResNet32V2",
    "ResNet34",
    "ResNet34V2",
    "ResNet44",
    "ResNet44V2",
    "ResNet50",
    "ResNet50V2",
    "ResNet56",
    "ResNet56V2",
    "ResNet101",
    "ResNet101V2",
    "ResNet110",
    "ResNet110V2",
    "ResNet152",
    "ResNet152V2",
    "ResNet164",
    "ResNet164V2",
    "ResNet200",
    "ResNet200V2",
    "ResNet1001V2",
    "ResNet1202",
    "ResNetRS50",
    "ResNetRS101",
    "ResNetRS152",
    "ResNetRS200",
    "ResNetRS270",
    "ResNetRS350",
    "ResNetRS420",
    "WideResNet50",
    "WideResNet101",
]

_SHALLOW_RS, _DEEP_RS = 50, 90  # units of ResNetRS152, behind which there is drop path, and 270, with more dropout
_OF_RS = """The arguments are those of tf.keras.applications.resnet_rs, in its order, and so are the defaults: the model
    scales raw RGB in [0, 255] itself (`include_preprocessing`), `weights` may name the image size of a published file,
    as "imagenet-i160" ("imagenet" is the largest), and unless these are given, training has a `dropout` of 0.25 (0.4 in
    ResNetRS350 and 420) and, from ResNetRS200 on, a `drop_path` of 0.04 to 0.1 by stage. But batch norms have a
    momentum of 0.99, where they had 0. """
P = ParamSpec("P")
T = TypeVar("T")


def _bind(
    build: Callable[Concatenate[Variant, P], T],
    variant: Variant,
    *,
    minimum: int = 1,
    source: str | None = None,
    **defaults: Any,
) -> Callable[P, T]:
    """Fixes the variant: a function with signature, defaults, docstring and pickle of its own.

    `source`: the paper, where it is not that of the version.
    """
    defaults = {"name": variant.name} | defaults
    generic = inspect.signature(build)
    signature = generic.replace(
        parameters=[
            parameter.replace(default=defaults.get(name, parameter.default))
            for name, parameter in generic.parameters.items()
            if name != "variant"
        ]
    )

    def builder(*args: P.args, **kwargs: P.kwargs) -> T:
        if args:
            standardize_include_top(args[0])  # before `bind` refuses what else the older package took
        check_keywords(builder.__name__, kwargs, signature.parameters)
        bound = signature.bind(*args, **kwargs)
        data_format = standardize_data_format(bound.arguments.get("data_format"))
        shape = defaults.get("input_shape")
        if shape and "input_shape" not in bound.arguments and data_format == "channels_first":
            bound.arguments["input_shape"] = (shape[2], *shape[:2])
        bound.apply_defaults()
        bound.arguments["input_shape"] = standardize_shape(bound.arguments["input_shape"], data_format, minimum)
        return build(variant, *bound.args, **bound.kwargs)

    builder.__name__ = builder.__qualname__ = BUILDERS[variant.name]
    builder.__annotations__ = {name: type_ for name, type_ in build.__annotations__.items() if name != "variant"}
    builder.__doc__ = _document(variant, builder.__name__, source)
    builder.__signature__ = signature  # type: ignore[attr-defined]
    return builder


def _document(variant: Variant, name: str, source: str | None) -> str:
    """The docstring of `ResNet` from its second argument on, under a headline and an example of the network's own."""
    generic = ResNet.__doc__ or ""
    source = source or ("arXiv:1512.03385" if variant.version == 1 else "arXiv:1603.05027")
    kind = "" if variant.version == 1 else "pre-activation "
    units = ", ".join(map(str, variant.units))
    inner = ""
    if variant.groups > 1:
        inner = (
            f"The 3x3 convolutions have {variant.groups} groups, in the first stage of {variant.base_width} channels. "
        )
    elif variant.base_width > 64:
        inner = f"The 3x3 convolutions have {variant.base_width / 64:g} times the channels of a plain network's. "
    if variant.lineage is RESNET_RS:
        inner = _OF_RS
    call = "" if variant.stem and variant.stem.stride == 1 else "weights=None, classes=10"
    return f"""Builds {name}: stages of {units} {kind}{variant.block} blocks, a functional model of stock Keras layers.

    Example:

        model = keras_resnet.{name}({call})
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(images, labels)  # images (N, height, width, 3), labels (N,)

    {inner}Source: {source}.
    Layer names, the order of weights and defaults are those of `keras.applications`.

    Args:
        include_top:{generic.partition("        include_top:")[2]}"""


def _resnet_rs(
    variant: Variant,
    include_top: bool = True,
    weights: Weights = "imagenet",
    classes: int = 1000,
    input_shape: Sequence[int | None] | None = None,
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    include_preprocessing: bool = True,
    *,
    name: str | None = None,
    output_stride: int | None = None,
    global_pool: bool = True,
    style: str | None = None,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    dropout: float | None = None,
    drop_path: float | Sequence[float] | None = None,
    zero_init_residual: bool = False,
    kernel_regularizer: str | keras.Regularizer | None = None,
    scope: str | None = None,
    head: str | None = None,
) -> keras.Model:
    """`ResNet` with the arguments of tf.keras.applications.resnet_rs, in its order, and with its rates."""
    depth = sum(variant.units)
    if dropout is None:
        dropout = (0.4 if depth > _DEEP_RS else 0.25) if include_top else 0.0
    if drop_path is None:
        drop_path = (0.04, 0.06, 0.08, 0.1) if depth > _SHALLOW_RS else 0.0
    return ResNet(
        variant,
        include_top,
        weights,
        input_tensor,
        input_shape,
        pooling,
        classes,
        classifier_activation,
        name,
        output_stride=output_stride,
        global_pool=global_pool,
        style=style,
        include_preprocessing=include_preprocessing,
        data_format=data_format,
        dtype=dtype,
        dropout=dropout,
        drop_path=drop_path,
        zero_init_residual=zero_init_residual,
        kernel_regularizer=kernel_regularizer,
        scope=scope,
        head=head,
    )


def _imagenet(build: Callable[Concatenate[Variant, P], T], variant: Variant, **own: Any) -> Callable[P, T]:
    return _bind(build, variant, minimum=32, weights="imagenet", **own)


def _cifar(build: Callable[Concatenate[Variant, P], T], variant: Variant) -> Callable[P, T]:
    return _bind(build, variant, input_shape=(32, 32, 3), classes=10)


ResNet18 = _imagenet(ResNet, rows.RESNET18)
ResNet26 = _imagenet(ResNet, rows.RESNET26)
ResNet34 = _imagenet(ResNet, rows.RESNET34)
ResNet50 = _imagenet(ResNet, rows.RESNET50)
ResNet101 = _imagenet(ResNet, rows.RESNET101)
ResNet152 = _imagenet(ResNet, rows.RESNET152)
ResNet200 = _imagenet(ResNet, rows.RESNET200)
ResNet18V2 = _imagenet(ResNet, rows.RESNET18V2)
ResNet34V2 = _imagenet(ResNet, rows.RESNET34V2)
ResNet50V2 = _imagenet(ResNet, rows.RESNET50V2)
ResNet101V2 = _imagenet(ResNet, rows.RESNET101V2)
ResNet152V2 = _imagenet(ResNet, rows.RESNET152V2)
ResNet200V2 = _imagenet(ResNet, rows.RESNET200V2)

# The models' names are those of keras-applications, and of torchvision
ResNeXt50 = _imagenet(ResNet, NETWORKS["resnext50_32x4d"], name="resnext50", source="arXiv:1611.05431")
ResNeXt101 = _imagenet(ResNet, NETWORKS["resnext101_32x4d"], name="resnext101", source="arXiv:1611.05431")
WideResNet50 = _imagenet(ResNet, NETWORKS["wide_resnet50_2"], source="arXiv:1605.07146")
WideResNet101 = _imagenet(ResNet, NETWORKS["wide_resnet101_2"], source="arXiv:1605.07146")

# The models' names are those of tf.keras.applications.resnet_rs
ResNetRS50 = _imagenet(_resnet_rs, NETWORKS["resnetrs50"], name="resnet-rs-50", source="arXiv:2103.07579")
ResNetRS101 = _imagenet(_resnet_rs, NETWORKS["resnetrs101"], name="resnet-rs-101", source="arXiv:2103.07579")
ResNetRS152 = _imagenet(_resnet_rs, NETWORKS["resnetrs152"], name="resnet-rs-152", source="arXiv:2103.07579")
ResNetRS200 = _imagenet(_resnet_rs, NETWORKS["resnetrs200"], name="resnet-rs-200", source="arXiv:2103.07579")
ResNetRS270 = _imagenet(_resnet_rs, NETWORKS["resnetrs270"], name="resnet-rs-270", source="arXiv:2103.07579")
ResNetRS350 = _imagenet(_resnet_rs, NETWORKS["resnetrs350"], name="resnet-rs-350", source="arXiv:2103.07579")
ResNetRS420 = _imagenet(_resnet_rs, NETWORKS["resnetrs420"], name="resnet-rs-420", source="arXiv:2103.07579")

ResNet20 = _cifar(ResNet, rows.RESNET20)
ResNet32 = _cifar(ResNet, rows.RESNET32)
ResNet44 = _cifar(ResNet, rows.RESNET44)
ResNet56 = _cifar(ResNet, rows.RESNET56)
ResNet110 = _cifar(ResNet, rows.RESNET110)
ResNet164 = _cifar(ResNet, rows.RESNET164)
ResNet1202 = _cifar(ResNet, rows.RESNET1202)
ResNet20V2 = _cifar(ResNet, rows.RESNET20V2)
ResNet32V2 = _cifar(ResNet, rows.RESNET32V2)
ResNet44V2 = _cifar(ResNet, rows.RESNET44V2)
ResNet56V2 = _cifar(ResNet, rows.RESNET56V2)
ResNet110V2 = _cifar(ResNet, rows.RESNET110V2)
ResNet164V2 = _cifar(ResNet, rows.RESNET164V2)
ResNet1001V2 = _cifar(ResNet, rows.RESNET1001V2)


def builder_of(network: str) -> Callable[..., keras.Model]:
    """Returns what builds a network of this name: its function, or `ResNet` with its row."""
    row = find_row(network)
    build: Callable[..., keras.Model] = globals()[BUILDERS[row.name]] if row.name in BUILDERS else partial(ResNet, row)
    return build
