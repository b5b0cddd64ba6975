"""Styles of networks: how the same ResNet differs between the libraries that published weights for it."""

from dataclasses import dataclass, replace
from typing import Literal

from keras_resnet.utils.errors import check_bool, check_choices

__all__ = ["KERAS_V1", "KERAS_V2", "LINEAGES", "SLIM_V1", "SLIM_V2", "TORCH_V1", "TORCH_V2", "Lineage"]


@dataclass(frozen=True)
class Lineage:
    """The layout that one library's networks of a version share, such as where strides and biases are.

    Example:

        >>> keras_resnet.SLIM_V1.stride_at, keras_resnet.SLIM_V1.epsilon
        ('last_3x3', 1e-05)
        >>> import dataclasses
        >>> lineage = dataclasses.replace(keras_resnet.TORCH_V1, epsilon=1e-3)
        >>> network = dataclasses.replace(keras_resnet.RESNET18, lineage=lineage)

    Attributes:
        style: what the builders' `style` calls it, such as "torch".
        version: 1 or 2, as `Variant.version`.
        stride_at: which convolution of a stage strides: "first_conv" or "first_3x3" of its first block, so that the
            stage begins smaller, or "last_3x3" of its last block, so that it ends smaller.
        project: which blocks have a projection under shortcut "B": all whose number of channels changes, and,
            "channels": no other; "first_unit": of bottlenecks also the first of each stage, of basic blocks also the
            first that strides; "strided": also those that stride; "every_first": also those and the first of each
            stage, of either kind (KerasHub's vd-18 and vd-34, image-classifiers).
        bias: which convolutions have a bias: "all", "none", or "no_norm": those that no norm follows.
        pad_always: whether zeros come from a layer of their own also before a 3x3 convolution that does not stride.
        stem_pool: what the stem's max pool sees beyond the border: "zeros" or "-inf", a row and a column on each side
            (after a ReLU, in v1, the same function); "same": -inf where the windows need it, on even sizes only after
            the last pixel; "ceil": zeros after the last pixel only (timm's `legacy_` networks); "valid": nothing, so
            that of even sizes the last row and column are in no window.
        initializer: (scale, mode, distribution) of `keras.initializers.VarianceScaling` for the convolutions' kernels;
            None: Keras' own default.
        epsilon: of the norms, in [0, 1).
        momentum: of the batch norms' moving statistics, in [0, 1).
        preprocessing: how the published weights want RGB in [0, 255] to be scaled, as `Checkpoint.preprocessing`.
        pad_channels: where shortcut "A" puts its zero channels: "after" the input's, or "both": half of them in front.
        data_norm: whether a norm without gamma takes the image and, in v2, norm and ReLU follow the stem's convolution,
            as in MXNet's networks (image-classifiers).

    Raises:
        ValueError: if a field is not one of these.
    """

    style: str
    version: Literal[1, 2]
    stride_at: Literal["first_conv", "first_3x3", "last_3x3"]
    project: Literal["channels", "first_unit", "strided", "every_first"]
    bias: Literal["all", "no_norm", "none"]
    pad_always: bool
    stem_pool: Literal["zeros", "-inf", "same", "ceil", "valid"]
    initializer: tuple[float, str, str] | None
    epsilon: float
    momentum: float
    preprocessing: Literal["caffe", "tf", "torch", "rgb_means", "swav", "none"]
    pad_channels: Literal["after", "both"] = "after"
    data_norm: bool = False

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.style, str):
            raise ValueError(f"`Lineage.style` must be a string; received {self.style!r}.")
        for field in ("pad_always", "data_norm"):
            check_bool(f"Lineage.{field}", getattr(self, field))
        for field in ("epsilon", "momentum"):
            value = getattr(self, field)
            if not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise ValueError(f"`Lineage.{field}` must lie in [0, 1); received {value!r}.")
        modes, kinds = ("fan_in", "fan_out", "fan_avg"), ("truncated_normal", "untruncated_normal", "uniform")
        match self.initializer:
            case None:
                pass
            case (float(scale), mode, kind) if scale > 0 and mode in modes and kind in kinds:
                pass
            case _:
                raise ValueError(
                    f"`Lineage.initializer` must be None or (a float above 0, one of {modes}, one of {kinds}); "
                    f"received {self.initializer!r}."
                )


_HE_FAN_OUT = (2.0, "fan_out", "untruncated_normal")
_HE_FAN_IN = (2.0, "fan_in", "truncated_normal")
_HE_UNIFORM = (2.0, "fan_in", "uniform")
KERAS_V1 = Lineage(
    style="keras",
    version=1,
    stride_at="first_conv",
    project="first_unit",
    bias="all",
    pad_always=False,
    stem_pool="zeros",
    initializer=None,
    epsilon=1.001e-5,
    momentum=0.99,
    preprocessing="caffe",
)
"""The v1 networks of keras.applications."""
# The v1 networks until 2019, with names such as `res2a_branch2a`: ResNet50 as it came from Caffe, and with the zeros
# around the stem's pool that keras-applications 1.0.6 brought in 2018.
KERAS_2016 = replace(KERAS_V1, style="keras_2016", epsilon=1e-3, stem_pool="valid")
KERAS_2018 = replace(KERAS_2016, style="keras_2018", stem_pool="zeros")
KERAS_V2 = Lineage(
    style="keras",
    version=2,
    stride_at="last_3x3",
    project="first_unit",
    bias="no_norm",
    pad_always=True,
    stem_pool="zeros",
    initializer=None,
    epsilon=1.001e-5,
    momentum=0.99,
    preprocessing="tf",
)
"""The v2 networks of keras.applications."""
TORCH_V1 = Lineage(
    style="torch",
    version=1,
    stride_at="first_3x3",
    project="strided",
    bias="none",
    pad_always=False,
    stem_pool="zeros",
    initializer=_HE_FAN_OUT,
    epsilon=1e-5,
    momentum=0.9,
    preprocessing="torch",
)
"""The networks of torchvision and timm, whose stride makes them v1.5."""
TORCH_V2 = Lineage(
    style="torch",
    version=2,
    stride_at="first_3x3",
    project="strided",
    bias="none",
    pad_always=False,
    stem_pool="-inf",
    initializer=_HE_FAN_OUT,
    epsilon=1e-5,
    momentum=0.9,
    preprocessing="torch",
)
"""The pre-activation networks of timm."""
# transformers' `downsample_in_bottleneck`: the stride of the paper's v1
TORCH_1X1 = replace(TORCH_V1, style="torch_1x1", stride_at="first_conv")
# The published CIFAR nets of PyTorch, with the names of torchvision's modules but for the classifier, `linear`
TORCH_CIFAR = replace(TORCH_V1, style="torch_cifar", pad_channels="both")
SLIM_V1 = Lineage(
    style="slim",
    version=1,
    stride_at="last_3x3",
    project="channels",
    bias="none",
    pad_always=False,
    stem_pool="same",
    initializer=_HE_FAN_IN,
    epsilon=1e-5,
    momentum=0.997,
    preprocessing="rgb_means",
)
"""The v1 networks of TF-Slim, as published on 2016_08_28."""
SLIM_V2 = Lineage(
    style="slim",
    version=2,
    stride_at="last_3x3",
    project="channels",
    bias="no_norm",
    pad_always=False,
    stem_pool="same",
    initializer=_HE_FAN_IN,
    epsilon=1e-5,
    momentum=0.997,
    preprocessing="tf",
)
"""The v2 networks of TF-Slim, as published on 2017_04_14."""
# keras-applications' ResNeXt: strides and biases as in PyTorch
RESNEXT = replace(KERAS_V1, stride_at="first_3x3", bias="none", pad_always=True, preprocessing="torch")
# tf.keras.applications.resnet_rs, which had a momentum of 0: one step of training would replace the statistics
RESNET_RS = replace(TORCH_V1, style="keras", initializer=(2.0, "fan_out", "truncated_normal"), momentum=0.99)
# timm's `senet.py`, for the files of SENet's authors and Cadene's: SENet, SE-ResNeXt; SE-ResNet has Caffe's stride
SENET = replace(TORCH_V1, style="senet", stem_pool="ceil")
SENET_1X1 = replace(SENET, style="senet_1x1", stride_at="first_conv")
# image-classifiers (`classification_models`), whose names are those of the libraries that the weights are from: MXNet's
# pre-activation networks and its ResNeXt, and SENet's networks, with a stem's pool of their own
MXNET_V2 = Lineage(
    style="classification_models",
    version=2,
    stride_at="first_3x3",
    project="every_first",
    bias="none",
    pad_always=True,
    stem_pool="zeros",
    initializer=_HE_UNIFORM,
    epsilon=2e-5,
    momentum=0.99,
    preprocessing="none",
    data_norm=True,
)
MXNET_V1 = replace(MXNET_V2, version=1, initializer=None)
KERAS_SENET = replace(MXNET_V2, version=1, epsilon=1e-5, preprocessing="torch", data_norm=False)
KERAS_SENET_1X1 = replace(KERAS_SENET, style="classification_models_1x1", stride_at="first_conv")
# KerasHub's vd networks, from PaddleClas
VD = replace(TORCH_V1, project="every_first")
# BiT (arXiv:1912.11370)
BIT = replace(TORCH_V2, style="bit", stem_pool="zeros", preprocessing="tf")

LINEAGES = {
    (row.style, row.version): row
    for row in (
        KERAS_V1,
        KERAS_V2,
        TORCH_V1,
        TORCH_V2,
        TORCH_1X1,
        TORCH_CIFAR,
        SLIM_V1,
        SLIM_V2,
        KERAS_2016,
        KERAS_2018,
    )
}
"""The lineages in which a plain network can be built, by style and version, such as `LINEAGES["torch", 1]`."""

# Those of all networks.
PUBLISHED = (
    RESNET_RS,  # in front of TORCH_V1, which has the same graph
    *LINEAGES.values(),
    RESNEXT,
    BIT,
    SENET,
    SENET_1X1,
    MXNET_V2,
    MXNET_V1,
    KERAS_SENET,
    KERAS_SENET_1X1,
    VD,
)
