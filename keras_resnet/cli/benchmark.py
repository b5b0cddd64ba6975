"""The command `benchmark`: races of networks against the same in other libraries."""

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.cli.arguments import check_image_size
from keras_resnet.cli.benchmarking.contenders import PEERS, Setting
from keras_resnet.cli.benchmarking.race import Race, Result, contenders, machine, race
from keras_resnet.cli.table import print_table
from keras_resnet.utils.errors import check_choice, import_optional, near_path
from keras_resnet.utils.progress import say

_SIDE, _TRAINING_SIDE = 224, 128
_BATCH, _TRAINING_BATCH = 8, 16


def run(args: argparse.Namespace) -> None:
    """Runs each combination of networks, batches and image sizes as one race, and shows what came of it."""
    names = contenders(peers(args.against))
    every = list(settings(args))
    if args.png:
        _check_png(args.png)
    races: list[Race] = []
    told = ""
    for setting in every:
        say(describe(setting))
        done = race(setting, names, args.runs)
        races.append(done)
        if not args.json:
            line = _machine_line(done)
            if line != told:
                print(line)
            told = line
            _print(done)
    if args.json:
        print(json.dumps(document(races), indent=2))
    if not any(done.results for done in races):
        raise ValueError("No contender could run; the reasons are above.")
    if args.png:
        _draw([done for done in races if done.results], args.png)


def describe(setting: Setting) -> str:
    """Returns a race's title."""
    title = f"{setting.network}, {'training' if setting.train else 'inference'}, batch {setting.batch}"
    style = f", style {setting.style}" if setting.style else ""
    return f"{title}, {setting.image_side}x{setting.image_side}, {setting.dtype}{style}"


def head(baseline: str) -> list[str]:
    """Returns the names of a table's columns."""
    return ["contender", "ms", "images/s", f"x {baseline}", "GMAC/s", "peak MB", "build s", "first call s"]


def cells(result: Result) -> list[str]:
    """Returns a contender's row in a table."""
    low, high = result.ratio_quartiles
    return [
        result.contender,
        f"{1e3 * result.seconds:.1f}",
        f"{result.images_per_second:.1f}",
        f"{result.ratio:.2f} ({low:.2f}-{high:.2f})",
        f"{result.gmacs_per_second:.1f}",
        f"{result.peak_bytes / 1e6:.0f}" if result.peak_bytes else "",
        f"{result.build_seconds:.1f}",
        f"{result.first_seconds:.1f}",
    ]


def describe_machine(computer: Mapping[str, Any], results: Iterable[Result]) -> str:
    """Returns what a machine is, as `machine` has it, with the accelerators that results ran on."""
    instructions = [name if there else f"no {name}" for name, there in computer["instructions"].items()]
    accelerators = sorted({result.device for result in results} - {"cpu"})
    cores = f"{computer['cores']} cores"
    return ", ".join([computer["processor"], *instructions, cores, *accelerators, f"Python {computer['python']}"])


def document(races: Sequence[Race]) -> dict[str, Any]:
    """Returns what `--json` prints."""
    return {
        "machine": machine(),
        "backend": os.environ["KERAS_BACKEND"],
        "versions": {name: version for done in races for name, version in done.versions.items()},
        "races": [{key: value for key, value in asdict(done).items() if key != "versions"} for done in races],
    }


def _machine_line(done: Race) -> str:
    """The machine, the accelerators that were used, and the libraries."""
    libraries = [f"{name} {version}" for name, version in done.versions.items()]
    return ", ".join([describe_machine(machine(), done.results), *libraries])


def _print(done: Race) -> None:
    """Prints a race's title, table and who was left out."""
    print(f"\n{describe(done.setting)}")
    if done.results:
        print_table(head(done.baseline), [cells(result) for result in done.results])
    for name, reason in done.left_out.items():
        print(f"left out: {name}: {reason}")


def _draw(races: list[Race], path: Path) -> None:
    """Draws the ratios of all races."""
    # It imports Keras: only now that no process is started any more
    from keras_resnet.training.figures import draw_ratios

    panels = {
        f"{describe(done.setting)}\ntimes as fast as {done.baseline}": {
            result.contender: (result.ratio, *result.ratio_quartiles) for result in done.results
        }
        for done in races
    }
    draw_ratios(panels, path)


def peers(against: str) -> tuple[str, ...]:
    """Returns peers by name, in the order of a list as `--against` takes it."""
    named = () if against == "none" else tuple(dict.fromkeys(against.split(",")))
    for peer in named:
        check_choice("--against", peer, tuple(PEERS), " Several are separated by commas; none stands alone.")
    return named


def settings(args: argparse.Namespace) -> Iterable[Setting]:
    """Yields every combination of networks, batches and image sizes, as far as networks can do it."""
    for network in args.model:
        variant = find_row(network, "--model")
        if args.style is not None:
            check_choice("--style", args.style, variant.styles)
        cifar = variant.image_side < _SIDE
        usual_side, usual_batch = (_TRAINING_SIDE, _TRAINING_BATCH) if args.train else (_SIDE, _BATCH)
        sides = args.image_size or [variant.image_side if cifar else usual_side]
        for batch, side in product(args.batch or [usual_batch], sides):
            check_image_size(network, side)
            yield Setting(builder_name(variant.name), args.style, batch, side, args.train, args.dtype)


def _check_png(path: Path) -> None:
    """Raises, before anything runs, if a chart could not be written."""
    import_optional("matplotlib")
    if path.suffix.lower() != ".png":
        raise ValueError(f"`--png` must end in .png; received {str(path)!r}.")
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(
            f"`--png` must name a file in a folder that is there; received {str(path)!r}.{near_path(path.parent)}"
        )
