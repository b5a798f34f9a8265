"""The two ways in which a command ends early: exit 2 for a user's mistake, exit 1 for a failure."""


class BadInput(ValueError):
    """What the user gave cannot be used: one line that says what, where, what was expected and what was found."""

    exit_status = 2


class Failure(Exception):
    """Something else went wrong: one line that says what, and what to do."""

    exit_status = 1


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its type's name if it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
