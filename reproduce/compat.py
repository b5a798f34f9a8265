"""Chainer 7.8.1 on today's Python and NumPy.

Chainer's last release (2022) was written for NumPy 1 and setuptools' `pkg_resources`. While Chainer is being
imported, this module stands in for what this machine lacks or Chainer has no use for, and takes the stand-ins away
again afterwards, so that no other package ever meets them. `import reproduce` prepares for that; after it
`import chainer` works anywhere.

Chainer takes a third of a second to import, as much as all else that a command needs before it draws. So `import
reproduce` does not import it, and neither does any module that something else than training and timing has use for.
"""

import importlib.metadata
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder

import numpy as np

KNOWN_CHAINER = "7.8.1"
ENVIRONMENT_CHECK = "chainer._environment_check"


class ChainerError(ImportError):
    """Chainer is missing, or is not the release that this package knows."""


def _environment_check() -> types.ModuleType:
    """What Chainer looks around with: is this Python 3.5.0, is this Apple's vecLib, is that CuPy one that it knows?

    It only warns, it takes CuPy 8 and later for a mistake, and it alone needs `pkg_resources` and `numpy.distutils`,
    which take a tenth of a second to import where they still exist.
    """
    module = types.ModuleType(ENVIRONMENT_CHECK)
    module.check = lambda: None
    return module


def _missing_numpy_names() -> dict[str, object]:
    if hasattr(np, "sctypes"):
        return {}
    kinds = {"int": [np.int8, np.int16, np.int32, np.int64], "float": [np.float16, np.float32, np.float64]}
    return {"sctypes": kinds}


@contextmanager
def _stand_ins() -> Iterator[None]:
    names = _missing_numpy_names()
    sys.modules[ENVIRONMENT_CHECK] = _environment_check()
    for name, value in names.items():
        setattr(np, name, value)
    try:
        yield
    finally:
        del sys.modules[ENVIRONMENT_CHECK]
        for name in names:
            delattr(np, name)


class _ChainerFinder(MetaPathFinder):
    """Finds Chainer where Python does, and has it begin with the stand-ins in place."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname) if fullname == "chainer" else None
        if spec and spec.loader:
            begin = spec.loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                with _stand_ins(), warnings.catch_warnings():
                    # Chainer says at import that CuPy is newer than it knows.
                    warnings.simplefilter("ignore")
                    begin(module)

            spec.loader.exec_module = exec_module
        return spec


def prepare_for_chainer() -> None:
    """See that Chainer is there, and have stand-ins for what this machine lacks in place whenever it is imported.

    Raises:
        ChainerError: Chainer is not installed, or it is another release than 7.8.1.
    """
    if "chainer" in sys.modules:
        return
    try:
        version = importlib.metadata.version("chainer")
    except importlib.metadata.PackageNotFoundError:
        raise ChainerError(f"Chainer {KNOWN_CHAINER} is not installed; see 'Installing' in README.md") from None
    if version != KNOWN_CHAINER:
        raise ChainerError(f"this package knows Chainer {KNOWN_CHAINER}, and found Chainer {version}")
    sys.meta_path.insert(0, _ChainerFinder())
