"""Pictures of any proportions, channels and depth, as arrays of one size."""

import pickle
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_resnet import data
from keras_resnet.data.augment import mix
from keras_resnet.data.check import Checked
from keras_resnet.data.decode import decode, picture_size
from keras_resnet.data.read import Reader
from keras_resnet.data.scan import scan

pytestmark = pytest.mark.one_backend

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 60, 3)).astype("uint8")
DEEP = RNG.integers(0, 65536, (20, 30)).astype("uint16")


def save(pixels: Any, path: Path, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def write_tiff(path: Path, pixels: Any, **options: Any) -> Path:
    pytest.importorskip("tifffile").imwrite(path, pixels, **options)
    return path


# How pictures come to a size


@pytest.mark.parametrize("size", [16, (16, 24), (50, 10)])
def test_stretching_gives_the_pixels_of_before(size: Any, tmp_path: Path) -> None:
    for picture in (NOISE, save(NOISE, tmp_path / "x.png"), save(NOISE, tmp_path / "x.jpg")):
        np.testing.assert_array_equal(Reader(size)(picture), data.read_picture(picture, size))
    np.testing.assert_array_equal(Reader(None)(NOISE), NOISE)


@pytest.mark.parametrize("size", [(10, 20), (20, 10), (13, 13), (200, 300), (1, 7)])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_a_crop_is_the_centre_of_what_covers_the_size(size: tuple[int, int], channels: int) -> None:
    """Of a picture whose pixels are their place, each pixel tells where it was, and with which scale."""
    down, across = np.mgrid[:90, :120]
    field = np.stack([2 * down] + [2 * across] * (channels - 1), -1).astype("float32")
    height, width = size
    scale = max(height / 90, width / 120)
    found = Reader(size, "crop", channels, (0, 255))(field)
    assert found.shape == (height, width, channels)
    for axis, (side, own) in enumerate(((height, 90), (width, 120))):
        expected = 2 * ((np.arange(side) - side / 2 + 0.5) / scale + own / 2 - 0.5)
        seen = found[:, width // 2, 0] if axis == 0 else found[height // 2, :, int(channels > 1)]
        if channels > 1 or axis == 0:
            inner = slice(side // 4, -(side // 4) or None)  # bicubic interpolation bends at edges
            np.testing.assert_allclose(seen[inner], expected[inner], atol=1.5)


@pytest.mark.parametrize("size", [(10, 20), (20, 10), (13, 13), (200, 310)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_letterbox_is_the_whole_picture_framed_by_its_mean(size: tuple[int, int], channels: int) -> None:
    picture = Image.fromarray(NOISE).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    height, width = size
    scale = min(height / 40, width / 60)
    inner = round(40 * scale), round(60 * scale)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    found = Reader(size, "pad", channels)(picture)
    middle = found[top : top + inner[0], left : left + inner[1]]
    np.testing.assert_array_equal(middle.squeeze(), np.asarray(picture.resize(inner[::-1])))
    frame = np.ones(size, bool)
    frame[top : top + inner[0], left : left + inner[1]] = False
    assert frame.any()
    mean = np.asarray(picture).reshape(40 * 60, channels).mean(0).round()
    np.testing.assert_array_equal(found[frame], np.broadcast_to(mean, found[frame].shape))


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3000, 1), (2, 999), (7, 7)])
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_every_shape_comes_to_every_size(resize: str, shape: tuple[int, int], channels: int) -> None:
    plain = np.full((*shape, 6) if channels == 6 else shape, 77, "uint8")
    picture = plain if channels == 6 else Image.fromarray(plain).convert("RGB")
    for size in (1, 5, (3, 64), (64, 3)):
        reader = Reader(size, resize, channels)
        found = reader(picture)
        assert found.shape == (*((size, size) if isinstance(size, int) else size), channels)
        expected = [77, 77, 77, 255] if channels == 4 else [77] * channels
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-3)
        for level in ("light", "strong"):
            other = reader.augmented(picture, level, np.random.default_rng(1))
            assert other.shape == found.shape
    assert Reader(None, resize, channels)(picture).shape == (*shape, channels)


def test_strong_augmentation_keeps_the_proportions_that_the_reading_keeps() -> None:
    """A disc in a wide picture: stretched it becomes narrow, else it stays about round (3:4 to 4:3)."""
    down, across = np.mgrid[:120, :480]
    disc = np.where((down - 60) ** 2 + (across - 240) ** 2 < 30**2, 255, 0).astype("uint8")
    for resize, low, high in (("crop", 0.7, 1.4), ("pad", 0.95, 1.05)):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            seen = Reader(96, resize).augmented(disc, "strong", rng)[..., 0].astype(int)
            ground = np.median(seen)
            mask = np.abs(seen - ground) > 40
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(rows) < 8 or rows[0] == 0 or columns[0] == 0 or rows[-1] == 95 or columns[-1] == 95:
                continue  # cut
            ratio = len(columns) / len(rows)
            assert 0.6 * low < ratio < 1.6 * high, (resize, seed)


# Channels and depth


def test_gray_pictures_are_the_channel_that_rgb_has_three_times(tmp_path: Path) -> None:
    gray = NOISE[..., 0]
    for path in (save(gray, tmp_path / "x.png"), save(gray, tmp_path / "x.jpg"), save(gray, tmp_path / "x.tif")):
        for resize in ("stretch", "crop", "pad"):
            found = Reader((30, 31), resize, 1)(path)
            assert found.shape == (30, 31, 1)
            np.testing.assert_array_equal(np.repeat(found, 3, -1), Reader((30, 31), resize)(path))
    luma = np.asarray(Image.fromarray(NOISE).convert("L"))
    np.testing.assert_array_equal(Reader(None, channels=1)(save(NOISE, tmp_path / "rgb.png"))[..., 0], luma)


def test_16_bits_keep_their_precision_where_channels_are_not_three(tmp_path: Path) -> None:
    exact = (DEEP.astype("float64") / 257).astype("float32")
    np.save(tmp_path / "x.npy", DEEP)
    for picture in (save(DEEP, tmp_path / "x.png"), save(DEEP, tmp_path / "x.tif"), DEEP, tmp_path / "x.npy"):
        found = Reader(None, channels=1)(picture)
        assert (found.dtype, found.shape) == (np.float32, (20, 30, 1))
        np.testing.assert_allclose(found[..., 0], exact, rtol=1e-6)
        four = Reader(None, channels=4)(picture)
        np.testing.assert_allclose(four[..., 2], exact, rtol=1e-6)
        assert (four[..., 3] == 255).all()
        rgb = Reader(None)(picture)
        np.testing.assert_allclose(rgb, np.repeat(found, 3, -1), atol=0.51)
        assert rgb.dtype == np.uint8 or picture == tmp_path / "x.npy"
    small = Reader(9, channels=1)(DEEP)
    assert len(np.unique(small % 1)) > 40  # not rounded


def test_files_of_numpy_are_read_on_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's parser, which reads their headers, fails now and then when two threads use it at once."""
    real, inside, failing = np.load, [], [SystemError("AST constructor recursion depth mismatch")]

    def load(*arguments: Any, **keywords: Any) -> Any:
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.001)
        inside.pop()
        if failing:  # because of a thread that is not ours
            raise failing.pop()
        return real(*arguments, **keywords)

    monkeypatch.setattr(np, "load", load)
    np.save(tmp_path / "x.npy", DEEP)
    with ThreadPoolExecutor(8) as pool:
        sizes = [pool.submit(picture_size, tmp_path / "x.npy") for _ in range(8)]
        for found in list(pool.map(Reader(None, channels=1), [tmp_path / "x.npy"] * 16)):
            np.testing.assert_allclose(found[..., 0], DEEP / 257, rtol=1e-6)
        assert {size.result() for size in sizes} == {(30, 20)}


def test_alpha_is_a_channel_only_of_four(tmp_path: Path) -> None:
    pixels = np.dstack([NOISE, np.tile(np.arange(60, dtype="uint8") * 4, (40, 1))])
    path = save(pixels, tmp_path / "x.png")
    np.testing.assert_array_equal(Reader(None, channels=4)(path), pixels)
    np.testing.assert_array_equal(Reader(None)(path), data.read_picture(path))
    on_white = Image.fromarray(data.read_picture(path)).convert("L")
    np.testing.assert_array_equal(Reader(None, channels=1)(path)[..., 0], np.asarray(on_white))
    opaque = Reader(None, channels=4)(save(NOISE, tmp_path / "y.png"))
    np.testing.assert_array_equal(opaque[..., :3], NOISE)
    assert (opaque[..., 3] == 255).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "bool", ">u2"])
def test_unsigned_integers_are_scaled_by_their_type(dtype: str, tmp_path: Path) -> None:
    most = 1 if dtype == "bool" else np.iinfo(dtype).max
    pixels = np.zeros((4, 5, 6), dtype)
    pixels[1], pixels[2] = most, most // 2 if most > 1 else 0
    np.save(tmp_path / "x.npy", pixels)
    for picture in (pixels, tmp_path / "x.npy"):
        found = Reader(None, channels=6)(picture)
        assert found.dtype == np.float32
        assert np.unique(found[[0, 1]]).tolist() == [0, 255]
        np.testing.assert_allclose(found[2], 255 * (most // 2) / most, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_floats_and_signed_integers_need_a_range(dtype: str, channels: int, tmp_path: Path) -> None:
    pixels = np.linspace(-60, 60, 4 * 5 * channels).reshape(4, 5, channels).astype(dtype)
    np.save(tmp_path / "x.npy", pixels)
    kind = "floats" if "float" in dtype else "signed integers"
    for picture in (pixels, tmp_path / "x.npy"):
        with pytest.raises(ValueError, match=f"its pixels are {kind} of an unknown range; pass `value_range`"):
            Reader(None, channels=channels)(picture)
        found = Reader(None, channels=channels, value_range=(-50, 30))(picture)
        expected = np.clip((pixels.astype("float64") + 50) / 80, 0, 1) * 255  # what lies outside is clipped
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


def test_a_range_is_also_that_of_more_than_8_bits_but_never_of_8() -> None:
    twelve = (DEEP // 16)[..., None]
    found = Reader(None, channels=1, value_range=(0, 4095))(twelve)
    np.testing.assert_allclose(found, twelve / 4095 * 255, rtol=1e-5)
    np.testing.assert_allclose(Reader(None, value_range=(0, 4095))(twelve[..., 0])[..., 1:2], found, rtol=1e-5)
    np.testing.assert_array_equal(Reader(None, value_range=(0, 1))(NOISE), NOISE)


def test_values_that_are_no_numbers_are_refused() -> None:
    for value in (np.nan, np.inf):
        pixels = np.zeros((3, 3), "float32")
        pixels[1, 1] = value
        with pytest.raises(ValueError, match="not all finite"):
            Reader(None, channels=1, value_range=(0, 1))(pixels)
    for dtype in ("complex64", "U3", "datetime64[s]"):
        with pytest.raises(ValueError, match="type.*integers and floats are allowed"):
            Reader(None, channels=1)(np.zeros((3, 3), dtype))


@pytest.mark.parametrize("value_range", [(1, 0), (0, 0), (0,), (0, np.inf), (np.nan, 1), ("a", "b"), 5, (0, 1, 2)])
def test_a_range_is_two_numbers(value_range: Any) -> None:
    with pytest.raises(ValueError, match="`value_range` must be two numbers"):
        Reader(8, value_range=value_range)
    with pytest.raises(ValueError, match="`value_range` must be two numbers"):
        data.Pictures([NOISE], [0], ["a"], 8, value_range=value_range)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 0}, "`image_size` must be a positive int"),
        ({"image_size": (8, -1)}, "`image_size` must be a positive int"),
        ({"image_size": 8, "resize": "padd"}, "`resize` must be one of.*Did you mean 'pad'"),
        ({"image_size": 8, "channels": 0}, "`channels` must be a positive int"),
        ({"image_size": 8, "channels": 1.0}, "`channels` must be a positive int"),
    ],
)
def test_a_reader_of_other_settings_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reader(**settings)


@pytest.mark.parametrize(("found", "wanted"), [(5, 3), (3, 1), (3, 4), (4, 5), (1, 2), (2, 1), (4, 3)])
def test_other_channels_are_refused_with_both_numbers(found: int, wanted: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 5, found), "uint16"))
    with pytest.raises(ValueError, match=rf"x.npy can't be read.*it has {found} channels?, and images of {wanted} are"):
        Reader(None, channels=wanted)(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="it has 3 channels, and images of 5 are asked for; such images are read from"):
        Reader(None, channels=5)(save(NOISE, tmp_path / "x.png"))


# Files of NumPy and TIFF


def test_hostile_files_of_numpy_are_refused(tmp_path: Path) -> None:
    def header(text: str) -> bytes:
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()

    files = {
        "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }\n") + pickle.dumps([1, 2]),
        "huge": header("{'descr': '<u2', 'fortran_order': False, 'shape': (900000, 900000, 9), }\n"),
        "short": header("{'descr': '<u2', 'fortran_order': False, 'shape': (20, 20), }\n") + bytes(50),
        "negative": header("{'descr': '<u2', 'fortran_order': False, 'shape': (-2, 20), }\n") + bytes(5000),
        "empty": header("{'descr': '<u2', 'fortran_order': False, 'shape': (0, 20), }\n"),
        "flat": header("{'descr': '<u2', 'fortran_order': False, 'shape': (20,), }\n") + bytes(40),
        "code": header("{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (2, 2), }\n"),
        "nothing": b"\x93NUMPY",
        "fields": header("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (4, 4), }\n") + bytes(32),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
        for channels in (1, 3, 5):
            with pytest.raises(ValueError, match=rf"{name}.npy can't be read as an image: \w"):
                Reader(None, channels=channels)(tmp_path / f"{name}.npy")
    with (tmp_path / "sparse.npy").open("wb") as file:  # as large as it says, and larger than any picture
        file.write(header("{'descr': '|u1', 'fortran_order': False, 'shape': (70000, 70000), }\n"))
        file.truncate(70000 * 70000 + 200)
    with pytest.raises(ValueError, match="4900000000 values, more than"):
        Reader(None, channels=1)(tmp_path / "sparse.npy")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack", "planarconfig": "contig"},
        {"photometric": "minisblack", "planarconfig": "separate"},
        {"metadata": {"axes": "CYX"}},
        {"metadata": {"axes": "YXC"}},
        {"ome": True, "metadata": {"axes": "CYX"}},
        {"imagej": True, "metadata": {"axes": "CYX"}},
        {"photometric": "minisblack", "planarconfig": "contig", "compression": "zlib", "tile": (16, 16)},
    ],
)
def test_tiff_channels_are_where_the_axes_say(dtype: str, options: dict[str, Any], tmp_path: Path) -> None:
    value_range = (0, 1) if dtype == "float32" else None
    pixels = RNG.uniform(0, 1, (20, 30, 5))
    pixels = (pixels * (1 if value_range else np.iinfo(dtype).max)).astype(dtype)
    last = options.get("planarconfig") == "contig" or options.get("metadata", {}).get("axes") == "YXC"
    path = write_tiff(tmp_path / "x.tif", pixels if last else np.moveaxis(pixels, -1, 0), **options)
    found = Reader(None, channels=5, value_range=value_range)(path)
    np.testing.assert_allclose(found, Reader(None, channels=5, value_range=value_range)(pixels), rtol=1e-6)
    with pytest.raises(ValueError, match="it has 5 channels, and images of 4 are asked for"):
        Reader(None, channels=4, value_range=value_range)(path)
    with pytest.raises(ValueError, match="it has 5 channels, and images of 1 are asked for"):
        Reader(None, channels=1, value_range=value_range)(path)


def test_tiff_axes_that_tell_nothing_are_refused(tmp_path: Path) -> None:
    for options in ({}, {"metadata": {"axes": "ZYX"}}):
        path = write_tiff(tmp_path / "x.tif", np.zeros((5, 20, 30), "uint8"), **options)
        with pytest.raises(ValueError, match="its axes are [QZ]YX of lengths 5 x 20 x 30, which does not tell.*NumPy"):
            Reader(None, channels=5)(path)
        assert Reader(None, channels=1)(path).shape == (20, 30, 1)  # the first of several, as of every format


def test_tiff_colours_of_16_bits_and_floats_are_read(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (20, 30, 4)).astype("uint16")
    path = write_tiff(tmp_path / "x.tif", deep[..., :3], photometric="rgb")
    np.testing.assert_allclose(
        Reader(None, channels=1)(path)[..., 0], deep[..., :3] / 257 @ np.array([0.299, 0.587, 0.114]), rtol=1e-5
    )
    np.testing.assert_allclose(Reader(None, channels=4)(path)[..., :3], deep[..., :3] / 257, rtol=1e-5)
    np.testing.assert_array_equal(Reader(None)(path), data.read_picture(path))  # as Pillow has it, of 8 bits
    path = write_tiff(tmp_path / "a.tif", deep, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_allclose(Reader(None, channels=4)(path), deep / 257, rtol=1e-5)
    path = write_tiff(tmp_path / "f.tif", (deep[..., :3] / 65535).astype("float32"), photometric="rgb")
    np.testing.assert_allclose(Reader(None, value_range=(0, 1))(path), deep[..., :3] / 257, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="f.tif can't be read.*floats of an unknown range"):
        Reader(None)(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_whoever_decodes(orientation: int, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (4, 6)).astype("uint16")
    exif = Image.Exif()
    exif[274] = orientation
    save((pixels // 256).astype("uint8"), tmp_path / "x.png", exif=exif)
    expected = Reader(None, channels=1)(tmp_path / "x.png")[..., 0]
    path = write_tiff(
        tmp_path / "x.tif",
        np.stack([pixels] * 5, -1),
        photometric="minisblack",
        planarconfig="contig",
        extratags=[(274, 3, 1, orientation, True)],
    )
    found = Reader(None, channels=5)(path)
    assert found.shape == (*expected.shape, 5)
    np.testing.assert_allclose(found[..., 4], expected, atol=1)


def test_a_tiff_names_no_other_file_to_be_read(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    write_tiff(tmp_path / "other.tif", np.full((20, 30), 9, "uint16"))
    path = write_tiff(tmp_path / "x.ome.tif", np.zeros((2, 20, 30), "uint16"), ome=True, metadata={"axes": "CYX"})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    other = '<TiffData IFD="0" PlaneCount="1" FirstC="1"><UUID FileName="other.tif">urn:uuid:1</UUID></TiffData>'
    text = re.sub("<TiffData.*?/>", f'<TiffData IFD="0" PlaneCount="1" FirstC="0"/>{other}', xml)
    assert "other.tif" in text
    tifffile.imwrite(path, np.zeros((2, 20, 30), "uint16"), description=text.encode(), metadata=None)
    with pytest.raises(ValueError, match="parts of it lie in other files"):
        Reader(None, channels=2)(path)


def test_packed_data_of_more_than_a_tiff_says_are_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = RNG.integers(0, 99, (20, 30, 5)).astype("uint8")
    path = write_tiff(tmp_path / "x.tif", pixels, photometric="minisblack", planarconfig="contig", compression="zlib")
    bomb = zlib.compress(bytes(200 << 20), 9)  # 200 KB
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags[273].overwrite([path.stat().st_size])
        file.pages[0].tags[279].overwrite([len(bomb)])
    path.write_bytes(path.read_bytes() + bomb)
    with pytest.raises(ValueError, match="its data are larger than it says"):
        Reader(None, channels=5)(path)


def test_every_mode_of_pillow_becomes_gray_and_rgba(tmp_path: Path) -> None:
    for mode, suffix in (("CMYK", "jpg"), ("P", "png"), ("1", "png"), ("1", "tif"), ("LA", "png"), ("LAB", "tif")):
        Image.fromarray(NOISE).convert("RGB").convert(mode).save(tmp_path / f"x.{suffix}")
        rgb = data.read_picture(tmp_path / f"x.{suffix}").astype(float)
        gray = Reader(None, channels=1)(tmp_path / f"x.{suffix}")
        np.testing.assert_allclose(gray[..., 0], rgb @ [0.299, 0.587, 0.114], atol=1.5)
        four = Reader(None, channels=4)(tmp_path / f"x.{suffix}")
        np.testing.assert_array_equal(four, np.dstack([rgb, np.full((40, 60), 255)]))


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(tmp_path / "x.tif", np.zeros((8, 8, 5), "uint8"), photometric="minisblack", planarconfig="contig")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ValueError, match=r"x.tif can't be read.*pip install 'keras3-resnet\[tiff\]'"):
        Reader(None, channels=5)(path)


def test_folders_hold_pictures_of_any_kind(tmp_path: Path) -> None:
    for label, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.full((6, 8, 5), 9 * label, "uint16"))
        save(NOISE, tmp_path / name / "x.png")
    found = scan(tmp_path, progress=False, checked=Checked(Reader(None, channels=5)))
    assert [file.name for file in found.files] == ["x.npy", "x.npy"]
    assert found.sizes == ((8, 6), (8, 6))
    assert len(set(found.hashes)) == 2
    assert [reason.partition(",")[0] for reason in found.skipped.values()] == ["it has 3 channels"] * 2
    size, pixels = Reader(None, channels=5).look(tmp_path / "b" / "x.npy")
    assert (size, pixels) == ((8, 6), found.hashes[1])


# Batches


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_batches_have_the_channels_of_their_pictures(channels: int, order: str) -> None:
    pixels = list(RNG.integers(0, 65536, (6, 12, 18, channels)).astype("uint16"))
    for augment in ("none", "light", "strong"):
        batches = data.Pictures(
            pixels, [0, 1] * 3, ["a", "b"], (9, 10), 4, 0, augment, True, channels=channels, data_format=order
        )
        images, labels = batches[0]
        assert images.shape == ((4, 9, 10, channels) if order == "channels_last" else (4, channels, 9, 10))
        assert images.dtype == np.float32
        assert images.min() >= 0
        assert images.max() <= 255
        assert labels.shape == (4, 2)


def test_light_changes_every_channel_but_alpha() -> None:
    pixels = np.dstack([NOISE, np.full((40, 60), 100, "uint8")])
    for level in ("light", "strong"):
        four = np.stack([Reader(16, channels=4).augmented(pixels, level, np.random.default_rng(i)) for i in range(9)])
        np.testing.assert_allclose(four[..., 3], 100, atol=1e-3)
        plain = Reader(16, channels=4)(pixels)
        assert all(abs(four[i, ..., :3].mean() - plain[..., :3].mean()) > 0.1 for i in range(9))
    gray = np.stack(
        [Reader(16, channels=1).augmented(NOISE[..., 0], "light", np.random.default_rng(i)) for i in range(99)]
    )
    factors = gray.mean((1, 2, 3)) / NOISE[..., 0].mean()
    assert 0.78 < factors.min() < 0.9
    assert 1.05 < factors.max() < 1.22


def test_mixing_takes_any_channels() -> None:
    images = np.zeros((4, 10, 10, 5), "float32")
    images[::2] = 100
    for seed in range(9):
        mixed, soft = mix(images, np.eye(4, dtype="float32"), np.random.default_rng(seed))
        np.testing.assert_allclose(mixed[0].mean((0, 1)) / 100, soft[0, 0], atol=1e-5)


def test_what_people_look_at_is_rgb(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.stack([np.full((4, 5), i * 10, "uint8") for i in range(7)], -1))
    shown = Reader(8, channels=7).shown(tmp_path / "x.npy")
    assert (shown.mode, shown.getpixel((0, 0))) == ("RGB", (0, 10, 20))
    assert Reader(8, channels=2).shown(np.full((4, 5, 2), 65535, "uint16")).getpixel((0, 0)) == (255, 255, 255)
    assert Reader(8, channels=1).shown(NOISE[..., 0]).mode == "RGB"
    clear = save(np.zeros((4, 5, 4), "uint8"), tmp_path / "clear.png")
    assert Reader(8, channels=4).shown(clear).getpixel((0, 0)) == (255, 255, 255)
    assert Reader(8, value_range=(0, 1)).shown(np.ones((4, 5), "float32")).getpixel((0, 0)) == (255, 255, 255)
    np.testing.assert_array_equal(np.asarray(Reader(8).shown(NOISE)), NOISE)


# Decoding without copies


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        (suffix, mode)
        for suffix, modes in {
            "bmp": "1 L P RGB RGBA",
            "gif": "1 L LA P RGB RGBA",
            "jpg": "1 L RGB CMYK YCbCr",
            "png": "1 L LA P RGB RGBA",
            "tiff": "1 L LA P RGB RGBA CMYK YCbCr",
            "webp": "L RGB RGBA",
        }.items()
        for mode in modes.split()
    ],
)
def test_decoding_gives_the_pixels_of_pillow(mode: str, suffix: str, orientation: int, tmp_path: Path) -> None:
    """Upright, on white, as RGB, by Pillow's functions that copy; what is given does not change."""
    path = tmp_path / f"image.{suffix}"
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    source = Image.fromarray(RNG.integers(0, 256, (21, 34, 4)).astype("uint8"), "RGBA").convert(mode)
    settings: dict[str, Any] = {"exif": exif} if suffix not in ("bmp", "gif") else {}
    source.save(path, **settings)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image)
        if expected.has_transparency_data:
            expected = expected.convert("RGBA")
            expected = Image.alpha_composite(Image.new("RGBA", expected.size, "white"), expected)
        expected = expected.convert("RGB")
    with Image.open(path) as opened:
        opened.load()
        before = opened.tobytes(), opened.size, opened.getexif().get(0x0112)
        for found in (decode(path), decode(opened)):
            assert (found.mode, found.size) == ("RGB", expected.size)
            assert found.tobytes() == expected.tobytes()
            assert found.resize((9, 9)).tobytes() == expected.resize((9, 9)).tobytes()
        assert (opened.tobytes(), opened.size, opened.getexif().get(0x0112)) == before
