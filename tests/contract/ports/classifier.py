"""Fine-tunes a classifier: restore all but the logits, train these alone or everything.

The lines that changed say what they were. What TF1 spelled out, sessions and training loops, is `compile` and `fit`.
"""

from typing import Any

import keras

import keras_resnet
from keras_resnet.models.slim.functions import resnet_v1  # from nets import resnet_v1


class Classifier:
    """A network of a few classes that begins with somebody's weights."""

    def __init__(self, num_classes: int, is_training: bool, weight_decay: float = 1e-4, width: float = 1) -> None:
        self.num_classes, self.is_training = num_classes, is_training
        self.weight_decay, self.width = weight_decay, width

    def network(self, images: Any) -> tuple[Any, Any]:
        """Logits, and the features in front of them."""
        # with slim.arg_scope(resnet_v1.resnet_arg_scope(weight_decay=self.weight_decay)):
        logits, end_points = resnet_v1.resnet_v1_50(  # type: ignore[attr-defined]
            images,
            self.num_classes,
            is_training=self.is_training,
            depth_multiplier=self.width,
            min_base_depth=1,
            weight_decay=self.weight_decay,
        )
        return logits, end_points["global_pool"]

    def build(self, size: int, checkpoint: Any) -> keras.Model:
        """A model whose weights, but for the logits', are restored."""
        images = keras.Input((size, size, 3))
        model = keras.Model(images, self.network(images)[0])
        # slim.assign_from_checkpoint_fn(checkpoint, slim.get_variables_to_restore(exclude=["resnet_v1_50/logits"])),
        # where the file's classes are others
        keras_resnet.load_weights(model, checkpoint, allow_missing=["predictions"])
        return model

    def train(self, model: keras.Model, images: Any, labels: Any, epochs: int, logits_only: bool) -> list[float]:
        """The loss of each epoch."""
        for layer in model.layers:  # trainable_scopes; is_training=False has frozen the norms
            if not isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = layer.name == "predictions" or not logits_only
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss)
        history = model.fit(images, labels, batch_size=8, epochs=epochs, verbose=0)
        return [float(value) for value in history.history["loss"]]
