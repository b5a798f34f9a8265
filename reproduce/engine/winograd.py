"""Convolution of odd square filters with stride 1 by Winograd's minimal filtering, F(m x m, r x r).

Lavin & Gray 2016 (arXiv:1509.09308), section 4. An image is cut into square input tiles of m + r - 1 rows that overlap
by r - 1; for each of the n * n elements f of a transformed tile, tiles V[f] (tiles x channels) and filters U[f]
(channels x outputs) are multiplied, and the products M[f] are transformed back to m x m outputs a tile. n is
`cook_toom.products`.

All work on a group of images is done by one thread while its tiles are in the cache. V, U, M and their gradients lie
in panels of 16 columns: V[f, channel panel, tile, 16], U[f, output panel, channel, 16]. Arrays are flat float32; images
are NHWC. m and r come as tuples of that length (`simd`).
"""

import numpy as np
from numba.extending import register_jitable

from reproduce.engine.compilation import kernel
from reproduce.engine.panels import add, clear, crop_image, multiply, pad_image, panel_count
from reproduce.engine.simd import (
    PANEL,
    ROWS,
    adjoint_of_filter,
    adjoint_of_input,
    adjoint_of_output,
    transform_filter,
    transform_input,
    transform_output,
)


@register_jitable
def element_floats(rows):
    """Floats from one element of the tiles to the next, where each has so many rows of 16.

    An odd number of cache lines: all elements of one tile would otherwise want the same few sets of the cache.
    """
    return (rows | 1) * PANEL


@register_jitable
def sizes(m, r, channels, outputs, out_height, out_width):
    """Tiles down and across, panels of channels and of outputs, rows and columns of padded images in and out."""
    tiles_y, tiles_x = -(-out_height // len(m)), -(-out_width // len(m))
    out_rows, out_columns = tiles_y * len(m), tiles_x * len(m)
    rows, columns = out_rows + len(r) - 1, out_columns + len(r) - 1
    return tiles_y, tiles_x, panel_count(channels), panel_count(outputs), rows, columns, out_rows, out_columns


@register_jitable
def scratch_places(n, inner, outer, room, floats_in, floats_out):
    """Where a thread's scratch memory has M or D, a padded image in, a padded image out, and its end; V comes first.

    Args:
        inner, outer: panels of channels, and of outputs.
        room: rows of each panel, for all tiles of a group.
        floats_in, floats_out: sizes of the padded images.
    """
    second = n * n * element_floats(inner * room)
    image = second + n * n * element_floats(outer * room)
    return second, image, image + floats_in, image + floats_in + floats_out


@kernel
def filters(slot, first, last, m, r, n, weights, outputs, channels, transposed, u):
    """Transform W (K, C, r, r) to U[f, K / 16, C, 16], or if `transposed` to U[f, C / 16, K, 16]; `u` is zeroed.

    A unit of work is one panel.
    """
    taps = len(r)
    tile = np.zeros(taps * taps * PANEL, np.float32)
    across, along = (channels, outputs) if transposed else (outputs, channels)
    rows = panel_count(along) * PANEL
    across_stride, along_stride = taps * taps, channels * taps * taps
    if not transposed:
        across_stride, along_stride = along_stride, across_stride
    element = element_floats(panel_count(across) * rows)
    for panel in range(first, last):
        width = min(PANEL, across - panel * PANEL)
        for row in range(along):
            for lane in range(width):
                origin = (panel * PANEL + lane) * across_stride + row * along_stride
                for tap in range(taps * taps):
                    tile[tap * PANEL + lane] = weights[origin + tap]
            place = (panel * rows + row) * PANEL
            transform_filter(m, r, tile, 0, taps * PANEL, PANEL, u, place, n * element, element, u, 0)


@kernel
def filter_gradient(slot, first, last, m, r, n, gu, slots, outputs, channels, gw):
    """Add the gradients by U of all slots up, [slot, f, K / 16, C, 16], and transform them to gW (K, C, r, r)."""
    taps = len(r)
    tile = np.zeros(taps * taps * PANEL, np.float32)
    rows = panel_count(channels) * PANEL
    element = element_floats(panel_count(outputs) * rows)
    for panel in range(first, last):
        width = min(PANEL, outputs - panel * PANEL)
        for row in range(channels):
            tile[:] = 0
            for part in range(slots):
                place = part * n * n * element + (panel * rows + row) * PANEL
                adjoint_of_filter(m, r, gu, place, n * element, element, tile, 0, taps * PANEL, PANEL, gu, 0)
            for lane in range(width):
                origin = ((panel * PANEL + lane) * channels + row) * taps * taps
                for tap in range(taps * taps):
                    gw[origin + tap] = tile[tap * PANEL + lane]


@kernel
def transform_images(m, r, n, x, height, width, channels, top, left, start, count, scratch, image, tiles_y, tiles_x,
                     columns, room):  # fmt: skip
    """V of `count` images from `start` on, each of which is first copied to where `image` has a border of zeros."""
    inner, tiles = panel_count(channels), tiles_y * tiles_x
    stride, element = inner * PANEL, element_floats(inner * room)
    for i in range(count):
        pad_image(x, (start + i) * height * width * channels, height, width, channels, scratch, image, top, left,
                  columns, stride)  # fmt: skip
        for tile in range(tiles):
            place = image + (tile // tiles_x * columns + tile % tiles_x) * len(m) * stride
            for panel in range(inner):
                transform_input(
                    m, r, scratch, place + panel * PANEL, columns * stride, stride, scratch,
                    (panel * room + i * tiles + tile) * PANEL, n * element, element, scratch, 0,
                )  # fmt: skip


@kernel
def forward(
    slot, first, last, m, r, n, x, height, width, channels, top, left, u, bias, y, out_height, out_width, outputs,
    group, scratches,
):  # fmt: skip
    """Images `first` to `last` of y = x * W + b, in groups of `group` images.

    Flat float32: x (N, H, W, C), u as `filters` makes it, bias (K) in whole panels, y (N, H', W', K), and scratches
    (threads, floats) as `scratch_places` divides it. H and W are height and width, H' and W' out_height and out_width.
    """
    zero = np.float32(0)
    tiles_y, tiles_x, inner, outer, rows, columns, out_rows, out_columns = sizes(
        m, r, channels, outputs, out_height, out_width
    )  # fmt: skip
    tiles, stride, out_stride = tiles_y * tiles_x, inner * PANEL, outer * PANEL
    room = group * tiles + ROWS
    in_element, out_element = element_floats(inner * room), element_floats(outer * room)
    filter_element = element_floats(inner * outer * PANEL)
    scratch = scratches[slot]
    m_start, image, out_image, _ = scratch_places(
        n, inner, outer, room, rows * columns * stride, out_rows * out_columns * out_stride
    )  # fmt: skip
    clear(out_image - image, (scratch,), (image,), (zero,))
    whole = out_columns == out_width and out_rows == out_height and out_stride == outputs
    for start in range(first, last, group):
        count = min(group, last - start)
        transform_images(m, r, n, x, height, width, channels, top, left, start, count, scratch, image, tiles_y, tiles_x,
                         columns, room)  # fmt: skip
        for f in range(n * n):
            for panel in range(outer):
                multiply(
                    scratch, f * in_element, PANEL, room * PANEL, 1, count * tiles, u,
                    f * filter_element + panel * inner * PANEL * PANEL, PANEL * PANEL, inner, PANEL, scratch,
                    m_start + f * out_element + panel * room * PANEL, 0,
                )  # fmt: skip
        for i in range(count):
            origin = (start + i) * out_height * out_width * outputs
            target, target_start = (y, origin) if whole else (scratch, out_image)
            for tile in range(tiles):
                place = (tile // tiles_x * out_columns + tile % tiles_x) * len(m) * out_stride
                for panel in range(outer):
                    transform_output(
                        m, r, scratch, m_start + (panel * room + i * tiles + tile) * PANEL, n * out_element,
                        out_element, target, target_start + place + panel * PANEL, out_columns * out_stride,
                        out_stride, bias, panel * PANEL,
                    )  # fmt: skip
            if not whole:
                crop_image(scratch, out_image, 0, 0, out_columns, out_stride, y, origin, out_height, out_width, outputs)


@kernel
def backward(
    slot, first, last, m, r, n, x, height, width, channels, top, left, u_transposed, gy, out_height, out_width, outputs,
    group, scratches, gu, gbias, gx, with_weights, with_input,
):  # fmt: skip
    """Gradients from images `first` to `last`: by U and b into this slot's sums, by x into `gx`.

    Arrays as for `forward`; gy and gx are like y and x, gu (slots, floats of U) and gbias (slots, K in whole panels).

    With D = A gy Aᵀ: gU[f] = V[f]ᵀ D[f], gx = B (D[f] U[f]ᵀ) Bᵀ, and gb is D's entry at the point (1, 1), where A
    sums the tile.
    """
    zero = np.float32(0)
    tiles_y, tiles_x, inner, outer, rows, columns, out_rows, out_columns = sizes(
        m, r, channels, outputs, out_height, out_width
    )  # fmt: skip
    tiles, stride, out_stride = tiles_y * tiles_x, inner * PANEL, outer * PANEL
    room = group * tiles + ROWS
    in_element, out_element = element_floats(inner * room), element_floats(outer * room)
    filter_element = element_floats(inner * outer * PANEL)
    scratch, sums, bias_sums = scratches[slot], gu[slot], gbias[slot]
    # The gradients by V take V's place; the padded images are those of x or gx, and of gy.
    d_start, image, out_image, end = scratch_places(
        n, inner, outer, room, rows * columns * stride, out_rows * out_columns * out_stride
    )  # fmt: skip
    clear(end - image, (scratch,), (image,), (zero,))
    bias_sums[:] = 0
    whole = out_columns == out_width and out_rows == out_height and out_stride == outputs
    for start in range(first, last, group):
        count = min(group, last - start)
        if with_weights:
            if with_input:
                clear(out_image - image, (scratch,), (image,), (zero,))
            transform_images(m, r, n, x, height, width, channels, top, left, start, count, scratch, image, tiles_y,
                             tiles_x, columns, room)  # fmt: skip
        for i in range(count):
            origin = (start + i) * out_height * out_width * outputs
            if not whole:
                pad_image(gy, origin, out_height, out_width, outputs, scratch, out_image, 0, 0, out_columns, out_stride)
            source, source_start = (gy, origin) if whole else (scratch, out_image)
            for tile in range(tiles):
                place = (tile // tiles_x * out_columns + tile % tiles_x) * len(m) * out_stride
                for panel in range(outer):
                    adjoint_of_output(
                        m, r, source, source_start + place + panel * PANEL, out_columns * out_stride, out_stride,
                        scratch, d_start + (panel * room + i * tiles + tile) * PANEL, n * out_element,
                        out_element, scratch, 0,
                    )  # fmt: skip
        if with_weights:
            for panel in range(outer):
                point = d_start + (n + 1) * out_element + panel * room * PANEL
                for tile in range(count * tiles):
                    add(PANEL, (scratch, bias_sums), (point + tile * PANEL, panel * PANEL), ())
            for f in range(n * n):
                for panel in range(outer):
                    for channel_panel in range(inner):
                        multiply(
                            scratch, f * in_element + channel_panel * room * PANEL, 1, 0, PANEL, PANEL, scratch,
                            d_start + f * out_element + panel * room * PANEL, 0, 1, count * tiles, sums,
                            f * filter_element + (panel * inner + channel_panel) * PANEL * PANEL,
                            1 if start != first else 0,
                        )  # fmt: skip
        if with_input:
            for f in range(n * n):
                for panel in range(inner):
                    multiply(
                        scratch, d_start + f * out_element, PANEL, room * PANEL, 1, count * tiles, u_transposed,
                        f * filter_element + panel * outer * PANEL * PANEL, PANEL * PANEL, outer, PANEL, scratch,
                        f * in_element + panel * room * PANEL, 0,
                    )  # fmt: skip
            for i in range(count):
                clear(out_image - image, (scratch,), (image,), (zero,))
                for tile in range(tiles):
                    place = image + (tile // tiles_x * columns + tile % tiles_x) * len(m) * stride
                    for panel in range(inner):
                        adjoint_of_input(
                            m, r, scratch, (panel * room + i * tiles + tile) * PANEL, n * in_element, in_element,
                            scratch, place + panel * PANEL, columns * stride, stride, scratch, 0,
                        )  # fmt: skip
                crop_image(scratch, image, top, left, columns, stride, gx, (start + i) * height * width * channels,
                           height, width, channels)  # fmt: skip
