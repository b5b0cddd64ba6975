"""`Classifiers`: the networks of image-classifiers (`classification_models`) by its names and arguments."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras

from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.models import preprocessing
from keras_resnet.models.arguments import Tensor
from keras_resnet.models.builder import ResNet
from keras_resnet.models.weights.find import Weights
from keras_resnet.utils.errors import choice_error

_ITS_OWN = "classification_models_"  # what rows are called that have its names with another network
_DROPOUT = {"senet154": 0.2}  # in training
# Weights that were trained on others than ImageNet's images.
_DATA_SETS = {
    ("resnet50", "imagenet11k-places365ch"): "classification_models/resnet50.imagenet11k-places365ch",
    ("resnet152", "imagenet11k"): "classification_models/resnet152.imagenet11k",
}
# Those that it takes from keras.applications.
_KERAS = ("resnet50v2", "resnet101v2", "resnet152v2")


class Classifiers:
    """The ResNets of image-classifiers, the backbones of Keras' `segmentation_models`.

    Example:

        from keras_resnet.classification_models import Classifiers  # was: from classification_models.keras import ...

        ResNet34, preprocess_input = Classifiers.get("resnet34")
        model = ResNet34((32, 32, 3), classes=10)
        model.predict(preprocess_input(images))
    """

    @staticmethod
    def models_names() -> list[str]:
        """Lists the names that `get` takes."""
        own = [name.removeprefix(_ITS_OWN) for name in NETWORKS if name.startswith(_ITS_OWN)]
        return [*own, *_KERAS]

    @classmethod
    def get(cls, name: str) -> tuple[Callable[..., keras.Model], Callable[..., Any]]:
        """Returns the builder of a network and the function that scales its images.

        The builder takes `(input_shape=None, input_tensor=None, weights=None, classes=1000, include_top=True)`, and
        the keywords of `keras_resnet.ResNet`. `weights` is None, "imagenet", the path of a file or, where
        image-classifiers has one of these, "imagenet11k" or "imagenet11k-places365ch". Names of layers are those of
        this package.

        Args:
            name: of a network, such as "resnet34", "seresnext50" or "senet154", in any case.

        Raises:
            ValueError: if there is no such network here. Others that image-classifiers has, such as "vgg16", are in
                keras.applications.
        """
        known = cls.models_names()
        if not isinstance(name, str) or name.lower() not in known:
            raise choice_error("name", name, tuple(known), " Networks that are no ResNets are in keras.applications.")
        name = name.lower()
        row = find_row(name if name in _KERAS else f"{_ITS_OWN}{name}")
        return partial(_build, name), partial(preprocessing.preprocess_input, mode=row.lineage.preprocessing)


def _build(
    network: str,
    input_shape: Sequence[int | None] | None = None,
    input_tensor: Tensor | None = None,
    weights: Weights = None,
    classes: int = 1000,
    include_top: bool = True,
    **keywords: Any,
) -> keras.Model:
    """`ResNet` with the arguments of image-classifiers, in its order."""
    row = find_row(network if network in _KERAS else f"{_ITS_OWN}{network}")
    if isinstance(weights, str) and (key := _DATA_SETS.get((network, weights))):
        weights = key if include_top else f"{key}.notop"
    keywords["name"] = keywords.get("name") or network
    if network in _DROPOUT and include_top:
        keywords.setdefault("dropout", _DROPOUT[network])
    return ResNet(row, include_top, weights, input_tensor, input_shape, classes=classes, **keywords)
