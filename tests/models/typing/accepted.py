"""Calls that a type checker must accept."""

import dataclasses

import keras_resnet
from keras_resnet import Attention, ResNet50, ResNet50V2
from keras_resnet.architecture.rows import RESNET34

ResNet50(True, None, None, (224, 224, 3), None, 1000, "softmax", "resnet50")
ResNet50V2(include_top=False, weights="imagenet", pooling="avg")
keras_resnet.ResNet20(input_shape=(None, None, 1), classes=3, include_preprocessing=False, style="keras")
keras_resnet.ResNet(keras_resnet.variants.RESNET18V2, input_shape=[64, 64, 3])
keras_resnet.resnet.preprocess_input([[[0, 0, 0]]], data_format="channels_last")
training, validation = keras_resnet.data.folder("flowers", (64, 96)).split(0.2)
keras_resnet.labels.decode_predictions([[0.5, 0.5]], labels=training.class_names)
keras_resnet.ResNet(dataclasses.replace(RESNET34, shortcut="A"), False)
keras_resnet.resnext.ResNeXt50(True, None, None, (224, 224, 3), None, 1000)
keras_resnet.WideResNet101(weights="imagenet", output_stride=8)
keras_resnet.ResNet(dataclasses.replace(keras_resnet.NETWORKS["resnet50d"], attention=Attention("se", ratio=1 / 4)))
