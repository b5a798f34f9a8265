"""What convolutions and linear layers share: products of matrices in panels of 16 columns, and images with a border."""

import numpy as np
from numba.extending import register_jitable

from reproduce.engine.compilation import kernel
from reproduce.engine.expressions import vector_loop
from reproduce.engine.simd import PANEL, ROWS, multiply_four_rows, multiply_rows

# So many rows take four at a time: more at once would be wasted on rows that are not wanted.
FEW = max(4, ROWS - 4)

copy = vector_loop(lambda source, target: (source,))
clear = vector_loop(lambda target, zero: (zero,))
add = vector_loop(lambda source, target: (target + source,))
add_bias = vector_loop(lambda product, bias, y: (product + bias,))


@register_jitable
def panel_count(length):
    """How many panels so many columns fill, the last one perhaps in part."""
    return -(-length // PANEL)


def whole_panels(bias: np.ndarray | None, outputs: int) -> np.ndarray:
    """A bias (K,) float32, or zeros, with zeros behind it up to whole panels."""
    padded = np.zeros(panel_count(outputs) * PANEL, np.float32)
    if bias is not None:
        padded[:outputs] = bias
    return padded


@kernel
def multiply(a, a_offset, a_row, a_panel, a_step, rows, b, b_offset, b_panel, panels, depth, c, c_offset, accumulate):
    """c[i, :16] (+)= sum over panels and depth of a * b for i < rows; up to 3 rows more are overwritten."""
    i = 0
    while i < rows:
        if rows - i <= FEW:
            multiply_four_rows(
                a, a_offset + i * a_row, a_row, a_panel, a_step, b, b_offset, b_panel, panels, depth, c,
                c_offset + i * PANEL, PANEL, accumulate,
            )  # fmt: skip
            i += 4
        else:
            multiply_rows(
                a, a_offset + i * a_row, a_row, a_panel, a_step, b, b_offset, b_panel, panels, depth, c,
                c_offset + i * PANEL, PANEL, accumulate,
            )  # fmt: skip
            i += ROWS


@kernel
def pad_image(image, offset, height, width, channels, target, start, top, left, columns, stride):
    """Copy one (H, W, C) image into a larger one whose border is already zero."""
    for i in range(height):
        place = start + ((top + i) * columns + left) * stride
        origin = offset + i * width * channels
        if stride == channels:
            copy(width * channels, (image, target), (origin, place), ())
        else:
            for j in range(width):
                copy(channels, (image, target), (origin + j * channels, place + j * stride), ())


@kernel
def crop_image(source, start, top, left, columns, stride, image, offset, height, width, channels):
    """Copy the middle of a larger image into one (H, W, C) image."""
    for i in range(height):
        place = start + ((top + i) * columns + left) * stride
        origin = offset + i * width * channels
        if stride == channels:
            copy(width * channels, (source, image), (place, origin), ())
        else:
            for j in range(width):
                copy(channels, (source, image), (place + j * stride, origin + j * channels), ())
