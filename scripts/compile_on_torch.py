#!/usr/bin/env python
"""Trains two steps of a small ResNet under torch.compile and prints the losses. Takes minutes on a CPU."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import numpy as np

import keras_resnet

model = keras_resnet.ResNet20()
model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
history = model.fit(images, np.arange(4), epochs=2, verbose=0)
print("losses of two compiled steps:", *history.history["loss"])
