"""Loops over whole arrays: batch normalization, ReLU and dropout.

All arrays are flat. An activation of C channels is a row of C floats for each pixel, so channels repeat with period C;
vectors of channels are repeated up to `wide` floats (a multiple of C), for few channels would make short inner loops.
"""

import numpy as np

from reproduce.engine.compilation import kernel
from reproduce.engine.expressions import vector_loop
from reproduce.engine.panels import add
from reproduce.engine.uniform import at_least

# Sums are taken in float32 over this many values (64 KiB, within the second-level cache), and beyond in float64.
BLOCK = 1 << 14


@vector_loop
def _add_squared_deviation(x, center, total):
    deviation = x - center
    return (total + deviation * deviation,)


@vector_loop
def _normalize(x, mean, scale, beta, y):
    return ((x - mean) * scale + beta,)


@vector_loop
def _add_gradients(x, gy, mean, total, product):
    return total + gy, product + gy * (x - mean)


@vector_loop
def _gradient(x, gy, mean, scale, slope, offset, gx):
    return (scale * gy - slope * (x - mean) - offset,)


_relu = vector_loop(lambda x, y: (x.exceeds_or_is_nan(0.0).choose(x, 0.0),))
_relu_gradient = vector_loop(lambda y, gy, gx: (gy * (y > 0.0).to_float(),))
_drop = vector_loop(lambda x, kept, y, scale: (x * (scale * kept.to_float()),))


@kernel
def _repeated(vector, wide):
    row = np.empty(wide, np.float32)
    for start in range(0, wide, len(vector)):
        for c in range(len(vector)):  # one by one: Numba takes 3 s to compile the assignment of a slice
            row[start + c] = vector[c]
    return row


@kernel
def moments(slot, first, last, x, channels, wide, means, squares):
    """Mean, and sum of squared deviations from it, of rows `first` to `last`: (slots, C) float64.

    Two passes over each block while it is in the cache; blocks are merged as Chan, Golub & LeVeque (1979) do.
    """
    sums, center = np.empty(wide, np.float32), np.empty(wide, np.float32)
    mean, square = means[slot], squares[slot]
    mean[:] = 0
    square[:] = 0
    block = max(1, BLOCK // wide) * wide
    end = last * channels
    for start in range(first * channels, end, block):
        stop = min(end, start + block)
        sums[:] = 0
        for row in range(start, stop, wide):
            add(min(wide, stop - row), (x, sums), (row, 0), ())
        count = (stop - start) // channels
        for c in range(channels):
            total = np.float32(0)
            for repeat in range(c, wide, channels):
                total += sums[repeat]
            for repeat in range(c, wide, channels):
                center[repeat] = total / np.float32(count)
        sums[:] = 0
        for row in range(start, stop, wide):
            _add_squared_deviation(min(wide, stop - row), (x, center, sums), (row, 0, 0), ())
        before = start // channels - first
        weight = count / (before + count)
        for c in range(channels):
            total = np.float32(0)
            for repeat in range(c, wide, channels):
                total += sums[repeat]
            step = np.float64(center[c]) - mean[c]
            mean[c] += step * weight
            square[c] += total + step * step * before * weight


@kernel
def normalize(slot, first, last, x, channels, wide, mean, scale, beta, y):
    """y = (x - mean) * scale + beta."""
    mean, scale, beta = _repeated(mean, wide), _repeated(scale, wide), _repeated(beta, wide)
    end = last * channels
    for row in range(first * channels, end, wide):
        _normalize(min(wide, end - row), (x, mean, scale, beta, y), (row, 0, 0, 0, row), ())


@kernel
def gradient_sums(slot, first, last, x, gy, channels, wide, mean, sums, products):
    """Sums by channel of gy and of gy * (x - mean), (slots, C) float64."""
    gradient_sum, product_sum = np.empty(wide, np.float32), np.empty(wide, np.float32)
    mean = _repeated(mean, wide)
    total, total_product = sums[slot], products[slot]
    total[:] = 0
    total_product[:] = 0
    block = max(1, BLOCK // wide) * wide
    end = last * channels
    for start in range(first * channels, end, block):
        stop = min(end, start + block)
        gradient_sum[:] = 0
        product_sum[:] = 0
        for row in range(start, stop, wide):
            _add_gradients(min(wide, stop - row), (x, gy, mean, gradient_sum, product_sum), (row, row, 0, 0, 0), ())
        for start_of_repeat in range(0, wide, channels):
            for c in range(channels):
                total[c] += gradient_sum[start_of_repeat + c]
                total_product[c] += product_sum[start_of_repeat + c]


@kernel
def gradient(slot, first, last, x, gy, channels, wide, mean, scale, slope, offset, gx):
    """gx = scale * gy - slope * (x - mean) - offset."""
    mean, scale = _repeated(mean, wide), _repeated(scale, wide)
    slope, offset = _repeated(slope, wide), _repeated(offset, wide)
    end = last * channels
    for row in range(first * channels, end, wide):
        _gradient(
            min(wide, end - row), (x, gy, mean, scale, slope, offset, gx), (row, row, 0, 0, 0, 0, row), ()
        )  # fmt: skip


@kernel
def relu(slot, first, last, x, y):
    """max(x, 0); NaN stays NaN."""
    _relu(last - first, (x, y), (first, first), ())


@kernel
def relu_gradient(slot, first, last, y, gy, gx):
    """gy where y is positive, else gy times 0, which is NaN if gy is infinite."""
    _relu_gradient(last - first, (y, gy, gx), (first, first, first), ())


@kernel
def drop(slot, first, last, x, words, ratio, scale, channels, pixels, kept, y):
    """Dropout of images `first` to `last`: x and y are NHWC, the random numbers (`uniform.draw`) NCHW as in Chainer.

    `kept` (uint8) gets 1 for the values that are kept.
    """
    size = channels * pixels
    planes = np.empty(size, np.uint8)
    for start in range(first * size, last * size, size):
        image = kept[start : start + size]
        if pixels == 1:
            at_least(words, start, size, ratio, image)
        else:
            at_least(words, start, size, ratio, planes)
            for pixel in range(pixels):
                for c in range(channels):
                    image[pixel * channels + c] = planes[c * pixels + pixel]
        _drop(size, (x, kept, y), (start, start, start), (scale,))


@kernel
def drop_gradient(slot, first, last, gy, kept, scale, gx):
    """gy times the mask."""
    _drop(last - first, (gy, kept, gx), (first, first, first), (scale,))
