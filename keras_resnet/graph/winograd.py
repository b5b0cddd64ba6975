"""3x3 convolutions by Winograd's minimal filtering (arXiv:1509.09308): fewer multiplications than a direct one has.

A tile of m x m results is a sum over channels of products of two transformed tiles, of (m + 2) x (m + 2) numbers each:
of the map, and of the kernel. That is 4 times fewer products for m = 4, and 2.25 times for m = 2. The transforms are
sums; where there are many channels and tiles, they cost little.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from keras import ops

_PART = 16 * 2**20  # bytes of transformed tiles, half of a usual cache

# Where the polynomials behind the transforms are evaluated, besides infinity. The customary points for m = 4, which are
# 0, 1, -1, 2 and -2, lose 4 times as much precision.
_POINTS = {2: ("0", "1", "-1"), 4: ("0", "3/4", "-3/4", "3/2", "-3/2")}


def winograd(x: Any, kernel: Any, padding: str, m: int) -> Any:
    """Returns the convolution of NHWC maps with a kernel of shape (3, 3, channels, filters), of stride 1.

    Args:
        x: the maps, of a known shape.
        kernel: the kernel.
        padding: "same" or "valid".
        m: the side of a tile of the result, 2 or 4.
    """
    _, to_kernel, _ = transforms(m)
    both = np.kron(to_kernel, to_kernel).astype("float32")
    kernel = ops.reshape(ops.matmul(both, ops.reshape(kernel, (9, -1))), (len(both), *kernel.shape[2:]))
    count, pad = x.shape[0], int(padding == "same")
    part = _images_at_once(x.shape, kernel.shape, m)
    if part == count:
        return _convolve(x, kernel, pad, m)
    parts = ops.reshape(x, (count // part, part, *x.shape[1:]))
    y = ops.map(lambda each: _convolve(each, kernel, pad, m), parts)
    return ops.reshape(y, (count, *y.shape[2:]))


def _images_at_once(shape: Sequence[int], kernel: Sequence[int], m: int) -> int:
    """Returns how many images of a batch are computed at once, so that their transformed tiles stay in the caches."""
    count, height, width, channels = shape
    tiles = math.ceil(height / m) * math.ceil(width / m)
    size = 4 * kernel[0] * tiles * max(channels, kernel[-1])
    if size * count <= _PART:
        return count
    return max(part for part in range(1, count + 1) if count % part == 0 and (part == 1 or part * size <= _PART))


def _convolve(x: Any, kernel: Any, pad: int, m: int) -> Any:
    """Returns the convolution with a transformed kernel of maps that have a pad of zeros around them."""
    to_result, _, to_map = transforms(m)
    t, (count, height, width, channels) = m + 2, x.shape
    height, width = height + 2 * pad - 2, width + 2 * pad - 2
    rows, columns = math.ceil(height / m), math.ceil(width / m)
    below, beside = rows * m + 2 - pad - x.shape[1], columns * m + 2 - pad - x.shape[2]
    x = ops.pad(x, ((0, 0), (pad, below), (pad, beside), (0, 0)))
    x = _transformed(to_map, [x[:, i : i + (rows - 1) * m + 1 : m] for i in range(t)], 0)
    x = _transformed(to_map, [x[:, :, :, i : i + (columns - 1) * m + 1 : m] for i in range(t)], 1)
    y = ops.matmul(ops.reshape(x, (t * t, count * rows * columns, channels)), kernel)
    y = ops.reshape(y, (t, t, count, rows, columns, kernel.shape[-1]))
    y = _transformed(to_result, [y[i] for i in range(t)], 0)
    y = _transformed(to_result, [y[:, i] for i in range(t)], 1)
    y = ops.reshape(ops.transpose(y, (2, 3, 0, 4, 1, 5)), (count, rows * m, columns * m, kernel.shape[-1]))
    return y[:, :height, :width]


@cache
def transforms(m: int) -> tuple[Any, Any, Any]:
    """Returns the matrices that transform products to results, kernels, and maps, along one axis.

    They follow from interpolation: the convolution of m results with 3 numbers is, transposed, the product of two
    polynomials, which is known by its values at m + 1 points and infinity.
    """
    points = [Fraction(point) for point in _POINTS[m]]
    inverse = _inverse(_powers(points, m + 2))
    to_map = [[inverse[j][i] for j in range(m + 2)] for i in range(m + 2)]
    to_result = [list(column) for column in zip(*_powers(points, m), strict=True)]
    return np.array(to_result, "float64"), np.array(_powers(points, 3), "float64"), np.array(to_map, "float64")


def _powers(points: Sequence[Fraction], count: int) -> list[list[Fraction]]:
    """Returns the powers of each point, and for infinity the highest one alone."""
    last = [Fraction(0)] * (count - 1) + [Fraction(1)]
    return [*([point**power for power in range(count)] for point in points), last]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Returns the exact inverse."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(j for j in range(i, size) if rows[j][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(size):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]


def _transformed(matrix: Any, parts: Sequence[Any], axis: int) -> Any:
    """Returns the matrix times the parts, stacked along an axis, without products by 0 and 1."""
    rows = []
    for row in matrix:
        terms = [
            part if factor == 1 else float(factor) * part for factor, part in zip(row, parts, strict=True) if factor
        ]
        rows.append(sum(terms[1:], terms[0]))
    return ops.stack(rows, axis)
