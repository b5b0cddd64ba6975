"""The published networks as rows of data, and all that a row of one's own is made of; imports no Keras."""

from keras_resnet.architecture.rows import *
from keras_resnet.architecture.rows import __all__ as __all__
