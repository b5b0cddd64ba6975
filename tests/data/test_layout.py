"""The layout of a folder: classes, sides of a split, what is neither; never a guess in silence."""

import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import cli, data, labels
from keras_resnet.data.layout import find_layout

pytestmark = pytest.mark.one_backend
PETS = ("cat", "dog")


def fill(root: Path, *entries: str) -> Path:
    """Folders of two pictures each, `a/`; of none, `a/-`; other files are text."""
    rng = np.random.default_rng(len(list(root.rglob("*"))))
    for entry in entries:
        name, _, file = entry.rpartition("/")
        (root / name).mkdir(parents=True, exist_ok=True)
        if not file:
            for index in range(2):
                Image.fromarray(rng.integers(0, 256, (4, 4, 3), "uint8")).save(root / name / f"{index}.png")
        elif file != "-":
            (root / entry).write_text("no picture")
    return root


def each(outer: tuple[str, ...], inner: tuple[str, ...] = PETS) -> list[str]:
    return [f"{out}/{name}/" for out, name in product(outer, inner)]


def read(root: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes, and how many pictures there are by side; 0 where `splits` divides."""
    found = data.splits(root, 4, validation_split=0.5)
    divided = "validation" not in find_layout(root).sides
    return found.training.class_names, {
        side: 0 if divided and side != "test" else len(part.labels) for side, part in found.sides().items()
    }


@pytest.mark.parametrize(
    ("train", "other", "side"),
    [
        ("seg_train/seg_train", "seg_test/seg_test", "test"),
        ("train", "eval", "validation"),
        ("train", "dev", "validation"),
        ("Train_set", "Test_set", "test"),
        ("TrainSet", "ValSet", "validation"),
        ("TRAINING", "Testing", "test"),
        ("train2017", "val2017", "validation"),
        ("trainset", "testset", "test"),
        ("my-train-images", "my-valid-images", "validation"),
        ("pets_train_v2", "pets_test_v2", "test"),
        ("train/images", "validation/images", "validation"),
        ("Evaluation data", "Training data", "validation"),
    ],
)
def test_sides_are_told_by_their_names(train: str, other: str, side: str, tmp_path: Path) -> None:
    if side == "validation" and "Evaluation" in train:
        train, other = other, train
    root = fill(tmp_path, *each((train, other)))
    classes, counts = read(root)
    assert classes == PETS
    assert counts == ({"training": 4, side: 4} if side == "validation" else {"training": 0, "validation": 0, side: 4})
    with pytest.raises(ValueError, match="which are the splits of a dataset, not classes"):
        data.folder(root)


UNCLEAR: dict[str, tuple[list[str], str]] = {
    "folds": (each(("fold1", "fold2")), "fold1, fold2, with the same folders in them (cat, dog)"),
    "parts of other classes": (
        [*each(("part_a",), ("cat", "dog", "eel")), "part_b/cat/", "part_b/dog/", "part_b/owl/"],
        "part_a, part_b, with the same folders",
    ),
    "a part of one class": ([*each(("a",)), "b/cat/"], "a, b, with the same folders"),
    "a fold with a picture beside its folders": ([*each(("fold1", "fold2")), "fold1/"], "fold1, fold2"),
    "one of many": (each(tuple("12345")), "1, 2, 3, 4, 5, with"),
    "train and something": (each(("train", "holdout")), "holdout, train"),
    "train, val and something": (each(("train", "val", "extra")), "extra"),
    "something small beside the sides": ([*each(("train", "val"), ("a", "b", "c")), "more/c/"], "more"),
    "both words": (each(("trainval", "test")), "test, trainval"),
    "two of one side": (
        each(("train_1", "train_2", "test")),
        "only one folder for training; it holds train_1, train_2",
    ),
    "colours": (each(("color", "gray")), "color, gray"),
    "albums": (each(PETS, ("indoor", "outdoor")), "cat, dog, with the same folders in them (indoor, outdoor)"),
    "the other way round": (each(PETS, ("train", "test")), "Sort them as train/cat, test/cat"),
    "only one the other way round": (
        ["cat/train/", "cat/test/", "dog/"],
        "cat, with the splits of a dataset in it (test, train)",
    ),
    "sides beside samples": (
        [*each(("data/train", "data/val")), *each(("sample",))],
        "data, with the splits of a dataset in it (train, val), beside sample",
    ),
    "sides beside masks": (
        [*each(("images/train", "images/val")), "masks/"],
        "images, with the splits of a dataset in it",
    ),
    "folds in train": (each(("train/fold1", "train/fold2")), "train' holds fold1, fold2"),
    "train beside what has no label": ([*each(("train",)), "unlabelled/"], "train, with folders in it (cat, dog)"),
    "train beside that in a folder": ([*each(("train",)), "pred/pred/"], "train, with folders in it (cat, dog)"),
    "a side among the classes": (["cat/", "dog/", "test/cat/"], "test, with folders in it (cat), beside cat, dog"),
    "a fold among the classes": (["cat/", "dog/", *each(("fold",))], "fold, with folders in it"),
    "test without labels": ([*each(("train",)), "test/"], "test beside train, but test has no folder per class"),
    "that in a folder": ([*each(("train/train",)), "test/test/"], "test beside train, but test has no folder"),
    "no labels": (["train/", "test/"], "test, train, which are the splits of a dataset, not classes"),
    "no labels, in words": (["train_images/", "Test images/"], "which are the splits of a dataset"),
    "only val": (each(("val",)), "holds val, but no folder for training"),
    "only test": (each(("my_test_set",)), "holds my_test_set, but no folder for training"),
    "val and test": (each(("val", "test")), "holds val, test, but no folder for training"),
    "an empty class": (["cat/", "dog/", "eel/-"], "eel' holds no image that can be used"),
    "a class of one side": ([*each(("train",)), *each(("val",), ("cat", "eel"))], "received 'eel'"),
    "another case": ([*each(("train",)), *each(("val",), ("Cat",))], "received 'Cat'. Did you mean 'cat'"),
}


@pytest.mark.parametrize(("entries", "message"), UNCLEAR.values(), ids=UNCLEAR.keys())
@pytest.mark.parametrize("wrapper", [(), ("data", "data")], ids=["bare", "wrapped"])
def test_what_is_not_clear_is_refused_by_name(
    entries: list[str], message: str, wrapper: tuple[str, ...], tmp_path: Path
) -> None:
    fill(tmp_path.joinpath(*wrapper), *entries)
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        data.splits(tmp_path, 4, validation_split=0.5, verbose=False)
    assert message in str(refused.value).replace("data/data/", "")


CLASSES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "flat": (["cat/", "dog/"], PETS),
    "a toy": (["car/", "train/"], ("car", "train")),
    "sorted toys": (
        [*each(("car",), ("taxi", "van")), *each(("train",), ("steam", "tram"))],
        ("car", "train"),
    ),
    "tubes and boards": (["dev_board/", "test_tube/"], ("dev_board", "test_tube")),
    "tests": (["test_negative/", "test_positive/"], ("test_negative", "test_positive")),
    "kinds": ([*each(("pet",), PETS), *each(("vehicle",), ("bus", "car"))], ("pet", "vehicle")),
    "some sorted": (["cat/", *each(("dog",), ("old", "young"))], PETS),
    "albums beside pictures": ([*each(PETS, ("indoor", "outdoor")), "cat/", "dog/"], PETS),
    "one folder in each": (each(PETS, ("images",)), PETS),
    "species of genera": (
        ["A/alba/", "A/ruber/", "B/alba/", "B/niger/", *each(("C",), ("x", "y")), *each(("D",), ("u", "v"))],
        ("A", "B", "C", "D"),
    ),
    "in a folder": (each(("pets",)), PETS),
    "in folders": (each(("pets/pets",)), PETS),
    "beside annotations": ([*each(("images",)), "annotations/cat/a.xml", "list.txt"], PETS),
}


@pytest.mark.parametrize(("entries", "classes"), CLASSES.values(), ids=CLASSES.keys())
def test_classes_stay_classes(entries: list[str], classes: tuple[str, ...], tmp_path: Path) -> None:
    root = fill(tmp_path, *entries)
    pictures = data.folder(root, 4, verbose=False)
    assert pictures.class_names == classes == data.splits(root, 4, validation_split=0.5).training.class_names
    assert len(pictures.labels) == 2 * sum(entry.endswith("/") for entry in entries)


def test_further_folders_of_classes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.folder(fill(tmp_path, *each(("car",), ("taxi", "van")), "train/steam/", "train/tram/"), 4)
    said = capsys.readouterr().err
    assert "in sub-folders of the classes: car/taxi, car/van, train/steam, train/tram" in said


@pytest.mark.parametrize("name", ["albums", "folds", "no labels", "a fold among the classes"])
def test_the_user_can_say_what_the_classes_are(name: str, tmp_path: Path) -> None:
    entries, _ = UNCLEAR[name]
    classes = tuple(sorted({entry.split("/")[0] for entry in entries}, reverse=True))
    fill(tmp_path, *entries)
    assert data.folder(tmp_path, 4, class_names=classes, verbose=False).class_names == classes
    found = data.splits(tmp_path, 4, validation_split=0.5, class_names=classes)
    assert found.training.class_names == classes
    assert len(found.training.labels) + len(found.validation.labels) == 2 * len(entries)


def test_classes_of_sides_may_be_sorted_further(tmp_path: Path) -> None:
    """Where there are sides already, the same folders in each class are no others."""
    root = fill(tmp_path, *each(("train/cat", "train/dog", "val/cat"), ("indoor", "outdoor")))
    assert read(root) == (PETS, {"training": 8, "validation": 4})


def test_what_is_neither_a_class_nor_a_side_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(
        tmp_path,
        "notes.txt",
        "__MACOSX/._train",
        "@eaDir/",
        "seg_pred/seg_pred/",
        "empty/-",
        *each(("seg_train/seg_train", "seg_test/seg_test")),
        "seg_train/readme.txt",
        "seg_train/seg_train/cat/@eaDir/",
        "seg_train/seg_train/cat/Thumbs.db",
        ".cache/",
    )
    found = data.splits(root, 4, validation_split=0.5)
    inventory = found.training.inventory
    assert inventory
    assert {file.relative_to(root).as_posix() for file in inventory.skipped} == {
        "notes.txt",
        "__MACOSX",
        "@eaDir",
        "seg_pred",
        "empty",
        "seg_train/readme.txt",
        "seg_train/seg_train/cat/Thumbs.db",
    }
    assert inventory.hidden == 2  # thumbnails
    said = capsys.readouterr().err
    assert "training in seg_train/seg_train, test in seg_test/seg_test" in said
    assert all(str(file) in said for file in inventory.skipped)
    assert str(found) == "2 to train, 2 to validate, 4 to test"


def test_a_class_that_is_called_as_a_side_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "scans", "positive/", "negative/", "test/")
    found = data.splits(root, 4, validation_split=0.5)
    assert found.training.class_names == ("negative", "positive", "test")
    assert "note: these folders are read as classes, not as splits of a dataset: test" in capsys.readouterr().err
    data.splits(root, 4, validation_split=0.5, class_names=["negative", "positive", "test"])
    data.splits(fill(tmp_path / "pets", *each(("train", "val"))), 4)
    assert "note:" not in capsys.readouterr().err


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    for name in ("classes", "sides"):
        root = fill(tmp_path / name, *each(("train" if name == "sides" else ".",)))
        (root / "val").symlink_to(tmp_path / "gone")
        inventory = data.splits(root, 4, validation_split=0.5, verbose=False).training.inventory
        assert inventory
        assert root / "val" in inventory.skipped


def test_links_lead_to_sides(tmp_path: Path) -> None:
    fill(tmp_path / "store", *each(("x", "y")))
    root = tmp_path / "pets"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "store" / "x")
    (root / "val").symlink_to(tmp_path / "store" / "y")
    assert read(root) == (PETS, {"training": 4, "validation": 4})
    (root / "train").rename(root / "one")
    (root / "val").rename(root / "two")
    with pytest.raises(ValueError, match="one, two, with the same folders"):
        data.splits(root)
    (tmp_path / "loop" / "a").mkdir(parents=True)
    (tmp_path / "loop" / "a" / "b").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="it holds 1"):
        data.splits(tmp_path / "loop")


WORDS = {
    "training": ("train", "Training", "seg_train", "TrainSet", "pets-train", "train_images"),
    "validation": ("val", "VALID", "dev", "eval", "my_validation", "ValSet"),
    "test": ("test", "Testing", "seg_test", "TEST_set", "test-data"),
}
JUNK = ("__MACOSX/._x", ".DS_Store", "@eaDir/", "Thumbs.db", "notes/readme.txt", "labels.csv", "void/-", "pred/pred/")


def draw(rng: random.Random) -> tuple[list[str], dict[str, str], list[str], dict[str, Any]]:
    """A folder's entries, its sides by folder, its junk, and what it should be read as."""
    classes = tuple(rng.sample(("cat", "dog", "eel", "Fox", "train", "12", "猫"), rng.choice((2, 3))))
    kind = rng.choice(("classes", "named", "named", "unnamed"))
    if kind == "classes":
        sides = {"": "training"}
    elif kind == "named":
        others = rng.sample(("validation", "test"), rng.choice((0, 1, 2)))
        sides = {rng.choice(WORDS[side]): side for side in ("training", *others)}
    else:
        names = rng.choice((("fold1", "fold2", "fold3"), ("A", "B"), ("part a", "part b"), ("2021", "2022")))
        sides = dict.fromkeys(names, "")
    wrapper = rng.choice(("", "", "pets/", "data/data/"))
    doubled = kind != "classes" and rng.random() < 0.3
    further = rng.choice(("", "", "album/"))
    entries = []
    for name, side in sides.items():
        present = classes if side in ("training", "") else rng.sample(classes, rng.randint(1, len(classes)))
        path = f"{name}/{name}/" if doubled else f"{name}/" if name else ""
        entries += [f"{wrapper}{path}{each}/{further}" for each in present]
    junk = rng.sample(JUNK[: -1 if kind == "classes" else None], rng.randint(0, 3))  # there it would be a class
    return entries, sides, junk, {"kind": kind, "classes": classes, "wrapper": wrapper}


def outcome(root: Path) -> data.Splits | ValueError:
    try:
        return data.splits(root, 4, validation_split=0.5)
    except ValueError as error:
        return error


@pytest.mark.parametrize("seed", range(80))
def test_no_layout_is_guessed_in_silence(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries, sides, junk, drawn = draw(random.Random(seed))
    below = fill(tmp_path / drawn["wrapper"], *junk)
    fill(tmp_path, *entries)
    found = outcome(tmp_path)
    visible = {each.split("/")[0] for each in junk if not each.startswith(".")}
    if isinstance(found, ValueError):
        assert any(name and name in str(found) for name in (*sides, *visible))
        if drawn["kind"] != "unnamed":  # then it is for the folders beside, and sides beside each other need no help
            assert visible & {"void", "pred", "notes"}
            assert len(sides) == 1
        return
    assert drawn["kind"] != "unnamed"
    assert found.training.class_names == tuple(sorted(drawn["classes"]))
    counts = {side: len(part.labels) for side, part in found.sides().items()}
    assert sum(counts.values()) == 2 * len(entries)
    for name, side in sides.items():
        if side != "training":
            assert counts[side] == 2 * sum(f"/{name}/" in f"/{entry}" for entry in entries)
    said = capsys.readouterr().err
    assert all(str(below / name) in said for name in visible)


@pytest.mark.parametrize(
    ("entries", "measured"),
    [
        (["seg_pred/seg_pred/", *each(("seg_train/seg_train", "seg_test/seg_test"))], "seg_test/seg_test"),
        ([*each(("train", "dev")), "dev/cat/album/", "__MACOSX/._x"], "dev"),
        ([*each(("data/data",)), "notes.txt"], "data/data"),
        (each(PETS, ("indoor", "outdoor")), "."),  # the model tells that these are classes
        (["cat/"], "."),
    ],
)
def test_evaluate_finds_the_pictures_that_training_kept_apart(
    entries: list[str], measured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = labels.with_class_names(keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=2), PETS)
    model.save(tmp_path / "pets.keras")
    root = fill(tmp_path / "pets", *entries)
    assert cli.main(["evaluate", str(tmp_path / "pets.keras"), str(root)]) == 0
    printed = capsys.readouterr()
    measures = [entry for entry in entries if entry.endswith("/") and f"{measured}/" in f"./{entry}"]
    assert f"% of {2 * len(measures)} images" in printed.out
    assert f"{root / measured}: {2 * len(measures)} images in 2 classes" in printed.err
    assert all(name in printed.err for name in ("seg_pred", "__MACOSX", "notes.txt") if (root / name).exists())


def test_commands_refuse_what_is_not_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "pets", *each(("fold1", "fold2")))
    model = labels.with_class_names(keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=2), PETS)
    model.save(tmp_path / "pets.keras")
    for arguments in (
        ["train", str(root), "--out", str(tmp_path / "run")],
        ["evaluate", str(tmp_path / "pets.keras"), str(root)],
    ):
        assert cli.main(arguments) == 1
        assert "fold1, fold2, with the same folders in them (cat, dog)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
