"""Contenders of a benchmark: our networks and those of other libraries, each as a call to be timed.

Keras and PyTorch are imported only where they are used, so that each contender's memory is its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.export.peers import keras_builder, torch_builder

CLASSES = 1000
OURS = ("keras_resnet", "keras_resnet, optimized")
PEERS = {
    "keras.applications": ("keras.applications",),
    "torchvision": ("torchvision", "torchvision, channels_last"),
    "timm": ("timm, channels_last",),
    "keras_hub": ("keras_hub",),
    "openvino": ("openvino",),
}
_RATE, _MOMENTUM = 0.01, 0.9

Call = Callable[[], object]


class LeftOutError(Exception):
    """Why a contender does not take part."""


@dataclass(frozen=True)
class Setting:
    """What all contenders of a race do.

    Attributes:
        network: its builder's name or, where it has none, its own.
        style: whose layout our own nets follow; None: the builder's default.
        batch: images in a call.
        image_side: their height and width, in pixels.
        train: whether a call is a training step, else an inference.
        dtype: "float32", or "bfloat16" (training: mixed precision).
    """

    network: str
    style: str | None
    batch: int
    image_side: int
    train: bool
    dtype: str


def variant_of(name: str, setting: Setting) -> Variant:
    """Returns the network of a contender as data: in the layout of its library, ours in that of the style."""
    variant = find_row(setting.network)
    theirs = "keras" if name == "keras.applications" else "torch"
    style = setting.style if library(name) in ("keras_resnet", "openvino") else theirs
    return variant.in_style(style) if style in variant.styles else variant


def library(name: str) -> str:
    """Returns the library of a contender: its name without what follows the comma."""
    return name.partition(",")[0]


def of_torch(name: str) -> bool:
    """Returns whether a contender is a module of PyTorch's, which needs no Keras."""
    return library(name) in ("torchvision", "timm")


def _import(module: str) -> Any:
    """Imports a peer, or says why it is left out."""
    if not find_spec(module):
        raise LeftOutError("not installed")
    try:
        return import_module(module)
    except Exception as error:  # torchvision, for one, raises RuntimeError where its operators are missing
        reason = (str(error).splitlines() or [""])[0]
        raise LeftOutError(f"can't be imported: {type(error).__name__}: {reason}") from error


def prepare(name: str, setting: Setting) -> Callable[[], Call]:
    """Imports what a contender needs, and returns what builds it and gives its call."""
    random = np.random.default_rng(0)
    images = random.random((setting.batch, setting.image_side, setting.image_side, 3), np.float32)
    labels = random.integers(CLASSES, size=setting.batch)
    if name == "openvino":
        return _prepare_openvino(setting, images)
    prepare = _prepare_torch if of_torch(name) else _prepare_keras
    return prepare(name, setting, images, labels)


def _prepare_keras(name: str, setting: Setting, images: Any, labels: Any) -> Callable[[], Call]:
    """A Keras model: `predict_on_batch`, or `train_on_batch` with SGD."""
    create = {"keras.applications": _keras_applications, "keras_hub": _keras_hub}.get(name, _ours)(setting)
    optimize = _optimization(name, setting.train)
    import keras

    keras.config.set_image_data_format("channels_last")
    mixed = setting.dtype == "bfloat16" and setting.train
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else setting.dtype)

    def build() -> Call:
        model = create()
        if setting.train:
            optimizer = keras.optimizers.SGD(_RATE, momentum=_MOMENTUM)
            model.compile(optimizer, "sparse_categorical_crossentropy", metrics=None)  # KerasHub has a metric otherwise
        model = optimize(model)
        return lambda: model.train_on_batch(images, labels) if setting.train else model.predict_on_batch(images)

    return build


def _ours(setting: Setting) -> Callable[[], Any]:
    """Our network, in the style that is asked for."""
    from keras_resnet.models.networks import builder_of

    create, shape = builder_of(setting.network), (setting.image_side, setting.image_side, 3)
    return lambda: create(weights=None, input_shape=shape, classes=CLASSES, style=setting.style)


def _optimization(name: str, train: bool) -> Callable[[Any], Any]:
    """What optimizes a contender's model; others stay as they are."""
    if name != "keras_resnet, optimized":
        return lambda model: model
    from keras_resnet.graph.optimize import optimize_for_inference, optimize_for_training

    return optimize_for_training if train else optimize_for_inference


def _keras_applications(setting: Setting) -> Callable[[], Any]:
    """keras.applications' network of this name, if it has one."""
    create = keras_builder(find_row(setting.network))
    if create is None:
        raise LeftOutError(f"has no {setting.network}")
    return lambda: create(weights=None, input_shape=(setting.image_side, setting.image_side, 3), classes=CLASSES)


def _keras_hub(setting: Setting) -> Callable[[], Any]:
    """KerasHub's ResNet, of which these arguments tell everything."""
    variant, stem = variant_of("keras_hub", setting), Stem()
    told = Variant(variant.name, variant.version, variant.block, variant.units, variant.widths, stem, variant.lineage)
    if variant != told:
        raise LeftOutError(f"has no {setting.network}")
    keras_hub = _import("keras_hub")

    def create() -> Any:
        backbone = keras_hub.models.ResNetBackbone(
            input_conv_filters=[stem.width],
            input_conv_kernel_sizes=[stem.kernel],
            stackwise_num_filters=list(variant.widths),
            stackwise_num_blocks=list(variant.units),
            stackwise_num_strides=[1, 2, 2, 2],
            block_type=f"{variant.block}_block",
            use_pre_activation=variant.version == 2,
            image_shape=(setting.image_side, setting.image_side, 3),
        )
        return keras_hub.models.ResNetImageClassifier(backbone, CLASSES, activation="softmax")

    return create


def _prepare_openvino(setting: Setting, images: Any) -> Callable[[], Call]:
    """Our network as built, exported to OpenVINO and run there, on the CPU."""
    if setting.train:
        raise LeftOutError("does not train")
    openvino, create = _import("openvino"), _ours(setting)
    import keras

    from keras_resnet.export.runtimes import export

    keras.config.set_image_data_format("channels_last")

    def build() -> Call:
        with TemporaryDirectory() as folder:
            path = str(Path(folder, "network.xml"))
            export(create(), path, "openvino")
            precision = {"INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[setting.dtype]}
            core = openvino.Core()
            core.set_property({"ENABLE_MMAP": "NO"})  # for the file goes away
            compiled = core.compile_model(path, "CPU", precision)
        return lambda: compiled(images)[0]

    return build


def _torch_network(module: Any, variant: Variant) -> Callable[[], Any]:
    """What builds a network of torchvision's or timm's, untrained."""
    create = torch_builder(module, variant)
    if create is None:
        raise LeftOutError(f"has no {builder_name(variant.name)}")
    return lambda: create(num_classes=CLASSES)


def torch_device(torch: Any) -> str:
    """Returns where PyTorch computes; Keras on it does so there, too."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _prepare_torch(name: str, setting: Setting, images: Any, labels: Any) -> Callable[[], Call]:
    """A module of PyTorch's, on a GPU if there is one; a call takes images from the CPU and leaves its result there."""
    create, torch = _torch_network(_import(library(name)), find_row(setting.network)), _import("torch")
    device = torch_device(torch)
    layout = torch.channels_last if name.endswith("channels_last") else torch.contiguous_format
    x = torch.from_numpy(np.moveaxis(images, -1, 1).copy()).contiguous(memory_format=layout)
    y = torch.from_numpy(labels)

    def build() -> Call:
        network = create().to(device, memory_format=layout).train(setting.train)
        optimizer = torch.optim.SGD(network.parameters(), _RATE, _MOMENTUM)

        def compute() -> Any:
            with torch.autocast(device, torch.bfloat16, enabled=setting.dtype == "bfloat16"):
                logits = network(x.to(device))
                return torch.nn.functional.cross_entropy(logits, y.to(device)) if setting.train else logits

        def infer() -> Any:
            with torch.inference_mode():
                return compute().float().cpu().numpy()

        def train() -> Any:
            optimizer.zero_grad()
            loss = compute()
            loss.backward()
            optimizer.step()
            return loss.item()

        return train if setting.train else infer

    return build
