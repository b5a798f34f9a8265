"""Training on the engine: it follows stock Chainer, repeats itself bit by bit, and minds no threads and processes."""

import reproduce  # noqa: F401, I001 - first, since it makes Chainer importable, also in a spawned process

import multiprocessing
import os
import threading

import chainer
import chainer.functions as F
import numpy as np
import pytest

from reproduce import engine
from reproduce.network import Conv_NN

SMALL = {"blocks": ((1, 8), (2, 16)), "width": 1.0}


def batch(size=20):
    random = np.random.RandomState(7)
    return random.rand(size, 3, 32, 32).astype(np.float32), random.randint(0, 10, size).astype(np.int32)


def train(name, steps, optimizer=None, size=20, **network):
    """Losses of each step, and the trained network."""
    np.random.seed(1)
    with engine.using(name):
        model = Conv_NN(**{**SMALL, **network})
        optimizer = optimizer() if optimizer else chainer.optimizers.Adam()
        optimizer.setup(model)
        images, labels = batch(size)
        losses = []
        for _ in range(steps):
            loss, _ = model(images, labels)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            losses.append(float(loss.array))
    return losses, model


def bits(model):
    return b"".join(parameter.array.tobytes() for _, parameter in sorted(model.namedparams()))


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"pooling": "average", "filter_size": 5},
        {"pooling": "none", "batch_normalization": False, "blocks": ((1, 8),), "dropout": 0.0},
    ],
)
def test_fifty_steps_follow_stock_chainer(network):
    # Momentum SGD: Adam divides gradients by their size, so that of some weights nothing but the rounding error
    # remains, and two runs of stock Chainer itself with inputs changed by 1e-7 differ by percents after a few steps.
    def optimizer():
        return chainer.optimizers.MomentumSGD(lr=0.0005)

    fast, trained = train("fast", 50, optimizer, size=6, **network)
    stock, _ = train("chainer", 50, optimizer, size=6, **network)
    np.testing.assert_allclose(fast, stock, rtol=1e-3)
    assert bits(trained) != bits(train("fast", 0, **network)[1])


@pytest.mark.parametrize(
    "make",
    [
        chainer.optimizers.Adam,
        lambda: chainer.optimizers.Adam(alpha=0.01, beta1=0.8, eta=0.5),
        lambda: chainer.optimizers.Adam(weight_decay_rate=0.01),
        lambda: chainer.optimizers.Adam(amsgrad=True),
        lambda: chainer.optimizers.MomentumSGD(lr=0.1, momentum=0.7),
        lambda: chainer.optimizers.RMSprop(lr=0.01, alpha=0.9),
        lambda: chainer.optimizers.RMSprop(eps_inside_sqrt=True),
        chainer.optimizers.SGD,
    ],
)
def test_optimizers_give_the_same_bits_as_chainers(make):
    arrays = []
    for name in ("fast", "chainer"):
        random = np.random.RandomState(0)
        link = chainer.Link()
        with link.init_scope():
            link.large = chainer.Parameter(random.standard_normal((129, 301)).astype(np.float32))
            link.small = chainer.Parameter(random.standard_normal(3).astype(np.float32))
            link.transposed = chainer.Parameter(random.standard_normal((5, 4)).astype(np.float32).T)
            link.without_gradient = chainer.Parameter(np.zeros(2, np.float32))
        optimizer = make().setup(link)
        with engine.using(name):
            for _ in range(3):
                for parameter in (link.large, link.small, link.transposed):
                    parameter.grad = random.standard_normal(parameter.shape).astype(np.float32)
                optimizer.update()
        arrays.append([parameter.array for parameter in link.params()])
    for found, expected in zip(*arrays, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_parameter_in_two_places_is_updated_twice_and_not_at_the_same_time():
    found = []
    for name in ("fast", "chainer"):
        chain = chainer.Chain()
        with chain.init_scope():
            chain.w = chainer.Parameter(np.zeros(1 << 20, np.float32))
            chain.again = chain.w
        optimizer = chainer.optimizers.MomentumSGD(lr=0.1).setup(chain)
        with engine.using(name):
            for _ in range(50):
                chain.w.grad = np.ones(1 << 20, np.float32)
                optimizer.update()
        found.append(chain.w.array)
    np.testing.assert_array_equal(*found)


def test_a_hook_after_an_update_sees_it():
    seen = {}
    for name in ("fast", "chainer"):
        seen[name] = []
        chain = chainer.Chain()
        with chain.init_scope():
            chain.a, chain.b = chainer.Link(), chainer.Link()
            for link in (chain.a, chain.b):
                with link.init_scope():
                    link.w = chainer.Parameter(np.arange(20000, dtype=np.float32))
        optimizer = chainer.optimizers.MomentumSGD(lr=0.1).setup(chain)
        chain.b.w.update_rule.add_hook(
            lambda rule, parameter, name=name: seen[name].append(parameter.array.copy()), name="look", timing="post"
        )
        optimizer.add_hook(
            lambda optimizer, name=name, chain=chain: seen[name].append(chain.a.w.array.copy()), "last", timing="post"
        )
        with engine.using(name):
            for _ in range(2):
                for link in (chain.a, chain.b):
                    link.w.grad = np.ones(20000, np.float32)
                optimizer.update()
    assert len(seen["fast"]) == len(seen["chainer"]) == 4
    for found, expected in zip(seen["fast"], seen["chainer"], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("which, timing", [("a", "pre"), ("a", "post"), ("b", "pre"), ("b", "post"), ("c", "post")])
def test_a_rules_hook_sees_and_changes_the_updates_of_others_in_their_order(which, timing):
    found = []
    for name in ("fast", "chainer"):
        link, seen = chainer.Link(), []
        with link.init_scope():
            for place in "abcd":
                setattr(link, place, chainer.Parameter(np.zeros(3, np.float32)))
        optimizer = chainer.optimizers.MomentumSGD(lr=1.0).setup(link)

        def hook(rule, parameter, optimizer=optimizer, link=link, seen=seen):
            seen.append([parameter.array.tolist() for parameter in link.params()])
            optimizer.lr *= 0.5

        getattr(link, which).update_rule.add_hook(hook, "look", timing)
        with engine.using(name):
            for _ in range(2):
                for parameter in link.params():
                    parameter.grad = np.ones(3, np.float32)
                optimizer.update()
        found.append((seen, [parameter.array.tolist() for parameter in link.params()]))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["Adam", "MomentumSGD", "RMSprop"])
def test_all_parameters_are_updated_at_once(monkeypatch, name):
    from reproduce.engine import threads

    _, model = train("fast", 1)
    optimizer = getattr(chainer.optimizers, name)().setup(model)
    calls = []
    monkeypatch.setattr(threads, "parallel_for", lambda kernel, *given, **named: calls.append(kernel))
    with engine.using("fast"):
        optimizer.update()
    assert len(calls) == 1


def test_updates_before_one_that_fails_are_made():
    found = []
    for name in ("fast", "chainer"):
        link = chainer.Link()
        with link.init_scope():
            link.a, link.b = (chainer.Parameter(np.zeros(3, np.float32)) for _ in range(2))
        optimizer = chainer.optimizers.Adam().setup(link)
        link.b.update_rule.hyperparam.alpha = None
        for parameter in link.params():
            parameter.grad = np.ones(3, np.float32)
        with engine.using(name), pytest.raises(TypeError) as refusal:
            optimizer.update()
        found.append((str(refusal.value), link.a.array.tolist(), link.b.array.tolist(), link.b.update_rule.t))
    assert found[0] == found[1] and found[0][1] != found[0][2]


@pytest.mark.parametrize("changed", ["parameter", "state", "loaded state"])
@pytest.mark.parametrize("shape", [(1, 5), (4, 1), (4, 3), (8, 5), (5, 4), (20,)])
def test_arrays_of_other_shapes_than_the_gradients_are_chainers(changed, shape):
    found = []
    for name in ("fast", "chainer"):
        link = chainer.Link()
        with link.init_scope():
            link.w = chainer.Parameter(np.ones((4, 5), np.float32))
        optimizer = chainer.optimizers.MomentumSGD(lr=0.1).setup(link)
        rule = link.w.update_rule
        gradient = np.ones((4, 5), np.float32)
        with engine.using(name):
            if changed != "loaded state":
                link.w.grad = gradient
                optimizer.update()
            if changed == "parameter":
                link.w.array = np.ones(shape, np.float32)
            else:
                rule._state = {"v": np.ones(shape, np.float32)}
            link.w._set_grad_without_check(gradient)
            try:
                optimizer.update()
                found.append((link.w.array.tolist(), rule.state["v"].tolist()))
            except ValueError as refusal:
                found.append((str(refusal), rule.state["v"].tolist()))
    assert found[0] == found[1]


def test_a_parameters_own_update_is_called():
    class Frozen(chainer.Parameter):
        def update(self):
            pass

    link = chainer.Link()
    with link.init_scope():
        link.w = Frozen(np.ones(3, np.float32))
    optimizer = chainer.optimizers.MomentumSGD().setup(link)
    link.w.grad = np.ones(3, np.float32)
    with engine.using("fast"):
        optimizer.update()
    np.testing.assert_array_equal(link.w.array, 1)


@pytest.mark.parametrize("rate", [np.float64(0.1), np.float32(0.1), 1, np.linspace(0, 1, 5), np.float16(0.1)])
@pytest.mark.parametrize("make", [chainer.optimizers.Adam, chainer.optimizers.MomentumSGD, chainer.optimizers.RMSprop])
def test_hyperparameters_that_are_not_pythons_numbers_give_chainers_results(make, rate):
    found = []
    for name in ("fast", "chainer"):
        link, optimizer = one_weight(make(rate))
        with engine.using(name):
            for step in range(3):
                link.w.grad = np.random.RandomState(step).standard_normal(5).astype(np.float32)
                optimizer.update()
        found.append(link.w.array)
    np.testing.assert_array_equal(*found)


def one_weight(optimizer):
    """A link of one parameter, set up with an optimizer."""
    link = chainer.Link()
    with link.init_scope():
        link.w = chainer.Parameter(np.arange(1, 6, dtype=np.float32))
    return link, optimizer.setup(link)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("is_cleared", [True, False])
def test_an_update_by_a_loss_function_is_chainers(is_cleared):
    class Adam(chainer.optimizers.Adam):
        def reallocate_cleared_grads(self):
            pass

    found = []
    for name in ("fast", "chainer"):
        link, optimizer = one_weight(Adam())
        with link.init_scope():
            link.not_reached = chainer.Parameter(np.ones(3, np.float32))
        link.not_reached.update_rule = optimizer.create_update_rule()
        link.not_reached.grad = np.ones(3, np.float32)
        optimizer.use_cleargrads(is_cleared)
        with engine.using(name):
            for power in (2, 3):
                optimizer.update(lambda exponent, scale, link=link: scale * F.sum(link.w**exponent), power, scale=0.5)
        found.append((link.w.array.tolist(), link.w.grad.tolist(), optimizer.t))
        np.testing.assert_array_equal(link.not_reached.grad, None if is_cleared else np.zeros(3))
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore:Non finite number")
def test_no_update_is_made_from_scaled_gradients_that_are_not_finite():
    found = []
    for name in ("fast", "chainer"):
        link, optimizer = one_weight(chainer.optimizers.MomentumSGD(lr=0.1))
        optimizer.loss_scaling()
        optimizer.set_loss_scale(8.0)
        optimizer._loss_scaling_is_dynamic = True
        with engine.using(name):
            for factor in (1.0, np.inf, 1.0):
                optimizer.update(lambda factor, link=link: F.sum(link.w * link.w) * factor, np.float32(factor))
        found.append((link.w.array.tolist(), link.w.update_rule.t, optimizer.t))
    assert found[0] == found[1] and np.isfinite(found[0][0]).all()


def test_an_array_that_must_not_be_written_to_is_refused_as_chainer_refuses_it():
    for name in ("fast", "chainer"):
        link, optimizer = one_weight(chainer.optimizers.MomentumSGD(lr=0.1))
        link.w.grad = np.ones(5, np.float32)
        with engine.using(name):
            optimizer.update()
            link.w.array.flags.writeable = False
            with pytest.raises(ValueError, match="read-only"):
                optimizer.update()


def test_the_same_seed_gives_the_same_bits():
    first_losses, first = train("fast", 3)
    second_losses, second = train("fast", 3)
    assert first_losses == second_losses
    assert bits(first) == bits(second)


def test_evaluation_agrees_with_chainer_and_draws_no_random_numbers():
    _, model = train("chainer", 2)
    found = []
    for name in ("fast", "chainer"):
        np.random.seed(4)
        with engine.using(name), chainer.using_config("train", False), chainer.no_backprop_mode():
            loss, accuracy = model(*batch())
        found.append((float(loss.array), float(accuracy.array), np.random.rand()))
    assert found[0][1:] == found[1][1:]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)


def test_gradients_accumulate_over_two_uses_and_until_they_are_cleared():
    found = []
    for name in ("fast", "chainer"):
        random = np.random.RandomState(0)
        w = chainer.Parameter(random.standard_normal((8, 8, 3, 3)).astype(np.float32))
        x = chainer.Variable(random.standard_normal((2, 8, 6, 6)).astype(np.float32))
        with engine.using(name):
            for _ in range(2):
                h = F.relu(F.convolution_2d(x, w, pad=1))
                loss = F.sum(F.convolution_2d(h, w, pad=1) + h)
                loss.backward()
            once_more = w.grad.copy()
            loss.backward()  # the graph is still there
        found.append((once_more, w.grad, x.grad))
        w.cleargrad()
        assert w.grad is None
    for a, b in zip(*found, strict=True):
        assert abs(a - b).max() <= 1e-4 * abs(b).max()


def test_two_threads_train_at_once_and_get_the_bits_of_one():
    # NumPy's generator is shared by all threads, so the network draws nothing here.
    _, alone = train("fast", 1)
    start = bits(alone)
    images, labels = batch()

    def steps(model, results, place):
        with engine.using("fast"):
            optimizer = chainer.optimizers.MomentumSGD(lr=0.01).setup(model)
            for _ in range(5):
                loss, _ = model(images, labels)
                model.cleargrads()
                loss.backward()
                optimizer.update()
        results[place] = bits(model)

    def fresh():
        np.random.seed(1)
        return Conv_NN(blocks=((1, 8), (2, 16)), dropout=0.0)

    results = {}
    no_dropout = [fresh() for _ in range(3)]
    drawn = np.random.get_state()
    steps(no_dropout[0], results, "alone")
    threads = [threading.Thread(target=steps, args=(model, results, i)) for i, model in enumerate(no_dropout[1:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.random.set_state(drawn)
    assert results["alone"] != start
    assert results[0] == results[1] == results["alone"]


def _train_and_send(pipe):
    pipe.send(bits(train("fast", 2)[1]))


methods = [method for method in ("fork", "spawn") if method in multiprocessing.get_all_start_methods()]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", methods)
def test_two_processes_train_at_once_also_when_forked_from_a_user_of_the_engine(method):
    expected = bits(train("fast", 2)[1])
    context = multiprocessing.get_context(method)
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [context.Process(target=_train_and_send, args=(sender,), daemon=True) for _, sender in pipes]
    for process in processes:
        process.start()
    for receiver, _ in pipes:
        assert receiver.poll(60), "the process hangs"
        assert receiver.recv() == expected
    for process in processes:
        process.join(30)
        assert process.exitcode == 0


@pytest.mark.skipif("fork" not in methods, reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_is_forked_while_another_thread_begins_can_begin_itself():
    train("fast", 1)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_train_and_send, args=(sender,), daemon=True)
    with engine._installing:
        process.start()
    try:
        assert receiver.poll(60), "the process hangs"
    finally:
        process.kill()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the number of cores is not known here")
def test_there_are_no_more_threads_than_cores():
    from reproduce.engine import threads

    assert 1 <= threads.COUNT <= max(len(os.sched_getaffinity(0)), int(os.environ.get("OMP_NUM_THREADS", "0")))
