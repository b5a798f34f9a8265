import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from reproduce import training
from reproduce.augmentation import augment
from reproduce.errors import BadInput
from reproduce.experiment import Experiment
from reproduce.network import Conv_NN
from reproduce.optimizers import build_optimizer
from reproduce.store import checkpoint, runs, training_run
from reproduce.store.history import has_diverged, is_complete
from reproduce.store.training_run import train
from tests.helpers.section_8 import section_8
from tests.helpers.stored import provenance_of

SMALL = {"width": 0.0625, "batch_size": 40, "optimizer": "Adam"}


def small_experiment(dataset, **settings):
    return Experiment(data_fingerprint=dataset.fingerprint, **{**SMALL, **settings})


def without_seconds(history):
    return [row[:-1] for row in history]


def test_every_loss_is_that_of_section_8(dataset, tmp_path, monkeypatch):
    part = dataset.first(15, 10)
    losses = []
    forward = Conv_NN.forward

    def kept(self, x_data, y_data):
        loss, accuracy = forward(self, x_data, y_data)
        if training.chainer.config.train:
            losses.append(float(loss.array))
        return loss, accuracy

    monkeypatch.setattr(Conv_NN, "forward", kept)
    experiment = Experiment(data_fingerprint=part.fingerprint, seed=7, batch_size=5)
    history = train(experiment, part, tmp_path, epochs=2, engine_name="chainer")
    expected_losses, expected_accuracies = section_8(
        part.x_train, part.y_train, part.x_test, part.y_test, seed=7, batch_size=5, num_epochs=2
    )
    assert losses == expected_losses
    assert len(losses) == 6
    assert [(row.train_accuracy, row.test_accuracy) for row in history] == expected_accuracies
    assert [row.train_loss for row in history] == [sum(losses[:3]) / 3, sum(losses[3:]) / 3]


@pytest.mark.parametrize("optimizer", ["Adam", "MomentumSGD", "RMSprop"])
@pytest.mark.parametrize("engine_name", ["chainer", "auto"])
def test_a_run_that_was_stopped_goes_on_as_if_unbroken(dataset, tmp_path, optimizer, engine_name):
    experiment = small_experiment(dataset, optimizer=optimizer, pooling="average")
    unbroken = train(experiment, dataset, tmp_path / "unbroken", epochs=3, engine_name=engine_name)
    train(experiment, dataset, tmp_path / "broken", epochs=1, engine_name=engine_name)
    np.random.seed(999)
    resumed = train(experiment, dataset, tmp_path / "broken", epochs=3, engine_name=engine_name)
    assert without_seconds(resumed) == without_seconds(unbroken)
    assert [row.epoch for row in resumed] == [0, 1, 2]
    model_a, model_b = (training.build_model(experiment) for _ in range(2))
    for model, name in ((model_a, "unbroken"), (model_b, "broken")):
        optimizer_ = build_optimizer(experiment)
        optimizer_.setup(model)
        checkpoint.load(tmp_path / name / checkpoint.LATEST, model, optimizer_)
    for a, b in zip(model_a.params(), model_b.params(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)


def test_the_seed_decides_the_run(dataset, tmp_path):
    first, again, other = (
        train(small_experiment(dataset, seed=seed), dataset, tmp_path / name, epochs=1)
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert without_seconds(first) == without_seconds(again)
    assert first[0].train_loss != other[0].train_loss


def test_a_finished_run_is_not_trained_again(dataset, tmp_path, monkeypatch):
    experiment = small_experiment(dataset)
    history = train(experiment, dataset, tmp_path, epochs=1)
    monkeypatch.setattr(training_run, "build", lambda experiment, device: pytest.fail("trained again"))
    assert train(experiment, dataset, tmp_path, epochs=1) == history


def test_a_loss_that_explodes_ends_the_run_as_diverged(dataset, tmp_path):
    experiment = small_experiment(
        dataset, optimizer="MomentumSGD", learning_rate=1e3, batch_normalization=False, dropout=0.0
    )
    with np.errstate(all="ignore"):
        history = train(experiment, dataset, tmp_path, epochs=5, engine_name="chainer")
    assert has_diverged(history)
    assert not math.isfinite(history[-1].train_loss)
    assert math.isnan(history[-1].test_accuracy)
    assert len(history) < 5
    assert is_complete(runs.read_history(tmp_path), epochs=5)


def test_history_csv_has_the_columns_of_the_contract(dataset, tmp_path):
    history = train(small_experiment(dataset), dataset, tmp_path, epochs=2)
    with (tmp_path / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"]
    assert [float(row["train_loss"]) for row in rows] == [row.train_loss for row in history]
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "checkpoint.npz",
        "checkpoint.previous.npz",
        "experiment.json",
        "history.csv",
        "provenance.json",
    ]


def test_provenance_says_where_a_number_is_from(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    train(small_experiment(dataset), dataset, tmp_path, epochs=1, engine_name="chainer")
    found = provenance_of(tmp_path)
    assert found["data"]["fingerprint"] == dataset.fingerprint
    assert found["data"]["is_synthetic"] == dataset.is_synthetic
    assert found["engine"] == "chainer"
    assert found["packages"]["chainer"] == "7.8.1"
    assert found["packages"]["numpy"] == np.__version__
    assert found["computing_settings"]["CUPY_TF32"] == "1"


def test_the_test_accuracy_counts_each_image_once(dataset):
    np.random.seed(0)
    model = Conv_NN(width=0.0625)
    whole = training.Calculate_Test_Accuracy(dataset.x_test, dataset.y_test, model, len(dataset.y_test))
    uneven = training.Calculate_Test_Accuracy(dataset.x_test, dataset.y_test, model, 25)
    assert uneven == pytest.approx(whole, rel=1e-5)


def test_evaluation_leaves_the_network_and_the_random_numbers_as_they_are(dataset):
    np.random.seed(0)
    model = Conv_NN(width=0.0625)
    before = model.bn1_1.avg_mean.copy(), np.random.get_state()[2]
    training.Calculate_Test_Accuracy(dataset.x_test, dataset.y_test, model, 30)
    np.testing.assert_array_equal(model.bn1_1.avg_mean, before[0])
    assert np.random.get_state()[2] == before[1]


def test_another_experiment_in_the_folder_is_refused(dataset, tmp_path):
    train(small_experiment(dataset, seed=1), dataset, tmp_path, epochs=1)
    with pytest.raises(BadInput, match="seed is 1, and 2 is asked for"):
        train(small_experiment(dataset, seed=2), dataset, tmp_path, epochs=1)


def test_other_images_than_the_experiment_s_are_refused(dataset, tmp_path):
    experiment = small_experiment(dataset)
    with pytest.raises(BadInput, match=f"expected the images with fingerprint {dataset.fingerprint}; found "):
        train(experiment, dataset.first(50, None), tmp_path / "run", epochs=1)
    with pytest.raises(BadInput, match=r"expected the images with fingerprint \(none\); found "):
        train(replace(experiment, data_fingerprint=""), dataset, tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()


def test_augmentation_reaches_the_loop(dataset, tmp_path):
    experiment = small_experiment(dataset, augmentation="report")
    train(experiment, dataset, tmp_path, epochs=1)
    with np.load(tmp_path / "checkpoint.npz") as content:
        assert len(content["order"]) == 4 * len(dataset.y_train) == len(augment(*dataset_train(dataset), "report")[1])


def dataset_train(dataset):
    return dataset.x_train, dataset.y_train
