"""Pictures and their classes: what is found, read, split, augmented and refused."""

import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import data, evaluation, figures, training, transfer
from keras_resnet.architecture.rows import RESNET20
from keras_resnet.architecture.variant import Stem
from keras_resnet.data import augment, decode
from tests.helpers.nets import data_format, thin
from tests.helpers.pictures import SHAPES, draw_folder

once = pytest.mark.one_backend


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("pictures") / "shapes", 5)


@once
def test_a_folder_without_a_folder_of_the_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loose.png").write_bytes(b"")
    with pytest.raises(ValueError, match="a folder of images for each class, .* such as 'a'; it holds no such"):
        data.folder(tmp_path, class_names=["a", "b"])


def test_a_folder_becomes_batches_of_rgb_with_class_names(shapes: Path) -> None:
    pictures = keras_resnet.data.folder(shapes, image_size=(20, 30), batch_size=4)
    assert pictures.class_names == SHAPES
    assert len(pictures) == 4
    images, labels = pictures[0]
    assert (images.shape, images.dtype, labels.dtype) == ((4, 20, 30, 3), np.float32, np.int32)
    assert 0 <= images.min() < images.max() <= 255
    assert len(pictures[3][1]) == 3
    assert [label for index in range(4) for label in pictures[index][1]] == [0] * 5 + [1] * 5 + [2] * 5
    with Image.open(shapes / "circle" / "0.jpg") as picture:
        expected = np.asarray(picture.resize((30, 20)), "float32")
    np.testing.assert_allclose(images[0], expected, atol=1)  # JPEGs are decoded at the next scale that is enough


def test_a_model_fits_a_folder(shapes: Path) -> None:
    training, validation = data.folder(shapes, 8, 4).split(0.4)
    model = keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=3, include_preprocessing=True)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(training, validation_data=validation, shuffle=False, epochs=2, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


@once
def test_gray_palette_and_transparent_pictures_are_rgb(tmp_path: Path) -> None:
    for mode, suffix in (("L", "png"), ("P", "gif"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "bmp"), ("RGB", "webp")):
        path = tmp_path / f"{mode}.{suffix}"
        Image.new(mode, (6, 4)).save(path)
        picture = data.read_picture(path)
        assert picture.shape == (4, 6, 3)
        assert picture.dtype == np.uint8


@once
def test_a_picture_is_turned_as_its_camera_noted(tmp_path: Path) -> None:
    upright = np.zeros((4, 6, 3), "uint8")
    upright[0, :, 0] = 255  # a red line on top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.png", exif=exif)
    np.testing.assert_array_equal(data.read_picture(tmp_path / "phone.png"), upright)
    deep = np.rot90(upright[..., 0]).astype("uint16") * 257
    Image.fromarray(deep).save(tmp_path / "deep.png", exif=exif)
    np.testing.assert_array_equal(data.read_picture(tmp_path / "deep.png")[..., 0], upright[..., 0])


@once
def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((2, 2, 4), "uint8")
    rgba[0, 0] = (200, 0, 0, 255)
    rgba[0, 1] = (200, 0, 0, 51)  # a fifth of it
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    Image.fromarray(rgba[..., [0, 3]]).save(tmp_path / "gray.png")
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.gif", transparency=1)
    for name, expected in {
        "alpha.png": [[[200, 0, 0], [244, 204, 204]], [[255] * 3] * 2],
        "gray.png": [[[200] * 3, [244] * 3], [[255] * 3] * 2],
        "palette.gif": [[[10, 20, 30], [255] * 3]],
    }.items():
        np.testing.assert_allclose(data.read_picture(tmp_path / name), expected, atol=1)


@once
def test_16_bit_pictures_are_scaled_and_floats_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 16 * 16).reshape(16, 16)
    Image.fromarray(ramp.astype("uint16")).save(tmp_path / "deep.png")
    np.testing.assert_allclose(data.read_picture(tmp_path / "deep.png")[..., 0], ramp / 257, atol=1)
    Image.fromarray((ramp / 65535).astype("float32")).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="float.tif can't be read.*floats"):
        data.read_picture(tmp_path / "float.tif")
    with pytest.raises(ValueError, match=r"an array \(2, 2, 3\) of float64 can't be read"):
        data.read_picture(np.zeros((2, 2, 3)))
    Image.fromarray(np.array([[0, 29000]], "uint16")).save(tmp_path / "clear.png", transparency=0)
    assert data.read_picture(tmp_path / "clear.png")[0, :, 0].tolist() == [255, round(29000 / 257)]
    with pytest.raises(ValueError, match="it is not a file"):
        data.read_picture(tmp_path)


@once
def test_hidden_files_are_left_out_and_suffixes_may_shout(shapes: Path, tmp_path: Path) -> None:
    for name in ("a", "b", ".hidden"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "x.PNG")
        (tmp_path / name / "._x.png").write_bytes(b"resource fork")
    (tmp_path / "a" / ".thumbs").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / ".thumbs" / "x.png")
    (tmp_path / "a" / "folder.png").mkdir()
    assert [path.name for path in data.folder(tmp_path).pictures] == ["x.PNG", "x.PNG"]


@once
def test_a_split_is_by_class_disjoint_and_a_function_of_the_seed() -> None:
    training, validation = data.digits(image_size=12, batch_size=100).split(0.2)
    assert len(training.labels) + len(validation.labels) == 1797
    share = np.bincount(validation.labels) / (np.bincount(validation.labels) + np.bincount(training.labels))
    assert np.abs(share - 0.2).max() < 0.01
    assert training.class_names == tuple("0123456789")
    images, labels = training[0]
    assert (images.shape, labels.shape) == ((100, 12, 12, 3), (100,))
    assert images.min() == 0
    assert 250 < images.max() <= 255
    again, other = data.digits().split(0.2), data.digits().split(0.2, seed=1)
    np.testing.assert_array_equal(again[1].labels, validation.labels)
    assert not np.array_equal(other[1].labels, validation.labels)


@once
def test_a_split_takes_each_picture_once(shapes: Path) -> None:
    training, validation = data.folder(shapes).split(0.4)
    assert not set(training.pictures) & set(validation.pictures)
    assert len(training.pictures) + len(validation.pictures) == 15
    assert all(
        SHAPES[label] == path.parent.name for path, label in zip(training.pictures, training.labels, strict=True)
    )


@once
def test_an_epochs_order_is_a_function_of_seed_and_epoch() -> None:
    def orders(seed: int) -> list[list[int]]:
        training, _ = data.digits().split(seed=seed)
        result = []
        for _ in range(3):
            assert sorted(training.order) == list(range(1437))
            result.append(list(training.order))
            training.on_epoch_end()
        return result

    first = orders(0)
    assert first == orders(0)
    assert first != orders(1)
    assert first[0] != first[1] != first[2]
    assert list(data.digits().split()[1].order) == list(range(360))


def folder_of(tmp_path: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (tmp_path / name).mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (4, 4)).save(tmp_path / name / f"{index}.png")
    return tmp_path


@once
def test_what_no_network_can_learn_from_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`path` must be a folder .*no folder '.*missing'"):
        data.folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="two or more folders.*it holds 0"):
        data.folder(tmp_path)
    folder_of(tmp_path, cat=1)
    with pytest.raises(ValueError, match="two or more folders.*it holds 1, cat"):
        data.folder(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(ValueError, match="dog' holds no image"):
        data.folder(tmp_path)
    folder_of(tmp_path / "dog", puppies=2)
    with pytest.raises(ValueError, match="two images.*'cat' has 1"):
        data.folder(tmp_path).split()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "another.png")
    with pytest.raises(ValueError, match="`validation_split`.*0.2 of 4 images is 1, for 2 classes"):
        data.folder(tmp_path).split(0.2)
    for share in (0, 1, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="`validation_split`"):
            data.folder(tmp_path).split(share)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), "uint8")


@once
def test_what_cannot_be_used_is_named_skipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of(tmp_path, cat=2, dog=2))
    good = Path("good.png")
    Image.fromarray(noise(64, 64)).save(good)
    Image.fromarray(noise(64, 64)).save("good.jpg")
    dog = Path("dog")
    for suffix in ("png", "jpg"):
        content = Path(f"good.{suffix}").read_bytes()
        (dog / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
    (dog / "empty.png").write_bytes(b"")
    (dog / "text.png").write_text("no picture")
    (dog / "notes.txt").write_text("no picture")
    (dog / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (dog / "float.tif").write_bytes(b"")
    Image.fromarray(noise(4, 4)[..., 0].astype("float32")).save(dog / "float.tif")
    (dog / "script.jpg").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n"
    )  # Pillow would start Ghostscript
    (dog / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(dog / "pipe.png")
    (dog / "._x.png").write_bytes(b"resource fork")
    (dog / ".thumbs").mkdir()
    good.rename(dog / ".thumbs" / "x.png")
    Path("good.jpg").unlink()
    Path("README").write_text("ours")
    pictures = data.folder(".")
    found = pictures.inventory
    assert found
    assert len(pictures.pictures) == 4
    assert {path.as_posix(): reason for path, reason in found.skipped.items()} == {
        "README": "not in the folder of a class",
        "dog/cut.png": "it is truncated",
        "dog/cut.jpg": "it is truncated",
        "dog/empty.png": "it is empty",
        "dog/text.png": (no := "it is not an image in a supported format (BMP, GIF, JPEG, PNG, TIFF, WEBP)"),
        "dog/notes.txt": no,
        "dog/film.mp4": no,
        "dog/script.jpg": no,
        "dog/float.tif": "its pixels are floats of an unknown range; pass `value_range`, or save it with 8 or 16 bits "
        "per channel",
        "dog/gone.png": "no such file or directory",
        "dog/pipe.png": "it is not a file",
    }
    assert found.hidden == 2
    said = capsys.readouterr()
    assert "4 images in 2 classes (cat 2, dog 2)" in said.err
    assert "4 .png; 4x4 to 4x4 pixels" in said.err
    assert "files skipped: 11; 2 hidden ones ignored" in said.err
    assert "README: not in the folder of a class" in said.err
    assert "and 1 more" in said.err
    assert not said.out
    data.folder(".", verbose=False)
    assert tuple(capsys.readouterr()) == ("", "")


@once
def test_a_class_of_which_nothing_can_be_used_is_refused_with_the_reasons(tmp_path: Path) -> None:
    root = folder_of(tmp_path, cat=2, dog=0)
    (root / "dog" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="dog' holds no image that can be used.*cut.jpg: "):
        data.folder(root)


@once
def test_names_and_links_may_be_of_any_kind(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "root", cat=1)
    (root / "Кошка 猫").mkdir()
    names = ["x" * 251 + ".PNG", "ünï.Png", "no suffix", "$a.b.png"]
    for name in names:
        Image.new("RGB", (4, 4)).save(root / "Кошка 猫" / name, "png")
    broken = os.fsencode(root / "Кошка 猫") + b"/\xff\xfe.png"  # no UTF-8
    Image.new("RGB", (4, 4)).save(root / "cat" / "y.png")
    Path(os.fsdecode(broken)).write_bytes((root / "cat" / "y.png").read_bytes())
    folder_of(tmp_path / "elsewhere", kittens=2, **{"old ones": 1})
    (root / "cat" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "linked.png").symlink_to(root / "cat" / "y.png")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "old ones")
    (root / "cat" / "up").symlink_to(root)  # would bring in the other classes
    pictures = data.folder(root)
    assert pictures.class_names == ("cat", "dog", "Кошка 猫")
    assert list(np.bincount(pictures.labels)) == [5, 1, 5]  # what is linked to as a class is of that class alone
    assert {file.name for file, label in zip(pictures.pictures, pictures.labels, strict=True) if label == 2} == {
        *names,
        os.fsdecode(b"\xff\xfe.png"),
    }


def sided(root: Path, **sides: dict[str, list[int]]) -> Path:
    """Folders of classes of pictures, each of one gray."""
    for side, classes in sides.items():
        for name, grays in classes.items():
            (root / side / name).mkdir(parents=True)
            for index, gray in enumerate(grays):
                Image.new("RGB", (4, 4), (gray,) * 3).save(root / side / name / f"{index}.png")
    return root


@once
def test_train_val_and_test_folders_are_the_sides_of_the_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = sided(
        tmp_path,
        train={"a": [1, 2, 3], "b": [4, 5], "c": [6]},
        valid={"b": [5, 7], "c": [8, 1]},
        test={"c": [9]},
        notes={},
    )
    found = data.splits(root, seed=3, augment="light")
    assert found.test
    assert [part.class_names for part in found[:3] if isinstance(part, data.Pictures)] == [("a", "b", "c")] * 3
    assert [list(part.labels) for part in (found.training, found.validation, found.test)] == [
        [0, 0, 0, 1, 1, 2],
        [1, 1, 2, 2],
        [2],
    ]
    assert [(part.seed, part.augment) for part in (found.training, found.validation, found.test)] == [
        (3, "light"),
        (None, "none"),
        (None, "none"),
    ]
    same = [("train/b/1.png", "valid/b/0.png"), ("train/a/0.png", "valid/c/1.png")]
    assert {tuple(file.relative_to(root).as_posix() for file in pair) for pair in found.leaks} == set(same)
    said = capsys.readouterr().err
    assert "6 to train, 4 to validate, 1 to test" in said
    assert "2 images lie in two of the splits" in said
    assert said.count("classes without an image here") == 2
    assert "classes without an image here: a\n" in said
    assert "classes without an image here: a, b\n" in said
    with pytest.raises(ValueError, match="the splits of a dataset.*data.splits"):
        data.folder(root)
    (root / "Val" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="only one folder for validation; it holds Val, valid. Merge them"):
        data.splits(root)


@once
def test_train_alone_or_with_test_is_divided(tmp_path: Path) -> None:
    root = sided(tmp_path, Train={"a": [1, 2], "b": [3, 4]})
    alone = data.splits(root, validation_split=0.5)
    assert (alone.training.class_names, len(alone.training.labels), alone.test) == (("a", "b"), 2, None)
    sided(tmp_path, TEST={"b": [4]})
    both = data.splits(root, validation_split=0.5)
    assert (len(both.training.labels), len(both.validation.labels)) == (2, 2)
    assert both.test
    assert list(both.test.labels) == [1]
    assert len(both.leaks) == 1
    (root / "Train").rename(root / "valid")
    with pytest.raises(ValueError, match="holds valid, TEST, but no folder for training"):
        data.splits(root)


@once
def test_a_side_without_classes_is_refused(tmp_path: Path) -> None:
    root = sided(tmp_path, train={"a": [1, 2], "b": [3, 4]}, test={})
    (root / "test").mkdir()
    Image.new("RGB", (4, 4)).save(root / "test" / "unknown.png")
    with pytest.raises(ValueError, match="holds test beside train, but test has no folder per class"):
        data.splits(root)
    sided(tmp_path, val={"a": [5], "b": [6]})
    with pytest.raises(ValueError, match="holds test beside train, val, but test has no folder per class"):
        data.splits(root)


@once
def test_a_split_keeps_how_its_pictures_are_shown() -> None:
    pictures = data.Pictures([noise(4, 4)] * 8, [0, 1] * 4, "ab", 4, 2, None, "light", True, True)
    training, validation = pictures.split(0.5)
    assert (training.augment, training.one_hot, training.balance, training.batch_size) == ("light", True, True, 2)
    assert (validation.augment, validation.one_hot, validation.balance) == ("none", True, False)
    assert pictures.split(0.5, augment="none")[0].augment == "none"


def settings_of(pictures: data.Pictures) -> dict[str, Any]:
    """All that a user can see of pictures, but the pictures."""
    names = ("class_names", "image_size", "batch_size", "seed", "augment", "one_hot", "balance", "inventory", "crop")
    return {name: getattr(pictures, name) for name in (*names, "data_format", "epoch", "workers")}


@once
def test_a_copy_with_other_settings_leaves_the_pictures_as_they_are() -> None:
    pictures = data.Pictures([noise(4, 4)] * 8, [0, 1] * 4, "ab", 4, 2, seed=3)
    pictures.set_epoch(5)
    pictures.workers = 2
    before, order, batch = settings_of(pictures), pictures.order.tolist(), pictures[0]
    crop = np.asarray
    changes: dict[str, Any] = {"image_size": (6, 8), "batch_size": 4, "augment": "light", "one_hot": True}
    changes |= {"balance": True, "crop": crop, "class_names": ("a", "b", "c")}
    changed = pictures.with_(**changes)
    assert settings_of(changed) == before | changes
    assert changed.order.tolist() == order
    images, labels, weights = changed[0]
    assert (images.shape, labels.shape, weights.shape) == ((4, 6, 8, 3), (4, 3), (4,))
    changed.on_epoch_end()
    assert changed.order.tolist() != order
    other = pictures.with_(labels=[1] * 8, class_names="ab", seed=None)
    assert other.labels.dtype == "int32"
    assert (other.class_names, other.order.tolist()) == (("a", "b"), list(range(8)))
    assert settings_of(pictures) == before
    assert pictures.order.tolist() == order
    for now, then in zip(pictures[0], batch, strict=True):
        np.testing.assert_array_equal(now, then)
    assert settings_of(pictures.with_()) == before


@once
def test_a_setting_that_there_is_not_or_that_cannot_be_is_refused_as_by_the_constructor() -> None:
    pictures = data.Pictures([noise(4, 4)] * 2, [0, 1], "ab", 4)
    for name in ("onehot", "epoch", "order"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            pictures.with_(**{name: True})
    with pytest.raises(ValueError, match="`augment` must be one of 'none', 'light', 'strong'"):
        pictures.with_(augment="string")
    for refused in ({"augment": "strong"}, {"augment": "strong", "one_hot": False}):
        with pytest.raises(ValueError, match="`one_hot` must be True with augment='strong'"):
            pictures.with_(**refused)
    with pytest.raises(ValueError, match="`one_hot` must be True with augment='strong'"):
        pictures.with_(augment="strong", one_hot=True).with_(one_hot=False)


@once
@pytest.mark.parametrize("augment", ["none", "light", "strong"])
def test_pictures_come_in_keras_image_data_format_as_it_was_when_they_were_made(augment: str) -> None:
    arguments: dict[str, Any] = {"batch_size": 3, "seed": 0, "augment": augment, "one_hot": True}
    pictures = [noise(6, 7), noise(7, 9)[..., 0], noise(8, 5)] * 2
    last = data.Pictures(pictures, [0, 1] * 3, "ab", (4, 6), **arguments)
    with data_format("channels_first"):
        first = data.Pictures(pictures, [0, 1] * 3, "ab", (4, 6), **arguments)
        assert last[0][0].shape == (3, 4, 6, 3)
    for made in (first, last.with_(data_format="channels_first"), first.split(0.5)[0].with_(), first.with_(seed=0)):
        assert made.data_format == "channels_first"
        assert made[0][0].shape == (3, 3, 4, 6)
    for (images, labels), (others, those) in zip(first, last, strict=True):
        np.testing.assert_array_equal(np.moveaxis(images, 1, -1), others)
        np.testing.assert_array_equal(labels, those)
    assert first.with_(data_format=None).data_format == last.data_format == "channels_last"
    cut = last.with_(augment="none", crop=lambda picture: noise(4, 6))
    np.testing.assert_array_equal(cut.with_(data_format="channels_first")[0][0][0], np.moveaxis(noise(4, 6), -1, 0))
    with pytest.raises(ValueError, match="`data_format` must be one of .*Did you mean 'channels_first'"):
        last.with_(data_format="channel_first")


@once
def test_channels_first_pictures_train_and_measure_any_model(shapes: Path, tmp_path: Path) -> None:
    def net(order: str | None = None) -> keras.Model:
        few = thin(RESNET20, name="few", units=(1,), widths=(8,), stem=Stem(3, 8, stride=1, pool=False))
        return transfer.classifier(few, 3, 8, data_format=order)

    with data_format("channels_first"):
        found = data.splits(shapes, 8, 4, validation_split=0.4, one_hot=True)
        model = net()
        assert model.input_shape == (None, 3, 8, 8)
        model.compile("sgd", "categorical_crossentropy")
        model.fit(found.training, validation_data=found.validation, shuffle=False, verbose=0)
        scores = evaluation.evaluate(model, found.validation)
        figures.draw_predictions(scores, found.validation, tmp_path / "predictions.png")
    other = net("channels_last")  # such as a command made
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(
        evaluation.evaluate(other, found.validation).scores,
        evaluation.evaluate(model, found.validation).scores,
        atol=1e-5,
    )
    training.train(other, found, tmp_path / "run", training.Recipe(epochs=1))
    assert {part.data_format for part in found.sides().values()} == {"channels_first"}


@once
def test_a_crop_makes_pictures_arrays_unless_they_are_augmented() -> None:
    pictures = data.Pictures([noise(6, 6)] * 2, [0, 1], "ab", 4, crop=lambda picture: picture[1:5, 1:5])
    np.testing.assert_array_equal(pictures[0][0][0], noise(6, 6)[1:5, 1:5])
    np.testing.assert_array_equal(
        pictures.with_(crop=None)[0][0][0], data.Pictures([noise(6, 6)], [0], "a", 4)[0][0][0]
    )
    augmented = pictures.with_(augment="light")[0][0]
    np.testing.assert_array_equal(augmented, pictures.with_(augment="light", crop=None)[0][0])
    for side in data.Pictures([noise(6, 6)] * 4, [0, 1] * 2, "ab", 4, crop=np.asarray).split(0.5):
        assert side[0][0].shape == (2, 6, 6, 3)


@once
def test_pictures_put_in_place_of_a_folders_have_hashes_of_their_own(shapes: Path) -> None:
    found = data.folder(shapes, verbose=False)
    files = [*found.pictures[1:], shapes / "circle" / ".." / "circle" / "0.jpg"]
    assert found.with_(pictures=files).hashes() == [*found.hashes()[1:], found.hashes()[0]]
    arrays = [noise(4, 4)] * 15
    assert set(found.with_(pictures=arrays).hashes()) == {data.Pictures(arrays[:1], [0], "a", 4).hashes()[0]}


@once
def test_sides_are_changed_together_and_the_split_stays_as_it_is() -> None:
    sides = data.Pictures([noise(4, 4)] * 8, [0, 1] * 4, "ab", 4).split(0.5)
    split = data.Splits(*sides, None, [(Path("a"), Path("b"))])
    larger = split.with_(image_size=6)
    assert [part.image_size for part in larger.sides().values()] == [6, 6]
    assert (larger.test, larger.leaks, list(larger.sides())) == (None, split.leaks, ["training", "validation"])
    assert [part.image_size for part in split.sides().values()] == [4, 4]


@once
def test_folders_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path, cat=2, dog=2)
    (root / "cat" / "locked").mkdir()
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = data.folder(root).inventory
    assert found
    assert found.skipped == {root / "cat" / "locked": "permission denied"}


@once
def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert data.folder(folder_of(tmp_path, train=2, plane=2)).class_names == ("plane", "train")
    folder_of(tmp_path, val=2)
    assert data.splits(tmp_path, validation_split=0.5).training.class_names == ("plane", "train", "val")


@once
def test_a_class_that_only_validates_is_refused(tmp_path: Path) -> None:
    root = sided(tmp_path, train={"cat": [1], "dog": [2]}, val={"cat": [3], "dogs": [4]})
    with pytest.raises(ValueError, match="'dogs'.*Did you mean 'dog'"):
        data.splits(root)


@once
def test_a_picture_twice_in_a_folder_leaks_if_it_is_divided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = sided(tmp_path, all={"a": [*range(10), *range(10)], "b": list(range(100, 120))}) / "all"
    (root / "a" / "0.png").rename(root / "a" / "0.bmp")  # the content counts
    training, validation, test, leaks = data.splits(root, validation_split=0.5)
    assert test is None
    both = {file for file in training.pictures if any(file in pair for pair in leaks)}
    assert 0 < len(leaks) < 10
    for pair in leaks:
        grays = {int(data.read_picture(file)[0, 0, 0]) for file in pair}
        assert len(grays) == 1
        assert set(pair) & set(training.pictures)
        assert set(pair) & set(validation.pictures)
    assert len(both) >= len(leaks)
    assert "images lie in two of the splits" in capsys.readouterr().err


@once
def test_a_split_into_unequal_classes_has_each_class_on_both_sides(tmp_path: Path) -> None:
    pictures = data.Pictures([noise(4, 4)] * 100, [0] * 98 + [1] * 2, "ab", 4)
    for share, counts in ((0.2, (1, 1)), (0.8, (1, 1)), (0.03, (1, 1))):
        sides = pictures.split(share)
        assert tuple(int((side.labels == 1).sum()) for side in sides) == counts
        assert sum(len(side.labels) for side in sides) == 100
        assert len(sides[1].labels) == pytest.approx(100 * share, abs=1.1)
    with pytest.raises(ValueError, match="'c' has 0"):
        data.Pictures([noise(4, 4)] * 4, [0, 0, 1, 1], "abc", 4).split(0.5)


@once
def test_a_picture_has_the_hash_of_what_it_shows(shapes: Path) -> None:
    found = data.folder(shapes)
    assert found.hashes() == list(found.inventory.hashes if found.inventory else ())
    files = [shapes / "circle" / f"{index}.jpg" for index in (0, 1, 0)]
    first, second, again = data.Pictures(files, [0, 0, 1], "ab", 8).hashes()
    assert first == again == found.hashes()[0] != second
    arrays = [noise(4, 4), noise(4, 4)[:, ::-1], noise(4, 4)]
    first, second, again = data.Pictures(arrays, [0, 0, 1], "ab", 8).hashes()
    assert first == again != second


@once
def test_labels_may_be_one_hot_and_weigh_rare_classes() -> None:
    arrays, classes = [noise(4, 4)] * 6, [0, 0, 0, 0, 1, 2]
    np.testing.assert_array_equal(data.Pictures(arrays, classes, "abc", 4, one_hot=True)[0][1], np.eye(3)[classes])
    for one_hot in (False, True):
        images, labels, weights = data.Pictures(arrays, classes, "abc", 4, one_hot=one_hot, balance=True)[0]
        assert (images.shape, labels.shape) == ((6, 4, 4, 3), (6, 3) if one_hot else (6,))
        np.testing.assert_allclose(weights, [0.5, 0.5, 0.5, 0.5, 2, 2])
    mixed = data.Pictures(arrays, classes, "abc", 4, seed=0, augment="strong", one_hot=True, balance=True)
    for _ in range(4):
        _, labels, weights = mixed[0]
        np.testing.assert_allclose(weights, labels @ [0.5, 2, 2], rtol=1e-5)
        mixed.on_epoch_end()


def augmented(level: str, **arguments: Any) -> data.Pictures:
    grays = [np.full((8, 12, 3), 20 * index, "uint8") for index in range(8)]
    defaults: dict[str, Any] = {"batch_size": 4, "seed": 0, "augment": level, "one_hot": True}
    return data.Pictures(grays, range(8), "abcdefgh", (8, 12), **defaults | arguments)


@once
@pytest.mark.parametrize("level", ["light", "strong"])
def test_augmentation_is_a_function_of_seed_epoch_and_picture(level: str) -> None:
    def batches(seed: int, epoch: int) -> Any:
        pictures = augmented(level, seed=seed)
        pictures.set_epoch(epoch)
        return [pictures[index] for index in (1, 0, 1)]

    for (images, labels), (again, those) in zip(batches(0, 0), batches(0, 0), strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, those)
    assert not np.array_equal(batches(0, 0)[0][0], batches(0, 1)[0][0])
    alike = augmented("light").with_(pictures=[noise(8, 12)] * 8)
    assert len({image.tobytes() for image in alike[0][0]}) == 4
    assert not np.array_equal(batches(0, 0)[0][0], batches(1, 0)[0][0])


@once
def test_splitting_and_augmenting_draw_from_no_global_generator() -> None:
    before = random.getstate(), str(np.random.get_state())
    training, _ = data.digits(batch_size=8, one_hot=True).split(augment="strong")
    training[0], training.order, training.with_(augment="light")[0]
    assert (random.getstate(), str(np.random.get_state())) == before


@once
def test_light_augmentation_shifts_mirrors_and_lights_within_its_limits() -> None:
    picture = np.zeros((32, 32, 3), "uint8")
    picture[8:24, 8:16] = 100  # left of the middle
    seen = [
        augment.augment(picture, 32, "light", np.random.default_rng(seed)).astype(int)[..., 0] for seed in range(300)
    ]
    bright = [image > image.max() / 2 for image in seen]
    assert {int(mask.sum()) for mask in bright} == {16 * 8}  # nothing was cut off or stretched
    tops = {int(mask.any(1).argmax()) for mask in bright}
    lefts = {int(mask.any(0).argmax()) for mask in bright}
    assert tops == set(range(4, 13))
    assert lefts == {*range(4, 13), *range(12, 21)}  # 32 - 8 - 8 is 16: mirrored
    mirrored = sum(int(mask.any(0).argmax()) > 12 for mask in bright) / 300
    assert 0.35 < mirrored < 0.6
    peaks = [int(image.max()) for image in seen]
    assert 64 <= min(peaks) < 85
    assert 115 < max(peaks) <= 141


@once
def test_strong_augmentation_takes_parts_of_a_third_and_more() -> None:
    ramp = np.stack(np.broadcast_arrays(*np.ogrid[:256, :256], 128), -1).astype("uint8")  # red: down, green: right
    spans = []
    for seed in range(100):
        height, width = (float(size) for size in _part_of(ramp, seed))
        spans.append(height * width)
        assert 0.74 < height / width < 1.35
    assert 0.3 < min(spans) < 0.45
    assert 0.9 < max(spans) <= 1.05


def _part_of(ramp: Any, seed: int) -> tuple[float, float]:
    """The shares of height and width that are seen."""
    left, upper, right, lower = augment._part(ramp.shape[1], ramp.shape[0], np.random.default_rng(seed))
    assert 0 <= left < right <= 256
    assert 0 <= upper < lower <= 256
    image = augment.augment(ramp, 64, "strong", np.random.default_rng(seed))
    assert image.shape == (64, 64, 3)
    return (lower - upper) / 256, (right - left) / 256


@once
def test_mixing_keeps_pixels_and_labels_in_proportion() -> None:
    images = np.zeros((4, 10, 10, 3), "float32")
    images[::2] = 100  # the others are 0
    labels = np.eye(4, dtype="float32")
    kinds = set()
    for seed in range(60):
        mixed, soft = augment.mix(images, labels, np.random.default_rng(seed))
        np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(mixed[0].mean() / 100, soft[0, 0], atol=1e-5)
        np.testing.assert_allclose(soft[0, 0] + soft[0, 1], 1, atol=1e-6)
        values = set(np.unique(mixed.round(3)))
        kinds.add("cut" if values <= {0.0, 100.0} else "mixed")
    assert kinds == {"cut", "mixed"}
    assert images[0].min() == 100  # as it was


@once
def test_validation_is_never_augmented(shapes: Path) -> None:
    training, validation, _, _ = data.splits(shapes, 16, validation_split=0.4, augment="strong", one_hot=True)
    assert training.augment == "strong"
    for index, picture in enumerate(validation.pictures):
        np.testing.assert_array_equal(validation[0][0][index], data.read_picture(picture, 16))


@once
def test_mixed_pictures_need_one_hot_labels(shapes: Path) -> None:
    with pytest.raises(ValueError, match="`one_hot` must be True with augment='strong'"):
        data.folder(shapes, augment="strong")
    with pytest.raises(ValueError, match="`one_hot` must be True"):
        data.splits("nowhere", augment="strong")  # before anything is read
    with pytest.raises(ValueError, match="`augment` must be one of 'none', 'light', 'strong'.*mean 'strong'"):
        data.splits(shapes, augment="string")


@once
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:300], lambda content: b"text" * 99])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_damaged_after_the_scan_is_named(damage: object, suffix: str, tmp_path: Path) -> None:
    assert callable(damage)
    root = folder_of(tmp_path, cat=2, dog=2)
    bad = root / "dog" / f"bad.{suffix}"
    Image.fromarray(noise(64, 64)).save(bad)
    pictures = data.folder(root)
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(ValueError, match=f"bad.{suffix} can't be read"):
        pictures[0]


@once
def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[:960, :1280]
    waves = np.stack([127 + 120 * np.sin(x / 40), 127 + 120 * np.cos(y / 30), 127 + 120 * np.sin((x + y) / 60)], -1)
    Image.fromarray(waves.astype("uint8")).save(tmp_path / "big.jpg", quality=95)
    decoded = decode.decode(tmp_path / "big.jpg", (96, 128))
    assert decoded.size == (320, 240)
    with Image.open(tmp_path / "big.jpg") as whole:
        expected = np.asarray(whole.resize((64, 48)), int)
    assert np.abs(data.read_picture(tmp_path / "big.jpg", (48, 64)) - expected).max() <= 3


def test_pictures_of_every_format_and_mode_are_the_same_rgb_everywhere(tmp_path: Path) -> None:
    """What each file shows was computed by hand; 16 bits are scaled."""
    y, x = np.mgrid[:16, :24]
    gray = (x * 10).astype("uint8")
    rgb = np.stack([gray, (y * 15).astype("uint8"), np.full_like(gray, 77)], -1)
    grays = np.repeat(gray[..., np.newaxis], 3, -1)
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    Image.fromarray(rgb).save(tmp_path / "rgb.BMP")
    Image.fromarray(rgb).save(tmp_path / "rgb.tif")
    Image.fromarray(rgb).save(tmp_path / "rgb.webp", lossless=True)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    Image.fromarray(gray.astype("uint16") * 257).save(tmp_path / "deep.png")
    Image.fromarray(gray.astype("uint16") * 257).save(tmp_path / "deep.tiff")
    Image.fromarray(255 * (gray > 99).astype("uint8")).convert("1").save(tmp_path / "bits.png")
    Image.fromarray(np.concatenate([255 - rgb, np.zeros((16, 24, 1), "uint8")], -1), "CMYK").save(tmp_path / "cmyk.tif")
    first = Image.fromarray(gray).convert("P")
    first.save(tmp_path / "film.gif", save_all=True, append_images=[Image.new("P", (24, 16))])
    (tmp_path / "deep rgb.png").write_bytes(deep_png(rgb))
    expected = {"gray.png": grays, "deep.png": grays, "deep.tiff": grays, "film.gif": grays}
    expected["bits.png"] = np.where(grays > 99, 255, 0)
    for path in sorted(tmp_path.iterdir()):
        found = data.read_picture(path).astype(int)
        assert np.abs(found - expected.get(path.name, rgb)).max() <= 1, path.name
    Image.fromarray(rgb).resize((240, 160), Image.Resampling.NEAREST).save(tmp_path / "rgb.jpeg", quality=100)
    assert np.abs(data.read_picture(tmp_path / "rgb.jpeg")[5::10, 5::10].astype(int) - rgb).max() <= 6  # JPEG's loss


def deep_png(rgb: Any) -> bytes:
    """A PNG of 16 bits a channel (PNG specification, section 11), which Pillow can't write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = rgb.shape[:2]
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in rgb)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
