"""Pictures and their classes: what is found, read, split and refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import data
from tests.pictures import SHAPES, draw_folder

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("pictures") / "shapes", 5)


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
        np.testing.assert_array_equal(images[0], np.asarray(picture.resize((30, 20)), "float32"))


def test_a_model_fits_a_folder(shapes: Path) -> None:
    training, validation = data.folder(shapes, 8, 4).split(0.4)
    model = keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=3, include_preprocessing=True)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(training, validation_data=validation, shuffle=False, epochs=2, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


def test_gray_palette_and_transparent_pictures_are_rgb(tmp_path: Path) -> None:
    for mode, suffix in (("L", "png"), ("P", "gif"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "bmp"), ("RGB", "webp")):
        path = tmp_path / f"{mode}.{suffix}"
        Image.new(mode, (6, 4)).save(path)
        picture = data.read_picture(path)
        assert picture.shape == (4, 6, 3)
        assert picture.dtype == np.uint8


def test_a_picture_is_turned_as_its_camera_noted(tmp_path: Path) -> None:
    upright = np.zeros((4, 6, 3), "uint8")
    upright[0, :, 0] = 255  # a red line on top
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.png", exif=exif)
    np.testing.assert_array_equal(data.read_picture(tmp_path / "phone.png"), upright)


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


def test_16_bit_pictures_are_scaled_and_floats_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 16 * 16).reshape(16, 16)
    Image.fromarray(ramp.astype("uint16")).save(tmp_path / "deep.png")
    np.testing.assert_allclose(data.read_picture(tmp_path / "deep.png")[..., 0], ramp / 257, atol=1)
    Image.fromarray((ramp / 65535).astype("float32")).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="float.tif can't be read.*floats"):
        data.read_picture(tmp_path / "float.tif")


def test_hidden_and_other_files_are_left_out_and_suffixes_may_shout(shapes: Path, tmp_path: Path) -> None:
    for name in ("a", "b", ".hidden"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "x.PNG")
        (tmp_path / name / "._x.png").write_bytes(b"resource fork")
        (tmp_path / name / "notes.txt").write_text("no picture")
    (tmp_path / "a" / ".thumbs").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / ".thumbs" / "x.png")
    (tmp_path / "a" / "folder.png").mkdir()
    assert [path.name for path in data.folder(tmp_path).pictures] == ["x.PNG", "x.PNG"]


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


def test_a_split_takes_each_picture_once(shapes: Path) -> None:
    training, validation = data.folder(shapes).split(0.4)
    assert not set(training.pictures) & set(validation.pictures)
    assert len(training.pictures) + len(validation.pictures) == 15
    assert all(
        SHAPES[label] == path.parent.name for path, label in zip(training.pictures, training.labels, strict=True)
    )


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
        (tmp_path / name).mkdir()
        for index in range(count):
            Image.new("RGB", (4, 4)).save(tmp_path / name / f"{index}.png")
    return tmp_path


def test_what_no_network_can_learn_from_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder '.*missing'"):
        data.folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="two or more folders.*it holds 0"):
        data.folder(tmp_path)
    folder_of(tmp_path, cat=1)
    with pytest.raises(ValueError, match="two or more folders.*it holds 1"):
        data.folder(tmp_path)
    (tmp_path / "dog").mkdir()
    with pytest.raises(ValueError, match="dog' holds no picture"):
        data.folder(tmp_path)
    folder_of(tmp_path / "dog", puppies=2)
    with pytest.raises(ValueError, match="two pictures.*'cat' has one"):
        data.folder(tmp_path).split()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "another.png")
    with pytest.raises(ValueError, match="`validation_split`.*0.2 of 4 pictures is 1, for 2 classes"):
        data.folder(tmp_path).split(0.2)
    for share in (0, 1, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="`validation_split`"):
            data.folder(tmp_path).split(share)


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:300], lambda content: b"text" * 99])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_unreadable_picture_is_named(damage: object, suffix: str, tmp_path: Path) -> None:
    assert callable(damage)
    root = folder_of(tmp_path, cat=2, dog=2)
    bad = root / "dog" / f"bad.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")).save(bad)
    data.folder(root)
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(ValueError, match=f"bad.{suffix} can't be read"):
        data.folder(root)
