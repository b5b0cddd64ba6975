"""How each library names and lays out the tensors of a network: a file each; a file's family is the first that fits."""

from keras_resnet.checkpoints.families.bit import BIT
from keras_resnet.checkpoints.families.detectron2 import DETECTRON2
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE, HUGGINGFACE_BODY
from keras_resnet.checkpoints.families.keras import KERAS, POSITIONS
from keras_resnet.checkpoints.families.keras_2016 import KERAS_2016
from keras_resnet.checkpoints.families.keras_hub import KERAS_HUB
from keras_resnet.checkpoints.families.tf_slim import SLIM
from keras_resnet.checkpoints.families.timm import SENET, TIMM, TIMM_BIT, TIMM_V2
from keras_resnet.checkpoints.families.torchvision import TORCHVISION

FAMILIES = (
    SLIM,
    BIT,
    SENET,
    TIMM,
    TORCHVISION,
    TIMM_BIT,
    TIMM_V2,
    HUGGINGFACE,
    HUGGINGFACE_BODY,
    DETECTRON2,
    KERAS_HUB,
    KERAS_2016,
    KERAS,
    POSITIONS,
)
