"""Callback that measures several labels an image after each epoch: loss and mean average precision."""

from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures
from keras_resnet.models.outputs import probabilities
from keras_resnet.training.distribution import alone, here
from keras_resnet.training.evaluation import LabelsEvaluation


class Validation(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `val_loss` and `val_mean_average_precision` to the logs of an epoch, from one pass over the images.

    Keras has no metric that is the average precision; this takes the place of `validation_data`.

    Args:
        data: images of several labels, in a fixed order.
    """

    def __init__(self, data: Pictures) -> None:
        super().__init__()
        self.data = data
        self._copy: keras.Model | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures."""
        with alone():
            scores = np.asarray(self._predicting().predict(self.data.with_(), verbose=0), "float32")
        measured = LabelsEvaluation(
            self.data.class_names, self.data.labels, probabilities(self.model, scores, several=True)
        )
        loss = keras.ops.convert_to_numpy(self.model.compute_loss(y=self.data.labels, y_pred=scores, training=False))
        if logs is not None:
            logs["val_loss"] = float(loss)
            logs["val_mean_average_precision"] = measured.mean_average_precision()

    def _predicting(self) -> keras.Model:
        """The model, or a copy of this process's own: JAX predicts by none whose weights lie in several processes."""
        if keras.backend.backend() != "jax" or here().processes == 1:
            return self.model
        if self._copy is None:
            self._copy = keras.models.model_from_json(self.model.to_json())
        self._copy.set_weights(self.model.get_weights())
        return self._copy
