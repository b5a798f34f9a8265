"""Chainer 7.8.1 on today's Python and NumPy.

Chainer's last release (2022) was written for NumPy 1 and setuptools' `pkg_resources`. While Chainer is being
imported, this module stands in for exactly the names that this machine lacks, and takes the stand-ins away again
afterwards, so that no other package ever meets them. `import reproduce` does it; after that `import chainer` works
anywhere.
"""

import importlib.metadata
import importlib.util
import sys
import types
import warnings

import numpy as np

KNOWN_CHAINER = "7.8.1"


class ChainerError(ImportError):
    """Chainer is missing, or is not the release that this package knows."""


def _pkg_resources_stand_in() -> types.ModuleType:
    """What `chainer._environment_check` asks of pkg_resources: are CuPy and iDeep there, and in which version?

    It answers 'not installed' for both. Chainer only warns about versions with the answer (it thinks that CuPy 8 is
    too new), and `chainer.backends.cuda` finds CuPy by importing it.
    """
    module = types.ModuleType("pkg_resources")

    class DistributionNotFound(Exception):
        pass

    class VersionConflict(Exception):
        pass

    def require(requirement):
        raise DistributionNotFound(requirement)

    module.DistributionNotFound = DistributionNotFound
    module.VersionConflict = VersionConflict
    module.require = require
    return module


def _numpy_distutils_stand_in() -> dict[str, types.ModuleType]:
    """`numpy.distutils.system_info.get_info`, which Chainer calls on macOS to warn about Apple's old vecLib."""
    package = types.ModuleType("numpy.distutils")
    package.__path__ = []
    system_info = types.ModuleType("numpy.distutils.system_info")
    system_info.get_info = lambda name: {}
    package.system_info = system_info
    return {"numpy.distutils": package, "numpy.distutils.system_info": system_info}


def _is_missing(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is None
    except ModuleNotFoundError:
        return True


def _missing_modules() -> dict[str, types.ModuleType]:
    modules = {}
    if _is_missing("pkg_resources"):
        modules["pkg_resources"] = _pkg_resources_stand_in()
    if _is_missing("numpy.distutils.system_info"):
        modules.update(_numpy_distutils_stand_in())
    return modules


def _missing_numpy_names() -> dict[str, object]:
    names = {}
    if not hasattr(np, "sctypes"):
        names["sctypes"] = {
            "int": [np.int8, np.int16, np.int32, np.int64],
            "float": [np.float16, np.float32, np.float64],
        }
    return names


def import_chainer() -> types.ModuleType:
    """Import Chainer, with stand-ins for what this machine lacks in place for the length of the import.

    Raises:
        ChainerError: Chainer is not installed, or it is another release than 7.8.1.
    """
    if "chainer" in sys.modules:
        return sys.modules["chainer"]
    try:
        version = importlib.metadata.version("chainer")
    except importlib.metadata.PackageNotFoundError:
        raise ChainerError(f"Chainer {KNOWN_CHAINER} is not installed; see 'Installing' in README.md") from None
    if version != KNOWN_CHAINER:
        raise ChainerError(f"this package knows Chainer {KNOWN_CHAINER}, and found Chainer {version}")
    with warnings.catch_warnings():
        # To ask where numpy.distutils is imports it, and it says that it is deprecated.
        warnings.simplefilter("ignore")
        modules, names = _missing_modules(), _missing_numpy_names()
    sys.modules.update(modules)
    if "numpy.distutils" in modules:
        np.distutils = modules["numpy.distutils"]
    for name, value in names.items():
        setattr(np, name, value)
    try:
        with warnings.catch_warnings():
            # pkg_resources and numpy.distutils say at import that they are deprecated, and Chainer that CuPy is newer.
            warnings.simplefilter("ignore")
            import chainer
    finally:
        for name in modules:
            del sys.modules[name]
        if "numpy.distutils" in modules:
            del np.distutils
        for name in names:
            delattr(np, name)
    return chainer
