import textwrap

import numpy as np
import pytest

from tests.helpers.processes import run_python

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
    done = python(code, tmp_path)
    assert done.stdout == "fine\n", done.stderr


def test_another_chainer_is_refused_by_its_version(tmp_path):
    folder = tmp_path / "chainer-9.9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: chainer\nVersion: 9.9.9\n")
    done = python("import sys; sys.path.insert(0, '.'); import reproduce", tmp_path)
    assert "ChainerError: this package knows Chainer 7.8.1, and found Chainer 9.9.9" in done.stderr


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
    assert (
        "ChainerError: Chainer 7.8.1 is not installed; see 'Installing' in README.md" in python(code, tmp_path).stderr
    )


def test_the_first_loss_is_the_same_on_every_python_and_numpy():
    """2.128645 is what Python 3.10 with NumPy 1.23, 3.11 with 2.4 and 3.13 with 2.5 gave, to seven digits."""
    from reproduce.network import Conv_NN

    np.random.seed(0)
    model = Conv_NN(dropout=0.4)
    images = np.random.RandomState(0).rand(10, 3, 32, 32).astype(np.float32)
    loss, _ = model(images, np.arange(10, dtype=np.int32))
    assert float(loss.array) == pytest.approx(2.128645, rel=1e-5)
