"""A network as a backbone of keras_hub's tasks. Importing this module lets a saved task load."""

from typing import Any

import keras
import keras_hub


@keras.saving.register_keras_serializable("keras_resnet", "HubBackbone")
class Backbone(keras_hub.models.FeaturePyramidBackbone):  # type: ignore[misc]
    """A network without classifier, as the tasks of KerasHub take it; `keras_resnet.backbone` makes it.

    Example:

        import keras_hub

        net = keras_resnet.ResNet18(include_top=False, weights=None)
        backbone = keras_resnet.backbone(net, "keras_hub")
        sorted(backbone.pyramid_outputs)  # ["P2", "P3", "P4", "P5"]

    Args:
        network: a functional model that ends in its last feature map.
        levels: by level, such as "P3", the name of the layer whose output it is.
        **kwargs: those of a `keras.Model`, such as `name`.
    """

    def __init__(self, network: keras.Model, levels: dict[str, str], **kwargs: Any) -> None:
        super().__init__(inputs=network.input, outputs=network.output, **kwargs)
        self.pyramid_outputs = {level: network.get_layer(name).output for level, name in levels.items()}
        self.image_shape = tuple(network.inputs[0].shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Returns the network and its levels, beside what the base class does."""
        network = keras.Model(self.input, self.output, name=self.name)
        names = {id(layer.output): layer.name for layer in network.layers}
        levels = {level: names.get(id(map_)) for level, map_ in self.pyramid_outputs.items()}
        if None in levels.values():
            raise ValueError(
                "`pyramid_outputs` must hold outputs of the network's own layers; received "
                f"{sorted(level for level, name in levels.items() if name is None)} from other layers."
            )
        config: dict[str, Any] = super().get_config()
        return config | {"network": keras.saving.serialize_keras_object(network), "levels": levels}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Backbone":
        """Builds the backbone from what `get_config` returned."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return super().from_config(config | {"network": network})  # type: ignore[no-any-return]
