"""Makes models fast on the backend that runs, for inference and for training; and takes back what that set."""

import keras

from keras_resnet.graph.data_format import to_data_format
from keras_resnet.graph.direct_calls import call_layers_directly
from keras_resnet.graph.fold import fold_batch_norm
from keras_resnet.graph.kernels import pack_kernels, unpack_kernels, use_fast_kernels
from keras_resnet.graph.replace_calls import restore_methods, retrace
from keras_resnet.models.inspection import models, walk_layers

__all__ = ["optimize_for_inference", "optimize_for_training", "restore"]


def optimize_for_inference(model: keras.Model) -> keras.Model:
    """Makes a model of the same inputs and outputs that is as quick as the backend can be.

    Example:

        model = keras_resnet.optimize_for_inference(keras_resnet.ResNet50(weights="imagenet"))
        scores = model.predict(images)

    Batch norms are folded, as by `fold_batch_norm`. On PyTorch feature maps are channels_first inside, which is how it
    computes, over views of channels_last memory, so that nothing is copied. In this process, or until `restore`, its
    layers then compute by the quickest operations of the backend: call this again on a model that was saved and loaded.

    Args:
        model: functional or Sequential. It and its weights stay as they are.

    Returns:
        A functional model of stock layers for inference, not compiled.

    Raises:
        ValueError: if the model has no graph.
    """
    source, model = model, fold_batch_norm(model)
    if keras.backend.backend() == "torch":
        model = to_data_format(model, "channels_first")
    use_fast_kernels(model, source)
    if keras.backend.backend() == "torch":
        call_layers_directly(model)
    return model


def optimize_for_training(model: keras.Model) -> keras.Model:
    """Changes a model until the process ends, or `restore(model)`: it trains as quickly as the backend can.

    Example:

        model = keras_resnet.ResNet50(weights=None, classes=10)
        model.compile("sgd", "sparse_categorical_crossentropy")
        keras_resnet.optimize_for_training(model)
        model.fit(images, labels)

    Its layers compute the same by quicker operations. The model, its weights and what is saved of it stay those of
    stock layers; what loads a file of it calls this again. On PyTorch convolutions and pools no longer copy maps
    between layouts, and each norm is one operation; on TensorFlow each norm is one operation; on JAX, on a CPU, 1x1
    convolutions are matrix products. A layer whose `call` has another signature than in the Keras that this was written
    for, or is somebody's own, stays as it is.

    Args:
        model: any that is built, changed in place: after `compile`, so that on PyTorch the optimizer's variables are
            laid out like the weights, and before `fit`.

    Returns:
        The model.

    Raises:
        ValueError: if the model is not built.
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            f"`model` must be a model that is built; received {type(model).__name__}. Call it on data, or give it an "
            "Input, first."
        )
    use_fast_kernels(model)
    if keras.backend.backend() == "torch" and model.compiled and model.optimizer:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        packed = {tuple(each.shape) for each in model.trainable_variables if not each.value.is_contiguous()}
        pack_kernels(each for each in model.optimizer.variables if tuple(each.shape) in packed)
    return model


def restore(model: keras.Model) -> keras.Model:
    """Takes back what `optimize_for_training` and `optimize_for_inference` set on a live model and on the models in it.

    Example:

        keras_resnet.optimize_for_training(model)
        model.fit(images, labels)
        keras_resnet.restore(model)

    Its layers compute as Keras lets them again, with the weights that they have by now; on PyTorch the weights and the
    optimizer's variables lie in memory as they did. A model that was not optimized stays as it is, and so does a `call`
    that somebody else set. What the model compiled to train and predict, it compiles anew; compile again by yourself
    what you did (`jax.jit`, `tf.function`, `torch.compile`), and restore the outermost of nested models.

    Args:
        model: changed in place. A model that `optimize_for_inference` made keeps its graph: folded, and on PyTorch
            channels_first inside.

    Returns:
        The model.

    Raises:
        ValueError: if it is no model.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a keras.Model; received {type(model).__name__}.")
    around = models(model).values()
    restored = [restore_methods(owner) for owner in (model, *walk_layers(model).values())]
    if keras.backend.backend() == "torch":
        for each in around:
            unpack_kernels([*each.variables, *getattr(getattr(each, "optimizer", None), "variables", ())])
    if any(restored):
        retrace(around)
    return model
