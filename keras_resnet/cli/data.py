"""What the commands are given as data: a folder, a table with its columns, or digits."""

import argparse
from pathlib import Path
from typing import Literal

from keras_resnet.data.tables import Columns, is_table

PATH_OPTIONS = ("image_folder", "path_column")  # of every command
TABLE_OPTIONS = (*PATH_OPTIONS, "label_column", "split_column", "separator")  # of those that read labels


def kind_of_data(data: str | Path) -> Literal["digits", "table", "folder"]:
    """Returns what DATA is."""
    if data == "digits":
        return "digits"
    return "table" if is_table(data) else "folder"


def columns_of(args: argparse.Namespace, targets: tuple[str, ...] = ()) -> Columns:
    """Returns the columns that the options of a command name."""
    own = vars(args)
    return Columns(
        args.path_column,
        own.get("label_column"),
        targets or tuple(own.get("target_column") or ()),
        own.get("separator"),
        own.get("split_column"),
        own.get("group_column"),
        args.image_folder,
    )
