"""Scripts that were written around TF-Slim run after a change of import and arg_scope, from a checkpoint of its own."""

from pathlib import Path

import keras
import numpy as np

from tests.contract.ports.classifier import Classifier
from tests.contract.ports.deeplab import deeplab_v3
from tests.helpers.nets import assert_close, run

GOLDENS = Path(__file__).parents[1] / "goldens" / "slim"
WIDTH = 1 / 16  # that of the checkpoints


def test_a_classifier_is_fine_tuned() -> None:
    """Its features are TF-Slim's before; after training of the logits alone they still are, and these have learnt."""
    keras.utils.set_random_seed(0)
    golden = np.load(GOLDENS / "v1_3463" / "gp_33.npz")
    rng = np.random.default_rng(0)
    images, labels = rng.normal(0, 1, (16, 33, 33, 3)).astype("float32"), np.arange(16) % 2
    images[labels == 1] *= 0.2
    script = Classifier(num_classes=2, is_training=False, width=WIDTH)
    model = script.build(33, GOLDENS / "v1_3463" / "model.ckpt")
    features = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    assert_close(run(features, golden["input"]), golden["block4"], 1e-5)
    losses = script.train(model, images, labels, 25, logits_only=True)
    decay = float(keras.ops.convert_to_numpy(sum(model.losses)))
    assert losses[-1] - decay < 0.5 * (losses[0] - decay)
    assert_close(run(features, golden["input"]), golden["block4"], 1e-5)
    assert (run(model, images).argmax(-1) == labels).mean() >= 0.9


def test_a_dense_network_is_built_and_trained() -> None:
    """Its last map is TF-Slim's at this output stride; training moves every convolution and no norm of the body."""
    keras.utils.set_random_seed(0)
    golden = np.load(GOLDENS / "v2_3463" / "fcn_65_os16.npz")
    inputs = keras.Input((65, 65, 3))
    model, report = deeplab_v3(inputs, 3, 16, GOLDENS / "v2_3463" / "model.ckpt", depth=16, width=WIDTH)
    assert model.output_shape == (None, 65, 65, 3)
    assert report.left == ()
    assert all("logits" in name or "postnorm" in name for name in report.unused)
    body = keras.Model(inputs, model.get_layer("conv5_block3_out").output)
    assert_close(run(body, golden["input"]), golden["block4"], 1e-5)
    before = {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in body.weights}
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.random.default_rng(0).integers(0, 3, (1, 65, 65))
    model.fit(golden["input"], labels, verbose=0)
    for weight in body.weights:
        if weight.name != "bias":  # the last ones are cancelled by the norms behind them
            same = np.array_equal(before[weight.path], keras.ops.convert_to_numpy(weight))
            assert same == ("_bn/" in weight.path), weight.path
