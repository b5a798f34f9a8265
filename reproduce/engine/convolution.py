"""`F.convolution_2d` with stride 1: which method computes it, and the arrays it needs."""

import functools

import numpy as np

from reproduce.engine import cook_toom, direct, memory, threads, winograd
from reproduce.engine.panels import panel_count, whole_panels
from reproduce.engine.simd import PANEL, ROWS

# Outputs of a tile for each size of filter that Winograd's method computes.
OUTPUTS_OF_A_TILE = {3: 4, 5: 4, 7: 4}
# With fewer channels most of a panel of 16 would be padding.
FEWEST_CHANNELS = 8
# Floats of transformed tiles that one thread works on at a time: they should stay in its share of the cache. But all
# transformed filters are read once for each group of images; where they are more than the tiles, larger groups are
# faster (256 channels, 7 x 7: by a third).
FLOATS_IN_CACHE, MOST_FLOATS = 1 << 19, 1 << 21
# Of larger transformed filters than 12 MB, those for one gradient and the other gradient itself are not held at once:
# both gradients then transform gy, which costs 6 % of their time.
MOST_FILTERS_AT_ONCE = 3 << 20


def uses_winograd(x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> bool:
    """Whether a convolution of these shapes, NCHW and KCHW, goes through Winograd's method."""
    filter_height, filter_width = w_shape[2:]
    return filter_height == filter_width and filter_height in OUTPUTS_OF_A_TILE and x_shape[1] >= FEWEST_CHANNELS


@functools.lru_cache(maxsize=256)
class _Shapes:
    """Sizes of one Winograd convolution: of its tiles, groups of images, and scratch arrays."""

    def __init__(self, x_shape: tuple[int, ...], w_shape: tuple[int, ...], pad: tuple[int, int]) -> None:
        self.images, self.channels, self.height, self.width = x_shape
        self.outputs, _, taps, _ = w_shape
        self.top, self.left = pad
        m = OUTPUTS_OF_A_TILE[taps]
        self.m, self.r, self.n = (0,) * m, (0,) * taps, cook_toom.products(m, taps)
        self.out_height, self.out_width = self.height + 2 * self.top - taps + 1, self.width + 2 * self.left - taps + 1
        tiles_y, tiles_x, self.inner, self.outer, rows, columns, out_rows, out_columns = winograd.sizes(
            self.m, self.r, self.channels, self.outputs, self.out_height, self.out_width
        )
        elements = self.n * self.n
        floats = elements * tiles_y * tiles_x * (self.inner + self.outer) * PANEL
        self.transformed_filters = elements * winograd.element_floats(self.inner * self.outer * PANEL)
        budget = max(FLOATS_IN_CACHE, min(self.transformed_filters, MOST_FLOATS))
        self.group = max(1, min(-(-self.images // threads.COUNT), budget // floats))
        room = self.group * tiles_y * tiles_x + ROWS
        floats_in, floats_out = rows * columns * self.inner * PANEL, out_rows * out_columns * self.outer * PANEL
        *_, self.scratch = winograd.scratch_places(self.n, self.inner, self.outer, room, floats_in, floats_out)

    def filters(self, weights: np.ndarray, transposed: bool) -> np.ndarray:
        u = memory.empty((self.transformed_filters,))
        if self.channels % PANEL or self.outputs % PANEL:
            u[:] = 0
        threads.parallel_for(
            winograd.filters, self.inner if transposed else self.outer, self.m, self.r, self.n, weights.reshape(-1),
            self.outputs, self.channels, transposed, u,
        )  # fmt: skip
        return u


def _winograd_forward(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, pad: tuple[int, int]) -> np.ndarray:
    s = _Shapes(x.shape, weights.shape, pad)
    y = memory.empty((s.images, s.out_height, s.out_width, s.outputs))
    threads.parallel_for(
        winograd.forward, s.images, s.m, s.r, s.n, memory.nhwc(x).reshape(-1), s.height, s.width, s.channels, s.top,
        s.left, s.filters(weights, transposed=False), whole_panels(bias, s.outputs), y.reshape(-1), s.out_height,
        s.out_width, s.outputs, s.group, memory.empty((threads.COUNT, s.scratch)),
        smallest=s.images // -(-s.images // s.group),
    )  # fmt: skip
    return memory.nchw(y)


def _winograd_backward(
    x: np.ndarray, weights: np.ndarray, gy: np.ndarray, pad: tuple[int, int], with_weights: bool, with_input: bool
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    s = _Shapes(x.shape, weights.shape, pad)
    if with_weights and with_input and s.transformed_filters > MOST_FILTERS_AT_ONCE:
        gx, _, _ = _winograd_backward(x, weights, gy, pad, with_weights=False, with_input=True)
        return gx, *_winograd_backward(x, weights, gy, pad, with_weights=True, with_input=False)[1:]
    nothing = np.zeros(1, np.float32)
    gx = memory.empty((s.images, s.height, s.width, s.channels)) if with_input else nothing
    gu = memory.empty((threads.COUNT, s.transformed_filters if with_weights else 1))
    gbias = np.zeros((threads.COUNT, s.outer * PANEL), np.float32)
    slots = threads.parallel_sums(
        winograd.backward, s.images, s.m, s.r, s.n, memory.nhwc(x).reshape(-1), s.height, s.width, s.channels, s.top,
        s.left, s.filters(weights, transposed=True) if with_input else nothing, memory.nhwc(gy).reshape(-1),
        s.out_height, s.out_width, s.outputs, s.group, memory.empty((threads.COUNT, s.scratch)), gu, gbias,
        gx.reshape(-1), with_weights, with_input,
    )  # fmt: skip
    gw = None
    if with_weights:
        gw = np.empty(weights.shape, np.float32)
        threads.parallel_for(
            winograd.filter_gradient, s.outer, s.m, s.r, s.n, gu.reshape(-1), slots, s.outputs, s.channels,
            gw.reshape(-1),
        )  # fmt: skip
    gb = gbias[:slots, : s.outputs].sum(axis=0)
    return memory.nchw(gx) if with_input else None, gw, gb


def _rows_in_panels(weights: np.ndarray) -> np.ndarray:
    """W (K, C, kh, kw) as [K / 16, kh, kw * C, 16], flat."""
    outputs, channels, filter_height, filter_width = weights.shape
    padded = np.zeros((panel_count(outputs) * PANEL, filter_height, filter_width * channels), np.float32)
    padded[:outputs] = weights.transpose(0, 2, 3, 1).reshape(outputs, filter_height, -1)
    return np.ascontiguousarray(
        padded.reshape(-1, PANEL, filter_height, filter_width * channels).transpose(0, 2, 3, 1)
    ).reshape(-1)


def _direct_forward(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, pad: tuple[int, int]) -> np.ndarray:
    images, channels, height, width = x.shape
    outputs, _, filter_height, filter_width = weights.shape
    out_height, out_width = height + 2 * pad[0] - filter_height + 1, width + 2 * pad[1] - filter_width + 1
    y = memory.empty((images, out_height, out_width, outputs))
    image = (height + 2 * pad[0]) * (width + 2 * pad[1]) * channels
    scratch = (out_width + ROWS) * PANEL + image + ROWS * channels
    threads.parallel_for(
        direct.forward, images, memory.nhwc(x).reshape(-1), height, width, channels, *pad, _rows_in_panels(weights),
        filter_height, filter_width, whole_panels(bias, outputs), y.reshape(-1), out_height, out_width, outputs,
        memory.empty((threads.COUNT, scratch)),
    )  # fmt: skip
    return memory.nchw(y)


def _direct_weight_gradient(
    x: np.ndarray, weights_shape: tuple[int, ...], gy: np.ndarray, pad: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    images, channels, height, width = x.shape
    outputs, _, filter_height, filter_width = weights_shape
    out_height, out_width = gy.shape[2:]
    image = (height + 2 * pad[0]) * (width + 2 * pad[1]) * channels
    scratch = panel_count(outputs) * out_height * out_width * PANEL + image + ROWS
    filter_row = filter_width * channels
    sums = memory.empty((threads.COUNT, panel_count(outputs) * filter_height * (filter_row + ROWS) * PANEL))
    bias_sums = np.zeros((threads.COUNT, outputs), np.float32)
    slots = threads.parallel_sums(
        direct.weight_gradient, images, memory.nhwc(x).reshape(-1), height, width, channels, *pad,
        memory.nhwc(gy).reshape(-1), filter_height, filter_width, out_height, out_width, outputs,
        memory.empty((threads.COUNT, scratch)), sums, bias_sums,
    )  # fmt: skip
    gw = sums[:slots].sum(axis=0).reshape(-1, filter_height, filter_row + ROWS, PANEL)[:, :, :filter_row]
    gw = gw.transpose(0, 3, 1, 2).reshape(-1, filter_height, filter_width, channels)[:outputs]
    return np.ascontiguousarray(gw.transpose(0, 3, 1, 2)), bias_sums[:slots].sum(axis=0)


def forward(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, pad: tuple[int, int]) -> np.ndarray:
    """y (N, K, H', W') in NHWC memory of x (N, C, H, W), weights (K, C, kh, kw) and bias (K,), all float32."""
    weights = np.ascontiguousarray(weights)
    compute = _winograd_forward if uses_winograd(x.shape, weights.shape) else _direct_forward
    return compute(x, weights, bias, pad)


def backward(
    x: np.ndarray, weights: np.ndarray, gy: np.ndarray, pad: tuple[int, int], with_weights: bool, with_input: bool
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """The gradients by x, W and b, or None for those that are not wanted; that by b comes with W's."""
    weights = np.ascontiguousarray(weights)
    if uses_winograd(x.shape, weights.shape):
        return _winograd_backward(x, weights, gy, pad, with_weights, with_input)
    gx = gw = gb = None
    if with_weights:
        gw, gb = _direct_weight_gradient(x, weights.shape, gy, pad)
    if with_input:
        # gx = gy * W with its taps reversed, inputs and outputs exchanged.
        reversed_weights = np.ascontiguousarray(weights[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        pad = (weights.shape[2] - 1 - pad[0], weights.shape[3] - 1 - pad[1])
        gx = _direct_forward(gy, reversed_weights, None, pad)
    return gx, gw, gb
