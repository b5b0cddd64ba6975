"""Cross-validation: a training run for each fold of the images, and what they come to together."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.data.datasets import Pictures, Splits
from keras_resnet.data.scan import duplicates
from keras_resnet.training import distribution, run_folder
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.run import plan, train
from keras_resnet.utils.progress import say

_SHARES = ("accuracy", "top_5_accuracy", "mean_average_precision")  # metrics from 0 to 1, of classes and labels


def train_folds(
    build: Callable[[Pictures], keras.Model],
    data: Pictures,
    out: str | Path,
    folds: int,
    recipe: Recipe | None = None,
    *,
    test: Pictures | None = None,
    arguments: Mapping[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    threshold: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a model for each fold of the images, which validates it; all others train it.

    Example:

        data = keras_resnet.data.folder("flowers", image_size=32, augment="light")
        build = lambda training: keras_resnet.transfer.classifier(keras_resnet.ResNet20, 3, 32)
        recipe = keras_resnet.training.Recipe(epochs=1)
        found = keras_resnet.training.train_folds(build, data, "runs/flowers", 2, recipe)
        found["validation"]["accuracy"]  # {"mean": 0.93, "spread": 0.012}

    The folder holds a run for each fold, `fold1`, `fold2` and so on (see `keras_resnet.training.train`), and
    `folds.json`: the arguments and versions, and under "results" what this returns. Classes, labels and numbers are
    divided evenly, and all images of a group are in one fold (see `keras_resnet.data.Pictures.folds`).

    Args:
        build: returns a new model for the training images of a fold; the random generators are seeded before.
        data: all images that train and validate; those that train are augmented as `data` say.
        out: a folder that is empty or does not exist yet.
        folds: how many, from 2 up.
        recipe: the settings of each training; its `seed` determines the folds, too. None: `Recipe()`.
        test: further images, with which each fold's model is evaluated; None: none.
        arguments: further settings of the runs to note, as JSON can hold them.
        resume: whether to continue in `out`: the fold that was interrupted goes on, and those done stay as they are.
        overwrite: whether to delete the folds in `out` first.
        threshold: as for `train`.
        callbacks: as for `train`; each fold trains with the same ones.

    Returns:
        "folds": for each fold its number of epochs, the best epoch, and the metrics of "validation" and "test", as in
        `run.json`; "validation" and, with a test set, "test": for each metric of the task the "mean" over the folds and
        the "spread", which is the standard deviation of a sample (squares are divided by the number of folds less one).

    Raises:
        ValueError: as from `train`; if the images can't be divided so; or if the test set has another task or other
            names. `out` does not change.
        OSError: if the disk is full.
    """
    distribution.check_started()
    recipe = recipe or Recipe()
    run_folder.check_free(Path(out), resume, overwrite, run_folder.FOLDS)
    if test is not None and (test.task, test.class_names) != (data.task, data.class_names):
        raise ValueError(
            f"`test` must be of the same task, classes or targets as `data`, {data.task!r} with {data.class_names}; it "
            f"is {test.task!r} with {test.class_names}."
        )
    if test is not None:
        test = test.with_(seed=None, augment="none", balance=False)
    with distribution.one_speaks(), distribution.folder_of_one(Path(out)) as own:
        return _train_folds(
            build, data, own, folds, recipe, test, arguments or {}, resume, overwrite, threshold, callbacks
        )


def _train_folds(
    build: Callable[[Pictures], keras.Model],
    data: Pictures,
    out: Path,
    folds: int,
    recipe: Recipe,
    test: Pictures | None,
    arguments: Mapping[str, Any],
    resume: bool,
    overwrite: bool,
    threshold: float | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, Any]:
    """Trains in a folder of this process's own."""
    runs = _runs(data, folds, test, recipe.seed)
    model = _built(build, runs[0].training, recipe.seed)
    planned = plan(model, runs[0], recipe, threshold, callbacks)  # raises what a run would
    for run in runs:
        distribution.check_run(planned.model, run, recipe.norm_sync)
    sides = {"folds": data} | ({} if test is None else {"test": test})
    asked = {
        "backend": keras.backend.backend(),
        **arguments,
        "folds": folds,
        "recipe": recipe.noted(),
        "batch_size": data.batch_size,
        "image_size": data.image_size,
        **data.description.settings(),
        "augment": data.augment,
        "threshold": threshold,
        "images": run_folder.describe(sides),
    }
    begins: dict[str, Any] = {"resume": resume, "overwrite": overwrite}
    begins |= {
        "folds done in the folder, which all must see": [run_folder.is_done(fold) for fold in run_folder.folds_of(out)]
    }
    distribution.agree({"versions": run_folder.versions(), **asked, **begins})
    run_folder.claim(out, asked, resume, overwrite, run_folder.FOLDS)
    run_folder.write_checked(out, sides)
    for number, run in enumerate(runs, 1):
        folder = out / f"fold{number}"
        if run_folder.is_done(folder):
            say(f"fold {number} of {folds} is done")
            continue
        say(f"fold {number} of {folds}: {run}")
        if number > 1 or model is None:
            model = _built(build, run.training, recipe.seed)
        train(
            model,
            run,
            folder,
            recipe,
            arguments={**arguments, "fold": number},
            resume=True,
            threshold=threshold,
            callbacks=callbacks,
        )
        model = None  # frees its memory before the next is built
    each = [run_folder.read(out / f"fold{number}")["results"] for number in range(1, folds + 1)]
    measured = [side for side in ("validation", "test") if side in each[0]]
    results = {"folds": each, **{side: _spread([_metrics(found[side]) for found in each]) for side in measured}}
    run_folder.write(out, run_folder.FOLDS, results=results)
    (out / run_folder.CHECKED).unlink(missing_ok=True)
    return results


def spread_in_words(results: Mapping[str, Any]) -> list[str]:
    """Returns a line for each metric of what `train_folds` returns."""
    lines = []
    for side in ("test", "validation"):
        for name, found in results.get(side, {}).items():
            form = ".1%" if name in _SHARES else ".4g"
            lines.append(
                f"{side} {name.replace('_', ' ')} of {len(results['folds'])} folds: mean {found['mean']:{form}}, "
                f"standard deviation {found['spread']:{form}}"
            )
    return lines


def _runs(data: Pictures, folds: int, test: Pictures | None, seed: int) -> list[Splits]:
    """The data of each run, with the images that lie on two of its sides."""
    scan = data.inventory
    looked = scan is None or all(scan.hashes)  # else they were not to be read
    found = []
    for training, validation in data.folds(folds, seed):
        sides = [training, validation, *([] if test is None else [test])]
        places = duplicates([side.hashes() for side in sides] if looked else [])
        leaks = [tuple(sides[side].pictures[index] for side, index in same) for same in places]
        found.append(Splits(training, validation, test, leaks))
    if doubled := max(len(run.leaks) for run in found):
        say(
            f"note: images lie in two folds, or in the test set too, up to {doubled} on two sides of a fold, so the "
            "measured accuracy is too high"
        )
    return found


def _built(build: Callable[[Pictures], keras.Model], training: Pictures, seed: int) -> keras.Model:
    """A model whose random weights do not depend on the folds before it."""
    keras.utils.set_random_seed(seed)
    return build(training)


def _metrics(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics of a task, of the summary of an evaluation."""
    found = {name: summary[name] for name in _SHARES if name in summary}
    for row in summary.get("targets", ()):
        found |= {f"{name} ({row['target']})": value for name, value in row.items() if name != "target"}
    return found


def _spread(folds: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each metric that all folds have."""
    found = {}
    for name in folds[0]:
        values = [value for fold in folds if (value := fold.get(name)) is not None and isfinite(value)]
        if len(values) == len(folds):
            found[name] = {"mean": float(np.mean(values)), "spread": float(np.std(values, ddof=1))}
    return found
