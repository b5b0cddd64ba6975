"""The published networks as `Variant`s, and the classes to define your own variant with.

>>> from keras_resnet.variants import RESNET50, plan
>>> plan(RESNET50).parameters()
25636712
>>> [unit.stride for unit in plan(RESNET50).stages[1]]
[2, 1, 1, 1]
"""

from keras_resnet.architecture import lineages, planner, rows, variant
from keras_resnet.architecture.lineages import *
from keras_resnet.architecture.planner import *
from keras_resnet.architecture.rows import *
from keras_resnet.architecture.variant import *

__all__ = [*rows.__all__, *variant.__all__, *lineages.__all__, *planner.__all__]
