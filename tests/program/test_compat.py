import textwrap
from pathlib import Path

import chainer
import chainer.functions as F
import numpy as np
import pytest

from tests.helpers.processes import ROOT, run_python

WITHOUT = """
    import importlib.abc, sys

    class Refuses(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "pkg_resources" or name.startswith("numpy.distutils"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Refuses())
"""


def python(code, cwd, **environment):
    return run_python("-W", "error", "-c", textwrap.dedent(code), cwd=cwd, **environment)


def test_chainer_imports_without_pkg_resources_and_numpy_distutils_and_nothing_of_the_stand_ins_stays(tmp_path):
    done = python(
        WITHOUT
        + """
    import numpy as np
    before = set(dir(np))
    import reproduce, chainer
    assert chainer.__version__ == "7.8.1"
    assert "pkg_resources" not in sys.modules and "numpy.distutils" not in sys.modules
    assert "sctypes" not in set(dir(np)) - before
    print("fine")
    """,
        tmp_path,
    )
    assert done.stdout == "fine\n", done.stderr


def test_chainer_may_be_imported_first_and_without_this_package_in_any_python_of_the_environment(tmp_path):
    code = """
    import chainer, chainer.functions as F, sys
    assert "reproduce" not in sys.modules and "chainer._environment_check" not in sys.modules
    import reproduce
    assert sys.modules["chainer"] is chainer and chainer.__version__ == "7.8.1"
    print("fine")
    """
    done = python(WITHOUT + code, tmp_path, PYTHONPATH="")
    assert done.stdout == "fine\n", done.stderr


def test_what_lets_chainer_come_first_is_this_checkout_s(tmp_path):
    """The installed copy, which `make` renews together with setup.py."""
    copy = python("import conv_nn_report_startup as copy; print(copy.__file__)", tmp_path).stdout.strip()
    assert Path(copy).read_text() == (ROOT / "reproduce/compat.py").read_text()


def test_functions_that_use_what_numpy_has_dropped_compute():
    """Values by hand, and those that NumPy 1.23 gives."""
    images = chainer.Variable(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2))
    for mode, expected in (
        ("bilinear", [[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]),
        ("nearest", [[0, 0, 1]] * 2 + [[2, 2, 3]]),
    ):
        resized = F.resize_images(images, (3, 3), mode=mode)
        assert resized.array[0, 0].tolist() == expected
        images.cleargrad()
        F.sum(resized).backward()
        assert images.grad.sum() == 9
    for dtype in (np.float16, np.float32, np.float64):
        vector = chainer.Variable(np.arange(4, dtype=dtype))
        F.sum(F.as_strided(vector, (3, 2), (1, 1), 0)).backward()
        assert (vector.grad.dtype, vector.grad.tolist()) == (dtype, [1, 2, 2, 1])
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    for label in (np.array([1, 0]), chainer.Variable(np.array([1, 0], np.float32))):
        logarithms = chainer.distributions.Categorical(p=probabilities).log_prob(label).array
        np.testing.assert_allclose(np.exp(logarithms), [0.75, 0.5], rtol=1e-6)


def test_what_chainer_has_no_use_for_is_not_imported_where_it_is(tmp_path):
    (tmp_path / "pkg_resources.py").write_text("raise SystemExit('imported')")
    code = """
    import sys
    sys.path.insert(0, ".")
    import reproduce, chainer
    assert "chainer._environment_check" not in sys.modules and "numpy.distutils" not in sys.modules
    print("fine")
    """
    done = python(code, tmp_path)
    assert done.stdout == "fine\n", done.stderr


def test_commands_that_train_nothing_do_not_wait_for_chainer(tmp_path):
    code = """
    import sys
    import figures.__main__, figures.pooling_and_optimizers, reproduce.__main__, reproduce.sweep.dask_sweep
    assert "chainer" not in sys.modules
    import chainer.functions
    assert chainer.functions.relu and "chainer._environment_check" not in sys.modules
    print("fine")
    """
    # Without `-W error`: Matplotlib 3.6 calls what a new pyparsing warns of.
    done = run_python("-c", textwrap.dedent(code), cwd=tmp_path)
    assert done.stdout == "fine\n", done.stderr


def test_another_chainer_is_refused_by_its_version(tmp_path):
    folder = tmp_path / "chainer-9.9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: chainer\nVersion: 9.9.9\n")
    done = python("import sys; sys.path.insert(0, '.'); import reproduce", tmp_path)
    assert "ChainerError: this package knows Chainer 7.8.1, and found Chainer 9.9.9" in done.stderr
    imported = "import sys, types; sys.modules['chainer'] = types.ModuleType('chainer')"
    done = python(f"{imported}; sys.modules['chainer'].__version__ = '6.0.0'; import reproduce", tmp_path)
    assert "ChainerError: this package knows Chainer 7.8.1, and found Chainer 6.0.0" in done.stderr


def test_no_chainer_is_said_to_be_missing(tmp_path):
    code = """
    import importlib.metadata
    real = importlib.metadata.version
    def version(name):
        if name == "chainer":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)
    importlib.metadata.version = version
    import reproduce
    """
    assert "ChainerError: Chainer 7.8.1 is not installed; see docs/installing.md" in python(code, tmp_path).stderr


def test_the_first_loss_is_the_same_on_every_python_and_numpy():
    """2.128645 is what Python 3.10 with NumPy 1.23, 3.11 with 2.4 and 3.13 with 2.5 gave, to seven digits."""
    from reproduce.network import Conv_NN

    np.random.seed(0)
    model = Conv_NN(dropout=0.4)
    images = np.random.RandomState(0).rand(10, 3, 32, 32).astype(np.float32)
    loss, _ = model(images, np.arange(10, dtype=np.int32))
    assert float(loss.array) == pytest.approx(2.128645, rel=1e-5)
