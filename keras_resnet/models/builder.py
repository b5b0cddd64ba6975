"""`ResNet`: builds any variant as one functional Keras model, with weights."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_resnet.architecture.lineages import PUBLISHED, TORCH_V1
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import check_side
from keras_resnet.architecture.rows import builder_call, find_row
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import list_weights, meant
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.contents import NetworkInFile
from keras_resnet.checkpoints.mismatch import advice
from keras_resnet.models.arguments import (
    Tensor,
    check_activation,
    check_tensor,
    standardize_data_format,
    standardize_dtype,
    standardize_include_top,
    standardize_regularizer,
    standardize_shape,
)
from keras_resnet.models.blocks import body
from keras_resnet.models.layers import Kit
from keras_resnet.models.preprocessing import mode_of, preprocessing_layers
from keras_resnet.models.weights.find import Weights, find_weights, stem_channels, styles_for
from keras_resnet.models.weights.load import fetched, load_found
from keras_resnet.utils.errors import check_bool, check_choice, check_positive, check_rate
from keras_resnet.utils.recursion import recursion_limit

_OF_WEIGHTS = re.compile(r"[./]|_imagenet$")  # in names of weights, and of no network


def ResNet(
    variant: Variant | str,
    include_top: bool = True,
    weights: Weights = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    name: str | None = None,
    *,
    output_stride: int | None = None,
    global_pool: bool = True,
    style: str | None = None,
    include_preprocessing: bool = False,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    dropout: float = 0.0,
    drop_path: float | Sequence[float] = 0.0,
    zero_init_residual: bool = False,
    kernel_regularizer: str | keras.Regularizer | None = None,
    scope: str | None = None,
    head: str | None = None,
) -> keras.Model:
    """Builds any ResNet, given by name or as a `Variant`, as one functional Keras model of stock layers.

    Example:

        import dataclasses

        model = keras_resnet.ResNet("seresnext50_32x4d", input_shape=(64, 64, 3), classes=10)
        backbone = keras_resnet.ResNet("resnet34", include_top=False, weights="imagenet", pooling="avg")
        thin = dataclasses.replace(keras_resnet.RESNET34, name="thin", widths=(16, 32, 64, 128))
        model = keras_resnet.ResNet(thin, input_shape=(64, 64, 3), classes=10)

    Layer names, the order of weights and defaults are those of `keras.applications`. Of the keyword-only arguments,
    only `style` changes the list of weights, and `include_preprocessing` where images are gray: their first kernel is
    then RGB's. The same weights file loads with any values of the others.

    Args:
        variant: the network: its name in `keras_resnet.NETWORKS`, or the name of its builder or of timm's network, in
            upper or lower case, such as "resnet50", "resnet50d" or "resnetv2_50"; or a `Variant`, such as
            `keras_resnet.RESNET50` or one of your own. The defaults below are the same for every network: `ResNet20()`
            has ten classes, but `ResNet("resnet20")` has 1000.
        include_top: whether the model ends in global average pooling and a classifier.
        weights: None (random), "imagenet" (of ResNet-RS also "imagenet-i160", with the size of images), a key of
            `keras_resnet.list_weights()`, such as "timm/resnet18.a1_in1k", or the path of a weights file of the same
            network: a file of Keras (`.keras`, `.weights.h5`, `.h5`), of PyTorch (`.pth`, `.pt`, `.bin`) or of
            safetensors with the names of torchvision, timm or transformers, BiT's `.npz`, the prefix of a checkpoint of
            TF-Slim (`model.ckpt` for `model.ckpt.index`), the index of a file in parts, or the folder of any of these.
            The content of a file tells its format, not its suffix. See `keras_resnet.load_weights`.
        input_tensor: a Keras tensor of rank 4 to use as the image. The layers that compute it become part of the model.
        input_shape: (height, width, channels), or (channels, height, width) with channels_first. Height and width may
            be None. With top, the default is 224x224x3 (32x32x3 if the stem does not pool, as in CIFAR nets); without
            top, and with the key of weights for images of other sizes than 224, it is any size with 3 channels. The
            builders of ImageNet networks need at least 32x32. Networks that are anti-aliased by means (`resnetaa50`)
            have no output for sizes at which a map that they halve is odd: the error names the nearest ones. Networks
            with blurs (`resnetblur50`) need 17 pixels. Where the size is None, they fail as they run, means below 51
            pixels and blurs on JAX not even then. Weights for RGB also load with 1 or N channels: the kernel of the
            stem is summed for 1, else repeated and scaled by 3 / N.
        pooling: without top, None for the last feature map (N, H, W, C), "avg" or "max" for a vector (N, C).
        classes: the number of classes, with top.
        classifier_activation: activation of the classifier, with top; None returns logits. Under a mixed dtype policy
            the classifier computes in float32.
        name: the name of the model.
        output_stride: the ratio of the image's size to that of the last feature map: 4, 8, 16 or 32 (CIFAR nets 1, 2 or
            4; networks without stem 1, 2, 4 or 8); None is the network's own, 32 for ImageNet networks. Once it is
            reached, convolutions are dilated instead of strided, and every k-th pixel of the denser map equals the map
            of the network without it (as TF-Slim's `output_stride` and torchvision's `replace_stride_with_dilation`).
            But gates (SE, ECA) and group norms take their means over the denser map, so that there it is another
            function, as in timm. Networks that stride by means or blurs (-D, -T, ResNet-RS, anti-aliased)
            have no dense map.
        global_pool: with top, False makes the network fully convolutional: the classifier is applied at each position
            of the last feature map.
        style: the library whose network to build: "keras" (keras.applications), "torch" (torchvision, timm,
            transformers), "slim" (TF-Slim), "torch_1x1" (v1 only: strides as in the paper, for the weights of Caffe and
            MSRA in PyTorch, transformers' `downsample_in_bottleneck`), "torch_cifar" (only with shortcuts of option A:
            the published CIFAR nets of PyTorch, with half of the zero channels in front), "keras_2016" or "keras_2018"
            (v1 only: keras.applications until 2018 and until 2019, with epsilon 1e-3). ResNeXts and ResNet-RS have
            "keras" and "torch"; other networks have the one of their library: "torch", "senet" and "senet_1x1" (timm's
            `legacy_` networks), "bit" (BiT) or "classification_models"; `Variant.styles` tells. Styles differ in where
            strides, biases and padding are, in epsilon, momentum and initialisation. None: the style of the weights.
            Without weights, or if their file does not tell (`.weights.h5`, `.h5`), the network's default: "keras" for
            networks of ImageNet that have a function, but wide ones, for most others "torch". A note on standard
            error tells what had to be assumed about a file, see `keras_resnet.LoadReport`.
        include_preprocessing: whether the model begins with layers that scale pixels as its weights or style need it,
            so that it takes raw RGB in [0, 255]. Gray images, of 1 channel, become RGB in the model, whose first
            kernel is that for RGB. Of N channels the first three are RGB; means and deviations repeat over them. If
            False, preprocess images yourself, see `preprocessing_for`.
        data_format: "channels_last", (N, H, W, C), or "channels_first", (N, C, H, W), for images, `input_shape` and
            feature maps; None is Keras' own setting. The same weights fit both. On a CPU, TensorFlow runs
            channels_first only under `compile(jit_compile=True)`.
        dtype: the dtype policy of the layers, such as "mixed_bfloat16"; None is Keras' own setting.
        dropout: with top, the dropout rate in front of the classifier.
        drop_path: stochastic depth (arXiv:1603.09382 section 3): the probability that training drops the residual of
            the last block; it grows linearly with depth. Or one probability for all blocks of each stage, as the
            deeper ResNet-RS have.
        zero_init_residual: whether each block starts as its shortcut: in v1 the gamma of its last norm starts at zero
            (arXiv:1706.02677 section 5.1, and timm's default), in v2 the kernel of its last convolution.
        kernel_regularizer: regularizer of the kernels of all convolutions and of the classifier, such as "l2" or
            `keras.regularizers.L2(5e-5)`.
        scope: the name of the network in a weights file that holds several: the beginning of its tensors' names, such
            as "model_ema". Averages that lie beside the weights, as TF-Slim's do, are loaded by
            `keras_resnet.load_weights(model, file, averages=True)`.
        head: with top, the name of the classifier in a weights file, such as "head.fc", if it is not clear which one it
            is. The beginning that it shares with the network's tensors may be left out.

    Returns:
        A `keras.Model`. Input: float images (N, height, width, channels). Output: with top (N, classes), or
        (N, H, W, classes) with `global_pool=False`; without top, see `pooling`.

    Raises:
        ValueError: if an argument is not one of those above, or a weights file does not fit.
        OSError: if published weights are not in the cache and cannot be downloaded.
    """
    if not isinstance(variant, Variant):
        variant = _row_of(variant)
    include_top = standardize_include_top(include_top)
    asked = style is not None or variant.lineage not in PUBLISHED  # one of the caller's own
    if style is not None:
        check_choice("style", style, (None, *variant.styles))
    name = variant.name if name is None else name
    if weights is None and (scope is not None or head is not None):
        raise ValueError(
            f"`scope` and `head` say what of a file to load; received weights=None, scope={scope!r}, head={head!r}."
        )
    if head is not None and not include_top:
        raise ValueError(f"`head` needs a classifier, so include_top=True; received head={head!r}.")
    found = find_weights(weights, variant, style, include_top, classes, name, scope)
    if found:
        told = styles_for(found, variant)
        check_choice("style", style, (None, *told), " These are the styles of the weights.")
        if not asked:
            style = next(iter(told), None)
    if style is not None:
        if not asked and style not in variant.styles:
            fits = f" {advice(found)}" if isinstance(found, NetworkInFile) else ""
            raise ValueError(
                f"`weights` must be of a v{variant.version} network for {variant.name}, and of a style that it has: "
                f"{', '.join(map(repr, variant.styles))}; those in {str(weights)!r} are of style {style!r}.{fits}"
            )
        variant = variant.in_style(style)
    check_choice("pooling", pooling, (None, "avg", "max"))
    check_bool("global_pool", global_pool)
    check_bool("include_preprocessing", include_preprocessing)
    check_bool("zero_init_residual", zero_init_residual)
    check_rate("dropout", dropout)
    if isinstance(drop_path, tuple | list):
        rates = tuple(drop_path)
        if len(rates) != len(variant.units):
            raise ValueError(
                f"`drop_path` must be one rate, or one for each of the {len(variant.units)} stages of {variant.name}; "
                f"received {drop_path!r}."
            )
        for rate in rates:
            check_rate("drop_path", rate)
        drop_path = rates if any(rates) else 0.0
    else:
        check_rate("drop_path", drop_path)
    if include_top:
        check_positive("classes", classes)
        check_activation(classifier_activation, weights is not None)
    elif dropout or not global_pool:
        raise ValueError(
            "`dropout` and `global_pool=False` change the classifier and need include_top=True; received "
            f"include_top={include_top!r}, dropout={dropout!r}, global_pool={global_pool!r}."
        )
    if variant.shortcut is None and (drop_path or zero_init_residual):
        raise ValueError(
            "`drop_path` and `zero_init_residual` need blocks with a shortcut; received "
            f"drop_path={drop_path!r}, zero_init_residual={zero_init_residual!r} for a variant with shortcut=None."
        )
    data_format = standardize_data_format(data_format)
    policy = standardize_dtype(dtype)
    kit = Kit(
        variant.lineage,
        data_format,
        policy.name,
        standardize_regularizer(kernel_regularizer),
        drop_path,
        zero_init_residual,
        norms=variant.norm,
    )
    input_shape = standardize_shape(input_shape, data_format)
    if input_tensor is None:
        side = variant.image_side if include_top else None
        if isinstance(found, Checkpoint) and found.key == weights and found.image_sizes != {side}:
            side = None  # trained or to be tested at another one
        default = (side, side, 3) if data_format == "channels_last" else (3, side, side)
        image = keras.Input(input_shape or default, dtype=policy.variable_dtype if dtype else None)
    else:
        check_tensor("input_tensor", input_tensor)
        image = input_tensor
    x = image
    if include_preprocessing:
        own = found.preprocessing if found else None
        scaling = found.scaling if isinstance(found, NetworkInFile) else None
        mode = mode_of(scaling) if scaling else own or variant.lineage.preprocessing
        gray_stem = isinstance(found, NetworkInFile) and stem_channels(found, plan(variant)) == 1
        x = preprocessing_layers(image, mode, data_format, gray_stem)
    layout = plan(variant, output_stride, x.shape[kit.channel_axis])
    for axis, side in enumerate(image.shape):
        if axis not in (0, kit.channel_axis) and side is not None:
            check_side("input_shape", variant.name, layout, side)
    held = fetched(found, scope) if found else None  # in front of the graph, which takes long for large networks
    x = body(x, layout, kit)
    if include_top:
        x = _top(x, kit, classes, classifier_activation, dropout, global_pool)
    elif pooling:
        x = kit.global_pool(x, pooling)
    inputs = image if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    with recursion_limit(len(kit.outputs)):
        model = keras.Model(inputs, x, name=name)
    if held:
        load_found(model, held, head=head, asked=asked)
    return model


def _row_of(name: str) -> Variant:
    """Returns the row that a name means."""
    try:
        return find_row(name, "variant", " You can also pass a Variant of your own.")
    except ValueError:
        if not isinstance(name, str) or not _OF_WEIGHTS.search(name) or not (found := meant(name)):
            raise
        rows = [list_weights()[key] for key in found]
        keys = " or ".join(repr(row.key) for row in rows)
        call = builder_call(rows[0].variant.name, f"weights={rows[0].key!r}")
        raise ValueError(
            f"`variant` must be the name of a network; received {name!r:.99}, a name of weights. Their key is {keys}: "
            f"build {call}."
        ) from None


def with_classifier(
    body: keras.Model,
    classes: int,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    *,
    global_pool: bool = True,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    dropout: float = 0.0,
    kernel_regularizer: str | keras.Regularizer | None = None,
) -> keras.Model:
    """Puts a new classifier on a network that was built without top, with these same arguments."""
    kit = Kit(
        TORCH_V1,  # whatever it is: a top is the same in all
        standardize_data_format(data_format),
        standardize_dtype(dtype).name,
        standardize_regularizer(kernel_regularizer),
    )
    x = _top(body.output, kit, classes, classifier_activation, dropout, global_pool)
    with recursion_limit(len(body.layers)):
        return keras.Model(body.input, x, name=body.name)


def check_top(
    classes: int,
    classifier_activation: str | Callable[..., Any] | None = "softmax",
    *,
    global_pool: bool = True,
    dropout: float = 0.0,
) -> None:
    """Raises a `ValueError` for arguments that no new classifier can have."""
    check_positive("classes", classes)
    check_activation(classifier_activation, pretrained=False)
    check_bool("global_pool", global_pool)
    check_rate("dropout", dropout)


def _top(
    x: Tensor,
    kit: Kit,
    classes: int,
    activation: str | Callable[..., Any] | None,
    dropout: float,
    global_pool: bool,
) -> Tensor:
    """The classifier, behind the mean over all positions or at each."""
    return kit.classifier(kit.global_pool(x, "avg") if global_pool else x, classes, activation, dropout)
