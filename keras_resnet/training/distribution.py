"""Training on several devices and in several processes: who takes part, which images each takes, what they agree on."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any, Literal

import keras
import numpy as np

from keras_resnet.data.datasets import Splits
from keras_resnet.training.replicas import NO_STATISTICS, check_layers, check_losses, unspread
from keras_resnet.utils.progress import say

Devices = int | Literal["all"] | None


@dataclass(frozen=True)
class Place:
    """Where this process stands among those that train together.

    Example:

        place = keras_resnet.distribution.start()
        if place.rank == 0:
            print(f"{place.devices} devices in {place.processes} processes")

    Attributes:
        rank: the number of this process, from 0; the process 0 writes and prints.
        processes: how many there are.
        devices: how many devices all of them have.
    """

    rank: int = 0
    processes: int = 1
    devices: int = 1


_PATIENCE = 60  # seconds, for other processes to begin, or to be missed
# What launchers of JAX's processes set, and what says how many there are
_LAUNCHED = ("KERAS_DISTRIBUTION_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_started: list[Place] = []  # what `start` found, once it did


def start(devices: Devices = None) -> Place:
    """Joins the processes that a launcher started, or takes several devices of this machine; returns where this stands.

    Example:

        place = keras_resnet.distribution.start()
        share = keras_resnet.distribution.share
        images = keras_resnet.data.folder("flowers", 32, batch_size=64, seed=0).with_(share=share)
        model = keras_resnet.ResNet20(classes=3)
        model.compile("sgd", "sparse_categorical_crossentropy")
        keras_resnet.distribution.spread(keras_resnet.optimize_for_training(model))
        model.fit(images, shuffle=False, verbose=1 if place.rank == 0 else 0)

    It comes before the first model and the first operation of the backend. With one device it changes nothing. The
    global batch, that of all devices together, is what `batch_size` means everywhere. Then `spread` makes the training
    of any number of devices that of one.

    - PyTorch: one process for each device. `torchrun` starts them, or whatever else sets `RANK`, `WORLD_SIZE`,
      `MASTER_ADDR` and `MASTER_PORT`; a process group that exists is used.
    - JAX: all devices of this process, and of all processes that `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `_NUM_PROCESSES`
      and `_PROCESS_ID`, SLURM, Open MPI or Kubernetes tell.
    - TensorFlow: the devices of one process.

    Args:
        devices: how many there are to be, of all processes together; None: all accelerators, on CPUs one; "all": the
            same. More than one on CPUs is for tests.

    Returns:
        The `Place`. Another call returns the same.

    Raises:
        ValueError: if there are not as many devices, another number was started with, the backend runs already, or the
            other processes can't be reached.
    """
    if devices is not None and devices != "all" and (type(devices) is not int or devices < 1):
        raise ValueError(f"`devices` must be None, 'all' or an int of at least 1; received {devices!r}.")
    if not _started:
        backend = keras.backend.backend()
        found = {"jax": _start_jax, "tensorflow": _start_tensorflow, "torch": _start_torch}[backend](devices)
        _started.append(found)
    elif devices not in (None, "all", here().devices):
        raise ValueError(f"`devices` must stay {here().devices}, which it was started with; received {devices!r}.")
    return here()


def here() -> Place:
    """Returns what `start` returned; before it, one process with one device.

    Example:

        verbose = 1 if keras_resnet.distribution.here().rank == 0 else 0
    """
    return _started[0] if _started else Place()


def share(count: int) -> range:
    """Returns which images of a batch this process reads and computes.

    Example:

        rows = keras_resnet.distribution.share(64)  # range(32, 64) in the second of two processes
        images, labels = images[rows.start : rows.stop], labels[rows.start : rows.stop]

    Args:
        count: the images of the batch of all devices.

    Returns:
        Consecutive numbers of images. All processes together have each once; it may be none in some if they are more
        than the images. On JAX with several processes, each has all of a batch that the devices don't divide.

    Raises:
        ValueError: on JAX with several processes, if there was a batch that Keras would mistake for this one.
    """
    place = here()
    if keras.backend.backend() == "jax" and place.processes > 1:
        return _jax_share(count, place)
    return range(count * place.rank // place.processes, count * (place.rank + 1) // place.processes)


def spread(model: keras.Model, norm_sync: bool = True) -> keras.Model:
    """Makes the training of a compiled model on all devices that of one device with the same batches, in place.

    Example:

        model.compile("adamw", "categorical_crossentropy", metrics=["accuracy"])
        keras_resnet.distribution.spread(keras_resnet.optimize_for_training(model))

    Batch norms see the images of all devices, dropout draws what one device would draw, gradients are those of the
    whole batch before they are clipped, and metrics count all images. On PyTorch and in processes of JAX, all processes
    go on with the weights of the first. Saved files stay those of stock layers. With one device nothing changes.

    Args:
        model: a compiled model, built after `start`. Call this after `optimize_for_training`, and again after another
            `compile`.
        norm_sync: whether batch norms see the images of all devices; False: each has the statistics of its own images,
            and the moving ones are the mean over the devices. That is quicker, and another training than one device's.

    Returns:
        The model.

    Raises:
        ValueError: if the model is not compiled or was built before `start`, or has what would differ without a word:
            random layers other than Dropout, batch renormalization, a loss that is no mean over the images, a
            `train_step` of its own; or if `norm_sync` is False on JAX, where there is no such thing.
    """
    if not isinstance(model, keras.Model) or not model.built or not model.compiled:
        raise ValueError(f"`model` must be a built and compiled keras.Model; received {type(model).__name__}.")
    place, backend = here(), keras.backend.backend()
    if place.devices == 1:
        return model
    check_model(model, norm_sync)
    if backend == "jax":
        if place.processes > 1:
            _same_weights(model)
        return model
    check_losses(model)
    unspread(model)  # which may have been spread otherwise
    import_module(f"keras_resnet.training.replicas_{backend}").spread(model, norm_sync)
    for act in ("train", "test"):
        setattr(model, f"{act}_function", None)
    return model


# What processes agree on, and what only one of them does


def check_model(model: keras.Model, norm_sync: bool) -> None:
    """Raises a `ValueError` for a model that can't be spread, whatever it is compiled with."""
    backend = keras.backend.backend()
    if here().devices == 1:
        return
    if backend != "torch":
        _check_after_start(model, backend)
    if backend != "jax":
        check_layers(model, norm_sync)
    elif not norm_sync:
        raise ValueError(
            "`norm_sync` can't be off on JAX, where a step is one program over the whole batch. Batch norms of each "
            "device's own images are for TensorFlow and PyTorch."
        )


def agree(what: Mapping[str, Any]) -> None:
    """Raises a `ValueError` in every process if one of them has other values, which JSON can hold, under some name."""
    if here().processes == 1:
        return
    names = gather(_digest(list(what)))
    if (names != names[0]).any():
        raise ValueError(f"All {here().processes} processes of a training must have the same arguments; they differ.")
    found = gather(np.stack([_digest(value) for value in what.values()]))
    differing = [name for index, name in enumerate(what) if (found[:, index] != found[:1, index]).any()]
    if differing:
        raise ValueError(
            f"All {here().processes} processes of a training must have the same {' and '.join(differing)}; they differ."
        )


def _digest(value: Any) -> np.ndarray[Any, Any]:
    """A hash of something that JSON can hold, as four integers."""
    return np.frombuffer(sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest(), "int64")


def of_first(numbers: dict[str, float]) -> dict[str, float]:
    """Returns the numbers of the first process in all of them.

    Raises:
        ValueError: if another has other names for them.
    """
    if here().processes == 1:
        return numbers
    agree({"names in the logs": sorted(numbers)})
    own = np.array([numbers[name] for name in sorted(numbers)], "float64").view("int64")
    return dict(zip(sorted(numbers), gather(own)[0].view("float64").tolist(), strict=True))


def gather(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns the integers of all processes, (processes, ...)."""
    if here().processes == 1:
        return numbers[None]
    if keras.backend.backend() == "jax":
        pairs = numbers.view("uint32")  # JAX has 32 bits
        found = import_module("jax.experimental.multihost_utils").process_allgather(pairs)
        return np.ascontiguousarray(found, "uint32").reshape(-1, *pairs.shape).view("int64")
    return import_module("keras_resnet.training.replicas_torch").gather(numbers)  # type: ignore[no-any-return]


def check_started() -> None:
    """Raises a `ValueError` where a launcher started processes that don't know of each other yet."""
    if is_launched():
        raise ValueError(
            "A launcher started this process with others, which would all train by themselves: call "
            "keras_resnet.distribution.start() before the model is built."
        )


def check_run(model: keras.Model, data: Splits, norm_sync: bool) -> None:
    """Raises a `ValueError` for what can't train on the devices that were started; afterwards batches are anew."""
    check_model(model, norm_sync)
    forget_batches()
    check_batches(len(data.training.labels), data.training.batch_size, norm_sync)
    if data.training.task != "labels":  # whose validation images each process predicts by itself, as those for tests
        check_batches(len(data.validation.labels), data.validation.batch_size)


def forget_batches() -> None:
    """Lets the next training have batches of other sizes."""
    _shared.clear()
    _whole.clear()


def check_batches(images: int, batch_size: int, norm_sync: bool = True) -> None:
    """Raises a `ValueError` for batches that can't be divided."""
    place = here()
    if batch_size < place.devices:
        raise ValueError(
            f"`batch_size` must be at least the number of devices, {place.devices}; received {batch_size}. It is the "
            "batch of all devices together."
        )
    if not norm_sync and 0 < images % batch_size < place.devices:
        raise ValueError(f"{NO_STATISTICS} Here that has {images % batch_size}.")
    for count in {min(images, batch_size), images % batch_size} - {0}:
        share(count)  # raises where batches would be mistaken


def say_what_is_slow(batch_size: int) -> None:
    """Says where dividing a batch fails, which only costs time."""
    devices = here().devices
    if keras.backend.backend() == "jax" and batch_size % devices:
        say(
            f"note: {devices} devices can't divide batches of {batch_size} images, so each computes all of them; a "
            f"multiple of {devices} is quicker"
        )


@contextmanager
def alone() -> Iterator[None]:
    """Lets this process save, load and evaluate models by itself, each on one device."""
    backend = keras.backend.backend()
    if here().devices == 1 or backend == "torch":
        yield
    elif backend == "jax":
        distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(distribution)
    else:
        distribute = import_module("tensorflow").distribute
        strategy = distribute.get_strategy()
        distribute.experimental_set_strategy(None)
        try:
            yield
        finally:
            distribute.experimental_set_strategy(strategy)


@contextmanager
def one_speaks() -> Iterator[None]:
    """Lets only the first process print."""
    with ExitStack() as stack:
        if here().rank:
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield


_copies: list[Path] = []  # those that are this process's own


@contextmanager
def folder_of_one(out: Path) -> Iterator[Path]:
    """Lets only the first process write a folder; the others get a copy of it that is deleted at the end.

    Nothing is written before `agree`, so all copies are alike.
    """
    if here().rank == 0 or any(out.is_relative_to(copy) for copy in _copies):
        yield out
        return
    with TemporaryDirectory() as folder:
        if out.is_dir():
            copytree(out, folder, dirs_exist_ok=True)
        _copies.append(Path(folder))
        try:
            yield _copies[-1]
        finally:
            _copies.pop()


def is_launched() -> bool:
    """Returns whether a launcher started this process with others, and `start` was not called yet."""
    others = _number(("WORLD_SIZE",)) > 1 if _is_torch() else _is_in_kubernetes()
    return not _started and (others or _number(_LAUNCHED) > 1)


# How each backend starts


def _is_torch() -> bool:
    return bool(keras.backend.backend() == "torch")


def _number(names: tuple[str, ...]) -> int:
    """The first of some environment variables that is a number, else 1."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), 1)


def _is_in_kubernetes() -> bool:
    """Whether JAX finds its other processes as those of an indexed job, which needs the package `kubernetes`."""
    told = {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= os.environ.keys()
    told = told and _LAUNCHED[0] not in os.environ  # which tells it otherwise, or that there is no other
    return keras.backend.backend() == "jax" and told and find_spec("kubernetes") is not None


def _refuse_torchrun() -> None:
    """Raises a `ValueError` where torchrun started another backend's processes, which would not know of each other."""
    if _number(("WORLD_SIZE",)) > 1 and "MASTER_ADDR" in os.environ and "TORCHELASTIC_RUN_ID" in os.environ:
        raise ValueError(
            f"torchrun starts processes of PyTorch; this one has KERAS_BACKEND={keras.backend.backend()}. On JAX, set "
            "KERAS_DISTRIBUTION_JOB_ADDRESSES, KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID; on "
            "TensorFlow, one process takes all devices."
        )


def _refuse_tasks(instead: str) -> None:
    """Raises a `ValueError` where a launcher started several processes that would not know of each other."""
    tasks = _number(_LAUNCHED)
    if tasks > 1:
        raise ValueError(f"A launcher started {tasks} processes, which would each train alone: {instead}.")


def _take(devices: Devices, there: int, accelerators: bool) -> int:
    """How many of the devices that are there to take."""
    wanted = there if devices == "all" or (devices is None and accelerators) else devices or 1
    if wanted > there:
        raise ValueError(f"`devices` must be at most {there}, as many as this machine has; received {wanted}.")
    return wanted


def _start_jax(devices: Devices) -> Place:
    jax = import_module("jax")
    _refuse_torchrun()
    launched = _number(_LAUNCHED) > 1 or _is_in_kubernetes()
    if launched:
        _join_jax(jax)
        with suppress(ImportError, AttributeError):  # all draw the same, also where nobody set a seed
            import_module("keras.src.backend.jax.distribution_lib").initialize_rng()
    elif isinstance(devices, int):
        with suppress(RuntimeError):  # it runs already: perhaps with as many
            jax.config.update("jax_num_cpu_devices", devices)
    there = jax.devices()
    accelerators = there[0].platform != "cpu"
    if launched:
        if devices not in (None, "all", len(there)):
            raise ValueError(f"`devices` must be {len(there)}, those of all processes; received {devices!r}.")
    else:
        try:
            there = there[: _take(devices if accelerators or devices != "all" else 1, len(there), accelerators)]
        except ValueError as error:
            raise ValueError(f"{error} JAX counts its devices once: start before anything else uses it.") from None
    place = Place(jax.process_index(), jax.process_count(), len(there))
    if place.devices > 1:
        _ask_for_each_batch()
        names = [f"{device.platform}:{device.id}" for device in there]
        keras.distribution.set_distribution(_Replicated(devices=names, auto_shard_dataset=False))
    return place


def _join_jax(jax: Any) -> None:
    """Joins JAX's other processes."""
    if jax.distributed.is_initialized():
        return
    given: dict[str, Any] = {}
    if _LAUNCHED[0] in os.environ:
        address = os.environ.get("KERAS_DISTRIBUTION_JOB_ADDRESSES", "").partition(",")[0]
        rank = os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "")
        if not address or not rank.isdecimal():
            raise ValueError(
                "KERAS_DISTRIBUTION_JOB_ADDRESSES must be host:port of the first process and "
                f"KERAS_DISTRIBUTION_PROCESS_ID the number of this one, from 0; received {address!r} and {rank!r}."
            )
        given = {"coordinator_address": address, "num_processes": _number(_LAUNCHED[:1]), "process_id": int(rank)}
        _wait_for(address, int(rank), given["num_processes"])
    known = signature(jax.distributed.initialize).parameters  # an older JAX misses a process later
    waits = {name: _PATIENCE // 2 for name in ("heartbeat_timeout_seconds",) if name in known}
    try:
        jax.distributed.initialize(**given, initialization_timeout=_PATIENCE, **waits)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"The other processes of the training can't be reached: {reason}") from error


def _wait_for(address: str, rank: int, processes: int) -> None:
    """Says that this process waits for the first one, and does; JAX would end it with words of its own."""
    say(f"process {rank + 1} of {processes}, of which the first is at {address}; waiting for the others")
    host, _, port = address.rpartition(":")
    end = time.monotonic() + _PATIENCE
    while rank:
        try:
            with socket.create_connection((host, int(port)), timeout=1):
                return
        except OSError as error:
            if time.monotonic() > end:
                raise ValueError(f"The first process of the training can't be reached at {address}: {error}") from error
            time.sleep(0.2)
        except ValueError as error:
            raise ValueError(f"KERAS_DISTRIBUTION_JOB_ADDRESSES must be host:port; received {address!r}.") from error


def _start_tensorflow(devices: Devices) -> Place:
    tf = import_module("tensorflow")
    _refuse_torchrun()
    if len(json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {}).get("worker", ())) > 1:
        raise ValueError(
            "TF_CONFIG names several workers, and Keras 3 does not train with MultiWorkerMirroredStrategy. Train on "
            "the devices of one machine without TF_CONFIG, or on several machines with KERAS_BACKEND=jax or torch."
        )
    _refuse_tasks("one process of TensorFlow takes all devices")
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    there = len(tf.config.list_physical_devices("GPU"))
    if kind == "GPU":
        wanted = _take(devices, there, True)
    else:
        wanted = devices if isinstance(devices, int) else 1
        cpu = tf.config.list_physical_devices("CPU")[0]
        try:
            if wanted > 1:
                tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * wanted)
        except RuntimeError as error:
            raise ValueError(
                f"`devices` can't be {devices} any more, since TensorFlow runs already: start before anything uses it."
            ) from error
    if wanted > 1:
        strategy = tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(wanted)])
        tf.distribute.experimental_set_strategy(strategy)
    return Place(devices=wanted)


def _start_torch(devices: Devices) -> Place:
    torch = import_module("torch")
    distributed = torch.distributed
    joined = distributed.is_available() and distributed.is_initialized()
    processes = distributed.get_world_size() if joined else _number(("WORLD_SIZE",))
    if processes == 1:
        _refuse_tasks("torchrun starts those of PyTorch, on each machine")
        if isinstance(devices, int) and devices > 1:
            raise ValueError(
                f"`devices` must be 1 in a process of PyTorch, which has one for each device; received {devices}. "
                f"Start it by `torchrun --nproc-per-node {devices}`, or use `keras-resnet train --devices {devices}`, "
                "which does that."
            )
        return Place()
    if devices not in (None, "all", processes):
        raise ValueError(f"`devices` must be {processes}, one for each process; received {devices!r}.")
    if not joined:
        import_module("keras_resnet.training.replicas_torch").join(_PATIENCE)
    return Place(distributed.get_rank(), processes, processes)


# What JAX needs

_shared: set[int] = set()  # the sizes of batches in this process that are its part of one, and that are all of one
_whole: set[int] = set()


def _jax_share(count: int, place: Place) -> range:
    whole = count % place.devices > 0
    size = count if whole else count // place.processes
    if size in (_shared if whole else _whole):
        raise ValueError(
            f"`batch_size` must be another one: here a batch of {size} images is a process's part of one of "
            f"{size * place.processes}, and also a whole one, which {place.devices} devices don't divide, and Keras "
            "can't tell them apart."
        )
    (_whole if whole else _shared).add(size)
    return range(count) if whole else range(size * place.rank, size * (place.rank + 1))


def _ask_for_each_batch() -> None:
    """Lets `fit` ask how each batch lies on the devices; Keras asks for the first and takes the last one to be alike.

    Raises:
        ValueError: if this Keras does it in a way that is not known.
    """
    trainer = import_module("keras.src.backend.jax.trainer")
    iterator: Any = getattr(trainer, "JAXEpochIterator", None)
    if not hasattr(iterator, "_get_distributed_iterator") or not hasattr(trainer, "_distribute_data"):
        raise ValueError(f"Keras {keras.__version__} divides batches in a way that is not known; use Keras 3.15.")
    iterator._get_distributed_iterator = lambda self, distribution: map(
        trainer._distribute_data, self.data_adapter.get_jax_iterator()
    )


class _Replicated(keras.distribution.DataParallel):  # type: ignore[misc]
    """Divides batches among the devices; of one that they don't divide, each computes all."""

    def get_data_layout(self, data_shape: Any) -> Any:
        """Returns how a batch of this process lies on the devices."""
        count, place = data_shape[0], here()
        if count in _whole or (place.processes == 1 and count % place.devices):
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        if count % (place.devices // place.processes):
            raise ValueError(
                f"A batch of {count} images can't be divided among the {place.devices // place.processes} devices of "
                "this process: take each process's part by keras_resnet.distribution.share."
            )
        return super().get_data_layout(data_shape)


def _check_after_start(model: keras.Model, backend: str) -> None:
    """Raises a `ValueError` for a model whose variables are on one device."""
    for variable in model.variables:
        if backend == "jax":
            fine = len(variable.value.sharding.device_set) == here().devices
        else:
            fine = hasattr(variable.value, "values")
        if not fine:
            raise ValueError(
                f"`model` must be built after keras_resnet.distribution.start; {variable.path!r} of {model.name!r} is "
                "on one device."
            )


def _same_weights(model: keras.Model) -> None:
    """Gives a model of JAX the weights that it has in the first process."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    values = [np.asarray(variable.value.addressable_data(0)) for variable in variables]
    found = import_module("jax.experimental.multihost_utils").broadcast_one_to_all(values)
    for variable, value in zip(variables, found, strict=True):
        variable.assign(np.asarray(value))
