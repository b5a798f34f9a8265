"""Chainer's graphs, as the engine makes them and goes backward through them: what they hold and show is Chainer's."""

import copy
import pickle

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer import _backprop

from reproduce import engine
from reproduce.engine import graph

ENGINES = ("fast", "chainer")


def normal(seed, *shape):
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def on_both(compute):
    found = []
    for name in ENGINES:
        np.random.seed(0)
        with engine.using(name):
            found.append(compute())
    return found


def parameters():
    return [chainer.Parameter(normal(seed, *shape)) for seed, shape in enumerate([(4, 8, 3, 3), (4,), (4,), (4,)])]


def network(x, w, b, gamma, beta):
    h = F.convolution_2d(x, w, b, pad=1)
    normalized = F.relu(F.batch_normalization(h, gamma, beta))
    return F.sum(F.dropout(F.max_pooling_2d(normalized, 2), 0.3) ** 2), h, normalized


@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_variable_has_the_attributes_of_chainers(requires_grad):
    array = normal(0, 2, 3)
    found, expected = graph.variable(array, requires_grad), chainer.Variable(array, requires_grad=requires_grad)
    for x, y in ((vars(found), vars(expected)), (vars(found.node), vars(expected.node))):
        assert x.keys() == y.keys()
        for key in x.keys() - {"_node", "_variable", "_data"}:
            assert x[key] is y[key] or x[key] == y[key], key
    assert found.node.get_variable() is found and found.array is array


@pytest.mark.skipif(chainer.cuda.available, reason="with CuPy the engine leaves the graph to Chainer")
def test_the_engine_makes_the_graph_and_goes_backward_through_it():
    with engine.using("fast"):
        assert chainer.FunctionNode.apply.__code__.co_filename == graph.__file__
        assert _backprop._backprop_to_all.__code__.co_filename == graph.__file__


def test_graphs_hold_what_chainers_hold():
    def compute():
        x = chainer.Variable(normal(9, 2, 8, 6, 6))
        loss, *_ = network(x, *parameters())
        rows, node = [], loss.creator_node
        while node is not None:
            kept = [y is not None and y.data is not None for y in (y() for y in node.outputs)]
            rows.append((
                node.label, node.rank, node.input_layouts, node.output_layouts, node.lazy_grad_sum, kept,
                [(y.rank, y.shape, y.dtype, y.requires_grad, y.data is not None) for y in node.inputs],
            ))  # fmt: skip
            node = node.inputs[0].creator_node
        return rows

    found, expected = on_both(compute)
    assert found == expected and len(found) == 7


@pytest.mark.parametrize("retain_grad", [False, True])
def test_gradients_are_kept_where_chainer_keeps_them(retain_grad):
    def compute():
        x, weights = chainer.Variable(normal(9, 2, 8, 6, 6)), parameters()
        weights[1].grad = normal(7, 4)  # gradients are added to what is there
        loss, *hidden = network(x, *weights)
        loss.backward(retain_grad=retain_grad, loss_scale=3.0)
        return [v.grad for v in (loss, *hidden, x, *weights)], [v._loss_scale for v in (x, *weights)]

    (found, scales), (expected, expected_scales) = on_both(compute)
    assert scales == expected_scales
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * abs(b).max())


def test_inputs_used_twice_and_constants_get_the_gradients_that_they_should():
    def compute():
        x, w = chainer.Variable(normal(1, 2, 8, 4, 4)), chainer.Parameter(normal(2, 8, 8, 3, 3))
        h = F.relu(F.convolution_2d(x, w, pad=1))
        constant = chainer.Variable(normal(3, 2, 8, 4, 4), requires_grad=False)
        first, second = F.split_axis(h + h * constant + x, 2, axis=1)  # two outputs, of which one is used
        F.sum(F.relu(first) * normal(4, 2, 4, 4, 4)).backward()
        del second
        return x.grad, w.grad, constant.grad

    found, expected = on_both(compute)
    assert found[2] is expected[2] is None
    for a, b in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * abs(b).max())


def test_backward_uses_what_an_array_has_been_set_to():
    def compute():
        x, w = chainer.Variable(normal(1, 2, 8, 4, 4)), chainer.Parameter(normal(2, 8, 8, 3, 3))
        gamma, beta = chainer.Parameter(normal(4, 8)), chainer.Parameter(normal(5, 8))
        y = F.relu(F.batch_normalization(F.convolution_2d(x, w, pad=1), gamma, beta))
        w.array = normal(3, 8, 8, 3, 3)
        gamma.array = normal(6, 8)
        y.array = normal(7, *y.shape)
        F.sum(y * y).backward()
        return x.grad, w.grad, gamma.grad, beta.grad

    for a, b in zip(*on_both(compute), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * abs(b).max())


OPERATIONS = {
    "convolution": (F.convolution_2d, [(2, 8, 6, 6), (8, 8, 3, 3)]),
    "direct convolution": (F.convolution_2d, [(2, 3, 6, 6), (8, 3, 3, 3)]),
    "linear": (F.linear, [(3, 9), (5, 9)]),
    "batch normalization": (F.batch_normalization, [(6, 4, 3, 3), (4,), (4,)]),
    "ReLU": (F.relu, [(3, 40)]),
    "dropout": (lambda x: F.dropout(x, 0.3), [(3, 40)]),
    "max pooling": (lambda x: F.max_pooling_2d(x, 2), [(2, 3, 4, 4)]),
    "average pooling": (lambda x: F.average_pooling_2d(x, 2), [(2, 3, 4, 4)]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("changed", ["smaller", "larger"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_backward_with_arrays_of_other_shapes_is_chainers(operation, changed):
    function, shapes = OPERATIONS[operation]

    def outcome(place):
        variables = [chainer.Variable(normal(seed, *shape)) for seed, shape in enumerate(shapes)]
        y = function(*variables)
        variable = (y, *variables)[place]
        variable.array = np.repeat(variable.array, 2, axis=0) if changed == "larger" else variable.array[:1].copy()
        y.grad = normal(9, *y.shape)
        try:
            y.backward()
        except Exception as refusal:
            return type(refusal), str(refusal)
        return [x.grad for x in variables]

    for place in range(1 + min(2, len(shapes))):
        found, expected = on_both(lambda place=place: outcome(place))
        assert type(found) is type(expected), (found, expected)
        if isinstance(expected, tuple):
            assert found == expected
        else:
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * abs(b).max())


@pytest.mark.parametrize("everywhere", [True, False])
def test_hooks_see_what_they_see_in_chainer(everywhere):
    class Hook(chainer.FunctionHook):
        def __init__(self):
            self.seen = []

        def note(self, function, in_data, out_grads):
            shapes = [None if array is None else array.shape for array in (*in_data, *(out_grads or ()))]
            if function.label in ("Convolution2DFunction", "ReLU", "Sum"):  # Chainer's gradients are functions, too
                self.seen.append((function.label, shapes))

        def forward_preprocess(self, function, in_data):
            self.note(function, in_data, None)

        forward_postprocess = forward_preprocess
        backward_preprocess = backward_postprocess = note

    def compute():
        x, w = chainer.Variable(normal(1, 2, 8, 4, 4)), chainer.Parameter(normal(2, 8, 8, 3, 3))
        hook = Hook()
        if everywhere:
            with hook:
                F.sum(F.relu(F.convolution_2d(x, w, pad=1))).backward()
        else:
            y = F.relu(F.convolution_2d(x, w, pad=1))
            y.creator_node.add_hook(hook)
            F.sum(y).backward()
        return hook.seen

    found, expected = on_both(compute)
    assert found == expected and found


def test_wrong_gradients_are_refused_as_chainer_refuses_them(monkeypatch):
    def compute():
        y = F.sum(F.relu(chainer.Variable(normal(0, 3))))
        wrong = (chainer.Variable(np.zeros(4, np.float32)),)
        monkeypatch.setattr(y.creator_node, "backward", lambda *_: wrong)
        with pytest.raises(ValueError, match="Shape of data and grad mismatch") as refusal:
            y.backward()
        return str(refusal.value)

    assert len(set(on_both(compute))) == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_of_an_optimizer_updates_its_own_arrays(copied):
    def compute():
        link = chainer.Link()
        with link.init_scope():
            link.w = chainer.Parameter(normal(0, 50))
        pair = (link, chainer.optimizers.Adam().setup(link))
        results = []
        for _ in range(2):
            for _ in range(2):
                pair[0].w.grad = normal(1, 50)
                pair[1].update()
            results.append(pair[0].w.array)
            pair = copied(pair)
        return [*results, pair[0].w.array]

    for a, b in zip(*on_both(compute), strict=True):
        np.testing.assert_array_equal(a, b)


def test_updates_follow_new_hyperparameters_states_and_arrays():
    def compute():
        link = chainer.Link()
        with link.init_scope():
            link.v, link.w = chainer.Parameter(normal(0, 50)), chainer.Parameter(normal(0, 40))
        optimizer = chainer.optimizers.Adam().setup(link)
        link.w.update_rule.hyperparam.eta = 0.5
        for step in range(6):
            link.v.grad, link.w.grad = normal(step, 50), normal(step, 40)
            if step == 1:
                optimizer.alpha = 0.1
            if step == 2:
                link.w.array = normal(8, 40)
            if step == 3:
                link.w.update_rule.state["m"] = normal(9, 40)
            if step == 4:
                link.v.update_rule.enabled = False
            if step == 5:
                link.w.grad, link.v._loss_scale = None, 2.0
                link.v.update_rule.enabled = True
            optimizer.update()
        return link.v.array, link.w.array, link.w.grad, link.v.update_rule.t

    for a, b in zip(*on_both(compute), strict=True):
        np.testing.assert_array_equal(a, b)
