"""Where the same network differs between the libraries that published weights for it. Imports no Keras."""

from dataclasses import dataclass, replace
from typing import Literal

from keras_resnet.utils.errors import check_choices

__all__ = ["KERAS_V1", "KERAS_V2", "LINEAGES", "SLIM_V1", "SLIM_V2", "TORCH_V1", "TORCH_V2", "Lineage"]


@dataclass(frozen=True)
class Lineage:
    """One library's habits: what its networks of this version share, whatever their depth."""

    style: str
    version: Literal[1, 2]
    # Which unit of a stage strides, and in which of its convolutions: the first unit (on entering the stage) or the
    # last one (on leaving it).
    stride_at: Literal["first_conv", "first_3x3", "last_3x3"]
    # Which units project under option B. All project where channels change; "channels": no other; "first_unit":
    # bottlenecks also in each stage's first unit, basic units also where that unit strides; "strided": also wherever a
    # unit strides.
    project: Literal["channels", "first_unit", "strided"]
    # Which convolutions have a bias; "no_norm": those that no norm follows.
    bias: Literal["all", "no_norm", "none"]
    # True: zeros come from a layer of their own also before a 3x3 that does not stride.
    pad_always: bool
    # What the stem's pool sees beyond the border: one row and column on each side of zeros or -inf (after a ReLU, in
    # v1, the same function), or, "same", -inf where the windows need it: on even sizes only after the last pixel.
    stem_pool: Literal["zeros", "-inf", "same"]
    # Arguments of `VarianceScaling` for the convolutions' kernels; None is Keras' own default.
    initializer: tuple[float, str, str] | None
    epsilon: float
    momentum: float
    # What the published weights expect of an image.
    preprocessing: Literal["caffe", "tf", "torch", "rgb_means", "swav"]

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.style, str) or type(self.pad_always) is not bool:
            raise ValueError(
                "`Lineage.style` must be a string and `Lineage.pad_always` True or False; "
                f"received {self.style!r} and {self.pad_always!r}."
            )
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
# keras.applications
KERAS_V1 = Lineage("keras", 1, "first_conv", "first_unit", "all", False, "zeros", None, 1.001e-5, 0.99, "caffe")
KERAS_V2 = Lineage("keras", 2, "last_3x3", "first_unit", "no_norm", True, "zeros", None, 1.001e-5, 0.99, "tf")
# torchvision (v1, also known as v1.5), timm (v1 and v2)
TORCH_V1 = Lineage("torch", 1, "first_3x3", "strided", "none", False, "zeros", _HE_FAN_OUT, 1e-5, 0.9, "torch")
TORCH_V2 = Lineage("torch", 2, "first_3x3", "strided", "none", False, "-inf", _HE_FAN_OUT, 1e-5, 0.9, "torch")
# transformers' `downsample_in_bottleneck`: the stride of the paper's v1
TORCH_1X1 = replace(TORCH_V1, style="torch_1x1", stride_at="first_conv")
# TF-Slim (v1 of 2016_08_28, v2 of 2017_04_14)
SLIM_V1 = Lineage("slim", 1, "last_3x3", "channels", "none", False, "same", _HE_FAN_IN, 1e-5, 0.997, "rgb_means")
SLIM_V2 = Lineage("slim", 2, "last_3x3", "channels", "no_norm", False, "same", _HE_FAN_IN, 1e-5, 0.997, "tf")

LINEAGES = {
    (row.style, row.version): row for row in (KERAS_V1, KERAS_V2, TORCH_V1, TORCH_V2, TORCH_1X1, SLIM_V1, SLIM_V2)
}
