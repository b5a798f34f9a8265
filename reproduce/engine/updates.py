"""The optimizers' updates in one pass over all parameters, with the same bits as Chainer's several over each."""

import operator
import weakref
from collections.abc import Callable, Iterable

import numba
import numpy as np
from chainer import Parameter, UpdateRule
from chainer.optimizers.adam import AdamRule
from chainer.optimizers.momentum_sgd import MomentumSGDRule
from chainer.optimizers.rmsprop import RMSpropRule
from numba.core import types
from numba.extending import intrinsic

from reproduce.engine import threads
from reproduce.engine.compilation import kernel
from reproduce.engine.expressions import vector_loop

# Fewer values are too little work for another thread.
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


def _adam_numbers(rule: AdamRule) -> tuple[float, ...] | None:
    hyper = rule.hyperparam
    if hyper.amsgrad or hyper.adabound or hyper.weight_decay_rate or np.float32(hyper.eps) == 0:
        return None
    return 1.0 - hyper.beta1, 1.0 - hyper.beta2, rule.alpha_t, hyper.eps, -hyper.eta


def _momentum_sgd_numbers(rule: MomentumSGDRule) -> tuple[float, ...]:
    return rule.hyperparam.lr, rule.hyperparam.momentum


def _rmsprop_numbers(rule: RMSpropRule) -> tuple[float, ...] | None:
    hyper = rule.hyperparam
    if hyper.eps_inside_sqrt or np.float32(hyper.eps) == 0:
        return None
    return hyper.lr, hyper.alpha, 1 - hyper.alpha, hyper.eps


# Of each of Chainer's rules: the loop that carries it out, its states in the loop's order, and what computes its
# numbers, or None for a variant that is left to Chainer.
_RULES: dict[type, tuple[Callable, tuple[str, ...], Callable]] = {
    AdamRule: (_adam_all, ("m", "v"), _adam_numbers),
    MomentumSGDRule: (_momentum_sgd_all, ("v",), _momentum_sgd_numbers),
    RMSpropRule: (_rmsprop_all, ("ms",), _rmsprop_numbers),
}
# Of each rule, the states and the parameter that it updated last, and their addresses. They are the same arrays in each
# step, and looked at once. Not kept on the rule, which may be copied.
_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def update(params: Iterable[Parameter]) -> None:
    """Update each parameter as `Parameter.update` would: those that the engine can together, others in their turn."""
    waiting: dict[Callable, list[_Update]] = {}
    numbers_of: dict[tuple, tuple[float, ...] | None] = {}
    updated: set[int] = set()

    def carry_out() -> None:
        for loop, updates in waiting.items():
            starts = np.cumsum([0] + [arrays[0].size for arrays, _, _ in updates])
            places = np.array([places for _, places, _ in updates])
            numbers = np.array([numbers for _, _, numbers in updates], np.float32)
            threads.parallel_for(loop, int(starts[-1]), starts, places, numbers, smallest=SMALLEST_RANGE)
        waiting.clear()
        numbers_of.clear()
        updated.clear()

    try:
        for param in params:
            rule, numbers = param.update_rule, None
            places = _places(rule, param) if type(rule) in _RULES else None
            grad = None if places is None else param.grad
            # A parameter in two places is updated twice, and not at the same time.
            if _is_covered(grad) and grad.shape == param._data[0].shape and places[-1] not in updated:
                rule.t += 1
                shared = rule.hyperparam.parent
                # Rules without hyperparameters of their own have the optimizer's, and so the same numbers.
                own = len(rule.hyperparam.__dict__) > 1 or shared is None
                source = (type(rule), rule.t, id(rule if own else shared))
                if source not in numbers_of:
                    numbers_of[source] = _numbers(rule)
                numbers = numbers_of[source]
                if numbers is None:
                    rule.t -= 1
            if numbers is None:
                # Its hooks may look at all parameters, and set hyperparameters.
                carry_out()
                param.update()
            elif grad.size:
                arrays = (grad, *_known[rule][0])
                waiting.setdefault(_RULES[type(rule)][0], []).append((arrays, (_address(grad), *places), numbers))
                updated.add(places[-1])
    finally:
        carry_out()


def _numbers(rule: UpdateRule) -> tuple[float, ...] | None:
    """A rule's numbers; None for a variant that is left to Chainer, as is a number that is none of Python's own.

    Such a one, or an array, gives NumPy's results other types.
    """
    numbers = _RULES[type(rule)][2](rule)
    return numbers if numbers and all(type(number) in (float, int, np.float32) for number in numbers) else None


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _is_covered(array: object) -> bool:
    return type(array) is np.ndarray and array.dtype == np.float32 and array.flags.c_contiguous


def _places(rule: UpdateRule, param: Parameter) -> tuple[int, ...] | None:
    """The addresses of a rule's states and parameter; None where something is to be done besides an update of them."""
    hooks = rule._hookable
    if (
        not rule.enabled
        or rule._use_fp32_update
        or hooks._pre_update_hooks
        or hooks._post_update_hooks
        or param._loss_scale is not None
        or param._layout is not None
        or type(param._data[0]) is not np.ndarray
        or type(param).update is not Parameter.update
    ):
        return None
    if rule._state is None:
        rule._init_states(param)
    _, names, _ = _RULES[type(rule)]
    arrays = (*map(rule._state.get, names), param._data[0])
    known, places = _known.get(rule, ((), None))
    if len(known) != len(arrays) or not all(map(operator.is_, known, arrays)):
        fit = all(_is_covered(array) and array.shape == param._data[0].shape for array in arrays)
        places = tuple([_address(array) for array in arrays]) if fit else None
        _known[rule] = arrays, places
    return places if places and all(array.flags.writeable for array in arrays) else None
