"""Models made quick on the backend that runs: for inference, and for training."""

import keras

from keras_resnet.graph.data_format import relaid
from keras_resnet.graph.direct_calls import step_directly
from keras_resnet.graph.fold import fold_batch_norm
from keras_resnet.graph.kernels import pack, quicken

__all__ = ["optimize_for_inference", "optimize_for_training"]


def optimize_for_inference(model: keras.Model) -> keras.Model:
    """Makes a model of the same inputs and outputs that is as quick as the backend can be.

    Example:

        model = keras_resnet.optimize_for_inference(keras_resnet.ResNet50(weights="imagenet"))
        scores = model.predict(images)

    Batch norms are folded, as by `fold_batch_norm`. On PyTorch feature maps are channels_first inside, which is how it
    computes, over views of channels_last memory, so that nothing is copied. In this process, layers then compute by the
    quickest operations of the backend: call this again on a model that was saved and loaded.

    Args:
        model: functional or Sequential. It and its weights stay as they are.

    Returns:
        A functional model of stock layers for inference, not compiled.

    Raises:
        ValueError: if the model has no graph.
    """
    model = fold_batch_norm(model)
    if keras.backend.backend() == "torch":
        model = relaid(model, "channels_first")
    quicken(model)
    if keras.backend.backend() == "torch":
        step_directly(model)
    return model


def optimize_for_training(model: keras.Model) -> keras.Model:
    """Lets a model train as quickly as the backend can: layers compute the same by quicker operations.

    Example:

        model = keras_resnet.ResNet50(weights=None, classes=10)
        model.compile("sgd", "sparse_categorical_crossentropy")
        keras_resnet.optimize_for_training(model)
        model.fit(images, labels)

    The model, its weights and what is saved of it stay those of stock layers; what loads a file of it calls this again.
    On PyTorch convolutions and pools no longer copy maps between layouts, and each norm is one operation; on TensorFlow
    each norm is one operation; on JAX, on a CPU, 1x1 convolutions are matrix products.

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
    quicken(model)
    if keras.backend.backend() == "torch" and model.compiled and model.optimizer:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        packed = {tuple(each.shape) for each in model.trainable_variables if not each.value.is_contiguous()}
        pack(each for each in model.optimizer.variables if tuple(each.shape) in packed)
    return model
