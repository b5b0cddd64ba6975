"""What optimizing sets on live layers is taken back, and set on none but the layers that it was written for."""

import copy
import functools
import gc
import inspect
import pickle
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_resnet import fold_batch_norm, optimize_for_inference, optimize_for_training, restore
from keras_resnet.graph import training_calls
from keras_resnet.graph.data_format import to_data_format
from keras_resnet.graph.kernels import KERNELS
from keras_resnet.models.inspection import models
from tests.helpers.nets import assert_close, assert_same_weights, images, randomise, run

one_backend = pytest.mark.one_backend
BACKEND = keras.backend.backend()
COMPILED = ("train_function", "test_function", "predict_function")  # caches of Keras', which are made anew
REPLACED = {"torch": (layers.Conv2D, layers.MaxPooling2D, layers.BatchNormalization)}.get(
    BACKEND, (layers.Conv2D if BACKEND == "jax" else layers.BatchNormalization,)
)


def plain(name: str = "net") -> keras.Model:
    x = keras.Input((8, 8, 3))
    y = layers.Activation("relu")(layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1, name="conv")(x)))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.MaxPooling2D(name="pool")(y))
    return randomise(keras.Model(x, layers.Dense(5)(layers.GlobalAveragePooling2D()(y)), name=name))


def nested() -> keras.Model:
    """A model in a model twice, which shares a layer with the one around it."""
    inner, x = plain(), keras.Input((8, 8, 3))
    y = inner.get_layer("conv")(x)
    return randomise(keras.Model(x, layers.Add()([inner(x), inner(x), layers.GlobalMaxPooling2D()(y)[:, :1]])))


def wrapped(frames: int | None = None) -> keras.Model:
    x = keras.Input((frames, 8, 8, 3))
    return keras.Model(x, layers.GlobalAveragePooling1D()(layers.TimeDistributed(plain())(x)))


KINDS: dict[str, Callable[[], keras.Model]] = {"plain": plain, "nested": nested, "wrapped": wrapped}


def data(model: keras.Model) -> tuple[Any, Any]:
    x = images(8, 8, count=8)
    return (x, np.arange(8) % 5) if len(model.input_shape) == 4 else (x.reshape(4, 2, 8, 8, 3), np.arange(4))


def compiled(model: keras.Model) -> keras.Model:
    optimizer = "adam" if BACKEND == "torch" else "sgd"  # one that keeps tensors of the kernels' shape
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def use(model: keras.Model) -> Any:
    """Trains, evaluates and predicts."""
    x, y = data(model)
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    return model.predict(x, verbose=0)


def unoptimized(model: keras.Model) -> keras.Model:
    """The graph that `optimize_for_inference` makes, computed as Keras lets it."""
    folded = fold_batch_norm(model)
    return to_data_format(folded, "channels_first") if BACKEND == "torch" else folded


def owners(model: keras.Model) -> Iterator[Any]:
    """The model and those in it, all layers, and the variables of these and of the optimizer."""
    for around in models(model).values():
        yield from (around, *around.layers, *around.variables)
    yield from (model.optimizer, *model.optimizer.variables)


def snapshot(model: keras.Model) -> list[Any]:
    """The attributes of all that belongs to a model, and where the numbers of its variables lie."""
    found: list[Any] = []
    for owner in owners(model):
        found.append({name: id(value) for name, value in vars(owner).items() if name not in COMPILED})
        if BACKEND == "torch" and isinstance(owner, keras.Variable):
            found.append((tuple(owner.shape), owner.value.stride()))
    return found


def replaced(model: keras.Model) -> set[type]:
    """The types of the layers that don't compute as Keras lets them."""
    found = [layer for around in models(model).values() for layer in around.layers]
    found = [layer for layer in found if not isinstance(layer, keras.Model)]
    return {type(layer) for layer in found if {"call", "convolution_op"} & set(vars(layer))}


def walking(model: keras.Model) -> list[str]:
    """The names of the models that compute or train in one walk."""
    return [each.name for each in models(model).values() if {"call", "train_step", "_post_build"} & set(vars(each))]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[type]:
    """How often the fast kernels of each type of layer are called, or traced."""
    counted: Counter[type] = Counter()

    def spy(kind: type, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        counted[kind] += 1
        return function(*args, **options)

    for (backend, kind), kernel in list(KERNELS.items()):
        spied = replace(kernel, function=functools.partial(spy, kind, kernel.function))
        monkeypatch.setitem(KERNELS, (backend, kind), spied)
    for kind, direct in list(training_calls._MAPS.items()):
        monkeypatch.setitem(training_calls._MAPS, kind, functools.partial(spy, kind, direct))
    return counted


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_layouts_and_outputs_are_those_of_before(kind: str) -> None:
    """Of models that were used before, and optimized twice."""
    model = compiled(KINDS[kind]())
    use(model)
    before, outputs = snapshot(model), run(model, data(model)[0])
    for _ in range(2):
        assert optimize_for_training(model) is model
    assert replaced(model) == set(REPLACED)
    assert bool(walking(model)) == (BACKEND == "torch")
    assert snapshot(model) != before
    assert_close(run(model, data(model)[0]), outputs, 1e-5)
    assert restore(model) is model
    assert not walking(model)
    assert snapshot(model) == before
    np.testing.assert_array_equal(run(model, data(model)[0]), outputs)


@pytest.mark.parametrize("kind", ["wrapped", pytest.param("nested", marks=one_backend)])
def test_training_goes_on_with_what_was_learned(kind: str) -> None:
    """To the same weights, whether some or none of it was optimized."""
    usual, mixed = compiled(KINDS[kind]()), compiled(KINDS[kind]())
    for change in (optimize_for_training, restore):
        weights = mixed.get_weights()
        change(mixed)
        for now, then in zip(mixed.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(now, then)
        assert_close(use(mixed), use(usual), 1e-3)
    assert not replaced(mixed)
    assert_same_weights(mixed, usual, 1e-3)


def test_what_was_compiled_before_uses_what_is_set_now(calls: Counter[type]) -> None:
    """Though somebody holds on to the functions of then."""
    model, held = compiled(plain()), []
    use(model)
    assert not calls
    held.append([getattr(model, name) for name in COMPILED])
    optimize_for_training(model)
    for act in ("fit", "evaluate", "predict"):
        calls.clear()
        getattr(model, act)(*data(model)[: 1 if act == "predict" else 2], verbose=0)
        assert set(calls) == set(REPLACED)
    held.append([getattr(model, name) for name in COMPILED])
    restore(model)
    calls.clear()
    use(model)
    assert not calls


def test_a_callback_may_optimize_and_restore(calls: Counter[type]) -> None:
    changes, seen = [optimize_for_training, restore], []

    class Change(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            changes[epoch](self.model)
            calls.clear()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(set(calls))

    model, usual = compiled(plain()), compiled(plain())
    x, y = data(model)
    model.fit(x, y, epochs=2, verbose=0, shuffle=False, callbacks=[Change()])
    usual.fit(x, y, epochs=2, verbose=0, shuffle=False)
    assert seen == [set(REPLACED), set()]
    assert_same_weights(model, usual, 1e-3)


def test_a_model_that_makes_its_functions_in_its_own_way_is_optimized_and_restored() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def make_train_function(self) -> Any:
            return super().make_train_function()

    inner = plain()
    model = Own(inner.input, inner.output)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data(model), verbose=0)
    for change in (optimize_for_training, restore):
        change(model)
        model.fit(*data(model), verbose=0)


def test_where_nothing_is_set_nothing_is_done() -> None:
    model = compiled(plain())
    use(model)
    for _ in range(2):
        before, functions = snapshot(model), [getattr(model, name) for name in COMPILED]
        restore(model)
        assert snapshot(model) == before
        assert [getattr(model, name) for name in COMPILED] == functions
        restore(optimize_for_training(model))
    with pytest.raises(ValueError, match="`model` must be a keras.Model; received Dense"):
        restore(layers.Dense(2))


def test_a_model_that_is_not_compiled_is_restored() -> None:
    model = plain()
    expected = model.predict(images(8, 8), verbose=0)
    restore(optimize_for_training(model))
    assert not replaced(model)
    np.testing.assert_array_equal(model.predict(images(8, 8), verbose=0), expected)


def test_an_optimized_copy_is_restored_too() -> None:
    """To the graph that it was made of, before layers were told how to compute."""
    model = plain()
    optimized = optimize_for_inference(model)
    assert bool(replaced(optimized)) == (BACKEND != "tensorflow")  # where all norms are gone
    outputs = optimized.predict(images(8, 8), verbose=0)
    restore(optimized)
    assert not replaced(optimized)
    graph = unoptimized(model)
    assert [type(layer) for layer in optimized.layers] == [type(layer) for layer in graph.layers]
    np.testing.assert_array_equal(run(optimized, images(8, 8)), run(graph, images(8, 8)))
    assert_close(optimized.predict(images(8, 8), verbose=0), outputs, 1e-5)
    if BACKEND == "torch":
        strides = [[each.value.stride() for each in one.variables] for one in (optimized, graph)]
        assert strides[0] == strides[1]


@one_backend
def test_an_unusual_layout_comes_back() -> None:
    """Not the one that Keras would choose."""
    model = plain()
    kernel = next(layer.kernel for layer in model.layers if getattr(layer, "kernel_size", None) == (3, 3))
    kernel.value.data = kernel.value.data.mT.contiguous().mT
    strides = kernel.value.stride()
    assert not kernel.value.is_contiguous()
    optimize_for_training(model)
    assert kernel.value.stride() != strides
    restore(model)
    assert kernel.value.stride() == strides


@one_backend
def test_the_state_of_inner_optimizers_is_laid_out_as_before() -> None:
    inner = compiled(plain())
    outer = keras.Sequential([keras.Input((8, 8, 3)), inner])
    strides = [each.value.stride() for each in (inner.optimizer.build(inner.variables), inner.optimizer)[1].variables]
    optimize_for_training(inner)
    assert [each.value.stride() for each in inner.optimizer.variables] != strides
    restore(outer)
    assert [each.value.stride() for each in inner.optimizer.variables] == strides


@pytest.mark.parametrize(("method", "when"), [("call", "before"), ("convolution_op", "before"), ("call", "after")])
def test_what_somebody_else_set_stays(method: str, when: str) -> None:
    """And is called, before and after."""
    model = compiled(plain())
    conv, seen = model.get_layer("conv"), []

    def own(*args: Any) -> Any:
        seen.append(args)
        return 2 * getattr(type(conv), method)(conv, *args)

    if when == "after":
        optimize_for_training(model)
    setattr(conv, method, own)
    expected = run(model, images(8, 8))
    if when == "before":
        optimize_for_training(model)
    for change in (optimize_for_training, restore, restore):
        seen.clear()
        change(model)
        assert vars(conv)[method] is own
        assert_close(run(model, images(8, 8)), expected, 1e-5)
        assert seen
    assert replaced(model) == {layers.Conv2D}
    assert {"call", "convolution_op"} & set(vars(conv)) == {method}


def changed(original: Callable[..., Any], how: str) -> Callable[..., Any]:
    """Twice what a method gives, as if another Keras had it: of one more parameter, or behind a decorator."""

    def twice(self: Any, *args: Any, **options: Any) -> Any:
        return 2 * original(self, *args, **options)

    if how == "decorated":
        return functools.wraps(original)(twice)
    signature = inspect.signature(original)
    parameters = [
        *signature.parameters.values(),
        inspect.Parameter("more", inspect.Parameter.KEYWORD_ONLY, default=None),
    ]
    vars(twice)["__signature__"] = signature.replace(parameters=sorted(parameters, key=lambda each: each.kind))
    return twice


@pytest.mark.parametrize("how", ["one more parameter", "decorated"])
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (layers.Conv2D, "call"),
        (layers.Conv2D, "convolution_op"),
        (layers.MaxPooling2D, "call"),
        (layers.BatchNormalization, "call"),
    ],
)
def test_layers_of_another_signature_are_left_alone(
    kind: type, method: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a newer Keras is slower, never wrong."""
    usual = run(plain(), images(8, 8))
    monkeypatch.setattr(kind, method, changed(getattr(kind, method), how))
    model = plain()
    expected = run(model, images(8, 8))
    assert np.abs(expected - usual).max() > 1e-2
    optimize_for_training(model)
    assert replaced(model) == set(REPLACED) - {kind}
    if BACKEND == "torch" and kind is layers.Conv2D:
        assert all(weight.value.is_contiguous() for weight in model.weights)
    assert_close(run(model, images(8, 8)), expected, 1e-5)
    optimized = optimize_for_inference(model)
    assert kind not in replaced(optimized)
    assert_close(run(optimized, images(8, 8)), run(unoptimized(model), images(8, 8)), 1e-5)


@one_backend
@pytest.mark.parametrize("how", ["one more parameter", "decorated"])
@pytest.mark.parametrize("kind", [layers.Dense, layers.GlobalAveragePooling2D, type(plain())])
def test_models_and_layers_of_another_signature_are_not_called_directly(
    kind: type, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "call" in vars(optimize_for_inference(plain()))
    monkeypatch.setattr(kind, "call", changed(kind.call, how))  # type: ignore[attr-defined]
    model = plain()
    expected = run(model, images(8, 8))
    optimized = optimize_for_inference(model)
    assert "call" not in vars(optimized)
    assert_close(run(optimized, images(8, 8)), expected, 1e-5)


def test_copies_and_files_know_nothing_of_it(tmp_path: Path) -> None:
    """And restoring one leaves the other as it is."""
    model = optimize_for_training(compiled(plain()))
    use(model)
    expected = run(model, images(8, 8))
    model.save(tmp_path / "net.keras")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    loaded = keras.models.load_model(tmp_path / "net.keras")
    for other in (clone, loaded, copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not replaced(other)
        assert not walking(other)
        assert_close(run(other, images(8, 8)), expected, 1e-5)
        restore(other)
    assert replaced(model) == set(REPLACED)
    restore(optimize_for_training(copy.deepcopy(model)))
    assert replaced(model) == set(REPLACED)


@pytest.mark.parametrize("change", [optimize_for_training, optimize_for_inference, lambda model: model])
def test_models_are_not_kept_alive(change: Callable[[keras.Model], keras.Model]) -> None:
    """By what is remembered of them."""
    model = change(plain())
    run(model, images(8, 8))
    references = [weakref.ref(each) for each in (model, model.layers[1])]
    del model
    gc.collect()
    assert [reference() for reference in references] == [None, None]
