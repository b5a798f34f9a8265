"""Matrix products for fully connected layers.

They could be NumPy's. But BLAS has threads of its own, which go on spinning for a while after each product and take
the cores from the engine's: at a quarter of the report's width these small products then took 40% of a step.
"""

import numpy as np

from reproduce.engine import memory, threads
from reproduce.engine.compilation import kernel
from reproduce.engine.panels import add_bias, copy, panel_count, whole_panels
from reproduce.engine.simd import PANEL, ROWS, multiply_four_rows, multiply_one_row, multiply_rows

# Rows of b that one panel holds at a time: 16 KiB, half of the first-level cache.
DEPTH = 256


@kernel
def _multiply_exactly(a, a_offset, a_row, a_step, rows, b, depth, c, c_offset, accumulate):
    """c[i, :16] (+)= a[i, :depth] b for i < rows, where neither a nor c has room for more rows."""
    i = 0
    while i < rows:
        here = a_offset + i * a_row
        if rows - i >= ROWS:
            multiply_rows(a, here, a_row, 0, a_step, b, 0, 0, 1, depth, c, c_offset + i * PANEL, PANEL, accumulate)
            i += ROWS
        elif rows - i >= 4:
            multiply_four_rows(a, here, a_row, 0, a_step, b, 0, 0, 1, depth, c, c_offset + i * PANEL, PANEL, accumulate)
            i += 4
        else:
            multiply_one_row(a, here, a_row, 0, a_step, b, 0, 0, 1, depth, c, c_offset + i * PANEL, PANEL, accumulate)
            i += 1


@kernel
def _product(slot, first, last, a, a_row, a_step, rows, depth, b, b_row, b_column, columns, bias, c, scratches):
    """c = a b + bias, for the panels of 16 columns from `first` to `last`; strides give the order of a and b."""
    scratch = scratches[slot]
    sums = DEPTH * PANEL
    for panel in range(first, last):
        lanes = min(PANEL, columns - panel * PANEL)
        if lanes < PANEL:
            scratch[:sums] = 0
        for start in range(0, depth, DEPTH):
            count = min(DEPTH, depth - start)
            if b_column == 1:
                for d in range(count):
                    copy(lanes, (b, scratch), ((start + d) * b_row + panel * PANEL, d * PANEL), ())
            else:
                for lane in range(lanes):
                    column = b[(panel * PANEL + lane) * b_column + start :]
                    for d in range(count):
                        scratch[d * PANEL + lane] = column[d]
            _multiply_exactly(
                a, start * a_step, a_row, a_step, rows, scratch, count, scratch, sums, 0 if start == 0 else 1
            )  # fmt: skip
        for row in range(rows):
            add_bias(
                lanes, (scratch, bias, c), (sums + row * PANEL, panel * PANEL, row * columns + panel * PANEL), ()
            )  # fmt: skip


def _multiply(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """a (I, J) times b (J, K), plus bias (K,); both may be transposed views of C-contiguous arrays."""
    (rows, depth), columns = a.shape, b.shape[1]
    c = memory.empty((rows, columns))
    scratches = memory.empty((threads.COUNT, (DEPTH + rows) * PANEL))
    flat_a, a_row, a_step = _flat(a)
    flat_b, b_row, b_column = _flat(b)
    # A panel whose product takes less than about 20 microseconds is not worth the way to another thread.
    smallest = max(1, 2**16 // (rows * depth))
    threads.parallel_for(
        _product, panel_count(columns), flat_a, a_row, a_step, rows, depth, flat_b, b_row, b_column, columns,
        whole_panels(bias, columns), c.reshape(-1), scratches, smallest=smallest,
    )  # fmt: skip
    return c


def _flat(matrix: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The values of a matrix as a flat array, and the strides of its rows and columns in it."""
    if matrix.T.flags.c_contiguous and not matrix.flags.c_contiguous:
        return matrix.T.reshape(-1), 1, matrix.shape[0]
    return np.ascontiguousarray(matrix).reshape(-1), matrix.shape[1], 1


def forward(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """y (N, M) = x (N, D) Wᵀ + b, weights (M, D)."""
    return _multiply(x, np.ascontiguousarray(weights).T, bias)


def input_gradient(weights: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """gx (N, D) = gy (N, M) W."""
    return _multiply(gy, weights)


def weight_gradient(x: np.ndarray, gy: np.ndarray) -> np.ndarray:
    """gW (M, D) = gyᵀ x."""
    return _multiply(np.ascontiguousarray(gy).T, x)
