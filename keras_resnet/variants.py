"""The published networks as `Variant`s, and the classes to define your own variant with.

Example:

    >>> from keras_resnet.variants import NETWORKS, RESNET50, plan
    >>> plan(RESNET50).parameters(), len(NETWORKS["resnet50d"].stem.widths)
    (25636712, 3)

This module needs no Keras.
"""

from keras_resnet.architecture import lineages, planner, rows, variant
from keras_resnet.architecture.lineages import *
from keras_resnet.architecture.planner import *
from keras_resnet.architecture.rows import *
from keras_resnet.architecture.variant import *

__all__ = [*rows.__all__, *variant.__all__, *lineages.__all__, *planner.__all__]
