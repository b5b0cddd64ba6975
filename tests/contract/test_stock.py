"""A built model is stock Keras: it lives on where this package is not installed, and does what Keras models do."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET50, RESNET50V2
from keras_resnet.architecture.variant import Stem, Variant
from tests.helpers import kinds
from tests.helpers.nets import assert_close, dtype_policy, images, randomise, run, run_whole, thin, with_style

BACKEND = keras.backend.backend()
NEXT = {"jax": "tensorflow", "tensorflow": "torch", "torch": "jax"}[BACKEND]
once = pytest.mark.one_backend

# Between them: both versions, units and styles, every shortcut, both stem pools, all preprocessing; each other kind.
COVER = {
    "keras v1 bottleneck B": thin(RESNET50),
    "keras v2 bottleneck B": thin(RESNET50V2),
    "torch v1 basic A": thin(with_style(RESNET18, "torch"), shortcut="A", stem=Stem(width=8)),
    "torch v2 basic C": thin(with_style(RESNET18V2, "torch"), shortcut="C"),
    "torch v2 bottleneck split": thin(with_style(RESNET50V2, "torch"), first_activation="split"),
    "keras v2 basic plain": thin(RESNET18V2, shortcut=None),
    **kinds.COVER,
}
cover = pytest.mark.parametrize("variant", COVER.values(), ids=COVER.keys())
# TensorFlow's models open on PyTorch, the quickest to start: all of them. Where JAX compiles, on either side, these.
NEW = ("keras v2 bottleneck B", "torch v1 basic A", "blur, D", "aa, SE, groups, D", "ECA, D", "GN, D, v2")

ELSEWHERE = """
import sys
sys.modules["keras_resnet"] = None  # any import of it fails
import keras, numpy as np
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    x = np.load(path + ".x.npy")
    np.save(path + ".npy", model.predict(x, verbose=0))  # as a whole: one by one its layers are slow on JAX
"""


def side_of(variant: Variant) -> int:
    """Odd, as pads see it best; where means leave out the last of an odd map it can't be."""
    return 64 if variant.antialias == "avg" else 65


def build(variant: Variant, **arguments: Any) -> keras.Model:
    side = side_of(variant)
    defaults: dict[str, Any] = {"input_shape": (side, side, 3), "classes": 5, "classifier_activation": None}
    return keras_resnet.ResNet(variant, **defaults | arguments)


def test_a_saved_model_opens_on_another_backend_without_this_package(tmp_path: Path) -> None:
    expected = {}
    for index, variant in enumerate(COVER.values() if BACKEND == "tensorflow" else map(COVER.__getitem__, NEW)):
        side, path = side_of(variant), str(tmp_path / f"{index}.keras")
        x = 128 + 50 * images(side, side)
        model = randomise(build(variant, include_preprocessing=True))
        model.save(path)
        np.save(f"{path}.x.npy", x)
        expected[path] = run_whole(model, x)
    environment = os.environ | {"KERAS_BACKEND": NEXT, "PYTHONPATH": ""}
    command = [sys.executable, "-c", ELSEWHERE, *expected]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    for path, output in expected.items():
        assert_close(np.load(f"{path}.npy"), output, 1e-4)


@once
@cover
def test_every_layer_is_stock_and_the_graph_flat(variant: Variant) -> None:
    model = build(variant, include_preprocessing=True)
    assert all(type(layer).__module__.startswith("keras.src.layers.") for layer in model.layers)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    # The one bare node of keras.ops: a blur reflects its map, and no layer of Keras pads so.
    bare = Counter(type(node).__name__ for node in model.operations if not isinstance(node, keras.layers.Layer))
    blurs = [layer for layer in model.layers if layer.name.endswith("_blur")]
    assert bare == ({"Pad": len(blurs)} if variant.antialias == "blur" else {})
    assert bool(blurs) is (variant.antialias == "blur")


@once
@cover
def test_clones_and_configs_are_the_same_model(variant: Variant) -> None:
    model = randomise(build(variant, include_preprocessing=True))
    for copy in (
        keras.models.clone_model(model),
        keras.Model.from_config(model.get_config()),
        keras.models.model_from_json(model.to_json()),
    ):
        assert [layer.name for layer in copy.layers[1:]] == [layer.name for layer in model.layers[1:]]
        copy.set_weights(model.get_weights())
        x = 128 + 50 * images(*model.input_shape[1:3])
        assert_close(run(copy, x), run(model, x), 1e-6)


@once
@cover
def test_a_sub_model_ends_at_any_layer(variant: Variant) -> None:
    model = build(variant)
    for layer in model.layers[1:]:
        assert keras.Model(model.input, model.get_layer(layer.name).output).output_shape == tuple(layer.output.shape)


def test_a_frozen_network_does_not_learn_and_keeps_its_statistics() -> None:
    body = randomise(build(thin(RESNET50), include_top=False, pooling="avg"))
    body.trainable = False
    model = keras.Sequential([body, keras.layers.Dense(5)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = body.get_weights()
    model.fit(images(65, 65, count=4), np.arange(4), batch_size=4, verbose=0)
    top = model.layers[-1].get_weights()
    model.fit(images(65, 65, count=4), np.arange(4), batch_size=4, verbose=0)
    for now, then in zip(body.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not np.array_equal(model.layers[-1].get_weights()[0], top[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_under_mixed_precision_the_softmax_is_float32(policy: str) -> None:
    with dtype_policy(policy):
        model = build(thin(RESNET50), input_shape=(32, 32, 3), classifier_activation="softmax")
    assert model.get_layer("conv2_block1_1_conv").compute_dtype == policy.removeprefix("mixed_")
    assert {w.dtype for w in model.weights} == {"float32"}
    output = model(images(32, 32))
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    totals = keras.ops.convert_to_numpy(output).sum(axis=1)
    np.testing.assert_allclose(totals, 1, atol=1e-6)


@pytest.mark.skipif(BACKEND != "jax", reason="narrow arithmetic is slow on a CPU: one backend shows the steps")
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy: str) -> None:
    with dtype_policy(policy):
        model = build(thin(RESNET50), input_shape=(32, 32, 3), classifier_activation="softmax")
        model.compile("sgd", "sparse_categorical_crossentropy")
        before = model.get_layer("conv1_conv").get_weights()[0]
        model.fit(images(32, 32, count=16), np.arange(16) % 5, epochs=8, verbose=0)  # loss scaling skips the first
    after = model.get_layer("conv1_conv").get_weights()[0]
    assert np.isfinite(after).all()
    assert not np.array_equal(after, before)


@once
def test_a_wholly_narrow_policy_stays_as_the_user_chose_it() -> None:
    with dtype_policy("bfloat16"):
        assert build(thin(RESNET50)).get_layer("predictions").dtype_policy.name == "bfloat16"


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile takes minutes on a CPU: scripts/compile_on_torch.py")
def test_jit_compilation_gives_the_same_prediction_and_trains() -> None:
    model = randomise(build(COVER["torch v1 basic A"], input_shape=(32, 32, 3)))
    eager = run(model, images(32, 32))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=True)
    assert_close(model.predict(images(32, 32), verbose=0), eager, 1e-5)
    history = model.fit(images(32, 32), np.arange(2), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
