"""Splits, folds and sampling: properties over random tables of classes, labels and numbers, with groups and without."""

from itertools import chain, product
from time import perf_counter
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, train_test_split

from keras_resnet.data import Pictures
from keras_resnet.data.split import balanced_order, folds, split
from keras_resnet.training.objectives import loss_of
from keras_resnet.training.recipe import Recipe, compile_for

pytestmark = pytest.mark.one_backend
TABLES = [
    (task, grouped, seed) for task in ("classes", "labels", "regression") for grouped in (0, 1) for seed in range(8)
]
of_tables = pytest.mark.parametrize(("task", "grouped", "seed"), TABLES)


def table(task: str, grouped: int, seed: int) -> tuple[Any, list[str], list[str] | None]:
    """Labels, their names and groups: rare kinds, none, constant and repeated numbers, groups of all sizes."""
    rng = np.random.default_rng(seed)
    count, kinds = int(rng.integers(60, 300)), int(rng.integers(2, 7))
    names = [f"kind {index}" for index in range(kinds)]
    groups = [f"patient {int(rng.integers(count) ** 2 / count)}" for _ in range(count)] if grouped else None
    if task == "classes":
        labels = rng.choice(kinds, count, p=rng.dirichlet(np.full(kinds, 2.0)))
        labels[: 12 * kinds] = np.arange(12 * kinds) % kinds
        if groups:
            groups[: 12 * kinds] = [f"own {index // 2}" for index in range(12 * kinds)]
    elif task == "labels":
        labels = (rng.random((count, kinds)) < rng.uniform(0.02, 0.6, kinds)).astype("float32")
        labels[:, 0] = np.arange(count) < 2  # as rare as a label may be
        if groups:
            groups[:12] = [f"own {index}" for index in range(12)]
            labels[:12] = 1
            labels[:12, 0] = np.arange(12) < 2
        else:
            labels[:2] = 1
    else:
        labels = np.stack([rng.normal(size=count), rng.integers(0, 3, count), np.full(count, 4.0)], 1)
        names = ["normal", "repeated", "constant"]
    return labels, names, groups


def has(labels: Any, task: str, count: int) -> Any:
    """Whether each image is of a class or has a label, (N, kinds)."""
    return labels[:, None] == np.arange(count) if task == "classes" else labels > 0


@of_tables
def test_a_split_parts_all_images_and_no_group(task: str, grouped: int, seed: int) -> None:
    labels, names, groups = table(task, grouped, seed)
    training, validation = split(labels, task, names, 0.25, seed, groups)
    assert sorted(training + validation) == list(range(len(labels)))
    assert split(labels, task, names, 0.25, seed, groups) == (training, validation)
    if groups:
        assert not {groups[i] for i in training} & {groups[i] for i in validation}
    largest = max(np.unique(groups, return_counts=True)[1]) if groups else 1
    assert abs(len(validation) - 0.25 * len(labels)) <= largest + len(names)
    if task != "regression":
        kinds = has(labels, task, len(names))
        both = [len({groups[i] if groups else i for i in np.flatnonzero(column)}) > 1 for column in kinds.T]
        assert (kinds[training].any(0) & kinds[validation].any(0))[both].all()


@of_tables
def test_each_image_validates_in_one_fold(task: str, grouped: int, seed: int) -> None:
    labels, names, groups = table(task, grouped, seed)
    found = folds(labels, task, names, 4, seed, groups)
    assert len(found) == 4
    assert sorted(chain(*found)) == list(range(len(labels)))
    assert folds(labels, task, names, 4, seed, groups) == found
    fold_of = {index: fold for fold, some in enumerate(found) for index in some}
    if groups:
        assert all(len({fold_of[i] for i in range(len(labels)) if groups[i] == group}) == 1 for group in set(groups))
    largest = max(np.unique(groups, return_counts=True)[1]) if groups else 1
    assert all(abs(len(some) - len(labels) / 4) <= largest + len(names) for some in found)
    if task == "regression":
        return
    kinds = has(labels, task, len(names))
    for name, column in zip(names, kinds.T, strict=True):
        own = {groups[i] if groups else i for i in np.flatnonzero(column)}
        validating = sum(column[some].any() for some in found)
        assert validating >= min(len(own), 4), name
        if len(own) > 1:  # and no fold trains without it
            assert all(column[np.setdiff1d(np.arange(len(labels)), some)].any() for some in found), name


@pytest.mark.parametrize("seed", range(6))
def test_classes_without_groups_split_as_scikit_learn_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(4), rng.integers(10, 60, 4)))
    names = ["a", "b", "c", "d"]
    expected = train_test_split(range(len(labels)), test_size=0.3, random_state=seed, stratify=labels)
    assert split(labels, "classes", names, 0.3, seed) == tuple(expected)
    kfold = StratifiedKFold(5, shuffle=True, random_state=seed).split(labels[:, None], labels)
    assert folds(labels, "classes", names, 5, seed) == [some.tolist() for _, some in kfold]


def test_shares_of_labels_and_numbers_are_alike_in_all_folds() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((2000, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.01]).astype("float32")
    parts = folds(labels, "labels", list("abcdef"), 5, 0)
    counts = np.stack([labels[some].sum(0) for some in parts])
    assert (np.ptp(counts, axis=0) <= 2).all(), counts
    assert np.ptp([len(some) for some in parts]) <= 6
    numbers = rng.lognormal(size=(2000, 2))
    parts = folds(numbers, "regression", ["x", "y"], 5, 0)
    deciles = np.stack([np.quantile(numbers[some], [0.2, 0.4, 0.6, 0.8], axis=0) for some in parts])
    assert (abs(deciles / np.quantile(numbers, [0.2, 0.4, 0.6, 0.8], axis=0) - 1) < 0.1).all()


def test_numbers_of_groups_are_alike_on_both_sides() -> None:
    rng = np.random.default_rng(1)
    of_group = rng.normal(size=200)
    groups = rng.integers(200, size=3000)
    numbers = of_group[groups][:, None] + 0.1 * rng.normal(size=(3000, 1))
    training, validation = split(numbers, "regression", ["x"], 0.2, 0, groups.astype(str).tolist())
    assert abs(numbers[training].mean() - numbers[validation].mean()) < 0.1
    assert abs(len(validation) - 600) < 40


@pytest.mark.parametrize("task", ["classes", "labels", "regression"])
@pytest.mark.parametrize("parts", [2, 3])
def test_the_fewest_images_that_can_be_divided_are(task: str, parts: int) -> None:
    """Two images a class of two; labels that two images have; as many numbers as folds."""
    labels: Any = {
        "classes": np.repeat([0, 1], parts),
        "labels": np.eye(2, dtype="float32")[np.repeat([0, 1], parts)],
        "regression": np.zeros((parts, 1)),
    }[task]
    names = ["a"] if task == "regression" else ["a", "b"]
    for groups in (None, [f"g{i}" for i in range(len(labels))]):
        found = folds(labels, task, names, parts, 3, groups)
        assert all(found)
        assert sorted(chain(*found)) == list(range(len(labels)))
        if parts == 2:
            assert all(split(labels, task, names, 0.5, 3, groups))


@pytest.mark.parametrize("grouped", [False, True])
def test_unlabelled_images_are_divided_evenly(grouped: bool) -> None:
    labels = np.zeros((100, 2), "float32")
    labels[:4] = 1
    found = folds(labels, "labels", ["a", "b"], 4, 0, [f"g{i // 2}" for i in range(100)] if grouped else None)
    assert [len(some) for some in found] == [25] * 4 or grouped
    assert max(map(len, found)) - min(map(len, found)) <= 2


def test_empty_and_odd_names_of_groups_are_groups() -> None:
    groups = ["", "é", "1", "01", "1.0", " 1"] * 10
    labels = np.arange(60) % 2
    found = folds(labels[:, None], "regression", ["x"], 3, 0, groups)
    assert sorted(len({groups[i] for i in some}) for some in found) == [2, 2, 2]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"labels": np.zeros((4, 1)), "task": "regression", "groups": ["a"] * 4}, "two groups|2 groups"),
    ({"labels": np.asarray([0, 0, 1]), "task": "classes"}, "'b' has 1"),
    ({"labels": np.asarray([0, 0, 1, 1]), "task": "classes", "groups": ["p", "q", "p", "p"]}, "'b' has 1"),
    ({"labels": np.asarray([0, 0, 0]), "task": "classes", "groups": ["p", "q", "r"]}, "'b' has 0"),
    ({"labels": np.asarray([[1, 0], [1, 0], [1, 1]]), "task": "labels"}, "label.*'b' has 1"),
    ({"labels": np.asarray([[1, 1], [0, 1], [1, 0]]), "task": "labels", "groups": ["p", "q", "p"]}, "'a' has 1"),
]


@pytest.mark.parametrize(("case", "says"), BAD)
def test_what_cannot_be_on_both_sides_is_refused_in_a_sentence(case: dict[str, Any], says: str) -> None:
    case = {"names": ["a", "b"], "groups": None, **case}
    divisions: list[tuple[Any, dict[str, Any]]] = [(split, {"share": 0.5}), (folds, {"count": 2})]
    for divide, more in divisions:
        with pytest.raises(ValueError, match=says):
            divide(**case, **more, seed=0)


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="validation_split"):
        split(np.zeros((4, 1)), "regression", ["a"], share, 0)


def test_a_hundred_thousand_rows_are_divided_in_seconds() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((100_000, 50)) < rng.uniform(0.001, 0.3, 50)).astype("float32")
    names = [f"label {index}" for index in range(50)]
    for groups in (None, rng.integers(10_000, size=100_000).astype(str).tolist()):
        start = perf_counter()
        found = folds(labels, "labels", names, 10, 0, groups)
        assert perf_counter() - start < 20
        counts = np.stack([labels[part].sum(0) for part in found])
        assert (abs(counts / counts.mean(0) - 1) < 0.1).all()


def possible(holds: Any, needs: Any, parts: int) -> bool:
    """Whether groups can be divided so that each kind is on as many sides as it needs, and no side is empty."""
    for sides in product(range(parts), repeat=len(holds)):
        on = np.stack([holds[np.asarray(sides) == side].any(0) for side in range(parts)])
        if len(set(sides)) == parts and (on.sum(0) >= needs).all():
            return True
    return False


@pytest.mark.parametrize("task", ["classes", "labels"])
def test_few_groups_of_many_kinds_are_divided_wherever_they_can_be(task: str) -> None:
    """All divisions are tried of what is refused."""
    divided = refused = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        count, kinds, parts = (int(number) for number in rng.integers([4, 2, 2], [24, 6, 4]))
        names = [str(kind) for kind in range(kinds)]
        groups = [str(number) for number in rng.integers(rng.integers(2, 8), size=count)]
        labels = rng.integers(kinds, size=count)
        if task == "labels":
            labels = (rng.random((count, kinds)) < rng.uniform(0.1, 0.6)).astype("float32")
        of_kind = has(labels, task, kinds)
        holds = np.stack([of_kind[np.asarray(groups) == group].any(0) for group in sorted(set(groups))])
        divisions: list[tuple[Any, int, float]] = [(split, 2, rng.choice([0.2, 0.5])), (folds, parts, parts)]
        for divide, sides, number in divisions:
            needs = np.full(kinds, sides) if task == "classes" else np.where(of_kind.any(0), 2, 0)
            try:
                found = divide(labels, task, names, number, 0, groups)
            except ValueError:
                refused += 1
                assert not possible(holds, needs, sides), (seed, divide)
            else:
                divided += 1
                assert all(found)
                assert (np.stack([of_kind[part].any(0) for part in found]).sum(0) >= needs).all(), (seed, divide)
    assert min(divided, refused) > 20


def test_labels_that_no_division_has_on_both_sides_are_refused_and_named() -> None:
    labels = np.asarray([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 1], [1, 0, 1]], "float32")
    groups = ["p", "p", "q", "q", "r"]  # each label is in two of three groups, so no two sides have all
    with pytest.raises(ValueError, match="The groups of .* must be on both sides.*labels too"):
        split(labels, "labels", ["a", "b", "c"], 0.4, 0, groups)


def kinds_of(labels: Any, task: str) -> Any:
    """What sampling balances: the class, or the rarest label, or none."""
    if task == "classes":
        return labels
    counts = labels.sum(0)
    return np.asarray([min(np.flatnonzero(row), key=lambda i: counts[i]) if row.any() else -1 for row in labels])


@pytest.mark.parametrize("task", ["classes", "labels"])
@pytest.mark.parametrize("seed", range(5))
def test_sampling_draws_every_class_as_often(task: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels: Any = rng.choice(4, 151, p=[0.7, 0.2, 0.08, 0.02])
    labels[:4] = range(4)
    if task == "labels":
        labels = np.eye(4, dtype="float32")[labels]
        labels[rng.random(151) < 0.3, 0] = 1
        labels[-3:] = 0
    order = balanced_order(labels, task, np.random.default_rng(seed))
    kinds = kinds_of(labels, task)
    drawn = np.unique(kinds[order], return_counts=True)
    assert drawn[0].tolist() == np.unique(kinds).tolist()
    assert len(order) == 151
    assert np.ptp(drawn[1]) <= 1
    times = np.bincount(order, minlength=151)
    for kind in drawn[0]:  # the images of a class are repeated as evenly
        assert np.ptp(times[kinds == kind]) <= 1


def test_sampling_is_a_function_of_seed_and_epoch() -> None:
    arrays = [np.full((8, 8, 3), index, "uint8") for index in range(20)]
    images = Pictures(arrays, [0] * 17 + [1] * 3, ["a", "b"], 8, 4, seed=5, balance="sampling")
    orders = []
    for epoch in (0, 1, 0):
        images.set_epoch(epoch)
        orders.append(images.order.tolist())
    assert orders[0] == orders[2] != orders[1]
    assert images.with_(seed=6).order.tolist() != orders[0]
    batches = [images[index] for index in range(len(images))]
    assert all(len(batch) == 2 for batch in batches)  # no weights
    shown, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert labels.sum() == 10
    assert shown[:, 0, 0, 0].tolist() == orders[0]


def binary(true: Any, p: Any) -> Any:
    return -(true * np.log(p) + (1 - true) * np.log(1 - p))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("name", ["crossentropy", "focal"])
def test_losses_of_labels_are_those_of_the_papers(name: str, balance: bool, smoothing: float, logits: bool) -> None:
    """Binary cross-entropy; times (1 - p_t)^2 for the focal loss (arXiv:1708.02002 eq. 4), with smooth labels."""
    rng = np.random.default_rng(0)
    x, seen = rng.normal(size=(7, 3)), (rng.random((50, 3)) < [0.5, 0.1, 0.02]).astype("float32")
    seen[0] = 1
    true = (rng.random((7, 3)) < 0.5).astype("float32")
    loss = loss_of("labels", name, logits, smoothing, seen, balance)
    found = np.mean(
        keras.ops.convert_to_numpy(
            loss(*map(keras.ops.convert_to_tensor, (true, (x if logits else sigmoid(x)).astype("float32"))))
        )
    )
    smooth, p = true * (1 - smoothing) + smoothing / 2, sigmoid(x)
    each = binary(smooth, p)
    if name == "focal":
        each *= (1 - (smooth * p + (1 - smooth) * (1 - p))) ** 2
    if balance:
        having = seen.sum(0)
        each *= np.where(true > 0, 50 / (2 * having), 50 / (2 * (50 - having)))
    np.testing.assert_allclose(found, each.mean(), rtol=2e-5)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("name", ["crossentropy", "focal"])
def test_losses_of_classes_are_those_of_the_papers(name: str, smoothing: float, logits: bool) -> None:
    """-sum y (1 - p)^2 log p, alpha 1: with p = 1/2 and plain labels a quarter of the cross-entropy."""
    rng = np.random.default_rng(1)
    x, true = rng.normal(size=(9, 4)).astype("float32"), np.eye(4, dtype="float32")[rng.integers(4, size=9)]
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    loss = loss_of("classes", name, logits, smoothing)
    found = keras.ops.convert_to_numpy(
        loss(keras.ops.convert_to_tensor(true), keras.ops.convert_to_tensor(x if logits else p))
    )
    smooth = true * (1 - smoothing) + smoothing / 4
    factor = (1 - p) ** 2 if name == "focal" else 1
    np.testing.assert_allclose(found, (-smooth * factor * np.log(p)).sum(1).mean(), rtol=2e-5)


def test_balance_gives_having_a_label_and_not_having_it_the_same_weight() -> None:
    seen = (np.random.default_rng(0).random((200, 3)) < [0.5, 0.1, 0.01]).astype("float32")
    seen[:2] = 1
    half = keras.ops.convert_to_tensor(np.full_like(seen, 0.5))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="sigmoid")])
    compile_for(model, Recipe(balance="loss"), 10, "labels", seen)
    each = keras.ops.convert_to_numpy(model.loss(keras.ops.convert_to_tensor(seen), half))
    having = (seen[:, 2] > 0).sum()
    assert having < 10
    np.testing.assert_allclose(each.mean(), np.log(2), rtol=1e-5)
    rare = loss_of("labels", None, False, 0, seen[:, 2:], True)
    weight = keras.ops.convert_to_numpy(rare(keras.ops.convert_to_tensor(seen[:, 2:]), half[:, 2:])) / np.log(2)
    np.testing.assert_allclose([weight[seen[:, 2] > 0].sum(), weight[seen[:, 2] == 0].sum()], [100, 100], rtol=1e-4)


def test_a_label_that_every_image_has_or_none_is_balanced_without_a_division_by_zero() -> None:
    seen = np.stack([np.ones(8), np.zeros(8)], 1).astype("float32")
    loss = loss_of("labels", "focal", True, 0.0, seen, True)
    found = keras.ops.convert_to_numpy(loss(*map(keras.ops.convert_to_tensor, (seen, np.zeros_like(seen)))))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("balance", ["loss", "sampling", True])
def test_numbers_have_no_balance(balance: Any) -> None:
    with pytest.raises(ValueError, match="`balance` is for classes and labels"):
        Pictures([np.zeros((8, 8), "uint8")] * 2, [[1.0], [2.0]], ["x"], 8, task="regression", balance=balance)


def test_an_image_that_is_drawn_twice_is_augmented_twice() -> None:
    pictures = list(np.random.default_rng(0).integers(0, 255, (9, 8, 8, 3), "uint8"))
    labels = [0] * 8 + [1]
    data = Pictures(pictures, labels, ["a", "b"], 8, 9, seed=0, augment="light", balance="sampling")
    images, drawn = data[0]
    rare = images[drawn == 1]
    assert len(rare) >= 4
    assert len({image.tobytes() for image in rare}) > 1
    again = data.with_()
    np.testing.assert_array_equal(again[0][0], images)


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([0, 2], "classes"),
        ([-1, 0], "classes"),
        ([[0, 1], [1, 0]], "classes"),
        ([0, 1], "labels"),
        ([[0, 1, 1], [1, 0, 0]], "labels"),
        ([[0, 2], [1, 0]], "labels"),
        ([[0, 0.5], [1, 0]], "labels"),
        ([[0, float("nan")], [1, 0]], "labels"),
        ([1, 2], "regression"),
        ([[1.5, float("nan")], [1, 2]], "regression"),
        ([[1.5, float("inf")], [1, 2]], "regression"),
    ],
)
def test_labels_that_are_none_of_the_task_are_refused(labels: Any, task: Any) -> None:
    pictures = list(np.zeros((2, 4, 4, 3), "uint8"))
    with pytest.raises(ValueError, match=f"`labels` of task='{task}' must be"):
        Pictures(pictures, labels, ["a", "b"], 4, task=task)
