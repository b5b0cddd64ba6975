"""Pictures that the tests draw: three classes told by shape alone, colours and positions random."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle")


def draw(shape: str, rng: np.random.Generator) -> Image.Image:
    """One filled shape on a plain ground, 300 wide and 200 high."""
    while True:
        ground, colour = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2))
        if sum(abs(a - b) for a, b in zip(ground, colour, strict=True)) > 150:
            break
    picture = Image.new("RGB", (300, 200), ground)
    radius = int(rng.integers(45, 75))
    x, y = int(rng.integers(radius, 300 - radius)), int(rng.integers(radius, 200 - radius))
    canvas, box = ImageDraw.Draw(picture), (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        canvas.ellipse(box, fill=colour)
    elif shape == "square":
        canvas.rectangle(box, fill=colour)
    else:
        canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    return picture


def draw_folder(root: Path, count: int, seed: int = 0) -> Path:
    """A folder of so many JPEGs per class."""
    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        (root / shape).mkdir(parents=True)
        for index in range(count):
            draw(shape, rng).save(root / shape / f"{index}.jpg")
    return root
