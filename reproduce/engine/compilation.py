"""How the engine's loops are compiled: Numba, without the interpreter's lock, and kept on disk for the next run."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numba
from numba.core import config

_SOURCES = Path(__file__).parent
_lock = threading.Lock()


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cache_folder() -> Path:
    """A folder for the machine code of exactly these sources.

    Numba notices a change in the file of a compiled function, but not in the files of the functions it calls; so the
    folder's name is a digest of all of the engine's sources.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"engine-{digest.hexdigest()[:16]}"
    candidates = [_SOURCES / "__pycache__", Path(tempfile.gettempdir())]
    # Without HOME, a user id of no account has no home: `~` then stays as it is.
    user_caches = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111
    if user_caches.is_absolute():
        candidates.insert(1, user_caches / "conv-nn-report")
    if config.CACHE_DIR:
        candidates.insert(0, Path(config.CACHE_DIR))
    for folder in candidates:
        if _is_writable(folder / name):
            return folder / name
    return Path(tempfile.mkdtemp(prefix="engine-"))


_folder = str(_cache_folder())


def kernel(function: Callable) -> Callable:
    """Compile a loop over flat arrays when it is first called; it runs without the interpreter's lock."""
    with _lock:
        users_folder, config.CACHE_DIR = config.CACHE_DIR, _folder
        try:
            return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
        finally:
            config.CACHE_DIR = users_folder
