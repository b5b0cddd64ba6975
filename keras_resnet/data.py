"""Pictures and their classes, as what `model.fit` takes on every backend."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of pictures (N, H, W, 3), float32 RGB in [0, 255], and labels (N,), int32.

    The order of an epoch is a function of seed and epoch alone, so pass `shuffle=False` to `fit`.

    Args:
        images: uint8 arrays (H, W, 3).
        labels: for each image the index of its class.
        class_names: the names of the classes.
        batch_size: pictures in a batch; the last one may be smaller.
        seed: what determines the order of each epoch; None keeps the order of `images`.
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        class_names: Sequence[str],
        batch_size: int = 32,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.images, self.labels = images, np.asarray(labels, "int32")
        self.class_names, self.batch_size, self.seed = tuple(class_names), batch_size, seed
        self.epoch = 0
        self.order = self._order()

    def _order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        count = len(self.labels)
        return (
            np.arange(count) if self.seed is None else np.random.default_rng([self.seed, self.epoch]).permutation(count)
        )

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return np.stack([self.images[i] for i in chosen]).astype("float32"), self.labels[chosen]

    def on_epoch_end(self) -> None:
        """Draws the next epoch's order."""
        self.epoch += 1
        self.order = self._order()


def digits(
    image_size: int = 16, batch_size: int = 32, validation_split: float = 0.2, seed: int = 0
) -> tuple[Pictures, Pictures]:
    """Loads scikit-learn's 1797 handwritten digits, enlarged from 8x8, as a training and a validation set.

    Args:
        image_size: height and width in pixels.
        batch_size: pictures in a batch.
        validation_split: the share of each class that validates, in (0, 1).
        seed: determines the split and the order of the training pictures.
    """
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    source = load_digits()
    gray = (source.images * (255 / 16)).round().astype("uint8")
    side = (image_size, image_size)
    images = [np.asarray(Image.fromarray(image).resize(side).convert("RGB")) for image in gray]
    names = [str(name) for name in source.target_names]
    split = train_test_split(
        images, source.target, test_size=validation_split, random_state=seed, stratify=source.target
    )
    return Pictures(split[0], split[2], names, batch_size, seed), Pictures(split[1], split[3], names, batch_size)
