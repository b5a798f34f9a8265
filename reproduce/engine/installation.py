"""Where the engine meets Chainer: methods of Chainer's own, wrapped once.

The function nodes, their hooks and labels stay Chainer's, as do the type checks of what the engine leaves to it. Only
`forward_cpu` (`forward`, where a node has no other) first asks the engine, and `backward` goes the way that forward
went. A node that the engine computed carries what its backward needs as `node.engine_state`, and as `engine_shapes` the
shapes of the arrays that its backward gets. What makes graphs and goes backward through them, `FunctionNode.apply` and
`_backprop._backprop_to_all`, is wrapped in `graph`; and of optimizers, `GradientMethod.update` and
`reallocate_cleared_grads`, so that all parameters are updated at once (`updates`).
"""

import functools
import sys
from collections.abc import Callable

import chainer
from chainer.functions.activation.relu import ReLU
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.linear import LinearFunction
from chainer.functions.noise.dropout import Dropout, dropout
from chainer.functions.normalization.batch_normalization import BatchNormalization, FixedBatchNormalization
from chainer.functions.pooling.average_pooling_2d import AveragePooling2D
from chainer.functions.pooling.max_pooling_nd import MaxPoolingND
from chainer.optimizer import GradientMethod

from reproduce import engine
from reproduce.engine import graph, nodes, normalization, updates


def _wrap_forward(node_class: type, name: str, forward: Callable, *counts: int) -> None:
    """Let a method ask `forward` first, if it gets as many inputs as one of `counts`."""
    stock = getattr(node_class, name)

    def compute(self, inputs):
        self.engine_state = None
        outputs = forward(self, inputs) if len(inputs) in counts else None
        if outputs is not None:
            self.engine_shapes = [inputs[index].shape for index in self._input_indexes_to_retain or ()]
            # Of an output that is retained, and of its gradient.
            self.engine_shapes += [outputs[0].shape] * (2 if self._output_indexes_to_retain else 1)
        return outputs

    @functools.wraps(stock)
    def wrapped(self, inputs):
        if engine.current() == "fast":
            outputs = compute(self, inputs)
            if outputs is not None:
                return outputs
        else:
            self.engine_state = None
        return stock(self, inputs)

    setattr(node_class, name, wrapped)
    graph.forwards[node_class] = compute


def _wrap_backward(node_class: type, backward: Callable) -> None:
    stock = node_class.backward

    @functools.wraps(stock)
    def wrapped(self, indexes, grad_outputs):
        # Gradients that shall themselves be differentiated are Chainer's; `enable_backprop` says so here.
        if getattr(self, "engine_state", None) is not None and not chainer.config.enable_backprop:
            arrays = [*graph.retained(self), grad_outputs[0].array]
            if nodes.covered(*arrays) and [array.shape for array in arrays] == self.engine_shapes:
                return backward(self, indexes, *arrays)
        return stock(self, indexes, grad_outputs)

    node_class.backward = wrapped


class _Shown:
    """An attribute of Chainer's that nodes which the engine computed have, too: made when it is first read.

    `F.dropout` always reads the mask, but returns it only with `return_mask=True`, which the engine leaves to Chainer.
    So it gets None.
    """

    def __init__(self, name: str, compute: Callable) -> None:
        self.name, self.compute = name, compute

    def __get__(self, node, node_class=None):
        if getattr(node, "engine_state", None) is None:
            raise AttributeError(f"{node_class.__name__!r} object has no attribute {self.name!r}")
        if sys._getframe(1).f_code is dropout.__code__:
            return None
        node.__dict__[self.name] = self.compute(node)
        return node.__dict__[self.name]


def _wrap_optimizer() -> None:
    """Update all parameters at once."""
    update, reallocate = GradientMethod.update, GradientMethod.reallocate_cleared_grads

    @functools.wraps(update)
    def updating(self, lossfun=None, *arguments, **keywords):
        if engine.current() != "fast":
            return update(self, lossfun, *arguments, **keywords)
        if lossfun is not None:
            loss = lossfun(*arguments, **keywords)
            if getattr(self, "_use_cleargrads", True):
                self.target.cleargrads()
            else:
                self.target.zerograds()
            loss.backward(loss_scale=self._loss_scale)
            del loss
        self.reallocate_cleared_grads()
        self.check_nan_in_grads()
        self.call_hooks("pre")
        self.t += 1
        if self.is_safe_to_update():
            updates.update(self.target.params())
        self.reallocate_cleared_grads()
        self.call_hooks("post")
        self.update_loss_scale()

    @functools.wraps(reallocate)
    def reallocating(self):
        if engine.current() != "fast" or any(
            param._layout is not None or param.grad is None for param in self.target.params(False)
        ):
            reallocate(self)

    GradientMethod.update, GradientMethod.reallocate_cleared_grads = updating, reallocating


@functools.cache
def install() -> None:
    """Wrap Chainer's methods; they still run Chainer's code wherever the engine is not in use."""
    _wrap_forward(Convolution2DFunction, "forward_cpu", nodes.convolution_forward, 2, 3)
    _wrap_backward(Convolution2DFunction, nodes.convolution_backward)
    _wrap_forward(LinearFunction, "forward", nodes.linear_forward, 2, 3)
    _wrap_backward(LinearFunction, nodes.linear_backward)
    _wrap_forward(BatchNormalization, "forward", normalization.forward, 3)
    _wrap_backward(BatchNormalization, normalization.backward)
    _wrap_forward(FixedBatchNormalization, "forward", normalization.fixed_forward, 5)
    _wrap_forward(ReLU, "forward_cpu", nodes.relu_forward, 1)
    _wrap_backward(ReLU, nodes.relu_backward)
    _wrap_forward(Dropout, "forward_cpu", nodes.dropout_forward, 1)
    _wrap_backward(Dropout, nodes.dropout_backward)
    Dropout.mask = _Shown("mask", nodes.dropout_mask)
    _wrap_forward(MaxPoolingND, "forward_cpu", nodes.max_pooling_forward, 1)
    _wrap_backward(MaxPoolingND, nodes.max_pooling_backward)
    MaxPoolingND.indexes = _Shown("indexes", nodes.max_pooling_indexes)
    _wrap_forward(AveragePooling2D, "forward_cpu", nodes.average_pooling_forward, 1)
    _wrap_backward(AveragePooling2D, nodes.average_pooling_backward)
    _wrap_optimizer()
    graph.install()
