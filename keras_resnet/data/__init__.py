"""Images and labels as batches: folders and tables of images, and digits that are always at hand."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_resnet.data.datasets import Splits as Splits
    from keras_resnet.data.datasets import digits as digits
    from keras_resnet.data.datasets import folder as folder
    from keras_resnet.data.datasets import splits as splits
    from keras_resnet.data.datasets import table as table
    from keras_resnet.data.decode import read_picture as read_picture
    from keras_resnet.data.pictures import Pictures as Pictures
    from keras_resnet.data.read import Reader as Reader
    from keras_resnet.data.tables import Columns as Columns

_WHERE = {  # imported when asked for: processes that only read images do without Keras
    "Columns": "tables",
    "Pictures": "pictures",
    "Reader": "read",
    "Splits": "datasets",
    "digits": "datasets",
    "folder": "datasets",
    "read_picture": "decode",
    "splits": "datasets",
    "table": "datasets",
}

__all__ = ["Columns", "Pictures", "Reader", "Splits", "digits", "folder", "read_picture", "splits", "table"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
