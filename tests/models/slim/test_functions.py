"""TF-Slim's functions: their signatures, its own tests restated, and what users of Keras add to them."""

import inspect
import itertools
import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import end_points, feature_pyramid, slim, transfer, variants
from keras_resnet.architecture.lineages import SLIM_V1
from keras_resnet.architecture.planner import stem_convs
from keras_resnet.architecture.variant import Stem
from keras_resnet.models.layers import Kit
from tests.helpers.nets import assert_close, data_format, dtype_policy, images, randomise, run, thin

once = pytest.mark.one_backend
VERSIONS = (1, 2)
ONE_ELSEWHERE = (pytest.param(1, marks=once), 2)  # the second has its norms in front, too
MANIFEST = json.loads((Path(__file__).parents[2] / "goldens" / "slim" / "manifest.json").read_text())
Ends = dict[str, Any]


def block(version: int) -> Any:
    return slim.resnet_v1_block if version == 1 else slim.resnet_v2_block


def blocks(version: int, units: int = 2, strides: tuple[int, ...] = (2, 2, 2, 1)) -> list[slim.Block]:
    return [block(version)(f"block{i}", 2**i, units, stride) for i, stride in enumerate(strides, 1)]


def tiny(version: int, inputs: Any, *args: Any, scope: str | None = "resnet", **kwargs: Any) -> tuple[Any, Ends]:
    """The small network of TF-Slim's own tests."""
    build: Any = slim.resnet_v1 if version == 1 else slim.resnet_v2
    net, points = build(inputs, blocks(version), *args, scope=scope, **kwargs)
    return net, points


# ---- The contract.

GENERAL = "inputs blocks num_classes is_training global_pool output_stride include_root_block spatial_squeeze"
NAMED = "inputs num_classes is_training global_pool output_stride"
STORE, WIDTHS, TAIL = "store_non_strided_activations", "min_base_depth depth_multiplier", "reuse scope"
NORMS = "weight_decay batch_norm_decay batch_norm_epsilon"
POSITIONS = {
    "resnet_v1": (f"{GENERAL} {STORE} {TAIL}", NORMS),
    "resnet_v2": (f"{GENERAL} {TAIL}", f"{STORE} {NORMS}"),
    **{f"resnet_v1_{n}": (f"{NAMED} spatial_squeeze {STORE} {WIDTHS} {TAIL}", NORMS) for n in (50, 101)},
    **{f"resnet_v1_{n}": (f"{NAMED} {STORE} spatial_squeeze {WIDTHS} {TAIL}", NORMS) for n in (152, 200)},
    **{f"resnet_v2_{n}": (f"{NAMED} spatial_squeeze {TAIL}", f"{STORE} {WIDTHS} {NORMS}") for n in (50, 101, 152, 200)},
    "resnet_v1_block": ("scope base_depth num_units stride", ""),
    "resnet_v2_block": ("scope base_depth num_units stride", ""),
    "bottleneck_v1": ("inputs depth depth_bottleneck stride rate outputs_collections scope", ""),
    "bottleneck_v2": ("inputs depth depth_bottleneck stride rate outputs_collections scope", ""),
}
DEFAULTS = {
    "num_classes": None,
    "is_training": None,
    "global_pool": True,
    "output_stride": None,
    "include_root_block": True,
    "spatial_squeeze": True,
    STORE: False,
    "min_base_depth": 8,
    "depth_multiplier": 1,
    "reuse": None,
    "scope": None,
    "weight_decay": 0.0,
    "batch_norm_decay": 0.997,
    "batch_norm_epsilon": 1e-5,
    "rate": 1,
    "outputs_collections": None,
}


@once
def test_every_function_has_slims_parameters_positions_and_defaults() -> None:
    assert {*POSITIONS, "Block"} == set(slim.__all__)
    for name, (positional, keyword) in POSITIONS.items():
        parameters = inspect.signature(getattr(slim, name)).parameters.values()
        by_position = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
        assert by_position == positional.split(), name
        assert [each.name for each in parameters if each.kind is each.KEYWORD_ONLY] == keyword.split(), name
        for each in parameters:
            if each.default is not each.empty:
                own = each.name == "scope" and name.rpartition("_")[2].isdigit()  # resnet_v1_50's is its name
                assert each.default == (name if own else DEFAULTS[each.name]), name


@once
def test_old_imports_and_positional_calls_work() -> None:
    for version in VERSIONS:
        general: Any = getattr(slim, f"resnet_v{version}")
        assert general.default_image_size == 224
        for depth in (50, 101, 152, 200):
            net = getattr(slim, f"resnet_v{version}_{depth}")
            assert getattr(general, net.__name__) is net
            assert net.default_image_size == 224
            assert pickle.loads(pickle.dumps(net)) is net
            assert net.__name__ in net.__doc__
        assert general.bottleneck is getattr(slim, f"bottleneck_v{version}")
        assert getattr(general, f"resnet_v{version}_block") is block(version)
    x = keras.Input((64, 64, 3))
    positional = slim.resnet_v1_50(x, 5, False, True, 16, False, True, 4, 0.125, None, "a")[1]
    deep = slim.resnet_v1_152(x, 5, False, True, 16, True, False, 4, 0.125, None, "b")[1]
    for scope, points in (("a", positional), ("b", deep)):
        assert points[f"{scope}/block1"].shape == (None, 16, 16, 32)  # not strided yet
        assert points["predictions"].shape == (None, 1, 1, 5)  # not squeezed


VARIABLES = {1: {50: 267, 101: 522, 152: 777, 200: 1017}, 2: {50: 272, 101: 544, 152: 816, 200: 1072}}  # TF-Slim's


@once
@pytest.mark.parametrize(
    ("version", "depth"), [(version, depth) for version in VERSIONS for depth in VARIABLES[version]]
)
def test_a_named_network_has_as_many_variables_and_strides_as_slims(version: int, depth: int) -> None:
    name, x = f"resnet_v{version}_{depth}", keras.Input((64, 64, 3))
    net, points = getattr(slim, name)(x, 10, depth_multiplier=1 / 16, min_base_depth=1)
    assert len(keras.Model(x, net).weights) == VARIABLES[version][depth]
    assert [points[f"{name}/block{i}"].shape[1:] for i in range(1, 5)] == [
        (8, 8, 16),
        (4, 4, 32),
        (2, 2, 64),
        (2, 2, 128),
    ]


@once
def test_a_block_is_slims() -> None:
    units = slim.resnet_v1_block("block1", 64, 3, 2)
    assert tuple(units) == ("block1", slim.bottleneck_v1, units.args)
    keys = ("depth", "depth_bottleneck", "stride")
    assert [tuple(args[key] for key in keys) for args in units.args] == [(256, 64, 1), (256, 64, 1), (256, 64, 2)]
    assert all(set(args) == set(keys) for args in units.args)
    assert slim.resnet_v2_block("block4", 8, 1, 1) == (
        "block4",
        slim.bottleneck_v2,
        [dict(zip(keys, (32, 8, 1), strict=True))],
    )


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_the_builders_graph(version: int) -> None:
    """Layer by layer: there is no second implementation."""
    published = variants.RESNET50 if version == 1 else variants.RESNET50V2
    variant = thin(published, widths=(2, 4, 8, 16))
    for stride in (None, 8):
        x = keras.Input((65, 65, 3), name="image")
        net, points = tiny(version, x, global_pool=False, output_stride=stride, scope=None)
        built = keras_resnet.ResNet(variant, False, None, x, style="slim", output_stride=stride)
        mine, theirs = ([layer.get_config() for layer in model.layers] for model in (keras.Model(x, net), built))
        assert mine == theirs
        assert list(end_points(built, f"resnet_v{version}")) == list(points)
        pyramids = (feature_pyramid(model).output for model in (keras.Model(x, net), built))
        assert len({str({level: map_.shape for level, map_ in maps.items()}) for maps in pyramids}) == 1


# ---- TF-Slim's own tests.


@once
@pytest.mark.parametrize(
    ("side", "dense", "strided", "same"),
    [
        (
            4,
            [[14, 28, 43, 26], [28, 48, 66, 37], [43, 66, 84, 46], [26, 37, 46, 22]],
            [[14, 43], [43, 84]],
            [[48, 37], [37, 22]],
        ),
        (
            5,
            [
                [14, 28, 43, 58, 34],
                [28, 48, 66, 84, 46],
                [43, 66, 84, 102, 55],
                [58, 84, 102, 120, 64],
                [34, 46, 55, 64, 30],
            ],
            [[14, 43, 34], [43, 84, 55], [34, 55, 30]],
            [[14, 43, 34], [43, 84, 55], [34, 55, 30]],
        ),
    ],
)
def test_a_strided_convolution_is_every_second_value_of_the_dense_one(
    side: int, dense: list[list[int]], strided: list[list[int]], same: list[list[int]]
) -> None:
    """conv2d_same, on Slim's hand-computed values; on an even side a "same" convolution of Keras has others."""
    x = (np.arange(side)[:, None] + np.arange(side)).reshape(1, side, side, 1).astype("float32")
    kernel = (np.arange(3)[:, None] + np.arange(3)).reshape(3, 3, 1, 1)
    image = keras.Input((side, side, 1))
    kit = Kit(SLIM_V1, "channels_last", "float32")
    for stride, expected in ((1, dense), (2, strided)):
        model = keras.Model(image, kit.conv(image, *stem_convs(SLIM_V1, Stem(3, 1, stride), 1)))
        model.set_weights([kernel])
        np.testing.assert_allclose(run(model, x)[0, ..., 0], expected)
    layer = keras.layers.Conv2D(1, 3, 2, "same", use_bias=False)
    model = keras.Model(image, layer(image))
    layer.set_weights([kernel])
    np.testing.assert_allclose(run(model, x)[0, ..., 0], same)


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_end_points_have_slims_names_in_slims_order(version: int) -> None:
    golden = MANIFEST["checkpoints"][f"v{version}_2222"]
    inputs = keras.Input((33, 33, 3))
    _, points = tiny(version, inputs, 10, scope=golden["scope"])
    (expected,) = golden["end_points"].values()
    assert expected[-2:] == [f"{golden['scope']}/logits", "predictions"]
    # tensorflow/models' Slim has two more than the one that wrote the goldens
    expected = [*expected[:-2], "global_pool", expected[-2], f"{golden['scope']}/spatial_squeeze", "predictions"]
    assert list(points) == expected
    _, headless = tiny(version, inputs, scope=golden["scope"], global_pool=False)
    assert list(headless) == expected[:-4]


SHAPES: dict[str, tuple[int, dict[str, Any], tuple[int, ...]]] = {
    "classification": (224, {}, (28, 14, 7, 7)),
    "fully convolutional": (321, {"global_pool": False, "spatial_squeeze": False}, (41, 21, 11, 11)),
    "rootless": (128, {"include_root_block": False}, (64, 32, 16, 16)),
    "atrous": (321, {"global_pool": False, "spatial_squeeze": False, "output_stride": 8}, (41, 41, 41, 41)),
    "rootless atrous": (16, {"include_root_block": False, "output_stride": 2}, (8, 8, 8, 8)),
    "not strided": (321, {"store_non_strided_activations": True}, (81, 41, 21, 11)),
}


@once
@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_shapes_of_every_mode(version: int, mode: str) -> None:
    side, arguments, sides = SHAPES[mode]
    net, points = tiny(version, keras.Input((side, side, 3), 2), 10, **arguments)
    for i, expected in enumerate(sides, 1):
        assert points[f"resnet/block{i}"].shape == (2, expected, expected, 4 * 2**i)
    last = sides[-1] if "global_pool" in arguments else 1
    assert ("global_pool" in points) == (last == 1)
    assert points["resnet/logits"].shape == (2, last, last, 10)
    assert net.shape == points["predictions"].shape == ((2, 10) if last == 1 else (2, last, last, 10))


TORCH = keras.backend.backend() == "torch"
STRIDES = list(itertools.product((None, 4, 8, 16, 32), (False, True)))
SIZES: dict[tuple[int | None, int | None], Any] = {(30, 31): STRIDES if TORCH else [(8, True)]}
SIZES |= {(81, 81): STRIDES[2::2], (None, None): [(8, False)]} if TORCH else {}


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("version", ONE_ELSEWHERE)
def test_the_dense_map_subsampled_is_the_nominal_one(version: int, height: int | None, width: int | None) -> None:
    """Under every output_stride, wherever the stride of a block's end sits, also at a size unknown to the graph."""
    inputs, x = keras.Input((height, width, 3)), images(height or 65, width or 48)
    nominal = randomise(keras.Model(inputs, tiny(version, inputs, global_pool=False)[0]))
    expected = run(nominal, x)
    for stride, moved in SIZES[height, width]:
        rest: dict[str, Any] = {"output_stride": stride, "store_non_strided_activations": moved}
        dense = keras.Model(inputs, tiny(version, inputs, global_pool=False, **rest)[0])
        dense.set_weights(nominal.get_weights())
        every = 32 // (stride or 32)
        assert_close(run(dense, x)[:, ::every, ::every], expected, 1e-5)


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_stored_without_stride_is_four_times_the_block(version: int) -> None:
    inputs, x = keras.Input((65, 65, 3)), images(65, 65)
    strided, stored = (tiny(version, inputs, store_non_strided_activations=moved)[1] for moved in (False, True))
    ends = [f"resnet/block{i}" for i in range(1, 5)]
    first, second = (keras.Model(inputs, [points[end] for end in ends]) for points in (strided, stored))
    second.set_weights(randomise(first).get_weights())
    maps = [map(keras.ops.convert_to_numpy, model(x)) for model in (first, second)]
    for expected, dense, stride in zip(*maps, (2, 2, 2, 1), strict=True):
        assert_close(dense[:, ::stride, ::stride], expected, 1e-6)
    assert list(end_points(second, "resnet")) == list(stored)[:-1]  # global_pool is behind the cut
    for key, point in end_points(second, "resnet").items():
        assert point.shape == stored[key].shape
    with pytest.raises(ValueError, match="store_non_strided_activations=True. Use its end points"):
        feature_pyramid(second)


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_sizes(version: int) -> None:
    x = keras.Input((None, None, 3))
    net, points = tiny(version, x, 10)
    assert net.shape == (None, 10)
    assert points["resnet/block4"].shape == (None, None, None, 64)
    net, _ = tiny(version, x, 10, global_pool=False, spatial_squeeze=False, output_stride=16)
    assert net.shape == (None, None, None, 10)
    assert run(keras.Model(x, net), images(33, 65)).shape == (2, 3, 5, 10)


@once
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("none", [None, 0])
def test_without_classes_the_net_is_a_map(version: int, none: int | None) -> None:
    x = keras.Input((65, 65, 3))
    for pool, squeeze in itertools.product((True, False), repeat=2):
        net, points = tiny(version, x, none, global_pool=pool, spatial_squeeze=squeeze)
        assert net.shape == ((None, 1, 1, 64) if pool else (None, 3, 3, 64))
        assert list(points)[-1] == ("global_pool" if pool else "resnet/block4")
        assert (net is points["resnet/block4"]) == (version == 1 and not pool)  # v2's is before postnorm


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_only_a_1x1_map_is_squeezed(version: int) -> None:
    for size, told in (((65, 65), "3x3"), ((None, None), "NonexNone")):
        with pytest.raises(ValueError, match=f"received {told}. Pass spatial_squeeze=False .* or global_pool=True"):
            tiny(version, keras.Input((*size, 3)), 10, global_pool=False)
    assert tiny(version, keras.Input((32, 32, 3)), 10, global_pool=False)[0].shape == (None, 10)
    assert tiny(version, keras.Input((None, None, 3)), 10)[0].shape == (None, 10)


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_width_multipliers_leave_the_root(version: int) -> None:
    build, scope, x = getattr(slim, f"resnet_v{version}_50"), f"resnet_v{version}_50", keras.Input((32, 32, 3))
    for arguments, widths in (
        ({"depth_multiplier": 0.25, "min_base_depth": 20}, [80, 128, 256, 512]),
        ({"depth_multiplier": 0, "min_base_depth": 5}, [20, 20, 20, 20]),
        ({"depth_multiplier": 0.25}, [64, 128, 256, 512]),
    ):
        _, points = build(x, **arguments)
        assert points[f"{scope}/conv1"].shape[-1] == 64
        assert [points[f"{scope}/block{i}"].shape[-1] for i in range(1, 5)] == widths
        projects = any("block1" in key and "shortcut" in key for key in points)
        assert projects == (widths[0] != 64)  # the root's channels


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"output_stride": 9}, "`output_stride` must be a multiple of 4 with include_root_block=True; received 9"),
    ({"output_stride": 12}, "`output_stride` must be one that the network can reach; received 12"),
    ({"output_stride": 64}, "`output_stride` must be one that the network can reach; received 64"),
    (
        {"output_stride": 16, "include_root_block": False},
        "`output_stride` must be one that the network can reach; received 16",
    ),
    (
        {"output_stride": 3, "include_root_block": False},
        "`output_stride` must be one that the network can reach; received 3",
    ),
    *(({"output_stride": value}, "`output_stride` must be a positive int") for value in (True, 8.0, "8", 0, -4)),
    *(({"num_classes": value}, "`num_classes` must be None, 0 or a positive int") for value in (-1, True, False, 0.0)),
    ({"is_training": "yes"}, "`is_training` must be one of None, True, False; received 'yes'"),
    ({"global_pool": None}, "`global_pool` must be True or False"),
    ({"spatial_squeeze": 1}, "`spatial_squeeze` must be True or False"),
    ({"reuse": True}, "`reuse` must be None or False; .* `model\\(x2\\)`"),
    ({"scope": "a b"}, "`scope` must be made of letters"),
    ({"scope": "a__b"}, "`scope` must be made of letters"),
    ({"scope": "a_/b"}, "`scope` must be made of letters"),
    ({"scope": 5}, "`scope` must be made of letters"),
    ({"weight_decay": -1}, "`weight_decay` must be a number of at least 0"),
    ({"batch_norm_decay": 1.0}, "`batch_norm_decay` must lie in"),
    ({"batch_norm_epsilon": "small"}, "`batch_norm_epsilon` must lie in"),
]


@once
@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_arguments_are_told(arguments: dict[str, Any], message: str) -> None:
    for version in VERSIONS:
        with pytest.raises(ValueError, match=message):
            tiny(version, keras.Input((64, 64, 3)), **arguments)


@once
def test_wrong_tensors_blocks_and_units_are_told() -> None:
    x = keras.Input((64, 64, 3))
    for wrong in (np.zeros((1, 64, 64, 3)), keras.Input((64, 3)), None):
        with pytest.raises(ValueError, match="`inputs` must be a Keras tensor of rank 4"):
            slim.resnet_v1_50(wrong)
        with pytest.raises(ValueError, match="`inputs` must be a Keras tensor of rank 4"):
            slim.bottleneck_v2(wrong, 4, 1, 1)
    with pytest.raises(ValueError, match="`inputs: channels` must be a positive int; received None"):
        slim.resnet_v1_50(keras.Input((64, 64, None)))
    others: list[Any] = [[], None, [("block1", slim.bottleneck_v1, [])]]
    for other in others:
        with pytest.raises(ValueError, match="`blocks` must be a list of `Block`s"):
            slim.resnet_v1(x, other)
    first = slim.resnet_v1_block("block1", 1, 1, 1)
    with pytest.raises(ValueError, match="`blocks` must all have different scopes"):
        slim.resnet_v1(x, [first, first])
    for scope, message in (
        ("conv2", "TF-Slim's name, such as 'block1' instead of 'conv2'"),
        ("a/b", "`Block.scope` must be made of"),
    ):
        with pytest.raises(ValueError, match=message):
            slim.resnet_v1(x, [first._replace(scope=scope)])
    nothing: list[Any] = [None]
    for args in ([], nothing):
        with pytest.raises(ValueError, match="`Block.args` a list with one dict of its arguments per unit"):
            slim.resnet_v1(x, [first._replace(args=args)])
    with pytest.raises(ValueError, match="`Block.args: stride` must be a positive int; received 0"):
        slim.resnet_v1(x, [first._replace(args=[{"stride": 0}])])
    with pytest.raises(ValueError, match="`Block.unit_fn` must be a Keras tensor"):
        slim.resnet_v1(x, [first._replace(unit_fn=lambda x, **_: None)])
    with pytest.raises(ValueError, match="`depth_multiplier` must be a number of at least 0; received nan"):
        slim.resnet_v1_50(x, depth_multiplier=float("nan"))
    with pytest.raises(ValueError, match="`base_depth` must be a positive int"):
        slim.resnet_v1_block("block1", 0, 1, 1)
    with pytest.raises(ValueError, match="`outputs_collections` must be None"):
        slim.bottleneck_v1(x, 4, 1, 1, outputs_collections="ends")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`stride` and `rate` must not both be above 1"):
        slim.bottleneck_v1(x, 4, 1, 2, 2)


# ---- What Slim's arg_scope said.


@pytest.mark.parametrize("version", ONE_ELSEWHERE)
def test_is_training_fixes_the_norms(version: int) -> None:
    """False: neither statistics nor gamma and beta move in training. True: a plain call uses the batch's statistics."""
    x, y = images(32, 32, count=4), np.arange(4) % 2
    inputs = keras.Input((32, 32, 3))
    free, frozen, batch = (
        keras.Model(inputs, tiny(version, inputs, 2, is_training=mode)[0]) for mode in (None, False, True)
    )
    for model in (frozen, batch):
        model.set_weights(randomise(free).get_weights())
    inference, training = run(free, x), np.asarray(keras.ops.convert_to_numpy(keras.Model(inputs, batch.output)(x)))
    assert np.abs(inference - training).max() > 0.1
    frozen.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in frozen.weights}
    assert_close(run(frozen, x, training=True), inference, 1e-5)
    frozen.fit(x, y, verbose=0)
    same = {weight.path: np.array_equal(before[weight.path], weight) for weight in frozen.weights}
    norms = {path for path in same if "_bn/" in path}
    assert {path for path, equal in same.items() if equal} == norms
    assert len(norms) > 20


@once
def test_arg_scope_as_keywords() -> None:
    x = keras.Input((64, 64, 3))
    net, _ = tiny(2, x, 3, weight_decay=0.5, batch_norm_decay=0.9, batch_norm_epsilon=0.01)
    model = keras.Model(x, net)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 0.01)}
    kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
    assert len(model.losses) == len(kernels)
    squares = sum(float(np.square(keras.ops.convert_to_numpy(kernel)).sum()) for kernel in kernels)
    assert float(keras.ops.convert_to_numpy(sum(model.losses))) == pytest.approx(0.25 * squares, rel=1e-5)
    assert not keras.Model(x, tiny(2, x, 3)[0]).losses


# ---- Scopes, files, units of one's own.


@once
def test_two_networks_in_one_model() -> None:
    """Each under its scope, in layer names, end points and files."""
    x = keras.Input((32, 32, 3))
    (one, first), (two, second) = tiny(1, x, 2, scope="tower/one"), tiny(2, x, 2, scope="two")
    model = keras.Model(x, [one, two])
    model.get_layer("tower__one__conv2_block1_1_conv")
    again = keras.Model.from_config(model.get_config())
    for scope, points in (("tower/one", first), ("two", second)):
        del points["predictions"]  # behind the model's outputs
        mine = end_points(model, scope)
        assert list(mine) == list(end_points(again, scope)) == list(points)
        assert all(mine[key] is point for key, point in points.items())
    for none in (None, "three"):
        with pytest.raises(ValueError, match=f"`scope` must be one of 'tower/one', 'two'; received {none!r}"):
            end_points(model, none)
    plain = keras_resnet.ResNet50V2(False, None, x, style="slim")  # beside one with a scope it has its default's name
    model = keras.Model(x, [plain.output, one])
    assert next(iter(end_points(model, "resnet_v2_50"))) == "resnet_v2_50/conv1"
    with pytest.raises(
        ValueError, match="`model` must hold one network; .* holds 'tower/one', 'resnet_v2_50'|'resnet_v2_50', 'tower"
    ):
        feature_pyramid(model)
    with pytest.raises(ValueError, match="`model` must contain one network; .* contains 2"):
        transfer.freeze(model)
    transfer.freeze(alone := keras.Model(x, one))
    assert {weight.path for weight in alone.trainable_weights} == {
        f"tower__one__predictions/{w}" for w in ("kernel", "bias")
    }
    assert transfer.stages(alone) == ("conv1", "conv2", "conv3", "conv4", "conv5")


@once
@pytest.mark.parametrize("version", VERSIONS)
def test_end_points_of_a_loaded_file(version: int, tmp_path: Path) -> None:
    x = keras.Input((64, 64, 3))
    dense: dict[str, Any] = {"global_pool": False, "spatial_squeeze": False, "output_stride": 8}
    for rest in ({}, dense):
        _, points = tiny(version, x, 5, **rest)
        model = keras.Model(x, points["predictions"])
        assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}  # opens without us
        model.save(tmp_path / "net.keras")
        loaded = end_points(keras.models.load_model(tmp_path / "net.keras"))
        assert {key: point.shape for key, point in loaded.items()} == {key: p.shape for key, p in points.items()}
        assert list(loaded) == list(points)


@once
def test_end_points_of_a_builders_model() -> None:
    model = keras_resnet.ResNet50V2(style="slim", weights=None)
    points = end_points(model)
    assert list(points)[:2] == ["resnet_v2_50/conv1", "resnet_v2_50/block1/unit_1/bottleneck_v2/shortcut"]
    assert [points[f"resnet_v2_50/block{i}"].shape[1:3] for i in range(1, 5)] == [(28, 28), (14, 14), (7, 7), (7, 7)]
    assert points["resnet_v2_50/block4"] is model.get_layer("conv5_block3_out").output
    assert points["global_pool"].shape == (None, 2048)
    assert points["predictions"] is model.output
    assert "resnet_v2_50/logits" not in points
    logits = keras_resnet.ResNet18(style="slim", weights=None, classifier_activation=None)
    assert list(end_points(logits, "mine"))[-1] == "mine/logits"
    assert "resnet18/block4" in end_points(logits)
    assert "predictions" not in end_points(logits)
    others = [keras_resnet.ResNet(thin(row), style="torch") for row in (variants.RESNET50, variants.RESNET50V2)]
    others += [keras_resnet.ResNet20(), keras_resnet.ResNet20(output_stride=1)]
    for other in others:
        with pytest.raises(ValueError, match="Build it with style='slim'"):
            end_points(other)
    mine = keras.Model(x := keras.Input((4,)), keras.layers.Dense(2)(x), name="mine")
    for foreign in (mine, keras.applications.DenseNet121(weights=None, include_top=False, name="mine")):
        with pytest.raises(ValueError, match="`model` must be a ResNet of this package .*; received 'mine'"):
            end_points(foreign)


def plain(inputs: Any, depth: int, stride: int, rate: int = 1) -> Any:
    """A unit without shortcut."""
    return keras.layers.Conv2D(depth, 3, stride, "same", dilation_rate=rate, activation="relu")(inputs)


def twice(inputs: Any, depth: int, depth_bottleneck: int, stride: int, rate: int = 1) -> Any:
    """A unit of two of Slim's, the first with a name of its own."""
    x = slim.bottleneck_v1(inputs, depth, depth_bottleneck, 1, rate, scope="first")
    return slim.bottleneck_v1(x, depth, depth_bottleneck, stride, rate)


@once
def test_units_of_ones_own() -> None:
    """They get Slim's arguments: once the output stride is reached, stride 1 and the rate in force before it."""
    calls = []

    def noting(inputs: Any, **args: Any) -> Any:
        calls.append((args["stride"], args["rate"]))
        return plain(inputs, **args)

    x = keras.Input((64, 64, 3))
    args = [{"depth": 8, "stride": 1}, {"depth": 8, "stride": 2}]
    own = [
        slim.Block("block1", noting, args),
        slim.Block("mine", partial(plain, depth=4), [{"stride": 2}]),
        slim.Block("last", noting, args),
        slim.Block("block9", twice, [{"depth": 16, "depth_bottleneck": 4, "stride": 2}]),
        slim.resnet_v1_block("block10", 4, 2, 1),
    ]
    net, points = slim.resnet_v1(x, own, 3, output_stride=16, scope="net")
    assert calls == [(1, 1), (2, 1), (1, 1), (1, 1)]  # the third and fourth after 4 * 2 * 2 is reached
    assert args == [{"depth": 8, "stride": 1}, {"depth": 8, "stride": 2}]
    keys = [key for key in points if "block9" in key or not key.startswith("net/block")]
    assert keys[:4] == ["net/conv1", "net/mine/unit_1/plain", "net/mine", "net/last/unit_1/noting"]
    first = "net/block9/unit_1/first"
    assert keys[6:12] == [f"{first}/shortcut", f"{first}/conv1", f"{first}/conv2", f"{first}/conv3", first, keys[11]]
    assert points["net/block9/unit_1/bottleneck_v1"] is points["net/block9/unit_1/twice"]
    model = keras.Model(x, net)
    assert model.get_layer("net__conv10_block1_first_2_conv").dilation_rate == (2, 2)
    assert model.get_layer("net__conv11_block1_2_conv").dilation_rate == (4, 4)
    assert run(model, images()).shape == (2, 3)


@once
def test_a_unit_that_strides_by_itself_strides_as_it_says() -> None:
    def stubborn(inputs: Any, depth: int, stride: int, rate: int = 1) -> Any:
        return slim.bottleneck_v1(inputs, depth, 4, 2)

    x = keras.Input((64, 64, 3))
    _, points = slim.resnet_v1(x, [slim.Block("block1", stubborn, [{"depth": 16, "stride": 2}])], output_stride=4)
    assert points["resnet_v1/block1"].shape == (None, 8, 8, 16)


@once
def test_a_v1_block_in_a_v2_network() -> None:
    """Each unit has its own version's biases, and the network's settings."""
    x = keras.Input((64, 64, 3))
    mixed = [slim.resnet_v2_block("block1", 4, 1, 2), slim.resnet_v1_block("block2", 8, 1, 1)]
    net, _ = slim.resnet_v2(x, mixed, batch_norm_decay=0.5)
    model = keras.Model(x, net)
    assert model.get_layer("conv2_block1_3_conv").use_bias
    assert not model.get_layer("conv3_block1_3_conv").use_bias
    assert {model.get_layer(f"{name}_bn").momentum for name in ("conv2_block1_1", "conv3_block1_3", "post")} == {0.5}


@once
def test_a_unit_on_its_own() -> None:
    x = keras.Input((9, 9, 8))
    for unit_fn, version in ((slim.bottleneck_v1, 1), (slim.bottleneck_v2, 2)):
        model = keras.Model(x, unit_fn(unit_fn(x, 8, 2, stride=2), 16, 4, 1, rate=2, scope="next"))
        assert model.output_shape == (None, 5, 5, 16)
        model.get_layer(f"bottleneck_v{version}_0_pool")  # 8 channels stay 8: no projection
        model.get_layer("next_0_conv")
        assert model.get_layer("next_2_conv").dilation_rate == (2, 2)
        assert run(model, images(9, 9, 8)).shape == (2, 5, 5, 16)


@once
def test_settings_of_keras_hold() -> None:
    with data_format("channels_first"):
        net, points = tiny(2, keras.Input((3, 64, 64)), 5, global_pool=False, spatial_squeeze=False)
        assert net.shape == points["predictions"].shape == (None, 5, 2, 2)
        scores = run(keras.Model(points["resnet/logits"], points["predictions"]), images(5, 2, 2))
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
        assert tiny(2, keras.Input((3, 64, 64)), 5)[0].shape == (None, 5)
    with dtype_policy("mixed_bfloat16"):
        x = keras.Input((64, 64, 3))
        net, points = tiny(1, x, 5)
        assert points["resnet/block4"].dtype == "bfloat16"
        assert net.dtype == points["predictions"].dtype == "float32"
        total = run(keras.Model(x, points["predictions"]), images()).sum(-1)
        np.testing.assert_allclose(total, 1, atol=1e-5)
