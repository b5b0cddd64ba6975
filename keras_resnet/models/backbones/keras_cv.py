"""A network as a backbone of keras_cv's tasks. Importing this module lets a saved task load."""

from typing import Any

import keras
import keras_cv


@keras.saving.register_keras_serializable("keras_resnet", "CVBackbone")
class Backbone(keras_cv.models.Backbone):  # type: ignore[misc]
    """A network without classifier, as the tasks of KerasCV take it; `keras_resnet.backbone` makes it.

    Example:

        import keras_cv

        net = keras_resnet.ResNet18(include_top=False, weights=None)
        backbone = keras_resnet.backbone(net, "keras_cv")
        sorted(backbone.pyramid_level_inputs)  # ["P2", "P3", "P4", "P5"]

    Args:
        network: a functional model that ends in its last feature map.
        levels: by level, such as "P3", the name of the layer whose output it is.
        **kwargs: those of a `keras.Model`, such as `name`.
    """

    def __init__(self, network: keras.Model, levels: dict[str, str], **kwargs: Any) -> None:
        super().__init__(inputs=network.input, outputs=network.output, **kwargs)
        self.pyramid_level_inputs = levels

    def get_config(self) -> dict[str, Any]:
        """Returns the network and its levels, beside what the base class does."""
        network = keras.Model(self.input, self.output, name=self.name)
        config: dict[str, Any] = super().get_config()
        levels = dict(self.pyramid_level_inputs)
        return config | {"network": keras.saving.serialize_keras_object(network), "levels": levels}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Backbone":
        """Builds the backbone from what `get_config` returned."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return super().from_config(config | {"network": network})  # type: ignore[no-any-return]
