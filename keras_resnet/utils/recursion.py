"""The recursion limit: Keras walks a graph by recursion, a frame a layer, which Python must allow for a thousand."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recursion_limit(layers: int = 10_000) -> Iterator[None]:
    """Lets graphs of so many layers, or of any published network, be walked inside; Python's limit is the process's."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + layers)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
