"""Processes that read images: the same batches, and what comes of trouble."""

import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from threading import Timer
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image, ImageFile

from keras_resnet import training
from keras_resnet.data import Pictures, Splits
from keras_resnet.data import workers as processes
from keras_resnet.data.decode import decode
from keras_resnet.training.resume import Resume

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are counted in /proc"),
]
ROOT = Path(__file__).parents[2]
COUNT = 23


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of several sizes and formats."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    found = []
    for index in range(COUNT):
        pixels = rng.integers(0, 256, (40 + index, 60 - index, 3)).astype("uint8")
        found.append(folder / f"{index}.{('jpg', 'png', 'bmp')[index % 3]}")
        Image.fromarray(pixels).save(found[-1])
    return found


def pictures(files: list[Any], **settings: Any) -> Pictures:
    labels = [index % 2 for index in range(len(files))]
    defaults: dict[str, Any] = {"image_size": 24, "batch_size": 4, "seed": 5, "one_hot": True}
    return Pictures(files, labels, ["a", "b"], **defaults | settings)


def assert_same(one: Any, other: Any) -> None:
    """Bit by bit."""
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def children() -> dict[int, str]:
    """The processes that this one started and did not bury, with their states."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            reads = b"data.worker" in (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == os.getpid() and (reads or state == "Z"):
            found[int(path.parent.name)] = state
    return found


def is_gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def alone() -> Any:
    """Without processes of other tests, and leaves none; nor shared memory, nor open files."""
    processes._close()
    gc.collect()
    before = set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))
    yield
    processes._close()
    gc.collect()
    assert children() == {}
    assert (set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))) == before


# The same batches


@pytest.mark.parametrize("augment", ["none", "light", "strong"])
@pytest.mark.parametrize(("workers", "batch_size"), [(1, 4), (2, 1), (2, 5), (3, 23), (3, 64)])
def test_batches_are_those_of_one_process(files: list[Path], augment: str, workers: int, batch_size: int) -> None:
    """In any order, more than once, over epochs."""
    plain = pictures(files, augment=augment, batch_size=batch_size)
    read = plain.with_(workers=workers)
    count = len(plain)
    for epoch in (0, 1):
        for each in (plain, read):
            each.set_epoch(epoch)
        for index in (0, *range(count), count - 1, 0):
            assert_same(read[index], plain[index])


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": (16, 40), "resize": "crop", "augment": "strong"},
        {"image_size": (40, 16), "resize": "pad", "channels": 1, "augment": "light"},
        {"channels": 4, "value_range": (0, 255), "seed": None, "augment": "light"},
        {"balance": "loss", "data_format": "channels_first", "augment": "strong"},
        {"one_hot": False, "value_range": [0, 255]},
    ],
)
def test_every_setting_reaches_the_processes(files: list[Path], settings: dict[str, Any]) -> None:
    plain = pictures(files, **settings)
    read = plain.with_(workers=2)
    for index in range(len(plain)):
        assert_same(read[index], plain[index])


def test_images_of_more_bits_come_as_floats(files: list[Path], tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (30, 30)).astype("uint16")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.save(tmp_path / "deep.npy", deep)
    mixed = [tmp_path / "deep.png", files[0], tmp_path / "deep.npy", files[1]]
    plain = pictures(mixed, channels=1)
    images = plain.with_(workers=2)[0][0]
    assert (images % 1).any()
    np.testing.assert_array_equal(images, plain[0][0])


def test_changed_settings_change_the_batches_that_were_begun(files: list[Path]) -> None:
    """Batches are begun with the settings of before."""
    read = pictures(files, augment="light", workers=2)
    read[0]
    read.image_size, read.augment, read.batch_size = 16, "strong", 3
    plain = pictures(files, image_size=16, augment="strong", batch_size=3)
    for index in (1, 2, 3):
        assert_same(read[index], plain[index])


def test_what_was_begun_is_ready_when_asked_for_and_dropped_at_the_end_of_an_epoch(files: list[Path]) -> None:
    read = pictures(files, workers=2)
    read[0]
    pool = processes.workers(2)
    begun = pool._begun[read]
    assert [len(request.files) for request, _ in begun] == [4, 4]
    assert all(part.result(timeout=20) is not None for _, parts in begun for part in parts)
    read[1]
    assert pool._begun[read][0][1] is begun[1][1]
    read.on_epoch_end()
    assert read not in pool._begun


def test_processes_are_shared(files: list[Path], alone: None) -> None:
    one, other = pictures(files, workers=2), pictures(files, seed=None, workers=2)
    assert_same(one[0], one.with_(workers=0)[0])
    assert_same(other[0], other.with_(workers=0)[0])
    assert len(children()) == 2


def test_relative_paths_and_what_a_program_sets_in_pillow_count(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(files, workers=2)[0]  # started elsewhere, with other settings
    (tmp_path / "half.jpg").write_bytes(files[0].read_bytes()[:-300])
    monkeypatch.chdir(tmp_path)
    read = pictures(["half.jpg"], workers=2)
    with pytest.raises(ValueError, match=r"^half\.jpg can't be read as an image: it is truncated"):
        read[0]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert_same(read[0], read.with_(workers=0)[0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="exceeds limit"):
        read[0]


def test_arrays_images_and_crops_are_read_here(files: list[Path], alone: None) -> None:
    arrays = [np.asarray(decode(file)) for file in files]
    for entries in (arrays, [decode(file) for file in files], [*files[:-1], arrays[-1]]):
        plain = pictures(entries, seed=None, batch_size=COUNT, augment="light")
        assert_same(plain.with_(workers=2)[0], plain[0])
    plain = pictures(files, crop=lambda picture: np.full((9, 9, 3), len(str(picture))))
    assert_same(plain.with_(workers=2)[0], plain[0])
    assert children() == {}


@pytest.mark.parametrize("workers", [-1, 1.5, True, "2", None])
def test_a_number_of_workers_that_is_none_is_refused(files: list[Path], workers: Any) -> None:
    with pytest.raises(ValueError, match=r"`workers` must be an int, 0 or more; received"):
        pictures(files, workers=workers)


# Trouble


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing"])
def test_a_damaged_file_raises_what_it_raises_without_workers(files: list[Path], tmp_path: Path, damage: str) -> None:
    bad = tmp_path / "bad.jpg"
    if damage != "missing":
        bad.write_bytes({"truncated": files[0].read_bytes()[:500], "empty": b"", "text": b"hello"}[damage])
    read = pictures([*files[:6], bad, tmp_path / "other.jpg", *files[6:]], seed=None, workers=2)
    with pytest.raises(ValueError, match=r"bad\.jpg can't be read") as plain:
        read.with_(workers=0)[1]
    for _ in range(2):
        read[0]
        with pytest.raises(ValueError, match=f"^{re.escape(str(plain.value))}$"):
            read[1]
    assert_same(read[2], read.with_(workers=0)[2])


def test_a_killed_process_is_an_error_and_the_next_batch_starts_others(files: list[Path], alone: None) -> None:
    read = pictures(files, workers=2)
    read[0]
    os.kill(next(iter(children())), signal.SIGKILL)
    with pytest.raises(ChildProcessError, match=r"A process that reads images ended, by signal 9\. .*fewer `workers`"):
        [read[index] for index in (1, 2, 3, 4, 5) * 3]
    assert children() == {}
    assert_same(read[1], read.with_(workers=0)[1])


def test_a_process_killed_while_it_reads_is_an_error(tmp_path: Path, alone: None) -> None:
    Image.new("RGB", (8000, 8000)).save(tmp_path / "large.png")
    read = pictures([tmp_path / "large.png"] * 40, batch_size=20, workers=1)
    killing = Timer(1, os.kill, (processes.workers(1)._processes[0].pid, signal.SIGKILL))
    killing.start()
    with pytest.raises(ChildProcessError, match="ended"):
        read[0]
    killing.join()


def test_sigint_leaves_the_processes(files: list[Path], alone: None) -> None:
    read = pictures(files, workers=2)
    read[0]
    pids = children()
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.1)
    assert_same(read[3], read.with_(workers=0)[3])
    assert children().keys() == pids.keys()


PICTURES = """
import sys
sys.path.insert(0, {root!r})
from keras_resnet.data import Pictures, workers

print("imported", flush=True)
read = Pictures({files!r}, [0] * {count}, ["a"], 24, 4, 1, "light", workers=2)
read[0]
print(*[each.pid for each in workers.workers(2)._processes], flush=True)
"""

REQUESTS = """
import sys
sys.path.insert(0, {root!r})
from keras_resnet.data import Reader, workers
from keras_resnet.data.worker import Request

print("imported", flush=True)
pool = workers.workers(2)
wanted = [Request(Reader(size), "light", tuple({files!r}), ((0,),) * {count}) for size in range(10, 99)]
pool.read(pool, wanted[0], wanted[1:])
print(*[each.pid for each in pool._processes], flush=True)
"""


@pytest.mark.parametrize(("how", "code"), [("-c", REQUESTS), ("main.py", PICTURES), ("-", REQUESTS)])
def test_a_script_without_a_guard_runs_once_and_leaves_nothing(
    files: list[Path], tmp_path: Path, how: str, code: str
) -> None:
    """As a notebook would: nothing imports the main module again. It ends with batches begun that nobody reads."""
    code = code.format(root=str(ROOT), files=[str(file) for file in files], count=len(files))
    (tmp_path / "main.py").write_text(code)
    result = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", how, *([code] if how == "-c" else [])],
        input=code,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first == "imported"
    assert all(is_gone(int(pid), 0.1) for pid in second.split())
    said = [line for line in result.stderr.splitlines() if "Traceback" in line or "Warning" in line]
    assert said == [], result.stderr


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_end_with_their_parent_however_it_ends(files: list[Path], how: signal.Signals) -> None:
    code = REQUESTS.format(root=str(ROOT), files=[str(file) for file in files], count=len(files))
    code += "while True: [pool.read(pool, each) for each in wanted]"
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"  # else a job's own
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        lines: Any = parent.stdout
        assert lines.readline() == b"imported\n"
        pids = [int(pid) for pid in lines.readline().split()]
        assert len(pids) == 2
        assert not any(is_gone(pid, 0) for pid in pids)
        parent.send_signal(how)
        try:
            parent.wait(20)
        finally:
            parent.kill()  # else `with` would wait for it
        assert all(is_gone(pid) for pid in pids)


def test_a_fork_has_processes_of_its_own(files: list[Path], alone: None) -> None:
    read = pictures(files, workers=1)
    expected = read[0]
    pid = os.fork()
    if not pid:
        code = 1
        try:
            found = [np.array_equal(read[index][0], read.with_(workers=0)[index][0]) for index in (0, 1)]
            mine = processes.workers(1)._owner == os.getpid()
            processes._close()
            code = 0 if all(found) and mine else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert_same(read[0], expected)


def test_a_process_imports_no_keras_and_is_soon_ready(files: list[Path]) -> None:
    code = f"""
        import os, sys, time
        sys.modules.update(keras=None, torch=None, tensorflow=None, jax=None)
        sys.path.insert(0, {str(ROOT)!r})
        import keras_resnet.data.worker
        from keras_resnet.data.read import Reader
        from keras_resnet.data.worker import Request
        from keras_resnet.data.workers import Workers
        wanted = Request(Reader(24), "light", ({str(files[0])!r},), ((0, 0, 0, 0),))
        start = time.perf_counter()
        pool = Workers(1)
        pool.read(pool, wanted)
        maps = open(f"/proc/{{pool._processes[0].pid}}/maps").read()
        assert not any(name in maps for name in ("libtorch", "tensorflow", "jaxlib", "sklearn", "h5py")), maps
        pool.close()
        print(time.perf_counter() - start)
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    times = [float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
    assert min(times) < 1  # 0.25 s on a quiet machine


# Training


class Killed(BaseException):
    """What nothing catches."""


def run(files: list[Path], out: Path, workers: int) -> list[Any]:
    """The weights at the end."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(keras.layers.Flatten()(inputs)), name="tiny")
    training_set = pictures(files[6:], image_size=8, augment="strong", workers=workers)
    validation_set = pictures(files[:6], image_size=8, seed=None, workers=workers)
    recipe = training.Recipe(epochs=3, learning_rate=0.001)
    training.train(model, Splits(training_set, validation_set, None, []), out, recipe, resume=True)
    return [np.array(weight) for weight in model.get_weights()]


def test_a_killed_run_goes_on_with_another_number_of_workers(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit."""
    expected = run(files, tmp_path / "whole", 0)

    def killing(self: Resume, index: int, logs: Any = None) -> None:
        if self.data and (self.data.epoch, index) == (1, 1):
            raise Killed

    for workers in (2, 1):  # twice, with one number and another
        with monkeypatch.context() as patch:
            patch.setattr(Resume, "on_train_batch_end", killing)
            with pytest.raises(Killed):
                run(files, tmp_path / "killed", workers)
    assert_same(run(files, tmp_path / "killed", 3), expected)
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert histories[0] == histories[1]


def test_threads_and_copies_read_the_same(files: list[Path]) -> None:
    """`fit` may read a dataset in several threads at once."""
    plain = pictures(files, augment="light")
    read = plain.with_(workers=2)
    with ThreadPoolExecutor(4) as threads:
        for index, batch in enumerate(threads.map(read.__getitem__, [*range(len(plain))] * 5)):
            assert_same(batch, plain[index % len(plain)])
    assert_same(pickle.loads(pickle.dumps(read))[2], plain[2])
    assert_same(deepcopy(read)[2], plain[2])


def test_a_folder_that_is_deleted_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    images = Pictures([tmp_path / "a.png"] * 2, [0, 1], ["a", "b"], 4, workers=1)
    gone = tmp_path / "gone"
    for _ in range(2):  # the second time the processes are in the folder
        gone.mkdir()
        monkeypatch.chdir(gone)
        np.testing.assert_array_equal(images[0][0], images.with_(workers=0)[0][0])
        gone.rmdir()
        np.testing.assert_array_equal(images[0][0], images.with_(workers=0)[0][0])
        monkeypatch.chdir(tmp_path)
        np.testing.assert_array_equal(images[0][0], images.with_(workers=0)[0][0])
