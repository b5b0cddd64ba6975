"""How much memory and time a reader may take for a file."""

import time
import tracemalloc


class bounded:
    """A claim that little memory and processor time are used for files of some size."""

    def __init__(self, size: int, spare: int = 500_000) -> None:
        self.most = 20 * size + spare

    def __enter__(self) -> None:
        tracemalloc.start()
        self.began = time.process_time()  # other processes' work is none of the reader's

    def __exit__(self, *_: object) -> None:
        took, peak = time.process_time() - self.began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < self.most
        assert took < 10
