"""Calls that a type checker must accept."""

import dataclasses

import keras_resnet
from keras_resnet import ResNet50, ResNet50V2
from keras_resnet.variants import RESNET34

ResNet50(True, None, None, (224, 224, 3), None, 1000, "softmax", "resnet50")
ResNet50V2(include_top=False, weights="imagenet", pooling="avg")
keras_resnet.ResNet20(input_shape=(None, None, 1), classes=3, include_preprocessing=False, style="keras")
keras_resnet.ResNet(dataclasses.replace(RESNET34, shortcut="A"), False)
