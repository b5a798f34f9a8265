"""Command lines made from dataclasses: every option is a field with its sentence beside it."""

import argparse
import dataclasses
import difflib
import gc
import io
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from reproduce.errors import BadInput, Failure
from reproduce.signals import Interrupted, handle_signals
from reproduce.text import printable
from reproduce.version import VERSION

Parse = Callable[[str], Any]


def option(default: Any, parse: Parse, help: str, unset: str = "the profile's") -> Any:
    """A dataclass field that is also a command line option.

    Args:
        default: the field's default.
        parse: makes the value from the option's text; raises ValueError('expected ...') where it cannot.
        help: one sentence.
        unset: what a default of None stands for.
    """
    return dataclasses.field(default=default, metadata={"parse": parse, "help": help, "unset": unset})


def flag(help: str, short: str = "") -> Any:
    """A dataclass field, False unless its command line option is given; the option takes no value.

    Args:
        help: one sentence.
        short: its one-letter form, `-v`, if it has one.
    """
    return dataclasses.field(default=False, metadata={"short": short, "help": help})


def whole_number(low: int, high: int) -> Parse:
    """A parser for whole numbers from low to high."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return value

    return parse


def number(low: float, high: float, low_included: bool = True, high_included: bool = True) -> Parse:
    """A parser for finite numbers from low (or above it) to high (or below it)."""
    expected = f"{'from' if low_included else 'above'} {low} to {'' if high_included else 'below '}{high}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        is_above = low < value or (low_included and value == low)
        is_below = value < high or (high_included and value == high)
        if not (is_above and is_below):
            raise ValueError(f"expected a number {expected}")
        return value

    return parse


def one_of(*names: str) -> Parse:
    """A parser for names."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected {', '.join(names[:-1])} or {names[-1]}{suggestion(text, names)}")
        return text

    return parse


def yes_or_no(text: str) -> bool:
    """A parser for yes and no."""
    if text not in ("yes", "no"):
        raise ValueError("expected yes or no")
    return text == "yes"


def path(text: str) -> str:
    """A parser for files and folders: `~` and `~user` stand for home folders, here as in a shell."""
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        raise ValueError("expected a path; this home folder is not known (./~ is a file of that name)") from None


def suggestion(text: str, names: Iterable[str]) -> str:
    """' (did you mean ...?)' where a name is near, and nothing where none is."""
    near = difflib.get_close_matches(text, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class OneLineParser(argparse.ArgumentParser):
    """Raises BadInput, one line, where argparse would print its usage and exit; `--field_name` is `--field-name`."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(message)

    def parse_args(self, arguments: list[str]) -> argparse.Namespace:  # type: ignore[override]
        arguments = [re.sub("^--[^=]+", lambda name: name[0].replace("_", "-"), text) for text in arguments]
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            name = unknown[0].split("=")[0]
            raise BadInput(f"no such option: {name}{suggestion(name, self._option_string_actions)}")
        return known


def parser_for(prog: str, description: str, has_help: bool = True) -> OneLineParser:
    """A parser with an option --help, unless what it reads comes from a file."""
    # Abbreviations would change their meaning with every option added.
    return OneLineParser(prog=prog, description=description, allow_abbrev=False, add_help=has_help)


def add_options(parser: argparse.ArgumentParser, dataclass: type, leave_out: Iterable[str] = ()) -> None:
    """Add `--field-name` for each field that `option` or `flag` made.

    Those that are not given stay out of the result.
    """
    for field in dataclasses.fields(dataclass):
        if not field.metadata or field.name in leave_out:
            continue
        names = [f"--{field.name.replace('_', '-')}"]
        if "short" in field.metadata:
            names = [*filter(None, [field.metadata["short"]]), *names]
            parser.add_argument(
                *names, dest=field.name, default=argparse.SUPPRESS, action="store_true", help=field.metadata["help"]
            )
            continue
        parser.add_argument(
            *names,
            dest=field.name,
            default=argparse.SUPPRESS,
            type=checked(field.metadata["parse"]),
            metavar=field.name.upper(),
            help=field.metadata["help"].replace("%", "%%")
            + f" (default: {_shown(field.default, field.metadata['unset'])})",
        )


def checked(parse: Parse) -> Parse:
    """A parser as argparse wants it: what was expected, and what was found."""

    def converted(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}; found {text!r}") from None

    return converted


def _shown(default: Any, unset: str) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join("x".join(map(str, item)) for item in default)
    return unset if default is None else str(default)


def run(prog: str, main: Callable[[list[str]], None], arguments: list[str] | None = None) -> NoReturn:
    """Call a command's main and exit: 0 on success; 2 on bad input and 1 on failure, with one line for either.

    SIGINT, SIGTERM and SIGHUP exit with 130, 143 and 129. `--debug`, anywhere, shows the traceback as well;
    `--version` alone says this package's.
    """
    _prepare_streams()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        print(f"conv-nn-report {VERSION}")
        sys.exit(0)
    is_debugging = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    handle_signals()
    try:
        main(arguments)
        sys.stdout.flush()
        # Python would look through all libraries for garbage before it ends: a fifth of a second.
        gc.freeze()
    except BaseException as error:
        known = explained(error)
        if known is None:
            raise
        if is_debugging:
            traceback.print_exc()
        status, message = known
        _give_up_output()
        if isinstance(error, Interrupted) and sys.stderr.isatty():
            # The terminal has written ^C where the cursor was.
            print(file=sys.stderr)
        print(f"{prog}: {printable(message)}", file=sys.stderr)
        sys.exit(status)
    sys.exit(0)


def take_stdout() -> TextIO:
    """Standard output, for one document alone: all else that is printed from now on goes to standard error.

    That holds to the end of this process, and for those that it begins.
    """
    sys.stdout.flush()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return out


def _prepare_streams() -> None:
    """Let output neither fail for a character that its encoding lacks nor for having been closed (`>&-`)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_output() -> None:
    """Where nobody reads what we print any more, or the disk that it goes to is full, keep Python from trying again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explained(error: BaseException) -> tuple[int, str] | None:
    """Exit status and line for what a command may end with; None for what is a fault of this package."""
    if isinstance(error, (BadInput, Failure)):
        return error.exit_status, str(error)
    if isinstance(error, Interrupted):
        return error.exit_status, "stopped; nothing finished is lost, and the same command goes on from here"
    if isinstance(error, BrokenPipeError):
        return 1, "nobody reads what this prints any more; nothing finished is lost"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return 1, f"{where}{error.strerror or error}; earlier results are intact"
    if isinstance(error, MemoryError):
        return 1, "not enough memory; a smaller BATCH_SIZE or TRAIN_SIZE needs less"
    return None
