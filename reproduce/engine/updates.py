"""The optimizers' updates in one pass over all parameters, with the same bits as Chainer's several over each."""

import contextlib
import operator
import threading
import weakref
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


# What one parameter's update needs: its arrays, gradient first; their addresses; and its rule's numbers.
_Update = tuple[tuple[np.ndarray, ...], tuple[int, ...], tuple[float, ...]]
# Of each rule, the states and the parameter that it updated last, and their addresses. They are the same arrays in each
# step, and looked at once. Not kept on the rule, which may be copied.
_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class _Waiting(threading.local):
    """This thread's updates that are to be carried out together: of each kernel, by the parameter's address."""

    updates: dict[Callable, dict[int, _Update]] | None = None
    # The rule's class, its number of updates and the optimizer's hyperparameters that numbers were last computed from.
    source: tuple | None = None
    numbers: tuple[float, ...] | None = None


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
            _run(kernel, list(waiting.values()))


def _run(kernel: Callable, waiting: list[_Update]) -> None:
    starts = np.cumsum([0] + [arrays[0].size for arrays, _, _ in waiting])
    places = np.array([places for _, places, _ in waiting])
    numbers = np.array([numbers for _, _, numbers in waiting], np.float32)
    threads.share(kernel, int(starts[-1]), starts, places, numbers, smallest=SMALLEST_RANGE)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _is_covered(array: np.ndarray) -> bool:
    return type(array) is np.ndarray and array.dtype == np.float32 and array.flags.c_contiguous


def _places(rule, arrays: tuple[np.ndarray, ...]) -> tuple[int, ...] | None:
    """The addresses of a rule's states and parameter, or None where the engine cannot work on them."""
    known, places = _known.get(rule, ((), None))
    if len(known) != len(arrays) or not all(map(operator.is_, known, arrays)):
        places = tuple([_address(array) for array in arrays]) if all(map(_is_covered, arrays)) else None
        _known[rule] = arrays, places
    return places if all(array.flags.writeable for array in arrays) else None


def _update(kernel: Callable, rule, grad: np.ndarray, arrays: tuple[np.ndarray, ...], numbers: tuple) -> bool:
    """Run one rule's kernel on its gradient, states and parameter, if all are arrays that it can work on."""
    places = _places(rule, arrays)
    if places is None or not _is_covered(grad):
        return False
    update = ((grad, *arrays), (_address(grad), *places), numbers)
    # Whoever looks at the parameter as soon as it is updated shall see that.
    if _waiting.updates is None or rule._hookable._post_update_hooks or rule._fp32_param is not None:
        if grad.size:
            _run(kernel, [update])
        return True
    if places[-1] in _waiting.updates.setdefault(kernel, {}):
        carry_out()  # a parameter in two places is updated twice
    _waiting.updates.setdefault(kernel, {})[places[-1]] = update
    return True


def _numbers(rule, compute: Callable) -> tuple[float, ...] | None:
    """What `compute` makes of a rule: the same for all parameters that have the optimizer's hyperparameters."""
    hyper, shared = rule.hyperparam, rule.hyperparam.parent
    if len(hyper.__dict__) > 1 or shared is None or shared.parent is not None:
        return compute(rule, hyper)
    source = (type(rule), rule.t, list(shared.__dict__.values()))
    if source != _waiting.source:
        _waiting.source, _waiting.numbers = source, compute(rule, hyper)
    return _waiting.numbers


def _adam_numbers(rule, hyper) -> tuple[float, ...] | None:
    if hyper.amsgrad or hyper.adabound or hyper.weight_decay_rate or np.float32(hyper.eps) == 0:
        return None
    return 1.0 - hyper.beta1, 1.0 - hyper.beta2, rule.alpha_t, hyper.eps, -hyper.eta


def adam(rule, param) -> bool:
    """Whether `AdamRule` was carried out here; its variants are left to Chainer."""
    numbers, grad = _numbers(rule, _adam_numbers), param.grad
    if numbers is None or grad is None:
        return False
    return _update(_adam_all, rule, grad, (rule.state["m"], rule.state["v"], param.array), numbers)


def momentum_sgd(rule, param) -> bool:
    """Whether `MomentumSGDRule` was carried out here."""
    if param.grad is None:
        return False
    numbers = (rule.hyperparam.lr, rule.hyperparam.momentum)
    return _update(_momentum_sgd_all, rule, param.grad, (rule.state["v"], param.array), numbers)


def rmsprop(rule, param) -> bool:
    """Whether `RMSpropRule` was carried out here; with epsilon inside the root it is left to Chainer."""
    hyper = rule.hyperparam
    if hyper.eps_inside_sqrt or param.grad is None or np.float32(hyper.eps) == 0:
        return False
    numbers = (hyper.lr, hyper.alpha, 1 - hyper.alpha, hyper.eps)
    return _update(_rmsprop_all, rule, param.grad, (rule.state["ms"], param.array), numbers)
