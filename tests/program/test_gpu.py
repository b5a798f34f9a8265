"""On a GPU, where there is one: the CPU's numbers, to rounding."""

from pathlib import Path

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer import cuda

from reproduce import engine
from reproduce.data.dataset import synthetic
from reproduce.data.hdf5 import to_unit_range
from reproduce.devices import check_device, get_device, resolve_engine, send
from reproduce.engine import cudnn
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.network import Conv_NN
from reproduce.store.training_run import train
from reproduce.training import Calculate_Test_Accuracy, build, train_epoch

IMAGES = synthetic(200, 50)


def obstacle() -> str:
    """Why there is no GPU to test on, or no engine for it; empty if there is one."""
    try:
        check_device(0)
        resolve_engine("fast", 0)
    except BadInput as error:
        return str(error)
    return ""


pytestmark = pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "there is a GPU")


def _results(function, arrays, gy, dtype, device, name):
    """A function's value and the gradients of its inputs, in float64."""
    place = get_device(device)
    place.use()
    variables = [chainer.Variable(place.send(array.astype(dtype))) for array in arrays]
    with engine.using(name, device):
        y = function(*variables)
        y.grad = place.send(gy(y.shape).astype(dtype))
        y.backward()
    return [cuda.to_cpu(array).astype(np.float64) for array in (y.array, *(variable.grad for variable in variables))]


def _assert_float64_to_rounding(function, arrays, names, largest_error):
    """On the GPU's engine: the numbers of Chainer's own code in float64 on the CPU."""
    noise = np.random.RandomState(1)
    exact = _results(function, arrays, lambda shape: noise.randn(*shape), np.float64, -1, "chainer")
    noise.seed(1)
    ours = _results(function, arrays, lambda shape: noise.randn(*shape), np.float32, 0, "fast")
    for name, one, other in zip(names, exact, ours, strict=True):
        assert np.linalg.norm(one - other) < largest_error * np.linalg.norm(one), name


@pytest.mark.parametrize(
    "images, channels, filter_size, options",
    [
        ((50, 64, 32, 32), 64, 3, {"pad": 1}),
        ((20, 256, 8, 8), 256, 3, {"pad": 1}),
        ((20, 64, 16, 16), 128, 5, {"pad": 2}),
        ((20, 128, 8, 8), 256, 7, {"pad": 3}),
        ((20, 3, 32, 32), 64, 3, {"pad": 1}),
        ((4, 3, 9, 7), 5, 3, {"stride": 2}),
        ((4, 20, 9, 7), 5, 3, {"dilate": 2, "pad": 2}),
        ((3, 20, 5, 5), 3, 1, {}),
        ((1, 1, 2, 2), 1, 2, {}),
        ((4, 18, 12, 12), 20, 9, {"stride": 2, "pad": 1}),
        ((4, 18, 11, 12), 20, 3, {"stride": 2, "cover_all": True}),
        ((4, 18, 12, 12), 20, 3, {"groups": 2}),
        ((4, 18, 12, 11), 20, 3, {"stride": (1, 2), "pad": (2, 0), "dilate": (2, 1)}),
    ],
)
def test_convolutions_are_float64_s_to_rounding(images, channels, filter_size, options):
    """TF32, which rounds each factor to 11 bits, would be wrong by 3e-4."""
    inputs = images[1] // options.get("groups", 1)
    draw = np.random.RandomState(0).randn
    arrays = draw(*images), draw(channels, inputs, filter_size, filter_size) / filter_size, draw(channels)
    _assert_float64_to_rounding(
        lambda x, weights, bias: F.convolution_2d(x, weights, bias, **options),
        arrays,
        ("output", "images' gradient", "weights' gradient", "bias's gradient"),
        5e-5,
    )


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("options", [{"pad": 1}, {"stride": 2, "outsize": (15, 16)}])
def test_transposed_convolutions_are_float64_s_to_rounding(options, with_bias):
    draw = np.random.RandomState(0).randn
    arrays = draw(4, 20, 7, 8), draw(20, 18, 3, 3) / 3, draw(18)
    _assert_float64_to_rounding(
        lambda x, weights, *bias: F.deconvolution_2d(x, weights, *bias, **options),
        arrays[: 2 + with_bias],
        ("output", "images' gradient", "weights' gradient", "bias's gradient")[: 3 + with_bias],
        5e-5,
    )


@pytest.mark.parametrize("of_weights", [np.float16, np.float64])
def test_convolutions_of_mixed_types_keep_chainer_s_types(of_weights):
    place = get_device(0)
    place.use()
    found = []
    for name in ("chainer", "fast"):
        draw = np.random.RandomState(0).randn
        x = chainer.Variable(place.send(draw(2, 18, 6, 6).astype(np.float32)))
        weights = chainer.Variable(place.send((draw(20, 18, 3, 3) / 10).astype(of_weights)))
        with engine.using(name, 0):
            y = F.convolution_2d(x, weights, pad=1)
            y.grad = cuda.cupy.ones_like(y.array)
            y.backward()
        found.append([cuda.to_cpu(array) for array in (y.array, x.grad, weights.grad)])
    for stock, ours in zip(*found, strict=True):
        assert ours.dtype == stock.dtype
        np.testing.assert_allclose(ours, stock, rtol=1e-2, atol=1e-2)


def test_arrays_that_lie_otherwise_in_memory_are_convolved_alike():
    draw = np.random.RandomState(0).randn
    _assert_float64_to_rounding(
        lambda x, weights: F.convolution_2d(x.transpose(0, 3, 1, 2), weights.transpose(3, 0, 1, 2), pad=1),
        (draw(6, 8, 8, 20), draw(20, 3, 3, 12)),
        ("output", "images' gradient", "weights' gradient"),
        5e-5,
    )


@pytest.mark.parametrize("images", [(50, 64, 32, 32), (20, 256, 8, 8), (3, 5, 7, 4)])
def test_batch_normalization_is_float64_s_to_rounding(images):
    draw = np.random.RandomState(0).randn
    _assert_float64_to_rounding(
        lambda x, gamma, beta: F.batch_normalization(x, gamma, beta),
        (3 + 2 * draw(*images), draw(images[1]), draw(images[1])),
        ("output", "images' gradient", "gamma's gradient", "beta's gradient"),
        5e-5,
    )


@pytest.mark.parametrize("of_gamma", [np.float16, np.float64])
def test_batch_normalization_of_mixed_types_keeps_chainer_s_types(of_gamma):
    place = get_device(0)
    place.use()
    found = []
    for name in ("chainer", "fast"):
        x = chainer.Variable(place.send(np.random.RandomState(0).randn(6, 4, 5, 5).astype(np.float32)))
        gamma, beta = (chainer.Variable(place.send(np.ones(4, of_gamma))) for _ in range(2))
        with engine.using(name, 0):
            y = F.batch_normalization(x, gamma, beta)
            y.grad = cuda.cupy.cos(y.array * 10)
            y.backward()
        found.append([cuda.to_cpu(array) for array in (y.array, x.grad, gamma.grad, beta.grad)])
    for stock, ours in zip(*found, strict=True):
        assert ours.dtype == stock.dtype
        np.testing.assert_allclose(ours, stock, rtol=1e-2, atol=1e-2 if of_gamma == np.float16 else 1e-4)


def test_the_engine_s_convolutions_are_cudnn_s(monkeypatch):
    calls = []
    for name in ("convolution", "weight_gradient", "input_gradient"):
        stock = getattr(cudnn, name)
        monkeypatch.setattr(cudnn, name, lambda *given, name=name, stock=stock: calls.append(name) or stock(*given))
    for name in ("chainer", "fast"):
        _results(F.convolution_2d, (np.ones((2, 3, 4, 4)), np.ones((5, 3, 3, 3))), np.ones, np.float32, 0, name)
    assert calls == ["convolution", "input_gradient", "weight_gradient"]


@pytest.mark.parametrize("name", ["chainer", "fast"])
@pytest.mark.parametrize(
    "settings", [{}, {"pooling": "average"}, {"filter_size": 5}, {"filter_size": 7}, {"batch_normalization": False}]
)
def test_a_pass_gives_the_cpu_s_loss_and_gradients(settings, name):
    found = []
    for device, engine_name in ((-1, "chainer"), (0, name)):
        np.random.seed(0)
        # Without dropout: CuPy draws the masks from a generator of its own.
        place = get_device(device)
        place.use()
        model = Conv_NN(width=0.25, dropout=0.0, **settings)
        model.to_device(place)
        x, y = send(place, IMAGES.x_train[:50]), send(place, IMAGES.y_train[:50])
        with engine.using(engine_name, device):
            loss, _ = model(to_unit_range(x), y)
            model.cleargrads()
            loss.backward()
        found.append((float(loss.array), {name: cuda.to_cpu(p.grad) for name, p in model.namedparams()}))
    (cpu_loss, cpu), (gpu_loss, gpu) = found
    assert gpu_loss == pytest.approx(cpu_loss, rel=1e-4)
    # A value that rounding puts on the other side of a ReLU or of a maximum changes a whole gradient a little; and
    # a bias in front of batch normalization has none but rounding.
    largest = max(np.linalg.norm(gradient) for gradient in cpu.values())
    for parameter, gradient in cpu.items():
        error = np.linalg.norm(gpu[parameter] - gradient)
        assert error < 0.03 * np.linalg.norm(gradient) + 1e-4 * largest, parameter


@pytest.mark.parametrize("name", ["chainer", "fast"])
def test_the_first_losses_follow_the_cpu_s(name):
    experiment = Experiment(width=0.25, dropout=0.0, optimizer="MomentumSGD", learning_rate=0.001, batch_size=10)
    losses = []
    for device, engine_name in ((-1, "chainer"), (0, name)):
        place = get_device(device)
        model, optimizer = build(experiment, place)
        arrays = (IMAGES.x_train, IMAGES.y_train, IMAGES.x_test, IMAGES.y_test)
        x, y, x_test, y_test = (send(place, array) for array in arrays)
        with engine.using(engine_name, device):
            steps = [
                train_epoch(model, optimizer, x, y, np.arange(start, start + 10), 10)[1].loss
                for start in range(0, 100, 10)
            ]
            losses.append([*steps, Calculate_Test_Accuracy(x_test, y_test, model, 25)[0]])
    # Rounding grows from step to step.
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-2)
    np.testing.assert_allclose(losses[1][:3], losses[0][:3], rtol=1e-4)


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path):
    experiment = Experiment(data_fingerprint=IMAGES.fingerprint, width=0.0625, batch_size=50)
    whole = train(experiment, IMAGES, tmp_path / "whole", epochs=2, device=0)
    train(experiment, IMAGES, tmp_path / "parts", epochs=1, device=0)
    parts = train(experiment, IMAGES, tmp_path / "parts", epochs=2, device=0)
    # Some of CUDA's sums come in another order each time.
    assert [row.train_loss for row in parts] == pytest.approx([row.train_loss for row in whole], rel=1e-3)
