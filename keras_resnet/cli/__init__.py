"""The command line: `keras-resnet`, also `python -m keras_resnet`."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; what the user can mend ends in one sentence."""
    from keras_resnet.cli import app

    return app.main(argv)
