"""TF-Slim's functions, with its parameters and positions, over Keras tensors.

Example:

    from keras_resnet.slim import resnet_v1

    images = keras.Input((321, 321, 3))
    net, end_points = resnet_v1.resnet_v1_50(images, 21, global_pool=False, output_stride=16, spatial_squeeze=False)
    model = keras.Model(images, net)  # (N, 21, 21, 21)

The settings that Slim takes from `arg_scope` are keywords here: `weight_decay`, `batch_norm_decay` and
`batch_norm_epsilon`. One default differs: `is_training=None`. A "unit" is Slim's word for a residual block, and a
"block" its word for a stage. Source: tensorflow/models, research/slim/nets/resnet_v1.py and resnet_v2.py.
"""

from keras_resnet.models.slim.functions import *
from keras_resnet.models.slim.functions import __all__ as __all__
