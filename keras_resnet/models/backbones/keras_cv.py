"""A network as a backbone of keras_cv's tasks. Importing this module lets a saved task load."""

from typing import Any

import keras
import keras_cv


@keras.saving.register_keras_serializable("keras_resnet", "CVBackbone")
class Backbone(keras_cv.models.Backbone):  # type: ignore[misc]
    """A network that ends in its last feature map; `levels` names the layers of its pyramid."""

    def __init__(self, network: keras.Model, levels: dict[str, str], **kwargs: Any) -> None:
        super().__init__(inputs=network.input, outputs=network.output, **kwargs)
        self.pyramid_level_inputs = levels

    def get_config(self) -> dict[str, Any]:
        """The network and its levels, beside what the base class says."""
        network = keras.Model(self.input, self.output, name=self.name)
        config: dict[str, Any] = super().get_config()
        levels = dict(self.pyramid_level_inputs)
        return config | {"network": keras.saving.serialize_keras_object(network), "levels": levels}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Backbone":
        """Builds the network again."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return super().from_config(config | {"network": network})  # type: ignore[no-any-return]
