import importlib.util
import logging
import os

from reproduce.signals import stop_while_starting

stop_while_starting()

from reproduce.compat import prepare_for_chainer  # noqa: E402 - what takes time to import

prepare_for_chainer()

# A notebook names its kernel's backend to every command that it starts, and where the command's own environment lacks
# it, Matplotlib cannot be imported at all. Pictures that go to files need no backend.
_backend = os.environ.get("MPLBACKEND", "")
if _backend.startswith("module://") or _backend in ("inline", "ipympl", "widget"):
    _package = {"inline": "matplotlib_inline", "widget": "ipympl"}.get(_backend, _backend.removeprefix("module://"))
    if importlib.util.find_spec(_package.partition(".")[0]) is None:
        del os.environ["MPLBACKEND"]

# Without a home that can be written to, Matplotlib works in a temporary folder, and every command would say so.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
