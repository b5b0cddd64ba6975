#!/usr/bin/env python
"""Draws the README's image of a training run: curves, confusion matrix and mistakes, side by side.

keras-resnet train digits
python scripts/draw_training.py runs/digits docs/images/training.png
"""

import argparse
from pathlib import Path

from PIL import Image

HEIGHT, LEFT, GAP = 780, 600, 12  # pixels

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=Path, help="what `keras-resnet train` left")
parser.add_argument("target", type=Path, help="the PNG file to write")
args = parser.parse_args()


def drawing(name: str, width: int | None = None) -> Image.Image:
    """One of the run's images, as wide as asked or as high as all."""
    image = Image.open(args.run / name).convert("RGB")
    scale = width / image.width if width else HEIGHT / image.height
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


curves, confusion, predictions = drawing("curves.png", LEFT), drawing("confusion.png", LEFT), drawing("predictions.png")
sheet = Image.new("RGB", (LEFT + GAP + predictions.width, max(HEIGHT, curves.height + confusion.height)), "white")
sheet.paste(curves, (0, 0))
sheet.paste(confusion, (0, curves.height))
sheet.paste(predictions, (LEFT + GAP, 0))
sheet.save(args.target, optimize=True)
