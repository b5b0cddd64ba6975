"""Any set of arguments builds what it says, or raises a ValueError that names an argument that is to blame.

Which sets are refused follows from `RULES`, written from the contract and sharing no code with the package. Widths are
fixed and few, so that building is cheap. `HYPOTHESIS_EXAMPLES=2000` draws more than the default.
"""

import dataclasses
import inspect
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.applications import resnet as applications
from keras.src.applications.resnet import stack_residual_blocks_v1, stack_residual_blocks_v2

import keras_resnet
from keras_resnet.architecture.lineages import LINEAGES
from keras_resnet.architecture.rows import RESNET50, RESNET50V2
from keras_resnet.architecture.variant import Attention, Stem, Variant
from tests.helpers.nets import randomise

pytestmark = pytest.mark.one_backend
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "200"))
# The same draws every time in CI; others each time when asked for a number.
SETTINGS: dict[str, Any] = {"deadline": None, "database": None, "derandomize": "HYPOTHESIS_EXAMPLES" not in os.environ}
Draw = dict[str, Any]

WIDTHS = (8, 12, 16, 24)
STEMS = {"imagenet": Stem(7, 8, 2), "cifar": Stem(3, 8, 1, pool=False), "rootless": None, "mine": Stem(5, 8, 3)}


# What a draw takes at random, each first value being harmless, and what it takes where it is to be wrong.
GOOD: dict[str, list[Any]] = {
    "version": [1, 2],
    "block": ["basic", "bottleneck"],
    "units": [(1, 1, 1, 1), (2, 1, 2), (1, 2), (2,)],
    "stem": list(STEMS),
    "own_style": ["keras", "torch", "slim"],
    "groups": [1, 2],
    "base_width": [64, 32],
    "shortcut": ["B", "A", "C", None],
    "first_activation": ["unit", "split"],
    "attention": [None, Attention("se"), Attention("eca"), Attention("se", relu=True)],
    # Of more than these, `tests/models/test_kinds.py` has networks: they allow few sizes, widths or strides.
    "norm": ["batch"],
    "antialias": [None],
    "first_stride": [1],
    "sides": [(16, 17), (1, 1), (7, 6), (33, 32), (None, None), (None, 20)],
    "channels": [3, 3, 1, 5],
    "tensor": [False, True],  # whether the shape comes as input_tensor
    "name": [None, "mine"],
    "include_top": [True, False],
    "pooling": [None, "avg", "max"],
    "classes": [10, 2],
    "classifier_activation": [None, "softmax", "sigmoid"],
    "output_stride": [None, 1, 2, 4, 8, 16, 32],
    "global_pool": [True, False],
    "style": [None, "keras", "torch", "slim"],
    "include_preprocessing": [False, True],
    "data_format": [None, "channels_last", "channels_first"],
    "dtype": [None, "float32", "mixed_bfloat16", "float64"],
    "dropout": [0.0, 0, 0.5],
    "drop_path": [0.0, 0, 0.2],
    "zero_init_residual": [False, True],
    "kernel_regularizer": [None, "l2", keras.regularizers.L2(1e-4)],
    "weights": [None],
    "scope": [None],
    "head": [None],
}
TOP = {"include_top": True}
BAD: dict[str, list[Draw]] = {
    "first_activation": [{"first_activation": "split", "version": 1}],
    "attention": [{"attention": Attention("se", relu=True), "version": 2}],
    "groups": [{"block": "basic", "groups": 2}, {"groups": 0}],
    "base_width": [{"block": "basic", "base_width": 32}, {"block": "bottleneck", "base_width": 1}],
    "input_shape": [
        *({"channels": channels, "tensor": False} for channels in (0, None, 2.5)),
        *({"sides": sides, "tensor": False} for sides in ((0, 4), (4, -1), (4.5, 4), ("4", 4), (4,), (4, 4, 4))),
    ],
    "pooling": [{"pooling": value} for value in ("AVG", 0, "mean")],
    "classes": [TOP | {"classes": value} for value in (0, -1, 2.0, "10", None, True)],
    "classifier_activation": [TOP | {"classifier_activation": "softmaxx"}],
    "output_stride": [{"output_stride": value} for value in (0, -8, 3, 6, 7, 64, 1.5, True, "8", 1, 2, 32)],
    "global_pool": [{"global_pool": value} for value in (None, 1, "avg")]
    + [{"global_pool": False, "include_top": False}],
    "style": [
        *({"style": value} for value in ("Keras", "tf", 1)),
        {"style": "slim", "own_style": "torch", "groups": 2},
    ],
    "include_preprocessing": [
        {"include_preprocessing": 0},
        {"include_preprocessing": "yes"},
    ],
    "data_format": [{"data_format": "NHWC"}, {"data_format": 1}],
    "dtype": [{"dtype": value} for value in ("int32", "half", 16)],
    "dropout": [{"dropout": value} for value in (1.0, -0.1, True, "0.5", math.nan)]
    + [{"dropout": 0.5, "include_top": False}],
    "drop_path": [{"drop_path": value} for value in (1, -1, False, None, math.inf)]
    + [{"drop_path": 0.2, "shortcut": None}],
    "zero_init_residual": [{"zero_init_residual": 1}, {"zero_init_residual": True, "shortcut": None}],
    "kernel_regularizer": [{"kernel_regularizer": "l9"}, {"kernel_regularizer": 0.1}],
    "weights": [{"weights": "imagenet"}, {"weights": "nowhere.h5"}],
    "scope": [{"scope": "model_ema"}],
    "head": [{"head": "fc"}],
    "shortcut": [{"shortcut": "A", "stem": "rootless", "channels": 40}],
}


@st.composite
def draws(draw: st.DrawFn, faults: tuple[str, ...] | None = None) -> Draw:
    """A set of arguments; one in three, or those of given faults, may be wrong in an argument or two."""
    arguments = {name: draw(st.sampled_from(values)) for name, values in GOOD.items()}
    if faults is None:
        names = st.lists(st.sampled_from(list(RULES)), min_size=1, max_size=2)
        faults = tuple(draw(names)) if draw(st.integers(0, 2)) == 2 else ()
    for fault in faults:
        arguments |= draw(st.sampled_from(BAD[fault]))
    for argument, rule in RULES.items():  # good values may contradict each other: then the harmless one
        if argument not in faults and rule(arguments):
            arguments[argument] = GOOD[argument][0]
    return arguments


def is_rate(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


def reachable(draw: Draw) -> list[int]:
    """The stem's stride, doubled by every stage but the first."""
    stem = {"imagenet": 4, "cifar": 1, "rootless": 1, "mine": 6}[draw["stem"]]
    return [stem * 2**i for i in range(len(draw["units"]))]


def style(draw: Draw) -> str:
    return str(draw["style"] or draw["own_style"])


def styles(draw: Draw) -> set[str | None]:
    """All for plain networks; for others their own and PyTorch's, and for ResNeXts that of keras-applications."""
    grouped, gated = draw["groups"] != 1, draw["attention"] is not None
    if not (grouped or gated or draw["base_width"] != 64):
        return {None, "keras", "torch", "slim"}
    resnext = {"keras"} if grouped and not gated and draw["version"] == 1 else set()
    return {None, "torch", draw["own_style"]} | resnext


def shrinks(draw: Draw) -> bool:
    """Whether the first unit would have to drop channels under option A; later ones widen."""
    out = 4 * WIDTHS[0] if draw["block"] == "bottleneck" else WIDTHS[0]
    return bool((draw["channels"] if draw["stem"] == "rootless" else 8) > out)


# Argument: is this draw refused on its account?
RULES: dict[str, Callable[[Draw], bool]] = {
    "first_activation": lambda d: d["first_activation"] == "split" and d["version"] == 1,
    "attention": lambda d: d["attention"] is not None and d["attention"].relu and d["version"] == 2,
    "groups": lambda d: d["groups"] < 1 or (d["block"] == "basic" and d["groups"] != 1),
    "base_width": lambda d: d["base_width"] == 1 or (d["block"] == "basic" and d["base_width"] != 64),
    "input_shape": lambda d: (
        d["channels"] in (0, None, 2.5)
        or len(d["sides"]) != 2
        or any(side is not None and (type(side) is not int or side < 1) for side in d["sides"])
    ),
    "pooling": lambda d: d["pooling"] not in (None, "avg", "max"),
    "classes": lambda d: d["include_top"] and (type(d["classes"]) is not int or d["classes"] < 1),
    "classifier_activation": lambda d: (
        d["include_top"]
        and d["classifier_activation"] in (("softmaxx",) if d["weights"] is None else ("softmaxx", "sigmoid"))
    ),
    "output_stride": lambda d: (
        d["output_stride"] is not None
        and (type(d["output_stride"]) is not int or d["output_stride"] not in reachable(d))
    ),
    "global_pool": lambda d: type(d["global_pool"]) is not bool or not (d["global_pool"] or d["include_top"]),
    "style": lambda d: d["style"] not in styles(d),
    "include_preprocessing": lambda d: type(d["include_preprocessing"]) is not bool,
    "data_format": lambda d: d["data_format"] not in (None, "channels_last", "channels_first"),
    "dtype": lambda d: d["dtype"] not in (None, "float32", "mixed_bfloat16", "float64"),
    "dropout": lambda d: not is_rate(d["dropout"]) or (d["dropout"] > 0 and not d["include_top"]),
    "drop_path": lambda d: not is_rate(d["drop_path"]) or (d["drop_path"] > 0 and d["shortcut"] is None),
    "zero_init_residual": lambda d: (
        type(d["zero_init_residual"]) is not bool or (d["zero_init_residual"] and d["shortcut"] is None)
    ),
    "kernel_regularizer": lambda d: d["kernel_regularizer"] in ("l9", 0.1),
    "weights": lambda d: d["weights"] is not None,
    "scope": lambda d: d["scope"] is not None,
    "head": lambda d: d["head"] is not None,
    "shortcut": lambda d: d["shortcut"] == "A" and shrinks(d),
}


def build(draw: Draw) -> keras.Model:
    d = dict(draw)
    variant = Variant(
        name="drawn",
        version=d.pop("version"),
        block=d.pop("block"),
        units=d["units"],
        widths=WIDTHS[: len(d.pop("units"))],
        stem=STEMS[d.pop("stem")],
        lineage=LINEAGES[d.pop("own_style"), draw["version"]],
        groups=d.pop("groups"),
        base_width=d.pop("base_width"),
        shortcut=d.pop("shortcut"),
        first_activation=d.pop("first_activation"),
        attention=d.pop("attention"),
        norm=d.pop("norm"),
        antialias=d.pop("antialias"),
        first_stride=d.pop("first_stride"),
    )
    sides, channels = d.pop("sides"), d.pop("channels")
    shape = (channels, *sides) if d["data_format"] == "channels_first" else (*sides, channels)
    d |= {"input_tensor": keras.Input(shape)} if d.pop("tensor") else {"input_shape": shape}
    return keras_resnet.ResNet(variant, **d)


def expected_shape(draw: Draw, sides: tuple[int, int]) -> tuple[int, ...]:
    """What comes out of two images with these sides."""
    stride = draw["output_stride"] or reachable(draw)[-1]
    height, width = (-(-side // stride) for side in sides)
    channels = WIDTHS[len(draw["units"]) - 1] * (4 if draw["block"] == "bottleneck" else 1)
    if draw["include_top"]:
        channels = draw["classes"]
    if draw["global_pool"] if draw["include_top"] else draw["pooling"]:
        return (2, channels)
    return (2, channels, height, width) if draw["data_format"] == "channels_first" else (2, height, width, channels)


def names(argument: str, error: ValueError) -> bool:
    """Whether a message names an argument as such, `argument`, `argument=...` or `Variant.argument`."""
    return re.search(rf"`(Variant\.)?{argument}\b", str(error)) is not None


built = refused = 0


@settings(max_examples=EXAMPLES, **SETTINGS)
@given(draws())
def check_one_draw(draw: Draw) -> None:
    global built, refused
    to_blame = [argument for argument, rule in RULES.items() if rule(draw)]
    if to_blame:
        refused += 1
        with pytest.raises(ValueError, match=".") as error:
            build(draw)
        assert any(names(argument, error.value) for argument in to_blame), (to_blame, str(error.value))
        return
    built += 1
    model = build(draw)
    assert model.name == (draw["name"] or "drawn")
    sides = tuple(side or 18 for side in draw["sides"])
    channels = draw["channels"]
    shape = (channels, *sides) if draw["data_format"] == "channels_first" else (*sides, channels)
    x = np.random.default_rng(0).uniform(0, 255 if draw["include_preprocessing"] else 1, (2, *shape))
    x = x.astype("float32")
    output = keras.ops.convert_to_numpy(model([x] if draw["tensor"] else x, training=False))
    assert output.shape == expected_shape(draw, (sides[0], sides[1]))
    assert np.isfinite(output.astype("float32")).all()
    assert [(weight.path, weight.shape) for weight in model.weights] == weights_of_the_plain_call(draw)
    assert bool(model.losses) == (draw["kernel_regularizer"] is not None)


def weights_of_the_plain_call(draw: Draw) -> list[Any]:
    """The list that every set of keywords must leave as it is."""
    keywords = {"output_stride", "include_preprocessing", "data_format", "dtype", "dropout", "drop_path"}
    keywords |= {"zero_init_residual", "kernel_regularizer", "global_pool", "pooling", "classifier_activation"}
    plain = {key: value for key, value in draw.items() if key not in keywords}
    if draw["include_preprocessing"] and draw["channels"] == 1:
        plain["channels"] = 3  # gray images become RGB
    return [(weight.path, weight.shape) for weight in build({"data_format": None, **plain}).weights]


def test_every_set_of_arguments_builds_what_it_says_or_names_the_argument_to_blame() -> None:
    check_one_draw()
    assert built + refused >= EXAMPLES
    assert built >= refused, f"only {built} of {built + refused} draws could be built: the test would see little"
    print(f"{built} built, {refused} refused")


@pytest.mark.parametrize("argument", RULES)
def test_every_rule_refuses_by_itself(argument: str) -> None:
    """A test of the test: a rule that never applies alone would hide what the package lets through."""
    alone = []

    @settings(max_examples=12, **SETTINGS)
    @given(draws(faults=(argument,)))
    def check(draw: Draw) -> None:
        if [name for name, rule in RULES.items() if rule(draw)] == [argument]:
            alone.append(draw)
            with pytest.raises(ValueError, match=".") as error:
                build(draw)
            assert names(argument, error.value)

    check()
    assert alone


def test_the_draws_are_over_all_arguments() -> None:
    fields = {field.name for field in dataclasses.fields(Variant)} - {"name", "widths", "lineage"} | {"own_style"}
    arguments = set(inspect.signature(keras_resnet.ResNet).parameters) - {"variant", "input_shape", "input_tensor"}
    assert set(GOOD) == fields | arguments | {"sides", "channels", "tensor"}


@pytest.fixture(scope="module", params=[1, 2])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Variant, Path, Any]:
    """A thin network of keras.applications' own code, and its file."""
    blocks = stack_residual_blocks_v1 if request.param == 1 else stack_residual_blocks_v2
    units, widths = (2, 3, 2), WIDTHS[:3]

    def stages(x: Any) -> Any:
        for stage, (count, width) in enumerate(zip(units, widths, strict=True)):
            if request.param == 1:
                x = blocks(x, width, count, stride1=1 if stage == 0 else 2, name=f"conv{stage + 2}")
            else:
                x = blocks(x, width, count, stride1=1 if stage == 2 else 2, name=f"conv{stage + 2}")
        return x

    theirs = randomise(
        applications.ResNet(stages, preact=request.param == 2, use_bias=True, name="thin", weights=None, classes=10)
    )
    path = tmp_path_factory.mktemp("published") / "thin.weights.h5"
    theirs.save_weights(path)
    row = RESNET50 if request.param == 1 else RESNET50V2
    return dataclasses.replace(row, units=units, widths=widths), path, theirs.get_weights()


KEYWORDS = {name for name, p in inspect.signature(keras_resnet.ResNet).parameters.items() if p.kind is p.KEYWORD_ONLY}


def test_a_file_of_keras_applications_loads_under_every_set_of_keywords(published: tuple[Variant, Path, Any]) -> None:
    variant, path, values = published

    @settings(max_examples=EXAMPLES // 4, **SETTINGS)
    @given(st.fixed_dictionaries({keyword: st.sampled_from(GOOD[keyword]) for keyword in sorted(KEYWORDS - {"style"})}))
    def check(keywords: Draw) -> None:
        keywords |= {"output_stride": {1: 4, 2: 8, 32: None}.get(keywords["output_stride"], keywords["output_stride"])}
        first = keywords["data_format"] == "channels_first"
        shape = (3, None, 40) if first else (None, 40, 3)
        model = keras_resnet.ResNet(variant, weights=path, input_shape=shape, classes=10, **keywords)
        for mine, theirs in zip(model.get_weights(), values, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    check()
