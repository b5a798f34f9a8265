"""Chainer 7.8.1 on today's Python and NumPy.

Chainer's last release (2022) was written for NumPy 1 and setuptools' `pkg_resources`. While Chainer is being
imported, this module stands in for what this machine lacks or Chainer has no use for, and takes the stand-ins away
again afterwards, so that no other package ever meets them. `import reproduce` prepares for that; after it
`import chainer` works anywhere. An installation prepares for it too, in every Python of the environment: setup.py puts
a copy of this module beside a `.pth` file that imports it, so that `import chainer` may also come first. So this module
takes little to import, and imports nothing of ours.

Chainer takes a third of a second to import, as much as all else that a command needs before it draws. So `import
reproduce` does not import it, and neither does any module that something else than training and timing has use for.
"""

import sys
import types
import warnings
from importlib.machinery import ModuleSpec, PathFinder

KNOWN_CHAINER = "7.8.1"
ENVIRONMENT_CHECK = "chainer._environment_check"
# Functions that use what NumPy has dropped or changed: of which module, of which class if of one, and named what.
USERS_OF_OLD_NUMPY = (
    ("chainer.functions.array.as_strided", "AsStridedGrad", "forward"),
    ("chainer.functions.array.resize_images", "", "compute_indices_and_weights"),
    ("chainer.distributions.categorical", "Categorical", "log_prob"),
)


class ChainerError(ImportError):
    """Chainer is missing, or is not the release that this package knows."""


def _environment_check() -> types.ModuleType:
    """What Chainer looks around with: is this Python 3.5.0, is this Apple's vecLib, is that CuPy one that it knows?

    It only warns, it takes CuPy 8 and later for a mistake, and it alone needs `pkg_resources` and `numpy.distutils`,
    which take a tenth of a second to import where they still exist.
    """
    module = types.ModuleType(ENVIRONMENT_CHECK)
    module.check = lambda: None  # type: ignore[attr-defined]
    return module


def _numpy_of_old() -> types.ModuleType:
    """NumPy with `float`, `sctypes` and a `meshgrid` that returns a list, as NumPy 1.19 had them."""
    import numpy as np

    class NumPyOfOld(types.ModuleType):
        float = float
        sctypes = {  # noqa: RUF012
            "int": [np.int8, np.int16, np.int32, np.int64],
            "float": [np.float16, np.float32, np.float64],
        }

        @staticmethod
        def meshgrid(*arrays: object, **options: object) -> list[np.ndarray]:
            return list(np.meshgrid(*arrays, **options))

        def __getattr__(self, name: str) -> object:
            return getattr(np, name)

    return NumPyOfOld("numpy")


def _import_chainer(module: types.ModuleType, begin: object) -> None:
    """Run Chainer's `__init__` with the stand-ins in place; a few of its functions keep theirs.

    Args:
        module: `chainer`, empty so far.
        begin: its loader's `exec_module`.
    """
    import numpy as np

    numpy_of_old = _numpy_of_old()
    lacks_sctypes = not hasattr(np, "sctypes")
    if lacks_sctypes:
        np.sctypes = numpy_of_old.sctypes  # noqa: NPY201
    sys.modules[ENVIRONMENT_CHECK] = _environment_check()
    try:
        with warnings.catch_warnings():
            # Chainer says at import that CuPy is newer than it knows.
            warnings.simplefilter("ignore")
            begin(module)  # type: ignore[operator]
    finally:
        del sys.modules[ENVIRONMENT_CHECK]
        if lacks_sctypes:
            del np.sctypes  # noqa: NPY201
    for module_name, class_name, name in USERS_OF_OLD_NUMPY:
        user = sys.modules[module_name]
        owner = getattr(user, class_name) if class_name else user
        names = {**vars(user), "np": numpy_of_old, "numpy": numpy_of_old}
        setattr(owner, name, types.FunctionType(getattr(owner, name).__code__, names))


class ChainerFinder:
    """Finds Chainer where Python does, and has it begin with the stand-ins in place."""

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname) if fullname == "chainer" else None
        if spec and spec.loader:
            begin = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _import_chainer(module, begin)  # type: ignore[method-assign]
        return spec


def prepare_for_chainer() -> None:
    """See that Chainer is there, and have stand-ins for what this machine lacks in place whenever it is imported.

    Raises:
        ChainerError: Chainer is not installed, or it is another release than 7.8.1.
    """
    from importlib import metadata

    try:
        version = metadata.version("chainer")
    except metadata.PackageNotFoundError:
        raise ChainerError(f"Chainer {KNOWN_CHAINER} is not installed; see docs/installing.md") from None
    if "chainer" in sys.modules:
        version = getattr(sys.modules["chainer"], "__version__", "of no version")
    if version != KNOWN_CHAINER:
        raise ChainerError(f"this package knows Chainer {KNOWN_CHAINER}, and found Chainer {version}")
    if "chainer" not in sys.modules:
        sys.meta_path.insert(0, ChainerFinder)
