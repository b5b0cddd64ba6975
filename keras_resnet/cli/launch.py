"""Starts a process of PyTorch for each device, by PyTorch's own launcher."""

import logging
import os
import signal
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import keras

from keras_resnet.training.distribution import is_launched
from keras_resnet.utils.errors import import_optional
from keras_resnet.utils.progress import say


def processes_for(devices: int | str | None) -> int:
    """Returns how many processes this one has to start; 0 if it trains itself.

    Raises:
        ValueError: if there are not as many GPUs.
    """
    if keras.backend.backend() != "torch" or is_launched() or "TORCHELASTIC_RUN_ID" in os.environ:
        return 0
    gpus = import_optional("torch").cuda.device_count()
    wanted = devices if isinstance(devices, int) else gpus
    if gpus and wanted > gpus:
        raise ValueError(f"`devices` must be at most {gpus}, as many as there are GPUs; received {wanted}.")
    return wanted if wanted > 1 else 0


def launch(processes: int, typed: Sequence[str]) -> NoReturn:
    """Runs a command in so many processes, and exits with its status; what went wrong they say themselves."""
    multiprocessing = import_module("torch.distributed.elastic.multiprocessing")
    logging.disable(logging.CRITICAL)  # the launcher tells what its processes have told
    try:
        import_module("torch.distributed.run").main(
            ["--standalone", f"--nproc-per-node={processes}", "-m", "keras_resnet", *typed]
        )
    except multiprocessing.errors.ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            say(f"keras-resnet: process {rank + 1} of {processes} was killed ({name}), which ended the training")
        raise SystemExit(1) from None
    except multiprocessing.api.SignalException:
        raise SystemExit(130) from None
    raise SystemExit(0)
