"""Arrays whose memory is used again, so that a training step does not wait for the system to clear fresh pages.

An array from `empty` owns a lease on a block of memory. NumPy keeps the lease alive for as long as the array or any
view of it exists; only then does the block go back to the shelf from which the next `empty` takes it. Lent and kept
blocks together never take more than the blocks that were lent at once at some time.
"""

import os
import threading
from collections import deque

import numpy as np
from numpy.typing import DTypeLike

# Smaller blocks come from malloc without page faults.
SMALLEST = 1 << 16
ALIGNMENT = 64

_shelves: dict[int, deque] = {}
_statistics = {"lent": 0, "most_lent": 0, "kept": 0}
# Reentrant: an array may die, and hand its block back, in the middle of `empty` in the same thread.
_lock = threading.RLock()


class _Lease:
    """The right to use one block, handed back when the last array on it is gone."""

    __slots__ = ("__array_interface__", "block")

    def __init__(self, block: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.block = block
        start = block.__array_interface__["data"][0]
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (start + -start % ALIGNMENT, False),
            "version": 3,
        }

    def __del__(self) -> None:
        # At the end of the program this module may be gone before its last array.
        if _take_back is not None and _lock is not None:
            _take_back(self.block)


def _take_back(block: np.ndarray) -> None:
    with _lock:
        _statistics["lent"] -= block.nbytes
        _statistics["kept"] += block.nbytes
        _shelves.setdefault(block.nbytes, deque()).append(block)


def _lend(size: int) -> np.ndarray:
    with _lock:
        _statistics["lent"] += size
        _statistics["most_lent"] = max(_statistics["most_lent"], _statistics["lent"])
        shelf = _shelves.get(size)
        if shelf:
            _statistics["kept"] -= size
            return shelf.pop()
        _make_room()
    return np.empty(size, np.uint8)


def _make_room() -> None:
    """Let blocks go until all blocks together are no more than were ever lent at once."""
    for other_size, shelf in _shelves.items():
        while shelf and _statistics["lent"] + _statistics["kept"] > _statistics["most_lent"]:
            shelf.popleft()
            _statistics["kept"] -= other_size


def empty(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Like `np.empty`, aligned to a cache line, C-contiguous, perhaps on memory that was used before."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size < SMALLEST:
        return np.empty(shape, dtype)
    size = -(-size // 4096) * 4096 + ALIGNMENT
    return np.asarray(_Lease(_lend(size), tuple(shape), dtype))


def release() -> None:
    """Give the memory that nobody uses back to the system."""
    with _lock:
        _shelves.clear()
        _statistics["kept"] = 0


def kept_bytes() -> int:
    """Bytes on the shelves, waiting to be used again."""
    return _statistics["kept"]


def lent_bytes() -> int:
    """Bytes that arrays from `empty` have now."""
    return _statistics["lent"]


def most_lent_bytes() -> int:
    """The most bytes that arrays from `empty` ever had at once."""
    return _statistics["most_lent"]


def nhwc(array: np.ndarray) -> np.ndarray:
    """The (N, H, W, C) array behind an (N, C, H, W) array: a view if its memory has that order, else a copy."""
    array = array.transpose(0, 2, 3, 1)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def nchw(array: np.ndarray) -> np.ndarray:
    """An (N, H, W, C) array seen as (N, C, H, W)."""
    return array.transpose(0, 3, 1, 2)


def _start_anew() -> None:
    """In a forked process: another thread may have held the lock, and the free blocks would be copied page by page."""
    global _lock
    _lock = threading.RLock()
    release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
