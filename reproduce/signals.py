"""SIGINT, SIGTERM and SIGHUP: a training step is let come to its end, and anything else stops at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: int | None = None
_is_deferring = False


class Interrupted(BaseException):
    """The user or the system asks this program to stop; like KeyboardInterrupt, no error for anyone to handle."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_status = 128 + number


def stop_while_starting() -> None:
    """Let Ctrl-C end `python -m …` with one line while it still imports; for other programs nothing changes."""
    # Python's name for a program whose package it is importing.
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_at_once)


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    os.write(2, b"stopped before anything was begun\n")
    os._exit(128 + number)


def handle_signals() -> None:
    """Turn the signals that ask to stop into Interrupted, in the main thread of a command.

    SIGHUP, which comes when a terminal is closed, stays ignored where it was so before: that is what `nohup` does.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):
            signal.signal(number, _receive)


def _receive(number: int, frame: FrameType | None) -> None:
    global _received
    if _is_deferring and _received is None:
        _received = number
    else:
        raise Interrupted(number)


@contextmanager
def deferred() -> Iterator[None]:
    """While inside, a first signal is only remembered; a second one stops at once."""
    global _is_deferring, _received
    _is_deferring, _received = True, None
    try:
        yield
        # One that came too late for any step to see.
        stop_if_asked()
    finally:
        _is_deferring, _received = False, None


def stop_if_asked() -> None:
    """Raise the Interrupted that a remembered signal asks for."""
    if _received is not None:
        raise Interrupted(_received)


def ask_to_stop(number: int = signal.SIGTERM) -> None:
    """Remember a signal as if it had come: for a step in a worker of a cluster, where the request comes otherwise."""
    global _received
    if _is_deferring and _received is None:
        _received = number


def is_asked_to_stop() -> bool:
    """Whether a signal is remembered."""
    return _received is not None
