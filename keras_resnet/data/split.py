"""Divides images into sides or folds: stratified over classes, labels or numbers, with groups kept together."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from keras_resnet.utils.errors import enumerate_some, import_optional

Array = np.ndarray[Any, Any]

_BINS = 5  # of numbers, with as many images in each
_STEPS, _GREED = 1000, 0.7  # of moving groups: how many, and the share of best ones


def split(
    labels: Array, task: str, names: Sequence[str], share: float, seed: int, groups: Sequence[str] | None = None
) -> tuple[list[int], list[int]]:
    """Divides images into a training and a validation set.

    Args:
        labels: as for `keras_resnet.data.Pictures`.
        task: what the labels are.
        names: of the classes, labels or numbers.
        share: of the images that validate, in (0, 1).
        seed: determines the sets.
        groups: for each image its group, which is on one side alone.

    Returns:
        The indices of both.

    Raises:
        ValueError: if the share is no such number, or a class, a label or the groups can't be on both sides.
    """
    if not 0 < share < 1:
        raise ValueError(f"`validation_split` must be above 0 and below 1; received {share!r}.")
    if task == "classes" and groups is None:
        return _split_classes(labels, names, share, seed)
    check_divisible(labels, task, names, 2, groups)
    found = _divide(labels, task, names, (1 - share, share), seed, groups)
    rng = np.random.default_rng(seed)
    return rng.permutation(found[0]).tolist(), found[1]


def folds(
    labels: Array, task: str, names: Sequence[str], count: int, seed: int, groups: Sequence[str] | None = None
) -> list[list[int]]:
    """Divides images into folds, each of which validates once; the arguments are those of `split`.

    Raises:
        ValueError: if a class, a label or the groups are too few for so many folds.
    """
    check_divisible(labels, task, names, count, groups)
    if task == "classes" and groups is None:
        kfold = import_optional("sklearn.model_selection").StratifiedKFold(count, shuffle=True, random_state=seed)
        return [found.tolist() for _, found in kfold.split(np.zeros(len(labels)), labels)]
    return _divide(labels, task, names, (1 / count,) * count, seed, groups)


def check_divisible(labels: Array, task: str, names: Sequence[str], parts: int, groups: Sequence[str] | None) -> None:
    """Raises a `ValueError` for classes, labels or groups that are too few for so many parts."""
    into = "one for training and one for validation" if parts == 2 else f"one for each of {parts} folds"
    what = "images" if groups is None else "groups"
    numbered = _numbered(groups, len(labels))
    if (count := len(np.unique(numbered))) < parts:
        raise ValueError(f"There must be {parts} {what} or more, {into}; there are {count}.")
    if task == "regression":
        return
    kinds, few = _kinds(labels, task, len(names)), []
    least = parts if task == "classes" else 2
    for place, name in enumerate(names):
        count = len(np.unique(numbered[kinds[:, place]]))
        if count < least and (count or task == "classes"):
            few.append(f"{name!r} has {count}")
    if few:
        kind = "class" if task == "classes" else "label"
        into = into if task == "classes" else "one for training and one for validation"
        needs = "two" if least == 2 else least
        raise ValueError(
            f"Every {kind} needs {needs} {what}, {into}; {enumerate_some(few, 5)}. Add images, or remove the {kind}."
        )


def balanced_order(labels: Array, task: str, rng: np.random.Generator) -> Array:
    """Returns as many indices as there are images, of which every class comes as often as any other.

    The images of a class are repeated as evenly as it goes. Of several labels an image counts for its rarest one, and
    images without a label are a class of their own.
    """
    if task == "labels":
        counts = labels.sum(0)
        rarest = np.where(labels > 0, counts, np.inf).argmin(1)
        labels = np.where(labels.any(1), rarest, labels.shape[1])
    present = np.unique(labels)
    shares = np.full(len(present), len(labels) // len(present))
    shares[rng.permutation(len(present))[: len(labels) % len(present)]] += 1
    drawn = []
    for kind, share in zip(present, shares, strict=True):
        own = np.flatnonzero(labels == kind)
        drawn += [rng.permutation(own) for _ in range(ceil(share / len(own)))][:-1]
        drawn.append(rng.permutation(own)[: share - len(own) * (ceil(share / len(own)) - 1)])
    return np.asarray(rng.permutation(np.concatenate(drawn)))


def _split_classes(labels: Array, names: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """The sets of images of one class each."""
    train_test_split = import_optional("sklearn.model_selection").train_test_split
    count, counts = len(labels), np.bincount(labels, minlength=len(names))
    validating = ceil(share * count)
    if min(counts) < 2:
        rarest = names[int(np.argmin(counts))]
        raise ValueError(
            f"Every class needs two images, one for training and one for validation; {rarest!r} has {min(counts)}. "
            "Add images, or remove the class."
        )
    if min(validating, count - validating) < len(counts):
        raise ValueError(
            "`validation_split` must leave an image of each class for training and for validation; "
            f"{share} of {count} images is {validating}, for {len(counts)} classes."
        )
    parts = train_test_split(range(count), test_size=share, random_state=seed, stratify=labels)
    for here, there in (parts, parts[::-1]):  # rare classes may have been rounded away
        for label in np.flatnonzero(np.bincount(labels[here], minlength=len(counts)) == 0):
            here.append(there.pop(next(i for i, index in enumerate(there) if labels[index] == label)))
    return parts[0], parts[1]


def _kinds(labels: Array, task: str, count: int) -> Array:
    """Whether each image is of each class, has each label, or is in each bin of each number, (N, kinds)."""
    if task == "classes":
        return np.asarray(labels[:, np.newaxis] == np.arange(count))
    if task == "labels":
        return np.asarray(labels > 0)
    columns: list[Array] = []
    for numbers in labels.T:
        edges = np.unique(np.quantile(numbers, np.arange(1, _BINS) / _BINS))
        columns.append(np.searchsorted(edges, numbers, "right")[:, np.newaxis] == np.arange(len(edges) + 1))
    return np.concatenate(columns, 1)


def _numbered(groups: Sequence[str] | None, count: int) -> Array:
    """The number of each image's group; without groups each is its own."""
    return (
        np.arange(count)
        if groups is None
        else np.unique(np.asarray(groups, object).astype(str), return_inverse=True)[1]
    )


def _divide(
    labels: Array, task: str, names: Sequence[str], shares: Sequence[float], seed: int, groups: Sequence[str] | None
) -> list[list[int]]:
    """The indices of each part; every class is in all of them, and every label of two or more groups in two."""
    kinds, numbered, rng = _kinds(labels, task, len(names)), _numbered(groups, len(labels)), np.random.default_rng(seed)
    side_of, held = _assign(kinds, numbered, shares, rng)
    images = np.bincount(numbered)[:, np.newaxis]
    holds = images if task == "regression" else np.concatenate([images, held], 1)
    groups_of = (holds > 0).sum(0)
    parts = np.full(len(groups_of), len(shares))
    if task == "labels":
        parts[1:] = 2
    lacking = _mend(side_of, holds, np.minimum(groups_of, parts), len(shares), rng)
    if lacking:
        found = enumerate_some([repr(names[kind - 1]) for kind in lacking if kind], 5)
        raise ValueError(
            f"The groups of {found} must be on both sides, or in all folds, and no such division was found, as these "
            f"groups hold other {task} too. Divide the groups, or remove "
            f"{'the class' if task == 'classes' else 'the label'}."
        )
    return [np.flatnonzero(side_of[numbered] == side).tolist() for side in range(len(shares))]


def _assign(kinds: Array, groups: Array, shares: Sequence[float], rng: np.random.Generator) -> tuple[Array, Array]:
    """The side of each group, and how many images of each kind it holds.

    This is iterative stratification (Sechidis et al. 2011), of groups instead of images. The kind of which fewest
    images are left comes first; each group of it, from the largest, goes to the side that lacks most of this kind, then
    of images. The last groups of a kind go where there is none of it yet.
    """
    count = int(groups.max()) + 1
    sizes = np.bincount(groups, minlength=count)
    held = np.zeros((count, kinds.shape[1]))
    np.add.at(held, groups, kinds)
    lacks = np.outer(shares, held.sum(0))  # of each kind, by side
    room = np.asarray(shares) * len(groups)
    have = np.zeros_like(lacks)
    side_of = np.full(count, -1)
    left = held.sum(0)

    def put(group: int, candidates: Array, lack: Array) -> None:
        best = candidates[lack[candidates] >= lack[candidates].max() - 1e-9]
        best = best[room[best] >= room[best].max() - 1e-9]
        side = int(best[0] if len(best) == 1 else rng.choice(best))
        side_of[group] = side
        lacks[side] -= held[group]
        have[side] += held[group]
        room[side] -= sizes[group]

    everywhere = np.arange(len(shares))
    while (left > 0).any():
        kind = int(np.where(left > 0, left, np.inf).argmin())
        members = rng.permutation(np.flatnonzero((held[:, kind] > 0) & (side_of < 0)))
        members = members[np.argsort(-held[members, kind], kind="stable")]
        for place, group in enumerate(members):
            none = np.flatnonzero(have[:, kind] == 0)
            few = len(members) - place <= len(none)
            put(int(group), none if few and len(none) else everywhere, lacks[:, kind])
        left = held[side_of < 0].sum(0)
    rest = rng.permutation(np.flatnonzero((side_of < 0) & (sizes > 0)))
    for group in rest[np.argsort(-sizes[rest], kind="stable")]:
        put(int(group), everywhere, room)
    return side_of, held


def _mend(side_of: Array, holds: Array, needs: Array, sides: int, rng: np.random.Generator) -> list[int]:
    """Moves groups until each kind is on as many sides as it needs; returns the kinds for which it found no way.

    It is a random walk that takes the best step more often than not (Selman et al. 1994): a group of a kind that is
    lacking goes to a side without this kind.
    """
    count = np.stack([(holds[side_of == side] > 0).sum(0) for side in range(sides)])  # groups, by side and kind
    best, fewest = side_of.copy(), len(needs) + 1
    for _ in range(_STEPS):
        lacking = np.maximum(needs - (count > 0).sum(0), 0)
        if lacking.sum() < fewest:
            best, fewest = side_of.copy(), lacking.sum()
        if not fewest:
            break
        kind = rng.choice(np.flatnonzero(lacking))
        to = rng.choice(np.flatnonzero(count[:, kind] == 0))
        members = np.flatnonzero(holds[:, kind])
        own = holds[members] > 0
        on = (count > 0).sum(0) - (own & (count[side_of[members]] == 1)) + (own & (count[to] == 0))
        cost = np.maximum(needs - on, 0).sum(1) + holds[members, 0] / (holds[:, 0].sum() + 1)  # then the smallest
        place = int(cost.argmin() if rng.random() < _GREED else rng.integers(len(members)))
        count[side_of[members[place]]] -= own[place]
        count[to] += own[place]
        side_of[members[place]] = to
    side_of[:] = best
    count = np.stack([(holds[side_of == side] > 0).sum(0) for side in range(sides)])
    return np.flatnonzero((count > 0).sum(0) < needs).tolist()
