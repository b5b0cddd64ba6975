"""The command `list`: patterns, filters, order, JSON, and tables that fit the terminal without a broken word."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from keras_resnet import cli
from keras_resnet.architecture.rows import NETWORKS
from keras_resnet.checkpoints.catalogue import list_weights, same_weights
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.published.old_names import OLD_NAMES
from keras_resnet.cli.arguments import percent, quantity
from keras_resnet.cli.list_options import FAMILIES, STYLES
from keras_resnet.cli.parser import parser
from keras_resnet.cli.table import line_width

pytestmark = pytest.mark.one_backend

ROWS = list_weights()
SAME = same_weights()
WIDTHS = (80, 100, 120, 160, 240)
Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Lists weights, in lines of so many columns, if that is said; returns the status and both streams."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*arguments: str, width: int | None = None) -> tuple[int, str, str]:
        if width:
            monkeypatch.setenv("COLUMNS", str(width))
        status = cli.main(("list", *arguments))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def keys(said: Said) -> Callable[..., list[str]]:
    """The keys of the weights that are listed."""

    def run(*arguments: str) -> list[str]:
        status, out, err = said(*arguments, "--json")
        assert (status, err) == (0, "")
        return [row["key"] for row in json.loads(out)]

    return run


def blocks(out: str) -> dict[str, list[str]]:
    """The lines of each key of a table: its own, and those below it."""
    found: dict[str, list[str]] = {}
    for line in out.partition("\n---")[2].partition("\n\n")[0].splitlines()[1:]:
        if not line.startswith(" "):
            found[line.split()[0]] = []
        found[list(found)[-1]].append(line)
    return found


def facts(row: Checkpoint) -> list[str]:
    """What a table has to say of weights, but for the key, in its order."""
    sizes = ((row.image_size, row.top1), (row.test_image_size, row.test_top1))
    size = "" if row.file_size is None else f"{row.file_size:.0f} MiB"
    words = [f"{row.parameters / 1e6:.1f}M", size]
    words += [f"{side}: {top1:.1f}%" if top1 else str(side) for side, top1 in sizes if side]
    return [*filter(None, words), str(row.classes or "none")]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_every_fact_of_every_key_is_whole(width: int, said: Said) -> None:
    status, out, err = said(width=width)
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= width
    found = blocks(out)
    assert list(found) == list(ROWS)
    for key, row in ROWS.items():
        lines = [line for line in found[key] if not line.startswith("  = ")]
        words = " ".join(" ".join(lines).split())
        family = f" {row.family}" if width >= 160 else ""
        mark = " *" if row.default else ""
        network = f" {row.network} {row.style}" if width >= 240 else ""
        said_of_it = f"{key}{mark}{family}{network} {' '.join(facts(row))} {row.licence}".rstrip()
        assert words == said_of_it


@pytest.mark.parametrize("width", [80, 160, None])
def test_columns_stand_below_each_other(width: int | None, said: Said) -> None:
    out = said("--family", "torchvision", width=width)[1].partition("\n\n")[0]
    percents = {found.end() for line in out.splitlines() for found in re.finditer(r"\d\.\d%", line)}
    sizes = {line.index(" MiB") for line in out.splitlines() if "MiB" in line}
    assert (len(percents), len(sizes)) == (1, 1)


def test_a_line_is_a_key_where_nothing_limits_its_width(said: Said) -> None:
    out = said()[1]
    twins = sum(map(len, SAME.values()))
    assert len(out.partition("\n\n")[0].splitlines()) == 2 + len(ROWS) + twins
    (line,) = (line for line in out.splitlines() if line.startswith("moco/resnet50.v1_200ep "))
    assert line.endswith("cc-by-nc-4.0 (README), mit (LICENSE)")
    assert " moco " in line


@pytest.mark.parametrize("width", [80, 160, None])
def test_each_key_of_the_same_weights_is_named_below(width: int | None, said: Said) -> None:
    for key, lines in blocks(said(width=width)[1]).items():
        assert tuple(line.removeprefix("  = ") for line in lines if "  = " in line) == SAME[key]
    assert "=: the same weights under another key." in " ".join(said(width=width)[1].split())
    assert "=:" not in said("--family", "slim", width=width)[1]


def test_keys_that_are_not_listed_are_named_too(said: Said) -> None:
    out = said("--family", "microsoft")[1]
    assert "\n  = torchvision/resnet18.v1\n" in out
    assert list(blocks(out)) == [key for key, row in ROWS.items() if row.family == "microsoft"]


def test_the_end_counts_weights_and_those_that_nothing_proves(said: Said) -> None:
    unproven = sum(not row.digest for row in ROWS.values())
    end = said()[1].partition("\n\n")[2]
    assert f"{len(ROWS)} of {len(ROWS)} weights, {unproven} without a published hash: only format and length" in end
    assert "*: the meaning of weights='imagenet'" in end
    slim = said("--family", "slim")[1].partition("\n\n")[2]
    assert slim.startswith(f"6 of {len(ROWS)} weights, 6 without a published hash")
    assert f"\n\n4 of {len(ROWS)} weights.\n" in said("keras/resnet50")[1]


@pytest.mark.parametrize("columns", ["0", "wide", "", "9"])
def test_whatever_columns_says_the_keys_are_printed(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.main(["list", "resnet18d"]) == 0
    out = capsys.readouterr().out
    assert all(key in out for key in ("timm/resnet18d.ra2_in1k", "timm/resnet18d.ra4_e3600_r224_in1k"))


def test_columns_of_the_environment_come_before_the_terminals_and_a_pipe_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert line_width() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: argparse.Namespace(columns=133))
    assert line_width() == 133
    for text, columns in (("90", 90), ("", 133), ("0", 133), ("wide", 133), ("\N{SUPERSCRIPT TWO}", 133)):
        monkeypatch.setenv("COLUMNS", text)
        assert line_width() == columns


def test_json_has_each_field_the_parameters_and_the_keys_of_the_same_weights(said: Said) -> None:
    status, out, err = said("--json", width=80)
    assert (status, err) == (0, "")
    rows = {row["key"]: row for row in json.loads(out)}
    assert list(rows) == list(ROWS)
    for key, row in ROWS.items():
        more = {"parameters": row.parameters, "best_top1": row.best_top1, "same_weights": list(SAME[key])}
        assert rows[key] == asdict(row) | more
    assert rows["keras_hub/resnet_18_imagenet"]["handle"]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (
            "ResNet50V2",
            lambda row: row.network == "ResNet50V2" or row.key.startswith("classification_models/resnet50v2"),
        ),
        ("RESNETV2_50", lambda row: row.network == "ResNet50V2"),
        ("resnet50d", lambda row: row.network == "resnet50d"),
        ("seresnet50", lambda row: re.search(r"/seresnet50(\.|$)", row.key)),
        ("resnet-rs-50", lambda row: row.network == "ResNetRS50" and row.family == "keras"),
        ("SWSL", lambda row: "swsl" in row.key),
        ("torchvision/", lambda row: row.family == "torchvision"),
        ("timm/resnet50.a1_in1k", lambda row: row.key == "timm/resnet50.a1_in1k"),
        ("*swsl*", lambda row: "swsl" in row.key),
        ("resnet50.A?_in1k", lambda row: re.search(r"/resnet50\.a._in1k$", row.key)),
        ("timm/resnet18.*", lambda row: row.key.startswith("timm/resnet18.")),
        ("bit/BiT-[SM]-R50x1", lambda row: row.key in ("bit/BiT-S-R50x1", "bit/BiT-M-R50x1")),
    ],
)
def test_a_network_a_part_or_a_pattern_is_found(
    pattern: str, fits: Callable[[Checkpoint], bool], keys: Callable[..., list[str]]
) -> None:
    expected = [key for key, row in ROWS.items() if fits(row)]
    assert 0 < len(expected) < len(ROWS)
    assert keys(pattern) == expected


def test_a_name_lists_what_other_libraries_call_so(keys: Callable[..., list[str]]) -> None:
    found = keys("ResNet50")
    assert {"classification_models/resnet50", "keras_hub/resnet_50_imagenet", "dino/resnet50"} <= set(found)
    assert not any("resnet50d" in key or "seresnet" in key for key in found)


def test_an_older_or_another_librarys_name_gets_the_key_that_it_means(said: Said) -> None:
    for name, key in OLD_NAMES.items():
        status, out, err = said(name)
        if name in NETWORKS:  # a network's name, whose weights are shown
            assert (status, err) == (0, "")
            assert key in blocks(out)
            continue
        assert (status, out) == (1, "")
        assert f"Did you mean '{key}'?" in err, name
    for name, key in (
        ("ResNet50_Weights.IMAGENET1K_V2", "torchvision/resnet50.v2"),
        ("timm/gluon_resnet50_v1d", "timm/resnet50d.gluon_in1k"),
        ("*tv_resnet50*", "timm/resnet50.tv_in1k"),
    ):
        assert f"Did you mean '{key}'?" in said(name)[2]


def test_what_is_no_name_and_fits_no_key_is_refused_with_what_is_near(said: Said) -> None:
    status, out, err = said("ResNet51")
    assert (status, out) == (1, "")
    assert re.search("`PATTERN` must be the name of a network.* Did you mean .*'ResNet50'.*No key", err)
    assert "pruned" in said("ecaresnet50d_pruned.miil_in1k")[2]
    status, out, err = said("*nothing*")
    assert (status, out) == (1, "")
    assert "have a key that fits '*nothing*'." in err


@pytest.mark.parametrize(
    ("typed", "passes"),
    [
        ("--family swav", lambda row: row.family == "swav"),
        ("--style bit", lambda row: row.style == "bit"),
        ("--licence none", lambda row: not row.licence),
        ("--licence MIT", lambda row: row.licence == "mit"),
        ("--licence cc-by-nc-4.0", lambda row: "cc-by-nc-4.0" in row.licence),
        ("--min-top1 80", lambda row: max(row.top1 or 0, row.test_top1 or 0) >= 80),
        ("--max-parameters 25.6M", lambda row: row.parameters <= 25_600_000),
        ("--max-parameters 25557032", lambda row: row.parameters <= 25_557_032),
        ("a1_in1k --min-top1 81.24", lambda row: "a1_in1k" in row.key and (row.test_top1 or 0) >= 81.24),
        (
            "ResNet50 --licence apache-2.0 --min-top1 81 --max-parameters 30M --family timm --style torch",
            lambda row: row.network == "ResNet50" and row.licence == "apache-2.0" and (row.test_top1 or 0) >= 81,
        ),
    ],
)
def test_a_filter_leaves_what_it_says(
    typed: str, passes: Callable[[Checkpoint], bool], keys: Callable[..., list[str]]
) -> None:
    expected = [key for key, row in ROWS.items() if passes(row)]
    assert 0 < len(expected) < len(ROWS)
    assert keys(*typed.split()) == expected


def test_no_trainable_parameter_more_than_asked_for_is_listed(keys: Callable[..., list[str]]) -> None:
    assert "torchvision/resnet50.v1" in keys("--max-parameters", "25557032")
    assert "torchvision/resnet50.v1" not in keys("--max-parameters", "25557031")


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("ResNet20", " for ResNet20"),
        ("resnet20 --style torch", " for ResNet20 with --style torch"),
        ("swsl --family bit", " for 'swsl' with --family bit"),
        ("--licence none --min-top1 99.5", " with --licence none --min-top1 99.5"),
        ("--max-parameters 1K", " with --max-parameters 1000"),
    ],
)
def test_where_nothing_is_left_a_line_says_what_was_asked(typed: str, asked: str, said: Said) -> None:
    assert said(*typed.split()) == (0, "", f"No weights are published{asked}.\n")
    status, out, err = said(*typed.split(), "--json")
    assert (status, json.loads(out), err) == (0, [], f"No weights are published{asked}.\n")


def test_an_unknown_licence_gets_those_that_there_are(said: Said) -> None:
    status, out, err = said("--licence", "apache")
    assert (status, out) == (1, "")
    for licence in ("'apache-2.0'", "'bsd-3-clause'", "'cc-by-nc-4.0'", "'mit'", "'none'", "Did you mean 'apache-2.0'"):
        assert licence in err
    assert "README" not in err


def test_the_most_accurate_or_the_smallest_is_the_first(keys: Callable[..., list[str]]) -> None:
    by_top1 = [ROWS[key].best_top1 for key in keys("--sort", "top1")]
    known = [top1 for top1 in by_top1 if top1 is not None]
    assert known == sorted(known, reverse=True)
    assert by_top1 == known + [None] * (len(ROWS) - len(known))
    assert len(known) < len(ROWS)
    by_parameters = keys("--sort", "parameters")
    assert by_parameters == sorted(ROWS, key=lambda key: ROWS[key].parameters)
    assert by_parameters != list(ROWS)


def test_the_options_have_the_families_and_styles_of_the_catalogue() -> None:
    assert list(FAMILIES) == list(dict.fromkeys(row.family for row in ROWS.values()))
    assert set(STYLES) == {row.style for row in ROWS.values()}


def test_each_example_of_the_help_lists_something(keys: Callable[..., list[str]], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["list", "--help"])
    examples = re.findall(r"^  keras-resnet list (.*)", capsys.readouterr().out, re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        assert keys(*example.replace('"', "").split()), example


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12M", 12_000_000),
        ("12m", 12_000_000),
        ("11.7M", 11_700_000),
        ("25557032", 25_557_032),
        ("1.5B", 1_500_000_000),
        ("500K", 500_000),
        (".5k", 500),
        ("0", 0),
    ],
)
def test_a_quantity_may_end_in_thousands_millions_or_billions(text: str, number: int) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "M", "12MB", "-3M", "1e6", "12 G", " ", "²", "inf", "1.M", "twelve"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be a number, such as 12M"):
        quantity(text)


@pytest.mark.parametrize("text", ["0.8", "-1", "101", "nan", "80%"])
def test_a_share_is_no_percentage(text: str) -> None:
    assert percent("79.5") == 79.5
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 100"):
        percent(text)
