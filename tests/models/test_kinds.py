"""Every kind of network takes every keyword, size, layout and policy; and what its gates and pools must not hide."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import keras_resnet
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.variant import Variant
from tests.helpers.kinds import COVER, KINDS, few_elsewhere, tolerance
from tests.helpers.nets import assert_close, images, randomise, run
from tests.project.test_tutorials import load

once = pytest.mark.one_backend
every_kind = pytest.mark.parametrize("variant", KINDS.values(), ids=KINDS.keys())
cover = pytest.mark.parametrize("variant", COVER.values(), ids=COVER.keys())
COVER_FEW = pytest.mark.parametrize("variant", few_elsewhere(COVER))
MEANS = [variant for variant in KINDS.values() if variant.antialias == "avg"]


def build(variant: Variant, **arguments: Any) -> keras.Model:
    defaults: dict[str, Any] = {"input_shape": (64, 96, 3), "classes": 5, "classifier_activation": None}
    return keras_resnet.ResNet(variant, **defaults | arguments)


@once
@cover
def test_no_keyword_but_the_style_changes_the_list_of_weights(variant: Variant) -> None:
    def listed(**arguments: Any) -> list[tuple[str, tuple[int, ...]]]:
        return [(weight.path, tuple(weight.shape)) for weight in build(variant, **arguments).weights]

    for arguments in (
        {"drop_path": 0.3},
        {"zero_init_residual": True, "dropout": 0.1},
        {"kernel_regularizer": "l2", "include_preprocessing": True},
        {"data_format": "channels_first", "input_shape": (3, 64, 96)},
        {"input_shape": (None, None, 3), "dtype": "mixed_bfloat16"},
    ):
        assert listed(**arguments) == listed(), arguments


@once
@cover
def test_in_both_layouts_and_at_any_size_the_same_weights_make_the_same_numbers(variant: Variant) -> None:
    model = randomise(build(variant))
    free = build(variant, input_shape=(None, None, 3))
    free.set_weights(model.get_weights())
    for size in ((64, 64), (64, 96)) if variant.antialias == "avg" else ((65, 65), (97, 70)):
        fixed = build(variant, input_shape=(*size, 3))
        first = build(variant, input_shape=(3, *size), data_format="channels_first")
        for other in (fixed, first):
            other.set_weights(model.get_weights())
        expected = run(fixed, images(*size))
        assert_close(run(free, images(*size)), expected, tolerance(variant))
        assert_close(run(first, np.moveaxis(images(*size), -1, 1).copy()), expected, tolerance(variant))


@once
@cover
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_nearly_the_same_logits(variant: Variant, policy: str) -> None:
    model = randomise(build(variant))
    narrow = build(variant, dtype=policy)
    narrow.set_weights(model.get_weights())
    computing = {layer.compute_dtype for layer in narrow.layers if not layer.name.startswith("predictions")}
    assert policy.removeprefix("mixed_") in computing
    for each in (narrow, keras_resnet.optimize_for_inference(narrow)):
        assert keras.backend.standardize_dtype(each(images(64, 96)).dtype) == "float32"
        assert_close(run(each, images(64, 96)), run(model, images(64, 96)), 0.1)


@once
@pytest.mark.parametrize("kind", ["senet", "D", "aa, SE, groups, D", "blur, D", "S"])
def test_zeros_from_layers_of_their_own_make_the_same_numbers(kind: str) -> None:
    """Behind the mean that strides for a 3x3 projection, too: senet's, as -D has it."""
    variant = replace(KINDS[kind], shortcut="D")
    model = randomise(build(variant))
    padded = build(replace(variant, lineage=replace(variant.lineage, style="own", pad_always=True)))
    padded.set_weights(model.get_weights())
    assert_close(run(padded, images(64, 96)), run(model, images(64, 96)), 1e-5)


@once
@every_kind
def test_with_zero_init_residual_each_block_starts_as_its_shortcut(variant: Variant) -> None:
    """Whatever its gate says of nothing."""
    model = build(variant, zero_init_residual=True)
    for name in ("conv3_block1", "conv3_block2"):
        end = model.get_layer(f"{name}_{'add' if variant.version == 1 else 'out'}")
        skip, total = keras.Model(model.input, [end.input[0], end.output])(images(64, 96))
        skip = ops.convert_to_numpy(ops.stop_gradient(skip))
        assert np.abs(skip).max() > 0
        np.testing.assert_array_equal(ops.convert_to_numpy(ops.stop_gradient(total)), skip)


@once
@every_kind
def test_the_regularizer_is_of_the_kernels_of_all_convolutions_gates_too(variant: Variant) -> None:
    """As weight decay is in timm, which spares biases and norms alone."""
    model = build(variant, kernel_regularizer="l2")
    spared = {layer.name for layer in model.layers if layer.weights and not getattr(layer, "kernel_regularizer", None)}
    assert spared == {norm.name for norm in plan(variant).norms()}


@COVER_FEW
def test_training_steps_move_every_weight(variant: Variant) -> None:
    """Gates, pools and norms without gamma too; with stochastic depth, and the optimised layers' own gradients."""
    few = replace(variant, units=(1, 2), widths=variant.widths[:2])
    model = keras_resnet.optimize_for_training(build(few, drop_path=0.1))
    model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    model.fit(images(64, 96, count=4), np.arange(4), batch_size=4, epochs=2, verbose=0)
    paths = [weight.path for weight in model.weights]
    stays = [path for path, a, b in zip(paths, before, model.get_weights(), strict=True) if np.array_equal(a, b)]
    assert all(np.isfinite(each).all() for each in model.get_weights())
    gates = [path for path in paths if "_se_" in path or "_eca_" in path]
    scales = {"conv1_bn/gamma"} if variant.lineage.data_norm and variant.version == 2 else set()  # a norm follows
    assert set(stays) - scales <= set(gates)  # behind a ReLU that may be closed
    assert not gates or set(gates) - set(stays)


@once
@cover
def test_grad_cam_of_the_last_map_is_the_classifiers_weights_on_it(variant: Variant) -> None:
    """arXiv:1610.02391 section 3; a gate's sigmoid is not taken for the model's own."""
    for activation in ("softmax", None):
        model = randomise(build(variant, classifier_activation=activation))
        maps = run(keras.Model(model.input, model.get_layer("avg_pool").input), images(64, 96))
        heats = np.einsum("nhwc,ck->nkhw", maps, ops.convert_to_numpy(model.get_layer("predictions").kernel))
        classes = heats.max((2, 3)).argmax(1)  # of these there is some heat
        heat, _ = load("grad_cam").grad_cam(model, images(64, 96), classes=classes)
        expected = np.maximum(heats[np.arange(2), classes], 0)
        assert_close(heat, expected / expected.max((1, 2), keepdims=True), 1e-4)


@once
@pytest.mark.parametrize("variant", MEANS, ids=lambda variant: variant.name)
def test_a_network_of_any_size_raises_when_it_runs_on_such_images(variant: Variant) -> None:
    """From 51 pixels up; below, where a map of 3 becomes one of 2 and one of 1, Keras adds these without a word."""

    def told(side: int) -> str:
        try:
            return f"a last map of {list(plan(variant).sizes(side))[-1][1]} pixels"
        except ValueError as error:
            return str(error)

    silent = [side for side in range(1, 400) if told(side).endswith(("maps of 1 and 2 pixels", "last map of 0 pixels"))]
    assert max(silent) == 50
    model = randomise(build(variant, input_shape=(None, None, 3)))
    for side in (64, 65):
        assert np.isfinite(run(model, images(side, side))).all()
    for side in (70, 104):
        with pytest.raises(Exception, match="must match|compatible|broadcast|shape"):
            run(model, images(side, side))


@once
@every_kind
def test_a_network_of_another_style_has_no_end_points_of_slim(variant: Variant) -> None:
    with pytest.raises(ValueError, match="`model` must be of style 'slim'"):
        keras_resnet.end_points(build(variant))
