"""Names of the wider family on the command line: any row, in any case; sizes and misspellings that are refused."""

import pytest

from keras_resnet import cli
from keras_resnet.architecture.rows import NETWORKS, find_row
from keras_resnet.cli.arguments import check_image_size

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_is_listed_in_any_case(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", name.upper()]) == 0
    assert capsys.readouterr()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("resnet51d", "resnet50d"), ("seresnext5O_32x4d", "seresnext50_32x4d"), ("ResNext5", "ResNeXt50")],
)
def test_a_misspelled_name_gets_three_others_at_most(typed: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"Did you mean .*'{meant}'") as refusal:
        find_row(typed)
    assert len(str(refusal.value)) < 300


def test_a_size_that_an_anti_aliased_network_has_no_output_for_is_refused_before_anything_is_read() -> None:
    check_image_size("ResNetAA50", 96)
    with pytest.raises(ValueError, match="`--image-size`: resnetaa50 .* images of 70 pixels.* fit 66 and 95"):
        check_image_size("ResNetAA50", 70)
