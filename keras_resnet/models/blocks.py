"""Stem, residual units of v1 and v2, and the body of a network, as Keras layers on tensors."""

from collections.abc import Sequence
from itertools import count

from keras_resnet.architecture.plans import Conv, Plan, Unit
from keras_resnet.models.arguments import Tensor
from keras_resnet.models.layers import Kit


def unit_v1(x: Tensor, unit: Unit, kit: Kit) -> Tensor:
    """relu(F(x) + shortcut(x)); F repeats conv, norm, relu, and leaves out the last relu."""
    skip = kit.shortcut(x, unit)
    for conv in unit.convs:
        last = conv is unit.convs[-1]
        x = kit.norm(kit.conv(x, conv), conv.name, ends_residual=last)
        if not last:
            x = kit.antialias(kit.relu(x, f"{conv.name}_relu"), conv)
    return kit.relu(kit.add(skip, kit.attend(x, unit), unit, f"{unit.name}_add"), f"{unit.name}_out")


def unit_v2(x: Tensor, unit: Unit, kit: Kit) -> Tensor:
    """F(x) + shortcut(x); F repeats norm, relu, conv; a projection reads the first relu."""
    skip, name = x, f"{unit.name}_preact"
    for conv in unit.convs:
        x = kit.relu(kit.norm(x, name), f"{name}_relu")
        if conv is unit.convs[0]:
            skip = kit.shortcut(x if unit.reads_activation else skip, unit)
        x, name = kit.conv(x, conv, ends_residual=conv is unit.convs[-1]), conv.name
    return kit.add(skip, kit.attend(x, unit), unit, f"{unit.name}_out")


UNITS = {1: unit_v1, 2: unit_v2}


def stem(x: Tensor, convs: Sequence[Conv], kit: Kit) -> Tensor:
    """The stem without its pool: convolutions with norm and activation; in most v2 networks the last has neither."""
    for conv in convs:
        x = kit.conv(x, conv)
        if kit.lineage.version == 1 or kit.lineage.data_norm or conv is not convs[-1]:
            x = kit.relu(kit.norm(x, conv.name), f"{conv.name}_relu")
    return x


def final_norm(x: Tensor, kit: Kit) -> Tensor:
    """In v2 the last norm and activation."""
    return x if kit.lineage.version == 1 else kit.relu(kit.norm(x, "post"), "post_relu")


def body(x: Tensor, plan: Plan, kit: Kit) -> Tensor:
    """Stem, units and end."""
    if plan.data_norm:
        x = kit.data_norm(x)
    x = stem(x, plan.stem, kit)
    if plan.pool:
        x = kit.stem_pool(x, plan.pool)
    number = count(1)
    for stage, units in enumerate(plan.stages):
        for unit in units:
            x = UNITS[plan.version](x, unit, kit.at_depth(next(number) / len(plan.units), stage))
    return final_norm(x, kit)
