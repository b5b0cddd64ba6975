"""DeepLab v3 (arXiv:1706.05587) around a v2 network: atrous pyramid pooling on `block4`, a decoder on `block1`.

The lines that changed say what they were.
"""

from typing import Any

import keras
from keras import layers, ops

import keras_resnet
from keras_resnet.models.slim.functions import resnet_v2  # from tensorflow.contrib.slim.nets import resnet_v2

BATCH_NORM_DECAY = 0.9997


def normed(x: Any, filters: int, kernel: int, rate: int = 1) -> Any:
    """A convolution with norm and ReLU (slim.conv2d under the arg_scope)."""
    x = layers.Conv2D(filters, kernel, padding="same", dilation_rate=rate, use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_DECAY, epsilon=1e-5)(x))


def atrous_spatial_pyramid_pooling(x: Any, output_stride: int, depth: int) -> Any:
    """Convolutions of several rates, and the whole image, side by side."""
    rates = [rate * (2 if output_stride == 8 else 1) for rate in (6, 12, 18)]
    branches = [normed(x, depth, 1), *(normed(x, depth, 3, rate) for rate in rates)]
    image = normed(layers.GlobalAveragePooling2D(keepdims=True)(x), depth, 1)
    branches.append(ops.image.resize(image, x.shape[1:3], "nearest"))
    return normed(layers.Concatenate()(branches), depth, 1)


def deeplab_v3(
    inputs: Any, num_classes: int, output_stride: int, checkpoint: Any, depth: int = 256, width: float = 1
) -> tuple[keras.Model, Any]:
    """Logits for each pixel, from a restored network with frozen norms; also says what was restored."""
    base_architecture = "resnet_v2_50"
    # with tf.contrib.slim.arg_scope(resnet_v2.resnet_arg_scope(batch_norm_decay=BATCH_NORM_DECAY)):
    _, end_points = resnet_v2.resnet_v2_50(  # type: ignore[attr-defined]
        inputs,
        num_classes=None,
        is_training=False,
        global_pool=False,
        output_stride=output_stride,
        depth_multiplier=width,
        min_base_depth=1,
        batch_norm_decay=BATCH_NORM_DECAY,
    )
    # tf.train.init_from_checkpoint(checkpoint, {v.name.split(":")[0]: v for v in variables_to_restore})
    body = keras.Model(inputs, end_points[f"{base_architecture}/block4"])
    report = keras_resnet.load_weights(body, checkpoint)

    net = atrous_spatial_pyramid_pooling(end_points[f"{base_architecture}/block4"], output_stride, depth)
    low = normed(end_points[f"{base_architecture}/block1/unit_2/bottleneck_v2/conv1"], depth // 4, 1)
    net = ops.image.resize(net, low.shape[1:3], "bilinear")
    net = normed(layers.Concatenate()([net, low]), depth, 3)
    logits = layers.Conv2D(num_classes, 1)(net)
    return keras.Model(inputs, ops.image.resize(logits, inputs.shape[1:3], "bilinear")), report
