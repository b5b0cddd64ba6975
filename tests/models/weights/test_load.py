"""load_weights: every tensor accounted for, all of it or nothing, and what a mismatch is told."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import LoadReport, load_weights, slim, transfer, variants
from keras_resnet.checkpoints.families.tf_slim import SLIM_VARIABLES
from keras_resnet.checkpoints.formats.tensorflow.bundle import Bundle
from tests.helpers.nets import assert_close, dtype_policy, images, randomise, run, thin
from tests.helpers.tf_writer import write_v1, write_v2

once = pytest.mark.one_backend
GOLDENS = Path(__file__).parents[2] / "goldens" / "slim"
V1, V2 = GOLDENS / "v1_2222" / "model.ckpt", GOLDENS / "v2_2222" / "model.ckpt"
SCOPE = "resnet_v1_small"


def build(
    version: int = 1, classes: int | None = 10, units: tuple[int, ...] = (2, 2, 2, 2), name: str = "net", **rest: Any
) -> keras.Model:
    """A network of the goldens' widths."""
    x = keras.Input((33, 33, rest.pop("channels", 3)))
    block: Any = slim.resnet_v1_block if version == 1 else slim.resnet_v2_block
    blocks = [block(f"block{i}", 2 << i, count, 2 if i < 4 else 1) for i, count in enumerate(units, 1)]
    net: Any = slim.resnet_v1 if version == 1 else slim.resnet_v2
    return keras.Model(x, net(x, blocks, classes, **rest)[0], name=name)


def arrays(source: Path = V1) -> dict[str, Any]:
    bundle = Bundle.open(source)
    return {name: bundle.read(name) for name in bundle.shapes}


def weights(model: keras.Model) -> dict[str, Any]:
    return {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}


def refused(model: keras.Model, source: Any, message: str, **rest: Any) -> list[str]:
    """The lines of the refusal; no bit of the model has changed."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)) as raised:
        load_weights(model, source, **rest)
    assert all(map(np.array_equal, before, model.get_weights()))
    return re.findall(r"^  ([+-] .*)$", str(raised.value), re.MULTILINE)


@pytest.mark.parametrize("version", [1, 2])
def test_every_weight_and_every_tensor_is_accounted_for(version: int) -> None:
    """Of a file in the public ones' format, which holds more than a network."""
    source = GOLDENS / f"v{version}_2222" / "public_like_v1format.ckpt"
    model = build(version)
    report = load_weights(model, source)
    assert isinstance(report, LoadReport)
    assert report.loaded == tuple(weight.path for weight in model.weights)
    assert report.left == ()
    scope = f"resnet_v{version}_small"
    assert set(report.unused) == {"global_step"} | ({f"{scope}/mean_rgb"} if version == 1 else set())
    assert report.adapted == ()
    assert str(report) == f"{len(model.weights)} weights loaded, 0 left as they were, {3 - version} tensors unused"
    values = arrays(source)
    np.testing.assert_array_equal(model.get_layer("predictions").kernel, values[f"{scope}/logits/weights"][0, 0])
    again = build(version)
    load_weights(again, GOLDENS / f"v{version}_2222" / "model.ckpt.index")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


@once
def test_slots_averages_and_steps_are_told_by_exact_names(tmp_path: Path) -> None:
    values = arrays()
    extra = {
        f"{name}/{slot}": value * 9
        for name, value in values.items()
        for slot in ("Momentum", "ExponentialMovingAverage")
    }
    extra |= {
        "global_step": np.array(7, "i8"),
        "beta1_power": np.array(0.9, "f4"),
        f"{SCOPE}/mean_rgb": np.ones(3, "f4"),
    }
    model = build()
    report = load_weights(model, write_v2(tmp_path / "train.ckpt", values | extra))
    assert set(report.unused) == set(extra)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), reference().get_weights(), strict=True))


def reference() -> keras.Model:
    model = build()
    load_weights(model, V1)
    return model


@once
def test_a_missing_tensor_is_listed(tmp_path: Path) -> None:
    values = arrays()
    for name in (gone := [f"{SCOPE}/block2/unit_1/bottleneck_v1/conv2/weights", f"{SCOPE}/conv1/BatchNorm/beta"]):
        del values[name]
    lines = refused(build(), write_v2(tmp_path / "a", values), "which did not change")
    assert lines == [f"- {gone[0]} (3, 3, 8, 8)", f"- {gone[1]} (64,)"]


@once
def test_an_extra_tensor_is_listed(tmp_path: Path) -> None:
    extra = f"{SCOPE}/block2/unit_1/bottleneck_v1/conv2/biases"
    lines = refused(build(), write_v2(tmp_path / "a", arrays() | {extra: np.ones(8, "f4")}), "Those left over may be")
    assert lines == [f"+ {extra} (8,)"]


@once
def test_another_shape_is_listed_with_both(tmp_path: Path) -> None:
    name = f"{SCOPE}/block4/unit_2/bottleneck_v1/conv1/weights"
    lines = refused(
        build(), write_v1(tmp_path / "a", arrays() | {name: np.ones((1, 1, 128, 16), "f4")}), "Check that widths"
    )
    assert lines == [f"- {name} (1, 1, 128, 32)", f"+ {name} (1, 1, 128, 16)"]


@once
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float, tmp_path: Path) -> None:
    values = arrays()
    values[f"{SCOPE}/conv1/BatchNorm/gamma"][3] = value
    lines = refused(build(), write_v2(tmp_path / "a", values), "diverged")
    assert lines == [f"+ {SCOPE}/conv1/BatchNorm/gamma (64,): not finite"]


@once
def test_numbers_that_a_variable_cannot_hold_are_refused(tmp_path: Path) -> None:
    values, name = arrays(), f"{SCOPE}/conv1/BatchNorm/moving_variance"
    source = write_v2(tmp_path / "a", values | {name: np.full(64, 1e6, "f4")})
    with dtype_policy("float16"):
        lines = refused(build(), source, "finite floats in the range of the model's dtype")
    assert lines == [f"+ {name} (64,): too large for float16"]
    with dtype_policy("mixed_float16"):
        assert load_weights(build(), source).left == ()
    whole = write_v2(tmp_path / "b", values | {name: np.ones(64, "i4")})
    assert refused(build(), whole, "finite floats in the range of the model's dtype") == [
        f"+ {name} (64,): int32 is not a floating-point type"
    ]


@once
def test_the_probable_cause_is_named(tmp_path: Path) -> None:
    lines = refused(build(1), V2, r"and \d+ more\nThe file looks like a v2 network, and the model is a v1 network")
    assert len(lines) == 20
    assert lines == sorted(lines, key=lambda line: (line[2:].split()[0], line[0] == "+"))
    refused(build(2), V1, "The file looks like a v1 network, and the model is a v2 network")
    deep = GOLDENS / "v1_3463" / "model.ckpt"
    refused(
        build(),
        deep,
        r"The stages of the file have \(3, 4, 6, 3\) blocks, as in ResNet34 and ResNet50, "
        r"those of the model \(2, 2, 2, 2\)",
    )
    refused(build(units=(3, 4, 23, 3)), deep, r"as in ResNet34 and ResNet50, those of the model \(3, 4, 23, 3\)")
    told = r"The file has 10 classes. Pass classes=10 \(in keras_resnet.slim num_classes=10\), or include_top=False"
    lines = refused(build(classes=12), V1, told)
    assert [line.split(" ", 2)[2] for line in lines] == ["(12,)", "(10,)", "(1, 1, 128, 12)", "(1, 1, 128, 10)"]
    headless = {name: value for name, value in arrays().items() if "logits" not in name}
    refused(
        build(),
        write_v2(tmp_path / "a", headless),
        "The file has no classifier. Pass include_top=False.*allow_missing=",
    )
    stem = {f"{SCOPE}/conv1/weights": np.ones((3, 3, 3, 64), "f4")}
    refused(build(), write_v2(tmp_path / "c", arrays() | stem), "The stems differ")
    refused(build(channels=64, include_root_block=False, units=(2, 2, 2)), V1, "The stages of the file have")


@once
def test_a_failure_while_weights_are_set_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    last = model.weights[-1]
    before = weights(model)
    assign = type(last).assign

    def failing(variable: Any, value: Any) -> Any:
        if variable is last and not np.array_equal(value, before[last.path]):
            raise MemoryError
        return assign(variable, value)

    monkeypatch.setattr(type(last), "assign", failing)
    with pytest.raises(MemoryError):
        load_weights(model, V1)
    after = weights(model)
    assert all(np.array_equal(before[path], after[path]) for path in before)


@once
def test_allow_missing_leaves_whole_layers_as_they_are(tmp_path: Path) -> None:
    model = build(classes=12)
    before = weights(model)
    report = load_weights(model, V1, allow_missing=["predictions"])
    assert report.left == ("predictions/kernel", "predictions/bias")
    assert {f"{SCOPE}/logits/weights", f"{SCOPE}/logits/biases"} == set(report.unused)
    assert all(np.array_equal(before[path], weights(model)[path]) for path in report.left)
    values = arrays()
    del values[f"{SCOPE}/conv1/BatchNorm/beta"]
    report = load_weights(build(), write_v2(tmp_path / "a", values), allow_missing=("conv1_bn",))
    assert len(report.left) == 4
    assert load_weights(build(), V1, allow_missing=("predictions",)).left == ()
    refused(
        build(),
        V1,
        "`allow_missing` must be one of 'conv1_conv', .*Did you mean 'predictions'",
        allow_missing="prediction",
    )


@once
def test_parts_that_the_model_lacks_are_unused() -> None:
    """Classifier, root, postnorm and what is behind a cut; but a network with an end was not cut."""
    body = keras.Model((net := build(2)).input, keras_resnet.end_points(net, "n")["n/block4"])
    report = load_weights(body, V2)
    scope = "resnet_v2_small"
    norm = {f"{scope}/postnorm/{name}" for name in ("beta", "gamma", "moving_mean", "moving_variance")}
    assert set(report.unused) == norm | {f"{scope}/logits/weights", f"{scope}/logits/biases"}
    assert report.left == ()
    net = build(2)
    cut = keras.Model(net.input, keras_resnet.end_points(net, "n")["n/block3/unit_1/bottleneck_v2/conv2"])
    report = load_weights(cut, V2)
    behind = "block3/unit_1/.*(conv3|shortcut)|block3/unit_2|block4|postnorm|logits"
    assert all(re.search(behind, name) for name in report.unused)
    assert len(report.loaded) + len(report.unused) == len(Bundle.open(V2).shapes)
    rootless = build(2, channels=64, include_root_block=False)
    assert {name.split("/")[1] for name in load_weights(rootless, V2).unused} == {"conv1"}
    refused(build(1, units=(2, 2, 2, 1)), V1, "The stages of the file have")


@once
def test_a_network_inside_a_larger_model() -> None:
    """Beside layers of one's own, nested, wrapped, and in a model that holds several."""
    net = build(classes=None)
    x = keras.layers.Flatten()(net.output)
    model = keras.Model(net.input, keras.layers.Dense(3, name="mine")(x))
    report = load_weights(model, V1)
    assert report.left == ("mine/kernel", "mine/bias")
    expected = run(keras.Model(net.input, net.output), images(33, 33))

    nested = keras.Sequential([keras.Input((33, 33, 3)), build(classes=None), keras.layers.Flatten()])
    assert load_weights(nested, V1).left == ()
    assert_close(run(nested, images(33, 33)), expected.reshape(2, -1), 1e-6)
    frames = keras.Input((2, 33, 33, 3))
    wrapped = keras.Model(frames, keras.layers.TimeDistributed(build(classes=None))(frames))
    assert load_weights(wrapped, V1).left == ()

    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.other = build(classes=None), build(classes=None, name="other")
            self.scale = self.add_weight(name="scale")

    assert {path.split("/")[0] for path in load_weights(Own(), V1, scope="other").loaded} == {"other"}
    report = load_weights(Own(), V1, scope="net")
    assert len(set(report.loaded + report.left)) == len(report.loaded + report.left) == 2 * len(net.weights) + 1

    one, two = build(classes=None, scope="one"), build(2, classes=None, scope="two", name="net2")
    both = keras.Model(image := keras.Input((33, 33, 3)), [one(image), two(image)])
    refused(both, V1, "`scope` must be one of 'one', 'two'; received None")
    same = keras.Model(image, [build(classes=None, scope="one", name=name)(image) for name in ("a", "b")])
    refused(same, V1, "`scope` 'one' names 2 networks in", scope="one")
    twice = keras.Model(
        image, [(shared := build(classes=None, name="shared"))(image), shared(keras.layers.ReLU()(image))]
    )
    assert load_weights(twice, V1).left == ()
    report = load_weights(both, V2, scope="two")
    assert len(report.loaded) == len(two.weights)
    assert len(report.left) == len(one.weights)


@once
def test_a_file_of_several_networks(tmp_path: Path) -> None:
    values = arrays()
    other = {f"other/{name.partition('/')[2]}": value + 1 for name, value in values.items()}
    both = write_v2(tmp_path / "both", values | other)
    model = build()
    refused(model, both, "`source`: .* holds several networks. Pass scope='other' or scope='resnet_v1_small'.")
    assert set(load_weights(model, both, scope="other").unused) == set(values)
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv1_conv").kernel)
    np.testing.assert_array_equal(kernel, other["other/conv1/weights"])
    named = build(scope=SCOPE)
    assert set(load_weights(named, both).unused) == set(other)
    rest: dict[str, Any] = {"input_shape": (33, 33, 3), "classes": 10, "name": "other"}
    built = keras_resnet.ResNet(variant(1), weights=both, **rest)
    np.testing.assert_array_equal(built.get_layer("conv1_conv").kernel, other["other/conv1/weights"])
    x = keras.Input((33, 33, 3))
    single = keras.Model(x, slim.resnet_v2(x, [slim.resnet_v2_block("block1", 4, 1, 2)], 5)[0])
    assert f"{single.name}/block1" in keras_resnet.end_points(single)
    refused(build(scope="one"), V1, "`scope` must be one of 'one', 'resnet_v1_small'; received 'typo'", scope="typo")
    plain = {name.partition("/")[2]: value for name, value in values.items()}
    inner = {f"{SCOPE}/b/{name}": value for name, value in plain.items()}
    assert set(load_weights(build(), write_v2(tmp_path / "inner", values | inner), scope=SCOPE).unused) == set(inner)
    assert load_weights(build(), write_v2(tmp_path / "bare", plain)).unused == ()
    refused(
        build(),
        write_v2(tmp_path / "none", {"dense/kernel": np.ones((2, 2), "f4")}),
        "holds no ResNet with tensor names of .*; it holds 'dense/kernel'",
    )
    assert load_weights(build(), write_v2(tmp_path / "plain", {f"a/b/{k}": v for k, v in plain.items()})).left == ()


@once
def test_what_is_no_checkpoint_or_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.h5").write_bytes(b"no")
    refused(build(), tmp_path / "net.h5", "net.h5' is not a weights file of Keras .*, PyTorch")
    for source in (tmp_path / "absent", 5):
        refused(build(), source, "`source` must be the path of an existing weights file, the prefix")
    refused(build(), GOLDENS, "`source`: .*slim' is a folder without a weights file. It holds 'manifest.json'")
    (tmp_path / "cut.index").write_bytes(V1.with_name("model.ckpt.index").read_bytes())
    refused(build(), tmp_path / "cut", "cut.* can't be read .* there is no file .*cut.data-00000-of-00001")
    mine = keras.Model(x := keras.Input((4,)), keras.layers.Dense(2)(x), name="mine")
    refused(mine, V1, "`model` must be a ResNet of this package or of keras.applications; received 'mine'")
    keras_style = keras_resnet.ResNet(thin(variants.RESNET50V2), input_shape=(64, 64, 3))
    refused(keras_style, V2, "is a file of TF-Slim, of style 'slim'; 'resnet50v2' is built in style 'keras'")
    rootless = dataclasses.replace(thin(variants.RESNET50V2), stem=None)
    refused(keras_resnet.ResNet(rootless, input_shape=(64, 64, 64)), V2, "is built in style 'keras'")


def variant(version: int) -> variants.Variant:
    published = variants.RESNET50 if version == 1 else variants.RESNET50V2
    return dataclasses.replace(published, units=(2, 2, 2, 2), widths=(4, 8, 16, 32))


@once
def test_a_builder_takes_a_checkpoint_and_its_style(tmp_path: Path) -> None:
    x = images(65, 65)
    for version, source in ((1, V1), (2, V2)):
        rest: dict[str, Any] = {"input_shape": (65, 65, 3), "classes": 10}
        model = keras_resnet.ResNet(variant(version), weights=str(source), **rest)
        explicit = keras_resnet.ResNet(variant(version), style="slim", **rest)
        load_weights(explicit, source)
        np.testing.assert_array_equal(run(model, x), run(explicit, x))
        with pytest.raises(
            ValueError,
            match="`style` must be one of None, 'slim'; received 'keras'. These are the styles of the weights",
        ):
            keras_resnet.ResNet(variant(version), weights=source, style="keras", **rest)
        body = keras_resnet.ResNet(variant(version), False, source, input_shape=(65, 65, 3), pooling="avg")
        assert body.output_shape == (None, 128)
    image = keras.Input((65, 65, 3))
    before, _ = slim.resnet_v1_50(image, scope="before", depth_multiplier=1 / 16, min_base_depth=1, global_pool=False)
    picture = keras.layers.UpSampling2D(16)(keras.layers.Conv2D(3, 1)(before))
    behind = keras_resnet.ResNet(variant(1), True, V1, picture, classes=10)
    kernel = keras.ops.convert_to_numpy(behind.get_layer("conv2_block1_1_conv").kernel)
    np.testing.assert_array_equal(kernel, arrays()[f"{SCOPE}/block1/unit_1/bottleneck_v1/conv1/weights"])
    with pytest.raises(
        ValueError, match="(?s)`weights`: .*v2_2222.* does not fit 'resnet50'.*The file looks like a v2 network"
    ):
        keras_resnet.ResNet50(weights=V2)
    fewer = dataclasses.replace(variant(1), units=(2, 2, 2, 1))
    for top in (True, False):  # a builder's network was not cut from a larger one
        with pytest.raises(ValueError, match="The stages of the file have"):
            keras_resnet.ResNet(fewer, top, V1, input_shape=(65, 65, 3), classes=10)


@once
def test_transfer_from_a_checkpoint_builds_its_style() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 65, 65, 3)).astype("float32")
    for version, source in ((1, V1), (2, V2)):
        build = functools.partial(keras_resnet.ResNet, variant(version))
        model = transfer.classifier(build, 3, 65, weights=source)
        body = build(False, source, input_shape=(65, 65, 3), pooling="avg", include_preprocessing=True)
        np.testing.assert_array_equal(
            run(keras.Model(model.input, model.get_layer("avg_pool").output), x), run(body, x)
        )


@once
def test_a_file_of_1001_classes_is_told_to_a_builder_of_1000(tmp_path: Path) -> None:
    values = arrays(V2)
    values["resnet_v2_small/logits/weights"] = np.zeros((1, 1, 128, 1001), "f4")
    values["resnet_v2_small/logits/biases"] = np.arange(1001, dtype="f4")
    source = write_v1(tmp_path / "resnet_v2_small.ckpt", values)
    with pytest.raises(ValueError, match="Pass classes=1001 "):
        keras_resnet.ResNet(variant(2), weights=source, input_shape=(33, 33, 3))
    model = keras_resnet.ResNet(variant(2), weights=source, input_shape=(33, 33, 3), classes=1001)
    np.testing.assert_array_equal(model.get_layer("predictions").bias, np.arange(1001))


@once
def test_a_custom_block_scope_is_found_in_the_file(tmp_path: Path) -> None:
    x = keras.Input((33, 33, 3))
    block = slim.resnet_v1_block("entry", 4, 2, 1)
    model = randomise(keras.Model(x, slim.resnet_v1(x, [block], 2)[0]))
    values = {
        f"net/{theirs}/{SLIM_VARIABLES[weight.name]}": keras.ops.convert_to_numpy(weight)
        for theirs, layer in (
            ("conv1", "conv1_conv"),
            ("conv1/BatchNorm", "conv1_bn"),
            ("logits", "predictions"),
            *(
                (f"entry/unit_{unit}/bottleneck_v1/{part}{norm}", f"entry_block{unit}_{number}_{kind}")
                for unit, number, part in ((1, 0, "shortcut"), *((u, i, f"conv{i}") for u in (1, 2) for i in (1, 2, 3)))
                for norm, kind in (("", "conv"), ("/BatchNorm", "bn"))
            ),
        )
        for weight in model.get_layer(layer).weights
    }
    values["net/logits/weights"] = values["net/logits/weights"][None, None]
    again = keras.Model(x, slim.resnet_v1(x, [block], 2)[0])
    assert load_weights(again, write_v2(tmp_path / "a", values)).left == ()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
