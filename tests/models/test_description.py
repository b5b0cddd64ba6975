"""What a model's file tells of itself: in every file of Keras, where this package is missing, and in others' models."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet.labels import Description, class_names, description_of, with_class_names, with_description
from keras_resnet.models.description import description_in

once = pytest.mark.one_backend

NAMES = ("a>b", "", "two words", "Größe", "🦊", "a/b\\u0041", "class_names", "settings", "targets", " ", "\n", "\udc80")
SAID = [
    Description(NAMES),
    Description(NAMES, "labels", "pad", 5, (0.0, 1e-7), 0.3),
    Description(("age", "Höhe > 2 m"), "regression", "crop", 1, (-1.5, 4095.0)),
    Description(("alone",), "labels", threshold=0.999),
    Description(("",), "regression"),
]
ELSEWHERE = """
import sys
sys.modules["keras_resnet"] = None  # any import of it fails
import keras
for path in sys.argv[1:]:
    model = keras.models.load_model(path, compile=False)
    model.save(path.replace("first", "second"))
"""


def model(outputs: int, name: str = "dense") -> keras.Model:
    image = keras.Input((3,))
    return keras.Model(image, keras.layers.Dense(outputs, name=name)(image), name="own")


@once
def test_a_description_outlives_loading_and_saving_where_this_package_is_missing(tmp_path: Path) -> None:
    paths = {}
    for index, said in enumerate(SAID):
        for suffix in (".keras", ".h5"):
            path = tmp_path / f"first{index}{suffix}"
            with_description(model(len(said.names)), said).save(path)
            paths[path] = said
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, paths)],
        env=os.environ | {"PYTHONPATH": ""},
        cwd=tmp_path,
        check=True,
    )
    for path, said in paths.items():
        again = keras.models.load_model(str(path).replace("first", "second"), compile=False)
        assert description_of(again) == said
        assert class_names(again) == said.names
        x = np.ones((2, 3), "float32")
        np.testing.assert_array_equal(again.predict(x, verbose=0), keras.models.load_model(path).predict(x, verbose=0))


@once
def test_a_plain_classifier_is_written_as_before_and_files_of_before_still_read() -> None:
    assert with_description(model(2), Description(("cat", "dog"))).layers[-1].name == "class_names>cat>dog"
    assert description_in("class_names>cat>gr\\u00fcn") == Description(("cat", "grün"))


@once
def test_a_new_description_takes_the_place_of_the_old_one_and_new_names_keep_the_rest() -> None:
    first = with_description(model(2), SAID[2])
    second = with_description(first, Description(("x", "y"), "labels", threshold=0.25))
    assert len(second.layers) == len(first.layers) == len(model(2).layers) + 1
    assert description_of(with_class_names(second, ["p", "q"])) == Description(("p", "q"), "labels", threshold=0.25)
    assert description_of(first) == SAID[2]


@once
@pytest.mark.parametrize(
    "name",
    [
        "settings",
        "settings>x",
        "settings>a>b",
        "settings>a>b>c>d",
        "settings>task>segmentation>class_names>a",
        "settings>task>regression>class_names>a",
        "settings>task>labels>targets>a",
        "settings>resize>fold>class_names>a",
        "settings>channels>x>class_names>a",
        "settings>channels>0>class_names>a",
        "settings>threshold>nan>class_names>a",
        "settings>value_range>1>class_names>a",
        "settings>value_range>1 2 3>class_names>a",
        "class_names",
        "class_names>ü",
        "class_names>\\",
        "class_names>\\u00",
        "targets>",
        "targets>a",
        "",
        ">",
    ],
)
def test_a_layer_of_such_a_name_by_chance_tells_nothing(name: str) -> None:
    assert description_in(name) is None
    if name:
        assert class_names(model(1, name)) is None


@once
def test_a_setting_of_a_later_version_is_left_aside() -> None:
    assert description_in("settings>colour>lab>settings>channels>4>class_names>a") == Description(("a",), channels=4)


@once
@pytest.mark.parametrize("numbers", [(np.float32(0), np.float64(0.1)), [0, 0.1], np.array([0, 0.1])])
def test_numbers_of_any_kind_are_kept(numbers: Any) -> None:
    said = Description(("a",), value_range=tuple(numbers), channels=2)
    assert description_of(with_description(model(1), said)) == Description(("a",), channels=2, value_range=(0.0, 0.1))


@once
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task": "segmentation"}, "task"),
        ({"resize": "fold"}, "resize"),
        ({"channels": 0}, "channels"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
    ],
)
def test_what_no_model_does_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Description(("a",), **arguments)
