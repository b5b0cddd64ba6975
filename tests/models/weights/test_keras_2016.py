"""Files of keras.applications' ResNet50 of 2016 to 2019 give its outputs, or say whose they are.

The goldens are outputs of keras-applications 1.0.5 and 1.0.7 themselves, see tests/goldens/README.md.
"""

import dataclasses
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import keras_resnet
from keras_resnet.architecture.detect import networks_of_config
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import NETWORKS, RESNET50, RESNET101
from keras_resnet.architecture.variant import Stem
from keras_resnet.checkpoints.contents import read_networks
from keras_resnet.checkpoints.families import keras_2016
from keras_resnet.checkpoints.open import open_source
from keras_resnet.export.convert_weights import convert, recognize
from keras_resnet.models.inspection import find_network
from keras_resnet.models.weights.load import load_weights
from tests.helpers.bounds import bounded
from tests.helpers.nets import assert_close, images, randomise, run, with_style

pytestmark = pytest.mark.one_backend
GOLDENS = Path(__file__).parents[2] / "goldens" / "keras_2016"
STYLES = {"keras_2016": "1.0.5", "keras_2018": "1.0.7"}
ROW = dataclasses.replace(RESNET50, name="thin", widths=(4, 8, 16, 32), stem=Stem(7, 4))
SHORT = dataclasses.replace(ROW, name="short", units=(1, 2, 1, 1))
OF_1 = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}

Arrays = dict[str, Any]


def golden(style: str) -> Arrays:
    return dict(np.load(GOLDENS / f"{STYLES[style]}.npz"))


def value(name: str, shape: tuple[int, ...]) -> Any:
    """The goldens' weights; variances are near epsilon, so that it shows."""
    rng, kind = np.random.default_rng(zlib.crc32(name.encode())), name.rpartition("/")[2]
    if kind == "moving_variance":
        array = rng.uniform(5e-4, 5e-3, shape)
    elif kind == "gamma":
        array = rng.uniform(0.03, 0.06, shape)
    elif kind == "kernel":
        array = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    else:
        array = rng.normal(0, 0.05, shape)
    return array.astype("f4")


def inputs() -> dict[int, Any]:
    rng = np.random.RandomState(1)
    return {side: rng.uniform(-1, 1, (2, side, side, 3)).astype("f4") for side in (64, 65)}


def write(path: Path, tensors: Arrays, group: str = "", config: Any = None, above: str = "") -> Path:
    """A file in the layout of Keras 1 and 2: a group a layer, and in it a tensor of a path; whole, with a config."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if config is not None or above else file
        names = [group] if group else list(dict.fromkeys(name.rpartition("/")[0] for name in tensors))
        root.attrs["layer_names"] = [name.encode() for name in names]
        root.attrs["backend"] = b"tensorflow"
        for name, array in tensors.items():
            root[f"{group or name.rpartition('/')[0]}/{name}:0"] = array
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, str | bytes) else json.dumps(config)
    return path


def theirs(row: Any, style: str = "keras_2016") -> Arrays:
    """A network's tensors by Keras 2's names."""
    model = keras_resnet.ResNet(row, style=style, classes=5, input_shape=(64, 64, 3))
    found = {}
    for ours, layer in keras_2016.modules(plan(row)).items():
        if ours in {each.name for each in model.layers}:
            for weight in model.get_layer(ours).weights:
                found[f"{layer}/{weight.name}"] = value(f"{layer}/{weight.name}", tuple(weight.shape))
    return found


def of_1(tensors: Arrays) -> Arrays:
    """The same by Keras 1's names: `conv1/conv1_W`."""
    found = {}
    for name, array in tensors.items():
        layer, _, variable = name.rpartition("/")
        found[f"{layer}/{layer}_{OF_1.get(variable, variable)}"] = array
    return found


def load(path: Path, row: Any = ROW, **more: Any) -> keras.Model:
    arguments: dict[str, Any] = {"classes": 5, "input_shape": (None, None, 3)}
    return keras_resnet.ResNet(row, weights=path, **arguments | more)


def assert_golden(model: keras.Model, held: Arrays) -> None:
    features = keras.Model(model.input, [model.output, model.layers[-2].output])
    for side, x in inputs().items():
        probabilities, means = (keras.ops.convert_to_numpy(each) for each in features(x))
        assert_close(means, held[f"features_mean_{side}"], 2e-5)
        assert_close(probabilities, held[f"probabilities_{side}"], 1e-4)


@pytest.mark.parametrize("style", STYLES)
def test_the_names_of_the_published_files_are_ours_of_then(style: str) -> None:
    held = golden(style)
    shapes = {name: json.loads(f"[{shape[1:-1].rstrip(',')}]") for name, shape in zip(held["keys"], held["shapes"])}  # noqa: B905
    assert {name: list(array.shape) for name, array in theirs(ROW).items()} == shapes


@pytest.mark.parametrize(
    ("layout", "style"),
    [
        *(("weights", style) for style in STYLES),
        *(("whole", style) for style in STYLES),
        ("Keras 1", "keras_2016"),
        ("nested", "keras_2018"),
        ("nested by Keras 1", "keras_2016"),
        ("inside a whole one", "keras_2018"),
    ],
)
def test_a_file_of_then_gives_the_outputs_of_then(
    layout: str, style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held, tensors, path = golden(style), theirs(ROW), tmp_path / "net.h5"
    config = held["config"].tobytes().decode()
    outer = {"class_name": "Sequential", "config": {"name": "s", "layers": [json.loads(config)]}}
    told = layout in ("whole", "inside a whole one")
    match layout:
        case "weights":
            write(path, tensors)
        case "Keras 1":
            write(path, of_1(tensors))
        case "whole":
            write(path, tensors, config=config)
        case "nested":
            write(path, tensors, "resnet50")
        case "nested by Keras 1":
            write(path, {name.partition("/")[2]: array for name, array in of_1(tensors).items()}, "resnet50")
        case _:
            write(path, tensors, "resnet50", outer)
    if told:
        model = load(path)
        assert capsys.readouterr().err == ""
        assert find_network(model, None).styles == (style,)
        with pytest.raises(ValueError, match=f"`style` must be one of None, '{style}'; received 'keras'"):
            load(path, style="keras")
    else:
        model = load(path, style=None if style == "keras_2016" else style)
        assumed = capsys.readouterr().err
        if style == "keras_2016":
            assert "the stem's pool is padded with nothing (style='keras_2018': zeros on each side)" in assumed
            assert "the epsilon of the batch norms is 0.001" in assumed
        else:
            assert assumed == ""
    assert find_network(model, None).styles == (style,)
    assert_golden(model, held)


@pytest.mark.parametrize("style", STYLES)
def test_it_loads_into_no_network_of_another_padding_or_epsilon(style: str, tmp_path: Path) -> None:
    path = write(tmp_path / "net.h5", theirs(SHORT))
    for other in ("keras", "torch_1x1"):
        model = keras_resnet.ResNet(SHORT, style=other, classes=5, input_shape=(64, 64, 3))
        with pytest.raises(ValueError, match="of style 'keras_2016' or 'keras_2018'; 'short' is built in style"):
            load_weights(model, path)
    model = keras_resnet.ResNet(SHORT, style=style, classes=5, input_shape=(64, 64, 3))
    (assumed,) = load_weights(model, path).assumed
    there = {"keras_2016": "nothing (style='keras_2018'", "keras_2018": "zeros on each side (style='keras_2016'"}
    assert there[style] in assumed
    model.save(tmp_path / "other.keras")
    ours = keras_resnet.ResNet(SHORT, style="keras", classes=5, input_shape=(64, 64, 3))
    with pytest.raises(ValueError, match=f"of style '{style}'; 'short' is built in style 'keras'"):
        load_weights(ours, tmp_path / "other.keras")


@pytest.mark.parametrize("style", ["keras", *STYLES])
def test_weights_alone_by_todays_names_do_not_tell_epsilon_and_padding_and_that_is_said(
    style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = keras_resnet.ResNet(SHORT, style=style, classes=5, input_shape=(64, 64, 3))
    model.save_weights(tmp_path / "net.weights.h5")
    said = f"strides, padding and epsilon are those of style {style!r}"
    assert load_weights(model, tmp_path / "net.weights.h5").assumed == (said,)
    assert find_network(load(tmp_path / "net.weights.h5", SHORT), None).styles == ("keras",)
    assert "strides, padding and epsilon are those of style 'keras'" in capsys.readouterr().err
    load(tmp_path / "net.weights.h5", SHORT, style=style)
    assert capsys.readouterr().err == ""


def test_a_converted_file_keeps_its_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "resnet50", dataclasses.replace(SHORT, name="resnet50"))
    path = write(tmp_path / "net.h5", theirs(SHORT))
    for asked, style in ((None, "keras_2016"), ("keras_2016",) * 2, ("keras_2018",) * 2):
        convert(recognize(path, asked), tmp_path / "net.keras")
        for told in (None, style):
            found = recognize(tmp_path / "net.keras", told)
            assert found.network.styles == (found.variant.lineage.style,) == (style,)
        with pytest.raises(ValueError, match="`style` must be one of"):
            recognize(tmp_path / "net.keras", "keras")
        convert(found, tmp_path / "net.weights.h5")
        assert recognize(tmp_path / "net.weights.h5").variant.lineage.style == "keras"  # as of old: it can't be told
        assert recognize(tmp_path / "net.weights.h5", style).variant.lineage.style == style


def numbered(tensors: Arrays, letters: bool) -> Arrays:
    """With the names of deeper networks: res3b, res3c, or res3b1, res3b2."""
    found = {}
    for name, array in tensors.items():
        for index in range(1, 26):
            for stage in "34":
                old, new = (f"{stage}{each}_branch" for each in (chr(97 + index), f"b{index}"))
                name = name if letters else name.replace(old, new)
        found[name] = array
    return found


@pytest.mark.parametrize("letters", [False, True])
def test_units_of_deeper_networks_have_numbers_or_letters(letters: bool, tmp_path: Path) -> None:
    row = dataclasses.replace(RESNET101, units=(2, 3, 28, 1), widths=(4, 4, 4, 4), stem=Stem(7, 4))
    tensors = theirs(row)
    model = load(write(tmp_path / "net.h5", numbered(tensors, letters)), row)
    for ours, layer in keras_2016.modules(plan(row)).items():
        for weight in model.get_layer(ours).weights if ours in {each.name for each in model.layers} else ():
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), tensors[f"{layer}/{weight.name}"])


def test_what_lacks_is_named_as_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "net.h5", {name: a for name, a in theirs(SHORT).items() if "res3b_branch2b" not in name})
    with pytest.raises(ValueError, match=r"- res3b_branch2b/bias \(8,\)\n  - res3b_branch2b/kernel \(3, 3, 8, 8\)"):
        load(path, SHORT)
    with pytest.raises(ValueError, match=r"The file has 5 classes. Pass classes=5"):
        load(write(path, theirs(SHORT)), SHORT, classes=3)
    with pytest.raises(ValueError, match=r"The stages of the file have \(1, 2, 1, 1\) blocks, those of the model"):
        load(path, ROW)


def strange(change: Callable[[Arrays], Arrays]) -> Arrays:
    return change(theirs(SHORT))


def with_scales(tensors: Arrays) -> Arrays:
    return tensors | {"scale2a_branch2a/gamma": np.ones(4, "f4"), "scale2a_branch2a/beta": np.ones(4, "f4")}


REFUSED: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "keras-resnet": (
        lambda t: {name: a for name, a in t.items() if not name.endswith("/bias") or "fc" in name},
        "no biases, as files of the package keras-resnet and of keras-retinanet",
    ),
    "scales": (with_scales, "layers such as 'scale2a_branch2a' behind its batch norms"),
    "Mask R-CNN": (lambda t: t | {"mrcnn_class_bn1/gamma": np.ones(3, "f4")}, "is of a Mask R-CNN"),
    "Theano": (lambda t: {n: a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for n, a in t.items()}, "are Theano's"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("group", ["", "resnet50"])
def test_what_others_wrote_under_these_names_is_refused(case: str, group: str, tmp_path: Path) -> None:
    change, reason = REFUSED[case]
    path = write(tmp_path / "net.h5", strange(change), group)
    with pytest.raises(ValueError, match=f"net.h5': .*{reason}"):
        load(path, SHORT)
    if not group:
        with pytest.raises(ValueError, match=reason):
            load(write(path, of_1(strange(change))), SHORT)


def test_kernels_of_theano_are_refused_where_the_file_tells(tmp_path: Path) -> None:
    path = write(tmp_path / "resnet50_weights_tf_dim_ordering_th_kernels.h5", theirs(SHORT))
    with pytest.raises(ValueError, match="Its kernels are Theano's"):
        load(path, SHORT)
    for whole in (None, "{}"):
        path = write(tmp_path / "net.h5", theirs(SHORT), config=whole)
        with h5py.File(path, "a") as file:
            (file if whole is None else file["model_weights"]).attrs["backend"] = "theano"
        with pytest.raises(ValueError, match="written with Theano, which turns the kernels"):
            load(path, SHORT)


def changed(config: Any, layer: str, **settings: Any) -> Any:
    config = json.loads(json.dumps(config))
    for each in config["config"]["layers"]:
        if each["config"]["name"] == layer:
            each["config"] |= settings
    return config


def test_what_the_config_in_the_file_states_must_be_true(tmp_path: Path) -> None:
    config = json.loads(golden("keras_2016")["config"].tobytes())
    names = [layer["config"]["name"] for layer in config["config"]["layers"]]
    (pool,) = (name for name in names if name.startswith("max_pooling"))
    relus = [name for name in names if name.startswith("activation")]
    tensors = theirs(ROW)
    cases = {
        "same pool": changed(config, pool, padding="same"),
        "same stem": changed(config, "conv1_pad", padding=[[2, 3], [2, 3]]),
        "late stride": changed(changed(config, "res3a_branch2a", strides=[1, 1]), "res3a_branch2b", strides=[2, 2]),
    }
    for case, other in cases.items():
        path = write(tmp_path / f"{case}.h5", tensors, config=other)
        with pytest.raises(ValueError, match=f"the network in '.*{case}.h5' is of no known style"):
            load(path)
    for name in (relus[0], relus[7], relus[-1]):
        path = write(tmp_path / "net.h5", tensors, config=changed(config, name, activation="elu"))
        with pytest.raises(ValueError, match=r"its own config states .*(relu|out)\.activation: 'elu'"):
            load(path)
    path = write(tmp_path / "net.h5", tensors, config=changed(config, "bn4c_branch2b", epsilon=1e-5))
    with pytest.raises(ValueError, match="its own config states conv4_block3_2_bn.epsilon: 1e-05"):
        load(path)


def test_a_network_beside_one_that_cannot_be_read_states_what_it_is() -> None:
    config = json.loads(golden("keras_2016")["config"].tobytes())
    layers = keras.layers
    image = keras.Input((8, 8, 3))
    odd = keras.Model(image, layers.Conv2D(2, 3, name="conv1_conv")(layers.ReLU(name="conv1_pad")(image)), name="odd")
    odd_config = {"class_name": "Functional", "config": odd.get_config()}
    outer = {"class_name": "Sequential", "config": {"name": "s", "layers": [odd_config, config]}}
    (found,) = networks_of_config(outer, translate=keras_2016.translate).values()
    assert found.styles == ("keras_2016",)


def as_keras_1(config: Any) -> Any:
    """The config as Keras 1 wrote it, in the parts that are read."""
    config, pads = json.loads(json.dumps(config)), iter(["zeropadding2d_1", "zeropadding2d_2"])
    for layer in config["config"]["layers"]:
        own = layer["config"]
        match layer["class_name"]:
            case "Conv2D":
                layer["class_name"] = "Convolution2D"
                new = {"nb_filter": own["filters"], "subsample": own["strides"], "border_mode": own["padding"]}
                new |= {"nb_row": own["kernel_size"][0], "nb_col": own["kernel_size"][1], "bias": own["use_bias"]}
                layer["config"] = new | {"name": own["name"]}
            case "MaxPooling2D":
                layer["config"] = {"name": "maxpooling2d_1", "border_mode": own["padding"], "pool_size": [3, 3]}
            case "ZeroPadding2D":
                layer["config"] = {"name": next(pads), "padding": [own["padding"][0][0]] * 2}
    return config


@pytest.mark.parametrize("style", STYLES)
def test_configs_of_keras_1_are_read_too(style: str) -> None:
    config = json.loads(golden(style)["config"].tobytes())
    (old,) = networks_of_config(as_keras_1(config), translate=keras_2016.translate).values()
    (new,) = networks_of_config(config, translate=keras_2016.translate).values()
    assert old == new
    assert old.styles == (style,)
    assert old.plan.units == tuple(
        dataclasses.replace(
            unit,
            convs=tuple(dataclasses.replace(conv, inputs=0) for conv in unit.convs),
            shortcut=dataclasses.replace(unit.shortcut, inputs=0) if unit.reads_activation else unit.shortcut,  # type: ignore[type-var]
        )
        for unit in plan(with_style(ROW, style)).units
    )


@pytest.mark.parametrize("style", ["keras", "torch", "slim", "keras_2018"])
def test_whole_h5_files_of_today_tell_their_style(style: str, tmp_path: Path) -> None:
    """What Keras writes today, as the older `.h5`, and whole models inside others."""
    model = randomise(keras_resnet.ResNet(SHORT, style=style, classes=5, input_shape=(64, 64, 3)))
    outer = keras.Sequential([keras.Input((64, 64, 3)), model], name="outer")
    for each, name in ((model, "net.h5"), (outer, "outer.h5")):
        with h5py.File(tmp_path / name, "w") as file:
            legacy_h5_format.save_model_to_hdf5(each, file)
        (found,) = read_networks(open_source(tmp_path / name))
        assert found.styles == (style,)
        assert found.label == ("short" if each is outer else "")
        assert_close(run(load(tmp_path / name, SHORT), images()), run(model, images()), 1e-6)
        with pytest.raises(ValueError, match=f"`style` must be one of None, '{style}'; received"):
            load(tmp_path / name, SHORT, style="torch_1x1")


@pytest.mark.parametrize("what", ["config", "names"])
def test_damage_of_config_and_names_is_refused_or_harmless(what: str, tmp_path: Path) -> None:
    """Of 300 files with something wrong each is read, or refused by a `ValueError` that names it."""
    config, refusals, path = golden("keras_2016")["config"].tobytes(), 0, tmp_path / "net.h5"
    row = dataclasses.replace(SHORT, units=(1, 1), widths=(4, 8))
    keys = {name: np.zeros((1,) * array.ndim, "f4") for name, array in theirs(row).items()}
    whole = write(tmp_path / "whole.h5", keys, config=config.decode()).read_bytes()
    start = whole.index(config)
    for seed in range(300):
        rng = random.Random(seed)
        if what == "config":
            at, size = rng.randrange(len(config)), rng.choice((1, 1, 9, 999))
            texts = (
                bytes(size),
                b"9" * size,
                b"[" * size,
                b'"' * size,
                config[at // 2 :][:size],
                b"null",
                rng.randbytes(size),
            )
            new = (config[:at] + (text := rng.choice(texts)) + config[at + len(text) :])[: len(config)]
            path.write_bytes(whole[:start] + new + whole[start + len(config) :])
        else:
            names = dict(keys)
            for _ in range(rng.randrange(1, 4)):
                name = rng.choice(list(names))
                at = rng.randrange(len(name))
                new = rng.choice(("", "a", "9", "_", "branch2a", "\\", "é", "b" * 99))
                new = name[:at] + new + name[at + rng.randrange(3) :]
                names[new.strip("/") or "x/y"] = names.pop(name)
            try:
                write(path, names if rng.randrange(2) else of_1({n: a for n, a in names.items() if "/" in n}))
            except (ValueError, OSError):  # no file of HDF5
                continue
        try:
            with bounded(path.stat().st_size * 20):
                assert read_networks(open_source(path))
        except Exception as error:
            if not isinstance(error, ValueError) or "net.h5" not in str(error):
                raise AssertionError(f"seed {seed}") from error
            refusals += 1
    assert 10 < refusals < 290


def test_the_pool_without_padding_has_its_sizes(tmp_path: Path) -> None:
    row = with_style(SHORT, "keras_2016")
    assert plan(RESNET50).multiply_adds() - plan(with_style(RESNET50, "keras_2016")).multiply_adds() > 0
    model = keras_resnet.ResNet(row, include_top=False, input_shape=(None, None, 3))
    for side in (32, 33, 64, 112, 224):
        maps = keras_resnet.feature_pyramid(model, ("C2", "C3"))(np.zeros((1, side, side, 3), "f4"))
        stem = -(-side // 2)
        assert maps["C2"].shape[1] == (stem - 1) // 2
        assert maps["C3"].shape[1] == -(-((stem - 1) // 2) // 2)
    assert plan(row).multiply_adds(64, 64) < plan(with_style(SHORT, "keras_2018")).multiply_adds(64, 64)
