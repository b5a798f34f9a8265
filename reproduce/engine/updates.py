"""The optimizers' updates in one pass over all parameters, with the same bits as Chainer's several over each."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from reproduce.engine import threads
from reproduce.engine.compilation import kernel
from reproduce.engine.expressions import vector_loop

# Fewer values are not worth another thread's while.
SMALLEST_RANGE = 1 << 13


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


@intrinsic
def _pointer(typing_context, address):
    kind = types.CPointer(types.float32)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(types.int64), generate


@kernel
def _array(address, count):
    return numba.carray(_pointer(address), (count,))


# Parameters are seen as one row of elements. Parameter p has those from starts[p] to starts[p + 1]; its arrays lie at
# the addresses places[p], and numbers[p] are its rule's.


@kernel
def _part(starts, p, first, last):
    """Which of parameter p's own elements lie between `first` and `last` of the row."""
    return max(0, first - starts[p]), min(last, starts[p + 1]) - starts[p]


@kernel
def _adam_all(slot, first, last, starts, places, numbers):
    for p in range(len(starts) - 1):
        begin, end = _part(starts, p, first, last)
        if begin < end:
            grad, m = _array(places[p, 0], end), _array(places[p, 1], end)
            v, param = _array(places[p, 2], end), _array(places[p, 3], end)
            _adam(
                end - begin, (grad, m, v, param), (begin, begin, begin, begin),
                (numbers[p, 0], numbers[p, 1], numbers[p, 2], numbers[p, 3], numbers[p, 4]),
            )  # fmt: skip


@kernel
def _momentum_sgd_all(slot, first, last, starts, places, numbers):
    for p in range(len(starts) - 1):
        begin, end = _part(starts, p, first, last)
        if begin < end:
            grad, v, param = (_array(places[p, 0], end), _array(places[p, 1], end), _array(places[p, 2], end))
            _momentum_sgd(
                end - begin, (grad, v, param), (begin, begin, begin),
                (numbers[p, 0], numbers[p, 1]),
            )  # fmt: skip


@kernel
def _rmsprop_all(slot, first, last, starts, places, numbers):
    for p in range(len(starts) - 1):
        begin, end = _part(starts, p, first, last)
        if begin < end:
            grad, ms, param = (_array(places[p, 0], end), _array(places[p, 1], end), _array(places[p, 2], end))
            _rmsprop(
                end - begin, (grad, ms, param), (begin, begin, begin),
                (numbers[p, 0], numbers[p, 1], numbers[p, 2], numbers[p, 3]),
            )  # fmt: skip


class _Waiting(threading.local):
    """This thread's updates that are to be carried out together: kernel to (arrays, numbers) of each parameter."""

    updates: dict[Callable, list[tuple[tuple[np.ndarray, ...], tuple[float, ...]]]] | None = None


_waiting = _Waiting()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Within this context, updates wait until `carry_out` is called, or for the context's end."""
    before, _waiting.updates = _waiting.updates, {}
    try:
        yield
    finally:
        carry_out()
        _waiting.updates = before


def carry_out() -> None:
    """Do what has been waiting."""
    if _waiting.updates:
        updates, _waiting.updates = _waiting.updates, {}
        for kernel, waiting in updates.items():
            _run(kernel, waiting)


def _run(kernel: Callable, waiting: list[tuple[tuple[np.ndarray, ...], tuple[float, ...]]]) -> None:
    starts = np.cumsum([0] + [arrays[0].size for arrays, _ in waiting])
    places = np.array([[array.__array_interface__["data"][0] for array in arrays] for arrays, _ in waiting])
    numbers = np.array([numbers for _, numbers in waiting], np.float32)
    threads.share(kernel, int(starts[-1]), starts, places, numbers, smallest=SMALLEST_RANGE)


def _update(kernel: Callable, rule, arrays: tuple[np.ndarray, ...], numbers: tuple[float, ...]) -> bool:
    """Run one rule's kernel on its gradient, states and parameter, if all are arrays that it can work on."""
    for array in arrays:
        if type(array) is not np.ndarray or array.dtype != np.float32 or not array.flags.c_contiguous:
            return False
    if not all(array.flags.writeable for array in arrays[1:]):
        return False
    waits = _waiting.updates is not None
    # Whoever looks at the parameter as soon as it is updated shall see that; and one in two places is updated twice.
    if waits and (rule._hookable._post_update_hooks or rule._fp32_param is not None):
        waits = False
    if waits:
        queue = _waiting.updates.setdefault(kernel, [])
        if any(arrays[-1] is other[-1] for other, _ in queue):
            carry_out()
            queue = _waiting.updates.setdefault(kernel, [])
        queue.append((arrays, numbers))
    elif arrays[0].size:
        _run(kernel, [(arrays, numbers)])
    return True


def adam(rule, param) -> bool:
    """Whether `AdamRule` was carried out here; its variants are left to Chainer."""
    hyper = rule.hyperparam
    if hyper.amsgrad or hyper.adabound or hyper.weight_decay_rate:
        return False
    if param.grad is None or np.float32(hyper.eps) == 0:
        return False
    numbers = (1.0 - hyper.beta1, 1.0 - hyper.beta2, rule.alpha_t, hyper.eps, -hyper.eta)
    return _update(_adam_all, rule, (param.grad, rule.state["m"], rule.state["v"], param.array), numbers)


def momentum_sgd(rule, param) -> bool:
    """Whether `MomentumSGDRule` was carried out here."""
    if param.grad is None:
        return False
    numbers = (rule.hyperparam.lr, rule.hyperparam.momentum)
    return _update(_momentum_sgd_all, rule, (param.grad, rule.state["v"], param.array), numbers)


def rmsprop(rule, param) -> bool:
    """Whether `RMSpropRule` was carried out here; with epsilon inside the root it is left to Chainer."""
    hyper = rule.hyperparam
    if hyper.eps_inside_sqrt or param.grad is None or np.float32(hyper.eps) == 0:
        return False
    numbers = (hyper.lr, hyper.alpha, 1 - hyper.alpha, hyper.eps)
    return _update(_rmsprop_all, rule, (param.grad, rule.state["ms"], param.array), numbers)
