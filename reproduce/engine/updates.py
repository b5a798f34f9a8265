"""The optimizers' updates in one pass over the parameters, with the same bits as Chainer's several."""

import numpy as np

from reproduce.engine import threads
from reproduce.engine.compilation import kernel
from reproduce.engine.expressions import vector_loop

# Fewer values are not worth the way to another thread, about 20 microseconds.
SMALLEST_RANGE = 1 << 14


@vector_loop
def _adam(grad, m, v, param, beta1_rest, beta2_rest, alpha, epsilon, minus_eta):
    """Kingma & Ba 2015 (arXiv:1412.6980), in the order of operations of Chainer's `AdamRule.update_core_cpu`."""
    m = m + beta1_rest * (grad - m)
    v = v + beta2_rest * (grad * grad - v)
    return m, v, param + minus_eta * (alpha / (v.square_root() + epsilon) * m)


@vector_loop
def _momentum_sgd(grad, v, param, rate, momentum):
    v = v * momentum - rate * grad
    return v, param + v


@vector_loop
def _rmsprop(grad, ms, param, rate, alpha, alpha_rest, epsilon):
    ms = ms * alpha + alpha_rest * grad * grad
    return ms, param - rate * grad / (ms.square_root() + epsilon)


@kernel
def _adam_range(slot, first, last, grad, m, v, param, numbers):
    _adam(last - first, (grad, m, v, param), (first, first, first, first), numbers)


@kernel
def _momentum_sgd_range(slot, first, last, grad, v, param, numbers):
    _momentum_sgd(last - first, (grad, v, param), (first, first, first), numbers)


@kernel
def _rmsprop_range(slot, first, last, grad, ms, param, numbers):
    _rmsprop(last - first, (grad, ms, param), (first, first, first), numbers)


def _update(kernel, arrays, numbers) -> bool:
    """Run one rule's kernel on its gradient, states and parameter, if all are arrays that it can work on."""
    for array in arrays:
        if type(array) is not np.ndarray or array.dtype != np.float32 or not array.flags.c_contiguous:
            return False
    if arrays[0].size:
        threads.run(
            kernel,
            arrays[0].size,
            *(array.reshape(-1) for array in arrays),
            tuple(np.float32(x) for x in numbers),
            smallest=SMALLEST_RANGE,
        )
    return True


def adam(rule, param) -> bool:
    """Whether `AdamRule` was carried out here; its variants are left to Chainer."""
    hyper = rule.hyperparam
    if hyper.amsgrad or hyper.adabound or hyper.weight_decay_rate:
        return False
    if param.grad is None or np.float32(hyper.eps) == 0:
        return False
    numbers = (1.0 - hyper.beta1, 1.0 - hyper.beta2, rule.alpha_t, hyper.eps, -hyper.eta)
    return _update(_adam_range, (param.grad, rule.state["m"], rule.state["v"], param.array), numbers)


def momentum_sgd(rule, param) -> bool:
    """Whether `MomentumSGDRule` was carried out here."""
    numbers = (rule.hyperparam.lr, rule.hyperparam.momentum)
    return param.grad is not None and _update(_momentum_sgd_range, (param.grad, rule.state["v"], param.array), numbers)


def rmsprop(rule, param) -> bool:
    """Whether `RMSpropRule` was carried out here; with epsilon inside the root it is left to Chainer."""
    hyper = rule.hyperparam
    if hyper.eps_inside_sqrt or param.grad is None or np.float32(hyper.eps) == 0:
        return False
    numbers = (hyper.lr, hyper.alpha, 1 - hyper.alpha, hyper.eps)
    return _update(_rmsprop_range, (param.grad, rule.state["ms"], param.array), numbers)
