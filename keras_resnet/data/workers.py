"""Processes that read images beside this one, some batches ahead.

They are neither forks, which JAX's threads forbid, nor children of `multiprocessing`, which would run the user's script
once more: each is a Python that imports `keras_resnet.data.worker`, asked and answering through pipes. So nothing
outlives them, and when this process ends, however it does, their pipes close and they end.
"""

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from keras_resnet.data.worker import Request, Surroundings

Array = np.ndarray[Any, Any]
Parts = list["Future[Array]"]
Process = subprocess.Popen[bytes]

_CHILD = (
    "import signal, sys, pickle; signal.signal(signal.SIGINT, signal.SIG_IGN); "  # the parent ends it
    "sys.path[:] = pickle.load(sys.stdin.buffer); from keras_resnet.data.worker import main; main()"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_PART = (
    8  # images of a request, at most: few enough that all processes have some, and many enough to be worth a message
)
_PIPE = 1 << 20  # bytes, where the system lets us choose


class Workers:
    """Processes that read images, shared by the datasets of this process.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._owner, self._closed, self._lock = os.getpid(), False, Lock()
        self._jobs: SimpleQueue[tuple[Future[Array], Request] | None] = SimpleQueue()
        self._begun: WeakKeyDictionary[Any, list[tuple[Request, Parts]]] = WeakKeyDictionary()
        self._processes = [_start() for _ in range(count)]
        self._threads = [Thread(target=self._serve, args=(each,), daemon=True) for each in self._processes]
        for thread in self._threads:
            thread.start()

    def read(self, dataset: Any, wanted: Request, ahead: Sequence[Request] = ()) -> Array:
        """Returns the images of a batch, (N, height, width, channels), float32, and begins with later ones.

        Args:
            dataset: whose batches they are; what it had begun and wants no longer is dropped.
            wanted: the batch.
            ahead: the batches that will be asked for next.

        Raises:
            ValueError: as from reading in this process.
            ChildProcessError: if a process ended.
        """
        with self._lock:
            if self._closed:
                raise _ended()
            begun = self._begun.get(dataset, [])

            def parts_of(request: Request) -> Parts:
                return next((parts for other, parts in begun if other == request), None) or self._submit(request)

            parts = parts_of(wanted)
            self._begun[dataset] = [(request, parts_of(request)) for request in ahead]
            _cancel([pair for pair in begun if pair[0] not in (wanted, *ahead)])
        try:
            return np.concatenate([part.result() for part in parts], dtype="float32")
        except ChildProcessError:
            self.close()
            raise
        except BaseException:
            _cancel([(wanted, parts)])
            raise

    def drop(self, dataset: Any) -> None:
        """Drops what was begun for a dataset."""
        with self._lock:
            _cancel(self._begun.pop(dataset, []))

    def close(self) -> None:
        """Ends the processes."""
        if self._owner != os.getpid():  # in a fork, whose children they are not
            return
        with self._lock:
            self._closed = True
            _POOLS.pop((self._owner, self.count), None)
        for process in self._processes:
            process.kill()
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _submit(self, request: Request) -> Parts:
        """Puts the parts of a batch in the queue."""
        size = min(_PART, -(-len(request.files) // self.count))
        parts: Parts = []
        for start in range(0, len(request.files), size):
            some = slice(start, start + size)
            parts.append(Future())
            self._jobs.put((parts[-1], request._replace(files=request.files[some], seeds=request.seeds[some])))
        return parts

    def _serve(self, process: Process) -> None:
        """Hands parts to a process, one after the other."""
        while job := self._jobs.get():
            part, request = job
            if part.set_running_or_notify_cancel():
                try:
                    part.set_result(_ask(process, request))
                except BaseException as error:  # which the thread that waits for it raises
                    part.set_exception(error)
        with suppress(OSError), process:  # closes its pipes, and waits for it
            pass


_POOLS: dict[tuple[int, int], Workers] = {}  # by process, since a fork has none, and count


def workers(count: int) -> Workers:
    """Returns the so many processes that the datasets of this process share; starts them the first time."""
    pool = _POOLS.get((os.getpid(), count))
    if pool is None:
        pool = _POOLS[os.getpid(), count] = Workers(count)
    return pool


def drop(dataset: Any) -> None:
    """Drops what was begun for a dataset, whoever does it."""
    for (owner, _), pool in tuple(_POOLS.items()):
        if owner == os.getpid():
            pool.drop(dataset)


@atexit.register
def _close() -> None:
    """Ends all processes of this one."""
    for pool in tuple(_POOLS.values()):
        pool.close()


def _start() -> Process:
    """Starts a process; it finds the modules that this one finds."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **_ONE_THREAD},
        pipesize=_PIPE,
    )
    _send(process, list(map(str, sys.path)))
    return process


def _send(process: Process, message: Any) -> None:
    """Writes a message to a process."""
    requests: Any = process.stdin
    requests.write(pickle.dumps(message))
    requests.flush()


def _ask(process: Process, request: Request) -> Array:
    """Has a process read images."""
    answers: Any = process.stdout
    try:
        _send(process, (Surroundings.here(), request))
        found = pickle.load(answers)
        if not isinstance(found, Exception):
            pixels = np.empty(*found)
            if answers.readinto(pixels.reshape(-1).view("uint8")) == pixels.nbytes:
                return pixels
            raise EOFError
    except (EOFError, OSError, pickle.UnpicklingError):
        raise _ended(process) from None
    raise found


def _ended(process: Process | None = None) -> ChildProcessError:
    """The error of a process that is no longer there."""
    code = process.wait() if process else None
    how = "" if code is None else f", by signal {-code}" if code < 0 else f", with the status {code}"
    return ChildProcessError(
        f"A process that reads images ended{how}. If memory is short, pass fewer `workers`, or 0, which reads in this "
        "process."
    )


def _cancel(begun: Sequence[tuple[Request, Parts]]) -> None:
    """Cancels what no process has begun to read."""
    for _, parts in begun:
        for part in parts:
            part.cancel()
