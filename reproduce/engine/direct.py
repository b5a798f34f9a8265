"""Convolution with stride 1 as one matrix product over the padded image itself, for few channels or any filter.

In an NHWC image the part of a patch that lies in one row of a filter is contiguous: kw * C floats. So the product can
read patches where they are, and none are copied: y[pixel] = sum over kh rows of image[pixel + row] * W[row]. Arrays
are flat float32; weights lie in panels of 16 outputs, W[K / 16, kh, kw * C, 16].
"""

import numpy as np

from reproduce.engine.compilation import kernel
from reproduce.engine.panels import add, add_bias, clear, copy, multiply, pad_image, panel_count
from reproduce.engine.simd import PANEL, ROWS


@kernel
def forward(
    slot, first, last, x, height, width, channels, top, left, weights, filter_height, filter_width, bias, y,
    out_height, out_width, outputs, scratches,
):  # fmt: skip
    """Images `first` to `last` of y = x * W + b; `bias` has whole panels."""
    outer = panel_count(outputs)
    columns = width + 2 * left
    scratch = scratches[slot]
    # The scratch: one row of outputs, one padded image and room to read past its end.
    image = (out_width + ROWS) * PANEL
    clear(len(scratch), (scratch,), (0,), (np.float32(0),))
    filter_row = filter_width * channels
    for i in range(first, last):
        pad_image(x, i * height * width * channels, height, width, channels, scratch, image, top, left, columns,
                  channels)  # fmt: skip
        for panel in range(outer):
            lanes = min(PANEL, outputs - panel * PANEL)
            for row in range(out_height):
                multiply(
                    scratch, image + row * columns * channels, channels, columns * channels, 1, out_width, weights,
                    panel * filter_height * filter_row * PANEL, filter_row * PANEL, filter_height, filter_row,
                    scratch, 0, 0,
                )  # fmt: skip
                place = (i * out_height + row) * out_width * outputs + panel * PANEL
                for j in range(out_width):
                    add_bias(
                        lanes, (scratch, bias, y), (j * PANEL, panel * PANEL, place + j * outputs), ()
                    )  # fmt: skip


@kernel
def weight_gradient(
    slot, first, last, x, height, width, channels, top, left, gy, filter_height, filter_width, out_height, out_width,
    outputs, scratches, sums, bias_sums,
):  # fmt: skip
    """Add up the gradients by W, [K / 16, kh, kw * C + 6, 16], and b of images `first` to `last` in this slot."""
    outer = panel_count(outputs)
    columns = width + 2 * left
    scratch, total, bias_total = scratches[slot], sums[slot], bias_sums[slot]
    image = outer * out_height * out_width * PANEL
    clear(len(scratch), (scratch,), (0,), (np.float32(0),))
    clear(len(total), (total,), (0,), (np.float32(0),))
    bias_total[:] = 0
    filter_row = filter_width * channels
    for i in range(first, last):
        pad_image(x, i * height * width * channels, height, width, channels, scratch, image, top, left, columns,
                  channels)  # fmt: skip
        for pixel in range(out_height * out_width):
            origin = (i * out_height * out_width + pixel) * outputs
            for panel in range(outer):
                place = (panel * out_height * out_width + pixel) * PANEL
                lanes = min(PANEL, outputs - panel * PANEL)
                copy(lanes, (gy, scratch), (origin + panel * PANEL, place), ())
            add(outputs, (gy, bias_total), (origin, 0), ())
        for panel in range(outer):
            for row in range(filter_height):
                multiply(
                    scratch, image + row * columns * channels, 1, columns * channels, channels, filter_row, scratch,
                    panel * out_height * out_width * PANEL, out_width * PANEL, out_height, out_width, total,
                    (panel * filter_height + row) * (filter_row + ROWS) * PANEL, 1,
                )  # fmt: skip
