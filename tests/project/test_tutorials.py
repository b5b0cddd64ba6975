"""The tutorials run, and compute what they say."""

import dataclasses
import functools
import importlib
import importlib.util
import itertools
import json
import os
import re
import runpy
import shlex
import statistics
import sys
import tomllib
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot
import numpy as np
import pytest
import sklearn.datasets
import sklearn.utils
from keras import layers
from PIL import Image
from sklearn.datasets import load_sample_image

import keras_resnet
from keras_resnet.architecture.lineages import SLIM_V1
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18V2, RESNET20, RESNET20V2, RESNET50
from keras_resnet.architecture.variant import Stem
from keras_resnet.cli.parser import parser
from tests.helpers.nets import OwnModel, assert_close, images, nest, randomise, run, thin

TUTORIALS = Path(__file__).parents[2] / "tutorials"
once = pytest.mark.one_backend


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, TUTORIALS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(variant: Any = RESNET50, **arguments: Any) -> keras.Model:
    few = thin(variant, units=(1, 1), widths=(8, 16), stem=Stem(3, 8, 1))
    defaults: dict[str, Any] = {"input_shape": (20, 24, 3), "classes": 4}
    return randomise(keras_resnet.ResNet(few, **defaults | arguments))


def test_the_gradient_is_that_of_finite_differences() -> None:
    """In a random direction, of a tiny net's score; the step is between ReLUs' kinks and float32's grain."""
    model, step = build(input_shape=(8, 8, 3), classifier_activation=None), 3e-3
    x, direction = np.random.default_rng(0).normal(size=(2, 1, 8, 8, 3)).astype("float32")
    direction /= np.linalg.norm(direction)

    def score(x: Any) -> Any:
        return model(x, training=False)[0, 1]

    def at(distance: float) -> float:
        return float(keras.ops.convert_to_numpy(score(keras.ops.convert_to_tensor(x + distance * direction))))

    gradient = load("grad_cam").gradient(score, keras.ops.convert_to_tensor(x))
    slope = np.sum(keras.ops.convert_to_numpy(gradient) * direction)
    assert (at(step) - at(-step)) / (2 * step) == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize("variant", [RESNET50, RESNET18V2], ids=lambda v: v.name)
def test_under_global_pooling_grad_cam_is_the_classifiers_weights_on_the_last_map(variant: Any) -> None:
    """arXiv:1610.02391 section 3: it generalises CAM, which is this closed form."""
    model = build(variant)
    heat, classes = load("grad_cam").grad_cam(model, images(20, 24), classes=[1, 3])
    maps = run(keras.Model(model.input, model.get_layer("avg_pool").input), images(20, 24))
    kernel = keras.ops.convert_to_numpy(model.get_layer("predictions").kernel)
    expected = np.maximum(np.einsum("nhwc,cn->nhw", maps, kernel[:, [1, 3]]), 0)
    assert list(classes) == [1, 3]
    assert_close(heat, expected / expected.max((1, 2), keepdims=True), 1e-4)


@once
@pytest.mark.parametrize(
    "arguments",
    [
        {"classifier_activation": None},
        {"global_pool": False},
        {"global_pool": False, "data_format": "channels_first", "input_shape": (3, 20, 24)},
        {"data_format": "channels_first", "input_shape": (3, 20, 24), "dropout": 0.5},
        {"output_stride": 2, "include_preprocessing": True},
    ],
)
def test_any_classifier_of_ours_has_a_heat_map_of_its_best_class(arguments: dict[str, Any]) -> None:
    model = build(RESNET50, **arguments)
    x = images(20, 24)
    x = np.moveaxis(x, -1, 1) if "data_format" in arguments else x
    heat, classes = load("grad_cam").grad_cam(model, x)
    stride = arguments.get("output_stride", 4)
    assert heat.shape == (2, 20 // stride, 24 // stride)
    assert np.isfinite(heat).all()
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    scores = run(model, x)
    if scores.ndim == 4:
        scores = build_logits(model, x)
    np.testing.assert_array_equal(classes, scores.argmax(-1))


ENDS: dict[str, Any] = {  # as it is, and without its last function
    "softmax": lambda: (
        [layers.Dense(5, "relu"), layers.Dense(3, "softmax")],
        [layers.Dense(5, "relu"), layers.Dense(3)],
    ),
    "layer": lambda: ([layers.Dense(3), layers.Dropout(0.5), layers.Softmax()], [layers.Dense(3)]),
    "activation": lambda: ([layers.Dense(3), layers.Activation("softmax")], [layers.Dense(3)]),
    "logits behind a sigmoid": lambda: (
        [layers.Dense(3, "sigmoid"), layers.Dense(3)],
        [layers.Dense(3, "sigmoid"), layers.Dense(3)],
    ),
    "one sigmoid": lambda: ([layers.Dense(1, "sigmoid")], [layers.Dense(1)]),
}


@pytest.mark.parametrize("end", ENDS if keras.backend.backend() == "torch" else ["softmax", "one sigmoid"])
def test_a_nested_network_under_any_top_has_the_heat_map_of_a_flat_one(end: str) -> None:
    """By the definition: the gradient of the score before the last function, on the flat graph."""
    body = build(include_top=False)
    tops = [keras.Sequential([layers.GlobalMaxPooling2D(), *parts]) for parts in ENDS[end]()]
    made = [keras.Model(body.input, top(body.output)) for top in tops]
    randomise(made[0])
    made[1].set_weights(made[0].get_weights())
    x, tutorial = images(20, 24, count=1), load("grad_cam")
    nestings: list[tuple[str, ...]] = [("functional", "sequential"), ("own", "functional"), ("frames",)]
    models = [
        made[0],
        *(keras.Sequential([nest(body, kinds), tops[0]]) for kinds in nestings),
        OwnModel(nest(body, ("own",)), tops[0]),
    ]
    part = keras.Model(body.output, tops[1](body.output))
    maps = keras.ops.convert_to_tensor(run(body, x))
    for label in (0, 1):
        one = part.output_shape[1] == 1
        chosen = keras.ops.array([[2.0 * label - 1]] if one else np.eye(3, dtype="float32")[[label]])

        def score(maps: Any, chosen: Any = chosen) -> Any:
            return keras.ops.sum(part(maps, training=False) * chosen)

        growth = keras.ops.convert_to_numpy(tutorial.gradient(score, maps))
        expected = np.maximum((growth.mean((1, 2), keepdims=True) * keras.ops.convert_to_numpy(maps)).sum(3), 0)
        for model in models:
            before = run(model, x)
            heat, classes = tutorial.grad_cam(model, x, classes=[label])
            assert list(classes) == [label]
            np.testing.assert_allclose(heat, expected / max(expected.max(), 1e-7), atol=1e-4)
            np.testing.assert_array_equal(run(model, x), before)  # nothing stays replaced
    for model in models:
        scores = run(made[1], x)[0]
        best = scores.argmax() if len(scores) > 1 else int(scores[0] > 0)
        assert tutorial.grad_cam(model, x)[1] == [best]


@once
def test_grad_cam_refuses_what_it_cannot_explain() -> None:
    body, image, tutorial = build(include_top=False, pooling="avg"), keras.Input((20, 24, 3)), load("grad_cam")
    twice = keras.Model(image, layers.Dense(2)(layers.Concatenate()([body(image), body(-image)])))
    with pytest.raises(ValueError, match="must call its network once; .* calls it 2 times"):
        tutorial.grad_cam(twice, images(20, 24))
    pair = [body, build(include_top=False, pooling="avg", name="other")]
    both = keras.Model(image, layers.Dense(2)(layers.Concatenate()([each(image) for each in pair])))
    with pytest.raises(ValueError, match="must hold one network; .* holds .*, other"):
        tutorial.grad_cam(both, images(20, 24))
    operation = keras.Model(image, keras.ops.softmax(layers.Dense(2)(body(image))))
    with pytest.raises(ValueError, match="must have a layer for its softmax"):
        tutorial.grad_cam(operation, images(20, 24))
    with pytest.raises(ValueError, match="must be a ResNet of this package or of keras.applications; received"):
        tutorial.grad_cam(keras.Model(image, layers.Dense(2, "softmax")(layers.Flatten()(image))), images(20, 24))


def build_logits(model: keras.Model, x: Any) -> Any:
    """The mean over positions of a fully convolutional net's scores before the softmax."""
    dense = model.get_layer("predictions")
    vectors = run(keras.Model(model.input, dense.input), x).mean((1, 2))
    return vectors @ keras.ops.convert_to_numpy(dense.kernel)


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_shape": (64, 96, 3)},
        *(
            [{"input_shape": (64, None, 3)}, {"input_shape": (3, 64, 96), "data_format": "channels_first"}]
            if keras.backend.backend() == "torch"
            else []
        ),
    ],
)
def test_a_photograph_gets_its_heat_map_drawn(
    arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(load_sample_image("flower.jpg")).save(tmp_path / "flower.png")
    model = build(include_preprocessing=True, **arguments)
    keras_resnet.labels.with_class_names(model, ["bud", "flower", "leaf", "stem"]).save(tmp_path / "model.keras")
    command = ["grad_cam.py", "flower.png", "--model", "model.keras", "--out", "cam.png"]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(TUTORIALS / "grad_cam.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert any(printed == f"cam.png: {name}\n" for name in ("bud", "flower", "leaf", "stem"))
    drawn = np.asarray(Image.open(tmp_path / "cam.png").convert("RGB"), "int32")
    assert drawn.shape[1] == 960
    half = drawn[100:, 480:]
    assert np.abs(half - drawn[100:, :480]).mean() > 10  # the heat map lies over the second


REPOSITORY = tomllib.loads((TUTORIALS.parent / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
NOTEBOOKS = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))


def cells_of(notebook: str, kind: str) -> list[str]:
    """The cells of a notebook that are code, or that are markdown."""
    content = json.loads((TUTORIALS / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def as_python(cell: str, run: str = "raise AssertionError") -> str:
    """A cell whose commands of Jupyter (`%pip`, `!git`) are calls of `run`: by default none may be reached."""
    return re.sub(r"^( *)([%!].*)$", rf"\1{run}(r'''\2''')", cell, flags=re.MULTILINE)


def code_of(notebook: str) -> list[str]:
    """The cells of a notebook that are code, as Python."""
    return [as_python(cell) for cell in cells_of(notebook, "code")]


def badge(notebook: str) -> str:
    """Markdown of the badge that opens a notebook in Colab."""
    path = REPOSITORY.replace("https://github.com/", "https://colab.research.google.com/github/")
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})]({path}/blob/main/tutorials/{notebook}.ipynb)"


@once
@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_begins_with_its_title_badge_and_time(notebook: str) -> None:
    """The list of tutorials has the same badge and time."""
    first = cells_of(notebook, "markdown")[0]
    assert re.match(r"# .+\n\n" + re.escape(badge(notebook)) + r"\n\n", first)
    (time,) = re.findall(r"It takes (about .+?) on two CPU cores", first.replace("\n", " "))
    (row,) = [line for line in (TUTORIALS / "README.md").read_text().splitlines() if f"]({notebook}.ipynb)" in line]
    assert badge(notebook) in row
    assert f"| {time} |" in row


@once
@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_first_code_of_a_notebook_installs_what_is_missing(notebook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Colab, where neither the package is installed nor any file lies beside the notebook."""
    cell = cells_of(notebook, "code")[0]
    assert set(re.findall(r"https://[^\s\"]+", cell)) == {REPOSITORY}
    beside = [path.stem for path in TUTORIALS.glob("*.py") if f"from {path.stem} import" in str(code_of(notebook))]
    extras = "jax,train,checkpoints" if "safetensors" in str(code_of(notebook)) else "jax,train"
    expected = [f'%pip install -q "keras3-resnet[{extras}] @ git+{REPOSITORY}"']
    if beside:
        name = REPOSITORY.rpartition("/")[2]
        expected += [f"!git clone -q --depth 1 {REPOSITORY}", f"%cd -q {name}/tutorials"]
    commands: list[str] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "")
    exec(as_python(cell, "run"), {"run": commands.append})
    assert commands == expected
    assert os.environ["KERAS_BACKEND"] == "jax"


@once
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # open PNGs
def test_the_notebook_on_your_own_images_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two epochs of a network of one unit a stage, and of 400 digits."""
    monkeypatch.chdir(tmp_path)
    digits = sklearn.datasets.load_digits()
    some = sklearn.utils.Bunch(images=digits.images[:400], target=digits.target[:400])
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: some)
    few = thin(RESNET20, units=(1, 1, 1), widths=(16, 16, 16))
    monkeypatch.setattr(keras_resnet.models, "ResNet20", functools.partial(keras_resnet.ResNet, few, weights=None))
    cells = code_of("01_train_on_your_images")
    assert sum("EPOCHS = 20" in cell for cell in cells) == 1
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile(cell.replace("EPOCHS = 20", "EPOCHS = 2"), "notebook", "exec"), names)
    assert "few/train/5/notes.png: it is not an image" in capsys.readouterr().err
    assert len(names["both"]["loss"]) == 2
    history, (cell,) = names["both"], [cell for cell in cells if "unfrozen = fit" in cell]
    exec(cell.replace("EPOCHS = 20", "EPOCHS = 2"), names)  # again: there is nothing left to do
    assert names["both"] == history
    assert keras_resnet.labels.class_names(names["again"]) == tuple("56789")
    for picture in ("scratch", "transferred", "confusion", "predictions"):
        assert (tmp_path / f"{picture}.png").is_file()


def outputs_of(notebook: str, figures: int) -> str:
    """What a notebook printed, when it ran from top to bottom without an error and drew so many figures."""
    content = json.loads((TUTORIALS / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, 1 + len(cells)))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    told = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stderr")
    assert not re.search("warning|error|traceback", told, re.IGNORECASE)  # but notes, and what a folder holds
    assert not re.search(r"""(^|[\s'"(])/\w+/""", str([output.get("text") for output in outputs]))  # no machine's path
    assert sum("image/png" in output.get("data", {}) for output in outputs) == figures
    return "".join("".join(output.get("text", "")) for output in outputs)


@once
def test_the_notebook_holds_its_outputs_and_figures() -> None:
    said = outputs_of("01_train_on_your_images", figures=5)
    scratch, transferred = re.findall(r"from scratch (\d+\.\d)%, transferred (\d+\.\d)%", said)[0]
    assert float(transferred) > float(scratch)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="half a minute")
def test_the_notebook_on_dense_features_runs() -> None:
    """With few images: what it learns is told by its outputs, below."""
    names: dict[str, Any] = {}
    for cell in code_of("02_dense_features"):
        for full, short in (
            ("EPOCHS = 2", "EPOCHS = 1"),
            ("draw_shapes(1200", "draw_shapes(16"),
            ("assert mean_iou", "#"),
        ):
            cell = cell.replace(full, short)
        exec(compile(cell, "notebook", "exec"), names)
    assert set(names["mean_iou"]) == {32, 8}
    matplotlib.pyplot.close("all")


@once
def test_the_notebook_on_dense_features_holds_its_outputs_and_figures() -> None:
    said = outputs_of("02_dense_features", figures=5)
    (_, coarse), (_, dense) = re.findall(r"output_stride +(32|8): mean IoU (\d\.\d+) on 200 test images", said)
    assert float(dense) >= 0.8
    assert float(dense) > float(coarse)
    costs = re.findall(r"^ +(\d+) +(\d+x\d+) +(\d+\.\d) G", said, re.MULTILINE)
    slim = dataclasses.replace(RESNET50, lineage=SLIM_V1)
    for stride, side, giga in costs:
        assert side == f"{320 // int(stride) + 1}x{320 // int(stride) + 1}"
        assert float(giga) == round(plan(slim, int(stride)).multiply_adds(321, 321, classes=None) / 1e9, 1)
    assert len(costs) == 4


def check_weights(said: str) -> None:
    """What the notebook on weights claims, by what it printed."""
    names = re.findall(r"^(.+?) +deviates by at most (\S+)$", said, re.MULTILINE)
    assert [name for name, _ in names] == ["model.safetensors", "resnet18.weights.h5", "download (1)"]
    channels = re.findall(r"^(\d) channels, deviation (\S+); adapted: conv1_conv/kernel", said, re.MULTILINE)
    assert [count for count, _ in channels] == ["1", "6"]
    (verified,) = re.findall(r"^verified: the target, loaded here, deviates by (\S+) of", said, re.MULTILINE)
    assert max(float(deviation) for deviation in (*dict(names + channels).values(), verified)) < 1e-5
    (other_strides,) = re.findall(r"outputs deviate by up to (\d+)%", said)
    assert int(other_strides) >= 5
    for sentence in (
        "102 weights loaded, 0 left as they were, 20 tensors unused",
        "`style` must be one of None, 'torch', 'torch_1x1'; received 'keras'",
        "The file has 1000 classes",
        "keras_resnet.ResNet34 in style 'torch'",
        "'half.safetensors' can't be read",
        "'page.pth' is not a weights file",
        "Its training diverged, or the file is damaged",
        "(None, 64, 64, 3) -> (None, 5)",
        "122 of 122 tensors equal; 0 others",
    ):
        assert sentence in said


@once
def test_the_notebook_on_weights_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code_of("03_weights_from_anywhere"):
        exec(compile(cell, "notebook", "exec"), names)
    matplotlib.pyplot.close("all")
    check_weights(capsys.readouterr().out)


@once
def test_the_notebook_on_weights_holds_its_outputs_and_figure() -> None:
    said = outputs_of("03_weights_from_anywhere", figures=1)
    check_weights(said)
    assert "{'torch': False, 'tensorflow': False} imported" in said
    rows = keras_resnet.list_weights("ResNet50", style="torch")
    assert f"{len(rows)} entries" in said
    shown = re.findall(r"^(\w+/\S+) +(\d+\.\d) +(\d+)   (.+)$", said, re.MULTILINE)
    assert len(shown) == 10
    for key, top1, size, licence in shown:
        assert (top1, size) == (f"{rows[key].best_top1:.1f}", str(rows[key].test_image_size or rows[key].image_size))
        assert licence == (rows[key].licence or "none stated")


@once
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # open PNGs
def test_the_notebook_on_labels_from_a_table_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an epoch of few scenes, by a network that is thinner."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code_of("05_labels_from_a_table"):
        for full, short in (
            ("EPOCHS = 15", "EPOCHS = 1"),
            ("SCENES = 800", "SCENES = 80"),
            ("units=(1, 1, 1)", "units=(1, 1, 1), widths=(16, 16, 16)"),
        ):
            cell = cell.replace(full, short)
        exec(compile(cell, "notebook", "exec"), names)
    said = capsys.readouterr()
    assert "scenes/lost.png: there is no such file" in said.err
    assert "\nset()\n" in said.out
    assert (names["splits"].training.task, names["numbers"].training.task) == ("labels", "regression")
    assert keras_resnet.labels.class_names(names["again"]) == names["SHAPES"]
    for figure in ("labels/labels.png", "labels/predictions.png", "covered/scatter.png"):
        assert (tmp_path / "runs" / figure).is_file()
    assert len(Image.open(tmp_path / "scenes" / "0.png").getbands()) == 3


@once
def test_the_notebook_on_labels_from_a_table_holds_its_outputs_and_figures() -> None:
    said = outputs_of("05_labels_from_a_table", figures=4)
    precisions = [float(each) for each in re.findall(r"average precision (\d+\.\d)%", said)]
    (mean,) = re.findall(r"mean average precision: (\d+\.\d)% on \d+ images", said)
    assert float(mean) == pytest.approx(statistics.mean(precisions), abs=0.1)
    assert float(mean) >= 90
    ((error, r2),) = re.findall(r"covered: mean absolute error (\S+), R2 (\S+)", said)
    (trivial,) = re.findall(r"always predicting the mean: (\S+)", said)
    assert float(error) < float(trivial) / 2
    assert float(r2) > 0.8
    found = re.findall(r"^(0\.\d) (\w+): precision (\S+)%, recall (\S+)%$", said, re.MULTILINE)
    for shape in ("circle", "square", "triangle"):
        recalls = [float(recall) for _, name, _, recall in found if name == shape]
        assert recalls == sorted(recalls, reverse=True)
        assert len(recalls) == 3
    text = "\n".join(cells_of("05_labels_from_a_table", "markdown"))
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("    keras-resnet ")]
    assert [parser().parse_args(words).command for _, *words in commands] == ["train", "train", "predict", "evaluate"]


@once
def test_what_the_papers_claim_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By nets of 8 and 14 layers that see few digits, for one epoch; what is there is not measured again."""
    monkeypatch.syspath_prepend(str(TUTORIALS))
    lab = importlib.import_module("why_residual")
    digits = lab.digits()
    monkeypatch.setattr(lab, "digits", lambda: tuple(each[:64] for each in digits))
    monkeypatch.setattr(lab, "DEPTHS", (8, 14))
    given = ["--results", str(tmp_path), "--epochs", "1", "--seeds", "5", "--draws", "2"]
    lab.main([*given, "shortcuts", "degradation"])
    learnt = lab.rows(tmp_path, "learning")
    assert len(learnt) == 2 * len(lab.SHORTCUTS) + 2 * 2 * len(lab.OPTIMIZERS)
    lab.main(given)
    trainings = [tuple(row.values())[:5] for row in lab.rows(tmp_path, "learning") if row["times"] == "1"]
    assert len(trainings) == len(set(trainings)) > len(learnt)
    longer = [row["epoch"] for row in lab.rows(tmp_path, "learning") if row["times"] == "3"]
    assert longer == ["1", "2", "3"] * 3
    said = capsys.readouterr().out
    assert f"1/{len(learnt)} shortcuts: original-8, SGD, seed 5: " in said
    tables = {path.stem: path.read_text() for path in tmp_path.glob("*.csv")}
    assert set(tables) == {experiment.table for experiment in lab.EXPERIMENTS.values()}
    for name, experiment in lab.EXPERIMENTS.items():
        rows = lab.rows(tmp_path, experiment.table)
        wanted = {tuple(map(str, dataclasses.astuple(training))) for training in experiment.trainings([5])}
        assert wanted <= {tuple(row.values())[:5] for row in rows}, name
        assert all(set(row) >= {*experiment.columns, "seed"} and None not in row.values() for row in rows)
    single = [row for row in lab.rows(tmp_path, "paths") if (row["network"], row["count"]) == ("residual", "1")]
    assert [row["units"] for row in single if row["change"] == "delete" and row["depth"] == "14"] == [
        f"conv{stage}_block{number}" for stage in (2, 3, 4) for number in (1, 2)
    ]
    lab.main(given)
    assert {path.stem: path.read_text() for path in tmp_path.glob("*.csv")} == tables
    for wrong, message in (
        ([*given, "nothing"], "there is no experiment nothing; there are degradation, "),
        ([*given, "--epochs", "2"], "were made with"),
        ([*given, "--draws", "1"], "choose another --results"),
        ([*given, "--epochs", "0"], "must be 1 or more"),
    ):
        with pytest.raises(SystemExit):
            lab.main(wrong)
        assert message in capsys.readouterr().err
    assert {path.stem: path.read_text() for path in tmp_path.glob("*.csv")} == tables
    deletions = [row for row in lab.rows(tmp_path, "paths") if row["change"] == "delete" and row["count"] == "0"]
    for row in deletions:
        (last,) = (
            each
            for each in lab.rows(tmp_path, "learning")
            if list(each.values())[:5] == [row["network"], row["depth"], "SGD", "5", "1"]
        )
        assert float(row["accuracy"]) == pytest.approx(1 - float(last["validation_error"]), abs=1e-4)
    swaps = [row for row in lab.rows(tmp_path, "paths") if row["change"] == "swap"]
    assert all(-1 <= float(row["kendall_tau"]) <= 1 for row in swaps)
    assert any(float(row["kendall_tau"]) < 1 for row in swaps)
    for name, column in (("responses", "deviation"), ("gradients", "norm"), ("path_gradients", "norm")):
        assert all(0 < float(row[column]) < 1e3 for row in lab.rows(tmp_path, name)), name
    for row in lab.rows(tmp_path, "responses"):
        if row["epoch"] == "0" and row["layer"].endswith("_bn"):
            assert float(row["deviation"]) == pytest.approx(1, abs=0.02)


@once
def test_swapped_units_have_each_others_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TUTORIALS))
    lab = importlib.import_module("why_residual")
    model = lab.Training("residual", 20).build()
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    *_, pair, accuracy, tau = next(iter(lab.swaps(model, 1, np.random.default_rng(0))))
    one, other = pair.split(":")
    assert (tau < 1, accuracy) == (True, lab.accuracy(model))
    for name, weights in before.items():
        unit, _, rest = name.rpartition("_1_" if "_1_" in name else "_2_")
        source = {one: other, other: one}.get(unit)
        kept = before[name.replace(unit, source)] if source else weights
        for now, then in zip(model.get_layer(name).get_weights(), kept, strict=True):
            np.testing.assert_array_equal(now, then, err_msg=f"{name}, {rest}")


@once
def test_gradients_are_those_of_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TUTORIALS))
    lab = importlib.import_module("why_residual")
    training = lab.Training("plain", 8)
    model, (x, y, _, _) = training.build(), lab.digits()
    lab.LOSS(y[:500], model(x[:500], training=True)).backward()
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    found = list(itertools.islice(lab.gradients(lab.Laboratory(), training), len(convs)))  # at initialisation
    assert [(row[0], row[2]) for row in found] == [(0, layer.name) for layer in convs]
    for (*_, kernel, norm), layer in zip(found, convs, strict=True):
        assert kernel == pytest.approx(float(layer.kernel.value.detach().norm()), rel=1e-5)
        assert norm == pytest.approx(float(layer.kernel.value.grad.norm()), rel=1e-3)


@once
@pytest.mark.parametrize(
    ("kind", "row"), [("original", RESNET20), ("option B", RESNET20), ("option C", RESNET20), ("full", RESNET20V2)]
)
def test_units_of_ones_own_are_those_of_the_package(kind: str, row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outputs, with the same weights, at the start and otherwise."""
    monkeypatch.syspath_prepend(str(TUTORIALS))
    own = importlib.import_module("residual_units")
    kind = "full pre-activation" if kind == "full" else kind
    model = randomise(own.network(*(own.SHORTCUTS | own.ORDERS)[kind], depth=14))
    shortcut = {"option B": "B", "option C": "C"}.get(kind, "A")
    same = dataclasses.replace(row, units=(2, 2, 2), shortcut=shortcut)
    ours = keras_resnet.ResNet(same, input_shape=(8, 8, 1), classes=10, classifier_activation=None)
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in model.weights]
    ours.set_weights(model.get_weights())
    assert_close(run(model, images(8, 8, 1)), run(ours, images(8, 8, 1)), 1e-5)


@once
def test_shortcuts_do_what_their_equations_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """arXiv:1603.05027 Figure 2 (a) to (d) and (f)."""
    monkeypatch.syspath_prepend(str(TUTORIALS))
    own = importlib.import_module("residual_units")
    skip, residual = images(4, 5, 6), 3 * images(4, 5, 6)[::-1]

    def merged(merge: Any, training: bool = False) -> Any:
        inputs = [keras.Input((4, 5, 6)), keras.Input((4, 5, 6))]
        return run(keras.Model(inputs, merge(*inputs)), [skip, residual], training)

    expected = {
        "add": skip + residual,
        "halved": skip / 2 + residual,
        "halved_both": (skip + residual) / 2,
        "dropped": skip + residual,
    }
    for name, value in expected.items():
        assert_close(merged(getattr(own, name)), value, 1e-6)
    inputs = [keras.Input((4, 5, 6)), keras.Input((4, 5, 6))]
    for merge, kept in ((own.gated, True), (own.gated_shortcut, False)):
        for bias in (0.0, -6.0):
            model = keras.Model(inputs, merge(*inputs, bias=bias))
            kernel, start = next(layer for layer in model.layers if layer.weights).get_weights()
            np.testing.assert_array_equal(start, np.full(6, bias))
            g = 1 / (1 + np.exp(-(skip @ kernel[0, 0] + bias)))
            assert_close(run(model, [skip, residual]), (1 - g) * skip + (g if kept else 1) * residual, 1e-5)
    dropped = merged(own.dropped, training=True) - residual
    zero = np.abs(dropped) < 1e-5
    assert 0.35 < zero.mean() < 0.65
    np.testing.assert_allclose(dropped[~zero], 2 * skip[~zero], rtol=1e-3, atol=1e-5)


@once
def test_orders_do_what_their_figure_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """arXiv:1603.05027 Figure 4 (b) to (e), and Figure 2 (e), whose 1x1 convolution is told by its kernel."""
    monkeypatch.syspath_prepend(str(TUTORIALS))
    own = importlib.import_module("residual_units")
    x, relu = keras.ops.convert_to_tensor(images(4, 5, 6) - 0.5), keras.ops.relu
    expected: dict[Any, Any] = {
        own.norm_after_addition: lambda c1, n1, c2, n2: relu(n2(x + c2(relu(n1(c1(x)))))),
        own.relu_before_addition: lambda c1, n1, c2, n2: x + relu(n2(c2(relu(n1(c1(x)))))),
        own.relu_only: lambda c1, n1, c2, n2: x + n2(c2(relu(n1(c1(relu(x)))))),
        own.full_preactivation: lambda c1, n1, c2, n2: x + c2(relu(n2(c1(relu(n1(x)))))),
        own.unit(own.option_a, own.convolved): lambda c1, n1, c2, n2, c3: relu(c3(x) + n2(c2(relu(n1(c1(x)))))),
    }
    for unit_fn, equation in expected.items():
        inputs = keras.Input((4, 5, 6))
        model = randomise(keras.Model(inputs, unit_fn(inputs, 6, 1)))
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        convs.sort(key=lambda conv: -conv.kernel_size[0])
        said = equation(convs[0], norms[0], convs[1], norms[1], *convs[2:])
        assert_close(run(model, x), keras.ops.convert_to_numpy(said), 1e-5)


def test_the_gradients_of_all_paths_are_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three units there are eight paths."""
    monkeypatch.syspath_prepend(str(TUTORIALS))
    lab = importlib.import_module("why_residual")
    model = randomise(lab.Training("residual", 8).build())
    x, y = images(8, 8, 1), np.array([3, 7])
    arriving = lab.along_paths(model)
    paths = [arriving(x, y, np.tile(taken, (2, 1))) for taken in itertools.product((0.0, 1.0), repeat=3)]
    first = model.get_layer("conv1_relu").output
    rest = keras.Model(first, model.output)
    maps = keras.Model(model.input, first)(x, training=False)

    def loss(maps: Any) -> Any:
        logits = rest(maps, training=False)
        return keras.ops.sum(keras.ops.sparse_categorical_crossentropy(y, logits, from_logits=True))

    expected = lab.gradient(loss, maps)
    assert min(np.abs(each).max() for each in paths) > 0
    assert_close(np.sum(paths, axis=0), keras.ops.convert_to_numpy(expected), 1e-4)


@once
def test_the_notebook_on_the_papers_says_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says it again, from the same tables, but for what it computes itself."""
    said = outputs_of("04_why_residual", figures=8)
    monkeypatch.syspath_prepend(str(TUTORIALS))
    monkeypatch.chdir(TUTORIALS)
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: None)
    names: dict[str, Any] = {}
    for cell in code_of("04_why_residual"):
        exec(compile(cell, "notebook", "exec"), names)
        again = capsys.readouterr().out
        assert again in said or "after silence: logits deviate by 0.000000" in again
    matplotlib.pyplot.close("all")
    assert "after silence: logits deviate by 0.000000" in said
    (deviation,) = re.findall(r"36 layers more: logits deviate by (\d+\.\d+)", said)
    assert float(deviation) > 1
    assert names["vgg19"] == 19_632_062_464  # `test_papers` counts it
    lab = importlib.import_module("why_residual")
    settings = {"backend": "torch", "epochs": lab.EPOCHS, "draws": lab.DRAWS, "batch": lab.BATCH, "rates": lab.RATES}
    assert json.loads((lab.RESULTS / "settings.json").read_text()) == settings
    for experiment in lab.EXPERIMENTS.values():
        wanted = {tuple(map(str, dataclasses.astuple(training))) for training in experiment.trainings(lab.SEEDS)}
        assert wanted <= {tuple(row.values())[:5] for row in lab.rows(lab.RESULTS, experiment.table)}
    trainings = {tuple(row.values())[:5] for row in names["learning"]}
    assert len(names["learning"]) == lab.EPOCHS * sum(int(times) for *_, times in trainings)
    errors, middle = names["last_errors"], statistics.median
    for optimizer in lab.OPTIMIZERS:
        assert min(errors("plain", 56, optimizer)[0]) > max(errors("plain", 20, optimizer)[0]) + 0.05
        assert max(errors("residual", 56, optimizer)[0]) < 0.01 or optimizer == "fast SGD"
    identity = middle(errors("original", 56)[1])
    assert all(middle(errors(kind, 56)[1]) > identity - 0.01 for kind in {**lab.SHORTCUTS, **lab.ORDERS})
    assert middle(errors("shortcut-only gating, b=-6", 56)[1]) < identity + 0.01
    assert middle(names["alone"]["residual", "56"]) > 0.98 > 0.2 >= max(names["alone"]["plain", "20"])
    assert all(int(each.split()[0]) >= 3 and int(each.split()[-1]) <= 12 for each in names["ranges"])


@once
def test_every_tutorial_is_in_the_list_of_tutorials() -> None:
    listed = set(re.findall(r"\]\(([\w.]+)\)", (TUTORIALS / "README.md").read_text()))
    assert listed == {path.name for path in TUTORIALS.iterdir() if path.suffix in (".py", ".ipynb")}
