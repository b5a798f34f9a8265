import numpy as np
import pytest
from chainer import cuda
from hypothesis import given
from hypothesis import strategies as st

from reproduce.data.dataset import synthetic
from reproduce.data.hdf5 import to_unit_range
from reproduce.devices import check_device, get_device, packed, resolve_engine, send
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.plan import speed, step_times
from reproduce.store.training_run import train
from reproduce.training import Calculate_Test_Accuracy, build, train_epoch


@given(st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_images_of_whole_255ths_are_packed_and_come_back_bit_for_bit(count, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), np.uint8)
    images = pixels.astype(np.float32) / np.float32(255)
    there = packed(images)
    assert there.dtype == np.uint8
    np.testing.assert_array_equal(there, pixels)
    back = to_unit_range(there)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, images)


@pytest.mark.parametrize("spoilt", [np.nextafter(np.float32(0.5), np.float32(1)), np.float32(1e-9), np.float32(0.1234)])
def test_other_images_stay_as_they_are(spoilt):
    images = synthetic(1100, 1).x_train.copy()
    assert packed(images).dtype == np.uint8
    images[1050, 1, 2, 3] = spoilt
    assert packed(images) is images
    assert to_unit_range(images) is images


def test_an_epoch_over_packed_images_is_the_same_bit_for_bit():
    images, found = synthetic(60, 30), []
    for pack in (np.asarray, packed):
        x_train, x_test = pack(images.x_train), pack(images.x_test)
        model, optimizer = build(Experiment(width=0.05), get_device(-1))
        _, done = train_epoch(model, optimizer, x_train, images.y_train, np.arange(60), 20)
        found.append((x_train.dtype, *done, *Calculate_Test_Accuracy(x_test, images.y_test, model, 10)))
    assert found[0][0] == np.float32
    assert found[1][0] == np.uint8
    assert found[0][1:] == found[1][1:]


def test_on_the_cpu_nothing_is_moved():
    images = synthetic(3, 2)
    assert send(get_device(-1), images.x_train) is images.x_train


def test_a_gpu_that_is_not_there_is_refused_in_one_line():
    if cuda.available:
        pytest.skip("there is a GPU here")
    with pytest.raises(BadInput, match="device 0: no GPU can be used here"):
        check_device(0)


def test_a_number_below_the_cpu_s_is_no_device():
    with pytest.raises(BadInput, match="device -7: expected -1 for the CPU"):
        check_device(-7)


def test_an_engine_that_is_not_there_is_bad_input_wherever_networks_are_trained_or_timed(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    images, experiment = synthetic(4, 4), Experiment()
    for use in (
        lambda: resolve_engine("fast", -1),
        lambda: resolve_engine("slow", -1),
        lambda: train(experiment, images, tmp_path / "run", 1, engine_name="fast"),
        lambda: step_times.measure([experiment], images, engine_name="fast"),
        lambda: step_times.write_times(tmp_path / "times", step_times.Times({}), images, -1, "fast"),
        lambda: speed.measure(experiment, images, -1, "fast", tmp_path),
    ):
        with pytest.raises(BadInput, match="engine"):
            use()
    assert list(tmp_path.iterdir()) == []
