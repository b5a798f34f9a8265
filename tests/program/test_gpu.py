"""On a GPU, where there is one: the CPU's numbers, to rounding."""

from pathlib import Path

import numpy as np
import pytest
from chainer import cuda

from reproduce import engine
from reproduce.data.dataset import synthetic
from reproduce.devices import check_device, get_device, send, unit_range
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.network import Conv_NN
from reproduce.store.training_run import train
from reproduce.training import Calculate_Test_Accuracy, build, train_epoch

IMAGES = synthetic(200, 50)


def obstacle() -> str:
    """Why there is no GPU to test on; empty if there is one."""
    try:
        check_device(0)
    except BadInput as error:
        return str(error)
    return ""


pytestmark = pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "there is a GPU")


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
            loss, _ = model(unit_range(x), y)
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
