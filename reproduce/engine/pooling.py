"""Max and average pooling on flat NHWC arrays; a unit of work is one image."""

import numpy as np

from reproduce.engine.compilation import kernel
from reproduce.engine.expressions import vector_loop
from reproduce.engine.panels import add


@vector_loop
def _keep_greatest(x, best, index, number):
    # NaN wins, as it does in NumPy.
    better = (x > best) | (x.is_nan() & best.is_number())
    return better.choose(x, best), better.choose(number, index)


_first = vector_loop(lambda x, best, index, number: (x, number))
_put = vector_loop(lambda gy, index, gx, number: (index.equals(number).choose(gy, 0.0),))
_add_to = vector_loop(lambda gy, index, gx, number: (gx + index.equals(number).choose(gy, 0.0),))
_scale = vector_loop(lambda x, y, factor: (x * factor,))
_add_scaled = vector_loop(lambda x, y, factor: (y + x * factor,))


@kernel
def max_forward(
    slot, first, last, x, height, width, channels, kh, kw, sy, sx, ph, pw, out_height, out_width, y, indexes,
):  # fmt: skip
    """y is the greatest value of each window, `indexes` (uint8) its number ky * kw + kx: of equals, the first."""
    for row in range(first * out_height, last * out_height):
        image, top = row // out_height, row % out_height * sy - ph
        for j in range(out_width):
            place, left = (row * out_width + j) * channels, j * sx - pw
            if top < 0 or left < 0 or top >= height or left >= width:
                y[place : place + channels] = -np.inf
                indexes[place : place + channels] = 0
            for i in range(max(0, -top), min(kh, height - top)):
                for k in range(max(0, -left), min(kw, width - left)):
                    origin = ((image * height + top + i) * width + left + k) * channels
                    number = np.uint8(i * kw + k)
                    if number == 0:
                        _first(channels, (x, y, indexes), (origin, place, place), (number,))
                    else:
                        _keep_greatest(channels, (x, y, indexes), (origin, place, place), (number,))


@kernel
def max_backward(
    slot, first, last, gy, indexes, height, width, channels, kh, kw, sy, sx, ph, pw, out_height, out_width, apart, gx,
):  # fmt: skip
    """Each gradient goes to where the maximum was. `apart`: the windows cover every pixel exactly once."""
    if not apart:
        gx[first * height * width * channels : last * height * width * channels] = 0
    for row in range(first * out_height, last * out_height):
        image, top = row // out_height, row % out_height * sy - ph
        for j in range(out_width):
            place, left = (row * out_width + j) * channels, j * sx - pw
            for i in range(max(0, -top), min(kh, height - top)):
                for k in range(max(0, -left), min(kw, width - left)):
                    origin = ((image * height + top + i) * width + left + k) * channels
                    number = np.uint8(i * kw + k)
                    if apart:
                        _put(channels, (gy, indexes, gx), (place, place, origin), (number,))
                    else:
                        _add_to(channels, (gy, indexes, gx), (place, place, origin), (number,))


@kernel
def average_forward(
    slot, first, last, x, height, width, channels, kh, kw, sy, sx, ph, pw, out_height, out_width, y,
):  # fmt: skip
    """y is the mean of each window, in which padding counts as 0."""
    factor = np.float32(1) / np.float32(kh * kw)
    for row in range(first * out_height, last * out_height):
        image, top = row // out_height, row % out_height * sy - ph
        for j in range(out_width):
            place, left = (row * out_width + j) * channels, j * sx - pw
            y[place : place + channels] = 0
            for i in range(max(0, -top), min(kh, height - top)):
                for k in range(max(0, -left), min(kw, width - left)):
                    origin = ((image * height + top + i) * width + left + k) * channels
                    add(channels, (x, y), (origin, place), ())
            _scale(channels, (y, y), (place, place), (factor,))


@kernel
def average_backward(
    slot, first, last, gy, height, width, channels, kh, kw, sy, sx, ph, pw, out_height, out_width, apart, gx,
):  # fmt: skip
    """Each gradient goes to all pixels of its window, in equal parts. `apart` as for `max_backward`."""
    factor = np.float32(1) / np.float32(kh * kw)
    if not apart:
        gx[first * height * width * channels : last * height * width * channels] = 0
    for row in range(first * out_height, last * out_height):
        image, top = row // out_height, row % out_height * sy - ph
        for j in range(out_width):
            place, left = (row * out_width + j) * channels, j * sx - pw
            for i in range(max(0, -top), min(kh, height - top)):
                for k in range(max(0, -left), min(kw, width - left)):
                    origin = ((image * height + top + i) * width + left + k) * channels
                    if apart:
                        _scale(channels, (gy, gx), (place, origin), (factor,))
                    else:
                        _add_scaled(channels, (gy, gx), (place, origin), (factor,))
