"""How the engine's loops are compiled: Numba, without the interpreter's lock, and kept on disk for the next run.

Numba's own cache is not used. It takes over whatever lies in a folder that others may have made; a damaged file ends
the program; it does not notice a change in a function that a compiled one calls; and any change of a file, or of its
time, compiles all of that file's functions anew.
"""

import ast
import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import llvmlite
import numba
from numba.core import caching, config
from numba.core.compiler import CompileResult
from numba.core.registry import CPUDispatcher, cpu_target
from numba.core.serialize import dumps

_SOURCES = Path(__file__).parent
_DIGEST_BYTES = hashlib.sha256().digest_size


@cache
def target() -> tuple[str, str, str]:
    """The platform, processor and processor's features that Numba compiles for: the host's, unless told otherwise."""
    return cpu_target.target_context.codegen().magic_tuple()


def has_feature(name: str) -> bool:
    """Whether compiled code may use this feature of the processor, by LLVM's name for it."""
    return f"+{name}" in target()[2].split(",")


def _is_private(status: os.stat_result) -> bool:
    """Whether this is our own, and nobody else can have written to it."""
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _candidates() -> Iterator[Path]:
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
    yield _SOURCES / "__pycache__"
    with contextlib.suppress(RuntimeError):  # no HOME, and a user whom the system does not know
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "conv-nn-report"
    yield Path(tempfile.gettempdir())


@cache
def folder() -> Path | None:
    """A folder of mode 700 of our own for compiled code, or None where there is no place for one."""
    name = f"engine-{os.geteuid()}"
    for parent in _candidates():
        place = parent / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
            status = place.lstat()
            if stat.S_ISDIR(status.st_mode) and _is_private(status) and not status.st_mode & 0o077:
                with tempfile.TemporaryFile(dir=place):
                    return place
        except OSError:
            continue
    return None


@cache
def _sources(name: str) -> frozenset[str]:
    """The engine's modules that code of this one may depend on: itself, and what it imports, directly or not."""
    path = _SOURCES / f"{name}.py"
    if not path.exists():
        return frozenset()
    found = {name}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(__package__):
            inner = node.module.removeprefix(__package__).lstrip(".")
            for imported in [inner] if inner else [alias.name for alias in node.names]:
                found |= _sources(imported)
    return frozenset(found)


@cache
def _identity(module: str) -> bytes:
    """What a module's machine code depends on: sources, versions, and the processor, by which arrays are laid out."""
    digest = hashlib.sha256(repr((numba.__version__, llvmlite.__version__, sys.version, target())).encode())
    for name in sorted(_sources(module)):
        digest.update((_SOURCES / f"{name}.py").read_bytes())
    return digest.digest()


class _Cache(caching._Cache):
    """One function's compiled code: a file for each signature, which is used only if its checksum holds."""

    def __init__(self, function: Callable) -> None:
        self._function = function

    @property
    def cache_path(self) -> str:
        return str(folder())

    def _path(self, signature: object) -> Path | None:
        if folder() is None:
            return None
        module = self._function.__module__.rpartition(".")[2]
        key = hashlib.sha256(_identity(module) + repr(signature).encode()).hexdigest()[:24]
        return folder() / f"{module}.{self._function.__qualname__}-{key}"

    def has(self, signature: object) -> bool:
        """Whether there is a file of our own for this signature: not yet whether it is whole."""
        path = self._path(signature)
        try:
            return path is not None and _is_private(path.stat())
        except OSError:
            return False

    def load_overload(self, signature: object, target_context: object) -> CompileResult | None:
        target_context.refresh()
        path = self._path(signature)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                if not _is_private(os.fstat(file.fileno())):
                    return None
                content = file.read()
        except OSError:
            return None
        digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, signature: object, result: CompileResult) -> None:
        path = self._path(signature)
        if path is None:
            return
        payload = dumps(result._reduce())
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(hashlib.sha256(payload).digest() + payload)
            # Whatever the umask: what others may write is not loaded.
            part.chmod(0o600)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            warnings.warn(f"compiled code is not kept: {path}: {error.strerror}", RuntimeWarning, stacklevel=2)

    def enable(self) -> None:
        """There is nothing to enable: a function without this cache has Numba's empty one."""

    def disable(self) -> None:
        """Nor to disable."""

    def flush(self) -> None:
        """Nor to forget: no file is used for other code than that which it was made from."""


class _Kernel(CPUDispatcher):
    """A compiled function without what the interpreter needs for a call, which would end the process."""

    def __call__(self, *_: object) -> None:
        raise TypeError(
            f"{self.__name__} is a loop for other compiled code; threads.parallel_sums and threads.parallel_for run it"
        )


def kernel(function: Callable) -> Callable:
    """Compile a loop over flat arrays when `threads` first runs it, or another loop calls it: not for the interpreter.

    It runs without the interpreter's lock.
    """
    dispatcher = _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    dispatcher.__class__ = _Kernel
    return dispatcher


def from_python(function: Callable) -> Callable:
    """Compile a function, as `kernel` does, that Python calls."""
    return _compiled(function, no_cfunc_wrapper=True)


def _compiled(function: Callable, **options: bool) -> Callable:
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher
