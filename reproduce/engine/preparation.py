"""Compiling ahead of time: one small training step through every loop of the engine."""

import chainer
import chainer.functions as F
import numpy as np

from reproduce import engine


def _step_through_functions(taps: int, channels: int, pool) -> None:
    x = np.zeros((2, channels, 6, 6), np.float32)
    weights = chainer.Parameter(np.zeros((16, channels, taps, taps), np.float32))
    bias, gamma, beta = (chainer.Parameter(np.zeros(16, np.float32)) for _ in range(3))
    h = F.convolution_2d(chainer.Variable(x), weights, bias, pad=taps // 2)
    h = F.relu(F.batch_normalization(h, gamma, beta))
    h = F.dropout(pool(h, 2, 2), 0.5, mask=None)
    F.sum(F.dropout(F.relu(F.batch_normalization(F.reshape(h, (len(x), -1))[:, :16], gamma, beta)))).backward()


def compile_all() -> None:
    """Run every loop once on small arrays, which compiles it or loads it from the disk."""
    state = np.random.get_state()
    with engine.using("fast"), chainer.using_config("train", True), chainer.using_config("enable_backprop", True):
        for taps, channels in ((3, 3), (3, 16), (5, 16), (7, 16)):
            _step_through_functions(taps, channels, F.max_pooling_2d if taps == 3 else F.average_pooling_2d)
        wide = chainer.Parameter(np.zeros((16, 16), np.float32))
        F.sum(F.linear(chainer.Variable(np.zeros((2, 16), np.float32)), wide, wide[0])).backward()
        for rule in (
            chainer.optimizers.adam.AdamRule(),
            chainer.optimizers.momentum_sgd.MomentumSGDRule(),
            chainer.optimizers.rmsprop.RMSpropRule(),
        ):
            parameter = chainer.Parameter(np.zeros(16, np.float32))
            parameter.grad = np.zeros(16, np.float32)
            rule.update(parameter)
    np.random.set_state(state)
