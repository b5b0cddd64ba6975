"""A model's training step on PyTorch, as Keras' own computes it, that looks through the layers once and not often."""

from typing import Any

import keras

from keras_resnet.graph.replace_calls import replace_method

_STEP = {"train_step": "(self, data)", "zero_grad": "(self, set_to_none: bool = True) -> None"}
_LOOKED_AT = ("_compute_loss", "_call_has_training_arg")  # Keras' own names; where a Keras has others, nothing changes
_BUILD = {"_post_build": "(self)", "_track_variables": "(self)"}


def quicken_step(model: keras.Model) -> None:
    """Lets a model train by the quick step, if its own is that of Keras."""
    import torch

    kind = type(model)
    stock = kind.train_step is keras.Model.train_step and kind.zero_grad is torch.nn.Module.zero_grad
    if stock and all(hasattr(model, name) for name in _LOOKED_AT):
        replace_method(model, "train_step", _train_step, _STEP)
        replace_method(model, "_post_build", _post_build, _BUILD)


def _train_step(model: keras.Model, data: Any) -> Any:
    """Trains on a batch and returns the metrics."""
    import torch

    weights = model.trainable_weights
    usual = weights and model.optimizer is not None and model._call_has_training_arg and "zero_grad" not in vars(model)
    usual = usual and hasattr(model, "_loss_tracker")
    if not usual or torch.compiler.is_compiling():
        return type(model).train_step(model, data)
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    y_pred = model(x, training=True)
    _forget_gradients(model)
    loss = model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
    size = next(each.shape[0] for each in keras.tree.flatten(x) if each is not None)
    model._loss_tracker.update_state(loss, sample_weight=size)
    model.optimizer.scale_loss(loss).backward()
    with torch.no_grad():
        model.optimizer.apply([vars(weight)["_value"].grad for weight in weights], weights)
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _forget_gradients(model: Any) -> None:
    """Sets the gradients of all parameters, at any depth, to None."""
    if "_torch_params" not in vars(model)["_modules"]:
        model.zero_grad()
        return
    waiting, seen = [model], set()
    while waiting:
        module = vars(waiting.pop())
        if id(module) in seen:
            continue
        seen.add(id(module))
        for parameter in module["_parameters"].values():
            if parameter is not None:
                parameter.grad = None
        waiting.extend(each for each in module["_modules"].values() if each is not None)


def _post_build(model: Any) -> None:
    """Tells PyTorch of the variables, where it does not know them yet."""
    known = vars(model)["_modules"].get("_torch_params")
    if known is not None:
        found = {variable.path: vars(variable)["_value"] for variable in model.variables}
        parameters = vars(known)["_parameters"]
        if len(found) == len(parameters) and all(found.get(path) is each for path, each in parameters.items()):
            return
    type(model)._post_build(model)
