#!/usr/bin/env python
"""Trains ResNet1202 and ResNet1001V2 for two steps, on KERAS_BACKEND's backend: minutes.

JAX runs eagerly, for its time to compile grows with the square of the depth.
"""

import time

import keras
import numpy as np

import keras_resnet

for build in (keras_resnet.ResNet1202, keras_resnet.ResNet1001V2):
    start = time.perf_counter()
    model = build()
    print(f"{model.name}: built in {time.perf_counter() - start:.0f} s", flush=True)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=keras.backend.backend() == "jax")
    images, labels = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32"), np.array([0, 1])
    for step in (1, 2):
        start = time.perf_counter()
        loss = float(model.train_on_batch(images, labels))
        print(f"{model.name}: step {step}: loss {loss:.3f}, {time.perf_counter() - start:.0f} s", flush=True)
