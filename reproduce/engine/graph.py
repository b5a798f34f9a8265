"""Chainer's bookkeeping around function nodes, for arrays of NumPy alone: the same graphs, and less Python.

Chainer asks at each node, forward and backward, for hooks, devices, memory layouts and arrays of other kinds. Where
there are none, what remains is here, step by step as in `FunctionNode.apply` and `_backprop._backprop_to_all` of
Chainer 7.8.1. Whatever is out of the ordinary goes Chainer's way.
"""

import functools
import heapq
import weakref
from collections.abc import Callable

import chainer
import chainerx
import numpy as np
from chainer import Variable, _backprop, _backprop_utils
from chainer.backends import cuda, intel64
from chainer.function_node import FunctionNode
from chainer.utils._collections import OrderedDict
from chainer.variable import VariableNode, _check_grad_type

from reproduce import engine

# What the engine computes nodes of a class by; it returns None for what it does not cover.
forwards: dict[type, Callable] = {}


def variable(array: np.ndarray, requires_grad: bool = False) -> Variable:
    """What `Variable(array, requires_grad=requires_grad)` makes of a NumPy array."""
    new, node = Variable.__new__(Variable), VariableNode.__new__(VariableNode)
    new.__dict__ = {
        "_requires_grad": requires_grad, "_loss_scale": None, "_grad_var": None, "_device": None, "_grad_valid": True,
        "_layout": None, "_data": [array], "_node": node, "_grad": None,
    }  # fmt: skip
    node.__dict__ = {
        "_variable": weakref.ref(new), "name": None, "_requires_grad": requires_grad, "_layout": None,
        "dtype": array.dtype, "shape": array.shape,
    }  # fmt: skip
    return new


def retained(node: FunctionNode) -> list[np.ndarray]:
    """The arrays that a node has retained of its inputs and its only output, as they are now."""
    arrays = [node.inputs[index]._data for index in node._input_indexes_to_retain or ()]
    if node._output_indexes_to_retain:
        output = node.outputs[0]()
        arrays.append(node._retained_output_data[0] if output is None else output._data)
    return arrays


def _settings() -> dict[str, object]:
    """All of this thread's `chainer.config`: in one go, for each look at one of its attributes takes longer."""
    return {**chainer.global_config.__dict__, **chainer.config._local.__dict__}


def _is_ordinary(settings: dict[str, object]) -> bool:
    """Whether nobody looks on: no hooks, no debug mode."""
    return engine.current() == "fast" and not settings["debug"] and not chainer.get_function_hooks()


def _apply(stock: Callable) -> Callable:
    @functools.wraps(stock)
    def apply(node, inputs):
        settings = _settings()
        if (
            not _is_ordinary(settings)
            or type(inputs) not in (tuple, list)  # what else can be gone through, Chainer may refuse
            or not inputs
            or node._n_local_function_hooks
            or settings["schedule_func"] is not None
            or not type(node).__module__.startswith("chainer.functions.")  # a user's own has its outputs checked
        ):
            return stock(node, inputs)
        variables = [variable(x) if type(x) is np.ndarray else x for x in inputs]
        for x in variables:
            if not isinstance(x, Variable) or x._layout is not None or type(x._data[0]) is not np.ndarray:
                return stock(node, inputs)
        arrays = tuple([x._data[0] for x in variables])
        node._input_layouts = (None,) * len(variables)
        node._input_indexes_to_retain = node._output_indexes_to_retain = None
        # Chainer's check of types takes as long as a small loop, and what the engine covers passes it.
        compute = forwards.get(type(node))
        outputs = None if compute is None else compute(node, arrays)
        if outputs is None:
            if settings["type_check"]:
                node._check_data_type_forward(arrays)
            outputs = node.forward(arrays)
        if node._output_layouts is None:
            node._output_layouts = (None,) * len(outputs)
        node._output_count = len(outputs)
        requires_grad = any(x._requires_grad for x in variables)
        results = tuple([variable(y, requires_grad) for y in outputs])
        if settings["enable_backprop"]:
            node.rank = max([x._node._rank for x in variables])
            for y in results:
                y._node._creator_node, y._node._rank = node, node.rank + 1
            node.inputs = tuple([x._node for x in variables])
            node.outputs = tuple([weakref.ref(y._node) for y in results])
            for index in node._input_indexes_to_retain or ():
                variables[index]._node._data = arrays[index]
            if node._output_indexes_to_retain is not None:
                for index in node._output_indexes_to_retain:
                    results[index]._node._data = outputs[index]
                node._retained_output_data = tuple([outputs[index] for index in node._output_indexes_to_retain])
            node.lazy_grad_sum = settings["lazy_grad_sum"]
        return results

    return apply


def _backprop_to_all(stock: Callable) -> Callable:
    @functools.wraps(stock)
    def backprop_to_all(outputs, retain_grad, loss_scale):
        if not _is_ordinary(_settings()):
            return stock(outputs, retain_grad, loss_scale)
        candidates: list[tuple[int, int, FunctionNode]] = []
        seen: set[FunctionNode] = set()
        leaves: set[VariableNode] = set()
        grads = _backprop_utils.GradTable(accumulate_grad_inputs=True)

        def visit(node):
            function = node._creator_node
            if function is None:
                leaves.add(node)
            elif function not in seen:
                heapq.heappush(candidates, (-function.rank, len(seen), function))
                seen.add(function)

        for y, gy in outputs:
            grads.accumulate(y, gy)
            visit(y)
        y = gy = None
        while candidates:
            node = heapq.heappop(candidates)[2]
            wanted = tuple([i for i, x in enumerate(node.inputs) if x._requires_grad])
            outputs = [reference() for reference in node.outputs]
            out_grads = tuple([
                None if y is None or y._creator_node is None else grads.pop(y) for y in outputs
            ])  # fmt: skip
            if not wanted:
                continue
            in_grads = OrderedDict()
            for i in wanted:
                in_grads[node.inputs[i]] = grads.get_as_list(node.inputs[i])
            hooks, seen_by_hooks = (), ()
            if node._n_local_function_hooks:
                hooks = list(node.local_function_hooks.values())
                out_arrays = tuple([None if gy is None else gy.raw_array for gy in out_grads])
                seen_by_hooks = (node, tuple([x.data for x in node.inputs]), out_arrays)
            for hook in hooks:
                hook.backward_preprocess(*seen_by_hooks)
            _backprop_utils.backprop_step(node, wanted, out_grads, in_grads, False)
            for hook in hooks:
                hook.backward_postprocess(*seen_by_hooks)
            if retain_grad:
                for y, gy in zip(outputs, out_grads, strict=True):
                    if y is not None:
                        y._set_grad_var_if_available(gy)
            # Nothing but the table keeps a gradient while the next node computes.
            out_grads = gy = None
            for x, found in in_grads.items():
                for gx in found:
                    if gx is not None:
                        array = gx._data[0]
                        if type(array) is not np.ndarray or array.dtype != x.dtype or array.shape != x.shape:
                            _check_grad_type(node, x, True, gx.raw_array)
                if found:
                    visit(x)
            found = gx = array = in_grads = None
        for x in leaves:
            target, gx = x._variable(), grads.pop(x)
            if target is not None:
                target._set_grad_var_without_check(gx)
                target._loss_scale = loss_scale
        grads.assert_no_grads()

    return backprop_to_all


def install() -> None:
    """Put these in the place of Chainer's, if there are no arrays but NumPy's."""
    if cuda.available or chainerx.is_available() or intel64.is_ideep_available():
        return
    FunctionNode.apply = _apply(FunctionNode.apply)
    _backprop._backprop_to_all = _backprop_to_all(_backprop._backprop_to_all)
