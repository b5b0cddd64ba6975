"""The command `convert`: a weights file becomes one of another library."""

import argparse

from keras_resnet.cli.load_model import say_choice
from keras_resnet.cli.quiet import import_tensorflow
from keras_resnet.export.convert_weights import check_target, convert, recognize, verify
from keras_resnet.utils.errors import enumerate_some
from keras_resnet.utils.progress import say, waiting

_RAW = "raw RGB in [0, 255]"
_SCALED = "pixels scaled as the weights expect them (raw RGB with --include-preprocessing)"


def run(args: argparse.Namespace) -> None:
    """Makes a weights file into one of another library, and says what became of it."""
    if args.target.exists() and not args.overwrite:
        raise ValueError(f"{str(args.target)!r} exists: pass --overwrite to replace it, or choose another name.")
    check_target(args.target, args.to, args.include_preprocessing)
    found = recognize(args.source, args.style, args.scope, args.head, args.averages, args.network)
    variant = found.variant
    print(f"source: {found.network.path}, a file of {found.network.family.origin}")
    top = f"{found.classes} classes" if found.classes else "no classifier"
    print(f"network: {variant.name}, style {variant.lineage.style}, {top}, {found.channels} channels")
    say_choice(found, args.source, args.network)
    if not found.classes and (lacks := found.lacks):
        print(f"classifier: {args.parser.in_options(lacks)}")
    with waiting("converting"):
        report = convert(found, args.target, args.to, args.include_preprocessing)
    print(f"weights: {report}")
    others = [name for name in report.unused if not name.endswith("num_batches_tracked")]
    if others:
        print(f"unused: {enumerate_some(others, 5)}")
    print(f"target: {args.target}, {args.target.stat().st_size / 1e6:.1f} MB")
    if args.target.suffix == ".keras":
        print(f"it takes {_RAW if args.include_preprocessing else _SCALED}")
        if args.include_preprocessing and not (found.network.checkpoint or found.network.scaling):
            style = variant.lineage.style
            say(f"note: {args.source} does not tell how images were scaled in training. They are as in style {style!r}")
    if args.verify:
        import_tensorflow()
        with waiting("verifying"):
            lines = verify(found, args.target)
        for line in lines:
            print(line)
