"""Which engine runs where: names, contexts, threads, and what stays Chainer's."""

import ctypes
import importlib.util
import json
import shutil
import subprocess
import sys
import threading

import chainer
import chainer.functions as F
import numpy as np
import pytest

from reproduce import devices, engine
from reproduce.engine import cudnn
from reproduce.text import say_once
from tests.helpers.processes import run_python


def images(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype(np.float32)


def ran_on_engine(y):
    return getattr(y.creator_node, "engine_state", None) is not None


def convolve():
    return F.convolution_2d(images(2, 8, 6, 6), chainer.Parameter(images(4, 8, 3, 3)), pad=1)


def test_auto_is_the_fast_engine_on_the_cpu():
    assert engine.NAMES == ("auto", "chainer", "fast")
    assert engine.resolve("auto") == engine.resolve("auto", -1) == "fast"
    assert engine.resolve("chainer", 0) == "chainer"


def test_on_a_gpu_the_fast_engine_is_there_where_cudnn_is(monkeypatch):
    monkeypatch.setattr(cudnn, "library", lambda: ctypes.CDLL(None))
    assert engine.resolve("auto", 0) == engine.resolve("fast", 0) == "fast"
    monkeypatch.setattr(cudnn, "library", lambda: None)
    assert engine.resolve("auto", 0) == "chainer"
    with pytest.raises(ValueError, match="cuDNN 9.*extra cuda12 or cuda13.*'chainer'"):
        engine.resolve("fast", 0)


def test_a_run_on_a_gpu_without_cudnn_says_once_what_it_lacks(monkeypatch, capsys):
    monkeypatch.setattr(cudnn, "library", lambda: None)
    say_once.cache_clear()
    assert [devices.resolve_engine(name, 0) for name in ("auto", "auto", "chainer")] == ["chainer"] * 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cuDNN 9" in said and "extra cuda12 or cuda13" in said


def test_half_a_cudnn_is_none(tmp_path, monkeypatch):
    """The library that is loaded by name finds its parts later, and ends the process if one is missing."""
    folder = tmp_path / "nvidia/cudnn/lib"
    folder.mkdir(parents=True)
    shutil.copy(importlib.util.find_spec("_ctypes").origin, folder / cudnn.LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "nvidia"]:
        monkeypatch.delitem(sys.modules, name)
    loaded = []
    stock = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda path: loaded.append(path) or stock(path))
    cudnn.library.cache_clear()
    try:
        cudnn.library()
    finally:
        cudnn.library.cache_clear()
    assert str(folder / "libcudnn_cnn.so.9") in loaded
    assert str(folder / cudnn.LIBRARY) not in loaded


@pytest.mark.parametrize("name, device", [("slow", 0), ("slow", -1), ("", -1)])
def test_engines_that_cannot_be_are_refused_in_one_line(name, device):
    with pytest.raises(ValueError) as error:
        engine.resolve(name, device)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("obstacle", ["numba", "NUMBA_DISABLE_JIT"])
def test_where_numba_is_missing_or_may_not_compile_auto_is_chainer_and_fast_is_refused_in_one_line(tmp_path, obstacle):
    """Whole commands, in processes that have not imported Numba before."""
    hide = "sys.modules['numba'] = None; " if obstacle == "numba" else ""
    code = f"import sys; {hide}from reproduce import __main__, cli; cli.run('train', __main__.main, sys.argv[1:])"
    environment = {} if hide else {"NUMBA_DISABLE_JIT": "1"}

    def train(name):
        sizes = ("--train-size=4", "--test-size=4", "--blocks=1x2", "--fully-connected-layers=1", "--epochs=1")
        given = ("train", "--out=run", "--data=synthetic", *sizes, f"--engine={name}")
        return run_python("-c", code, *given, cwd=tmp_path, **environment)

    refused = train("fast")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert obstacle in refused.stderr
    trained = train("auto")
    assert trained.returncode == 0, trained.stderr
    assert json.loads((tmp_path / "run/provenance.json").read_text())["engine"] == "chainer"


def test_numba_that_is_told_to_compile_compiles(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert engine.resolve("auto") == "fast"


def test_importing_the_engine_imports_no_numba():
    code = "import sys; from reproduce import engine; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_using_restores_the_engine_of_the_surrounding_context():
    assert not ran_on_engine(convolve())
    with engine.using("fast"):
        assert ran_on_engine(convolve())
        with engine.using("chainer"):
            assert not ran_on_engine(convolve())
        assert ran_on_engine(convolve())
        with pytest.raises(KeyError), engine.using("chainer"):
            raise KeyError
        assert ran_on_engine(convolve())
    assert not ran_on_engine(convolve())


def test_two_threads_may_use_different_engines_at_once():
    both_inside = threading.Barrier(2)
    seen = {}

    def convolve_on(name):
        with engine.using(name):
            both_inside.wait(timeout=60)
            seen[name] = ran_on_engine(convolve())
            both_inside.wait(timeout=60)

    threads = [threading.Thread(target=convolve_on, args=(name,)) for name in ("chainer", "fast")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"chainer": False, "fast": True}


def test_nodes_keep_chainers_types_labels_and_hooks():
    seen = []

    class Hook(chainer.FunctionHook):
        def forward_postprocess(self, function, in_data):
            seen.append(function.label)

    with engine.using("fast"), Hook():
        y = F.relu(convolve())
    assert type(y.creator_node).__module__.startswith("chainer.functions")
    assert seen == ["Convolution2DFunction", "ReLU"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: F.convolution_2d(x.astype(np.float64), F.cast(w, np.float64), pad=1),
        lambda x, w: F.convolution_2d(x.astype(np.float16), F.cast(w, np.float16), pad=1),
        lambda x, w: F.convolution_2d(x, w, stride=2, pad=1),
        lambda x, w: F.convolution_2d(x, w, stride=(1, 2), pad=1),
        lambda x, w: F.convolution_2d(x, w, dilate=2, pad=2),
        lambda x, w: F.convolution_2d(x, w[:, :4], groups=2, pad=1),
        lambda x, w: F.convolution_2d(x, w, pad=5),
    ],
)
def test_convolutions_that_are_not_covered_go_to_chainer(function):
    x, w = images(2, 8, 9, 7), images(6, 8, 3, 3)
    with engine.using("fast"):
        y = function(x, chainer.Parameter(w))
    assert not ran_on_engine(y)
    np.testing.assert_array_equal(y.array, function(x, chainer.Parameter(w)).array)


def test_a_graph_from_before_the_engine_goes_backward_inside_it_and_the_other_way_round():
    gradients = []
    for forward, backward in (("chainer", "fast"), ("fast", "chainer"), ("chainer", "chainer")):
        x = chainer.Parameter(images(2, 8, 6, 6))
        with engine.using(forward):
            y = F.sum(F.max_pooling_2d(F.relu(F.convolution_2d(x, images(4, 8, 3, 3), pad=1)), 2, 2) ** 2)
        with engine.using(backward):
            y.backward()
        gradients.append(x.grad)
    np.testing.assert_allclose(gradients[0], gradients[2], rtol=1e-5, atol=1e-5 * abs(gradients[2]).max())
    np.testing.assert_allclose(gradients[1], gradients[2], rtol=1e-5, atol=1e-5 * abs(gradients[2]).max())


def test_preparing_leaves_numpys_generator_where_it_was():
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    engine.prepare()
    assert np.random.rand() == expected
