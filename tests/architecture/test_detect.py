"""A network's plan is read back from the layers of its model and from their configs."""

import dataclasses
import json
import math
from typing import Any

import pytest

import keras_resnet
from keras_resnet.architecture.detect import networks_of_config
from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.variant import Variant
from keras_resnet.models.inspection import find_network
from tests.helpers.kinds import COVER, KINDS

pytestmark = pytest.mark.one_backend


def without_channels(layout: Plan) -> Plan:
    """The plan as a config has it, in which no layer knows its channels in."""

    def bare(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: bare(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return type(value)(**fields | ({"inputs": 0} if "inputs" in fields else {}))
        return tuple(map(bare, value)) if isinstance(value, tuple) else value

    return bare(layout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "data_format"),
    [*((kind, "channels_last") for kind in KINDS), *((kind, "channels_first") for kind in COVER)],
)
def test_each_kind_has_the_weights_of_its_plan_which_is_read_back(kind: str, data_format: str) -> None:
    row = KINDS[kind]
    model = keras_resnet.ResNet(row, include_top=False, data_format=data_format)
    network, laid_out = find_network(model, None), plan(row)
    assert network.plan == laid_out
    assert network.epsilon == row.lineage.epsilon
    assert [norm.name for norm in laid_out.norms()] == [
        name for norm in laid_out.norms() for name in network.layers if name == norm.name
    ]
    (read,) = networks_of_config(json.loads(model.to_json()), translate=lambda layers: layers).values()
    assert without_channels(read.plan) == without_channels(laid_out)
    assert read.styles == network.styles
    if row.lineage.style != "own":
        assert row.lineage.style in network.styles
    assert model.count_params() == laid_out.parameters(None)
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert trainable == laid_out.parameters(None, trainable=True)


@pytest.mark.parametrize("style", ["bit", "senet", "senet_1x1"])
def test_styles_of_other_kinds_tell_them_from_plain_ones(style: str) -> None:
    rows: dict[str, Variant] = {
        "bit": KINDS["BiT"],
        "senet": KINDS["legacy senet"],
        "senet_1x1": KINDS["legacy SE"],
    }
    assert find_network(keras_resnet.ResNet(rows[style], include_top=False), None).styles == (style,)


@pytest.mark.parametrize("side", [64, 65, 70])
def test_the_sizes_of_maps_are_those_of_the_layers(side: int) -> None:
    for row in KINDS.values():
        if side == 64 and row.antialias != "avg":  # which has no odd maps
            continue
        laid_out = plan(row)
        try:
            sizes = list(laid_out.sizes(side))
        except ValueError:
            assert (row.antialias, side % 32) != ("avg", 0)
            assert row.antialias == "avg"  # of which the branches differ at odd maps
            continue
        model = keras_resnet.ResNet(row, include_top=False, input_shape=(side, 64, 3))
        for conv, rows in sizes:
            assert model.get_layer(f"{conv.name}_conv").output.shape[1] == rows
        assert model.output_shape[1] == sizes[-1][1]


def test_networks_of_a_kind_have_one_config() -> None:
    """Also where an operation is no layer, which Keras would number."""
    for row in COVER.values():
        first, second = (keras_resnet.ResNet(row, input_shape=(32, 32, 3)).get_config() for _ in range(2))
        assert str(first).replace(first["layers"][0]["name"], "image") == str(second).replace(
            second["layers"][0]["name"], "image"
        )
