"""The names that Keras 2's layers give the tensors of a checkpoint, whose own names are paths through objects.

Source: trackable_object_graph.proto; what is malformed is a `ValueError`.
"""

import re
from collections.abc import Collection

from keras_resnet.checkpoints.formats.tensorflow.protobuf import Message
from keras_resnet.checkpoints.formats.tensorflow.tensors import read_name

GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
LARGEST = 1 << 22  # bytes; that of a ResNet-152 with an optimizer has 500 000

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# A variable of a layer, by its place in a model; those of an optimizer lie deeper, or elsewhere.
_OF_LAYER = re.compile(rf"(?P<model>(?:[^/.]+/)*)layer_with_weights-\d{{1,9}}/(?P<variable>[^/.]+){re.escape(_VALUE)}")
_DEFAULT = re.compile(r"conv2d(_\d+)?/")  # numbered as the layers of a program were made, in any order


def layer_names(graph: memoryview, keys: Collection[str]) -> dict[str, str]:
    """Returns names of `layer/variable` for the keys of layers' variables, behind the path of a model in a model.

    All other keys, such as those of an optimizer's slots, have none.

    Args:
        graph: a `TrackableObjectGraph`.
        keys: of a checkpoint's tensors.

    Raises:
        ValueError: if a key is described twice, two have one name, or the graph is of objects without such names.
    """
    names: dict[str, str] = {}
    described: set[str] = set()
    for node in Message(graph).messages(1):
        for saved in node.messages(2):
            key = read_name(saved.blob(3))
            if key not in keys:
                continue
            if key in described:
                raise ValueError(f"its object graph describes {key!r:.99} twice")
            described.add(key)
            match, full_name = _OF_LAYER.fullmatch(key), read_name(saved.blob(2))
            if match and full_name.endswith(f"/{match['variable']}") and not _DEFAULT.match(full_name):
                names[key] = f"{match['model']}{full_name}"
    if any(key.endswith(_VALUE) for key in keys) and not any(name.endswith("/kernel") for name in names.values()):
        raise ValueError(
            "its tensors are named by their place among a program's objects, without the names of layers, as in "
            "SavedModels and checkpoints of Keras 3 and of models that are classes of their own. Load it in the "
            "program that wrote it, and save the weights with model.save_weights('model.weights.h5')"
        )
    taken = list(names.values())
    if len({*taken, *keys}) != len(taken) + len(keys):
        raise ValueError("its object graph gives two tensors one name")
    return names
