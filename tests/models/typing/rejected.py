"""Calls that a type checker must reject, each in a line of its own."""

import keras_resnet
from keras_resnet import ResNet20, ResNet50

ResNet50(output_strid=8)
ResNet20(classes="10")
ResNet50("imagenet")
ResNet50(True, None, None, None, None, 1000, "softmax", "resnet50", "torch")
keras_resnet.ResNet5O()
keras_resnet.ResNet(50)
keras_resnet.ResNeXt50(groups=64)
