"""Times how long a large table of labels takes to be read and checked, and how much memory.

    python scripts/check_table.py                       # a million rows over 100 images
    python scripts/check_table.py --images 100000       # over as many that are not there

Each image is in many rows, most of which repeat another; every tenth image is in rows that contradict each other.
"""

import argparse
import csv
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from keras_resnet.data.check import Checked
from keras_resnet.data.read import Reader
from keras_resnet.data.scan import usable
from keras_resnet.data.tables import Columns, read_rows

_MOST_FILES = 1000  # written; further ones are missing


def main() -> None:
    """Writes the table and the images, and prints what reading them takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (default: 1000000)")
    parser.add_argument("--images", type=int, default=100, help="images that they are of (default: 100)")
    args = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(min(args.images, _MOST_FILES)):
            Image.new("RGB", (320, 240), (index % 256, 0, 0)).save(folder / f"{index}.jpg")
        with (folder / "labels.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["image", "label", "patient"])
            for row in range(args.rows):
                image = row % args.images
                other = image % 10 == 0 and row >= args.images
                lines.writerow([f"{image}.jpg", "cat" if (image + other) % 2 else "dog", f"p{image % 17}"])
        before, began = _peak(), time.perf_counter()
        rows = read_rows(folder / "labels.csv", Columns(group="patient"))
        read = time.perf_counter()
        usable(rows.files, "full", Checked(Reader(None)), rows.skipped, progress=False)
        ended = time.perf_counter()
    print(f"rows: {args.rows}, of {args.images} images; {len(rows.files)} used, {len(rows.skipped)} named")
    print(f"reading the table: {read - began:.1f} s; checking the images: {ended - read:.1f} s")
    print(f"peak memory: {_peak():.0f} MB, {before:.0f} MB of it before")


def _peak() -> float:
    """The most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    main()
