"""The CPU or a GPU: whether it and its engine are there, and how network and images get to it and totals back."""

from typing import TYPE_CHECKING, Any

import numpy as np

from reproduce import engine
from reproduce.data.hdf5 import to_unit_range
from reproduce.errors import BadInput
from reproduce.text import say_once

if TYPE_CHECKING:
    from chainer.backend import Device


def check_device(device: int) -> None:
    """See that the device can be used: -1 is the CPU, 0 and up are GPUs.

    Raises:
        BadInput: there is no such device.
    """
    if device == -1:
        return
    if device < 0:
        raise BadInput(f"device {device}: expected -1 for the CPU, or a GPU's number, from 0 on")
    from chainer import cuda

    reason, present = _why_there_is_no_cupy(), 0
    if cuda.available:
        try:
            present = cuda.cupy.cuda.runtime.getDeviceCount()
        except cuda.cupy.cuda.runtime.CUDARuntimeError as error:  # there are CUDA's libraries, but no driver
            reason = str(error)
    if not present:
        raise BadInput(f"device {device}: no GPU can be used here ({reason}); DEVICE=-1 is the CPU")
    if device >= present:
        raise BadInput(f"device {device}: expected a GPU from 0 to {present - 1}, or -1 for the CPU")


def _why_there_is_no_cupy() -> str:
    from chainer import cuda

    # Chainer keeps what importing CuPy ended with; CuPy puts its own in a box of equals signs.
    error = getattr(cuda, "_resolution_error", None)
    if error is None or getattr(error, "name", "") == "cupy":
        return "CuPy is not installed; the extra cuda12 or cuda13 brings it"
    said = [line for line in str(error).splitlines() if any(map(str.isalpha, line))]
    return f"CuPy cannot be imported: {said[0] if said else type(error).__name__}"


def resolve_engine(name: str, device: int) -> str:
    """Which engine a name means on a device, as `reproduce.engine.resolve` says it.

    Raises:
        BadInput: the name is unknown, or the fast engine cannot work there.
    """
    if name == "auto" and device >= 0 and (obstacle := engine.obstacle(device)):
        say_once(f"{obstacle}; until then Chainer's own functions are used, several times slower in large batches")
    try:
        return engine.resolve(name, device)
    except ValueError as error:
        raise BadInput(str(error)) from None


def packed(x: np.ndarray) -> np.ndarray:
    """Images as uint8 where `to_unit_range` makes exactly the same of them again, and as they are where it does not.

    Args:
        x: (N, 3, 32, 32) float32 in [0, 1].
    """
    pixels = np.empty(x.shape, np.uint8)
    for start in range(0, len(x), 1000):
        part = slice(start, start + 1000)
        np.rint(x[part] * np.float32(255), out=pixels[part], casting="unsafe")
        if not np.array_equal(to_unit_range(pixels[part]), x[part]):
            return x
    return pixels


def get_device(number: int) -> "Device":
    """One of Chainer's devices.

    Args:
        number: -1 for the CPU, or a GPU's number, as `DEVICE=` takes it.

    Raises:
        BadInput: there is no such device.
    """
    import chainer

    check_device(number)
    return chainer.get_device("@numpy" if number < 0 else f"@cupy:{number}")


def is_gpu(device: "Device") -> bool:
    """The report's `GPU_on`."""
    return device.xp is not np


def send(device: "Device", array: np.ndarray) -> Any:
    """An array on its device: images packed on a GPU, and everything as it is on the CPU."""
    if not is_gpu(device):
        return array
    return device.send(packed(array) if array.ndim == 4 else array)


def as_total(scalar: Any) -> Any:
    """A loss or an accuracy, to be summed up: on a GPU it stays there, since to fetch it is to wait for it."""
    return float(scalar) if isinstance(scalar, np.ndarray) else scalar.astype(np.float64)
