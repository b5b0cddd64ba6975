"""Makes models fast on the backend that runs, for inference and for training; and takes back what that set."""

import keras

from keras_resnet.graph.data_format import to_data_format
from keras_resnet.graph.direct_calls import call_layers_directly
from keras_resnet.graph.fold import fold_batch_norm
from keras_resnet.graph.kernels import pack_kernels, unpack_kernels, use_fast_kernels
from keras_resnet.graph.replace_calls import restore_methods, retrace
from keras_resnet.graph.training_calls import walk_graphs
from keras_resnet.graph.training_step import quicken_step
from keras_resnet.models.inspection import models, walk_layers

__all__ = ["optimize_for_inference", "optimize_for_training", "restore"]


def optimize_for_inference(model: keras.Model) -> keras.Model:
    """Returns a faster model for inference, with the same inputs and outputs.

    Example:

        fast = keras_resnet.optimize_for_inference(model)
        scores = fast.predict(images)

    Batch norms are folded into convolutions, as by `fold_batch_norm`. On PyTorch, feature maps inside the model are
    channels_first, as PyTorch computes them, in channels_last memory, so that nothing is copied. The layers then use
    the fastest operations of the backend: on PyTorch on a CPU, oneDNN's for a convolution with its bias, sum and ReLU;
    on JAX on a CPU, matrix products for 1x1 convolutions and Winograd's algorithm for 3x3 ones, whose rounding differs
    by less than 1e-5 of the largest output. A saved file does not keep these operations: call this function again after
    loading it. `restore` takes them back.

    Two things differ on JAX on a CPU. A number that is not finite, or far larger than the rest of a map, reaches a
    whole tile of 4x4 pixels, not its 3x3 neighbours alone: near a huge number, small ones are less exact. Where several
    numbers of a max pool's window are largest, its gradient is divided among them, while Keras gives it to one.

    On PyTorch on a CPU, a NaN in an image or a weight comes out as it should; one that only arises inside, where
    numbers pass 3e38, may come out as 0.

    Weights may be changed afterwards. On PyTorch, oneDNN keeps a copy of each kernel in an order of its own, which
    follows every change that PyTorch counts; a write through `tensor.data` or NumPy is not counted: call this function
    again after one.

    Args:
        model: a functional or Sequential model. It and its weights do not change.

    Returns:
        A functional model of stock layers for inference, not compiled.

    Raises:
        ValueError: if the model is not functional or Sequential.
    """
    source, model = model, fold_batch_norm(model)
    if keras.backend.backend() == "torch":
        model = to_data_format(model, "channels_first")
    use_fast_kernels(model, source)
    if keras.backend.backend() == "torch":
        call_layers_directly(model)
    return model


def optimize_for_training(model: keras.Model) -> keras.Model:
    """Makes a model train faster, in place, until `restore(model)` or the end of the process.

    Example:

        model.compile("sgd", "sparse_categorical_crossentropy")
        keras_resnet.optimize_for_training(model)
        model.fit(images, labels)

    The layers compute the same with faster operations. The model, its weights and its saved files remain those of stock
    layers, so call this function again after loading a file. On PyTorch, convolutions and pools no longer copy maps
    between memory layouts, each batch norm is one operation, and the model calls what its layers compute without the
    work that Keras does around each call, where that changes nothing. On TensorFlow, each batch norm is one operation.
    On JAX on a CPU, 1x1 convolutions are matrix products, and 3x3 ones are computed by Winograd's algorithm. Layers of
    your own classes do not change, nor do layers whose `call` has an unknown signature in the installed Keras.

    Args:
        model: any built model. Call this function after `compile`, so that on PyTorch the optimizer's variables get the
            memory layout of the weights, and before `fit`.

    Returns:
        The model.

    Raises:
        ValueError: if the model is not built.
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            f"`model` must be a built keras.Model; received {type(model).__name__}. A model is built by calling it on "
            "data, or with a keras.Input."
        )
    use_fast_kernels(model)
    if keras.backend.backend() == "torch":
        if walk_graphs(model):
            retrace(models(model).values())
        quicken_step(model)
    if keras.backend.backend() == "torch" and model.compiled and model.optimizer:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        packed = {tuple(each.shape) for each in model.trainable_variables if not each.value.is_contiguous()}
        pack_kernels(each for each in model.optimizer.variables if tuple(each.shape) in packed)
    return model


def restore(model: keras.Model) -> keras.Model:
    """Undoes `optimize_for_training` and the faster operations of `optimize_for_inference` on a model, in place.

    Example:

        keras_resnet.optimize_for_training(model)
        model.fit(images, labels)
        keras_resnet.restore(model)

    The layers compute as in stock Keras again and keep their current weights. On PyTorch, the weights and the
    optimizer's variables get back their memory layout. A model that was not optimized does not change, nor does a
    `call` that other code has replaced. Keras compiles its functions to train and predict again. Functions that you
    compiled yourself (`jax.jit`, `tf.function`, `torch.compile`) must be compiled again by you. Of nested models, pass
    the outermost one.

    Args:
        model: the model. One that `optimize_for_inference` returned keeps its graph: batch norms stay folded, and on
            PyTorch feature maps stay channels_first.

    Returns:
        The model.

    Raises:
        ValueError: if it is not a `keras.Model`.
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
