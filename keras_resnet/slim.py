"""TF-Slim's functions, with its parameters and positions, over Keras tensors."""

from keras_resnet.models.slim.functions import *
from keras_resnet.models.slim.functions import __all__ as __all__
