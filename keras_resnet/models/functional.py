"""Reads the graph of a functional model, and rewrites it: copies of its layers, some of them changed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

import keras

from keras_resnet.utils.recursion import recursion_limit


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of an operation that is none.

    Attributes:
        layer: what is called.
        reads: the layers whose outputs it takes.
        plain: whether it takes one tensor and nothing else, in the mode of the model.
    """

    layer: Any
    reads: tuple[Any, ...]
    plain: bool


@dataclass(frozen=True)
class Graph:
    """What a model, and the models in it, call.

    Attributes:
        calls: all of them.
        ends: the layers whose outputs are outputs of a model.
    """

    calls: list[Call] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)

    def followers(self) -> list[tuple[Any, Any]]:
        """Returns the layers that take what one other puts out, and nothing else reads; each with that other layer."""
        times = Counter(id(call.layer) for call in self.calls)
        readers = Counter(id(layer) for layer in self.ends)
        readers.update(id(layer) for call in self.calls for layer in call.reads)
        return [
            (call.layer, call.reads[0])
            for call in self.calls
            if call.plain and times[id(call.layer)] == times[id(call.reads[0])] == readers[id(call.reads[0])] == 1
        ]


def as_functional(model: keras.Model) -> keras.Model:
    """Returns a model, which may be a `Sequential` or of a class of its own, as a plain graph of the very same layers.

    Raises:
        ValueError: if it has no graph, or does more than that in its `call`.
    """
    if not has_graph(model):
        raise ValueError(
            f"`model` must be a functional or a built Sequential model; received {type(model).__name__}. "
            "A Sequential model is built by calling it on data, or with a keras.Input as its first layer."
        )
    if isinstance(model, keras.Sequential):
        inputs, outputs = model.inputs[0], model.outputs[0] if len(model.outputs) == 1 else model.outputs
    else:
        inputs, outputs = model.input, model.output
    with recursion_limit(len(model.layers)):
        return keras.Model(inputs, outputs, name=model.name)


def has_graph(layer: Any) -> bool:
    """Whether a layer is a model that does what its graph says."""
    if not isinstance(layer, keras.Model) or not getattr(layer, "inputs", None):
        return False
    plain = keras.Sequential if isinstance(layer, keras.Sequential) else _plain_class()
    return type(layer).call is plain.call


@cache
def _plain_class() -> type[keras.Model]:
    """Returns the class of `keras.Model(inputs, outputs)`; Keras exports no name for it."""
    nothing = keras.Input(())
    return type(keras.Model(nothing, nothing))


@cache
def pad_operation() -> type[keras.Operation]:
    """Returns the class of what `keras.ops.pad` puts into a graph; Keras exports no name for it."""
    padded = keras.Model(image := keras.Input((1,)), keras.ops.pad(image, 1))
    return type(padded.operations[-1])


def read_nodes(model: keras.Model) -> tuple[keras.Model, list[Any]]:
    """Returns a model as a plain graph, and Keras' own records of all calls in it, in the order of the calls.

    Raises:
        ValueError: if it has no graph.
        AttributeError: if the installed Keras keeps them in another way.
    """
    graph = as_functional(model) if isinstance(model, keras.Sequential) else model
    by_depth = graph._nodes_by_depth  # a config names no objects
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return graph, [node for node in nodes if node.operation and not node.is_input]


def read_graph(model: keras.Model) -> Graph:
    """Reads a model's graph from its config.

    Raises:
        ValueError: if it has none.
    """
    found, visited = Graph(), set()

    def visit(model: keras.Model, training: bool) -> None:
        if (id(model), training) in visited:
            return
        visited.add((id(model), training))
        graph = as_functional(model)
        layers, config = {layer.name: layer for layer in graph.operations}, graph.get_config()
        found.ends.extend(layers[name] for name in _names(config["output_layers"]))
        for entry in config["layers"]:
            layer = layers[entry["name"]]
            for node in entry["inbound_nodes"]:
                given = [value for value in (*node["args"], *node["kwargs"].values()) if value not in (None, False)]
                plain = len(given) == 1 and _is_tensor(given[0]) and not training
                found.calls.append(Call(layer, tuple(layers[name] for name in _read(given)), plain))
                if has_graph(layer):
                    visit(layer, training or any(value == 1 for value in given))

    visit(model, False)
    return found


def copy_layer(layer: Any, **changes: Any) -> Any:
    """Returns a new layer of the same config, but for changes, with the functions of the live one, which is trusted."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.Lambda):
        function = layer.function
        new = type(layer).from_config(config, {function.__name__: function}, safe_mode=False)
        new.function = function  # what comes from a config has lost its globals
        return new
    config |= {key: value for key, value in vars(layer).items() if key in config and isinstance(value, FunctionType)}
    return type(layer).from_config(config | changes)


class Rewriter:
    """Makes a model's graph, and those of the models in it, again: of new layers, as this one does it of the same.

    A subclass changes what it is about: which layers are made, how they are called, which weights they get. One object
    rewrites one model.
    """

    def __init__(self) -> None:
        self._news: dict[int, Any] = {}  # by the id of the old; a layer that is shared stays so
        self._olds: dict[int, Any] = {}  # by the id of the new

    def rewrite(self, model: keras.Model) -> keras.Model:
        """Returns the new model.

        Raises:
            ValueError: if the model has no graph.
        """
        result = self._rewrite_graph(model)
        for old in self._olds.values():
            new = self._news[id(old)]
            if not has_graph(old) and getattr(new, "weights", None):
                new.set_weights(self.weights(old))
                if hasattr(old, "finalize_state"):  # of Normalization, which computes with a copy of its weights
                    new.finalize_state()
        return result

    def make(self, layer: Any) -> Any:
        """Returns a new layer for an old one, not built yet."""
        return copy_layer(layer)

    def call(self, old: Any, new: Any, *args: Any, **options: Any) -> Any:
        """Returns what comes out where the old layer was called, of what now goes in."""
        return new(*args, **options)

    def weights(self, layer: Any) -> Any:
        """Returns the weights of the new layer for an old one."""
        return layer.get_weights()

    def _renew(self, layer: Any) -> Any:
        """Returns the one new layer for an old one."""
        if id(layer) not in self._news:
            new = self._rewrite_graph(layer) if has_graph(layer) else self.make(layer)
            self._news[id(layer)], self._olds[id(new)] = new, layer
        return self._news[id(layer)]

    def _rewrite_graph(self, model: keras.Model) -> keras.Model:
        """Returns a model of the new layers for those of an old one."""
        graph = as_functional(model)
        inputs = {id(layer.output): layer for layer in graph.layers if isinstance(layer, keras.layers.InputLayer)}
        tensors = keras.tree.map_structure(lambda x: copy_layer(inputs[id(x)]).output, graph.input)
        with recursion_limit(len(graph.layers)):
            return keras.models.clone_model(
                graph,
                input_tensors=tensors,  # else the inputs lose their names
                clone_function=self._renew,
                call_function=lambda new, *args, **options: self.call(self._olds[id(new)], new, *args, **options),
            )


def _is_tensor(value: Any) -> bool:
    """Whether a value in a config stands for a tensor."""
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _read(value: Any) -> Iterator[str]:
    """Yields the names of the layers whose outputs a call's arguments hold, as configs write them."""
    if _is_tensor(value):
        yield value["config"]["keras_history"][0]
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _read(part)


def _names(value: Any) -> Iterator[str]:
    """Yields the names in a nest of [name, node, tensor]."""
    if isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str):
        yield value[0]
    else:
        for part in value.values() if isinstance(value, dict) else value:
            yield from _names(part)
