"""Which library runs a file: the one whose names it has, if it makes the network."""

import pytest

from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.checkpoints.families.family import Family
from keras_resnet.checkpoints.families.huggingface import HUGGINGFACE
from keras_resnet.checkpoints.families.timm import TIMM, TIMM_V2
from keras_resnet.checkpoints.families.torchvision import TORCHVISION
from keras_resnet.export.peers import peer


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("family", "network", "libraries"),
    [
        (TORCHVISION, "resnet50", ("torchvision", "timm")),
        (TORCHVISION, "resnext50_32x4d", ("torchvision", "timm")),
        (TORCHVISION, "wide_resnet101_2", ("torchvision", "timm")),
        (TORCHVISION, "resnext101_32x16d", ("timm",)),
        (TORCHVISION, "resnext101_32x48d", ()),
        (TORCHVISION, "resnet50w2", ()),
        (TORCHVISION, "resnet20", ()),
        (TIMM, "resnet50d", ("timm",)),
        (TIMM, "seresnextaa101d_32x8d", ("timm",)),
        (TIMM_V2, "resnetv2_50d_gn", ("timm",)),
        (TIMM_V2, "resnet200v2", ()),
        (HUGGINGFACE, "resnet50", ("transformers",)),
        (HUGGINGFACE, "resnet50d", ()),
    ],
)
def test_a_file_is_run_by_the_libraries_that_make_its_network(
    family: Family, network: str, libraries: tuple[str, ...]
) -> None:
    assert peer(family, NETWORKS[network])[1] == libraries
