"""What surrounds a command in notebooks and containers: a backend that is not there, no home, no account."""

import os
import shutil
import subprocess
import sys

import pytest

from reproduce.files import read_at_most
from tests.helpers.processes import child_environment, drawn, run_python


@pytest.mark.parametrize("backend", ["module://somebodys_inline.backend_inline", "inline", "widget", "agg"])
def test_a_picture_is_drawn_whatever_backend_a_notebook_names(tmp_path, backend):
    done = run_python("-m", "figures.background", "1", "--profile=smoke", cwd=tmp_path, MPLBACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/smoke/figure-1.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(
    ("backend", "package"), [("inline", "matplotlib_inline"), ("widget", "ipympl"), ("ipympl", "ipympl")]
)
def test_a_backend_stays_where_its_package_is(backend, package, is_there, tmp_path):
    code = f"""if True:
        import importlib.util, os
        found = importlib.util.find_spec
        importlib.util.find_spec = lambda name: ({is_there} or None) if name == "{package}" else found(name)
        import reproduce
        print(os.environ.get("MPLBACKEND"))
    """
    done = run_python("-c", code, cwd=tmp_path, MPLBACKEND=backend)
    assert done.stdout == f"{backend if is_there else None}\n", done.stderr


def test_a_backend_that_is_there_stays_what_the_environment_says(tmp_path):
    (tmp_path / "shows.py").write_text("from matplotlib.backends.backend_agg import FigureCanvas")
    code = "import sys; sys.path.insert(0, '.'); import reproduce, os; print(os.environ['MPLBACKEND'])"
    assert run_python("-c", code, cwd=tmp_path, MPLBACKEND="module://shows").stdout == "module://shows\n"


def test_a_home_that_cannot_be_made_is_nothing_to_talk_about(tmp_path):
    (tmp_path / "file").touch()
    home = str(tmp_path / "file/home")
    done = run_python("-m", "figures.background", "1", "--profile=smoke", cwd=tmp_path, HOME=home)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_system_without_what_only_unix_has_trains_and_draws(tmp_path):
    """As Windows: no module `resource` and no SIGHUP."""
    code = """if True:
        import signal, sys
        sys.modules["resource"] = None
        del signal.SIGHUP
        from reproduce.cli import run
        from figures import __main__ as figures
        from reproduce import __main__ as reproduce
        run("test", {"data": reproduce.main, "figure-2": figures.main}[sys.argv[1]], sys.argv[1:])
    """
    sizes = ("--train-size=20", "--test-size=10")
    made = run_python("-c", code, "data", "--data=synthetic", "--out=images.hdf5", *sizes, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    small = ("--profile=smoke", "--seeds=1", "--epochs=1", *sizes)
    done = run_python("-c", code, "figure-2", "--data=images.hdf5", *small, "--engine=chainer", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (drawn(tmp_path / "results") / "figure-2.png").exists()


def test_files_are_read_where_opening_always_waits(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_NONBLOCK")
    (tmp_path / "file").write_bytes(b"content")
    assert read_at_most(tmp_path / "file", 7) == b"content"


def test_a_user_id_without_an_account_and_home_trains_and_draws(tmp_path):
    """In a user namespace of its own, where this user is nobody that /etc/passwd knows."""
    nobody = ["unshare", "--user", "--map-user=54321"]
    if shutil.which("unshare") is None or subprocess.run([*nobody, "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    environment = child_environment()
    for name in ("HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "figures.depth", "--profile=smoke", "--data=synthetic", "--seeds=1", "--epochs=1"]
    done = subprocess.run([*nobody, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (drawn(tmp_path / "results") / "figure-2.png").exists()
