"""Joins layers into one operation each, for inference on PyTorch on a CPU.

oneDNN adds the bias, another map and a ReLU to a convolution's result while it is still in the processor's registers.
PyTorch has these operations for its compiler, and they can be called without it. They know no gradient.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from keras_resnet.graph.kernels import is_pad_of, is_relu, is_symmetric, pool, zeros_around
from keras_resnet.models.functional import Call, Graph

_NORMS = (layers.BatchNormalization, layers.GroupNormalization)
_LAYOUTS = 2  # shapes for which a kernel is kept laid out: a batch's, and that of the last, smaller batch


@dataclass(eq=False)
class FusedConv:
    """A convolution with a pad before it, and a sum and a ReLU after it, as far as there are such layers.

    Attributes:
        conv: the convolution.
        pad: pads its map with zeros.
        add: adds another map.
        relu: is applied last.
        overwrites: whether the result may stand where the other map stood.
    """

    conv: layers.Conv2D
    pad: layers.ZeroPadding2D | None = None
    add: layers.Add | None = None
    relu: Any = None
    overwrites: bool = False
    _kernels: "_Kernels | None" = field(default=None, init=False)
    _known: "list[_Kernels]" = field(default_factory=list, init=False)
    _finite: bool = field(default=False, init=False)

    @property
    def members(self) -> list[Any]:
        """The layers, in the order of their calls."""
        return [layer for layer in (self.pad, self.conv, self.add, self.relu) if layer is not None]

    def __call__(self, x: Any, other: Any = None) -> Any:
        """Returns the ReLU of conv(x) + other, of NCHW maps."""
        try:
            y = self._fused(x, other)
        except Exception:  # an operation that this PyTorch lacks, or that refuses these maps
            y = None
        return self._by_layers(x, other) if y is None else y

    def forget_kernels(self) -> None:
        """Lets the next calls lay out the kernel anew."""
        self._kernels, self._known = None, []

    def _by_layers(self, x: Any, other: Any) -> Any:
        """Returns what the layers give one by one."""
        y = self.conv.call(x if self.pad is None else self.pad.call(x))
        y = y if self.add is None else self.add.call([y, other])
        return y if self.relu is None else self.relu.call(y)

    def _fused(self, x: Any, other: Any) -> Any:
        """Returns the result of one operation, or None where that is another function."""
        import torch

        conv = self.conv
        kernel, bias = conv.kernel, conv.bias if conv.use_bias else None
        if not isinstance(kernel, keras.Variable) or conv.quantization_mode is not None or not x.numel():
            return None  # what LoRA makes of a kernel is another tensor in each call
        weights = [x, kernel.value, *([bias.value] if bias is not None else [])]
        if any(each.dtype != x.dtype or each.device.type != "cpu" for each in weights):
            return None
        stride, dilation, padding = list(conv.strides), list(conv.dilation_rate), self._padding()
        if other is not None and (other.dtype != x.dtype or tuple(other.shape) != self._shape(x, padding)):
            return None
        if not self._are_finite(weights[1:]):
            return None  # whose NaN the operation's ReLU would make zero
        laid_out = self._laid_out(kernel.value, tuple(x.shape), stride, dilation, padding)
        rest = (weights[2] if bias is not None else None, padding, stride, dilation, conv.groups)
        relu = "relu" if self.relu is not None or conv.activation is keras.activations.relu else None
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(x, laid_out, *rest, relu or "none", [], "")
        if self.overwrites and other.is_contiguous(memory_format=torch.channels_last):
            fused = torch.ops.mkldnn._convolution_pointwise_.binary
            return fused(other, x, laid_out, *rest, "add", 1.0, relu, [], None)
        return torch.ops.mkldnn._convolution_pointwise.binary(x, other, laid_out, *rest, "add", 1.0, relu, [], None)

    def _are_finite(self, weights: list[Any]) -> bool:
        """Whether weights hold numbers alone, looked up again where somebody changed them."""
        if not self._known or not all(known.are_of(each) for known, each in zip(self._known, weights, strict=True)):
            self._known = [_Kernels(each) for each in weights]
            self._finite = all(bool(each.detach().sum().isfinite()) for each in weights)
        return self._finite

    def _padding(self) -> list[int]:
        """Returns the zeros on each side of each axis."""
        if self.pad is not None:
            return [before for before, _ in self.pad.padding]
        return list(zeros_around(self.conv.padding, self.conv.kernel_size, self.conv.dilation_rate))

    def _shape(self, x: Any, padding: list[int]) -> tuple[int, ...]:
        """Returns the shape of what the convolution puts out."""
        conv = self.conv
        axes = zip(x.shape[2:], conv.kernel_size, conv.strides, conv.dilation_rate, padding, strict=True)
        sides = [(side + 2 * pad - rate * (size - 1) - 1) // step + 1 for side, size, step, rate, pad in axes]
        return (x.shape[0], conv.filters, *sides)

    def _laid_out(self, value: Any, shape: tuple[int, ...], *arguments: list[int]) -> Any:
        """Returns the kernel's numbers as oneDNN wants them for maps of a shape, laid out once.

        The first map of a shape takes the numbers as they are, so that images of ever new sizes cost no more.
        """
        import torch

        kernels = self._kernels
        if kernels is None or not kernels.are_of(value):
            kernels = self._kernels = _Kernels(value)
        found = kernels.by_shape.get(shape)
        if found is None:
            found = value.permute(3, 2, 0, 1)
            if shape in kernels.by_shape:
                stride, dilation, padding = arguments
                reorder = torch.ops.mkldnn._reorder_convolution_weight
                found = reorder(found.detach(), padding, stride, dilation, self.conv.groups, list(shape))
                kernels.by_shape[shape] = found
            else:
                while len(kernels.by_shape) >= _LAYOUTS:
                    kernels.by_shape.pop(next(iter(kernels.by_shape)))
                kernels.by_shape[shape] = None
        return found


class _Kernels:
    """A kernel's numbers as they are laid out for maps of some shapes, as long as nobody changes the variable."""

    def __init__(self, value: Any) -> None:
        self.by_shape: dict[tuple[int, ...], Any] = {}
        self._value, self._state = value, self._read(value)

    def are_of(self, value: Any) -> bool:
        """Whether these are still the numbers of a variable's value."""
        return value is self._value and self._read(value) == self._state

    @staticmethod
    def _read(value: Any) -> tuple[int, int]:
        """Returns what changes when somebody writes to a tensor, or gives it other memory."""
        return value._version, value.data_ptr()


@dataclass(eq=False)
class FusedNorm:
    """A norm with a ReLU after it, which needs no map of its own.

    Attributes:
        norm: the norm.
        relu: is applied to what it puts out.
    """

    norm: layers.BatchNormalization | layers.GroupNormalization
    relu: Any

    @property
    def members(self) -> list[Any]:
        """The layers, in the order of their calls."""
        return [self.norm, self.relu]

    def __call__(self, x: Any) -> Any:
        """Returns the ReLU of the norm; a batch norm in inference is x * scale + shift."""
        import torch

        norm = self.norm
        if type(norm) is layers.GroupNormalization or x.dtype != torch.float32:  # halves would round the scale
            return norm.call(x).relu_()
        weights = norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance
        gamma, beta, mean, variance = (weight.value for weight in weights)
        scale = gamma * torch.rsqrt(variance + norm.epsilon)
        shape = [-1 if axis == norm.axis % 4 else 1 for axis in range(4)]
        return torch.addcmul((beta - mean * scale).view(shape), x, scale.view(shape)).relu_()


@dataclass(eq=False)
class FusedSum:
    """A sum of two maps with a ReLU after it, and a product before it if one map is gated.

    Attributes:
        multiply: multiplies a map with its gate.
        add: adds another map.
        relu: is applied last.
    """

    multiply: layers.Multiply | None
    add: layers.Add
    relu: Any

    @property
    def members(self) -> list[Any]:
        """The layers, in the order of their calls."""
        return [layer for layer in (self.multiply, self.add, self.relu) if layer is not None]

    def __call__(self, x: Any, *others: Any) -> Any:
        """Returns the ReLU of x + other, or of x * gate + other."""
        import torch

        return (torch.add(x, *others) if self.multiply is None else torch.addcmul(others[1], x, others[0])).relu_()


@dataclass(eq=False)
class FusedPool:
    """A max pool with the zeros before it, of a map without negative numbers: no zero is then more than the pool's own.

    Attributes:
        pad: pads its map with zeros.
        pool: the pool.
        source: puts out the map.
    """

    pad: layers.ZeroPadding2D
    pool: layers.MaxPooling2D
    source: Any

    @property
    def members(self) -> list[Any]:
        """The layers, in the order of their calls."""
        return [self.pad, self.pool]

    def __call__(self, x: Any) -> Any:
        """Returns the pool of the padded map."""
        return pool(self.pool, x, self.pad)


Fused = FusedConv | FusedNorm | FusedSum | FusedPool


def fuse(graph: Graph) -> list[Fused]:
    """Finds what can be joined in a graph of layers that are called once; no layer belongs to two."""
    readers = Counter(id(layer) for layer in graph.ends)
    readers.update(id(layer) for call in graph.calls for layer in call.reads)
    only = {id(read): call for call in graph.calls for read in call.reads if readers[id(read)] == 1}
    place = {id(call.layer): index for index, call in enumerate(graph.calls)}
    source = {id(call.layer): call.reads[0] for call in graph.calls}
    fused: list[Fused] = []

    def relu_after(layer: Any) -> Any:
        """Returns the ReLU that alone reads a layer, if there is one."""
        after = only.get(id(layer))
        return after.layer if after and is_relu(after.layer) else None

    for call in graph.calls:
        layer, before, after = call.layer, call.reads[0], only.get(id(call.layer))
        if type(layer) is layers.Conv2D and _is_plain_conv(layer):
            conv = FusedConv(layer, before if id(before) in only and is_pad_of(before, layer) else None)
            if layer.activation is keras.activations.linear:
                conv.add = after.layer if after and _adds(after, layer, place) else None
                conv.relu = relu_after(conv.add or layer)
            fused.append(conv)
        elif (
            type(layer) in _NORMS and relu_after(layer) and layer.input_spec.ndim == 4 and layer.scale and layer.center
        ):
            fused.append(FusedNorm(layer, relu_after(layer)))
        elif type(layer) is layers.MaxPooling2D and id(before) in only and is_pad_of(before, layer):
            known = layer.data_format == "channels_first" and _has_no_negatives(source[id(before)])
            fused += [FusedPool(before, layer, source[id(before)])] if known else []
    taken = {id(member) for one in fused for member in one.members}
    for call in graph.calls:
        if type(call.layer) is not layers.Add or len(call.reads) != 2 or id(call.layer) in taken:
            continue
        gated = [read for read in call.reads if type(read) is layers.Multiply and id(read) in only]
        gated = [read for read in gated if len(read.input) == 2 and _adds(call, read, place)]
        maps = [*gated[:1], call.layer]  # Keras gives maps of fewer axes more, and not where PyTorch does
        relu = relu_after(call.layer)
        if relu and not any(layer._reshape_required for layer in maps):
            fused.append(FusedSum(gated[0] if gated else None, call.layer, relu))
    return fused


def _adds(call: Call, layer: Any, place: dict[int, int]) -> bool:
    """Whether a call adds what a layer puts out to one other map, which is there before it."""
    if type(call.layer) is not layers.Add or len(call.reads) != 2:
        return False
    others = [read for read in call.reads if read is not layer]
    return len(others) == 1 and place.get(id(others[0]), -1) < place[id(layer)]  # an input has no place


def _is_plain_conv(layer: Any) -> bool:
    """Whether a convolution has a form that oneDNN's fused operation has."""
    known = layer.activation in (keras.activations.linear, keras.activations.relu)
    return layer.data_format == "channels_first" and is_symmetric(layer) and known


def _has_no_negatives(layer: Any) -> bool:
    """Whether a layer puts out no negative number."""
    return is_relu(layer) or getattr(layer, "activation", None) is keras.activations.relu


def is_still_fused(one: Any) -> bool:
    """Whether the pad, the ReLU and the source of joined layers are still what they were: people change them."""
    relu, pad = getattr(one, "relu", None), getattr(one, "pad", None)
    if isinstance(one, FusedConv) and not _is_plain_conv(one.conv):
        return False
    if pad is not None and not is_pad_of(pad, one.members[1]):
        return False
    if isinstance(one, FusedConv) and one.members[-1] is not one.conv:
        return (relu is None or is_relu(relu)) and one.conv.activation is keras.activations.linear
    return (relu is None or is_relu(relu)) and (not isinstance(one, FusedPool) or _has_no_negatives(one.source))
