"""The command `train`: chooses network, weights, image size and rate, and starts the run."""

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras

from keras_resnet.architecture.rows import builder_name, find_row
from keras_resnet.checkpoints.catalogue import list_weights
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.open import digest, download, open_named
from keras_resnet.cli.arguments import check_image_size
from keras_resnet.cli.data import TABLE_OPTIONS, columns_of, kind_of_data
from keras_resnet.cli.launch import launch, processes_for
from keras_resnet.cli.quiet import import_tensorflow
from keras_resnet.data import datasets
from keras_resnet.data.decode import as_pair
from keras_resnet.data.pictures import Pictures
from keras_resnet.models.description import Task
from keras_resnet.models.networks import builder_of
from keras_resnet.models.weights.find import imagenet
from keras_resnet.training import distribution, run_folder, transfer
from keras_resnet.training.folds import spread_in_words, train_folds
from keras_resnet.training.objectives import check_loss, deviations, monitor_of
from keras_resnet.training.recipe import Recipe, fine_tuning
from keras_resnet.training.run import train
from keras_resnet.utils.errors import check_choice
from keras_resnet.utils.progress import say

# Options, for which data and with which other options they are, and what they are for
_ONLY: tuple[tuple[str, Callable[[argparse.Namespace, str], bool], str], ...] = (
    *((name, lambda args, kind: kind == "table", "is for tables") for name in TABLE_OPTIONS),
    ("group_column", lambda args, kind: kind == "table", "is for tables"),
    ("task", lambda args, kind: kind == "table" or args.task == "classes", "but classes is for tables"),
    ("target_column", lambda args, kind: kind == "table", "is for tables"),
    ("target_column", lambda args, kind: args.task in (None, "regression"), "is for --task regression"),
    ("label_column", lambda args, kind: not args.target_column, "and --target-column exclude each other"),
    ("separator", lambda args, kind: not args.target_column, "and --target-column exclude each other"),
    ("threshold", lambda args, kind: kind == "table" and _task(args, kind) in (None, "labels"), "is for --task labels"),
    ("label_smoothing", lambda args, kind: not args.target_column, "is for classes and labels"),
    ("balance", lambda args, kind: not args.target_column, "is for classes and labels"),
    ("value_range", lambda args, kind: kind != "digits", "is for images of floats"),
    ("check", lambda args, kind: kind != "digits" or args.check == "full", "is for files of images"),
    ("workers", lambda args, kind: kind != "digits", "is for files of images"),
    ("validation_split", lambda args, kind: not args.folds, "and --folds exclude each other"),
)

_VALIDATION_SPLIT = 0.2
_SMALL = 48  # pixels; below, the CIFAR nets' three halvings do better than ImageNet's five


def run(args: argparse.Namespace) -> None:
    """Trains a network on images, in this process or in one for each device."""
    data = Path(args.data).resolve()
    out = args.out or Path("runs") / (data.stem if kind_of_data(args.data) == "table" else data.name)
    if processes := processes_for(args.devices):
        launch(processes, args.typed)
    place = distribution.start(args.devices)
    with distribution.one_speaks():
        _check(args, out)
        if place.devices > 1:
            say(f"devices: {place.devices}" + (f" in {place.processes} processes" if place.processes > 1 else ""))
        _run(args, out)


def _run(args: argparse.Namespace, out: Path) -> None:
    """Trains."""
    record = _record(args)
    sides, leaks, shorter = _pictures(args, out)
    check_loss(sides["training"].task, args.loss)  # which a table may have told
    monitor_of(sides["training"].task, args.monitor)
    asked = {name: getattr(args, name) for name in ("model", "weights", "scope", "image_size", "dropout", "dtype")}
    if args.weights not in (None, "none", "imagenet", *list_weights()):
        asked["weights_hash"] = digest(open_named(args.weights, "--weights"))
    if args.resume and not (out / record).is_file():
        say(f"note: there is no run in {out} to resume, so this one starts from the beginning")
    earlier = run_folder.read(out, record)["arguments"] if args.resume and (out / record).is_file() else {}
    chosen = earlier.get("chosen") or _choose(args, shorter)
    sides = {side: part.with_(image_size=chosen["image_size"]) for side, part in sides.items()}
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})
    if recipe.balance == "loss":  # as runs of before note it
        recipe = replace(recipe, balance=True)
    if chosen["weights"] and not (recipe.freeze or recipe.unfreeze_from) and recipe.learning_rate is None:
        recipe = fine_tuning(recipe)
        say(f"learning rate: {recipe.learning_rate:g}, a tenth of the usual, since all pretrained weights train")
    import_tensorflow()
    build = partial(_build, args, chosen)
    settings = {
        "arguments": {"asked": asked, "chosen": chosen},
        "resume": args.resume,
        "overwrite": args.overwrite,
        "threshold": args.threshold,
    }
    try:
        with redirect_stdout(sys.stderr or sys.stdout):  # Keras prints the epochs
            if args.folds:
                results = train_folds(
                    build, sides["training"], out, args.folds, recipe, test=sides.get("test"), **settings
                )
            else:
                keras.utils.set_random_seed(args.seed)
                splits = datasets.Splits(sides["training"], sides["validation"], sides.get("test"), leaks)
                found = train(build(splits.training), splits, out, recipe, **settings)
    except KeyboardInterrupt:
        _, *again = (word for word in args.typed if word not in ("--resume", "--overwrite"))
        backend = f"KERAS_BACKEND={keras.backend.backend()} "
        say(
            f"\nstopped: {_kept(args, out)}. To go on:\n"
            f"  {backend}{shlex.join(['keras-resnet', 'train', '--resume', *again])}"
        )
        raise
    if distribution.here().rank:  # the first process has the folder, and tells of it
        return
    if args.folds:
        print(f"folds: {out / run_folder.FOLDS}")
        print("\n".join(spread_in_words(results)))
        return
    print(f"model: {out / run_folder.MODEL}")
    print(f"report: {out / run_folder.REPORT}")
    if "test" in found:
        print(f"test {found['test'].score()}")
    print(f"best validation {found['validation'].score()} (epoch {run_folder.read(out)['results']['best_epoch']})")


def _record(args: argparse.Namespace) -> str:
    """What the folder of this command's runs notes its arguments in."""
    return run_folder.FOLDS if args.folds else run_folder.RUN


def _kept(args: argparse.Namespace, out: Path) -> str:
    """What an interrupted run leaves."""
    if args.folds:
        done = sum(map(run_folder.is_done, run_folder.folds_of(out)))
        return f"{done} of {args.folds} folds are done"
    kept = out / run_folder.MODEL
    return f"the best model so far is {kept}" if kept.is_file() else "no epoch was done"


def _build(args: argparse.Namespace, chosen: Mapping[str, Any], training: Pictures) -> keras.Model:
    """The network with a last layer for the task."""
    names, network = len(training.class_names), builder_of(chosen["network"])
    size = chosen["image_size"] if isinstance(chosen["image_size"], int) else tuple(chosen["image_size"])
    shared: dict[str, Any] = {
        "channels": args.channels,
        "data_format": "channels_last",  # as the pictures come
        "dropout": args.dropout,
        "dtype": args.dtype,
        "scope": args.scope,
    }
    if training.task == "regression":
        units = {"mean": training.labels.mean(0), "deviation": deviations(training.labels)}
        model = transfer.regressor(network, names, size, chosen["weights"], **units, **shared)
    else:
        activation = "sigmoid" if training.task == "labels" else "softmax"
        model = transfer.classifier(network, names, size, chosen["weights"], classifier_activation=activation, **shared)
    if args.unfreeze_from:
        check_choice("--unfreeze-from", args.unfreeze_from, transfer.stages(model))
    return model


def _task(args: argparse.Namespace, kind: str) -> Task | None:
    """The task, unless the table tells it."""
    task: Task | None = "classes" if kind != "table" else "regression" if args.target_column else args.task
    return task


def _check(args: argparse.Namespace, out: Path) -> None:
    """Refuses before anything is read."""
    kind = kind_of_data(args.data)
    for name, allowed, why in _ONLY:
        if getattr(args, name) and not allowed(args, kind):
            raise ValueError(f"`{name}` {why}; leave it out, with {args.data!r}.")
    if task := _task(args, kind):
        check_loss(task, args.loss)
        monitor_of(task, args.monitor)
    if kind == "folder" and out.resolve().is_relative_to(Path(args.data).resolve()):
        raise ValueError(f"--out must not lie in DATA, where it would be a class; {str(out)!r} does. Pass another.")
    run_folder.check_free(out, args.resume, args.overwrite, _record(args))
    if args.model:
        find_row(args.model, "--model")
        if args.image_size:
            check_image_size(args.model, args.image_size)
    weights = args.weights
    row = list_weights().get(weights or "")
    if row and row.handle:
        download(row)  # which it can't be: this says what to do instead
    if args.model and row and find_row(row.network).name != find_row(args.model).name:
        raise ValueError(f"--weights {row.key} are of {row.network}; leave --model out, or pass --model {row.network}.")
    if weights not in (None, "none", "imagenet", *list_weights()):
        open_named(weights, "--weights", ("imagenet", "none"))
    elif args.scope:
        raise ValueError(f"--scope {args.scope} is for a file that holds several networks: pass it as --weights.")
    if args.dtype != "float32":
        say(f"{args.dtype}: fast on GPUs and TPUs; most CPUs compute in 16 bits by software, which is much slower")


def _pictures(args: argparse.Namespace, out: Path) -> tuple[dict[str, Pictures], list[tuple[Path, ...]], int]:
    """What trains, validates (but for folds) and tests, what lies in two, and the shorter side in pixels."""
    batch, split, seed = args.batch_size, args.validation_split, args.seed
    split = _VALIDATION_SPLIT if split is None else split
    leaks: list[tuple[Path, ...]] = []
    kind = kind_of_data(args.data)
    if kind == "digits":
        level = args.augment or "none"  # a mirrored digit is none
        digits = datasets.digits(16, batch, one_hot=True).with_(**_reading(args))
        digits.reader.look(digits.pictures[0])  # gray, which is not any number of channels
        parts = (digits.with_(augment=level),) if args.folds else digits.split(split, seed, level)
        sides, shorter = dict(zip(("training", "validation"), parts, strict=False)), 16
        say(f"scikit-learn's digits: {', '.join(f'{len(part.labels)} for {side}' for side, part in sides.items())}")
    else:
        level = args.augment or "light"
        how: dict[str, Any] = {
            "batch_size": batch,
            "augment": level,
            "one_hot": True,
            "columns": columns_of(args),
            "task": args.task,
            "workers": args.workers,
            "check": args.check,
            "checked": out if args.resume else None,
            **_reading(args),
        }
        if args.folds:
            whole, test = datasets.undivided(args.data, **how)
            sides = {"training": whole} | ({} if test is None else {"test": test})
        else:
            pictures = datasets.splits(args.data, validation_split=split, seed=seed, **how)
            sides, leaks = pictures.sides(), pictures.leaks
        inventory = sides["training"].inventory
        shorter = inventory.shorter_side if inventory else 0
    say(f"augmentation: {level}")
    for name, value in sides["training"].description.settings().items():
        say(f"{name.replace('_', ' ')}: {' to '.join(map(str, value)) if isinstance(value, tuple) else value}")
    return sides, leaks, shorter


def _reading(args: argparse.Namespace) -> dict[str, Any]:
    """How pictures are read."""
    value_range = args.value_range and tuple(args.value_range)
    return {"resize": args.resize, "channels": args.channels, "value_range": value_range}


def _choose(args: argparse.Namespace, shorter: int) -> dict[str, Any]:
    """Network, weights and image size, as asked or as suits the pictures; says which and why."""
    row = list_weights().get(args.weights or "")
    if args.model:
        network, why = builder_name(find_row(args.model).name), "as asked"
    elif row:
        network, why = row.network, "which the weights are of"
    else:
        network, why = suggest(shorter, pretrained=args.weights == "imagenet")
    weights = None if args.weights == "none" else args.weights
    if args.weights is None and is_published(network):
        try:
            fetch_published(network)
            weights = "imagenet"
        except (OSError, ImportError) as error:
            say(f"warning: no pretrained weights of {network} can be had: {error}")
            if args.freeze or args.unfreeze_from:
                raise ValueError(
                    f"--freeze and --unfreeze-from need pretrained weights, and those of {network} can't be had. Put "
                    "the file where the warning says, or pass another one as --weights."
                ) from error
    if weights is None and not args.model and is_published(network):
        network, why = "ResNet20", "small enough to learn from scratch"
    if weights is None and (args.freeze or args.unfreeze_from):
        why = "--weights is none" if args.weights else f"none are published for {network}"
        raise ValueError(
            f"--freeze and --unfreeze-from need pretrained weights, and {why}. Pass a file or a key as --weights."
        )
    size, reason = args.image_size, "as asked"
    if not size and row:
        size, reason = row.image_size, "what the weights were trained for"
    elif not size:
        size, reason = suggest_size(network, shorter, weights == "imagenet")
    check_image_size(network, size)
    say(f"network: {network} ({why})")
    say(f"image size: {'x'.join(map(str, as_pair(size)))} ({reason})")
    say(f"weights: {weights or 'none; it trains from scratch'}")
    return {"network": network, "weights": weights, "image_size": size}


def is_published(network: str) -> bool:
    """Returns whether a network has ImageNet weights."""
    return _published(network) is not None


def fetch_published(network: str) -> None:
    """Downloads what `weights="imagenet"` means for a network without top, once.

    Raises:
        OSError: if it can't be had.
        ImportError: if a library that reads it is missing.
    """
    found = _published(network)
    if found is None:
        raise OSError(f"there are no ImageNet weights of {network}")
    download(found)


def _published(network: str) -> Checkpoint | None:
    """The row that a builder's weights="imagenet" means."""
    try:
        return imagenet(find_row(network), None, include_top=False)
    except ValueError:
        return None


def suggest(shorter_side: int, pretrained: bool = False) -> tuple[str, str]:
    """Returns the network that suits pictures of a size, and why; one with ImageNet weights if these are wanted."""
    if shorter_side <= _SMALL and not pretrained:
        return "ResNet20", f"a CIFAR network, as the images' median shorter side is {shorter_side} pixels"
    return "ResNet50V2", f"it has ImageNet weights, and the images' median shorter side is {shorter_side} pixels"


def suggest_size(network: str, shorter_side: int, pretrained: bool) -> tuple[int, str]:
    """Returns the height and width that suit network and pictures, and why; `pretrained`: with ImageNet's weights."""
    published = _published(network) if pretrained else None
    side = published.image_size if published else find_row(network).image_side
    if side == 32 and shorter_side > _SMALL:
        return 64, "quick, and the network halves it three times"
    if side == 32:
        return max(
            16, min(shorter_side, _SMALL) // 4 * 4
        ), f"near the images' median shorter side, {shorter_side} pixels"
    if shorter_side < side:
        return max(64, shorter_side // 32 * 32), f"near the images' median shorter side, {shorter_side} pixels"
    return side, "what its ImageNet weights are for" if pretrained else "what the network is for"
