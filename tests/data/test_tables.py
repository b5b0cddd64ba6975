"""Tables of images and labels: which columns hold what, which rows are used, and what is said of the others."""

import csv
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_resnet import data
from keras_resnet.data.tables import read_paths, read_rows

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight images, no two alike."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "deep" / "er").mkdir(parents=True)
    for index in range(8):
        Image.new("RGB", (6 + index, 8), (30 * index, 0, 0)).save(folder / f"{index}.png")
    Image.new("RGB", (9, 9), "blue").save(folder / "deep" / "er" / "süß & 1.JPG")
    return folder


def write(path: Path, rows: Iterable[Sequence[Any]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def table(root: Path, head: str, *rows: str, name: str = "t.csv") -> Path:
    """A table whose cells are parted by spaces; _ is an empty one."""
    cells = [[cell.replace("_", "") for cell in row.split()] for row in (head, *rows)]
    return write(root / name, cells)


def read(path: Path, **arguments: Any) -> data.Pictures:
    return data.table(path, image_size=4, verbose=False, **arguments)


def named(pictures: data.Pictures) -> dict[str, Any]:
    """What each file is labelled."""
    return {
        Path(path).name: pictures.class_names[label] if pictures.task == "classes" else tuple(label.tolist())
        for path, label in zip(pictures.pictures, pictures.labels, strict=True)
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv"])
def test_a_table_is_read_whatever_program_wrote_it(root: Path, delimiter: str, encoding: str, suffix: str) -> None:
    if suffix == ".tsv" and delimiter != "\t":
        pytest.skip("a .tsv has tabs")
    rows = [["Bild, groß", "Art"], ["0.png", 'a "b", c;\td'], ["deep/er/süß & 1.JPG", "ü\nzwei"], []]
    found = read(write(root / f"dialect{suffix}", rows, delimiter, encoding))
    assert named(found) == {"0.png": 'a "b", c;\td', "süß & 1.JPG": "ü\nzwei"}


def test_parquet_is_the_same_as_csv(root: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {"file": ["0.png", "1.png", "2.png", "3.png"], "kind": [3, 7, None, 3], "sure": [True, False, True, True]}
    parquet.write_table(pyarrow.table(columns), root / "t.parquet")
    found = read(root / "t.parquet", columns=data.Columns(label="kind"))
    assert named(found) == {"0.png": "3", "1.png": "7", "3.png": "3"}
    assert found.inventory
    assert found.inventory.skipped == {root / "2.png": "no label"}
    many = {"file": ["0.png", "1.png"], "a": [1, 0], "b": [True, True]}
    parquet.write_table(pyarrow.table(many), root / "many.parquet")
    assert named(read(root / "many.parquet")) == {"0.png": (1, 1), "1.png": (0, 1)}
    parquet.write_table(pyarrow.table({"file": ["0.png"], "kind": [["a", "b"]]}), root / "lists.parquet")
    with pytest.raises(ValueError, match="holds lists"):
        read(root / "lists.parquet")
    (root / "no.parquet").write_bytes(b"PAR1 this is none")
    with pytest.raises(ValueError, match="can't be read as Parquet"):
        read(root / "no.parquet")


@pytest.mark.parametrize(
    "write_path",
    [
        lambda root: "deep/er/süß & 1.JPG",
        lambda root: "./deep/../deep/er/süß & 1.JPG",
        lambda root: str(root / "deep/er/süß & 1.JPG"),
        lambda root: "deep\\er\\süß & 1.JPG",
        lambda root: " deep/er/süß & 1.JPG ",
    ],
)
def test_a_path_means_its_file_however_it_is_written(root: Path, write_path: Any) -> None:
    rows = [["image", "label"], [write_path(root), "a"], ["0.png", "b"], ["deep/er/süß & 1.JPG", "a"]]
    found = read(write(root / "paths.csv", rows))
    assert named(found) == {"süß & 1.JPG": "a", "0.png": "b"}
    assert found.inventory
    assert list(found.inventory.skipped.values()) == ["several rows alike; one is used"]


def test_paths_may_begin_in_another_folder(root: Path, tmp_path: Path) -> None:
    path = table(tmp_path, "image label", "0.png a", "1.png b")
    assert named(read(path, columns=data.Columns(images=root))) == {"0.png": "a", "1.png": "b"}
    with pytest.raises(ValueError, match=r"must hold a row of an image that can be used.*there is no such file"):
        read(path)


def test_what_cannot_be_used_is_named_and_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "broken.png").write_bytes(b"no image")
    rows = ["0.png a", "1.png b", "gone.png a", "2.png _", "3.png a", "3.png b", "4.png a", "4.png a", "broken.png a"]
    found = data.table(table(root, "image label", *rows, "_ a"), image_size=4)
    assert named(found) == {"0.png": "a", "1.png": "b", "4.png": "a"}
    assert found.inventory
    reasons = {str(file.name): why for file, why in found.inventory.skipped.items()}
    assert reasons["gone.png"] == "there is no such file"
    assert reasons["2.png"] == "no label"
    assert reasons["3.png"] == "rows with another label each; none is used"
    assert reasons["4.png"] == "several rows alike; one is used"
    assert reasons["broken.png"].startswith("it is not an image")
    assert reasons["t.csv row 11"] == "no path"
    said = capsys.readouterr().err
    assert "3 images in 2 classes (a 2, b 1)" in said
    assert "files and rows skipped: 6" in said
    assert "column 'image'" in said
    assert "column 'label'" in said


def test_a_row_that_repeats_an_image_on_another_side_or_in_another_group_is_a_contradiction(root: Path) -> None:
    rows = [
        "0.png a p train",
        "1.png b q train",
        "0.png a p val",
        "2.png a p train",
        "2.png a r train",
        "3.png a r val",
    ]
    path = table(root, "image label who set", *rows)
    found = read_rows(path, data.Columns(group="who"))
    assert [file.name for file in found.files] == ["1.png", "3.png"]
    assert found.skipped[root / "0.png"] == "rows with another side each; none is used"
    assert found.skipped[root / "2.png"] == "rows with another group each; none is used"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_columns_are_found_by_what_is_in_them(root: Path, order: tuple[int, ...]) -> None:
    columns = {"x": ["0.png", "1.png", "2.png"], "y": ["cat", "dog", "cat"], "z": ["train", "val", "train"]}
    names = [list(columns)[place] for place in order]
    rows = [names, *zip(*(columns[name] for name in names), strict=True)]
    found = read_rows(write(root / "order.csv", rows), data.Columns())
    assert (found.names, found.labels, found.sides) == (
        ("cat", "dog"),
        [0, 1, 0],
        ["training", "validation", "training"],
    )
    assert [file.name for file in found.files] == columns["x"]


def test_columns_that_do_not_tell_are_listed(root: Path) -> None:
    path = table(root, "image species site", "0.png a x", "1.png b y", "2.png a y")
    with pytest.raises(ValueError, match=r"`Columns.label` must name the column .*: species, site\."):
        read(path)
    assert read(path, columns=data.Columns(label="site")).class_names == ("x", "y")
    with pytest.raises(ValueError, match=r"'image', 'species', 'site'; received 'specie'. Did you mean 'species'"):
        read(path, columns=data.Columns(label="specie"))
    with pytest.raises(ValueError, match=r"`Columns.path` must name the column"):
        read(table(root, "a b", "x y", "z w", name="none.csv"))
    with pytest.raises(ValueError, match=r"'image', 'species', 'site'; received 'who'"):
        read(path, columns=data.Columns(label="site", group="who"))
    usual = table(root, "image label site", "0.png a x", "1.png b y", "2.png a y")
    assert read(usual).class_names == ("a", "b")


def test_columns_of_0_and_1_are_classes_where_each_row_has_one_1_else_labels(root: Path) -> None:
    single = read(table(root, "image cat dog", "0.png 1 0", "1.png 0 1"))
    assert (single.task, named(single)) == ("classes", {"0.png": "cat", "1.png": "dog"})
    asked = read(table(root, "image cat dog", "0.png 1 0", "1.png 0 1"), task="labels")
    assert (asked.task, named(asked)) == ("labels", {"0.png": (1, 0), "1.png": (0, 1)})
    for row in ("2.png 1 1", "2.png 0 0"):
        several = read(table(root, "image cat dog", "0.png 1 0", "1.png 0 1", row))
        assert (several.task, len(several.labels)) == ("labels", 3)
        with pytest.raises(ValueError, match="one 1 in each row"):
            read(table(root, "image cat dog", "0.png 1 0", "1.png 0 1", row), task="classes")


def test_a_cell_holds_several_labels_where_a_separator_is_passed(root: Path) -> None:
    path = table(root, "image tags", "0.png a|b", "1.png _", "2.png b|b|", "3.png c")
    found = read(path, columns=data.Columns(separator="|"))
    assert (found.task, found.class_names) == ("labels", ("a", "b", "c"))
    assert named(found) == {"0.png": (1, 1, 0), "1.png": (0, 0, 0), "2.png": (0, 1, 0), "3.png": (0, 0, 1)}
    one = table(root, "image tags", "0.png a", "1.png b", name="one.csv")
    assert read(one, columns=data.Columns(separator="|")).task == "classes"
    assert read(one, columns=data.Columns(separator="|"), task="labels").task == "labels"
    with pytest.raises(ValueError, match=r"task='classes'.*'a|b'"):
        read(path, columns=data.Columns(separator="|"), task="classes")


def test_numbers_are_read_in_their_order(root: Path) -> None:
    path = table(root, "image a b c", "0.png 1 2.5 x", "1.png -3e2 4 x", "2.png _ 1 x", "3.png nan 1 x", "4.png no 1 x")
    found = read(path, columns=data.Columns(targets=("b", "a")))
    assert (found.task, found.class_names) == ("regression", ("b", "a"))
    assert named(found) == {"0.png": (2.5, 1), "1.png": (4, -300)}
    assert found.inventory
    reasons = {file.name: why for file, why in found.inventory.skipped.items()}
    assert reasons["2.png"] == reasons["3.png"] == "no number"
    assert "no" in reasons["4.png"]
    with pytest.raises(ValueError, match="`Columns.targets` must name"):
        read(path, task="regression")
    with pytest.raises(ValueError, match="are for task='regression'"):
        read(path, task="classes", columns=data.Columns(targets=("a",)))
    fractions = table(root, "image age", *(f"{index}.png {index + 0.5}" for index in range(8)))
    with pytest.raises(ValueError, match=r"which are no classes.*`Columns.targets`"):
        read(fractions)


def test_names_of_classes_may_be_given_in_their_order(root: Path) -> None:
    path = table(root, "image label", "0.png a", "1.png c")
    assert named(read(path, class_names=["c", "b", "a"])) == {"0.png": "a", "1.png": "c"}
    with pytest.raises(ValueError, match="must be one of 'a', 'b'; received 'c'"):
        read(path, class_names=["a", "b"])
    columns = table(root, "image a b n", "0.png 1 0 1", "1.png 0 1 0")
    assert read(columns, class_names=["b", "a"], task="labels").labels.tolist() == [[0, 1], [1, 0]]


def test_a_table_says_the_sides(root: Path) -> None:
    rows = ["0.png a train", "1.png b training", "2.png a Val", "3.png b valid", "4.png a test", "5.png b train"]
    found = data.splits(table(root, "image label where", *rows), 4, verbose=False)
    assert [len(side.labels) for side in found.sides().values()] == [3, 2, 1]
    assert named(data.table(table(root, "image label where", *rows), 4, verbose=False, side="test")) == {"4.png": "a"}
    with pytest.raises(ValueError, match="'holdout'"):
        data.splits(
            table(root, "image label where", *rows, "6.png a holdout"),
            verbose=False,
            columns=data.Columns(split="where", label="label"),
        )
    with pytest.raises(ValueError, match="must have rows for training"):
        data.splits(table(root, "image label where", "0.png a val", "1.png b test"), verbose=False)
    with pytest.raises(ValueError, match="'c' of .* have none"):
        data.splits(table(root, "image label where", *rows, "6.png c val"), verbose=False)


def test_a_group_is_never_on_two_sides(root: Path) -> None:
    rows = [f"{index}.png {'ab'[index // 2 % 2]} p{index // 2}" for index in range(8)]
    path = table(root, "image label who", *rows)
    found = data.splits(path, 4, 2, 0.5, verbose=False, columns=data.Columns(group="who"))
    sides = [set(side.groups or ()) for side in found.sides().values()]
    assert all(sides)
    assert not sides[0] & sides[1]
    split = [f"{row} {'train' if index < 5 else 'val'}" for index, row in enumerate(rows)]
    with pytest.raises(ValueError, match="'p2' of .* are on two"):
        data.splits(table(root, "image label who set", *split), verbose=False, columns=data.Columns(group="who"))
    assert data.splits(table(root, "image label who set", *split), verbose=False, columns=data.Columns(label="label"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must have a first line"),
        (b"image\n0.png\n", "must have a first line"),
        (b"image,label,label\n0.png,a,b\n", "label are there twice"),
        (b"image,label\n0.png,a,b\n", "line 2 has 3 cells, and the first line 2"),
        (b"image,label\n0.png,\xe4\n", "must be encoded in UTF-8"),
        ("image,label\n0.png,ä\n".encode("utf-16"), "must be encoded in UTF-8"),
        (b'image,label\n0.png,"a\n', "can't be read as a table"),
        (b"image,label\n0.png," + b"a" * 200_000 + b"\n", "can't be read as a table"),
        (b"image,label\n", "`Columns.path` must name"),
        (b"image,label\n0.png,a\n1.png,a\n", "must hold two or more classes; it holds 'a'"),
    ],
)
def test_a_bad_table_ends_in_one_sentence_that_names_it(root: Path, content: bytes, problem: str) -> None:
    (root / "bad.csv").write_bytes(content)
    with pytest.raises(ValueError, match=problem) as raised:
        read(root / "bad.csv")
    assert "bad.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_table_that_is_not_there_names_the_nearest(root: Path) -> None:
    table(root, "image label", "0.png a", name="labels.csv")
    with pytest.raises(ValueError, match=r"no file '.*label.csv'. Did you mean '.*labels.csv'"):
        read(root / "label.csv")
    with pytest.raises(ValueError, match="`columns` and `task` are for tables"):
        data.splits(root, verbose=False, columns=data.Columns(label="x"))


def test_paths_alone_are_read_in_their_order(root: Path) -> None:
    path = table(root, "n image", "1 3.png", "2 gone.png", "3 0.png", "4 3.png", "5 _")
    assert [each.name for each in read_paths(path, data.Columns())] == ["3.png", "gone.png", "0.png"]


def test_what_a_run_lists_of_its_images_is_a_table_again(root: Path, tmp_path: Path) -> None:
    from keras_resnet.training import run_folder

    tags = table(root, "image tags who", *(f"{i}.png {'a|b' if i % 2 else 'b'} p{i // 2}" for i in range(8)))
    columns = data.Columns(label="tags", separator="|", group="who")
    sets = data.splits(tags, 4, 2, 0.5, verbose=False, columns=columns)
    run_folder.write_pictures(tmp_path, sets)
    again = data.splits(tmp_path / run_folder.IMAGES, 4, 2, verbose=False, columns=data.Columns(group="group"))
    for side, part in sets.sides().items():
        assert named(again.sides()[side]) == named(part)
        assert again.sides()[side].groups == part.groups
    np.testing.assert_array_equal(again.validation.labels, sets.validation.labels)


def test_a_file_is_one_image_wherever_the_table_is_read_from(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[list[Any]] = [
        ["image", "label"],
        ["0.png", "a"],
        [root / "0.png", "a"],
        ["1.png", "b"],
        [root / "1.png", "a"],
    ]
    path = write(root / "here.csv", [*rows, ["2.png", "b"]])
    monkeypatch.chdir(root)
    for where in (path, path.name, Path("deep", "..", path.name)):
        found = read_rows(where, data.Columns())
        assert [file.name for file in found.files] == ["0.png", "2.png"]
        assert [file.name for file in found.skipped] == ["0.png", "1.png"]
        assert len(read_paths(where, data.Columns())) == 3


@pytest.mark.parametrize("name", ["", " ", "0"])
def test_a_column_of_any_name_is_just_a_column(root: Path, name: str) -> None:
    rows = [[name, "image", "kind"], ["0", "0.png", "a"], ["1", "1.png", "b"], ["2", "2.png", "a"]]
    found = read_rows(write(root / "index.csv", rows), data.Columns())  # as pandas writes its index
    assert (found.names, found.labels, found.sides, found.groups) == (("a", "b"), [0, 1, 0], None, None)


@pytest.mark.parametrize("empty", ["", "NaN", " "])
def test_an_empty_cell_of_0_and_1_leaves_out_its_row_not_its_column(root: Path, empty: str) -> None:
    rows = [["image", "a", "b", "c"], ["0.png", "1", "0", "0"], ["1.png", "0", "1", empty], ["2.png", "0", "0", "1"]]
    found = read_rows(write(root / "empty.csv", rows), data.Columns())
    assert (found.names, found.labels, found.task) == (("a", "b", "c"), [0, 2], "classes")
    assert found.skipped == {root / "1.png": "no label"}


def test_true_and_false_are_1_and_0(root: Path) -> None:
    found = read(table(root, "image cat dog", "0.png True False", "1.png False True"))
    assert (found.task, named(found)) == ("classes", {"0.png": "cat", "1.png": "dog"})


def test_a_line_that_tells_excel_the_separator_is_no_row(root: Path) -> None:
    (root / "excel.csv").write_text("sep=;\r\nimage;label;\r\n0.png;a, b;\r\n1.png;c;\r\n;;\r\n", encoding="utf-8-sig")
    assert named(read(root / "excel.csv")) == {"0.png": "a, b", "1.png": "c"}


def test_parquet_of_other_libraries_is_read(root: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {
        "file": [b"0.png", b"1.png", b"2.png", b"3.png"],
        "age": [1.5, float("inf"), float("nan"), None],
        "box": [{"x": [1]}, None, {"x": []}, {"x": [2]}],
        "points": [[1, 2], [], None, [3]],
    }
    parquet.write_table(pyarrow.table(columns), root / "more.parquet")
    found = read_rows(root / "more.parquet", data.Columns(targets=("age",)))
    assert ([file.name for file in found.files], found.labels) == (["0.png"], [(1.5,)])
    assert set(found.skipped.values()) == {"no number"}
    with pytest.raises(ValueError, match="column 'points' of .* holds lists"):
        read_rows(root / "more.parquet", data.Columns(label="points"))
    bits = {"file": ["0.png", "1.png", "2.png"], "a": [1, 0, 1], "b": [0, 1, None]}
    parquet.write_table(pyarrow.table(bits), root / "bits.parquet")
    assert read_rows(root / "bits.parquet", data.Columns()).labels == [0, 1]


def test_what_may_be_read_in_two_ways_is_asked(root: Path) -> None:
    path = table(root, "image label one two", "0.png a train val", "1.png b val train")
    with pytest.raises(ValueError, match="`Columns.split` must name .* columns 'one', 'two' may be it"):
        read(path)
    assert read_rows(path, data.Columns(split="two")).sides == ["validation", "training"]
    numbers = table(root, "image label age", "0.png a 1", "1.png b 2", name="numbers.csv")
    for both in (data.Columns(targets=("age",), label="label"), data.Columns(targets=("age",), separator="|")):
        with pytest.raises(ValueError, match="exclude each other"):
            read(numbers, columns=both)
    for twice in (data.Columns(targets=("age", "age")), data.Columns(path="image", label="image")):
        with pytest.raises(ValueError, match="must name each column for one purpose"):
            read(numbers, columns=twice)
    with pytest.raises(ValueError, match="`side` is for tables that say the sides.*numbers.csv' has none"):
        read(numbers, columns=data.Columns(label="label"), side="test")


def test_a_number_that_32_bits_do_not_hold_is_named(root: Path) -> None:
    found = read(
        table(root, "image age", "0.png 1e300", "1.png 2", "2.png -4e38"), columns=data.Columns(targets=("age",))
    )
    assert found.labels.tolist() == [[2]]
    assert found.inventory
    assert all("beyond those of 32 bits" in why for why in found.inventory.skipped.values())


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_is_not_utf_8_is_told_by_its_line(root: Path, ending: str) -> None:
    for before in (1, 40_000):
        text = ending.join(["image,label", *["0.png,ä"] * before]).encode() + ending.encode() + b"1.png,\xe4,\n"
        (root / "latin.csv").write_bytes(text)
        with pytest.raises(ValueError, match=f"in UTF-8; line {before + 2} is not"):
            read(root / "latin.csv")


def test_labels_called_as_columns_of_a_run_are_told_apart(root: Path, tmp_path: Path) -> None:
    from keras_resnet.training import run_folder

    path = table(root, "image path side", *(f"{i}.png {i % 2} {(i + 1) % 2 or int(i > 5)}" for i in range(8)))
    sets = data.splits(path, 4, 2, 0.5, verbose=False, columns=data.Columns(path="image"), task="labels")
    run_folder.write_pictures(tmp_path, sets)
    again = data.splits(tmp_path / run_folder.IMAGES, 4, 2, verbose=False)
    assert again.training.class_names == ("path", "side")
    assert named(again.validation) == named(sets.validation)


def test_a_folder_of_images_that_is_not_there_is_what_the_error_is_about(root: Path) -> None:
    path = table(root, "a b c", "0.png x p", "1.png x p", "2.png y q", "3.png y q")
    for reads in (read_rows, read_paths):
        with pytest.raises(ValueError, match=r"`Columns\.images` must be a folder; there is no folder .*'nowhere'"):
            reads(path, data.Columns(images=Path("nowhere")))


def test_a_table_none_of_whose_images_is_there_asks_where_they_are(root: Path) -> None:
    path = table(root, "file label", "photos/0.png x", "photos/1.png y")
    for reads in (read_rows, read_paths):
        with pytest.raises(
            ValueError, match=r"nor is any of its 2 images there.*another folder than .*, `Columns\.images` must"
        ):
            reads(path, data.Columns())
    assert len(read_rows(table(root, "file label", "0.png x", "photos/1.png y"), data.Columns()).files) == 1


def test_a_number_with_a_decimal_comma_is_told_how_to_be_written(root: Path) -> None:
    path = write(root / "t.csv", [["file", "alter"], ["0.png", "37,5"], ["1.png", "8"], ["2.png", "alt"]], ";")
    found = read_rows(path, data.Columns(targets=("alter",)))
    assert list(found.skipped.values()) == ["no number: 37,5; decimals need a point", "no number: alt"]


@pytest.mark.parametrize("mark", ["|", ";", ","])
def test_cells_that_seem_to_hold_several_labels_are_pointed_out(root: Path, mark: str) -> None:
    def note(*cells: str) -> str:
        rows = [["file", "label"], *([f"{index}.png", cell] for index, cell in enumerate(cells))]
        return " ".join(read_rows(write(root / "t.tsv", rows, "\t"), data.Columns()).taken)

    assert f"'cat{mark} dog' is one class, since no separator was passed" in note(f"cat{mark} dog", "dog", "cat")
    assert "separator" not in note(f"tench{mark} Tinca tinca", "goldfish", f"cock{mark} rooster")  # names of ImageNet


def test_numbers_of_a_run_are_written_as_they_were_read(root: Path, tmp_path: Path) -> None:
    from keras_resnet.training import run_folder

    numbers = ["58.4", "25.1", "90", "1e-07", "3e+30", "-0.3333333"]
    path = table(root, "file age", *(f"{index}.png {number}" for index, number in enumerate(numbers)))
    sets = data.splits(path, 4, 2, 0.5, verbose=False, columns=data.Columns(targets=("age",)))
    run_folder.write_pictures(tmp_path, sets)
    with (tmp_path / run_folder.IMAGES).open(encoding="utf-8") as file:
        assert sorted(row["age"] for row in csv.DictReader(file)) == sorted(numbers)


def test_a_label_that_no_training_image_has_is_refused(root: Path) -> None:
    rows = ["0.png 1 0 0 train", "1.png 1 1 0 train", "2.png 0 0 0 val", "3.png 1 1 0 val"]
    path = table(root, "image a b none side", *rows)
    assert data.splits(path, 4, verbose=False).training.class_names == ("a", "b", "none")
    path = table(root, "image a b c side", *rows, "4.png 1 0 1 val")
    with pytest.raises(ValueError, match="Every label must have images for training; 'c' of .* have none"):
        data.splits(path, 4, verbose=False)
