"""The command `convert`: a thin face on conversion."""

import argparse

from keras_resnet.export.convert import check_target, convert, recognize, verify


def convert_file(arguments: argparse.Namespace) -> None:
    """Makes a weights file into one of another library, and says what became of it."""
    if arguments.target.exists() and not arguments.overwrite:
        raise ValueError(f"{str(arguments.target)!r} is there: pass --overwrite, or another name.")
    check_target(arguments.target, arguments.to, arguments.include_preprocessing)
    found = recognize(arguments.source, arguments.style, arguments.scope)
    variant = found.variant
    print(f"source: {found.network.path}, a file of {found.network.family.origin}")
    print(
        f"network: {variant.name}, style {variant.lineage.style}, "
        f"{f'{found.classes} classes' if found.classes else 'no classifier'}, {found.channels} channels"
    )
    report = convert(found, arguments.target, arguments.to, arguments.include_preprocessing)
    print(f"weights: {report}")
    others = [name for name in report.unused if not name.endswith("num_batches_tracked")]
    if others:
        print(f"unused: {', '.join(others[:5])}{f' and {len(others) - 5} more' if len(others) > 5 else ''}")
    print(f"target: {arguments.target}, {arguments.target.stat().st_size / 1e6:.1f} MB")
    if arguments.target.suffix == ".keras":
        raw = "raw RGB in [0, 255]" if arguments.include_preprocessing else "pixels scaled as the weights expect them"
        print(f"it takes {raw}{'' if arguments.include_preprocessing else ' (raw RGB with --include-preprocessing)'}")
    for line in verify(found, arguments.target) if arguments.verify else ():
        print(f"verified: {line}")
