"""How each library names and lays out the tensors of a network, and which library's a file is. Imports no Keras."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.families import names

Shape = tuple[int, ...]

_CONV_BIAS = re.compile(r"_conv/bias$|(^|/)(conv\d|shortcut)/biases$|(^|\.)(conv\d?|convolution|downsample\.0)\.bias$")
LONGEST = 200  # characters of a name that may be a network's


@dataclass(frozen=True, eq=False)  # each is one of its kind
class Family:
    """The checkpoints of one library. Scopes are the beginnings of names, with the separator at their end."""

    origin: str  # the library, as messages call it
    version: Literal[1, 2, None]  # None: of either
    names: Callable[[Plan], Mapping[str, str]] | None  # None: layers go by their position
    variables: Mapping[str, str]
    separator: str
    unit: str  # what a unit's tensors begin with: a pattern with the groups `stage` and `unit`
    first: str  # how the name of the kernel of a unit's first convolution ends
    stem: str  # what the stem's tensors begin with: a pattern
    own: str  # a pattern of the tensors below a network's scope that are its own; others are of no concern
    styles: tuple[str, ...]  # lineages that such files can be of, the likeliest first
    transposed: bool = False  # kernels are (O, I, height, width), the classifier's (O, I)
    convolves: bool = False  # the classifier is a 1x1 convolution

    def scopes(self, tensors: Iterable[str]) -> list[str]:
        """The scopes of the networks in a file."""
        pattern = re.compile(rf"(?P<scope>(?:.+(?:[./]|__))?){self.unit}{re.escape(self.first)}")
        names = (name for name in tensors if len(name) < LONGEST and name.endswith(self.first))
        return sorted({match["scope"] for match in map(pattern.fullmatch, names) if match})

    def place(self, tensor: str) -> tuple[str, int] | None:
        """Stage and number of the unit that a tensor or module below the scope belongs to."""
        match = re.match(rf"{self.unit}(?![^./_])", tensor)
        return (match["stage"], int(match["unit"])) if match and "stage" in match.groupdict() else None

    def is_stem(self, tensor: str) -> bool:
        """Whether a tensor below the scope is the stem's."""
        return re.match(self.stem, tensor) is not None

    def tensor(self, module: str, variable: str) -> str:
        """The name of a module's variable below the scope."""
        if variable not in self.variables:
            raise ValueError(
                f"`model`: {variable!r} is no variable that files of {self.origin} have. Load and save weights before "
                "you quantize a model or enable LoRA."
            )
        return f"{module}{self.separator}{self.variables[variable]}"

    def shape(self, shape: Shape) -> Shape:
        """The shape that one of our variables has here."""
        if len(shape) == 2 and self.convolves:
            shape = (1, 1, *shape)
        if not self.transposed or len(shape) == 1:
            return shape
        return (*shape[:-3:-1], *shape[:-2])

    def ours(self, value: Any) -> Any:
        """A tensor as we lay it out, but for the 1x1 of a classifier that convolves."""
        if not self.transposed or value.ndim == 1:
            return value
        return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T

    def theirs(self, value: Any) -> Any:
        """The inverse: one of our variables' values as it is laid out here."""
        if value.ndim == 2 and self.convolves:
            value = value[None, None]
        if not self.transposed or value.ndim == 1:
            return value
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T


_TORCH: dict[str, Any] = {"separator": ".", "variables": names.TORCH_VARIABLES, "transposed": True}
_KERAS: dict[str, Any] = {
    "separator": "/",
    "variables": names.KERAS_VARIABLES,
    "first": "_1_conv/kernel",
    "stem": "conv1_",
}
_COUNTERS = r"(?!.*num_batches_tracked$)"

TORCHVISION = Family(
    "torchvision",
    1,
    names.torchvision,
    unit=r"layer(?P<stage>\d+)\.(?P<unit>\d+)",
    first=".conv1.weight",
    stem=r"(conv1|bn1)\.",
    own=rf"{_COUNTERS}((conv1|bn1|layer\d+)\..+|fc\.(weight|bias))",
    styles=("torch",),
    **_TORCH,
)
TIMM_V2 = Family(
    "timm",
    2,
    names.timm_v2,
    unit=r"stages\.(?P<stage>\d+)\.blocks\.(?P<unit>\d+)",
    first=".conv1.weight",
    stem=r"stem\.",
    own=rf"{_COUNTERS}(stem|stages|norm|head)\..+",
    styles=("torch",),
    convolves=True,
    **_TORCH,
)
HUGGINGFACE = Family(
    "transformers",
    1,
    names.huggingface,
    unit=r"resnet\.encoder\.stages\.(?P<stage>\d+)\.layers\.(?P<unit>\d+)",
    first=".layer.0.convolution.weight",
    stem=r"(resnet\.)?embedder\.",
    own=rf"{_COUNTERS}(resnet|classifier)\..+",
    styles=("torch", "torch_1x1"),
    **_TORCH,
)
HUGGINGFACE_BODY = replace(
    HUGGINGFACE,
    names=names.huggingface_body,
    unit=HUGGINGFACE.unit.removeprefix(r"resnet\."),
    own=rf"{_COUNTERS}(embedder|encoder)\..+",
)
SLIM = Family(
    "TF-Slim",
    None,
    names.slim,
    names.SLIM_VARIABLES,
    separator="/",
    unit=r"(?P<stage>[^/]{1,60})/unit_(?P<unit>\d+)/bottleneck_v[12]",
    first="/conv1/weights",
    stem="conv1/",
    own=rf".+/({'|'.join(names.SLIM_VARIABLES.values())})",
    styles=("slim",),
    convolves=True,
)
KERAS = Family(
    "Keras",
    None,
    names.keras,
    unit=r"(?P<stage>[^/]{1,60}?)_block(?P<unit>\d+)",
    own=r"([^/]+_block\d+_[^/]+|conv1_(conv|bn)|post_bn|predictions|probs)/[^/]+",
    styles=("keras", "torch", "torch_1x1", "slim"),
    **_KERAS,
)
KERAS_HUB = Family(
    "KerasHub",
    None,
    names.keras_hub,
    unit=r"stack(?P<stage>\d+)_block(?P<unit>\d+)",
    own=r"(stack\d+_block\d+_[^/]+|conv\d_(conv|bn)|post_bn|predictions)/[^/]+",
    styles=("torch",),
    **_KERAS,
)
# Files of Keras that don't hold the names of layers: those of before 3.8, in the order that layers have.
POSITIONS = replace(
    KERAS, names=None, unit=r"conv2d(_\d+)?", first="/kernel", own=r"(conv2d|batch_normalization|dense)(_\d+)?/[^/]+"
)
FAMILIES = (SLIM, TORCHVISION, TIMM_V2, HUGGINGFACE, HUGGINGFACE_BODY, KERAS_HUB, KERAS, POSITIONS)


def family_of(tensors: Collection[str]) -> Family | None:
    """The family that a file's names are of; None if there is none of our networks in it."""
    return next((family for family in FAMILIES if family.scopes(tensors)), None)


def version_of(family: Family, held: Collection[str]) -> int | None:
    """The version of a network that has these tensors, if they tell it."""
    if family.names is None:
        return None
    signs = ("bottleneck_v2/", "_preact_bn/", "_pre_activation_bn/")
    return family.version or (2 if any(sign in name for name in held for sign in signs) else 1)


def fitting(family: Family, held: Mapping[str, Shape]) -> list[Variant]:
    """The networks with a builder that have exactly these convolutions, in each lineage that makes another one of them.

    Args:
        held: shapes of a network's own tensors by name below its scope.
    """
    version, found = version_of(family, held), list[Variant]()
    rows = [
        replace(row, lineage=LINEAGES[style, row.version])
        for row in NETWORKS.values()
        for style in family.styles
        if row.version == version and (style, version) in LINEAGES
    ]
    for variant in rows:
        modules = family.names(plan(variant)) if family.names else {}
        stem, top = (family.tensor(modules.get(each, ""), "kernel") for each in ("conv1_conv", "predictions"))
        channels = held[stem][1 if family.transposed else 2] if len(held.get(stem, ())) == 4 else 3
        wanted = {}
        for conv in plan(variant, channels=max(channels, 1)).convs():
            module = modules[f"{conv.name}_conv"]
            wanted[family.tensor(module, "kernel")] = family.shape(conv.kernel_shape)
            if conv.bias:
                wanted[family.tensor(module, "bias")] = (conv.filters,)
        kernels = {name for name, shape in held.items() if len(shape) == 4 and name != top}
        biases = {name for name in held if _CONV_BIAS.search(name)}
        same = any((plan(each), each.lineage.stem_pool) == (plan(variant), variant.lineage.stem_pool) for each in found)
        if {name: held[name] for name in kernels | biases} == wanted and not same:
            found.append(variant)
    return found
