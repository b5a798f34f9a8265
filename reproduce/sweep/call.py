"""A call that may never return, such as a question to a process that stands still."""

import threading
from collections.abc import Callable
from typing import Any

SECONDS_BETWEEN_REMINDERS = 30


class NoAnswer(Exception):
    """The call has not returned in time."""


class Call(threading.Thread):
    """Calls a function in a thread that can be left behind: the process ends without waiting for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # for the thread that asks
            self._error = error

    def answer(self, seconds: float) -> Any:
        """What the function returns; a signal's handler may end the waiting.

        Raises:
            NoAnswer: it has not returned after `seconds` seconds; it can be asked again.
            BaseException: whatever the function raised.
        """
        self.join(seconds)
        if self.is_alive():
            raise NoAnswer
        if self._error is not None:
            raise self._error
        return self._result


def patiently(function: Callable[[], Any], remind: Callable[[], None]) -> Any:
    """What a function returns, however long it takes; a signal's handler may end the waiting.

    Args:
        remind: called every half minute, to say what is waited for.

    Raises:
        BaseException: whatever the function raised.
    """
    call = Call(function)
    while True:
        try:
            return call.answer(SECONDS_BETWEEN_REMINDERS)
        except NoAnswer:
            remind()
