"""Classifiers of other names, and several networks in a file: what is taken, what is said, what is refused."""

import random
import re
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import transfer
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import RESNET18, RESNET18V2, RESNET50, RESNET50V2
from keras_resnet.architecture.variant import Stem, Variant
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE
from keras_resnet.checkpoints.families.keras import KERAS
from keras_resnet.checkpoints.families.keras_hub import KERAS_HUB
from keras_resnet.checkpoints.families.tf_slim import SLIM
from keras_resnet.checkpoints.families.timm import TIMM_V2
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.export.convert_weights import recognize
from tests.checkpoints.test_mismatch import load
from tests.helpers.nets import assert_close, images, randomise, run, thin, with_style
from tests.helpers.tf_writer import write_v2
from tests.helpers.torch_nets import state_dict, write

pytestmark = pytest.mark.one_backend
Tensors = dict[str, Any]

SMALL: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 5, "classifier_activation": None}
FIELDS: dict[str, Any] = {"units": (1, 1), "widths": (8, 12), "stem": Stem(7, 8)}
ROW = thin(RESNET18, **FIELDS)
WIDTH = 12
ROWS: dict[Family, Variant] = {
    TORCHVISION: with_style(ROW, "torch"),
    TIMM_V2: with_style(thin(RESNET18V2, **FIELDS), "torch"),
    HUGGINGFACE: with_style(ROW, "torch"),
    KERAS: with_style(ROW, "keras"),
    KERAS_HUB: with_style(ROW, "torch"),
    SLIM: with_style(thin(RESNET50, **FIELDS | {"widths": (4, 6)}), "slim"),
}
every_family = pytest.mark.parametrize("family", ROWS, ids=lambda family: family.origin)


def build(row: Variant = ROWS[TORCHVISION], **more: Any) -> keras.Model:
    return keras_resnet.ResNet(row, **SMALL | more)


def numbers(model: keras.Model) -> list[Any]:
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


def tensors_of(model: keras.Model, family: Family, row: Variant) -> Tensors:
    """A model's weights under a library's names and in its layout."""
    assert family.names
    return {
        family.tensor(module, variable.name): np.array(family.theirs(keras.ops.convert_to_numpy(variable)))
        for ours, module in family.names(plan(row)).items()
        if ours in {layer.name for layer in model.layers}
        for variable in model.get_layer(ours).weights
    }


def network(family: Family = TORCHVISION, seed: int = 1) -> tuple[keras.Model, Tensors, Tensors]:
    """A model, the tensors of its body, and those of its classifier by variable."""
    model = randomise(build(ROWS[family]), seed)
    tensors = tensors_of(model, family, ROWS[family])
    assert family.names
    top = family.names(plan(ROWS[family]))["predictions"]
    head = {each: tensors.pop(family.tensor(top, each)) for each in ("kernel", "bias")}
    return model, tensors, head


def named(family: Family, module: str, head: Tensors) -> Tensors:
    return {family.tensor(module, variable): value for variable, value in head.items()}


def scoped(scope: str, tensors: Tensors) -> Tensors:
    return {f"{scope}{name}": value for name, value in tensors.items()}


def check_loads(path: Path, model: keras.Model, **more: Any) -> Any:
    """A file gives a model's own numbers."""
    other = randomise(build(row_of(model)), 7)
    report = keras_resnet.load_weights(other, path, **more)
    assert report.left == ()
    for mine, theirs in zip(numbers(other), numbers(model), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    return report


def row_of(model: keras.Model) -> Variant:
    return next(
        row for row in ROWS.values() if [w.shape for w in build(row).weights] == [w.shape for w in model.weights]
    )


def refusal(path: Path, model: keras.Model, **more: Any) -> str:
    other = build(row_of(model))
    before = numbers(other)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 the callers look at it
        keras_resnet.load_weights(other, path, **more)
    for mine, theirs in zip(numbers(other), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    return str(raised.value).splitlines()[-1]


NAMES = ("head", "species", "last_linear", "cls_head", "output_layer", "top", "dense_3", "classifier_2")


@every_family
@pytest.mark.parametrize("seed", range(4))
def test_the_only_matrix_that_fits_is_the_classifier_and_that_is_said(
    family: Family, seed: int, tmp_path: Path
) -> None:
    """Names of any depth, where the network lies or above it, of rank 2 or 4, with bias or without."""
    rng = random.Random(f"{family.origin}{seed}")
    model, body, head = network(family)
    at = family.separator
    above = at.join(["model", "net"][: rng.randrange(3)])
    above = above and above + at
    scope = above and above + rng.choice(["", f"backbone{at}", f"image_encoder{at}"])
    where = rng.choice([scope, above])
    module = where + at.join(rng.sample(NAMES, rng.randrange(1, 4)))
    matrix = head["kernel"].reshape(head["kernel"].shape[:2] if family.transposed else head["kernel"].shape[-2:])
    layout = rng.choice([matrix, matrix[..., None, None] if family.transposed else matrix[None, None]])
    head = {"kernel": layout} | ({"bias": head["bias"]} if (biased := rng.random() < 0.7) else {})
    if not biased:
        model.get_layer("predictions").bias.assign(np.zeros(5))
    counters = {"step": np.zeros((), "i8"), f"optimizer{at}1": np.ones((WIDTH, 5), "f4")}
    path = write(tmp_path / "net.safetensors", scoped(scope, body) | named(family, module, head) | counters)
    report = check_loads(path, model)
    assert f"{module!r} is the classifier" in report.assumed
    assert any("has no bias" in each for each in report.assumed) is not biased
    assert set(report.unused) == set(counters)
    body_report = keras_resnet.load_weights(
        keras_resnet.ResNet(ROWS[family], include_top=False, input_shape=(32, 32, 3)), path
    )
    assert set(named(family, module, head)) <= set(body_report.unused)
    assert not any("classifier" in each for each in body_report.assumed)
    check_loads(path, model, head=module)
    assert check_loads(path, model, head=module.removeprefix(above)).assumed == report.assumed[1:]


@every_family
def test_a_known_name_is_no_assumption_and_a_bias_that_is_not_there_is_said(family: Family, tmp_path: Path) -> None:
    model, body, head = network(family)
    assert family.names
    top = family.names(plan(ROWS[family]))["predictions"]
    for scope in ("", f"encoder{family.separator}", f"net{family.separator}image_encoder{family.separator}"):
        path = write(tmp_path / "net.safetensors", scoped(scope, body | named(family, top, head)))
        assert not any("classifier" in each for each in check_loads(path, model).assumed)
    del head["bias"]
    model.get_layer("predictions").bias.assign(np.zeros(5))
    path = write(tmp_path / "net.safetensors", body | named(family, top, head))
    assert "the classifier has no bias, so that of the model is 0" in check_loads(path, model).assumed


def linear(outputs: int, inputs: int, name: str) -> Tensors:
    rng = np.random.default_rng(outputs * inputs)
    return {f"{name}.weight": rng.normal(0, 1, (outputs, inputs)).astype("f4"), f"{name}.bias": np.ones(outputs, "f4")}


def norm(width: int, name: str) -> Tensors:
    return {f"{name}.{each}": np.ones(width, "f4") for each in ("weight", "bias", "running_mean", "running_var")}


LAYERS = "may take its outputs, so that the classifier is more than one layer"
NOT_SURE: dict[str, tuple[Tensors, str]] = {
    "an MLP": (linear(7, WIDTH, "fc.0") | linear(5, 7, "fc.2"), rf"'fc.0' \(7, {WIDTH}\) .*'fc.2.weight' {LAYERS}"),
    "an MLP of one width": (
        linear(WIDTH, WIDTH, "head.0") | linear(5, WIDTH, "head.2"),
        "Several matrices .*'head.0' .*'head.2'",
    ),
    "two classifiers": (
        linear(5, WIDTH, "head.a") | linear(5, WIDTH, "head.b"),
        r"Several matrices of the file may be its classifier: 'head.a' \(5, 12\), 'head.b' \(5, 12\). "
        r"Pass head='head.a' or head='head.b', or include_top=False",
    ),
    "Barlow Twins": (
        linear(32, WIDTH, "projector.0") | norm(32, "projector.1") | linear(32, 32, "projector.3"),
        "'projector.0' .* more than one layer",
    ),
    "SwAV": (
        linear(16, WIDTH, "projection_head.0")
        | norm(16, "projection_head.1")
        | linear(4, 16, "projection_head.3")
        | {"prototypes.weight": np.ones((9, 4), "f4")},
        "'projection_head.0' .* more than one layer",
    ),
    "BYOL": (linear(32, WIDTH, "online_projector.net.0") | linear(6, 32, "online_projector.net.3"), LAYERS),
    "SimCLR": (linear(WIDTH, WIDTH, "fc.0") | linear(5, WIDTH, "fc.2"), "Several matrices"),
    "a linear projection": (linear(5, WIDTH, "projection"), "called as a projection head"),
    "MMPreTrain's neck": (
        linear(WIDTH, WIDTH, "neck.fc") | linear(5, WIDTH, "cls.fc"),
        "Several matrices .*'cls.fc'.*'neck.fc'",
    ),
    "a norm between": (norm(WIDTH, "bottleneck") | linear(5, WIDTH, "identity"), "a norm, 'bottleneck', may lie"),
    "a pyramid": (
        {"fpn.inner.weight": np.ones((8, WIDTH, 1, 1), "f4"), "fpn.layer.weight": np.ones((8, 8, 3, 3), "f4")},
        LAYERS,
    ),
    "ArcFace": (linear(5, WIDTH, "arcface"), "called as"),
    "fastai's, of two poolings": (
        norm(2 * WIDTH, "1.2") | linear(5, 2 * WIDTH, "1.4"),
        r"no classifier of one layer for 12 features, but '1.4.weight' \(5, 24\). Pass include_top=False",
    ),
    "a decoder": ({"up.weight": np.ones((5, WIDTH, 3, 3), "f4")}, "The file has no classifier. Pass include_top=False"),
    "an optimizer": (linear(5, WIDTH, "optimizer.copy"), "The file has no classifier. Pass include_top=False"),
    "LoRA": (
        linear(5, WIDTH, "fc") | {"fc.lora_A": np.ones((2, WIDTH), "f4"), "fc.lora_B": np.ones((5, 2), "f4")},
        r"'fc' \(5, 12\) may be .* but 'fc.lora_B' lies beside its weights, as in no dense layer. Pass head='fc'",
    ),
    "a cosine": (linear(5, WIDTH, "fc") | {"fc.sigma": np.ones(1, "f4")}, "'fc.sigma' lies beside its weights"),
    "ArcFace by another name": (linear(5, WIDTH, "head") | {"head.s": np.ones((), "f4")}, "'head.s' lies beside"),
    "a bias of another shape": (linear(5, WIDTH, "head") | {"head.bias": np.ones(6, "f4")}, "its bias has the shape"),
}


@pytest.mark.parametrize("kind", NOT_SURE)
@pytest.mark.parametrize("scope", ["", "model.backbone."])
def test_what_is_not_sure_to_classify_is_refused_by_name(kind: str, scope: str, tmp_path: Path) -> None:
    tensors, message = NOT_SURE[kind]
    model, body, _ = network()
    path = write(tmp_path / "net.pth", scoped(scope, body) | tensors)
    said = refusal(path, model)
    assert re.search(message, said), said
    found = build(include_top=False)
    assert keras_resnet.load_weights(found, path).left == ()
    for row in re.findall(r"head='([^']*)'", said):  # whoever says it gets it, or hears why not
        if tensors[f"{row}.weight"].shape[0] == 5 and "bias has" not in said:
            assert keras_resnet.load_weights(build(), path, head=row).left == ()
        else:
            assert "does not fit" in str(raised(lambda row=row: keras_resnet.load_weights(build(), path, head=row)))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["dense", "predictions"])
def test_what_a_config_has_in_front_of_a_classifier_takes_the_mean(suffix: str, name: str, tmp_path: Path) -> None:
    """Transfer models as people write them in Keras load; those that pool otherwise say that."""
    path = tmp_path / f"net.{suffix}"
    layers = keras.layers
    for top, message in (
        ([layers.GlobalAveragePooling2D(), layers.Dropout(0.2)], None),
        ([layers.GlobalMaxPooling2D()], "the model in the file has a layer GlobalMaxPooling2D. Pass head="),
        ([layers.GlobalAveragePooling2D(), layers.UnitNormalization()], "has a layer UnitNormalization"),
    ):
        body = keras_resnet.ResNet(ROWS[KERAS], include_top=False, input_shape=(32, 32, 3))
        outer = randomise(keras.Sequential([keras.Input((32, 32, 3)), body, *top, layers.Dense(5, name=name)]))
        outer.save(path)
        if message is None:
            report = keras_resnet.load_weights(found := build(ROWS[KERAS]), path)
            assert report.assumed == (f"{name!r} is the classifier",)
            assert_close(run(found, images(32, 32)), run(outer, images(32, 32)), 1e-6)
        else:
            assert message in str(raised(lambda: keras_resnet.load_weights(build(ROWS[KERAS]), path)))
            assert keras_resnet.load_weights(build(ROWS[KERAS]), path, head=name).left == ()


def raised(call: Any) -> ValueError:
    with pytest.raises(ValueError) as found:  # noqa: PT011 the callers look at it
        call()
    return found.value


def test_what_people_train_beside_other_things_loads(tmp_path: Path) -> None:
    """A linear probe beside a projector, weights of a loss, an average of the whole, layers in a Sequential."""
    model, body, head = network()
    other = {name: value * 9 for name, value in body.items()}
    for more, module in (
        (linear(32, WIDTH, "projector.0") | linear(32, 32, "projector.3"), "online_classifier"),
        ({"criterion.weight": np.ones(5, "f4"), "confusion": np.ones((5, 5), "f4")}, "fc.1"),
        (scoped("ema.shadow.", other) | linear(5, WIDTH, "ema.shadow.head"), "classifier.0"),
        ({"centers": np.ones((5, WIDTH), "f4")}, "head.2"),
    ):
        path = write(tmp_path / "net.pth", scoped("net.", body) | named(TORCHVISION, module, head) | more)
        scope = {"scope": "net"} if "ema.shadow.head.weight" in more else {}
        assert f"{module!r} is the classifier" in check_loads(path, model, **scope).assumed


def test_head_names_one_of_several_with_or_without_the_scope(tmp_path: Path) -> None:
    model, body, head = network()
    several = linear(5, WIDTH, "model.aux") | linear(3, WIDTH, "model.other") | linear(5, 4, "model.narrow")
    tensors = scoped("model.body.", body) | named(TORCHVISION, "model.head.fc", head) | several
    path = write(tmp_path / "net.pth", tensors)
    for name in ("head.fc", "model.head.fc", "model.head.fc.weight"):
        assert {each for each in check_loads(path, model, head=name).assumed if "classifier" in each} == set()
        np.testing.assert_array_equal(numbers(build(weights=path, head=name))[-1], head["bias"])
        assert recognize_small(path, head=name) == 5
    unused = check_loads(path, model, head="head.fc").unused
    assert set(unused) == set(several)
    assert "`head`: 'nothing' is not there" in (said := refusal(path, model, head="nothing"))
    assert "'model.aux', 'model.head.fc', 'model.other'" in said
    assert "(5, 4) there, no matrix for 12 features" in refusal(path, model, head="narrow")
    assert "no matrix for 12 features" in refusal(path, model, head="body.layer2.0.conv1")
    # one of a known name gives way
    path = write(tmp_path / "known.pth", body | linear(5, WIDTH, "fc") | named(TORCHVISION, "fine", head))
    assert set(check_loads(path, model, head="fine").unused) == {"fc.weight", "fc.bias"}
    del head["bias"]
    model.get_layer("predictions").bias.assign(np.zeros(5))
    path = write(tmp_path / "known.pth", body | linear(5, WIDTH, "fc") | named(TORCHVISION, "fine", head))
    assert set(check_loads(path, model, head="fine").unused) == {"fc.weight", "fc.bias"}


def recognize_small(path: Path, **more: Any) -> int | None:
    """How many classes a file has that no published network has."""
    from keras_resnet.checkpoints.classifiers import classified
    from keras_resnet.checkpoints.contents import choose_network, read_networks
    from keras_resnet.checkpoints.open import open_source

    found = classified(choose_network(read_networks(open_source(path))), WIDTH, more.get("head"))
    return found.tensors["fc.bias"][0] if "fc.bias" in found.tensors else None


def test_head_needs_a_classifier_and_scope_a_file(tmp_path: Path) -> None:
    _, body, head = network()
    path = write(tmp_path / "net.pth", body | named(TORCHVISION, "head", head))
    for call, message in (
        (lambda: build(include_top=False, weights=path, head="head"), "`head` needs a classifier, so include_top=True"),
        (lambda: keras_resnet.load_weights(build(include_top=False), path, head="head"), "`head` needs a classifier"),
        (lambda: build(head="head"), "received weights=None, scope=None, head='head'"),
        (lambda: build(scope="a"), "received weights=None, scope='a', head=None"),
        (lambda: transfer.classifier(ROW, 3, 32, scope="a"), "received weights=None, scope='a'"),
        (lambda: build(weights=path, scope="a"), "`scope` must be one of .*; received 'a'"),
        (lambda: build(weights=path, scope=3), "`scope` must be the name of a network .*received 3"),
        (lambda: build(weights=path, head=3), "`head` must be the name of a module .*received 3"),
        (lambda: keras_resnet.load_weights(build(), path, averages=cast("Any", 1)), "`averages` must be True or False"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_mocos_heads_project_unless_head_says_otherwise(tmp_path: Path) -> None:
    model, body, head = network()
    for module in ("module.encoder_q.fc", "module.fc", "module.encoder_q.head"):
        tensors = scoped("module.encoder_q.", body) | named(TORCHVISION, module, head)
        tensors |= scoped("module.encoder_k.", body) | {"module.queue": np.ones((WIDTH, 64), "f4")}
        path = write(tmp_path / "net.pth", tensors)
        said = refusal(path, model)
        assert f"{module!r} (5, 12) is read as a projection head, which MoCo's" in said
        assert f"Pass head={module!r} if it is the classifier, or include_top=False" in said
        check_loads(path, model, head=module)
        for scope in ("module.encoder_q", "module.encoder_q."):
            assert keras_resnet.load_weights(build(include_top=False), path, scope=scope).left == ()


def test_recognize_takes_the_classifier_whatever_it_is_called(tmp_path: Path) -> None:
    tensors = state_dict("torchvision__resnet18")
    for kind, names in (
        (5, {"weight": np.ones((5, 512), "f4"), "bias": np.ones(5, "f4")}),
        (7, {"weight": np.ones((7, 512, 1, 1), "f4")}),
    ):
        body = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
        path = write(tmp_path / "net.safetensors", scoped("net.body.", body) | scoped("net.head.", names))
        found = recognize(path)
        assert (found.variant.name, found.classes) == ("resnet18", kind)
        _, report = found.build()
        assert "'net.head' is the classifier" in report.assumed
        body_only = recognize(write(tmp_path / "net.safetensors", body | scoped("a.", names) | scoped("b.", names)))
        assert body_only.classes is None
        assert "Several matrices of the file may be its classifier: 'a'" in body_only.lacks
        assert recognize(tmp_path / "net.safetensors", head="b").classes == kind


# Of raw weights and their averages, as training scripts write both
PAIRS = {
    "timm": ("state_dict.", "state_dict_ema."),
    "torchvision": ("model.", "model_ema.module."),
    "others": ("state_dict.backbone.", "ema_state_dict.module.backbone."),
    "Lightning": ("state_dict.model.", "state_dict.ema_model.model."),
    "PyTorch": ("raw.", "other.module."),  # AveragedModel, by its counter
}


@pytest.mark.parametrize("kind", PAIRS)
def test_averages_are_taken_by_scope_or_by_averages(kind: str, tmp_path: Path) -> None:
    raw, averages = PAIRS[kind]
    (slow, _, _), (fast, _, _) = network(seed=1), network(seed=2)
    tensors: Tensors = {}
    for scope, model in ((raw, fast), (averages, slow)):
        tensors |= scoped(scope, tensors_of(model, TORCHVISION, ROWS[TORCHVISION]))
    tensors["other.n_averaged" if kind == "PyTorch" else "model_ema.n_averaged"] = np.ones((), "i8")
    path = write(tmp_path / "two.pth", tensors)
    said = refusal(path, fast)
    assert "holds several networks. Pass scope=" in said
    assert f"scope={raw[:-1]!r}" in said
    assert f"scope={averages[:-1]!r}" in said
    assert "or averages=True for the moving averages of weights" in said
    check_loads(path, fast, scope=raw[:-1])
    check_loads(path, slow, scope=averages)
    check_loads(path, slow, averages=True)
    for built in (build(weights=path, scope=averages[:-1]), transfer_like(path, averages)):
        np.testing.assert_array_equal(numbers(built)[0], numbers(slow)[0])
    with pytest.raises(ValueError, match=r"`weights`: .*several networks. Pass scope='.*' or scope='.*'\.$"):
        build(weights=path)
    write(path, scoped(raw, tensors_of(fast, TORCHVISION, ROWS[TORCHVISION])))
    assert "is called a moving average of weights: it holds" in refusal(path, fast, averages=True)


def transfer_like(path: Path, scope: str) -> keras.Model:
    return transfer.classifier(
        ROWS[TORCHVISION], 3, 32, path, scope=scope, include_preprocessing=False, data_format="channels_last"
    )


def test_a_network_in_two_scopes_of_slim_says_so(tmp_path: Path) -> None:
    """TensorFlow's Faster R-CNN: its box predictors are no classifier of the image, unless someone says so."""
    model, body, head = network(SLIM)
    first, second = (f"{each}StageFeatureExtractor/resnet_v1_50/" for each in ("First", "Second"))
    tensors = {f"{second if name.startswith('block2') else first}{name}": value for name, value in body.items()}
    boxes = {"Box/Boxes/weights": np.ones((1, 1, 24, 16), "f4"), "Box/Boxes/biases": np.ones(16, "f4")}
    path = str(write_v2(tmp_path / "model.ckpt", tensors | boxes | named(SLIM, "Box/Classes", head)))
    assert "Several matrices of the file may be its classifier: 'Box/Boxes'" in refusal(Path(path), model)
    report = check_loads(Path(path), model, head="Box/Classes")
    assert report.assumed == (
        f"the blocks in {second!r} follow those in {first!r}, and stride as those of classifiers do",
    )
    with pytest.raises(ValueError, match=f"`scope` must be one of '{first[:-1]}'; received '{second[:-1]}'"):
        build(ROWS[SLIM], weights=path, scope=second[:-1])


def test_classifiers_in_the_scope_of_slims_network_are_named_and_have_averages(tmp_path: Path) -> None:
    model, body, head = network(SLIM)
    tensors = scoped("net/", body | named(SLIM, "mine", head) | named(SLIM, "aux", head))
    tensors |= {
        f"{name}/ExponentialMovingAverage": value + 1 for name, value in tensors.items() if "moving" not in name
    }
    path = Path(str(write_v2(tmp_path / "model.ckpt", tensors)))
    assert "'net/aux' (1, 1, 24, 5), 'net/mine' (1, 1, 24, 5). Pass head='net/aux' or" in refusal(path, model)
    check_loads(path, model, head="mine")
    averaged = build(ROWS[SLIM])
    keras_resnet.load_weights(averaged, path, head="mine", averages=True)
    for mine, theirs, weight in zip(numbers(averaged), numbers(model), model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs + (0 if "moving" in weight.path else 1))


def test_a_scope_that_is_called_as_the_model_must_be_in_the_file(tmp_path: Path) -> None:
    _, body, head = network()
    path = write(tmp_path / "net.pth", scoped("left.", body | named(TORCHVISION, "fc", head)) | scoped("right.", body))
    with pytest.raises(ValueError, match=r"`scope` must be one of 'left', 'right'; received 'mine'\. It is the"):
        build(weights=path, name="mine", scope="mine")
    assert build(weights=path, scope="left").name == build(weights=path, name="left").name.replace("left", ROW.name)


def test_a_file_of_the_other_version_is_refused_by_its_own_style(tmp_path: Path) -> None:
    row = with_style(thin(RESNET50, **FIELDS), "keras_2016")
    build(row).save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"must be of a v2 network for .*; those in '.*' are of style 'keras_2016'"):
        build(thin(RESNET50V2, **FIELDS), weights=tmp_path / "net.keras")


def test_students_and_teachers_go_by_their_scope(tmp_path: Path) -> None:
    (student, _, _), (teacher, _, _) = network(seed=1), network(seed=2)
    tensors: Tensors = {}
    for name, model in (("student", student), ("teacher", teacher)):
        tensors |= scoped(f"{name}.backbone.", tensors_of(model, TORCHVISION, ROWS[TORCHVISION]))
        tensors |= scoped(f"{name}.", linear(32, WIDTH, "head.mlp.0") | linear(8, 32, "head.mlp.2"))
    path = write(tmp_path / "dino.pth", tensors)
    check_loads(path, teacher, scope="teacher.backbone")
    check_loads(path, student, scope="student.backbone.")
    assert "averages=True" not in refusal(path, student)


def test_slims_shadows_change_places_with_the_weights(tmp_path: Path) -> None:
    (raw, tensors, head), (slow, shadows, slow_head) = network(SLIM, 1), network(SLIM, 2)
    end = "/ExponentialMovingAverage"
    tensors |= named(SLIM, "logits", head)
    shadows |= named(SLIM, "logits", slow_head)
    file = scoped("resnet_v1_50/", tensors | {f"{name}{end}": value for name, value in shadows.items()})
    path = write(tmp_path / "net.safetensors", file)
    assert set(check_loads(path, raw).unused) == {name for name in file if name.endswith(end)}
    assert set(check_loads(path, slow, averages=True).unused) == {name for name in file if not name.endswith(end)}
    write(path, scoped("resnet_v1_50/", tensors))
    assert "is called a moving average" in refusal(path, raw, averages=True)


def test_many_networks_and_long_names_make_no_page_of_text(tmp_path: Path) -> None:
    _, body, _ = network()
    tensors: Tensors = {}
    for number in range(40):
        tensors |= scoped(f"{number}{'x' * 60}.", body)
    path = write(tmp_path / "many.safetensors", tensors)
    assert "and 30 more" in (said := str(raised(lambda: build(weights=path))))
    assert len(said) < 2000
    assert len(str(raised(lambda: build(weights=path, scope="y")))) < 2000
    heads: Tensors = {}
    for number in range(3000):
        heads |= {f"{number}{'x' * 900}.weight": np.ones((1, WIDTH), "f4")}
    path = write(tmp_path / "heads.safetensors", body | heads)
    assert len(str(raised(lambda: build(weights=path)))) < 3000
    assert len(str(raised(lambda: build(weights=path, head="y")))) < 3000


PARTS = ("head", "fc", "a", "0", "2", "proj", "layer2", "optimizer", "encoder_q", "__", "ema", "classifier")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_lies_beside_a_network_it_loads_the_one_matrix_or_refuses(seed: int) -> None:
    """Names that lead astray, shapes of any rank and of no size: 50 files a seed, with an oracle for what is taken."""
    rng = random.Random(seed)
    _, body, _ = network()
    shapes = {name: value.shape for name, value in body.items()}
    model = keras_resnet.ResNet(ROWS[TORCHVISION], **SMALL)
    for _ in range(50):
        scope = ".".join(rng.choices(PARTS, k=rng.randrange(3)))
        scope = scope and f"{scope}."
        more = {}
        for _ in range(rng.randrange(5)):
            name = ".".join((*rng.choices(PARTS, k=rng.randrange(4)), rng.choice(["weight", "bias", "weight_v"])))
            size = rng.choice([(5, WIDTH), (5, WIDTH, 1, 1), (5,), (), (0, WIDTH), (0,), (5, 5), (1,) * 6, (7, WIDTH)])
            more[rng.choice(["", scope]) + name] = size
        said = load(model, more | {f"{scope}{name}": shape for name, shape in shapes.items()})
        fits = {name for name, shape in more.items() if shape in ((5, WIDTH), (5, WIDTH, 1, 1))}
        assert said or any(name.endswith("weight") for name in fits)
        if "The file has no classifier." in (said or ""):
            assert not any(name.endswith(".weight") and "optimizer" not in name for name in fits), more
