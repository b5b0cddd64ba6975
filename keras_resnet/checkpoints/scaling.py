"""How pixels are scaled, as a checkpoint or a config beside it says: means and deviations, or KerasHub's converter."""

import re
from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any, NamedTuple

from keras_resnet.checkpoints.formats.torch.find import MMENGINE_CONFIG

_PREPROCESSORS = ("ImageClassifierPreprocessor", "ResNetImageClassifierPreprocessor")  # of KerasHub
_CONVERTERS = ("ImageConverter", "ResNetImageConverter")
_HUBS = ("keras_hub.", "keras_nlp.")  # its modules, now and before
_MM_SCALING = re.compile(r"\bdata_preprocessor ?= ?dict\(([^()]{1,999})\)")
_MM_NUMBERS = re.compile(r"\b(mean|std) ?= ?[\[(]([^\[\]()]*)[\])]")


class Scaling(NamedTuple):
    """How pixels are scaled, as it was read.

    Attributes:
        mean: of pixels in [0, 1], RGB.
        deviation: of the same.
        said: what scales so, for messages, if it is not a config that has these numbers.
    """

    mean: Any
    deviation: Any
    said: str = ""


def scaling_of(config: Mapping[str, Any]) -> Scaling | None:
    """Returns what a `config.json` states as means and deviations of pixels, as timm writes them, whatever it is."""
    images = config.get("pretrained_cfg")
    images = images if isinstance(images, Mapping) else config
    scaling = images.get("mean"), images.get("std")
    return None if scaling == (None, None) else Scaling(*scaling)


def scaling_of_keras_hub(task: Mapping[str, Any], beside: Iterable[Mapping[str, Any]] = ()) -> Scaling | None:
    """Returns how KerasHub scales pixels; None if no config says it.

    Args:
        task: the config of a task, in which that of its preprocessor is, or of a backbone.
        beside: what the files of a preprocessor and of an image converter hold.
    """
    own = task.get("config")
    within = own.get("preprocessor") if isinstance(own, Mapping) else None
    configs = [each for each in (within, *beside) if isinstance(each, Mapping) and "class_name" in each]
    found = {repr(scaling): scaling for scaling in map(_of_preprocessor, configs)}
    if len(found) > 1:
        return Scaling(None, None, "of the image converters in the files of the preset, which differ")
    return next(iter(found.values()), None)


def _of_preprocessor(config: Mapping[str, Any]) -> Scaling:
    """How a preprocessor of KerasHub scales, or an image converter; without numbers if its class is another."""
    own = config.get("config")
    if _is_hubs(config, _PREPROCESSORS) and isinstance(own, Mapping):
        inner = own.get("image_converter")
        if inner is None:  # pixels stay as they are
            return _of_converter({})
        config = inner if isinstance(inner, Mapping) else {}
        own = config.get("config")
    if _is_hubs(config, _CONVERTERS) and isinstance(own, Mapping):
        return _of_converter(own)
    return Scaling(None, None, f"of {config.get('class_name')!r:.99}, in which the preset's images are prepared")


def _is_hubs(config: Mapping[str, Any], classes: tuple[str, ...]) -> bool:
    """Whether a config is of an object of KerasHub, of one of some classes."""
    return str(config.get("module")).startswith(_HUBS) and config.get("class_name") in classes


def _of_converter(own: Mapping[str, Any]) -> Scaling:
    """What the settings of KerasHub's image converter make of pixels: times a scale, plus an offset."""
    scale, offset = own.get("scale"), own.get("offset")
    mean = deviation = None
    try:
        scale, offset = (
            [float(each) for each in (value if isinstance(value, list | tuple) else [value] * 3)]
            for value in (1 if scale is None else scale, 0 if offset is None else offset)
        )
        if own.keys() >= {"mean", "variance"}:  # as the first versions wrote it
            roots = [sqrt(each) for each in own["variance"]]
            offset = [-each / root for each, root in zip(own["mean"], roots, strict=True)]
            scale = [each / root for each, root in zip(scale, roots, strict=True)]
        mean = [-plus / times / 255 for times, plus in zip(scale, offset, strict=True)]
        deviation = [1 / times / 255 for times in scale]
    except (TypeError, ValueError, ArithmeticError):
        mean = deviation = None
    return Scaling(
        mean,
        deviation,
        f"of KerasHub's image converter, `pixels * {scale!s:.99} + {offset!s:.99}` of RGB in [0, 255]",
    )


def scaling_of_words(words: Mapping[str, Any]) -> Scaling | None:
    """Returns what MMEngine's config states as means and deviations, of pixels in [0, 255] there."""
    config = words.get(MMENGINE_CONFIG)
    found = _MM_SCALING.search(config) if isinstance(config, str) else None
    if not found:
        return None
    stated = {key: re.findall(r"-?\d+\.?\d*", numbers) for key, numbers in _MM_NUMBERS.findall(found[1])}
    if not {"mean", "std"} <= stated.keys():
        return None
    mean, deviation = ([float(number) / 255 for number in stated[key]] for key in ("mean", "std"))
    return Scaling(mean if "to_rgb=True" in found[1].replace(" ", "") else f"{mean} of BGR", deviation)
