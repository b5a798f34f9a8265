"""NumPy's uniform random numbers, the same stream to the bit, several times faster.

`np.random.rand` makes one number after the other. Its generator, the Mersenne Twister MT19937 (Matsumoto & Nishimura
1998, ACM TOMACS 8, 3-30), works in blocks of 624 words, which vectors of words can be computed in just as well.
"""

import ctypes
import functools

import numpy as np

from reproduce.engine import memory, threads
from reproduce.engine.compilation import from_python, kernel

WORDS, MIDDLE = 624, 397
_HIGH, _LOW, _MATRIX = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)


@kernel
def _next_block(key):
    """The recurrence of the generator: replace its 624 words by the next 624."""
    for i in range(WORDS - MIDDLE):
        y = (key[i] & _HIGH) | (key[i + 1] & _LOW)
        key[i] = key[i + MIDDLE] ^ (y >> np.uint32(1)) ^ ((y & np.uint32(1)) * _MATRIX)
    for i in range(WORDS - 1 - (WORDS - MIDDLE)):
        here = i + WORDS - MIDDLE
        y = (key[here] & _HIGH) | (key[here + 1] & _LOW)
        key[here] = key[i] ^ (y >> np.uint32(1)) ^ ((y & np.uint32(1)) * _MATRIX)
    y = (key[WORDS - 1] & _HIGH) | (key[0] & _LOW)
    key[WORDS - 1] = key[MIDDLE - 1] ^ (y >> np.uint32(1)) ^ ((y & np.uint32(1)) * _MATRIX)


@kernel
def _fill(slot, first, last, state, words):
    """Tempered words of the stream that goes on from a generator's state (`_state_of`)."""
    key, position, done = state[:WORDS], np.int64(state[WORDS]), 0
    while done < len(words):
        if position == WORDS:
            _next_block(key)
            position = 0
        count = min(WORDS - position, len(words) - done)
        source, target = key[position : position + count], words[done : done + count]
        for i in range(count):
            y = source[i]
            y ^= y >> np.uint32(11)
            y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
            y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
            target[i] = y ^ (y >> np.uint32(18))
        position += count
        done += count
    state[WORDS] = np.uint32(position)


@from_python
def at_least(words, first, count, threshold, result):
    """result[i] = whether uniform number first + i is at least `threshold`; two words make one number of 53 bits."""
    pairs = words[2 * first : 2 * (first + count)]
    bound = threshold * 9007199254740992.0
    for i in range(count):
        high, low = np.int64(pairs[2 * i] >> np.uint32(5)), np.int64(pairs[2 * i + 1] >> np.uint32(6))
        result[i] = np.float64(high * 67108864 + low) >= bound


@functools.lru_cache(maxsize=1)
def _state_of(generator: np.random.MT19937) -> np.ndarray | None:
    """The generator's own 624 words and its position in them, (625,) uint32; None if NumPy keeps them otherwise.

    To read and to set `generator.state`, which copies them one by one, takes longer than to make 100,000 numbers.
    """
    own = np.ctypeslib.as_array((ctypes.c_uint32 * (WORDS + 1)).from_address(generator.ctypes.state_address))
    state = generator.state["state"]
    return own if np.array_equal(own, np.append(state["key"], np.uint32(state["pos"]))) else None


def draw(count: int) -> np.ndarray | None:
    """The words (2 * count,) uint32 of the next `count` numbers of `np.random.rand`, which moves on past them.

    None if NumPy's global generator is not the Mersenne Twister, as it is unless somebody has replaced it, or if NumPy
    keeps its state otherwise than is known here.
    """
    generator = np.random.mtrand._rand._bit_generator
    if type(generator) is not np.random.MT19937:
        return None
    words = memory.empty((2 * count,), np.uint32)
    with generator.lock:
        state = _state_of(generator)
        if state is None:
            return None
        threads.parallel_sums(_fill, 1, state, words)
    return words
